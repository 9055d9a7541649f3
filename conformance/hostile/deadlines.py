"""Calls' deadlines under every flood, kept by servers and by clients.

One more client opens calls of a few milliseconds at a server while others send a flood again and again; or a client
makes such calls to a server that sends one without end. A call is as late as its end comes behind its deadline, and no
later than the victim worked meanwhile, by its own processor time: what else there is to do on the machine does not
count.

The processes: ``python -m conformance.hostile.deadlines flood PORT NAME`` sends a flood,
``... client KIND PORT`` makes calls.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.hostile.over_sockets import Victim
from conformance.hostile.servers import KINDS, QUICK_PATH
from conformance.hostile.victim import PATH
from puregrpc.channel import BlockingChannel, open_channel
from puregrpc.errors import ConnectError, RpcError
from puregrpc.fuzz.frames.floods import FLOODS
from puregrpc.fuzz.frames.probe import END_HEADERS, GRPC_REQUEST, HEADERS, OPENING, block, frame
from puregrpc.wire.status import StatusCode

if TYPE_CHECKING:
    from puregrpc.fuzz.frames.probe import Probe

ROOT = Path(__file__).parents[2]
DEADLINE = 0.03
"""Seconds: what the victim works before the deadline is not told from what it does behind it."""
CALLS = 12
MOST_LATE = {"fast": 0.1, "h2": 1.0}
"""Seconds, by engine; the worst call but one counts. With h2, which is the reference, each of the handlers and threads
that a flood begins works several times as long."""
FLOODERS = 2
HEAD_SIZE = 9
SO_TIMESTAMPNS = 35
"""Linux tells when what is read came in, by the clock of `time.time`."""


def named(name: str) -> Probe:
    """A flood by its name."""
    return next(probe for probe in FLOODS if probe.name == name)


# -- at servers


def send_flood(port: int, probe: Probe) -> None:
    """Send a flood on one connection after the other, for ever."""

    def once() -> None:
        with socket.create_connection(("127.0.0.1", port), 5) as sock:
            if probe.takes_output:
                threading.Thread(target=_read_all, args=(sock,), daemon=True).start()
            sock.settimeout(1.0)
            for piece in probe.octets():
                sock.sendall(piece)
            time.sleep(0.01)

    def again() -> None:
        while True:
            with suppress(OSError):
                once()

    threads = [threading.Thread(target=again, daemon=True) for _ in range(FLOODERS)]
    for thread in threads:
        thread.start()
    sys.stdin.read()


def _read_all(sock: socket.socket) -> None:
    with suppress(OSError):
        while sock.recv(1 << 16):
            continue


class Caller:
    """Opens calls that never send their requests, so that they end with their deadlines."""

    def __init__(self, victim: Victim) -> None:
        self._victim = victim
        self._sock = socket.create_connection(("127.0.0.1", victim.port), 20)
        self._sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._rest = b""
        self._arrived_at = 0.0
        self._sock.sendall(OPENING)
        self._next = 1
        path = QUICK_PATH.encode()
        fields = tuple((name, path if name == b":path" else value) for name, value in GRPC_REQUEST)
        self._block = block((*fields, (b"grpc-timeout", b"%dm" % int(DEADLINE * 1000))))

    def call(self) -> float | None:
        """How late one call ended, in seconds; None if it did not."""
        number, self._next = self._next, self._next + 2
        try:
            self._sock.sendall(frame(HEADERS, END_HEADERS, number, self._block))
            deadline = time.time() + DEADLINE
            time.sleep(DEADLINE)
            spent = self._victim.seconds
            while True:
                head, rest = self._rest[:HEAD_SIZE], self._rest[HEAD_SIZE:]
                length = int.from_bytes(head[:3], "big")
                if len(head) < HEAD_SIZE or len(rest) < length:
                    if not self._receive():
                        return None
                    continue
                self._rest = rest[length:]
                if int.from_bytes(head[5:], "big") == number:
                    return min(self._arrived_at - deadline, self._victim.seconds - spent)
        except OSError:
            return None

    def _receive(self) -> bool:
        """Read what there is, and when it came: this process may have had to wait until it could look."""
        octets, notes, _, _ = self._sock.recvmsg(1 << 16, 64)
        self._arrived_at = time.time()
        for level, kind, value in notes:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("@qq", value)
                self._arrived_at = seconds + nanoseconds / 1e9
        self._rest += octets
        return bool(octets)

    def close(self) -> None:
        self._sock.close()


def at_server(kind: str, probe: Probe) -> tuple[float, bool]:
    """How late calls end at a server under a flood, and whether all of them have ended."""
    victim = Victim(kind, probe.handlers)
    command = [sys.executable, "-m", "conformance.hostile.deadlines", "flood", str(victim.port), probe.name]
    caller = Caller(victim)
    caller.call()
    flooder = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT)
    try:
        until = time.monotonic() + 10
        before = victim.seconds
        while victim.seconds - before < 0.01 and time.monotonic() < until:
            time.sleep(0.02)
        late = []
        for _ in range(CALLS):
            lateness = caller.call()
            if lateness is None:
                return 0.0, False
            late.append(lateness)
        return sorted(late)[-2], victim.is_alive
    finally:
        flooder.kill()
        flooder.wait()
        caller.close()
        victim.close()


# -- at clients


class Flooding:
    """A server that sends a flood without end on each connection."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, suppress(OSError):
            threading.Thread(target=_read_all, args=(sock,), daemon=True).start()
            pieces = self._probe.octets()
            sock.sendall(next(pieces))
            time.sleep(0.02)  # a call is to be there
            while True:
                for piece in pieces:
                    sock.sendall(piece)
                pieces = self._probe.octets()
                next(pieces)

    def close(self) -> None:
        self._listener.close()


