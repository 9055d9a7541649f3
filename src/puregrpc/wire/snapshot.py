"""A connection as it stands, as data. Few are asked for it, so engines load this when they are."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["CallSnapshot", "ConnectionSnapshot"]


@dataclass(frozen=True, slots=True)
class CallSnapshot:
    """One call of a connection as it stands."""

    stream_id: int
    path: str
    state: str
    send_window: int
    receive_window: int
    send_buffered: int


@dataclass(frozen=True, slots=True)
class ConnectionSnapshot:
    """A connection as it stands, as data."""

    state: str
    send_window: int
    receive_window: int
    peer_max_concurrent_streams: int
    calls: tuple[CallSnapshot, ...] = ()
    queued_calls: int = 0
    settings: dict[str, int] = field(default_factory=dict)
    streams_failed: int = 0
    """How many calls ended without END_STREAM from the server, whatever their status (gRFC A14): reset, lost with the
    connection, or never sent."""
