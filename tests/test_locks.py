"""The lock for ``with`` is whole after any interrupt."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from puregrpc._locks import Lock

if TYPE_CHECKING:
    from types import FrameType


def is_free(lock: Lock) -> bool:
    """Whether another thread can have it."""
    had: list[bool] = []

    def take() -> None:
        had.append(lock.acquire(timeout=5))
        if had[0]:
            lock.release()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    return had == [True]


def test_it_is_held_inside_and_may_be_taken_again() -> None:
    lock = Lock()
    held: list[bool] = []
    with lock, lock:
        thread = threading.Thread(target=lambda: held.append(lock.acquire(blocking=False)))
        thread.start()
        thread.join()
    assert held == [False]
    assert is_free(lock)
    with pytest.raises(ZeroDivisionError), lock:
        _ = 1 // 0
    assert is_free(lock)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there is no timer that interrupts")
def test_interrupts_at_any_moment_leave_it_free() -> None:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    def use() -> None:
        until = time.monotonic() + 1
        while time.monotonic() < until:
            with lock:
                pass
            with lock, lock:
                pass

    lock = Lock()
    before = signal.signal(signal.SIGALRM, interrupt)
    interrupts = 0
    try:
        for n in range(300):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0003 + n * 0.0000007)
                use()
            except KeyboardInterrupt:
                interrupts += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            assert is_free(lock)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert interrupts > 200
