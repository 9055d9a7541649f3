"""Interpreted options: messages as trees of fields and values, and their serialized form."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from puregrpc.proto.descriptors import FieldDescriptor, FieldType, MessageDescriptor
from puregrpc.proto.wire_values import PACKABLE, WIRE_TYPES, encode_scalar, length_delimited, tag, varint

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["OptionMessage", "Value"]


@dataclass(slots=True, eq=False)
class OptionMessage:
    """A message value: field -> value, or list of values for a repeated field.

    Scalars are int, float, bool, or str with one character per byte; enums are their numbers.
    """

    type: MessageDescriptor
    fields: dict[FieldDescriptor, Value] = field(default_factory=dict)

    def serialize(self) -> bytes:
        """The wire form, fields in the order of their numbers."""
        fields = self.fields
        if len(fields) > 1:
            return b"".join([_field(key, fields[key]) for key in sorted(fields, key=_number)])
        return b"".join([_field(key, value) for key, value in fields.items()])

    def get(self, name: str) -> Value | None:
        """The value of a field (not an extension) by its name."""
        for key, value in self.fields.items():
            if key.name == name and not key.is_extension:
                return value
        return None

    def messages(self) -> Iterator[OptionMessage]:
        """The messages directly inside."""
        for value in self.fields.values():
            if isinstance(value, OptionMessage):
                yield value
            elif isinstance(value, list):
                yield from (item for item in value if isinstance(item, OptionMessage))


Scalar = str | int | float | bool
Value = Scalar | OptionMessage | list[Scalar | OptionMessage]


def _number(descriptor: FieldDescriptor) -> int:
    return descriptor.number


def _field(descriptor: FieldDescriptor, value: Value) -> bytes:
    if isinstance(value, list):
        if descriptor.is_packed and descriptor.type in PACKABLE:
            if not value:
                return b""
            kind = descriptor.type
            return length_delimited(descriptor.number, b"".join([encode_scalar(kind, item) for item in value]))
        items = value
        if descriptor.is_map:
            items = list(map(_map_entry, value))
        return b"".join([_single(descriptor, item) for item in items])
    if not descriptor.has_presence and not isinstance(value, OptionMessage) and not value and str(value) != "-0.0":
        return b""  # a field without presence is not written when it has its default
    return _single(descriptor, value)


def _single(descriptor: FieldDescriptor, value: Scalar | OptionMessage) -> bytes:
    number = descriptor.number
    if isinstance(value, OptionMessage):
        if value.type.is_message_set:
            body = _message_set(value)
        else:
            body = value.serialize()
        if descriptor.is_delimited:
            return tag(number, 3) + body + tag(number, 4)
        return varint(number << 3 | 2) + varint(len(body)) + body
    kind = descriptor.type
    return varint(number << 3 | WIRE_TYPES[kind]) + encode_scalar(kind, value)


def _message_set(message: OptionMessage) -> bytes:
    """proto2's MessageSet: a group of (type id, message) for each extension."""
    items = []
    for key in sorted(message.fields, key=_number):
        value = message.fields[key]
        if isinstance(value, OptionMessage):
            items.append(
                tag(1, 3) + tag(2, 0) + varint(key.number) + length_delimited(3, value.serialize()) + tag(1, 4)
            )
    return b"".join(items)


DEFAULTS: dict[FieldType, Scalar] = {
    FieldType.STRING: "", FieldType.BYTES: "", FieldType.BOOL: False, FieldType.DOUBLE: 0.0, FieldType.FLOAT: 0.0,
}  # fmt: skip


def _map_entry(entry: Scalar | OptionMessage) -> Scalar | OptionMessage:
    """An entry with both its key and its value, which maps always write."""
    if not isinstance(entry, OptionMessage):
        return entry
    fields: dict[FieldDescriptor, Value] = {}
    for half in entry.type.fields:
        present = entry.fields.get(half)
        if present is None:
            present = OptionMessage(half.message_type) if half.message_type else DEFAULTS.get(half.type, 0)
        fields[half] = present
    return OptionMessage(entry.type, fields)
