"""Functions as people write them in a script, as handlers of a server.

Async functions run in the server's loop; plain ones on its threads, so that they may block.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from puregrpc.proto.descriptors import MethodDescriptor
from puregrpc.server import Context
from puregrpc.server.method import Handler
from puregrpc.server.mixing import closing

__all__ = ["MAX_THREADS", "handler_for"]

MAX_THREADS = 200
"""How many calls of plain functions run at a time; others wait."""


def handler_for(function: Callable[..., Any], method: MethodDescriptor) -> Handler:
    """The handler that calls ``function(request, context)`` for a method of any shape.

    A stream's responses may be yielded or returned as a list.
    """
    script = _ScriptFunction(function, method)
    inner = inspect.unwrap(function)
    if inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner):
        return script.async_many if method.is_server_stream else script.async_one
    return script.plain_many if method.is_server_stream else script.plain_one


class ScriptExitError(Exception):
    """A function of the script called sys.exit: that ends its call, not the server."""


class _ScriptFunction:
    """A function with each of the forms that a handler can have."""

    def __init__(self, function: Callable[..., Any], method: MethodDescriptor) -> None:
        self._function = function
        self._path = method.path

    def plain_one(self, request: Any, context: Context) -> Any:
        with self._without_exit():
            return self._function(request, context)

    def plain_many(self, request: Any, context: Context) -> Any:
        with self._without_exit():
            answers = self._function(request, context)
        return answers if hasattr(answers, "__aiter__") else self._each(answers)

    async def async_one(self, request: Any, context: Context) -> Any:
        with self._without_exit():
            answer = self._function(request, context)
            return await answer if inspect.isawaitable(answer) else answer

    async def async_many(self, request: Any, context: Context) -> AsyncIterator[Any]:
        with self._without_exit():
            answers = self._function(request, context)
            if inspect.isawaitable(answers):
                answers = await answers
            if hasattr(answers, "__aiter__"):
                async with closing(answers):
                    async for answer in answers:
                        yield answer
            else:
                for answer in self._each(answers):
                    yield answer

    def _each(self, answers: Any) -> Iterator[Any]:
        if not isinstance(answers, Iterable) or isinstance(answers, (Mapping, str, bytes)):
            raise TypeError(
                f"{self._path} has a stream of responses: yield them or return a list, not {type(answers).__name__}"
            )
        with self._without_exit():
            yield from answers

    @contextmanager
    def _without_exit(self) -> Iterator[None]:
        try:
            yield
        except SystemExit as error:
            raise ScriptExitError(f"{self._path}: the script called sys.exit") from error
