"""Whole calls in conversations that break RFC 9113, which servers refuse."""

from __future__ import annotations

from collections.abc import Iterator

from puregrpc.fuzz.cases.case import Case, Step
from puregrpc.fuzz.frames.probe import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    OPENING,
    PING,
    SETTINGS,
    Fields,
    block,
    frame,
    message,
)

__all__ = ["MOST_SERVED", "broken_forms"]

MOST_SERVED = 3
"""Who serves more of them looks at nothing of the kind, as small servers by hand do: that is no fault of one rule."""
WAIT = 0.5
"""Seconds."""


def broken_forms(path: str, fields: Fields, octets: bytes) -> Iterator[Case]:
    """One call in forms that RFC 9113 has a server end the connection for."""
    head = block(fields)
    whole = frame(HEADERS, END_HEADERS, 1, head) + frame(DATA, END_STREAM, 1, message(octets))
    data = frame(DATA, END_STREAM, 1, message(octets))

    def case(about: str, section: str, sent: bytes, stream: int = 1) -> Case:
        steps = (Step("raw", octets=OPENING + sent), Step("wait", stream, until="end"))
        return Case("frame", path, steps, "refusal", about, f"RFC 9113, section {section}", seconds=WAIT)

    def on(number: int) -> bytes:
        return frame(HEADERS, END_HEADERS, number, head) + frame(DATA, END_STREAM, number, message(octets))

    yield case("a call on an even stream", "5.1.1", on(2), 2)
    yield case("a call on a stream below the last one", "5.1.1", on(5) + on(3), 3)
    yield case(
        "a header block that a PING interrupts",
        "6.10",
        frame(HEADERS, 0, 1, head) + frame(PING, 0, 0, bytes(8)) + frame(CONTINUATION, END_HEADERS, 1) + data,
    )
    yield case(
        "a header block that goes on for another stream",
        "6.10",
        frame(HEADERS, 0, 1, head) + frame(CONTINUATION, END_HEADERS, 3) + data,
    )
    yield case(
        "a call behind SETTINGS with a window that is too large",
        "6.5.2",
        frame(SETTINGS, 0, 0, b"\0\4\x80\0\0\0") + whole,
    )
    yield case("a call behind SETTINGS of five octets", "6.5", frame(SETTINGS, 0, 0, bytes(5)) + whole)
    yield case("a call behind a PING of seven octets", "6.7", frame(PING, 0, 0, bytes(7)) + whole)
    yield case(
        "a table larger than is allowed", "4.3", frame(HEADERS, END_HEADERS, 1, b"\x3f\xff\xff\x7f" + head) + data
    )
    yield case(
        "a Huffman code with zeros behind it", "4.3", frame(HEADERS, END_HEADERS, 1, head + b"\0\x01x\x81\x18") + data
    )
