"""Repeated scalars: whole lists at a time, with the loops in C where the values allow it."""

from __future__ import annotations

import json
import re
import struct
from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat
from sys import byteorder
from typing import Any

from puregrpc.codec.faults import FAULTS, Fault, Truncated, at_element, shown
from puregrpc.codec.values.scalars import string_of
from puregrpc.codec.wire_format.tags_and_varints import SMALL, VARINTS, varint
from puregrpc.codec.wire_format.varint_lanes import FIRST_TOO_LARGE, join_varints, split_varints

__all__ = [
    "entries_of",
    "expanded",
    "list_of",
    "pack_bools",
    "pack_fixed",
    "pack_varints",
    "read_packed_fixed",
    "read_packed_varints",
    "strings",
]

_INT = {int}
_TOO_LONG = re.compile(rb"[\x80-\xff]{10}")
_STR = {str}
_MANY = 16
"""From so many elements on, loops in C win over their greater cost to begin with."""
_MANY_VARINTS = 32
"""The same for `varint_lanes`: elements to join, bytes to split."""
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
            raise at_element(error, len(done)) from None
    return done


def expanded(values: Sequence[Any], tag: bytes, body_of: Callable[[Any], bytes]) -> bytes:
    """The elements one by one, each behind the tag."""
    if not values:
        return b""
    return tag + tag.join(_each(values, body_of))


def _integers(texts: Sequence[str]) -> list[int] | None:
    """Integers all at once, if they are written as JSON has them; None if one is not."""
    text = ",".join(texts)
    if len(text.split(None, 1)) != 1 or max(map(len, texts)) > 20:
        return None
    try:
        numbers: list[int] = json.loads(f"[{text}]")
    except (ValueError, RecursionError):
        return None
    return numbers if len(numbers) == len(texts) and set(map(type, numbers)) == _INT else None


def strings(values: Sequence[Any], tag: bytes) -> bytes:
    """The elements of a list of strings, each behind the tag and its length."""
    try:
        if len(values) < _MANY:
            parts: list[bytes] = []
            for value in values:
                body = value.encode() if type(value) is str else string_of(value).encode()
                size = len(body)
                parts += tag, VARINTS[size] if size < SMALL else varint(size), body
            return b"".join(parts)
        if set(map(type, values)) == _STR:
            bodies = list(map(str.encode, values))
            lengths = map(VARINTS.__getitem__, map(len, bodies))
            return b"".join(chain.from_iterable(zip(repeat(tag), lengths, bodies, strict=False)))
    except (Fault, UnicodeError, IndexError):
        pass  # not a string, a lone surrogate, or a string that is long: one by one, then
    return expanded(values, tag, _string_body)


def _string_body(value: Any) -> bytes:
    body = string_of(value).encode()
    return varint(len(body)) + body


def pack_varints(values: Sequence[Any], of: Callable[[object], int], low: int, high: int, zigzag: bool) -> bytes:
    """The body of a packed field of integers."""
    given = values
    types = set(map(type, values))
    if types != _INT:
        values = _each(values, of) if types != _STR else _integers(values) or _each(values, of)
    if not zigzag and (body := _single_bytes(values)) is not None:
        return body
    smallest, largest = min(values), max(values)
    if smallest < low or largest > high:
        _each(given, of)
    if zigzag:
        values = [value << 1 ^ value >> 63 for value in values]
        smallest, largest = 0, max(values)
    if smallest >= 0:
        if largest < len(VARINTS):
            return b"".join(map(VARINTS.__getitem__, values))
        if len(values) >= _MANY_VARINTS and largest < FIRST_TOO_LARGE:
            body = join_varints(values)
            if body is not None:
                return body
    return _varints(values)


def _single_bytes(values: Sequence[int]) -> bytes | None:
    """Numbers from 0 to 127, which are their own varints; None if there is any other."""
    try:
        body = bytes(values)
    except ValueError:
        return None
    return body if body.isascii() else None


def _varints(values: Iterable[int]) -> bytes:
    out = bytearray()
    append = out.append
    for value in values:
        if value < 0:
            value += 1 << 64
        while value > 127:
            append(value & 127 | 128)
            value >>= 7
        append(value)
    return bytes(out)


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
    if body[-1] > 127:
        raise Truncated
    if len(body) >= _MANY_VARINTS and (split := split_varints(body)) is not None:
        return split
    if _TOO_LONG.search(body):
        raise Fault("a varint of more than 10 bytes")
    values: list[int] = []
    append = values.append
    value = shift = 0
    for byte in body:
        if byte > 127:
            value |= (byte & 127) << shift
            shift += 7
        elif shift:
            append(value | byte << shift)
            value = shift = 0
        else:
            append(byte)
    if max(values) > _MASK64:
        raise Fault("a varint of more than 64 bits")
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
