"""The proxy that the environment names, read as grpcio and the rest of gRPC's C core read it."""

from __future__ import annotations

import ipaddress
import logging
import os
from collections.abc import Mapping
from typing import Literal, get_args

from puregrpc.channel.backends.proxy import Proxy, parse_proxy
from puregrpc.channel.target import Target
from puregrpc.errors import InvalidArgument
from puregrpc.kernel.network.addresses import UnixAddress

__all__ = ["EnvironmentProxy", "check_environment_proxy", "environment_proxy"]

logger = logging.getLogger("puregrpc.channel")

EnvironmentProxy = Literal["remote", "always", "never"]

PROXY_VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")
"""The first that is set counts; one that is empty means no proxy."""

EXEMPTION_VARIABLES = ("no_grpc_proxy", "no_proxy")


def check_environment_proxy(use: object) -> None:
    """Raise InvalidArgument unless that is an `EnvironmentProxy`."""
    if use not in get_args(EnvironmentProxy):
        choices = ", ".join(map(repr, get_args(EnvironmentProxy)))
        raise InvalidArgument(f"environment_proxy is one of {choices}, not {use!r}")


def environment_proxy(target: Target, use: EnvironmentProxy, environ: Mapping[str, str] | None = None) -> Proxy | None:
    """The proxy for a target, if the environment names one and does not except the target.

    A proxy that cannot be used is logged and left out. Targets that name sockets or several addresses have none.
    """
    environ = os.environ if environ is None else environ
    name = next((name for name in PROXY_VARIABLES if name in environ), None)
    if use == "never" or name is None or not environ[name].strip() or not target.port or len(target.addresses) > 1:
        return None
    if any(isinstance(address, UnixAddress) for address in target.addresses):
        return None
    if use == "remote" and is_loopback(target.host):
        return None
    exempt = next((environ[variable] for variable in EXEMPTION_VARIABLES if variable in environ), "")
    if is_exempt(target.host, exempt):
        return None
    try:
        return parse_proxy(environ[name].strip())
    except InvalidArgument as error:
        logger.error("the environment's %s is not used: %s", name, _without_credentials(str(error), environ[name]))
        return None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name: then a proxy would reach another one."""
    if host.lower().rstrip(".") == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def is_exempt(host: str, list_of_exemptions: str) -> bool:
    """Whether a list such as ``internal,.example.com,10.0.0.0/8`` has the host in it.

    An entry is the end of names, an address, a network in CIDR form, or ``*`` for all.
    """
    address = _address(host)
    name = host.lower()
    for part in list_of_exemptions.split(","):
        entry = part.strip().lower()
        if not entry:
            continue
        if entry == "*" or name.endswith(entry):
            return True
        if address is not None and "/" in entry:
            try:
                network = ipaddress.ip_network(entry, strict=False)
            except ValueError:
                continue
            if address in network:
                return True
    return False


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _without_credentials(text: str, url: str) -> str:
    """An error's text without the user and password of the URL that it shows."""
    credentials, at, _ = url.rpartition("@")
    return text.replace(credentials.rpartition("//")[2] + at, "...@") if at else text
