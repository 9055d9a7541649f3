"""Receive windows: when the octets that came are given back to the peer (RFC 9113, section 5.2)."""

from __future__ import annotations

from collections import deque

__all__ = ["ConnectionCredit", "StreamCredit"]


class StreamCredit:
    """What one stream owes its peer's window.

    With ``auto`` octets are owed as they come. Without, the octets of a message are owed once its owner consumed it;
    while no message is waiting for its owner, those of the message that is coming are owed as they come, so that one
    larger than the window is never stuck. At most a window and one message are in memory, then.
    """

    __slots__ = ("_credited", "_partial", "_waiting", "auto", "owed", "window")

    def __init__(self, window: int, *, auto: bool = True) -> None:
        self.window = window
        self.auto = auto
        self.owed = 0
        """Octets that may be given back and were not yet."""
        self._waiting: deque[tuple[int, int]] = deque()
        self._partial = 0
        self._credited = 0

    def received(self, payload: int, overhead: int) -> None:
        """DATA came: octets of messages, and padding with its length (RFC 9113, section 6.1: it counts as well)."""
        self.owed += overhead
        if self.auto:
            self.owed += payload
        else:
            self._partial += payload

    def delivered(self, length: int, wire_size: int) -> None:
        """A message of ``length`` octets, that took ``wire_size`` octets with its prefix, goes to its owner."""
        if self.auto:
            return
        kept = wire_size - self._credited
        self._credited = 0
        self._partial -= kept
        self._waiting.append((length, kept))

    def consumed(self, octets: int) -> None:
        """The owner has taken messages of ``octets`` in all, and at least one."""
        waiting = self._waiting
        while waiting:
            length, kept = waiting.popleft()
            self.owed += kept
            octets -= length
            if octets <= 0:
                break

    def take(self) -> int:
        """How much to give back now: all that is owed once it is a quarter of the window, else nothing.

        The peer is never stuck below that: what is neither owed nor in its window is waiting for the owner.
        """
        if not self.auto and not self._waiting:
            self.owed += self._partial
            self._credited += self._partial
            self._partial = 0
        if self.owed * 4 < self.window or not self.owed:
            return 0
        owed, self.owed = self.owed, 0
        return owed


class ConnectionCredit:
    """What a connection owes its peer's window: all that came, at once and in lots.

    It does not wait for the owners of messages. If it did, streams that nobody reads could hold the whole connection
    window, and stall the others. Memory is bounded all the same: by each stream's own window, and by how many
    streams there may be.
    """

    __slots__ = ("owed", "window")

    def __init__(self, window: int) -> None:
        self.window = window
        self.owed = 0

    def take(self, received: int) -> int:
        """Octets came; how much to give back now."""
        self.owed += received
        if self.owed * 4 < self.window:
            return 0
        owed, self.owed = self.owed, 0
        return owed
