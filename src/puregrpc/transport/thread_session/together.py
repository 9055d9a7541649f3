"""Few threads that read for many sessions of one server.

A thread for each session takes its stack, and what its allocator keeps for it, however little comes; and of those that
have something to do the interpreter lets go on whom it likes. Where sessions are many, or one has no time for all that
comes, they have seats here instead. Whoever has something to do gets a turn: those whose turns were short come first,
and of those that had none yet and those whose turns are long, one comes after the other. So a client that asks for
little waits for few of a thousand that ask for much.
"""

from __future__ import annotations

import heapq
import logging
import os
import select
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from math import inf
from typing import Any, NamedTuple, Protocol

from puregrpc.errors import LocalProtocolError
from puregrpc.kernel.threads.kernel import ThreadKernel, is_cooperative
from puregrpc.kernel.threads.mutex import Mutex
from puregrpc.kernel.threads.polling import Wakeup
from puregrpc.transport.order import UNKNOWN_TURN, Order
from puregrpc.transport.rounds import working_time

__all__ = ["Next", "Shared", "SharedReaders"]

logger = logging.getLogger("puregrpc.transport")

THREADS = 2 if "free-threading" not in sys.version else 2 + (os.cpu_count() or 1)
"""How many read: one may be held up where a session is in use, and more of them would be in one another's way."""

MOST_EVENTS = 64
"""How many sessions are heard of at once."""

LOOK_AGAIN = 0.002
"""Seconds of work after which somebody looks whether others have something to read."""

LONGEST_WAIT = 1.0

_new_epoll: Callable[[], Any] | None = getattr(select, "epoll", None)
_INPUT: int = getattr(select, "EPOLLIN", 0) | getattr(select, "EPOLLONESHOT", 0)


class Next(NamedTuple):
    """When a session is to have its next turn."""

    seconds: float
    """After so many at the latest."""
    on_input: bool
    """As soon as something comes."""


class Shared(Protocol):
    """The reading half of a session."""

    def turn(self, *, has_input: bool) -> Next | None:
        """Have a turn. ``has_input``: something may have come. None: it was the last one."""

    def end(self) -> None:
        """Its last turn is over."""


class _Seat:
    """A session's."""

    __slots__ = ("cost", "descriptor", "entered_at", "has_input", "is_busy", "reading", "wanted_at")

    def __init__(self, reading: Shared, descriptor: int) -> None:
        self.reading = reading
        self.descriptor = descriptor
        self.cost = UNKNOWN_TURN
        """What its last turn took."""
        self.is_busy = True
        """It has a turn, or is about to."""
        self.has_input = True
        """Something has come, or may have."""
        self.wanted_at = 0.0
        """When it is to have a turn, though nothing comes."""
        self.entered_at = inf
        """Its earliest entry among the times."""


