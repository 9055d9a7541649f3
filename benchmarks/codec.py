"""The codec beside google.protobuf's json_format (native and pure backend) and json.

``python -m benchmarks.codec [--seconds S] [--rounds N] [--output FILE]``. Microseconds of processor time per operation
and how many times as long as the codec the others take: medians of rounds, in which all take turns. json_format on the
pure backend runs in a process of its own, in which google.protobuf was told to do without its native code, beside the
codec on that backend. Generation: the time to make an encoder or a decoder from a descriptor. ``--output`` writes the
page that is kept as benchmarks/CODEC.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.internal import api_implementation

from benchmarks.measuring import ROOT, Row, environment, in_rounds, versions
from puregrpc.codec import Codec
from puregrpc.codec.generation.compiler import Compiler
from puregrpc.codec.generation.source import forget_code
from puregrpc.codec.options import Options
from puregrpc.proto import compile as compile_sources
from puregrpc.schema import Registry

SOURCE = """
syntax = "proto3";
package bench;
import "google/protobuf/duration.proto";
import "google/protobuf/timestamp.proto";
enum State { STATE_UNSPECIFIED = 0; ACTIVE = 1; SUSPENDED = 2; }
message Hello { string greeting = 1; }
message Address {
  string street = 1; string city = 2; string postal_code = 3; string country = 4;
  double lat = 5; double lon = 6;
}
message Item { string sku = 1; int32 quantity = 2; double price = 3; repeated string tags = 4; bool gift = 5; }
message Order {
  int64 order_id = 1;
  string customer_name = 2;
  string email = 3;
  State state = 4;
  bool paid = 5;
  double total = 6;
  float discount = 7;
  uint32 version = 8;
  uint64 sequence = 9;
  sint32 delta = 10;
  sint64 balance = 11;
  fixed32 checksum = 12;
  fixed64 hash = 13;
  sfixed32 offset = 14;
  sfixed64 position = 15;
  int32 priority = 16;
  bytes signature = 17;
  google.protobuf.Timestamp created_at = 18;
  google.protobuf.Duration handling_time = 19;
  Address billing_address = 20;
  Address shipping_address = 21;
  repeated Item items = 22;
  repeated int32 scores = 23;
  repeated double weights = 24;
  repeated string labels = 25;
  repeated State history = 26;
  map<string, string> attributes = 27;
  map<string, int32> counters = 28;
  map<int32, Item> substitutes = 29;
  optional string note = 30;
  optional int32 rating = 31;
  oneof payment { string card = 32; bytes voucher = 33; }
}
message Items { repeated Item items = 1; }
message Numbers { repeated int32 small = 1; repeated int64 large = 2; repeated double values = 3; }
message Maps { map<string, string> texts = 1; map<int32, Item> items = 2; }
message Blob { bytes data = 1; }
"""
OWN = "codec"
NESTED = "33 fields, nested, 1,331 bytes"


def item(n: int) -> dict[str, Any]:
    return {
        "sku": f"SKU-{n:06d}",
        "quantity": n % 7 + 1,
        "price": n * 1.25 + 0.99,
        "tags": ["new", f"tag{n}"],
        "gift": n % 2 == 0,
    }


def address(n: int) -> dict[str, Any]:
    return {
        "street": f"{n} Long Meadow Lane",
        "city": "Springfield",
        "postalCode": f"{10000 + n}",
        "country": "NL",
        "lat": 52.37403 + n,
        "lon": 4.88969 - n,
    }


def messages() -> dict[str, tuple[str, dict[str, Any]]]:
    """Title -> full name of the type and the message, as ProtoJSON shows it."""
    order = {
        "orderId": "1234567890123",
        "customerName": "Margaret van der Berg",
        "email": "margaret@example.com",
        "state": "ACTIVE",
        "paid": True,
        "total": 1234.56,
        "discount": 0.15,
        "version": 300,
        "sequence": "98765432101",
        "delta": -42,
        "balance": "-123456789",
        "checksum": 3735928559,
        "hash": "16045690984503098046",
        "offset": -77,
        "position": "-5000000000",
        "priority": 3,
        "signature": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "createdAt": "2024-05-17T12:34:56.789Z",
        "handlingTime": "5400.250s",
        "billingAddress": address(1),
        "shippingAddress": address(2),
        "items": [item(n) for n in range(11)],
        "scores": list(range(0, 1000, 50)),
        "weights": [n / 8 for n in range(8)],
        "labels": [f"label-{n}" for n in range(8)],
        "history": ["STATE_UNSPECIFIED", "ACTIVE", "SUSPENDED", "ACTIVE"],
        "attributes": {f"key{n}": f"value number {n}" for n in range(6)},
        "counters": {f"counter{n}": n * 1000 for n in range(5)},
        "substitutes": {str(n): item(n) for n in range(2)},
        "note": "leave it at the door, ring twice, and mind the step behind the gate",
        "rating": 5,
        "card": "4111 1111 1111 1111",
    }  # fmt: skip
    return {
        NESTED: ("bench.Order", order),
        "hello": ("bench.Hello", {"greeting": "Bert"}),
        "1,000 messages": ("bench.Items", {"items": [item(n) for n in range(1000)]}),
        "packed numbers": (
            "bench.Numbers",
            {
                "small": list(range(100)) * 20,
                "large": [str(n * 123456789) for n in range(1000)],
                "values": [n / 3 for n in range(1000)],
            },
        ),
        "maps": (
            "bench.Maps",
            {
                "texts": {f"key{n}": f"value{n}" for n in range(200)},
                "items": {str(n): item(n) for n in range(100)},
            },
        ),
        "1 MB of bytes": ("bench.Blob", {"data": "AAEC" * 349525}),
    }


def registry() -> Registry:
    made = Registry()
    for file in compile_sources(["bench.proto"], sources={"bench.proto": SOURCE}):
        made.add_file(file)
    return made


def timed(operation: Callable[[], Any], seconds: float) -> float:
    """Microseconds per operation."""
    operation()
    count, spent = 1, 0.0
    while spent < seconds:
        start = time.process_time()
        for _ in range(count):
            operation()
        spent = time.process_time() - start
        if spent < seconds:
            count = max(count * 2, int(count * seconds / max(spent, 1e-9)))
    return spent / count * 1e6


def json_format_operations(
    made: Registry, name: str, value: dict[str, Any]
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    message_class = made.message_class(made.message(name))
    data = json_format.ParseDict(value, message_class()).SerializeToString()

    def encode() -> bytes:
        return json_format.ParseDict(value, message_class()).SerializeToString()

    def decode() -> dict[str, Any]:
        shown: dict[str, Any] = json_format.MessageToDict(
            message_class.FromString(data), always_print_fields_with_no_presence=True
        )
        return shown

    return encode, decode


def operations(made: Registry) -> dict[str, dict[str, tuple[Callable[[], Any], Callable[[], Any]]]]:
    """Title -> contestant -> encode and decode."""
    codec = Codec(made)
    contests: dict[str, dict[str, tuple[Callable[[], Any], Callable[[], Any]]]] = {}
    for title, (name, value) in messages().items():
        descriptor = made.message(name)
        encode, decode = codec.encoder(descriptor), codec.decoder(descriptor)
        data, text = encode(value), json.dumps(value)
        if title == NESTED and (len(descriptor.fields), len(data)) != (33, 1331):
            raise SystemExit(f"{title}: {len(descriptor.fields)} fields and {len(data)} bytes")
        theirs = json_format_operations(made, name, value)
        if theirs[0]() != data and made.message_class(descriptor).FromString(data) != made.message_class(
            descriptor
        ).FromString(theirs[0]()):
            raise SystemExit(f"{title}: the codecs do not agree")
        contests[title] = {
            OWN: (partial(encode, value), partial(decode, data)),
            f"json_format {api_implementation.Type()}": theirs,
            "json": (partial(json.dumps, value), partial(json.loads, text)),
        }
    return contests


def measure(seconds: float, rounds: int) -> dict[str, Row]:
    """Title -> figures of each contestant and round, keys "encode" and "decode" (µs)."""
    return {
        title: in_rounds(
            Row(title),
            rounds,
            {
                name: partial(both_ways, encode, decode, seconds)
                for name, (encode, decode) in contestants.items()
            },
        )
        for title, contestants in operations(registry()).items()
    }  # fmt: skip


def both_ways(encode: Callable[[], Any], decode: Callable[[], Any], seconds: float) -> dict[str, float]:
    return {"encode": timed(encode, seconds), "decode": timed(decode, seconds)}


def pure_backend(seconds: float, rounds: int) -> dict[str, Row]:
    """The same, with json_format on protobuf's pure backend."""
    variables = {**environment(), "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
    command = [sys.executable, "-m", "benchmarks.codec", "--only-measure"]
    command += ["--seconds", str(seconds), "--rounds", str(rounds)]
    done = subprocess.run(command, cwd=ROOT, env=variables, check=True, capture_output=True, text=True)
    return {title: Row(title, figures) for title, figures in json.loads(done.stdout).items()}


def generation() -> Row:
    """Milliseconds to make an encoder and a decoder from a descriptor, source, compilation and all."""
    fields = "".join(
        f"{kind} field_{n} = {n};"
        for n, kind in enumerate(
            ["int32", "string", "bytes", "double", "bool", "Sub"] * 3
            + ["repeated string", "repeated int32", "repeated Sub", "map<string, int32>"] * 3,
            1,
        )
    )  # fmt: skip
    source = f'syntax = "proto3"; message Sub {{ int32 a = 1; }} message Thirty {{ {fields} }}'
    made = Registry()
    for file in compile_sources(["thirty.proto"], sources={"thirty.proto": source}):
        made.add_file(file)
    descriptor = made.message("Thirty")
    row = Row("generation")
    for _ in range(30):
        took: dict[str, float] = {}
        for kind in ("encoder", "decoder"):
            forget_code()
            compiler = Compiler(made, Options())
            start = time.process_time()
            compiler.encoder(descriptor) if kind == "encoder" else compiler.decoder(descriptor)
            took[kind] = (time.process_time() - start) * 1e3
        row.add(OWN, took)
    return row


def large_bytes(seconds: float, rounds: int) -> Row:
    """1 MB of bytes as ProtoJSON and as native values, beside what base64 alone takes."""
    made = registry()
    descriptor = made.message("bench.Blob")
    raw = bytes(range(256)) * 4096
    text = b2a_base64(raw, newline=False).decode()
    contestants: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "base64": (partial(a2b_base64, text), partial(b2a_base64, raw, newline=False)),
    }
    for name, codec, value in ((OWN, Codec(made), text), ("native", Codec(made, values="native"), raw)):
        encode, decode = codec.encoder(descriptor), codec.decoder(descriptor)
        contestants[name] = (partial(encode, {"data": value}), partial(decode, encode({"data": value})))
    return in_rounds(
        Row("1 MB"),
        rounds,
        {name: partial(both_ways, *ways, seconds) for name, ways in contestants.items()},
    )


