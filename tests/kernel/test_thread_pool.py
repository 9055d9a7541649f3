"""The pool of threads: how many there are, in which order they work, and how it ends."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.interrupts import interrupted

from puregrpc.errors import NotConnected
from puregrpc.kernel.threads import pool as pool_module
from puregrpc.kernel.threads.executor import ExecutorPool
from puregrpc.kernel.threads.pool import Share, ThreadPool
from puregrpc.kernel.threads.waking import Event


class Work:
    """Something to do that says when it has begun, and goes on when it is let."""

    def __init__(self, done: list[str], name: str, *, blocks: bool = False) -> None:
        self.done = done
        self.name = name
        self.begun = Event()
        self.go_on = Event()
        self.abandoned = False
        if not blocks:
            self.go_on.set()

    def run_in_thread(self) -> None:
        self.begun.set()
        self.go_on.wait(30)
        self.done.append(self.name)
        if self.name.startswith("fails"):
            raise SystemExit

    def abandon(self) -> None:
        self.abandoned = True
        self.go_on.set()


def until(condition: Any) -> None:
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def closed(pool: ThreadPool | ExecutorPool) -> threading.Event:
    ended = threading.Event()
    pool.close(ended.set)
    return ended


def test_threads_are_made_when_they_are_needed_and_used_again() -> None:
    done: list[str] = []
    pool = ThreadPool(3, "test pool")
    assert pool.threads == 0
    for number in range(10):
        pool.submit(Work(done, str(number)))
        until(lambda number=number: len(done) == number + 1 and len(pool._idle) == pool.threads)
    assert pool.threads == 1
    assert closed(pool).wait(15)
    assert pool.threads == 0


def test_what_is_more_than_the_threads_waits_in_order() -> None:
    done: list[str] = []
    pool = ThreadPool(2, "test pool")
    first = [Work(done, "first", blocks=True), Work(done, "fails", blocks=True)]
    for work in first:
        pool.submit(work)
        assert work.begun.wait(15)
    others = [Work(done, str(number)) for number in range(5)]
    for work in others:
        pool.submit(work)
    assert pool.withdraw(others[1])
    assert not pool.withdraw(others[1])
    assert not pool.withdraw(first[0])
    assert pool.threads == 2
    first[1].go_on.set()
    until(lambda: len(done) == 5)
    assert done == ["fails", "0", "2", "3", "4"]
    first[0].go_on.set()
    assert closed(pool).wait(15)


def test_shares_take_turns_and_have_one_thread_at_least() -> None:
    done: list[str] = []
    pool = ThreadPool(2, "test pool")
    greedy, modest, late = Share(), Share(), Share()
    held = [Work(done, f"greedy {number}", blocks=True) for number in range(5)]
    for work in held:
        pool.submit(work, greedy)
    assert held[1].begun.wait(15)
    assert pool.is_waiting(held[2], greedy)
    first = Work(done, "modest 0", blocks=True)
    pool.submit(first, modest)
    assert first.begun.wait(15)  # beyond the size
    assert modest.beyond_size is first
    waiting = [Work(done, f"modest {number}") for number in range(1, 3)]
    for work in waiting:
        pool.submit(work, modest)
    gone = Work(done, "gone")
    pool.submit(gone, modest)
    assert pool.withdraw(gone, modest)
    held[0].go_on.set()
    held[1].go_on.set()
    until(lambda: len(done) == 3)
    assert set(done) == {"greedy 0", "greedy 1", "modest 1"}  # greedy 2 and 3 hold the two threads
    assert not held[4].begun.is_set()
    other = Work(done, "late")
    pool.submit(other, late)
    until(lambda: "late" in done)
    first.go_on.set()
    until(lambda: "modest 2" in done)
    time.sleep(0.02)
    assert not held[4].begun.is_set()
    assert not [share for share in (modest, late) if share.running or share.beyond_size]
    for work in held:
        work.go_on.set()
    assert held[4].begun.wait(15)
    assert closed(pool).wait(15)


def test_one_thread_is_one_thread() -> None:
    done: list[str] = []
    pool = ThreadPool(1, "test pool")
    running, other = Work(done, "running", blocks=True), Work(done, "other")
    pool.submit(running, Share())
    assert running.begun.wait(15)
    share = Share()
    pool.submit(other, share)
    time.sleep(0.02)
    assert pool.is_waiting(other, share)
    running.go_on.set()
    until(lambda: done == ["running", "other"])
    assert closed(pool).wait(15)


def test_what_counts_beyond_the_size_keeps_nothing_from_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "MOST_BEYOND_SIZE", 3)
    done: list[str] = []
    pool = ThreadPool(1, "test pool")
    beyond = [Work(done, "beyond", blocks=True) for _ in range(3)]
    for work in beyond:
        pool.submit(work, beyond_size=True)
        assert work.begun.wait(15)
    with pytest.raises(RuntimeError, match="as many threads beyond"):
        pool.submit(Work(done, "one more"), beyond_size=True)
    ordinary = Work(done, "ordinary", blocks=True)
    pool.submit(ordinary)
    assert ordinary.begun.wait(15)
    pool.submit(Work(done, "waits"))
    assert pool.threads == 4
    beyond[0].go_on.set()
    until(lambda: done == ["beyond"])
    time.sleep(0.05)
    assert done == ["beyond"]  # the thread that is free is not for what waits: one ordinary thing at a time
    ordinary.go_on.set()
    until(lambda: done == ["beyond", "ordinary", "waits"])
    assert closed(pool).wait(15)
    assert all(work.abandoned for work in beyond[1:])


def test_the_end() -> None:
    done: list[str] = []
    pool = ThreadPool(1, "test pool")
    running, waiting = Work(done, "running", blocks=True), Work(done, "waiting")
    pool.submit(running)
    assert running.begun.wait(15)
    pool.submit(waiting)
    ended = closed(pool)
    with pytest.raises(NotConnected):
        pool.submit(waiting)
    assert ended.wait(15)
    assert done == ["running"]
    assert running.abandoned
    assert closed(ThreadPool(1, "test pool")).is_set()


def test_threads_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    pool = ThreadPool(2, "test pool")
    first = Work(done, "first", blocks=True)

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        for beyond_size in (False, True):
            with pytest.raises(RuntimeError):
                pool.submit(first, beyond_size=beyond_size)
    pool.submit(first)
    assert first.begun.wait(15)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        pool.submit(Work(done, "second"))
        with pytest.raises(RuntimeError):
            pool.submit(first, beyond_size=True)
    first.go_on.set()
    until(lambda: done == ["first", "second"])
    assert closed(pool).wait(15)


# Python drops what is raised in a callback of a weak reference, of which threading has one for each thread.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("shares", [1, 3])
@pytest.mark.parametrize("size", [1, 3])
def test_interrupts_at_any_moment_leave_no_thread_behind(size: int, shares: int) -> None:
    done: list[str] = []
    users = [Share() for _ in range(shares)]
    pools = [ThreadPool(size, "test pool")]

    def use() -> None:
        for share in users:
            pools[0].submit(Work(done, "submitted"), share)
        work = Work(done, "withdrawn")
        pools[0].submit(work, users[0])
        pools[0].withdraw(work, users[0])
        pools[0].submit(Work(done, "beyond"), beyond_size=True)

    def check() -> None:
        pool = pools[0]
        for share in users:
            last = Work(done, "last")
            pool.submit(last, share)
            assert last.begun.wait(15)
        until(lambda: len(pool._idle) == pool.threads)
        assert (pool._beyond, pool._is_starting) == (0, False)
        assert all(worker.thread.is_alive() and worker.assignment is None for worker in pool._workers)
        assert not [share for share in users if share.running or share.waiting or share.beyond_size]
        assert not {**pool._queue, **pool._starving}
        assert closed(pool).wait(15)
        assert pool.threads == 0
        pools[0] = ThreadPool(size, "test pool")

    assert interrupted(use, check, rounds=150, first=0.0002, further=0.00001) > 100


@pytest.mark.parametrize("executor", [False, True])
def test_interrupts_at_any_moment_of_closing_leave_nothing_undone(executor: bool) -> None:
    with ThreadPoolExecutor(2) as threads:

        def new() -> ThreadPool | ExecutorPool:
            pool = ExecutorPool(threads) if executor else ThreadPool(2, "test pool")
            for work in [Work([], "runs", blocks=True) for _ in range(2)]:
                pool.submit(work)
                assert work.begun.wait(15)
                running.append(work)
            pool.submit(waiting)
            return pool

        running: list[Work] = []
        waiting = Work([], "waits")
        ended = Event()
        pools = [new()]
        has_begun = [False]

        def use() -> None:
            if has_begun[0]:
                return
            has_begun[0] = True
            pools[0].close(ended.set)

        def check() -> None:
            if not pools[0]._is_closed:  # it was interrupted before it began
                pools[0].close(ended.set)
            assert ended.wait(15)
            assert all(work.abandoned for work in running)
            assert pools[0].threads == 0
            assert not pools[0].is_waiting(waiting)
            assert not waiting.begun.is_set()
            running.clear()
            ended.clear()
            pools[0] = new()
            has_begun[0] = False

        interrupted(use, check, rounds=200, first=0.00002, further=0.000001)
        closed(pools[0]).wait(15)


def test_an_interrupt_in_the_executor_is_none_of_its_errors() -> None:
    class Interrupted:
        def submit(self, function: Any, *_arguments: Any) -> None:
            raise KeyboardInterrupt

    pool, work = ExecutorPool(Interrupted()), Work([], "never")
    with pytest.raises(KeyboardInterrupt):
        pool.submit(work)
    assert not pool.is_waiting(work)
