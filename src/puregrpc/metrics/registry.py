"""Metrics: what is measured in one run, by name and tags.

Every different set of tags is a series with a sink of its own; a metric as a whole is all its series merged when it
is looked at. So a sample costs one look-up and one addition, and any selection by tags can be had afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from puregrpc._locks import Lock
from puregrpc.errors import InvalidArgument
from puregrpc.metrics.sinks import SINKS, Kind, Sink
from puregrpc.metrics.thresholds import Threshold, ThresholdResult, braced, parse_selector, parse_thresholds

__all__ = ["Contains", "Drained", "Metric", "Metrics", "Sample", "Series"]

Contains = Literal["default", "time", "data"]
"""What the values are: plain numbers, milliseconds, or octets."""

MAX_SERIES = 10_000
"""Different sets of tags a metric keeps apart. Beyond it (tags that never repeat) samples still count for the metric
as a whole and for its submetrics, in bounded memory."""

MAX_QUICK = 4096
"""Series that are kept for those who look for them again and again."""

MAX_NOTED = 256
"""Samples of a series that may wait to be put into its sink."""

Tags = Mapping[str, str]

Drained = tuple[str, Kind, Contains, "dict[str, str] | frozenset[tuple[str, str]] | None", Sink]
"""Name, kind and contents of a metric, the tags of a series (None: all series beyond MAX_SERIES; a set: those of them
that have these tags), and what it took."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement, as listeners get it."""

    metric: Metric
    value: float
    tags: Tags
    time: float
    """Seconds since the epoch."""


@dataclass(slots=True, eq=False)
class Series:
    """The samples of a metric that have the same tags."""

    metric: Metric
    tags: dict[str, str]
    sink: Sink
    also: tuple[Sink, ...] = ()
    """Sinks of submetrics that need the samples themselves, because the series beyond MAX_SERIES share one sink."""
    is_kept: bool = True
    """The metric has it and settles it; if not, its owner may drop it at any time."""
    _noted: list[float] = field(default_factory=list)
    _leader: Series | None = None
    _follower: Series | None = None
    _follows_with: float = 0.0

    def followed_by(self, other: Series, value: float) -> None:
        """Let each sample that is noted here count as one of ``value`` there, at no further cost.

        So the duration of a call counts as a call that failed, or did not.
        """
        self._follower, self._follows_with = other, value
        other._leader = self

    def add(self, value: float) -> None:
        """Take a sample."""
        metrics = self.metric.owner
        with metrics.lock:
            self.sink.add(value)
            for sink in self.also:
                sink.add(value)
            for hear in metrics.batch_listeners:
                hear(self, (value,))
        if metrics.listeners:
            metrics.tell(Sample(self.metric, value, self.tags, time.time()))

    def note(self, value: float) -> None:
        """Take a sample with little work: it goes to the sink with others, at the latest when somebody looks.

        So threads that take samples at a time do not wait for each other.
        """
        if not self.is_kept:
            self.add(value)
            if self._follower is not None:
                self._follower.add(self._follows_with)
            return
        noted = self._noted
        noted.append(value)
        if len(noted) >= MAX_NOTED:
            self.settle()
        metrics = self.metric.owner
        if metrics.listeners:
            metrics.tell(Sample(self.metric, value, self.tags, time.time()))
            follower = self._follower
            if follower is not None:
                metrics.tell(Sample(follower.metric, self._follows_with, follower.tags, time.time()))

    def settle(self) -> Sink:
        """The sink, with all samples taken so far in it."""
        if self._leader is not None:
            self._leader.settle()
        noted = self._noted
        with self.metric.owner.lock:
            values = noted[:]
            del noted[: len(values)]  # others may have added to it meanwhile
            if not values:
                return self.sink
            self.sink.add_all(values)
            hearing = self.metric.owner.batch_listeners
            for hear in hearing:
                hear(self, values)
            if self._follower is not None:
                following = [self._follows_with] * len(values)
                for sink in (self._follower.sink, *self._follower.also):
                    sink.add_all(following)
                for hear in hearing:
                    hear(self._follower, following)
        return self.sink

    def copied(self) -> Sink:
        """A copy of the sink, with all samples taken so far in it: what is looked at in another thread."""
        sink = self.settle()
        with self.metric.owner.lock:
            return SINKS[self.metric.kind].of([sink])


