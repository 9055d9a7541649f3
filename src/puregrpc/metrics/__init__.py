"""Counter, Gauge, Rate, Trend, tags, groups, thresholds, summary. Knows nothing of gRPC."""

from puregrpc.metrics.current import active, current_group, current_metrics, group, running_metrics, tag_values
from puregrpc.metrics.custom import Counter, Gauge, Rate, Trend
from puregrpc.metrics.export import CsvLines, JsonLines
from puregrpc.metrics.registry import Metric, Metrics, Sample, Series
from puregrpc.metrics.sinks import Kind, Sink
from puregrpc.metrics.thresholds import Threshold, ThresholdResult

__all__ = [
    "Counter",
    "CsvLines",
    "Gauge",
    "JsonLines",
    "Kind",
    "Metric",
    "Metrics",
    "Rate",
    "Sample",
    "Series",
    "Sink",
    "Threshold",
    "ThresholdResult",
    "Trend",
    "active",
    "current_group",
    "current_metrics",
    "group",
    "running_metrics",
    "tag_values",
]
