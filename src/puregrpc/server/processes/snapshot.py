"""The worker processes of a server as they stand, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from puregrpc.server.snapshot import ServerSnapshot

__all__ = ["WorkerSnapshot", "WorkersSnapshot"]


@dataclass(frozen=True, slots=True)
class WorkerSnapshot:
    """One worker: its process, how often it was started again, and its server as far as it has said."""

    pid: int | None
    restarts: int
    server: ServerSnapshot | None


@dataclass(frozen=True, slots=True)
class WorkersSnapshot:
    """All workers, and the calls of all that there were; ``calls_ended`` is by status code.

    Of a worker that died, the calls are those that it had when its figures were last asked for.
    """

    addresses: tuple[str, ...]
    is_stopping: bool
    workers: tuple[WorkerSnapshot, ...]
    connections: int
    calls_started: int
    calls_ended: Mapping[int, int]
