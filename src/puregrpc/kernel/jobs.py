"""Many short coroutines, each begun by an event of a loop and ended by another: the calls of a server.

A job costs less than a task of `Kernel.spawn`, and each world has a way of its own to keep it so.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from puregrpc.kernel.base import Kernel

__all__ = ["Job", "Jobs", "open_jobs"]


class Job(Protocol):
    """A coroutine to be run."""

    task: Any
    """What it runs in, for `Jobs.interrupt`; None if it cannot be interrupted (any more)."""
    is_running: bool
    """`run` has begun; it says so itself, first of all."""

    async def run(self) -> None:
        """The whole of the job. What it raises is for nobody, but for what `Kernel.interrupts` says."""


class Jobs(ABC):
    """Runs jobs, in the thread of the loop; each in a copy of the context that this object was made in."""

    @abstractmethod
    def submit(self, job: Job, kind: object) -> None:
        """Run a job from the next turn of the loop on. Of jobs of one ``kind``, mostly all wait, or none does."""

    def hold(self) -> None:  # noqa: B027 - a default
        """Let what is submitted wait for `begin`, which follows in the same turn of the loop."""

    def begin(self) -> None:  # noqa: B027 - a default
        """What was submitted may begin: one job alone perhaps at once."""

    @abstractmethod
    def interrupt(self, job: Job) -> None:
        """Interrupt a job where it waits. One that does not run yet is to see for itself that it is of no use."""

    @abstractmethod
    async def close(self) -> None:
        """Wait until the jobs have ended, all of which have been interrupted."""


def open_jobs(kernel: Kernel) -> Jobs:
    """The jobs of a kernel that has a loop."""
    make: Callable[[Kernel], Jobs] = import_module(f"puregrpc.kernel.loops.{kernel.world}_jobs").open_jobs
    return make(kernel)
