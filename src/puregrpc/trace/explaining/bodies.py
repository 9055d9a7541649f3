"""What the bodies of requests and responses hold: messages of gRPC, of its kin, or octets that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc.trace.explaining.connection_state import Told
from puregrpc.trace.explaining.expansion import Inflation
from puregrpc.trace.explaining.messages import OctetStore, read_message
from puregrpc.trace.explaining.octets import Octets
from puregrpc.trace.explaining.protocols import Protocol, status_of_connect, status_of_trailers
from puregrpc.trace.explaining.stream import CallState, MessageOctets, Side
from puregrpc.trace.recording import Direction
from puregrpc.trace.records import Message
from puregrpc.trace.text import printable
from puregrpc.wire.status import Status

if TYPE_CHECKING:
    from puregrpc.trace.explaining.methods import KnownMethods

__all__ = ["Bodies", "page"]


class Bodies:
    """Reads the content of DATA frames, by the protocol of their call."""

    def __init__(self, store: OctetStore, methods: KnownMethods, inflation: Inflation) -> None:
        self.count = 0
        """How many messages were read."""
        self._store = store
        self._methods = methods
        self._inflation = inflation

    def take(self, time: float, call: CallState, side: Side, content: Octets, told: Told, *, explained: bool) -> None:
        """The content of a DATA frame; not ``explained`` where its place in the messages is not known."""
        if side.protocol is Protocol.HTTP:
            side.message_octets += len(content)
            if len(content):
                whose = "request" if side.direction is Direction.CLIENT else "response"
                told.events.append(f"{len(content)} octets of the {whose}'s body")
        elif side.protocol is Protocol.GRPC_WEB_TEXT:
            self._text_data(time, call, side, content, told)
        elif explained and side.protocol is Protocol.CONNECT_UNARY:
            side.add_bare(content)
        elif explained:
            self._messages(time, call, side, side.add(content), told)
        elif len(content):
            told.events.append("octets of messages whose beginning is not in the recording")

    def _text_data(self, time: float, call: CallState, side: Side, content: Octets, told: Told) -> None:
        """gRPC-Web in base64: the messages are in what the characters stand for."""
        if side.desynchronised or len(content) > self._inflation.octets.left:
            return
        try:
            data = side.unwrap_base64(content.data)
        except ValueError:
            side.desynchronised = True
            told.problems.append("not base64, as the content-type says")
            return
        self._inflation.saw(len(content))
        self._inflation.octets.made += len(data)
        decoded = self._store.unpack(f"base64 of the {side.direction.value}", data)
        self._messages(time, call, side, side.add(decoded), told)

    def _messages(self, time: float, call: CallState, side: Side, found: list[MessageOctets], told: Told) -> None:
        for octets in found:
            message = self.message(call, side, octets)
            told.messages.append(message)
            if message.kind != "message" and message.data is not None:
                web = side.protocol.is_web
                status = status_of_trailers(message.data) if web else status_of_connect(message.data, is_error=False)
                self._set_status(time, call, status, told)

    def _set_status(self, time: float, call: CallState, status: Status | None, told: Told) -> None:
        if status is not None and call.status is None:
            call.status = status
            said = status.name + (f": {status.message}" if status.message else "")
            told.events.append(f"ends the call with {said}{call.deadline_note(time)}")
            call.finish(time, said)

    def end(self, time: float, call: CallState, side: Side, told: Told) -> None:
        """One side has ended the stream."""
        if side.protocol is Protocol.CONNECT_UNARY and (body := side.whole_body()):
            told.messages.append(self.message(call, side, body))
        elif left := side.leftover():
            told.messages.append(self.message(call, side, left, "the stream ends before the message does"))
        if side.direction is Direction.SERVER:
            self._end_response(time, call, side, told)
        if not side.ended and side.direction is Direction.CLIENT:
            told.events.append("the client has sent everything (half-close)")
        side.ended = True
        self._check_shape(call, side, told)

    def _end_response(self, time: float, call: CallState, side: Side, told: Told) -> None:
        """The response is over: what it came to, where that is not in gRPC's trailers."""
        if call.status is not None or call.outcome:
            return
        if side.protocol is Protocol.HTTP:
            call.finish(time, page(call, side))
        elif side.protocol is Protocol.CONNECT_UNARY:
            body = told.messages[-1].data if told.messages else None
            is_error = call.http_status != 200
            status = status_of_connect(body or b"", is_error=True) if is_error else Status(0)
            self._set_status(time, call, status, told)
            call.finish(time, f"HTTP {call.http_status}")
        elif side.protocol is not Protocol.GRPC:
            last = "trailers" if side.protocol.is_web else "message with the flag 2"
            told.problems.append(f"the response ends without its {last}: there is no status")
            call.finish(time, "ended without a status")

    def _check_shape(self, call: CallState, side: Side, told: Told) -> None:
        """A side that does not stream sends exactly one message (a server: unless the call fails)."""
        if call.method is None or side.desynchronised or not call.seen_from_start:
            return
        client = side.direction is Direction.CLIENT
        streams = call.method.is_client_stream if client else call.method.is_server_stream
        failed = not client and (call.status is None or call.status.code != 0)
        if not streams and side.messages != 1 and not failed:
            told.problems.append(f"{side.messages} messages, where {call.method.name} has exactly one")

    def message(self, call: CallState, side: Side, found: MessageOctets, cut: str = "") -> Message:
        """Read one message, whole or (``cut`` says why not) as far as it is there."""
        number = self.count
        self.count += 1
        registry = call.registry or self._methods.given
        message = read_message(self._store, registry, call, side, found, number, self._inflation, cut)
        if message.data is not None and side.direction is Direction.SERVER:
            self._methods.learn(call.path, message.data)
        return message


def page(call: CallState, side: Side) -> str:
    """What a response of plain HTTP is."""
    content_type = f", {printable(side.content_type, 60)}" if side.content_type else ""
    return f"HTTP {call.http_status or 'status unknown'}{content_type}"
