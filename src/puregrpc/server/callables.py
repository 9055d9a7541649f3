"""What kinds of callable handlers and interceptors are, as far as it can be seen before they are called."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any

__all__ = ["check_handler", "is_async"]


def function_of(handler: Callable[..., Any]) -> Any:
    """The function that a call ends up in: that of a method, a partial or an object with ``__call__``.

    What is below a decorator's wrapper does not count: the wrapper may do anything with it.
    """
    while True:
        if isinstance(handler, partial):
            handler = handler.func
        elif inspect.ismethod(handler):
            handler = handler.__func__
        elif isinstance(handler, FunctionType) or inspect.isbuiltin(handler) or isinstance(handler, type):
            return handler
        else:
            call = getattr(type(handler), "__call__", None)  # noqa: B004 - it is the function that is wanted
            if not isinstance(call, FunctionType):
                return handler
            return call


def is_async(handler: Callable[..., Any]) -> bool:
    """Whether it is an async function or an async generator function: calling it neither blocks nor does anything."""
    return inspect.iscoroutinefunction(handler) or _is_async_function(function_of(handler))


def _is_async_function(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def check_handler(handler: object, *, responses_stream: bool) -> str | None:
    """What is wrong with a handler, in words for whoever wrote it; None if nothing is that can be seen."""
    if not callable(handler):
        return f"the handler must be callable, not {type(handler).__name__}"
    if isinstance(handler, type):
        return f"the handler is the class {handler.__name__}: give a function, or a method of an instance"
    function = function_of(handler)
    if responses_stream:
        if inspect.iscoroutinefunction(function):
            return (
                "its responses are a stream: the handler must be a generator, async or plain, that yields each "
                "response; an async function without yield returns a single one"
            )
    elif inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        return "it has one response: the handler must return it; this one is a generator, with yield in it"
    return _check_parameters(handler)


def _check_parameters(handler: Callable[..., Any]) -> str | None:
    try:
        # A wrapper may take other arguments than what it wraps.
        signature = inspect.signature(handler, follow_wrapped=False)
    except (TypeError, ValueError):  # it does not tell
        return None
    try:
        signature.bind("request", "context")
    except TypeError as error:
        name = getattr(handler, "__qualname__", type(handler).__name__)
        problem = f"the handler is called with (request, context), which {name}{signature} does not take: {error}"
        if next(iter(signature.parameters), "") == "self":
            problem += "; give the method of an instance, not that of a class"
        return problem
    return None
