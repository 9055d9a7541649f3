"""Waking a thread, and what an interrupt leaves of it."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

from puregrpc.kernel.threads.waking import Signal

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
