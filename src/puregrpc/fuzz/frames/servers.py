"""Servers that no client deserves: what is sent once a client's first call is there, on stream 1."""

from __future__ import annotations

import base64
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
    plain_integer,
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


def in_data(octets: bytes) -> bytes:
    """Octets in frames of DATA on stream 1."""
    return b"".join(frame(DATA, 0, 1, octets[at : at + 16384]) for at in range(0, len(octets), 16384))


def in_blocks(octets: bytes, *, ends: bool = True) -> bytes:
    """A header block on stream 1, in HEADERS and CONTINUATION; ``ends``: it ends the stream."""
    parts = [octets[at : at + 16384] for at in range(0, len(octets), 16384)]
    more = b"".join(frame(CONTINUATION, 0, 1, part) for part in parts[1:])
    return frame(HEADERS, END_STREAM if ends else 0, 1, parts[0]) + more + frame(CONTINUATION, END_HEADERS, 1)


def plain_length(value: int) -> bytes:
    """A varint of protobuf."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes((*out, value))


def nested_details(size: int) -> bytes:
    """A google.rpc.Status, whose details are such ones again and again, in base64."""
    inner = b"\x08\2"
    name = b"\n\x26type.googleapis.com/google.rpc.Status"
    while len(inner) < size:
        whole = name + b"\x12" + plain_length(len(inner)) + inner
        inner = b"\x08\2\x1a" + plain_length(len(whole)) + whole
    return base64.b64encode(inner)


def to_each(make: Callable[[int], bytes]) -> tuple[Callable[[], Iterator[bytes]], Callable[[int], bytes]]:
    """What answers the first call, and those behind it."""
    return partial(_pieces, RESPONSE_OPENING, make(1)), make


def of_stream(octets: bytes) -> Callable[[int], bytes]:
    """What is for stream 1, for another: frames of a call alone."""

    def moved(stream_id: int) -> bytes:
        out, at = [], 0
        while at < len(octets):
            size = HEAD_SIZE + int.from_bytes(octets[at : at + 3], "big")
            out.append(octets[at : at + 5] + stream_id.to_bytes(4, "big") + octets[at + HEAD_SIZE : at + size])
            at += size
        return b"".join(out)

    return moved


def literals(number: int, pattern: bytes, value: bytes = b"") -> bytes:
    """So many fields of different names."""
    return b"".join(pattern + plain_literal(b"a%x" % index) + value for index in range(number))


def coded(octets: bytes) -> bytes:
    """A string literal that says it is Huffman coded."""
    return plain_integer(len(octets), 7, 0x80) + octets


LONG_BLOCKS: tuple[tuple[str, bytes], ...] = (
    ("seven-thousand-fields", literals(7_000, b"\0", b"\0")),
    ("seven-thousand-fields-for-the-table", literals(7_000, b"\x40", b"\0")),
    ("more-fields-than-are-taken", literals(27_000, b"\0", b"\0")),
    ("more-fields-for-the-table-than-are-taken", literals(27_000, b"\x40", b"\0")),
    ("five-thousand-coded-fields", literals(5_000, b"\0", coded(bytes(10)))),
    ("a-field-of-150-kilobytes-coded", b"\0" + plain_literal(b"a") + coded(bytes(150_000))),
    ("four-fields-of-150-kilobytes-coded", (b"\0" + plain_literal(b"a") + coded(bytes(150_000))) * 4),
    ("a-name-of-150-kilobytes-coded", b"\0" + coded(b"\x1c\x71\xc7" * 50_000) + b"\0"),
    ("four-thousand-binary-fields", b"".join(
        b"\0" + plain_literal(b"a%x-bin" % index) + plain_literal(b"AAAA,AAAA,AAAA") for index in range(4_000))),
    ("the-same-field-again-and-again", b"\x40" + plain_literal(b"a") + b"\0" + b"\xbe" * 7_000),
)  # fmt: skip
"""What follows the first fields in long blocks."""

HEAD_SIZE = 9
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
    *((f"pushback-{index}", "any", only((b"grpc-status", b"14"), (b"grpc-retry-pushback-ms", text)))
      for index, text in enumerate((b"", b"0", b"-1", b"+5", b"1e9", b"4294967296", b"0x10", "٣".encode(), b" 5"))),
    ("trailers-only-and-a-message-behind", "any", only((b"grpc-status", b"0")) + frame(DATA, 0, 1, message(b"x"))),
    ("trailers-only-that-do-not-end", "any",
     frame(HEADERS, END_HEADERS, 1, block((*GRPC_RESPONSE, (b"grpc-status", b"0"), (b"grpc-message", b"x"))))),
    ("trailers-in-single-octets", "any", HEAD + frame(HEADERS, END_STREAM, 1) + b"".join(
        frame(CONTINUATION, END_HEADERS if at == 12 else 0, 1, block(((b"grpc-status", b"0"),))[at : at + 1])
        for at in range(13)) + OK),
    ("trailers-that-say-they-are-compressed", "any",
     HEAD + trailers((b"grpc-status", b"0"), (b"grpc-encoding", b"gzip"), (b"content-encoding", b"gzip"))),
    ("an-informational-response-behind-the-head", "any",
     HEAD + frame(HEADERS, END_HEADERS, 1, block(((b":status", b"103"),)))),
    ("informational-responses-with-a-grpc-status", "any",
     frame(HEADERS, END_HEADERS, 1, block(((b":status", b"100"), (b"grpc-status", b"0")))) * 3 + HEAD + OK),
    ("goaway-within-a-call", "any", HEAD + goaway(1, 0) + frame(DATA, 0, 1, message(b"x")) + goaway(1, 0) + OK),
    ("goaway-within-a-message", "any",
     HEAD + frame(DATA, 0, 1, message(b"hello")[:6]) + goaway(1, 0) + frame(DATA, 0, 1, message(b"hello")[6:]) + OK),
    ("goaway-within-a-block", "closes", frame(HEADERS, 0, 1, b"\x88") + goaway(1, 0)),
    ("a-window-to-nothing-in-mid-call", "any",
     HEAD + frame(SETTINGS, 0, 0, b"\0\4\0\0\0\0") + frame(DATA, 0, 1, message(b"x")) + OK),
    ("windows-up-and-down-in-mid-call", "any",
     HEAD + (frame(SETTINGS, 0, 0, b"\0\4\0\0\0\0") + frame(SETTINGS, 0, 0, b"\0\4\x7f\xff\xff\xff")) * 45 + OK),
    ("tables-up-and-down-in-mid-call", "any",
     HEAD + (frame(SETTINGS, 0, 0, b"\0\1\0\0\0\0") + frame(SETTINGS, 0, 0, b"\0\1\xff\xff\xff\xff")) * 45 + OK),
    ("a-frame-size-of-all-and-a-large-frame", "closes",
     frame(SETTINGS, 0, 0, b"\0\5\0\xff\xff\xff") + HEAD + frame(DATA, 0, 1, message(bytes(20_000)))),
    ("a-table-larger-than-allowed", "closes", frame(HEADERS, END_HEADERS, 1, b"\x3f\xff\xff\x7f")),
    ("window-updates-behind-the-end", "any", HEAD + OK + window(1, 1) + window(1, 2**31 - 1) * 2),
    ("an-empty-window-update-behind-the-end", "any", HEAD + OK + window(1, 0)),
    ("an-empty-window-update", "any", HEAD + window(1, 0)),
    ("a-reset-behind-trailers", "any", HEAD + OK + frame(RST_STREAM, 0, 1, b"\0\0\0\2") * 3),
    ("data-that-ends-the-stream", "any", HEAD + frame(DATA, END_STREAM, 1, message(b"x"))),
    ("data-that-ends-the-stream-and-trailers", "any", HEAD + frame(DATA, END_STREAM, 1, message(b"x")) + OK),
    ("alt-svc-and-origin-and-priority-updates", "any",
     HEAD + frame(10, 0, 1, b"\0\0h2") + frame(12, 0, 0, b"\0\1a") + frame(16, 0, 0, b"\0\0\0\1u=1") + OK),
    ("a-status-in-head-and-trailers", "any",
     frame(HEADERS, END_HEADERS, 1, block((*GRPC_RESPONSE, (b"grpc-status", b"0")))) + frame(DATA, 0, 1, message(b"x"))
     + trailers((b"grpc-status", b"13"))),
    ("details-of-two-hundred-kilobytes", "any", HEAD + in_blocks(
        block(((b"grpc-status", b"2"), (b"grpc-status-details-bin", b"A" * 200_000))))),
    ("details-of-details", "any", only((b"grpc-status", b"2"), (b"grpc-status-details-bin", nested_details(9_000)))),
    ("metadata-of-two-thousand-values", "any", frame(HEADERS, END_HEADERS, 1, block(GRPC_RESPONSE) + (
        b"\0" + plain_literal(b"x-bin") + plain_literal(b"AA")) * 1700) + OK),
    ("a-long-content-type", "any", frame(HEADERS, END_HEADERS | END_STREAM, 1, block(
        ((b":status", b"200"), (b"content-type", b"application/grpc+" + b"a" * 14_000), (b"grpc-status", b"0"))))),
    ("a-content-type-with-parameters", "any", frame(HEADERS, END_HEADERS | END_STREAM, 1, block(
        ((b":status", b"200"), (b"content-type", b"application/grpc;" + b"a=b;" * 3_000), (b"grpc-status", b"0"))))),
    ("messages-compressed-to-nothing", "any", lambda: compressed(b"gzip", bomb(0)) + again(
        frame(DATA, 0, 1, message(bomb(0), 1) * 400), 1 << 18)),
    ("gzip-bombs-one-after-the-other", "any", lambda: compressed(b"gzip", bomb(4 << 20)) * 1 + b"".join(
        frame(DATA, 0, 1, message(bomb(4 << 20), 1)) for _ in range(4))),
    ("a-tls-alert-within-a-frame", "any", HEAD[:15] + b"\x15\x03\x03\0\2\1\0"),
    ("names-of-services-without-end", "any",
     HEAD + in_data(message(b"\x32" + plain_length(700_000) + b"\n\5\n\3a.B" * 100_000)) + OK),
    ("files-that-are-none", "any", HEAD + in_data(message(b"\x22\x06\n\x04\xff\xff\xff\xff")) * 3),
    ("files-of-empty-messages", "any", HEAD + in_data(message(
        b"\x22" + plain_length(200_007) + b"\n" + plain_length(200_003) + b"\n\1f" + b"\x22\0" * 100_000))),
    ("states-of-health-without-end", "any",
     HEAD + frame(DATA, 0, 1, (message(b"\x08\1") + message(b"\x08\2")) * 1100) * 8),
    ("a-state-of-health-that-is-not-known", "any", HEAD + frame(DATA, 0, 1, message(b"\x08\xff\xff\xff\xff\x0f"))),
    *((f"{kind}-of-{name}", "any", HEAD * (not is_head) + in_blocks(first + octets, ends=not is_head) + OK)
      for name, octets in LONG_BLOCKS
      for kind, is_head, first in (("a-head", True, block(GRPC_RESPONSE)), ("trailers", False, block(
          ((b"grpc-status", b"2"),))))),
    ("a-head-of-table-sizes", "any", in_blocks(b"\x20" * 100_000 + block(GRPC_RESPONSE), ends=False) + OK),
    ("a-grpc-message-of-escapes", "any", HEAD + in_blocks(
        block(((b"grpc-status", b"2"), (b"grpc-message", b"%41a" * 60_000))))),
    ("a-content-length-of-eighteen-digits", "any",
     frame(HEADERS, END_HEADERS, 1, block((*GRPC_RESPONSE, (b"content-length", b"9" * 18)))) + OK),
    ("compressed-messages-of-no-octets", "any", compressed(b"gzip", b"") + OK),
    ("an-end-within-a-prefix", "any", HEAD + frame(DATA, END_STREAM, 1, b"\0\0")),
    ("a-head-that-never-ends-and-a-reset", "closes",
     frame(HEADERS, 0, 1, b"\x88") + frame(RST_STREAM, 0, 1, b"\0\0\0\x08")),
    ("trailers-in-a-block-that-never-ends", "any", HEAD + frame(HEADERS, END_STREAM, 1, b"")),
    ("a-head-behind-trailers-only", "any", only((b"grpc-status", b"0")) + HEAD),
    ("long-heads-behind-the-end", "any", HEAD + OK + in_blocks(literals(6_000, b"\0", b"\0"), ends=False)),
    ("a-long-head-behind-a-reset", "any",
     frame(RST_STREAM, 0, 1, b"\0\0\0\x08") + in_blocks(literals(6_000, b"\0", b"\0"))),
    ("a-long-head-and-the-end-of-the-connection", "any",
     in_blocks(block(GRPC_RESPONSE) + literals(6_000, b"\0", b"\0")) + goaway(0, 11)),
    ("long-heads-one-after-the-other", "any",
     in_blocks(block(((b":status", b"103"),)) + literals(6_000, b"\0", b"\0"), ends=False) * 30 + HEAD + OK),
    ("a-long-head-that-goes-wrong-at-its-end", "any", in_blocks(
        block(GRPC_RESPONSE) + literals(6_000, b"\0", b"\0") + block(((b"X", b""),)))),
    ("a-long-head-with-an-index-that-is-none-at-its-end", "closes",
     in_blocks(block(GRPC_RESPONSE) + literals(6_000, b"\0", b"\0") + b"\xff\xff\x7f")),
    ("a-coded-string-that-is-none", "any",
     in_blocks(block(GRPC_RESPONSE) + b"\0" + plain_literal(b"a") + coded(b"\xff" * 100_000))),
    ("windows-to-nothing-and-goaways", "any",
     (frame(SETTINGS, 0, 0, b"\0\4\0\0\0\0") + goaway(1, 0)) * 10 + frame(RST_STREAM, 0, 1, b"\0\0\0\7")),
    ("the-largest-window-and-data", "any",
     window(0, 2**31 - 1 - 65535) + window(1, 2**31 - 1 - 65535) + HEAD + frame(DATA, 0, 1, message(b"x")) + OK),
    ("priorities-and-priority-updates-in-turn", "any",
     again(frame(2, 0, 1, bytes(5)) + frame(16, 0, 0, b"\0\0\0\1u=1"))),
    ("details-and-a-message-that-differ", "any", only(
        (b"grpc-status", b"5"), (b"grpc-message", b"one"), (b"grpc-status-details-bin", b"CAISA3R3bw"))),
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


def _unavailable(*fields: tuple[bytes, bytes]) -> bytes:
    return only((b"grpc-status", b"14"), *fields)


EACH: tuple[tuple[str, Callable[[int], bytes]], ...] = (
    ("refuses-each-call", of_stream(frame(RST_STREAM, 0, 1, b"\0\0\0\7"))),
    ("goes-away-at-each-call", lambda _: goaway(0, 0)),
    ("calms-each-call", of_stream(frame(RST_STREAM, 0, 1, b"\0\0\0\x0b"))),
    ("is-never-available", of_stream(_unavailable())),
    ("wants-each-call-again-at-once", of_stream(_unavailable((b"grpc-retry-pushback-ms", b"0")))),
    ("wants-each-call-again-much-later", of_stream(_unavailable((b"grpc-retry-pushback-ms", b"2147483647")))),
    (
        "gives-a-message-and-is-not-available",
        of_stream(HEAD + frame(DATA, 0, 1, message(b"x")) + trailers((b"grpc-status", b"14"))),
    ),
    ("gives-a-head-and-resets", of_stream(HEAD + frame(RST_STREAM, 0, 1, b"\0\0\0\7"))),
    ("forgets-each-call", lambda stream_id: frame(PING, 0, 0, stream_id.to_bytes(8, "big"))),
    ("shuts-its-window-at-each-call", lambda _: frame(SETTINGS, 0, 0, b"\0\4\0\0\0\0\0\3\0\0\0\0")),
)
"""What is done to each call, also those that are made again."""

HOSTILE_SERVERS: tuple[Probe, ...] = (
    *(
        Probe(f"server-{name}", "client", "RFC 9113; PROTOCOL-HTTP2", sound, partial(_pieces, RESPONSE_OPENING, sent))
        for name, sound, sent in SENT
    ),
    *(
        Probe(f"server-opens-with-{name}", "client", "RFC 9113, section 3.4", "any", partial(_pieces, sent, b""))
        for name, sent in OPENINGS
    ),
    *(
        Probe(f"server-{name}", "client", "gRFC A6", "any", octets, answers=answers)
        for name, (octets, answers) in ((name, to_each(make)) for name, make in EACH)
    ),
)
"""Each sends its connection's opening first, and then, to a call, what is wrong."""
