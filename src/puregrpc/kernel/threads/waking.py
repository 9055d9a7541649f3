"""Waking one thread, in a way that an exception from a signal, such as Ctrl-C, leaves whole.

``threading.Event`` and ``threading.Condition`` are Python code around a lock of their own: an exception that a signal
handler raises inside of them may leave that lock held for ever, or let go twice. What is here takes a single step of
the lock itself, which no signal divides.
"""

from __future__ import annotations

import threading

__all__ = ["Signal"]


class Signal:
    """Tells one thread, now or when it next looks, that there is something for it to do."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Give the signal. Idempotent until it is taken. From signal handlers and finalizers too."""
        try:
            self._lock.release()
        except RuntimeError:
            return  # it stands already

    def clear(self) -> None:
        """Take the signal back, if it stands."""
        self._lock.acquire(blocking=False)

    def wait(self, timeout: float | None = None) -> bool:
        """Take the signal; False if none is given within ``timeout`` seconds."""
        return self._lock.acquire(timeout=-1 if timeout is None else min(timeout, threading.TIMEOUT_MAX))
