"""Reaching a server through an HTTP proxy with CONNECT (RFC 9110, section 9.3.6; gRFC A1)."""

from __future__ import annotations

import trio

from puregrpc.channel.proxy import AnswerHead, Proxy, connect_request
from puregrpc.errors import ConnectError
from puregrpc.transport import SocketStream

__all__ = ["tunnel"]


async def tunnel(stream: SocketStream, endpoint: str, proxy: Proxy) -> None:
    """Ask the proxy at the other end of ``stream`` for a tunnel to ``endpoint`` (``host:port``).

    Raises ConnectError with the proxy's answer if it refuses.
    """
    request = memoryview(connect_request(endpoint, proxy))
    head = AnswerHead()
    try:
        while request:
            request = request[stream.send_nowait(request) :]
            if request:
                await stream.wait_writable()
        while not head.is_over:
            await trio.lowlevel.wait_readable(stream.socket)
            head.take(stream.socket)
    except OSError as error:
        raise ConnectError(f"the proxy {stream.peer} broke the connection: {error}") from error
    head.check(stream.peer, endpoint)
