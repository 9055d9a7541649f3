"""The jobs of trio. A task is kept after its job for the next one.

Starting a task and a cancel scope for each job costs several times as much as waking a task that waits. So a task
keeps its cancel scope from job to job, and gets a new one only after a job was cancelled. What must not leak from one
job to the next, the context variables, is set anew for each (``trio.lowlevel.Task.context``).
"""

from __future__ import annotations

from contextvars import copy_context
from typing import cast

import trio
from trio.lowlevel import Abort, RaiseCancelT, current_task, reschedule, wait_task_rescheduled

from puregrpc.kernel.base import Kernel, Task
from puregrpc.kernel.jobs import Job, Jobs

__all__ = ["TrioJobs", "open_jobs"]

MAX_IDLE_TASKS = 200
"""How many tasks wait for jobs at most. An idle one holds about 2 KiB."""


class _Worker:
    """A task and the job it is to run next."""

    __slots__ = ("job", "spawned", "task")

    def __init__(self, job: Job) -> None:
        self.job: Job | None = job
        self.task: trio.lowlevel.Task | None = None
        self.spawned: Task | None = None
        """The same, as the kernel has it."""


class TrioJobs(Jobs):
    """Runs jobs in tasks of the kernel's."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._idle: list[_Worker] = []
        self._tasks: set[Task] = set()
        self._context = copy_context()

    def submit(self, job: Job, kind: object) -> None:  # noqa: ARG002 - a task is kept for the next job of any kind
        if self._idle:
            worker = self._idle.pop()
            worker.job = job
            task = worker.task
            assert task is not None  # it is idle
            task.context = self._context.copy()
            reschedule(task)
        else:
            worker = _Worker(job)
            worker.spawned = self._context.copy().run(self._kernel.spawn, self._work, worker)
            self._tasks.add(worker.spawned)

    def interrupt(self, job: Job) -> None:
        if job.task is not None:
            job.task.cancel()
            job.task = None  # so that the task gets another scope

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in list(self._tasks):
            await task.join()

    async def _work(self, worker: _Worker) -> None:
        worker.task = current_task()
        try:
            await self._work_until_enough(worker)
        finally:
            self._tasks.discard(cast("Task", worker.spawned))

    async def _work_until_enough(self, worker: _Worker) -> None:
        """Run jobs until cancelled, or until there are idle tasks enough."""
        idle = self._idle

        def leave(_: RaiseCancelT) -> Abort:
            idle.remove(worker)
            return Abort.SUCCEEDED

        while worker.job is not None:
            with trio.CancelScope() as scope:
                while worker.job is not None:
                    running = worker.job
                    worker.job = None
                    running.task = scope
                    await running.run()
                    if running.task is None:
                        del running
                        break
                    running.task = None
                    del running  # a task that waits must not keep a job and its messages alive
                    if len(idle) < MAX_IDLE_TASKS:
                        idle.append(worker)
                        await wait_task_rescheduled(leave)
            if scope.cancel_called and len(idle) < MAX_IDLE_TASKS:
                idle.append(worker)
                await wait_task_rescheduled(leave)


open_jobs = TrioJobs
