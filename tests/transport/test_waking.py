"""Waiting between threads, and what an interrupt leaves of it."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

from puregrpc.transport.waking import Changes, Signal

if TYPE_CHECKING:
    from types import FrameType


def test_a_signal_is_taken_once() -> None:
    signalled = Signal()
    assert not signalled.wait(0)
    signalled.set()
    signalled.set()
    assert signalled.wait(0)
    assert not signalled.wait(0.01)
    signalled.set()
    signalled.clear()
    signalled.clear()
    assert not signalled.wait(0)


def test_a_signal_wakes_its_thread() -> None:
    signalled = Signal()
    woken: list[bool] = []
    thread = threading.Thread(target=lambda: woken.append(signalled.wait()))
    thread.start()
    signalled.set()
    thread.join()
    assert woken == [True]


def test_changes_wake_all_that_wait_and_no_later_ones() -> None:
    changes = Changes()
    changes.notify_all()
    waiters = [changes.waiter() for _ in range(3)]
    assert not any(waiter.acquire(blocking=False) for waiter in waiters)
    changes.notify_all()
    later = changes.waiter()
    assert all(waiter.acquire(timeout=10) for waiter in waiters)
    assert not later.acquire(blocking=False)


def test_a_notification_that_was_interrupted_can_be_made_again() -> None:
    changes = Changes()
    first, second = changes.waiter(), changes.waiter()
    first.release()  # as far as the notification came
    changes.notify_all()
    assert first.acquire(timeout=10)
    assert second.acquire(timeout=10)


def test_interrupts_leave_a_signal_whole() -> None:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    def use() -> None:  # beside the `try`, which does not cover each step of a loop in itself on every Python
        until = time.monotonic() + 1
        while time.monotonic() < until:
            signalled.set()
            signalled.clear()

    signalled = Signal()
    before = signal.signal(signal.SIGALRM, interrupt)
    interrupts = 0
    try:
        for n in range(200):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0005 + n * 0.000001)
                use()
            except KeyboardInterrupt:
                interrupts += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            signalled.set()
            assert signalled.wait(0)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert interrupts > 100