def at_client(kind: str, probe: Probe) -> tuple[float, bool]:
    """How late calls of a client end under a flood, and whether all of them have ended."""
    server = Flooding(probe)
    command = [sys.executable, "-m", "conformance.hostile.deadlines", "client", kind, str(server.port)]
    try:
        told = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, timeout=60, check=False).stdout
    except subprocess.TimeoutExpired:
        return 0.0, False
    finally:
        server.close()
    if not told:
        return 0.0, False
    late: list[float] = json.loads(told)
    return sorted(late)[-2], len(late) == CALLS


class Lateness:
    """How late calls ended."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self._began = self._spent = 0.0

    def begin(self) -> None:
        self._began, self._spent = time.monotonic(), time.process_time()

    def end(self, error: Exception | None) -> None:
        late = min(time.monotonic() - self._began - DEADLINE, time.process_time() - self._spent)
        has_passed = isinstance(error, RpcError) and error.code == StatusCode.DEADLINE_EXCEEDED
        self.late.append(late if has_passed else min(late, 0.0))
        if error is not None and not isinstance(error, (RpcError, ConnectError)):
            raise error


def call_blocking(engine: Any, port: int) -> list[float]:
    lateness = Lateness()
    with BlockingChannel(f"127.0.0.1:{port}", engine=engine) as channel:
        stub = channel.unary_unary(PATH)
        for _ in range(CALLS + 1):
            lateness.begin()
            try:
                stub(b"hello", timeout=DEADLINE if lateness.late else 1.0)
                lateness.end(None)
            except Exception as error:
                lateness.end(error)
    return lateness.late[1:]


async def call_async(engine: Any, port: int) -> list[float]:
    lateness = Lateness()
    async with open_channel(f"127.0.0.1:{port}", engine=engine) as channel:
        stub = channel.unary_unary(PATH)
        for _ in range(CALLS + 1):
            lateness.begin()
            try:
                await stub(b"hello", timeout=DEADLINE if lateness.late else 1.0)
                lateness.end(None)
            except Exception as error:
                lateness.end(error)
    return lateness.late[1:]


def be_client(kind: str, port: int) -> None:
    engine, world = kind.split("-")
    if world == "threads":
        late = call_blocking(engine, port)
    elif world == "asyncio":
        late = asyncio.run(call_async(engine, port))
    else:
        import trio

        late = trio.run(call_async, engine, port)
    print(json.dumps(late), flush=True)


# -- all of it


def run(*, is_short: bool, names: list[str], kinds: list[str]) -> tuple[list[str], int]:
    """Run it all; gives the lines of the table and how many runs are not ok."""
    lines = ["| deadlines under | at | latest ms | verdict |", "|---|---|--:|---|"]
    print("\n".join(lines), flush=True)
    bad = 0
    for number, probe in enumerate(FLOODS):
        if names and probe.name not in names:
            continue
        for index, kind in enumerate(kinds or KINDS):
            if is_short and not names and (number + 5 * index) % 100:
                continue
            late, is_whole = at_server(kind, probe) if probe.to == "server" else at_client(kind, probe)
            faults = ["late"] * (late > MOST_LATE[kind.split("-")[0]]) + ["a call without an end"] * (not is_whole)
            bad += bool(faults)
            verdict = ", ".join(faults) or "ok"
            lines.append(f"| {probe.name} | {probe.to} {kind} | {max(late, 0.0) * 1000:.0f} | {verdict} |")
            print(lines[-1], flush=True)
    return lines, bad


def main() -> None:
    what, *arguments = sys.argv[1:]
    if what == "flood":
        send_flood(int(arguments[0]), named(arguments[1]))
    else:
        be_client(arguments[0], int(arguments[1]))


if __name__ == "__main__":
    main()
