"""Public captures, as source packages of Debian carry them: each is read and explained, and held against tshark.

Usage: ``python -m conformance.trace.captures FOLDER [LEAST]``; FOLDER has the captures, at least LEAST of them, and
logs of TLS keys for some. For
every connection each byte must be in one span of the explanation; frames and header lists of what both tell as HTTP/2
must be equal. What stays different is in DIFFERENCES, with its reason.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.trace.conversations import assert_every_octet_is_explained

from puregrpc.errors import InvalidArgument
from puregrpc.trace import Direction, Explanation, Frame, Recording, explain
from puregrpc.trace.reading import read_recordings
from puregrpc.wire.frames import PREFACE

ENDINGS = (".pcap", ".pcapng", ".cap", ".pcap.gz", ".pcapng.gz")
LARGEST = 32 << 20
"""Bytes of a capture that is read; beyond it is not of interest here."""

SLOWEST = 30.0
"""Seconds of processor time for a MiB, beyond the first."""

FIELDS = ("http2.type", "http2.streamid", "http2.length", "http2.header.name", "http2.header.value")

DIFFERENCES: dict[str, str] = {}
"""Name of a capture -> why it is told otherwise."""

Told = tuple["Counter[tuple[int, int, int]]", "Counter[tuple[str, str]]"]
"""Frames by type, stream and length, and header fields."""


def captures(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.rglob("*")):
        if file.name.endswith(ENDINGS) and file.is_file() and 0 < file.stat().st_size <= LARGEST:
            yield file


def key_log_of(folder: Path) -> str:
    """All key logs there are, in one: each line names its connection."""
    files = [file for file in sorted(folder.rglob("*")) if file.name.endswith((".keys", "_keylog.dat"))]
    return "".join(file.read_text("ascii", "replace") + "\n" for file in files)


def by_tshark(file: Path, key_log: Path, ports: set[str]) -> Told:
    """What tshark tells of all connections of a capture, as they come; HTTP/2 is spoken on the ``ports``."""
    command = ["tshark", "-n", "-o", f"tls.keylog_file:{key_log}", "-r", str(file), "-Y", "http2", "-T", "fields"]
    command += ["-E", "aggregator=\x01", "-E", "separator=\x02", *(word for name in FIELDS for word in ("-e", name))]
    command += [word for port in sorted(ports) for word in ("-d", f"tcp.port=={port},http2")]
    ran = subprocess.run(command, capture_output=True, check=False, timeout=120)
    frames: Counter[tuple[int, int, int]] = Counter()
    headers: Counter[tuple[str, str]] = Counter()
    for line in ran.stdout.decode("utf-8", "replace").splitlines():
        kinds, streams, lengths, names, values = (part.split("\x01") if part else [] for part in line.split("\x02"))
        if len(kinds) == len(streams) == len(lengths):
            frames.update((int(k), int(s), int(n)) for k, s, n in zip(kinds, streams, lengths, strict=True))
        if len(names) == len(values):
            headers.update(zip(names, values, strict=True))
    return frames, headers


def by_puregrpc(explanations: list[Explanation]) -> Told:
    frames: Counter[tuple[int, int, int]] = Counter()
    headers: Counter[tuple[str, str]] = Counter()
    for explanation in explanations:
        for entry in explanation.entries:
            if isinstance(entry, Frame) and not entry.missing:
                frames[entry.type, entry.stream_id, entry.length] += 1
            for field in entry.header_block.fields if entry.header_block is not None else ():
                if field.name is not None and field.value is not None:
                    headers[field.name.decode("utf-8", "replace"), field.value.decode("utf-8", "replace")] += 1
    return frames, headers


def main() -> int:
    folder, least = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    key_log = key_log_of(folder)
    keys = folder / "all.keylog"
    keys.write_text(key_log, encoding="ascii", errors="replace")
    faults: list[str] = []
    files = connections = compared = equal = frames_compared = octets = 0
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
        ours = by_puregrpc(explanations)
        if not ours[0] and b"PRI * HTTP/2.0" not in data and "http2" not in file.name:
            continue
        ports = {
            recording.server.rpartition(":")[2]
            for recording in recordings
            if recording.octets(Direction.CLIENT).startswith(PREFACE) and not recording.encrypted
        }
        theirs = by_tshark(file, keys, ports)
        if not theirs[0] or not ours[0]:
            alone.append(
                f"{file.name} ({'tshark' if theirs[0] else 'puregrpc'}, {sum((theirs[0] or ours[0]).values())} frames)"
            )
            continue  # tshark has to be told of ports that it does not know
        compared += 1
        frames_compared += sum(theirs[0].values())
        missing = [sum((theirs[0] - ours[0]).values()), sum((theirs[1] - ours[1]).values())]
        if any(missing) and file.name not in DIFFERENCES:
            faults.append(f"{file.name}: {missing[0]} frames and {missing[1]} header fields of tshark's are not told")
        equal += not any(missing)
    for fault in faults:
        print(f"captures: {fault}")
    for name, reason in DIFFERENCES.items():
        print(f"captures: {name} is told otherwise: {reason}")
    if alone:
        print(f"captures: told as HTTP/2 by one alone: {', '.join(alone)}")
    rate = seconds / max(octets / (1 << 20), 1e-9)
    print(f"captures: {files} files, {connections} TCP connections, {octets / (1 << 20):.0f} MiB, {rate:.2f} s per MiB")
    print(f"captures: {compared} with HTTP/2 compared with tshark ({frames_compared} frames), {equal} equal")
    return 1 if faults or files < least else 0


if __name__ == "__main__":
    sys.exit(main())
