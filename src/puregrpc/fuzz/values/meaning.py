"""Messages that a parser takes, and whose well-known types are beyond what they may mean."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

__all__ = ["is_beyond"]

FIRST, LAST = -62_135_596_800, 253_402_300_799
"""Seconds of the years 1 to 9999 (google/protobuf/timestamp.proto)."""
LONGEST = 315_576_000_000
"""Seconds of a duration (google/protobuf/duration.proto)."""
NANOS = 10**9
MOST_DEPTH = 10


def is_beyond(message: Message, depth: int = 0) -> bool:
    """Whether a Timestamp or a Duration in it is out of its range."""
    name = message.DESCRIPTOR.full_name
    if name in ("google.protobuf.Timestamp", "google.protobuf.Duration"):
        made: Any = message
        if name.endswith("Timestamp"):
            return not bool(FIRST <= made.seconds <= LAST and 0 <= made.nanos < NANOS)
        return bool(abs(made.seconds) > LONGEST or abs(made.nanos) >= NANOS or made.seconds * made.nanos < 0)
    if depth > MOST_DEPTH:
        return False
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        values = value.values() if hasattr(value, "values") else value if hasattr(value, "append") else [value]
        if any(isinstance(each, Message) and is_beyond(each, depth + 1) for each in values):
            return True
    return False
