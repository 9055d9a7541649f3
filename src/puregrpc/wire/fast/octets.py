"""Frames as this engine writes and reads them: their heads as structs, flags, and the state bits of a call."""

from __future__ import annotations

import struct

from puregrpc.wire.frames import FrameType

__all__ = [
    "ACK", "END_HEADERS", "END_STREAM", "HEAD_SIZE", "MAX_STREAM_ID", "MAX_WINDOW", "PADDED", "PING_HEAD",
    "PING_SIZE", "PONG_HEAD", "PRIORITY_FLAG", "frame", "message_frame_head", "pack_head",
    "unpack_head", "unpack_prefix",
]  # fmt: skip

HEAD_SIZE = 9

END_STREAM = 0x01
ACK = 0x01
END_HEADERS = 0x04
PADDED = 0x08
PRIORITY_FLAG = 0x20

MAX_STREAM_ID = 2**31 - 1
MAX_WINDOW = 2**31 - 1

_head = struct.Struct(">BHBBL")
_message_frame_head = struct.Struct(">BHBBLBL")
_prefix = struct.Struct(">BL")

pack_head = _head.pack
"""(length >> 16, length & 0xFFFF, type, flags, stream id) -> the nine octets of a frame's head (RFC 9113, 4.1)."""

unpack_head = _head.unpack_from
unpack_prefix = _prefix.unpack_from

message_frame_head = _message_frame_head.pack
"""The head of a DATA frame that holds one whole message, and the message's prefix."""


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """A whole frame."""
    length = len(payload)
    return pack_head(length >> 16, length & 0xFFFF, kind, flags, stream_id) + payload


PING_SIZE = HEAD_SIZE + 8
PING_HEAD = pack_head(0, 8, FrameType.PING, 0, 0)
"""The head of a PING that wants an answer."""

PONG_HEAD = pack_head(0, 8, FrameType.PING, ACK, 0)
"""The head of the answer."""
