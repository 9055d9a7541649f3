"""Floods of frames that belong to no call: SETTINGS, PING, WINDOW_UPDATE, PRIORITY, GOAWAY, unknown ones."""

from __future__ import annotations

from collections.abc import Iterator

from puregrpc.fuzz.frames.floods.making import (
    FLOOD_SIZE,
    NEXT_REQUEST,
    Floods,
    asked,
    begun,
    on_streams,
    repeated,
    request,
)
from puregrpc.fuzz.frames.probe import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    OPENING,
    PING,
    PRIORITY,
    SETTINGS,
    SETTINGS_ACK,
    frame,
    message,
    window,
)

__all__ = ["FLOODS"]

_FLOODS = Floods()


@_FLOODS.flood("CVE-2019-9515", "closes", limits=("SETTINGS_FRAMES",))
def settings_frames() -> Iterator[bytes]:
    yield from repeated(frame(SETTINGS, 0, 0))


@_FLOODS.flood("CVE-2019-9515", "closes", limits=("SETTINGS_FRAMES",), handlers="deaf")
def settings_that_move_every_window() -> Iterator[bytes]:
    yield begun(flags=END_STREAM)
    yield b"".join(frame(HEADERS, END_HEADERS, number, NEXT_REQUEST) for number in range(3, 1999, 2))
    yield from repeated(
        frame(SETTINGS, 0, 0, b"\0\4\0\0\0\1") + frame(SETTINGS, 0, 0, b"\0\4\0\1\0\0"), first=SETTINGS_ACK
    )


@_FLOODS.flood("RFC 9113, section 6.5.2", "closes", limits=("MAX_SETTINGS_IN_FRAME",))
def settings_in_one_frame() -> Iterator[bytes]:
    yield from repeated(frame(SETTINGS, 0, 0, b"\0\4\0\0\xff\xff" * 2730))


@_FLOODS.flood("RFC 9113, section 6.5.3", "closes", limits=("SETTINGS_ACKNOWLEDGEMENTS",))
def settings_acknowledgements() -> Iterator[bytes]:
    yield from repeated(SETTINGS_ACK)


@_FLOODS.flood("CVE-2019-9512", "closes", limits=("PINGS", "MAX_PING_STRIKES", "MIN_PING_INTERVAL_WITHOUT_CALLS"))
def pings() -> Iterator[bytes]:
    yield from repeated(frame(PING, 0, 0, bytes(8)))


@_FLOODS.flood("CVE-2019-9512", "closes", takes_output=False, limits=("MAX_UNSENT_REPLIES",))
def pings_whose_answers_are_not_read() -> Iterator[bytes]:
    yield from repeated(frame(PING, 0, 0, bytes(8)))


@_FLOODS.flood("RFC 9113, section 6.7", "closes", limits=("PING_ACKNOWLEDGEMENTS",))
def ping_acknowledgements() -> Iterator[bytes]:
    yield from repeated(frame(PING, ACK, 0, bytes(8)))


@_FLOODS.flood("RFC 9113, section 6.9", "closes", limits=("MAX_WINDOW_UPDATES",))
def window_updates() -> Iterator[bytes]:
    yield from repeated(window(0, 1))


@_FLOODS.flood("RFC 9113, section 6.9", "closes", handlers="deaf", limits=("MAX_WINDOW_UPDATES",))
def window_updates_of_a_stream() -> Iterator[bytes]:
    yield from repeated(window(1, 1), first=begun())


@_FLOODS.flood("CVE-2019-9513", "closes", limits=("PRIORITY_FRAMES",))
def priorities() -> Iterator[bytes]:
    yield from on_streams(lambda stream_id: frame(PRIORITY, 0, stream_id, b"\0\0\0\0\x10"))


@_FLOODS.flood("RFC 9113, section 4.2", "closes", limits=("MAX_FRAME_SIZE",))
def frames_that_are_too_large() -> Iterator[bytes]:
    yield OPENING
    yield (1 << 20).to_bytes(3, "big") + bytes((DATA, 0, 0, 0, 0, 1)) + bytes(1 << 20)


