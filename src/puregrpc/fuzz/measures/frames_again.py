"""The same frame again and again on one connection, for what a server keeps of each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from puregrpc.fuzz.cases.case import Step
from puregrpc.fuzz.checks.words import Profile
from puregrpc.fuzz.connection.link import Link
from puregrpc.fuzz.connection.target import Target
from puregrpc.fuzz.frames.probe import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    OPENING,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    block,
    frame,
    message,
    window,
)

__all__ = ["FramesAgain", "frames_again"]

PIECE = 50
"""Frames that count as one time."""
PIECES = 8
LEAST = 2
"""Pieces on one connection; a server that ends it before finds so many of them too much."""
PATIENCE = 1.0
CALLED = 1.0
"""Seconds for the call that is to have ended."""
UNKNOWN = 0x2A
CANCEL = b"\0\0\0\x08"


@dataclass(slots=True)
class FramesAgain:
    """Sends frames of one kind, and keeps its connection for the next ones, as long as the server does."""

    about: str
    octets: bytes
    """A frame; if it is of a stream, of one that has ended."""
    _link: Link | None = field(default=None, init=False)
    _marks: int = field(default=0, init=False)

    def __call__(self, target: Target, profile: Profile) -> int:
        """How many pieces were sent, and behind each of them a PING answered; 0 if the server does not take them."""
        for _ in range(2):
            link = self._link
            if link is None or link.closed or link.goaway is not None:
                try:
                    link = self._link = target.link()
                except OSError:
                    return 0
                link.call(profile.fields, message(profile.octets))
                link.pump(time.monotonic() + CALLED)
            done = self._on(link)
            if done >= LEAST:
                return done
            self.close()
        return 0

    def _on(self, link: Link) -> int:
        for done in range(PIECES):
            self._marks += 1
            mark = b"\xff" + self._marks.to_bytes(7, "big")
            link.send(self.octets * PIECE + frame(PING, 0, 0, mark), PATIENCE)
            until = time.monotonic() + PATIENCE
            while mark not in link.pongs[-1:] and not link.closed and link.goaway is None and time.monotonic() < until:
                link.turn(0.05)
            if mark not in link.pongs[-1:]:
                return done
            link.pongs.clear()
        return PIECES

    def steps(self, profile: Profile) -> tuple[Step, ...]:
        """As many as on one connection, to be sent again."""
        call = frame(HEADERS, END_HEADERS, 1, block(profile.fields))
        call += frame(DATA, END_STREAM, 1, message(profile.octets))
        return (Step("raw", octets=OPENING + call + self.octets * PIECE * PIECES, seconds=0.1),)

    def close(self) -> None:
        """Close its connection."""
        if self._link is not None:
            self._link.close()
            self._link = None


def frames_again() -> Iterator[FramesAgain]:
    """What a client may send as often as it likes, and what it may not and servers bear with."""
    setting = (2).to_bytes(2, "big") + bytes(4)
    for about, octets in (
        (f"{PIECE} RST_STREAM frames of a call that has ended", frame(RST_STREAM, 0, 1, CANCEL)),
        (f"{PIECE} PING frames", frame(PING, 0, 0, bytes(8))),
        (f"{PIECE} SETTINGS frames", frame(SETTINGS, 0, 0, setting)),
        (f"{PIECE} WINDOW_UPDATE frames", window(0, 1)),
        (f"{PIECE} PRIORITY frames", frame(PRIORITY, 0, 1, bytes(4) + b"\x10")),
        (f"{PIECE} frames of an unknown type", frame(UNKNOWN, 0, 0, bytes(64))),
    ):
        yield FramesAgain(about, octets)
