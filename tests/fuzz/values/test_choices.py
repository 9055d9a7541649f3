"""Messages are made of choices: made again from them, made smaller with them, and always valid by the schema."""

from __future__ import annotations

from random import Random

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from puregrpc.fuzz.cases.damage import damaged
from puregrpc.fuzz.values.choices import Choices, Directed, mutated, shrink
from puregrpc.fuzz.values.generate import Generator
from puregrpc.fuzz.values.shapes import covers, shape_of
from puregrpc.proto.descriptors import MessageDescriptor
from puregrpc.schema import Registry, load_files

SOURCE = """
syntax = "proto2"; package a;
import "google/protobuf/any.proto"; import "google/protobuf/timestamp.proto"; import "google/protobuf/struct.proto";
message All {
  required int32 must = 1; optional string name = 2; repeated int64 numbers = 3 [packed = true];
  optional All child = 4;
  map<string, Item> items = 5; optional google.protobuf.Timestamp at = 6; optional google.protobuf.Any any = 7;
  oneof choice { bytes octets = 8; Item item = 9; double ratio = 10; } optional Kind kind = 11;
  repeated group Part = 12 { optional fixed32 size = 13; } optional google.protobuf.Struct json = 14;
  optional float f = 15; optional sint64 z = 16; repeated string tags = 17; optional bool ok = 18;
  extensions 100 to 200;
}
extend All { optional uint64 extra = 100; }
enum Kind { ONE = 1; TWO = 2; }
message Item { optional string id = 1; optional uint32 page_size = 2; repeated Item more = 3; }
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    folder = tmp_path_factory.mktemp("protos")
    (folder / "all.proto").write_text(SOURCE)
    registry = Registry()
    load_files(registry, [folder], "all.proto")
    return registry


@pytest.fixture(scope="module")
def everything(registry: Registry) -> MessageDescriptor:
    return registry.message("a.All")


@given(seed=st.integers(0, 1 << 32))
def test_made_again_from_the_same_choices(registry: Registry, everything: MessageDescriptor, seed: int) -> None:
    generator = Generator(registry)
    choices = Choices(Random(seed))
    octets = generator.message(everything, choices)
    registry.message_class(everything).FromString(octets)
    again = Choices(None, choices.drawn)
    assert generator.message(everything, again) == octets
    assert again.drawn == choices.drawn
    other = Choices(Random(seed), mutated(choices.drawn, Random(seed)))
    registry.message_class(everything).FromString(generator.message(everything, other))


def test_every_boundary_is_reached_and_valid(registry: Registry, everything: MessageDescriptor) -> None:
    generator = Generator(registry)
    parse = registry.message_class(everything).FromString
    seen: set[object] = set()
    for path, plan in generator.paths(everything):
        for target, value in generator.boundaries(path, plan)[:40]:
            choices = Directed({target: value}, fill=value % 2 == 0)
            octets = generator.message(everything, choices)
            message = parse(octets)
            seen.add(message.must)  # type: ignore[attr-defined]
            assert generator.message(everything, Choices(None, choices.drawn)) == octets
    assert {0, 1, -1, 2**31 - 1, -(2**31)} <= seen


def test_all_zeros_are_the_simplest(registry: Registry, everything: MessageDescriptor) -> None:
    assert Generator(registry).message(everything, Choices()) == b"\x08\x00"


@pytest.mark.parametrize("seed", range(4))
def test_what_fails_is_made_smaller(registry: Registry, everything: MessageDescriptor, seed: int) -> None:
    generator = Generator(registry)
    parse = registry.message_class(everything).FromString
    calls = 0

    def is_bad(octets: bytes) -> bool:
        message = parse(octets)
        return bool(message.item.page_size > 1000)  # type: ignore[attr-defined]

    def fails(drawn: object) -> Choices | None:
        nonlocal calls
        calls += 1
        choices = Choices(None, list(drawn))  # type: ignore[call-overload]
        return choices if is_bad(generator.message(everything, choices)) else None

    random = Random(seed)
    found = Choices(random)
    for _ in range(1000):
        found = Choices(random)
        if is_bad(generator.message(everything, found)):
            break
    else:
        pytest.fail("not found in 1000 messages")
    smallest = shrink(found, fails)
    assert calls <= 100
    octets = generator.message(everything, Choices(None, smallest.drawn))
    assert is_bad(octets)
    assert shape_of(everything, octets) == {(1,), (9, 2)}


def test_shapes_cover_what_is_inside_them() -> None:
    assert covers(frozenset({(1,)}), frozenset({(1, 2), (3,)}))
    assert covers(frozenset(), frozenset({(3,)}))
    assert not covers(frozenset({(1, 2)}), frozenset({(1,)}))


def test_damage_is_at_every_field(registry: Registry, everything: MessageDescriptor) -> None:
    generator = Generator(registry)
    all_of_them = list(damaged(generator, everything))
    about = " ".join(one.about for one in all_of_them)
    for kind in (
        "wire type 0",
        "beyond the end",
        "invalid UTF-8",
        "nested 1000 deep",
        "group",
        "length of",
    ):
        assert kind in about
    parse = registry.message_class(everything).FromString
    for one in all_of_them:
        if one.expects == "refusal":
            with pytest.raises(DecodeError):
                parse(one.octets)
