"""Connecting for blocking callers: the first address that answers, and the TLS handshake."""

from __future__ import annotations

import os
import select
import socket
import ssl
import time
from collections.abc import Callable, Sequence

from puregrpc.errors import ConnectError
from puregrpc.transport.addresses import Address, TcpAddress
from puregrpc.transport.connect_rules import (
    CONNECTION_ATTEMPT_DELAY,
    check_alpn,
    describe,
    explain_tls,
    interleave_families,
)

__all__ = ["connect_blocking", "start_tls_blocking"]


LONGEST_LOOK_AWAY = 0.1
"""Seconds until connecting notices that it is not wanted any more."""


def connect_blocking(
    addresses: Sequence[Address], timeout: float, *, is_wanted: Callable[[], bool] = lambda: True
) -> socket.socket:
    """Connect to the first of several addresses that answers (RFC 8305) within ``timeout`` seconds.

    It gives up soon after ``is_wanted`` says no. Raises ConnectError with the reason of each address.
    """
    waiting = interleave_families(addresses)
    end = time.monotonic() + timeout
    failures: dict[Address, str] = {}
    attempts: dict[socket.socket, Address] = {}
    try:
        while waiting or attempts:
            if waiting:
                address = waiting.pop(0)
                try:
                    attempts[_begin_connecting(address)] = address
                except OSError as error:
                    failures[address] = describe(error)
                    continue
            left = end - time.monotonic()
            if left <= 0:
                break
            for sock in _connected(list(attempts), min(left, CONNECTION_ATTEMPT_DELAY) if waiting else left, is_wanted):
                address = attempts.pop(sock)
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code == 0:
                    return sock
                sock.close()
                failures[address] = os.strerror(code)
    finally:
        for sock in attempts:
            sock.close()
    for address in (*attempts.values(), *waiting):
        failures[address] = f"no answer within {timeout:g} s"
    if len(failures) == 1:
        ((address, reason),) = failures.items()
        raise ConnectError(f"could not connect to {address}: {reason}")
    reasons = "; ".join(f"{address}: {reason}" for address, reason in failures.items())
    raise ConnectError(f"could not connect to any of {len(failures)} addresses: {reasons}")


def _begin_connecting(address: Address) -> socket.socket:
    sock = socket.socket(address.family if isinstance(address, TcpAddress) else socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if isinstance(address, TcpAddress):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            sock.connect(address.sockaddr())
        except BlockingIOError:
            return sock
    except BaseException:
        sock.close()
        raise
    return sock


def _connected(socks: list[socket.socket], timeout: float, is_wanted: Callable[[], bool]) -> list[socket.socket]:
    """Those whose connecting has come to an end, good or bad. Raises ConnectError when it is not wanted any more."""
    end = time.monotonic() + timeout
    while True:
        if not is_wanted():
            raise ConnectError("connecting was given up")
        left = min(max(end - time.monotonic(), 0.0), LONGEST_LOOK_AWAY)
        if found := _writable(socks, left):
            return found
        if time.monotonic() >= end:
            return []


def _writable(socks: list[socket.socket], timeout: float) -> list[socket.socket]:
    if not hasattr(select, "poll"):
        _, good, bad = select.select([], socks, socks, timeout)
        return list({*good, *bad})
    poll = select.poll()
    by_number = {sock.fileno(): sock for sock in socks}
    for number in by_number:
        poll.register(number, select.POLLOUT)
    return [by_number[number] for number, _ in poll.poll(timeout * 1000)]


def start_tls_blocking(
    sock: socket.socket,
    context: ssl.SSLContext,
    server_name: str,
    *,
    peer: str,
    timeout: float,
    require_alpn: bool = True,
) -> ssl.SSLSocket:
    """Do the TLS handshake as a client. Takes over ``sock``; raises ConnectError as `start_tls_client` does."""
    sock.settimeout(timeout)
    try:
        tls = context.wrap_socket(sock, server_hostname=server_name)
    except TimeoutError:
        sock.close()
        raise ConnectError(f"the TLS handshake with {peer} was not over within {timeout:g} s") from None
    except (OSError, ValueError) as error:
        sock.close()
        raise ConnectError(
            f"the TLS handshake with {peer} failed: {explain_tls(error) if isinstance(error, OSError) else error}"
        ) from error
    check_alpn(tls, peer, require_alpn=require_alpn)
    return tls
