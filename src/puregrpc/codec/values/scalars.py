"""Scalars as users give them, made into what the wire format takes (ProtoJSON, "JSON representation").

Generated code looks for the type it expects and comes here for everything else: numbers as strings, integral
floats, objects with ``__index__``, base64. What does not fit raises Fault.
"""

from __future__ import annotations

import math
import re
import struct
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable, Mapping
from typing import Any, SupportsIndex

from puregrpc.codec.faults import Fault, shown

__all__ = [
    "TOO_LARGE_FOR_FLOAT",
    "bool_of",
    "bytes_of",
    "double_of",
    "enum_of",
    "enum_or_none",
    "float_of",
    "float_text",
    "int32_of",
    "int64_of",
    "is_bool",
    "key_of_bool",
    "key_of_int32",
    "key_of_int64",
    "key_of_uint32",
    "key_of_uint64",
    "native_bytes_of",
    "null_of",
    "shortest_float",
    "shortest_native",
    "string_of",
    "uint32_of",
    "uint64_of",
]

_INTEGER_TEXT = re.compile(r"-?(?:0|[1-9][0-9]{0,40})\Z", re.ASCII)
_NUMBER_TEXT = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,9})?\Z", re.ASCII)
_BASE64_TEXT = re.compile(r"[A-Za-z0-9+/_-]*={0,2}\Z", re.ASCII)
_BEYOND_64_BITS = 1 << 64
_WEB_TO_STANDARD = str.maketrans("-_", "+/")


def _integer(kind: str, low: int, high: int) -> Callable[[object], int]:
    def integer_of(value: object) -> int:
        number: int | None = None
        if type(value) is str and len(value) < 21 and value.isdecimal():
            number = int(value)
            if low <= number <= high and str(number) == value:
                return number
        if is_bool(value):
            number = None
        elif isinstance(value, int):
            number = int(value)
        elif isinstance(value, str):
            number = _integer_of_text(value, kind)
        elif isinstance(value, float):
            number = int(value) if value.is_integer() else None
        elif isinstance(value, SupportsIndex) or hasattr(value, "__float__"):
            number = _integer_of_number(value)
        if number is None:
            raise Fault(f"{kind} expected, not {shown(value)}")
        if not low <= number <= high:
            raise Fault(f"{kind} out of range: {shown(value)}")
        return number

    return integer_of


def _integer_of_number(value: Any) -> int | None:
    """The integer that another library's number is equal to (a Decimal, a Fraction, a numpy.float32)."""
    try:
        if not -_BEYOND_64_BITS < value < _BEYOND_64_BITS:  # a Decimal may stand for millions of digits
            return _BEYOND_64_BITS if value - value == 0 else None
        number = int(value)
        return number if number == value else None
    except (ArithmeticError, TypeError, ValueError):
        return None  # not finite, not real, or not one number


def _integer_of_text(text: str, kind: str) -> int | None:
    if _INTEGER_TEXT.match(text):
        return int(text)
    if len(text) <= 60 and _NUMBER_TEXT.match(text):
        mantissa, _, exponent = text.lower().partition("e")
        whole, _, fraction = mantissa.partition(".")
        shift = int(exponent or 0) - len(fraction)
        digits = int(whole + fraction)
        if digits == 0:
            return 0
        if shift > 40:
            raise Fault(f"{kind} out of range: {text!r}")
        if shift >= 0:
            return digits * int(10**shift)
        divisor = int(10 ** min(-shift, 100))
        if digits % divisor == 0:
            return digits // divisor
    return None


int32_of = _integer("int32", -(1 << 31), (1 << 31) - 1)
int64_of = _integer("int64", -(1 << 63), (1 << 63) - 1)
uint32_of = _integer("uint32", 0, (1 << 32) - 1)
uint64_of = _integer("uint64", 0, (1 << 64) - 1)


def is_bool(value: object) -> bool:
    """Whether a value is a bool: True, False, or what another library calls so."""
    return type(value).__name__ in ("bool", "bool_")


_KEY_TEXT = re.compile(r"(?:0|-?[1-9][0-9]*)\Z", re.ASCII)


def _integer_key(kind: str, integer_of: Callable[[object], int]) -> Callable[[object], int]:
    """The same for the key of a map: text has only one form there, or an object could have one key twice."""

    def key_of(value: object) -> int:
        if isinstance(value, str) and not _KEY_TEXT.match(value):
            raise Fault(f"{kind} expected, not {shown(value)}")
        return integer_of(value)

    return key_of


key_of_int32 = _integer_key("int32", int32_of)
key_of_int64 = _integer_key("int64", int64_of)
key_of_uint32 = _integer_key("uint32", uint32_of)
key_of_uint64 = _integer_key("uint64", uint64_of)


def bool_of(value: object) -> bool:
    """A bool that is not True or False itself: nothing is, except what another library calls a bool."""
    if is_bool(value):
        return bool(value)
    raise Fault(f"bool expected, not {shown(value)}")


def key_of_bool(value: object) -> bool:
    """A key of a map with bool keys: JSON has only strings there."""
    if value == "true" and isinstance(value, str):
        return True
    if value == "false" and isinstance(value, str):
        return False
    return bool_of(value)


def string_of(value: object) -> str:
    """A str; subclasses become plain ones."""
    if isinstance(value, str):
        return str.__str__(value)
    raise Fault(f"string expected, not {shown(value)}")


