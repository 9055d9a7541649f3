"""Serving with several processes, in one call."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import closing

from puregrpc.errors import LocalProtocolError
from puregrpc.kernel.base import World
from puregrpc.kernel.current import running_world
from puregrpc.kernel.signals import handling_signals
from puregrpc.server.processes.snapshot import WorkersSnapshot
from puregrpc.server.processes.supervisor import WorkerProcesses
from puregrpc.server.processes.worker import Factory

__all__ = ["serve"]


def serve(
    factory: Factory,
    *,
    workers: int | None = None,
    world: World = "asyncio",
    grace: float | None = 30.0,
    signals: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT),
    on_start: Callable[[WorkerProcesses], object] | None = None,
) -> WorkersSnapshot:
    """Serve with several processes until one of the signals comes; gives the figures of all of them at the end.

    ::

        def make_server() -> Server:
            server = Server("0.0.0.0:50051")
            server.add_service(...)
            return server

        if __name__ == "__main__":
            puregrpc.serve(make_server, workers=4)

    ``factory`` makes the server, in each process: a function at the top of a module, or the name of one,
    ``"module:function"``. The processes share one listening socket for each address. ``workers`` is how many there
    are; None: as many as this process may use processors. ``world`` is what their servers run on: "asyncio", "trio", or
    "threads" for a `BlockingServer`. A worker that dies is started again, after a pause that grows if it dies soon.

    A signal drains all workers together: GOAWAY, and ``grace`` seconds for the calls to finish (None: as long as they
    take); a second one ends the calls at once. ``on_start`` is called once all serve, with the `WorkerProcesses`, which
    tells the addresses and, to other threads, how the workers stand.

    To be called in the main thread and outside of any event loop: LocalProtocolError. What keeps the first workers
    from serving is raised: InvalidArgument or ConnectError for an address, UserError with the traceback if the factory
    fails.
    """
    if running_world() != "threads":
        raise LocalProtocolError("serve blocks, and starts processes with loops of their own: call it outside of loops")
    number = _processors() if workers is None else workers
    processes = WorkerProcesses(factory, workers=number, world=world, grace=grace)
    signals_seen = 0

    def drain() -> None:
        nonlocal signals_seen
        signals_seen += 1
        processes.stop(grace if signals_seen == 1 else 0)

    with closing(processes), handling_signals(signals, drain, wakeup_fd=processes.wakeup_fd):
        try:
            processes.start()
            if on_start is not None and not signals_seen:
                on_start(processes)
            processes.run()
        finally:
            processes.close()  # signals are heard until the workers have ended
    return processes.snapshot()


def _processors() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
