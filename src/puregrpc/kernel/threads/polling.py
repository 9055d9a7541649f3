"""Waiting in a thread until a socket is ready, with what each system has for it."""

from __future__ import annotations

import select
import selectors
import socket
import time
from contextlib import suppress
from math import inf

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
    if not hasattr(select, "poll"):
        return _select(sock, read, write, timeout, wakeup)
    poll = select.poll()
    poll.register(descriptor, (select.POLLIN if read else 0) | (select.POLLOUT if write else 0))
    if wakeup is not None:
        poll.register(wakeup.receiving.fileno(), select.POLLIN)
    longest = longest_wait()
    if timeout <= longest:
        return any(number == descriptor for number, _ in poll.poll(timeout * 1000))
    end = time.monotonic() + timeout
    found: list[tuple[int, int]] = []
    while not found and (left := end - time.monotonic()) > 0:
        found = poll.poll(min(left, longest) * 1000)
    return any(number == descriptor for number, _ in found)


def _select(sock: socket.socket, read: bool, write: bool, timeout: float, wakeup: Wakeup | None) -> bool:
    with selectors.DefaultSelector() as selector:
        events = (selectors.EVENT_READ if read else 0) | (selectors.EVENT_WRITE if write else 0)
        try:
            selector.register(sock, events)
        except (OSError, ValueError):
            return True  # closed meanwhile
        if wakeup is not None:
            selector.register(wakeup.receiving, selectors.EVENT_READ)
        return any(key.fileobj is sock for key, _ in selector.select(timeout))
