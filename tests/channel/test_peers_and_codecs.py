"""What is left of calls: servers that answer wrongly, codecs, taps, and calls that are used in the wrong order."""

from __future__ import annotations

import pytest

from puregrpc.channel import BlockingInterceptor, Interceptor
from puregrpc.codec import Codec
from puregrpc.errors import InvalidArgument, LocalProtocolError, RpcError
from puregrpc.kernel.current import running_world
from puregrpc.proto import compile as compile_proto
from puregrpc.schema import Registry
from puregrpc.wire.connection import Request, ServerCall
from puregrpc.wire.status import OK
from tests.channel.helpers import run
from tests.channel.wire_server import EchoCall, WireSession, wire_server
from tests.worlds import group, open_channel
from tests.worlds import sleep as pause

PROTO = """
syntax = "proto3";
package test;
message Text { string text = 1; }
service Service {
  rpc Echo(Text) returns (Text);
  rpc Chat(stream Text) returns (stream Text);
}
"""


class Answering(ServerCall):
    """Answers with so many messages, whatever is asked."""

    def __init__(self, session: WireSession, messages: int) -> None:
        super().__init__()
        self.session = session
        self.messages = messages

    def on_half_close(self) -> None:
        connection = self.session.connection
        connection.send_headers(self)
        for _ in range(self.messages):
            connection.send_message(self, b"one")
        connection.send_trailers(self, OK)


def test_a_call_that_takes_one_message_gets_none_or_two() -> None:
    def on_call(session: WireSession, request: Request) -> ServerCall | None:
        return Answering(session, 2 if request.path.endswith("Two") else 0)

    async def test() -> None:
        async with wire_server(on_call) as server:
            async with open_channel(server.address) as channel:
                for name, meaning in (("Two", "more than one message"), ("None", "sent no message")):
                    with pytest.raises(RpcError, match=rf"UNIMPLEMENTED: .*{meaning}"):
                        await channel.unary_unary(f"test.Service/{name}")(b"")
                    with pytest.raises(RpcError, match=rf"UNIMPLEMENTED: .*{meaning}"):
                        await channel.stream_unary(f"test.Service/{name}")([])

    run(test)


def test_dicts_by_codec(server: str) -> None:
    registry = Registry()
    for file in compile_proto(["test.proto"], sources={"test.proto": PROTO}):
        registry.add_file(file)
    codec = Codec(registry)
    echo, chat = registry.method("test.Service/Echo"), registry.method("test.Service/Chat")

    async def test() -> None:
        async with open_channel(server) as channel:
            assert await channel.unary_unary(echo, codec=codec)({"text": "grüß"}) == {"text": "grüß"}
            async with channel.stream_stream(echo, codec=codec)() as call:
                await call.send({"text": "x"})
                await call.half_close()
                assert [message async for message in call] == [{"text": "x"}]
            with pytest.raises(InvalidArgument, match=r"needs a MethodDescriptor"):
                channel.unary_unary("test.Service/Echo", codec=codec)
            async with channel.call(chat) as call_by_descriptor:
                await call_by_descriptor.send(b"x")
                assert await call_by_descriptor.receive() == b"X"

    run(test)


def test_what_a_deserializer_raises_ends_the_call(server: str) -> None:
    def refuse(data: bytes) -> bytes:
        raise ValueError(f"not {data!r}")

    async def test() -> None:
        async with open_channel(server) as channel:
            async with channel.stream_stream("test.Service/Chat", None, refuse)() as call:
                await call.send(b"x")
                with pytest.raises(ValueError, match=r"not b'X'"):
                    await call.receive()
                assert call.status.code == 1
            with pytest.raises(ValueError, match=r"not b'x'"):
                await channel.unary_unary("test.Service/Echo", None, refuse)(b"x")

    run(test)


class Recording:
    def __init__(self) -> None:
        self.out = b""
        self.into = b""

    def sent(self, data: bytes, time: float) -> None:
        self.out += data

    def received(self, data: bytes, time: float) -> None:
        self.into += data


def test_a_tap_hears_every_octet(server: str) -> None:
    async def test() -> None:
        tap = Recording()
        async with open_channel(server, tap=tap) as channel:
            await channel.unary_unary("test.Service/Echo")(b"heard by the tap")
            (session,) = channel.snapshot().subchannels[0].sessions
            assert session.counters.bytes_sent == len(tap.out)
            assert session.counters.bytes_received == len(tap.into)
        assert tap.out.startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert b"heard by the tap" in tap.out
        assert b"heard by the tap" in tap.into

    run(test)


def test_calls_used_in_the_wrong_order(server: str) -> None:
    async def test() -> None:
        async with open_channel(server) as channel:
            opening = channel.call("test.Service/Chat")
            async with opening as opened:
                assert not opened.is_over
                assert opened.details.path == "/test.Service/Chat"
                assert opened.peer == server
                with pytest.raises(LocalProtocolError, match=r"only once"):
                    await opening.__aenter__()
                with pytest.raises(LocalProtocolError, match=r"before its end"):
                    _ = opened.trailers
                async with group() as beside:
                    beside.start(opened.receive)
                    await pause(0.05)
                    with pytest.raises(LocalProtocolError, match=r"another task is receiving"):
                        await opened.receive()
                    await opened.send(b"x")
                await opened.send(b"still usable")
                assert await opened.receive() == b"STILL USABLE"

    run(test)


def test_an_interceptor_that_overrides_nothing_changes_nothing(server: str) -> None:
    async def test() -> None:
        interceptor = BlockingInterceptor() if running_world() == "threads" else Interceptor()
        async with open_channel(server, interceptors=[interceptor]) as channel:
            assert await channel.unary_unary("test.Service/Echo")(b"x") == b"x"
            assert await channel.stream_unary("test.Service/Collect")([b"x"]) == b"1 1"

    run(test)


def test_a_connection_that_the_server_refuses_to_keep(server: str) -> None:
    """Each connection is sent away as soon as it is ready: calls fail, nothing spins and nothing is left."""

    def on_call(session: WireSession, request: Request) -> ServerCall | None:
        session.connection.go_away(immediately=True)
        return EchoCall(session)

    async def test() -> None:
        async with wire_server(on_call) as wire, open_channel(wire.address) as channel:
            for _ in range(3):
                with pytest.raises(RpcError, match=r"UNAVAILABLE"):
                    await channel.unary_unary("test.Service/Echo")(b"", timeout=5)
            assert len(wire.sessions) <= 7

    run(test)
