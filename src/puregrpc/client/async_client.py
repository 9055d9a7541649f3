"""The client for trio programs: what `Client` does, in the caller's own loop."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

import trio

from puregrpc.client import health
from puregrpc.client.backend import CallRequest
from puregrpc.client.core import NOT_CONNECTED, ClientCore, PreparedCall
from puregrpc.client.link import Link, open_link
from puregrpc.client.params import INVOKE_TIMEOUT, CallKeywords, ConnectKeywords, connect_params
from puregrpc.client.records import HealthStatus, MethodInfo, Response
from puregrpc.client.status import CANCELED_HERE
from puregrpc.errors import Error, InvalidArgument, LocalProtocolError, NotConnected
from puregrpc.metrics import Metrics

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from puregrpc.client.async_stream import AsyncStream
    from puregrpc.client.params import ConnectParams

__all__ = ["AsyncClient", "PendingResponse"]

Path = str | os.PathLike[str]


class PendingResponse:
    """A call that is under way: ``await`` it for its Response, as often as wanted."""

    def __init__(self) -> None:
        self._done = trio.Event()
        self._response: Response | None = None
        self._error: BaseException | None = None

    def set(self, response: Response | None, error: BaseException | None) -> None:
        """The call is over."""
        self._response, self._error = response, error
        self._done.set()

    def __await__(self) -> Generator[Any, Any, Response]:
        return self._wait().__await__()

    async def _wait(self) -> Response:
        await self._done.wait()
        if self._response is None:
            raise self._error or NotConnected("the client was closed while the call was under way")
        return self._response


class AsyncClient:
    """A gRPC client for trio: ``async with AsyncClient() as client: …``.

    Methods, params and results are those of `Client`; what touches the network is awaited. Times are milliseconds.
    What the body raises leaves as itself; calls and streams that are open then are cancelled. Raises
    LocalProtocolError outside trio, where `Client` is the one to use.
    """

    def __init__(self, *, metrics: Metrics | None = None) -> None:
        self.core = ClientCore() if metrics is None else ClientCore(metrics)
        self.streams: set[AsyncStream] = set()
        self._lifetime: AbstractAsyncContextManager[None] | None = None
        self._nursery: trio.Nursery | None = None
        self._link: Link | None = None
        self._closing: trio.Event | None = None
        self._closed: trio.Event | None = None

    @property
    def metrics(self) -> Metrics:
        """What was measured."""
        return self.core.metrics

    # -- the lifetime

    async def __aenter__(self) -> AsyncClient:
        try:
            trio.lowlevel.current_task()
        except RuntimeError:
            raise LocalProtocolError(
                "AsyncClient works inside trio.run; in other programs use puregrpc.Client, which blocks"
            ) from None
        if self._lifetime is not None:
            raise LocalProtocolError("an AsyncClient can be entered only once")
        self._lifetime = self._live()
        await self._lifetime.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if self._lifetime is None:
            return None
        return await self._lifetime.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def _live(self) -> AsyncIterator[None]:
        failure: BaseException | None = None
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                yield
                await self.close()
            except BaseException as error:  # raised again below, where the nursery does not wrap it
                failure = error
            self._nursery = None
            self.core.address = ""
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    # -- the schema

    def load(self, import_paths: Sequence[Path] | None = None, *files: Path) -> list[MethodInfo]:
        """See `Client.load`."""
        return self.core.load(import_paths, files)

    def load_protoset(self, path: Path) -> list[MethodInfo]:
        """See `Client.load_protoset`."""
        return self.core.load_protoset(path)

    # -- the connection

    async def connect(
        self, address: str, params: Mapping[str, Any] | None = None, **keywords: Unpack[ConnectKeywords]
    ) -> bool:
        """See `Client.connect`."""
        nursery = self._running()
        if not isinstance(address, str):
            raise InvalidArgument(f"an address is text such as 'localhost:50051', not {address!r}")
        checked = connect_params(params, keywords)
        await self._disconnect()
        began = time.perf_counter()
        opened: Link | Error = await nursery.start(partial(self._hold, address, checked))
        if isinstance(opened, Error):
            raise opened
        self._link = opened
        self.core.connected(checked, address)
        self.core.meter.connected((time.perf_counter() - began) * 1000)
        return True

    async def _hold(self, address: str, params: ConnectParams, *, task_status: trio.TaskStatus[Link | Error]) -> None:
        """Keep a connection open until it is to be closed."""
        closing, closed = trio.Event(), trio.Event()
        try:
            async with open_link(address, params, self.core.registry) as link:
                self._closing, self._closed = closing, closed
                stop = self.metrics.before_reading(self._counter(link))
                task_status.started(link)
                try:
                    await closing.wait()
                finally:
                    self._counter(link)()
                    stop()
        except Error as error:
            if closing is self._closing:
                raise
            task_status.started(error)
        finally:
            closed.set()

    def _counter(self, link: Link) -> Callable[[], None]:
        def count() -> None:
            now, before = link.traffic(), link.counted
            if now != before:
                link.counted = now
                self.core.meter.traffic(now.sent - before.sent, now.received - before.received)

        return count

    async def close(self) -> None:
        """See `Client.close`."""
        await self._disconnect()
        self.raise_failure()

    async def _disconnect(self) -> None:
        self.core.address = ""
        closing, closed, self._closing, self._closed, self._link = self._closing, self._closed, None, None, None
        for stream in list(self.streams):
            await stream.end_with(CANCELED_HERE)
        if closing is not None and closed is not None:
            closing.set()
            await closed.wait()
            self.metrics.flush()

    def raise_failure(self) -> None:
        """Raise what a stream's handler raised, if nobody has been told of it yet."""
        for stream in list(self.streams):
            stream.raise_failure()

    # -- calls

    async def invoke(
        self,
        url: str = "",
        request: Any = None,
        params: Mapping[str, Any] | None = None,
        **keywords: Unpack[CallKeywords],
    ) -> Response:
        """See `Client.invoke`."""
        call = self.core.prepare(url, request, params, keywords)
        return await self._complete(call, self.connected_link())

    async def _complete(self, call: PreparedCall, link: Link) -> Response:
        if call.refused is not None:
            await trio.lowlevel.checkpoint()
            return self.core.refuse(call, call.refused)
        return self.core.respond(call, await link.unary(call))

    def async_invoke(
        self,
        url: str = "",
        request: Any = None,
        params: Mapping[str, Any] | None = None,
        **keywords: Unpack[CallKeywords],
    ) -> PendingResponse:
        """Begin a call and go on; ``await`` what it returns for the Response.

        A call that cannot be made raises when it is awaited.
        """
        nursery, pending = self._running(), PendingResponse()
        try:
            call = self.core.prepare(url, request, params, keywords)
            link = self.connected_link()
        except Error as error:
            pending.set(None, error)
            return pending

        async def run() -> None:
            response: Response | None = None
            failure: Error | None = None
            try:
                response = await self._complete(call, link)
            except Error as error:
                failure = error
            finally:
                pending.set(response, failure)

        nursery.start_soon(run)
        return pending

    async def health_check(self, service: str | None = "") -> HealthStatus:
        """See `Client.health_check`."""
        link = self.connected_link()
        meter = self.core.meter.call(self.core.address, "", {})
        outcome = await link.unary(CallRequest(health.PATH, health.request(service), (), INVOKE_TIMEOUT / 1000))
        return health.result(outcome, meter, self.metrics)

    def stream(
        self, url: str, params: Mapping[str, Any] | None = None, **keywords: Unpack[CallKeywords]
    ) -> AsyncStream:
        """Open a stream: the same as ``AsyncStream(client, url, params)``."""
        from puregrpc.client.async_stream import AsyncStream

        return AsyncStream(self, url, params, **keywords)

    loadProtoset = load_protoset  # noqa: N815 - k6's spelling
    asyncInvoke = async_invoke  # noqa: N815 - k6's spelling
    healthCheck = health_check  # noqa: N815 - k6's spelling

    # -- helpers

    def __reduce__(self) -> NoReturn:
        raise TypeError("an AsyncClient cannot be pickled or copied: make one in each process")

    def connected_link(self) -> Link:
        """The connection. Raises NotConnected."""
        self._running()
        if self._link is None:
            raise NotConnected(NOT_CONNECTED)
        return self._link

    def start_soon(self, function: Callable[[], Any]) -> None:
        """Run an async function that raises nothing, until the client is left."""
        self._running().start_soon(function)

    def _running(self) -> trio.Nursery:
        if self._nursery is None:
            try:
                trio.lowlevel.current_task()
            except RuntimeError:
                raise LocalProtocolError(
                    "AsyncClient works inside trio.run; in other programs use puregrpc.Client, which blocks"
                ) from None
            raise LocalProtocolError("an AsyncClient is used inside 'async with AsyncClient() as client:'")
        return self._nursery
