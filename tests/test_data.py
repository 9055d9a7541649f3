"""Files in folders and in zip files, and those that came with packages."""

from __future__ import annotations

import importlib
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from puregrpc import Client, protos
from puregrpc._data import is_file, is_folder, read, resource
from puregrpc.errors import CompileError, SchemaError
from puregrpc.proto import compile as compile_protos

HELLO = """syntax = "proto3"; package z; import "parts/part.proto";
message M { Part part = 1; } service S { rpc Get(M) returns (M); }"""
PART = 'syntax = "proto3"; package z; import "google/api/annotations.proto"; message Part { string s = 1; }'


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "app.pyz"
    with path.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")  # as zipapp makes them
        with zipfile.ZipFile(file, "w") as written:
            written.writestr("definitions/hello.proto", HELLO)
            written.writestr("definitions/parts/part.proto", PART)
            written.writestr("zipped_package/__init__.py", "")
            written.writestr("zipped_package/data/a.txt", "a")
            for name in ("zipped_namespace/", "zipped_namespace/part/"):  # zipapp writes folders, too
                written.writestr(name, "")
            written.writestr("zipped_namespace/part/b.txt", "b")
    return path


@pytest.fixture
def imported(archive: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(archive))
    importlib.invalidate_caches()
    yield archive
    for name in [name for name in sys.modules if name.startswith("zipped_")]:
        del sys.modules[name]


def test_a_file_in_a_folder_and_in_a_zip_file(tmp_path: Path, archive: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(200_000))
    assert read(f"{tmp_path}/large") == bytes(200_000)
    assert read(f"{archive}/definitions/hello.proto") == HELLO.encode()
    assert read(f"{archive}/./definitions//parts/../parts/part.proto") == PART.encode()
    assert is_file(f"{tmp_path}/large")
    assert is_file(f"{archive}/definitions/hello.proto")
    assert not is_file(f"{archive}/definitions")
    assert not is_file(f"{tmp_path}/large/inside")
    assert not is_file("a\0b")
    assert is_folder(str(tmp_path))
    assert is_folder(f"{archive}/definitions")
    assert not is_folder(f"{tmp_path}/large")
    for missing in (f"{tmp_path}/none", f"{tmp_path}/large/inside", f"{archive}/none", str(tmp_path)):
        with pytest.raises(OSError) as caught:  # noqa: PT011 - its file is looked at
            read(missing)
        assert caught.value.filename == missing


def test_resources_of_packages(imported: Path) -> None:
    assert resource("puregrpc.services", "protos/hello.proto").startswith(b"//")
    assert b"google.api" in resource("google.api", "http.proto")
    assert resource("zipped_package", "data/a.txt") == b"a"
    assert resource("zipped_namespace.part", "b.txt") == b"b"
    with pytest.raises(OSError, match=r"none\.txt"):
        resource("zipped_package", "data/none.txt")
    with pytest.raises(ImportError):
        resource("no_such_package", "a.txt")


def test_files_of_a_package_that_a_bundler_left_out(imported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("google.api", "zipped_package.data"):
        monkeypatch.setitem(sys.modules, package, None)  # what cannot be imported
    assert b"google.api" in resource("google.api", "http.proto")
    assert resource("zipped_package.data", "a.txt") == b"a"
    with pytest.raises(OSError, match=r"none\.txt"):
        resource("google.api", "none.txt")


def test_a_client_loads_definitions_from_a_zip_file(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a folder in it, by an absolute path, and beside the program if that is a zipapp."""
    folder = archive / "definitions"
    assert [info.full_method for info in Client().load([str(folder)], "hello.proto")] == ["/z.S/Get"]
    assert [info.full_method for info in Client().load([str(folder)], str(folder / "hello.proto"))] == ["/z.S/Get"]
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(archive / "__main__.py"), raising=False)
    assert [info.full_method for info in Client().load(["definitions"], "hello.proto")] == ["/z.S/Get"]
    with pytest.raises(CompileError) as caught:
        Client().load([str(folder)], "none.proto")
    assert "is no folder" not in str(caught.value)


def test_protosets_and_modules_from_a_zip_file(tmp_path: Path, archive: Path) -> None:
    [file] = compile_protos(["hello.proto"], import_paths=[archive / "definitions"])
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as written:
        written.writestr("lab.protoset", b"")
    assert Client().load_protoset(tmp_path / "set.zip" / "lab.protoset") == []
    with pytest.raises(SchemaError, match="none"):
        Client().load_protoset(tmp_path / "set.zip" / "none")
    assert file.services[0].full_name == "z.S"
    assert protos("hello.proto", import_paths=[archive / "definitions"]).M().part.s == ""
