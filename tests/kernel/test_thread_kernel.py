"""The kernel of threads: where its coroutines run, what interrupts them, and that nothing is left of it."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextvars import ContextVar
from functools import partial
from math import inf
from types import FrameType
from typing import Any, cast

import pytest

import puregrpc.kernel.threads.kernel as module
import puregrpc.kernel.threads.workers as workers
from puregrpc.errors import ConnectError, InvalidArgument, LocalProtocolError, NotConnected
from puregrpc.kernel import ThreadKernel
from puregrpc.kernel.network.addresses import TcpAddress
from puregrpc.kernel.threads.trampoline import Interrupted, ThreadWaiter

SOON = 5.0
"""What should take no time takes less than so many seconds, however busy the machine is."""

UNAWAITED = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""For interrupts between making a coroutine and handing it to the kernel."""

REQUEST: ContextVar[str] = ContextVar("REQUEST", default="none")


def threads_now() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("puregrpc")]


@pytest.fixture
def kernel() -> Iterator[ThreadKernel]:
    before = threads_now()
    kernel = ThreadKernel()
    yield kernel
    kernel.run(kernel.close())
    assert not [thread for thread in threads_now() if thread not in before]


@pytest.fixture
def alarm() -> Iterator[Callable[[float], object]]:
    """Raises KeyboardInterrupt in this thread after so many seconds."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    yield partial(signal.setitimer, signal.ITIMER_REAL)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def eventually(condition: Callable[[], object], seconds: float = SOON) -> bool:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.002)
    return bool(condition())


# -- run


def test_a_coroutine_runs_in_the_calling_thread_and_needs_no_other(kernel: ThreadKernel) -> None:
    async def main() -> tuple[int, bool, bool]:
        before = kernel.now()
        late = await kernel.waiter().wait(before + 0.02)
        waiter = kernel.waiter()
        kernel.locked(waiter.wake)
        kernel.locked(waiter.wake)
        await kernel.checkpoint()
        assert kernel.now() >= before + 0.02
        return threading.get_ident(), late, await waiter.wait()

    assert kernel.run(main()) == (threading.get_ident(), False, True)
    assert not threads_now()


@pytest.mark.skipif(sys.implementation.name == "pypy", reason="without reference counts, what is left goes later")
def test_what_a_coroutine_raises_comes_out_and_no_frame_is_kept(kernel: ThreadKernel) -> None:
    class Witness:
        pass

    async def main() -> None:
        await kernel.sleep(kernel.now() + 0.001)
        raise KeyError("mine")

    def call() -> None:
        witness = Witness()
        witnesses.append(id(witness))
        with pytest.raises(KeyError, match="mine"):
            kernel.run(main())
        assert id(witness)

    witnesses: list[int] = []
    gc.collect()
    gc.disable()
    try:
        call()
        assert not [thing for thing in gc.get_objects() if type(thing) is Witness]
    finally:
        gc.enable()


def test_an_interrupt_is_raised_where_the_coroutine_waits(
    kernel: ThreadKernel, alarm: Callable[[float], object]
) -> None:
    async def main() -> None:
        try:
            await kernel.waiter().wait()
        except KeyboardInterrupt:
            heard.append("interrupted")
            await kernel.sleep(kernel.now() + 0.01)  # it may still wait
            heard.append("cleaned up")
            raise

    heard: list[str] = []
    alarm(0.05)
    with pytest.raises(KeyboardInterrupt):
        kernel.run(main())
    assert heard == ["interrupted", "cleaned up"]


@UNAWAITED
def test_interrupts_at_any_moment_go_through_the_coroutine(
    kernel: ThreadKernel, alarm: Callable[[float], object]
) -> None:
    entered = left = interrupts = 0

    async def inner() -> None:
        waiter = kernel.waiter()
        waiter.wake()
        await waiter.wait()
        await kernel.checkpoint()

    async def main() -> None:
        nonlocal entered, left
        entered += 1
        try:
            for _ in range(3):
                await inner()
        finally:
            left += 1

    def use() -> None:
        until = time.monotonic() + 1
        while time.monotonic() < until:
            kernel.run(main())

    for n in range(400):
        try:
            alarm(0.0003 + n * 0.0000013)
            use()
        except KeyboardInterrupt:
            interrupts += 1
        finally:
            alarm(0)
    assert interrupts > 300
    assert 0 <= entered - left <= 3  # between the count and the try


# -- start


def test_a_coroutine_that_does_not_wait_is_over_when_it_was_started(kernel: ThreadKernel) -> None:
    async def main() -> int:
        return threading.get_ident()

    async def fail() -> None:
        raise KeyError

    future = kernel.start(main())
    assert future.done()
    assert future.result() == threading.get_ident()
    assert isinstance(kernel.start(fail()).exception(), KeyError)
    assert not threads_now()


def test_a_parked_coroutine_goes_on_in_one_thread_for_all(kernel: ThreadKernel) -> None:
    async def main(number: int) -> int:
        await waiters[number].wait()
        seen.append(threading.current_thread().name)
        await kernel.sleep(kernel.now() + 0.01)
        seen.append(threading.current_thread().name)
        return number

    seen: list[str] = []
    waiters = [kernel.waiter() for _ in range(50)]
    futures = [kernel.start(main(number)) for number in range(50)]
    for waiter in waiters:
        kernel.locked(waiter.wake)
    assert [future.result(SOON) for future in futures] == list(range(50))
    assert set(seen) == {"puregrpc timers"}
    assert len(threads_now()) == 1


def test_parked_coroutines_go_on_when_it_is_time(kernel: ThreadKernel) -> None:
    async def main(pause: float) -> tuple[bool, float]:
        began = kernel.now()
        woken = await kernel.waiter().wait(began + pause)
        return woken, kernel.now() - began

    pauses = [0.2, 0.05, 0.1, 0.0]
    for pause, future in [(pause, kernel.start(main(pause))) for pause in pauses]:
        woken, taken = future.result(SOON)
        assert not woken
        assert pause <= taken < pause + SOON


def test_timers_that_are_of_no_interest_any_more_are_forgotten(kernel: ThreadKernel) -> None:
    async def main() -> bool:
        waiter = kernel.waiter()
        waiting.append(waiter)
        return await waiter.wait(kernel.now() + 1000)

    waiting: list[ThreadWaiter] = []
    for _ in range(40):
        futures = [kernel.start(main()) for _ in range(100)]
        for waiter in waiting:
            kernel.locked(waiter.wake)
        waiting.clear()
        assert all(future.result(SOON) for future in futures)
    assert len(kernel.timers._heap) <= 2000


def test_what_is_wished_for_before_the_end_is_done() -> None:
    """Also where no thread could begin with it any more."""
    for _ in range(100):
        kernel, done = ThreadKernel(), list[str]()
        kernel.timers.close()
        kernel.wish(partial(done.append, "while it ends"))
        kernel.run(kernel.close())
        assert done == ["while it ends"]
        kernel.wish(partial(done.append, "later"))
        assert done == ["while it ends"]
        kernel, done = ThreadKernel(), list[str]()
        kernel.wish(partial(done.append, "just before"))
        kernel.run(kernel.close())
        assert done == ["just before"]


def test_many_threads_wake_what_others_park(kernel: ThreadKernel) -> None:
    """Waking and parking meet in every order."""

    async def main(waiter: ThreadWaiter) -> bool:
        return await waiter.wait(kernel.now() + SOON)

    def wake() -> None:
        for waiter in waiters:
            kernel.locked(waiter.wake)

    for _ in range(20):
        waiters = [kernel.waiter() for _ in range(50)]
        waking = threading.Thread(target=wake)
        waking.start()
        futures = [kernel.start(main(waiter)) for waiter in waiters]
        assert all(future.result(2 * SOON) for future in futures)
        waking.join()


def test_cancelling_the_future_interrupts_the_coroutine(kernel: ThreadKernel) -> None:
    async def main() -> None:
        try:
            await kernel.waiter().wait(kernel.now() + 100)
        except Interrupted:
            heard.append("interrupted")
            raise

    heard: list[str] = []
    future = kernel.start(main())
    assert future.cancel()
    assert eventually(lambda: heard)
    assert future.cancelled()


def test_it_has_its_own_context_everywhere(kernel: ThreadKernel) -> None:
    async def main() -> list[str]:
        seen = [REQUEST.get()]
        await kernel.sleep(kernel.now() + 0.01)
        seen.append(REQUEST.get())
        REQUEST.set("changed")
        await kernel.sleep(kernel.now() + 0.01)
        seen.append(REQUEST.get())
        seen.append(await kernel.in_thread(REQUEST.get))
        return seen

    async def task() -> None:
        heard.append(REQUEST.get())

    heard: list[str] = []
    REQUEST.set("mine")
    future = kernel.start(main())
    kernel.run(kernel.spawn(task).join())
    REQUEST.set("none")
    assert future.result(SOON) == ["mine", "mine", "changed", "changed"]
    assert heard == ["mine"]


def test_a_callback_may_block_by_way_of_the_kernel_and_the_others_go_on(kernel: ThreadKernel) -> None:
    async def main() -> None:
        await kernel.sleep(kernel.now() + 0.01)

    async def wait_for(future: Any) -> None:
        while not future.done():
            await kernel.sleep(kernel.now() + 0.005)

    def block(_: object) -> None:
        kernel.run(wait_for(other))
        heard.append(threading.current_thread().name)

    heard: list[str] = []
    other = kernel.start(kernel.sleep(kernel.now() + 0.1))
    for _ in range(3):
        kernel.start(main()).add_done_callback(block)
    assert eventually(lambda: len(heard) == 3)
    kernel.start(main()).result(SOON)


def test_threads_that_close_the_kernel_do_not_wait_for_each_other(kernel: ThreadKernel) -> None:
    closing: list[int] = []
    closed: list[int] = []

    async def until_all_close() -> None:
        while len(closing) < 3:
            await kernel.sleep(kernel.now() + 0.002)

    def close() -> None:
        closing.append(threading.get_ident())
        kernel.run(until_all_close())
        kernel.run(kernel.close())
        closed.append(threading.get_ident())

    for _ in range(3):
        kernel.wish(close)
    assert eventually(lambda: len(closed) == 3)
    assert len(set(closed)) == 3


def test_an_interrupt_ends_what_is_being_started(kernel: ThreadKernel, alarm: Callable[[float], object]) -> None:
    async def main() -> None:
        try:
            until = time.monotonic() + 10
            while time.monotonic() < until:
                continue
        finally:
            left.append(True)

    left: list[bool] = []
    alarm(0.05)
    with pytest.raises(KeyboardInterrupt):
        kernel.start(main())
    assert left


@UNAWAITED
def test_interrupts_at_any_moment_of_starting_leave_nothing_behind(
    kernel: ThreadKernel, alarm: Callable[[float], object]
) -> None:
    entered = left = interrupts = 0

    async def main() -> None:
        nonlocal entered, left
        entered += 1
        try:
            await kernel.sleep(kernel.now() + 0.0001)
        finally:
            left += 1

    def use() -> None:
        until = time.monotonic() + 1
        while time.monotonic() < until:
            kernel.start(main())

    for n in range(200):
        try:
            alarm(0.0003 + n * 0.0000013)
            use()
        except KeyboardInterrupt:
            interrupts += 1
        finally:
            alarm(0)
    assert interrupts > 100
    assert eventually(lambda: entered - left <= 3)
    kernel.start(main()).result(SOON)


@UNAWAITED
def test_interrupts_at_any_moment_of_using_threads_leave_nothing_behind(
    kernel: ThreadKernel, alarm: Callable[[float], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def task() -> None:
        return

    def use() -> None:
        until = time.monotonic() + 1
        while time.monotonic() < until:
            kernel.spawn(task)
            kernel.run(kernel.in_thread(int))

    interrupts = 0
    for n in range(200):
        monkeypatch.setattr(workers, "LONGEST_IDLE", n % 2 / 100)
        try:
            alarm(0.0003 + n * 0.0000013)
            use()
        except KeyboardInterrupt:
            interrupts += 1
        finally:
            alarm(0)
    assert interrupts > 100
    assert eventually(lambda: not threads_now())
    assert not kernel._tasks
    assert not kernel._calls._running

    def knows_one_thread() -> bool:
        # One that ends forgets those that have; two that end at the same moment may not see that of each other.
        assert kernel.run(kernel.in_thread(int)) == 0
        return eventually(lambda: not threads_now()) and len(kernel._threads._workers) <= 1

    assert eventually(knows_one_thread)


# -- spawn


def test_a_task_has_a_thread_which_is_used_again(kernel: ThreadKernel) -> None:
    async def task() -> None:
        seen.add(threading.get_ident())

    seen: set[int] = set()
    for _ in range(5):
        kernel.run(kernel.spawn(task).join())
        assert eventually(lambda: threads_now()[0].name == "puregrpc idle")
    assert len(seen) == 1
    assert threading.get_ident() not in seen


def test_whatever_a_cancelled_task_waits_for_is_interrupted(kernel: ThreadKernel) -> None:
    first, second = socket.socketpair()
    first.setblocking(False)
    may_go = threading.Event()
    waits: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "waiter": lambda: kernel.waiter().wait(),
        "time": lambda: kernel.sleep(kernel.now() + 100),
        "readable": lambda: kernel.wait_readable(first),
        "thread": lambda: kernel.in_thread(may_go.wait, 100),
    }

    async def task(name: str) -> None:
        try:
            await waits[name]()
        except BaseException as error:
            heard.append((name, type(error)))
            try:
                await kernel.checkpoint()  # from now on it is always interrupted
            except Interrupted:
                heard.append((name, Interrupted))
            raise

    heard: list[tuple[str, type]] = []
    tasks = [kernel.spawn(task, name) for name in waits]
    time.sleep(0.05)
    began = time.monotonic()
    for each in tasks:
        each.cancel()
        each.cancel()
        kernel.run(each.join())
    assert time.monotonic() - began < SOON
    assert sorted(heard, key=lambda each: each[0]) == sorted([(name, Interrupted) for name in waits] * 2)
    may_go.set()  # nobody waits for what runs in a thread and was interrupted
    assert eventually(lambda: "puregrpc call" not in [thread.name for thread in threads_now()])
    first.close()
    second.close()


def test_a_task_that_fails_is_logged_and_ends(kernel: ThreadKernel, caplog: pytest.LogCaptureFixture) -> None:
    async def task() -> None:
        raise KeyError("whatever")

    kernel.run(kernel.spawn(task).join())
    assert "whatever" in caplog.text


def test_tasks_are_started_with_the_mutex_held(kernel: ThreadKernel) -> None:
    async def task() -> None:
        kernel.locked(heard.append, 1)

    heard: list[int] = []
    kernel.run(kernel.locked(kernel.spawn, task).join())
    assert heard == [1]


# -- code of the user's


def test_an_awaitable_is_refused_and_closed(kernel: ThreadKernel) -> None:
    async def credentials(name: str) -> str:
        return name

    class Later:
        def __await__(self) -> Iterator[None]:
            yield None

    assert kernel.run(kernel.call(str.upper, "plain")) == "PLAIN"
    with pytest.raises(InvalidArgument, match=r"credentials gives an awaitable: .* it is a plain function"):
        kernel.run(kernel.call(cast("Any", credentials), "a"))  # a coroutine that nobody closes warns
    with pytest.raises(InvalidArgument, match=r"Later"):
        kernel.run(kernel.call(cast("Any", Later)))


def test_so_many_threads_at_once_and_the_others_wait_for_their_turn() -> None:
    most = 0

    def work() -> int:
        nonlocal most
        are_asked_for.wait(SOON)
        inside.append(1)
        most = max(most, len(inside))
        time.sleep(0.01)
        inside.pop()
        return threading.get_ident()

    inside: list[int] = []
    are_asked_for = threading.Event()
    kernel = ThreadKernel(threads=3)
    futures = [kernel.start(kernel.in_thread(work)) for _ in range(12)]
    are_asked_for.set()
    idents = {future.result(SOON) for future in futures}
    assert most == 3
    assert len(idents) <= 3
    assert kernel.run(kernel.in_thread(pow, 2, exp=5)) == 32
    with pytest.raises(ZeroDivisionError):
        kernel.run(kernel.in_thread(lambda: 1 // 0))
    kernel.run(kernel.close())
    assert not threads_now()


def test_an_interrupted_call_is_not_waited_for_and_one_that_waits_is_not_made(
    alarm: Callable[[float], object],
) -> None:
    may_go = threading.Event()
    kernel = ThreadKernel(threads=1)
    alarm(0.05)
    with pytest.raises(KeyboardInterrupt):
        kernel.run(kernel.in_thread(may_go.wait, 20))
    waiting = kernel.start(kernel.in_thread(lambda: made.append(1)))
    made: list[int] = []
    waiting.cancel()
    began = time.monotonic()
    kernel.run(kernel.close())
    assert time.monotonic() - began < SOON
    may_go.set()
    assert eventually(lambda: not threads_now())
    assert not made


# -- wishes


def test_wishes_come_true_in_order_and_what_they_raise_is_logged(
    kernel: ThreadKernel, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Any] = []
    for number in range(5):
        kernel.call_soon(heard.append, number)
    kernel.wish(lambda: 1 // 0)
    kernel.locked(kernel.wish, lambda: heard.append(threading.current_thread().name))
    assert eventually(lambda: len(heard) == 6)
    assert heard == [0, 1, 2, 3, 4, "puregrpc timers"]
    assert "ZeroDivisionError" in caplog.text


def test_a_finalizer_may_wish_whatever_it_interrupts(kernel: ThreadKernel) -> None:
    class Dropped:
        def __del__(self) -> None:
            kernel.wish(lambda: kernel.locked(heard.append, 1))

    heard: list[int] = []

    def drop() -> None:
        Dropped()
        gc.collect()  # where nothing counts references
        assert not heard

    kernel.locked(drop)
    with threading._active_limbo_lock:  # type: ignore[attr-defined]
        Dropped()  # in the middle of the start of a thread
        gc.collect()
    assert eventually(lambda: len(heard) == 2)


def test_after_the_end_nothing_is_begun() -> None:
    async def task() -> None:
        raise AssertionError("it runs")

    kernel = ThreadKernel()
    kernel.run(kernel.close())
    kernel.run(kernel.close())
    kernel.wish(lambda: 1 // 0)
    with pytest.raises(NotConnected):
        kernel.call_soon(print)
    for begin in (lambda: kernel.spawn(task), lambda: kernel.start(task())):
        with pytest.raises(LocalProtocolError, match="the kernel is closed"):
            begin()
    assert not threads_now()


# -- its end


def test_closing_interrupts_what_is_left_and_waits_for_it() -> None:
    async def main(name: str) -> None:
        try:
            await kernel.waiter().wait()
        finally:
            time.sleep(0.05)  # noqa: ASYNC251 - nobody waits here
            heard.append(name)

    heard: list[str] = []
    kernel = ThreadKernel()
    kernel.spawn(main, "task")
    kernel.start(main("parked"))
    time.sleep(0.02)
    kernel.run(kernel.close())
    assert sorted(heard) == ["parked", "task"]
    assert not threads_now()


@pytest.mark.parametrize("where", ["task", "callback", "wish"])
def test_it_may_be_closed_from_its_own_threads(where: str) -> None:
    async def main() -> None:
        await kernel.sleep(kernel.now() + 0.01)

    async def task() -> None:
        await kernel.close()
        over.set()

    def close(*_: object) -> None:
        kernel.run(kernel.close())
        over.set()

    over = threading.Event()
    kernel = ThreadKernel()
    kernel.spawn(kernel.sleep, inf)
    if where == "task":
        kernel.spawn(task)
    elif where == "callback":
        kernel.start(main()).add_done_callback(close)
    else:
        kernel.wish(close)
    assert over.wait(SOON)
    assert eventually(lambda: not threads_now())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_of_fork_has_no_thread_of_it_and_can_use_it(kernel: ThreadKernel) -> None:
    async def wait() -> None:
        await kernel.waiter().wait()

    async def main() -> int:
        await kernel.sleep(kernel.now() + 0.01)
        return 7

    kernel.spawn(wait)
    kernel.start(wait())
    kernel.wish(lambda: None)
    time.sleep(0.05)
    child = os.fork()
    if not child:
        signal.alarm(20)
        done = 1
        try:
            kernel.run(kernel.spawn(kernel.sleep, 0.0).join())
            assert kernel.start(main()).result(SOON) == 7
            assert kernel.run(kernel.in_thread(pow, 2, 3)) == 8
            kernel.run(kernel.close())
            done = 0
        finally:
            os._exit(done)
    assert os.waitpid(child, 0)[1] == 0


# -- the network


def test_numeric_hosts_need_no_thread(kernel: ThreadKernel) -> None:
    assert kernel.run(kernel.resolve("127.0.0.1", 7, inf)) == [TcpAddress("127.0.0.1", 7)]
    assert not threads_now()
    assert TcpAddress("127.0.0.1", 7) in kernel.run(kernel.resolve("localhost", 7, kernel.now() + 20))


def test_a_slow_resolver_is_left_alone_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(host: str, port: int, *, passive: bool = False) -> list[TcpAddress]:
        may_go.wait(30)
        return [TcpAddress("127.0.0.1", port)]

    may_go = threading.Event()
    monkeypatch.setattr(module, "look_up", slow)
    kernel = ThreadKernel()
    began = time.monotonic()
    with pytest.raises(ConnectError, match=r"'slow\.example'"):
        kernel.run(kernel.resolve("slow.example", 1, kernel.now() + 0.1))
    assert 0.1 <= time.monotonic() - began < SOON
    future = kernel.start(kernel.resolve("slow.example", 1, kernel.now() + 0.1))
    assert isinstance(future.exception(SOON), ConnectError)
    began = time.monotonic()
    kernel.run(kernel.close())
    assert time.monotonic() - began < SOON
    may_go.set()
    assert eventually(lambda: not threads_now())


def test_the_resolvers_own_error_is_told(kernel: ThreadKernel) -> None:
    with pytest.raises(ConnectError, match=r"no address was found for the host 'nowhere\.invalid'"):
        kernel.run(kernel.resolve("nowhere.invalid", 1, kernel.now() + 20))


@pytest.mark.parametrize("parked", [False, True])
def test_sockets_are_waited_for(kernel: ThreadKernel, parked: bool) -> None:
    def outcome(coroutine: Any) -> bool:
        result: bool = kernel.start(coroutine).result(SOON) if parked else kernel.run(coroutine)
        return result

    first, second = socket.socketpair()
    with first, second:
        first.setblocking(False)
        assert outcome(kernel.wait_writable(first))
        assert not outcome(kernel.wait_readable(first, kernel.now() + 0.02))
        threading.Timer(0.02, second.send, (b"a",)).start()
        assert outcome(kernel.wait_readable(first))
        first.recv(1)
        threading.Timer(0.02, kernel.forget_socket, (first,)).start()
        assert outcome(kernel.wait_readable(first))
    assert outcome(kernel.wait_readable(first))
    assert outcome(kernel.wait_writable(first, kernel.now()))


def test_a_parked_wait_that_is_cancelled_leaves_no_thread_waiting(kernel: ThreadKernel) -> None:
    first, second = socket.socketpair()
    with first, second:
        future = kernel.start(kernel.wait_readable(first))
        time.sleep(0.02)
        future.cancel()
        assert eventually(lambda: "puregrpc socket" not in [thread.name for thread in threads_now()])


def test_without_descriptors_for_it_a_wait_can_be_ended_all_the_same(
    kernel: ThreadKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OSError(24, "Too many open files")

    async def task() -> None:
        await kernel.wait_readable(first)

    first, second = socket.socketpair()
    with first, second:
        monkeypatch.setattr("puregrpc.kernel.threads.socket_waits.Wakeup", refuse)
        waiting = kernel.spawn(task)
        time.sleep(0.02)
        waiting.cancel()
        kernel.run(waiting.join())
        assert not kernel.run(kernel.wait_readable(first, kernel.now() + 0.15))


# -- its threads


def test_threads_that_are_idle_for_long_end(kernel: ThreadKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("puregrpc.kernel.threads.workers.LONGEST_IDLE", 0.02)
    for _ in range(3):
        futures = [kernel.start(kernel.in_thread(time.sleep, 0.01)) for _ in range(5)]
        for future in futures:
            future.result(SOON)
        assert eventually(lambda: [thread.name for thread in threads_now()] == ["puregrpc timers"])


def test_threads_that_end_and_are_wanted_in_the_same_moment(
    kernel: ThreadKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("puregrpc.kernel.threads.workers.LONGEST_IDLE", 0.001)
    for n in range(300):
        assert kernel.start(kernel.in_thread(pow, n, 2)).result(SOON) == n * n
        time.sleep(n % 3 / 1000)


def test_a_thread_that_cannot_be_started_is_no_thread(kernel: ThreadKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def task() -> None:
        heard.append(1)

    heard: list[int] = []
    with monkeypatch.context() as patches:
        patches.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            kernel.spawn(task)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            kernel.run(kernel.in_thread(pow, 2, 2))
        kernel.wish(lambda: None)
    kernel.run(kernel.spawn(task).join())
    assert heard == [1]
    assert kernel.run(kernel.in_thread(pow, 2, 2)) == 4
