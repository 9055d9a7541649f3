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


_Event = tuple[float, "str | tuple[ConnectivityState, str]", "tuple[int, str] | None"]
"""An event as it is kept: each channel has some, and few are ever shown."""


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
        self._logged = 1
        self._events: list[_Event] = [(self._created, f"{name} created", None)]
        self._state = ConnectivityState.IDLE

    def add(self, description: str, *, subchannel: HasNumber | None = None) -> None:
        """Something happened, perhaps to a subchannel."""
        about = None if subchannel is None else (subchannel.number, subchannel.name)
        self._keep((time.time(), description[:MOST_OF_A_DESCRIPTION], about))

    def state_is(self, state: ConnectivityState, problem: str = "") -> None:
        """An event, if the state is another than it was. ``problem``: why there is no connection."""
        if state is not self._state:
            self._state = state
            said = problem[:MOST_OF_A_DESCRIPTION] if state is ConnectivityState.TRANSIENT_FAILURE else ""
            self._keep((time.time(), (state, said), None))

    def _keep(self, event: _Event) -> None:
        self._logged += 1
        self._events.append(event)
        if self._logged > MOST_EVENTS:
            del self._events[0]

    def snapshot(self) -> ChannelTrace:
        return ChannelTrace(self._created, self._logged, tuple(map(self._told, self._events)))

    def _told(self, event: _Event) -> TraceEvent:
        when, what, about = event
        is_warning = False
        if isinstance(what, tuple):
            state, problem = what
            is_warning = state is ConnectivityState.TRANSIENT_FAILURE
            what = f"{self._name} state change to {state.name}{': ' if problem else ''}{problem}"[
                :MOST_OF_A_DESCRIPTION
            ]
        return TraceEvent(when, what, is_warning, *(about or (None, "")))
