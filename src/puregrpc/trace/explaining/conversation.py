"""The conversation that the frames of a connection make up: settings, header blocks, windows, calls and messages."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from typing import Protocol as Interface

from puregrpc.errors import SchemaError
from puregrpc.schema import Registry
from puregrpc.trace.explaining import frames, rules
from puregrpc.trace.explaining.bodies import Bodies, page
from puregrpc.trace.explaining.connection_state import ConnectionState, Told
from puregrpc.trace.explaining.expansion import Inflation
from puregrpc.trace.explaining.frames import Head, Payload, error_name, flag_names, read_frame, type_name
from puregrpc.trace.explaining.headers import binary_value, check_block, explain_field, parse_timeout, with_meaning
from puregrpc.trace.explaining.messages import OctetStore, looks_like_whole_messages
from puregrpc.trace.explaining.methods import KnownMethods
from puregrpc.trace.explaining.octets import Octets
from puregrpc.trace.explaining.protobuf import explain_message
from puregrpc.trace.explaining.protocols import (
    Protocol,
    request_protocol,
    response_protocol,
)
from puregrpc.trace.explaining.stream import CallState, Side
from puregrpc.trace.recording import Direction
from puregrpc.trace.records import Field, Frame, HeaderBlock, HeaderField, Part, Representation, Span
from puregrpc.wire.status import Status

if TYPE_CHECKING:
    from puregrpc.trace.http1 import Head as RequestHead

__all__ = ["Conversation"]

STATUS_OF_RESET = {
    "REFUSED_STREAM": "UNAVAILABLE",
    "CANCEL": "CANCELLED",
    "ENHANCE_YOUR_CALM": "RESOURCE_EXHAUSTED",
    "INADEQUATE_SECURITY": "PERMISSION_DENIED",
}
"""What a client makes of RST_STREAM without a status (PROTOCOL-HTTP2, "Errors"); INTERNAL for all other codes."""


class _Host(OctetStore, Interface):
    """The explainer: where octets are kept and entries without a frame go."""

    def stretch(self, direction: Direction, time: float, part: Part, **kept: object) -> None: ...


@dataclass(slots=True)
class _OpenBlock:
    """A header block whose END_HEADERS has not come."""

    stream_id: int
    number: int
    end_stream: bool
    promised: bool
    pieces: list[Span] = field(default_factory=list)


class Conversation:
    """Everything that one frame means because of the frames before it."""

    def __init__(self, host: _Host, methods: KnownMethods) -> None:
        self.host = host
        self.methods = methods
        self.connection = ConnectionState()
        self.tables, self.calls, self.flow = self.connection.tables, self.connection.calls, self.connection.flow
        self._blocks: dict[Direction, _OpenBlock | None] = dict.fromkeys(Direction)
        self._frames_seen = dict.fromkeys(Direction, 0)
        self._inflation = Inflation()
        self._block_count = 0
        self.bodies = Bodies(host, methods, self._inflation)

    # -- what is not in the recording

    def begun_before(self) -> None:
        """The recording began after the connection did."""
        if self.connection.from_start:
            self.connection.begun_before()

    def lost(self, direction: Direction, time: float) -> None:
        """An unknown number of frames of one direction is missing."""
        self._abandon_block(direction, time, "octets of it are missing")
        self.tables[direction].lose()
        self.flow.unknown()
        for call in self.calls.values():
            self._lose_messages(call, call.side(direction), time)

    def max_frame_size(self, direction: Direction) -> int:
        """How long a frame may be that is sent in that direction."""
        return self.connection.max_frame_size[direction]

    def _lose_messages(self, call: CallState, side: Side, time: float) -> None:
        side.desynchronised = True
        if left := side.leftover():
            message = self.bodies.message(call, side, left, "octets of it are missing")
            self.host.stretch(side.direction, time, Part("Message that was cut", "", ()), messages=(message,))

    def _abandon_block(self, direction: Direction, time: float, why: str) -> None:
        block = self._blocks[direction]
        self._blocks[direction] = None
        if block is not None:
            told = Told()
            self._end_block(direction, block, time, told, problem=why)
            part = Part("Header block that was cut", "", (), problem=why)
            self.host.stretch(direction, time, part, header_block=told.block, messages=tuple(told.messages))

    def finish(self, time: float) -> None:
        """The recording is over: tell what has begun and not ended."""
        for direction in Direction:
            self._abandon_block(direction, time, "the recording ends before END_HEADERS")
        for call in self.calls.values():
            for side in (call.client, call.server):
                if left := side.leftover():
                    message = self.bodies.message(call, side, left, "the recording ends inside it")
                    part = Part("Message that was cut", "", (), note="the recording ends inside it")
                    self.host.stretch(side.direction, time, part, messages=(message,))

    # -- one frame

    def frame(self, number: int, time: float, direction: Direction, head: Head, octets: Octets, missing: int) -> Frame:
        """Explain a frame; ``missing`` octets of its payload are not in ``octets``."""
        told = Told()
        if head.length > self.connection.max_frame_size[direction]:
            told.problems.append(
                f"FRAME_SIZE_ERROR: {head.length} octets, where {direction.receiver} takes "
                f"{self.connection.max_frame_size[direction]} at most"
            )
        self._check_order(direction, head, told)
        carried_by = self._carried_by(time, direction, head, octets, missing)
        payload = read_frame(head, octets, carried_by)
        told.problems += payload.problems
        self._frames_seen[direction] += 1
        if missing:
            told.problems.append(f"{missing} octets of its payload are not in the recording")
            self._cut_frame(time, direction, head)
        elif not payload.problems or head.type not in frames.FIXED_LENGTHS:
            self._act(time, direction, head, payload, told, explained=bool(carried_by))
        label = f"{type_name(head.type)}"
        part = octets.part(
            label,
            0,
            len(octets),
            f"stream {head.stream_id}, {head.length} octets",
            rules.h2(frames.TYPE_SECTIONS.get(head.type, "5.5")),
            parts=payload.parts,
        )
        call = self.calls.get(head.stream_id)
        return Frame(
            number,
            time,
            direction,
            head.type,
            type_name(head.type),
            head.flags,
            flag_names(head.type, head.flags),
            head.stream_id,
            head.length,
            missing,
            part,
            self.flow.windows(call),
            told.block,
            tuple(told.messages),
            tuple(told.events),
            tuple(told.problems),
        )

    def _check_order(self, direction: Direction, head: Head, told: Told) -> None:
        first = self._frames_seen[direction] == 0 and self.connection.from_start
        if first and (head.type != frames.SETTINGS or head.flags & frames.ACK):
            told.problems.append(f"PROTOCOL_ERROR: the first frame of the {direction.value} must be SETTINGS")
        block = self._blocks[direction]
        if block is not None and (head.type != frames.CONTINUATION or head.stream_id != block.stream_id):
            told.problems.append(
                f"PROTOCOL_ERROR: only CONTINUATION of stream {block.stream_id} may come before END_HEADERS"
            )
        if (
            block is None
            and head.type == frames.CONTINUATION
            and (self.connection.from_start or not self.tables[direction].lost)
        ):
            told.problems.append("PROTOCOL_ERROR: CONTINUATION without a header block to go on with")

    def _carried_by(self, time: float, direction: Direction, head: Head, octets: Octets, missing: int) -> str:
        """What explains the content of the frame; nothing if its octets can only be counted."""
        if missing or not head.stream_id:
            return ""
        block = self._blocks[direction]
        if head.type == frames.CONTINUATION:
            return f"header block {block.number}" if block is not None and block.stream_id == head.stream_id else ""
        if head.type in (frames.HEADERS, frames.PUSH_PROMISE):
            if block is not None:
                self._abandon_block(direction, time, "another header block begins before END_HEADERS")
            return f"header block {self._block_count}"
        if head.type != frames.DATA:
            return ""
        call = self._call(head.stream_id, time)
        side = call.side(direction)
        if side.protocol in (Protocol.HTTP, Protocol.GRPC_WEB_TEXT):
            return ""
        if side.desynchronised or (side.blocks == 0 and not call.seen_from_start and not side.messages):
            side.desynchronised = not looks_like_whole_messages(_content(head, octets))
        return "" if side.desynchronised else f"message {side.messages} of the {direction.value}"

    def _cut_frame(self, time: float, direction: Direction, head: Head) -> None:
        if head.type in (frames.HEADERS, frames.PUSH_PROMISE, frames.CONTINUATION):
            self._abandon_block(direction, time, "octets of it are missing")
            self.tables[direction].lose()
            self._call(head.stream_id, time)
        elif head.type == frames.DATA and head.stream_id:
            call = self._call(head.stream_id, time)
            self._lose_messages(call, call.side(direction), time)
            self.flow.unknown()

    def _call(self, stream_id: int, time: float) -> CallState:
        call = self.calls.get(stream_id)
        if call is None:
            call = self.connection.begin(CallState(stream_id, time, seen_from_start=False))
            self.flow.open(call)
        return call

    def _act(
        self, time: float, direction: Direction, head: Head, payload: Payload, told: Told, *, explained: bool
    ) -> None:
        if head.type == frames.DATA:
            if payload.content is not None and head.stream_id:
                self._data(time, direction, head, payload.content, told, explained=explained)
        elif head.type in (frames.HEADERS, frames.PUSH_PROMISE, frames.CONTINUATION):
            if payload.content is not None and head.stream_id and explained:
                self._header_fragment(time, direction, head, payload, told)
            else:
                self.tables[direction].lose()
        elif head.type == frames.SETTINGS:
            self.connection.settings(direction, head, payload, told)
        elif head.type == frames.WINDOW_UPDATE:
            call = self.calls.get(head.stream_id)
            if head.stream_id and call is None and self.connection.is_idle(head.stream_id):
                told.problems.append(f"PROTOCOL_ERROR: stream {head.stream_id} was never opened")
            told.problems += self.flow.update(direction, head.stream_id, call, payload.increment)
            whom = f"on stream {head.stream_id}" if head.stream_id else "on the connection"
            told.events.append(f"the {direction.receiver} may send {payload.increment} more octets {whom}")
        elif head.type == frames.RST_STREAM:
            self._reset(time, direction, head, payload, told)
        elif head.type == frames.GOAWAY:
            self.connection.go_away(direction, payload, told)
        elif head.type == frames.PING:
            self.connection.ping(direction, head, payload, told)

    # -- streams

    def upgraded(self, time: float, request: RequestHead, settings: bytes) -> None:
        """A request of HTTP/1.1 went over into HTTP/2: it is stream 1, and the client has ended it (RFC 7540, 3.2)."""
        if len(settings) % 6 == 0:
            self.connection.apply_settings(Direction.CLIENT, struct.iter_unpack("!HI", settings), Told())
            self.connection.flow.acknowledged(Direction.CLIENT)  # the answer 101 is that, too
        call = self.connection.begin(CallState(1, time, path=request.target))
        fields = {name.encode("latin-1"): value.encode("latin-1") for name, value in request.fields}
        call.client.protocol = call.server.protocol = request_protocol(fields, whole=True)
        call.client.ended = call.client.has_initial_headers = True
        self.connection.highest = 1
        self.connection.flow.open(call)

    def _reset(self, time: float, direction: Direction, head: Head, payload: Payload, told: Told) -> None:
        if not head.stream_id:
            return
        if self.connection.is_idle(head.stream_id):
            told.problems.append(f"PROTOCOL_ERROR: stream {head.stream_id} was never opened")
        call = self._call(head.stream_id, time)
        name = error_name(payload.error_code)
        for side in (call.client, call.server):
            if left := side.leftover():
                told.messages.append(self.bodies.message(call, side, left, "the stream was reset before its end"))
        if call.status is not None:
            told.events.append(f"the {direction.value} is done with the stream ({name})")
        else:
            what = STATUS_OF_RESET.get(name, "INTERNAL")
            told.events.append(f"the {direction.value} ends the call at once{call.deadline_note(time)}")
            call.finish(time, f"reset by the {direction.value}: {name}, which is {what} to the client")
        # Only the side that sent it may send nothing more: the peer's frames may be on their way.
        call.side(direction).ended = True

    # -- header blocks

    def _header_fragment(self, time: float, direction: Direction, head: Head, payload: Payload, told: Told) -> None:
        block = self._blocks[direction]
        if block is None:
            end_stream = head.type == frames.HEADERS and bool(head.flags & frames.END_STREAM)
            stream_id = head.stream_id
            promised = head.type == frames.PUSH_PROMISE
            block = _OpenBlock(stream_id, self._block_count, end_stream, promised)
            self._block_count += 1
            self._blocks[direction] = block
            if promised:
                self.connection.promise(direction, payload.promised_stream_id, told)
            else:
                self._open_stream(time, direction, head, told)
        if payload.content is not None:
            block.pieces.extend(payload.content.pieces)
        if head.flags & frames.END_HEADERS:
            self._blocks[direction] = None
            self._end_block(direction, block, time, told)

    def _open_stream(self, time: float, direction: Direction, head: Head, told: Told) -> None:
        stream_id = head.stream_id
        if stream_id in self.calls:
            if self.calls[stream_id].side(direction).ended:
                told.problems.append("STREAM_CLOSED: HEADERS after this side has ended the stream")
            return
        if direction is Direction.CLIENT:
            if stream_id % 2 == 0:
                told.problems.append("PROTOCOL_ERROR: a client opens streams with odd numbers")
            if stream_id <= self.connection.highest:
                told.problems.append(
                    f"PROTOCOL_ERROR: stream {self.connection.highest} was opened before; numbers only go up"
                )
            self.connection.highest = max(self.connection.highest, stream_id)
            call = CallState(stream_id, time)
            self.connection.begin(call)
            self.flow.open(call)
            return
        if self.connection.from_start:
            told.problems.append("PROTOCOL_ERROR: a server cannot open a stream with HEADERS")
        self._call(stream_id, time)

    def _role(self, call: CallState, side: Side, fields: tuple[HeaderField, ...], *, end_stream: bool) -> str:
        names = {header.name for header in fields}
        if b":method" in names or b":path" in names:
            return "request"
        if side.direction is Direction.CLIENT:
            return "trailers" if side.has_initial_headers or not call.seen_from_start else "request"
        if b":status" in names:
            return "trailers-only" if end_stream else "response"
        if not side.has_initial_headers and call.seen_from_start:
            return "trailers-only" if end_stream else "response"
        return "trailers"

    def _end_block(
        self, direction: Direction, block: _OpenBlock, time: float, told: Told, *, problem: str = ""
    ) -> None:
        octets = self.host.join(tuple(block.pieces))
        self._inflation.saw(len(octets))
        read, part = self.tables[direction].read(octets)
        call = self._call(block.stream_id, time)
        side = call.side(direction)
        role = "push promise" if block.promised else self._role(call, side, read, end_stream=block.end_stream)
        if role != "push promise":
            self._set_protocol(call, side, role, read)
        is_grpc = call.client.protocol is Protocol.GRPC
        if role == "trailers-only" and not is_grpc and b"grpc-status" not in {header.name for header in read}:
            role = "response"
        fields = tuple(self._with_meaning(header, role, is_grpc=is_grpc) for header in read)
        problems = [problem] if problem else check_block(fields, role, is_grpc=is_grpc)
        if block.promised:
            problems.append("gRPC does not use server push")
        part = replace(part, value=f"{role}, {len(fields)} fields", parts=tuple(header.part for header in fields))
        told.block = HeaderBlock(block.number, direction, block.stream_id, role, fields, part, tuple(problems))
        side.blocks += 1
        if role == "request":
            self._request(call, told.block, told)
        elif role in ("response", "trailers-only", "trailers"):
            self._response(time, call, side, told.block, told, end_stream=block.end_stream)
        if role != "push promise":
            side.has_initial_headers = True
        if block.end_stream:
            self.bodies.end(time, call, side, told)

    @staticmethod
    def _set_protocol(call: CallState, side: Side, role: str, read: tuple[HeaderField, ...]) -> None:
        """What the side will send, as its headers say."""
        if role == "trailers":
            return
        fields = {header.name: header.value or b"" for header in reversed(read) if header.name is not None}
        content_type = fields.get(b"content-type")
        side.content_type = content_type or b""
        if role == "request":
            whole = all(h.name is not None or h.representation is Representation.SIZE_UPDATE for h in read)
            call.client.protocol = call.server.protocol = request_protocol(fields, whole=whole)
        else:
            side.protocol = response_protocol(call.client.protocol, content_type)
        name = {Protocol.CONNECT_STREAM: b"connect-content-encoding", Protocol.CONNECT_UNARY: b"content-encoding"}
        encoding = fields.get(name.get(side.protocol, b"grpc-encoding"))
        if encoding or role == "request":
            side.encoding = encoding.decode("latin-1") if encoding else "identity"

    def _with_meaning(self, header: HeaderField, role: str, *, is_grpc: bool) -> HeaderField:
        if header.name is None or header.value is None:
            return header
        header = with_meaning(header, explain_field(header.name, header.value, role, is_grpc=is_grpc))
        if header.name != b"grpc-status-details-bin":
            return header
        raw = binary_value(header.value or b"")
        if raw is None or len(raw) > self._inflation.octets.left:
            return header
        return replace(header, details=self._details(raw))

    def _details(self, raw: bytes) -> tuple[Field, ...]:
        self._inflation.octets.made += len(raw)
        octets = self.host.unpack("grpc-status-details-bin", raw)
        registry = self.methods.given or Registry()
        descriptor = registry.type_in_any("google.rpc.Status")
        fields, parts = explain_message(octets, descriptor, registry, self._inflation.fields)
        if len(parts) == len(fields):
            return fields
        return (*fields, *(Field(0, 0, "", "", None, part) for part in parts[len(fields) :]))

    def _request(self, call: CallState, block: HeaderBlock, told: Told) -> None:
        path = block.value(b":path")
        call.path = (path or b"").decode("latin-1") or call.path
        call.authority = (block.value(b":authority") or b"").decode("latin-1")
        call.timeout = parse_timeout(block.value(b"grpc-timeout") or b"")
        protocol = call.client.protocol
        if protocol is Protocol.HTTP:
            method = (block.value(b":method") or b"").decode("latin-1")
            told.events.append(f"asks for {call.path} with {method}: {protocol.value}, not gRPC")
            return
        if protocol.is_connect:
            timeout = block.value(b"connect-timeout-ms") or b""
            call.timeout = int(timeout) / 1000 if timeout.isdigit() and len(timeout) <= 10 else None
        if call.path:
            try:
                call.method, call.registry = self.methods.method(call.path.partition("?")[0])
            except SchemaError as error:
                if self.methods.is_schema_given:
                    told.events.append(f"not in the schema: {error}")
        deadline = f", to be over within {call.timeout * 1000:g} ms" if call.timeout is not None else ""
        by = "" if protocol is Protocol.GRPC else f" by {protocol.value}"
        told.events.append(f"calls {call.path or 'a method whose name is lost'}{by}{deadline}")

    def _response(
        self, time: float, call: CallState, side: Side, block: HeaderBlock, told: Told, *, end_stream: bool
    ) -> None:
        http_status = block.value(b":status") or b""
        if http_status.isdigit() and len(http_status) == 3:
            call.http_status = int(http_status)
        status = block.value(b"grpc-status")
        if status is not None and status.isdigit() and len(status) <= 10:
            message = next((h.meaning for h in block.fields if h.name == b"grpc-message" and h.meaning), "")
            text = message or (block.value(b"grpc-message") or b"").decode("latin-1")
            call.status = Status(int(status), text)
            said = call.status.name + (f": {text}" if text else "")
            told.events.append(f"ends the call with {said}{call.deadline_note(time)}")
            call.finish(time, said)
        elif block.role == "response":
            what = f": {page(call, side)}" if side.protocol is Protocol.HTTP else ""
            told.events.append(f"begins the response{what}")
        if block.role == "trailers" and not end_stream:
            told.problems.append("PROTOCOL_ERROR: trailers must have END_STREAM")

    # -- messages

    def _data(
        self, time: float, direction: Direction, head: Head, content: Octets, told: Told, *, explained: bool
    ) -> None:
        call = self._call(head.stream_id, time)
        side = call.side(direction)
        if self.connection.from_start and not call.seen_from_start and side.blocks == 0:
            told.problems.append(f"PROTOCOL_ERROR: DATA on stream {head.stream_id}, which is not open")
        if side.ended:
            told.problems.append("STREAM_CLOSED: DATA after this side has ended the stream")
        told.problems += self.flow.data(direction, side, head.length)
        self.bodies.take(time, call, side, content, told, explained=explained)
        if head.flags & frames.END_STREAM:
            self.bodies.end(time, call, side, told)
            if direction is Direction.SERVER and call.status is None and call.outcome == "":
                told.problems.append("the response ends without trailers: there is no grpc-status")
                call.finish(time, "ended without a status")


def _content(head: Head, octets: Octets) -> bytes:
    """The content of a whole DATA frame."""
    data = octets.data[frames.HEADER_SIZE :]
    if head.flags & frames.PADDED and data:
        return data[1 : len(data) - data[0]]
    return data
