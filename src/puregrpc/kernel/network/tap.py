"""Hearing what a connection sends and receives."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Tap"]


class Tap(Protocol):
    """What hears every byte of a connection, both ways, in order.

    ``time`` is when it passed, in seconds on the clock of `Kernel.now`.
    """

    def sent(self, data: bytes, time: float) -> None: ...

    def received(self, data: bytes, time: float) -> None: ...
