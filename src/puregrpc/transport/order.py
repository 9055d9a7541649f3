"""Whose turn it is among the sessions of one server that wait for one.

Those whose turns are short come before those whose turns are long, and before those that had none yet: of these there
may be a thousand more at any moment. But a thousand whose turns are short may have something to do at any moment, too,
so that some of the others come between them.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

__all__ = ["FIRST_TURN", "LONG_TURN", "MOST_SHORT_IN_ROW", "UNKNOWN_TURN", "Order"]

UNKNOWN_TURN = 0.004
"""What a turn is taken to cost before there was one."""

FIRST_TURN = 0.0005
"""The same where little is read for it, however much has come: then it is a short one."""

LONG_TURN = 0.001
"""Seconds from which on a turn is a long one."""

MOST_SHORT_IN_ROW = 8
"""So many short turns, one after the other, while another session waits: not longer than two of the others take."""

SessionT = TypeVar("SessionT")


class Order(Generic[SessionT]):
    """The sessions that wait, with what the last turn of each took."""

    __slots__ = ("_in_row", "_is_new_next", "_long", "_new", "_short")

    def __init__(self) -> None:
        self._short: deque[tuple[float, SessionT]] = deque()
        self._new: deque[tuple[float, SessionT]] = deque()
        """Those that had no turn yet."""
        self._long: deque[tuple[float, SessionT]] = deque()
        self._is_new_next = False
        """Of those that had none and those whose turns are long, one comes after the other."""
        self._in_row = 0
        """Short turns since the last other one."""

    def add(self, session: SessionT, cost: float, *, is_next: bool = False) -> None:
        """One more waits. Its last turn took ``cost`` seconds. ``is_next``: it comes before the others of its kind."""
        queue = self._short
        if cost == UNKNOWN_TURN:
            queue = self._new
        elif cost >= LONG_TURN:
            queue = self._long
        if is_next:
            queue.appendleft((cost, session))
        else:
            queue.append((cost, session))

    def take(self) -> tuple[float, SessionT]:
        """Whose turn it is, and what its last one took. Somebody must wait."""
        if self._short and (self._in_row < MOST_SHORT_IN_ROW or not (self._new or self._long)):
            self._in_row += 1
            return self._short.popleft()
        self._in_row = 0
        self._is_new_next = not self._is_new_next
        queue = (self._new or self._long) if self._is_new_next else (self._long or self._new)
        return queue.popleft()

    def __bool__(self) -> bool:
        return bool(self._short or self._new or self._long)

    @property
    def has_short(self) -> bool:
        """One waits whose turns are short."""
        return bool(self._short)

    def clear(self) -> None:
        """None waits any more."""
        for queue in (self._short, self._new, self._long):
            queue.clear()
