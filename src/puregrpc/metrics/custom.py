"""Metrics of the user's own, as in k6: ``errors = Counter("errors"); errors.add(1, {"kind": "late"})``."""

from __future__ import annotations

import math
from collections.abc import Mapping

from puregrpc.errors import InvalidArgument
from puregrpc.metrics.current import current_metrics, current_surroundings, series_here, tag_values
from puregrpc.metrics.registry import Contains, Metrics
from puregrpc.metrics.sinks import Kind

__all__ = ["Counter", "Gauge", "Rate", "Trend"]


class _Custom:
    kind: Kind

    def __init__(self, name: str, is_time: bool = False, *, metrics: Metrics | None = None) -> None:
        """``name``: letters, digits and _. ``is_time``: the values are milliseconds and shown as such.

        Samples go to ``metrics``, or else to the run that the code which adds them is part of.
        """
        self.name = name
        self._contains: Contains = "time" if is_time else "default"
        self._metrics = metrics
        (metrics or current_metrics()).metric(name, self.kind, self._contains)

    def add(self, value: float, tags: Mapping[str, object] | None = None) -> None:
        """Take a sample, with further tags. Raises InvalidArgument if it is not a number, or not finite."""
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise InvalidArgument(f"{self.name!r} takes finite numbers, not this {type(value).__name__}")
        metrics = self._metrics or current_metrics()
        if tags:
            all_tags = {**current_surroundings().tags, **tag_values(tags)}
            metrics.add(self.name, self.kind, number, all_tags, contains=self._contains)
        else:
            series_here(metrics, self.name, self.kind, self._contains).note(number)


class Counter(_Custom):
    """A sum."""

    kind = "counter"


class Gauge(_Custom):
    """The last value, and the least and largest."""

    kind = "gauge"


class Rate(_Custom):
    """How many of the values were true."""

    kind = "rate"


class Trend(_Custom):
    """A distribution, with its average and percentiles."""

    kind = "trend"
