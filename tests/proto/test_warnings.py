"""Warnings, as protoc has them: which, in which files, in which order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import protoc
import pytest

from puregrpc import proto
from puregrpc.proto.diagnostics import Diagnostic
from tests.proto.peer import write_sources

SOURCES: dict[str, str | bytes] = {
    "reserved.proto": (
        'syntax = "proto2"; package imp; message I { reserved "a-b", "ok", "9x"; optional int32 z = 1; }\n'
        'enum E { reserved "x y"; Z = 0; } option java_generic_services = true; service IS {}'
    ),
    "uses.proto": (
        'syntax = "proto2"; package m; import "reserved.proto"; option cc_generic_services = true;\n'
        'message M { reserved "a-b",\n  "caf\\303\\251", "\u00e9", ""; optional imp.I i = 1; '
        'message N { reserved "q!" "r"; } }\nservice S { rpc R(M) returns (M); }'
    ),
    "unused.proto": 'syntax = "proto3"; package a; import "reserved.proto"; option py_generic_services = true;',
    "off.proto": 'syntax = "proto2"; option cc_generic_services = false; service S {}',
    "2023.proto": 'edition = "2023"; option cc_generic_services = true; message M { reserved a, b; int32 n = 1; }',
    "undefined.proto": 'syntax = "proto2"; option py_generic_services = true; '
    'message M { reserved "a-b"; optional Nope n = 1; }',
    "semicolon.proto": 'syntax = "proto2"; message M { reserved "a-b"; optional int32 n = 1 } '
    'message N { reserved "-"; }',
    "lexical.proto": 'syntax = "proto2"; message M { reserved "a-b"; optional string s = 1 [default = "\\q"]; }',
    "aggregate.proto": (
        'syntax = "proto2"; import "google/protobuf/descriptor.proto"; '
        'message M { reserved "a-b"; optional string s = 1; }'
        'extend google.protobuf.FileOptions { optional M m = 50000; } option (m) = { s: "\\q" };'
    ),
    "missing.proto": 'syntax = "proto2"; import "reserved.proto"; import "nope.proto"; message M { reserved "a-b"; }',
    "json.proto": 'syntax = "proto2"; message A { optional int32 fooBar = 1; optional int32 foo_bar = 2; '
    'reserved "-"; }',
}


def said(command: list[str], folder: Path, *arguments: str) -> list[str]:
    result = subprocess.run(
        [*command, *arguments, "-oout.pb"], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    return [*result.stderr.splitlines(), str(result.returncode)]


def both(folder: Path, *arguments: str) -> tuple[list[str], list[str]]:
    ours = said([sys.executable, "-m", "puregrpc", "compile"], folder, *arguments)
    return ours, said([str(protoc.get_protoc_path())], folder, *arguments)


@pytest.mark.parametrize("name", SOURCES)
def test_warnings(name: str, tmp_path: Path) -> None:
    write_sources(tmp_path, SOURCES)
    ours, theirs = both(tmp_path, "-I.", name)
    assert ours == theirs


def test_warnings_of_several_files_and_of_sets(tmp_path: Path) -> None:
    write_sources(tmp_path, SOURCES)
    ours, theirs = both(tmp_path, "-I.", "--include_imports", "uses.proto", "2023.proto", "reserved.proto")
    assert ours == theirs
    assert [line.partition(":")[0] for line in ours if "Generic services" in line] == [
        "uses.proto", "2023.proto", "reserved.proto",
    ]  # fmt: skip
    (tmp_path / "out.pb").rename(tmp_path / "set.pb")
    ours, theirs = both(tmp_path, "--descriptor_set_in=set.pb", "uses.proto")
    assert ours == theirs
    assert len(ours) == 2


@pytest.mark.parametrize("path", ["none", "./none", "./none/", "none:no", "none:."])
def test_folders_that_are_not_there(path: str, tmp_path: Path) -> None:
    write_sources(tmp_path, SOURCES)
    ours, theirs = both(tmp_path, f"-I{path}", "-I.", "off.proto")
    assert ours == theirs
    assert "directory does not exist." in ours[0]


class Listener:
    def __init__(self) -> None:
        self.heard: list[Diagnostic] = []

    def report(self, diagnostic: Diagnostic) -> None:
        self.heard.append(diagnostic)


def test_a_reporter_hears_each_warning_once() -> None:
    listener = Listener()
    proto.compile(["uses.proto"], sources=SOURCES, reporter=listener)
    assert all(each.is_warning for each in listener.heard)
    assert [(each.file, each.line) for each in listener.heard] == [
        ("uses.proto", 2), ("uses.proto", 3), ("uses.proto", 3), ("uses.proto", 3), ("uses.proto", 3),
        ("reserved.proto", 1), ("reserved.proto", 1), ("reserved.proto", 2), ("uses.proto", 0),
    ]  # fmt: skip
    assert listener.heard[2].message == 'Reserved name "\u00e9" is not a valid identifier.'
    proto.compile(["uses.proto"], sources=SOURCES)  # with nobody to hear them
