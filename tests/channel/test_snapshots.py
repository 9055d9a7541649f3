"""What a channel says of itself as data: as much as channelz asks for (gRFC A14)."""

from __future__ import annotations

import time

import pytest

from puregrpc.channel import CallNumbers, ConnectivityState
from puregrpc.channel.backends.channel_trace import TraceLog
from puregrpc.errors import RpcError
from puregrpc.wire.connection import Request, ServerCall
from puregrpc.wire.status import Status, StatusCode
from tests.channel.helpers import run
from tests.channel.test_hedging import Answer
from tests.channel.wire_server import EchoCall, SilentCall, WireSession, wire_server
from tests.worlds import open_channel, until

ECHO = "test.Service/Echo"


def on_call(session: WireSession, request: Request) -> ServerCall:
    if request.path.endswith("/Fail"):
        return Answer(session, Status(StatusCode.NOT_FOUND, "no"))
    return SilentCall() if request.path.endswith("/Wait") else EchoCall(session)


def test_calls_are_counted_by_how_they_ended() -> None:
    async def test() -> None:
        before = time.time()
        async with wire_server(on_call) as server, open_channel(server.address) as channel:
            for _ in range(3):
                await channel.unary_unary(ECHO)(b"")
            assert [message async for message in channel.unary_stream(ECHO)(b"")] == [b""]
            with pytest.raises(RpcError, match="NOT_FOUND"):
                await channel.unary_unary("test.Service/Fail")(b"")
            with pytest.raises(RpcError, match="NOT_FOUND"):
                await channel.stream_unary("test.Service/Fail")([b""])
            with pytest.raises(RpcError, match="DEADLINE"):
                await channel.unary_unary("test.Service/Wait")(b"", timeout=0.05)
            async with channel.call("test.Service/Wait"):
                snapshot = channel.snapshot()
                assert snapshot.calls.last_started is not None
                assert before - 1 < snapshot.calls.last_started < time.time() + 1
                assert (snapshot.calls.started, snapshot.calls.succeeded, snapshot.calls.failed) == (8, 4, 3)
                (subchannel,) = snapshot.subchannels
                (session,) = subchannel.sessions
                assert subchannel.calls.started == session.calls.started == 8
                assert len({subchannel.number, session.number}) == 2
                assert session.security is None
            server.sessions[0].abort()
            await until(lambda: channel.state is ConnectivityState.IDLE)
            await channel.unary_unary(ECHO)(b"")
            snapshot = channel.snapshot()
            calls = snapshot.calls
            assert (calls.started, calls.succeeded, calls.failed) == (9, 5, 4)
            await until(lambda: len(channel.snapshot().subchannels[0].sessions) == 1)
            (subchannel,) = channel.snapshot().subchannels
            assert subchannel.sessions[0].number != session.number
            assert subchannel.sessions[0].calls.started == 1
            assert subchannel.calls.started == 9

    run(test)


def test_what_went_wrong_is_told_and_the_last_events_are_kept() -> None:
    log = TraceLog("Channel")
    for number in range(40):
        log.add(f"{number} " + "x" * 1000)
    log.state_is(ConnectivityState.TRANSIENT_FAILURE, "refused")
    log.state_is(ConnectivityState.TRANSIENT_FAILURE, "refused again")
    log.state_is(ConnectivityState.READY, "long ago")
    trace = log.snapshot()
    assert trace.logged == 43
    assert len(trace.events) == 30
    assert {len(event.description) for event in trace.events[:-2]} == {256}
    assert [(event.description, event.is_warning) for event in trace.events[-2:]] == [
        ("Channel state change to TRANSIENT_FAILURE: refused", True),
        ("Channel state change to READY", False),
    ]


def test_a_channel_tells_which_addresses_it_uses() -> None:
    async def test() -> None:
        async with (
            wire_server(on_call) as server,
            open_channel(f"ipv4:{server.address}", load_balancing="round_robin") as channel,
        ):
            await channel.unary_unary(ECHO)(b"")
            trace = channel.snapshot().trace
            assert trace is not None
            told = [event.description for event in trace.events]
            assert told[0] == "Channel created"
            assert f"Address resolved to {server.address}" in told
            assert told[-1] == "Channel state change to READY"
            (created,) = [event for event in trace.events if event.description == "Subchannel created"]
            assert created.subchannel == channel.snapshot().subchannels[0].number
            assert created.subchannel_name == server.address

    run(test)


def test_a_channel_that_was_not_used_has_no_calls() -> None:
    async def test() -> None:
        async with open_channel("localhost:1") as channel:
            assert channel.snapshot().calls == CallNumbers()

    run(test)
