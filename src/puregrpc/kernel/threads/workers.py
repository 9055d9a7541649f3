"""The threads of a kernel: each does one thing after the other, and is made when no other is idle."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from puregrpc.errors import LocalProtocolError
from puregrpc.kernel.threads.daemons import HAS_DAEMONS, away_from_signals, daemon
from puregrpc.kernel.threads.mutex import Mutex
from puregrpc.kernel.threads.waking import Signal

__all__ = ["Lane", "Work", "WorkerThreads"]

logger = logging.getLogger("puregrpc.kernel")

LONGEST_IDLE = 10.0
"""How long (seconds) a thread waits for something to do."""


class Work:
    """What a thread is to do."""

    is_abandoned = False
    """Nobody waits for it any more."""

    def __init__(self, function: Callable[[], object], name: str) -> None:
        self._function = function
        self.name = name
        """What the thread is called meanwhile."""

    def run(self) -> None:
        """Do it. What it raises is logged."""
        try:
            self._function()
        except BaseException:
            logger.exception("%s ended with an exception that nobody waits for", self.name)


class WorkerThreads:
    """Any number of threads. They are daemons, where the interpreter has such threads.

    Where it has none, ``at_exit`` is called before it waits for them at its end.
    """

    def __init__(self, at_exit: Callable[[], object]) -> None:
        self._mutex = Mutex()
        self._idle: list[_Worker] = []
        self._workers: set[_Worker] = set()
        self._joining: list[_Worker] = []
        """Those that wait for the others, in the order in which they came."""
        self._is_closed = False
        self._at_exit = at_exit

    def submit(self, work: Work) -> None:
        """Have something done now. Raises LocalProtocolError after `close`, RuntimeError if no thread can start.

        What a signal handler raises meanwhile leaves it done or not.
        """
        if self._mutex.locked(self._give, work):
            return
        if not HAS_DAEMONS:
            self._at_exit()
        away_from_signals(lambda: self._start(work))

    def end(self) -> None:
        """Take nothing more: each thread ends when its work is done."""
        self._mutex.locked(self._end)

    def join(self) -> None:
        """After `end`: wait for the threads, but for this one and for those whose work is abandoned.

        One of these threads waits for none of them that waits here already: they would wait for each other.
        """
        self._mutex.locked(self._joins)
        while (worker := self._mutex.locked(self._next_to_join)) is not None:
            if worker.is_started:
                worker.thread.join()
                self._mutex.locked(self._workers.discard, worker)
            else:
                time.sleep(0.001)  # another thread is about to start it, or to find that it cannot

    def forget(self) -> None:
        """After `os.fork`, in the child: there are no threads."""
        self._idle.clear()
        self._workers.clear()
        self._joining.clear()

    def _start(self, work: Work) -> None:
        worker = _Worker(work, self._serve)
        self._mutex.locked(self._add, worker)
        try:
            worker.thread.start()
        except BaseException:
            self._mutex.locked(self._workers.discard, worker)
            raise

    def _serve(self, worker: _Worker) -> None:
        self._mutex.locked(self._begin, worker)
        work = worker.work
        while work is not None:
            worker.thread.name = work.name
            work.run()
            worker.thread.name = "puregrpc idle"
            if not self._mutex.locked(self._rest, worker):
                return
            worker.wake.wait(LONGEST_IDLE)
            work = self._mutex.locked(self._go_on, worker)

    # -- with the mutex held

    def _give(self, work: Work) -> bool:
        """Give it to an idle thread, if there is one. A thread that was to be given something, and was not since this
        was interrupted, ends."""
        self._check_open()
        if not self._idle:
            return False
        worker = self._idle.pop()
        worker.wake.set()
        worker.work = work
        return True

    def _add(self, worker: _Worker) -> None:
        self._check_open()
        self._workers.add(worker)

    def _check_open(self) -> None:
        if self._is_closed:
            raise LocalProtocolError("the kernel is closed: nothing can be begun in it any more")

    def _begin(self, worker: _Worker) -> None:
        self._workers.add(worker)  # again, if what started it was interrupted and has given it up
        worker.is_started = True

    def _rest(self, worker: _Worker) -> bool:
        """What the worker did is done. False: it is to end."""
        worker.work = None
        if not self._is_closed:
            self._idle.append(worker)
        return not self._is_closed

    def _go_on(self, worker: _Worker) -> Work | None:
        """What the worker, which was woken or has waited for long, is to do. None: it is to end."""
        if worker.work is None:
            if worker in self._idle:
                self._idle.remove(worker)
            # It stays itself, for `join`, as long as its thread is there.
            self._workers = {other for other in self._workers if other is worker or not other.is_gone()}
        return worker.work

    def _end(self) -> None:
        self._is_closed = True
        self._idle.clear()
        for worker in self._workers:
            worker.wake.set()  # whether or not it is idle: who gave it something may have been interrupted before that

    def _joins(self) -> None:
        me = threading.current_thread()
        self._joining += [worker for worker in self._workers if worker.thread is me and worker not in self._joining]

    def _next_to_join(self) -> _Worker | None:
        me = threading.current_thread()
        # Of those that wait here too, it waits for those that came after it; who is none of them, for all.
        threads = [worker.thread for worker in self._joining]
        before = set(threads[: threads.index(me)]) if me in threads else set()
        for worker in self._workers:
            if worker.thread is me or worker.thread in before:
                continue
            if not (worker.work is not None and worker.work.is_abandoned):
                return worker
        return None


class _Worker:
    """A thread, and what it does or is to do next."""

    __slots__ = ("is_started", "thread", "wake", "work")

    def __init__(self, work: Work, serve: Callable[[_Worker], object]) -> None:
        self.work: Work | None = work
        self.wake = Signal()
        self.thread = daemon(serve, self, name=work.name)
        self.is_started = False

    def is_gone(self) -> bool:
        """Its thread has ended."""
        return self.is_started and not self.thread.is_alive()


class Lane:
    """A way to the threads that lets through ``most`` at a time; the others wait for their turn."""

    def __init__(self, threads: WorkerThreads, most: int) -> None:
        self._threads = threads
        self._most = most
        self._mutex = Mutex()
        self._running: set[_LaneWork] = set()
        self._waiting: deque[Work] = deque()

    def submit(self, work: Work) -> None:
        """As `WorkerThreads.submit`, in its turn; not at all if it is abandoned before that."""
        first = _LaneWork(self, work)
        try:
            if self._mutex.locked(self._begin, first, work):
                self._threads.submit(first)
        except BaseException:
            work.is_abandoned = True
            self._mutex.locked(self._running.discard, first)
            raise

    def next(self, running: _LaneWork) -> Work | None:
        """What a thread that has done its work does next; None if nothing waits."""
        return self._mutex.locked(self._end, running)

    def forget(self) -> None:
        """After `os.fork`, in the child: nothing runs."""
        self._running.clear()
        self._waiting.clear()

    # -- with the mutex held

    def _begin(self, first: _LaneWork, work: Work) -> bool:
        if len(self._running) >= self._most:
            self._waiting.append(work)
            return False
        self._running.add(first)
        return True

    def _end(self, running: _LaneWork) -> Work | None:
        while self._waiting:
            work = self._waiting.popleft()
            if not work.is_abandoned:
                return work
        self._running.discard(running)
        return None


class _LaneWork(Work):
    """One thing after the other, as long as there are some that wait."""

    def __init__(self, lane: Lane, work: Work) -> None:
        self._lane = lane
        self._work = work
        self.name = work.name

    @property
    def is_abandoned(self) -> bool:  # type: ignore[override]
        return self._work.is_abandoned

    def run(self) -> None:
        work: Work | None = self._work
        while work is not None:
            self._work = work
            work.run()
            work = self._lane.next(self)
