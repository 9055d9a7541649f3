"""Receive windows: when the octets that came are given back to the peer (RFC 9113, section 5.2)."""

from __future__ import annotations

from collections import deque

from puregrpc.wire.limits import MESSAGE_OVERHEAD
from puregrpc.wire.memory import EMPTY

__all__ = ["BandwidthProbe", "StreamCredit"]


class StreamCredit:
    """What one stream owes its peer's window.

    With ``auto`` octets are owed as they come. Without, the octets of a message are owed once its owner consumed it;
    while no message is waiting for its owner, those of the message that is coming are owed as they come, so that one
    larger than the window is never stuck. At most a window and one message are in memory, then.
    """

    __slots__ = ("_credited", "_partial", "_waiting", "auto", "held", "messages_are_small", "owed", "window")

    def __init__(self, window: int, *, auto: bool = True) -> None:
        self.window = window
        self.auto = auto
        self.owed = 0
        """Octets that may be given back and were not yet."""
        self.held = 0
        """What the messages that wait for their owner take, each with its overhead."""
        self.messages_are_small = True
        """The last message that its owner took cost more than its octets: with a larger window, many would wait."""
        self._waiting: deque[tuple[int, int]] = EMPTY
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
        self._wait(length, kept)

    def delivered_whole(self, length: int, wire_size: int) -> None:
        """A message came in one piece, with none begun before it, and goes to its owner: `received` and `delivered`."""
        if self.auto:
            self.owed += wire_size
        else:
            self._wait(length, wire_size)

    def _wait(self, length: int, kept: int) -> None:
        self.held += length + MESSAGE_OVERHEAD
        if self._waiting is EMPTY:
            self._waiting = deque()
        self._waiting.append((length, kept))

    def consumed(self, octets: int) -> int:
        """The owner has taken messages of ``octets`` in all, and at least one. Gives what they took of ``held``."""
        waiting = self._waiting
        freed = length = 0
        while waiting:
            length, kept = waiting.popleft()
            self.owed += kept
            freed += length + MESSAGE_OVERHEAD
            octets -= length
            if octets <= 0:
                break
        self.held -= freed
        self.messages_are_small = length < MESSAGE_OVERHEAD
        return freed

    def take(self, *, parts: bool = True) -> int:
        """How much to give back now: all that is owed once it is a quarter of the window, else nothing.

        The peer is never stuck below that: what is neither owed nor in its window is waiting for the owner, or, with
        ``parts`` False, is part of a message that may not go on now.
        """
        if parts and not self.auto and not self._waiting:
            self.owed += self._partial
            self._credited += self._partial
            self._partial = 0
        if self.owed * 4 < self.window or not self.owed:
            return 0
        owed, self.owed = self.owed, 0
        return owed

    def forget(self) -> None:
        """The call is over: what this counted is in memory no longer, though somebody may still have this."""
        self._waiting = EMPTY
        self.held = 0

    def grow(self, window: int) -> None:
        """Make the window larger; never smaller."""
        if window > self.window:
            self.owed += window - self.window
            self.window = window


class BandwidthProbe:
    """Finds the window that keeps the path full: its bandwidth times its delay.

    Beside a WINDOW_UPDATE of the connection goes a PING; what comes until it is answered fits into one round trip.
    If that was half of the window or more, and faster than when the window grew last, the window was in the way and
    becomes twice as much as came, up to ``most``. Small calls never get to a WINDOW_UPDATE, and so pay nothing. A
    stream's window follows when it next gives something back: streams whose messages nobody takes keep the window
    they had.
    """

    PING = b"bdp-ping"

    __slots__ = ("_began", "_best", "_most", "_received", "window")

    def __init__(self, window: int, most: int) -> None:
        self.window = window
        self._most = most
        self._began: float | None = None
        self._received = 0
        self._best = 0.0

    def begin(self, received: int, now: float) -> bool:
        """A WINDOW_UPDATE goes out, and so many octets came in all. True if a PING is to go with it."""
        if self._began is not None or self.window >= self._most:
            return False
        self._began = now
        self._received = received
        return True

    def answered(self, received: int, now: float) -> int:
        """The PING came back, and so many octets in all. Returns the window from now on."""
        if self._began is None:
            return self.window
        sample = received - self._received
        speed = sample / max(now - self._began, 1e-6)
        self._began = None
        if sample * 2 >= self.window and speed > self._best:
            self._best = speed
            self.window = min(2 * sample, self._most)
        return self.window
