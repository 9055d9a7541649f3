"""The client's end of the fast engine."""

from __future__ import annotations

from collections.abc import Iterator

from puregrpc.errors import LocalProtocolError, RemoteProtocolError
from puregrpc.wire.compression import Coding, coding_for, receiving_coding
from puregrpc.wire.connection import Call, ClientConnection, ConnectionConfig, Driver, Request
from puregrpc.wire.deadline import encode_timeout
from puregrpc.wire.fast.bodies import ForeignBody, LimitedReader, MeasuredReader
from puregrpc.wire.fast.control import DEADLINE_PASSED, MAX_CONCURRENT_STREAMS
from puregrpc.wire.fast.custom_metadata import MetadataEncoder, read_custom
from puregrpc.wire.fast.hpack_decoder import FieldRun
from puregrpc.wire.fast.hpack_encoder import ConstantFields, literal
from puregrpc.wire.fast.hpack_table import Fields
from puregrpc.wire.fast.octets import END_HEADERS, END_STREAM, MAX_STREAM_ID, frame, message_frame_head, pack_head
from puregrpc.wire.fast.receiving import FastConnection
from puregrpc.wire.fast.sending import (
    END_SENT,
    HEAD_RECEIVED,
    HEAD_SENT,
    IDENTITY,
    LOCAL_CLOSED,
    QUEUED,
    READABLE,
    REMOTE_CLOSED,
)  # fmt: skip
from puregrpc.wire.frames import ErrorCode, FrameType
from puregrpc.wire.framing import PREFIX_SIZE, MessageReader, encode_message, prefix, size_of
from puregrpc.wire.headers import ResponseHead, headers_too_large, parse_response, parse_trailers, request_fields
from puregrpc.wire.limits import STREAMS_BEFORE_SETTINGS, TURN_CALLS
from puregrpc.wire.status import Status, StatusCode, http2_error_name, status_from_http2_error

__all__ = ["FastClientConnection"]

MAX_METHODS = 1000
"""How many methods (with their authority and encodings) are remembered with their header fields."""

MAX_TIMEOUTS = 100
"""How many timeouts are remembered with their header field."""

_Method = tuple[ConstantFields, "Coding | None"]
"""The header fields that its calls have in common, and what their messages are compressed with."""

NO_METHOD: _Method = ConstantFields(()), None

WHOLE = END_SENT | HEAD_RECEIVED
"""A call that lacks nothing but its trailers."""

INFORMATIONAL = ResponseHead()
"""Stands for a 1xx response."""

NO_HEAD = ResponseHead()
"""Stands for a header list that is malformed, or not complete."""


