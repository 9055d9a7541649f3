"""``check``, ``fail`` and ``sleep``, as in k6; ``group`` is in the metrics room."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, NoReturn, TypeVar

from puregrpc.client.results.records import HealthStatus, Response
from puregrpc.errors import Error, InvalidArgument
from puregrpc.metrics import Metrics, Series, current_metrics, tag_values
from puregrpc.metrics.current import Surroundings, check_own_name, current_surroundings, taken_by

__all__ = ["Failure", "check", "fail", "how_to_sleep", "sleep"]

T = TypeVar("T")

MEASURED = (Response, HealthStatus)
"""What says where its client measures."""

how_to_sleep: ContextVar[Callable[[float], object]] = ContextVar("puregrpc_how_to_sleep", default=time.sleep)
"""What `sleep` does: in a load run something that its end interrupts."""


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
    Raises InvalidArgument for a name with ``::`` in it, as k6 does.
    """
    if type(conditions) is not dict and not isinstance(conditions, Mapping):
        raise InvalidArgument(f"the conditions of a check are a dict of functions, not {type(conditions).__name__}")
    if metrics is None and isinstance(value, MEASURED):
        metrics = value.metrics
    where = metrics or current_metrics()
    surroundings = current_surroundings()
    extra = tag_values(tags) if tags else None
    held = True
    for name, condition in conditions.items():
        passed = False
        try:
            passed = bool(condition(value) if callable(condition) else condition)
        finally:
            series = where.quick.get((name, surroundings.key)) if extra is None else None
            (series or _series(where, str(name), surroundings, extra)).note(passed)
        held = held and passed
    return held


def _series(where: Metrics, name: str, surroundings: Surroundings, extra: dict[str, str] | None) -> Series:
    """Where the results of a check go."""
    check_own_name(name)
    taking = taken_by(where)
    tags = {**taking.tags, **surroundings.tags, **(extra or {}), "check": name}
    series = taking.metric("checks", "rate").with_tags(tags)
    return where.keep((name, surroundings.key), series) if extra is None else series


def fail(reason: Any = "") -> NoReturn:
    """Give up: raises `Failure` with this reason."""
    raise Failure(str(reason))


def sleep(seconds: float) -> None:
    """Do nothing for so many seconds (not milliseconds, as in k6)."""
    how_to_sleep.get()(max(float(seconds), 0.0))
