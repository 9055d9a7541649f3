"""What a probe is, and the octets that probes are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import hpack

__all__ = [
    "ACK", "CONTINUATION", "DATA", "END_HEADERS", "END_STREAM", "GOAWAY", "GRPC_REQUEST", "GRPC_RESPONSE", "HEADERS",
    "MAX_FRAME_SIZE", "OPENING", "PADDED", "PING", "PREFACE", "PRIORITY", "PUSH_PROMISE", "RST_STREAM", "SETTINGS",
    "SETTINGS_ACK", "WINDOW_UPDATE", "Fields", "Handlers", "Probe", "Sound", "block", "frame", "in_frames", "indexed",
    "message", "opening", "plain_integer", "plain_literal", "window",
]  # fmt: skip

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x01
END_HEADERS = 0x04
PADDED = 0x08
MAX_FRAME_SIZE = 16_384
"""Octets that every endpoint takes (RFC 9113, section 4.2)."""

Fields = tuple[tuple[bytes, bytes], ...]

Sound = Literal["closes", "resets", "serves", "any"]
"""What a sound receiver does: ends the connection (GOAWAY), ends each call concerned (RST_STREAM or a status), takes
it as legal and goes on, or any of these, as long as it is cheap."""

Handlers = Literal["echo", "deaf", "large", "late", "fail"]
"""How the calls of the victim's server go: each request is answered with itself; requests are never read; each call is
answered with a large message, at once or after a while; each call fails with the path in its status."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One way to be hostile."""

    name: str
    to: Literal["server", "client"]
    reference: str
    """The section that says what is right, or the CVE that shows what goes wrong."""
    sound: Sound
    octets: Callable[[], Iterator[bytes]]
    """What is sent, in pieces; the preface and SETTINGS are part of it."""
    handlers: Handlers = "echo"
    takes_output: bool = True
    """False: nothing of what the victim sends is read."""
    limits: tuple[str, ...] = ()
    """The names in `puregrpc.wire.limits` that the probe reaches."""
    answers: Callable[[int], bytes] | None = None
    """To clients: what is sent for each call behind the first, by its stream, such as for those that are made again."""


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """A frame of any type and shape (RFC 9113, section 4.1)."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream_id.to_bytes(4, "big") + payload


def message(octets: bytes, flag: int = 0) -> bytes:
    """A length-prefixed message (PROTOCOL-HTTP2, "Length-Prefixed-Message")."""
    return bytes((flag,)) + len(octets).to_bytes(4, "big") + octets


SETTINGS_ACK = frame(SETTINGS, ACK, 0)
OPENING = PREFACE + frame(SETTINGS, 0, 0) + SETTINGS_ACK
"""What a client without wishes says first."""

GRPC_REQUEST: Fields = (
    (b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/grpc.testing.TestService/UnaryCall"),
    (b":authority", b"localhost"), (b"te", b"trailers"), (b"content-type", b"application/grpc"),
)  # fmt: skip
GRPC_RESPONSE: Fields = ((b":status", b"200"), (b"content-type", b"application/grpc"))


def opening(**settings: int) -> bytes:
    """A client's preface with SETTINGS, by the names of RFC 9113, section 6.5.2."""
    names = (
        "HEADER_TABLE_SIZE", "ENABLE_PUSH", "MAX_CONCURRENT_STREAMS", "INITIAL_WINDOW_SIZE", "MAX_FRAME_SIZE",
        "MAX_HEADER_LIST_SIZE",
    )  # fmt: skip
    payload = b"".join(
        (names.index(name) + 1).to_bytes(2, "big") + value.to_bytes(4, "big") for name, value in settings.items()
    )
    return PREFACE + frame(SETTINGS, 0, 0, payload) + SETTINGS_ACK


def block(fields: Fields) -> bytes:
    """A header block that leaves the dynamic table as it is."""
    return b"".join(b"\x00" + plain_literal(name) + plain_literal(value) for name, value in fields)


def in_frames(stream: int, octets: bytes, flags: int = 0) -> bytes:
    """A header block in HEADERS, with these flags beside END_HEADERS, and CONTINUATION."""
    parts = [octets[at : at + MAX_FRAME_SIZE] for at in range(0, len(octets), MAX_FRAME_SIZE)]
    last = len(parts) - 1
    return b"".join(
        frame(CONTINUATION, END_HEADERS if number == last else 0, stream, part)
        if number
        else frame(HEADERS, flags if last else flags | END_HEADERS, stream, part)
        for number, part in enumerate(parts)
    )


def plain_literal(octets: bytes) -> bytes:
    """A string literal without Huffman coding (RFC 7541, section 5.2)."""
    return plain_integer(len(octets), 7) + octets


def plain_integer(value: int, bits: int, pattern: int = 0) -> bytes:
    """An integer behind a bit pattern (RFC 7541, section 5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((pattern | value,))
    out = [pattern | most]
    value -= most
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes((*out, value))


def indexed(fields: Fields) -> tuple[bytes, bytes]:
    """The block that puts fields into the dynamic table, and the one of indexes that stands for them afterwards."""
    encoder = hpack.Encoder()
    return bytes(encoder.encode(list(fields))), bytes(encoder.encode(list(fields)))


def window(stream_id: int, octets: int) -> bytes:
    """A WINDOW_UPDATE frame."""
    return frame(WINDOW_UPDATE, 0, stream_id, octets.to_bytes(4, "big"))
