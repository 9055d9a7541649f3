"""What goes wrong inside encoders and decoders, and where.

Generated code does not keep track of where it is: that would cost time in every call that goes well. Each function
catches what its fields raise, finds the field by the line that was running, puts it in front of the path that is
known so far, and raises it again. The codec turns a complete fault into EncodeError or DecodeError.
"""

from __future__ import annotations

import reprlib
import struct
from collections.abc import Sequence
from typing import Any

__all__ = [
    "FAULTS",
    "Fault",
    "TooDeep",
    "TooManyElements",
    "Truncated",
    "at_element",
    "fault_of",
    "inside",
    "locate",
    "told",
]


class Fault(Exception):  # noqa: N818 - never leaves the room
    """A value that does not fit, with the path from the message that is being worked on to it."""

    def __init__(self, problem: str, *path: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.path = "".join(path)


class Truncated(Fault):
    """A value goes on past the end of the message it is in."""

    def __init__(self) -> None:
        super().__init__("truncated: a value goes on past the end of its message")


class TooDeep(Fault):
    """Messages are nested deeper than allowed."""

    def __init__(self) -> None:
        super().__init__("nested too deep: over the limit of nested messages, or a message that contains itself")


class TooManyElements(Fault):
    """More would be made of a message than its codec allows."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"over the limit of {limit:,} elements of lists and maps in one message (max_elements)")


FAULTS = (Fault, IndexError, UnicodeError, struct.error, OverflowError)
"""What generated code may raise for input that is not valid."""


def fault_of(error: Exception) -> Fault:
    """The fault that an exception of a codec primitive stands for."""
    if isinstance(error, Fault):
        return error
    if isinstance(error, UnicodeDecodeError):
        return Fault(f"invalid UTF-8 at byte {error.start} of the string")
    if isinstance(error, UnicodeError):
        return Fault("not a valid Unicode string: it has a lone surrogate")
    if isinstance(error, OverflowError):
        return Fault("out of range for the type of the field")
    return Truncated()


def locate(
    error: Exception, names: Sequence[str], lines: Sequence[int], message: Any, key: Any, of_tag: int = -1
) -> Fault:
    """``error`` with the field it happened in at the head of its path.

    ``lines`` maps each line of the generated function to an index in ``names`` (below 0: no field, and for the
    element of a list or the key of a map: the field's index + 0x10000). ``message`` is the dict decoded so far, or
    None; ``key`` the index or key that was being worked on, or None; ``of_tag`` the field of lines with the index -2.
    """
    fault = fault_of(error)
    traceback = error.__traceback__
    line = traceback.tb_lineno if traceback is not None else 0
    field = lines[line] if line < len(lines) else -1
    if field == -2:
        field = of_tag
        if field >= 0 and message is not None and isinstance(message.get(names[field]), list):
            field += 0x10000
    if field < 0:
        return fault
    name = names[field & 0xFFFF]
    element = ""
    if field >= 0x10000 and not fault.path.startswith("["):
        if key is None and message is not None:
            done = message.get(name)
            key = len(done) if isinstance(done, list) else None
        if key is not None:
            element = f"[{shown(key)}]"
    fault.path = f"{'' if name.startswith('[') else '.'}{name}{element}{fault.path}"
    return fault


def at_element(error: Exception, key: object) -> Fault:
    """``error`` with the element of a list or map it happened in at the head of its path."""
    return inside(error, f"[{shown(key)}]")


def inside(error: Exception, place: str) -> Fault:
    """``error`` with this at the head of its path."""
    fault = fault_of(error)
    fault.path = place + fault.path
    return fault


def told(error: Exception) -> tuple[str, str]:
    """The path of an error, and what the problem is there. Whoever keeps these, and not the error, makes no cycle
    through its traceback."""
    fault = fault_of(error)
    return fault.path, fault.problem


_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 80
_short.maxlist = _short.maxtuple = _short.maxset = _short.maxdict = 4
_short.maxlevel = 3


def shown(value: object) -> str:
    """A value in a message: short, on one line, whatever it is."""
    try:
        text = _short.repr(value)
    except ValueError:  # an integer of more digits than Python writes
        text = f"a very large {type(value).__name__}"
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= 80 else text[:77] + "..."
