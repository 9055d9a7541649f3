"""Calls that the server did not begin, and calls that it failed: what is made again and what is not."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from puregrpc.channel import ConnectivityState, RetryPolicy, RetryThrottling
from puregrpc.channel.calls.retry import Attempts, RetryThrottle, pushback_of
from puregrpc.errors import InvalidArgument, RpcError
from puregrpc.kernel.current import running_world
from puregrpc.wire.connection import ConnectionConfig, Request, ServerCall
from puregrpc.wire.status import Status, StatusCode
from tests.channel.helpers import run
from tests.channel.wire_server import EchoCall, SilentCall, WireSession, wire_server
from tests.worlds import group, move_on_after, open_channel, until
from tests.worlds import sleep as pause

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
                await pause(0.05)  # the refusal is here before anything is sent
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
            async with group() as beside:

                async def waiting() -> None:
                    assert await channel.unary_unary("test.Service/Wait")(b"covered") == b"covered"

                beside.start(waiting)
                await until(lambda: silent)
                first = server.sessions[0]
                first.go_away()
                await until(lambda: channel.state is not ConnectivityState.READY)
                assert await channel.unary_unary(ECHO)(b"second") == b"second"
                assert len(server.sessions) == 2
                assert [len(part.sessions) for part in channel.snapshot().subchannels] == [2]
                first.do(lambda: first.connection.send_response(silent[0], b"covered"))
            await until(lambda: [len(part.sessions) for part in channel.snapshot().subchannels] == [1])

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
            group() as beside,
        ):
            await channel.connect()
            for _ in range(2):
                beside.start(channel.unary_unary("test.Service/Wait"), b"")
            await until(lambda: len(silent) == 2)
            session = server.sessions[0]
            with pytest.raises(RpcError, match="DEADLINE_EXCEEDED"):
                await channel.unary_unary(ECHO)(b"no turn", timeout=0.1)
            if running_world() != "threads":
                assert await move_on_after(0.05, lambda: channel.unary_unary(ECHO)(b"cancelled while queued"))
            assert len(server.requests) == 2
            session.do(lambda: session.connection.send_response(silent[0], b""))
            assert await channel.unary_unary(ECHO)(b"at last") == b"at last"
            session.do(lambda: session.connection.send_response(silent[1], b""))

    run(test)


@pytest.mark.parametrize("shape", ["unary", "stream"])
def test_a_call_that_never_left_goes_from_connection_to_connection(shape: str) -> None:
    async def test() -> None:
        none_yet = ConnectionConfig(max_concurrent_streams=0)
        async with (
            wire_server(lambda session, _: EchoCall(session), none_yet) as server,
            open_channel(server.address) as channel,
            group() as beside,
        ):

            async def call() -> None:
                if shape == "unary":
                    assert await channel.unary_unary(ECHO)(b"patient") == b"patient"
                async with channel.call(ECHO) as call:
                    await call.send(b"patient")
                    assert await call.receive() == b"patient"

            beside.start(call)
            for lost in range(4):
                await until(lambda lost=lost: len(server.sessions) > lost and server.sessions[lost].is_ready)  # type: ignore[misc]
                await pause(0.02)
                if lost == 3:
                    server.config = ConnectionConfig()
                server.sessions[lost].abort()

    run(test)


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["unary", "stream"])
def test_a_call_that_waited_for_its_turn_tells_the_server_what_is_left_of_its_time(shape: str) -> None:
    async def test() -> None:
        config = ConnectionConfig(max_concurrent_streams=1)
        async with wire_server(lambda _, __: SilentCall(), config) as server, open_channel(server.address) as channel:
            await channel.connect()

            async def ended(method: str, timeout: float) -> None:
                with pytest.raises(RpcError, match="DEADLINE_EXCEEDED"):
                    if shape == "unary":
                        await channel.unary_unary(method)(b"", timeout=timeout)
                    async with channel.call(method, timeout=timeout) as call:
                        await call.receive()

            async with group() as beside:
                beside.start(ended, "test.Service/First", 0.5)
                await until(lambda: server.requests)
                await ended("test.Service/Next", 1.5)
            assert len(server.requests) == 2
            assert server.requests[1].timeout is not None
            assert server.requests[1].timeout <= 1.2

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
            began = time.monotonic()
            assert await echo(b"pushed back") == b"pushed back"
            assert time.monotonic() - began >= 0.05
            statuses[:] = [Status(StatusCode.UNAVAILABLE, "5000")]
            with pytest.raises(RpcError, match="UNAVAILABLE"):
                await echo(b"no time for that", timeout=1)
            headers = True
            statuses[:] = [UNAVAILABLE]
            with pytest.raises(RpcError, match="UNAVAILABLE"):
                await echo(b"committed")

    run(test)


class Collecting(ServerCall):
    """Fails with the first of ``statuses`` after ``after`` messages (0: at once), or answers with all it was sent."""

    def __init__(self, session: WireSession, statuses: list[Status], after: int) -> None:
        super().__init__()
        self.session = session
        self.status = statuses.pop(0) if statuses else None
        self.after = after
        self.received: list[bytes] = []
        self.half_closed = False

    def on_message(self, message: bytes) -> None:
        self.received.append(message)
        if self.status is not None and len(self.received) == self.after:
            pushback = (("grpc-retry-pushback-ms", self.status.message),) if self.status.message.isdigit() else ()
            self.session.connection.send_trailers(self, self.status, pushback)

    def on_half_close(self) -> None:
        if self.status is None:
            self.session.connection.send_response(self, b"".join(self.received))


class Flaky:
    """A server whose first calls fail."""

    def __init__(self, after: int = 1) -> None:
        self.after = after
        self.statuses: list[Status] = []
        self.calls: list[Collecting] = []

    def __call__(self, session: WireSession, request: Request) -> ServerCall:
        self.calls.append(Collecting(session, self.statuses, self.after))
        return self.calls[-1]


QUICK = RetryPolicy(max_attempts=3, initial_backoff=0.01, max_backoff=0.02)
PATIENT = RetryPolicy(max_attempts=2, initial_backoff=1000, max_backoff=1000)


def test_a_policy_covers_calls_of_every_shape() -> None:
    async def test() -> None:
        flaky = Flaky(after=1)
        async with wire_server(flaky) as server, open_channel(server.address, retry=QUICK) as channel:
            flaky.statuses[:] = [UNAVAILABLE] * 2
            async with channel.unary_stream(ECHO)(b"only") as call:
                assert await call.receive() == b"only"
                assert await call.receive() is None
            assert [dict(request.metadata).get("grpc-previous-rpc-attempts") for request in server.requests] == [
                None,
                "1",
                "2",
            ]
            flaky.statuses[:] = [UNAVAILABLE]
            assert await channel.stream_unary(ECHO)([b"a", b"b", b"c"]) == b"abc"
            flaky.statuses[:] = [UNAVAILABLE]
            async with channel.stream_stream(ECHO)([b"a", b"b", b"c"]) as call:
                assert await call.headers()
                assert [message async for message in call] == [b"abc"]
            flaky.statuses[:] = [UNAVAILABLE] * 3
            async with channel.stream_stream(ECHO)() as call:
                await call.send(b"a")
                with pytest.raises(RpcError, match="UNAVAILABLE: busy"):
                    await call.receive()
                assert call.is_over

    run(test)


def test_what_is_sent_between_two_attempts_is_a_part_of_the_next() -> None:
    async def test() -> None:
        flaky = Flaky(after=2)
        async with wire_server(flaky) as server, open_channel(server.address, retry=QUICK) as channel:
            flaky.statuses[:] = [UNAVAILABLE]
            async with channel.call(ECHO) as call, group() as beside:
                received: list[bytes | None] = []

                async def receive() -> None:
                    received.append(await call.receive())

                for message in (b"a", b"b"):
                    await call.send(message)
                beside.start(receive)
                while len(flaky.calls) < 2:
                    await call.send(b".")
                    await pause(0.001)
                await call.half_close()
            assert received == [b"ab" + b"." * (len(received[0] or b"") - 2)]
            assert flaky.calls[1].received[:2] == [b"a", b"b"]

    run(test)


def test_a_sender_that_waits_for_the_window_goes_on_in_the_next_attempt() -> None:
    async def test() -> None:
        flaky = Flaky(after=1)
        large = bytes(200 << 10)  # more than the window and what may wait for it, less than what is kept
        small_windows = ConnectionConfig(initial_stream_window=65535, initial_connection_window=65535)
        async with wire_server(flaky, small_windows) as server, open_channel(server.address, retry=QUICK) as channel:
            await channel.connect()
            flaky.statuses[:] = [UNAVAILABLE]
            async with channel.call(ECHO) as call:
                await call.send(b"first")
                await call.send(large)
                await call.half_close()
                assert await call.receive() == b"first" + large
            assert len(flaky.calls) == 2

    run(test)


def test_a_call_that_has_sent_much_is_not_made_again() -> None:
    async def test() -> None:
        flaky = Flaky(after=2)
        async with wire_server(flaky) as server, open_channel(server.address, retry=QUICK) as channel:
            flaky.statuses[:] = [UNAVAILABLE]
            async with channel.call(ECHO) as call:
                with pytest.raises(RpcError, match="UNAVAILABLE: busy"):
                    for _ in range(2):
                        await call.send(bytes(200 << 10))
                    await call.receive()
            assert len(flaky.calls) == 1

    run(test)


def test_a_call_can_be_cancelled_between_two_attempts() -> None:
    async def test() -> None:
        flaky = Flaky()
        async with wire_server(flaky) as server, open_channel(server.address, retry=PATIENT) as channel:
            flaky.statuses[:] = [UNAVAILABLE]
            async with channel.call(ECHO) as call, group() as beside:

                async def receive() -> None:
                    with pytest.raises(RpcError, match="CANCELLED"):
                        await call.receive()

                async def ask_for_headers() -> None:
                    with pytest.raises(RpcError, match="CANCELLED"):
                        await call.headers()

                async def send() -> None:
                    with suppress(RpcError):  # it waits for the second attempt if the first has ended already
                        await call.send(b"")

                beside.start(send)
                beside.start(receive)
                beside.start(ask_for_headers)
                await pause(0.1)
                assert not call.is_over
                call.cancel()
            assert len(flaky.calls) == 1

    run(test)


@pytest.mark.worlds("trio", "asyncio", "uvloop")
def test_an_attempt_that_its_task_gives_up_is_made_by_the_next_that_asks() -> None:
    async def test() -> None:
        flaky = Flaky()
        policy = RetryPolicy(max_attempts=2, initial_backoff=0.3, max_backoff=0.3)
        async with wire_server(flaky) as server, open_channel(server.address, retry=policy) as channel:
            flaky.statuses[:] = [UNAVAILABLE]
            async with channel.call(ECHO) as call:
                await call.send(b"kept")
                await call.half_close()
                assert await move_on_after(0.05, call.receive)
                assert await call.receive() == b"kept"

    run(test)


def test_an_attempt_without_a_connection_ends_the_call() -> None:
    async def test() -> None:
        flaky = Flaky()
        policy = RetryPolicy(max_attempts=2, initial_backoff=0.05, max_backoff=0.05)
        flaky.statuses[:] = [UNAVAILABLE]
        server = wire_server(flaky)
        async with open_channel(server.__enter__().address, retry=policy) as channel, channel.call(ECHO) as call:
            await call.send(b"")
            await until(lambda: flaky.calls and flaky.calls[0].received)
            server.__exit__()
            with pytest.raises(RpcError, match="UNAVAILABLE"):
                await call.receive()
            with pytest.raises(RpcError, match="UNAVAILABLE"):
                await call.headers()
            assert call.status.code == StatusCode.UNAVAILABLE

    run(test)


def test_the_rules_of_attempts() -> None:
    """gRFC A6: pushback, throttling, commitment, deadline, and the two kinds of transparent retries."""
    policy = RetryPolicy(max_attempts=5, initial_backoff=1, max_backoff=100, backoff_multiplier=10)

    def pushed(text: str) -> tuple[tuple[str, str], ...]:
        return (("grpc-retry-pushback-ms", text),)

    attempts = Attempts(policy, RetryThrottle(RetryThrottling(max_tokens=100)))
    first = attempts.next_pause(UNAVAILABLE, (), committed=False)
    second = attempts.next_pause(UNAVAILABLE, (), committed=False)
    assert first is not None
    assert 0.8 <= first <= 1.2
    assert second is not None
    assert 8 <= second <= 12
    assert attempts.next_pause(UNAVAILABLE, pushed("7000"), committed=False, time_left=7.1) == 7
    again = attempts.next_pause(UNAVAILABLE, (), committed=False)
    assert again is not None
    assert 0.8 <= again <= 1.2  # the pauses begin anew after a pushback
    assert attempts.next_pause(UNAVAILABLE, (), committed=False) is None  # that was the fifth attempt
    assert attempts.request(Request("/a/b")).metadata == (("grpc-previous-rpc-attempts", "4"),)

    throttle = RetryThrottle(RetryThrottling())
    attempts = Attempts(policy, throttle)
    assert attempts.next_pause(UNAVAILABLE, (), committed=True) is None
    assert attempts.next_pause(UNAVAILABLE, pushed("x"), committed=False) is None
    assert attempts.next_pause(UNAVAILABLE, pushed("7000"), committed=False, time_left=7) is None
    assert throttle.tokens == 7
    assert attempts.next_pause(Status(StatusCode.NOT_FOUND), pushed("-1"), committed=False) is None
    assert throttle.tokens == 6
    assert attempts.next_pause(Status(StatusCode.NOT_FOUND), (), committed=False) is None
    assert attempts.next_pause(Status(StatusCode.OK), (), committed=True) is None
    assert throttle.tokens == 6.1

    attempts = Attempts(None, RetryThrottle())
    assert attempts.next_pause(UNAVAILABLE, (), committed=False, unprocessed=True) == 0
    assert attempts.next_pause(UNAVAILABLE, (), committed=False, unprocessed=True) is None
    unsent = [attempts.next_pause(UNAVAILABLE, (), committed=False, unprocessed=True, sent=False) for _ in range(11)]
    assert unsent == [0] * 10 + [None]
    assert attempts.next_pause(UNAVAILABLE, (), committed=True, unprocessed=True, sent=False) is None


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
    throttle = RetryThrottle(RetryThrottling())
    assert [throttle.failed() for _ in range(6)] == [True, True, True, True, False, False]
    for _ in range(40):
        throttle.succeeded()
    assert throttle.failed()
    with pytest.raises(InvalidArgument, match="max_tokens"):
        RetryThrottling(max_tokens=0)


def test_without_throttling_retries_go_on_when_all_calls_fail_first() -> None:
    async def test() -> None:
        flaky = Flaky()
        async with wire_server(flaky) as server, open_channel(server.address, retry=QUICK) as channel:
            echo = channel.unary_unary(ECHO)
            for _ in range(8):
                flaky.statuses[:] = [UNAVAILABLE] * 2
                assert await echo(b"third time") == b"third time"

    run(test)


def test_with_throttling_retries_stop_for_a_while() -> None:
    async def test() -> None:
        flaky = Flaky()
        throttling = RetryThrottling(max_tokens=3)
        async with (
            wire_server(flaky) as server,
            open_channel(server.address, retry=QUICK, retry_throttling=throttling) as channel,
        ):
            echo = channel.unary_unary(ECHO)
            flaky.statuses[:] = [UNAVAILABLE] * 2
            with pytest.raises(RpcError, match="UNAVAILABLE"):
                await echo(b"one retry, and the bucket is half empty")

    run(test)


@pytest.mark.parametrize(
    ("trailers", "expected"),
    [((), None), ((("grpc-retry-pushback-ms", "20"),), 0.02), ((("grpc-retry-pushback-ms", "-1"),), -1.0)],
)
def test_pushback(trailers: tuple[tuple[str, str], ...], expected: float | None) -> None:
    assert pushback_of(trailers) == expected
