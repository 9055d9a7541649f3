"""A thousand hostile connections at once, against puregrpc's servers: what they make the server hold.

Each connection sends what `puregrpc.fuzz.frames.crowds` says, as far as it is taken. Measured is how much the server's
memory grows beyond what a connection may cost; and that a client which behaves well is served meanwhile.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from conformance.hostile.over_sockets import Neighbour, Victim
from conformance.hostile.servers import KINDS
from puregrpc.fuzz.frames.crowds import CROWDS, Crowd

CONNECTIONS = 1000
PER_CONNECTION = 13 << 10
MOST_MEMORY = 64 << 20
SECONDS = 12.0
"""How long they send."""
SETTLED = 1.0
PATIENCE = 45.0
"""How long the client that behaves well waits for an answer, in seconds. A busy machine shows in it; what the victim
works meanwhile is told beside."""
SHORT = ("tiny-messages", "large-answers-that-are-not-read")
SHORT_KINDS = ("fast-trio", "fast-asyncio")


class _Member:
    """One connection."""

    def __init__(self, port: int, octets: Iterator[bytes], *, buffer: int | None) -> None:
        self.octets = octets
        self.rest = memoryview(b"")
        self.sock = socket.socket()
        if buffer is not None:  # what is not read is to wait at the server
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setblocking(False)
        self.is_over = False
        self.sent = 0

    def write(self) -> bool:
        """Send what is taken; False once there is nothing more."""
        while True:
            if not self.rest:
                piece = next(self.octets, None)
                if piece is None:
                    return False
                self.rest = memoryview(piece)
                continue
            try:
                count = self.sock.send(self.rest)
            except BlockingIOError:
                return True
            except OSError:
                self.is_over = True
                return False
            self.sent += count
            self.rest = self.rest[count:]

    def read(self, most: int) -> bool:
        """Read; False at the end."""
        try:
            if self.sock.recv(most):
                return True
        except BlockingIOError:
            return True
        except OSError:
            pass
        self.is_over = True
        return False


class Outcome(NamedTuple):
    """What a crowd cost."""

    alive: bool
    idle: int
    """Octets for each connection that has done nothing but connect."""
    most: int
    """Octets in all at most, beyond what there was before."""
    seconds: float
    sent: int
    over: int
    """How many connections were ended."""
    failed: int
    wait: float
    """Seconds of the victim's processor time during the longest call of another client, its connecting included."""


def gather(crowd: Crowd, kind: str, connections: int = CONNECTIONS, seconds: float = SECONDS) -> Outcome:
    """One crowd against a server of its own."""
    victim = Victim(f"{kind}-tls" if crowd.has_tls else kind, crowd.handlers)
    members: list[_Member] = []
    try:
        victim.settle()
        before, began = victim.memory, victim.seconds
        buffer = None if crowd.reads is None else 4096
        for _ in range(connections):
            members.append(_Member(victim.port, crowd.octets(), buffer=buffer))
            if len(members) % 50 == 0:
                time.sleep(0.01)
        victim.settle()
        idle = victim.memory
        most = idle
        selector = selectors.DefaultSelector()
        for member in members:
            events = selectors.EVENT_WRITE | (selectors.EVENT_READ if crowd.reads is None else 0)
            selector.register(member.sock, events, member)
        until = time.monotonic() + (seconds if crowd.ends_within is None else crowd.ends_within)
        looked = slow = 0.0
        quiet_at = time.monotonic()
        spent = victim.seconds
        while time.monotonic() < until:
            for key, events in selector.select(0.05):
                member = key.data
                if events & selectors.EVENT_READ and not member.read(1 << 16):
                    selector.unregister(member.sock)
                    continue
                if events & selectors.EVENT_WRITE and not member.write():
                    if member.is_over or crowd.reads is not None:
                        selector.unregister(member.sock)
                    else:
                        selector.modify(member.sock, selectors.EVENT_READ, member)
            now = time.monotonic()
            if now - looked > 0.02:
                looked = now
                most = max(most, victim.memory)
            if crowd.reads and now - slow > 1.0:
                slow = now
                for member in members:
                    member.read(crowd.reads)
            if victim.seconds - spent > 0.01:
                spent, quiet_at = victim.seconds, now
            elif now - quiet_at > SETTLED and not crowd.reads and crowd.ends_within is None:
                break
            if all(member.is_over for member in members):
                break
        failed, wait = ask(victim, has_tls=crowd.has_tls)
        most = max(most, victim.memory)
        return Outcome(
            victim.is_alive,
            (idle - before) // connections,
            most - before,
            victim.seconds - began,
            sum(member.sent for member in members),
            sum(member.is_over for member in members),
            failed,
            wait,
        )
    finally:
        for member in members:
            with suppress(OSError):
                member.sock.close()
        victim.close()


def ask(victim: Victim, *, has_tls: bool) -> tuple[int, float]:
    """How many of a few calls of a client that behaves well fail, and what the victim works during the longest."""
    with Neighbour(victim, PATIENCE, has_tls=has_tls) as neighbour:
        time.sleep(0.3)
        heard = neighbour.finish()
        return heard.failed, heard.longest


def faults_of(crowd: Crowd, outcome: Outcome, connections: int = CONNECTIONS) -> list[str]:
    """What is not sound about an outcome."""
    faults = []
    if not outcome.alive:
        faults.append("the server ended")
    if outcome.failed:
        faults.append("the other client's calls failed")
    if outcome.most - connections * PER_CONNECTION > MOST_MEMORY:
        faults.append("memory")
    if crowd.ends_within is not None and outcome.over < connections:
        faults.append("connections do not end")
    return faults


def run(*, is_short: bool, names: list[str], kinds: list[str]) -> tuple[list[str], int]:
    """Run it all; gives the lines of the table and how many runs are not ok."""
    lines = [
        f"| {CONNECTIONS} connections | server | idle KiB each | MiB | seconds | wait | sent MiB | ended | verdict |",
        "|---|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    print("\n".join(lines), flush=True)
    bad = 0
    chosen = [crowd for crowd in CROWDS if not names or crowd.name in names]
    if is_short and not names:
        chosen = [crowd for crowd in chosen if crowd.name in SHORT]
    for number, crowd in enumerate(chosen):
        for kind in kinds or (SHORT_KINDS[number : number + 1] if is_short else KINDS):
            outcome = gather(crowd, kind)
            faults = faults_of(crowd, outcome)
            bad += bool(faults)
            verdict = ", ".join(faults) or "ok"
            lines.append(
                f"| {crowd.name} | {kind} | {outcome.idle / 1024:.1f} | {outcome.most / (1 << 20):.0f} "
                f"| {outcome.seconds:.1f} | {outcome.wait:.2f} | {outcome.sent / (1 << 20):.1f} "
                f"| {outcome.over} | {verdict} |"
            )
            print(lines[-1], flush=True)
    return lines, bad
