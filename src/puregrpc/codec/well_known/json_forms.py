"""The well-known types that ProtoJSON writes in forms of their own, except Any (ProtoJSON, "JSON representation").

Encoders take (value, depth), decoders (data, position, end, depth), as generated ones do. They rely on the numbers
of the fields alone, so a schema that redefines these types cannot lead them astray.
"""

from __future__ import annotations

import re
import struct
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from math import copysign
from typing import Any

from google.protobuf.message import Message

from puregrpc.codec.faults import FAULTS, Fault, TooDeep, Truncated, at_element, fault_of, shown
from puregrpc.codec.options import Options
from puregrpc.codec.values import scalars
from puregrpc.codec.values.lists import list_of
from puregrpc.codec.values.message_objects import full_name_of, serialized
from puregrpc.codec.well_known import times
from puregrpc.codec.wire_format.content import budget_of, with_budget
from puregrpc.codec.wire_format.tags_and_varints import more, read_fields, read_tag, read_varint, skip, varint

__all__ = ["Decoder", "Encoder", "decoders", "encoders"]

Encoder = Callable[[Any, int], bytes]
Decoder = Callable[[bytes, int, int, int], Any]

_pack_double = struct.Struct("<d").pack
_unpack_double = struct.Struct("<d").unpack_from
_unpack_float = struct.Struct("<f").unpack_from
_pack_float = struct.Struct("<f").pack


def _delimited(tag: bytes, body: bytes) -> bytes:
    return tag + varint(len(body)) + body


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _signed32(value: int) -> int:
    return (value & 0xFFFFFFFF ^ 0x80000000) - 0x80000000


def _or_message(full_name: str, encode: Encoder) -> Encoder:
    """``encode``, that also takes message objects of the type."""

    def encode_either(value: Any, depth: int) -> bytes:
        return serialized(value, full_name) if isinstance(value, Message) else encode(value, depth)

    return encode_either


# ---- times


def _encode_time(parse: Callable[[object], tuple[int, int]]) -> Encoder:
    def encode(value: Any, _depth: int) -> bytes:
        seconds, nanos = parse(value)
        return (b"\x08" + varint(seconds) if seconds else b"") + (b"\x10" + varint(nanos) if nanos else b"")

    return encode


def _decode_time(show: Callable[[int, int], Any]) -> Decoder:
    def decode(data: bytes, position: int, end: int, depth: int) -> Any:
        seconds = nanos = 0
        while position < end:
            tag = data[position]
            position += 1
            if tag > 127:
                tag, position = read_tag(data, position, tag)
            if tag in (8, 16):
                value = data[position]
                position += 1
                if value > 127:
                    value, position = read_varint(data, position, value)
                if tag == 8:
                    seconds = _signed(value)
                else:
                    nanos = _signed32(value)
            else:
                position = skip(data, position, end, tag, depth)
        if position != end:
            raise Truncated
        return show(seconds, nanos)

    return decode


# ---- field masks

_QUOTED = "`[^`,]*`"
_CAMEL_CASE_PATH = re.compile(rf"(?:[^_,`\s]|{_QUOTED})+\Z")
_SNAKE_CASE_PATH = re.compile(rf"(?:[^A-Z_,`\s]|_[a-z]|{_QUOTED})*\Z")
"""Paths that are the same again after a way there and back. Beside names there are * for all fields or elements
(AIP-134, AIP-157), and keys of maps in backticks (AIP-161), which are written as they are."""
_TO_SNAKE_CASE = re.compile(rf"{_QUOTED}|[A-Z]")
_TO_CAMEL_CASE = re.compile(rf"{_QUOTED}|_[a-z]")


def _snake_case(match: re.Match[str]) -> str:
    found = match[0]
    return found if found[0] == "`" else "_" + found.lower()


def _camel_case(match: re.Match[str]) -> str:
    found = match[0]
    return found if found[0] == "`" else found[1].upper()


def _encode_mask(value: Any, _depth: int) -> bytes:
    if not isinstance(value, str):
        raise Fault(f"field mask expected, as in fooBar,baz, not {shown(value)}")
    out = []
    for path in value.split(",") if value else ():
        if not _CAMEL_CASE_PATH.match(path):
            raise Fault(f"no such path in a field mask: {shown(path)}")
        out.append(_delimited(b"\x0a", _TO_SNAKE_CASE.sub(_snake_case, path).encode()))
    return b"".join(out)


def _decode_mask(data: bytes, position: int, end: int, depth: int) -> str:
    paths = []
    for tag, start, stop in read_fields(data, position, end, depth):
        if tag == 10:
            path = data[start:stop].decode()
            if not _SNAKE_CASE_PATH.match(path):
                raise Fault(f"a path that cannot be written in lowerCamelCase: {shown(path)}")
            paths.append(_TO_CAMEL_CASE.sub(_camel_case, path))
    return ",".join(paths)


# ---- Struct, Value, ListValue


