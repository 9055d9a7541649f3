"""What a later part of a message replaces or completes has to be valid by itself, as google.protobuf has it."""

from __future__ import annotations

from functools import cache

import pytest
from google.protobuf.message import DecodeError as ProtobufDecodeError
from hypothesis import example, given
from hypothesis import strategies as st
from tests.codec.lab import WITH_EDITIONS, codec, message

from puregrpc.codec import Codec
from puregrpc.errors import DecodeError
from puregrpc.proto import compile as compile_sources
from puregrpc.schema import Registry

FIELDS = """
  oneof choice { string text = 1; int32 number = 2; Sub sub = 3; Sub group = 4 [features.message_encoding = DELIMITED];
    google.protobuf.Value value = 5; Sub other = 70; }
  Sub single = 6; map<string, Sub> by_name = 7; Sub single_group = 8 [features.message_encoding = DELIMITED];
  google.protobuf.Value any_value = 9; google.protobuf.Struct struct = 10;
"""
SOURCE = f"""
edition = "2023"; package replaced;
import "google/protobuf/struct.proto";
message Sub {{ string name = 1; int32 value = 2; Sub child = 3; }}
message Small {{ {FIELDS} }}
message Large {{ {FIELDS} {" ".join(f"int32 f{number} = {number};" for number in range(100, 200))} }}
"""


@cache
def registry() -> Registry:
    made = Registry()
    for file in compile_sources(["replaced.proto"], sources={"replaced.proto": SOURCE}):
        made.add_file(file)
    return made


CONTENTS = (
    b"", b"\x0a\x01n", b"\x10\x05", b"\x0a\x01\xff", b"\x10\x80", b"\x10", b"\x01", b"\x0a\x05ab", b"\x1a\x02\x10\x80",
    b"\x1a\x03\x0a\x01\xff", b"\x1a\x02\x10\x07", b"\x7b\x7c", b"\x7b", b"\x00",
)  # fmt: skip
"""Of a Sub: valid, not UTF-8, cut in several ways, with groups, with the field 0."""
VALUES = (
    b"\x32\x00",
    b"\x2a\x00",
    b"\x32\x02\x0a\x01",
    b"\x2a\x03\x0a\x01\x0a",
    b"\x1a\x01\xff",
    b"\x1a\x01a",
    b"\x08",
)


def delimited(number: int, content: bytes) -> bytes:
    tag = number << 3 | 2
    head = bytes((tag,)) if tag < 128 else bytes((tag & 127 | 128, tag >> 7))
    return head + bytes((len(content),)) + content


SUBS = st.sampled_from(CONTENTS)
PIECES = st.one_of(
    st.sampled_from([b"\x0a\x01a", b"\x10\x05", b"\xa0\x06\x01", b"\xc0\x3e\x01"]),
    st.builds(delimited, st.sampled_from([3, 6, 70]), SUBS),
    st.builds(lambda tag, content: bytes((tag,)) + content + bytes((tag + 1,)), st.sampled_from([0x23, 0x43]), SUBS),
    st.builds(delimited, st.sampled_from([5, 9]), st.sampled_from(VALUES)),
    st.builds(lambda first, more: delimited(7, b"\x0a\x01k" + delimited(2, first) + more), SUBS, st.just(b"")),
    st.builds(lambda one, two: delimited(7, delimited(2, one) + delimited(2, two)), SUBS, SUBS),
    st.builds(
        lambda one, two: delimited(10, delimited(1, delimited(2, one) + delimited(2, two))),
        st.sampled_from(VALUES),
        st.sampled_from(VALUES),
    ),
)


@WITH_EDITIONS
@pytest.mark.parametrize("name", ["Small", "Large"])
@given(st.lists(PIECES, max_size=5).map(b"".join))
@example(delimited(6, b"\x10\x80") + delimited(6, b"\x01"))
@example(delimited(3, b"\x10\x80") + b"\x10\x05")
@example(delimited(3, b"\x10\x80") + b"\x10\x05" + delimited(3, b""))
@example(delimited(5, b"\x32\x02\x0a\x01\x1a\x01a"))
def test_what_google_protobuf_refuses_is_refused(name: str, data: bytes) -> None:
    descriptor = registry().message(f"replaced.{name}")
    try:
        registry().message_class(descriptor).FromString(data)
        accepted = True
    except (ProtobufDecodeError, UnicodeError):  # the pure backend raises the latter
        accepted = False
    codec = Codec(registry())
    if accepted:
        codec.decode(descriptor, data)
    else:
        with pytest.raises(DecodeError):
            codec.decode(descriptor, data)


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("Small", delimited(3, b"\x0a\x01\xff") + b"\x10\x05", "message.sub.name: invalid UTF-8"),
        ("Small", delimited(3, b"\x0a\x01\xff") + b"\x10\x05" + delimited(3, b""), "message.sub.name: invalid UTF-8"),
        ("Large", delimited(3, b"\x0a\x01\xff") + b"\x10\x05", "message.sub.name: invalid UTF-8"),
        ("Large", delimited(3, b"\x0a\x01\xff") + delimited(70, b""), "message.sub.name: invalid UTF-8"),
        ("Small", delimited(6, b"\x0a\x02a") + delimited(6, b"b"), "message.single: truncated"),
    ],
)
def test_the_error_names_the_field_that_was_replaced(name: str, data: bytes, problem: str) -> None:
    with pytest.raises(DecodeError) as caught:
        Codec(registry()).decode(registry().message(f"replaced.{name}"), data)
    assert str(caught.value).startswith(problem)


def test_unknown_fields_in_what_is_replaced_are_refused() -> None:
    data = delimited(3, b"\x78\x01") + b"\x10\x05"
    for name in ("Small", "Large"):
        descriptor = registry().message(f"replaced.{name}")
        assert Codec(registry(), emit_defaults=False).decode(descriptor, data) == {"number": 5}
        with pytest.raises(DecodeError, match=r"message\.sub: unknown field with the number 15"):
            Codec(registry(), unknown_fields="refuse").decode(descriptor, data)


def test_parts_of_an_extension_in_a_message_set_are_whole() -> None:
    item = b"\x0b\x10\xe8\x07\x1a\x02\x0a\x05\x0c"
    with pytest.raises(DecodeError, match="truncated"):
        codec().decode(message("lab2.Set"), item + b"\x0b\x10\xe8\x07\x1a\x05abcde\x0c")
