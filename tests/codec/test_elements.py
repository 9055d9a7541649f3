"""The limit on elements: what few bytes may be made into is bounded, and counting changes nothing else."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from tests.codec.lab import WITH_EDITIONS, message, registry
from tests.codec.schemas import files, fill, registry_of

from puregrpc.codec import Codec
from puregrpc.codec.generation.compiler import Compiler
from puregrpc.errors import DecodeError
from puregrpc.proto import compile as compile_sources
from puregrpc.schema import Registry

SOURCE = f"""
edition = "2023"; package many;
import "google/protobuf/any.proto"; import "google/protobuf/struct.proto"; import "google/protobuf/timestamp.proto";
message Empty {{}}
message Many {{
  repeated Empty empties = 1; repeated string texts = 2; repeated bytes octets = 3; repeated int64 longs = 4;
  map<string, string> by_name = 5; map<int32, Empty> by_number = 6; google.protobuf.Struct struct = 7;
  google.protobuf.ListValue list = 8; repeated google.protobuf.Timestamp times = 9; google.protobuf.Any any = 10;
  repeated Empty groups = 11 [features.message_encoding = DELIMITED]; Many inner = 12; Large large = 13;
  Many inner_group = 14 [features.message_encoding = DELIMITED]; map<string, Many> trees = 15;
  repeated fixed64 fixed = 16; repeated int64 spread = 17 [features.repeated_field_encoding = EXPANDED];
  repeated int32 ints = 18; repeated double doubles = 19;
}}
message Large {{ {"".join(f"int32 f{n} = {n};" for n in range(1, 100))} repeated Empty empties = 200; }}
"""


@cache
def many() -> Registry:
    made = Registry()
    for file in compile_sources(["many.proto"], sources={"many.proto": SOURCE}):
        made.add_file(file)
    return made


def delimited(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number: int) -> bytes:
    return bytes((number,)) if number < 128 else bytes((number & 127 | 128,)) + varint(number >> 7)


EMPTY, LONG = b"\x0a\x00", b"\x20\x05"
COUNTED: dict[str, bytes] = {
    "messages": EMPTY,
    "groups": b"\x5b\x5c",
    "texts": b"\x12\x00",
    "bytes": b"\x1a\x00",
    "64-bit numbers, which are text": LONG,
    "the same, expanded": b"\x88\x01\x05",
    "entries": delimited(5, b"\x0a\x03k??"),
    "entries with messages": delimited(6, b"\x08\x05"),
    "entries of entries": delimited(15, b""),
    "fields of a Struct": delimited(7, delimited(1, b"\x0a\x03k??")),
    "items of a ListValue": delimited(8, delimited(1, b"\x08\x00")),
    "lists in lists": delimited(8, delimited(1, delimited(6, b""))),
    "timestamps": b"\x4a\x00",
    "in messages": delimited(12, EMPTY),
    "in groups": b"\x73" + EMPTY + b"\x74",
    "in a large message": delimited(13, delimited(200, b"")),
}
"""What becomes one element, each behind the others."""
WHOLE: dict[str, bytes] = {
    "packed": delimited(4, bytes(101)),
    "packed fixed": delimited(16, bytes(808)),
    "in an Any": delimited(10, b"\x0a\x0bx/many.Many\x12\xca\x01" + EMPTY * 101),
    "in parts of a message": delimited(12, EMPTY * 60) + delimited(12, EMPTY * 41),
    "in parts of a group": b"\x73" + EMPTY * 60 + b"\x74\x73" + EMPTY * 41 + b"\x74",
    "in parts of a Struct": delimited(7, delimited(1, b"\x0a\x01k" + delimited(2, delimited(6, b"\x0a\x00" * 60)) * 2)),
}
"""101 elements, or a few more."""


@pytest.mark.parametrize("kind", COUNTED)
def test_so_many_elements_and_no_more(kind: str) -> None:
    made = many()
    codec = Codec(made, emit_defaults=False, max_elements=100)
    piece = COUNTED[kind]
    pieces = [piece.replace(b"??", b"%02x" % n) for n in range(101)]
    codec.decode(made.message("many.Many"), b"".join(pieces[:100]))
    with pytest.raises(DecodeError, match=r"over the limit of 100 elements of lists and maps in one message"):
        codec.decode(made.message("many.Many"), b"".join(pieces))
    with pytest.raises(DecodeError, match="over the limit"):
        codec.to_json(made.message("many.Many"), b"".join(pieces))


@pytest.mark.parametrize("kind", WHOLE)
def test_elements_count_wherever_they_are(kind: str) -> None:
    made = many()
    with pytest.raises(DecodeError, match="over the limit of 100 elements"):
        Codec(made, emit_defaults=False, max_elements=100).decode(made.message("many.Many"), WHOLE[kind])
    Codec(made, emit_defaults=False, max_elements=122).decode(made.message("many.Many"), WHOLE[kind])


def test_numbers_that_are_shown_as_numbers_do_not_count() -> None:
    made = many()
    data = delimited(18, bytes(1000)) + delimited(19, bytes(8000))
    shown = Codec(made, emit_defaults=False, max_elements=1).decode(made.message("many.Many"), data)
    assert (len(shown["ints"]), len(shown["doubles"])) == (1000, 1000)
    native = Codec(made, values="native", emit_defaults=False, max_elements=1)
    assert len(native.decode(made.message("many.Many"), WHOLE["packed"])["longs"]) == 101


def test_what_a_message_shows_without_being_set_counts() -> None:
    made = many()
    shown = delimited(15, delimited(2, b"")) * 10
    Codec(made, max_elements=1000).decode(made.message("many.Many"), shown)
    with pytest.raises(DecodeError, match=r"message\.trees.*: over the limit of 100 elements"):
        Codec(made, max_elements=100).decode(made.message("many.Many"), delimited(15, b"\x0a\x01a") * 10)


@pytest.mark.slow
@pytest.mark.parametrize("piece", [*COUNTED.values(), delimited(15, b"\x0a\x01a")], ids=[*COUNTED, "trees"])
@pytest.mark.parametrize("emit_defaults", [False, True])
def test_a_large_message_takes_bounded_memory(piece: bytes, emit_defaults: bool) -> None:
    made = many()
    codec = Codec(made, emit_defaults=emit_defaults, max_elements=1 << 13)
    data = piece * ((1 << 15) // len(piece))
    codec.decode(made.message("many.Many"), piece)
    tracemalloc = pytest.importorskip("tracemalloc")
    tracemalloc.start()
    try:
        codec.decode(made.message("many.Many"), data)
    except DecodeError as error:
        assert "over the limit" in error.problem  # noqa: PT017 - what does not reach the limit is bounded as well
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 << 20


def test_by_default_4_mib_of_empty_messages_are_refused_and_4_mib_of_numbers_are_not() -> None:
    made = many()
    codec = Codec(made)
    with pytest.raises(DecodeError, match="over the limit of 1,048,576 elements"):
        codec.decode(made.message("many.Many"), EMPTY * (2 << 20))
    assert len(codec.decode(made.message("many.Many"), delimited(18, bytes(4 << 20)))["ints"]) == 4 << 20
    assert len(codec.decode(made.message("many.Many"), EMPTY * 500_000)["empties"]) == 500_000


@st.composite
def cases(draw: st.DrawFn) -> tuple[Registry, Message]:
    file: descriptor_pb2.FileDescriptorProto = draw(files())
    made = registry_of(file)
    filled = made.message_class(made.message("r.M0"))()
    fill(draw, filled)
    return made, filled


@WITH_EDITIONS
@given(cases(), st.data(), st.sampled_from(["json", "native"]), st.booleans(), st.booleans())
def test_counting_changes_nothing_else(
    case: tuple[Registry, Message], data: st.DataObject, values: Literal["json", "native"], keep: bool, defaults: bool
) -> None:
    made, filled = case
    given_bytes = bytearray(filled.SerializeToString())
    if data.draw(st.booleans()):
        position = data.draw(st.integers(0, len(given_bytes)))
        given_bytes[position : position + data.draw(st.integers(0, 1))] = data.draw(st.binary(max_size=2))
    given_bytes *= data.draw(st.integers(1, 2))
    descriptor = made.message("r.M0")
    codec = Codec(made, values=values, unknown_fields="keep" if keep else "drop", emit_defaults=defaults)

    def outcome() -> Any:
        try:
            return repr(codec.decode(descriptor, bytes(given_bytes)))
        except DecodeError as error:
            return str(error)

    plain = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("puregrpc.codec.codec._UNCOUNTED", 1 << 60)
        patch.setattr(Compiler, "safe_size", lambda *_: -1)
        assert outcome() == plain


def test_message_sets_are_counted() -> None:
    item = delimited(1000, delimited(1, b"x"))
    Codec(registry(), max_elements=1).decode(message("lab2.Set"), item * 50)
