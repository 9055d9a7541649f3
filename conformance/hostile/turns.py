"""A thousand calls that end at once: how long the loop is kept from everything else.

A process of the victim's own (``python -m conformance.hostile.turns SIDE ENGINE WORLD``) has a thousand calls open, and
a task that does nothing but measure its turns, in the processor time of the loop's thread. On threads the system sees
to turns. The garbage collector is on. A collection of everything takes as long as the program has objects, whatever
brought it about: what it takes is told beside the rest. What there was at the start is frozen (``gc.freeze``), as
servers may do it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from conformance.hostile.servers import ADDRESS, methods
from conformance.hostile.victim import PATH
from puregrpc.channel import open_channel
from puregrpc.fuzz.frames.probe import (
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    GRPC_REQUEST,
    HEADERS,
    OPENING,
    RST_STREAM,
    SETTINGS,
    block,
    frame,
    indexed,
    message,
    window,
)
from puregrpc.server import Server, ServerConfig

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from puregrpc.wire import EngineName

ROOT = Path(__file__).parents[2]
KINDS = tuple(f"{engine}-{world}" for engine in ("fast", "h2") for world in ("trio", "asyncio"))
CALLS = 1000
MOST_TURN = 0.010
"""Seconds of processor time that a turn may take."""
DEADLINE = 2.0
"""Of calls whose deadlines pass together: long enough for all of them to be open before."""
SHORT = (("client", "goaway", "fast-asyncio"),)
ROUNDS = 3
"""Each figure is the median of so many: a turn may be interrupted by what the system does for others."""


class Meter:
    """The turns of a loop."""

    def __init__(self, checkpoint: Callable[[], Awaitable[None]]) -> None:
        self._checkpoint = checkpoint
        self.longest = 0.0
        """Seconds of the longest turn, but for what the garbage collector took."""
        self.longest_in_all = 0.0
        self._collecting = 0.0
        self._began = 0.0
        gc.callbacks.append(self._collected)

    def _collected(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.thread_time()
        else:
            self._collecting += time.thread_time() - self._began

    async def run(self) -> None:
        """Measure, for ever."""
        before = time.thread_time()
        while True:
            await self._checkpoint()
            now = time.thread_time()
            self.longest = max(self.longest, now - before - self._collecting)
            self.longest_in_all = max(self.longest_in_all, now - before)
            self._collecting = 0.0
            before = now

    def told(self, ended: int) -> str:
        """What is printed of it."""
        return json.dumps({"longest": self.longest, "in_all": self.longest_in_all, "ended": ended})


# -- the victims


async def be_client(engine: EngineName, world: str, port: int, way: str) -> None:
    ended = 0
    timeout = DEADLINE if way == "deadlines" else 60.0
    async with open_channel(f"127.0.0.1:{port}", engine=engine) as channel:
        stub = channel.unary_unary(PATH)

        async def call() -> None:
            nonlocal ended
            with suppress(Exception):
                await stub(b"hello", timeout=timeout)
            ended += 1

        await channel.connect(timeout=20)
        gc.freeze()
        if world == "asyncio":
            meter = Meter(lambda: asyncio.sleep(0))
            tasks = [asyncio.ensure_future(call()) for _ in range(CALLS)]
            await asyncio.sleep(1.0)
            measuring = asyncio.ensure_future(meter.run())
            print("ready", flush=True)
            await asyncio.gather(*tasks)
            measuring.cancel()
        else:
            import trio

            meter = Meter(trio.lowlevel.checkpoint)
            async with trio.open_nursery() as nursery:
                async with trio.open_nursery() as callers:
                    for _ in range(CALLS):
                        callers.start_soon(call)
                    await trio.sleep(1.0)
                    nursery.start_soon(meter.run)
                    print("ready", flush=True)
                nursery.cancel_scope.cancel()
    print(meter.told(ended), flush=True)


async def be_server(engine: EngineName, world: str) -> None:
    server = Server(ADDRESS, config=ServerConfig(engine=engine, max_memory=256 << 20))
    server.add_methods(methods("deaf", is_plain=False))
    async with server:
        gc.freeze()
        print(server.addresses[0].rpartition(":")[2], flush=True)
        if world == "asyncio":
            meter = Meter(lambda: asyncio.sleep(0))
            await asyncio.to_thread(sys.stdin.readline)
            measuring = asyncio.ensure_future(meter.run())
            await asyncio.to_thread(sys.stdin.readline)
            measuring.cancel()
        else:
            import trio

            meter = Meter(trio.lowlevel.checkpoint)
            async with trio.open_nursery() as nursery:
                await trio.to_thread.run_sync(sys.stdin.readline)
                nursery.start_soon(meter.run)
                await trio.to_thread.run_sync(sys.stdin.readline)
                nursery.cancel_scope.cancel()
        print(meter.told(sum(server.snapshot().calls_ended.values())), flush=True)


# -- the other sides


class Outcome(NamedTuple):
    """What the end of a thousand calls took."""

    longest: float
    in_all: float
    """With garbage collections."""
    ended: int


def _requests(timeout: bytes = b"") -> bytes:
    fields = (*GRPC_REQUEST, (b"grpc-timeout", timeout)) if timeout else GRPC_REQUEST
    first, following = indexed(fields)
    numbers = range(3, 2 * CALLS + 1, 2)
    return frame(HEADERS, END_HEADERS, 1, first) + b"".join(
        frame(HEADERS, END_HEADERS, number, following) for number in numbers
    )


def end_at_server(kind: str, way: str) -> Outcome:
    """A client has a thousand calls open at the victim, and ends them all in one way."""
    engine, world = kind.split("-")
    command = [sys.executable, "-m", "conformance.hostile.turns", "server", engine, world]
    victim = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert victim.stdin is not None
    assert victim.stdout is not None
    try:
        port = int(victim.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(OPENING + window(0, 1 << 20))
            _read_for(sock, 0.2)
            sock.sendall(_requests(b"%dm" % int(DEADLINE * 1000) if way == "deadlines" else b""))
            _read_for(sock, 1.0)
            victim.stdin.write("\n")
            victim.stdin.flush()
            _read_for(sock, 0.2)
            if way == "resets":
                sock.sendall(b"".join(frame(RST_STREAM, 0, n, b"\0\0\0\x08") for n in range(1, 2 * CALLS, 2)))
            elif way == "goaway":
                sock.sendall(frame(GOAWAY, 0, 0, bytes(8)))
            if way == "the end":
                sock.close()
                time.sleep(2.0)
            else:
                _read_for(sock, DEADLINE + 1.0)
        time.sleep(0.5)
        victim.stdin.write("\n")
        victim.stdin.flush()
        told = json.loads(victim.stdout.readline())
        return Outcome(told["longest"], told["in_all"], told["ended"])
    finally:
        victim.kill()
        victim.wait()


def _read_for(sock: socket.socket, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        sock.settimeout(left)
        with suppress(TimeoutError):
            if not sock.recv(1 << 16):
                return


def end_at_client(kind: str, way: str) -> Outcome:
    """A server has a thousand calls of the victim's open, and ends them all in one way."""
    engine, world = kind.split("-")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        is_due = threading.Event()
        threading.Thread(target=_serve, args=(listener, way, is_due), daemon=True).start()
        command = [sys.executable, "-m", "conformance.hostile.turns", "client", engine, world, str(port), way]
        victim = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert victim.stdout is not None
        try:
            victim.stdout.readline()
            is_due.set()
            told = json.loads(victim.stdout.readline())
            return Outcome(told["longest"], told["in_all"], told["ended"])
        finally:
            victim.kill()
            victim.wait()


