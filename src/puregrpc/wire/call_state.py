"""The order in which a call may happen, as a table.

The rules (PROTOCOL-HTTP2, "Outline"; RFC 9113, section 8.1):

1. A call has two halves, the request and the response. Each is idle, then open, then ended, and goes its own way.
2. The request opens with headers. While it is open it may carry messages. Its end, the half-close, ends it.
3. The response may have any number of informational headers (1xx) before it opens. It opens with headers. While it is
   open it may carry messages. Trailers end it; trailers that come first are the whole of it (trailers-only).
4. A reset by either side ends both halves, whatever they are.
5. Nothing else may happen. What this side gets wrong is a LocalProtocolError, what the peer gets wrong a
   RemoteProtocolError.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

from puregrpc.errors import LocalProtocolError, RemoteProtocolError

__all__ = ["REQUEST", "RESPONSE", "Half", "HalfState", "Step", "Table"]


class HalfState(Enum):
    """How far one half of a call is."""

    IDLE = "idle"
    OPEN = "open"
    ENDED = "ended"


class Step(Enum):
    """What can happen to one half of a call."""

    INFORMATIONAL = "informational headers"
    HEADERS = "headers"
    MESSAGE = "a message"
    END = "the half-close"
    TRAILERS = "trailers"
    RESET = "a reset"


Table = dict[HalfState, dict[Step, HalfState]]

REQUEST: Table = {
    HalfState.IDLE: {
        Step.HEADERS: HalfState.OPEN,
        Step.RESET: HalfState.ENDED,
    },
    HalfState.OPEN: {
        Step.MESSAGE: HalfState.OPEN,
        Step.END: HalfState.ENDED,
        Step.RESET: HalfState.ENDED,
    },
    HalfState.ENDED: {
        Step.RESET: HalfState.ENDED,
    },
}

RESPONSE: Table = {
    HalfState.IDLE: {
        Step.INFORMATIONAL: HalfState.IDLE,
        Step.HEADERS: HalfState.OPEN,
        Step.TRAILERS: HalfState.ENDED,
        Step.RESET: HalfState.ENDED,
    },
    HalfState.OPEN: {
        Step.MESSAGE: HalfState.OPEN,
        Step.TRAILERS: HalfState.ENDED,
        Step.RESET: HalfState.ENDED,
    },
    HalfState.ENDED: {
        Step.RESET: HalfState.ENDED,
    },
}

_WHERE = {
    HalfState.IDLE: "before the headers",
    HalfState.OPEN: "after the headers",
    HalfState.ENDED: "after the end",
}


class Half:
    """One half of a call, as one side sees it. ``side`` says who makes its steps: this side or the peer."""

    __slots__ = ("_moves", "_side", "_table", "state")

    def __init__(self, table: Table, side: Literal["local", "remote"]) -> None:
        self._table = table
        self._side = side
        self.state = HalfState.IDLE
        self._moves = table[HalfState.IDLE]

    def step(self, step: Step) -> None:
        """Go on. Raises LocalProtocolError or RemoteProtocolError if that may not happen now; the state stays."""
        state = self._moves.get(step)
        if state is None:
            half = "request" if self._table is REQUEST else "response"
            problem = f"{step.value} {_WHERE[self.state]} of the {half}"
            raise LocalProtocolError(problem) if self._side == "local" else RemoteProtocolError(problem)
        self.state = state
        self._moves = self._table[state]

    @property
    def opened(self) -> bool:
        """Whether the headers have been there."""
        return self.state is not HalfState.IDLE

    @property
    def ended(self) -> bool:
        return self.state is HalfState.ENDED
