"""A channel as it stands, as data (as channelz has it, gRFC A14, for code and not for a server)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from puregrpc.channel.backends.connectivity import ConnectivityState
from puregrpc.transport import ClientSession, SessionCounters
from puregrpc.wire.connection import ConnectionSnapshot

if TYPE_CHECKING:
    from puregrpc.channel.backends.subchannel import Subchannel
    from puregrpc.channel.core import ChannelCore

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
    """A channel with its backends. ``counters`` are those of all connections that there have been."""

    target: str
    state: ConnectivityState
    subchannels: tuple[SubchannelSnapshot, ...]
    counters: SessionCounters = SessionCounters(0, 0)  # noqa: RUF009 - frozen


def snapshot_of(target: str, core: ChannelCore | None, state: ConnectivityState) -> ChannelSnapshot:
    """A channel as it stands; one without a core has not been used yet."""
    if core is None:
        return ChannelSnapshot(target, state, ())
    return core.kernel.locked(_channel, target, core, state)


def _channel(target: str, core: ChannelCore, state: ConnectivityState) -> ChannelSnapshot:
    balancer = core.balancer
    subchannels = (*balancer.subchannels, *balancer.leaving)
    return ChannelSnapshot(target, state, tuple(map(_subchannel, subchannels)), balancer.counters)


def _subchannel(subchannel: Subchannel) -> SubchannelSnapshot:
    return SubchannelSnapshot(
        name=subchannel.name,
        state=subchannel.state,
        last_error=subchannel.error,
        failures=subchannel.failures,
        sessions=tuple(map(_session, subchannel.sessions)),
    )


def _session(session: ClientSession) -> SessionSnapshot:
    return SessionSnapshot(
        local=session.local,
        peer=session.peer,
        is_going_away=session.is_going_away,
        counters=session.counters,
        connection=session.connection.snapshot(),
    )
