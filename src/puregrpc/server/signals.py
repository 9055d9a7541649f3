"""Stopping a server when the process is asked to end."""

from __future__ import annotations

import signal
from collections.abc import Sequence

import trio

from puregrpc.server.server import Server

__all__ = ["stop_on_signal"]


async def stop_on_signal(
    server: Server,
    signals: Sequence[signal.Signals] = (signal.SIGTERM,),
    *,
    grace: float | None = 30.0,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Wait for one of the signals, then stop the server: GOAWAY, and ``grace`` seconds for the calls to finish.

    A second signal ends the calls at once. To be run in the main thread, beside the server.
    """
    with trio.open_signal_receiver(*signals) as received:
        task_status.started()
        await anext(received)
        async with trio.open_nursery() as nursery:

            async def stop_at_once() -> None:
                await anext(received)
                await server.stop(0)

            nursery.start_soon(stop_at_once)
            await server.stop(grace)
            nursery.cancel_scope.cancel()
