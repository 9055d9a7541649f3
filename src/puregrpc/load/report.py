"""What a run came to as data: for ``handle_summary``, and for ``--summary-export``, in k6's forms."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from puregrpc.metrics import Metrics
from puregrpc.metrics.sinks import RateSink

__all__ = ["exported_summary", "summary_data"]


def summary_data(
    metrics: Metrics, trend_stats: Sequence[str], time_unit: str | None, setup_data: Any = None
) -> dict[str, Any]:
    """What ``handle_summary`` gets."""
    found = metrics.to_dict(trend_stats=trend_stats)
    return {
        "setup_data": setup_data,
        "root_group": root_group(metrics),
        "options": {"summaryTrendStats": list(trend_stats), "summaryTimeUnit": time_unit or "", "noColor": True},
        "state": {"isStdOutTTY": False, "isStdErrTTY": False, "testRunDurationMs": found["duration_ms"]},
        "metrics": found["metrics"],
    }


def exported_summary(data: dict[str, Any]) -> dict[str, Any]:
    """The file that ``--summary-export`` writes. In it a threshold is True if it was crossed, as in k6."""
    metrics: dict[str, Any] = {}
    for name, metric in data["metrics"].items():
        values = dict(metric["values"])
        if metric["type"] == "rate":
            values = {"value": values["rate"], "passes": values["passes"], "fails": values["fails"]}
        if "thresholds" in metric:
            values["thresholds"] = {source: not result["ok"] for source, result in metric["thresholds"].items()}
        metrics[name] = values
    given = {} if data["setup_data"] is None else {"setup_data": data["setup_data"]}
    return {"root_group": _by_name(data["root_group"]), "metrics": metrics, **given}


def _by_name(group: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": group["name"],
        "path": group["path"],
        "id": group["id"],
        "groups": {each["name"]: _by_name(each) for each in group["groups"]},
        "checks": {each["name"]: each for each in group["checks"]},
    }


def root_group(metrics: Metrics) -> dict[str, Any]:
    """The groups and their checks as a tree."""
    root = _group("", "")
    for series in list(metrics["checks"].series.values()) if "checks" in metrics else []:
        group = _at(root, series.tags.get("group", ""))
        name = series.tags.get("check", "")
        sink = series.settle()
        assert isinstance(sink, RateSink)
        check = next((each for each in group["checks"] if each["name"] == name), None)
        if check is None:
            whole = f"{group['path']}::{name}"
            check = {"name": name, "path": whole, "id": _id(whole), "passes": 0, "fails": 0}
            group["checks"].append(check)
        check["passes"] += sink.passes
        check["fails"] += sink.count - sink.passes
    for series in list(metrics["group_duration"].series.values()) if "group_duration" in metrics else []:
        _at(root, series.tags.get("group", ""))
    return root


def _at(root: dict[str, Any], path: str) -> dict[str, Any]:
    """The group of a path, which is made if it is not there."""
    group, above = root, ""
    for name in filter(None, path.split("::")[1:]):  # a group without a name is that around it
        above = f"{above}::{name}"
        inner = next((each for each in group["groups"] if each["name"] == name), None)
        if inner is None:
            inner = _group(name, above)
            group["groups"].append(inner)
        group = inner
    return group


def _group(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "path": path, "id": _id(path), "groups": [], "checks": []}


def _id(path: str) -> str:
    return hashlib.md5(path.encode(), usedforsecurity=False).hexdigest()
