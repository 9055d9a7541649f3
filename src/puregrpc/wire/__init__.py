"""gRPC over HTTP/2 without I/O: bytes in, calls out. No sockets, clocks or tasks; time is an argument."""

from __future__ import annotations

from puregrpc.wire.engines import DEFAULT_ENGINE, EngineName, client_connection, server_connection

__all__ = ["DEFAULT_ENGINE", "EngineName", "client_connection", "server_connection"]
