"""What a server's GOAWAY, refusals and the end of a connection mean for calls."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hyperframe.frame import GoAwayFrame

from puregrpc.channel import ConnectivityState
from puregrpc.errors import RpcError
from puregrpc.wire.connection import ConnectionConfig, Request, ServerCall
from tests.channel.helpers import run
from tests.channel.raw_server import greet, raw_server
from tests.channel.wire_server import EchoCall, SilentCall, WireServer, WireSession, wire_server
from tests.worlds import open_channel, until


def test_the_code_and_the_text_of_goaway_are_in_the_status() -> None:
    def says_why(sock: socket.socket) -> None:
        greet(sock)
        sock.recv(1 << 16)
        goaway = GoAwayFrame(0, last_stream_id=1, error_code=11, additional_data=b"slow down, please")
        sock.sendall(goaway.serialize())

    async def test() -> None:
        with raw_server(says_why) as address:
            async with open_channel(address) as channel:
                with pytest.raises(RpcError, match="UNAVAILABLE") as caught:
                    await channel.unary_unary("a.B/C")(b"", timeout=10)
        assert "ENHANCE_YOUR_CALM" in str(caught.value)
        assert "slow down, please" in str(caught.value)

    run(test)


@contextmanager
def refusing(number: int) -> Iterator[WireServer]:
    """A server that refuses its first calls, and answers the others."""
    left = number

    def on_call(session: WireSession, request: Request) -> ServerCall | None:
        nonlocal left
        left -= 1
        return EchoCall(session) if left < 0 else None

    with wire_server(on_call) as server:
        yield server


def test_refused_streams_are_opened_again() -> None:
    async def test() -> None:
        with refusing(1) as server:
            async with open_channel(server.address) as channel:
                assert await channel.unary_unary("a.B/C")(b"hello", timeout=10) == b"hello"
        with refusing(1) as server:
            async with open_channel(server.address) as channel, channel.call("a.B/C", timeout=10) as call:
                await call.send(b"hello")
                await call.half_close()
                assert await call.receive() == b"hello"
        assert len(server.requests) == 2

    run(test)


def test_calls_that_wait_behind_the_limit_move_to_the_next_connection() -> None:
    def on_call(session: WireSession, request: Request) -> ServerCall | None:
        if session is server.sessions[0]:
            session.go_away()
            session.go_away()
            return SilentCall()
        return EchoCall(session)

    server: WireServer

    async def test() -> None:
        nonlocal server
        with wire_server(on_call, ConnectionConfig(max_concurrent_streams=1)) as server:
            async with open_channel(server.address) as channel:
                await channel.connect()
                async with channel.call("a.B/Silent") as silent:
                    await silent.send(b"x")
                    await until(lambda: server.requests)
                    assert await channel.unary_unary("a.B/C")(b"hello", timeout=10) == b"hello"

    run(test)


def test_a_connection_that_is_lost_is_made_again() -> None:
    async def test() -> None:
        with wire_server(lambda session, _: EchoCall(session)) as server:
            async with open_channel(server.address) as channel:
                echo = channel.unary_unary("a.B/C")
                for number in range(1, 4):
                    assert await echo(b"hello", timeout=10) == b"hello"
                    assert len(server.sessions) == number
                    server.sessions[-1].abort()
                    await until(lambda: channel.state is not ConnectivityState.READY)

    run(test)


def test_after_too_many_pings_the_channel_pings_half_as_often() -> None:
    """gRFC A8. Two PINGs without a call are forgiven, the next is too many."""
    config = ConnectionConfig(min_ping_interval=1000.0, permit_ping_without_calls=False)

    async def test() -> None:
        with wire_server(lambda session, _: SilentCall(), config) as server:
            async with open_channel(server.address, keepalive_time=0.05, keepalive_without_calls=True) as channel:
                await channel.connect()
                await until(lambda: channel.state is not ConnectivityState.READY)
                assert getattr(channel, "blocking", channel)._core._connection_config.keepalive_time == pytest.approx(
                    0.1
                )

    run(test)
