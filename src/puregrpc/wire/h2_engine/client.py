"""The client's end of an h2-based connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from hpack import HeaderTuple, NeverIndexedHeaderTuple

from puregrpc.errors import InvalidArgument, LocalProtocolError, RemoteProtocolError
from puregrpc.wire.call_state import REQUEST, RESPONSE, Half, Step
from puregrpc.wire.compression import coding_for, receiving_coding
from puregrpc.wire.connection import Call, ClientConnection, ConnectionConfig, Driver, Request
from puregrpc.wire.frames import ErrorCode
from puregrpc.wire.h2_engine.base import H2Connection
from puregrpc.wire.h2_engine.stream import Stream
from puregrpc.wire.headers import (
    BodyLength,
    foreign_failure,
    headers_too_large,
    parse_response,
    parse_trailers,
    request_fields,
    timeout_field,
)
from puregrpc.wire.limits import FOREIGN_BODY_SIZE, STREAMS_BEFORE_SETTINGS, TURN_CALLS
from puregrpc.wire.metadata import HeaderField, header_list_size
from puregrpc.wire.status import Status, StatusCode, http2_error_name, status_from_http2_error

__all__ = ["H2ClientConnection"]

LAST_STREAM_ID = 2**31 - 1


class H2ClientConnection(H2Connection[Call], ClientConnection):
    """The client's end."""

    __slots__ = (
        "_opening",
        "_queue",
        "_secrets",
    )

    def __init__(self, driver: Driver, config: ConnectionConfig) -> None:
        super().__init__(driver, config, client=True)
        self._secrets = {name.lower().encode() for name in config.secret_names}
        self._queue: deque[tuple[Stream[Call], list[HeaderTuple]]] = deque()
        """Calls that wait for a stream, with their header fields."""
        self._opening = False

    # -- opening and half-closing calls

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
        self.now = max(self.now, now)
        config = self._config
        fields = request_fields(
            request, scheme=config.scheme, user_agent=config.user_agent, accept_encodings=config.accept_encodings
        )
        coding = coding_for(request.encoding)
        stream = self._add(call, request.path, Half(REQUEST, "local"), Half(RESPONSE, "remote"))
        stream.coding = coding
        if request.max_receive_message_size is not None:
            stream.reader.max_size = request.max_receive_message_size
        stream.sending.step(Step.HEADERS)
        try:
            if message is not None:
                stream.sending.step(Step.MESSAGE)
                self._queue_message(stream, message)
        except (InvalidArgument, TypeError):
            self._forget(stream)
            raise
        most, size = self._http2.peer_max_header_list_size, header_list_size(fields)
        if most is not None and size > most:
            self._cut(stream)
            self._forget(stream)
            self._refuse_headers(call, size, most)
            return
        if end:
            self._message_was_last(stream)
        call.wire_deadline = deadline
        if deadline is not None:
            self._deadlines.add(stream.key, deadline)
        self._queue.append((stream, [_header_tuple(name, value, self._secrets) for name, value in fields]))
        self._open_queued()
        self._tell_output()

    def half_close(self, call: Call) -> None:
        stream: Stream[Call] | None = call.wire_state
        if stream is None or stream.sending.ended:
            return
        self._message_was_last(stream)
        self._turns.add(stream)
        self._tell_output()

    def _message_was_last(self, stream: Stream[Call]) -> None:
        stream.sending.step(Step.END)
        stream.end_queued = True

    def _peer_max_streams(self) -> int:
        most = super()._peer_max_streams()
        return most if self._settled else min(most, STREAMS_BEFORE_SETTINGS)

    def _open_queued(self) -> None:
        """Open the calls that wait, as far as the server allows."""
        if self._opening:
            return  # this is a callback of a call that could not be opened in the loop below
        self._opening = True
        most = self._peer_max_streams()
        while self._queue and len(self._streams) < most and not self._sent_away and not self._closed:
            stream, headers = self._queue.popleft()
            deadline = stream.call.wire_deadline
            if stream.key not in self._calls:
                continue
            if deadline is not None:
                if deadline <= self.now:
                    self._deadline_passed(stream)
                    continue
                headers.append(NeverIndexedHeaderTuple(*timeout_field(deadline - self.now)))
            self._open_stream(stream, headers)
        self._opening = False

    def _open_stream(self, stream: Stream[Call], headers: list[HeaderTuple]) -> None:
        stream.id = stream.call.wire_id = self._http2.next_stream_id()
        self._streams[stream.id] = stream
        only_headers = stream.end_queued and not stream.outbound
        self._http2.send_headers(stream.id, headers, end=only_headers)
        if only_headers:
            stream.wire_ended_locally = True
        elif stream.outbound:
            self._turns.add(stream)
        if stream.id >= LAST_STREAM_ID:
            for _ in self._end_unprocessed(LAST_STREAM_ID, "the stream ids are used up"):
                continue

    def _after_call(self) -> None:
        self._open_queued()
        if not self._calls and (self._going_away or self._sent_away):
            self._fail(self._farewell.before("all calls are over, and no new one may be opened"))

    # -- receiving

    def _headers_received(self, stream_id: int, fields: list[HeaderField], *, ended: bool) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        stream.wire_ended_remotely = ended
        try:
            most = self._config.max_header_list_size
            if header_list_size(fields) > most:
                self._fail_call(stream, headers_too_large("response", most))
            elif stream.failure is not None:
                self._fail_foreign(stream, stream.failure)
            elif ended:
                self._trailers_received(stream, fields)
            else:
                self._response_received(stream, fields)
        except RemoteProtocolError as error:
            self._stream_fault(stream, Status(StatusCode.INTERNAL, str(error)))

    def _response_received(self, stream: Stream[Call], fields: list[HeaderField]) -> None:
        head = parse_response(fields, self._known_fields)
        if head is None:
            stream.receiving.step(Step.INFORMATIONAL)
        elif head.failure is not None:
            stream.failure = head.failure
        else:
            stream.receiving.step(Step.HEADERS)
            stream.reader.coding = receiving_coding(head.encoding)
            if head.content_length is not None:
                stream.length = BodyLength(head.content_length)
            stream.call.on_headers(head.metadata)

    def _trailers_received(self, stream: Stream[Call], fields: list[HeaderField]) -> None:
        first = not stream.receiving.opened
        status, trailers = parse_trailers(fields, first=first, known=self._known_fields)
        if stream.length is not None:
            stream.length.ended()
        stream.receiving.step(Step.TRAILERS)
        if status.code == StatusCode.OK:
            try:
                stream.reader.finish()
            except RemoteProtocolError as error:
                status = Status(StatusCode.INTERNAL, str(error))
        # RFC 9113, section 8.1: the response is whole, the rest of the request is not wanted.
        self._reset_stream(stream, ErrorCode.NO_ERROR)
        self._end_call(stream, status, trailers)

    def _take_data(self, stream: Stream[Call], data: bytes) -> Iterator[None]:
        if stream.failure is None:
            yield from super()._take_data(stream, data)
            return
        stream.failure_text += data[:FOREIGN_BODY_SIZE]
        if stream.wire_ended_remotely or len(stream.failure_text) >= FOREIGN_BODY_SIZE:
            self._fail_foreign(stream, stream.failure)

    def _fail_foreign(self, stream: Stream[Call], failure: Status) -> None:
        self._fail_call(stream, foreign_failure(failure, bytes(stream.failure_text[:FOREIGN_BODY_SIZE])))

    def _half_closed(self, stream: Stream[Call]) -> None:
        self._fail_call(stream, Status(StatusCode.INTERNAL, "the server ended the stream without trailers"))

    def _fail_call(self, stream: Stream[Call], status: Status, error_code: int = ErrorCode.CANCEL) -> None:
        self._reset_stream(stream, error_code)
        self._end_call(stream, status)

    def _peer_reset(self, stream: Stream[Call], error_code: int) -> None:
        deadline = stream.call.wire_deadline
        if error_code == ErrorCode.CANCEL and deadline is not None and self.now >= deadline:
            # A server counts the deadline as well, and its RST_STREAM may be here before our own timer.
            status = Status(StatusCode.DEADLINE_EXCEEDED, "the deadline has passed")
        else:
            problem = f"the server reset the stream with {http2_error_name(error_code)}"
            status = Status(status_from_http2_error(error_code), problem)
        self._end_call(stream, status, unprocessed=error_code == ErrorCode.REFUSED_STREAM)

    def _settings_received(self) -> None:
        super()._settings_received()
        self._open_queued()

    # -- going away

    def _peer_goes_away(self, last_stream_id: int, reason: str) -> None:
        self._turn.begin()
        self._work(self._end_unprocessed(last_stream_id, reason))

    def _end_unprocessed(self, last_stream_id: int, reason: str) -> Iterator[None]:
        """The server takes no call beyond the last one: end those that there are, a step after every few of them."""
        self._sent_away = True
        self._last_processed = last_stream_id
        self.driver.on_going_away(reason)
        status = Status(StatusCode.UNAVAILABLE, f"the server is going away ({reason})")
        ended = 0
        for stream in list(self._calls.values()):
            if stream.key in self._calls and (not stream.id or stream.id > last_stream_id):
                self._reset_stream(stream, ErrorCode.CANCEL)
                self._end_call(stream, status, unprocessed=True)
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
            self._http2.go_away(0, error_code, debug_data)
        if immediately:
            self._fail("the connection was closed on this side")
        else:
            self._after_call()
        self._tell_output()


def _header_tuple(name: bytes, value: bytes, secrets: set[bytes]) -> HeaderTuple:
    return (NeverIndexedHeaderTuple if name in secrets else HeaderTuple)(name, value)
