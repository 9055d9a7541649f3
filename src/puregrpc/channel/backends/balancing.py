"""Load balancing: which connections a channel keeps, and which gets the next call (gRPC's load-balancing.md)."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from math import inf

from puregrpc.channel.backends.backoff import MIN_RESOLUTION_INTERVAL, Backoff
from puregrpc.channel.backends.connectivity import ConnectivityState, aggregate
from puregrpc.channel.backends.subchannel import NOBODY, Subchannel, SubchannelListener, SubchannelOwner, closed
from puregrpc.errors import ConnectError
from puregrpc.kernel import Task, Waiter
from puregrpc.kernel.network.addresses import Address
from puregrpc.transport import CallCounters, ClientSession, SessionCounters

__all__ = ["Balancer", "PickFirst", "RoundRobin"]

logger = logging.getLogger("puregrpc.channel")


class Balancer(ABC):
    """The backends of a channel. ``subchannels`` are those in use; removed ones stay in ``leaving`` until closed.

    Its methods are called with the mutex held, `try_pick` excepted.
    """

    __slots__ = ("_calls", "_counted", "leaving", "subchannels")

    def __init__(self) -> None:
        self._counted = SessionCounters(0, 0)
        self._calls = CallCounters()
        """Of subchannels that are no more."""
        self.subchannels: list[Subchannel] = []
        self.leaving: list[Subchannel] = []

    @property
    def state(self) -> ConnectivityState:
        return aggregate(subchannel.state for subchannel in self.subchannels)

    @property
    def last_error(self) -> str:
        """Why there is no connection, as far as known."""
        return "; ".join(dict.fromkeys(subchannel.error for subchannel in self.subchannels if subchannel.error))

    @property
    def failures(self) -> int:
        """How many attempts to connect have failed so far."""
        return sum(subchannel.failures for subchannel in self.subchannels)

    @property
    def has_sessions(self) -> bool:
        return any(subchannel.sessions for subchannel in (*self.subchannels, *self.leaving))

    @property
    def sessions(self) -> list[ClientSession]:
        """All connections that are not over."""
        return [session for subchannel in (*self.subchannels, *self.leaving) for session in subchannel.sessions]

    @property
    def counters(self) -> SessionCounters:
        """Octets that went over all connections so far."""
        counted = self._counted
        for subchannel in (*self.subchannels, *self.leaving):
            counted = counted + subchannel.counters
        return counted

    @property
    def call_counters(self) -> CallCounters:
        """The calls that went over all connections so far."""
        counted = self._calls
        for subchannel in (*self.subchannels, *self.leaving):
            counted = counted + subchannel.call_counters
        return counted

    @abstractmethod
    def try_pick(self) -> ClientSession | None:
        """The connection for the next call, if one is ready. With or without the mutex."""

    def request_connection(self) -> None:
        """Connect, as far as that is not under way."""
        for subchannel in self.subchannels:
            subchannel.request_connection()

    def hurry(self) -> None:
        """Cut short the pause before the next attempt."""
        for subchannel in self.subchannels:
            subchannel.hurry()

    def changed(self) -> None:
        """A subchannel has changed its state, or one of its connections is over."""
        for subchannel in self.leaving:
            if not subchannel.sessions:
                self._counted = self._counted + subchannel.counters
                self._calls = self._calls + subchannel.call_counters
        self.leaving = [subchannel for subchannel in self.leaving if subchannel.sessions]

    def close(self) -> None:
        """End all calls and connections."""
        for subchannel in (*self.subchannels, *self.leaving):
            subchannel.close()


class PickFirst(Balancer):
    """One connection for all calls: to the first address that answers (gRFC A62)."""

    __slots__ = ("_subchannel",)

    def __init__(self, subchannel: Subchannel) -> None:
        super().__init__()
        self.subchannels = [subchannel]
        self._subchannel = subchannel

    def try_pick(self) -> ClientSession | None:
        return self._subchannel.session


class RoundRobin(Balancer):
    """A connection to each address, and calls to each in turn."""

    def __init__(
        self,
        owner: SubchannelOwner,
        resolve: Callable[[float], Awaitable[list[Address]]],
        make_subchannel: Callable[[Address], Subchannel],
        *,
        resolve_timeout: float,
    ) -> None:
        super().__init__()
        self._owner: SubchannelListener = owner
        self._trace = owner.trace
        self._kernel = owner.kernel
        self._resolve = resolve
        self._resolve_timeout = resolve_timeout
        self._make_subchannel = make_subchannel
        self._by_address: dict[Address, Subchannel] = {}
        self._ready: tuple[ClientSession, ...] = ()
        self._next = 0
        self._resolving: Task | None = None
        self._resolved_at = -inf
        self._resolution_error = ""
        self._resolution_failures = 0
        self._pause: Waiter | None = None
        self._is_closed = False

    @property
    def state(self) -> ConnectivityState:
        if self.subchannels:
            return aggregate(subchannel.state for subchannel in self.subchannels)
        if self._resolution_error:
            return ConnectivityState.TRANSIENT_FAILURE
        return ConnectivityState.IDLE if self._resolving is None else ConnectivityState.CONNECTING

    @property
    def last_error(self) -> str:
        return super().last_error or self._resolution_error

    @property
    def failures(self) -> int:
        return super().failures + self._resolution_failures

    def try_pick(self) -> ClientSession | None:
        ready = self._ready
        if not ready:
            return None
        self._next = number = (self._next + 1) % len(ready)
        return ready[number]

    def request_connection(self) -> None:
        if self._resolved_at == -inf:
            self._start_resolving()
        super().request_connection()

    def hurry(self) -> None:
        if self._pause is not None:
            self._pause.wake()
        super().hurry()

    def changed(self) -> None:
        self._ready = tuple(subchannel.session for subchannel in self.subchannels if subchannel.session is not None)
        super().changed()
        if self._is_closed or self._resolved_at == -inf:
            return
        lost = False
        for subchannel in self.subchannels:
            if subchannel.state is ConnectivityState.IDLE:
                lost = True
                subchannel.request_connection()
            elif subchannel.state is ConnectivityState.TRANSIENT_FAILURE:
                lost = True
        if lost and self._kernel.now() >= self._resolved_at + MIN_RESOLUTION_INTERVAL:
            self._start_resolving()

    def close(self) -> None:
        self._is_closed = True
        self._ready = ()
        if self._resolving is not None:
            self._resolving.cancel()
        super().close()
        self._owner = NOBODY  # nothing refers back to the channel any more
        self._resolve = self._make_subchannel = closed

    def _start_resolving(self) -> None:
        if self._resolving is None and not self._is_closed:
            self._resolving = self._kernel.spawn(self._keep_resolving)

    async def _keep_resolving(self) -> None:
        kernel, backoff = self._kernel, Backoff()
        while not self._is_closed:
            began = kernel.now()
            try:
                addresses = await self._resolve(began + self._resolve_timeout)
            except Exception as error:
                if not isinstance(error, ConnectError) and not self._is_closed:
                    logger.exception("the name could not be resolved for a reason that was not foreseen")
                pause = kernel.locked(self._resolution_failed, str(error))
                await pause.wait(began + backoff.next_pause())
                continue
            for session in kernel.locked(self._use, addresses):
                session.push()
            return

    def _resolution_failed(self, problem: str) -> Waiter:
        self._resolution_error = problem
        self._resolution_failures += 1
        self._owner.subchannel_changed()
        self._pause = self._kernel.waiter()
        return self._pause

    def _use(self, addresses: list[Address]) -> list[ClientSession]:
        """Keep connections to these; returns those that have something to send."""
        self._resolving = self._pause = None
        if self._is_closed:
            return []
        self._resolved_at = self._kernel.now()
        self._resolution_error = ""
        self._trace.add(f"Address resolved to {', '.join(map(str, addresses))}")
        by_address = {address: self._by_address.get(address) or self._make_subchannel(address) for address in addresses}
        removed = [subchannel for address, subchannel in self._by_address.items() if address not in by_address]
        self._by_address = by_address
        self.subchannels = list(by_address.values())
        self.leaving += removed
        leaving = [session for subchannel in removed for session in subchannel.sessions]
        for subchannel in removed:
            self._trace.add("Subchannel removed: its address is gone", subchannel=subchannel)
            subchannel.drain()
        for subchannel in self.subchannels:
            subchannel.request_connection()
        self._owner.subchannel_changed()
        return leaving
