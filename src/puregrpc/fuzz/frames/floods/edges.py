"""Floods at the edges of limits, and of frames that count in turn or take back what the one before has begun."""

from __future__ import annotations

from collections.abc import Iterator

from puregrpc.fuzz.frames.floods.making import NEXT_REQUEST, Floods, asked, begun, on_streams, repeated, request
from puregrpc.fuzz.frames.probe import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GRPC_REQUEST,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    SETTINGS_ACK,
    WINDOW_UPDATE,
    block,
    frame,
    in_frames,
    message,
    opening,
    plain_literal,
    window,
)

__all__ = ["FLOODS"]

_FLOODS = Floods()

PRIORITY_FLAG = 0x20
CANCEL = b"\0\0\0\x08"


@_FLOODS.flood("RFC 9113, section 10.5", "closes")
def frames_of_every_kind_in_turn() -> Iterator[bytes]:
    """Each is counted by itself."""
    turn = (
        frame(PING, ACK, 0, bytes(8))
        + frame(PRIORITY, 0, 1, bytes(5))
        + frame(0xFB, 0, 0)
        + frame(DATA, 0, 1)
        + window(0, 1)
        + window(1, 1)
        + frame(RST_STREAM, 0, 3, CANCEL)
    )
    yield from repeated(turn, first=begun(frame(HEADERS, END_HEADERS, 3, NEXT_REQUEST)))


@_FLOODS.flood("RFC 9113, section 10.5.1", "any")
def blocks_as_long_as_may_be() -> Iterator[bytes]:
    """Of one field, longer than a list may be: the call alone fails."""
    octets = block((*GRPC_REQUEST, (b"x", bytes(63_000))))
    yield from on_streams(lambda stream_id: in_frames(stream_id, octets, END_STREAM), size=4 << 20)


@_FLOODS.flood("RFC 9113, section 10.5.1", "any", limits=("LONG_HEADER_BLOCK",))
def blocks_that_are_just_not_long() -> Iterator[bytes]:
    """Two thousand octets of indexes, which are the same field again and again: read in one go."""
    octets = NEXT_REQUEST + b"\x90" * 350
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, octets), first=asked(), start=3
    )


@_FLOODS.flood("RFC 9113, section 5.1.2", "any", handlers="deaf", limits=("STREAM_REFUSALS",))
def long_blocks_of_calls_that_are_refused() -> Iterator[bytes]:
    octets = NEXT_REQUEST + (b"\0" + plain_literal(b"x") + plain_literal(b"")) * 400
    yield asked() + b"".join(frame(HEADERS, END_HEADERS, number, NEXT_REQUEST) for number in range(3, 2003, 2))
    yield from on_streams(lambda stream_id: in_frames(stream_id, octets), first=b"", start=2003, size=8 << 20)


@_FLOODS.flood("RFC 9113, section 8.1", "closes", handlers="deaf")
def data_behind_the_trailers_of_requests() -> Iterator[bytes]:
    trailers = block(((b"x", b"y"),))
    yield from on_streams(
        lambda stream_id: (
            frame(HEADERS, END_HEADERS, stream_id, NEXT_REQUEST)
            + frame(HEADERS, END_HEADERS | END_STREAM, stream_id, trailers)
            + frame(DATA, END_STREAM, stream_id, message(b"x"))
        ),
        first=asked(),
        start=3,
    )


@_FLOODS.flood("RFC 9113, section 6.9", "any")
def window_updates_between_calls() -> Iterator[bytes]:
    """Their answers are DATA, behind which windows may be moved again."""
    updates = frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1") * 500
    yield from on_streams(lambda stream_id: request(stream_id) + updates, first=asked(), start=3)


@_FLOODS.flood("RFC 9113, section 6.2", "any")
def requests_with_priorities_and_padding() -> Iterator[bytes]:
    flags = END_HEADERS | PADDED | PRIORITY_FLAG
    octets = b"\x10" + bytes(5) + NEXT_REQUEST + bytes(16)
    yield from on_streams(
        lambda stream_id: (
            frame(HEADERS, flags, stream_id, octets)
            + frame(DATA, END_STREAM | PADDED, stream_id, b"\1" + message(b"") + b"\0")
        ),
        first=asked(),
        start=3,
    )


