"""What options say about options: how long they are kept, where they may stand, in which editions they exist.

google/protobuf/descriptor.proto: FieldOptions.retention, targets and feature_support.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from puregrpc.proto.descriptors import EnumDescriptor, FieldDescriptor, MessageDescriptor
from puregrpc.proto.link.range_index import RangeIndex
from puregrpc.proto.options.values import OptionMessage, Value

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DeclaredRanges", "FeatureSupport", "UsageRule", "UsageRules", "declarations_of"]

RETENTION_SOURCE = 2


@dataclass(frozen=True, slots=True)
class FeatureSupport:
    """The editions in which something exists."""

    introduced: int | None = None
    deprecated: int | None = None
    deprecation_warning: str | None = None
    removed: int | None = None
    removal_error: str | None = None


@dataclass(frozen=True, slots=True)
class UsageRule:
    """What the options of an option's field say."""

    is_stripped: bool
    """Not to be in descriptors (retention = RETENTION_SOURCE)."""
    targets: frozenset[int]
    """FieldOptions.OptionTargetType; empty if anything may have the option."""
    support: FeatureSupport | None


class DeclaredRanges:
    """The extension ranges of a message that have options, and the extensions that they declare."""

    def __init__(self) -> None:
        self.ranges: list[tuple[int, int]] = []
        self.options: list[OptionMessage] = []
        self.index: RangeIndex | None = None
        self.declarations: dict[OptionMessage, dict[object, OptionMessage]] = {}

    def add(self, start: int, end: int, options: OptionMessage) -> None:
        """Add a range, its end left out."""
        self.ranges.append((start, end))
        self.options.append(options)
        self.index = None

    def options_of(self, number: int) -> OptionMessage | None:
        """The options of the first range that holds a number."""
        if self.index is None:
            self.index = RangeIndex(self.ranges)
        return next((self.options[index] for index in self.index.holding(number)), None)

    def declared(self, options: OptionMessage) -> dict[object, OptionMessage]:
        """What the options of a range declare, by number; of two declarations with one number the first."""
        known = self.declarations.get(options)
        if known is None:
            known = self.declarations[options] = {}
            for declaration in declarations_of(options):
                known.setdefault(declaration.get("number"), declaration)
        return known


def declarations_of(options: OptionMessage | None) -> list[OptionMessage]:
    """ExtensionRangeOptions.declaration."""
    found = options.get("declaration") if options is not None else None
    return [item for item in found if isinstance(item, OptionMessage)] if isinstance(found, list) else []


