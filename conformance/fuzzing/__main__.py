"""Random input into everything that reads what others wrote: ``python -m conformance.fuzzing [--seconds N] [NAME…]``.

Hypothesis draws the input, for so many seconds each. Whatever comes of it: no exception but those that are documented,
and no more steps than are in proportion to what came (every function that is called counts, as those in C do). A find
is made as small as it gets, and printed: keep it as a named case of the tests.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pb2
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from tests.proto.sources import GOOD

from conformance.hostile.victim import ClientVictim, ServerVictim, Victim
from puregrpc.codec import Codec
from puregrpc.errors import CompileError, DecodeError, EncodeError, InvalidArgument
from puregrpc.fuzz.frames.catalogue import PROBES
from puregrpc.fuzz.frames.probe import frame
from puregrpc.proto.compiler import compile_files
from puregrpc.schema import Registry
from puregrpc.trace import explain
from puregrpc.trace.reading import read_recordings

if TYPE_CHECKING:
    from puregrpc.wire import EngineName

BATCH = 100
"""Examples between two looks at the clock."""

FEW_STEPS = 60_000
"""What any input may cost: caches that are filled, a registry of the types that everybody knows."""
STEPS_AN_OCTET = 600


class TooManySteps(Exception):  # noqa: N818 - says what happened
    """Something costs more than it should."""


def within_bounds(size: int, function: Callable[[], object]) -> None:
    """Call a function, and raise TooManySteps once it makes more calls than an input of that size is worth."""
    left = FEW_STEPS + STEPS_AN_OCTET * size

    def step(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal left
        if event in ("call", "c_call"):
            left -= 1
            if left < 0:
                sys.setprofile(None)
                raise TooManySteps(f"more than {FEW_STEPS} + {STEPS_AN_OCTET} * {size} calls")

    sys.setprofile(step)
    try:
        function()
    finally:
        sys.setprofile(None)


# -- connections


def pieces_of(side: str) -> list[bytes]:
    """What the probes of the catalogue send to a side, the first kilobytes of each piece."""
    found: list[bytes] = []
    for probe in PROBES:
        if probe.to == side and "bomb" not in probe.name and "too-large" not in probe.name:
            octets = probe.octets()
            found += [piece[:2000] for piece, _ in zip(octets, range(3), strict=False) if piece]
    return found


def conversations(side: str) -> st.SearchStrategy[list[bytes]]:
    """A sound opening, then pieces of the catalogue, frames of any kind, and anything; cut anywhere."""
    known = pieces_of(side)
    frames = st.builds(
        frame, st.integers(0, 12), st.integers(0, 255), st.sampled_from([0, 1, 1, 1, 2, 3, 5, 2**31 - 1]),
        st.binary(max_size=40),
    )  # fmt: skip
    return st.lists(
        st.one_of(st.sampled_from(known), st.sampled_from(known), frames, st.binary(max_size=60)), max_size=12
    )


def connection(side: str, engine: EngineName) -> tuple[st.SearchStrategy[Any], Callable[[Any], None]]:
    opening = next(iter(next(probe for probe in PROBES if probe.to == side).octets()))

    def feed(drawn: tuple[list[bytes], bool, list[int]]) -> None:
        pieces, is_sound, cuts = drawn
        octets = (opening if is_sound else b"") + b"".join(pieces)
        victim: Victim = ServerVictim(engine, "echo") if side == "server" else ClientVictim(engine)

        def run() -> None:
            last = 0
            for cut in sorted(cut % (len(octets) + 1) for cut in cuts):
                victim.feed(octets[last:cut], takes_output=True)
                last = cut
            victim.feed(octets[last:], takes_output=True)
            victim.connection.advance(time.perf_counter() + 100)
            victim.connection.lost("gone")

        within_bounds(len(octets), run)

    return st.tuples(conversations(side), st.booleans(), st.lists(st.integers(0, 1 << 16), max_size=3)), feed


# -- the compiler, the codec, captures

TOKENS = st.sampled_from(
    [
        "syntax", "edition", "=", '"proto3"', '"2023"', ";", "message", "{", "}", "enum", "service", "rpc", "returns",
        "(", ")", "extend", "extensions", "reserved", "to", "max", "oneof", "map", "<", ">", ",", "string", "int32",
        "M", "N", "a", "b", ".", "1", "2", "536870911", "-1", "0x7", "1e9", "option", "optional", "repeated", "group",
        "stream", "import", '"google/protobuf/any.proto"', "package", "[", "]", "default", '"\\xff"', "//", "/*", "*/",
        "\n", "json_name", "packed", "deprecated", "true", "import public", "weak", "features.field_presence",
    ]
)  # fmt: skip


def compiling() -> tuple[st.SearchStrategy[Any], Callable[[Any], None]]:
    tokens = st.lists(TOKENS, max_size=60).map(lambda drawn: " ".join(drawn).encode())
    texts = st.one_of(
        tokens, damaged(st.sampled_from([text.encode() for text in GOOD.values()])), st.binary(max_size=80)
    )

    def run(source: bytes) -> None:
        with suppress(CompileError):
            within_bounds(len(source), lambda: compile_files(["a.proto"], sources={"a.proto": source}))

    return texts, run


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Something that is whole, with a few octets changed, taken away, put in or doubled."""
    octets = bytearray(draw(whole))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(octets)))
        until = min(at + draw(st.integers(0, 20)), len(octets))
        octets[at:until] = draw(st.one_of(st.binary(max_size=8), st.just(bytes(octets[at:until]) * 2)))
    return bytes(octets)


