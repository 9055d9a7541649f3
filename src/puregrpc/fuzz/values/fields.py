"""Single fields of serialized messages: which ones two messages have in common, their values, and setting them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

from puregrpc.codec.faults import FAULTS
from puregrpc.codec.wire_format.tags_and_varints import read_fields, tag_bytes, varint
from puregrpc.fuzz.values.choices import Path
from puregrpc.fuzz.values.generate import FieldPlan, Generator
from puregrpc.proto.descriptors import FieldDescriptor, MessageDescriptor

__all__ = ["ALL", "PRESENT", "common_fields", "leaves", "lists", "lost_field", "raw_value", "with_field"]

MOST_DEPTH = 3
ALL = 0
"""Behind the path of a list: all that is in it."""
TIMES = ("google.protobuf.Timestamp", "google.protobuf.Duration")
PRESENT = -1
"""Behind the path of a field: whether it is set."""


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
    for path, plan in generator.paths(descriptor):
        kind = plan.field.message_type
        if len(path) == 1 and not plan.field.is_repeated and kind is not None and kind.full_name in TIMES:
            yield path, plan


def common_fields(
    generator: Generator, request: MessageDescriptor, reply: MessageDescriptor
) -> list[tuple[Path, Path, FieldPlan]]:
    """The fields of a request that a reply has too, by name and type: where they are in both."""
    found: list[tuple[Path, Path, FieldPlan]] = []
    for kind in (leaves, lists, times):
        there: dict[tuple[str, object], Path] = {}
        for path, plan in kind(generator, reply):
            there.setdefault((plan.field.name, plan.field.type), path)
        for path, plan in kind(generator, request):
            other = there.pop((plan.field.name, plan.field.type), None)
            if other is not None:
                found.append((path, other, plan))
    return found


def raw_value(octets: bytes, path: Path) -> bytes | None:
    """What a field holds, as it is written. None where it is not set.

    Of a scalar the last one counts, and messages of one number are one message in parts. Of a list it is all
    values, one behind the other.
    """
    if path[-1:] == (PRESENT,):
        return None if raw_value(octets, path[:-1]) is None else b"set"
    is_list = path[-1:] == (ALL,)
    path = path[:-1] if is_list else path
    try:
        for depth, number in enumerate(path):
            is_last = depth == len(path) - 1
            parts: list[bytes] = []
            for tag, at, stop in read_fields(octets, 0, len(octets), 100):
                if tag >> 3 == number and (is_last or tag & 7 == 2):
                    parts.append(varint(at) if tag & 7 == 0 else octets[at:stop])
            if not parts:
                return None
            octets = parts[-1] if is_last and not is_list else b"".join(parts)
    except (*FAULTS, RecursionError):
        return None
    return octets


def with_field(descriptor: MessageDescriptor, octets: bytes, path: Path, content: bytes) -> bytes:
    """A message with a field set to what ``content`` says, its tag included: what comes last is what counts."""
    path = path[:-1] if path[-1:] in ((ALL,), (PRESENT,)) else path
    tags: list[FieldDescriptor] = []
    current: MessageDescriptor | None = descriptor
    for number in path[:-1]:
        field = next((each for each in current.fields if each.number == number), None) if current else None
        if field is None:
            return octets
        tags.append(field)
        current = field.message_type
    for field in reversed(tags):
        if field.is_delimited:
            content = tag_bytes(field.number, 3) + content + tag_bytes(field.number, 4)
        else:
            content = tag_bytes(field.number, 2) + varint(len(content)) + content
    return octets + content


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
