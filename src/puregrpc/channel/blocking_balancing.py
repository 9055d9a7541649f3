"""Round robin for blocking channels: a connection to each address, calls to each in turn (gRPC's load-balancing.md)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

from puregrpc.channel.backoff import MIN_RESOLUTION_INTERVAL
from puregrpc.channel.blocking_call import ClientSession
from puregrpc.channel.blocking_subchannel import BlockingSubchannel, check_process, deadline_passed
from puregrpc.channel.connectivity import ConnectivityState, aggregate
from puregrpc.errors import ConnectError, NotConnected, RpcError
from puregrpc.transport import Address, SessionCounters
from puregrpc.transport.process import THIS_PROCESS
from puregrpc.wire.status import StatusCode

__all__ = ["BlockingRoundRobin"]


class BlockingRoundRobin:
    """Has the methods of a `BlockingSubchannel`, and one of these for each address.

    A backend is connected to by a thread that lives as long as that takes, so that no call waits for a backend while
    another is ready. Nothing runs while all are connected.
    """

    def __init__(
        self, name: str, resolve: Callable[[], list[Address]], make_subchannel: Callable[[Address], BlockingSubchannel]
    ) -> None:
        self.name = name
        self.is_closed = False
        self._resolve = resolve
        self._make_subchannel = make_subchannel
        self._process = THIS_PROCESS.id
        self._changed = threading.Condition()
        """Guards what follows; notified when an attempt to connect or to resolve is over."""
        self._subchannels: dict[Address, BlockingSubchannel] = {}
        self._turns: tuple[BlockingSubchannel, ...] = ()
        self._leaving: list[BlockingSubchannel] = []
        self._threads: dict[str, threading.Thread] = {}
        self._next = 0
        self._resolved_at: float | None = None
        self._resolution_error = ""
        self._counted = SessionCounters(0, 0)

    @property
    def state(self) -> ConnectivityState:
        """The state of the whole, from those of its parts."""
        if self.is_closed:
            return ConnectivityState.SHUTDOWN
        if self._turns:
            return aggregate(subchannel.state for subchannel in self._turns)
        if self._threads:
            return ConnectivityState.CONNECTING
        return ConnectivityState.TRANSIENT_FAILURE if self._resolution_error else ConnectivityState.IDLE

    @property
    def failure(self) -> str:
        """Why there is no connection, as far as known."""
        reasons = (str(subchannel.failure) for subchannel in self._turns if subchannel.failure is not None)
        return "; ".join(dict.fromkeys(reasons)) or self._resolution_error

    def try_pick(self) -> ClientSession | None:
        """The connection for the next call, if one is ready."""
        turns = self._turns
        start = self._next
        for offset in range(len(turns)):
            number = (start + offset) % len(turns)
            session = turns[number].try_pick()
            if session is not None:
                self._next = number + 1
                if offset:
                    self._request_connections()
                return session
        return None

    def pick(self, deadline: float | None, *, wait_for_ready: bool) -> ClientSession:
        """As `BlockingSubchannel.pick`."""
        check_process(self._process, self.name)
        while True:
            with self._changed:
                if self.is_closed:
                    raise NotConnected(f"the channel to {self.name} is closed")
                session = self.try_pick()
                if session is not None:
                    return session
                next_attempt = self._request_connections()
                if not self._threads:
                    if not wait_for_ready:
                        raise RpcError(StatusCode.UNAVAILABLE, self.failure, code_name="UNAVAILABLE")
                    self._wait(next_attempt if deadline is None else min(next_attempt, deadline))
                else:
                    self._wait(deadline)
            if deadline is not None and time.monotonic() >= deadline:
                raise deadline_passed(self.name, self.failure)

    def connect(self, deadline: float | None) -> None:
        """Be connected to one backend at least, without the pause that follows a failure. Raises ConnectError."""
        with self._changed:
            for subchannel in self._turns:
                subchannel.next_attempt = 0.0
            while self.try_pick() is None:
                if self.is_closed:
                    raise NotConnected(f"the channel to {self.name} is closed")
                self._request_connections()
                if not self._threads:
                    raise ConnectError(self.failure)
                if deadline is not None and time.monotonic() >= deadline:
                    raise ConnectError(f"no connection to {self.name} was made in time")
                self._wait(deadline)

    @property
    def counters(self) -> SessionCounters:
        """Octets that went over all its connections so far."""
        counted = self._counted
        for subchannel in (*self._turns, *self._leaving):
            counted = counted + subchannel.counters
        return counted

    def close(self) -> None:
        """End all calls (UNAVAILABLE) and the connections, and join the threads. Idempotent."""
        if self._process != THIS_PROCESS.id:
            return
        with self._changed:
            self.is_closed = True
            for subchannel in (*self._turns, *self._leaving):
                subchannel.is_closed = True
            threads = list(self._threads.values())
            self._changed.notify_all()
        for thread in threads:
            thread.join()
        for subchannel in (*self._turns, *self._leaving):
            subchannel.close()

    # -- helpers, with the condition's lock held

    def _wait(self, until: float | None) -> None:
        left = None if until is None else min(max(until - time.monotonic(), 0.0), threading.TIMEOUT_MAX)
        self._changed.wait(left)

    def _request_connections(self) -> float:
        """Begin what is to be tried now; returns when something can be tried next, on the monotonic clock."""
        with self._changed:
            now = time.monotonic()
            if self._resolved_at is None:
                if not self._resolution_error or now >= self._next_resolution:
                    self._begin("resolver", self._look_up)
                return self._next_resolution
            lost = [subchannel for subchannel in self._turns if subchannel.try_pick() is None]
            if lost and now >= self._resolved_at + MIN_RESOLUTION_INTERVAL:
                self._begin("resolver", self._look_up)
            for subchannel in lost:
                if now >= subchannel.next_attempt:
                    self._begin(subchannel.name, partial(self._connect, subchannel))
            self._close_leaving()
            return min((subchannel.next_attempt for subchannel in lost), default=now)

    _next_resolution = 0.0

    def _begin(self, name: str, work: Callable[[], None]) -> None:
        if name in self._threads or self.is_closed:
            return

        def run() -> None:
            try:
                work()
            finally:
                with self._changed:
                    del self._threads[name]
                    self._changed.notify_all()

        self._threads[name] = threading.Thread(target=run, name=f"puregrpc connector {name}", daemon=True)
        self._threads[name].start()

    def _close_leaving(self) -> None:
        over = [subchannel for subchannel in self._leaving if not subchannel.has_calls]
        self._leaving = [subchannel for subchannel in self._leaving if subchannel not in over]
        for subchannel in over:
            subchannel.close()
            self._counted = self._counted + subchannel.counters

    # -- on threads of their own

    def _connect(self, subchannel: BlockingSubchannel) -> None:
        try:
            subchannel.connect(None)
        except (ConnectError, NotConnected):
            return  # the subchannel keeps the reason

    def _look_up(self) -> None:
        try:
            addresses = self._resolve()
        except ConnectError as error:
            with self._changed:
                self._resolution_error = str(error)
                self._next_resolution = time.monotonic() + 1.0
            return
        with self._changed:
            self._resolved_at = time.monotonic()
            self._resolution_error = ""
            known = self._subchannels
            self._subchannels = {
                address: known.get(address) or self._make_subchannel(address) for address in dict.fromkeys(addresses)
            }
            self._leaving += [subchannel for address, subchannel in known.items() if address not in self._subchannels]
            self._turns = tuple(self._subchannels.values())
            for subchannel in self._turns:
                if subchannel.try_pick() is None:
                    self._begin(subchannel.name, partial(self._connect, subchannel))
