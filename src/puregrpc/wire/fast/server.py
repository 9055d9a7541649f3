"""The server's end of the fast engine."""

from __future__ import annotations

from functools import partial
from typing import cast

from puregrpc.errors import LocalProtocolError, RemoteProtocolError
from puregrpc.wire.compression import coding_for, receiving_coding
from puregrpc.wire.connection import (
    Call,
    ConnectionConfig,
    Driver,
    Metadata,
    Request,
    ServerCall,
    ServerConnection,
)
from puregrpc.wire.fast.bodies import MeasuredReader
from puregrpc.wire.fast.custom_metadata import MetadataEncoder
from puregrpc.wire.fast.hpack_decoder import FieldRun
from puregrpc.wire.fast.hpack_encoder import ConstantFields, literal
from puregrpc.wire.fast.hpack_table import Fields
from puregrpc.wire.fast.octets import END_HEADERS, END_STREAM, frame, message_frame_head, pack_head
from puregrpc.wire.fast.receiving import FastConnection
from puregrpc.wire.fast.requests import read_request
from puregrpc.wire.fast.sending import (
    DETACHED,
    END_SENT,
    HEAD_RECEIVED,
    HEAD_SENT,
    LOCAL_CLOSED,
    MAX_DIRECT_OCTETS,
    READABLE,
    REMOTE_CLOSED,
    Outbound,
)
from puregrpc.wire.frames import ErrorCode, FrameType
from puregrpc.wire.framing import PREFIX_SIZE, MessageReader
from puregrpc.wire.headers import (
    Refusal,
    check_fields,
    fit_trailers,
    parse_request,
    read_content_length,
    refusal_of_large,
    response_fields,
    trailer_fields,
)
from puregrpc.wire.keepalive import PingEnforcement
from puregrpc.wire.limits import FOREIGN_REQUEST_TIMEOUT, GOAWAY_PING_TIMEOUT, MAX_GRPC_MESSAGE_SIZE
from puregrpc.wire.memory import CALLS_PER_COUNT, TOO_MUCH_HELD, size_of_metadata
from puregrpc.wire.metadata import encode_metadata, header_list_size
from puregrpc.wire.status import OK, Status, StatusCode, http2_error_name

__all__ = ["FastServerConnection"]

LAST_STREAM_ID = 2**31 - 1
GOAWAY_PING = b"goaway!!"

MAX_RESPONSE_KINDS = 20
"""How many kinds of response heads and trailers are remembered with their header fields."""

MAX_SUBTYPE_OCTETS = 32
"""What follows ``application/grpc+`` is for the client to say; what is longer is not remembered."""

SHORT_MESSAGE = MAX_GRPC_MESSAGE_SIZE // 27
"""Characters of a status message that fit however they are encoded: a lone surrogate takes 27 octets."""

MAX_SKIPPED_RANGES = 100
"""How many gaps in the client's stream ids are remembered; a client has no reason to leave any."""

NO_PSEUDO: frozenset[bytes] = frozenset()


class RefusedCall(ServerCall):
    """Stands for a request that the connection answers by itself."""

    __slots__ = ("answered", "refusal")

    def __init__(self, refusal: Refusal) -> None:
        super().__init__()
        self.refusal = refusal
        self.answered = False


