"""The jobs of asyncio: a task for each.

The job keeps its task alive, as the loop does not, and whoever may interrupt it keeps the job. From then on it is kept
here.
"""

from __future__ import annotations

import asyncio
import sys
from contextvars import copy_context

from puregrpc.kernel.base import Kernel
from puregrpc.kernel.jobs import Job, Jobs
from puregrpc.kernel.loops.asyncio_tasks import create_task

__all__ = ["AsyncioJobs", "open_jobs"]


class AsyncioJobs(Jobs):
    """Runs jobs in tasks of the running loop."""

    def __init__(self, kernel: Kernel) -> None:  # noqa: ARG002 - the loop is the running one
        self._context = copy_context()
        self._loop = asyncio.get_running_loop()
        self._ending: set[asyncio.Task[None]] = set()

    if sys.version_info >= (3, 11):

        def submit(self, job: Job) -> None:
            job.task = self._loop.create_task(job.run(), context=self._context.copy())

    else:

        def submit(self, job: Job) -> None:
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
        while self._ending:
            await asyncio.wait(list(self._ending))


open_jobs = AsyncioJobs
