"""The trio-native server: listens, routes calls to handlers, one task per call, and drains when it stops."""

from puregrpc.server.call import RequestStream
from puregrpc.server.config import ServerConfig
from puregrpc.server.context import Context
from puregrpc.server.interceptor import Interceptor
from puregrpc.server.method import Method, Shape
from puregrpc.server.server import Server
from puregrpc.server.signals import stop_on_signal
from puregrpc.server.snapshot import ServerSnapshot, SessionSnapshot

__all__ = [
    "Context",
    "Interceptor",
    "Method",
    "RequestStream",
    "Server",
    "ServerConfig",
    "ServerSnapshot",
    "SessionSnapshot",
    "Shape",
    "stop_on_signal",
]
