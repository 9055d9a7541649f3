"""A server as it stands, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from puregrpc.wire.snapshot import ConnectionSnapshot

if TYPE_CHECKING:
    from puregrpc.transport import ConnectionSecurity
    from puregrpc.transport.event_log import ChannelTrace

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
    calls_ended: Mapping[int, int] = field(default_factory=dict)
    """By status code."""
    local: str = ""
    """The server's own address."""
    number: int = 0
    """No other part of a channel or a server has it in this process."""
    messages_sent: int = 0
    messages_received: int = 0
    security: ConnectionSecurity | None = None
    """None in plaintext."""
    last_call_started: float | None = None
    """In seconds since 1970, as that of the server."""
    last_message_sent: float | None = None
    """In seconds since 1970."""
    last_message_received: float | None = None


@dataclass(frozen=True, slots=True)
class ServerSnapshot:
    """A server: where it listens, its connections, and the calls it has had; ``calls_ended`` is by status code."""

    addresses: tuple[str, ...]
    is_stopping: bool
    methods: tuple[str, ...]
    connections: tuple[SessionSnapshot, ...]
    calls_started: int
    calls_ended: Mapping[int, int]
    number: int = 0
    """Nothing else of its process has it; nor the listeners'."""
    listeners: Mapping[int, str] = field(default_factory=dict)
    """The addresses by number."""
    trace: ChannelTrace | None = None
    """What happened to it: where it began to listen, and when it began to stop and had stopped."""
    last_call_started: float | None = None
    """On any connection that there has been."""
