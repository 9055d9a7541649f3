"""Dicts to bytes and back, through the whole codec."""

from __future__ import annotations

from google.protobuf import descriptor_pb2

from puregrpc.codec import Codec
from puregrpc.schema import Registry

FIELD = descriptor_pb2.FieldDescriptorProto


def test_defaults_are_shown_and_unset_messages_are_null() -> None:
    file = descriptor_pb2.FileDescriptorProto(name="a.proto", package="a", syntax="proto3")
    message = file.message_type.add(name="M")
    message.field.add(name="snake_name", number=1, type=FIELD.TYPE_INT64, label=FIELD.LABEL_OPTIONAL)
    message.field.add(name="sub", number=2, type=FIELD.TYPE_MESSAGE, type_name=".a.M", label=FIELD.LABEL_OPTIONAL)
    registry = Registry()
    registry.add_file_descriptor_proto(file)
    codec = Codec(registry)
    descriptor = registry.message("a.M")
    assert codec.default(descriptor) == {"snakeName": "0", "sub": None}
    data = codec.encode(descriptor, {"snake_name": 5, "sub": {"snakeName": "7"}})
    assert data == b"\x08\x05\x12\x02\x08\x07"
    assert codec.decode(descriptor, data) == {"snakeName": "5", "sub": {"snakeName": "7", "sub": None}}
