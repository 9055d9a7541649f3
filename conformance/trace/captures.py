"""Public captures, as source packages of Debian carry them: each is read and explained, and held against tshark.

Usage: ``python -m conformance.trace.captures FOLDER [LEAST]``; FOLDER has the captures, at least LEAST of them, and
logs of TLS keys for some. For
every connection each byte must be in one span of the explanation; frames, header lists and gRPC messages of what both
tell as HTTP/2 must be equal. What stays different is in DIFFERENCES, with its reason.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.trace.conversations import assert_every_octet_is_explained

from conformance.trace.tshark import Dissection, dissect, ours
from puregrpc.errors import InvalidArgument
from puregrpc.trace import Direction, Explanation, Frame, Recording, explain
from puregrpc.trace.reading import read_recordings
from puregrpc.wire.frames import PREFACE

ENDINGS = (".pcap", ".pcapng", ".cap", ".pcap.gz", ".pcapng.gz")
LARGEST = 32 << 20
"""Bytes of a capture that is read; beyond it is not of interest here."""

SLOWEST = 30.0
"""Seconds of processor time for a MiB, beyond the first."""

NO_PROTOBUF = "(the messages are JSON, under application/grpc: tshark shows no fields of it)"

DIFFERENCES: dict[str, str] = {
    "grpc_person_search_json_with_image.pcapng.gz": NO_PROTOBUF,
    "grpc_stream_reassembly_sample.pcapng.gz": NO_PROTOBUF,
}
"""Name of a capture -> why it is told otherwise."""


def captures(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.rglob("*")):
        if file.name.endswith(ENDINGS) and file.is_file() and 0 < file.stat().st_size <= LARGEST:
            yield file


def key_log_of(folder: Path) -> str:
    """All key logs there are, in one: each line names its connection."""
    files = [file for file in sorted(folder.rglob("*")) if file.name.endswith((".keys", "_keylog.dat"))]
    return "".join(file.read_text("ascii", "replace") + "\n" for file in files)


def servers_of(recordings: list[Recording]) -> dict[int, str]:
    """The ports on which HTTP/2 is spoken, as far as its beginning shows it, and what is around it."""
    return {
        int(recording.server.rpartition(":")[2]): "tls" if recording.encrypted else "http2"
        for recording in recordings
        if recording.octets(Direction.CLIENT).startswith(PREFACE)
    }


def compared(explanations: list[Explanation], theirs: dict[Direction, Dissection]) -> tuple[int, int, list[str]]:
    """How many frames each tells, and what they do not agree on: connections are in one heap for each direction."""
    mine = [ours(explanation) for explanation in explanations]
    found = []
    frames = [0, 0]
    for side in Direction:
        for what in ("frames", "headers", "messages"):
            one = Counter(each for dissection in mine for each in getattr(dissection[side], what))
            other = Counter(getattr(theirs[side], what))
            if what == "frames":
                frames[0] += sum(one.values())
                frames[1] += sum(other.values())
            alone = sum((one - other).values()), sum((other - one).values())
            if any(alone):
                found.append(f"{what} of the {side.value}: {alone[0]} told here alone, {alone[1]} by tshark alone")
    return frames[0], frames[1], found


def main() -> int:
    folder, least = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    key_log = key_log_of(folder)
    keys = folder / "all.keylog"
    keys.write_text(key_log, encoding="ascii", errors="replace")
    faults: list[str] = []
    files = connections = both = equal = frames = octets = 0
    seconds = 0.0
    alone: list[str] = []
    for file in captures(folder):
        files += 1
        data = file.read_bytes()
        began = time.process_time()
        try:
            recordings: list[Recording] = read_recordings(data, file.name, key_log=key_log)
            explanations = [explain(recording) for recording in recordings]
        except InvalidArgument:
            continue  # no TCP in it, or no capture that is known
        except Exception as error:
            faults.append(f"{file.name}: {type(error).__name__}: {error}")
            continue
        took = time.process_time() - began
        seconds += took
        octets += len(data)
        connections += len(recordings)
        if took > SLOWEST * (1 + len(data) / (1 << 20)):
            faults.append(f"{file.name}: {took:.1f} s for {len(data)} bytes")
        for explanation in explanations:
            try:
                assert_every_octet_is_explained(explanation)
            except AssertionError as error:
                faults.append(f"{file.name}: {error}")
        is_told = any(isinstance(entry, Frame) for explanation in explanations for entry in explanation.entries)
        if not is_told and b"PRI * HTTP/2.0" not in data and "http2" not in file.name:
            continue
        here, there, unlike = compared(explanations, dissect(file, servers_of(recordings), key_log=keys))
        if not here or not there:
            if here or there:
                alone.append(f"{file.name} ({'puregrpc' if here else 'tshark'}, {here or there} frames)")
            continue
        both += 1
        frames += there
        reason = DIFFERENCES.get(file.name, "")
        said = "; ".join(unlike) or "equal"
        print(f"captures: {file.name}: {there} frames, {took / (len(data) / (1 << 20)):.1f} s per MiB: {said} {reason}")
        if unlike and not reason:
            faults.append(f"{file.name} is told otherwise")
        equal += not unlike
    for fault in faults:
        print(f"captures: {fault}")
    if alone:
        print(f"captures: told as HTTP/2 by one alone: {', '.join(alone)}")
    rate = seconds / max(octets / (1 << 20), 1e-9)
    print(f"captures: {files} files, {connections} TCP connections, {octets / (1 << 20):.0f} MiB, {rate:.2f} s per MiB")
    print(f"captures: {both} with HTTP/2 compared with tshark ({frames} frames), {equal} equal")
    return 1 if faults or files < least else 0


if __name__ == "__main__":
    sys.exit(main())