_IN_VALUE = frozenset({8, 17, 26, 32, 42, 50})
"""The tags of the kinds of a Value."""
_TAG_IN_VALUE = {"google.protobuf.Struct": b"\x2a", "google.protobuf.ListValue": b"\x32"}


def _encode_value(value: Any, depth: int) -> bytes:
    if value is None:
        return b"\x08\x00"
    if isinstance(value, str):
        return _delimited(b"\x1a", value.encode())
    if value is True:
        return b"\x20\x01"
    if value is False:
        return b"\x20\x00"
    if isinstance(value, (int, float)):
        number = scalars.double_of(value)
        if number - number != 0:
            raise Fault(f"a google.protobuf.Value cannot be {scalars.float_text(number)}")
        return b"\x11" + _pack_double(number)
    if isinstance(value, Message):
        tag = _TAG_IN_VALUE.get(full_name_of(value))
        body = serialized(value, full_name_of(value) if tag else "google.protobuf.Value")
        return _delimited(tag, body) if tag else body
    if isinstance(value, Mapping):
        return _delimited(b"\x2a", _encode_struct(value, depth - 1))
    if isinstance(value, (list, tuple)):
        return _delimited(b"\x32", _encode_list(value, depth - 1))
    if scalars.is_bool(value):
        return _encode_value(bool(value), depth)
    if hasattr(value, "__float__"):
        return _encode_value(scalars.double_of(value), depth)
    raise Fault(f"a JSON value expected, not {shown(value)}")


def _encode_struct(value: Any, depth: int) -> bytes:
    if not isinstance(value, Mapping):
        raise Fault(f"object expected for google.protobuf.Struct, not {shown(value)}")
    if depth < 0:
        raise TooDeep
    out = []
    for key, item in value.items():
        try:
            if not isinstance(key, str):
                raise Fault("string expected as key")
            body = _delimited(b"\x0a", key.encode()) + _delimited(b"\x12", _encode_value(item, depth - 2))
        except FAULTS as error:
            raise at_element(error, key) from None
        out.append(_delimited(b"\x0a", body))
    return b"".join(out)


def _encode_list(value: Any, depth: int) -> bytes:
    try:
        value = list_of(value)
    except Fault:
        raise Fault(f"list expected for google.protobuf.ListValue, not {shown(value)}") from None
    if depth < 0:
        raise TooDeep
    out = []
    for item in value:
        try:
            out.append(_delimited(b"\x0a", _encode_value(item, depth - 1)))
        except FAULTS as error:
            raise at_element(error, len(out)) from None
    return b"".join(out)


def _decode_value(data: bytes, position: int, end: int, depth: int) -> Any:
    if depth < 0:
        raise TooDeep
    which = 0
    scalar: Any = None
    span: Any = None
    for tag, value, stop in read_fields(data, position, end, depth):
        if span is not None and which != tag and tag in _IN_VALUE:
            _decode_span(data, span, which, depth)  # what is replaced has to be valid, too
            span = None
        if tag in (42, 50):
            span = (value, stop) if span is None else more(span, data, value, stop, depth)
        elif tag == 8:
            scalar = None
        elif tag == 17:
            (scalar,) = _unpack_double(data, value)
        elif tag == 26:
            scalar = data[value:stop].decode()
        elif tag == 32:
            scalar = value != 0
        else:
            continue
        which = tag
    if which == 17:
        if scalar - scalar != 0:
            raise Fault(f"a google.protobuf.Value that is {scalars.float_text(scalar)}")
        is_whole = scalar.is_integer() and -(1 << 53) <= scalar <= 1 << 53
        return int(scalar) if is_whole and (scalar or copysign(1, scalar) > 0) else scalar
    return scalar if span is None else _decode_span(data, span, which, depth)


def _decode_span(data: bytes, span: Any, which: int, depth: int) -> Any:
    """The Struct or the ListValue of a Value."""
    if isinstance(span, bytearray):
        data, span = with_budget(bytes(span), budget_of(data)), (0, len(span))
    return (_decode_struct if which == 42 else _decode_list)(data, span[0], span[1], depth - 1)


def _decode_struct(data: bytes, position: int, end: int, depth: int) -> dict[str, Any]:
    if depth < 0:
        raise TooDeep
    shown_fields: dict[str, Any] = {}
    budget = budget_of(data)
    for tag, start, stop in read_fields(data, position, end, depth):
        if tag != 10:
            continue
        if budget is not None:
            budget.spend(1)
        key = ""
        span: Any = None
        for entry_tag, first, last in read_fields(data, start, stop, depth):
            if entry_tag == 10:
                key = data[first:last].decode()
            elif entry_tag == 18:
                span = (first, last) if span is None else more(span, data, first, last, depth)
        try:
            if isinstance(span, bytearray):
                shown_fields[key] = _decode_value(with_budget(bytes(span), budget), 0, len(span), depth - 2)
            else:
                first, last = span or (0, 0)
                shown_fields[key] = _decode_value(data, first, last, depth - 2)
        except FAULTS as error:
            raise at_element(error, key) from None
    return shown_fields


