"""Which of many ranges overlap a range or hold a number, without looking at all of them each time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

__all__ = ["RangeIndex"]


class RangeIndex:
    """Ranges (start, end), the end left out. What is found costs about as much as there is to find."""

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        ordered = sorted((start, end, index) for index, (start, end) in enumerate(ranges))
        self.starts = [start for start, _, _ in ordered]
        self.indexes = [index for _, _, index in ordered]
        self.size = 1
        while self.size < len(ordered):
            self.size *= 2
        ends = [end for _, end, _ in ordered]
        lowest = min(ends, default=0) - 1
        self.largest_ends = [lowest] * self.size + ends + [lowest] * (self.size - len(ends))
        """A tree: node n has the larger of the ends of nodes 2n and 2n + 1; the leaves are in the order of starts."""
        for node in range(self.size - 1, 0, -1):
            self.largest_ends[node] = max(self.largest_ends[2 * node], self.largest_ends[2 * node + 1])

    def overlapping(self, start: int, end: int) -> list[int]:
        """The indexes of the ranges that begin before ``end`` and end behind ``start``, in the order given."""
        return sorted(self._find(start, bisect_left(self.starts, end)))

    def holding(self, number: int) -> list[int]:
        """The indexes of the ranges that a number is in, in the order given."""
        return self.overlapping(number, number + 1)

    def holds(self, number: int) -> bool:
        """Whether a number is in one of the ranges."""
        return next(self._find(number, bisect_left(self.starts, number + 1)), None) is not None

    def _find(self, start: int, count: int) -> Iterator[int]:
        """Of the first ``count`` ranges those that end behind ``start``."""
        pending = [(1, 0, self.size)]
        while pending:
            node, first, width = pending.pop()
            if first >= count or self.largest_ends[node] <= start:
                continue
            if width == 1:
                yield self.indexes[first]
            else:
                half = width // 2
                pending += (2 * node + 1, first + half, half), (2 * node, first, half)
