"""Repeated scalars: whole lists at a time, with the loops in C where the values allow it."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterable, Sequence
from sys import byteorder
from typing import Any

from puregrpc.codec.faults import FAULTS, Fault, Truncated, fault_of, shown
from puregrpc.codec.wire_format import VARINTS, read_varint, varint

__all__ = [
    "entries_of",
    "expanded",
    "list_of",
    "pack_bools",
    "pack_fixed",
    "pack_varints",
    "read_packed_fixed",
    "read_packed_varints",
]

_INT = {int}
_BOOL = {bool}
_FLOAT = {float}
_MASK64 = (1 << 64) - 1


def list_of(value: object) -> Sequence[Any]:
    """A list, or anything iterable that is not text, bytes or a mapping."""
    if isinstance(value, (list, tuple)):
        return value
    if isinstance(value, (str, bytes, bytearray, memoryview, dict)) or not isinstance(value, Iterable):
        raise Fault(f"list expected, not {shown(value)}")
    return list(value)


def entries_of(value: object) -> dict[Any, Any]:
    """A map field as a dict."""
    if isinstance(value, dict):
        return value
    if hasattr(value, "keys") and hasattr(value, "__getitem__"):
        return {key: value[key] for key in value.keys()}  # noqa: SIM118 - a protobuf map is not a Mapping
    raise Fault(f"object expected for a map, not {shown(value)}")


def _each(values: Sequence[Any], convert: Callable[[Any], Any]) -> list[Any]:
    """Every element converted; a fault names its index."""
    done: list[Any] = []
    for value in values:
        try:
            done.append(convert(value))
        except FAULTS as error:
            fault = fault_of(error)
            fault.path = f"[{len(done)}]{fault.path}"
            raise fault from None
    return done


def expanded(values: Sequence[Any], tag: bytes, body_of: Callable[[Any], bytes]) -> bytes:
    """The elements one by one, each behind the tag."""
    if not values:
        return b""
    return tag + tag.join(_each(values, body_of))


def pack_varints(values: Sequence[Any], of: Callable[[object], int], low: int, high: int, zigzag: bool) -> bytes:
    """The body of a packed field of integers."""
    if set(map(type, values)) != _INT:
        values = _each(values, of)
    smallest, largest = min(values), max(values)
    if smallest < low or largest > high:
        _each(values, of)
    if zigzag:
        values = [value << 1 ^ value >> 63 for value in values]
        smallest, largest = 0, max(values)
    if smallest >= 0:
        if largest < 128:
            return bytes(values)
        if largest < len(VARINTS):
            return b"".join(map(VARINTS.__getitem__, values))
    return b"".join(map(varint, values))


def pack_bools(values: Sequence[Any], of: Callable[[object], bool]) -> bytes:
    """The body of a packed field of bools."""
    if set(map(type, values)) != _BOOL:
        values = _each(values, of)
    return bytes(values)


def pack_fixed(values: Sequence[Any], of: Callable[[object], Any], code: str) -> bytes:
    """The body of a packed field of fixed-size numbers; ``code`` is the struct module's."""
    types = set(map(type, values))
    if types != (_FLOAT if code in "fd" else _INT):
        values = _each(values, of)
    try:
        return struct.pack(f"<{len(values)}{code}", *values)
    except (struct.error, OverflowError):
        pack = struct.Struct(f"<{code}").pack
        return b"".join(_each(values, lambda value: pack(of(value))))


def read_packed_varints(data: bytes, position: int, end: int) -> list[int]:
    """The varints of a packed field, as unsigned 64-bit numbers."""
    body = data[position:end]
    if body.isascii():
        return list(body)
    values: list[int] = []
    append = values.append
    position, end = 0, len(body)
    while position < end:
        byte = body[position]
        position += 1
        if byte > 127:
            if position >= end:
                raise Truncated
            second = body[position]
            if second < 128:
                byte = byte & 127 | second << 7
                position += 1
            else:
                byte, position = read_varint(body, position, byte)
        append(byte)
    return values


_ITEM_SIZES = {code: array(code).itemsize for code in "fdiIqQ"}


def read_packed_fixed(data: bytes, position: int, end: int, code: str) -> Sequence[Any]:
    """The numbers of a packed field of fixed size; ``code`` is the struct module's."""
    size = 8 if code in "dqQ" else 4
    count, rest = divmod(end - position, size)
    if rest:
        raise Fault(f"a packed field of {end - position} bytes, which is not a multiple of {size}")
    if byteorder == "little" and _ITEM_SIZES[code] == size:
        values = array(code)
        values.frombytes(data[position:end])
        return values.tolist()
    return struct.unpack_from(f"<{count}{code}", data, position)
