"""Options of descriptors that nobody has interpreted yet: as protoc interprets them with --descriptor_set_in."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import protoc
import pytest
from google.protobuf import descriptor_pb2

from puregrpc import proto
from puregrpc.cli.compile import main
from puregrpc.schema.imports import imports_first

RULES = """
edition = "2023"; package rules; import "google/protobuf/descriptor.proto";
enum Kind { NONE = 0; SOME = 1; }
message In {
  float f = 1; repeated Kind kinds = 2; map<string, int32> numbers = 3; bytes b = 4;
  oneof either { int32 a = 5; string s = 6; }
}
extend google.protobuf.FileOptions { double fd = 50001; In fi = 50002; repeated string fr = 50004; }
extend google.protobuf.FieldOptions {
  bool fb = 50001; sint64 fs = 50002; Kind fk = 50003; In kept = 50005 [retention = RETENTION_SOURCE]; In in = 50006;
}
extend google.protobuf.MethodOptions { In mo = 50001; }
extend google.protobuf.ExtensionRangeOptions { int32 er = 50001; }
"""
THINGS = """
edition = "2023"; package things; import "rules.proto";
message Thing { int32 x = 1; repeated int32 y = 2 [(rules.in).a = 4]; extensions 100 to 200; }
service S { rpc Do(Thing) returns (Thing); }
"""
USER = 'edition = "2023"; package user; import "things.proto"; message User { things.Thing thing = 1; }'

Option = tuple[str, list[str], str, Any]
FILE, X, Y = "", "message_type.0.field.0", "message_type.0.field.1"
METHOD, RANGE = "service.0.method.0", "message_type.0.extension_range.0"

SETS: dict[str, list[Option]] = {
    "scalars": [
        (X, ["(rules.fb)"], "identifier_value", "true"), (X, ["(.rules.fs)"], "negative_int_value", -5),
        (X, ["(rules.fk)"], "identifier_value", "SOME"), (FILE, ["(rules.fd)"], "double_value", 1.5),
    ],
    "aggregates and lists": [
        (FILE, ["(rules.fi)"], "aggregate_value", 'f: 2.5 kinds: [SOME, NONE] numbers { key: "a" value: 3 }'),
        (FILE, ["(rules.fr)"], "string_value", b"a"), (FILE, ["(rules.fr)"], "string_value", "é".encode()),
        (FILE, ["java_package"], "string_value", b"j"),
    ],
    "pieces": [
        (METHOD, ["(rules.mo)", "a"], "positive_int_value", 7), (METHOD, ["(rules.mo)", "b"], "string_value", b"\xff"),
        (RANGE, ["(rules.er)"], "positive_int_value", 2),
    ],
    "retention": [(X, ["(rules.kept)", "f"], "positive_int_value", 3), (X, ["deprecated"], "identifier_value", "true")],
    "features": [
        (Y, ["features", "repeated_field_encoding"], "identifier_value", "EXPANDED"),
        (X, ["features", "field_presence"], "identifier_value", "IMPLICIT"),
    ],
    "of another type": [(X, ["(rules.fb)"], "positive_int_value", 1)],
    "twice": [(X, ["(rules.fb)"], "identifier_value", "true")] * 2,
    "unknown": [(X, ["(rules.zzzzzzzzzz)"], "identifier_value", "true")],
    "not in text format": [(FILE, ["(rules.fi)"], "aggregate_value", "f: oops")],
    "unknown in an aggregate": [(FILE, ["(rules.fi)"], "aggregate_value", "nope: 1")],
    "reserved": [(X, ["uninterpreted_option"], "identifier_value", "true")],
    "without a name": [(X, [], "identifier_value", "true")],
    "not for such a field": [(X, ["lazy"], "identifier_value", "true")],
    "packed in an edition": [(Y, ["packed"], "identifier_value", "true")],
}  # fmt: skip


def protoset(folder: Path, options: list[Option]) -> Path:
    """The files as a set, with options that are not interpreted added to things.proto."""
    sources = {"rules.proto": RULES, "things.proto": THINGS, "user.proto": USER}
    files = [file.to_proto() for file in imports_first(proto.compile(["user.proto"], sources=sources))]
    things = next(file for file in files if file.name == "things.proto")
    for element, name, kind, value in options:
        target: Any = things
        for part in element.split(".") if element else ():
            target = target[int(part)] if part.isdecimal() else getattr(target, part)
        option = target.options.uninterpreted_option.add()
        for part in name:
            option.name.add(name_part=part.strip("()"), is_extension=part.startswith("("))
        setattr(option, kind, value)
    path = folder / "set"
    path.write_bytes(descriptor_pb2.FileDescriptorSet(file=files).SerializePartialToString())
    return path


@pytest.mark.parametrize("case", SETS)
def test_as_protoc_interprets_them(case: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given = protoset(tmp_path, SETS[case])
    arguments = [f"--descriptor_set_in={given}", "user.proto", "--include_imports"]
    command = [str(protoc.get_protoc_path()), *arguments, f"-o{tmp_path}/theirs"]
    theirs = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    status = main([*arguments, f"-o{tmp_path}/ours"])
    assert (status, capfd.readouterr().err) == (theirs.returncode, theirs.stderr)
    if not status:
        assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
