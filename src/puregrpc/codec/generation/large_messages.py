"""Messages of more fields than one generated function takes: several functions, each made when it is first needed.

The driver and the function it calls are the two frames that a level of nesting may take.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable, Sequence
from typing import Any

from puregrpc._locks import Lock
from puregrpc.codec.faults import FAULTS, TooDeep, Truncated, inside
from puregrpc.codec.generation.decode_source import SubDecoder, decode_seen
from puregrpc.codec.generation.encode_source import SubEncoder
from puregrpc.codec.generation.shapes import Shape, ShapedField, shown_elements
from puregrpc.codec.generation.source import Source
from puregrpc.codec.options import UNKNOWN_FIELDS, Options
from puregrpc.codec.values.scalars import bytes_of
from puregrpc.codec.wire_format.content import spend
from puregrpc.codec.wire_format.tags_and_varints import read_tag, read_varint
from puregrpc.proto.descriptors import MessageDescriptor

__all__ = ["LazyParts", "large_decoder", "large_encoder"]


class LazyParts:
    """The functions for groups of fields, by the number of the group."""

    def __init__(
        self,
        parts: Sequence[Sequence[ShapedField]],
        lock: Lock,
        source_of: Callable[[Sequence[ShapedField]], Source],
    ) -> None:
        self.parts = parts
        self._lock = lock
        self._source_of = source_of
        self._functions: list[Callable[..., Any] | None] = [None] * len(parts)

    def __getitem__(self, part: int) -> Callable[..., Any]:
        function = self._functions[part]
        if function is None:
            with self._lock:
                function = self._functions[part] or self._source_of(self.parts[part]).function()
                self._functions[part] = function
        return function


def large_encoder(
    shape: Shape,
    parts: LazyParts,
    prepared: Callable[[Any], Any],
    renamed: Callable[[dict[Any, Any]], dict[str, Any]],
    options: Options,
) -> SubEncoder:
    """An encoder that calls the parts in which something is set, or has to be."""
    part_of = {field.key: index for index, fields in enumerate(parts.parts) for field in fields}
    always = {part_of[field.key] for field in shape.fields if field.descriptor.is_required}
    keeps_unknown = options.unknown_fields == "keep"

    def encode(value: Any, depth: int) -> bytes:
        if type(value) is not dict:
            value = prepared(value)
            if type(value) is bytes:
                return value
        if depth < 0:
            raise TooDeep
        unknown = None
        if keeps_unknown and UNKNOWN_FIELDS in value:
            value = dict(value)
            unknown = value.pop(UNKNOWN_FIELDS)
        if not value.keys() <= part_of.keys():
            value = renamed(value)
        oneofs: dict[int, int] = {}
        numbers = {part_of[key] for key in value}
        numbers |= always
        out = []
        for number in sorted(numbers):
            out.append(parts[number](value, depth, oneofs))  # noqa: PERF401 - a comprehension is one frame more
        if unknown is not None:
            out.append(bytes_of(unknown))
        return b"".join(out)

    return encode


class _Seen(dict[str, Any]):
    """Key -> what was seen of a message field."""

    def __init__(self, decode_field: Callable[[str, Any, bytes, int], Any]) -> None:
        super().__init__()
        self._decode_field = decode_field

    def replace(self, key: str, data: bytes, depth: int) -> None:
        """Forget a member of a oneof that another member replaces. It has to be valid all the same."""
        seen = self.pop(key, None)
        if seen is not None:
            self._decode_field(key, seen, data, depth)


def large_decoder(
    shape: Shape,
    parts: LazyParts,
    template: dict[str, Any],
    other: Callable[..., int],
    decoder_of: Callable[[MessageDescriptor], SubDecoder],
    options: Options,
) -> SubDecoder:
    """A decoder that calls the part that each tag belongs to."""
    part_of = {field.tag: index for index, fields in enumerate(parts.parts) for field in fields}
    keeps = options.unknown_fields == "keep"
    containers = [
        (field.key, dict if field.descriptor.is_map else list)
        for field in shape.fields
        if options.emit_defaults and field.descriptor.is_repeated and not field.descriptor.is_extension
    ]
    types = {
        field.key: field.descriptor.message_type
        for field in shape.fields
        if field.descriptor.message_type is not None and not field.descriptor.is_repeated
    }

    elements = shown_elements(shape.fields, options) if options.counts else 0

    def decode_field(key: str, seen: Any, data: bytes, depth: int) -> Any:
        sub = decoder_of(types[key])
        try:
            if type(seen) is tuple:  # without a frame more
                return sub(data, seen[0], seen[1], depth - 1)
            return decode_seen(sub, seen, data, depth - 1)
        except FAULTS as error:
            raise inside(error, f".{key}") from None

    def decode(data: bytes, i: int, end: int, depth: int) -> dict[str, Any]:
        if depth < 0:
            raise TooDeep
        if elements:
            spend(data, elements)
        message = template.copy()
        for key, container in containers:
            message[key] = container()
        spans = _Seen(decode_field)
        oneofs: dict[int, str] = {}
        unknown = bytearray() if keeps else None
        tag = 0
        while tag or i < end:
            if not tag:
                tag = data[i]
                i += 1
                if tag > 127:
                    tag, i = read_tag(data, i, tag)
            number = part_of.get(tag)
            if number is None:
                stop = i
                if tag & 7 == 2:
                    length = data[i]
                    i += 1
                    if length > 127:
                        length, i = read_varint(data, i, length)
                    stop = i + length
                    if stop > end:
                        raise Truncated
                i = other(data, i, stop, end, tag, depth, message, unknown)
                tag = 0
            else:
                i, tag = parts[number](data, i, end, depth, tag, message, spans, oneofs, unknown)
        if i != end:
            raise Truncated
        for key, seen in spans.items():
            message[key] = decode_field(key, seen, data, depth)
        if unknown:
            message[UNKNOWN_FIELDS] = (
                bytes(unknown) if options.is_native else str(b2a_base64(unknown, newline=False), "ascii")
            )
        return message

    return decode
