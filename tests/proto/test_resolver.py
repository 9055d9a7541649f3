"""Where sources are found: memory, folders, a resolver of one's own, and the protos that are always there."""

from __future__ import annotations

from pathlib import Path

import pytest

from puregrpc import proto
from puregrpc.errors import CompileError
from puregrpc.proto.find.folders import FolderResolver
from puregrpc.proto.find.resolver import BuiltinResolver, ChainResolver, MemoryResolver


def source(message: str) -> str:
    return f'syntax = "proto3"; message {message} {{}}'


def test_the_first_folder_wins(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder / "x").mkdir(parents=True)
        (tmp_path / folder / "x" / "m.proto").write_text(source(folder.upper()))
    (file,) = proto.compile(["x/m.proto"], import_paths=[tmp_path / "none", tmp_path / "b", str(tmp_path / "a")])
    assert [message.name for message in file.messages] == ["B"]


def test_sources_come_before_folders(tmp_path: Path) -> None:
    (tmp_path / "m.proto").write_text(source("Disk"))
    (file,) = proto.compile(["m.proto"], sources={"m.proto": source("Memory").encode()}, import_paths=[tmp_path])
    assert file.messages[0].name == "Memory"


def test_a_resolver_of_ones_own() -> None:
    class Network:
        def find(self, path: str) -> bytes | None:
            return source("Found").encode() if path.startswith("net/") else None

    main = 'syntax = "proto3"; import "net/x.proto"; message M { Found f = 1; }'
    (file,) = proto.compile(["m.proto"], sources={"m.proto": main}, resolver=Network())
    assert [dependency.name for dependency in file.dependencies] == ["net/x.proto"]


def test_builtin_protos() -> None:
    builtin = BuiltinResolver()
    for path in (
        "google/protobuf/descriptor.proto",
        "google/protobuf/compiler/plugin.proto",
        "google/rpc/error_details.proto",
        "google/api/annotations.proto",
        "google/type/money.proto",
    ):
        assert builtin.find(path)
    for path in (
        "google/nope.proto",
        "google/../x.proto",
        "other/x.proto",
        "google/protobuf/",
        "google",
        "google/x/y/z",
    ):
        assert builtin.find(path) is None


def test_a_chain_asks_in_order() -> None:
    chain = ChainResolver([MemoryResolver({"a": "1"}), MemoryResolver({"a": "2", "b": b"3"})])
    assert (chain.find("a"), chain.find("b"), chain.find("c")) == (b"1", b"3", None)


def test_folders_skip_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "m.proto").mkdir()
    folders = FolderResolver([tmp_path])
    assert folders.find("m.proto") is None
    assert folders.find("bad\0name") is None
    assert folders.locate("m.proto") is None


def test_a_missing_file_is_named() -> None:
    with pytest.raises(CompileError) as caught:
        proto.compile(["a.proto"], sources={"a.proto": 'syntax = "proto3";\nimport "b.proto";'})
    assert caught.value.diagnostics == (
        "b.proto: File not found.",
        'a.proto:2:1: Import "b.proto" was not found or had errors.',
    )


def test_a_missing_file_is_told_with_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(CompileError) as caught:
        proto.compile(["a.proto"], import_paths=[tmp_path, tmp_path / "gone", ""])
    assert caught.value.diagnostics == (
        f'a.proto: File not found. (looked in "{tmp_path}", "{tmp_path}/gone", "."; "{tmp_path}/gone" is no folder)',
    )


def test_long_chains_of_imports_are_no_recursion() -> None:
    sources = {f"f{index}.proto": f'syntax = "proto3"; import "f{index + 1}.proto";' for index in range(3000)}
    sources["f3000.proto"] = 'syntax = "proto3";'
    (file,) = proto.compile(["f0.proto"], sources=sources)
    assert file.dependencies[0].name == "f1.proto"


def test_comments_by_full_name() -> None:
    text = """
        syntax = "proto3"; package p;
        // About M.
        message M {
          // About a é.
          int32 a = 1;
          // About E.
          enum E {
            /* zero */
            Z = 0;
          }
        }
        // About S.
        service S {
          /* call */
          rpc R(M) returns (M);
        }"""
    (file,) = proto.compile(["m.proto"], sources={"m.proto": text})
    assert file.source is not None
    assert dict(file.source.comments()) == {
        "p.M": " About M.\n",
        "p.M.a": " About a é.\n",
        "p.M.E": " About E.\n",
        "p.M.Z": " zero ",
        "p.S": " About S.\n",
        "p.S.R": " call ",
    }
