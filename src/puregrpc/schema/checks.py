"""What is refused in descriptors that come from elsewhere, before anything relies on it.

protoc checks all of this in sources, but a protoset or a reflection reply need not come from protoc. Everything
here raises SchemaError, with the full name of what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from operator import itemgetter

from google.protobuf import descriptor_pb2

from puregrpc.errors import SchemaError
from puregrpc.proto.descriptors import (
    MAX_FIELD_NUMBER,
    MAX_NAME_LENGTH,
    MAX_PACKAGE_PARTS,
    FieldDescriptor,
    FieldType,
    MessageDescriptor,
    longest_names,
)
from puregrpc.proto.json_names import json_name
from puregrpc.proto.link.range_index import RangeIndex
from puregrpc.schema import limits

__all__ = [
    "check_enum",
    "check_field",
    "check_file",
    "check_full_name",
    "check_lengths",
    "check_linked_extension",
    "check_linked_message",
    "check_message",
    "check_unique",
    "full_name",
]

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_FULL_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*\Z")
_FIELD = descriptor_pb2.FieldDescriptorProto
_NAMED_TYPES = (_FIELD.TYPE_MESSAGE, _FIELD.TYPE_GROUP, _FIELD.TYPE_ENUM)
_KEY_TYPES = frozenset(FieldType) - {
    FieldType.DOUBLE,
    FieldType.FLOAT,
    FieldType.GROUP,
    FieldType.MESSAGE,
    FieldType.BYTES,
    FieldType.ENUM,
}


def _is_text(value: object) -> bool:
    """Strings in descriptors that are not valid UTF-8 come out of google.protobuf as bytes."""
    return isinstance(value, str)


def full_name(scope: str, name: str, where: str) -> str:
    """``name`` inside ``scope``, both checked."""
    if not _is_text(name) or not _IDENTIFIER.match(name):
        raise SchemaError(f"{scope or where}: {name[:80]!r} is not an identifier")
    full = f"{scope}.{name}" if scope else name
    if len(full) > MAX_NAME_LENGTH:
        raise SchemaError(f"{where}: a full name has {len(full)} characters, over the limit of {MAX_NAME_LENGTH}")
    return full


def check_full_name(name: str, where: str) -> None:
    """A dotted name of a type that is only referred to; a dot before it says that it is a full name."""
    if not _is_text(name):
        raise SchemaError(f"{where}: the name of a type is not valid UTF-8")
    name = name.removeprefix(".")
    if len(name) > MAX_NAME_LENGTH or not _FULL_IDENTIFIER.match(name):
        raise SchemaError(f"{where}: {name[:80]!r} is not the name of a type")


def check_lengths(count: int, characters: int, where: str) -> None:
    """The scopes of the names of one file, which full names repeat."""
    if characters > longest_names(count):
        raise SchemaError(f"{where}: names are too long: the scopes of {count} names have {characters} characters")


def check_unique(names: Iterable[str], where: str, kind: str) -> None:
    """No name twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise SchemaError(f"{where}: the {kind} {name[:80]!r} is declared twice")
        seen.add(name)


def check_file(proto: descriptor_pb2.FileDescriptorProto) -> None:
    """The file's own name and package."""
    if not _is_text(proto.name) or not proto.name or len(proto.name) > MAX_NAME_LENGTH:
        raise SchemaError(f"{proto.name[:80]!r} is not the name of a file")
    if "\0" in proto.name or not proto.name.isprintable():
        raise SchemaError(f"{proto.name[:80]!r} is not the name of a file: it has characters that cannot be printed")
    if proto.package:
        if not _is_text(proto.package):
            raise SchemaError(f"{proto.name}: the package is not valid UTF-8")
        check_full_name(proto.package, proto.name)
        parts = proto.package.count(".") + 1
        if parts > MAX_PACKAGE_PARTS:
            raise SchemaError(f"{proto.name}: the package has {parts} parts, over the limit of {MAX_PACKAGE_PARTS}")
    check_unique(proto.dependency, proto.name, "import")


def check_message(proto: descriptor_pb2.DescriptorProto, name: str, depth: int) -> None:
    """The parts of one message that need no other type to be known."""
    if depth > limits.MAX_NESTING:
        raise SchemaError(f"{name}: messages are declared more than {limits.MAX_NESTING} levels deep")
    check_unique(
        [
            *(field.name for field in proto.field),
            *(oneof.name for oneof in proto.oneof_decl),
            *(nested.name for nested in proto.nested_type),
            *(enum.name for enum in proto.enum_type),
            *(extension.name for extension in proto.extension),
        ],
        name,
        "name",
    )
    numbers: dict[int, str] = {}
    members: dict[int, list[descriptor_pb2.FieldDescriptorProto]] = {}
    for field in proto.field:
        other = numbers.setdefault(field.number, field.name)
        if other != field.name:
            raise SchemaError(f"{name}: {other} and {field.name} both have the number {field.number}")
        if field.extendee:
            raise SchemaError(f"{name}.{field.name}: a field of a message extends another")
        if field.HasField("oneof_index"):
            if not 0 <= field.oneof_index < len(proto.oneof_decl):
                raise SchemaError(f"{name}.{field.name}: there is no oneof with the index {field.oneof_index}")
            if field.label not in (0, _FIELD.LABEL_OPTIONAL):
                raise SchemaError(f"{name}.{field.name}: a field in a oneof cannot be repeated or required")
            members.setdefault(field.oneof_index, []).append(field)
        elif field.proto3_optional:
            raise SchemaError(f"{name}.{field.name}: proto3_optional without a oneof of its own")
    for index, oneof in enumerate(proto.oneof_decl):
        inside = members.get(index, [])
        if not inside:
            raise SchemaError(f"{name}.{oneof.name}: a oneof without fields")
        if len(inside) > 1 and any(field.proto3_optional for field in inside):
            raise SchemaError(f"{name}.{oneof.name}: a proto3_optional field shares its oneof")
    _check_ranges(proto, name)
    if proto.options.map_entry:
        _check_map_entry(proto, name)


