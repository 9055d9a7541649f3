"""Threads that do one thing after the other: plain handlers, which may block."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Protocol

from puregrpc.errors import NotConnected
from puregrpc.kernel.threads.daemons import away_from_signals, daemon
from puregrpc.kernel.threads.mutex import Mutex
from puregrpc.kernel.threads.waking import Signal

__all__ = ["Assignment", "ClosablePool", "Share", "ThreadPool"]

logger = logging.getLogger("puregrpc.kernel")


MOST_BEYOND_SIZE = 1000
"""How many threads more than its size a pool has at most: each takes memory that clients can ask for."""


class Assignment(Protocol):
    """What a thread of the pool is to do."""

    def run_in_thread(self) -> None:
        """The whole of it. Whatever it raises is logged, and ends this alone."""

    def abandon(self) -> None:
        """What the thread waits for does not come any more, since the pool is closed. Idempotent; from any thread."""


class Share:
    """What one of those who use a pool has of its threads, such as a connection."""

    __slots__ = ("beyond_size", "running", "waiting")

    def __init__(self) -> None:
        self.beyond_size: Assignment | None = None
        """What a thread does that there is for its sake beyond the size."""
        self.running = 0
        """How many threads do what it submitted, those aside that were to be beyond the size."""
        self.waiting: OrderedDict[Assignment, None] = OrderedDict()


class ClosablePool(ABC):
    """How every pool is closed: ours and somebody else's executor."""

    _mutex: Mutex
    _when_ended: Callable[[], object] | None
    """What is called when the last thing that is being done is over, once the pool is closed."""

    def close(self, when_ended: Callable[[], object]) -> None:
        """Take nothing more, and abandon what is being done. From any thread; once.

        ``when_ended`` is called when nothing is being done any more, in the thread that did the last of it or here.
        What a signal handler raises once this has begun comes out when all is done; ``when_ended`` may then be called
        again.
        """
        try:
            self._finish(when_ended)
        except BaseException:
            self._finish(when_ended)
            raise

    def _finish(self, when_ended: Callable[[], object]) -> None:
        """Again after an interrupt: each of its steps may have been done."""
        running = self._mutex.locked(self._close, when_ended)
        for assignment in running:
            assignment.abandon()
        if self._when_ended is None:
            when_ended()

    @abstractmethod
    def _close(self, when_ended: Callable[[], object]) -> list[Assignment]:
        """Take nothing more; gives what is being done, at whose end ``when_ended`` is called. With the mutex held."""


