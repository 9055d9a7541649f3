"""Async code that calls plain code, and plain code that calls async code: handlers and interceptors of both kinds.

Plain code runs on the server's threads, async code in its loop; `puregrpc.server.threads.Threads` is the way between.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

from puregrpc._locks import Lock

if TYPE_CHECKING:
    from puregrpc.server.context import Context
    from puregrpc.server.threads import Threads

__all__ = ["async_many", "async_one", "awaited", "closing", "plain_many", "plain_one"]

Handler = Callable[[Any, Any], Any]

END = object()


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


def threads_of(context: Context) -> Threads:
    return context._call.session.threads  # noqa: SLF001 - the context is the call's face, and this is behind it


async def settle(result: Any) -> Any:
    """A result, awaited if it is to be: a plain wrapper around an async function gives such."""
    return await result if hasattr(result, "__await__") else result


def awaited(handler: Handler) -> Handler:
    """A plain function as an async one that runs it in place."""

    async def in_place(request: Any, context: Context) -> Any:
        return await settle(handler(request, context))

    return in_place


# -- plain functions for async callers


def async_one(handler: Handler) -> Handler:
    """A plain function with one response as an async one that runs it on a thread."""

    async def on_thread(request: Any, context: Context) -> Any:
        threads = threads_of(context)
        return await settle(await threads.call(handler, plain_requests(threads, request), context))

    return on_thread


def async_many(handler: Handler) -> Handler:
    """A plain function with many responses as an async generator that runs it on a thread."""

    async def on_thread(request: Any, context: Context) -> AsyncIterator[Any]:
        threads = threads_of(context)
        responses = await threads.call(handler, plain_requests(threads, request), context)
        if not hasattr(responses, "__aiter__"):
            responses = IteratedOnThread(threads, responses)
        async with closing(responses):
            async for response in responses:
                yield response

    return on_thread


class Lane:
    """Calls one function at a time."""

    def __init__(self) -> None:
        self._lock = Lock()

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        with self._lock:
            return function(*arguments)


class IteratedOnThread:
    """A plain iterator as an async one too; each step of that is taken on a thread."""

    def __init__(self, threads: Threads, iterable: Any) -> None:
        self._threads = threads
        self._iterator: Iterator[Any] = iter(iterable)
        self._lane = Lane()

    def __iter__(self) -> Iterator[Any]:
        return self._iterator

    def __aiter__(self) -> IteratedOnThread:
        return self

    async def __anext__(self) -> Any:
        item = await self._threads.call(self._lane, next, self._iterator, END)
        if item is END:
            raise StopAsyncIteration
        return item

    async def aclose(self) -> None:
        """Close the iterator, once it has taken the step that it is at."""
        close = getattr(self._iterator, "close", None)
        if close is not None:
            self._threads.call_later(self._lane, close)


# -- async functions for plain callers


def plain_one(handler: Handler) -> Handler:
    """A function with one response as a plain one, which waits on its thread for what is to be awaited."""

    def waiting(request: Any, context: Context) -> Any:
        threads = threads_of(context)
        response = handler(async_requests(threads, request), context)
        return threads.wait_for(settle, response) if hasattr(response, "__await__") else response

    return waiting


def plain_many(handler: Handler) -> Handler:
    """A function with many responses as a plain one that gives a plain iterator."""

    def waiting(request: Any, context: Context) -> Any:
        threads = threads_of(context)
        responses = handler(async_requests(threads, request), context)
        return AwaitedOnThread(threads, responses) if hasattr(responses, "__aiter__") else responses

    return waiting


class AwaitedOnThread:
    """An async iterator as a plain one; each step waits on the calling thread."""

    def __init__(self, threads: Threads, iterable: Any) -> None:
        self._threads = threads
        self._iterator = aiter(iterable)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        item = self._threads.wait_for(anext, self._iterator, END)
        if item is END:
            raise StopIteration
        return item

    def close(self) -> None:
        """Close the iterator."""
        aclose = getattr(self._iterator, "aclose", None)
        if aclose is not None:
            self._threads.wait_for(aclose)


# -- requests that an interceptor hands on, of one kind to code of the other


def plain_requests(threads: Threads, request: Any) -> Any:
    """A request as plain code takes it."""
    if hasattr(request, "__aiter__") and not hasattr(request, "__iter__"):
        return AwaitedOnThread(threads, request)
    return request


def async_requests(threads: Threads, request: Any) -> Any:
    """A request as async code takes it."""
    if hasattr(request, "__next__") and not hasattr(request, "__aiter__"):
        return IteratedOnThread(threads, request)
    return request
