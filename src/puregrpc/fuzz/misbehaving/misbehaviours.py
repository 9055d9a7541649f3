"""What a server does that no server should, by name: each case with what a sound client makes of it.

(RFC 9113; PROTOCOL-HTTP2, "Responses"). A case is a function that is given each conversation after its request.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from puregrpc.fuzz.frames.catalogue import PROBES
from puregrpc.fuzz.frames.probe import (
    ACK,
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
    WINDOW_UPDATE,
    Fields,
    block,
    frame,
    message,
    plain_literal,
    window,
)

__all__ = ["MISBEHAVIOURS", "ORDINARY", "Misbehaviour", "Talk"]

RIGHT = Literal["ok", "error", "any", "handled"]
"""The call succeeds; it fails; either; either, but the program does not break down over it."""


class Talk(Protocol):
    """One connection with one request on it, as a case sees it."""

    stream: int
    """The request's stream."""
    path: str
    """The request's :path; empty where it could not be read."""

    def send(self, octets: bytes) -> None:
        """Send octets as they are. Raises OSError when the client has gone."""

    def wait(self, seconds: float) -> None:
        """Wait, taking what comes; raises OSError when the client has gone."""


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """One way for a server to misbehave."""

    name: str
    about: str
    right: RIGHT
    act: Callable[[Talk], None]
    reference: str = "RFC 9113"
    stalls: bool = False
    """A client without a deadline waits for ever, and may."""
    at: Literal["request", "connect"] = "request"
    """Whether it begins when a request has come, or with the connection, before SETTINGS."""


MISBEHAVIOURS: dict[str, Misbehaviour] = {}
OK_TRAILERS: Fields = ((b"grpc-status", b"0"),)
TRAILERS_ONLY: Fields = (*GRPC_RESPONSE, (b"grpc-status", b"14"))


def headers(stream: int, fields: Fields, flags: int = END_HEADERS) -> bytes:
    """HEADERS of these fields."""
    return frame(HEADERS, flags, stream, block(fields))


def trailers(stream: int, fields: Fields = OK_TRAILERS, flags: int = END_HEADERS | END_STREAM) -> bytes:
    """Trailers."""
    return headers(stream, fields, flags)


def answer(stream: int, body: bytes = b"\0\0\0\0\0", end: Fields = OK_TRAILERS, head: Fields = GRPC_RESPONSE) -> bytes:
    """A response with one empty message, or with what is given."""
    return headers(stream, head) + (frame(DATA, 0, stream, body) if body else b"") + trailers(stream, end)


def add(
    name: str, about: str, right: RIGHT, act: Callable[[Talk], None], reference: str = "RFC 9113", *, stalls: bool = False,
    at: Literal["request", "connect"] = "request",
) -> None:  # fmt: skip
    """Enter a case."""
    MISBEHAVIOURS[name] = Misbehaviour(name, about, right, act, reference, stalls, at)


def says(
    name: str,
    about: str,
    right: RIGHT,
    octets: Callable[[int], bytes],
    reference: str = "RFC 9113",
    *,
    stalls: bool = False,
) -> None:
    """A case that is nothing but octets."""
    add(name, about, right, lambda talk: talk.send(octets(talk.stream)), reference, stalls=stalls)


