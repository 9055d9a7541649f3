"""Connections written frame by frame, as recordings, for the tests of the trace room."""

from __future__ import annotations

from collections.abc import Iterable

from hpack import Encoder
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

from puregrpc.trace import Chunk, Direction, Recording
from puregrpc.trace.records import Explanation, Span

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
REQUEST = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/hello.HelloService/SayHello"),
    (":authority", "localhost:9000"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
    ("grpc-timeout", "100m"),
    ("user-agent", "test"),
)
RESPONSE = ((":status", "200"), ("content-type", "application/grpc"))
TRAILERS = (("grpc-status", "0"),)

BOB = b"\x0a\x03bob"
BOB_IN_GZIP = bytes.fromhex("1f8b0800000000000203e3624eca4f02000028ad9405000000")


def message(data: bytes, flag: int = 0) -> bytes:
    """A length-prefixed message."""
    return bytes([flag]) + len(data).to_bytes(4, "big") + data


class Script:
    """Writes a connection: each method adds a frame of one side, a millisecond after the last."""

    def __init__(self, *, preface: bool = True, settings: bool = True) -> None:
        self.chunks: list[Chunk] = []
        self.encoders = {direction: Encoder() for direction in Direction}
        if preface:
            self.raw(Direction.CLIENT, PREFACE)
        if settings:
            for direction in Direction:
                self.frame(direction, SettingsFrame(0, settings={}))
            for direction in Direction:
                self.frame(direction, SettingsFrame(0, flags=["ACK"]))

    def raw(self, direction: Direction, data: bytes, lost: int | None = 0) -> Script:
        self.chunks.append(Chunk(len(self.chunks) / 1000, direction, data, lost))
        return self

    def frame(self, direction: Direction, frame: Frame) -> Script:
        return self.raw(direction, frame.serialize())

    def headers(
        self,
        direction: Direction,
        headers: Iterable[tuple[str, str]],
        *flags: str,
        stream: int = 1,
        cut: int = 0,
        fragments: int = 1,
    ) -> Script:
        block = self.encoders[direction].encode(list(headers))
        size = -(-len(block) // fragments)
        pieces = [block[place : place + size] for place in range(0, len(block), size)] or [b""]
        for number, piece in enumerate(pieces):
            ends = ["END_HEADERS"] if number == len(pieces) - 1 else []
            if number == 0:
                self.frame(direction, HeadersFrame(stream, piece, flags=[*flags, *ends]))
            else:
                self.frame(direction, ContinuationFrame(stream, piece, flags=ends))
        return self

    def data(self, direction: Direction, data: bytes, *flags: str, stream: int = 1, pad: int = 0) -> Script:
        if pad:
            return self.frame(direction, DataFrame(stream, data, pad_length=pad, flags=[*flags, "PADDED"]))
        return self.frame(direction, DataFrame(stream, data, flags=list(flags)))

    def reset(self, direction: Direction, code: int = 8, stream: int = 1) -> Script:
        return self.frame(direction, RstStreamFrame(stream, error_code=code))

    def window(self, direction: Direction, increment: int, stream: int = 0) -> Script:
        return self.frame(direction, WindowUpdateFrame(stream, window_increment=increment))

    def ping(self, direction: Direction, data: bytes, *flags: str) -> Script:
        return self.frame(direction, PingFrame(0, opaque_data=data, flags=list(flags)))

    def go_away(self, direction: Direction, last: int = 0, code: int = 0, debug: bytes = b"") -> Script:
        return self.frame(direction, GoAwayFrame(0, last_stream_id=last, error_code=code, additional_data=debug))

    def unary(
        self, request: bytes = b"", response: bytes = b"", *, stream: int = 1, headers: tuple[tuple[str, str], ...] = ()
    ) -> Script:
        """A whole unary call."""
        self.headers(Direction.CLIENT, (*REQUEST, *headers), stream=stream)
        self.data(Direction.CLIENT, message(request), "END_STREAM", stream=stream)
        self.headers(Direction.SERVER, RESPONSE, stream=stream)
        self.data(Direction.SERVER, message(response), stream=stream)
        return self.headers(Direction.SERVER, TRAILERS, "END_STREAM", stream=stream)

    def recording(self) -> Recording:
        return Recording(tuple(self.chunks))


def recut(recording: Recording, size: int) -> Recording:
    """The same octets in chunks of another size."""
    chunks = tuple(
        Chunk(chunk.time, chunk.direction, chunk.data[place : place + size])
        for chunk in recording.chunks
        for place in range(0, len(chunk.data), size)
    )
    return Recording(chunks, from_start=recording.from_start)


def assert_every_octet_is_explained(explanation: Explanation) -> None:
    """The leaves cover each octet of each buffer exactly once, and every one of them says what it is."""
    spans: list[Span] = []
    for part in explanation.leaves():
        assert part.label
        spans.extend(part.spans)
    spans.sort()
    for buffer in explanation.buffers:
        position = 0
        for span in (span for span in spans if span.buffer == buffer.number):
            assert span.start == position, f"buffer {buffer.name}: octets {position} to {span.start}"
            assert span.end > span.start
            position = span.end
        assert position == len(buffer.data), f"buffer {buffer.name}: nothing explains octets from {position} on"
    for part in explanation.parts():
        for outer in part.walk():
            if outer.parts:
                assert outer.size == sum(inner.size for inner in outer.parts), outer.label
