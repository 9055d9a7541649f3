"""AsyncClient and AsyncStream on trio, asyncio and uvloop."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

import pytest

from puregrpc import AsyncClient, AsyncStream
from puregrpc.errors import (
    ConnectError,
    EncodeError,
    InvalidArgument,
    LocalProtocolError,
    NotConnected,
    RpcError,
    SchemaError,
)
from puregrpc.metrics import Metrics
from tests.client.conftest import free_address, tcp_server
from tests.client.lab import DEFINITIONS, FILES, PART_SIZE, PARTS
from tests.client.samples import samples
from tests.worlds import LOOPS, beside, move_on_after, sleep
from tests.worlds import run as run_in

ECHO, COUNT, CONVERSE = "lab.Bench/Echo", "lab.Bench/Count", "lab.Bench/Converse"


@pytest.fixture(params=LOOPS, autouse=True)
def world(request: pytest.FixtureRequest) -> str:
    return use_world(request.param)


_world = ""


def use_world(name: str) -> str:
    global _world
    _world = name
    return name


def run_main(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run_in(main, _world)


def run(lab: str, program: Callable[[AsyncClient], Awaitable[None]]) -> AsyncClient:
    made: list[AsyncClient] = []

    async def main() -> None:
        async with AsyncClient(metrics=Metrics(tags={"scenario": "default"})) as client:
            made.append(client)
            client.load([DEFINITIONS], *FILES[:4])
            await client.connect(lab, plaintext=True)
            await program(client)

    run_main(main)
    return made[0]


def test_a_handler_that_writes_to_a_server_that_does_not_read_yet(lab: str) -> None:
    received: list[int] = []

    async def program(client: AsyncClient) -> None:
        stream = client.stream("lab.Bench/CountThenCollect")

        async def data(message: dict[str, Any]) -> None:
            if message["index"] < 0:
                received.append(message["received"])
                return
            await stream.write({"text": "x" * PART_SIZE})
            if message["index"] == PARTS - 1:
                await stream.end()

        stream.on("data", data)
        await stream.wait()

    run(lab, program)
    assert received == [PARTS]


def test_a_handler_cannot_wait_for_its_own_stream(lab: str) -> None:
    async def program(client: AsyncClient) -> None:
        stream = client.stream(COUNT)
        stream.on("data", stream.wait)
        await stream.write({"count": 1})
        with pytest.raises(LocalProtocolError, match="a handler cannot wait for a stream's handlers"):
            await stream.wait()

    run(lab, program)


def test_a_second_message_for_a_method_that_takes_one(lab: str) -> None:
    async def program(client: AsyncClient) -> None:
        stream = client.stream(COUNT)
        await stream.write({"count": 1})
        with pytest.raises(LocalProtocolError, match="takes one message, and that was written already"):
            await stream.write({"count": 2})
        assert [part["index"] async for part in stream] == [0]

    run(lab, program)


def test_calls(lab: str) -> None:
    async def program(client: AsyncClient) -> None:
        response = await client.invoke(ECHO, {"aString": "x"}, {"tags": {"a": "b"}})
        assert (response.message["aString"], response.status) == ("x", 0)
        assert (await client.invoke("lab.Bench/Fail", {"code": 5})).status == 5
        late = await client.invoke("lab.Bench/Hang", {}, timeout=50)
        assert late.error is not None
        assert late.error.code == 4
        assert (await client.invoke(ECHO, {}, metadata={"a b": "c"})).status == 13
        assert (await client.health_check()).status == 1
        with pytest.raises(RpcError, match="NotFound"):
            await client.healthCheck("nope")
        pending = [client.asyncInvoke("lab.Bench/Sleep", {"ms": 1000}) for _ in range(5)]
        began = time.monotonic()
        assert [(await one).message["ms"] for one in pending] == [1000] * 5
        assert time.monotonic() - began < 4
        wrong: list[tuple[tuple[Any, ...], type[Exception]]] = [
            (("foo/bar", {}), SchemaError),
            ((ECHO,), InvalidArgument),
            ((ECHO, {"nope": 1}), EncodeError),
        ]
        for arguments, kind in wrong:
            with pytest.raises(kind):
                await client.invoke(*arguments)
            refused = client.async_invoke(*arguments)
            with pytest.raises(kind):
                await refused

    client = run(lab, program)
    assert samples(client, "grpc_req_duration", "method", "status")[("Echo", "0")] == 1
    assert client.metrics.value("data_sent", "count") > 0
    assert client.metrics.value("grpc_connect_duration", "count") == 1


def test_connecting(lab: str) -> None:
    async def program(client: AsyncClient) -> None:
        assert await client.connect(lab, {"plaintext": True, "reflect": True}) is True
        with pytest.raises(ConnectError, match=r"connection error: .*refused"):
            await client.connect(free_address(), plaintext=True)
        with pytest.raises(NotConnected, match="no gRPC connection, you must call connect first"):
            await client.invoke(ECHO, {})
        with tcp_server() as silent, pytest.raises(ConnectError, match="context deadline exceeded"):
            await client.connect(silent, plaintext=True, timeout="200ms")
        with pytest.raises(InvalidArgument):
            await client.connect(lab, nope=1)  # type: ignore[call-arg]  # what this test is about
        await client.connect(lab, plaintext=True)
        assert (await client.invoke(ECHO, {})).status == 0
        await client.close()
        await client.close()
        with pytest.raises(NotConnected):
            AsyncStream(client, CONVERSE)

    run(lab, program)


def test_what_the_body_raises_leaves_as_itself(lab: str) -> None:
    async def program(client: AsyncClient) -> None:
        client.async_invoke("lab.Bench/Hang", {})
        stream = client.stream("lab.Bench/CountAndHang")
        await stream.write({"count": 1})
        raise KeyError("body")

    with pytest.raises(KeyError, match="body"):
        run(lab, program)


def test_a_cancelled_call_leaves_the_client_usable(lab: str) -> None:
    async def program(client: AsyncClient) -> None:
        assert await move_on_after(0.1, partial(client.invoke, "lab.Bench/Hang", {}))
        assert (await client.invoke(ECHO, {})).status == 0

    run(lab, program)


def test_cancelling_the_whole_block(lab: str) -> None:
    async def block() -> None:
        async with AsyncClient() as client:
            client.load([DEFINITIONS], *FILES[:4])
            await client.connect(lab, plaintext=True)
            stream = client.stream("lab.Bench/CountAndHang")
            stream.on("data", lambda: None)
            await stream.write({"count": 1})
            await client.invoke("lab.Bench/Hang", {})

    async def main() -> None:
        assert await move_on_after(0.3, block)

    run_main(main)


def test_a_slow_reader_holds_the_server_back(lab: str) -> None:
    async def program(client: AsyncClient) -> None:
        async with client.stream(COUNT) as stream:
            await stream.write({"count": 3000, "size": 20_000})
            await sleep(0.7)
            assert client.metrics.value("data_received", "count") < 30_000_000
            async for message in stream:
                assert message["index"] == 0
                break

    run(lab, program)


def test_outside_a_loop() -> None:
    client = AsyncClient()
    with pytest.raises(LocalProtocolError, match=r"inside asyncio.run or trio.run; .* use .*Client"):
        client.async_invoke(ECHO, {})
    with pytest.raises(LocalProtocolError, match=r"inside asyncio.run or trio.run; .* use .*Client"):
        client.connect("localhost:1").send(None)
    with pytest.raises(LocalProtocolError, match=r"inside asyncio.run or trio.run; .* use .*Client"):
        client.__aenter__().send(None)


def test_streams_by_iteration(lab: str) -> None:
    async def program(client: AsyncClient) -> None:
        async with client.stream(CONVERSE) as stream:

            async def write() -> None:
                for text in "abc":
                    await stream.write({"text": text})
                await stream.end()
                await stream.write({"text": "late"})

            async def read() -> None:
                assert [message["text"] async for message in stream] == ["a", "b", "c"]

            await beside(write, read)
        failing = client.stream(COUNT)
        await failing.write({"count": 1, "failure": {"code": 5, "message": "gone"}})
        with pytest.raises(RpcError, match="rpc error: code = NotFound desc = gone"):
            assert [message["index"] async for message in failing] == [0]
        late = client.stream("lab.Bench/CountAndHang", timeout="100ms")
        await late.write({"count": 2})
        with pytest.raises(RpcError, match=r"(?i)deadline ?exceeded"):
            assert [message["index"] async for message in late] == [0, 1]
        async with client.stream("lab.Bench/CountAndHang") as left:
            await left.write({"count": 1})
            async for message in left:
                assert message["index"] == 0
                break

    client = run(lab, program)
    assert samples(client, "grpc_req_duration", "method", "status") == {
        ("Converse", "0"): 1,
        ("Count", "5"): 1,
        ("CountAndHang", "4"): 1,
        ("CountAndHang", "1"): 1,
    }
    assert samples(client, "grpc_streams_msgs_sent", "method")[("Converse",)] == 3


def test_streams_with_handlers(lab: str) -> None:
    async def program(client: AsyncClient) -> None:
        seen: list[Any] = []
        stream = AsyncStream(client, COUNT)

        async def data(message: dict[str, Any], meta: Any) -> None:
            await sleep(0)
            seen.append(message["index"])

        stream.on("data", data)
        stream.on("error", lambda error: seen.append((int(error.code), error.message)))
        stream.on("status", lambda status: seen.append(int(status.code)))
        stream.on("end", lambda: seen.append("end"))
        await stream.write({"count": 2, "failure": {"code": 5, "message": "m"}})
        await stream.wait()
        assert seen == [0, 1, (5, "m"), 5, "end"]
        with pytest.raises(LocalProtocolError, match="either iterated over or has handlers"):
            aiter_of = stream.__aiter__()
            del aiter_of
        seen.clear()
        bad = AsyncStream(client, "lab.Bench/Collect")
        bad.on("error", lambda error: seen.append(error.message))
        bad.on("end", lambda: seen.append("end"))
        await bad.write({"nope": 1})
        await bad.wait()
        assert seen[0].startswith("can't serialise request object to protocol buffer: ")
        assert seen[1:] == ["end"]
        plain = AsyncStream(client, "lab.Bench/Collect")
        with pytest.raises(EncodeError):
            await plain.write({"nope": 1})
        plain.cancel()

    run(lab, program)


def test_a_handler_that_raises(lab: str) -> None:
    async def program(client: AsyncClient) -> None:
        seen: list[Any] = []
        stream = AsyncStream(client, COUNT)
        stream.on("data", lambda: 1 / 0)
        stream.on("error", lambda error: seen.append(error.message))
        stream.on("end", lambda: seen.append("end"))
        await stream.write({"count": 3})
        with pytest.raises(ZeroDivisionError):
            await stream.wait()
        assert seen == ["ZeroDivisionError: division by zero", "end"]
        await stream.end()

    run(lab, program)

    async def unseen(client: AsyncClient) -> None:
        stream = AsyncStream(client, COUNT)
        stream.on("data", lambda: 1 / 0)
        await stream.write({"count": 3})
        await sleep(0.2)

    with pytest.raises(ZeroDivisionError):
        run(lab, unseen)


def test_closing_in_a_handler(lab: str) -> None:
    async def program(client: AsyncClient) -> None:
        seen: list[Any] = []
        stream = AsyncStream(client, CONVERSE)

        async def data() -> None:
            seen.append("data")
            await client.close()

        stream.on("data", data)
        stream.on("error", lambda error: seen.append(error.message))
        stream.on("end", lambda: seen.append("end"))
        await stream.write({"text": "a"})
        await stream.wait()
        assert seen == ["data", "canceled by client", "end"]

    run(lab, program)


def test_arguments_of_the_constructor(lab: str) -> None:
    async def program(client: AsyncClient) -> None:
        for arguments, kind, said in [
            ((None,), InvalidArgument, "empty gRPC client"),
            ((5,), InvalidArgument, "not a gRPC client"),
            ((client, "foo/bar"), SchemaError, "invalid GRPC Stream's method: "),
            ((client, CONVERSE, {"void": 1}), InvalidArgument, "invalid GRPC Stream's parameters: "),
            ((client, CONVERSE, {"timeout": -1}), RpcError, "failed to create a new stream: "),
            ((client, CONVERSE, {"metadata": {"a b": "x"}}), RpcError, "failed to create a new stream: "),
        ]:
            with pytest.raises(kind, match=said):
                AsyncStream(*arguments)  # type: ignore[arg-type]  # what this test is about

    run(lab, program)
