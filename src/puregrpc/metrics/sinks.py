"""What the samples of a metric add up to: one sink for each of k6's four kinds of metric.

Sinks are mergeable: two that took different samples become one that took both. Not safe for threads by themselves.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from math import ceil, log
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

if TYPE_CHECKING:
    from ddsketch.ddsketch import BaseDDSketch

__all__ = ["SINKS", "CounterSink", "GaugeSink", "Kind", "RateSink", "Sink", "TrendSink"]

Kind = Literal["counter", "gauge", "rate", "trend"]

EXACT_SAMPLES = 5_000
"""A trend keeps so many samples as they are. What has more is a load test, and there k6's way of keeping all of them
would take memory without bound."""

RELATIVE_ACCURACY = 0.005
"""Beyond, a percentile is within 0.5 % of the one that k6 tells, in some hundred bins."""

MAX_BINS = 4096
"""Enough for values whose largest is 10**17 times the smallest; beyond that the smallest ones are put together."""

BINS_PER_E = 1 / math.log((1 + RELATIVE_ACCURACY) / (1 - RELATIVE_ACCURACY))
"""The sketch's own bins: each ends at (1 + accuracy) / (1 - accuracy) times the end of the one before it (Masson, Rim
and Lee, "DDSketch", VLDB 2019, section 2)."""

LEAST_BINNED = 1e-9
MOST_BINNED = 1e18
"""Values that are put into bins many at a time. The sketch takes all others one by one."""

_S = TypeVar("_S", bound="Sink")


class Sink(ABC):
    """The sum of samples. ``values`` are named as k6's summary and thresholds name them."""

    __slots__ = ("count",)
    kind: ClassVar[Kind]

    def __init__(self) -> None:
        self.count = 0
        """How many samples were taken."""

    @abstractmethod
    def add(self, value: float) -> None:
        """Take a sample."""

    def add_all(self, values: list[float]) -> None:
        """Take several samples."""
        for value in values:
            self.add(value)

    @abstractmethod
    def merge(self: _S, other: _S) -> None:
        """Take all that ``other`` took."""

    @abstractmethod
    def value(self, name: str, seconds: float) -> float:
        """One of its values, such as ``rate``; ``seconds`` is how long samples were taken. Raises KeyError."""

    @classmethod
    def of(cls: type[_S], sinks: list[_S]) -> _S:
        """All of ``sinks`` in one."""
        merged = cls()
        for sink in sinks:
            merged.merge(sink)
        return merged


class CounterSink(Sink):
    """A sum: ``count`` (the sum) and ``rate`` (the sum a second)."""

    __slots__ = ("total",)
    kind = "counter"

    def __init__(self) -> None:
        super().__init__()
        self.total = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value

    def add_all(self, values: list[float]) -> None:
        self.count += len(values)
        self.total += sum(values)

    def merge(self, other: CounterSink) -> None:
        self.count += other.count
        self.total += other.total

    def value(self, name: str, seconds: float) -> float:
        if name == "count":
            return self.total
        if name == "rate":
            return self.total / seconds if seconds > 0 else 0.0
        raise KeyError(name)


class GaugeSink(Sink):
    """The last sample: ``value``, ``min``, ``max``."""

    __slots__ = ("last", "maximum", "minimum")
    kind = "gauge"

    def __init__(self) -> None:
        super().__init__()
        self.last = 0.0
        self.minimum = math.inf
        self.maximum = 0.0  # as k6 has it: never below

    def add(self, value: float) -> None:
        self.count += 1
        self.last = value
        self.minimum = min(self.minimum, value)
        self.maximum = max(self.maximum, value)

    def merge(self, other: GaugeSink) -> None:
        if other.count:
            self.count += other.count
            self.last = other.last
            self.minimum = min(self.minimum, other.minimum)
            self.maximum = max(self.maximum, other.maximum)

    def value(self, name: str, seconds: float) -> float:  # noqa: ARG002 - the others need it
        if name == "value":
            return self.last
        if name in ("min", "max"):
            return (self.minimum if name == "min" else self.maximum) if self.count else 0.0
        raise KeyError(name)


class RateSink(Sink):
    """How many of the samples were true (not 0): ``rate`` from 0 to 1, ``passes``, ``fails``."""

    __slots__ = ("passes",)
    kind = "rate"

    def __init__(self) -> None:
        super().__init__()
        self.passes = 0

    def add(self, value: float) -> None:
        self.count += 1
        if value:
            self.passes += 1

    def add_all(self, values: list[float]) -> None:
        self.count += len(values)
        self.passes += len(values) - values.count(0)

    def merge(self, other: RateSink) -> None:
        self.count += other.count
        self.passes += other.passes

    def value(self, name: str, seconds: float) -> float:  # noqa: ARG002 - the others need it
        if name == "rate":
            return self.passes / self.count if self.count else 0.0
        if name == "passes":
            return self.passes
        if name == "fails":
            return self.count - self.passes
        raise KeyError(name)


