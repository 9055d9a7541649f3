"""Floods from a server to a client."""

from __future__ import annotations

from collections.abc import Iterator

from puregrpc.fuzz.frames.floods.making import Floods, repeated
from puregrpc.fuzz.frames.probe import (
    DATA,
    END_HEADERS,
    GRPC_RESPONSE,
    HEADERS,
    SETTINGS,
    SETTINGS_ACK,
    block,
    frame,
    message,
    window,
)

__all__ = ["FLOODS"]

_FLOODS = Floods()


RESPONSE_OPENING = frame(SETTINGS, 0, 0) + SETTINGS_ACK


@_FLOODS.flood("RFC 9113, section 8.1", "any", to_client=True, limits=("INFORMATIONAL_RESPONSES",))
def informational_responses() -> Iterator[bytes]:
    yield from repeated(frame(HEADERS, END_HEADERS, 1, block(((b":status", b"103"),))), first=RESPONSE_OPENING)


@_FLOODS.flood("RFC 9113, section 8.1", "any", to_client=True, limits=("FOREIGN_BODY_SIZE",))
def a_body_that_is_not_grpc() -> Iterator[bytes]:
    head = block(((b":status", b"200"), (b"content-type", b"text/html")))
    yield from repeated(frame(DATA, 0, 1, b"<p>" * 5000), first=RESPONSE_OPENING + frame(HEADERS, END_HEADERS, 1, head))


@_FLOODS.flood("RFC 9113, section 6.5.3", "closes", to_client=True, limits=("SETTINGS_ACKNOWLEDGEMENTS",))
def settings_acknowledgements_to_a_client() -> Iterator[bytes]:
    yield from repeated(SETTINGS_ACK, first=RESPONSE_OPENING)


@_FLOODS.flood("CVE-2019-9518", "closes", to_client=True, limits=("EMPTY_FRAMES",))
def empty_data_to_a_client() -> Iterator[bytes]:
    first = RESPONSE_OPENING + frame(HEADERS, END_HEADERS, 1, block(GRPC_RESPONSE))
    yield from repeated(frame(DATA, 0, 1), first=first)


@_FLOODS.flood("RFC 9113, section 6.9", "closes", to_client=True, limits=("MAX_WINDOW_UPDATES",))
def window_updates_to_a_client() -> Iterator[bytes]:
    yield from repeated(window(1, 1), first=RESPONSE_OPENING)


@_FLOODS.flood("RFC 9113, section 10.5", "any", to_client=True, limits=("TURN_MESSAGES",))
def tiny_messages_to_a_client() -> Iterator[bytes]:
    first = RESPONSE_OPENING + frame(HEADERS, END_HEADERS, 1, block(GRPC_RESPONSE))
    yield from repeated(frame(DATA, 0, 1, message(b"") * 3200), first=first)


FLOODS = tuple(_FLOODS.probes)
