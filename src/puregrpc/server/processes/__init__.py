"""A server in several processes, for machines with more than one core: they share its sockets, and are watched."""

from __future__ import annotations

from puregrpc.server.processes.serving import serve
from puregrpc.server.processes.snapshot import WorkerSnapshot, WorkersSnapshot
from puregrpc.server.processes.supervisor import WorkerProcesses

__all__ = ["WorkerProcesses", "WorkerSnapshot", "WorkersSnapshot", "serve"]