class TrendSink(Sink):
    """A distribution: ``avg``, ``min``, ``max``, ``count``, ``med`` and ``p(N)``.

    A percentile that falls between two samples is interpolated between them, as k6 does. With up to EXACT_SAMPLES
    samples ``med`` and ``p(N)`` are exact; with more, each sample is known within RELATIVE_ACCURACY of its value.
    """

    __slots__ = ("_bins", "_sketch", "_values", "maximum", "minimum", "total")
    kind = "trend"

    def __init__(self) -> None:
        super().__init__()
        self._values = array("d")
        """All samples, while they are few."""
        self._sketch: BaseDDSketch | None = None
        """What stands for the samples when they are many."""
        self._bins: Counter[int] = Counter()
        """How many samples of each bin the sketch has still to take: it takes four times as long for each one."""
        self.total = 0.0
        self.minimum = math.inf
        self.maximum = -math.inf

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        if value < self.minimum:
            self.minimum = value
        if value > self.maximum:
            self.maximum = value
        if self._sketch is not None:
            self._sketch.add(value)
        else:
            self._values.append(value)
            if len(self._values) > EXACT_SAMPLES:
                self._to_sketch()

    def add_all(self, values: list[float]) -> None:
        if not values:
            return
        self.count += len(values)
        self.total += sum(values)
        self.minimum = min(self.minimum, *values)
        self.maximum = max(self.maximum, *values)
        if self._sketch is not None:
            self._bin(self._sketch, values)
        else:
            self._values.extend(values)
            if len(self._values) > EXACT_SAMPLES:
                self._to_sketch()

    def _to_sketch(self) -> BaseDDSketch:
        """The sketch, with all samples but those in bins in it."""
        if self._sketch is None:
            from ddsketch.ddsketch import LogCollapsingLowestDenseDDSketch

            self._sketch = LogCollapsingLowestDenseDDSketch(RELATIVE_ACCURACY, MAX_BINS)
            self._bin(self._sketch, self._values)
            self._values = array("d")
        return self._sketch

    def _bin(self, sketch: BaseDDSketch, values: Sequence[float]) -> None:
        if any(not LEAST_BINNED <= value <= MOST_BINNED for value in values):
            for value in values:
                sketch.add(value)
            return
        self._bins.update([ceil(log(value) * BINS_PER_E) for value in values])
        if len(self._bins) > MAX_BINS:
            self._fill(sketch)

    def _fill(self, sketch: BaseDDSketch) -> BaseDDSketch:
        """The sketch, with what is in bins in it."""
        for number, count in self._bins.items():
            sketch.add(math.exp((number - 0.5) / BINS_PER_E), count)
        self._bins.clear()
        return sketch

    def merge(self, other: TrendSink) -> None:
        if not other.count:
            return
        if other._sketch is None:
            self.add_all(other._values.tolist())
            return
        self._fill(self._to_sketch()).merge(other._fill(other._sketch))
        self.count += other.count
        self.total += other.total
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)

    def distribution(self) -> Iterator[tuple[float, int]]:
        """Values and how many samples had each, or were about it."""
        if self._sketch is None:
            yield from Counter(self._values).items()
            return
        sketch = self._fill(self._sketch)
        zeros, stores, mapping = sketch._zero_count, (sketch._store, sketch._negative_store), sketch._mapping  # noqa: SLF001
        for sign, store in zip((1.0, -1.0), stores, strict=True):
            for key, count in enumerate(store.bins, store.offset):
                if count:
                    yield min(max(sign * mapping.value(key), self.minimum), self.maximum), round(count)
        if zeros:
            yield 0.0, round(zeros)

    def percentile(self, percent: float) -> float:
        """The value that ``percent`` (0 to 100) of the samples do not exceed; 0 if there are none."""
        if not self.count:
            return 0.0
        place = min(max(percent, 0.0), 100.0) / 100 * (self.count - 1)
        below = math.floor(place)
        at = self._ranked()
        low = at(below)
        return low + (at(min(below + 1, self.count - 1)) - low) * (place - below)

    def _ranked(self) -> Callable[[int], float]:
        """Rank, from 0 -> the sample that has it, or about it."""
        if self._sketch is None:
            return sorted(self._values).__getitem__
        sketch, last = self._fill(self._sketch), self.count - 1

        def sample(rank: int) -> float:
            if rank in (0, last):
                return self.minimum if rank == 0 else self.maximum
            found = sketch.get_quantile_value((rank + 0.5) / last)  # in the middle, where no rounding leads astray
            return self.minimum if found is None else min(max(found, self.minimum), self.maximum)

        return sample

    def value(self, name: str, seconds: float) -> float:  # noqa: ARG002 - the others need it
        if name == "count":
            return self.count
        if name == "med":
            return self.percentile(50)
        if name.startswith("p(") and name.endswith(")"):
            try:
                percent = float(name[2:-1])
            except ValueError:
                percent = math.nan
            if not 0 <= percent <= 100:
                raise KeyError(name)
            return self.percentile(percent)
        if name not in ("avg", "min", "max"):
            raise KeyError(name)
        if not self.count:
            return 0.0
        return {"avg": self.total / self.count, "min": self.minimum, "max": self.maximum}[name]


SINKS: dict[Kind, type[Sink]] = {sink.kind: sink for sink in (CounterSink, GaugeSink, RateSink, TrendSink)}
