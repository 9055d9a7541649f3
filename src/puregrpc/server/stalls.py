"""Connections that take nothing of what is sent to them, while others wait for the room that they hold."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from puregrpc.wire.limits import GUARANTEED_MEMORY

if TYPE_CHECKING:
    from collections.abc import Callable

    from puregrpc.transport.session import Session
    from puregrpc.wire.memory import Holder, MemoryBudget

__all__ = ["STALL", "Stalls"]

STALL = 5.0
"""How long, in seconds, a connection may take less than GUARANTEED_MEMORY where others wait for what it holds."""

LOOKS = 5
"""How often it is looked in that time."""

TAKES_NOTHING = f"the client took nothing of its answers for {STALL:g} s, and others waited for memory"


class Served(Protocol):
    """A connection."""

    @property
    def transport(self) -> Session[Any]:
        """Which counts what was sent."""

    def abort(self, reason: str) -> None:
        """End it at once."""


class Stalls:
    """Ends such connections, once as much waits to be sent on all as may."""

    def __init__(self, budget: MemoryBudget | None, session_of: Callable[[Holder], Served | None]) -> None:
        self._budget = budget
        self._session_of = session_of
        self._looked_at = -inf
        self._seen: dict[Served, tuple[int, float]] = {}
        """What each had been sent, and when: from then on it took too little."""

    def look(self, now: float) -> None:
        """Look, if it is time to. Without any mutex."""
        budget = self._budget
        if budget is None or now - self._looked_at < STALL / LOOKS:
            return
        self._looked_at = now
        before, self._seen = self._seen, {}
        if not budget.is_unsent_full:
            return
        for holder in budget.holders_of_unsent():
            session = self._session_of(holder)
            if session is None:
                continue
            sent = session.transport.bytes_sent
            seen, since = before.get(session, (sent, now))
            if sent - seen >= GUARANTEED_MEMORY:
                seen, since = sent, now
            if now - since >= STALL:
                session.abort(TAKES_NOTHING)
            else:
                self._seen[session] = seen, since
