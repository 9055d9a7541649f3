"""Files that exist only as descriptors: imported, compiled again, and beside protoc's --descriptor_set_in."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path
from typing import Any

import protoc
import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from puregrpc import proto
from puregrpc.cli.compile import main
from puregrpc.errors import CompileError, SchemaError
from puregrpc.proto import DescriptorResolver
from puregrpc.proto.descriptors import FileDescriptor
from puregrpc.schema import Registry, protoset_resolver, registry_resolver
from puregrpc.schema.imports import imports_first
from tests.proto.peer import INCLUDE, write_sources
from tests.proto.sources import GOOD
from tests.proto.test_protoc import INSTALLED

COMMON = """
edition = "2023"; package common;
import "google/protobuf/descriptor.proto";
import "google/protobuf/timestamp.proto";
message Page {
  extensions 100 to 199 [declaration = { number: 100 full_name: ".use.note" type: "string" }];
  int32 size = 1 [default = -7];
  map<string, Page> by_name = 2;
  oneof kind { string a = 3; bytes b = 4 [default = "\\\\\\001\\377'"]; }
  google.protobuf.Timestamp at = 5 [features.message_encoding = DELIMITED];
  reserved 9, 20 to 29; reserved gone;
  repeated Level levels = 6 [features.repeated_field_encoding = EXPANDED];
}
enum Level { option features.enum_type = CLOSED; LOW = 1; HIGH = -2; }
message Rule { string text = 1; Level level = 2; repeated int32 numbers = 3; }
extend google.protobuf.FieldOptions {
  Rule rule = 50001 [targets = TARGET_TYPE_FIELD];
  string kept = 50002 [retention = RETENTION_SOURCE];
}
"""
OLD = """
syntax = "proto2"; package old;
message Old {
  required group G = 1 { optional float f = 1 [default = -inf]; optional float third = 2 [default = 0.333333333333]; }
  optional string s = 2 [default = "\xe9\\n"];
}
message Set { option message_set_wire_format = true; extensions 4 to max; }
service S { rpc R(Old) returns (stream Old) { option idempotency_level = IDEMPOTENT; } }
"""
USE = """
syntax = "proto2"; package use;
import "common.proto"; import public "old.proto";
message Use {
  optional common.Page page = 1 [(common.rule) = { text: "x" level: HIGH numbers: [1, 2] }];
  optional common.Level level = 2 [default = HIGH, (common.kept) = "source only"];
  optional old.Old.G g = 3;
}
extend common.Page { optional string note = 100; }
extend old.Set { optional Use in_set = 7; }
service Uses { rpc Get(old.Old) returns (common.Page); }
"""
BAD = (
    'import "common.proto"; message M { optional common.Nope a = 1; }',
    'import "common.proto"; message M { optional int32 a = 1 [(common.rule).level = MIDDLE]; }',
    'import "common.proto"; message M { option (common.rule).level = LOW; }',
    'import "common.proto"; extend common.Page { optional int32 note = 300; }',
    'import "common.proto"; package common; message Page {}',
    'import "common.proto"; message M { optional common.Page.ByNameEntry e = 1; }',
    'import "nope.proto"; import "old.proto"; message M { optional old.Old.s a = 1; }',
    'import "common.proto"; oneof',
)
SOURCES: dict[str, str | bytes] = {"common.proto": COMMON, "old.proto": OLD}


def protos(files: list[FileDescriptor]) -> list[descriptor_pb2.FileDescriptorProto]:
    return [file.to_proto(source_info=True) for file in imports_first(files, with_option_imports=True)]


def serialized(files: list[descriptor_pb2.FileDescriptorProto]) -> bytes:
    return descriptor_pb2.FileDescriptorSet(file=files).SerializeToString(deterministic=True)


@pytest.fixture(scope="module")
def protoset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sets") / "all.protoset"
    path.write_bytes(serialized(protos(proto.compile(list(SOURCES), sources=SOURCES))))
    return path


def same_again(files: list[FileDescriptor]) -> None:
    """Compiled from their descriptors only, files are what they were, to the registry and to protoc."""
    given = protos(files)
    again = proto.compile([file.name for file in files], resolver=DescriptorResolver(given))
    assert protos(again) == given
    registry = Registry()
    for file in [*files, *again]:
        registry.add_file(file)


@pytest.mark.parametrize("source", GOOD.values(), ids=GOOD.keys())
def test_good_sources_come_back_from_their_descriptors(source: str) -> None:
    same_again(proto.compile(["m.proto"], sources={"m.proto": source.encode("latin-1")}, import_paths=[INCLUDE]))


def test_installed_protos_come_back_from_their_descriptors() -> None:
    for root, name in INSTALLED:
        if "unstable" not in name:
            same_again(proto.compile([name], import_paths=[root, INCLUDE]))


def test_a_source_imports_descriptors(protoset: Path) -> None:
    (expected,) = proto.compile(["use.proto"], sources={**SOURCES, "use.proto": USE})
    known = Registry()
    known.add_file_descriptor_set(protoset.read_bytes())
    for resolver in (
        DescriptorResolver(expected.dependencies),
        protoset_resolver(protoset),
        registry_resolver(known),
    ):
        (found,) = proto.compile(["use.proto"], sources={"use.proto": USE}, resolver=resolver)
        assert found.to_proto(source_info=True) == expected.to_proto(source_info=True)
        known.add_file(found)
    page = known.message("common.Page")
    assert [field.default for field in page.fields][:1] == [-7]
    assert known.extension("common.Page", 100).full_name == "use.note"


def test_text_from_a_resolver() -> None:
    class Texts:
        def find(self, path: str) -> str | None:
            return 'syntax = "proto3"; message É {}'.replace("É", "E") if path == "e.proto" else None

    assert proto.compile(["e.proto"], resolver=Texts())[0].messages[0].name == "E"


def test_what_a_registry_does_without_may_stay_missing() -> None:
    sources: dict[str, str | bytes] = {
        "gone.proto": 'syntax = "proto2"; package gone; message G { extensions 1 to 9; } enum E { Z = 0; }',
        "half.proto": 'syntax = "proto2"; package half; import "gone.proto"; message H { optional gone.G g = 1; '
        "optional gone.E e = 2 [default = Z]; optional int32 i = 3; } extend gone.G { optional int32 x = 2; } "
        "service S { rpc R(gone.G) returns (H); }",
    }
    half = proto.compile(["half.proto"], sources=sources)[0].to_proto()
    registry = Registry()
    registry.add_file_descriptor_proto(half)
    main_source = 'syntax = "proto2"; import "half.proto"; message M { optional half.H h = 1; }'
    (file,) = proto.compile(["m.proto"], sources={"m.proto": main_source}, resolver=registry_resolver(registry))
    registry.add_file(file)
    assert registry.files["half.proto"].missing_dependencies == ["gone.proto"]
    assert file.dependencies[0].missing_dependencies == ["gone.proto"]
    with pytest.raises(CompileError) as caught:
        proto.compile(["m.proto"], sources={"m.proto": main_source}, resolver=DescriptorResolver([half]))
    assert caught.value.diagnostics[:2] == (
        "gone.proto: File not found.",
        'half.proto: Import "gone.proto" was not found or had errors.',
    )


def field(**values: Any) -> descriptor_pb2.DescriptorProto:
    made = descriptor_pb2.FieldDescriptorProto(name="f", number=1)
    made.label, made.type = made.LABEL_OPTIONAL, made.TYPE_INT32
    for name, value in values.items():
        setattr(made, name, value)
    return descriptor_pb2.DescriptorProto(name="M", field=[made])


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"syntax": "proto9"}, 'Unrecognized syntax: "proto9"'),
        ({"package": "a..b"}, '"a..b" is not a valid package name.'),
        ({"message_type": [field(name="f g")]}, '"f g" is not a valid identifier.'),
        ({"message_type": [field(type=11)]}, '"f" is a field without the name of a type.'),
        ({"message_type": [field(type_name=".M")]}, '"f" is a field that is a scalar, with the name of a type.'),
        ({"message_type": [field(type=11, type_name=".M.")]}, '".M." is not a valid name of a type.'),
        ({"message_type": [field(oneof_index=0)]}, '"f" is in a oneof, number 0, that is not there.'),
        ({"message_type": [field(extendee=".M")]}, '"f" is no extension.'),
        ({"extension": field().field}, '"f" is an extension of nothing.'),
        ({"message_type": [field(default_value="x")]}, 'Couldn\'t parse default value "x" of "f".'),
        ({"message_type": [field(type=2, default_value="x")]}, 'Couldn\'t parse default value "x" of "f".'),
        ({"message_type": [field(type=12, default_value="\\9")]}, 'Couldn\'t parse default value "\\9" of "f".'),
        ({"message_type": [field(number=0)]}, "Field numbers must be positive integers."),
        ({"message_type": [field(type=11, type_name=".N")]}, '".N" is not defined.'),
    ],
)
def test_descriptors_that_no_source_compiles_to(given: dict[str, Any], problem: str) -> None:
    file = descriptor_pb2.FileDescriptorProto(name="x.proto", **given)
    with pytest.raises(CompileError) as caught:
        proto.compile(["x.proto"], resolver=DescriptorResolver([file]))
    assert caught.value.diagnostics[0].startswith(f"x.proto: {problem}")


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(GOOD)), st.integers(0, 1 << 32))
def test_damaged_descriptors_end_in_a_result_or_a_finding(name: str, seed: int) -> None:
    source = {"m.proto": GOOD[name].encode("latin-1")}
    data = bytearray(
        proto.compile(["m.proto"], sources=source, import_paths=[INCLUDE])[0].to_proto().SerializeToString()
    )
    chance = random.Random(seed)
    for _ in range(chance.randrange(1, 6)):
        data[chance.randrange(len(data))] = chance.choice((0, 1, 46, 95, 255, chance.randrange(256)))
    try:
        damaged = descriptor_pb2.FileDescriptorProto.FromString(bytes(data))
        damaged.name = "m.proto"
    except (DecodeError, ValueError):  # the pure backend's word for what is no UTF-8
        return
    user = 'syntax = "proto2"; import "m.proto"; message User { optional Nope n = 1; }'
    with pytest.raises(CompileError):
        proto.compile(["u.proto"], sources={"u.proto": user}, resolver=DescriptorResolver([damaged]))


# ---- the command line


def run_protoc(*arguments: object) -> tuple[int, list[str]]:
    command = [str(protoc.get_protoc_path()), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return result.returncode, result.stderr.splitlines()


def run_compile(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[str]]:
    status = main([str(argument) for argument in arguments])
    return status, capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("flags", [[], ["--include_imports"], ["--include_imports", "--include_source_info"]])
def test_inputs_from_sets(flags: list[str], protoset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sources(tmp_path, {"use.proto": USE, "use2.proto": USE.replace("use;", "use2;").replace("100", "101")})
    one = tmp_path / "one.protoset"
    one.write_bytes(serialized(protos(proto.compile(["old.proto"], sources=SOURCES))))
    for inputs in (
        [f"--descriptor_set_in={protoset}", "common.proto", "old.proto"],
        [f"--descriptor_set_in={one}:{protoset}", "old.proto"],
        [f"-I{tmp_path}", f"--descriptor_set_in={protoset}", "use.proto"],
        [f"-I{tmp_path}", f"--descriptor_set_in={protoset}", "old.proto", "use.proto"],
    ):
        theirs, ours = tmp_path / "theirs.pb", tmp_path / "ours.pb"
        assert run_protoc(*inputs, f"-o{theirs}", *flags) == (0, [])
        assert run_compile(capsys, *inputs, f"-o{ours}", *flags) == (0, [])
        parsed = [descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()) for path in (ours, theirs)]
        assert [file.name for file in parsed[0].file] == [file.name for file in parsed[1].file]
        assert serialized(list(parsed[0].file)) == serialized(list(parsed[1].file))


@pytest.mark.parametrize("source", BAD)
def test_bad_sources_with_imports_from_sets(
    source: str, protoset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sources(tmp_path, {"m.proto": f'syntax = "proto2"; {source}'})
    inputs = [f"-I{tmp_path}", f"--descriptor_set_in={protoset}", f"-o{tmp_path}/out", "m.proto"]
    status, theirs = run_protoc(*inputs)
    assert status == 1
    status, ours = run_compile(capsys, *inputs)
    assert status == 1
    assert len(ours) == len(theirs)
    for our_line, their_line in zip(ours, theirs, strict=True):
        assert our_line.startswith(their_line.removeprefix("./"))


def test_sets_that_are_not_there(protoset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text").write_text("hello")
    incomplete = tmp_path / "incomplete"
    incomplete.write_bytes(serialized([proto.compile(["common.proto"], sources=SOURCES)[0].to_proto()]))
    out = f"-o{tmp_path}/out"
    for inputs in (
        [f"--descriptor_set_in={tmp_path}/none", "old.proto"],
        [f"--descriptor_set_in={tmp_path}/text", "old.proto"],
        [f"--descriptor_set_in={protoset}", "nope.proto"],
        [f"-I{tmp_path}", f"--descriptor_set_in={protoset}", "nope.proto"],
    ):
        assert run_compile(capsys, *inputs, out) == run_protoc(*inputs, out)
    with pytest.raises(SystemExit):
        main([f"--descriptor_set_in={protoset}", f"--descriptor_set_in={protoset}", "old.proto"])
    assert "may only be passed once" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--descriptor_set_in=", "old.proto"])
    assert "requires a non-empty value" in capsys.readouterr().err
    with pytest.raises(SchemaError, match="none: No such file or directory"):
        protoset_resolver(tmp_path / "none")


# ---- sets that say less than protoc's


def sparse(file: descriptor_pb2.FileDescriptorProto) -> descriptor_pb2.FileDescriptorProto:
    """A file without what can be worked out: JSON names, kinds of named types, labels, and packages of names."""
    made = descriptor_pb2.FileDescriptorProto()
    made.CopyFrom(file)
    made.syntax = made.syntax or "proto2"
    prefix = f".{made.package}." if made.package else "."
    messages = list(made.message_type)
    fields = list(made.extension)
    for message in messages:
        messages += message.nested_type
        fields += [*message.field, *message.extension]
    for each in fields:
        if each.json_name == each.name:
            each.ClearField("json_name")
        if each.type_name and each.type != each.TYPE_GROUP:
            each.ClearField("type")
        if each.type == each.TYPE_FLOAT and each.default_value == "-inf":
            each.default_value = "-infinity"
        if each.label == each.LABEL_OPTIONAL:
            each.ClearField("label")
        each.type_name = each.type_name.replace(prefix, "", 1)
        if not each.type_name:
            each.ClearField("type_name")
    for service in made.service:
        for method in service.method:
            method.input_type = method.input_type.replace(prefix, "", 1)
            method.output_type = method.output_type.replace(prefix, "", 1)
    return made


# protoc judges the style of what was compiled once anew, without the option that had let it pass.
@pytest.mark.parametrize("name", [*SOURCES, *sorted(GOOD.keys() - {"editions 2024"})])
def test_sets_are_completed_as_protoc_completes_them(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources: dict[str, str | bytes] = {"good.proto": GOOD[name].encode("latin-1")} if name in GOOD else SOURCES
    main_file = "good.proto" if name in GOOD else name
    files = proto.compile([main_file], sources=sources, import_paths=[INCLUDE])
    given = [sparse(file.to_proto()) for file in imports_first(files, with_option_imports=True)]
    (tmp_path / "sparse").write_bytes(serialized(given))
    sets = {}
    for run, out in ((run_protoc, "theirs"), (lambda *each: run_compile(capsys, *each), "ours")):
        inputs = [f"--descriptor_set_in={tmp_path}/sparse", main_file, "--include_imports", f"-o{tmp_path}/{out}"]
        assert run(*inputs) == (0, [])
        sets[out] = descriptor_pb2.FileDescriptorSet.FromString((tmp_path / out).read_bytes()).file
    assert [file.name for file in sets["ours"]] == [file.name for file in sets["theirs"]]
    for ours, theirs in zip(sets["ours"], sets["theirs"], strict=True):
        assert (ours == theirs) or str(ours) == str(theirs)
    registry = Registry()  # which takes them as well, with the same meaning
    registry.add_file_descriptor_protos(given)
    for file in files:
        registry.add_file(file)


OPTIONS_OF_2024 = {
    "dep.proto": 'edition = "2024"; package o; export message Dep { string s = 1; }',
    "opt.proto": (
        'edition = "2024"; package o; import "google/protobuf/descriptor.proto"; import "dep.proto"; '
        "extend google.protobuf.MessageOptions { string name = 50000; Dep dep = 50001; }"
    ),
    "other.proto": 'edition = "2024"; package m; message Other {}',
    "m.proto": (
        'edition = "2024"; package m; import "other.proto"; import option "opt.proto"; '
        'message M { option (o.name) = "x"; option (o.dep).s = "y"; Other o = 1; }'
    ),
    "u.proto": 'edition = "2024"; package u; import "m.proto"; message U { m.M m = 1; }',
}


def test_option_imports_are_in_sets_and_may_be_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sources(tmp_path, OPTIONS_OF_2024)
    all_of_it, without = f"{tmp_path}/all", f"{tmp_path}/without"
    for name in ("m.proto", "u.proto"):
        inputs = [f"-I{tmp_path}", name, "--include_imports"]
        assert run_protoc(*inputs, f"-o{tmp_path}/theirs") == run_compile(capsys, *inputs, f"-o{all_of_it}") == (0, [])
        assert (tmp_path / "all").read_bytes() == (tmp_path / "theirs").read_bytes()
    whole = descriptor_pb2.FileDescriptorSet.FromString((tmp_path / "all").read_bytes())
    assert [file.name for file in whole.file] == [
        "other.proto", "google/protobuf/descriptor.proto", "dep.proto", "opt.proto", "m.proto", "u.proto",
    ]  # fmt: skip
    few = [file for file in whole.file if file.name in ("other.proto", "m.proto", "u.proto")]
    (tmp_path / "without").write_bytes(serialized(few))
    for protoset in (all_of_it, without):
        for flags in ([], ["--include_imports"]):
            inputs = [f"--descriptor_set_in={protoset}", "u.proto", *flags]
            assert run_protoc(*inputs, f"-o{tmp_path}/theirs") == (0, [])
            assert run_compile(capsys, *inputs, f"-o{tmp_path}/ours") == (0, [])
            assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    # Where protoc searches folders, too, it says "opt.proto: File not found." and writes the set all the same.
    write_sources(tmp_path / "user", {"v.proto": OPTIONS_OF_2024["u.proto"].replace("package u", "package v")})
    inputs = [f"-I{tmp_path}/user", f"--descriptor_set_in={without}", "v.proto"]
    assert run_protoc(*inputs, f"-o{tmp_path}/theirs")[0] == 1
    assert run_compile(capsys, *inputs, f"-o{tmp_path}/ours")[0] == 0
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    registry = Registry()
    registry.add_file_descriptor_protos(few)
    user = 'edition = "2024"; import "m.proto"; message User { m.M m = 1; }'
    (file,) = proto.compile(["user.proto"], sources={"user.proto": user}, resolver=registry_resolver(registry))
    assert file.dependencies[0].name == "m.proto"
    registry = Registry()
    registry.add_file_descriptor_protos(whole.file)
    assert [each.name for each in registry.files["m.proto"].option_dependencies] == ["opt.proto"]


def test_a_source_does_not_do_without_its_option_imports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sources(tmp_path, {"m.proto": OPTIONS_OF_2024["m.proto"], "other.proto": OPTIONS_OF_2024["other.proto"]})
    status, said = run_compile(capsys, f"-I{tmp_path}", "m.proto", "-o/dev/null")
    assert status == 1
    assert said[0] == "opt.proto: File not found."
