"""A run over time: what happened in each second, for the report and whoever looks on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from puregrpc._locks import Lock
from puregrpc.metrics import Metrics, Series
from puregrpc.metrics.sinks import Sink, TrendSink

__all__ = ["Timeline"]

MOST_POINTS = 1_800
"""Points that are kept: when there are more, two and two are put together."""

SHORTEST = 0.5
"""Seconds: what is left at the end and shorter belongs to the point before it."""

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0}

MOST_METHODS = 50
"""Methods that points tell apart: names may be tags of the script's, of which there may be thousands."""

OTHERS = "(other methods)"

LATE = {
    "grpc_req_planned_duration": "planned_p99",
    "generator_lag": "lag_p99",
    "grpc_streams_first_message": "first_p99",
    "grpc_streams_msg_interval": "interval_p99",
    "grpc_streams_msg_latency": "way_p99",
}
"""Trends of which points have the 99th percentile -> what they call it."""

COUNTED = {
    "grpc_streams_msgs_received": "messages_received",
    "grpc_streams_msgs_sent": "messages_sent",
    "iterations": "iterations",
    "dropped_iterations": "dropped",
    "data_sent": "bytes_sent",
    "data_received": "bytes_received",
}
"""Counters -> what a point calls them."""


class Timeline:
    """Hears what a run measures, many samples at a time, and makes a point of each second."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lock = Lock()
        self.points: list[dict[str, Any]] = []
        self._every = 1
        """Ticks that make a point."""
        self._ticks = 0
        self._began = 0.0
        self._late: dict[str, TrendSink] = {}
        self._methods: set[str] = set()
        self._calls: dict[tuple[str, str], TrendSink] = {}
        """Method and status -> durations."""
        self._counts: dict[str, float] = {}
        metrics.on_batch(self._taken)

    def _taken(self, series: Series, taken: Sequence[float] | Sink) -> None:
        name, tags = series.metric.name, series.tags
        with self._lock:
            if name == "grpc_req_duration":
                key = self._known(tags.get("name") or tags.get("method", "")), tags.get("status", "")
                self._add(self._calls.setdefault(key, TrendSink()), taken)
            elif name in LATE:
                self._add(self._late.setdefault(LATE[name], TrendSink()), taken)
            elif name in COUNTED:
                total = taken.value("count", 1.0) if isinstance(taken, Sink) else sum(taken)
                self._counts[name] = self._counts.get(name, 0.0) + total

    def _known(self, method: str) -> str:
        if method not in self._methods:
            if len(self._methods) >= MOST_METHODS:
                return OTHERS
            self._methods.add(method)
        return method

    @staticmethod
    def _add(sink: TrendSink, taken: Sequence[float] | Sink) -> None:
        if isinstance(taken, TrendSink):
            sink.merge(taken)
        elif not isinstance(taken, Sink):
            sink.add_all(list(taken))

    def tick(self, seconds: float, vus: int) -> None:
        """A second has passed; ``seconds`` is how long the run goes on."""
        self._ticks += 1
        if self._ticks % self._every:
            return
        self._metrics.settle()
        with self._lock:
            self.points.append(self._point(seconds, vus))
        if len(self.points) > MOST_POINTS:
            self._thin()

    def finish(self, seconds: float) -> None:
        """The run is over: what is left makes a point."""
        self._metrics.settle()
        with self._lock:
            if (self._calls or self._counts) and seconds > self._began:
                point = self._point(seconds, 0)
                if self.points and point["seconds"] < SHORTEST:
                    self.points[-1] = together(self.points[-1], point)
                else:
                    self.points.append(point)

    def _point(self, seconds: float, vus: int) -> dict[str, Any]:
        passed = seconds - self._began
        self._began = seconds
        everything = TrendSink.of(list(self._calls.values()))
        methods: dict[str, list[TrendSink]] = {}
        statuses: dict[str, int] = {}
        for (method, status), sink in self._calls.items():
            methods.setdefault(method, []).append(sink)
            statuses[status] = statuses.get(status, 0) + sink.count
        point: dict[str, Any] = {
            "t": round(seconds, 3),
            "seconds": round(passed, 3),
            "vus": vus,
            "calls": everything.count,
            "max": round(everything.value("max", 1.0), 3),
            **{name: round(everything.percentile(percent), 3) for name, percent in PERCENTILES.items()},
            "statuses": statuses,
            "methods": {
                name: [sum(each.count for each in sinks), round(TrendSink.of(sinks).percentile(95), 3)]
                for name, sinks in methods.items()
            },
            **{short: self._counts.get(name, 0.0) for name, short in COUNTED.items()},
        }
        for short, sink in self._late.items():
            point[short] = round(sink.percentile(99), 3)
        self._calls, self._counts, self._late = {}, {}, {}
        return point

    def _thin(self) -> None:
        self._every *= 2
        self._ticks = 0
        points = self.points
        pairs = zip(points[::2], points[1::2], strict=False)
        self.points = [together(first, second) for first, second in pairs] + points[len(points) // 2 * 2 :]


def together(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Two points as one: counts are added up, and of percentiles the larger one stands."""
    made = dict(second)
    for name in ("seconds", "calls", *COUNTED.values()):
        made[name] = round(first[name] + second[name], 3)
    for name in ("max", "vus", *LATE.values(), *PERCENTILES):
        if name in first or name in second:
            made[name] = max(first.get(name, 0.0), second.get(name, 0.0))
    statuses = dict(first["statuses"])
    for status, count in second["statuses"].items():
        statuses[status] = statuses.get(status, 0) + count
    made["statuses"] = statuses
    methods = {name: list(each) for name, each in first["methods"].items()}
    for name, (count, p95) in second["methods"].items():
        before = methods.get(name, [0, 0.0])
        methods[name] = [before[0] + count, max(before[1], p95)]
    made["methods"] = methods
    return made
