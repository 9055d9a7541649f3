"""A wire connection that is no HTTP/2: it echoes, and does on request what a session must cope with."""

from __future__ import annotations

from puregrpc.transport import ByteStream, Session
from puregrpc.wire.connection import Call, Connection, ConnectionSnapshot, Driver


class EchoConnection(Connection):
    """Sends back what it receives. ``close`` in the input ends the connection in order, behind its output."""

    def __init__(self, driver: Driver, *, echo: bool = True) -> None:
        self.driver = driver
        self.echo = echo
        self.output = bytearray()
        self.inbox = bytearray()
        self.closed: str | None = None
        self.wake_at: float | None = None
        self.times: list[float] = []
        self.started = False

    def put(self, data: bytes) -> None:
        was_empty = not self.output
        self.output += data
        if was_empty:
            self.driver.on_output()

    def end(self, reason: str) -> None:
        if self.closed is None:
            self.closed = reason
            self.driver.on_closed(reason)

    def start(self, now: float) -> None:
        self.started = True

    def receive(self, data: bytes, now: float) -> None:
        if not data:
            self.end("end of stream")
            return
        if not self.inbox:
            self.driver.on_ready()
        self.inbox += data
        if self.echo:
            self.put(data)
        if b"close" in data:
            self.end("asked to close")

    def data_to_send(self, limit: int = 1 << 18) -> bytes:
        data = bytes(self.output[:limit])
        del self.output[:limit]
        if self.output:
            self.driver.on_output()
        return data

    def lost(self, reason: str) -> None:
        self.output.clear()
        self.end(reason)

    def next_time(self) -> float | None:
        return self.wake_at

    def advance(self, now: float) -> None:
        if self.wake_at is not None and now >= self.wake_at:
            self.times.append(now)
            self.wake_at = None

    @property
    def open_calls(self) -> int:
        return 0

    @property
    def is_closed(self) -> bool:
        return self.closed is not None

    def go_away(self, *, error_code: int = 0, debug_data: bytes = b"", immediately: bool = False) -> None:
        self.end("went away")

    def ping(self) -> None:
        self.put(b"ping")

    def snapshot(self) -> ConnectionSnapshot:
        return ConnectionSnapshot("open", 0, 0, 0)

    def send_message(self, call: Call, message: bytes, *, end: bool = False, compress: bool = True) -> None:
        self.put(message)

    def send_buffered(self, call: Call) -> int:
        return 0

    def consume(self, call: Call, octets: int) -> None:
        return

    def reset(self, call: Call, error_code: int = 8, *, now: float = 0.0) -> None:
        return


def echo_session(
    stream: ByteStream, *, handshake_timeout: float = 20.0, linger: float = 1.0
) -> Session[EchoConnection]:
    return Session(stream, EchoConnection, handshake_timeout=handshake_timeout, linger=linger)
