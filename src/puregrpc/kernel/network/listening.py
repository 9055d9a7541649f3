"""Listening: on TCP and unix sockets, plaintext or TLS; one listener for each socket."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from puregrpc.errors import ConnectError, NotConnected
from puregrpc.kernel.base import Kernel
from puregrpc.kernel.network.addresses import (
    Address,
    TcpAddress,
    UnixAddress,
    address_of,
    literal_addresses,
    look_up,
    split_host_port,
)
from puregrpc.kernel.network.connecting import secure
from puregrpc.kernel.network.reasons import describe
from puregrpc.kernel.network.streams import ByteStream, SocketStream
from puregrpc.kernel.numbers import next_number

if TYPE_CHECKING:
    import ssl

__all__ = ["Listener", "ServerTls", "address_bound", "bind", "listen"]

BACKLOG = 1024
"""Connections that may wait to be accepted; the system cuts it down to its own limit."""

MOST_IN_TURN = 64
"""Connections that wait are accepted together: on a loop whose connections all have something to do, a turn for each
would be long in coming."""

ACCEPT_PAUSE = 0.1
"""How long to wait before accepting again when the process or system is out of descriptors or memory."""

HANDSHAKE_TIMEOUT = 20.0

OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}

NOT_LISTENING = {errno.EBADF, errno.EINVAL, errno.ENOTSOCK, errno.EOPNOTSUPP}

NOT_HERE = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}
"""A name stands for addresses of both families, also on machines that have only one."""


class ServerTls(Protocol):
    """How a server does TLS."""

    @property
    def require_alpn(self) -> bool:
        """Refuse a client that does not agree on "h2" by ALPN."""

    @property
    def changes(self) -> bool:
        """`server_context` is asked before each handshake, in a thread."""

    def server_context(self) -> ssl.SSLContext:
        """The context for the connections of a listener. Raises InvalidArgument if there can be none."""


class Listener:
    """A socket that accepts connections. ``address`` is where it really listens (port 0 replaced by the port).

    ``handshake_timeout`` (seconds) is how long a client may take for TLS. ``is_shared``: others listen on the socket as
    well, and a unix socket's file is theirs.
    """

    def __init__(
        self,
        kernel: Kernel,
        sock: socket.socket,
        *,
        tls: ServerTls | None = None,
        handshake_timeout: float = HANDSHAKE_TIMEOUT,
        is_shared: bool = False,
    ) -> None:
        sock.setblocking(False)
        self.kernel = kernel
        self.socket = sock
        self.number = next_number()
        self.address = address_bound(sock)
        self._tls = tls
        self._context = tls.server_context() if tls is not None else None
        self._handshake_timeout = handshake_timeout
        self._is_shared = is_shared
        self._accepted = 0
        """How many connections were accepted since it was last waited for one."""

    @property
    def is_tls(self) -> bool:
        return self._context is not None

    async def accept(self) -> SocketStream:
        """Wait for the next connection; its TLS handshake is not done yet (`secure` does it).

        Raises NotConnected when the listener was closed.
        """
        kernel = self.kernel
        while True:
            if not 0 < self._accepted < MOST_IN_TURN:
                self._accepted = 0
                await kernel.wait_readable(self.socket)
            try:
                sock, peer = self.socket.accept()
                self._accepted += 1
            except (BlockingIOError, InterruptedError):
                self._accepted = 0
                continue  # the peer gave up, or another process that listens here as well took it
            except OSError as error:
                self._accepted = 0
                if self.socket.fileno() < 0 or error.errno in NOT_LISTENING:
                    raise NotConnected(f"the listener on {self.address} was closed") from None
                if error.errno in OUT_OF_RESOURCES:
                    await kernel.sleep(kernel.now() + ACCEPT_PAUSE)
                continue  # the peer broke off before it was accepted
            name = str(address_of(peer)) if isinstance(self.address, TcpAddress) else "unix:"
            return SocketStream(kernel, sock, local=str(self.address), peer=name)

    async def secure(self, stream: ByteStream) -> ByteStream:
        """Do the TLS handshake, if this listener has TLS, within the handshake timeout.

        Raises ConnectError if that fails; the stream is closed then.
        """
        context, tls = self._context, self._tls
        if context is None or tls is None:
            return stream
        until = self.kernel.now() + self._handshake_timeout
        if tls.changes:
            context = self._context = await self.kernel.in_thread(tls.server_context)
        return await secure(self.kernel, stream, context, until, server_side=True, require_alpn=tls.require_alpn)

    def close(self) -> None:
        """Stop listening. A unix socket's file is removed, unless it is shared. Idempotent."""
        if self.socket.fileno() < 0:
            return
        self.kernel.forget_socket(self.socket)
        self.socket.close()
        if isinstance(self.address, UnixAddress) and not (self.address.abstract or self._is_shared):
            Path(self.address.path).unlink(missing_ok=True)