@dataclass(slots=True, eq=False)
class Metric:
    """A metric: a name, a kind, and its series."""

    owner: Metrics
    name: str
    kind: Kind
    contains: Contains = "default"
    series: dict[tuple[tuple[str, str], ...], Series] = field(default_factory=dict)
    overflow: Sink | None = None
    overflow_submetrics: dict[frozenset[tuple[str, str]], Sink] = field(default_factory=dict)

    def with_tags(self, tags: Tags) -> Series:
        """The series of these tags; keep it to add many samples quickly."""
        key = tuple(sorted(tags.items()))
        series = self.series.get(key)
        if series is not None:
            return series
        with self.owner.lock:
            if len(self.series) < MAX_SERIES:
                return self.series.setdefault(key, Series(self, dict(tags), SINKS[self.kind]()))
            if self.overflow is None:
                self.overflow = SINKS[self.kind]()
            matching = (wanted for wanted in self.owner.submetrics_of(self.name) if wanted <= set(key))
            also = tuple(self.overflow_submetrics.setdefault(wanted, SINKS[self.kind]()) for wanted in matching)
            return Series(self, dict(tags), self.overflow, also, is_kept=False)

    def add(self, value: float, tags: Tags | None = None) -> None:
        """Take a sample."""
        self.with_tags(tags or {}).add(value)

    def sink(self, tags: Tags | None = None) -> Sink:
        """All samples that have (at least) these tags, merged into one sink."""
        wanted = (tags or {}).items()
        with self.owner.lock:
            sinks = [series.settle() for series in self.series.values() if wanted <= series.tags.items()]
            if not wanted and self.overflow is not None:
                sinks.append(self.overflow)
            if wanted and frozenset(wanted) in self.overflow_submetrics:
                sinks.append(self.overflow_submetrics[frozenset(wanted)])
            return SINKS[self.kind].of(sinks)


