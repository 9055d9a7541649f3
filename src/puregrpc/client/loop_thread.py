"""A trio loop in a thread of its own, to which other threads hand jobs and wait for them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar, cast

import trio
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

from puregrpc.errors import NotConnected

__all__ = ["LoopThread"]

T = TypeVar("T")

CANCEL_GRACE = 5.0
"""Seconds that an interrupted caller waits for its call to be cancelled. It takes one turn of the loop."""

CLOSED = "the client was closed while the call was under way"


class Job(Generic[T]):
    """An async function that a thread waits for."""

    __slots__ = ("_done", "error", "function", "is_cancelled", "on_done", "scope", "value")

    def __init__(self, function: Callable[[], Awaitable[T]], on_done: Callable[[Job[T]], None] | None = None) -> None:
        self.function = function
        self.on_done = on_done
        self.value: T | None = None
        self.error: BaseException | None = None
        self.is_cancelled = False
        self.scope: trio.CancelScope | None = None
        self._done = threading.Lock()
        self._done.acquire()

    def finish(self, value: T | None, error: BaseException | None) -> None:
        """To be called once."""
        self.value, self.error = value, error
        self._done.release()
        if self.on_done is not None:
            self.on_done(self)

    def cancel(self) -> None:
        """On the loop's thread."""
        self.is_cancelled = True
        if self.scope is not None:
            self.scope.cancel()

    def wait(self, timeout: float = -1) -> bool:
        """Wait for the end; a signal's exception, such as KeyboardInterrupt, comes out of it."""
        return self._done.acquire(timeout=timeout)

    def result(self) -> T:
        if self.error is not None:
            try:
                raise self.error
            finally:
                self.error = None  # the traceback refers to this frame
        return cast("T", self.value)


class LoopThread:
    """Owns the thread: `start` makes it, `stop` ends and joins it. The thread keeps no program from ending."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._jobs: set[Job[Any]] = set()
        self._thread: threading.Thread | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._idle: list[Task] = []
        self._handed: deque[Job[Any]] = deque()
        self.nursery: trio.Nursery
        """Where tasks that outlive a job are started, on the loop's thread."""

    # -- the thread

    def start(self) -> None:
        """Start the loop if it is not running."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return
            ready = threading.Event()
            self._thread = threading.Thread(target=self._run, args=(ready,), name=self._name, daemon=True)
            self._thread.start()
        ready.wait()

    def stop(self, timeout: float = 10.0) -> None:
        """Cancel every job and end the loop. Idempotent; on the loop's own thread it does not wait for the end."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is None:
            return
        with suppress(NotConnected):
            self.post(lambda: self.nursery.cancel_scope.cancel())
        if thread is not threading.current_thread():
            thread.join(timeout)

    @property
    def is_current(self) -> bool:
        """Whether this is the loop's own thread."""
        return self._thread is threading.current_thread()

    def _run(self, ready: threading.Event) -> None:
        try:
            trio.run(self._main, ready)
        finally:
            ready.set()
            self._token = None
            with self._lock:
                left, self._jobs = self._jobs, set()
            for job in left:
                job.finish(None, NotConnected(CLOSED))

    async def _main(self, ready: threading.Event) -> None:
        self._idle.clear()
        async with trio.open_nursery() as nursery:
            self.nursery = nursery
            self._token = trio.lowlevel.current_trio_token()
            ready.set()
            await trio.sleep_forever()

    # -- jobs

    def post(self, function: Callable[[], object]) -> None:
        """Have a function called on the loop's thread, soon. Raises NotConnected if the loop has ended."""
        token = self._token
        try:
            if token is None:
                raise trio.RunFinishedError
            token.run_sync_soon(function)
        except trio.RunFinishedError:
            raise NotConnected(CLOSED) from None

    def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """Run an async function on the loop and wait for it. What a signal raises meanwhile cancels it."""
        job = Job(function)
        self._hand_over(job)
        try:
            job.wait()
        except BaseException:
            self.post(job.cancel)
            job.wait(CANCEL_GRACE)
            raise
        return job.result()

    def submit(self, function: Callable[[], Awaitable[T]]) -> Future[T]:
        """Run an async function on the loop. Cancelling the future cancels it."""
        future: Future[T] = Future()

        def done(job: Job[T]) -> None:
            if future.set_running_or_notify_cancel():
                if job.error is not None:
                    future.set_exception(job.error)
                else:
                    future.set_result(cast("T", job.value))

        job = Job(function, done)

        def cancelled(future: Future[T]) -> None:
            if future.cancelled() and self._token is not None:
                self.post(job.cancel)

        future.add_done_callback(cancelled)
        self._hand_over(job)
        return future

    def _hand_over(self, job: Job[Any]) -> None:
        with self._lock:
            self._jobs.add(job)
        try:
            self.post(partial(self._begin, job))
        except NotConnected:
            with self._lock:
                self._jobs.discard(job)
            raise

    def _begin(self, job: Job[Any]) -> None:
        if self._idle:
            self._handed.append(job)
            reschedule(self._idle.pop())
        else:
            self.nursery.start_soon(self._work, job)

    async def _work(self, job: Job[Any]) -> None:
        """Do one job after the other: a task that is kept costs less than a new one for each."""
        while True:
            value, error = None, None
            with trio.CancelScope() as job.scope:
                if job.is_cancelled:
                    job.scope.cancel()
                try:
                    value = await job.function()
                except trio.Cancelled:
                    raise
                except BaseException as raised:  # it belongs to the thread that waits
                    error = raised
            if job.scope.cancelled_caught:
                error = NotConnected("the call was cancelled")
            job.scope = None
            with self._lock:
                waited_for = job in self._jobs
                self._jobs.discard(job)
            if waited_for:
                job.finish(value, error)
            del job, value, error
            task = current_task()
            self._idle.append(task)

            def forget(_: object, task: Task = task) -> Abort:
                self._idle.remove(task)
                return Abort.SUCCEEDED

            await wait_task_rescheduled(forget)
            job = self._handed.popleft()
