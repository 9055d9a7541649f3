"""The kernel of asyncio."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import copy_context
from functools import partial
from math import inf
from selectors import EVENT_READ, EVENT_WRITE
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from puregrpc.errors import LocalProtocolError, NotConnected
from puregrpc.kernel.base import DEFAULT_THREADS, Kernel, Waiters, call_logged, run_logged
from puregrpc.kernel.current import running_loop
from puregrpc.kernel.loops.asyncio_tasks import create_task, was_cancelled
from puregrpc.kernel.loops.selecting import SelectingThread
from puregrpc.kernel.network.addresses import TcpAddress, addresses_in, literal_addresses, no_address, question
from puregrpc.kernel.signals import restoring_signals

if TYPE_CHECKING:
    import signal

    from typing_extensions import TypeVarTuple, Unpack

    from puregrpc.kernel.loops.reading_loop import ReadingLoop

    Ts = TypeVarTuple("Ts")

__all__ = ["AsyncioKernel", "AsyncioWaiter", "open_asyncio_kernel", "to_the_end"]

P = ParamSpec("P")
T = TypeVar("T")


class AsyncioWaiter:
    """A `Waiter` of asyncio. Whoever waits without end may await ``future`` itself, which spares a coroutine."""

    __slots__ = ("future",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[bool] = loop.create_future()

    def wake(self) -> None:
        future = self.future
        if not future.done():  # who waited may have been cancelled
            future.set_result(True)

    async def wait(self, until: float = inf) -> bool:
        future = self.future
        if until == inf or future.done():
            return await future
        timer = future.get_loop().call_at(until, self._give_up)
        try:
            return await future
        finally:
            timer.cancel()

    def _give_up(self) -> None:
        if not self.future.done():
            self.future.set_result(False)


async def to_the_end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Wait until all of some tasks, which end soon, have ended. A cancellation meanwhile is raised only then."""
    interruption: asyncio.CancelledError | None = None
    while left := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(left)
        except asyncio.CancelledError as error:
            interruption = error
    if interruption is not None:
        raise interruption


