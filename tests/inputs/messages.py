"""Protobuf bytes and JSON text for the codec."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from functools import cache

from puregrpc import proto
from puregrpc.codec import Codec
from puregrpc.codec.wire_format.tags_and_varints import varint
from puregrpc.errors import DecodeError
from puregrpc.proto.descriptors import MessageDescriptor
from puregrpc.schema import Registry

__all__ = ["MESSAGES"]

SOURCE = """
syntax = "proto3";
package p;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
message M {
  M m = 1; map<string, M> map = 3; repeated int32 ints = 4; repeated double doubles = 5;
  string s = 6; bytes b = 7; google.protobuf.Any any = 8; repeated google.protobuf.Any anys = 9;
  google.protobuf.Struct struct = 10; google.protobuf.Value value = 11; google.protobuf.ListValue list = 12;
  google.protobuf.FieldMask mask = 13; google.protobuf.Timestamp time = 14; google.protobuf.Duration duration = 15;
  repeated E enums = 17; oneof o { M o1 = 18; string o2 = 19; google.protobuf.Value o3 = 20; }
  map<int64, string> numbers = 21; repeated string strings = 22; int64 i = 24; double d = 26; repeated bool bools = 29;
  repeated google.protobuf.Timestamp times = 30; map<bool, M> bools_map = 32; repeated M ms = 33;
  repeated google.protobuf.Value values = 35;
}
enum E { ZERO = 0; }
"""
MANY_TYPES = "".join(f"message SomeLongerName{number} {{}}" for number in range(300))


@cache
def schema() -> tuple[MessageDescriptor, dict[str, Codec]]:
    (file,) = proto.compile(["m.proto"], sources={"m.proto": SOURCE + MANY_TYPES})
    registry = Registry()
    registry.add_file(file)
    codecs = {
        "json": Codec(registry),
        "native": Codec(registry, values="native", unknown_fields="keep", emit_defaults=False),
    }
    return registry.message("p.M"), codecs


def field(number: int, body: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(body)) + body


def repeated(size: int, *pieces: Callable[[int], bytes]) -> bytes:
    out = bytearray()
    count = 0
    while len(out) < size:
        out += pieces[count % len(pieces)](count)
        count += 1
    return bytes(out)


def nested(size: int, number: int, inner: bytes = b"") -> bytes:
    while len(inner) < size:
        inner = field(number, inner)
    return inner


def again(levels: int, inner: bytes, wrap: Callable[[bytes], bytes]) -> bytes:
    for _ in range(levels):
        inner = wrap(inner)
    return inner


GROUP, GROUP_END = varint(100 << 3 | 3), varint(100 << 3 | 4)

BYTES: dict[str, Callable[[int], bytes]] = {
    "messages without end": lambda size: nested(size, 1),
    "values without end": lambda size: field(11, nested(size, 6)),
    "structs without end": lambda size: field(10, nested(size, 1)),
    "lists without end": lambda size: field(12, nested(size, 1)),
    "groups without end": lambda size: GROUP * (size // 4) + GROUP_END * (size // 4),
    "groups side by side": lambda size: (GROUP + GROUP_END) * (size // 4),
    "fields in groups": lambda size: GROUP * 90 + b"\x08\x01" * (size // 2) + GROUP_END * 90,
    "fields in groups in messages": lambda size: again(
        40, GROUP * 50 + b"\x08\x01" * (size // 2) + GROUP_END * 50, lambda inner: field(1, inner)
    ),
    "a message in parts": lambda size: repeated(size, lambda _: field(1, field(6, b"x"))),
    "messages in parts at every level": lambda size: again(
        90, b"", lambda inner: field(1, inner) + field(1, field(6, b"x" * (size // 90)))
    ),
    "values in parts at every level": lambda size: field(
        11, again(45, field(3, b"x" * size), lambda inner: field(6, field(1, inner)) + field(6, b""))
    ),
    "a value of kinds in turn": lambda size: field(
        11, repeated(size, lambda _: field(5, field(1, field(1, b"k"))), lambda _: field(6, field(1, b"")))
    ),
    "a oneof of members in turn": lambda size: repeated(
        size, lambda _: field(18, field(6, b"x")), lambda _: field(19, b"y"), lambda _: field(20, field(3, b"z"))
    ),
    "entries of one key": lambda size: repeated(size, lambda _: field(3, field(1, b"k") + field(2, b""))),
    "entries of many keys": lambda size: repeated(size, lambda n: field(3, field(1, b"%d" % n))),
    "an entry of many values": lambda size: field(3, field(1, b"k") + repeated(size, lambda _: field(2, b""))),
    "an entry of many keys": lambda size: field(3, repeated(size, lambda n: field(1, b"%d" % n))),
    "packed numbers of ten octets": lambda size: field(4, (b"\xff" * 9 + b"\x01") * (size // 10)),
    "a packed field that claims more": lambda size: varint(4 << 3 | 2) + varint(size * 10) + b"\x01" * size,
    "packed fields of which the last claims more": lambda size: (
        repeated(size, lambda _: field(4, b"\1\2")) + b"\x22\x80\x80\x80\x80\x08"
    ),
    "packed and unpacked in turn": lambda size: repeated(size, lambda _: field(4, b"\1"), lambda _: b"\x20\1"),
    "packed numbers that are cut": lambda size: field(4, b"\x80" * size),
    "packed doubles that are cut": lambda size: field(5, b"x" * (size | 1)),
    "packed fields without numbers": lambda size: field(4, b"") * (size // 2),
    "packed bools of two octets": lambda size: field(29, b"\x81\0" * (size // 2)),
    "enums that are unknown": lambda size: field(17, repeated(size, varint)),
    "a number that does not end": lambda size: varint(24 << 3) + b"\x80" * size,
    "tags of five octets": lambda size: b"\xc0\x81\x80\x80\0\x01" * (size // 6),
    "text that is none": lambda size: field(6, b"a" * size + b"\xff"),
    "texts of which the last is none": lambda size: repeated(size, lambda _: field(22, b"abc")) + field(22, b"\xff"),
    "fields that are unknown": lambda size: repeated(size, lambda n: varint((1000 + n) << 3) + b"\1"),
    "a wire type that is none": lambda size: b"\x08\x01" * (size // 2) + b"\x0f",
    "types of Any that are unknown": lambda size: repeated(
        size, lambda n: field(9, field(1, b"x/p.SomeLongName%d" % n))
    ),
    "types of Any of google that are unknown": lambda size: repeated(
        size, lambda n: field(9, field(1, b"x/google.protobuf.Nope%d" % n))
    ),
    "an Any in an Any": lambda size: field(
        8, again(size // 40, b"", lambda inner: field(1, b"x/google.protobuf.Any") + field(2, inner))
    ),
    "a message in an Any in an Any": lambda size: field(
        8,
        again(
            80,
            field(1, b"x/p.M") + field(2, field(6, b"x" * size)),
            lambda inner: field(1, b"x/google.protobuf.Any") + field(2, inner),
        ),
    ),
    "the type of an Any is long": lambda size: field(8, field(1, b"x/" + b"a." * (size // 2) + b"a")),
    "an Any of many types": lambda size: field(
        8, repeated(size, lambda _: field(1, b"x/p.M"), lambda _: field(2, field(6, b"x")))
    ),
    "a mask of many paths": lambda size: field(13, repeated(size, lambda _: field(1, b"foo_bar.baz"))),
    "a mask of backticks": lambda size: field(13, field(1, b"`" * size)),
    "a mask of underscores": lambda size: field(13, field(1, b"_" * size)),
    "times of many days": lambda size: repeated(size, lambda n: field(30, b"\x08" + varint(n * 86400))),
    "values that are no number": lambda size: repeated(size, lambda _: field(35, b"\x11" + struct.pack("<d", 1e999))),
    "values of large numbers": lambda size: repeated(size, lambda n: field(35, b"\x11" + struct.pack("<d", n * 1e300))),
}


def many(size: int, piece: Callable[[int], str]) -> str:
    out: list[str] = []
    length = 0
    while length < size:
        out.append(piece(len(out)))
        length += len(out[-1]) + 1
    return ",".join(out)


NAMED_TWICE = '{"s":"","s":""}'
NOPE = '"NOPE"'
HALF = "\\udc00{n}"
IN_ANY = '{"@type":"x/google.protobuf.Any","value":'


def named(size: int, name: str, value: str = "1") -> str:
    """Members of an object; their names have the number for {n}."""
    return many(size, lambda n: f'"{name.format(n=n)}":{value}')


def unknown_any(n: int) -> str:
    return f'{{"@type":"x/q.T{n}","@value":""}}'


JSON: dict[str, Callable[[int], str]] = {
    "lists without end": lambda size: '{"list":' + "[" * size,
    "objects without end": lambda size: '{"m":' * (size // 5),
    "values nested": lambda size: '{"value":' + '{"a":' * (size // 6) + "1" + "}" * (size // 6) + "}",
    "a name that is there often": lambda size: f"{{{named(size, 's')}}}",
    "a name that is there twice": lambda size: f'{{"struct":{{{named(size, "{n}")},"0":1}}}}',
    "objects with a name twice": lambda size: f'{{"ms":[{many(size, lambda _: NAMED_TWICE)}]}}',
    "NaN": lambda size: f'{{"doubles":[{many(size, lambda _: "NaN")}]}}',
    "a number of many digits": lambda size: f'{{"i":{"9" * size}}}',
    "a number as text of many digits": lambda size: f'{{"i":"{"9" * size}"}}',
    "a double of many digits": lambda size: f'{{"d":{"9" * size}}}',
    "a double as text of many digits": lambda size: f'{{"d":"{"9" * size}"}}',
    "a fraction of many digits": lambda size: f'{{"d":0.{"9" * size}}}',
    "an exponent of many digits": lambda size: f'{{"d":1e{"9" * size}}}',
    "an exponent as text of many digits": lambda size: f'{{"i":"1e{"9" * size}"}}',
    "a number of many zeros": lambda size: f'{{"i":"{"0" * size}1"}}',
    "a fraction of many zeros": lambda size: f'{{"i":"1.{"0" * size}"}}',
    "large numbers in values": lambda size: f'{{"values":[{many(size, lambda _: "9" * 400)}]}}',
    "halves of pairs of surrogates": lambda size: '{"s":"' + "\\ud800" * (size // 6) + '"}',
    "names that are halves of pairs": lambda size: f'{{"struct":{{{named(size, HALF)}}}}}',
    "escapes": lambda size: '{"s":"' + "\\u0041\\n\\/\\\\" * (size // 12) + '"}',
    "a string that does not end": lambda size: '{"s":"' + "a" * size,
    "names that are unknown": lambda size: f"{{{named(size, 'nope{n}')}}}",
    "a name that is long": lambda size: f'{{"{"a" * size}":1}}',
    "blanks": lambda size: " " * size,
    "lines before what is none": lambda size: "\n" * size + "x",
    "base64 that is none": lambda size: f'{{"b":"{"!" * size}"}}',
    "base64 of padding": lambda size: f'{{"b":"{"=" * size}"}}',
    "an Any in an Any": lambda size: f'{{"any":{IN_ANY * (size // 42)}{{}}{"}" * (size // 42)}}}',
    "types of Any that are unknown": lambda size: f'{{"anys":[{many(size, unknown_any)}]}}',
    "a mask of backticks": lambda size: f'{{"mask":"{"`a`" * (size // 3)}_"}}',
    "a mask of commas": lambda size: f'{{"mask":"{"," * size}"}}',
    "a time of many digits": lambda size: f'{{"time":"2024-01-01T00:00:00.{"9" * size}Z"}}',
    "a year of many digits": lambda size: f'{{"time":"{"9" * size}-01-01T00:00:00Z"}}',
    "a duration of many digits": lambda size: f'{{"duration":"{"9" * size}s"}}',
    "a key of many digits": lambda size: f'{{"numbers":{{"{"1" * size}":""}}}}',
    "a key that is there often": lambda size: f'{{"boolsMap":{{{named(size, "true", "{}")}}}}}',
    "enums that are unknown": lambda size: f'{{"enums":[{many(size, lambda _: NOPE)}]}}',
    "control characters": lambda size: '{"s":"' + "\x01" * size + '"}',
    "byte order marks": lambda size: "\ufeff" * (size // 3) + "{}",
    "commas": lambda size: '{"ints":[' + "," * size + "]}",
    "minus signs": lambda size: '{"ints":[' + "-" * size + "]}",
    "empty objects": lambda size: f'{{"ms":[{many(size, lambda _: "{}")}]}}',
    "nulls": lambda size: f'{{"ms":[{many(size, lambda _: "null")}]}}',
}


def decoding(octets: Callable[[int], bytes], codec: str) -> Callable[[int], Callable[[], object]]:
    def work(size: int) -> Callable[[], object]:
        data = octets(size)
        descriptor, codecs = schema()

        def run() -> None:
            with suppress(DecodeError):
                codecs[codec].decode(descriptor, data)

        return run

    return work


def reading(text: Callable[[int], str]) -> Callable[[int], Callable[[], object]]:
    def work(size: int) -> Callable[[], object]:
        data = text(size).encode("utf-8", "surrogatepass")
        descriptor, codecs = schema()

        def run() -> None:
            with suppress(DecodeError):
                codecs["json"].from_json(descriptor, data)

        return run

    return work


MESSAGES = {
    **{f"bytes: {name}": decoding(octets, "json") for name, octets in BYTES.items()},
    **{
        f"native: {name}": decoding(octets, "native")
        for name, octets in BYTES.items()
        if "group" in name or "Any" in name
    },
    **{f"json: {name}": reading(text) for name, text in JSON.items()},
}
