"""How much the sessions of one server do before everything else in its loop has a turn.

A turn of one session is short. A thousand sessions that all have something to do would still keep a call of another
client waiting for a thousand turns, again and again, and what their calls leave behind would wait as long to be thrown
away. So sessions that take long are let go on in rounds, in the order of `Order`: some of them, then the rest of the
loop, then the next ones. One whose turns were short has its turn at once while the round has time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING

from puregrpc.errors import NotConnected
from puregrpc.kernel.clocks import working_time
from puregrpc.transport.amounts import LARGEST_READ_SIZE, LEAST_READ_SIZE, SMALLEST_READ_SIZE
from puregrpc.transport.order import Order

if TYPE_CHECKING:
    from puregrpc.kernel import Kernel

__all__ = ["SHORT_TURN", "Rounds", "working_time"]

ROUND_TIME = 0.012
"""Seconds that the turns of a round take together, and what they gave others to do: the handlers of calls that begin,
that have messages, or that end. A call may have to wait for several rounds until it is read and until its end is
sent."""

SHORT_TIME = 0.003
"""Behind them, those whose turns were short until now may take so much more: they need not wait for a round of their
own."""

HANDLER_TIME = 0.0001
"""What the beginning of a handler is taken to cost in seconds, until it is seen."""

MOST_GIVEN = 5.0
"""So many times what the turns took is what they gave others to do, at the most: what else the program does in its loop
is no reason to let them have next to nothing."""

NOTICED_TIME = 0.004
"""Turns that took less together are no matter, whether they were in one turn of the loop or in many."""

SHORT_TURN = 0.0002
"""What a turn of a few octets is taken to cost, which nobody measures."""

MANY_SESSIONS = 64
"""On threads: from so many on few threads read for all of them (`thread_session.together`). Where that cannot be, what
each takes while nothing comes matters more than one more call of the system for each read."""

PRESSED_FOR = 10.0
"""On threads: so many seconds after a session had no time for all that came, those of its server are read for together:
the interpreter lets threads go on in no order, and each of those that are busy for some milliseconds."""

MOST_READERS = 16
"""On threads: how many sessions hold what they have read and wait for the interpreter meanwhile."""

MOST_BEHIND = 4
"""On threads: how many sessions act meanwhile on what came before. Few, so that who has just read something small comes
first; and each of them has made a part of what its input stands for."""

ALIGNMENT = 64
"""The numbers of objects are far from random: each has room of so many octets at the least."""

MOST_READ = 8 << 20
"""What all sessions may read at once: what there is no time for is kept until the next turn."""


MODEST_OUTPUT = 1 << 16
"""How much each of many sessions takes from its connection at once to send it: what its peer does not take counts no
longer as waiting."""


NOTHING = nullcontext()


class Rounds:
    """The rounds of one server. In the thread of its loop; on threads it only says how much may be read at once, and
    whether few threads are to read for all."""

    __slots__ = ("_behind", "_clock", "_given", "_is_due", "_kernel", "_most_read",
                 "_noticed_at", "_pressed_until", "_reading", "_room", "_sessions", "_spent", "_waiting",
                 "_worked", "_worked_before", "are_many", "is_over")  # fmt: skip

    def __init__(
        self, kernel: Kernel, room: Callable[[], int] | None = None, clock: Callable[[], float] = lambda: 0.0
    ) -> None:
        """``room`` tells how many octets there is room for in all sessions together, ``clock`` what the thread of the
        loop has worked, in seconds."""
        self._kernel = kernel
        self._clock = clock
        self._spent = 0.0
        """What the turns of this round took, and what they are taken to have given others to do."""
        self._worked = 0.0
        """What they took."""
        self._given = 0.0
        """What they gave others to do in the last rounds, by what they took."""
        self._noticed_at = 0.0
        self._worked_before = 0.0
        """What they had taken then."""
        self._is_due = False
        self._waiting = Order[Callable[[], object]]()
        self.is_over = False
        """Whoever has a turn to come is to `wait`."""
        self._room = room
        self._sessions = 0
        self._most_read = LARGEST_READ_SIZE
        self.are_many = False
        """On threads: a session that waits keeps nothing ready for what may come."""
        self._pressed_until = 0.0
        self._reading = tuple(threading.Lock() for _ in range(MOST_READERS))
        self._behind = tuple(threading.Lock() for _ in range(MOST_BEHIND))

    def serve(self, sessions: int) -> None:
        """There are so many sessions."""
        self._sessions = sessions
        self.are_many = sessions >= MANY_SESSIONS
        self._most_read = max(min(MOST_READ // max(sessions, 1), LARGEST_READ_SIZE), SMALLEST_READ_SIZE)

    @property
    def most_read(self) -> int:
        """Octets that a session reads at once at the most. What it has no time for is kept, whatever others hold."""
        if self._room is None or not self.are_many:
            return self._most_read
        return max(min(self._most_read, self._room() // self._sessions), LEAST_READ_SIZE)

    @property
    def most_sent(self) -> int | None:
        """Octets that a session takes from its connection at once to send them; None: what that finds good."""
        return MODEST_OUTPUT if self.are_many else None

    def place(self, reader: object, *, is_behind: bool) -> AbstractContextManager[object]:
        """On threads: what a reader holds until what it has read has acted. ``is_behind``: it was read before.

        Where sessions are few, it is nothing.
        """
        if not self.are_many:
            return NOTHING
        places = self._behind if is_behind else self._reading
        return places[id(reader) // ALIGNMENT % len(places)]

    def press(self) -> None:
        """On threads: a session had no time for all that came."""
        self._pressed_until = time.monotonic() + PRESSED_FOR

    @property
    def are_shared(self) -> bool:
        """On threads: few of them are to read for all sessions."""
        return self.are_many or self._pressed_until > time.monotonic()

    def spend(self, seconds: float, begun: float = 0.0) -> float:
        """A turn has taken so long, and has begun so many calls, or given their handlers as much to do. Gives what it
        is taken to cost with that."""
        cost = seconds + max(seconds * self._given, begun * HANDLER_TIME)
        self._worked += seconds
        self._spent += cost
        if self._spent >= NOTICED_TIME:
            self._see_to_next()
            if self._spent >= ROUND_TIME:
                self.is_over = True
        return cost

    def _see_to_next(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._noticed_at = self._clock()
            self._worked_before = self._worked
            with suppress(NotConnected):  # nothing has a turn any more
                self._kernel.call_soon(self._begin)

    @property
    def has_time(self) -> bool:
        """Whoever was called for a turn that begins later is to ask: others may have taken longer than they used to."""
        return self._spent < ROUND_TIME

    def lets_through(self, cost: float) -> bool:
        """The round is over: a session whose last turn took ``cost`` seconds may have one now all the same."""
        if cost > SHORT_TURN or self._waiting.has_short or self._spent >= ROUND_TIME + SHORT_TIME:
            return False
        self._spent += SHORT_TURN
        return True

    def wait(self, go_on: Callable[[], object], cost: float, *, is_next: bool = False) -> None:
        """Have ``go_on`` called to have its turn, or to have it soon. The last one took ``cost`` seconds.

        ``is_next``: it was called already, when there was no time any more.
        """
        self._waiting.add(go_on, cost, is_next=is_next)
        self._see_to_next()

    def _learn(self) -> None:
        """How much others had to do since this round was noticed."""
        others = self._clock() - self._noticed_at - (self._worked - self._worked_before)
        given = others / max(self._worked, NOTICED_TIME)
        self._given = (self._given + min(max(given, 0.0), MOST_GIVEN)) / 2

    def _begin(self) -> None:
        self._learn()
        self._is_due = False
        self._spent = self._worked = 0.0
        self.is_over = False
        expected = 0.0
        while self._waiting and not self.is_over and expected < ROUND_TIME:
            cost, go_on = self._waiting.take()
            before = self._spent
            try:
                go_on()
            finally:
                if self._waiting:
                    self._see_to_next()
            if self._spent == before:
                expected += cost
        if self._waiting:
            self.is_over = True
