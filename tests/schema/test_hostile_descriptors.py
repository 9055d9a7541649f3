"""Descriptors from a peer are taken on trust in nothing: what is not valid is a SchemaError, at once and in full."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from tests.codec.schemas import files, is_repeated

from puregrpc.errors import SchemaError
from puregrpc.schema import Registry, load_symbols

FIELD = descriptor_pb2.FieldDescriptorProto
File = descriptor_pb2.FileDescriptorProto


def plain_file() -> File:
    file = File(name="a.proto", package="a", syntax="proto2")
    message = file.message_type.add(name="M")
    message.field.add(name="one", number=1, type=FIELD.TYPE_INT32, label=FIELD.LABEL_OPTIONAL)
    message.field.add(name="two", number=2, type=FIELD.TYPE_MESSAGE, type_name=".a.M", label=FIELD.LABEL_OPTIONAL)
    message.extension_range.add(start=100, end=200)
    enum = file.enum_type.add(name="E")
    enum.value.add(name="A", number=1)
    service = file.service.add(name="S")
    service.method.add(name="Do", input_type=".a.M", output_type=".a.M")
    return file


def add(file: File) -> Registry:
    registry = Registry()
    registry.add_file_descriptor_set(descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString())
    return registry


def extension(file: File, **changes: object) -> descriptor_pb2.FieldDescriptorProto:
    settings: dict[str, object] = {
        "name": "ext",
        "number": 150,
        "extendee": ".a.M",
        "type": FIELD.TYPE_INT32,
        "label": FIELD.LABEL_OPTIONAL,
    }
    return file.extension.add(**{**settings, **changes})


def map_entry(file: File) -> descriptor_pb2.DescriptorProto:
    message = file.message_type[0]
    entry = message.nested_type.add(name="Entry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=FIELD.TYPE_STRING, label=FIELD.LABEL_OPTIONAL)
    entry.field.add(name="value", number=2, type=FIELD.TYPE_INT32, label=FIELD.LABEL_OPTIONAL)
    message.field.add(name="m", number=3, type=11, type_name=".a.M.Entry", label=FIELD.LABEL_REPEATED)
    return entry


def put(message: Message, name: str, value: object) -> bool:
    setattr(message, name, value)
    return True


def nested_in_itself(file: File) -> None:
    message = file.message_type[0]
    for _ in range(80):
        message = message.nested_type.add(name="N")


BROKEN: dict[str, Callable[[File], object]] = {
    "quote in a name": lambda f: setattr(f.message_type[0].field[0], "name", "a'b"),
    "newline in a name": lambda f: setattr(f.message_type[0].field[0], "name", "a\nb"),
    "code in a name": lambda f: setattr(f.message_type[0], "name", "M):\n import os\n#"),
    "not ASCII": lambda f: setattr(f.message_type[0].field[0], "name", "naïve"),
    "dot in a name": lambda f: setattr(f.message_type[0].field[0], "name", "a.b"),
    "no name": lambda f: setattr(f.message_type[0].field[0], "name", ""),
    "endless name": lambda f: setattr(f.message_type[0].field[0], "name", "x" * 5000),
    "no file name": lambda f: setattr(f, "name", ""),
    "NUL in the file name": lambda f: setattr(f, "name", "a\0.proto"),
    "package that is none": lambda f: setattr(f, "package", "a..b"),
    "unknown syntax": lambda f: setattr(f, "syntax", "proto4"),
    "unknown edition": lambda f: (put(f, "syntax", "editions"), put(f, "edition", 99999)),
    "number 0": lambda f: setattr(f.message_type[0].field[0], "number", 0),
    "negative number": lambda f: setattr(f.message_type[0].field[0], "number", -1),
    "number too large": lambda f: setattr(f.message_type[0].field[0], "number", 1 << 29),
    "reserved number": lambda f: setattr(f.message_type[0].field[0], "number", 19500),
    "number twice": lambda f: setattr(f.message_type[0].field[0], "number", 2),
    "name twice": lambda f: setattr(f.message_type[0].field[0], "name", "two"),
    "field and nested message of one name": lambda f: f.message_type[0].nested_type.add(name="one"),
    "dangling type": lambda f: setattr(f.message_type[0].field[1], "type_name", ".a.Nobody"),
    "type that is a field": lambda f: setattr(f.message_type[0].field[1], "type_name", ".a.M.one"),
    "enum as message": lambda f: setattr(f.message_type[0].field[1], "type_name", ".a.E"),
    "message as enum": lambda f: setattr(f.message_type[0].field[1], "type", FIELD.TYPE_ENUM),
    "no type": lambda f: f.message_type[0].field[1].ClearField("type_name"),
    "scalar with a type name": lambda f: setattr(f.message_type[0].field[0], "type_name", ".a.M"),
    "oneof index": lambda f: setattr(f.message_type[0].field[0], "oneof_index", 3),
    "negative oneof index": lambda f: setattr(f.message_type[0].field[0], "oneof_index", -1),
    "empty oneof": lambda f: f.message_type[0].oneof_decl.add(name="o"),
    "optional without oneof": lambda f: setattr(f.message_type[0].field[0], "proto3_optional", True),
    "empty enum": lambda f: f.enum_type[0].ClearField("value"),
    "enum value twice": lambda f: f.enum_type[0].value.add(name="A", number=5),
    "enum number twice": lambda f: f.enum_type[0].value.add(name="B", number=1),
    "enum value name": lambda f: f.enum_type[0].value.add(name="B\n", number=5),
    "message twice": lambda f: f.message_type.add(name="M"),
    "message and enum of one name": lambda f: f.message_type.add(name="E"),
    "message and service of one name": lambda f: f.message_type.add(name="S"),
    "method with an enum": lambda f: setattr(f.service[0].method[0], "input_type", ".a.E"),
    "method with a dangling type": lambda f: setattr(f.service[0].method[0], "output_type", "Nobody"),
    "method twice": lambda f: f.service[0].method.add(name="Do", input_type=".a.M", output_type=".a.M"),
    "method name": lambda f: setattr(f.service[0].method[0], "name", "Do/It"),
    "integer default": lambda f: setattr(f.message_type[0].field[0], "default_value", "99999999999"),
    "default that is code": lambda f: setattr(f.message_type[0].field[0], "default_value", "__import__('os')"),
    "JSON name with NUL": lambda f: setattr(f.message_type[0].field[0], "json_name", "a\0"),
    "JSON name of an extension": lambda f: setattr(f.message_type[0].field[0], "json_name", "[a.ext]"),
    "empty JSON name": lambda f: setattr(f.message_type[0].field[0], "json_name", ""),
    "imports itself": lambda f: f.dependency.append("a.proto"),
    "imports twice": lambda f: f.dependency.extend(["b.proto", "b.proto"]),
    "public dependency": lambda f: f.public_dependency.append(7),
    "extension out of range": lambda f: extension(f, number=5),
    "extension of nothing": lambda f: extension(f, extendee=".a.Nobody"),
    "extension of an enum": lambda f: extension(f, extendee=".a.E"),
    "required extension": lambda f: extension(f, label=FIELD.LABEL_REQUIRED),
    "extension number twice": lambda f: (extension(f), extension(f, name="other")),
    "range upside down": lambda f: f.message_type[0].extension_range.add(start=300, end=250),
    "ranges that overlap": lambda f: f.message_type[0].extension_range.add(start=150, end=250),
    "map with a third field": lambda f: map_entry(f).field.add(name="x", number=3, type=5, label=1),
    "map with a float key": lambda f: setattr(map_entry(f).field[0], "type", FIELD.TYPE_FLOAT),
    "map with a message key": lambda f: (
        map_entry(f).field[0].MergeFrom(FIELD(type=FIELD.TYPE_MESSAGE, type_name=".a.M"))
    ),
    "map that is not repeated": lambda f: (map_entry(f), put(f.message_type[0].field[2], "label", 1)),
    "map entry of another message": lambda f: (
        map_entry(f),
        f.message_type.add(name="N").field.add(name="m", number=1, type=11, type_name=".a.M.Entry", label=3),
    ),
    "nested very deep": nested_in_itself,
    "message set with fields": lambda f: setattr(f.message_type[0].options, "message_set_wire_format", True),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_not_valid_is_refused(change: Callable[[File], object]) -> None:
    add(plain_file())
    file = plain_file()
    change(file)
    with pytest.raises(SchemaError) as caught:
        add(file)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 6000


def test_a_refused_set_leaves_the_registry_as_it_was() -> None:
    registry = Registry()
    registry.add_file_descriptor_proto(plain_file())
    good, bad = File(name="good.proto"), File(name="bad.proto")
    good.message_type.add(name="Good")
    bad.message_type.add(name="Bad-Name")
    version = registry.version
    with pytest.raises(SchemaError):
        registry.add_file_descriptor_set(descriptor_pb2.FileDescriptorSet(file=[good, bad]))
    assert registry.version == version
    assert list(registry.files) == ["a.proto"]
    with pytest.raises(SchemaError):
        registry.message("Good")


def large_file() -> File:
    """One with a name of every kind."""
    file = plain_file()
    file.dependency.extend(["b.proto", "c.proto"])
    extension(file)
    map_entry(file)
    field = file.message_type[0].field.add(name="text", number=50, type=FIELD.TYPE_STRING, label=1)
    field.json_name, field.default_value, field.oneof_index = "json", "default", 0
    file.message_type[0].oneof_decl.add(name="choice")
    file.message_type[0].reserved_name.append("reserved")
    file.options.java_package = "java"
    return file


def test_strings_that_are_not_valid() -> None:
    """google.protobuf gives them as bytes."""

    class Peer:
        async def file_containing_symbol(self, symbol: str) -> list[bytes]:
            return [octets]

        async def file_by_filename(self, name: str) -> list[bytes]:
            if name == "b.proto":
                raise SchemaError("there is none")
            return [octets.replace(b"a.proto", b"c.proto")]

    whole = large_file().SerializeToString()
    refused = 0
    for at in range(len(whole)):
        octets = whole[:at] + b"\xff" + whole[at + 1 :]
        try:
            Registry().add_file_descriptor_proto(octets)
        except SchemaError:
            refused += 1
        with contextlib.suppress(SchemaError), contextlib.suppress(StopIteration):
            load_symbols(Registry(), Peer(), ["a.S"]).send(None)
    assert refused > len(whole) / 2


def test_files_that_import_each_other_are_refused() -> None:
    one, two = File(name="one.proto", dependency=["two.proto"]), File(name="two.proto", dependency=["one.proto"])
    with pytest.raises(SchemaError, match=r"in a circle: one.proto -> two.proto -> one.proto"):
        Registry().add_file_descriptor_set(descriptor_pb2.FileDescriptorSet(file=[one, two]))


def test_a_long_chain_of_imports_is_fine() -> None:
    chain = [File(name=f"{n}.proto", dependency=[f"{n + 1}.proto"]) for n in range(3000)]
    registry = Registry()
    registry.add_file_descriptor_set(descriptor_pb2.FileDescriptorSet(file=chain))
    assert registry.files["2999.proto"].missing_dependencies == ["3000.proto"]


def test_the_same_name_in_two_files_is_refused() -> None:
    registry = Registry()
    registry.add_file_descriptor_proto(plain_file())
    other = plain_file()
    other.name = "other.proto"
    with pytest.raises(SchemaError, match=r"declared in a.proto already"):
        registry.add_file_descriptor_proto(other)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_descriptor_set(data: bytes) -> None:
    with contextlib.suppress(SchemaError):
        Registry().add_file_descriptor_set(data)


@given(files(well_known=False), st.data())
def test_descriptors_with_anything_changed(file: File, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 3))):
        change_something(data.draw, file)
    try:
        registry = add(file)
    except SchemaError:
        return
    for name in list(registry.files):
        assert registry.files[name].name == name


def change_something(draw: Callable[[st.SearchStrategy[object]], object], message: Message) -> None:
    """One random field of a random part of a descriptor gets a random value."""
    while True:
        inner = [value for _, value in message.ListFields() if isinstance(value, Message)]
        inner += [
            each
            for field, value in message.ListFields()
            if field.message_type and not isinstance(value, Message)
            for each in value
        ]
        if not inner or not draw(st.integers(0, 3)):
            break
        chosen = draw(st.sampled_from(range(len(inner))))
        assert isinstance(chosen, int)
        message = inner[chosen]
    scalars = [f for f in message.DESCRIPTOR.fields if f.message_type is None and not is_repeated(f)]
    if not scalars:
        return
    field = draw(st.sampled_from(scalars))
    assert field in scalars
    kind = getattr(field, "cpp_type", 0)
    name = getattr(field, "name", "")
    if kind == 9 and getattr(field, "type", 0) == 9:
        setattr(message, name, draw(st.sampled_from(["", "a", "M0", ".r.M0", "key", "value", "1", "\n", "\0", "[x]"])))
    elif kind in (1, 2, 3, 4):
        setattr(message, name, draw(st.sampled_from([0, 1, 2, 3, 19000, 7])))
    elif kind == 7:
        setattr(message, name, draw(st.booleans()))
    elif kind == 8:
        values = getattr(getattr(field, "enum_type", None), "values", [])
        setattr(message, name, draw(st.sampled_from([value.number for value in values])))
