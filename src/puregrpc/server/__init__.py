"""The server: listens, routes calls to handlers, and drains when it stops. On trio, asyncio and threads."""

from puregrpc.server.blocking import BlockingServer
from puregrpc.server.call import RequestStream
from puregrpc.server.config import ServerConfig
from puregrpc.server.context import Context
from puregrpc.server.interceptor import Interceptor
from puregrpc.server.method import Method, Shape, in_place
from puregrpc.server.server import Server
from puregrpc.server.signals import stop_on_signal
from puregrpc.server.snapshot import ServerSnapshot, SessionSnapshot

__all__ = [
    "BlockingServer",
    "Context",
    "Interceptor",
    "Method",
    "RequestStream",
    "Server",
    "ServerConfig",
    "ServerSnapshot",
    "SessionSnapshot",
    "Shape",
    "in_place",
    "stop_on_signal",
]
