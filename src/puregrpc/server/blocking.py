"""The server of programs without an event loop."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING

from puregrpc.errors import NotConnected
from puregrpc.kernel.threads.kernel import ThreadKernel
from puregrpc.kernel.threads.waking import Event
from puregrpc.server.base import ServerBase
from puregrpc.server.config import ServerConfig
from puregrpc.server.connections import Connections
from puregrpc.server.interceptor import Interceptor

if TYPE_CHECKING:
    from puregrpc.kernel.threads.executor import Executor
    from puregrpc.transport.dynamic_tls import DynamicTls
    from puregrpc.transport.tls import TlsOptions

__all__ = ["BlockingServer"]


class BlockingServer(ServerBase):
    """A gRPC server whose handlers are plain functions and generators, run on threads.

    ::

        server = BlockingServer("127.0.0.1:50051")
        server.add_method(Method("/pkg.Service/Echo", echo))
        server.start()
        server.wait_for_termination()

    Arguments are those of `Server`. ``maximum_concurrent_rpcs`` is ``config.max_concurrent_calls`` by grpcio's name.
    Handlers run on ``executor``, such as a `concurrent.futures.ThreadPoolExecutor`, if one is given; else on threads of
    the server's own, of which `ServerConfig.handler_threads` says how many there are.
    As a context manager it starts, and stops when the body is left.

    A handler whose call is over (``context.cancelled``) is not interrupted: it hears of it from its context, from the
    requests that it iterates over (RpcError), and at its next ``yield``, where its generator is closed.
    """

    is_blocking = True

    def __init__(
        self,
        *targets: str,
        tls: TlsOptions | DynamicTls | None = None,
        config: ServerConfig = ServerConfig(),  # noqa: B008 - frozen
        interceptors: Sequence[Interceptor] = (),
        maximum_concurrent_rpcs: int | None = None,
        executor: Executor | None = None,
    ) -> None:
        if maximum_concurrent_rpcs is not None:
            config = replace(config, max_concurrent_calls=maximum_concurrent_rpcs)
        super().__init__(*targets, tls=tls, config=config, interceptors=interceptors, executor=executor)
        self._terminated = Event()
        self._closing = threading.Lock()

    def start(self) -> tuple[str, ...]:
        """Start to listen, and return at once; gives the addresses.

        Raises InvalidArgument or ConnectError if an address cannot be listened on.
        """
        self._begin()
        kernel = ThreadKernel()
        connections = Connections(kernel, self._router, self.config, self._events, self._executor)
        try:
            kernel.run(connections.listen(self._targets))
        except BaseException:
            kernel.run(connections.close())
            kernel.run(kernel.close())
            self._terminated.set()
            raise
        self._connections = connections
        return self.addresses

    def stop(self, grace: float | None = None) -> threading.Event:
        """Stop, without waiting: accept nothing new, send GOAWAY, let calls go on for ``grace`` seconds (None: as long
        as they take), then end what is left with UNAVAILABLE.

        The event is set when all is over. May be called from signal handlers, and again: the shorter grace holds.
        """
        connections = self._connections
        if connections is None:
            if not self._was_started:
                self._was_started = True
                self.unbind()
            self._terminated.set()
        else:
            kernel = connections.kernel
            with suppress(NotConnected):  # another call has closed it
                kernel.call_soon(kernel.spawn, self._stop, connections, grace)
        return self._terminated

    async def _stop(self, connections: Connections, grace: float | None) -> None:
        await connections.stop(grace, self._on_stop)
        if self._closing.acquire(blocking=False):
            try:
                await connections.close()
                await connections.kernel.close()
            finally:
                self._terminated.set()

    def wait_for_termination(self, timeout: float | None = None) -> bool:
        """Block until the server has stopped. True if that was not so within ``timeout`` seconds."""
        return not self._terminated.wait(timeout)

    def __enter__(self) -> BlockingServer:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop: in order if the body ended well, at once if it raised."""
        self.stop(self.config.stop_grace if kind is None else 0).wait()
