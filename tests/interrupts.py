"""Exceptions from a signal handler, at one moment after the other of what a test does."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["interrupted"]


def interrupted(
    step: Callable[[], object], check: Callable[[], object], *, rounds: int, first: float, further: float
) -> int:
    """Do a step again and again until a signal interrupts it, and then check what that has left; so many rounds.

    The signal comes after ``first`` seconds, and each time ``further`` seconds later. Gives how often its exception
    came out: Python drops what is raised while it collects garbage.
    """
    if not hasattr(signal, "setitimer"):
        pytest.skip("there is no timer that interrupts")

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    def repeat() -> None:  # beside the `try`, which does not cover each step of a loop in itself on every Python
        until = time.monotonic() + 1
        while time.monotonic() < until:
            step()

    before = signal.signal(signal.SIGALRM, interrupt)
    interrupts = 0
    try:
        for n in range(rounds):
            try:
                signal.setitimer(signal.ITIMER_REAL, first + n * further)
                repeat()
            except KeyboardInterrupt:
                interrupts += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            check()
    finally:
        signal.signal(signal.SIGALRM, before)
    return interrupts
