"""How the sessions of one server share their loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from puregrpc.transport.amounts import LARGEST_READ_SIZE, LEAST_READ_SIZE, SMALLEST_READ_SIZE
from puregrpc.transport.order import LONG_TURN, MOST_SHORT_IN_ROW, UNKNOWN_TURN, Order
from puregrpc.transport.rounds import HANDLER_TIME, MODEST_OUTPUT, ROUND_TIME, SHORT_TIME, SHORT_TURN, Rounds


class Loop:
    """A kernel that has turns."""

    def __init__(self) -> None:
        self.due: list[Callable[[], object]] = []

    def call_soon(self, function: Callable[[], object]) -> None:
        self.due.append(function)

    def turn(self) -> None:
        due, self.due = self.due, []
        for function in due:
            function()


def started() -> tuple[Loop, Rounds]:
    loop = Loop()
    return loop, Rounds(cast("Any", loop))


def test_what_a_turn_gives_handlers_to_do_is_part_of_its_cost() -> None:
    _, rounds = started()
    assert rounds.spend(0.001) == 0.001
    assert rounds.spend(0.001, 50.0) >= 0.001 + 50 * HANDLER_TIME


def test_long_turns_go_on_in_rounds() -> None:
    loop, rounds = started()
    rounds.spend(ROUND_TIME)
    assert rounds.is_over
    begun: list[int] = []

    def begin(number: int) -> Callable[[], object]:
        def turn() -> None:
            begun.append(number)
            rounds.spend(ROUND_TIME / 2)

        return turn

    for number in range(5):
        rounds.wait(begin(number), 0.003)
    for number in range(5, 7):
        rounds.wait(begin(number), SHORT_TURN)
    loop.turn()
    assert begun == [5, 6]  # those that are short first
    assert rounds.is_over
    loop.turn()
    assert begun == [5, 6, 0, 1]
    loop.turn()
    loop.turn()
    assert begun == [5, 6, 0, 1, 2, 3, 4]
    loop.turn()
    assert not rounds.is_over
    assert not loop.due


def test_turns_that_begin_later_are_taken_to_cost_what_they_did() -> None:
    loop, rounds = started()
    rounds.spend(ROUND_TIME)
    woken: list[int] = []
    for number in range(200):
        rounds.wait(lambda number=number: woken.append(number), UNKNOWN_TURN)  # type: ignore[misc]
    loop.turn()
    assert len(woken) == round(ROUND_TIME / UNKNOWN_TURN)
    while loop.due:
        loop.turn()
    assert woken == list(range(200))


def test_a_turn_that_raises_keeps_nobody_from_theirs() -> None:
    loop, rounds = started()
    rounds.spend(ROUND_TIME)
    woken: list[int] = []
    rounds.wait(lambda: 1 / 0, SHORT_TURN)
    rounds.wait(lambda: woken.append(1), SHORT_TURN)
    try:
        loop.turn()
    except ZeroDivisionError:
        loop.turn()
    assert woken == [1]


def test_many_sessions_read_less_at_once() -> None:
    _, rounds = started()
    rounds.serve(1)
    assert rounds.most_read == LARGEST_READ_SIZE
    assert rounds.most_sent is None
    rounds.serve(100)
    assert SMALLEST_READ_SIZE < rounds.most_read < LARGEST_READ_SIZE
    rounds.serve(10_000)
    assert rounds.most_sent == MODEST_OUTPUT
    assert rounds.most_read == SMALLEST_READ_SIZE


def test_who_was_called_too_late_comes_next() -> None:
    loop, rounds = started()
    rounds.spend(ROUND_TIME)
    called: list[int] = []
    for number in range(3):
        rounds.wait(lambda number=number: called.append(number), SHORT_TURN)  # type: ignore[misc]
    loop.turn()
    assert called == [0, 1, 2]
    assert rounds.has_time
    rounds.spend(ROUND_TIME)
    assert not rounds.has_time
    rounds.wait(lambda: called.append(3), SHORT_TURN)
    rounds.wait(lambda: called.append(2), SHORT_TURN, is_next=True)
    loop.turn()
    assert rounds.has_time
    assert called == [0, 1, 2, 2, 3]


def test_where_there_is_little_room_less_is_read_at_once() -> None:
    room = 1 << 30
    rounds = Rounds(cast("Any", Loop()), lambda: room)
    rounds.serve(1000)
    assert rounds.most_read == SMALLEST_READ_SIZE
    room = 8_000_000
    assert rounds.most_read == 8000
    room = 0
    assert rounds.most_read == LEAST_READ_SIZE
    rounds.serve(10)
    assert rounds.most_read > SMALLEST_READ_SIZE


def test_many_readers_have_few_places() -> None:
    """Those that act on what they have read before keep nobody who reads waiting."""
    rounds = Rounds(cast("Any", Loop()))
    readers = [object() for _ in range(200)]
    assert {rounds.place(reader, is_behind=False) for reader in readers} == {rounds.place(object(), is_behind=True)}
    rounds.serve(1000)
    reading = {rounds.place(reader, is_behind=False) for reader in readers}
    behind = {rounds.place(reader, is_behind=True) for reader in readers}
    assert 1 < len(behind) < len(reading) < len(readers)
    assert not behind & reading


def test_who_had_no_turn_yet_comes_behind_those_whose_turns_were_short() -> None:
    """A flood of connections keeps none waiting that there are."""
    loop, rounds = started()
    had: list[str] = []
    rounds.spend(ROUND_TIME)
    for _ in range(3):
        rounds.wait(lambda: had.append("new"), UNKNOWN_TURN)
        rounds.wait(lambda: had.append("long"), ROUND_TIME / 10)
    rounds.wait(lambda: had.append("short"), SHORT_TURN)
    while loop.due:
        loop.turn()
    assert had[0] == "short"
    assert sorted(had[1:3]) == sorted(had[3:5]) == ["long", "new"]


class Clock:
    """What a thread worked."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def test_turns_that_give_others_much_to_do_are_fewer() -> None:
    """Where handlers take four times as long as the turns that began them."""
    loop, clock = Loop(), Clock()
    rounds = Rounds(cast("Any", loop), None, clock)
    turn = ROUND_TIME / 7.5
    had = 0

    def go_on() -> None:
        nonlocal had
        had += 1
        clock.time += turn
        rounds.spend(turn)
        rounds.wait(go_on, turn)

    for _ in range(8):
        rounds.wait(go_on, turn)
    in_loop = []
    for _ in range(12):
        before = had
        loop.turn()
        clock.time += (had - before) * 4 * turn
        in_loop.append(had - before)
    assert in_loop[0] == 8
    assert max(in_loop[6:]) <= 2
    for _ in range(12):  # handlers of less
        before = had
        loop.turn()
        in_loop.append(had - before)
    assert max(in_loop[-6:]) >= 7


