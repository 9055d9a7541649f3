"""Generates the decoder of a message type: ``decode(data, position, end, depth) -> dict``.

Fields usually arrive in the order of their numbers, so the generated loop asks for each tag in that order and goes on
with the next field where it is: a message in order passes the chain once. Anything else goes around again; a tag that
matched nothing in a whole round is an unknown field, or a list in its other encoding.

Message fields are decoded last: a message that comes in parts is the concatenation of its parts (encoding guide,
"Last One Wins"), so the parts are collected first. That keeps the work linear whatever a peer sends.
"""

from __future__ import annotations

import struct
from binascii import b2a_base64
from collections.abc import Callable, Sequence
from typing import Any

from puregrpc.codec import lists, scalars
from puregrpc.codec.faults import FAULTS, Fault, TooDeep, Truncated, at_element, locate
from puregrpc.codec.options import UNKNOWN_FIELDS, Options
from puregrpc.codec.shapes import FIXED, ShapedField, is_null_value, wire_type_of
from puregrpc.codec.source import Source
from puregrpc.codec.wire_format import group_end, more, read_tag, read_varint, skip, varint
from puregrpc.proto.descriptors import FieldDescriptor, FieldType

__all__ = ["SubDecoder", "decoder_source", "joined", "packed_reader", "shown_default"]

SubDecoder = Callable[[bytes, int, int, int], Any]

_SIGNED_32 = (FieldType.INT32, FieldType.ENUM)
_SIXTY_FOUR = frozenset({FieldType.INT64, FieldType.UINT64, FieldType.SINT64, FieldType.FIXED64, FieldType.SFIXED64})
_ZIGZAG = (FieldType.SINT32, FieldType.SINT64)


def joined(decode: SubDecoder, parts: bytearray, depth: int) -> Any:
    """A message that came in several parts."""
    data = bytes(parts)
    return decode(data, 0, len(data), depth)


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


