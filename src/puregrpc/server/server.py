"""The server of trio and asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from math import inf
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from puregrpc.kernel import Kernel
from puregrpc.kernel.network.streams import ByteStream
from puregrpc.kernel.ownership import LoopOwner, open_kernel
from puregrpc.server.base import ServerBase
from puregrpc.server.config import ServerConfig
from puregrpc.server.connections import Connections
from puregrpc.server.faults import contain, log_exception
from puregrpc.server.interceptor import Interceptor

if TYPE_CHECKING:
    import trio

    from puregrpc.kernel.network.tap import Tap
    from puregrpc.kernel.threads.executor import Executor
    from puregrpc.transport.dynamic_tls import DynamicTls
    from puregrpc.transport.tls import TlsOptions

__all__ = ["Server", "StartedWith"]


class StartedWith(Protocol):
    """What ``trio.Nursery.start`` gives, to be told what has started."""

    def started(self, value: object = None) -> None:
        """It has."""


class Server(ServerBase):
    """A gRPC server on asyncio and on trio.

    ::

        server = Server("127.0.0.1:50051")
        server.add_method(Method("/pkg.Service/Echo", echo))
        async with server:                     # listens from here on; leaving the body stops it
            print(server.addresses)
            await server.wait_for_termination()

    ``targets`` are ``host:port``, ``[v6]:port``, ``:port``, ``unix:path`` or ``unix-abstract:name``, all with the same
    ``tls``; `add_listener` adds others. ``interceptors`` go around every handler, the first outermost.

    Async handlers run in the loop, each call in a task of its own; plain ones run on threads, or on ``executor``. What
    a handler raises ends its call: an RpcError with its status, anything else with UNKNOWN and the exception's type
    (the traceback goes to the log ``puregrpc.server``).
    """

    is_blocking = False

    def __init__(
        self,
        *targets: str,
        tls: TlsOptions | DynamicTls | None = None,
        config: ServerConfig = ServerConfig(),  # noqa: B008 - frozen
        interceptors: Sequence[Interceptor] = (),
        executor: Executor | None = None,
    ) -> None:
        super().__init__(*targets, tls=tls, config=config, interceptors=interceptors, executor=executor)
        self._lifetime = AsyncExitStack()
        self._own_kernel: Kernel | None = None
        """The kernel that `start` made, and `stop` closes."""

    @property
    def kernel(self) -> Kernel:
        """The kernel that it runs in. Raises LocalProtocolError before it runs."""
        return self._running().kernel

    # -- its life

    async def __aenter__(self) -> Server:
        """Start to listen. Raises InvalidArgument or ConnectError if an address cannot be listened on."""
        self._begin()
        await self._lifetime.enter_async_context(self._serving())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Stop: in order if the body ended well, at once if it raised. Its exception leaves as it is."""
        return await self._lifetime.__aexit__(kind, error, traceback)

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        async with open_kernel("Server") as kernel:
            connections = self._connections = Connections(
                kernel, self._router, self.config, self._events, self._executor
            )
            try:
                await connections.listen(self._targets)
                yield
                await connections.stop(self.config.stop_grace, self._on_stop)
            finally:
                await connections.close()

    async def serve(self, *, task_status: StartedWith | None = None) -> None:
        """Run until `stop`. On trio, ``await nursery.start(server.serve)`` gives the addresses once it listens."""
        async with self:
            if task_status is not None:
                task_status.started(self.addresses)
            await self._running().wait_stopped()

    async def start(self, nursery: trio.Nursery | None = None) -> tuple[str, ...]:
        """Start to listen, and go on until `stop`; gives the addresses.

        On trio, what it does runs in ``nursery``, which must be given. Raises as ``async with`` does.
        """
        self._begin()
        kernel = LoopOwner("Server").claim(nursery)
        connections = Connections(kernel, self._router, self.config, self._events, self._executor)
        try:
            await connections.listen(self._targets)
        except BaseException:
            await connections.close()
            await kernel.close()
            raise
        self._connections, self._own_kernel = connections, kernel
        return self.addresses

    async def stop(self, grace: float | None = None) -> None:
        """Stop: accept nothing new, send GOAWAY, let calls go on for ``grace`` seconds (None: as long as they take),
        then end what is left with UNAVAILABLE. Returns when all connections are closed. Idempotent."""
        connections = self._running()
        await connections.stop(grace, self._on_stop)
        kernel, self._own_kernel = self._own_kernel, None
        if kernel is not None:
            await connections.close()
            await kernel.close()

    async def wait_for_termination(self, timeout: float | None = None) -> bool:
        """Wait until the server has stopped. True if that was not so within ``timeout`` seconds."""
        connections = self._running()
        return not await connections.wait_stopped(inf if timeout is None else connections.kernel.now() + timeout)

    # -- connections that come from elsewhere

    async def serve_stream(self, stream: ByteStream, *, tap: Tap | None = None) -> None:
        """Serve one connection over a byte stream that came from elsewhere, until it ends. The server must run."""
        connections = self._running()
        try:
            session = await connections.begin(stream, tap)
            if session is None:
                return
            try:
                await session.transport.wait_over()
            except BaseException:
                session.abort("the connection was closed by this side")
                raise
        except BaseException as error:
            contain(
                error,
                connections.kernel,
                lambda fault: log_exception(fault, "%s: the connection ended with an internal error", stream.peer),
            )

    def adopt(self, stream: ByteStream, *, tap: Tap | None = None) -> None:
        """Serve one connection over a byte stream that came from elsewhere, in a task of the server's own."""
        self._running().kernel.spawn(partial(self.serve_stream, stream, tap=tap))
