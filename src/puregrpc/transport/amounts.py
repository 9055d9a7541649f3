"""How much a session reads and writes at once, and what passed through it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import inf

__all__ = [
    "FIRST_READ_SIZE",
    "LARGEST_READ_SIZE",
    "LEAST_READ_SIZE",
    "MOST_IN_TURN",
    "READ_SIZE",
    "SMALLEST_READ_SIZE",
    "CallCounters",
    "SessionCounters",
    "next_read_size",
    "without_first",
]

FIRST_READ_SIZE = 1 << 10
"""What a server's session asks for first. Whoever has just come is not to wait for a thousand others that have come as
well and have sent as much as they could: so the first turns of all are short."""

SMALLEST_READ_SIZE = 1 << 14
"""What others ask for first, and what is asked for after a turn that had no time for all that came: it is kept until
the next one, and a thousand connections may be in the same state."""

LEAST_READ_SIZE = 1 << 12
"""What is asked for where many connections hold all that they may together."""

READ_SIZE = 1 << 16
LARGEST_READ_SIZE = 1 << 18

MOST_IN_TURN = 1 << 20
"""On a loop: what comes faster than it is read is read on without waiting, up to so much. Then it is others' turn."""


def next_read_size(limit: int, size: int, *, is_behind: bool = False, most: int = LARGEST_READ_SIZE) -> int:
    """What a read asks for, after one that asked for ``limit`` octets and got ``size``; ``most`` at the most.

    It is more once reads come back full: small reads stay cheap, large messages come in few pieces.
    """
    if is_behind:
        return min(SMALLEST_READ_SIZE, most)
    if size >= limit:
        return min(2 * limit, most)
    return min(limit if size >= READ_SIZE else min(limit, READ_SIZE), most)


def without_first(octets: int, pieces: list[bytes | memoryview]) -> list[bytes | memoryview]:
    """What is left of pieces when so many octets of them have been sent."""
    for index, piece in enumerate(pieces):
        if octets < len(piece):
            return [memoryview(piece)[octets:] if octets else piece, *pieces[index + 1 :]]
        octets -= len(piece)
    return []


def wall_time(at: float, now: float) -> float | None:
    """A time on a kernel's clock, where it is ``now``, in seconds since 1970; None if it never was (-inf)."""
    return None if at == -inf else time.time() - (now - at)


@dataclass(frozen=True, slots=True)
class SessionCounters:
    """What passed through a session, in octets of the byte stream (inside TLS, if there is TLS)."""

    bytes_sent: int
    bytes_received: int

    def __add__(self, other: SessionCounters) -> SessionCounters:
        return SessionCounters(self.bytes_sent + other.bytes_sent, self.bytes_received + other.bytes_received)


@dataclass(frozen=True, slots=True)
class CallCounters:
    """The calls of a client's session, one for each attempt, and their messages."""

    started: int = 0
    failed: int = 0
    """Those that ended with a status other than OK, or were cancelled by this side."""
    last_started_at: float = -inf
    """On the kernel's clock."""
    messages_sent: int = 0
    messages_received: int = 0
    last_sent: float = -inf
    """When the last message was sent, on the kernel's clock. So below."""
    last_received: float = -inf

    def __add__(self, other: CallCounters) -> CallCounters:
        return CallCounters(
            self.started + other.started,
            self.failed + other.failed,
            max(self.last_started_at, other.last_started_at),
            self.messages_sent + other.messages_sent,
            self.messages_received + other.messages_received,
            max(self.last_sent, other.last_sent),
            max(self.last_received, other.last_received),
        )
