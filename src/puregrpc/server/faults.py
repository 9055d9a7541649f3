"""How far an exception reaches in a server, and what a group of them comes down to."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import suppress

from puregrpc.kernel import Kernel

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

__all__ = ["contain", "log_exception", "only_exception"]

logger = logging.getLogger("puregrpc.server")


def contain(error: BaseException, kernel: Kernel, report: Callable[[BaseException], object]) -> None:
    """Keep an exception to the call or connection that it comes from: give it to ``report``, which ends that.

    What is meant for others is raised again (`Kernel.interrupts`). All else is a fault, also what is no Exception
    (GeneratorExit) and a cancellation that was kept from another time. A group is divided. To be called where the
    exception was caught.
    """
    others: BaseException | None
    fault: BaseException | None
    if isinstance(error, BaseExceptionGroup):
        others, fault = error.split(lambda each: kernel.interrupts(each))  # a method is refused
    else:
        others, fault = (error, None) if kernel.interrupts(error) else (None, error)
    try:
        if fault is not None:
            report(fault)
    finally:
        try:
            if others is not None:
                raise others
        finally:
            del error, fault, others  # no cycle through the traceback


def log_exception(error: BaseException, message: str, *arguments: object) -> None:
    """Log an exception with its traceback. That the log fails is no reason to end anything."""
    with suppress(Exception):
        logger.error(message, *arguments, exc_info=error)


def only_exception(error: BaseException) -> BaseException:
    """The one exception that a group comes down to; ``error`` itself if it is no group, or one of several."""
    while True:
        inner: tuple[BaseException, ...] = getattr(error, "exceptions", ())
        if len(inner) != 1:
            return error
        error = inner[0]
