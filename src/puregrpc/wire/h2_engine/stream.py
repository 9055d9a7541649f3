"""What the engine keeps of one call, and what a peer may get wrong on its stream alone."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from puregrpc.errors import RemoteProtocolError
from puregrpc.wire.call_state import Half
from puregrpc.wire.compression import CODINGS, Coding
from puregrpc.wire.connection import Call
from puregrpc.wire.flow_control import StreamCredit
from puregrpc.wire.frames import END_STREAM, HEAD_SIZE, ErrorCode, FrameType, RawFrame
from puregrpc.wire.framing import MessageReader
from puregrpc.wire.headers import BodyLength, Refusal
from puregrpc.wire.memory import EMPTY
from puregrpc.wire.metadata import HeaderField
from puregrpc.wire.status import Status

__all__ = ["CallT", "Stream", "priority_error", "stream_error"]

CallT = TypeVar("CallT", bound=Call)


class Stream(Generic[CallT]):
    """One call and its HTTP/2 stream. ``id`` is 0 while a client's call waits to be opened."""

    __slots__ = (
        "answered",
        "buffered",
        "call",
        "coding",
        "credit",
        "end_queued",
        "failure",
        "failure_text",
        "held",
        "id",
        "key",
        "length",
        "outbound",
        "path",
        "reader",
        "receiving",
        "refusal",
        "sending",
        "trailers",
        "was_full",
        "wire_ended_locally",
        "wire_ended_remotely",
    )

    def __init__(
        self,
        key: int,
        call: CallT,
        path: str,
        *,
        sending: Half,
        receiving: Half,
        reader: MessageReader,
        credit: StreamCredit,
    ) -> None:
        self.key = key
        """A number of its own, from before it has a stream id."""
        self.id = 0
        self.call = call
        self.path = path
        self.sending = sending
        """What the owner of the call has asked for: it may still be queued."""
        self.receiving = receiving
        self.reader = reader
        self.length: BodyLength | None = None
        """Measures the body, if content-length says how long it is."""
        self.credit = credit
        self.coding: Coding = CODINGS["identity"]
        """What messages are sent with."""
        self.outbound: deque[bytes | memoryview] = EMPTY
        """Framed messages, or what is left of them, that flow control has not let go."""
        self.buffered = 0
        """Octets of them that are still to be sent."""
        self.held = 0
        """What they take in memory: each is there as a whole until the last of it is sent."""
        self.was_full = False
        """More than SEND_BUFFER_SIZE is waiting, and the owner is to be told when it no longer is."""
        self.end_queued = False
        """END_STREAM follows the messages (client)."""
        self.answered = False
        """All of the response is queued (server): the owner is not told anything any more."""
        self.trailers: list[HeaderField] | None = None
        """What follows the messages, with END_STREAM (server)."""
        self.wire_ended_locally = False
        self.wire_ended_remotely = False
        self.refusal: Refusal | None = None
        """The answer to a request that is none of gRPC's, once all of it is there (server)."""
        self.failure: Status | None = None
        """Why the response is none of gRPC's (client); its body is gathered in ``failure_text``."""
        self.failure_text = bytearray()

    @property
    def state(self) -> str:
        """The state of the stream by its name in RFC 9113, section 5.1; ``queued`` before it is opened."""
        if not self.id:
            return "queued"
        if self.wire_ended_locally:
            return "half-closed (local)"
        return "half-closed (remote)" if self.wire_ended_remotely else "open"

    def put(self, octets: bytes) -> None:
        """Queue octets of a message."""
        if self.outbound is EMPTY:
            self.outbound = deque()
        self.outbound.append(octets)
        self.buffered += len(octets)
        self.held += len(octets)

    def take(self, size: int) -> bytes:
        """Take up to ``size`` octets off the queued messages."""
        outbound = self.outbound
        pieces: list[bytes | memoryview] = []
        room = size
        while outbound and room:
            piece = outbound.popleft()
            if len(piece) > room:
                view = memoryview(piece)  # a slice of bytes would copy the rest each time
                outbound.appendleft(view[room:])
                piece = view[:room]
            else:
                self.held -= memoryview(piece.obj).nbytes if isinstance(piece, memoryview) else len(piece)
            pieces.append(piece)
            room -= len(piece)
        self.buffered -= size - room
        return b"".join(pieces)


def stream_error(stream: Stream[CallT], frame: RawFrame) -> RemoteProtocolError | None:
    """What is wrong with a frame so that one stream must be reset; h2 would end the connection."""
    kind, size = frame.type, len(frame.octets) - HEAD_SIZE
    if kind == FrameType.WINDOW_UPDATE:
        if size == 4 and not int.from_bytes(frame.payload, "big") & 0x7FFFFFFF:
            return RemoteProtocolError("WINDOW_UPDATE by nothing")  # RFC 9113, section 6.9
    elif kind == FrameType.PRIORITY:
        return priority_error(frame)
    elif not stream.wire_ended_remotely:
        headers_seen = stream.receiving.opened or stream.failure is not None
        if kind == FrameType.HEADERS and headers_seen and not frame.flags & END_STREAM:
            return RemoteProtocolError("HEADERS after the first that do not end the stream")
        if kind == FrameType.DATA and not headers_seen:
            return RemoteProtocolError("DATA before the headers of the response")
    return None


def priority_error(frame: RawFrame) -> RemoteProtocolError | None:
    """What is wrong with a PRIORITY frame, which may come on streams that are over as well."""
    if len(frame.octets) - HEAD_SIZE != 5:
        return RemoteProtocolError("PRIORITY of a wrong size", ErrorCode.FRAME_SIZE_ERROR)  # section 6.3
    if int.from_bytes(frame.payload[:4], "big") & 0x7FFFFFFF == frame.stream_id:
        return RemoteProtocolError("a stream that depends on itself")  # RFC 7540, section 5.3.1
    return None
