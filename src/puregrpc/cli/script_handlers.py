"""Functions as people write them in a script, as handlers of a server.

Async functions run under trio. Plain ones run in a thread of their own for the time of the call, so that they may
block: the requests of a client stream are then a plain iterator.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import trio

from puregrpc.proto.descriptors import MethodDescriptor
from puregrpc.server import Context
from puregrpc.server.interceptor import closing
from puregrpc.server.method import Handler

__all__ = ["handler_for"]

MAX_THREADS = 200
"""How many calls of plain functions run at a time; others wait."""


def handler_for(function: Callable[..., Any], method: MethodDescriptor) -> Handler:
    """The handler that calls ``function(request, context)`` for a method of any shape.

    A stream's responses may be yielded or returned as a list.
    """
    if method.is_server_stream:
        return partial(_many, function, method)
    return partial(_one, function, method)


class ScriptExitError(Exception):
    """A function of the script called sys.exit: that ends its call, not the server."""


_limiter: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("puregrpc.script.limiter")


async def _in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call in a thread, wait for it, and give what it returns."""
    try:
        limiter = _limiter.get()
    except LookupError:
        limiter = trio.CapacityLimiter(MAX_THREADS)
        _limiter.set(limiter)
    return await trio.to_thread.run_sync(function, *arguments, limiter=limiter)


class _ContextInThread:
    """The context of a call for a function that runs in a thread: what it does happens in the server's."""

    __slots__ = ("_context",)

    def __init__(self, context: Context) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._context, name)
        if not inspect.ismethod(value):
            return value

        def call(*arguments: Any, **named: Any) -> Any:
            return trio.from_thread.run_sync(partial(value, *arguments, **named))

        return call


class _RequestsInThread:
    """The requests of a streaming client as a plain iterator, for a function that runs in a thread."""

    def __init__(self, requests: AsyncIterator[Any]) -> None:
        self._requests = requests

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        end = object()
        request = trio.from_thread.run(self._next, end)
        if request is end:
            raise StopIteration
        return request

    async def _next(self, end: object) -> Any:
        try:
            return await self._requests.__anext__()
        except StopAsyncIteration:
            return end


def _is_async(function: Callable[..., Any]) -> bool:
    inner = inspect.unwrap(function)
    return inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner)


async def _called(function: Callable[..., Any], method: MethodDescriptor, request: Any, context: Context) -> Any:
    """What the function returns: a response, or responses in any form."""
    if _is_async(function):
        answer = function(request, context)
    else:
        given = _RequestsInThread(request) if method.is_client_stream else request
        answer = await _in_thread(function, given, _ContextInThread(context))
    return await answer if inspect.isawaitable(answer) else answer


async def _one(function: Callable[..., Any], method: MethodDescriptor, request: Any, context: Context) -> Any:
    try:
        return await _called(function, method, request, context)
    except SystemExit as error:
        raise ScriptExitError(f"{method.path}: the script called sys.exit") from error


async def _many(
    function: Callable[..., Any], method: MethodDescriptor, request: Any, context: Context
) -> AsyncIterator[Any]:
    try:
        answers = await _called(function, method, request, context)
        if hasattr(answers, "__aiter__"):
            async with closing(answers):
                async for answer in answers:
                    yield answer
        elif inspect.isgenerator(answers):
            end = object()
            try:
                while (answer := await _in_thread(next, answers, end)) is not end:
                    yield answer
            finally:
                with trio.CancelScope(shield=True):  # what the generator holds is let go with the call
                    await _in_thread(answers.close)
        elif isinstance(answers, Iterable) and not isinstance(answers, (Mapping, str, bytes)):
            for answer in answers:
                yield answer
        else:
            raise TypeError(
                f"{method.path} has a stream of responses: yield them or return a list, not {type(answers).__name__}"
            )
    except SystemExit as error:
        raise ScriptExitError(f"{method.path}: the script called sys.exit") from error