class UsageRules:
    """The rules for fields, enum values and extension ranges, as the options of files that are through give them."""

    def __init__(self) -> None:
        self.fields: dict[FieldDescriptor, UsageRule] = {}
        self.values: dict[tuple[EnumDescriptor, int], FeatureSupport] = {}
        self.enums: set[EnumDescriptor] = set()
        """The enums that ``values`` has values of."""
        self.declared_ranges: dict[MessageDescriptor, DeclaredRanges] = {}
        """The extension ranges of messages that have options."""
        self.without: set[FieldDescriptor] = set()
        """Fields of files that are through with which nothing comes that has a rule."""

    def update(self, other: UsageRules) -> None:
        """Take over what ``other`` knows."""
        self.fields.update(other.fields)
        self.values.update(other.values)
        self.enums |= other.enums
        self.declared_ranges.update(other.declared_ranges)
        self.without.clear()

    def add_field(self, field: FieldDescriptor, options: OptionMessage) -> None:
        """Note the rule that a field's options give it."""
        retention = targets = support = None
        for key, value in options.fields.items():
            if key.number == 17:
                retention = value
            elif key.number == 19:
                targets = value
            elif key.number == 22:
                support = value
        if retention == RETENTION_SOURCE or targets or support:
            self.fields[field] = UsageRule(
                retention == RETENTION_SOURCE,
                frozenset(item for item in targets if isinstance(item, int))
                if isinstance(targets, list)
                else frozenset(),
                feature_support(support) if isinstance(support, OptionMessage) else None,
            )

    def add_value(self, enum: EnumDescriptor, number: int, options: OptionMessage) -> None:
        """Note the rule that an enum value's options give it."""
        support = options.get("feature_support")
        if isinstance(support, OptionMessage):
            self.values[enum, number] = feature_support(support)
            self.enums.add(enum)

    def add_range(self, message: MessageDescriptor, start: int, end: int, options: OptionMessage) -> None:
        """Note what an extension range, the end left out, declares."""
        self.declared_ranges.setdefault(message, DeclaredRanges()).add(start, end, options)

    def may_be_used_in(self, message: OptionMessage) -> bool:
        """Whether ``used_in`` might have an answer; what says no is remembered, field by field."""
        without = self.without
        if without.issuperset(message.fields):
            return False
        idle = [key for key in message.fields if not self.has_rule(key)]
        without.update(idle)
        return len(idle) < len(message.fields)

    def has_rule(self, field: FieldDescriptor) -> bool:
        """Whether there is a rule for a field or for anything that its value may hold."""
        seen: set[MessageDescriptor] = set()
        fields = [field]
        while fields:
            current = fields.pop()
            if current in self.fields or current.enum_type in self.enums:
                return True
            type_ = current.message_type
            if type_ is not None and type_ not in seen:
                if type_.extension_ranges:
                    return True
                seen.add(type_)
                fields += type_.fields
        return False

    def used_in(self, message: OptionMessage) -> list[tuple[str, UsageRule]]:
        """The full names of fields and enum values with rules that ``message`` uses, at any depth."""
        used: list[tuple[str, UsageRule]] = []
        fields = message.fields
        known = self.fields
        for key in fields if len(fields) == 1 else sorted(fields, key=_number):
            value = fields[key]
            rule = known.get(key)
            if rule is not None:
                used.append((key.full_name, rule))
            if isinstance(value, OptionMessage):
                used += self.used_in(value)
            elif isinstance(value, list) and key.message_type is not None:
                for item in value:
                    if isinstance(item, OptionMessage):
                        used += self.used_in(item)
            if self.values and key.enum_type is not None:
                used += self.used_values(key, value)
        return used

    def used_values(self, field: FieldDescriptor, value: Value) -> Iterator[tuple[str, UsageRule]]:
        """The enum values with rules among the values of an enum field."""
        enum = field.enum_type
        for number in value if isinstance(value, list) else [value]:
            support = self.values.get((enum, number)) if enum is not None and isinstance(number, int) else None
            if support is not None and enum is not None:
                name = next(item.name for item in enum.values if item.number == number)
                scope = enum.full_name.removesuffix(enum.name)
                yield f"{scope}{name}", UsageRule(False, frozenset(), support)

    def strip(self, message: OptionMessage) -> list[tuple[int, ...]]:
        """Take what is kept in the source only out of ``message``; the answer is the paths of what went."""
        stripped: list[tuple[int, ...]] = []
        for key in list(message.fields):
            value = message.fields[key]
            rule = self.fields.get(key)
            if rule is not None and rule.is_stripped:
                del message.fields[key]
                stripped.append((key.number,))
            elif isinstance(value, OptionMessage):
                stripped += [(key.number, *path) for path in self.strip(value)]
            elif isinstance(value, list):
                for index, item in enumerate(value):
                    if isinstance(item, OptionMessage):
                        stripped += [(key.number, index, *path) for path in self.strip(item)]
        return stripped


def _number(field: FieldDescriptor) -> int:
    return field.number


def feature_support(message: OptionMessage) -> FeatureSupport:
    """FieldOptions.FeatureSupport as a record."""

    def number(name: str) -> int | None:
        value = message.get(name)
        return value if isinstance(value, int) else None

    def text(name: str) -> str | None:
        value = message.get(name)
        return value if isinstance(value, str) else None

    return FeatureSupport(
        number("edition_introduced"),
        number("edition_deprecated"),
        text("deprecation_warning"),
        number("edition_removed"),
        text("removal_error"),
    )
