"""What calls give to a script. Each is a dict with fixed keys that can be read as attributes too.

So ``response.status`` reads as in k6, and ``json.dumps(response)`` writes what ``JSON.stringify`` does.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

from puregrpc.client.results.constants import STATUS_NAMES, HealthState, StatusName
from puregrpc.metrics import Metrics

__all__ = ["CallError", "EventMeta", "HealthStatus", "MethodInfo", "Record", "Response"]


class Record(dict[str, Any]):
    """A dict whose keys are attributes; keys cannot be added as attributes."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has {', '.join(self)}, but no {name!r}") from None

    def __setattr__(self, name: str, value: object) -> None:
        if name not in self:
            raise AttributeError(f"{type(self).__name__} has {', '.join(self)}, but no {name!r}")
        self[name] = value

    def __reduce__(self) -> tuple[Any, ...]:
        return restored, (type(self), dict(self))

    def __repr__(self) -> str:
        inside = ", ".join(f"{key}={value!r}" for key, value in self.items())
        return f"{type(self).__name__}({inside})"


def restored(kind: type[Record], items: dict[str, Any]) -> Record:
    """A copy of a record, as `copy` and `pickle` make it; it belongs to no client's metrics."""
    record = kind.__new__(kind)
    record.update(items)
    return record


class CallError(Record):
    """Why a call did not end with OK: ``code``, ``message``, ``details``.

    ``details`` are the messages in google.rpc.Status as dicts with ``@type``.
    """

    __slots__ = ()
    code: StatusName
    message: str
    details: list[dict[str, Any]]

    def __init__(self, code: int, message: str, details: list[dict[str, Any]]) -> None:
        super().__init__(code=StatusName(code), message=message, details=details)

    def __str__(self) -> str:
        return f"code: {int(self['code'])}, message: {self['message']}"


class Response(Record):
    """What a call gave: ``message``, ``error``, ``headers``, ``trailers``, ``status``.

    ``message`` is the reply as a dict (or what a well-known type stands for), all defaults if the call failed, None
    if it was discarded. ``error`` is None for OK. ``headers`` and ``trailers``: name -> list of values, bytes for
    names in ``-bin``. ``status`` equals one of the ``Status…`` constants.
    """

    __slots__ = ("_metrics",)
    message: Any
    error: CallError | None
    headers: dict[str, list[str | bytes]]
    trailers: dict[str, list[str | bytes]]
    status: StatusName

    def __init__(
        self,
        message: Any,
        error: CallError | None,
        headers: dict[str, list[str | bytes]],
        trailers: dict[str, list[str | bytes]],
        status: int,
        metrics: Metrics | None = None,
    ) -> None:
        self["message"] = message
        self["error"] = error
        self["headers"] = headers
        self["trailers"] = trailers
        self["status"] = STATUS_NAMES[status] if status in STATUS_NAMES else StatusName(status)
        _set_metrics(self, metrics)

    @property
    def metrics(self) -> Metrics | None:
        """Where the client that made the call measures: `check` puts its result there."""
        found: Metrics | None = getattr(self, "_metrics", None)
        return found


for _name in ("message", "error", "headers", "trailers", "status"):
    setattr(
        Response, _name, property(itemgetter(_name))
    )  # a check reads one: `Record.__getattr__` takes ten times as long

_set_metrics: Callable[[Response, Metrics | None], None] = Response.__dict__["_metrics"].__set__
"""Past `Record.__setattr__`, and in half of the time of ``object.__setattr__``: each call makes a response."""


class HealthStatus(Record):
    """What a health check gave: ``status``, one of the ``HealthCheck…`` constants."""

    __slots__ = ("_metrics",)
    status: HealthState

    def __init__(self, status: int, metrics: Metrics | None = None) -> None:
        super().__init__(status=HealthState(status))
        object.__setattr__(self, "_metrics", metrics)

    @property
    def metrics(self) -> Metrics | None:
        """Where the client that made the check measures."""
        found: Metrics | None = getattr(self, "_metrics", None)
        return found


class MethodInfo(Record):
    """A method that `Client.load` made known.

    ``full_method`` is its path, ``/pkg.Service/Method``; ``package``, ``service`` and ``name`` are the parts of it.
    """

    __slots__ = ()
    package: str
    service: str
    full_method: str
    name: str
    is_client_stream: bool
    is_server_stream: bool


class EventMeta(Record):
    """What a stream's handler gets beside the event: ``ts``, the time of the event in seconds since the epoch."""

    __slots__ = ()
    ts: int

    def __init__(self, ts: int) -> None:
        super().__init__(ts=ts)