def _serve(listener: socket.socket, way: str, is_due: threading.Event) -> None:
    settings = frame(SETTINGS, 0, 0, b"\0\x03\0\0\x0f\xff") + window(0, 1 << 20)  # MAX_CONCURRENT_STREAMS: 4095
    answer = block(((b":status", b"200"), (b"content-type", b"application/grpc")))
    trailers = block(((b"grpc-status", b"0"),))
    numbers = range(1, 2 * CALLS, 2)
    with suppress(OSError):
        while True:
            sock, _ = listener.accept()
            with sock:
                sock.sendall(settings + frame(SETTINGS, 1, 0, b""))
                while not is_due.wait(0.05):
                    _read_for(sock, 0.05)
                if way == "goaway":  # none of them was looked at
                    sock.sendall(frame(GOAWAY, 0, 0, bytes(8)))
                    _read_for(sock, 0.5)
                elif way == "answers":
                    sock.sendall(
                        b"".join(
                            frame(HEADERS, END_HEADERS, n, answer)
                            + frame(DATA, 0, n, message(b""))
                            + frame(HEADERS, END_HEADERS | END_STREAM, n, trailers)
                            for n in numbers
                        )
                    )
                    _read_for(sock, 2.0)
                elif way == "resets":
                    sock.sendall(b"".join(frame(RST_STREAM, 0, n, b"\0\0\0\x02") for n in numbers))
                    _read_for(sock, 2.0)
                elif way == "deadlines":
                    _read_for(sock, DEADLINE + 1.0)


WAYS = {
    "server": (end_at_server, ("the end", "resets", "goaway", "deadlines")),
    "client": (end_at_client, ("the end", "resets", "goaway", "deadlines", "answers")),
}


def run(*, is_short: bool, names: list[str], kinds: list[str]) -> tuple[list[str], int]:
    """Run it all; gives the lines of the table and how many runs are not ok."""
    lines = [
        f"| {CALLS} calls end at once by | at | longest turn ms | with collections ms | verdict |",
        "|---|---|--:|--:|---|",
    ]
    print("\n".join(lines), flush=True)
    bad = 0
    chosen = [kind for kind in kinds if kind in KINDS] if kinds else KINDS
    for side, (end, ways) in WAYS.items():
        for way in ways:
            if names and way not in names:
                continue
            for kind in chosen:
                if is_short and (side, way, kind) not in SHORT:
                    continue
                outcomes = sorted(end(kind, way) for _ in range(1 if is_short else ROUNDS))
                longest, in_all, ended = outcomes[len(outcomes) // 2]
                faults = []
                if longest > MOST_TURN:
                    faults.append("turn")
                if side == "client" and ended != CALLS:
                    faults.append("calls without an end")
                bad += bool(faults)
                verdict = ", ".join(faults) or "ok"
                lines.append(f"| {way} | {side} {kind} | {longest * 1000:.1f} | {in_all * 1000:.1f} | {verdict} |")
                print(lines[-1], flush=True)
    return lines, bad


def main() -> None:
    side, engine, world, *more = sys.argv[1:]
    arguments: tuple[Any, ...] = (engine, world)
    function: Any = be_server
    if side == "client":
        function, arguments = be_client, (engine, world, int(more[0]), more[1])
    if world == "asyncio":
        asyncio.run(function(*arguments))
    else:
        import trio

        trio.run(function, *arguments)


if __name__ == "__main__":
    main()
