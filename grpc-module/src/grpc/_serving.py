"""How the handlers of a blocking server are found and called, as methods of puregrpc's server."""

from __future__ import annotations

import itertools
import logging
import queue
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from grpc._codes import StatusCode
from grpc._common import deserialize, iterator_of, serialize
from grpc._server_interfaces import HandlerCallDetails
from grpc._servicer_context import _Context, _RequestIterator
from puregrpc import errors
from puregrpc.server import Method, Shape

if TYPE_CHECKING:
    from puregrpc.server import Context

__all__ = ["Find", "fallback_method", "method_for"]

logger = logging.getLogger("grpc._server")

Find = Callable[[Any], Any]
"""Gives the handler for a call's details; None if there is none."""


class _DetailsFields(NamedTuple):
    method: str
    invocation_metadata: Any


class _HandlerCallDetails(_DetailsFields, HandlerCallDetails):
    """A call that has come."""


def method_for(
    path: str, handler: Any, find: Find | None, context_of: Callable[[Context], _Context] = _Context
) -> Method:
    """The method of puregrpc's server for a handler; with ``find`` each call asks for its own, by the interceptors.

    ``context_of`` makes what the handler sees of a call.
    """
    shape = Shape((bool(handler.request_streaming), bool(handler.response_streaming)))
    serving = _Serving(handler, find, context_of)
    return Method(path, serving.many if shape.responses_stream else serving.one, shape)


def fallback_method(find: Find) -> Method:
    """The method for all paths that are not known beforehand: each call asks for its handler."""
    return Method("/grpc/fallback", _Fallback(find).many, Shape.BIDI)


class _Serving:
    """Calls one handler, or what the interceptors put in its place."""

    def __init__(self, handler: Any, find: Find | None, context_of: Callable[[Context], _Context]) -> None:
        self._handler = handler
        self._find = find
        self._context_of = context_of

    def one(self, request: Any, context: Context) -> bytes:
        """A call with one response."""
        servicer_context = self._context_of(context)
        try:
            handler = self._handler if self._find is None else _found(self._find, context, servicer_context)
            argument = _argument(handler, request, servicer_context)
            if handler.response_streaming:
                return the_one(list(itertools.islice(_responses(handler, argument, servicer_context), 2)))
            return _response(handler, argument, servicer_context)
        finally:
            servicer_context.is_over = True

    def many(self, request: Any, context: Context) -> Iterator[bytes]:
        """A call with a stream of responses."""
        servicer_context = self._context_of(context)
        try:
            handler = self._handler if self._find is None else _found(self._find, context, servicer_context)
            yield from _responses(handler, _argument(handler, request, servicer_context), servicer_context)
        finally:
            servicer_context.is_over = True


class _Fallback:
    """Calls the handler that is found for each call, of whatever shape."""

    def __init__(self, find: Find) -> None:
        self._find = find

    def many(self, requests: Any, context: Context) -> Iterator[bytes]:
        """The responses."""
        servicer_context = _Context(context)
        try:
            handler = _found(self._find, context, servicer_context)
            request = requests if handler.request_streaming else _only(requests)
            yield from _responses(handler, _argument(handler, request, servicer_context), servicer_context)
        finally:
            servicer_context.is_over = True


def the_one(responses: Sequence[bytes]) -> bytes:
    """The response of a stream that an interceptor put in the place of a method with one. Raises puregrpc's RpcError
    unless it is one."""
    if len(responses) != 1:
        some = "several responses" if responses else "no response"
        raise errors.RpcError(
            StatusCode.INTERNAL.value[0], f"an interceptor's handler gave {some} for a method with one"
        )
    return responses[0]


def _only(requests: Iterator[bytes]) -> bytes:
    request = next(requests, None)
    if request is None:
        raise errors.RpcError(StatusCode.UNIMPLEMENTED.value[0], "no request message came")
    return request


