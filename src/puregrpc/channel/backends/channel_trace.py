"""The last events of a channel or of one of its parts, as channelz tells them (gRFC A3)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from puregrpc.channel.backends.connectivity import ConnectivityState

__all__ = ["ChannelTrace", "TraceEvent", "TraceLog"]

MOST_EVENTS = 30
"""How many events are kept: as many as grpc-go keeps."""

MOST_OF_A_DESCRIPTION = 256
"""How many characters of an event's description are kept: a server's words may be in it."""


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """Something that happened to a channel."""

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


class TraceLog:
    """Keeps the last events. With the mutex held."""

    __slots__ = ("_created", "_events", "_logged", "_name", "_state")

    def __init__(self, name: str) -> None:
        self._name = name
        self._created = time.time()
        self._logged = 0
        self._events: list[TraceEvent] = []
        self._state = ConnectivityState.IDLE
        self.add(f"{name} created")

    def add(self, description: str, *, is_warning: bool = False, subchannel: HasNumber | None = None) -> None:
        """Something happened, perhaps to a subchannel."""
        about = (None, "") if subchannel is None else (subchannel.number, subchannel.name)
        self._events.append(TraceEvent(time.time(), description[:MOST_OF_A_DESCRIPTION], is_warning, *about))
        self._logged += 1
        del self._events[:-MOST_EVENTS]

    def state_is(self, state: ConnectivityState, problem: str = "") -> None:
        """An event, if the state is another than it was. ``problem``: why there is no connection."""
        if state is not self._state:
            self._state = state
            failed = state is ConnectivityState.TRANSIENT_FAILURE
            why = f": {problem}" if failed and problem else ""
            self.add(f"{self._name} state change to {state.name}{why}", is_warning=failed)

    def snapshot(self) -> ChannelTrace:
        return ChannelTrace(self._created, self._logged, tuple(self._events))
