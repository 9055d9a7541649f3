"""Connecting under trio: host names, several addresses at once (Happy Eyeballs, RFC 8305), unix sockets, TLS."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence

import trio

from puregrpc.errors import ConnectError
from puregrpc.transport.addresses import Address, TcpAddress, UnixAddress
from puregrpc.transport.connect_rules import (
    CONNECTION_ATTEMPT_DELAY,
    check_alpn,
    describe,
    explain_tls,
    interleave_families,
)
from puregrpc.transport.streams import SocketStream

__all__ = ["connect", "resolve_host", "shake_hands", "start_tls_client"]


async def connect(addresses: Sequence[Address], *, delay: float = CONNECTION_ATTEMPT_DELAY) -> SocketStream:
    """Connect to the first of several addresses that answers (RFC 8305): each attempt starts ``delay`` seconds after
    the one before it, or as soon as that has failed.

    Raises ConnectError with the reason of each address if none answers.
    """
    if not addresses:
        raise ConnectError("there is no address to connect to")
    ordered = interleave_families(addresses)
    if len(ordered) == 1:
        try:
            return await _connect_one(ordered[0])
        except OSError as error:
            raise ConnectError(f"could not connect to {ordered[0]}: {describe(error)}") from error
    failures: dict[Address, OSError] = {}
    winners: list[SocketStream] = []
    try:
        async with trio.open_nursery() as nursery:

            async def attempt(address: Address, failed: trio.Event) -> None:
                try:
                    stream = await _connect_one(address)
                except OSError as error:
                    failures[address] = error
                    failed.set()
                else:
                    winners.append(stream)
                    nursery.cancel_scope.cancel()

            for address in ordered:
                failed = trio.Event()
                nursery.start_soon(attempt, address, failed)
                with trio.move_on_after(delay):
                    await failed.wait()
    except BaseException:
        for stream in winners:
            stream.close()
        raise
    for stream in winners[1:]:
        stream.close()
    if winners:
        return winners[0]
    reasons = "; ".join(f"{address}: {describe(failures[address])}" for address in ordered)
    raise ConnectError(f"could not connect to any of {len(ordered)} addresses: {reasons}")


async def _connect_one(address: Address) -> SocketStream:
    family = address.family if isinstance(address, TcpAddress) else socket.AF_UNIX
    sock = trio.socket.socket(family, socket.SOCK_STREAM)
    try:
        if isinstance(address, UnixAddress) and not address.abstract:
            await sock.connect(address.path)
        else:
            await sock.connect(address.sockaddr())
        local = sock.getsockname()
    except BaseException:
        sock.close()
        raise
    name = str(TcpAddress(local[0], local[1])) if isinstance(address, TcpAddress) else "unix:"
    return SocketStream(_take(sock), local=name, peer=str(address))


def _take(sock: trio.socket.SocketType) -> socket.socket:
    """The plain non-blocking socket of a trio socket, for a session reads and writes without waiting."""
    return socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach())


async def start_tls_client(
    stream: SocketStream, context: ssl.SSLContext, server_name: str, *, require_alpn: bool = True
) -> SocketStream:
    """Do the TLS handshake as a client. Takes over ``stream``: it is closed if that fails.

    Raises ConnectError that says what the peer did: no TLS at all, a certificate that is not good, no "h2" by ALPN.
    """
    try:
        tls = context.wrap_socket(stream.socket, do_handshake_on_connect=False, server_hostname=server_name)
    except (OSError, ValueError) as error:
        stream.close()
        raise ConnectError(f"TLS with {stream.peer} could not begin: {error}") from error
    return await shake_hands(stream, tls, require_alpn=require_alpn)


async def shake_hands(stream: SocketStream, tls: ssl.SSLSocket, *, require_alpn: bool) -> SocketStream:
    """Run the handshake of ``tls``, which was wrapped around the socket of ``stream``, to its end."""
    peer = stream.peer
    try:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await trio.lowlevel.wait_readable(tls)
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(tls)
    except OSError as error:
        tls.close()
        raise ConnectError(f"the TLS handshake with {peer} failed: {explain_tls(error)}") from error
    except BaseException:
        tls.close()
        raise
    check_alpn(tls, peer, require_alpn=require_alpn)
    return SocketStream(tls, local=stream.local, peer=peer)


async def resolve_host(host: str, port: int) -> list[TcpAddress]:
    """The addresses of a host name or IP literal, in the resolver's order (RFC 6724).

    Raises ConnectError with the resolver's words if there are none.
    """
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConnectError(f"no address was found for the host {host!r}: {error}") from error
    addresses = [TcpAddress(str(entry[4][0]), int(entry[4][1])) for entry in found]
    return list(dict.fromkeys(addresses))
