"""HTTP proxies: their URLs, and how one is asked for a tunnel (RFC 9110, section 9.3.6; gRFC A1)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from puregrpc.errors import ConnectError, InvalidArgument

__all__ = ["END_OF_HEAD", "LARGEST_ANSWER", "Proxy", "check_answer", "connect_request", "parse_proxy"]

LARGEST_ANSWER = 16 << 10
"""How long a proxy's answer may be, headers included."""

LONGEST_SHOWN = 200
"""Octets of its first line that are shown."""

END_OF_HEAD = b"\r\n\r\n"


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
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
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


def connect_request(endpoint: str, proxy: Proxy) -> bytes:
    """The request for a tunnel to ``endpoint`` (``host:port``)."""
    lines = [f"CONNECT {endpoint} HTTP/1.1", f"Host: {endpoint}"]
    lines += [f"{name}: {value}" for name, value in proxy.headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def check_answer(head: bytes, peer: str, endpoint: str) -> None:
    """Raise ConnectError if the head of a proxy's answer does not grant the tunnel."""
    line = head.split(b"\r\n", 1)[0][:LONGEST_SHOWN].decode("latin-1")
    words = line.split(" ", 2)
    if not words[0].startswith("HTTP/1.") or len(words) < 2:
        raise ConnectError(f"the proxy {peer} did not answer CONNECT {endpoint} as an HTTP proxy does: {line!r}")
    if not (len(words[1]) == 3 and words[1].startswith("2")):
        raise ConnectError(f"the proxy {peer} refused CONNECT {endpoint}: {' '.join(words[1:])}")
    if not head.endswith(END_OF_HEAD):
        what = "is too long" if len(head) > LARGEST_ANSWER else "ends early"
        raise ConnectError(f"the answer of the proxy {peer} to CONNECT {endpoint} {what}")
