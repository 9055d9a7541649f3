"""Floods of header blocks: continuations, HPACK's bombs and references, long lists."""

from __future__ import annotations

from collections.abc import Iterator

from puregrpc.fuzz.frames.floods.making import FLOOD_SIZE, Floods, on_streams, repeated
from puregrpc.fuzz.frames.probe import (
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    GRPC_REQUEST,
    HEADERS,
    OPENING,
    PADDED,
    block,
    frame,
    indexed,
    plain_integer,
    plain_literal,
)

__all__ = ["FLOODS"]

_FLOODS = Floods()


@_FLOODS.flood("CVE-2024-27316", "closes", limits=("MAX_CONTINUATION_FRAMES",))
def continuations() -> Iterator[bytes]:
    yield from repeated(frame(CONTINUATION, 0, 1, b"\x82"), first=OPENING + frame(HEADERS, 0, 1, b"\x82"))


@_FLOODS.flood("CVE-2024-27316", "closes", limits=("MAX_HEADER_BLOCK_SIZE",))
def large_continuations() -> Iterator[bytes]:
    literal = b"\x00" + plain_literal(b"x") + plain_literal(bytes(16000))
    yield from repeated(frame(CONTINUATION, 0, 1, literal), first=OPENING + frame(HEADERS, 0, 1, b"\x82"))


@_FLOODS.flood("CVE-2019-9518", "closes", limits=("EMPTY_FRAMES", "MAX_CONTINUATION_FRAMES"))
def empty_continuations() -> Iterator[bytes]:
    yield from repeated(frame(CONTINUATION, 0, 1), first=OPENING + frame(HEADERS, 0, 1))


@_FLOODS.flood("CVE-2016-6581 (HPACK bomb)", "closes", limits=("HEADER_DECODE_LIMIT",))
def hpack_bombs() -> Iterator[bytes]:
    entry = b"\x40" + plain_literal(b"x") + plain_literal(bytes(4000))
    first = OPENING + frame(HEADERS, END_HEADERS | END_STREAM, 1, block(GRPC_REQUEST) + entry)
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, b"\xbe" * 16000), first=first, start=3
    )


@_FLOODS.flood("RFC 9113, section 10.5.1", "any", limits=("HEADER_DECODE_LIMIT",))
def runs_of_indexes() -> Iterator[bytes]:
    yield from on_streams(lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, b"\x82" * 16000))


@_FLOODS.flood("RFC 9113, section 10.5.1", "any", limits=("MAX_HEADER_LIST_SIZE", "LARGE_HEADER_BLOCK"))
def requests_of_four_hundred_fields() -> Iterator[bytes]:
    first, following = indexed((*GRPC_REQUEST, (b"a", b"")))
    most = following + following[-1:] * 400
    opened = OPENING + frame(HEADERS, END_HEADERS | END_STREAM, 1, first)
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, most), first=opened, start=3
    )


@_FLOODS.flood("RFC 9113, section 10.5.1", "any")
def requests_of_four_hundred_fields_that_differ() -> Iterator[bytes]:
    first, following = indexed((*GRPC_REQUEST, (b"a", b"")))
    opened = OPENING + frame(HEADERS, END_HEADERS | END_STREAM, 1, first)

    def request(stream_id: int) -> bytes:
        own = b"\x00" + plain_literal(b"b") + plain_literal(b"%d" % stream_id)
        return frame(HEADERS, END_HEADERS | END_STREAM, stream_id, following + own + following[-1:] * 390)

    yield from on_streams(request, first=opened, start=3)


@_FLOODS.flood("CVE-2026-49975 (HPACK references)", "any", limits=("MAX_HEADER_LIST_SIZE",))
def large_fields_by_reference() -> Iterator[bytes]:
    first, following = indexed((*GRPC_REQUEST, (b"a", bytes(3500))))
    more = following + following[-1:] * 3
    opened = OPENING + frame(HEADERS, END_HEADERS | END_STREAM, 1, first)
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, more), first=opened, start=3, size=1 << 18
    )


@_FLOODS.flood("RFC 7541, section 5.2", "any")
def huffman_coded_values() -> Iterator[bytes]:
    coded = plain_integer(15000, 7, 0x80) + b"\x1f" * 15000
    yield from on_streams(
        lambda stream_id: frame(
            HEADERS, END_HEADERS | END_STREAM, stream_id, block(GRPC_REQUEST) + b"\x00" + plain_literal(b"x") + coded
        )
    )


@_FLOODS.flood("RFC 7541, section 4.3", "any")
def table_size_updates() -> Iterator[bytes]:
    yield from on_streams(
        lambda stream_id: frame(
            HEADERS, END_HEADERS | END_STREAM, stream_id, b"\x20\x3f\xe1\x1f" * 100 + block(GRPC_REQUEST)
        )
    )


