"""What compilations share with each other, and what they leave as they found it."""

from __future__ import annotations

import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from puregrpc import proto
from puregrpc.errors import CompileError
from puregrpc.proto import collecting
from puregrpc.proto.descriptors import FileDescriptor, MessageDescriptor
from puregrpc.proto.find.resolver import BuiltinResolver
from tests.proto.peer import INCLUDE, our_verdict, protoc_verdict, write_sources

DESCRIPTOR_PROTO = "google/protobuf/descriptor.proto"
EXTENDING = 'syntax = "proto3"; import "google/protobuf/descriptor.proto"; '
OPTION = (
    EXTENDING + "extend google.protobuf.FieldOptions { string note = 50000; } message M { int32 a = 1 [(note) = 'x']; }"
)


def _descriptor_proto_of(file: FileDescriptor) -> FileDescriptor:
    [descriptor_proto] = file.dependencies
    return descriptor_proto


def test_descriptor_proto_is_compiled_once_for_all() -> None:
    first, second = (proto.compile([name], sources={name: OPTION})[0] for name in ("a.proto", "b.proto"))
    assert _descriptor_proto_of(first) is _descriptor_proto_of(second)
    assert first.to_proto().message_type[0].field[0].options.SerializeToString().endswith(b"x")


def test_another_descriptor_proto_is_its_own() -> None:
    text = BuiltinResolver().find(DESCRIPTOR_PROTO)
    assert text is not None
    [shared] = proto.compile(["a.proto"], sources={"a.proto": OPTION})
    [other] = proto.compile(["a.proto"], sources={"a.proto": OPTION, DESCRIPTOR_PROTO: text + b"// changed\n"})
    assert _descriptor_proto_of(other) is not _descriptor_proto_of(shared)
    assert other.to_proto() == shared.to_proto()


@pytest.mark.parametrize(
    "taking",
    [
        'syntax = "proto2"; package google.protobuf; message FieldOptions {}',
        'syntax = "proto2"; package google; message protobuf {}',
        'syntax = "proto2"; message google {}',
    ],
)
def test_names_of_descriptor_proto_that_are_taken(taking: str, tmp_path: Path) -> None:
    """Who takes the names of descriptor.proto before it is imported hears what protoc says of that."""
    sources = {"a.proto": taking.encode(), "b.proto": ('syntax = "proto2"; import "a.proto"; ' + OPTION[19:]).encode()}
    write_sources(tmp_path / "sources", sources)
    roots = [tmp_path / "sources", INCLUDE]
    ours = our_verdict(roots, "b.proto")
    assert ours.errors
    assert bool(protoc_verdict(roots, "b.proto", tmp_path).errors) == bool(ours.errors)


def test_threads_share_it_too() -> None:
    def compiled(number: int) -> FileDescriptor:
        name = f"{number}.proto"
        return proto.compile([name], sources={name: OPTION})[0]

    with ThreadPoolExecutor(8) as threads:
        files = list(threads.map(compiled, range(40)))
    assert all(file.to_proto().message_type[0].name == "M" for file in files)
    assert gc.isenabled()


def test_the_garbage_collector_is_enabled_again_whichever_thread_leaves_last() -> None:
    def come_and_go(_number: int) -> None:
        for _ in range(300):
            with collecting.without_garbage_collection():
                pass

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(5):
            with ThreadPoolExecutor(8) as threads:
                list(threads.map(come_and_go, range(8)))
            assert gc.isenabled()
    finally:
        sys.setswitchinterval(before)
        gc.enable()
    with collecting.without_garbage_collection():
        with collecting.without_garbage_collection():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_the_garbage_collector_is_left_as_it_was() -> None:
    before = gc.get_freeze_count()
    proto.compile(["a.proto"], sources={"a.proto": OPTION})
    assert (gc.isenabled(), gc.get_freeze_count()) == (True, before)
    gc.disable()
    try:
        proto.compile(["a.proto"], sources={"a.proto": OPTION})
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_is_dropped_does_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loads whose results nobody keeps: their descriptors, which refer to each other, are found some time."""
    monkeypatch.setattr(collecting, "MAX_UNSEEN", 2_000)
    source = 'syntax = "proto3";' + "".join(f"message M{index} {{ M{index} m = 1; }}" for index in range(200))
    gc.collect()
    before = _count_descriptors()
    for _ in range(50):
        proto.compile(["a.proto"], sources={"a.proto": source})
    assert _count_descriptors() - before < 50 * 200 / 3


def _count_descriptors() -> int:
    # Not isinstance(): it looks through weak proxies, which protobuf's pure backend leaves behind.
    return sum(type(found) is MessageDescriptor for found in gc.get_objects())


def test_what_others_have_frozen_stays_frozen() -> None:
    was_frozen = gc.get_freeze_count() > 0
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with pytest.raises(CompileError):
            proto.compile(["a.proto"], sources={"a.proto": "message"})
        assert frozen * 0.9 < gc.get_freeze_count() <= frozen
        assert gc.isenabled()
    finally:
        if not was_frozen:
            gc.unfreeze()
