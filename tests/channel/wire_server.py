"""A server made of sockets, threads and wire alone, so that a test decides what it does with each call.

It runs in threads of its own, whatever world the client is in.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from puregrpc.wire import server_connection
from puregrpc.wire.connection import ConnectionConfig, Driver, Request, ServerCall
from tests.channel.raw_server import raw_server

if TYPE_CHECKING:
    from puregrpc.wire.connection import ServerConnection

__all__ = ["EchoCall", "SilentCall", "WireServer", "WireSession", "wire_server"]


class EchoCall(ServerCall):
    """Answers a unary call with its request."""

    def __init__(self, session: WireSession) -> None:
        super().__init__()
        self.session = session

    def on_message(self, message: bytes) -> None:
        self.session.connection.send_response(self, message)


class SilentCall(ServerCall):
    """Never answers."""


class WireSession(Driver):
    """One connection. `do` runs a function in its thread, where the connection may be used."""

    def __init__(self, sock: socket.socket, server: WireServer) -> None:
        self.server = server
        self.socket = sock
        self.is_over = self.is_ready = False
        self._work: list[Callable[[], Any]] = []
        self._lock = threading.Lock()
        self._wake, self._woken = socket.socketpair()
        self.connection: ServerConnection = server_connection(self, server.config, engine="h2")

    def on_call(self, request: Request) -> ServerCall | None:
        self.server.requests.append(request)
        return self.server.on_call(self, request)

    def on_ready(self) -> None:
        self.is_ready = True

    def on_output(self) -> None:
        """It is asked for in each turn."""

    def on_going_away(self, reason: str) -> None:
        """The connection itself tells."""

    def on_closed(self, reason: str) -> None:
        self.is_over = True

    def do(self, function: Callable[[], Any]) -> None:
        """Run a function in the session's thread, soon."""
        with self._lock:
            self._work.append(function)
        with contextlib.suppress(OSError):
            self._wake.send(b".")

    def abort(self) -> None:
        """Cut the connection."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def go_away(self, **keywords: Any) -> None:
        """See `Connection.go_away`."""
        self.do(lambda: self.connection.go_away(**keywords))

    def run(self) -> None:
        connection = self.connection
        connection.start(time.monotonic())
        try:
            while True:
                while data := connection.data_to_send():
                    self.socket.sendall(data)
                if self.is_over:
                    break
                when = connection.next_time()
                pause = 0.5 if when is None else min(max(when - time.monotonic(), 0), 0.5)
                readable, _, _ = select.select([self.socket, self._woken], [], [], pause)
                if self._woken in readable:
                    self._woken.recv(100)
                with self._lock:
                    work, self._work = self._work, []
                for function in work:
                    function()
                if self.socket in readable:
                    data = self.socket.recv(1 << 16)
                    connection.receive(data, time.monotonic())
                    if not data:
                        break
                connection.advance(time.monotonic())
        except OSError:
            pass
        finally:
            connection.lost("the connection broke")
            self.socket.close()
            self._wake.close()
            self._woken.close()


class WireServer:
    def __init__(
        self, on_call: Callable[[WireSession, Request], ServerCall | None], config: ConnectionConfig | None = None
    ) -> None:
        self.on_call = on_call
        self.config = ConnectionConfig() if config is None else config
        self.requests: list[Request] = []
        self.sessions: list[WireSession] = []
        self.address = ""

    def handle(self, sock: socket.socket) -> None:
        session = WireSession(sock, self)
        self.sessions.append(session)
        session.run()


class wire_server:  # noqa: N801 - used as a function
    """Run one on a free port: with ``with`` or ``async with``."""

    def __init__(
        self, on_call: Callable[[WireSession, Request], ServerCall | None], config: ConnectionConfig | None = None
    ) -> None:
        self._server = WireServer(on_call, config)
        self._running = raw_server(self._server.handle)

    def __enter__(self) -> WireServer:
        self._server.address = self._running.__enter__()
        return self._server

    def __exit__(self, *_: object) -> None:
        self._running.__exit__(None, None, None)

    async def __aenter__(self) -> WireServer:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()
