"""Frames as they come: cut from the peer's octets, heads read, header blocks kept whole (RFC 9113, section 4)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from puregrpc.errors import RemoteProtocolError
from puregrpc.wire.limits import MAX_CONTINUATION_FRAMES, MAX_HEADER_BLOCK_SIZE

__all__ = ["PREFACE", "ErrorCode", "FrameReader", "FrameType", "RawFrame", "without_padding"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client says first (RFC 9113, section 3.4)."""

HEAD_SIZE = 9


class FrameType:
    """The frame types of RFC 9113, section 6."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class ErrorCode:
    """The error codes of RFC 9113, section 7."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


ACK = 0x01
END_STREAM = 0x01
END_HEADERS = 0x04
PADDED = 0x08


@dataclass(frozen=True, slots=True)
class RawFrame:
    """One frame: its head read, its octets whole."""

    type: int
    flags: int
    stream_id: int
    octets: bytes
    """The frame as it came, its head included."""

    @property
    def payload(self) -> bytes:
        return self.octets[HEAD_SIZE:]


def without_padding(payload: bytes) -> bytes:
    """What is left of the payload of a frame with PADDED (RFC 9113, section 6.1). Raises RemoteProtocolError."""
    if not payload:
        raise RemoteProtocolError("a padded frame without a length of its padding", ErrorCode.FRAME_SIZE_ERROR)
    padding = payload[0]
    if padding >= len(payload):
        raise RemoteProtocolError("more padding than frame")
    return payload[1 : len(payload) - padding]


class FrameReader:
    """Cuts what a peer sends into frames.

    ``preface`` True (in a server) demands the client's connection preface first; False (in a client) demands that
    the first frame is SETTINGS. A frame above ``max_frame_size`` ends the connection before its payload is kept.
    """

    __slots__ = ("_block_frames", "_block_size", "_block_stream", "_buffer", "_max_block_frames", "_max_block_size",
                 "_preface", "_started", "max_frame_size")  # fmt: skip

    def __init__(
        self,
        *,
        preface: bool,
        max_frame_size: int,
        max_block_size: int = MAX_HEADER_BLOCK_SIZE,
        max_block_frames: int = MAX_CONTINUATION_FRAMES,
    ) -> None:
        self.max_frame_size = max_frame_size
        self._max_block_size = max_block_size
        self._max_block_frames = max_block_frames
        self._preface = PREFACE if preface else b""
        self._buffer = bytearray()
        self._started = False
        self._block_stream = 0
        self._block_size = 0
        self._block_frames = 0

    def feed(self, data: bytes) -> Generator[RawFrame, None, None]:
        """Take octets and give the frames that they complete. Raises RemoteProtocolError; then nothing more comes."""
        buffer = self._buffer
        buffer += data
        if self._preface and not self._take_preface():
            return
        position = 0
        try:
            while len(buffer) - position >= HEAD_SIZE or (not self._started and buffer):
                if not self._started:
                    self._check_first_frame()
                    if len(buffer) < HEAD_SIZE:
                        return
                length = int.from_bytes(buffer[position : position + 3], "big")
                if length > self.max_frame_size:
                    raise RemoteProtocolError(
                        f"a frame of {length} octets; the most allowed is {self.max_frame_size}",
                        ErrorCode.FRAME_SIZE_ERROR,
                    )
                end = position + HEAD_SIZE + length
                if len(buffer) < end:
                    return
                octets = bytes(buffer[position:end])
                position = end
                frame = RawFrame(octets[3], octets[4], int.from_bytes(octets[5:9], "big") & 0x7FFFFFFF, octets)
                self._check_header_block(frame, length)
                self._started = True
                yield frame
        finally:
            del buffer[:position]

    def keep(self, data: bytes) -> None:
        """Take octets that `feed` shall give later."""
        self._buffer += data

    @property
    def kept(self) -> int:
        """How many octets `feed` has not given yet."""
        return len(self._buffer)

    def rest(self) -> bytes:
        """The octets of frames that were not given yet; they are the caller's from now on."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def forget(self) -> None:
        """Nothing more is to be given."""
        self._buffer = bytearray()

    def _take_preface(self) -> bool:
        buffer, preface = self._buffer, self._preface
        if not preface.startswith(buffer[: len(preface)]):
            start = bytes(buffer[:64]).decode("ascii", "backslashreplace")
            speaks = "HTTP/1" if b" HTTP/1." in buffer or start.split(" ")[0].isupper() else "no HTTP/2"
            raise RemoteProtocolError(f"the client speaks {speaks}; it began with {start!r}")
        if len(buffer) < len(preface):
            return False
        del buffer[: len(preface)]
        self._preface = b""
        return True

    def _check_first_frame(self) -> None:
        """RFC 9113, section 3.4: the preface of either side ends in SETTINGS. Says early what else is there."""
        buffer = self._buffer
        if buffer.startswith(b"HTTP/1"):
            line = bytes(buffer[:64]).split(b"\r\n")[0].decode("ascii", "backslashreplace")
            raise RemoteProtocolError(f"the server answered with HTTP/1.1 ({line}), not with HTTP/2")
        if b"HTTP/1".startswith(buffer):
            return
        wrong = (len(buffer) > 3 and buffer[3] != FrameType.SETTINGS) or (len(buffer) > 4 and buffer[4] & ACK)
        if wrong:
            start = bytes(buffer[:32]).decode("ascii", "backslashreplace")
            raise RemoteProtocolError(f"the peer does not speak HTTP/2: SETTINGS must come first, not {start!r}")

    def _check_header_block(self, frame: RawFrame, length: int) -> None:
        """A header block is HEADERS or PUSH_PROMISE and CONTINUATIONs with nothing between (RFC 9113, section 4.3)."""
        if self._block_stream:
            if frame.type != FrameType.CONTINUATION or frame.stream_id != self._block_stream:
                raise RemoteProtocolError("a header block was interrupted by another frame")
            self._block_frames += 1
            self._block_size += length
            if self._block_frames > self._max_block_frames or self._block_size > self._max_block_size:
                raise RemoteProtocolError("a header block is too long", ErrorCode.ENHANCE_YOUR_CALM)
            if frame.flags & END_HEADERS:
                self._block_stream = 0
        elif frame.type == FrameType.CONTINUATION:
            raise RemoteProtocolError("CONTINUATION without a header block before it")
        elif frame.type in (FrameType.HEADERS, FrameType.PUSH_PROMISE) and not frame.flags & END_HEADERS:
            self._block_stream = frame.stream_id
            self._block_size = length
            self._block_frames = 0
