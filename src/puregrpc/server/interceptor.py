"""Interceptors: code around the handlers of a server, the same for all four shapes of call."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from puregrpc.server.method import Handler, Method

if TYPE_CHECKING:
    from puregrpc.server.context import Context

__all__ = ["Interceptor", "intercepted"]


class Interceptor:
    """Code around handlers. Override one method or both; the defaults pass everything through.

    ``request`` is what the handler would get: one message, or an async iterator of messages if the client streams
    (``context.shape`` tells). An interceptor may look at it, replace it, call the handler never, once or (with care)
    again, and end the call with ``context.abort`` or an RpcError. The first interceptor of a server is the outermost.
    """

    async def one_response(
        self, request: Any, context: Context, proceed: Callable[[Any, Context], Awaitable[Any]]
    ) -> Any:
        """Around a call with one response (UNARY, CLIENT_STREAM); ``await proceed(request, context)`` goes on."""
        return await proceed(request, context)

    async def many_responses(
        self, request: Any, context: Context, proceed: Callable[[Any, Context], AsyncIterator[Any]]
    ) -> AsyncIterator[Any]:
        """Around a call with a stream of responses (SERVER_STREAM, BIDI): an async generator."""
        responses = proceed(request, context)
        async with closing(responses):
            async for response in responses:
                yield response


class closing:  # noqa: N801 - stands where contextlib.aclosing would
    """`contextlib.aclosing`, also for async iterators that have no ``aclose``."""

    __slots__ = ("_aclose",)

    def __init__(self, iterator: AsyncIterator[Any]) -> None:
        self._aclose: Callable[[], Awaitable[Any]] | None = getattr(iterator, "aclose", None)

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *_: object) -> None:
        if self._aclose is not None:
            await self._aclose()


def intercepted(method: Method, interceptors: Sequence[Interceptor]) -> Method:
    """The method with the interceptors around its handler; those that do nothing for its shape are left out."""
    handler = method.handler
    stream = method.shape.responses_stream
    name = "many_responses" if stream else "one_response"
    for interceptor in reversed(interceptors):
        if getattr(type(interceptor), name) is getattr(Interceptor, name):
            continue
        if stream:
            handler = _around_many(interceptor, handler)
        else:
            handler = _around_one(interceptor, handler)
    return method if handler is method.handler else replace(method, handler=handler)


def _around_one(interceptor: Interceptor, handler: Handler) -> Handler:
    async def proceed(request: Any, context: Context) -> Any:
        response = handler(request, context)
        return await response if inspect.isawaitable(response) else response

    async def around(request: Any, context: Context) -> Any:
        return await interceptor.one_response(request, context, proceed)

    return around


def _around_many(interceptor: Interceptor, handler: Handler) -> Handler:
    def around(request: Any, context: Context) -> AsyncIterator[Any]:
        return interceptor.many_responses(request, context, handler)

    return around
