"""What the names of methods say."""

from __future__ import annotations

from puregrpc.fuzz.values.field_values import words_of

__all__ = ["is_reading"]

READS = (
    "get", "list", "read", "fetch", "find", "lookup", "search", "show", "describe", "query", "quote", "compute",
    "calculate", "calc", "echo", "watch", "count", "sum", "check", "validate", "format", "convert", "parse", "render",
    "estimate", "price", "translate", "hash", "sort", "compare", "resolve", "evaluate", "preview", "say", "greet",
)  # fmt: skip
"""First words of methods after which everything is as before."""


def is_reading(name: str) -> bool:
    """Whether a method's name says that it changes nothing."""
    return (words_of(name) or [""])[0] in READS
