"""Load balancing: which connections a channel keeps, and which gets the next call (gRPC's load-balancing.md)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable

import trio

from puregrpc.channel.backoff import MIN_RESOLUTION_INTERVAL, Backoff
from puregrpc.channel.connectivity import ConnectivityState, aggregate
from puregrpc.channel.subchannel import ChannelSession, Subchannel
from puregrpc.errors import ConnectError
from puregrpc.transport import Address

__all__ = ["Balancer", "PickFirst", "RoundRobin"]


class Balancer(ABC):
    """The backends of a channel. ``subchannels`` are those in use; removed ones stay in ``leaving`` until closed."""

    def __init__(self) -> None:
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

    @abstractmethod
    def try_pick(self) -> ChannelSession | None:
        """The connection for the next call, if one is ready."""

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
        self.leaving = [subchannel for subchannel in self.leaving if subchannel.sessions]

    def close(self) -> None:
        """End all calls and connections."""
        for subchannel in (*self.subchannels, *self.leaving):
            subchannel.close()


class PickFirst(Balancer):
    """One connection for all calls: to the first address that answers (gRFC A62)."""

    def __init__(self, subchannel: Subchannel) -> None:
        super().__init__()
        self.subchannels = [subchannel]
        self._subchannel = subchannel

    def try_pick(self) -> ChannelSession | None:
        return self._subchannel.session


class RoundRobin(Balancer):
    """A connection to each address, and calls to each in turn."""

    def __init__(
        self,
        nursery: trio.Nursery,
        resolve: Callable[[], Awaitable[list[Address]]],
        make_subchannel: Callable[[Address], Subchannel],
        notify: Callable[[], None],
    ) -> None:
        super().__init__()
        self._nursery = nursery
        self._resolve = resolve
        self._make_subchannel = make_subchannel
        self._notify = notify
        self._by_address: dict[Address, Subchannel] = {}
        self._ready: list[ChannelSession] = []
        self._next = 0
        self._resolving: trio.CancelScope | None = None
        self._resolved_at: float | None = None
        self._resolution_error = ""
        self._resolution_failures = 0
        self._hurry = trio.Event()
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

    def try_pick(self) -> ChannelSession | None:
        ready = self._ready
        if not ready:
            return None
        self._next = (self._next + 1) % len(ready)
        return ready[self._next]

    def request_connection(self) -> None:
        if self._resolved_at is None:
            self._start_resolving()
        super().request_connection()

    def hurry(self) -> None:
        self._hurry.set()
        self._hurry = trio.Event()
        super().hurry()

    def changed(self) -> None:
        self._ready = [subchannel.session for subchannel in self.subchannels if subchannel.session is not None]
        super().changed()
        if self._is_closed or self._resolved_at is None:
            return
        lost = False
        for subchannel in self.subchannels:
            if subchannel.state is ConnectivityState.IDLE:
                lost = True
                subchannel.request_connection()
            elif subchannel.state is ConnectivityState.TRANSIENT_FAILURE:
                lost = True
        if lost and trio.current_time() >= self._resolved_at + MIN_RESOLUTION_INTERVAL:
            self._start_resolving()

    def close(self) -> None:
        self._is_closed = True
        if self._resolving is not None:
            self._resolving.cancel()
        super().close()

    def _start_resolving(self) -> None:
        if self._resolving is None and not self._is_closed:
            self._resolving = trio.CancelScope()
            self._nursery.start_soon(self._keep_resolving, self._resolving)

    async def _keep_resolving(self, scope: trio.CancelScope) -> None:
        backoff = Backoff()
        with scope:
            while True:
                try:
                    addresses = await self._resolve()
                    break
                except ConnectError as error:
                    self._resolution_error = str(error)
                    self._resolution_failures += 1
                    self._notify()
                    with trio.move_on_after(backoff.next_pause()):
                        await self._hurry.wait()
            self._resolved_at = trio.current_time()
            self._use(addresses)
        self._resolving = None
        self._notify()

    def _use(self, addresses: list[Address]) -> None:
        by_address = {address: self._by_address.get(address) or self._make_subchannel(address) for address in addresses}
        removed = [subchannel for address, subchannel in self._by_address.items() if address not in by_address]
        self._by_address = by_address
        self.subchannels = list(by_address.values())
        self.leaving += removed
        for subchannel in removed:
            subchannel.drain()
        for subchannel in self.subchannels:
            subchannel.request_connection()
