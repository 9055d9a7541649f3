"""Messages in groups: found, nested, split and hostile."""

from __future__ import annotations

from functools import cache

import pytest
from google.protobuf.message import DecodeError as ProtobufDecodeError
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from tests.codec.lab import WITH_EDITIONS
from tests.codec.schemas import FEATURES, files, fill, registry_of

from puregrpc.codec import Codec
from puregrpc.codec.wire_format import tags_and_varints
from puregrpc.errors import DecodeError
from puregrpc.proto import compile as compile_sources
from puregrpc.schema import Registry

SOURCE = """
edition = "2023";
package grouped;
option features.message_encoding = DELIMITED;
message Tree {
  Tree one = 1; repeated Tree list = 2; oneof choice { Tree chosen = 3; int32 number = 4; }
  Tree prefixed = 5 [features.message_encoding = LENGTH_PREFIXED]; int32 leaf = 6; string text = 7; Tree far = 2000;
  MORE
}
"""
DEPTH = 90
LEAVES = 200
PATTERNS = [["one"], ["list"], ["chosen"], ["far"], ["split"], ["one", "prefixed"], ["split", "list"]]


@cache
def trees(more: int = 0) -> Registry:
    fields = " ".join(f"int32 more_{number} = {number + 3000};" for number in range(more))
    made = Registry()
    (file,) = compile_sources(["g.proto"], sources={"g.proto": SOURCE.replace("MORE", fields)})
    made.add_file(file)
    return made


def in_groups(number: int, content: bytes) -> bytes:
    return tags_and_varints.tag_bytes(number, 3) + content + tags_and_varints.tag_bytes(number, 4)


def prefixed(content: bytes) -> bytes:
    return b"\x2a" + tags_and_varints.varint(len(content)) + content


def nested(levels: list[str]) -> bytes:
    """Groups in groups in fields of these names, each level as it says."""
    data = b"\x30\x01" * LEAVES
    for level in levels:
        number = {"one": 1, "list": 2, "chosen": 3, "far": 2000}.get(level)
        if level == "split":
            data = in_groups(1, b"\x30\x02") + in_groups(1, data) + in_groups(1, b"\x3a\x01x")
        else:
            data = prefixed(data) if number is None else in_groups(number, data)
    return data


@WITH_EDITIONS
@pytest.mark.parametrize("more", [0, 70], ids=["small", "large"])
@pytest.mark.parametrize("pattern", PATTERNS, ids="-".join)
def test_groups_are_looked_through_a_few_times_and_not_once_for_each_level(
    more: int, pattern: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = [pattern[level % len(pattern)] for level in range(DEPTH)]
    registry = trees(more)
    descriptor = registry.message("grouped.Tree")
    data = nested(levels)
    expected = registry.message_class(descriptor).FromString(data)
    looked = 0
    skip = tags_and_varints.skip

    def counting(*arguments: object) -> int:
        nonlocal looked
        looked += 1
        return skip(*arguments)  # type: ignore[arg-type]  # what it was called with

    codec = Codec(registry, emit_defaults=False, max_depth=DEPTH)
    codec.decode(descriptor, b"")
    monkeypatch.setattr(tags_and_varints, "skip", counting)
    shown = codec.decode(descriptor, data)
    assert looked < 3 * (LEAVES + 4 * DEPTH)
    assert registry.message_class(descriptor).FromString(codec.encode(descriptor, shown)) == expected
    with pytest.raises(DecodeError, match="nested too deep"):
        Codec(registry, max_depth=DEPTH - 1).decode(descriptor, data)


@WITH_EDITIONS
@given(st.lists(st.sampled_from(["one", "list", "chosen", "split", "prefixed"]), max_size=6), st.data())
def test_damaged_groups_are_what_google_protobuf_says(levels: list[str], data: st.DataObject) -> None:
    registry = trees()
    descriptor = registry.message("grouped.Tree")
    damaged = bytearray(nested(levels))
    for _ in range(data.draw(st.integers(0, 3))):
        end = data.draw(st.sampled_from([4, len(damaged)]))
        position = data.draw(st.integers(0, min(end, len(damaged))))
        damaged[position : position + data.draw(st.integers(0, 1))] = data.draw(
            st.sampled_from([b"", b"\x0b", b"\x0c", b"\x13", b"\x14", b"\x2a", b"\x2a\x02", b"\x30", b"\x8b\x80\x00"])
        )
    try:
        expected = registry.message_class(descriptor).FromString(bytes(damaged))
    except ProtobufDecodeError:
        expected = None
    codec = Codec(registry, emit_defaults=False, values="native", unknown_fields="keep")
    try:
        shown = codec.decode(descriptor, bytes(damaged))
    except DecodeError as error:
        shown = error
    if isinstance(shown, DecodeError):
        assert expected is None or "the number 0" in shown.problem
    else:
        assert expected is not None
        assert registry.message_class(descriptor).FromString(codec.encode(descriptor, shown)) == expected


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Registry, Message, Message]:
    file = draw(files(well_known=False))
    if file.syntax == "editions":
        file.options.features.message_encoding = FEATURES.DELIMITED
    registry = registry_of(file)
    message_class = registry.message_class(registry.message("r.M0"))
    first, second = message_class(), message_class()
    fill(draw, first)
    fill(draw, second)
    return registry, first, second


@WITH_EDITIONS
@given(pairs())
def test_noted_ends_are_the_ends(pair: tuple[Registry, Message, Message]) -> None:
    """Of every group, however small, in messages that are two messages joined."""
    registry, first, second = pair
    descriptor = registry.message("r.M0")
    whole = first.SerializeToString() + second.SerializeToString()
    codec = Codec(registry, emit_defaults=False, values="native")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("puregrpc.codec.wire_format.groups.SMALL_GROUP", -1)
        patch.setattr("puregrpc.codec.wire_format.tags_and_varints.SMALL_GROUP", -1)
        shown = codec.decode(descriptor, whole)
    assert repr(shown) == repr(codec.decode(descriptor, whole))
    again = type(first).FromString(codec.encode(descriptor, shown)).SerializeToString(deterministic=True)
    assert again == type(first).FromString(whole).SerializeToString(deterministic=True)