def bytes_of(value: object) -> bytes:
    """Bytes from base64 text, standard or web-safe, padded or not; bytes themselves are taken as they are."""
    if isinstance(value, str):
        try:
            decoded = a2b_base64(value)
        except (ValueError, Base64Error):
            decoded = b""
        # Invalid characters are skipped by a2b_base64: then fewer bytes come out than the length promises.
        padding = 2 if value.endswith("==") else 1 if value.endswith("=") else 0
        if len(value) & 3 == 0 and len(decoded) * 4 == len(value) * 3 - padding * 4:
            return decoded
        return _unusual_base64(value)
    return native_bytes_of(value)


def _unusual_base64(text: str) -> bytes:
    bare = text.rstrip("=")
    padding = len(text) - len(bare)
    if not _BASE64_TEXT.match(text) or len(bare) % 4 == 1 or (padding and (len(text) % 4 or padding > 2)):
        raise Fault(f"base64 expected, not {shown(text)}")
    return a2b_base64(bare.translate(_WEB_TO_STANDARD) + "=" * (-len(bare) % 4))


def native_bytes_of(value: object) -> bytes:
    """Bytes from any object that has the buffer interface."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        try:
            return bytes(value)
        except ValueError:
            raise Fault("bytes expected, not a memoryview that was released") from None
    raise Fault(f"bytes expected, not {shown(value)}")


def _number(value: object, kind: str) -> float:
    if is_bool(value):
        pass
    elif isinstance(value, (int, float)):
        try:
            return float(value)
        except OverflowError:
            raise Fault(f"{kind} out of range: {shown(value)}") from None
    elif isinstance(value, str):
        if value == "NaN":
            return math.nan
        if value == "Infinity":
            return math.inf
        if value == "-Infinity":
            return -math.inf
        if len(value) <= 1100 and _NUMBER_TEXT.match(value):
            number = float(value)
            if math.isinf(number):
                raise Fault(f"{kind} out of range: {shown(value)}")
            return number
    elif hasattr(value, "__float__"):
        return _float_of_number(value, kind)
    raise Fault(f"{kind} expected, not {shown(value)}")


def _float_of_number(value: Any, kind: str) -> float:
    """Another library's number as a float."""
    try:
        number = float(value)
        if math.isinf(number) and value != number:
            raise OverflowError
    except OverflowError:
        raise Fault(f"{kind} out of range: {shown(value)}") from None
    except (ArithmeticError, TypeError, ValueError):
        raise Fault(f"{kind} expected, not {shown(value)}") from None
    return number


def double_of(value: object) -> float:
    """A float from a number or its text; NaN and the infinities by name."""
    return _number(value, "double")


TOO_LARGE_FOR_FLOAT = 3.4028235677973366e38
"""Halfway between the largest 32-bit float and what would come next: from here on it is infinity."""


def float_of(value: object) -> float:
    """The same, for 32 bits."""
    number = _number(value, "float")
    if abs(number) >= TOO_LARGE_FOR_FLOAT and not math.isinf(number):
        raise Fault(f"float out of range: {shown(value)}")
    return number


def float_text(value: float) -> str:
    """What ProtoJSON writes for a float that is not a number or not finite."""
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


_pack_float = struct.Struct("<f").pack


_FORMS = ("%.6g", "%.7g", "%.8g", "%.9g")
"""Nine digits are enough for any 32-bit float; fewer than six are found by the first form, too. Subnormal ones would do
with fewer, but protobuf's own json_format begins with six as well."""


def shortest_float(value: float) -> float | str:
    """A 32-bit float as the double with the fewest digits that is the same float; text if it is not finite."""
    if value - value != 0:
        return float_text(value)
    if -16777216 <= value <= 16777216 and value == int(value):
        return value
    packed = _pack_float(value)
    for form in _FORMS:
        candidate = float(form % value)
        try:
            if _pack_float(candidate) == packed:
                return candidate
        except OverflowError:
            continue
    return value


def shortest_native(value: float) -> float:
    """The same, with what is not finite as it is."""
    number = shortest_float(value)
    return value if isinstance(number, str) else number


def enum_of(value: object, numbers: Mapping[str, int], is_closed: bool) -> int:
    """The number of an enum value given by name or number."""
    if isinstance(value, str):
        number = numbers.get(value)
        if number is None:
            some = ", ".join(list(numbers)[:5])
            raise Fault(f"no enum value {shown(value)}; known are {some}{', …' if len(numbers) > 5 else ''}")
        return number
    if is_bool(value) or (isinstance(value, float) and not value.is_integer()) or value is None:
        raise Fault(f"enum name or number expected, not {shown(value)}")
    try:
        number = int32_of(value)
    except Fault as fault:
        raise Fault(fault.problem.replace("int32 expected", "enum name or number expected")) from None
    if is_closed and number not in numbers.values():
        raise Fault(f"no enum value has the number {number}")
    return number


def enum_or_none(value: object, numbers: Mapping[str, int], is_closed: bool) -> int | None:
    """The same, with None for a name that is not known."""
    if isinstance(value, str):
        return numbers.get(value)
    return enum_of(value, numbers, is_closed)


def null_of(value: Any) -> int:
    """The number of a google.protobuf.NullValue."""
    if value is None or value == "NULL_VALUE":
        return 0
    if isinstance(value, int) and not isinstance(value, bool):
        return int32_of(value)
    raise Fault(f"null expected, not {shown(value)}")
