"""The lock for ``with`` is whole after any interrupt."""

from __future__ import annotations

import threading

import pytest

from puregrpc._locks import Lock
from tests.interrupts import interrupted


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


def test_interrupts_at_any_moment_leave_it_free() -> None:
    def use() -> None:
        with lock:
            pass
        with lock, lock:
            pass

    def check() -> None:
        assert is_free(lock)

    lock = Lock()
    assert interrupted(use, check, rounds=300, first=0.0003, further=0.0000007) > 200
