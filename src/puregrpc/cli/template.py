"""A message with something in every field: what a request looks like, to be filled in."""

from __future__ import annotations

from puregrpc.proto.descriptors import FieldDescriptor, FieldType, MessageDescriptor

__all__ = ["template"]

WELL_KNOWN: dict[str, object] = {
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


def template(descriptor: MessageDescriptor) -> object:
    """A message as a JSON value: lists and maps with one element, of each oneof the first field, no type in itself."""
    return _message(descriptor, ())


def _message(descriptor: MessageDescriptor, outer: tuple[str, ...]) -> object:
    if descriptor.full_name in WELL_KNOWN:
        return WELL_KNOWN[descriptor.full_name]
    if descriptor.full_name in outer:
        return {}
    inside = (*outer, descriptor.full_name)
    made: dict[str, object] = {}
    for field in descriptor.fields:
        oneof = field.containing_oneof
        if oneof is not None and oneof.fields[0] is not field:
            continue
        made[field.json_name] = _field(field, inside)
    return made


def _field(field: FieldDescriptor, inside: tuple[str, ...]) -> object:
    if field.is_map and field.message_type is not None:
        key, value = field.message_type.fields
        return {"true" if key.type == FieldType.BOOL else "" if key.type == FieldType.STRING else "0":
                _single(value, inside)}  # fmt: skip
    single = _single(field, inside)
    return [single] if field.is_repeated else single


def _single(field: FieldDescriptor, inside: tuple[str, ...]) -> object:
    if field.message_type is not None:
        return _message(field.message_type, inside)
    if field.enum_type is not None:
        values = field.enum_type.values
        return values[0].name if values else 0
    if field.type in (FieldType.STRING, FieldType.BYTES):
        return ""
    if field.type == FieldType.BOOL:
        return False
    return "0" if field.type in AS_TEXT else 0
