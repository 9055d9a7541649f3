"""The server's end of an h2-based connection."""

from __future__ import annotations

from puregrpc.errors import RemoteProtocolError
from puregrpc.wire.call_state import REQUEST, RESPONSE, Half, Step
from puregrpc.wire.compression import coding_for, receiving_coding
from puregrpc.wire.connection import ConnectionConfig, Driver, Request, ServerCall, ServerConnection
from puregrpc.wire.frames import ErrorCode
from puregrpc.wire.h2_engine.base import H2Connection
from puregrpc.wire.h2_engine.stream import Stream
from puregrpc.wire.headers import (
    NO_PSEUDO,
    BodyLength,
    Refusal,
    check_fields,
    fit_trailers,
    parse_request,
    read_content_length,
    refusal_of_large,
    response_fields,
)
from puregrpc.wire.keepalive import PingEnforcement
from puregrpc.wire.limits import FOREIGN_REQUEST_TIMEOUT, GOAWAY_PING_TIMEOUT
from puregrpc.wire.memory import CALLS_PER_COUNT, TOO_MUCH_HELD
from puregrpc.wire.metadata import HeaderField, Metadata, encode_metadata, header_list_size
from puregrpc.wire.status import OK, Status, StatusCode, http2_error_name

__all__ = ["H2ServerConnection"]

LAST_STREAM_ID = 2**31 - 1
GOAWAY_PING = b"goaway!!"


