"""The codec beside google.protobuf's json_format (native and pure backend) and json, in one run.

``python -m benchmarks.codec [--seconds S] [--json FILE]``. Prints microseconds of processor time per operation, medians
of rounds in turn, and how many times faster the codec is. json_format on the pure backend runs in a process of its own,
in which google.protobuf was told to do without its native code. Generation: the time to make encoder and decoder.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.internal import api_implementation

from puregrpc.codec import Codec
from puregrpc.codec.compiler import Compiler
from puregrpc.codec.options import Options
from puregrpc.codec.source import forget_code
from puregrpc.proto import compile as compile_sources
from puregrpc.schema import Registry

SOURCE = """
syntax = "proto3";
package bench;
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
  fixed32 checksum = 11;
  fixed64 hash = 12;
  bytes signature = 13;
  google.protobuf.Timestamp created_at = 14;
  Address billing_address = 15;
  Address shipping_address = 16;
  repeated Item items = 17;
  repeated int32 scores = 18;
  repeated string labels = 19;
  map<string, string> attributes = 20;
  map<string, int32> counters = 21;
  optional string note = 22;
}
message Items { repeated Item items = 1; }
message Numbers { repeated int32 small = 1; repeated int64 large = 2; repeated double values = 3; }
message Maps { map<string, string> texts = 1; map<int32, Item> items = 2; }
message Blob { bytes data = 1; }
"""
ROUNDS = 9


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
        "checksum": 3735928559,
        "hash": "16045690984503098046",
        "signature": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "createdAt": "2024-05-17T12:34:56.789Z",
        "billingAddress": address(1),
        "shippingAddress": address(2),
        "items": [item(n) for n in range(8)],
        "scores": list(range(0, 2000, 50)),
        "labels": [f"label-{n}" for n in range(10)],
        "attributes": {f"key{n}": f"value number {n}" for n in range(8)},
        "counters": {f"counter{n}": n * 1000 for n in range(6)},
        "note": "leave it at the door",
    }  # fmt: skip
    return {
        "order, nested": ("bench.Order", order),
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
        theirs = json_format_operations(made, name, value)
        if theirs[0]() != data and made.message_class(descriptor).FromString(data) != made.message_class(
            descriptor
        ).FromString(theirs[0]()):
            raise SystemExit(f"{title}: the codecs do not agree")
        contests[title] = {
            "codec": (partial(encode, value), partial(decode, data)),
            f"json_format {api_implementation.Type()}": theirs,
            "json": (partial(json.dumps, value), partial(json.loads, text)),
        }
    return contests


def measure(seconds: float) -> dict[str, dict[str, list[float]]]:
    """Title -> contestant -> medians of encode and decode."""
    results: dict[str, dict[str, list[float]]] = {}
    for title, contestants in operations(registry()).items():
        rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
        for _ in range(ROUNDS):
            for name, (encode, decode) in contestants.items():
                rounds[name].append((timed(encode, seconds), timed(decode, seconds)))
        results[title] = {
            name: [statistics.median(e for e, _ in times), statistics.median(d for _, d in times)]
            for name, times in rounds.items()
        }
    return results


def pure_backend(seconds: float) -> dict[str, dict[str, list[float]]]:
    """The same, with json_format on protobuf's pure backend."""
    environment = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
    command = [sys.executable, "-m", "benchmarks.codec", "--only-measure", "--seconds", str(seconds)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    measured: dict[str, dict[str, list[float]]] = json.loads(done.stdout)
    return measured


def generation() -> dict[str, float]:
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
    times: dict[str, list[float]] = {"encoder": [], "decoder": []}
    for _ in range(15):
        for kind, took in times.items():
            forget_code()
            compiler = Compiler(made, Options())
            start = time.process_time()
            compiler.encoder(descriptor) if kind == "encoder" else compiler.decoder(descriptor)
            took.append(time.process_time() - start)
    return {kind: statistics.median(took) * 1e3 for kind, took in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.03, help="per contestant, operation and round")
    parser.add_argument("--json", type=Path, help="save the figures")
    parser.add_argument("--only-measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only_measure:
        print(json.dumps(measure(options.seconds)))
        return
    runs = {"native": measure(options.seconds), "pure": pure_backend(options.seconds)}
    print(f"Python {sys.version.split()[0]}; processor time, microseconds per operation (times the codec's in its run)")
    for title in runs["native"]:
        print(f"\n{title:24s} {'dict -> bytes':>20s} {'bytes -> dict':>20s}")
        for run in runs.values():
            own = run[title]["codec"]
            for name, times in run[title].items():
                if run is runs["native"] or name.startswith("json_format"):
                    cells = [f"{took:10.1f} ({took / ours:5.2f}x)" for took, ours in zip(times, own, strict=True)]
                    print(f"  {name:22s} {cells[0]:>20s} {cells[1]:>20s}")
    made = generation()
    print("\ngeneration for a message of 30 fields, ms: " + ", ".join(f"{k} {v:.2f}" for k, v in made.items()))
    if options.json:
        options.json.write_text(json.dumps({"operations": runs, "generation": made}, indent=1))


if __name__ == "__main__":
    main()