class FastClientConnection(FastConnection, ClientConnection):
    """The client's end."""

    __slots__ = (
        "_last_method",
        "_last_queued",
        "_last_request",
        "_max_streams",
        "_metadata",
        "_methods",
        "_next_id",
        "_opening_queued",
        "_queue",
    )

    _client = True

    def __init__(self, driver: Driver, config: ConnectionConfig) -> None:
        super().__init__(driver, config)
        self._next_id = 1
        self._max_streams = STREAMS_BEFORE_SETTINGS
        self._methods: dict[tuple[str, str, str, str], _Method] = {}
        self._last_request: Request | None = None
        """The last one without metadata: a channel has one for all calls of a method that add nothing."""
        self._last_method = NO_METHOD
        self._metadata = MetadataEncoder(config.secret_names)
        self._queue: dict[int, tuple[Call, ConstantFields, bytes]] = {}
        """Calls that wait for MAX_CONCURRENT_STREAMS, in order, by numbers below zero."""
        self._last_queued = 0
        self._opening_queued = False

    # -- sending

    def open_call(
        self,
        call: Call,
        request: Request,
        *,
        deadline: float | None = None,
        message: bytes | None = None,
        end: bool = False,
        now: float = 0.0,
    ) -> None:
        if self._closed or self._going_away or self._sent_away:
            raise LocalProtocolError("no new call can be opened: the connection is closed or going away")
        if now > self.now:
            self.now = now
        elif not now:
            now = self.now
        if request is self._last_request:
            method, coding = self._last_method
            metadata = b""
        else:
            key = (request.path, request.authority, request.encoding, request.content_subtype)
            try:
                found = self._methods[key]
            except KeyError:
                found = self._learn_method(key, request)
            method, coding = found
            if request.metadata:
                metadata = self._metadata.encode(request.metadata)
            else:
                metadata = b""
                self._last_request, self._last_method = request, found
        length = -1
        pieces: tuple[bytes, ...] = ()
        if message is not None:
            length = len(message) if type(message) is bytes else size_of(message)
            if coding is not None or length > self._max_send_message_size:
                pieces = (encode_message(message, coding or IDENTITY, self._max_send_message_size),)

        if self._max_list_size is not None and (size := self._excess(method, metadata, len(request.metadata))):
            self._streams_failed += 1
            self._refuse_headers(call, size, self._max_list_size)
            return
        call.wire_path = request.path
        call.wire_deadline = deadline
        call.wire_a = call.wire_inbound = call.wire_outbound = None
        if request.max_receive_message_size is not None:
            call.wire_inbound = LimitedReader(request.max_receive_message_size)
        call.wire_received = self._stream_window
        call.wire_low = self._low_water
        call.wire_b = coding
        size = length + PREFIX_SIZE
        window = self._peer_initial_window
        if (
            message is None
            or pieces
            or size > self._send_window
            or size > window
            or size > self._data_frame_size
            or self._queue
            or len(self.streams) >= self._max_streams
        ):
            if message is not None and not pieces:
                pieces = (prefix(length), message)
            self._queue_call(call, method, metadata, pieces, end=end)
            return
        if deadline is None:  # as below, two steps less
            call.wire_id = stream_id = self._next_id
            self._next_id = stream_id + 2
            encoder = self.encoder
            block = (method.block if method.version == encoder.version else encoder.encode(method)) + metadata
        else:
            call.wire_id = stream_id = self._take_stream_id(deadline)
            timed = self._request_block(call, method, metadata, now)
            if timed is None:
                return
            block = timed
        if len(block) > self._peer_frame_size:
            self._send_head(call, block, end=False)
            self._send_octets(call, (prefix(length), message), end)
            return
        self.streams[stream_id] = call
        self._send_window -= size
        self._data_sent = True
        call.wire_send_window = window - size
        if end:
            call.wire_state = HEAD_SENT | LOCAL_CLOSED | END_SENT
            flags = END_STREAM
        else:
            call.wire_state = HEAD_SENT
            flags = 0
        self._out.append(
            pack_head(0, len(block), FrameType.HEADERS, END_HEADERS, stream_id)
            + block
            + message_frame_head(0, size, FrameType.DATA, flags, stream_id, 0, length)
            + message
        )
        if stream_id >= MAX_STREAM_ID:
            self._ids_are_used_up()
        if not self._signalled:
            self._signalled = True
            self.driver.on_output()

    def _learn_method(self, key: tuple[str, str, str, str], request: Request) -> _Method:
        constant = Request(
            request.path, request.authority, encoding=request.encoding, content_subtype=request.content_subtype
        )
        config = self.config
        fields = request_fields(
            constant, scheme=config.scheme, user_agent=config.user_agent, accept_encodings=config.accept_encodings
        )
        if len(self._methods) >= MAX_METHODS:
            self._methods.clear()
        coding = None if request.encoding == "identity" else coding_for(request.encoding)
        method = self._methods[key] = ConstantFields(tuple(fields)), coding
        return method

    def _take_stream_id(self, deadline: float | None) -> int:
        stream_id = self._next_id
        self._next_id = stream_id + 2
        if deadline is not None:
            self._deadlines.add(stream_id, deadline)
        return stream_id

    def _request_block(self, call: Call, method: ConstantFields, metadata: bytes, now: float) -> bytes | None:
        """The header block of a call, to be sent at once; None if its deadline has passed, and so it has ended.

        ``now`` is the caller's own, where he waited for others meanwhile: so what is left is mostly the same.
        """
        deadline = call.wire_deadline
        if deadline is not None:
            left = deadline - now
            if left <= 0:
                self._next_id -= 2
                call.wire_state = QUEUED
                self._end_call(call, DEADLINE_PASSED)
                return None
            try:
                metadata = _timeouts[left] + metadata
            except KeyError:
                metadata = _timeout_field(left) + metadata
        return (method.block if method.version == self.encoder.version else self.encoder.encode(method)) + metadata

    def _queue_call(
        self, call: Call, method: ConstantFields, metadata: bytes, pieces: tuple[bytes, ...], *, end: bool
    ) -> None:
        """Open a call step by step, once it may be opened. Until then it has a negative number of its own."""
        self._last_queued -= 1
        call.wire_id = self._last_queued
        call.wire_send_window = 0
        call.wire_state = QUEUED
        if call.wire_deadline is not None:
            self._deadlines.add(call.wire_id, call.wire_deadline)
        self._queue[call.wire_id] = (call, method, metadata)
        if pieces:
            self._send_octets(call, pieces, end)
        elif end:
            call.wire_state |= LOCAL_CLOSED
        self._open_queued()

    def _open_queued(self) -> None:
        """Open the calls that wait, as far as the server allows."""
        if self._opening_queued:
            return  # this is a callback of a call that could not be opened in the loop below
        self._opening_queued = True
        queue = self._queue
        while queue and len(self.streams) < self._max_streams and not self._sent_away and not self._closed:
            number = next(iter(queue))
            call, method, metadata = queue.pop(number)
            if call.wire_deadline is not None:
                self._deadlines.discard(number)
            call.wire_id = stream_id = self._take_stream_id(call.wire_deadline)
            block = self._request_block(call, method, metadata, self.now)
            if block is None:
                continue
            self._send_head(call, block, end=call.wire_state & LOCAL_CLOSED != 0 and call.wire_outbound is None)
            if call.wire_outbound is not None:
                self._give_turn(call.wire_outbound)
            if stream_id >= MAX_STREAM_ID:
                self._ids_are_used_up()
        self._opening_queued = False

    def _send_head(self, call: Call, block: bytes, *, end: bool) -> None:
        stream_id = call.wire_id
        self.streams[stream_id] = call
        call.wire_send_window = self._peer_initial_window
        state = (call.wire_state or 0) & ~QUEUED | HEAD_SENT
        call.wire_state = state | LOCAL_CLOSED | END_SENT if end else state
        self.emit_headers(stream_id, block, END_STREAM if end else 0)

    def half_close(self, call: Call) -> None:
        state = call.wire_state
        if state is None or state & LOCAL_CLOSED:
            return
        call.wire_state = state | LOCAL_CLOSED
        if call.wire_outbound is not None:
            call.wire_outbound.end = True
        elif not state & QUEUED:
            call.wire_state = state | LOCAL_CLOSED | END_SENT
            self.emit(frame(FrameType.DATA, END_STREAM, call.wire_id))

    # -- receiving

    def _headers(self, stream_id: int, flags: int, run: FieldRun | None, fields: Fields) -> None:
        try:
            call = self.streams[stream_id]
        except KeyError:
            call = None
        if call is None:
            self._check_not_idle(stream_id, "HEADERS")
            if not self._was_reset_here(stream_id):
                raise RemoteProtocolError("HEADERS on a closed stream", ErrorCode.STREAM_CLOSED)
            return
        state: int = call.wire_state
        if run is not None and not fields:
            if not flags & END_STREAM:
                if run.plain is not None and not state & (HEAD_RECEIVED | READABLE):
                    call.wire_state = state | HEAD_RECEIVED | READABLE
                    call.on_headers(run.plain)
                    return
            elif run.trailers is not None and state & WHOLE == WHOLE and call.wire_inbound is None:
                status, trailers = run.trailers
                del self.streams[stream_id]
                if call.wire_deadline is not None:
                    self._deadlines.discard(stream_id)
                if call.wire_a is not None or call.wire_low != self._low_water:
                    self._let_go(call)
                call.wire_state = None
                call.on_end(status, trailers, unprocessed=False)
                if self._queue or self._sent_away or self._going_away:
                    self._after_call()
                return
        informational = False
        try:
            if flags & END_STREAM:
                call.wire_state = state & ~READABLE | REMOTE_CLOSED
                if run is None:
                    self._list_too_large(call)
                elif isinstance(call.wire_inbound, ForeignBody):
                    self._fail_call(call, call.wire_inbound.status, ErrorCode.CANCEL)
                else:
                    self._finish(call, run, fields, first=not state & HEAD_RECEIVED)
            elif run is None:
                self._list_too_large(call)
            elif state & (HEAD_RECEIVED | READABLE):
                raise RemoteProtocolError("HEADERS after the first that do not end the stream")
            elif not self._response(call, run, fields):
                informational = True
        except RemoteProtocolError as error:
            self._call_fault(call, Status(StatusCode.INTERNAL, str(error)))
        if informational:
            self._floods.informational(self.now)

    def _list_too_large(self, call: Call) -> None:
        self._fail_call(call, headers_too_large("response", self.config.max_header_list_size), ErrorCode.CANCEL)

    def _response(self, call: Call, run: FieldRun, fields: Fields) -> bool:
        """The head of a response; False if it is an informational one."""
        head = run.head
        if head is None:
            head = run.head = _read_head(run.fields) if run.fields else NO_HEAD
        if fields:
            more = None if head is NO_HEAD or head is INFORMATIONAL or head.failure is not None else read_custom(fields)
            if more is None:
                head = parse_response(run.fields + fields, self._known_fields) or INFORMATIONAL
            else:
                head = ResponseHead(head.metadata + more, head.encoding, content_length=head.content_length)
        elif head is NO_HEAD:
            head = parse_response(run.fields) or INFORMATIONAL
        if head is INFORMATIONAL:
            return False
        is_plain = head.failure is None and head.encoding == "identity" and head.content_length is None
        if head is run.head and is_plain:
            run.plain = head.metadata
        if head.failure is not None:
            call.wire_state |= READABLE
            call.wire_inbound = ForeignBody(head.failure)
            return True
        call.wire_state |= HEAD_RECEIVED | READABLE
        if head.content_length is not None or head.encoding != "identity":
            limit = self._max_message_size if call.wire_inbound is None else call.wire_inbound.max_size
            if head.content_length is not None:
                call.wire_inbound = MeasuredReader(limit, head.encoding, head.content_length)
            else:
                call.wire_inbound = MessageReader(limit, receiving_coding(head.encoding))
        call.on_headers(head.metadata)
        return True

    def _finish(self, call: Call, run: FieldRun, fields: Fields, *, first: bool) -> None:
        if first or not run.fields:
            status, trailers = parse_trailers(run.fields + fields, first=first, known=self._known_fields)
        else:
            if run.trailers is None:
                run.trailers = parse_trailers(run.fields, first=False)
            status, trailers = run.trailers
            if fields:
                more = read_custom(fields) if status.code == StatusCode.OK else None
                if more is None:
                    status, trailers = parse_trailers(run.fields + fields, first=False)
                else:
                    trailers += more
        if type(call.wire_inbound) is MeasuredReader:
            call.wire_inbound.length.ended()
        if status.code == 0 and call.wire_inbound is not None:
            try:
                call.wire_inbound.finish()
            except RemoteProtocolError as error:
                status = Status(StatusCode.INTERNAL, str(error))
        # RFC 9113, section 8.1: the response is whole, the rest of the request is not wanted.
        if not call.wire_state & END_SENT:
            self._reset_stream(call, ErrorCode.NO_ERROR)
        self._end_call(call, status, trailers)

    def _half_closed(self, call: Call) -> None:
        problem = "the server ended the stream without trailers"
        self._fail_call(call, Status(StatusCode.INTERNAL, problem), ErrorCode.CANCEL)

    def _fail_call(self, call: Call, status: Status, error_code: int) -> None:
        self._reset_stream(call, error_code)
        self._end_call(call, status)

    def _peer_reset(self, call: Call, error_code: int) -> None:
        deadline = call.wire_deadline
        if error_code == ErrorCode.CANCEL and deadline is not None and self.now >= deadline:
            # A server counts the deadline as well, and its RST_STREAM may be here before our own timer.
            status = DEADLINE_PASSED
        else:
            problem = f"the server reset the stream with {http2_error_name(error_code)}"
            status = Status(status_from_http2_error(error_code), problem)
        self._end_call(call, status, unprocessed=error_code == ErrorCode.REFUSED_STREAM)

    # -- the connection as a whole

    def _forget(self, call: Call) -> None:
        if call.wire_state & QUEUED:
            self._queue.pop(call.wire_id, None)
        super()._forget(call)

    def _after_call(self) -> None:
        if self._queue:
            self._open_queued()
        if (self._going_away or self._sent_away) and not self.streams and not self._queue:
            self._fail(self._farewell.before("all calls are over, and no new one may be opened"))

    @property
    def open_calls(self) -> int:
        return len(self.streams) + len(self._queue)

    def _call_of(self, stream_id: int) -> Call | None:
        call = self.streams.get(stream_id)
        if call is None and stream_id in self._queue:
            return self._queue[stream_id][0]
        return call

    def _all_calls(self) -> Iterator[Call]:
        yield from self.streams.values()
        for call, _, _ in self._queue.values():
            yield call

    def _settings_applied(self) -> None:
        self._max_streams = self._settings.get(MAX_CONCURRENT_STREAMS, 2**32 + 1)
        self._open_queued()

    def _peer_max_streams(self) -> int:
        return self._max_streams

    def _is_idle(self, stream_id: int) -> bool:
        return not stream_id & 1 or stream_id >= self._next_id

    def _highest_peer_stream(self) -> int:
        return 0

    def _sent_goaway(self, last_stream_id: int, reason: str) -> None:
        self._turn.begin()
        self._work(self._end_unprocessed(last_stream_id, reason))

    def _ids_are_used_up(self) -> None:
        for _ in self._end_unprocessed(MAX_STREAM_ID, "the stream ids are used up"):
            continue

    def _end_unprocessed(self, last_stream_id: int, reason: str) -> Iterator[None]:
        """The server takes no call beyond the last one: end those that there are, a step after every few of them."""
        self._sent_away = True
        self._last_processed = last_stream_id
        self.driver.on_going_away(reason)
        status = Status(StatusCode.UNAVAILABLE, f"the server is going away ({reason})")
        ended = 0
        for call in list(self._all_calls()):
            if call.wire_state is not None and (call.wire_state & QUEUED or call.wire_id > last_stream_id):
                self._reset_stream(call, ErrorCode.CANCEL)
                self._end_call(call, status, unprocessed=True)
                ended += 1
                if not ended % TURN_CALLS:
                    self._turn.end()
                    yield
        self._after_call()

    def go_away(self, *, error_code: int = 0, debug_data: bytes = b"", immediately: bool = False) -> None:
        if self._closed:
            return
        if not self._going_away:
            self._going_away = True
            self._emit_goaway(0, error_code, debug_data)
        if immediately:
            self._fail("the connection was closed on this side")
        else:
            self._after_call()


_timeouts: dict[float, bytes] = {}
"""Timeout -> its header field, for all connections."""


def _timeout_field(left: float) -> bytes:
    """grpc-timeout for so many seconds. What is left of calls that are sent at once is mostly the same."""
    if len(_timeouts) >= MAX_TIMEOUTS:
        _timeouts.clear()
    field = _timeouts[left] = literal(b"grpc-timeout", encode_timeout(left))
    return field


def _read_head(fields: Fields) -> ResponseHead:
    """What a run of fields says as the head of a response; NO_HEAD if it is none without further fields."""
    try:
        return parse_response(fields) or INFORMATIONAL
    except RemoteProtocolError:
        return NO_HEAD
