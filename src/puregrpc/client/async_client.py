"""The client for asyncio and trio: what `Client` does, in the caller's own loop."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from puregrpc.client.calls import health
from puregrpc.client.calls.prepared import PreparedCall
from puregrpc.client.calls.requests import CallRequest, failed_outcome
from puregrpc.client.kinds import kind_of
from puregrpc.client.network.connection import FAILURES, Connection, outcome_of
from puregrpc.client.params.call import INVOKE_TIMEOUT, CallKeywords
from puregrpc.client.params.connect import ConnectKeywords, connect_params
from puregrpc.client.results.records import HealthStatus, MethodInfo, Response
from puregrpc.client.results.wording import CANCELED_HERE
from puregrpc.client.streams.async_stream import AsyncStream
from puregrpc.client.streams.client_state import AsyncState, StreamClient
from puregrpc.codec.options import MAX_ELEMENTS
from puregrpc.errors import Error, InvalidArgument, LocalProtocolError, NotConnected
from puregrpc.kernel import Kernel
from puregrpc.kernel.events import Event
from puregrpc.kernel.ownership import open_kernel
from puregrpc.metrics import Metrics

if TYPE_CHECKING:
    import trio
    from typing_extensions import Unpack

__all__ = ["AsyncClient", "PendingResponse"]

HANDLERS_GRACE = 5.0
"""Seconds that `AsyncClient.close` waits for handlers to take the ends of the streams it closed."""

Path = str | os.PathLike[str]


class PendingResponse:
    """A call that is under way: ``await`` it for its Response, as often as wanted."""

    def __init__(self, kernel: Kernel) -> None:
        self._done = Event(kernel)
        self._response: Response | None = None
        self._error: Error | None = None

    def set(self, response: Response | None, error: Error | None) -> None:
        """The call is over."""
        self._response, self._error = response, error
        self._done.set()

    def __await__(self) -> Generator[Any, Any, Response]:
        return self._wait().__await__()

    async def _wait(self) -> Response:
        await self._done.wait()
        if self._response is None:
            raise self._error or NotConnected("the client was left while the call was under way")
        return self._response


class AsyncClient(StreamClient[AsyncState[AsyncStream]]):
    """A gRPC client for asyncio and trio: ``async with AsyncClient() as client: …``.

    Methods, params and results are those of `Client`; what touches the network is awaited. Times are milliseconds.
    What the body raises leaves as itself; calls and streams that are open then are cancelled.

    On asyncio it may be made anywhere, at import time too, and used without ``async with``: `close` it then. It belongs
    to the loop of its first `connect`. Once that is closed, it belongs to the next one that it is used in, where its
    next call connects again. On trio it is used inside ``async with``, or given the ``nursery`` that its connection
    lives in. Raises LocalProtocolError outside of an event loop, where `Client` is the one to use, and in a second
    loop beside the first.
    """

    def __new__(cls, *_: Any, **__: Any) -> AsyncClient:
        return super().__new__(kind_of(cls))

    def __init__(
        self,
        *,
        metrics: Metrics | None = None,
        nursery: trio.Nursery | None = None,
        max_elements: int = MAX_ELEMENTS,
    ) -> None:
        self._state: AsyncState[AsyncStream] = AsyncState(metrics, nursery, max_elements)
        self._core = self._state.core
        self._lifetime: AbstractAsyncContextManager[Kernel] | None = None

    @property
    def metrics(self) -> Metrics:
        """What was measured."""
        return self._core.metrics

    # -- the lifetime

    async def __aenter__(self) -> AsyncClient:
        state = self._state
        if self._lifetime is not None or state.connection is not None:
            raise LocalProtocolError("an AsyncClient is entered only once, and before it is used")
        self._lifetime = open_kernel("AsyncClient")
        state.owner.take(await self._lifetime.__aenter__())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        lifetime = self._lifetime
        if lifetime is None:
            return None
        try:
            if error is None:
                await self.close()
            else:
                with suppress(Exception):  # the body's goes on
                    await self._disconnect(grace=0.0)
        except BaseException as failure:
            if not await self._leave(lifetime, failure):
                raise
            return True
        return await self._leave(lifetime, error)

    async def _leave(self, lifetime: AbstractAsyncContextManager[Kernel], error: BaseException | None) -> bool | None:
        self._state.is_left = True
        if error is None:
            return await lifetime.__aexit__(None, None, None)
        return await lifetime.__aexit__(type(error), error, error.__traceback__)

    # -- the schema

    def load(self, import_paths: Sequence[Path] | None = None, *files: Path) -> list[MethodInfo]:
        """See `Client.load`."""
        return self._core.load(import_paths, files)

    def load_protoset(self, path: Path) -> list[MethodInfo]:
        """See `Client.load_protoset`."""
        return self._core.load_protoset(path)

    # -- the connection

    async def connect(
        self, address: str, params: Mapping[str, Any] | None = None, **keywords: Unpack[ConnectKeywords]
    ) -> bool:
        """See `Client.connect`."""
        state, core = self._state, self._core
        kernel = state.kernel
        if not isinstance(address, str):
            raise InvalidArgument(f"an address is text such as 'localhost:50051', not {address!r}")
        checked = connect_params(params, keywords)
        await self._disconnect()
        began = time.perf_counter()
        registry = core.own_registry() if checked.reflect else core.registry
        state.connection = connection = await Connection.open(kernel, address, checked, registry, known=state.known)
        core.connected(checked, address)
        core.meter.connected((time.perf_counter() - began) * 1000)
        state.traffic.begin(connection.passed)
        return True

    async def close(self) -> None:
        """See `Client.close`. Outside of ``async with`` the client may be connected again, in another loop too."""
        state = self._state
        await self._disconnect()
        if self._lifetime is None:
            await state.let_go()
        self.raise_failure()

    async def _disconnect(self, *, grace: float = HANDLERS_GRACE) -> None:
        state = self._state
        if state.owner.is_deserted:
            state.desert()
        connection = state.connection
        if connection is None:
            self._core.address = ""
            return
        kernel = state.kernel
        self._core.address = ""
        ending = list(state.streams)
        for stream in ending:
            stream.end_with(CANCELED_HERE)
        try:
            await connection.close()
            for task in list(state.pending):
                await task.join()
            if not state.is_in_handler:
                until = kernel.now() + grace
                for stream in ending:
                    await stream.wait_until_handled(until)
        finally:
            state.traffic.end()
            state.connection = None

    def raise_failure(self) -> None:
        """Raise what a stream's handler raised, if nobody has been told of it yet."""
        for stream in list(self._state.streams):
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
        state = self._state
        connection, core = state.connected(), state.core
        if connection.types is not None:
            await connection.learn(core.writing_of(url, request))
            return await self._complete(core.prepare(url, request, params, keywords), connection)
        call = core.prepare(url, request, params, keywords)
        if call.refused is not None:
            return await self._complete(call, connection)
        try:  # as `Connection.unary`: each coroutine on the way costs a call more than all of this
            outcome = await connection.method(call.path).exchange(
                call.message, metadata=call.metadata, timeout=call.timeout
            )
        except FAILURES as error:
            return core.respond(call, failed_outcome(error))
        return core.respond(call, outcome_of(outcome))

    async def _complete(self, call: PreparedCall, connection: Connection) -> Response:
        if call.refused is not None:
            await connection.core.kernel.checkpoint()
            return self._core.refuse(call, call.refused)
        outcome = await connection.unary(call)
        if connection.types is not None:
            await connection.learn(self._core.reading_of_call(call, outcome))
        return self._core.respond(call, outcome)

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
        state = self._state
        pending = PendingResponse(state.kernel)
        call: PreparedCall | None = None
        try:
            connection = state.connected()
            asks = connection.types is not None and self._core.writing_of(url, request) is not None
            if not asks:
                call = self._core.prepare(url, request, params, keywords)
        except Error as error:
            pending.set(None, error)
            return pending

        async def run() -> None:
            response: Response | None = None
            failure: Error | None = None
            try:
                if call is None:
                    response = await self.invoke(url, request, params, **keywords)
                    return
                response = await self._complete(call, connection)
            except Error as error:
                failure = error
            finally:
                pending.set(response, failure)
                state.pending.discard(task)

        task = state.kernel.spawn(run)
        state.pending.add(task)
        return pending

    async def health_check(self, service: str | None = "") -> HealthStatus:
        """See `Client.health_check`."""
        connection = self._state.connected()
        meter = self._core.meter.call(self._core.address, "", {})
        outcome = await connection.unary(CallRequest(health.PATH, health.request(service), (), INVOKE_TIMEOUT / 1000))
        return health.result(outcome, meter, self._core)

    def stream(
        self, url: str, params: Mapping[str, Any] | None = None, **keywords: Unpack[CallKeywords]
    ) -> AsyncStream:
        """Open a stream: the same as ``AsyncStream(client, url, params)``."""
        return AsyncStream(self, url, params, **keywords)

    loadProtoset = load_protoset  # noqa: N815 - k6's spelling
    asyncInvoke = async_invoke  # noqa: N815 - k6's spelling
    healthCheck = health_check  # noqa: N815 - k6's spelling

    # -- helpers

    def __reduce__(self) -> NoReturn:
        raise TypeError("an AsyncClient cannot be pickled or copied: make one in each process")
