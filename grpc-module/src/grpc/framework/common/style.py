"""How a method is written."""

from __future__ import annotations

import enum

__all__ = ["Service"]


@enum.unique
class Service(enum.Enum):
    """Whether a method returns its responses, or passes each to a function."""

    INLINE = "inline"
    EVENT = "event"
