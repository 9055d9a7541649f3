"""Interpreted options: messages as trees of fields and values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from puregrpc.proto.descriptors import FieldDescriptor, MessageDescriptor

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["OptionMessage", "Scalar", "Value"]


@dataclass(slots=True, eq=False)
class OptionMessage:
    """A message value: field -> value, or list of values for a repeated field.

    Scalars are int, float, bool, or str with one character per byte; enums are their numbers.
    """

    type: MessageDescriptor
    fields: dict[FieldDescriptor, Value] = field(default_factory=dict)

    def get(self, name: str) -> Value | None:
        """The value of a field (not an extension) by its name."""
        for key, value in self.fields.items():
            if key.name == name and not key.is_extension:
                return value
        return None

    def messages(self) -> Iterator[OptionMessage]:
        """The messages directly inside."""
        for value in self.fields.values():
            if isinstance(value, OptionMessage):
                yield value
            elif isinstance(value, list):
                yield from (item for item in value if isinstance(item, OptionMessage))


Scalar = str | int | float | bool
Value = Scalar | OptionMessage | list[Scalar | OptionMessage]
