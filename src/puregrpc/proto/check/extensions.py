"""Extension ranges and the extensions that they declare (ExtensionRangeOptions.declaration)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from puregrpc.proto.descriptors import MAX_FIELD_NUMBER, FieldDescriptor, MessageDescriptor
from puregrpc.proto.locate.problem import Role
from puregrpc.proto.options.usage_rules import DeclaredRanges, declarations_of
from puregrpc.proto.options.values import OptionMessage
from puregrpc.proto.parse import ast
from puregrpc.proto.parse.ast import Node
from puregrpc.proto.parse.fields import TYPES
from puregrpc.proto.parse.token_stream import LARGEST_INT32

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from puregrpc.proto.link.linked_file import LinkedFile

__all__ = ["check_declared", "check_extension_ranges"]

UNVERIFIED = 1
QUALIFIED_NAME = re.compile(r"(?:\.[A-Za-z0-9_]+)+")


def check_extension_ranges(
    message: ast.Message, descriptor: MessageDescriptor, file: LinkedFile, options: Mapping[Node, OptionMessage]
) -> None:
    """Ranges end where numbers do, and what they declare makes sense."""
    largest = LARGEST_INT32 if descriptor.is_message_set else MAX_FIELD_NUMBER
    names: set[str] = set()
    for extension_range in message.extension_ranges:
        if extension_range.end > largest + 1:
            file.error(message, Role.NUMBER, f"Extension numbers cannot be greater than {largest}.")
        range_options = options.get(extension_range)
        declarations = declarations_of(range_options)
        if not declarations or range_options is None:
            continue
        if range_options.get("verification") == UNVERIFIED:
            file.error(
                extension_range,
                Role.EXTENDEE,
                "Cannot mark the extension range as UNVERIFIED when it has extension(s) declared.",
            )
            return
        _check_declarations(extension_range, declarations, names, file)


def _check_declarations(
    extension_range: ast.ExtensionRange, declarations: Sequence[OptionMessage], names: set[str], file: LinkedFile
) -> None:
    numbers: set[object] = set()
    for declaration in declarations:
        number = declaration.get("number") or 0
        if not isinstance(number, int) or not extension_range.start <= number < extension_range.end:
            file.error(
                extension_range, Role.NUMBER, f"Extension declaration number {number} is not in the extension range."
            )
        if number in numbers:
            file.error(
                extension_range, Role.NUMBER, f"Extension declaration number {number} is declared multiple times."
            )
        numbers.add(number)
        full_name = declaration.get("full_name")
        type_name = declaration.get("type")
        if not isinstance(full_name, str) or not isinstance(type_name, str):
            if full_name is not type_name or not declaration.get("reserved"):
                file.error(
                    extension_range,
                    Role.EXTENDEE,
                    f'Extension declaration #{number} should have both "full_name" and "type" set.',
                )
            continue
        if full_name in names:
            file.error(extension_range, Role.NAME, f'Extension field name "{full_name}" is declared multiple times.')
            return
        names.add(full_name)
        _check_symbol(full_name, extension_range, file)
        if type_name not in TYPES:
            _check_symbol(type_name, extension_range, file)


def _check_symbol(name: str, extension_range: ast.ExtensionRange, file: LinkedFile) -> None:
    if not name.startswith("."):
        file.error(
            extension_range,
            Role.NAME,
            f'"{name}" must have a leading dot to indicate the fully-qualified scope.',
        )
    elif not QUALIFIED_NAME.fullmatch(name):
        file.error(extension_range, Role.NAME, f'"{name}" contains invalid identifiers.')


def check_declared(
    field: ast.Field,
    descriptor: FieldDescriptor,
    extendee: MessageDescriptor,
    file: LinkedFile,
    ranges: DeclaredRanges,
) -> None:
    """An extension of a range with declarations is one of them, by number, name and type.

    ``ranges`` are those of the message that have options. Extensions of the options messages are left alone, as protoc
    leaves them.
    """
    if extendee.file is not None and extendee.file.name == "google/protobuf/descriptor.proto":
        return
    number = field.number
    options = ranges.options_of(number)
    if options is None:
        return
    declared = ranges.declared(options)
    if not declared and options.get("verification") != 0:
        return
    declaration = declared.get(number)
    if declaration is not None and declaration.get("reserved"):
        file.error(
            field,
            Role.EXTENDEE,
            f"Cannot use number {number} for extension field {descriptor.full_name}, as it is reserved in the "
            f"extension declarations for message {extendee.full_name}.",
        )
        return
    if declaration is not None:
        _check_against(declaration, field, descriptor, extendee, file)
        return
    file.error(
        field,
        Role.EXTENDEE,
        f"Missing extension declaration for field {descriptor.full_name} with number {number} in extendee message "
        f"{extendee.full_name}. An extension range must declare for all extension fields if its verification state is "
        "DECLARATION or there's any declaration in the range already. Otherwise, consider splitting up the range.",
    )


def _check_against(
    declaration: OptionMessage,
    field: ast.Field,
    descriptor: FieldDescriptor,
    extendee: MessageDescriptor,
    file: LinkedFile,
) -> None:
    what = f'"{extendee.full_name}" extension field {field.number} is expected to be'
    expected_type = declaration.get("type")
    if isinstance(expected_type, str) and expected_type and not file.has_errors:
        named = descriptor.message_type or descriptor.enum_type
        actual_type = f".{named.full_name}" if named else descriptor.type.name.lower()
        if expected_type not in TYPES and not expected_type.startswith("."):
            expected_type = f".{expected_type}"
        if expected_type != actual_type:
            file.error(field, Role.EXTENDEE, f'{what} type "{expected_type}", not "{actual_type}".')
    expected_name = declaration.get("full_name")
    actual_name = f".{descriptor.full_name}"
    if isinstance(expected_name, str) and expected_name and expected_name != actual_name:
        file.error(
            field,
            Role.EXTENDEE,
            f'"{extendee.full_name}" extension field {field.number} is expected to have field name '
            f'"{expected_name}", not "{actual_name}".',
        )
    if bool(declaration.get("repeated")) != descriptor.is_repeated:
        file.error(field, Role.EXTENDEE, f"{what} {'optional' if descriptor.is_repeated else 'repeated'}.")
