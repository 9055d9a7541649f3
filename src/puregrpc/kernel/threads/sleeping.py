"""The lock at which one thread waits until another lets it go: how work is handed from thread to thread.

With the GIL that is a lock of the interpreter's. Without it, a thread that finds such a lock held gives up the
processor up to 40 times before it sleeps: a hand-over costs 50 µs of processor time where two threads have much to say
to each other. There, a thread sleeps in the system, at a descriptor of its own.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from math import ceil, inf
from threading import get_ident
from typing import Protocol

__all__ = ["DescriptorLock", "WaitLock", "is_cooperative", "longest_wait", "wait_lock"]

SIGNAL_PAUSE = 1.0
"""How long, in seconds, Ctrl-C may be overlooked."""


_main_thread = threading.main_thread().ident


def longest_wait() -> float:
    """How long, in seconds, this thread may sleep at once.

    A signal that comes when the main thread is just about to sleep does not end the sleep: CPython looks for signals
    before it lets the GIL go. So the main thread looks now and then.
    """
    return SIGNAL_PAUSE if get_ident() == _main_thread else inf


def is_cooperative() -> bool:
    """Whether threads are greenlets (gevent, eventlet): each runs until it waits."""
    return socket.socket.__module__ != "socket"


SOME = (1).to_bytes(8, sys.byteorder)
"""What is written to wake a thread: the number that is added where the descriptor counts."""
ALL = 1 << 12
"""What is read, at least as much as ``SOME``."""


class Doorbell:
    """What one thread sleeps at, and any other wakes it by."""

    __slots__ = ("_poll", "_reading", "_writing", "is_taken")

    def __init__(self) -> None:
        if hasattr(os, "eventfd"):
            self._reading = self._writing = os.eventfd(0)
        else:
            self._reading, self._writing = os.pipe()
            os.set_blocking(self._writing, False)
        self._poll: select.poll | None = None
        self.is_taken = False
        """The thread waits for it to ring: a signal handler of its must not hear that in its place."""

    def ring(self) -> None:
        """End the sleep, or the next one."""
        try:
            os.write(self._writing, SOME)
        except BlockingIOError:
            return  # a pipe that is full wakes as well

    def sleep(self, seconds: float | None) -> None:
        """Sleep until it rings, or for so long. In the thread whose it is. It may end for no reason."""
        if seconds is not None:
            if self._poll is None:
                self._poll = select.poll()
                self._poll.register(self._reading, select.POLLIN)
            if not self._poll.poll(ceil(min(seconds, LONGEST_SLEEP) * 1000)):
                return
        os.read(self._reading, ALL)

    def __del__(self, close: Callable[[int], object] = os.close) -> None:  # at the interpreter's end there is no `os`
        for descriptor in {getattr(self, "_reading", -1), getattr(self, "_writing", -1)} - {-1}:
            close(descriptor)


LONGEST_SLEEP = 1e6
"""Seconds, less than what poll(2) takes."""


class _OfThread(threading.local):
    doorbell: Doorbell | None = None


_mine = _OfThread()


def _doorbell() -> Doorbell | None:
    """This thread's; None if it has none, and can have none."""
    if _mine.doorbell is None and not is_cooperative():
        with suppress(OSError):  # there are too many open files
            _mine.doorbell = Doorbell()
    return _mine.doorbell


class WaitLock(Protocol):
    """As `threading.Lock`, for one thread that waits."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...

    def release(self) -> None: ...

    def locked(self) -> bool: ...


class DescriptorLock:
    """As `threading.Lock`, for one thread that waits, which is the one that makes it, or always the same.

    Who lets go changes the lock's state first, and rings then; who waits looks at the state whenever it is woken. An
    exception of a signal handler leaves it whole: each change of the state is one step of the interpreter's lock, and
    who is to be woken by it is, also if the exception comes before that.
    """

    __slots__ = ("_doorbell", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._doorbell = _doorbell()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As that of `threading.Lock`."""
        take = self._lock.acquire
        if take(blocking=False):
            return True
        if not blocking:
            return False
        doorbell = _doorbell()
        if doorbell is None or self._doorbell is not doorbell or doorbell.is_taken:
            # Who lets go may not know of this thread yet. It does when this lock has been had from it.
            self._doorbell = doorbell
            return take(timeout=timeout)
        until = None if timeout < 0 else time.monotonic() + timeout
        try:
            doorbell.is_taken = True  # and then the first look: what has rung before may have been heard by a handler
            while not take(blocking=False):
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    return False
                doorbell.sleep(left)
            return True
        finally:
            doorbell.is_taken = False

    def release(self) -> None:
        """As that of `threading.Lock`: RuntimeError if nobody has it."""
        # One handler for the exception of a signal between the two steps, one for that of a second signal in the first.
        try:
            try:
                self._lock.release()
                self._ring()
            except BaseException:
                self._ring()
                raise
        except BaseException:
            self._ring()
            raise

    def _ring(self) -> None:
        doorbell = self._doorbell
        if doorbell is not None:
            doorbell.ring()

    def locked(self) -> bool:
        """As that of `threading.Lock`."""
        return self._lock.locked()


def _forked() -> None:
    """In the child of `os.fork`: the descriptors are those of the parent's threads, and the main thread is another."""
    global _main_thread
    _main_thread = get_ident()
    _mine.doorbell = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


if "free-threading" not in sys.version or not hasattr(select, "poll"):

    def wait_lock() -> WaitLock:
        """A lock at which one thread waits, the one that makes it, or always the same."""
        return threading.Lock()
else:

    def wait_lock() -> WaitLock:
        """A lock at which one thread waits, the one that makes it, or always the same."""
        return DescriptorLock()
