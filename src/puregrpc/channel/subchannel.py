"""One backend of a channel: a connection to it that is made when wanted, kept, lost and made anew."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio

from puregrpc.channel.backoff import Backoff
from puregrpc.channel.connectivity import ConnectivityState
from puregrpc.channel.health import HealthCheck, HealthWatch
from puregrpc.errors import ConnectError
from puregrpc.transport import ByteStream, Session, Tap
from puregrpc.wire.connection import ClientConnection, Driver

__all__ = ["ChannelSession", "Subchannel"]

LINGER = 0.5
"""How long a client waits for the server to close its side; nothing that it would lose is on its way then."""

ConnectionMaker = Callable[[Driver], ClientConnection]


class ChannelSession(Session[ClientConnection]):
    """A session that tells its subchannel when no new call may be opened on it."""

    def __init__(
        self,
        subchannel: Subchannel,
        stream: ByteStream,
        make_connection: ConnectionMaker,
        *,
        handshake_timeout: float,
        secret_names: Sequence[str],
        keepalive: bool,
        tap: Tap | None,
    ) -> None:
        self._subchannel = subchannel
        self.secret_names = secret_names
        self._keepalive = keepalive
        super().__init__(stream, make_connection, handshake_timeout=handshake_timeout, linger=LINGER, tap=tap)

    def call_opened(self, deadline: float | None) -> None:
        """A call was opened here: see to it that the connection is told the time when it wants to know it."""
        if deadline is not None:
            self.arm(deadline)
        if self._keepalive:
            # A peer that is not there says nothing, so that no reading would bring this up.
            when = self.connection.next_time()
            if when is not None:
                self.arm(when)

    def on_going_away(self, reason: str) -> None:
        super().on_going_away(reason)
        self._subchannel.session_lost(self)

    def on_closed(self, reason: str) -> None:
        super().on_closed(reason)
        self._subchannel.session_lost(self)


class Subchannel:
    """A connection to one backend, with its connectivity state.

    ``open_stream`` makes a byte stream to the backend or raises ConnectError. After a failure the next attempt follows
    by itself, after a pause that grows; the state stays TRANSIENT_FAILURE until one succeeds, so that calls fail at
    once meanwhile and do not wait (gRFC A62). A lost connection leaves the subchannel IDLE. With ``health_check`` it is
    READY only while the server says that it serves (gRFC A17).
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        open_stream: Callable[[], Awaitable[ByteStream]],
        make_connection: ConnectionMaker,
        *,
        connect_timeout: float,
        name: str,
        on_change: Callable[[], None],
        secret_names: Sequence[str] = (),
        keepalive: bool = False,
        health_check: HealthCheck | None = None,
        tap: Tap | None = None,
    ) -> None:
        self.name = name
        self.state = ConnectivityState.IDLE
        self.session: ChannelSession | None = None
        """The connection for new calls, in state READY."""
        self.sessions: set[ChannelSession] = set()
        """All connections that are not over, those that only finish their calls included."""
        self.failures = 0
        self.error = ""
        """Why the last attempt failed."""
        self._nursery = nursery
        self._open_stream = open_stream
        self._make_connection = make_connection
        self._connect_timeout = connect_timeout
        self._on_change = on_change
        self._secret_names = secret_names
        self._keepalive = keepalive
        self._health_check = health_check
        self._health_watch: HealthWatch | None = None
        self._connected: ChannelSession | None = None
        """The connection, whether or not its server says that it serves."""
        self._tap = tap
        self._backoff = Backoff()
        self._hurry: trio.Event | None = None
        self._connecting: trio.CancelScope | None = None

    def request_connection(self) -> None:
        """Begin to connect, if nothing is under way."""
        if self.state is ConnectivityState.IDLE:
            self._set(ConnectivityState.CONNECTING)
            self._nursery.start_soon(self._connect)

    def hurry(self) -> None:
        """Try again now if the next attempt is being waited for."""
        self._backoff.reset()
        if self._hurry is not None:
            self._hurry.set()

    def close(self) -> None:
        """End every connection, its calls with it, and connect no more."""
        self._set(ConnectivityState.SHUTDOWN)
        self._disconnect()
        if self._connecting is not None:
            self._connecting.cancel()
        for session in list(self.sessions):
            session.connection.go_away(immediately=True)

    def drain(self) -> None:
        """Connect no more, and close once the calls that are open are over."""
        self._set(ConnectivityState.SHUTDOWN)
        self._disconnect()
        if self._connecting is not None:
            self._connecting.cancel()
        for session in list(self.sessions):
            session.connection.go_away()

    def session_lost(self, session: ChannelSession) -> None:
        if self._connected is session:
            self._disconnect()
            self._set(ConnectivityState.IDLE)

    def _disconnect(self) -> None:
        """The connection is not for new calls any more."""
        self.session = self._connected = None
        if self._health_watch is not None:
            self._health_watch.stop()
            self._health_watch = None

    def _connected_by(self, session: ChannelSession) -> None:
        self._connected = session
        if self._health_check is None:
            self.session = session
            self._set(ConnectivityState.READY)
        else:
            self._health_watch = HealthWatch(self._health_check, session, self._nursery, self._healthy)
            self._health_watch.start()

    def _healthy(self, problem: str | None) -> None:
        """The server serves, or does not for a reason (gRFC A17)."""
        self.error = problem or ""
        if problem is None:
            self.session = self._connected
            self._set(ConnectivityState.READY)
        else:
            self.session = None
            self.failures += 1
            self._set(ConnectivityState.TRANSIENT_FAILURE)
            self._on_change()  # the state may be the same as before

    def _set(self, state: ConnectivityState) -> None:
        if self.state is not state and self.state is not ConnectivityState.SHUTDOWN:
            self.state = state
            self._on_change()

    async def _connect(self) -> None:
        with trio.CancelScope() as self._connecting:
            while self.state is not ConnectivityState.SHUTDOWN:
                began = trio.current_time()
                try:
                    session = await self._attempt(began)
                except ConnectError as error:
                    self.error = str(error)
                    self.failures += 1
                    self._set(ConnectivityState.TRANSIENT_FAILURE)
                    self._on_change()  # the state may be the same as before
                    self._hurry = trio.Event()
                    with trio.move_on_at(began + self._backoff.next_pause()):
                        await self._hurry.wait()
                    self._hurry = None
                    continue
                self._backoff.reset()
                self.error = ""
                self._connected_by(session)
                break
        self._connecting = None

    async def _attempt(self, began: float) -> ChannelSession:
        stream: ByteStream | None = None
        with trio.move_on_at(began + self._connect_timeout):
            stream = await self._open_stream()
        if stream is None:
            raise ConnectError(f"{self.name}: no connection was made within {self._connect_timeout:g} s")
        left = max(began + self._connect_timeout - trio.current_time(), 0.001)
        session = ChannelSession(
            self,
            stream,
            self._make_connection,
            handshake_timeout=left,
            secret_names=self._secret_names,
            keepalive=self._keepalive,
            tap=self._tap,
        )
        self.sessions.add(session)
        self._nursery.start_soon(self._run, session)
        try:
            await session.wait_ready()
        except trio.Cancelled:
            session.abort("the channel was closed")
            raise
        if session.is_going_away:
            raise ConnectError(f"{session.peer}: {session.end_reason or 'the server is going away'}")
        return session

    async def _run(self, session: ChannelSession) -> None:
        try:
            await session.run()
        finally:
            self.sessions.discard(session)
            self._on_change()
