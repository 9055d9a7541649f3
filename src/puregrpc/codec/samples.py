"""Messages with something in every field, made from a descriptor alone, as ProtoJSON has them.

`template` is one to fill in: every value is the empty one of its type. `example` is one to look at: every value tells
its field. Lists and maps have one element, of each oneof the first member is set. Both are bounded for every schema:
no type stands in itself, and beyond MAX_DEPTH or MAX_FIELDS messages are not filled any further.
"""

from __future__ import annotations

from base64 import b64encode

from puregrpc.proto.descriptors import EnumDescriptor, FieldDescriptor, FieldType, MessageDescriptor

__all__ = ["example", "is_well_known", "template"]

MAX_DEPTH = 16
"""How deep messages are nested: more than people write, and far less than codecs take (100)."""

MAX_FIELDS = 2_000
"""Types that contain each other in many ways have examples that double in size with each level."""

BLANK: dict[str, object] = {
    "google.protobuf.Any": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "0s"},
    "google.protobuf.Timestamp": "1970-01-01T00:00:00Z",
    "google.protobuf.Duration": "0s",
    "google.protobuf.FieldMask": "",
    "google.protobuf.Struct": {},
    "google.protobuf.Value": None,
    "google.protobuf.ListValue": [],
    "google.protobuf.Empty": {},
    "google.protobuf.DoubleValue": 0,
    "google.protobuf.FloatValue": 0,
    "google.protobuf.Int64Value": "0",
    "google.protobuf.UInt64Value": "0",
    "google.protobuf.Int32Value": 0,
    "google.protobuf.UInt32Value": 0,
    "google.protobuf.BoolValue": False,
    "google.protobuf.StringValue": "",
    "google.protobuf.BytesValue": "",
}
"""What ProtoJSON writes for an empty message of these types."""

AS_TEXT = {FieldType.INT64, FieldType.UINT64, FieldType.FIXED64, FieldType.SFIXED64, FieldType.SINT64}
"""64-bit integers are text in ProtoJSON."""


def is_well_known(descriptor: MessageDescriptor) -> bool:
    """Whether ProtoJSON has a form of its own for the type, so that its fields have no names there."""
    return descriptor.full_name in BLANK


def template(descriptor: MessageDescriptor) -> object:
    """A message to fill in, as a JSON value. A type in itself is an empty message."""
    return _Blank().whole(descriptor)


def example(descriptor: MessageDescriptor) -> object:
    """An example of a message, as a JSON value, the same each time.

    Text is the name of its field, numbers are 1, enums have their first value that is not zero. A type in itself is
    left out. An example of a google.protobuf.Any holds a google.protobuf.StringValue.
    """
    return _Example().whole(descriptor)


class _Cut:
    """In place of a message that is not filled."""


CUT = _Cut()


class _Blank:
    """Fills messages with the empty values of their types."""

    def __init__(self) -> None:
        self.fields_left = MAX_FIELDS

    def whole(self, descriptor: MessageDescriptor) -> object:
        """The outermost message."""
        made = self.message(descriptor, descriptor.name, ())
        return {} if made is CUT else made

    def cut(self) -> object:
        """What stands for a message that is not filled; CUT leaves its field out."""
        return {}

    def well_known(self, full_name: str, name: str) -> object:  # noqa: ARG002 - for those who fill with names
        """A message that ProtoJSON has a form of its own for."""
        return BLANK[full_name]

    def enum(self, descriptor: EnumDescriptor) -> object:
        """A value of an enum."""
        return descriptor.values[0].name if descriptor.values else 0

    def scalar(self, kind: FieldType, name: str) -> object:  # noqa: ARG002 - likewise
        """A value of a field that is neither message nor enum."""
        if kind in (FieldType.STRING, FieldType.BYTES):
            return ""
        if kind == FieldType.BOOL:
            return False
        return "0" if kind in AS_TEXT else 0

    def map_key(self, kind: FieldType) -> str:
        """The key of the only entry of a map."""
        return "true" if kind == FieldType.BOOL else "" if kind == FieldType.STRING else "0"

    def message(self, descriptor: MessageDescriptor, name: str, outer: tuple[str, ...]) -> object:
        """A message in the types ``outer``, in the field ``name``."""
        if is_well_known(descriptor):
            return self.well_known(descriptor.full_name, name)
        if descriptor.full_name in outer or len(outer) >= MAX_DEPTH or self.fields_left <= 0:
            return self.cut()
        inside = (*outer, descriptor.full_name)
        made: dict[str, object] = {}
        chosen: set[str] = set()
        self.fields_left -= len(descriptor.fields)
        for field in descriptor.fields:
            oneof = field.containing_oneof
            if oneof is not None and oneof.full_name in chosen:
                continue
            value = self.field(field, inside)
            if value is not CUT:
                made[field.json_name] = value
                if oneof is not None:
                    chosen.add(oneof.full_name)
            elif field.is_required:
                return self.cut()
        return made

    def field(self, field: FieldDescriptor, inside: tuple[str, ...]) -> object:
        """What is in a field: one value, or a list or map of one."""
        if field.is_map and field.message_type is not None:
            key, value = field.message_type.fields
            filled = self.single(value, field.name, inside)
            return CUT if filled is CUT else {self.map_key(key.type): filled}
        filled = self.single(field, field.name, inside)
        return [filled] if field.is_repeated and filled is not CUT else filled

    def single(self, field: FieldDescriptor, name: str, inside: tuple[str, ...]) -> object:
        """One value of a field's type."""
        if field.message_type is not None:
            return self.message(field.message_type, name, inside)
        if field.enum_type is not None:
            return self.enum(field.enum_type)
        return self.scalar(field.type, name)


class _Example(_Blank):
    """Fills messages with values that tell their fields."""

    def cut(self) -> object:
        return CUT

    def well_known(self, full_name: str, name: str) -> object:
        kind = full_name.removeprefix("google.protobuf.")
        made: dict[str, object] = {
            "Any": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": name},
            "Timestamp": "2001-02-03T04:05:06Z",
            "Duration": "1s",
            "FieldMask": "path",
            "Struct": {name: 1},
            "Value": name,
            "ListValue": [name],
            "Empty": {},
            "BoolValue": True,
            "StringValue": name,
            "BytesValue": _base64(name),
            "Int64Value": "1",
            "UInt64Value": "1",
        }
        return made.get(kind, 1)

    def enum(self, descriptor: EnumDescriptor) -> object:
        return next((value.name for value in descriptor.values if value.number), super().enum(descriptor))

    def scalar(self, kind: FieldType, name: str) -> object:
        if kind == FieldType.STRING:
            return name
        if kind == FieldType.BYTES:
            return _base64(name)
        if kind == FieldType.BOOL:
            return True
        return "1" if kind in AS_TEXT else 1

    def map_key(self, kind: FieldType) -> str:
        return "true" if kind == FieldType.BOOL else "key" if kind == FieldType.STRING else "1"


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()
