"""Which field numbers are free, for a message in which some were chosen badly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc.proto.descriptors import MAX_FIELD_NUMBER
from puregrpc.proto.parse import ast

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NumberHints"]

MAX_SUGGESTIONS = 3
RESERVED_BY_PROTOBUF = (19000, 19999)


def _clamp(value: int) -> int:
    return min(max(value, 0), MAX_SUGGESTIONS)


class NumberHints:
    """Collects the messages of a file that could do with other numbers."""

    def __init__(self) -> None:
        self.requests: dict[ast.Message, tuple[int, ast.Node]] = {}
        """message -> (how many numbers to suggest, the first place where one is needed)."""

    def request(self, message: ast.Message | None, reason: ast.Node, start: int = 0, end: int = 1) -> None:
        """Ask for as many numbers as there are from ``start`` to ``end``, the end left out."""
        if message is None:
            return
        count, first = self.requests.get(message, (0, reason))
        self.requests[message] = (_clamp(count + _clamp(_clamp(end) - _clamp(start))), first)

    def suggestions(self, tree: ast.File) -> Iterator[tuple[ast.Node, str]]:
        """(where one is needed first, the suggestion) for each of the messages at the top of the file."""
        package = f"{tree.package}." if tree.package else ""
        for message in tree.messages if self.requests else ():
            count, reason = self.requests.get(message, (0, message))
            if count <= 0:
                continue
            numbers = ", ".join(map(str, _free_numbers(message, count)))
            yield reason, f"Suggested field numbers for {package}{message.name}: {numbers}"


def _free_numbers(message: ast.Message, count: int) -> list[int]:
    used = [(field.number, field.number + 1) for field in (*message.fields, *message.extensions)]
    used += message.reserved_ranges
    used += [(extension_range.start, extension_range.end) for extension_range in message.extension_ranges]
    used += [RESERVED_BY_PROTOBUF, (MAX_FIELD_NUMBER, MAX_FIELD_NUMBER + 1)]
    free: list[int] = []
    number = 1
    for start, end in sorted((start, end) for start, end in used if start < end and end > 0):
        while number < start and len(free) < count and number <= MAX_FIELD_NUMBER:
            free.append(number)
            number += 1
        number = max(number, end)
    return free
