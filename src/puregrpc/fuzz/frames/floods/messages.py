"""Floods of DATA and of what it makes a receiver keep: tiny frames, bombs, messages that nobody reads, answers."""

from __future__ import annotations

from collections.abc import Iterator

from puregrpc.fuzz.frames.floods.making import (
    FLOOD_SIZE,
    NEXT_REQUEST,
    PIECE,
    Floods,
    begun,
    on_streams,
    repeated,
    request,
)
from puregrpc.fuzz.frames.probe import (
    DATA,
    END_HEADERS,
    END_STREAM,
    GRPC_REQUEST,
    HEADERS,
    OPENING,
    PADDED,
    RST_STREAM,
    SETTINGS,
    Fields,
    frame,
    indexed,
    message,
    opening,
    window,
)

__all__ = ["FLOODS"]

_FLOODS = Floods()


@_FLOODS.flood("CVE-2019-9518", "closes", handlers="deaf", limits=("EMPTY_FRAMES",))
def empty_data() -> Iterator[bytes]:
    yield from repeated(frame(DATA, 0, 1), first=begun())


@_FLOODS.flood("CVE-2019-9511", "any", limits=("SMALL_PARTS", "SMALL_PART"))
def one_octet_data() -> Iterator[bytes]:
    yield from repeated(frame(DATA, 0, 1, b"\0"), first=begun())


@_FLOODS.flood("RFC 9113, section 6.1", "any")
def padding_alone() -> Iterator[bytes]:
    yield from repeated(frame(DATA, PADDED, 1, b"\xff" + bytes(255)), first=begun(), size=1 << 19)


@_FLOODS.flood("RFC 9113, section 5.1", "any")
def data_on_a_closed_stream() -> Iterator[bytes]:
    yield from repeated(
        frame(DATA, 0, 1, b"\0" * 10), first=begun(frame(RST_STREAM, 0, 1, b"\0\0\0\x08")), size=1 << 17
    )


@_FLOODS.flood("gRPC compression", "any", handlers="echo", limits=("DEFAULT_MAX_MESSAGE_SIZE", "INFLATE_SLICE"))
def gzip_bombs() -> Iterator[bytes]:
    compressed = message(_gzip(bytes(4 << 20)), 1)
    yield from _compressed_streams(compressed, FLOOD_SIZE // 4, b"gzip")


@_FLOODS.flood("gRPC compression", "any", handlers="echo", limits=("DEFAULT_MAX_MESSAGE_SIZE",))
def gzip_bombs_over_the_limit() -> Iterator[bytes]:
    compressed = message(_gzip(bytes(1 << 28)), 1)
    yield from _compressed_streams(compressed, FLOOD_SIZE, b"gzip")


@_FLOODS.flood("gRPC compression; RFC 1952, section 2.2", "any", limits=("MAX_COMPRESSED_MEMBERS",))
def gzip_members() -> Iterator[bytes]:
    yield from _compressed_streams(message(_gzip(b"") * 700, 1), FLOOD_SIZE, b"gzip")


def _gzip(octets: bytes) -> bytes:
    import zlib  # where there is none, there is no gzip

    deflater = zlib.compressobj(9, wbits=31)
    return deflater.compress(octets) + deflater.flush()


def _compressed_streams(octets: bytes, size: int, encoding: bytes, *, most: int = 60_000) -> Iterator[bytes]:
    fields: Fields = (*GRPC_REQUEST, (b"grpc-encoding", encoding))
    first, following = indexed(fields)
    parts = [octets[at : at + 16384] for at in range(0, len(octets), 16384)]

    def call(stream_id: int) -> bytes:
        return frame(HEADERS, END_HEADERS, stream_id, following) + b"".join(
            frame(DATA, END_STREAM if part is parts[-1] else 0, stream_id, part) for part in parts
        )

    opened = OPENING + frame(HEADERS, END_HEADERS | END_STREAM, 1, first)
    yield from on_streams(call, first=opened, start=3, size=min(size, most))


@_FLOODS.flood("RFC 9113, section 10.5", "any", handlers="deaf", limits=("MESSAGE_OVERHEAD", "CONNECTION_MEMORY"))
def tiny_messages_that_nobody_reads() -> Iterator[bytes]:
    yield from repeated(frame(DATA, 0, 1, message(b"") * 3200), first=begun(), size=FLOOD_SIZE)


@_FLOODS.flood("RFC 9113, section 10.5", "any", handlers="deaf", limits=("CONNECTION_MEMORY", "FIRST_STREAM_WINDOW"))
def tiny_messages_on_many_streams() -> Iterator[bytes]:
    tiny = message(b"x") * 2700
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS, stream_id, NEXT_REQUEST) + frame(DATA, 0, stream_id, tiny) * 4,
        first=begun(),
        start=3,
        size=8 << 20,
    )


@_FLOODS.flood("RFC 9113, section 10.5", "any", limits=("CONNECTION_MEMORY",))
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


