"""The mutex of threads, which an exception from a signal handler leaves whole, whenever it comes.

A signal handler runs between any two steps of the interpreter and may raise. CPython 3.14 looks for signals between
taking a lock and the body of ``with lock:``, so that such an exception leaves the lock held for ever. What is here
asks the lock itself whether this thread holds it: an `RLock` learns its owner in the same step in which it is taken.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from puregrpc.errors import LocalProtocolError

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    Ts = TypeVarTuple("Ts")

__all__ = ["Mutex", "NestedUse"]

T = TypeVar("T")


class NestedUse(LocalProtocolError):  # noqa: N818 - it says what was done
    """A signal handler or a finalizer wants what the thread that it interrupted is in the middle of."""

    def __init__(self, what: str = "used the channel or the server") -> None:
        super().__init__(
            f"a signal handler or a finalizer interrupted this thread while it {what}, "
            "and cannot wait for it to go on: use it from another thread, or later"
        )


class Mutex:
    """Lets one thread at a time call a function. Not reentrant; a child of `os.fork` has a new one."""

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock: Any = threading.RLock()
        _all.add(self)

    def locked(self, function: Callable[[Unpack[Ts]], T], *arguments: Unpack[Ts]) -> T:
        """Call a function while no other thread is in this method.

        Raises NestedUse if this thread is: it was interrupted there by a signal handler or a finalizer.
        """
        lock = self._lock
        if lock._is_owned():  # noqa: SLF001 - what threading.Condition asks, so that every kind of lock answers it
            raise NestedUse
        # One handler for the exception of a signal in the body, one for that of a second signal in the first handler.
        try:
            try:
                lock.acquire()
                result = function(*arguments)
                lock.release()
                return result
            except BaseException:
                if lock._is_owned():  # noqa: SLF001
                    lock.release()
                raise
        except BaseException:
            if lock._is_owned():  # noqa: SLF001
                lock.release()
            raise

    def renew(self) -> None:
        """After `os.fork`, in the child: who held it may be a thread of the parent's."""
        self._lock = threading.RLock()


_all: weakref.WeakSet[Mutex] = weakref.WeakSet()


def _renew_all() -> None:
    for mutex in list(_all):
        mutex.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
