"""What code raises that goes no further because its call is over."""

from __future__ import annotations

__all__ = ["Abandoned"]


class Abandoned(Exception):
    """The work is given up: nobody wants its result."""
