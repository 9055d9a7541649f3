"""The text that Prometheus scrapes."""

from __future__ import annotations

from puregrpc.load.outputs.prometheus import exposition
from puregrpc.metrics import Metrics


def test_each_kind_of_metric() -> None:
    metrics = Metrics()
    metrics.add("made", "counter", 2.5, {"odd name": 'a "b"\\\n'})
    metrics.add("size", "gauge", 7)
    metrics.add("checks", "rate", 1, {"check": "ok"})
    metrics.add("checks", "rate", 0, {"check": "ok"})
    for value in (1.0, 2.0, 3.0):
        metrics.add("took", "trend", value, contains="time")
    metrics.metric("unused", "counter")
    lines = exposition(metrics).splitlines()
    assert 'puregrpc_made_total{odd_name="a \\"b\\"\\\\\\n"} 2.5' in lines
    assert "# TYPE puregrpc_made_total counter" in lines
    assert "puregrpc_size 7" in lines
    assert 'puregrpc_checks_passes_total{check="ok"} 1' in lines
    assert 'puregrpc_checks_total{check="ok"} 2' in lines
    assert "# HELP puregrpc_took trend, in milliseconds" in lines
    assert "# TYPE puregrpc_took summary" in lines
    assert 'puregrpc_took{quantile="0.5"} 2' in lines
    assert "puregrpc_took_sum 6" in lines
    assert "puregrpc_took_count 3" in lines
    assert not any("unused" in line for line in lines)