@_FLOODS.flood(
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


@_FLOODS.flood("RFC 9113, section 10.5", "any", handlers="large", limits=("MAX_UNSENT_OUTPUT",))
def large_answers_into_no_window() -> Iterator[bytes]:
    first = opening(INITIAL_WINDOW_SIZE=0) + request(1)
    yield from on_streams(request, first=first, start=3, size=PIECE * 4)


@_FLOODS.flood("RFC 9113, section 10.5", "any", handlers="late", limits=("MAX_UNSENT_OUTPUT",))
def large_answers_that_come_late() -> Iterator[bytes]:
    """To as many calls as may be open at once, into no window."""
    first = opening(INITIAL_WINDOW_SIZE=0) + request(1)
    yield first + b"".join(map(request, range(3, 2000, 2)))


@_FLOODS.flood("CVE-2019-9517", "any", handlers="large", limits=("MAX_UNSENT_OUTPUT",))
def windows_that_open_octet_by_octet() -> Iterator[bytes]:
    yield opening(INITIAL_WINDOW_SIZE=0) + b"".join(map(request, range(1, 41, 2)))
    for _ in range(1000):
        yield b"".join(window(number, 1) for number in range(1, 41, 2))


@_FLOODS.flood("RFC 9113, section 6.9.2", "closes", limits=("MAX_WINDOW_UPDATES",))
def windows_of_the_connection_alone() -> Iterator[bytes]:
    """Hundreds of calls have no window of their own, and that of the connection is used up."""
    large = message(bytes(65_530))
    parts = [frame(DATA, 0, 1, large[at : at + 16384]) for at in range(0, len(large), 16384)]
    yield begun(*parts, frame(DATA, END_STREAM, 1))
    yield frame(SETTINGS, 0, 0, b"\0\4\0\0\0\0") + b"".join(map(request, range(3, 1603, 2)))
    yield from repeated(window(0, 1), first=b"", size=FLOOD_SIZE // 2)


@_FLOODS.flood("RFC 9113, section 5.1", "any", limits=("REMEMBERED_RESETS",))
def resets_that_are_answered_with_data() -> Iterator[bytes]:
    first, following = indexed((*GRPC_REQUEST, (b"grpc-timeout", b"1n")))
    yield OPENING + frame(HEADERS, END_HEADERS, 1, first)
    ids = range(3, 4003, 2)
    for start in range(0, len(ids), 500):
        yield b"".join(frame(HEADERS, END_HEADERS, stream_id, following) for stream_id in ids[start : start + 500])
    yield b"".join(frame(DATA, 0, stream_id, b"\0") for stream_id in ids)


@_FLOODS.flood("gRPC compression", "any", limits=("DEFAULT_MAX_MESSAGE_SIZE", "INFLATE_SLICE"))
def deflate_bombs() -> Iterator[bytes]:
    import zlib  # where there is none, there is no deflate

    yield from _compressed_streams(message(zlib.compress(bytes(4 << 20), 9), 1), FLOOD_SIZE // 4, b"deflate")


@_FLOODS.flood("gRPC compression", "any", handlers="echo", limits=("MOST_INFLATING", "MAX_UNSENT_OUTPUT"))
def bombs_that_are_sent_back() -> Iterator[bytes]:
    """As many as may be open at once, and no answer is taken."""
    import zlib

    bomb = message(zlib.compress(bytes(4 << 20), 9), 1)
    yield from _compressed_streams(bomb, FLOOD_SIZE, b"deflate", most=100 * len(bomb))


@_FLOODS.flood("gRPC compression", "any")
def compressed_messages_of_nothing() -> Iterator[bytes]:
    """Each costs an inflater."""
    yield from _compressed_streams(message(_gzip(b""), 1), FLOOD_SIZE, b"gzip", most=FLOOD_SIZE // 2)


@_FLOODS.flood("gRPC compression", "any")
def damaged_messages() -> Iterator[bytes]:
    """The damage shows at their end."""
    damaged = _gzip(bytes(4 << 20))[:-8] + bytes(8)
    yield from _compressed_streams(message(damaged, 1), FLOOD_SIZE // 4, b"gzip")


@_FLOODS.flood("PROTOCOL-HTTP2, Length-Prefixed-Message", "any", handlers="deaf", limits=("SMALL_PARTS",))
def prefixes_octet_by_octet() -> Iterator[bytes]:
    octets = b"".join(frame(DATA, 0, 1, octet) for octet in (b"\0", b"\0", b"\0", b"\0", b"\1", b"x"))
    yield from repeated(octets, first=begun())


@_FLOODS.flood("RFC 9113, section 6.9.1", "any", handlers="large", limits=("MAX_UNSENT_OUTPUT",))
def streams_open_and_the_connection_closed() -> Iterator[bytes]:
    """The windows of streams are wide open, and that of the connection opens octet by octet."""
    yield opening(INITIAL_WINDOW_SIZE=2**31 - 1) + b"".join(map(request, range(1, 203, 2)))
    for _ in range(200):
        yield window(0, 1) * 90


FLOODS = tuple(_FLOODS.probes)
