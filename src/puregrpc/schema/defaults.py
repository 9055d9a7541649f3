"""Default values: the text in FieldDescriptorProto.default_value, and what a field without one starts as."""

from __future__ import annotations

import re

from puregrpc.errors import SchemaError
from puregrpc.proto.descriptors import EnumDescriptor, FieldDescriptor, FieldType

__all__ = ["INTEGER_RANGES", "default_of", "implied_default"]

_SIGNED_32 = (-(1 << 31), (1 << 31) - 1)
_SIGNED_64 = (-(1 << 63), (1 << 63) - 1)
_UNSIGNED_32 = (0, (1 << 32) - 1)
_UNSIGNED_64 = (0, (1 << 64) - 1)

INTEGER_RANGES = {
    FieldType.INT32: _SIGNED_32,
    FieldType.SINT32: _SIGNED_32,
    FieldType.SFIXED32: _SIGNED_32,
    FieldType.INT64: _SIGNED_64,
    FieldType.SINT64: _SIGNED_64,
    FieldType.SFIXED64: _SIGNED_64,
    FieldType.UINT32: _UNSIGNED_32,
    FieldType.FIXED32: _UNSIGNED_32,
    FieldType.UINT64: _UNSIGNED_64,
    FieldType.FIXED64: _UNSIGNED_64,
}

_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|(.))", re.DOTALL)
_SIMPLE_ESCAPES = {
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"v": b"\v",
    b"\\": b"\\",
    b"'": b"'",
    b'"': b'"',
    b"?": b"?",
}


def implied_default(field_type: FieldType, enum: EnumDescriptor | None) -> object:
    """What a singular field starts as when its declaration says nothing; None for messages."""
    if field_type is FieldType.ENUM:
        return enum.values[0].number if enum is not None and enum.values else 0
    if field_type is FieldType.STRING:
        return ""
    if field_type is FieldType.BYTES:
        return b""
    if field_type is FieldType.BOOL:
        return False
    if field_type in (FieldType.FLOAT, FieldType.DOUBLE):
        return 0.0
    return None if field_type is FieldType.MESSAGE else 0


def default_of(field: FieldDescriptor, text: str) -> object:
    """The value that ``text``, a FieldDescriptorProto.default_value, stands for.

    Raises SchemaError if it is not a value of the field's type.
    """
    if field.type in INTEGER_RANGES:
        value = _integer(text)
        low, high = INTEGER_RANGES[field.type]
        if value is not None and low <= value <= high:
            return value
    elif field.type in (FieldType.FLOAT, FieldType.DOUBLE):
        try:
            return float(text)
        except ValueError:
            pass
    elif field.type is FieldType.BOOL:
        if text in ("true", "false"):
            return text == "true"
    elif field.type is FieldType.STRING:
        return text
    elif field.type is FieldType.BYTES:
        return _unescape(text)
    elif field.type is FieldType.ENUM:
        if field.enum_type is None or field.enum_type.file is None:
            return 0
        number = field.enum_type.number_of(text)
        if number is not None:
            return number
    raise SchemaError(
        f"{field.full_name}: {text[:80]!r} is not a default for a field of type {field.type.name.lower()}"
    )


def _integer(text: str) -> int | None:
    if not re.fullmatch(r"-?[0-9]{1,20}", text):
        return None
    return int(text)


def _unescape(text: str) -> bytes:
    """The bytes that a C-escaped text stands for, which is how defaults of bytes fields are written."""

    def replacement(match: re.Match[bytes]) -> bytes:
        octal, hexadecimal, simple = match.groups()
        if octal is not None:
            return bytes((int(octal, 8) & 0xFF,))
        if hexadecimal is not None:
            return bytes((int(hexadecimal, 16),))
        return _SIMPLE_ESCAPES.get(simple, simple)

    return _ESCAPE.sub(replacement, text.encode("utf-8", "surrogateescape"))
