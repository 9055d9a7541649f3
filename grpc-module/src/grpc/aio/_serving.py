"""How the handlers of a server on asyncio are found and called, as methods of puregrpc's server."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from grpc import _serving as blocking
from grpc._aio_errors import EOF, AbortError, UsageError
from grpc._channel_options import encoding_of
from grpc._codes import StatusCode, code_of
from grpc._common import checked, iterator_of
from grpc._metadata import InvalidMetadataError, outgoing
from grpc._servicer_context import CallView, _Context, bad_metadata
from grpc.aio._base_server import ServicerContext
from grpc.aio._metadata import Metadata
from puregrpc import errors
from puregrpc.server import Method, Shape

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from puregrpc.server import Context

__all__ = ["fallback_method", "method_for"]

logger = logging.getLogger("grpc._cython.cygrpc")

Find = Callable[[Any], Awaitable[Any]]
"""Gives the handler for a call's details; None if there is none."""


def method_for(path: str, handler: Any, find: Find | None, executor: Executor | None) -> Method:
    """The method of puregrpc's server for a handler; with ``find`` each call asks for its own, by the interceptors.

    Plain functions run on ``executor``, or else the loop's own.
    """
    if find is None and not _is_async(blocking._behavior(handler)):
        return blocking.method_for(path, handler, None, _PlainContext)
    shape = Shape((bool(handler.request_streaming), bool(handler.response_streaming)))
    serving = _Serving(handler, find, executor)
    return Method(path, serving.many if shape.responses_stream else serving.one, shape)


def fallback_method(find: Find, executor: Executor | None) -> Method:
    """The method for all paths that are not known beforehand: each call asks for its handler."""
    return Method("/grpc/fallback", _Serving(None, find, executor).many, Shape.BIDI)


def _is_async(behavior: Callable[..., Any]) -> bool:
    while hasattr(behavior, "func"):  # functools.partial
        behavior = behavior.func
    call = behavior if inspect.isroutine(behavior) else getattr(behavior, "__call__", behavior)  # noqa: B004
    return inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call)


