"""Numbers for what a process has: channels, servers, connections. Each is given once, whatever it is for."""

from __future__ import annotations

from itertools import count

__all__ = ["next_number"]

_numbers = count(1)


def next_number() -> int:
    """A number that nothing else of this process has."""
    return next(_numbers)
