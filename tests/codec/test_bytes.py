"""Bytes from a peer: what is not a valid message is a DecodeError that says where, in bounded time and depth."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.codec.lab import codec, message, registry

from puregrpc.codec import UNKNOWN_FIELDS, Codec
from puregrpc.errors import DecodeError
from puregrpc.proto import compile as compile_sources
from puregrpc.schema import Registry

BROKEN: list[tuple[str, bytes, str]] = [
    ("lab.All", b"\x18", "message.fInt32: truncated"),
    ("lab.All", b"\x18\x80", "message.fInt32: truncated"),
    ("lab.All", b"\x18" + b"\x80" * 10 + b"\x01", "message.fInt32: a varint of more than 10 bytes"),
    ("lab.All", b"\x20" + b"\xff" * 9 + b"\x02", "message.fInt64: a varint of more than 64 bits"),
    ("lab.All", b"\x72\x05abc", "message.fString: truncated"),
    ("lab.All", b"\x72\xff\xff\xff\xff\xff\xff\xff\xff\x7fabc", "message.fString: truncated"),
    ("lab.All", b"\x72\x01\xff", "message.fString: invalid UTF-8 at byte 0"),
    ("lab.All", b"\x72\x03\xed\xa0\x80", "message.fString: invalid UTF-8"),
    ("lab.All", b"\x09\0\0\0", "message.fDouble: truncated"),
    ("lab.All", b"\x15\0\0", "message.fFloat: truncated"),
    ("lab.All", b"\x92\x01\x03\x0a\x05a", "message.fSub.name: truncated"),
    ("lab.All", b"\xc2\x01\x00\xc2\x01\x03\x0a\x01\xff", "message.rSub[1].name: invalid UTF-8"),
    ("lab.All", b"\xaa\x01\x01a\xaa\x01\x01\xff", "message.rString[1]: invalid UTF-8"),
    ("lab.All", b"\xa2\x01\x01\x80", "message.rInt32: truncated"),
    ("lab.All", b"\xd2\x01\x03abc", "message.rDouble: a packed field of 3 bytes, which is not a multiple of 8"),
    ("lab.All", b"\xf2\x01\x06\x0a\x01k\x12\x01\xff", "message.mSs['k']: invalid UTF-8"),
    ("lab.All", b"\xfa\x01\x07\x08\x05\x12\x03\x0a\x01\xff", "message.mIs['5'].name: invalid UTF-8"),
    ("lab.All", b"\xf2\x01\x03\x0a\x05k", "message.mSs"),
    ("lab.All", b"\x00\x00", "message: a field with the number 0"),
    ("lab.All", b"\x07", "message: a field with the number 0"),
    ("lab.All", b"\x0c", "message: the end of a group that did not begin"),
    ("lab.All", b"\x0e", "message: wire type 6, which does not exist"),
    ("lab.All", b"\xfb\x0f\x08\x01", "message: truncated"),
    ("lab.All", b"\xfb\x0f\x84\x10", "message: the end of a group does not match its beginning"),
    ("lab.All", b"\x88\x80\x80\x80\x80\x00\x01", "message: a tag of more than 32 bits or 5 bytes"),
    ("lab.All", b"\xff\xff\xff\xff\x7f\x01", "message: a tag of more than 32 bits or 5 bytes"),
    ("lab.Wkt", b"\x0a\x06\x08\x80\x80\x80\x80\x80", "message.ts: truncated"),
    ("lab.Wkt", b"\x0a\x0b\x10" + b"\xff" * 9 + b"\x01", "message.ts: timestamp with -1 nanoseconds"),
    ("lab.Wkt", b"\x12\x0d\x08\x01\x10" + b"\xff" * 9 + b"\x01", "message.dur: duration with 1 seconds"),
    ("lab.Wkt", b"\x1a\x05\x0a\x03A_b", "message.mask: a path that cannot be written in lowerCamelCase: 'A_b'"),
    ("lab.Wkt", b"\x2a\x09\x11\0\0\0\0\0\0\xf8\x7f", "message.value: a google.protobuf.Value that is NaN"),
    ("lab.Wkt", b"\xb2\x01\x0e\x0a\x09x/lab.Sub\x12\x01\x0a", "message.any.name: truncated"),
    ("lab.Wkt", b"\xb2\x01\x03\x12\x01a", "message.any: a google.protobuf.Any with a value and without a type"),
    ("lab2.Old", b"\x2b\x0a\x01a", "message.mygroup: truncated"),
    ("lab2.Old", b"\x2b\x0a\x01a\x34", "message"),
]


@pytest.mark.parametrize(("type_name", "data", "problem"), BROKEN, ids=lambda part: str(part)[:40])
def test_what_is_not_valid_is_refused(type_name: str, data: bytes, problem: str) -> None:
    with pytest.raises(DecodeError) as caught:
        codec().decode(message(type_name), data)
    assert str(caught.value).startswith(problem)


@given(st.sampled_from(["lab.All", "lab.Wkt", "lab.Names", "lab2.Old", "lab2.Holder", "lab.Ping"]), st.binary())
def test_any_bytes_are_a_message_or_refused(type_name: str, data: bytes) -> None:
    try:
        shown = codec().decode(message(type_name), data)
    except DecodeError:
        return
    codec().to_json(message(type_name), data)
    assert shown.keys() >= codec().default(message(type_name)).keys()


def test_fields_in_any_order_and_in_parts() -> None:
    descriptor = message("lab.All")
    shown = codec().decode(descriptor, b"\x72\x01a\x18\x05\x92\x01\x03\x0a\x01n\x18\x06\x92\x01\x02\x10\x07\x72\x01b")
    assert (shown["fString"], shown["fInt32"]) == ("b", 6)
    assert shown["fSub"] == {"name": "n", "value": 7, "child": None}


def test_the_last_field_of_a_oneof_wins() -> None:
    descriptor = message("lab.All")
    text, number, sub = b"\xc2\x02\x01a", b"\xc8\x02\x05", b"\xd2\x02\x02\x10\x01"
    choices = ("cString", "cInt32", "cSub", "cNull")

    def chosen(data: bytes) -> dict[str, object]:
        return {key: value for key, value in codec().decode(descriptor, data).items() if key in choices}

    assert chosen(text + number) == {"cInt32": 5}
    assert chosen(sub + text) == {"cString": "a"}
    assert chosen(text + sub) == {"cSub": {"name": "", "value": 1, "child": None}}
    merged = chosen(sub + b"\xd2\x02\x03\x0a\x01n")
    assert merged == {"cSub": {"name": "n", "value": 1, "child": None}}
    afresh = chosen(sub + number + b"\xd2\x02\x03\x0a\x01n")
    assert afresh == {"cSub": {"name": "n", "value": 0, "child": None}}


def test_paths_of_field_masks_are_read_in_linear_time_whatever_they_hold() -> None:
    path = b"a" * 100_000 + b"_"
    start = time.process_time()
    with pytest.raises(DecodeError, match="cannot be written in lowerCamelCase"):
        codec().decode(message("google.protobuf.FieldMask"), b"\x0a\xa1\x8d\x06" + path)
    assert time.process_time() - start < 1


def test_the_paths_of_a_field_mask_on_the_wire() -> None:
    data = codec().encode(message("lab.Wkt"), {"mask": "fooBar.*,labels.`Foo_b`"})
    assert data == b"\x1a\x1b\x0a\x09foo_bar.*\x0a\x0elabels.`Foo_b`"
    assert codec().decode(message("lab.Wkt"), data)["mask"] == "fooBar.*,labels.`Foo_b`"


def test_every_null_value_is_null() -> None:
    """NullValue is an open enum with one value; ProtoJSON has nothing but null for it."""
    source = """
    syntax = "proto3"; package nulls; import "google/protobuf/struct.proto";
    message Nulls { google.protobuf.NullValue one = 1; repeated google.protobuf.NullValue many = 2;
      map<string, google.protobuf.NullValue> by_name = 3; google.protobuf.Value value = 4;
      oneof choice { google.protobuf.NullValue chosen = 5; } optional google.protobuf.NullValue set = 6; }
    """
    nulls = Registry()
    for file in compile_sources(["nulls.proto"], sources={"nulls.proto": source}):
        nulls.add_file(file)
    data = b"\x08\x05\x12\x02\x00\x07\x10\x09\x1a\x05\x0a\x01k\x10\x05\x22\x02\x08\x05\x28\x05\x30\xff\xff\xff\xff\x0f"
    shown = {"one": None, "many": [None] * 3, "byName": {"k": None}, "value": None, "chosen": None, "set": None}
    for taking in (Codec(nulls), Codec(nulls, enum_numbers=True), Codec(nulls, values="native")):
        assert taking.decode(nulls.message("nulls.Nulls"), data) == shown


def test_lists_in_the_other_encoding() -> None:
    descriptor = message("lab.All")
    shown = codec().decode(descriptor, b"\xa2\x01\x02\x01\x02\xa0\x01\x03\xa2\x01\x01\x04\xb8\x01\x02\xba\x01\x01\x01")
    assert (shown["rInt32"], shown["rColor"]) == ([1, 2, 3, 4], ["GREEN", "RED"])
    assert codec().decode(message("lab2.Old"), b"\x3a\x02\x01\x02\x38\x01\x40\x02")["kinds"] == ["A", "B", "A"]


def test_numbers_without_a_name_in_closed_enums_are_unknown_fields() -> None:
    descriptor = message("lab2.Old")
    data = b"\x30\x07\x38\x01\x38\x07\x42\x03\x01\x07\x02\x4a\x06\x0a\x01k\x10\xe7\x07"
    shown = codec().decode(descriptor, data)
    assert (shown["kind"], shown["kinds"], shown["packedKinds"], shown["kindMap"]) == (None, ["A"], ["A", "B"], {})
    keeping = Codec(registry(), unknown_fields="keep", values="native")
    kept = keeping.decode(descriptor, data)[UNKNOWN_FIELDS]
    assert kept == b"\x30\x07\x38\x07\x40\x07\x4a\x06\x0a\x01k\x10\xe7\x07"
    with pytest.raises(DecodeError, match="unknown number 7"):
        Codec(registry(), unknown_fields="refuse").decode(descriptor, b"\x30\x07")


def test_unknown_fields() -> None:
    descriptor = message("lab.Sub")
    data = b"\x0a\x01n\x7d\1\2\3\4\xa3\x06\x08\x01\xa4\x06\x1a\x03\xa0\x06\x05"
    assert codec().decode(descriptor, data) == {
        "name": "n",
        "value": 0,
        "child": {"name": "", "value": 0, "child": None},
    }
    keeping = Codec(registry(), unknown_fields="keep")
    shown = keeping.decode(descriptor, data)
    assert shown[UNKNOWN_FIELDS] == "fQECAwSjBggBpAY="
    assert keeping.decode(descriptor, keeping.encode(descriptor, shown)) == shown
    assert keeping.encode(descriptor, {"value": 1, UNKNOWN_FIELDS: b"\xa0\x06\x05"}) == b"\x10\x01\xa0\x06\x05"
    with pytest.raises(DecodeError, match="message: unknown field with the number 15"):
        Codec(registry(), unknown_fields="refuse").decode(descriptor, data)


def nested(levels: int) -> bytes:
    data = b""
    for _ in range(levels):
        size = len(data)
        length = bytes((size,)) if size < 128 else bytes((size & 127 | 128, size >> 7))
        data = b"\x1a" + length + data
    return data


def test_depth_is_limited() -> None:
    descriptor = message("lab.Sub")
    codec().decode(descriptor, nested(100))
    with pytest.raises(DecodeError, match="nested too deep"):
        codec().decode(descriptor, nested(101))
    shallow = Codec(registry(), max_depth=3)
    shallow.decode(descriptor, nested(3))
    with pytest.raises(DecodeError, match=r"message.child.child.child.child: nested too deep"):
        shallow.decode(descriptor, nested(4))


def test_a_depth_beyond_the_stack_is_an_error_and_no_more() -> None:
    descriptor = message("lab.Sub")
    with pytest.raises(DecodeError, match="nested too deep"):
        Codec(registry(), max_depth=1_000_000).decode(descriptor, nested(3000))


def test_large_bytes_are_copied_once() -> None:
    descriptor, size = message("lab.All"), 1_000_000
    raw = b"\0" * size
    for made, shown, shown_size in (
        (Codec(registry(), values="native", emit_defaults=False), raw, size),
        (Codec(registry(), emit_defaults=False), "AAAA" * (size // 3), size * 4 // 3),
    ):
        data = made.encode(descriptor, {"fBytes": shown})
        made.decode(descriptor, data)
        tracemalloc = pytest.importorskip("tracemalloc")
        tracemalloc.start()
        try:
            made.encode(descriptor, {"fBytes": shown})
            encoding = tracemalloc.get_traced_memory()[1]
            tracemalloc.reset_peak()
            made.decode(descriptor, data)
            decoding = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        base64 = (
            0 if shown is raw else shown_size
        )  # binascii makes bytes; of these a str is made, or a part of the message
        assert encoding < size + base64 + 50_000
        assert decoding < shown_size + base64 + 50_000


def test_parts_of_parts_do_not_cost_more_than_their_length() -> None:
    data = b""
    for _ in range(40):
        part = b"\x1a" + (bytes((len(data),)) if len(data) < 128 else bytes((len(data) & 127 | 128, len(data) >> 7)))
        data = (part + data + b"\x1a\x00") if len(data) < 16000 else data
    start = time.process_time()
    codec().decode(message("lab.Sub"), data)
    codec().decode(message("lab.Sub"), b"\x1a\x02\x10\x01" * 50_000)
    codec().decode(message("lab.Wkt"), b"\x1a\x03\x0a\x01a" * 50_000)
    codec().decode(message("lab.Wkt"), b"\x22\x06\x0a\x04\x0a\x00\x12\x00" * 50_000)
    assert time.process_time() - start < 20
