"""JSON text (RFC 8259), read strictly: no duplicate names, no NaN literals, no numbers that overflow."""

from __future__ import annotations

import json
from typing import Any

from puregrpc.codec.faults import Fault, TooDeep

__all__ = ["parse", "render"]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise Fault(f"the name {name[:80]!r} is there twice in one object")
            seen.add(name)
    return made


def _float(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise Fault(f"number out of range: {text[:80]}")
    return number


def _integer(text: str) -> int | float:
    return int(text) if len(text) <= 60 else _float(text)


def _constant(text: str) -> float:
    raise Fault(f"{text} is not JSON; as a string it is a value of a float or double field")


_decode = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_float, parse_int=_integer, parse_constant=_constant
).decode


def parse(text: str | bytes) -> Any:
    """The value of a JSON text, which as bytes is UTF-8. Raises Fault."""
    try:
        return _decode(text if isinstance(text, str) else bytes(text).decode())
    except UnicodeDecodeError as error:
        raise Fault(f"not JSON: invalid UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise Fault(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise TooDeep from None


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def render(value: Any) -> str:
    """A decoded message as JSON text, on one line."""
    try:
        return _encode(value)
    except RecursionError:
        raise TooDeep from None
