"""What the engine keeps of one call."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from puregrpc.wire.compression import CODINGS, Coding
from puregrpc.wire.connection import Call
from puregrpc.wire.flow_control import StreamCredit
from puregrpc.wire.framing import MessageReader
from puregrpc.wire.metadata import HeaderField

__all__ = ["CallT", "Stream"]

CallT = TypeVar("CallT", bound=Call)


class Stream(Generic[CallT]):
    """One call and its HTTP/2 stream. ``id`` is 0 while a client's call waits to be opened."""

    __slots__ = (
        "buffered",
        "call",
        "coding",
        "credit",
        "detached",
        "end_queued",
        "ended_locally",
        "ended_remotely",
        "headers_received",
        "headers_sent",
        "id",
        "in_turn",
        "key",
        "outbound",
        "path",
        "reader",
        "trailers",
        "was_full",
    )

    def __init__(self, key: int, call: CallT, path: str, reader: MessageReader, credit: StreamCredit) -> None:
        self.key = key
        """A number of its own, from before it has a stream id."""
        self.id = 0
        self.call = call
        self.path = path
        self.reader = reader
        self.credit = credit
        self.coding: Coding = CODINGS["identity"]
        """What messages are sent with."""
        self.outbound: deque[bytes] = deque()
        """Framed messages, or what is left of them, that flow control has not let go."""
        self.buffered = 0
        self.was_full = False
        """More than SEND_BUFFER_SIZE is waiting, and the owner is to be told when it no longer is."""
        self.in_turn = False
        self.end_queued = False
        """END_STREAM follows the messages."""
        self.trailers: list[HeaderField] | None = None
        """What follows the messages, with END_STREAM (server)."""
        self.headers_sent = False
        self.headers_received = False
        self.ended_locally = False
        self.ended_remotely = False
        self.detached = False
        """The owner is done with the call: what is left is to send what is queued."""

    @property
    def state(self) -> str:
        """The state of the stream by its name in RFC 9113, section 5.1; ``queued`` before it is opened."""
        if not self.id:
            return "queued"
        if self.ended_locally:
            return "closed" if self.ended_remotely else "half-closed (local)"
        return "half-closed (remote)" if self.ended_remotely else "open"

    def take(self, size: int) -> bytes:
        """Take up to ``size`` octets off the queued messages."""
        outbound = self.outbound
        piece = outbound.popleft()
        if len(piece) > size:
            outbound.appendleft(piece[size:])
            piece = piece[:size]
        elif outbound and len(piece) < size:
            pieces = [piece]
            room = size - len(piece)
            while outbound and room:
                piece = outbound.popleft()
                if len(piece) > room:
                    outbound.appendleft(piece[room:])
                    piece = piece[:room]
                pieces.append(piece)
                room -= len(piece)
            piece = b"".join(pieces)
        self.buffered -= len(piece)
        return piece
