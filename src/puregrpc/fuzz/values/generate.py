"""Messages from descriptors: serialized messages, made from choices, that are valid by the schema.

What a sound sender never sends (wire types that lie, lengths beyond the end) is `damage`'s; here every message can be
parsed. Numbers, texts and well-known types may still be beyond what their meaning allows.
"""

from __future__ import annotations

import random as random_module
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from puregrpc.codec.wire_format.tags_and_varints import tag_bytes, varint
from puregrpc.fuzz.values.choices import Choices, Directed, Path
from puregrpc.fuzz.values.field_values import (
    MADE_UP,
    Dictionary,
    Scalar,
    encoder_of,
    is_heavy,
    is_of_one_call,
    made_up,
    scalar_values,
    well_known_values,
)
from puregrpc.proto.descriptors import FieldDescriptor, FieldType, MessageDescriptor
from puregrpc.schema import Registry

__all__ = ["FieldPlan", "Generator", "MessagePlan"]

MOST_DEPTH = 6
"""How deep random messages are nested."""

COUNTS = (1, 2, 0, 3, 5, 10, 16, 17, 100, 1000, 10_000)
"""Elements of lists and maps: one, then others. An empty list is none at all."""
COUNT = -1
"""In place of a field's number: how many elements its list has."""

CHAINS = (1, 2, 8, 16, 32, 48, 64, 90)
"""How deep a message that may hold itself is nested on purpose: parsers take at least 100."""

MOST_PATHS = 400
"""Fields that are looked at one at a time in one message type, those of its messages included."""
MOST_PATH_DEPTH = 4
MOST_WHOLE = 3 << 20
"""Octets of a message: servers take 4 MiB."""


@dataclass(slots=True)
class FieldPlan:
    """How one field is made."""

    field: FieldDescriptor
    tag: bytes
    values: list[Scalar]
    """The table of a scalar."""
    encoded: list[bytes]
    """The same, as they are written behind the tag."""
    light: int
    """How many of them, from the first on, are not heavy."""
    known: tuple[bytes, ...]
    """The table of a well-known type."""
    encode: Callable[[Scalar], bytes] | None
    chain: FieldDescriptor | None
    """For a message that may hold itself: the field of it that holds the next one."""
    plan: MessagePlan | None

    @property
    def entries(self) -> int:
        """How many values there are to try one after the other."""
        if self.encode is not None:
            return len(self.encoded)
        if self.known:
            return len(self.known)
        return 1 + (len(CHAINS) if self.chain is not None else 0)


class MessagePlan:
    """How the messages of one type are made."""

    def __init__(self, generator: Generator, descriptor: MessageDescriptor) -> None:
        self.descriptor = descriptor
        self._generator = generator

    @cached_property
    def singles(self) -> list[FieldPlan]:
        """Fields that are in no oneof, known extensions among them."""
        fields = [field for field in self.descriptor.fields if field.containing_oneof is None]
        fields += self._generator.registry.extensions_of(self.descriptor.full_name)
        return [self._generator.plan_field(field) for field in fields]

    @cached_property
    def oneofs(self) -> list[tuple[list[int], list[FieldPlan]]]:
        """The oneofs: the numbers of their members, and how these are made."""
        return [
            ([field.number for field in oneof.fields], [self._generator.plan_field(field) for field in oneof.fields])
            for oneof in self.descriptor.oneofs
        ]

    def fields(self) -> Iterator[FieldPlan]:
        """All of them."""
        yield from self.singles
        for _, members in self.oneofs:
            yield from members


