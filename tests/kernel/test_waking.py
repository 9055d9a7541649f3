"""Waking a thread, and what an interrupt leaves of it."""

from __future__ import annotations

import threading

from tests.interrupts import interrupted

from puregrpc.kernel.threads.waking import Condition, Event, Signal


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
    def use() -> None:
        signalled.set()
        signalled.clear()

    def check() -> None:
        signalled.set()
        assert signalled.wait(0)

    signalled = Signal()
    assert interrupted(use, check, rounds=200, first=0.0005, further=0.000001) > 100


def test_an_event_wakes_all_who_wait() -> None:
    event = Event()
    assert not event.wait(0)
    assert not event.wait(0.01)
    woken: list[bool] = []
    threads = [threading.Thread(target=lambda: woken.append(event.wait())) for _ in range(3)]
    for thread in threads:
        thread.start()
    event.set()
    event.set()
    for thread in threads:
        thread.join()
    assert woken == [True] * 3
    assert event.is_set()
    event.clear()
    assert not event.wait(0)


def test_a_condition_gives_each_thing_to_one_of_those_who_wait() -> None:
    condition = Condition()
    items: list[int] = []
    taken: list[int] = []

    def take() -> None:
        for _ in range(100):
            [item] = condition.wait_for(lambda: [items.pop()] if items else [])
            taken.append(item)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for n in range(400):
        with condition.lock:
            items.append(n)
            condition.notify_all()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(400))
    assert condition.wait_for(lambda: 0, timeout=0.01) == 0


def test_interrupts_leave_an_event_whole() -> None:
    def use() -> None:
        event.set()
        event.wait()
        event.clear()
        event.wait(0.00005)

    def check() -> None:
        event.clear()
        thread = threading.Thread(target=event.set)
        thread.start()
        assert event.wait(10)
        thread.join()

    event = Event()
    assert interrupted(use, check, rounds=200, first=0.0005, further=0.000001) > 100
