"""How long this thread has worked, as far as the system tells."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["working_time"]


def _working_time() -> Callable[[], float]:
    """A clock of what this thread works, in seconds: on a busy machine, what others do is not its doing."""
    clock: Callable[[], float] = getattr(time, "thread_time", time.perf_counter)
    try:
        clock()
    except OSError:  # some systems have no such clock
        return time.perf_counter
    return clock


working_time = _working_time()
