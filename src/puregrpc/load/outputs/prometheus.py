"""The metrics of a run as Prometheus has them, and its text format (exposition format 0.0.4), to be scraped.

Counters end in ``_total``; trends are summaries; rates are two counters: how many samples there were, and how many of
them were true.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from puregrpc.load.outputs.exporter import Taken
from puregrpc.metrics import Metric, Metrics, Sink
from puregrpc.metrics.sinks import CounterSink, GaugeSink, RateSink, TrendSink

__all__ = ["CONTENT_TYPE", "Family", "Sample", "exposition", "families", "label_name"]

CONTENT_TYPE = "text/plain; version=0.0.4"

PREFIX = "puregrpc_"

QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)

KINDS: dict[str, Literal["counter", "gauge", "summary"]] = {
    "counter": "counter",
    "gauge": "gauge",
    "rate": "counter",
    "trend": "summary",
}


@dataclass(frozen=True)
class Sample:
    """A value: what stands behind the family's name, the labels, the value."""

    suffix: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class Family:
    """What Prometheus takes for one metric."""

    name: str
    kind: Literal["counter", "gauge", "summary"]
    help: str
    samples: list[Sample] = field(default_factory=list)


def families(taken: Iterable[Taken]) -> list[Family]:
    """What was taken, by family."""
    found: dict[str, Family] = {}
    for each in taken:
        for name, sample in _samples(each.tags, each.sink):
            whole = PREFIX + each.metric.name + name
            family = found.get(whole)
            if family is None:
                family = found[whole] = Family(whole, KINDS[each.metric.kind], _help(each.metric))
            family.samples.append(sample)
    return list(found.values())


def _help(metric: Metric) -> str:
    unit = {"time": ", in milliseconds", "data": ", in bytes"}.get(metric.contains, "")
    return f"{metric.kind}{unit}"


def _samples(tags: Mapping[str, str], sink: Sink) -> Iterator[tuple[str, Sample]]:
    """What a sink gives: what stands behind the metric's name to name the family, and the sample."""
    if isinstance(sink, CounterSink):
        yield "_total", Sample("", tags, sink.total)
    elif isinstance(sink, GaugeSink):
        yield "", Sample("", tags, sink.last)
    elif isinstance(sink, RateSink):
        yield "_passes_total", Sample("", tags, sink.passes)
        yield "_total", Sample("", tags, sink.count)
    elif isinstance(sink, TrendSink):
        for quantile in QUANTILES:
            yield "", Sample("", {**tags, "quantile": str(quantile)}, sink.percentile(quantile * 100))
        yield "", Sample("_sum", tags, sink.total)
        yield "", Sample("_count", tags, sink.count)


def exposition(metrics: Metrics) -> str:
    """All metrics as text."""
    taken = (
        Taken(metric, series.tags, series.copied())
        for metric in metrics
        for series in list(metric.series.values())
        if series.settle().count
    )
    return "".join(f"{line}\n" for family in families(taken) for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {family.help}"
    yield f"# TYPE {family.name} {family.kind}"
    for sample in family.samples:
        yield f"{family.name}{sample.suffix}{_labels(sample.labels)} {_number(sample.value)}"


def _labels(tags: Mapping[str, str]) -> str:
    inside = ",".join(f'{label_name(name)}="{_escaped(value)}"' for name, value in sorted(tags.items()))
    return f"{{{inside}}}" if inside else ""


def label_name(name: str) -> str:
    """A tag's name as a label's, of ASCII letters, digits and ``_``."""
    plain = "".join(letter if letter.isascii() and (letter.isalnum() or letter == "_") else "_" for letter in name)
    return f"_{plain}" if not plain or plain[0].isdigit() else plain


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
