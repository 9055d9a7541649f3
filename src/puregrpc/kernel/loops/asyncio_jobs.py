"""The jobs of asyncio: those that need not wait share a task.

Starting a task for each costs more than many a handler. So one task, the starter, begins one job after the other. The
first that waits has the task for itself from then on, to its end: what a job sees as its task never changes, and is no
other job's that runs. What must not leak from one job to the next is the context, of which each has its own, and a
cancellation, after which the task is not used again. Jobs of a kind of which one has waited have a task each.

A job that is submitted alone begins right there (`begin`), in the starter's name, and saves the loop a turn.

Whoever may interrupt a job keeps it, and so its task, which the loop does not keep. From then on it is kept here.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.tasks import _enter_task as enter_task
from asyncio.tasks import _leave_task as leave_task
from collections import deque
from collections.abc import Generator
from contextvars import copy_context
from types import coroutine
from typing import Any

from puregrpc.kernel.base import Kernel
from puregrpc.kernel.jobs import Job, Jobs
from puregrpc.kernel.loops.asyncio_tasks import create_task, was_cancelled

__all__ = ["AsyncioJobs", "open_jobs"]

APART = 64
"""So many jobs of a kind have a task each after one has waited."""

MOST_KINDS = 1000
"""Of how many kinds it is known that their jobs wait."""


class _Begun:
    """A job that has begun in the starter's name and waits: the starter goes on with it."""

    is_running = True

    def __init__(self, job: Job, steps: Any, run: Any, waited: Any) -> None:
        self._job = job
        self._steps = steps
        self._run = run
        self._waited = waited
        self.error: BaseException | None = None
        """What interrupted the starter before it could go on: it was meant for the job."""
        self.failure: BaseException | None = None
        """What the first step raised."""

    @property
    def task(self) -> Any:
        return self._job.task

    @task.setter
    def task(self, task: Any) -> None:
        self._job.task = task

    async def run(self) -> None:
        await self._go_on()

    @coroutine
    def _go_on(self) -> Generator[Any, Any, None]:
        steps, run, waited = self._steps, self._run, self._waited
        if self.failure is not None:
            raise self.failure
        try:
            while True:
                try:
                    if self.error is not None:
                        error, self.error = self.error, None
                        raise error
                    yield waited
                except BaseException as error:
                    waited = run(steps.throw, error)
                else:
                    waited = run(steps.send, None)
        except StopIteration:
            return


class AsyncioJobs(Jobs):
    """Runs jobs in tasks of the running loop."""

    def __init__(self, kernel: Kernel) -> None:  # noqa: ARG002 - the loop is the running one
        self._context = copy_context()
        self._loop = asyncio.get_running_loop()
        self._submitted: deque[tuple[Job, object]] = deque()
        """What the starter is to begin, with its kind."""
        self._apart: dict[object, int] = {}
        """Kinds of jobs that wait -> how many more have a task each."""
        self._starter: asyncio.Task[None] | None = None
        self._idle: asyncio.Future[None] | None = None
        """What the starter waits for when there is nothing to begin."""
        self._begun: _Begun | None = None
        """What has begun while the starter was idle, and waits."""
        self._is_held = False
        self._ending: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def submit(self, job: Job, kind: object) -> None:
        if kind in self._apart:
            self._apart[kind] -= 1
            if not self._apart[kind]:
                del self._apart[kind]
            self._run_apart(job)
            return
        self._submitted.append((job, kind))
        if self._starter is None:
            self._starter = create_task(self._loop, self._start())
        elif self._idle is not None and not self._is_held:
            self._wake()

    def hold(self) -> None:
        self._is_held = True

    def begin(self) -> None:
        self._is_held = False
        idle = self._idle
        if idle is None or not self._submitted:
            return
        starter = self._starter
        is_alone = len(self._submitted) == 1 and not idle.done() and asyncio.current_task(self._loop) is None
        if is_alone and starter is not None:
            self._begin_here(starter, *self._submitted.popleft())
        else:
            self._wake()

    def _begin_here(self, starter: asyncio.Task[None], job: Job, kind: object) -> None:
        """Let a job take its first step in the name of the starter, which is idle."""
        job.task = starter
        steps, run = job.run(), self._context.copy().run
        waited = failure = None
        enter_task(self._loop, starter)
        try:
            waited = run(steps.send, None)
        except StopIteration:
            job.task = None
            return
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            failure = error
        finally:
            leave_task(self._loop, starter)
        self._begun = _Begun(job, steps, run, waited)
        self._begun.failure = failure
        self._submitted.appendleft((self._begun, kind))
        self._wake()

    def _wake(self) -> None:
        idle, self._idle = self._idle, None
        if idle is not None and not idle.done():
            idle.set_result(None)

    if sys.version_info >= (3, 11):

        def _run_apart(self, job: Job) -> None:
            job.task = self._loop.create_task(job.run(), context=self._context.copy())

    else:

        def _run_apart(self, job: Job) -> None:
            job.task = self._context.copy().run(create_task, self._loop, job.run())

    def interrupt(self, job: Job) -> None:
        task: asyncio.Task[None] | None = job.task
        if task is not None:
            job.task = None
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
            if job.is_running:  # a task that is cancelled before it has begun never begins
                task.cancel()

    async def close(self) -> None:
        self._is_closed = True
        self._wake()
        me = asyncio.current_task()
        while pending := {*self._ending, *([self._starter] if self._starter else ())} - {me}:
            await asyncio.wait(pending)

    # -- in the tasks that begin jobs

    async def _start(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            await self._begin_jobs(task)
        finally:
            if self._starter is task:  # somebody has cancelled it, or the interpreter is to end
                self._retire()
            del task  # which is to have the traceback

    def _retire(self) -> None:
        """The starter begins no more jobs: those that are left have a task each."""
        self._starter = self._idle = None
        while self._submitted:
            job, _ = self._submitted.popleft()
            self._run_apart(job)

    @coroutine
    def _begin_jobs(self, task: asyncio.Task[None]) -> Generator[Any, Any, None]:
        """Begin jobs, until one has waited in ``task`` and there is another starter at its end."""
        submitted = self._submitted
        while True:
            for _ in range(len(submitted)):  # what comes meanwhile begins in the next turn
                job, kind = submitted.popleft()
                job.task = task
                steps, run = job.run(), self._context.copy().run
                try:
                    waited = run(steps.send, None)
                    self._waits(kind)
                    while True:
                        try:
                            yield waited
                        except BaseException as error:
                            waited = run(steps.throw, error)
                        else:
                            waited = run(steps.send, None)
                except StopIteration:
                    job.task = None
                except BaseException:
                    del task  # which is to have the traceback
                    raise
                if self._starter is None and not self._is_closed:
                    self._starter = task
                if self._starter is not task or was_cancelled(task):
                    return
                if not submitted:  # they have had a task each while this one waited
                    break
            if submitted:
                yield
            elif self._is_closed:
                return
            else:
                self._idle = self._loop.create_future()
                try:
                    yield from self._idle
                except BaseException as error:
                    if self._begun is None:
                        raise
                    self._begun.error = error
                self._begun = None

    def _waits(self, kind: object) -> None:
        """A job of this kind waits."""
        if len(self._apart) >= MOST_KINDS:
            self._apart.clear()
        self._apart[kind] = APART
        self._retire()


open_jobs = AsyncioJobs
