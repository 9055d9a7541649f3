"""The threads of a kernel: each does one thing after the other, and is made when no other is idle."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from puregrpc.errors import LocalProtocolError
from puregrpc.kernel.threads.daemons import HAS_DAEMONS, daemon
from puregrpc.kernel.threads.mutex import Mutex
from puregrpc.kernel.threads.waking import Signal

__all__ = ["Lane", "Work", "WorkerThreads"]

logger = logging.getLogger("puregrpc.kernel")

LONGEST_IDLE = 10.0
"""How long (seconds) a thread waits for something to do."""


LONGEST_START = 1.0
"""How long (seconds) it may take to start a thread."""


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
        self._is_closed = False
        self._at_exit = at_exit

    def submit(self, work: Work) -> None:
        """Have something done now. Raises LocalProtocolError after `close`, RuntimeError if no thread can start."""
        worker, is_new = self._mutex.locked(self._take)
        worker.work = work
        if not is_new:
            worker.wake.set()
            return
        if not HAS_DAEMONS:
            self._at_exit()
        thread = daemon(self._serve, worker, name="puregrpc")
        try:
            thread.start()
            worker.thread = thread
        except BaseException:
            if thread.ident is None:
                self._mutex.locked(self._forget, worker)
            else:
                worker.thread = thread
            raise

    def end(self) -> None:
        """Take nothing more: each thread ends when its work is done."""
        self._mutex.locked(self._end)

    def join(self) -> None:
        """After `end`: wait for the threads, but for this one and for those whose work is abandoned."""
        until = time.monotonic() + LONGEST_START
        while (worker := self._mutex.locked(self._next_to_join)) is not None:
            if worker.thread is None and time.monotonic() < until:
                time.sleep(0.001)  # it is about to be started, unless whoever was to do so was interrupted
                continue
            if worker.thread is not None:
                worker.thread.join()
            self._mutex.locked(self._forget, worker)

    def forget(self) -> None:
        """After `os.fork`, in the child: there are no threads."""
        self._idle.clear()
        self._workers.clear()

    def _serve(self, worker: _Worker) -> None:
        thread = threading.current_thread()
        while worker.work is not None:
            thread.name = worker.work.name
            worker.work.run()
            thread.name = "puregrpc idle"
            if (
                self._mutex.locked(self._rest, worker)
                and not worker.wake.wait(LONGEST_IDLE)
                and not self._mutex.locked(self._retire, worker)
            ):
                worker.wake.wait()

    # -- with the mutex held

    def _take(self) -> tuple[_Worker, bool]:
        """A worker, and whether it has no thread yet."""
        if self._is_closed:
            raise LocalProtocolError("the kernel is closed: nothing can be begun in it any more")
        if self._idle:
            return self._idle.pop(), False
        worker = _Worker()
        self._workers.add(worker)
        return worker, True

    def _rest(self, worker: _Worker) -> bool:
        """What the worker did is done. False: it is to end."""
        worker.work = None
        if not self._is_closed:
            self._idle.append(worker)
        return not self._is_closed

    def _retire(self, worker: _Worker) -> bool:
        """The worker has waited for long. False: it was taken in the very moment, and will be woken."""
        if worker not in self._idle:
            return False
        self._idle.remove(worker)
        self._workers = {other for other in self._workers if not other.is_gone()}
        worker.has_retired = True  # but it stays, for `join`, as long as its thread is there
        return True

    def _end(self) -> None:
        self._is_closed = True
        self._idle.clear()
        for worker in self._workers:
            worker.wake.set()  # whether or not it is idle: who took one may have been interrupted before it did so

    def _next_to_join(self) -> _Worker | None:
        me = threading.current_thread()
        for worker in self._workers:
            if worker.thread is not me and not (worker.work is not None and worker.work.is_abandoned):
                return worker
        return None

    def _forget(self, worker: _Worker) -> None:
        self._workers.discard(worker)


class _Worker:
    """A thread, and what it does or is to do next."""

    __slots__ = ("has_retired", "thread", "wake", "work")

    def __init__(self) -> None:
        self.has_retired = False
        self.thread: threading.Thread | None = None
        self.work: Work | None = None
        self.wake = Signal()

    def is_gone(self) -> bool:
        """Its thread has ended."""
        return self.has_retired and self.thread is not None and not self.thread.is_alive()


class Lane:
    """A way to the threads that lets through ``most`` at a time; the others wait for their turn."""

    def __init__(self, threads: WorkerThreads, most: int) -> None:
        self._threads = threads
        self._most = most
        self._mutex = Mutex()
        self._running = 0
        self._waiting: deque[Work] = deque()

    def submit(self, work: Work) -> None:
        """As `WorkerThreads.submit`, in its turn; not at all if it is abandoned before that."""
        if not self._mutex.locked(self._begin, work):
            return
        try:
            self._threads.submit(_LaneWork(self, work))
        except BaseException:
            self._mutex.locked(self._end)
            raise

    def next(self) -> Work | None:
        """What a thread that has done its work does next; None if nothing waits."""
        return self._mutex.locked(self._end)

    def forget(self) -> None:
        """After `os.fork`, in the child: nothing runs."""
        self._running = 0
        self._waiting.clear()

    # -- with the mutex held

    def _begin(self, work: Work) -> bool:
        if self._running >= self._most:
            self._waiting.append(work)
            return False
        self._running += 1
        return True

    def _end(self) -> Work | None:
        while self._waiting:
            work = self._waiting.popleft()
            if not work.is_abandoned:
                return work
        self._running -= 1
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
            work = self._lane.next()
