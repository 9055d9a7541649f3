"""What methods count: their calls, also many at once, and the messages of a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from puregrpc.fuzz.cases.answer import Answer
from puregrpc.fuzz.cases.case import Case, Expectation, Step, Stored
from puregrpc.fuzz.cases.headers import without_deadline
from puregrpc.fuzz.checks.words import Observation, Profile
from puregrpc.fuzz.connection.running import Outcome
from puregrpc.fuzz.frames.probe import message
from puregrpc.fuzz.values.choices import Path
from puregrpc.fuzz.values.field_values import UNSIGNED
from puregrpc.fuzz.values.fields import leaves, raw_value
from puregrpc.fuzz.values.generate import Generator
from puregrpc.proto.descriptors import FieldType

__all__ = ["counted_cases", "miscounted", "miscounted_streams", "unanswered"]

COUNTS = {FieldType.INT32, FieldType.INT64, *UNSIGNED}
BEFORE, BEHIND = 3, 2
"""Calls one after the other, which show by how much each counts."""
AT_ONCE = 20
ROUNDS = 10
LENGTHS = (2, 3, 300)
MORE_LENGTHS = (1, 7)
ANSWERED = (1, 2, 3, 5, 8)
"""Messages of streams each of which has one answer."""
MOST_WRONG = 2
"""Of these lengths so many may have fewer answers; where more have, and two messages have one, that is its way."""
PATIENCE = 10.0

Ask = Callable[[Profile], "Answer | None"]


def counted_cases(profiles: Sequence[Profile], generator: Generator, ask: Ask) -> Iterator[Case]:
    """Calls at once of methods that count their calls, and streams of methods that may count their messages."""
    for profile in profiles:
        method = profile.method
        if method.is_client_stream and method.is_server_stream and profile.is_steady and profile.ends:
            yield _conversation(profile)
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
    streams += [[ordinary] * count for count in MORE_LENGTHS]
    return _of_streams(profile, streams, "what is counted of the messages of a stream", "lengths",
                       tuple((path, path) for path in paths))  # fmt: skip


def _conversation(profile: Profile) -> Case:
    """Streams of several lengths, and one with an empty message inside."""
    ordinary = message(profile.octets)
    streams = [*([ordinary] * count for count in ANSWERED), [ordinary, message(b""), ordinary]]
    return _of_streams(profile, streams, "what is answered of the messages of a stream", "answered", ())


def _of_streams(
    profile: Profile, streams: Sequence[Sequence[bytes]], about: str, expects: Expectation, stored: Stored
) -> Case:
    steps: list[Step] = []
    for number, messages in enumerate(streams):
        steps += [
            Step("open", number, profile.fields), Step("data", number, octets=b"".join(messages), end=True),
            Step("wait", number, until="end"),
        ]  # fmt: skip
    return Case("sequence", profile.path, tuple(steps), expects, about, stored=stored)


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
        values = [_number(outcome.answers.get(number), path) for number in range(len(LENGTHS) + 4)]
        one, seven = values[-2:]
        if one == 1 and values[0] == LENGTHS[0] and (values[1], seven) not in ((LENGTHS[1], 7), (None, None)):
            return [Observation("property", f"{case.about}: {seven} of 7", ("length",))]
        if values[:2] != list(LENGTHS[:2]):
            continue
        if values[2] is not None and values[2] != LENGTHS[2]:
            text = f"{case.about}: {values[2]} of {LENGTHS[2]}"
            return [Observation("property", text, ("length",))]
        if values[3] == 2 and values[4] is not None and values[4] != 3:
            text = f"{case.about}: {values[4]} of 3, the second of which is empty"
            return [Observation("property", text, ("empty",))]
        if values[3] == values[4] == 1:
            return [Observation("property", f"{case.about}: none of what is behind an empty one", ("empty",))]
    return []


def unanswered(case: Case, outcome: Outcome) -> list[Observation]:
    """Whether some messages of a stream have no answer, where each has one otherwise."""
    answers = [outcome.answers.get(number) for number in range(len(ANSWERED) + 1)]
    if any(each is None or each.code != 0 for each in answers):
        return []
    *counts, last = (len(each.messages()[0]) if each is not None else 0 for each in answers)
    wrong = [(count, sent) for count, sent in zip(counts, ANSWERED, strict=True) if count != sent]
    if counts[0] != 1 or (counts[1] != 2 and len(wrong) > MOST_WRONG) or any(count > sent for count, sent in wrong):
        return []
    if wrong:
        count, sent = wrong[0]
        return [Observation("property", f"{case.about}: {count} of {sent}", ("answers",))]
    if last == 1:
        return [Observation("property", f"{case.about}: none of what is behind an empty one", ("empty",))]
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
