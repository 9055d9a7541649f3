"""The lock for ``with``, which an exception from a signal handler, such as Ctrl-C's, leaves whole.

CPython 3.14 looks for signals between taking a lock of its own and the body of ``with lock:``. An exception of a signal
handler that comes then leaves the lock held for ever, and who wants it next hangs. A method written in Python is left
without such a look, and its own body can let go of what it has taken; the way out is one step of the interpreter's.

PyPy looks before every step, also between the body and the way out, where no handler stands. There signals wait while
the main thread holds a lock.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

__all__ = ["Lock"]

if TYPE_CHECKING or (sys.implementation.name != "pypy" and sys.version_info < (3, 14)):
    from threading import RLock as Lock
elif sys.implementation.name == "pypy":
    import signal
    import time
    from _thread import RLock

    from __pypy__.thread import _signals_enter, _signals_exit

    if hasattr(signal, "pthread_sigmask"):

        def _look_for_signals():
            signal.pthread_sigmask(signal.SIG_BLOCK, ())
    else:

        def _look_for_signals():
            time.sleep(0)

    class Lock(RLock):
        """As `threading.RLock`."""

        def __init__(self):
            self._has_signals_wait = []

        def __enter__(self):
            try:
                _signals_exit()
                has_signals_wait = True
            except RuntimeError:  # not the main thread, or it holds another lock
                has_signals_wait = False
            acquired = self.acquire()
            self._has_signals_wait.append(has_signals_wait)
            return acquired

        def __exit__(self, *_):
            has_signals_wait = self._has_signals_wait.pop()
            self.release()
            if has_signals_wait:
                _signals_enter()
                _look_for_signals()  # what came meanwhile would wait until another thread has run
else:
    from _thread import RLock

    class Lock(RLock):
        """As `threading.RLock`."""

        __slots__ = ()

        def __enter__(self):
            depth = self._recursion_count()
            # One handler for the exception of a signal in the body, one for that of a second signal in the first.
            try:
                try:
                    return self.acquire()
                except BaseException:
                    if self._recursion_count() > depth:
                        self.release()
                    raise
            except BaseException:
                if self._recursion_count() > depth:
                    self.release()
                raise
