"""What the two generators share about a message: its fields in order, their keys, tags and ways of being written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from puregrpc.codec.options import Options
from puregrpc.proto.descriptors import FieldDescriptor, FieldType, MessageDescriptor

if TYPE_CHECKING:
    from puregrpc.schema import Registry

__all__ = ["FIXED", "Shape", "ShapedField", "is_null_value", "shape_of", "shown_elements", "wire_type_of"]

VARINT_TYPES = frozenset(
    {
        FieldType.INT32,
        FieldType.INT64,
        FieldType.UINT32,
        FieldType.UINT64,
        FieldType.SINT32,
        FieldType.SINT64,
        FieldType.BOOL,
        FieldType.ENUM,
    }
)

FIXED = {
    FieldType.DOUBLE: "d",
    FieldType.FLOAT: "f",
    FieldType.FIXED32: "I",
    FieldType.FIXED64: "Q",
    FieldType.SFIXED32: "i",
    FieldType.SFIXED64: "q",
}
"""Type -> code of the struct module."""


def wire_type_of(field: FieldDescriptor) -> int:
    """The wire type of one value of a field."""
    if field.type in VARINT_TYPES:
        return 0
    if field.type in FIXED:
        return 1 if FIXED[field.type] in "dQq" else 5
    return 3 if field.is_delimited else 2


@dataclass(frozen=True, slots=True)
class ShapedField:
    """A field as a codec with certain options sees it."""

    descriptor: FieldDescriptor
    key: str
    """Its name in dicts."""
    tag: int
    """The tag it is written with."""
    oneof: int
    """The index of its oneof among those of the message, or -1."""
    is_null_value: bool
    """google.protobuf.NullValue, which is null in JSON."""
    takes_null: bool
    """Whether null is a value of the field and not its absence."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A message as a codec with certain options sees it."""

    descriptor: MessageDescriptor
    fields: Sequence[ShapedField]
    """By number, extensions included."""
    aliases: dict[str, str]
    """Every name that is accepted for a field -> its key."""
    template: dict[str, object]
    """Key -> what is shown when the field is not set, in order of declaration; lists and maps as None."""


def shape_of(descriptor: MessageDescriptor, registry: Registry, options: Options) -> Shape:
    """The shape of a message, with the extensions that are known now."""
    keys = _keys(descriptor, options)
    aliases: dict[str, str] = {}
    oneofs = {id(oneof): index for index, oneof in enumerate(descriptor.oneofs)}
    fields: list[ShapedField] = []
    for field in (*descriptor.fields, *registry.extensions_of(descriptor.full_name)):
        key = f"[{field.full_name}]" if field.is_extension else keys[field.name]
        fields.append(_shaped(field, key, oneofs, options))
    for field in descriptor.fields:
        aliases.setdefault(field.json_name, keys[field.name])
        aliases.setdefault(field.name, keys[field.name])
    aliases.update((field.key, field.key) for field in fields)
    template: dict[str, object] = {}
    if options.emit_defaults:
        for shaped in fields:
            field = shaped.descriptor
            if not field.is_extension and field.containing_oneof is None and not field.is_synthetic_oneof:
                template[shaped.key] = None
    fields.sort(key=lambda shaped: shaped.descriptor.number)
    return Shape(descriptor, fields, aliases, template)


def _keys(descriptor: MessageDescriptor, options: Options) -> dict[str, str]:
    """Field name -> key. Where two JSON names are the same (proto2 allows it), the later field keeps its own name."""
    if options.field_names == "original":
        return {field.name: field.name for field in descriptor.fields}
    keys: dict[str, str] = {}
    taken: set[str] = set()
    for field in descriptor.fields:
        key = next(name for name in (field.json_name, field.name, f"{field.name}#{field.number}") if name not in taken)
        taken.add(key)
        keys[field.name] = key
    return keys


def shown_elements(fields: Sequence[ShapedField], options: Options) -> int:
    """As how many elements a message counts for what it shows when nothing is set.

    An empty list or map takes about as much memory as an element does, the place of a scalar a quarter of that.
    """
    if not options.emit_defaults:
        return 0
    shown = [field.descriptor for field in fields if field.oneof < 0 and not field.descriptor.is_extension]
    containers = sum(descriptor.is_repeated for descriptor in shown)
    return containers + (len(shown) - containers + 3) // 4


def is_null_value(field: FieldDescriptor, options: Options) -> bool:
    """Whether a field is a google.protobuf.NullValue, which is null in JSON."""
    enum = field.enum_type
    return options.well_known_types and enum is not None and enum.full_name == "google.protobuf.NullValue"


def _shaped(field: FieldDescriptor, key: str, oneofs: dict[int, int], options: Options) -> ShapedField:
    is_null = is_null_value(field, options)
    is_value = (
        options.well_known_types
        and field.message_type is not None
        and field.message_type.full_name == "google.protobuf.Value"
    )
    wire_type = 2 if field.is_packed or field.is_map else wire_type_of(field)
    return ShapedField(
        descriptor=field,
        key=key,
        tag=field.number << 3 | wire_type,
        oneof=oneofs[id(field.containing_oneof)] if field.containing_oneof is not None else -1,
        is_null_value=is_null,
        takes_null=(is_null or is_value) and not field.is_repeated,
    )
