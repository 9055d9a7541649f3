"""Thresholds: what a metric must keep to, in k6's words, such as ``p(95)<500`` or ``rate>=0.99``."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from puregrpc.errors import InvalidArgument
from puregrpc.metrics.sinks import Kind, Sink

__all__ = ["Threshold", "ThresholdResult", "braced", "parse_selector", "parse_threshold", "parse_thresholds"]

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "===": operator.eq,
    "!=": operator.ne,
}

METHODS: dict[Kind, tuple[str, ...]] = {
    "counter": ("count", "rate"),
    "gauge": ("value",),
    "rate": ("rate",),
    "trend": ("avg", "min", "max", "med", "p(N)"),
}

_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_EXPRESSION = re.compile(
    rf"\s*(?P<method>count|rate|value|avg|min|max|med|p\(\s*(?P<percent>{_NUMBER})\s*\))"
    rf"\s*(?P<operator><=|>=|===|==|!=|<|>)\s*(?P<bound>{_NUMBER})\s*",
    re.ASCII,
)
_SELECTOR = re.compile(r"(?P<name>[^{}\s]+)(?:\{\s*(?P<tags>.*?)\s*\})?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Threshold:
    """One threshold: ``method`` of the metric compared with ``bound``."""

    source: str
    """The expression as it was written."""
    method: str
    """As `Sink.value` takes it."""
    operator: str
    bound: float
    abort_on_fail: bool = False
    """A load run that crosses it stops."""
    delay_abort_eval: str | float | None = None

    def judge(self, metric: str, sink: Sink, seconds: float) -> ThresholdResult:
        """Compare the metric as it is now. A rate of nothing crosses no threshold, as in k6; what others are is 0."""
        actual = sink.value(self.method, seconds)
        is_kept = OPERATORS[self.operator](actual, self.bound) or (sink.kind == "rate" and not sink.count)
        return ThresholdResult(metric, self, actual, is_kept)


@dataclass(frozen=True, slots=True)
class ThresholdResult:
    """What became of a threshold."""

    metric: str
    """The metric's name, with the tags of a submetric: ``grpc_req_duration{status:0}``."""
    threshold: Threshold
    actual: float
    ok: bool


def parse_threshold(given: str | Mapping[str, Any], kind: Kind | None = None) -> Threshold:
    """Parse ``"p(95)<500"`` or ``{"threshold": "p(95)<500", "abortOnFail": True, "delayAbortEval": "10s"}``.

    With ``kind``, the method must be one that such a metric has. Raises InvalidArgument that says what is expected.
    """
    abort, delay = False, None
    if isinstance(given, Mapping):
        unknown = given.keys() - {"threshold", "abortOnFail", "abort_on_fail", "delayAbortEval", "delay_abort_eval"}
        if unknown or "threshold" not in given:
            raise InvalidArgument(
                f"a threshold has the keys threshold, abortOnFail and delayAbortEval, not {sorted(given)}"
            )
        abort = given.get("abortOnFail", given.get("abort_on_fail", False))
        if not isinstance(abort, bool):
            raise InvalidArgument(f"abortOnFail: True or False is expected, not {abort!r}")
        delay = given.get("delayAbortEval", given.get("delay_abort_eval"))
        given = given["threshold"]
    if not isinstance(given, str):
        raise InvalidArgument(f"a threshold is text such as 'p(95)<500', not {type(given).__name__}")
    shown = repr(given if len(given) <= 100 else f"{given[:100]}…")
    match = _EXPRESSION.fullmatch(given)
    if match is None:
        raise InvalidArgument(
            f"{shown} is not a threshold: METHOD OPERATOR NUMBER is expected, the method one of count, rate, value, "
            "avg, min, max, med, p(N), the operator one of < <= > >= == === !="
        )
    method = match["method"]
    if match["percent"] is not None:
        percent = float(match["percent"])
        if not 0 <= percent <= 100:
            raise InvalidArgument(f"{shown}: a percentile goes from 0 to 100")
        method = f"p({int(percent) if percent.is_integer() else percent})"
    if kind is not None and (method if match["percent"] is None else "p(N)") not in METHODS[kind]:
        raise InvalidArgument(f"{shown}: a {kind} has {', '.join(METHODS[kind])}, not {method}")
    bound = float(match["bound"])
    if math.isinf(bound):
        raise InvalidArgument(f"{shown}: no sample can reach the number of this threshold")
    return Threshold(given, method, match["operator"], bound, abort, delay)


def parse_thresholds(
    given: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]], kind: Kind | None = None
) -> list[Threshold]:
    """Parse one threshold or a list of them."""
    if isinstance(given, str | Mapping):
        return [parse_threshold(given, kind)]
    return [parse_threshold(one, kind) for one in given]


def parse_selector(text: str) -> tuple[str, dict[str, str]]:
    """``name`` or ``name{tag:value,tag:value}`` as a name and tags. Raises InvalidArgument.

    A tag without a value, ``{group:}``, is one that samples do not have, or have empty.
    """
    match = _SELECTOR.fullmatch(text.strip())
    if match is None:
        raise InvalidArgument(f"{text!r} does not name a metric: name or name{{tag:value}} is expected")
    tags: dict[str, str] = {}
    for pair in () if match["tags"] is None else match["tags"].split(","):
        key, colon, value = pair.partition(":")
        if not colon or not key.strip():
            raise InvalidArgument(f"{text!r}: {pair.strip()!r} is not tag:value")
        tags[key.strip().strip("\"'")] = value.strip().strip("\"'")
    return match["name"], tags


def braced(text: str) -> str:
    """What stands between the braces of ``name{tag:value,tag:value}``, as it was written."""
    match = _SELECTOR.fullmatch(text.strip())
    return "" if match is None else match["tags"] or ""
