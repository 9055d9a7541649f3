"""Options interpreted: names resolved to fields and extensions of the options messages, values made to fit.

https://protobuf.dev/programming-guides/proto2/#options, and google/protobuf/descriptor.proto for the messages.
"""

from __future__ import annotations

import math

from puregrpc.proto.descriptors import EnumDescriptor, FieldDescriptor, FieldType, MessageDescriptor
from puregrpc.proto.link.hints import hint_for_option
from puregrpc.proto.link.linked_file import LinkedFile
from puregrpc.proto.locate.problem import Role
from puregrpc.proto.options.context import OptionContext
from puregrpc.proto.options.elements import option_elements
from puregrpc.proto.options.text_format import LARGEST, MAX_DEPTH, UNSIGNED, TextFormatError, parse_text_format
from puregrpc.proto.options.values import OptionMessage, Scalar
from puregrpc.proto.parse import ast
from puregrpc.proto.parse.ast import Node

__all__ = ["OptionInterpreter", "Setting"]

Setting = tuple[tuple[FieldDescriptor, ...], Scalar | OptionMessage, tuple[int, ...]]
"""(the fields that lead from the options message to the value, the value, their numbers with the indexes in lists)."""

INTEGER_NAMES = {
    FieldType.INT32: "int32", FieldType.SINT32: "int32", FieldType.SFIXED32: "int32",
    FieldType.INT64: "int64", FieldType.SINT64: "int64", FieldType.SFIXED64: "int64",
    FieldType.UINT32: "uint32", FieldType.FIXED32: "uint32", FieldType.UINT64: "uint64", FieldType.FIXED64: "uint64",
}  # fmt: skip


STRINGS = frozenset({FieldType.STRING, FieldType.BYTES})


