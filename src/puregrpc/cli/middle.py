"""Man in the middle: takes connections, makes one to the target for each, and passes octets on while recording them."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import trio

from puregrpc.channel.target import Target
from puregrpc.errors import ConnectError
from puregrpc.kernel import Kernel
from puregrpc.kernel.network.connecting import connect, dial
from puregrpc.kernel.network.listening import Listener, listen
from puregrpc.kernel.network.streams import ByteStream
from puregrpc.trace import Chunk, Direction
from puregrpc.transport import TlsOptions

__all__ = ["Encrypted", "Handler", "Observer", "TlsFront", "connect_to", "forward", "serve_until_cancelled"]

READ_SIZE = 1 << 16

Observer = Callable[[bool, bytes, float], None]
"""Called with whether the client sent it, the octets, and trio's time (seconds)."""

Handler = Callable[[ByteStream], Awaitable[None]]
"""Called with each connection, which is closed when it returns."""


async def connect_to(kernel: Kernel, target: Target, until: float) -> ByteStream:
    """A connection to the first address of a target that answers. Raises ConnectError if none does by ``until``."""
    addresses = list(target.addresses) or await kernel.resolve(target.host, target.port, until)
    return await connect(kernel, addresses, until)


async def forward(client: ByteStream, server: ByteStream, observe: Observer) -> None:
    """Pass octets both ways until both sides have ended or one is broken; closes both streams."""

    async def pump(source: ByteStream, target: ByteStream, *, from_client: bool) -> None:
        while True:
            data = await receive(source)
            if not data:
                target.send_eof()
                return
            observe(from_client, data, source.kernel.now())
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


async def serve_until_cancelled(listeners: list[Listener], handler: Handler) -> None:
    """Accept connections on all listeners and run ``handler`` with each; handshakes that fail are passed over."""

    async def accept(listener: Listener) -> None:
        while True:
            nursery.start_soon(handle, listener, await listener.accept())

    async def handle(listener: Listener, accepted: ByteStream) -> None:
        stream = accepted
        try:
            stream = await listener.secure(accepted)
            await handler(stream)
        except ConnectError:
            return
        finally:
            stream.close()

    try:
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(accept, listener)
    finally:
        for listener in listeners:
            listener.close()


@dataclass(slots=True)
class Encrypted:
    """One connection as it is on the wire, inside TLS; times are trio's."""

    client: str
    chunks: list[Chunk] = field(default_factory=list)

    def keys(self, log: str) -> str:
        """The lines of a key log (SSLKEYLOGFILE) that are for this connection: those with its client's random."""
        # The random stands behind the heads of record and handshake, and the version (RFC 8446, section 4.1.2).
        hello = b"".join(chunk.data for chunk in self.chunks[:4] if chunk.direction is Direction.CLIENT)
        random = hello[11:43].hex()
        return "".join(line for line in log.splitlines(keepends=True) if line.split()[1:2] == [random])


class TlsFront:
    """Takes TLS off behind a relay of its own, which sees the octets as they are on the wire, and keeps the keys."""

    def __init__(self, tls: TlsOptions) -> None:
        self.tls = tls
        self.key_log = ""
        """What the key log holds, when `serve` has ended."""
        self._connections: dict[str, Encrypted] = {}

    def encrypted(self, peer: str) -> Encrypted | None:
        """What was seen of the connection that a handler knows as coming from ``peer``."""
        return self._connections.get(peer)

    async def serve(self, kernel: Kernel, listeners: list[Listener], handler: Handler) -> None:
        """Serve until cancelled. Raises InvalidArgument if the certificate cannot be used."""
        with tempfile.TemporaryDirectory() as folder:
            keys = Path(folder) / "keys"
            (inner,) = await listen(kernel, "127.0.0.1:0", tls=replace(self.tls, key_log_file=keys))

            async def relay(client: ByteStream) -> None:
                server = await dial(kernel, inner.address)
                seen = self._connections[server.local] = Encrypted(client.peer)

                def observe(from_client: bool, data: bytes, now: float) -> None:
                    seen.chunks.append(Chunk(now, Direction.CLIENT if from_client else Direction.SERVER, data))

                await forward(client, server, observe)

            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(serve_until_cancelled, [inner], handler)
                    nursery.start_soon(serve_until_cancelled, listeners, relay)
            finally:
                self.key_log = keys.read_text(encoding="ascii") if keys.exists() else ""
