"""Where samples go that no client takes, and with which tags: the run that is under way, the group the code is in."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar, overload

from puregrpc.errors import InvalidArgument
from puregrpc.metrics.registry import Contains, Metrics, Series
from puregrpc.metrics.sinks import Kind

__all__ = [
    "OUTSIDE",
    "SCRIPT",
    "Group",
    "Surroundings",
    "active",
    "current_group",
    "current_metrics",
    "current_surroundings",
    "group",
    "running_metrics",
    "series_here",
    "surround",
    "surrounded_by",
    "tag_value",
    "tag_values",
    "taken_by",
]

T = TypeVar("T")

SCRIPT = Metrics(tags={"scenario": "default"})
"""What a plain script measures outside any load run: it is one run with one scenario."""

GROUP_SEPARATOR = "::"

MAX_INNER = 1_000
"""Groups inside of a group that are kept for the next time: names that never repeat are not kept without end."""


class Surroundings:
    """What the samples of some code have in common: its group, and the tags that they carry.

    There is one object for each, by which what was found for one is found again.
    """

    __slots__ = ("_inner", "behind", "group", "key", "outer", "tags")

    def __init__(self, tags: Mapping[str, str], group: str = "", *, key: Surroundings | None = None) -> None:
        self.group = group
        self.key = key or self
        """Others with the same tags, by which series are found."""
        self.behind: float | None = None
        """How many seconds the code began later than it should have; None if nothing was planned."""
        self.tags: dict[str, str] = {"group": group, **tags}
        """Of each sample; a sample's own go before them."""
        self.outer: Surroundings | None = None
        """Those that the group is in."""
        self._inner: dict[str, Surroundings] = {}

    def inner(self, name: str) -> Surroundings:
        """Those of a group in this one."""
        found = self._inner.get(name)
        if found is None:
            group = f"{self.group}{GROUP_SEPARATOR}{name}"
            key = None if self.key is self else self.key.inner(name)
            found = Surroundings({**self.tags, "group": group}, group, key=key)
            found.outer = self
            if len(self._inner) < MAX_INNER:
                self._inner[name] = found
        found.behind = self.behind
        return found

    def in_group(self, path: str) -> Surroundings:
        """Those of a group by its path, as `current_group` gives it."""
        found = self
        for name in path.split(GROUP_SEPARATOR)[1:]:
            found = found.inner(name)
        return found


OUTSIDE = Surroundings({})

_running: ContextVar[Metrics | None] = ContextVar("puregrpc_running_metrics", default=None)
_surroundings: ContextVar[Surroundings] = ContextVar("puregrpc_surroundings", default=OUTSIDE)

current_surroundings = _surroundings.get
"""The surroundings of the code that asks."""

surround = _surroundings.set
"""From here on, the code of this task or thread has other surroundings."""


def running_metrics() -> Metrics | None:
    """The registry of the load run that this code is part of; None in a plain script."""
    return _running.get()


def taken_by(metrics: Metrics) -> Metrics:
    """Who takes what a client measures in this code: the load run that it is part of, or else its own ``metrics``.

    Those that somebody has given to a client take all that it measures.
    """
    running = _running.get()
    return metrics if running is None or metrics.include is not SCRIPT else running


def current_metrics() -> Metrics:
    """The registry of the load run that this code is part of, or else the script's."""
    return _running.get() or SCRIPT


def current_group() -> str:
    """The path of the group that this code is in, such as ``::login::token``; empty outside groups."""
    return _surroundings.get().group


@contextmanager
def surrounded_by(surroundings: Surroundings) -> Iterator[None]:
    """Samples of this code have the tags of ``surroundings``."""
    token = _surroundings.set(surroundings)
    try:
        yield
    finally:
        _surroundings.reset(token)


def series_here(metrics: Metrics, name: str, kind: Kind, contains: Contains = "default") -> Series:
    """Where the samples of a metric go that have the tags of the code that asks, and no others."""
    surroundings = _surroundings.get()
    key = (name, kind, surroundings.key)
    series = metrics.quick.get(key)
    if series is None:
        metric = metrics.metric(name, kind, contains)
        series = metrics.keep(key, metric.with_tags({**metrics.tags, **surroundings.tags}))
    return series


@contextmanager
def active(metrics: Metrics) -> Iterator[Metrics]:
    """Samples of this code, and of clients made in it, go to ``metrics``."""
    token = _running.set(metrics)
    try:
        yield metrics
    finally:
        _running.reset(token)


def check_own_name(name: str) -> None:
    """Raise InvalidArgument if the name of a group or check has in it what separates groups, as k6 does."""
    if GROUP_SEPARATOR in name:
        raise InvalidArgument(f"group and check names may not contain '{GROUP_SEPARATOR}': {name!r}")


class Group:
    """A block whose samples are tagged with its path and whose duration is measured (``group_duration``)."""

    def __init__(self, name: str) -> None:
        if not isinstance(name, str):
            raise InvalidArgument(f"the name of a group is text, not {type(name).__name__}")
        check_own_name(name)
        self._name = name

    def __enter__(self) -> Group:
        self._entered = _surroundings.get().inner(self._name)
        self._token = _surroundings.set(self._entered)
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        milliseconds = (time.perf_counter() - self._began) * 1000
        series_here(current_metrics(), "group_duration", "trend", "time").note(milliseconds)
        now = _surroundings.get()
        if now is self._entered or now.outer is None:
            _surroundings.reset(self._token)
        else:  # the user was given tags inside, which stay
            _surroundings.set(now.outer)


@overload
def group(name: str) -> Group: ...
@overload
def group(name: str, function: Callable[[], T]) -> T: ...
def group(name: str, function: Callable[[], T] | None = None) -> Group | T:
    """Tag what happens inside with a group, and measure how long that takes (``group_duration``).

    ``group("login", function)`` calls the function and returns what it returns, as in k6;
    ``with group("login"): ...`` does the same for a block. Groups nest: ``::login::token``.
    """
    block = Group(name)
    if function is None:
        return block
    with block:
        return function()


def tag_values(tags: Mapping[str, object] | None) -> dict[str, str]:
    """Tags as text: strings, numbers and booleans are taken. Raises InvalidArgument with k6's words."""
    return {str(key): tag_value(str(key), value) for key, value in (tags or {}).items()}


def number_text(value: float) -> str:
    """A number as JavaScript writes it."""
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    digits, exponent, power = repr(value).partition("e")
    if exponent:
        return f"{digits}e{int(power):+d}" if abs(value) >= 1e21 or abs(value) < 1e-6 else f"{value:.20f}".rstrip("0")
    return digits


def tag_value(key: str, value: object) -> str:
    """One tag's value as text."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return number_text(value)
    raise InvalidArgument(
        f"invalid value for metric tag '{key}': "
        "only String, Boolean and Number types are accepted as a metric tag values"
    )
