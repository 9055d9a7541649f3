"""What ``setup`` gives to each user: its own copy of what can be changed, as in k6. The rest is shared."""

from __future__ import annotations

from typing import Any

__all__ = ["own_copy"]


def own_copy(value: Any) -> Any:
    """A copy of dicts, lists, sets and bytearrays, and of tuples that hold some; anything else is given as it is.

    So what cannot be changed, however large, is there once in a process.
    """
    try:
        return _copied(value)
    except RecursionError:  # it holds itself
        return value


def _copied(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return {key: _copied(each) for key, each in value.items()}
    if kind is list:
        return [_copied(each) for each in value]
    if kind is tuple:
        made = tuple(_copied(each) for each in value)
        return value if all(mine is theirs for mine, theirs in zip(made, value, strict=True)) else made
    if kind is set or kind is bytearray:
        return kind(value)
    return value
