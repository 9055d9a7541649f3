"""Targets: the names that a channel is opened with, and the addresses behind them (gRPC's naming.md)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from puregrpc.errors import InvalidArgument
from puregrpc.kernel.network.addresses import Address, TcpAddress, UnixAddress, escape_zone, split_host_port

__all__ = ["DEFAULT_PORT", "Target", "parse_target"]

DEFAULT_PORT = 443
"""The port where the target names none, as in the other implementations (naming.md, "dns")."""

FORMS = (
    "host:port, dns:host:port, ipv4:a:port,b:port, ipv6:[a]:port, unix:path, unix-abstract:name, passthrough:host:port"
)


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed target: either a host to be looked up or addresses that stand in the target itself."""

    text: str
    authority: str
    """The :authority of its calls, unless the channel is given another."""
    host: str
    """The name that its certificate is verified against."""
    port: int = 0
    addresses: tuple[Address, ...] = ()

    @property
    def endpoint(self) -> str:
        """``host:port``, as a proxy is asked for it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_target(text: str) -> Target:
    """Parse a target. Raises InvalidArgument that names the target and the form that would be right."""
    scheme, colon, rest = text.partition(":")
    if not text or text != text.strip():
        raise InvalidArgument(f"{text!r} is not a target: one of {FORMS} is expected")
    if colon and scheme in ("http", "https", "grpc", "grpcs"):
        raise InvalidArgument(f"{text!r} is not a target: write host:port without {scheme}://")
    if scheme in ("unix", "unix-abstract") and colon:
        return _unix_target(text, scheme, rest)
    if scheme in ("ipv4", "ipv6") and colon:
        return _ip_target(text, scheme, rest)
    if scheme in ("dns", "passthrough") and colon and not rest.isdigit():
        rest = _endpoint_of(text, scheme, rest)
        return _host_target(text, rest)
    if "://" in text:
        raise InvalidArgument(f"{text!r} has the scheme {scheme!r}, which is not known: one of {FORMS} is expected")
    return _host_target(text, text)


def _endpoint_of(text: str, scheme: str, rest: str) -> str:
    """What is left of ``scheme:rest`` or ``scheme://authority/endpoint`` (RFC 3986) when scheme and server are off."""
    if not rest.startswith("//"):
        return unquote(rest)
    try:
        parts = urlsplit(f"x:{rest}")
    except ValueError as error:
        raise InvalidArgument(f"target {text!r}: {error}") from None
    if parts.netloc and scheme == "dns":
        raise InvalidArgument(
            f"{text!r} names the DNS server {parts.netloc!r}: only the system's resolver is used; write dns:///host:port"
        )
    return unquote(parts.path.removeprefix("/"))


def _host_target(text: str, endpoint: str) -> Target:
    try:
        host, port = split_host_port(endpoint, DEFAULT_PORT)
    except InvalidArgument as error:
        raise InvalidArgument(f"target {text!r}: {error}") from None
    if not host or any(character in host for character in "/ @?#"):
        raise InvalidArgument(f"{text!r} is not a target: one of {FORMS} is expected")
    authority = f"[{endpoint}]" if "%" in host and not endpoint.startswith("[") else endpoint
    return Target(text, escape_zone(authority), host, port)


def _ip_target(text: str, scheme: str, rest: str) -> Target:
    rest = rest.removeprefix("///")
    addresses = []
    for item in rest.split(","):
        try:
            host, port = split_host_port(item, DEFAULT_PORT)
            parsed = ipaddress.ip_address(host)
        except ValueError as error:  # InvalidArgument is one
            raise InvalidArgument(f"target {text!r}: {error}") from None
        if parsed.version != int(scheme[3]):
            raise InvalidArgument(f"target {text!r}: {host} is not an IPv{scheme[3]} address")
        addresses.append(TcpAddress(host, port))
    return Target(text, escape_zone(str(addresses[0])), addresses[0].host, addresses[0].port, tuple(addresses))


def _unix_target(text: str, scheme: str, rest: str) -> Target:
    if rest.startswith("//"):
        if scheme == "unix" and not rest.startswith("///"):
            raise InvalidArgument(f"target {text!r}: after unix:// an absolute path is expected (unix:///path)")
        rest = rest[2:]
    if not rest:
        raise InvalidArgument(f"target {text!r} names no socket: {scheme}:name is expected")
    return Target(text, "localhost", "localhost", 0, (UnixAddress(rest, abstract=scheme == "unix-abstract"),))
