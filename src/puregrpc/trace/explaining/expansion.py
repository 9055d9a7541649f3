"""How much may be made of few octets: what a peer compressed is told only as far as it stays in proportion.

An octet on the wire may stand for kilobytes: an entry of a table (RFC 7541, section 7.3), a message in gzip. The
recording of a peer that makes use of that is explained in time and memory as others are, and what is left out is said.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Expansion", "Inflation"]


@dataclass(slots=True)
class Expansion:
    """What may be made of the octets that were seen: ``margin``, and ``factor`` for each of them."""

    margin: int
    factor: float
    seen: int = 0
    made: int = 0

    @property
    def left(self) -> int:
        """How much more may be made now."""
        return max(self.margin + int(self.factor * self.seen) - self.made, 0)


@dataclass(slots=True)
class Inflation:
    """What may be made of the messages of a connection that were compressed or written as base64."""

    octets: Expansion = field(default_factory=lambda: Expansion(64 << 20, 16))
    """Of what they inflate to."""
    fields: Expansion = field(default_factory=lambda: Expansion(50_000, 0.5))
    """Of protobuf fields in that. One that is not compressed takes two octets at least."""

    def saw(self, octets: int) -> None:
        """So many octets were on the wire."""
        self.octets.seen += octets
        self.fields.seen += octets
