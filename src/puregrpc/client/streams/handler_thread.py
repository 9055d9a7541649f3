"""The thread that runs a client's stream handlers: one at a time, in order, never on the network's thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from puregrpc.kernel.threads.daemons import daemon
from puregrpc.kernel.threads.waking import Condition, Signal

__all__ = ["HandlerThread"]

IDLE_SECONDS = 1.0
"""A thread with nothing to do and nothing to come ends after so long; the next event starts a new one."""


class HandlerThread:
    """Calls functions one after the other. The thread is started when there is something to call, and ends when idle.

    It stays while ``is_awaited`` says that more may come: from Python 3.12 on no thread starts once the program ends,
    when streams still have events. What has to be finished before the program ends is waited for by `drain`.
    """

    def __init__(self, name: str, is_awaited: Callable[[], bool] = lambda: False) -> None:
        self._name = name
        self._is_awaited = is_awaited
        self._queue: deque[Callable[[], None]] = deque()
        self._thread: threading.Thread | None = None
        self._is_calling = False
        self._is_waiting = False
        """The thread found nothing to call, and sleeps until it is woken."""
        self._wake = Signal()
        self._idle = Condition()
        """Nothing is to be called; its lock guards what is above."""

    @property
    def is_current(self) -> bool:
        """Whether the caller is in a handler."""
        return self._thread is threading.current_thread()

    def call_soon(self, function: Callable[[], None]) -> None:
        """Call ``function``, which must raise nothing, after those before it."""
        with self._idle.lock:
            self._queue.append(function)
            if self._thread is not None:
                if self._is_waiting:
                    self._wake.set()
                    self._is_waiting = False
                return
            self._thread = thread = daemon(self._run, name=self._name)
            try:
                thread.start()
            except BaseException:
                if thread.ident is None:
                    self._thread = None  # the next one to call tries again
                raise

    def call_later(self, seconds: float, function: Callable[[], None]) -> None:
        """Call ``function`` not before so many seconds have passed; others are not held up."""
        self.call_soon(partial(self._call_at, time.monotonic() + seconds, function))

    def _call_at(self, when: float, function: Callable[[], None]) -> None:
        left = when - time.monotonic()
        if left <= 0:
            function()
            return
        time.sleep(min(left, 0.002))
        self.call_soon(partial(self._call_at, when, function))

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until everything was called; at once if the caller is in a handler itself. False: not in time."""
        if self.is_current:
            return True
        return self._idle.wait_for(lambda: not self._queue and not self._is_calling, timeout)

    def _run(self) -> None:
        while True:
            function = self._next()
            if function is not None:
                function()
            elif not self._wake.wait(IDLE_SECONDS):
                with self._idle.lock:
                    if not self._queue and not self._is_awaited():
                        self._thread = None
                        return

    def _next(self) -> Callable[[], None] | None:
        with self._idle.lock:
            self._is_calling = bool(self._queue)
            self._is_waiting = not self._queue
            if self._queue:
                return self._queue.popleft()
            self._idle.notify_all()
            return None
