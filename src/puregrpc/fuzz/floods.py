"""Floods: frames that cost the receiver more than the sender, without end. Each sends about a megabyte."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from puregrpc.fuzz.probe import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    GRPC_REQUEST,
    GRPC_RESPONSE,
    HEADERS,
    OPENING,
    PADDED,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    SETTINGS_ACK,
    Fields,
    Handlers,
    Probe,
    Sound,
    block,
    frame,
    indexed,
    message,
    opening,
    plain_integer,
    plain_literal,
    window,
)

__all__ = ["FLOODS"]

FLOOD_SIZE = 1 << 20
PIECE = 1 << 16
FIRST_REQUEST, NEXT_REQUEST = indexed(GRPC_REQUEST)

FLOODS: list[Probe] = []


def flood(
    reference: str,
    sound: Sound,
    *,
    handlers: Handlers = "echo",
    takes_output: bool = True,
    limits: tuple[str, ...] = (),
    to_client: bool = False,
) -> Callable[[Callable[[], Iterator[bytes]]], Callable[[], Iterator[bytes]]]:
    """Enter a generator of octets into the catalogue, under its own name."""

    def enter(octets: Callable[[], Iterator[bytes]]) -> Callable[[], Iterator[bytes]]:
        name = octets.__name__.replace("_", "-")
        FLOODS.append(
            Probe(name, "client" if to_client else "server", reference, sound, octets, handlers, takes_output, limits)
        )
        return octets

    return enter


def repeated(octets: bytes, *, first: bytes = OPENING, size: int = FLOOD_SIZE) -> Iterator[bytes]:
    """The same octets again and again."""
    yield first
    times = max(PIECE // len(octets), 1)
    for _ in range(max(size // (times * len(octets)), 1)):
        yield octets * times


def on_streams(
    make: Callable[[int], bytes], *, first: bytes = OPENING, start: int = 1, size: int = FLOOD_SIZE
) -> Iterator[bytes]:
    """What ``make`` gives for one stream after the other."""
    yield first
    stream_id, sent = start, 0
    while sent < size:
        piece = bytearray()
        while len(piece) < PIECE:
            piece += make(stream_id)
            stream_id += 2
        sent += len(piece)
        yield bytes(piece)


def begun(*more: bytes, flags: int = 0) -> bytes:
    """An opening, and a first request on stream 1 that fills the dynamic table."""
    return OPENING + frame(HEADERS, END_HEADERS | flags, 1, FIRST_REQUEST) + b"".join(more)


# -- frames that belong to no call


@flood("CVE-2019-9515", "closes", limits=("SETTINGS_FRAMES",))
def settings_frames() -> Iterator[bytes]:
    yield from repeated(frame(SETTINGS, 0, 0))


@flood("CVE-2019-9515", "closes", limits=("SETTINGS_FRAMES",), handlers="deaf")
def settings_that_move_every_window() -> Iterator[bytes]:
    yield begun(flags=END_STREAM)
    yield b"".join(frame(HEADERS, END_HEADERS, number, NEXT_REQUEST) for number in range(3, 1999, 2))
    yield from repeated(
        frame(SETTINGS, 0, 0, b"\0\4\0\0\0\1") + frame(SETTINGS, 0, 0, b"\0\4\0\1\0\0"), first=SETTINGS_ACK
    )


@flood("RFC 9113, section 6.5.2", "closes", limits=("MAX_SETTINGS_IN_FRAME",))
def settings_in_one_frame() -> Iterator[bytes]:
    yield from repeated(frame(SETTINGS, 0, 0, b"\0\4\0\0\xff\xff" * 2730))


@flood("RFC 9113, section 6.5.3", "closes", limits=("SETTINGS_ACKNOWLEDGEMENTS",))
def settings_acknowledgements() -> Iterator[bytes]:
    yield from repeated(SETTINGS_ACK)


@flood("CVE-2019-9512", "closes", limits=("PINGS", "MAX_PING_STRIKES", "MIN_PING_INTERVAL_WITHOUT_CALLS"))
def pings() -> Iterator[bytes]:
    yield from repeated(frame(PING, 0, 0, bytes(8)))


@flood("CVE-2019-9512", "closes", takes_output=False, limits=("MAX_UNSENT_REPLIES",))
def pings_whose_answers_are_not_read() -> Iterator[bytes]:
    yield from repeated(frame(PING, 0, 0, bytes(8)))


@flood("RFC 9113, section 6.7", "closes", limits=("PING_ACKNOWLEDGEMENTS",))
def ping_acknowledgements() -> Iterator[bytes]:
    yield from repeated(frame(PING, ACK, 0, bytes(8)))


@flood("RFC 9113, section 6.9", "closes", limits=("MAX_WINDOW_UPDATES",))
def window_updates() -> Iterator[bytes]:
    yield from repeated(window(0, 1))


@flood("RFC 9113, section 6.9", "closes", handlers="deaf", limits=("MAX_WINDOW_UPDATES",))
def window_updates_of_a_stream() -> Iterator[bytes]:
    yield from repeated(window(1, 1), first=begun())


@flood("CVE-2019-9513", "closes", limits=("PRIORITY_FRAMES",))
def priorities() -> Iterator[bytes]:
    yield from on_streams(lambda stream_id: frame(PRIORITY, 0, stream_id, b"\0\0\0\0\x10"))


@flood("RFC 9113, section 4.2", "closes", limits=("MAX_FRAME_SIZE",))
def frames_that_are_too_large() -> Iterator[bytes]:
    yield OPENING
    yield (1 << 20).to_bytes(3, "big") + bytes((DATA, 0, 0, 0, 0, 1)) + bytes(1 << 20)


@flood("RFC 9113, section 4.1", "closes", limits=("UNKNOWN_FRAMES",))
def unknown_frames() -> Iterator[bytes]:
    yield from repeated(frame(0xFB, 0, 0))


@flood("RFC 9113, section 6.8", "closes", limits=("GOAWAY_FRAMES",))
def goaways() -> Iterator[bytes]:
    yield from repeated(frame(GOAWAY, 0, 0, bytes(8)))


# -- header blocks


@flood("CVE-2024-27316", "closes", limits=("MAX_CONTINUATION_FRAMES",))
def continuations() -> Iterator[bytes]:
    yield from repeated(frame(CONTINUATION, 0, 1, b"\x82"), first=OPENING + frame(HEADERS, 0, 1, b"\x82"))


@flood("CVE-2024-27316", "closes", limits=("MAX_HEADER_BLOCK_SIZE",))
def large_continuations() -> Iterator[bytes]:
    literal = b"\x00" + plain_literal(b"x") + plain_literal(bytes(16000))
    yield from repeated(frame(CONTINUATION, 0, 1, literal), first=OPENING + frame(HEADERS, 0, 1, b"\x82"))


@flood("CVE-2019-9518", "closes", limits=("EMPTY_FRAMES", "MAX_CONTINUATION_FRAMES"))
def empty_continuations() -> Iterator[bytes]:
    yield from repeated(frame(CONTINUATION, 0, 1), first=OPENING + frame(HEADERS, 0, 1))


@flood("CVE-2016-6581 (HPACK bomb)", "closes", limits=("HEADER_DECODE_LIMIT",))
def hpack_bombs() -> Iterator[bytes]:
    entry = b"\x40" + plain_literal(b"x") + plain_literal(bytes(4000))
    first = OPENING + frame(HEADERS, END_HEADERS | END_STREAM, 1, block(GRPC_REQUEST) + entry)
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, b"\xbe" * 16000), first=first, start=3
    )


@flood("RFC 9113, section 10.5.1", "any", limits=("HEADER_DECODE_LIMIT",))
def runs_of_indexes() -> Iterator[bytes]:
    yield from on_streams(lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, b"\x82" * 16000))


@flood("RFC 9113, section 10.5.1", "any", limits=("MAX_HEADER_LIST_SIZE", "LARGE_HEADER_BLOCK"))
def requests_of_four_hundred_fields() -> Iterator[bytes]:
    first, following = indexed((*GRPC_REQUEST, (b"a", b"")))
    most = following + following[-1:] * 400
    opened = OPENING + frame(HEADERS, END_HEADERS | END_STREAM, 1, first)
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, most), first=opened, start=3
    )


@flood("RFC 9113, section 10.5.1", "any")
def requests_of_four_hundred_fields_that_differ() -> Iterator[bytes]:
    first, following = indexed((*GRPC_REQUEST, (b"a", b"")))
    opened = OPENING + frame(HEADERS, END_HEADERS | END_STREAM, 1, first)

    def request(stream_id: int) -> bytes:
        own = b"\x00" + plain_literal(b"b") + plain_literal(b"%d" % stream_id)
        return frame(HEADERS, END_HEADERS | END_STREAM, stream_id, following + own + following[-1:] * 390)

    yield from on_streams(request, first=opened, start=3)


@flood("CVE-2026-49975 (HPACK references)", "any", limits=("MAX_HEADER_LIST_SIZE",))
def large_fields_by_reference() -> Iterator[bytes]:
    first, following = indexed((*GRPC_REQUEST, (b"a", bytes(3500))))
    more = following + following[-1:] * 3
    opened = OPENING + frame(HEADERS, END_HEADERS | END_STREAM, 1, first)
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, more), first=opened, start=3, size=1 << 18
    )


@flood("RFC 7541, section 5.2", "any")
def huffman_coded_values() -> Iterator[bytes]:
    coded = plain_integer(15000, 7, 0x80) + b"\x1f" * 15000
    yield from on_streams(
        lambda stream_id: frame(
            HEADERS, END_HEADERS | END_STREAM, stream_id, block(GRPC_REQUEST) + b"\x00" + plain_literal(b"x") + coded
        )
    )


@flood("RFC 7541, section 4.3", "any")
def table_size_updates() -> Iterator[bytes]:
    yield from on_streams(
        lambda stream_id: frame(
            HEADERS, END_HEADERS | END_STREAM, stream_id, b"\x20\x3f\xe1\x1f" * 100 + block(GRPC_REQUEST)
        )
    )


@flood("RFC 7541, section 4.4", "any")
def insertions_that_evict() -> Iterator[bytes]:
    inserts = b"".join(b"\x40" + plain_literal(b"a") + plain_literal(b"%03d" % number) for number in range(100))
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, block(GRPC_REQUEST) + inserts)
    )


@flood("RFC 9113, section 6.5.2", "any", limits=("MAX_HEADER_LIST_SIZE", "FOREIGN_REQUESTS"))
def requests_over_the_header_list_size() -> Iterator[bytes]:
    large = block((*GRPC_REQUEST, (b"x", bytes(16100))))
    yield from on_streams(lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, large))


# -- streams


@flood("CVE-2023-44487 (rapid reset)", "closes", limits=("STREAM_RESETS",))
def rapid_reset() -> Iterator[bytes]:
    yield from on_streams(
        lambda stream_id: (
            frame(HEADERS, END_HEADERS, stream_id, NEXT_REQUEST) + frame(RST_STREAM, 0, stream_id, b"\0\0\0\x08")
        ),
        first=begun(frame(RST_STREAM, 0, 1, b"\0\0\0\x08")),
        start=3,
    )


@flood("CVE-2025-8671 (MadeYouReset)", "closes", limits=("STREAM_FAULTS",))
def made_you_reset() -> Iterator[bytes]:
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS, stream_id, NEXT_REQUEST) + window(stream_id, 0),
        first=begun(),
        start=3,
    )


@flood("CVE-2025-8671 (MadeYouReset)", "closes", limits=("STREAM_FAULTS",))
def made_you_reset_by_window_overflow() -> Iterator[bytes]:
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS, stream_id, NEXT_REQUEST) + window(stream_id, 2**31 - 1),
        first=begun(),
        start=3,
    )


@flood("RFC 9113, section 5.1.2", "closes", handlers="deaf", limits=("MAX_CONCURRENT_STREAMS", "STREAM_REFUSALS"))
def open_streams_without_end() -> Iterator[bytes]:
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS, stream_id, NEXT_REQUEST), first=begun(), start=3
    )


@flood("RFC 9113, section 5.1.2", "any", limits=("TURN_TIME", "TURN_SLICE"))
def requests_of_fourteen_octets() -> Iterator[bytes]:
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, NEXT_REQUEST),
        first=begun(flags=END_STREAM),
        start=3,
    )


@flood("PROTOCOL-HTTP2, Requests", "any", limits=("FOREIGN_REQUESTS",))
def requests_that_are_not_grpc() -> Iterator[bytes]:
    fields: Fields = (*GRPC_REQUEST[:5], (b"content-type", b"text/html"))
    first, following = indexed(fields)
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, following),
        first=OPENING + frame(HEADERS, END_HEADERS | END_STREAM, 1, first),
        start=3,
    )


@flood("PROTOCOL-HTTP2, Requests", "any", limits=("FOREIGN_REQUESTS", "FOREIGN_REQUEST_TIMEOUT"))
def requests_that_are_not_grpc_and_do_not_end() -> Iterator[bytes]:
    first, following = indexed(((b":method", b"GET"), *GRPC_REQUEST[1:]))
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS, stream_id, following),
        first=OPENING + frame(HEADERS, END_HEADERS, 1, first),
        start=3,
    )


@flood("PROTOCOL-HTTP2, Requests", "any", limits=("FOREIGN_REQUESTS",))
def requests_with_a_malformed_timeout() -> Iterator[bytes]:
    first, following = indexed((*GRPC_REQUEST, (b"grpc-timeout", b"x")))
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, following),
        first=OPENING + frame(HEADERS, END_HEADERS | END_STREAM, 1, first),
        start=3,
    )


@flood("RFC 9113, section 8.1.1", "closes", limits=("STREAM_FAULTS",))
def malformed_requests() -> Iterator[bytes]:
    yield from on_streams(lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, b"\x82\x82"))


@flood("PROTOCOL-HTTP2, Timeout", "serves", handlers="deaf")
def calls_whose_deadlines_pass_at_once() -> Iterator[bytes]:
    first, following = indexed((*GRPC_REQUEST, (b"grpc-timeout", b"1n")))
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS, stream_id, following),
        first=OPENING + frame(HEADERS, END_HEADERS, 1, first),
        start=3,
    )


# -- DATA


@flood("CVE-2019-9518", "closes", handlers="deaf", limits=("EMPTY_FRAMES",))
def empty_data() -> Iterator[bytes]:
    yield from repeated(frame(DATA, 0, 1), first=begun())


@flood("CVE-2019-9511", "any", limits=("SMALL_PARTS", "SMALL_PART"))
def one_octet_data() -> Iterator[bytes]:
    yield from repeated(frame(DATA, 0, 1, b"\0"), first=begun())


@flood("RFC 9113, section 6.1", "any")
def padding_alone() -> Iterator[bytes]:
    yield from repeated(frame(DATA, PADDED, 1, b"\xff" + bytes(255)), first=begun(), size=1 << 19)


@flood("RFC 9113, section 5.1", "any")
def data_on_a_closed_stream() -> Iterator[bytes]:
    yield from repeated(
        frame(DATA, 0, 1, b"\0" * 10), first=begun(frame(RST_STREAM, 0, 1, b"\0\0\0\x08")), size=1 << 17
    )


@flood("gRPC compression", "any", handlers="echo", limits=("DEFAULT_MAX_MESSAGE_SIZE", "INFLATE_SLICE"))
def gzip_bombs() -> Iterator[bytes]:
    compressed = message(_gzip(bytes(4 << 20)), 1)
    yield from _gzip_streams(compressed, FLOOD_SIZE // 4)


@flood("gRPC compression", "any", handlers="echo", limits=("DEFAULT_MAX_MESSAGE_SIZE",))
def gzip_bombs_over_the_limit() -> Iterator[bytes]:
    compressed = message(_gzip(bytes(1 << 28)), 1)
    yield from _gzip_streams(compressed, FLOOD_SIZE)


@flood("gRPC compression; RFC 1952, section 2.2", "any", limits=("MAX_COMPRESSED_MEMBERS",))
def gzip_members() -> Iterator[bytes]:
    yield from _gzip_streams(message(_gzip(b"") * 700, 1), FLOOD_SIZE)


def _gzip(octets: bytes) -> bytes:
    import zlib  # where there is none, there is no gzip

    deflater = zlib.compressobj(9, wbits=31)
    return deflater.compress(octets) + deflater.flush()


def _gzip_streams(octets: bytes, size: int) -> Iterator[bytes]:
    fields: Fields = (*GRPC_REQUEST, (b"grpc-encoding", b"gzip"))
    first, following = indexed(fields)
    parts = [octets[at : at + 16384] for at in range(0, len(octets), 16384)]

    def call(stream_id: int) -> bytes:
        return frame(HEADERS, END_HEADERS, stream_id, following) + b"".join(
            frame(DATA, END_STREAM if part is parts[-1] else 0, stream_id, part) for part in parts
        )

    opened = OPENING + frame(HEADERS, END_HEADERS | END_STREAM, 1, first)
    yield from on_streams(call, first=opened, start=3, size=min(size, 60_000))


# -- memory


@flood("RFC 9113, section 10.5", "any", handlers="deaf", limits=("MESSAGE_OVERHEAD", "CONNECTION_MEMORY"))
def tiny_messages_that_nobody_reads() -> Iterator[bytes]:
    yield from repeated(frame(DATA, 0, 1, message(b"") * 3200), first=begun(), size=FLOOD_SIZE)


@flood("RFC 9113, section 10.5", "any", handlers="deaf", limits=("CONNECTION_MEMORY", "FIRST_STREAM_WINDOW"))
def tiny_messages_on_many_streams() -> Iterator[bytes]:
    tiny = message(b"x") * 2700
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS, stream_id, NEXT_REQUEST) + frame(DATA, 0, stream_id, tiny) * 4,
        first=begun(),
        start=3,
        size=8 << 20,
    )


@flood("RFC 9113, section 10.5", "any", limits=("CONNECTION_MEMORY",))
def messages_that_are_never_whole() -> Iterator[bytes]:
    part = b"\0\0\x40\0\0" + bytes(16000)
    yield from on_streams(
        lambda stream_id: (
            frame(HEADERS, END_HEADERS, stream_id, NEXT_REQUEST)
            + frame(DATA, 0, stream_id, part)
            + frame(DATA, 0, stream_id, bytes(16384)) * 2
        ),
        first=begun(),
        start=3,
        size=40 << 20,
    )


@flood(
    "RFC 9113, section 10.5",
    "any",
    handlers="fail",
    takes_output=False,
    limits=("MAX_UNSENT_HEADERS", "MAX_GRPC_MESSAGE_SIZE"),
)
def long_answers_that_are_not_read() -> Iterator[bytes]:
    fields: Fields = (*GRPC_REQUEST[:2], (b":path", b"/" + b"%" * 3900), *GRPC_REQUEST[3:])
    encoder_first, following = indexed(fields)
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, following),
        first=OPENING + frame(HEADERS, END_HEADERS | END_STREAM, 1, encoder_first),
        start=3,
    )


@flood("RFC 9113, section 10.5", "any", handlers="large", limits=("MAX_UNSENT_OUTPUT",))
def large_answers_into_no_window() -> Iterator[bytes]:
    first = opening(INITIAL_WINDOW_SIZE=0) + frame(HEADERS, END_HEADERS | END_STREAM, 1, FIRST_REQUEST)
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, NEXT_REQUEST),
        first=first,
        start=3,
        size=PIECE * 4,
    )


@flood("CVE-2019-9517", "any", handlers="large", limits=("MAX_UNSENT_OUTPUT",))
def windows_that_open_octet_by_octet() -> Iterator[bytes]:
    yield opening(INITIAL_WINDOW_SIZE=0) + frame(HEADERS, END_HEADERS | END_STREAM, 1, FIRST_REQUEST)
    yield b"".join(frame(HEADERS, END_HEADERS | END_STREAM, number, NEXT_REQUEST) for number in range(3, 41, 2))
    for _ in range(1000):
        yield b"".join(window(number, 1) for number in range(1, 41, 2))


@flood("RFC 9113, section 5.1", "any", limits=("REMEMBERED_RESETS",))
def resets_that_are_answered_with_data() -> Iterator[bytes]:
    first, following = indexed((*GRPC_REQUEST, (b"grpc-timeout", b"1n")))
    yield OPENING + frame(HEADERS, END_HEADERS, 1, first)
    ids = range(3, 4003, 2)
    for start in range(0, len(ids), 500):
        yield b"".join(frame(HEADERS, END_HEADERS, stream_id, following) for stream_id in ids[start : start + 500])
    yield b"".join(frame(DATA, 0, stream_id, b"\0") for stream_id in ids)


# -- from a server to a client

RESPONSE_OPENING = frame(SETTINGS, 0, 0) + SETTINGS_ACK


@flood("RFC 9113, section 8.1", "any", to_client=True, limits=("INFORMATIONAL_RESPONSES",))
def informational_responses() -> Iterator[bytes]:
    yield from repeated(frame(HEADERS, END_HEADERS, 1, block(((b":status", b"103"),))), first=RESPONSE_OPENING)


@flood("RFC 9113, section 8.1", "any", to_client=True, limits=("FOREIGN_BODY_SIZE",))
def a_body_that_is_not_grpc() -> Iterator[bytes]:
    head = block(((b":status", b"200"), (b"content-type", b"text/html")))
    yield from repeated(frame(DATA, 0, 1, b"<p>" * 5000), first=RESPONSE_OPENING + frame(HEADERS, END_HEADERS, 1, head))


@flood("RFC 9113, section 6.5.3", "closes", to_client=True, limits=("SETTINGS_ACKNOWLEDGEMENTS",))
def settings_acknowledgements_to_a_client() -> Iterator[bytes]:
    yield from repeated(SETTINGS_ACK, first=RESPONSE_OPENING)


@flood("CVE-2019-9518", "closes", to_client=True, limits=("EMPTY_FRAMES",))
def empty_data_to_a_client() -> Iterator[bytes]:
    first = RESPONSE_OPENING + frame(HEADERS, END_HEADERS, 1, block(GRPC_RESPONSE))
    yield from repeated(frame(DATA, 0, 1), first=first)


@flood("RFC 9113, section 6.9", "closes", to_client=True, limits=("MAX_WINDOW_UPDATES",))
def window_updates_to_a_client() -> Iterator[bytes]:
    yield from repeated(window(1, 1), first=RESPONSE_OPENING)


@flood("RFC 9113, section 10.5", "any", to_client=True, limits=("TURN_MESSAGES",))
def tiny_messages_to_a_client() -> Iterator[bytes]:
    first = RESPONSE_OPENING + frame(HEADERS, END_HEADERS, 1, block(GRPC_RESPONSE))
    yield from repeated(frame(DATA, 0, 1, message(b"") * 3200), first=first)
