"""Examples and templates of messages: they can be encoded, and they are bounded for every schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import pytest

from puregrpc.codec import Codec
from puregrpc.codec.samples import MAX_DEPTH, MAX_FIELDS, example, template
from puregrpc.proto import compile as compile_proto
from puregrpc.proto.descriptors import MessageDescriptor
from puregrpc.schema import Registry

KNOWN = [
    "google/protobuf/api.proto",
    "google/protobuf/compiler/plugin.proto",
    "google/protobuf/descriptor.proto",
    "google/protobuf/struct.proto",
    "google/protobuf/type.proto",
    "google/protobuf/wrappers.proto",
    "google/rpc/error_details.proto",
    "google/rpc/status.proto",
    "google/api/http.proto",
]


def messages(declared: Sequence[MessageDescriptor]) -> Iterator[MessageDescriptor]:
    for message in declared:
        if not message.is_map_entry:
            yield message
        yield from messages(message.nested_types)


def compiled(body: str) -> Registry:
    registry = Registry()
    for file in compile_proto(["a.proto"], sources={"a.proto": body}):
        registry.add_file(file)
    return registry


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_made_can_be_encoded(name: str) -> None:
    registry = Registry()
    for file in compile_proto([name, "google/protobuf/wrappers.proto", "google/protobuf/duration.proto"]):
        registry.add_file(file)
    codec = Codec(registry)
    for message in messages(registry.files[name].messages):
        for make in (example, template):
            text = json.dumps(make(message))
            assert codec.to_json(message, codec.from_json(message, text))
            assert json.dumps(make(message)) == text


def test_the_first_member_of_a_oneof_that_can_be_filled() -> None:
    registry = compiled('syntax = "proto3"; message A { oneof x { A a = 1; string b = 2; string c = 3; } }')
    assert example(registry.message("A")) == {"b": "b"}
    assert template(registry.message("A")) == {"a": {}}


def test_an_enum_without_another_value_and_a_map_of_bool() -> None:
    registry = compiled('syntax = "proto3"; enum E { ONLY = 0; } message A { E e = 1; map<bool, E> m = 2; }')
    assert example(registry.message("A")) == {"e": "ONLY", "m": {"true": "ONLY"}}


def test_required_fields_are_there() -> None:
    registry = compiled(
        'syntax = "proto2"; message A { optional B b = 1; required int32 n = 2; optional group G = 3 {'
        " optional A a = 1; required E e = 2; } enum E { X = 3; Y = 0; } } message B { required A a = 1; }"
    )
    made = example(registry.message("A"))
    assert made == {"n": 1, "g": {"e": "X"}}
    assert Codec(registry).encode(registry.message("A"), {"n": 1, "g": {"e": "X"}})
    assert example(registry.message("B")) == {"a": {"n": 1, "g": {"e": "X"}}}


def depth(value: object) -> int:
    return 1 + max(map(depth, value.values()), default=0) if isinstance(value, dict) else 0


def test_a_deep_schema() -> None:
    types = "".join(f"message M{n} {{ M{n + 1} inner = 1; }}" for n in range(300))
    registry = compiled(f'syntax = "proto3"; {types} message M300 {{}}')
    assert depth(example(registry.message("M0"))) == MAX_DEPTH
    assert Codec(registry).encode(registry.message("M0"), {"inner": example(registry.message("M1"))})


def test_types_that_contain_each_other_in_many_ways() -> None:
    fields = "".join(f"M{n} m{n} = {n + 1};" for n in range(30))
    types = "".join(f"message M{n} {{ {fields} }}" for n in range(30))
    registry = compiled(f'syntax = "proto3"; {types}')
    for make in (example, template):
        assert len(json.dumps(make(registry.message("M0")))) < MAX_FIELDS * 40
