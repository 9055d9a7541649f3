"""The client's end of an h2-based connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from hpack import HeaderTuple, NeverIndexedHeaderTuple

from puregrpc.errors import InvalidArgument, LocalProtocolError, RemoteProtocolError
from puregrpc.wire.compression import CODINGS, coding_for
from puregrpc.wire.connection import Call, ClientConnection, Request
from puregrpc.wire.frames import ErrorCode
from puregrpc.wire.h2_engine.base import H2Connection
from puregrpc.wire.h2_engine.stream import Stream
from puregrpc.wire.headers import parse_response, parse_trailers, request_fields, timeout_field
from puregrpc.wire.limits import STREAMS_BEFORE_SETTINGS
from puregrpc.wire.metadata import HeaderField, header_list_size
from puregrpc.wire.status import Status, StatusCode, http2_error_name, status_from_http2_error

__all__ = ["H2ClientConnection"]

LAST_STREAM_ID = 2**31 - 1


class H2ClientConnection(H2Connection[Call], ClientConnection):
    """The client's end."""

    _client = True

    def __init__(self, *arguments, **keywords) -> None:  # type: ignore[no-untyped-def]  # passed on as they are
        super().__init__(*arguments, **keywords)
        self._queue: deque[Stream[Call]] = deque()
        self._requests: dict[int, list[HeaderTuple]] = {}

    def open_call(
        self,
        call: Call,
        request: Request,
        *,
        deadline: float | None = None,
        message: bytes | None = None,
        end: bool = False,
        now: float = 0.0,
        secret_names: Sequence[str] = ("authorization", "cookie"),
    ) -> None:
        if self._closed or self._going_away or self._sent_away:
            raise LocalProtocolError("no new call can be opened: the connection is closed or going away")
        self._now = max(self._now, now)
        config = self._config
        fields = request_fields(
            request, scheme=config.scheme, user_agent=config.user_agent, accept_encodings=config.accept_encodings
        )
        limit = self._h2.remote_settings.max_header_list_size
        if limit is not None and header_list_size(fields) > limit:
            raise InvalidArgument(
                f"the request's headers have {header_list_size(fields)} octets, the server takes {limit}"
            )
        coding = coding_for(request.encoding)
        secrets = {name.lower().encode() for name in secret_names}
        stream = self._add(call, request.path)
        stream.coding = coding
        try:
            if message is not None:
                self._queue_message(stream, message)
        except InvalidArgument:
            self._forget(stream)
            raise
        stream.end_queued = end
        self._requests[stream.key] = [
            (NeverIndexedHeaderTuple if name in secrets else HeaderTuple)(name, value) for name, value in fields
        ]
        call.wire_deadline = deadline
        if deadline is not None:
            self._deadlines.add(stream.key, deadline)
        self._queue.append(stream)
        self._open_queued()
        self._tell_output()

    def half_close(self, call: Call) -> None:
        stream: Stream[Call] | None = call.wire_state
        if stream is None or stream.end_queued:
            return
        stream.end_queued = True
        self._take_turn(stream)
        self._tell_output()

    def _peer_max_streams(self) -> int:
        return super()._peer_max_streams() if self._settled else STREAMS_BEFORE_SETTINGS

    def _open_queued(self) -> None:
        most = self._peer_max_streams()
        while self._queue and len(self._streams) < most and not self._sent_away and not self._closed:
            stream = self._queue.popleft()
            headers = self._requests.pop(stream.key)
            deadline = stream.call.wire_deadline
            if deadline is not None:
                if deadline <= self._now:
                    self._deadline_passed(stream)
                    continue
                headers.append(NeverIndexedHeaderTuple(*timeout_field(deadline - self._now)))
            stream.id = self._h2.get_next_available_stream_id()
            stream.call.wire_id = stream.id
            self._streams[stream.id] = stream
            only_headers = stream.end_queued and not stream.outbound
            self._h2.send_headers(stream.id, headers, end_stream=only_headers)
            self._flush_h2()
            stream.headers_sent = True
            if only_headers:
                stream.ended_locally = True
            elif stream.outbound:
                self._take_turn(stream)
            if stream.id >= LAST_STREAM_ID - 1:
                self._sent_goaway(LAST_STREAM_ID, "the stream ids are used up")

    def _forget(self, stream: Stream[Call]) -> None:
        super()._forget(stream)
        if self._requests.pop(stream.key, None) is not None and stream in self._queue:
            self._queue.remove(stream)

    def _after_call(self) -> None:
        self._open_queued()
        if not self._calls and (self._going_away or self._sent_away):
            self._fail("all calls are over, and no new one may be opened")

    # -- receiving

    def _headers_received(self, stream_id: int, fields: list[HeaderField], *, ended: bool) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        if ended:
            stream.ended_remotely = True
        try:
            if header_list_size(fields) > self._config.max_header_list_size:
                problem = f"the response's headers are larger than {self._config.max_header_list_size} octets"
                self._fail_call(stream, Status(StatusCode.RESOURCE_EXHAUSTED, problem), ErrorCode.CANCEL)
            elif ended:
                self._trailers_received(stream, fields)
            else:
                self._response_received(stream, fields)
        except RemoteProtocolError as error:
            self._fail_call(stream, Status(StatusCode.INTERNAL, str(error)), ErrorCode.PROTOCOL_ERROR)

    def _response_received(self, stream: Stream[Call], fields: list[HeaderField]) -> None:
        head = parse_response(fields)
        if head is None:
            return
        if head.failure is not None:
            self._fail_call(stream, head.failure, ErrorCode.CANCEL)
            return
        stream.headers_received = True
        stream.reader.coding = CODINGS[head.encoding]
        stream.call.on_headers(head.metadata)

    def _trailers_received(self, stream: Stream[Call], fields: list[HeaderField]) -> None:
        status, trailers = parse_trailers(fields, first=not stream.headers_received)
        if status.code == 0:
            try:
                stream.reader.finish()
            except RemoteProtocolError as error:
                status = Status(StatusCode.INTERNAL, str(error))
        # RFC 9113, section 8.1: the response is whole, the rest of the request is not wanted.
        self._reset_stream(stream, ErrorCode.NO_ERROR)
        self._end_call(stream, status, trailers)

    def _half_closed(self, stream: Stream[Call]) -> None:
        problem = "the server ended the stream without trailers"
        self._fail_call(stream, Status(StatusCode.INTERNAL, problem), ErrorCode.CANCEL)

    def _fail_call(self, stream: Stream[Call], status: Status, error_code: int) -> None:
        self._reset_stream(stream, error_code)
        self._end_call(stream, status)

    def _deadline_passed(self, stream: Stream[Call]) -> None:
        self._fail_call(stream, Status(StatusCode.DEADLINE_EXCEEDED, "the deadline has passed"), ErrorCode.CANCEL)

    def _peer_reset(self, stream: Stream[Call], error_code: int) -> None:
        deadline = stream.call.wire_deadline
        if error_code == ErrorCode.CANCEL and deadline is not None and self._now >= deadline:
            # A server counts the deadline as well, and its RST_STREAM may be here before our own timer.
            status = Status(StatusCode.DEADLINE_EXCEEDED, "the deadline has passed")
        else:
            problem = f"the server reset the stream with {http2_error_name(error_code)}"
            status = Status(status_from_http2_error(error_code), problem)
        self._end_call(stream, status, unprocessed=error_code == ErrorCode.REFUSED_STREAM)

    # -- going away

    def _sent_goaway(self, last_stream_id: int, reason: str) -> None:
        self._sent_away = True
        self._driver.on_going_away(reason)
        for stream in list(self._calls.values()):
            if stream.key in self._calls and (not stream.id or stream.id > last_stream_id):
                self._reset_stream(stream, ErrorCode.CANCEL)
                status = Status(StatusCode.UNAVAILABLE, f"the server is going away ({reason})")
                self._end_call(stream, status, unprocessed=True)
        self._after_call()

    def go_away(self, *, error_code: int = 0, debug_data: bytes = b"", immediately: bool = False) -> None:
        if self._closed:
            return
        if not self._going_away:
            self._going_away = True
            self._send_goaway(0, error_code, debug_data)
        if immediately:
            self._fail("the connection was closed on this side")
        else:
            self._after_call()
        self._tell_output()

    def _settings_received(self) -> None:
        super()._settings_received()
        self._open_queued()
