"""The hostile catalogue over sockets, against servers: puregrpc's in all worlds, and others' as a yardstick."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from conformance.hostile.neighbour import TIMEOUT, processor_time
from conformance.hostile.servers import KINDS
from puregrpc.fuzz.frames.floods import FLOODS
from puregrpc.fuzz.frames.single import SINGLE_SHOTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from puregrpc.fuzz.frames.probe import Handlers, Probe

ROOT = Path(__file__).parents[2]
GO_SERVER = ROOT / "conformance/.work/bin/grpc-go-interop-server"
YARDSTICKS = ("grpcio", "grpc-go")

MOST_WAIT = 0.1
"""Seconds of processor time that a victim may take while another client waits: several turns, and its other threads."""
MOST_SECONDS_PER_MEGABYTE = 1.5
"""Of the fast engine, handlers and sockets included."""
MOST_MEMORY = 64 << 20
FLOOD_SECONDS = 4.0
"""How long a flood may take to be taken: what is not by then is left."""
QUIET = 0.3


def _patience(probe: Probe) -> float:
    """How long to wait for the end of the connection, behind what is sent."""
    return 5.0 if probe.sound == "closes" and probe.takes_output else QUIET


class Victim:
    """A server in a process of its own."""

    def __init__(self, kind: str, handlers: Handlers) -> None:
        self.kind = kind
        command = [sys.executable, "-m", "conformance.hostile.servers", kind, handlers]
        if kind == "grpc-go":
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            command = [str(GO_SERVER), "--port", str(port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT)
        assert self.process.stdout is not None
        self.port = port if kind == "grpc-go" else int(self.process.stdout.readline())
        _until(lambda: _can_connect(self.port))

    @property
    def memory(self) -> int:
        """Resident octets."""
        with suppress(OSError, IndexError, ValueError):
            return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * 4096
        return 0

    @property
    def seconds(self) -> float:
        """Processor time so far; that of before if it is no more."""
        return processor_time(self.process.pid) if self.is_alive else 0.0

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def settle(self) -> None:
        """Wait until it has nothing to do, for a while at the most."""
        for _ in range(20):
            before = self.seconds
            time.sleep(QUIET / 3)
            if self.seconds - before < 0.005:
                return

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


class Heard(NamedTuple):
    """What a neighbour tells in the end."""

    waits: list[float]
    """The longest, in seconds of the victim's processor time: three at the most, the longest last."""
    failed: int

    @property
    def longest(self) -> float:
        """The longest wait of all."""
        return self.waits[-1] if self.waits else 0.0


