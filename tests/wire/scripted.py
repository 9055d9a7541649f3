"""A peer that follows a script: its frames are written by hand, and each frame it is sent must be accounted for."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TypeVar

import hpack
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from tests.wire.peers import RecordingCall, RecordingDriver, drain

from puregrpc.wire import EngineName, client_connection, server_connection
from puregrpc.wire.connection import ClientConnection, Connection, ConnectionConfig, Request, ServerConnection
from puregrpc.wire.status import http2_error_name

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
Fields = Sequence[tuple[str, str]]

REQUEST: Fields = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/hello.HelloService/SayHello"),
    (":authority", "example.org"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
)
RESPONSE: Fields = ((":status", "200"), ("content-type", "application/grpc"))
TRAILERS: Fields = (("grpc-status", "0"),)


def message(octets: bytes, *, compressed: bool = False) -> bytes:
    """A message with its prefix."""
    return bytes((compressed,)) + len(octets).to_bytes(4, "big") + octets


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    """A frame of any type and any shape."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream_id.to_bytes(4, "big") + payload


PeerT = TypeVar("PeerT", bound="ScriptedPeer")


class ScriptedPeer:
    """The other end of a connection under test. As a context manager it fails if it never looked at a frame."""

    connection: Connection

    def __init__(self, driver: RecordingDriver) -> None:
        self.driver = driver
        self.now = 1000.0
        self.encoder = hpack.Encoder()
        self.decoder = hpack.Decoder()
        self.header_lists: list[list[tuple[str, str]]] = []
        """The header lists received, in order."""
        self.received: list[Frame] = []
        """All frames received."""
        self._unseen: list[str] = []
        self._buffer = b""
        self._block = b""

    def __enter__(self: PeerT) -> PeerT:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            assert self.said() == []

    # -- what the peer sends

    def send(self, *frames: Frame | bytes, piece: int = 0) -> None:
        """Send frames, at once or in pieces of so many octets."""
        data = b"".join(one if isinstance(one, bytes) else one.serialize() for one in frames)
        for start in range(0, len(data), piece or len(data) or 1):
            self.connection.receive(data[start : start + (piece or len(data))], self.now)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.connection.advance(self.now)

    def headers(self, stream_id: int, fields: Fields, *, end: bool = False) -> HeadersFrame:
        flags = ["END_HEADERS", "END_STREAM"] if end else ["END_HEADERS"]
        return HeadersFrame(stream_id, self.encoder.encode(fields), flags=flags)

    def data(self, stream_id: int, octets: bytes = b"", *, end: bool = False, padding: int | None = None) -> DataFrame:
        flags = ["END_STREAM"] if end else []
        if padding is None:
            return DataFrame(stream_id, octets, flags=flags)
        return DataFrame(stream_id, octets, flags=[*flags, "PADDED"], pad_length=padding)

    def settings(self, **settings: int) -> SettingsFrame:
        return SettingsFrame(0, settings={getattr(SettingsFrame, name): value for name, value in settings.items()})

    def settings_ack(self) -> SettingsFrame:
        return SettingsFrame(0, flags=["ACK"])

    def ping(self, opaque: bytes = b"12345678", *, ack: bool = False) -> PingFrame:
        return PingFrame(0, opaque, flags=["ACK"] if ack else [])

    def reset(self, stream_id: int, error_code: int) -> RstStreamFrame:
        return RstStreamFrame(stream_id, error_code)

    def window_update(self, stream_id: int, octets: int) -> WindowUpdateFrame:
        return WindowUpdateFrame(stream_id, octets)

    def goaway(self, last_stream_id: int, error_code: int = 0, debug_data: bytes = b"") -> GoAwayFrame:
        return GoAwayFrame(0, last_stream_id, error_code, debug_data)

    # -- what the peer is sent

    def said(self) -> list[str]:
        """What was sent since the last time, a line a frame."""
        self._buffer += drain(self.connection)
        self._buffer = self._buffer.removeprefix(PREFACE)
        while len(self._buffer) >= 9:
            found, length = Frame.parse_frame_header(memoryview(self._buffer[:9]))
            assert len(self._buffer) >= 9 + length
            found.parse_body(memoryview(self._buffer[9 : 9 + length]))
            self._buffer = self._buffer[9 + length :]
            self.received.append(found)
            self._unseen.append(self._line(found, length))
        assert not self._buffer
        unseen, self._unseen = self._unseen, []
        return unseen

    def _line(self, found: Frame, length: int) -> str:
        words = [type(found).__name__.removesuffix("Frame")]
        if found.stream_id:
            words.append(str(found.stream_id))
        if isinstance(found, DataFrame):
            words.append(str(length))
        elif isinstance(found, RstStreamFrame):
            words.append(http2_error_name(found.error_code))
        elif isinstance(found, GoAwayFrame):
            words += [str(found.last_stream_id), http2_error_name(found.error_code)]
        elif isinstance(found, WindowUpdateFrame):
            words.append(str(found.window_increment))
        if isinstance(found, HeadersFrame | ContinuationFrame):
            self._block += found.data
            if "END_HEADERS" in found.flags:
                self.header_lists.append([(str(name), str(value)) for name, value in self.decoder.decode(self._block)])
                self._block = b""
        words += sorted(flag for flag in found.flags if flag in ("ACK", "END_STREAM"))
        return " ".join(words)

    def goaway_text(self) -> str:
        """The debug data of the last GOAWAY received."""
        last = [one for one in self.received if isinstance(one, GoAwayFrame)][-1]
        return last.additional_data.decode()


