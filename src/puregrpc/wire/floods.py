"""Floods: peers that keep the connection busy with frames that carry nothing. Each kind has an allowance."""

from __future__ import annotations

from puregrpc.errors import RemoteProtocolError
from puregrpc.wire.frames import ACK, END_STREAM, ErrorCode, FrameType
from puregrpc.wire.limits import (
    EMPTY_FRAMES,
    FOREIGN_REQUESTS,
    GOAWAY_FRAMES,
    INFORMATIONAL_RESPONSES,
    MAX_SETTINGS_IN_FRAME,
    MAX_UNSENT_REPLIES,
    MAX_WINDOW_UPDATES,
    PING_ACKNOWLEDGEMENTS,
    PINGS,
    PRIORITY_FRAMES,
    SETTINGS_ACKNOWLEDGEMENTS,
    SETTINGS_FRAMES,
    SMALL_PARTS,
    STREAM_FAULTS,
    STREAM_REFUSALS,
    STREAM_RESETS,
    UNKNOWN_FRAMES,
    Rate,
)

__all__ = ["Allowance", "FloodGuard"]


class Allowance:
    """So many at once, and so many a second after that (a token bucket)."""

    __slots__ = ("_at", "_burst", "_left", "_per_second")

    def __init__(self, rate: Rate, *, at_least: int = 0) -> None:
        self._burst = float(max(rate.burst, at_least))
        self._per_second = rate.per_second
        self._left = self._burst
        self._at: float | None = None

    def spend(self, now: float, count: int = 1) -> bool:
        """Use one, or more. False if there are not so many left."""
        if self._at is not None and now > self._at:
            self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < count:
            return False
        self._left -= count
        return True


class FloodGuard:
    """The allowances of one connection. Whoever passes one is sent away with ENHANCE_YOUR_CALM."""

    __slots__ = ("_allowances", "_data_since_ping", "_is_server", "_most_calls", "_replies", "_updates")

    def __init__(self, max_concurrent_streams: int | None) -> None:
        """For a server, with the number of calls that may be open at once; for a client with None.

        A client's calls end with the resets it is sent, so that those are as many as it likes to open.
        """
        self._is_server = max_concurrent_streams is not None
        self._most_calls = max_concurrent_streams or 0
        self._allowances: dict[str, Allowance] = {}
        """By what they are for: most peers touch few of them, and a server has thousands of connections."""
        self._data_since_ping = False
        self._updates = 0
        self._replies = 0

    def received(self, kind: int, flags: int, length: int, now: float) -> None:
        """Hold a frame, of ``length`` octets behind its head, against the allowance of its kind.

        Raises RemoteProtocolError if there is nothing left of it.
        """
        if kind == FrameType.DATA:
            if not length and not flags & END_STREAM:
                self._spend(EMPTY_FRAMES, now, "empty DATA frames")
        elif kind == FrameType.WINDOW_UPDATE:
            self.window_updated()
        elif kind == FrameType.RST_STREAM:
            if self._is_server:  # a client may well cancel all of its calls at once, and open as many again
                self._spend(STREAM_RESETS, now, "RST_STREAM frames", at_least=2 * self._most_calls)
        elif kind == FrameType.SETTINGS:
            if flags & ACK:
                self._spend(SETTINGS_ACKNOWLEDGEMENTS, now, "acknowledgements of SETTINGS")
            else:
                self._spend(SETTINGS_FRAMES, now, "SETTINGS frames")
                if length > 6 * MAX_SETTINGS_IN_FRAME:
                    raise _calm_down("settings in one frame")
        elif kind == FrameType.PING:
            if flags & ACK:
                self.ping_acknowledged(now)
            else:
                self.pinged(now)
        elif kind == FrameType.PRIORITY:
            self._spend(PRIORITY_FRAMES, now, "PRIORITY frames")
        elif kind == FrameType.GOAWAY:
            self._spend(GOAWAY_FRAMES, now, "GOAWAY frames")
        elif kind > FrameType.CONTINUATION:
            self._spend(UNKNOWN_FRAMES, now, "frames of unknown types")
        elif not length and kind in (FrameType.HEADERS, FrameType.CONTINUATION):
            self._spend(EMPTY_FRAMES, now, "empty header frames")

    def window_updated(self) -> None:
        """A WINDOW_UPDATE came; as `received`, for these frames that come with most answers."""
        self._updates += 1
        if self._updates > MAX_WINDOW_UPDATES:
            raise _calm_down("WINDOW_UPDATE frames")

    def pinged(self, now: float) -> None:
        """A PING came that wants an answer; as `received`."""
        if self._data_since_ping:
            self._data_since_ping = False
        else:
            self._spend(PINGS, now, "PING frames")

    def probed(self, octets: int) -> None:
        """WINDOW_UPDATE and a PING came after DATA went out, and a reply of so many octets waits; as `data_sent`,
        `window_updated`, `pinged` and `replied`, in one step."""
        self._updates = 1
        self._data_since_ping = False
        self.replied(octets)

    def ping_acknowledged(self, now: float) -> None:
        """An answer to a PING came; as `received`."""
        self._spend(PING_ACKNOWLEDGEMENTS, now, "acknowledgements of PING")

    def small_part(self, now: float, count: int = 1) -> None:
        """A DATA frame came that brings a message little further. Raises RemoteProtocolError if there were too many."""
        self._spend(SMALL_PARTS, now, "small parts of messages", count=count)

    def stream_refused(self, now: float) -> None:
        """A stream was refused. Raises RemoteProtocolError if there were too many."""
        self._spend(STREAM_REFUSALS, now, "streams beyond those that may be open", at_least=2 * self._most_calls)

    def foreign_request(self, now: float) -> None:
        """A request is answered by the connection. Raises RemoteProtocolError if there were too many."""
        self._spend(FOREIGN_REQUESTS, now, "requests that are not gRPC's")

    def informational(self, now: float) -> None:
        """A 1xx response came. Raises RemoteProtocolError if there were too many."""
        self._spend(INFORMATIONAL_RESPONSES, now, "informational responses")

    def stream_fault(self, now: float) -> None:
        """The peer made this side reset a stream. Raises RemoteProtocolError if it has done so too often."""
        if self._is_server:
            self._spend(STREAM_FAULTS, now, "streams that had to be reset")

    def replied(self, octets: int) -> None:
        """So many octets of replies wait to be sent. Raises RemoteProtocolError if the peer does not read them."""
        self._replies += octets
        if self._replies > MAX_UNSENT_REPLIES:
            raise _calm_down("frames that want a reply, while the replies are not read")

    def output_drained(self) -> None:
        """All replies have been taken by the transport."""
        self._replies = 0

    def data_sent(self) -> None:
        """DATA went out: a peer has reason to send WINDOW_UPDATE, and to probe the bandwidth with a PING."""
        self._updates = 0
        self._data_since_ping = True

    def _spend(self, rate: Rate, now: float, what: str, *, at_least: int = 0, count: int = 1) -> None:
        allowance = self._allowances.get(what)
        if allowance is None:
            allowance = self._allowances[what] = Allowance(rate, at_least=at_least)
        if not allowance.spend(now, count):
            raise _calm_down(what)


def _calm_down(what: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"too many {what}", ErrorCode.ENHANCE_YOUR_CALM)
