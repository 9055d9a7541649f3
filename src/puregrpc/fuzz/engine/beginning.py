"""The beginning of a run: how each method answers ordinary calls, and which of them all else is compared with."""

from __future__ import annotations

import time
from dataclasses import replace

from puregrpc.fuzz.cases.answer import Answer
from puregrpc.fuzz.cases.case import Case, Step
from puregrpc.fuzz.checks.words import INTERNAL, REFUSALS, Observation, Profile, normal_text, signature
from puregrpc.fuzz.connection.connecting import LinkOptions
from puregrpc.fuzz.connection.link import Link
from puregrpc.fuzz.connection.running import run_case
from puregrpc.fuzz.engine.aftermath import Aftermath
from puregrpc.fuzz.engine.proving import REPEATS
from puregrpc.fuzz.engine.watching import CANARY_TIMEOUT, DOWN, OutOfTime
from puregrpc.fuzz.phases.ordinary import tries
from puregrpc.fuzz.values.choices import Choices
from puregrpc.fuzz.values.field_values import Scalar
from puregrpc.fuzz.values.fields import with_field
from puregrpc.fuzz.values.shapes import learn
from puregrpc.wire.status import StatusCode

__all__ = ["Beginning"]


SETTLING = 2.0
SETTLING_SHARE = 0.02
"""Seconds, and part of the time, to find a message that a method takes."""
MOST_SETTLED = 5
SETTLED = (*REFUSALS, StatusCode.ABORTED)
"""Statuses of a message that may be taken with other values; a version that is not the present one is aborted."""
MOST_OTHERS, MOST_SWITCHED = 2, 3
MOST_BODY = 2048
"""Octets of an answer that may be asked for many times at once."""


def is_small(answer: Answer) -> bool:
    """Whether it is an answer with OK that costs little."""
    return answer.code == 0 and len(answer.body) <= MOST_BODY


