"""Interceptors: code around the handlers of a server, the same for all four shapes of call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from puregrpc.server.callables import is_async
from puregrpc.server.method import IN_PLACE, Handler, Method
from puregrpc.server.mixing import async_many, async_one, awaited, plain_many, plain_one

if TYPE_CHECKING:
    from puregrpc.server.context import Context

__all__ = ["Chain", "Interceptor", "chain_of"]

Proceed = Callable[[Any, Any], Any]


class Interceptor:
    """Code around handlers. Override one method or both; the defaults pass everything through.

    ``request`` is what the handler would get: one message, or an iterator of messages if the client streams
    (``context.shape`` tells). An interceptor may look at it, replace it, call the handler never, once or (with care)
    again, and end the call with ``context.abort`` or an RpcError. The first interceptor of a server is the outermost.

    The methods may be async or plain, whatever the handlers are. Plain ones run on threads, as plain handlers do
    (`puregrpc.server.in_place` says of one that it need not); for them ``proceed`` blocks, and gives plain iterators.
    """

    def one_response(self, request: Any, context: Context, proceed: Proceed) -> Any:
        """Around a call with one response (UNARY, CLIENT_STREAM).

        ``async def``: ``await proceed(request, context)`` goes on. Plain ``def``: ``proceed(request, context)`` does.
        """
        return proceed(request, context)

    def many_responses(self, request: Any, context: Context, proceed: Proceed) -> Any:
        """Around a call with a stream of responses (SERVER_STREAM, BIDI): a generator, async or plain.

        ``async for response in proceed(request, context)`` or plain ``for`` gives those of the handler.
        """
        return proceed(request, context)


class Chain:
    """A handler with the interceptors around it, and how it is to be called."""

    __slots__ = ("handler", "is_async", "runs_in_place")

    def __init__(self, handler: Handler, *, is_async: bool, runs_in_place: bool) -> None:
        self.handler = handler
        self.is_async = is_async
        self.runs_in_place = runs_in_place


def chain_of(method: Method, interceptors: Sequence[Interceptor]) -> Chain:
    """The method's handler with the interceptors around it; those that do nothing for its shape are left out.

    If all are plain, they run on one thread, one inside the other. Otherwise the chain is async, and each plain one in
    it has a thread while it runs.
    """
    name = "many_responses" if method.shape.responses_stream else "one_response"
    around: list[Callable[[Any, Any, Proceed], Any]] = [
        getattr(interceptor, name)
        for interceptor in interceptors
        if getattr(type(interceptor), name) is not getattr(Interceptor, name)
    ]
    handler = method.handler
    to_async, to_plain = (async_many, plain_many) if method.shape.responses_stream else (async_one, plain_one)
    if not method.is_async and not any(is_async(each) for each in around):
        in_place = method.runs_in_place and all(_runs_in_place(each) for each in around)
        if around and not in_place:
            handler = to_plain(handler)
        for each in reversed(around):
            handler = _around(each, handler)
        return Chain(handler, is_async=False, runs_in_place=in_place)
    if not method.is_async:
        handler = awaited(handler) if method.runs_in_place else to_async(handler)
    for each in reversed(around):
        if is_async(each):
            handler = _around(each, handler)
        elif _runs_in_place(each) and not method.shape.responses_stream:
            handler = awaited(_around(each, handler))
        else:
            handler = to_async(_around(each, to_plain(handler)))
    return Chain(handler, is_async=True, runs_in_place=False)


def _runs_in_place(interceptor: Callable[..., Any]) -> bool:
    return getattr(interceptor, IN_PLACE, False) is True


def _around(interceptor: Callable[[Any, Any, Proceed], Any], handler: Handler) -> Handler:
    def around(request: Any, context: Context) -> Any:
        return interceptor(request, context, handler)

    return around
