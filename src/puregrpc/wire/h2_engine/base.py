"""What both ends of an h2-based connection have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import Generic

import h2.config
import h2.connection
import h2.events
import h2.settings
from h2.exceptions import H2Error
from hpack import HPACKError
from hyperframe.exceptions import HyperframeError
from hyperframe.frame import GoAwayFrame, SettingsFrame

from puregrpc.errors import LocalProtocolError, RemoteProtocolError
from puregrpc.wire.compression import CODINGS, MessageTooLarge
from puregrpc.wire.connection import (
    Call,
    CallSnapshot,
    Connection,
    ConnectionConfig,
    ConnectionSnapshot,
    Driver,
)
from puregrpc.wire.deadline import DeadlineHeap
from puregrpc.wire.flow_control import ConnectionCredit, StreamCredit
from puregrpc.wire.frames import PREFACE, ErrorCode, FrameReader, FrameType, RawFrame
from puregrpc.wire.framing import MessageReader, encode_message
from puregrpc.wire.h2_engine.stream import CallT, Stream
from puregrpc.wire.limits import HEADER_DECODE_LIMIT, MAX_FRAME_SIZE
from puregrpc.wire.metadata import HeaderField
from puregrpc.wire.status import Status, StatusCode, http2_error_name

__all__ = ["H2Connection"]

_Setting = h2.settings.SettingCodes

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


class H2Connection(Connection, Generic[CallT]):
    """One end of a connection whose HTTP/2 state h2 keeps.

    Frames are cut from the input here and given to h2 one by one, so that what came before a broken frame still
    counts, and so that what h2 is too strict about for gRPC never reaches it: GOAWAY ends h2's connection at once,
    though the calls it covers go on.
    """

    _client: bool

    def __init__(self, driver: Driver, config: ConnectionConfig) -> None:
        self._driver = driver
        self._config = config
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=self._client,
                header_encoding=None,
                # headers.check_fields looks at what comes (a fault ends one stream; in h2 it ends the connection),
                # headers.request_fields and its like make what goes.
                validate_inbound_headers=False,
                normalize_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self._frames = FrameReader(preface=not self._client, max_frame_size=MAX_FRAME_SIZE)
        self._output = bytearray()
        self._told = False
        self._now = 0.0
        self._keys = 0
        self._calls: dict[int, Stream[CallT]] = {}
        self._streams: dict[int, Stream[CallT]] = {}
        self._turns: deque[Stream[CallT]] = deque()
        self._deadlines = DeadlineHeap()
        self._credit = ConnectionCredit(max(config.initial_connection_window, 65535))
        self._settled = False
        self._closed = False
        self._going_away = False
        """This side sent GOAWAY: no new call is taken."""
        self._sent_away = False
        """The peer sent GOAWAY: no new call may be opened."""

    # -- bytes and time

    def start(self, now: float) -> None:
        self._now = now
        config = self._config
        settings = {
            _Setting.INITIAL_WINDOW_SIZE: config.initial_stream_window,
            _Setting.MAX_FRAME_SIZE: MAX_FRAME_SIZE,
            _Setting.MAX_HEADER_LIST_SIZE: config.max_header_list_size,
        }
        if self._client:
            settings[_Setting.ENABLE_PUSH] = 0
        else:
            settings[_Setting.MAX_CONCURRENT_STREAMS] = config.max_concurrent_streams
        self._h2.local_settings = h2.settings.Settings(
            client=self._client,
            # h2 ends the connection when a client opens one stream too many, or a header list is a little too long.
            # Here a call is refused instead: h2 is not told the limits that go out.
            initial_values={
                **settings,
                _Setting.ENABLE_PUSH: 0,
                _Setting.MAX_CONCURRENT_STREAMS: 2**31 - 1,
            },
        )
        self._h2.decoder.max_header_list_size = config.max_header_list_size * HEADER_DECODE_LIMIT
        self._h2.max_inbound_frame_size = MAX_FRAME_SIZE
        self._h2.initiate_connection()
        if not self._client:
            self._h2.receive_data(PREFACE)  # FrameReader has taken the client's
        self._h2.clear_outbound_data_buffer()
        announced = SettingsFrame(0, settings={int(name): value for name, value in settings.items()})
        self._output += (PREFACE if self._client else b"") + announced.serialize()
        more = config.initial_connection_window - 65535
        if more > 0:
            self._h2.increment_flow_control_window(more)
        self._flush_h2()
        self._tell_output()

    def receive(self, data: bytes, now: float) -> None:
        self._now = now
        if self._closed:
            return
        if not data:
            self._fail("the peer closed the connection")
            return
        try:
            for frame in self._frames.feed(data):
                self._receive_frame(frame)
                if self._closed:
                    return
        except RemoteProtocolError as error:
            self._protocol_error(error)
        self._tell_output()

    def data_to_send(self, limit: int = 1 << 18) -> bytes:
        output = self._output
        while len(output) < limit and self._turns and not self._closed:
            if not self._send_turn():
                break
        if len(output) <= limit:
            data = bytes(output)
            output.clear()
        else:
            data = bytes(output[:limit])
            del output[:limit]
        self._told = bool(output) or (bool(data) and self._has_turn())
        return data

    def lost(self, reason: str) -> None:
        self._output.clear()
        self._fail(reason)

    def next_time(self) -> float | None:
        return None if self._closed else self._deadlines.next_time()

    def advance(self, now: float) -> None:
        self._now = now
        if self._closed:
            return
        for key in self._deadlines.expire(now):
            stream = self._calls.get(key)
            if stream is not None:
                self._deadline_passed(stream)
        self._tell_output()

    # -- the connection as a whole

    @property
    def open_calls(self) -> int:
        return len(self._calls)

    @property
    def is_closed(self) -> bool:
        return self._closed

    def ping(self) -> None:
        if self._closed:
            return
        self._h2.ping(b"puregrpc")
        self._flush_h2()
        self._tell_output()

    def snapshot(self) -> ConnectionSnapshot:
        http2 = self._h2
        state = "closed" if self._closed else "going away" if self._going_away or self._sent_away else "open"
        return ConnectionSnapshot(
            state=state,
            send_window=http2.outbound_flow_control_window,
            receive_window=http2.inbound_flow_control_window,
            peer_max_concurrent_streams=self._peer_max_streams(),
            calls=tuple(self._call_snapshot(stream) for stream in self._calls.values()),
            queued_calls=sum(1 for stream in self._calls.values() if not stream.id),
            settings={
                _Setting(name).name if name in list(_Setting) else str(name): value
                for name, value in http2.remote_settings.items()
            },
        )

    def _call_snapshot(self, stream: Stream[CallT]) -> CallSnapshot:
        of_h2 = self._h2.streams.get(stream.id)
        return CallSnapshot(
            stream_id=stream.id,
            path=stream.path,
            state=stream.state,
            send_window=of_h2.outbound_flow_control_window if of_h2 else 0,
            receive_window=of_h2.inbound_flow_control_window if of_h2 else 0,
            send_buffered=stream.buffered,
        )

    def _peer_max_streams(self) -> int:
        return int(self._h2.remote_settings.max_concurrent_streams)

    # -- calls: sending

    def send_message(self, call: Call, message: bytes, *, end: bool = False, compress: bool = True) -> None:
        stream: Stream[CallT] | None = call.wire_state
        if stream is None:
            return
        self._check_may_send(stream)
        self._queue_message(stream, message, compress=compress)
        if end:
            stream.end_queued = True
        self._take_turn(stream)
        self._tell_output()

    def _check_may_send(self, stream: Stream[CallT]) -> None:
        if stream.end_queued:
            raise LocalProtocolError("the call is half-closed: all its messages have been sent")

    def _queue_message(self, stream: Stream[CallT], message: bytes, *, compress: bool = True) -> None:
        coding = stream.coding if compress else CODINGS["identity"]
        framed = encode_message(message, coding, self._config.max_send_message_size)
        stream.outbound.append(framed)
        stream.buffered += len(framed)
        if stream.buffered > self.send_buffer_size:
            stream.was_full = True

    def send_buffered(self, call: Call) -> int:
        return call.wire_state.buffered if call.wire_state is not None else 0

    def consume(self, call: Call, octets: int) -> None:
        stream: Stream[CallT] | None = call.wire_state
        if stream is None:
            return
        stream.credit.consumed(octets)
        self._give_credit(stream)
        self._tell_output()

    def reset(self, call: Call, error_code: int = ErrorCode.CANCEL) -> None:
        stream: Stream[CallT] | None = call.wire_state
        if stream is None:
            return
        self._forget(stream)
        self._reset_stream(stream, error_code)
        self._after_call()
        self._tell_output()

    def _take_turn(self, stream: Stream[CallT]) -> None:
        if not stream.in_turn and stream.id and not stream.ended_locally:
            stream.in_turn = True
            self._turns.append(stream)

    def _window_of(self, stream: Stream[CallT]) -> int:
        return min(
            self._h2.outbound_flow_control_window,
            self._h2.streams[stream.id].outbound_flow_control_window,
            self._h2.max_outbound_frame_size,
        )

    def _has_turn(self) -> bool:
        return any(not stream.outbound or self._window_of(stream) > 0 for stream in self._turns)

    def _send_turn(self) -> bool:
        """Let the next call send one frame. False if none can."""
        for _ in range(len(self._turns)):
            stream = self._turns.popleft()
            if stream.outbound:
                window = self._window_of(stream)
                if window <= 0:
                    if self._h2.outbound_flow_control_window <= 0:
                        self._turns.append(stream)
                    else:
                        stream.in_turn = False  # until WINDOW_UPDATE or SETTINGS
                    continue
                piece = stream.take(window)
                last = stream.end_queued and not stream.outbound
                self._h2.send_data(stream.id, piece, end_stream=last)
            else:
                last = stream.end_queued or stream.trailers is not None
                if stream.trailers is not None:
                    self._h2.send_headers(stream.id, stream.trailers, end_stream=True)
                elif stream.end_queued:
                    self._h2.end_stream(stream.id)
            self._flush_h2()
            stream.in_turn = False
            if last:
                self._ended_locally(stream)
            elif stream.outbound or stream.trailers is not None:
                self._take_turn(stream)
            if stream.was_full and stream.buffered <= self.send_buffer_size:
                stream.was_full = False
                if not stream.detached and stream.key in self._calls:
                    stream.call.on_writable()
            return True
        return False

    def _ended_locally(self, stream: Stream[CallT]) -> None:
        stream.ended_locally = True

    # -- calls: receiving

    def _receive_frame(self, frame: RawFrame) -> None:
        kind = frame.type
        if kind == FrameType.GOAWAY:
            self._receive_goaway(frame)
            return
        if kind == FrameType.PUSH_PROMISE:
            raise RemoteProtocolError("PUSH_PROMISE, though server push is disabled")
        if kind > FrameType.CONTINUATION:
            return  # RFC 9113, section 4.1: unknown frame types are ignored
        try:
            events = self._h2.receive_data(frame.octets)
        except _H2_FAULTS as error:
            self._h2.clear_outbound_data_buffer()  # h2's own GOAWAY; ours says more
            code = int(getattr(error, "error_code", ErrorCode.PROTOCOL_ERROR))
            raise RemoteProtocolError(str(error) or type(error).__name__, code) from None
        self._flush_h2()
        if kind == FrameType.DATA:
            owed = self._credit.take(len(frame.octets) - 9)
            if owed:
                self._h2.increment_flow_control_window(owed)
                self._flush_h2()
        for event in events:
            self._dispatch(event)
            if self._closed:
                return

    def _dispatch(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.DataReceived):
            self._data_received(event)
        elif isinstance(event, h2.events.WindowUpdated):
            self._window_updated(event.stream_id or 0)
        elif isinstance(event, h2.events.StreamReset):
            stream = self._streams.get(event.stream_id or 0)
            if stream is not None:
                stream.ended_remotely = stream.ended_locally = True
                self._peer_reset(stream, int(event.error_code or 0))
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            self._settings_received()
        elif isinstance(event, h2.events.PingAckReceived):
            self._ping_answered(event.ping_data)
        elif isinstance(
            event,
            h2.events.RequestReceived
            | h2.events.ResponseReceived
            | h2.events.InformationalResponseReceived
            | h2.events.TrailersReceived,
        ):
            fields = [(bytes(name), bytes(value)) for name, value in event.headers or ()]
            ended = not isinstance(event, h2.events.InformationalResponseReceived) and event.stream_ended is not None
            self._headers_received(event.stream_id or 0, fields, ended=ended)
        elif isinstance(event, h2.events.StreamEnded):
            pass  # DataReceived and the header events say it as well

    @abstractmethod
    def _headers_received(self, stream_id: int, fields: list[HeaderField], *, ended: bool) -> None: ...

    @abstractmethod
    def _peer_reset(self, stream: Stream[CallT], error_code: int) -> None: ...

    @abstractmethod
    def _half_closed(self, stream: Stream[CallT]) -> None:
        """The peer ended the stream, and not with trailers."""

    @abstractmethod
    def _fail_call(self, stream: Stream[CallT], status: Status, error_code: int) -> None:
        """The peer broke a rule on one stream, or a limit is passed: end the call."""

    @abstractmethod
    def _deadline_passed(self, stream: Stream[CallT]) -> None: ...

    @abstractmethod
    def _sent_goaway(self, last_stream_id: int, reason: str) -> None:
        """The peer sent GOAWAY."""

    def _ping_answered(self, opaque: bytes | None) -> None:
        pass

    def _data_received(self, event: h2.events.DataReceived) -> None:
        stream = self._streams.get(event.stream_id or 0)
        if stream is None:
            return
        data = event.data or b""
        ended = event.stream_ended is not None
        if stream.detached:
            stream.ended_remotely = ended
            return
        credit = stream.credit
        credit.auto = stream.call.auto_consume
        credit.received(len(data), (event.flow_controlled_length or 0) - len(data))
        try:
            self._deliver(stream, data)
            if stream.key not in self._calls or stream.detached:
                return
            if ended:
                stream.ended_remotely = True
                stream.reader.finish()
                self._half_closed(stream)
            else:
                self._give_credit(stream)
        except RemoteProtocolError as error:
            stream.ended_remotely = ended
            too_large = isinstance(error, MessageTooLarge)
            code = StatusCode.RESOURCE_EXHAUSTED if too_large else StatusCode.INTERNAL
            self._fail_call(stream, Status(code, str(error)), ErrorCode.CANCEL)

    def _deliver(self, stream: Stream[CallT], data: bytes) -> None:
        for message in stream.reader.feed(data):
            stream.credit.delivered(len(message), stream.reader.wire_size)
            stream.call.on_message(message)
            if stream.key not in self._calls or stream.detached:
                return

    def _give_credit(self, stream: Stream[CallT]) -> None:
        if stream.ended_remotely or not stream.id:
            return
        owed = stream.credit.take()
        if owed:
            self._h2.increment_flow_control_window(owed, stream.id)
            self._flush_h2()

    def _window_updated(self, stream_id: int) -> None:
        if stream_id:
            stream = self._streams.get(stream_id)
            if stream is not None and stream.outbound:
                self._take_turn(stream)

    def _settings_received(self) -> None:
        for stream in self._streams.values():
            if stream.outbound:
                self._take_turn(stream)
        if not self._settled:
            self._settled = True
            self._driver.on_ready()

    def _receive_goaway(self, frame: RawFrame) -> None:
        payload = frame.payload
        if frame.stream_id or len(payload) < 8:
            raise RemoteProtocolError("a malformed GOAWAY frame", ErrorCode.FRAME_SIZE_ERROR)
        last_stream_id = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
        reason = http2_error_name(int.from_bytes(payload[4:8], "big"))
        debug_data = payload[8:].decode("utf-8", "replace")
        if debug_data:
            reason = f"{reason}: {debug_data}"
        self._sent_goaway(last_stream_id, reason)

    # -- the end of calls and of the connection

    def _add(self, call: CallT, path: str) -> Stream[CallT]:
        self._keys += 1
        reader = MessageReader(self._config.max_receive_message_size)
        credit = StreamCredit(self._config.initial_stream_window, auto=call.auto_consume)
        stream = Stream(self._keys, call, path, reader, credit)
        self._calls[stream.key] = stream
        call.wire_state = stream
        return stream

    def _forget(self, stream: Stream[CallT]) -> None:
        """The call is over, whatever its stream still has to do."""
        self._calls.pop(stream.key, None)
        self._streams.pop(stream.id, None)
        self._deadlines.discard(stream.key)
        stream.outbound.clear()
        stream.buffered = 0
        if stream.in_turn:
            stream.in_turn = False
            self._turns.remove(stream)
        stream.call.wire_state = None
        stream.call.wire_id = stream.id

    def _reset_stream(self, stream: Stream[CallT], error_code: int) -> None:
        if stream.id and not (stream.ended_locally and stream.ended_remotely) and not self._closed:
            stream.ended_locally = stream.ended_remotely = True
            self._h2.reset_stream(stream.id, error_code)
            self._flush_h2()

    def _end_call(
        self,
        stream: Stream[CallT],
        status: Status,
        trailers: Sequence[tuple[str, str | bytes]] = (),
        *,
        unprocessed: bool = False,
    ) -> None:
        """The call is over: forget it and tell its owner."""
        told = not stream.detached
        self._forget(stream)
        if told:
            stream.call.on_end(status, tuple(trailers), unprocessed=unprocessed)
        self._after_call()

    def _after_call(self) -> None:
        """A call is over: something may have waited for that."""

    def _protocol_error(self, error: RemoteProtocolError) -> None:
        """The peer broke the protocol: GOAWAY, and the end."""
        self._send_goaway(self._h2.highest_inbound_stream_id, error.error_code, str(error).encode()[:256])
        self._fail(str(error))

    def _send_goaway(self, last_stream_id: int, error_code: int, debug_data: bytes) -> None:
        frame = GoAwayFrame(0, last_stream_id=last_stream_id, error_code=error_code, additional_data=debug_data)
        self._output += frame.serialize()

    def _fail(self, reason: str) -> None:
        """The connection is over: so is every call."""
        if self._closed:
            return
        self._closed = True
        self._turns.clear()
        for stream in list(self._calls.values()):
            stream.in_turn = False
            self._end_call(stream, Status(StatusCode.UNAVAILABLE, reason), unprocessed=not stream.id)
        self._driver.on_closed(reason)
        self._tell_output()

    # -- output

    def _flush_h2(self) -> None:
        self._output += self._h2.data_to_send()

    def _tell_output(self) -> None:
        if not self._told and (self._output or (not self._closed and self._has_turn())):
            self._told = True
            self._driver.on_output()
