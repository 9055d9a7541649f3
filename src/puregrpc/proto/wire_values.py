"""The wire format, as far as descriptors and options need it: tags, varints and scalars, written.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import struct

from puregrpc.proto.descriptors import FieldType

__all__ = ["PACKABLE", "WIRE_TYPES", "encode_scalar", "length_delimited", "tag", "varint"]

VARINTS = [bytes([value]) for value in range(128)]


def varint(value: int) -> bytes:
    """A varint; a negative number as its 64-bit two's complement."""
    if 0 <= value < 128:
        return VARINTS[value]
    if value < 0:
        value += 1 << 64
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def tag(number: int, wire_type: int) -> bytes:
    """The tag of a field."""
    return varint(number << 3 | wire_type)


def length_delimited(number: int, value: bytes) -> bytes:
    """A string, bytes or message field."""
    return varint(number << 3 | 2) + varint(len(value)) + value


WIRE_TYPES: dict[int, int] = {
    FieldType.DOUBLE: 1, FieldType.FLOAT: 5, FieldType.INT64: 0, FieldType.UINT64: 0, FieldType.INT32: 0,
    FieldType.FIXED64: 1, FieldType.FIXED32: 5, FieldType.BOOL: 0, FieldType.STRING: 2, FieldType.MESSAGE: 2,
    FieldType.BYTES: 2, FieldType.UINT32: 0, FieldType.ENUM: 0, FieldType.SFIXED32: 5, FieldType.SFIXED64: 1,
    FieldType.SINT32: 0, FieldType.SINT64: 0,
}  # fmt: skip
PACKABLE = frozenset(kind for kind, wire_type in WIRE_TYPES.items() if wire_type != 2)
FIXED = {
    FieldType.DOUBLE: struct.Struct("<d"), FieldType.FLOAT: struct.Struct("<f"),
    FieldType.FIXED64: struct.Struct("<Q"), FieldType.SFIXED64: struct.Struct("<q"),
    FieldType.FIXED32: struct.Struct("<I"), FieldType.SFIXED32: struct.Struct("<i"),
}  # fmt: skip


def encode_scalar(kind: FieldType, value: object) -> bytes:
    """A scalar without its tag; a string with its length, and as one character per byte."""
    if isinstance(value, str):
        raw = value.encode("latin-1")
        return varint(len(raw)) + raw
    if isinstance(value, float):
        if kind == FieldType.FLOAT:
            return to_single(value)
        return FIXED[kind].pack(value)
    if not isinstance(value, int):
        raise TypeError(f"not a scalar: {value!r}")
    if kind in (FieldType.SINT32, FieldType.SINT64):
        return varint(value << 1 if value >= 0 else (-value << 1) - 1)
    fixed = FIXED.get(kind)
    return varint(value) if fixed is None else fixed.pack(value)


def to_single(value: float) -> bytes:
    """A float in single precision; what is too large becomes infinite, as a cast does."""
    try:
        return FIXED[FieldType.FLOAT].pack(value)
    except OverflowError:
        return FIXED[FieldType.FLOAT].pack(float("inf") if value > 0 else float("-inf"))
