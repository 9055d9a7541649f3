"""Interceptors on asyncio: of clients, with the calls that go through them, and of servers."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABCMeta, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from functools import partial
from typing import Any, NamedTuple

from grpc._aio_errors import EOF, UsageError
from grpc._client_interfaces import ClientCallDetails as _ClientCallDetails
from grpc._codes import StatusCode
from grpc._state import CANCELLED_HERE
from grpc.aio import _base_call
from grpc.aio._call import ALREADY_OVER, HALF_CLOSED, STYLES_MIXED, AioRpcError
from grpc.aio._call import StreamStreamCall as StreamStreamCall
from grpc.aio._call import StreamUnaryCall as StreamUnaryCall
from grpc.aio._call import UnaryStreamCall as UnaryStreamCall
from grpc.aio._call import UnaryUnaryCall as UnaryUnaryCall
from grpc.aio._interception import Interception

__all__ = [
    "ClientCallDetails", "ClientInterceptor", "InterceptedStreamStreamCall", "InterceptedStreamUnaryCall",
    "InterceptedUnaryStreamCall", "InterceptedUnaryUnaryCall", "ServerInterceptor", "StreamStreamClientInterceptor",
    "StreamUnaryClientInterceptor", "UnaryStreamClientInterceptor", "UnaryUnaryCallResponse",
    "UnaryUnaryClientInterceptor", "sorted_interceptors",
]  # fmt: skip


class ServerInterceptor(metaclass=ABCMeta):
    """Around the choice of a handler for each call."""

    @abstractmethod
    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        """``await continuation(handler_call_details)`` gives the handler, or None; so does this."""


class _DetailsFields(NamedTuple):
    method: Any
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None


class ClientCallDetails(_DetailsFields, _ClientCallDetails):
    """A call that is about to be made."""


class ClientInterceptor(metaclass=ABCMeta):
    """What goes around calls."""


class UnaryUnaryClientInterceptor(ClientInterceptor, metaclass=ABCMeta):
    """Around calls with one request and one response."""

    @abstractmethod
    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """``await continuation(client_call_details, request)`` begins the call. Gives a call, or a response."""


class UnaryStreamClientInterceptor(ClientInterceptor, metaclass=ABCMeta):
    """Around calls with one request and many responses."""

    @abstractmethod
    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """``await continuation(client_call_details, request)`` begins the call. Gives a call, or an async iterator."""


class StreamUnaryClientInterceptor(ClientInterceptor, metaclass=ABCMeta):
    """Around calls with many requests and one response."""

    @abstractmethod
    async def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        """``await continuation(client_call_details, request_iterator)`` begins the call. Gives a call."""


class StreamStreamClientInterceptor(ClientInterceptor, metaclass=ABCMeta):
    """Around calls with many requests and many responses."""

    @abstractmethod
    async def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        """``await continuation(client_call_details, request_iterator)`` begins the call. Gives a call, or an async
        iterator."""


KINDS = (
    UnaryUnaryClientInterceptor,
    UnaryStreamClientInterceptor,
    StreamUnaryClientInterceptor,
    StreamStreamClientInterceptor,
)


def sorted_interceptors(interceptors: Sequence[Any] | None) -> tuple[list[Any], list[Any], list[Any], list[Any]]:
    """Those of each of the four kinds. Raises ValueError for what is of none."""
    kinds: tuple[list[Any], list[Any], list[Any], list[Any]] = ([], [], [], [])
    for interceptor in interceptors or ():
        for found, kind in zip(kinds, KINDS, strict=True):
            if isinstance(interceptor, kind):
                found.append(interceptor)
                break
        else:
            names = " or ".join(kind.__name__ for kind in KINDS)
            raise ValueError(f"Interceptor {interceptor} must be {names}")
    return kinds


class InterceptedCall:
    """A call that is made by interceptors, and then is the call that they give."""

    _method: str
    """The interceptor's method."""
    _call_type: type[Any]
    _last_call: Any = None
    """The newest call that was begun."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        interceptors: list[Any],
        method: bytes,
        request: Any,
        timeout: float | None,
        metadata: Any,
        credentials: Any,
        wait_for_ready: bool | None,
        compression: Any,
        begin: Callable[[Any, Any, Any], Any],
    ) -> None:
        self._loop = loop
        self._compression = compression
        self._begin = begin
        self._pending_callbacks: list[Callable[[Any], Any]] = []
        details = ClientCallDetails(method, timeout, metadata, credentials, wait_for_ready)
        running = self._run(interceptors, details, self._requests(request))
        self._interception = Interception(loop, running, self._begun)

    def __del__(self) -> None:
        if hasattr(self, "_interception") and not self._loop.is_closed():
            self.cancel()

    def _requests(self, request: Any) -> Any:
        """What the interceptors get as the request."""
        return request

    async def _run(self, interceptors: list[Any], details: Any, request: Any) -> Any:
        if not interceptors:
            self._last_call = self._begin(details, request, self._compression)
            return self._last_call
        continuation = partial(self._run, interceptors[1:])
        found = await getattr(interceptors[0], self._method)(continuation, details, request)
        is_call = found is self._last_call or isinstance(found, self._call_type)  # which is slow to say
        return found if is_call else self._as_call(found)

    def _as_call(self, found: Any) -> Any:
        """What an interceptor gave that is no call, as one."""
        return found

    def _begun(self) -> None:
        if not self._pending_callbacks:
            return
        callbacks, self._pending_callbacks = self._pending_callbacks, []
        call = None
        with contextlib.suppress(Exception, asyncio.CancelledError):
            call = self._result()
        if call is None or call.done():
            for callback in callbacks:
                callback(self)
        else:
            for callback in callbacks:
                call.add_done_callback(partial(self._called_back, callback))

    def _called_back(self, callback: Callable[[Any], Any], _call: Any) -> None:
        callback(self)

    def _result(self) -> Any:
        """The call that the interceptors gave; raises what they raised."""
        return self._interception.result()

    def cancel(self) -> bool:
        if not self._interception.done():
            return self._interception.cancel()
        try:
            call = self._result()
        except BaseException:
            return False
        return bool(call.cancel())

    def cancelled(self) -> bool:
        if not self._interception.done():
            return False
        try:
            call = self._result()
        except AioRpcError as error:
            return error.code() is StatusCode.CANCELLED
        except asyncio.CancelledError:
            return True
        except Exception:
            return False
        return bool(call.cancelled())

    def done(self) -> bool:
        if not self._interception.done():
            return False
        try:
            call = self._result()
        except (Exception, asyncio.CancelledError):
            return True
        return bool(call.done())

    def add_done_callback(self, callback: Callable[[Any], Any]) -> None:
        if not self._interception.done():
            self._pending_callbacks.append(callback)
            return
        try:
            call = self._result()
        except (Exception, asyncio.CancelledError):
            callback(self)
            return
        if call.done():
            callback(self)
        else:
            call.add_done_callback(partial(self._called_back, callback))

    def time_remaining(self) -> float | None:
        """Not known: an interceptor may have set another time."""
        raise NotImplementedError

    async def initial_metadata(self) -> Any:
        try:
            call = await self._interception
        except AioRpcError as error:
            return error.initial_metadata()
        except asyncio.CancelledError:
            return None
        return await call.initial_metadata()

    async def trailing_metadata(self) -> Any:
        try:
            call = await self._interception
        except AioRpcError as error:
            return error.trailing_metadata()
        except asyncio.CancelledError:
            return None
        return await call.trailing_metadata()

    async def code(self) -> Any:
        try:
            call = await self._interception
        except AioRpcError as error:
            return error.code()
        except asyncio.CancelledError:
            return StatusCode.CANCELLED
        return await call.code()

    async def details(self) -> Any:
        try:
            call = await self._interception
        except AioRpcError as error:
            return error.details()
        except asyncio.CancelledError:
            return CANCELLED_HERE
        return await call.details()

    async def debug_error_string(self) -> Any:
        """Wait for the status in grpcio's form for people."""
        try:
            call = await self._interception
        except AioRpcError as error:
            return error.debug_error_string()
        except asyncio.CancelledError:
            return ""
        return await call.debug_error_string()

    async def wait_for_connection(self) -> None:
        call = await self._interception
        await call.wait_for_connection()


