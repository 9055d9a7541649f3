"""What a client measures of its calls: k6's metrics with k6's tags, and what k6's users miss.

===========================  =======  =======================================================================
grpc_req_duration            trend    ms, at the end of every call, a stream's end included; tag ``status``
grpc_req_planned_duration    trend    ms from when the call was due to its end, where a load run has a plan
grpc_req_failed              rate     whether a call ended with a status other than OK; tag ``status``
grpc_connect_duration        trend    ms from connect to a connection that is ready
grpc_streams                 counter  streams opened
grpc_streams_msgs_sent       counter  messages handed to the transport
grpc_streams_msgs_received   counter  messages received
grpc_streams_first_message   trend    ms from a stream's opening to its first message
grpc_streams_msg_interval    trend    ms between one message of a stream and the next
grpc_streams_msg_latency     trend    ms from when a message was sent, which a field of it says, to its arrival
data_sent, data_received     counter  bytes on the connections, HTTP/2 and TLS included
===========================  =======  =======================================================================
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakSet, ref

from puregrpc.kernel.process import THIS_PROCESS
from puregrpc.metrics import Metrics
from puregrpc.metrics.current import OUTSIDE, Surroundings, current_surroundings, taken_by
from puregrpc.metrics.registry import Metric, Series

if TYPE_CHECKING:
    from puregrpc.transport import SessionCounters

__all__ = ["CallMeter", "CallSeries", "Meter", "StreamMeter", "TrafficMeter"]

Tags = dict[str, str]

MAX_CACHED = 2048
MAX_STATUSES = 32


class Meter:
    """Takes the samples of one client. They go to its metrics, or to those of the load run that it is used in."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.connections: WeakSet[TrafficMeter] = WeakSet()
        """What measures its connections."""
        self._elsewhere: Meter | None = None
        self.duration = metrics.metric("grpc_req_duration", "trend", "time")
        self.planned = metrics.metric("grpc_req_planned_duration", "trend", "time")
        self.failed = metrics.metric("grpc_req_failed", "rate")
        self.connect = metrics.metric("grpc_connect_duration", "trend", "time")
        self._sent = metrics.metric("data_sent", "counter", "data")
        self._received = metrics.metric("data_received", "counter", "data")
        self.streams = metrics.metric("grpc_streams", "counter")
        self.messages_sent = metrics.metric("grpc_streams_msgs_sent", "counter")
        self.messages_received = metrics.metric("grpc_streams_msgs_received", "counter")
        self.first_message = metrics.metric("grpc_streams_first_message", "trend", "time")
        self.message_interval = metrics.metric("grpc_streams_msg_interval", "trend", "time")
        self.message_latency = metrics.metric("grpc_streams_msg_latency", "trend", "time")
        self._calls: dict[tuple[str, str, Surroundings], CallSeries] = {}
        self._streams: dict[tuple[str, str, Surroundings], StreamSeries] = {}

    def here(self) -> Meter:
        """The one that takes what this code measures. What a load run is to see has no other place of its own."""
        metrics = taken_by(self.metrics)
        if metrics is self.metrics:
            return self
        found = self._elsewhere
        if found is None or found.metrics is not metrics:
            found = self._elsewhere = Meter(metrics)
            with self.metrics.lock:
                connections = list(self.connections)
            for connection in connections:
                connection.go_on_at(found)
        return found

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
        here = self.here()
        here.connect.add(milliseconds, {**here.metrics.tags, **current_surroundings().tags})

    def traffic(self, sent: int, received: int, tags: Tags | None = None) -> None:
        """So many octets more have gone over the connections."""
        sent_series, received_series = self.traffic_with(OUTSIDE.tags if tags is None else tags)
        sent_series.note(sent)
        received_series.note(received)

    def traffic_with(self, tags: Tags) -> tuple[Series, Series]:
        """Where octets that were sent and received go, with these tags."""
        tags = {**self.metrics.tags, **tags}
        return self._sent.with_tags(tags), self._received.with_tags(tags)

    def calls(self, address: str, path: str, surroundings: Surroundings, user_tags: Tags) -> CallSeries:
        """Where the samples of calls with the same tags go."""
        if user_tags:
            here = self.here()
            return CallSeries(here, here.tags(address, path, surroundings, user_tags))
        key = (address, path, surroundings.key)
        try:
            return self._calls[key]
        except KeyError:
            here = self.here()
            found = CallSeries(here, here.tags(address, path, surroundings, user_tags))
            if len(self._calls) < MAX_CACHED:
                self._calls[key] = found
            return found

    def streams_of(self, address: str, path: str, surroundings: Surroundings, user_tags: Tags) -> StreamSeries:
        """Where the samples of streams with the same tags go."""
        key = (address, path, surroundings.key)
        found = None if user_tags else self._streams.get(key)
        if found is None:
            here = self.here()
            found = StreamSeries(here, here.tags(address, path, surroundings, user_tags))
            if not user_tags and len(self._streams) < MAX_CACHED:
                self._streams[key] = found
        return found


