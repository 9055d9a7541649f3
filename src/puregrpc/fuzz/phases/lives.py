"""What becomes of a thing that one method has made: others change it and take it away, or want one that there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from puregrpc.fuzz.cases.case import Case, Step, Stored
from puregrpc.fuzz.checks.words import Check, Observation, Profile
from puregrpc.fuzz.connection.running import Outcome
from puregrpc.fuzz.phases.edges import edges
from puregrpc.fuzz.phases.flows import KEPT_BY_SERVERS, KEYS, PUTS, READS, Flow, called, is_same, other_value, tags_to
from puregrpc.fuzz.phases.pages import first_pages
from puregrpc.fuzz.values.choices import Directed, Path
from puregrpc.fuzz.values.field_values import words_of
from puregrpc.fuzz.values.fields import common_fields, leaves, lost_field, raw_value, with_field
from puregrpc.fuzz.values.generate import FieldPlan, Generator
from puregrpc.proto.descriptors import FieldType

__all__ = ["crossed", "linked_cases", "lives", "mixed_up", "still_there"]

CHANGES = ("update", "patch", "modify", "edit", "change", "replace", "set")
DELETES = ("delete", "remove", "destroy", "erase", "drop", "unregister")
ENDINGS = (
    "cancel",
    "close",
    "void",
    "revoke",
    "expire",
    "archive",
    "complete",
    "finish",
    "release",
    "return",
    "refund",
)
"""What a thing comes to that may be got all the same."""
NOT_FOUND = 5
LEAST_KEY = 4
"""Octets of a key that is looked for in lists."""
MASK = "google.protobuf.FieldMask"
LONG_PAGE = 100
MOST_TRIALS = 80
TIMES = 2
"""So often a thing is changed until it is known what comes back."""
ONE_BY_ONE = 4
CROSSED, CROSSED_ROUNDS = 40, 4
LOST_PART = 2
"""Of fields that a change loses, at least so many times as many come back."""

Run = Callable[[Case], Outcome]


def lives(flow: Flow, profiles: Sequence[Profile], generator: Generator, run: Run) -> Iterator[Case]:
    """Cases of the things that a flow puts: changed, taken away, and asked for behind that."""
    noun = words_of(flow.put.method.name)[1:]
    service = flow.put.path.rpartition("/")[0]
    for profile in profiles:
        verb, *other = words_of(profile.method.name) or [""]
        if profile.path.rpartition("/")[0] != service or profile is flow.put or not is_same(noun, other):
            continue
        if profile.method.is_client_stream or profile.method.is_server_stream:
            continue
        if verb in CHANGES:
            yield from _changed(flow, profile, generator, run)
        elif verb in DELETES:
            yield from _deleted(flow, profile, generator, run)
        elif verb in ENDINGS:
            yield from _beside(flow, profile, generator)


def crossed(flow: Flow, generator: Generator) -> Iterator[Case]:
    """Two things that are got one after the other and then many times at once; nothing if they cannot be asked for."""
    steps = [*flow.put_steps(generator, 0), *flow.put_steps(generator, 1, is_other=True)]
    number = 2
    for at_once in (1,) * ONE_BY_ONE + (CROSSED,) * CROSSED_ROUNDS:
        for _ in range(at_once):
            got = flow.keyed(generator, flow.get, b"", number, of=number % 2, is_other=bool(number % 2))
            if not got:
                return
            steps += got[: None if at_once == 1 else -1]
            number += 1
        steps.append(Step("wait", until="all"))
    about = f"two things that are got at once, by {flow.put.method.name} and {flow.get.method.name}"
    yield Case("sequence", flow.get.path, tuple(steps), "crossed", about, "CWE-362")


def mixed_up(case: Case, outcome: Outcome) -> list[Observation]:
    """Whether one of two things is answered for the other, and was not as long as they were got one by one."""
    replies = {number: _reply(outcome, number) for number in outcome.answers if number > 1}
    first = [replies.get(number) for number in range(2, 2 + ONE_BY_ONE)]
    if None in first or first[:2] != first[2:] or first[0] == first[1]:
        return []
    wrong = sum(reply == first[1 - number % 2] for number, reply in replies.items())
    if not wrong:
        return []
    text = f"{case.about}: one is answered for the other, {wrong} times"
    return [Observation("state", text, ("crossed",), "", case.reference)]


def _changed(flow: Flow, profile: Profile, generator: Generator, run: Run) -> Iterator[Case]:
    """What is changed is got as it was changed."""
    descriptor = profile.method.input_type
    known = {other for _, other, _ in flow.fields}
    common = [
        each for each in common_fields(generator, descriptor, flow.get.method.output_type)
        if each[1] in known and not _is_kept(each[2].field.name)
    ]  # fmt: skip
    octets = generator.message(descriptor, Directed({}, fill=True, leave_out=_mask(generator, profile)))
    for path, _, plan in common:
        if plan.encoded[2:] and path != flow.key_in(generator, profile)[0]:
            octets = with_field(descriptor, octets, path, plan.tag + other_value(plan))
    change = flow.keyed(generator, profile, octets, 1)
    get = flow.keyed(generator, flow.get, b"", 2)
    if not change or not get:
        return
    about = f"what was changed, by {flow.put.method.name}, {profile.method.name} and {flow.get.method.name}"
    case = Case("sequence", flow.get.path, (*flow.put_steps(generator, 0), *change, *get), "stored", about, stored_by=1)
    came: set[tuple[Path, Path]] = set()
    lost: set[tuple[Path, Path]] = set()
    for number in range(TIMES):
        outcome = run(case)
        put, changed, got = (_reply(outcome, each) for each in range(3))
        if put is None or changed is None or got is None:
            return
        sent = case.messages[1]
        wanted = {(path, other) for path, other, _ in common if not _comes_back(sent, put, path, other)}
        kept = {each for each in wanted if _comes_back(sent, got, *each)}
        if not kept:
            # Whether it is said to be changed, and is as it was.
            said = common_fields(generator, descriptor, profile.method.output_type)
            shown = {path for path, other, _ in said if _comes_back(sent, changed, path, other)}
            kept = {each for each in wanted if each[0] in shown and _is_as_before(put, got, each[1])}
        came = came & kept if number else kept
        lost = lost & (wanted - kept) if number else wanted - kept
    if came:
        stored: Stored = tuple(sorted(came | lost if len(came) >= LOST_PART * len(lost) else came))
        yield Case(case.level, case.method, case.steps, "stored", about, stored=stored, stored_by=1)


def _is_kept(name: str) -> bool:
    """Whether a field is one that servers set themselves."""
    return bool(set(words_of(name)) & {*KEPT_BY_SERVERS, *KEYS})


def _is_as_before(put: bytes, got: bytes, path: Path) -> bool:
    return raw_value(put, path) == raw_value(got, path)


def _mask(generator: Generator, profile: Profile) -> Path:
    for path, plan in generator.paths(profile.method.input_type):
        kind = plan.field.message_type
        if kind is not None and kind.full_name == MASK:
            return path
    return ()


def _comes_back(sent: bytes, reply: bytes | None, path: Path, other: Path) -> bool:
    return reply is not None and bool(raw_value(sent, path)) and lost_field(sent, reply, ((path, other),)) is None


def _deleted(flow: Flow, profile: Profile, generator: Generator, run: Run) -> Iterator[Case]:
    """What was taken away is neither got nor listed, and what is beside it is there still."""
    descriptor = profile.method.input_type
    octets = generator.message(descriptor, Directed({}, fill=True))
    names = f"by {flow.put.method.name} and {profile.method.name}"
    put, delete = flow.put_steps(generator, 0), flow.keyed(generator, profile, octets, 2)
    first, last = flow.keyed(generator, flow.get, b"", 1), flow.keyed(generator, flow.get, b"", 3)
    if not delete or not last:
        return
    stored: Stored = ((flow.key or flow.reply_key, flow.reply_key),)
    gone = Case("sequence", flow.get.path, (*put, *first, *delete, *last), "gone", f"what was taken away, {names}",
                stored=stored)  # fmt: skip
    outcome = run(gone)
    if _reply(outcome, 0) is None or _reply(outcome, 2) is None:
        return
    yield gone
    for reader in flow.readers:
        # One that was made last may be on the first page only if that is a long one.
        for page in (b"", *first_pages(generator, reader.method.input_type, LONG_PAGE)):
            steps = (*put, *called(reader, 1, page), *delete, *called(reader, 3, page))
            about = f"what was taken away, {names}, and is listed by {reader.method.name}"
            yield Case("sequence", reader.path, steps, "unlisted", about, stored=stored)
    yield from _beside(flow, profile, generator)


def _beside(flow: Flow, profile: Profile, generator: Generator) -> Iterator[Case]:
    """What is beside a thing that has come to its end is there still."""
    octets = generator.message(profile.method.input_type, Directed({}, fill=True))
    put, beside = flow.put_steps(generator, 0), flow.put_steps(generator, 1, is_other=True)
    end = flow.keyed(generator, profile, octets, 2, of=1, is_other=True)
    last = flow.keyed(generator, flow.get, b"", 3)
    if end and last:
        how = "was taken away" if words_of(profile.method.name)[0] in DELETES else "has come to its end"
        about = f"what is beside a thing that {how}, by {flow.put.method.name} and {profile.method.name}"
        yield Case("sequence", flow.get.path, (*put, *beside, *end, *last), "stored", about, stored=flow.stored)


def still_there(case: Case, outcome: Outcome) -> list[Observation]:
    """Whether what was taken away is answered as before, or listed; what is marked only is another answer."""
    answers = [outcome.answers.get(number) for number in range(4)]
    made, before, after = (_reply(outcome, number) for number in (0, 1, 3))
    if any(each is None or each.code != 0 for each in answers) or not before or not after or made is None:
        return []
    if case.expects == "unlisted":
        path, other = case.stored[0]
        key = raw_value(made, other) if other else raw_value(case.messages[0], path)
        if key is None or len(key) < LEAST_KEY or key not in before or key not in after:
            return []
    elif before != after:
        return []
    # What is listed may be on the first page of a target that was just begun alone.
    check: Check = "state" if case.expects == "unlisted" else "property"
    return [Observation(check, f"{case.about}: it is there as before", ("there", case.method))]


def linked_cases(profiles: Sequence[Profile], generator: Generator, run: Run) -> Iterator[Iterator[Case]]:
    """For each method that finds nothing with ordinary values: the edges of its fields, about a thing that was made."""
    makers = [
        each for each in profiles
        if not each.method.is_client_stream and not each.method.is_server_stream
        and each.answer is not None and each.answer.code == 0
        and (words_of(each.method.name) or [""])[0] not in READS
    ]  # fmt: skip
    makers.sort(key=lambda each: (words_of(each.method.name) or [""])[0] not in PUTS)
    trials = 0
    for profile in profiles:
        if profile.answer is None or profile.answer.code != NOT_FOUND:
            continue
        for maker, key, path in _links(makers, profile, generator):
            trials += 1
            if trials > MOST_TRIALS:
                return
            answer = run(_linked(maker, key, profile, profile.octets, path, "an ordinary message")).answers.get(1)
            if answer is not None and answer.ended and answer.code not in (NOT_FOUND, 4, None):
                yield _edges(maker, key, profile, path, generator)
                break


def _links(makers: Sequence[Profile], profile: Profile, generator: Generator) -> Iterator[tuple[Profile, Path, Path]]:
    """Methods whose replies have what may be the key in a request, where it is in both."""
    wanted = [(path, plan) for path, plan in leaves(generator, profile.method.input_type) if _is_key(plan)]
    for maker in makers:
        for key, plan in leaves(generator, maker.method.output_type):
            if not _is_key(plan):
                continue
            noun = "".join(words_of(maker.method.name)[1:]).rstrip("s")
            for path, other in wanted:
                names = {plan.field.name, f"{noun}_{plan.field.name}"} | ({*KEYS} if plan.field.name in KEYS else set())
                if other.field.name in names and other.field.type is plan.field.type:
                    yield maker, key, path


def _is_key(plan: FieldPlan) -> bool:
    name = plan.field.name
    is_named = name in KEYS or name.rpartition("_")[2] in ("id", "key", "name", "uuid")
    return is_named and plan.field.type in (FieldType.STRING, FieldType.INT32, FieldType.INT64, FieldType.UINT64)


def _linked(maker: Profile, key: Path, profile: Profile, octets: bytes, path: Path, about: str) -> Case:
    take = (0, key, tags_to(profile.method.input_type, path))
    steps: tuple[Step, ...] = (*called(maker, 0, maker.octets), *called(profile, 1, octets, take))
    about = f"{about}, of what {maker.method.name} has made"
    return Case("sequence", profile.path, steps, "answer", about)


def _edges(maker: Profile, key: Path, profile: Profile, path: Path, generator: Generator) -> Iterator[Case]:
    descriptor = profile.method.input_type
    for about, choices, changed in edges(generator, descriptor):
        if changed != path:
            yield _linked(maker, key, profile, generator.message(descriptor, choices), path, about)


def _reply(outcome: Outcome, number: int) -> bytes | None:
    answer = outcome.answers.get(number)
    messages = answer.messages()[0] if answer is not None and answer.code == 0 else []
    return messages[0][1] if messages else None
