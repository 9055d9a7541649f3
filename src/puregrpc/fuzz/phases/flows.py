"""Calls of two methods on one thing: what the one puts is what the other gives back.

They are found by the names of methods and by the names and types of fields. A field is compared where an ordinary value
came back; so a service that makes something else of what it is given is left in peace.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from puregrpc.codec.wire_format.tags_and_varints import varint
from puregrpc.fuzz.cases.case import Case, Step, Stored, Take
from puregrpc.fuzz.checks.words import Profile
from puregrpc.fuzz.frames.probe import message
from puregrpc.fuzz.values.choices import Directed, Path
from puregrpc.fuzz.values.field_values import words_of
from puregrpc.fuzz.values.fields import ALL, ENTRIES, PRESENT, common_fields, leaves, lost_field, with_field
from puregrpc.fuzz.values.generate import FieldPlan, Generator
from puregrpc.proto.descriptors import FieldDescriptor, FieldType, MessageDescriptor

__all__ = [
    "GETS",
    "KEPT_BY_SERVERS",
    "KEYS",
    "PUTS",
    "READS",
    "Flow",
    "called",
    "flows_of",
    "is_same",
    "other_value",
    "tags_to",
]

PUTS = (
    "put", "set", "create", "add", "insert", "store", "save", "write", "update", "upsert", "register", "post", "open",
    "make", "new", "submit", "place", "book", "reserve", "append", "publish",
)  # fmt: skip
GETS = ("get", "read", "fetch", "find", "lookup", "load", "show", "describe", "retrieve", "query")
READS = (*GETS, "list", "search", "count", "export", "watch", "browse")
MOST_READERS = 4
REPLACES = ("put", "set", "store", "save", "write")
OVERWRITES = (*REPLACES, "update", "upsert")
KEYS = ("id", "key", "name", "uuid", "uid", "code", "slug")


def _times(*pairs: tuple[int, int]) -> tuple[bytes, ...]:
    """Seconds and billionths, as both messages have them."""
    tags = b"\x08", b"\x10"
    return tuple(b"".join(tag + varint(each) for tag, each in zip(tags, pair, strict=True)) for pair in pairs)


KEPT_BY_SERVERS = (
    "version", "revision", "etag", "status", "state", "created", "updated", "modified", "time", "at", "count", "size",
    "total", "owner", "password", "secret", "token", "hash", "generation", "url", "uri", "checksum", "author", "role",
)  # fmt: skip
"""Words of fields that servers set themselves, or never give back."""
SWITCHED_BY_SERVERS = (
    "deleted", "active", "inactive", "verified", "validated", "valid", "archived", "admin", "confirmed", "approved",
    "accepted", "rejected", "complete", "completed", "finished", "done", "expired", "cancelled", "canceled",
    "available", "enabled", "disabled", "visible", "hidden", "published", "paid", "refunded", "processed",
    "processing", "running", "locked", "blocked", "banned", "closed", "online", "offline", "default", "system",
    "internal", "readonly", "stored", "saved", "new", "exists", "existed", "shipped", "delivered", "started",
    "stopped", "live", "ready", "has", "is", "can", "success", "ok", "found", "overdue", "late", "full", "empty",
    "dirty", "stale", "synced", "indexed", "cached",
)  # fmt: skip
"""Words of switches that tell what has become of a thing."""
VALUES_OF_A_FIELD = 90
VALUES_OF_A_KEY = 40
MOST_OCTETS = 80_000
MOST_KEY = 2000
NEAR = (
    ("one in capitals", "key", "KEY"),
    ("one with a space behind it", "key", "key "),
    ("one with a space before it", "key", " key"),
    ("one composed and one not", "caf\u00e9", "cafe\u0301"),
    ("one in wide letters", "key", "\uff4bey"),
    ("alike up to their end", "k" * 80 + "1", "k" * 80 + "2"),
    ("alike up to their far end", "k" * 300 + "1", "k" * 300 + "2"),
    ("one with a zero before it", "7", "07"),
    ("one with a slash behind it", "key", "key/"),
    ("one with a dot", "a.b", "a_b"),
)
"""Keys that are not the same, and how."""
TEXTS = (
    "\U0001f600", "a\r\nb", "<a & 'b'>", "a\tb", "a\\nb", "%41+%C3", "a  b", "cafe\u0301", "\u202ea", "a\x7fb",
    "a\x01b", "10.50", "1,5", "a;b", "\ufb01", "\u00df", "null", "007",
)  # fmt: skip
"""Such as quotes, controls, and characters that few encodings have."""
TIMES = {
    "google.protobuf.Timestamp": _times((-1, 0), (1_700_000_000, 123_456_000), (4_102_444_800, 0), (1 << 32, 0)),
    "google.protobuf.Duration": _times((1, 500_000_000), (0, 1000), (-90, -500_000_000), (34_560_000, 0)),
}
"""As they are written: before 1970, behind 2038, and parts of a second down to millionths, which most clocks have."""
OCTETS = (b"a\0b", b" a ", b"\xff\0\x80", b"a\n", b"\xef\xbb\xbfa", bytes(range(256)))
LISTS = (2, 30, 300)
"""How many values are put into a list, in order and none of them twice: it may be kept as a set."""
LISTED = {
    FieldType.STRING: False, FieldType.BYTES: False, FieldType.INT32: True, FieldType.INT64: True,
    FieldType.UINT32: True, FieldType.UINT64: True,
}  # fmt: skip
"""Types of the values of lists that are compared, and whether they are numbers."""
FIXED = {
    FieldType.FIXED64: 1, FieldType.SFIXED64: 1, FieldType.DOUBLE: 1,
    FieldType.FIXED32: 5, FieldType.SFIXED32: 5, FieldType.FLOAT: 5,
}  # fmt: skip
"""Wire types of what has so many octets."""
BLANK = b"\x01 "
"""As it is written behind its tag."""
MADE_AT_ONCE = 20
MADE_ROUNDS = 8
MADE_APART = 0.03
"""Seconds between things whose keys differ, if keys are told apart by anything."""


@dataclass(slots=True)
class Flow:
    """Two methods, where they have the key of the thing, and the fields that both have."""

    put: Profile
    get: Profile
    key: Path
    """Of the key in the request that puts; empty where the server makes the keys."""
    reply_key: Path
    """Of the key in the reply to that."""
    wanted: FieldPlan
    """The key in the request that gets, a field of the message itself."""
    key_plan: FieldPlan | None
    fields: list[tuple[Path, Path, FieldPlan]]
    readers: list[Profile] = field(default_factory=list)
    """Other methods of the service that only read."""
    otherwise: Flow | None = None
    """With the key of the reply, where the request has one as well: servers may make keys whatever they are given."""

    def cases(self, generator: Generator) -> Iterator[Case]:
        """The ordinary one, two things one after another, then values of every field in turn, and of keys."""
        yield self.ordinary(generator)
        if self.key_plan is None:
            yield self._made_at_once(generator)
        yield from self._near_keys(generator)
        if self.readers:
            names = ", ".join(each.method.name for each in self.readers)
            for readers in (self.readers, [replace(each, octets=b"") for each in self.readers]):
                about = f"what was put before {names}"
                yield self._case(generator, about, [self._put(generator, {})], self._stored(), readers=readers)
        puts = [self._put(generator, {}), self._put(generator, self._others(), self._key(3))]
        yield self._case(generator, "one thing after another was put", puts, self._stored())
        if self.key_plan is not None:
            puts = [self._put(generator, {}, self._key(3)), self._put(generator, self._others())]
            yield self._case(generator, "one thing after another was put", puts, self._stored(), key=self._key(3))
            if words_of(self.put.method.name)[0] in OVERWRITES:
                puts = [self._put(generator, {}), self._put(generator, self._others())]
                about = "a thing that was put twice, and got between that"
                yield self._case(generator, about, puts, self._stored(), of=1, looks_between=True)
            if words_of(self.put.method.name)[0] in REPLACES:
                more = {path: _entries(plan, 2) for path, _, plan in self.fields if path[-1] == ENTRIES}
                puts = [self._put(generator, more), self._put(generator, {})]
                about = "a thing that was put twice, with less in its maps then"
                if more:
                    yield self._case(generator, about, puts, self._stored(), of=1)
        yield self._case(generator, "what was put, and got before", [self._put(generator, {})], self._stored(), times=2)
        yield from self._defaults(generator)
        for at in range(2, 2 + VALUES_OF_A_FIELD):
            for path, other, plan in self.fields:
                for content in _values(path, plan, at):
                    about = f"what {generator.named(self.put.method.input_type, _without_all(path))} was put as"
                    put = self._put(generator, {path: content})
                    yield self._case(generator, about, [put], _parts(path, other, plan))
            key = self._key(at) if at < VALUES_OF_A_KEY else None
            if key is not None and len(key) < MOST_KEY:
                yield self._case(generator, "another key", [self._put(generator, {}, key)], self._stored(), key=key)

    def _defaults(self, generator: Generator) -> Iterator[Case]:
        """Defaults of fields that may also be unset."""
        for path, other, plan in self.fields:
            if path[-1] != ALL and plan.field.has_presence and plan.encode is not None and plan.field.type in LISTED:
                put = self._put(generator, {path: plan.tag + plan.encode(0 if LISTED[plan.field.type] else "")})
                about = f"{generator.named(self.put.method.input_type, path)} with its default"
                yield self._case(generator, about, [put], (((*path, PRESENT), (*other, PRESENT)),))

    def _near_keys(self, generator: Generator) -> Iterator[Case]:
        """Two things whose keys are nearly the same; the first of them is to come back."""
        plan = self.key_plan
        if plan is None or plan.encode is None or plan.field.type is not FieldType.STRING:
            return
        for about, one, other in NEAR:
            key = plan.encode(one)
            puts = [self._put(generator, {}, key), self._put(generator, self._others(), plan.encode(other))]
            yield self._case(generator, f"one of two things, {about},", puts, self._stored(), key=key)

    def _made_at_once(self, generator: Generator) -> Case:
        """The server makes keys for many things at once; each is to have its own."""
        octets = self._put(generator, {})
        steps: list[Step] = []
        for number in range(2):
            steps += [
                Step("burst", number, self.put.fields, message(octets), code=1), Step("wait", number, until="all"),
                Step("pause", seconds=MADE_APART),
            ]  # fmt: skip
        for number in range(MADE_ROUNDS):
            steps.append(Step("burst", 2 + number * MADE_AT_ONCE, self.put.fields, message(octets), code=MADE_AT_ONCE))
            steps.append(Step("wait", until="all"))
        about = f"{MADE_AT_ONCE} things at once, by {self.put.method.name}"
        return Case(
            "sequence", self.put.path, tuple(steps), "distinct", about, stored=((self.reply_key, self.reply_key),)
        )

    def _key(self, at: int) -> bytes | None:
        plan = self.key_plan
        return plan.encoded[at] if plan is not None and at < len(plan.encoded) else None

    def ordinary(self, generator: Generator) -> Case:
        """Ordinary values, put and got once."""
        return self._case(generator, "what was put", [self._put(generator, {})], self._stored())

    def confirm(self, case: Case, replies: Sequence[bytes]) -> bool:
        """Keep the fields that came back as they were, each time; False if there are none.

        One that alone does not come back, among many that do, stays: it is lost. So does a list that has grown when
        the same was put again.
        """
        sent = case.messages[0]
        came = [[lost_field(sent, reply, _parts(*each)) is None for reply in replies] for each in self.fields]
        verb = words_of(self.put.method.name)[0]
        same = [
            each for each, times in zip(self.fields, came, strict=True)
            if all(times) or (times[0] and verb in OVERWRITES and ALL in each[0] and not self._may_be_kept(each))
        ]  # fmt: skip
        lost = [
            each
            for each, times in zip(self.fields, came, strict=True)
            if not any(times)
            and not set(words_of(_name(*each))) & {*KEPT_BY_SERVERS, *KEYS}
            # As deleted, active or verified, servers may set it themselves, but of what is put whole.
            and (each[2].field.type is not FieldType.BOOL or self._is_callers(each, verb))
        ]
        is_lost = len(lost) == 1 and len(same) >= 2
        self.fields = same + lost if is_lost else same
        return bool(same)

    def put_steps(self, generator: Generator, number: int, *, is_other: bool = False) -> tuple[Step, ...]:
        """A call that puts ordinary values, or other ones under another key, as the stream of this number."""
        key = self._key(3) if is_other else None
        octets = self._put(generator, self._others() if is_other else {}, key)
        return called(self.put, number, octets)

    def keyed(
        self, generator: Generator, profile: Profile, octets: bytes, number: int, *, of: int = 0, is_other: bool = False
    ) -> tuple[Step, ...]:
        """A call of another method about the thing that the stream ``of`` has put; none if it has no such field."""
        path, plan = self.key_in(generator, profile)
        if plan is None:
            return ()
        descriptor = profile.method.input_type
        if self.key_plan is None:
            return called(profile, number, octets, (of, self.reply_key, tags_to(descriptor, path)))
        key = self._key(3) if is_other else None
        value = self.key_plan.encoded[1] if key is None else key
        return called(profile, number, with_field(descriptor, octets, path, plan.tag + value))

    def key_in(self, generator: Generator, profile: Profile) -> tuple[Path, FieldPlan | None]:
        """Where a request of another method has the key of a thing."""
        wanted = self.wanted.field
        for path, plan in leaves(generator, profile.method.input_type):
            if plan.field.name == wanted.name and plan.field.type is wanted.type and len(path) < 3:
                return path, plan
        return (), None

    @property
    def is_doubtful(self) -> bool:
        """Whether it has fields that servers may set themselves, to what was sent by accident."""
        return any(self._may_be_kept(each) for each in self.fields)

    def other_values(self, generator: Generator) -> Case:
        """Other values, put and got once."""
        return self._case(generator, "what was put", [self._put(generator, self._others())], self._stored())

    def leave_out(self, case: Case, replies: Sequence[bytes]) -> bool:
        """Leave out the doubtful fields that did not come back; False if nothing is left."""
        sent = case.messages[0]
        self.fields = [
            each for each in self.fields
            if not self._may_be_kept(each) or all(lost_field(sent, reply, _parts(*each)) is None for reply in replies)
        ]  # fmt: skip
        return bool(self.fields)

    @staticmethod
    def _may_be_kept(part: tuple[Path, Path, FieldPlan]) -> bool:
        return bool(set(words_of(_name(*part))) & {*KEPT_BY_SERVERS})

    @staticmethod
    def _is_callers(part: tuple[Path, Path, FieldPlan], verb: str) -> bool:
        """Whether a switch is the caller's to set."""
        return verb in REPLACES and not set(words_of(_name(*part))) & {*SWITCHED_BY_SERVERS}

    def _others(self) -> dict[Path, bytes]:
        """Other values for the fields, as simple as the ordinary ones."""
        return {path: plan.tag + other_value(plan) for path, _, plan in self.fields if plan.encoded[2:]}

    @property
    def stored(self) -> Stored:
        """What is compared."""
        return self._stored()

    def _stored(self) -> Stored:
        return tuple(part for each in self.fields for part in _parts(*each))

    def _put(self, generator: Generator, changed: dict[Path, bytes], key: bytes | None = None) -> bytes:
        descriptor = self.put.method.input_type
        octets = generator.message(descriptor, Directed({}, fill=True))
        if self.key and self.key_plan is not None:
            value = self.key_plan.encoded[1] if key is None else key
            octets = with_field(descriptor, octets, self.key, self.key_plan.tag + value)
        for path, content in changed.items():
            octets = with_field(descriptor, octets, path, content)
        return octets

    def _case(
        self, generator: Generator, about: str, puts: Sequence[bytes], stored: Stored, *, key: bytes | None = None,
        of: int = 0, readers: Sequence[Profile] = (), looks_between: bool = False,
        times: int = 1,
    ) -> Case:  # fmt: skip
        """``of``: the number of the put that counts; ``looks_between``: what was put is got behind each put.

        It is got so many ``times`` at the end.
        """
        wanted = generator.message(self.get.method.input_type, Directed({}, fill=True))
        take: Take | None = None
        if self.key_plan is not None:
            wanted += self.wanted.tag + (self.key_plan.encoded[1] if key is None else key)
        else:
            take = (of, self.reply_key, (self.wanted.field.number << 3 | (self.wanted.tag[0] & 7),))
        steps: list[Step] = []
        number = 0
        for octets in puts:
            if looks_between and steps:
                steps += [
                    Step("open", number, self.get.fields), Step("data", number, octets=message(wanted), end=True),
                    Step("wait", number, until="end"),
                ]  # fmt: skip
                number += 1
            steps += [
                Step("open", number, self.put.fields), Step("message", number, octets=octets, end=True),
                Step("wait", number, until="end"),
            ]  # fmt: skip
            number += 1
        for reader in readers:
            steps += [
                Step("open", number, reader.fields), Step("data", number, octets=message(reader.octets), end=True),
                Step("wait", number, until="end"),
            ]  # fmt: skip
            number += 1
        for last in range(number, number + times):
            steps += [
                Step("open", last, self.get.fields), Step("message", last, octets=wanted, end=True, take=take),
                Step("wait", last, until="end"),
            ]  # fmt: skip
        about = f"{about}, by {self.put.method.name} and {self.get.method.name}"
        return Case("sequence", self.get.path, tuple(steps), "stored", about, stored=stored, stored_by=of)


