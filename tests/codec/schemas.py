"""Random schemas and messages, as google.protobuf knows them."""

from __future__ import annotations

import math
import struct
from typing import Any

from google.protobuf import descriptor_pb2, duration_pb2, empty_pb2, struct_pb2, wrappers_pb2
from google.protobuf.message import Message
from hypothesis import strategies as st

from puregrpc.schema import Registry

FIELD = descriptor_pb2.FieldDescriptorProto
FEATURES = descriptor_pb2.FeatureSet

SCALARS = (
    FIELD.TYPE_DOUBLE,
    FIELD.TYPE_FLOAT,
    FIELD.TYPE_INT64,
    FIELD.TYPE_UINT64,
    FIELD.TYPE_INT32,
    FIELD.TYPE_FIXED64,
    FIELD.TYPE_FIXED32,
    FIELD.TYPE_BOOL,
    FIELD.TYPE_STRING,
    FIELD.TYPE_BYTES,
    FIELD.TYPE_UINT32,
    FIELD.TYPE_SFIXED32,
    FIELD.TYPE_SFIXED64,
    FIELD.TYPE_SINT32,
    FIELD.TYPE_SINT64,
)
MAP_KEYS = tuple(kind for kind in SCALARS if kind not in (FIELD.TYPE_DOUBLE, FIELD.TYPE_FLOAT, FIELD.TYPE_BYTES))
WELL_KNOWN = (
    "Timestamp",
    "Duration",
    "FieldMask",
    "Struct",
    "Value",
    "ListValue",
    "Any",
    "Empty",
    "DoubleValue",
    "FloatValue",
    "Int64Value",
    "UInt64Value",
    "Int32Value",
    "UInt32Value",
    "BoolValue",
    "StringValue",
    "BytesValue",
)
INTEGER_LIMITS: dict[Any, tuple[int, int]] = {
    **dict.fromkeys((FIELD.TYPE_INT64, FIELD.TYPE_SINT64, FIELD.TYPE_SFIXED64), (-(1 << 63), (1 << 63) - 1)),
    **dict.fromkeys((FIELD.TYPE_UINT64, FIELD.TYPE_FIXED64), (0, (1 << 64) - 1)),
    **dict.fromkeys((FIELD.TYPE_INT32, FIELD.TYPE_SINT32, FIELD.TYPE_SFIXED32), (-(1 << 31), (1 << 31) - 1)),
    **dict.fromkeys((FIELD.TYPE_UINT32, FIELD.TYPE_FIXED32), (0, (1 << 32) - 1)),
}
DEFAULTS: dict[Any, str] = {
    FIELD.TYPE_INT32: "-7",
    FIELD.TYPE_UINT64: "18446744073709551615",
    FIELD.TYPE_DOUBLE: "-inf",
    FIELD.TYPE_BOOL: "true",
    FIELD.TYPE_STRING: 'it\'s "so"\n',
    FIELD.TYPE_BYTES: "\\000\\377\\'x",
    FIELD.TYPE_ENUM: "BIG",
}
NUMBERS = st.one_of(st.integers(1, 20), st.integers(1, 300), st.sampled_from([2047, 2048, 18999, 20000, (1 << 29) - 1]))


@st.composite
def files(draw: st.DrawFn, well_known: bool = True) -> descriptor_pb2.FileDescriptorProto:
    """A file with the messages M0, M1, ... and the enum E, in any syntax."""
    syntax = draw(st.sampled_from(["proto2", "proto3", "editions"]))
    file = descriptor_pb2.FileDescriptorProto(name="random.proto", package="r", syntax=syntax)
    if syntax == "editions":
        file.edition = descriptor_pb2.EDITION_2023
        features = file.options.features
        if draw(st.booleans()):
            features.message_encoding = draw(st.sampled_from([FEATURES.LENGTH_PREFIXED, FEATURES.DELIMITED]))
        if draw(st.booleans()):
            features.repeated_field_encoding = draw(st.sampled_from([FEATURES.PACKED, FEATURES.EXPANDED]))
        if draw(st.booleans()):
            features.field_presence = draw(st.sampled_from([FEATURES.EXPLICIT, FEATURES.IMPLICIT]))
        if features.field_presence != FEATURES.IMPLICIT and draw(st.booleans()):
            features.enum_type = FEATURES.CLOSED
    if well_known:
        file.dependency.extend(
            f"google/protobuf/{name}.proto"
            for name in ("any", "duration", "empty", "field_mask", "struct", "timestamp", "wrappers")
        )
    enum = file.enum_type.add(name="E")
    for name, number in (("ZERO", 0), ("ONE", 1), ("BIG", (1 << 31) - 1), ("NEGATIVE", -5)):
        enum.value.add(name=name, number=number)
    count = draw(st.integers(1, 3))
    for index in range(count):
        _message(draw, file, index, count, well_known)
    return file


