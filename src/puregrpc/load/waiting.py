"""Waiting for a condition in any world."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from math import inf
from typing import Any

from puregrpc.kernel import Kernel, Waiter, Waiters

__all__ = ["Change", "within"]


class Change:
    """Something changes that coroutines wait for."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._waiters = Waiters(kernel.waiter)

    def tell(self) -> None:
        """Have all who wait look again."""
        self._kernel.locked(self._waiters.wake_all)

    async def wait_for(self, look: Callable[[], object], until: float = inf) -> bool:
        """Wait until ``look`` gives something true; False if it does not by ``until``."""

        def waiter_or_none() -> Waiter | None:
            return None if look() else self._waiters.waiter()

        while (waiter := self._kernel.locked(waiter_or_none)) is not None:
            is_woken = False
            try:
                is_woken = await waiter.wait(until)
            finally:
                if not is_woken:
                    self._kernel.locked(self._waiters.forget, waiter)
            if not is_woken:
                return bool(look())
        return True


async def within(
    kernel: Kernel,
    seconds: float,
    function: Callable[[], Coroutine[Any, Any, None]],
    *,
    change: Change | None = None,
    gives_up: Callable[[], bool] = lambda: False,
) -> bool:
    """Run a coroutine; False if it was interrupted since it took too long, or since ``gives_up`` says so after a
    ``change``. What it raises is raised."""
    over = change or Change(kernel)
    ended: list[BaseException | None] = []

    async def run() -> None:
        error: BaseException | None = None
        try:
            await function()
        except BaseException as caught:
            error = caught
            if kernel.interrupts(caught):
                raise
        finally:
            ended.append(error)
            over.tell()

    task = kernel.spawn(run)
    try:
        await over.wait_for(lambda: ended or gives_up(), kernel.now() + seconds)
        if not ended:
            return False
    finally:
        if not ended:
            task.cancel()
    if ended[0] is not None:
        raise ended[0]
    return True
