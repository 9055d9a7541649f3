"""Scripts that hold up the loop: they are told of, and the same signal again gets out of them.

An async iteration that calls `time.sleep`, a plain client or something else that blocks has all other users wait, and
nothing hears of a signal meanwhile: the loop that hears signals is the one that is held up.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import CodeType, FrameType

from puregrpc.errors import NotConnected
from puregrpc.kernel import Kernel
from puregrpc.kernel.threads.trampoline import Interrupted
from puregrpc.kernel.threads.waking import Event

__all__ = ["breaking_out", "place_of", "telling_of_standstill"]

logger = logging.getLogger("puregrpc.load")

LOOK_EVERY = 0.25
"""Seconds between one look at the loop and the next."""

LOOKS = 3
"""So many in a row that find it at the same place are a standstill."""

SIGNALS_APART = 0.2
"""Seconds that a loop has to hear a signal before it counts as held up."""


def place_of(frame: FrameType | None, callers: Sequence[CodeType], path: str) -> tuple[str, FrameType] | None:
    """Where code of a script runs that one of the ``callers`` has called, as ``file:line in function``, and the
    caller's frame; None: nowhere.

    That is the innermost frame of the file ``path``, or else the one that the caller called.
    """
    called: FrameType | None = None
    found: FrameType | None = None
    while frame is not None:
        if frame.f_code in callers:
            at = found or called
            if at is None:
                return None
            return f"{at.f_code.co_filename}:{at.f_lineno} in {at.f_code.co_name}", frame
        if found is None and frame.f_code.co_filename == path:
            found = frame
        called = frame
        frame = frame.f_back
    return None


@contextmanager
def telling_of_standstill(kernel: Kernel, callers: Sequence[CodeType], path: str) -> Iterator[None]:
    """Warn, once for each place, of what holds up the loop of this thread."""
    over = Event()
    watcher = Watcher(kernel, callers, path, threading.get_ident())

    def watch() -> None:
        while not over.wait(LOOK_EVERY):
            place = watcher.look()
            if place is not None:
                logger.warning(
                    "the loop is held up at %s: no other user goes on meanwhile. In async functions, await the loop's "
                    "own sleep and the calls of an AsyncClient; plain functions run in threads", place,
                )  # fmt: skip

    thread = threading.Thread(target=watch, name="puregrpc load standstill", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Watcher:
    """Looks at a loop from another thread."""

    def __init__(self, kernel: Kernel, callers: Sequence[CodeType], path: str, thread: int) -> None:
        self._kernel = kernel
        self._callers = callers
        self._path = path
        self._thread = thread
        self._is_asked = False
        self._looks = 0
        self._call: FrameType | None = None
        """Which call the loop was in at the last look. One that is late with many calls is not held up by one."""
        self._told: set[str] = set()

    def _answer(self) -> None:
        self._is_asked = False
        self._looks = 0
        self._call = None

    def look(self) -> str | None:
        """The place where the loop has been for `LOOKS` looks, if that is not told yet."""
        if not self._is_asked:
            self._is_asked = True
            with suppress(NotConnected):
                self._kernel.call_soon(self._answer)
            return None
        found = place_of(sys._current_frames().get(self._thread), self._callers, self._path)  # noqa: SLF001
        place, call = (None, None) if found is None else found
        if call is not self._call:
            self._call, self._looks = call, 0
        self._looks += 1
        if place is None or place in self._told or self._looks != LOOKS or not self._is_asked:
            return None
        self._told.add(place)
        return place


@contextmanager
def breaking_out(
    signals: Sequence[signal.Signals], callers: Sequence[CodeType], heard: Callable[[], int], end: Callable[[], object]
) -> Iterator[None]:
    """Have a signal that comes again interrupt a script in this thread that keeps the loop from hearing the first one.

    ``heard`` is how many the loop has heard; ``end`` is called before Interrupted is raised where the script is. To be
    entered, in the main thread, when signals are handled already.
    """
    before = {each: signal.getsignal(each) for each in signals}
    came: list[float] = []

    def handle(number: int, frame: FrameType | None) -> None:
        came.append(time.monotonic())
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)
        is_again = len(came) > 1 and came[-1] - came[-2] >= SIGNALS_APART
        if is_again and heard() < len(came) - 1 and place_of(frame, callers, "") is not None:
            end()
            raise Interrupted

    for each in signals:
        signal.signal(each, handle)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
