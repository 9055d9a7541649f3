"""What a probe is sent to: a connection in memory, driven as a session drives it, whose costs are counted."""

from __future__ import annotations

from contextlib import contextmanager
from time import perf_counter, process_time
from typing import TYPE_CHECKING

from puregrpc.wire import EngineName, client_connection, server_connection
from puregrpc.wire.connection import (
    Call,
    ClientConnection,
    Connection,
    ConnectionConfig,
    Request,
    ServerCall,
    ServerConnection,
)
from puregrpc.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from puregrpc.fuzz.frames.probe import Handlers

READ_SIZE = 1 << 16
LARGE_ANSWER = bytes(400_000)
PATH = "/grpc.testing.TestService/UnaryCall"


class Held(ServerCall):
    """A server's call that keeps its messages until they are taken."""

    inflates_messages = True

    def __init__(self, victim: ServerVictim) -> None:
        super().__init__()
        self.victim = victim
        self.messages: list[bytes] = []
        self.auto_consume = False
        self.is_over = False

    def on_message(self, message: bytes) -> None:
        self.messages.append(message)

    def on_half_close(self) -> None:
        self.victim.ready.append(self)

    def on_end(self, status: Status, trailers: object, *, unprocessed: bool) -> None:
        self.is_over = True
        self.messages.clear()


class Asked(Call):
    """A client's call that keeps its messages."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[bytes] = []
        self.auto_consume = False
        self.ended_at: float | None = None

    def on_message(self, message: bytes) -> None:
        self.messages.append(message)

    def on_end(self, status: Status, trailers: object, *, unprocessed: bool) -> None:
        self.ended_at = perf_counter()
        self.messages.clear()


class Victim:
    """Either end, and what every turn of it costs."""

    connection: Connection

    def __init__(self) -> None:
        self.turns: list[float] = []
        self.spent = 0.0
        self.closed: str | None = None
        self.sent = 0

    def on_output(self) -> None:
        pass

    def on_ready(self) -> None:
        pass

    def on_call(self, request: Request) -> ServerCall | None:
        return None

    def on_going_away(self, reason: str) -> None:
        pass

    def on_closed(self, reason: str) -> None:
        self.closed = reason

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Measure a turn. Neither clock is to be trusted alone: some systems count processor time in ticks, and what
        passes in between may be others' time."""
        began, spent = perf_counter(), process_time()
        yield
        spent = process_time() - spent
        self.spent += spent
        self.turns.append(min(spent, perf_counter() - began))

    @property
    def long_turn(self) -> float:
        """How long turns are, but for one in twenty: a machine that others use as well stalls for milliseconds."""
        return sorted(self.turns)[len(self.turns) * 19 // 20 - (len(self.turns) % 20 == 0)] if self.turns else 0.0

    def feed(self, data: bytes, *, takes_output: bool) -> None:
        """Read the octets as a session would: in pieces, turn by turn, sending what there is in between."""
        connection = self.connection
        for at in range(0, len(data), READ_SIZE):
            if self.closed is not None:
                return
            with self._turn():
                connection.receive(data[at : at + READ_SIZE], perf_counter())
            self.after(takes_output=takes_output)
            while connection.has_input and not (connection.is_output_clogged and not takes_output):
                with self._turn():
                    connection.proceed(perf_counter())
                self.after(takes_output=takes_output)
            when = connection.next_time()
            if when is not None and when <= perf_counter():
                with self._turn():
                    connection.advance(perf_counter())
            if connection.has_input:
                return  # the session does not read any more: its output is not taken

    def after(self, *, takes_output: bool) -> None:
        """What follows a turn of reading: others', then output."""
        self.handle()
        while takes_output:
            with self._turn():
                data = self.connection.data_to_send()
            if not data:
                return
            self.sent += len(data)

    def handle(self) -> None:
        """Run the handlers that are due."""


class ServerVictim(Victim):
    """A server's connection and its handlers."""

    connection: ServerConnection

    def __init__(self, engine: EngineName, handlers: Handlers, config: ConnectionConfig | None = None) -> None:
        super().__init__()
        self.handlers = handlers
        self.ready: list[Held] = []
        self.connection = server_connection(self, config, engine=engine)
        self.connection.limit_turns(perf_counter)
        self.connection.start(perf_counter())

    def on_call(self, request: Request) -> ServerCall | None:
        return Held(self)

    def handle(self) -> None:
        connection = self.connection
        waiting = []
        for index, call in enumerate(self.ready):
            if connection.is_send_full:
                waiting = self.ready[index:]
                break
            if call.is_over:
                continue
            if self.handlers == "echo":
                for message in call.messages:
                    connection.consume(call, len(message))
                connection.send_response(call, bytes(call.messages[0]) if call.messages else b"")
            elif self.handlers in ("large", "late"):
                connection.send_response(call, LARGE_ANSWER)
            elif self.handlers == "fail":
                connection.send_trailers(call, Status(StatusCode.UNIMPLEMENTED, f"no method {call.request.path}"))
        self.ready = waiting


class ClientVictim(Victim):
    """A client's connection with a call open on stream 1."""

    connection: ClientConnection

    def __init__(self, engine: EngineName) -> None:
        super().__init__()
        self.connection = client_connection(self, engine=engine)
        self.connection.limit_turns(perf_counter)
        self.connection.start(perf_counter())
        self.call = Asked()
        self.connection.open_call(self.call, Request(PATH, "localhost"), message=b"question", now=perf_counter())