def other_value(plan: FieldPlan) -> bytes:
    """A value that is not the ordinary one, nor blank, as simple as can be."""
    return min((each for each in plan.encoded[2:] if each != BLANK), key=len)


def called(profile: Profile, number: int, octets: bytes, take: Take | None = None) -> tuple[Step, ...]:
    """A call with one message, and its end."""
    return (
        Step("open", number, profile.fields), Step("message", number, octets=octets, end=True, take=take),
        Step("wait", number, until="end"),
    )  # fmt: skip


def tags_to(descriptor: MessageDescriptor, path: Path) -> tuple[int, ...]:
    """The tags that lead to a scalar of single messages."""
    found: list[int] = []
    current: MessageDescriptor | None = descriptor
    for number in path:
        field = next((each for each in current.fields if each.number == number), None) if current else None
        if field is None:
            return ()
        found.append(number << 3 | wire_type_of(field))
        current = field.message_type
    return tuple(found)


def wire_type_of(field: FieldDescriptor) -> int:
    """How a scalar, or a message, is written."""
    if field.type in FIXED:
        return FIXED[field.type]
    return 2 if field.type in (FieldType.STRING, FieldType.BYTES, FieldType.MESSAGE) else 0


def _without_all(path: Path) -> Path:
    return tuple(number for number in path if number > 0)