_SHARED: dict[str, Any] = {
    "FAULTS": FAULTS,
    "Truncated": Truncated,
    "TooDeep": TooDeep,
    "UNKNOWN": UNKNOWN_FIELDS,
    "at_element": at_element,
    "locate": locate,
    "refuse": _refuse,
    "joined": joined,
    "varint": read_varint,
    "write_varint": varint,
    "read_tag": read_tag,
    "skip": skip,
    "group_end": group_end,
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


def decoder_source(
    fields: Sequence[ShapedField],
    options: Options,
    sub_decoder: Callable[[Source, str, FieldDescriptor], SubDecoder],
    *,
    part: bool,
) -> Source:
    """The source of a decoder for ``fields``, which are all of the message or, for a ``part``, some of them.

    A complete decoder takes (data, position, end, depth), returns the dict and calls ``other`` for the tags that it
    does not handle; the caller puts ``other`` and ``NEW``, the dict to start from, in the namespace. A part takes
    (data, position, end, depth, tag, message, spans, oneofs, unknown) and returns the next position and tag.
    """
    source = Source("data, i, end, depth, tag, m, spans, oneofs, unknown" if part else "data, i, end, depth")
    source.namespace.update(_SHARED)
    source.names = [field.key for field in fields]
    writer = _Writer(source, options, sub_decoder, part=part)
    return writer.whole(fields)


class _Writer:
    def __init__(
        self,
        source: Source,
        options: Options,
        sub_decoder: Callable[[Source, str, FieldDescriptor], SubDecoder],
        *,
        part: bool,
    ) -> None:
        self._source = source
        self._options = options
        self._sub_decoder = sub_decoder
        self._part = part

    def whole(self, fields: Sequence[ShapedField]) -> Source:
        """The function."""
        source, add, options = self._source, self._source.add, self._options
        for index, field in enumerate(fields):
            source.namespace[f"K{index}"] = field.key
        has_entries = any(field.descriptor.is_map and self._value_is_message(field.descriptor) for field in fields)
        if has_entries:
            add("k = None")
        if self._part:
            add("try:")
            source.indent(1)
        else:
            add("m = NEW.copy()", "try:")
            source.indent(1)
            add("if depth < 0:", " raise TooDeep")
            add(f"unknown = {'bytearray()' if options.unknown_fields == 'keep' else None}")
            if options.emit_defaults:
                for index, field in enumerate(fields):
                    if field.descriptor.is_repeated and not field.descriptor.is_extension:
                        add(f"m[K{index}] = {'{}' if field.descriptor.is_map else '[]'}")
            singular = [i for i, f in enumerate(fields) if self._is_deferred(f)]
            if singular:
                add(" = ".join([*(f"w{index}" for index in singular), "None"]))
            oneofs = sorted({field.oneof for field in fields if field.oneof >= 0})
            if oneofs:
                add(" = ".join([*(f"o{index}" for index in oneofs), "-1"]))
            add("while i < end:")
            source.indent(1)
            self._read_tag()
        if self._part:
            add("while True:")
            source.indent(1)
        self._tree([*enumerate(fields)])
        source.field(-1)
        if self._part:
            add("return i, tag")
            source.indent(-1)
            add("return i, 0")
        else:
            add("i = other(data, i, end, tag, depth, m, unknown)")
            source.indent(-1)
            add("if i != end:", " raise Truncated")
            self._finish(fields)
        source.indent(-1)
        key = "k" if has_entries else "None"
        add("except FAULTS as error:", f" raise locate(error, NAMES, LINES, m, {key}) from None")
        return source

    def _read_tag(self) -> None:
        self._source.add("tag = data[i]; i += 1", "if tag > 127:", " tag, i = read_tag(data, i, tag)")

    def _tree(self, fields: list[tuple[int, ShapedField]]) -> None:
        """Find the field of the tag by halving, so that neither order nor number of the fields matters much."""
        if len(fields) > 3:
            middle = len(fields) // 2
            self._source.field(-1)
            self._source.add(f"if tag < {fields[middle][1].tag}:")
            self._source.indent(1)
            self._tree(fields[:middle])
            self._source.indent(-1)
            self._source.field(-1)
            self._source.add("else:")
            self._source.indent(1)
            self._tree(fields[middle:])
            self._source.indent(-1)
            return
        for index, field in fields:
            self._source.field(index)
            self._source.add(f"if tag == {field.tag}:")
            self._source.indent(1)
            self._field(index, field)
            if self._part:
                self._source.add("if i >= end:", " break")
                self._read_tag()
            self._source.add("continue")
            self._source.indent(-1)

    def _finish(self, fields: Sequence[ShapedField]) -> None:
        """Decode the collected messages."""
        add = self._source.add
        for index, field in enumerate(fields):
            if not self._is_deferred(field):
                continue
            self._source.field(index)
            self._sub(index, field.descriptor)
            chosen = f" and o{field.oneof} == {index}" if field.oneof >= 0 else ""
            add(f"if w{index} is not None{chosen}:")
            add(f" if type(w{index}) is tuple:")
            add(f"  i, end = w{index}")
            add(f"  m[K{index}] = S{index}(data, i, end, depth - 1)")
            add(" else:", f"  m[K{index}] = joined(S{index}, w{index}, depth - 1)")
        self._source.field(-1)
        if self._options.unknown_fields == "keep":
            add("if unknown:", f" m[UNKNOWN] = {'bytes' if self._options.is_native else 'base64'}(unknown)")
        add("return m")

    @staticmethod
    def _value_is_message(descriptor: FieldDescriptor) -> bool:
        entry = descriptor.message_type
        return entry is not None and any(f.number == 2 and f.type is FieldType.MESSAGE for f in entry.fields)

    @staticmethod
    def _is_deferred(field: ShapedField) -> bool:
        return field.descriptor.type is FieldType.MESSAGE and not field.descriptor.is_repeated

    def _sub(self, index: int, descriptor: FieldDescriptor) -> None:
        name = f"S{index}"
        if name not in self._source.namespace:
            self._source.namespace[name] = self._sub_decoder(self._source, name, descriptor)

    def _field(self, index: int, field: ShapedField) -> None:
        descriptor = field.descriptor
        if descriptor.is_map:
            self._map(index, field)
        elif descriptor.is_repeated:
            if descriptor.is_packed:
                self._packed(index, field)
            else:
                self._list(index, field)
        elif descriptor.type is FieldType.MESSAGE:
            self._deferred(index, field)
        else:
            self._singular(index, field)

    # ---- one value

    def _length(self, end: str, stop: str = "j") -> None:
        """Read a length: ``stop`` is where the value ends."""
        self._source.add("n = data[i]; i += 1", "if n > 127:", " n, i = varint(data, i, n)", f"{stop} = i + n")
        self._source.add(f"if {stop} > {end}:", " raise Truncated")

    def _read(self, index: int, descriptor: FieldDescriptor, end: str, to: str = "v", *, of_key: bool = False) -> None:
        """Read a scalar into ``to``, as it is shown."""
        add, kind, native = self._source.add, descriptor.type, self._options.is_native
        stop = "q" if end == "j" else "j"
        if kind is FieldType.STRING:
            self._length(end, stop)
            add(f"{to} = data[i:{stop}].decode({self._utf8_arguments(descriptor)})", f"i = {stop}")
        elif kind is FieldType.BYTES:
            self._length(end, stop)
            piece = f"data[i:{stop}]"
            if native:
                add(f"{to} = {piece}")
            else:
                add(f"{to} = base64({piece}) if n < 4096 else large_base64(data, i, {stop})")
            add(f"i = {stop}")
        elif kind in FIXED:
            code = FIXED[kind]
            add(f"({to},) = unpack_{code}(data, i)", f"i += {8 if code in 'dQq' else 4}")
            if kind is FieldType.FLOAT and not native:
                add(f"{to} = shortest_float({to})")
            elif kind is FieldType.FLOAT:
                add(f"{to} = shortest_native({to})")
            elif kind is FieldType.DOUBLE and not native:
                add(f"if {to} - {to} != 0:", f" {to} = float_text({to})")
            elif of_key or (kind in _SIXTY_FOUR and not native):
                add(f"{to} = str({to})")
        else:
            self._read_varint(index, descriptor, to, of_key=of_key)

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
            if self._shows_enum_names(descriptor):
                add(f"{to} = E{index}.get({to}, {to})")
        elif (of_key and not native) or (kind in _SIXTY_FOUR and not native):
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

    def _shows_enum_names(self, descriptor: FieldDescriptor) -> bool:
        """Whether the number itself is not what is shown (closed enums are looked up before this is asked)."""
        is_closed = descriptor.enum_type is not None and descriptor.enum_type.is_closed
        return not is_closed and (self._shows_names(descriptor) or is_null_value(descriptor, self._options))

    # ---- singular fields

    def _singular(self, index: int, field: ShapedField) -> None:
        add, descriptor = self._source.add, field.descriptor
        self._read(index, descriptor, "end")
        if self._is_closed(descriptor):
            self._closed(index, field)
            self._source.indent(1)
        if field.oneof >= 0:
            self._choose(index, field)
        add(f"m[K{index}] = v")
        if self._is_closed(descriptor):
            self._source.indent(-1)

    def _choose(self, index: int, field: ShapedField) -> None:
        """The field is now the one that is set in its oneof."""
        if self._part:
            self._source.add(
                f"x = oneofs.get({field.oneof})",
                f"if x is not None and x != K{index}:",
                " m.pop(x, None); spans.pop(x, None)",
                f"oneofs[{field.oneof}] = K{index}",
            )
        else:
            self._source.add(
                f"if o{field.oneof} != {index}:",
                f" if o{field.oneof} >= 0:",
                f"  m.pop(NAMES[o{field.oneof}], None)",
                f" o{field.oneof} = {index}",
            )

    def _deferred(self, index: int, field: ShapedField) -> None:
        add = self._source.add
        position = self._span(field, "end")
        if field.oneof >= 0:
            if not self._part:
                add(f"if o{field.oneof} != {index}:", f" w{index} = None")
            self._choose(index, field)
        if self._part:
            add(f"x = spans.get(K{index})", f"spans[K{index}] = (i, j) if x is None else more(x, data, i, j)")
        else:
            add(f"w{index} = (i, j) if w{index} is None else more(w{index}, data, i, j)")
        add(f"i = {position}")

    def _span(self, field: ShapedField, end: str) -> str:
        """Read up to the end of a message, i to j; returns the name of the position after it."""
        if field.descriptor.is_delimited:
            self._source.add(f"j, x = group_end(data, i, {end}, tag, depth)")
            return "x" if not self._part and field.oneof < 0 else self._copied("x")
        self._length(end)
        return "j"

    def _copied(self, name: str) -> str:
        self._source.add(f"y = {name}")
        return "y"

    # ---- closed enums: numbers without a name are unknown fields

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

    # ---- lists

    def _get_list(self, index: int, field: ShapedField, empty: str = "[]") -> None:
        """The list or map of the field, as ``r``."""
        if self._options.emit_defaults and not field.descriptor.is_extension:
            self._source.add(f"r = m[K{index}]")
        else:
            self._source.add(f"r = m.get(K{index})", "if r is None:", f" r = m[K{index}] = {empty}")

    def _list(self, index: int, field: ShapedField) -> None:
        """A run of the elements of a list. Scalars are read by a function of their own, whose text many share."""
        add, descriptor = self._source.add, field.descriptor
        self._get_list(index, field)
        if descriptor.type is not FieldType.MESSAGE:
            self._source.namespace[f"L{index}"] = self._list_reader(field)
            add(f"i = L{index}(data, i, end, r, unknown)")
            return
        self._source.field(index, element=True)
        add("while True:")
        self._source.indent(1)
        self._sub(index, descriptor)
        position = self._span(field, "end")
        add(f"r.append(S{index}(data, i, j, depth - 1))", f"i = {position}")
        self._again(index, field.tag)
        self._source.indent(-1)
        self._source.field(index)

    def _list_reader(self, field: ShapedField) -> Callable[..., int]:
        source = Source("data, i, end, r, unknown")
        source.namespace.update(_SHARED)
        writer = _Writer(source, self._options, self._sub_decoder, part=False)
        source.add("try:")
        source.indent(1)
        source.add("while True:")
        source.indent(1)
        writer._read(0, field.descriptor, "end")
        if writer._is_closed(field.descriptor):
            writer._closed(0, field)
            source.add(" r.append(v)")
        else:
            source.add("r.append(v)")
        writer._again(0, field.tag)
        source.indent(-1)
        source.add("return i")
        source.indent(-1)
        source.add("except FAULTS as error:", " raise at_element(error, len(r)) from None")
        return source.function()

    def other_encoding(self, field: ShapedField, *, one: bool) -> Source:
        """The function of ``packed_reader``."""
        self._source.namespace["K0"] = field.key
        if one:
            self._get_list(0, field)
            self._read(0, field.descriptor, "end")
            if self._is_closed(field.descriptor):
                self._closed(0, field)
                self._source.add(" r.append(v)")
            else:
                self._source.add("r.append(v)")
        else:
            self._packed(0, field)
        self._source.add("return i")
        return self._source

    def _again(self, index: int, tag: int) -> None:
        """Go on in the inner loop while the tag is the same."""
        head = varint(tag)
        size = len(head)
        self._source.namespace[f"A{index}"] = head if size > 1 else tag
        if size == 1:
            self._source.add(f"if i >= end or data[i] != A{index}:", " break", "i += 1")
        else:
            self._source.add(f"if i + {size} > end or data[i:i + {size}] != A{index}:", " break", f"i += {size}")

    def _packed(self, index: int, field: ShapedField) -> None:
        add, descriptor = self._source.add, field.descriptor
        self._length("end")
        self._get_list(index, field)
        add(f"v = {packed_expression(descriptor, self._options)}")
        if descriptor.type is FieldType.ENUM:
            self._enum(index, descriptor)
            if self._is_closed(descriptor):
                add("for v in v:")
                self._source.indent(1)
                self._closed(index, field)
                add(" r.append(v)")
                self._source.indent(-1)
                add("i = j")
                return
            if self._shows_enum_names(descriptor):
                add(f"v = [E{index}.get(v, v) for v in v]")
        add("r += v", "i = j")

    # ---- maps

    def _map(self, index: int, field: ShapedField) -> None:
        """A run of the entries of a map. If values are scalars, by a function of its own, whose text many share."""
        add, entry = self._source.add, field.descriptor.message_type
        key = next(f for f in entry.fields if f.number == 1) if entry is not None else field.descriptor
        value = next(f for f in entry.fields if f.number == 2) if entry is not None else field.descriptor
        self._get_list(index, field, "{}")
        if value.type is FieldType.MESSAGE:
            self._entries(index, field, key, value)
            return
        source = Source("data, i, end, r, unknown, depth")
        source.namespace.update(_SHARED)
        writer = _Writer(source, self._options, self._sub_decoder, part=False)
        source.add("k = ''", "try:")
        source.indent(1)
        writer._entries(0, field, key, value)
        source.add("return i")
        source.indent(-1)
        source.add("except FAULTS as error:", " raise at_element(error, k) from None")
        self._source.namespace[f"L{index}"] = source.function()
        add(f"i = L{index}(data, i, end, r, unknown, depth)")

    def _entries(self, index: int, field: ShapedField, key: FieldDescriptor, value: FieldDescriptor) -> None:
        add = self._source.add
        is_message = value.type is FieldType.MESSAGE
        add("while True:")
        self._source.indent(1)
        self._length("end")
        add("p = i", f"k = {self._default_key(key)}")
        if is_message:
            self._sub(index, value)
            add("v = None")
        else:
            add(f"v = {self._default_value(index, value)}")
        add("while i < j:")
        self._source.indent(1)
        add("tag = data[i]; i += 1", f"if tag == {8 | wire_type_of(key)}:")
        self._source.indent(1)
        self._read(index, key, "j", "k", of_key=True)
        self._source.indent(-1)
        add(f"elif tag == {16 | wire_type_of(value)}:")
        self._source.indent(1)
        self._source.field(index, element=True)
        if is_message:
            self._length("j", "q")
            add("v = (i, q) if v is None else more(v, data, i, q)", "i = q")
        else:
            self._read(index, value, "j")
        self._source.field(index)
        self._source.indent(-1)
        add("else:", " if tag > 127:", "  tag, i = read_tag(data, i, tag)", " i = skip(data, i, j, tag, depth)")
        self._source.indent(-1)
        add("if i != j:", " raise Truncated")
        self._source.field(index, element=True)
        if is_message:
            add("if v is None:", f" r[k] = S{index}(b'', 0, 0, depth - 2)")
            add("elif type(v) is tuple:", f" r[k] = S{index}(data, v[0], v[1], depth - 2)")
            add("else:", f" r[k] = joined(S{index}, v, depth - 2)")
        elif self._is_closed(value):
            add(f"if v not in E{index}:")
            if self._options.unknown_fields == "keep":
                add(f" unknown += {varint(field.tag)!r} + write_varint(j - p) + data[p:j]")
            elif self._options.unknown_fields == "refuse":
                add(" refuse(v)")
            else:
                add(" pass")
            add("else:", f" r[k] = E{index}[v]")
        else:
            add("r[k] = v")
        self._source.field(index)
        self._again(index, field.tag)
        self._source.indent(-1)

    def _default_key(self, key: FieldDescriptor) -> str:
        if key.type is FieldType.STRING:
            return "''"
        if key.type is FieldType.BOOL:
            return "False" if self._options.is_native else "'false'"
        return "0" if self._options.is_native else "'0'"

    def _default_value(self, index: int, value: FieldDescriptor) -> str:
        if value.type is FieldType.ENUM:
            self._enum(index, value)
            number = value.default if isinstance(value.default, int) else 0
            if self._is_closed(value):
                return repr(number)
            return f"E{index}.get({number!r}, {number!r})"
        self._source.namespace[f"D{index}"] = shown_default(value, self._options)
        return f"D{index}"


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
    return f"list(map(str, {numbers}))" if kind in _SIXTY_FOUR and not native else numbers


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


def packed_reader(field: ShapedField, options: Options, *, one: bool) -> Callable[..., int]:
    """Reads a list in the encoding it is not declared with: one number (``one``) or a packed run of them."""
    source = Source("data, i, end, m, unknown")
    source.namespace.update(_SHARED)
    source.names = [field.key]
    return _Writer(source, options, _no_messages, part=False).other_encoding(field, one=one).function()


def _no_messages(_source: Source, _name: str, _descriptor: FieldDescriptor) -> SubDecoder:
    raise AssertionError("a packed field is a list of numbers")
