"""The cases of each phase, method by method: examples, boundaries, damage, headers, sequences, frames, random."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from random import Random

from puregrpc.codec.wire_format.tags_and_varints import varint
from puregrpc.fuzz.cases import conversations
from puregrpc.fuzz.cases.case import Case, Expectation, Step
from puregrpc.fuzz.cases.damage import broken_at_random, damaged
from puregrpc.fuzz.cases.headers import header_cases, metadata_cases, request_fields
from puregrpc.fuzz.cases.sequences import DEADLINE, MARK, auth_cases, sequence_cases, stream_cases, unending_cases
from puregrpc.fuzz.checks.words import Profile
from puregrpc.fuzz.frames.floods import FLOODS_BY_KIND
from puregrpc.fuzz.frames.probe import Fields, Probe, message
from puregrpc.fuzz.frames.single import SINGLE_SHOTS
from puregrpc.fuzz.phases.dynamic_table import behind_refused
from puregrpc.fuzz.phases.edges import edges
from puregrpc.fuzz.phases.flows import BLANK
from puregrpc.fuzz.phases.names import is_reading
from puregrpc.fuzz.phases.together import around, behind_refusals, bursts, mixed, ways
from puregrpc.fuzz.values.choices import Choices, Directed, Path, mutated
from puregrpc.fuzz.values.field_values import SIGNED, UNSIGNED
from puregrpc.fuzz.values.fields import entry, leaves, lists, maps, parts_of, with_field
from puregrpc.fuzz.values.generate import COUNT, Generator
from puregrpc.proto.descriptors import FieldType

__all__ = ["Planner", "in_turn"]

VARIED = 4
SWITCHES = 3
SMALL = (10, 3)
"""Numbers that most methods take."""
NUMBERS = {*SIGNED, *UNSIGNED}
LONG = (900, 3000, 30_000)
LONGER = MARK.decode()
UNUSUAL = 0x5EED1E55
PAIR_VALUES = 10
PAIR_COUNTS = 5
"""Long lists in long lists are more than a server should be asked for."""
MOST_PAIRS = 3000
TURNS = 6
"""Messages of a stream that goes on while others do."""
PACE, LEAST_RUN, MOST_RUN = 2, 6, 120
"""Boundaries of a method before another one has its turn: so many for each field."""
SHOT = 0.02
"""Seconds that a frame is given to take effect."""


def in_turn(iterators: Sequence[Iterator[Case]], run: int | Sequence[int] = 8) -> Iterator[Case]:
    """So many of each in turn, until all have ended. ``run``: of all, or of each."""
    left = list(zip(iterators, [run] * len(iterators) if isinstance(run, int) else run, strict=True))
    while left:
        for each in list(left):
            iterator, count = each
            for _ in range(count):
                case = next(iterator, None)
                if case is None:
                    left.remove(each)
                    break
                yield case


class Planner:
    """Makes the cases of a run.

    ``credentials`` go with every call that is not to be without them; ``deadline`` is that of ordinary calls (seconds).
    """

    def __init__(
        self,
        generator: Generator,
        random: Random,
        *,
        authority: str,
        scheme: str,
        deadline: float,
        metadata: Fields,
        credentials: Fields,
    ) -> None:
        self.generator = generator
        self.random = random
        self._authority = authority
        self._scheme = scheme
        self._deadline = deadline
        self._timeout = f"{round(deadline * 1000)}m"
        self._metadata = metadata
        self.credentials = credentials
        self.counts_authorities = False
        """The server refuses a call for the number of its authorities."""
        self.serves_any_path = False
        """The server answers calls of methods that there are not."""
        self.others: dict[str, list[bytes]] = {}
        """By method: messages beside the ordinary one that are answered with OK, each in another way."""
        self.switched: dict[str, list[bytes]] = {}
        """By method: more such messages, of which some are answered alike."""
        self.interesting: dict[str, list[tuple[int, ...]]] = {}
        """By method: the draws of messages whose answers were new."""

    def fields(self, path: str, *, timeout: str | None = None, with_credentials: bool = True) -> Fields:
        """The header fields of an ordinary call."""
        more = self._metadata + (self.credentials if with_credentials else ())
        timeout = self._timeout if timeout is None else timeout
        return request_fields(path, self._authority, scheme=self._scheme, timeout=timeout, more=more)

    def call(
        self, profile: Profile, octets: bytes, about: str, expects: Expectation = "answer", path: Path = ()
    ) -> Case:
        """A call with one message, whole at once."""
        fields = profile.fields or self.fields(profile.path)
        steps = (Step("open", fields=fields), Step("message", octets=octets, end=True))
        return Case("schema", profile.path, steps, expects, about, path=path)

    def made(self, profile: Profile, choices: Choices, about: str, path: Path = ()) -> Case:
        """A call whose message is made of choices."""
        case = self.call(profile, self.generator.message(profile.method.input_type, choices), about, path=path)
        case.drawn = tuple(choices.drawn)
        case.spans = tuple(choices.spans)

        def again(drawn: Sequence[int]) -> tuple[Case, Choices]:
            choices = Choices(None, drawn)
            return self.made(profile, choices, about), choices

        case.maker = again
        return case

    # -- phases

    def examples(self, profile: Profile) -> Iterator[Case]:
        """The ordinary message and the empty one."""
        yield self.made(profile, Directed({}, fill=True), "an ordinary message")
        yield self.made(profile, Directed({}), "an empty message")

    def edges_in_turn(self, profiles: Sequence[Profile]) -> Iterator[Case]:
        """The boundaries of all methods; those with many fields come to the same values of each as those with few."""
        runs = [len(self.generator.paths(each.method.input_type)) * PACE for each in profiles]
        return in_turn(
            [self.boundaries(each) for each in profiles], [min(max(run, LEAST_RUN), MOST_RUN) for run in runs]
        )

    def boundaries(self, profile: Profile) -> Iterator[Case]:
        """One field at a time, every value of its table, among ordinary fields and alone."""
        yield from self._long(profile)
        for about, choices, path in edges(self.generator, profile.method.input_type):
            yield self.made(profile, choices, about, path)

    def pairs(self, profile: Profile) -> Iterator[Case]:
        """Several fields at once, each with one of its first values: so all pairs of them come together soon."""
        random = self.random
        tables = [
            [
                (target, value)
                for target, value in self.generator.boundaries(path, each)
                if value <= (PAIR_COUNTS if target[-1] == COUNT else PAIR_VALUES)
            ]
            for path, each in self.generator.paths(profile.method.input_type)[:60]
        ]
        for _ in range(MOST_PAIRS if len(tables) > 1 else 0):
            part = 0.5 if random.random() < 0.5 else 2.5 / len(tables)
            chosen = dict(random.choice(table) for table in tables if random.random() < part)
            if len(chosen) > 1:
                yield self.made(profile, Directed(chosen, fill=random.random() < 0.7), "several fields")

    def random_cases(self, profile: Profile) -> Iterator[Case]:
        """Made up, mutated from what was interesting, and broken; without end."""
        random = self.random
        descriptor = profile.method.input_type
        while True:
            roll = random.random()
            pool = self.interesting.get(profile.path)
            if roll < 0.15:
                octets = self.generator.message(descriptor, Choices(random))
                yield self.call(profile, broken_at_random(octets, random), "a message broken by chance", "any")
            elif roll < 0.45 and pool:
                drawn = mutated(pool[int(random.random() * len(pool))], random)
                yield self.made(profile, Choices(random, drawn), "near to what was new")
            elif roll < 0.55:
                targets = (
                    {path: 1 + int(random.random() * 30) for path, _ in random.sample(paths, min(len(paths), 3))}
                    if (paths := self.generator.paths(descriptor)[:60])
                    else {}
                )
                yield self.made(profile, Directed(targets, fill=random.random() < 0.5), "several fields")
            else:
                yield self.made(profile, Choices(random), "made up")

    def damage(self, profile: Profile) -> Iterator[Case]:
        """Messages that no sound sender sends."""
        for one in damaged(self.generator, profile.method.input_type):
            yield self.call(profile, one.octets, one.about, one.expects, one.path)

    def headers(self, profile: Profile, *, is_first: bool = True) -> Iterator[Case]:
        """Odd header fields; what takes long for the first method alone."""
        yield from header_cases(
            profile.path, profile.fields, profile.octets, counts_authorities=self.counts_authorities,
            serves_any_path=self.serves_any_path, is_stream=profile.method.is_client_stream,
            with_bomb=is_first,
        )  # fmt: skip

    def metadata(self, profile: Profile) -> Iterator[Case]:
        """Header fields that a sound client may send."""
        yield from metadata_cases(profile.path, profile.fields, profile.octets)

    def auth(self, profile: Profile) -> Iterator[Case]:
        """Calls without the credentials."""
        fields = self.fields(profile.path, with_credentials=False)
        yield from auth_cases(profile.path, fields, profile.octets, self.credentials)

    def streams(self, profile: Profile) -> Iterator[Case]:
        """Streams of requests, none of them odd."""
        if profile.method.is_client_stream:
            yield from stream_cases(profile.path, profile.fields, [profile.octets, b""])
            for about, at in (("largest", -1), ("smallest", 0)):
                steps = [Step("open", fields=profile.fields)]
                body = message(self._numbers(profile, at))
                steps += [Step("data", octets=body * 2, end=True), Step("wait", until="end")]
                yield Case("sequence", profile.path, tuple(steps), "answer", f"2 messages with the {about} numbers")

    def sequences(self, profile: Profile) -> Iterator[Case]:
        """Calls as programs."""
        method = profile.method
        if profile.is_steady and profile.octets and is_reading(method.name):
            yield from around(profile.path, profile.fields, profile.octets)
        yield from behind_refusals(profile.path, profile.fields, profile.octets, profile.refused)
        yield from sequence_cases(
            profile.path,
            profile.fields,
            profile.octets,
            client_stream=method.is_client_stream,
            server_stream=method.is_server_stream,
            deadline_fields=self.fields(profile.path, timeout=DEADLINE),
            unusual=self.varied(profile, UNUSUAL),
            longer=self.stretched(profile, 80),
        )

    def unending(self, profiles: Sequence[Profile], canary: Profile) -> Iterator[Case]:
        """Calls of methods that have no end, cancelled, and an ordinary one of another method behind them."""
        for profile in profiles:
            if not profile.ends:
                other = canary.path, canary.fields, canary.octets
                yield from unending_cases(profile.path, profile.fields, profile.octets, other)

    def candidates(self, profile: Profile) -> Iterator[bytes]:
        """Messages that are ordinary, each with another value in one of its fields."""
        descriptor = profile.method.input_type
        chosen: list[list[bytes]] = []
        single = list(leaves(self.generator, descriptor))
        switches = [each for each in single[4:] if each[1].field.type in (FieldType.BOOL, FieldType.ENUM)]
        for path, plan in single[:4] + switches[:SWITCHES]:
            usable = (each for each in plan.encoded[2 : 2 + 20] if len(each) > 1 and each != BLANK)
            encoded = sorted(usable, key=len)[:2]
            if plan.field.type in NUMBERS and plan.encode is not None:
                encoded = [plan.encode(each) for each in SMALL]
            if plan.field.type is FieldType.BOOL:
                encoded = plan.encoded[:2]
            chosen.append(
                [with_field(descriptor, profile.octets, path, plan.tag + each) for each in encoded or plan.encoded[2:4]]
            )
        for number in range(2):
            yield from (each[number] for each in chosen if number < len(each))
        for path, plan in self.generator.paths(descriptor):
            parts = parts_of(profile.octets, path) if len(path) == 1 and not plan.field.is_map else []
            if parts and plan.field.is_repeated and plan.tag[0] & 7 == 2:
                yield profile.octets + plan.tag + varint(len(parts[0])) + parts[0]

    def _numbers(self, profile: Profile, at: int) -> bytes:
        """The ordinary message with the smallest or the largest numbers (``at``: 0 or -1) that its fields can hold."""
        descriptor = profile.method.input_type
        octets = profile.octets
        for path, plan in leaves(self.generator, descriptor):
            if plan.field.type in NUMBERS and plan.encode is not None:
                bits, low = SIGNED.get(plan.field.type), 0
                if bits:
                    low = -(1 << (bits - 1))
                high = (1 << (bits or UNSIGNED[plan.field.type])) - 1 + low
                octets = with_field(descriptor, octets, path, plan.tag + plan.encode((low, high)[at]))
        return octets

    def _long(self, profile: Profile) -> Iterator[Case]:
        """Long texts in all fields: what is quick with each of them may not be with several."""
        descriptor = profile.method.input_type
        texts = [each for each in leaves(self.generator, descriptor) if each[1].field.type is FieldType.STRING]
        for length in LONG if len(texts) > 1 else ():
            octets = profile.octets
            for number, (path, plan) in enumerate(texts[:4]):
                assert plan.encode is not None
                octets = with_field(descriptor, octets, path, plan.tag + plan.encode("abcd"[number] * length))
            yield self.call(profile, octets, f"{length} characters in each text")

    def varied(self, profile: Profile, number: int) -> bytes:
        """The ordinary message with values of its own: its first texts and ids are made of ``number``."""
        descriptor = profile.method.input_type
        octets = profile.octets
        for path, plan in list(leaves(self.generator, descriptor))[:VARIED]:
            assert plan.encode is not None
            if plan.field.type in (FieldType.STRING, FieldType.BYTES):
                octets = with_field(descriptor, octets, path, plan.tag + plan.encode(f"v{number:08x}"))
            elif plan.field.name == "id" or plan.field.name.endswith("_id"):
                octets = with_field(descriptor, octets, path, plan.tag + plan.encode(number))
        for path, plan in lists(self.generator, descriptor):
            if plan.field.type is FieldType.STRING and plan.encode is not None:
                octets = with_field(descriptor, octets, path, plan.tag + plan.encode(f"v{number:08x}"))
                break
        for path, plan in maps(self.generator, descriptor):
            octets = with_field(descriptor, octets, path, entry(plan, number))
            break
        return octets

    def stretched(self, profile: Profile, length: int) -> bytes:
        """The ordinary message with texts of so many characters."""
        descriptor = profile.method.input_type
        octets = profile.octets
        for path, plan in list(leaves(self.generator, descriptor))[:VARIED]:
            if plan.field.type is FieldType.STRING and plan.encode is not None:
                octets = with_field(descriptor, octets, path, plan.tag + plan.encode((LONGER * length)[:length]))
        return octets

    def together(self, profile: Profile) -> Iterator[Case]:
        """Many calls at once, of several requests."""
        requests = [profile.octets, *self.others.get(profile.path, ()), *self.switched.get(profile.path, ())]
        bodies = [message(each) for each in requests]
        if profile.method.is_client_stream:
            # Of streams at once, some are at their first message while others are at a later one.
            bodies += [body * TURNS for body in bodies]
        yield from bursts(profile.path, profile.fields, bodies, profile.seconds, self._deadline)

    def mixed(self, profiles: Sequence[Profile]) -> Iterator[Case]:
        """Many calls at once, of all methods that take one message."""
        unary = [each for each in profiles if not each.method.is_client_stream]
        yield from mixed([(each.path, each.fields, each.octets, each.seconds) for each in unary], self._deadline)

    def ways(self, profile: Profile) -> Iterator[Case]:
        """A stream of several requests, sent in several ways."""
        requests = [profile.octets, *self.others.get(profile.path, ())]
        if profile.method.is_client_stream:
            yield from ways(profile.path, profile.fields, requests)

    def forms(self, profile: Profile) -> Iterator[Case]:
        """The frames of an ordinary call in every form that HTTP/2 allows, in others, and behind a refused call."""
        yield from conversations.legal_forms(profile.path, profile.fields, profile.octets)
        yield from conversations.refused_forms(profile.path, profile.fields, profile.octets)
        yield from behind_refused(profile.path, profile.fields, profile.octets)

    def shots(self, profile: Profile | None) -> Iterator[Case]:
        """What is wrong in one frame, each on a connection of its own; around a call of a method if there is one."""
        for probe in SINGLE_SHOTS:
            octets = b"".join(probe.octets())
            if profile is not None:
                octets = conversations.aimed(octets, profile.fields, profile.octets)
            step = Step("raw", octets=octets, seconds=SHOT)
            yield Case("frame", "", (step,), "any", probe.name.replace("-", " "), probe.reference)

    def floods(self, names: Collection[str] = ()) -> Iterator[Case]:
        """The hostile catalogue: of each kind in turn, what was found out last first; single frames at the end.

        With ``names``, those floods alone.
        """
        kinds = [sorted(each, key=_novelty, reverse=True) for each in FLOODS_BY_KIND]
        if names:
            yield from _flood_cases([probe for kind in kinds for probe in kind if probe.name in names])
            return
        yield from in_turn([_flood_cases(each) for each in kinds], 1)
        yield from _flood_cases(SINGLE_SHOTS)


def _novelty(probe: Probe) -> str:
    return probe.reference if "CVE" in probe.reference else ""


def _flood_cases(probes: Sequence[Probe]) -> Iterator[Case]:
    for probe in probes:
        if probe.to == "server":
            step = Step("flood", until=probe.name)
            yield Case("frame", "", (step,), "any", probe.name.replace("-", " "), probe.reference)
