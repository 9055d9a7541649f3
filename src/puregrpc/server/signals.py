"""Stopping a server when the process is asked to end."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from puregrpc.kernel import Kernel, Waiters
from puregrpc.server.server import Server, StartedWith

__all__ = ["stop_on_signal"]


async def stop_on_signal(
    server: Server,
    signals: Sequence[signal.Signals] = (signal.SIGTERM,),
    *,
    grace: float | None = 30.0,
    task_status: StartedWith | None = None,
) -> None:
    """Wait for one of the signals, then stop the server: GOAWAY, and ``grace`` seconds for the calls to finish.

    A second signal ends the calls at once. To be run in the main thread, beside a server that runs: on trio with
    ``await nursery.start(stop_on_signal, server)``, on asyncio in a task. It ends with the server.
    """
    kernel = server.kernel
    count = _Count(kernel)

    async def note_end() -> None:
        await server.wait_for_termination()
        count.end()

    async def stop_at_second() -> None:
        if await count.wait_for(2):
            await server.stop(0)

    with kernel.on_signals(signals, count.add):
        tasks = [kernel.spawn(note_end)]
        try:
            if task_status is not None:
                task_status.started()
            if await count.wait_for(1):
                tasks.append(kernel.spawn(stop_at_second))
                await server.stop(grace)
        finally:
            for task in tasks:
                task.cancel()


class _Count:
    """How many signals have come."""

    def __init__(self, kernel: Kernel) -> None:
        self._number = 0
        self._is_over = False
        self._changes = Waiters(kernel.waiter)

    def add(self) -> None:
        self._number += 1
        self._changes.wake_all()

    def end(self) -> None:
        """No more are waited for."""
        self._is_over = True
        self._changes.wake_all()

    async def wait_for(self, number: int) -> bool:
        """Wait for so many. False if they do not come any more."""
        while self._number < number and not self._is_over:
            await self._changes.waiter().wait()
        return self._number >= number
