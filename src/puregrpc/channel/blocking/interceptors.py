"""Interceptors of a blocking channel."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from puregrpc.channel.blocking.call import BlockingCall
from puregrpc.channel.calls.outcome import UnaryResult
from puregrpc.channel.details import CallDetails

__all__ = ["BlockingInterceptor", "ProceedBlockingStream", "ProceedBlockingUnary"]

ProceedBlockingUnary = Callable[[CallDetails, Any], UnaryResult[Any]]
"""Make the call, or go to the next interceptor."""

ProceedBlockingStream = Callable[[CallDetails], AbstractContextManager[BlockingCall[Any, Any]]]
"""Open the call, or go to the next interceptor."""


class BlockingInterceptor:
    """As `Interceptor`, for the calls of a blocking channel."""

    def unary(self, details: CallDetails, request: Any, proceed: ProceedBlockingUnary) -> UnaryResult[Any]:
        """Around a call with one request and one response."""
        return proceed(details, request)

    def stream(
        self, details: CallDetails, proceed: ProceedBlockingStream
    ) -> AbstractContextManager[BlockingCall[Any, Any]]:
        """Around the opening of a call of any other shape; typically ``@contextmanager`` is put on it."""
        return proceed(details)