async def listen(
    kernel: Kernel,
    target: str,
    *,
    tls: ServerTls | None = None,
    handshake_timeout: float = HANDSHAKE_TIMEOUT,
) -> list[Listener]:
    """Listen on ``host:port``, ``[v6]:port``, ``[v6%zone]:port``, ``:port`` (all interfaces), ``unix:path`` or
    ``unix-abstract:name``.

    Port 0 takes a free port. A host name with several addresses gives one listener for each, on the same port.
    Raises InvalidArgument for a target of another form, ConnectError if the system refuses.
    """
    unix = _unix_address(target)
    if unix is None:
        host, port = split_host_port(target)
        addresses: list[Address] = list(await kernel.resolve(host, port, inf, passive=True))
    else:
        addresses = [unix]
    sockets = _bind_all(addresses)
    listeners: list[Listener] = []
    try:
        for sock in sockets:
            listeners.append(Listener(kernel, sock, tls=tls, handshake_timeout=handshake_timeout))  # noqa: PERF401
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return listeners


def bind(target: str, *, reuse_port: bool = False, both_families: bool = False) -> list[socket.socket]:
    """Sockets that listen on a target of `listen`, from this moment on; a host name is looked up meanwhile.

    ``reuse_port``: others that say so may listen there as well (SO_REUSEPORT). ``both_families``: ``[::]`` takes
    connections over IPv4 too, and is 0.0.0.0 where there is no IPv6. Raises as `listen`.
    """
    unix = _unix_address(target)
    if unix is not None:
        return _bind_all([unix])
    host, port = split_host_port(target)
    found = literal_addresses(host, port, passive=True)
    addresses = look_up(host, port, passive=True) if found is None else found
    if not (both_families and [address.host for address in addresses] == ["::"]):
        return _bind_all(addresses, reuse_port=reuse_port)
    try:
        return [_bind(addresses[0], reuse_port=reuse_port, both_families=True)]
    except OSError as error:
        if error.errno in NOT_HERE:
            return _bind_all([TcpAddress("0.0.0.0", port)], reuse_port=reuse_port)
        raise ConnectError(f"could not listen on {addresses[0]}: {describe(error)}") from error


def _bind_all(addresses: Sequence[Address], *, reuse_port: bool = False) -> list[socket.socket]:
    """A socket for each, all on the same port; families that this machine lacks are left out."""
    sockets: list[socket.socket] = []
    refused: ConnectError | None = None
    try:
        free_port = 0
        for address in addresses:
            wanted = address
            if isinstance(wanted, TcpAddress) and not wanted.port:
                wanted = TcpAddress(wanted.host, free_port)
            try:
                sock = _bind(wanted, reuse_port=reuse_port)
            except OSError as error:
                refused = ConnectError(f"could not listen on {wanted}: {describe(error)}")
                refused.__cause__ = error
                if error.errno in NOT_HERE:
                    continue
                raise refused from error
            sockets.append(sock)
            free_port = sock.getsockname()[1] if isinstance(wanted, TcpAddress) else 0
        if refused is not None and not sockets:
            raise refused
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _unix_address(target: str) -> UnixAddress | None:
    if target.startswith("unix-abstract:"):
        return UnixAddress(target[len("unix-abstract:") :], abstract=True)
    if target.startswith("unix:"):
        return UnixAddress(target[len("unix:") :].removeprefix("//"))
    return None


def address_bound(sock: socket.socket) -> Address:
    name = sock.getsockname()
    if isinstance(name, tuple):
        return address_of(name)
    if isinstance(name, bytes):  # of the abstract namespace
        return UnixAddress(os.fsdecode(name[1:]), abstract=True)
    return UnixAddress(name)


def _bind(address: Address, *, reuse_port: bool = False, both_families: bool = False) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        if isinstance(address, TcpAddress):
            if os.name != "nt":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if address.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both_families)
            if reuse_port and hasattr(socket, "SO_REUSEPORT"):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        elif not address.abstract:
            _remove_stale_socket(address.path)
        sock.bind(address.sockaddr())
        sock.listen(BACKLOG)
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
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink(missing_ok=True)
        except OSError:
            return
