"""Byte streams: what a session reads and writes. A stream tries without waiting, and waits apart from that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import inf

__all__ = ["ByteStream"]


class ByteStream(ABC):
    """An ordered, reliable stream of bytes in both directions. One coroutine reads; one at a time writes."""

    local: str
    """The address of this end, for people."""
    peer: str
    """The address of the other end, for people."""

    @abstractmethod
    def receive_nowait(self, limit: int) -> bytes | None:
        """Up to about ``limit`` bytes that are here already; None if there are none yet; b"" at the end.

        Raises OSError if the stream is broken.
        """

    @abstractmethod
    async def wait_readable(self, until: float = inf) -> bool:
        """Wait until `receive_nowait` has something to say; False if not by ``until``. May come back too early."""

    @abstractmethod
    def send_nowait(self, data: bytes | memoryview) -> int:
        """Send as much of ``data`` as is taken at once; returns how much that was, 0 if nothing.

        What was not taken must be offered again, unchanged, before anything else. Raises OSError if the stream is
        broken.
        """

    gathers = False
    """`send_pieces_nowait` sends pieces without joining them."""

    def send_pieces_nowait(self, pieces: Sequence[bytes | memoryview]) -> int:
        """As `send_nowait`, for the octets of all pieces, one behind the other."""
        return self.send_nowait(b"".join(pieces))

    @abstractmethod
    async def wait_writable(self, until: float = inf) -> bool:
        """Wait until `send_nowait` would take something; False if not by ``until``. May come back too early."""

    @abstractmethod
    def send_eof(self) -> None:
        """Say that nothing more will be sent; reading goes on. Never fails."""

    @abstractmethod
    def close(self) -> None:
        """Let the stream go. Idempotent; never fails; who waits on the stream is woken, and told by the next try."""