@_FLOODS.flood("RFC 9113, section 4.1", "closes", limits=("UNKNOWN_FRAMES",))
def unknown_frames() -> Iterator[bytes]:
    yield from repeated(frame(0xFB, 0, 0))


@_FLOODS.flood("RFC 9113, section 6.8", "closes", limits=("GOAWAY_FRAMES",))
def goaways() -> Iterator[bytes]:
    yield from repeated(frame(GOAWAY, 0, 0, bytes(8)))


@_FLOODS.flood("RFC 7541, section 4.2", "closes", limits=("SETTINGS_FRAMES",))
def table_sizes_that_change_with_each_call() -> Iterator[bytes]:
    sizes = (frame(SETTINGS, 0, 0, b"\0\1\0\0\0\0"), frame(SETTINGS, 0, 0, b"\0\1\0\0\x10\0"))
    yield from on_streams(
        lambda stream_id: sizes[stream_id // 2 % 2] + frame(HEADERS, END_HEADERS | END_STREAM, stream_id, NEXT_REQUEST),
        first=begun(flags=END_STREAM),
        start=3,
    )


@_FLOODS.flood("RFC 9113, section 6.5.2", "closes", handlers="large", limits=("SETTINGS_FRAMES",))
def frame_sizes_that_change_under_answers() -> Iterator[bytes]:
    sizes = (frame(SETTINGS, 0, 0, b"\0\5\0\xff\xff\xff"), frame(SETTINGS, 0, 0, b"\0\5\0\0\x40\0"))
    yield from on_streams(
        lambda stream_id: sizes[stream_id // 2 % 2] + request(stream_id), first=asked(window(0, 1 << 30)), start=3
    )


@_FLOODS.flood("RFC 9113, section 6.9.2", "closes", handlers="large", limits=("SETTINGS_FRAMES",))
def windows_that_go_below_nought() -> Iterator[bytes]:
    yield asked(*map(request, range(3, 203, 2)))
    nought, some = b"\0\4\0\0\0\0", b"\0\4\0\0\x10\0"
    yield from repeated(frame(SETTINGS, 0, 0, nought) + frame(SETTINGS, 0, 0, some), first=b"", size=FLOOD_SIZE // 4)


@_FLOODS.flood("RFC 9218, section 7.1", "closes", limits=("UNKNOWN_FRAMES",))
def priority_updates() -> Iterator[bytes]:
    yield from on_streams(lambda stream_id: frame(0x10, 0, 0, stream_id.to_bytes(4, "big") + b"u=1, i"))


@_FLOODS.flood("RFC 9113, section 5.5", "closes", limits=("UNKNOWN_FRAMES",))
def frames_of_each_unknown_type() -> Iterator[bytes]:
    yield from repeated(b"".join(frame(kind, 0xFF, kind, bytes(8)) for kind in range(10, 256)))


@_FLOODS.flood("CVE-2019-9512", "any", limits=("MAX_UNSENT_REPLIES",))
def pings_between_calls() -> Iterator[bytes]:
    """Each answer forgives a PING."""
    yield from on_streams(
        lambda stream_id: (
            frame(HEADERS, END_HEADERS, stream_id, NEXT_REQUEST)
            + frame(DATA, END_STREAM, stream_id, message(b""))
            + frame(PING, 0, 0, stream_id.to_bytes(8, "big"))
        ),
        first=begun(flags=END_STREAM),
        start=3,
    )


@_FLOODS.flood("RFC 9113, section 6.8", "any")
def calls_behind_a_goaway() -> Iterator[bytes]:
    yield from on_streams(
        lambda stream_id: frame(HEADERS, END_HEADERS | END_STREAM, stream_id, NEXT_REQUEST),
        first=begun(frame(GOAWAY, 0, 0, bytes(8)), flags=END_STREAM),
        start=3,
    )


FLOODS = tuple(_FLOODS.probes)
