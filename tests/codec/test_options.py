"""The choices of a codec: native values, original names, enum numbers, defaults, unknown names, JSON text, objects."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta, timezone
from enum import IntEnum

import pytest
from google.protobuf import timestamp_pb2
from hypothesis import given
from hypothesis import strategies as st
from tests.codec.lab import codec, message, registry

from puregrpc.codec import Codec
from puregrpc.codec.well_known import times as codec_times
from puregrpc.errors import DecodeError, EncodeError, SchemaError
from puregrpc.proto import compile as compile_sources
from puregrpc.schema import Registry

IMPORT_ANY = 'import "google/protobuf/any.proto"; '


class Color(IntEnum):
    RED = 1


def test_native_values() -> None:
    native = Codec(registry(), values="native", emit_defaults=False)
    all_types, wkt = message("lab.All"), message("lab.Wkt")
    value = {
        "fInt64": -5,
        "fBytes": b"\x01\xff",
        "fDouble": math.inf,
        "fFloat": 0.1,
        "fColor": "RED",
        "rInt64": [1, 2],
        "rBytes": [b"a"],
        "rFloat": [0.1, -math.inf],
        "mIs": {1: {"name": "n"}},
        "mBc": {True: "RED"},
        "mLb": {-1: b"x"},
        "mFs": {7: "y"},
    }
    assert native.decode(all_types, native.encode(all_types, value)) == value
    moment = datetime(2024, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc)
    times = {"ts": moment, "dur": timedelta(seconds=-1, microseconds=-500), "wInt64": 5, "wBytes": b"x"}
    assert native.decode(wkt, native.encode(wkt, times)) == times
    naive = native.encode(wkt, {"ts": moment.replace(tzinfo=None)})
    assert naive == native.encode(wkt, {"ts": moment})
    assert native.decode(wkt, codec().encode(wkt, {"ts": "2024-01-02T03:04:05.678901999Z"}))["ts"] == moment
    assert Codec(registry(), values="native").default(all_types)["fInt64"] == 0
    assert native.encode(all_types, {"fColor": Color.RED}) == b"\x80\x01\x01"
    with pytest.raises(EncodeError, match=r"request.fBytes: bytes expected, not 'AQ=='"):
        native.encode(all_types, {"fBytes": "AQ=="})
    assert native.to_json(all_types, b"\x20\x05") == '{"fInt64":"5"}'
    assert native.from_json(all_types, '{"fBytes": "AQ=="}') == b"\x7a\x01\x01"


def test_names_numbers_and_defaults() -> None:
    descriptor = message("lab.All")
    original = Codec(registry(), field_names="original", emit_defaults=False)
    assert original.decode(descriptor, b"\x18\x05") == {"f_int32": 5}
    assert original.encode(descriptor, {"fInt32": 5}) == original.encode(descriptor, {"f_int32": 5}) == b"\x18\x05"
    numbers = Codec(registry(), enum_numbers=True)
    assert numbers.default(descriptor)["fColor"] == 0
    assert numbers.decode(descriptor, b"\xb8\x01\x02\x80\x01\x07")["rColor"] == [2]
    assert numbers.decode(descriptor, b"\xb8\x01\x02\x80\x01\x07")["fColor"] == 7
    sparing = Codec(registry(), emit_defaults=False)
    assert sparing.default(descriptor) == {}
    assert sparing.decode(message("lab2.Old"), b"\x1a\x00") == {"rString": ""}


def test_unknown_names_may_be_passed_over() -> None:
    ignoring = Codec(registry(), ignore_unknown_names=True)
    value = {"nope": 1, "f_int32": 5, "fColor": "BLUE", "rColor": ["BLUE", "RED"], "mBc": {"true": "BLUE"}}
    assert ignoring.encode(message("lab.All"), value) == b"\x18\x05\xba\x01\x01\x01"
    assert ignoring.encode(message("lab.Sub"), {"nope": 1, "child": {"nope": 2}}) == b"\x1a\x00"


def test_well_known_types_as_plain_messages() -> None:
    plain = Codec(registry(), well_known_types=False, emit_defaults=False)
    wkt = message("lab.Wkt")
    data = codec().encode(wkt, {"ts": "1970-01-01T00:00:01Z", "any": {"@type": "x/lab.Sub", "value": 1}})
    assert plain.decode(wkt, data) == {"ts": {"seconds": "1"}, "any": {"typeUrl": "x/lab.Sub", "value": "EAE="}}
    assert plain.encode(wkt, plain.decode(wkt, data)) == data


def test_an_any_of_an_unknown_type_keeps_its_bytes() -> None:
    data = b"\xb2\x01\x07\x0a\x03x/y\x12\x00"
    assert codec().decode(message("lab.Wkt"), data)["any"] == {"@type": "x/y", "@value": ""}
    native = Codec(registry(), values="native", emit_defaults=False)
    for inside in (b"", b"\x00\xff"):
        shown = {"any": {"@type": "x/y", "@value": inside}}
        assert native.decode(message("lab.Wkt"), native.encode(message("lab.Wkt"), shown)) == shown
        in_json = codec().decode(message("lab.Wkt"), native.encode(message("lab.Wkt"), shown))["any"]
        assert codec().encode(message("lab.Wkt"), {"any": in_json}) == native.encode(message("lab.Wkt"), shown)
    for value in ({"value": "AQ=="}, {"@value": b"", "more": 1}, {}):
        with pytest.raises(EncodeError, match=r"request.any: unable to resolve 'x/y': the type is not in the schema"):
            native.encode(message("lab.Wkt"), {"any": {"@type": "x/y", **value}})


def test_well_known_types_in_an_any_need_no_import() -> None:
    types = Registry()
    source = 'syntax = "proto3"; import "google/protobuf/any.proto"; message M { google.protobuf.Any any = 1; }'
    for file in compile_sources(["m.proto"], sources={"m.proto": source}):
        types.add_file(file)
    made, descriptor = Codec(types), types.message("M")
    for name, value in {
        "Duration": "1.500s",
        "StringValue": "x",
        "Struct": {"a": [1]},
        "Timestamp": "1970-01-01T00:00:01Z",
    }.items():
        shown = {"any": {"@type": f"type.googleapis.com/google.protobuf.{name}", "value": value}}
        assert made.decode(descriptor, made.encode(descriptor, shown)) == shown
    shown = {"any": {"@type": "x/google.protobuf.Empty"}}
    assert made.decode(descriptor, made.encode(descriptor, shown)) == shown
    with pytest.raises(EncodeError, match=r"request.any: unable to resolve 'x/google.protobuf.Nothing'"):
        made.encode(descriptor, {"any": {"@type": "x/google.protobuf.Nothing"}})
    with pytest.raises(SchemaError, match=r"no message type 'google.protobuf.Duration' in the schema"):
        types.message("google.protobuf.Duration")


def test_json_text() -> None:
    descriptor = message("lab.All")
    data = codec().from_json(descriptor, '{"f_int32": 5, "fString": "ü\\u00fc", "rDouble": ["NaN", 1]}')
    assert json.loads(codec().to_json(descriptor, data))["fString"] == "üü"
    assert codec().from_json(descriptor, '{"fString": "ü"}'.encode()) == b"\x72\x02\xc3\xbc"
    for marked in ('\ufeff{"fInt32": 5}', b'\xef\xbb\xbf{"fInt32": 5}'):  # RFC 8259, 8.1: it may be passed over
        assert codec().from_json(descriptor, marked) == b"\x18\x05"
    broken: dict[str | bytes, str] = {
        "\ufeff\ufeff{}": "request: not JSON",
        '{"fInt32": 1}'.encode("utf-16"): "request: not JSON: UTF-16, where UTF-8 is expected",
        '{"fInt32": 1, "fInt32": 2}': "request: the name 'fInt32' is there twice in one object",
        '{"fInt32": 1, "f_int32": 2}': "request: the field 'fInt32' is there twice",
        '{"rSub": [{"name": 1}]}': "request.rSub[0].name: string expected, not 1",
        '{"rSub": [{}, {"child": {"a": 1, "a": 2}}]}': "request.rSub[1].child: the name 'a' is there twice",
        '{"mSs": {"a b": "", "a b": ""}}': "request.mSs: the name 'a b' is there twice in one object",
        '{"mIs": {"1": {"x y": {"child": 1e999}}}}': "request.mIs['1']['x y'].child: number out of range: 1e999",
        '{"fDouble": NaN}': "request.fDouble: NaN is not JSON",
        '{"fDouble": 1e999}': "request.fDouble: number out of range: 1e999",
        '[[], {"a": []}, [0, -Infinity]]': "request[2][1]: -Infinity is not JSON",
        '{"fInt32": 1,}': "request: not JSON",
        "": "request: not JSON",
        "[1]": "request: object expected for lab.All, not [1]",
        '{"fInt32": ' + "9" * 5000 + "}": "request.fInt32: number out of range",
        '{"fString": "\\ud800"}': "request.fString: not a valid Unicode string",
        "[" * 100_000: "request: nested too deep",
        b'{"fString": "\xff"}': "request: not JSON: invalid UTF-8 at byte 13",
    }
    for text, problem in broken.items():
        with pytest.raises(DecodeError) as caught:
            codec().from_json(descriptor, text)
        assert str(caught.value).startswith(problem), text[:40]


def test_message_objects_are_taken_and_made() -> None:
    sub = registry().message_class(message("lab.Sub"))(name="n")
    assert codec().encode(message("lab.Sub"), sub) == b"\x0a\x01n"
    stamp = timestamp_pb2.Timestamp(seconds=1)
    assert codec().encode(message("lab.All"), {"rSub": [sub, {}]}) == b"\xc2\x01\x03\x0a\x01n\xc2\x01\x00"
    assert codec().encode(message("lab.Wkt"), {"ts": stamp}) == b"\x0a\x02\x08\x01"
    assert codec().encode(message("lab.Wkt"), {"any": stamp})[3:] == (
        b"\x0a\x2dtype.googleapis.com/google.protobuf.Timestamp\x12\x02\x08\x01"
    ) or codec().decode(message("lab.Wkt"), codec().encode(message("lab.Wkt"), {"any": stamp}))["any"] == {
        "@type": "type.googleapis.com/google.protobuf.Timestamp",
        "value": "1970-01-01T00:00:01Z",
    }
    with pytest.raises(EncodeError, match=r"request.fSub: lab.Sub expected, not a google.protobuf.Timestamp"):
        codec().encode(message("lab.All"), {"fSub": stamp})
    with pytest.raises(EncodeError, match=r"request: Message lab2.Old is missing required|required"):
        codec().encode(message("lab2.Old"), registry().message_class(message("lab2.Old"))())
    made = codec().to_message(message("lab.Sub"), b"\x0a\x01n")
    assert made == sub
    assert isinstance(codec().to_message(message("lab.Wkt"), b"", timestamp_pb2.Timestamp), timestamp_pb2.Timestamp)
    with pytest.raises(DecodeError):
        codec().to_message(message("lab.Sub"), b"\x0a\x05")


@pytest.mark.parametrize(
    "name", ["DESCRIPTOR", "SerializeToString", "FromString", "__init__", "__new__", "_fields", "__dict__"]
)
def test_message_objects_whose_fields_are_called_like_their_methods(name: str) -> None:
    types = Registry()
    source = f'syntax = "proto3"; package odd.{name}; message M {{ int32 {name} = 1; google.protobuf.Any any = 2; }}'
    for file in compile_sources(["m.proto"], sources={"m.proto": source.replace("package", IMPORT_ANY + "package")}):
        types.add_file(file)
    made, descriptor = Codec(types, field_names="original"), types.message(f"odd.{name}.M")
    assert made.decode(descriptor, made.encode(descriptor, {name: 5}))[name] == 5
    try:
        message_object = made.to_message(descriptor, b"\x08\x05")
    except SchemaError as error:  # google.protobuf's pure backend takes some of these names for its own
        assert f"odd.{name}.M: " in str(error) or f"odd.{name}.M " in str(error)  # noqa: PT017
    else:
        assert made.encode(descriptor, message_object) == b"\x08\x05"
        assert made.decode(descriptor, made.encode(descriptor, {"any": message_object}))["any"][name] == 5


def test_message_objects_that_lack_what_is_required() -> None:
    lacking = registry().message_class(message("lab2.Old"))()
    for value in ({"any": lacking}, {"many": [{}, lacking]}):
        with pytest.raises(EncodeError, match=r"request\.(any|many\[1\]): Message lab2.Old is missing required"):
            codec().encode(message("lab.Wkt"), value)


def test_other_buffers_are_decoded() -> None:
    assert codec().decode(message("lab.Sub"), bytearray(b"\x0a\x01n"))["name"] == "n"
    assert codec().decode(message("lab.Sub"), memoryview(b"\x0a\x01n"))["name"] == "n"


@given(st.integers(-62135596800, 253402300799), st.sampled_from([0, 1, 10, 1000, 999_000_000, 999_999_999]))
def test_timestamps_read_back(seconds: int, nanos: int) -> None:
    text = codec_times.timestamp_text(seconds, nanos)
    assert codec_times.parse_timestamp(text) == (seconds, nanos)
    assert text == timestamp_pb2.Timestamp(seconds=seconds, nanos=nanos).ToJsonString()
