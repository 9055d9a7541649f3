"""The run: phases and their shares of the time, batches, what is seen in them, and what of it is true.

What is seen in a batch is only a reason to look closer: it counts when the case has shown it again, alone, on fresh
connections (and in a fresh process where the fuzzer can start one), and ordinary calls are answered before it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from puregrpc.errors import ConnectError, InvalidArgument
from puregrpc.fuzz.answer import Answer
from puregrpc.fuzz.case import Case, Step
from puregrpc.fuzz.checks import INTERNAL, Judge, Observation, Profile, UserCheck, normal_text, signature
from puregrpc.fuzz.choices import Choices, shrink
from puregrpc.fuzz.findings import Event, Finding, Found, Note, Progress, Report, finding_of
from puregrpc.fuzz.generate import Generator
from puregrpc.fuzz.link import Link
from puregrpc.fuzz.phases import Planner, in_turn
from puregrpc.fuzz.probe import Fields
from puregrpc.fuzz.running import SLACK, Outcome, body_of, is_simple, run_case
from puregrpc.fuzz.shapes import Shape, covers, learn, shape_of
from puregrpc.fuzz.target import Target
from puregrpc.fuzz.usage import UsageWatch
from puregrpc.fuzz.values import Dictionary
from puregrpc.proto.descriptors import MethodDescriptor
from puregrpc.schema import Registry
from puregrpc.trace import Recorder

__all__ = ["LEVELS", "Fuzzer", "Options", "is_destructive"]

LEVELS = ("schema", "sequence", "header", "frame")
FLIGHT = 8
"""How many calls of a batch are under way at once."""
CALLS_PER_LINK = 2000
LOOK_EVERY = 128
"""After so many cases a second connection is tried, and memory looked at."""
CANARY_TIMEOUT = 3.0
COME_BACK = 5.0
"""Seconds that a server which nobody here starts may take to come back."""
MOST_SHRINK = 100
MOST_RESTARTS = 15
"""Restarts of the target to make one finding smaller."""
SHRINK_SECONDS = 12.0
MOST_SAME = 4
"""So many findings of one kind a method has at most; they differ in the shapes of their cases."""
REPEATS = 2
SLOW_START = 3.0
"""A target that takes longer is not restarted to repeat what does not end it."""
DESTRUCTIVE = (
    "delete", "remove", "drop", "destroy", "purge", "truncate", "wipe", "reset", "shutdown", "terminate", "kill",
    "revoke", "erase", "uninstall", "cancel", "stop", "format", "reboot", "restart", "disable", "transfer", "pay",
    "charge", "refund",
)  # fmt: skip
MOST_RECORDED = 256 << 10
"""Octets of a conversation that is kept with its finding."""
DOWN = {"process-ended", "not-served"}


def is_destructive(name: str) -> bool:
    """Whether a method's name says that it may do harm."""
    words = "".join(f" {c.lower()}" if c.isupper() else c for c in name).replace("_", " ").split()
    return any(word in DESTRUCTIVE for word in words[:2])


@dataclass(slots=True)
class Options:
    """How a run goes. Times are seconds; 0 cases or calls a second are no limit."""

    levels: tuple[str, ...] = LEVELS
    time: float = 60.0
    max_cases: int = 0
    seed: int = 0
    rate: float = 0.0
    deadline: float = 2.0
    authority: str = "localhost"
    scheme: str = "http"
    metadata: Fields = ()
    credentials: Fields = ()
    checks: tuple[UserCheck, ...] = ()
    dictionary: tuple[str, ...] = ()


class _OutOfTime(Exception):  # noqa: N818 - control flow
    """The run is over."""