def _message(
    draw: st.DrawFn, file: descriptor_pb2.FileDescriptorProto, index: int, count: int, well_known: bool
) -> None:
    message = file.message_type.add(name=f"M{index}")
    numbers = draw(st.lists(NUMBERS, unique=True, max_size=7))
    oneof: int | None = None
    for position, number in enumerate(numbers):
        field = message.field.add(name=f"f_{position}", number=number, label=FIELD.LABEL_OPTIONAL)
        shape = draw(st.sampled_from(["one", "one", "list", "map", "oneof", "optional"]))
        if draw(st.integers(0, 4)) == 0:
            field.json_name = draw(st.sampled_from([f"named{position}", f'it\'s "{position}" \\ \n', f"@é{position}"]))
        if shape == "map":
            _map(draw, message, field, count, well_known)
            continue
        _type(draw, field, count, well_known)
        if shape == "list":
            field.label = FIELD.LABEL_REPEATED
            if file.syntax != "editions" and field.type not in (9, 10, 11, 12) and draw(st.booleans()):
                field.options.packed = draw(st.booleans())
        elif shape == "oneof":
            if oneof is None:
                message.oneof_decl.add(name="choice")
                oneof = len(message.oneof_decl) - 1
            field.oneof_index = oneof
        elif file.syntax == "proto2" and field.type_name.startswith(".r.M") and draw(st.booleans()):
            field.type = FIELD.TYPE_GROUP
        elif file.syntax == "proto2" and field.type in DEFAULTS and draw(st.booleans()):
            field.default_value = DEFAULTS[field.type]
    if file.syntax == "proto3":
        for field in message.field:
            if field.label == FIELD.LABEL_OPTIONAL and not field.HasField("oneof_index") and draw(st.booleans()):
                field.proto3_optional = True
                field.oneof_index = len(message.oneof_decl)
                message.oneof_decl.add(name=f"_{field.name}")


def _type(draw: st.DrawFn, field: descriptor_pb2.FieldDescriptorProto, count: int, well_known: bool) -> None:
    kind = draw(st.sampled_from(["scalar", "scalar", "scalar", "enum", "message", "well known"]))
    if kind == "scalar" or (kind == "well known" and not well_known):
        field.type = draw(st.sampled_from(SCALARS))
    elif kind == "enum":
        field.type = FIELD.TYPE_ENUM
        field.type_name = ".r.E"
    else:
        field.type = FIELD.TYPE_MESSAGE
        name = f"google.protobuf.{draw(st.sampled_from(WELL_KNOWN))}" if kind == "well known" else None
        field.type_name = f".{name}" if name else f".r.M{draw(st.integers(0, count - 1))}"


