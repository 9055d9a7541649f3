"""Hedging (gRFC A6): several attempts at once, of which one is the call."""

from __future__ import annotations

import time
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puregrpc.channel import HedgingPolicy, RetryThrottling
from puregrpc.channel.calls.hedging import Hedges
from puregrpc.channel.calls.retry import RetryThrottle
from puregrpc.errors import InvalidArgument, RpcError
from puregrpc.wire.connection import ConnectionConfig, Metadata, Request, ServerCall
from puregrpc.wire.status import Status, StatusCode
from tests.channel.helpers import run
from tests.channel.wire_server import WireSession, wire_server
from tests.worlds import group, open_channel, until
from tests.worlds import sleep as pause

ONE_WORLD = pytest.mark.worlds("threads")

ECHO = "test.Service/Echo"

UNAVAILABLE = Status(StatusCode.UNAVAILABLE, "busy")
NOT_FOUND = Status(StatusCode.NOT_FOUND, "fatal")

AT_ONCE = HedgingPolicy(max_attempts=3, non_fatal_status_codes=frozenset({StatusCode.UNAVAILABLE}))
SOON = HedgingPolicy(max_attempts=3, hedging_delay=0.05, non_fatal_status_codes=frozenset({StatusCode.UNAVAILABLE}))
LATE = HedgingPolicy(max_attempts=3, hedging_delay=60, non_fatal_status_codes=frozenset({StatusCode.UNAVAILABLE}))


