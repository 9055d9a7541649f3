"""What the connections of a server may hold together, and what a call takes of it in each world."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from puregrpc.wire.limits import CALL_MEMORY, GUARANTEED_MEMORY, SERVER_MEMORY, SERVER_UNSENT, THREAD_MEMORY
from puregrpc.wire.memory import Holder, MemoryBudget

if TYPE_CHECKING:
    from puregrpc.server.config import ServerConfig

__all__ = ["make_budget"]

TRIO_CALL = 4 << 10
"""What a call takes more where its task is trio's."""

H2_CALL = 3 << 10
"""What a call takes more where its stream is h2's."""

THREAD_CONNECTION = 12 << 10
"""What is left to others for each connection that has a thread of its own: its stack, and what allocators keep."""

H2_CONNECTION = 6 << 10
"""The same for each connection that is h2's."""


SMALL_FRAMES = 16 << 10
"""What a connection has to do without of what is guaranteed while a thread beyond the others runs a call of it."""


def make_budget(config: ServerConfig, world: str, relieve: Callable[[Holder], None]) -> MemoryBudget:
    """The budget for a server's connections. ``relieve`` is for threads, each of which has a connection of its own."""
    unsent = config.max_memory * SERVER_UNSENT // (SERVER_MEMORY + SERVER_UNSENT)
    held = max(config.max_memory - unsent, 2 * config.max_receive_message_size)
    call, connection = CALL_MEMORY, 0
    if config.engine == "h2":
        call += H2_CALL
        connection += H2_CONNECTION
    if world == "threads":
        connection += THREAD_CONNECTION
        guaranteed = GUARANTEED_MEMORY + THREAD_MEMORY - SMALL_FRAMES + call - CALL_MEMORY
        return MemoryBudget(held, unsent, guaranteed, call=call, connection=connection, relieve=relieve)
    if world == "trio":
        call += TRIO_CALL
    return MemoryBudget(held, unsent, call=call, connection=connection)
