"""Single fields of serialized messages: which ones two messages have in common, their values, and setting them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

from puregrpc.codec.faults import FAULTS
from puregrpc.codec.wire_format.tags_and_varints import read_fields, tag_bytes, varint
from puregrpc.fuzz.values.choices import Path
from puregrpc.fuzz.values.generate import FieldPlan, Generator
from puregrpc.proto.descriptors import FieldType, MessageDescriptor

__all__ = [
    "ALL", "ENTRIES", "PRESENT", "common_fields", "entry", "leaves", "lists", "lost_field", "maps", "parts_of",
    "raw_value", "with_field",
]  # fmt: skip

MOST_DEPTH = 3
ALL = 0
"""Behind the path of a list: all that is in it. Before the number of a field: that field of each message of it."""
TIMES = ("google.protobuf.Timestamp", "google.protobuf.Duration")
PRESENT = -1
"""Behind the path of a field: whether it is set."""
ENTRIES = -2
"""Behind the path of a map: its entries in the order of their keys."""


def leaves(generator: Generator, descriptor: MessageDescriptor) -> Iterator[tuple[Path, FieldPlan]]:
    """The single scalars of a message and of its single messages, near ones first."""
    lists: set[Path] = set()
    for path, plan in generator.paths(descriptor):
        field = plan.field
        if field.is_repeated or field.is_map or any(path[:length] in lists for length in range(1, len(path))):
            lists.add(path)
        elif plan.encode is not None and not field.is_delimited and len(path) <= MOST_DEPTH:
            yield path, plan


def lists(generator: Generator, descriptor: MessageDescriptor) -> Iterator[tuple[Path, FieldPlan]]:
    """The lists of scalars of a message and of its single messages, as the paths of all that is in them."""
    many: set[Path] = set()
    for path, plan in generator.paths(descriptor):
        field = plan.field
        is_within = any(path[:length] in many for length in range(1, len(path)))
        if field.is_repeated or field.is_map:
            many.add(path)
            if plan.encode is not None and not field.is_map and not is_within and len(path) < MOST_DEPTH:
                yield (*path, ALL), plan


def times(generator: Generator, descriptor: MessageDescriptor) -> Iterator[tuple[Path, FieldPlan]]:
    """The single times and durations of a message."""
    many: set[Path] = set()
    for path, plan in generator.paths(descriptor):
        kind = plan.field.message_type
        if plan.field.is_repeated or any(path[:length] in many for length in range(1, len(path))):
            many.add(path)
        elif len(path) < MOST_DEPTH and kind is not None and kind.full_name in TIMES:
            yield path, plan


def columns(generator: Generator, descriptor: MessageDescriptor) -> Iterator[tuple[Path, FieldPlan]]:
    """The single scalars of lists of messages, each as the path of it in all of them, with the plan of the list."""
    many: set[Path] = set()
    for path, plan in generator.paths(descriptor):
        field = plan.field
        if any(path[:length] in many for length in range(1, len(path))):
            continue
        if field.is_repeated or field.is_map:
            many.add(path)
            if plan.plan is not None and not plan.known and not field.is_map and not field.is_delimited:
                for each in plan.plan.fields():
                    if each.encode is not None and not each.field.is_repeated:
                        yield (*path, ALL, each.field.number), plan


def maps(generator: Generator, descriptor: MessageDescriptor) -> Iterator[tuple[Path, FieldPlan]]:
    """The maps of scalars of a message and of its single messages, as the paths of their entries."""
    many: set[Path] = set()
    for path, plan in generator.paths(descriptor):
        if plan.field.is_repeated or plan.field.is_map:
            is_within = any(path[:length] in many for length in range(1, len(path)))
            many.add(path)
            if not plan.field.is_map or plan.plan is None or is_within or len(path) >= MOST_DEPTH:
                continue
            if all(each.encode is not None for each in plan.plan.fields()):
                yield (*path, ENTRIES), plan


def entry(plan: FieldPlan, number: int) -> bytes:
    """An entry of a map, its tag included, whose key is made of a number; its value is an ordinary one."""
    assert plan.plan is not None
    key, value = sorted(plan.plan.fields(), key=lambda each: each.field.number)
    assert key.encode is not None
    text = f"v{number:08x}"
    named = key.encode(text) if key.field.type is FieldType.STRING else key.encode(number & 0x7FFFFFFF)
    content = key.tag + named + value.tag + value.encoded[1 % len(value.encoded)]
    return plan.tag + varint(len(content)) + content


def common_fields(
    generator: Generator, request: MessageDescriptor, reply: MessageDescriptor
) -> list[tuple[Path, Path, FieldPlan]]:
    """The fields of a request that a reply has too, by name and type: where they are in both."""
    found: list[tuple[Path, Path, FieldPlan]] = []
    for kind in (leaves, lists, times, columns, maps):
        there: dict[tuple[object, ...], Path] = {}
        for path, plan in kind(generator, reply):
            there.setdefault(_meaning(path, plan), path)
        for path, plan in kind(generator, request):
            other = there.pop(_meaning(path, plan), None)
            if other is not None:
                found.append((path, other, plan))
    return found


def _meaning(path: Path, plan: FieldPlan) -> tuple[object, ...]:
    """By which fields of two messages are the same: names and types."""
    field = plan.field
    inner = [each.field for each in plan.plan.fields()] if plan.plan is not None and not plan.known else []
    if path[-1] == ENTRIES:
        return (field.name, *(each.type for each in inner))
    if path[-2:-1] == (ALL,):
        return (field.name, *((each.name, each.type) for each in inner if each.number == path[-1]))
    return field.name, field.type


def raw_value(octets: bytes, path: Path) -> bytes | None:
    """What a field holds, as it is written. None where it is not set.

    Of a scalar the last one counts, and messages of one number are one message in parts. Of a list it is all
    values, one behind the other.
    """
    for at, number in enumerate(path):
        if number == PRESENT:
            return None if raw_value(octets, path[:at]) is None else b"set"
        if number in (ALL, ENTRIES):
            parts = parts_of(octets, path[:at])
            if number == ENTRIES:
                parts = sorted(_whole(raw_value(each, (1,))) + _whole(raw_value(each, (2,))) for each in parts)
            elif path[at + 1 :]:
                parts = [_whole(raw_value(each, path[at + 1 :])) for each in parts]
            return b"".join(parts) if parts else None
    parts = parts_of(octets, path) if path else [octets]
    return parts[-1] if parts else None


def parts_of(octets: bytes, path: Path) -> list[bytes]:
    """All that is written of a field, one by one."""
    parts = [octets]
    try:
        for depth, number in enumerate(path):
            octets, parts = b"".join(parts), []
            for tag, at, stop in read_fields(octets, 0, len(octets), 100):
                if tag >> 3 == number and (depth == len(path) - 1 or tag & 7 == 2):
                    parts.append(varint(at) if tag & 7 == 0 else octets[at:stop])
    except (*FAULTS, RecursionError):
        return []
    return parts


def _whole(value: bytes | None) -> bytes:
    """A value that can be told from the next one; what is a default may be written or not."""
    value = (value or b"").strip(b"\0")
    return varint(len(value)) + value


def with_field(descriptor: MessageDescriptor, octets: bytes, path: Path, content: bytes) -> bytes:
    """A message with a field set to what ``content`` says, its tag included: what comes last is what counts.

    A message within it stays one: not every parser puts together the parts of one that comes twice.
    """
    path = path[: next((at for at, number in enumerate(path) if number <= 0), len(path))]
    if len(path) < 2:
        return octets + content
    field = next((each for each in descriptor.fields if each.number == path[0]), None)
    if field is None or field.message_type is None:
        return octets
    within, rest = b"", octets
    if not (field.is_repeated or field.is_map or field.is_delimited):
        within, rest = _taken_out(octets, path[0])
    within = with_field(field.message_type, within, path[1:], content)
    if field.is_delimited:
        return rest + tag_bytes(path[0], 3) + within + tag_bytes(path[0], 4)
    return rest + tag_bytes(path[0], 2) + varint(len(within)) + within


def _taken_out(octets: bytes, number: int) -> tuple[bytes, bytes]:
    """What is written of a message within a message, all parts of it, and the rest."""
    within, rest, position = b"", b"", 0
    try:
        for tag, at, stop in read_fields(octets, 0, len(octets), 100):
            if tag == number << 3 | 2:
                within += octets[at:stop]
            else:
                rest += octets[position:stop]
            position = stop
    except (*FAULTS, RecursionError):
        return b"", octets
    return within, rest


def lost_field(sent: bytes, reply: bytes, fields: Sequence[tuple[Path, Path]]) -> Path | None:
    """The first field that is another in a reply than it was sent; None if all are the same. ``fields``: where in both.

    What differs in white space at its ends, case or Unicode's forms alone has been put into order, and is not lost.
    """
    for path, other in fields:
        before, after = raw_value(sent, path) or b"", raw_value(reply, other) or b""
        if before != after and before.strip(b"\0") != after.strip(b"\0") and _in_order(before) != _in_order(after):
            return path
    return None


def _in_order(octets: bytes) -> str | bytes:
    try:
        return unicodedata.normalize("NFKC", octets.decode()).strip().casefold()
    except UnicodeDecodeError:
        return octets
