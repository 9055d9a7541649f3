"""Waiting for a socket with gevent's own hub: at a fifth of what its ``poll`` costs, or a time-out for each wait."""

from __future__ import annotations

import socket
import sys
from importlib import import_module
from typing import Any

__all__ = ["InputWait", "has_hub"]

READ = 1
"""What `gevent.hub.Hub.loop.io` calls it."""


def has_hub() -> bool:
    """Whether the threads are gevent's greenlets."""
    return "gevent" in sys.modules and socket.socket.__module__.startswith("gevent.")


class InputWait:
    """Waits until something comes to a descriptor, for a part of ``longest`` seconds or all of it.

    To be made, used and closed in one thread; one greenlet at a time waits.
    """

    __slots__ = ("_clock", "_get_hub", "_hub", "_input")

    def __init__(self, descriptor: int, longest: float) -> None:
        self._get_hub = import_module("gevent").get_hub
        self._hub: Any = self._get_hub()
        loop = self._hub.loop
        self._input = loop.io(descriptor, READ)
        # One that always runs costs less than one for each wait. It keeps no loop from its end.
        self._clock = loop.timer(longest, longest, ref=False)
        self._clock.start(self._end_wait)

    @property
    def is_possible(self) -> bool:
        """Whether this is the thread for it, and nobody waits."""
        return not self._input.active and self._get_hub() is self._hub

    def wait(self) -> bool:
        """Wait; False if nothing came."""
        try:
            self._hub.wait(self._input)
        except _TimeIsUp:
            return False
        return True

    def _end_wait(self) -> None:
        if self._input.active:
            self._hub.cancel_wait(self._input, _TimeIsUp)

    def close(self) -> None:
        """Whoever waits goes on. From any thread."""
        loop = self._hub.loop
        if loop is None:  # its thread is over
            return
        if self._get_hub() is self._hub:
            self._close()
        else:
            loop.run_callback_threadsafe(self._close)

    def _close(self) -> None:
        self._clock.close()
        self._hub.cancel_wait(self._input, _TimeIsUp, True)


class _TimeIsUp(Exception):  # noqa: N818 - nothing went wrong
    pass