def test_whose_turns_are_short_need_not_wait_for_a_round() -> None:
    loop, rounds = started()
    rounds.spend(ROUND_TIME)
    assert rounds.is_over
    assert not rounds.lets_through(UNKNOWN_TURN)
    count = 0
    while rounds.lets_through(SHORT_TURN):
        count += 1
    assert count == round(SHORT_TIME / SHORT_TURN)
    loop.turn()
    assert not rounds.is_over


def test_none_comes_before_those_that_wait() -> None:
    _, rounds = started()
    rounds.spend(ROUND_TIME)
    rounds.wait(list, SHORT_TURN)
    assert not rounds.lets_through(SHORT_TURN)


def test_a_crowd_whose_turns_are_short_keeps_no_new_one_waiting() -> None:
    """Which have something to do at any moment."""
    order = Order[str]()
    for _ in range(1000):
        order.add("short", SHORT_TURN)
    order.add("new", UNKNOWN_TURN)
    order.add("long", LONG_TURN)
    had = []
    for _ in range(3 * MOST_SHORT_IN_ROW):
        cost, session = order.take()
        had.append(session)
        order.add(session, SHORT_TURN if cost == UNKNOWN_TURN else cost)
    assert had[:MOST_SHORT_IN_ROW] == ["short"] * MOST_SHORT_IN_ROW
    assert had.index("new") == MOST_SHORT_IN_ROW
    assert had.index("long") == 2 * MOST_SHORT_IN_ROW + 1
    assert order
    order.clear()
    assert not order
