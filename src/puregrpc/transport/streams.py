"""Byte streams: what a session reads and writes. Sockets (plain or TLS), a pair in memory, and a tap around either.

A stream tries without waiting, and waits apart from that: a session that waits only when there is nothing to do saves
a scheduler's turn for each read and write, which at gRPC's small messages is most of what they cost.
"""

from __future__ import annotations

import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress

import trio

from puregrpc.transport.tap import Tap
from puregrpc.transport.tls import send_close_notify, shut_down

__all__ = ["ByteStream", "MemoryStream", "SocketStream", "TappedStream", "memory_stream_pair"]


MAX_PIECES = 1024
"""IOV_MAX of Linux and of the BSDs; POSIX has 16 at the least."""


class ByteStream(ABC):
    """An ordered, reliable stream of bytes in both directions. One task reads; one task at a time writes."""

    local: str
    """The address of this end, for people."""
    peer: str
    """The address of the other end, for people."""

    @abstractmethod
    def receive_nowait(self, limit: int) -> bytes | None:
        """Up to about ``limit`` bytes that are here already; None if there are none yet; b"" at the end.

        Raises OSError if the stream is broken.
        """

    @abstractmethod
    async def wait_readable(self) -> None:
        """Wait until `receive_nowait` has something to say. May come back too early. Always a checkpoint."""

    @abstractmethod
    def send_nowait(self, data: bytes | memoryview) -> int:
        """Send as much of ``data`` as is taken at once; returns how much that was, 0 if nothing.

        What was not taken must be offered again, unchanged, before anything else. Raises OSError if the stream is
        broken.
        """

    gathers = False
    """`send_pieces_nowait` sends pieces without joining them."""

    def send_pieces_nowait(self, pieces: Sequence[bytes | memoryview]) -> int:
        """As `send_nowait`, for the octets of all pieces, one behind the other."""
        return self.send_nowait(b"".join(pieces))

    @abstractmethod
    async def wait_writable(self) -> None:
        """Wait until `send_nowait` would take something. May come back too early."""

    @abstractmethod
    def send_eof(self) -> None:
        """Say that nothing more will be sent; reading goes on. Never fails."""

    @abstractmethod
    def close(self) -> None:
        """Let the stream go. Idempotent; never fails; a task that waits on the stream gets trio.ClosedResourceError."""


class SocketStream(ByteStream):
    """A connected, non-blocking stream socket. With an ``ssl.SSLSocket`` it is TLS (after the handshake)."""

    def __init__(self, sock: socket.socket, *, local: str = "", peer: str = "") -> None:
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            # gRPC's messages are written whole: waiting for more to send (Nagle) only adds delay.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = sock
        self.local = local
        self.peer = peer
        self._tls = sock if isinstance(sock, ssl.SSLSocket) else None
        self.gathers = self._tls is None and hasattr(sock, "sendmsg")
        self._write_waits_for_read = False
        self._is_tls_over = False

    @property
    def tls(self) -> ssl.SSLSocket | None:
        """The TLS socket, for its version, cipher and certificates; None on a plaintext stream."""
        return self._tls

    def limit_unacknowledged_time(self, seconds: float) -> None:
        """Let the system break the connection when what was sent stays unacknowledged for so long (gRFC A18).

        It finds out what keepalive cannot: while data is on its way, the kernel sends again and again what a PING would
        wait behind. Nothing happens on unix sockets, and where the system has no TCP_USER_TIMEOUT (RFC 5482).
        """
        option = getattr(socket, "TCP_USER_TIMEOUT", None)
        if option is not None and self.socket.family in (socket.AF_INET, socket.AF_INET6):
            with suppress(OSError):  # an older kernel, or a connection that is gone already
                self.socket.setsockopt(socket.IPPROTO_TCP, option, int(min(seconds * 1000, 2**31 - 1)))

    def receive_nowait(self, limit: int) -> bytes | None:
        if self._tls is not None:
            return self._receive_tls(self._tls, limit)
        try:
            return self.socket.recv(limit)
        except (BlockingIOError, InterruptedError):
            return None

    def _receive_tls(self, tls: ssl.SSLSocket, limit: int) -> bytes | None:
        """Gather records (16 KiB each at most, RFC 8446, section 5.1) up to ``limit``."""
        if self._is_tls_over:
            return b""
        parts: list[bytes] = []
        size = 0
        while size < limit:
            try:
                data = tls.recv(limit - size)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            except OSError:
                if parts:  # the error comes again at the next read, after what was received before it
                    break
                raise
            if not data:
                return b"".join(parts)
            parts.append(data)
            size += len(data)
        return b"".join(parts) if parts else None

    async def wait_readable(self) -> None:
        if self._tls is not None and (self._is_tls_over or self._tls.pending()):
            await trio.lowlevel.checkpoint()
        else:
            await trio.lowlevel.wait_readable(self.socket)

    def send_nowait(self, data: bytes | memoryview) -> int:
        try:
            return self.socket.send(data)
        except (BlockingIOError, InterruptedError, ssl.SSLWantWriteError):
            self._write_waits_for_read = False
        except ssl.SSLWantReadError:  # TLS 1.2 in the middle of a handshake message
            self._write_waits_for_read = True
        return 0

    def send_pieces_nowait(self, pieces: Sequence[bytes | memoryview]) -> int:
        if not self.gathers:
            return super().send_pieces_nowait(pieces)
        try:
            return self.socket.sendmsg(pieces[:MAX_PIECES])
        except (BlockingIOError, InterruptedError):
            return 0

    async def wait_writable(self) -> None:
        if self._write_waits_for_read:
            # The reading task waits for the same socket, and trio lets only one do so: it does the reading.
            self._write_waits_for_read = False
            await trio.sleep(0.01)
        else:
            await trio.lowlevel.wait_writable(self.socket)

    def send_eof(self) -> None:
        if self._tls is not None and not self._is_tls_over:
            self._is_tls_over = send_close_notify(self._tls)
        shut_down(self.socket, socket.SHUT_WR)  # there are peers that do not answer close_notify before TCP's FIN

    def close(self) -> None:
        if self.socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self.socket)
            self.socket.close()


