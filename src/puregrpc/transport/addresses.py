"""Addresses; see `puregrpc.kernel.addresses`."""

from puregrpc.kernel.addresses import Address, TcpAddress, UnixAddress, split_host_port

__all__ = ["Address", "TcpAddress", "UnixAddress", "lookup_name", "split_host_port"]


def lookup_name(host: str) -> str | bytes:
    """A host for `socket.getaddrinfo`, which loads the tables of international names for any text, ASCII or not."""
    return host.encode() if host.isascii() else host
