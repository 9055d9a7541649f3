"""Snappy's block format, of literals only: what a receiver asks for that takes nothing else. It makes nothing smaller.

https://github.com/google/snappy/blob/main/format_description.txt
"""

from __future__ import annotations

__all__ = ["snappy_block"]

LONGEST = 1 << 16
"""Bytes of a literal whose length takes two bytes."""

TWO_BYTES = 61 << 2
"""The tag of a literal (00 in the lower two bits) whose length, less one, is in the two bytes that follow."""


def snappy_block(data: bytes) -> bytes:
    """``data`` as a block that any decoder reads."""
    parts = [varint(len(data))]
    for start in range(0, len(data), LONGEST):
        part = data[start : start + LONGEST]
        parts += bytes((TWO_BYTES,)), (len(part) - 1).to_bytes(2, "little"), part
    return b"".join(parts)


def varint(value: int) -> bytes:
    """A number, seven bits a byte, the lowest first."""
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
