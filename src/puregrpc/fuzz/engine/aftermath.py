"""What cases leave behind: ordinary calls that are answered otherwise from then on, a processor that is busy for ever.

Each is noticed after many cases, and the one that did it is found by halves, with a fresh target for each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from puregrpc.fuzz.cases.case import Case, Step
from puregrpc.fuzz.checks.words import NOT_SERVED, REFUSALS, Observation, Profile, signature
from puregrpc.fuzz.connection.running import is_simple, run_case
from puregrpc.fuzz.engine.proving import SLOW_START, Proving, followed
from puregrpc.fuzz.measures.growth import cancelling
from puregrpc.fuzz.phases.names import is_reading
from puregrpc.fuzz.phases.together import FULL, behind_many, between, many_at_once, refused_again
from puregrpc.wire.status import StatusCode

__all__ = ["BUSY_SOON", "MOST_KEPT", "Aftermath"]

MOST_KEPT = 3000
SEARCH_SECONDS = 20.0
SEARCH_SHARE = 0.25
"""Of the time of a run, for one search for what keeps the target busy."""
MOST_SEARCHES = 4
FEW = 40
"""So many of the last cases are looked at first."""
CLOSED = 0.3
"""Seconds, more than a moment."""
MOST_REFUSED = 4
"""Kinds of refusals that are tried many times."""
BUSY_SOON = 3
"""Intervals that tell whether one of some cases keeps the target busy."""


def is_ok(profile: Profile) -> bool:
    """Whether its ordinary call was answered with OK."""
    return profile.answer is not None and profile.answer.code == 0


class Aftermath(Proving):
    """Looks at the target between cases."""

    def _drift(self, recent: Sequence[Case]) -> None:
        """Whether methods that only read answer their ordinary calls otherwise than before."""
        if not self.target.can_restart or self.target.start_seconds > SLOW_START:
            return
        first = next((each for each in self.profiles.values() if each.is_steady and is_ok(each)), None)
        if first is not None and not first.is_changed and self._is_closed(first):
            first.is_changed = True
            self._find_many(first)
            return
        for profile in self.profiles.values():
            if not profile.is_steady or profile.is_changed:
                continue
            if not is_reading(profile.method.name):
                mine = [case for case in recent if case.method == profile.path and case.level in ("schema", "sequence")]
                if mine and self._is_refused(profile):
                    profile.is_changed = True
                    self._find_refusal(profile, mine)
                continue
            mine = [case for case in recent if case.method == profile.path and is_simple(case)]
            if mine and self._is_changed(profile):
                profile.is_changed = True
                self._find_change(profile, mine)

    def _is_changed(self, profile: Profile) -> bool:
        """Whether its ordinary call is answered otherwise than at the beginning, twice in the same way."""
        seen = set()
        for _ in range(2):
            answer = self._ask(profile)
            if answer is None or not answer.ended or answer.code in NOT_SERVED:
                return False
            seen.add(signature(answer))
        return len(seen) == 1 and profile.first not in seen

    def _is_closed(self, profile: Profile) -> bool:
        """Whether its ordinary call is refused, which it was not at the beginning, and not for a moment."""
        for pause in (0.0, CLOSED):
            time.sleep(pause)
            answer = self._ask(profile)
            if answer is None or answer.code not in (*REFUSALS, StatusCode.UNAVAILABLE):
                return False
        return True

    def _refusals(self, profiles: Sequence[Profile]) -> None:
        """Whether methods lose their room to calls that they refuse."""
        if not self.target.can_restart or self.target.start_seconds > SLOW_START:
            return
        for profile in profiles:
            if profile.ordinary_codes != {0}:
                continue
            for octets in list(profile.refused.values()):
                case = many_at_once(profile.path, profile.fields, octets)
                self._count(case)
                run_case(case, self.target, deadline=self.options.deadline)
                if self._is_full(profile):
                    self._find_full(profile)
                    break

    def _is_full(self, profile: Profile) -> bool:
        """Whether a method says that it has no room left, and not for a moment."""
        for pause in (0.0, CLOSED):
            time.sleep(pause)
            answer = self._ask(profile)
            if answer is None or answer.code != StatusCode.RESOURCE_EXHAUSTED:
                return False
        return True

    def _find_full(self, profile: Profile) -> None:
        """Whether it has lost its room to calls that it has refused: as many that it serves take none."""
        for refused in list(profile.refused.values()):
            for octets in (profile.octets, refused):
                if not self._revive():
                    return
                case = behind_many(profile.path, profile.fields, profile.octets, (profile.fields, octets), FULL)
                outcome = run_case(case, self.target, deadline=self.options.deadline)
                last = outcome.answers.get(outcome.last)
                if octets is profile.octets and (last is None or last.code != 0):
                    self._revive()
                    return
            known = len(self.report.findings)
            for seen in refused_again(case, outcome):
                self._examine(case, seen)
            if len(self.report.findings) > known:
                break
        self._revive()

    def _find_many(self, profile: Profile) -> bool:
        """Whether it is refused because many calls were, of any method."""
        refused = [(each.fields, octets) for each in self.profiles.values() for octets in each.refused.values()]
        known = len(self.report.findings)
        for one in refused[:: max(len(refused) // MOST_REFUSED, 1)][:MOST_REFUSED]:
            if not self._revive():
                return False
            case = behind_many(profile.path, profile.fields, profile.octets, one)
            for seen in refused_again(case, run_case(case, self.target, deadline=self.options.deadline)):
                self._examine(case, seen)
            if len(self.report.findings) > known:
                break
        self._revive()
        return len(self.report.findings) > known

    def _find_change(self, profile: Profile, cases: Sequence[Case]) -> None:
        if not self._revive() or self._is_changed(profile):
            return  # what it was answered with at first had come of another method's calls
        culprit = self._by_halves(cases, lambda: self._is_changed(profile))
        if culprit is not None and self._revive():
            self._ask_again(followed(culprit, profile))
            case = followed(culprit, profile)
            self._examine(case, Observation("state", f"{case.about}: answered otherwise than before", (case.about,)))

    def _is_refused(self, profile: Profile) -> bool:
        """Whether its ordinary call is refused, and was not at the beginning."""
        if profile.answer is None or profile.answer.code != 0:
            return False
        answers = [self._ask(profile) for _ in range(2)]
        return all(answer is not None and answer.code in REFUSALS for answer in answers)

    def _find_refusal(self, profile: Profile, cases: Sequence[Case]) -> None:
        """Whether it is refused because another call was: what a call changes that is served, is its own affair."""
        if not self._revive() or self._is_refused(profile):
            return
        culprit = self._by_halves(cases, lambda: self._is_refused(profile))
        if culprit is not None and self._revive():
            case = between(culprit, profile.fields, profile.octets)
            for seen in refused_again(case, run_case(case, self.target, deadline=self.options.deadline)):
                self._examine(case, seen)
        self._revive()

    def _calm(self) -> None:
        """Whether the target is busy with nothing to do, and since which case."""
        cases, self._since_calm = self._since_calm, []
        if not self._watch.is_possible or not cases or not self._watch.is_busy():
            return
        if not self.target.can_restart or self.target.start_seconds > SLOW_START or self._searches >= MOST_SEARCHES:
            return
        if self._is_kept_busy:
            self._revive()
            return
        self._searches += 1
        until = time.monotonic() + min(SEARCH_SECONDS, SEARCH_SHARE * self.options.time)
        culprit = self._busy_when_cancelled(cases, until)
        if self._searches == 1 and culprit is None:
            culprit = self._by_halves(self._ordinary(), lambda: self._watch.is_busy(BUSY_SOON), until)
        for count in (FEW, len(cases)):
            culprit = culprit or self._by_halves(cases[-count:], lambda: self._watch.is_busy(BUSY_SOON), until)
        if culprit is None or not self._revive():
            return
        run_case(culprit, self.target, deadline=self.options.deadline)
        # Some are busy for a while after they have begun.
        if not self._watch.is_busy() or not self._revive():
            return
        if self._is_busy_anyway():
            culprit = self._busy_from_the_first() if self._canary is not None else None
        if culprit is not None:
            text = f"{culprit.about}: a processor is busy from then on, with nothing to do"
            seen = Observation("cpu", text, ("busy",), "", "CWE-835", is_repeated=True)
            self._examine(replace(culprit, maker=None, drawn=None), seen)
            self._is_kept_busy = True
        self._revive()

    def _ordinary(self) -> list[Case]:
        """An ordinary call of each method, and ends of connections: those of the beginning are no case's."""
        found = []
        profile = self._canary
        if profile is not None:
            head = Step("open", fields=profile.fields)
            whole = (head, Step("message", octets=profile.octets, end=True))
            for about, steps in (
                ("behind its head", (head,)), ("behind a call", (*whole, Step("wait", until="end"))),
                ("behind a request", whole),
            ):  # fmt: skip
                for how in ("closed", "broken"):
                    made = (*steps, Step("close", code=int(how == "broken")))
                    about_it = f"a connection that is {how} {about}"
                    found.append(Case("sequence", profile.path, made, "any", about_it))
        for each in self.profiles.values():
            if each.fields and each.ends:
                call = (Step("open", fields=each.fields), Step("message", octets=each.octets, end=True))
                found.append(Case("sequence", each.path, (*call, Step("wait", until="end")), "any", "an ordinary call"))
        return found

    def _is_busy_anyway(self) -> bool:
        """Whether a fresh target is busy after an ordinary call as well."""
        self._control()
        return self._watch.is_busy()

    def _busy_when_cancelled(self, cases: Sequence[Case], until: float) -> Case | None:
        """Calls that keep the target busy once they are cancelled, of the methods that some cases have cancelled.

        They are cancelled at many moments: what some case did at one of them would take luck to show again.
        """
        methods = {case.method for case in cases if any(step.kind in ("reset", "close") for step in case.steps)}
        usual = [each for path, each in self.profiles.items() if path in methods and each.ends]
        if not usual or not self._revive():
            return None
        for profile in usual:
            case = cancelling(profile)
            run_case(case, self.target, deadline=min(self.options.deadline, 1.0))
            if self.target.has_ended() or time.monotonic() > until:
                return None
            if self._watch.is_busy(BUSY_SOON):
                return case
        return None

    def _busy_from_the_first(self) -> Case | None:
        """An ordinary call, if a target that nobody has connected to does nothing, and is busy for ever after one."""
        profile = self._canary
        if profile is None or not self._revive() or self._watch.is_busy(BUSY_SOON):
            return None
        self._control()
        if not self._watch.is_busy():
            return None
        steps = (Step("open", fields=profile.fields), Step("message", octets=profile.octets, end=True))
        return Case("sequence", profile.path, (*steps, Step("wait", until="end"), Step("close")), "any",
                    "an ordinary call, and the end of its connection")  # fmt: skip

    def _by_halves(self, cases: Sequence[Case], shows: Callable[[], bool], until: float = 0.0) -> Case | None:
        """The one of many cases after which something shows; None if it does not show again, or not until then."""
        until = min(until or time.monotonic() + SEARCH_SECONDS, self._until + 5)
        if not cases or time.monotonic() > until:
            return None

        is_as_new = False

        def after(some: Sequence[Case]) -> bool:
            nonlocal is_as_new
            if not is_as_new and not self._revive():
                return False
            for case in some:
                if time.monotonic() > until or self.target.has_ended():
                    return False
                run_case(case, self.target, deadline=min(self.options.deadline, 1.0))
            is_shown = shows()
            is_as_new = not is_shown  # a restart takes time
            return is_shown

        if not after(cases):
            return None
        while len(cases) > 1 and time.monotonic() < until:
            half = cases[: len(cases) // 2]
            cases = half if after(half) else cases[len(cases) // 2 :]
        return cases[0] if len(cases) == 1 and after(cases) else None
