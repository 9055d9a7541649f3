"""Whose turn it is to send: calls with something to send go round robin, as the windows allow."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic

from puregrpc.wire.h2_engine.http2 import Http2
from puregrpc.wire.h2_engine.stream import CallT, Stream

__all__ = ["Turns"]


class Turns(Generic[CallT]):
    """The calls that have something to send. One without window leaves until `add` is called for it again."""

    def __init__(self, http2: Http2) -> None:
        self._http2 = http2
        self._waiting: OrderedDict[int, Stream[CallT]] = OrderedDict()
        """By their keys, the next one first."""
        self._can_send = False

    def __bool__(self) -> bool:
        """Whether anything can be sent now."""
        return self._can_send

    def add(self, stream: Stream[CallT]) -> None:
        """The call has something to send, or may again."""
        if stream.id and not stream.wire_ended_locally:
            self._waiting.setdefault(stream.key, stream)
            self._can_send = self._can_send or self._window(stream) is not None

    def remove(self, stream: Stream[CallT]) -> None:
        """The call is over."""
        if self._waiting.pop(stream.key, None) is not None and not self._waiting:
            self._can_send = False

    def connection_window_opened(self) -> None:
        """What the connection's window held back may go."""
        if self._can_send or self._http2.connection_send_window <= 0:
            return
        waiting = self._waiting
        while waiting:
            key = next(iter(waiting))
            if self._window(waiting[key]) is not None:
                self._can_send = True
                return
            del waiting[key]  # its own window lacks: WINDOW_UPDATE or SETTINGS will bring it back

    def take(self) -> tuple[Stream[CallT], int] | None:
        """The next call that can send, off the queue, and how much DATA it may send; None if there is none."""
        if not self._can_send:
            return None
        waiting = self._waiting
        for _ in range(len(waiting)):
            key, stream = waiting.popitem(last=False)
            window = self._window(stream)
            if window is not None:
                self._can_send = bool(waiting)
                return stream, window
            if self._http2.connection_send_window <= 0:
                waiting[key] = stream
            # else WINDOW_UPDATE or SETTINGS will bring it back
        self._can_send = False
        return None

    def _window(self, stream: Stream[CallT]) -> int | None:
        """How much DATA the call may send, 0 if it has none to send; None if it has to wait."""
        if not stream.outbound:
            return 0
        window = self._http2.send_window(stream.id)
        return window if window > 0 else None
