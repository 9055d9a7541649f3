"""Thousands of connections that are opened and dropped one after the other, against puregrpc's servers.

Each sends what `puregrpc.fuzz.frames.crowds` says, and goes. Measured is how long a client that behaves well waits
meanwhile, in the server's processor time: it waits for what the others leave to the garbage collector. And by how much
the server's memory grows.
"""

from __future__ import annotations

import selectors
import socket
import time
from contextlib import ExitStack, closing, suppress
from typing import NamedTuple, cast

from conformance.hostile.over_sockets import MOST_MEMORY, MOST_WAIT, Neighbour, Victim
from conformance.hostile.servers import KINDS
from puregrpc.fuzz.frames.crowds import PASSING, Crowd
from puregrpc.fuzz.frames.probe import SETTINGS, frame

CONNECTIONS = 10_000
FEW = 2_000
AT_ONCE = 50
STAYS = 1.0
"""Seconds until a connection goes for which nothing has come."""
SETTINGS_ACK = frame(SETTINGS, 1, 0, b"")
SHORT_KINDS = ("fast-asyncio", "fast-trio", "fast-threads")


class Outcome(NamedTuple):
    """What they cost."""

    alive: bool
    seconds: float
    memory: int
    wait: float
    """Seconds of the victim's processor time during the longest call of another client."""
    failed: int


def pass_by(crowd: Crowd, kind: str, connections: int = CONNECTIONS) -> Outcome:
    """So many connections to a server of its own."""
    with closing(Victim(kind, crowd.handlers)) as victim, Neighbour(victim) as neighbour:
        victim.settle()
        before, began = victim.memory, victim.seconds
        most = before
        octets = b"".join(crowd.octets())
        for _ in range(0, connections, AT_ONCE):
            _come_and_go(victim.port, octets)
            most = max(most, victim.memory)
        victim.settle()
        heard = neighbour.finish()
        return Outcome(victim.is_alive, victim.seconds - began, most - before, heard.longest, heard.failed)


def _come_and_go(port: int, octets: bytes) -> None:
    """Some connections at once. Each goes as soon as it sees that the server has acted on what it sent."""
    awaited = SETTINGS_ACK if octets else b"\x04"  # or the server's SETTINGS
    with selectors.DefaultSelector() as selector, ExitStack() as members:
        for _ in range(AT_ONCE):
            sock = members.enter_context(socket.create_connection(("127.0.0.1", port)))
            with suppress(OSError):
                sock.sendall(octets)
            selector.register(sock, selectors.EVENT_READ, bytearray())
        until = time.monotonic() + STAYS
        while selector.get_map() and time.monotonic() < until:
            for key, _ in selector.select(0.1):
                sock, came = cast("socket.socket", key.fileobj), key.data
                with suppress(OSError):
                    came += (more := sock.recv(1 << 16))
                    if more and awaited not in came:
                        continue
                selector.unregister(sock)
                sock.close()


def faults_of(outcome: Outcome) -> list[str]:
    """What is not sound about an outcome."""
    faults = []
    if not outcome.alive:
        faults.append("the server ended")
    if outcome.failed:
        faults.append("the other client's calls failed")
    if outcome.wait > MOST_WAIT:
        faults.append("wait")
    if outcome.memory > MOST_MEMORY:
        faults.append("memory")
    return faults


def run(*, is_short: bool, names: list[str], kinds: list[str]) -> tuple[list[str], int]:
    """Run it all; gives the lines of the table and how many runs are not ok."""
    connections = FEW if is_short else CONNECTIONS
    lines = [
        f"| {connections} connections, {AT_ONCE} at once | server | processor s | another's wait ms | MiB | verdict |",
        "|---|---|--:|--:|--:|---|",
    ]
    print("\n".join(lines), flush=True)
    bad = 0
    for number, crowd in enumerate(crowd for crowd in PASSING if not names or crowd.name in names):
        for kind in kinds or (SHORT_KINDS[number : number + 1] if is_short else KINDS):
            outcome = pass_by(crowd, kind, connections)
            faults = faults_of(outcome)
            bad += bool(faults)
            lines.append(
                f"| {crowd.name} | {kind} | {outcome.seconds:.1f} | {outcome.wait * 1000:.0f} "
                f"| {outcome.memory / (1 << 20):.0f} | {', '.join(faults) or 'ok'} |"
            )
            print(lines[-1], flush=True)
    return lines, bad
