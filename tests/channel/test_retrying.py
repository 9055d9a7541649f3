"""Calls that the server did not begin, and calls that it failed: what is made again and what is not."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from puregrpc.channel import RetryPolicy, open_channel
from puregrpc.channel.retry import RetryThrottle, pushback_of
from puregrpc.errors import InvalidArgument, RpcError
from puregrpc.wire.connection import ConnectionConfig, Request, ServerCall
from puregrpc.wire.status import Status, StatusCode
from tests.channel.helpers import run
from tests.channel.wire_server import EchoCall, SilentCall, WireSession, wire_server

ECHO = "test.Service/Echo"


class RefusingFirst:
    """Refuses so many calls (REFUSED_STREAM), and answers the others."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals

    def __call__(self, session: WireSession, request: Request) -> ServerCall | None:
        if self.refusals:
            self.refusals -= 1
            return None
        return EchoCall(session)


def test_a_call_that_was_not_begun_is_made_once_more() -> None:
    async def test() -> None:
        refusing = RefusingFirst(1)
        async with wire_server(refusing) as server, open_channel(server.address) as channel:
            assert await channel.unary_unary(ECHO)(b"once") == b"once"
            await channel.connect()
            refusing.refusals = 1
            assert await channel.unary_unary(ECHO)(b"again") == b"again"
            refusing.refusals = 2
            with pytest.raises(RpcError, match=r"UNAVAILABLE: .*REFUSED_STREAM"):
                await channel.unary_unary(ECHO)(b"twice")
            refusing.refusals = 1
            async with channel.call(ECHO) as call:
                await call.send(b"streamed")
                await call.half_close()
                assert await call.receive() == b"streamed"
                assert await call.receive() is None
            refusing.refusals = 1
            async with channel.unary_stream(ECHO)(b"only") as call:
                assert dict(await call.headers())["content-type"] == "application/grpc"
                assert await call.receive() == b"only"
            refusing.refusals = 1
            async with channel.call(ECHO) as call:
                await trio.sleep(0.05)  # the refusal is here before anything is sent
                await call.send(b"late")
                assert await call.receive() == b"late"
            refusing.refusals = 2
            with pytest.raises(RpcError, match="UNAVAILABLE"):
                async with channel.call(ECHO) as call:
                    await call.send(b"streamed")
                    await call.receive()

    run(test)


def test_goaway_ends_what_it_does_not_cover_and_a_new_connection_serves_it() -> None:
    async def test() -> None:
        silent: list[ServerCall] = []

        def on_call(session: WireSession, request: Request) -> ServerCall | None:
            if request.path == "/test.Service/Wait":
                call: ServerCall = SilentCall()
                silent.append(call)
                return call
            return EchoCall(session)

        async with wire_server(on_call) as server, open_channel(server.address) as channel:
            assert await channel.unary_unary(ECHO)(b"first") == b"first"
            async with trio.open_nursery() as nursery:

                async def waiting() -> None:
                    assert await channel.unary_unary("test.Service/Wait")(b"covered") == b"covered"

                nursery.start_soon(waiting)
                await trio.testing.wait_all_tasks_blocked(0.05)
                first = server.sessions[0]
                first.connection.go_away()
                await trio.testing.wait_all_tasks_blocked(0.05)
                assert await channel.unary_unary(ECHO)(b"second") == b"second"
                assert len(server.sessions) == 2
                assert [len(part.sessions) for part in channel.snapshot().subchannels] == [2]
                first.connection.send_response(silent[0], b"covered")
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert [len(part.sessions) for part in channel.snapshot().subchannels] == [1]

    run(test)


