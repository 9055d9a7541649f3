"""Flow-control windows as the frames of a recording change them (RFC 9113, sections 5.2 and 6.9)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from puregrpc.trace.explaining.frames import MAX_WINDOW
from puregrpc.trace.recording import Direction
from puregrpc.trace.records import Windows

if TYPE_CHECKING:
    from puregrpc.trace.explaining.stream import CallState, Side

__all__ = ["FlowControl"]

FIRST_WINDOW = 65_535


class FlowControl:
    """What each side may still send, on the connection and on every stream.

    A sender learns of a smaller window only when SETTINGS reaches it, so until the acknowledgement is seen the
    difference counts as still allowed: what is told to be too much really is.
    """

    def __init__(self) -> None:
        self._connection: dict[Direction, int | None] = dict.fromkeys(Direction, FIRST_WINDOW)
        self._initial: dict[Direction, int | None] = dict.fromkeys(Direction, FIRST_WINDOW)
        self._moved: dict[Direction, int] = dict.fromkeys(Direction, 0)
        """By how much SETTINGS have moved all streams' windows: what streams keep is the rest."""
        self._unacknowledged: dict[Direction, deque[int]] = {direction: deque() for direction in Direction}
        self._slack: dict[Direction, int] = dict.fromkeys(Direction, 0)
        """The sum of what is not acknowledged."""

    def unknown(self) -> None:
        """Frames are missing: no window is known any more."""
        for direction in Direction:
            self._connection[direction] = None
            self._initial[direction] = None

    def windows(self, call: CallState | None) -> Windows:
        """The windows as they stand; of ``call`` too, if there is one."""
        return Windows(
            self._connection[Direction.CLIENT],
            self._of_stream(Direction.CLIENT, call),
            self._connection[Direction.SERVER],
            self._of_stream(Direction.SERVER, call),
        )

    def _of_stream(self, sender: Direction, call: CallState | None) -> int | None:
        window = None if call is None else call.side(sender).window
        return None if window is None else window + self._moved[sender]

    def open(self, call: CallState) -> None:
        """A stream begins with the windows that the settings say."""
        if call.seen_from_start:
            for sender in Direction:
                window = self._initial[sender]
                call.side(sender).window = None if window is None else window - self._moved[sender]

    def announced(self, by: Direction) -> None:
        """SETTINGS was sent, and is to be acknowledged."""
        self._unacknowledged[by].append(0)

    def acknowledged(self, by: Direction) -> bool:
        """The oldest SETTINGS of that side was acknowledged; False if none was waiting."""
        if not self._unacknowledged[by]:
            return False
        self._slack[by] -= self._unacknowledged[by].popleft()
        return True

    def initial_window(self, by: Direction, value: int) -> None:
        """SETTINGS_INITIAL_WINDOW_SIZE: changes what the peer may send on every stream."""
        sender = by.other
        before = self._initial[sender]
        if before is not None:
            self._moved[sender] += value - before
            if value < before:
                self._unacknowledged[by][-1] += before - value
                self._slack[by] += before - value
        self._initial[sender] = value

    def update(self, by: Direction, stream_id: int, call: CallState | None, increment: int) -> list[str]:
        """WINDOW_UPDATE: the peer may send more. Returns what is wrong with it."""
        sender = by.other
        if stream_id == 0:
            window = self._connection[sender]
            if window is not None:
                self._connection[sender] = window + increment
        else:
            window = self._of_stream(sender, call)
            side = None if call is None else call.side(sender)
            if side is not None and side.window is not None:
                side.window += increment
        if window is not None and window + increment > MAX_WINDOW:
            return [f"FLOW_CONTROL_ERROR: the window becomes {window + increment}, more than {MAX_WINDOW}"]
        return []

    def data(self, direction: Direction, side: Side, octets: int) -> list[str]:
        """DATA was sent. Returns what is wrong with it."""
        problems = []
        window = self._connection[direction]
        if window is not None:
            self._connection[direction] = window = window - octets
            if window < 0 <= window + octets and octets:
                problems.append(f"FLOW_CONTROL_ERROR: {-window} octets more than the connection's window allows")
        if side.window is not None:
            side.window -= octets
            left = side.window + self._moved[direction]
            if left + self._slack[direction.other] < 0 and octets:
                problems.append(f"FLOW_CONTROL_ERROR: {-left} octets more than the stream's window allows")
        return problems