def _check_ranges(proto: descriptor_pb2.DescriptorProto, name: str) -> None:
    highest = limits.MAX_MESSAGE_SET_NUMBER if proto.options.message_set_wire_format else MAX_FIELD_NUMBER
    end_of_last = 0
    for span in sorted(proto.extension_range, key=lambda span: span.start):
        if not 1 <= span.start < span.end <= highest + 1:
            raise SchemaError(f"{name}: {span.start} to {span.end} is not a range of extension numbers")
        if span.start < end_of_last:
            raise SchemaError(f"{name}: extension ranges overlap at {span.start}")
        end_of_last = span.end
    if proto.options.message_set_wire_format and proto.field:
        raise SchemaError(f"{name}: a message set has extensions only, no fields")


def _check_map_entry(proto: descriptor_pb2.DescriptorProto, name: str) -> None:
    shape = [(field.number, field.name, field.label) for field in proto.field]
    if sorted(shape, key=itemgetter(0)) != [(1, "key", _FIELD.LABEL_OPTIONAL), (2, "value", _FIELD.LABEL_OPTIONAL)]:
        raise SchemaError(f"{name}: a map entry has exactly the fields key = 1 and value = 2")
    if proto.oneof_decl or proto.nested_type or proto.enum_type or proto.extension_range or proto.extension:
        raise SchemaError(f"{name}: a map entry declares nothing but its key and value")


def check_field(proto: descriptor_pb2.FieldDescriptorProto, name: str) -> None:
    """The parts of one field or extension that need no other type to be known."""
    highest = limits.MAX_MESSAGE_SET_NUMBER if proto.extendee else MAX_FIELD_NUMBER
    if not 1 <= proto.number <= highest:
        raise SchemaError(f"{name}: {proto.number} is not a field number; they go from 1 to {highest}")
    if limits.FIRST_RESERVED_NUMBER <= proto.number <= limits.LAST_RESERVED_NUMBER:
        raise SchemaError(f"{name}: the numbers 19000 to 19999 are kept for protobuf itself")
    if proto.type_name:
        if proto.HasField("type") and proto.type not in _NAMED_TYPES:
            raise SchemaError(f"{name}: a field of a scalar type names the type {proto.type_name[:80]!r}")
    elif proto.type in _NAMED_TYPES or not proto.type:
        raise SchemaError(f"{name}: the field does not say which type it has")
    if proto.HasField("json_name"):
        given = proto.json_name
        is_empty = given == "" != json_name(proto.name)  # that of a field "_" is
        if not _is_text(given) or is_empty or len(given) > limits.MAX_JSON_NAME_LENGTH:
            raise SchemaError(f"{name}: {given[:80]!r} is not a JSON name")
        if "\0" in given or (given.startswith("[") and given.endswith("]")):
            raise SchemaError(f"{name}: the JSON name {given[:80]!r} has a form that is kept for extensions, or a NUL")


def check_enum(proto: descriptor_pb2.EnumDescriptorProto, name: str, *, is_closed: bool) -> None:
    """An enum: names, numbers, and that there are any."""
    if not proto.value:
        raise SchemaError(f"{name}: an enum without values")
    for value in proto.value:
        full_name(name, value.name, name)
    check_unique((value.name for value in proto.value), name, "value")
    if not is_closed and proto.value[0].number != 0:
        raise SchemaError(f"{name}: the first value of an open enum is 0, not {proto.value[0].number}")
    if not proto.options.allow_alias:
        check_unique((str(value.number) for value in proto.value), name, "number")


def check_linked_message(message: MessageDescriptor, *, strict_json: bool) -> None:
    """What can be checked once types are known: maps, JSON names."""
    json_names: dict[str, FieldDescriptor] = {}
    for field in message.fields:
        other = json_names.setdefault(field.json_name, field)
        if other is not field and strict_json:
            raise SchemaError(
                f"{message.full_name}: {other.name} and {field.name} both have the JSON name {field.json_name[:80]!r}"
            )
        entry = field.message_type
        if entry is None or not entry.is_map_entry:
            continue
        if not field.is_repeated or field.is_delimited or entry.containing_type is not message:
            raise SchemaError(f"{field.full_name}: {entry.full_name} is a map entry, and the field is not its map")
    if message.is_map_entry and next(f for f in message.fields if f.number == 1).type not in _KEY_TYPES:
        raise SchemaError(f"{message.full_name}: a map key is an integer, a bool or a string")


def check_linked_extension(extension: FieldDescriptor, indexes: dict[MessageDescriptor, RangeIndex]) -> None:
    """An extension fits the message it extends. ``indexes`` remembers the ranges of those that were asked for."""
    extended = extension.containing_type
    name = extension.full_name
    if extended is None:
        raise SchemaError(f"{name}: an extension does not say what it extends")
    if extension.message_type is not None and extension.message_type.is_map_entry:
        raise SchemaError(f"{name}: an extension cannot be a map")
    if extension.is_required:
        raise SchemaError(f"{name}: an extension cannot be required")
    if extended.file is None:
        return  # it is in a missing import
    index = indexes.get(extended)
    if index is None:
        index = indexes[extended] = RangeIndex(extended.extension_ranges)
    if not index.holds(extension.number):
        raise SchemaError(f"{name}: {extended.full_name} has no extension range with the number {extension.number}")
    if extended.is_message_set and (extension.type is not FieldType.MESSAGE or extension.is_repeated):
        raise SchemaError(f"{name}: extensions of a message set are optional messages")
