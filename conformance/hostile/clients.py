"""Hostile servers over sockets, against puregrpc's clients of all worlds.

A process of the client's own (``python -m conformance.hostile.clients KIND PORT``) makes two calls at a time with a
deadline, in each of the ways of `WAYS`, and prints what became of them and what that cost it.
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
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.hostile.servers import KINDS
from conformance.hostile.victim import PATH
from puregrpc.channel import BlockingChannel, Channel, RetryPolicy, open_channel
from puregrpc.errors import ConnectError, DecodeError, RemoteProtocolError, RpcError, SchemaError
from puregrpc.fuzz.frames.floods import FLOODS
from puregrpc.fuzz.frames.probe import HEADERS, PREFACE
from puregrpc.fuzz.frames.servers import HOSTILE_SERVERS
from puregrpc.schema import Registry
from puregrpc.services import open_reflection
from puregrpc.services.health.client import watch

if TYPE_CHECKING:
    from puregrpc.channel.options import ChannelKeywords
    from puregrpc.fuzz.frames.probe import Probe

ROOT = Path(__file__).parents[2]
HEAD_SIZE = 9
DEADLINE = 0.5
CALLS = 2
MOST_LATE = 0.1
"""Seconds that a call may end behind its deadline, but for time in which the client's process did not work: the machine
has other things to do."""
MOST_SECONDS = 1.5
"""Of processor time, with the connections that are made anew."""
MOST_MEMORY = 64 << 20
SERVE_SECONDS = 1.5


WAYS = ("unary", "stream", "retry", "reflection", "watch")
"""What the client does: a call with one response or with many; one that is made again when the server is not available;
questions of reflection, and the watch over a service's health."""
OF_KERNELS = ("reflection", "watch")
"""Which are async alone."""


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
                threading.Thread(target=self._serve, args=(sock, self.probe), daemon=True).start()

    def _serve(self, sock: socket.socket, probe: Probe) -> None:
        has_called = threading.Event()
        pieces = probe.octets()

        def read() -> None:
            rest = b""
            with suppress(OSError):
                sock.recv(len(PREFACE), socket.MSG_WAITALL)
                while data := sock.recv(1 << 16):
                    frames, rest = whole_frames(rest + data)
                    for kind, stream_id in frames:
                        if kind == HEADERS and stream_id > 1 and probe.answers is not None:
                            has_called.wait(SERVE_SECONDS)
                            sock.sendall(probe.answers(stream_id))
                        if kind == HEADERS:
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


def whole_frames(octets: bytes) -> tuple[list[tuple[int, int]], bytes]:
    """The kinds of frames with their streams, and what is left of the last one."""
    frames, at = [], 0
    while len(octets) - at >= HEAD_SIZE:
        size = HEAD_SIZE + int.from_bytes(octets[at : at + 3], "big")
        if len(octets) - at < size:
            break
        frames.append((octets[at + 3], int.from_bytes(octets[at + 5 : at + HEAD_SIZE], "big")))
        at += size
    return frames, octets[at:]


# -- the victim's process


class Outcomes:
    """What became of the calls."""

    def __init__(self) -> None:
        self.late = 0.0
        self.codes: list[str] = []
        self.faults: list[str] = []

    def note(self, began: tuple[float, float], error: BaseException | None, *, is_one_call: bool = True) -> None:
        """The calls that began then are over. One of them is late after its deadline."""
        if is_one_call:
            late = min(time.monotonic() - began[0] - DEADLINE, time.process_time() - began[1])
            self.late = max(self.late, late)
        if error is None or isinstance(error, RpcError):
            self.codes.append("OK" if error is None else str(error.code))
        elif isinstance(error, ConnectError | DecodeError | SchemaError | RemoteProtocolError):
            self.codes.append(type(error).__name__)
        else:
            self.faults.append(f"{type(error).__name__}: {error}"[:100])


def options_of(engine: Any, way: str) -> ChannelKeywords:
    if way != "retry":
        return {"engine": engine}
    return {"engine": engine, "retry": RetryPolicy(max_attempts=5, initial_backoff=0.01, max_backoff=0.02)}


