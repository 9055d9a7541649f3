"""Crowds: what each of a thousand connections sends, so that a server holds as much as it can be made to; or what each
of thousands sends that come one after the other."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from puregrpc.fuzz.frames.probe import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GRPC_REQUEST,
    HEADERS,
    OPENING,
    PING,
    PREFACE,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    Handlers,
    block,
    frame,
    indexed,
    message,
    opening,
    plain_literal,
    window,
)

__all__ = ["CROWDS", "PASSING", "Crowd"]

FIRST, NEXT = indexed(GRPC_REQUEST)


class Crowd(NamedTuple):
    """What each connection of a crowd does."""

    name: str
    octets: Callable[[], Iterator[bytes]]
    handlers: Handlers = "echo"
    reads: int | None = None
    """Octets that it reads in a second of what the server sends; None: all of it."""
    ends_within: float | None = None
    """So many seconds after it began every connection is over."""
    has_tls: bool = False
    """The server has TLS."""


def tiny_messages() -> Iterator[bytes]:
    """Empty messages for a handler that does not read."""
    yield OPENING + frame(HEADERS, END_HEADERS, 1, FIRST)
    for _ in range(4):
        yield frame(DATA, 0, 1, message(b"") * 3200)


def tiny_messages_on_streams() -> Iterator[bytes]:
    yield OPENING + frame(HEADERS, END_HEADERS, 1, FIRST)
    for number in range(3, 43, 2):
        yield frame(HEADERS, END_HEADERS, number, NEXT) + frame(DATA, 0, number, message(b"x") * 2700) * 4


def parts_of_messages() -> Iterator[bytes]:
    """Messages of 4 MiB that are never whole."""
    yield OPENING + frame(HEADERS, END_HEADERS, 1, FIRST)
    for number in range(3, 23, 2):
        yield frame(HEADERS, END_HEADERS, number, NEXT) + frame(DATA, 0, number, b"\0\0\x40\0\0" + bytes(16000))
        yield frame(DATA, 0, number, bytes(16384)) * 2


def parts_octet_by_octet() -> Iterator[bytes]:
    """A message's part that comes in frames of few octets."""
    yield OPENING + frame(HEADERS, END_HEADERS, 1, FIRST) + frame(DATA, 0, 1, b"\0\0\x40\0\0")
    for _ in range(20):
        yield frame(DATA, 0, 1, b"x") * 500


def large_messages() -> Iterator[bytes]:
    """Messages of 60,000 octets for handlers that do not read."""
    yield OPENING + frame(HEADERS, END_HEADERS, 1, FIRST)
    for number in range(3, 23, 2):
        whole = message(bytes(60_000))
        yield frame(HEADERS, END_HEADERS, number, NEXT) + b"".join(
            frame(DATA, 0, number, whole[at : at + 16384]) for at in range(0, len(whole), 16384)
        )


def large_answers() -> Iterator[bytes]:
    """Requests for answers of 400,000 octets, for which there is no window."""
    yield opening(INITIAL_WINDOW_SIZE=0) + small_requests(range(1, 43, 2))


def large_answers_with_windows() -> Iterator[bytes]:
    """The same with all windows open."""
    yield opening(INITIAL_WINDOW_SIZE=2**31 - 1) + window(0, 2**30) + small_requests(range(1, 43, 2))


def small_requests(numbers: Iterable[int]) -> bytes:
    """Whole requests, the first of which fills the dynamic table."""
    return b"".join(
        frame(HEADERS, END_HEADERS, number, FIRST if number == 1 else NEXT)
        + frame(DATA, END_STREAM, number, message(b"x"))
        for number in numbers
    )


def long_statuses() -> Iterator[bytes]:
    """Calls of unknown methods with long names, which come back in the status."""
    first, following = indexed((*GRPC_REQUEST[:2], (b":path", b"/" + b"%" * 3900), *GRPC_REQUEST[3:]))
    yield OPENING + frame(HEADERS, END_HEADERS | END_STREAM, 1, first)
    for at in range(3, 2003, 200):
        yield b"".join(frame(HEADERS, END_HEADERS | END_STREAM, number, following) for number in range(at, at + 200, 2))


