"""Generates the decoder of a message type: ``decode(data, position, end, depth) -> dict``.

The generated loop reads a tag and finds its field by halving the fields by number, then reads the value in place; for
lists and maps it goes on while the same tag follows. A tag that is not found is an unknown field, or a list in its
other encoding.

Message fields are decoded last: a message that comes in parts is the concatenation of its parts (encoding guide,
"Last One Wins"), so the parts are collected first. That keeps the work linear whatever a peer sends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from puregrpc.codec.faults import TooManyElements
from puregrpc.codec.generation.scalar_reader import (
    DECODER_NAMES,
    ScalarReader,
    packed_expression,
    shown_default,
    shows_text,
)
from puregrpc.codec.generation.shapes import ShapedField, is_null_value, shown_elements, wire_type_of
from puregrpc.codec.generation.source import OF_TAG, Source
from puregrpc.codec.options import Options
from puregrpc.codec.wire_format.content import budget_of, count_elements, with_budget, within_budget
from puregrpc.codec.wire_format.groups import decode_parts
from puregrpc.codec.wire_format.tags_and_varints import varint
from puregrpc.proto.descriptors import FieldDescriptor, FieldType

__all__ = ["SubDecoder", "decode_seen", "decoder_source", "packed_reader"]

SubDecoder = Callable[[bytes, int, int, int], Any]


def joined(decode: SubDecoder, parts: bytearray, data: bytes, depth: int) -> Any:
    """A message that came in several parts of ``data``."""
    whole = with_budget(bytes(parts), budget_of(data))
    return decode(whole, 0, len(whole), depth)


def decode_seen(decode: SubDecoder, seen: Any, data: bytes, depth: int) -> Any:
    """A message field of which ``seen`` was collected: a part of ``data``, joined parts, a group, or several."""
    if type(seen) is tuple:
        return decode(data, seen[0], seen[1], depth)
    if type(seen) is bytearray:
        return joined(decode, seen, data, depth)
    if type(seen) is list:
        return decode_parts(decode, seen, data, depth)
    return decode(with_budget(seen, budget_of(data)), 0, len(seen), depth)


_SHARED = {
    **DECODER_NAMES,
    "joined": joined,
    "decode_seen": decode_seen,
    "count_elements": count_elements,
    "with_budget": with_budget,
    "within_budget": within_budget,
    "TooManyElements": TooManyElements,
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


class _Writer(ScalarReader):
    def __init__(
        self,
        source: Source,
        options: Options,
        sub_decoder: Callable[[Source, str, FieldDescriptor], SubDecoder],
        *,
        part: bool,
    ) -> None:
        super().__init__(source, options)
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
            self._count()
        else:
            add("tag = 0", "m = NEW.copy()", "try:")
            source.indent(1)
            add("if depth < 0:", " raise TooDeep")
            self._count(shown_elements(fields, options))
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
        source.namespace["FIELDS"] = {field.tag: index for index, field in enumerate(fields)}
        add("while tag or i < end:" if self._part else "while i < end:")
        source.indent(1)
        if self._part:
            add("if not tag:", " tag = data[i]; i += 1", " if tag > 127:", "  tag, i = read_tag(data, i, tag)")
        else:
            add("tag = data[i]; i += 1", "if tag > 127:", " tag, i = read_tag(data, i, tag)")
        if self._part:
            add("s = i")
        source.field(OF_TAG)
        add("if tag & 7 == 2:")
        source.indent(1)
        self._length("end")
        source.indent(-1)
        self._tree([*enumerate(fields)])
        source.field(-1)
        if self._part:
            add("return s, tag")
            source.indent(-1)
            add("return i, 0")
        else:
            add("i = other(data, i, j if tag & 7 == 2 else i, end, tag, depth, m, unknown)")
            source.indent(-1)
            add("if i != end:", " raise Truncated")
            self._finish(fields)
        source.indent(-1)
        key = "k" if has_entries else "None"
        add("except FAULTS as error:")
        add(f" raise locate(error, NAMES, LINES, m, {key}, FIELDS.get(tag, -1)) from None")
        return source

    def _content(self, group: str) -> str:
        """The content of a group, as an expression."""
        return f"with_budget({group}, e)" if self._options.counts else group

    def _count(self, elements: int = 0) -> None:
        """Have the budget at hand, and spend so much of it."""
        if self._options.counts:
            self._source.add("e = data.budget")
            self._spend(elements)

    def _spend(self, elements: int) -> None:
        """Count so many elements, in a function that has the budget at hand."""
        if self._options.counts and elements:
            self._source.add(f"e.left -= {elements}", "if e.left < 0:", " raise TooManyElements(e.limit)")

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
                self._source.add("tag = 0")
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
            add(f"if w{index} is not None:")
            if field.descriptor.is_delimited:
                whole = f"S{index}({self._content(f'w{index}')}, 0, len(w{index}), depth - 1)"
                value = f"decode_parts(S{index}, w{index}, data, depth - 1) if type(w{index}) is list else {whole}"
            else:
                whole = f"S{index}(data, w{index}[0], w{index}[1], depth - 1)"
                value = f"{whole} if type(w{index}) is tuple else joined(S{index}, w{index}, data, depth - 1)"
            if field.oneof < 0:
                add(f" m[K{index}] = {value}")
            else:  # what was replaced has to be valid, too
                add(f" v = {value}", f" if o{field.oneof} == {index}:", f"  m[K{index}] = v")
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

    # ---- singular fields

    def _singular(self, index: int, field: ShapedField) -> None:
        add, descriptor = self._source.add, field.descriptor
        if descriptor.type in (FieldType.STRING, FieldType.BYTES) and field.oneof < 0:
            self._read_body(descriptor, f"m[K{index}]")
            return
        if descriptor.type in (FieldType.STRING, FieldType.BYTES):
            self._read_body(descriptor, "v")
        else:
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
                " m.pop(x, None)",
            )
            self._source.field(-1)
            self._source.add(" spans.replace(x, data, depth)")
            self._source.field(index)
            self._source.add(f"oneofs[{field.oneof}] = K{index}")
        else:
            self._source.add(
                f"if o{field.oneof} != {index}:",
                f" if o{field.oneof} >= 0:",
                f"  m.pop(NAMES[o{field.oneof}], None)",
                f" o{field.oneof} = {index}",
            )

    def _deferred(self, index: int, field: ShapedField) -> None:
        add = self._source.add
        if field.oneof >= 0:
            if not self._part:
                add(f"if w{index} is not None and o{field.oneof} != {index}:")
                add(f" decode_seen(S{index}, w{index}, data, depth - 1)", f" w{index} = None")
                self._sub(index, field.descriptor)
            self._choose(index, field)
        first, more = "(i, j)", "more({}, data, i, j, depth)"
        if field.descriptor.is_delimited:
            first, more = "b", "another_part({}, b)"
            add("b, i = group(data, i, end, tag, depth)")
        if self._part:
            add(f"x = spans.get(K{index})", f"spans[K{index}] = {first} if x is None else {more.format('x')}")
        else:
            add(f"w{index} = {first} if w{index} is None else {more.format(f'w{index}')}")
        if not field.descriptor.is_delimited:
            add("i = j")

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
            self._source.later(f"L{index}", lambda: self._list_reader(field))
            is_delimited = descriptor.type in (FieldType.STRING, FieldType.BYTES)
            add(f"i = L{index}(data, i, {'j' if is_delimited else 'i'}, end, r, unknown)")
            return
        self._source.field(index, element=True)
        add("while True:")
        self._source.indent(1)
        self._spend(1)
        self._sub(index, descriptor)
        if descriptor.is_delimited:
            add("b, i = group(data, i, end, tag, depth)")
            add(f"r.append(S{index}({self._content('b')}, 0, len(b), depth - 1))")
        else:
            add(f"r.append(S{index}(data, i, j, depth - 1))", "i = j")
        self._again(index, field.tag)
        if not descriptor.is_delimited:
            self._length("end")
        self._source.indent(-1)
        self._source.field(index)

    def _list_reader(self, field: ShapedField) -> Callable[..., int]:
        source = Source("data, i, j, end, r, unknown")
        source.namespace.update(_SHARED)
        writer = _Writer(source, self._options, self._sub_decoder, part=False)
        source.add("try:")
        source.indent(1)
        counts = self._options.counts and shows_text(field.descriptor, self._options)
        if counts:
            source.add("e = data.budget", "c = len(r)", "s = i + 2 * e.left")
        source.add("while True:")
        source.indent(1)
        is_delimited = field.descriptor.type in (FieldType.STRING, FieldType.BYTES)
        if is_delimited:
            writer._read_body(field.descriptor, "v")
        else:
            writer._read(0, field.descriptor, "end")
        if writer._is_closed(field.descriptor):
            writer._closed(0, field)
            source.add(" r.append(v)")
        else:
            source.add("r.append(v)")
        if counts:  # elements take two bytes at least, so it need not be looked at for each
            source.add("if i > s:", " s = within_budget(e, len(r) - c, i)")
        writer._again(0, field.tag)
        if is_delimited:
            writer._length("end")
        source.indent(-1)
        if counts:
            source.add("e.spend(len(r) - c)")
        source.add("return i")
        source.indent(-1)
        source.add("except FAULTS as error:", " raise at_element(error, len(r)) from None")
        return source.function()

    def other_encoding(self, field: ShapedField, *, one: bool) -> Source:
        """The function of ``packed_reader``."""
        self._source.namespace["K0"] = field.key
        if one:
            self._get_list(0, field)
            if shows_text(field.descriptor, self._options):
                self._count(1)
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
            if is_null_value(descriptor, self._options):
                add("v = [None] * len(v)")
            elif self._shows_names(descriptor):
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
        self._source.later(f"L{index}", lambda: self._map_reader(field, key, value))
        add(f"i = L{index}(data, i, j, end, r, unknown, depth)")

    def _map_reader(self, field: ShapedField, key: FieldDescriptor, value: FieldDescriptor) -> Callable[..., int]:
        source = Source("data, i, j, end, r, unknown, depth")
        source.namespace.update(_SHARED)
        writer = _Writer(source, self._options, self._sub_decoder, part=False)
        source.add("k = ''", "try:")
        source.indent(1)
        writer._count()
        writer._entries(0, field, key, value)
        source.add("return i")
        source.indent(-1)
        source.add("except FAULTS as error:", " raise at_element(error, k) from None")
        return source.function()

    def _entries(self, index: int, field: ShapedField, key: FieldDescriptor, value: FieldDescriptor) -> None:
        add = self._source.add
        is_message = value.type is FieldType.MESSAGE
        add("while True:")
        self._source.indent(1)
        self._spend(1)
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
            add("v = (i, q) if v is None else more(v, data, i, q, depth)", "i = q")
        else:
            self._read(index, value, "j")
        self._source.field(index)
        self._source.indent(-1)
        add("else:", " if tag > 127:", "  tag, i = read_tag(data, i, tag)", " i = skip(data, i, j, tag, depth)")
        self._source.indent(-1)
        add("if i != j:", " raise Truncated")
        self._source.field(index, element=True)
        if is_message:
            add("if v is None:", f" r[k] = S{index}(data, 0, 0, depth - 2)")
            add("elif type(v) is tuple:", f" r[k] = S{index}(data, v[0], v[1], depth - 2)")
            add("else:", f" r[k] = joined(S{index}, v, data, depth - 2)")
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
        self._length("end")
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


def packed_reader(field: ShapedField, options: Options, *, one: bool) -> Callable[..., int]:
    """Reads a list in the encoding it is not declared with: one number (``one``) or a packed run of them."""
    source = Source("data, i, j, end, m, unknown")
    source.namespace.update(_SHARED)
    source.names = [field.key]
    return _Writer(source, options, _no_messages, part=False).other_encoding(field, one=one).function()


def _no_messages(_source: Source, _name: str, _descriptor: FieldDescriptor) -> SubDecoder:
    raise AssertionError("a packed field is a list of numbers")
