"""Octets that a peer chose, as text for a reader."""

from __future__ import annotations

__all__ = ["printable"]

SHOWN = 120
"""How many characters of a name or value stand in a part's value; the record has it whole."""


def printable(data: bytes, limit: int = SHOWN) -> str:
    """Octets as text for a reader: ASCII as it is, everything else escaped, long ones cut with a note of the length."""
    text = data[:limit].decode("latin-1").encode("unicode_escape").decode("ascii")
    return text if len(data) <= limit else f"{text}… ({len(data)} octets)"
