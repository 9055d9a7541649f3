"""Connecting: several addresses at once (Happy Eyeballs, RFC 8305), unix sockets, and the TLS handshake."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain, zip_longest
from math import inf
from typing import TYPE_CHECKING

from puregrpc.errors import ConnectError, InvalidArgument
from puregrpc.kernel.addresses import Address, TcpAddress, address_of
from puregrpc.kernel.base import Kernel, Task, Waiter, Waiters
from puregrpc.kernel.reasons import describe, in_seconds
from puregrpc.kernel.streams import ByteStream, SocketStream

if TYPE_CHECKING:
    import ssl

    from puregrpc.kernel.tls import TlsStream

__all__ = ["ALPN_H2", "connect", "dial", "interleave_families", "secure"]

ALPN_H2 = "h2"
"""RFC 9113, section 3.2: how TLS says that the connection speaks HTTP/2."""

CONNECTION_ATTEMPT_DELAY = 0.25
"""How long an attempt has for itself before the next address is tried beside it (RFC 8305, section 5)."""

ALERT_LINGER = 0.5
"""How long a client that a server refuses may take to read why. A socket that is closed with octets in it resets the
connection, and the alert may be lost."""

FULL_BACKLOG_PAUSE = 0.01
"""How long to wait before a unix socket that takes nobody at the moment is asked again."""


async def dial(kernel: Kernel, address: Address, until: float = inf) -> SocketStream:
    """Connect to one address. Raises ConnectError with the reason if it has not answered by ``until``."""
    return await connect(kernel, [address], until)


async def connect(
    kernel: Kernel, addresses: Sequence[Address], until: float = inf, *, delay: float = CONNECTION_ATTEMPT_DELAY
) -> SocketStream:
    """Connect to the first of several addresses that answers (RFC 8305): each attempt starts ``delay`` seconds after
    the one before it, or as soon as that has failed.

    Raises ConnectError with the reason of each address if none answers by ``until``.
    """
    race = _Race(kernel, until)
    try:
        return await race.run(interleave_families(addresses), delay)
    finally:
        race.close()


def interleave_families(addresses: Iterable[Address]) -> list[Address]:
    """The addresses, each once, with their families in turns, the first one's family first (RFC 8305, section 4)."""
    families: dict[socket.AddressFamily, list[Address]] = {}
    for address in dict.fromkeys(addresses):
        families.setdefault(address.family, []).append(address)
    return [address for address in chain.from_iterable(zip_longest(*families.values())) if address is not None]


class _Race:
    """Attempts beside each other, until one has won. The first has no task of its own as long as it is alone."""

    def __init__(self, kernel: Kernel, until: float) -> None:
        self._kernel = kernel
        self._until = until
        self._attempts: list[_Attempt] = []
        self._tasks: list[Task] = []
        self._changed = Waiters(kernel.waiter)

    async def run(self, addresses: Sequence[Address], delay: float) -> SocketStream:
        if not addresses:
            raise ConnectError("there is no address to connect to")
        kernel = self._kernel
        began = now = kernel.now()
        for address in addresses:
            attempt = _Attempt(address)
            self._attempts.append(attempt)
            attempt.begin()
            until = self._until if address is addresses[-1] else min(self._until, now + delay)
            if not self._tasks:
                await attempt.run(kernel, until)
            if not attempt.is_over:
                self._tasks.append(kernel.spawn(self._go_on, attempt))
                await self._wait(attempt, until)
            now = kernel.now()
            if (winner := kernel.locked(self._winner)) is not None:
                return winner.stream(kernel)
            if now >= self._until:
                break
        await self._wait(None, self._until)
        if (winner := kernel.locked(self._winner)) is not None:
            return winner.stream(kernel)
        waited = f"no answer within {in_seconds(self._until - began)}"
        failures = dict.fromkeys(addresses, waited) | {a.address: a.failure for a in self._attempts if a.failure}
        if len(failures) == 1:
            raise ConnectError(f"could not connect to {addresses[0]}: {failures[addresses[0]]}")
        reasons = "; ".join(f"{address}: {reason}" for address, reason in failures.items())
        raise ConnectError(f"could not connect to any of {len(failures)} addresses: {reasons}")

    async def _go_on(self, attempt: _Attempt) -> None:
        await attempt.run(self._kernel, self._until)
        self._kernel.locked(self._changed.wake_all)

    async def _wait(self, attempt: _Attempt | None, until: float) -> None:
        """Wait until one has won, or the attempt has failed (None: all have), or until ``until``."""

        def begin() -> Waiter | None:
            awaited = self._attempts if attempt is None else [attempt]
            if self._winner() is not None or all(each.is_over for each in awaited):
                return None
            return self._changed.waiter()

        while (waiter := self._kernel.locked(begin)) is not None:
            if not await waiter.wait(until):
                return

    def _winner(self) -> _Attempt | None:
        return next((attempt for attempt in self._attempts if attempt.has_won), None)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for attempt in self._attempts:
            attempt.close(self._kernel)


