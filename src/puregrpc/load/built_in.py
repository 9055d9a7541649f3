"""The metrics that every run has, before anything is measured: thresholds may be on them."""

from __future__ import annotations

from puregrpc.client.calls.measure import Meter
from puregrpc.metrics import Kind, Metrics
from puregrpc.metrics.registry import Contains

__all__ = ["run_metrics"]

BUILT_IN: tuple[tuple[str, Kind, Contains], ...] = (
    ("checks", "rate", "default"),
    ("group_duration", "trend", "time"),
    ("iterations", "counter", "default"),
    ("iteration_duration", "trend", "time"),
    ("iteration_errors", "counter", "default"),
    ("dropped_iterations", "counter", "default"),
    ("generator_lag", "trend", "time"),
    ("vus", "gauge", "default"),
    ("vus_max", "gauge", "default"),
)
"""What every run measures, beside the calls."""


def run_metrics() -> Metrics:
    """The metrics of a run in which nothing has happened yet."""
    metrics = Metrics()
    Meter(metrics)
    for name, kind, contains in BUILT_IN:
        metrics.metric(name, kind, contains)
    return metrics
