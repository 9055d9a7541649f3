"""Waiting for sockets on threads, in a way that others can end."""

from __future__ import annotations

import socket
import time
import weakref
from math import inf

from puregrpc.kernel.threads.polling import Wakeup, wait_for_socket
from puregrpc.kernel.threads.trampoline import Interrupted, Request, Runner, ThreadWaiter, ask
from puregrpc.kernel.threads.workers import Work, WorkerThreads

__all__ = ["SocketWaits"]

LOOK_AWAY = 0.1
"""How long a wait that cannot be ended from outside, for want of descriptors, looks away."""

MOST_KEPT = 8
"""Wakeups that are kept for later waits."""


class SocketWaits:
    """Those of a kernel that are under way."""

    def __init__(self, threads: WorkerThreads) -> None:
        self.threads = threads
        self.active: set[_SocketWait] = set()
        self.closing: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        """Those that may be closed at any moment. Who begins to wait for one is not heard of by `forget` any more."""
        self._wakeups: list[Wakeup] = []
        self._most_kept = MOST_KEPT

    async def wait(self, sock: socket.socket, until: float, *, write: bool) -> bool:
        """See `Kernel.wait_readable` and `Kernel.wait_writable`."""
        wait = _SocketWait(self, sock, until, write=write)
        try:
            return bool(await ask(wait))
        finally:
            wait.end()

    def forget(self, sock: socket.socket) -> None:
        """See `Kernel.forget_socket`."""
        self.closing.add(sock)
        for wait in list(self.active):
            if wait.sock is sock:
                wait.end()

    def take_wakeup(self) -> Wakeup | None:
        try:
            return self._wakeups.pop() if self._wakeups else Wakeup()
        except (IndexError, OSError):
            return None

    def give_back(self, wakeup: Wakeup | None) -> None:
        if wakeup is None:
            return
        if len(self._wakeups) < self._most_kept:
            wakeup.clear()
            self._wakeups.append(wakeup)
        else:
            wakeup.close()

    def close(self) -> None:
        """Let the wakeups go, and keep none any more."""
        self._most_kept = 0
        self.forget_wakeups()

    def forget_wakeups(self) -> None:
        """After `os.fork`, in the child: they are the parent's, which would hear of them."""
        for wakeup in self._wakeups:
            wakeup.close()
        self._wakeups.clear()


class _SocketWait(Request):
    __slots__ = ("_is_over", "_until", "_waits", "_wakeup", "_write", "sock")

    def __init__(self, waits: SocketWaits, sock: socket.socket, until: float, *, write: bool) -> None:
        self.sock = sock
        self._is_over = False
        self._until = until
        self._waits = waits
        self._write = write
        self._wakeup: Wakeup | None = None

    def end(self) -> None:
        """Nobody waits any more, or the socket is about to be closed."""
        self._is_over = True
        self.interrupt()

    def interrupt(self) -> None:
        wakeup = self._wakeup
        if wakeup is not None:
            wakeup.set()

    def block(self, runner: Runner | None = None) -> bool:
        waits = self._waits
        wakeup = waits.take_wakeup()
        try:
            self._wakeup = wakeup
            waits.active.add(self)
            if self.sock in waits.closing:
                return True
            if runner is None:
                return self._poll(wakeup, None)
            runner.waiting = self
            is_ready = self._poll(wakeup, runner)
            if runner.is_cancelled:
                raise Interrupted
            return is_ready
        finally:
            if runner is not None:
                runner.waiting = None
            self._wakeup = None
            waits.active.discard(self)
            waits.give_back(wakeup)

    def _poll(self, wakeup: Wakeup | None, runner: Runner | None) -> bool:
        """Wait until the socket is ready, or this is over, or the runner is cancelled: True."""
        until = self._until
        while not self._is_over and not (runner is not None and runner.is_cancelled):
            left = until - time.monotonic() if until != inf else inf
            if wakeup is None:
                left = min(left, LOOK_AWAY)
            if wait_for_socket(self.sock, read=not self._write, write=self._write, timeout=left, wakeup=wakeup):
                return True
            if wakeup is not None:
                wakeup.clear()  # it may have been meant for whoever had it before
            if time.monotonic() >= until:
                return False
        return True

    def park(self) -> ThreadWaiter:
        waiter = ThreadWaiter()
        waiter.until = self._until
        if wait_for_socket(self.sock, read=not self._write, write=self._write, timeout=0):
            waiter.wake()
            return waiter

        def wait() -> None:
            if self.block():
                waiter.wake()

        self._waits.threads.submit(Work(wait, "puregrpc socket"))
        return waiter
