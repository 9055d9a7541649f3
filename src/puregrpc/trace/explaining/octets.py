"""Octets put together from several places, which know where each of them came from."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from puregrpc.trace.records import Part, Rule, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Octets"]


class Octets:
    """A run of octets and the spans that it was joined from (a header block, a message across DATA frames)."""

    __slots__ = ("_ends", "data", "pieces")

    def __init__(self, data: bytes, pieces: Sequence[Span]) -> None:
        self.data = data
        self.pieces = tuple(piece for piece in pieces if piece.end > piece.start)
        self._ends: list[int] = []
        total = 0
        for piece in self.pieces:
            total += piece.end - piece.start
            self._ends.append(total)

    def __len__(self) -> int:
        return len(self.data)

    def spans(self, start: int, end: int) -> tuple[Span, ...]:
        """Where octets ``start`` to ``end`` (not included) of this run are."""
        found: list[Span] = []
        number = bisect_right(self._ends, start)
        while start < end and number < len(self.pieces):
            piece = self.pieces[number]
            piece_end = self._ends[number]
            piece_start = piece_end - (piece.end - piece.start)
            stop = min(end, piece_end)
            found.append(Span(piece.buffer, piece.start + start - piece_start, piece.start + stop - piece_start))
            start = stop
            number += 1
        return tuple(found)

    def cut(self, start: int, end: int) -> Octets:
        """Octets ``start`` to ``end`` as a run of their own."""
        return Octets(self.data[start:end], self.spans(start, end))

    def part(
        self,
        label: str,
        start: int,
        end: int,
        value: str = "",
        rule: Rule | None = None,
        *,
        note: str = "",
        problem: str = "",
        parts: Sequence[Part] = (),
        explained_by: str = "",
    ) -> Part:
        """A part that octets ``start`` to ``end`` of this run are."""
        return Part(label, value, self.spans(start, end), rule, note, problem, tuple(parts), explained_by)
