"""Calls that are refused for a field, and calls behind them that take theirs from the connection's dynamic table."""

from __future__ import annotations

from collections.abc import Iterator

import hpack

from puregrpc.fuzz.cases.case import Case, Step
from puregrpc.fuzz.checks.words import BUSY, Observation, signature
from puregrpc.fuzz.connection.running import Outcome
from puregrpc.fuzz.frames.probe import DATA, END_STREAM, OPENING, Fields, block, frame, in_frames, message

__all__ = ["behind_refused", "told_apart"]

BEFORE, REFUSED, BEHIND = 1, 3, 5
"""Streams."""
REFERENCE = "RFC 7541, section 2.2; CVE-2024-7246 (grpc)"
LAST_FIELD = (b"x-last", b"1")
ODD_FIELDS = (
    ("metadata that are no base64", b"x-odd-bin", b"!"),
    ("a name in upper case", b"X-Odd", b"1"),
    ("an unknown pseudo-header", b":odd", b"1"),
    ("a te that is not trailers", b"te", b"gzip"),
    ("a grpc-timeout without a unit", b"grpc-timeout", b"1x"),
    ("an unknown grpc-encoding", b"grpc-encoding", b"what"),
    ("a field without a name", b"", b"1"),
    ("a field of 20000 octets", b"x-odd", b"a" * 20_000),
)
"""For each of these somebody refuses a call."""


def behind_refused(path: str, fields: Fields, octets: bytes) -> Iterator[Case]:
    """An ordinary call, one that may be refused, and the ordinary one again, whose fields that one has brought."""
    body = message(octets)
    for about, name, value in ODD_FIELDS:
        encoder = hpack.Encoder()
        brings = encoder.encode([*fields, (name, value), LAST_FIELD])
        takes = encoder.encode([*fields, LAST_FIELD])
        sent = OPENING + _call(BEFORE, block(fields), body) + _call(REFUSED, brings, body) + _call(BEHIND, takes, body)
        steps = (Step("raw", octets=sent), Step("wait", BEHIND, until="end"))
        yield Case("frame", path, steps, "apart", f"a call behind one with {about}", REFERENCE, "high")


def _call(stream: int, head: bytes, body: bytes) -> bytes:
    return in_frames(stream, head) + frame(DATA, END_STREAM, stream, body)


def told_apart(case: Case, outcome: Outcome) -> list[Observation]:
    """Whether a call is answered otherwise behind one that is refused; the connection may end of that."""
    before, behind = outcome.answers.get(BEFORE), outcome.answers.get(BEHIND)
    if outcome.closed or outcome.goaway is not None or before is None or not before.ended or before.code is None:
        return []
    if behind is not None and behind.ended and (signature(behind) == signature(before) or behind.code in BUSY):
        return []
    said = behind.summary() if behind is not None and behind.ended else "nothing"
    text = f"{case.about}: answered with {said}, and {before.summary()} before it"
    return [Observation("state", text, ("apart",), case.severity, case.reference)]
