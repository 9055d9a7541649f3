"""JSON text (RFC 8259), read strictly: no duplicate names, no NaN literals, no numbers that overflow."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from puregrpc.codec.faults import Fault, TooDeep, shown

__all__ = ["parse", "render"]

HAS_SMALL_STACK = sys.platform in ("emscripten", "wasi")
"""In WebAssembly, Python's own parser runs over the end of the stack, and that ends the program."""

MAX_NESTING = 1000
"""How deeply a text may be nested there. Of messages it is a few hundred levels: see `Codec`'s ``max_depth``."""

_STRINGS_AND_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Refused:
    """Stands in a parsed text for what is not to be there."""

    problem: str


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Refused:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                return _Refused(f"the name {name[:80]!r} is there twice in one object")
            seen.add(name)
    return made


def _float(text: str) -> float | _Refused:
    number = float(text)
    return number if number - number == 0 else _Refused(f"number out of range: {text[:80]}")


def _integer(text: str) -> int | float | _Refused:
    return int(text) if len(text) <= 60 else _float(text)


def _constant(text: str) -> _Refused:
    return _Refused(f"{text} is not JSON; as a string it is a value of a float or double field")


def _raising(hook: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def checked(given: Any) -> Any:
        made = hook(given)
        if type(made) is _Refused:
            raise Fault(made.problem)
        return made

    return checked


def _decoder(wrap: Callable[[Callable[[Any], Any]], Callable[[Any], Any]]) -> Callable[[str], Any]:
    return json.JSONDecoder(
        object_pairs_hook=wrap(_object),
        parse_float=wrap(_float),
        parse_int=wrap(_integer),
        parse_constant=wrap(_constant),
    ).decode


_decode = _decoder(_raising)
_decode_marking = _decoder(lambda hook: hook)


def parse(text: str | bytes) -> Any:
    """The value of a JSON text, which as bytes is UTF-8; a byte order mark before it is passed over (RFC 8259, 8.1).

    Raises Fault.
    """
    try:
        text = (text if isinstance(text, str) else bytes(text).decode()).removeprefix("\ufeff")
        if HAS_SMALL_STACK:
            _check_nesting(text)
        try:
            return _decode(text)
        except Fault as fault:
            raise _located(_decode_marking(text)) or fault from None
    except UnicodeDecodeError as error:
        if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise Fault("not JSON: UTF-16, where UTF-8 is expected") from None
        raise Fault(f"not JSON: invalid UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise Fault(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise TooDeep from None


def _check_nesting(text: str) -> None:
    if text.count("[") + text.count("{") <= MAX_NESTING:
        return
    depth = 0
    for found in _STRINGS_AND_BRACKETS.finditer(text):
        if found[0] in "[{":
            depth += 1
            if depth > MAX_NESTING:
                raise TooDeep
        elif found[0] in "]}":
            depth -= 1


def _located(value: Any) -> Fault | None:
    """The first thing in a parsed text that is refused, with the path to it."""
    path: list[str] = []
    pending: list[Iterator[tuple[str, Any]]] = [iter([("", value)])]
    while pending:
        for step, part in pending[-1]:
            if isinstance(part, _Refused):
                return Fault(part.problem, *path, step)
            if isinstance(part, (dict, list)):
                path.append(step)
                pending.append(_parts(part))
                break
        else:
            pending.pop()
            if path:
                path.pop()
    return None


def _parts(whole: dict[str, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(whole, list):
        return ((f"[{index}]", item) for index, item in enumerate(whole))
    return ((_step(name), item) for name, item in whole.items())


def _step(name: str) -> str:
    return f".{name}" if len(name) <= 80 and name.isascii() and name.isidentifier() else f"[{shown(name)}]"


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def render(value: Any) -> str:
    """A decoded message as JSON text, on one line."""
    try:
        return _encode(value)
    except RecursionError:
        raise TooDeep from None