class Metrics:
    """The metrics of one run. Safe for threads.

    ``tags`` are added to every sample that does not have them. ``include`` is another `Metrics` whose metrics are
    shown, judged and exported with these.
    """

    def __init__(self, *, tags: Tags | None = None, include: Metrics | None = None) -> None:
        self.tags = dict(tags or {})
        self.lock = Lock()
        self.listeners: tuple[Callable[[Sample], None], ...] = ()
        self.batch_listeners: tuple[Callable[[Series, Sequence[float] | Sink], None], ...] = ()
        self.quick: dict[object, Series] = {}
        """Series by what else finds them than their tags; see `keep`."""
        self.include = include
        self._metrics: dict[str, Metric] = {}
        self._thresholds: dict[str, list[Threshold]] = {}
        self._began = time.monotonic()
        self._ended: float | None = None
        self._before_reading: dict[object, Callable[[], None]] = {}
        self._updating = Lock()
        """So that what is only counted now and then is not counted by two threads at a time."""

    # -- making and taking

    def metric(self, name: str, kind: Kind, contains: Contains = "default") -> Metric:
        """The metric of this name, made if it is new. Raises InvalidArgument if it is there as something else."""
        known = self._metrics.get(name)
        if known is None:
            check_name(name)
            with self.lock:
                known = self._metrics.setdefault(name, Metric(self, name, kind, contains))
        if known.kind != kind or known.contains != contains:
            raise InvalidArgument(
                f"metric {name!r} is a {known.kind} ({known.contains}) already and cannot be a {kind} ({contains}) too"
            )
        return known

    def add(
        self, name: str, kind: Kind, value: float, tags: Tags | None = None, *, contains: Contains = "default"
    ) -> None:
        """Take a sample of a metric, which is made if it is new."""
        self.metric(name, kind, contains).add(value, {**self.tags, **(tags or {})})

    def keep(self, key: object, series: Series) -> Series:
        """Have a series found in ``quick``, unless there are too many; returns it."""
        if series.is_kept and len(self.quick) < MAX_QUICK:
            self.quick[key] = series
        return series

    def listen(self, listener: Callable[[Sample], None]) -> Callable[[], None]:
        """Have every further sample told to ``listener``, on the thread that takes it. Returns what ends that.

        If it has a method ``flush``, that is called when a client that measures here is closed.
        """
        with self.lock:
            self.listeners = (*self.listeners, listener)

        def stop() -> None:
            with self.lock:
                self.listeners = tuple(other for other in self.listeners if other is not listener)

        return stop

    def on_batch(self, hear: Callable[[Series, Sequence[float] | Sink], None]) -> None:
        """Have samples told to ``hear`` many at a time, when they are put into their sinks, which `settle` does.

        It gets the samples of a series, or a sink with those that another process took. It is called with the lock
        held.
        """
        with self.lock:
            self.batch_listeners = (*self.batch_listeners, hear)

    def settle(self) -> None:
        """Put all samples taken so far into their sinks."""
        for metric in self:
            for series in list(metric.series.values()):
                series.settle()

    def tell(self, sample: Sample) -> None:
        """Hand a sample to those who listen."""
        for listener in self.listeners:
            listener(sample)

    def flush(self) -> None:
        """Have those who listen write what they have."""
        for listener in self.listeners:
            flush = getattr(listener, "flush", None)
            if flush is not None:
                flush()

    def before_reading(self, update: Callable[[], None]) -> Callable[[], None]:
        """Have ``update`` called before the metrics are looked at, to add what is only counted now and then.

        Returns what ends that.
        """
        key = object()
        with self.lock:
            self._before_reading[key] = update

        def stop() -> None:
            with self.lock:
                self._before_reading.pop(key, None)

        return stop

    def merge(self, other: Metrics) -> None:
        """Take every sample that ``other`` took, as from another thread, process or client."""
        for metric in other:
            mine = self.metric(metric.name, metric.kind, metric.contains)
            for series in list(metric.series.values()):
                taken = series.settle()
                target = mine.with_tags(series.tags)
                with self.lock:
                    for sink in (target.sink, *target.also):
                        sink.merge(taken)
            if metric.overflow is not None:
                with self.lock:
                    mine.overflow = mine.overflow or SINKS[metric.kind]()
                    mine.overflow.merge(metric.overflow)

    def drain(self) -> list[Drained]:
        """What was taken since the last time, to be sent to another process, which takes it with `absorb`."""
        found: list[Drained] = []
        for metric in self:
            make = SINKS[metric.kind]
            kind = metric.name, metric.kind, metric.contains
            with self.lock:
                for series in metric.series.values():
                    if series.settle().count:
                        found.append((*kind, series.tags, series.sink))
                        series.sink = make()
                if metric.overflow is not None and metric.overflow.count:
                    found.append((*kind, None, metric.overflow))
                    found += ((*kind, tags, sink) for tags, sink in metric.overflow_submetrics.items() if sink.count)
                    metric.overflow = None
                    metric.overflow_submetrics = {}
        return found

    def absorb(self, drained: Iterable[Drained]) -> None:
        """Take what `drain` gave in another process."""
        for name, kind, contains, tags, taken in drained:
            metric = self.metric(name, kind, contains)
            if isinstance(tags, dict):
                series = metric.with_tags(tags)
                with self.lock:
                    for sink in (series.sink, *series.also):
                        sink.merge(taken)
                    for hear in self.batch_listeners:
                        hear(series, taken)
                continue
            with self.lock:
                if tags is None:
                    metric.overflow = metric.overflow or SINKS[kind]()
                    metric.overflow.merge(taken)
                else:
                    metric.overflow_submetrics.setdefault(tags, SINKS[kind]()).merge(taken)

    # -- time

    @property
    def seconds(self) -> float:
        """How long the run has gone on, or went on: what rates are counted by."""
        return (time.monotonic() if self._ended is None else self._ended) - self._began

    def begin(self) -> None:
        """The run begins now, and not when this object was made."""
        self._began, self._ended = time.monotonic(), None

    def end(self) -> None:
        """The run is over: rates change no more."""
        self._ended = time.monotonic()

    # -- looking

    def _update(self) -> None:
        """Add what is only counted now and then."""
        with self._updating:
            for update in list(self._before_reading.values()):
                update()

    def __iter__(self) -> Iterator[Metric]:
        self._update()
        own = dict(self._metrics)
        yield from own.values()
        if self.include is not None:
            yield from (metric for metric in self.include if metric.name not in own)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name) is not None

    def __getitem__(self, name: str) -> Metric:
        """The metric of this name. Raises KeyError."""
        found = self.find(name)
        if found is None:
            raise KeyError(name)
        return found

    def find(self, name: str) -> Metric | None:
        """The metric of this name, or None."""
        self._update()
        found = self._metrics.get(name)
        return self.include.find(name) if found is None and self.include is not None else found

    def sinks(self, name: str, tags: Tags | None = None) -> Sink | None:
        """All samples of a metric that have these tags, those of the included metrics too; None: no such metric."""
        every = (metrics.find(name) for metrics in (self, self.include) if metrics is not None)
        unique = list({id(metric): metric for metric in every if metric is not None}.values())
        if not unique:
            return None
        return SINKS[unique[0].kind].of([metric.sink(tags) for metric in unique if metric.kind == unique[0].kind])

    def value(self, selector: str, of: str) -> float:
        """One value, as ``metrics.value("grpc_req_duration{status:0}", "p(95)")``; times are ms, sizes octets.

        Raises KeyError if there is no such metric or value.
        """
        name, tags = parse_selector(selector)
        sink = self.sinks(name, tags)
        if sink is None:
            raise KeyError(name)
        return sink.value(of, self.seconds)

    # -- thresholds

    def add_thresholds(
        self, thresholds: Mapping[str, str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]]
    ) -> None:
        """Add thresholds: ``{"grpc_req_duration{status:0}": ["p(95)<500"]}``. Raises InvalidArgument."""
        for selector, given in thresholds.items():
            name, tags = parse_selector(selector)
            known = self._metrics.get(name)
            parsed = parse_thresholds(given, known.kind if known is not None else None)
            self._thresholds.setdefault(f"{name}{{{braced(selector)}}}" if tags else name, []).extend(parsed)

    def submetrics_of(self, name: str) -> list[frozenset[tuple[str, str]]]:
        """The tags of the submetrics of a metric that thresholds are on."""
        selectors = (parse_selector(selector) for selector in self._thresholds)
        return [frozenset(tags.items()) for metric, tags in selectors if metric == name and tags]

    @property
    def thresholds(self) -> Mapping[str, Sequence[Threshold]]:
        """Metric or submetric -> its thresholds."""
        return self._thresholds

    def judge(self, *, only_taken: bool = False) -> list[ThresholdResult]:
        """Judge every threshold. Raises InvalidArgument for one on a metric that does not exist.

        ``only_taken``: those on metrics without a sample are left out.
        """
        results = []
        for selector, thresholds in self._thresholds.items():
            name, tags = parse_selector(selector)
            sink = self.sinks(name, tags)
            if sink is None:
                from difflib import get_close_matches  # most do without

                near = get_close_matches(name, self._metrics, 1)
                hint = f" (is {near[0]!r} meant?)" if near else ""
                raise InvalidArgument(f"a threshold is defined on {name!r}, but there is no such metric{hint}")
            if only_taken and not sink.count:
                continue
            for threshold in thresholds:
                try:
                    results.append(threshold.judge(selector, sink, self.seconds))
                except KeyError:
                    raise InvalidArgument(
                        f"{threshold.source!r}: a {sink.kind} such as {name!r} has no {threshold.method}"
                    ) from None
        return results

    # -- showing

    def summary(
        self,
        *,
        trend_stats: Sequence[str] | None = None,
        time_unit: str | None = None,
        mode: Literal["compact", "full", "legacy"] | None = None,
    ) -> str:
        """The metrics as text, laid out as k6's end-of-test summary.

        ``trend_stats``: the columns of trends (default avg, min, med, max, p(90), p(95)). ``time_unit``: ``s``,
        ``ms`` or ``us``; each value in its own if None. ``mode``: one of k6's; if None, checks are in their groups.
        """
        from puregrpc.metrics.summary import summary

        return summary(self, trend_stats=trend_stats, time_unit=time_unit, mode=mode)

    def to_dict(self, *, trend_stats: Sequence[str] | None = None) -> dict[str, Any]:
        """The metrics as data that `json.dumps` takes: name -> type, contains, values, thresholds."""
        from puregrpc.metrics.export import to_dict

        return to_dict(self, trend_stats=trend_stats)


def check_name(name: str) -> None:
    """Raise InvalidArgument if ``name`` cannot name a metric (k6: letters, digits and _, 128 at most)."""
    if not (name.isascii() and name.replace("_", "a").isalnum() and not name[0].isdigit() and len(name) <= 128):
        raise InvalidArgument(
            f"{name!r} cannot name a metric: up to 128 ASCII letters, digits and '_' are, not beginning with a digit"
        )
