"""Messages with message_set_wire_format: each extension is an item, a group with a type id and a message.

message MessageSet { repeated group Item = 1 { required int32 type_id = 2; required bytes message = 3; } }
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable
from typing import Any

from puregrpc.codec.faults import Fault, TooDeep, Truncated
from puregrpc.codec.generation.shapes import Shape
from puregrpc.codec.options import UNKNOWN_FIELDS, Options
from puregrpc.codec.values.scalars import bytes_of
from puregrpc.codec.wire_format.content import budget_of, with_budget
from puregrpc.codec.wire_format.tags_and_varints import check_fields, group_end, read_fields, read_tag, skip, varint

__all__ = ["decoder", "encoder"]

_ITEM, _ITEM_END, _TYPE_ID, _MESSAGE = 11, 12, 16, 26
"""Tags."""


def encoder(
    shape: Shape, prepared: Callable[[Any], Any], encoders: dict[str, Callable[..., bytes]], options: Options
) -> Callable[[Any, int], bytes]:
    """The encoder of a message set; ``encoders`` are those of its extensions, by key."""
    numbers = {field.key: field.descriptor.number for field in shape.fields}

    def encode(value: Any, depth: int) -> bytes:
        value = value if type(value) is dict else prepared(value)
        if type(value) is bytes:
            return value
        if depth < 0:
            raise TooDeep
        out = []
        for key, item in value.items():
            if key == UNKNOWN_FIELDS and options.unknown_fields == "keep":
                out.append(bytes_of(item))
                continue
            encode_item = encoders.get(key)
            if encode_item is None:
                if options.ignore_unknown_names:
                    continue
                raise Fault(f"no extension {key!r} of {shape.descriptor.full_name}")
            if item is not None:
                try:
                    body = encode_item(item, depth - 1)
                except Fault as fault:
                    fault.path = f"{key}{fault.path}"
                    raise
                out.append(b"\x0b\x10" + varint(numbers[key]) + b"\x1a" + varint(len(body)) + body + b"\x0c")
        return b"".join(out)

    return encode


def decoder(
    shape: Shape, decoders: dict[str, Callable[..., Any]], options: Options
) -> Callable[[bytes, int, int, int], dict[str, Any]]:
    """The decoder of a message set; ``decoders`` are those of its extensions, by key."""
    keys = {field.descriptor.number: field.key for field in shape.fields}

    def decode(data: bytes, position: int, end: int, depth: int) -> dict[str, Any]:
        if depth < 0:
            raise TooDeep
        bodies: dict[str, bytearray] = {}
        unknown = bytearray()
        while position < end:
            tag = data[position]
            position += 1
            if tag > 127:
                tag, position = read_tag(data, position, tag)
            start = position
            if tag == _ITEM:
                stop, position = group_end(data, position, end, tag, depth)
                number, body = _item(data, start, stop, depth)
                if number in keys:
                    check_fields(body, 0, len(body), depth)
                    bodies.setdefault(keys[number], bytearray()).extend(body)
                    continue
            elif tag & 7 == 2 and tag >> 3 in keys:
                position = skip(data, position, end, tag, depth)
                ((_, first, last),) = read_fields(data, start - len(varint(tag)), position, depth)
                check_fields(data, first, last, depth)
                bodies.setdefault(keys[tag >> 3], bytearray()).extend(data[first:last])
                continue
            else:
                position = skip(data, position, end, tag, depth)
            if options.unknown_fields == "refuse":
                raise Fault(f"unknown item or field in {shape.descriptor.full_name}")
            unknown += varint(tag) + data[start:position]
        if position != end:
            raise Truncated
        shown: dict[str, Any] = {}
        for key, joined in bodies.items():
            try:
                whole = with_budget(bytes(joined), budget_of(data))
                shown[key] = decoders[key](whole, 0, len(whole), depth - 1)
            except Fault as fault:
                fault.path = f"{key}{fault.path}"
                raise
        if unknown and options.unknown_fields == "keep":
            shown[UNKNOWN_FIELDS] = (
                bytes(unknown) if options.is_native else str(b2a_base64(unknown, newline=False), "ascii")
            )
        return shown

    return decode


def _item(data: bytes, start: int, stop: int, depth: int) -> tuple[int, bytes]:
    """The first type id and the message of an item; they may come in either order."""
    number = 0
    body = bytearray()
    for tag, value, end in read_fields(data, start, stop, depth):
        if tag == _TYPE_ID and not number:
            number = value
        elif tag == _MESSAGE:
            body += data[value:end]
    return number, bytes(body)
