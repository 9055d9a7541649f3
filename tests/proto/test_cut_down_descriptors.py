"""Options of runs whose descriptor.proto is not the usual one: merged and stripped, or left in pieces, as by protoc."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.proto.peer import our_verdict, protoc_verdict, write_sources

OPTIONS = """
message FileOptions { optional bool deprecated = 23; optional FeatureSet features = 50; extensions 1000 to max; }
message MessageOptions {
  optional bool map_entry = 7; optional bool deprecated = 3; optional string own = 777; extensions 1000 to max;
  optional FeatureSet features = 12; optional int32 low = 2;
}
message FieldOptions {
  enum OptionRetention { RETENTION_UNKNOWN = 0; RETENTION_RUNTIME = 1; RETENTION_SOURCE = 2; }
  optional bool packed = 2; optional bool deprecated = 3; optional OptionRetention retention = 17;
  extensions 1000 to max; optional FeatureSet features = 21;
}
message EnumOptions { extensions 1000 to max; }
message EnumValueOptions { extensions 1000 to max; }
message ServiceOptions { extensions 1000 to max; }
message MethodOptions { extensions 1000 to max; }
message OneofOptions { extensions 1000 to max; }
message ExtensionRangeOptions { extensions 1000 to max; }
message FeatureSet {
  enum FieldPresence { FIELD_PRESENCE_UNKNOWN = 0; EXPLICIT = 1; IMPLICIT = 2; }
  enum EnforceNamingStyle { UNKNOWN_STYLE = 0; STYLE2024 = 1; STYLE_LEGACY = 2; }
  optional FieldPresence field_presence = 1; optional EnforceNamingStyle enforce_naming_style = 7;
  extensions 1000 to 9999;
}
message Elsewhere { extensions 1000 to max; }
"""

FIELDS = {
    "FileDescriptorProto": [
        "repeated DescriptorProto message_type = 4", "repeated EnumDescriptorProto enum_type = 5",
        "repeated ServiceDescriptorProto service = 6", "repeated FieldDescriptorProto extension = 7",
        "optional FileOptions options = 8",
    ],
    "DescriptorProto": [
        "repeated FieldDescriptorProto field = 2", "repeated DescriptorProto nested_type = 3",
        "repeated EnumDescriptorProto enum_type = 4", "repeated ExtensionRange extension_range = 5",
        "repeated FieldDescriptorProto extension = 6", "optional MessageOptions options = 7",
        "repeated OneofDescriptorProto oneof_decl = 8",
    ],
    "ExtensionRange": ["optional ExtensionRangeOptions options = 3"],
    "FieldDescriptorProto": ["optional FieldOptions options = 8"],
    "OneofDescriptorProto": ["optional OneofOptions options = 2"],
    "EnumDescriptorProto": [
        "repeated EnumValueDescriptorProto value = 2", "optional EnumOptions options = 3",
    ],
    "EnumValueDescriptorProto": ["optional EnumValueOptions options = 3"],
    "ServiceDescriptorProto": ["repeated MethodDescriptorProto method = 2", "optional ServiceOptions options = 3"],
    "MethodDescriptorProto": ["optional MethodOptions options = 4"],
}  # fmt: skip

KINDS = ["File", "Message", "Field", "Enum", "EnumValue", "Service", "Method", "Oneof", "ExtensionRange"]
SUB = """
message Sub {
  optional int32 a = 1; optional int32 b = 2; repeated int32 r = 3 [packed = true]; optional Sub s = 4;
  repeated Sub rs = 5; optional group G = 6 { optional int32 c = 1; optional int32 d = 2; }
  optional sint32 z = 7; optional double e = 8; optional fixed32 h = 9; map<string, int32> m = 10;
}
"""
EXTENSIONS = SUB + "".join(
    f"extend google.protobuf.{kind}Options {{ optional Sub {kind.lower()} = {50000 + index * 10}; "
    f"repeated string {kind.lower()}_list = {50001 + index * 10}; "
    f"optional int32 {kind.lower()}_source = {49000 + index * 10} [retention = RETENTION_SOURCE]; }}\n"
    for index, kind in enumerate(KINDS)
)


def pieces(kind: str, form: str) -> str:
    """Options of an element, in pieces: ``form`` is that of a statement or of one in a list."""
    name = kind.lower()
    settings = [
        f"({name}).b = 2", f'({name}_list) = "x"', f"({name}).a = 1", f"({name}_source) = 3", f'({name}_list) = "y"',
        f"({name}).s = {{ a: 1 s {{ b: 2 }} rs: [{{ a: 1 }}, {{ a: 2 }}] m {{ key: 'k' }} }}", f"({name}).z = -1",
        f"({name}).g.d = 4", f"({name}).g.c = 0", f"({name}).e = 1.5", f"({name}).h = 7",
    ]  # fmt: skip
    return "".join(f"{form}{each};\n" for each in settings) if form else "[" + ", ".join(settings) + "]"


SOURCE = f"""
import "google/protobuf/descriptor.proto"; package m;
{EXTENSIONS}
{pieces("File", "option ")}
message M {{
  {pieces("Message", "option ")} option deprecated = true; option own = "me"; option low = 4;
  optional int32 f = 1 {pieces("Field", "")};
  optional int32 g = 2 [deprecated = true, (field_source) = 1];
  optional int32 only = 3 [(field_source) = 1];
  oneof o {{ {pieces("Oneof", "option ")} int32 of = 4 {pieces("Field", "")}; }}
  extensions 10 to 20 {pieces("ExtensionRange", "")};
  message N {{ {pieces("Message", "option ")} enum NE {{ NE_ZERO = 0; }} }}
  enum E {{ {pieces("Enum", "option ")} ZERO = 0 {pieces("EnumValue", "")}; }}
  extend M {{ optional int32 x = 11 {pieces("Field", "")}; }}
}}
enum F {{ {pieces("Enum", "option ")} F_ZERO = 0 {pieces("EnumValue", "")}; }}
service S {{
  {pieces("Service", "option ")}
  rpc R(M) returns (M) {{ {pieces("Method", "option ")} }}
}}
extend M {{ optional int32 y = 12 {pieces("Field", "")}; }}
"""


def descriptor_proto(chance: random.Random | None, keep: float) -> str:
    """A descriptor.proto with some of the usual fields, and some of those leading elsewhere."""
    text = 'syntax = "proto2"; package google.protobuf;' + OPTIONS
    for name, fields in FIELDS.items():
        body = ""
        for field in fields:
            if chance is None or chance.random() < keep:
                elsewhere = chance is not None and chance.random() < 0.08
                label, type_, *rest = field.split()
                body += f"{label} {'Elsewhere' if elsewhere else type_} {' '.join(rest)}; "
        text += f"message {name} {{ {body} }}\n"
    return text


ALL = descriptor_proto(None, 1)
VARIANTS = {
    "without files": OPTIONS.replace("message", 'syntax = "proto2"; package google.protobuf;\nmessage', 1),
    "whole": ALL,
    "messages are bytes": ALL.replace("repeated DescriptorProto message_type", "repeated bytes message_type"),
    "files only": OPTIONS.replace("message", 'syntax = "proto2"; package google.protobuf;\nmessage', 1)
    + "message FileDescriptorProto {}",
    **{f"random {seed}": descriptor_proto(random.Random(seed), 0.4 + 0.1 * (seed % 6)) for seed in range(24)},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_options_with_another_descriptor_proto(name: str, tmp_path: Path) -> None:
    write_sources(
        tmp_path, {"google/protobuf/descriptor.proto": VARIANTS[name], "m.proto": f'syntax = "proto2"; {SOURCE}'}
    )
    theirs = protoc_verdict([tmp_path], "m.proto", tmp_path)
    assert not theirs.errors
    ours = our_verdict([tmp_path], "m.proto")
    assert ours.errors == ()
    assert ours.descriptor == theirs.descriptor


@pytest.mark.parametrize("name", VARIANTS)
def test_features_with_another_descriptor_proto(name: str, tmp_path: Path) -> None:
    write_sources(
        tmp_path,
        {
            "google/protobuf/descriptor.proto": VARIANTS[name],
            "feature.proto": 'syntax = "proto2"; import "google/protobuf/descriptor.proto"; package m; '
            "message Of { optional int32 a = 1; optional int32 b = 2; } "
            "extend google.protobuf.FeatureSet { optional Of feature_of = 1002; }",
            "m.proto": 'edition = "2023"; import "feature.proto"; package m; message Ok { '
            "option features.(feature_of).a = 1; option features.enforce_naming_style = STYLE_LEGACY; "
            "option features.(feature_of).b = 2; int32 f = 1 [features.field_presence = IMPLICIT, "
            "features.(feature_of).b = 1, features.(feature_of).a = 2]; "
            "int32 g = 2 [features.enforce_naming_style = STYLE_LEGACY]; }",
        },
    )
    theirs = protoc_verdict([tmp_path], "m.proto", tmp_path)
    assert not theirs.errors
    assert our_verdict([tmp_path], "m.proto") == theirs
