"""What the interpretation of options needs to know beside the file that has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc.proto.descriptors import EnumDescriptor, FieldDescriptor, MessageDescriptor
from puregrpc.proto.link.symbol_table import SymbolTable
from puregrpc.proto.options.usage_rules import UsageRules

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["OptionContext"]


class OptionContext:
    """What the files of one compilation share: symbols, rules, fields and values by name."""

    def __init__(
        self, table: SymbolTable, rules: UsageRules, builtin_options: Callable[[str], MessageDescriptor]
    ) -> None:
        self.table = table
        self.rules = rules
        self.builtin_options = builtin_options
        """An options message, by its full name, of the descriptor.proto that ships with this package."""
        self.fields: dict[MessageDescriptor, dict[str, FieldDescriptor]] = {}

    def fields_by_name(self, message: MessageDescriptor) -> Mapping[str, FieldDescriptor]:
        """The fields of a message."""
        known = self.fields.get(message)
        if known is None:
            known = self.fields[message] = {field.name: field for field in message.fields}
        return known

    def enum_number(self, enum: EnumDescriptor, name: str) -> int | None:
        """The number of an enum's value."""
        return self.table.value_number(enum, name)

    def reserved_names(self, message: MessageDescriptor) -> Sequence[str]:
        """The reserved names of a message."""
        return self.table.reserved_names.get(message, ())
