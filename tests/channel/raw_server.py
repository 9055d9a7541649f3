"""Servers that a test plays itself, octet by octet, each connection in a thread: the same for clients of all worlds."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hyperframe.frame import SettingsFrame

__all__ = ["CLIENT_PREFACE", "closed_port", "greet", "raw_server", "read_until_end", "silent", "tls_accept"]

CLIENT_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

Handler = Callable[[socket.socket], None]


@contextmanager
def raw_server(*handlers: Handler, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve each connection with the next handler, and those that follow with the last one. Gives ``host:port``."""
    listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.settimeout(0.05)
    connections: list[socket.socket] = []
    threads: list[threading.Thread] = []
    is_over = False

    def serve(sock: socket.socket, handler: Handler) -> None:
        with contextlib.suppress(OSError, ssl.SSLError), sock:
            handler(sock)

    def accept() -> None:
        number = 0
        while not is_over:
            try:
                sock, _ = listener.accept()
            except TimeoutError:
                continue
            sock.settimeout(20)
            connections.append(sock)
            thread = threading.Thread(target=serve, args=(sock, handlers[min(number, len(handlers) - 1)]), daemon=True)
            threads.append(thread)
            thread.start()
            number += 1

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    port = listener.getsockname()[1]
    try:
        yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    finally:
        is_over = True
        acceptor.join(10)
        listener.close()
        for sock in connections:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in threads:
            thread.join(10)


def closed_port() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def silent(sock: socket.socket) -> None:
    """Take everything and say nothing."""
    read_until_end(sock)


def read_until_end(sock: socket.socket) -> bytes:
    """All that the client sends, until it closes its side or a while has passed."""
    octets = b""
    with contextlib.suppress(OSError):
        while data := sock.recv(1 << 16):
            octets += data
    return octets


def greet(sock: socket.socket, **settings: int) -> None:
    """Send SETTINGS and acknowledge the client's, once its preface has come."""
    octets = b""
    while len(octets) < len(CLIENT_PREFACE) + 9:
        data = sock.recv(1 << 16)
        if not data:
            raise ConnectionError("the client went away")
        octets += data
    assert octets.startswith(CLIENT_PREFACE)
    codes = {int(name.removeprefix("s")): value for name, value in settings.items()}
    sock.sendall(SettingsFrame(0, settings=codes).serialize() + SettingsFrame(0, flags=["ACK"]).serialize())


def tls_accept(sock: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Be a TLS server on the connection."""
    return context.wrap_socket(sock, server_side=True)


def wait(seconds: float) -> Handler:
    """Take the connection and close it after a while."""

    def handler(sock: socket.socket) -> None:
        time.sleep(seconds)

    return handler
