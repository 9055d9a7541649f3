"""The registry: files in, descriptors out, by name."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from puregrpc.codec import Codec
from puregrpc.errors import SchemaError
from puregrpc.proto import compile as compile_protos
from puregrpc.proto.descriptors import Edition, FieldType
from puregrpc.schema import Registry, load_files, message_classes

FIELD = descriptor_pb2.FieldDescriptorProto


def hello_file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="hello.proto", package="hello", syntax="proto3")
    request = file.message_type.add(name="HelloRequest")
    request.field.add(name="greeting", number=1, type=FIELD.TYPE_STRING, label=FIELD.LABEL_OPTIONAL)
    reply = file.message_type.add(name="HelloResponse")
    reply.field.add(name="reply_text", number=1, type=FIELD.TYPE_STRING, label=FIELD.LABEL_OPTIONAL)
    reply.field.add(
        name="sent",
        number=2,
        type=FIELD.TYPE_MESSAGE,
        type_name=".google.protobuf.Timestamp",
        label=FIELD.LABEL_REPEATED,
    )
    file.dependency.append("google/protobuf/timestamp.proto")
    service = file.service.add(name="HelloService")
    service.method.add(name="SayHello", input_type=".hello.HelloRequest", output_type=".hello.HelloResponse")
    return file


def set_of(*files: descriptor_pb2.FileDescriptorProto) -> bytes:
    return descriptor_pb2.FileDescriptorSet(file=files).SerializeToString()


def test_a_file_descriptor_set_is_found_by_name() -> None:
    registry = Registry()
    (file, timestamp) = registry.add_file_descriptor_set(set_of(hello_file()))
    assert file.edition is Edition.PROTO3
    assert file.dependencies == [timestamp]
    method = registry.method("/hello.HelloService/SayHello")
    assert method is registry.method("hello.HelloService/SayHello")
    assert method.path == "/hello.HelloService/SayHello"
    assert method.input_type is registry.message("hello.HelloRequest")
    text, sent = method.output_type.fields
    assert (text.json_name, text.type, text.default, text.has_presence) == ("replyText", FieldType.STRING, "", False)
    assert sent.is_repeated
    assert sent.message_type is registry.message("google.protobuf.Timestamp")
    assert [service.full_name for service in registry.services] == ["hello.HelloService"]


def test_the_same_file_twice_is_fine_and_a_different_one_is_not() -> None:
    registry = Registry()
    registry.add_file_descriptor_set(set_of(hello_file()))
    version = registry.version
    registry.add_file_descriptor_set(set_of(hello_file()))
    assert registry.version == version
    other = hello_file()
    other.message_type[0].field[0].number = 2
    with pytest.raises(SchemaError, match="a different file of this name"):
        registry.add_file_descriptor_set(set_of(other))


def test_names_that_are_not_there_are_answered_with_near_ones() -> None:
    registry = Registry()
    registry.add_file_descriptor_set(set_of(hello_file()))
    with pytest.raises(
        SchemaError, match=r"not found in file descriptors; did you mean /hello.HelloService/SayHello\?"
    ):
        registry.method("hello.Helloservice/sayhello")
    with pytest.raises(SchemaError, match=r"did you mean hello.HelloRequest\?"):
        registry.message("helo.HelloRequest")


def test_a_missing_import_is_tolerated() -> None:
    file = hello_file()
    file.dependency.append("common.proto")
    file.message_type[0].field.add(
        name="common", number=2, type=FIELD.TYPE_MESSAGE, type_name=".common.Thing", label=FIELD.LABEL_OPTIONAL
    )
    registry = Registry()
    registry.add_file_descriptor_set(set_of(file))
    assert registry.files["hello.proto"].missing_dependencies == ["common.proto"]
    common = registry.message("hello.HelloRequest").fields[1]
    assert common.message_type is not None
    assert (common.message_type.full_name, common.message_type.file) == ("common.Thing", None)


def test_message_classes_are_those_of_google_protobuf() -> None:
    registry = Registry()
    registry.add_file_descriptor_set(set_of(hello_file()))
    made = registry.message_class(registry.message("hello.HelloRequest"))
    assert made is registry.message_class(registry.message("hello.HelloRequest"))
    assert made(greeting="x").SerializeToString() == b"\x0a\x01x"


def test_the_descriptor_of_descriptors_loads() -> None:
    proto = descriptor_pb2.FileDescriptorProto()
    descriptor_pool.Default().FindFileByName("google/protobuf/descriptor.proto").CopyToProto(proto)
    registry = Registry()
    registry.add_file_descriptor_proto(proto)
    label = registry.message("google.protobuf.FieldDescriptorProto").fields[3]
    assert label.enum_type is not None
    assert (label.enum_type.is_closed, label.default) == (True, 1)


def test_a_type_that_is_named_need_not_be_said_to_be_a_message_or_an_enum() -> None:
    file = descriptor_pb2.FileDescriptorProto(name="m.proto", package="m", syntax="proto3")
    file.enum_type.add(name="E").value.add(name="ZERO", number=0)
    message = file.message_type.add(name="M")
    message.field.add(name="m", number=1, label=FIELD.LABEL_OPTIONAL, type_name=".m.M")
    message.field.add(name="e", number=2, label=FIELD.LABEL_REPEATED, type_name="E")
    message.field.add(name="d", number=3, label=FIELD.LABEL_OPTIONAL)
    registry = Registry()
    registry.add_file_descriptor_set(set_of(file))
    m, e, d = registry.message("m.M").fields
    assert (m.type, m.message_type) == (FieldType.MESSAGE, registry.message("m.M"))
    assert (e.type, e.enum_type, e.is_packed) == (FieldType.ENUM, registry.enum("m.E"), True)
    assert d.type == FieldType.DOUBLE  # as descriptor.proto has it
    theirs = registry.message_class(registry.message("m.M")).DESCRIPTOR.fields
    assert [each.type for each in theirs] == [int(each.type) for each in (m, e, d)]


def test_descriptors_are_shown_by_their_names() -> None:
    registry = Registry()
    load_files(registry, [], "google/protobuf/descriptor.proto")
    file = registry.files["google/protobuf/descriptor.proto"]
    message = next(message for message in file.messages if message.name == "FieldOptions")
    assert repr(file) == "<FileDescriptor google/protobuf/descriptor.proto>"
    assert repr(message) == "<MessageDescriptor google.protobuf.FieldOptions>"
    assert repr(message.fields[0]) == "<FieldDescriptor google.protobuf.FieldOptions.ctype>"
    assert repr(message.enum_types[0].values[0]) == "<EnumValueDescriptor STRING>"


def test_classes_of_an_edition_need_a_protobuf_that_knows_editions(monkeypatch: pytest.MonkeyPatch) -> None:
    source = 'edition = "2023"; package old; message M { string s = 1; } message Outer { M child = 1; }'
    [file] = compile_protos(["old_edition.proto"], sources={"old_edition.proto": source})
    registry = Registry()
    registry.add_file(file)
    monkeypatch.setattr(message_classes, "FIRST_WITH_EDITIONS", (99, 0))
    with pytest.raises(SchemaError, match=r"old_edition\.proto: google\.protobuf .* need protobuf 5\.27 or later"):
        registry.message_class(registry.message("old.Outer"))
    codec = Codec(registry)
    outer = registry.message("old.Outer")
    assert codec.decode(outer, codec.encode(outer, {"child": {"s": "x"}})) == {"child": {"s": "x"}}
