"""A server made of transport and wire alone, so that a test decides what it does with each call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from puregrpc.transport import ByteStream, Session, SocketStream, listen
from puregrpc.wire import server_connection
from puregrpc.wire.connection import ConnectionConfig, Driver, Request, ServerCall, ServerConnection


class EchoCall(ServerCall):
    """Answers a unary call with its request."""

    def __init__(self, session: WireSession) -> None:
        super().__init__()
        self.session = session

    def on_message(self, message: bytes) -> None:
        self.session.connection.send_response(self, message)


class SilentCall(ServerCall):
    """Never answers."""


class WireSession(Session[ServerConnection]):
    def __init__(self, stream: ByteStream, server: WireServer) -> None:
        self.server = server
        super().__init__(stream, self._make)

    def _make(self, driver: Driver) -> ServerConnection:
        return server_connection(driver, self.server.config, engine="h2")

    def on_call(self, request: Request) -> ServerCall | None:
        self.server.requests.append(request)
        return self.server.on_call(self, request)


class WireServer:
    def __init__(
        self, on_call: Callable[[WireSession, Request], ServerCall | None], config: ConnectionConfig | None = None
    ) -> None:
        self.on_call = on_call
        self.config = ConnectionConfig() if config is None else config
        self.requests: list[Request] = []
        self.sessions: list[WireSession] = []
        self.address = ""

    async def handle(self, stream: SocketStream) -> None:
        session = WireSession(stream, self)
        self.sessions.append(session)
        await session.run()


@asynccontextmanager
async def wire_server(
    on_call: Callable[[WireSession, Request], ServerCall | None], config: ConnectionConfig | None = None
) -> AsyncIterator[WireServer]:
    server = WireServer(on_call, config)
    (listener,) = await listen("127.0.0.1:0")
    server.address = str(listener.address)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.serve, server.handle)
        try:
            yield server
        finally:
            nursery.cancel_scope.cancel()
            listener.close()
