"""Waking threads, in ways that an exception from a signal, such as Ctrl-C, leaves whole.

``threading.Event`` and ``threading.Condition`` are Python code around a lock of their own: an exception that a signal
handler raises inside of them may leave that lock held for ever, or let go twice. What is here takes a single step of
the lock itself, which no signal divides, or the lock that is made for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from puregrpc._locks import Lock
from puregrpc.kernel.threads.sleeping import wait_lock

__all__ = ["Condition", "Event", "Signal"]

T = TypeVar("T")


class Signal:
    """Tells one thread, now or when it next looks, that there is something for it to do."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = wait_lock()
        self._lock.acquire()

    def set(self) -> None:
        """Give the signal. Idempotent until it is taken. From signal handlers and finalizers too."""
        if self._lock.locked():
            try:
                self._lock.release()
            except RuntimeError:
                return  # another thread has just given it

    def clear(self) -> None:
        """Take the signal back, if it stands."""
        self._lock.acquire(blocking=False)

    def wait(self, timeout: float | None = None) -> bool:
        """Take the signal; False if none is given within ``timeout`` seconds."""
        return self._lock.acquire(timeout=-1 if timeout is None else min(timeout, threading.TIMEOUT_MAX))


class Condition:
    """Something that any number of threads wait for, and the lock that guards it."""

    def __init__(self) -> None:
        self.lock = Lock()
        self._waiting: list[Signal] = []

    def notify_all(self) -> None:
        """Have all who wait look again. With the lock held."""
        for signal in self._waiting:
            signal.set()

    def wait_for(self, look: Callable[[], T], timeout: float | None = None) -> T:
        """What ``look`` gives, called with the lock held, as soon as that is true, or after ``timeout`` seconds.

        Without the lock.
        """
        until = None if timeout is None else time.monotonic() + timeout
        with self.lock:
            found = look()
            if found or (timeout is not None and timeout <= 0):
                return found
            signal = Signal()
            self._waiting.append(signal)
        try:
            while signal.wait(None if until is None else max(0.0, until - time.monotonic())):
                with self.lock:
                    found = look()
                    if found:
                        return found
            return found
        finally:
            with self.lock:
                self._waiting.remove(signal)


class Event(threading.Event):
    """As `threading.Event`."""

    def __init__(self) -> None:
        self._is_set = False
        self._condition = Condition()

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        with self._condition.lock:
            self._is_set = True
            self._condition.notify_all()

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        return self._is_set or self._condition.wait_for(self.is_set, timeout)
