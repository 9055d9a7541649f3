"""Byte streams: what a session reads and writes. Sockets, a pair in memory, and a tap around any of them.

A stream tries without waiting, and waits apart from that: a session that waits only when there is nothing to do saves
a scheduler's turn for each read and write, which at gRPC's small messages is most of what they cost.
"""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any

from puregrpc.kernel.base import Waiter, Waiters
from puregrpc.kernel.guard import Guard, guard_of

if TYPE_CHECKING:
    from puregrpc.kernel.base import Kernel
    from puregrpc.kernel.network.tap import Tap
    from puregrpc.kernel.network.tls import TlsLayer

__all__ = ["NO_SIGNAL", "ByteStream", "MemoryStream", "SocketStream", "TappedStream", "memory_stream_pair"]

MAX_PIECES = 1024
"""IOV_MAX of Linux and of the BSDs; POSIX has 16 at the least."""

NO_SIGNAL = int(getattr(socket, "MSG_NOSIGNAL", 0))
"""What is sent to a peer that has gone is an error, no SIGPIPE: a Python that is embedded may not ignore it."""


class ByteStream(ABC):
    """An ordered, reliable stream of bytes in both directions. One coroutine reads; one at a time writes."""

    __slots__ = ()

    kernel: Kernel
    """Of the world that it waits in."""
    local: str
    """The address of this end, for people."""
    peer: str
    """The address of the other end, for people."""
    tls: TlsLayer | None = None
    """What TLS knows of the connection; None without TLS."""

    def limit_unacknowledged_time(self, seconds: float) -> None:  # noqa: B027 - few streams have such a limit
        """Let the system break the connection when what was sent stays unacknowledged for so long (gRFC A18)."""

    @abstractmethod
    def receive_nowait(self, limit: int) -> bytes | None:
        """Up to about ``limit`` bytes that are here already; None if there are none yet; b"" at the end.

        Raises OSError if the stream is broken.
        """

    @abstractmethod
    async def wait_readable(self, until: float = inf) -> bool:
        """Wait until `receive_nowait` has something to say; False if not by ``until``. May come back too early."""

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
    async def wait_writable(self, until: float = inf) -> bool:
        """Wait until `send_nowait` would take something; False if not by ``until``. May come back too early."""

    @abstractmethod
    def send_eof(self) -> None:
        """Say that nothing more will be sent; reading goes on. Never fails."""

    @abstractmethod
    def close(self) -> None:
        """Let the stream go. Idempotent; never fails; who waits on the stream is woken, and told by the next try."""


class SocketStream(ByteStream):
    """A connected stream socket, which is made non-blocking."""

    __slots__ = ("_is_tcp", "gathers", "kernel", "local", "peer", "socket")

    def __init__(self, kernel: Kernel, sock: socket.socket, *, local: str = "", peer: str = "") -> None:
        sock.setblocking(False)
        self._is_tcp = sock.family in (socket.AF_INET, socket.AF_INET6)
        if self._is_tcp:
            # gRPC's messages are written whole: waiting for more to send (Nagle) only adds delay.
            with suppress(OSError):  # the peer is gone already
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.kernel = kernel
        self.socket = sock
        self.local = local
        self.peer = peer
        self.gathers = hasattr(sock, "sendmsg")

    def limit_unacknowledged_time(self, seconds: float) -> None:
        """See `ByteStream.limit_unacknowledged_time`.

        The system finds out what keepalive cannot: while data is on its way, the kernel sends again and again what a
        PING would wait behind. Nothing happens on unix sockets, and where there is no TCP_USER_TIMEOUT (RFC 5482).
        """
        option = getattr(socket, "TCP_USER_TIMEOUT", None)
        if option is not None and self._is_tcp:
            with suppress(OSError):  # an older kernel, or a connection that is gone already
                self.socket.setsockopt(socket.IPPROTO_TCP, option, min(int(seconds * 1000), 2**31 - 1))

    def receive_nowait(self, limit: int) -> bytes | None:
        try:
            return self.socket.recv(limit)
        except (BlockingIOError, InterruptedError):
            return None

    # The coroutines of the kernel are handed on as they are: one frame less for each wait.

    def wait_readable(self, until: float = inf) -> Coroutine[Any, Any, bool]:
        return self.kernel.wait_readable(self.socket, until)

    def wait_writable(self, until: float = inf) -> Coroutine[Any, Any, bool]:
        return self.kernel.wait_writable(self.socket, until)

    def send_nowait(self, data: bytes | memoryview) -> int:
        try:
            return self.socket.send(data, NO_SIGNAL)
        except (BlockingIOError, InterruptedError):
            return 0

    def send_pieces_nowait(self, pieces: Sequence[bytes | memoryview]) -> int:
        if not self.gathers:
            return super().send_pieces_nowait(pieces)
        try:
            return self.socket.sendmsg(pieces[:MAX_PIECES], (), NO_SIGNAL)
        except (BlockingIOError, InterruptedError):
            return 0

    def send_eof(self) -> None:
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        if self.socket.fileno() >= 0:
            self.kernel.forget_socket(self.socket)
            self.socket.close()