class FastServerConnection(FastConnection, ServerConnection):
    """The server's end."""

    __slots__ = (
        "_drained",
        "_enforcement",
        "_heads",
        "_highest",
        "_identity_heads",
        "_max_streams",
        "_metadata",
        "_no_fields",
        "_ok_trailers",
        "_skipped",
        "_trailers",
    )

    _client = False

    def __init__(self, driver: Driver, config: ConnectionConfig) -> None:
        super().__init__(driver, config)
        self._highest = 0
        self._skipped: list[range] = []
        self._drained = False
        """The real last stream id has gone out: what comes above it is not taken."""
        self._enforcement = PingEnforcement(
            config.min_ping_interval, permit_without_calls=config.permit_ping_without_calls
        )
        self._max_streams = config.max_concurrent_streams
        self._metadata = MetadataEncoder()
        self._no_fields = ConstantFields(())
        self._heads: dict[tuple[str, str], ConstantFields] = {}
        self._identity_heads: dict[str, ConstantFields] = {}
        self._ok_trailers = ConstantFields(tuple(trailer_fields(OK, ())))
        self._trailers: dict[tuple[int, str | None], ConstantFields] = {}

    # -- sending

    def send_headers(self, call: ServerCall, metadata: Metadata = (), *, encoding: str = "identity") -> None:
        state = call.wire_state
        if state is None:
            return
        if state & HEAD_SENT:
            raise LocalProtocolError("the initial metadata has been sent already")
        if encoding != "identity" and encoding not in call.request.accept_encodings:
            encoding = "identity"
        coding = None if encoding == "identity" else coding_for(encoding)
        literals = self._metadata.encode(metadata) if metadata else b""
        head = self._head(encoding, call.request.content_subtype)
        if self._max_list_size is not None and self._excess(head, literals, len(metadata)):
            if head.list_size > self._max_list_size:
                self._refuse_headers(call, head.list_size, self._max_list_size)
                return
            call.on_left_out("the initial metadata")
            literals = b""
        call.wire_b = coding
        call.wire_state = state | HEAD_SENT
        self._answered = True
        self.emit_headers(call.wire_id, self.encoder.encode(head) + literals, 0)

    def send_trailers(self, call: ServerCall, status: Status, metadata: Metadata = ()) -> None:
        state = call.wire_state
        if state is None or state & DETACHED:
            return
        parts = self._trailer_parts(call, status, metadata, headers_too=not state & HEAD_SENT)
        if parts is None:
            self.reset(call, ErrorCode.INTERNAL_ERROR)
            return
        constant, literals = parts
        if call.wire_outbound is None:
            self._send_trailer_block(call, constant, literals)
            self._stream_done(call)
        else:
            call.wire_state = state & ~READABLE | HEAD_SENT | LOCAL_CLOSED | DETACHED
            call.wire_outbound.then = partial(self._send_waiting_trailers, call, constant, literals)

    def send_response(
        self,
        call: ServerCall,
        message: bytes,
        metadata: Metadata = (),
        trailers: Metadata = (),
        status: Status | None = None,
    ) -> None:
        state = call.wire_state
        if state is None:
            return
        length = len(message)
        size = length + PREFIX_SIZE
        if (
            state & (HEAD_SENT | DETACHED)
            or size > self._send_window
            or size > call.wire_send_window
            or size > self._data_frame_size
            or length > self._max_send_message_size
            or self._direct_octets > MAX_DIRECT_OCTETS
        ):
            self._send_parts(call, message, metadata, trailers, status)
            return
        encoder = self.encoder
        subtype = call.request.content_subtype
        try:
            head = self._identity_heads[subtype]
        except KeyError:
            head = self._head("identity", subtype)
        literals = self._metadata.encode(metadata) if metadata else b""
        if self._max_list_size is not None and (
            self._excess(head, literals, len(metadata)) or self._ok_trailers.list_size > self._max_list_size
        ):
            self._send_parts(call, message, metadata, trailers, status)
            return
        tail, tail_literals = self._ok_trailers, b""
        if trailers or (status is not None and status is not OK):
            parts = self._trailer_parts(call, OK if status is None else status, trailers, headers_too=False)
            if parts is None:
                self.reset(call, ErrorCode.INTERNAL_ERROR)
                return
            tail, tail_literals = parts
        head_block = head.block if head.version == encoder.version else encoder.encode(head)
        tail_block = tail.block if tail.version == encoder.version else encoder.encode(tail)
        if literals:
            head_block += literals
        if tail_literals:
            tail_block += tail_literals
        stream_id = call.wire_id
        self._direct_octets += size + len(head_block) + len(tail_block)
        self._send_window -= size
        self._data_sent = True
        call.wire_state = state | HEAD_SENT | LOCAL_CLOSED | END_SENT
        if len(head_block) > self._peer_frame_size or len(tail_block) > self._peer_frame_size:
            self.emit_headers(stream_id, head_block, 0)
            self.emit(message_frame_head(0, size, FrameType.DATA, 0, stream_id, 0, length) + message)
            self.emit_headers(stream_id, tail_block, END_STREAM)
            self._stream_done(call)
            return
        self._out.append(
            pack_head(0, len(head_block), FrameType.HEADERS, END_HEADERS, stream_id)
            + head_block
            + message_frame_head(0, size, FrameType.DATA, 0, stream_id, 0, length)
            + message
            + pack_head(0, len(tail_block), FrameType.HEADERS, END_HEADERS | END_STREAM, stream_id)
            + tail_block
        )
        self._stream_done(call)
        if not self._signalled:
            self._signalled = True
            self.driver.on_output()

    def _send_parts(
        self, call: ServerCall, message: bytes, metadata: Metadata, trailers: Metadata, status: Status | None
    ) -> None:
        """Send a response step by step."""
        if trailers:
            encode_metadata(trailers)  # what is wrong with them must show before anything has been sent
        if not call.wire_state & HEAD_SENT:
            self.send_headers(call, metadata)
        self.send_message(call, message)
        self.send_trailers(call, OK if status is None else status, trailers)

    def _head(self, encoding: str, content_subtype: str) -> ConstantFields:
        key = (encoding, content_subtype)
        head = self._heads.get(key)
        if head is None:
            fields = response_fields(
                (),
                encoding=encoding,
                content_subtype=content_subtype,
                accept_encodings=self.config.accept_encodings,
            )
            head = ConstantFields(tuple(fields))
            if len(content_subtype) > MAX_SUBTYPE_OCTETS:
                return head
            if len(self._heads) >= MAX_RESPONSE_KINDS:
                self._heads.clear()
                self._identity_heads.clear()
            self._heads[key] = head
            if encoding == "identity":
                self._identity_heads[content_subtype] = head
        return head

    def _trailer_parts(
        self, call: ServerCall, status: Status, metadata: Metadata, *, headers_too: bool
    ) -> tuple[ConstantFields, bytes] | None:
        """The constant fields of trailers and the octets of the others, as far as the client takes them.

        With ``headers_too`` those of a trailers-only response. None if not even the status fits.
        """
        content_subtype = call.request.content_subtype if headers_too else None
        key = (status.code, content_subtype)
        constant = self._trailers.get(key)
        if constant is None:
            fields = trailer_fields(
                Status(status.code), (), headers_too=content_subtype is not None, content_subtype=content_subtype or ""
            )
            constant = ConstantFields(tuple(fields))
            if 0 <= status.code <= StatusCode.UNAUTHENTICATED and len(content_subtype or "") <= MAX_SUBTYPE_OCTETS:
                if len(self._trailers) >= MAX_RESPONSE_KINDS:
                    self._trailers.clear()
                self._trailers[key] = constant
        literals = b""
        if metadata or status.message or status.details is not None:
            varying = trailer_fields(status, ())[1:]
            literals = b"".join([literal(*field) for field in varying]) + self._metadata.encode(metadata)
        if len(status.message) > SHORT_MESSAGE or (
            self._max_list_size is not None and self._excess(constant, literals, len(metadata) + 2)
        ):
            trailers = fit_trailers(
                status, metadata, self._max_list_size, headers_too=headers_too, content_subtype=content_subtype or ""
            )
            if trailers.left_out:
                call.on_left_out(trailers.left_out)
            if not trailers.fields:
                return None
            literals = b"".join([literal(*field) for field in trailers.fields[len(constant.fields) :]])
        return constant, literals

    def _send_trailer_block(self, call: Call, constant: ConstantFields, literals: bytes) -> None:
        call.wire_state |= HEAD_SENT | LOCAL_CLOSED | END_SENT
        self._answered = True
        self.emit_headers(call.wire_id, self.encoder.encode(constant) + literals, END_STREAM)

    def _send_waiting_trailers(self, call: Call, constant: ConstantFields, literals: bytes) -> None:
        self._send_trailer_block(call, constant, literals)
        self._stream_done(call)

    def _stream_done(self, call: Call) -> None:
        """All is sent."""
        if not call.wire_state & REMOTE_CLOSED:  # RFC 9113, section 8.1: the rest of the request is not wanted
            self._reset_stream(call, ErrorCode.NO_ERROR)
        self._forget(call)
        if self._drained:
            self._after_call()

    # -- receiving

    def _headers(self, stream_id: int, flags: int, run: FieldRun | None, fields: Fields) -> None:
        call = self.streams.get(stream_id)
        if call is not None:
            self._request_trailers(call, flags, run, fields)
            return
        if stream_id <= self._highest or not stream_id & 1:
            self._headers_on_no_stream(stream_id)
            return
        if stream_id > self._highest + 2 and len(self._skipped) < MAX_SKIPPED_RANGES:
            self._skipped.append(range(self._highest + 2 if self._highest else 1, stream_id, 2))
        self._highest = stream_id
        ended = bool(flags & END_STREAM)
        if self._drained or len(self.streams) >= self._max_streams:
            self._refuse(stream_id)
            return
        if run is None:
            self._answer(stream_id, refusal_of_large(fields, self.config.max_header_list_size), ended=ended)
            return
        request = read_request(run, fields)
        content_length = None
        size = 0
        if request is None:
            try:
                whole = parse_request(run.fields + fields, self._known_fields)
                content_length = read_content_length(run.fields + fields)
            except RemoteProtocolError as error:
                self._stream_error(stream_id, str(error), ErrorCode.PROTOCOL_ERROR)
                return
            if ended and content_length:
                self._stream_error(stream_id, "fewer octets than content-length says", ErrorCode.PROTOCOL_ERROR)
                return
            if isinstance(whole, Refusal):
                self._answer(stream_id, whole, ended=ended, content_length=content_length)
                return
            request = whole
            size = request.size
        elif request.metadata:  # the rest is what the table holds
            size = size_of_metadata(request.metadata)
        budget = self.config.memory_budget
        if budget is not None and len(self.streams) >= budget.few_calls:
            if not len(self.streams) % CALLS_PER_COUNT:
                self._account()
                if self._closed:
                    return
            if budget.is_greedy(self):
                self._answer(stream_id, Refusal(status=TOO_MUCH_HELD), ended=ended, content_length=content_length)
                return
        served = self.driver.on_call(request)
        if served is None:
            self._refuse(stream_id)
            return
        self._turn.call_began()
        self._take_call(served, stream_id, request, size, ended=ended, content_length=content_length)

    def _refuse(self, stream_id: int) -> None:
        self._reset_unknown(stream_id, ErrorCode.REFUSED_STREAM)
        if not self._going_away:  # else the client may not know yet
            self._floods.stream_refused(self.now)

    def _take_call(
        self, call: ServerCall, stream_id: int, request: Request, size: int, *, ended: bool, content_length: int | None
    ) -> None:
        call.request = request
        self._add(call, stream_id, request.path)
        if size:
            self._holdings.charge(stream_id, size)
        if content_length is not None:
            call.wire_inbound = MeasuredReader(self._max_message_size, request.encoding, content_length)
        elif request.encoding != "identity":
            call.wire_inbound = MessageReader(self._max_message_size, receiving_coding(request.encoding))
        if request.timeout is not None:
            call.wire_deadline = self.now + request.timeout
            self._deadlines.add(stream_id, call.wire_deadline)
        if ended:
            call.wire_state = HEAD_RECEIVED | REMOTE_CLOSED
            self._end_of_stream(call)
        else:
            call.wire_state = HEAD_RECEIVED | READABLE

    def _add(self, call: ServerCall, stream_id: int, path: str) -> None:
        call.wire_id = stream_id
        call.wire_path = path
        call.wire_deadline = call.wire_inbound = call.wire_outbound = call.wire_a = call.wire_b = None
        call.wire_received = self._stream_window
        call.wire_low = self._low_water
        call.wire_send_window = self._peer_initial_window
        self.streams[stream_id] = call

    def _headers_on_no_stream(self, stream_id: int) -> None:
        """HEADERS for a stream that is over, or never can be (RFC 9113, sections 5.1 and 5.1.1)."""
        if not stream_id & 1 or any(stream_id in skipped for skipped in self._skipped):
            raise RemoteProtocolError(f"HEADERS on stream {stream_id}, which a client cannot open")
        if not self._was_reset_here(stream_id):
            raise RemoteProtocolError("HEADERS on a closed stream", ErrorCode.STREAM_CLOSED)

    def _request_trailers(self, call: Call, flags: int, run: FieldRun | None, fields: Fields) -> None:
        """RFC 9113, section 8.1: a request may have trailers. gRPC has no use for them."""
        state: int = call.wire_state
        if state & REMOTE_CLOSED:
            self._stream_error(call.wire_id, "HEADERS behind END_STREAM", ErrorCode.STREAM_CLOSED)
            return
        try:
            if run is not None:
                check_fields(run.fields + fields, NO_PSEUDO)
            if not flags & END_STREAM:
                raise RemoteProtocolError("trailers without END_STREAM")
        except RemoteProtocolError as error:
            self._stream_error(call.wire_id, str(error), ErrorCode.PROTOCOL_ERROR)
            return
        call.wire_state = state & ~READABLE | REMOTE_CLOSED
        self._end_of_stream(call)

    def _answer(self, stream_id: int, refusal: Refusal, *, ended: bool, content_length: int | None = None) -> None:
        """Answer a request that is not gRPC's, or not one that can be served.

        What is gRPC learns at once; HTTP is answered when all of the request is there, or after a while.
        """
        self._floods.foreign_request(self.now)
        call = RefusedCall(refusal)
        self._add(call, stream_id, "")
        if content_length is not None:
            call.wire_inbound = MeasuredReader(0, "identity", content_length)
        call.wire_state = HEAD_RECEIVED | LOCAL_CLOSED | DETACHED | (REMOTE_CLOSED if ended else 0)
        budget = self.config.memory_budget
        if ended or refusal.status is not None or (budget is not None and budget.is_greedy(self)):
            self._send_refusal(call)
        else:
            call.wire_deadline = self.now + FOREIGN_REQUEST_TIMEOUT
            self._deadlines.add(stream_id, call.wire_deadline)

    def _send_refusal(self, call: RefusedCall) -> None:
        call.answered = True
        refusal = call.refusal
        fields = refusal.header_fields()
        if self._max_list_size is not None and header_list_size(fields) > self._max_list_size:
            self.reset(call, ErrorCode.INTERNAL_ERROR)
            return
        block = self.encoder.encode(self._no_fields)
        block += b"".join([literal(name, value) for name, value in fields])
        text = refusal.text.encode()
        call.wire_state |= HEAD_SENT
        self._answered = True
        self.emit_headers(call.wire_id, block, 0 if text else END_STREAM)
        if text:
            outbound = call.wire_outbound = Outbound(call)
            outbound.add(text)
            self._unsent += len(text)
            outbound.end = True
            outbound.then = partial(self._stream_done, call)
            self._give_turn(outbound)
        else:
            call.wire_state |= END_SENT
            self._stream_done(call)

    def _cut(self, call: Call) -> None:
        if isinstance(call, RefusedCall):  # its owner knows nothing of it
            call.wire_state |= END_SENT | REMOTE_CLOSED
        else:
            super()._cut(call)

    def _ended_remotely(self, call: Call) -> None:
        if isinstance(call, RefusedCall) and not call.answered:
            self._send_refusal(call)

    def _deadline_passed(self, call: Call) -> None:
        if isinstance(call, RefusedCall) and not call.answered:
            self._send_refusal(call)
        else:
            super()._deadline_passed(call)

    def _half_closed(self, call: Call) -> None:
        call.on_half_close()

    def _fail_call(self, call: Call, status: Status, error_code: int) -> None:
        """End the call with trailers, if they can go out at once, so that the client learns why; else with a reset."""
        if call.wire_outbound is not None or isinstance(call, RefusedCall):
            self._reset_stream(call, error_code)
        else:
            served = cast("ServerCall", call)
            parts = self._trailer_parts(served, status, (), headers_too=not call.wire_state & HEAD_SENT)
            if parts is None:
                self._reset_stream(call, error_code)
            else:
                self._send_trailer_block(call, *parts)
                self._reset_stream(call, ErrorCode.NO_ERROR)
        self._end_call(call, status)

    def _peer_reset(self, call: Call, error_code: int) -> None:
        self._turn.call_ended()
        problem = f"the client reset the stream with {http2_error_name(error_code)}"
        self._end_call(call, Status(StatusCode.CANCELLED, problem))

    # -- the connection as a whole

    def _after_call(self) -> None:
        if self._drained and not self.streams:
            self._fail("all calls are over, and no new one is taken")

    def _settings_applied(self) -> None:
        pass

    def _is_idle(self, stream_id: int) -> bool:
        return stream_id > self._highest or not stream_id & 1

    def _highest_peer_stream(self) -> int:
        return self._highest

    def _sent_goaway(self, last_stream_id: int, reason: str) -> None:  # noqa: ARG002 - servers open no streams
        self._sent_away = True
        self.driver.on_going_away(reason)

    def go_away(self, *, error_code: int = 0, debug_data: bytes = b"", immediately: bool = False) -> None:
        if self._closed:
            return
        if immediately:
            self._emit_goaway(self._highest, error_code, debug_data)
            self._fail("the connection was closed on this side")
        elif not self._going_away:
            self._going_away = True
            self._goaway_deadline = self.now + GOAWAY_PING_TIMEOUT
            self._emit_goaway(LAST_STREAM_ID, error_code, debug_data)
            self.emit(frame(FrameType.PING, 0, 0, GOAWAY_PING))

    def _advance_side(self) -> None:
        if self._goaway_deadline is not None and self.now >= self._goaway_deadline:
            self._stop_taking_calls()

    def _pinged(self) -> None:
        if self._answered:
            self._answered = False
            self._enforcement.sent()
        if self._enforcement.pinged(self.now, has_calls=bool(self.streams)):
            raise RemoteProtocolError("too_many_pings", ErrorCode.ENHANCE_YOUR_CALM)

    def _ping_answered(self, payload: bytes) -> None:
        super()._ping_answered(payload)
        if payload == GOAWAY_PING and self._goaway_deadline is not None:
            self._stop_taking_calls()

    def _stop_taking_calls(self) -> None:
        """The second step of a graceful end: what comes above the last stream id is refused from now on."""
        self._goaway_deadline = None
        self._drained = True
        self._emit_goaway(self._highest, ErrorCode.NO_ERROR, b"")
        self._after_call()
