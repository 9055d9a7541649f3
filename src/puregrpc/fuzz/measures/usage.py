"""Memory and processor time out of proportion: noticed over many cases, and found by measuring single ones again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from puregrpc.fuzz.cases.case import Case
from puregrpc.fuzz.checks.words import Observation
from puregrpc.fuzz.connection.running import Outcome
from puregrpc.fuzz.connection.target import Target

__all__ = ["UsageWatch"]

MEBIBYTE = 1 << 20
SUSPICIOUS_MEMORY = 24 * MEBIBYTE
ONE_CASE_MEMORY = 20 * MEBIBYTE
"""What one case takes more than an ordinary call, and 120 times its octets, is out of proportion."""
MEMORY_FACTOR = 120
SUSPICIOUS_CPU = 0.25
USUAL_CPU = 0.003
"""Processor seconds of a case that are not suspicious, however many there are."""
USUAL_FACTOR = 3
MOST_VAIN = 3
"""Suspicions that were found to be nothing, until only what is much more is suspicious."""
ONE_CASE_CPU = 0.25
CPU_FACTOR = 20
CALM = 0.02
"""Processor seconds in `INTERVAL` with nothing to do; who takes more on average, and some each time, has no end of it.

On a busy machine a loop without end has little of the processor, too.
"""
INTERVAL = 0.3
INTERVALS = 10
MOMENT = 0.04
MANY = 64
"""Cases of which an average tells something."""


class UsageWatch:
    """Looks at what a target takes, if its process is known."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._last = target.usage() if target.is_watched else None
        self._usual = USUAL_CPU
        """The least that a case took on average, over many of them."""
        self._vain = 0
        self.control: Callable[[], None] = lambda: None
        """Makes an ordinary call, for comparison."""

    @property
    def is_possible(self) -> bool:
        """The process is known, and the system tells what it takes."""
        return self._last is not None

    def reset(self) -> None:
        """Begin again: what there is now is not suspicious."""
        if self._target.is_watched:
            self._target.forget_peak()
            self._last = self._target.usage() or self._last

    def look(self, octets: int, count: int) -> str | None:
        """``memory`` or ``cpu`` if more has been taken since the last look than so many cases should take."""
        before, now = self._last, self._target.usage()
        if before is None or now is None:
            return None
        self.reset()
        if now.peak - before.memory > max(SUSPICIOUS_MEMORY, 4 * octets) and before.memory:
            return "memory"
        spent = now.cpu - before.cpu
        if self._vain < MOST_VAIN:
            is_much = spent > SUSPICIOUS_CPU + USUAL_FACTOR * self._usual * count
        else:
            is_much = spent > SUSPICIOUS_CPU * 2 + USUAL_CPU * count
        if count >= MANY:
            self._usual = min(self._usual, spent / count)
        return "cpu" if is_much else None

    def is_still(self) -> bool:
        """Whether it does nothing, as far as a moment tells."""
        before = self._target.usage()
        time.sleep(MOMENT)
        after = self._target.usage()
        return before is None or after is None or after.cpu == before.cpu

    def is_busy(self, intervals: int = INTERVALS) -> bool:
        """Whether it takes processor time with nothing to do, and goes on."""
        spent = 0.0
        for _ in range(intervals):
            before = self._target.usage()
            time.sleep(INTERVAL)
            after = self._target.usage()
            if before is None or after is None or after.cpu <= before.cpu:
                return False
            spent += after.cpu - before.cpu
        return spent >= CALM * intervals

    def measure(self, run: Callable[[], object]) -> tuple[int, float]:
        """The memory (octets, at the most) and the processor time (seconds) that something takes."""
        target = self._target
        target.forget_peak()
        before = target.usage()
        run()
        after = target.usage()
        if before is None or after is None:
            return 0, 0.0
        has_peak = after.peak and before.peak < before.memory + ONE_CASE_MEMORY
        grown = (after.peak if has_peak else after.memory) - before.memory
        return max(grown, 0), after.cpu - before.cpu

    def search(
        self, cases: Sequence[Case], what: str, run: Callable[[Case], Outcome], *, most_seconds: float = 15.0
    ) -> Iterator[tuple[Case, Observation]]:
        """The cases that took it, each measured three times beside ordinary calls."""
        until = time.monotonic() + most_seconds
        self._vain += what == "cpu"
        for case in self._narrowed(cases, what, run, until):
            if time.monotonic() > until or self._target.has_ended():
                return
            octets = max(case.octets, 64)
            grown, cpu = self.measure(lambda case=case: run(case))  # type: ignore[misc]
            if what == "memory":
                if grown < max(ONE_CASE_MEMORY, MEMORY_FACTOR * octets):
                    continue
                amounts: list[int] = [grown]
                for _ in range(2):
                    calm = self.measure(self.control)[0]
                    amounts.append(self.measure(lambda case=case: run(case))[0] - calm)  # type: ignore[misc]
                if min(amounts) >= max(ONE_CASE_MEMORY // 2, MEMORY_FACTOR * octets // 2):
                    most = min(amounts) >> 20
                    yield (
                        case,
                        Observation(
                            "memory",
                            f"{case.about}: {most} MiB of memory for {case.octets} octets, each time",
                            (),
                            "",
                            "CWE-789",
                        ),
                    )
            else:
                if cpu < ONE_CASE_CPU or octets > MEBIBYTE:
                    continue
                times = [cpu]
                ordinary = 0.0
                for _ in range(2):
                    ordinary = max(ordinary, self.measure(self.control)[1])
                    times.append(self.measure(lambda case=case: run(case))[1])  # type: ignore[misc]
                if min(times) >= max(ONE_CASE_CPU, CPU_FACTOR * ordinary):
                    self._vain = 0
                    yield (
                        case,
                        Observation(
                            "cpu",
                            f"{case.about}: {min(times):.2f} s of processor time for {case.octets} octets",
                            (),
                            "",
                            "CWE-407",
                        ),
                    )

    def _narrowed(
        self, cases: Sequence[Case], what: str, run: Callable[[Case], Outcome], until: float
    ) -> Sequence[Case]:
        """The few of many cases among which is one that takes much, by halves."""

        def taken(some: Sequence[Case]) -> tuple[int, float]:
            return self.measure(lambda: [run(case) for case in some if time.monotonic() < until])

        while len(cases) > 2 and time.monotonic() < until:
            half, rest = cases[: len(cases) // 2], cases[len(cases) // 2 :]
            grown, cpu = taken(half)
            is_within = grown >= ONE_CASE_MEMORY if what == "memory" else cpu >= max(ONE_CASE_CPU, taken(rest)[1])
            cases = half if is_within else rest
        return cases

    def confirms(self, case: Case, seen: Observation, run: Callable[[Case], Outcome]) -> Observation | None:
        """Whether a case takes as much as was seen of another, measured once."""
        grown, cpu = self.measure(lambda: run(case))
        if seen.check == "memory" and grown >= max(ONE_CASE_MEMORY, MEMORY_FACTOR * case.octets):
            return replace(seen, summary=f"{grown >> 20} MiB of memory for {case.octets} octets, each time")
        if seen.check == "cpu" and cpu >= ONE_CASE_CPU:
            return replace(seen, summary=f"{cpu:.2f} s of processor time for {case.octets} octets")
        return None
