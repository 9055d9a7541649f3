"""The bytes that are decoded, with what goes along with them.

Most messages are decoded as plain bytes. Content stands in their place where something has to be known everywhere in
them: how much may still be made of them, and where the groups in them end.
"""

from __future__ import annotations

from puregrpc.codec.faults import TooManyElements

__all__ = ["Budget", "Content", "Ends", "budget_of", "count_elements", "spend", "with_budget", "within_budget"]

Ends = dict[tuple[int, int], tuple[int, int]]
"""Position and tag of a group -> the positions before and after its end tag."""


class Budget:
    """How many elements may still be made of a message."""

    __slots__ = ("left", "limit")

    def __init__(self, limit: int) -> None:
        self.left = self.limit = limit

    def spend(self, count: int) -> None:
        """Raise TooManyElements if ``count`` more are too many."""
        self.left -= count
        if self.left < 0:
            raise TooManyElements(self.limit)


class Content(bytes):
    """All bytes of a message; those of a group; or those of several parts of a message, joined."""

    budget: Budget | None = None
    pieces: list[tuple[int, Ends, int]] | None = None
    """Of groups: where each part begins; the ends of groups in the outermost group that it is from, by position and
    tag there; and how far positions there are from those here."""


def budget_of(data: bytes) -> Budget | None:
    """How much may still be made of ``data``, if that is counted."""
    return data.budget if type(data) is Content else None


def with_budget(data: bytes, budget: Budget | None) -> bytes:
    """``data``, of which only what ``budget`` allows is made."""
    if budget is None or (type(data) is Content and data.budget is budget):
        return data
    content = Content(data)
    content.budget = budget
    return content


def spend(data: bytes, count: int) -> None:
    """Count elements that are made of ``data``."""
    budget = budget_of(data)
    if budget is not None:
        budget.spend(count)


def count_elements(data: bytes, values: list[int]) -> list[int]:
    """``values``, each of which counts as an element that is made of ``data``."""
    spend(data, len(values))
    return values


def within_budget(budget: Budget, count: int, position: int) -> int:
    """Up to which position further elements, of two bytes or more, are sure to be within the budget with ``count``."""
    if count > budget.left:
        raise TooManyElements(budget.limit)
    return position + 2 * (budget.left - count)
