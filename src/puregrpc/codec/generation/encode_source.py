"""Generates the encoder of a message type: ``encode(value, depth) -> bytes``.

Each field leaves its tag, length and body in numbered locals that start as empty bytes; the message is one join of
them. ``left`` counts the entries of the dict that are still unaccounted for: once there are none, the other fields are
not looked for, and a name that is not a field is noticed without looking at each.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from puregrpc.codec.faults import FAULTS, Fault, TooDeep, at_element, locate
from puregrpc.codec.generation.shapes import FIXED, ShapedField, is_null_value, wire_type_of
from puregrpc.codec.generation.source import Source
from puregrpc.codec.options import UNKNOWN_FIELDS, Options
from puregrpc.codec.values import lists, scalars
from puregrpc.codec.wire_format.tags_and_varints import SMALL, VARINTS, tag_bytes, varint
from puregrpc.proto.descriptors import FieldDescriptor, FieldType
from puregrpc.schema.defaults import INTEGER_RANGES

__all__ = ["SubEncoder", "encoder_source"]

SubEncoder = Callable[[Any, int], bytes]

FIELDS_AT_A_TIME = 4
"""After so many fields the encoder asks whether it has found all there are."""

_INTEGERS = {
    FieldType.INT32: "int32",
    FieldType.SINT32: "int32",
    FieldType.SFIXED32: "int32",
    FieldType.INT64: "int64",
    FieldType.SINT64: "int64",
    FieldType.SFIXED64: "int64",
    FieldType.UINT32: "uint32",
    FieldType.FIXED32: "uint32",
    FieldType.UINT64: "uint64",
    FieldType.FIXED64: "uint64",
}
_ZIGZAG = (FieldType.SINT32, FieldType.SINT64)


@lru_cache(maxsize=512)
def _heads(tag: int) -> tuple[bytes, ...]:
    """A tag with each of the varints of one byte behind it."""
    return tuple(varint(tag) + VARINTS[number] for number in range(128))


def _missing() -> Fault:
    return Fault("a required field is not set")


def _second(name: str) -> Fault:
    return Fault(f"another field of the oneof {name!r} is set, too")


_SHARED: dict[str, Any] = {
    "FAULTS": FAULTS,
    "MISSING": object(),
    "V": VARINTS,
    "at_element": at_element,
    "locate": locate,
    "strings": lists.strings,
    "join": b"".join,
    "varint": varint,
    "list_of": lists.list_of,
    "entries_of": lists.entries_of,
    "expanded": lists.expanded,
    "pack_varints": lists.pack_varints,
    "pack_bools": lists.pack_bools,
    "pack_fixed": lists.pack_fixed,
    "bool_of": scalars.bool_of,
    "key_of_bool": scalars.key_of_bool,
    "bytes_of": scalars.bytes_of,
    "native_bytes_of": scalars.native_bytes_of,
    "string_of": scalars.string_of,
    "double_of": scalars.double_of,
    "float_of": scalars.float_of,
    "enum_of": scalars.enum_of,
    "enum_or_none": scalars.enum_or_none,
    "null_of": scalars.null_of,
    "int32_of": scalars.int32_of,
    "int64_of": scalars.int64_of,
    "uint32_of": scalars.uint32_of,
    "uint64_of": scalars.uint64_of,
    "key_of_int32": scalars.key_of_int32,
    "key_of_int64": scalars.key_of_int64,
    "key_of_uint32": scalars.key_of_uint32,
    "key_of_uint64": scalars.key_of_uint64,
    "TooDeep": TooDeep,
    "missing": _missing,
    "second": _second,
    **{f"pack_{code}": struct.Struct(f"<{code}").pack for code in FIXED.values()},
}


def encoder_source(
    fields: Sequence[ShapedField],
    options: Options,
    sub_encoder: Callable[[Source, str, FieldDescriptor], SubEncoder],
    *,
    part: bool,
) -> Source:
    """The source of an encoder for ``fields``, which are all of the message or, for a ``part``, some of them.

    ``sub_encoder`` gives the encoder of a message field; it may replace it in the namespace later. A complete
    encoder takes (value, depth) and calls ``prepared`` for what is not a plain dict and ``renamed`` for names that
    are not keys, both of which the caller puts in the namespace. A part takes (value, depth, oneofs).
    """
    source = Source("d, depth, oneofs" if part else "d, depth")
    source.namespace.update(_SHARED)
    source.names = [field.key for field in fields]
    writer = _Writer(source, options, sub_encoder, part=part)
    source.add("n = None", "try:")
    source.indent(1)
    if not part:
        source.add("if type(d) is not dict:", " d = prepared(d)", " if type(d) is bytes:", "  return d")
        source.add("if ALIASED and not d.keys() <= KEYS:", " d = renamed(d)")
        source.add("if depth < 0:", " raise TooDeep", "left = len(d)")
        source.namespace["KEYS"] = frozenset(field.key for field in fields)
        source.namespace["ALIASED"] = False
        source.add(*(f"o{index} = 0" for index in sorted({field.oneof for field in fields if field.oneof >= 0})))
    source.add("get = d.get")
    body = len(source.lines)
    source.add("")  # the locals, once they are known
    for first in range(0, len(fields), FIELDS_AT_A_TIME):
        some = fields[first : first + FIELDS_AT_A_TIME]
        skips = first > 0 and not part and not any(field.descriptor.is_required for field in some)
        source.field(-1)
        if skips:
            source.add("if left:")
            source.indent(1)
        for index, field in enumerate(some, first):
            source.field(index)
            writer.field(index, field)
        if skips:
            source.indent(-1)
    source.field(-1)
    if not part:
        if options.unknown_fields == "keep":
            source.namespace["UNKNOWN"] = UNKNOWN_FIELDS
            source.namespace["KEYS"] |= {UNKNOWN_FIELDS}
            source.add("v = get(UNKNOWN)", "if v is not None:", " left -= 1", " unknown = bytes_of(v)")
            writer.locals.append("unknown")
        source.add("if left and not d.keys() <= KEYS:", " return generated(renamed(d), depth)")
    locals_ = writer.locals
    source.lines[body] = " " * 2 + " = ".join([*locals_, "b''"]) if locals_ else "  pass"
    source.add(f"return join(({', '.join(locals_)},))" if locals_ else "return b''")
    source.indent(-1)
    source.add("except FAULTS as error:", " raise locate(error, NAMES, LINES, None, n) from None")
    return source


class _Writer:
    """Writes the lines of one field after the other."""

    def __init__(
        self,
        source: Source,
        options: Options,
        sub_encoder: Callable[[Source, str, FieldDescriptor], SubEncoder],
        *,
        part: bool,
    ) -> None:
        self.locals: list[str] = []
        self._source = source
        self._options = options
        self._sub_encoder = sub_encoder
        self._part = part

    def field(self, index: int, field: ShapedField) -> None:
        """All of one field."""
        add, constant = self._source.add, self._source.namespace
        descriptor = field.descriptor
        constant[f"K{index}"] = field.key
        if field.takes_null:
            add(f"v = get(K{index}, MISSING)", "if v is not MISSING:")
        else:
            add(f"v = get(K{index})", "if v is not None:")
        self._source.indent(1)
        if not self._part:
            add("left -= 1")
        if field.oneof >= 0:
            self._oneof(index, field)
        if descriptor.is_map:
            self._map(index, field)
        elif descriptor.is_repeated:
            self._repeated(index, field)
        else:
            self._singular(index, field)
        self._source.indent(-1)
        if descriptor.is_required:
            add("else:")
            if not self._part:  # it may be there under its other name
                add(" if left and not d.keys() <= KEYS:", "  return generated(renamed(d), depth)")
            add(" raise missing()")

    def _oneof(self, index: int, field: ShapedField) -> None:
        oneof = field.descriptor.containing_oneof
        self._source.namespace[f"O{index}"] = oneof.name if oneof is not None else ""
        if self._part:
            self._source.add(f"if oneofs.setdefault({field.oneof}, {field.tag}) != {field.tag}:")
        else:
            self._source.add(f"if o{field.oneof}:")
        self._source.add(f" raise second(O{index})")
        if not self._part:
            self._source.add(f"o{field.oneof} = 1")

    def _singular(self, index: int, field: ShapedField) -> None:
        add, descriptor = self._source.add, field.descriptor
        self._source.namespace[f"T{index}"] = tag_bytes(descriptor.number, field.tag & 7)
        tag, length, body = f"t{index}", f"n{index}", f"p{index}"
        if descriptor.type is FieldType.MESSAGE:
            self._sub(index, descriptor)
            add(f"{body} = S{index}(v, depth - 1)")
            if descriptor.is_delimited:
                add(f"{tag} = T{index}")
                self._source.namespace[f"G{index}"] = tag_bytes(descriptor.number, 4)
                add(f"{length} = G{index}")
                self.locals += [tag, body, length]
            else:
                add(f"n = len({body})", f"{length} = {self._head(index, field, 'n')}")
                self.locals += [length, body]
            return
        self._check(index, field)
        is_implicit = not descriptor.has_presence
        if descriptor.type in (FieldType.STRING, FieldType.BYTES):
            if is_implicit:
                add("if v:")
            self._source.indent(is_implicit)
            add(f"{body} = {self._raw('v', descriptor)}", f"n = len({body})")
            add(f"{length} = {self._head(index, field, 'n')}")
            self._source.indent(-is_implicit)
            self.locals += [length, body]
            return
        if descriptor.type in (FieldType.FLOAT, FieldType.DOUBLE):
            self.locals.append(body)
            whole = f"T{index} + {self._body('v', descriptor)}"
            if is_implicit:
                self._source.namespace[f"Z{index}"] = tag_bytes(descriptor.number, field.tag & 7) + bytes(
                    4 if descriptor.type is FieldType.FLOAT else 8
                )
                add(f"x = {whole}", f"if x != Z{index}:", f" {body} = x")
            else:
                add(f"{body} = {whole}")
            return
        self.locals.append(body)
        condition = "if v:" if is_implicit else "if v is not None:" if self._may_be_ignored(field) else ""
        if condition:
            add(condition)
        self._source.indent(bool(condition))
        if descriptor.type in _ZIGZAG:
            add("v = v << 1 ^ v >> 63")
        value = f"T{index} + {self._body('v', descriptor)}" if descriptor.type in FIXED else None
        add(f"{body} = {value or self._head(index, field, 'v', may_be_negative=True)}")
        self._source.indent(-bool(condition))

    def _head(self, index: int, field: ShapedField, value: str, *, may_be_negative: bool = False) -> str:
        """A tag and a varint behind it, as an expression; small ones are looked up whole."""
        if self._part:  # a large type would need a great many tables
            low = "0 <= " if may_be_negative else ""
            return f"T{index} + (V[{value}] if {low}{value} < {SMALL} else varint({value}))"
        self._source.namespace[f"H{index}"] = _heads(field.tag)
        is_large = f"{value} >> 7" if may_be_negative else f"{value} > 127"
        return f"T{index} + varint({value}) if {is_large} else H{index}[{value}]"

    def _may_be_ignored(self, field: ShapedField) -> bool:
        """Whether a value may turn out to be the name of an enum value that is not known."""
        return self._options.ignore_unknown_names and field.descriptor.type is FieldType.ENUM

    def _check(self, index: int, field: ShapedField, value: str = "v", of_key: bool = False) -> None:
        """Make sure that a value has the type and range it should have."""
        add, descriptor = self._source.add, field.descriptor
        kind = descriptor.type
        if field.is_null_value:
            add(f"{value} = null_of({value})")
        elif kind is FieldType.ENUM:
            self._enum(index, descriptor)
            add(f"x = E{index}.get({value}) if type({value}) is str else None")
            convert = "enum_or_none" if self._options.ignore_unknown_names else "enum_of"
            add(f"{value} = x if x is not None else {convert}({value}, E{index}, {self._is_closed(descriptor)})")
        elif kind in _INTEGERS:
            low, high = INTEGER_RANGES[kind]
            is_outside = f"not {low} <= {value} <= {high}" if low else f"{value} >> {high.bit_length()}"
            add(f"if type({value}) is not int or {is_outside}:")
            convert = f"key_of_{_INTEGERS[kind]}" if of_key else f"{_INTEGERS[kind]}_of"
            add(f" {value} = {convert}({value})")
        elif kind is FieldType.BOOL:
            convert = "key_of_bool" if of_key else "bool_of"
            add(f"if {value} is not True and {value} is not False:", f" {value} = {convert}({value})")
        elif kind is FieldType.STRING:
            add(f"if type({value}) is not str:", f" {value} = string_of({value})")
        elif kind is FieldType.BYTES:
            if self._options.is_native:
                add(f"if type({value}) is not bytes:", f" {value} = native_bytes_of({value})")
            else:
                add(f"{value} = bytes_of({value})")
        elif kind is FieldType.DOUBLE:
            add(f"if type({value}) is not float:", f" {value} = double_of({value})")
        elif kind is FieldType.FLOAT:
            limit = scalars.TOO_LARGE_FOR_FLOAT
            add(f"if type({value}) is not float or not {-limit!r} < {value} < {limit!r}:")
            add(f" {value} = float_of({value})")

    def _is_closed(self, descriptor: FieldDescriptor) -> bool:
        return descriptor.enum_type is not None and descriptor.enum_type.is_closed

    def _enum(self, index: int, descriptor: FieldDescriptor) -> None:
        values = descriptor.enum_type.values if descriptor.enum_type is not None else []
        self._source.namespace[f"E{index}"] = {value.name: value.number for value in values}

    def _sub(self, index: int, descriptor: FieldDescriptor) -> None:
        name = f"S{index}"
        self._source.namespace[name] = self._sub_encoder(self._source, name, descriptor)

    def _raw(self, value: str, descriptor: FieldDescriptor) -> str:
        """The body of a string or of bytes, without its length."""
        if descriptor.type is FieldType.BYTES:
            return value
        if descriptor.validates_utf8 or not self._options.is_native:
            return f"{value}.encode()"
        return f"{value}.encode('utf-8', 'surrogateescape')"

    def _body(self, value: str, descriptor: FieldDescriptor) -> str:
        """The body of a checked number or bool, as an expression."""
        kind = descriptor.type
        if kind in FIXED:
            return f"pack_{FIXED[kind]}({value})"
        if kind is FieldType.BOOL:
            return f"b'\\1' if {value} else b'\\0'"
        if kind in _ZIGZAG:
            return f"varint({value} << 1 ^ {value} >> 63)"
        return f"V[{value}] if 0 <= {value} < {SMALL} else varint({value})"

    def _repeated(self, index: int, field: ShapedField) -> None:
        add, descriptor, constant = self._source.add, field.descriptor, self._source.namespace
        body, kind = f"p{index}", descriptor.type
        constant[f"T{index}"] = tag_bytes(descriptor.number, field.tag & 7)
        add("if type(v) is not list:", " v = list_of(v)", "if v:")
        self._source.indent(1)
        if kind is FieldType.MESSAGE:
            add("r = []")
            self._source.field(index, element=True)
            add("for n, v in enumerate(v):")
            self._source.indent(1)
            self._element(index, field)
            self._source.indent(-1)
            self._source.field(index)
            add(f"{body} = join(r)")
        elif kind is FieldType.STRING and self._raw("v", descriptor) == "v.encode()":
            add(f"{body} = strings(v, T{index})")
        elif descriptor.is_packed and kind in FIXED:
            of = f"{_INTEGERS.get(kind) or kind.name.lower()}_of"
            add(f"{body} = pack_fixed(v, {of}, {FIXED[kind]!r})")
        elif descriptor.is_packed and kind is FieldType.BOOL:
            add(f"{body} = pack_bools(v, bool_of)")
        elif descriptor.is_packed and kind is not FieldType.ENUM:
            low, high = INTEGER_RANGES[kind]
            add(f"{body} = pack_varints(v, {_INTEGERS[kind]}_of, {low}, {high}, {kind in _ZIGZAG})")
        else:
            self._source.later(f"L{index}", lambda: self._list_writer(field))
            add(f"{body} = L{index}(v)")
        if descriptor.is_packed:
            self._packed(index, field)
        else:
            self.locals.append(body)
        self._source.indent(-1)

    def _list_writer(self, field: ShapedField) -> Callable[[list[Any]], bytes]:
        """A function for a list of scalars, whose text many fields share."""
        source = Source("v")
        source.namespace.update(_SHARED)
        source.namespace["T0"] = tag_bytes(field.descriptor.number, field.tag & 7)
        writer = _Writer(source, self._options, self._sub_encoder, part=False)
        source.add("n = 0", "r = []", "a = r.append", "try:", " for n, v in enumerate(v):")
        source.indent(2)
        writer._element(0, field)
        source.indent(-2)
        source.add(" return join(r)", "except FAULTS as error:", " raise at_element(error, n) from None")
        return source.function()

    def _packed(self, index: int, field: ShapedField) -> None:
        self._source.add(f"n = len(p{index})", f"n{index} = {self._head(index, field, 'n')}")
        self.locals += [f"n{index}", f"p{index}"]

    def _element(self, index: int, field: ShapedField) -> None:
        """One value of a list, into the list of parts ``r``."""
        add, descriptor = self._source.add, field.descriptor
        if descriptor.type is FieldType.MESSAGE:
            self._sub(index, descriptor)
            add(f"b = S{index}(v, depth - 1)")
            if descriptor.is_delimited:
                self._source.namespace[f"G{index}"] = tag_bytes(descriptor.number, 4)
                add(f"r += T{index}, b, G{index}")
                return
        else:
            self._check(index, field)
            if self._may_be_ignored(field):
                add("if v is None:", " continue")
            if descriptor.type not in (FieldType.STRING, FieldType.BYTES):
                body = self._body("v", descriptor)
                add(f"a({body})" if descriptor.is_packed else f"r += T{index}, {body}")
                return
            add(f"b = {self._raw('v', descriptor)}")
        add("x = len(b)", f"r += T{index}, V[x] if x < {SMALL} else varint(x), b")

    def _map(self, index: int, field: ShapedField) -> None:
        """A map; if values are scalars, by a function of its own, whose text many fields share."""
        add, descriptor, constant = self._source.add, field.descriptor, self._source.namespace
        entry = descriptor.message_type
        key = next(f for f in entry.fields if f.number == 1) if entry is not None else descriptor
        value = next(f for f in entry.fields if f.number == 2) if entry is not None else descriptor
        constant[f"T{index}"] = tag_bytes(descriptor.number, 2)
        add("if type(v) is not dict:", " v = entries_of(v)")
        self.locals.append(f"p{index}")
        if value.type is FieldType.MESSAGE:
            add("r = []")
            self._source.field(index, element=True)
            add("for n, v in v.items():")
            self._source.indent(1)
            self._entry(index, field, key, value)
            self._source.indent(-1)
            self._source.field(index)
            add(f"p{index} = join(r)")
            return
        self._source.later(f"L{index}", lambda: self._map_writer(field, key, value))
        add(f"p{index} = L{index}(v)")

    def _map_writer(
        self, field: ShapedField, key: FieldDescriptor, value: FieldDescriptor
    ) -> Callable[[dict[Any, Any]], bytes]:
        source = Source("v")
        source.namespace.update(_SHARED)
        source.namespace["T0"] = tag_bytes(field.descriptor.number, 2)
        writer = _Writer(source, self._options, self._sub_encoder, part=False)
        source.add("n = ''", "r = []", "try:", " for n, v in v.items():")
        source.indent(2)
        writer._entry(0, field, key, value)
        source.indent(-2)
        source.add(" return join(r)", "except FAULTS as error:", " raise at_element(error, n) from None")
        return source.function()

    def _entry(self, index: int, field: ShapedField, key: FieldDescriptor, value: FieldDescriptor) -> None:
        """One entry of a map, from ``n`` and ``v`` into the list of parts ``r``."""
        add = self._source.add
        add("k = n")
        self._check(index, _as_shaped(key, field, is_null=False), "k", of_key=True)
        parts = [repr(tag_bytes(1, wire_type_of(key)))]
        if key.type is FieldType.STRING:
            add(f"k = {self._raw('k', key)}", "z = len(k)")
            parts += [f"V[z] if z < {SMALL} else varint(z)", "k"]
        else:
            parts.append(self._body("k", key))
        if value.type is FieldType.MESSAGE:
            self._sub(index, value)
            add(f"v = S{index}(v, depth - 2)", "y = len(v)")
            parts += [repr(tag_bytes(2, 2)), f"V[y] if y < {SMALL} else varint(y)", "v"]
        else:
            shaped_value = _as_shaped(value, field, is_null=is_null_value(value, self._options))
            self._check(index, shaped_value)
            if self._may_be_ignored(shaped_value):
                add("if v is None:", " continue")
            parts.append(repr(tag_bytes(2, wire_type_of(value))))
            if value.type in (FieldType.STRING, FieldType.BYTES):
                add(f"v = {self._raw('v', value)}", "y = len(v)")
                parts += [f"V[y] if y < {SMALL} else varint(y)", "v"]
            else:
                parts.append(self._body("v", value))
        add(f"b = join(({', '.join(parts)}))", "x = len(b)")
        add(f"r += T{index}, V[x] if x < {SMALL} else varint(x), b")


def _as_shaped(part: FieldDescriptor, field: ShapedField, *, is_null: bool) -> ShapedField:
    """The key or value of a map entry, to be checked like a field."""
    return ShapedField(part, field.key, 0, -1, is_null, takes_null=False)
