"""One backend of a channel: a connection to it that is made when wanted, kept, lost and made anew."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from puregrpc.channel.backends.backoff import Backoff
from puregrpc.channel.backends.channel_trace import TraceLog
from puregrpc.channel.backends.connectivity import ConnectivityState
from puregrpc.channel.backends.health import HealthCheck, HealthWatch
from puregrpc.errors import ConnectError, Error
from puregrpc.kernel import Kernel, Task, Waiter
from puregrpc.kernel.numbers import next_number
from puregrpc.transport import CallCounters, ClientSession, Session, SessionCounters
from puregrpc.wire.connection import Request, ServerCall

__all__ = ["Subchannel", "SubchannelOwner"]

logger = logging.getLogger("puregrpc.channel")


class SubchannelListener(Protocol):
    """Who hears of a subchannel."""

    def subchannel_changed(self) -> None:
        """The state of a subchannel or the error of its last attempt has changed. With the mutex held."""

    def sent_away(self, reason: str) -> None:
        """A server has sent GOAWAY, or a connection has ended, for this reason. With the mutex held."""


class SubchannelOwner(SubchannelListener, Protocol):
    """The channel, as its backends see it."""

    kernel: Kernel
    trace: TraceLog


class _Nobody:
    """In the place of a channel that is closed."""

    def subchannel_changed(self) -> None:
        pass

    def sent_away(self, reason: str) -> None:
        pass


NOBODY = _Nobody()


def closed(*_: object) -> Any:
    """In the place of what such a channel does for its backends."""
    raise ConnectError("the channel is closed")


class Subchannel:
    """A connection to one backend, with its connectivity state.

    ``open_session`` makes a connection until a point in time and returns its session, ready, or raises ConnectError;
    sessions report to the subchannel that it is given. After a failure the next attempt follows by itself, after a
    pause that grows; the state stays TRANSIENT_FAILURE until one succeeds, so that calls fail at once meanwhile and do
    not wait (gRFC A62). A lost connection leaves the subchannel IDLE. With ``health_check`` it is READY only while the
    server says that it serves (gRFC A17). But for `_connect`, all of it runs with the mutex held.
    """

    __slots__ = (
        "_backoff", "_calls", "_connect_timeout", "_connected", "_connecting", "_counted", "_health_check",
        "_health_watch", "_is_hurried", "_kernel", "_open_session", "_owner", "_pause", "error", "failures", "name",
        "number", "session", "sessions", "state", "trace",
    )  # fmt: skip

    def __init__(
        self,
        owner: SubchannelOwner,
        name: str,
        open_session: Callable[[Subchannel, float], Awaitable[ClientSession]],
        *,
        connect_timeout: float,
        health_check: HealthCheck | None = None,
    ) -> None:
        self._counted = SessionCounters(0, 0)
        self._calls = CallCounters()
        """Of connections that are no more."""
        self.name = name
        self.state = ConnectivityState.IDLE
        self.session: ClientSession | None = None
        """The connection for new calls, in state READY."""
        self.sessions: set[ClientSession] = set()
        """All connections that are not over, those that only finish their calls and those being made included."""
        self.failures = 0
        self.error = ""
        """Why the last attempt failed."""
        self._owner: SubchannelListener = owner
        self._kernel = owner.kernel
        self._open_session = open_session
        self._connect_timeout = connect_timeout
        self._health_check = health_check
        self._health_watch: HealthWatch | None = None
        self._connected: ClientSession | None = None
        """The connection, whether or not its server says that it serves."""
        self._backoff = Backoff()
        self._pause: Waiter | None = None
        self._is_hurried = False
        self._connecting: Task | None = None
        self.number = next_number()
        """No other one of the process has it."""
        self.trace = TraceLog("Subchannel")

    # -- for the balancer

    @property
    def counters(self) -> SessionCounters:
        """Octets that went over all its connections so far."""
        counted = self._counted
        for session in self.sessions:
            counted = counted + session.counters
        return counted

    @property
    def is_closed(self) -> bool:
        return self.state is ConnectivityState.SHUTDOWN

    @property
    def call_counters(self) -> CallCounters:
        """The calls that went over all its connections so far."""
        counted = self._calls
        for session in self.sessions:
            counted = counted + session.call_counters
        return counted

    def request_connection(self) -> None:
        """Begin to connect, if nothing is under way."""
        if self.state is ConnectivityState.IDLE:
            self._set(ConnectivityState.CONNECTING)
            self._connecting = self._kernel.spawn(self._connect)

    def hurry(self) -> None:
        """Try again now if the next attempt is being waited for."""
        self._backoff.reset()
        self._is_hurried = True
        if self._pause is not None:
            self._pause.wake()

    def close(self) -> None:
        """End every connection, its calls with it, and connect no more."""
        self._shut_down(immediately=True)

    def drain(self) -> None:
        """Connect no more, and close once the calls that are open are over."""
        self._shut_down(immediately=False)

    def _shut_down(self, *, immediately: bool) -> None:
        self._set(ConnectivityState.SHUTDOWN)
        self._disconnect()
        if self._connecting is not None:
            self._connecting.cancel()
        for session in list(self.sessions):
            session.connection.go_away(immediately=immediately)
        self._part()

    def _part(self) -> None:
        """Once all of it is over, it does not refer back to the channel any more, which is freed with it, and not when
        the garbage collector comes."""
        if self.is_closed and not self.sessions and self._connecting is None:
            self._owner = NOBODY
            self._open_session = closed

    # -- what its sessions tell

    def session_lost(self, session: Session[Any], reason: str) -> None:
        """See `Owner.session_lost`."""
        self._owner.sent_away(reason)
        if self._connected is session:
            self._disconnect()
            self._set(ConnectivityState.IDLE)

    def session_over(self, session: Session[Any]) -> None:
        """See `Owner.session_over`."""
        self._kernel.locked(self._forget, session)

    def on_call(self, session: Session[Any], request: Request) -> ServerCall | None:  # noqa: ARG002 - servers do not call
        return None

    def _forget(self, session: ClientSession) -> None:
        if session in self.sessions:
            self.sessions.discard(session)
            self._counted = self._counted + session.counters
            self._calls = self._calls + session.call_counters
            self._owner.subchannel_changed()
            self._part()

    # -- the connection and the state

    def _disconnect(self) -> None:
        """The connection is not for new calls any more."""
        self.session = self._connected = None
        if self._health_watch is not None:
            self._health_watch.stop()
            self._health_watch = None

    def _connected_by(self, session: ClientSession) -> None:
        self._connecting = None
        if self.is_closed:
            session.connection.go_away(immediately=True)
            return
        self._backoff.reset()
        self.error = ""
        if session.is_going_away:  # since it was made
            self._set(ConnectivityState.IDLE)
            return
        self._connected = session
        if self._health_check is None:
            self.session = session
            self._set(ConnectivityState.READY)
        else:
            self._health_watch = HealthWatch(self._health_check, session, self._healthy)
            self._health_watch.start()

    def _healthy(self, problem: str | None) -> None:
        """The server serves, or does not for a reason (gRFC A17)."""
        self.error = problem or ""
        if problem is None:
            self.session = self._connected
            self._set(ConnectivityState.READY)
        else:
            self.session = None
            self._failed()

    def _failed(self) -> None:
        self.failures += 1
        if self.state is ConnectivityState.TRANSIENT_FAILURE:
            self._owner.subchannel_changed()  # the error is another one
        else:
            self._set(ConnectivityState.TRANSIENT_FAILURE)

    def _set(self, state: ConnectivityState) -> None:
        if self.state is not state and not self.is_closed:
            self.state = state
            self.trace.state_is(state, self.error)
            self._owner.subchannel_changed()

    def _pause_after(self, error: Exception) -> Waiter | None:
        """An attempt failed: what tells that the next one need not be waited for. None if there is none."""
        if self.is_closed:
            return None
        self.error = str(error) if isinstance(error, Error) else f"{type(error).__name__}: {error}"
        self._is_hurried = False
        self._failed()
        if self._is_hurried:  # by whoever heard of the failure
            return None
        self._pause = self._kernel.waiter()
        return self._pause

    async def _connect(self) -> None:
        try:
            await self._connect_at_last()
        finally:
            self._kernel.locked(self._connecting_is_over)

    def _connecting_is_over(self) -> None:
        if self.is_closed:
            self._connecting = None
            self._part()

    async def _connect_at_last(self) -> None:
        kernel = self._kernel
        while not self.is_closed:
            began = kernel.now()
            try:
                session = await self._open_session(self, began + self._connect_timeout)
            except Exception as error:
                if not isinstance(error, ConnectError) and not self.is_closed:
                    logger.exception("%s: connecting failed for a reason that was not foreseen", self.name)
                pause = kernel.locked(self._pause_after, error)
                if pause is not None:
                    await pause.wait(began + self._backoff.next_pause())
                continue
            kernel.locked(self._connected_by, session)
            session.push()
            return
