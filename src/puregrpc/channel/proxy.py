"""HTTP proxies by their URLs."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from puregrpc.errors import InvalidArgument

__all__ = ["Proxy", "parse_proxy"]


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy: where it is, and the headers that are sent to it with CONNECT."""

    host: str
    port: int
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def parse_proxy(url: str, headers: Mapping[str, str] | None = None) -> Proxy:
    """Parse ``http://[user:password@]host[:port]`` (or ``host:port``) and check ``headers``.

    Raises InvalidArgument that names what is wrong.
    """
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        port = parts.port or 80
    except ValueError as error:
        raise InvalidArgument(f"proxy {url!r}: {error}") from None
    if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/"):
        raise InvalidArgument(f"proxy {url!r} cannot be used: http://[user:password@]host:port is expected")
    sent = dict(headers or {})
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        sent.setdefault("Proxy-Authorization", f"Basic {b64encode(credentials.encode()).decode()}")
    for name, value in sent.items():
        if not name or any(character in name + value for character in "\r\n\0") or ":" in name:
            raise InvalidArgument(f"proxy header {name!r} has a name or value that HTTP does not allow")
    return Proxy(parts.hostname, port, tuple(sent.items()))
