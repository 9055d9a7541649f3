"""Connecting: several addresses at once (Happy Eyeballs, RFC 8305), unix sockets, and the TLS handshake."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, zip_longest
from math import inf
from typing import TYPE_CHECKING

from puregrpc.errors import ConnectError, InvalidArgument
from puregrpc.kernel.base import Kernel
from puregrpc.kernel.network.addresses import Address, TcpAddress, address_of
from puregrpc.kernel.network.racing import COULD_NOT_CONNECT, race
from puregrpc.kernel.network.reasons import describe, in_seconds
from puregrpc.kernel.network.streams import ByteStream, SocketStream

if TYPE_CHECKING:
    import ssl

    from puregrpc.kernel.network.tls_sessions import TlsSessionCache
    from puregrpc.kernel.network.tls_stream import TlsStream

__all__ = ["ALPN_H2", "connect", "dial", "interleave_families", "secure"]

ALPN_H2 = "h2"
"""RFC 9113, section 3.2: how TLS says that the connection speaks HTTP/2."""

CONNECTION_ATTEMPT_DELAY = 0.25
"""How long an attempt has for itself before the next address is tried beside it (RFC 8305, section 5)."""

ALERT_LINGER = 0.5
"""How long a client that a server refuses may take to read why. A socket that is closed with octets in it resets the
connection, and the alert may be lost."""

STILL_CONNECTING = (errno.EALREADY, errno.EINPROGRESS, errno.EAGAIN, errno.EINTR)

FULL_BACKLOG_PAUSE = 0.01
"""How long to wait before a unix socket that takes nobody at the moment is asked again."""


OpenStream = Callable[[Address, float], Awaitable[ByteStream]]
"""What a kernel has as ``open_stream`` whose world has no sockets but streams of its own: a stream that is connected to
an address. Raises OSError if it is not by a point in time."""


async def connect(
    kernel: Kernel, addresses: Sequence[Address], until: float = inf, *, delay: float = CONNECTION_ATTEMPT_DELAY
) -> ByteStream:
    """Connect to the first of several addresses that answers (RFC 8305): each attempt starts ``delay`` seconds after
    the one before it, or as soon as that has failed.

    Raises ConnectError with the reason of each address if none answers by ``until``.
    """
    attempts = [partial(dial, kernel, address, until) for address in interleave_families(addresses)]
    return await race(kernel, attempts, delay=delay, discard=ByteStream.close)


def interleave_families(addresses: Iterable[Address]) -> list[Address]:
    """The addresses, each once, with their families in turns, the first one's family first (RFC 8305, section 4)."""
    addresses = list(addresses)
    if len(addresses) == 1:
        return addresses
    families: dict[socket.AddressFamily, list[Address]] = {}
    for address in dict.fromkeys(addresses):
        families.setdefault(address.family, []).append(address)
    return [address for address in chain.from_iterable(zip_longest(*families.values())) if address is not None]


async def dial(kernel: Kernel, address: Address, until: float = inf) -> ByteStream:
    """Connect to one address. Raises ConnectError with the reason if it has not answered by ``until``."""
    began = kernel.now()
    try:
        open_stream: OpenStream | None = getattr(kernel, "open_stream", None)
        if open_stream is not None:
            return await open_stream(address, until)
        sock = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            if not await _connect(kernel, sock, address, until):
                raise TimeoutError(f"no answer within {in_seconds(until - began)}")
            if not isinstance(address, TcpAddress):
                return SocketStream(kernel, sock, local="unix:", peer=str(address))
            local = sock.getsockname()
            if local[1] == address.port and local == sock.getpeername():
                # Nobody listens: the system took the very port for this end, and TCP connects a socket with itself.
                raise OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
            return SocketStream(kernel, sock, local=str(address_of(local)), peer=str(address))
        except BaseException:
            kernel.forget_socket(sock)
            sock.close()
            raise
    except (OSError, InvalidArgument) as error:
        reason = describe(error) if isinstance(error, OSError) else str(error)
        raise ConnectError(f"{COULD_NOT_CONNECT}{address}: {reason}") from error


