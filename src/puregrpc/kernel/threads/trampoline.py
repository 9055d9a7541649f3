"""Running coroutines on threads: what one waits for is yielded to a trampoline, which blocks its thread or parks it.

`run_blocking` is the trampoline of a thread that has nothing else to do: a blocking call, a task. `Parked` is that of
a coroutine without a thread of its own: it runs in the thread that starts it until it first waits, and then in the one
that sees to the kernel's timers.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Generator
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from math import inf
from types import coroutine
from typing import Any, Final, Generic, Literal, Protocol, TypeVar, cast
from weakref import ref

from puregrpc.kernel.threads.sleeping import longest_wait, wait_lock

__all__ = [
    "Interrupted",
    "Interruptible",
    "Parked",
    "Parking",
    "Request",
    "Runner",
    "Running",
    "ThreadWaiter",
    "ask",
    "blocks_caller",
    "run_blocking",
]

T = TypeVar("T")

TAKEN: Final = False
"""Whoever was parked goes on in the thread that sees to the timers."""


class Interrupted(BaseException):
    """What a task of threads waits for is interrupted: it was cancelled, or its kernel was closed."""


class Request(ABC):
    """What a coroutine wants of its trampoline: something to wait for."""

    __slots__ = ()

    @abstractmethod
    def block(self, runner: Runner | None) -> Any:
        """Wait in this thread, and return what the coroutine is to get. ``runner`` may be interrupted meanwhile."""

    @abstractmethod
    def park(self) -> ThreadWaiter | None:
        """What wakes the coroutine, which then gets whether that came in time. None: it goes on at once, with None."""


class Runner(Protocol):
    """A coroutine that blocks its thread, and that others may interrupt."""

    is_cancelled: bool
    waiting: Interruptible | None
    """What it waits for."""


class Interruptible(Protocol):
    """What a runner waits for."""

    def interrupt(self) -> None:
        """End the wait. From any thread; it may come before the wait."""


@coroutine
def ask(request: Request) -> Generator[Request, Any, Any]:
    """Yield to the trampoline."""
    return (yield request)


class ThreadWaiter(Request):
    """A `Waiter` of threads: a lock that is let go to wake.

    A coroutine that is parked belongs to whoever takes the lock: the thread that parks it, if it was woken already,
    or the one that sees to the timers.
    """

    __slots__ = ("_lock", "parked", "until")

    def __init__(self) -> None:
        self._lock = lock = wait_lock()
        lock.acquire()
        self.parked: Parked[Any] | Literal[False] | None = None
        """Who is parked here; None: nobody was."""
        self.until = inf

    def wake(self) -> None:
        """See `Waiter.wake`. The mutex is not needed for it: also from signal handlers and finalizers."""
        try:
            self._lock.release()
        except RuntimeError:
            return  # it has been woken
        parked = self.parked
        if parked:
            parked.parking.woken(self)

    interrupt = wake

    @coroutine
    def _wait(self, until: float = inf) -> Generator[Request, Any, bool]:
        self.until = until
        return cast("bool", (yield self))

    wait: Callable[..., Coroutine[Any, Any, bool]] = cast("Any", _wait)
    """See `Waiter.wait`. A generator in the shape of a coroutine: half the cost of one that awaits."""

    def take(self) -> bool:
        """Whether it has been woken, to whoever asks first."""
        return self._lock.acquire(blocking=False)

    def block(self, runner: Runner | None = None) -> bool:
        if runner is None:
            return self.sleep()
        runner.waiting = self
        if runner.is_cancelled:
            raise Interrupted
        is_woken = self.sleep()
        runner.waiting = None
        if runner.is_cancelled:
            raise Interrupted
        return is_woken

    def sleep(self) -> bool:
        """Wait in this thread, which nobody interrupts."""
        until = self.until
        longest = longest_wait()
        if until == longest == inf:
            return self._lock.acquire()
        while True:
            left = min(max(until - time.monotonic(), 0.0), longest, threading.TIMEOUT_MAX)
            if self._lock.acquire(timeout=left):
                return True
            if time.monotonic() >= until:
                return False

    def park(self) -> ThreadWaiter:
        return self


class Running(ABC):
    """A coroutine that runs beside whoever started it."""

    def __init__(self) -> None:
        self.is_cancelled = False
        self.thread = 0
        """The thread that runs it just now, or 0."""
        self._is_over = False
        self._joining: list[ThreadWaiter] = []

    @abstractmethod
    def cancel(self) -> None:
        """Interrupt what it waits for. Idempotent; from any thread, with or without the mutex."""

    async def join(self) -> None:
        """Wait until it has ended."""
        waiter = ThreadWaiter()
        self._joining.append(waiter)
        if self._is_over:
            waiter.wake()
        await waiter.wait()

    def note_end(self) -> None:
        """It has ended."""
        self._is_over = True
        for waiter in self._joining:
            waiter.wake()


class _BlocksCaller(Request):
    """Asks who runs the coroutine."""

    __slots__ = ()

    def block(self, runner: Runner | None) -> bool:
        return runner is None

    def park(self) -> None:
        return None


_BLOCKS_CALLER = _BlocksCaller()


def blocks_caller() -> Awaitable[bool | None]:
    """Whether the coroutine is run by a caller who waits for nothing else: it may block the thread by itself."""
    return ask(_BLOCKS_CALLER)


def run_blocking(coroutine: Coroutine[Any, Any, T], runner: Runner | None = None) -> T:
    """Run a coroutine to its end; what it waits for blocks this thread.

    What a signal handler raises, wherever it finds this thread, is raised in the coroutine, and then out of it.
    """
    try:
        return _run(coroutine, runner, None)
    except BaseException as error:
        if not _is_suspended(coroutine):
            raise
        return _run(coroutine, runner, error)  # it came between two steps of the trampoline itself


def _run(coroutine: Coroutine[Any, Any, T], runner: Runner | None, error: BaseException | None) -> T:
    value: Any = None
    while True:
        try:
            request: Request
            if error is None:
                request = coroutine.send(value)
            else:
                thrown, error = [error], None
                request = coroutine.throw(thrown.pop())  # kept here, it would keep this frame, and that all others
            value = request.block(runner)
        except StopIteration as end:
            if _is_suspended(coroutine):
                raise  # a signal handler's own
            return cast("T", end.value)
        except BaseException as reason:
            if not _is_suspended(coroutine):
                raise
            error = reason


def _is_suspended(coroutine: Any) -> bool:
    return coroutine.cr_frame is not None and not coroutine.cr_running


class Parking(Protocol):
    """Where coroutines are parked: what sees to the timers of a kernel."""

    def woken(self, waiter: ThreadWaiter) -> None:
        """Go on with the coroutine that is parked at ``waiter``. From any thread, signal handlers and finalizers."""

    def parked(self, waiter: ThreadWaiter) -> None:
        """Go on with it at ``waiter.until`` at the latest."""

    def start(self) -> None:
        """See that somebody goes on with what will be parked."""


class Parked(Running, Generic[T]):
    """A coroutine without a thread of its own, and the future of what it returns."""

    def __init__(self, parking: Parking, coroutine: Coroutine[Any, Any, T], among: set[Parked[Any]]) -> None:
        super().__init__()
        self.parking = parking
        self.future: Future[T] = Future()
        self._coroutine = coroutine
        self._among = among
        self._context = copy_context()
        self._waiter: ThreadWaiter | None = None

    def start(self) -> None:
        """Run it in this thread until it first waits. What a signal handler raises meanwhile ends it, and is raised."""
        parkings: list[ThreadWaiter] = []
        try:
            self._among.add(self)
            self.future.add_done_callback(partial(_done, ref(self)))  # which the future keeps
            self._step(None, parkings)
        except BaseException as error:
            if _is_parked(parkings):
                self.cancel()  # it is, or may be, in the other thread's hands
            elif not self._is_over:
                try:
                    self._coroutine.close()
                finally:
                    self._finish(None, error)
            raise

    def cancel(self) -> None:
        self.is_cancelled = True
        waiter = self._waiter
        if waiter is not None:
            waiter.wake()

    def go_on(self, waiter: ThreadWaiter, *, late: bool = False) -> None:
        """In the thread that sees to the timers: it was woken at ``waiter``, or is ``late``."""
        if waiter.parked is self:
            is_woken = waiter.take()
            if is_woken or late:
                waiter.parked = TAKEN
                self._step(is_woken or waiter.take(), [])

    def _step(self, value: Any, parkings: list[ThreadWaiter]) -> None:
        """Run it until it waits, or to its end. ``parkings`` gets what it is parked at."""
        coroutine, run = self._coroutine, self._context.run
        error: BaseException | None = Interrupted() if self.is_cancelled else None
        self.thread = threading.get_ident()
        while True:
            try:
                request: Request
                if error is None:
                    request = run(coroutine.send, value)
                else:
                    thrown, error = [error], None
                    request = run(coroutine.throw, thrown.pop())
                if self.is_cancelled:
                    raise Interrupted
                waiter = request.park()
                if waiter is None:
                    value = None
                    continue
                self.parking.start()
                self.thread = 0
                parkings.append(waiter)
                if not self._is_woken(waiter):
                    return
                self.thread = threading.get_ident()
                value = True
            except StopIteration as end:
                self._finish(end.value, None)
                return
            except BaseException as reason:
                if _is_parked(parkings):
                    raise
                if not _is_suspended(coroutine):
                    self._finish(None, reason)
                    if isinstance(reason, Exception | Interrupted):
                        return
                    raise
                error = reason
                # PyPy's contexts are Python code: an interrupt in it leaves this one entered for ever.
                self._context = self._context.copy()
                run = self._context.run

    def _is_woken(self, waiter: ThreadWaiter) -> bool:
        """Park at ``waiter``; True if it has been woken already, and the coroutine is for this thread to go on with."""
        self._waiter = waiter
        waiter.parked = self
        if self.is_cancelled:
            waiter.wake()
        if waiter.take():
            waiter.parked = None
            return True
        if waiter.until != inf:
            self.parking.parked(waiter)
        return False

    def _finish(self, result: T | None, error: BaseException | None) -> None:
        try:
            if self.future.set_running_or_notify_cancel():
                if error is None:
                    self.future.set_result(cast("T", result))
                else:
                    self.future.set_exception(error)
        finally:
            self.thread = 0
            self._among.discard(self)
            self.note_end()


def _done(parked: ref[Parked[Any]], future: Future[Any]) -> None:
    """It has ended, or somebody cancels it."""
    it = parked()
    if it is not None and future.cancelled():
        it.cancel()


def _is_parked(parkings: list[ThreadWaiter]) -> bool:
    """Whether a coroutine that was parked by this thread is not for this thread to go on with."""
    return bool(parkings) and parkings[-1].parked is not None
