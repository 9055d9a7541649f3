"""A client's samples in a form to compare."""

from __future__ import annotations

from typing import Any

from puregrpc import Client
from puregrpc.metrics.sinks import CounterSink, RateSink


def samples(client: Client | Any, metric: str, *names: str) -> dict[tuple[str, ...], float]:
    """Values of the tags ``names`` -> how many samples (for counters and rates: their sum)."""
    found: dict[tuple[str, ...], float] = {}
    for series in client.metrics[metric].series.values():
        key = tuple(series.tags.get(name, "") for name in names)
        sink = series.settle()
        value = (
            sink.total if isinstance(sink, CounterSink) else sink.passes if isinstance(sink, RateSink) else sink.count
        )
        found[key] = found.get(key, 0) + value
    return found


def tags(client: Client | Any, metric: str) -> list[dict[str, str]]:
    """The sets of tags of a metric's samples."""
    return [series.tags for series in client.metrics[metric].series.values()]
