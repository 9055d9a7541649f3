"""A serialized protobuf message, field by field down to the varint, with names where a schema is known.

Without a schema the wire types say how many octets a field has, not what they mean; then the most likely reading is
given and marked as a guess. A broken message is explained as far as it can be read, and what is wrong is said there.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from puregrpc.errors import SchemaError
from puregrpc.proto.descriptors import FieldDescriptor, FieldType, MessageDescriptor
from puregrpc.trace.explaining import rules
from puregrpc.trace.records import Field, Part, Rule
from puregrpc.trace.text import printable

if TYPE_CHECKING:
    from puregrpc.schema import Registry
    from puregrpc.trace.explaining.expansion import Expansion
    from puregrpc.trace.explaining.octets import Octets

__all__ = ["MAX_DEPTH", "MAX_FIELDS", "explain_message"]

MAX_DEPTH = 100
"""How deep messages are followed: protobuf's own limit for parsers."""

MAX_FIELDS = 20_000
"""How many fields of one message are told one by one; the octets of the rest are one part, which says so."""

VARINT, I64, LEN, SGROUP, EGROUP, I32 = range(6)
WIRE_TYPE_NAMES = ("VARINT", "I64", "LEN", "SGROUP", "EGROUP", "I32")
MAX_FIELD_NUMBER = 2**29 - 1
ANY, ANY_TYPE_URL = "google.protobuf.Any", 1
WIRE_TYPES = {
    FieldType.DOUBLE: I64,
    FieldType.FIXED64: I64,
    FieldType.SFIXED64: I64,
    FieldType.FLOAT: I32,
    FieldType.FIXED32: I32,
    FieldType.SFIXED32: I32,
    FieldType.STRING: LEN,
    FieldType.BYTES: LEN,
    FieldType.MESSAGE: LEN,
    FieldType.GROUP: SGROUP,
}
FORMATS = {
    FieldType.DOUBLE: "<d",
    FieldType.FLOAT: "<f",
    FieldType.FIXED64: "<Q",
    FieldType.SFIXED64: "<q",
    FieldType.FIXED32: "<I",
    FieldType.SFIXED32: "<i",
}


class _Broken(Exception):  # noqa: N818 - control flow inside this module
    """The rest of the message cannot be read; ``args[0]`` says why."""


@dataclass(slots=True)
class _Budget:
    fields: int


def explain_message(
    octets: Octets,
    descriptor: MessageDescriptor | None = None,
    registry: Registry | None = None,
    expansion: Expansion | None = None,
) -> tuple[tuple[Field, ...], tuple[Part, ...]]:
    """The fields of a serialized message, and the parts that cover all of its octets.

    ``descriptor`` is its type, if that is known; ``registry`` finds extensions of it; ``expansion`` says how many
    fields may be told, where the octets are not those on the wire.
    """
    most = MAX_FIELDS if expansion is None else min(MAX_FIELDS, expansion.left)
    reader = _Reader(octets, registry, _Budget(most))
    fields, parts, _ = reader.message(0, len(octets), descriptor, 0, None)
    if expansion is not None:
        expansion.made += most - reader.budget.fields
    return fields, parts


