"""How long to wait between attempts to connect (gRPC's connection-backoff.md)."""

from __future__ import annotations

from collections.abc import Callable
from random import uniform

__all__ = ["MIN_RESOLUTION_INTERVAL", "Backoff"]

INITIAL = 1.0
MULTIPLIER = 1.6
JITTER = 0.2
MAXIMUM = 120.0

MIN_RESOLUTION_INTERVAL = 30.0
"""Lost connections ask for the names to be looked up again, but not more often than this (naming.md)."""


class Backoff:
    """Gives the pauses (seconds) of a row of failures: 1 s, then 1.6 times more each time up to 120 s, ± 20 %."""

    def __init__(self, random: Callable[[float, float], float] = uniform) -> None:
        self._random = random
        self._current = INITIAL

    def reset(self) -> None:
        """A connection was made: start from the beginning."""
        self._current = INITIAL

    def next_pause(self) -> float:
        current = self._current
        self._current = min(current * MULTIPLIER, MAXIMUM)
        return current * self._random(1 - JITTER, 1 + JITTER)