def _map(
    draw: st.DrawFn,
    message: descriptor_pb2.DescriptorProto,
    field: descriptor_pb2.FieldDescriptorProto,
    count: int,
    well_known: bool,
) -> None:
    entry = message.nested_type.add(name=f"F{field.name[2:]}Entry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=FIELD.LABEL_OPTIONAL, type=draw(st.sampled_from(MAP_KEYS)))
    value = entry.field.add(name="value", number=2, label=FIELD.LABEL_OPTIONAL)
    _type(draw, value, count, well_known)
    field.label = FIELD.LABEL_REPEATED
    field.type = FIELD.TYPE_MESSAGE
    field.type_name = f".r.{message.name}.{entry.name}"


def registry_of(file: descriptor_pb2.FileDescriptorProto) -> Registry:
    """A registry with the file."""
    registry = Registry()
    registry.add_file_descriptor_set(descriptor_pb2.FileDescriptorSet(file=[file]))
    return registry


TEXTS = st.text(max_size=6)


def one_nan(value: float) -> float:
    """NaN without a sign: the backends of google.protobuf differ in whether they keep it."""
    return math.nan if math.isnan(value) else value


FLOATS = st.floats(width=32).map(one_nan)


def _is_read_back_by_json_format(value: float) -> bool:
    """It writes floats below 1.2e-38 with six digits, and refuses the shortest form of the largest, 3.4028235e38."""
    return value == 0 or not math.isfinite(value) or 1.2e-38 < abs(value) < 3.4028234e38


def scalar(kind: Any) -> st.SearchStrategy[Any]:
    """A value of a scalar type."""
    if kind in INTEGER_LIMITS:
        low, high = INTEGER_LIMITS[kind]
        return st.one_of(st.integers(low, high), st.integers(max(low, -200), 200), st.sampled_from([low, high, 0]))
    if kind == FIELD.TYPE_DOUBLE:
        return st.floats().map(one_nan)
    if kind == FIELD.TYPE_FLOAT:
        return FLOATS.filter(_is_read_back_by_json_format)
    if kind == FIELD.TYPE_BOOL:
        return st.booleans()
    return TEXTS if kind == FIELD.TYPE_STRING else st.binary(max_size=6)


WRAPPED: dict[str, Any] = {
    "FloatValue": FIELD.TYPE_FLOAT,
    "Int64Value": FIELD.TYPE_INT64,
    "UInt64Value": FIELD.TYPE_UINT64,
    "Int32Value": FIELD.TYPE_INT32,
    "UInt32Value": FIELD.TYPE_UINT32,
    "BoolValue": FIELD.TYPE_BOOL,
}
IN_ANY = (
    duration_pb2.Duration(seconds=-1, nanos=-500_000_000),
    wrappers_pb2.StringValue(value="é"),
    wrappers_pb2.BytesValue(value=b"\0"),
    struct_pb2.Value(list_value=struct_pb2.ListValue(values=[struct_pb2.Value(bool_value=True)])),
    empty_pb2.Empty(),
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


def is_repeated(field: Any) -> bool:
    """Of a google.protobuf.descriptor.FieldDescriptor, also where it has only a label."""
    return bool(field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED)


def fill(draw: st.DrawFn, message: Message, depth: int = 0) -> None:
    """Set random fields of a message object."""
    name = message.DESCRIPTOR.full_name
    if name.startswith("google.protobuf."):
        _fill_well_known(draw, message, name.rpartition(".")[2])
        return
    for field in message.DESCRIPTOR.fields:
        if depth > 2 or not draw(st.booleans()):
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            _fill_map(draw, getattr(message, field.name), field.message_type, depth)
        elif is_repeated(field):
            values = getattr(message, field.name)
            for _ in range(draw(st.integers(0, 3))):
                if field.message_type is not None:
                    fill(draw, values.add(), depth + 1)
                else:
                    values.append(_value(draw, field))
        elif field.message_type is not None:
            getattr(message, field.name).SetInParent()
            fill(draw, getattr(message, field.name), depth + 1)
        else:
            setattr(message, field.name, _value(draw, field))


def _value(draw: st.DrawFn, field: Any) -> Any:
    if field.enum_type is not None:
        known = [0, 1, (1 << 31) - 1, -5]
        return draw(st.sampled_from(known if field.enum_type.is_closed else [*known, 77, -1]))
    return draw(scalar(field.type))


def _fill_map(draw: st.DrawFn, mapping: Any, entry: Any, depth: int) -> None:
    key_field, value_field = entry.fields_by_name["key"], entry.fields_by_name["value"]
    for _ in range(draw(st.integers(0, 3))):
        key = draw(scalar(key_field.type))
        if value_field.message_type is not None:
            fill(draw, mapping[key], depth + 1)
        else:
            mapping[key] = _value(draw, value_field)


def _fill_well_known(draw: st.DrawFn, message: Any, name: str) -> None:
    if name == "Timestamp":
        message.seconds = draw(st.integers(-62135596800, 253402300799))
        message.nanos = draw(st.sampled_from([0, 1, 1000, 123000000, 999999999]))
    elif name == "Duration":
        message.seconds = draw(st.integers(0, 315576000000 - 1))
        message.nanos = draw(st.sampled_from([0, 1, 1000, 123000000, 999999999]))
        if draw(st.booleans()):
            message.seconds, message.nanos = -message.seconds, -message.nanos
    elif name == "FieldMask":
        message.paths.extend(draw(st.lists(st.sampled_from(["a", "foo_bar", "a.b_c", "x1"]), max_size=3)))
    elif name == "Any":
        inside = draw(st.sampled_from([None, *IN_ANY]))
        if inside is not None:
            message.Pack(inside)
    elif name == "Struct":
        message.update(draw(st.dictionaries(TEXTS, JSON_VALUES, max_size=3)))
    elif name == "ListValue":
        message.extend(draw(st.lists(JSON_VALUES, max_size=3)))
    elif name == "Value":
        _set_value(message, draw(JSON_VALUES))
    elif name == "DoubleValue":
        message.value = draw(st.floats().map(one_nan))
    elif name in WRAPPED:
        message.value = draw(scalar(WRAPPED[name]))
    elif name == "StringValue":
        message.value = draw(TEXTS)
    elif name == "BytesValue":
        message.value = draw(st.binary(max_size=6))


def _set_value(message: Any, value: Any) -> None:
    if value is None:
        message.null_value = 0
    elif isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, float):
        message.number_value = value
    elif isinstance(value, str):
        message.string_value = value
    elif isinstance(value, list):
        message.list_value.SetInParent()
        message.list_value.extend(value)
    else:
        message.struct_value.SetInParent()
        message.struct_value.update(value)


def is_float32(value: float) -> bool:
    """Whether a float has an exact 32-bit form."""
    try:
        return bool(struct.unpack("<f", struct.pack("<f", value))[0] == value)
    except OverflowError:
        return False
