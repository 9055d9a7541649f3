"""Reaching a server through an HTTP proxy with CONNECT, for blocking callers."""

from __future__ import annotations

import socket
import time

from puregrpc.channel.proxy import AnswerHead, Proxy, connect_request
from puregrpc.errors import ConnectError
from puregrpc.transport.blocking import wait_for_socket

__all__ = ["tunnel_blocking"]


def tunnel_blocking(sock: socket.socket, peer: str, endpoint: str, proxy: Proxy, end: float) -> None:
    """As `tunnel`, on a non-blocking socket, until ``end`` on the monotonic clock. Raises ConnectError."""
    request = memoryview(connect_request(endpoint, proxy))
    head = AnswerHead()
    try:
        while not head.is_over:
            left = end - time.monotonic()
            if left <= 0 or not wait_for_socket(sock, read=not request, write=bool(request), timeout=left):
                raise ConnectError(f"the proxy {peer} did not answer in time")
            if not request:
                head.take(sock)
                continue
            try:
                request = request[sock.send(request) :]
            except BlockingIOError:
                continue
    except OSError as error:
        raise ConnectError(f"the proxy {peer} broke the connection: {error}") from error
    head.check(peer, endpoint)
