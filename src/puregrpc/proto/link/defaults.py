"""The default values of fields, explicit or implied, as Python values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from puregrpc.proto.descriptors import FieldType
from puregrpc.proto.parse.literals import format_float

if TYPE_CHECKING:
    from puregrpc.proto.descriptors import EnumDescriptor, FieldDescriptor
    from puregrpc.proto.link.symbol_table import SymbolTable
    from puregrpc.proto.parse import ast

__all__ = ["default_value"]

IMPLIED: dict[int, object] = {
    FieldType.DOUBLE: 0.0,
    FieldType.FLOAT: 0.0,
    FieldType.BOOL: False,
    FieldType.STRING: "",
    FieldType.BYTES: b"",
}
OCTAL_ESCAPE = re.compile(r"\\(?:([0-7]{3})|(.))", re.DOTALL)
SIMPLE_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def default_value(node: ast.Field, descriptor: FieldDescriptor, table: SymbolTable) -> object:
    """The default of a singular field that is no message; for an enum, the number."""
    kind = descriptor.type
    text = node.default
    if descriptor.enum_type is not None:
        return _enum_default(text, descriptor.enum_type, table)
    if text is None:
        return IMPLIED.get(kind, 0)
    if kind == FieldType.DOUBLE:
        return float(text)
    if kind == FieldType.FLOAT:
        return float(format_float(float(text)))  # as precise as the type is, and as descriptors write it
    if kind == FieldType.BOOL:
        return text == "true"
    if kind == FieldType.STRING:
        return text.encode("latin-1").decode("utf-8", "replace")
    if kind == FieldType.BYTES:
        return _unescape(text)
    return int(text)


def _enum_default(text: str | None, enum: EnumDescriptor, table: SymbolTable) -> int:
    number = table.value_number(enum, text) if text is not None else None
    if number is not None:
        return number
    return enum.values[0].number if enum.values else 0


def _unescape(text: str) -> bytes:
    plain = OCTAL_ESCAPE.sub(
        lambda match: chr(int(match[1], 8)) if match[1] else SIMPLE_ESCAPES.get(match[2], match[2]), text
    )
    return plain.encode("latin-1")