class ThreadPool(ClosablePool):
    """Up to ``size`` threads, each made when there is something to do and no other is idle.

    Those who have a `Share` take turns in what waits. Whoever has nothing running gets a thread at once, beyond the
    size if need be: what others have running may never end. Not where the size is 1: then one thing follows the other.

    They are daemons, where the interpreter has such threads: a program ends that never closed its server.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._mutex = Mutex()
        self._common = Share()
        self._starving: OrderedDict[Share, None] = OrderedDict()
        """Those that wait and have nothing running."""
        self._queue: OrderedDict[Share, None] = OrderedDict()
        """The others that wait, in their turns."""
        self._idle: list[_Worker] = []
        self._workers: set[_Worker] = set()
        self._is_starting = False
        """A thread beyond the size is being started."""
        self._beyond = 0
        """How many workers do what counts beyond the size."""
        self._made = 0
        self._is_closed = False
        self._when_ended = None

    def submit(self, assignment: Assignment, share: Share | None = None, *, beyond_size: bool = False) -> None:
        """Have something done in its turn, for whoever has the share. From any thread.

        ``beyond_size``: at once, in a thread more than ``size`` if need be; for what others of the pool wait for, or
        what takes long. Raises NotConnected once the pool is closed, RuntimeError if there is no thread for it and none
        can be started. What a signal handler raises meanwhile leaves it done or not, and the pool whole.
        """
        share = None if beyond_size else share or self._common
        try:
            if not self._mutex.locked(self._place, assignment, share):
                self._place_in_new(assignment, share)
        except BaseException:
            self._mutex.locked(self._settle, assignment, share)
            raise

    def _place_in_new(self, assignment: Assignment, share: Share | None) -> None:
        try:
            away_from_signals(partial(self._start_for, assignment, share))
        except RuntimeError:
            # Not even the thread that was to start another.
            if share is None or not self._mutex.locked(self._let_wait, assignment, share):
                raise

    def _start_for(self, assignment: Assignment, share: Share | None) -> None:
        worker = self._mutex.locked(self._place_or_make, assignment, share)
        if worker is not None:
            self._start(worker)

    def _start(self, worker: _Worker) -> None:
        try:
            worker.thread.start()
        except RuntimeError:
            if not self._mutex.locked(self._place_elsewhere, worker):
                raise

    def withdraw(self, assignment: Assignment, share: Share | None = None) -> bool:
        """Do not do it; False if a thread has begun with it, or it never came here. From any thread."""
        return self._mutex.locked(self._withdraw, assignment, share or self._common)

    def is_waiting(self, assignment: Assignment, share: Share | None = None) -> bool:
        """Whether no thread has begun with it. From any thread."""
        return assignment in (share or self._common).waiting

    @property
    def threads(self) -> int:
        """How many threads there are."""
        return len(self._workers)

    # -- with the mutex held

    def _place(self, assignment: Assignment, share: Share | None) -> bool:
        """Give it to an idle thread, or let it wait where no thread is to be started. False: `_place_or_make` is to.

        A signal handler may run between any two steps.
        """
        self._check(share)
        if share is not None and self._is_full():
            if self._is_starting or not self._has_spare() or not (self._starving or self._would_starve(share)):
                self._wait(assignment, share)
                return True
            return False
        if not self._idle:
            return False
        worker, is_given = self._idle[-1], False
        beyond, running = self._beyond, 0 if share is None else share.running
        try:
            self._give(worker, assignment, share, share is None)
            self._idle.pop()
            is_given = True
        finally:
            if not is_given:
                worker.forget()
                self._beyond = beyond
                if share is not None:
                    share.running = running
                if worker not in self._idle:
                    self._idle.append(worker)
        worker.wake.set()
        return True

    def _settle(self, assignment: Assignment, share: Share | None) -> None:
        """Who submitted it was interrupted: it does not wait, and a thread that was given it is woken."""
        if share is not None:
            self._withdraw(assignment, share)
        for worker in self._workers:
            if worker.assignment is assignment:
                worker.wake.set()

    def _place_or_make(self, assignment: Assignment, share: Share | None) -> _Worker | None:
        """Give it to an idle thread, let it wait, or make a thread for it, which is to be started."""
        self._check(share)
        if share is not None and self._is_full():
            self._wait(assignment, share)
            return None if self._is_starting else self._next_beyond()
        return self._give_one(assignment, share, is_beyond=share is None)

    def _check(self, share: Share | None) -> None:
        if self._is_closed:
            raise NotConnected("nothing runs on the threads of a server that has stopped")
        if share is None and self._beyond >= MOST_BEYOND_SIZE:
            raise RuntimeError("there are as many threads beyond the pool's size as there may be")

    def _give_one(self, assignment: Assignment, share: Share | None, *, is_beyond: bool) -> _Worker | None:
        """Give it to an idle thread, or to one that is made for it, and is to be started."""
        is_new = not self._idle
        worker = self._new_worker() if is_new else self._idle.pop()
        self._give(worker, assignment, share, is_beyond)
        if is_new:
            return worker
        worker.wake.set()
        return None

    def _let_wait(self, assignment: Assignment, share: Share) -> bool:
        """Let it wait for one of the threads there are; False if there is none."""
        if self._is_closed or not self._workers:
            return False
        self._wait(assignment, share)
        return True

    def _next_beyond(self) -> _Worker | None:
        """A thread for the first of those that have nothing running; None if there is none, or no thread for it.

        One at a time is started, and starts the next one: to start a thread takes long where many are at work, and who
        submits something has others waiting behind it.
        """
        self._is_starting = False
        if not self._starving or not self._has_spare():
            return None
        share, _ = self._starving.popitem(last=False)
        assignment, _ = share.waiting.popitem(last=False)
        worker = self._give_one(assignment, share, is_beyond=True)
        if share.waiting:
            self._queue[share] = None
        if worker is not None:
            worker.starts_next = self._is_starting = True
        return worker

    def _is_full(self) -> bool:
        return len(self._workers) - len(self._idle) - self._beyond >= self._size

    def _has_spare(self) -> bool:
        """There may be a thread beyond the size for somebody who has none."""
        return self._size > 1 and self._beyond < MOST_BEYOND_SIZE

    def _would_starve(self, share: Share) -> bool:
        return not share.running and share not in self._queue

    def _wait(self, assignment: Assignment, share: Share) -> None:
        share.waiting[assignment] = None
        if share not in self._queue and share not in self._starving:
            (self._queue if share.running else self._starving)[share] = None

    def _give(self, worker: _Worker, assignment: Assignment, share: Share | None, is_beyond: bool) -> None:
        worker.assignment = assignment
        worker.share = share
        worker.is_beyond = is_beyond
        self._beyond += is_beyond
        if share is not None:
            share.running += 1
            if is_beyond:
                share.beyond_size = assignment

    def _take(self, worker: _Worker) -> None:
        """Have from a thread what it had."""
        share = worker.share
        if share is not None and share.beyond_size is worker.assignment:
            share.beyond_size = None
        self._beyond -= worker.is_beyond
        worker.forget()
        if share is not None:
            share.running -= 1
            if not share.running and share in self._queue:
                del self._queue[share]
                self._starving[share] = None

    def _withdraw(self, assignment: Assignment, share: Share) -> bool:
        if assignment not in share.waiting:
            return False
        if len(share.waiting) == 1:  # in this order, so that no share that has a turn has nothing to do in it
            self._queue.pop(share, None)
            self._starving.pop(share, None)
        del share.waiting[assignment]
        return True

    def _new_worker(self) -> _Worker:
        self._made += 1
        worker = _Worker()
        worker.thread = daemon(self._work, worker, name=f"{self._name} {self._made}")
        self._workers.add(worker)
        return worker

    def _place_elsewhere(self, worker: _Worker) -> bool:
        """The thread could not be started: let it wait for one of those there are. False if that cannot be."""
        self._workers.discard(worker)
        if worker.starts_next:
            self._is_starting = False
        share, assignment = worker.share, worker.assignment
        self._take(worker)
        if share is None or assignment is None or not self._workers:
            return False
        self._wait(assignment, share)
        return True

    def _next(self, worker: _Worker) -> bool:
        """Give the thread what waits, or None: it ends. False: it is idle, and waits to be woken."""
        self._take(worker)
        # What the thread does next counts as it did before, if it was not beyond the size.
        is_beyond = len(self._workers) - len(self._idle) - self._beyond > self._size
        queue = self._starving
        if not queue and not is_beyond:
            queue = self._queue
        if queue and not (is_beyond and not self._has_spare()):
            share, _ = queue.popitem(last=False)
            assignment, _ = share.waiting.popitem(last=False)
            self._give(worker, assignment, share, is_beyond)
            if share.waiting:
                self._queue[share] = None
        elif not self._is_closed and len(self._idle) < self._size:
            self._idle.append(worker)
            return False
        return True

    def _goes_on(self, worker: _Worker) -> bool:
        """Whether an idle thread that was woken has something to do, or is to end."""
        return worker.assignment is not None or self._is_closed

    def _close(self, when_ended: Callable[[], object]) -> list[Assignment]:
        self._is_closed = True
        for share in (*self._queue, *self._starving):
            share.waiting.clear()
        self._queue.clear()
        self._starving.clear()
        if self._workers:
            self._when_ended = when_ended
        for worker in self._idle:
            worker.wake.set()
        self._idle.clear()
        return [worker.assignment for worker in self._workers if worker.assignment is not None]

    def _end(self, worker: _Worker) -> bool:
        """Gives whether it was the last one."""
        self._workers.discard(worker)
        return not self._workers

    # -- in the threads

    def _work(self, worker: _Worker) -> None:
        if worker.starts_next:
            worker.starts_next = False
            following = self._mutex.locked(self._next_beyond)
            if following is not None:
                self._start(following)
        while worker.assignment is not None:
            try:
                worker.assignment.run_in_thread()
            except BaseException:
                logger.exception("a thread's work ended with an exception that nobody waits for")
            if not self._mutex.locked(self._next, worker):
                worker.wake.wait()
                while not self._mutex.locked(self._goes_on, worker):
                    worker.wake.wait()
        if self._mutex.locked(self._end, worker) and self._when_ended is not None:
            self._when_ended()


class _Worker:
    """A thread of the pool, and what it does or is to do next: it keeps nothing alive that is done."""

    __slots__ = ("assignment", "is_beyond", "share", "starts_next", "thread", "wake")

    thread: threading.Thread

    def __init__(self) -> None:
        self.assignment: Assignment | None = None
        self.share: Share | None = None
        self.is_beyond = False
        self.starts_next = False
        """When it begins, it starts another thread, if there is something for one."""
        self.wake = Signal()

    def forget(self) -> None:
        """It has nothing to do."""
        self.assignment = self.share = None
        self.is_beyond = False
