"""The lock at which one thread sleeps in the system, as threads without the GIL hand over their work."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from tests.interrupts import interrupted
from tests.worlds import block_until

from puregrpc.kernel.threads import sleeping
from puregrpc.kernel.threads.sleeping import DescriptorLock, wait_lock

pytestmark = pytest.mark.skipif(not hasattr(select, "poll"), reason="there is no poll")


@pytest.fixture(params=["eventfd", "pipe"], autouse=True)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What each thread that the test starts, and its own, sleeps at."""
    monkeypatch.setattr(sleeping, "_mine", type(sleeping._mine)())
    if request.param == "pipe":
        monkeypatch.delattr(os, "eventfd", raising=False)
    elif not hasattr(os, "eventfd"):
        pytest.skip("there is no eventfd")


def held() -> DescriptorLock:
    lock = DescriptorLock()
    assert lock.acquire()
    return lock


def test_it_is_a_lock() -> None:
    lock = held()
    assert not lock.acquire(blocking=False)
    assert not lock.acquire(timeout=0)
    began = time.monotonic()
    assert not lock.acquire(timeout=0.03)
    assert time.monotonic() - began >= 0.03
    lock.release()
    with pytest.raises(RuntimeError):
        lock.release()
    assert lock.acquire(timeout=0)
    assert isinstance(wait_lock(), (DescriptorLock, type(threading.Lock())))


def test_what_was_let_go_before_ends_no_later_wait() -> None:
    for _ in range(10):
        lock = held()
        lock.release()
        assert lock.acquire()
    assert not held().acquire(timeout=0.02)


@pytest.mark.parametrize("timeout", [-1, 30])
def test_two_threads_take_turns(timeout: float) -> None:
    mine = held()
    theirs: list[DescriptorLock] = []
    is_ready = threading.Event()
    turns = 500

    def other() -> None:
        theirs.append(held())
        is_ready.set()
        for _ in range(turns):
            assert theirs[0].acquire(timeout=timeout)
            mine.release()

    thread = threading.Thread(target=other)
    thread.start()
    assert is_ready.wait(15)
    for _ in range(turns):
        theirs[0].release()
        assert mine.acquire(timeout=timeout)
    thread.join()


@pytest.mark.parametrize("timeout", [-1, 30])
def test_a_lock_that_another_thread_made(timeout: float) -> None:
    lock = held()
    taken: list[bool] = []
    thread = threading.Thread(target=lambda: taken.extend(lock.acquire(timeout=timeout) for _ in range(3)))
    thread.start()
    for number in range(3):
        time.sleep(0.01)
        lock.release()
        block_until(partial(is_longer, taken, number))
    thread.join()
    assert taken == [True] * 3


def test_threads_that_end_keep_no_descriptor() -> None:
    def use() -> None:
        locks.append(held())
        descriptors.append(sleeping._mine.doorbell._reading)  # type: ignore[union-attr]

    locks: list[DescriptorLock] = []
    descriptors: list[int] = []
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    locks.pop().release()  # it is there as long as somebody may ring
    del thread
    block_until(lambda: not is_open(descriptors[0]))


def test_without_descriptors_it_is_the_interpreters_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: Any) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(sleeping, "Doorbell", none_left)
    lock = held()
    assert not lock.acquire(timeout=0.01)
    threading.Timer(0.02, lock.release).start()
    assert lock.acquire(timeout=15)
    threading.Timer(0.02, lock.release).start()
    assert lock.acquire()


def test_interrupts_leave_it_whole() -> None:
    def use() -> None:
        if lock.acquire(timeout=0.0001):
            lock.release()
            lock.acquire(blocking=False)

    def check() -> None:
        if not lock.acquire(blocking=False):
            lock.release()
            assert lock.acquire(timeout=15)

    lock = held()
    assert interrupted(use, check, rounds=200, first=0.0005, further=0.000001) > 100


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there is no timer that interrupts")
def test_a_signal_handler_that_waits_too_hears_nothing_that_is_meant_for_its_thread() -> None:
    def wait_too(*_: Any) -> None:
        threading.Timer(0.02, lock.release).start()
        waited.append(held().acquire(timeout=0.1))

    waited: list[bool] = []
    lock = held()
    before = signal.signal(signal.SIGALRM, wait_too)
    try:
        for timeout in (-1, 15):
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            assert lock.acquire(timeout=timeout)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert waited == [False, False]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_of_fork_has_a_descriptor_of_its_own() -> None:
    lock = held()
    child = os.fork()
    if not child:
        os._exit(not (sleeping._mine.doorbell is None and not held().acquire(timeout=0.01)))
    assert os.waitpid(child, 0)[1] == 0
    threading.Timer(0.02, lock.release).start()
    assert lock.acquire(timeout=15)


def is_longer(taken: list[bool], number: int) -> bool:
    return len(taken) > number


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


class Interrupt(BaseException):
    """What a signal handler raises."""


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="steps of the interpreter are counted")
def test_an_interrupt_between_letting_go_and_waking_still_wakes() -> None:
    """At each step of the interpreter's, on builds with the GIL too, which come here by chance alone."""
    steps = 0
    while is_interrupted_in_release(steps):
        steps += 1
    assert steps > 5


def is_interrupted_in_release(after: int) -> bool:
    """Let go of a lock that a thread waits for, with an interrupt after so many steps; whether there are as many."""
    locks: list[DescriptorLock] = []
    ready, woken = threading.Event(), threading.Event()

    def wait() -> None:
        locks.append(held())
        ready.set()
        locks[0].acquire()
        woken.set()

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    assert ready.wait(15)
    time.sleep(0.002)
    (lock,) = locks
    steps = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal steps
        if frame.f_code is not DescriptorLock.release.__code__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            steps += 1
            if steps == after + 1:
                raise Interrupt
        return trace

    before = sys.gettrace()
    was_interrupted = False
    try:
        sys.settrace(trace)
        lock.release()
    except Interrupt:
        was_interrupted = True
    finally:
        sys.settrace(before)
    if lock.locked() and not woken.is_set():  # it came before the lock was let go, or the thread has it already
        with suppress(RuntimeError):
            lock.release()
    assert woken.wait(15), after
    waiting.join(15)
    return was_interrupted