class H2ServerConnection(H2Connection[ServerCall], ServerConnection):
    """The server's end."""

    __slots__ = (
        "_drained",
        "_enforcement",
        "_goaway_deadline",
    )

    def __init__(self, driver: Driver, config: ConnectionConfig) -> None:
        super().__init__(driver, config, client=False)
        self._enforcement = PingEnforcement(
            config.min_ping_interval, permit_without_calls=config.permit_ping_without_calls
        )
        self._drained = False
        """The real last stream id has gone out: no more calls are taken."""
        self._goaway_deadline: float | None = None

    # -- sending

    def send_headers(self, call: ServerCall, metadata: Metadata = (), *, encoding: str = "identity") -> None:
        stream: Stream[ServerCall] | None = call.wire_state
        if stream is None:
            return
        coding = coding_for(encoding if encoding in call.request.accept_encodings else "identity")
        custom = encode_metadata(metadata)
        fields = response_fields(
            (),
            encoding=coding.name,
            content_subtype=call.request.content_subtype,
            accept_encodings=self._config.accept_encodings,
        )
        most = self._http2.peer_max_header_list_size
        if most is not None and not stream.sending.opened:
            size = header_list_size(fields)
            if size > most:
                self._refuse_headers(call, size, most)
                return
            if size + header_list_size(custom) > most:
                call.on_left_out("the initial metadata")
                custom = []
        fields += custom
        stream.sending.step(Step.HEADERS)
        stream.coding = coding
        self._http2.send_headers(stream.id, fields)
        self._enforcement.sent()
        self._tell_output()

    def send_trailers(self, call: ServerCall, status: Status, metadata: Metadata = ()) -> None:
        stream: Stream[ServerCall] | None = call.wire_state
        if stream is None or stream.sending.ended:
            return
        fields = self._trailer_fields(stream, status, metadata)
        if not fields:
            self.reset(call, ErrorCode.INTERNAL_ERROR)
            return
        stream.sending.step(Step.TRAILERS)
        stream.trailers = fields
        stream.answered = True
        if stream.outbound:
            self._turns.add(stream)
        else:  # else the fields would wait in a form that takes more memory
            self._turns.remove(stream)
            self._send_frame(stream, 0)
        self._tell_output()

    def _trailer_fields(self, stream: Stream[ServerCall], status: Status, metadata: Metadata) -> list[HeaderField]:
        """What of the trailers the client takes; [] if not even the status."""
        trailers = fit_trailers(
            status,
            metadata,
            self._http2.peer_max_header_list_size,
            headers_too=not stream.sending.opened,
            content_subtype=stream.call.request.content_subtype,
        )
        if trailers.left_out:
            stream.call.on_left_out(trailers.left_out)
        return trailers.fields

    def send_response(
        self,
        call: ServerCall,
        message: bytes,
        metadata: Metadata = (),
        trailers: Metadata = (),
        status: Status | None = None,
    ) -> None:
        stream: Stream[ServerCall] | None = call.wire_state
        if stream is None or stream.sending.ended:
            return
        encode_metadata(trailers)  # what is wrong with them must show before anything has been sent
        if not stream.sending.opened:
            self.send_headers(call, metadata)
            if stream.sending.ended:  # they do not fit
                return
        self.send_message(call, message)
        self.send_trailers(call, OK if status is None else status, trailers)

    def _send_frame(self, stream: Stream[ServerCall], window: int) -> None:
        super()._send_frame(stream, window)
        self._enforcement.sent()

    def _ended_locally(self, stream: Stream[ServerCall]) -> None:
        self._reset_stream(stream, ErrorCode.NO_ERROR)  # if the client has not half-closed: RFC 9113, section 8.1
        self._forget(stream)
        self._after_call()

    # -- receiving

    def _headers_received(self, stream_id: int, fields: list[HeaderField], *, ended: bool) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._request_trailers_received(stream, fields)
            return
        if self._drained or len(self._streams) >= self._config.max_concurrent_streams:
            self._refuse(stream_id)
            return
        most = self._config.max_header_list_size
        if header_list_size(fields) > most:
            self._answer(stream_id, refusal_of_large(fields, most), ended=ended)
            return
        try:
            request = parse_request(fields, self._known_fields)
            length = read_content_length(fields)
            if ended:
                BodyLength(length or 0).ended()
        except RemoteProtocolError:
            self._floods.stream_fault(self.now)
            self._http2.reset(stream_id, ErrorCode.PROTOCOL_ERROR)
            return
        if isinstance(request, Refusal):
            self._answer(stream_id, request, ended=ended, length=length)
        else:
            self._request_received(stream_id, request, ended=ended, length=length)

    def _refuse(self, stream_id: int) -> None:
        self._http2.reset(stream_id, ErrorCode.REFUSED_STREAM)
        if not self._going_away:  # else the client may not know yet
            self._floods.stream_refused(self.now)

    def _request_trailers_received(self, stream: Stream[ServerCall], fields: list[HeaderField]) -> None:
        """RFC 9113, section 8.1: a request may have trailers. To gRPC they are a half-close."""
        stream.wire_ended_remotely = True
        try:
            check_fields(fields, NO_PSEUDO)
            if stream.length is not None:
                stream.length.ended()
        except RemoteProtocolError as error:
            self._stream_fault(stream, Status(StatusCode.INTERNAL, str(error)))
            return
        if stream.answered:
            self._ended_remotely(stream)
            return
        try:
            stream.reader.finish()
        except RemoteProtocolError as error:
            self._stream_fault(stream, Status(StatusCode.INTERNAL, str(error)), ErrorCode.CANCEL)
            return
        self._half_closed(stream)

    def _answer(self, stream_id: int, refusal: Refusal, *, ended: bool, length: int | None = None) -> None:
        """Answer a request that is not gRPC's, or not one that can be served.

        What is gRPC learns at once; HTTP is answered when all of the request is there, or after a while.
        """
        self._floods.foreign_request(self.now)
        stream = self._new_stream(stream_id, ServerCall(), "", ended=ended, length=length)
        stream.answered = True
        stream.refusal = refusal
        budget = self._config.memory_budget
        if ended or refusal.status is not None or (budget is not None and budget.is_greedy(self)):
            self._send_refusal(stream, refusal)
        else:
            self._deadlines.add(stream.key, self.now + FOREIGN_REQUEST_TIMEOUT)

    def _send_refusal(self, stream: Stream[ServerCall], refusal: Refusal) -> None:
        stream.refusal = None
        text = refusal.text.encode()
        fields = refusal.header_fields()
        most = self._http2.peer_max_header_list_size
        if most is not None and header_list_size(fields) > most:
            self.reset(stream.call, ErrorCode.INTERNAL_ERROR)
            return
        self._http2.send_headers(stream.id, fields, end=not text)
        if text:
            stream.end_queued = True
            stream.put(text)
            self._unsent += len(text)
            self._turns.add(stream)
        else:
            stream.wire_ended_locally = True
            self._ended_locally(stream)

    def _ended_remotely(self, stream: Stream[ServerCall]) -> None:
        if stream.refusal is not None:
            self._send_refusal(stream, stream.refusal)

    def _deadline_passed(self, stream: Stream[ServerCall]) -> None:
        if stream.refusal is not None:
            self._send_refusal(stream, stream.refusal)
        else:
            super()._deadline_passed(stream)

    def _new_stream(
        self, stream_id: int, call: ServerCall, path: str, *, ended: bool, length: int | None
    ) -> Stream[ServerCall]:
        stream = self._add(call, path, Half(RESPONSE, "local"), Half(REQUEST, "remote"))
        stream.id = call.wire_id = stream_id
        stream.receiving.step(Step.HEADERS)
        stream.wire_ended_remotely = ended
        if length is not None:
            stream.length = BodyLength(length)
        self._streams[stream_id] = stream
        return stream

    def _request_received(self, stream_id: int, request: Request, *, ended: bool, length: int | None) -> None:
        budget = self._config.memory_budget
        if budget is not None and len(self._streams) >= budget.few_calls:
            if not len(self._streams) % CALLS_PER_COUNT:
                self._account()
                if self._closed:
                    return
            if budget.is_greedy(self):
                self._answer(stream_id, Refusal(status=TOO_MUCH_HELD), ended=ended)
                return
        call = self.driver.on_call(request)
        if call is None:
            self._refuse(stream_id)
            return
        self._turn.call_began()
        call.request = request
        stream = self._new_stream(stream_id, call, request.path, ended=ended, length=length)
        stream.reader.coding = receiving_coding(request.encoding)
        if size := request.size:
            self._holdings.charge(stream_id, size)
        if request.timeout is not None:
            call.wire_deadline = self.now + request.timeout
            self._deadlines.add(stream.key, call.wire_deadline)
        if ended:
            self._half_closed(stream)

    def _half_closed(self, stream: Stream[ServerCall]) -> None:
        stream.receiving.step(Step.END)
        stream.call.on_half_close()

    def _fail_call(self, stream: Stream[ServerCall], status: Status, error_code: int = ErrorCode.CANCEL) -> None:
        """End the call with trailers, if they can go out at once, so that the client learns why; else with a reset.

        A client that broke HTTP/2 is told with the reset's error code alone.
        """
        if error_code == ErrorCode.CANCEL and not stream.outbound and not stream.answered and not self._closed:
            fields = self._trailer_fields(stream, status, ())
            if fields:
                self._http2.send_headers(stream.id, fields, end=True)
                stream.wire_ended_locally = True
                error_code = ErrorCode.NO_ERROR
        self._reset_stream(stream, error_code)
        self._end_call(stream, status)

    def _peer_reset(self, stream: Stream[ServerCall], error_code: int) -> None:
        self._turn.call_ended()
        problem = f"the client reset the stream with {http2_error_name(error_code)}"
        self._end_call(stream, Status(StatusCode.CANCELLED, problem))

    def _pinged(self) -> None:
        if self._enforcement.pinged(self.now, has_calls=bool(self._calls)):
            raise RemoteProtocolError("too_many_pings", ErrorCode.ENHANCE_YOUR_CALM)

    # -- going away

    def _peer_goes_away(self, last_stream_id: int, reason: str) -> None:  # noqa: ARG002 - servers open no streams
        self._sent_away = True
        self.driver.on_going_away(reason)

    def go_away(self, *, error_code: int = 0, debug_data: bytes = b"", immediately: bool = False) -> None:
        if self._closed:
            return
        if immediately:
            self._http2.go_away(self._http2.last_peer_stream_id, error_code, debug_data)
            self._fail("the connection was closed on this side")
        elif not self._going_away:
            self._going_away = True
            self._goaway_deadline = self.now + GOAWAY_PING_TIMEOUT
            self._http2.go_away(LAST_STREAM_ID, error_code, debug_data)
            self._http2.ping(GOAWAY_PING)
        self._tell_output()

    def _next_time_of_side(self) -> float | None:
        return self._goaway_deadline

    def _advance_side(self) -> None:
        if self._goaway_deadline is not None and self.now >= self._goaway_deadline:
            self._stop_taking_calls()

    def _ping_answered(self, opaque: bytes) -> None:
        super()._ping_answered(opaque)
        if opaque == GOAWAY_PING and self._goaway_deadline is not None:
            self._stop_taking_calls()

    def _stop_taking_calls(self) -> None:
        """The second step of a graceful end: what comes above the last stream id is refused from now on."""
        self._goaway_deadline = None
        self._drained = True
        self._http2.go_away(self._http2.last_peer_stream_id, ErrorCode.NO_ERROR, b"")
        self._after_call()

    def _after_call(self) -> None:
        if self._drained and not self._calls:
            self._fail("all calls are over, and no new one is taken")
