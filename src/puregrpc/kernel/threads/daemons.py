"""Threads that the interpreter does not wait for at its end, where it has such threads."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["HAS_DAEMONS", "IS_MAIN_INTERPRETER", "away_from_signals", "before_threads_are_joined", "daemon"]

HAS_DAEMONS: bool = getattr(_thread, "daemon_threads_allowed", lambda: True)()
"""Isolated sub-interpreters have none: there the interpreter waits for all threads, and then calls `atexit`."""

IS_MAIN_INTERPRETER: bool = HAS_DAEMONS and getattr(_thread, "_is_main_interpreter", lambda: True)()
"""Whether the end of the interpreter is that of the process."""


_before_joining: list[Callable[[], object]] = []


def before_threads_are_joined(function: Callable[[], object], *, first: bool = False) -> None:
    """Have something called at the end of the interpreter before it waits for threads: first of all, or last."""
    register: Callable[[Callable[[], object]], None] | None = getattr(threading, "_register_atexit", None)
    if register is not None and not _before_joining:
        register(_call_all)
    _before_joining.insert(0 if first else len(_before_joining), function)


def _call_all() -> None:
    for function in _before_joining:
        function()


def daemon(function: Callable[..., object], *arguments: Any, name: str) -> threading.Thread:
    """A thread that is to be started, and is a daemon where there are any."""
    return threading.Thread(target=function, args=arguments, name=name, daemon=HAS_DAEMONS)


def away_from_signals(function: Callable[[], object]) -> None:
    """Call a function, whole, where no signal handler runs, and raise what it raises.

    Signal handlers run in the main thread. There, what one raises comes out of this while another thread goes on with
    the function, or has not begun with it and never will.
    """
    if not IS_MAIN_INTERPRETER or threading.get_ident() != threading.main_thread().ident:
        function()
        return
    errors: list[BaseException] = []
    is_over = threading.Lock()
    is_over.acquire()

    def call() -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)
        is_over.release()

    _thread.start_new_thread(call, ())  # a single step of the interpreter's
    is_over.acquire()
    if errors:
        raise errors.pop()
