"""Interpreted options, serialized."""

from __future__ import annotations

from puregrpc.proto.descriptors import FieldDescriptor, FieldType
from puregrpc.proto.options.values import OptionMessage, Scalar, Value
from puregrpc.proto.wire_values import PACKABLE, WIRE_TYPES, encode_scalar, length_delimited, tag, varint

__all__ = ["serialize_field", "serialize_options"]


def serialize_options(message: OptionMessage) -> bytes:
    """The wire form, fields in the order of their numbers."""
    fields = message.fields
    if len(fields) > 1:
        return b"".join([_field(key, fields[key]) for key in sorted(fields, key=_number)])
    return b"".join([_field(key, value) for key, value in fields.items()])


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
        return b"".join([serialize_field(descriptor, item) for item in items])
    if not descriptor.has_presence and not isinstance(value, OptionMessage) and not value and str(value) != "-0.0":
        return b""  # a field without presence is not written when it has its default
    return serialize_field(descriptor, value)


def serialize_field(descriptor: FieldDescriptor, value: Scalar | OptionMessage) -> bytes:
    """A field with one value, its default too."""
    number = descriptor.number
    if isinstance(value, OptionMessage):
        if value.type.is_message_set:
            body = _message_set(value)
        else:
            body = serialize_options(value)
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
                tag(1, 3) + tag(2, 0) + varint(key.number) + length_delimited(3, serialize_options(value)) + tag(1, 4)
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
