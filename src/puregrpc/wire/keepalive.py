"""Keepalive: PINGs that find out whether the peer is still there, and what a server makes of too many (gRFC A8, A9)."""

from __future__ import annotations

from enum import Enum

from puregrpc.wire.limits import MAX_PING_STRIKES, MIN_PING_INTERVAL_WITHOUT_CALLS

__all__ = ["Keepalive", "KeepaliveAction", "PingEnforcement"]


class KeepaliveAction(Enum):
    """What is to be done now."""

    NOTHING = "nothing"
    PING = "ping"
    LOST = "lost"
    """The PING stayed unanswered: the connection is of no use any more."""


class Keepalive:
    """Says when to send a PING and when to give the connection up. Times are seconds of one monotonic clock.

    Silent for ``time``: a PING goes out. Silent for ``timeout`` more: the connection is lost. Anything received is a
    sign of life. With no call open nothing is sent unless ``without_calls``; the first call after a long silence
    sends the PING at once.
    """

    __slots__ = ("_heard", "_pinged", "_time", "_timeout", "_without_calls")

    def __init__(self, time: float | None, timeout: float, *, without_calls: bool, now: float) -> None:
        self._time = time
        self._timeout = timeout
        self._without_calls = without_calls
        self._heard = now
        self._pinged: float | None = None

    def received(self, now: float) -> None:
        """Octets came from the peer."""
        self._heard = now
        self._pinged = None

    def next_time(self, *, has_calls: bool) -> float | None:
        """When `advance` is to be called at the latest; None: no need."""
        if self._pinged is not None:
            return self._pinged + self._timeout
        if self._time is None or not (has_calls or self._without_calls):
            return None
        return self._heard + self._time

    def advance(self, now: float, *, has_calls: bool) -> KeepaliveAction:
        """Let the time be ``now``, and do what is returned."""
        due = self.next_time(has_calls=has_calls)
        if due is None or now < due:
            return KeepaliveAction.NOTHING
        if self._pinged is not None:
            return KeepaliveAction.LOST
        self._pinged = now
        return KeepaliveAction.PING


class PingEnforcement:
    """Counts the PINGs of a client that come too soon after one another (gRFC A8, "Server Enforcement").

    Each is a strike; more than two strikes are one too many. Headers or data that the server sends wipe them out:
    then the client has a reason to measure, as bandwidth probes do.
    """

    __slots__ = ("_interval", "_last", "_permit_without_calls", "_strikes")

    def __init__(self, min_interval: float, *, permit_without_calls: bool) -> None:
        self._interval = min_interval
        self._permit_without_calls = permit_without_calls
        self._last: float | None = None
        self._strikes = 0

    def sent(self) -> None:
        """The server sent headers or data."""
        self._strikes = 0
        self._last = None

    def pinged(self, now: float, *, has_calls: bool) -> bool:
        """A PING came. True if it is one too many: ENHANCE_YOUR_CALM, "too_many_pings"."""
        interval = self._interval
        if not has_calls and not self._permit_without_calls:
            interval = max(interval, MIN_PING_INTERVAL_WITHOUT_CALLS)
        if self._last is not None and now < self._last + interval:
            self._strikes += 1
        self._last = now
        return self._strikes > MAX_PING_STRIKES
