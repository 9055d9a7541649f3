"""The server's end of an h2-based connection."""

from __future__ import annotations

from puregrpc.errors import LocalProtocolError, RemoteProtocolError
from puregrpc.wire.compression import CODINGS, coding_for
from puregrpc.wire.connection import Request, ServerCall, ServerConnection
from puregrpc.wire.frames import ErrorCode
from puregrpc.wire.h2_engine.base import H2Connection
from puregrpc.wire.h2_engine.stream import Stream
from puregrpc.wire.headers import Refusal, parse_request, response_fields, trailer_fields
from puregrpc.wire.metadata import HeaderField, Metadata, header_list_size
from puregrpc.wire.status import OK, Status, StatusCode, http2_error_name

__all__ = ["H2ServerConnection"]

LAST_STREAM_ID = 2**31 - 1
GOAWAY_PING = b"goaway!!"


class H2ServerConnection(H2Connection[ServerCall], ServerConnection):
    """The server's end."""

    _client = False

    def __init__(self, *arguments, **keywords) -> None:  # type: ignore[no-untyped-def]  # passed on as they are
        super().__init__(*arguments, **keywords)
        self._drained = False
        """The real last stream id has gone out: what comes above it is not taken."""

    # -- sending

    def send_headers(self, call: ServerCall, metadata: Metadata = (), *, encoding: str = "identity") -> None:
        stream: Stream[ServerCall] | None = call.wire_state
        if stream is None:
            return
        if stream.headers_sent:
            raise LocalProtocolError("the initial metadata has been sent already")
        coding = coding_for(encoding)
        fields = response_fields(
            metadata,
            encoding=encoding,
            content_subtype=call.request.content_subtype,
            accept_encodings=self._config.accept_encodings,
        )
        stream.coding = coding
        stream.headers_sent = True
        self._h2.send_headers(stream.id, fields)
        self._flush_h2()
        self._tell_output()

    def _check_may_send(self, stream: Stream[ServerCall]) -> None:
        if stream.detached:
            raise LocalProtocolError("the trailers have been sent: no message may follow them")
        if not stream.headers_sent:
            raise LocalProtocolError("send_headers comes before the first message")

    def send_trailers(self, call: ServerCall, status: Status, metadata: Metadata = ()) -> None:
        stream: Stream[ServerCall] | None = call.wire_state
        if stream is None or stream.detached:
            return
        fields = trailer_fields(
            status,
            metadata,
            headers_too=not stream.headers_sent,
            content_subtype=call.request.content_subtype,
        )
        stream.trailers = fields
        stream.headers_sent = True
        stream.detached = True
        self._take_turn(stream)
        self._tell_output()

    def send_response(
        self,
        call: ServerCall,
        message: bytes,
        metadata: Metadata = (),
        trailers: Metadata = (),
        status: Status | None = None,
    ) -> None:
        stream: Stream[ServerCall] | None = call.wire_state
        if stream is None:
            return
        if not stream.headers_sent:
            self.send_headers(call, metadata)
        self.send_message(call, message)
        self.send_trailers(call, OK if status is None else status, trailers)

    def _ended_locally(self, stream: Stream[ServerCall]) -> None:
        super()._ended_locally(stream)
        self._reset_stream(stream, ErrorCode.NO_ERROR)  # if the client has not half-closed: RFC 9113, section 8.1
        self._forget(stream)
        self._after_call()

    # -- receiving

    def _headers_received(self, stream_id: int, fields: list[HeaderField], *, ended: bool) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None:
            # RFC 9113, section 8.1: a request may have trailers. gRPC has no use for them.
            stream.ended_remotely = True
            if not stream.detached:
                try:
                    stream.reader.finish()
                    self._half_closed(stream)
                except RemoteProtocolError as error:
                    self._fail_call(stream, Status(StatusCode.INTERNAL, str(error)), ErrorCode.CANCEL)
            return
        if stream_id in self._h2.streams and (
            self._drained or len(self._streams) >= self._config.max_concurrent_streams
        ):
            self._refuse(stream_id, ErrorCode.REFUSED_STREAM)
            return
        try:
            if header_list_size(fields) > self._config.max_header_list_size:
                self._answer(stream_id, Refusal(431, "the request's headers are too large\n"), ended=ended)
                return
            request = parse_request(fields)
        except RemoteProtocolError:
            self._refuse(stream_id, ErrorCode.PROTOCOL_ERROR)
            return
        if isinstance(request, Refusal):
            self._answer(stream_id, request, ended=ended)
        else:
            self._request_received(stream_id, request, ended=ended)

    def _refuse(self, stream_id: int, error_code: int) -> None:
        self._h2.reset_stream(stream_id, error_code)
        self._flush_h2()

    def _answer(self, stream_id: int, refusal: Refusal, *, ended: bool) -> None:
        """Answer a request that is not gRPC's, or not one that can be served."""
        only_headers = refusal.status is not None
        self._h2.send_headers(stream_id, refusal.header_fields(), end_stream=only_headers)
        if not only_headers:
            text = refusal.text.encode()
            room = self._h2.local_flow_control_window(stream_id)
            if room >= len(text):
                self._h2.send_data(stream_id, text, end_stream=True)
            else:
                ended = False
        if not ended:
            self._h2.reset_stream(stream_id, ErrorCode.NO_ERROR)
        self._flush_h2()

    def _request_received(self, stream_id: int, request: Request, *, ended: bool) -> None:
        call = self._driver.on_call(request)
        if call is None:
            self._refuse(stream_id, ErrorCode.REFUSED_STREAM)
            return
        call.request = request
        stream = self._add(call, request.path)
        stream.id = call.wire_id = stream_id
        stream.headers_received = True
        stream.reader.coding = CODINGS[request.encoding]
        self._streams[stream_id] = stream
        if request.timeout is not None:
            call.wire_deadline = self._now + request.timeout
            self._deadlines.add(stream.key, call.wire_deadline)
        if ended:
            stream.ended_remotely = True
            self._half_closed(stream)

    def _half_closed(self, stream: Stream[ServerCall]) -> None:
        stream.call.on_half_close()

    def _fail_call(self, stream: Stream[ServerCall], status: Status, error_code: int) -> None:
        """End the call with trailers, if they can go out at once, so that the client learns why; else with a reset."""
        if stream.outbound or stream.ended_locally:
            self._reset_stream(stream, error_code)
        else:
            fields = trailer_fields(status, (), headers_too=not stream.headers_sent)
            self._h2.send_headers(stream.id, fields, end_stream=True)
            stream.ended_locally = True
            self._reset_stream(stream, ErrorCode.NO_ERROR)
            self._flush_h2()
        self._end_call(stream, status)

    def _deadline_passed(self, stream: Stream[ServerCall]) -> None:
        self._fail_call(stream, Status(StatusCode.DEADLINE_EXCEEDED, "the deadline has passed"), ErrorCode.CANCEL)

    def _peer_reset(self, stream: Stream[ServerCall], error_code: int) -> None:
        problem = f"the client reset the stream with {http2_error_name(error_code)}"
        self._end_call(stream, Status(StatusCode.CANCELLED, problem))

    # -- going away

    def _sent_goaway(self, last_stream_id: int, reason: str) -> None:  # noqa: ARG002 - servers open no streams
        self._sent_away = True
        self._driver.on_going_away(reason)

    def go_away(self, *, error_code: int = 0, debug_data: bytes = b"", immediately: bool = False) -> None:
        if self._closed:
            return
        if immediately:
            self._send_goaway(self._h2.highest_inbound_stream_id, error_code, debug_data)
            self._fail("the connection was closed on this side")
        elif not self._going_away:
            self._going_away = True
            self._send_goaway(LAST_STREAM_ID, error_code, debug_data)
            self._h2.ping(GOAWAY_PING)
            self._flush_h2()
        self._tell_output()

    def _ping_answered(self, opaque: bytes | None) -> None:
        super()._ping_answered(opaque)
        if opaque == GOAWAY_PING and self._going_away and not self._drained:
            self._drained = True
            self._send_goaway(self._h2.highest_inbound_stream_id, ErrorCode.NO_ERROR, b"")
            self._after_call()

    def _after_call(self) -> None:
        if self._drained and not self._calls:
            self._fail("all calls are over, and no new one is taken")
