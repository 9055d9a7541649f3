"""The lock for ``with``, which an exception from a signal handler, such as Ctrl-C's, leaves whole.

CPython 3.14 looks for signals between taking a lock of its own and the body of ``with lock:``. An exception of a signal
handler that comes then leaves the lock held for ever, and who wants it next hangs. A method written in Python is left
without such a look, and its own body can let go of what it has taken; the way out is one step of the interpreter's.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

__all__ = ["Lock"]

if TYPE_CHECKING or sys.version_info < (3, 14) or sys.implementation.name != "cpython":
    from threading import RLock as Lock
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