def pings() -> Iterator[bytes]:
    yield OPENING
    for _ in range(20):
        yield frame(PING, 0, 0, bytes(8)) * 90


def first_requests() -> Iterator[bytes]:
    """One small request each, all at once."""
    yield OPENING + small_requests((1,))


def frames_of_every_type() -> Iterator[bytes]:
    """Frames of all unknown types, of PRIORITY, and of a setting that there is not."""
    yield OPENING
    for kind in range(0x0A, 0x100):
        yield frame(kind, 0xFF, 0, bytes(64))
    for number in range(1, 41, 2):
        yield frame(PRIORITY, 0, number, bytes(5)) + frame(SETTINGS, 0, 0, b"\xf0\xf0" + bytes(4))


def nothing() -> Iterator[bytes]:
    yield b""


def half_prefaces() -> Iterator[bytes]:
    yield PREFACE[:10]


def half_frames() -> Iterator[bytes]:
    yield OPENING + frame(0xFB, 0, 0, bytes(16384))[:-1]


def half_data_frames() -> Iterator[bytes]:
    yield OPENING + frame(HEADERS, END_HEADERS, 1, FIRST) + frame(DATA, 0, 1, bytes(16384))[:-1]


def half_header_blocks() -> Iterator[bytes]:
    """Header blocks of nearly the largest size that are not ended."""
    yield OPENING + frame(HEADERS, 0, 1, FIRST)
    for _ in range(3):
        yield frame(CONTINUATION, 0, 1, b"\0" + plain_literal(b"x") + plain_literal(bytes(16000)))
    yield frame(CONTINUATION, 0, 1, b"\0" + plain_literal(b"x") + plain_literal(bytes(15000)))


