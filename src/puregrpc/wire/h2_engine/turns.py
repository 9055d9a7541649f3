"""Whose turn it is to send: calls with something to send go round robin, as the windows allow."""

from __future__ import annotations

from collections import deque
from typing import Generic

from puregrpc.wire.h2_engine.http2 import Http2
from puregrpc.wire.h2_engine.stream import CallT, Stream

__all__ = ["Turns"]


class Turns(Generic[CallT]):
    """The calls that have something to send. One without window leaves until `add` is called for it again."""

    def __init__(self, http2: Http2) -> None:
        self._http2 = http2
        self._waiting: deque[Stream[CallT]] = deque()

    def __bool__(self) -> bool:
        """Whether anything can be sent now."""
        return any(not stream.outbound or self._http2.send_window(stream.id) > 0 for stream in self._waiting)

    def add(self, stream: Stream[CallT]) -> None:
        """The call has something to send, or may again."""
        if not stream.in_turn and stream.id and not stream.wire_ended_locally:
            stream.in_turn = True
            self._waiting.append(stream)

    def remove(self, stream: Stream[CallT]) -> None:
        """The call is over."""
        if stream.in_turn:
            stream.in_turn = False
            self._waiting.remove(stream)

    def take(self) -> tuple[Stream[CallT], int] | None:
        """The next call that can send, off the queue, and how much DATA it may send; None if there is none."""
        for _ in range(len(self._waiting)):
            stream = self._waiting.popleft()
            window = self._http2.send_window(stream.id) if stream.outbound else 0
            if not stream.outbound or window > 0:
                stream.in_turn = False
                return stream, window
            if self._http2.connection_send_window <= 0:
                self._waiting.append(stream)
            else:
                stream.in_turn = False  # WINDOW_UPDATE or SETTINGS will bring it back
        return None
