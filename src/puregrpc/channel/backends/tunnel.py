"""Reaching a server through an HTTP proxy with CONNECT (RFC 9110, section 9.3.6; gRFC A1)."""

from __future__ import annotations

from puregrpc.channel.backends.proxy import LARGEST_ANSWER, Proxy, check_answer, connect_request
from puregrpc.errors import ConnectError
from puregrpc.kernel.network.streams import ByteStream

__all__ = ["tunnel"]

END_OF_HEAD = b"\r\n\r\n"


async def tunnel(stream: ByteStream, endpoint: str, proxy: Proxy, until: float) -> None:
    """Ask the proxy at the other end of ``stream`` for a tunnel to ``endpoint`` (``host:port``).

    Raises ConnectError with the proxy's answer if it refuses, or if it has not answered by ``until``.
    """
    request = memoryview(connect_request(endpoint, proxy))
    answer = b""
    try:
        while request:
            sent = stream.send_nowait(request)
            request = request[sent:]
            if request and not await stream.wait_writable(until):
                raise ConnectError(f"the proxy {stream.peer} did not answer in time")
        while not answer.endswith(END_OF_HEAD) and len(answer) <= LARGEST_ANSWER:
            # Octet by octet, so that nothing of what the tunnel carries is taken along.
            octet = stream.receive_nowait(1)
            if octet is None:
                if not await stream.wait_readable(until):
                    raise ConnectError(f"the proxy {stream.peer} did not answer in time")
            elif not octet:
                break
            else:
                answer += octet
    except ConnectError:
        raise
    except OSError as error:
        raise ConnectError(f"the proxy {stream.peer} broke the connection: {error}") from error
    check_answer(answer, stream.peer, endpoint)