async def _connect(kernel: Kernel, sock: socket.socket, address: Address, until: float) -> bool:
    """Connect a socket; False if that is not over by ``until``."""
    to = address.sockaddr()
    while True:
        try:
            sock.connect(to)
            return True
        except (BlockingIOError, InterruptedError) as error:
            # A unix socket is connected at once or, when too many wait to be accepted, not on its way at all.
            if isinstance(address, TcpAddress) or error.errno != errno.EAGAIN:
                if sys.platform == "linux" and isinstance(address, TcpAddress) and address.is_loopback:
                    # On the same machine it is over by now, and to ask again is cheaper than to wait for the socket.
                    code = sock.connect_ex(to)
                    if code not in STILL_CONNECTING:
                        return connected(code)
                break
        if kernel.now() >= until:
            return False
        await kernel.sleep(min(kernel.now() + FULL_BACKLOG_PAUSE, until))
    if not await kernel.wait_writable(sock, until):
        return False
    return connected(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))


def connected(code: int) -> bool:
    """True. Raises OSError for a code that is one."""
    if code:
        raise OSError(code, os.strerror(code))
    return True


async def secure(
    kernel: Kernel,
    stream: ByteStream,
    context: ssl.SSLContext,
    until: float = inf,
    *,
    server_name: str | None = None,
    server_side: bool = False,
    require_alpn: bool = True,
    sessions: TlsSessionCache | None = None,
) -> TlsStream:
    """Do the TLS handshake over a stream, which is closed if that fails. ``server_name`` and ``sessions`` are for
    clients.

    Raises ConnectError that says what the peer did: no TLS at all, a certificate that is not good, no "h2" by ALPN
    where ``require_alpn`` asks for it, or nothing by ``until``.
    """
    from puregrpc.kernel.network.tls import RECORD_SIZE, TlsError, TlsLayer, is_record_whole
    from puregrpc.kernel.network.tls_stream import TlsStream

    began = kernel.now()
    try:
        try:
            hello, data = b"", None
            while server_side and data != b"" and not is_record_whole(hello):
                # A client that says nothing, or half of something, does not cost what OpenSSL keeps for a connection.
                while (data := stream.receive_nowait(RECORD_SIZE)) is None:
                    if not await stream.wait_readable(until):
                        raise ConnectError(_not_over(stream, until - began))
                hello += data
            layer = TlsLayer(context, server_side=server_side, server_name=server_name, sessions=sessions)
            if hello:
                layer.feed(hello)
            if data == b"":
                layer.feed(data)
            tls = TlsStream(kernel, stream, layer)
            is_over = await tls.shake_hands(until)
        except OSError as error:
            if server_side and isinstance(error, TlsError):
                await _let_go(kernel, stream, min(until, kernel.now() + ALERT_LINGER))
            raise ConnectError(f"the TLS handshake with {stream.peer} failed: {describe(error)}") from error
        if not is_over:
            raise ConnectError(_not_over(stream, until - began))
        if require_alpn and layer.alpn != ALPN_H2:
            chosen = f"chose {layer.alpn!r}" if layer.alpn else "chose no protocol"
            raise ConnectError(f"{stream.peer} {chosen} by ALPN: gRPC needs HTTP/2 ('h2')")
    except BaseException:
        stream.close()
        raise
    return tls


def _not_over(stream: ByteStream, seconds: float) -> str:
    return f"the TLS handshake with {stream.peer} was not over within {in_seconds(seconds)}"


async def _let_go(kernel: Kernel, stream: ByteStream, until: float) -> None:
    """End a stream, and read what still comes, to nobody's use, until the peer has ended it as well."""
    stream.send_eof()
    with suppress(OSError):
        while kernel.now() < until and stream.receive_nowait(1 << 16) != b"":
            if not await stream.wait_readable(until):
                return
