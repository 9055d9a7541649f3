"""What the frames of a connection as a whole have said: settings, windows, compression tables, PING, GOAWAY, pushes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from puregrpc.trace.explaining import frames
from puregrpc.trace.explaining.frames import Head, Payload, error_name
from puregrpc.trace.explaining.header_block import HeaderTableTracer
from puregrpc.trace.explaining.stream import CallState
from puregrpc.trace.explaining.windows import FlowControl
from puregrpc.trace.recording import Direction
from puregrpc.trace.records import HeaderBlock, Message

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ConnectionState", "Told"]


@dataclass(slots=True)
class Told:
    """What is being found out about one frame."""

    events: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    block: HeaderBlock | None = None


class ConnectionState:
    """The connection, with its streams."""

    def __init__(self) -> None:
        self.tables = {direction: HeaderTableTracer() for direction in Direction}
        self.flow = FlowControl()
        self.calls: dict[int, CallState] = {}
        self._unrefused: list[CallState] = []
        """The calls that no GOAWAY has said are not served, the latest last."""
        self.from_start = True
        self.max_frame_size = dict.fromkeys(Direction, 1 << 14)
        self.highest = 0
        """The highest stream that the client has opened."""
        self._pings: dict[Direction, list[bytes]] = {direction: [] for direction in Direction}
        self._promised = 0
        self._last_streams: dict[Direction, int] = dict.fromkeys(Direction, frames.MAX_WINDOW)
        """What each side has said in GOAWAY; a stream number is 31 bits, as a window is."""
        self._takes_push = True

    def begun_before(self) -> None:
        """The recording began after the connection did."""
        self.from_start = False
        self.flow.unknown()
        for table in self.tables.values():
            table.lose()
        for direction in Direction:
            self.max_frame_size[direction] = (1 << 24) - 1

    def begin(self, call: CallState) -> CallState:
        """A call has begun."""
        self.calls[call.stream_id] = call
        self._unrefused.append(call)
        return call

    def is_idle(self, stream_id: int) -> bool:
        """Whether a stream is known never to have been opened (RFC 9113, section 5.1)."""
        highest = self.highest if stream_id % 2 else self._promised
        return self.from_start and stream_id not in self.calls and stream_id > highest

    def settings(self, direction: Direction, head: Head, payload: Payload, told: Told) -> None:
        """SETTINGS, or the acknowledgement of it."""
        if head.flags & frames.ACK:
            told.events.append(f"the settings of the {direction.receiver} are in force")
            if not self.flow.acknowledged(direction.other) and self.from_start:
                told.problems.append("an acknowledgement, but no SETTINGS is waiting for one")
            return
        self.apply_settings(direction, payload.settings, told)
        told.events.append(f"the {direction.value} says how it wants to be spoken to")

    def apply_settings(self, direction: Direction, settings: Iterable[tuple[int, int]], told: Told) -> None:
        """Take settings; they are to be acknowledged."""
        peer = direction.other
        self.flow.announced(direction)
        for identifier, value in settings:
            if identifier == frames.HEADER_TABLE_SIZE:
                table = self.tables[peer]
                table.allowed = value
            elif identifier == frames.ENABLE_PUSH and direction is Direction.SERVER:
                if value:
                    told.problems.append("PROTOCOL_ERROR: a server cannot be pushed to: its ENABLE_PUSH is 0")
            elif identifier == frames.ENABLE_PUSH:
                self._takes_push = bool(value)
            elif identifier == frames.MAX_FRAME_SIZE:
                self.max_frame_size[peer] = max(self.max_frame_size[peer], value)
            elif identifier == frames.INITIAL_WINDOW_SIZE and value <= frames.MAX_WINDOW:
                self.flow.initial_window(direction, value)

    def ping(self, direction: Direction, head: Head, payload: Payload, told: Told) -> None:
        """PING, or the answer to it."""
        data = payload.parts[-1].value.encode()
        if not head.flags & frames.ACK:
            self._pings[direction].append(data)
            told.events.append(f"asks the {direction.receiver} for an answer")
        elif data in self._pings[direction.other]:
            self._pings[direction.other].remove(data)
            told.events.append("answers the PING")
        elif self.from_start:
            told.problems.append("an answer with octets that no PING had")

    def go_away(self, direction: Direction, payload: Payload, told: Told) -> None:
        """GOAWAY."""
        name = error_name(payload.error_code)
        told.events.append(f"the {direction.value} takes no new calls ({name})")
        last, before = payload.last_stream_id, self._last_streams[direction]
        if last > before:
            told.problems.append(f"PROTOCOL_ERROR: streams up to {last}, where a GOAWAY before said up to {before}")
        self._last_streams[direction] = min(last, before)
        if direction is Direction.SERVER:
            unrefused, refused = self._unrefused, []
            while unrefused and unrefused[-1].stream_id > last:
                refused.append(unrefused.pop())
            for call in reversed(refused):
                if call.end is None:
                    told.events.append(f"stream {call.stream_id} was never begun: it is safe to try again elsewhere")

    def promise(self, direction: Direction, stream_id: int, told: Told) -> None:
        """A stream that a server reserves for a response that nobody asked for (RFC 9113, section 6.6)."""
        if direction is Direction.CLIENT:
            told.problems.append("PROTOCOL_ERROR: a client cannot push")
        elif not self._takes_push:
            told.problems.append("PROTOCOL_ERROR: the client has said with ENABLE_PUSH 0 that it takes no push")
        if not stream_id or stream_id % 2:
            told.problems.append(f"PROTOCOL_ERROR: a server's streams have even numbers, not {stream_id}")
        elif stream_id <= self._promised:
            told.problems.append(f"PROTOCOL_ERROR: stream {self._promised} was promised before; numbers only go up")
        else:
            self._promised = stream_id
