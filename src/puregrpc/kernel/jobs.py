"""Many short coroutines, each begun by an event of a loop and ended by another: the calls of a server.

A job costs less than a task of `Kernel.spawn`, and each world has a way of its own to keep it so.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from puregrpc.kernel.base import Kernel

__all__ = ["Cancellable", "Job", "Jobs", "open_jobs"]


class Cancellable(Protocol):
    """What a job runs in."""

    def cancel(self) -> object:
        """Interrupt what the job waits for."""


class Job(Protocol):
    """A coroutine to be run, and how it is interrupted meanwhile."""

    task: Cancellable | None
    """Set before the job runs, None after it. Whoever cancels it sets None here."""

    async def run(self) -> None:
        """The whole of the job."""

    def crashed(self, error: Exception) -> None:
        """`run` raised, which ends this job alone. Raises nothing."""


class Jobs(ABC):
    """Runs jobs, in the thread of the loop; each in a copy of the context that this object was made in."""

    cancelled: ClassVar[type[BaseException]]
    """What a coroutine is interrupted with."""

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Run a job from the next turn of the loop on."""

    @abstractmethod
    async def close(self) -> None:
        """Interrupt the jobs that are left, and wait until they have ended."""


def open_jobs(kernel: Kernel) -> Jobs:
    """The jobs of a kernel that has a loop."""
    make: Callable[[Kernel], Jobs] = import_module(f"puregrpc.kernel.{kernel.world}_jobs").open_jobs
    return make(kernel)
