"""The metrics of a run in Prometheus' text format (exposition format 0.0.4), to be scraped while it goes on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from puregrpc.metrics import Metrics
from puregrpc.metrics.sinks import CounterSink, GaugeSink, RateSink, Sink, TrendSink

__all__ = ["CONTENT_TYPE", "exposition"]

CONTENT_TYPE = "text/plain; version=0.0.4"

PREFIX = "puregrpc_"

QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)


def exposition(metrics: Metrics) -> str:
    """All metrics as text: trends as summaries, rates as how many samples there were and how many were true."""
    return "".join(f"{line}\n" for line in _lines(metrics))


def _lines(metrics: Metrics) -> Iterator[str]:
    for metric in metrics:
        series = [(each.tags, each.settle()) for each in list(metric.series.values())]
        series = [(tags, sink) for tags, sink in series if sink.count]
        if not series:
            continue
        name = PREFIX + metric.name
        unit = {"time": ", in milliseconds", "data": ", in bytes"}.get(metric.contains, "")
        yield f"# HELP {name} {metric.kind}{unit}"
        if metric.kind == "rate":
            for suffix, what in (("_passes_total", "passes"), ("_total", "count")):
                yield f"# TYPE {name}{suffix} counter"
                for tags, sink in series:
                    assert isinstance(sink, RateSink)
                    yield f"{name}{suffix}{_labels(tags)} {sink.passes if what == 'passes' else sink.count}"
            continue
        kind = {"counter": "counter", "gauge": "gauge", "trend": "summary"}[metric.kind]
        yield f"# TYPE {name}{'_total' if kind == 'counter' else ''} {kind}"
        for tags, sink in series:
            yield from _of(name, tags, sink)


def _of(name: str, tags: Mapping[str, str], sink: Sink) -> Iterator[str]:
    if isinstance(sink, CounterSink):
        yield f"{name}_total{_labels(tags)} {_number(sink.total)}"
    elif isinstance(sink, GaugeSink):
        yield f"{name}{_labels(tags)} {_number(sink.last)}"
    elif isinstance(sink, TrendSink):
        for quantile in QUANTILES:
            value = _number(sink.percentile(quantile * 100))
            yield f"{name}{_labels({**tags, 'quantile': str(quantile)})} {value}"
        yield f"{name}_sum{_labels(tags)} {_number(sink.total)}"
        yield f"{name}_count{_labels(tags)} {sink.count}"


def _labels(tags: Mapping[str, str]) -> str:
    inside = ",".join(f'{_label_name(name)}="{_escaped(value)}"' for name, value in sorted(tags.items()))
    return f"{{{inside}}}" if inside else ""


def _label_name(name: str) -> str:
    plain = "".join(letter if letter.isascii() and (letter.isalnum() or letter == "_") else "_" for letter in name)
    return f"_{plain}" if not plain or plain[0].isdigit() else plain


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
