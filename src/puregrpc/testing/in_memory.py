"""A channel and a server without a socket between them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from puregrpc.channel import Channel, ChannelKeywords, open_channel
from puregrpc.kernel.network.streams import ByteStream, memory_stream_pair
from puregrpc.server import Server

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["open_in_memory"]


@asynccontextmanager
async def open_in_memory(server: Server, **options: Unpack[ChannelKeywords]) -> AsyncIterator[Channel]:
    """Run ``server`` and open a channel to it through a pair of byte streams in memory.

    ::

        async with open_in_memory(server) as channel:
            reply = await channel.unary_unary("/pkg.Service/Method")(b"request")

    Everything but the socket is real: HTTP/2, flow control, deadlines. On asyncio and on trio. ``options`` are those
    of `puregrpc.channel.open_channel`. The server must not be running; it stops when the body is left. With trio's
    `MockClock` deadlines pass without waiting.
    """
    connections = 0

    async def connect() -> ByteStream:
        nonlocal connections
        connections += 1
        names = (f"memory:client-{connections}", f"memory:server-{connections}")
        ours, theirs = memory_stream_pair(server.kernel, names=names)
        server.adopt(theirs)
        return ours

    options["connector"] = connect
    async with server, open_channel("passthrough:in-memory:1", **options) as channel:
        yield channel
