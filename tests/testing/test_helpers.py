"""The helpers for tests, tried on puregrpc's own channel and server."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from tests.server.serving import echo_server
from tests.worlds import LOOPS, beside, run, sleep

from puregrpc.channel import open_channel
from puregrpc.errors import RpcError
from puregrpc.server import Context, Method, ServerConfig
from puregrpc.testing import FrameFactory, ScriptedClient, ScriptedServer, UnexpectedFrame, message, open_in_memory
from puregrpc.testing.frames import parse_frame

ENGINES = pytest.mark.parametrize("engine", ["h2", "fast"])


@pytest.fixture(params=LOOPS)
def world(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@ENGINES
def test_channel_and_server_in_memory(world: str, engine: Any) -> None:
    async def body() -> None:
        server = echo_server(world, config=ServerConfig(engine=engine))
        async with open_in_memory(server, engine=engine) as channel:
            assert await channel.unary_unary("/test.Echo/Unary")(b"x" * 1_000_000) == b"x" * 1_000_000
            async with channel.stream_stream("/test.Echo/Bidi")([b"a", b"b"]) as call:
                assert [each async for each in call] == [b"a", b"b"]
            (connection,) = server.snapshot().connections
            assert connection.peer == "memory:client-1"

    run(body, world)


def test_a_clock_of_ones_own_makes_deadlines_pass_at_once() -> None:
    async def sleep(request: bytes, context: Context) -> bytes:
        await trio.sleep(1000)
        return request

    async def body() -> None:
        async with open_in_memory(echo_server("trio", Method("/test.S/Sleep", sleep))) as channel:
            with pytest.raises(RpcError, match="DEADLINE_EXCEEDED"):
                await channel.unary_unary("/test.S/Sleep")(b"", timeout=100)
            assert await channel.unary_unary("/test.S/Sleep")(b"x") == b"x"

    trio.run(body, clock=trio.testing.MockClock(autojump_threshold=0.01))


@ENGINES
def test_a_scripted_server(world: str, engine: Any) -> None:
    async def body() -> None:
        statuses: list[str] = []

        async def call() -> None:
            with pytest.raises(RpcError) as caught:
                await channel.unary_unary("/pkg.Service/Method")(b"request")
            statuses.append(str(caught.value))

        async def play() -> None:
            async with await server.accept() as peer:
                headers = await peer.expect("HEADERS 1")
                assert headers.fields is not None
                assert (":path", "/pkg.Service/Method") in headers.fields
                data = await peer.expect("DATA 1 END_STREAM")
                assert data.data == message(b"request")
                await peer.send(peer.frames.response(1), peer.frames.trailers(1, 5), piece=3)
                with pytest.raises(UnexpectedFrame, match="nothing came"):
                    await peer.receive(0.05)

        async with ScriptedServer() as server, open_channel(server.address, engine=engine) as channel:
            await beside(call, play)
        assert statuses == ["NOT_FOUND"]

    run(body, world)


@ENGINES
def test_a_scripted_client(world: str, engine: Any) -> None:
    async def body() -> None:
        async with echo_server(world, config=ServerConfig(engine=engine)) as server:
            async with ScriptedClient(server.addresses[0], initial_window_size=1000) as peer:
                frames = peer.frames
                await peer.send(frames.request(1, "/test.Echo/Unary", ("x-a", "b")))
                await peer.send(frames.data(1, message(b"hi"), end=True, padding=7))
                headers, data, trailers = [await peer.receive() for _ in range(3)]
                assert [str(each) for each in (headers, data, trailers)] == [
                    "HEADERS 1", "DATA 1", "HEADERS 1 END_STREAM",
                ]  # fmt: skip
                assert data is not None
                assert data.data == message(b"hi")
                await peer.send(frames.ping(b"8 octets"))
                await peer.expect_nothing()
                await peer.send(frames.frame(0x99, 0xFF, 1, b"unknown"), frames.reset(3, 8))
                await peer.expect("GOAWAY PROTOCOL_ERROR")
                await peer.expect_end()

    run(body, world)


def test_a_script_fails_if_something_stays_unseen(world: str) -> None:
    async def body() -> None:
        async with echo_server(world) as server:
            with pytest.raises(UnexpectedFrame, match="HEADERS 1 END_STREAM"):
                async with ScriptedClient(server.addresses[0]) as peer:
                    await peer.send(peer.frames.request(1, "/test.Echo/None"))
                    await sleep(0.1)
            with pytest.raises(UnexpectedFrame, match="DATA 1 was expected, and HEADERS 1 END_STREAM came"):
                async with ScriptedClient(server.addresses[0]) as peer:
                    await peer.send(peer.frames.request(1, "/test.Echo/None", end=True))
                    await peer.expect("DATA 1")
            with pytest.raises(UnexpectedFrame, match="the end of the stream was expected"):
                async with ScriptedClient(server.addresses[0]) as peer:
                    await peer.send(peer.frames.request(1, "/test.Echo/None", end=True))
                    await peer.expect_end()

    run(body, world)


def test_frames_are_what_they_say() -> None:
    frames = FrameFactory()
    made = [
        (frames.settings(max_frame_size=20000), "SettingsFrame"),
        (frames.settings_ack(), "SettingsFrame"),
        (frames.window_update(1, 5), "WindowUpdateFrame"),
        (frames.goaway(3, 1, b"why"), "GoAwayFrame"),
        (frames.reset(1, 2), "RstStreamFrame"),
        (frames.ping(ack=True), "PingFrame"),
        (frames.data(1, b"x"), "DataFrame"),
        (frames.headers(1, [("a", "b")]), "HeadersFrame"),
    ]
    for octets, name in made:
        for cut in range(len(octets)):
            assert parse_frame(octets[:cut]) is None
        parsed = parse_frame(octets + b"more")
        assert parsed is not None
        assert (type(parsed[0]).__name__, parsed[1]) == (name, len(octets))
    pieces = frames.headers(1, [("name", "value" * 20)], piece=10)
    first = parse_frame(pieces)
    assert first is not None
    assert "END_HEADERS" not in first[0].flags
