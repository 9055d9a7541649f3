"""Single shots at a server: one thing that no sound client sends, once, on a connection of its own."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import partial

from puregrpc.fuzz.frames.probe import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    GRPC_REQUEST,
    HEADERS,
    OPENING,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Fields,
    Probe,
    Sound,
    block,
    frame,
    message,
    plain_literal,
    window,
)  # fmt: skip

__all__ = ["SINGLE_SHOTS"]

HEAD = frame(HEADERS, END_HEADERS, 1, block(GRPC_REQUEST))
WHOLE = HEAD + frame(DATA, END_STREAM, 1, message(b"hello"))
PRIORITY_FLAG = 0x20


def request(*fields: tuple[bytes, bytes], without: bytes = b"", flags: int = END_STREAM) -> bytes:
    """A request's HEADERS: the ordinary fields but ``without``, each replaced or followed by ``fields``."""
    names = {name for name, _ in fields if name.startswith(b":") or name in (b"te", b"content-type")}
    kept: Fields = tuple(field for field in GRPC_REQUEST if field[0] != without and field[0] not in names)
    ordered = sorted((*kept, *fields), key=lambda field: not field[0].startswith(b":"))
    return frame(HEADERS, END_HEADERS | flags, 1, block(tuple(ordered)))


def deflated(octets: bytes, wbits: int) -> bytes:
    """Octets compressed as zlib's ``wbits`` says."""
    deflater = zlib.compressobj(wbits=wbits)
    return deflater.compress(octets) + deflater.flush()


def encoded(name: bytes, octets: bytes) -> bytes:
    """A request with one message that is said to be compressed."""
    return request((b"grpc-encoding", name), flags=0) + frame(DATA, END_STREAM, 1, message(octets, 1))


