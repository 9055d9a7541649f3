"""The run: phases and their shares of the time, batches, what is seen in them, and what of it is true.

What is seen in a batch is only a reason to look closer: it counts when the case has shown it again, alone, on fresh
connections (and in a fresh process where the fuzzer can start one), and ordinary calls are answered before it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

from puregrpc.fuzz.cases.answer import Answer
from puregrpc.fuzz.cases.case import Case
from puregrpc.fuzz.cases.headers import two_hosts
from puregrpc.fuzz.checks.words import REFUSALS, Observation, Profile, normal_text
from puregrpc.fuzz.connection.running import SLACK, Outcome, body_of, is_simple, run_case
from puregrpc.fuzz.engine.aftermath import MOST_KEPT
from puregrpc.fuzz.engine.beginning import is_small
from puregrpc.fuzz.engine.findings import Progress, Report
from puregrpc.fuzz.engine.measuring import Measuring
from puregrpc.fuzz.engine.watching import DOWN, OutOfTime
from puregrpc.fuzz.phases.counted import counted_cases
from puregrpc.fuzz.phases.flows import Flow, flows_of
from puregrpc.fuzz.phases.lives import crossed, linked_cases, lives
from puregrpc.fuzz.phases.pages import page_cases
from puregrpc.fuzz.phases.planner import in_turn
from puregrpc.fuzz.values.choices import Choices
from puregrpc.fuzz.values.shapes import learn, shape_of

__all__ = ["Fuzzer"]

FLIGHT = 16
"""How many calls of a batch are under way at once."""
LOOK_EVERY = 128
"""After so many cases a second connection is tried, and memory looked at."""
MOST_REFUSED = 4
LINKED = 0.03
"""Of the plan, for methods that want a thing that there is."""
FLOW_TIMES = 2
"""So often a thing is put and got, until it is known what comes back: a version that grows may be as it was once."""
MOST_AMPLIFIER = 4096
"""Octets of a message that is sent again and again for its large answer."""
CALM_EVERY = 1.0
"""Seconds after which it is seen whether the target does nothing when there is nothing to do."""


class Fuzzer(Measuring):
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
                self._broken_off(steady, 0.1)
            beside = self._upkeep_beside(ending) if "frame" in levels else None
            boundaries = planner.edges_in_turn(ending) if "schema" in levels else iter(())
            self._drive("boundaries", boundaries, 0.23)
            if "sequence" in levels and self._canary is not None and self._canary.ends:
                self._drive("unending", planner.unending(usable, self._canary), 0.24)
            self._calm()
            if "frame" in levels:
                quick = sorted((each for each in ending if each.is_steady), key=lambda each: each.seconds)[:3]
                self._drive("forms", in_turn([planner.forms(each) for each in quick], 4), 0.245)
                self._shots(0.25)
                self._upkeep(ending, beside)
                self._attacks(ending)
            if "header" in levels:
                self._drive("metadata", in_turn([planner.metadata(each) for each in ending], 16), 0.29)
            self._growing(ending, 0.36)
            flows: Iterator[Case] = iter(())
            if "sequence" in levels:
                flows = self._flows(usable, 0.42)
                self._drive("pages", page_cases(ending, self.generator, self._ask), 0.455)
                self._drive("counted", counted_cases(ending, self.generator, self._ask), 0.46)
                self._drive("together", in_turn([planner.together(each) for each in steady], 1), 0.475)
                self._drive("together", planner.mixed(ending), 0.49)
                self._refusals(ending)
                self._volleys(steady, 0.5)
                # What those before have left may be what is to be told from what there was.
                self._fresh()
                self._drive("sequences", in_turn([planner.sequences(each) for each in usable], 2), 0.58)
                self._calm()
            pairs = in_turn([planner.pairs(each) for each in ending]) if "schema" in levels else iter(())
            if "schema" in levels:
                self._drive("pairs", pairs, 0.6)
                self.judge.replies_are_whole = False
                self._drive("damage", in_turn([planner.damage(each) for each in ending], 16), 0.63)
            if "header" in levels:
                share = 0.67 if {"frame", "schema"} & set(levels) else 1.0
                self._drive("headers", in_turn(headers), share)
            if "frame" in levels:
                self._limits(ending, 0.77)
                self._fresh()
                self._drive("floods", planner.floods(), 0.83)
                self._untaken(ending, 0.91)
                self._calm()
                self._storm(ending, 0.93)
            self._drive("flows", flows, 0.94 if {"schema", "frame"} & set(levels) else 1.0)
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
        # What is listed may be on the first page of a target that was just begun alone.
        if case.expects == "unlisted" or (case.expects == "again" and not self._is_as_at_first(case)):
            self._fresh()
        outcome = run_case(case, self.target, deadline=self.options.deadline)
        for observation in self._observe(case, outcome):
            self._examine(case, observation)
        if len(self._recent) >= LOOK_EVERY:
            self._look()

    def _is_as_at_first(self, case: Case) -> bool:
        """Whether a method's ordinary call has the status that it had at the beginning."""
        profile = self.profiles.get(case.method)
        if profile is None or profile.answer is None:
            return True
        answer = self._ask(profile)
        return answer is None or answer.code == profile.answer.code

    def _learn(self, case: Case, answer: Answer, profile: Profile) -> None:
        code = -1 if answer.code is None else answer.code
        profile.codes[code] = profile.codes.get(code, 0) + 1
        messages = case.messages
        is_short = len(messages) == 1 and len(messages[0]) <= MOST_AMPLIFIER
        if code == 0 and is_short and len(answer.body) > profile.most:
            profile.most, profile.amplifier = len(answer.body), messages[0]
        if code in REFUSALS and len(messages) == 1 and len(profile.refused) < MOST_REFUSED:
            profile.refused.setdefault(normal_text(answer.text), messages[0])
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

    def _flows(self, profiles: list[Profile], share: float) -> Iterator[Case]:
        """What one method puts and another gives back, and what becomes of it; the cases that time has not come to."""
        self._phase = "flows"
        # The first page of a list is to have what is made.
        self._fresh()
        found: list[Iterator[Case]] = []
        ending = [each for each in profiles if each.ends]
        for first in flows_of(ending, self.generator):
            flow = first if self._is_confirmed(first) else first.otherwise
            if flow is not None and (flow is first or self._is_confirmed(flow)):
                found.insert(0, lives(flow, ending, self.generator, self._run_counted))
                found += [crossed(flow, self.generator), flow.cases(self.generator)]
        cases = in_turn(found, 4)
        self._drive("flows", cases, share)
        if {"schema", "sequence"} <= set(self.options.levels):
            linked = list(linked_cases(ending, self.generator, self._run_counted))
            self._drive("linked", in_turn(linked, 4), share + LINKED)
        return cases

    def _is_confirmed(self, flow: Flow) -> bool:
        """Whether ordinary values come back, which of them the flow keeps."""
        case = flow.ordinary(self.generator)
        replies = [octets for _ in range(FLOW_TIMES) for octets in self._replies(case)]
        if not replies or not flow.confirm(case, replies):
            return False
        if not flow.is_doubtful:
            return True
        case = flow.other_values(self.generator)
        replies = [octets for _ in range(FLOW_TIMES) for octets in self._replies(case)]
        return flow.leave_out(case, replies or [b""])

    def _replies(self, case: Case) -> list[bytes]:
        """The message that the last call of a case is answered with, if it is OK."""
        outcome = self._run_counted(case)
        answer = outcome.answers.get(outcome.last)
        messages = answer.messages()[0] if answer is not None and answer.code == 0 else []
        return [octets for _, octets in messages[:1]]

    def _run_counted(self, case: Case) -> Outcome:
        self._count(case)
        return run_case(case, self.target, deadline=self.options.deadline)


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