class Neighbour:
    """A client that behaves well beside the hostile one, in a process of its own (`conformance.hostile.neighbour`)."""

    def __init__(self, victim: Victim, timeout: float = TIMEOUT, *, has_tls: bool = False) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "conformance.hostile.neighbour", str(victim.port), str(victim.process.pid),
             str(timeout), *(["tls"] if has_tls else [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
        )  # fmt: skip
        assert self._process.stdout is not None
        self._process.stdout.readline()  # it is connected

    def __enter__(self) -> Neighbour:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def finish(self) -> Heard:
        """Have it end, and tell."""
        told, _ = self._process.communicate(timeout=120)
        if not told:
            return Heard([], 1)
        heard = json.loads(told)
        return Heard(heard["waits"], heard["failed"])


def _can_connect(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _until(condition: Any, seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)


def send(
    port: int, pieces: Iterator[bytes], *, takes_output: bool, seconds: float, patience: float = QUIET
) -> tuple[int, bool]:
    """Send what a probe sends; gives how much went, and whether the server ended the connection."""
    sent = 0
    is_over = threading.Event()

    def read() -> None:
        with suppress(OSError):
            while sock.recv(1 << 16):
                continue
        is_over.set()

    until = time.monotonic() + seconds
    with socket.create_connection(("127.0.0.1", port)) as sock:
        reader = threading.Thread(target=read, daemon=True)
        if takes_output:
            reader.start()
        try:
            sock.settimeout(0.5)
            for piece in pieces:
                rest = memoryview(piece)
                while rest and time.monotonic() < until and not is_over.is_set():
                    with suppress(TimeoutError):
                        count = sock.send(rest)
                        sent += count
                        rest = rest[count:]
                if rest:
                    break
        except OSError:
            is_over.set()
        was_ended = is_over.wait(patience)
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        if takes_output:
            reader.join(5)
    return sent, was_ended


def flood(probe: Probe, kind: str) -> dict[str, Any]:
    """One flood against a server of its own, with a neighbour."""
    with closing(Victim(kind, probe.handlers)) as victim, Neighbour(victim) as neighbour:
        before, memory = victim.seconds, victim.memory
        most = [memory]
        is_done = threading.Event()

        def watch() -> None:
            while not is_done.wait(0.02):
                most[0] = max(most[0], victim.memory)

        watcher = threading.Thread(target=watch)
        watcher.start()
        sent, is_over = send(
            victim.port,
            probe.octets(),
            takes_output=probe.takes_output,
            seconds=FLOOD_SECONDS,
            patience=_patience(probe),
        )
        victim.settle()
        is_done.set()
        watcher.join()
        seconds = victim.seconds - before if victim.is_alive else 0.0
        heard = neighbour.finish()
        return {
            "alive": victim.is_alive,
            "seconds": seconds,
            "memory": most[0] - memory,
            "wait": heard.waits[0] if len(heard.waits) > 2 else heard.longest,
            "failed": heard.failed,
            "sent": sent,
            "over": is_over,
        }


def faults_of_flood(kind: str, probe: Probe, outcome: dict[str, Any]) -> list[str]:
    """What is not sound about a flood's outcome: nothing is asked of others' servers."""
    if kind in YARDSTICKS:
        return []
    faults = []
    if not outcome["alive"]:
        faults.append("the server ended")
    if outcome["failed"]:
        faults.append("the other client's calls failed")
    if outcome["memory"] > MOST_MEMORY:
        faults.append("memory")
    if kind.startswith("fast"):
        if outcome["seconds"] > MOST_SECONDS_PER_MEGABYTE * max(outcome["sent"] / (1 << 20), 1):
            faults.append("processor time")
        if outcome["wait"] > MOST_WAIT:
            faults.append("wait")
    if probe.sound == "closes" and not outcome["over"] and probe.takes_output:
        faults.append("expected: closes")
    return faults


def single_shots(kind: str, probes: Iterable[Probe]) -> list[str]:
    """All single shots against one server; gives what is not sound, by name."""
    faults: list[str] = []
    victim = Victim(kind, "echo")
    try:
        began = victim.memory
        for probe in probes:
            before = victim.seconds
            _, is_over = send(victim.port, probe.octets(), takes_output=True, seconds=2, patience=_patience(probe))
            if not victim.is_alive:
                return [*faults, f"{probe.name}: the server ended"]
            if kind in YARDSTICKS:
                continue
            if victim.seconds - before > 0.25:
                faults.append(f"{probe.name}: processor time")
            if probe.sound != "any" and probe.sound != "resets" and is_over != (probe.sound == "closes"):
                faults.append(f"{probe.name}: expected: {probe.sound}")
        if victim.memory - began > MOST_MEMORY // 4:
            faults.append("memory")
        if not _can_connect(victim.port):
            faults.append("takes no connections any more")
    finally:
        victim.close()
    return faults


def run(*, is_short: bool, names: list[str], kinds: list[str]) -> tuple[list[str], int]:
    """Run it all; gives the lines of the table and how many runs are not ok."""
    chosen: tuple[str, ...] = tuple(kinds) or (("fast-asyncio", "h2-trio", "fast-threads") if is_short else KINDS)
    if not kinds and not is_short:
        chosen += YARDSTICKS if GO_SERVER.exists() else YARDSTICKS[:1]
    lines = [
        "| probe | server | processor s | another's wait ms | memory MiB | sent MiB | verdict |",
        "|---|---|--:|--:|--:|--:|---|",
    ]
    print("\n".join(lines), flush=True)
    bad = 0
    floods = [probe for probe in FLOODS if probe.to == "server" and (not names or probe.name in names)]
    for index, probe in enumerate(floods):
        for number, kind in enumerate(chosen):
            if is_short and not names and (index + number) % 37:
                continue
            outcome = flood(probe, kind)
            faults = faults_of_flood(kind, probe, outcome)
            bad += bool(faults)
            verdict = ", ".join(faults) or ("–" if kind in YARDSTICKS else "ok")
            lines.append(
                f"| {probe.name} | {kind} | {outcome['seconds']:.2f} | {outcome['wait'] * 1000:.0f} "
                f"| {outcome['memory'] / (1 << 20):.0f} | {outcome['sent'] / (1 << 20):.1f} | {verdict} |"
            )
            print(lines[-1], flush=True)
    shots = [probe for probe in SINGLE_SHOTS if not names or probe.name in names]
    for kind in chosen if shots else ():
        faults = single_shots(kind, shots[:: 8 if is_short else 1])
        bad += len(faults)
        verdict = "; ".join(faults) or ("–" if kind in YARDSTICKS else "ok")
        lines.append(f"| {len(shots[:: 8 if is_short else 1])} single shots | {kind} | | | | | {verdict} |")
        print(lines[-1], flush=True)
    return lines, bad
