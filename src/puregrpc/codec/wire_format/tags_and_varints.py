"""Tags, varints and skipping (https://protobuf.dev/programming-guides/encoding/).

Readers take the whole buffer and a position, and return the position after what they read. A read past the end of
the buffer raises IndexError; a read past the end of a message is noticed by its caller, whose position is then not
the end it expected.
"""

from __future__ import annotations

from collections.abc import Iterator

from puregrpc.codec.faults import Fault, TooDeep, Truncated

__all__ = [
    "SMALL",
    "SMALL_GROUP",
    "VARINTS",
    "check_fields",
    "group_end",
    "more",
    "read_fields",
    "read_tag",
    "read_varint",
    "skip",
    "tag_bytes",
    "varint",
]

VARINT, FIXED64, LENGTH, START_GROUP, END_GROUP, FIXED32 = range(6)
"""The wire types."""

SMALL = 1024
_MASK64 = (1 << 64) - 1


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


VARINTS = tuple(map(_varint, range(SMALL)))
"""The varints of the smallest numbers: most lengths, tags and enum numbers are found here."""


def varint(value: int) -> bytes:
    """A varint; a negative number is written as its 64-bit two's complement."""
    if value < 0:
        value += 1 << 64
    if value < 128:
        return VARINTS[value]
    if value < 0x4000:
        return bytes((value & 127 | 128, value >> 7))
    if value < 0x200000:
        return bytes((value & 127 | 128, value >> 7 & 127 | 128, value >> 14))
    low = (value & 127 | 128, value >> 7 & 127 | 128, value >> 14 & 127 | 128)
    if value < 0x10000000:
        return bytes((*low, value >> 21))
    if value < 0x800000000:
        return bytes((*low, value >> 21 & 127 | 128, value >> 28))
    return bytes((*low, value >> 21 & 127 | 128, value >> 28 & 127 | 128)) + varint(value >> 35)


def tag_bytes(number: int, wire_type: int) -> bytes:
    """The tag of a field."""
    return _varint(number << 3 | wire_type)


def read_varint(data: bytes, position: int, first: int) -> tuple[int, int]:
    """The varint whose first byte, with its continuation bit, is ``first``; ``position`` is after that byte."""
    byte = data[position]
    if byte < 128:
        return first & 127 | byte << 7, position + 1
    value = first & 127 | (byte & 127) << 7
    byte = data[position + 1]
    if byte < 128:
        return value | byte << 14, position + 2
    value |= (byte & 127) << 14
    position += 2
    for shift in range(21, 70, 7):
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            if value > _MASK64:
                raise Fault("a varint of more than 64 bits")
            return value, position
    raise Fault("a varint of more than 10 bytes")


def read_tag(data: bytes, position: int, first: int) -> tuple[int, int]:
    """Like ``read_varint``, for a tag: 32 bits in 5 bytes at most."""
    byte = data[position]
    if byte < 128:
        return first & 127 | byte << 7, position + 1
    tag, after = read_varint(data, position, first)
    if tag > 0xFFFFFFFF or after - position > 4:
        raise Fault("a tag of more than 32 bits or 5 bytes")
    return tag, after


def skip(data: bytes, position: int, end: int, tag: int, depth: int) -> int:
    """The position after the value of the field that ``tag`` began."""
    if tag < 8:
        raise Fault("a field with the number 0")
    wire_type = tag & 7
    if wire_type == VARINT:
        byte = data[position]
        position += 1
        if byte > 127:
            position = read_varint(data, position, byte)[1]
    elif wire_type == LENGTH:
        length = data[position]
        position += 1
        if length > 127:
            length, position = read_varint(data, position, length)
        position += length
    elif wire_type == FIXED64:
        position += 8
    elif wire_type == FIXED32:
        position += 4
    elif wire_type == START_GROUP:
        return group_end(data, position, end, tag, depth)[1]
    elif wire_type == END_GROUP:
        raise Fault("the end of a group that did not begin")
    else:
        raise Fault(f"wire type {wire_type}, which does not exist")
    if position > end:
        raise Truncated
    return position


SMALL_GROUP = 32
"""Bytes of a group whose end is found as fast as it is looked up."""


def group_end(
    data: bytes,
    position: int,
    end: int,
    tag: int,
    depth: int,
    ends: dict[tuple[int, int], tuple[int, int]] | None = None,
    shift: int = 0,
) -> tuple[int, int]:
    """The positions before and after the end tag of the group that ``tag`` began. Groups in it must match, too.

    Those of them that are not small are noted in ``ends``, by position and tag, with ``shift`` added to positions.
    """
    begins = [position]
    tags = [tag]
    while True:
        before = position
        if position >= end:
            raise Truncated
        tag = data[position]
        position += 1
        if tag > 127:
            tag, position = read_tag(data, position, tag)
        wire_type = tag & 7
        if wire_type == START_GROUP:
            if tag < 8:
                raise Fault("a field with the number 0")
            if len(tags) > depth:
                raise TooDeep
            tags.append(tag)
            begins.append(position)
        elif wire_type == END_GROUP:
            begin, begun = begins.pop(), tags.pop()
            if tag != begun + 1:
                raise Fault("the end of a group does not match its beginning")
            if not tags:
                if position > end:
                    raise Truncated
                return before, position
            if ends is not None and before - begin > SMALL_GROUP:
                ends[begin + shift, begun] = (before + shift, position + shift)
        else:
            position = skip(data, position, end, tag, depth)


def more(span: tuple[int, int] | bytearray, data: bytes, start: int, end: int, depth: int) -> bytearray:
    """What was seen of a message before, followed by another part: split messages merge as if they were joined.

    Each part is a message by itself: no value goes on from one to the next.
    """
    if isinstance(span, bytearray):
        joined = span
    else:
        check_fields(data, span[0], span[1], depth)
        joined = bytearray(data[span[0] : span[1]])
    check_fields(data, start, end, depth)
    joined += data[start:end]
    return joined


def check_fields(data: bytes, position: int, end: int, depth: int) -> None:
    """Raise a Fault unless the bytes are whole fields."""
    for _ in read_fields(data, position, end, depth):
        pass


def read_fields(data: bytes, position: int, end: int, depth: int) -> Iterator[tuple[int, int, int]]:
    """Every field of a message as (tag, number or start, end); for scalars the last is the position after it."""
    while position < end:
        tag = data[position]
        position += 1
        if tag > 127:
            tag, position = read_tag(data, position, tag)
        wire_type = tag & 7
        if wire_type in (VARINT, LENGTH):
            if tag < 8:
                raise Fault("a field with the number 0")
            value = data[position]
            position += 1
            if value > 127:
                value, position = read_varint(data, position, value)
            if wire_type == LENGTH:
                start, position = position, position + value
                if position > end:
                    raise Truncated
                yield tag, start, position
            else:
                yield tag, value, position
        else:
            start, position = position, skip(data, position, end, tag, depth)
            yield tag, start, position
    if position != end:
        raise Truncated