class Beginning(Aftermath):
    """Learns what is ordinary."""

    def _baselines(self) -> None:
        """How each method answers ordinary calls, and which of them serves as the canary."""
        self._phase = "examples"
        unended: list[tuple[Case, Observation]] = []
        for profile in self.profiles.values():
            unended += self._baseline(profile)
        time.sleep(min(1.05, self.options.time / 20))
        for profile in self.profiles.values():
            if profile.is_steady:
                again = self._ask(profile)
                profile.is_steady = again is not None and signature(again) == profile.signature
                profile.first = profile.signature
                self._find_others(profile)
        if any(self._has_stopped(each) for each in self.profiles.values()):
            # What one of these calls has done is to be found among cases, not to be what is ordinary.
            self._revive()
        ready = [each for each in self.profiles.values() if each.fields and each.ends and each.answer is not None]
        ready.sort(key=lambda each: (each.answer is None or each.answer.code in INTERNAL, each.method.is_client_stream,
                                     each.method.is_server_stream, each.seconds))  # fmt: skip
        self._canary = ready[0] if ready else None
        self._second_connection()
        self._watch.control = self._control
        for case, observation in unended:
            method = self.profiles[case.method].method
            # A stream of responses may be one that somebody subscribes to.
            if method.is_client_stream or not method.is_server_stream:
                self._examine(case, observation)
        self.generator.refresh()

    def _find_others(self, profile: Profile) -> None:
        """Other messages that are answered with OK, and each time with the same."""
        found: list[bytes] = []
        more: list[bytes] = []
        known = {profile.signature}
        if profile.is_steady and profile.answer is not None and profile.answer.code == 0:
            for octets in self.planner.candidates(profile):
                other = replace(profile, octets=octets)
                answers = [self._ask(other) for _ in range(2)]
                if any(each is None or each.code in (None, 4) for each in answers):
                    break
                signatures = {signature(each) for each in answers if each is not None and is_small(each)}
                if len(signatures) != 1 or None in answers:
                    continue
                if len(found) < MOST_OTHERS and not signatures & known:
                    found.append(octets)
                    known |= signatures
                else:
                    more.append(octets)
        self.planner.others[profile.path] = found
        self.planner.switched[profile.path] = more[-MOST_SWITCHED:]

    def _settle(self, profile: Profile) -> None:
        """Find a message that a method takes, value by value: a refusal for another reason is a step on the way."""
        descriptor = profile.method.input_type
        until = time.monotonic() + min(SETTLING, self.options.time * SETTLING_SHARE)
        octets, answer = profile.octets, profile.answer
        assert answer is not None
        known = {(answer.code, normal_text(answer.text))}
        settled: dict[str, Scalar] = {}
        while len(settled) < MOST_SETTLED:
            for path, plan, value in tries(self.generator, descriptor, answer.text):
                assert plan.encode is not None
                if plan.field.full_name in settled:
                    continue
                changed = with_field(descriptor, octets, path, plan.tag + plan.encode(value))
                got = self._ask(replace(profile, octets=changed))
                if got is None or got.code in (None, 4) or time.monotonic() > until:
                    return
                if got.code and (got.code not in SETTLED or (got.code, normal_text(got.text)) in known):
                    continue
                settled[plan.field.full_name] = value
                octets, answer = changed, got
                break
            else:
                return
            known.add((answer.code, normal_text(answer.text)))
            if not answer.code:
                self.generator.prefer(settled)
                profile.octets, profile.answer = octets, answer
                return

    def _second_connection(self) -> None:
        """Whether a connection is served beside one that is open and has nothing to do, or has said nothing at all."""
        if self._is_kept_out(self.target.options, is_silent=False):
            self._one_at_a_time = True
            self._kept_out("as long as another is open", "a connection beside one that is open", "second")
        elif self._is_kept_out(self._without_tls(), is_silent=True):
            self._kept_out(
                "as long as another is open that sends nothing", "a connection beside one that sends nothing", "silent"
            )

    def _without_tls(self) -> LinkOptions:
        options = self.target.options
        return LinkOptions(options.host, options.port, path=options.path, server_name=options.server_name)

    def _is_kept_out(self, options: LinkOptions, *, is_silent: bool) -> bool:
        for _ in range(2):
            try:
                link = Link(options, timeout=CANARY_TIMEOUT, raw=is_silent)
            except OSError:
                return False
            with link:
                link.pump(time.monotonic() + (0.05 if is_silent else 0.2), idle=False)
                if self._answers():
                    return False
            if not self._answers():
                return False
        return True

    def _kept_out(self, when: str, about: str, key: str) -> None:
        case = Case("frame", "", (Step("connect"),), "any", about, "RFC 9113, section 9.1")
        seen = Observation("not-served", f"a second connection is not served {when}", (key,))
        finding = self._new(case, seen)
        finding.repeats = REPEATS
        self._publish(finding)

    def _baseline(self, profile: Profile) -> list[tuple[Case, Observation]]:
        """Learn how a method answers ordinary calls; those that have no end, which some methods' never have."""
        unended: list[tuple[Case, Observation]] = []
        profile.fields = self.planner.fields(profile.path)
        best: Case | None = None
        for case in self.planner.examples(profile):
            outcome = run_case(case, self.target, deadline=self.options.deadline)
            self._count(case)
            answer = outcome.answers.get(0)
            found = self._observe(case, outcome)
            for observation in found:
                if observation.check == "hang":
                    # There is nothing to compare it with yet.
                    unended.append((case, observation))
                else:
                    self._examine(case, observation)
            if self._gone:
                raise OutOfTime
            if answer is None or not answer.ended or any(each.check in (*DOWN, "hang") for each in found):
                continue
            if answer.code == 0:
                for _, octets in answer.messages()[0][:4]:
                    learn(self.dictionary, profile.method.output_type, octets)
            if (
                profile.answer is None
                or (answer.code == 0 and profile.answer.code != 0)
                or profile.answer.code in INTERNAL
            ):
                best, profile.answer = case, answer
        if best is None:
            profile.ends = False
            profile.octets = self.generator.message(profile.method.input_type, Choices())
            return unended
        profile.octets = best.messages[0]
        if profile.answer is not None and profile.answer.code in SETTLED:
            self._settle(profile)
        answers = [self._ask(profile) for _ in range(3)]
        ended = [each for each in answers if each is not None and each.ended]
        profile.ordinary_codes = {each.code for each in ended} | {profile.answer.code if profile.answer else None}
        profile.ends = len(ended) == 3 and all(each.code != 4 for each in ended)
        profile.seconds = max((each.seconds for each in ended), default=0.0)
        profile.is_steady = profile.ends and all(signature(each) == profile.signature for each in ended)
        return unended
