"""The part of generated decoders that reads one scalar and makes of it what is shown."""

from __future__ import annotations

import struct
from binascii import b2a_base64
from collections.abc import Sequence
from typing import Any

from puregrpc.codec.faults import FAULTS, Fault, TooDeep, Truncated, at_element, locate
from puregrpc.codec.generation.shapes import FIXED, ShapedField, is_null_value
from puregrpc.codec.generation.source import Source
from puregrpc.codec.options import UNKNOWN_FIELDS, Options
from puregrpc.codec.values import lists, scalars
from puregrpc.codec.wire_format.groups import another_part, decode_parts, group
from puregrpc.codec.wire_format.tags_and_varints import more, read_tag, read_varint, skip, varint
from puregrpc.proto.descriptors import FieldDescriptor, FieldType

__all__ = ["DECODER_NAMES", "ScalarReader", "packed_expression", "shown_default", "shows_text"]

_SIGNED_32 = (FieldType.INT32, FieldType.ENUM)
_SIXTY_FOUR = frozenset({FieldType.INT64, FieldType.UINT64, FieldType.SINT64, FieldType.FIXED64, FieldType.SFIXED64})
_ZIGZAG = (FieldType.SINT32, FieldType.SINT64)


def _refuse(number: int) -> None:
    raise Fault(f"an enum value with the unknown number {number}")


def _base64(data: bytes | memoryview) -> str:
    return str(b2a_base64(data, newline=False), "ascii")


def _large_base64(data: bytes, start: int, end: int) -> str:
    """The same for a part of ``data``, without a copy of that part."""
    with memoryview(data) as view, view[start:end] as part:
        return _base64(part)


def _int32s(values: list[int]) -> list[int]:
    """Unsigned 64-bit numbers as int32."""
    if max(values, default=0) >> 31 == 0:
        return values
    return [(value & 0xFFFFFFFF ^ 0x80000000) - 0x80000000 for value in values]


def _int64s(values: list[int]) -> list[int]:
    if max(values, default=0) >> 63 == 0:
        return values
    return [value if value < 1 << 63 else value - (1 << 64) for value in values]


def _floats(values: Sequence[float]) -> Sequence[float | str]:
    total = sum(values)
    if total - total == 0:
        return values
    return [scalars.float_text(value) if value - value != 0 else value for value in values]


DECODER_NAMES: dict[str, Any] = {
    "FAULTS": FAULTS,
    "Truncated": Truncated,
    "TooDeep": TooDeep,
    "UNKNOWN": UNKNOWN_FIELDS,
    "at_element": at_element,
    "locate": locate,
    "refuse": _refuse,
    "varint": read_varint,
    "write_varint": varint,
    "read_tag": read_tag,
    "skip": skip,
    "group": group,
    "another_part": another_part,
    "decode_parts": decode_parts,
    "more": more,
    "base64": _base64,
    "large_base64": _large_base64,
    "int32s": _int32s,
    "int64s": _int64s,
    "floats": _floats,
    "float_text": scalars.float_text,
    "shortest_float": scalars.shortest_float,
    "shortest_native": scalars.shortest_native,
    "packed_varints": lists.read_packed_varints,
    "packed_fixed": lists.read_packed_fixed,
    **{f"unpack_{code}": struct.Struct(f"<{code}").unpack_from for code in FIXED.values()},
}
"""What generated decoders refer to, besides the constants of their fields."""


