"""Waiting in a thread until a socket is ready, with what each system has for it."""

from __future__ import annotations

import select
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Any

from puregrpc.kernel.threads.sleeping import longest_wait

__all__ = ["Wakeup", "wait_for_socket"]

LONGEST_POLL = 1000.0
"""Less than what poll(2) can wait for."""


class Wakeup:
    """Ends a `wait_for_socket` from another thread, from a signal handler or from a finalizer."""

    __slots__ = ("receiving", "sending")

    def __init__(self) -> None:
        self.receiving, self.sending = socket.socketpair()
        self.receiving.setblocking(False)
        self.sending.setblocking(False)

    def set(self) -> None:
        """End the wait, or the next one if there is none. Idempotent."""
        with suppress(OSError):  # so full that it is set
            self.sending.send(b"\0")

    def clear(self) -> None:
        """Take it back."""
        with suppress(OSError):
            while self.receiving.recv(64):
                continue

    def close(self) -> None:
        self.receiving.close()
        self.sending.close()


def wait_for_socket(
    sock: socket.socket,
    *,
    read: bool = False,
    write: bool = False,
    timeout: float = inf,
    wakeup: Wakeup | None = None,
) -> bool:
    """Wait until a socket can be read or written; False after ``timeout`` seconds, or if ``wakeup`` is set.

    One that another thread has closed counts as ready: whoever uses it is told. May come back too early.
    """
    descriptor = sock.fileno()
    if descriptor < 0:
        return True
    timeout = min(max(timeout, 0.0), LONGEST_POLL)
    poll = new_poll()
    poll.register(descriptor, (READABLE if read else 0) | (WRITABLE if write else 0))
    if wakeup is not None:
        poll.register(wakeup.receiving.fileno(), READABLE)
    longest = longest_wait()
    if timeout <= longest:
        return any(number == descriptor for number, _ in poll.poll(timeout * 1000))
    end = time.monotonic() + timeout
    found: list[tuple[int, int]] = []
    while not found and (left := end - time.monotonic()) > 0:
        found = poll.poll(min(left, longest) * 1000)
    return any(number == descriptor for number, _ in found)


class _Selecting:
    """What `select.poll` gives, where the system has no poll(2)."""

    def __init__(self) -> None:
        self._events: dict[int, int] = {}

    def register(self, descriptor: int, events: int) -> None:
        self._events[descriptor] = events

    def poll(self, milliseconds: float) -> list[tuple[int, int]]:
        with selectors.DefaultSelector() as selector:
            try:
                for descriptor, events in self._events.items():
                    selector.register(
                        descriptor,
                        (selectors.EVENT_READ if events & READABLE else 0)
                        | (selectors.EVENT_WRITE if events & WRITABLE else 0),
                    )
                return [(key.fd, events) for key, events in selector.select(milliseconds / 1000)]
            except (OSError, ValueError):
                return list(self._events.items())  # one is closed


READABLE: int = getattr(select, "POLLIN", 1)
WRITABLE: int = getattr(select, "POLLOUT", 4)
new_poll: Callable[[], Any] = getattr(select, "poll", _Selecting)
