"""load and load_protoset: what they return, where they look, what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from puregrpc import Client
from puregrpc.errors import CompileError, InvalidArgument, SchemaError
from tests.client.lab import DEFINITIONS, REGISTRY, protoset

MULTI = ["/multi.v1.Zeta/Last", "/multi.v1.Zeta/First", "/multi.v1.Alpha/One", "/common.Imported/Do"]


def paths(infos: list[Any]) -> list[str]:
    return [info.full_method for info in infos]


def test_what_load_returns() -> None:
    client = Client()
    found = client.load([DEFINITIONS], "nopackage.proto")
    assert found == [
        {
            "package": "",
            "service": "NoPackage",
            "full_method": "/NoPackage/Do",
            "name": "Do",
            "is_client_stream": False,
            "is_server_stream": False,
        }
    ]
    assert (found[0].full_method, found[0]["name"]) == ("/NoPackage/Do", "Do")
    assert paths(client.load([DEFINITIONS], "multi.proto")) == MULTI
    assert (found[0].package, client.load([DEFINITIONS], "multi.proto")[1].is_server_stream) == ("", True)
    assert len(client.load([DEFINITIONS], "lab.proto", "nopackage.proto", "lab.proto")) == 28
    assert client.load([DEFINITIONS], "common/types.proto")[0].package == "common"
    assert client.load() == client.load([DEFINITIONS]) == []
    assert len(client.load(None, "google/protobuf/api.proto", "google/rpc/status.proto")) == 0


def test_where_load_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DEFINITIONS.parent)
    for arguments in [
        ([DEFINITIONS], "multi.proto"),
        ([str(DEFINITIONS)], "multi.proto"),
        ([f"file://{DEFINITIONS}"], "multi.proto"),
        (["definitions"], "multi.proto"),
        (["nowhere", "definitions"], "./multi.proto"),
        ([], "definitions/../definitions/multi.proto"),
        ([], DEFINITIONS / "multi.proto"),
        ([DEFINITIONS], DEFINITIONS / "multi.proto"),
        ([DEFINITIONS / "common"], "../multi.proto"),
    ]:
        assert paths(Client().load(*arguments)) == MULTI  # type: ignore[arg-type]  # a list of mixed arguments
    assert paths(Client().load(None, "definitions/nopackage.proto")) == ["/NoPackage/Do"]


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        (([DEFINITIONS], "nope.proto"), CompileError, "nope.proto"),
        (([], "./does_not_exist.proto"), CompileError, "does_not_exist.proto"),
        (([DEFINITIONS / "nodir"], "lab.proto"), CompileError, "lab.proto"),
        (([DEFINITIONS], "broken/syntax.proto"), CompileError, "broken/syntax.proto:2"),
        (([DEFINITIONS], "broken/import.proto"), CompileError, "not/there.proto"),
        (([DEFINITIONS], "broken/type.proto"), CompileError, "Nowhere"),
        (([DEFINITIONS.parent], "definitions"), CompileError, "definitions"),
        (([DEFINITIONS.parent], "lab.py"), CompileError, "lab.py:1"),
        (([DEFINITIONS], None), InvalidArgument, "a .proto file is named by its path, not None"),
        (([DEFINITIONS], 5), InvalidArgument, "a .proto file is named by its path, not 5"),
        (([DEFINITIONS], ["lab.proto"]), InvalidArgument, "a .proto file is named by its path"),
        (([DEFINITIONS], ""), InvalidArgument, "a .proto file is named by its path, not ''"),
        (("definitions", "lab.proto"), InvalidArgument, "import paths are a list of folders"),
        ((5, "lab.proto"), InvalidArgument, "import paths are a list of folders"),
        (([5], "lab.proto"), InvalidArgument, "an import path is a folder's path, not 5"),
    ],
)
def test_what_cannot_be_loaded(arguments: tuple[Any, ...], kind: type[Exception], said: str) -> None:
    client = Client()
    with pytest.raises(kind) as caught:
        client.load(*arguments)
    assert said in str(caught.value)
    assert client.load([DEFINITIONS], "nopackage.proto")


def test_protosets(tmp_path: Path, lab: str) -> None:
    (tmp_path / "full").write_bytes(protoset("multi.proto", with_imports=True))
    (tmp_path / "alone").write_bytes(protoset("multi.proto", with_imports=False))
    (tmp_path / "lab").write_bytes(protoset("lab.proto", with_imports=False))
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text('syntax = "proto3";')
    assert sorted(paths(Client().load_protoset(tmp_path / "full"))) == sorted(MULTI)
    assert paths(Client().load_protoset(tmp_path / "alone")) == MULTI[:3]
    assert Client().loadProtoset(str(tmp_path / "empty")) == []
    with Client() as client:
        assert len(client.load_protoset(tmp_path / "lab")) == 27
        client.connect(lab, plaintext=True)
        assert client.invoke("lab.Bench/Echo", {"aString": "ps"}).message["aString"] == "ps"
    for path in ("nope", "text", ""):
        with pytest.raises(SchemaError) as caught:
            Client().load_protoset(tmp_path / path)
        assert str(tmp_path / path) in str(caught.value)
    with pytest.raises(InvalidArgument, match="a protoset is named by its path, not 1"):
        Client().load_protoset(1)  # type: ignore[arg-type]  # what this test is about


USES_MULTI = """
syntax = "proto3"; package later;
import "multi.proto"; import "common/types.proto";
service Later { rpc Call(common.Shared) returns (common.Shared); }
"""


def test_imports_may_be_what_was_loaded_before(tmp_path: Path, lab: str) -> None:
    shared = REGISTRY.files["common/types.proto"].messages[0].full_name
    (tmp_path / "later.proto").write_text(USES_MULTI.replace("common.Shared", shared))
    with pytest.raises(CompileError, match=r"multi\.proto: File not found"):
        Client().load([tmp_path], "later.proto")
    (tmp_path / "full").write_bytes(protoset("multi.proto", with_imports=True))
    client = Client()
    client.load_protoset(tmp_path / "full")
    assert "/later.Later/Call" in paths(client.load([tmp_path], "later.proto"))
    assert client.load([tmp_path], "later.proto") == client.load([tmp_path], "./later.proto")
    with pytest.raises(CompileError, match=r"multi\.proto: File not found"):
        client.load([tmp_path], "multi.proto")
    client = Client()
    client.load([DEFINITIONS], "multi.proto")
    assert len(client.load([tmp_path], "later.proto")) == len(MULTI) + 1
    (tmp_path / "relab.proto").write_text(
        'syntax = "proto3"; package relab; import "lab.proto"; service Again { rpc Do(lab.Order) returns (lab.Order); }'
    )
    with Client() as client:
        client.connect(lab, plaintext=True, reflect=True)
        assert "/relab.Again/Do" in paths(client.load([tmp_path], "relab.proto"))
        assert client.invoke("lab.Bench/Echo", {"aString": "ps"}).message["aString"] == "ps"


def test_where_a_file_was_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DEFINITIONS.parent)
    here = Path.cwd()
    monkeypatch.setattr("puregrpc.client.params.definitions.script_folder", lambda: None)
    for import_paths, hint in [
        (["definitions"], f'looked in "{here}/definitions"'),
        (["nodir"], f'looked in "{here}/nodir"; "{here}/nodir" is no folder'),
        (["nodir", "definitions", "x"], f'"{here}/x"; "{here}/nodir", "{here}/x" are no folders'),
        ([], f'looked in "{here}"'),
    ]:
        with pytest.raises(CompileError) as caught:
            Client().load(import_paths, "nope.proto")
        (line,) = caught.value.diagnostics
        assert line.startswith("nope.proto: File not found. (looked in ")
        assert line.endswith(f"{hint})")
    with pytest.raises(CompileError) as caught:
        Client().load([f"no{index}" for index in range(12)], "nope.proto")
    assert ' and 2 more; "' in str(caught.value)


def test_the_client_object() -> None:
    client = Client()
    for name in ("load", "loadProtoset", "connect", "invoke", "asyncInvoke", "healthCheck", "close"):
        assert callable(getattr(client, name))
    with pytest.raises(AttributeError):
        client.reflect  # type: ignore[attr-defined]  # noqa: B018 - what this test is about


def test_what_was_loaded_once_is_shared_until_a_file_changes(tmp_path: Path) -> None:
    source = 'syntax = "proto3"; package p; service S { rpc A(M) returns (M); } message M { string a = 1; }'
    (tmp_path / "shared.proto").write_text(source)

    def loaded() -> Client:
        client = Client()
        client.load([str(tmp_path)], "shared.proto")
        return client

    first, second = loaded(), loaded()
    assert first._core.schema is second._core.schema
    assert second.load([str(tmp_path)], "shared.proto") == first.load([str(tmp_path)], "shared.proto")
    (tmp_path / "more.proto").write_text('syntax = "proto3"; package q; message N { int32 n = 1; }')
    second.load([str(tmp_path)], "more.proto")
    assert second._core.registry.has_type("q.N")
    assert second._core.registry.has_type("p.M")
    assert not first._core.registry.has_type("q.N")
    third = loaded()
    assert third._core.own_registry() is not first._core.registry
    assert third._core.registry.has_type("p.M")
    (tmp_path / "shared.proto").write_text(source.replace("string a", "string a_new"))
    assert "a_new" in [field.name for field in loaded()._core.registry.message("p.M").fields]
