"""Calls that end all at once: a thousand handlers that hear of it in one turn would keep everything else waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from puregrpc.errors import NotConnected

if TYPE_CHECKING:
    from puregrpc.kernel import Kernel
    from puregrpc.wire.memory import MemoryBudget

__all__ = ["Endings"]

MOST_IN_TURN = 16
"""How many handlers are interrupted in one turn of the loop: each costs up to a tenth of a millisecond."""

MANY = 512
"""Where more wait than so many, memory is what matters: they are there until they have heard of it."""

MOST_OF_MANY = 48
"""How many of those are interrupted in one turn."""


class Endings:
    """Interrupts the handlers of calls that are over, some in each turn of the loop. On threads, all at once."""

    __slots__ = ("_budget", "_count", "_is_at_once", "_is_due", "_kernel", "_waiting")

    def __init__(self, kernel: Kernel, budget: MemoryBudget | None = None) -> None:
        self._kernel = kernel
        self._budget = budget
        """Where those that wait are counted."""
        self._waiting: deque[Callable[[], object]] = deque()
        self._count = 0
        self._is_due = False
        self._is_at_once = kernel.world == "threads"

    def add(self, interrupt: Callable[[], object]) -> None:
        """A call is over: have its handler interrupted. With the connection at hand."""
        if self._is_at_once:
            interrupt()
            return
        if not self._is_due:
            self._is_due = True
            try:
                self._kernel.call_soon(self._go_on)
            except NotConnected:  # the loop has ended, and so have the handlers
                self._is_due = False
        if self._is_due and (self._waiting or self._count >= MOST_IN_TURN):
            self._waiting.append(interrupt)
            self._tell()
        else:
            self._count += 1
            interrupt()

    def finish(self) -> None:
        """Interrupt all of them, and those to come at once: the server is closed."""
        self._is_at_once = True
        while self._waiting:
            self._waiting.popleft()()
        self._tell()

    def _tell(self) -> None:
        if self._budget is not None:
            self._budget.lingering = len(self._waiting)

    def _go_on(self) -> None:
        self._is_due = False
        self._count = 0
        waiting = self._waiting
        if waiting:
            self._is_due = True
            with suppress(NotConnected):
                self._kernel.call_soon(self._go_on)
        most = MOST_IN_TURN if len(waiting) < MANY else MOST_OF_MANY
        while waiting and self._count < most:
            self._count += 1
            waiting.popleft()()
        self._tell()