class _Reader:
    def __init__(self, octets: Octets, registry: Registry | None, budget: _Budget) -> None:
        self.octets = octets
        self.data = octets.data
        self.registry = registry
        self.budget = budget
        self.any_type = ""
        """The type URL of the google.protobuf.Any that is being read."""

    def message(
        self, start: int, end: int, descriptor: MessageDescriptor | None, depth: int, group: int | None
    ) -> tuple[tuple[Field, ...], tuple[Part, ...], int]:
        """The fields between two places; for a group, up to and with its end tag. Returns where it stopped."""
        fields: list[Field] = []
        parts: list[Part] = []
        position = start
        while position < end:
            if self.budget.fields <= 0:
                count = end - position
                parts.append(
                    self.octets.part("More fields", position, end, f"{count} octets", note="not told one by one")
                )
                return tuple(fields), tuple(parts), end
            self.budget.fields -= 1
            try:
                tag, after = self.varint(position, end)
                if tag & 7 == EGROUP and group == tag >> 3:
                    parts.append(
                        self.octets.part("End of group", position, after, f"field {group}", rules.protobuf("Groups"))
                    )
                    return tuple(fields), tuple(parts), after
                found, position = self.field(position, after, end, tag, descriptor, depth)
            except _Broken as broken:
                parts.append(
                    self.octets.part(
                        "Not readable",
                        position,
                        end,
                        f"{end - position} octets",
                        rules.protobuf("Message Structure"),
                        problem=str(broken),
                    )
                )
                return tuple(fields), tuple(parts), end
            fields.append(found)
            number = found.number
            parts.append(found.part)
            if descriptor is not None and descriptor.full_name == ANY and number == ANY_TYPE_URL:
                self.any_type = str(found.value)
        if group is not None and parts:
            parts[-1] = _with_problem(parts[-1], f"the message ends before the end tag of group {group}")
        return tuple(fields), tuple(parts), position

    def varint(self, start: int, end: int) -> tuple[int, int]:
        value = 0
        for place in range(start, min(end, start + 10)):
            octet = self.data[place]
            value |= (octet & 0x7F) << (7 * (place - start))
            if octet < 0x80:
                return value & (2**64 - 1), place + 1
        if end - start >= 10:
            raise _Broken("a varint of more than 10 octets")
        raise _Broken("the message ends inside a varint")

    def field(
        self, start: int, after: int, end: int, tag: int, descriptor: MessageDescriptor | None, depth: int
    ) -> tuple[Field, int]:
        number, wire_type = tag >> 3, tag & 7
        if not 1 <= number <= MAX_FIELD_NUMBER:
            raise _Broken(f"field number {number} cannot be (1 to {MAX_FIELD_NUMBER})")
        if wire_type == EGROUP:
            raise _Broken(f"the end of group {number}, which was not begun")
        if wire_type > I32:
            raise _Broken(f"wire type {wire_type} does not exist (field {number})")
        found = self.lookup(descriptor, number)
        note = problem = ""
        if descriptor is not None and found is None:
            note = f"not in the schema of {descriptor.full_name}: an unknown field, kept but not understood"
        elif found is not None and not _fits(found, wire_type):
            wanted = WIRE_TYPE_NAMES[_wire_type(found)]
            problem = f"{found.name} ({_type_name(found)}) has wire type {wanted}; parsers take this as unknown"
            found = None
        tag_rule = rules.protobuf("Message Structure")
        tag_value = f"field {number}, {WIRE_TYPE_NAMES[wire_type]}"
        tag_part = self.octets.part("Tag", start, after, tag_value, tag_rule)
        name = found.name if found is not None else ""
        reading = self.value(after, end, wire_type, number, found, depth)
        label = name or f"field {number}"
        part = self.octets.part(
            label,
            start,
            reading.end,
            reading.text,
            reading.rule,
            note=note or reading.note,
            problem=problem or reading.problem,
            parts=(tag_part, *reading.parts),
        )
        result = Field(number, wire_type, name, reading.type_name, reading.value, part, reading.fields)
        return result, reading.end

    def lookup(self, descriptor: MessageDescriptor | None, number: int) -> FieldDescriptor | None:
        if descriptor is None:
            return None
        for candidate in descriptor.fields:
            if candidate.number == number:
                return candidate
        if self.registry is not None and any(low <= number < high for low, high in descriptor.extension_ranges):
            try:
                return self.registry.extension(descriptor.full_name, number)
            except SchemaError:
                return None
        return None

    def value(
        self, start: int, end: int, wire_type: int, number: int, found: FieldDescriptor | None, depth: int
    ) -> _Reading:
        if wire_type == VARINT:
            raw, stop = self.varint(start, end)
            type_name, value, text, note = _varint_value(raw, found)
            rule = rules.protobuf("Base 128 Varints")
            part = self.octets.part("Varint", start, stop, text if found else str(raw), rule)
            return _Reading(stop, text, rule, (part,), type_name, value, note=note)
        if wire_type in (I32, I64):
            size = 4 if wire_type == I32 else 8
            if end - start < size:
                raise _Broken(f"the message ends inside the {size} octets of field {number}")
            raw_octets = self.data[start : start + size]
            type_name, value, text, note = _fixed_value(raw_octets, found)
            rule = rules.protobuf("Non-varint Numbers")
            part = self.octets.part(f"{size} octets", start, start + size, text, rule)
            return _Reading(start + size, text, rule, (part,), type_name, value, note=note)
        if wire_type == SGROUP:
            return self.group(start, end, number, found, depth)
        length, begin = self.varint(start, end)
        if length > end - begin:
            raise _Broken(f"field {number} has {length} octets, but only {end - begin} are left")
        length_rule = rules.protobuf("Length-Delimited Records")
        length_part = self.octets.part("Length", start, begin, f"{length} octets", length_rule)
        reading = self.record(begin, begin + length, found, depth)
        reading.parts = (length_part, *reading.parts)
        return reading

    def group(self, start: int, end: int, number: int, found: FieldDescriptor | None, depth: int) -> _Reading:
        rule = rules.protobuf("Groups")
        if depth >= MAX_DEPTH:
            raise _Broken(f"groups deeper than {MAX_DEPTH}")
        inner = found.message_type if found is not None else None
        fields, parts, stop = self.message(start, end, inner, depth + 1, number)
        problem = "" if parts else f"the message ends before the end tag of group {number}"
        type_name = inner.full_name if inner is not None else "group"
        return _Reading(stop, f"group of {len(fields)} fields", rule, parts, type_name, None, fields, problem=problem)

    def record(self, start: int, end: int, found: FieldDescriptor | None, depth: int) -> _Reading:
        """What a length stands before: text, bytes, a message, packed numbers."""
        rule = rules.protobuf("Length-Delimited Records")
        if found is None:
            return self.guess(start, end, depth)
        if found.type == FieldType.MESSAGE:
            if found.is_map:
                rule = rules.protobuf("Maps")
            return self.submessage(start, end, found.message_type, depth, rule)
        raw = self.data[start:end]
        if found.type == FieldType.STRING:
            text, problem = _text(raw)
            if not found.validates_utf8:
                problem = ""
            parts = (self.octets.part("Text", start, end, text, rule),) if raw else ()
            value: object = raw.decode("utf-8", "replace")
            return _Reading(end, text, rule, parts, "string", value, problem=problem)
        if found.type == FieldType.BYTES:
            held = self.held_by_any(found)
            if held is not None:
                return self.submessage(start, end, held, depth, rule)
            text = printable(raw)
            parts = (self.octets.part("Octets", start, end, text, rule),) if raw else ()
            return _Reading(end, text, rule, parts, "bytes", raw)
        return self.packed(start, end, found)

    def held_by_any(self, found: FieldDescriptor) -> MessageDescriptor | None:
        """The type of what a google.protobuf.Any holds, if ``found`` is its value and the schema knows the type."""
        outer = found.containing_type
        if self.registry is None or outer is None or outer.full_name != ANY:
            return None
        try:
            return self.registry.type_in_any(self.any_type)
        except SchemaError:
            return None

    def packed(self, start: int, end: int, found: FieldDescriptor) -> _Reading:
        rule = rules.protobuf("Packed Repeated Fields")
        parts: list[Part] = []
        values: list[object] = []
        wire_type = _element_wire_type(found)
        position = start
        problem = ""
        while position < end:
            if self.budget.fields <= 0:
                count = end - position
                parts.append(
                    self.octets.part("More elements", position, end, f"{count} octets", note="not told one by one")
                )
                break
            self.budget.fields -= 1
            if wire_type == VARINT:
                try:
                    raw, stop = self.varint(position, end)
                except _Broken as broken:
                    problem = str(broken)
                    break
                _, value, text, _ = _varint_value(raw, found)
            else:
                stop = position + (4 if wire_type == I32 else 8)
                if stop > end:
                    problem = "the last element is cut"
                    break
                _, value, text, _ = _fixed_value(self.data[position:stop], found)
            parts.append(self.octets.part(f"[{len(values)}]", position, stop, text, rule))
            values.append(value)
            position = stop
        if problem:
            count = end - position
            parts.append(self.octets.part("Not readable", position, end, f"{count} octets", rule, problem=problem))
        return _Reading(end, f"{len(values)} packed elements", rule, tuple(parts), _type_name(found), tuple(values))

    def submessage(
        self, start: int, end: int, descriptor: MessageDescriptor | None, depth: int, rule: Rule
    ) -> _Reading:
        type_name = descriptor.full_name if descriptor is not None else "message"
        if depth >= MAX_DEPTH:
            part = self.octets.part("Message", start, end, f"{end - start} octets", rule)
            cut = (part,) if end > start else ()
            problem = f"messages deeper than {MAX_DEPTH} are not followed, and parsers refuse them"
            return _Reading(end, f"{end - start} octets", rule, cut, type_name, None, problem=problem)
        fields, parts, _ = self.message(start, end, descriptor, depth + 1, None)
        return _Reading(end, f"message of {end - start} octets", rule, parts, type_name, None, fields)

    def guess(self, start: int, end: int, depth: int) -> _Reading:
        """The likely meaning of a record that no schema knows: readable text, a message, bytes."""
        rule = rules.protobuf("Length-Delimited Records")
        raw = self.data[start:end]
        if not raw:
            return _Reading(end, "empty", rule, (), "empty", b"")
        text, problem = _text(raw)
        readable = not problem and all(c.isprintable() for c in text)
        if not readable and depth < MAX_DEPTH and _looks_like_message(raw):
            reading = self.submessage(start, end, None, depth, rule)
            reading.type_name = "message?"
            reading.note = "no schema: a guess from its octets"
            return reading
        if readable or (not problem and all(c.isprintable() or c in "\n\r\t" for c in text)):
            part = self.octets.part("Text", start, end, text, rule)
            value = raw.decode("utf-8")
            return _Reading(end, text, rule, (part,), "text?", value, note="no schema: a guess from its octets")
        shown = printable(raw)
        part = self.octets.part("Octets", start, end, shown, rule)
        return _Reading(end, shown, rule, (part,), "bytes?", raw, note="no schema: a guess from its octets")


