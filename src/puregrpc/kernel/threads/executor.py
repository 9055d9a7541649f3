"""The threads of somebody else's executor, in the place of a pool of our own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from puregrpc.errors import NotConnected
from puregrpc.kernel.threads.mutex import Mutex
from puregrpc.kernel.threads.pool import Assignment, ClosablePool, Share

__all__ = ["Executor", "ExecutorPool"]

logger = logging.getLogger("puregrpc.kernel")


class Executor(Protocol):
    """What runs functions on threads, such as a `concurrent.futures.ThreadPoolExecutor`."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Any:
        """Have a function called, in its turn."""


class ExecutorPool(ClosablePool):
    """As `puregrpc.kernel.threads.pool.ThreadPool`. How many threads there are is the executor's matter."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._mutex = Mutex()
        self._waiting: set[Assignment] = set()
        self._running: set[Assignment] = set()
        self._is_closed = False
        self._when_ended = None

    def submit(
        self,
        assignment: Assignment,
        share: Share | None = None,  # noqa: ARG002 - it has its own order
        *,
        beyond_size: bool = False,  # noqa: ARG002 - and its own size
    ) -> None:
        """Have something done in its turn. From any thread.

        Raises NotConnected once the pool is closed, RuntimeError if the executor does not take it. What a signal
        handler raises meanwhile leaves it done or not, and the pool whole.
        """
        try:
            self._mutex.locked(self._place, assignment)
            try:
                self._executor.submit(self._run, assignment)
            except Exception as error:
                raise RuntimeError(f"the executor did not take a call: {error}") from error
        except BaseException:
            self.withdraw(assignment)
            raise

    def withdraw(self, assignment: Assignment, share: Share | None = None) -> bool:  # noqa: ARG002
        """Do not do it; False if a thread has begun with it, or it never came here. From any thread."""
        return self._mutex.locked(self._withdraw, assignment)

    def is_waiting(self, assignment: Assignment, share: Share | None = None) -> bool:  # noqa: ARG002
        """Whether no thread has begun with it. From any thread."""
        return assignment in self._waiting

    @property
    def threads(self) -> int:
        """How many threads do something."""
        return len(self._running)

    # -- with the mutex held

    def _place(self, assignment: Assignment) -> None:
        if self._is_closed:
            raise NotConnected("nothing runs on the threads of a server that has stopped")
        self._waiting.add(assignment)

    def _withdraw(self, assignment: Assignment) -> bool:
        if assignment not in self._waiting:
            return False
        self._waiting.discard(assignment)
        return True

    def _begin(self, assignment: Assignment) -> bool:
        if not self._withdraw(assignment):
            return False
        self._running.add(assignment)
        return True

    def _end(self, assignment: Assignment) -> bool:
        self._running.discard(assignment)
        return self._is_closed and not self._running

    def _close(self, when_ended: Callable[[], object]) -> list[Assignment]:
        self._is_closed = True
        self._waiting.clear()
        if self._running:
            self._when_ended = when_ended
        return list(self._running)

    # -- in the threads

    def _run(self, assignment: Assignment) -> None:
        if not self._mutex.locked(self._begin, assignment):
            return
        try:
            assignment.run_in_thread()
        except BaseException:
            logger.exception("a thread's work ended with an exception that nobody waits for")
        if self._mutex.locked(self._end, assignment) and self._when_ended is not None:
            self._when_ended()
