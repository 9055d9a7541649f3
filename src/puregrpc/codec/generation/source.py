"""Generated functions: their lines, the constants they use, and which field each line belongs to.

The text of a generated function holds nothing from a descriptor: only keywords, numbers and numbered names.
Everything with content (keys, tags, defaults, enum tables, encoders of other types) is a constant of the
namespace that the function is compiled in. Equal texts share one code object.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from types import CodeType
from typing import Any

__all__ = ["ELEMENT", "MAX_FIELDS", "OF_TAG", "Source", "forget_code"]

MAX_FIELDS = 64
"""Fields for which one function is generated. More are split over several functions, so that compiling stays fast
and no message, however large, is too much for the compiler."""

ELEMENT = 0x10000
"""Added to the field of a line that works on one element of a list or map."""

OF_TAG = -2
"""The field of lines that work for whichever field the tag is of."""


@lru_cache(maxsize=512)
def _code(text: str) -> CodeType:
    return compile(text, "<generated codec>", "exec", dont_inherit=True, optimize=2)


class Source:
    """One generated function while it is written."""

    def __init__(self, signature: str) -> None:
        self.lines = [f"def generated({signature}):"]
        self.fields = [-1, -1]
        self.names: list[str] = []
        self.namespace: dict[str, Any] = {}
        self._indent = 1
        self._field = -1

    def add(self, *lines: str, indent: int = 0) -> None:
        """Lines of code at the present indentation, more deeply by ``indent``."""
        prefix = " " * (self._indent + indent)
        for line in lines:
            self.lines.append(prefix + line)
            self.fields.append(self._field)

    def indent(self, change: int) -> None:
        """Make the lines to come deeper, or less so."""
        self._indent += change

    def field(self, index: int, *, element: bool = False) -> None:
        """The lines to come belong to this field; -1 for none."""
        self._field = index + ELEMENT if element and index >= 0 else index

    def later(self, name: str, make: Callable[[], Callable[..., Any]]) -> None:
        """Let ``name`` be a function that is made when it is first called."""

        def stub(*arguments: Any) -> Any:
            made = self.namespace[name] = make()
            return made(*arguments)

        self.namespace[name] = stub

    def function(self) -> Callable[..., Any]:
        """The function, compiled."""
        namespace = self.namespace
        for name in list(namespace):
            # Where there is no GIL, threads look up without a lock what is interned, as the names in the code are.
            if (interned := sys.intern(name)) is not name:
                namespace[interned] = namespace.pop(name)
        namespace["__builtins__"] = _BUILTINS
        namespace["NAMES"] = self.names
        namespace["LINES"] = self.fields
        exec(_code("\n".join(self.lines)), namespace)
        made: Callable[..., Any] = namespace["generated"]
        return made

    def listing(self) -> str:
        """The text with the names it stands for as comments, for people to read."""
        out = [f"# {name} = {_printable(value)}" for name, value in self.namespace.items() if _worth_showing(name)]
        last = -1
        for line, field in zip(self.lines, self.fields[1:], strict=False):
            field = field if field < 0 else field % ELEMENT
            if field != last and field >= 0:
                out.append(f"{' ' * (len(line) - len(line.lstrip()))}# {self.names[field]!a}")
            last = field
            out.append(line)
        return "\n".join(out) + "\n"


_BUILTINS = {
    "len": len,
    "type": type,
    "int": int,
    "str": str,
    "bool": bool,
    "float": float,
    "bytes": bytes,
    "list": list,
    "dict": dict,
    "enumerate": enumerate,
    "map": map,
    "tuple": tuple,
    "bytearray": bytearray,
}
"""What generated code may call; nothing else of Python is in its reach."""


def _worth_showing(name: str) -> bool:
    return name[:1].isupper() and name[1:2].isdigit()


def _printable(value: object) -> str:
    text = ascii(value)
    if callable(value):
        text = f"<{getattr(value, '__name__', 'function')}>"
    return text if len(text) <= 100 else text[:97] + "..."


def forget_code() -> None:
    """Forget the code objects that equal texts share; for measuring."""
    _code.cache_clear()
