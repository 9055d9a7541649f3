"""Floods of frames that are right by themselves: what they come to together costs the receiver."""

from __future__ import annotations

from collections.abc import Iterator

from puregrpc.fuzz.frames.floods.making import (
    FLOOD_SIZE,
    NEXT_REQUEST,
    PIECE,
    Floods,
    asked,
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
    PING,
    RST_STREAM,
    SETTINGS,
    Fields,
    block,
    frame,
    indexed,
    message,
    opening,
    plain_literal,
    window,
)

__all__ = ["FLOODS"]

_FLOODS = Floods()


@_FLOODS.flood("RFC 9113, section 10.5", "any", takes_output=False, limits=("MAX_UNSENT_HEADERS",))
def small_answers_that_are_not_read() -> Iterator[bytes]:
    yield from on_streams(request, first=asked(), start=3)


@_FLOODS.flood("RFC 9113, section 6.9.2", "any", limits=("MAX_UNSENT_OUTPUT",))
def small_answers_into_no_window() -> Iterator[bytes]:
    """Each call holds five octets, its trailers and all that it is."""
    yield from on_streams(request, first=opening(INITIAL_WINDOW_SIZE=0) + request(1), start=3)


@_FLOODS.flood("GHSA-hrxh-6v49-42gf", "closes", takes_output=False, limits=("STREAM_RESETS",))
def resets_behind_answers_that_are_not_read() -> Iterator[bytes]:
    yield from on_streams(
        lambda stream_id: request(stream_id) + frame(RST_STREAM, 0, stream_id, b"\0\0\0\x08"), first=asked(), start=3
    )


@_FLOODS.flood("CVE-2019-9512", "closes", handlers="large", limits=("PINGS", "MAX_UNSENT_OUTPUT"))
def pings_behind_large_answers() -> Iterator[bytes]:
    first = opening(INITIAL_WINDOW_SIZE=0) + b"".join(map(request, range(1, 101, 2)))
    yield from repeated(frame(PING, 0, 0, bytes(8)), first=first)


@_FLOODS.flood("RFC 9113, section 6.9.2", "closes", handlers="large", limits=("SETTINGS_FRAMES",))
def windows_that_close_and_open_under_answers() -> Iterator[bytes]:
    """As wide as can be, and shut."""
    yield asked(*map(request, range(3, 43, 2)), window(0, 1 << 30))
    wide, shut = b"\0\4\x7f\xff\xff\xff", b"\0\4\0\0\0\0"
    yield from repeated(frame(SETTINGS, 0, 0, shut) + frame(SETTINGS, 0, 0, wide), first=b"", size=FLOOD_SIZE // 4)


@_FLOODS.flood("RFC 9113, section 5.1", "closes", handlers="deaf", limits=("MAX_WINDOW_UPDATES",))
def windows_of_half_closed_streams() -> Iterator[bytes]:
    """Of hundreds of calls, one after the other, which the client has ended and the server has not."""
    calls = range(3, 1603, 2)
    yield begun(
        frame(DATA, END_STREAM, 1),
        *(frame(HEADERS, END_HEADERS | END_STREAM, number, NEXT_REQUEST) for number in calls),
    )
    yield from repeated(b"".join(window(number, 1) for number in calls), first=b"")


@_FLOODS.flood("PROTOCOL-HTTP2, Timeout", "closes", limits=("STREAM_RESETS",))
def deadlines_far_away() -> Iterator[bytes]:
    """Of calls that are reset at once."""
    first, following = indexed((*GRPC_REQUEST, (b"grpc-timeout", b"99999999H")))
    yield from on_streams(
        lambda stream_id: (
            frame(HEADERS, END_HEADERS, stream_id, following) + frame(RST_STREAM, 0, stream_id, b"\0\0\0\x08")
        ),
        first=OPENING + frame(HEADERS, END_HEADERS, 1, first),
        start=3,
    )


@_FLOODS.flood("PROTOCOL-HTTP2, Length-Prefixed-Message", "any")
def messages_in_frames_of_sixty_five_octets() -> Iterator[bytes]:
    """Just more than what counts as a small part."""
    whole = message(bytes(60_000))
    parts = [whole[at : at + 65] for at in range(0, len(whole), 65)]

    def call(stream_id: int) -> bytes:
        return frame(HEADERS, END_HEADERS, stream_id, NEXT_REQUEST) + b"".join(
            frame(DATA, END_STREAM if part is parts[-1] else 0, stream_id, part) for part in parts
        )

    yield from on_streams(call, first=asked(), start=3)


@_FLOODS.flood("RFC 9113, section 6.1", "any")
def messages_in_padded_frames() -> Iterator[bytes]:
    """Each octet of a message comes with 255 of padding, for which the window opens again."""
    part = frame(DATA, PADDED, 1, b"\xff" + b"\0" + bytes(255))
    yield from repeated(part, first=begun())


@_FLOODS.flood("RFC 9113, section 6.5.2", "any")
def answers_that_fit_no_list() -> Iterator[bytes]:
    """Each call ends with a reset, since the client takes no headers."""
    yield from on_streams(request, first=opening(MAX_HEADER_LIST_SIZE=0) + request(1), start=3)


@_FLOODS.flood("RFC 9113, section 6.5.2", "any", handlers="fail")
def answers_that_fit_a_short_list() -> Iterator[bytes]:
    """A status has to leave out most of its text."""
    fields: Fields = (*GRPC_REQUEST[:2], (b":path", b"/" + b"%" * 3900), *GRPC_REQUEST[3:])
    first, following = indexed(fields)
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, following),
        first=opening(MAX_HEADER_LIST_SIZE=300) + frame(HEADERS, END_HEADERS | END_STREAM, 1, first),
        start=3,
    )


