"""Frames made by hand, right ones and wrong ones (RFC 9113, section 6; RFC 7541)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import hpack
from hyperframe.frame import Frame, SettingsFrame

__all__ = ["CLIENT_PREFACE", "FrameFactory", "message"]

CLIENT_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20

Fields = Sequence[tuple[str, str | bytes]]


def message(octets: bytes, *, compressed: bool = False) -> bytes:
    """A length-prefixed message (PROTOCOL-HTTP2, "Length-Prefixed-Message")."""
    return bytes((compressed,)) + len(octets).to_bytes(4, "big") + octets


class FrameFactory:
    """Makes the octets of frames for one connection: header blocks depend on those sent before them.

    Nothing is checked: any frame can be made, also those that no peer may send.
    """

    def __init__(self) -> None:
        self._encoder = hpack.Encoder()

    def frame(self, kind: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"") -> bytes:
        """A frame of any type, flags and payload."""
        return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream_id.to_bytes(4, "big") + payload

    def block(self, fields: Fields) -> bytes:
        """A header block. Once made it must be sent, or the peer's table differs from this one."""
        return self._encoder.encode(fields)

    def headers(self, stream_id: int, fields: Fields, *, end: bool = False, piece: int | None = None) -> bytes:
        """HEADERS; with ``piece`` cut into CONTINUATION frames of so many octets."""
        block = self.block(fields)
        size = piece or max(len(block), 1)
        pieces = [block[start : start + size] for start in range(0, len(block), size)] or [b""]
        octets = b""
        for index, fragment in enumerate(pieces):
            flags = END_HEADERS if index == len(pieces) - 1 else 0
            if index == 0 and end:
                flags |= END_STREAM
            octets += self.frame(CONTINUATION if index else HEADERS, flags, stream_id, fragment)
        return octets

    def request(
        self, stream_id: int, path: str, *more: tuple[str, str | bytes], authority: str = "test", end: bool = False
    ) -> bytes:
        """The HEADERS of a gRPC request (PROTOCOL-HTTP2, "Requests")."""
        fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            *more,
        ]
        return self.headers(stream_id, fields, end=end)

    def response(self, stream_id: int, *more: tuple[str, str | bytes]) -> bytes:
        """The HEADERS of a gRPC response (PROTOCOL-HTTP2, "Responses")."""
        return self.headers(stream_id, [(":status", "200"), ("content-type", "application/grpc"), *more])

    def trailers(self, stream_id: int, status: int = 0, *more: tuple[str, str | bytes]) -> bytes:
        """Trailers with a gRPC status."""
        return self.headers(stream_id, [("grpc-status", str(status)), *more], end=True)

    def data(self, stream_id: int, octets: bytes = b"", *, end: bool = False, padding: int | None = None) -> bytes:
        """DATA, with so many octets of padding if any are asked for."""
        flags = END_STREAM if end else 0
        if padding is not None:
            flags |= PADDED
            octets = bytes((padding,)) + octets + bytes(padding)
        return self.frame(DATA, flags, stream_id, octets)

    def settings(self, values: Mapping[int, int] | None = None, /, **named: int) -> bytes:
        """SETTINGS: by number, or by name as ``initial_window_size=1``."""
        pairs = dict(values or {})
        pairs.update({getattr(SettingsFrame, name.upper()): value for name, value in named.items()})
        payload = b"".join(key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in pairs.items())
        return self.frame(SETTINGS, 0, 0, payload)

    def settings_ack(self) -> bytes:
        return self.frame(SETTINGS, ACK)

    def ping(self, opaque: bytes = b"\0" * 8, *, ack: bool = False) -> bytes:
        return self.frame(PING, ACK if ack else 0, 0, opaque)

    def window_update(self, stream_id: int, octets: int) -> bytes:
        return self.frame(WINDOW_UPDATE, 0, stream_id, octets.to_bytes(4, "big"))

    def reset(self, stream_id: int, error_code: int) -> bytes:
        return self.frame(RST_STREAM, 0, stream_id, error_code.to_bytes(4, "big"))

    def goaway(self, last_stream_id: int, error_code: int = 0, debug_data: bytes = b"") -> bytes:
        return self.frame(GOAWAY, 0, 0, last_stream_id.to_bytes(4, "big") + error_code.to_bytes(4, "big") + debug_data)


def parse_frame(octets: bytes) -> tuple[Frame, int] | None:
    """The frame that ``octets`` begin with and its size with its head; None if it is not all there."""
    if len(octets) < 9:
        return None
    frame, length = Frame.parse_frame_header(memoryview(octets[:9]))
    if len(octets) < 9 + length:
        return None
    frame.parse_body(memoryview(octets[9 : 9 + length]))
    return frame, 9 + length