class MemoryStream(ByteStream):
    """One end of a pair of streams in memory; `memory_stream_pair` makes it."""

    def __init__(self, kernel: Kernel, name: str, capacity: int, guard: Guard) -> None:
        self.kernel = kernel
        self.local = name
        self.peer = ""
        self.capacity = capacity
        self._guard = guard
        self._other = self
        self._inbox = bytearray()
        self._ended = False
        """The other end sends nothing more."""
        self._closed = False
        self._readers = Waiters(kernel.waiter)
        self._writers = Waiters(kernel.waiter)

    def _link(self, other: MemoryStream) -> None:
        self._other = other
        self.peer = other.local

    def receive_nowait(self, limit: int) -> bytes | None:
        return self._guard(self._take, limit)

    def send_nowait(self, data: bytes | memoryview) -> int:
        return self._guard(self._give, data)

    async def wait_readable(self, until: float = inf) -> bool:
        return await self._wait(self._readers, self._is_readable, until)

    async def wait_writable(self, until: float = inf) -> bool:
        return await self._wait(self._writers, self._is_writable, until)

    def send_eof(self) -> None:
        self._guard(self._end_other)

    def close(self) -> None:
        self._guard(self._close)

    async def _wait(self, waiters: Waiters, is_ready: Callable[[], bool], until: float) -> bool:
        def begin() -> Waiter | None:
            return None if is_ready() else waiters.waiter()

        waiter = self._guard(begin)
        if waiter is None:
            await self.kernel.checkpoint()
            return True
        try:
            return await waiter.wait(until)
        finally:
            self._guard(waiters.forget, waiter)

    # -- what is below is called with the guard of both ends

    def _is_readable(self) -> bool:
        return bool(self._inbox) or self._ended

    def _is_writable(self) -> bool:
        other = self._other
        return self._closed or other._closed or len(other._inbox) < self.capacity  # noqa: SLF001

    def _take(self, limit: int) -> bytes | None:
        if self._inbox:
            data = bytes(self._inbox[:limit])
            del self._inbox[:limit]
            self._other._writers.wake_all()  # noqa: SLF001 - the two ends are one thing
            return data
        return b"" if self._ended else None

    def _give(self, data: bytes | memoryview) -> int:
        other = self._other
        if self._closed or other._closed or other._ended:  # noqa: SLF001
            raise BrokenPipeError("the stream in memory was closed")
        taken = min(len(data), self.capacity - len(other._inbox))  # noqa: SLF001
        if taken <= 0:
            return 0
        other._inbox += data[:taken]  # noqa: SLF001
        other._readers.wake_all()  # noqa: SLF001
        return taken

    def _end_other(self) -> None:
        self._other._ended = True  # noqa: SLF001
        self._other._readers.wake_all()  # noqa: SLF001

    def _close(self) -> None:
        self._closed = True
        self._ended = True
        self._inbox.clear()
        self._end_other()
        for waiters in (self._readers, self._writers, self._other._writers):  # noqa: SLF001
            waiters.wake_all()


def memory_stream_pair(
    kernel: Kernel,
    other: Kernel | None = None,
    *,
    names: tuple[str, str] = ("memory:a", "memory:b"),
    capacity: int = 1 << 18,
) -> tuple[MemoryStream, MemoryStream]:
    """Two streams in memory: what one sends, the other receives.

    The first belongs to ``kernel``, the second to ``other``, which is of the same world and, where that is one with a
    loop, the same loop; None: to the same kernel. Each takes ``capacity`` bytes before it makes the sender wait.
    """
    guard = guard_of(kernel)
    first = MemoryStream(kernel, names[0], capacity, guard)
    second = MemoryStream(other or kernel, names[1], capacity, guard)
    first._link(second)  # noqa: SLF001 - made here, linked here
    second._link(first)  # noqa: SLF001
    return first, second


class TappedStream(ByteStream):
    """A stream that tells a tap of all that passes. A session without a tap has no such layer, so it costs nothing."""

    def __init__(self, kernel: Kernel, stream: ByteStream, tap: Tap) -> None:
        self.kernel = kernel
        self.stream = stream
        self.tap = tap
        self.local = stream.local
        self.peer = stream.peer
        self.tls = stream.tls

    def receive_nowait(self, limit: int) -> bytes | None:
        data = self.stream.receive_nowait(limit)
        if data:
            self.tap.received(data, self.kernel.now())
        return data

    def send_nowait(self, data: bytes | memoryview) -> int:
        began = self.kernel.now()  # where another thread reads, it may have the answer before this one goes on
        taken = self.stream.send_nowait(data)
        if taken:
            self.tap.sent(bytes(data[:taken]), began)
        return taken

    def wait_readable(self, until: float = inf) -> Coroutine[Any, Any, bool]:
        return self.stream.wait_readable(until)

    def wait_writable(self, until: float = inf) -> Coroutine[Any, Any, bool]:
        return self.stream.wait_writable(until)

    def send_eof(self) -> None:
        self.stream.send_eof()

    def close(self) -> None:
        self.stream.close()
