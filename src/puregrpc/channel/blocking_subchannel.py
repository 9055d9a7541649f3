"""One backend of a blocking channel: its connection, made by the thread that needs it, and made again when lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from puregrpc.channel.backoff import Backoff
from puregrpc.channel.blocking_call import ClientSession
from puregrpc.channel.connectivity import ConnectivityState
from puregrpc.errors import ConnectError, NotConnected, RpcError
from puregrpc.transport import SessionCounters
from puregrpc.transport.process import THIS_PROCESS
from puregrpc.wire.status import StatusCode

__all__ = ["BlockingSubchannel", "check_process", "deadline_passed"]


class BlockingSubchannel:
    """The connection to one backend, shared by all threads.

    ``open_session`` makes a connection until a point on the monotonic clock, or raises ConnectError; it may ask
    ``is_closed`` whether it is still wanted.
    """

    def __init__(self, name: str, open_session: Callable[[float], ClientSession], connect_timeout: float) -> None:
        self.name = name
        self.failure: ConnectError | None = None
        self.is_closed = False
        self.next_attempt = 0.0
        """When the next attempt may be made, on the monotonic clock."""
        self._open_session = open_session
        self._connect_timeout = connect_timeout
        self._session: ClientSession | None = None
        self._old_sessions: list[ClientSession] = []
        self._connecting = threading.Lock()
        self._is_connecting = False
        self._process = THIS_PROCESS.id
        self._backoff = Backoff()
        self._counted = SessionCounters(0, 0)

    @property
    def state(self) -> ConnectivityState:
        """What it is doing about being connected."""
        if self.is_closed:
            return ConnectivityState.SHUTDOWN
        session = self._session
        if session is not None and not session.is_going_away:
            return ConnectivityState.READY
        if self._is_connecting:
            return ConnectivityState.CONNECTING
        return ConnectivityState.IDLE if self.failure is None else ConnectivityState.TRANSIENT_FAILURE

    @property
    def has_calls(self) -> bool:
        """Whether a call on one of its connections is not over."""
        return any(session.calls for session in (self._session, *self._old_sessions) if session is not None)

    def try_pick(self) -> ClientSession | None:
        """The connection, if it is there and new calls may be opened on it."""
        session = self._session
        if session is None or session.is_going_away or self._process != THIS_PROCESS.id:
            return None
        return session

    def connect(self, deadline: float | None) -> None:
        """Connect now, if it is not connected, without the pause that follows a failure. Raises ConnectError."""
        with self._connecting:
            self.next_attempt = 0.0
            if self.state is not ConnectivityState.READY:
                self._connect(deadline)

    def pick(self, deadline: float | None, *, wait_for_ready: bool) -> ClientSession:
        """The connection for a call, made now if there is none.

        Raises RpcError: UNAVAILABLE if it cannot be made, DEADLINE_EXCEEDED; NotConnected if the channel is closed, or
        belongs to the process that this one was forked from.
        """
        while True:
            session = self.try_pick()
            if session is not None:
                return session
            check_process(self._process, self.name)
            left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
            if not self._connecting.acquire(timeout=-1 if left is None else left):
                raise deadline_passed(self.name, self.failure)
            try:
                session = self.try_pick()
                if session is not None:
                    return session
                if self.is_closed or time.monotonic() >= self.next_attempt:
                    return self._connect(deadline)
                if not wait_for_ready and self.failure is not None:
                    raise self.failure
                pause = self.next_attempt - time.monotonic()
            except ConnectError as error:
                if deadline is not None and time.monotonic() >= deadline:
                    raise deadline_passed(self.name, self.failure) from None
                if not wait_for_ready:
                    raise RpcError(StatusCode.UNAVAILABLE, str(error), code_name="UNAVAILABLE") from None
                pause = self.next_attempt - time.monotonic()
            finally:
                self._connecting.release()
            if deadline is not None:
                pause = min(pause, deadline - time.monotonic())
                if pause <= 0:
                    raise deadline_passed(self.name, self.failure)
            time.sleep(max(pause, 0.0))

    def _connect(self, deadline: float | None) -> ClientSession:
        """Make a connection; with ``_connecting`` held."""
        if self.is_closed:
            raise NotConnected(f"the channel to {self.name} is closed")
        began = time.monotonic()
        end = began + self._connect_timeout
        if deadline is not None:
            end = min(end, deadline)
        self._is_connecting = True
        try:
            session = self._open_session(end)
        except ConnectError as error:
            self.failure = error
            self.next_attempt = began + self._backoff.next_pause()
            raise
        finally:
            self._is_connecting = False
        self._backoff.reset()
        self.failure = None
        if self._session is not None:
            self._old_sessions.append(self._session)
        self._session = session
        self._close_old_sessions()
        return session

    def _close_old_sessions(self, *, all_of_them: bool = False) -> None:
        """Let go of connections that are over; those that still serve calls stay until then."""
        over = [session for session in self._old_sessions if all_of_them or session.end_reason is not None]
        self._old_sessions = [session for session in self._old_sessions if session not in over]
        for session in over:
            session.close()
            self._counted = self._counted + session.counters

    @property
    def counters(self) -> SessionCounters:
        """Octets that went over all its connections so far."""
        counted = self._counted
        for session in (self._session, *self._old_sessions):
            if session is not None:
                counted = counted + session.counters
        return counted

    def close(self) -> None:
        """End all calls (UNAVAILABLE) and the connections. Idempotent."""
        if self._process != THIS_PROCESS.id:
            return
        self.is_closed = True
        with self._connecting:
            if self._session is not None:
                self._old_sessions.append(self._session)
                self._session = None
            self._close_old_sessions(all_of_them=True)


def check_process(process: int, name: str) -> None:
    """Raise NotConnected if the channel to ``name`` was opened in another process."""
    if process != THIS_PROCESS.id:
        raise NotConnected(f"the channel to {name} belongs to the parent process: open one after fork")


def deadline_passed(name: str, failure: ConnectError | str | None) -> RpcError:
    """The error of a call whose deadline passed before there was a connection for it."""
    problem = f"the deadline passed while waiting for a connection to {name}"
    if failure:
        problem += f" (last error: {failure})"
    return RpcError(StatusCode.DEADLINE_EXCEEDED, problem, code_name="DEADLINE_EXCEEDED")
