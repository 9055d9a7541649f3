"""Generated functions: no text of a descriptor in them, few frames, any number of fields, any number of threads."""

from __future__ import annotations

import contextlib
import inspect
import sys
import threading

import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given
from hypothesis import strategies as st
from tests.codec.lab import codec, message, registry
from tests.codec.schemas import files
from tests.schema.test_hostile_descriptors import change_something

from puregrpc.codec import Codec
from puregrpc.codec.generation.compiler import Compiler
from puregrpc.codec.options import Options
from puregrpc.errors import DecodeError, EncodeError, SchemaError
from puregrpc.schema import Registry

FIELD = descriptor_pb2.FieldDescriptorProto

NASTY = [
    "'",
    '"',
    "\\",
    "\n",
    "'''",
    '"""',
    "{}",
    "%s",
    "#",
    "\r\n import os",
    "'); raise SystemExit #",
    "None",
    "__class__",
    "lambda",
    "\u2028",
    "d",
    "self",
    "[",
    "K0",
    " ",
]


def nasty_file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="nasty.proto", package="nasty", syntax="proto2")
    nasty = file.message_type.add(name="__init__")
    for index, name in enumerate(NASTY):
        field = nasty.field.add(name=f"f{index}", number=index + 1, type=FIELD.TYPE_STRING, label=1, json_name=name)
        field.default_value = name
    for index, name in enumerate(["class", "__import__", "None", "True", "exec"]):
        nasty.field.add(name=name, number=index + 100, type=FIELD.TYPE_INT32, label=1, json_name=f"{name}!")
    return file


def test_names_from_descriptors_are_constants_and_nothing_else() -> None:
    made = Registry()
    made.add_file_descriptor_proto(nasty_file())
    descriptor = made.message("nasty.__init__")
    codec_of = Codec(made, emit_defaults=False)
    value = {field.json_name: 5 if field.number >= 100 else "x" for field in descriptor.fields}
    data = codec_of.encode(descriptor, value)
    assert codec_of.decode(descriptor, data) == value
    assert made.message_class(descriptor).FromString(data).SerializeToString() == data
    compiler = Compiler(made, Options())
    names = [field.json_name for field in descriptor.fields if len(field.json_name) > 4]
    for source in (*compiler.encoder_sources(descriptor), *compiler.decoder_sources(descriptor)):
        text = "\n".join(source.lines)
        assert text.isascii()
        assert not [name for name in names if name in text]
        listing = source.listing()
        comments = [line for line in listing.splitlines() if line.lstrip().startswith("#")]
        assert [line for line in listing.splitlines() if line not in comments] == text.splitlines()


def test_the_listing_puts_the_names_back() -> None:
    listing = codec().generated_source(message("lab.Sub"), "encode")
    assert "# 'value'" in listing
    assert "# K1 = 'value'" in listing
    assert "def generated(d, depth):" in listing
    assert "def generated(data, i, end, depth):" in codec().generated_source(message("lab.Sub"), "decode")
    assert codec().generated_source(registry().message("google.protobuf.Timestamp"), "decode") == ""


def depth_of_stack() -> int:
    return len(inspect.stack(0))


def test_two_frames_for_a_level() -> None:
    """100 levels, of messages, lists, maps and groups, with 230 frames to spare."""
    descriptor = message("lab.Ping")
    ping: dict[str, object] = {}
    for level in range(49):
        pong = {"ping": ping}
        ping = {"pongs": [pong]} if level % 3 == 1 else {"pong": pong}
    codec().encode(descriptor, {"byName": {"a": {"ping": {"pong": {}}}}})
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(depth_of_stack() + 230)
    try:
        data = codec().encode(descriptor, ping)
        shown = codec().decode(descriptor, data)
    finally:
        sys.setrecursionlimit(limit)
    assert shown["pong"] or shown["pongs"]


def test_a_message_that_contains_itself_is_refused() -> None:
    value: dict[str, object] = {}
    value["child"] = value
    with pytest.raises(EncodeError, match="nested too deep"):
        codec().encode(message("lab.Sub"), value)
    struct: dict[str, object] = {}
    struct["a"] = [struct]
    with pytest.raises(EncodeError, match="nested too deep"):
        codec().encode(message("lab.Wkt"), {"struct": struct})
    with pytest.raises(EncodeError, match="nested too deep"):
        Codec(registry(), max_depth=1 << 30).encode(message("lab.Sub"), value)
    with pytest.raises(EncodeError, match="nested too deep"):
        Codec(registry(), max_depth=1 << 30).encode(message("lab.Wkt"), {"struct": struct})


def large_file(count: int) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="large.proto", package="large", syntax="proto3")
    large = file.message_type.add(name="Large")
    large.oneof_decl.add(name="choice")
    kinds = [FIELD.TYPE_INT32, FIELD.TYPE_STRING, FIELD.TYPE_MESSAGE, FIELD.TYPE_BYTES, FIELD.TYPE_INT64]
    for index in range(count):
        kind = kinds[index % 5]
        number = index + 1 if index < 18999 else index + 1001
        field = large.field.add(name=f"f{index}", number=number, type=kind, label=1)
        if kind == FIELD.TYPE_MESSAGE:
            field.type_name = ".large.Large"
        if index % 7 == 0:
            field.label = FIELD.LABEL_REPEATED
        elif index % 11 == 0:
            field.oneof_index = 0
    return file