@dataclass(slots=True)
class _Reading:
    end: int
    text: str
    rule: Rule
    parts: tuple[Part, ...]
    type_name: str
    value: object
    fields: tuple[Field, ...] = ()
    note: str = ""
    problem: str = ""


def _text(raw: bytes) -> tuple[str, str]:
    """Octets as text, cut to a readable length, and what is wrong with them."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return printable(raw), f"not UTF-8: octet 0x{raw[error.start]:02x} at {error.start}"
    return (text if len(text) <= 120 else f"{text[:120]}… ({len(text)} characters)"), ""


def _looks_like_message(raw: bytes) -> bool:
    """Whether octets can be read as fields to the end (one level; groups are too rare to guess)."""
    position = 0
    while position < len(raw):
        tag, position = _quick_varint(raw, position)
        wire_type = tag & 7
        if position < 0 or not 1 <= tag >> 3 <= MAX_FIELD_NUMBER or wire_type in (SGROUP, EGROUP, 6, 7):
            return False
        if wire_type == VARINT:
            _, position = _quick_varint(raw, position)
            if position < 0:
                return False
        elif wire_type == LEN:
            length, position = _quick_varint(raw, position)
            if position < 0:
                return False
            position += length
        else:
            position += 4 if wire_type == I32 else 8
    return position == len(raw)


def _quick_varint(raw: bytes, position: int) -> tuple[int, int]:
    """A varint and where it ends; a negative place if it does not end."""
    value = 0
    for shift in range(10):
        if position + shift >= len(raw):
            return 0, -1
        value |= (raw[position + shift] & 0x7F) << (7 * shift)
        if raw[position + shift] < 0x80:
            return value, position + shift + 1
    return 0, -1


def _wire_type(found: FieldDescriptor) -> int:
    if found.type == FieldType.MESSAGE and found.is_delimited:
        return SGROUP
    if found.is_repeated and found.is_packed:
        return LEN
    return _element_wire_type(found)


def _element_wire_type(found: FieldDescriptor) -> int:
    return WIRE_TYPES.get(found.type, VARINT)


def _fits(found: FieldDescriptor, wire_type: int) -> bool:
    """Parsers take packed and unpacked repeated numbers alike."""
    if found.type == FieldType.MESSAGE and found.is_delimited:
        return wire_type == SGROUP
    single = _element_wire_type(found)
    return wire_type == single or (found.is_repeated and single in (VARINT, I32, I64) and wire_type == LEN)


def _type_name(found: FieldDescriptor) -> str:
    if found.enum_type is not None:
        return found.enum_type.full_name
    return found.type.name.lower()


def _signed(raw: int, bits: int) -> int:
    raw &= (1 << bits) - 1
    return raw - (1 << bits) if raw >> (bits - 1) else raw


def _varint_value(raw: int, found: FieldDescriptor | None) -> tuple[str, object, str, str]:
    """Type name, value, text and note of a varint."""
    if found is None:
        zigzag = (raw >> 1) ^ -(raw & 1)
        note = "no schema: unsigned" + (f"; as sint {zigzag}" if raw > 1 else "; or bool")
        if raw >= 1 << 63:
            note += f"; as int64 {_signed(raw, 64)}"
        return "varint", raw, str(raw), note
    kind = found.type
    if kind == FieldType.BOOL:
        return "bool", raw != 0, "true" if raw else "false", ""
    if kind == FieldType.ENUM:
        number = _signed(raw, 32)
        enum = found.enum_type
        for value in enum.values if enum is not None else ():
            if value.number == number:
                return _type_name(found), number, f"{value.name} ({number})", ""
        return _type_name(found), number, str(number), "a number that the enum has no name for"
    if kind in (FieldType.SINT32, FieldType.SINT64):
        if kind == FieldType.SINT32:
            raw &= 0xFFFFFFFF
        number = (raw >> 1) ^ -(raw & 1)
        return _type_name(found), number, str(number), f"zigzag of {raw}"
    bits = 32 if kind in (FieldType.INT32, FieldType.UINT32) else 64
    number = _signed(raw, bits) if kind in (FieldType.INT32, FieldType.INT64) else raw & ((1 << bits) - 1)
    return _type_name(found), number, str(number), ""


def _fixed_value(raw: bytes, found: FieldDescriptor | None) -> tuple[str, object, str, str]:
    if found is not None:
        (value,) = struct.unpack(FORMATS[found.type], raw)
        return _type_name(found), value, str(value), ""
    small = len(raw) == 4
    number = int.from_bytes(raw, "little")
    (real,) = struct.unpack("<f" if small else "<d", raw)
    return ("I32" if small else "I64"), number, str(number), f"no schema: unsigned; as floating point {real:g}"


def _with_problem(part: Part, problem: str) -> Part:
    return Part(
        part.label, part.value, part.spans, part.rule, part.note, part.problem or problem, part.parts, part.explained_by
    )
