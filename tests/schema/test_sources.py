"""Where files come from: sources, protosets, and a peer that describes itself."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from google.protobuf import descriptor_pb2

from puregrpc.codec import Codec
from puregrpc.errors import CompileError, SchemaError
from puregrpc.schema import Registry, load_files, load_protoset, load_symbols

T = TypeVar("T")
FIELD = descriptor_pb2.FieldDescriptorProto


def run(awaitable: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits."""
    with pytest.raises(StopIteration) as stop:
        awaitable.send(None)
    result: T = stop.value.value
    return result


class Peer:
    """Answers from a dict, as a reflection server would."""

    def __init__(self, files: list[descriptor_pb2.FileDescriptorProto]) -> None:
        self.files = {file.name: file for file in files}
        self.asked: list[str] = []

    async def file_containing_symbol(self, symbol: str) -> list[bytes]:
        for file in self.files.values():
            names = [*(each.name for each in file.message_type), *(each.name for each in file.service)]
            if symbol in [f"{file.package}.{name}" for name in names]:
                return [file.SerializeToString()]
        raise SchemaError(f"unknown symbol {symbol}")

    async def file_by_filename(self, name: str) -> list[bytes]:
        self.asked.append(name)
        if name not in self.files:
            raise SchemaError(f"unknown file {name}")
        return [self.files[name].SerializeToString()]


def two_files() -> list[descriptor_pb2.FileDescriptorProto]:
    base = descriptor_pb2.FileDescriptorProto(name="base.proto", package="base", syntax="proto3")
    base.message_type.add(name="Thing").field.add(name="x", number=1, type=FIELD.TYPE_INT32, label=1)
    user = descriptor_pb2.FileDescriptorProto(name="user.proto", package="user", syntax="proto3")
    user.dependency.extend(["base.proto", "google/protobuf/empty.proto", "lost.proto"])
    service = user.service.add(name="S")
    service.method.add(name="Do", input_type=".base.Thing", output_type=".google.protobuf.Empty")
    return [base, user]


def test_a_peer_is_asked_for_what_is_imported() -> None:
    peer = Peer(two_files())
    registry = Registry()
    run(load_symbols(registry, peer, ["user.S"]))
    assert sorted(peer.asked) == ["base.proto", "google/protobuf/empty.proto", "lost.proto"]
    method = registry.method("user.S/Do")
    assert Codec(registry).encode(method.input_type, {"x": 5}) == b"\x08\x05"
    assert Codec(registry).default(method.output_type) == {}


def test_a_peer_that_gives_two_files_of_one_name_is_refused() -> None:
    class Liar(Peer):
        async def file_by_filename(self, name: str) -> list[bytes]:
            other = descriptor_pb2.FileDescriptorProto(name="user.proto", package="other")
            return [other.SerializeToString()]

    with pytest.raises(SchemaError, match=r"two different files"):
        run(load_symbols(Registry(), Liar(two_files()), ["user.S"]))


def test_a_peer_that_gives_something_else_is_refused() -> None:
    class Confused(Peer):
        async def file_containing_symbol(self, symbol: str) -> list[bytes]:
            return [b"\xff\xff\xff"]

    with pytest.raises(SchemaError, match=r"not a FileDescriptorProto"):
        run(load_symbols(Registry(), Confused([]), ["user.S"]))


def test_sources_compile_into_a_registry(tmp_path: Path) -> None:
    (tmp_path / "a.proto").write_text('syntax = "proto3"; package a; import "b.proto"; message A { b.B b = 1; }')
    (tmp_path / "b.proto").write_text('syntax = "proto3"; package b; message B { int32 x = 1; }')
    registry = Registry()
    (file,) = load_files(registry, [tmp_path], "a.proto")
    assert file is registry.files["a.proto"]
    assert [again.name for again in load_files(registry, [tmp_path], "a.proto", "b.proto")] == ["a.proto", "b.proto"]
    codec = Codec(registry)
    assert codec.encode(registry.message("a.A"), {"b": {"x": 1}}) == b"\x0a\x02\x08\x01"
    with pytest.raises(CompileError):
        load_files(registry, [tmp_path], "c.proto")


def test_protosets(tmp_path: Path) -> None:
    good = tmp_path / "good.protoset"
    good.write_bytes(descriptor_pb2.FileDescriptorSet(file=two_files()).SerializeToString())
    registry = Registry()
    assert [file.name for file in load_protoset(registry, good)][:2] == ["base.proto", "user.proto"]
    with pytest.raises(SchemaError, match=r"couldn't open protoset: .*nowhere"):
        load_protoset(registry, tmp_path / "nowhere")
    (tmp_path / "text").write_text("syntax")
    with pytest.raises(SchemaError, match=r"couldn't unmarshal protoset file .*text"):
        load_protoset(registry, tmp_path / "text")


def test_compiled_and_serialized_files_mean_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.proto").write_text(
        """
        syntax = "proto2"; package a;
        message A {
          optional int32 x = 1 [default = 5]; repeated int32 y = 2 [packed = true];
          optional group G = 3 { required string z = 1; }
          map<string, A> m = 4; oneof o { string s = 5; bytes b = 6; }
          extensions 100 to 200;
        }
        enum E { ONE = 1; }
        extend A { optional E e = 100 [default = ONE]; }
        service S { rpc Do(A) returns (stream A); }
        """
    )
    compiled = Registry()
    (file,) = load_files(compiled, [tmp_path], "a.proto")
    from_descriptor = Registry()
    from_descriptor.add_file_descriptor_proto(file.to_proto())
    compiled.add_file(from_descriptor.files["a.proto"])  # the same file twice: no clash, as nothing differs
