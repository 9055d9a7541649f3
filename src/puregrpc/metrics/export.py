"""Metrics for programs: a dict of everything at the end, and k6's JSON lines, one sample each, as they come."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, TextIO

from puregrpc._locks import Lock
from puregrpc.metrics.registry import Metrics, Sample
from puregrpc.metrics.sinks import CounterSink, GaugeSink, RateSink, Sink
from puregrpc.metrics.summary import TREND_STATS
from puregrpc.metrics.thresholds import Threshold, braced, parse_selector

__all__ = ["CsvLines", "JsonLines", "to_dict"]


def to_dict(metrics: Metrics, *, trend_stats: Sequence[str] | None = None) -> dict[str, Any]:
    """See `Metrics.to_dict`. Submetrics that thresholds are on stand beside their metric."""
    stats = tuple(TREND_STATS if trend_stats is None else trend_stats)
    results: dict[str, dict[str, Any]] = {}
    for result in metrics.judge():
        results.setdefault(result.metric, {})[result.threshold.source] = {"ok": result.ok}
    found: dict[str, Any] = {}
    for metric in metrics:
        selectors = [metric.name, *(s for s in metrics.thresholds if s.startswith(f"{metric.name}{{"))]
        for selector in selectors:
            sink = metrics.sinks(*parse_selector(selector))
            if sink is None or not (sink.count or selector in results):
                continue
            entry: dict[str, Any] = {
                "type": metric.kind,
                "contains": metric.contains,
                "values": _values(sink, metrics.seconds, stats),
            }
            if selector in results:
                entry["thresholds"] = results[selector]
            found[selector] = entry
    return {"duration_ms": metrics.seconds * 1000, "metrics": found}


def _values(sink: Sink, seconds: float, stats: Sequence[str]) -> dict[str, float]:
    names: Sequence[str] = stats
    if isinstance(sink, CounterSink):
        names = ("count", "rate")
    elif isinstance(sink, GaugeSink):
        names = ("value", "min", "max")
    elif isinstance(sink, RateSink):
        names = ("rate", "passes", "fails")
    return {name: _plain(sink.value(name, seconds)) for name in names}


def _plain(value: float) -> float:
    """A number as JSON has it in JavaScript: what is whole has no fraction."""
    return int(value) if float(value).is_integer() else value


class JsonLines:
    """Writes every sample as a line of JSON, as ``k6 run --out json=FILE`` does.

    A line ``{"type": "Metric", …}`` comes before the first point of each metric. Use it with `Metrics.listen`. The
    file is flushed when a client is closed, or by `flush`.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.where: str = getattr(file, "name", "")
        """The name of the file, if it has one."""
        self._known: set[str] = set()
        self._lock = Lock()

    def flush(self) -> None:
        """Have the file written."""
        with self._lock:
            if not self._file.closed:
                self._file.flush()

    def __call__(self, sample: Sample) -> None:
        with self._lock:
            self._take(sample)

    def _take(self, sample: Sample) -> None:
        metric = sample.metric
        if metric.name not in self._known:
            self._known.add(metric.name)
            selectors = metric.owner.thresholds
            data = {
                "name": metric.name,
                "type": metric.kind,
                "contains": metric.contains,
                "thresholds": [_told(threshold) for threshold in selectors.get(metric.name, ())],
                "submetrics": [_submetric(s) for s in selectors if s.startswith(f"{metric.name}{{")] or None,
            }
            self._write({"type": "Metric", "data": data, "metric": metric.name})
        value = _plain(sample.value)
        moment = datetime.fromtimestamp(sample.time, timezone.utc).isoformat().replace("+00:00", "Z")
        point = {"time": moment, "value": value, "tags": dict(sample.tags)}
        self._write({"metric": metric.name, "type": "Point", "data": point})

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _told(threshold: Threshold) -> str | dict[str, Any]:
    if not threshold.abort_on_fail:
        return threshold.source
    delay = threshold.delay_abort_eval
    shown = delay if delay is None or isinstance(delay, str) else f"{delay}ms"
    return {"threshold": threshold.source, "abortOnFail": True, "delayAbortEval": shown}


def _submetric(selector: str) -> dict[str, Any]:
    return {"name": selector, "suffix": braced(selector), "tags": parse_selector(selector)[1]}


CSV_TAGS = ("check", "error", "group", "method", "name", "scenario", "service", "status", "url")
"""Tags that have a column; the others are in ``extra_tags``."""


class CsvLines:
    """Writes every sample as a line of CSV, with the columns of ``k6 run --out csv=FILE`` that gRPC has something for.

    Use it with `Metrics.listen`.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.where: str = getattr(file, "name", "")
        """The name of the file, if it has one."""
        self._lock = Lock()
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(["metric_name", "timestamp", "metric_value", *CSV_TAGS, "extra_tags"])

    def flush(self) -> None:
        """Have the file written."""
        with self._lock:
            if not self._file.closed:
                self._file.flush()

    def __call__(self, sample: Sample) -> None:
        tags = sample.tags
        extra = "&".join(f"{name}={value}" for name, value in tags.items() if name not in CSV_TAGS)
        own = [tags.get(name, "") for name in CSV_TAGS]
        row = [sample.metric.name, int(sample.time), f"{sample.value:.6f}", *own, extra]
        with self._lock:
            self._writer.writerow(row)
