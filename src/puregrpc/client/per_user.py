"""Clients that a script makes once and each virtual user of a load run has its own of, as k6's users do.

What a user connects is its own; what was connected before the users began (in ``init``) is shared by all that have not
connected for themselves. The schema and the codec are shared in any case.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import TYPE_CHECKING, Any

from puregrpc.client.async_client import AsyncClient
from puregrpc.client.client import Client
from puregrpc.client.kinds import made_as
from puregrpc.client.network.connection import KnownOptions
from puregrpc.client.streams.client_state import AsyncState, BlockingState
from puregrpc.kernel import Kernel, Waiters

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from puregrpc.client.params.connect import ConnectKeywords

__all__ = ["Connections", "current_connections", "per_user_clients"]


logger = logging.getLogger("puregrpc.load")


class Connections:
    """What one virtual user has of its clients, or several users that share them.

    ``kernel`` is the loop's; None where users are threads.
    """

    __slots__ = ("is_shared", "kernel", "lock", "opening", "states")

    def __init__(self, kernel: Kernel | None = None, *, is_shared: bool = False) -> None:
        self.kernel = kernel
        self.is_shared = is_shared
        """Several users have them: the first that connects does it for all, and nobody closes them before the end."""
        self.states: dict[object, Any] = {}
        """Client -> its state for these users."""
        self.lock = threading.Lock()
        self.opening: dict[object, Waiters] = {}
        """Client -> who waits until it is connected."""

    def interrupt(self) -> None:
        """Have calls of threads end that are under way: their connections are closed."""
        if self.kernel is None and not self.is_shared:
            for state in list(self.states.values()):
                connection = state.connection
                if connection is not None:
                    connection.close_soon()

    async def close(self) -> None:
        """Close what is connected. To be called where the users ran. What handlers raised that nobody was told is
        logged."""
        self.is_shared = False
        token = _connections.set(self)
        try:
            for client in list(self.states):
                try:
                    if isinstance(client, UserAsyncClient):
                        await client.close()
                    elif isinstance(client, UserClient):
                        client.close()
                except Exception:
                    logger.exception("a handler of a stream raised")
        finally:
            _connections.reset(token)


_connections: ContextVar[Connections | None] = ContextVar("puregrpc_user_connections", default=None)

current_connections = _connections


class OfUsers:
    """A client whose state is that of the user who asks, or what all have in common."""

    _common: Any

    @cached_property
    def _known(self) -> KnownOptions:
        """What users share of their connections for as long as the run lasts, certificates that were read among it."""
        return {}

    @property
    def _state(self) -> Any:
        mine = _connections.get()
        return self._common if mine is None else mine.states.get(self, self._common)

    @_state.setter
    def _state(self, state: Any) -> None:
        self._common = state

    @property
    def _core(self) -> Any:
        return self._state.core

    @_core.setter
    def _core(self, core: Any) -> None:
        """It is the state's."""


class UserClient(OfUsers, Client):
    """A `Client` that each user has its own of."""

    _common: BlockingState[Any]

    def connect(
        self, address: str, params: Mapping[str, Any] | None = None, **keywords: Unpack[ConnectKeywords]
    ) -> bool:
        """See `Client.connect`."""
        mine = _connections.get()
        if mine is None:
            return super().connect(address, params, **keywords)
        mine.lock.acquire()
        try:
            state = mine.states.get(self)
            if state is None:
                state = mine.states[self] = BlockingState(None, core=self._common.core.sibling())
                state.known = self._known
            if not mine.is_shared:
                mine.lock.release()
                try:
                    return super().connect(address, params, **keywords)
                finally:
                    mine.lock.acquire()
            if state.connection is None:
                super().connect(address, params, **keywords)
            return True
        finally:
            mine.lock.release()

    def close(self) -> None:
        """See `Client.close`."""
        mine = _connections.get()
        if mine is None or (self in mine.states and not mine.is_shared):
            super().close()


class UserAsyncClient(OfUsers, AsyncClient):
    """An `AsyncClient` that each user has its own of."""

    _common: AsyncState[Any]

    def live_in(self, kernel: Kernel) -> None:
        """What is connected for all users belongs to the run."""
        self._common.lend(kernel)

    async def connect(
        self, address: str, params: Mapping[str, Any] | None = None, **keywords: Unpack[ConnectKeywords]
    ) -> bool:
        """See `AsyncClient.connect`."""
        mine = _connections.get()
        if mine is None or mine.kernel is None:
            return await super().connect(address, params, **keywords)
        state = mine.states.get(self)
        if state is None:
            state = mine.states[self] = AsyncState(None, None, core=self._common.core.sibling())
            state.known = self._known
            state.lend(mine.kernel)
        if not mine.is_shared:
            return await super().connect(address, params, **keywords)
        while self in mine.opening:
            await mine.opening[self].waiter().wait()
        if state.connection is None:
            waiting = mine.opening[self] = Waiters(mine.kernel.waiter)
            try:
                await super().connect(address, params, **keywords)
            finally:
                del mine.opening[self]
                waiting.wake_all()
        return True

    async def close(self) -> None:
        """See `AsyncClient.close`."""
        mine = _connections.get()
        if mine is None or (self in mine.states and not mine.is_shared):
            await super().close()


@contextmanager
def per_user_clients() -> Iterator[list[UserClient | UserAsyncClient]]:
    """Clients that the body makes are of this kind; gives the list that they are put into."""
    made: list[UserClient | UserAsyncClient] = []

    class Blocking(UserClient):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            made.append(self)

    class Async(UserAsyncClient):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            made.append(self)

    Blocking.__name__ = Blocking.__qualname__ = "Client"
    Async.__name__ = Async.__qualname__ = "AsyncClient"
    with made_as({Client: Blocking, AsyncClient: Async}):
        yield made
