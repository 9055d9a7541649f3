"""Coroutines and functions that run on threads of a kernel's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any, Generic, TypeVar

from puregrpc.kernel.base import run_logged
from puregrpc.kernel.threads.trampoline import Interrupted, Interruptible, Running, ThreadWaiter, run_blocking
from puregrpc.kernel.threads.workers import Work

__all__ = ["ThreadCall", "ThreadTask"]

T = TypeVar("T")


class ThreadTask(Work, Running):
    """A `Task` of threads: a coroutine with a thread of its own. Once it is cancelled, whatever it waits for is
    interrupted."""

    def __init__(
        self, function: Callable[[], Coroutine[Any, Any, None]], over: Callable[[ThreadTask], object], name: str
    ) -> None:
        Running.__init__(self)
        self.name = name
        self.waiting: Interruptible | None = None
        self._begin = function
        self._over = over
        self._context = copy_context()

    def cancel(self) -> None:
        self.is_cancelled = True
        waiting = self.waiting
        if waiting is not None:
            waiting.interrupt()

    def run(self) -> None:
        self.thread = threading.get_ident()
        begin = self._begin
        del self._begin  # whoever began the task may have it
        try:
            self._context.run(run_blocking, run_logged(begin), self)
        except Interrupted:
            return
        finally:
            self._over(self)
            self.note_end()


class ThreadCall(Work, Generic[T]):
    """A function that runs in a thread, and what it gave."""

    def __init__(self, function: Callable[[], T], name: str) -> None:
        self.name = name
        self.ended = ThreadWaiter()
        self._call = function
        self._context = copy_context()
        self._result: T
        self._errors: list[BaseException] = []

    def run(self) -> None:
        try:
            self._result = self._context.run(self._call)
        except BaseException as error:
            self._errors.append(error)
        self.ended.wake()

    def result(self) -> T:
        """What the function returned or raised."""
        if self._errors:
            raise self._errors.pop()  # kept in a frame, it would keep that frame
        return self._result
