"""Both engines side by side: the same octets and the same calls go into each, and what comes of them is compared.

A `Subject` is one end of a connection on one engine. `Subject.observe` says what a step brought about in terms that
do not depend on the engine: the callbacks, the streams that were reset, GOAWAY, and what was sent on each stream.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import hpack
from tests.wire.peers import RecordingCall, RecordingDriver, drain

from puregrpc.errors import Error
from puregrpc.wire import EngineName, client_connection, server_connection
from puregrpc.wire.connection import ClientConnection, Connection, ConnectionConfig, Request
from puregrpc.wire.frames import PREFACE, FrameType
from puregrpc.wire.status import Status

__all__ = ["Observation", "Peer", "Subject", "frame"]

CONFIG = ConnectionConfig(
    max_receive_message_size=2000,
    max_send_message_size=100_000,
    max_header_list_size=1000,
    initial_stream_window=20_000,
    initial_connection_window=70_000,
    max_concurrent_streams=4,
    user_agent="differential/1",
)


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream_id.to_bytes(4, "big") + payload


@dataclass
class Observation:
    """What one step brought about."""

    raised: str | None
    """The class of the exception that the caller got."""
    callbacks: list[Any]
    """New callbacks of the driver, and for each call the new ones of the call."""
    resets: list[tuple[int, int]]
    """RST_STREAM frames that were sent: stream and error code."""
    goaways: list[tuple[int, int]]
    """GOAWAY frames that were sent: last stream and error code."""
    closed: bool

    @property
    def verdict(self) -> str:
        """ok, or a stream error, or a connection error with its code."""
        if self.closed:
            return f"connection error {self.goaways[-1][1]}" if self.goaways else "closed"
        return f"stream errors {sorted(set(self.resets))}" if self.resets else "ok"


@dataclass
class Sent:
    """All that was sent on one stream."""

    headers: list[list[tuple[bytes, bytes]]] = field(default_factory=list)
    data: bytes = b""
    ended: bool = False


class Subject:
    """One end of a connection on one engine."""

    def __init__(self, engine: EngineName, side: str, *, auto_consume: bool) -> None:
        self.auto_consume = auto_consume
        self.driver = RecordingDriver(lambda request: self.new_call())
        self.connection: Connection
        if side == "client":
            self.connection = client_connection(self.driver, CONFIG, engine=engine)
        else:
            self.connection = server_connection(self.driver, CONFIG, engine=engine)
        self.now = 100.0
        self.asked: list[RecordingCall] = []
        self.sent: dict[int, Sent] = {}
        self._decoder = hpack.Decoder(1 << 20)
        self._seen: dict[int, int] = {}
        self.connection.start(self.now)
        drain(self.connection)

    @property
    def calls(self) -> list[RecordingCall]:
        return self.asked or self.driver.calls

    def observe(self, step: Any) -> Observation:
        """Let ``step`` do something with this subject, and see what that brought about."""
        raised = None
        before = (self.driver.ready, len(self.driver.going_away), len(self.driver.closed), len(self.driver.calls))
        try:
            step(self)
        except Error as error:
            raised = type(error).__name__
        output = drain(self.connection)
        after = (self.driver.ready, len(self.driver.going_away), len(self.driver.closed), len(self.driver.calls))
        callbacks: list[Any] = [before, after]
        for number, call in enumerate(self.calls):
            seen = self._seen.get(number, 0)
            callbacks += [(number, *_without_texts(event)) for event in call.events[seen:]]
            self._seen[number] = len(call.events)
        resets, goaways = self._read(output)
        return Observation(raised, callbacks, resets, goaways, self.connection.is_closed)

    def _read(self, output: bytes) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        resets, goaways = [], []
        while output:
            length = int.from_bytes(output[:3], "big")
            kind, flags = output[3], output[4]
            stream_id = int.from_bytes(output[5:9], "big")
            payload, output = output[9 : 9 + length], output[9 + length :]
            if kind == FrameType.RST_STREAM:
                resets.append((stream_id, int.from_bytes(payload, "big")))
            elif kind == FrameType.GOAWAY:
                goaways.append((int.from_bytes(payload[:4], "big"), int.from_bytes(payload[4:8], "big")))
            elif kind in (FrameType.DATA, FrameType.HEADERS):
                sent = self.sent.setdefault(stream_id, Sent())
                assert not sent.ended, "a frame behind END_STREAM"
                sent.ended = bool(flags & 1)
                if kind == FrameType.DATA:
                    sent.data += payload
                else:
                    sent.headers.append(
                        sorted((bytes(n), bytes(v)) for n, v in self._decoder.decode(payload, raw=True))
                    )
        return resets, goaways

    def new_call(self) -> RecordingCall:
        call = RecordingCall()
        call.auto_consume = self.auto_consume
        return call

    # -- what the owner does

    def open_call(self, request: Request, message: bytes | None, *, end: bool, deadline: float | None) -> None:
        call = self.new_call()
        assert isinstance(self.connection, ClientConnection)
        when = None if deadline is None else self.now + deadline
        self.connection.open_call(call, request, message=message, end=end, deadline=when, now=self.now)
        self.asked.append(call)

    def with_call(self, number: int, action: str, *arguments: Any, **keywords: Any) -> None:
        """Call a method of the connection for one of the calls."""
        if self.calls:
            getattr(self.connection, action)(self.calls[number % len(self.calls)], *arguments, **keywords)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.connection.advance(self.now)

    def receive(self, data: bytes) -> None:
        if data:
            self.connection.receive(data, self.now)


def _without_texts(event: tuple[Any, ...]) -> tuple[Any, ...]:
    """An event without the message of its status, which each engine may word in its own way."""
    return tuple(part.code if isinstance(part, Status) else part for part in event)


class Peer:
    """Makes what the other end sends. HPACK is stateful, so one peer serves both subjects of a run."""

    def __init__(self, side: str) -> None:
        self.encoder = hpack.Encoder()
        self.opening = (PREFACE if side == "server" else b"") + frame(FrameType.SETTINGS, 0, 0)