class _InvalidOption(Exception):  # noqa: N818 - how a rule that failed gets back to the loop over the options
    def __init__(self, role: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.role = role
        self.hint = hint


class _Finder:
    """What the names in aggregates mean in one file."""

    def __init__(self, context: OptionContext, file: LinkedFile) -> None:
        self.fields_by_name = context.fields_by_name
        self.enum_number = context.enum_number
        self.reserved_names = context.reserved_names
        self.table = context.table
        self.file = file

    def find_extension(self, name: str, message: MessageDescriptor) -> FieldDescriptor | None:
        scope = message.full_name.rpartition(".")[0]
        found = self.table.resolve(name, scope, self.file)
        if isinstance(found, FieldDescriptor):
            return found if found.is_extension else None
        if isinstance(found, MessageDescriptor) and message.is_message_set:
            for extension in found.extensions:
                if (
                    extension.containing_type is message
                    and extension.message_type is found
                    and not extension.is_repeated
                ):
                    return extension
        return None

    def find_any_type(self, name: str) -> MessageDescriptor | None:
        found = self.table.find(name, self.file)
        return found if isinstance(found, MessageDescriptor) else None


class OptionInterpreter:
    """Interprets the options of one file."""

    def __init__(self, context: OptionContext, file: LinkedFile, *, records: bool = False) -> None:
        self.context = context
        self.table = context.table
        self.file = file
        self.finder = _Finder(context, file)
        self.interpreted: dict[Node, OptionMessage] = {}
        self.with_plain: dict[Node, OptionMessage] = {}
        """Those that options.proto's own fields are set in, and not extensions only."""
        self.records = records
        self.settings: dict[Node, dict[int, Setting]] = {}
        """element -> index of the option -> what it sets, in the order in which it was interpreted, if recorded."""

    def interpret(self, tree: ast.File) -> None:
        """Interpret all options of the file: the plain ones first, as the features among them decide about others."""
        extensions: list[tuple[Node, int, ast.Option, str]] = []
        types: dict[str, MessageDescriptor] = {}
        interpreted = self.interpreted
        failed: Node | None = None
        for node, options, kind, full_name in option_elements(tree):
            type_ = types.get(kind)
            if type_ is None:
                type_ = types[kind] = self.options_type(f"google.protobuf.{kind}Options")
            message = interpreted[node] = OptionMessage(type_)
            for index, option in enumerate(options):
                part, is_extension = option.name[0]
                if is_extension or part == "uninterpreted_option":
                    extensions.append((node, index, option, full_name))
                elif node is not failed:
                    try:
                        setting = self.option(option, message, full_name)
                        if self.records:
                            self.settings.setdefault(node, {})[index] = setting
                    except _InvalidOption as invalid:
                        self.file.error(option, invalid.role, str(invalid), invalid.hint)
                        failed = node  # protoc leaves the element's other options alone
            if message.fields:
                self.with_plain[node] = message
        failed = None
        for node, index, option, full_name in extensions:
            if node is not failed:
                try:
                    setting = self.option(option, interpreted[node], full_name)
                    if self.records:
                        self.settings.setdefault(node, {})[index] = setting
                except _InvalidOption as invalid:
                    self.file.error(option, invalid.role, str(invalid), invalid.hint)
                    failed = node

    def options_type(self, name: str) -> MessageDescriptor:
        """The options message: the one of the descriptor.proto that is being compiled with, or the built-in one."""
        known = self.table.symbols.get(name)
        if known is not None and isinstance(known[0], MessageDescriptor):
            self.file.used.add(known[1])
            return known[0]
        return self.context.builtin_options(name)

    def option(self, option: ast.Option, message: OptionMessage, full_name: str) -> Setting:
        """Set what one option of an element says."""
        name = option.name
        if len(name) == 1:
            known = self.known_field(name[0], message.type)
            if known is not None and known not in message.fields:
                only = self.value(option, known)
                message.fields[known] = [only] if known.is_repeated else only
                return (known,), only, (known.number, 0) if known.is_repeated else (known.number,)
        scope = full_name.rpartition(".")[0]
        if name[0][0] == "uninterpreted_option":
            raise _InvalidOption(Role.OPTION_NAME, 'Option must not use reserved name "uninterpreted_option".')
        if any(not part for part, _ in name):
            raise _InvalidOption(Role.NONE, "Uninterpreted option is missing name or value.")
        if len(name) > MAX_DEPTH:
            raise _InvalidOption(Role.OPTION_NAME, f"Option name has more than {MAX_DEPTH} parts.")
        path: list[int] = []
        fields: list[FieldDescriptor] = []
        value: Scalar | OptionMessage = 0
        last = len(name) - 1
        for position, (part, is_extension) in enumerate(name):
            field = self.option_field(name, position, part, is_extension, message, scope)
            path.append(field.number)
            fields.append(field)
            if position < last:
                if field.message_type is None:
                    raise _InvalidOption(
                        Role.OPTION_NAME, f'Option "{_text(name, position)}" is an atomic type, not a message.'
                    )
                if field.is_repeated:
                    raise _InvalidOption(
                        Role.OPTION_NAME,
                        f'Option field "{_text(name, position)}" is a repeated message. Repeated message options '
                        "must be initialized using an aggregate value.",
                    )
                inner = message.fields.get(field)
                if inner is None:
                    inner = message.fields[field] = OptionMessage(field.message_type)
                if not isinstance(inner, OptionMessage):
                    raise TypeError("a message field holds a message")
                self.leave_oneof(field, message)
                message = inner
            elif field.is_repeated:
                values = message.fields.setdefault(field, [])
                if not isinstance(values, list):
                    raise TypeError("a repeated field holds a list")
                path.append(len(values))
                value = self.value(option, field)
                values.append(value)
            else:
                if field in message.fields:
                    raise _InvalidOption(Role.OPTION_NAME, f'Option "{_text(name, position)}" was already set.')
                value = message.fields[field] = self.value(option, field)
                self.leave_oneof(field, message)
        return tuple(fields), value, tuple(path)

    def known_field(self, name: tuple[str, bool], type_: MessageDescriptor) -> FieldDescriptor | None:
        """The field that an option of one part sets, if nothing has to be looked at for that but this field."""
        part, is_extension = name
        if is_extension:
            field = self.file.resolved.get(part)
            if not isinstance(field, FieldDescriptor) or field.containing_type is not type_:
                return None
        else:
            field = self.context.fields_by_name(type_).get(part)
            if field is None or field.message_type is not None:
                return None
        return None if field.containing_oneof is not None else field

    def leave_oneof(self, field: FieldDescriptor, message: OptionMessage) -> None:
        """Setting a member of a oneof unsets the others."""
        oneof = field.containing_oneof
        if oneof is not None:
            for other in [other for other in message.fields if other.containing_oneof is oneof and other is not field]:
                del message.fields[other]

    def option_field(
        self,
        name: tuple[tuple[str, bool], ...],
        position: int,
        part: str,
        is_extension: bool,
        message: OptionMessage,
        scope: str,
    ) -> FieldDescriptor:
        field: FieldDescriptor | None
        if is_extension:
            found = self.table.resolve(part, scope, self.file)
            field = found if isinstance(found, FieldDescriptor) else None
        else:
            field = self.context.fields_by_name(message.type).get(part)
        if field is None:
            text = _text(name, position)
            resolved = ""
            if is_extension:
                for explanation in self.table.explain_undefined(part, scope, self.file):
                    if "is resolved to" in explanation:
                        resolved = explanation.split('"')[3]
            if resolved:
                raise _InvalidOption(
                    Role.OPTION_NAME,
                    f'Option "{text}" is resolved to "({resolved})", which is not defined. The innermost scope is '
                    f"searched first in name resolution. Consider using a leading '.'(i.e., \"(.{text[1:]}\") to "
                    "start from the outermost scope.",
                )
            raise _InvalidOption(
                Role.OPTION_NAME,
                f'Option "{text}" unknown. Ensure that your proto definition file imports the proto which defines '
                "the option (i.e. via import option after edition 2024).",
                hint_for_option(part, message.type, self.table, self.file),
            )
        if field.containing_type is not message.type:
            raise _InvalidOption(
                Role.OPTION_NAME,
                f'Option field "{_text(name, position)}" is not a field or extension of message "{message.type.name}".',
            )
        if field.file is self.file.descriptor and name[0] == ("features", False):
            raise _InvalidOption(
                Role.OPTION_NAME,
                f"Feature \"{_text(name, position)}\" can't be used in the same file it's defined in.",
            )
        return field

    def value(self, option: ast.Option, field: FieldDescriptor) -> Scalar | OptionMessage:
        """The value of an option as the field's type has it."""
        kind = field.type
        if field.message_type is not None:
            return self.aggregate(option, field, field.message_type)
        if kind in STRINGS:
            if option.kind != ast.ValueKind.STRING or not isinstance(option.value, str):
                raise _InvalidOption(
                    Role.OPTION_VALUE, f'Value must be quoted string for string option "{field.full_name}".'
                )
            return option.value
        if field.enum_type is not None:
            return self.enum(option, field, field.enum_type)
        if kind == FieldType.BOOL:
            if option.kind != ast.ValueKind.IDENTIFIER:
                raise _InvalidOption(
                    Role.OPTION_VALUE, f'Value must be identifier for boolean option "{field.full_name}".'
                )
            if option.value not in ("true", "false"):
                raise _InvalidOption(
                    Role.OPTION_VALUE, f'Value must be "true" or "false" for boolean option "{field.full_name}".'
                )
            return option.value == "true"
        if kind in (FieldType.FLOAT, FieldType.DOUBLE):
            return self.floating(option, field)
        return self.integer(option, field)

    def floating(self, option: ast.Option, field: FieldDescriptor) -> float:
        value = option.value
        if option.kind == ast.ValueKind.IDENTIFIER:
            if value in ("inf", "nan"):
                return math.inf if value == "inf" else math.nan
        elif isinstance(value, (int, float)):
            return float(value)
        name = "float" if field.type == FieldType.FLOAT else "double"
        raise _InvalidOption(Role.OPTION_VALUE, f'Value must be number for {name} option "{field.full_name}".')

    def integer(self, option: ast.Option, field: FieldDescriptor) -> int:
        kind = field.type
        largest = LARGEST[kind]
        smallest = 0 if kind in UNSIGNED else -largest - 1
        value = option.value
        name = INTEGER_NAMES[kind]
        is_integer = option.kind == ast.ValueKind.POSITIVE_INTEGER or (
            option.kind == ast.ValueKind.NEGATIVE_INTEGER and kind not in UNSIGNED
        )
        if not is_integer or not isinstance(value, int):
            raise _InvalidOption(
                Role.OPTION_VALUE,
                f'Value must be integer, from {smallest} to {largest}, for {name} option "{field.full_name}".',
            )
        if not smallest <= value <= largest:
            raise _InvalidOption(
                Role.OPTION_VALUE,
                f'Value out of range, {smallest} to {largest}, for {name} option "{field.full_name}".',
            )
        return value

    def enum(self, option: ast.Option, field: FieldDescriptor, enum: EnumDescriptor) -> int:
        name = option.value
        if option.kind != ast.ValueKind.IDENTIFIER or not isinstance(name, str):
            raise _InvalidOption(
                Role.OPTION_VALUE, f'Value must be identifier for enum-valued option "{field.full_name}".'
            )
        number = self.context.enum_number(enum, name)
        if number is None:
            raise _InvalidOption(
                Role.OPTION_VALUE,
                f'Enum type "{enum.full_name}" has no value named "{name}" for option "{field.full_name}".',
            )
        return number

    def aggregate(self, option: ast.Option, field: FieldDescriptor, type_: MessageDescriptor) -> OptionMessage:
        if not isinstance(option.value, tuple):
            raise _InvalidOption(
                Role.OPTION_VALUE,
                f'Option "{field.full_name}" is a message. To set the entire message, use syntax like '
                f'"{field.name} = {{ <proto text format> }}". To set fields within it, use syntax like '
                f'"{field.name}.foo = value".',
            )
        try:
            return parse_text_format(option.value, type_, self.finder)
        except TextFormatError as error:
            raise _InvalidOption(
                Role.OPTION_VALUE, f'Error while parsing option value for "{field.name}": {error}'
            ) from None


def _text(name: tuple[tuple[str, bool], ...], last: int) -> str:
    """The option's name as it is written, up to a part of it."""
    return ".".join(f"({part})" if is_extension else part for part, is_extension in name[: last + 1])