def _decode_list(data: bytes, position: int, end: int, depth: int) -> list[Any]:
    if depth < 0:
        raise TooDeep
    items: list[Any] = []
    budget = budget_of(data)
    for tag, start, stop in read_fields(data, position, end, depth):
        if tag == 10:
            if budget is not None:
                budget.spend(1)
            try:
                items.append(_decode_value(data, start, stop, depth - 1))
            except FAULTS as error:
                fault = fault_of(error)
                fault.path = f"[{len(items)}]{fault.path}"
                raise fault from None
    return items


# ---- wrappers


def _wrapper(tag: int, body_of: Callable[[Any], bytes], default: bytes) -> Encoder:
    head = varint(tag)

    def encode(value: Any, _depth: int) -> bytes:
        body = body_of(value)
        return head + body if body != default else b""

    return encode


def _unwrapper(tag: int, read: Callable[[bytes, int, int], Any], default: Any) -> Decoder:
    def decode(data: bytes, position: int, end: int, depth: int) -> Any:
        shown_value = default
        for found, value, stop in read_fields(data, position, end, depth):
            if found == tag:
                shown_value = read(data, value, stop)
        return shown_value

    return decode


def _length_prefixed(body: bytes) -> bytes:
    return varint(len(body)) + body


def _bool_body(value: Any) -> bytes:
    return b"\x01" if (value if isinstance(value, bool) else scalars.bool_of(value)) else b"\x00"


def encoders(options: Options) -> dict[str, Encoder]:
    """Encoders by full name of the type."""
    of_bytes = scalars.native_bytes_of if options.is_native else scalars.bytes_of
    made: dict[str, Encoder] = {
        "Timestamp": _encode_time(times.parse_timestamp),
        "Duration": _encode_time(times.parse_duration),
        "FieldMask": _encode_mask,
        "Struct": _encode_struct,
        "ListValue": _encode_list,
        "Value": _encode_value,
        "DoubleValue": _wrapper(9, lambda value: _pack_double(scalars.double_of(value)), bytes(8)),
        "FloatValue": _wrapper(13, lambda value: _pack_float(scalars.float_of(value)), bytes(4)),
        "Int64Value": _wrapper(8, lambda value: varint(scalars.int64_of(value)), b"\0"),
        "UInt64Value": _wrapper(8, lambda value: varint(scalars.uint64_of(value)), b"\0"),
        "Int32Value": _wrapper(8, lambda value: varint(scalars.int32_of(value)), b"\0"),
        "UInt32Value": _wrapper(8, lambda value: varint(scalars.uint32_of(value)), b"\0"),
        "BoolValue": _wrapper(8, _bool_body, b"\0"),
        "StringValue": _wrapper(10, lambda value: _length_prefixed(scalars.string_of(value).encode()), b"\0"),
        "BytesValue": _wrapper(10, lambda value: _length_prefixed(of_bytes(value)), b"\0"),
    }
    return {
        f"google.protobuf.{name}": encode if name == "Value" else _or_message(f"google.protobuf.{name}", encode)
        for name, encode in made.items()
    }


def decoders(options: Options) -> dict[str, Decoder]:
    """Decoders by full name of the type."""
    native = options.is_native

    def text_unless_native(number: int) -> int | str:
        return number if native else str(number)

    def read_double(data: bytes, value: int, _stop: int) -> float | str:
        (number,) = _unpack_double(data, value)
        return scalars.float_text(number) if number - number != 0 and not native else float(number)

    def read_float(data: bytes, value: int, _stop: int) -> float | str:
        (number,) = _unpack_float(data, value)
        return scalars.shortest_native(number) if native else scalars.shortest_float(number)

    def read_bytes(data: bytes, value: int, stop: int) -> bytes | str:
        return data[value:stop] if native else str(b2a_base64(data[value:stop], newline=False), "ascii")

    made: dict[str, Decoder] = {
        "Timestamp": _decode_time(times.native_timestamp if native else times.timestamp_text),
        "Duration": _decode_time(times.native_duration if native else times.duration_text),
        "FieldMask": _decode_mask,
        "Struct": _decode_struct,
        "ListValue": _decode_list,
        "Value": _decode_value,
        "DoubleValue": _unwrapper(9, read_double, 0.0),
        "FloatValue": _unwrapper(13, read_float, 0.0),
        "Int64Value": _unwrapper(8, lambda _, value, __: text_unless_native(_signed(value)), text_unless_native(0)),
        "UInt64Value": _unwrapper(8, lambda _, value, __: text_unless_native(value), text_unless_native(0)),
        "Int32Value": _unwrapper(8, lambda _, value, __: _signed32(value), 0),
        "UInt32Value": _unwrapper(8, lambda _, value, __: value & 0xFFFFFFFF, 0),
        "BoolValue": _unwrapper(8, lambda _, value, __: value != 0, False),
        "StringValue": _unwrapper(10, lambda data, value, stop: data[value:stop].decode(), ""),
        "BytesValue": _unwrapper(10, read_bytes, b"" if native else ""),
    }
    return {f"google.protobuf.{name}": decode for name, decode in made.items()}
