"""A wire connection that is no HTTP/2: it echoes, and does on request what a session must cope with; and an owner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from puregrpc.kernel import Kernel
from puregrpc.kernel.network.streams import ByteStream
from puregrpc.transport.session import Session, SessionOptions, open_session
from puregrpc.wire.connection import Call, Connection, Driver, Request, ServerCall
from puregrpc.wire.snapshot import ConnectionSnapshot


class Owner:
    """Writes down what a session tells it. ``answer`` makes the calls of a server."""

    def __init__(self, answer: Callable[[Session[Any], Request], ServerCall | None] | None = None) -> None:
        self.answer = answer
        self.lost: list[str] = []
        self.over = 0

    def session_lost(self, session: Session[Any], reason: str) -> None:
        assert session.is_going_away
        assert not session.is_over
        self.lost.append(reason)

    def session_over(self, session: Session[Any]) -> None:
        assert session.is_over
        assert self.lost
        self.over += 1

    def on_call(self, session: Session[Any], request: Request) -> ServerCall | None:
        return None if self.answer is None else self.answer(session, request)


class EchoConnection(Connection):
    """Sends back what it receives. ``close`` in the input ends the connection in order, behind its output."""

    def __init__(self, driver: Driver, *, echo: bool = True) -> None:
        self.driver = driver
        self.echo = echo
        self.output = bytearray()
        self.inbox = bytearray()
        self.closed: str | None = None
        self.wake_at: float | None = None
        self.asks_for: float | None = None
        """To be told the time so many seconds after something comes."""
        self.times: list[float] = []
        self.started = False
        self.turn: int | None = None
        """How many octets of the input act in one turn; None: all that came."""
        self.kept = b""
        self.turns = 0
        """How many turns went on with the input."""
        self.peer_is_done = False
        self.most_output: int | None = None
        """How much may wait before the output is clogged."""

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
        self.kept += data
        self.peer_is_done = not data
        self._act(now)

    @property
    def has_input(self) -> bool:
        return bool(self.kept) and self.closed is None

    @property
    def is_output_clogged(self) -> bool:
        return self.most_output is not None and len(self.output) > self.most_output

    def proceed(self, now: float) -> None:
        self.advance(now)
        self.turns += 1
        if not self.is_output_clogged and self.closed is None:
            self._act(now)

    def _act(self, now: float) -> None:
        turn = len(self.kept) if self.turn is None else self.turn
        data, self.kept = self.kept[:turn], self.kept[turn:]
        if data:
            if not self.inbox:
                self.driver.on_ready()
            self.inbox += data
            if self.asks_for is not None:
                self.wake_at = now + self.asks_for
            if self.echo:
                self.put(data)
            if b"close" in data:
                self.end("asked to close")
        if self.peer_is_done and not self.kept:
            self.end("end of stream")

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

    def is_held_back(self, call: Call) -> bool:
        return False

    def consume(self, call: Call, octets: int) -> None:
        return

    def reset(self, call: Call, error_code: int = 8, *, now: float = 0.0) -> None:
        return


def echo_session(
    kernel: Kernel, stream: ByteStream, owner: Owner | None = None, *, echo: bool = True, **options: Any
) -> Session[EchoConnection]:
    """A session of an `EchoConnection`; ``options`` are those of `SessionOptions`."""
    return open_session(
        kernel,
        stream,
        lambda driver: EchoConnection(driver, echo=echo),
        owner or Owner(),
        SessionOptions(**options),
    )
