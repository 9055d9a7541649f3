"""How far an exception reaches in a server, and what a group of them comes down to."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from math import inf

import trio

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

__all__ = ["contain", "is_cancellation", "log_exception", "only_exception"]

logger = logging.getLogger("puregrpc.server")


def contain(error: BaseException, report: Callable[[BaseException], None]) -> None:
    """Keep an exception to the call or connection that it comes from: give it to ``report``, which ends that.

    What is meant for others is raised again: KeyboardInterrupt, SystemExit, and a cancellation that is under way. All
    else is a fault, also what is no Exception (GeneratorExit, asyncio's CancelledError) and a trio.Cancelled that was
    kept from another time. A group is divided. To be called in the task where the exception arose.
    """
    is_cancelled = trio.current_effective_deadline() == -inf

    def is_for_others(each: BaseException) -> bool:
        return isinstance(each, KeyboardInterrupt | SystemExit) or (is_cancelled and isinstance(each, trio.Cancelled))

    others: BaseException | None
    fault: BaseException | None
    if isinstance(error, BaseExceptionGroup):
        others, fault = error.split(is_for_others)
    else:
        others, fault = (error, None) if is_for_others(error) else (None, error)
    try:
        if fault is not None:
            report(fault)
    finally:
        if others is not None:
            raise others


def is_cancellation(error: BaseException) -> bool:
    """Whether it is trio.Cancelled, or a group of nothing else."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)[1] is None
    return isinstance(error, trio.Cancelled)


def log_exception(error: BaseException, message: str, *arguments: object) -> None:
    """Log an exception with its traceback. That the log fails is no reason to end anything."""
    try:
        logger.error(message, *arguments, exc_info=error)
    except Exception:
        return


def only_exception(error: BaseException) -> BaseException:
    """The one exception that a group comes down to; ``error`` itself if it is no group, or one of several."""
    while True:
        inner: tuple[BaseException, ...] = getattr(error, "exceptions", ())
        if len(inner) != 1:
            return error
        error = inner[0]