SHOTS: tuple[tuple[str, Sound, str, bytes], ...] = (
    # RFC 9113, sections 4 and 5: frames and streams
    ("data-on-no-stream", "closes", "6.1", frame(DATA, 0, 0, b"x")),
    ("data-on-an-idle-stream", "closes", "5.1", frame(DATA, 0, 1, b"x")),
    ("headers-on-no-stream", "closes", "6.2", frame(HEADERS, END_HEADERS, 0, block(GRPC_REQUEST))),
    ("headers-on-an-even-stream", "closes", "5.1.1", frame(HEADERS, END_HEADERS, 2, block(GRPC_REQUEST))),
    ("a-stream-lower-than-the-last", "closes", "5.1.1",
     frame(HEADERS, END_HEADERS, 5, block(GRPC_REQUEST)) + frame(HEADERS, END_HEADERS, 3, block(GRPC_REQUEST))),
    ("data-behind-the-end", "resets", "5.1", WHOLE.replace(b"hello", b"HELLO") + frame(DATA, 0, 1, b"x")),
    ("headers-behind-the-end", "any", "5.1", WHOLE + frame(HEADERS, END_HEADERS | END_STREAM, 1, block(()))),
    ("reset-of-an-idle-stream", "closes", "6.4", frame(RST_STREAM, 0, 1, bytes(4))),
    ("reset-of-no-stream", "closes", "6.4", frame(RST_STREAM, 0, 0, bytes(4))),
    ("reset-of-five-octets", "closes", "6.4", HEAD + frame(RST_STREAM, 0, 1, bytes(5))),
    ("window-update-of-an-idle-stream", "closes", "6.9", window(1, 1)),
    ("window-update-of-nothing", "closes", "6.9", window(0, 0)),
    ("window-update-of-three-octets", "closes", "6.9", frame(WINDOW_UPDATE, 0, 0, bytes(3))),
    ("window-overflow", "closes", "6.9.1", window(0, 2**31 - 1)),
    ("window-overflow-of-a-stream", "resets", "6.9.1", HEAD + window(1, 2**31 - 1)),
    ("settings-on-a-stream", "closes", "6.5", frame(SETTINGS, 0, 1)),
    ("settings-of-five-octets", "closes", "6.5", frame(SETTINGS, 0, 0, bytes(5))),
    ("settings-acknowledged-with-a-body", "closes", "6.5", frame(SETTINGS, ACK, 0, bytes(6))),
    ("settings-with-a-window-too-large", "closes", "6.5.2", frame(SETTINGS, 0, 0, b"\0\4\x80\0\0\0")),
    ("settings-with-a-frame-size-too-small", "closes", "6.5.2", frame(SETTINGS, 0, 0, b"\0\5\0\0\0\1")),
    ("settings-with-a-frame-size-of-nothing", "closes", "6.5.2", frame(SETTINGS, 0, 0, b"\0\5\0\0\0\0") + WHOLE),
    ("settings-with-push-of-two", "closes", "6.5.2", frame(SETTINGS, 0, 0, b"\0\2\0\0\0\2")),
    ("settings-that-are-unknown", "serves", "6.5.2", frame(SETTINGS, 0, 0, b"\xff\xff\0\0\0\2") + WHOLE),
    ("settings-that-make-a-window-overflow", "closes", "6.9.2",
     HEAD + window(1, 2**31 - 65536) + frame(SETTINGS, 0, 0, b"\0\4\x7f\xff\xff\xff")),
    ("ping-of-seven-octets", "closes", "6.7", frame(PING, 0, 0, bytes(7))),
    ("ping-on-a-stream", "closes", "6.7", frame(PING, 0, 1, bytes(8))),
    ("goaway-on-a-stream", "closes", "6.8", frame(GOAWAY, 0, 1, bytes(8))),
    ("goaway-of-seven-octets", "closes", "6.8", frame(GOAWAY, 0, 0, bytes(7))),
    ("goaway-and-then-a-call", "any", "6.8", frame(GOAWAY, 0, 0, bytes(8)) + WHOLE),
    ("push-promise", "closes", "6.6", frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4) + block(GRPC_REQUEST))),
    ("continuation-of-nothing", "closes", "6.10", frame(CONTINUATION, END_HEADERS, 1, b"\x82")),
    ("a-block-that-is-interrupted", "closes", "6.10", frame(HEADERS, 0, 1, b"\x82") + frame(PING, 0, 0, bytes(8))),
    ("a-block-that-another-stream-goes-on-with", "closes", "6.10",
     frame(HEADERS, 0, 1, b"\x82") + frame(CONTINUATION, END_HEADERS, 3, b"\x84")),
    ("padding-larger-than-the-frame", "closes", "6.1", HEAD + frame(DATA, PADDED, 1, b"\xffxx")),
    ("padding-without-its-length", "closes", "6.1", HEAD + frame(DATA, PADDED, 1)),
    ("headers-with-more-padding-than-frame", "closes", "6.2", frame(HEADERS, END_HEADERS | PADDED, 1, b"\xff\x82")),
    ("headers-with-half-a-priority", "closes", "6.2", frame(HEADERS, END_HEADERS | PRIORITY_FLAG, 1, bytes(4))),
    ("a-stream-that-depends-on-itself", "any", "5.3.1", frame(PRIORITY, 0, 1, b"\0\0\0\x01\x10")),
    ("headers-that-depend-on-themselves", "any", "5.3.1",
     frame(HEADERS, END_HEADERS | PRIORITY_FLAG, 1, b"\0\0\0\x01\x10" + block(GRPC_REQUEST))),
    ("priority-of-four-octets", "any", "6.3", frame(PRIORITY, 0, 1, bytes(4))),
    ("a-frame-of-a-megabyte", "closes", "4.2", b"\x10\0\0\0\0\0\0\0\x01"),
    ("frames-of-the-types-after-the-last", "any", "4.1",
     HEAD + b"".join(frame(kind, 0, number) for kind in range(10, 17) for number in (0, 1)) + WHOLE[len(HEAD):]),
    ("a-fault-behind-a-fault", "closes", "5.4.1",
     frame(DATA, 0, 0, b"x") + frame(SETTINGS, 0, 0, bytes(5)) + frame(WINDOW_UPDATE, 0, 0, bytes(3)) + b"\xff" * 50),
    ("headers-twice", "any", "8.1", HEAD + HEAD + WHOLE[len(HEAD):]),
    ("an-unknown-frame", "serves", "4.1", frame(0xFE, 0xFF, 7, b"what") + WHOLE),
    ("the-reserved-bit", "serves", "4.1", WHOLE[:5] + b"\x80" + WHOLE[6:]),
    ("a-continuation-behind-the-end-of-its-block", "closes", "6.10",
     HEAD + frame(CONTINUATION, END_HEADERS, 1, block(((b"x", b"y"),)))),
    ("data-within-a-block", "closes", "6.10", frame(HEADERS, 0, 1, b"\x82") + frame(DATA, 0, 1, b"x")),
    ("an-unknown-frame-within-a-block", "closes", "6.10", frame(HEADERS, 0, 1, b"\x82") + frame(0xFE, 0, 1, b"x")),
    ("a-block-in-empty-pieces", "any", "6.10",
     frame(HEADERS, 0, 1) + frame(CONTINUATION, 0, 1) + frame(CONTINUATION, END_HEADERS, 1, block(GRPC_REQUEST))),
    ("a-reset-twice", "any", "5.1", HEAD + frame(RST_STREAM, 0, 1, bytes(4)) * 2),
    ("headers-behind-a-reset", "any", "5.1",
     HEAD + frame(RST_STREAM, 0, 1, bytes(4)) + frame(HEADERS, END_HEADERS | END_STREAM, 1, block(((b"x", b"y"),)))),
    ("the-last-stream-there-is", "any", "5.1.1",
     frame(HEADERS, END_HEADERS | END_STREAM, 2**31 - 1, block(GRPC_REQUEST)) * 2),
    ("settings-with-a-frame-size-too-large", "closes", "6.5.2", frame(SETTINGS, 0, 0, b"\0\5\1\0\0\0")),
    ("settings-with-the-largest-table", "serves", "6.5.2", frame(SETTINGS, 0, 0, b"\0\1\xff\xff\xff\xff") + WHOLE),
    ("settings-with-one-window-twice", "any", "6.5.3",
     frame(SETTINGS, 0, 0, b"\0\4\x7f\xff\xff\xff\0\4\0\0\0\0") + WHOLE),
    ("alt-svc-and-origin", "serves", "RFC 7838, 4; RFC 8336, 2",
     frame(10, 0, 0, b"\0\0h2") + frame(12, 0, 0, b"\0\1a") + WHOLE),
    ("goaway-with-much-to-say", "any", "6.8", frame(GOAWAY, 0, 0, b"\x7f\xff\xff\xff" + bytes(16_004)) + WHOLE),
    ("more-data-than-the-window", "closes", "6.9.1", HEAD + frame(DATA, 0, 1, bytes(16384)) * 5),
    # RFC 7541
    ("index-nought", "closes", "RFC 7541, 6.1", frame(HEADERS, END_HEADERS, 1, b"\x80")),
    ("index-beyond-the-table", "closes", "RFC 7541, 2.3.3", frame(HEADERS, END_HEADERS, 1, b"\xfe")),
    ("an-index-that-never-ends", "closes", "RFC 7541, 5.1", frame(HEADERS, END_HEADERS, 1, b"\xff" * 40)),
    ("a-table-larger-than-allowed", "closes", "RFC 7541, 4.2", frame(HEADERS, END_HEADERS, 1, b"\x3f\xff\xff\x7f")),
    ("a-string-longer-than-its-block", "closes", "RFC 7541, 5.2", frame(HEADERS, END_HEADERS, 1, b"\0\x7f\x10a")),
    ("the-end-of-string-in-a-string", "closes", "RFC 7541, 5.2",
     frame(HEADERS, END_HEADERS, 1, b"\0\x84\xff\xff\xff\xff" + plain_literal(b"x"))),
    ("a-table-size-behind-a-field", "closes", "RFC 7541, 4.2", frame(HEADERS, END_HEADERS, 1, b"\x82\x20")),
    ("huffman-padding-of-an-octet", "closes", "RFC 7541, 5.2", frame(HEADERS, END_HEADERS, 1, b"\0\x82\xff\xff\0")),
    ("huffman-padding-of-zeros", "closes", "RFC 7541, 5.2", frame(HEADERS, END_HEADERS, 1, b"\0\x81\x18\0")),
    ("a-length-that-overflows", "closes", "RFC 7541, 5.1",
     frame(HEADERS, END_HEADERS, 1, b"\0\x7f" + b"\xff" * 9 + b"\1")),
    ("an-index-padded-with-zeros", "any", "RFC 7541, 5.1",
     frame(HEADERS, END_HEADERS, 1, b"\xff" + b"\x80" * 30 + b"\0")),
    ("a-block-of-nothing", "resets", "8.3.1", frame(HEADERS, END_HEADERS | END_STREAM, 1)),
    # RFC 9113, section 8: requests
    ("a-request-without-a-path", "resets", "8.3.1", request(without=b":path")),
    ("a-request-without-a-method", "resets", "8.3.1", request(without=b":method")),
    ("an-upper-case-name", "resets", "8.2.1", request((b"X-Upper", b"x"))),
    ("a-name-with-a-blank", "resets", "8.2.1", request((b"x y", b"x"))),
    ("a-value-with-a-line-end", "resets", "8.2.1", request((b"x", b"a\r\nb"))),
    ("connection-specific-fields", "resets", "8.2.2", request((b"connection", b"close"))),
    ("a-pseudo-header-that-is-unknown", "resets", "8.3", request((b":what", b"x"))),
    ("a-response-as-a-request", "resets", "8.3", request((b":status", b"200"))),
    ("less-than-content-length", "resets", "8.1.1", request((b"content-length", b"3"))),
    *((f"{name.decode()}-twice", "resets", "8.3", frame(
        HEADERS, END_HEADERS | END_STREAM, 1, block(((b":" + name, value), *GRPC_REQUEST))))
      for name, value in ((b"method", b"POST"), (b"path", b"/x"), (b"scheme", b"http"))),
    ("a-path-of-nothing", "resets", "8.3.1", request((b":path", b""))),
    ("a-request-without-a-scheme", "resets", "8.3.1", request(without=b":scheme")),
    ("a-host-beside-an-authority", "any", "8.3.1", request((b"host", b"other"))),
    ("extended-connect", "resets", "RFC 8441, 4", request((b":protocol", b"websocket"), (b":method", b"CONNECT"))),
    ("te-gzip", "resets", "8.2.2", request((b"te", b"gzip"))),
    *((f"{name.decode()}", "resets", "8.2.2", request((name, b"x")))
      for name in (b"transfer-encoding", b"keep-alive", b"upgrade", b"proxy-connection")),
    *((f"content-length-{index}", "resets", "8.1.1", request((b"content-length", text)))
      for index, text in enumerate((b"-1", b"+0", b"1_0", b"9" * 5000))),
    ("content-length-twice", "resets", "8.1.1", request((b"content-length", b"1"), (b"content-length", b"2"))),
    *((f"a-name-that-is-none-{index}", "resets", "8.2.1", request((text, b"x")))
      for index, text in enumerate((b"", b"a:b", b"a\0", b"\xe9"))),
    ("a-value-with-nul", "resets", "8.2.1", request((b"x", b"a\0b"))),
    ("trailers-with-a-path", "resets", "8.1",
     HEAD + frame(HEADERS, END_HEADERS | END_STREAM, 1, block(((b":path", b"/x"),)))),
    ("trailers-that-do-not-end", "resets", "8.1", HEAD + frame(HEADERS, END_HEADERS, 1, block(((b"x", b"y"),)))),
    ("get", "serves", "PROTOCOL-HTTP2", request((b":method", b"GET"))),
    ("connect", "any", "8.5", request((b":method", b"CONNECT"))),
    ("another-content-type", "serves", "PROTOCOL-HTTP2", request((b"content-type", b"text/html"))),
    ("a-long-path", "serves", "PROTOCOL-HTTP2", request((b":path", b"/" + b"%" * 8000))),
    ("a-path-of-all-octets", "any", "PROTOCOL-HTTP2", request((b":path", bytes(range(128, 256))))),
    # gRPC
    *((f"timeout-{index}", "serves", "PROTOCOL-HTTP2", request((b"grpc-timeout", text)))
      for index, text in enumerate((b"", b"S", b"1", b"-1S", b"0S", b"0n", b"1x", b"123456789S", b"9" * 4000 + b"S"))),
    *((f"metadata-that-are-no-base64-{index}", "any", "PROTOCOL-HTTP2", request((b"x-bin", text)))
      for index, text in enumerate((b"!", b"A", b"AA=A", b"\xff", b"A" * 4001))),
    ("no-message", "serves", "PROTOCOL-HTTP2", request()),
    ("two-messages", "serves", "PROTOCOL-HTTP2", HEAD + frame(DATA, END_STREAM, 1, message(b"a") * 2)),
    ("half-a-prefix", "serves", "PROTOCOL-HTTP2", HEAD + frame(DATA, END_STREAM, 1, b"\0\0\0")),
    ("half-a-message", "serves", "PROTOCOL-HTTP2", HEAD + frame(DATA, END_STREAM, 1, message(b"hello")[:-2])),
    ("a-message-of-four-gigabytes", "serves", "PROTOCOL-HTTP2", HEAD + frame(DATA, 0, 1, b"\0\xff\xff\xff\xff")),
    ("a-flag-that-is-not-known", "serves", "PROTOCOL-HTTP2", HEAD + frame(DATA, END_STREAM, 1, message(b"a", 2))),
    ("compressed-without-an-encoding", "serves", "compression", HEAD + frame(DATA, END_STREAM, 1, message(b"a", 1))),
    ("an-encoding-that-is-not-known", "serves", "compression", encoded(b"what", b"a")),
    ("gzip-that-is-none", "serves", "compression", encoded(b"gzip", b"no gzip")),
    ("gzip-that-is-cut-short", "serves", "compression", encoded(b"gzip", deflated(bytes(100), 31)[:-9])),
    ("gzip-with-a-wrong-sum", "serves", "compression", encoded(b"gzip", deflated(b"a", 31)[:-8] + bytes(8))),
    ("gzip-and-more", "serves", "compression", encoded(b"gzip", deflated(b"a", 31) + b"more")),
    ("gzip-with-a-name-without-end", "serves", "compression",
     encoded(b"gzip", b"\x1f\x8b\x08\x08\0\0\0\0\0\3" + b"a" * 5000)),
    ("deflate-with-a-dictionary", "serves", "compression", encoded(b"deflate", b"\x78\xbb\0\0\0\0\1\2")),
    ("a-window-to-nothing-in-mid-call", "serves", "6.9.2",
     HEAD + frame(SETTINGS, 0, 0, b"\0\4\0\0\0\0") + WHOLE[len(HEAD):] + frame(SETTINGS, 0, 0, b"\0\4\0\0\xff\xff")),
    ("a-window-of-all-and-of-nothing-in-one-frame", "any", "6.9.2",
     HEAD + frame(SETTINGS, 0, 0, b"\0\4\x7f\xff\xff\xff\0\4\0\0\0\0") + WHOLE[len(HEAD):]),
    ("a-table-of-nothing-and-an-index-into-it", "any", "RFC 7541, 4.2",
     frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x20" + block(GRPC_REQUEST) + b"\xbe")),
    ("a-table-that-shrinks-and-grows-in-one-block", "any", "RFC 7541, 4.2",
     frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x20\x3f\xe1\x1f" + block(GRPC_REQUEST))),
    ("three-table-sizes-in-one-block", "any", "RFC 7541, 4.2",
     frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x20\x21\x22" + block(GRPC_REQUEST))),
    ("a-goaway-between-the-halves-of-a-message", "any", "6.8",
     HEAD + frame(DATA, 0, 1, message(b"hello")[:4]) + frame(GOAWAY, 0, 0, b"\x7f\xff\xff\xff" + bytes(4))
     + frame(DATA, END_STREAM, 1, message(b"hello")[4:])),
    ("a-reset-with-a-code-that-is-not-known", "any", "7", HEAD + frame(RST_STREAM, 0, 1, b"\xff" * 4)),
    ("a-window-update-behind-the-end", "serves", "5.1", WHOLE + window(1, 1)),
    ("an-empty-window-update-behind-the-end", "any", "6.9", WHOLE + window(1, 0)),
    ("a-window-overflow-behind-the-end", "any", "6.9.1", WHOLE + window(1, 2**31 - 1) * 2),
    ("a-block-with-priority-and-padding", "any", "6.2",
     frame(HEADERS, END_HEADERS | END_STREAM | PADDED | PRIORITY_FLAG, 1,
           b"\4" + bytes(5) + block(GRPC_REQUEST) + bytes(4))),
    ("a-block-in-single-octets", "any", "6.10",
     frame(HEADERS, END_STREAM, 1, b"") + b"".join(
         frame(CONTINUATION, 0, 1, block(GRPC_REQUEST)[at : at + 1]) for at in range(len(block(GRPC_REQUEST))))),
    *((f"{name.decode()}-twice", "any", "PROTOCOL-HTTP2", request((name, first), (name, second)))
      for name, first, second in (
          (b"grpc-timeout", b"1S", b"2S"), (b"grpc-encoding", b"gzip", b"identity"), (b"te", b"trailers", b"trailers"),
          (b"content-type", b"application/grpc", b"application/grpc+json"), (b"user-agent", b"a", b"b"))),
    *((f"path-{index}", "any", "8.3.1", request((b":path", text)))
      for index, text in enumerate(
          (b"*", b"http://a/b.C/D", b"//", b"/a", b"/a.B/", b"/a.B/C?d=e", b"/a.B/C#d", b"a.B/C"))),
    *((f"authority-{index}", "any", "8.3.1", request((b":authority", text)))
      for index, text in enumerate((b"", b"a@b", b"a b", b"[::1", b"\xff", b"a" * 9000))),
    ("a-scheme-that-is-not-known", "any", "8.3.1", request((b":scheme", b"gopher"))),
    ("expect-100-continue", "any", "RFC 9110, 10.1.1", request((b"expect", b"100-continue"))),
    ("content-length-nought-and-a-message", "any", "8.1.1",
     request((b"content-length", b"0"), flags=0) + WHOLE[len(HEAD):]),
    ("a-message-in-two-hundred-padded-frames", "serves", "6.1", HEAD + b"".join(
        frame(DATA, PADDED, 1, b"\1" + octet.to_bytes(1, "big") + b"\0") for octet in message(bytes(195)))
     + frame(DATA, END_STREAM, 1)),
    ("settings-of-every-number", "any", "6.5.2", b"".join(
        frame(SETTINGS, 0, 0, number.to_bytes(2, "big") + b"\0\0\0\1") for number in (0, 7, 8, 9, 16, 255, 65535))),
    ("a-ping-between-a-head-and-its-data", "serves", "6.7", HEAD + frame(PING, 0, 0, bytes(8)) + WHOLE[len(HEAD):]),
    ("a-tls-alert-within-a-frame", "any", "RFC 8446, 6", HEAD[:20] + b"\x15\x03\x03\0\2\1\0"),
    ("deflate-without-its-head", "serves", "compression", encoded(b"deflate", deflated(b"a", -15))),
)  # fmt: skip

OPENINGS: tuple[tuple[str, bytes], ...] = (
    ("http-1", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("a-tls-hello", bytes.fromhex("160301020001000000") + bytes(100)),
    ("a-preface-that-goes-wrong-late", PREFACE[:-1] + b"x"),
    ("half-a-preface", PREFACE[:10]),
    ("no-settings", PREFACE + frame(PING, 0, 0, bytes(8))),
    ("settings-acknowledged-first", PREFACE + frame(SETTINGS, ACK, 0)),
    ("nothing", b""),
)


def _pieces(*pieces: bytes) -> Iterator[bytes]:
    yield from pieces


SINGLE_SHOTS: tuple[Probe, ...] = (
    *(
        Probe(
            name, "server", f"RFC 9113, section {at}" if at[0].isdigit() else at, sound, partial(_pieces, OPENING, sent)
        )
        for name, sound, at, sent in SHOTS
    ),
    *(Probe(name, "server", "RFC 9113, section 3.4", "any", partial(_pieces, sent)) for name, sent in OPENINGS),
)
"""Each sends its connection's opening first, and then what is wrong."""
