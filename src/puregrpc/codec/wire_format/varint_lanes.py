"""Many varints at once: each number has a lane of eight bytes in one large integer; its operators work on all.

A varint has seven bits of the number in each byte, lowest first, and the eighth bit on all bytes but the last
(https://protobuf.dev/programming-guides/encoding/#varints). Eight bytes hold 56 bits; larger numbers do not fit.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence

__all__ = ["FIRST_TOO_LARGE", "join_varints", "split_varints"]

FIRST_TOO_LARGE = 1 << 56
"""Numbers from here on have no varint of eight bytes."""

_BLOCK = 1024
"""Lanes in one integer: large enough that the loops are in C, small enough for the caches."""

_PIECE = 8192
"""Bytes that are split into varints before these become numbers: so the parts of a large body are few at a time."""


def _lanes(pattern: int) -> int:
    return int.from_bytes(pattern.to_bytes(8, "little") * _BLOCK, "little")


_LOW_28, _HIGH_28 = _lanes(0x000000000FFFFFFF), _lanes(0x00FFFFFFF0000000)
_LOW_14, _HIGH_14 = _lanes(0x00003FFF00003FFF), _lanes(0x0FFFC0000FFFC000)
_LOW_7, _HIGH_7 = _lanes(0x007F007F007F007F), _lanes(0x3F803F803F803F80)
"""The parts of a lane before 56 bits become 2 × 28, those 4 × 14, and those 8 × 7."""
_UPPER_28, _UPPER_14, _UPPER_7 = _HIGH_28 << 4, _HIGH_14 << 2, _HIGH_7 << 1
"""The upper parts afterwards."""
_SEVEN_BITS = _LOW_7 | _UPPER_7
_EIGHTH_BITS = _lanes(0x8080808080808080)
_NOT_IN_LAST_1, _NOT_IN_LAST_2, _NOT_IN_LAST_4 = (_lanes(0x8080808080808080 >> 8 * last) for last in (1, 2, 4))
"""The eighth bits, but those of the last bytes of each lane, where a shift brings in the next lane."""

_VARINT = re.compile(rb"[\x80-\xff]*[\0-\x7f]")


def join_varints(values: Sequence[int]) -> bytes | None:
    """The varints of numbers from 0 to ``FIRST_TOO_LARGE`` - 1; None if many of them are 0."""
    zeros = values.count(0)
    if zeros > len(values) >> 5:
        return None
    parts: list[bytes] = []
    start = 0
    for _ in range(zeros):
        zero = values.index(0, start)
        parts += _join(values, start, zero), b"\0"
        start = zero + 1
    parts.append(_join(values, start, len(values)))
    return b"".join(parts)


def _join(values: Sequence[int], start: int, end: int) -> bytes:
    """The same for a part without zeros: bytes of a lane that are zero are then not in use."""
    parts: list[bytes] = []
    for first in range(start, end, _BLOCK):
        block = values[first : min(first + _BLOCK, end)]
        lanes = int.from_bytes(struct.pack(f"<{len(block)}Q", *block), "little")
        lanes = lanes & _LOW_28 | (lanes & _HIGH_28) << 4
        lanes = lanes & _LOW_14 | (lanes & _HIGH_14) << 2
        lanes = lanes & _LOW_7 | (lanes & _HIGH_7) << 1
        in_use = lanes + _SEVEN_BITS & _EIGHTH_BITS
        followed = in_use >> 8 & _NOT_IN_LAST_1
        followed |= followed >> 8 & _NOT_IN_LAST_1
        followed |= followed >> 16 & _NOT_IN_LAST_2
        followed |= followed >> 32 & _NOT_IN_LAST_4
        size = len(block) * 8
        parts.append((lanes | followed & (1 << size * 8) - 1).to_bytes(size, "little").translate(None, b"\0"))
    return b"".join(parts)


def split_varints(body: bytes) -> list[int] | None:
    """The numbers of a body that ends with a whole varint; None if a varint has more than eight bytes."""
    values: list[int] = []
    start, size = 0, len(body)
    while start < size:
        end = min(start + _PIECE, size)
        while body[end - 1] > 127:
            end += 1
        texts: list[bytes] = _VARINT.findall(body, start, end)
        if max(map(len, texts)) > 8:
            return None
        for first in range(0, len(texts), _BLOCK):
            block = texts[first : first + _BLOCK]
            lanes = int.from_bytes(struct.pack("8s" * len(block), *block), "little")
            lanes = lanes & _LOW_7 | (lanes & _UPPER_7) >> 1
            lanes = lanes & _LOW_14 | (lanes & _UPPER_14) >> 2
            lanes = lanes & _LOW_28 | (lanes & _UPPER_28) >> 4
            values += struct.unpack(f"<{len(block)}Q", lanes.to_bytes(len(block) * 8, "little"))
        start = end
    return values