def decoding() -> tuple[st.SearchStrategy[Any], Callable[[Any], None]]:
    registry = Registry()
    for file in compile_files(["google/protobuf/descriptor.proto"]):
        registry.add_file(file)
    codec = Codec(registry)
    known = registry.message("google.protobuf.FileDescriptorProto")
    whole = descriptor_pb2.FileDescriptorProto()
    descriptor_pb2.DESCRIPTOR.CopyToProto(whole)
    wire = st.tuples(damaged(st.just(whole.SerializeToString()[:3000])), st.just("bytes"))
    text = st.tuples(
        damaged(st.just(b'{"name": "a", "messageType": [{"name": "M", "field": [{"number": 1}]}]}')), st.just("json")
    )

    def run(drawn: tuple[bytes, str]) -> None:
        octets, kind = drawn
        with suppress(DecodeError, EncodeError):
            if kind == "bytes":
                within_bounds(len(octets), lambda: codec.decode(known, octets))
            else:
                within_bounds(len(octets), lambda: codec.from_json(known, octets))

    return st.one_of(wire, text), run


def capturing() -> tuple[st.SearchStrategy[Any], Callable[[Any], None]]:
    packet = bytes.fromhex("4500003c000040004006") + bytes(30) + next(PROBES[0].octets())[:200]
    head = (0xA1B2C3D4).to_bytes(4, "little") + b"\x02\0\x04\0" + bytes(8) + b"\xff\xff\0\0" + b"\x65\0\0\0"
    size = len(packet).to_bytes(4, "little")
    pcap = head + (bytes(8) + size + size + packet) * 3
    dump = b"> 50 52 49 20 2a 20 48 54 54 50 2f 32 2e 30 0d 0a 0d 0a 53 4d 0d 0a 0d 0a\n< 00 00 00 04 00 00 00 00 00\n"
    files = st.one_of(
        damaged(st.just(pcap)),
        damaged(st.just(dump)),
        st.binary(max_size=200),
        damaged(st.just(b"\x0a\x0d\x0d\x0a" + bytes(60))),
    )

    def run(octets: bytes) -> None:
        def read() -> None:
            for recording in read_recordings(octets):
                explain(recording)

        with suppress(InvalidArgument):
            within_bounds(len(octets), read)

    return files, run


TARGETS: dict[str, Callable[[], tuple[st.SearchStrategy[Any], Callable[[Any], None]]]] = {
    "server-fast": lambda: connection("server", "fast"),
    "server-h2": lambda: connection("server", "h2"),
    "client-fast": lambda: connection("client", "fast"),
    "client-h2": lambda: connection("client", "h2"),
    "compiler": compiling,
    "codec": decoding,
    "captures": capturing,
}


def fuzz(name: str, seconds: float, first_seed: int) -> int:
    """Draw input for a target for some seconds; gives how many examples that were. Raises what a target raises."""
    strategy, run = TARGETS[name]()
    until = time.monotonic() + seconds
    examples = 0

    def example(drawn: Any) -> None:
        nonlocal examples
        examples += 1
        run(drawn)

    for number in count(first_seed):
        test = settings(
            max_examples=BATCH, deadline=None, database=None, verbosity=Verbosity.normal,
            suppress_health_check=list(HealthCheck), phases=(Phase.generate, Phase.shrink),
        )(given(strategy)(example))  # fmt: skip
        seed(number)(test)()
        if time.monotonic() >= until:
            return examples
    raise AssertionError("numbers do not end")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(TARGETS)}; all of them by default")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"| target | examples | verdict (seed {options.seed}) |\n|---|--:|---|", flush=True)
    bad = 0
    for name in options.names or TARGETS:
        try:
            examples, verdict = fuzz(name, options.seconds, options.seed), "ok"
        except Exception as error:
            examples, verdict = 0, f"{type(error).__name__}: {error}; {'; '.join(getattr(error, '__notes__', []))}"
            bad += 1
        print(f"| {name} | {examples} | {verdict} |", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
