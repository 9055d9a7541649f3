"""What the connections of a server may hold together, and what a call takes of it in each world."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from puregrpc.wire.limits import CALL_MEMORY, SERVER_MEMORY, SERVER_UNSENT
from puregrpc.wire.memory import Holder, MemoryBudget

if TYPE_CHECKING:
    from puregrpc.server.config import ServerConfig

__all__ = ["make_budget"]

TRIO_CALL = 4 << 10
"""What a call takes more where its task is trio's."""

H2_CALL = 3 << 10
"""What a call takes more where its stream is h2's."""


def make_budget(config: ServerConfig, world: str, relieve: Callable[[Holder], None]) -> MemoryBudget:
    """The budget for a server's connections. ``relieve`` is for threads, each of which has a connection of its own."""
    unsent = config.max_memory * SERVER_UNSENT // (SERVER_MEMORY + SERVER_UNSENT)
    least = 2 * config.max_receive_message_size
    held = max(config.max_memory - unsent, least)
    call = CALL_MEMORY
    if world == "trio":
        call += TRIO_CALL
    if config.engine == "h2":
        call += H2_CALL
        # So much more does h2 itself take for each of a thousand connections.
        held = max(held * 4 // 5, least)
    if world == "threads":
        # As much as they are late to let go is left free.
        return MemoryBudget(max(held * 4 // 5, least), unsent, call=call, relieve=relieve)
    return MemoryBudget(held, unsent, call=call)
