"""Interceptors: code of the user's around each call, of every shape."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Literal

from puregrpc.channel.calls.call import ClientCall
from puregrpc.channel.calls.outcome import UnaryResult
from puregrpc.channel.details import CallDetails

__all__ = ["Interceptor", "ProceedStream", "ProceedUnary", "around"]

ProceedUnary = Callable[[CallDetails, Any], Awaitable[UnaryResult[Any]]]
"""Make the call, or go to the next interceptor."""

ProceedStream = Callable[[CallDetails], AbstractAsyncContextManager[ClientCall[Any, Any]]]
"""Open the call, or go to the next interceptor."""


class Interceptor:
    """Base class: goes on without changing anything. Override what is of interest.

    Messages are as the caller gives and gets them. An interceptor may change the details (metadata, timeout), answer by
    itself, make the call several times, or look at the result or the RpcError. ``unary`` may be a plain function, as
    long as it returns a result or something to await.
    """

    async def unary(self, details: CallDetails, request: Any, proceed: ProceedUnary) -> UnaryResult[Any]:
        """Around a call with one request and one response."""
        return await proceed(details, request)

    def stream(self, details: CallDetails, proceed: ProceedStream) -> AbstractAsyncContextManager[ClientCall[Any, Any]]:
        """Around the opening of a call of any other shape; typically ``@asynccontextmanager`` is put on it."""
        return proceed(details)


def around(
    interceptors: Sequence[Any], name: Literal["unary", "stream"], innermost: Callable[..., Any]
) -> Callable[..., Any]:
    """``innermost`` with this method of each interceptor around it, that of the first one outermost."""
    proceed = innermost
    for interceptor in reversed(interceptors):
        proceed = partial(getattr(interceptor, name), proceed=proceed)
    return proceed
