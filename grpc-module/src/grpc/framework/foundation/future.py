"""The interface of something that has a result later, as it was before `grpc.Future`."""

from __future__ import annotations

import abc
from collections.abc import Callable
from types import TracebackType
from typing import Any

__all__ = ["CancelledError", "Future", "TimeoutError"]


class TimeoutError(Exception):
    """There was no result in time."""


class CancelledError(Exception):
    """The work was cancelled."""


class Future(abc.ABC):
    """Work whose result comes later. ``timeout`` is in seconds, None for ever."""

    @abc.abstractmethod
    def cancel(self) -> bool:
        """Try to cancel the work, without waiting; whether it will not be done."""

    @abc.abstractmethod
    def cancelled(self) -> bool:
        """Whether it was cancelled."""

    @abc.abstractmethod
    def running(self) -> bool:
        """Whether it goes on."""

    @abc.abstractmethod
    def done(self) -> bool:
        """Whether it is over."""

    @abc.abstractmethod
    def result(self, timeout: float | None = None) -> Any:
        """The result. Raises what the work raised, TimeoutError, CancelledError."""

    @abc.abstractmethod
    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What the work raised; None if nothing. Raises TimeoutError, CancelledError."""

    @abc.abstractmethod
    def traceback(self, timeout: float | None = None) -> TracebackType | None:
        """Where it was raised. Raises TimeoutError, CancelledError."""

    @abc.abstractmethod
    def add_done_callback(self, fn: Callable[[Future], Any]) -> None:
        """Have a function called with the future once it is over; at once if it is."""
