"""Calls that end all at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from puregrpc.errors import NotConnected
from puregrpc.server.calls.endings import MANY, MOST_IN_TURN, MOST_OF_MANY, Endings


class Loop:
    """A kernel that has turns."""

    def __init__(self, world: str = "asyncio") -> None:
        self.world = world
        self.due: list[Callable[[], object]] = []
        self.has_ended = False

    def call_soon(self, function: Callable[[], object]) -> None:
        if self.has_ended:
            raise NotConnected("it has ended")
        self.due.append(function)

    def turn(self) -> None:
        due, self.due = self.due, []
        for function in due:
            function()


def ended(endings: Endings, count: int) -> list[int]:
    told: list[int] = []
    for number in range(count):
        endings.add(partial(told.append, number))
    return told


def test_some_hear_of_it_in_each_turn() -> None:
    loop = Loop()
    told = ended(Endings(cast("Any", loop)), 3 * MOST_IN_TURN)
    for turn in range(1, 4):
        assert told == list(range(turn * MOST_IN_TURN))
        loop.turn()
    while loop.due:
        loop.turn()
    assert len(told) == 3 * MOST_IN_TURN


def test_more_of_them_hear_of_it_where_there_are_very_many() -> None:
    loop = Loop()
    told = ended(Endings(cast("Any", loop)), MOST_IN_TURN + MANY + MOST_OF_MANY - 1)
    assert len(told) == MOST_IN_TURN
    loop.turn()
    assert len(told) == MOST_IN_TURN + MOST_OF_MANY
    loop.turn()
    assert len(told) == 2 * MOST_IN_TURN + MOST_OF_MANY


def test_all_hear_of_it_at_the_end() -> None:
    endings = Endings(cast("Any", Loop()))
    told = ended(endings, 3 * MOST_IN_TURN)
    endings.finish()
    assert told == list(range(3 * MOST_IN_TURN))
    assert len(ended(endings, 2 * MOST_IN_TURN)) == 2 * MOST_IN_TURN


def test_all_hear_of_it_where_there_are_no_turns() -> None:
    assert len(ended(Endings(cast("Any", Loop("threads"))), 100)) == 100
    loop = Loop()
    loop.has_ended = True
    assert len(ended(Endings(cast("Any", loop)), 100)) == 100
