"""Both ends at work at random: calls opened, answered, cancelled and cut at any point. The connection stays usable."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.wire.peers import Pair, RecordingCall, drain

from puregrpc.errors import LocalProtocolError
from puregrpc.wire import EngineName
from puregrpc.wire.connection import ConnectionConfig, Request
from puregrpc.wire.status import OK, Status, StatusCode

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "open", "open with all", "client sends", "client half-closes", "client resets", "client consumes",
                "server headers", "server sends", "server trailers", "server responds", "server resets",
                "server consumes", "up", "down", "up in part", "down in part", "wait",
            ]
        ),
        st.integers(0, 7),
        st.sampled_from([0, 1, 100, 5000, 40_000]),
    ),
    max_size=60,
)  # fmt: skip

SMALL = ConnectionConfig(
    initial_stream_window=20_000, initial_connection_window=65_535, max_window=65_535, max_concurrent_streams=3
)


class Walk:
    """A pair of connections, the calls of both ends, and octets on their way."""

    def __init__(self, client_engine: EngineName, server_engine: EngineName) -> None:
        self.pair = Pair(client_engine, SMALL, SMALL, server_engine)
        self.pair.server_driver.on_request = self.accept
        self.opened: list[RecordingCall] = []
        self.reset: set[int] = set()
        self.upward = b""
        self.downward = b""

    def accept(self, request: Request) -> RecordingCall:
        call = RecordingCall()
        call.auto_consume = request.path.endswith("Auto")
        return call

    def step(self, what: str, which: int, size: int) -> None:
        pair = self.pair
        client, server = pair.client, pair.server
        mine = self.opened[which % len(self.opened)] if self.opened else RecordingCall()
        theirs = pair.server_calls[which % len(pair.server_calls)] if pair.server_calls else RecordingCall()
        with contextlib.suppress(LocalProtocolError):
            if what.startswith("open"):
                call = RecordingCall()
                call.auto_consume = which % 2 == 0
                request = Request("/a.B/Auto" if which % 3 else "/a.B/C", "x")
                options: dict[str, Any] = {"message": bytes(size), "end": True} if what == "open with all" else {}
                deadline = pair.now + which / 10 if which > 3 else None
                client.open_call(call, request, deadline=deadline, now=pair.now, **options)
                self.opened.append(call)
            elif what == "client sends":
                client.send_message(mine, bytes(size))
            elif what == "client half-closes":
                client.half_close(mine)
            elif what == "client resets":
                client.reset(mine)
                self.reset.add(id(mine))
            elif what == "client consumes":
                client.consume(mine, size)
            elif what == "server headers":
                server.send_headers(theirs)
            elif what == "server sends":
                server.send_message(theirs, bytes(size))
            elif what == "server trailers":
                server.send_trailers(theirs, Status(which))
            elif what == "server responds":
                server.send_response(theirs, bytes(size))
            elif what == "server resets":
                server.reset(theirs)
                self.reset.add(id(theirs))
            elif what == "server consumes":
                server.consume(theirs, size)
        if what == "wait":
            pair.wait(size / 200_000)
        elif what.startswith("up"):
            self.upward += drain(client)
            taken = len(self.upward) if what == "up" else which * 3
            server.receive(self.upward[:taken], pair.now) if self.upward[:taken] else None
            self.upward = self.upward[taken:]
        elif what.startswith("down"):
            self.downward += drain(server)
            taken = len(self.downward) if what == "down" else which * 3
            client.receive(self.downward[:taken], pair.now) if self.downward[:taken] else None
            self.downward = self.downward[taken:]

    def settle(self) -> None:
        """Let all calls come to an end, by resets from either side, and all octets arrive."""
        pair = self.pair
        for _ in range(100):
            self.step("up", 0, 0)
            self.step("down", 0, 0)
        for call in self.opened[::2]:
            pair.client.reset(call)
            self.reset.add(id(call))
        for served in pair.server_calls:
            pair.server.reset(served)
            self.reset.add(id(served))
        for _ in range(20):
            self.step("up", 0, 0)
            self.step("down", 0, 0)
        for call in self.opened:
            pair.client.reset(call)
            self.reset.add(id(call))
        for _ in range(20):
            self.step("up", 0, 0)
            self.step("down", 0, 0)


def check(walk: Walk, steps: list[tuple[str, int, int]]) -> None:
    for step in steps:
        walk.step(*step)
    walk.settle()
    pair = walk.pair
    assert not pair.client_driver.closed
    assert not pair.server_driver.closed
    assert pair.client.open_calls == pair.server.open_calls == 0
    for call in walk.opened:
        assert call.ended or id(call) in walk.reset
        assert sum(event[0] == "end" for event in call.events) <= 1
    for connection in (pair.client, pair.server):
        snapshot = connection.snapshot()
        assert snapshot.calls == ()
        assert snapshot.queued_calls == 0
        finished = sum(call.ended and call.status == OK for call in walk.opened)
        assert snapshot.streams_failed <= len(walk.opened) - (finished if connection is pair.client else 0)
        assert snapshot.receive_window >= 65_535 // 2
        assert snapshot.send_window >= 65_535 // 2
    # Still usable, and with windows as large as ever.
    pair.server_driver.on_request = lambda request: RecordingCall()
    answered = pair.unary(bytes(70_000), bytes(100_000))
    assert answered.status == OK
    assert answered.messages == [bytes(100_000)]
    late = pair.open(deadline=pair.now + 1)
    pair.exchange()
    pair.wait(1)
    assert late.status.code == StatusCode.DEADLINE_EXCEEDED


@given(STEPS)
def test_any_order_of_steps_leaves_the_connection_usable(engine: EngineName, steps: list[tuple[str, int, int]]) -> None:
    check(Walk(engine, engine), steps)


@given(STEPS)
def test_one_engine_with_the_other(steps: list[tuple[str, int, int]]) -> None:
    check(Walk("h2", "fast"), steps)
    check(Walk("fast", "h2"), steps)


def test_cancelled_at_every_octet(engine: EngineName) -> None:
    """A call is cancelled after each octet of its response in turn; the next one is served as if nothing was."""
    pair = Pair(engine)
    pair.exchange()
    whole = 1
    at = 0
    while at <= whole:
        call = pair.open(message=b"question", end=True)
        pair.server.receive(drain(pair.client), pair.now)
        pair.server.send_response(pair.server_calls[-1], b"answer")
        response = drain(pair.server)
        whole = len(response)
        for start in range(at):
            pair.client.receive(response[start : start + 1], pair.now)
        pair.client.reset(call)
        if response[at:]:
            pair.client.receive(response[at:], pair.now)
        pair.exchange()
        assert not pair.client_driver.closed, f"cancelled after {at} octets"
        at += 1
    assert pair.unary().status == OK