def _with_long_field(name: bytes, value: bytes) -> Iterator[bytes]:
    """Calls that stay open, each with a long field, which comes anew each time."""
    fields = tuple((each, value if each == name else text) for each, text in GRPC_REQUEST)
    large = block(fields if name in dict(GRPC_REQUEST) else (*fields, (name, value)))
    yield from on_streams(lambda stream_id: frame(HEADERS, END_HEADERS, stream_id, large), size=8 * FLOOD_SIZE)


@_FLOODS.flood("RFC 9113, section 10.5.1", "any", handlers="deaf")
def long_authorities() -> Iterator[bytes]:
    yield from _with_long_field(b":authority", b"a" * 14_000)


@_FLOODS.flood("RFC 9113, section 10.5.1", "any", handlers="deaf")
def long_subtypes() -> Iterator[bytes]:
    """Of application/grpc, which the answers repeat."""
    yield from _with_long_field(b"content-type", b"application/grpc+" + b"a" * 14_000)


@_FLOODS.flood("RFC 9113, section 10.5.1", "any", handlers="deaf")
def long_user_agents() -> Iterator[bytes]:
    yield from _with_long_field(b"user-agent", b"a" * 14_000)


def _of_long_names(path: bytes, head: bytes) -> Iterator[bytes]:
    """Calls of a service that ask for names of 16,000 octets, and stay open."""
    first, following = indexed((*GRPC_REQUEST[:2], (b":path", path), *GRPC_REQUEST[3:]))
    asks = frame(DATA, 0, 1, message(head + b"\x80\x7d" + b"n" * 16_000))

    def call(stream_id: int) -> bytes:
        data = asks[:5] + stream_id.to_bytes(4, "big") + asks[9:]
        return frame(HEADERS, END_HEADERS, stream_id, first if stream_id == 1 else following) + data

    yield from on_streams(call, size=4 * FLOOD_SIZE)


@_FLOODS.flood("gRPC health checking", "any")
def health_watches_of_long_names() -> Iterator[bytes]:
    yield from _of_long_names(b"/grpc.health.v1.Health/Watch", b"\n")


@_FLOODS.flood("gRPC server reflection", "any")
def reflection_of_long_names() -> Iterator[bytes]:
    yield from _of_long_names(b"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", b"\x22")


@_FLOODS.flood("gRPC server reflection", "any")
def reflection_of_names_in_parts() -> Iterator[bytes]:
    """A name of ten thousand dots, each of which might end a package."""
    name = b"a." * 8_000
    asks = message(b"\x22\x80\x7d" + name)
    fields: Fields = (
        *GRPC_REQUEST[:2],
        (b":path", b"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"),
        *GRPC_REQUEST[3:],
    )
    first = OPENING + frame(HEADERS, END_HEADERS, 1, block(fields)) + window(0, 1 << 30) + window(1, 1 << 30)
    octets = asks * 10
    parts = b"".join(frame(DATA, 0, 1, octets[at : at + 16384]) for at in range(0, len(octets), 16384))
    yield from repeated(parts, first=first, size=4 * FLOOD_SIZE)


@_FLOODS.flood("RFC 9113, section 8.2.3", "any")
def crumbs_of_cookies() -> Iterator[bytes]:
    """A cookie in four hundred fields, which a receiver may join."""
    crumbs = b"".join(b"\0" + plain_literal(b"cookie") + plain_literal(b"a=b") for _ in range(350))
    large = block(GRPC_REQUEST) + crumbs
    yield from on_streams(lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, large))


@_FLOODS.flood("RFC 9113, section 5.1.1", "any", handlers="deaf", limits=("STREAM_RESETS",))
def calls_that_change_places() -> Iterator[bytes]:
    """As many open as there may be, the oldest of which is reset for each new one, more and more slowly than counts."""
    yield begun() + b"".join(frame(HEADERS, END_HEADERS, number, NEXT_REQUEST) for number in range(3, 2001, 2))
    number = 2001
    for _ in range(20):
        piece = bytearray()
        while len(piece) < PIECE // 16:
            piece += frame(RST_STREAM, 0, number - 2000, b"\0\0\0\x08")
            piece += frame(HEADERS, END_HEADERS, number, NEXT_REQUEST)
            number += 2
        yield bytes(piece)


FLOODS = tuple(_FLOODS.probes)
