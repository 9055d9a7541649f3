"""A server and a client that are nothing but sessions of threads, with real connections between them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from puregrpc.errors import ConnectError, NotConnected
from puregrpc.kernel import Kernel, ThreadKernel, Waiter
from puregrpc.kernel.network.connecting import connect, secure
from puregrpc.kernel.network.listening import Listener, ServerTls, listen
from puregrpc.kernel.network.streams import ByteStream, SocketStream
from puregrpc.transport.session import SessionOptions, UnaryExchange, open_session
from puregrpc.transport.thread_session import ThreadSession
from puregrpc.wire import client_connection, server_connection
from puregrpc.wire.connection import (
    Call,
    ClientConnection,
    ConnectionConfig,
    Metadata,
    Request,
    ServerCall,
    ServerConnection,
)
from puregrpc.wire.status import OK, Status

ECHO = Request("/test.Service/Echo", "localhost")
SLEEP = Request("/test.Service/Sleep", "localhost")
"""Answers after as many seconds as the message says."""
NEVER = Request("/test.Service/Never", "localhost")
CHAT = Request("/test.Service/Chat", "localhost")
"""Each message comes back."""


class Unary(UnaryExchange):
    """A unary call of a client's."""

    __slots__ = ("ended_in", "message", "session", "status")

    def __init__(self, session: ThreadSession[ClientConnection]) -> None:
        Call.__init__(self)
        self.session = session
        self.waiter = None
        self.ended = False
        self.ended_in = 0
        """The thread that brought the end about."""
        self.message: bytes | None = None
        self.status: Status | None = None

    def on_message(self, message: bytes) -> None:
        self.message = message

    def on_end(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> None:
        self.ended = True
        self.ended_in = threading.get_ident()
        self.status = status
        self.session.over(self)
        if self.waiter is not None:
            self.waiter.wake()


class Stream(Call):
    """A streaming call of a client's, as the channel has it."""

    __slots__ = ("deadline", "messages", "session", "status", "waiter")

    def __init__(self, session: ThreadSession[ClientConnection], deadline: float | None = None) -> None:
        Call.__init__(self)
        self.session = session
        self.deadline = deadline
        self.messages: deque[bytes] = deque()
        self.status: Status | None = None
        self.waiter: Waiter | None = None

    def open(self, request: Request = CHAT) -> Stream:
        session = self.session
        session.locked(partial(session.open_call, self, request, deadline=self.deadline, now=time.monotonic()))
        session.push()
        return self

    def send(self, message: bytes) -> None:
        self.session.locked(self.session.connection.send_message, self, message)
        self.session.push()

    def cancel(self) -> None:
        if self.status is None:
            self.session.reset(self)

    async def receive(self) -> bytes | None:
        """The next message; None at the end."""
        while (waiter := self.session.locked(self._waiter)) is not None:
            await self.session.wait(waiter, self.deadline)
        return self.messages.popleft() if self.messages else None

    def _waiter(self) -> Waiter | None:
        if self.messages or self.status is not None:
            return None
        self.waiter = self.session.kernel.waiter()
        return self.waiter

    def _wake(self) -> None:
        if self.waiter is not None:
            self.waiter.wake()

    def on_message(self, message: bytes) -> None:
        self.messages.append(message)
        self._wake()

    def on_end(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> None:
        self.status = status
        self.session.over(self)
        self._wake()


class Handle:
    """What a caller has of a stream: it is cancelled when it is left or dropped."""

    def __init__(self, client: Client, deadline: float | None = None) -> None:
        self._kernel = client.kernel
        self.stream: Stream = Stream(client.session, deadline)

    def __enter__(self) -> Stream:
        return self.stream.open()

    def __exit__(self, *_: object) -> None:
        self.stream.cancel()

    def __del__(self) -> None:
        if hasattr(self, "stream") and self.stream.status is None:
            self._kernel.wish(self.stream.cancel)


class Answering(ServerCall):
    """A call of the server's."""

    __slots__ = ("has_begun", "message", "session", "status")

    def __init__(self, session: ThreadSession[ServerConnection]) -> None:
        Call.__init__(self)
        self.session = session
        self.has_begun = False
        self.status: Status | None = None
        self.message = b""

    def on_message(self, message: bytes) -> None:
        connection = self.session.connection
        if self.request.path == CHAT.path:
            if not self.has_begun:
                self.has_begun = True
                connection.send_headers(self)
            connection.send_message(self, message)
        else:
            self.message = message

    def on_half_close(self) -> None:
        path = self.request.path
        if path == ECHO.path:
            self.session.connection.send_response(self, self.message)
        elif path == CHAT.path:
            self.session.connection.send_trailers(self, OK)
        elif path == SLEEP.path:
            self.session.kernel.timers.at(time.monotonic() + float(self.message), self.answer)

    def answer(self) -> None:
        if self.status is None:
            self.session.locked(self.session.connection.send_response, self, self.message)
            self.session.push()

    def on_end(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> None:
        self.status = status


class Server:
    """Serves every connection that it accepts; each session has a mutex of its own."""

    def __init__(self, tls: ServerTls | None = None) -> None:
        self.kernel = ThreadKernel()
        self.sessions: list[ThreadSession[ServerConnection]] = []
        self.calls: list[Answering] = []
        self._streams: list[SocketStream] = []
        (self.listener,) = self.kernel.run(listen(self.kernel, "127.0.0.1:0", tls=tls))
        self.address = self.listener.address
        self.kernel.spawn(self._accept, self.listener)

    async def _accept(self, listener: Listener) -> None:
        while True:
            try:
                stream = await listener.accept()
            except NotConnected:
                return
            self._streams.append(stream)
            self.kernel.spawn(self._serve, listener, stream)

    async def _serve(self, listener: Listener, stream: SocketStream) -> None:
        try:
            secured = await listener.secure(stream)
        except ConnectError:
            return
        session: Any = open_session(
            self.kernel,
            secured,
            partial(server_connection, config=ConnectionConfig()),
            self,
            SessionOptions(own_mutex=True, linger=0.2),
        )
        self.sessions.append(session)
        await session.start()

    def on_call(self, session: Any, request: Request) -> ServerCall:
        call = Answering(session)
        self.calls.append(call)
        return call

    def session_lost(self, session: Any, reason: str) -> None:
        """Nothing follows from it."""

    def session_over(self, session: Any) -> None:
        self.sessions.remove(session)

    def close(self) -> None:
        self.listener.close()
        self.kernel.run(self.kernel.close())
        for stream in self._streams:
            stream.close()  # it may have been accepted, and not served yet


class Client:
    """A kernel with one connection, which is made anew when it is lost."""

    def __init__(self, server: Server, *, context: Any = None, engine: Any = "fast", **options: Any) -> None:
        self.kernel = ThreadKernel()
        self.lost: list[str] = []
        self.over = 0
        self._server = server
        self._context = context
        self._engine = engine
        self._options = options
        self._session: ThreadSession[ClientConnection] | None = None

    @property
    def session(self) -> ThreadSession[ClientConnection]:
        """The connection, made now if there is none for new calls."""
        session = self._session
        if session is None or session.is_going_away:
            session = self._session = self.kernel.run(self._connect())
        return session

    async def _connect(self) -> ThreadSession[ClientConnection]:
        kernel: Kernel = self.kernel
        until = kernel.now() + 20
        stream: ByteStream = await connect(kernel, [self._server.address], until)
        try:
            if self._context is not None:
                stream = await secure(kernel, stream, self._context, until, server_name="localhost")
            session: Any = open_session(
                kernel,
                stream,
                partial(client_connection, config=ConnectionConfig(), engine=self._engine),
                self,
                SessionOptions(**{"linger": 0.2, **self._options}),
            )
        except BaseException:
            stream.close()
            raise
        made: ThreadSession[ClientConnection] = session
        try:
            await made.start()
            await made.wait_ready()
        except BaseException:
            made.abort("not wanted any more")
            raise
        return made

    def on_call(self, session: Any, request: Request) -> ServerCall | None:
        return None

    def session_lost(self, session: Any, reason: str) -> None:
        self.lost.append(reason)

    def session_over(self, session: Any) -> None:
        self.over += 1

    def call(self, message: bytes = b"hello", request: Request = ECHO, timeout: float | None = 20.0) -> Unary:
        """A unary call, by the short way."""
        session, now = self.session, time.monotonic()
        deadline = None if timeout is None else now + timeout
        return session.exchange_blocking(Unary(session), request, deadline, message, now)

    async def call_awaited(self, message: bytes = b"hello", request: Request = ECHO, timeout: float = 20.0) -> Unary:
        """A unary call, as a coroutine."""
        session, now = self.session, time.monotonic()
        return await session.exchange(Unary(session), request, now + timeout, message, now)

    def close(self) -> None:
        session = self._session
        if session is not None:
            session.locked(partial(session.connection.go_away, immediately=True))
            session.push()
            self.kernel.run(session.wait_over(time.monotonic() + 10))
        self.kernel.run(self.kernel.close())


@contextmanager
def serving(tls: ServerTls | None = None) -> Iterator[Server]:
    server = Server(tls)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def calling(server: Server, **options: Any) -> Iterator[Client]:
    client = Client(server, **options)
    try:
        yield client
    finally:
        client.close()


def puregrpc_threads() -> list[str]:
    """The names of the library's threads."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("puregrpc")]
