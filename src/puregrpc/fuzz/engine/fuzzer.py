"""The run: phases and their shares of the time, batches, what is seen in them, and what of it is true.

What is seen in a batch is only a reason to look closer: it counts when the case has shown it again, alone, on fresh
connections (and in a fresh process where the fuzzer can start one), and ordinary calls are answered before it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import cycle

from puregrpc.fuzz.cases.answer import Answer
from puregrpc.fuzz.cases.case import Case, Step
from puregrpc.fuzz.cases.headers import two_hosts
from puregrpc.fuzz.checks.words import Observation, Profile, normal_text
from puregrpc.fuzz.connection.running import SLACK, body_of, is_simple, run_case
from puregrpc.fuzz.connection.storm import AT_ONCE, Storm
from puregrpc.fuzz.engine.aftermath import BUSY_SOON, MOST_KEPT
from puregrpc.fuzz.engine.beginning import Beginning, is_small
from puregrpc.fuzz.engine.findings import Progress, Report
from puregrpc.fuzz.engine.proving import SLOW_START
from puregrpc.fuzz.engine.watching import DOWN, OutOfTime
from puregrpc.fuzz.measures.growth import growing_cases
from puregrpc.fuzz.measures.upkeep import upkeep_cases
from puregrpc.fuzz.phases.planner import in_turn
from puregrpc.fuzz.phases.together import volley_of
from puregrpc.fuzz.values.choices import Choices
from puregrpc.fuzz.values.shapes import learn, shape_of

__all__ = ["Fuzzer"]

FLIGHT = 16
"""How many calls of a batch are under way at once."""
LOOK_EVERY = 128
"""After so many cases a second connection is tried, and memory looked at."""
LEAST_SHARE = 0.03
"""Of the time, for each phase."""
MOST_SHARE = 0.999
"""Of the plan, that phases have had."""
MANY_CALLS = 20
"""A case of so many calls is not looked at for what it takes: it is out of proportion to its octets by itself."""
SHOTS = 8
"""Wrong frames before it is looked whether the target stands."""
VOLLEYS = 10
CALM_EVERY = 1.0
"""Seconds after which it is seen whether the target does nothing when there is nothing to do."""
STORM = 1024
"""Frame cases on one connection."""


class Fuzzer(Beginning):
    """One run against one target. ``emit`` is told what happens, in the same thread."""

    def run(self) -> Report:
        """Do it all. Raises ConnectError if the target does not answer to begin with."""
        self._begun = time.monotonic()
        self._until = self._begun + self.options.time
        levels = self.options.levels
        profiles = list(self.profiles.values())
        try:
            self._first_contact()
            self._baselines()
            self._drive("corpus", iter(self.corpus), 0.2, is_planned=False)
            usable = [each for each in profiles if each.fields]
            ending = [each for each in usable if each.ends]
            planner = self.planner
            headers = [planner.headers(each, is_first=each is ending[0]) for each in _shapes(ending)]
            if "header" in levels:
                self._auth(usable)
                self._ask_about_headers()
                # All methods are found in the same way.
                parts = [_some(each, 36 if each is headers[0] else 3) for each in headers]
                self._drive("paths", in_turn(parts), 0.06)
            steady = [each for each in ending if each.is_steady and each.answer is not None and is_small(each.answer)]
            if "sequence" in levels:
                self._drive("streams", in_turn([planner.streams(each) for each in ending], 1), 0.07)
                self._drive("ways", in_turn([planner.ways(each) for each in steady], 1), 0.09)
            boundaries = in_turn([planner.boundaries(each) for each in ending], 16) if "schema" in levels else iter(())
            self._drive("boundaries", boundaries, 0.23)
            self._calm()
            if "frame" in levels:
                self._shots(0.25)
                self._upkeep(ending)
            if "header" in levels:
                self._drive("metadata", in_turn([planner.metadata(each) for each in ending], 16), 0.29)
            self._growing(ending, 0.36)
            if "sequence" in levels:
                self._flows(usable, 0.39)
                self._drive("together", in_turn([planner.together(each) for each in steady], 1), 0.41)
                self._drive("together", planner.mixed(ending), 0.43)
                self._volleys(steady, 0.44)
                self._drive("sequences", in_turn([planner.sequences(each) for each in usable], 2), 0.55)
                self._calm()
            pairs = in_turn([planner.pairs(each) for each in ending]) if "schema" in levels else iter(())
            if "schema" in levels:
                self._drive("pairs", pairs, 0.58)
                self.judge.replies_are_whole = False
                self._drive("damage", in_turn([planner.damage(each) for each in ending], 16), 0.61)
            if "header" in levels:
                share = 0.66 if {"frame", "schema"} & set(levels) else 1.0
                self._drive("headers", in_turn(headers), share)
            if "frame" in levels:
                quick = sorted((each for each in ending if each.is_steady), key=lambda each: each.seconds)[:3]
                self._drive("forms", in_turn([planner.forms(each) for each in quick], 4), 0.67)
                self._limits(ending, 0.86)
                self._drive("floods", planner.floods(), 0.91)
                self._calm()
                self._storm(ending, 0.93)
            self._drive("boundaries", boundaries, 0.95)
            if "schema" in levels:
                self.generator.refresh()
                self._drive("pairs", pairs, 0.97)
            if "frame" in levels and "schema" not in levels:
                self._storm(ending, 1.0)
            self._drive("random", self._forever(ending), 0.99 if "frame" in levels else 1.0)
            if "frame" in levels:
                self._storm(ending, 1.0)
        except OutOfTime:
            pass
        finally:
            self._drop_link()
        self.report.seconds = time.monotonic() - self._begun
        self.report.restarts = max(self.target.starts - 1, 0)
        for path, profile in self.profiles.items():
            self.report.methods[path] = {
                "cases": profile.cases, "statuses": {str(code): count for code, count in sorted(profile.codes.items())},
            }  # fmt: skip
        return self.report

    def interesting(self) -> Iterator[Case]:
        """Cases whose answers were new, for the corpus."""
        for path, pool in self.planner.interesting.items():
            profile = self.profiles[path]
            for drawn in pool[:40]:
                yield self.planner.made(profile, Choices(None, drawn), "seen before")

    def replay(self, cases: Iterable[tuple[str, str, Case]]) -> Iterator[tuple[str, str, Case, list[Observation]]]:
        """Carry cases out again: each with its check and id, and what it shows. Raises ConnectError."""
        self._begun = time.monotonic()
        self._until = self._begun + self.options.time
        self._first_contact()
        for profile in self.profiles.values():
            profile.fields = self.planner.fields(profile.path)
            example = next(iter(self.planner.examples(profile)))
            profile.octets = example.messages[0]
            if not any(case.method == profile.path and case.expects == "answer" for _, _, case in cases):
                profile.answer = self._ask(profile)
                profile.is_steady = profile.answer is not None
            profile.seconds = 0.01
        for check, number, case in cases:
            outcome = run_case(case, self.target, deadline=self.options.deadline)
            seen = self._observe(case, outcome)
            yield check, number, case, seen
            if any(each.check in DOWN for each in seen) and not self._revive():
                self._tell("the target did not come back")
                return

    def _forever(self, profiles: list[Profile]) -> Iterator[Case]:
        levels = self.options.levels
        parts = [self.planner.random_cases(each) for each in profiles] if "schema" in levels else []
        return in_turn(parts, 16)

    def _until_share(self, share: float) -> float:
        """When a phase ends that has so much of the plan, those before it included.

        What phases before it took too long, or left over, is divided among all that are to come.
        """
        now = time.monotonic()
        part = (share - self._share) / (1 - self._share) if share > self._share else 0.0
        self._share = min(max(share, self._share), MOST_SHARE)
        # On a slow machine each phase has some time nevertheless.
        return min(now + max(part * (self._until - now), self.options.time * LEAST_SHARE), self._until)

    def _drive(self, phase: str, cases: Iterator[Case], share: float, *, is_planned: bool = True) -> None:
        """Send the cases of a phase until they, or its share of the time, are used up.

        What is not planned has so much of the whole time by itself.
        """
        self._phase = phase
        until = self._until_share(share) if is_planned else time.monotonic() + self.options.time * share
        if time.monotonic() > until:
            return
        batch: list[Case] = []
        for case in cases:
            if self._is_muted(case):
                continue
            if is_simple(case):
                batch.append(case)
                if len(batch) < self._flight():
                    continue
            if batch:
                self._batch(batch)
                batch = []
            if not is_simple(case):
                self._alone(case)
            now = time.monotonic()
            if now > until:
                break
            if now - self._told > 0.25:
                self._told = now
                self.emit(Progress(phase, self.report.cases, now - self._begun, len(self.report.findings)))
            if self.options.rate:
                ahead = self.report.cases / self.options.rate - (now - self._begun)
                if ahead > 0:
                    time.sleep(min(ahead, until - now))
        if batch:
            self._batch(batch)
        self._look()

    def _flight(self) -> int:
        """How many calls are under way at once: no more than the server allows, and than it stands."""
        if self._is_alone:
            return 1
        return FLIGHT if self._link is None else max(1, min(FLIGHT, self._link.settings.get(3, FLIGHT)))

    def _batch(self, batch: list[Case]) -> None:
        """Send calls together, and look at the answers."""
        link = self._connected()
        if link is None:
            self._not_served(self._recent[-LOOK_EVERY:] or batch)
            link = self._connected()
            if link is None:
                return
        violations = len(link.violations)
        sent: list[tuple[Case, Answer]] = []
        for case in batch:
            if link.closed:
                break
            self._count(case)
            sent.append((case, link.call(case.steps[0].fields, body_of(case.steps[1]))))
        self._calls_on_link += len(sent)
        self._recent += [case for case, _ in sent]
        link.pump(time.monotonic() + self.options.deadline + SLACK)
        again: list[Case] = []
        for case, answer in sent:
            profile = self.profiles.get(case.method)
            if not answer.ended:
                again.append(case)
                if not link.closed:
                    link.reset(answer.stream, 8)
                continue
            found = self.judge.judge(case, answer, profile)
            if profile is not None:
                self._learn(case, answer, profile)
            for observation in found:
                self._examine(case, observation)
        if len(link.violations) > violations:
            again = [case for case, _ in sent]
        if again:
            if link.closed:
                time.sleep(0.02)
            down = self._down()
            usual = [case for case in batch if case.expects == "answer"]
            if len({*map(id, again)} & {*map(id, usual)}) > 1 and self._hang_not_alone(usual):
                return
            if down is not None and (down.check != "not-served" or not self._stuck_behind(self._canary)):
                self._not_served(again, down)
            elif down is None and not self._is_stuck(again):
                for case in again:
                    if self._is_muted(case):
                        continue
                    self._alone(case, counts=False)
        if len(self._recent) >= LOOK_EVERY:
            self._look()

    def _alone(self, case: Case, *, counts: bool = True) -> None:
        """Carry out one case by itself and look at what came of it."""
        if counts:
            self._count(case)
        if any(step.kind == "flood" for step in case.steps):
            self._flood(case)
            return
        if counts:
            self._recent.append(case)
        self._ask_again(case)
        outcome = run_case(case, self.target, deadline=self.options.deadline)
        for observation in self._observe(case, outcome):
            self._examine(case, observation)
        if len(self._recent) >= LOOK_EVERY:
            self._look()

    def _learn(self, case: Case, answer: Answer, profile: Profile) -> None:
        code = -1 if answer.code is None else answer.code
        profile.codes[code] = profile.codes.get(code, 0) + 1
        if code == 0 and len(answer.body) > profile.most and len(case.messages) == 1:
            profile.most, profile.amplifier = len(answer.body), case.messages[0]
        if case.drawn is None:
            return
        seen = self._seen.setdefault(case.method, set())
        key: tuple[object, ...] = (
            code,
            normal_text(answer.text) if code else "",
            len(answer.body).bit_length(),
            int(answer.seconds * 50),
        )
        if code == 0 and len(answer.body) < 512:
            body = answer.body[5:]
            key = (*key, shape_of(profile.method.output_type, body))
        if key not in seen and len(seen) < 300:
            seen.add(key)
            self.planner.interesting.setdefault(case.method, []).append(case.drawn)
            if code == 0:
                for _, octets in answer.messages()[0][:4]:
                    learn(self.dictionary, profile.method.output_type, octets)

    def _look(self) -> None:
        """Try a second connection, and look at memory and processor time."""
        recent, self._recent = self._recent, []
        down = self._down()
        if down is not None:
            self._not_served(recent, down)
            return
        self._since_calm = (self._since_calm + recent)[-MOST_KEPT:]
        if recent and self._watch.is_possible:
            self._usage(recent)
        if recent:
            self._drift(recent)
        now = time.monotonic()
        if now - self._calm_at > CALM_EVERY:
            self._calm_at = now
            if self._watch.is_possible and self._watch.is_still():
                self._since_calm = []
            else:
                self._calm()

    def _usage(self, recent: list[Case]) -> None:
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

    def _ask_about_headers(self) -> None:
        """Whether a call with two authorities is refused for their number, and one of no method served."""
        profile = self._canary
        if profile is None:
            return
        answer = self._ask(replace(profile, fields=two_hosts(profile.fields)))
        self.planner.counts_authorities = answer is not None and b":authority" in (answer.field(b"grpc-message") or b"")
        answer = self._ask(replace(profile, fields=self.planner.fields("/puregrpc.fuzz.Canary/Call")))
        self.planner.serves_any_path = answer is not None and answer.code == 0

    def _auth(self, profiles: list[Profile]) -> None:
        """Calls without the credentials, where there are any or calls are refused for want of them."""
        for profile in profiles:
            refused = profile.answer is not None and profile.answer.code in (16, 7)
            if (self.options.credentials and not refused) or (refused and not self.options.credentials):
                if profile.answer is None or not profile.ends:
                    continue
                self._drive("auth", self.planner.auth(profile), 0.2, is_planned=False)

    def _flows(self, profiles: list[Profile], share: float) -> None:
        """What one method puts and another gives back."""
        from puregrpc.fuzz.phases.flows import flows_of

        self._phase = "flows"
        found: list[Iterator[Case]] = []
        for flow in flows_of([each for each in profiles if each.ends], self.generator):
            case = flow.ordinary(self.generator)
            outcome = run_case(case, self.target, deadline=self.options.deadline)
            self._count(case)
            answer = outcome.answers.get(outcome.last)
            messages = answer.messages()[0] if answer is not None and answer.code == 0 else []
            if messages and flow.confirm(case, messages[0][1]):
                found.append(flow.cases(self.generator))
        self._drive("flows", in_turn(found, 4), share)

    def _upkeep(self, profiles: list[Profile]) -> None:
        """Whether connections are kept up; all of it, since it takes a sound server little time."""
        self._phase = "upkeep"
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

    def _limits(self, profiles: list[Profile], share: float) -> None:
        """Whether the limits that the server sets are kept."""
        from puregrpc.fuzz.measures.limits import limit_cases

        self._phase = "limits"
        until = self._until_share(share)
        if time.monotonic() > until:
            return
        target = self.target

        def fresh() -> None:
            if target.can_restart and target.start_seconds < SLOW_START:
                self._revive()

        for case, observation in limit_cases(
            target, profiles, self.options.deadline, self._watch, self._answers, fresh
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
        cases = list(self.planner.shots())
        for at in range(0, len(cases), SHOTS):
            if time.monotonic() > until:
                return
            some = cases[at : at + SHOTS]
            for case in some:
                self._count(case)
                run_case(case, self.target, deadline=self.options.deadline)
            down = self._down()
            if down is not None:
                self._not_served(some, down)

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

    def _growing(self, profiles: list[Profile], share: float) -> None:
        """The same again and again: whether memory, threads or files grow with it."""
        if not self._watch.is_possible:
            return
        self._phase = "growth"
        if self._watch.is_still():
            self._since_calm = []
        until = self._until_share(share)
        seconds = min(self.options.time / 100, 1.0)
        for case, observation in growing_cases(self.target, profiles, self.planner.varied, seconds, until):
            self._since_calm.append(case)
            self._seen_in(case, observation)
            if any(step.kind == "reset" for step in case.steps):
                if self._watch.is_still():
                    self._since_calm = []
                else:
                    self._calm()
        self._calm()
        self._watch.reset()


def _shapes(profiles: list[Profile]) -> list[Profile]:
    """One method of each shape, the first ones: what stands before their messages is looked at by the same code."""
    shapes = {(each.method.is_client_stream, each.method.is_server_stream): each for each in reversed(profiles)}
    return sorted(shapes.values(), key=profiles.index)


def _some(cases: Iterator[Case], count: int) -> Iterator[Case]:
    for _ in range(count):
        case = next(cases, None)
        if case is None:
            return
        yield case
