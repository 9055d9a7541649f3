"""What a client measures of its calls: k6's metrics with k6's tags, and what k6's users miss.

===========================  =======  =======================================================================
grpc_req_duration            trend    ms, at the end of every call, a stream's end included; tag ``status``
grpc_req_failed              rate     whether a call ended with a status other than OK; tag ``status``
grpc_connect_duration        trend    ms from connect to a connection that is ready
grpc_streams                 counter  streams opened
grpc_streams_msgs_sent       counter  messages handed to the transport
grpc_streams_msgs_received   counter  messages received
grpc_streams_first_message   trend    ms from a stream's opening to its first message
grpc_streams_msg_interval    trend    ms between one message of a stream and the next
data_sent, data_received     counter  octets on the connections, HTTP/2 and TLS included
===========================  =======  =======================================================================
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakMethod

from puregrpc.kernel.process import THIS_PROCESS
from puregrpc.metrics import Metrics
from puregrpc.metrics.current import OUTSIDE, Surroundings, current_surroundings
from puregrpc.metrics.registry import Series

if TYPE_CHECKING:
    from puregrpc.transport import SessionCounters

__all__ = ["CallMeter", "CallSeries", "Meter", "StreamMeter", "TrafficMeter"]

Tags = dict[str, str]

MAX_CACHED = 2048
MAX_STATUSES = 32


class Meter:
    """Takes the samples of one client."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.duration = metrics.metric("grpc_req_duration", "trend", "time")
        self.failed = metrics.metric("grpc_req_failed", "rate")
        self._connect = metrics.metric("grpc_connect_duration", "trend", "time")
        self._sent = metrics.metric("data_sent", "counter", "data")
        self._received = metrics.metric("data_received", "counter", "data")
        self.streams = metrics.metric("grpc_streams", "counter")
        self.messages_sent = metrics.metric("grpc_streams_msgs_sent", "counter")
        self.messages_received = metrics.metric("grpc_streams_msgs_received", "counter")
        self.first_message = metrics.metric("grpc_streams_first_message", "trend", "time")
        self.message_interval = metrics.metric("grpc_streams_msg_interval", "trend", "time")
        self._calls: dict[tuple[str, str, Surroundings], CallSeries] = {}

    def call(self, address: str, path: str, user_tags: Tags) -> CallMeter:
        """A call begins. ``path`` is ``/pkg.Service/Method``, or empty for one that is not the user's."""
        return CallMeter(self, address, path, user_tags)

    def stream(self, address: str, path: str, user_tags: Tags, *, is_server_stream: bool) -> StreamMeter:
        """A stream is opened."""
        return StreamMeter(self, address, path, user_tags, is_server_stream=is_server_stream)

    def tags(self, address: str, path: str, surroundings: Surroundings, user_tags: Tags) -> Tags:
        """The user's tags may replace name, group and scenario; the others are the system's."""
        tags = {**self.metrics.tags, **({"name": path} if path else {}), **surroundings.tags, **user_tags}
        if path:
            service, _, method = path[1:].rpartition("/")
            tags.update(url=address + path, service=service, method=method)
        return tags

    def connected(self, milliseconds: float) -> None:
        """A connection was made."""
        self._connect.add(milliseconds, {**self.metrics.tags, **current_surroundings().tags})

    def traffic(self, sent: int, received: int) -> None:
        """So many octets more have gone over the connections."""
        tags = {**self.metrics.tags, **OUTSIDE.tags}
        self._sent.add(sent, tags)
        self._received.add(received, tags)

    def calls(self, address: str, path: str, surroundings: Surroundings, user_tags: Tags) -> CallSeries:
        """Where the samples of calls with the same tags go."""
        if user_tags:
            return CallSeries(self, self.tags(address, path, surroundings, user_tags))
        key = (address, path, surroundings.key)
        found = self._calls.get(key)
        if found is None:
            found = CallSeries(self, self.tags(address, path, surroundings, user_tags))
            if len(self._calls) < MAX_CACHED:
                self._calls[key] = found
        return found