def _name(path: Path, _: Path, plan: FieldPlan) -> str:
    """Of a field, behind that of the list whose messages have it."""
    if plan.plan is None or path[-2:-1] != (ALL,):
        return plan.field.name
    return next(each.field.name for each in plan.plan.fields() if each.field.number == path[-1])


def _parts(path: Path, other: Path, plan: FieldPlan) -> Stored:
    """Where a field is compared: a time, which parsers put together of all that is given, in its parts."""
    if plan.encode is not None or not plan.known:
        return ((path, other),)
    return tuple(((*path, number), (*other, number)) for number in (1, 2))


def _values(path: Path, plan: FieldPlan, at: int) -> Iterator[bytes]:
    """What a field is put as, its tag included: values of its tables, or more values of a list, in order."""
    kind = plan.field.message_type
    if path[-1] == ENTRIES or path[-2:-1] == (ALL,):
        if at - 2 < len(LISTS):
            yield (_entries if path[-1] == ENTRIES else _elements)(plan, LISTS[at - 2])
        if at == 2 and path[-1] == ENTRIES:
            yield _entries(plan, 2) + _within(plan, _entry_key(plan))
            yield _entries(plan, 2) + _within(plan, _entry_value(plan))
        return
    if path[-1] != ALL:
        if at < len(plan.encoded) and len(plan.encoded[at]) < MOST_OCTETS:
            yield plan.tag + plan.encoded[at]
        if plan.field.type is FieldType.STRING and plan.encode is not None and at - 2 < len(TEXTS):
            yield plan.tag + plan.encode(TEXTS[at - 2])
        if plan.field.type is FieldType.BYTES and plan.encode is not None and at - 2 < len(OCTETS):
            yield plan.tag + plan.encode(OCTETS[at - 2])
        if kind is not None and at - 2 < len(TIMES.get(kind.full_name, ())):
            time = TIMES[kind.full_name][at - 2]
            yield plan.tag + varint(len(time)) + time
        return
    if at - 2 >= len(LISTS) or plan.encode is None or plan.field.type not in LISTED:
        return
    is_number = LISTED[plan.field.type]
    values = (1000 + number if is_number else b"z%03d" % number for number in range(LISTS[at - 2]))
    yield b"".join(plan.tag + plan.encode(value) for value in values)


