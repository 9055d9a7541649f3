"""Reading DER (X.690): elements in elements, as certificates are made of."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["elements", "items"]


def elements(der: bytes) -> Iterator[tuple[int, int, int]]:
    """Tag, begin of content and end of each element of DER (X.690, section 8.1). Raises ValueError."""
    at = 0
    while at < len(der):
        begin = at + 2
        size = der[at + 1] if begin <= len(der) else -1
        if size > 0x80:  # that many octets with the size follow
            begin += size - 0x80
            size = int.from_bytes(der[at + 2 : begin], "big")
        if size < 0 or begin + size > len(der):  # not DER, or cut
            raise ValueError("it is not DER: an element is longer than what it is in")
        yield der[at], begin, begin + size
        at = begin + size


def items(der: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of each element. Raises ValueError."""
    return [(tag, der[begin:end]) for tag, begin, end in elements(der)]
