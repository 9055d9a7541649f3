"""Random schemas, messages and bytes: the codec and google.protobuf with json_format say the same.

Known differences, each with its reason, are evened out or left out here:

- Fields with presence that are not set are None here and absent there: k6 shows them as null. (So a field of type
  google.protobuf.Value that is not set looks like one that is null, unless defaults are not emitted.)
- A google.protobuf.Value's number that is whole is an int here: what came as 1 goes on as 1, not as 1.0.
- A field with the number 0 is always refused here; upb takes some of them as unknown fields.
- A varint with more than 64 bits in its ten bytes is refused here, as in Go; upb drops the bits that are too many.
- Where json_format takes more from JSON, it takes what Go's protojson and the ProtoJSON pages do not: "01", "+1", "1_0"
  and digits of other scripts for numbers, True for a float, numbers in text and 1.5 for enums, characters that are not
  base64, [] and "" for a message without fields, anything as a path of a field mask, NaN in a Value, more than nine
  digits of a second. Floats that are NaN or infinite, which json_format wants as text, are taken here as they are.
- json_format shows 32-bit floats below 1.2e-38 with six digits even where fewer are exact, and does not read the
  largest, 3.4028235e38, which it writes; the schemas leave them out.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from google.protobuf import descriptor_pb2, json_format
from google.protobuf.message import DecodeError as ProtobufDecodeError
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from tests.codec.schemas import files, fill, registry_of

from puregrpc.codec import Codec
from puregrpc.errors import DecodeError, EncodeError
from puregrpc.schema import Registry


def shown_by_google(message: Message) -> Any:
    return json_format.MessageToDict(message, always_print_fields_with_no_presence=True)


def without_unset(shown: Any, expected: Any) -> Any:
    """``shown`` without the None entries that ``expected`` does not have."""
    if isinstance(shown, dict) and isinstance(expected, dict):
        return {
            key: without_unset(value, expected.get(key))
            for key, value in shown.items()
            if value is not None or key in expected
        }
    if isinstance(shown, list) and isinstance(expected, list) and len(shown) == len(expected):
        return [without_unset(*pair) for pair in zip(shown, expected, strict=True)]
    return shown


@st.composite
def cases(draw: st.DrawFn) -> tuple[descriptor_pb2.FileDescriptorProto, Registry, Message]:
    file = draw(files())
    registry = registry_of(file)
    message = registry.message_class(registry.message("r.M0"))()
    fill(draw, message)
    return file, registry, message


def as_bytes(message: Message) -> bytes:
    """A message as one can compare it: messages with NaN in them are not equal to themselves."""
    return message.SerializeToString(deterministic=True)


@given(cases())
def test_messages(case: tuple[descriptor_pb2.FileDescriptorProto, Registry, Message]) -> None:
    _, registry, message = case
    codec = Codec(registry)
    descriptor = registry.message("r.M0")
    data = as_bytes(message)
    expected = shown_by_google(message)
    shown = codec.decode(descriptor, data)
    assert without_unset(shown, expected) == expected
    message_class = type(message)
    theirs = as_bytes(json_format.ParseDict(expected, message_class()))
    assert as_bytes(message_class.FromString(codec.encode(descriptor, expected))) == theirs
    assert as_bytes(message_class.FromString(codec.encode(descriptor, message))) == data
    sparing = Codec(registry, emit_defaults=False)
    assert as_bytes(message_class.FromString(sparing.encode(descriptor, sparing.decode(descriptor, data)))) == theirs
    text = sparing.to_json(descriptor, data)
    assert json.loads(text) == sparing.decode(descriptor, data)
    assert as_bytes(message_class.FromString(sparing.from_json(descriptor, text))) == theirs


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 65), 1 << 65)
    | st.integers(-3, 3)
    | st.floats()
    | st.sampled_from(["", "1", "-1", "01", "+1", "1.0", "1e1", " 1", "1_0", "NaN", "Infinity", "inf", "ONE", "true"])
    | st.sampled_from(["AQ==", "AQ", "-_8", "A", "2024-01-02T03:04:05Z", "1.5s", "a,bC", "\ud800", "NULL_VALUE"])
    | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["f0", "f_1", "f2", "1", "true", "x", "@type", "value"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(files(), st.dictionaries(st.sampled_from([f"f{n}" for n in range(7)] + ["f_0"]), JSON, max_size=7))
def test_json_that_both_take_is_the_same_message(
    file: descriptor_pb2.FileDescriptorProto, value: dict[str, Any]
) -> None:
    registry = registry_of(file)
    descriptor = registry.message("r.M0")
    names = {field.json_name for field in descriptor.fields} | {field.name for field in descriptor.fields}
    value = {name: item for name, item in value.items() if name in names}
    message_class = registry.message_class(descriptor)
    try:
        data = Codec(registry).encode(descriptor, value)
    except EncodeError:
        return
    ours = message_class.FromString(data).SerializeToString(deterministic=True)
    try:
        theirs = json_format.ParseDict(value, message_class())
    except json_format.ParseError:
        return
    assert theirs.SerializeToString(deterministic=True) == ours


@given(cases(), st.booleans(), st.booleans(), st.booleans())
def test_names_numbers_and_defaults(
    case: tuple[descriptor_pb2.FileDescriptorProto, Registry, Message], original: bool, numbers: bool, defaults: bool
) -> None:
    _, registry, message = case
    descriptor = registry.message("r.M0")
    names: Literal["json", "original"] = "original" if original else "json"
    codec = Codec(registry, field_names=names, enum_numbers=numbers, emit_defaults=defaults)
    expected = json_format.MessageToDict(
        message,
        preserving_proto_field_name=original,
        use_integers_for_enums=numbers,
        always_print_fields_with_no_presence=defaults,
    )
    assert without_unset(codec.decode(descriptor, as_bytes(message)), expected) == expected
    ours = type(message).FromString(codec.encode(descriptor, expected))
    assert as_bytes(ours) == as_bytes(json_format.ParseDict(expected, type(message)()))


@given(cases())
def test_nothing_is_lost_without_the_forms_of_json(
    case: tuple[descriptor_pb2.FileDescriptorProto, Registry, Message],
) -> None:
    _, registry, message = case
    codec = Codec(registry, values="native", emit_defaults=False, unknown_fields="keep", well_known_types=False)
    descriptor = registry.message("r.M0")
    data = message.SerializeToString(deterministic=True)
    again = codec.encode(descriptor, codec.decode(descriptor, data))
    assert again == data or type(message).FromString(again).SerializeToString(deterministic=True) == data


@given(cases(), st.data())
def test_bytes(case: tuple[descriptor_pb2.FileDescriptorProto, Registry, Message], data: st.DataObject) -> None:
    _, registry, message = case
    codec = Codec(registry)
    descriptor = registry.message("r.M0")
    mutated = bytearray(message.SerializeToString())
    for _ in range(data.draw(st.integers(0, 3))):
        position = data.draw(st.integers(0, len(mutated)))
        action = data.draw(st.sampled_from(["insert", "delete", "change"]))
        piece = data.draw(st.binary(min_size=1, max_size=3))
        mutated[position : position + (0 if action == "insert" else 1)] = b"" if action == "delete" else piece
    given_bytes = bytes(mutated) if data.draw(st.booleans()) else data.draw(st.binary(max_size=30))
    try:
        expected = shown_by_google(type(message).FromString(given_bytes))
    except (ProtobufDecodeError, ValueError, json_format.Error, TypeError):
        expected = None
    try:
        shown = codec.decode(descriptor, given_bytes)
    except DecodeError as error:
        if "the number 0" in error.problem or "more than 64 bits" in error.problem:
            return
        shown = None
    assert without_unset(shown, expected) == expected
