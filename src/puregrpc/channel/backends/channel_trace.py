"""The last events of a channel or of one of its parts, its states among them."""

from __future__ import annotations

from typing import Any

from puregrpc.channel.backends.connectivity import ConnectivityState
from puregrpc.transport.event_log import MOST_OF_A_DESCRIPTION, ChannelTrace, EventLog, TraceEvent

__all__ = ["ChannelTrace", "TraceEvent", "TraceLog"]


class TraceLog(EventLog):
    """Keeps the last events, and the state. With the mutex held."""

    __slots__ = ("_state",)

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._state = ConnectivityState.IDLE

    def state_is(self, state: ConnectivityState, problem: str = "") -> None:
        """An event, if the state is another than it was. ``problem``: why there is no connection."""
        if state is not self._state:
            self._state = state
            said = problem[:MOST_OF_A_DESCRIPTION] if state is ConnectivityState.TRANSIENT_FAILURE else ""
            self._keep((state, said), None)

    def _told(self, what: Any) -> tuple[str, bool]:
        if not isinstance(what, tuple):
            return super()._told(what)
        state, problem = what
        words = f"{self._name} state change to {state.name}{': ' if problem else ''}{problem}"
        return words[:MOST_OF_A_DESCRIPTION], state is ConnectivityState.TRANSIENT_FAILURE