class MemoryStream(ByteStream):
    """One end of a pair of streams in memory. It takes ``capacity`` bytes before it makes the sender wait."""

    def __init__(self, name: str, capacity: int) -> None:
        self.local = name
        self.peer = ""
        self.capacity = capacity
        self._other = self
        self._inbox = bytearray()
        self._ended = False
        self._closed = False
        self._changed = trio.lowlevel.ParkingLot()

    def _link(self, other: MemoryStream) -> None:
        self._other = other
        self.peer = other.local

    def _notify(self) -> None:
        self._changed.unpark_all()
        self._other._changed.unpark_all()  # noqa: SLF001 - the two ends are one thing

    def receive_nowait(self, limit: int) -> bytes | None:
        if self._inbox:
            data = bytes(self._inbox[:limit])
            del self._inbox[:limit]
            self._notify()
            return data
        return b"" if self._ended else None

    async def wait_readable(self) -> None:
        await trio.lowlevel.checkpoint()
        while not (self._inbox or self._ended):
            await self._changed.park()

    def _room(self) -> int:
        return self.capacity - len(self._other._inbox)  # noqa: SLF001

    def send_nowait(self, data: bytes | memoryview) -> int:
        other = self._other
        if self._closed or other._closed or other._ended:  # noqa: SLF001
            raise BrokenPipeError("the other end of the stream in memory was closed")
        taken = min(len(data), self._room())
        if taken > 0:
            other._inbox += data[:taken]  # noqa: SLF001
            self._notify()
        return max(taken, 0)

    async def wait_writable(self) -> None:
        await trio.lowlevel.checkpoint()
        while self._room() <= 0 and not (self._closed or self._other._closed):  # noqa: SLF001
            await self._changed.park()

    def send_eof(self) -> None:
        self._other._ended = True  # noqa: SLF001
        self._notify()

    def close(self) -> None:
        self._closed = True
        self._ended = True
        self._inbox.clear()
        self.send_eof()


def memory_stream_pair(
    names: tuple[str, str] = ("memory:a", "memory:b"), *, capacity: int = 1 << 18
) -> tuple[MemoryStream, MemoryStream]:
    """Two streams in memory: what one sends, the other receives."""
    first, second = MemoryStream(names[0], capacity), MemoryStream(names[1], capacity)
    first._link(second)  # noqa: SLF001 - made here, linked here
    second._link(first)  # noqa: SLF001
    return first, second


class TappedStream(ByteStream):
    """A stream that tells a tap of all that passes. A session without a tap has no such layer, so it costs nothing."""

    def __init__(self, stream: ByteStream, tap: Tap) -> None:
        self.stream = stream
        self.tap = tap
        self.local = stream.local
        self.peer = stream.peer

    def receive_nowait(self, limit: int) -> bytes | None:
        data = self.stream.receive_nowait(limit)
        if data:
            self.tap.received(data, trio.current_time())
        return data

    def send_nowait(self, data: bytes | memoryview) -> int:
        taken = self.stream.send_nowait(data)
        if taken:
            self.tap.sent(bytes(data[:taken]), trio.current_time())
        return taken

    async def wait_readable(self) -> None:
        await self.stream.wait_readable()

    async def wait_writable(self) -> None:
        await self.stream.wait_writable()

    def send_eof(self) -> None:
        self.stream.send_eof()

    def close(self) -> None:
        self.stream.close()
