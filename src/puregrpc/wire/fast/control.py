"""What concerns the connection as a whole: its opening, SETTINGS, PING, GOAWAY, windows, resets, time, and its end."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from puregrpc.errors import RemoteProtocolError
from puregrpc.wire.closed_streams import ResetStreams
from puregrpc.wire.connection import Call, ConnectionConfig, Driver, Metadata
from puregrpc.wire.deadline import Deadlines
from puregrpc.wire.farewell import Farewell
from puregrpc.wire.fast.octets import ACK, HEAD_SIZE, MAX_WINDOW, PING_SIZE, PONG_HEAD, frame
from puregrpc.wire.fast.sending import DETACHED, END_SENT, MAX_DATA_FRAME, QUEUED, REMOTE_CLOSED, Sending
from puregrpc.wire.floods import FloodGuard
from puregrpc.wire.flow_control import BandwidthProbe
from puregrpc.wire.frames import PREFACE, ErrorCode, FrameType
from puregrpc.wire.keepalive import Keepalive, KeepaliveAction
from puregrpc.wire.limits import FIRST_STREAM_WINDOW, HANDSHAKE_TIMEOUT, MAX_FRAME_SIZE
from puregrpc.wire.memory import Holdings
from puregrpc.wire.status import Status, StatusCode
from puregrpc.wire.turn import Turn

if TYPE_CHECKING:
    from puregrpc.wire.snapshot import CallSnapshot, ConnectionSnapshot

__all__ = ["Controlled"]

HEADER_TABLE_SIZE = 1
ENABLE_PUSH = 2
MAX_CONCURRENT_STREAMS = 3
INITIAL_WINDOW_SIZE = 4
MAX_FRAME_SIZE_SETTING = 5
MAX_HEADER_LIST_SIZE = 6
SETTING_NAMES = {
    HEADER_TABLE_SIZE: "HEADER_TABLE_SIZE",
    ENABLE_PUSH: "ENABLE_PUSH",
    MAX_CONCURRENT_STREAMS: "MAX_CONCURRENT_STREAMS",
    INITIAL_WINDOW_SIZE: "INITIAL_WINDOW_SIZE",
    MAX_FRAME_SIZE_SETTING: "MAX_FRAME_SIZE",
    MAX_HEADER_LIST_SIZE: "MAX_HEADER_LIST_SIZE",
}
DEFAULT_SETTINGS = {HEADER_TABLE_SIZE: 4096, ENABLE_PUSH: 1, INITIAL_WINDOW_SIZE: 65535, MAX_FRAME_SIZE_SETTING: 16384}

FIRST_WINDOW = 65535
"""Every window until someone says otherwise (RFC 9113, section 6.9.2)."""

RESET_SIZE = HEAD_SIZE + 4

KEEPALIVE_PING = b"alive???"
OWNER_PING = b"puregrpc"

DEADLINE_PASSED = Status(StatusCode.DEADLINE_EXCEEDED, "the deadline has passed")


class Controlled(Sending):
    """What both ends do about the connection as a whole."""

    __slots__ = (
        "_acknowledged",
        "_announced_window",
        "_answered",
        "_connection_received",
        "_connection_window",
        "_deadlines",
        "_farewell",
        "_floods",
        "_goaway_deadline",
        "_going_away",
        "_handshake_deadline",
        "_holdings",
        "_keepalive",
        "_last_processed",
        "_low_water",
        "_probe",
        "_received_before",
        "_resets",
        "_sent_away",
        "_settings",
        "_settled",
        "_stream_window",
        "_streams_failed",
        "_turn",
        "now",
    )

    def __init__(self, driver: Driver, config: ConnectionConfig) -> None:
        super().__init__(driver, config)
        self.now = 0.0
        self._turn = Turn()
        self._streams_failed = 0
        self._last_processed = MAX_WINDOW
        """The last stream that the peer says it may have looked at, as GOAWAY has it."""
        self._settled = False
        self._acknowledged = False
        """The peer has acknowledged the SETTINGS of this side."""
        self._going_away = False
        """This side sent GOAWAY: no new call is taken."""
        self._sent_away = False
        self._farewell = Farewell()
        """The peer sent GOAWAY: no new call may be opened."""
        self._deadlines = Deadlines()
        self._answered = False
        """Headers or DATA went out since the peer's last PING."""
        self._floods = FloodGuard(None if self._client else config.max_concurrent_streams)
        self._keepalive: Keepalive | None = None
        self._handshake_deadline: float | None = None
        self._goaway_deadline: float | None = None
        """Server: how long the answer to the PING behind its GOAWAY is waited for."""
        self._settings = dict(DEFAULT_SETTINGS)
        self._holdings = Holdings(
            config.connection_memory, config.max_receive_message_size, ends_calls=not self._client
        )
        self._connection_window = max(config.initial_connection_window, FIRST_WINDOW)
        self._announced_window = config.initial_stream_window
        if not self._client:
            self._announced_window = min(self._announced_window, FIRST_STREAM_WINDOW)
        self._stream_window = max(self._announced_window, FIRST_WINDOW)
        """The receive window that a new stream has: a smaller one binds the peer only once it has acknowledged it."""
        self._low_water = self._stream_window * 3 // 4
        self._connection_received = 0
        """Octets of DATA that were not given back to the connection's window yet."""
        self._received_before = 0
        """Octets of DATA that were given back."""
        self._probe = BandwidthProbe(config.initial_stream_window, config.max_window)
        self._resets = ResetStreams()

    def start(self, now: float) -> None:
        self.now = now
        self._handshake_deadline = now + HANDSHAKE_TIMEOUT
        config = self.config
        if config.keepalive_time is not None:
            self._keepalive = Keepalive(
                config.keepalive_time,
                config.keepalive_timeout,
                without_calls=config.keepalive_without_calls,
                now=now,
            )
        streams = None if self._client else config.max_concurrent_streams
        self.emit(_opening(self._announced_window, config.max_header_list_size, streams, self._connection_window))

    # -- time

    def next_time(self) -> float | None:
        if self._closed:
            return None
        earliest = self._deadlines.next_time()
        if self._keepalive is not None:
            earliest = _earlier(earliest, self._keepalive.next_time(has_calls=bool(self.streams)))
        if self._handshake_deadline is not None:
            earliest = _earlier(earliest, self._handshake_deadline)
        if self._goaway_deadline is not None:
            earliest = _earlier(earliest, self._goaway_deadline)
        if self._holdings.starving:
            earliest = _earlier(earliest, self._holdings.next_look(self.now))
        return earliest

    def advance(self, now: float) -> None:
        self.now = now
        if self._closed:
            return
        if self._handshake_deadline is not None and now >= self._handshake_deadline:
            if not self._settled:
                self._fail(f"the peer did not speak HTTP/2 within {HANDSHAKE_TIMEOUT:g} seconds")
                return
            problem = f"the peer did not acknowledge SETTINGS within {HANDSHAKE_TIMEOUT:g} seconds"
            self._emit_goaway(self._highest_peer_stream(), ErrorCode.SETTINGS_TIMEOUT, problem.encode())
            self._fail(problem)
            return
        self._turn.begin()
        self._expire_deadlines()
        if self._keepalive is not None:
            action = self._keepalive.advance(now, has_calls=bool(self.streams))
            if action is KeepaliveAction.LOST and not self._closed:
                self._emit_goaway(self._highest_peer_stream(), ErrorCode.NO_ERROR, b"keepalive timeout")
                timeout = self.config.keepalive_timeout
                self._fail(f"keepalive: the peer did not answer a PING within {timeout:g} seconds")
            elif action is KeepaliveAction.PING and not self._closed:
                self.emit(frame(FrameType.PING, 0, 0, KEEPALIVE_PING))
        if self._holdings.starving:
            self._holdings.look(now)
            self._feed_starving()
        if not self._closed:
            self._advance_side()

    def _feed_starving(self) -> None:
        """Let go on what had to wait with a part of a message, as far as there is memory for it."""

    def _expire_deadlines(self) -> None:
        """End the calls whose deadline has passed, those that a turn has no time for next time."""
        for stream_id in self._deadlines.expire(self.now):
            call = self._call_of(stream_id)
            if call is not None:
                self._deadline_passed(call)
            if self._turn.is_over():
                return

    def _advance_side(self) -> None:
        """Let the time be now, for what only one side does."""

    def _deadline_passed(self, call: Call) -> None:
        self._fail_call(call, DEADLINE_PASSED, ErrorCode.CANCEL)

    # -- frames that belong to no call

    def _control_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Any frame but those of calls' headers and data, WINDOW_UPDATE and PING."""
        self._count_frame(kind, flags, len(payload))
        if kind == FrameType.SETTINGS:
            self._settings_frame(flags, stream_id, payload)
        elif kind == FrameType.RST_STREAM:
            self._reset_frame(stream_id, payload)
        elif kind == FrameType.GOAWAY:
            if stream_id:
                raise RemoteProtocolError("GOAWAY on a stream")
            if len(payload) < 8:
                raise RemoteProtocolError("GOAWAY without its eight octets", ErrorCode.FRAME_SIZE_ERROR)
            self._sent_goaway(int.from_bytes(payload[:4], "big") & MAX_WINDOW, self._farewell.heard(payload))
        elif kind == FrameType.PRIORITY:
            if not stream_id:
                raise RemoteProtocolError("PRIORITY on no stream")
            if len(payload) != 5:
                self._stream_error(stream_id, "PRIORITY without its five octets", ErrorCode.FRAME_SIZE_ERROR)
            elif int.from_bytes(payload[:4], "big") & MAX_WINDOW == stream_id:
                self._stream_error(stream_id, "a stream that depends on itself", ErrorCode.PROTOCOL_ERROR)
        elif kind == FrameType.PUSH_PROMISE:
            raise RemoteProtocolError("PUSH_PROMISE, though server push is disabled")
        # RFC 9113, section 4.1: frames of an unknown type are ignored.

    def _count_frame(self, kind: int, flags: int, length: int) -> None:
        """Hold a frame against the flood limits."""
        if self._data_sent:
            self._note_data_sent()
        self._floods.received(kind, flags, length, self.now)

    def _note_data_sent(self) -> None:
        """The peer was sent DATA before the frame of its own that is looked at now."""
        self._data_sent = False
        self._answered = True
        self._floods.data_sent()

    def _reply(self, octets: bytes) -> None:
        """Put frames into the output that the peer has asked for, or brought on itself."""
        self._replies += len(octets)
        self._floods.replied(len(octets))
        self.emit(octets)

    def _output_drained(self) -> None:
        self._floods.output_drained()

    def _ping_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._data_sent:
            self._note_data_sent()
        if flags & ACK:
            self._floods.ping_acknowledged(self.now)
        else:
            self._floods.pinged(self.now)
        if stream_id:
            raise RemoteProtocolError("PING on a stream")
        if len(payload) != 8:
            raise RemoteProtocolError("PING without its eight octets", ErrorCode.FRAME_SIZE_ERROR)
        if flags & ACK:
            self._ping_answered(payload)
        else:
            self._reply(frame(FrameType.PING, ACK, 0, payload))
            self._pinged()

    def _probed(self, increment: bytes, payload: bytes) -> None:
        """WINDOW_UPDATE for the connection and a PING behind it, which grpc-go sends with most answers, in one step."""
        if not self._data_sent:
            self._window_update(0, increment)
            self._ping_frame(0, 0, payload)
            return
        self._data_sent = False
        self._answered = True
        self._floods.probed(PING_SIZE)
        self._open_connection_window(int.from_bytes(increment, "big") & MAX_WINDOW)
        self._replies += PING_SIZE
        self.emit(PONG_HEAD + payload)
        self._pinged()

    def _window_update(self, stream_id: int, payload: bytes) -> None:
        if self._data_sent:
            self._note_data_sent()
        self._floods.window_updated()
        if len(payload) != 4:
            raise RemoteProtocolError("WINDOW_UPDATE without its four octets", ErrorCode.FRAME_SIZE_ERROR)
        increment = int.from_bytes(payload, "big") & MAX_WINDOW
        if not stream_id:
            self._open_connection_window(increment)
            return
        call = self.streams.get(stream_id)
        if call is None:
            self._check_not_idle(stream_id, "WINDOW_UPDATE")
        elif not increment:
            self._stream_error(stream_id, "WINDOW_UPDATE of nothing", ErrorCode.PROTOCOL_ERROR)
        elif call.wire_send_window + increment > MAX_WINDOW:
            self._stream_error(stream_id, "the stream's window grew too large", ErrorCode.FLOW_CONTROL_ERROR)
        else:
            self._open_window(call, increment)

    def _open_connection_window(self, increment: int) -> None:
        if not increment:
            raise RemoteProtocolError("WINDOW_UPDATE of nothing")
        self._send_window += increment
        if self._send_window > MAX_WINDOW:
            raise RemoteProtocolError("the connection's window grew too large", ErrorCode.FLOW_CONTROL_ERROR)
        if self._turns and self._send_window > 0:
            self._signal()

    def _reset_frame(self, stream_id: int, payload: bytes) -> None:
        if not stream_id:
            raise RemoteProtocolError("RST_STREAM on no stream")
        if len(payload) != 4:
            raise RemoteProtocolError("RST_STREAM without its four octets", ErrorCode.FRAME_SIZE_ERROR)
        call = self.streams.get(stream_id)
        if call is None:
            self._check_not_idle(stream_id, "RST_STREAM")
            return
        self._cut(call)  # nothing may follow, not even a reset
        self._peer_reset(call, int.from_bytes(payload, "big"))

    def _settings_frame(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise RemoteProtocolError("SETTINGS on a stream")
        if len(payload) % 6 or (flags & ACK and payload):
            raise RemoteProtocolError("SETTINGS of a wrong length", ErrorCode.FRAME_SIZE_ERROR)
        if flags & ACK:
            self._settings_acknowledged()
            return
        for at in range(0, len(payload), 6):
            self._apply_setting(
                int.from_bytes(payload[at : at + 2], "big"), int.from_bytes(payload[at + 2 : at + 6], "big")
            )
        self._max_list_size = self._settings.get(MAX_HEADER_LIST_SIZE)
        self._reply(frame(FrameType.SETTINGS, ACK, 0))
        if not self._settled:
            self._settled = True
            self._handshake_done()
            self.driver.on_ready()
        self._settings_applied()

    def _handshake_done(self) -> None:
        """The peer's SETTINGS or its acknowledgement have come: with both, nothing is waited for any more."""
        if self._settled and self._acknowledged:
            self._handshake_deadline = None

    def _settings_acknowledged(self) -> None:
        """The windows that were announced bind the peer from now on, smaller ones than the first among them."""
        self._acknowledged = True
        self._handshake_done()
        change = self._stream_window - self._announced_window
        if change:
            self._stream_window -= change
            self._low_water = self._stream_window * 3 // 4
            for call in self.streams.values():
                call.wire_received -= change
                call.wire_low = self._low_water

    def _apply_setting(self, key: int, value: int) -> None:
        if key == INITIAL_WINDOW_SIZE:
            if value > MAX_WINDOW:
                raise RemoteProtocolError("SETTINGS_INITIAL_WINDOW_SIZE is too large", ErrorCode.FLOW_CONTROL_ERROR)
            change = value - self._peer_initial_window
            self._peer_initial_window = value
            for call in self.streams.values():
                if call.wire_send_window + change > MAX_WINDOW:
                    raise RemoteProtocolError("SETTINGS made a window too large", ErrorCode.FLOW_CONTROL_ERROR)
                self._open_window(call, change)
        elif key == MAX_FRAME_SIZE_SETTING:
            if not 1 << 14 <= value < 1 << 24:
                raise RemoteProtocolError("SETTINGS_MAX_FRAME_SIZE is out of its range")
            self._peer_frame_size = value
            self._data_frame_size = min(value, MAX_DATA_FRAME)
        elif key == HEADER_TABLE_SIZE:
            self.encoder.set_max_table_size(value)
        elif key == ENABLE_PUSH and value > (0 if self._client else 1):
            raise RemoteProtocolError("SETTINGS_ENABLE_PUSH is out of its range")
        if key in SETTING_NAMES:
            self._settings[key] = value

    def _check_not_idle(self, stream_id: int, what: str) -> None:
        """RFC 9113, section 5.1: on an idle stream nothing may come but HEADERS and PRIORITY."""
        if self._is_idle(stream_id):
            raise RemoteProtocolError(f"{what} on an idle stream")

    def _stream_error(self, stream_id: int, problem: str, error_code: int) -> None:
        """The peer broke a rule on one stream, whether there still is a call or not."""
        call = self.streams.get(stream_id)
        if call is None and self._is_idle(stream_id):  # on which RST_STREAM must not be sent (RFC 9113, section 6.4)
            raise RemoteProtocolError(problem, error_code)
        self._floods.stream_fault(self.now)
        self._replies += RESET_SIZE
        self._floods.replied(RESET_SIZE)
        if call is None:
            self._reset_unknown(stream_id, error_code)
        else:
            self._reset_stream(call, error_code)
            self._end_call(call, Status(StatusCode.INTERNAL, problem))

    def _call_fault(self, call: Call, status: Status, error_code: int = ErrorCode.PROTOCOL_ERROR) -> None:
        """The peer broke a rule of one call."""
        self._floods.stream_fault(self.now)
        self._fail_call(call, status, error_code)

    # -- the end of calls

    def reset(self, call: Call, error_code: int = ErrorCode.CANCEL, *, now: float = 0.0) -> None:
        if call.wire_state is None:
            return
        self.now = max(self.now, now)
        self._reset_stream(call, error_code)
        self._cut(call)
        self._forget(call)
        self._after_call()

    def _cut(self, call: Call) -> None:
        """Nothing more comes or goes on the stream: it has failed if the server has not sent END_STREAM."""
        state = call.wire_state
        if not state & (REMOTE_CLOSED if self._client else END_SENT):
            self._streams_failed += 1
        call.wire_state = state | END_SENT | REMOTE_CLOSED

    def _reset_stream(self, call: Call, error_code: int) -> None:
        """Send RST_STREAM, unless the peer has not heard of the stream or it is over on both sides."""
        state = call.wire_state
        if state & QUEUED or state & (END_SENT | REMOTE_CLOSED) == END_SENT | REMOTE_CLOSED or self._closed:
            return
        self._cut(call)
        self._reset_unknown(call.wire_id, error_code)

    def _reset_unknown(self, stream_id: int, error_code: int) -> None:
        self._resets.add(stream_id)
        self.emit_reset(stream_id, error_code)

    def _was_reset_here(self, stream_id: int) -> bool:
        """Whether frames of a closed stream are to be let pass: its peer may not have known (RFC 9113, 5.4.2)."""
        return self._resets.may_have(stream_id)

    def _end_call(self, call: Call, status: Status, trailers: Metadata = (), *, unprocessed: bool = False) -> None:
        """The call is over: forget it and tell its owner, if he wants to hear of it."""
        told = not call.wire_state & DETACHED
        self._cut(call)
        self._forget(call)
        if told:
            call.on_end(status, trailers, unprocessed=unprocessed)
        self._after_call()

    def _forget(self, call: Call) -> None:
        """The call is over; whatever it had still to send is dropped."""
        self.streams.pop(call.wire_id, None)
        if call.wire_deadline is not None:
            self._deadlines.discard(call.wire_id)
        if call.wire_outbound is not None:
            self._forget_outbound(call)
        if (
            call.wire_a is not None
            or call.wire_inbound is not None
            or call.wire_low != self._low_water
            or self._holdings.has_charges
        ):
            self._let_go(call)
        call.wire_state = None

    def _call_of(self, stream_id: int) -> Call | None:
        return self.streams.get(stream_id)

    def _all_calls(self) -> Iterator[Call]:
        yield from self.streams.values()

    # -- the end of the connection

    def lost(self, reason: str) -> None:
        self._out.clear()
        self._fail(self._farewell.before(reason))

    def _protocol_error(self, error: RemoteProtocolError) -> None:
        """The peer broke the protocol: GOAWAY, and the end."""
        if self._closed:
            return
        self._emit_goaway(self._highest_peer_stream(), error.error_code, str(error).encode()[:256])
        self._fail(str(error))

    def _emit_goaway(self, last_stream_id: int, error_code: int, debug_data: bytes) -> None:
        payload = last_stream_id.to_bytes(4, "big") + error_code.to_bytes(4, "big") + debug_data
        self.emit(frame(FrameType.GOAWAY, 0, 0, payload))

    def _fail(self, reason: str) -> None:
        """The connection is over: so is every call."""
        if self._closed:
            return
        self._closed = True
        self._turns.clear()
        self._forget_input()
        status = Status(StatusCode.UNAVAILABLE, reason)
        for call in list(self._all_calls()):
            if call.wire_state is not None:
                is_unprocessed = bool(call.wire_state & QUEUED) or call.wire_id > self._last_processed
                self._end_call(call, status, unprocessed=is_unprocessed)
        self._account()
        self.driver.on_closed(reason)

    def ping(self) -> None:
        if not self._closed:
            self.emit(frame(FrameType.PING, 0, 0, OWNER_PING))

    @property
    def open_calls(self) -> int:
        return len(self.streams)

    # -- looking in

    def snapshot(self) -> ConnectionSnapshot:
        from puregrpc.wire.snapshot import ConnectionSnapshot

        state = "closed" if self._closed else "going away" if self._going_away or self._sent_away else "open"
        return ConnectionSnapshot(
            state=state if self._settled or self._closed else "connecting",
            send_window=self._send_window,
            receive_window=self._connection_window - self._connection_received,
            peer_max_concurrent_streams=self._peer_max_streams(),
            calls=tuple(self._call_snapshot(call) for call in self._all_calls()),
            queued_calls=sum(1 for call in self._all_calls() if call.wire_state & QUEUED),
            settings={SETTING_NAMES[key]: value for key, value in self._settings.items()},
            streams_failed=self._streams_failed,
        )

    def _call_snapshot(self, call: Call) -> CallSnapshot:
        from puregrpc.wire.snapshot import CallSnapshot

        state: int = call.wire_state
        if state & QUEUED:
            return CallSnapshot(0, call.wire_path, "queued", 0, 0, self.send_buffered(call))
        if state & END_SENT:
            name = "closed" if state & REMOTE_CLOSED else "half-closed (local)"
        else:
            name = "half-closed (remote)" if state & REMOTE_CLOSED else "open"
        return CallSnapshot(
            stream_id=call.wire_id,
            path=call.wire_path,
            state=name,
            send_window=call.wire_send_window,
            receive_window=call.wire_received,
            send_buffered=self.send_buffered(call),
        )

    def _peer_max_streams(self) -> int:
        return self._settings.get(MAX_CONCURRENT_STREAMS, 2**32 + 1)

    # -- what others do

    @abstractmethod
    def _let_go(self, call: Call) -> None:
        """The call is over: what it held is no longer held."""

    @abstractmethod
    def _forget_input(self) -> None:
        """The connection is over: what came and has not acted never will."""

    @abstractmethod
    def _give_back_connection(self) -> None:
        """Open the connection's receive window again."""

    @abstractmethod
    def _is_idle(self, stream_id: int) -> bool:
        """Whether the stream was not opened by either side."""

    @abstractmethod
    def _highest_peer_stream(self) -> int:
        """The highest stream that the peer opened and that was looked at."""

    @abstractmethod
    def _settings_applied(self) -> None: ...

    def _pinged(self) -> None:
        """A PING came, and was answered."""

    def _ping_answered(self, payload: bytes) -> None:
        if payload == BandwidthProbe.PING:
            window = self._probe.answered(self._received_before + self._connection_received, self.now)
            if window > self._connection_window and self._holdings.are_small:
                self._connection_received += window - self._connection_window
                self._received_before -= window - self._connection_window
                self._connection_window = window
                self._give_back_connection()

    @abstractmethod
    def _sent_goaway(self, last_stream_id: int, reason: str) -> None:
        """The peer sent GOAWAY."""

    @abstractmethod
    def _peer_reset(self, call: Call, error_code: int) -> None: ...

    @abstractmethod
    def _fail_call(self, call: Call, status: Status, error_code: int) -> None:
        """The peer broke a rule on one stream, or a limit or the deadline is passed: end the call."""

    @abstractmethod
    def _after_call(self) -> None:
        """A call is over: something may have waited for that."""


def _earlier(one: float | None, other: float | None) -> float | None:
    if one is None or (other is not None and other < one):
        return other
    return one


@lru_cache(maxsize=32)
def _opening(stream_window: int, list_size: int, streams: int | None, connection_window: int) -> bytes:
    """What a connection begins with; a client's where the number of ``streams`` is not limited."""
    settings = {
        INITIAL_WINDOW_SIZE: stream_window,
        MAX_FRAME_SIZE_SETTING: MAX_FRAME_SIZE,
        MAX_HEADER_LIST_SIZE: list_size,
    }
    if streams is None:
        settings[ENABLE_PUSH] = 0
    else:
        settings[MAX_CONCURRENT_STREAMS] = streams
    payload = b"".join([key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in settings.items()])
    opening = (PREFACE if streams is None else b"") + frame(FrameType.SETTINGS, 0, 0, payload)
    more = connection_window - FIRST_WINDOW
    return opening + frame(FrameType.WINDOW_UPDATE, 0, 0, more.to_bytes(4, "big")) if more else opening
