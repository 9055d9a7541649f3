"""Owners of connections that write down what they are told, and a pair of connections back to back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from puregrpc.wire import EngineName, client_connection, server_connection
from puregrpc.wire.connection import (
    ClientConnection,
    Connection,
    ConnectionConfig,
    Metadata,
    Request,
    ServerCall,
    ServerConnection,
)
from puregrpc.wire.status import OK, Status


class RecordingCall(ServerCall):
    """A call of either side that keeps what it is told, as (what, with what) in ``events``."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[Any, ...]] = []
        self.left_out: list[str] = []
        self.reaction: Callable[[RecordingCall, str], None] | None = None

    def _note(self, *event: Any) -> None:
        assert not self.ended, f"{event} after the end"
        self.events.append(event)
        if self.reaction is not None:
            self.reaction(self, event[0])

    def on_headers(self, metadata: Metadata) -> None:
        self._note("headers", metadata)

    def on_message(self, message: bytes) -> None:
        self._note("message", message)

    def on_half_close(self) -> None:
        self._note("half-close")

    def on_end(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> None:
        self._note("end", status, trailers, unprocessed)

    def on_writable(self) -> None:
        self._note("writable")

    def on_left_out(self, what: str) -> None:
        assert not self.ended, f"{what} after the end"
        self.left_out.append(what)

    @property
    def ended(self) -> bool:
        return bool(self.events) and self.events[-1][0] == "end"

    @property
    def status(self) -> Status:
        assert self.ended, self.events
        status: Status = self.events[-1][1]
        return status

    @property
    def trailers(self) -> Metadata:
        assert self.ended, self.events
        trailers: Metadata = self.events[-1][2]
        return trailers

    @property
    def unprocessed(self) -> bool:
        assert self.ended, self.events
        return bool(self.events[-1][3])

    @property
    def headers(self) -> Metadata | None:
        return next((event[1] for event in self.events if event[0] == "headers"), None)

    @property
    def messages(self) -> list[bytes]:
        return [event[1] for event in self.events if event[0] == "message"]

    @property
    def half_closed(self) -> bool:
        return ("half-close",) in self.events


@dataclass
class RecordingDriver:
    """Keeps what a connection tells its owner. A server's answers are made by ``on_request``."""

    on_request: Callable[[Request], ServerCall | None] = lambda request: RecordingCall()
    outputs: int = 0
    ready: bool = False
    calls: list[RecordingCall] = field(default_factory=list)
    going_away: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    def on_output(self) -> None:
        self.outputs += 1

    def on_ready(self) -> None:
        assert not self.ready
        self.ready = True

    def on_call(self, request: Request) -> ServerCall | None:
        call = self.on_request(request)
        if isinstance(call, RecordingCall):
            self.calls.append(call)
        return call

    def on_going_away(self, reason: str) -> None:
        self.going_away.append(reason)

    def on_closed(self, reason: str) -> None:
        assert not self.closed
        self.closed.append(reason)


def drain(connection: Connection) -> bytes:
    """All that a connection has to send."""
    pieces = []
    while piece := connection.data_to_send():
        pieces.append(piece)
    return b"".join(pieces)


class Pair:
    """A client and a server back to back, and a clock."""

    def __init__(
        self,
        engine: EngineName = "h2",
        client_config: ConnectionConfig | None = None,
        server_config: ConnectionConfig | None = None,
        server_engine: EngineName | None = None,
    ) -> None:
        self.now = 1000.0
        self.client_driver = RecordingDriver()
        self.server_driver = RecordingDriver()
        self.client: ClientConnection = client_connection(self.client_driver, client_config, engine=engine)
        self.server: ServerConnection = server_connection(
            self.server_driver, server_config, engine=server_engine or engine
        )
        self.client.start(self.now)
        self.server.start(self.now)

    @property
    def server_calls(self) -> list[RecordingCall]:
        return self.server_driver.calls

    def exchange(self, *, piece: int = 0, rounds: int = 10_000) -> None:
        """Carry octets both ways, in pieces of that many, until both sides are silent."""
        for _ in range(rounds):
            upward, downward = drain(self.client), drain(self.server)
            if not upward and not downward:
                return
            for data, receiver in ((upward, self.server), (downward, self.client)):
                step = piece or len(data) or 1
                for start in range(0, len(data), step):
                    receiver.receive(data[start : start + step], self.now)
        raise AssertionError("the two sides never fall silent")

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.client.advance(self.now)
        self.server.advance(self.now)

    def open(self, request: Request | None = None, **options: Any) -> RecordingCall:
        call = RecordingCall()
        options.setdefault("now", self.now)
        self.client.open_call(call, request or Request("/hello.HelloService/SayHello", "example.org"), **options)
        return call

    def unary(self, message: bytes = b"request", answer: bytes = b"answer") -> RecordingCall:
        """A whole unary call."""
        call = self.open(message=message, end=True)
        self.exchange()
        served = self.server_calls[-1]
        self.server.send_response(served, answer, status=OK)
        self.exchange()
        return call
