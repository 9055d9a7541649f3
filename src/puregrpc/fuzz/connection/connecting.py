"""How to connect to a target: its address, TLS, and the time that it may take."""

from __future__ import annotations

import socket
import ssl

__all__ = ["LinkOptions"]


class LinkOptions:
    """How to connect: the address, TLS, and the seconds that it may take."""

    def __init__(
        self, host: str, port: int, *, path: str = "", tls: ssl.SSLContext | None = None, server_name: str = ""
    ) -> None:
        self.host = host
        self.port = port
        self.path = path
        """Of a unix socket, in place of host and port."""
        self.tls = tls
        self.server_name = server_name or host

    def connect(self, timeout: float, *, takes_little: bool = False) -> socket.socket:
        """A connected socket; with ``takes_little`` its buffer for what comes is as small as can be. Raises OSError."""
        if self.path:
            made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            made.settimeout(timeout)
            try:
                made.connect(self.path)
            except OSError:
                made.close()
                raise
        else:
            made = socket.create_connection((self.host, self.port), timeout)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if takes_little:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        if self.tls is not None:
            try:
                made = self.tls.wrap_socket(made, server_hostname=self.server_name)
            except OSError:
                made.close()
                raise
        return made
