"""The first pass of the linker: a descriptor for each element, its full name entered, its numbers and names checked."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from operator import attrgetter
from typing import TYPE_CHECKING

from puregrpc.proto.descriptors import (
    MAX_FIELD_NUMBER,
    EnumDescriptor,
    EnumValueDescriptor,
    FieldDescriptor,
    FieldType,
    MessageDescriptor,
    OneofDescriptor,
    ServiceDescriptor,
)
from puregrpc.proto.json_names import json_name
from puregrpc.proto.link.linked_file import LinkedFile
from puregrpc.proto.link.range_index import RangeIndex
from puregrpc.proto.link.symbol_table import SymbolTable
from puregrpc.proto.locate.problem import Role
from puregrpc.proto.parse import ast
from puregrpc.proto.parse.ast import ReservedRange

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Declarer"]

MESSAGE = FieldType.MESSAGE
NAME = attrgetter("name")


class Declarer:
    """Declares the elements of one file."""

    def __init__(self, table: SymbolTable, file: LinkedFile) -> None:
        self.table = table
        self.file = file
        self.descriptor = file.descriptor
        self.current: ast.Message | None = None
        """The message whose fields are being declared."""
        self.has_visibility = file.features.default_symbol_visibility != "EXPORT_ALL" or file.tree.edition >= 1001

    def declare(self) -> None:
        """Declare everything in the file."""
        tree = self.file.tree
        prefix = f"{tree.package}." if tree.package else ""
        descriptor = self.descriptor
        for message in tree.messages:
            descriptor.messages.append(self.message(message, prefix, None))
        for enum in tree.enums:
            descriptor.enums.append(self.enum(enum, prefix, None))
        for service in tree.services:
            descriptor.services.append(self.service(service, prefix))
        self.current = None
        for extension in tree.extensions:
            descriptor.extensions.append(self.field(extension, prefix, None))

    def inner_names(self, message: ast.Message) -> None:
        """Note which names are declared inside a message: only for these does it matter where they are looked up."""
        names = self.file.inner_names
        names.update(map(NAME, message.fields))
        for elements in (message.messages, message.oneofs, message.extensions):
            if elements:
                names.update(map(NAME, elements))
        for enum in message.enums:
            names.add(enum.name)
            names.update(map(NAME, enum.values))

    def visibility(self, node: ast.Message | ast.Enum, descriptor: MessageDescriptor | EnumDescriptor) -> None:
        """Note that a type is local, by its own word or by the file's feature default_symbol_visibility."""
        default = self.file.features.default_symbol_visibility
        if node.visibility == ast.Visibility.LOCAL:
            self.table.local[descriptor] = "It is explicitly marked 'local'"
        elif node.visibility == ast.Visibility.UNSET and (
            default in ("LOCAL_ALL", "STRICT")
            or (default == "EXPORT_TOP_LEVEL" and descriptor.containing_type is not None)
        ):
            self.table.local[descriptor] = (
                f"It defaulted to local from file-level 'option features.default_symbol_visibility = '{default}';"
            )

    def message(
        self, message: ast.Message, prefix: str, containing_type: MessageDescriptor | None
    ) -> MessageDescriptor:
        full_name = prefix + message.name
        descriptor = MessageDescriptor(message.name, full_name)
        descriptor.containing_type = containing_type
        descriptor.file = self.descriptor
        descriptor.is_map_entry = message.is_map_entry
        if self.has_visibility:
            self.visibility(message, descriptor)
        inner = full_name + "."
        self.current = message
        self.inner_names(message)
        for oneof in message.oneofs:
            oneof_name = inner + oneof.name
            oneof_descriptor = OneofDescriptor(oneof.name, oneof_name)
            self.table.add(oneof_name, oneof_descriptor, oneof, self.file)
            if not oneof.is_synthetic:
                descriptor.oneofs.append(oneof_descriptor)
        fields = descriptor.fields
        for field in message.fields:
            fields.append(self.field(field, inner, descriptor))
        for enum in message.enums:
            descriptor.enum_types.append(self.enum(enum, inner, descriptor))
        for extension_range in message.extension_ranges:
            self.extension_range(extension_range)
            if extension_range.options:
                self.file.ranges_with_options.append((extension_range, descriptor))
            descriptor.extension_ranges.append((extension_range.start, extension_range.end))
        for extension in message.extensions:
            descriptor.extensions.append(self.field(extension, inner, None))
        if message.reserved_ranges:
            self.check_ranges(message, message.reserved_ranges, ends_are_inside=0)
        for nested in message.messages:
            descriptor.nested_types.append(self.message(nested, inner, descriptor))
        self.table.add(full_name, descriptor, message, self.file)
        if message.reserved_ranges or message.reserved_names or message.extension_ranges:
            self.check_reserved(message)
            if message.reserved_names:
                self.table.reserved_names[descriptor] = message.reserved_names
        return descriptor

    def field(self, field: ast.Field, prefix: str, containing_type: MessageDescriptor | None) -> FieldDescriptor:
        name = field.name
        number = field.number
        full_name = prefix + name
        file = self.file
        if field.json_name is None:
            name_in_json = json_name(name)
        else:
            name_in_json = field.json_name.encode("latin-1").decode("utf-8", "replace")
            file.has_json_names = True
        descriptor = FieldDescriptor(name, full_name, name_in_json, number, MESSAGE)
        descriptor.containing_type = containing_type
        descriptor.file = self.descriptor
        if field.extendee:
            descriptor.is_extension = True
            if field.label == ast.Label.REQUIRED:
                file.error(field, Role.TYPE, f"The extension {full_name} cannot be required.")
        if field.default is not None and field.label == ast.Label.REPEATED:
            file.error(field, Role.DEFAULT, "Repeated fields can't have default values.")
        if not 0 < number <= MAX_FIELD_NUMBER:
            self.check_number(field)
        if field.options:
            file.fields_with_options.append((field, descriptor))
        entry = (descriptor, self.descriptor)
        if self.table.symbols.setdefault(full_name, entry) is not entry:
            self.table.add(full_name, descriptor, field, file)
        return descriptor

    def check_number(self, field: ast.Field) -> None:
        """Field numbers are positive and fit into tags; those of a MessageSet's extensions need not."""
        if field.number <= 0:
            self.file.number_hints.request(self.current, field)
            self.file.error(field, Role.NUMBER, "Field numbers must be positive integers.")
        elif not field.extendee:
            self.file.number_hints.request(self.current, field)
            self.file.error(field, Role.NUMBER, f"Field numbers cannot be greater than {MAX_FIELD_NUMBER}.")

    def enum(self, enum: ast.Enum, prefix: str, containing_type: MessageDescriptor | None) -> EnumDescriptor:
        full_name = prefix + enum.name
        descriptor = EnumDescriptor(enum.name, full_name)
        descriptor.containing_type = containing_type
        descriptor.file = self.descriptor
        if self.has_visibility:
            self.visibility(enum, descriptor)
        if not enum.values:
            self.file.error(enum, Role.NAME, "Enums must contain at least one value.")
        values = descriptor.values
        add = self.table.add
        enter = self.table.symbols.setdefault
        file = self.descriptor
        first_index: dict[str, int] = {}
        for index, value in enumerate(enum.values):
            name = value.name
            value_name = prefix + name
            value_descriptor = EnumValueDescriptor(name, value.number)
            if value.options:
                self.file.values_with_options.append((value, descriptor))
            values.append(value_descriptor)
            entry = (value_descriptor, file)
            if enter(value_name, entry) is entry:
                continue
            add(value_name, value_descriptor, value, self.file)
            if not first_index:
                first_index = {enum.values[at].name: at for at in reversed(range(len(enum.values)))}
            if first_index[name] == index:
                scope = f'"{prefix[:-1]}"' if prefix else "the global scope"
                self.file.error(
                    value,
                    Role.NAME,
                    "Note that enum values use C++ scoping rules, meaning that enum values are siblings of their "
                    f'type, not children of it.  Therefore, "{name}" must be unique within {scope}, '
                    f'not just within "{enum.name}".',
                )
        for index, (start, end) in enumerate(enum.reserved_ranges):
            if start > end:
                self.file.error(
                    ReservedRange(enum, index),
                    Role.NUMBER,
                    "Reserved range end number must be greater than start number.",
                )
        add(full_name, descriptor, enum, self.file)
        if enum.reserved_ranges or enum.reserved_names:
            self.check_enum_reserved(enum)
        return descriptor

    def service(self, service: ast.Service, prefix: str) -> ServiceDescriptor:
        full_name = prefix + service.name
        descriptor = ServiceDescriptor(service.name, full_name)
        descriptor.file = self.descriptor
        for method in service.methods:
            method_name = f"{full_name}.{method.name}"
            self.file.inner_names.add(method.name)
            self.table.add(method_name, OneofDescriptor(method.name, method_name), method, self.file)
        self.table.add(full_name, descriptor, service, self.file)
        return descriptor

    # ---- ranges

    def extension_range(self, extension_range: ast.ExtensionRange) -> None:
        if extension_range.start <= 0:
            self.file.number_hints.request(self.current, extension_range, extension_range.start, extension_range.end)
            self.file.error(extension_range, Role.NUMBER, "Extension numbers must be positive integers.")
        if extension_range.start >= extension_range.end:
            self.file.error(
                extension_range, Role.NUMBER, "Extension range end number must be greater than start number."
            )

    def check_ranges(self, owner: ast.Message, ranges: Sequence[tuple[int, int]], *, ends_are_inside: int) -> None:
        for index, (start, end) in enumerate(ranges):
            place = ReservedRange(owner, index)
            if start <= 0:
                self.file.number_hints.request(owner, place, start, end)
                self.file.error(place, Role.NUMBER, "Reserved numbers must be positive integers.")
            if start >= end + ends_are_inside:
                self.file.error(place, Role.NUMBER, "Reserved range end number must be greater than start number.")

    def check_reserved(self, message: ast.Message) -> None:
        """No two ranges overlap, no field uses what is reserved or left to extensions."""
        error = self.file.error
        reserved = message.reserved_ranges
        extensions = message.extension_ranges
        ranges = [*reserved, *((extension.start, extension.end) for extension in extensions)]
        if not _clash(ranges, [field.number for field in message.fields]):
            self.check_reserved_names(message)
            return
        in_reserved = RangeIndex(reserved)
        in_extensions = RangeIndex((each.start, each.end) for each in extensions)
        self.check_reserved_overlaps(message, in_reserved)
        self.check_reserved_twice(message, "Field name")
        names = set(message.reserved_names)
        for field in message.fields:
            if self.file.is_full():
                return
            number = field.number
            for index in in_extensions.holding(number):
                extension_range = extensions[index]
                self.file.number_hints.request(message, extension_range)
                error(
                    extension_range,
                    Role.NUMBER,
                    f"Extension range {extension_range.start} to {extension_range.end - 1} includes field "
                    f'"{field.name}" ({number}).',
                )
            for index in in_reserved.holding(number):
                place = ReservedRange(message, index)
                self.file.number_hints.request(message, place)
                error(place, Role.NUMBER, f'Field "{field.name}" uses reserved number {number}.')
            if field.name in names:
                error(field, Role.NAME, f'Field name "{field.name}" is reserved.')
        for index, extension_range in enumerate(extensions):
            if self.file.is_full():
                return
            mine = f"{extension_range.start} to {extension_range.end - 1}"
            for other in in_reserved.overlapping(extension_range.start, extension_range.end):
                start, end = reserved[other]
                error(
                    extension_range,
                    Role.NUMBER,
                    f"Extension range {mine} overlaps with reserved range {start} to {end - 1}.",
                )
            for other in in_extensions.overlapping(extension_range.start, extension_range.end):
                if other > index:
                    error(
                        extension_range,
                        Role.NUMBER,
                        f"Extension range {extensions[other].start} to {extensions[other].end - 1} overlaps with "
                        f"already-defined range {mine}.",
                    )

    def check_reserved_overlaps(self, owner: ast.Message | ast.Enum, index: RangeIndex) -> None:
        """No two reserved ranges of a message overlap, or, with their ends inside, of an enum."""
        ends_inside = int(isinstance(owner, ast.Enum))
        ranges = owner.reserved_ranges
        for mine, (start, end) in enumerate(ranges):
            if self.file.is_full():
                return
            for other in index.overlapping(start, end + ends_inside):
                if other > mine:
                    other_start, other_end = ranges[other]
                    self.file.error(
                        ReservedRange(owner, mine),
                        Role.NUMBER,
                        f"Reserved range {other_start} to {other_end - 1 + ends_inside} overlaps with already-defined "
                        f"range {start} to {end - 1 + ends_inside}.",
                    )

    def check_reserved_names(self, message: ast.Message) -> None:
        """No field has a name that is reserved, and none is reserved twice."""
        self.check_reserved_twice(message, "Field name")
        names = set(message.reserved_names)
        for field in message.fields:
            if field.name in names:
                self.file.error(field, Role.NAME, f'Field name "{field.name}" is reserved.')

    def check_reserved_twice(self, owner: ast.Message | ast.Enum, what: str) -> None:
        seen: set[str] = set()
        for name in owner.reserved_names:
            if name in seen:
                self.file.error(owner, Role.NAME, f'{what} "{name}" is reserved multiple times.')
            seen.add(name)

    def check_enum_reserved(self, enum: ast.Enum) -> None:
        """No two ranges overlap, no value uses what is reserved."""
        reserved = enum.reserved_ranges
        if not enum.reserved_names and not _clash(
            [(start, end + 1) for start, end in reserved], [value.number for value in enum.values]
        ):
            return
        index = RangeIndex((start, end + 1) for start, end in reserved)
        self.check_reserved_overlaps(enum, index)
        self.check_reserved_twice(enum, "Enum value")
        names = set(enum.reserved_names)
        for value in enum.values:
            if self.file.is_full():
                return
            for place in index.holding(value.number):
                self.file.error(
                    ReservedRange(enum, place),
                    Role.NUMBER,
                    f'Enum value "{value.name}" uses reserved number {value.number}.',
                )
            if value.name in names:
                self.file.error(value, Role.NAME, f'Enum value "{value.name}" is reserved.')


def _clash(ranges: list[tuple[int, int]], numbers: list[int]) -> bool:
    """Whether any of the ranges (end left out) overlap or hold one of the numbers."""
    ranges = sorted(ranges)
    if any(end > start for (_, end), (start, _) in pairwise(ranges)):
        return True
    starts = [start for start, _ in ranges]
    for number in numbers:
        index = bisect_right(starts, number) - 1
        if index >= 0 and number < ranges[index][1]:
            return True
    return False
