"""A channel and a server without a socket between them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from puregrpc.channel import Channel, open_channel
from puregrpc.server import Server
from puregrpc.transport import ByteStream, memory_stream_pair

__all__ = ["open_in_memory"]


@asynccontextmanager
async def open_in_memory(server: Server, **options: Any) -> AsyncIterator[Channel]:
    """Run ``server`` and open a channel to it through a pair of byte streams in memory.

    ::

        async with open_in_memory(server) as channel:
            reply = await channel.unary_unary("/pkg.Service/Method")(b"request")

    Everything but the socket is real: HTTP/2, flow control, deadlines. ``options`` are those of
    `puregrpc.channel.open_channel`. The server must not be running; it stops when the body is left. With trio's
    `MockClock` deadlines pass without waiting.
    """
    connections = 0

    async def connect() -> ByteStream:
        nonlocal connections
        connections += 1
        ours, theirs = memory_stream_pair((f"memory:client-{connections}", f"memory:server-{connections}"))
        server.adopt(theirs)
        return ours

    async with server, open_channel("passthrough:in-memory:1", connector=connect, **options) as channel:
        yield channel
