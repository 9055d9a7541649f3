"""Serving the services of this room on servers of every kind, from one async handler for each method."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from puregrpc.server import BlockingServer, Context
from puregrpc.server.service import snake_case

if TYPE_CHECKING:
    from puregrpc.kernel.thread_kernel import ThreadKernel
    from puregrpc.proto.descriptors import ServiceDescriptor
    from puregrpc.server.base import ServerBase

__all__ = ["serve_service"]

T = TypeVar("T")


def serve_service(server: ServerBase, service: ServiceDescriptor, handlers: object) -> None:
    """As `Server.add_service`; on a blocking server, async handlers are run to their end in the thread of their call.

    Such handlers wait for nothing but requests and what ``context.kernel`` has, and end when their call is over.
    """
    if isinstance(server, BlockingServer):
        handlers = {method.name: _plain(handlers, method.name) for method in service.methods}
    server.add_service(service, handlers)


def _plain(handlers: object, name: str) -> Any:
    handler = handlers[name] if isinstance(handlers, Mapping) else getattr(handlers, snake_case(name))
    if inspect.isasyncgenfunction(handler):
        return _many(handler)
    return _one(handler) if inspect.iscoroutinefunction(handler) else handler


def _one(handler: Callable[[Any, Context], Awaitable[Any]]) -> Callable[[Any, Context], Any]:
    def plain(request: Any, context: Context) -> Any:
        return _run(context, handler(_async(request), context))

    return plain


def _many(handler: Callable[[Any, Context], AsyncIterator[Any]]) -> Callable[[Any, Context], Iterator[Any]]:
    def plain(request: Any, context: Context) -> Iterator[Any]:
        responses: Any = handler(_async(request), context)
        try:
            while True:
                try:
                    response = _run(context, anext(responses))
                except StopAsyncIteration:
                    return
                yield response
        finally:
            _run(context, responses.aclose())

    return plain


def _run(context: Context, awaitable: Awaitable[T]) -> T:
    async def awaited() -> T:
        return await awaitable

    return cast("ThreadKernel", context.kernel).run(awaited())


def _async(request: Any) -> Any:
    return _AsyncRequests(request) if isinstance(request, Iterator) else request


class _AsyncRequests:
    """The requests of a stream, for an async handler in a thread of its own."""

    def __init__(self, requests: Iterator[Any]) -> None:
        self._requests = requests

    def __aiter__(self) -> _AsyncRequests:
        return self

    async def __anext__(self) -> Any:
        for request in self._requests:
            return request
        raise StopAsyncIteration
