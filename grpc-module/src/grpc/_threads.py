"""Threads for what may take for ever and must hold up nobody: the iteration over requests, callbacks of the user's."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["run"]

IDLE_TIME = 1.0
"""How long, in seconds, a thread without work waits for some."""


class _Crew:
    """Daemon threads that are used again."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a finalizer may come in between
        self._idle: list[queue.SimpleQueue[Callable[[], Any]]] = []

    def run(self, work: Callable[[], Any]) -> None:
        with self._lock:
            box = self._idle.pop() if self._idle else None
        if box is None:
            threading.Thread(target=self._live, args=(work,), name="grpc worker", daemon=True).start()
        else:
            box.put(work)

    def _live(self, first: Callable[[], Any]) -> None:
        box: queue.SimpleQueue[Callable[[], Any]] = queue.SimpleQueue()
        work: Callable[[], Any] | None = first
        while work is not None:
            work()
            work = None  # nothing that is done is kept alive
            with self._lock:
                self._idle.append(box)
            work = self._next(box)

    def _next(self, box: queue.SimpleQueue[Callable[[], Any]]) -> Callable[[], Any] | None:
        try:
            return box.get(timeout=IDLE_TIME)
        except queue.Empty:
            with self._lock:
                if box in self._idle:
                    self._idle.remove(box)
                    return None
            return box.get()  # it is just being given something

    def forget(self) -> None:
        """This is a child of `os.fork`: there are no threads."""
        self.__init__()  # type: ignore[misc]


_crew = _Crew()
run = _crew.run
"""Call a function in a thread of its own; it must not raise."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_crew.forget)
