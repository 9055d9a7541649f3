"""Addresses that a socket can connect to or listen on."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from puregrpc.errors import InvalidArgument

__all__ = ["Address", "TcpAddress", "UnixAddress", "lookup_name", "split_host_port"]


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """An IP address (``host`` is an IPv4 or IPv6 literal, without brackets) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def family(self) -> socket.AddressFamily:
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    def sockaddr(self) -> tuple[str | int | bytes, ...]:
        """What the socket module takes. Raises InvalidArgument if ``host`` is not an IP address literal."""
        try:
            found = socket.getaddrinfo(
                lookup_name(self.host), self.port, self.family, socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
            )
        except (OSError, UnicodeError):
            raise InvalidArgument(f"{self.host!r} is not an IP address") from None
        return found[0][4]


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A unix socket: a path of the file system, or a name in Linux's abstract namespace."""

    path: str
    abstract: bool = False

    def __str__(self) -> str:
        return f"unix-abstract:{self.path}" if self.abstract else f"unix:{self.path}"

    def sockaddr(self) -> str:
        return "\0" + self.path if self.abstract else self.path


Address = TcpAddress | UnixAddress


def lookup_name(host: str) -> str | bytes:
    """A host for `socket.getaddrinfo`, which loads the tables of international names for any text, ASCII or not."""
    return host.encode() if host.isascii() else host


def split_host_port(text: str, default_port: int | None = None) -> tuple[str, int]:
    """Split ``host:port``, ``[v6]:port``, ``host`` or a bare IPv6 address.

    Raises InvalidArgument that names the text, for a port that is no number from 0 to 65535 or is missing without a
    ``default_port``.
    """
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise InvalidArgument(f"{text!r} is not an address: [IPv6 address]:port is expected after '['")
        port_text = rest[1:]
    elif text.count(":") > 1:
        host, rest, port_text = text, "", ""
    else:
        host, rest, port_text = text.partition(":")
    if not rest:
        if default_port is None:
            raise InvalidArgument(f"{text!r} has no port: host:port is expected")
        return host, default_port
    if not (port_text.isascii() and port_text.isdigit()) or int(port_text) > 65535:
        raise InvalidArgument(f"{text!r} is not an address: the port must be a number from 0 to 65535")
    return host, int(port_text)
