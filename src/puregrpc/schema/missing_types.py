"""Types that messages name and a registry does not have: what a google.protobuf.Any holds may be of any."""

from __future__ import annotations

import re

from puregrpc.proto.descriptors import MAX_NAME_LENGTH

__all__ = ["MissingTypes"]

MAX_TYPES = 500
"""How many names are noted in all. A peer chooses them, and each is a question to it."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")


class MissingTypes:
    """Notes their names, each once, for whoever can ask for them; see ``Registry.missing_types``."""

    def __init__(self) -> None:
        self._open: dict[str, None] = {}
        self._answered: set[str] = set()

    @property
    def names(self) -> list[str]:
        """Those that nobody has answered for yet."""
        return list(self._open)

    def note(self, name: str) -> None:
        """A message named this type. From any thread."""
        if name in self._open or name in self._answered or len(self._open) + len(self._answered) >= MAX_TYPES:
            return
        if len(name) <= MAX_NAME_LENGTH and _NAME.fullmatch(name):
            self._open[name] = None

    def answered(self, name: str) -> None:
        """The type has been asked for: it is in the registry now, or not to be had."""
        self._answered.add(name)
        self._open.pop(name, None)