class ScriptedServer(ScriptedPeer):
    """Plays the server to a client under test."""

    connection: ClientConnection

    def __init__(
        self, engine: EngineName, config: ConnectionConfig | None = None, *, shake_hands: bool = True, **settings: int
    ) -> None:
        super().__init__(RecordingDriver())
        self.connection = client_connection(self.driver, config, engine=engine)
        self.connection.start(self.now)
        if shake_hands:
            self.send(self.settings(**settings), self.settings_ack())
            self.said()

    def call(self, *, path: str = "/hello.HelloService/SayHello", **options: object) -> RecordingCall:
        """A call that the client under test opens."""
        call = RecordingCall()
        self.connection.open_call(call, Request(path, "example.org"), now=self.now, **options)  # type: ignore[arg-type]
        return call

    def unary(self) -> RecordingCall:
        """A call with its request on stream 1, 3, ... whose frames have been looked at."""
        call = self.call(message=b"question", end=True)
        stream_id = call.wire_id
        assert self.said() == [f"Headers {stream_id}", f"Data {stream_id} 13 END_STREAM"]
        return call

    def answer(self, stream_id: int, octets: bytes = b"answer") -> list[Frame]:
        """The frames of a whole response."""
        return [
            self.headers(stream_id, RESPONSE),
            self.data(stream_id, message(octets)),
            self.headers(stream_id, TRAILERS, end=True),
        ]


class ScriptedClient(ScriptedPeer):
    """Plays the client to a server under test."""

    connection: ServerConnection

    def __init__(
        self, engine: EngineName, config: ConnectionConfig | None = None, *, shake_hands: bool = True, **settings: int
    ) -> None:
        super().__init__(RecordingDriver())
        self.connection = server_connection(self.driver, config, engine=engine)
        self.connection.start(self.now)
        if shake_hands:
            self.send(PREFACE, self.settings(**settings), self.settings_ack())
            self.said()

    @property
    def calls(self) -> list[RecordingCall]:
        return self.driver.calls

    def request(self, stream_id: int = 1, octets: bytes = b"question", *extra: tuple[str, str]) -> list[Frame]:
        """The frames of a whole unary request."""
        return [self.headers(stream_id, [*REQUEST, *extra]), self.data(stream_id, message(octets), end=True)]
