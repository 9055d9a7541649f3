"""Which process this is, kept at hand: asking the system each time would cost every call more than the look-up does."""

from __future__ import annotations

import os

__all__ = ["THIS_PROCESS"]


class ThisProcess:
    """``id`` is this process's id, in a child of `os.fork` the child's."""

    __slots__ = ("id",)

    def __init__(self) -> None:
        self.id = os.getpid()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        self.id = os.getpid()


THIS_PROCESS = ThisProcess()
