"""A small blocking client right over the wire: for what grpcio's client would not do."""

from __future__ import annotations

import socket
import time
from typing import Any

from puregrpc.wire import client_connection
from puregrpc.wire.connection import Call, ConnectionConfig, Request
from puregrpc.wire.status import Status

__all__ = ["WireCall", "WireClient", "connect_to"]


def connect_to(address: str) -> socket.socket:
    """A plain TCP connection to ``host:port``."""
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=15)


class WireCall(Call):
    """What came back on one call."""

    __slots__ = ("headers", "messages", "status", "trailers", "unprocessed")

    def __init__(self) -> None:
        super().__init__()
        self.headers: Any = None
        self.messages: list[bytes] = []
        self.status: Status | None = None
        self.trailers: Any = ()
        self.unprocessed = False

    def on_headers(self, metadata: Any) -> None:
        self.headers = metadata

    def on_message(self, message: bytes) -> None:
        self.messages.append(message)

    def on_end(self, status: Status, trailers: Any, *, unprocessed: bool) -> None:
        self.status, self.trailers, self.unprocessed = status, trailers, unprocessed


class WireClient:
    """One connection, driven by whoever waits on it."""

    def __init__(self, address: str | socket.socket, **config: Any) -> None:
        self.socket = connect_to(address) if isinstance(address, str) else address
        self.going_away: str | None = None
        self.closed: str | None = None
        self.connection = client_connection(self, ConnectionConfig(**config))
        self.connection.start(time.monotonic())
        self.push()

    def __enter__(self) -> WireClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def on_output(self) -> None:
        """It is sent when somebody pushes."""

    def on_ready(self) -> None:
        """The server's SETTINGS have come."""

    def on_call(self, request: Request) -> None:
        """Servers call nobody."""

    def on_going_away(self, reason: str) -> None:
        self.going_away = reason

    def on_closed(self, reason: str) -> None:
        self.closed = reason

    def push(self) -> None:
        """Send what there is to send."""
        while data := self.connection.data_to_send():
            self.socket.sendall(data)

    def read(self, seconds: float = 15) -> bool:
        """Take what comes next; False if nothing comes in time."""
        self.socket.settimeout(seconds)
        try:
            data = self.socket.recv(1 << 16)
        except TimeoutError:
            return False
        self.connection.receive(data, time.monotonic())
        if not data and self.closed is None:
            self.connection.lost("the server closed the connection")
        self.push()
        return bool(data)

    def open(self, path: str, message: bytes | None = None, *, end: bool = True, **fields: Any) -> WireCall:
        """Open a call, with a message and its end, or without."""
        call = WireCall()
        request = Request(path, "localhost", **fields)
        self.connection.open_call(call, request, message=message, end=end, now=time.monotonic())
        self.push()
        return call

    def finish(self, call: WireCall) -> WireCall:
        """Read until the call has ended."""
        while call.status is None:
            self.read()
        return call

    def call(self, path: str, message: bytes, **fields: Any) -> WireCall:
        """A whole unary call."""
        return self.finish(self.open(path, message, **fields))
