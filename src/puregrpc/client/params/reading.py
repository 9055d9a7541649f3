"""Reading params: a dict or keywords, in k6's spelling or in snake_case, refused in k6's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from puregrpc.client.params.durations import milliseconds
from puregrpc.errors import InvalidArgument

__all__ = ["Metadata", "Reader", "boolean", "merged", "metadata_reader", "read_all", "read_timeout", "shown", "size"]

LONGEST_TIMEOUT = 2e9
"""23 days: what operating systems can wait for at once; more counts as that."""

Metadata = tuple[tuple[str, "str | bytes"], ...]

Reader = Callable[[object], object]
"""Checks the value of one param. Raises InvalidArgument."""


def shown(value: object) -> str:
    """A value as messages show it: as JSON where it is simple."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, float):
        return "NaN" if value != value else f"{value:g}"
    return repr(value)


def merged(params: object, keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Dict and keywords together."""
    if params is None:
        return dict(keywords)
    if not isinstance(params, Mapping):
        raise InvalidArgument(f"params are a dict or keyword arguments, not {type(params).__name__}")
    both = [name for name in keywords if name in params]
    if both:
        raise InvalidArgument(f'param "{both[0]}" is given twice, in the dict and as a keyword')
    return {**params, **keywords}


def snake_case(name: object) -> str:
    """A param's name in snake_case, from k6's spelling."""
    if not isinstance(name, str):
        return ""
    if name.islower():
        return name
    return re.sub(r"(?<=[a-z])([A-Z])", lambda m: "_" + m[1].lower(), name)


def read_all(given: Mapping[str, Any], readers: Mapping[str, Reader], kind: str) -> dict[str, Any]:
    """The params by their names in snake_case; the first that is wrong decides. ``kind`` is what they are params of."""
    values: dict[str, Any] = {}
    for name, value in given.items():
        key = snake_case(name)
        reader = readers.get(key)
        if reader is None:
            raise InvalidArgument(f'unknown {kind}: "{name}"')
        if key in values:
            raise InvalidArgument(f'param "{name}" is given twice, in both spellings')
        values[key] = reader(value)
    return values


def boolean(name: str) -> Callable[[object], bool]:
    def read(value: object) -> bool:
        if not isinstance(value, bool):
            raise InvalidArgument(f"invalid {name} value: '{shown(value)}', it needs to be boolean")
        return value

    return read


def size(name: str, default: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**63
        if isinstance(value, bool) or not (isinstance(value, int) or whole):
            raise InvalidArgument(f"invalid {name} value: '{shown(value)}', it needs to be an integer")
        number = int(value)  # type: ignore[call-overload]  # it is an int, or a float without a fraction
        if number < 0:  # the message is k6's to the letter, with the quote that it lacks
            raise InvalidArgument(f"invalid {name} value: '{number}, it needs to be a positive integer")
        return number or default

    return read


def read_timeout(value: object) -> float:
    try:
        return min(milliseconds(value), LONGEST_TIMEOUT)
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid timeout value: {error}") from None


def metadata_reader(name: str) -> Callable[[object], Metadata]:
    def read(value: object) -> Metadata:
        if value is None:
            return ()
        if not isinstance(value, Mapping):
            raise InvalidArgument(f"invalid {name} param: must be an object with key-value pairs")
        entries: list[tuple[str, str | bytes]] = []
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidArgument(f"invalid {name} param: the name {key!r} must be a string")
            if key.endswith("-bin"):
                if not isinstance(item, bytes | bytearray | memoryview):
                    raise InvalidArgument(f'invalid {name} param: "{key}" value must be binary')
                entries.append((key.lower(), bytes(item)))
            elif not isinstance(item, str):
                raise InvalidArgument(f'invalid {name} param: "{key}" value must be a string')
            else:
                lower = key.lower()
                entries.append((lower, item.encode() if lower.endswith("-bin") else item))
        return tuple(entries)

    return read
