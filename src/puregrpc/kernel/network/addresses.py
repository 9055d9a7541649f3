"""Addresses that a socket can connect to or listen on, and the resolver behind names."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from puregrpc.errors import ConnectError, InvalidArgument

__all__ = [
    "Address",
    "TcpAddress",
    "UnixAddress",
    "address_of",
    "addresses_in",
    "escape_zone",
    "join_host_port",
    "literal_addresses",
    "look_up",
    "name_of_host",
    "no_address",
    "question",
    "split_host_port",
]


_PORT = re.compile("[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """An IP address and a port. ``host`` is an IPv4 or IPv6 literal, without brackets, with its zone if it has one:
    ``fe80::1%eth0``."""

    host: str
    port: int

    def __str__(self) -> str:
        return join_host_port(self.host, self.port)

    @property
    def family(self) -> socket.AddressFamily:
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    @property
    def is_loopback(self) -> bool:
        """Whether it is certainly this machine's own."""
        return self.host.startswith("127.") or self.host == "::1"

    def sockaddr(self) -> tuple[Any, ...]:
        """What the socket module takes; a zone is its scope id (RFC 4007, section 6).

        Raises InvalidArgument if ``host`` is not an IP address literal, or its zone no interface of this machine.
        """
        try:
            found = _getaddrinfo(self.host, self.port, self.family, socket.AI_NUMERICHOST)
        except (OSError, ValueError):
            raise InvalidArgument(_unknown_zone(self.host) or f"{self.host!r} is not an IP address") from None
        return tuple(found[0][4])


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A unix socket: a path of the file system, or a name in Linux's abstract namespace."""

    path: str
    abstract: bool = False

    def __str__(self) -> str:
        return f"unix-abstract:{self.path}" if self.abstract else f"unix:{self.path}"

    @property
    def family(self) -> socket.AddressFamily:
        return socket.AF_UNIX

    def sockaddr(self) -> str:
        return "\0" + self.path if self.abstract else self.path


Address = TcpAddress | UnixAddress


def address_of(sockaddr: tuple[Any, ...]) -> TcpAddress:
    """The address that the socket module gave, with its scope id as the zone's name."""
    host, port = sockaddr[:2]
    scope = sockaddr[3] if len(sockaddr) > 3 else 0
    if scope and "%" not in host:
        try:
            host = f"{host}%{socket.if_indextoname(scope)}"
        except OSError:
            host = f"{host}%{scope}"
    return TcpAddress(host, port)


# -- the resolver


def look_up(host: str, port: int, *, passive: bool = False) -> list[TcpAddress]:
    """Ask the system's resolver, however long it takes; see `Kernel.resolve`."""
    try:
        return addresses_in(socket.getaddrinfo(**question(host, port, passive=passive)))
    except (OSError, ValueError) as error:
        raise no_address(host, error) from error


def question(host: str, port: int, *, passive: bool) -> dict[str, Any]:
    """What `socket.getaddrinfo` is asked, by keyword."""
    flags = socket.AI_PASSIVE | socket.AI_ADDRCONFIG if passive else 0
    return {
        "host": _resolver_name(host, flags),
        "port": port,
        "family": socket.AF_UNSPEC,
        "type": socket.SOCK_STREAM,
        "flags": flags,
    }


def addresses_in(found: Iterable[Any]) -> list[TcpAddress]:
    """The addresses in what ``getaddrinfo`` gave, without repetition."""
    return list(dict.fromkeys(address_of(entry[4]) for entry in found))


def no_address(host: str, error: OSError | ValueError | None) -> ConnectError:
    """The error of a host that was not found, or not in time (None)."""
    if error is None:
        return ConnectError(f"no address was found for the host {host!r} in time")
    reason = _unknown_zone(host) or getattr(error, "strerror", None) or error
    return ConnectError(f"no address was found for the host {host!r}: {reason}")


def _unknown_zone(host: str) -> str | None:
    """What is wrong with an IPv6 literal of which all but the zone is right."""
    literal, percent, zone = host.partition("%")
    if percent and ":" in literal and literal_addresses(literal, 0):
        return f"this machine has no network interface {zone!r} with such addresses"
    return None


def literal_addresses(host: str, port: int, *, passive: bool = False) -> list[TcpAddress] | None:
    """As `look_up`, for what takes no time: IP literals, and with ``passive`` the empty host. None for names."""
    flags = socket.AI_NUMERICHOST | (socket.AI_PASSIVE if passive else 0)
    try:
        return addresses_in(_getaddrinfo(host, port, socket.AF_UNSPEC, flags))
    except (OSError, ValueError):
        return None


def _getaddrinfo(host: str, port: int, family: socket.AddressFamily, flags: int) -> Sequence[Any]:
    if flags == socket.AI_NUMERICHOST and "%" not in host:
        return _read_literal(host, port, family)
    return _ask(host, port, family, flags)


@lru_cache(maxsize=64)
def _read_literal(host: str, port: int, family: socket.AddressFamily) -> tuple[Any, ...]:
    """What rests on the text alone, and not on the machine's interfaces."""
    return tuple(_ask(host, port, family, socket.AI_NUMERICHOST))


def _ask(host: str, port: int, family: socket.AddressFamily, flags: int) -> list[Any]:
    return socket.getaddrinfo(_resolver_name(host, flags), port, family, socket.SOCK_STREAM, flags=flags)


def _resolver_name(host: str, flags: int) -> str | bytes | None:
    # As bytes: the tables of international names are loaded for any text, ASCII or not.
    return (host.encode() if host.isascii() else host) if host or not flags & socket.AI_PASSIVE else None


# -- text


def join_host_port(host: str, port: int) -> str:
    """``host:port``, with brackets around an IPv6 literal."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_host_port(text: str, default_port: int | None = None) -> tuple[str, int]:
    """Split ``host:port``, ``[v6]:port``, ``host`` or a bare IPv6 address. ``[v6%25zone]``, as a zone is written in
    an authority (RFC 6874), is taken as ``[v6%zone]``.

    Raises InvalidArgument that names the text, for a port that is no number from 0 to 65535 or is missing without a
    ``default_port``.
    """
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise InvalidArgument(f"{text!r} is not an address: [IPv6 address]:port is expected after '['")
        host = _unescape_zone(host)
        port_text = rest[1:]
    elif text.count(":") > 1:
        host, rest, port_text = text, "", ""
    else:
        host, rest, port_text = text.partition(":")
    if not rest:
        if default_port is None:
            raise InvalidArgument(f"{text!r} has no port: host:port is expected")
        return host, default_port
    if not _PORT.fullmatch(port_text) or int(port_text) > 65535:
        raise InvalidArgument(f"{text!r} is not an address: the port must be a number from 0 to 65535")
    return host, int(port_text)


def _unescape_zone(host: str) -> str:
    literal, percent, zone = host.partition("%25")
    # The zones 25 and 251 are numbers of interfaces as well.
    return f"{literal}%{zone}" if percent and zone and not zone.isdigit() else host


def escape_zone(authority: str) -> str:
    """An authority in which a zone's ``%`` is written as ``%25`` (RFC 6874, section 2)."""
    if not authority.startswith("[") or "%" not in authority:
        return authority
    host, bracket, port = authority[1:].partition("]")
    literal, _, zone = _unescape_zone(host).partition("%")
    return f"[{literal}%25{zone}{bracket}{port}"


def name_of_host(host: str) -> str:
    """What a host is called in SNI and in certificates: without the root's dot, without a zone."""
    return host.partition("%")[0] if ":" in host else host.removesuffix(".")
