"""Servers that no client deserves: what is sent once a client's first call is there, on stream 1."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from functools import partial

from puregrpc.fuzz.frames.probe import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    GRPC_RESPONSE,
    HEADERS,
    PADDED,
    PING,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    SETTINGS_ACK,
    Fields,
    Probe,
    Sound,
    block,
    frame,
    message,
    plain_literal,
    window,
)  # fmt: skip

__all__ = ["HOSTILE_SERVERS"]

RESPONSE_OPENING = frame(SETTINGS, 0, 0) + SETTINGS_ACK
HEAD = frame(HEADERS, END_HEADERS, 1, block(GRPC_RESPONSE))
FLOOD = 1 << 19


def trailers(*fields: tuple[bytes, bytes]) -> bytes:
    """What ends stream 1."""
    return frame(HEADERS, END_HEADERS | END_STREAM, 1, block(fields))


def only(*fields: tuple[bytes, bytes]) -> bytes:
    """A response of trailers only."""
    return trailers(*GRPC_RESPONSE, *fields)


def goaway(last: int, code: int, text: bytes = b"") -> bytes:
    return frame(GOAWAY, 0, 0, last.to_bytes(4, "big") + code.to_bytes(4, "big") + text)


def again(octets: bytes, size: int = FLOOD) -> bytes:
    return octets * (size // len(octets))


def compressed(name: bytes, octets: bytes) -> bytes:
    fields: Fields = (*GRPC_RESPONSE, (b"grpc-encoding", name))
    parts = message(octets, 1)
    head = frame(HEADERS, END_HEADERS, 1, block(fields))
    return head + b"".join(frame(DATA, 0, 1, parts[at : at + 16384]) for at in range(0, len(parts), 16384))


def bomb(size: int) -> bytes:
    deflater = zlib.compressobj(9, wbits=31)
    return deflater.compress(bytes(size)) + deflater.flush()


OK = trailers((b"grpc-status", b"0"))
SENT: tuple[tuple[str, Sound, bytes | Callable[[], bytes]], ...] = (
    *((f"reset-with-{code}", "resets", frame(RST_STREAM, 0, 1, code.to_bytes(4, "big"))) for code in (*range(14), 99)),
    *((f"goaway-with-{code}", "any", goaway(0, code, b"go")) for code in (0, 1, 2, 7, 11, 13, 99)),
    ("goaway-that-covers-the-call-and-silence", "any", goaway(2**31 - 1, 0)),
    ("goaway-with-sixteen-kilobytes-of-text", "any", goaway(0, 2, b"%" * 16000)),
    ("goaway-that-takes-back-more-each-time", "any", goaway(9, 0) + goaway(5, 0) + goaway(0, 0)),
    ("goaway-that-takes-back-less", "any", goaway(0, 0) + goaway(2**31 - 1, 0)),
    ("resets-again-and-again", "any", again(frame(RST_STREAM, 0, 1, b"\0\0\0\x08"))),
    ("goaways-again-and-again", "any", again(goaway(1, 0))),
    ("settings-again-and-again", "any", again(frame(SETTINGS, 0, 0))),
    ("pings-again-and-again", "any", again(frame(PING, 0, 0, bytes(8)))),
    ("ping-acknowledgements", "any", again(frame(PING, 1, 0, bytes(8)))),
    ("window-updates-of-the-connection", "any", again(window(0, 1))),
    ("unknown-frames-again-and-again", "any", again(frame(0xFB, 0, 0))),
    ("continuations-without-end", "any", frame(HEADERS, 0, 1, b"\x88") + again(frame(CONTINUATION, 0, 1, b"\x88"))),
    ("hpack-bomb", "any", frame(HEADERS, 0, 1, b"\x40" + plain_literal(b"x") + plain_literal(bytes(4000)))
     + frame(CONTINUATION, END_HEADERS, 1, b"\xbe" * 16000)),
    ("headers-again-and-again", "any", HEAD * 2),
    ("trailers-behind-the-end", "any", HEAD + OK + OK),
    ("data-in-front-of-headers", "any", frame(DATA, 0, 1, message(b"x"))),
    ("data-behind-the-end", "any", HEAD + OK + frame(DATA, 0, 1, message(b"x"))),
    ("data-on-an-idle-stream", "closes", frame(DATA, 0, 77, b"x")),
    ("headers-on-an-idle-stream", "closes", frame(HEADERS, END_HEADERS, 77, block(GRPC_RESPONSE))),
    ("headers-on-an-even-stream", "closes", frame(HEADERS, END_HEADERS, 2, block(GRPC_RESPONSE))),
    ("push-promise", "closes", frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + block(GRPC_RESPONSE))),
    ("empty-data-again-and-again", "any", HEAD + again(frame(DATA, 0, 1))),
    ("one-octet-data", "any", HEAD + frame(DATA, 0, 1, b"\0\0\x3f\xff\xff") + again(frame(DATA, 0, 1, b"x"))),
    ("padding-alone", "any", HEAD + frame(DATA, PADDED, 1, b"\xff" + bytes(255)) * 200),
    ("messages-of-nothing-without-end", "any", HEAD + frame(DATA, 0, 1, message(b"") * 3200) * 30),
    ("a-message-of-four-gigabytes", "any", HEAD + frame(DATA, 0, 1, b"\0\xff\xff\xff\xff")),
    ("a-message-that-ends-early", "any", HEAD + frame(DATA, 0, 1, message(b"hello")[:-1]) + OK),
    ("a-frame-that-is-longer-than-it-is", "any", HEAD + b"\0\x3f\xff\0\0\0\0\0\x01half"),
    ("a-frame-of-a-megabyte", "closes", b"\x10\0\0\0\0\0\0\0\x01"),
    ("more-data-than-the-window", "any", HEAD + frame(DATA, 0, 1, bytes(16384)) * 200),
    ("no-message", "any", HEAD + OK),
    ("two-messages", "any", HEAD + frame(DATA, 0, 1, message(b"x") * 2) + OK),
    ("a-flag-that-is-not-known", "any", HEAD + frame(DATA, 0, 1, message(b"x", 2)) + OK),
    ("gzip-bomb-within-the-limit", "any", lambda: compressed(b"gzip", bomb(4 << 20)) + OK),
    ("gzip-bomb", "any", lambda: compressed(b"gzip", bomb(1 << 27)) + OK),
    ("gzip-that-is-none", "any", compressed(b"gzip", b"no gzip") + OK),
    ("an-encoding-that-is-not-known", "any", compressed(b"what", b"x") + OK),
    ("no-grpc-status", "any", only()),
    *((f"grpc-status-{index}", "any", only((b"grpc-status", text)))
      for index, text in enumerate((b"", b"x", b"-1", b"99", b"9" * 4000, b"0", b"0 ", b"\xff"))),
    ("a-long-grpc-message", "any", only((b"grpc-status", b"2"), (b"grpc-message", b"%" * 12000))),
    ("a-grpc-message-that-is-no-text", "any", only((b"grpc-status", b"2"), (b"grpc-message", b"%ff%00%zz%"))),
    ("details-that-are-no-base64", "any", only((b"grpc-status", b"2"), (b"grpc-status-details-bin", b"!!!"))),
    ("no-http-status", "any", frame(HEADERS, END_HEADERS | END_STREAM, 1, block(GRPC_RESPONSE[1:]))),
    *((f"http-{status}", "any", trailers((b":status", b"%d" % status), (b"content-type", b"text/html")))
      for status in (99, 100, 101, 204, 301, 401, 404, 429, 502, 1000)),
    ("html", "any", frame(HEADERS, END_HEADERS, 1, block(((b":status", b"200"), (b"content-type", b"text/html"))))
     + again(frame(DATA, 0, 1, b"<p>" * 5000))),
    ("upper-case-names", "any", only((b"X-Upper", b"x"))),
    ("settings-that-take-no-headers", "any", frame(SETTINGS, 0, 0, b"\0\6\0\0\0\0")),
    ("settings-with-a-window-too-large", "closes", frame(SETTINGS, 0, 0, b"\0\4\x80\0\0\0")),
    ("window-overflow", "closes", window(0, 2**31 - 1)),
    ("settings-with-push", "closes", frame(SETTINGS, 0, 0, b"\0\2\0\0\0\1")),
    ("settings-with-a-frame-size-too-large", "closes", frame(SETTINGS, 0, 0, b"\0\5\1\0\0\0")),
    ("settings-that-allow-no-calls", "any", frame(SETTINGS, 0, 0, b"\0\3\0\0\0\0") + HEAD + OK),
    ("goaway-of-nothing", "any", frame(GOAWAY, 0, 0, bytes(8))),
    ("goaways-that-go-up", "any",
     frame(GOAWAY, 0, 0, b"\0\0\0\1" + bytes(4)) + frame(GOAWAY, 0, 0, b"\0\0\0\x09" + bytes(4)) + HEAD + OK),
    ("goaway-with-much-to-say", "any", frame(GOAWAY, 0, 0, b"\0\0\0\1" + bytes(4) + b"\xff" * 16_000) + HEAD + OK),
    *((f"reset-{code}", "any", frame(RST_STREAM, 0, 1, code.to_bytes(4, "big")))
      for code in (0, 11, 13, 99, 2**32 - 1)),
    ("a-reset-behind-a-message", "any", HEAD + frame(DATA, 0, 1, message(b"hi")) + frame(RST_STREAM, 0, 1, bytes(4))),
    ("a-table-size-behind-a-field", "closes", frame(HEADERS, END_HEADERS, 1, b"\x88\x20")),
    ("continuations-of-nothing", "closes", frame(HEADERS, 0, 1, b"\x88") + frame(CONTINUATION, 0, 1) * 5000),
    ("an-informational-response-that-ends", "any",
     frame(HEADERS, END_HEADERS | END_STREAM, 1, block(((b":status", b"103"),)))),
    *((f"http-status-{index}", "any", frame(HEADERS, END_HEADERS, 1, block(((b":status", text),))))
      for index, text in enumerate((b"", b"20", b"+20", b"\xb200"))),
    ("content-length-that-is-less", "any",
     frame(HEADERS, END_HEADERS, 1, block((*GRPC_RESPONSE, (b"content-length", b"3"))))
     + frame(DATA, 0, 1, message(b"hello"))),
    ("trailers-with-http-status", "any",
     HEAD + frame(HEADERS, END_HEADERS | END_STREAM, 1, block(((b":status", b"200"), (b"grpc-status", b"0"))))),
    ("grpc-status-twice", "any", only((b"grpc-status", b"0"), (b"grpc-status", b"5"))),
    ("pushback-of-many-digits", "any", only((b"grpc-status", b"14"), (b"grpc-retry-pushback-ms", b"9" * 3000))),
    ("binary-metadata-of-commas", "any", only((b"grpc-status", b"2"), (b"x-bin", b"," * 4000))),
    ("silence", "any", b""),
    ("garbage", "any", bytes(range(256)) * 64),
)  # fmt: skip

OPENINGS: tuple[tuple[str, bytes], ...] = (
    ("http-1", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
    ("http-1-without-end", b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20000),
    ("a-tls-alert", b"\x15\x03\x01\x00\x02\x02\x28"),
    ("half-of-settings", b"\0\0\0\4"),
    ("another-frame-first", frame(PING, 0, 0, bytes(8))),
    ("nothing", b""),
    ("zeros", bytes(100_000)),
)


def _pieces(*pieces: bytes | Callable[[], bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield piece if isinstance(piece, bytes) else piece()


HOSTILE_SERVERS: tuple[Probe, ...] = (
    *(
        Probe(f"server-{name}", "client", "RFC 9113; PROTOCOL-HTTP2", sound, partial(_pieces, RESPONSE_OPENING, sent))
        for name, sound, sent in SENT
    ),
    *(
        Probe(f"server-opens-with-{name}", "client", "RFC 9113, section 3.4", "any", partial(_pieces, sent, b""))
        for name, sent in OPENINGS
    ),
)
"""Each sends its connection's opening first, and then, to a call, what is wrong."""
