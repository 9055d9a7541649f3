"""What of what was seen is true: seen again alone, made smaller, and told once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from puregrpc.fuzz.cases.case import Case, Step
from puregrpc.fuzz.checks.words import Observation, Profile, signature
from puregrpc.fuzz.connection.running import body_of, is_simple, run_case
from puregrpc.fuzz.engine.findings import Finding, Found, finding_of
from puregrpc.fuzz.engine.watching import CANARY_TIMEOUT, DOWN, OutOfTime, Watching
from puregrpc.fuzz.phases.together import as_sent
from puregrpc.fuzz.values.choices import Choices, shrink
from puregrpc.fuzz.values.shapes import Shape, covers, shape_of
from puregrpc.trace import Recorder

__all__ = ["REPEATS", "SLOW_START", "Proving", "followed"]

MOST_SHRINK = 100
REPEAT_SECONDS = 5.0
REPEAT_SHARE = 0.15
"""Of the time of a run, or so many seconds: how long what does not show each time is tried again."""
MOST_RESTARTS = 15
"""Restarts of the target to make one finding smaller."""
SHRINK_SECONDS = 12.0
SOON = 1.5
"""Seconds in which a target that stands serves an ordinary call, where it is not what counts."""
MOST_SAME = 4
"""So many findings of one kind a method has at most; they differ in the shapes of their cases."""
REPEATS = 2
MOST_TOGETHER = 4
"""Attempts to find calls that hang together."""
SLOW_START = 3.0
"""A target that takes longer is not restarted to repeat what does not end it."""
BY_LEVEL = ("process-ended", "not-served", "hang", "state", "memory", "cpu")
"""Checks whose findings at other levels are others."""
MOST_LOOKS_BACK = 2
LONGEST_LOOK = 20.0
"""Seconds beyond the end of a run."""
LAG = 1.5
"""Seconds that a target may take to end behind a case that it answers all the same."""
CONNECTIONS_SECONDS = 8.0
CONNECTIONS_MORE = 3
LAST = (8, 128)
"""So many of the last cases are looked at first."""
MOST_RECORDED = 256 << 10
"""Octets of a conversation that is kept with its finding."""


class Proving(Watching):
    """Makes findings of observations."""

    def _not_served(self, suspects: list[Case], seen: Observation | None = None) -> None:
        """Find the case that the server did not stand, and have it back."""
        self._drop_link()
        self._recent = []
        before = list(self._before)
        down = seen or self._down()
        if down is None:
            return
        if not self._revive():
            case = suspects[0] if suspects else Case("frame", "", (), "any", "the run")
            finding = self._new(case, down)
            finding.note = "the target did not come back, so this was not repeated; it is one of the last calls before"
            self._publish(finding)
            self._gone = True
            raise OutOfTime
        culprits = self._first_down(suspects) if len(suspects) > 2 else suspects
        while len(culprits) > 1:
            half = culprits[: len(culprits) // 2]
            if self._brings_down(half):
                culprits = half
            else:
                culprits = culprits[len(culprits) // 2 :]
        if culprits:
            self._examine(culprits[0], down, before)

    def _first_down(self, suspects: list[Case]) -> list[Case]:
        """The case at which the target is down, or it and the one before it; all where that shows later."""
        for at, case in enumerate(suspects):
            outcome = run_case(case, self.target, deadline=min(self.options.deadline, 1.0))
            is_suspect = bool(outcome.refused) or any(not answer.ended for answer in outcome.answers.values())
            if self.target.has_ended() or (is_suspect and self._down_by_now() is not None):
                if not self._revive():
                    self._gone = True
                    raise OutOfTime
                # Who has ended may have done so of the one before.
                return [case] if is_suspect and not outcome.refused else suspects[max(at - 1, 0) : at + 1]
        self._revive()
        return suspects

    def _down_by_now(self) -> Observation | None:
        """As `_down`, with less patience: what comes of it is looked at again."""
        if not self.target.has_ended() and any(self._answers(SOON) for _ in range(2)):
            return None
        if self.target.has_ended():
            return Observation("process-ended", self.target.how_it_ended(), ())
        return Observation("not-served", "a second, fresh connection is not served", ())

    def _look_back(self, suspects: list[Case], seen: Observation) -> None:
        """Find the case that the server did not stand where it ended a while behind it, when others came already."""
        if self._looks_back >= MOST_LOOKS_BACK or not self.target.can_restart or self.target.start_seconds > SLOW_START:
            return
        self._looks_back += 1
        self._lag = LAG
        try:
            for count in (*(each for each in LAST if each < len(suspects)), len(suspects)):
                culprits = suspects[-count:]
                if not culprits or not self._brings_down(culprits):
                    continue
                while len(culprits) > 1 and time.monotonic() < self._until + LONGEST_LOOK:
                    half = culprits[: len(culprits) // 2]
                    culprits = half if self._brings_down(half) else culprits[len(culprits) // 2 :]
                if len(culprits) == 1:
                    self._examine(culprits[0], seen)
                return
        finally:
            self._lag = 0.0

    def _count_connections(self) -> None:
        """Whether the target serves so many connections only, one after the other."""
        profile = self._canary
        if self._has_counted or profile is None or not self.target.can_restart or not self._revive():
            return
        self._has_counted = True
        until = time.monotonic() + CONNECTIONS_SECONDS
        count = 0
        seen: Observation | None = None
        while seen is None:
            if time.monotonic() > until:
                return
            count += 1
            if self._ask(profile, SOON) is None:
                # Who is about to end takes a moment.
                seen = self._down()
        if not self._revive():
            return
        steps: list[Step] = []
        for number in range(count + CONNECTIONS_MORE):
            call = (Step("open", number, profile.fields), Step("message", number, octets=profile.octets, end=True))
            steps += [Step("connect"), *call, Step("wait", number, until="end")]
        about = f"{count} connections, one after the other, each with an ordinary call"
        case = Case("sequence", profile.path, tuple(steps), "any", about, "CWE-772")
        self._examine(case, replace(seen, summary=f"{about}: {seen.summary}"))

    def _hang_not_alone(self, batch: list[Case]) -> bool:
        """Whether calls that hang do so only when they are under way at once; then they are not from then on.

        In a target that cannot be begun again nobody can tell.
        """
        if self._tries_together >= MOST_TOGETHER or not self.target.can_restart or self.target.has_ended():
            return False
        if self.target.start_seconds > SLOW_START or not self._revive():
            return False
        self._tries_together += 1
        for case in batch:
            outcome = run_case(case, self.target, deadline=min(self.options.deadline, 1.0))
            if self.target.has_ended() or any(not answer.ended for answer in outcome.answers.values()):
                self._revive()
                return False
        case = as_sent([(each.steps[0].fields, body_of(each.steps[1])) for each in batch], batch[0].method)
        known = len(self.report.findings)
        outcome = run_case(case, self.target, deadline=self.options.deadline)
        for seen in self._observe(case, outcome):
            if seen.check in (*DOWN, "hang"):
                self._examine(case, replace(seen, summary=f"{case.about}: {seen.summary}"))
                self._is_alone = len(self.report.findings) > known
                break
        self._revive()
        return True

    def _is_stuck(self, unanswered: list[Case]) -> bool:
        """Whether a method has stopped to answer ordinary calls, and what did it."""
        profile = self.profiles.get(unanswered[0].method)
        if self._link is None or self._link.closed:
            return False
        return self._has_stopped(profile) and self._stuck_behind(profile)

    def _has_stopped(self, profile: Profile | None) -> bool:
        """Whether ordinary calls of a method are not answered any more."""
        if profile is None or not profile.is_steady or not self.target.can_restart:
            return False
        for _ in range(2):
            answer = self._ask(profile)
            if answer is not None and answer.code not in (None, 4):
                return False
        return True

    def _stuck_behind(self, profile: Profile | None) -> bool:
        """Find the call behind which ordinary calls of a method are not answered, among the last; False without one."""
        suspects = [case for case in self._recent if is_simple(case) and not self._is_muted(case)]
        if profile is None or not profile.ends or not self.target.can_restart or not self._revive():
            return False
        self._recent = []
        deadline = min(self.options.deadline, max(8 * profile.seconds, 0.5))
        for case in suspects:
            if time.monotonic() > self._until + 5:
                return False
            behind = followed(case, profile)
            outcome = run_case(behind, self.target, deadline=deadline)
            first, last = outcome.answers.get(0), outcome.answers.get(1)
            known = len(self.report.findings)
            if first is not None and not first.ended and not outcome.closed:
                self._examine(case, self._down_by_now() or Observation("hang", f"{case.about}: no answer", ()))
                return len(self.report.findings) > known
            if last is not None and last.code in (None, 4) and not outcome.closed:
                self._examine(behind, Observation("hang", f"{behind.about}: no answer", ("behind",)))
                return len(self.report.findings) > known or not self._down()
            if self.target.has_ended():
                return False
        return False

    def _brings_down(self, cases: list[Case]) -> bool:
        for case in cases:
            outcome = run_case(case, self.target, deadline=min(self.options.deadline, 1.0))
            if self.target.has_ended() or any(not answer.ended for answer in outcome.answers.values()):
                break
        time.sleep(0.05)
        is_down = self._down() is not None
        if is_down and not self._revive():
            self._gone = True
            raise OutOfTime
        return is_down

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

    def _examine(self, case: Case, seen: Observation, before: list[Case] | None = None) -> None:
        """Whether it is so: again alone, then made smaller, then a finding.

        ``before`` are the cases that the target had when it was down, those of now if not given.
        """
        before = list(self._before) if before is None else before
        prefix = (seen.check, case.level if seen.check in BY_LEVEL else "", case.method, *seen.key)
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
        has_stopped = seen.check == "hang" and self._has_stopped(profile)
        repeats = self._repeat(case, seen)
        if not repeats:
            if self._gone:
                raise OutOfTime
            if seen.check in DOWN:
                known_by_now = len(self.report.findings)
                self._look_back(before, seen)
                if len(self.report.findings) == known_by_now:
                    self._count_connections()
            elif has_stopped:
                self._stuck_behind(profile)
            elif seen.check == "internal-status" and is_simple(case) and self.target.can_restart:
                self._examine(twice(case), seen)
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
        if seen.is_repeated:
            return REPEATS
        if self._beside is not None:
            self._beside.join()
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
        begun = time.monotonic()
        until = min(begun + max(REPEAT_SECONDS, self.options.time * REPEAT_SHARE), max(self._until, begun) + 5)
        # What depends on the moment at which something is cancelled does not show each time.
        tries = REPEATS * 2 if case.level == "sequence" else REPEATS
        for number in range(3 * tries if case.calls > 100 else tries):
            if number >= REPEATS and time.monotonic() > until:
                return 0
            if (
                seen.check in ("hang", "state")
                and not self._control_is_quick(case)
                and not (self.target.can_restart and self._revive() and self._control_is_quick(case))
            ):
                return shown
            if seen.check == "state" and number and self.target.can_restart and not self._revive():
                return self._unrepeated(case, seen)
            if self._persists(case, seen) or self._shows(case, seen):
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
        return 0

    def _persists(self, case: Case, seen: Observation) -> bool:
        """Whether the state that a case has left is there still, in a target that cannot be begun again.

        Where it is not, the case is to be answered as an ordinary call is now.
        """
        profile = self.profiles.get(case.method)
        before = profile.signature if profile is not None else None
        if seen.check != "state" or self.target.can_restart:
            self._ask_again(case)
            return False
        answer = self._ask_again(case)
        if answer is None or profile is None or signature(answer) == before:
            return False
        return case.expects == "follows"

    def _unrepeated(self, case: Case, seen: Observation) -> int:
        down = self._down()
        finding = self._new(case, down or seen)
        finding.note = "the target did not come back, so this was not repeated"
        self._publish(finding)
        self._gone = True
        raise OutOfTime

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
        found = self._observe(case, outcome)
        if not found and seen.check in DOWN:
            down = self._down()
            found = [down] if down is not None else []
        for each in found:
            if (each.check in DOWN and seen.check in DOWN) or (
                each.check == seen.check
                and (
                    each.key == seen.key
                    or seen.key == ("behind",)
                    or seen.check in ("bad-reply", "property", "leak-of-internals")
                )
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


def twice(case: Case) -> Case:
    """The same call two times, one after the other."""
    again = tuple(replace(step, stream=1) for step in case.steps)
    steps = (*case.steps, Step("wait", 0, until="end"), *again, Step("wait", 1, until="end"))
    return Case("sequence", case.method, steps, "answer", f"the same call twice ({case.about})")


def followed(case: Case, profile: Profile) -> Case:
    """A call with an ordinary one behind it, which is to be answered as ever."""
    steps = (
        *case.steps, Step("wait", 0, until="end"),
        Step("open", 1, profile.fields), Step("message", 1, octets=profile.octets, end=True),
        Step("wait", 1, until="end"),
    )  # fmt: skip
    about = f"an ordinary call of {profile.method.name} behind one of {case.method.rpartition('/')[2]} ({case.about})"
    return Case("sequence", profile.path, steps, "follows", about)
