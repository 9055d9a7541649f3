"""The report of a run as a page of its own, and the same while it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from puregrpc._pages import filled_page
from puregrpc.load.timeline import Timeline
from puregrpc.metrics import Metrics
from puregrpc.metrics.sinks import RateSink

__all__ = ["page", "page_data"]

TREND_STATS = ("avg", "min", "med", "p(90)", "p(95)", "p(99)", "max", "count")


def page_data(
    metrics: Metrics,
    timeline: Timeline,
    *,
    script: str,
    scenarios: Sequence[str],
    state: str,
    summary: str,
    is_over: bool,
    controls: bool = False,
    is_paused: bool = False,
) -> dict[str, Any]:
    """What the page shows. ``state`` says in words how the run stands; ``controls``: users can be set from it."""
    found = metrics.to_dict(trend_stats=TREND_STATS)
    return {
        "script": script,
        "scenarios": list(scenarios),
        "state": state,
        "is_over": is_over,
        "controls": controls,
        "is_paused": is_paused,
        "seconds": metrics.seconds,
        "points": list(timeline.points),
        "metrics": found["metrics"],
        "thresholds": [
            {"metric": each.metric, "source": each.threshold.source, "actual": each.actual, "ok": each.ok}
            for each in metrics.judge()
        ],
        "checks": _checks(metrics),
        "summary": summary,
    }


def _checks(metrics: Metrics) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    if "checks" not in metrics:
        return []
    for series in list(metrics["checks"].series.values()):
        sink = series.copied()
        if isinstance(sink, RateSink) and sink.count:
            group = series.tags.get("group", "").removeprefix("::").replace("::", " / ")
            name = f"{group} / {series.tags.get('check', '')}" if group else series.tags.get("check", "")
            entry = found.setdefault(name, {"name": name, "passes": 0, "fails": 0})
            entry["passes"] += sink.passes
            entry["fails"] += sink.count - sink.passes
    return list(found.values())


def page(data: dict[str, Any] | None, title: str) -> str:
    """The page with its data inside; without any, it asks where it came from for them, again and again."""
    return filled_page("puregrpc.load", title, {"live": True} if data is None else data)
