"""Reaching a server through an HTTP proxy with CONNECT (RFC 9110, section 9.3.6; gRFC A1)."""

from __future__ import annotations

from puregrpc.channel.backends.proxy import END_OF_HEAD, LARGEST_ANSWER, Proxy, check_answer, connect_request
from puregrpc.errors import ConnectError
from puregrpc.kernel.network.streams import ByteStream

__all__ = ["tunnel"]


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
            # No more than is missing at the least, so that nothing of what the tunnel carries is taken along.
            octets = stream.receive_nowait(_missing(answer))
            if octets is None:
                if not await stream.wait_readable(until):
                    raise ConnectError(f"the proxy {stream.peer} did not answer in time")
            elif not octets:
                break
            else:
                answer += octets
    except ConnectError:
        raise
    except OSError as error:
        raise ConnectError(f"the proxy {stream.peer} broke the connection: {error}") from error
    check_answer(answer, stream.peer, endpoint)


def _missing(answer: bytes) -> int:
    """How many octets the head of an answer lacks at the least."""
    for number in range(1, len(END_OF_HEAD)):
        if answer.endswith(END_OF_HEAD[:-number]):
            return number
    return len(END_OF_HEAD)
