"""Deadlines: the grpc-timeout header (PROTOCOL-HTTP2, "Timeout") and the deadlines of a connection."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from itertools import takewhile
from math import inf

from puregrpc.errors import RemoteProtocolError

__all__ = ["Deadlines", "encode_timeout", "parse_timeout"]

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


class Deadlines:
    """The deadlines of a connection's calls.

    Calls with the same timeout have their deadlines in the order in which they begin, and most have the same: those are
    kept in a line. Only a deadline before the last one in the line goes to a heap. Its entry there is forgotten lazily:
    when it comes to the top, or when dead entries outnumber the living and the heap is rebuilt, so that its size stays
    within a constant factor of the open calls'.
    """

    # No OrderedDict, and no `dict.get`: without the GIL, CPython 3.13 has a thread wait for itself, with 40 calls of
    # sched_yield, where they look up what another thread has put there.
    __slots__ = ("_dead", "_heap", "_last", "_line", "_live", "not_before")

    def __init__(self) -> None:
        self.not_before = inf
        """No deadline passes before this time."""
        self._line: dict[int, float] = {}
        self._last = -inf
        """The deadline that was put in the line last."""
        self._heap: list[tuple[float, int]] = []
        self._live: dict[int, float] = {}
        """The calls of the heap that are not over."""
        self._dead = 0

    def __len__(self) -> int:
        """How many entries it keeps, those of calls that are over among them."""
        return len(self._line) + len(self._heap)

    def add(self, key: int, deadline: float) -> None:
        """Watch a call, known by a number that no other watched call has. A deadline of NaN is none."""
        if deadline >= (self._last if self._line else -inf):
            self._line[key] = self._last = deadline
        elif deadline == deadline:
            self._live[key] = deadline
            heapq.heappush(self._heap, (deadline, key))
        if deadline < self.not_before:
            self.not_before = deadline

    def discard(self, key: int) -> None:
        """The call is over: forget its deadline, if it has one."""
        if self._line.pop(key, None) is not None or self._live.pop(key, None) is None:
            return
        self._dead += 1
        if self._dead > 64 and self._dead > 2 * len(self._live):
            self._heap = [(deadline, live) for live, deadline in self._live.items()]
            heapq.heapify(self._heap)
            self._dead = 0

    def next_time(self) -> float | None:
        """The earliest deadline of a call that is not over."""
        line, heap, live = self._line, self._heap, self._live
        earliest = line[next(iter(line))] if line else inf
        while heap:
            deadline, key = heap[0]
            if key in live and live[key] == deadline:
                earliest = min(earliest, deadline)
                break
            heapq.heappop(heap)
            self._dead -= 1
        self.not_before = earliest
        return earliest if line or heap else None

    def expire(self, now: float) -> Iterator[int]:
        """Take out one call after the other whose deadline is ``now`` or before, earliest first."""
        line = self._line
        while (earliest := self.next_time()) is not None and earliest <= now:
            # All at once: to find the first entry of a dictionary is to pass all that were before it.
            for key, deadline in list(takewhile(lambda entry: entry[1] <= now, line.items())):
                yield from self._expire_in_heap(deadline)
                if key in line and line[key] == deadline:
                    del line[key]
                    yield key
            yield from self._expire_in_heap(now)

    def _expire_in_heap(self, now: float) -> Iterator[int]:
        live = self._live
        while self._heap and self._heap[0][0] <= now:
            deadline, key = heapq.heappop(self._heap)
            if key in live and live[key] == deadline:
                del live[key]
                yield key
            else:
                self._dead -= 1
