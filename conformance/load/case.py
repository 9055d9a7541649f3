"""A script for k6 and the same for puregrpc."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MARK", "Case"]

MARK = "INTERRUPT-ME"
"""What a script prints that is to be interrupted."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One script in both languages. TARGET and the client are there."""

    name: str
    options: str = "{}"
    """The options, as JSON that Python reads too."""
    javascript: str
    python: str
    arguments: tuple[str, ...] = ()
    compares_counts: bool = True
    """The numbers of iterations, checks and messages are the same, and not only what is told of them."""
    compares_summary: bool = True
