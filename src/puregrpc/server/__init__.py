"""The server: listens, routes calls to handlers, and drains when it stops. On trio, asyncio and threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc._on_demand import on_demand

if TYPE_CHECKING:
    from puregrpc.server.blocking import BlockingServer as BlockingServer
    from puregrpc.server.calls.streaming import RequestStream as RequestStream
    from puregrpc.server.config import ServerConfig as ServerConfig
    from puregrpc.server.context import Context as Context
    from puregrpc.server.interceptor import Interceptor as Interceptor
    from puregrpc.server.method import Method as Method
    from puregrpc.server.method import Shape as Shape
    from puregrpc.server.method import in_place as in_place
    from puregrpc.server.method import own_thread as own_thread
    from puregrpc.server.processes import WorkerProcesses as WorkerProcesses
    from puregrpc.server.processes import WorkerSnapshot as WorkerSnapshot
    from puregrpc.server.processes import WorkersSnapshot as WorkersSnapshot
    from puregrpc.server.processes import serve as serve
    from puregrpc.server.server import Server as Server
    from puregrpc.server.signals import stop_on_signal as stop_on_signal
    from puregrpc.server.snapshot import ServerSnapshot as ServerSnapshot
    from puregrpc.server.snapshot import SessionSnapshot as SessionSnapshot

_MODULES = {
    "BlockingServer": "blocking",
    "Context": "context",
    "Interceptor": "interceptor",
    "Method": "method",
    "RequestStream": "calls.streaming",
    "Server": "server",
    "ServerConfig": "config",
    "ServerSnapshot": "snapshot",
    "SessionSnapshot": "snapshot",
    "Shape": "method",
    "WorkerProcesses": "processes",
    "WorkerSnapshot": "processes",
    "WorkersSnapshot": "processes",
    "in_place": "method",
    "own_thread": "method",
    "serve": "processes",
    "stop_on_signal": "signals",
}

__all__ = [*_MODULES]

__getattr__, __dir__ = on_demand(__name__, _MODULES)