@pytest.mark.parametrize("count", [64, 65, 200, pytest.param(100_000, marks=pytest.mark.slow)])
def test_messages_of_many_fields(count: int) -> None:
    made = Registry()
    made.add_file_descriptor_proto(large_file(count))
    descriptor = made.message("large.Large")
    large = Codec(made, emit_defaults=False, unknown_fields="keep")
    last = f"f{next(n for n in range(count - 1, 0, -1) if n % 5 == 1 and n % 7 and n % 11)}"
    value: dict[str, object] = {
        "f0": [1, 300],
        "f3": "AQ==",
        "f2": {"f1": "x", "f2": {"f8": "Ag=="}},
        "f7": [{"f1": "y"}, {}],
        "f55": 5,
        last: "last",
    }
    data = large.encode(descriptor, value)
    assert large.decode(descriptor, data) == value
    assert large.encode(descriptor, {**value, "[unknown fields]": b"\xf8\xff\xff\xff\x0f\x05"}) == data + (
        b"\xf8\xff\xff\xff\x0f\x05"
    )
    assert large.decode(descriptor, data + b"\xf8\xff\xff\xff\x0f\x05")["[unknown fields]"] == "+P///w8F"
    parts = b"\x1a\x03\x12\x01a" + b"\xb8\x03\x05" + b"\x1a\x03\x22\x01b" + b"\xb2\x01\x00" + b"\x02\x02\x00\x07"[:0]
    assert large.decode(descriptor, parts)["f2"] == {"f1": "a", "f3": "Yg=="}
    first, second = large.encode(descriptor, {"f22": {"f1": "a"}}), large.encode(descriptor, {"f55": 1})
    assert large.decode(descriptor, first + second) == {"f55": 1}
    assert large.decode(descriptor, second + first) == {"f22": {"f1": "a"}}
    with pytest.raises(EncodeError, match=r"request.f55: another field of the oneof 'choice' is set, too"):
        large.encode(descriptor, {"f22": {}, "f55": 1})
    with pytest.raises(EncodeError, match=r"request.f2.f2.f0\[1\]: int32 expected, not 'x'"):
        large.encode(descriptor, {"f2": {"f2": {"f0": [1, "x"]}}})
    with pytest.raises(DecodeError, match=r"message.f2.f1: invalid UTF-8"):
        large.decode(descriptor, b"\x1a\x03\x12\x01\xff")
    with pytest.raises(EncodeError, match=r"request: no field 'nope'"):
        large.encode(descriptor, {"nope": 1})
    shown = Codec(made).default(descriptor)
    assert (shown["f0"], shown["f1"], shown["f2"]) == ([], "", None)


def test_one_codec_in_many_threads() -> None:
    for _ in range(5):
        fresh = Codec(registry())
        barrier = threading.Barrier(8)
        results: list[object] = []

        def work(fresh: Codec = fresh, barrier: threading.Barrier = barrier, results: list[object] = results) -> None:
            barrier.wait()
            data = fresh.encode(message("lab.Ping"), {"pong": {"ping": {"pongs": [{"ping": {}}]}}})
            results.append(fresh.decode(message("lab.Ping"), data)["pong"]["ping"]["pongs"][0]["ping"]["pongs"])

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [[]] * 8


def test_extensions_that_come_later_are_known_from_then_on() -> None:
    made = Registry()
    base = descriptor_pb2.FileDescriptorProto(name="base.proto", package="b", syntax="proto2")
    base.message_type.add(name="M").extension_range.add(start=100, end=200)
    made.add_file_descriptor_proto(base)
    late = Codec(made)
    assert late.decode(made.message("b.M"), b"\xa0\x06\x05") == {}
    more = descriptor_pb2.FileDescriptorProto(
        name="more.proto", package="b", syntax="proto2", dependency=["base.proto"]
    )
    more.extension.add(name="e", number=100, extendee=".b.M", type=FIELD.TYPE_INT32, label=1)
    made.add_file_descriptor_proto(more)
    assert late.decode(made.message("b.M"), b"\xa0\x06\x05") == {"[b.e]": 5}
    assert late.encode(made.message("b.M"), {"[b.e]": 5}) == b"\xa0\x06\x05"


def test_types_in_missing_files_are_named() -> None:
    made = Registry()
    file = descriptor_pb2.FileDescriptorProto(name="a.proto", package="a", syntax="proto3", dependency=["lost.proto"])
    file.message_type.add(name="M").field.add(name="x", number=1, type=FIELD.TYPE_MESSAGE, type_name=".l.T", label=1)
    made.add_file_descriptor_proto(file)
    lacking = Codec(made)
    assert lacking.default(made.message("a.M")) == {"x": None}
    with pytest.raises(EncodeError, match=r"request.x: the type l.T is not in the schema"):
        lacking.encode(made.message("a.M"), {"x": {}})
    with pytest.raises(DecodeError, match=r"message.x: the type l.T is not in the schema"):
        lacking.decode(made.message("a.M"), b"\x0a\x00")


@given(files(well_known=False), st.data())
def test_descriptors_with_anything_changed_still_make_codecs(
    file: descriptor_pb2.FileDescriptorProto, data: st.DataObject
) -> None:
    for _ in range(data.draw(st.integers(1, 4))):
        change_something(data.draw, file)
    made = Registry()
    try:
        made.add_file_descriptor_proto(file)
    except SchemaError:
        return
    changed = Codec(made)
    for descriptor in made.files[file.name].messages:
        with contextlib.suppress(DecodeError):
            changed.default(descriptor)
        with contextlib.suppress(DecodeError):
            changed.decode(descriptor, data.draw(st.binary(max_size=20)))
        with contextlib.suppress(EncodeError):
            changed.encode(descriptor, {field.json_name: 1 for field in descriptor.fields})
        with contextlib.suppress(EncodeError):
            changed.encode(descriptor, {field.json_name: [{}] for field in descriptor.fields})
