"""A server as it stands, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from puregrpc.wire.connection import ConnectionSnapshot

__all__ = ["ServerSnapshot", "SessionSnapshot"]


@dataclass(frozen=True, slots=True)
class SessionSnapshot:
    """One connection of a server. ``age`` is in seconds."""

    peer: str
    age: float
    bytes_sent: int
    bytes_received: int
    calls_started: int
    connection: ConnectionSnapshot


@dataclass(frozen=True, slots=True)
class ServerSnapshot:
    """A server: where it listens, its connections, and the calls it has had; ``calls_ended`` is by status code."""

    addresses: tuple[str, ...]
    is_stopping: bool
    methods: tuple[str, ...]
    connections: tuple[SessionSnapshot, ...]
    calls_started: int
    calls_ended: Mapping[int, int]