class ScalarReader:
    """Writes the lines that read scalars into a source."""

    def __init__(self, source: Source, options: Options) -> None:
        self._source = source
        self._options = options

    def _length(self, end: str, stop: str = "j") -> None:
        """Read a length: ``stop`` is where the value ends."""
        self._source.add("n = data[i]; i += 1", "if n > 127:", " n, i = varint(data, i, n)", f"{stop} = i + n")
        self._source.add(f"if {stop} > {end}:", " raise Truncated")

    def _read(self, index: int, descriptor: FieldDescriptor, end: str, to: str = "v", *, of_key: bool = False) -> None:
        """Read a scalar into ``to``, as it is shown."""
        add, kind, native = self._source.add, descriptor.type, self._options.is_native
        stop = "q" if end == "j" else "j"
        if kind in (FieldType.STRING, FieldType.BYTES):
            self._length(end, stop)
            self._read_body(descriptor, to, stop)
        elif kind in FIXED:
            code = FIXED[kind]
            add(f"({to},) = unpack_{code}(data, i)", f"i += {8 if code in 'dQq' else 4}")
            if kind is FieldType.FLOAT and not native:
                add(f"{to} = shortest_float({to})")
            elif kind is FieldType.FLOAT:
                add(f"{to} = shortest_native({to})")
            elif kind is FieldType.DOUBLE and not native:
                add(f"if {to} - {to} != 0:", f" {to} = float_text({to})")
            elif not native and (of_key or kind in _SIXTY_FOUR):
                add(f"{to} = str({to})")
        else:
            self._read_varint(index, descriptor, to, of_key=of_key)

    def _read_body(self, descriptor: FieldDescriptor, to: str, stop: str = "j") -> None:
        """The string or the bytes from i to ``stop``."""
        if descriptor.type is FieldType.STRING:
            value = f"data[i:{stop}].decode({self._utf8_arguments(descriptor)})"
        elif self._options.is_native:
            value = f"data[i:{stop}]"
        else:
            value = f"base64(data[i:{stop}]) if {stop} - i < 4096 else large_base64(data, i, {stop})"
        self._source.add(f"{to} = {value}", f"i = {stop}")

    def _read_varint(self, index: int, descriptor: FieldDescriptor, to: str, *, of_key: bool) -> None:
        add, kind, native = self._source.add, descriptor.type, self._options.is_native
        add(f"{to} = data[i]; i += 1", f"if {to} > 127:", f" {to}, i = varint(data, i, {to})")
        if kind in _SIGNED_32:
            add(f" {to} = ({to} & 0xFFFFFFFF ^ 0x80000000) - 0x80000000")
        elif kind in (FieldType.UINT32, FieldType.SINT32):
            add(f" {to} &= 0xFFFFFFFF")
        elif kind is FieldType.INT64:
            add(f" if {to} >> 63:", f"  {to} -= 0x10000000000000000")
        if kind in _ZIGZAG:
            add(f"{to} = {to} >> 1 ^ -({to} & 1)")
        if kind is FieldType.BOOL:
            if of_key and not native:
                add(f"{to} = 'true' if {to} else 'false'")
            else:
                add(f"{to} = {to} != 0")
        elif kind is FieldType.ENUM:
            self._enum(index, descriptor)
            if self._is_closed(descriptor):
                pass  # looked up by `_closed`
            elif is_null_value(descriptor, self._options):
                add(f"{to} = None")
            elif self._shows_names(descriptor):
                add(f"{to} = E{index}.get({to}, {to})")
        elif not native and (of_key or kind in _SIXTY_FOUR):
            add(f"{to} = str({to})")

    def _utf8_arguments(self, descriptor: FieldDescriptor) -> str:
        if descriptor.validates_utf8:
            return ""
        return "'utf-8', 'surrogateescape'" if self._options.is_native else "'utf-8', 'replace'"

    def _enum(self, index: int, descriptor: FieldDescriptor) -> None:
        """The table of an enum: number -> what is shown for it."""
        table: dict[int, Any] = {}
        for value in descriptor.enum_type.values if descriptor.enum_type is not None else []:
            shown = value.name if self._shows_names(descriptor) else value.number
            table.setdefault(value.number, None if is_null_value(descriptor, self._options) else shown)
        self._source.namespace[f"E{index}"] = table

    def _shows_names(self, descriptor: FieldDescriptor) -> bool:
        return not self._options.enum_numbers and descriptor.enum_type is not None

    @staticmethod
    def _is_closed(descriptor: FieldDescriptor) -> bool:
        return descriptor.enum_type is not None and descriptor.enum_type.is_closed

    def _closed(self, index: int, field: ShapedField) -> None:
        """Goes on, more deeply indented, with a ``v`` that has a name."""
        tag = varint(field.descriptor.number << 3)
        self._source.add(f"if v not in E{index}:")
        if self._options.unknown_fields == "keep":
            self._source.add(f" unknown += {tag!r} + write_varint(v)")
        elif self._options.unknown_fields == "refuse":
            self._source.add(" refuse(v)")
        else:
            self._source.add(" pass")
        self._source.add("else:", f" v = E{index}[v]")


def shows_text(descriptor: FieldDescriptor, options: Options) -> bool:
    """Whether values of a field are shown as texts or bytes: objects of their own, each larger than what it is from."""
    kind = descriptor.type
    return kind in (FieldType.STRING, FieldType.BYTES) or (kind in _SIXTY_FOUR and not options.is_native)


def packed_expression(descriptor: FieldDescriptor, options: Options) -> str:
    """The list of the numbers from i to j, as they are shown (enums: as numbers)."""
    kind, native = descriptor.type, options.is_native
    if kind in FIXED:
        numbers = f"packed_fixed(data, i, j, {FIXED[kind]!r})"
        if kind is FieldType.FLOAT:
            return f"list(map({'shortest_native' if native else 'shortest_float'}, {numbers}))"
        if kind is FieldType.DOUBLE:
            return numbers if native else f"floats({numbers})"
    else:
        numbers = "packed_varints(data, i, j)"
        if kind in _SIGNED_32:
            numbers = f"int32s({numbers})"
        elif kind is FieldType.INT64:
            numbers = f"int64s({numbers})"
        elif kind is FieldType.BOOL:
            return f"list(map(bool, {numbers}))"
        elif kind in _ZIGZAG or kind is FieldType.UINT32:
            mask = "" if kind is FieldType.SINT64 else " & 0xFFFFFFFF"
            value = f"v{mask}" if kind is FieldType.UINT32 else f"(v{mask}) >> 1 ^ -(v & 1)"
            numbers = f"[{value} for v in {numbers}]"
    if not shows_text(descriptor, options):
        return numbers
    return f"list(map(str, count_elements(data, {numbers})))" if options.counts else f"list(map(str, {numbers}))"


def shown_default(descriptor: FieldDescriptor, options: Options) -> object:
    """What is shown for a singular scalar or enum that is not set."""
    default = descriptor.default
    if descriptor.enum_type is not None:
        if is_null_value(descriptor, options):
            return None
        if options.enum_numbers:
            return default
        names = {value.number: value.name for value in reversed(descriptor.enum_type.values)}
        return names.get(default, default) if isinstance(default, int) else default
    if options.is_native:
        return default
    if isinstance(default, bytes):
        return _base64(default)
    if descriptor.type in _SIXTY_FOUR:
        return str(default)
    if isinstance(default, float) and default - default != 0:
        return scalars.float_text(default)
    return default