class Generator:
    """Makes the messages of one registry's types. ``dictionary`` holds the values that are known."""

    def __init__(self, registry: Registry, dictionary: Dictionary | None = None) -> None:
        self.registry = registry
        self.dictionary = dictionary or Dictionary()
        self._plans: dict[str, MessagePlan] = {}
        self._ordinary: dict[str, Scalar] = {}
        self._version = self.dictionary.version

    def plan(self, descriptor: MessageDescriptor) -> MessagePlan:
        """How messages of a type are made."""
        found = self._plans.get(descriptor.full_name)
        if found is None:
            found = self._plans[descriptor.full_name] = MessagePlan(self, descriptor)
        return found

    def refresh(self) -> None:
        """Take what the dictionary has learned into the tables. Choices that were made before mean others then."""
        if self._version != self.dictionary.version:
            self._version = self.dictionary.version
            self._plans.clear()

    def prefer(self, values: dict[str, Scalar]) -> None:
        """Make values the ordinary ones of fields, by full names. Choices that were made before mean others then."""
        self._ordinary.update(values)
        self._plans.clear()

    def plan_field(self, field: FieldDescriptor) -> FieldPlan:
        """How one field is made."""
        if field.type is FieldType.MESSAGE:
            assert field.message_type is not None
            return FieldPlan(
                field,
                tag_bytes(field.number, 3 if field.is_delimited else 2),
                [],
                [],
                0,
                well_known_values(field.message_type.full_name),
                None,
                _self_reference(field.message_type),
                self.plan(field.message_type),
            )
        values = scalar_values(field, self.dictionary)
        values.sort(key=is_heavy)
        ordinary = self._ordinary.get(field.full_name)
        if ordinary is None and field.type is FieldType.STRING and is_of_one_call(field):
            ordinary = ""
        if ordinary is not None:
            values = [values[0], ordinary, *(value for value in values[1:] if value != ordinary)]
        wire_type, encode = encoder_of(field.type)
        light = sum(1 for value in values if not is_heavy(value))
        return FieldPlan(
            field, tag_bytes(field.number, wire_type), values, [encode(value) for value in values], light, (), encode,
            None, None,
        )  # fmt: skip

    # -- making

    def message(self, descriptor: MessageDescriptor, choices: Choices) -> bytes:
        """A serialized message of a type, from the draws of ``choices``."""
        known = well_known_values(descriptor.full_name)
        if known:
            return known[choices.below(len(known))]
        chance = (0.3, 0.08, 0.6, 0.95)[choices.below(4)]
        return self._content(self.plan(descriptor), choices, chance, 0)

    def _content(self, plan: MessagePlan, choices: Choices, chance: float, depth: int) -> bytes:
        out: list[bytes] = []
        for each in plan.singles:
            choices.enter(each.field.number)
            choices.begin()
            if choices.flag(chance) or each.field.is_required:
                out.append(self._field(each, choices, chance, depth))
            choices.end()
            choices.leave()
        for numbers, members in plan.oneofs:
            choices.begin()
            place = choices.member(numbers, min(chance * 2, 1.0))
            if place:
                each = members[place - 1]
                choices.enter(each.field.number)
                out.append(self._element(each, choices, chance, depth))
                choices.leave()
            choices.end()
        return b"".join(out)

    def _field(self, each: FieldPlan, choices: Choices, chance: float, depth: int) -> bytes:
        field = each.field
        if not field.is_repeated:
            return self._element(each, choices, chance, depth)
        choices.enter(COUNT)
        count = COUNTS[choices.count(len(COUNTS), 7 if depth < 2 else 4, 0.5)]
        choices.leave()
        out: list[bytes] = []
        for _ in range(min(count, 8)):
            choices.begin()
            if choices.flag(1.0) or isinstance(choices, Directed):
                out.append(self._element(each, choices, chance, depth))
            choices.end()
        if count > 8 and out:
            # What is long is so by repetition.
            most = MOST_WHOLE // ((depth + 1) * max(sum(map(len, out)) // len(out), 1))
            out = (out * (count // len(out) + 1))[: min(count, most)]
        if field.is_packed and each.encode is not None:
            content = b"".join(element[len(each.tag) :] for element in out)
            return tag_bytes(field.number, 2) + varint(len(content)) + content if out else b""
        return b"".join(out)

    def _element(self, each: FieldPlan, choices: Choices, chance: float, depth: int) -> bytes:
        if each.encode is not None:
            listed = len(each.encoded)
            at = choices.value(listed, MADE_UP, each.light)
            if at < listed:
                return each.tag + each.encoded[at]
            return each.tag + each.encode(made_up(each.field, at - listed, choices))
        if each.known:
            content = each.known[choices.value(len(each.known), 0, len(each.known))]
        else:
            assert each.plan is not None
            deep = choices.count(1 + len(CHAINS), 4, 0.1) if each.chain is not None else 0
            if deep and each.chain is not None:
                # Nothing else is nested in what is nested on purpose: parsers would be right to refuse it.
                content = _chain(each.chain, CHAINS[deep - 1] - depth)
            else:
                content = self._content(each.plan, choices, chance * 0.7, depth + 1) if depth < MOST_DEPTH else b""
        if each.field.is_delimited:
            return each.tag + content + tag_bytes(each.field.number, 4)
        return each.tag + varint(len(content)) + content

    # -- what there is to try

    def paths(self, descriptor: MessageDescriptor) -> list[tuple[Path, FieldPlan]]:
        """The fields of a type and of its messages, near ones first."""
        found: list[tuple[Path, FieldPlan]] = []
        level: list[tuple[Path, MessagePlan]] = [((), self.plan(descriptor))]
        while level and len(found) < MOST_PATHS:
            deeper: list[tuple[Path, MessagePlan]] = []
            for path, plan in level:
                for each in plan.fields():
                    own = (*path, each.field.number)
                    found.append((own, each))
                    if each.plan is not None and not each.known and len(own) < MOST_PATH_DEPTH:
                        deeper.append((own, each.plan))
            level = deeper
        return found[:MOST_PATHS]

    def boundaries(self, path: Path, each: FieldPlan) -> list[tuple[Path, int]]:
        """What to try of one field: the path that directs it, and the number of the value."""
        found = [(path, value) for value in range(each.entries)]
        if each.field.is_repeated:
            found += [((*path, COUNT), count) for count in range(1, len(COUNTS))]
        return found

    def named(self, descriptor: MessageDescriptor, path: Path) -> str:
        """A path as people write it: ``items.price``."""
        names = []
        current: MessageDescriptor | None = descriptor
        for number in path:
            if number == COUNT:
                names.append("(count)")
                break
            field = next((f for f in current.fields if f.number == number), None) if current is not None else None
            names.append(field.name if field is not None else str(number))
            current = field.message_type if field is not None else None
        return ".".join(names)


def _self_reference(descriptor: MessageDescriptor) -> FieldDescriptor | None:
    """The field by which a message holds one of its own type."""
    for field in descriptor.fields:
        if field.message_type is descriptor and not field.is_map:
            return field
    return None


def _chain(field: FieldDescriptor, depth: int) -> bytes:
    content = b""
    for _ in range(max(depth, 0)):
        if field.is_delimited:
            content = tag_bytes(field.number, 3) + content + tag_bytes(field.number, 4)
        else:
            content = tag_bytes(field.number, 2) + varint(len(content)) + content
    return content


def random_messages(
    generator: Generator, descriptor: MessageDescriptor, seed: int
) -> Iterator[tuple[bytes, Sequence[int]]]:
    """Messages without end, each with its draws."""
    random = random_module.Random(seed)
    while True:
        choices = Choices(random)
        yield generator.message(descriptor, choices), choices.drawn
