"""What floods are made of: frames repeated, or made for one stream after the other, about a megabyte of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from puregrpc.fuzz.frames.probe import (
    DATA,
    END_HEADERS,
    END_STREAM,
    GRPC_REQUEST,
    HEADERS,
    OPENING,
    Handlers,
    Probe,
    Sound,
    frame,
    indexed,
    message,
)

__all__ = [
    "FIRST_REQUEST",
    "FLOOD_SIZE",
    "NEXT_REQUEST",
    "PIECE",
    "Floods",
    "asked",
    "begun",
    "on_streams",
    "repeated",
    "request",
]

FLOOD_SIZE = 1 << 20
PIECE = 1 << 16
FIRST_REQUEST, NEXT_REQUEST = indexed(GRPC_REQUEST)

Octets = Callable[[], Iterator[bytes]]


class Floods:
    """The floods of one module, in their order there."""

    def __init__(self) -> None:
        self.probes: list[Probe] = []

    def flood(
        self,
        reference: str,
        sound: Sound,
        *,
        handlers: Handlers = "echo",
        takes_output: bool = True,
        limits: tuple[str, ...] = (),
        to_client: bool = False,
    ) -> Callable[[Octets], Octets]:
        """Enter a generator of octets into the catalogue, under its own name."""

        def enter(octets: Octets) -> Octets:
            name = octets.__name__.replace("_", "-")
            to: Literal["server", "client"] = "client" if to_client else "server"
            self.probes.append(Probe(name, to, reference, sound, octets, handlers, takes_output, limits))
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


def request(stream_id: int) -> bytes:
    """A whole request of an empty message; those behind stream 1 stand for its fields by indexes."""
    fields = FIRST_REQUEST if stream_id == 1 else NEXT_REQUEST
    return frame(HEADERS, END_HEADERS, stream_id, fields) + frame(DATA, END_STREAM, stream_id, message(b""))


def asked(*more: bytes) -> bytes:
    """An opening, and a whole first request on stream 1 that fills the dynamic table."""
    return OPENING + request(1) + b"".join(more)
