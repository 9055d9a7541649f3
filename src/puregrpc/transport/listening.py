"""Listening: on TCP and unix sockets, plaintext or TLS; one listener for each socket."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from puregrpc.errors import ConnectError, InvalidArgument
from puregrpc.transport.addresses import Address, TcpAddress, UnixAddress, split_host_port
from puregrpc.transport.connect_rules import describe
from puregrpc.transport.connecting import shake_hands
from puregrpc.transport.streams import SocketStream
from puregrpc.transport.tls import TlsOptions

__all__ = ["Listener", "listen"]

BACKLOG = 1024
"""Connections that may wait to be accepted; the system cuts it down to its own limit."""

ACCEPT_PAUSE = 0.1
"""How long to wait before accepting again when the process or system is out of descriptors or memory."""

OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}


class Listener:
    """A socket that accepts connections. ``address`` is where it really listens (port 0 replaced by the port)."""

    def __init__(
        self, sock: socket.socket, address: Address, tls: TlsOptions | None = None, *, handshake_timeout: float = 20.0
    ) -> None:
        self.address = address
        self._socket = trio.socket.from_stdlib_socket(sock)
        self._context = tls.server_context() if tls is not None else None
        self._require_alpn = tls.require_alpn if tls is not None else False
        self._handshake_timeout = handshake_timeout

    @property
    def is_tls(self) -> bool:
        return self._context is not None

    async def accept(self) -> SocketStream:
        """Wait for the next connection; its TLS handshake is not done yet (`secure` does it)."""
        while True:
            try:
                sock, peer = await self._socket.accept()
            except OSError as error:
                if error.errno in OUT_OF_RESOURCES:
                    await trio.sleep(ACCEPT_PAUSE)
                    continue
                if error.errno in (errno.EBADF, errno.ENOTSOCK):
                    raise trio.ClosedResourceError("the listener was closed") from None
                await trio.lowlevel.checkpoint()
                continue  # the peer gave up before it was accepted
            plain = socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
            name = str(TcpAddress(peer[0], peer[1])) if isinstance(self.address, TcpAddress) else "unix:"
            try:
                return SocketStream(plain, local=str(self.address), peer=name)
            except OSError:  # on some systems no option of a connection that is gone already can be set
                plain.close()

    async def secure(self, stream: SocketStream) -> SocketStream:
        """Do the TLS handshake, if this listener has TLS, within the handshake timeout; ConnectError if that fails."""
        if self._context is None:
            return stream
        with trio.move_on_after(self._handshake_timeout):
            try:
                tls = self._context.wrap_socket(stream.socket, server_side=True, do_handshake_on_connect=False)
            except OSError as error:
                stream.close()
                raise ConnectError(f"TLS with {stream.peer} could not begin: {describe(error)}") from error
            return await shake_hands(stream, tls, require_alpn=self._require_alpn)
        raise ConnectError(f"{stream.peer} did not finish the TLS handshake within {self._handshake_timeout:g} s")

    async def serve(
        self,
        handler: Callable[[SocketStream], Awaitable[None]],
        *,
        on_refused: Callable[[ConnectError], None] | None = None,
    ) -> None:
        """Accept until cancelled; run ``handler`` with each connection, TLS done, in a task of its own.

        A handshake that fails closes that connection and is told to ``on_refused``.
        """

        async def run(stream: SocketStream) -> None:
            try:
                try:
                    stream = await self.secure(stream)
                except ConnectError as error:
                    if on_refused is not None:
                        on_refused(error)
                    return
                await handler(stream)
            finally:
                stream.close()

        async with trio.open_nursery() as nursery:
            while True:
                nursery.start_soon(run, await self.accept())

    def close(self) -> None:
        """Stop listening. A unix socket's file is removed. Idempotent."""
        if self._socket.fileno() < 0:
            return
        self._socket.close()
        if isinstance(self.address, UnixAddress) and not self.address.abstract:
            Path(self.address.path).unlink(missing_ok=True)


async def listen(target: str, *, tls: TlsOptions | None = None, handshake_timeout: float = 20.0) -> list[Listener]:
    """Listen on ``host:port``, ``[v6]:port``, ``:port`` (all interfaces), ``unix:path`` or ``unix-abstract:name``.

    Port 0 takes a free port. A host name with several addresses gives one listener for each, on the same port.
    Raises InvalidArgument for a target of another form, ConnectError if the system refuses.
    """
    if target.startswith("unix-abstract:"):
        addresses: list[Address] = [UnixAddress(target[len("unix-abstract:") :], abstract=True)]
    elif target.startswith("unix:"):
        path = target[len("unix:") :]
        addresses = [UnixAddress(path.removeprefix("//"))]
    else:
        host, port = split_host_port(target)
        addresses = list(await _local_addresses(host, port))
    listeners: list[Listener] = []
    try:
        port = 0
        for address in addresses:
            wanted = address
            if port and isinstance(address, TcpAddress) and address.port == 0:
                wanted = TcpAddress(address.host, port)
            sock = _bind(wanted)
            if isinstance(wanted, TcpAddress):
                port = sock.getsockname()[1]
                wanted = TcpAddress(wanted.host, port)
            listeners.append(Listener(sock, wanted, tls, handshake_timeout=handshake_timeout))
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


async def _local_addresses(host: str, port: int) -> list[TcpAddress]:
    try:
        found = await trio.socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_ADDRCONFIG
        )
    except (OSError, UnicodeError) as error:
        raise InvalidArgument(f"{host!r} is not an address of this machine: {error}") from None
    return list(dict.fromkeys(TcpAddress(str(entry[4][0]), port) for entry in found))


def _bind(address: Address) -> socket.socket:
    family = address.family if isinstance(address, TcpAddress) else socket.AF_UNIX
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if isinstance(address, TcpAddress):
            if os.name != "nt":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        elif not address.abstract:
            _remove_stale_socket(address.path)
        sock.bind(address.sockaddr())
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise ConnectError(f"could not listen on {address}: {describe(error)}") from error
    except BaseException:
        sock.close()
        raise
    return sock


def _remove_stale_socket(path: str) -> None:
    """Remove a unix socket's file that nobody listens on any more; what is in use, or no socket, stays."""
    try:
        if not stat.S_ISSOCK(Path(path).stat().st_mode):
            return
    except OSError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink(missing_ok=True)
        except OSError:
            return
