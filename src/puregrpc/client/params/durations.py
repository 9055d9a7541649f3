"""Durations as k6 takes them: a number is milliseconds, text is a number too or has units (``300ms``, ``1m30s``)."""

from __future__ import annotations

import math
import re

from puregrpc.errors import InvalidArgument

__all__ = ["milliseconds"]

UNITS = {
    "ns": 1e-6,
    "us": 1e-3,
    "µs": 1e-3,  # U+00B5, the micro sign
    "μs": 1e-3,  # U+03BC, the Greek letter
    "ms": 1.0,
    "s": 1000.0,
    "m": 60_000.0,
    "h": 3_600_000.0,
    "d": 86_400_000.0,
}

NANOSECOND = 1e-6
"""In milliseconds: the unit in which k6 counts; what is less is nothing."""

_NUMBER = re.compile(r"[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[iI]nf(?:inity)?|[nN]a[nN])\Z")
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([^0-9.]*)")


def milliseconds(value: object) -> float:
    """``value`` in milliseconds; NaN counts as 0. Raises InvalidArgument with the words of k6 and Go."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise InvalidArgument(f"unable to use type {type(value).__name__} as a duration value")
    if not isinstance(value, str):
        return 0.0 if math.isnan(value) or abs(value) < NANOSECOND else float(value)
    if _NUMBER.match(value):
        return milliseconds(float(value))
    rest = value[1:] if value[:1] in ("+", "-") else value
    total, at = 0.0, 0
    while at < len(rest):
        part = _PART.match(rest, at)
        if part is None:
            break
        number, unit = part.groups()
        if not unit:
            raise InvalidArgument(f'time: missing unit in duration "{value}"')
        if unit not in UNITS:
            raise InvalidArgument(f'time: unknown unit "{unit}" in duration "{value}"')
        if unit == "d" and "." in number:
            raise InvalidArgument(f'time: the number of days in duration "{value}" is not an integer')
        total += float(number) * UNITS[unit]
        at = part.end()
    if at < len(rest) or not rest:
        raise InvalidArgument(f'time: invalid duration "{value}"')
    return -total if value[0] == "-" else total