class SharedReaders:
    """The seats of one server's sessions."""

    def __init__(self, kernel: ThreadKernel) -> None:
        self._kernel = kernel
        self._mutex = Mutex()
        self._seats: set[_Seat] = set()
        self._by_descriptor: dict[int, _Seat] = {}
        """Whose input is asked for. A socket that was closed before its seat was left has lost it to the next one."""
        self._epoll: Any = None
        self._wakeup: Wakeup | None = None
        self._threads = 0
        self._waiting = Order[_Seat]()
        self._times: list[tuple[float, int, _Seat]] = []
        self._numbers = count()
        self._looked_at = 0.0

    def add(self, reading: Shared, descriptor: int) -> bool:
        """Read for a session from now on; False if that cannot be here. Raises what `ThreadKernel.submit` does."""
        if _new_epoll is None or is_cooperative() or descriptor < 0:
            return False
        try:
            missing = self._mutex.locked(self._add, _Seat(reading, descriptor))
        except OSError:  # no descriptors are left
            return False
        for _ in range(missing):
            try:
                self._kernel.submit(self._run, "puregrpc readers")
            except (LocalProtocolError, RuntimeError):
                if self._mutex.locked(self._is_short_of_all, descriptor):
                    raise
        return True

    # -- what a kernel tells

    def abort(self, reason: str) -> None:
        """The sessions are told themselves."""

    def forked(self) -> None:
        """The parent reads."""
        self._seats.clear()
        self._by_descriptor.clear()
        self._threads = 0
        self._close()

    # -- in the threads

    def _run(self) -> None:
        while True:
            seat, wait = self._mutex.locked(self._take)
            if wait is not None:
                self._look(wait)
            if seat is not None:
                self._turn(seat)
            elif wait is None:
                return

    def _look(self, seconds: float) -> None:
        """See what has come, or wait for it."""
        events = self._epoll.poll(seconds, MOST_EVENTS)
        self._mutex.locked(self._came, events)

    def _turn(self, seat: _Seat) -> None:
        began = working_time()
        has_input, seat.has_input = seat.has_input, False
        following = None
        try:
            following = seat.reading.turn(has_input=has_input)
        except BaseException:  # the others have their turns all the same
            logger.exception("the turn of a connection ended with an exception that nobody waits for")
        seat.cost = working_time() - began
        if following is not None:
            self._mutex.locked(self._put_back, seat, following)
            return
        self._mutex.locked(self._leave, seat)
        try:
            seat.reading.end()
        except BaseException:
            logger.exception("the end of a connection raised an exception that nobody waits for")

    # -- with the mutex held

    def _add(self, seat: _Seat) -> int:
        """Gives how many threads are to be started."""
        if self._epoll is None:
            self._open()
        self._epoll.register(seat.descriptor, select.EPOLLONESHOT)
        self._seats.add(seat)
        self._by_descriptor[seat.descriptor] = seat
        self._waiting.add(seat, seat.cost)
        missing = THREADS - self._threads
        self._threads = THREADS
        if not missing and self._wakeup is not None:
            self._wakeup.set()
        return missing

    def _open(self) -> None:
        assert _new_epoll is not None
        self._kernel.attach(self)
        try:
            self._epoll = _new_epoll()
            self._wakeup = Wakeup()
            self._epoll.register(self._wakeup.receiving.fileno(), select.EPOLLIN)
        except BaseException:
            self._close()
            raise

    def _is_short_of_all(self, descriptor: int) -> bool:
        """A thread could not be started; True if there is none."""
        self._threads -= 1
        if not self._threads:
            seat = self._by_descriptor.get(descriptor)
            if seat is not None:
                self._leave(seat)
            self._close()
        return not self._threads

    def _take(self) -> tuple[_Seat | None, float | None]:
        """Whose turn it is, and how long to look for what comes before that, if at all. Neither: the thread ends."""
        if not self._seats:
            self._threads -= 1
            if not self._threads:
                self._close()
            return None, None
        now = time.monotonic()
        times = self._times
        while times and times[0][0] <= now:
            entered_at, _, seat = heapq.heappop(times)
            if seat.entered_at == entered_at:
                seat.entered_at = inf
                if not seat.is_busy:
                    if seat.wanted_at <= now:
                        self._queue(seat)
                    elif seat in self._seats:
                        self._enter(seat)
        if not self._waiting:
            return None, max(min(times[0][0] - now, LONGEST_WAIT), 0.0) if times else LONGEST_WAIT
        if now - self._looked_at < LOOK_AGAIN:
            return self._waiting.take()[1], None
        self._looked_at = now
        return None, 0.0

    def _came(self, events: list[tuple[int, int]]) -> None:
        for descriptor, _ in events:
            seat = self._by_descriptor.get(descriptor)
            if seat is not None:
                seat.has_input = True
                if not seat.is_busy:
                    self._queue(seat)
            elif self._wakeup is not None and self._seats and descriptor == self._wakeup.receiving.fileno():
                self._wakeup.clear()

    def _queue(self, seat: _Seat) -> None:
        seat.is_busy = True
        self._waiting.add(seat, seat.cost)

    def _enter(self, seat: _Seat) -> None:
        seat.entered_at = seat.wanted_at
        heapq.heappush(self._times, (seat.wanted_at, next(self._numbers), seat))

    def _put_back(self, seat: _Seat, following: Next) -> None:
        if seat not in self._seats:
            return  # in the child of a fork
        if following.seconds <= 0 or (seat.has_input and following.on_input):
            self._queue(seat)
            return
        seat.is_busy = False
        seat.wanted_at = time.monotonic() + following.seconds
        if seat.wanted_at < seat.entered_at:
            self._enter(seat)
        if following.on_input and self._by_descriptor.get(seat.descriptor) is seat:
            with suppress(OSError):  # it was closed meanwhile, which the next turn finds out
                self._epoll.modify(seat.descriptor, _INPUT)

    def _leave(self, seat: _Seat) -> None:
        if seat not in self._seats:
            return
        self._seats.discard(seat)
        if self._by_descriptor.get(seat.descriptor) is seat:
            del self._by_descriptor[seat.descriptor]
            with suppress(OSError):  # it has been closed
                self._epoll.unregister(seat.descriptor)
        if not self._seats and self._wakeup is not None:
            self._wakeup.set()  # who waits ends

    def _close(self) -> None:
        epoll, self._epoll = self._epoll, None
        wakeup, self._wakeup = self._wakeup, None
        self._times.clear()
        self._waiting.clear()
        if epoll is not None:
            epoll.close()
        if wakeup is not None:
            wakeup.close()
