"""Which engine carries a connection: chosen by name."""

from __future__ import annotations

from typing import Literal

from puregrpc.errors import InvalidArgument
from puregrpc.wire.connection import ClientConnection, ConnectionConfig, Driver, ServerConnection

__all__ = ["DEFAULT_ENGINE", "EngineName", "client_connection", "server_connection"]

EngineName = Literal["h2", "fast"]

DEFAULT_ENGINE: EngineName = "fast"
"""The engine of channels and servers that do not ask for another. ``h2`` is the reference it is tested against."""


def client_connection(
    driver: Driver, config: ConnectionConfig | None = None, *, engine: EngineName = DEFAULT_ENGINE
) -> ClientConnection:
    """A client's end of a connection, not started yet. Raises InvalidArgument for an engine that there is not."""
    config = ConnectionConfig() if config is None else config
    if engine == "h2":
        from puregrpc.wire.h2_engine import H2ClientConnection

        return H2ClientConnection(driver, config)
    if engine == "fast":
        from puregrpc.wire.fast.client import FastClientConnection

        return FastClientConnection(driver, config)
    raise InvalidArgument(f"no engine {engine!r}: there are 'h2' and 'fast'")


def server_connection(
    driver: Driver, config: ConnectionConfig | None = None, *, engine: EngineName = DEFAULT_ENGINE
) -> ServerConnection:
    """A server's end of a connection, not started yet. Raises InvalidArgument for an engine that there is not."""
    config = ConnectionConfig() if config is None else config
    if engine == "h2":
        from puregrpc.wire.h2_engine import H2ServerConnection

        return H2ServerConnection(driver, config)
    if engine == "fast":
        from puregrpc.wire.fast.server import FastServerConnection

        return FastServerConnection(driver, config)
    raise InvalidArgument(f"no engine {engine!r}: there are 'h2' and 'fast'")