def _elements(plan: FieldPlan, count: int) -> bytes:
    """Messages of a list, in order and no two alike, whose scalars are all set."""
    assert plan.plan is not None
    singles = [each for each in plan.plan.fields() if each.encode is not None and not each.field.is_repeated]
    return b"".join(
        _within(plan, b"".join(each.tag + _value(each, number) for each in singles)) for number in range(count)
    )


def _entry_key(plan: FieldPlan) -> bytes:
    """An entry of a map whose value is the default."""
    assert plan.plan is not None
    key = next(each for each in plan.plan.fields() if each.field.number == 1)
    return key.tag + _value(key, 99)


def _entry_value(plan: FieldPlan) -> bytes:
    """An entry of a map whose key is the default."""
    assert plan.plan is not None
    value = next(each for each in plan.plan.fields() if each.field.number == 2)
    return value.tag + _value(value, 9)


def _entries(plan: FieldPlan, count: int) -> bytes:
    """Entries of a map."""
    assert plan.plan is not None
    by_number = {each.field.number: each for each in plan.plan.fields()}
    key, value = by_number[1], by_number[2]
    return b"".join(
        _within(plan, key.tag + _value(key, 100 + number) + value.tag + _value(value, number))
        for number in range(count)
    )


def _value(plan: FieldPlan, number: int) -> bytes:
    """One of as many values as there are, if a field has so many."""
    assert plan.encode is not None
    if plan.field.type in LISTED:
        return plan.encode(2 + number if LISTED[plan.field.type] else b"z%03d" % number)
    return plan.encoded[1 % len(plan.encoded)]


