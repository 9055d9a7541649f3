"""Reaching a server through an HTTP proxy with CONNECT (RFC 9110, section 9.3.6; gRFC A1)."""

from __future__ import annotations

import socket

import trio

from puregrpc.channel.proxy import Proxy
from puregrpc.errors import ConnectError
from puregrpc.transport.streams import SocketStream

__all__ = ["tunnel"]

LARGEST_ANSWER = 16 << 10
"""How long a proxy's answer may be, headers included."""


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
