"""Man in the middle: takes connections, makes one to the target for each, and passes octets on while recording them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from puregrpc.transport import ByteStream, Listener, TlsOptions, listen

__all__ = ["Observer", "forward", "open_listeners"]

READ_SIZE = 1 << 16

Observer = Callable[[bool, bytes, float], None]
"""Called with whether the client sent it, the octets, and trio's time (seconds)."""


async def open_listeners(address: str, tls: TlsOptions | None) -> list[Listener]:
    """Listen on an address; raises as `puregrpc.transport.listen`."""
    return await listen(address, tls=tls)


async def forward(client: ByteStream, server: ByteStream, observe: Observer) -> None:
    """Pass octets both ways until both sides have ended or one is broken; closes both streams."""

    async def pump(source: ByteStream, target: ByteStream, *, from_client: bool) -> None:
        while True:
            data = await receive(source)
            if not data:
                target.send_eof()
                return
            observe(from_client, data, trio.current_time())
            await send(target, data)

    try:
        async with trio.open_nursery() as nursery:

            async def run(work: Callable[[], Awaitable[None]]) -> None:
                try:
                    await work()
                except (OSError, trio.ClosedResourceError):
                    # A broken connection ends the other one too, as it would without anyone in the middle.
                    nursery.cancel_scope.cancel()

            nursery.start_soon(run, lambda: pump(client, server, from_client=True))
            nursery.start_soon(run, lambda: pump(server, client, from_client=False))
    finally:
        client.close()
        server.close()


async def receive(stream: ByteStream) -> bytes:
    """Some octets; b"" at the end."""
    while True:
        data = stream.receive_nowait(READ_SIZE)
        if data is not None:
            await trio.lowlevel.checkpoint()
            return data
        await stream.wait_readable()


async def send(stream: ByteStream, data: bytes) -> None:
    """Send all of it."""
    rest = memoryview(data)
    while rest:
        taken = stream.send_nowait(rest)
        rest = rest[taken:]
        if rest:
            await stream.wait_writable()


async def serve_until_cancelled(listeners: list[Listener], handler: Callable[[ByteStream], Awaitable[None]]) -> None:
    """Accept connections on all listeners and run ``handler`` with each; handshakes that fail are passed over."""
    try:
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(listener.serve, handler)
    finally:
        for listener in listeners:
            with suppress(OSError):
                listener.close()
