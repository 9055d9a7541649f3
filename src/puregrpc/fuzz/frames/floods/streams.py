"""Floods of streams: resets by either side, requests that are malformed, foreign or never end."""

from __future__ import annotations

from collections.abc import Iterator

from puregrpc.fuzz.frames.floods.making import FLOOD_SIZE, NEXT_REQUEST, Floods, begun, on_streams, repeated
from puregrpc.fuzz.frames.probe import (
    DATA,
    END_HEADERS,
    END_STREAM,
    GRPC_REQUEST,
    HEADERS,
    OPENING,
    RST_STREAM,
    Fields,
    frame,
    indexed,
    message,
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


@_FLOODS.flood("RFC 9113, section 5.1.2", "any", limits=("TURN_TIME", "TURN_SLICE", "TURN_BEGINNINGS"))
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


@_FLOODS.flood("RFC 9113, section 5.1", "closes", limits=("STREAM_FAULTS",), handlers="deaf")
def data_on_streams_that_are_half_closed() -> Iterator[bytes]:
    yield from on_streams(
        lambda stream_id: (
            frame(HEADERS, END_HEADERS | END_STREAM, stream_id, NEXT_REQUEST) + frame(DATA, 0, stream_id, b"\0")
        ),
        first=begun(),
        start=3,
    )


@_FLOODS.flood("RFC 9113, section 8.1", "closes", limits=("STREAM_FAULTS",), handlers="deaf")
def a_second_head() -> Iterator[bytes]:
    """Trailers that do not end their stream."""
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS, stream_id, NEXT_REQUEST) * 2, first=begun(), start=3
    )


@_FLOODS.flood("CVE-2023-44487 (rapid reset)", "closes", limits=("STREAM_RESETS",))
def resets_of_whole_calls() -> Iterator[bytes]:
    """The answer and the reset pass each other."""
    yield from on_streams(
        lambda stream_id: (
            frame(HEADERS, END_HEADERS, stream_id, NEXT_REQUEST)
            + frame(DATA, END_STREAM, stream_id, message(b"hello"))
            + frame(RST_STREAM, 0, stream_id, b"\0\0\0\x08")
        ),
        first=begun(flags=END_STREAM),
        start=3,
    )


@_FLOODS.flood("CVE-2023-44487 (rapid reset)", "any", limits=("STREAM_RESETS",))
def resets_within_messages() -> Iterator[bytes]:
    part = b"\0\0\x10\0\0" + bytes(200)
    yield from on_streams(
        lambda stream_id: (
            frame(HEADERS, END_HEADERS, stream_id, NEXT_REQUEST)
            + frame(DATA, 0, stream_id, part)
            + frame(RST_STREAM, 0, stream_id, b"\0\0\0\x08")
        ),
        first=begun(flags=END_STREAM),
        start=3,
    )


@_FLOODS.flood("RFC 9113, section 6.9", "closes", limits=("MAX_WINDOW_UPDATES",))
def window_updates_of_closed_streams() -> Iterator[bytes]:
    yield from repeated(window(1, 1), first=begun(frame(RST_STREAM, 0, 1, b"\0\0\0\x08")))


@_FLOODS.flood("RFC 9113, section 5.1", "any", limits=("STREAM_RESETS",))
def resets_of_closed_streams() -> Iterator[bytes]:
    yield from repeated(frame(RST_STREAM, 0, 1, b"\0\0\0\x08"), first=begun(flags=END_STREAM), size=FLOOD_SIZE // 4)


@_FLOODS.flood("RFC 9113, section 5.1.1", "any", handlers="fail")
def streams_far_apart() -> Iterator[bytes]:
    """Each closes a hundred thousand that there never were, and then some that are closed are heard of."""

    def far(stream_id: int) -> bytes:
        number = stream_id * 100_000 + 1
        return frame(HEADERS, END_HEADERS | END_STREAM, number, NEXT_REQUEST) + frame(
            RST_STREAM, 0, number - 50_000, b"\0\0\0\x08"
        )

    yield from on_streams(far, first=begun(), start=2, size=20_000 * 26)


@_FLOODS.flood("gRPC health checking", "any", handlers="deaf", limits=("MAX_CONCURRENT_STREAMS",))
def health_watches() -> Iterator[bytes]:
    yield from _of_service(b"/grpc.health.v1.Health/Watch", message(b"\n\5hello"))


@_FLOODS.flood("gRPC server reflection", "any", handlers="deaf", limits=("MAX_CONCURRENT_STREAMS",))
def reflection_streams() -> Iterator[bytes]:
    """Of each, requests for all services and for a symbol that there is not."""
    asked = message(b"\x3a\0") + message(b"\x22\4what")
    yield from _of_service(b"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", asked * 10)


def _of_service(path: bytes, octets: bytes) -> Iterator[bytes]:
    fields: Fields = (*GRPC_REQUEST[:2], (b":path", path), *GRPC_REQUEST[3:])
    first, following = indexed(fields)
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS, stream_id, following) + frame(DATA, 0, stream_id, octets),
        first=OPENING + frame(HEADERS, END_HEADERS, 1, first) + frame(DATA, 0, 1, octets),
        start=3,
        size=FLOOD_SIZE // 8,
    )


FLOODS = tuple(_FLOODS.probes)
