"""Protobuf explained field by field, against messages that google.protobuf serialized."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puregrpc.codec import Codec
from puregrpc.proto import compile as compile_protos
from puregrpc.schema import Registry
from puregrpc.trace.explaining.octets import Octets
from puregrpc.trace.explaining.protobuf import explain_message
from puregrpc.trace.records import Field, Part, Span

SOURCE = """
edition = "2023";
package t;
enum Color { UNKNOWN = 0; RED = 1; }
message All {
  double a = 1; float b = 2; int64 c = 3; uint64 d = 4; int32 e = 5; fixed64 f = 6; fixed32 g = 7; bool h = 8;
  string i = 9; All j = 11; bytes k = 12; uint32 l = 13; Color m = 14; sfixed32 n = 15; sfixed64 o = 16;
  sint32 p = 17; sint64 q = 18;
  repeated int32 packed = 19; repeated int32 loose = 20 [features.repeated_field_encoding = EXPANDED];
  repeated double doubles = 21; All group = 22 [features.message_encoding = DELIMITED];
  extensions 100 to 200;
}
extend All { string extra = 100; }
"""


REGISTRY = Registry()
REGISTRY.add_file(compile_protos(["t.proto"], sources={"t.proto": SOURCE})[0])
ALL = REGISTRY.message("t.All")


def read(data: bytes, *, schema: bool = True) -> tuple[tuple[Field, ...], tuple[Part, ...]]:
    octets = Octets(data, (Span(0, 0, len(data)),))
    fields, parts = explain_message(octets, ALL if schema else None, REGISTRY if schema else None)
    spans = sorted(span for part in parts for leaf in part.leaves() for span in leaf.spans)
    position = 0
    for span in spans:
        assert span.start == position
        position = span.end
    assert position == len(data)
    return fields, parts


def problems(parts: tuple[Part, ...]) -> list[str]:
    return [inner.problem for part in parts for inner in part.walk() if inner.problem]


SCALARS: dict[str, st.SearchStrategy[object]] = {
    "a": st.floats(allow_nan=False),
    "b": st.floats(width=32, allow_nan=False),
    "c": st.integers(-(2**63), 2**63 - 1),
    "d": st.integers(0, 2**64 - 1),
    "e": st.integers(-(2**31), 2**31 - 1),
    "f": st.integers(0, 2**64 - 1),
    "g": st.integers(0, 2**32 - 1),
    "h": st.booleans(),
    "i": st.text(max_size=20),
    "k": st.binary(max_size=20),
    "l": st.integers(0, 2**32 - 1),
    "m": st.integers(0, 3),
    "n": st.integers(-(2**31), 2**31 - 1),
    "o": st.integers(-(2**63), 2**63 - 1),
    "p": st.integers(-(2**31), 2**31 - 1),
    "q": st.integers(-(2**63), 2**63 - 1),
}


@given(st.fixed_dictionaries({}, optional=SCALARS))
def test_it_reads_what_google_protobuf_writes(values: dict[str, object]) -> None:
    message = REGISTRY.message_class(ALL)()
    for name, value in values.items():
        setattr(message, name, value)
    fields, parts = read(message.SerializeToString())
    assert {field.name: field.value for field in fields} == {name: getattr(message, name) for name in values}
    assert problems(parts) == []


def test_lists_messages_groups_and_extensions() -> None:
    request = {"packed": [1, -1], "loose": [7, 8], "doubles": [0.5], "j": {"i": "in"}, "group": {"e": 3}}
    data = Codec(REGISTRY).encode(ALL, request) + b"\xa2\x06\x02hi"
    fields, parts = read(data)
    assert problems(parts) == []
    by_name = {field.name: field for field in fields}
    assert by_name["packed"].value == (1, -1)
    assert [field.value for field in fields if field.name == "loose"] == [7, 8]
    assert by_name["doubles"].value == (0.5,)
    assert by_name["j"].fields[0].value == "in"
    assert by_name["group"].fields[0].value == 3
    assert by_name["extra"].value == "hi"


@pytest.mark.parametrize(
    ("octets", "type_name", "value"),
    [
        ("0a 03 626f62", "text?", "bob"),
        ("0a 02 0801", "message?", None),
        ("0a 02 fffe", "bytes?", b"\xff\xfe"),
        ("0a 00", "empty", b""),
        ("08 96 01", "varint", 150),
        ("0d 01000000", "I32", 1),
        ("09 0100000000000000", "I64", 1),
        ("0b 0801 0c", "group", None),
    ],
)
def test_guesses_without_a_schema(octets: str, type_name: str, value: object) -> None:
    (field,), parts = read(bytes.fromhex(octets), schema=False)
    assert (field.type_name, field.value) == (type_name, value)
    assert problems(parts) == []


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        ("08", "ends inside a varint"),
        ("08 ffffffffffffffffffffff", "more than 10 octets"),
        ("0e", "wire type 6 does not exist"),
        ("0c", "the end of group 1, which was not begun"),
        ("4a 05 6162", "field 9 has 5 octets, but only 2 are left"),
        ("4a 02 fffe", "not UTF-8: octet 0xff at 0"),
        ("48 01", "i (string) has wire type LEN; parsers take this as unknown"),
        ("09 010203", "ends inside the 8 octets of field 1"),
        ("9a01 01 ff", "ends inside a varint"),
        ("aa01 04 00000000", "the last element is cut"),
        ("b301 2801", "before the end tag of group 22"),
        ("b301", "before the end tag of group 22"),
    ],
)
def test_what_is_wrong_is_said_at_the_place(octets: str, expected: str) -> None:
    _, parts = read(bytes.fromhex(octets))
    assert any(expected in problem for problem in problems(parts)), problems(parts)


def test_unknown_fields_are_kept() -> None:
    (field,), parts = read(b"\xf8\x3f\x01")
    assert field.name == ""
    assert "not in the schema of t.All" in parts[0].note


def test_depth_and_number_of_fields_are_bounded() -> None:
    data = b""
    for _ in range(120):
        data = b"\x5a" + _varint(len(data)) + data
    _, parts = read(data)
    assert any("deeper than 100" in problem for problem in problems(parts))
    _, parts = read(b"\xb3\x01" * 1000)
    assert any("deeper than 100" in problem for problem in problems(parts))
    fields, parts = read(b"\x28\x01" * 30_000)
    assert len(fields) == 20_000
    assert parts[-1].note == "not told one by one"


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


@given(st.binary(max_size=100), st.booleans())
def test_any_octets_are_explained(data: bytes, schema: bool) -> None:
    read(data, schema=schema)


def test_what_an_any_holds() -> None:
    registry = Registry()
    data = bytes.fromhex("0803") + b"\x1a\x2e" + b"\x0a\x28type.googleapis.com/google.rpc.ErrorInfo\x12\x02\x0a\x00"
    octets = Octets(data, (Span(0, 0, len(data)),))
    (_, detail), parts = explain_message(octets, registry.type_in_any("google.rpc.Status"), registry)
    assert problems(parts) == []
    assert [field.type_name for field in detail.fields] == ["string", "google.rpc.ErrorInfo"]
    assert detail.fields[1].fields[0].name == "reason"
