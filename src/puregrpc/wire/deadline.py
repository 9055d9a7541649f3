"""Deadlines: the grpc-timeout header (PROTOCOL-HTTP2, "Timeout") and the heap of a connection's deadlines."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator

from puregrpc.errors import RemoteProtocolError

__all__ = ["DeadlineHeap", "encode_timeout", "parse_timeout"]

_MOST = 99_999_999  # eight digits
_UNITS = ((b"n", 1), (b"u", 10**3), (b"m", 10**6), (b"S", 10**9), (b"M", 60 * 10**9), (b"H", 3600 * 10**9))
"""Unit and how many nanoseconds it has, finest first."""
_SECONDS = {unit: nanoseconds / 10**9 for unit, nanoseconds in _UNITS}
_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")


def encode_timeout(seconds: float) -> bytes:
    """The value of grpc-timeout for so many seconds: in the finest unit that eight digits can hold, rounded down.

    What is left of a deadline must not grow on its way, hence never up. Nothing or less gives ``1n``, the least that
    the grammar allows; more than 99,999,999 hours (or infinity) gives just those.
    """
    if seconds >= _MOST * 3600:
        return b"%dH" % _MOST  # the last unit holds all that comes below
    nanoseconds = max(int(seconds * 10**9), 1)
    fits = 0
    while nanoseconds > _MOST * _UNITS[fits][1]:
        fits += 1
    unit, size = _UNITS[fits]
    return b"%d%s" % (nanoseconds // size, unit)


def parse_timeout(value: bytes) -> float:
    """Seconds from a grpc-timeout value. Raises RemoteProtocolError if it is not one to eight digits and a unit."""
    found = _TIMEOUT.fullmatch(value)
    if not found:
        raise RemoteProtocolError(f"malformed grpc-timeout {value[:32].decode('ascii', 'backslashreplace')!r}")
    return int(found[1]) * _SECONDS[found[2]]


class DeadlineHeap:
    """The deadlines of a connection's calls; an entry is forgotten lazily, when it comes to the top.

    An entry whose call is over stays until its time or until dead entries outnumber the living: then the heap is
    rebuilt, so that its size stays within a constant factor of the open calls'.
    """

    __slots__ = ("_dead", "_live", "heap")

    def __init__(self) -> None:
        self.heap: list[tuple[float, int]] = []
        """Deadlines and calls, those that are over among them, the earliest first: if it has not passed, none has."""
        self._live: dict[int, float] = {}
        self._dead = 0

    def add(self, key: int, deadline: float) -> None:
        """Watch a call, known by a number that no other watched call has. A deadline of NaN is none."""
        if deadline == deadline:
            self._live[key] = deadline
            heapq.heappush(self.heap, (deadline, key))

    def discard(self, key: int) -> None:
        """The call is over: forget its deadline, if it has one."""
        if self._live.pop(key, None) is None:
            return
        self._dead += 1
        if self._dead > 64 and self._dead > 2 * len(self._live):
            self.heap = [(deadline, live) for live, deadline in self._live.items()]
            heapq.heapify(self.heap)
            self._dead = 0

    def next_time(self) -> float | None:
        """The earliest deadline of a call that is not over."""
        heap = self.heap
        while heap and self._live.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
            self._dead -= 1
        return heap[0][0] if heap else None

    def expire(self, now: float) -> Iterator[int]:
        """Take out one call after the other whose deadline is ``now`` or before, earliest first."""
        while (earliest := self.next_time()) is not None and earliest <= now:
            key = heapq.heappop(self.heap)[1]
            del self._live[key]
            yield key
