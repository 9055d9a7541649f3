"""Reaching a server through an HTTP proxy with CONNECT (RFC 9110, section 9.3.6; gRFC A1)."""

from __future__ import annotations

import socket
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import trio

from puregrpc.errors import ConnectError, InvalidArgument
from puregrpc.transport import SocketStream

__all__ = ["Proxy", "parse_proxy", "tunnel"]

LARGEST_ANSWER = 16 << 10
"""How long a proxy's answer may be, headers included."""


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


async def tunnel(stream: SocketStream, endpoint: str, proxy: Proxy) -> None:
    """Ask the proxy at the other end of ``stream`` for a tunnel to ``endpoint`` (``host:port``).

    Raises ConnectError with the proxy's answer if it refuses.
    """
    lines = [f"CONNECT {endpoint} HTTP/1.1", f"Host: {endpoint}"]
    lines += [f"{name}: {value}" for name, value in proxy.headers]
    request = memoryview(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace"))
    try:
        while request:
            request = request[stream.send_nowait(request) :]
            if request:
                await stream.wait_writable()
        answer = await _receive_head(stream.socket)
    except OSError as error:
        raise ConnectError(f"the proxy {stream.peer} broke the connection: {error}") from error
    line = answer.split(b"\r\n", 1)[0].decode("latin-1")
    words = line.split(" ", 2)
    if not words[0].startswith("HTTP/1.") or len(words) < 2:
        raise ConnectError(f"the proxy {stream.peer} did not answer CONNECT {endpoint} as an HTTP proxy does: {line!r}")
    if not (len(words[1]) == 3 and words[1].startswith("2")):
        raise ConnectError(f"the proxy {stream.peer} refused CONNECT {endpoint}: {' '.join(words[1:])}")


async def _receive_head(sock: socket.socket) -> bytes:
    """Receive an answer up to its empty line, and not an octet of what the tunnel carries after it."""
    head = b""
    while b"\r\n\r\n" not in head:
        await trio.lowlevel.wait_readable(sock)
        try:
            seen = sock.recv(LARGEST_ANSWER, socket.MSG_PEEK)
        except BlockingIOError:
            continue
        end = (head + seen).find(b"\r\n\r\n")
        wanted = len(seen) if end < 0 else end + 4 - len(head)
        head += sock.recv(wanted)
        if not seen or len(head) > LARGEST_ANSWER:
            return head
    return head
