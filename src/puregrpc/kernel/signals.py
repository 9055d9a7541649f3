"""Signals of the operating system."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from puregrpc.errors import LocalProtocolError

__all__ = ["handling_signals", "restoring_signals"]


@contextmanager
def handling_signals(
    signals: Sequence[signal.Signals], function: Callable[[], object], *, wakeup_fd: int | None = None
) -> Iterator[None]:
    """Have a function called when one of the signals comes, in the place of what is done with it otherwise.

    It is called in the main thread, when that comes to run Python code. A system call that the thread waits in may not
    end by it: the signal may have come to another thread. ``wakeup_fd``: where something is written then (see
    `signal.set_wakeup_fd`). Raises LocalProtocolError outside of the main thread.
    """
    with restoring_signals(signals):
        for each in signals:
            signal.signal(each, lambda *_: function())
        before = None if wakeup_fd is None else signal.set_wakeup_fd(wakeup_fd, warn_on_full_buffer=False)
        try:
            yield
        finally:
            if before is not None:
                signal.set_wakeup_fd(before)


@contextmanager
def restoring_signals(signals: Sequence[signal.Signals]) -> Iterator[None]:
    """Do with the signals, when the body is left, what is done with them now. LocalProtocolError as above."""
    before: dict[signal.Signals, Any] = {each: signal.getsignal(each) for each in signals}
    try:
        for each in signals:
            signal.signal(each, signal.SIG_DFL if before[each] is None else before[each])
    except ValueError as error:
        raise LocalProtocolError(f"signals can only be received in the main thread: {error}") from None
    try:
        yield
    finally:
        for each, what in before.items():
            signal.signal(each, signal.SIG_DFL if what is None else what)