def test_calls_beyond_the_servers_limit_wait_their_turn() -> None:
    async def test() -> None:
        silent: list[ServerCall] = []

        def on_call(session: WireSession, request: Request) -> ServerCall | None:
            if request.path == "/test.Service/Wait":
                silent.append(SilentCall())
                return silent[-1]
            return EchoCall(session)

        async with (
            wire_server(on_call, ConnectionConfig(max_concurrent_streams=2)) as server,
            open_channel(server.address) as channel,
            trio.open_nursery() as nursery,
        ):
            await channel.connect()
            for _ in range(2):
                nursery.start_soon(channel.unary_unary("test.Service/Wait"), b"")
            await trio.testing.wait_all_tasks_blocked(0.05)
            with pytest.raises(RpcError, match="DEADLINE_EXCEEDED"):
                await channel.unary_unary(ECHO)(b"no turn", timeout=0.1)
            with trio.move_on_after(0.05):
                await channel.unary_unary(ECHO)(b"cancelled while queued")
            assert len(server.requests) == 2
            server.sessions[0].connection.send_response(silent[0], b"")
            assert await channel.unary_unary(ECHO)(b"at last") == b"at last"
            server.sessions[0].connection.send_response(silent[1], b"")

    run(test)


class FailingCall(ServerCall):
    def __init__(self, session: WireSession, status: Status, *, headers: bool) -> None:
        super().__init__()
        self.session = session
        self.status = status
        self.headers = headers

    def on_half_close(self) -> None:
        if self.headers:
            self.session.connection.send_headers(self)
        pushback = (("grpc-retry-pushback-ms", self.status.message),) if self.status.message.isdigit() else ()
        self.session.connection.send_trailers(self, self.status, pushback)


UNAVAILABLE = Status(StatusCode.UNAVAILABLE, "busy")


def test_a_retry_policy() -> None:
    async def test() -> None:
        statuses: list[Status] = []
        headers = False

        def on_call(session: WireSession, request: Request) -> ServerCall | None:
            return FailingCall(session, statuses.pop(0), headers=headers) if statuses else EchoCall(session)

        policy = RetryPolicy(max_attempts=3, initial_backoff=0.01, max_backoff=0.02)
        async with wire_server(on_call) as server, open_channel(server.address, retry=policy) as channel:
            echo = channel.unary_unary(ECHO)
            statuses[:] = [UNAVAILABLE] * 2
            assert await echo(b"third time") == b"third time"
            assert [dict(request.metadata).get("grpc-previous-rpc-attempts") for request in server.requests] == [
                None,
                "1",
                "2",
            ]
            statuses[:] = [Status(StatusCode.NOT_FOUND, "final")]
            with pytest.raises(RpcError, match="NOT_FOUND"):
                await echo(b"")
            statuses[:] = [Status(StatusCode.UNAVAILABLE, "50")]
            began = trio.current_time()
            assert await echo(b"pushed back") == b"pushed back"
            assert trio.current_time() - began >= 0.05
            statuses[:] = [Status(StatusCode.UNAVAILABLE, "5000")]
            with pytest.raises(RpcError, match="UNAVAILABLE"):
                await echo(b"no time for that", timeout=1)
            headers = True
            statuses[:] = [UNAVAILABLE]
            with pytest.raises(RpcError, match="UNAVAILABLE"):
                await echo(b"committed")

    run(test)


def test_a_policy_must_make_sense() -> None:
    with pytest.raises(InvalidArgument, match="max_attempts"):
        RetryPolicy(max_attempts=1)
    with pytest.raises(InvalidArgument, match="backoff"):
        RetryPolicy(initial_backoff=0)
    policy = RetryPolicy(max_attempts=9, initial_backoff=1, max_backoff=5)
    assert policy.attempts == 5
    assert 0.8 <= policy.pause(0) <= 1.2
    assert 4 <= policy.pause(10) <= 6


def test_the_throttle_stops_retries_when_most_calls_fail() -> None:
    throttle = RetryThrottle()
    assert [throttle.failed() for _ in range(6)] == [True, True, True, True, False, False]
    for _ in range(40):
        throttle.succeeded()
    assert throttle.failed()


@pytest.mark.parametrize(
    ("trailers", "expected"),
    [((), None), ((("grpc-retry-pushback-ms", "20"),), 0.02), ((("grpc-retry-pushback-ms", "-1"),), -1.0)],
)
def test_pushback(trailers: tuple[tuple[str, str], ...], expected: float | None) -> None:
    assert pushback_of(trailers) == expected
