"""What one thread of a kernel does for all: it goes on with parked coroutines, in time, and sees to wishes."""

from __future__ import annotations

import _thread
import heapq
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import count

from puregrpc.kernel.base import call_logged
from puregrpc.kernel.threads.trampoline import ThreadWaiter
from puregrpc.kernel.threads.waking import Signal
from puregrpc.kernel.threads.workers import Work, WorkerThreads

__all__ = ["Timers"]

NAME = "puregrpc timers"

FEW = 1000

Due = ThreadWaiter | Callable[[], object]


class Timers:
    """Its thread is made when there is something to do, and stays until `close`.

    Others leave what they want in queues without a lock, so that finalizers and signal handlers can do so as well.
    """

    def __init__(self, threads: WorkerThreads) -> None:
        self._threads = threads
        self._numbers = count()
        self._is_closed = False
        self._is_over = False
        self.forget()

    def forget(self) -> None:
        """Begin anew. After `os.fork`, in the child: there is no thread, and those who wait are the parent's."""
        self._signal = Signal()
        self._wishes: deque[Callable[[], object]] = deque()
        self._woken: deque[ThreadWaiter] = deque()
        self._added: deque[tuple[float, Due]] = deque()
        self._heap: list[tuple[float, int, Due]] = []
        self._most = FEW
        """How many may be in the heap before those that are of no interest any more are taken out."""
        self._has_thread = False
        self._server = 0
        """The thread that serves."""
        self._serving = threading.Lock()

    # -- from any thread, with or without the mutex

    def wish(self, function: Callable[[], object]) -> bool:
        """Call a function soon, without the mutex; what it raises is logged. From finalizers and signal handlers too.

        False after `finish`, where nothing happens.
        """
        if self._is_over:
            return False
        self._wishes.append(function)
        self._signal.set()
        if not self._has_thread and not self._is_closed:
            # Who is interrupted here may be in the middle of starting a thread with what `threading` has for that.
            with suppress(RuntimeError):  # the interpreter ends
                _thread.start_new_thread(call_logged, (self.start,))
        return True

    def woken(self, waiter: ThreadWaiter) -> None:
        """See `Parking.woken`."""
        self._woken.append(waiter)
        self._signal.set()

    def parked(self, waiter: ThreadWaiter) -> None:
        """See `Parking.parked`."""
        self._added.append((waiter.until, waiter))
        self._signal.set()

    def at(self, when: float, function: Callable[[], object]) -> None:
        """Call a function at a point in time, without the mutex; what it raises is logged. Not from finalizers."""
        self._added.append((when, function))
        self._signal.set()
        self.start()

    def start(self) -> None:
        """See that there is a thread, from here on."""
        if not self._has_thread and not self._is_closed:
            self._threads.submit(Work(self._serve, NAME))
            self._has_thread = True

    def is_served_here(self) -> bool:
        """Whether this is the thread that serves."""
        return self._server == threading.get_ident()

    def hand_over(self) -> None:
        """To be called in the thread that serves, before it blocks: another one goes on."""
        self._server = 0
        self._has_thread = False
        self._serving.release()
        self.start()

    def close(self) -> None:
        """The thread ends once it has done what was wished for; none is made any more."""
        self._is_closed = True
        self._signal.set()

    def finish(self) -> None:
        """Do what was wished for since the thread ended, or before one could begin. All other threads have ended."""
        while self._wishes:
            call_logged(self._wishes.popleft())
        self._is_over = True

    # -- in the thread

    def _serve(self) -> None:
        if not self._serving.acquire(blocking=False):
            return  # two saw that there was no thread
        me = self._server = threading.get_ident()
        try:
            while self._server == me:
                left = self._do_something()
                if left is None or left > 0:
                    if self._is_closed:
                        return
                    self._signal.wait(left)
        finally:
            if self._server == me:
                self._server = 0
                self._serving.release()

    def _do_something(self) -> float | None:
        """Do what is wished for, and one thing that is due: 0. If none is, in how many seconds one is; None: never."""
        while self._added:
            when, what = self._added.popleft()
            heapq.heappush(self._heap, (when, next(self._numbers), what))
        if len(self._heap) > self._most:
            self._heap = [entry for entry in self._heap if _is_of_interest(entry[2])]
            heapq.heapify(self._heap)
            self._most = max(FEW, 2 * len(self._heap))
        if self._wishes and not self._grant():
            return 0
        if self._woken:
            self._go_on(self._woken.popleft(), late=False)
        elif self._heap:
            left = self._heap[0][0] - time.monotonic()
            if left > 0:
                return left
            _, _, what = heapq.heappop(self._heap)
            if isinstance(what, ThreadWaiter):
                self._go_on(what, late=True)
            else:
                call_logged(what)
        else:
            return None
        return 0

    def _grant(self) -> bool:
        """Do what is wished for by now. False if more has come, or another thread does the rest: it has handed over."""
        me, wishes = self._server, self._wishes
        for _ in range(len(wishes)):
            call_logged(wishes.popleft())
            if self._server != me:
                return False
        return not wishes

    def _go_on(self, waiter: ThreadWaiter, *, late: bool) -> None:
        parked = waiter.parked
        if parked:
            call_logged(lambda: parked.go_on(waiter, late=late))


def _is_of_interest(due: Due) -> bool:
    return not isinstance(due, ThreadWaiter) or bool(due.parked)
