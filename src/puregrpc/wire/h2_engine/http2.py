"""h2, told what gRPC tolerates and kept from what it is too strict or too trusting about."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import h2.config
import h2.events
from h2.exceptions import H2Error
from h2.settings import SettingCodes
from hpack import HeaderTuple, HPACKError
from hyperframe.exceptions import HyperframeError
from hyperframe.frame import GoAwayFrame, RstStreamFrame, SettingsFrame

from puregrpc.errors import RemoteProtocolError
from puregrpc.wire.closed_streams import ResetStreams
from puregrpc.wire.connection import ConnectionConfig
from puregrpc.wire.frames import (
    ACK,
    END_HEADERS,
    HEAD_SIZE,
    PADDED,
    PREFACE,
    ErrorCode,
    FrameType,
    RawFrame,
    without_padding,
)
from puregrpc.wire.h2_engine.lean import LeanConnection, LeanSettings
from puregrpc.wire.limits import (
    FIRST_STREAM_WINDOW,
    HEADER_DECODE_LIMIT,
    MAX_DATA_FRAME_SIZE,
    MAX_FRAME_SIZE,
)
from puregrpc.wire.metadata import HeaderField

__all__ = ["FIRST_WINDOW", "Http2", "check_size"]

FIRST_WINDOW = 65535
"""Every window until someone says otherwise (RFC 9113, section 6.9.2)."""

HEADER_TABLE_SIZE = 4096
"""The most our HPACK encoder uses, whatever the peer allows: it is our memory that a larger one takes."""

RESET_SIZE = 13
PRIORITY = 0x20
PRIORITY_SIZE = 5
_BLOCK_BEGINS = (FrameType.HEADERS, FrameType.PUSH_PROMISE)
_ANSWERED_WITH_RESET = (FrameType.DATA, FrameType.HEADERS, FrameType.CONTINUATION)

FIXED_SIZES = {FrameType.PING: 8, FrameType.RST_STREAM: 4, FrameType.WINDOW_UPDATE: 4}

_H2_FAULTS = (
    H2Error,
    HyperframeError,
    HPACKError,
    # h2 and what it stands on check some of a peer's octets with assert, indexing and int(): a fault is a fault.
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class Http2:
    """The HTTP/2 state of a connection. What it has to say collects in ``output``."""

    def __init__(self, config: ConnectionConfig, *, client: bool) -> None:
        self.output = bytearray()
        self._config = config
        self._client = client
        self.first_window = config.initial_stream_window
        """The receive window of a new stream, once the peer has acknowledged it."""
        if not client:
            self.first_window = min(self.first_window, FIRST_STREAM_WINDOW)
        self._block: list[RawFrame] = []
        """The frames of a header block whose end has not come."""
        self.block_size = 0
        """Their octets."""
        self._reset_here = ResetStreams()
        self._h2 = LeanConnection(
            h2.config.H2Configuration(
                client_side=client,
                header_encoding=None,
                # headers.check_fields looks at what comes (a fault ends one stream; in h2 it ends the connection),
                # headers.request_fields and its like make what goes.
                validate_inbound_headers=False,
                normalize_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )

    def start(self) -> None:
        """The preface and the first SETTINGS."""
        config, http2 = self._config, self._h2
        settings = {
            SettingCodes.INITIAL_WINDOW_SIZE: self.first_window,
            SettingCodes.MAX_FRAME_SIZE: MAX_FRAME_SIZE,
            SettingCodes.MAX_HEADER_LIST_SIZE: config.max_header_list_size,
        }
        if self._client:
            settings[SettingCodes.ENABLE_PUSH] = 0
        else:
            settings[SettingCodes.MAX_CONCURRENT_STREAMS] = config.max_concurrent_streams
        http2.local_settings = LeanSettings(
            client=self._client,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.MAX_FRAME_SIZE: MAX_FRAME_SIZE,
                # A smaller window binds the peer from its acknowledgement on.
                SettingCodes.INITIAL_WINDOW_SIZE: max(FIRST_WINDOW, self.first_window),
                # h2 ends the connection when a client opens one stream too many, or sends a header list that is a
                # little too long. Here the one call is refused: h2 is not told the limits that go out.
                SettingCodes.MAX_CONCURRENT_STREAMS: 2**31 - 1,
                SettingCodes.MAX_HEADER_LIST_SIZE: config.max_header_list_size * HEADER_DECODE_LIMIT,
            },
        )
        http2.local_settings[SettingCodes.INITIAL_WINDOW_SIZE] = self.first_window
        http2.decoder.max_header_list_size = config.max_header_list_size * HEADER_DECODE_LIMIT
        http2.initiate_connection()
        if not self._client:
            http2.receive_data(PREFACE)  # FrameReader has taken the client's
        http2.clear_outbound_data_buffer()
        if self._client:
            self.output += PREFACE
        self.output += SettingsFrame(0, settings={int(name): value for name, value in settings.items()}).serialize()
        if config.initial_connection_window > FIRST_WINDOW:
            self.grant(config.initial_connection_window - FIRST_WINDOW)

    # -- receiving

    def whole(self, frame: RawFrame) -> RawFrame | None:
        """The frame, or the whole header block that it ends; None if the end is still to come. Raises
        RemoteProtocolError."""
        is_whole = frame.flags & END_HEADERS and not frame.flags & PADDED  # hyperframe takes no padding alone
        if self._block or (frame.type in _BLOCK_BEGINS and not is_whole):
            return self._joined(frame)
        return frame

    def decoding(self, frame: RawFrame) -> Generator[None, None, list[HeaderTuple]]:
        """Decode a long header block in steps, before it is received; gives its fields if they are taken."""
        return self._h2.lean_decoder.preparing(_fragment(frame))

    def receive(self, frame: RawFrame) -> list[h2.events.Event]:
        """Take a `whole` frame. Raises RemoteProtocolError for all that the peer may have got wrong."""
        octets = frame.octets
        if frame.type == FrameType.RST_STREAM and self._is_idle(frame.stream_id):
            raise RemoteProtocolError("RST_STREAM for a stream that was never opened")
        if frame.type == FrameType.HEADERS and frame.stream_id % 2 == 0:
            raise RemoteProtocolError(f"HEADERS on stream {frame.stream_id}, which the peer cannot open")
        if frame.type == FrameType.SETTINGS and not frame.flags & ACK:
            octets = self._known_settings(frame)
        elif frame.type == FrameType.WINDOW_UPDATE and len(octets) == 13 and octets[9] & 0x80:
            # RFC 9113, section 6.9: the reserved bit is ignored. hyperframe takes it for a part of the number.
            octets = octets[:9] + bytes((octets[9] & 0x7F,)) + octets[10:]
        try:
            if frame.type == FrameType.HEADERS and frame.stream_id in self._reset_here:
                # It was on its way (RFC 9113, section 5.1), and h2 would hold it against the stream's last state.
                self._h2.decoder.decode(_fragment(frame), raw=True)
                return []
            events: list[h2.events.Event] = self._h2.receive_data(octets)
        except _H2_FAULTS as error:
            self._h2.clear_outbound_data_buffer()  # h2's own GOAWAY: ours says more
            code = int(getattr(error, "error_code", ErrorCode.PROTOCOL_ERROR))
            if isinstance(error, HPACKError) or isinstance(error.__cause__, HPACKError | IndexError | TypeError):
                code = ErrorCode.COMPRESSION_ERROR  # RFC 9113, section 4.3
            text = str(error).partition(" from <memory at")[0]  # the peer hears of it, and of no address
            raise RemoteProtocolError(text or type(error).__name__, code) from None
        changes = self._h2.encoder.table_size_changes
        if len(changes) > 1:
            # RFC 7541, section 4.2: the smallest and the last size since the last header block are announced. hpack
            # announces each, stale ones above what the peer allows by now among them.
            self._h2.encoder.table_size_changes = list(dict.fromkeys((min(changes), changes[-1])))
        before = len(self.output)
        self._flush()
        if frame.stream_id in self._reset_here and frame.type in _ANSWERED_WITH_RESET:
            # It was on its way: RFC 9113, section 5.1, wants it ignored. h2 resets the stream again, with the last
            # octets it gave, and there are peers (ASP.NET's) that end the connection over a second RST_STREAM.
            del self.output[max(before, len(self.output) - RESET_SIZE) :]
        return events

    def _joined(self, frame: RawFrame) -> RawFrame | None:
        """The header block that a frame ends, as one frame without padding; None before. h2 takes 64 frames of a block
        at most."""
        self._block.append(frame)
        self.block_size += len(frame.octets)
        first, *more = self._block
        content = without_padding(first.payload) if first.flags & PADDED else first.payload
        if first.flags & PRIORITY and len(content) < PRIORITY_SIZE:
            raise RemoteProtocolError("a frame of a wrong size", ErrorCode.FRAME_SIZE_ERROR)
        if not frame.flags & END_HEADERS:
            return None
        self._block = []
        self.block_size = 0
        content = b"".join([content, *(each.payload for each in more)])
        flags = first.flags & ~PADDED | END_HEADERS
        head = len(content).to_bytes(3, "big") + bytes((first.type, flags)) + first.stream_id.to_bytes(4, "big")
        return RawFrame(first.type, flags, first.stream_id, head + content)

    def forget_block(self) -> None:
        """Nothing more comes of a header block that was not ended."""
        self._block = []
        self.block_size = 0

    def _is_idle(self, stream_id: int) -> bool:
        if (stream_id % 2 == 1) is self._client:
            return stream_id > self._h2.highest_outbound_stream_id
        return stream_id > self._h2.highest_inbound_stream_id

    def _known_settings(self, frame: RawFrame) -> bytes:
        """The SETTINGS frame without what h2 would keep for nothing (unknown settings) or what it gets wrong."""
        payload = frame.payload
        if len(payload) % 6 or frame.stream_id:
            return frame.octets  # h2 says what is wrong
        table_size = self._h2.encoder.header_table_size
        settings: dict[int, int] = {}
        for start in range(0, len(payload), 6):
            name = int.from_bytes(payload[start : start + 2], "big")
            value = int.from_bytes(payload[start + 2 : start + 6], "big")
            if name == SettingCodes.HEADER_TABLE_SIZE:
                settings[name] = min(value, HEADER_TABLE_SIZE)
            elif SettingCodes.ENABLE_PUSH <= name <= SettingCodes.MAX_HEADER_LIST_SIZE:
                settings[name] = value
        if settings.get(SettingCodes.HEADER_TABLE_SIZE) == table_size:
            del settings[SettingCodes.HEADER_TABLE_SIZE]  # hpack forgets a change when the same size is set again
        return SettingsFrame(0, settings=settings).serialize()

    # -- sending

    def send_headers(self, stream_id: int, fields: Sequence[HeaderField], *, end: bool = False) -> None:
        """HEADERS; with ``end`` they end the stream."""
        self._h2.send_headers(stream_id, fields, end_stream=end)
        self._flush()

    def send_data(self, stream_id: int, data: bytes, *, end: bool = False) -> None:
        """One DATA frame, within `send_window`."""
        if data:
            self._h2.send_data(stream_id, data, end_stream=end)
        else:
            self._h2.end_stream(stream_id)
        self._flush()

    def reset(self, stream_id: int, error_code: int) -> None:
        """RST_STREAM."""
        self._h2.reset_stream(stream_id, error_code)
        self._flush()
        self.retire(stream_id)
        self._reset_here.add(stream_id)

    def retire(self, stream_id: int) -> None:
        """The stream is over."""
        self._h2.retired.append(stream_id)

    def reset_closed(self, stream_id: int, error: RemoteProtocolError) -> None:
        """RST_STREAM on a stream that is over. Raises the error if there never was such a stream (section 6.4)."""
        if self._is_idle(stream_id):
            raise error
        self.output += RstStreamFrame(stream_id, error_code=error.error_code).serialize()

    def grant(self, octets: int, stream_id: int = 0) -> None:
        """WINDOW_UPDATE, for the connection if no stream is named."""
        self._h2.increment_flow_control_window(octets, stream_id or None)
        self._flush()

    def ping(self, opaque: bytes) -> None:
        """PING with eight octets."""
        self._h2.ping(opaque)
        self._flush()

    def go_away(self, last_stream_id: int, error_code: int, debug_data: bytes) -> None:
        """GOAWAY. h2 learns nothing of it: for h2 that would be the end, but calls go on."""
        frame = GoAwayFrame(0, last_stream_id=last_stream_id, error_code=error_code, additional_data=debug_data)
        self.output += frame.serialize()

    def _flush(self) -> None:
        self.output += self._h2.data_to_send()

    # -- what is known

    def next_stream_id(self) -> int:
        """The id of the next stream this client opens."""
        return int(self._h2.highest_outbound_stream_id) + 2 if self._h2.highest_outbound_stream_id else 1

    @property
    def last_peer_stream_id(self) -> int:
        """The highest stream id that the peer has opened."""
        return int(self._h2.highest_inbound_stream_id)

    @property
    def connection_send_window(self) -> int:
        return int(self._h2.outbound_flow_control_window)

    @property
    def connection_receive_window(self) -> int:
        return int(self._h2.inbound_flow_control_window)

    def send_window(self, stream_id: int) -> int:
        """How large a DATA frame may be now; nothing or less if none may be sent."""
        return min(
            self._h2.outbound_flow_control_window,
            self._h2.streams[stream_id].outbound_flow_control_window,
            self._h2.max_outbound_frame_size,
            MAX_DATA_FRAME_SIZE,
        )

    def stream_windows(self, stream_id: int) -> tuple[int, int]:
        """The stream's own windows, for sending and for receiving."""
        stream = self._h2.streams.get(stream_id)
        return (stream.outbound_flow_control_window, stream.inbound_flow_control_window) if stream else (0, 0)

    @property
    def peer_max_streams(self) -> int:
        return int(self._h2.remote_settings.max_concurrent_streams)

    @property
    def peer_max_header_list_size(self) -> int | None:
        size = self._h2.remote_settings.max_header_list_size
        return None if size is None else int(size)

    @property
    def peer_settings(self) -> dict[str, int]:
        """What the peer's SETTINGS say, by the names of RFC 9113, section 6.5.2."""
        return {SettingCodes(name).name: int(value) for name, value in self._h2.remote_settings.items()}


def _fragment(frame: RawFrame) -> bytes:
    """The part of a header block that HEADERS hold, without padding and priority."""
    content = without_padding(frame.payload) if frame.flags & PADDED else frame.payload
    return content[PRIORITY_SIZE:] if frame.flags & PRIORITY else content


def check_size(frame: RawFrame) -> None:
    """Hold a frame's size against RFC 9113, section 4.2; h2 calls some of these faults by another name."""
    size = len(frame.octets) - HEAD_SIZE
    kind = frame.type
    if kind in FIXED_SIZES:
        wrong = size != FIXED_SIZES[kind] and (frame.stream_id != 0) is (kind != FrameType.PING)
        wrong = wrong or (kind == FrameType.WINDOW_UPDATE and size != FIXED_SIZES[kind])
    elif kind == FrameType.SETTINGS:
        wrong = not frame.stream_id and (size % 6 != 0 or (frame.flags & ACK != 0 and size > 0))
    elif kind in (FrameType.DATA, FrameType.HEADERS):
        if frame.flags & PADDED and frame.stream_id:
            without_padding(frame.payload)
        return
    else:
        return
    if wrong:
        raise RemoteProtocolError(f"a frame of a wrong size: {size} octets", ErrorCode.FRAME_SIZE_ERROR)
