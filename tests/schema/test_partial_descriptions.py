"""Peers that cannot describe all of their files: what is not needed is done without, what is needed is named."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pb2, empty_pb2, timestamp_pb2
from tests.schema.test_sources import Peer, run

from puregrpc.codec import Codec
from puregrpc.errors import DecodeError, EncodeError, RpcError, SchemaError
from puregrpc.schema import Registry, load_symbols

File = descriptor_pb2.FileDescriptorProto
FIELD = descriptor_pb2.FieldDescriptorProto
GOLANG = "github.com/golang/protobuf/ptypes/empty/empty.proto"


def user(*imports: str, **types: str) -> File:
    """A service user.S whose method Do takes and gives user.M, with a field of each type."""
    file = File(name="user.proto", package="user", syntax="proto3", dependency=imports)
    message = file.message_type.add(name="M")
    message.field.add(name="x", number=1, type=FIELD.TYPE_INT32, label=1)
    for number, (name, type_name) in enumerate(types.items(), 2):
        message.field.add(name=name, number=number, type=FIELD.TYPE_MESSAGE, label=1, type_name=type_name)
    file.service.add(name="S").method.add(name="Do", input_type=".user.M", output_type=".user.M")
    return file


def other(*imports: str, syntax: str = "proto3") -> File:
    file = File(name="other.proto", package="other", syntax=syntax, dependency=imports)
    file.message_type.add(name="T").field.add(name="y", number=1, type=FIELD.TYPE_INT32, label=1)
    return file


def loaded(*files: File) -> Registry:
    registry = Registry()
    run(load_symbols(registry, Peer(list(files)), ["user.S"]))
    return registry


def extending() -> File:
    file = other()
    file.extension.add(name="e", number=5, type=FIELD.TYPE_INT32, label=1, extendee=".no.Where")
    return file


UNUSABLE = {
    "a placeholder of grpc-go's": (File(name="other.proto", syntax="<unknown:0>"), "unknown syntax '<unknown:0>'"),
    "an edition that is not known": (other(syntax="editions"), "edition 0 is not supported"),
    "an import in a circle": (other("user.proto"), "circle"),
    "a type that is nowhere": (extending(), "no.Where"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_file_that_cannot_be_used(case: str) -> None:
    file, reason = UNUSABLE[case]
    registry = loaded(user("other.proto", o=".other.T"), file)
    message = registry.method("user.S/Do").input_type
    codec = Codec(registry, emit_defaults=False)
    assert codec.decode(message, codec.encode(message, {"x": 5})) == {"x": 5}
    with pytest.raises(
        EncodeError, match=r"request\.o: the type other\.T is not in the schema: user\.proto imports"
    ) as e:
        codec.encode(message, {"o": {}})
    assert "other.proto" in str(e.value)
    assert reason in str(e.value)
    with pytest.raises(DecodeError, match=r"message\.o: the type other\.T is not in the schema: user\.proto imports"):
        codec.decode(message, b"\x12\x00")
    assert registry.message_class(message)(x=5).SerializeToString() == b"\x08\x05"


def test_an_import_that_is_not_there() -> None:
    with pytest.raises(
        EncodeError, match=r"user\.proto imports lost\.proto \(unknown file lost\.proto\), which could not"
    ):
        Codec(r := loaded(user("lost.proto", o=".lost.T"))).encode(r.message("user.M"), {"o": {}})


def test_a_file_under_another_name_is_found_by_its_types() -> None:
    registry = loaded(user("path/other.proto", o=".other.T"), other())
    message = registry.message("user.M")
    assert Codec(registry, emit_defaults=False).decode(message, b"\x12\x02\x08\x07") == {"o": {"y": 7}}


def test_a_peer_that_ends_the_call_in_place_of_an_answer() -> None:
    class Abrupt(Peer):
        async def file_containing_symbol(self, symbol: str) -> list[bytes]:
            if symbol != "user.S":
                raise RpcError(2, "no such symbol")
            return await super().file_containing_symbol(symbol)

    registry = Registry()
    run(load_symbols(registry, Abrupt([user("lost.proto", o=".lost.T", p=".lost.U")]), ["user.S"]))
    assert registry.method("user.S/Do").name == "Do"


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("imported", [GOLANG, "google/protobuf/empty.proto"])
def test_the_old_name_of_a_well_known_file(given: bool, imported: str) -> None:
    """golang/protobuf registered them under its own paths; other files import them by either."""
    old = File.FromString(empty_pb2.DESCRIPTOR.serialized_pb)
    old.name = GOLANG
    time = File.FromString(timestamp_pb2.DESCRIPTOR.serialized_pb)
    time.name = "github.com/golang/protobuf/ptypes/timestamp/timestamp.proto"
    file = user(imported, time.name, e=".google.protobuf.Empty", t=".google.protobuf.Timestamp")
    both = File(name="both.proto", package="both", dependency=["google/protobuf/empty.proto", "user.proto"])
    both.message_type.add(name="B").field.add(
        name="e", number=1, type=FIELD.TYPE_MESSAGE, label=1, type_name=".google.protobuf.Empty"
    )
    registry = loaded(file, *((old, time) if given else ()))
    registry.add_file_descriptor_protos([both])
    message = registry.message("user.M")
    codec = Codec(registry, emit_defaults=False)
    value = {"x": 1, "e": {}, "t": "1970-01-01T00:00:01Z"}
    data = codec.encode(message, value)
    assert codec.decode(message, data) == value
    assert codec.decode(registry.message("both.B"), b"\x0a\x00") == {"e": {}}
    assert registry.message_class(message).FromString(data).t.seconds == 1  # type: ignore[attr-defined] # made at run time


def test_the_file_that_is_asked_for_has_to_be_valid() -> None:
    broken = user("other.proto")
    broken.syntax = "<unknown:0>"
    with pytest.raises(SchemaError, match="unknown syntax"):
        loaded(broken, other())
