"""A channel as it stands, as data (as channelz has it, gRFC A14, for code and not for a server)."""

from __future__ import annotations

from dataclasses import dataclass

from puregrpc.channel.connectivity import ConnectivityState
from puregrpc.channel.subchannel import ChannelSession, Subchannel
from puregrpc.transport import SessionCounters
from puregrpc.wire.connection import ConnectionSnapshot

__all__ = ["ChannelSnapshot", "SessionSnapshot", "SubchannelSnapshot", "snapshot_of"]


@dataclass(frozen=True, slots=True)
class SessionSnapshot:
    """One connection: its two addresses, what passed through it, its windows and calls."""

    local: str
    peer: str
    is_going_away: bool
    counters: SessionCounters
    connection: ConnectionSnapshot


@dataclass(frozen=True, slots=True)
class SubchannelSnapshot:
    """One backend of a channel."""

    name: str
    state: ConnectivityState
    last_error: str
    failures: int
    """How many attempts to connect have failed."""
    sessions: tuple[SessionSnapshot, ...]


@dataclass(frozen=True, slots=True)
class ChannelSnapshot:
    """A channel with its backends."""

    target: str
    state: ConnectivityState
    subchannels: tuple[SubchannelSnapshot, ...]


def snapshot_of(subchannel: Subchannel) -> SubchannelSnapshot:
    """A backend as it stands."""
    return SubchannelSnapshot(
        name=subchannel.name,
        state=subchannel.state,
        last_error=subchannel.error,
        failures=subchannel.failures,
        sessions=tuple(_session_snapshot(session) for session in subchannel.sessions),
    )


def _session_snapshot(session: ChannelSession) -> SessionSnapshot:
    return SessionSnapshot(
        local=session.stream.local,
        peer=session.peer,
        is_going_away=session.is_going_away,
        counters=session.counters,
        connection=session.connection.snapshot(),
    )
