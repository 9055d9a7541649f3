"""How long a connection works before others get their turn."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from puregrpc.wire.limits import TURN_BEGINNINGS

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MESSAGES_PER_TURN", "Turn"]

MESSAGES_PER_BEGINNING = 4
"""What a handler does for so many messages takes as long as the beginning of one."""

MESSAGES_PER_TURN = 32
"""After so many messages that needed no waiting, a handler lets others have their turn."""


class Turn:
    """A turn of ``seconds`` by ``clock``; without a clock it never ends. It begins when it is first asked about."""

    __slots__ = ("_clock", "_ends", "_seconds", "handed_over", "is_limited")

    def __init__(self, clock: Callable[[], float] | None = None, seconds: float = 0.0) -> None:
        self._clock = clock
        self._seconds = seconds
        self._ends: float | None = None
        self.handed_over = 0.0
        """What it gave handlers to do: how many calls have begun or were ended, and their messages by what they come to
        beside."""
        self.is_limited = clock is not None

    def begin(self) -> None:
        """The next turn."""
        self._ends = None
        self.handed_over = 0.0

    def call_began(self) -> None:
        """A peer has begun a call: its handler takes time too."""
        self.handed_over += 1
        if self.handed_over >= TURN_BEGINNINGS:
            self.end()

    def call_ended(self) -> None:
        """A peer has ended a call: its handler hears of it, and that takes time as well."""
        self.call_began()

    def messages_came(self, number: int) -> None:
        """So many messages came for one handler together."""
        self.handed_over += min(number, MESSAGES_PER_TURN) / MESSAGES_PER_BEGINNING
        if self.handed_over >= TURN_BEGINNINGS:
            self.end()

    def end(self) -> None:
        """What was done is work for others, whose turn it is."""
        if self._clock is not None:
            self._ends = -inf

    def is_over(self) -> bool:
        """Whether it is the others' turn."""
        if self._clock is None:
            return False
        now = self._clock()
        if self._ends is None:
            self._ends = now + self._seconds
        return now >= self._ends
