"""Connectivity of a channel: who subscribed hears of each new state, on a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from grpc import _threads, _waiting
from grpc._client_interfaces import Channel, Future
from grpc._codes import ChannelConnectivity
from grpc._errors import FutureCancelledError, FutureTimeoutError
from puregrpc import errors
from puregrpc.channel import BlockingChannel, ConnectivityState

__all__ = ["Connectivity", "channel_ready_future"]

logger = logging.getLogger("grpc._channel")

PAUSE = 1.0
"""How long, in seconds, until a channel that somebody wants connected is tried again (connection-backoff.md)."""


class Connectivity:
    """Those who subscribed to one channel's state."""

    def __init__(self, channel: BlockingChannel) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._told: dict[Callable[[Any], Any], ChannelConnectivity | None] = {}
        self._due: deque[tuple[Callable[[Any], Any], ChannelConnectivity]] = deque()
        """Who is to be told what, one after the other."""
        self._is_telling = self._is_watching = self._is_connecting = self._is_closed = False
        self.connectivity: ChannelConnectivity | None = None
        """What subscribers were told last. Pools of channels (grpcio-gcp) ask a channel's ``_connectivity_state``."""

    def subscribe(self, callback: Callable[[Any], Any], *, try_to_connect: bool) -> None:
        with self._lock:
            self._told[callback] = None
            begin, self._is_watching = not self._is_watching, True
            connect = try_to_connect and not self._is_connecting
            self._is_connecting = self._is_connecting or connect
        state = ChannelConnectivity[self._channel.state.name]
        self._tell(state, only=callback)
        if begin:
            _threads.run(self._watch)
        if connect:
            _threads.run(self._connect)

    def unsubscribe(self, callback: Callable[[Any], Any]) -> None:
        with self._lock:
            self._told.pop(callback, None)

    def close(self) -> None:
        """Nobody hears of anything any more."""
        with self._lock:
            self._told.clear()
            self._is_closed = True

    def _tell(self, state: ChannelConnectivity, only: Callable[[Any], Any] | None = None) -> None:
        with self._lock:
            due = [
                callback
                for callback, told in self._told.items()
                if told is not state and (only is None or (callback == only and told is None))
            ]
            self._told.update(dict.fromkeys(due, state))
            if due:
                self.connectivity = state
            self._due += ((callback, state) for callback in due)
            begin = bool(due) and not self._is_telling
            self._is_telling = self._is_telling or begin
        if begin:
            _threads.run(self._call_those_due)

    def _call_those_due(self) -> None:
        while (entry := self._next_due()) is not None:
            callback, state = entry
            try:
                callback(state)
            except Exception:
                logger.exception("Exception calling channel subscription callback!")

    def _next_due(self) -> tuple[Callable[[Any], Any], ChannelConnectivity] | None:
        with self._lock:
            while self._due:
                entry = self._due.popleft()
                if entry[0] in self._told:
                    return entry
            self._is_telling = False
            return None

    def _watch(self) -> None:
        with contextlib.suppress(errors.Error):  # the channel is closed
            for state in self._channel.watch_state():
                self._tell(ChannelConnectivity[state.name])
                with self._lock:
                    if self._is_closed or not self._told:
                        self._is_watching = False
                        return
        with self._lock:
            self._is_watching = False

    def _connect(self) -> None:
        while self._wants_connection():
            try:
                self._channel.connect()
                self._channel.wait_for_state_change(ConnectivityState.READY)
            except (errors.Error, OSError):
                time.sleep(PAUSE)
        with self._lock:
            self._is_connecting = False

    def _wants_connection(self) -> bool:
        with self._lock:
            return bool(self._told) and not self._is_closed


class _ChannelReadyFuture(Future):
    """Is done when the channel is ready."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._condition = threading.Condition()
        self._is_ready = self._is_cancelled = False
        self._callbacks: list[Callable[[Any], Any]] = []

    def start(self) -> None:
        """Begin to look."""
        self._channel.subscribe(self._update, try_to_connect=True)

    def _update(self, connectivity: ChannelConnectivity) -> None:
        if connectivity is not ChannelConnectivity.READY:
            return
        with self._condition:
            if self._is_cancelled or self._is_ready:
                return
            self._is_ready = True
        self._end()

    def _end(self) -> None:
        self._channel.unsubscribe(self._update)
        with self._condition:
            callbacks, self._callbacks = self._callbacks, []
            self._condition.notify_all()
        for callback in callbacks:
            callback(self)

    def _wait(self, timeout: float | None) -> None:
        _waiting.wait(self._wait_here, timeout)

    def _wait_here(self, timeout: float | None) -> None:
        with self._condition:
            if not self._condition.wait_for(self.done, timeout):
                raise FutureTimeoutError
            if self._is_cancelled:
                raise FutureCancelledError

    def cancel(self) -> bool:
        with self._condition:
            if self._is_ready or self._is_cancelled:
                return not self._is_ready
            self._is_cancelled = True
        self._end()
        return True

    def cancelled(self) -> bool:
        return self._is_cancelled

    def running(self) -> bool:
        return not self.done()

    def done(self) -> bool:
        return self._is_ready or self._is_cancelled

    def result(self, timeout: float | None = None) -> None:
        self._wait(timeout)

    def exception(self, timeout: float | None = None) -> None:
        self._wait(timeout)

    def traceback(self, timeout: float | None = None) -> None:
        self._wait(timeout)

    def add_done_callback(self, fn: Callable[[Any], Any]) -> None:
        with self._condition:
            if not self.done():
                self._callbacks.append(fn)
                return
        fn(self)


def channel_ready_future(channel: Channel) -> _ChannelReadyFuture:
    """A future that is done when the channel is ready; has it connect."""
    future = _ChannelReadyFuture(channel)
    future.start()
    return future
