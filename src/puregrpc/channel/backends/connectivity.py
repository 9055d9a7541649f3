"""Connectivity states of a channel and of its parts (gRPC's connectivity-semantics-and-api.md)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

__all__ = ["ConnectivityState", "aggregate"]


class ConnectivityState(Enum):
    """What a channel is doing about being connected."""

    IDLE = "IDLE"
    """Not connected and not trying; the next call makes it try."""
    CONNECTING = "CONNECTING"
    READY = "READY"
    TRANSIENT_FAILURE = "TRANSIENT_FAILURE"
    """The last attempt failed; the next one comes after a pause."""
    SHUTDOWN = "SHUTDOWN"
    """Closed for good."""


def aggregate(states: Iterable[ConnectivityState]) -> ConnectivityState:
    """The state of a whole from those of its parts: the first of READY, CONNECTING, IDLE, TRANSIENT_FAILURE found."""
    found = list(states)
    for state in (ConnectivityState.READY, ConnectivityState.CONNECTING, ConnectivityState.IDLE):
        if state in found:
            return state
    return ConnectivityState.TRANSIENT_FAILURE if found else ConnectivityState.IDLE
