"""The server: its methods, its listeners, its connections, and how it stops."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from math import inf
from types import TracebackType

import trio

from puregrpc.codec import Codec
from puregrpc.errors import ConnectError, InvalidArgument, LocalProtocolError
from puregrpc.schema import Registry
from puregrpc.server.call import Route
from puregrpc.server.config import ServerConfig
from puregrpc.server.faults import contain, is_cancellation, log_exception, only_exception
from puregrpc.server.interceptor import Interceptor, intercepted
from puregrpc.server.method import Method
from puregrpc.server.service import Messages, ServiceLike, service_methods
from puregrpc.server.session import ServerSession
from puregrpc.server.snapshot import ServerSnapshot, SessionSnapshot
from puregrpc.server.workers import Workers
from puregrpc.transport.listening import Listener, listen
from puregrpc.transport.streams import ByteStream, SocketStream
from puregrpc.transport.tap import Tap
from puregrpc.transport.tls import TlsOptions
from puregrpc.wire.compression import coding_for
from puregrpc.wire.status import Status, StatusCode

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

__all__ = ["Server"]

logger = logging.getLogger("puregrpc.server")

ACCEPT_PAUSE = 0.5
"""How long to wait, in seconds, before accepting again after that has failed as nobody foresaw."""

MAX_SHOWN_NAME = 200
"""Characters of a service's or method's name that a status repeats to who asked for it: he knows it."""

FORCED_CLOSE_TIMEOUT = 1.0
"""How long the last frames of a connection that is closed by force may take to be sent, in seconds."""


class Server:
    """A gRPC server under trio.

    ::

        server = Server("127.0.0.1:50051")
        server.add_method(Method("/pkg.Service/Echo", echo))
        async with server:                     # listens from here on; leaving the body stops it
            print(server.addresses)
            await trio.sleep_forever()

    ``targets`` are ``host:port``, ``[v6]:port``, ``:port``, ``unix:path`` or ``unix-abstract:name``, all with the same
    ``tls``; `add_listener` adds others. ``interceptors`` go around every handler, the first outermost.

    Each call runs in a task of its own. What a handler raises ends its call: an RpcError with its status, anything
    else with UNKNOWN and the exception's type (the traceback goes to the log ``puregrpc.server``). KeyboardInterrupt
    and SystemExit alone end the server: they leave it as they are.
    """

    def __init__(
        self,
        *targets: str,
        tls: TlsOptions | None = None,
        config: ServerConfig = ServerConfig(),  # noqa: B008 - frozen
        interceptors: Sequence[Interceptor] = (),
    ) -> None:
        coding_for(config.compression)
        self.config = config
        self.calls_started = 0
        self.calls_ended = 0
        self.calls_by_status: dict[int, int] = {}
        self.routes: dict[str, Route] = {}
        self._services: dict[str, None] = {}
        self.registry = Registry()
        """What is known of the services' types; reflection answers from it."""
        self.codec = Codec(self.registry)
        self._interceptors = tuple(interceptors)
        self._targets: list[tuple[str, TlsOptions | None]] = [(target, tls) for target in targets]
        self._listeners: list[Listener] = []
        self._sessions: set[ServerSession] = set()
        self._workers: Workers | None = None
        self._connections: trio.Nursery | None = None
        self._open_connections = 0
        self._connection_ended = trio.lowlevel.ParkingLot()
        self._is_stopping = False
        self._stopped = trio.Event()
        self._on_stop: list[Callable[[], None]] = []
        self._lifetime = AsyncExitStack()

    # -- what it serves

    def add_method(self, method: Method) -> None:
        """Serve one more method. Raises InvalidArgument if its path is served already."""
        if method.path in self.routes:
            raise InvalidArgument(f"{method.path} is served already")
        self._services[method.service] = None
        self.routes[method.path] = Route(intercepted(method, self._interceptors))

    def add_methods(self, methods: Iterable[Method]) -> None:
        """Serve several more methods."""
        for method in methods:
            self.add_method(method)

    def add_service(
        self, service: ServiceLike, handlers: object, *, messages: Messages | None = None, partial: bool = False
    ) -> None:
        """Serve a whole service.

        ``service`` is its descriptor: from a `Registry`, or from a generated ``_pb2`` module. ``handlers`` is an object
        with a handler for each method, named as the method or in snake_case (``say_hello`` for ``SayHello``), or a
        mapping of such names; ``partial`` allows some to be missing: those are UNIMPLEMENTED. ``messages`` says what
        handlers get: "dict" (ProtoJSON rules: lowerCamelCase names; the default), "protobuf" (message objects; the
        default for a generated module) or "bytes". They may return dicts or message objects in either of the first
        two cases.

        Raises InvalidArgument if handlers are missing or of the wrong kind, SchemaError if the service's file clashes
        with one that is known.
        """
        self.add_methods(
            service_methods(
                service, handlers, registry=self.registry, codec=self.codec, messages=messages, partial=partial
            )
        )

    @property
    def services(self) -> tuple[str, ...]:
        """The full names of the services that have methods here, in order of their addition."""
        return tuple(self._services)

    def unimplemented(self, path: str) -> Status:
        """The status of a call to a path that is not served."""
        service, _, name = path.removeprefix("/").rpartition("/")
        if service in self._services:
            text = f"unknown method {_shown(name)} for service {service}"
        else:
            text = f"unknown service {_shown(service)}" if service else f"malformed method name {_shown(path)!r}"
        return Status(StatusCode.UNIMPLEMENTED, text)

    # -- where it listens

    def add_listener(self, target: str, *, tls: TlsOptions | None = None) -> None:
        """Listen on one more address, with TLS options of its own. To be called before the server starts."""
        if self._workers is not None:
            raise LocalProtocolError("a listener is added before the server starts")
        self._targets.append((target, tls))

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the server listens, with real ports: ``127.0.0.1:50051``, ``unix:/run/x``."""
        return tuple(str(listener.address) for listener in self._listeners)

    # -- its life

    async def __aenter__(self) -> Server:
        """Start to listen. Raises InvalidArgument or ConnectError if an address cannot be listened on."""
        if self._workers is not None:
            raise LocalProtocolError("a Server runs once; make another one")
        await self._lifetime.enter_async_context(self._running())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Stop: in order if the body ended well, at once if it raised. Its exception leaves as it is."""
        return await self._lifetime.__aexit__(kind, error, traceback)

    async def serve(self, *, task_status: trio.TaskStatus[tuple[str, ...]] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until `stop`; ``await nursery.start(server.serve)`` gives the addresses once it listens."""
        async with self:
            task_status.started(self.addresses)
            await self._stopped.wait()

    def call_on_stop(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when the server begins to stop: the moment to end calls that would go on for ever."""
        self._on_stop.append(callback)

    async def stop(self, grace: float | None = None) -> None:
        """Stop: accept nothing new, send GOAWAY, let calls go on for ``grace`` seconds (None: as long as they take),
        then end what is left with UNAVAILABLE. Returns when all connections are closed. Idempotent."""
        if self._connections is None:
            raise LocalProtocolError("the server does not run")
        if not self._is_stopping:
            self._is_stopping = True
            for callback in self._on_stop:
                try:
                    callback()
                except BaseException as error:
                    contain(error, self._stop_callback_failed)
        for listener in self._listeners:
            listener.close()
        for session in list(self._sessions):
            try:
                session.go_away(b"the server is stopping")
            except BaseException as error:
                contain(error, session.crashed)
        with trio.move_on_after(inf if grace is None else grace):
            await self._wait_until_connections_ended()
        for session in list(self._sessions):
            try:
                session.abort("the server was stopped")
            except BaseException as error:
                contain(error, session.crashed)
        with trio.move_on_after(FORCED_CLOSE_TIMEOUT):
            await self._wait_until_connections_ended()
        self._connections.cancel_scope.cancel()
        self._stopped.set()

    def _stop_callback_failed(self, error: BaseException) -> None:
        log_exception(error, "a callback of call_on_stop raised %s", type(error).__name__)

    async def serve_stream(self, stream: ByteStream, *, tap: Tap | None = None) -> None:
        """Serve one connection over a byte stream that came from elsewhere, until it ends. The server must run."""
        if self._workers is None:
            raise LocalProtocolError("the server does not run")
        if self._is_stopping:
            stream.close()
            return
        session: ServerSession | None = None
        try:
            session = ServerSession(self, self._workers, stream, tap)
            self._sessions.add(session)
            await session.run_within_limits()
        except BaseException as error:
            contain(error, partial(self._connection_failed, stream))
        finally:
            if session is not None:
                self._sessions.discard(session)
            stream.close()
            self._connection_ended.unpark_all()

    def _connection_failed(self, stream: ByteStream, error: BaseException) -> None:
        log_exception(error, "%s: the connection ended with an internal error", stream.peer)

    def adopt(self, stream: ByteStream, *, tap: Tap | None = None) -> None:
        """Serve one connection over a byte stream that came from elsewhere, in a task of the server's own."""
        if self._connections is None:
            raise LocalProtocolError("the server does not run")
        self._connections.start_soon(partial(self.serve_stream, stream, tap=tap))

    def snapshot(self) -> ServerSnapshot:
        """The server, its connections and their calls as they stand."""
        now = trio.current_time()
        return ServerSnapshot(
            addresses=self.addresses,
            is_stopping=self._is_stopping,
            methods=tuple(self.routes),
            connections=tuple(
                SessionSnapshot(
                    peer=session.peer,
                    age=now - session.started_at,
                    bytes_sent=session.bytes_sent,
                    bytes_received=session.bytes_received,
                    calls_started=session.calls_started,
                    connection=session.connection.snapshot(),
                )
                for session in self._sessions
            ),
            calls_started=self.calls_started,
            calls_ended=dict(self.calls_by_status),
        )

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        failure: BaseException | None = None
        try:
            for target, tls in self._targets:
                self._listeners += await listen(target, tls=tls, handshake_timeout=self.config.handshake_timeout)
            async with trio.open_nursery() as calls:
                self._workers = Workers(calls)
                await calls.start(self._run_connections)
                try:
                    yield
                    await self.stop(self.config.stop_grace)
                except BaseException as error:
                    if is_cancellation(error):  # perhaps because of what the nursery raises below
                        raise
                    failure = error
                calls.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            if failure is None:
                failure = only_exception(group)
        finally:
            self._is_stopping = True
            for listener in self._listeners:
                listener.close()
            self._stopped.set()
        if failure is not None:
            raise failure

    async def _run_connections(self, *, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as self._connections:
            for listener in self._listeners:
                self._connections.start_soon(self._accept, listener, self._connections)
            task_status.started()
            await trio.sleep_forever()

    async def _accept(self, listener: Listener, connections: trio.Nursery) -> None:
        limit = self.config.max_connections
        while True:
            while limit is not None and self._open_connections >= limit:
                await self._connection_ended.park()
            try:
                stream = await listener.accept()
                connections.start_soon(self._serve_socket, listener, stream, name=f"connection of {stream.peer}")
                self._open_connections += 1
            except trio.ClosedResourceError:
                return
            except BaseException as error:
                contain(error, partial(self._accepting_failed, listener))
                await trio.sleep(ACCEPT_PAUSE)

    def _accepting_failed(self, listener: Listener, error: BaseException) -> None:
        log_exception(error, "%s: accepting a connection failed", listener.address)

    async def _serve_socket(self, listener: Listener, stream: SocketStream) -> None:
        try:
            if self.config.keepalive_time is not None:
                stream.limit_unacknowledged_time(self.config.keepalive_timeout)
            await self.serve_stream(await listener.secure(stream))
        except ConnectError as error:
            with suppress(Exception):  # that the log fails is no reason to end anything
                logger.info("%s", error)
        except BaseException as error:
            contain(error, partial(self._connection_failed, stream))
        finally:
            stream.close()
            self._open_connections -= 1
            self._connection_ended.unpark_all()

    async def _wait_until_connections_ended(self) -> None:
        while self._open_connections or self._sessions:
            await self._connection_ended.park()


def _shown(name: str) -> str:
    return name if len(name) <= MAX_SHOWN_NAME else f"{name[:MAX_SHOWN_NAME]}..."
