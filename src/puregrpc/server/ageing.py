"""The limits of idle time and age of a server's connections (gRFC A9), all kept by one coroutine."""

from __future__ import annotations

import random
from collections.abc import Generator
from math import inf
from typing import TYPE_CHECKING

from puregrpc.kernel import Kernel, Waiter
from puregrpc.server.config import ServerConfig
from puregrpc.wire.deadline import Deadlines

if TYPE_CHECKING:
    from puregrpc.server.session import ServerSession

__all__ = ["Ageing"]

Life = Generator[float, float, None]
"""Yields when it is to go on, and is sent the time it is then."""


class Ageing:
    """Sends connections away in time. `run` is to run beside the server."""

    def __init__(self, kernel: Kernel, config: ServerConfig) -> None:
        self._kernel = kernel
        self._config = config
        self._lives: dict[int, Life] = {}
        self._keys: dict[ServerSession, list[int]] = {}
        self._next_key = 0
        self._times = Deadlines()
        self._waiter: Waiter | None = None

    # -- with the kernel's mutex held

    def add(self, session: ServerSession) -> None:
        """A connection has begun."""
        config = self._config
        lives = []
        if config.max_connection_age is not None:
            lives.append(_end_at_age(session, config.max_connection_age, config.max_connection_age_grace))
        if config.max_connection_idle is not None:
            lives.append(_end_when_idle(session, config.max_connection_idle))
        self._keys[session] = []
        for life in lives:
            self._next_key += 1
            self._lives[self._next_key] = life
            self._keys[session].append(self._next_key)
            self._times.add(self._next_key, next(life))
        if self._waiter is not None:
            self._waiter.wake()

    def discard(self, session: ServerSession) -> None:
        """A connection is over."""
        for key in self._keys.pop(session, ()):
            self._times.discard(key)
            self._lives.pop(key, None)

    def _due(self, now: float) -> list[tuple[int, Life]]:
        return [(key, self._lives[key]) for key in self._times.expire(now)]

    def _go_on_at(self, key: int, time: float) -> None:
        if key in self._lives:
            self._times.add(key, time)

    def _begin_waiting(self) -> tuple[Waiter, float]:
        waiter = self._waiter = self._kernel.waiter()
        time = self._times.next_time()
        return waiter, inf if time is None else time

    # -- without

    async def run(self) -> None:
        """Keep the limits until cancelled."""
        kernel = self._kernel
        while True:
            waiter, until = kernel.locked(self._begin_waiting)
            await waiter.wait(until)
            now = kernel.now()
            for key, life in kernel.locked(self._due, now):
                try:
                    time = life.send(now)
                except StopIteration:
                    continue
                kernel.locked(self._go_on_at, key, time)


def _end_at_age(session: ServerSession, age: float, grace: float | None) -> Life:
    now = yield session.started_at + age * random.uniform(0.9, 1.1)
    session.go_away(b"max_age")
    if grace is not None:
        yield now + grace
        session.abort("the connection reached its age limit, and calls went on for longer than its grace")


def _end_when_idle(session: ServerSession, idle: float) -> Life:
    now = idle_since = session.started_at
    calls_then = 0
    while True:
        now = yield now + idle / 4
        if session.wire.open_calls or session.calls_started != calls_then:
            idle_since, calls_then = now, session.calls_started
        elif now - idle_since >= idle:
            session.go_away(b"max_idle")
            return