def reset(stream: int, code: int) -> bytes:
    """RST_STREAM."""
    return frame(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def goaway(last: int, code: int, debug: bytes = b"") -> bytes:
    """GOAWAY."""
    return frame(GOAWAY, 0, 0, last.to_bytes(4, "big") + code.to_bytes(4, "big") + debug)


ORDINARY = Misbehaviour("ordinary", "an ordinary answer", "ok", lambda talk: talk.send(answer(talk.stream)))
MISBEHAVIOURS["ordinary"] = ORDINARY


def then_silence(octets: Callable[[int], bytes], seconds: float = 3600.0) -> Callable[[Talk], None]:
    """Octets, and nothing more for a while; then the connection ends."""

    def act(talk: Talk) -> None:
        talk.send(octets(talk.stream))
        talk.wait(seconds)
        raise ConnectionError

    return act


def in_place(code: int) -> Callable[[int], bytes]:
    """RST_STREAM in place of an answer."""
    return lambda stream: reset(stream, code)


# -- resets

for code, code_name in ((0, "no-error"), (1, "protocol-error"), (2, "internal-error"), (7, "refused-stream"), (8, "cancel"),
                        (11, "enhance-your-calm"), (0xFF, "unknown-code")):  # fmt: skip
    says(f"reset-{code_name}", f"RST_STREAM ({code_name}) in place of an answer", "error", in_place(code))
says(
    "reset-after-headers",
    "RST_STREAM after the response's HEADERS",
    "error",
    lambda s: headers(s, GRPC_RESPONSE) + reset(s, 2),
)
says("reset-in-message", "RST_STREAM in the middle of a message", "error",
     lambda s: headers(s, GRPC_RESPONSE) + frame(DATA, 0, s, b"\0\0\0\0\x09abc") + reset(s, 8))  # fmt: skip
says("reset-after-message", "RST_STREAM in place of trailers", "error",
     lambda s: headers(s, GRPC_RESPONSE) + frame(DATA, 0, s, message(b"")) + reset(s, 2))  # fmt: skip
says("reset-after-trailers", "RST_STREAM (NO_ERROR) after the trailers", "ok", lambda s: answer(s) + reset(s, 0))

# -- GOAWAY

says(
    "goaway-graceful",
    "GOAWAY that covers the call, which is answered",
    "ok",
    lambda s: goaway(2**31 - 1, 0) + answer(s),
)
says("goaway-twice", "GOAWAY for all, then GOAWAY for the call, then the answer", "ok",
     lambda s: goaway(2**31 - 1, 0) + goaway(s, 0) + answer(s))  # fmt: skip
add("goaway-not-covering", "GOAWAY that does not cover the call, always", "error",
    then_silence(lambda _: goaway(0, 0), 0.05))  # fmt: skip
says("goaway-and-silence", "GOAWAY that covers the call, and no answer", "any", lambda s: goaway(s, 0), stalls=True)
add("goaway-enhance-your-calm", "GOAWAY ENHANCE_YOUR_CALM too_many_pings", "error",
    then_silence(lambda _: goaway(0, 11, b"too_many_pings"), 0.0))  # fmt: skip
says(
    "goaway-growing",
    "a second GOAWAY that covers more than the first",
    "any",
    lambda s: goaway(s, 0) + goaway(s + 2, 0) + answer(s),
)
says("goaway-long", "GOAWAY with 16 KiB of debug data", "any", lambda s: goaway(s, 2, b"x" * 16000))
says("goaway-short", "GOAWAY of 4 octets", "error", lambda _: frame(GOAWAY, 0, 0, bytes(4)))

# -- trailers and headers

says("no-trailers", "END_STREAM with DATA", "error",
     lambda s: headers(s, GRPC_RESPONSE) + frame(DATA, END_STREAM, s, message(b"")), "PROTOCOL-HTTP2, Responses")  # fmt: skip
says(
    "no-status",
    "trailers without grpc-status",
    "error",
    lambda s: answer(s, end=((b"x", b"y"),)),
    "PROTOCOL-HTTP2, Responses",
)
says(
    "status-twice", "two grpc-status", "any", lambda s: answer(s, end=((b"grpc-status", b"0"), (b"grpc-status", b"13")))
)
for text in (b"", b"x", b"-1", b"99", b"0x0", b"99999999999999999999", b"\xd9\xa0"):
    says(f"status-{text.hex() or 'empty'}", f"a grpc-status of {text!r}", "error", lambda s, t=text: answer(s, end=((b"grpc-status", t),)),  # type: ignore[misc]
         "PROTOCOL-HTTP2, Responses")  # fmt: skip
says(
    "trailers-open",
    "trailers without END_STREAM",
    "any",
    lambda s: headers(s, GRPC_RESPONSE) + trailers(s, flags=END_HEADERS),
    stalls=True,
)
says("data-after-trailers", "DATA after the trailers", "any", lambda s: answer(s) + frame(DATA, 0, s, message(b"")))
says("trailers-twice", "trailers twice", "any", lambda s: answer(s) + trailers(s, ((b"grpc-status", b"13"),)))
says("no-message", "OK without a message", "error", lambda s: answer(s, b""))
says("trailers-only-ok", "trailers alone, with OK", "error", lambda s: trailers(s, (*GRPC_RESPONSE, *OK_TRAILERS)))
says("two-messages", "two messages for one", "any", lambda s: answer(s, message(b"") * 2))
says("message-percent", "a grpc-message that is badly coded", "error",
     lambda s: trailers(s, (*TRAILERS_ONLY, (b"grpc-message", b"%%%zz%f%C3%28"))))  # fmt: skip
says(
    "message-long",
    "a grpc-message of 60 KB",
    "error",
    lambda s: trailers(s, (*TRAILERS_ONLY, (b"grpc-message", b"%20" * 5000))),
)
says("details-bad", "a grpc-status-details-bin that is no base64", "error",
     lambda s: trailers(s, (*TRAILERS_ONLY, (b"grpc-status-details-bin", b"!!!"))), "grpc-rust#2618")  # fmt: skip
says("details-nonsense", "a grpc-status-details-bin that is no google.rpc.Status", "error",
     lambda s: trailers(s, (*TRAILERS_ONLY, (b"grpc-status-details-bin", b"/////w"))))  # fmt: skip
says(
    "metadata-bad-binary",
    "metadata in -bin that is no base64",
    "any",
    lambda s: answer(s, head=(*GRPC_RESPONSE, (b"x-bin", b"!"))),
)
for status in (b"100", b"204", b"301", b"401", b"404", b"429", b"503", b"999", b"abc", b""):
    says(f"http-{status.decode() or 'empty'}", f"a :status of {status!r}", "error",
         lambda s, t=status: frame(HEADERS, END_HEADERS | END_STREAM, s, block(((b":status", t),))))  # type: ignore[misc]  # fmt: skip
says(
    "no-http-status",
    "a response without :status",
    "error",
    lambda s: answer(s, head=((b"content-type", b"application/grpc"),)),
)
says("http-status-twice", "two :status", "error", lambda s: answer(s, head=((b":status", b"200"), *GRPC_RESPONSE)))
says("html", "a page of HTML", "error",
     lambda s: headers(s, ((b":status", b"200"), (b"content-type", b"text/html"))) + frame(DATA, END_STREAM, s, b"<p>no</p>"))  # fmt: skip
says("informational", "a hundred 103 responses", "any", lambda s: headers(s, ((b":status", b"103"),)) * 100 + answer(s))
says(
    "headers-upper-case",
    "a field name in capitals",
    "any",
    lambda s: answer(s, head=(*GRPC_RESPONSE, (b"X-Upper", b"1"))),
)
says(
    "headers-connection",
    "the field connection",
    "any",
    lambda s: answer(s, head=(*GRPC_RESPONSE, (b"connection", b"close"))),
)
says("headers-many", "a thousand fields", "any", lambda s: answer(s, head=GRPC_RESPONSE + ((b"x", b"y"),) * 1000))
says(
    "headers-without-end",
    "a header block that does not end",
    "any",
    lambda s: frame(HEADERS, 0, s, block(GRPC_RESPONSE)),
    stalls=True,
)
says("headers-interrupted", "a frame between HEADERS and CONTINUATION", "error",
     lambda s: frame(HEADERS, 0, s, block(GRPC_RESPONSE)) + frame(PING, 0, 0, bytes(8)))  # fmt: skip
says(
    "hpack-bad-index",
    "an index beyond the table",
    "error",
    lambda s: frame(HEADERS, END_HEADERS, s, b"\xff\xff\xff\x7f"),
)
says("hpack-bad-huffman", "a string that is no Huffman code", "error",
     lambda s: frame(HEADERS, END_HEADERS, s, b"\x00\x84\xff\xff\xff\xff\x01a"))  # fmt: skip
says("hpack-table-size", "a table size update over what was allowed", "error",
     lambda s: frame(HEADERS, END_HEADERS, s, b"\x3f\xff\xff\xff\x07"))  # fmt: skip
says(
    "content-length",
    "a content-length that lies",
    "any",
    lambda s: answer(s, head=(*GRPC_RESPONSE, (b"content-length", b"3"))),
)

# -- messages and frames

says("length-beyond-end", "a message shorter than its prefix says", "error", lambda s: answer(s, b"\0\0\0\0\x09abc"))
says("length-cut", "a prefix that is cut", "error", lambda s: answer(s, b"\0\0"))
says("length-huge", "a prefix of 4 GiB", "error", lambda s: answer(s, b"\0\xff\xff\xff\xff"))
says("length-huge-and-silence", "a prefix of 2 GiB, and nothing", "any",
     lambda s: headers(s, GRPC_RESPONSE) + frame(DATA, 0, s, b"\0\x7f\xff\xff\xff"), stalls=True)  # fmt: skip
says(
    "not-protobuf", "a message that is no protobuf", "error", lambda s: answer(s, message(b"\xff\xff\xff\xff\xff\xff"))
)
says(
    "flag-without-encoding",
    "flagged as compressed without grpc-encoding",
    "error",
    lambda s: answer(s, message(b"abc", 1)),
)
says("flag-unknown", "a prefix with the flags 2", "any", lambda s: answer(s, message(b"", 2)))
says("encoding-unknown", "an encoding that nobody knows", "error",
     lambda s: answer(s, message(b"abc", 1), head=(*GRPC_RESPONSE, (b"grpc-encoding", b"snappy2"))))  # fmt: skip
GZIP: Fields = (*GRPC_RESPONSE, (b"grpc-encoding", b"gzip"))
says("gzip-bad", "gzip that is none", "error", lambda s: answer(s, message(b"abc", 1), head=GZIP))
says(
    "gzip-cut", "gzip that is cut", "error", lambda s: answer(s, message(gzip.compress(b"abc" * 50)[:-9], 1), head=GZIP)
)


def _bomb(stream: int) -> bytes:
    deflater = zlib.compressobj(9, wbits=31)
    octets = b"".join(deflater.compress(bytes(1 << 20)) for _ in range(256)) + deflater.flush()
    body = message(octets, 1)
    frames = b"".join(frame(DATA, 0, stream, body[at : at + 16000]) for at in range(0, 64000, 16000))
    if len(body) > 64000:
        # What is beyond the client's first window waits for it; the beginning is enough to inflate 60 MiB.
        return headers(stream, GZIP) + frames
    return headers(stream, GZIP) + frames + trailers(stream)


says("gzip-bomb", "gzip of 256 MiB of zeros, as much as a window takes", "any", _bomb, "CVE-2024-37168", stalls=True)
says(
    "frame-too-large",
    "a frame of 1 MiB",
    "error",
    lambda s: headers(s, GRPC_RESPONSE) + b"\x10\0\0\0\0" + s.to_bytes(4, "big") + bytes(1 << 20),
)
says("data-on-stream-0", "DATA on stream 0", "error", lambda _: frame(DATA, 0, 0, b"abc"))
says("data-before-headers", "DATA before HEADERS", "error", lambda s: frame(DATA, 0, s, message(b"")) + answer(s))
says(
    "data-idle-stream",
    "DATA on a stream that was never opened",
    "error",
    lambda s: frame(DATA, 0, s + 100, message(b"")),
)
says("padding-too-long", "padding larger than its frame", "error",
     lambda s: headers(s, GRPC_RESPONSE) + frame(DATA, PADDED, s, b"\xffabc"))  # fmt: skip
says("padded", "an answer with padding", "ok",
     lambda s: headers(s, GRPC_RESPONSE) + frame(DATA, PADDED, s, b"\x04" + message(b"") + bytes(4)) + trailers(s))  # fmt: skip
says("window-overrun", "DATA beyond every window", "any",
     lambda s: headers(s, GRPC_RESPONSE) + frame(DATA, 0, s, b"\0\0\x3f\xff\xff" + bytes(16000)) + frame(DATA, 0, s, bytes(16384)) * 500)  # fmt: skip
says("window-update-zero", "WINDOW_UPDATE of 0 octets", "error", lambda _: window(0, 0))
says("window-overflow", "a window beyond 2^31-1", "error", lambda _: window(0, 2**31 - 1) * 2)
says("window-update-short", "WINDOW_UPDATE of 3 octets", "error", lambda s: frame(WINDOW_UPDATE, 0, s, bytes(3)))
says("push", "PUSH_PROMISE", "error", lambda s: frame(PUSH_PROMISE, END_HEADERS, s, b"\0\0\0\2" + block(GRPC_RESPONSE)))
says("unknown-frames", "frames of unknown types around the answer", "ok",
     lambda s: frame(0xFA, 0xFF, s, b"abc") + answer(s) + frame(0xFB, 0, 0, b""))  # fmt: skip
says("settings-bad-size", "SETTINGS of 5 octets", "error", lambda _: frame(SETTINGS, 0, 0, bytes(5)))
says(
    "settings-bad-frame-size",
    "a MAX_FRAME_SIZE of 0",
    "error",
    lambda _: frame(SETTINGS, 0, 0, b"\0\5\0\0\0\0"),
    "CVE-2026-33814",
)
says(
    "settings-bad-window",
    "an INITIAL_WINDOW_SIZE beyond 2^31-1",
    "error",
    lambda _: frame(SETTINGS, 0, 0, b"\0\4\xff\xff\xff\xff"),
)
says(
    "settings-no-streams",
    "MAX_CONCURRENT_STREAMS of 0, then the answer",
    "ok",
    lambda s: frame(SETTINGS, 0, 0, b"\0\3\0\0\0\0") + answer(s),
)
says(
    "settings-no-headers",
    "a MAX_HEADER_LIST_SIZE of 0, then the answer",
    "ok",
    lambda s: frame(SETTINGS, 0, 0, b"\0\6\0\0\0\0") + answer(s),
)
says("ping-bad-size", "PING of 7 octets", "error", lambda _: frame(PING, 0, 0, bytes(7)))
says(
    "ping-answer-unasked", "a PING ACK that nobody asked for", "ok", lambda s: frame(PING, ACK, 0, bytes(8)) + answer(s)
)
says("continuation-alone", "CONTINUATION without HEADERS", "error", lambda s: frame(CONTINUATION, END_HEADERS, s, b""))
says("long-continuations", "a header block of 1 MiB in CONTINUATION frames", "error",
     lambda s: frame(HEADERS, 0, s, block(GRPC_RESPONSE))
     + frame(CONTINUATION, 0, s, b"\x00" + plain_literal(b"x") + plain_literal(b"a" * 16000)) * 64, "CVE-2024-27316")  # fmt: skip

# -- stalls


def _end(talk: Talk) -> None:
    """The connection ends: a case that returns closes it, unless it waits."""
    talk.wait(0)


def _slowly(talk: Talk) -> None:
    for octet in answer(talk.stream):
        talk.send(bytes((octet,)))
        talk.wait(0.005)


add("silence", "no answer at all", "any", lambda talk: talk.wait(3600), stalls=True)
add("silence-after-headers", "HEADERS, and nothing more", "any",
    then_silence(lambda s: headers(s, GRPC_RESPONSE)), stalls=True)  # fmt: skip
add("silence-in-message", "half a message, and nothing more", "any",
    then_silence(lambda s: headers(s, GRPC_RESPONSE) + frame(DATA, 0, s, b"\0\0\0")), stalls=True)  # fmt: skip
add("octet-by-octet", "the answer octet by octet", "ok", _slowly)
add("close", "the connection is closed in place of an answer", "error", lambda talk: _end(talk))
add(
    "close-in-frame",
    "the connection is closed inside a frame",
    "error",
    lambda talk: talk.send(answer(talk.stream)[:20]),
)
add(
    "close-after-answer",
    "the connection is closed behind the answer",
    "ok",
    lambda talk: talk.send(answer(talk.stream)),
)

# -- before any request

add(
    "accept-and-close",
    "connections are closed as soon as they are made",
    "error",
    lambda talk: _end(talk),
    at="connect",
)
add(
    "accept-and-silence",
    "connections at which nothing is said",
    "any",
    lambda talk: talk.wait(3600),
    stalls=True,
    at="connect",
)
add("http1", "an answer of HTTP/1.1", "error",
    lambda talk: talk.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"), at="connect")  # fmt: skip
add(
    "tls-alert",
    "a TLS alert to a plaintext client",
    "error",
    lambda talk: talk.send(bytes.fromhex("15030300020228")),
    at="connect",
)
add(
    "tls-hello",
    "a TLS hello to a plaintext client",
    "error",
    lambda talk: talk.send(bytes.fromhex("160303002a") + bytes(42)),
    at="connect",
)
add("nonsense", "octets that are nothing", "error", lambda talk: talk.send(bytes(range(256)) * 4), at="connect")
add("no-settings", "PING before SETTINGS", "error", lambda talk: talk.send(frame(PING, 0, 0, bytes(8))), at="connect")


def _flood(octets: Callable[[], Iterator[bytes]]) -> Callable[[Talk], None]:
    def act(talk: Talk) -> None:
        for piece in octets():
            talk.send(piece)
        talk.wait(0.5)

    return act


for probe in PROBES:
    if probe.to == "client":
        add(
            probe.name,
            probe.name.replace("-", " "),
            "any",
            _flood(probe.octets),
            probe.reference,
            at="connect",
            stalls=True,
        )
