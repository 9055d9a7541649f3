"""Clients against the misbehaving server: each case starts the client, and how it ends is judged."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from puregrpc.errors import InvalidArgument
from puregrpc.fuzz.cases.case import Case, Step
from puregrpc.fuzz.checks.words import Observation
from puregrpc.fuzz.engine.findings import Event, Found, Progress, Report, finding_of
from puregrpc.fuzz.misbehaving.misbehaviours import MISBEHAVIOURS, ORDINARY, Misbehaviour
from puregrpc.fuzz.misbehaving.server import MisbehavingServer

__all__ = ["ClientOutcome", "fuzz_client", "judge_client", "run_client"]

CASE_SECONDS = 10.0
"""How long a client may take where it need not wait."""
STALL_SECONDS = 2.0
"""How long one is watched that may wait for ever."""
MOST_CALLS = 12
"""Requests, and connections, that a client may make for one call: five attempts are what a retry policy allows."""
MOST_CONNECTIONS_A_SECOND = 20
MOST_MEMORY = 256 << 20
"""Octets beyond those of an ordinary call."""


@dataclass(frozen=True, slots=True)
class ClientOutcome:
    """How one run of a client went."""

    status: int | None
    """Its exit status, minus a signal's number; None if it had to be ended."""
    seconds: float
    memory: int
    requests: int
    connections: int


def run_client(
    command: str, case: Misbehaviour, server: MisbehavingServer, *, seconds: float = CASE_SECONDS
) -> ClientOutcome:
    """Start the client against a listening server, and wait for its end. Raises InvalidArgument if it cannot start."""
    server.use(case)
    host, _, port = server.address.rpartition(":")
    try:
        words = [
            part.replace("{address}", server.address).replace("{port}", port).replace("{host}", host)
            for part in shlex.split(command)
        ]
    except ValueError as error:
        raise InvalidArgument(f"--client {command!r}: {error}") from None
    if not words:
        raise InvalidArgument("--client: a command is needed")
    begun = time.monotonic()
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise InvalidArgument(f"--client {words[0]!r}: {error.strerror or error}") from None
    memory = 0
    status: int | None = None
    try:
        while time.monotonic() - begun < seconds:
            memory = max(memory, _peak(process.pid))
            try:
                status = process.wait(0.02)
                break
            except subprocess.TimeoutExpired:
                continue
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        server.drop()
    return ClientOutcome(status, time.monotonic() - begun, memory, server.requests, server.connections)


def _peak(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    except (OSError, ValueError, IndexError):
        return 0
    return 0


def judge_client(case: Misbehaviour, outcome: ClientOutcome, ordinary: ClientOutcome) -> Observation | None:
    """What is wrong with how a client took a case."""
    status = outcome.status
    if status is not None and status < 0:
        return Observation("process-ended", f"{case.about}: the client was ended by signal {-status}", ("signal",))
    if outcome.memory > ordinary.memory + MOST_MEMORY:
        grown = (outcome.memory - ordinary.memory) >> 20
        return Observation(
            "memory", f"{case.about}: the client took {grown} MiB more than for an ordinary answer", ("memory",)
        )
    if outcome.requests > MOST_CALLS:
        return Observation("retries", f"{case.about}: the client made the call {outcome.requests} times", ("requests",))
    if outcome.connections > MOST_CALLS + MOST_CONNECTIONS_A_SECOND * outcome.seconds:
        return Observation(
            "retries", f"{case.about}: the client made {outcome.connections} connections", ("connections",)
        )
    if status is None and not case.stalls:
        return Observation("hang", f"{case.about}: the client had not ended after {outcome.seconds:.0f} s", ("hang",))
    if status == 0 and case.right == "error":
        return Observation(
            "client-status", f"{case.about}: the client ends with 0, as if the call had succeeded", ("ok",)
        )
    if status not in (0, None) and case.right == "ok":
        return Observation(
            "client-status", f"{case.about}: the client ends with {status}; the answer is right", ("error",)
        )
    return None


def fuzz_client(
    command: str,
    *,
    time_limit: float = 60.0,
    emit: Callable[[Event], None] = lambda _: None,
    cases: tuple[str, ...] = (),
) -> Report:
    """Run a client against every case, twice where it is judged wrong.

    Raises InvalidArgument if it does not succeed with an ordinary answer.
    """
    report = Report(command, 0)
    begun = time.monotonic()
    with MisbehavingServer() as server:
        ordinary = run_client(command, ORDINARY, server)
        if ordinary.status != 0:
            how = f"ends with {ordinary.status}" if ordinary.status is not None else "does not end"
            raise InvalidArgument(f"--client: with a server that answers as it should, the client {how}; 0 is needed")
        if not ordinary.requests:
            raise InvalidArgument("--client: the client did not call the server; {address} is where that is")
        patience = max(CASE_SECONDS, 4 * ordinary.seconds)
        for name in cases or tuple(MISBEHAVIOURS):
            case = MISBEHAVIOURS[name]
            if time.monotonic() - begun > time_limit:
                report.notes.append("not all cases were tried: --time was over")
                break
            seconds = max(STALL_SECONDS, 2 * ordinary.seconds) if case.stalls else patience
            outcome = run_client(command, case, server, seconds=seconds)
            report.cases += 1
            report.methods.setdefault(name, {"cases": 1, "statuses": {str(outcome.status): 1}})
            seen = judge_client(case, outcome, ordinary)
            if seen is not None:
                again = judge_client(case, run_client(command, case, server, seconds=seconds), ordinary)
                if again is not None and again.check == seen.check:
                    step = Step("flood", until=name)
                    finding = finding_of(Case("client", "", (step,), "any", case.about, case.reference), seen)
                    finding.repeats = 1
                    report.findings.append(finding)
                    emit(Found(finding))
            emit(Progress("client", report.cases, time.monotonic() - begun, len(report.findings)))
    report.seconds = time.monotonic() - begun
    return report