class CallSeries:
    """The samples of calls that have the same tags but for their status."""

    __slots__ = ("_by_status", "_meter", "_planned", "_tags")

    def __init__(self, meter: Meter, tags: Tags) -> None:
        self._meter = meter
        self._tags = tags
        self._by_status: dict[int, Series] = {}
        self._planned: dict[int, Series] = {}

    def ended_behind(self, status: int, began: float, ended: float, behind: float) -> None:
        """The same for a call that began ``behind`` seconds later than it was due."""
        self.ended(status, began, ended)
        series = self._planned.get(status)
        if series is None:
            series = self._meter.planned.with_tags({**self._tags, "status": str(int(status))})
            if len(self._planned) < MAX_STATUSES:
                self._planned[status] = series
        series.note((ended - began + behind) * 1000)

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

    __slots__ = ("_began", "_behind", "_ended", "_series")

    def __init__(self, meter: Meter, address: str, path: str, user_tags: Tags) -> None:
        surroundings = current_surroundings()
        self._series = meter.calls(address, path, surroundings, user_tags)
        self._behind = surroundings.behind
        self._began = time.perf_counter()
        self._ended = 0.0

    def stop(self) -> None:
        """The call ended; with which status is said later, by `end`."""
        self._ended = time.perf_counter()

    def end(self, status: int) -> None:
        """The call ended with this status."""
        ended = self._ended or time.perf_counter()
        if self._behind is None:
            self._series.ended(status, self._began, ended)
        else:
            self._series.ended_behind(status, self._began, ended, self._behind)


class StreamSeries:
    """The samples of streams that have the same tags."""

    __slots__ = ("_messages", "_meter", "_tags", "opened", "sent")

    def __init__(self, meter: Meter, tags: Tags) -> None:
        self._meter = meter
        self._tags = tags
        self.opened = meter.streams.with_tags(tags)
        self.sent = meter.messages_sent.with_tags(tags)
        self._messages: dict[str, Series] = {}
        """Those of received messages, made when they are needed: a series without samples is none."""

    def _of(self, metric: Metric) -> Series:
        found = self._messages.get(metric.name)
        if found is None:
            found = self._messages[metric.name] = metric.with_tags(self._tags)
        return found

    def received(self) -> None:
        """A message has come."""
        self._of(self._meter.messages_received).note(1)

    def first(self, milliseconds: float) -> None:
        """The first message came so long after the stream was opened."""
        self._of(self._meter.first_message).note(milliseconds)

    def interval(self, milliseconds: float) -> None:
        """A message came so long after the one before it."""
        self._of(self._meter.message_interval).note(milliseconds)

    def latency(self, milliseconds: float) -> None:
        """A message was so long on its way."""
        self._of(self._meter.message_latency).note(milliseconds)

    def received_with(self, status: int) -> Series:
        """The messages of streams that ended with this status."""
        return self._meter.messages_received.with_tags({**self._tags, "status": str(int(status))})


class StreamMeter:
    """Measures one stream. On methods with one response the count of received messages carries the status, as in k6."""

    __slots__ = ("_began", "_call", "_counts_with_status", "_last", "_pending", "_series")

    def __init__(self, meter: Meter, address: str, path: str, user_tags: Tags, *, is_server_stream: bool) -> None:
        self._call = CallMeter(meter, address, path, user_tags)
        self._series = meter.streams_of(address, path, current_surroundings(), user_tags)
        self._counts_with_status = not is_server_stream
        self._pending = 0
        self._began = time.perf_counter()
        self._last: float | None = None
        self._series.opened.note(1)

    def sent(self) -> None:
        """A message was handed to the transport."""
        self._series.sent.note(1)

    def received(self) -> None:
        """A message has come."""
        now = time.perf_counter()
        series = self._series
        if self._last is None:
            series.first((now - self._began) * 1000)
        else:
            series.interval((now - self._last) * 1000)
        self._last = now
        if self._counts_with_status:
            self._pending += 1
        else:
            series.received()

    def travelled(self, milliseconds: float) -> None:
        """A message was so long on its way, as it says."""
        self._series.latency(milliseconds)

    def refused(self) -> None:
        """What was received last was no message of its type."""
        self._pending = max(self._pending - 1, 0)

    def stop(self) -> None:
        """The stream ended; with which status is said later, by `end`."""
        self._call.stop()

    def end(self, status: int) -> None:
        """The stream ended with this status."""
        if self._pending:
            series = self._series.received_with(status)
            for _ in range(self._pending):
                series.note(1)
        self._call.end(status)


class TrafficMeter:
    """Measures what goes over a client's connections, one after the other. Its metrics do not keep it alive."""

    def __init__(self, meter: Meter) -> None:
        self._meter = self._place = meter
        self._process = THIS_PROCESS.id
        self._passed: Callable[[], SessionCounters] | None = None
        self._counted = (0, 0)
        self._stop: Callable[[], None] | None = None
        self._tags: Tags = {}
        self._series: tuple[Series, Series] | None = None
        """Found when something has passed: a series without samples is none."""

    def begin(self, passed: Callable[[], SessionCounters]) -> None:
        """There is a connection; ``passed`` says what went over it so far."""
        self.go_on_at(self._meter.here())
        self._passed, self._counted = passed, (0, 0)
        with self._meter.metrics.lock:
            self._meter.connections.add(self)

    def go_on_at(self, meter: Meter) -> None:
        """What passes from now on is measured there, with the tags of the code that asks."""
        self.count()
        if self._stop is not None:
            self._stop()
        self._place = meter
        self._tags, self._series = {**current_surroundings().tags, "group": ""}, None
        reference = ref(self)

        def update() -> None:
            found = reference()
            if found is not None:
                found.count()

        self._stop = meter.metrics.before_reading(update)

    def count(self) -> None:
        """Count what has passed since the last time."""
        if self._passed is None or self._process != THIS_PROCESS.id:
            return
        passed, (sent, received) = self._passed(), self._counted
        if passed.bytes_sent != sent or passed.bytes_received != received:
            self._counted = passed.bytes_sent, passed.bytes_received
            if self._series is None:
                self._series = self._place.traffic_with(self._tags)
            self._series[0].note(passed.bytes_sent - sent)
            self._series[1].note(passed.bytes_received - received)

    def end(self) -> None:
        """The connection is closed."""
        with self._meter.metrics.lock:
            self._meter.connections.discard(self)
        self.count()
        self._passed = None
        if self._stop is not None:
            self._stop()
            self._stop = None
        self._place.metrics.flush()
