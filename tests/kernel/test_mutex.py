"""The mutex of threads: one at a time, not twice in one thread, and whole after any interrupt and after fork."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

import pytest
from tests.interrupts import interrupted

from puregrpc.errors import LocalProtocolError
from puregrpc.kernel.threads.mutex import Mutex


def is_free(mutex: Mutex) -> bool:
    """Whether another thread can have it."""
    had: list[bool] = []
    thread = threading.Thread(target=lambda: had.append(mutex.locked(lambda: True)), daemon=True)
    thread.start()
    thread.join(10)
    return had == [True]


def test_one_thread_at_a_time_and_what_the_function_gives() -> None:
    mutex = Mutex()
    count = 0
    inside = 0

    def step(by: int, most: int) -> int:
        nonlocal count, inside
        inside += 1
        assert inside == 1
        before = count
        time.sleep(0)
        count = before + by
        inside -= 1
        return most - count

    def work() -> None:
        for _ in range(500):
            mutex.locked(step, 1, 10_000)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert mutex.locked(step, 2, 4002) == 0


def test_what_the_function_raises_comes_out_and_the_mutex_is_free() -> None:
    mutex = Mutex()
    with pytest.raises(ZeroDivisionError):
        mutex.locked(lambda: 1 // 0)
    assert is_free(mutex)


def test_a_thread_that_has_it_is_told_and_still_has_it() -> None:
    mutex = Mutex()

    def nested() -> bool:
        with pytest.raises(LocalProtocolError, match=r"a signal handler or a finalizer interrupted this thread while"):
            mutex.locked(int)
        return is_held()

    def is_held() -> bool:
        waiting = threading.Thread(target=mutex.locked, args=(int,))
        waiting.start()
        waiting.join(0.05)
        held = waiting.is_alive()
        waiters.append(waiting)
        return held

    waiters: list[threading.Thread] = []
    assert mutex.locked(nested)
    for waiting in waiters:
        waiting.join()
    assert is_free(mutex)


@pytest.mark.parametrize("body", [int, lambda: sum(range(20))])
def test_interrupts_at_any_moment_leave_it_free(body: Callable[[], object]) -> None:
    def check() -> None:
        assert mutex.locked(lambda: True)
        assert not mutex._lock._is_owned()

    mutex = Mutex()
    assert interrupted(lambda: mutex.locked(body), check, rounds=500, first=0.0003, further=0.0000007) > 400
    assert is_free(mutex)


def test_who_waits_for_it_can_be_interrupted() -> None:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    mutex = Mutex()
    is_held, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        is_held.set()
        may_go.wait(10)

    holder = threading.Thread(target=mutex.locked, args=(hold,))
    holder.start()
    is_held.wait(10)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            mutex.locked(int)
    finally:
        signal.signal(signal.SIGALRM, before)
        may_go.set()
        holder.join()
    assert is_free(mutex)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_has_a_new_one() -> None:
    mutex = Mutex()
    is_held, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        is_held.set()
        may_go.wait(20)

    holder = threading.Thread(target=mutex.locked, args=(hold,))
    holder.start()
    is_held.wait(10)
    child = os.fork()
    if not child:
        signal.alarm(10)
        os._exit(0 if mutex.locked(lambda: True) else 1)
    try:
        assert os.waitpid(child, 0)[1] == 0
    finally:
        may_go.set()
        holder.join()
