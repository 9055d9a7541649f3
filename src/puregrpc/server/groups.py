"""Exception groups that hold a single exception: what trio's nurseries make of one task's fault."""

from __future__ import annotations

__all__ = ["only_exception"]


def only_exception(error: BaseException) -> BaseException:
    """The one exception that a group comes down to; ``error`` itself if it is no group, or one of several."""
    while True:
        inner: tuple[BaseException, ...] = getattr(error, "exceptions", ())
        if len(inner) != 1:
            return error
        error = inner[0]
