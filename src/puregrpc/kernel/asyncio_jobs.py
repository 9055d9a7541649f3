"""The jobs of asyncio: a task for each."""

from __future__ import annotations

import asyncio
import sys
from contextvars import copy_context

from puregrpc.kernel.base import Kernel
from puregrpc.kernel.jobs import Job, Jobs

__all__ = ["AsyncioJobs", "open_jobs"]


class AsyncioJobs(Jobs):
    """Runs jobs in tasks of the running loop."""

    cancelled = asyncio.CancelledError

    def __init__(self, kernel: Kernel) -> None:  # noqa: ARG002 - the loop is the running one
        self._tasks: dict[Job, asyncio.Task[None]] = {}
        """The loop itself keeps no task alive."""
        self._context = copy_context()
        self._create_task = asyncio.get_running_loop().create_task

    if sys.version_info >= (3, 11):

        def submit(self, job: Job) -> None:
            self._tasks[job] = self._create_task(self._run(job), context=self._context.copy())

    else:

        def submit(self, job: Job) -> None:
            self._tasks[job] = self._context.copy().run(self._create_task, self._run(job))

    async def _run(self, job: Job) -> None:
        # Not before: a task that is cancelled before it has begun never begins.
        job.task = self._tasks[job]
        try:
            await job.run()
        except asyncio.CancelledError:
            pass  # whoever cancelled it knows
        except Exception as error:
            job.crashed(error)
        finally:
            job.task = None
            del self._tasks[job]

    async def close(self) -> None:
        for job in self._tasks:
            if job.task is not None:
                job.task.cancel()
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))


open_jobs = AsyncioJobs
