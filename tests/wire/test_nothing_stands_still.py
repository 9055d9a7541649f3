"""Both ends at work at random, with little memory: what was sent on calls that nobody cancelled arrives as a whole."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.peers import Pair, RecordingCall

from puregrpc.wire import EngineName
from puregrpc.wire.connection import Connection, ConnectionConfig, Request
from puregrpc.wire.status import OK, Status, StatusCode

LARGEST = 40_000
SCARCE = ConnectionConfig(
    max_receive_message_size=LARGEST, connection_memory=6 * LARGEST, initial_stream_window=20_000, max_window=100_000
)

SIZES = st.sampled_from([0, 1, 100, 5_000, 20_000, LARGEST, LARGEST])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["open", "open", "open unread"]), st.integers(0, 7), SIZES),
        st.tuples(st.sampled_from(["client sends", "server sends"]), st.integers(0, 7), SIZES),
        st.tuples(st.sampled_from(["client sends", "server sends"]), st.integers(0, 7), SIZES),
        st.tuples(st.sampled_from(["client takes", "server takes"]), st.integers(0, 7), st.just(0)),
        st.tuples(st.sampled_from(["client resets", "server resets", "client half-closes"]), st.integers(0, 7), SIZES),
        st.tuples(st.sampled_from(["up", "down"]), st.sampled_from([1, 9, 1_000, 20_000, 1 << 20]), st.just(0)),
    ),
    max_size=80,
)
MANY = st.lists(st.tuples(st.sampled_from(["open", "open unread"]), st.integers(0, 1), st.just(LARGEST)), max_size=12)
LOOK = 0.001
"""What a look at the clock of turns takes, in seconds: a turn ends after four."""


class End:
    """One end of the pair: its calls, what it sent and took on each, and what is on its way to it."""

    def __init__(self, connection: Connection, *, has_turns: bool) -> None:
        self.connection = connection
        self.calls: list[RecordingCall] = []
        self.sent: dict[int, int] = {}
        self.taken: dict[int, int] = {}
        self.cancelled: set[int] = set()
        if has_turns:
            connection.limit_turns(map(LOOK.__mul__, count()).__next__)

    def call(self, which: int) -> RecordingCall | None:
        return self.calls[which % len(self.calls)] if self.calls else None

    def send(self, call: RecordingCall, size: int) -> None:
        if call.wire_state is not None and not call.ended:
            self.connection.send_message(call, bytes(size))
            self.sent[id(call)] = self.sent.get(id(call), 0) + 1

    def take(self, call: RecordingCall) -> bool:
        """Take the next message that came, as a call's owner does who reads one after the other."""
        taken = self.taken.get(id(call), 0)
        messages = call.messages
        if call.auto_consume or taken == len(messages):
            return False
        self.taken[id(call)] = taken + 1
        self.connection.consume(call, len(messages[taken]))
        return True

    def cancel(self, call: RecordingCall) -> None:
        self.connection.reset(call)
        self.cancelled.add(call.wire_id)


