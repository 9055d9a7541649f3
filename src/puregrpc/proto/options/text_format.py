"""Aggregate option values: protobuf text format, from the tokens between the braces to a tree.

https://protobuf.dev/reference/protobuf/textformat-spec/
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NoReturn, Protocol

from puregrpc.proto.descriptors import EnumDescriptor, FieldDescriptor, FieldType, MessageDescriptor
from puregrpc.proto.options.option_bytes import serialize_options
from puregrpc.proto.options.values import OptionMessage, Scalar
from puregrpc.proto.parse.lexer import END
from puregrpc.proto.parse.literals import parse_float, parse_integer, unescape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Finder", "TextFormatError", "parse_text_format"]

MAX_DEPTH = 100
"""How deep messages may be nested in an aggregate: protobuf's own limit for reading them back."""

INTEGER_TOKEN = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")
LARGEST: dict[FieldType, int] = {
    FieldType.INT32: (1 << 31) - 1, FieldType.SINT32: (1 << 31) - 1, FieldType.SFIXED32: (1 << 31) - 1,
    FieldType.INT64: (1 << 63) - 1, FieldType.SINT64: (1 << 63) - 1, FieldType.SFIXED64: (1 << 63) - 1,
    FieldType.UINT32: (1 << 32) - 1, FieldType.FIXED32: (1 << 32) - 1,
    FieldType.UINT64: (1 << 64) - 1, FieldType.FIXED64: (1 << 64) - 1,
}  # fmt: skip
UNSIGNED = frozenset({FieldType.UINT32, FieldType.FIXED32, FieldType.UINT64, FieldType.FIXED64})
BOOLEANS = {"true": True, "True": True, "t": True, "false": False, "False": False, "f": False}
CLOSING = {"{": "}", "<": ">"}
TYPE_URL_PREFIXES = ("type.googleapis.com/", "type.googleprod.com/")


class TextFormatError(Exception):
    """The text is not a message of the type; the message says why, in protoc's words."""


class Finder(Protocol):
    """Looks names up for the parser."""

    def fields_by_name(self, message: MessageDescriptor) -> Mapping[str, FieldDescriptor]:
        """The fields of a message."""

    def reserved_names(self, message: MessageDescriptor) -> Sequence[str]:
        """The reserved names of a message: fields called so are skipped."""

    def find_extension(self, name: str, message: MessageDescriptor) -> FieldDescriptor | None:
        """An extension by its name, as seen from inside ``message``."""

    def find_any_type(self, name: str) -> MessageDescriptor | None:
        """The message type that an Any holds."""

    def enum_number(self, enum: EnumDescriptor, name: str) -> int | None:
        """The number of an enum's value."""


def parse_text_format(tokens: Sequence[str], message: MessageDescriptor, finder: Finder) -> OptionMessage:
    """The message that the tokens describe. Raises TextFormatError."""
    parser = _TextFormatParser(tokens, finder)
    result = OptionMessage(message)
    while parser.tokens[parser.at] != END:
        parser.field(result)
    missing = list(_missing_fields(result, ""))
    if missing:
        raise TextFormatError(f"Message missing required fields: {', '.join(missing)}")
    return result


def _missing_fields(message: OptionMessage, prefix: str) -> list[str]:
    missing = [
        prefix + field.name for field in message.type.fields if field.is_required and field not in message.fields
    ]
    for key, value in message.fields.items():
        name = f"({key.full_name})" if key.is_extension else key.name
        if isinstance(value, OptionMessage):
            missing += _missing_fields(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, OptionMessage):
                    missing += _missing_fields(item, f"{prefix}{name}[{index}].")
    return missing


