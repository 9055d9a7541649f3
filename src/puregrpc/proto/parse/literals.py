"""The values of literals: integers, floating point numbers and strings as .proto sources write them.

Section: https://protobuf.dev/reference/protobuf/edition-2023-spec/#lexical_elements.
"""

from __future__ import annotations

import math
import re
import struct

__all__ = [
    "c_escape",
    "format_double",
    "format_float",
    "parse_float",
    "parse_integer",
    "unescape",
]

DECIMAL = re.compile(r"[1-9][0-9]*|0")
INTEGER = re.compile(r"0[xX][0-9A-Fa-f]+|0[0-7]*|[1-9][0-9]*")
FLOAT = re.compile(r"(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+")
ESCAPE = re.compile(
    r"\\(?:([0-7]{1,3})|[xX]([0-9A-Fa-f]{1,2})"
    r"|u([dD][89abAB][0-9A-Fa-f]{2})\\u([dD][c-fC-F][0-9A-Fa-f]{2})"
    r"|u([0-9A-Fa-f]{4})|U(00[01][0-9A-Fa-f]{5})|([abfnrtv\\?'\"])|)"
)
SIMPLE_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "?": "?", "'": "'", '"': '"',
}  # fmt: skip
LARGEST_INTEGER = (1 << 64) - 1


def parse_integer(token: str) -> int | None:
    """The value of a decimal, octal or hexadecimal integer; None if the token is none or above 2**64 - 1."""
    if DECIMAL.fullmatch(token):
        if len(token) > 20:
            return None
        value = int(token)
    elif INTEGER.fullmatch(token):
        value = int(token, 16) if token[1] in "xX" else int(token, 8)
    else:
        return None
    return value if value <= LARGEST_INTEGER else None


def parse_float(token: str) -> float | None:
    """The value of a floating point literal; None if the token is none."""
    return float(token) if FLOAT.fullmatch(token) else None


def unescape(token: str) -> str | None:
    """The value of a quoted string, one character per byte; None if an escape sequence in it is not valid."""
    body = token[1:-1]
    if "\\" not in body:
        return body
    if "\\" not in body.replace("\\\\", ""):  # only backslashes are escaped, as in namespaces of PHP
        return body.replace("\\\\", "\\")
    failed = False

    def replace(match: re.Match[str]) -> str:
        nonlocal failed
        octal, hexadecimal, head, trail, short, long, simple = match.groups()
        if simple:
            return SIMPLE_ESCAPES[simple]
        if octal:
            return chr(int(octal, 8) & 0xFF)
        if hexadecimal:
            return chr(int(hexadecimal, 16))
        if head:
            return _utf8(0x10000 + ((int(head, 16) - 0xD800) << 10) + int(trail, 16) - 0xDC00)
        if short or long:
            return _utf8(int(short or long, 16))
        failed = True
        return ""

    value = ESCAPE.sub(replace, body)
    return None if failed else value


def _utf8(code_point: int) -> str:
    """A code point as UTF-8, one character per byte; lone surrogates too, and past the end of Unicode its escape."""
    if code_point > 0x10FFFF:
        return f"\\U{code_point:08x}"
    return chr(code_point).encode("utf-8", "surrogatepass").decode("latin-1")


C_ESCAPES = {
    "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "'": "\\'", "\\": "\\\\",
}  # fmt: skip
C_ESCAPED = re.compile(r"[^ -~]|[\"'\\]")


def c_escape(value: str) -> str:
    """Bytes as printable ASCII, the way default values of bytes fields are kept in descriptors."""
    return C_ESCAPED.sub(lambda match: C_ESCAPES.get(match.group()) or f"\\{ord(match.group()):03o}", value)


def format_double(value: float) -> str:
    """A double as descriptors keep it: the shortest of 15 or 17 digits that reads back the same, in %g style."""
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if math.isnan(value):
        return "nan"
    text = f"{value:.15g}"
    return text if float(text) == value else f"{value:.17g}"


def format_float(value: float) -> str:
    """A float as descriptors keep it: the shortest of 6 or 9 digits that reads back the same in single precision."""
    if math.isinf(value) or math.isnan(value):
        return format_double(value)
    try:
        single = struct.pack("<f", value)
    except OverflowError:
        return "inf" if value > 0 else "-inf"
    (value,) = struct.unpack("<f", single)
    for digits in (6, 9):
        text = f"{value:.{digits}g}"
        if struct.pack("<f", float(text)) == single:
            break
    return text