class Work:
    """The two ends, and octets that one has given and the other has not got."""

    def __init__(self, engines: tuple[EngineName, EngineName], *, has_turns: bool) -> None:
        self.pair = Pair(engines[0], SCARCE, SCARCE, engines[1])
        self.pair.server_driver.on_request = self.accept
        self.client = End(self.pair.client, has_turns=has_turns)
        self.server = End(self.pair.server, has_turns=has_turns)
        self.server.calls = self.pair.server_calls
        self.on_way = {"up": b"", "down": b""}
        self.half_closed: set[int] = set()
        self.answered: set[int] = set()

    def accept(self, request: Request) -> RecordingCall:
        call = RecordingCall()
        call.auto_consume = request.path.endswith("Auto")
        return call

    def answer(self, call: RecordingCall) -> None:
        """Send the headers, which come before the first message."""
        if call.wire_state is not None and not call.ended and id(call) not in self.answered:
            self.answered.add(id(call))
            self.pair.server.send_headers(call)

    def step(self, what: str, which: int, size: int) -> None:
        client, server, pair = self.client, self.server, self.pair
        if what.startswith("open"):
            call = RecordingCall()
            call.auto_consume = what == "open"
            pair.client.open_call(call, Request("/a.B/Auto" if which % 2 else "/a.B/C", "x"), now=pair.now)
            client.calls.append(call)
            client.send(call, size)
        elif what in ("up", "down"):
            self.carry(what, which)
        else:
            whose = client if what.startswith("client") else server
            call_or_none = whose.call(which)
            if call_or_none is None:
                return
            call = call_or_none
            if what == "server sends":
                self.answer(call)
                whose.send(call, size)
            elif what == "client sends" and id(call) not in self.half_closed:
                whose.send(call, size)
            elif what.endswith("takes"):
                whose.take(call)
            elif what.endswith("resets"):
                whose.cancel(call)
            elif what.endswith("half-closes"):
                self.half_close(call)

    def half_close(self, call: RecordingCall) -> None:
        if call.wire_state is not None and not call.ended and id(call) not in self.half_closed:
            self.half_closed.add(id(call))
            self.pair.client.half_close(call)

    def carry(self, way: str, most: int) -> bool:
        """Carry so many octets at the most one way; whether anything moved."""
        giver, taker = (self.pair.client, self.pair.server) if way == "up" else (self.pair.server, self.pair.client)
        data = self.on_way[way] + giver.data_to_send(max(most, 1 << 16))
        self.on_way[way] = data[most:]
        if data:
            taker.receive(data[:most], self.pair.now)
        had_input = taker.has_input
        if had_input:
            taker.proceed(self.pair.now)
        return bool(data) or had_input

    def until_all_is_still(self, act: Callable[[], bool]) -> None:
        for _ in range(20_000):
            moves = [self.carry("up", 1 << 20), self.carry("down", 1 << 20), act()]
            if not any(moves):
                return
        raise AssertionError("the two sides never fall silent")

    def take_all(self) -> bool:
        moves = [end.take(call) for end in (self.client, self.server) for call in end.calls]
        return any(moves)

    def check(self) -> None:
        """Both ends take what comes: all of it arrives on the calls that nobody has cancelled or let go."""
        self.until_all_is_still(self.take_all)
        cancelled = self.client.cancelled | self.server.cancelled
        served = {call.wire_id: call for call in self.server.calls}
        for call in self.client.calls:
            theirs = served.get(call.wire_id)
            if call.wire_id in cancelled or was_let_go(call) or (theirs is not None and was_let_go(theirs)):
                continue
            assert theirs is not None
            assert len(theirs.messages) == self.client.sent.get(id(call), 0)
            assert len(call.messages) == self.server.sent.get(id(theirs), 0)

    def finish(self) -> None:
        """The client half-closes its calls, and the server ends them."""
        for call in self.client.calls:
            self.half_close(call)
        self.check()
        for call in self.server.calls:
            if call.wire_state is not None and not call.ended:
                self.pair.server.send_trailers(call, Status(OK.code))
        self.check()


def was_let_go(call: RecordingCall) -> bool:
    """It ended since there was no memory for what it held."""
    return call.ended and call.status.code == StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.slow
@pytest.mark.parametrize("engines", [("fast", "fast"), ("h2", "fast"), ("fast", "h2")])
@given(steps=st.builds(list.__add__, MANY, STEPS), has_turns=st.booleans())
@settings(max_examples=200)
def test_everything_arrives(
    engines: tuple[EngineName, EngineName], steps: list[tuple[str, int, int]], has_turns: bool
) -> None:
    work = Work(engines, has_turns=has_turns)
    for step in steps:
        work.step(*step)
    work.check()
    work.finish()
    pair = work.pair
    assert not pair.client_driver.closed
    assert not pair.server_driver.closed
    assert pair.client.open_calls == pair.server.open_calls == 0
