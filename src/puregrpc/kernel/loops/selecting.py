"""Waiting for a socket in a thread, for loops that cannot (Windows' proactor loop)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from selectors import EVENT_READ, DefaultSelector

__all__ = ["SelectingThread"]


class SelectingThread:
    """Calls ``on_ready``, in a thread of its own, when a socket is ready for ``event`` (of `selectors`).

    As a context manager it is ended and joined on exit, which takes no time.
    """

    def __init__(self, sock: socket.socket, event: int, on_ready: Callable[[], object]) -> None:
        self._end, self._ended = socket.socketpair()
        self._selector = DefaultSelector()
        self._selector.register(sock, event)
        self._selector.register(self._ended, EVENT_READ)
        self._on_ready = on_ready
        self._thread = threading.Thread(target=self._select, name="puregrpc select")

    def __enter__(self) -> SelectingThread:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()
        self._thread.join()
        self._selector.close()
        self._ended.close()

    def _select(self) -> None:
        try:
            ready = self._selector.select()
            is_ready = any(key.fileobj is not self._ended for key, _ in ready)
        except (OSError, ValueError):
            is_ready = True  # the socket was closed under it: whoever uses it next is told
        if is_ready:
            with suppress(RuntimeError):  # the loop has been closed
                self._on_ready()