class _TextFormatParser:
    def __init__(self, tokens: Sequence[str], finder: Finder) -> None:
        self.tokens = [*tokens, END]
        self.at = 0
        self.finder = finder
        self.depth = 0

    def fail(self, message: str) -> NoReturn:
        raise TextFormatError(message)

    def current(self) -> str:
        token = self.tokens[self.at]
        return "" if token == END else token

    def consume(self, text: str) -> None:
        if self.tokens[self.at] != text:
            self.fail(f'Expected "{text}", found "{self.current()}".')
        self.at += 1

    def try_consume(self, text: str) -> bool:
        if self.tokens[self.at] == text:
            self.at += 1
            return True
        return False

    def field(self, message: OptionMessage) -> None:
        """``name: value``, ``name { ... }``, ``[extension]: value`` or ``[prefix/type] { ... }`` in an Any."""
        token = self.tokens[self.at]
        if token == "[":
            url = self.bracketed_name()
            prefix, slash, name = url.rpartition("/")
            if message.type.full_name == "google.protobuf.Any":
                self.any(message, prefix + slash, name)
                return
            if slash:
                self.fail('Extension name contains "/"')
            field = self.finder.find_extension(name, message.type)
            if field is None or field.containing_type is not message.type:
                self.fail(f'Extension "{name}" is not defined or is not an extension of "{message.type.full_name}".')
        else:
            if not token.isidentifier():
                self.fail(f"Expected identifier, got: {self.current()}")
            self.at += 1
            name = token
            found = self.field_named(name, message.type)
            if found is None:
                self.skip_field_value()
                self.separator()
                return
            field = found
        self.check_unset(field, name, message)
        if field.type == FieldType.MESSAGE:
            self.try_consume(":")
        else:
            self.consume(":")
        if field.is_repeated:
            values = message.fields.setdefault(field, [])
            if not isinstance(values, list):
                raise TypeError("a repeated field holds a list")
            if self.try_consume("["):
                if not self.try_consume("]"):
                    while True:
                        values.append(self.value(field))
                        if self.try_consume("]"):
                            break
                        self.consume(",")
            else:
                values.append(self.value(field))
            if not values:
                del message.fields[field]
        else:
            message.fields[field] = self.value(field)
        self.separator()

    def field_named(self, name: str, message: MessageDescriptor) -> FieldDescriptor | None:
        """The field, or None if the name is reserved. A group is also known by the name of its type."""
        fields = self.finder.fields_by_name(message)
        field = fields.get(name)
        if field is not None:
            return field
        field = fields.get(name.lower())
        if field is not None and field.is_delimited and field.message_type and field.message_type.name == name:
            return field
        if name in self.finder.reserved_names(message):
            return None
        return self.fail(f'Message type "{message.full_name}" has no field named "{name}".')

    def check_unset(self, field: FieldDescriptor, name: str, message: OptionMessage) -> None:
        if field.is_repeated:
            return
        if field in message.fields and (field.has_presence or message.fields[field]):
            self.fail(f'Non-repeated field "{name}" is specified multiple times.')
        oneof = field.containing_oneof
        if oneof is not None:
            for other in message.fields:
                if other.containing_oneof is oneof:
                    self.fail(
                        f'Field "{name}" is specified along with field "{other.name}", another member of oneof '
                        f'"{oneof.name}".'
                    )

    def separator(self) -> None:
        if self.tokens[self.at] in (";", ","):
            self.at += 1

    def bracketed_name(self) -> str:
        """What stands in brackets: an extension's name or a type URL."""
        self.at += 1
        text = ""
        while (token := self.tokens[self.at]) != "]":
            if token == END or token[:1] in ("'", '"', "{", "}", "[", "<", ">"):
                self.fail(f'Expected "]", found "{self.current()}".')
            text += token
            self.at += 1
        self.at += 1
        for part in text.rpartition("/")[2].split("."):
            if not part.isidentifier():
                self.fail(f'Invalid identifier in type name, got: "{part}"')
        return text

    def any(self, message: OptionMessage, prefix: str, name: str) -> None:
        """The expanded form of an Any."""
        if not prefix:
            self.fail("Type URL prefix is missing")
        self.try_consume(":")
        found = self.finder.find_any_type(name) if prefix in TYPE_URL_PREFIXES else None
        if found is None:
            self.fail(f'Could not find type "{prefix}{name}" stored in google.protobuf.Any.')
        content = self.message(found)
        missing = _missing_fields(content, "")
        if missing:
            self.fail(
                f'Value of type "{found.full_name}" stored in google.protobuf.Any has missing required fields: '
                f"{', '.join(missing)}"
            )
        fields = self.finder.fields_by_name(message.type)
        if fields["type_url"] in message.fields:
            self.fail("Non-repeated Any specified multiple times.")
        message.fields[fields["type_url"]] = prefix + name
        message.fields[fields["value"]] = serialize_options(content).decode("latin-1")
        self.separator()

    def message(self, type_: MessageDescriptor) -> OptionMessage:
        """``{ fields }`` or ``< fields >``."""
        opening = self.tokens[self.at]
        if opening not in CLOSING:
            self.fail(f'Expected "{{", found "{self.current()}".')
        self.at += 1
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"Message is too deep, the parser exceeded the configured recursion limit of {MAX_DEPTH}.")
        message = OptionMessage(type_)
        while self.tokens[self.at] not in ("}", ">"):
            self.field(message)
        self.consume(CLOSING[opening])
        self.depth -= 1
        return message

    def value(self, field: FieldDescriptor) -> Scalar | OptionMessage:
        kind = field.type
        if field.message_type is not None:
            return self.message(field.message_type)
        if kind in (FieldType.STRING, FieldType.BYTES):
            return self.string()
        if field.enum_type is not None:
            return self.enum(field, field.enum_type)
        if kind == FieldType.BOOL:
            return self.boolean(field)
        if kind in (FieldType.DOUBLE, FieldType.FLOAT):
            return self.double()
        largest = LARGEST[kind]
        if kind not in UNSIGNED and self.try_consume("-"):
            return -self.integer(largest + 1)
        return self.integer(largest)

    def string(self) -> str:
        if self.tokens[self.at][:1] not in ("'", '"'):
            self.fail(f"Expected string, got: {self.current()}")
        text = ""
        while self.tokens[self.at][:1] in ("'", '"'):
            part = unescape(self.tokens[self.at])
            if part is None:
                self.fail("Invalid escape sequence in string literal.")
            text += part
            self.at += 1
        return text

    def integer(self, largest: int) -> int:
        token = self.tokens[self.at]
        if not INTEGER_TOKEN.fullmatch(token):
            self.fail(f"Expected integer, got: {self.current()}")
        value = parse_integer(token)
        if value is None or value > largest:
            self.fail(f"Integer out of range ({token})")
        self.at += 1
        return value

    def double(self) -> float:
        sign = -1.0 if self.try_consume("-") else 1.0
        token = self.tokens[self.at]
        value = parse_float(token)
        if value is None:
            if INTEGER_TOKEN.fullmatch(token):
                if len(token) > 1 and token[0] == "0":
                    self.fail(f"Expect a decimal number, got: {token}")
                value = float(token)
            elif token.lower() in ("inf", "infinity"):
                value = math.inf
            elif token.lower() == "nan":
                value = math.nan
            else:
                self.fail(f"Expected double, got: {self.current()}")
        self.at += 1
        return math.copysign(value, sign) if math.isnan(value) or value == 0 else sign * value

    def boolean(self, field: FieldDescriptor) -> bool:
        token = self.tokens[self.at]
        if INTEGER_TOKEN.fullmatch(token):
            return bool(self.integer(1))
        if not token.isidentifier():
            self.fail(f"Expected identifier, got: {self.current()}")
        if token not in BOOLEANS:
            self.fail(f'Invalid value for boolean field "{field.name}". Value: "{token}".')
        self.at += 1
        return BOOLEANS[token]

    def enum(self, field: FieldDescriptor, enum: EnumDescriptor) -> int:
        token = self.tokens[self.at]
        if token.isidentifier():
            self.at += 1
            number = self.finder.enum_number(enum, token)
            if number is None:
                self.fail(f'Unknown enumeration value of "{token}" for field "{field.name}".')
            return number
        if token != "-" and not INTEGER_TOKEN.fullmatch(token):
            self.fail(f"Expected integer or identifier, got: {self.current()}")
        sign = -1 if self.try_consume("-") else 1
        number = sign * self.integer(LARGEST[FieldType.INT32] + (sign < 0))
        if enum.is_closed and all(value.number != number for value in enum.values):
            self.fail(f'Unknown enumeration value of "{number}" for field "{field.name}".')
        return number

    def skip_field_value(self) -> None:
        """Go past the value of a reserved field."""
        if self.try_consume(":") and self.tokens[self.at] not in CLOSING:
            self.skip_value()
            return
        self.skip_message()

    def skip_message(self) -> None:
        opening = self.tokens[self.at]
        if opening not in CLOSING:
            self.fail(f'Expected "{{", found "{self.current()}".')
        depth = 0
        while True:
            token = self.tokens[self.at]
            if token == END:
                self.fail(f'Expected "{CLOSING[opening]}", found "".')
            depth += (token in CLOSING) - (token in ("}", ">"))
            self.at += 1
            if depth == 0:
                return

    def skip_value(self) -> None:
        if self.tokens[self.at][:1] in ("'", '"'):
            self.string()
            return
        if self.try_consume("["):
            while not self.try_consume("]"):
                if self.tokens[self.at] in CLOSING:
                    self.skip_message()
                else:
                    self.skip_value()
                if self.tokens[self.at] != "]":
                    self.consume(",")
            return
        is_negative = self.try_consume("-")
        token = self.tokens[self.at]
        if is_negative and token.isidentifier() and token.lower() not in ("inf", "infinity", "nan"):
            self.fail(f"Invalid float number: {token.lower()}")
        if not token.isidentifier() and parse_integer(token) is None and parse_float(token) is None:
            self.fail(f"Cannot skip field value, unexpected token: {self.current()}")
        self.at += 1
