"""Where files come from: sources, protosets, and a peer that describes itself."""

from __future__ import annotations

import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from types import FrameType
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


class Chain(Peer):
    """A peer whose files import one another, one after the other, without end or up to ``last``."""

    def __init__(self, last: int, *, padding: int = 0) -> None:
        super().__init__([])
        self.last = last
        self.padding = padding
        self.now = 0.0
        self.seconds_for_each = 0.0

    def file(self, number: int) -> list[bytes]:
        self.now += self.seconds_for_each
        made = descriptor_pb2.FileDescriptorProto(name=f"{number}.proto", package=f"p{number}", syntax="proto3")
        if number < self.last:
            made.dependency.append(f"{number + 1}.proto")
        if self.padding:
            made.source_code_info.location.add(leading_comments="x" * self.padding)
        return [made.SerializeToString()]

    async def file_containing_symbol(self, symbol: str) -> list[bytes]:
        return self.file(0)

    async def file_by_filename(self, name: str) -> list[bytes]:
        return self.file(int(name.removesuffix(".proto")))


def lines_of(chain: Chain) -> int:
    count = 0

    def line(_frame: FrameType, event: str, _: object) -> object:
        nonlocal count
        count += event == "line"
        return line

    before = sys.gettrace()
    sys.settrace(line)  # type: ignore[arg-type]
    try:
        run(load_symbols(Registry(), chain, ["p0.S"]))
    finally:
        sys.settrace(before)
    return count


def test_chains_of_imports_cost_what_their_files_cost() -> None:
    lines_of(Chain(10))
    assert lines_of(Chain(800)) <= lines_of(Chain(200)) * 4**1.2
    begin = time.process_time()
    assert len(run(load_symbols(Registry(), Chain(4_000), ["p0.S"]))) == 4_001
    assert time.process_time() - begin < 5


@pytest.mark.parametrize(
    ("chain", "seconds_for_each", "problem"),
    [
        (Chain(10**9), 0.0, r"more than 20000 (files|others)"),
        (Chain(10**9, padding=1 << 22), 0.0, r"with more than 268435456 bytes"),
        (Chain(10**9), 0.1, r"had not described all its files after 60 seconds"),
    ],
    ids=["files", "bytes", "seconds"],
)
def test_chains_without_end_have_one(chain: Chain, seconds_for_each: float, problem: str) -> None:
    chain.seconds_for_each = seconds_for_each
    registry = Registry()
    begin = time.process_time()
    with pytest.raises(SchemaError, match=problem):
        run(load_symbols(registry, chain, ["p0.S"], clock=lambda: chain.now))
    assert time.process_time() - begin < 20
    assert not registry.files


def test_a_file_that_imports_too_many_is_not_asked_about() -> None:
    class Wide(Peer):
        async def file_containing_symbol(self, symbol: str) -> list[bytes]:
            made = descriptor_pb2.FileDescriptorProto(name="wide.proto", dependency=map(str, range(30_000)))
            return [made.SerializeToString()]

    peer = Wide([])
    with pytest.raises(SchemaError, match=r"import more than 20000 others"):
        run(load_symbols(Registry(), peer, ["p.S"]))
    assert not peer.asked


def test_many_extensions_of_many_ranges() -> None:
    file = descriptor_pb2.FileDescriptorProto(name="x.proto", syntax="proto2")
    message = file.message_type.add(name="M")
    for number in range(100_000, 105_000):
        message.extension_range.add(start=number, end=number + 1)
        file.extension.add(name=f"x{number}", number=number, label=1, type=FIELD.TYPE_INT32, extendee=".M")
    begin = time.process_time()
    Registry().add_file_descriptor_proto(file)
    assert time.process_time() - begin < 5
