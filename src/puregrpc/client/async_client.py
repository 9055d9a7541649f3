"""The client for asyncio and trio: what `Client` does, in the caller's own loop."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from puregrpc.client import health
from puregrpc.client.core import NOT_CONNECTED, ClientCore, PreparedCall
from puregrpc.client.link import Link, open_link
from puregrpc.client.params import INVOKE_TIMEOUT, CallKeywords, ConnectKeywords, connect_params
from puregrpc.client.records import HealthStatus, MethodInfo, Response
from puregrpc.client.requests import CallRequest, Traffic
from puregrpc.client.status import CANCELED_HERE
from puregrpc.errors import Error, InvalidArgument, LocalProtocolError, NotConnected
from puregrpc.kernel import Kernel, Task
from puregrpc.kernel.events import Event
from puregrpc.kernel.ownership import LoopOwner, open_kernel
from puregrpc.metrics import Metrics

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from puregrpc.client.async_stream import AsyncStream

__all__ = ["AsyncClient", "PendingResponse"]

Path = str | os.PathLike[str]


class PendingResponse:
    """A call that is under way: ``await`` it for its Response, as often as wanted."""

    def __init__(self, kernel: Kernel) -> None:
        self._done = Event(kernel)
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
    """A gRPC client for asyncio and trio: ``async with AsyncClient() as client: …``.

    Methods, params and results are those of `Client`; what touches the network is awaited. Times are milliseconds.
    What the body raises leaves as itself; calls and streams that are open then are cancelled. On asyncio it may be
    used without ``async with`` too: `close` it then. Raises LocalProtocolError outside of an event loop, where `Client`
    is the one to use, and on trio outside of ``async with``.
    """

    def __init__(self, *, metrics: Metrics | None = None) -> None:
        self.core = ClientCore() if metrics is None else ClientCore(metrics)
        self.streams: set[AsyncStream] = set()
        self._owner = LoopOwner("AsyncClient")
        self._lifetime: AbstractAsyncContextManager[Kernel] | None = None
        self._is_left = False
        self._link: Link | None = None
        self._traffic_before = Traffic()
        """What went over the connections that are closed."""
        self._counted = Traffic()
        self._stop_counting: Callable[[], None] | None = None

    @property
    def metrics(self) -> Metrics:
        """What was measured."""
        return self.core.metrics

    # -- the lifetime

    async def __aenter__(self) -> AsyncClient:
        if self._lifetime is not None:
            raise LocalProtocolError("an AsyncClient can be entered only once")
        self._lifetime = open_kernel("AsyncClient")
        self._owner.take(await self._lifetime.__aenter__())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        lifetime = self._lifetime
        if lifetime is None:
            return None
        failure = error
        try:
            if error is None:
                await self.close()
        except BaseException as raised:  # handed to the kernel's body, which raises it again
            failure = raised
        self._is_left = True
        self.core.address = ""
        trace = None if failure is None else failure.__traceback__
        return await lifetime.__aexit__(None if failure is None else type(failure), failure, trace)

    @property
    def kernel(self) -> Kernel:
        """The kernel of the loop that runs. Raises LocalProtocolError where there is none, or it is another's."""
        if self._is_left:
            raise LocalProtocolError("an AsyncClient is used inside 'async with AsyncClient() as client:'")
        return self._owner.claim()

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
        kernel = self.kernel
        if not isinstance(address, str):
            raise InvalidArgument(f"an address is text such as 'localhost:50051', not {address!r}")
        checked = connect_params(params, keywords)
        await self._disconnect()
        began = time.perf_counter()
        self._link = await open_link(kernel, address, checked, self.core.registry)
        self.core.connected(checked, address)
        self.core.meter.connected((time.perf_counter() - began) * 1000)
        self._stop_counting = self.metrics.before_reading(self._count_traffic)
        return True

    def _traffic(self) -> Traffic:
        before, link = self._traffic_before, self._link
        if link is None:
            return before
        now = link.traffic()
        return Traffic(before.sent + now.sent, before.received + now.received)

    def _count_traffic(self) -> None:
        now, before = self._traffic(), self._counted
        if now != before:
            self._counted = now
            self.core.meter.traffic(now.sent - before.sent, now.received - before.received)

    async def close(self) -> None:
        """See `Client.close`."""
        await self._disconnect()
        self.raise_failure()

    async def _disconnect(self) -> None:
        self.core.address = ""
        for stream in list(self.streams):
            await stream.end_with(CANCELED_HERE)
        link = self._link
        if link is None:
            return
        try:
            await link.core.close()
        finally:
            self._count_traffic()
            self._traffic_before = self._traffic()
            self._link = None
            if self._stop_counting is not None:
                self._stop_counting()
                self._stop_counting = None
            self.metrics.flush()
        if self._lifetime is None:
            await self.kernel.close()

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
            await self.kernel.checkpoint()
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
        pending = PendingResponse(self.kernel)
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

        self.kernel.spawn(run)
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
        """The connection. Raises NotConnected, LocalProtocolError in another loop than the client's."""
        if self._link is None:
            self._owner.claim()
            raise NotConnected(NOT_CONNECTED)
        if not self._owner.is_current():
            self._owner.claim()
        return self._link

    def spawn(self, function: Callable[[], Coroutine[Any, Any, None]]) -> Task:
        """Run an async function that raises nothing, until the client is left."""
        return self.kernel.spawn(function)