def long_header_blocks() -> Iterator[bytes]:
    """Requests with more fields than are taken, in blocks of 48 KB, again and again."""
    fields = (b"\0" + plain_literal(b"x" * 50) + plain_literal(b"")) * 900
    octets = FIRST + fields[: 3 * 16384 - len(FIRST)]
    octets = octets[: len(FIRST) + (len(octets) - len(FIRST)) // 53 * 53]
    yield OPENING
    for number in range(1, 81, 2):
        yield frame(HEADERS, END_STREAM, number, octets[:16384]) + frame(CONTINUATION, 0, number, octets[16384:32768])
        yield frame(CONTINUATION, END_HEADERS, number, octets[32768:])


def full_header_tables() -> Iterator[bytes]:
    """HPACK tables full of the smallest fields."""
    fields = b"".join(b"\x40" + plain_literal(b"") + plain_literal(b"") for _ in range(128))
    yield OPENING + frame(HEADERS, END_HEADERS | END_STREAM, 1, fields)


def large_metadata() -> Iterator[bytes]:
    """Calls with as much metadata as is allowed, of the smallest fields."""
    fields = tuple((b"x%d" % number, b"") for number in range(400))
    yield OPENING + frame(HEADERS, END_HEADERS, 1, FIRST)
    large = block((*GRPC_REQUEST, *fields))
    for number in range(3, 63, 2):
        yield frame(HEADERS, END_HEADERS, number, large)


def open_calls() -> Iterator[bytes]:
    yield OPENING + frame(HEADERS, END_HEADERS, 1, FIRST)
    for at in range(3, 2001, 200):
        yield b"".join(frame(HEADERS, END_HEADERS, number, NEXT) for number in range(at, min(at + 200, 2001), 2))


def foreign_requests() -> Iterator[bytes]:
    """Requests that are not gRPC's and do not end."""
    first, following = indexed(((b":method", b"GET"), *GRPC_REQUEST[1:]))
    yield OPENING + frame(HEADERS, END_HEADERS, 1, first)
    for at in range(3, 1603, 200):
        yield b"".join(frame(HEADERS, END_HEADERS, number, following) for number in range(at, at + 200, 2))


def resets_to_remember() -> Iterator[bytes]:
    """Calls whose deadlines pass at once, which the server resets."""
    first, following = indexed((*GRPC_REQUEST, (b"grpc-timeout", b"1n")))
    yield OPENING + frame(HEADERS, END_HEADERS, 1, first)
    for at in range(3, 2803, 200):
        yield b"".join(frame(HEADERS, END_HEADERS, number, following) for number in range(at, at + 200, 2))


def windows_octet_by_octet() -> Iterator[bytes]:
    yield opening(INITIAL_WINDOW_SIZE=0) + small_requests((1,))
    for _ in range(200):
        yield window(1, 1)


def gzip_messages() -> Iterator[bytes]:
    """Small compressed messages that inflate to a thousand times as much, for handlers that do not read."""
    deflater = zlib.compressobj(9, wbits=31)
    small = message(deflater.compress(bytes(1 << 20)) + deflater.flush(), 1)
    yield OPENING + frame(HEADERS, END_HEADERS, 1, block((*GRPC_REQUEST, (b"grpc-encoding", b"gzip"))))
    for _ in range(40):
        yield frame(DATA, 0, 1, small)


def gzip_bombs() -> Iterator[bytes]:
    """Compressed requests that become a thousand times as much, as do their answers, for which there is no window."""
    deflater = zlib.compressobj(9, wbits=31)
    bomb = message(deflater.compress(bytes(4 << 20)) + deflater.flush(), 1)
    first, following = indexed((*GRPC_REQUEST, (b"grpc-encoding", b"gzip")))
    yield opening(INITIAL_WINDOW_SIZE=0)
    for number, fields in ((1, first), (3, following)):
        yield frame(HEADERS, END_HEADERS, number, fields) + frame(DATA, END_STREAM, number, bomb)


def small_bombs() -> Iterator[bytes]:
    """Compressed requests of 120 and of 500 octets that are sent back inflated, for which there is no window."""
    first, following = indexed((*GRPC_REQUEST, (b"grpc-encoding", b"gzip")))
    yield opening(INITIAL_WINDOW_SIZE=0)
    for number in range(1, 41, 2):
        deflater = zlib.compressobj(9, wbits=31)
        size = 480_000 if number % 4 == 1 else 100_000
        bomb = message(deflater.compress(bytes(size)) + deflater.flush(), 1)
        fields = first if number == 1 else following
        yield frame(HEADERS, END_HEADERS, number, fields) + frame(DATA, END_STREAM, number, bomb)


def echoes_beneath_what_is_guaranteed() -> Iterator[bytes]:
    """Requests of 20,000 octets that are sent back, for which there is no window."""
    yield opening(INITIAL_WINDOW_SIZE=0)
    for number in range(1, 81, 2):
        head = frame(HEADERS, END_HEADERS, number, FIRST if number == 1 else NEXT)
        yield head + in_data(number, message(b"x" * 20_000), END_STREAM)


def small_answers() -> Iterator[bytes]:
    """Requests of nothing, for whose answers there is no window: each holds five octets, its trailers and its call."""
    yield opening(INITIAL_WINDOW_SIZE=0)
    for at in range(1, 1001, 100):
        yield small_requests(range(at, at + 100, 2))


def answers_of_four_kilobytes() -> Iterator[bytes]:
    """Which is the most that nobody foresees."""
    yield opening(INITIAL_WINDOW_SIZE=0)
    for number in range(1, 201, 2):
        head = frame(HEADERS, END_HEADERS, number, FIRST if number == 1 else NEXT)
        yield head + frame(DATA, END_STREAM, number, message(bytes(4096)))


def calls_that_change_places() -> Iterator[bytes]:
    """Calls that stay open, and are reset for others, slowly enough."""
    yield OPENING + frame(HEADERS, END_HEADERS, 1, FIRST)
    yield b"".join(frame(HEADERS, END_HEADERS, number, NEXT) for number in range(3, 201, 2))
    for number in range(201, 601, 2):
        yield frame(RST_STREAM, 0, number - 200, b"\0\0\0\x08") + frame(HEADERS, END_HEADERS, number, NEXT)


def windows_that_close_under_answers() -> Iterator[bytes]:
    """Large answers that begin to go, until their windows are far below nought."""
    yield opening(INITIAL_WINDOW_SIZE=60_000) + small_requests(range(1, 43, 2))
    yield frame(SETTINGS, 0, 0, b"\0\4\0\0\0\0")


def of_service(path: bytes, octets: bytes) -> Iterator[bytes]:
    """A hundred calls of a service that stay open."""
    first, following = indexed((*GRPC_REQUEST[:2], (b":path", path), *GRPC_REQUEST[3:]))
    yield OPENING + frame(HEADERS, END_HEADERS, 1, first) + frame(DATA, 0, 1, octets)
    for number in range(3, 203, 2):
        yield frame(HEADERS, END_HEADERS, number, following) + frame(DATA, 0, number, octets)


def health_watches() -> Iterator[bytes]:
    yield from of_service(b"/grpc.health.v1.Health/Watch", message(b"\n\5hello"))


def reflection_streams() -> Iterator[bytes]:
    """Which ask for all services."""
    yield from of_service(b"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", message(b"\x3a\0"))


def in_data(stream_id: int, octets: bytes, flags: int = 0) -> bytes:
    """Octets in frames of DATA, the last of which has the flags."""
    size = 1 << 14
    return b"".join(
        frame(DATA, flags if at + size >= len(octets) else 0, stream_id, octets[at : at + size])
        for at in range(0, len(octets), size)
    )


def with_long_names(path: bytes, name: bytes, flags: int = 0) -> Iterator[bytes]:
    """Calls of a service that ask for names of 30,000 octets, and stay open."""
    first, following = indexed((*GRPC_REQUEST[:2], (b":path", path), *GRPC_REQUEST[3:]))
    asked = message(name + b"\xb0\xea\1" + b"n" * 30_000)
    yield OPENING
    for number in range(1, 41, 2):
        head = frame(HEADERS, END_HEADERS, number, first if number == 1 else following)
        yield head + in_data(number, asked, flags)


def health_watches_of_long_names() -> Iterator[bytes]:
    yield from with_long_names(b"/grpc.health.v1.Health/Watch", b"\n", END_STREAM)


def reflection_of_long_names() -> Iterator[bytes]:
    """Symbols."""
    yield from with_long_names(b"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", b"\x22")


def long_heads(name: bytes, value: bytes) -> Iterator[bytes]:
    """Calls with a field of the request that is as long as allowed, anew for each."""
    fields = tuple((each, value if each == name else text) for each, text in GRPC_REQUEST)
    large = block(fields if name in dict(GRPC_REQUEST) else (*fields, (name, value)))
    yield OPENING
    for number in range(1, 200, 2):
        yield frame(HEADERS, END_HEADERS, number, large)


def long_authorities() -> Iterator[bytes]:
    yield from long_heads(b":authority", b"a" * 14_000)


def long_subtypes() -> Iterator[bytes]:
    yield from long_heads(b"content-type", b"application/grpc+" + b"a" * 14_000)


def long_user_agents() -> Iterator[bytes]:
    yield from long_heads(b"user-agent", b"a" * 14_000)


def binary_metadata() -> Iterator[bytes]:
    """Calls with as many values in one field of binary metadata as are allowed, and that again and again."""
    fields = tuple((b"x-bin", b"," * 127) for _ in range(60))
    yield OPENING + frame(HEADERS, END_HEADERS, 1, FIRST)
    large = block((*GRPC_REQUEST, *fields))
    for number in range(3, 63, 2):
        yield frame(HEADERS, END_HEADERS, number, large)


def tls_hellos() -> Iterator[bytes]:
    """The first octet of a TLS handshake, to a server without TLS."""
    yield b"\x16"


def half_of_a_tls_hello() -> Iterator[bytes]:
    yield tls_hello()[:100]


def nothing_behind_a_tls_hello() -> Iterator[bytes]:
    yield tls_hello()


def tls_hello() -> bytes:
    """The first thing that a client says."""
    import ssl  # where there is none, there is no TLS

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2"])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


HALF_OPEN = 30.0
"""When the last connection is over that has not done its handshake, in seconds: some after HANDSHAKE_TIMEOUT."""

CROWDS: tuple[Crowd, ...] = (
    Crowd("nothing", nothing),
    Crowd("first-requests", first_requests),
    Crowd("frames-of-every-type", frames_of_every_type),
    Crowd("half-prefaces", half_prefaces),
    Crowd("half-frames", half_frames),
    Crowd("half-data-frames", half_data_frames, "deaf"),
    Crowd("half-header-blocks", half_header_blocks),
    Crowd("long-header-blocks", long_header_blocks),
    Crowd("full-header-tables", full_header_tables),
    Crowd("large-metadata", large_metadata, "deaf"),
    Crowd("tiny-messages", tiny_messages, "deaf"),
    Crowd("tiny-messages-on-streams", tiny_messages_on_streams, "deaf"),
    Crowd("parts-of-messages", parts_of_messages, "deaf"),
    Crowd("parts-octet-by-octet", parts_octet_by_octet, "deaf"),
    Crowd("large-messages", large_messages, "deaf"),
    Crowd("gzip-messages", gzip_messages, "deaf"),
    Crowd("gzip-bombs", gzip_bombs),
    Crowd("small-gzip-bombs", small_bombs),
    Crowd("echoes-beneath-what-is-guaranteed", echoes_beneath_what_is_guaranteed),
    Crowd("small-answers-into-no-window", small_answers),
    Crowd("answers-of-four-kilobytes", answers_of_four_kilobytes),
    Crowd("calls-that-change-places", calls_that_change_places, "deaf"),
    Crowd("windows-that-close-under-answers", windows_that_close_under_answers, "large"),
    Crowd("open-calls", open_calls, "deaf"),
    Crowd("foreign-requests", foreign_requests),
    Crowd("health-watches", health_watches),
    Crowd("reflection-streams", reflection_streams),
    Crowd("health-watches-of-long-names", health_watches_of_long_names),
    Crowd("reflection-of-long-names", reflection_of_long_names),
    Crowd("long-authorities", long_authorities, "deaf"),
    Crowd("long-subtypes", long_subtypes, "deaf"),
    Crowd("long-user-agents", long_user_agents, "deaf"),
    Crowd("binary-metadata", binary_metadata, "deaf"),
    Crowd("tls-hellos", tls_hellos),
    Crowd("resets-to-remember", resets_to_remember, "deaf"),
    Crowd("large-answers", large_answers, "large"),
    Crowd("large-answers-that-come-late", large_answers, "late"),
    Crowd("large-answers-that-come-late-and-are-not-read", large_answers_with_windows, "late", 0),
    Crowd("large-answers-that-are-not-read", large_answers_with_windows, "large", 0),
    Crowd("large-answers-that-are-read-slowly", large_answers_with_windows, "large", 1000),
    Crowd("windows-octet-by-octet", windows_octet_by_octet, "large"),
    Crowd("long-statuses-that-are-not-read", long_statuses, "fail", 0),
    Crowd("pings-whose-answers-are-not-read", pings, "echo", 0),
    Crowd("half-open-tls", nothing, ends_within=HALF_OPEN, has_tls=True),
    Crowd("half-of-a-tls-hello", half_of_a_tls_hello, ends_within=HALF_OPEN, has_tls=True),
    Crowd("nothing-behind-a-tls-hello", nothing_behind_a_tls_hello, ends_within=HALF_OPEN, has_tls=True),
)

PASSING: tuple[Crowd, ...] = (
    Crowd("connections-that-say-nothing", nothing),
    Crowd("connections-with-one-request", first_requests),
    Crowd("connections-with-half-a-frame", half_data_frames, "deaf"),
)
"""Each of these connections is dropped once it has sent that and something came for it, and others follow by the
thousand: what one leaves behind, all leave."""
