"""The tasks that run calls. A task is kept after its call for the next one; each call has a context of its own.

Starting a task and a cancel scope for each call costs several times as much as waking a task that waits. So a task
keeps its cancel scope from call to call, and gets a new one only after a call was cancelled. What must not leak from
one call to the next, the context variables, is set anew for each call (``trio.lowlevel.Task.context``).
"""

from __future__ import annotations

from contextvars import copy_context
from typing import Protocol

import trio
from trio.lowlevel import Abort, RaiseCancelT, Task, current_task, reschedule, wait_task_rescheduled

from puregrpc.server.faults import contain

__all__ = ["Job", "Workers"]

MAX_IDLE_TASKS = 200
"""How many tasks wait for calls at most. An idle one holds about 2 KiB."""


class Job(Protocol):
    """What a worker runs: one call."""

    cancel_scope: trio.CancelScope | None
    """Set before the job runs. Whoever cancels it sets None here, so that the task gets another scope."""

    async def run(self) -> None:
        """The whole of the call."""

    def crashed(self, error: BaseException) -> None:
        """`run` raised: end the call. Raises nothing."""


class _Worker:
    """A task and the job it is to run next."""

    __slots__ = ("job", "task")

    def __init__(self, job: Job, task: Task) -> None:
        self.job: Job | None = job
        self.task = task


class Workers:
    """Runs jobs in tasks of one nursery. Must be made in the context that every job's context is to be a copy of."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._idle: list[_Worker] = []
        self._context = copy_context()

    def submit(self, job: Job) -> None:
        """Run a job from the next turn of the loop on."""
        if self._idle:
            worker = self._idle.pop()
            worker.job = job
            worker.task.context = self._context.copy()
            reschedule(worker.task)
        else:
            self._nursery.start_soon(self._work, job, name="puregrpc call")

    async def _work(self, job: Job) -> None:
        worker = _Worker(job, current_task())
        idle = self._idle

        def leave(_: RaiseCancelT) -> Abort:
            idle.remove(worker)
            return Abort.SUCCEEDED

        while worker.job is not None:
            with trio.CancelScope() as scope:
                while worker.job is not None:
                    running = worker.job
                    worker.job = None
                    running.cancel_scope = scope
                    try:
                        await running.run()
                    except BaseException as error:
                        contain(error, running.crashed)
                    if running.cancel_scope is None:
                        del running
                        break
                    running.cancel_scope = None
                    del running  # a task that waits must not keep a call and its messages alive
                    if len(idle) < MAX_IDLE_TASKS:
                        idle.append(worker)
                        await wait_task_rescheduled(leave)
            if scope.cancel_called and len(idle) < MAX_IDLE_TASKS:
                idle.append(worker)
                await wait_task_rescheduled(leave)
