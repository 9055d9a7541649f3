"""The last events of a channel, of a part of it, or of a server, as channelz tells them (gRFC A3 and A14)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["MOST_OF_A_DESCRIPTION", "ChannelTrace", "EventLog", "TraceEvent"]

MOST_EVENTS = 30
"""How many events are kept: as many as grpc-go keeps."""

MOST_OF_A_DESCRIPTION = 256
"""How many characters of an event's description are kept: a peer's words may be in it."""


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """Something that happened to a channel or a server."""

    time: float
    """When (seconds since 1970)."""
    description: str
    is_warning: bool = False
    """It went wrong: channelz' CT_WARNING, or else CT_INFO."""
    subchannel: int | None = None
    """The number of the subchannel that it is about, if it is about one."""
    subchannel_name: str = ""


@dataclass(frozen=True, slots=True)
class ChannelTrace:
    """When something was made (seconds since 1970), how many events there were since, and the last of them."""

    created: float
    logged: int
    events: tuple[TraceEvent, ...]


class HasNumber(Protocol):
    """A subchannel."""

    number: int
    name: str


class EventLog:
    """Keeps the last events. With the mutex held."""

    __slots__ = ("_created", "_events", "_logged", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._created = time.time()
        self._logged = 1
        self._events: list[tuple[float, Any, tuple[int, str] | None]] = [(self._created, f"{name} created", None)]
        """As they are kept: each channel has some, and few are ever shown."""

    def add(self, description: str, *, subchannel: HasNumber | None = None) -> None:
        """Something happened, perhaps to a subchannel."""
        about = None if subchannel is None else (subchannel.number, subchannel.name)
        self._keep(description[:MOST_OF_A_DESCRIPTION], about)

    def _keep(self, what: Any, about: tuple[int, str] | None) -> None:
        self._logged += 1
        self._events.append((time.time(), what, about))
        if self._logged > MOST_EVENTS:
            del self._events[0]

    def snapshot(self) -> ChannelTrace:
        """What is kept, as data."""
        events = (TraceEvent(when, *self._told(what), *(about or ())) for when, what, about in self._events)
        return ChannelTrace(self._created, self._logged, tuple(events))

    def _told(self, what: Any) -> tuple[str, bool]:
        """An event's description, and whether something went wrong."""
        return what, False
