"""Clients against the misbehaving server: each case starts the client, and how it ends is judged."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path as File

from puregrpc.errors import InvalidArgument, SchemaError
from puregrpc.fuzz.cases.case import Case, Step
from puregrpc.fuzz.checks.leaks import stack_trace_in
from puregrpc.fuzz.checks.words import Observation
from puregrpc.fuzz.engine.findings import Event, Found, Progress, Report, finding_of
from puregrpc.fuzz.misbehaving.answers import answer_cases, answering
from puregrpc.fuzz.misbehaving.misbehaviours import MISBEHAVIOURS, ORDINARY, Misbehaviour
from puregrpc.fuzz.misbehaving.server import MisbehavingServer
from puregrpc.fuzz.phases.planner import in_turn
from puregrpc.fuzz.values.choices import Choices, Path, shrink
from puregrpc.fuzz.values.field_values import Dictionary
from puregrpc.fuzz.values.generate import Generator
from puregrpc.fuzz.values.shapes import Shape, covers, shape_of
from puregrpc.proto.descriptors import MethodDescriptor
from puregrpc.schema import Registry

__all__ = ["ClientOutcome", "fuzz_client", "judge_client", "replay_client", "run_client"]

CASE_SECONDS = 10.0
"""How long a client may take where it need not wait."""
STALL_SECONDS = 2.0
"""How long one is watched that may wait for ever."""
MOST_CALLS = 12
"""Requests, and connections, that a client may make for one call: five attempts are what a retry policy allows."""
MOST_CONNECTIONS_A_SECOND = 20
MOST_SHRINK = 40
"""Runs of the client to make one finding smaller, and the seconds that they may take."""
SHRINK_SECONDS = 12.0
MOST_SAID = 1 << 16
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
    breakdown: str = ""
    """The last line of what it said, where that has a stack trace."""


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
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True
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
        took = time.monotonic() - begun
        said.seek(max(said.seek(0, os.SEEK_END) - MOST_SAID, 0))
        breakdown = _breakdown(said.read())
    return ClientOutcome(status, took, memory, server.requests, server.connections, breakdown)


def _breakdown(said: bytes) -> str:
    if not stack_trace_in(said):
        return ""
    lines = [line.strip() for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    # Python says what it was at the end, others at the beginning.
    return lines[-1 if lines[-1][:1].isalpha() and b"Traceback (most" in said else 0][:120]


def _peak(pid: int) -> int:
    try:
        for line in File(f"/proc/{pid}/status").read_text().splitlines():
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
    if status not in (0, None) and case.right == "handled" and outcome.breakdown:
        return Observation(
            "client-status",
            f"{case.about}: the client breaks down over an answer that the schema allows: {outcome.breakdown}",
            ("breakdown",),
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
    max_cases: int = 0,
    emit: Callable[[Event], None] = lambda _: None,
    cases: tuple[str, ...] = (),
    registry: Registry | None = None,
    levels: Sequence[str] = ("schema", "frame"),
    known: Iterable[Case] = (),
) -> Report:
    """Run a client against every case, twice where it is judged wrong.

    ``cases`` are names of misbehaviours, all where there is none; with a ``registry`` that has the methods which the
    client calls, they are answered with what the schema allows, and what it does not. ``known`` cases come first.
    ``levels`` without ``schema`` have no such answers, without any other no misbehaviours. Raises InvalidArgument if
    the client does not succeed with an ordinary answer.
    """
    return ClientFuzzer(command, time_limit, max_cases, emit, registry).run(cases, levels, known)


def replay_client(
    command: str, cases: Iterable[tuple[str, str, Case]], registry: Registry | None = None
) -> Iterator[tuple[str, str, Case, list[Observation]]]:
    """Run a client against cases again: each with its check and id, and what is wrong with how it took it.

    Raises InvalidArgument for a case that is none of a client, or if the client cannot be run.
    """
    fuzzer = ClientFuzzer(command, 0.0, 0, lambda _: None, registry)
    with fuzzer.server:
        fuzzer.begin()
        for check, number, case in cases:
            seen = fuzzer.judged(case)
            yield check, number, case, [seen] if seen is not None else []


class ClientFuzzer:
    """One run of many against one client."""

    def __init__(
        self, command: str, time_limit: float, max_cases: int, emit: Callable[[Event], None], registry: Registry | None
    ) -> None:
        self.server = MisbehavingServer()
        self._command = command
        self._time = time_limit
        self._most = max_cases
        self._emit = emit
        self._registry = registry
        self._generator = Generator(registry, Dictionary(())) if registry is not None else None
        self._report = Report(command, 0)
        self._begun = 0.0
        self._ordinary: ClientOutcome | None = None
        self._outcome: ClientOutcome | None = None
        self._shown: dict[tuple[str, str], list[Shape]] = {}

    def begin(self) -> list[str]:
        """Learn how the client takes an ordinary answer; the methods that it calls."""
        ordinary = self._ordinary = run_client(self._command, ORDINARY, self.server)
        if ordinary.status != 0:
            how = f"ends with {ordinary.status}" if ordinary.status is not None else "does not end"
            raise InvalidArgument(f"--client: with a server that answers as it should, the client {how}; 0 is needed")
        if not ordinary.requests:
            raise InvalidArgument("--client: the client did not call the server; {address} is where that is")
        return list(self.server.paths)

    def run(self, names: Sequence[str], levels: Sequence[str], known: Iterable[Case]) -> Report:
        """Try all there is, as long as there is time."""
        report = self._report
        self._begun = time.monotonic()
        with self.server:
            paths = self.begin()
            parts: list[Iterator[Case]] = []
            if names or set(levels) - {"schema"}:
                parts.append(_misbehaviours(names or tuple(MISBEHAVIOURS)))
            if self._generator is not None and "schema" in levels:
                methods = [method for path in paths if (method := self._method(path)) is not None]
                if not methods:
                    called = ", ".join(paths) or "methods whose names cannot be read"
                    raise InvalidArgument(f"--client: the schema has none of the methods that it calls: {called}")
                parts += [answer_cases(self._generator, method) for method in methods]
            for case in chain((each for each in known if each.level == "client"), in_turn(parts, 1)):
                is_over = bool(self._time) and time.monotonic() - self._begun > self._time
                if is_over or (self._most and report.cases >= self._most):
                    report.notes.append(f"not all cases were tried: {'--time was over' if is_over else '--max-cases'}")
                    break
                self._try(case)
        report.seconds = time.monotonic() - self._begun
        return report

    def judged(self, case: Case) -> Observation | None:
        """Run the client against a case; what is wrong with how it took it."""
        assert self._ordinary is not None
        ordinary = self._ordinary
        misbehaviour = misbehaviour_of(case)
        patience = max(CASE_SECONDS, 4 * ordinary.seconds)
        seconds = max(STALL_SECONDS, 2 * ordinary.seconds) if misbehaviour.stalls else patience
        self._outcome = run_client(self._command, misbehaviour, self.server, seconds=seconds)
        return judge_client(misbehaviour, self._outcome, ordinary)

    def _try(self, case: Case) -> None:
        report = self._report
        name = case.method or case.steps[0].until
        seen = self.judged(case)
        report.cases += 1
        statuses = report.methods.setdefault(name, {"cases": 0, "statuses": {}})
        statuses["cases"] += 1
        status = str(self._outcome.status if self._outcome is not None else None)
        statuses["statuses"][status] = statuses["statuses"].get(status, 0) + 1
        shapes = self._shown.setdefault((seen.check, case.method or name), []) if seen is not None else []
        if seen is not None and not any(covers(each, self._shape(case)) for each in shapes):
            again = self.judged(case)
            if again is not None and again.check == seen.check:
                smallest, observation = self._smaller(case, again)
                shape = self._shape(smallest)
                shapes.append(shape)
                finding = finding_of(smallest, observation)
                finding.shape = tuple(sorted(self._named(smallest, path) for path in shape))
                finding.repeats = 1
                report.findings.append(finding)
                self._emit(Found(finding))
        self._emit(Progress("client", report.cases, time.monotonic() - self._begun, len(report.findings)))

    def _smaller(self, case: Case, seen: Observation) -> tuple[Case, Observation]:
        """The smallest answer found that the client takes in the same way."""
        if case.maker is None or case.drawn is None:
            return case, seen
        maker, best = case.maker, (case, seen)
        until = time.monotonic() + SHRINK_SECONDS

        def fails(drawn: Sequence[int]) -> Choices | None:
            nonlocal best
            if time.monotonic() > until:
                return None
            made, choices = maker(drawn)
            shown = self.judged(made)
            if shown is None or shown.check != seen.check:
                return None
            assert isinstance(choices, Choices)
            best = (made, shown)
            return choices

        shrink(maker(case.drawn)[1], fails, MOST_SHRINK)
        return best

    def _method(self, path: str) -> MethodDescriptor | None:
        try:
            return self._registry.method(path) if self._registry is not None else None
        except (SchemaError, InvalidArgument, LookupError):
            return None

    def _shape(self, case: Case) -> Shape:
        method = self._method(case.method) if case.method else None
        return shape_of(method.output_type, case.messages[0]) if method is not None and case.messages else frozenset()

    def _named(self, case: Case, path: Path) -> str:
        method = self._method(case.method)
        return self._generator.named(method.output_type, path) if self._generator and method is not None else ""


def _misbehaviours(names: Iterable[str]) -> Iterator[Case]:
    for name in names:
        case = MISBEHAVIOURS[name]
        yield Case("client", "", (Step("flood", until=name),), "any", case.about, case.reference)


def misbehaviour_of(case: Case) -> Misbehaviour:
    """What a server does in a client's case. Raises InvalidArgument for a case that is none of a client."""
    step = case.steps[0] if case.level == "client" and case.steps else None
    if step is not None and step.kind == "message":
        return answering(case)
    known = MISBEHAVIOURS.get(step.until) if step is not None else None
    if known is None:
        raise InvalidArgument(f"{case.about}: not a case of a client")
    return known
