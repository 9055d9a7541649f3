"""The target in a run: connections to it, whether it is there and serves, and what an outcome shows."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from random import Random
from threading import Thread

from puregrpc.errors import ConnectError, InvalidArgument
from puregrpc.fuzz.cases.answer import Answer
from puregrpc.fuzz.cases.case import Case, Step
from puregrpc.fuzz.cases.sequences import MARK
from puregrpc.fuzz.checks.judge import Judge
from puregrpc.fuzz.checks.words import BUSY, Observation, Profile, violation
from puregrpc.fuzz.connection.link import Link
from puregrpc.fuzz.connection.running import SLACK, Outcome, body_of, run_case
from puregrpc.fuzz.connection.target import Target
from puregrpc.fuzz.engine.findings import Event, Note, Report
from puregrpc.fuzz.engine.options import Options
from puregrpc.fuzz.measures.usage import UsageWatch
from puregrpc.fuzz.phases.counted import miscounted, miscounted_streams, unanswered
from puregrpc.fuzz.phases.dynamic_table import told_apart
from puregrpc.fuzz.phases.lives import mixed_up, still_there
from puregrpc.fuzz.phases.pages import unlike_pages
from puregrpc.fuzz.phases.planner import Planner
from puregrpc.fuzz.phases.together import given_twice, moved, refused_again, unlike
from puregrpc.fuzz.values.field_values import Dictionary
from puregrpc.fuzz.values.generate import Generator
from puregrpc.fuzz.values.shapes import Shape
from puregrpc.proto.descriptors import MethodDescriptor
from puregrpc.schema import Registry
from puregrpc.trace import Recorder

__all__ = ["CANARY_TIMEOUT", "DOWN", "OutOfTime", "Watching"]

CALLS_PER_LINK = 2000
CANARY_TIMEOUT = 3.0
COME_BACK = 5.0
"""Seconds that a server which nobody here starts may take to come back."""
DOWN = {"process-ended", "not-served"}
ENHANCE_YOUR_CALM = 11
MOST_BEFORE = 1024


COMPARED: dict[str, Callable[[Case, Outcome], list[Observation]]] = {
    "alike": unlike, "distinct": given_twice, "paged": unlike_pages, "counted": miscounted,
    "lengths": miscounted_streams, "again": refused_again, "gone": still_there, "unlisted": still_there,
    "answered": unanswered, "unmoved": moved, "crossed": mixed_up, "apart": told_apart,
}  # fmt: skip
"""What cases of several calls show when their answers are compared."""


MOST_NAMES = 40


class OutOfTime(Exception):  # noqa: N818 - control flow
    """The run is over."""


class Watching:
    """What a run knows, and how it asks the target. ``emit`` is told what happens, in the same thread."""

    def __init__(
        self, target: Target, registry: Registry, methods: Sequence[MethodDescriptor], options: Options,
        emit: Callable[[Event], None] = lambda _: None, *, corpus: Iterable[Case] = (),
    ) -> None:  # fmt: skip
        if not methods:
            raise InvalidArgument("there are no methods to fuzz")
        self.target = target
        self.options = options
        self.emit = emit
        self.random = Random(options.seed)
        self.dictionary = Dictionary(options.dictionary)
        self.dictionary.names = _answered(methods)
        self.generator = Generator(registry, self.dictionary)
        self.judge = Judge(registry, deadline=options.deadline, user_checks=options.checks)
        self.planner = Planner(
            self.generator, self.random, authority=options.authority, scheme=options.scheme, deadline=options.deadline,
            metadata=options.metadata, credentials=options.credentials,
        )  # fmt: skip
        self.profiles = {method.path: Profile(method) for method in methods}
        self.report = Report(target.describe(), options.seed)
        self.corpus = list(corpus)
        self._watch = UsageWatch(target)
        self._link: Link | None = None
        self._calls_on_link = 0
        self._begun = 0.0
        self._until = 0.0
        self._share = 0.0
        """Of the plan, that phases have had."""
        self._phase = ""
        self._recent: list[Case] = []
        self._since_calm: list[Case] = []
        """Cases since the target was known to do nothing when there is nothing to do."""
        self._known: dict[tuple[str, ...], list[Shape]] = {}
        self._seen: dict[str, set[tuple[object, ...]]] = {}
        self._calm_at = 0.0
        self._searches = 0
        self._is_kept_busy = False
        """It was found out what keeps the target busy."""
        self._canary: Profile | None = None
        self._told = 0.0
        self._gone = False
        self._one_at_a_time = False
        self._is_alone = False
        self._beside: Thread | None = None
        """Carries out cases beside those of the phases; nothing is made sure of before it has ended."""
        """Calls are made one by one, since they hang together."""
        self._tries_together = 0
        self._before: deque[Case] = deque(maxlen=MOST_BEFORE)
        """The last cases that the target has had, since it was begun."""
        self._looks_back = 0
        self._has_counted = False
        """It was looked how many connections the target serves."""
        self._stopped: set[str] = set()
        """Methods whose ordinary calls were found to be answered no more."""
        self._changed_before: set[str] = set()
        """Methods that only read, whose answers the calls of others have changed."""
        self._lag = 0.0
        """Seconds that a target which answers is watched, whether it ends."""
        self._recorder = Recorder()

    def _first_contact(self) -> None:
        until = time.monotonic() + COME_BACK
        while True:
            try:
                with self.target.link(CANARY_TIMEOUT) as link:
                    link.pump(time.monotonic() + 0.2)
                return
            except OSError as error:
                if time.monotonic() > until:
                    raise ConnectError(f"{self.target.describe()}: {error}") from None
                time.sleep(0.1)

    def _ask(self, profile: Profile, timeout: float = 0.0) -> Answer | None:
        """An ordinary call on a fresh connection; None if it was not answered."""
        deadline = timeout or self.options.deadline
        try:
            with self.target.link(CANARY_TIMEOUT) as link:
                answer = link.call(profile.fields, body_of(Step("message", octets=profile.octets)))
                link.pump(time.monotonic() + deadline + SLACK)
                return answer if answer.ended else None
        except OSError:
            return None

    def _ask_again(self, case: Case) -> Answer | None:
        """How an ordinary call is answered now, for a case that is to be answered like it: others may change it."""
        profile = self.profiles.get(case.method)
        if profile is None or case.expects not in ("same", "follows") or not profile.is_steady:
            return None
        answer = self._ask(profile)
        if answer is not None and answer.code not in BUSY:
            profile.answer = answer
        return answer

    def _count(self, case: Case) -> None:
        report = self.report
        report.cases += 1
        report.phases[self._phase] = report.phases.get(self._phase, 0) + 1
        self._before.append(case)
        profile = self.profiles.get(case.method)
        if profile is not None:
            profile.cases += 1
        if self.options.max_cases and report.cases > self.options.max_cases:
            report.cases -= 1
            raise OutOfTime

    def _connected(self) -> Link | None:
        link = self._link
        if link is not None and not link.closed and link.goaway is None and self._calls_on_link < CALLS_PER_LINK:
            return link
        self._drop_link()
        for _ in range(3):
            try:
                link = self._link = self.target.link(CANARY_TIMEOUT)
            except OSError:
                time.sleep(0.05)
                continue
            self._calls_on_link = 0
            until = time.monotonic() + CANARY_TIMEOUT
            while not link.has_settings and not link.closed and time.monotonic() < until:
                link.turn(0.1)
            return link
        return None

    def _drop_link(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def _run_quietly(self, case: Case) -> Outcome:
        if time.monotonic() > self._until + 20:
            raise OutOfTime
        return run_case(case, self.target, deadline=self.options.deadline)

    def _control(self) -> None:
        """An ordinary call, for comparison."""
        if self._canary is not None:
            self._ask(self._canary)

    def _down(self) -> Observation | None:
        """Whether the target is there and serves a second connection."""
        if self._one_at_a_time:
            self._drop_link()
        if self._answers():
            until = time.monotonic() + self._lag
            while not self.target.has_ended():
                if time.monotonic() >= until:
                    return None
                time.sleep(0.05)
        if self.target.has_ended():
            return Observation("process-ended", self.target.how_it_ended(), ())
        for pause in (0.3, 1.0):
            time.sleep(pause)
            if self.target.has_ended():
                return Observation("process-ended", self.target.how_it_ended(), ())
            if self._answers():
                return None
        return Observation("not-served", "a second, fresh connection is not served", ())

    def _answers(self, timeout: float = CANARY_TIMEOUT) -> bool:
        if self.target.has_ended():
            return False
        profile = self._canary
        try:
            with self.target.link(timeout) as link:
                if profile is not None:
                    answer = link.call(profile.fields, body_of(Step("message", octets=profile.octets)))
                else:
                    answer = link.call(self.planner.fields("/puregrpc.fuzz.Canary/Call"), b"\0\0\0\0\0")
                link.pump(time.monotonic() + timeout)
                return answer.ended and answer.code != 4
        except OSError:
            return False

    def _observe(self, case: Case, outcome: Outcome) -> list[Observation]:
        """What is wrong with the outcome of a case that was carried out alone."""
        found: list[Observation] = []
        fields_of = {step.stream: step.fields for step in case.steps if step.kind in ("open", "burst")}
        is_put = all(answer.code == 0 for number, answer in outcome.answers.items() if number != outcome.last)
        for number, answer in outcome.answers.items():
            is_last = number == outcome.last
            if not answer.ended and outcome.closed:
                continue
            paths = (value.decode("latin-1") for name, value in fields_of.get(number, ()) if name == b":path")
            path = next((each for each in paths if each in self.profiles), case.method)
            if (is_last and (is_put or case.expects != "stored")) or (answer.ended and not is_last):
                found += self.judge.judge(case, answer, self.profiles.get(path), is_last=is_last)
        if case.expects in COMPARED:
            found += COMPARED[case.expects](case, outcome)
        found += [violation(text) for text in outcome.violations[:2]]
        last = outcome.answers.get(outcome.last)
        if last is not None and last.ended and _tells_another(case, last):
            text = f"{case.about}: it is told what the other caller has said"
            found.append(Observation("state", text, (case.about,), "", "CWE-488"))
        unanswered = last is None or not last.ended
        if outcome.closed or outcome.refused or unanswered or self.target.has_ended():
            if outcome.closed:
                time.sleep(0.01)
            down = self._down()
            if down is not None:
                return [down]
        is_too_much = outcome.goaway == ENHANCE_YOUR_CALM  # as a server may find
        if (
            outcome.closed
            and unanswered
            and not is_too_much
            and case.expects in ("answer", "same", "follows", "alike")
            and not found
        ):
            found.append(
                Observation(
                    "protocol-violation",
                    f"{case.about}: a request that is valid gets no answer; {outcome.closed}",
                    ("closed",),
                )
            )  # fmt: skip
        if last is not None and last.code in (8, 14) and case.expects == "follows" and not found:
            found += self._exhausted(case, last)
        if case.expects == "same" and unanswered and not outcome.closed and not found:
            found.append(Observation("hang", f"{case.about}: no answer", ()))
        return found

    def _exhausted(self, case: Case, answer: Answer) -> list[Observation]:
        """Whether a server that says it has no room says so still when there is nothing to do."""
        profile = self.profiles.get(case.method)
        if profile is None or not profile.is_steady or profile.answer is None or profile.answer.code == answer.code:
            return []
        for pause in (0.5, 1.5):
            time.sleep(pause)
            again = self._ask(profile)
            if again is None or again.code != answer.code:
                return []
        return [Observation("state", f"{case.about}: {answer.summary()}, and no more calls are served", ("exhausted",))]

    def _revive(self) -> bool:
        """Have the target serve again: by a restart, or by waiting for whoever does that."""
        self._drop_link()
        self._watch.reset()
        self._before.clear()
        if self.target.can_restart:
            try:
                self.target.restart()
            except ConnectError as error:
                self._tell(str(error))
                return False
            return True
        until = time.monotonic() + COME_BACK
        while time.monotonic() < until:
            if self._answers(1.0):
                return True
            time.sleep(0.2)
        return False

    def _tell(self, text: str) -> None:
        if text not in self.report.notes:
            self.report.notes.append(text)
            self.emit(Note(text))


def _tells_another(case: Case, last: Answer) -> bool:
    """Whether the last call of a case is told what only another call of it has sent."""
    texts = {step.stream: step.octets for step in case.steps if MARK in step.octets}
    senders = [step for step in case.steps if step.kind == "open"]
    marked = [step.stream in texts or any(value == MARK for _, value in step.fields) for step in senders]
    if not marked or marked[-1] or not any(marked):
        return False
    return MARK in last.body or any(MARK in value for _, value in (*(last.headers or ()), *(last.trailers or ())))


def _answered(methods: Sequence[MethodDescriptor]) -> tuple[str, ...]:
    """The names of the fields of what methods answer with, and of the messages in that."""
    names: dict[str, None] = {}
    for method in methods:
        for each in method.output_type.fields:
            names[each.name] = None
            within = each.message_type.fields if each.message_type is not None and not each.is_map else ()
            names.update(dict.fromkeys(inner.name for inner in within))
    return tuple(names)[:MOST_NAMES]