@_FLOODS.flood("GHSA-hrxh-6v49-42gf", "closes", limits=("STREAM_RESETS",))
def calls_that_are_reset_within_a_prefix() -> Iterator[bytes]:
    yield from on_streams(
        lambda stream_id: (
            frame(HEADERS, END_HEADERS, stream_id, NEXT_REQUEST)
            + frame(DATA, 0, stream_id, b"\0\0\x3f")
            + frame(RST_STREAM, 0, stream_id, CANCEL)
        ),
        first=asked(),
        start=3,
    )


@_FLOODS.flood("PROTOCOL-HTTP2, Length-Prefixed-Message", "any", handlers="deaf")
def large_messages_that_are_begun() -> Iterator[bytes]:
    """Each says that it has four megabytes, and brings a thousand octets."""
    part = b"\0\0\x3f\xff\xff" + bytes(1000)
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS, stream_id, NEXT_REQUEST) + frame(DATA, 0, stream_id, part),
        first=asked(),
        start=3,
        size=4 << 20,
    )


@_FLOODS.flood("RFC 9113, section 8.2.3", "any")
def cookies_in_crumbs() -> Iterator[bytes]:
    crumbs = b"".join(b"\x10" + plain_literal(b"cookie") + plain_literal(b"a=%d" % index) for index in range(350))
    octets = NEXT_REQUEST + crumbs
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, octets), first=asked(), start=3
    )


@_FLOODS.flood("RFC 9113, section 5.1", "closes", handlers="large", limits=("STREAM_RESETS",))
def large_answers_that_are_reset() -> Iterator[bytes]:
    """There is no window for any of them."""
    yield from on_streams(
        lambda stream_id: request(stream_id) + frame(RST_STREAM, 0, stream_id, CANCEL),
        first=opening(INITIAL_WINDOW_SIZE=0) + request(1),
        start=3,
    )


@_FLOODS.flood("RFC 9113, section 6.9.2", "closes", handlers="large", limits=("SETTINGS_FRAMES",))
def windows_of_an_octet_for_all_answers() -> Iterator[bytes]:
    """SETTINGS give each answer an octet more."""
    yield opening(INITIAL_WINDOW_SIZE=0) + b"".join(map(request, range(1, 201, 2)))
    for octets in range(1, 20_000):
        yield frame(SETTINGS, 0, 0, b"\0\4" + octets.to_bytes(4, "big"))


@_FLOODS.flood("RFC 9113, section 5.1", "closes", handlers="deaf")
def calls_that_end_twice() -> Iterator[bytes]:
    yield from on_streams(
        lambda stream_id: (
            frame(HEADERS, END_HEADERS | END_STREAM, stream_id, NEXT_REQUEST) + frame(DATA, END_STREAM, stream_id)
        ),
        first=asked(),
        start=3,
    )


RESPONSE_OPENING = frame(SETTINGS, 0, 0) + SETTINGS_ACK


@_FLOODS.flood("RFC 7541, section 6.1", "any", to_client=True)
def heads_that_are_just_not_long() -> Iterator[bytes]:
    """Informational ones of two thousand octets, each the index of a field."""
    octets = block(((b":status", b"103"),)) + b"\x90" * 2000
    yield from repeated(frame(HEADERS, END_HEADERS, 1, octets), first=RESPONSE_OPENING)


@_FLOODS.flood("RFC 9113, section 8.1", "any", to_client=True)
def heads_of_table_sizes() -> Iterator[bytes]:
    """Informational ones that change the table again and again."""
    octets = b"\x20\x3f\xe1\x1f" * 4000 + block(((b":status", b"103"),))
    yield from repeated(frame(HEADERS, END_HEADERS, 1, octets), first=RESPONSE_OPENING)


@_FLOODS.flood("RFC 9113, section 10.5", "closes", to_client=True)
def frames_of_every_kind_in_turn_to_a_client() -> Iterator[bytes]:
    turn = (
        frame(PING, 0, 0, bytes(8))
        + frame(PING, ACK, 0, bytes(8))
        + frame(PRIORITY, 0, 1, bytes(5))
        + frame(0xFB, 0, 0)
        + window(0, 1)
        + window(1, 1)
    )
    yield from repeated(turn, first=RESPONSE_OPENING)


FLOODS = tuple(_FLOODS.probes)
