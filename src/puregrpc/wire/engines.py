"""Which engine carries a connection: chosen by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from puregrpc.errors import InvalidArgument
from puregrpc.wire.connection import ClientConnection, ConnectionConfig, Driver, ServerConnection

__all__ = ["DEFAULT_ENGINE", "EngineName", "client_connection", "load_server_engine", "server_connection"]

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
    return load_server_engine(engine)(driver, ConnectionConfig() if config is None else config)


def load_server_engine(engine: EngineName = DEFAULT_ENGINE) -> Callable[[Driver, ConnectionConfig], ServerConnection]:
    """Import what a server's connections are made of, which takes some 30 ms the first time; gives what makes them.

    Raises InvalidArgument for an engine that there is not.
    """
    if engine == "h2":
        from puregrpc.wire.h2_engine import H2ServerConnection

        return H2ServerConnection
    if engine == "fast":
        from puregrpc.wire.fast.server import FastServerConnection

        return FastServerConnection
    raise InvalidArgument(f"no engine {engine!r}: there are 'h2' and 'fast'")
