"""Tasks that know how often somebody has cancelled them, as those of Python 3.11 do (`asyncio.Task.cancelling`).

Without the number nobody can tell a task that was cancelled from one in which CancelledError was raised by hand.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

__all__ = ["create_task", "was_cancelled"]

if sys.version_info >= (3, 11):

    def create_task(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have a coroutine run in a task of its own."""
        return loop.create_task(coroutine)

    def was_cancelled(task: asyncio.Task[Any]) -> bool:
        """Whether somebody has cancelled a task. Before 3.11 it is not known of tasks that others made: True."""
        return task.cancelling() > 0

else:

    class CountingTask(asyncio.Task):  # type: ignore[type-arg]  # it takes no argument when the program runs
        """A task that counts what Python 3.11's counts."""

        cancellations = 0

        def cancel(self, msg: Any | None = None) -> bool:
            cancels = super().cancel(msg)
            self.cancellations += cancels
            return cancels

    def create_task(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have a coroutine run in a task of its own."""
        return CountingTask(coroutine, loop=loop)

    def was_cancelled(task: asyncio.Task[Any]) -> bool:
        """Whether somebody has cancelled a task. Before 3.11 it is not known of tasks that others made: True."""
        return not isinstance(task, CountingTask) or task.cancellations > 0
