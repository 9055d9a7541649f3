"""What a peer chose, as text for a reader."""

from __future__ import annotations

__all__ = ["escaped", "printable"]

SHOWN = 120
"""How many characters of a name or value stand in a part's value; the record has it whole."""


def printable(data: bytes, limit: int = SHOWN) -> str:
    """Octets as text for a reader: ASCII as it is, everything else escaped, long ones cut with a note of the length."""
    text = data[:limit].decode("latin-1").encode("unicode_escape").decode("ascii")
    return text if len(data) <= limit else f"{text}… ({len(data)} octets)"


def escaped(text: str) -> str:
    """Text that a peer or a file may have chosen, without what a terminal would obey."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
