"""Hostile servers over sockets, against puregrpc's clients of all worlds.

A process of the client's own (``python -m conformance.hostile.clients KIND PORT``) makes two calls at a time with a
deadline, again after each that fails, and prints what became of them and what that cost it.
"""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.hostile.servers import KINDS
from conformance.hostile.victim import PATH
from puregrpc.channel import BlockingChannel, open_channel
from puregrpc.errors import ConnectError, RpcError
from puregrpc.fuzz.frames.floods import FLOODS
from puregrpc.fuzz.frames.servers import HOSTILE_SERVERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from puregrpc.fuzz.frames.probe import Probe

ROOT = Path(__file__).parents[2]
DEADLINE = 0.5
CALLS = 2
MOST_LATE = 0.1
"""Seconds that a call may end behind its deadline, but for time in which the client's process did not work: the machine
has other things to do."""
MOST_SECONDS = 1.5
"""Of processor time, with the connections that are made anew."""
MOST_MEMORY = 64 << 20
SERVE_SECONDS = 1.5


class HostileServer:
    """Sends what a probe sends, to each connection anew."""

    def __init__(self) -> None:
        self.probe: Probe | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self.probe is not None:
                threading.Thread(target=self._serve, args=(sock, self.probe.octets()), daemon=True).start()

    def _serve(self, sock: socket.socket, pieces: Iterator[bytes]) -> None:
        has_called = threading.Event()

        def read() -> None:
            heard = b""
            with suppress(OSError):
                while data := sock.recv(1 << 16):
                    heard = (heard + data)[-(1 << 16) :]
                    if b"\0\x00\x00\x00\x01" in heard:  # the head of a frame on stream 1
                        has_called.set()
            has_called.set()

        with sock, suppress(OSError):
            threading.Thread(target=read, daemon=True).start()
            sock.settimeout(SERVE_SECONDS)
            sock.sendall(next(pieces))
            has_called.wait(SERVE_SECONDS)
            for piece in pieces:
                sock.sendall(piece)
            time.sleep(SERVE_SECONDS)


# -- the victim's process


class Outcomes:
    """What became of the calls."""

    def __init__(self) -> None:
        self.late = 0.0
        self.codes: list[str] = []
        self.faults: list[str] = []

    def note(self, began: tuple[float, float], error: BaseException | None) -> None:
        late = min(time.monotonic() - began[0] - DEADLINE, time.process_time() - began[1])
        self.late = max(self.late, late)
        if error is None or isinstance(error, RpcError):
            self.codes.append("OK" if error is None else str(error.code))
        elif not isinstance(error, ConnectError):
            self.faults.append(f"{type(error).__name__}: {error}"[:100])


def call_blocking(engine: Any, port: int, outcomes: Outcomes) -> None:
    with BlockingChannel(f"127.0.0.1:{port}", engine=engine) as channel:

        def call() -> None:
            began = (time.monotonic(), time.process_time())
            try:
                channel.unary_unary(PATH)(b"hello", timeout=DEADLINE)
                outcomes.note(began, None)
            except Exception as error:
                outcomes.note(began, error)

        threads = [threading.Thread(target=call) for _ in range(CALLS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


async def call_async(engine: Any, port: int, outcomes: Outcomes, world: str) -> None:
    async with open_channel(f"127.0.0.1:{port}", engine=engine) as channel:

        async def call() -> None:
            began = (time.monotonic(), time.process_time())
            try:
                await channel.unary_unary(PATH)(b"hello", timeout=DEADLINE)
                outcomes.note(began, None)
            except Exception as error:
                outcomes.note(began, error)

        if world == "asyncio":
            await asyncio.gather(*(call() for _ in range(CALLS)))
        else:
            import trio

            async with trio.open_nursery() as nursery:
                for _ in range(CALLS):
                    nursery.start_soon(call)


def be_victim(kind: str, port: int) -> None:
    """Call once for each line that comes in."""
    engine, world = kind.split("-")
    for _ in sys.stdin:
        outcomes = Outcomes()
        before, memory = time.process_time(), resident()
        if world == "threads":
            call_blocking(engine, port, outcomes)
        elif world == "asyncio":
            asyncio.run(call_async(engine, port, outcomes, world))
        else:
            import trio

            trio.run(call_async, engine, port, outcomes, world)
        told = {
            "seconds": time.process_time() - before,
            "memory": resident() - memory,
            "late": outcomes.late,
            "codes": outcomes.codes,
            "faults": outcomes.faults,
        }
        print(json.dumps(told), flush=True)


def resident() -> int:
    """The memory of this process in octets."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


# -- the other side


def faults_of(outcome: dict[str, Any]) -> list[str]:
    """What is not sound about an outcome."""
    faults: list[str] = list(outcome["faults"])
    if len(outcome["codes"]) + len(outcome["faults"]) != CALLS:
        faults.append("a call without an end")
    if outcome["seconds"] > MOST_SECONDS:
        faults.append("processor time")
    if outcome["memory"] > MOST_MEMORY:
        faults.append("memory")
    if outcome["late"] > MOST_LATE:
        faults.append("late")
    return faults


def run(*, is_short: bool, names: list[str], kinds: list[str]) -> tuple[list[str], int]:
    """Run it all; gives the lines of the table and how many runs are not ok."""
    chosen = tuple(kinds) or (("fast-threads", "h2-asyncio", "fast-trio") if is_short else KINDS)
    probes = [probe for probe in (*FLOODS, *HOSTILE_SERVERS) if probe.to == "client"]
    probes = [probe for probe in probes if not names or probe.name in names]
    lines = [
        "| hostile servers | client | processor s | most memory MiB | latest s | verdict |",
        "|--:|---|--:|--:|--:|---|",
    ]
    print("\n".join(lines), flush=True)
    bad = 0
    for number, kind in enumerate(chosen):
        picked = probes[number::12] if is_short and not names else probes
        server = HostileServer()
        command = [sys.executable, "-m", "conformance.hostile.clients", kind, str(server.port)]
        victim = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert victim.stdin is not None
        assert victim.stdout is not None
        seconds, memory, late, faults = 0.0, 0, 0.0, []
        for probe in (picked[0], *picked):  # the first time it loads what it needs
            is_first, server.probe = server.probe is None, probe
            victim.stdin.write("\n")
            victim.stdin.flush()
            line = victim.stdout.readline()
            if not line:
                faults.append(f"{probe.name}: the client ended")
                break
            outcome = json.loads(line)
            if is_first:
                continue
            seconds += outcome["seconds"]
            memory, late = max(memory, outcome["memory"]), max(late, outcome["late"])
            faults += [f"{probe.name}: {fault}" for fault in faults_of(outcome)]
        victim.stdin.close()
        victim.kill()
        victim.wait()
        bad += len(faults)
        verdict = "; ".join(faults) or "ok"
        lines.append(
            f"| {len(picked)} | {kind} | {seconds:.1f} | {memory / (1 << 20):.0f} | {max(late, 0):.2f} | {verdict} |"
        )
        print(lines[-1], flush=True)
    return lines, bad


if __name__ == "__main__":
    be_victim(sys.argv[1], int(sys.argv[2]))
