"""The hostile catalogue against puregrpc's connections in memory.

Each probe runs in a process of its own, against each engine. Of the victim are measured the processor time in all, the
length of its turns (what another client would have waited, handlers apart) and the memory that it took in addition.
"""

from __future__ import annotations

import gc
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.hostile.victim import ClientVictim, ServerVictim, Victim
from puregrpc.fuzz.frames.floods import FLOODS

if TYPE_CHECKING:
    from puregrpc.fuzz.frames.probe import Probe
    from puregrpc.wire import EngineName

ENGINES: tuple[EngineName, ...] = ("fast", "h2")
MOST_SECONDS_PER_MEGABYTE = 1.0
"""Processor time of the fast engine. Ordinary calls of fourteen octets take as much; with h2, which is the reference,
what nobody else waits for is no matter."""
MOST_TURN = 0.010
TIMES = 3
"""How often each is run: what others do to the machine shows in the processor time, and so the least of all counts."""
MOST_MEMORY = 24 << 20
TIME_LIMIT = 60


def run_probe(probe: Probe, engine: EngineName) -> dict[str, Any]:
    """Run a probe here."""
    victim: Victim = ServerVictim(engine, probe.handlers) if probe.to == "server" else ClientVictim(engine)
    pieces = iter(probe.octets())
    victim.feed(next(pieces), takes_output=True)
    gc.collect()
    before = resident()
    most = before
    received = 0
    for piece in pieces:
        received += len(piece)
        victim.feed(piece, takes_output=probe.takes_output)
        most = max(most, resident())
        if victim.closed is not None or victim.connection.has_input:
            break
    return {
        "seconds": victim.spent,
        "turn": victim.long_turn,
        "memory": most - before,
        "received": received,
        "end": victim.closed or ("reads no further" if victim.connection.has_input else "goes on"),
    }


def resident() -> int:
    """The memory of this process in octets."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def faults_of(probe: Probe, engine: EngineName, outcome: dict[str, Any]) -> list[str]:
    """What is not sound about an outcome."""
    faults = []
    if outcome.get("error"):
        return [outcome["error"]]
    if engine == "fast" and outcome["seconds"] > MOST_SECONDS_PER_MEGABYTE * max(outcome["received"] / (1 << 20), 1):
        faults.append("processor time")
    if outcome["turn"] > MOST_TURN:
        faults.append("turn")
    if outcome["memory"] > MOST_MEMORY:
        faults.append("memory")
    is_closed = outcome["end"] not in ("goes on", "reads no further")
    if is_closed != (probe.sound == "closes") and probe.sound != "any":
        faults.append(f"expected: {probe.sound}")
    return faults


def in_a_process(probe: Probe, engine: EngineName) -> dict[str, Any]:
    """Run a probe in a process of its own."""
    command = [sys.executable, "-m", "conformance.hostile.in_memory", probe.name, engine]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"not done in {TIME_LIMIT} s"}
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1] if done.stderr else f"status {done.returncode}"}
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome


def least(outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    """The outcome of several runs."""
    outcome = outcomes[-1]
    if not any("error" in one for one in outcomes):
        for name in ("seconds", "turn", "memory"):
            outcome[name] = min(one[name] for one in outcomes)
    return outcome


def row(probe: Probe, engine: EngineName, outcome: dict[str, Any], faults: list[str]) -> str:
    verdict = ", ".join(faults) or "ok"
    if outcome.get("error"):
        return f"| {probe.name} | {engine} | | | | | {verdict} |"
    return (
        f"| {probe.name} | {engine} | {outcome['seconds']:.3f} | {outcome['turn'] * 1000:.1f} "
        f"| {outcome['memory'] / (1 << 20):.1f} | {outcome['end'][:60]} | {verdict} |"
    )


def run(names: list[str], kinds: list[str]) -> int:
    """Run it all; gives how many runs are not ok."""
    chosen = [probe for probe in FLOODS if not names or probe.name in names]
    engines = tuple(engine for engine in ENGINES if not kinds or any(kind.startswith(engine) for kind in kinds))
    print("| probe | engine | processor s | turn ms | memory MiB | end | verdict |", flush=True)
    print("|---|---|--:|--:|--:|---|---|", flush=True)
    bad = 0
    for probe in chosen:
        for engine in engines:
            outcome = least([in_a_process(probe, engine) for _ in range(TIMES)])
            faults = faults_of(probe, engine, outcome)
            bad += bool(faults)
            print(row(probe, engine, outcome, faults), flush=True)
    return bad


if __name__ == "__main__":
    [chosen] = [probe for probe in FLOODS if probe.name == sys.argv[1]]
    print(json.dumps(run_probe(chosen, "fast" if sys.argv[2] == "fast" else "h2")))
