"""Two ways to wait that are made of waiters: for something to have happened once, and for one's turn."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING

from puregrpc.kernel.base import Kernel, Waiter, Waiters

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Event", "Turn"]


class Event:
    """Something that happens once, and that any number of coroutines wait for."""

    __slots__ = ("_kernel", "_waiters", "is_set")

    def __init__(self, kernel: Kernel) -> None:
        self.is_set = False
        self._kernel = kernel
        self._waiters = Waiters(kernel.waiter)

    def set(self) -> None:
        """It has happened. Idempotent. Without the mutex."""
        if not self.is_set:
            self._kernel.locked(self.set_locked)

    def set_locked(self) -> None:
        """As `set`, with the mutex held."""
        self.is_set = True
        self._waiters.wake_all()

    async def wait(self, until: float = inf) -> bool:
        """Wait until it has happened; False if it has not by ``until``."""
        waiter = self._kernel.locked(self._waiter)
        if waiter is None:
            await self._kernel.checkpoint()
        elif not await waiter.wait(until):
            self._kernel.locked(self._waiters.forget, waiter)
        return self.is_set

    def _waiter(self) -> Waiter | None:
        return None if self.is_set else self._waiters.waiter()


class Turn:
    """One coroutine at a time, in the order in which they came: ``async with turn: ...``."""

    __slots__ = ("_is_taken", "_kernel", "_waiting")

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._is_taken = False
        self._waiting: deque[Waiter] = deque()

    async def __aenter__(self) -> None:
        waiter = self._kernel.locked(self._take_or_wait)
        if waiter is None:
            return
        try:
            await waiter.wait()
        except BaseException:
            self._kernel.locked(self._give_up, waiter)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kernel.locked(self._pass_on)

    def _take_or_wait(self) -> Waiter | None:
        if not self._is_taken:
            self._is_taken = True
            return None
        waiter = self._kernel.waiter()
        self._waiting.append(waiter)
        return waiter

    def _give_up(self, waiter: Waiter) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)
        else:
            self._pass_on()  # it was this one's turn already

    def _pass_on(self) -> None:
        if self._waiting:
            self._waiting.popleft().wake()
        else:
            self._is_taken = False