class CallSeries:
    """The samples of calls that have the same tags but for their status."""

    __slots__ = ("_by_status", "_meter", "_tags")

    def __init__(self, meter: Meter, tags: Tags) -> None:
        self._meter = meter
        self._tags = tags
        self._by_status: dict[int, Series] = {}

    def ended(self, status: int, began: float, ended: float) -> None:
        """A call ended with this status; the times are those of `time.perf_counter`."""
        (self._by_status.get(status) or self._with_status(status)).note((ended - began) * 1000)

    def _with_status(self, status: int) -> Series:
        """The durations of calls with this status; whether they failed follows from it."""
        tags = {**self._tags, "status": str(int(status))}
        durations = self._meter.duration.with_tags(tags)
        durations.followed_by(self._meter.failed.with_tags(tags), status != 0)
        if len(self._by_status) < MAX_STATUSES:
            self._by_status[status] = durations
        return durations


class CallMeter:
    """Measures one call."""

    __slots__ = ("_began", "_ended", "_series")

    def __init__(self, meter: Meter, address: str, path: str, user_tags: Tags) -> None:
        self._series = meter.calls(address, path, current_surroundings(), user_tags)
        self._began = time.perf_counter()
        self._ended = 0.0

    def stop(self) -> None:
        """The call ended; with which status is said later, by `end`."""
        self._ended = time.perf_counter()

    def end(self, status: int) -> None:
        """The call ended with this status."""
        self._series.ended(status, self._began, self._ended or time.perf_counter())


class StreamMeter:
    """Measures one stream. On methods with one response the count of received messages carries the status, as in k6."""

    __slots__ = ("_began", "_call", "_last", "_meter", "_pending", "_received", "_sent", "_tags")

    def __init__(self, meter: Meter, address: str, path: str, user_tags: Tags, *, is_server_stream: bool) -> None:
        self._meter = meter
        self._call = CallMeter(meter, address, path, user_tags)
        self._tags = meter.tags(address, path, current_surroundings(), user_tags)
        self._sent = meter.messages_sent.with_tags(self._tags)
        self._received = meter.messages_received.with_tags(self._tags) if is_server_stream else None
        self._pending = 0
        self._began = time.perf_counter()
        self._last: float | None = None
        meter.streams.add(1, self._tags)

    def sent(self) -> None:
        """A message was handed to the transport."""
        self._sent.add(1)

    def received(self) -> None:
        """A message has come."""
        now = time.perf_counter()
        meter = self._meter
        if self._last is None:
            meter.first_message.add((now - self._began) * 1000, self._tags)
        else:
            meter.message_interval.add((now - self._last) * 1000, self._tags)
        self._last = now
        if self._received is not None:
            self._received.add(1)
        else:
            self._pending += 1

    def refused(self) -> None:
        """What was received last was no message of its type."""
        self._pending = max(self._pending - 1, 0)

    def stop(self) -> None:
        """The stream ended; with which status is said later, by `end`."""
        self._call.stop()

    def end(self, status: int) -> None:
        """The stream ended with this status."""
        for _ in range(self._pending):
            self._meter.messages_received.add(1, {**self._tags, "status": str(int(status))})
        self._call.end(status)


class TrafficMeter:
    """Measures what goes over a client's connections, one after the other. Its metrics do not keep it alive."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._process = THIS_PROCESS.id
        self._passed: Callable[[], SessionCounters] | None = None
        self._counted = (0, 0)
        self._stop: Callable[[], None] | None = None

    def begin(self, passed: Callable[[], SessionCounters]) -> None:
        """There is a connection; ``passed`` says what went over it so far."""
        self._passed, self._counted = passed, (0, 0)
        if self._stop is None:
            count = WeakMethod(self.count)

            def update() -> None:
                found = count()
                if found is not None:
                    found()

            self._stop = self._meter.metrics.before_reading(update)

    def count(self) -> None:
        """Count what has passed since the last time."""
        if self._passed is None or self._process != THIS_PROCESS.id:
            return
        passed, (sent, received) = self._passed(), self._counted
        if passed.bytes_sent != sent or passed.bytes_received != received:
            self._counted = passed.bytes_sent, passed.bytes_received
            self._meter.traffic(passed.bytes_sent - sent, passed.bytes_received - received)

    def end(self) -> None:
        """The connection is closed."""
        self.count()
        self._passed = None
        if self._stop is not None:
            self._stop()
            self._stop = None
        self._meter.metrics.flush()
