"""Asking busily for input, for a short time, in place of sleeping at once until there is some."""

from __future__ import annotations

import os
import select
import socket
import threading
import time

__all__ = ["BUSY_POLL", "LONGEST_BUSY_POLL", "BusyPoll"]

BUSY_POLL = 0.0002
"""How long a lone caller asks again and again for its answer before it sleeps. A server on the same machine answers in
less than the system takes to wake a thread and the processor to warm up to it."""

LONGEST_BUSY_POLL = 0.1
"""How long (seconds) a caller may be asked to poll for its answer before it sleeps."""

READS_WITHOUT_POLLING = 20
"""How many reads (one a call, mostly) sleep at once after one that polled in vain: so answers that take longer cost
little."""

LONGEST_QUESTION = 50e-6
"""A question that takes longer (it takes 2 µs) was waiting for others."""

_polling = threading.Lock()
"""Held by the one thread of the process that polls busily: two would be in each other's way."""


def _has_processor_for_peer() -> bool:
    """Whether there is a processor for the peer beside the one that polls."""
    if not hasattr(select, "poll") or not hasattr(os, "sched_yield"):
        return False
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return processors > 1


class BusyPoll:
    """Asks for input on one connection for ``seconds``, and not at all for a while where that was in vain."""

    __slots__ = ("_reads_without", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds if _has_processor_for_peer() else 0.0
        self._reads_without = 0

    def finds_input(self, sock: socket.socket | None, deadline: float | None) -> bool:
        """Whether there is input. False says nothing: it is time to sleep until there is some.

        Each question lets others go on. Where there are others, of this program or not, that have use for the processor
        or for the interpreter, it is left to them: this thread sleeps, and so do the next ones that read.
        """
        if self._reads_without:
            self._reads_without -= 1
            return False
        descriptor = sock.fileno() if self._seconds and sock is not None else -1
        if descriptor < 0:
            return False
        self._reads_without = READS_WITHOUT_POLLING
        if not _polling.acquire(blocking=False):
            return False
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            asked = time.monotonic()
            end = asked + self._seconds
            if deadline is not None:
                end = min(end, deadline)
            while asked < end:
                has_input = bool(poll.poll(0))
                if not has_input:
                    os.sched_yield()
                before, asked = asked, time.monotonic()
                if asked - before > LONGEST_QUESTION:
                    return has_input
                if has_input:
                    self._reads_without = 0
                    return True
            return False
        finally:
            _polling.release()
