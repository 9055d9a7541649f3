"""The events of a stream and the handlers that take them; what Stream and AsyncStream have in common."""

from __future__ import annotations

import inspect
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from puregrpc.client.calls.log import LOGGER
from puregrpc.client.results.records import EventMeta
from puregrpc.errors import InvalidArgument

__all__ = ["EVENTS", "Handler", "Handlers", "now"]

EVENTS = ("data", "error", "status", "end")
"""In the order in which they come: data as often as there are messages, error if there is one, status and end once."""


@dataclass(frozen=True, slots=True)
class Handler:
    """A function and how many of the two arguments, the event and its meta, it takes."""

    function: Callable[..., Any]
    arguments: int


def now() -> EventMeta:
    """The meta of an event that happens now."""
    return EventMeta(int(time.time()))


class Handlers:
    """The handlers of one stream, by event."""

    def __init__(self, method: str) -> None:
        self._method = method
        self._by_event: dict[str, list[Handler]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_event)

    def add(self, event: str, function: Callable[..., Any]) -> bool:
        """Add a handler. False, with a warning in the log, for an event that does not exist. Raises InvalidArgument."""
        if not callable(function):
            raise InvalidArgument(f'handler for "{event}" event isn\'t a callable function')
        if event not in EVENTS:
            LOGGER.warning(
                "can't register %s event handler: unknown GRPC stream's event type: %s",
                event,
                event,
                extra={"method": self._method},
            )
            return False
        made = Handler(function, arguments_of(event, function))
        self._by_event.setdefault(event, []).append(made)
        return True

    def of(self, event: str) -> list[Handler]:
        """The handlers of an event, in the order they were added."""
        return list(self._by_event.get(event, ()))


def arguments_of(event: str, function: Callable[..., Any]) -> int:
    """How many arguments a handler wants: (event, meta), (event) or none; defaults are left to be defaults."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return 1
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 1 if isinstance(function, types.BuiltinFunctionType) else 2
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = sum(p.default is p.empty for p in positional)
    if required > 2:
        raise InvalidArgument(
            f'handler for "{event}" event takes {required} arguments; it is called with (event, meta)'
        )
    if len(positional) > 1 and positional[1].name == "meta":
        return 2
    return required
