"""What is remembered of streams that are over, in little memory: each connection may have had thousands."""

from __future__ import annotations

from puregrpc.wire.limits import REMEMBERED_RESETS

__all__ = ["ClosedStreams", "ResetStreams"]


class ClosedStreams:
    """A small number for each of the last streams, by its id, which is odd. Those that are ``most`` streams behind are
    forgotten."""

    __slots__ = ("_highest", "_most", "_notes")

    def __init__(self, most: int) -> None:
        self._most = most
        self._highest = -1
        self._notes = bytearray()

    def note(self, stream_id: int, what: int) -> None:
        """Remember 1 to 255 of a stream, unless it is forgotten already."""
        index = stream_id >> 1
        notes, most = self._notes, self._most
        ahead = index - self._highest
        if ahead > 0:
            if ahead >= most:
                self._notes = notes = bytearray(min(most, index + 1))
            else:
                if len(notes) < most:
                    notes += bytes(min(ahead, most - len(notes)))
                self._clear((self._highest + 1) % most, ahead - 1)
            self._highest = index
        elif ahead <= -most:
            return
        notes[index % most] = what

    def _clear(self, first: int, count: int) -> None:
        """Forget what was at the places of streams that are skipped: a peer may skip thousands with each call."""
        notes = self._notes
        behind = max(first + count - self._most, 0)
        notes[first : first + count - behind] = bytes(count - behind)
        notes[:behind] = bytes(behind)

    def get(self, stream_id: int) -> int:
        """What is remembered of a stream; 0 for nothing."""
        index = stream_id >> 1
        if not stream_id & 1 or not self._highest - self._most < index <= self._highest:
            return 0
        return self._notes[index % self._most]


class ResetStreams:
    """The streams that this side reset, whose peer may have sent more before it knew (RFC 9113, section 5.4.2).

    Their ids are odd: nobody pushes.
    """

    __slots__ = ("_bits", "_first", "forgotten")

    def __init__(self) -> None:
        self._bits = 0
        self._first = 0
        """Of the stream of the lowest bit."""
        self.forgotten = 0
        """The highest stream that was reset and is no longer remembered."""

    def add(self, stream_id: int) -> None:
        """It was reset."""
        index = (stream_id - self._first) >> 1
        if index >= REMEMBERED_RESETS:
            gone = index - REMEMBERED_RESETS // 2
            low = self._bits if gone >= REMEMBERED_RESETS else self._bits & ((1 << gone) - 1)
            if low:
                self.forgotten = self._first + 2 * low.bit_length() - 1
            self._bits >>= gone
            self._first += 2 * gone
            index -= gone
        if index < 0:
            self.forgotten = max(self.forgotten, stream_id)
        else:
            self._bits |= 1 << index

    def __contains__(self, stream_id: int) -> bool:
        index = (stream_id - self._first) >> 1
        return index >= 0 and stream_id & 1 == 1 and self._bits >> index & 1 == 1

    def may_have(self, stream_id: int) -> bool:
        """Whether it was reset, as far as that is remembered: else it counts as if it was."""
        return stream_id in self or (stream_id & 1 == 1 and stream_id <= self.forgotten)
