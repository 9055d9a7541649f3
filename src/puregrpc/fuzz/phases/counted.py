"""What methods count: their calls, also many at once, and the messages of a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from puregrpc.fuzz.cases.answer import Answer
from puregrpc.fuzz.cases.case import Case, Step
from puregrpc.fuzz.cases.headers import without_deadline
from puregrpc.fuzz.checks.words import Observation, Profile
from puregrpc.fuzz.connection.running import Outcome
from puregrpc.fuzz.frames.probe import message
from puregrpc.fuzz.values.choices import Path
from puregrpc.fuzz.values.field_values import UNSIGNED
from puregrpc.fuzz.values.fields import leaves, raw_value
from puregrpc.fuzz.values.generate import Generator
from puregrpc.proto.descriptors import FieldType

__all__ = ["counted_cases", "miscounted", "miscounted_streams"]

COUNTS = {FieldType.INT32, FieldType.INT64, *UNSIGNED}
BEFORE, BEHIND = 3, 2
"""Calls one after the other, which show by how much each counts."""
AT_ONCE = 20
ROUNDS = 10
LENGTHS = (2, 3, 300)
PATIENCE = 10.0

Ask = Callable[[Profile], "Answer | None"]


def counted_cases(profiles: Sequence[Profile], generator: Generator, ask: Ask) -> Iterator[Case]:
    """Calls at once of methods that count their calls, and streams of methods that may count their messages."""
    for profile in profiles:
        method = profile.method
        if method.is_server_stream or profile.answer is None or profile.answer.code != 0 or not profile.ends:
            continue
        paths = [path for path, plan in leaves(generator, method.output_type) if plan.field.type in COUNTS]
        if method.is_client_stream:
            if paths and profile.is_steady:
                yield _streams(profile, paths)
            continue
        if profile.is_steady:
            continue
        answers = [ask(profile) for _ in range(BEFORE)]
        for path in paths:
            if _step([_number(each, path) for each in answers]):
                yield _at_once(profile, path)


def _at_once(profile: Profile, path: Path) -> Case:
    fields, body = without_deadline(profile.fields), message(profile.octets)
    counts = [1] * BEFORE + [AT_ONCE] * ROUNDS + [1] * BEHIND
    steps: list[Step] = []
    number = 0
    for count in counts:
        steps += [Step("burst", number, fields, body, code=count), Step("wait", until="all")]
        number += count
    about = f"what is counted of {AT_ONCE} calls at once, {ROUNDS} times"
    return Case("sequence", profile.path, tuple(steps), "counted", about, "CWE-362", seconds=PATIENCE,
                stored=((path, path),))  # fmt: skip


def _streams(profile: Profile, paths: Sequence[Path]) -> Case:
    """Streams of several lengths, and some with empty messages among the ordinary ones."""
    ordinary, empty = message(profile.octets), message(b"")
    streams = [[ordinary] * count for count in LENGTHS] + [[ordinary, empty], [ordinary, empty, ordinary]]
    steps: list[Step] = []
    for number, messages in enumerate(streams):
        steps += [
            Step("open", number, profile.fields), Step("data", number, octets=b"".join(messages), end=True),
            Step("wait", number, until="end"),
        ]  # fmt: skip
    about = "what is counted of the messages of a stream"
    return Case("sequence", profile.path, tuple(steps), "lengths", about, stored=tuple((path, path) for path in paths))


def miscounted(case: Case, outcome: Outcome) -> list[Observation]:
    """Whether calls at once count less than calls one after the other."""
    path = case.stored[0][0]
    values = [_number(outcome.answers[number], path) for number in sorted(outcome.answers)]
    step = _step(values[:BEFORE])
    if None in values or not step or len(values) <= BEFORE + BEHIND:
        return []
    last, end = values[-2], values[-1]
    expected = (values[BEFORE - 1] or 0) + step * (len(values) - BEFORE - 1)
    assert last is not None
    assert end is not None
    if end - last != step or last >= expected:
        return []
    text = f"{case.about}: {expected - last} of {len(values)} are lost"
    return [Observation("state", text, ("counted",), "", "CWE-362")]


def miscounted_streams(case: Case, outcome: Outcome) -> list[Observation]:
    """Whether a field that is the number of messages of two streams is not that of another."""
    for path, _ in case.stored:
        values = [_number(outcome.answers.get(number), path) for number in range(len(LENGTHS) + 2)]
        if values[:2] != list(LENGTHS[:2]):
            continue
        if values[2] is not None and values[2] != LENGTHS[2]:
            text = f"{case.about}: {values[2]} of {LENGTHS[2]}"
            return [Observation("property", text, ("length",))]
        if values[3] == 2 and values[4] is not None and values[4] != 3:
            text = f"{case.about}: {values[4]} of 3, the second of which is empty"
            return [Observation("property", text, ("empty",))]
    return []


def _number(answer: Answer | None, path: Path) -> int | None:
    """The number that a field of a reply has; None without one."""
    messages = answer.messages()[0] if answer is not None and answer.code == 0 else []
    if not messages:
        return None
    octets = raw_value(messages[0][1], path) or b"\0"
    value = 0
    for at, octet in enumerate(octets):
        value |= (octet & 0x7F) << (7 * at)
    return value - (1 << 64) if value >> 63 else value


def _step(values: Sequence[int | None]) -> int:
    """By how much numbers grow, if it is always the same; 0 otherwise."""
    known = [each for each in values if each is not None]
    steps = {after - before for before, after in pairwise(known)}
    return max(steps.pop(), 0) if len(known) == len(values) and len(steps) == 1 else 0