class Answer(ServerCall):
    """What the server does with one attempt: fail with a status (at the half-close), stay silent, or echo all."""

    def __init__(self, session: WireSession, what: Status | str, pushback: str | None = None) -> None:
        super().__init__()
        self.session = session
        self.what = what
        self.pushback: Metadata = () if pushback is None else (("grpc-retry-pushback-ms", pushback),)
        self.received: list[bytes] = []
        self.ended: Status | None = None

    def on_message(self, message: bytes) -> None:
        self.received.append(message)

    def on_half_close(self) -> None:
        if isinstance(self.what, Status):
            self.session.connection.send_trailers(self, self.what, self.pushback)
        elif self.what == "echo":
            self.echo()

    def echo(self) -> None:
        self.session.connection.send_response(self, b"".join(self.received))

    def on_end(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> None:
        self.ended = status


class Answers:
    """A server that does one thing after the other, and then echoes."""

    def __init__(self, *whats: Status | str | tuple[Status, str] | None) -> None:
        self.whats = list(whats)
        self.calls: list[Answer] = []
        self.previous: list[object] = []

    def __call__(self, session: WireSession, request: Request) -> ServerCall | None:
        what = self.whats.pop(0) if self.whats else "echo"
        if what is None:
            return None
        self.previous.append(dict(request.metadata).get("grpc-previous-rpc-attempts"))
        call = Answer(session, *what) if isinstance(what, tuple) else Answer(session, what)
        self.calls.append(call)
        return call


def test_a_slow_attempt_is_overtaken_and_cancelled() -> None:
    async def test() -> None:
        answers = Answers("silent", "silent")
        async with wire_server(answers) as server, open_channel(server.address, hedging=SOON) as channel:
            assert await channel.unary_unary(ECHO)(b"quick", timeout=15) == b"quick"
            assert answers.previous == [None, "1", "2"]
            await until(lambda: all(call.ended for call in answers.calls[:2]))
            assert {call.ended.code for call in answers.calls[:2] if call.ended} == {StatusCode.CANCELLED}
            answers.whats[:] = ["silent"]
            async with channel.unary_stream(ECHO)(b"only", timeout=15) as call:
                assert [message async for message in call] == [b"only"]
            assert answers.previous[3:5] == [None, "1"]

    run(test)


def test_an_attempt_that_is_quick_enough_is_alone() -> None:
    async def test() -> None:
        answers = Answers()
        async with wire_server(answers) as server, open_channel(server.address, hedging=LATE) as channel:
            result = await channel.unary_unary(ECHO).with_call(b"alone", timeout=15)
            assert (result.message, result.status.code) == (b"alone", 0)
            assert dict(result.headers)["content-type"] == "application/grpc"
            assert answers.previous == [None]

    run(test)


def test_an_attempt_that_fails_brings_the_next_at_once() -> None:
    async def test() -> None:
        answers = Answers(UNAVAILABLE, UNAVAILABLE)
        async with wire_server(answers) as server, open_channel(server.address, hedging=LATE) as channel:
            assert await channel.unary_unary(ECHO)(b"third", timeout=15) == b"third"
            assert answers.previous == [None, "1", "2"]
            answers.whats[:] = [UNAVAILABLE, UNAVAILABLE, UNAVAILABLE]
            with pytest.raises(RpcError, match="UNAVAILABLE: busy"):
                await channel.unary_unary(ECHO)(b"", timeout=15)
            answers.whats[:] = [UNAVAILABLE, NOT_FOUND]
            with pytest.raises(RpcError, match="NOT_FOUND: fatal"):
                await channel.stream_unary(ECHO)([b""], timeout=15)
            assert len(answers.calls) == 8
            answers.whats[:] = [(UNAVAILABLE, "-1")]
            with pytest.raises(RpcError, match="UNAVAILABLE: busy"):
                await channel.unary_unary(ECHO)(b"", timeout=15)
            answers.whats[:] = [(UNAVAILABLE, "50")]
            began = time.monotonic()
            assert await channel.unary_unary(ECHO)(b"later", timeout=15) == b"later"
            assert time.monotonic() - began >= 0.05
            answers.whats[:] = [(UNAVAILABLE, "20000")]
            with pytest.raises(RpcError, match="UNAVAILABLE: busy"):
                await channel.unary_unary(ECHO)(b"no time for that", timeout=15)
            answers.whats[:] = [None]
            assert await channel.unary_unary(ECHO)(b"not begun", timeout=15) == b"not begun"
            assert answers.previous[-1] is None

    run(test)


def test_a_fatal_status_ends_those_that_run() -> None:
    async def test() -> None:
        answers = Answers("silent", "silent", NOT_FOUND)
        async with wire_server(answers) as server, open_channel(server.address, hedging=AT_ONCE) as channel:
            with pytest.raises(RpcError, match="NOT_FOUND: fatal"):
                await channel.unary_unary(ECHO)(b"", timeout=15)
            await until(lambda: all(call.ended for call in answers.calls[:2]))
            answers.whats[:] = ["silent", UNAVAILABLE, "silent"]
            async with channel.call(ECHO) as call:
                await call.half_close()
                await until(lambda: len(answers.calls) == 6)
                assert not call.is_over
                call.cancel()
                with pytest.raises(RpcError, match="CANCELLED"):
                    await call.receive()
            await until(lambda: answers.calls[3].ended and answers.calls[5].ended)

    run(test)


def test_what_is_sent_goes_to_all_until_one_is_the_call() -> None:
    async def test() -> None:
        answers = Answers("silent", "silent", "silent")
        async with wire_server(answers) as server, open_channel(server.address, hedging=SOON) as channel:
            async with channel.call(ECHO, timeout=15) as call:
                await call.send(b"a")
                await until(lambda: len(answers.calls) == 3)
                await call.send(b"b")
                await until(lambda: [attempt.received for attempt in answers.calls] == [[b"a", b"b"]] * 3)
                second = answers.calls[1]
                second.session.do(lambda: second.session.connection.send_headers(second))
                await call.headers()
                await call.send(b"c")
                await call.half_close()
                await until(lambda: len(second.received) == 3)
                second.session.do(lambda: second.session.connection.send_message(second, b"first"))
                assert await call.receive() == b"first"
                second.session.do(lambda: second.session.connection.send_trailers(second, Status(StatusCode.OK)))
                assert await call.receive() is None
            assert [attempt.received for attempt in answers.calls] == [[b"a", b"b"], [b"a", b"b", b"c"], [b"a", b"b"]]
            await until(lambda: answers.calls[0].ended and answers.calls[2].ended)

            answers.whats[:] = ["echo", "silent", "silent"]
            assert await channel.stream_unary(ECHO)([b"x", b"y"], timeout=15) == b"xy"

    run(test)


def test_with_too_much_sent_the_first_is_the_call() -> None:
    async def test() -> None:
        answers = Answers("echo", "silent")
        two = HedgingPolicy(max_attempts=2, hedging_delay=0.05)
        async with wire_server(answers) as server, open_channel(server.address, hedging=two) as channel:
            async with channel.call(ECHO, timeout=15) as call:
                await call.send(b"begun")
                await until(lambda: len(answers.calls) == 2)
                for _ in range(2):
                    await call.send(bytes(200 << 10))
                await call.half_close()
                assert len(await call.receive() or b"") == 5 + (400 << 10)
            assert len(answers.calls) == 2
            await until(lambda: answers.calls[1].ended)

    run(test)


def test_a_sender_waits_for_the_next_attempt_where_none_runs() -> None:
    async def test() -> None:
        answers = Answers((UNAVAILABLE, "100"))
        async with wire_server(answers) as server, open_channel(server.address, hedging=LATE) as channel:
            async with channel.call(ECHO, timeout=15) as call, group() as beside:
                first: list[Answer] = answers.calls
                await until(lambda: first)
                session = first[0].session
                session.do(first[0].on_half_close)
                received: list[bytes | None] = []

                async def receive() -> None:
                    received.append(await call.receive())

                beside.start(receive)
                await pause(0.02)
                await call.send(b"late")
                await call.half_close()
            assert received == [b"late"]
            assert len(answers.calls) == 2

    run(test)


def test_deadlines_and_connections_that_are_lost() -> None:
    async def test() -> None:
        answers = Answers(*["silent"] * 5)
        async with wire_server(answers) as server, open_channel(server.address, hedging=SOON) as channel:
            await channel.connect()
            with pytest.raises(RpcError, match="DEADLINE_EXCEEDED"):
                await channel.unary_unary(ECHO)(b"", timeout=0.8)
            assert len(answers.calls) == 3
            await until(lambda: all(call.ended for call in answers.calls))
            async with channel.call(ECHO, timeout=15) as call:
                await until(lambda: len(answers.calls) >= 5)
                server.sessions[0].abort()
                await call.half_close()
                assert await call.receive() == b""  # the third attempt has a connection of its own
            with pytest.raises(RpcError, match="DEADLINE_EXCEEDED"):
                await channel.unary_unary(ECHO)(b"", timeout=0)
        async with open_channel(server.address, hedging=SOON) as channel:
            with pytest.raises(RpcError, match="UNAVAILABLE"):
                await channel.unary_unary(ECHO)(b"", timeout=15)

    run(test)


def test_the_throttle_stops_hedging() -> None:
    async def test() -> None:
        answers = Answers(*[UNAVAILABLE] * 2)
        throttling = RetryThrottling(max_tokens=4, token_ratio=1)
        async with (
            wire_server(answers) as server,
            open_channel(server.address, hedging=LATE, retry_throttling=throttling) as channel,
        ):
            with pytest.raises(RpcError, match="UNAVAILABLE"):
                await channel.unary_unary(ECHO)(b"two failures: the bucket is half empty", timeout=15)
            assert len(answers.calls) == 2
            assert await channel.unary_unary(ECHO)(b"success", timeout=15) == b"success"
            answers.whats[:] = [UNAVAILABLE]
            with pytest.raises(RpcError, match="UNAVAILABLE"):
                await channel.unary_unary(ECHO)(b"", timeout=15)

    run(test)


def test_calls_over_several_connections() -> None:
    """With round_robin the attempts go to the backends in turn: one that hangs costs the delay, not the call."""

    async def test() -> None:
        slow, quick = Answers(*["silent"] * 50), Answers()
        async with wire_server(slow) as one, wire_server(quick, ConnectionConfig()) as other:
            target = f"ipv4:{one.address},{other.address}"
            async with open_channel(target, load_balancing="round_robin", hedging=SOON) as channel:
                await channel.connect()
                await until(lambda: sum(len(part.sessions) for part in channel.snapshot().subchannels) == 2)
                echo = channel.unary_unary(ECHO)
                for number in range(4):
                    assert await echo(b"%d" % number, timeout=15) == b"%d" % number
                await until(lambda: all(call.ended for call in slow.calls))
                with pytest.raises(RpcError, match="DEADLINE_EXCEEDED"):
                    quick.whats[:] = ["silent"] * 50
                    await echo(b"", timeout=0.2)
                silent = [call for call in (*slow.calls, *quick.calls) if call.what == "silent"]
                await until(lambda: all(call.ended for call in silent))

    run(test)


@ONE_WORLD
def test_the_rules_of_hedges() -> None:
    hedges = Hedges(SOON, RetryThrottle())
    assert hedges.due == -inf
    assert hedges.begin(0.0) == 0
    assert hedges.due == 0.05
    assert hedges.failed(0, UNAVAILABLE, (), 0.01)
    assert hedges.due == 0.01
    assert hedges.begin(0.01) == 1
    assert hedges.failed(1, UNAVAILABLE, (("grpc-retry-pushback-ms", "500"),), 0.02)
    assert hedges.due == 0.52
    assert hedges.failed(0, UNAVAILABLE, (), 0.03, unprocessed=True)
    assert hedges.begin(0.03) == 0
    assert hedges.begin(0.6) == 2
    assert hedges.due == inf
    assert hedges.failed(2, UNAVAILABLE, (), 0.7)
    assert hedges.due == inf
    assert not hedges.failed(2, NOT_FOUND, (), 0.7)

    throttle = RetryThrottle(RetryThrottling(max_tokens=2))
    hedges = Hedges(SOON, throttle)
    hedges.begin(0.0)
    assert not hedges.failed(0, NOT_FOUND, (("grpc-retry-pushback-ms", "no"),), 0.0)
    assert throttle.tokens == 1
    assert hedges.due == inf
    hedges = Hedges(SOON, throttle)
    assert hedges.is_allowed()  # the first always is
    hedges.begin(0.0)
    assert not hedges.is_allowed()
    for _ in range(20):
        hedges.ended(Status(StatusCode.OK))
    assert throttle.tokens == 2
    with pytest.raises(InvalidArgument, match="max_attempts of a hedging policy must be"):
        HedgingPolicy(max_attempts=1)
    with pytest.raises(InvalidArgument, match="hedging_delay of a hedging policy must be"):
        HedgingPolicy(hedging_delay=-1)
    assert HedgingPolicy(max_attempts=50).attempts == 5


@ONE_WORLD
@given(
    st.integers(2, 6),
    st.lists(st.sampled_from(["begin", "fail", "push", "refuse", "unprocessed", "unsent"]), max_size=60),
)
def test_no_more_attempts_than_the_policy_allows(most: int, steps: list[str]) -> None:
    policy = HedgingPolicy(
        max_attempts=most, hedging_delay=1, non_fatal_status_codes=frozenset({StatusCode.UNAVAILABLE})
    )
    hedges = Hedges(policy, RetryThrottle())
    now = 0.0
    begun: list[int] = []
    running: list[int] = []
    for step in steps:
        now += 0.5
        if step == "begin":
            if hedges.due <= now:
                number = hedges.begin(now)
                begun.append(number)
                running.append(number)
        elif running:
            number = running.pop()
            trailers = {"push": "10", "refuse": "-1"}.get(step)
            is_going_on = hedges.failed(
                number,
                UNAVAILABLE,
                () if trailers is None else (("grpc-retry-pushback-ms", trailers),),
                now,
                unprocessed=step in ("unprocessed", "unsent"),
                sent=step != "unsent",
            )
            assert is_going_on
    assert len(set(begun)) <= min(most, 5)
    assert max(begun, default=0) < min(most, 5)
    assert len(begun) <= min(most, 5) + 11
