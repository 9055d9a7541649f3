"""``check``, ``fail`` and ``sleep``, as in k6; ``group`` is in the metrics room."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

from puregrpc.client.results.records import HealthStatus, Response
from puregrpc.errors import Error, InvalidArgument
from puregrpc.metrics import Metrics, current_group, current_metrics, tag_values

__all__ = ["Failure", "check", "fail", "sleep"]

T = TypeVar("T")


class Failure(Error):  # noqa: N818 - what a script's `fail` means is no fault
    """What `fail` raises."""


def check(
    value: T,
    conditions: Mapping[str, Callable[[T], object] | object],
    tags: Mapping[str, object] | None = None,
    *,
    metrics: Metrics | None = None,
) -> bool:
    """Check ``value`` against named conditions, count each in the metric ``checks``; True if all of them hold.

    A condition is a function of the value, or a value that counts by its truth. What a condition raises counts as a
    failure and is raised on. The results go to ``metrics``, or else to where the client of a `Response` measures.
    """
    if not isinstance(conditions, Mapping):
        raise InvalidArgument(f"the conditions of a check are a dict of functions, not {type(conditions).__name__}")
    if metrics is None and isinstance(value, Response | HealthStatus):
        metrics = value.metrics
    where = metrics or current_metrics()
    extra = tag_values(tags)
    group = current_group()
    held = True
    for name, condition in conditions.items():
        passed = False
        try:
            passed = bool(condition(value) if callable(condition) else condition)
        finally:
            where.add("checks", "rate", passed, {"group": group, **extra, "check": str(name)})
        held = held and passed
    return held


def fail(reason: Any = "") -> NoReturn:
    """Give up: raises `Failure` with this reason."""
    raise Failure(str(reason))


def sleep(seconds: float) -> None:
    """Do nothing for so many seconds (not milliseconds, as in k6)."""
    time.sleep(max(float(seconds), 0.0))
