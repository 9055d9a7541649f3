"""A server as it runs: where it listens, its connections and its threads, and how it stops. For all worlds."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from puregrpc.errors import ConnectError, NotConnected
from puregrpc.kernel import Kernel, Waiter, Waiters
from puregrpc.kernel.base import call_logged
from puregrpc.kernel.jobs import Job, Jobs, open_jobs
from puregrpc.kernel.network.listening import Listener, listen
from puregrpc.kernel.network.streams import ByteStream, SocketStream
from puregrpc.kernel.threads.executor import Executor
from puregrpc.server.ageing import Ageing
from puregrpc.server.budget import make_budget
from puregrpc.server.calls.endings import Endings
from puregrpc.server.config import ServerConfig
from puregrpc.server.faults import contain, log_exception
from puregrpc.server.inflating import Inflating
from puregrpc.server.places import Places
from puregrpc.server.room import Foreseen, Lookout
from puregrpc.server.routing import Router
from puregrpc.server.session import ServerSession
from puregrpc.server.snapshot import ServerSnapshot
from puregrpc.server.stalls import Stalls
from puregrpc.server.threads import Threads
from puregrpc.transport.amounts import wall_time
from puregrpc.transport.event_log import EventLog
from puregrpc.transport.rounds import Rounds, working_time
from puregrpc.transport.session import load_sessions, shared_readers
from puregrpc.wire.engines import load_server_engine
from puregrpc.wire.memory import Holder

if TYPE_CHECKING:
    import socket

    from puregrpc.kernel.network.tap import Tap
    from puregrpc.transport.dynamic_tls import DynamicTls
    from puregrpc.transport.tls import TlsOptions

__all__ = ["Connections", "Target"]

logger = logging.getLogger("puregrpc.server")

ACCEPT_PAUSE = 0.5
"""How long to wait, in seconds, before accepting again after that has failed as nobody foresaw."""

FORCED_CLOSE_TIMEOUT = 1.0
"""How long, in seconds, the last frames of connections that are closed by force may take to be sent, and then what
plain handlers may still do on their threads."""

LONGEST_RELIEF = 0.01
"""How long, in seconds of its processor time, a thread has connections let go before others get their turns."""


class Target(NamedTuple):
    """Where a server is to listen."""

    address: str
    tls: TlsOptions | DynamicTls | None = None
    sockets: tuple[socket.socket, ...] = ()
    """Sockets that listen there already, in place of new ones."""
    is_shared: bool = True
    """They listen for other processes as well."""


class Connections:
    """Everything of a server that runs. To be made in its world, and to be closed there."""

    def __init__(
        self,
        kernel: Kernel,
        router: Router,
        config: ServerConfig,
        events: EventLog,
        executor: Executor | None = None,
    ) -> None:
        self.kernel = kernel
        self._events = events
        self.router = router
        self.config = config
        self.wire_config = self._with_budget(config)
        """What each connection goes by."""
        limit = config.max_concurrent_calls
        self.places = None if limit is None else Places(limit)
        self.threads = Threads(kernel, config.handler_threads, executor)
        self.jobs: Jobs | None = None if kernel.world == "threads" else open_jobs(kernel)
        self.submit: Callable[[Job, object], None] = _no_loop if self.jobs is None else self.jobs.submit
        """Runs a call in the loop; its kind is its route."""
        self.interrupt: Callable[[Job], None] = _no_loop if self.jobs is None else self.jobs.interrupt
        self._ageing = Ageing(kernel, config)
        self._listeners: list[Listener] = []
        self._sessions: set[ServerSession] = set()
        budget = self.wire_config.memory_budget
        self.rounds = Rounds(kernel, None if budget is None else budget.left, working_time)
        self.endings = Endings(kernel, self.wire_config.memory_budget)
        self._by_wire: dict[Holder, ServerSession] = {}
        self._due: deque[Holder] = deque()
        """Threads: connections that have to let go of something."""
        self._is_to_relieve = False
        """Somebody sees to them soon."""
        self._answers: deque[Callable[[], object]] = deque()
        """Threads: what readers do after their turns."""
        self.soon: Callable[[Callable[[], object]], object] = kernel.call_soon
        """Have something done once a session has let its connection go. With the connection at hand."""
        if kernel.world == "threads":
            self.soon = self._answers.append
        self.readers = shared_readers(kernel)
        """Threads: what reads for connections where they are many."""
        self._accepted = 0
        """Connections that came from listeners and are not over."""
        self._calls_started = 0
        """Of connections that are over; and so below."""
        self._last_call_started = -inf
        self._calls_ended: dict[int, int] = {}
        self._changes = Waiters(kernel.waiter)
        self.foreseen = Foreseen(budget)
        self.lookout = Lookout(kernel, Stalls(budget, self._by_wire.get), self.foreseen)
        self.inflating = Inflating(kernel)
        self.is_stopping = False
        self.is_stopped = False

    def _with_budget(self, config: ServerConfig) -> ServerConfig:
        """The configuration with what all connections share."""
        if config.memory_budget is not None:
            return config
        return replace(config, memory_budget=make_budget(config, self.kernel.world, self._relieve))

    def _relieve(self, holder: Holder) -> None:
        """Threads: another connection's mutex is held."""
        self._due.append(holder)
        self._relieve_soon()

    def _relieve_soon(self) -> None:
        if not self._is_to_relieve:
            self._is_to_relieve = True
            with suppress(NotConnected):  # all of it ends
                self.kernel.call_soon(self._relieve_next)

    def _relieve_next(self) -> None:
        self._is_to_relieve = False
        self.relieve_those_due()

    def relieve_those_due(self) -> None:
        """Threads: do what was left until now, and have connections let go that hold too much. Without any mutex.

        Each reader does so after its turn, so that none goes on reading while others are due; and no longer than a
        turn, for other connections wait for it.
        """
        answers, due = self._answers, self._due
        if not answers and not due:
            return
        until = working_time() + LONGEST_RELIEF
        while answers and working_time() < until:
            try:
                answer = answers.popleft()
            except IndexError:  # another thread has it
                break
            call_logged(answer)
        while due and working_time() < until:
            try:
                holder = due.popleft()
            except IndexError:  # another thread has it
                return
            session = self._by_wire.get(holder)
            budget = self.wire_config.memory_budget
            if session is not None:
                session.relieve()
            elif budget is not None:
                budget.update(holder, 0, 0)
        if answers or due:
            self._relieve_soon()

    # -- listening

    async def listen(self, targets: Iterable[Target]) -> None:
        """Listen everywhere, and begin to accept. Raises InvalidArgument or ConnectError; nothing listens then."""
        timeout = self.config.handshake_timeout
        try:
            load_sessions(self.kernel)  # else the first connection would wait for it, and everybody with it
            load_server_engine(self.config.engine)
            for address, tls, sockets, is_shared in targets:
                if sockets:
                    self._listeners += [
                        Listener(self.kernel, sock, tls=tls, handshake_timeout=timeout, is_shared=is_shared)
                        for sock in sockets
                    ]
                else:
                    self._listeners += await listen(self.kernel, address, tls=tls, handshake_timeout=timeout)
        except BaseException:
            self._close_listeners()
            raise
        for listener in self._listeners:
            self.kernel.locked(self._events.add, f"Listens on {listener.address}")
            self.kernel.spawn(self._accept, listener)
        if self.config.max_connection_age is not None or self.config.max_connection_idle is not None:
            self.kernel.spawn(self._ageing.run)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens, with real ports."""
        return tuple(str(listener.address) for listener in self._listeners)

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            with suppress(OSError):  # the file of a unix socket is somebody else's by now
                listener.close()

    async def _accept(self, listener: Listener) -> None:
        kernel = self.kernel
        while True:
            stream: SocketStream | None = None
            try:
                await self._wait_for(self._has_room)
                stream = await listener.accept()
                kernel.spawn(self._serve_accepted, listener, stream)
                kernel.locked(self._count_accepted, 1)
            except NotConnected:
                return
            except BaseException as error:  # also that no thread can be started
                if stream is not None:
                    stream.close()
                contain(error, kernel, partial(self._accepting_failed, listener))
                await kernel.sleep(kernel.now() + ACCEPT_PAUSE)

    def _has_room(self) -> bool:
        limit = self.config.max_connections
        return limit is None or self._accepted < limit or self.is_stopping

    def _count_accepted(self, change: int) -> None:
        self._accepted += change
        self._changes.wake_all()

    def _accepting_failed(self, listener: Listener, error: BaseException) -> None:
        log_exception(error, "%s: accepting a connection failed", listener.address)

    async def _serve_accepted(self, listener: Listener, stream: SocketStream) -> None:
        session = None
        try:
            if self.config.keepalive_time is not None:
                stream.limit_unacknowledged_time(self.config.keepalive_timeout)
            session = await self.begin(await listener.secure(stream), is_accepted=True)
        except ConnectError as error:
            with suppress(Exception):  # that the log fails is no reason to end anything
                logger.info("%s", error)
        except BaseException as error:
            contain(error, self.kernel, partial(self._connection_failed, stream))
        finally:
            if session is None:
                stream.close()
                self.kernel.locked(self._count_accepted, -1)

    def _connection_failed(self, stream: ByteStream, error: BaseException) -> None:
        log_exception(error, "%s: the connection ended with an internal error", stream.peer)

    # -- connections

    async def begin(
        self, stream: ByteStream, tap: Tap | None = None, *, is_accepted: bool = False
    ) -> ServerSession | None:
        """Serve a connection over a stream, from now on; None if the server stops meanwhile. It owns the stream."""
        session: ServerSession | None = None
        try:
            session = ServerSession(self, stream, tap, is_accepted=is_accepted)
            if not self.kernel.locked(self._add, session):
                stream.close()
                return None
            await session.transport.start()
        except BaseException:
            if session is not None:
                self.kernel.locked(self._remove, session)
            stream.close()
            raise
        return session

    def _add(self, session: ServerSession) -> bool:
        if not self.is_stopping:
            self._sessions.add(session)
            self._by_wire[session.wire] = session
            self._count_sessions()
            self._ageing.add(session)
        return not self.is_stopping

    def _remove(self, session: ServerSession) -> None:
        self._sessions.discard(session)
        self._by_wire.pop(session.wire, None)
        self._count_sessions()
        budget = self.wire_config.memory_budget
        if budget is not None:  # also where it was given up half-way
            budget.update(session.wire, 0, 0)
        self._ageing.discard(session)
        self._changes.wake_all()

    def _count_sessions(self) -> None:
        sessions = len(self._sessions)
        self.rounds.serve(sessions)
        if self.wire_config.memory_budget is not None:
            self.wire_config.memory_budget.serve(sessions)

    def session_over(self, session: ServerSession) -> None:
        """A connection and everything of it has ended. Without the mutex."""
        self.kernel.locked(self._over, session)

    def _over(self, session: ServerSession) -> None:
        if session in self._sessions:
            self._calls_started += session.calls_started
            self._last_call_started = max(self._last_call_started, session.last_call_started)
            _add(self._calls_ended, session.calls_ended)
            if session.is_accepted:
                self._accepted -= 1
            self._remove(session)

    def _sessions_now(self) -> list[ServerSession]:
        return self.kernel.locked(list, self._sessions)

    # -- the end

    async def stop(self, grace: float | None, callbacks: Iterable[Callable[[], object]]) -> None:
        """`puregrpc.server.server.Server.stop`; ``callbacks`` are called the first time."""
        kernel = self.kernel
        if kernel.locked(self._begin_to_stop):
            for callback in callbacks:
                try:
                    callback()
                except (KeyboardInterrupt, SystemExit):
                    raise
                except BaseException as error:  # no cancellation among them: nothing is awaited
                    self._callback_failed(error)
        self._close_listeners()
        for session in self._sessions_now():
            session.go_away(b"the server is stopping")
        await self._wait_for(self._has_no_connections, inf if grace is None else kernel.now() + grace)
        for session in self._sessions_now():
            session.abort("the server was stopped")
        await self._wait_for(self._has_no_connections, kernel.now() + FORCED_CLOSE_TIMEOUT)
        kernel.locked(self._is_stopped_now)

    def _begin_to_stop(self) -> bool:
        is_first = not self.is_stopping
        if is_first:
            self._events.add("Server stops: it accepts nothing new")
        self.is_stopping = True
        self._changes.wake_all()
        return is_first

    def _callback_failed(self, error: BaseException) -> None:
        log_exception(error, "a callback of call_on_stop raised %s", type(error).__name__)

    def _has_no_connections(self) -> bool:
        return not (self._accepted or self._sessions)

    def _is_stopped_now(self) -> None:
        if not self.is_stopped:
            self._events.add("Server stopped")
        self.is_stopped = True
        self._changes.wake_all()

    async def wait_stopped(self, until: float = inf) -> bool:
        """Wait until `stop` is done; False if that is not so by ``until``."""
        return await self._wait_for(lambda: self.is_stopped, until)

    async def close(self) -> None:
        """End at once what is left of all, and wait for it; `Kernel.close` follows."""
        self.kernel.locked(self._begin_to_stop)
        self._close_listeners()
        for session in self._sessions_now():
            session.abort("the server was stopped")
        self.endings.finish()
        try:
            if self.jobs is not None:
                await self.jobs.close()
        finally:
            try:
                await self.threads.close(FORCED_CLOSE_TIMEOUT)
            finally:
                self.kernel.locked(self._is_stopped_now)

    async def _wait_for(self, condition: Callable[[], bool], until: float = inf) -> bool:
        """Wait until a condition of what the kernel's mutex guards is met; False if it is not by ``until``."""
        locked = self.kernel.locked

        def begin() -> Waiter | None:
            return None if condition() else self._changes.waiter()

        while (waiter := locked(begin)) is not None:
            woken = False
            try:
                woken = await waiter.wait(until)
            finally:
                if not woken:
                    locked(self._changes.forget, waiter)
            if not woken:
                return False
        return True

    # -- as data

    def snapshot(self) -> ServerSnapshot:
        """The server, its connections and their calls as they stand."""
        sessions = self._sessions_now()
        started, last, ended, trace = self.kernel.locked(
            lambda: (self._calls_started, self._last_call_started, dict(self._calls_ended), self._events.snapshot())
        )
        for session in sessions:
            started += session.calls_started
            last = max(last, session.last_call_started)
            _add(ended, dict(session.calls_ended))
        return ServerSnapshot(
            addresses=self.addresses,
            is_stopping=self.is_stopping,
            methods=tuple(self.router.routes),
            connections=tuple(session.snapshot() for session in sessions),
            calls_started=started,
            calls_ended=ended,
            listeners={listener.number: str(listener.address) for listener in self._listeners},
            trace=trace,
            last_call_started=wall_time(last, self.kernel.now()),
        )


def _no_loop(job: Job, kind: object = None) -> None:  # noqa: ARG001 - in the place of what takes one
    raise AssertionError("a blocking server runs plain handlers alone")


def _add(totals: dict[int, int], more: Mapping[int, int]) -> None:
    for code, number in more.items():
        if number:
            totals[code] = totals.get(code, 0) + number
