"""The kernels of loops: waiting, tasks, threads, sockets, and how each ends."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import gc
import socket
import sys
import threading
import time
import warnings
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from math import inf
from typing import Any

import pytest
import trio
from tests.kernel.worlds import EACH_LOOP, UVLOOP, run, together

from puregrpc.errors import ConnectError, LocalProtocolError, NotConnected
from puregrpc.kernel import AsyncioKernel, Kernel
from puregrpc.kernel.base import MOST_WOKEN, Waiters
from puregrpc.kernel.current import running_loop, running_world
from puregrpc.kernel.loops.asyncio_kernel import open_asyncio_kernel

EACH_ASYNCIO = pytest.mark.parametrize("world", ["asyncio", UVLOOP])


def loop_of(kernel: Kernel) -> asyncio.AbstractEventLoop:
    assert isinstance(kernel, AsyncioKernel)
    return kernel.loop


# -- waiting


@EACH_LOOP
def test_a_waiter_is_woken_before_and_while_it_is_waited_for(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        early = kernel.waiter()
        early.wake()
        early.wake()
        assert await early.wait()
        late, timed = kernel.waiter(), kernel.waiter()

        async def wake() -> None:
            late.wake()
            timed.wake()
            timed.wake()

        kernel.spawn(wake)
        assert await late.wait()
        assert await timed.wait(kernel.now() + 30)

    run(world, test)


@EACH_LOOP
def test_a_waiter_gives_up_in_time(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        for seconds in (0.05, 0.0, -1.0):
            waiter, began = kernel.waiter(), kernel.now()
            assert not await waiter.wait(began + seconds)
            assert began + seconds <= kernel.now() + 0.002 < began + 5  # uvloop counts milliseconds
            waiter.wake()  # nobody waits any more

    run(world, test)


@EACH_LOOP
def test_who_was_cancelled_can_be_woken(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        waiters = Waiters(kernel.waiter)
        went_on: list[int] = []

        async def wait(number: int) -> None:
            await waiters.waiter().wait()
            went_on.append(number)

        tasks = [kernel.spawn(wait, number) for number in range(3)]
        await kernel.checkpoint()
        await kernel.checkpoint()
        tasks[1].cancel()
        waiters.wake_all()  # in the same turn
        tasks[2].cancel()
        for task in tasks:
            await task.join()
        assert 0 in went_on
        assert 1 not in went_on

    run(world, test)


@EACH_LOOP
def test_a_thousand_that_wait_for_one_change_go_on_in_turns(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        waiters = Waiters(kernel.waiter)
        went_on: list[int] = []

        async def wait(number: int) -> None:
            await waiters.waiter().wait()
            went_on.append(number)

        tasks = [kernel.spawn(wait, number) for number in range(5 * MOST_WOKEN)]
        await kernel.checkpoint()
        await kernel.checkpoint()
        waiters.wake_in_turns(kernel)
        late = kernel.spawn(wait, -1)
        seen = 0
        while len(went_on) < len(tasks):
            await kernel.checkpoint()
            assert len(went_on) - seen <= 2 * MOST_WOKEN
            seen = len(went_on)
        assert sorted(went_on) == list(range(len(tasks)))
        waiters.wake_in_turns(kernel)
        for task in (*tasks, late):
            await task.join()

    run(world, test)


# -- tasks


@EACH_LOOP
def test_a_task_that_is_cancelled_before_it_began_lets_go_of_what_it_was_given(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        said: list[str] = []

        async def own(name: str) -> None:
            try:
                await kernel.sleep(inf)
            finally:
                said.append(name)

        task = kernel.spawn(own, "one")
        task.cancel()
        task.cancel()
        await task.join()
        assert said == ["one"]

    run(world, test)


@EACH_LOOP
def test_cancelling_twice_does_not_interrupt_the_cleaning_up(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        said: list[str] = []

        async def work() -> None:
            try:
                await kernel.sleep(inf)
            except BaseException:
                with suppress(Exception):
                    for _ in range(5):
                        said.append("cleaning")
                        await asyncio.sleep(0) if kernel.world == "asyncio" else None
                said.append("clean")
                raise

        task = kernel.spawn(work)
        await kernel.checkpoint()
        await kernel.checkpoint()
        task.cancel()
        await kernel.checkpoint()
        task.cancel()
        await task.join()
        assert said[-1] == "clean"

    run(world, test)


@EACH_LOOP
def test_a_task_is_cancelled_from_another_thread(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        task = kernel.spawn(kernel.sleep, inf)
        await kernel.in_thread(task.cancel)
        await task.join()

    run(world, test)


@EACH_LOOP
def test_what_a_task_raises_is_logged(world: str, caplog: pytest.LogCaptureFixture) -> None:
    async def test(kernel: Kernel) -> None:
        async def fail() -> None:
            raise ValueError("nobody waits for it")

        await kernel.spawn(fail).join()

    run(world, test)
    assert "nobody waits for it" in caplog.text


@EACH_LOOP
def test_closing_ends_tasks_and_waits_for_them(world: str) -> None:
    said: list[str] = []

    async def test(kernel: Kernel) -> None:
        async def work(name: str) -> None:
            try:
                await kernel.sleep(inf)
            finally:
                said.append(name)

        for name in "ab":
            kernel.spawn(work, name)

    run(world, test)
    assert sorted(said) == ["a", "b"]


@EACH_ASYNCIO
def test_closing_goes_to_its_end_though_it_is_cancelled(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        said: list[str] = []
        inner = AsyncioKernel(loop_of(kernel))

        async def work() -> None:
            try:
                await inner.sleep(inf)
            except asyncio.CancelledError:
                await asyncio.sleep(0.05)
                said.append("clean")
                raise

        inner.spawn(work)
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(inner.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert said == ["clean"]

    run(world, test)


@EACH_ASYNCIO
def test_a_closed_kernel_begins_nothing(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        inner = AsyncioKernel(loop_of(kernel))
        await inner.close()
        await inner.close()
        with pytest.raises(LocalProtocolError, match="closed"):
            inner.spawn(inner.sleep, inf)
        with pytest.raises(LocalProtocolError, match="closed"):
            await inner.in_thread(print)

    run(world, test)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio has eager tasks from Python 3.12 on")
def test_a_task_does_not_begin_in_the_middle_of_its_spawning() -> None:
    async def test(kernel: Kernel) -> None:
        factory: Any = getattr(asyncio, "eager_task_factory", None)
        loop_of(kernel).set_task_factory(factory)
        began: list[str] = []

        async def work() -> None:
            began.append("began")
            await kernel.sleep(inf)

        task = kernel.spawn(work)
        assert began == []
        task.cancel()
        await task.join()
        assert began == ["began"]

    run("asyncio", test)


# -- code of the user's, and threads


@EACH_LOOP
def test_what_a_function_gives_is_awaited_where_it_is_to_be(world: str) -> None:
    class Awaited:
        def __await__(self) -> Any:
            return coroutine().__await__()

    class Pretends:
        def __getattr__(self, name: str) -> Any:
            return name

    async def coroutine() -> int:
        return 3

    async def test(kernel: Kernel) -> None:
        pretends = Pretends()
        assert await kernel.call(lambda value: value, 1) == 1
        asynchronous: Any = coroutine
        assert await kernel.call(asynchronous) == 3
        assert await kernel.call(Awaited) == 3
        assert await kernel.call(lambda: pretends) is pretends

    run(world, test)


@EACH_LOOP
def test_in_thread_has_the_context_and_gives_back_what_comes(world: str) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    def work(*, fail: bool = False) -> tuple[str, threading.Thread]:
        if fail:
            raise ValueError("as asked")
        found = variable.get()
        variable.set("changed")
        return found, threading.current_thread()

    async def test(kernel: Kernel) -> None:
        variable.set("given")
        found, thread = await kernel.in_thread(work)
        assert found == "given"
        assert thread is not threading.current_thread()
        assert variable.get() == "given"
        with pytest.raises(ValueError, match="as asked"):
            await kernel.in_thread(work, fail=True)

    run(world, test)


@EACH_LOOP
def test_a_generator_that_ends_in_a_thread_is_an_error_and_no_hang(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        with pytest.raises(RuntimeError):
            await kernel.in_thread(next, iter(()))

    run(world, test)


@EACH_LOOP
def test_who_is_cancelled_does_not_wait_for_its_thread(world: str) -> None:
    release = threading.Event()

    async def test(kernel: Kernel) -> None:
        task = kernel.spawn(kernel.in_thread, release.wait, 30)  # type: ignore[arg-type]
        await kernel.sleep(kernel.now() + 0.05)
        task.cancel()
        await task.join()
        assert not release.is_set()
        release.set()

    began = time.monotonic()
    run(world, test)
    assert time.monotonic() - began < 20


@EACH_ASYNCIO
def test_no_more_threads_than_were_asked_for(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        running, most = 0, 0
        lock = threading.Lock()

        def work() -> None:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.02)
            with lock:
                running -= 1

        async with open_asyncio_kernel(threads=2) as inner:
            await asyncio.gather(*(inner.in_thread(work) for _ in range(8)))
        assert most == 2
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("puregrpc")]

    run(world, test)


@EACH_LOOP
def test_a_callback_comes_from_any_thread_and_may_fail(world: str, caplog: pytest.LogCaptureFixture) -> None:
    async def test(kernel: Kernel) -> None:
        waiter = kernel.waiter()
        threads: list[int] = []

        def note() -> None:
            threads.append(threading.get_ident())
            waiter.wake()

        def fail() -> None:
            raise ValueError("a callback failed")

        await kernel.in_thread(kernel.call_soon, fail)
        await kernel.in_thread(kernel.call_soon, note)
        await waiter.wait()
        assert threads == [threading.get_ident()]

    run(world, test)
    assert "a callback failed" in caplog.text


def test_a_dead_loop_says_so() -> None:
    loop = asyncio.new_event_loop()
    kernel = AsyncioKernel(loop)
    loop.close()
    with pytest.raises(NotConnected, match="closed"):
        kernel.call_soon(print)


@EACH_LOOP
def test_a_cancellation_that_is_under_way_is_told_from_an_error(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        found: list[bool] = []

        async def work() -> None:
            try:
                await kernel.sleep(inf)
            except BaseException as error:
                found.append(kernel.interrupts(error))
                raise

        task = kernel.spawn(work)
        await kernel.checkpoint()
        await kernel.checkpoint()
        task.cancel()
        await task.join()
        assert found == [True]
        assert kernel.interrupts(KeyboardInterrupt())
        assert not kernel.interrupts(ValueError())
        if world != "trio" and sys.version_info >= (3, 11):
            assert not kernel.interrupts(asyncio.CancelledError())

    run(world, test)


# -- the network


@EACH_LOOP
def test_resolving(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        until = kernel.now() + 30
        found = await kernel.resolve("localhost", 80, until)
        assert {str(address) for address in found} <= {"127.0.0.1:80", "[::1]:80"}
        assert len(found) == len(set(found))
        assert [str(address) for address in await kernel.resolve("127.0.0.1", 1, until)] == ["127.0.0.1:1"]
        assert "0.0.0.0:7" in [str(address) for address in await kernel.resolve("", 7, until, passive=True)]
        with pytest.raises(ConnectError, match=r"no address was found for the host 'nowhere.invalid'"):
            await kernel.resolve("nowhere.invalid", 80, until)
        with pytest.raises(ConnectError, match="no address was found for the host"):
            await kernel.resolve("\ud800.example", 80, until)

    run(world, test)


@pytest.mark.parametrize("world", ["trio", "asyncio"])  # uvloop asks the resolver without Python's help
def test_a_resolver_that_takes_its_time_is_left_in_time(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    real = socket.getaddrinfo

    def slow(host: Any, *arguments: Any, **keywords: Any) -> Any:
        if host == b"slow.example":
            flags = keywords["flags"] if keywords else arguments[-1]
            if flags & socket.AI_NUMERICHOST:
                raise socket.gaierror(socket.EAI_NONAME, "no literal")
            release.wait(20)
        return real("127.0.0.1", *arguments, **keywords)

    async def test(kernel: Kernel) -> None:
        monkeypatch.setattr(socket, "getaddrinfo", slow)
        began = kernel.now()
        with pytest.raises(ConnectError, match=r"'slow.example' in time"):
            await kernel.resolve("slow.example", 80, began + 0.1)
        assert kernel.now() - began < 5
        task = kernel.spawn(kernel.resolve, "slow.example", 80, inf)  # type: ignore[arg-type]
        await kernel.sleep(kernel.now() + 0.05)
        task.cancel()
        await task.join()
        release.set()

    run(world, test)


class NoReadiness(asyncio.SelectorEventLoop):
    """A loop that cannot tell when a socket is ready, as Windows' proactor loop."""


