"""Floods of streams: resets by either side, requests that are malformed, foreign or never end."""

from __future__ import annotations

from collections.abc import Iterator

from puregrpc.fuzz.frames.floods.making import NEXT_REQUEST, Floods, begun, on_streams
from puregrpc.fuzz.frames.probe import (
    END_HEADERS,
    END_STREAM,
    GRPC_REQUEST,
    HEADERS,
    OPENING,
    RST_STREAM,
    Fields,
    frame,
    indexed,
    window,
)

__all__ = ["FLOODS"]

_FLOODS = Floods()


@_FLOODS.flood("CVE-2023-44487 (rapid reset)", "closes", limits=("STREAM_RESETS",))
def rapid_reset() -> Iterator[bytes]:
    yield from on_streams(
        lambda stream_id: (
            frame(HEADERS, END_HEADERS, stream_id, NEXT_REQUEST) + frame(RST_STREAM, 0, stream_id, b"\0\0\0\x08")
        ),
        first=begun(frame(RST_STREAM, 0, 1, b"\0\0\0\x08")),
        start=3,
    )


@_FLOODS.flood("CVE-2025-8671 (MadeYouReset)", "closes", limits=("STREAM_FAULTS",))
def made_you_reset() -> Iterator[bytes]:
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS, stream_id, NEXT_REQUEST) + window(stream_id, 0),
        first=begun(),
        start=3,
    )


@_FLOODS.flood("CVE-2025-8671 (MadeYouReset)", "closes", limits=("STREAM_FAULTS",))
def made_you_reset_by_window_overflow() -> Iterator[bytes]:
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS, stream_id, NEXT_REQUEST) + window(stream_id, 2**31 - 1),
        first=begun(),
        start=3,
    )


@_FLOODS.flood(
    "RFC 9113, section 5.1.2", "closes", handlers="deaf", limits=("MAX_CONCURRENT_STREAMS", "STREAM_REFUSALS")
)
def open_streams_without_end() -> Iterator[bytes]:
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS, stream_id, NEXT_REQUEST), first=begun(), start=3
    )


@_FLOODS.flood("RFC 9113, section 5.1.2", "any", limits=("TURN_TIME", "TURN_SLICE"))
def requests_of_fourteen_octets() -> Iterator[bytes]:
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, NEXT_REQUEST),
        first=begun(flags=END_STREAM),
        start=3,
    )


@_FLOODS.flood("PROTOCOL-HTTP2, Requests", "any", limits=("FOREIGN_REQUESTS",))
def requests_that_are_not_grpc() -> Iterator[bytes]:
    fields: Fields = (*GRPC_REQUEST[:5], (b"content-type", b"text/html"))
    first, following = indexed(fields)
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, following),
        first=OPENING + frame(HEADERS, END_HEADERS | END_STREAM, 1, first),
        start=3,
    )


@_FLOODS.flood("PROTOCOL-HTTP2, Requests", "any", limits=("FOREIGN_REQUESTS", "FOREIGN_REQUEST_TIMEOUT"))
def requests_that_are_not_grpc_and_do_not_end() -> Iterator[bytes]:
    first, following = indexed(((b":method", b"GET"), *GRPC_REQUEST[1:]))
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS, stream_id, following),
        first=OPENING + frame(HEADERS, END_HEADERS, 1, first),
        start=3,
    )


@_FLOODS.flood("PROTOCOL-HTTP2, Requests", "any", limits=("FOREIGN_REQUESTS",))
def requests_with_a_malformed_timeout() -> Iterator[bytes]:
    first, following = indexed((*GRPC_REQUEST, (b"grpc-timeout", b"x")))
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, following),
        first=OPENING + frame(HEADERS, END_HEADERS | END_STREAM, 1, first),
        start=3,
    )


@_FLOODS.flood("RFC 9113, section 8.1.1", "closes", limits=("STREAM_FAULTS",))
def malformed_requests() -> Iterator[bytes]:
    yield from on_streams(lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, b"\x82\x82"))


@_FLOODS.flood("PROTOCOL-HTTP2, Timeout", "serves", handlers="deaf")
def calls_whose_deadlines_pass_at_once() -> Iterator[bytes]:
    first, following = indexed((*GRPC_REQUEST, (b"grpc-timeout", b"1n")))
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS, stream_id, following),
        first=OPENING + frame(HEADERS, END_HEADERS, 1, first),
        start=3,
    )


FLOODS = tuple(_FLOODS.probes)