def table(native: Mapping[str, Row], pure: Mapping[str, Row]) -> list[str]:
    """The figures in Markdown: the codec in microseconds, all others as multiples of its time in the same rounds."""
    others = [(native, "json_format upb"), (pure, "json_format python"), (native, "json")]
    lines = [f"| message | way | codec, µs | {' | '.join(name for _, name in others)} |", "|---|---|" + "--:|" * 4]
    for title, row in native.items():
        for key, way in (("encode", "dict → bytes"), ("decode", "bytes → dict")):
            ratios = [f"{run[title].ratio(key, name, OWN):.2f}×" for run, name in others]
            lines.append(f"| {title} | {way} | {row.median(OWN)[key]:.1f} | {' | '.join(ratios)} |")
    return lines


PAGE = """\
# The codec beside json_format and json

Made by `python -m benchmarks.codec --output benchmarks/CODEC.md` on {day}: {versions}.

Processor time, medians of {rounds} rounds in which all take turns. The columns on the right say how many times the
codec's time the others take; json_format python is google.protobuf's pure backend, in a process of its own, beside the
codec there.

{table}

Of 1 MB of bytes, base64 takes nearly all: `binascii` alone {encode_alone:.0%} of the time dict → bytes and
{decode_alone:.0%} bytes → dict.
As native values: {native_encode:.0f} and {native_decode:.0f} µs, one copy each way.

Making the functions of a message of 30 fields, source and compilation (medians of 90, at the start, in the middle and
at the end of the run; those for its lists and maps of scalars come when they are first called):
{generation}.
"""