class AsyncioTask:
    """A `Task` of asyncio. It begins in any case: one that is cancelled before that is interrupted where it first
    waits, so that it can let go of what it was given."""

    __slots__ = ("_has_begun", "_is_cancelled", "_loop", "task")

    task: asyncio.Task[None]

    def __init__(self, loop: asyncio.AbstractEventLoop, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._loop = loop
        self._has_begun = False
        self._is_cancelled = False
        self.task = create_task(loop, run_logged(partial(self._begin, function)))

    def cancel(self) -> None:
        if running_loop() is self._loop:
            self._cancel()
        else:
            with suppress(RuntimeError):  # the loop is closed: nothing of it runs any more
                self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if not self._is_cancelled:  # a second time would interrupt the cleaning up
            self._is_cancelled = True
            if self._has_begun:
                self.task.cancel()

    async def join(self) -> None:
        await asyncio.wait([self.task])

    def _begin(self, function: Callable[[], Coroutine[Any, Any, None]]) -> Coroutine[Any, Any, None]:
        if not hasattr(self, "task"):
            return self._begin_later(function)
        self._has_begun = True
        if self._is_cancelled:
            self.task.cancel()
        return function()

    async def _begin_later(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        await asyncio.sleep(0)  # it was begun at once (`asyncio.eager_task_factory`), in the middle of something
        await self._begin(function)


class AsyncioKernel(Kernel):
    """Everything happens in ``loop``. `in_thread` uses up to ``threads`` threads.

    It must be made, used and closed in the loop's thread, but for `call_soon` and `Task.cancel`. It ends with `close`,
    and where nobody calls that, with the loop, if that shuts down its asynchronous generators (``asyncio.run`` does).
    """

    world = "asyncio"

    def __init__(self, loop: asyncio.AbstractEventLoop, *, threads: int | None = None) -> None:
        self.loop = loop
        self.reading = cast("ReadingLoop", loop) if hasattr(loop, "runs_here") else None
        """The loop, if it has sockets read by whom they belong to."""
        self.now = loop.time  # type: ignore[method-assign]  # a call less
        self._tasks: set[AsyncioTask] = set()
        self._threads = DEFAULT_THREADS if threads is None else threads
        self._pool: ThreadPoolExecutor | None = None
        self._is_closed = False
        self._readers: dict[int, AsyncioWaiter] = {}
        """Who waits for a socket to become readable, by its descriptor."""
        self._writers: dict[int, AsyncioWaiter] = {}
        self._attached: set[Callable[[], None]] = set()
        self._detached = Waiters(partial(AsyncioWaiter, loop))
        self._end_of_loop: AsyncGenerator[None, None] | None = None

    # -- time and waiting

    def now(self) -> float:
        return self.loop.time()

    def waiter(self) -> AsyncioWaiter:
        return AsyncioWaiter(self.loop)

    async def checkpoint(self) -> None:
        await asyncio.sleep(0)

    # -- the mutex

    def locked(self, function: Callable[[Unpack[Ts]], T], *arguments: Unpack[Ts]) -> T:
        return function(*arguments)

    # -- tasks and code of the user's

    def spawn(
        self, function: Callable[P, Coroutine[Any, Any, None]], *arguments: P.args, **keywords: P.kwargs
    ) -> AsyncioTask:
        self._check_open()
        task = AsyncioTask(self.loop, partial(function, *arguments, **keywords))
        self._tasks.add(task)
        task.task.add_done_callback(lambda _: self._tasks.discard(task))
        return task

    async def in_thread(self, function: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
        self._check_open()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, "puregrpc")
        work = partial(copy_context().run, _without_stop_iteration, partial(function, *arguments, **keywords))
        return await self.loop.run_in_executor(self._pool, work)

    def call_soon(self, function: Callable[P, object], *arguments: P.args, **keywords: P.kwargs) -> None:
        try:
            self.loop.call_soon_threadsafe(call_logged, partial(function, *arguments, **keywords))
        except RuntimeError:
            raise NotConnected("the event loop of this kernel is closed") from None

    @contextmanager
    def on_signals(self, signals: Sequence[signal.Signals], function: Callable[[], object]) -> Iterator[None]:
        added: list[signal.Signals] = []
        with restoring_signals(signals):
            try:
                for each in signals:
                    self.loop.add_signal_handler(each, call_logged, function)
                    added.append(each)
            except NotImplementedError:  # Windows, whose loops are woken by signals in any case
                with super().on_signals(signals, function):
                    yield
                return
            try:
                yield
            finally:
                for each in added:
                    self.loop.remove_signal_handler(each)

    def interrupts(self, error: BaseException) -> bool:
        if isinstance(error, asyncio.CancelledError):
            task = asyncio.current_task(self.loop)
            return task is not None and was_cancelled(task)  # a callback of the loop is never interrupted
        return super().interrupts(error)

    # -- its end

    def attach(self, end: Callable[[], None]) -> None:
        """Have ``end`` called when the kernel is closed, or its loop is about to be, unless `detach` came before.

        It is for what runs by callbacks of the loop, without a task. Whoever attached it detaches it when it has ended:
        `close` waits for that.
        """
        self._check_open()
        self._attached.add(end)
        if self._end_of_loop is None:
            # Of all that a loop has, it ends its asynchronous generators (PEP 525) before it is closed, and does not
            # mind those that nobody ended.
            self._end_of_loop = self._wait_for_end_of_loop()
            with suppress(StopIteration):
                self._end_of_loop.__anext__().send(None)

    def detach(self, end: Callable[[], None]) -> None:
        """It has ended. Idempotent."""
        self._attached.discard(end)
        self._detached.wake_all()

    async def _wait_for_end_of_loop(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            for end in list(self._attached):
                call_logged(end)
            while self._attached:
                await self._detached.waiter().wait()

    async def _end_attached(self) -> None:
        if self._end_of_loop is not None:
            await self._end_of_loop.aclose()

    async def close(self) -> None:
        self._is_closed = True
        this = asyncio.current_task(self.loop)
        tasks = [task for task in self._tasks if task.task is not this]
        for task in tasks:
            task.cancel()
        try:
            await to_the_end([self.loop.create_task(self._end_attached()), *(task.task for task in tasks)])
        finally:
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)
        if self._pool is not None:
            await self._join_threads(self._pool)

    async def _join_threads(self, pool: ThreadPoolExecutor) -> None:
        waiter = self.waiter()

        def join() -> None:
            pool.shutdown()
            with suppress(RuntimeError):  # the loop was closed meanwhile
                self.loop.call_soon_threadsafe(waiter.wake)

        joiner = threading.Thread(target=join, name="puregrpc joiner")
        joiner.start()
        await waiter.wait()
        joiner.join()

    def _check_open(self) -> None:
        if self._is_closed:
            raise LocalProtocolError("the kernel is closed: nothing can be begun in it any more")

    # -- the network

    async def resolve(self, host: str, port: int, until: float, *, passive: bool = False) -> list[TcpAddress]:
        if (literals := literal_addresses(host, port, passive=passive)) is not None:
            return literals
        lookup = asyncio.ensure_future(self.loop.getaddrinfo(**question(host, port, passive=passive)))
        try:
            await asyncio.wait([lookup], timeout=None if until == inf else max(until - self.now(), 0.0))
            if not lookup.done():
                raise no_address(host, None)
            return addresses_in(lookup.result())
        except (OSError, ValueError) as error:
            raise no_address(host, error) from error
        finally:
            if not lookup.cancel() and not lookup.cancelled():
                lookup.exception()  # noted, if it failed when this was cancelled

    async def wait_readable(self, sock: socket.socket, until: float = inf) -> bool:
        return await self._wait_for_socket(sock, EVENT_READ, until)

    async def wait_writable(self, sock: socket.socket, until: float = inf) -> bool:
        return await self._wait_for_socket(sock, EVENT_WRITE, until)

    async def _wait_for_socket(self, sock: socket.socket, event: int, until: float) -> bool:
        descriptor = sock.fileno()
        if descriptor < 0:
            await self.checkpoint()
            return True
        loop = self.loop
        if event == EVENT_READ:
            waiting, add, remove = self._readers, loop.add_reader, loop.remove_reader
        else:
            waiting, add, remove = self._writers, loop.add_writer, loop.remove_writer
        if descriptor in waiting:
            raise LocalProtocolError("another coroutine waits for this socket")
        waiting[descriptor] = waiter = self.waiter()
        try:
            try:
                add(descriptor, waiter.wake)
            except NotImplementedError:
                with SelectingThread(sock, event, partial(loop.call_soon_threadsafe, waiter.wake)):
                    return await waiter.wait(until)
            try:
                return await waiter.wait(until)
            finally:
                if waiting.get(descriptor) is waiter:
                    remove(descriptor)
        finally:
            if waiting.get(descriptor) is waiter:
                del waiting[descriptor]

    def forget_socket(self, sock: socket.socket) -> None:
        descriptor = sock.fileno()
        for waiting, remove in ((self._readers, self.loop.remove_reader), (self._writers, self.loop.remove_writer)):
            waiter = waiting.pop(descriptor, None)
            if waiter is not None:
                waiter.wake()
                with suppress(NotImplementedError):
                    remove(descriptor)


@asynccontextmanager
async def open_asyncio_kernel(
    kind: type[AsyncioKernel] = AsyncioKernel, *, threads: int | None = None
) -> AsyncIterator[AsyncioKernel]:
    """A kernel of the running loop, whose tasks live as long as the body."""
    kernel = kind(asyncio.get_running_loop(), threads=threads)
    try:
        yield kernel
    finally:
        await kernel.close()


def _without_stop_iteration(function: Callable[[], T]) -> T:
    """Call a function; a future cannot carry the StopIteration that it may raise, and would wait for ever."""
    try:
        return function()
    except StopIteration as error:
        raise RuntimeError("the function raised StopIteration") from error
