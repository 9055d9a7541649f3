"""What both ends of an h2-based connection have in common: bytes, time, the calls' turns, the end."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator

import h2.events

from puregrpc.errors import RemoteProtocolError
from puregrpc.wire.call_state import Half, Step
from puregrpc.wire.compression import CODINGS, MessageTooLarge
from puregrpc.wire.connection import Call, ConnectionConfig, Driver
from puregrpc.wire.deadline import Deadlines
from puregrpc.wire.farewell import Farewell
from puregrpc.wire.floods import FloodGuard
from puregrpc.wire.flow_control import BandwidthProbe, StreamCredit
from puregrpc.wire.frames import HEAD_SIZE, ErrorCode, FrameReader, FrameType, RawFrame
from puregrpc.wire.framing import MessageReader, encode_message
from puregrpc.wire.h2_engine.holding import Holding
from puregrpc.wire.h2_engine.http2 import check_size
from puregrpc.wire.h2_engine.stream import CallT, Stream, priority_error, stream_error
from puregrpc.wire.h2_engine.turns import Turns
from puregrpc.wire.headers import KnownFields
from puregrpc.wire.keepalive import Keepalive, KeepaliveAction
from puregrpc.wire.limits import (
    HANDSHAKE_TIMEOUT,
    LONG_HEADER_BLOCK,
    MAX_FRAME_SIZE,
    MESSAGE_OVERHEAD,
    SMALL_PART,
    TURN_MESSAGES,
    TURN_TIME,
)
from puregrpc.wire.memory import EMPTY, is_memory_scarce
from puregrpc.wire.metadata import HeaderField, Metadata
from puregrpc.wire.snapshot import CallSnapshot, ConnectionSnapshot
from puregrpc.wire.status import Status, StatusCode, http2_error_name
from puregrpc.wire.turn import Turn

__all__ = ["H2Connection"]

SMALL_REST = 1 << 10
"""So many octets of input that wait are not worth accounting."""

KEEPALIVE_PING = b"alive???"
OWNER_PING = b"puregrpc"


class H2Connection(Holding[CallT]):
    """One end of a connection whose HTTP/2 state h2 keeps.

    Frames are cut from the input here and given to h2 one by one, so that what came before a broken frame still
    counts, and so that GOAWAY, which ends h2's connection at once though the calls it covers go on, never gets there.
    """

    __slots__ = (
        "_acknowledged",
        "_calls",
        "_deadlines",
        "_farewell",
        "_floods",
        "_frames",
        "_going_away",
        "_handshake_deadline",
        "_has_input",
        "_keepalive",
        "_keys",
        "_known_fields",
        "_last_processed",
        "_peer_is_done",
        "_sent_away",
        "_settled",
        "_streams_failed",
        "_suspended",
        "_told",
        "_turn",
        "_turns",
        "driver",
    )

    def __init__(self, driver: Driver, config: ConnectionConfig, *, client: bool) -> None:
        super().__init__(config, client=client)
        self.driver = driver
        self._streams_failed = 0
        self._frames = FrameReader(
            preface=not client,
            max_frame_size=MAX_FRAME_SIZE,
            max_block_size=config.max_header_block_size,
            max_block_frames=config.max_continuation_frames,
        )
        self._turn = Turn()
        self._has_input = False
        """A turn had no time for all that came."""
        self._last_processed = 2**31 - 1
        """The last stream that the peer says it may have looked at, as GOAWAY has it."""
        self._suspended: Iterator[None] | None = None
        """The rest of what a frame has to do, that a turn had no time for."""
        self._known_fields: KnownFields | None = None
        """What is known of the fields of a long header block, while they are read."""
        self._peer_is_done = False
        """The peer has ended its stream, behind what is still to be looked at."""
        self._floods = FloodGuard(None if client else config.max_concurrent_streams)
        self._keepalive = self._new_keepalive(0.0)
        self._handshake_deadline: float | None = None
        self._told = False
        """The driver knows that there is something to send."""
        self._keys = 0
        self._calls: dict[int, Stream[CallT]] = {}
        """All calls that are not over, by their keys."""
        self._turns: Turns[CallT] = Turns(self._http2)
        self._deadlines = Deadlines()
        self._settled = False
        """The peer's first SETTINGS have come."""
        self._acknowledged = False
        """The peer has acknowledged the SETTINGS of this side."""
        self._going_away = False
        """This side sent GOAWAY."""
        self._sent_away = False
        """The peer sent GOAWAY."""
        self._farewell = Farewell()

    def _new_keepalive(self, now: float) -> Keepalive:
        config = self._config
        return Keepalive(
            config.keepalive_time,
            config.keepalive_timeout,
            without_calls=config.keepalive_without_calls,
            now=now,
        )

    # -- bytes and time

    def start(self, now: float) -> None:
        self.now = now
        self._keepalive = self._new_keepalive(now)
        self._handshake_deadline = now + HANDSHAKE_TIMEOUT
        self._http2.start()
        self._tell_output()

    def receive(self, data: bytes, now: float) -> None:
        self.now = now
        if self._closed:
            return
        if self._deadlines.not_before <= now:
            self._turn.begin()
            self._expire_deadlines()
            self._tell_output()
        if not data:
            if self._has_input:
                self._peer_is_done = True
            else:
                self._fail(self._farewell.before("the peer closed the connection"))
            return
        self._keepalive.received(now)
        if self._has_input:
            self._frames.keep(data)
            return
        self._turn.begin()
        self._receive_frames(data)

    def limit_turns(self, clock: Callable[[], float], seconds: float = TURN_TIME) -> None:
        self._turn = Turn(clock, seconds)

    @property
    def handed_over(self) -> float:
        return self._turn.handed_over

    @property
    def has_input(self) -> bool:
        return self._has_input and not self._closed

    def proceed(self, now: float) -> None:
        self.advance(now)
        if self._closed or not self._has_input or self.is_output_clogged:
            return
        self._keepalive.received(now)
        self._receive_frames(b"")
        if self._peer_is_done and not self._has_input and not self._closed:
            self._fail(self._farewell.before("the peer closed the connection"))

    def _receive_frames(self, data: bytes) -> None:
        """Take octets, and let the frames act that are there, until the turn is over."""
        self._has_input = False
        frames = self._frames.feed(data)
        try:
            if self._suspended is not None:
                self._frames.keep(data)
                self._work(self._suspended)
                frames = self._frames.feed(b"")
            while not self._closed:
                if self._suspended is not None:
                    self._has_input = True
                    break
                frame = next(frames, None)
                if frame is None:
                    break
                self._receive_frame(frame)
                if self._holdings.are_too_large:
                    self._look_at_holdings()
                if self._turn.is_over() or self._is_to_pause:
                    self._has_input = True
                    break
        except RemoteProtocolError as error:
            self._go_away_over(error)
        frames.close()
        self._look_at_holdings()
        self._tell_output()

    def _go_away_over(self, error: RemoteProtocolError) -> None:
        self._http2.go_away(self._http2.last_peer_stream_id, error.error_code, str(error).encode()[:256])
        self._fail(str(error))

    @property
    def _waiting_input(self) -> int:
        waits = self._frames.kept + self._http2.block_size
        if self._suspended is not None:
            waits += MAX_FRAME_SIZE if self._known_fields is None else self._known_fields.block_size
        return waits if waits > SMALL_REST else 0

    @property
    def _is_to_pause(self) -> bool:
        return self._turn.is_limited and self.is_output_clogged

    def _work(self, steps: Iterator[None]) -> None:
        """Do what is to be done step by step, until the turn is over."""
        self._suspended = steps
        for _ in steps:
            if self._turn.is_over():
                return
        self._suspended = None

    def data_to_send(self, limit: int = 1 << 18) -> bytes:
        output = self._output
        self._turn.begin()
        while len(output) < limit and (turn := self._turns.take()) is not None:
            self._send_frame(*turn)
            if output and self._turn.is_over():
                break
        data = bytes(output[:limit])
        del output[:limit]
        if not output:
            self._floods.output_drained()
        if self._is_accounted:
            self._account()
        self._told = False
        self._tell_output()
        return data

    def lost(self, reason: str) -> None:
        self._output.clear()
        self._fail(self._farewell.before(reason))

    def next_time(self) -> float | None:
        if self._closed:
            return None
        times = (
            self._deadlines.next_time(),
            self._keepalive.next_time(has_calls=bool(self._calls)),
            self._handshake_deadline,
            self._next_time_of_side(),
            self._holdings.next_look(self.now) if self._holdings.starving else None,
        )
        return min((time for time in times if time is not None), default=None)

    def _next_time_of_side(self) -> float | None:
        """When `_advance_side` must be called next."""
        return None

    def _advance_side(self) -> None:
        """Let the time be now, for what only one side does."""

    def advance(self, now: float) -> None:
        self.now = now
        if self._closed:
            return
        if self._handshake_deadline is not None and now >= self._handshake_deadline:
            if not self._settled:
                self._fail(f"the peer did not speak HTTP/2 within {HANDSHAKE_TIMEOUT:g} seconds")
                return
            problem = f"the peer did not acknowledge SETTINGS within {HANDSHAKE_TIMEOUT:g} seconds"
            self._http2.go_away(self._http2.last_peer_stream_id, ErrorCode.SETTINGS_TIMEOUT, problem.encode())
            self._fail(problem)
            return
        self._turn.begin()
        self._expire_deadlines()
        action = self._keepalive.advance(now, has_calls=bool(self._calls))
        if action is KeepaliveAction.LOST and not self._closed:
            self._http2.go_away(self._http2.last_peer_stream_id, ErrorCode.NO_ERROR, b"keepalive timeout")
            self._fail(f"keepalive: the peer did not answer a PING within {self._config.keepalive_timeout:g} seconds")
        elif action is KeepaliveAction.PING and not self._closed:
            self._http2.ping(KEEPALIVE_PING)
        if self._holdings.starving:
            self._holdings.look(now)
            self._feed_starving()
        self._advance_side()
        self._tell_output()

    def _expire_deadlines(self) -> None:
        """End the calls whose deadline has passed, those that a turn has no time for next time."""
        for key in self._deadlines.expire(self.now):
            stream = self._calls.get(key)
            if stream is not None:
                self._deadline_passed(stream)
            if self._turn.is_over():
                return

    # -- the connection as a whole

    @property
    def open_calls(self) -> int:
        return len(self._calls)

    @property
    def is_closed(self) -> bool:
        return self._closed

    def ping(self) -> None:
        if not self._closed:
            self._http2.ping(OWNER_PING)
            self._tell_output()

    def snapshot(self) -> ConnectionSnapshot:
        state = "closed" if self._closed else "going away" if self._going_away or self._sent_away else "open"
        return ConnectionSnapshot(
            state=state if self._settled or self._closed else "connecting",
            send_window=self._http2.connection_send_window,
            receive_window=self._http2.connection_receive_window,
            peer_max_concurrent_streams=self._peer_max_streams(),
            calls=tuple(self._call_snapshot(stream) for stream in self._calls.values()),
            queued_calls=len(self._calls) - len(self._streams),
            settings=self._http2.peer_settings,
            streams_failed=self._streams_failed,
        )

    def _call_snapshot(self, stream: Stream[CallT]) -> CallSnapshot:
        send_window, receive_window = self._http2.stream_windows(stream.id)
        return CallSnapshot(
            stream_id=stream.id,
            path=stream.path,
            state=stream.state,
            send_window=send_window,
            receive_window=receive_window,
            send_buffered=stream.buffered,
        )

    def _peer_max_streams(self) -> int:
        return self._http2.peer_max_streams

    # -- calls: sending

    def send_message(self, call: Call, message: bytes, *, end: bool = False, compress: bool = True) -> None:
        stream: Stream[CallT] | None = call.wire_state
        if stream is None:
            return
        stream.sending.step(Step.MESSAGE)
        self._queue_message(stream, message, compress=compress)
        if end:
            self._message_was_last(stream)
        self._turns.add(stream)
        self._tell_output()

    def _message_was_last(self, stream: Stream[CallT]) -> None:
        """``end`` was given with a message."""

    def _queue_message(self, stream: Stream[CallT], message: bytes, *, compress: bool = True) -> None:
        coding = stream.coding if compress else CODINGS["identity"]
        framed = encode_message(message, coding, self._config.max_send_message_size)
        stream.put(framed)
        self._unsent += len(framed)
        if stream.buffered > self.send_buffer_size:
            stream.was_full = True
        self._account()

    def send_buffered(self, call: Call) -> int:
        stream: Stream[CallT] | None = call.wire_state
        return 0 if stream is None else stream.buffered

    def is_held_back(self, call: Call) -> bool:
        stream: Stream[CallT] | None = call.wire_state
        if stream is None or not stream.buffered:
            return False
        if stream.buffered <= self.send_buffer_size and not self.is_send_full:
            return False
        stream.was_full = True
        return True

    def reset(self, call: Call, error_code: int = ErrorCode.CANCEL, *, now: float = 0.0) -> None:
        stream: Stream[CallT] | None = call.wire_state
        if stream is None:
            return
        self.now = max(self.now, now)
        self._reset_stream(stream, error_code)
        self._cut(stream)
        self._forget(stream)
        self._after_call()
        self._tell_output()

    def _send_frame(self, stream: Stream[CallT], window: int) -> None:
        """Send one DATA frame of the call, or else its trailers or its end."""
        last = False
        if stream.outbound:
            held = stream.held
            piece = stream.take(window)
            self._unsent -= held - stream.held
            last = stream.end_queued and not stream.outbound
            self._http2.send_data(stream.id, piece, end=last)
            self._floods.data_sent()
        elif stream.trailers is not None:
            last = True
            self._http2.send_headers(stream.id, stream.trailers, end=True)
        elif stream.end_queued:
            last = True
            self._http2.send_data(stream.id, b"", end=True)
        if last:
            stream.wire_ended_locally = True
            self._ended_locally(stream)
        elif stream.outbound or stream.trailers is not None:
            self._turns.add(stream)
        if stream.was_full and stream.buffered <= self.send_buffer_size:
            stream.was_full = False
            if not stream.sending.ended and stream.key in self._calls:
                stream.call.on_writable()

    def _ended_locally(self, stream: Stream[CallT]) -> None:
        """END_STREAM went out."""

    def _ended_remotely(self, stream: Stream[CallT]) -> None:
        """END_STREAM came, when the call had been answered already."""

    # -- calls: receiving

    def _receive_frame(self, frame: RawFrame) -> None:
        kind = frame.type
        self._floods.received(kind, frame.flags, len(frame.octets) - HEAD_SIZE, self.now)
        if kind == FrameType.GOAWAY:
            self._receive_goaway(frame)
            return
        if kind == FrameType.PUSH_PROMISE:
            raise RemoteProtocolError("PUSH_PROMISE, though server push is disabled")
        if kind > FrameType.CONTINUATION:
            return  # RFC 9113, section 4.1: unknown frame types are ignored
        check_size(frame)
        stream = self._streams.get(frame.stream_id)
        if stream is not None and (error := stream_error(stream, frame)) is not None:
            self._stream_fault(stream, Status(StatusCode.INTERNAL, str(error)), error.error_code)
            if kind in (FrameType.HEADERS, FrameType.DATA) and not self._closed:
                self._receive_whole(frame, is_over=True)  # HPACK and the connection's window count it
            return
        before = len(self._output)
        if kind == FrameType.PRIORITY and frame.stream_id and (error := priority_error(frame)) is not None:
            self._http2.reset_closed(frame.stream_id, error)
            self._floods.stream_fault(self.now)
            self._floods.replied(len(self._output) - before)
            return
        self._receive_whole(frame)

    def _receive_whole(self, frame: RawFrame, *, is_over: bool = False) -> None:
        """Let a frame act, or the header block that it ends. ``is_over``: the stream's call has failed."""
        whole = self._http2.whole(frame)
        if whole is None:
            return
        if whole.type == FrameType.HEADERS and len(whole.octets) > LONG_HEADER_BLOCK:
            self._work(self._receive_long_headers(whole, is_over=is_over))
        else:
            self._let_act(whole, is_over=is_over)

    def _receive_long_headers(self, frame: RawFrame, *, is_over: bool) -> Iterator[None]:
        """`_let_act` of a long header block, in steps."""
        known = self._known_fields = KnownFields(len(frame.octets))
        try:
            yield from known.learn((yield from self._http2.decoding(frame)))
            if not self._closed:
                self._let_act(frame, is_over=is_over)
        finally:
            self._known_fields = None

    def _let_act(self, frame: RawFrame, *, is_over: bool) -> None:
        before = len(self._output)
        events = self._http2.receive(frame)
        if is_over:
            return
        self._floods.replied(len(self._output) - before)
        for event in events:
            self._dispatch(event)
            if self._closed:
                return

    def _dispatch(self, event: h2.events.Event) -> None:
        """Act on what h2 made of a frame. Events that say nothing new (StreamEnded, PriorityUpdated) have no branch."""
        if isinstance(event, h2.events.DataReceived):
            self._data_received(event)
        elif isinstance(event, h2.events.InformationalResponseReceived):
            self._headers_received(event.stream_id, list(event.headers), ended=False)
            self._floods.informational(self.now)
        elif isinstance(event, h2.events.RequestReceived | h2.events.ResponseReceived | h2.events.TrailersReceived):
            self._headers_received(event.stream_id, list(event.headers), ended=event.stream_ended is not None)
        elif isinstance(event, h2.events.WindowUpdated):
            self._window_updated(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self._stream_reset(event.stream_id, int(event.error_code), remote=event.remote_reset)
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            self._settings_received()
        elif isinstance(event, h2.events.SettingsAcknowledged):
            self._settings_acknowledged()
        elif isinstance(event, h2.events.PingReceived):
            self._pinged()
        elif isinstance(event, h2.events.PingAckReceived):
            self._ping_answered(event.ping_data)

    @abstractmethod
    def _headers_received(self, stream_id: int, fields: list[HeaderField], *, ended: bool) -> None: ...

    @abstractmethod
    def _peer_reset(self, stream: Stream[CallT], error_code: int) -> None: ...

    @abstractmethod
    def _half_closed(self, stream: Stream[CallT]) -> None:
        """The peer ended the stream with DATA."""

    def _deadline_passed(self, stream: Stream[CallT]) -> None:
        self._fail_call(stream, Status(StatusCode.DEADLINE_EXCEEDED, "the deadline has passed"))

    @abstractmethod
    def _peer_goes_away(self, last_stream_id: int, reason: str) -> None: ...

    def _stream_fault(self, stream: Stream[CallT], status: Status, error_code: int = ErrorCode.PROTOCOL_ERROR) -> None:
        """The peer broke a rule on one stream."""
        self._floods.stream_fault(self.now)
        self._fail_call(stream, status, error_code)

    def _pinged(self) -> None:
        """A PING came; h2 has answered it."""

    def _ping_answered(self, opaque: bytes) -> None:
        if opaque == BandwidthProbe.PING:
            self._probe_answered()

    def _data_received(self, event: h2.events.DataReceived) -> None:
        self._received += event.flow_controlled_length
        self._give_back_connection()
        stream = self._streams.get(event.stream_id)
        if stream is None:
            return
        ended = event.stream_ended is not None
        stream.wire_ended_remotely = ended
        credit = stream.credit
        credit.auto = stream.call.auto_consume
        credit.received(len(event.data), event.flow_controlled_length - len(event.data))
        if stream.length is not None:
            try:
                stream.length.came(len(event.data))
                if ended:
                    stream.length.ended()
            except RemoteProtocolError as error:
                self._stream_fault(stream, Status(StatusCode.INTERNAL, str(error)))
                return
        self._work(self._take_frame(stream, event.data, ended=ended))

    def _take_frame(self, stream: Stream[CallT], data: bytes, *, ended: bool) -> Iterator[None]:
        """Let the octets of a DATA frame act, in steps."""
        try:
            yield from self._take_data(stream, data)
            if stream.key not in self._calls:
                return
            self._charge_part(stream)
            if not ended:
                self._give_credit(stream)
            elif stream.answered:
                self._ended_remotely(stream)
            else:
                stream.reader.finish()
                self._half_closed(stream)
        except RemoteProtocolError as error:
            if stream.key not in self._calls:
                return  # the call has ended between two steps
            if isinstance(error, MessageTooLarge):
                self._fail_call(stream, Status(StatusCode.RESOURCE_EXHAUSTED, str(error)))
            else:
                self._stream_fault(stream, Status(StatusCode.INTERNAL, str(error)), ErrorCode.CANCEL)
        else:
            if stream.reader.partial and 0 < len(data) < SMALL_PART:
                self._floods.small_part(self.now)

    def _take_data(self, stream: Stream[CallT], data: bytes) -> Iterator[None]:
        """Cut DATA into messages and give them to the call, a step after every few of them."""
        if stream.answered:
            return
        call, reader = stream.call, stream.reader
        reader.is_modest = is_memory_scarce(self._holdings, self._config.memory_budget)
        given = 0
        for message in reader.feed(data):
            if reader.is_compressed:
                call.compressed_messages += 1
                if not call.inflates_messages:
                    message = yield from reader.inflating(message)
                    if stream.key not in self._calls or stream.answered:
                        return
            stream.receiving.step(Step.MESSAGE)
            stream.credit.delivered(len(message), reader.wire_size)
            if not stream.credit.auto:
                self._holdings.octets += len(message) + MESSAGE_OVERHEAD
            call.on_message(message)
            if stream.key not in self._calls or stream.answered:
                return
            given += 1
            if given >= TURN_MESSAGES:
                if not self._is_client:
                    self._turn.messages_came(given)
                given = 0
                yield
                if stream.key not in self._calls or stream.answered:
                    return
        if given > 1 and not self._is_client:
            self._turn.messages_came(given)

    def _window_updated(self, stream_id: int) -> None:
        if not stream_id:
            self._turns.connection_window_opened()
            return
        stream = self._streams.get(stream_id)
        if stream is not None and stream.outbound:
            self._turns.add(stream)

    def _stream_reset(self, stream_id: int, error_code: int, *, remote: bool) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        self._cut(stream)
        if remote:
            self._peer_reset(stream, error_code)
        else:  # h2 did, because the peer's WINDOW_UPDATE went over the top (RFC 9113, section 6.9.1)
            problem = f"the peer broke a rule of HTTP/2: {http2_error_name(error_code)}"
            self._stream_fault(stream, Status(StatusCode.INTERNAL, problem))

    def _settings_received(self) -> None:
        for stream in list(self._streams.values()):
            if stream.outbound:
                self._turns.add(stream)
        if not self._settled:
            self._settled = True
            self._handshake_done()
            self.driver.on_ready()

    def _settings_acknowledged(self) -> None:
        self._acknowledged = True
        self._handshake_done()

    def _handshake_done(self) -> None:
        """The peer's SETTINGS or its acknowledgement have come: with both, nothing is waited for any more."""
        if self._settled and self._acknowledged:
            self._handshake_deadline = None

    def _receive_goaway(self, frame: RawFrame) -> None:
        payload = frame.payload
        if frame.stream_id:
            raise RemoteProtocolError("GOAWAY on a stream")
        if len(payload) < 8:
            raise RemoteProtocolError("a GOAWAY frame that is too short", ErrorCode.FRAME_SIZE_ERROR)
        last_stream_id = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
        self._peer_goes_away(last_stream_id, self._farewell.heard(payload))

    # -- the end of calls and of the connection

    def _add(self, call: CallT, path: str, sending: Half, receiving: Half) -> Stream[CallT]:
        self._keys += 1
        config = self._config
        stream = Stream(
            self._keys,
            call,
            path,
            sending=sending,
            receiving=receiving,
            reader=MessageReader(config.max_receive_message_size),
            credit=StreamCredit(self._http2.first_window, auto=call.auto_consume),
        )
        self._calls[stream.key] = stream
        call.wire_state = stream
        return stream

    def _forget(self, stream: Stream[CallT]) -> None:
        """The call is over."""
        if self._calls.pop(stream.key, None) is None:
            return
        if self._streams.pop(stream.id, None) is not None:
            self._http2.retire(stream.id)
        self._let_go(stream)
        self._unsent -= stream.held
        self._deadlines.discard(stream.key)
        stream.outbound = EMPTY
        stream.buffered = stream.held = 0
        self._turns.remove(stream)
        stream.call.wire_state = None

    def _reset_stream(self, stream: Stream[CallT], error_code: int) -> None:
        """RST_STREAM, unless the stream is closed already or was never opened."""
        if stream.id and not (stream.wire_ended_locally and stream.wire_ended_remotely):
            self._cut(stream)
            if not self._closed:
                self._http2.reset(stream.id, error_code)

    def _cut(self, stream: Stream[CallT]) -> None:
        """Nothing more comes or goes on the stream: it has failed if the server has not sent END_STREAM.

        Of a request that was refused, which has no path here, the owner knows nothing.
        """
        if not (stream.wire_ended_remotely if self._is_client else stream.wire_ended_locally) and stream.path:
            self._streams_failed += 1
        stream.wire_ended_locally = stream.wire_ended_remotely = True

    def _end_call(
        self, stream: Stream[CallT], status: Status, trailers: Metadata = (), *, unprocessed: bool = False
    ) -> None:
        """The call is over: forget it and tell its owner, unless he knows."""
        untold = not stream.answered
        self._cut(stream)
        self._forget(stream)
        if untold:
            stream.call.on_end(status, trailers, unprocessed=unprocessed)
        self._after_call()

    def _after_call(self) -> None:
        """A call is over: something may have waited for that."""

    def _fail(self, reason: str) -> None:
        """The connection is over: so is every call."""
        if self._closed:
            return
        self._closed = True
        self._suspended = None
        self._frames.forget()
        self._http2.forget_block()
        for stream in list(self._calls.values()):
            if stream.key in self._calls:
                is_unprocessed = not stream.id or stream.id > self._last_processed
                self._end_call(stream, Status(StatusCode.UNAVAILABLE, reason), unprocessed=is_unprocessed)
        self._account()
        self.driver.on_closed(reason)
        self._tell_output()

    # -- output

    def _tell_output(self) -> None:
        if not self._told and (self._output or self._turns):
            self._told = True
            self.driver.on_output()
