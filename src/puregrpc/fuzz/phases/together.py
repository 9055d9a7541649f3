"""The same request more than once: many calls at once, and one call in several ways; the answers are to be alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest

from puregrpc.fuzz.cases.case import Case, Step
from puregrpc.fuzz.cases.headers import without_deadline
from puregrpc.fuzz.checks.words import BUSY, INTERNAL, Observation, signature
from puregrpc.fuzz.connection.running import Outcome
from puregrpc.fuzz.frames.probe import Fields, message
from puregrpc.fuzz.values.fields import raw_value

__all__ = [
    "around",
    "as_sent",
    "behind_many",
    "behind_refusals",
    "bursts",
    "given_twice",
    "many_at_once",
    "mixed",
    "moved",
    "refused_again",
    "unlike",
    "volley_of",
    "ways",
]

AT_ONCE = 100
"""Calls that are begun together."""
PIECE = 5
"""So many of one request in a row."""
ROUNDS = 4
AROUND = 4
"""Calls, so that one of them meets what another one has left."""
CASES = 8
MIXTURES = 3
VOLLEY = 3000
PATIENCE = 10.0
"""Seconds until all of them are to be answered."""
UNAVAILABLE = 14
MANY_REFUSED = 20
"""Calls, more than it takes until somebody thinks that nothing works any more."""
FULL = 120
"""Calls, more than most servers have room for at once."""
REFUSED = {7, 11}


def bursts(path: str, fields: Fields, bodies: Sequence[bytes], seconds: float, deadline: float) -> Iterator[Case]:
    """Many ordinary calls at once, of several requests in turn, on one connection. ``bodies`` are their messages.

    ``seconds`` is what one call takes: so many are begun that all of them can be answered within their deadline.
    """
    count = min(AT_ONCE, int(deadline / 4 / max(seconds, 1e-4)) // PIECE * PIECE)
    if count < 2 * PIECE:
        return
    # A busy machine serves them late: what is not answered by then is not to come.
    fields = without_deadline(fields)
    steps: list[Step] = []
    number = 0
    for _ in range(ROUNDS):
        for at in range(count // PIECE):
            steps.append(Step("burst", number, fields, bodies[at % len(bodies)], code=PIECE))
            number += PIECE
        steps.append(Step("wait", until="all"))
    for _ in range(CASES):
        yield Case("sequence", path, tuple(steps), "alike", f"{count} calls at once, {ROUNDS} times", seconds=PATIENCE)


def mixed(calls: Sequence[tuple[str, Fields, bytes, float]], deadline: float) -> Iterator[Case]:
    """Ordinary calls of several methods at once: what one of them holds, another may wait for.

    ``calls`` are paths, header fields, messages, and the seconds that one call of each takes.
    """
    seconds = sum(each[3] for each in calls) / max(len(calls), 1)
    count = min(AT_ONCE, int(deadline / 4 / max(seconds, 1e-4)) // PIECE * PIECE)
    if len(calls) < 2 or count < 2 * PIECE:
        return
    steps: list[Step] = []
    number = 0
    for _ in range(ROUNDS):
        for at in range(count):
            _, fields, octets, _ = calls[at % len(calls)]
            steps.append(Step("burst", number, without_deadline(fields), message(octets), code=1))
            number += 1
        steps.append(Step("wait", until="all"))
    about = f"{count} calls of {len(calls)} methods at once, {ROUNDS} times"
    for _ in range(MIXTURES):
        yield Case("sequence", calls[0][0], tuple(steps), "alike", about, "CWE-833", seconds=PATIENCE / 2)


def as_sent(calls: Sequence[tuple[Fields, bytes]], path: str) -> Case:
    """Calls that were under way at once, at once again."""
    steps: list[Step] = []
    half = (len(calls) + 1) // 2
    mixed = [call for both in zip_longest(calls[:half], calls[half:]) for call in both if call is not None]
    for order in (calls, mixed, calls, mixed):
        for fields, octets in order:
            steps.append(Step("burst", len(steps), without_deadline(fields), octets, code=1))
        steps.append(Step("wait", until="all"))
    about = f"{len(calls)} calls at once that are answered one by one"
    return Case("sequence", path, tuple(steps), "alike", about, "CWE-833", seconds=PATIENCE / 2)


def behind_refusals(path: str, fields: Fields, octets: bytes, refused: Mapping[str, bytes]) -> Iterator[Case]:
    """The ordinary call, one that is refused, and the ordinary one again."""
    for said, other in refused.items():
        call = (Step("open", fields=fields), Step("message", octets=other, end=True))
        yield between(Case("schema", path, call, "any", f"refused with {said}"), fields, octets)


def behind_many(
    path: str, fields: Fields, octets: bytes, refused: tuple[Fields, bytes], times: int = MANY_REFUSED
) -> Case:
    """The ordinary call, many of one that is refused, and the ordinary one again."""
    other, message_of_it = refused
    steps: list[Step] = []
    for number in range(times):
        steps += [Step("open", number, other), Step("message", number, octets=message_of_it, end=True)]
        steps.append(Step("wait", number, until="end"))
    return between(Case("sequence", path, tuple(steps), "any", f"{times} times"), fields, octets)


def many_at_once(path: str, fields: Fields, octets: bytes) -> Case:
    """Many calls that are refused, some at a time."""
    steps: list[Step] = []
    for number in range(0, FULL, MANY_REFUSED):
        steps += [Step("burst", number, fields, message(octets), code=MANY_REFUSED), Step("wait", until="all")]
    return Case("sequence", path, tuple(steps), "any", f"{FULL} calls that are refused")


def between(case: Case, fields: Fields, octets: bytes) -> Case:
    """A call that is refused, with the ordinary one before and behind it."""
    streams = 2 + max((step.stream for step in case.steps), default=0)

    def ordinary(number: int) -> tuple[Step, ...]:
        call = Step("open", number, fields), Step("message", number, octets=octets, end=True)
        return (*call, Step("wait", number, until="end"))

    others = [replace(step, stream=step.stream + 1) for step in case.steps]
    steps = (*ordinary(0), *others, Step("wait", streams - 1, until="end"), *ordinary(streams))
    return Case("sequence", case.method, steps, "again", f"an ordinary call behind one that is refused ({case.about})",
                "CWE-460")  # fmt: skip


def refused_again(case: Case, outcome: Outcome) -> list[Observation]:
    """Whether an ordinary call is refused because another was."""
    first, last = outcome.answers.get(0), outcome.answers.get(outcome.last)
    busy = BUSY if outcome.last < MANY_REFUSED else BUSY - {UNAVAILABLE}
    if outcome.last >= FULL:
        busy = set()  # as many that are served leave room for more
    if any(not answer.code for number, answer in outcome.answers.items() if number not in (0, outcome.last)):
        return []
    if first is None or last is None or first.code != 0 or not last.code or last.code in {*busy, *INTERNAL}:
        return []
    text = f"{case.about}: answered with {last.summary()}, and OK before"
    return [Observation("state", text, ("refused",), "", case.reference)]


def around(path: str, fields: Fields, octets: bytes) -> Iterator[Case]:
    """Calls with nothing in them before and behind one with all: what is unset is not what it was for another."""
    for about, first, second in (
        ("an empty message around an ordinary one", b"", octets),
        ("an ordinary message around an empty one", octets, b""),
    ):
        steps: list[Step] = []
        for number, body in enumerate((first, first, *[second] * AROUND, *[first] * AROUND)):
            steps += [
                Step("open", number, fields), Step("data", number, octets=message(body), end=True),
                Step("wait", number, until="end"),
            ]  # fmt: skip
        yield Case("sequence", path, tuple(steps), "unmoved", about, "CWE-488")


def moved(case: Case, outcome: Outcome) -> list[Observation]:
    """Whether the same request is answered otherwise behind another one, and was not before it."""
    behind = range(2 + AROUND, 2 + 2 * AROUND)
    if not _is_alike(outcome, [0, 1]) or _is_alike(outcome, [1, *behind]):
        return []
    answers = [outcome.answers.get(number) for number in (0, 1, *behind)]
    if any(each is None or not each.ended or each.code in {*BUSY, *INTERNAL, None} for each in answers):
        return []
    return [Observation("state", f"{case.about}: what is answered to it is not what it was", ("moved",), "", "CWE-488")]


def volley_of(path: str, fields: Fields, octets: bytes) -> Case:
    """More calls than are served at a time, as fast as they are taken."""
    steps = (Step("volley", fields=fields, octets=octets, code=VOLLEY),)
    return Case("sequence", path, steps, "any", f"{VOLLEY} calls as fast as they are taken", "CWE-362")


def ways(path: str, fields: Fields, requests: Sequence[bytes]) -> Iterator[Case]:
    """A stream of requests whole at once, message by message, octet by octet, and at once again."""
    bodies = [message(each) for each in requests]
    whole = b"".join(bodies)
    steps = [Step("open", 0, fields), Step("data", 0, octets=whole, end=True), Step("wait", 0, until="end")]
    steps.append(Step("open", 1, fields))
    for body in bodies:
        steps += [Step("pause", seconds=0.03), Step("data", 1, octets=body)]
    steps += [Step("pause", seconds=0.03), Step("data", 1, end=True), Step("wait", 1, until="end")]
    steps.append(Step("open", 2, fields))
    most = min(len(whole), 300)
    steps += [Step("data", 2, octets=whole[at : at + 1]) for at in range(most)]
    steps += [Step("data", 2, octets=whole[most:], end=True), Step("wait", 2, until="end")]
    steps += [Step("open", 3, fields), Step("data", 3, octets=whole, end=True), Step("wait", 3, until="end")]
    yield Case("sequence", path, tuple(steps), "alike", f"{len(bodies)} messages, sent in several ways")


def unlike(case: Case, outcome: Outcome) -> list[Observation]:
    """Answers to the same request that differ."""
    answers = outcome.answers
    if all(step.kind != "burst" for step in case.steps):
        # Who answers differently each time does not do so for the way.
        if len(answers) < 2 or not _is_alike(outcome, [min(answers), max(answers)]):
            return []
        return [] if _is_alike(outcome, list(answers)) else [_observation(case)]
    if len({step.fields for step in case.steps if step.kind == "burst"}) > 1:
        return []  # what one method gives back may be what another has put
    groups: dict[bytes, list[int]] = {}
    for step in case.steps:
        if step.kind == "burst":
            groups.setdefault(step.octets, []).extend(range(step.stream, step.stream + step.code))
    return [] if all(_is_alike(outcome, numbers) for numbers in groups.values()) else [_observation(case)]


def given_twice(case: Case, outcome: Outcome) -> list[Observation]:
    """Whether two answers have the same value in the field that is to tell things apart.

    The first two were asked for one after the other: where those have the same, nothing is told apart by it.
    """
    path = case.stored[0][1]
    values: list[bytes] = []
    for number in sorted(outcome.answers):
        messages = outcome.answers[number].messages()[0]
        value = raw_value(messages[0][1], path) if outcome.answers[number].code == 0 and messages else None
        if value:
            values.append(value)
    if len(values) < 2 or values[0] == values[1] or len(set(values)) == len(values):
        return []
    return [Observation("state", f"{case.about}: two of them are given the same", ("distinct",), "", "CWE-362")]


def _observation(case: Case) -> Observation:
    return Observation("state", f"{case.about}: the same request is answered differently", ("alike",))


def _is_alike(outcome: Outcome, numbers: Sequence[int]) -> bool:
    ended = [answer for number in numbers if (answer := outcome.answers.get(number)) is not None and answer.ended]
    return len({signature(each) for each in ended if each.code not in BUSY and each.reset not in REFUSED}) < 2
