"""A channel as it stands, as data (as channelz has it, gRFC A14, for code and not for a server)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from puregrpc.channel.backends.channel_trace import ChannelTrace
from puregrpc.channel.backends.connectivity import ConnectivityState
from puregrpc.transport import CallCounters, ClientSession, SessionCounters
from puregrpc.transport.amounts import wall_time
from puregrpc.wire.snapshot import ConnectionSnapshot

if TYPE_CHECKING:
    from puregrpc.channel.backends.subchannel import Subchannel
    from puregrpc.channel.core import ChannelCore
    from puregrpc.transport import ConnectionSecurity

__all__ = ["CallNumbers", "ChannelSnapshot", "SessionSnapshot", "SubchannelSnapshot", "snapshot_of"]


@dataclass(frozen=True, slots=True)
class CallNumbers:
    """How many calls there have been, those included that run; each attempt of a call counts (gRFC A14)."""

    started: int = 0
    succeeded: int = 0
    failed: int = 0
    """They ended with a status other than OK, or were cancelled by this side."""
    last_started: float | None = None
    """When the last one began (seconds since 1970)."""
    messages_sent: int = 0
    messages_received: int = 0
    """Those that were taken."""
    last_message_sent: float | None = None
    """When the last one was sent (seconds since 1970)."""
    last_message_received: float | None = None
    """When the last one was taken."""


@dataclass(frozen=True, slots=True)
class SessionSnapshot:
    """One connection: its two addresses, what passed through it, its windows and calls."""

    local: str
    peer: str
    is_going_away: bool
    counters: SessionCounters
    connection: ConnectionSnapshot
    number: int = 0
    """No other part of a channel or a server has it in this process; so below."""
    calls: CallNumbers = CallNumbers()
    security: ConnectionSecurity | None = None
    """None in plaintext."""


@dataclass(frozen=True, slots=True)
class SubchannelSnapshot:
    """One backend of a channel."""

    name: str
    state: ConnectivityState
    last_error: str
    failures: int
    """How many attempts to connect have failed."""
    sessions: tuple[SessionSnapshot, ...]
    number: int = 0
    calls: CallNumbers = CallNumbers()
    """Over all connections that there have been."""
    trace: ChannelTrace | None = None


@dataclass(frozen=True, slots=True)
class ChannelSnapshot:
    """A channel with its backends. ``counters`` are those of all connections that there have been."""

    target: str
    state: ConnectivityState
    subchannels: tuple[SubchannelSnapshot, ...]
    counters: SessionCounters = SessionCounters(0, 0)  # noqa: RUF009 - frozen
    calls: CallNumbers = CallNumbers()
    number: int = 0
    trace: ChannelTrace | None = None
    """None for one that has not been used yet."""


def snapshot_of(number: int, target: str, core: ChannelCore | None, state: ConnectivityState) -> ChannelSnapshot:
    """A channel as it stands; one without a core has not been used yet."""
    if core is None:
        return ChannelSnapshot(target, state, (), number=number)
    return core.kernel.locked(_channel, number, target, core, state)


def _channel(number: int, target: str, core: ChannelCore, state: ConnectivityState) -> ChannelSnapshot:
    balancer = core.balancer
    subchannels = (*balancer.subchannels, *balancer.leaving)
    open_calls = sum(session.connection.open_calls for session in balancer.sessions)
    now = core.kernel.now()
    calls = _calls(balancer.call_counters, open_calls, now)
    return ChannelSnapshot(
        target,
        state,
        tuple(_subchannel(subchannel, now) for subchannel in subchannels),
        balancer.counters,
        calls,
        number,
        core.trace.snapshot(),
    )


def _subchannel(subchannel: Subchannel, now: float) -> SubchannelSnapshot:
    return SubchannelSnapshot(
        name=subchannel.name,
        state=subchannel.state,
        last_error=subchannel.error,
        failures=subchannel.failures,
        sessions=tuple(map(_session, subchannel.sessions)),
        number=subchannel.number,
        calls=_calls(
            subchannel.call_counters,
            sum(session.connection.open_calls for session in subchannel.sessions),
            now,
        ),
        trace=subchannel.trace.snapshot(),
    )


def _session(session: ClientSession) -> SessionSnapshot:
    return SessionSnapshot(
        local=session.local,
        peer=session.peer,
        is_going_away=session.is_going_away,
        counters=session.counters,
        connection=session.connection.snapshot(),
        number=session.number,
        calls=_calls(session.call_counters, session.connection.open_calls, session.kernel.now()),
        security=session.security,
    )


def _calls(counters: CallCounters, running: int, now: float) -> CallNumbers:
    return CallNumbers(
        started=counters.started,
        succeeded=max(counters.started - counters.failed - running, 0),
        failed=counters.failed,
        last_started=wall_time(counters.last_started_at, now),
        messages_sent=counters.messages_sent,
        messages_received=counters.messages_received,
        last_message_sent=wall_time(counters.last_sent, now),
        last_message_received=wall_time(counters.last_received, now),
    )
