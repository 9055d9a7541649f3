"""What the compiler has to say: errors and warnings with their places, and the reporter that hears them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["MAX_DIAGNOSTICS", "Diagnostic", "Reporter"]

MAX_DIAGNOSTICS = 1000
"""Errors of one compilation, and warnings: whoever has more has one cause for them all."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. Line and column count from 1, as editors do; 0 where no place is known."""

    file: str
    line: int
    column: int
    message: str
    is_warning: bool = False
    hint: str = ""
    """How it is likely to be put right."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        warning = "warning: " if self.is_warning else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}: {warning}{self.message}{hint}"


class Reporter(Protocol):
    """Hears each finding as the compiler ends its work on a file."""

    def report(self, diagnostic: Diagnostic) -> None:
        """Take notice of a finding; an exception raised here ends the compilation and reaches the caller."""
