"""Messages that no sound sender sends: wire types, lengths, nesting and text that lie, in every field in turn.

(https://protobuf.dev/programming-guides/encoding/)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from puregrpc.codec.wire_format.tags_and_varints import tag_bytes, varint
from puregrpc.fuzz.cases.case import Expectation
from puregrpc.fuzz.values.choices import Choices, Directed, Path
from puregrpc.fuzz.values.generate import FieldPlan, Generator
from puregrpc.proto.descriptors import FieldDescriptor, FieldType, MessageDescriptor

__all__ = ["INVALID_UTF8", "Damaged", "broken_at_random", "damaged"]

INVALID_UTF8 = (b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"ab\xfe", b"\xe2\x28\xa1")
LYING_LENGTHS = (0x7F, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 32, (1 << 63) - 1, (1 << 64) - 1)
DEPTHS = (101, 1_000, 10_000, 100_000)
UNKNOWN = 536_870_911
MOST_FIELDS = 60


@dataclass(frozen=True, slots=True)
class Damaged:
    """A message with what is wrong with it, and what a sound server makes of it."""

    about: str
    octets: bytes
    expects: Expectation = "any"
    path: Path = ()


def damaged(generator: Generator, descriptor: MessageDescriptor) -> Iterator[Damaged]:
    """The damaged messages of a type, each kind at each field: what a parser meets first comes first."""
    ordinary = generator.message(descriptor, Directed({}, fill=True))
    fields = generator.paths(descriptor)[:MOST_FIELDS]
    has_fields = bool(fields)
    definite: Expectation = "refusal" if has_fields else "any"
    for path, each in fields:
        name = generator.named(descriptor, path)
        for one in _of_field(each):
            yield Damaged(f"{name}: {one.about}", wrapped(generator, descriptor, path, one.octets), one.expects, path)
    yield Damaged("a varint that ends too soon", ordinary + b"\x08\x80", definite)
    yield Damaged("a tag alone", ordinary + tag_bytes(UNKNOWN, 0), definite)
    yield Damaged("a tag of eleven octets", b"\xff" * 10 + b"\x01\x00")
    yield Damaged("a field with the number 0", b"\x00\x00" + ordinary)
    yield Damaged("a field of the wire type 6", ordinary + tag_bytes(UNKNOWN, 6))
    yield Damaged("a field of the wire type 7", ordinary + tag_bytes(UNKNOWN, 7))
    yield Damaged("a group that does not end", ordinary + tag_bytes(UNKNOWN, 3))
    yield Damaged("the end of a group that did not begin", ordinary + tag_bytes(UNKNOWN, 4))
    yield Damaged("a group that ends with another number", ordinary + tag_bytes(1000, 3) + tag_bytes(1001, 4))
    for wire_type, content in ((0, b"\x01"), (1, bytes(8)), (2, b"\x03abc"), (5, bytes(4))):
        yield Damaged(
            f"an unknown field of wire type {wire_type}", ordinary + tag_bytes(UNKNOWN, wire_type) + content, "answer"
        )
    yield Damaged("an unknown group", ordinary + tag_bytes(1000, 3) + b"\x08\x01" + tag_bytes(1000, 4), "any")
    for length in LYING_LENGTHS:
        yield Damaged(f"an unknown field with a length of {length}", ordinary + tag_bytes(UNKNOWN, 2) + varint(length))
    yield Damaged("100,000 unknown fields", ordinary + (tag_bytes(UNKNOWN, 0) + b"\x01") * 100_000)
    for depth in DEPTHS:
        yield Damaged(f"groups nested {depth} deep", tag_bytes(1000, 3) * depth + tag_bytes(1000, 4) * depth)
        yield Damaged(f"groups opened {depth} deep", tag_bytes(1000, 3) * depth)
    yield Damaged("everything twice", ordinary * 2, "answer")
    yield Damaged("random octets", bytes(range(256)))
    yield Damaged("zeros", bytes(1000))
    yield Damaged("JSON", b'{"a": 1}')


def _of_field(each: FieldPlan) -> Iterator[Damaged]:
    field = each.field
    own = each.tag[:0]
    number = field.number
    is_length = field.type in (FieldType.STRING, FieldType.BYTES, FieldType.MESSAGE) and not field.is_delimited
    for wire_type, content in ((0, b"\x01"), (1, bytes(8)), (2, b"\x02\x08\x01"), (5, bytes(4)), (3, b"")):
        if tag_bytes(number, wire_type) != each.tag:
            end = tag_bytes(number, 4) if wire_type == 3 else b""
            yield Damaged(f"wire type {wire_type}", tag_bytes(number, wire_type) + content + end)
    if is_length:
        # protobuf.js cuts texts short.
        expects: Expectation = "any" if field.type is FieldType.STRING else "refusal"
        yield Damaged("a length beyond the end", each.tag + b"\x05ab", expects)
        for length in LYING_LENGTHS:
            yield Damaged(f"a length of {length}", each.tag + varint(length) + b"ab")
        yield Damaged("a length in an overlong varint", each.tag + b"\x81\x80\x80\x00a" if each.plan is None else own)
    if field.type is FieldType.STRING:
        for octets in INVALID_UTF8:
            yield Damaged(f"invalid UTF-8 {octets.hex(' ')}", each.tag + varint(len(octets)) + octets)
    if field.type in (FieldType.INT32, FieldType.UINT32, FieldType.SINT32, FieldType.ENUM, FieldType.BOOL):
        yield Damaged("a varint of 64 bits", each.tag + varint((1 << 64) - 1))
        yield Damaged("a varint of eleven octets", each.tag + b"\x80" * 10 + b"\x01")
        yield Damaged("a varint that is longer than it need be", each.tag + b"\x81\x80\x80\x00")
    if each.encode is not None and field.is_repeated:
        content = b"".join(each.encoded[:3])
        if field.type not in (FieldType.STRING, FieldType.BYTES):
            unpacked = b"".join(tag_bytes(number, _wire_type(field)) + one for one in each.encoded[:3])
            yield Damaged("packed", tag_bytes(number, 2) + varint(len(content)) + content, "answer")
            yield Damaged("not packed", unpacked, "answer")
            yield Damaged("packed and cut", tag_bytes(number, 2) + varint(len(content) + 1) + content + b"\x80")
    if field.is_map:
        yield Damaged("an empty entry", each.tag + b"\x00", "answer")
        yield Damaged("an entry without value", each.tag + b"\x02\x08\x01")
    if each.plan is not None:
        yield Damaged(
            "an empty message", each.tag + b"\x00" if not field.is_delimited else each.tag + _end(field), "answer"
        )
    if each.chain is not None and each.plan is not None:
        for depth in DEPTHS:
            inner = b""
            tag = tag_bytes(each.chain.number, 2)
            if not each.chain.is_delimited:
                for _ in range(min(depth, 20_000)):
                    inner = tag + varint(len(inner)) + inner
                yield Damaged(f"nested {min(depth, 20_000)} deep", each.tag + varint(len(inner)) + inner)


def _end(field: FieldDescriptor) -> bytes:
    return tag_bytes(field.number, 4)


def _wire_type(field: FieldDescriptor) -> int:
    if field.type in (FieldType.DOUBLE, FieldType.FIXED64, FieldType.SFIXED64):
        return 1
    return 5 if field.type in (FieldType.FLOAT, FieldType.FIXED32, FieldType.SFIXED32) else 0


def wrapped(generator: Generator, descriptor: MessageDescriptor, path: Path, octets: bytes) -> bytes:
    """The octets of a field inside the messages that lead to it."""
    tags = []
    current: MessageDescriptor | None = descriptor
    for number in path[:-1]:
        field = (
            next((f.field for f in generator.plan(current).fields() if f.field.number == number), None)
            if current
            else None
        )
        if field is None:
            break
        tags.append(field)
        current = field.message_type
    for field in reversed(tags):
        if field.is_delimited:
            octets = tag_bytes(field.number, 3) + octets + tag_bytes(field.number, 4)
        else:
            octets = tag_bytes(field.number, 2) + varint(len(octets)) + octets
    return octets


def broken_at_random(octets: bytes, random: Random) -> bytes:
    """A message with octets changed, left out, doubled or put in."""
    broken = bytearray(octets)
    for _ in range(1 + int(random.random() * 4)):
        at = int(random.random() * (len(broken) + 1))
        kind = int(random.random() * 6)
        if kind == 0 and broken:
            broken[at % len(broken)] ^= 1 << int(random.random() * 8)
        elif kind == 1:
            broken[at:at] = random.randbytes(1 + int(random.random() * 4))
        elif kind == 2:
            del broken[at : at + 1 + int(random.random() * 4)]
        elif kind == 3:
            broken[at:at] = varint(LYING_LENGTHS[int(random.random() * len(LYING_LENGTHS))])
        elif kind == 4:
            broken[at:at] = broken[at : at + 16]
        else:
            del broken[at:]
    return bytes(broken)


def random_damage(generator: Generator, descriptor: MessageDescriptor, random: Random) -> bytes:
    """A made-up message, broken."""
    return broken_at_random(generator.message(descriptor, Choices(random)), random)