class _UnaryResponse(InterceptedCall):
    def __await__(self) -> Generator[Any, None, Any]:
        call = yield from self._interception.__await__()
        return (yield from call.__await__())


class _StreamResponse(InterceptedCall):
    _iterator: Any = None

    def __aiter__(self) -> AsyncIterator[Any]:
        if self._iterator is None:
            self._iterator = self._responses()
        return self._iterator  # type: ignore[no-any-return]

    async def _responses(self) -> AsyncIterator[Any]:
        call = await self._interception
        async for response in call:
            yield response

    async def read(self) -> Any:
        """The next response; EOF at the end."""
        try:
            return await self.__aiter__().__anext__()
        except StopAsyncIteration:
            return EOF


class _StreamRequest(InterceptedCall):
    """Without an iterable of requests, what is written becomes one, which the interceptors get."""

    _written: asyncio.Queue[Any] | None = None
    _code: asyncio.Task[Any] | None = None

    def _requests(self, request: Any) -> Any:
        if request is not None:
            return request
        self._written = asyncio.Queue(maxsize=1)
        return self._taken(self._written)

    async def _taken(self, written: asyncio.Queue[Any]) -> AsyncIterator[Any]:
        await self._interception
        while (request := await written.get()) is not EOF:
            yield request

    async def _put(self, call: Any, request: Any, written: asyncio.Queue[Any]) -> None:
        """Hand a request over, unless the call ends meanwhile."""
        if self._code is None:
            self._code = self._loop.create_task(call.code())
        putting = self._loop.create_task(written.put(request))
        await asyncio.wait((putting, self._code), return_when=asyncio.FIRST_COMPLETED)
        if not putting.done():
            putting.cancel()

    async def write(self, request: Any) -> None:
        """Send a request."""
        if self._written is None:
            raise UsageError(STYLES_MIXED)
        try:
            call = await self._interception
        except (asyncio.CancelledError, AioRpcError):
            raise asyncio.InvalidStateError(ALREADY_OVER) from None
        if call.done():
            raise asyncio.InvalidStateError(ALREADY_OVER)
        if call._done_writing_flag:
            raise asyncio.InvalidStateError(HALF_CLOSED)
        await self._put(call, request, self._written)
        if call.done():
            raise asyncio.InvalidStateError(ALREADY_OVER)

    async def done_writing(self) -> None:
        """Say that all requests have been sent."""
        if self._written is None:
            raise UsageError(STYLES_MIXED)
        try:
            call = await self._interception
        except asyncio.CancelledError:
            raise asyncio.InvalidStateError(ALREADY_OVER) from None
        await self._put(call, EOF, self._written)


