"""Threads that do one thing after the other: plain handlers, which may block."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from puregrpc.errors import NotConnected
from puregrpc.kernel.threads.daemons import daemon
from puregrpc.kernel.threads.mutex import Mutex

__all__ = ["Assignment", "ThreadPool"]

logger = logging.getLogger("puregrpc.kernel")


MOST_BEYOND_SIZE = 1000
"""How many threads more than its size a pool has at most: each takes memory that clients can ask for."""


class Assignment(Protocol):
    """What a thread of the pool is to do."""

    def run_in_thread(self) -> None:
        """The whole of it. Whatever it raises is logged, and ends this alone."""

    def abandon(self) -> None:
        """What the thread waits for does not come any more, since the pool is closed. From any thread."""


class ThreadPool:
    """Up to ``size`` threads, each made when there is something to do and no other is idle.

    They are daemons, where the interpreter has such threads: a program ends that never closed its server.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._mutex = Mutex()
        self._waiting: OrderedDict[Assignment, None] = OrderedDict()
        self._idle: list[_Worker] = []
        self._workers: set[_Worker] = set()
        self._beyond = 0
        """How many workers do what counts beyond the size."""
        self._made = 0
        self._is_closed = False
        self._when_ended: Callable[[], object] | None = None

    def submit(self, assignment: Assignment, *, beyond_size: bool = False) -> None:
        """Have something done in its turn. From any thread.

        ``beyond_size``: at once, in a thread more than ``size`` if need be; for what others of the pool wait for, or
        what takes long. Raises NotConnected once the pool is closed, RuntimeError if there is no thread for it and none
        can be started.
        """
        worker = self._mutex.locked(self._place, assignment, beyond_size)
        if worker is not None:
            try:
                worker.thread.start()
            except RuntimeError:
                if not self._mutex.locked(self._place_elsewhere, worker, assignment):
                    raise

    def withdraw(self, assignment: Assignment) -> bool:
        """Do not do it; False if a thread has begun with it, or it never came here. From any thread."""
        return self._mutex.locked(self._waiting.pop, assignment, self) is None

    def is_waiting(self, assignment: Assignment) -> bool:
        """Whether no thread has begun with it. From any thread."""
        return assignment in self._waiting

    def close(self, when_ended: Callable[[], object]) -> None:
        """Take nothing more, and abandon what is being done. From any thread; once.

        ``when_ended`` is called when the last thread is at its end, in that thread or here.
        """
        running = self._mutex.locked(self._close, when_ended)
        for assignment in running:
            assignment.abandon()
        if self._when_ended is None:
            when_ended()

    @property
    def threads(self) -> int:
        """How many threads there are."""
        return len(self._workers)

    # -- with the mutex held

    def _place(self, assignment: Assignment, beyond_size: bool) -> _Worker | None:
        """Give it to an idle thread, let it wait, or make a thread for it, which is to be started."""
        if self._is_closed:
            raise NotConnected("nothing runs on the threads of a server that has stopped")
        if not beyond_size and self._is_full():
            self._waiting[assignment] = None
            return None
        if beyond_size and self._beyond >= MOST_BEYOND_SIZE:
            raise RuntimeError("there are as many threads beyond the pool's size as there may be")
        is_new = not self._idle
        worker = self._new_worker() if is_new else self._idle.pop()
        worker.assignment = assignment
        worker.is_beyond = beyond_size
        self._beyond += beyond_size
        if is_new:
            return worker
        worker.wake.release()
        return None

    def _is_full(self) -> bool:
        return len(self._workers) - len(self._idle) - self._beyond >= self._size

    def _new_worker(self) -> _Worker:
        self._made += 1
        worker = _Worker()
        worker.thread = daemon(self._work, worker, name=f"{self._name} {self._made}")
        self._workers.add(worker)
        return worker

    def _place_elsewhere(self, worker: _Worker, assignment: Assignment) -> bool:
        """The thread could not be started: let it wait for one of those there are. False if that cannot be."""
        self._workers.discard(worker)
        self._beyond -= worker.is_beyond
        can_wait = bool(self._workers) and not worker.is_beyond
        if can_wait:
            self._waiting[assignment] = None
        return can_wait

    def _next(self, worker: _Worker) -> bool:
        """Give the thread what waits, or None: it ends. False: it is idle, and waits to be woken."""
        worker.assignment = None
        self._beyond -= worker.is_beyond
        worker.is_beyond = False
        # What the thread does next counts as it did before, if it was not beyond the size.
        if self._waiting and len(self._workers) - len(self._idle) - self._beyond <= self._size:
            worker.assignment, _ = self._waiting.popitem(last=False)
        elif not self._is_closed and len(self._idle) < self._size:
            self._idle.append(worker)
            return False
        return True

    def _close(self, when_ended: Callable[[], object]) -> list[Assignment]:
        self._is_closed = True
        self._waiting.clear()
        if self._workers:
            self._when_ended = when_ended
        for worker in self._idle:
            worker.wake.release()
        self._idle.clear()
        return [worker.assignment for worker in self._workers if worker.assignment is not None]

    def _end(self, worker: _Worker) -> bool:
        """Gives whether it was the last one."""
        self._workers.discard(worker)
        return not self._workers

    # -- in the threads

    def _work(self, worker: _Worker) -> None:
        while worker.assignment is not None:
            try:
                worker.assignment.run_in_thread()
            except BaseException:
                logger.exception("a thread's work ended with an exception that nobody waits for")
            if not self._mutex.locked(self._next, worker):
                worker.wake.acquire()
        if self._mutex.locked(self._end, worker) and self._when_ended is not None:
            self._when_ended()


class _Worker:
    """A thread of the pool, and what it does or is to do next: it keeps nothing alive that is done."""

    __slots__ = ("assignment", "is_beyond", "thread", "wake")

    thread: threading.Thread

    def __init__(self) -> None:
        self.assignment: Assignment | None = None
        self.is_beyond = False
        self.wake = threading.Lock()
        self.wake.acquire()