class _Attempt:
    """A socket on its way to an address."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.failure = ""
        self.has_won = False
        self._socket: socket.socket | None = None
        self._is_under_way = False

    @property
    def is_over(self) -> bool:
        return self.has_won or bool(self.failure)

    def begin(self) -> None:
        """Make the socket and try what goes without waiting."""
        try:
            self._socket = socket.socket(self.address.family, socket.SOCK_STREAM)
            self._socket.setblocking(False)
            self._advance(self._socket)
        except (OSError, InvalidArgument) as error:
            self._fail(error)

    async def run(self, kernel: Kernel, until: float) -> None:
        """Go on until it is over, but not longer than ``until``."""
        try:
            while not self.is_over and self._socket is not None:
                if not self._is_under_way:
                    await kernel.sleep(min(kernel.now() + FULL_BACKLOG_PAUSE, until))
                    if kernel.now() >= until:
                        return
                elif not await kernel.wait_writable(self._socket, until):
                    return
                self._advance(self._socket)
        except OSError as error:
            self._fail(error)

    def _advance(self, sock: socket.socket) -> None:
        if self._is_under_way:
            if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(code, os.strerror(code))
        else:
            try:
                sock.connect(self.address.sockaddr())
            except BlockingIOError as error:
                # A unix socket is connected at once or, when too many wait to be accepted, not on its way at all.
                self._is_under_way = error.errno != errno.EAGAIN or isinstance(self.address, TcpAddress)
                return
            except InterruptedError:
                self._is_under_way = True
                return
        if isinstance(self.address, TcpAddress) and sock.getsockname() == sock.getpeername():
            # Nobody listens: the system took the very port for this end, and TCP connects a socket with itself.
            raise OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        self.has_won = True

    def _fail(self, error: OSError | InvalidArgument) -> None:
        self.failure = describe(error) if isinstance(error, OSError) else str(error)

    def stream(self, kernel: Kernel) -> SocketStream:
        """The connected socket, which is not closed with the attempt any more."""
        sock, self._socket = self._socket, None
        if sock is None:
            raise ConnectError(f"connecting to {self.address} was given up")
        is_tcp = isinstance(self.address, TcpAddress)
        return SocketStream(
            kernel, sock, local=str(address_of(sock.getsockname())) if is_tcp else "unix:", peer=str(self.address)
        )

    def close(self, kernel: Kernel) -> None:
        sock, self._socket = self._socket, None
        if sock is not None:
            kernel.forget_socket(sock)
            sock.close()


async def secure(
    kernel: Kernel,
    stream: ByteStream,
    context: ssl.SSLContext,
    until: float = inf,
    *,
    server_name: str | None = None,
    server_side: bool = False,
    require_alpn: bool = True,
) -> TlsStream:
    """Do the TLS handshake over a stream, which is closed if that fails. ``server_name`` is for clients.

    Raises ConnectError that says what the peer did: no TLS at all, a certificate that is not good, no "h2" by ALPN
    where ``require_alpn`` asks for it, or nothing by ``until``.
    """
    from puregrpc.kernel.tls import TlsError, TlsLayer, TlsStream

    began = kernel.now()
    try:
        try:
            layer = TlsLayer(context, server_side=server_side, server_name=server_name)
            tls = TlsStream(kernel, stream, layer)
            is_over = await tls.shake_hands(until)
        except OSError as error:
            if server_side and isinstance(error, TlsError):
                await _let_go(kernel, stream, min(until, kernel.now() + ALERT_LINGER))
            raise ConnectError(f"the TLS handshake with {stream.peer} failed: {describe(error)}") from error
        if not is_over:
            raise ConnectError(f"the TLS handshake with {stream.peer} was not over within {in_seconds(until - began)}")
        if require_alpn and layer.alpn != ALPN_H2:
            chosen = f"chose {layer.alpn!r}" if layer.alpn else "chose no protocol"
            raise ConnectError(f"{stream.peer} {chosen} by ALPN: gRPC needs HTTP/2 ('h2')")
    except BaseException:
        stream.close()
        raise
    return tls


async def _let_go(kernel: Kernel, stream: ByteStream, until: float) -> None:
    """End a stream, and read what still comes, to nobody's use, until the peer has ended it as well."""
    stream.send_eof()
    with suppress(OSError):
        while kernel.now() < until and stream.receive_nowait(1 << 16) != b"":
            if not await stream.wait_readable(until):
                return
