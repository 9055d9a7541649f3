"""What a session of threads reads from and writes to: a plain socket with what the system has for it, or any stream."""

from __future__ import annotations

import os
import socket
import struct
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from socket import SHUT_RDWR, SHUT_WR
from typing import TYPE_CHECKING

from puregrpc.kernel.network.streams import MAX_PIECES, NO_SIGNAL, ByteStream, SocketStream, TappedStream
from puregrpc.kernel.threads.hub_waits import InputWait, has_hub
from puregrpc.kernel.threads.kernel import ThreadKernel, is_cooperative
from puregrpc.kernel.threads.polling import wait_for_socket

if TYPE_CHECKING:
    from puregrpc.kernel.network.tap import Tap

__all__ = ["RECV_TIMEOUT", "Endpoint", "Pieces", "SocketEndpoint", "endpoint_of", "is_by_signal"]

DONT_WAIT = int(getattr(socket, "MSG_DONTWAIT", 0))
TO_SEND = DONT_WAIT | NO_SIGNAL
PEEK = int(socket.MSG_PEEK)

RECV_TIMEOUT = 1.0
"""How long (seconds) the ``recv`` of a plain socket waits."""

Pieces = list[bytes | memoryview]


def is_by_signal(error: OSError) -> bool:
    """Whether a signal handler raised it, as those of time-outs do, and not the system: that numbers its errors."""
    return isinstance(error, TimeoutError) and error.errno is None


class Endpoint(ABC):
    """One end of a connection. One thread at a time reads, and one writes."""

    socket: socket.socket | None
    """What can be polled; None for what is no socket below either."""
    receive_waits = False
    """`receive` waits for RECV_TIMEOUT at most, if there is nothing."""
    has_more = False
    """There may be something to receive though the socket has nothing."""

    @abstractmethod
    def receive(self, limit: int) -> bytes | None:
        """Up to about ``limit`` bytes; None if there are none yet, b"" at the end. Raises OSError if it is broken."""

    @abstractmethod
    def receive_nowait(self, limit: int) -> bytes | None:
        """As `receive`, but it never waits."""

    @abstractmethod
    def send(self, pieces: Pieces) -> int:
        """Send as much as is taken at once; returns how many octets that is. Raises OSError if it is broken.

        What was not taken must be offered again, in the same order, before anything else.
        """

    @abstractmethod
    def wait_readable(self, timeout: float) -> bool:
        """Wait until there is something to receive; False after ``timeout`` seconds."""

    @abstractmethod
    def wait_writable(self, timeout: float) -> bool:
        """Wait until `send` would take something; False after ``timeout`` seconds."""

    @abstractmethod
    def send_eof(self) -> None:
        """Say that nothing more will be sent. Never fails."""

    @abstractmethod
    def shut_down(self, how: int = SHUT_RDWR) -> None:
        """Break it: who waits is woken. Never fails; from any thread."""

    @abstractmethod
    def close(self) -> None:
        """Let it go. Nobody uses it any more."""


class SocketEndpoint(Endpoint):
    """A plain socket. Where the system can do that, its ``recv`` waits and its ``send`` does not."""

    socket: socket.socket

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        sock = self.socket = stream.socket
        self.receive_waits = bool(DONT_WAIT) and not is_cooperative() and _limit_recv(sock)
        sock.setblocking(self.receive_waits)

    def receive(self, limit: int) -> bytes | None:
        try:
            return self.socket.recv(limit)
        except (BlockingIOError, InterruptedError):
            return None

    def receive_nowait(self, limit: int) -> bytes | None:
        try:
            return self.socket.recv(limit, DONT_WAIT)
        except (BlockingIOError, InterruptedError):
            return None

    def send(self, pieces: Pieces) -> int:
        try:
            if len(pieces) == 1:
                return self.socket.send(pieces[0], TO_SEND)
            if self._stream.gathers:
                return self.socket.sendmsg(pieces[:MAX_PIECES], (), TO_SEND)
            return self.socket.send(b"".join(pieces), TO_SEND)
        except (BlockingIOError, InterruptedError):
            return 0

    def wait_readable(self, timeout: float) -> bool:
        if not self.receive_waits or timeout < RECV_TIMEOUT:
            return wait_for_socket(self.socket, read=True, timeout=timeout)
        try:
            self.socket.recv(1, PEEK)  # costs less than poll, with nobody to ask first
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            if is_by_signal(error):
                raise
        return True

    def wait_writable(self, timeout: float) -> bool:
        return wait_for_socket(self.socket, write=True, timeout=timeout)

    def send_eof(self) -> None:
        self.shut_down(SHUT_WR)

    def shut_down(self, how: int = SHUT_RDWR) -> None:
        with suppress(OSError):
            self.socket.shutdown(how)

    def close(self) -> None:
        self._stream.close()