def _within(plan: FieldPlan, content: bytes) -> bytes:
    return plan.tag + varint(len(content)) + content


def flows_of(profiles: Sequence[Profile], generator: Generator) -> list[Flow]:
    """The methods that put a thing and those that give it back."""
    unary = [each for each in profiles if not each.method.is_client_stream and not each.method.is_server_stream]
    found: list[Flow] = []
    for put in unary:
        verb, *noun = words_of(put.method.name) or [""]
        if verb not in PUTS:
            continue
        for get in unary:
            other, *what = words_of(get.method.name) or [""]
            if other in GETS and is_same(noun, what) and put.path.rpartition("/")[0] == get.path.rpartition("/")[0]:
                both = list(_flows(put, get, noun, generator))
                for flow in both:
                    flow.readers = [
                        each for each in unary
                        if each not in (put, get) and each.answer is not None and each.answer.code == 0
                        and (words_of(each.method.name) or [""])[0] in READS
                        and each.path.rpartition("/")[0] == put.path.rpartition("/")[0]
                    ][:MOST_READERS]  # fmt: skip
                if len(both) > 1:
                    both[0].otherwise = both[1]
                found += both[:1]
    return found


def is_same(noun: Sequence[str], other: Sequence[str]) -> bool:
    """Whether the names of two methods, without their verbs, are about the same kind of thing."""
    one, two = "".join(noun).rstrip("s"), "".join(other).rstrip("s")
    return one == two or not one or not two


def _flows(put: Profile, get: Profile, noun: Sequence[str], generator: Generator) -> Iterator[Flow]:
    fields = common_fields(generator, put.method.input_type, get.method.output_type)
    wanted = [(path, plan) for path, plan in leaves(generator, get.method.input_type) if len(path) == 1]
    own = [*KEYS, *("_".join((*noun, key)) for key in KEYS)]
    wanted.sort(key=lambda each: (each[1].field.name not in own, not each[1].field.name.endswith("_id")))
    for _, plan in wanted[:1]:
        names = {plan.field.name, *own} if plan.field.name in own else {plan.field.name}
        for path, other in leaves(generator, put.method.input_type):
            if other.field.name in names and other.field.type is plan.field.type and len(other.encoded) > 1:
                kept = [each for each in fields if each[0] != path]
                if kept:
                    yield Flow(put, get, path, (), plan, other, kept)
                break
        for path, other in leaves(generator, put.method.output_type):
            if other.field.name in names and other.field.type is plan.field.type:
                if fields:
                    yield Flow(put, get, (), path, plan, None, fields)
                break