@_FLOODS.flood("RFC 7541, section 4.4", "any")
def insertions_that_evict() -> Iterator[bytes]:
    inserts = b"".join(b"\x40" + plain_literal(b"a") + plain_literal(b"%03d" % number) for number in range(100))
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, block(GRPC_REQUEST) + inserts)
    )


@_FLOODS.flood("RFC 9113, section 6.5.2", "any", limits=("MAX_HEADER_LIST_SIZE", "FOREIGN_REQUESTS"))
def requests_over_the_header_list_size() -> Iterator[bytes]:
    large = block((*GRPC_REQUEST, (b"x", bytes(16100))))
    yield from on_streams(lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, large))


@_FLOODS.flood("CVE-2024-27316", "any", limits=("MAX_CONTINUATION_FRAMES",))
def requests_in_thirty_continuations() -> Iterator[bytes]:
    head = block(GRPC_REQUEST)
    step = -(-len(head) // 30)
    parts = [head[at : at + step] for at in range(0, len(head), step)]

    def request(stream_id: int) -> bytes:
        first = frame(HEADERS, END_STREAM, stream_id, parts[0])
        return (
            first
            + b"".join(frame(CONTINUATION, 0, stream_id, part) for part in parts[1:-1])
            + frame(CONTINUATION, END_HEADERS, stream_id, parts[-1])
        )

    yield from on_streams(request)


@_FLOODS.flood("RFC 9113, section 6.2", "any")
def requests_that_are_padding() -> Iterator[bytes]:
    first, following = indexed(GRPC_REQUEST)
    padded = b"\xff" + following + bytes(255)
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM | PADDED, stream_id, padded),
        first=OPENING + frame(HEADERS, END_HEADERS | END_STREAM, 1, first),
        start=3,
    )


@_FLOODS.flood("RFC 7541, section 6.3", "any")
def tables_that_are_emptied_each_time() -> Iterator[bytes]:
    first, _ = indexed(GRPC_REQUEST)
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, b"\x20\x3f\xe1\x1f" + first)
    )


@_FLOODS.flood("PROTOCOL-HTTP2, Custom-Metadata", "any", handlers="deaf", limits=("MAX_JOINED_VALUES",))
def binary_metadata_of_commas() -> Iterator[bytes]:
    """Each comma is an entry more."""
    yield from _repeated_field(b"x-bin", b"," * 3900, END_HEADERS)


@_FLOODS.flood("PROTOCOL-HTTP2, Message-Accept-Encoding", "any")
def accepted_encodings_without_end() -> Iterator[bytes]:
    yield from _repeated_field(b"grpc-accept-encoding", b"x," * 1900, END_HEADERS | END_STREAM)


def _repeated_field(name: bytes, value: bytes, flags: int) -> Iterator[bytes]:
    """Requests with a large field four times, which the table has."""
    learned = block(GRPC_REQUEST) + b"\x40" + plain_literal(name) + plain_literal(value)
    yield from on_streams(
        lambda stream_id: frame(HEADERS, flags, stream_id, block(GRPC_REQUEST) + b"\xbe" * 4),
        first=OPENING + frame(HEADERS, flags, 1, learned),
        start=3,
        size=FLOOD_SIZE // 8,
    )


@_FLOODS.flood("PROTOCOL-HTTP2, Requests", "any", handlers="fail")
def requests_that_never_repeat() -> Iterator[bytes]:
    """Path, authority, time-out, user agent, subtype and a name: whatever remembers one of them forgets another."""

    def request(stream_id: int) -> bytes:
        own = b"%d" % stream_id
        fields = (
            *GRPC_REQUEST[:2], (b":path", b"/a/" + own), (b":authority", own), (b"te", b"trailers"),
            (b"content-type", b"application/grpc+" + own), (b"grpc-timeout", own[-8:] + b"m"),
            (b"user-agent", own), (b"x-" + own, own),
        )  # fmt: skip
        return frame(HEADERS, END_HEADERS | END_STREAM, stream_id, block(fields))

    yield from on_streams(request)


@_FLOODS.flood("RFC 9113, section 8.1", "any", limits=("MAX_HEADER_LIST_SIZE",))
def trailers_of_requests() -> Iterator[bytes]:
    """A request may end with trailers, which mean nothing to gRPC."""
    first, following = indexed(GRPC_REQUEST)
    trailers = b"".join(b"\0" + plain_literal(b"x%d" % number) + plain_literal(b"") for number in range(300))
    yield from on_streams(
        lambda stream_id: (
            frame(HEADERS, END_HEADERS, stream_id, following)
            + frame(HEADERS, END_HEADERS | END_STREAM, stream_id, trailers)
        ),
        first=OPENING + frame(HEADERS, END_HEADERS | END_STREAM, 1, first),
        start=3,
    )


FLOODS = tuple(_FLOODS.probes)