class HubEndpoint(SocketEndpoint):
    """A plain socket where threads are gevent's greenlets."""

    def __init__(self, stream: SocketStream) -> None:
        super().__init__(stream)
        self._input = InputWait(self.socket.fileno(), RECV_TIMEOUT)

    def wait_readable(self, timeout: float) -> bool:
        if timeout >= RECV_TIMEOUT and self._input.is_possible:
            return self._input.wait()
        return super().wait_readable(timeout)

    def close(self) -> None:
        self._input.close()
        super().close()


class StreamEndpoint(Endpoint):
    """Any stream: TLS, a stream in memory, one that is tapped."""

    has_more = True  # behind the handshake

    def __init__(self, kernel: ThreadKernel, stream: ByteStream) -> None:
        self._kernel = kernel
        self._stream = stream
        self.socket = _socket_below(stream)

    def receive(self, limit: int) -> bytes | None:
        data = self._stream.receive_nowait(limit)
        self.has_more = data is not None and len(data) >= limit
        return data

    receive_nowait = receive

    def send(self, pieces: Pieces) -> int:
        if len(pieces) == 1:
            return self._stream.send_nowait(pieces[0])
        return self._stream.send_pieces_nowait(pieces)

    def wait_readable(self, timeout: float) -> bool:
        if self.has_more:
            return True
        if self.socket is not None:
            return wait_for_socket(self.socket, read=True, timeout=timeout)
        return self._kernel.run(self._stream.wait_readable(time.monotonic() + timeout))

    def wait_writable(self, timeout: float) -> bool:
        if self.socket is not None:
            return wait_for_socket(self.socket, write=True, timeout=timeout)
        return self._kernel.run(self._stream.wait_writable(time.monotonic() + timeout))

    def send_eof(self) -> None:
        self._stream.send_eof()
        self.has_more = True  # what came before may have been read already, beside the peer's own end

    def shut_down(self, how: int = SHUT_RDWR) -> None:
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(how)
        elif how == SHUT_RDWR:
            self._stream.close()

    def close(self) -> None:
        self._stream.close()


def endpoint_of(kernel: ThreadKernel, stream: ByteStream, tap: Tap | None) -> Endpoint:
    """The end of a connection that a stream is, with a tap if there is one."""
    if tap is not None:
        return StreamEndpoint(kernel, TappedStream(kernel, stream, tap))
    if type(stream) is SocketStream:
        return HubEndpoint(stream) if has_hub() else SocketEndpoint(stream)
    return StreamEndpoint(kernel, stream)


def _socket_below(stream: ByteStream) -> socket.socket | None:
    """The socket that a stream reads from in the end."""
    while not isinstance(stream, SocketStream):
        below: ByteStream | None = stream.stream if isinstance(stream, TappedStream) else getattr(stream, "inner", None)
        if below is None:
            return None
        stream = below
    return stream.socket


def _limit_recv(sock: socket.socket) -> bool:
    """Have ``recv`` end after RECV_TIMEOUT, with BlockingIOError; False where that is not known to work."""
    if os.name != "posix":
        return False
    seconds, fraction = divmod(RECV_TIMEOUT, 1)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", int(seconds), int(fraction * 1e6)))
    except (OSError, AttributeError):
        return False
    return True
