"""The server on asyncio."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from grpc import _channelz
from grpc._aio_errors import UsageError
from grpc._channel_options import checked_options
from grpc._server import Handlers, HandlersAndPorts
from grpc._server_options import server_config
from grpc.aio import _base_server
from grpc.aio._interceptor import ServerInterceptor
from grpc.aio._serving import fallback_method, method_for
from puregrpc import Server as PureServer
from puregrpc import errors

__all__ = ["Server"]


class Server(HandlersAndPorts, _base_server.Server):
    """A server over puregrpc's."""

    _server: PureServer

    def __init__(
        self,
        thread_pool: Any,
        generic_handlers: Sequence[Any] | None,
        interceptors: Sequence[Any] | None,
        options: Any,
        maximum_concurrent_rpcs: int | None,
        compression: Any,
    ) -> None:
        for interceptor in interceptors or ():
            if not isinstance(interceptor, ServerInterceptor):
                raise ValueError(f"Interceptor must be ServerInterceptor, the following are invalid: {interceptor}")
        self._options = checked_options(options)
        self._handlers = Handlers(generic_handlers, interceptors)
        self._interceptors = tuple(interceptors or ())
        self._executor = thread_pool
        self._server = PureServer(
            config=server_config(self._options, compression, maximum_concurrent_rpcs), executor=thread_pool
        )
        if _channelz.is_wanted(self._options):
            _channelz.watch_server(self._server)
        self._is_started = False
        self._stopped: asyncio.Future[None] | None = None
        self._is_stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None
        """Where it has been started."""

    async def start(self) -> None:
        if self._is_started:
            if self._is_stopped:
                raise UsageError("Server not in ready state")
            return
        self._is_started, self._is_stopped = True, False
        find: Any = _finding(self._handlers)
        for interceptor in reversed(self._interceptors):
            find = _around(interceptor, find)
        for path, handler in self._handlers.known().items():
            self._server.add_method(method_for(path, handler, find if self._interceptors else None, self._executor))
        self._server.add_fallback(
            fallback_method(find, self._executor)
        )  # handlers may come later, and interceptors see every call
        self._loop = asyncio.get_running_loop()
        await self._server.start()

    async def stop(self, grace: float | None) -> None:
        _channelz.forget_server(self._server)
        if self._is_started:
            await self._server.stop(grace or 0)
        else:
            self._server.unbind()
        self._is_stopped = True
        if self._stopped is not None and not self._stopped.done():
            self._stopped.set_result(None)  # whoever stops it goes on before those who wait for that

    async def wait_for_termination(self, timeout: float | None = None) -> bool:
        if self._is_stopped:
            return False
        if self._stopped is None or self._stopped.done():
            self._stopped = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait_for(asyncio.shield(self._stopped), timeout)
        except asyncio.TimeoutError:
            return True
        return False

    def __del__(self) -> None:
        """One that nobody has any more stops at once, as grpcio's does; perhaps on another thread than its loop's."""
        if not hasattr(self, "_loop") or self._is_stopped:
            return
        loop = self._loop
        if loop is None:
            self._server.unbind()
        else:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and with it what the server did there
                loop.call_soon_threadsafe(_begin_to_stop, loop, self._server)


_stopping: set[asyncio.Task[None]] = set()
"""Which a loop alone would not keep."""


def _begin_to_stop(loop: asyncio.AbstractEventLoop, server: PureServer) -> None:
    _channelz.forget_server(server)
    task = loop.create_task(_stop(server))
    _stopping.add(task)
    task.add_done_callback(_stopping.discard)


async def _stop(server: PureServer) -> None:
    with contextlib.suppress(errors.Error):
        await server.stop(0)


def _finding(handlers: Handlers) -> Any:
    """Finds a call's handler, without a hold on the server: it is to go when nobody has it."""

    async def find(details: Any) -> Any:
        return handlers.find(details)

    return find


def _around(interceptor: ServerInterceptor, find: Any) -> Any:
    async def intercept(details: Any) -> Any:
        return await interceptor.intercept_service(find, details)

    return intercept