class _ServicerContext(CallView, ServicerContext[Any, Any]):
    """A call as its handler sees it."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.requests: Any = None
        """An async iterator of the requests, read."""
        self.serialize: Callable[[Any], bytes] | None = None
        self._code: Any = None
        self._is_over = False
        self._callbacks: list[Callable[[Any], Any]] = []

    # -- messages

    async def read(self) -> Any:
        self._check()
        if self.requests is None:
            return EOF  # the method has one request, which has been read
        return await anext(self.requests, EOF)

    async def write(self, message: Any) -> None:
        self._check()
        await self._context.send(serialized(self.serialize, message))

    def _check(self) -> None:
        if self._is_over or self._context.cancelled:
            raise UsageError(ALREADY_OVER)

    # -- how it begins and ends

    async def send_initial_metadata(self, initial_metadata: Any) -> None:
        self._check()
        try:
            self._context.send_initial_metadata(outgoing(initial_metadata))
        except errors.LocalProtocolError:
            raise UsageError("Send initial metadata failed: already sent") from None

    async def abort(self, code: Any, details: str = "", trailing_metadata: Any = ()) -> NoReturn:
        if self._is_over or self.end.is_aborted:
            raise UsageError("Abort already called!" if self.end.is_aborted else ALREADY_OVER)
        if code is StatusCode.OK:
            raise AssertionError("abort() is not a way to end a call with OK")
        self.set_details(details or self.details())
        if trailing_metadata:
            self.set_trailing_metadata(trailing_metadata)
        self.end.is_aborted = True
        self.set_code(code)
        raise AbortError("Locally aborted.")

    async def abort_with_status(self, status: Any) -> NoReturn:
        await self.abort(status.code, status.details or "", status.trailing_metadata or ())

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        is_known = isinstance(trailing_metadata, (tuple, list, Metadata))
        if not is_known or not all(isinstance(each, tuple) and len(each) == 2 for each in trailing_metadata):
            raise TypeError(
                f"Invalid trailing metadata type, expected Tuple[Tuple[str, Union[str, bytes]]...]: {trailing_metadata}"
            )
        self.end.trailing_metadata = tuple(trailing_metadata)

    def trailing_metadata(self) -> Any:
        return self.end.trailing_metadata or ()

    def set_code(self, code: Any) -> None:
        """The code of the status: here grpcio takes its number too, and gives that back."""
        self._code = code
        self.end.code = (code_of(code) or StatusCode.UNKNOWN) if isinstance(code, int) else code

    def code(self) -> Any:
        return self._code

    def set_details(self, details: Any) -> None:
        if details is not None and not isinstance(details, str):
            raise TypeError(f"Argument 'details' has incorrect type (expected str, got {type(details).__name__})")
        self.end.details = (details or "").encode()

    def details(self) -> str:
        return (self.end.details or b"").decode("utf-8", "replace")

    def set_compression(self, compression: Any) -> None:
        try:
            self._context.set_compression(encoding_of(compression) or "identity")
        except errors.LocalProtocolError:
            raise RuntimeError("Compression setting must be specified before sending initial metadata") from None

    def add_done_callback(self, callback: Callable[[Any], Any]) -> None:
        self._callbacks.append(callback)
        if len(self._callbacks) == 1 and not self._context.add_callback(self._call_back):
            self._call_back()

    def _call_back(self) -> None:
        """The call is over. What a callback raises keeps those after it from being called, as with grpcio."""
        for callback in self._callbacks:
            callback(self)

    def cancelled(self) -> bool:
        reason = self._context.cancel_reason
        return reason is not None

    def done(self) -> bool:
        return self._is_over or self._context.cancelled

    def over(self) -> None:
        """Its handler has ended."""
        self._is_over = True


ALREADY_OVER = "RPC already finished."


class _Serving:
    """Calls a handler, or what the interceptors put in its place."""

    def __init__(self, handler: Any, find: Find | None, executor: Executor | None) -> None:
        self._handler = handler
        self._find = find
        self._executor = executor

    async def one(self, request: Any, context: Context) -> bytes:
        """A call with one response."""
        servicer_context = _ServicerContext(context)
        try:
            handler = await self._found(context, servicer_context)
            if handler.response_streaming:
                found = []
                async for data in self._responses(handler, request, servicer_context):
                    found.append(data)
                    if len(found) > 1:
                        break
                return blocking.the_one(found)
            return await self._response(handler, request, servicer_context)
        except Exception as error:
            raise _failure(error, servicer_context) from None
        finally:
            servicer_context.over()

    async def many(self, request: Any, context: Context) -> AsyncIterator[bytes]:
        """A call with a stream of responses."""
        servicer_context = _ServicerContext(context)
        try:
            handler = await self._found(context, servicer_context)
            if handler.response_streaming:
                async for data in self._responses(handler, request, servicer_context):
                    yield data
            else:
                yield await self._response(handler, request, servicer_context)
        except Exception as error:
            raise _failure(error, servicer_context) from None
        finally:
            servicer_context.over()

    async def _found(self, context: Context, servicer_context: _ServicerContext) -> Any:
        if self._find is None:
            return self._handler
        details = blocking._HandlerCallDetails(context.method, servicer_context.invocation_metadata())
        handler = await self._find(details)
        if handler is None:
            raise errors.RpcError(StatusCode.UNIMPLEMENTED.value[0], "Method not found!")
        return handler

    async def _response(self, handler: Any, request: Any, context: _ServicerContext) -> bytes:
        behavior = blocking._behavior(handler)
        argument = await _argument(handler, request, context)
        if _is_async(behavior):
            response = await behavior(argument, context)
        else:
            response = await self._in_thread(behavior, argument, context)
            if inspect.isawaitable(response):
                response = await response
        if context.end.is_aborted:
            raise context.end.error(StatusCode.UNKNOWN, "")
        if context.end.code is not None and context.end.code is not StatusCode.OK:
            raise context.end.error(StatusCode.UNKNOWN, "")
        data = serialized(handler.response_serializer, response)
        context.end.finish()
        return data

    async def _responses(self, handler: Any, request: Any, context: _ServicerContext) -> AsyncIterator[bytes]:
        behavior = blocking._behavior(handler)
        argument = await _argument(handler, request, context)
        found: Any = behavior(argument, context) if _is_async(behavior) else self._iterated(behavior, argument, context)
        if hasattr(found, "__aiter__"):
            async for response in found:
                yield serialized(handler.response_serializer, response)
        else:
            await found  # it writes to the context
        if context.end.is_aborted:
            raise context.end.error(StatusCode.UNKNOWN, "")
        context.end.finish()

    async def _in_thread(self, behavior: Callable[..., Any], argument: Any, context: _ServicerContext) -> Any:
        plain = _plain_context(context)
        return await asyncio.get_running_loop().run_in_executor(self._executor, behavior, _plain(argument), plain)

    async def _iterated(
        self, behavior: Callable[..., Any], argument: Any, context: _ServicerContext
    ) -> AsyncIterator[Any]:
        loop = asyncio.get_running_loop()
        found = await self._in_thread(behavior, argument, context)
        if hasattr(found, "__aiter__"):
            async for response in found:
                yield response
            return
        iterator = iterator_of(found)
        end = object()
        while (response := await loop.run_in_executor(self._executor, next, iterator, end)) is not end:
            yield response


async def _argument(handler: Any, request: Any, context: _ServicerContext) -> Any:
    """What a handler is called with: its request, or the iterator of them."""
    context.serialize = handler.response_serializer
    if handler.request_streaming:
        requests = request if hasattr(request, "__anext__") else _alone(request)
        context.requests = _read(requests, handler.request_deserializer, context)
        return context.requests
    if hasattr(request, "__anext__"):
        request = await anext(request, None)
        if request is None:
            raise errors.RpcError(StatusCode.UNIMPLEMENTED.value[0], "no request message came")
    return _deserialized(request, handler.request_deserializer)


async def _alone(request: bytes) -> AsyncIterator[bytes]:
    yield request


async def _read(
    requests: Any, deserialize: Callable[[bytes], Any] | None, context: _ServicerContext
) -> AsyncIterator[Any]:
    """The requests; they end with the call, for a task that is not cancelled with its handler."""
    try:
        async for message in requests:
            yield _deserialized(message, deserialize)
    except errors.Error:
        if not context.done():
            raise


def _deserialized(message: bytes, deserialize: Callable[[bytes], Any] | None) -> Any:
    return message if deserialize is None else deserialize(message)


def serialized(serialize: Callable[[Any], bytes] | None, response: Any) -> bytes:
    """The bytes of a response; nothing, as with grpcio, for None."""
    data = response if serialize is None else serialize(response)
    return b"" if data is None else checked(data)


def _plain(argument: Any) -> Any:
    """Requests for a plain function on a thread."""
    if not hasattr(argument, "__anext__"):
        return argument
    return _requests_of(argument, asyncio.get_running_loop())


def _requests_of(requests: Any, loop: asyncio.AbstractEventLoop) -> Iterator[Any]:
    while (request := asyncio.run_coroutine_threadsafe(anext(requests, EOF), loop).result()) is not EOF:
        yield request


class _PlainContext(_Context):
    """The context of a plain handler of a server on asyncio."""

    def time_remaining(self) -> float | None:
        return self._context.time_remaining()


def _plain_context(context: _ServicerContext) -> _PlainContext:
    """That of a plain handler behind interceptors."""
    plain = _PlainContext(context._context)
    plain.end = context.end
    return plain


def _failure(error: Exception, context: _ServicerContext) -> errors.RpcError:
    """How a call ends whose handler has raised."""
    if context.end.is_aborted:
        return context.end.error(StatusCode.UNKNOWN, "")
    if isinstance(error, errors.RpcError):
        return error
    if isinstance(error, InvalidMetadataError):
        return bad_metadata()
    logger.exception("Unexpected [%s] raised by servicer method", type(error).__name__, exc_info=error)
    context.end.details = None  # which the exception stands for; the code stays
    return context.end.error(StatusCode.UNKNOWN, f"Unexpected {type(error)}: {error}")