class Fuzzer:
    """One run against one target. ``emit`` is told what happens, in the same thread."""

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
        self._phase = ""
        self._recent: list[Case] = []
        self._known: dict[tuple[str, ...], list[Shape]] = {}
        self._seen: dict[str, set[tuple[object, ...]]] = {}
        self._canary: Profile | None = None
        self._told = 0.0
        self._gone = False
        self._recorder = Recorder()

    # -- the run

    def run(self) -> Report:
        """Do it all. Raises ConnectError if the target does not answer to begin with."""
        self._begun = time.monotonic()
        self._until = self._begun + self.options.time
        levels = self.options.levels
        profiles = list(self.profiles.values())
        try:
            self._first_contact()
            self._baselines()
            self._drive("corpus", iter(self.corpus), 0.2)
            usable = [each for each in profiles if each.fields]
            ending = [each for each in usable if each.ends]
            planner = self.planner
            if "header" in levels:
                self._auth(usable)
                self._drive("paths", in_turn([_some(planner.headers(each), 33) for each in ending]), 0.12)
            boundaries = in_turn([planner.boundaries(each) for each in ending], 16) if "schema" in levels else iter(())
            self._drive("boundaries", boundaries, 0.35)
            if "sequence" in levels:
                self._drive("sequences", in_turn([planner.sequences(each) for each in usable], 4), 0.5)
            if "schema" in levels:
                self.judge.replies_are_whole = False
                self._drive("damage", in_turn([planner.damage(each) for each in ending], 16), 0.56)
            if "header" in levels:
                self._drive("headers", in_turn([planner.headers(each) for each in ending]), 0.62)
            if "frame" in levels:
                steady = sorted((each for each in ending if each.is_steady), key=lambda each: each.seconds)[:3]
                self._drive("forms", in_turn([planner.forms(each) for each in steady], 4), 0.66)
                self._limits(ending)
            self._watch_leaks(ending)
            if "frame" in levels:
                self._drive("floods", planner.floods(), 0.86)
            self._drive("boundaries", boundaries, 0.93)
            if "schema" in levels:
                self._drive("pairs", in_turn([planner.pairs(each) for each in ending]), 0.97)
            self._drive("random", self._forever(ending), 1.0)
        except _OutOfTime:
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
        parts: list[Iterator[Case]] = []
        if "schema" in levels:
            parts += [self.planner.random_cases(each) for each in profiles]
        if "frame" in levels and profiles:
            parts.append(self.planner.mutations(profiles))
        return in_turn(parts, 16)

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

    def _baselines(self) -> None:
        """How each method answers ordinary calls, and which of them serves as the canary."""
        self._phase = "examples"
        for profile in self.profiles.values():
            self._baseline(profile)
        time.sleep(min(1.05, self.options.time / 20))
        for profile in self.profiles.values():
            if profile.is_steady:
                again = self._ask(profile)
                profile.is_steady = again is not None and signature(again) == profile.signature
        ready = [each for each in self.profiles.values() if each.fields and each.ends and each.answer is not None]
        ready.sort(key=lambda each: (each.answer is None or each.answer.code in INTERNAL, each.method.is_client_stream,
                                     each.method.is_server_stream, each.seconds))  # fmt: skip
        self._canary = ready[0] if ready else None
        self._watch.control = self._control

    def _baseline(self, profile: Profile) -> None:
        profile.fields = self.planner.fields(profile.path)
        best: Case | None = None
        for case in self.planner.examples(profile):
            outcome = run_case(case, self.target, deadline=self.options.deadline)
            self._count(case)
            answer = outcome.answers.get(0)
            found = self._observe(case, outcome)
            for observation in found:
                self._examine(case, observation)
            if self._gone:
                raise _OutOfTime
            if answer is None or not answer.ended or any(each.check in DOWN for each in found):
                continue
            if (
                profile.answer is None
                or (answer.code == 0 and profile.answer.code != 0)
                or profile.answer.code in INTERNAL
            ):
                best, profile.answer = case, answer
        if best is None:
            profile.ends = False
            profile.octets = self.generator.message(profile.method.input_type, Choices())
            return
        profile.octets = best.messages[0]
        answers = [self._ask(profile) for _ in range(3)]
        ended = [each for each in answers if each is not None and each.ended]
        profile.ordinary_codes = {each.code for each in ended} | {profile.answer.code if profile.answer else None}
        profile.ends = len(ended) == 3 and all(each.code != 4 for each in ended)
        profile.seconds = max((each.seconds for each in ended), default=0.0)
        profile.is_steady = profile.ends and all(signature(each) == profile.signature for each in ended)

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

    # -- driving cases

    def _drive(self, phase: str, cases: Iterator[Case], share: float) -> None:
        """Send the cases of a phase until they, or its share of the time, are used up."""
        self._phase = phase
        until = self._begun + self.options.time * share
        if time.monotonic() > until:
            return
        batch: list[Case] = []
        for case in cases:
            if self._is_muted(case):
                continue
            if is_simple(case):
                batch.append(case)
                if len(batch) < FLIGHT:
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

    def _count(self, case: Case) -> None:
        report = self.report
        report.cases += 1
        report.phases[self._phase] = report.phases.get(self._phase, 0) + 1
        profile = self.profiles.get(case.method)
        if profile is not None:
            profile.cases += 1
        if self.options.max_cases and report.cases > self.options.max_cases:
            report.cases -= 1
            raise _OutOfTime

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
            if down is not None:
                self._not_served(again, down)
            else:
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
        outcome = run_case(case, self.target, deadline=self.options.deadline)
        for observation in self._observe(case, outcome):
            self._examine(case, observation)
        if len(self._recent) >= LOOK_EVERY:
            self._look()

    def _learn(self, case: Case, answer: Answer, profile: Profile) -> None:
        code = -1 if answer.code is None else answer.code
        profile.codes[code] = profile.codes.get(code, 0) + 1
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

    # -- looking

    def _look(self) -> None:
        """Try a second connection, and look at memory and processor time."""
        recent, self._recent = self._recent, []
        down = self._down()
        if down is not None:
            self._not_served(recent, down)
            return
        if recent and self._watch.is_possible:
            self._usage(recent)

    def _usage(self, recent: list[Case]) -> None:
        suspicion = self._watch.look(sum(case.octets for case in recent), len(recent))
        if suspicion is None:
            return
        for case, observation in self._watch.search(recent, suspicion, lambda case: self._run_quietly(case)):
            self._examine(case, observation)
            break
        self._watch.reset()

    def _run_quietly(self, case: Case) -> Outcome:
        if time.monotonic() > self._until + 20:
            raise _OutOfTime
        return run_case(case, self.target, deadline=self.options.deadline)

    def _control(self) -> None:
        """An ordinary call, for comparison."""
        if self._canary is not None:
            self._ask(self._canary)

    def _down(self) -> Observation | None:
        """Whether the target is there and serves a second connection."""
        if self._answers():
            return None
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
        profile = self.profiles.get(case.method)
        for number, answer in outcome.answers.items():
            is_last = number == outcome.last
            if not answer.ended and outcome.closed:
                continue
            if is_last or answer.ended:
                found += self.judge.judge(case, answer, profile, is_last=is_last)
        found += [Observation("protocol-violation", text, (text,), "", "RFC 9113") for text in outcome.violations[:2]]
        last = outcome.answers.get(outcome.last)
        unanswered = last is None or not last.ended
        if outcome.closed or outcome.refused or unanswered or self.target.has_ended():
            if outcome.closed:
                time.sleep(0.01)
            down = self._down()
            if down is not None:
                return [down]
        if outcome.closed and unanswered and case.expects in ("answer", "same", "follows") and not found:
            found.append(
                Observation(
                    "protocol-violation",
                    f"{case.about}: a request that is valid gets no answer; {outcome.closed}",
                    ("closed",),
                )
            )  # fmt: skip
        if case.expects == "same" and unanswered and not outcome.closed and not found:
            found.append(Observation("hang", f"{case.about}: no answer", ()))
        return found

    # -- the server is gone

    def _not_served(self, suspects: list[Case], seen: Observation | None = None) -> None:
        """Find the case that the server did not stand, and have it back."""
        self._drop_link()
        self._recent = []
        down = seen or self._down()
        if down is None:
            return
        if not self._revive():
            case = suspects[0] if suspects else Case("frame", "", (), "any", "the run")
            finding = self._new(case, down)
            finding.note = "the target did not come back, so this was not repeated; it is one of the last calls before"
            self._publish(finding)
            self._gone = True
            raise _OutOfTime
        culprits = suspects
        while len(culprits) > 1:
            half = culprits[: len(culprits) // 2]
            if self._brings_down(half):
                culprits = half
            else:
                culprits = culprits[len(culprits) // 2 :]
        if culprits:
            self._examine(culprits[0], down)

    def _brings_down(self, cases: list[Case]) -> bool:
        for case in cases:
            run_case(case, self.target, deadline=min(self.options.deadline, 1.0))
            if self.target.has_ended():
                break
        time.sleep(0.05)
        is_down = self._down() is not None
        if is_down and not self._revive():
            self._gone = True
            raise _OutOfTime
        return is_down

    def _revive(self) -> bool:
        """Have the target serve again: by a restart, or by waiting for whoever does that."""
        self._drop_link()
        self._watch.reset()
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

    # -- what is true

    def _is_muted(self, case: Case) -> bool:
        profile = self.profiles.get(case.method)
        if profile is None or not (profile.is_muted or profile.muted) or case.level not in ("schema", "sequence"):
            return False
        if profile.is_muted:
            return True
        messages = case.messages
        if len(messages) != 1:
            return False
        shape = shape_of(profile.method.input_type, messages[0])
        return any(covers(muted, shape) if muted else not shape for muted in profile.muted)

    def _examine(self, case: Case, seen: Observation) -> None:
        """Whether it is so: again alone, then made smaller, then a finding."""
        prefix = (seen.check, case.level if case.level != "schema" else "", case.method, *seen.key)
        profile = self.profiles.get(case.method)
        shape = self._shape(case)
        known = self._known.setdefault(prefix, [])
        if len(known) >= MOST_SAME or any(covers(each, shape) for each in known):
            return
        if case.level == "sequence" and any(
            each.method == case.method
            and each.level == case.level
            and {each.check, seen.check} <= {"hang", "state", "not-served"}
            for each in self.report.findings
        ):
            return
        if (
            case.level != "schema"
            and sum(
                f.check == seen.check and f.level == case.level and f.method == case.method
                for f in self.report.findings
            )
            >= 3
        ):
            return
        if sum(f.check == seen.check and f.method == case.method for f in self.report.findings) >= 8:
            return
        repeats = self._repeat(case, seen)
        if not repeats:
            if self._gone:
                raise _OutOfTime
            known.append(shape) if len(known) < MOST_SAME and seen.check in ("memory", "cpu") else None
            return
        smallest, observation = self._smaller(case, seen)
        shape = self._shape(smallest)
        if any(covers(each, shape) for each in known):
            return
        known.append(shape)
        if seen.check in DOWN or seen.check in ("hang", "memory", "cpu"):
            self._mute(profile, smallest, shape)
        finding = self._new(smallest, observation)
        finding.repeats = repeats
        self._publish(finding)

    def _shape(self, case: Case) -> Shape:
        profile = self.profiles.get(case.method)
        if profile is None or case.level != "schema" or len(case.messages) != 1:
            return frozenset()
        return shape_of(profile.method.input_type, case.messages[0])

    def _mute(self, profile: Profile | None, case: Case, shape: Shape) -> None:
        if profile is None:
            return
        if case.level == "schema":
            profile.muted.append(shape)
            if len(profile.muted) >= 5:
                profile.is_muted = True

    def _repeat(self, case: Case, seen: Observation) -> int:
        """How often it is seen again; 0 if not each time."""
        if seen.check in ("memory", "cpu", "limit-exceeded") or seen.key == ("beside",):
            return REPEATS  # what measures these has repeated them
        self._drop_link()
        if seen.check in DOWN or seen.check == "hang" or (
            self.target.can_restart
            and self.target.start_seconds < SLOW_START
            and seen.check in ("state", "internal-status")
            and self.target.starts < 20
        ):  # fmt: skip
            if seen.check in DOWN or self.target.can_restart:
                if not self._revive():
                    return self._unrepeated(case, seen)
            elif not self._answers(max(self.options.deadline, CANARY_TIMEOUT)):
                return self._unrepeated(case, seen)
        shown = 0
        # What depends on the moment at which something is cancelled does not show each time.
        for number in range(REPEATS * 2 if case.level == "sequence" else REPEATS):
            if (
                seen.check in ("hang", "state")
                and not self._control_is_quick(case)
                and not (self.target.can_restart and self._revive() and self._control_is_quick(case))
            ):
                return shown
            if self._shows(case, seen):
                shown += 1
            elif case.level != "sequence":
                return 0
            if seen.check in DOWN:
                if not self._revive():
                    return self._unrepeated(case, seen)
                if shown:
                    return 1
            if shown >= REPEATS:
                return shown
            del number
        return 0

    def _unrepeated(self, case: Case, seen: Observation) -> int:
        down = self._down()
        finding = self._new(case, down or seen)
        finding.note = "the target did not come back, so this was not repeated"
        self._publish(finding)
        self._gone = True
        raise _OutOfTime

    def _control_is_quick(self, case: Case) -> bool:
        profile = self.profiles.get(case.method) or self._canary
        if profile is None or not profile.ends:
            profile = self._canary
        if profile is None:
            return True
        answer = self._ask(profile, 2 * self.options.deadline)
        return answer is not None and answer.seconds < self.options.deadline / 2

    def _shows(self, case: Case, seen: Observation) -> Observation | None:
        """Carry a case out again; what it shows of the same kind."""
        recorder = Recorder(start_time=time.time())
        outcome = run_case(case, self.target, deadline=self.options.deadline, recorder=recorder)
        for each in self._observe(case, outcome):
            if (each.check in DOWN and seen.check in DOWN) or (
                each.check == seen.check
                and (each.key == seen.key or seen.check in ("bad-reply", "property", "leak-of-internals"))
            ):
                self._recorder = recorder
                return each
        return None

    def _smaller(self, case: Case, seen: Observation) -> tuple[Case, Observation]:
        """The smallest case found that shows the same, and what it shows."""
        is_measured = seen.check in ("memory", "cpu")
        if case.maker is None or case.drawn is None:
            if seen.check in DOWN:
                self._revive()
            return case, seen
        until = min(time.monotonic() + SHRINK_SECONDS, self._until + 5)
        starts = self.target.starts
        best = (case, seen)
        is_down = seen.check in DOWN
        if is_down and not self._revive():
            return best
        maker = case.maker

        def fails(drawn: Sequence[int]) -> Choices | None:
            nonlocal best
            if time.monotonic() > until or self.target.starts - starts >= MOST_RESTARTS or self._gone:
                return None
            made, choices = maker(drawn)
            shown = self._watch.confirms(made, seen, self._run_quietly) if is_measured else self._shows(made, seen)
            stuck = is_down or (seen.check == "hang" and self.target.can_restart)
            if shown is not None and stuck and not self._revive():
                self._gone = True
            if shown is None:
                return None
            assert isinstance(choices, Choices)
            best = (made, shown)
            return choices

        found = maker(case.drawn)[1]
        most = MOST_SHRINK if not (seen.check == "hang" and not self.target.can_restart) else 12
        most = min(most, 30) if is_measured else most
        shrink(found, fails, most)
        return best

    def _new(self, case: Case, observation: Observation) -> Finding:
        finding = finding_of(case, observation)
        profile = self.profiles.get(case.method)
        if profile is not None and case.level == "schema":
            names = (self.generator.named(profile.method.input_type, path) for path in self._shape(case))
            finding.shape = tuple(sorted(names))
        return finding

    def _publish(self, finding: Finding) -> None:
        if any(each.id == finding.id for each in self.report.findings):
            return
        if finding.repeats and sum(len(chunk.data) for chunk in self._recorder.chunks) <= MOST_RECORDED:
            finding.evidence["recording"] = self._recorder.recording()
        self.report.findings.append(finding)
        self.emit(Found(finding))

    def _tell(self, text: str) -> None:
        if text not in self.report.notes:
            self.report.notes.append(text)
            self.emit(Note(text))

    # -- by themselves

    def _auth(self, profiles: list[Profile]) -> None:
        """Calls without the credentials, where there are any or calls are refused for want of them."""
        for profile in profiles:
            refused = profile.answer is not None and profile.answer.code in (16, 7)
            if (self.options.credentials and not refused) or (refused and not self.options.credentials):
                if profile.answer is None or not profile.ends:
                    continue
                self._drive("auth", self.planner.auth(profile), 0.2)

    def _limits(self, profiles: list[Profile]) -> None:
        """Whether the limits that the server sets are kept."""
        from puregrpc.fuzz.limits import limit_cases

        self._phase = "limits"
        until = self._begun + self.options.time * 0.8
        if time.monotonic() > until:
            return
        for case, observation in limit_cases(self.target, profiles, self.options.deadline, self._watch):
            self._count(case)
            if observation is not None:
                self._examine(case, observation)
            down = self._down()
            if down is not None:
                self._not_served([case], down)
            if time.monotonic() > until:
                return

    def _flood(self, case: Case) -> None:
        """One probe of the catalogue, with a second client beside it."""
        from puregrpc.fuzz.limits import flood_observation

        observation = flood_observation(case, self.target, self.options.deadline, self._watch, self._answers)
        down = self._down()
        if down is not None:
            self._drop_link()
            self._examine(case, down)
            if self._down() is not None and not self._revive():
                self._gone = True
                raise _OutOfTime
        elif observation is not None:
            self._examine(case, observation)

    def _watch_leaks(self, profiles: list[Profile]) -> None:
        """Ordinary calls again and again: whether memory grows with each."""
        if not self._watch.is_possible:
            return
        self._phase = "leaks"
        for profile in profiles:
            if time.monotonic() > self._begun + self.options.time * 0.8:
                return
            case = self.planner.call(profile, profile.octets, "the same call again and again")
            observation = self._watch.leak(profile.fields, body_of(case.steps[1]), min(self.options.time / 80, 1.0))
            if observation is not None:
                self._examine(case, observation)


def _some(cases: Iterator[Case], count: int) -> Iterator[Case]:
    for _ in range(count):
        case = next(cases, None)
        if case is None:
            return
        yield case