def _found(find: Find, context: Context, servicer_context: _Context) -> Any:
    """The handler for a call. Raises puregrpc's RpcError if there is none."""
    details = _HandlerCallDetails(context.method, servicer_context.invocation_metadata())
    try:
        handler = find(details)
    except Exception as error:
        logger.exception("Exception servicing handler: %s", error)
        raise servicer_context.end.error(StatusCode.UNKNOWN, "Error in service handler!") from None
    if handler is None:
        raise errors.RpcError(StatusCode.UNIMPLEMENTED.value[0], "Method not found!")
    return handler


def _argument(handler: Any, request: Any, context: _Context) -> Any:
    """What a handler is called with: its request, or the iterator of them."""
    if handler.request_streaming:
        requests = request if hasattr(request, "__next__") else iter((request,))
        return _RequestIterator(requests, context, handler.request_deserializer)
    if hasattr(request, "__next__"):
        request = _only(request)
    argument = deserialize(request, handler.request_deserializer)
    if argument is None:
        raise context.end.error(StatusCode.INTERNAL, "Exception deserializing request!")
    return argument


def _behavior(handler: Any) -> Callable[..., Any]:
    if handler.request_streaming:
        found = handler.stream_stream if handler.response_streaming else handler.stream_unary
    else:
        found = handler.unary_stream if handler.response_streaming else handler.unary_unary
    return found  # type: ignore[no-any-return]


def _response(handler: Any, argument: Any, context: _Context) -> bytes:
    try:
        response = _behavior(handler)(argument, context)
    except Exception as error:
        raise _failure(error, context, "Exception calling application") from None
    data = _serialized(handler, response, context)
    context.end.finish()
    return data


def _responses(handler: Any, argument: Any, context: _Context) -> Iterator[bytes]:
    if not handler.response_streaming:
        yield _response(handler, argument, context)
        return
    behavior = _behavior(handler)
    try:
        if getattr(behavior, "experimental_non_blocking", False):
            iterator: Iterator[Any] = _handed_over(behavior, argument, context)
        else:
            iterator = iterator_of(behavior(argument, context))
    except Exception as error:
        raise _failure(error, context, "Exception calling application") from None
    try:
        while True:
            try:
                response = next(iterator)
            except StopIteration:
                break
            except Exception as error:
                raise _failure(error, context, "Exception iterating responses") from None
            if not context.is_active():
                return
            if response is None:  # grpcio takes it for the end
                break
            yield _serialized(handler, response, context)
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            close()
    context.end.finish()


def _handed_over(behavior: Callable[..., Any], argument: Any, context: _Context) -> Iterator[Any]:
    """The responses of a handler that gives each to a function, None at the end: grpcio's experimental_non_blocking."""
    given: queue.SimpleQueue[Any] = queue.SimpleQueue()
    context.add_callback(lambda: given.put(None))
    pool = getattr(behavior, "experimental_thread_pool", None)

    def run() -> None:
        try:
            behavior(argument, context, given.put)
        except Exception as error:
            given.put(_Raised(error))

    if pool is None:
        run()
    else:
        pool.submit(run)
    while (response := given.get()) is not None:
        if isinstance(response, _Raised):
            raise response.error
        yield response


class _Raised(NamedTuple):
    error: Exception


def _serialized(handler: Any, response: Any, context: _Context) -> bytes:
    data: bytes | None = serialize(response, handler.response_serializer)
    if data is None:
        if context.end.code is not None and context.end.code is not StatusCode.OK:
            raise context.end.error(StatusCode.UNKNOWN, "")
        raise context.end.error(StatusCode.INTERNAL, "Failed to serialize response!")
    return data


def _failure(error: Exception, context: _Context, what: str) -> errors.RpcError:
    """How a call ends whose handler has raised."""
    if context.end.is_aborted:
        return context.end.error(StatusCode.UNKNOWN, "RPC Aborted")
    if error in context.rpc_errors:
        return context.end.error(StatusCode.CANCELLED, "the call is over")
    try:
        details = f"{what}: {error}"
    except Exception:
        details = "Calling application raised unprintable Exception!"
    logger.exception(details)
    return context.end.error(StatusCode.UNKNOWN, details)