def refuse(*_: object) -> None:
    raise NotImplementedError


for each in ("add_reader", "remove_reader", "add_writer", "remove_writer"):
    setattr(NoReadiness, each, refuse)


def run_without_readiness(test: Callable[[Kernel], Awaitable[None]]) -> None:
    async def main() -> None:
        async with open_asyncio_kernel() as kernel:
            await asyncio.wait_for(test(kernel), 60)

    loop = NoReadiness()
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


RUNNERS: dict[str, Callable[[Callable[[Kernel], Any]], None]] = {
    "trio": partial(run, "trio"),
    "asyncio": partial(run, "asyncio"),
    "uvloop": partial(run, "uvloop"),
    "no readiness": run_without_readiness,
}
EACH_RUNNER = pytest.mark.parametrize("world", ["trio", "asyncio", UVLOOP, "no readiness"])


@EACH_RUNNER
def test_waiting_for_a_socket(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            assert not await kernel.wait_readable(ours, kernel.now() + 0.02)
            assert await kernel.wait_writable(ours, kernel.now() + 30)

            async def write() -> None:
                theirs.send(b"x")

            kernel.spawn(write)
            assert await kernel.wait_readable(ours, kernel.now() + 30)
            assert await kernel.wait_readable(ours)
            with suppress(BlockingIOError):
                while True:
                    ours.send(bytes(1 << 16))
            assert not await kernel.wait_writable(ours, kernel.now() + 0.02)

            async def read() -> None:
                theirs.setblocking(False)
                with suppress(BlockingIOError):
                    while True:
                        theirs.recv(1 << 20)

            await together(kernel, read, lambda: check_writable(kernel, ours))

    async def check_writable(kernel: Kernel, sock: socket.socket) -> None:
        assert await kernel.wait_writable(sock, kernel.now() + 30)

    RUNNERS[world](test)


@EACH_RUNNER
def test_who_waits_for_a_socket_that_is_closed_is_woken(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            with suppress(BlockingIOError):
                while True:
                    ours.send(bytes(1 << 16))

            async def close() -> None:
                await kernel.sleep(kernel.now() + 0.02)
                kernel.forget_socket(ours)
                ours.close()

            async def wait(wait_for: Callable[[socket.socket], Awaitable[bool]]) -> None:
                assert await wait_for(ours)

            await together(kernel, partial(wait, kernel.wait_readable), partial(wait, kernel.wait_writable), close)
            assert await kernel.wait_readable(ours)  # whoever uses it is told
            kernel.forget_socket(ours)

    RUNNERS[world](test)


@EACH_RUNNER
def test_waiting_for_a_socket_can_be_cancelled(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            for _ in range(2):  # the second time nothing of the first is in the way
                task = kernel.spawn(kernel.wait_readable, ours)  # type: ignore[arg-type]
                await kernel.sleep(kernel.now() + 0.02)
                task.cancel()
                await task.join()
        assert not [thread for thread in threading.enumerate() if "select" in thread.name]

    RUNNERS[world](test)


@EACH_RUNNER
def test_a_connection_that_is_refused(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = server.getsockname()
        with socket.socket() as sock:
            sock.setblocking(False)
            assert sock.connect_ex(address) in (errno.EINPROGRESS, errno.ECONNREFUSED, errno.EWOULDBLOCK)
            assert await kernel.wait_writable(sock, kernel.now() + 30)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED

    RUNNERS[world](test)


@EACH_ASYNCIO
def test_one_at_a_time_waits_for_a_socket(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            task = kernel.spawn(kernel.wait_readable, ours)  # type: ignore[arg-type]
            await kernel.checkpoint()
            with pytest.raises(LocalProtocolError, match="another coroutine"):
                await kernel.wait_readable(ours)
            task.cancel()
            await task.join()

    run(world, test)


# -- the end of the loop


@EACH_ASYNCIO
def test_what_is_attached_ends_with_the_kernel(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        inner = AsyncioKernel(loop_of(kernel))
        said: list[str] = []

        def end() -> None:
            said.append("end")
            loop_of(kernel).call_later(0.02, ended)

        def ended() -> None:
            said.append("ended")
            inner.detach(end)

        inner.attach(end)
        await inner.close()
        assert said == ["end", "ended"]

    run(world, test)


@EACH_ASYNCIO
def test_what_is_attached_ends_with_the_loop(world: str) -> None:
    """As for an object of a module, which nobody closes."""
    said: list[str] = []

    async def main() -> None:
        kernel = AsyncioKernel(asyncio.get_running_loop())

        def end() -> None:
            said.append("end")
            kernel.loop.call_soon(kernel.detach, end)

        kernel.attach(end)
        keep.append(kernel)

    keep: list[Kernel] = []
    if world == "uvloop":
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())
    assert said == ["end"]


def test_a_loop_that_is_closed_without_a_word_leaves_no_warning() -> None:
    async def main() -> AsyncioKernel:
        kernel = AsyncioKernel(asyncio.get_running_loop())
        kernel.attach(lambda: None)
        return kernel

    loop = asyncio.new_event_loop()
    kernel: AsyncioKernel | None = loop.run_until_complete(main())
    loop.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kernel is not None
        kernel = None
        gc.collect()


# -- which world runs


def test_outside_of_any_loop_there_are_threads() -> None:
    assert running_world() == "threads"
    assert running_loop() is None


@EACH_LOOP
def test_the_world_that_runs(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        assert running_world() == kernel.world
        assert await kernel.in_thread(running_world) == "threads"
        assert (running_loop() is None) == (kernel.world == "trio")

    run(world, test)


def test_trio_as_a_guest_of_asyncio() -> None:
    found: dict[str, str] = {}

    async def guest() -> None:
        found["guest"] = running_world()
        await trio.lowlevel.checkpoint()
        found["guest again"] = running_world()

    async def host() -> None:
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        trio.lowlevel.start_guest_run(
            guest,
            run_sync_soon_threadsafe=asyncio.get_running_loop().call_soon_threadsafe,
            done_callback=done.set_result,
            host_uses_signal_set_wakeup_fd=True,
        )
        found["host"] = running_world()
        (await done).unwrap()
        found["host again"] = running_world()

    asyncio.run(host())
    assert found == {"guest": "trio", "guest again": "trio", "host": "asyncio", "host again": "asyncio"}


def test_asking_loads_no_world() -> None:
    import subprocess

    program = (
        "import sys; from puregrpc.kernel.current import running_world; assert running_world() == 'threads';"
        "assert not {'asyncio', 'trio', 'ssl', 'socket'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