def call_blocking(engine: Any, port: int, outcomes: Outcomes, way: str) -> None:
    with BlockingChannel(f"127.0.0.1:{port}", **options_of(engine, way)) as channel:

        def call() -> None:
            began = (time.monotonic(), time.process_time())
            try:
                if way == "stream":
                    for _ in channel.unary_stream(PATH)(b"hello", timeout=DEADLINE):
                        pass
                else:
                    channel.unary_unary(PATH)(b"hello", timeout=DEADLINE)
                outcomes.note(began, None)
            except Exception as error:
                outcomes.note(began, error)

        threads = [threading.Thread(target=call) for _ in range(CALLS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


async def do(channel: Channel, way: str) -> None:
    """What a client does in one way."""
    if way == "stream":
        async with channel.unary_stream(PATH)(b"hello", timeout=DEADLINE) as call:
            async for _ in call:
                pass
    elif way == "reflection":
        async with open_reflection(channel, timeout=DEADLINE) as reflection:
            await reflection.load(Registry())
    elif way == "watch":
        async with aclosing(watch(channel, timeout=DEADLINE)) as states:
            async for _ in states:
                pass
    else:
        await channel.unary_unary(PATH)(b"hello", timeout=DEADLINE)


async def call_async(engine: Any, port: int, outcomes: Outcomes, world: str, way: str) -> None:
    async with open_channel(f"127.0.0.1:{port}", **options_of(engine, way)) as channel:

        async def call() -> None:
            began = (time.monotonic(), time.process_time())
            is_one_call = way != "reflection"
            try:
                await do(channel, way)
                outcomes.note(began, None, is_one_call=is_one_call)
            except Exception as error:
                outcomes.note(began, error, is_one_call=is_one_call)

        if world == "asyncio":
            await asyncio.gather(*(call() for _ in range(CALLS)))
        else:
            import trio

            async with trio.open_nursery() as nursery:
                for _ in range(CALLS):
                    nursery.start_soon(call)


def be_victim(kind: str, port: int) -> None:
    """Do what each line says that comes in."""
    engine, world = kind.split("-")
    for line in sys.stdin:
        way = line.strip()
        outcomes = Outcomes()
        before, memory = time.process_time(), resident()
        if world == "threads":
            call_blocking(engine, port, outcomes, way)
        elif world == "asyncio":
            asyncio.run(call_async(engine, port, outcomes, world, way))
        else:
            import trio

            trio.run(call_async, engine, port, outcomes, world, way)
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
        "| runs against hostile servers | client | processor s | most memory MiB | latest s | verdict |",
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
        seconds, memory, late, faults, made = 0.0, 0, 0.0, [], 0
        ways = [way for way in WAYS if not kind.endswith("threads") or way not in OF_KERNELS]
        if is_short and not names:
            ways = ways[:1]
        runs = [(probe, way) for way in ways for probe in picked]
        for probe, way in (*((picked[0], way) for way in ways), *runs):  # the first time it loads what it needs
            is_first, server.probe = made < len(ways), probe
            made += 1
            victim.stdin.write(f"{way}\n")
            victim.stdin.flush()
            line = victim.stdout.readline()
            if not line:
                faults.append(f"{way} {probe.name}: the client ended")
                break
            outcome = json.loads(line)
            if is_first:
                continue
            seconds += outcome["seconds"]
            memory, late = max(memory, outcome["memory"]), max(late, outcome["late"])
            faults += [f"{way} {probe.name}: {fault}" for fault in faults_of(outcome)]
        victim.stdin.close()
        victim.kill()
        victim.wait()
        bad += len(faults)
        verdict = "; ".join(faults) or "ok"
        lines.append(
            f"| {len(runs)} | {kind} | {seconds:.1f} | {memory / (1 << 20):.0f} | {max(late, 0):.2f} | {verdict} |"
        )
        print(lines[-1], flush=True)
    return lines, bad


if __name__ == "__main__":
    be_victim(sys.argv[1], int(sys.argv[2]))
