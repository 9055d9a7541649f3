"""The state machines with a clock or a table of their own: keepalive, ping enforcement, floods, the call states."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puregrpc.errors import LocalProtocolError, RemoteProtocolError
from puregrpc.wire.call_state import REQUEST, RESPONSE, Half, HalfState, Step
from puregrpc.wire.floods import Allowance, FloodGuard
from puregrpc.wire.keepalive import Keepalive, KeepaliveAction, PingEnforcement
from puregrpc.wire.limits import MAX_UNSENT_REPLIES, MIN_PING_INTERVAL_WITHOUT_CALLS, Rate

# -- the call states


@pytest.mark.parametrize(
    ("table", "steps", "state"),
    [
        (REQUEST, [Step.HEADERS], HalfState.OPEN),
        (REQUEST, [Step.HEADERS, Step.MESSAGE, Step.MESSAGE, Step.END], HalfState.ENDED),
        (REQUEST, [Step.HEADERS, Step.END, Step.RESET, Step.RESET], HalfState.ENDED),
        (
            RESPONSE,
            [Step.INFORMATIONAL, Step.INFORMATIONAL, Step.HEADERS, Step.MESSAGE, Step.TRAILERS],
            HalfState.ENDED,
        ),
        (RESPONSE, [Step.TRAILERS], HalfState.ENDED),
        (RESPONSE, [Step.RESET], HalfState.ENDED),
    ],
)
def test_what_may_happen(table: dict[HalfState, dict[Step, HalfState]], steps: list[Step], state: HalfState) -> None:
    half = Half(table, "local")
    for step in steps:
        half.step(step)
    assert half.state is state
    assert half.opened
    assert half.ended is (state is HalfState.ENDED)


@pytest.mark.parametrize(
    ("table", "steps", "text"),
    [
        (REQUEST, [Step.MESSAGE], "a message before the headers of the request"),
        (REQUEST, [Step.HEADERS, Step.HEADERS], "headers after the headers of the request"),
        (REQUEST, [Step.HEADERS, Step.END, Step.MESSAGE], "a message after the end of the request"),
        (REQUEST, [Step.HEADERS, Step.TRAILERS], "trailers after the headers of the request"),
        (RESPONSE, [Step.MESSAGE], "a message before the headers of the response"),
        (RESPONSE, [Step.HEADERS, Step.INFORMATIONAL], "informational headers after the headers"),
        (RESPONSE, [Step.TRAILERS, Step.TRAILERS], "trailers after the end of the response"),
        (RESPONSE, [Step.HEADERS, Step.END], "the half-close after the headers"),
    ],
)
def test_what_may_not_happen(table: dict[HalfState, dict[Step, HalfState]], steps: list[Step], text: str) -> None:
    for side, error in (("local", LocalProtocolError), ("remote", RemoteProtocolError)):
        half = Half(table, "local" if side == "local" else "remote")
        for step in steps[:-1]:
            half.step(step)
        before = half.state
        with pytest.raises(error, match=text):
            half.step(steps[-1])
        assert half.state is before


@given(st.sampled_from([REQUEST, RESPONSE]), st.lists(st.sampled_from(list(Step))))
def test_any_walk_through_the_states(table: dict[HalfState, dict[Step, HalfState]], steps: list[Step]) -> None:
    """The order idle, open, ended is never left backwards, and a refused step changes nothing."""
    order = list(HalfState)
    half = Half(table, "remote")
    for step in steps:
        before = half.state
        try:
            half.step(step)
        except RemoteProtocolError:
            assert half.state is before
            assert step not in table[before]
        else:
            assert half.state is table[before][step]
            assert order.index(half.state) >= order.index(before)


# -- keepalive


def test_keepalive_that_is_off() -> None:
    keepalive = Keepalive(None, 20, without_calls=True, now=0)
    assert keepalive.next_time(has_calls=True) is None
    assert keepalive.advance(1e9, has_calls=True) is KeepaliveAction.NOTHING


def test_a_call_after_a_long_silence_pings_at_once() -> None:
    keepalive = Keepalive(10, 5, without_calls=False, now=0)
    assert keepalive.advance(100, has_calls=False) is KeepaliveAction.NOTHING
    assert keepalive.next_time(has_calls=True) == 10
    assert keepalive.advance(100, has_calls=True) is KeepaliveAction.PING
    assert keepalive.next_time(has_calls=False) == 105
    assert keepalive.advance(104, has_calls=True) is KeepaliveAction.NOTHING
    assert keepalive.advance(105, has_calls=True) is KeepaliveAction.LOST


@given(
    st.lists(st.tuples(st.sampled_from(["wait", "receive"]), st.floats(0, 30), st.booleans())),
    st.booleans(),
)
def test_keepalive_never_gives_up_a_peer_that_speaks(steps: list[tuple[str, float, bool]], idle: bool) -> None:
    now = heard = 0.0
    pinged: float | None = None
    keepalive = Keepalive(10, 5, without_calls=idle, now=now)
    for step, wait, has_calls in steps:
        now += wait
        if step == "receive":
            keepalive.received(now)
            heard, pinged = now, None
            continue
        action = keepalive.advance(now, has_calls=has_calls)
        if action is KeepaliveAction.PING:
            assert now - heard >= 10 - 1e-9
            assert pinged is None
            pinged = now
        elif action is KeepaliveAction.LOST:
            assert pinged is not None
            assert now - pinged >= 5 - 1e-9
            return
        due = keepalive.next_time(has_calls=has_calls)
        assert due is None or due >= now or action is KeepaliveAction.NOTHING


def test_ping_strikes() -> None:
    enforcement = PingEnforcement(10, permit_without_calls=False)
    assert [enforcement.pinged(now, has_calls=True) for now in (0, 1, 2, 3)] == [False, False, False, True]
    enforcement.sent()
    assert [enforcement.pinged(now, has_calls=True) for now in (4, 5, 6, 7)] == [False, False, False, True]
    patient = PingEnforcement(10, permit_without_calls=False)
    assert not any(patient.pinged(now, has_calls=True) for now in range(0, 1000, 10))
    idle = PingEnforcement(10, permit_without_calls=False)
    times = [MIN_PING_INTERVAL_WITHOUT_CALLS * number for number in range(10)]
    assert not any(idle.pinged(now, has_calls=False) for now in times)
    assert [idle.pinged(times[-1] + 10 * number, has_calls=False) for number in (1, 2, 3)] == [False, False, True]


# -- floods


def test_an_allowance_comes_back_with_time() -> None:
    allowance = Allowance(Rate(3, 2))
    assert [allowance.spend(0.0) for _ in range(4)] == [True, True, True, False]
    assert [allowance.spend(1.0) for _ in range(3)] == [True, True, False]
    assert [allowance.spend(100.0) for _ in range(4)] == [True, True, True, False]
    assert sum(Allowance(Rate(1, 0), at_least=5).spend(0.0) for _ in range(1)) == 1


@given(st.integers(1, 20), st.floats(0.1, 50), st.lists(st.floats(0, 3), max_size=80))
def test_an_allowance_is_never_passed(burst: int, rate: float, waits: list[float]) -> None:
    allowance, now, spent = Allowance(Rate(burst, rate)), 0.0, 0
    for wait in waits:
        now += wait
        spent += allowance.spend(now)
        assert spent <= burst + now * rate + 1e-6


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        ((0, 0, 0), "empty DATA"),
        ((1, 0, 0), "empty header"),
        ((9, 0, 0), "empty header"),
        ((2, 0, 5), "PRIORITY"),
        ((3, 0, 4), "RST_STREAM"),
        ((4, 0, 0), "SETTINGS"),
        ((4, 1, 0), "acknowledgements of SETTINGS"),
        ((6, 0, 8), "PING"),
        ((6, 1, 8), "acknowledgements of PING"),
        ((8, 0, 4), "WINDOW_UPDATE"),
        ((7, 0, 8), "GOAWAY"),
        ((200, 0, 0), "unknown"),
        ((4, 0, 6 * 33), "settings in one frame"),
    ],
)
def test_every_kind_has_an_allowance(frame: tuple[int, int, int], text: str) -> None:
    guard = FloodGuard(100)
    with pytest.raises(RemoteProtocolError, match=text) as caught:
        for _ in range(100_000):
            guard.received(*frame, 0.0)
    assert caught.value.error_code == 11


@pytest.mark.parametrize("frame", [(0, 1, 0), (0, 0, 1), (1, 0, 1), (9, 0, 1)])
def test_frames_that_carry_something_are_not_counted(frame: tuple[int, int, int]) -> None:
    guard = FloodGuard(100)
    for _ in range(30_000):
        guard.received(*frame, 0.0)


def test_data_sent_and_output_taken_start_anew() -> None:
    guard = FloodGuard(100)
    for _ in range(50_000):
        guard.received(8, 0, 4, 0.0)
        guard.data_sent()
        guard.replied(1000)
        guard.output_drained()
    with pytest.raises(RemoteProtocolError, match="reply"):
        guard.replied(MAX_UNSENT_REPLIES + 1)
    with pytest.raises(RemoteProtocolError, match="reset"):
        for _ in range(1000):
            guard.stream_fault(0.0)
