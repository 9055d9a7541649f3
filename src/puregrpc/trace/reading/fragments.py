"""Fragments of IP packets put together (RFC 791, section 3.2; RFC 8200, section 4.5)."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Fragments"]

MAX_HELD = 16 << 20
"""So many octets of fragments wait for the others; then the oldest are given up."""

MAX_WAITING = 4096
"""And those of so many packets."""

MAX_SIZE = 65_535

MAX_PIECES = 1024
"""So many fragments a packet may be in: links take 68 octets at least (RFC 791), and in practice many more."""


@dataclass(slots=True)
class _Waiting:
    """The fragments of one packet, by their place in it."""

    pieces: dict[int, bytes] = field(default_factory=dict)
    size: int | None = None
    """How many octets the packet has, once the last fragment is there."""

    def whole(self) -> bytes | None:
        """All of it, if nothing is missing. Where fragments overlap, what came first counts."""
        if self.size is None or sum(map(len, self.pieces.values())) < self.size:
            return None
        data = bytearray()
        for offset, piece in sorted(self.pieces.items()):
            if offset > len(data):
                return None
            data += piece[len(data) - offset :]
        return bytes(data[: self.size]) if len(data) >= self.size else None


class Fragments:
    """The fragments of packets that are not whole yet, by addresses, identification and protocol."""

    def __init__(self) -> None:
        self.joined = 0
        """How many packets were put together."""
        self.lost = 0
        """How many were given up."""
        self.cut = 0
        """How many fragments the capture has not kept whole."""
        self._waiting: dict[tuple[bytes, bytes, int, int], _Waiting] = {}
        self._held = 0

    def add(self, key: tuple[bytes, bytes, int, int], offset: int, piece: bytes, *, more: bool) -> bytes | None:
        """Take a fragment; returns the whole packet if it is the last one that was missing."""
        if offset + len(piece) > MAX_SIZE:
            return None
        waiting = self._waiting.setdefault(key, _Waiting())
        if len(waiting.pieces) >= MAX_PIECES:
            return None
        if offset not in waiting.pieces:
            waiting.pieces[offset] = piece
            self._held += len(piece)
        if not more:
            waiting.size = offset + len(piece)
        whole = waiting.whole()
        if whole is not None:
            self._forget(key)
            self.joined += 1
        while self._held > MAX_HELD or len(self._waiting) > MAX_WAITING:
            self._forget(next(iter(self._waiting)))
            self.lost += 1
        return whole

    def _forget(self, key: tuple[bytes, bytes, int, int]) -> None:
        self._held -= sum(map(len, self._waiting.pop(key).pieces.values()))

    def notes(self) -> list[str]:
        """What the reader of the capture has to know."""
        lost = self.lost + len(self._waiting)
        found = []
        if lost:
            found.append(f"{lost} IP packets are missing: the capture does not have all of their fragments")
        if self.cut:
            found.append(f"{self.cut} fragments of IP packets are missing: the capture has not kept them whole")
        return found