def page(rounds: int, native: Mapping[str, Row], pure: Mapping[str, Row], made: Row, large: Row) -> str:
    return PAGE.format(
        **{f"{key}_alone": large.ratio(key, "base64", OWN) for key in ("encode", "decode")},
        **{f"native_{key}": took for key, took in large.median("native").items()},
        day=datetime.now(timezone.utc).date(),
        versions=versions(),
        rounds=rounds,
        table="\n".join(table(native, pure)),
        generation=", ".join(
            f"{kind} {took:.2f} ms (fastest {min(each[kind] for each in made.figures[OWN]):.2f})"
            for kind, took in made.median(OWN).items()
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.03, help="per contestant, operation and round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path, help="save the page")
    parser.add_argument("--only-measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only_measure:
        figures = {title: row.figures for title, row in measure(options.seconds, options.rounds).items()}
        print(json.dumps(figures))
        return
    made = generation()
    native = measure(options.seconds, options.rounds)
    made.figures[OWN] += generation().figures[OWN]
    large = large_bytes(options.seconds, options.rounds)
    pure = pure_backend(options.seconds, options.rounds)
    made.figures[OWN] += generation().figures[OWN]
    text = page(options.rounds, native, pure, made, large)
    print(text, end="")
    if options.output:
        options.output.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
