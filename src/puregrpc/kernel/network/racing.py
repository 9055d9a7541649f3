"""Several attempts at one thing, each a little later than the one before it: the first that succeeds wins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from puregrpc.errors import ConnectError
from puregrpc.kernel.base import Kernel, Task, Waiter, Waiters

__all__ = ["COULD_NOT_CONNECT", "race"]

COULD_NOT_CONNECT = "could not connect to "

T = TypeVar("T")


async def race(
    kernel: Kernel,
    attempts: Sequence[Callable[[], Awaitable[T]]],
    *,
    delay: float,
    discard: Callable[[T], None],
) -> T:
    """Make each attempt ``delay`` seconds after the one before it, or as soon as that has failed (RFC 8305, section 5).

    Returns what the first one to succeed gives; the others are cancelled, and what one of them gives all the same goes
    to ``discard``. Raises ConnectError with the reason of each attempt if none succeeds.
    """
    if not attempts:
        raise ConnectError("there is no address to connect to")
    if len(attempts) == 1:
        return await attempts[0]()
    runners = _Race(kernel, attempts, discard)
    try:
        for number in range(len(attempts)):
            waiter = kernel.locked(runners.begin, number)
            if await waiter.wait(kernel.now() + delay) and runners.winners:
                break
        while (end := kernel.locked(runners.next_end)) is not None:
            await end.wait()
    except BaseException:
        runners.give_up()
        for winner in runners.winners:
            discard(winner)
        raise
    runners.give_up()
    if runners.winners:
        return runners.winners[0]
    reasons = "; ".join(failure.removeprefix(COULD_NOT_CONNECT) for failure in runners.failures)
    raise ConnectError(f"{COULD_NOT_CONNECT}any of {len(attempts)} addresses: {reasons}")


class _Race(Generic[T]):
    """The attempts under way. ``changed`` tells that one has ended."""

    def __init__(
        self, kernel: Kernel, attempts: Sequence[Callable[[], Awaitable[T]]], discard: Callable[[T], None]
    ) -> None:
        self.changed = Waiters(kernel.waiter)
        self.winners: list[T] = []
        self.failures: list[str] = []
        self._kernel = kernel
        self._attempts = attempts
        self._discard = discard
        self._tasks: list[Task] = []
        self._is_over = False

    @property
    def is_lost(self) -> bool:
        return len(self.failures) == len(self._attempts)

    def next_end(self) -> Waiter | None:
        """What is woken when the next attempt ends; None if it is decided."""
        return None if self.winners or self.is_lost else self.changed.waiter()

    def begin(self, number: int) -> Waiter:
        waiter = self.changed.waiter()
        self._tasks.append(self._kernel.spawn(self._run, self._attempts[number]))
        return waiter

    async def _run(self, attempt: Callable[[], Awaitable[T]]) -> None:
        try:
            result = await attempt()
        except Exception as error:  # of ours too: a race must end
            self._kernel.locked(self._failed, str(error))
            return
        if not self._kernel.locked(self._won, result):
            self._discard(result)

    def _failed(self, problem: str) -> None:
        self.failures.append(problem)
        self.changed.wake_all()

    def _won(self, result: T) -> bool:
        if self.winners or self._is_over:
            return False
        self.winners.append(result)
        self.changed.wake_all()
        return True

    def give_up(self) -> None:
        """Cancel those that are under way."""
        self._kernel.locked(self._end)
        for task in self._tasks:
            task.cancel()

    def _end(self) -> None:
        self._is_over = True
