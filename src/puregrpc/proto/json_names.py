"""Names derived from names."""

from __future__ import annotations

from functools import lru_cache

__all__ = ["json_name"]


@lru_cache(maxsize=65536)
def json_name(name: str) -> str:
    """The JSON name of a field: underscores go, and the character after one becomes upper case (ASCII only)."""
    if "_" not in name:
        return name
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)
