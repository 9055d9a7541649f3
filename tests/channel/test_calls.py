"""The four call shapes against a grpcio server, on raw bytes."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest

from puregrpc.errors import InvalidArgument, LocalProtocolError, NotConnected, RpcError
from puregrpc.wire.connection import Metadata
from tests.channel.helpers import run
from tests.worlds import beside, move_on_after, open_channel, until
from tests.worlds import sleep as pause


def test_unary_unary(server: str) -> None:
    async def test() -> None:
        async with open_channel(server) as channel:
            echo = channel.unary_unary("/test.Service/Echo")
            assert await echo(b"hello") == b"hello"
            assert await echo(b"") == b""
            result = await echo.with_call(b"again")
            assert result.message == b"again"
            assert result.status.code == 0

    run(test)


def test_serializers(server: str) -> None:
    async def test() -> None:
        async with open_channel(server) as channel:
            echo = channel.unary_unary("test.Service/Echo", str.encode, bytes.decode)
            assert await echo("grüß") == "grüß"
            chat = channel.stream_stream("test.Service/Chat", str.encode, bytes.decode)
            async with chat(["a", "b"]) as call:
                assert [answer async for answer in call] == ["A", "B"]

    run(test)


def custom(metadata: Metadata) -> Metadata:
    return tuple(entry for entry in metadata if entry[0].startswith("x-"))


def test_metadata_both_ways(server: str) -> None:
    async def test() -> None:
        async with open_channel(server, metadata={"x-channel": "c"}, user_agent="tester/1") as channel:
            method = channel.unary_unary("test.Service/MetadataBack")
            sent: list[tuple[str, str | bytes]] = [("x-Text", "one"), ("x-text", "two"), ("x-bytes-bin", b"\0\xff")]
            result = await method.with_call(b"", metadata=sent, timeout=5)
            back = (("x-channel", "c"), ("x-text", "one"), ("x-text", "two"), ("x-bytes-bin", b"\0\xff"))
            assert custom(result.headers) == (*back, ("x-first", "1"))
            assert custom(result.trailers) == (*back, ("x-last", "2"))
            seen = json.loads(result.message)
            assert 4 < seen["time_remaining"] <= 5
            assert seen["user-agent"].startswith("tester/1 grpc-python-puregrpc/")

    run(test)


def test_errors_carry_everything(server: str) -> None:
    async def test() -> None:
        async with open_channel(server) as channel:
            for call in (channel.unary_unary("test.Service/Fail"), channel.unary_unary("test.Service/Fail").with_call):
                with pytest.raises(RpcError, match="NOT_FOUND: näht 100% da\n") as caught:
                    await call(b"")
                assert caught.value.code == 5
                assert caught.value.details_bin == b"\x08\x05details"
                assert ("x-why", "because") in caught.value.trailers
            with pytest.raises(RpcError, match="UNIMPLEMENTED"):
                await channel.unary_unary("test.Service/Nothing")(b"")

    run(test)


def test_unary_stream(server: str) -> None:
    async def test() -> None:
        async with open_channel(server) as channel:
            count = channel.unary_stream("test.Service/Count")
            async with count(b"1000") as call:
                assert [int(message) async for message in call] == list(range(1000))
                assert call.status.code == 0
                assert await call.receive() is None
            async with count(b"3 0 1") as call:
                assert await call.receive() == b"0"
                assert [await call.receive(), await call.receive()] == [b"1", b"2"]
                with pytest.raises(RpcError, match="OUT_OF_RANGE: no more"):
                    await call.receive()
                assert call.status.code == 11
            async with count(b"20 300000") as call:
                assert [len(message) async for message in call] == [300_000] * 20

    run(test)


def test_stream_unary(server: str) -> None:
    async def some() -> AsyncIterator[bytes]:
        for size in range(100):
            yield bytes(size)
            await pause(0)

    async def test() -> None:
        async with open_channel(server) as channel:
            collect = channel.stream_unary("test.Service/Collect")
            assert await collect([]) == b"0 0"
            assert await collect([b"abc", b"", b"de"]) == b"3 5"
            assert await collect(some()) == b"100 4950"
            assert await collect(bytes(100_000) for _ in range(50)) == b"50 5000000"
            async with collect.open() as call:
                await call.send(b"by hand")
                await call.half_close()
                await call.half_close()
                assert (await call.single_response()).message == b"1 7"
            assert await channel.stream_unary("test.Service/Early")(bytes(100_000) for _ in range(1000)) == b"enough"

    run(test)


def test_stream_stream(server: str) -> None:
    async def test() -> None:
        async with open_channel(server) as channel:
            chat = channel.stream_stream("test.Service/Chat")
            async with chat() as call:
                for word in (b"ping", b"pong"):
                    await call.send(word)
                    assert await call.receive() == word.upper()
                with pytest.raises(LocalProtocolError, match="before its end"):
                    _ = call.status
                assert ("content-type", "application/grpc") in await call.headers()
                await call.half_close()
                assert await call.receive() is None
                with pytest.raises(LocalProtocolError, match="after half_close"):
                    await call.send(b"more")
            async with chat([b"a", b"b"]) as call:
                assert [answer async for answer in call] == [b"A", b"B"]
            async with chat([b"a", b"fail", b"b"]) as call:
                assert await call.receive() == b"A"
                with pytest.raises(RpcError, match="ABORTED: as asked"):
                    await call.receive()

    run(test)


def test_a_large_message_both_ways(server: str) -> None:
    async def test() -> None:
        payload = bytes(range(256)) * 20_000
        async with open_channel(server, max_receive_message_size=6 << 20) as channel:
            assert await channel.unary_unary("test.Service/Echo")(payload) == payload
        async with open_channel(server) as channel:
            with pytest.raises(RpcError, match="RESOURCE_EXHAUSTED"):
                await channel.unary_unary("test.Service/Echo")(payload)
            assert await channel.unary_unary("test.Service/Echo")(b"still there") == b"still there"
        async with open_channel(server, max_send_message_size=100) as channel:
            with pytest.raises(InvalidArgument):
                await channel.unary_unary("test.Service/Echo")(payload)
            assert await channel.unary_unary("test.Service/Echo")(b"still there") == b"still there"

    run(test)


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_compression(server: str, compression: str) -> None:
    async def test() -> None:
        async with open_channel(server, compression=compression) as channel:
            assert await channel.unary_unary("test.Service/Echo")(bytes(100_000)) == bytes(100_000)
            assert await channel.stream_unary("test.Service/Collect")([bytes(1000)] * 3) == b"3 3000"
        async with open_channel(server) as channel:
            assert await channel.unary_unary("test.Service/Echo")(bytes(100), compression=compression) == bytes(100)

    run(test)


def test_many_calls_at_once(server: str) -> None:
    async def test() -> None:
        async with open_channel(server) as channel:
            echo = channel.unary_unary("test.Service/Echo")

            async def work(number: int) -> None:
                for n in range(10):
                    message = b"%d %d" % (number, n)
                    assert await echo(message, timeout=10) == message

            await beside(*(partial(work, number) for number in range(100)))

    run(test)


def test_deadlines(server: str) -> None:
    async def test() -> None:
        async with open_channel(server) as channel:
            sleep = channel.unary_unary("test.Service/Sleep")
            began = time.monotonic()
            with pytest.raises(RpcError, match="DEADLINE_EXCEEDED"):
                await sleep(b"5", timeout=0.1)
            assert 0.09 <= time.monotonic() - began < 1
            with pytest.raises(RpcError, match="DEADLINE_EXCEEDED"):
                await sleep(b"0", timeout=0)
            async with channel.unary_stream("test.Service/Forever")(b"", timeout=0.1) as call:
                with pytest.raises(RpcError, match="DEADLINE_EXCEEDED"):
                    while await call.receive():
                        pass
            assert await sleep(b"0", timeout=5) == b"0"
            with pytest.raises(InvalidArgument):
                await sleep(b"0", timeout=float("nan"))
            assert await sleep(b"0", timeout=float("inf")) == b"0"

    run(test)


@pytest.mark.worlds("trio", "asyncio", "uvloop")
def test_cancelling_leaves_the_connection_usable(server: str) -> None:
    async def test() -> None:
        async with open_channel(server) as channel:
            sleep = channel.unary_unary("test.Service/Sleep")
            await channel.connect()

            async def read_for_ever() -> None:
                async with channel.unary_stream("test.Service/Forever")(b"") as call:
                    async for _ in call:
                        await pause(0)

            assert await move_on_after(0.05, lambda: sleep(b"5"))
            assert await move_on_after(0.05, read_for_ever)
            assert await move_on_after(0.05, lambda: channel.stream_unary("test.Service/Collect")(endless()))
            await check_unused(channel)

    run(test)


def test_calls_that_are_left_or_cancelled_are_over(server: str) -> None:
    async def test() -> None:
        async with open_channel(server) as channel:
            forever = channel.unary_stream("test.Service/Forever")
            async with forever(b"") as call:
                await call.receive()
            assert call.status.code == 1
            async with channel.stream_stream("test.Service/Chat")() as call:
                await call.send(b"x")
                call.cancel()
                with pytest.raises(RpcError, match="CANCELLED"):
                    await call.receive()
            responses = aiter(forever(b""))
            assert len(await anext(responses)) == 1000
            await responses.aclose()
            await check_unused(channel)

    run(test)


async def check_unused(channel: Any) -> None:
    assert await channel.unary_unary("test.Service/Sleep")(b"0") == b"0"

    def calls() -> object:
        (session,) = channel.snapshot().subchannels[0].sessions
        return session.connection.calls

    # On threads another thread cancels what an iteration left: it may have been a finalizer that left it.
    await until(lambda: calls() == ())


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield bytes(1000)
        await pause(0)


def test_what_bodies_and_iterables_raise_leaves_as_itself(server: str) -> None:
    async def test() -> None:
        with pytest.raises(KeyError, match="mine"):
            async with open_channel(server) as channel:
                await channel.unary_unary("test.Service/Echo")(b"")
                raise KeyError("mine")
        async with open_channel(server) as channel:
            chat = channel.stream_stream("test.Service/Chat")
            with pytest.raises(KeyError, match="body"):
                async with chat([b"a"]) as call:
                    await call.receive()
                    raise KeyError("body")

            def broken() -> Iterator[bytes]:
                yield b"a"
                raise KeyError("iterable")

            with pytest.raises(KeyError, match="iterable"):
                async with chat(broken()) as call:
                    async for _ in call:
                        pass
            with pytest.raises(KeyError, match="iterable"):
                await channel.stream_unary("test.Service/Collect")(broken())
            assert await channel.unary_unary("test.Service/Echo")(b"fine") == b"fine"

    run(test)


def test_a_closed_channel_says_so(server: str) -> None:
    async def test() -> None:
        async with open_channel(server) as channel:
            echo = channel.unary_unary("test.Service/Echo")
            await echo(b"")
            await channel.close()
            with pytest.raises(NotConnected, match="is closed"):
                await echo(b"")
        with pytest.raises(NotConnected, match="is closed"):
            await echo(b"")

    run(test)


def test_bad_names() -> None:
    async def test() -> None:
        async with open_channel("localhost:1") as channel:
            with pytest.raises(InvalidArgument, match="'Echo' is not a method"):
                channel.unary_unary("Echo")

    run(test)
