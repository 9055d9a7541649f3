"""What was recorded: the octets of one HTTP/2 connection, both directions, with the times they were seen at."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

__all__ = ["LINES_FORM", "LINES_VERSION", "PREFACE", "Chunk", "Direction", "Recorder", "Recording"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client's octets begin with (RFC 9113, section 3.4)."""

LINES_FORM, LINES_VERSION = "puregrpc trace", 1
"""What the first of the JSON lines of a recording says that they are."""


class Direction(Enum):
    """Who sent the octets."""

    CLIENT = "client"
    SERVER = "server"

    @property
    def other(self) -> Direction:
        """The peer of this one."""
        return Direction.SERVER if self is Direction.CLIENT else Direction.CLIENT

    @property
    def receiver(self) -> str:
        """The name of the side that the octets go to."""
        return self.other.value


@dataclass(frozen=True, slots=True)
class Chunk:
    """Octets that one side sent, seen together.

    ``time`` is in seconds, of any clock that does not go back. ``lost`` counts the octets of this direction that are
    known to be missing just before ``data`` (a capture that dropped packets); None if it is not known how many are.
    """

    time: float
    direction: Direction
    data: bytes
    lost: int | None = 0


@dataclass(frozen=True, slots=True)
class Recording:
    """The octets of one connection in the order they were seen, without TLS.

    ``from_start`` is False where the recording is known to have begun after the connection did; ``start_seen`` is True
    where it is known that it did not: what does not begin as HTTP/2 does, is not HTTP/2 then. ``start_time`` is the
    wall-clock time of time 0 of the chunks, in seconds since 1970, where it is known. ``encrypted`` are the same octets
    inside TLS, where those were recorded too, and ``key_log`` the lines of the TLS key log (SSLKEYLOGFILE) for them.
    """

    chunks: tuple[Chunk, ...] = ()
    client: str = "client"
    server: str = "server"
    from_start: bool = True
    start_time: float = 0.0
    encrypted: tuple[Chunk, ...] = ()
    key_log: str = ""
    notes: tuple[str, ...] = ()
    """What the reader of a capture has to say about it: packets lost, records that could not be decrypted."""
    start_seen: bool = False

    def octets(self, direction: Direction) -> bytes:
        """Everything that one side sent."""
        return b"".join(chunk.data for chunk in self.chunks if chunk.direction is direction)


@dataclass(slots=True)
class Recorder:
    """Takes the octets of a running connection and keeps them.

    It can be the ``tap`` of a channel, which calls `sent` and `received`.
    """

    client: str = "client"
    server: str = "server"
    start_time: float = 0.0
    chunks: list[Chunk] = field(default_factory=list)

    def record(self, direction: Direction, data: bytes, time: float) -> None:
        """Keep ``data``, seen at ``time`` (seconds)."""
        if data:
            self.chunks.append(Chunk(time, direction, bytes(data)))

    def end(self) -> None:
        """Nothing more will come."""

    def sent(self, data: bytes, time: float) -> None:
        """The client, which this is recorded at, sent ``data`` (trio's time, in seconds)."""
        self.record(Direction.CLIENT, data, time)

    def received(self, data: bytes, time: float) -> None:
        """The client received ``data``."""
        self.record(Direction.SERVER, data, time)

    def recording(self) -> Recording:
        """What was kept so far, with times counted from the first octet."""
        # Threads may tell what was sent after what was received in answer to it: the times put it right.
        ordered = sorted(self.chunks, key=lambda chunk: chunk.time)
        first = ordered[0].time if ordered else 0.0
        chunks = tuple(Chunk(chunk.time - first, chunk.direction, chunk.data) for chunk in ordered)
        return Recording(chunks, self.client, self.server, start_time=self.start_time, start_seen=True)