class InterceptedUnaryUnaryCall(_UnaryResponse, _base_call.UnaryUnaryCall[Any, Any]):
    """One request and one response."""

    _method = "intercept_unary_unary"
    _call_type = _base_call.UnaryUnaryCall

    def _as_call(self, found: Any) -> Any:
        return UnaryUnaryCallResponse(found)


class InterceptedUnaryStreamCall(_StreamResponse, _base_call.UnaryStreamCall[Any, Any]):
    """One request and many responses."""

    _method = "intercept_unary_stream"
    _call_type = _base_call.UnaryStreamCall

    def _as_call(self, found: Any) -> Any:
        self._last_call = UnaryStreamCallResponseIterator(self._last_call, found)
        return self._last_call


class InterceptedStreamUnaryCall(_StreamRequest, _UnaryResponse, _base_call.StreamUnaryCall[Any, Any]):
    """Many requests and one response."""

    _method = "intercept_stream_unary"
    _call_type = _base_call.StreamUnaryCall


class InterceptedStreamStreamCall(_StreamRequest, _StreamResponse, _base_call.StreamStreamCall[Any, Any]):
    """Many requests and many responses."""

    _method = "intercept_stream_stream"
    _call_type = _base_call.StreamStreamCall

    def _as_call(self, found: Any) -> Any:
        self._last_call = StreamStreamCallResponseIterator(self._last_call, found)
        return self._last_call


class UnaryUnaryCallResponse(_base_call.UnaryUnaryCall[Any, Any]):
    """A response that an interceptor gave, as a call that is over."""

    def __init__(self, response: Any) -> None:
        self._response = response

    def cancel(self) -> bool:
        return False

    def cancelled(self) -> bool:
        return False

    def done(self) -> bool:
        return True

    def add_done_callback(self, callback: Callable[[Any], Any]) -> None:
        raise NotImplementedError

    def time_remaining(self) -> float | None:
        raise NotImplementedError

    async def initial_metadata(self) -> Any:
        return None

    async def trailing_metadata(self) -> Any:
        return None

    async def code(self) -> StatusCode:
        return StatusCode.OK

    async def details(self) -> str:
        return ""

    async def debug_error_string(self) -> str | None:
        """There is none."""
        return None

    def __await__(self) -> Generator[Any, None, Any]:
        return self._response
        yield

    async def wait_for_connection(self) -> None:
        pass


class _ResponseIterator:
    """A call with the responses that an interceptor gave in the place of its own."""

    def __init__(self, call: Any, responses: Any) -> None:
        self._call = call
        self._response_iterator = responses

    def cancel(self) -> bool:
        return bool(self._call.cancel())

    def cancelled(self) -> bool:
        return bool(self._call.cancelled())

    def done(self) -> bool:
        return bool(self._call.done())

    def add_done_callback(self, callback: Callable[[Any], Any]) -> None:
        self._call.add_done_callback(callback)

    def time_remaining(self) -> float | None:
        return self._call.time_remaining()  # type: ignore[no-any-return]

    async def initial_metadata(self) -> Any:
        return await self._call.initial_metadata()

    async def trailing_metadata(self) -> Any:
        return await self._call.trailing_metadata()

    async def code(self) -> Any:
        return await self._call.code()

    async def details(self) -> Any:
        return await self._call.details()

    async def debug_error_string(self) -> Any:
        """Wait for the status in grpcio's form for people."""
        return await self._call.debug_error_string()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._response_iterator.__aiter__()  # type: ignore[no-any-return]

    async def wait_for_connection(self) -> None:
        await self._call.wait_for_connection()

    async def read(self) -> Any:
        try:
            return await self._response_iterator.__anext__()
        except StopAsyncIteration:
            return EOF


class UnaryStreamCallResponseIterator(_ResponseIterator, _base_call.UnaryStreamCall[Any, Any]):
    """One request and many responses."""


class StreamStreamCallResponseIterator(_ResponseIterator, _base_call.StreamStreamCall[Any, Any]):
    """Many requests and many responses."""

    async def write(self, request: Any) -> None:
        await self._call.write(request)

    async def done_writing(self) -> None:
        await self._call.done_writing()

    @property
    def _done_writing_flag(self) -> bool:
        return bool(self._call._done_writing_flag)
