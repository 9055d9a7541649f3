"""Phases that measure the target, or send more than cases one by one: each has its share of the time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import cycle
from threading import Thread

from puregrpc.fuzz.cases.case import Case, Step
from puregrpc.fuzz.checks.words import NOT_SERVED, Check, Observation, Profile, signature
from puregrpc.fuzz.connection.running import run_case
from puregrpc.fuzz.connection.storm import AT_ONCE, Storm
from puregrpc.fuzz.connection.target import Target
from puregrpc.fuzz.engine.aftermath import BUSY_SOON
from puregrpc.fuzz.engine.beginning import Beginning
from puregrpc.fuzz.engine.findings import Progress
from puregrpc.fuzz.engine.proving import SLOW_START
from puregrpc.fuzz.engine.watching import OutOfTime
from puregrpc.fuzz.measures.attacks import attack_cases
from puregrpc.fuzz.measures.growth import broken_off, growing_cases, left_behind
from puregrpc.fuzz.measures.untaken import untaken_cases
from puregrpc.fuzz.measures.upkeep import upkeep_cases
from puregrpc.fuzz.phases.names import is_reading
from puregrpc.fuzz.phases.together import volley_of

__all__ = ["Measuring"]

LEAST_SHARE = 0.03
"""Of the time, for each phase."""
MOST_SHARE = 0.999
"""Of the plan, that phases have had."""
SHOTS = 8
"""Wrong frames at once, before it is looked whether the target stands."""
HEARD_OF = frozenset({"hpack-bombs"})
"""Floods that come with what every server has heard of."""
MANY_CALLS = 20
"""A case of so many calls is not looked at for what it takes: it is out of proportion to its octets by itself."""
VOLLEYS = 10
STORM = 1024
"""Frame cases on one connection."""


class UpkeepBeside:
    """The cases of the upkeep, carried out in a thread."""

    def __init__(self, target: Target, profiles: list[Profile]) -> None:
        self._target = target
        self._starts = target.starts
        self._profiles = [replace(each) for each in profiles]
        self._seen: list[tuple[Case, Observation | None]] = []
        self._has_failed = False
        self.thread = Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._seen = list(upkeep_cases(self._target, self._profiles))
        except Exception:  # whatever it is, all of it is done again
            self._has_failed = True

    def is_sound(self) -> list[Case] | None:
        """The cases, once they are done; None if something was seen, or the target was begun again meanwhile."""
        self.thread.join()
        if self._has_failed or self._starts != self._target.starts or any(seen for _, seen in self._seen):
            return None
        return [case for case, _ in self._seen]


class Measuring(Beginning):
    """Has the phases whose cases are carried out as they are made."""

    def _until_share(self, share: float) -> float:
        """When a phase ends that has so much of the plan, those before it included.

        What phases before it took too long, or left over, is divided among all that are to come.
        """
        now = time.monotonic()
        part = (share - self._share) / (1 - self._share) if share > self._share else 0.0
        self._share = min(max(share, self._share), MOST_SHARE)
        # On a slow machine each phase has some time nevertheless.
        return min(now + max(part * (self._until - now), self.options.time * LEAST_SHARE), self._until)

    def _upkeep_beside(self, profiles: list[Profile]) -> UpkeepBeside | None:
        """Begin to look whether connections are kept up, which is waiting for the most part, beside other phases."""
        if not profiles or self._is_alone or self._one_at_a_time or self.options.rate:
            return None
        beside = UpkeepBeside(self.target, profiles)
        self._beside = beside.thread
        return beside

    def _upkeep(self, profiles: list[Profile], beside: UpkeepBeside | None) -> None:
        """Whether connections are kept up; all of it, since it takes a sound server little time.

        What was seen beside other phases counts only when it is seen again with nothing beside it.
        """
        self._phase = "upkeep"
        cases = beside.is_sound() if beside is not None else None
        if cases is not None:
            for case in cases:
                self._seen_in(case, None)
            return
        for case, observation in upkeep_cases(self.target, profiles) if profiles else ():
            self._seen_in(case, observation)

    def _seen_in(self, case: Case, observation: Observation | None) -> None:
        """A case that was carried out twice already, where it showed something."""
        self._count(case)
        if observation is not None:
            self._examine(case, replace(observation, is_repeated=True))
        down = self._down()
        if down is not None:
            self._not_served([case], down)

    def _fresh(self) -> None:
        """A target that was just begun, if that is possible and quick."""
        if self.target.can_restart and self.target.start_seconds < SLOW_START:
            self._revive()

    def _attacks(self, profiles: list[Profile]) -> None:
        """What every server has heard of; all of it, since it takes a sound server little time."""
        from puregrpc.fuzz.measures.limits import stream_limit_cases

        self._phase = "attacks"
        for case, observation in stream_limit_cases(self.target, profiles, self.options.deadline):
            self._seen_in(case, observation)
        for case, observation in attack_cases(self.target, profiles, self._watch, self._fresh):
            self._seen_in(case, observation)
        for case in self.planner.floods(HEARD_OF):
            self._count(case)
            self._flood(case)

    def _limits(self, profiles: list[Profile], share: float) -> None:
        """Whether the limits that the server sets are kept."""
        from puregrpc.fuzz.measures.limits import limit_cases

        self._phase = "limits"
        until = self._until_share(share)
        if time.monotonic() > until:
            return
        for case, observation in limit_cases(
            self.target, profiles, self.options.deadline, self._watch, self._answers, self._fresh
        ):
            self._seen_in(case, observation)
            if time.monotonic() > until:
                return

    def _untaken(self, profiles: list[Profile], share: float) -> None:
        """What the target keeps for who takes no answers; what it takes of memory hides what comes behind it."""
        self._phase = "untaken"
        until = self._until_share(share)
        if not self._watch.is_possible or not profiles or time.monotonic() > until:
            return
        self._fresh()
        for case, observation in untaken_cases(
            self.target, profiles, self.options.deadline, self._watch, until, self.planner.stretched
        ):
            self._seen_in(case, observation)
            if time.monotonic() > until:
                return

    def _storm(self, profiles: list[Profile], share: float) -> None:
        """Frame cases by chance, on shared connections and on one each, in turn."""
        self._phase = "frames"
        until = self._until_share(share)
        storms = [Storm(self.target.options, each, self.random) for each in profiles if each.fields]
        for storm in cycle(storms):
            if time.monotonic() > until:
                return
            octets, count = storm.shared(STORM)
            sent = [octets] if octets else []
            alone = storm.single(AT_ONCE)
            self._count_more(count + len(alone))
            down = self._down()
            if down is not None:
                cases = [
                    Case(
                        "frame", storm.path, (Step("raw", octets=each, seconds=0.2),), "any", "frames changed by chance"
                    )
                    for each in (*sent, *alone)
                ]
                self._not_served(cases, down)

    def _volleys(self, profiles: list[Profile], share: float) -> None:
        """Ordinary calls in number, each method at least once: what holds nothing together falls apart."""
        self._phase = "volleys"
        until = self._until_share(share)
        first = len(profiles)
        for number, profile in enumerate(cycle(profiles)):
            if number >= first and (number >= first * VOLLEYS or time.monotonic() > until):
                return
            case = volley_of(profile.path, profile.fields, profile.octets)
            self._count(case)
            run_case(case, self.target, deadline=self.options.deadline)
            down = self._down()
            if down is not None:
                self._not_served([case], down)

    def _shots(self, share: float) -> None:
        """Single frames that are wrong, some of them before it is looked whether the target stands."""
        self._phase = "shots"
        until = self._until_share(share)
        cases = list(self.planner.shots(self._canary))
        for at in range(0, len(cases), SHOTS):
            if time.monotonic() > until:
                break
            some = cases[at : at + SHOTS]
            for case in some:
                self._count(case)
            self._run_at_once(some)
            self._since_calm += some
            down = self._down()
            if down is not None:
                self._not_served(some, down)
            elif self._watch.is_possible:
                self._usage(some)
        self._calm()

    def _run_at_once(self, cases: Sequence[Case]) -> None:
        """Carry out cases that mostly wait, on a connection each; one after the other where calls are not to meet."""
        is_alone = self._is_alone or self._one_at_a_time or bool(self.options.rate)
        with ThreadPoolExecutor(1 if is_alone else len(cases)) as pool:
            for _ in pool.map(lambda case: run_case(case, self.target, deadline=self.options.deadline), cases):
                pass

    def _usage(self, recent: list[Case]) -> None:
        """Whether some cases took more than they should, and which of them."""
        suspicion = self._watch.look(sum(case.octets for case in recent), sum(case.calls for case in recent))
        if suspicion is None:
            return
        if suspicion == "cpu" and not self._watch.is_still() and self._watch.is_busy(BUSY_SOON):
            # What it takes with nothing to do is no case's.
            self._calm()
            return
        single = [case for case in recent if case.calls < MANY_CALLS]
        for case, observation in self._watch.search(
            single, suspicion, self._run_quietly, most_seconds=min(15.0, self._until - time.monotonic() + 3)
        ):
            self._examine(case, replace(observation, is_repeated=True))
            break
        self._watch.reset()

    def _count_more(self, count: int) -> None:
        report = self.report
        report.cases += count
        report.phases[self._phase] = report.phases.get(self._phase, 0) + count
        now = time.monotonic()
        if now - self._told > 0.25:
            self._told = now
            self.emit(Progress(self._phase, report.cases, now - self._begun, len(report.findings)))
        if self.options.max_cases and report.cases > self.options.max_cases:
            raise OutOfTime

    def _flood(self, case: Case) -> None:
        """One probe of the catalogue, with a second client beside it."""
        from puregrpc.fuzz.measures.limits import flood_observation

        observation = flood_observation(case, self.target, self.options.deadline, self._watch, self._answers)
        down = self._down()
        if down is not None:
            self._drop_link()
            self._examine(case, down)
            if self._down() is not None and not self._revive():
                self._gone = True
                raise OutOfTime
        elif observation is not None:
            self._examine(case, replace(observation, is_repeated=True))

    def _broken_off(self, profiles: list[Profile], share: float) -> None:
        """Whether a method answers still behind calls of it that are broken off; it may have taken what it needs."""
        self._phase = "broken off"
        until = self._until_share(share)
        for profile in profiles:
            for case in broken_off(profile):
                if time.monotonic() > until:
                    return
                self._count(case)
                self._recent.append(case)
                run_case(case, self.target, deadline=self.options.deadline)
            answer = self._ask(profile)
            if answer is None or answer.code in NOT_SERVED:
                self._left_behind(case)

    def _growing(self, profiles: list[Profile], share: float) -> None:
        """The same again and again: whether memory, threads or files grow with it."""
        if not self._watch.is_possible:
            return
        self._phase = "growth"
        if self._watch.is_still():
            self._since_calm = []
        # What others have had and given back is taken first, and what grows into it does not show.
        self._fresh()
        until = self._until_share(share)
        seconds = min(self.options.time / 100, 1.0)
        self._changed_before = self._changed_readers()
        for case, observation in growing_cases(self.target, profiles, self.planner.varied, seconds, until):
            self._since_calm.append(case)
            if observation is None:
                # A method that answers no more is to be told from a target that serves nobody.
                self._left_behind(case)
            self._seen_in(case, observation)
            if any(step.kind == "reset" for step in case.steps):
                if self._watch.is_still():
                    self._since_calm = []
                else:
                    self._calm()
            self._changed_before |= self._changed_readers()
        self._calm()
        self._watch.reset()

    def _changed_readers(self) -> set[str]:
        """The methods that only read and are answered otherwise than at the beginning, as far as one call tells."""
        readers = [each for each in self.profiles.values() if each.is_steady and is_reading(each.method.name)]
        known = self._changed_before
        asked = {each.path: self._ask(each) for each in readers if each.path not in known and self.target.can_restart}
        return {
            path for path, answer in asked.items()
            if answer is not None and answer.code not in NOT_SERVED and signature(answer) != self.profiles[path].first
        }  # fmt: skip

    def _left_behind(self, case: Case) -> None:
        """Whether a method's ordinary calls are answered as ever behind many of one kind."""
        profile = self.profiles.get(case.method)
        if profile is None or not profile.is_steady or not self.target.can_restart or profile.path in self._stopped:
            return
        check: Check = "state"
        for _ in range(2):
            answer = self._ask(profile)
            if answer is not None and answer.code not in NOT_SERVED:
                if not is_reading(profile.method.name) or profile.path in self._changed_before:
                    return
                if not self._is_changed(profile):
                    return
                break
        else:
            check = "hang" if answer is None or answer.code in (None, 4) else "state"
        has_stopped = answer is None or answer.code in NOT_SERVED
        down = self._down() if has_stopped else None
        if profile.answer is None or profile.answer.code in NOT_SERVED or self.target.has_ended():
            return
        self._stopped.add(profile.path)
        known = len(self.report.findings)
        for behind in left_behind(profile):
            if not self._revive():
                return
            text = f"{behind.about}: {'no answer' if has_stopped else 'answered otherwise than before'}"
            self._examine(behind, Observation(check, text, ("behind" if has_stopped else behind.about,)))
            if len(self.report.findings) > known:
                break
        if down is not None and len(self.report.findings) == known:
            self._not_served([case], down)
        self._revive()
