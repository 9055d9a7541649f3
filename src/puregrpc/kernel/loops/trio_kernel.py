"""The kernel of trio."""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import trio
from trio.lowlevel import Abort, RaiseCancelT, current_task, reschedule, wait_task_rescheduled

from puregrpc.errors import ConnectError, NotConnected
from puregrpc.kernel.base import DEFAULT_THREADS, RESOLVER_THREADS, Kernel, Waiter, call_logged, run_logged
from puregrpc.kernel.network.addresses import TcpAddress, literal_addresses, look_up

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    Ts = TypeVarTuple("Ts")

__all__ = ["TrioKernel", "open_trio_kernel"]

P = ParamSpec("P")
T = TypeVar("T")


class TrioWaiter:
    """A `Waiter` of trio. With a ``task``, that one waits by itself, with `abort`: a frame less than in `wait`."""

    __slots__ = ("_is_woken", "_task")

    def __init__(self, task: trio.lowlevel.Task | None = None) -> None:
        self._task = task
        self._is_woken = False

    def wake(self) -> None:
        self._is_woken = True
        task = self._task
        if task is not None:
            self._task = None
            reschedule(task)

    async def wait(self, until: float = inf) -> bool:
        if self._is_woken:
            return True
        if until == inf:
            self._task = current_task()
            await wait_task_rescheduled(self.abort)
        else:
            with trio.CancelScope(deadline=until):
                self._task = current_task()
                await wait_task_rescheduled(self.abort)
        return self._is_woken

    def abort(self, _raise_cancel: RaiseCancelT) -> Abort:
        """The wait was cancelled."""
        self._task = None
        return Abort.SUCCEEDED


class TrioTask:
    """A `Task` of trio: a coroutine in a cancel scope of its own."""

    __slots__ = ("_ended", "_is_over", "_scope", "_token")

    def __init__(self, token: trio.lowlevel.TrioToken) -> None:
        self._scope = trio.CancelScope()
        self._token = token
        self._ended: trio.Event | None = None
        """For whoever waits for the end."""
        self._is_over = False

    def cancel(self) -> None:
        try:
            is_here = trio.lowlevel.current_trio_token() is self._token
        except RuntimeError:  # a finalizer may run in any thread
            is_here = False
        if is_here:
            self._scope.cancel()
        else:
            try:
                self._token.run_sync_soon(self._scope.cancel)
            except trio.RunFinishedError:
                return

    async def join(self) -> None:
        if self._is_over:
            await trio.lowlevel.checkpoint()
        else:
            self._ended = self._ended or trio.Event()
            await self._ended.wait()

    async def run(self, function: Callable[[], Coroutine[Any, Any, None]], tasks: set[TrioTask]) -> None:
        """``tasks`` are those that have not ended, from which it is taken."""
        try:
            with self._scope:
                await run_logged(function)
        finally:
            self._is_over = True
            if self._ended is not None:
                self._ended.set()
            tasks.discard(self)


class TrioKernel(Kernel):
    """The tasks run in ``nursery``, which must outlive the kernel. `in_thread` uses up to ``threads`` threads."""

    world = "trio"

    def __init__(self, nursery: trio.Nursery, *, threads: int = DEFAULT_THREADS) -> None:
        self._nursery = nursery
        self.now = trio.lowlevel.current_clock().current_time  # for other threads too
        self._token = trio.lowlevel.current_trio_token()
        self._tasks: set[TrioTask] = set()
        self._threads = trio.CapacityLimiter(threads)
        self._resolvers = trio.CapacityLimiter(RESOLVER_THREADS)

    # -- time and waiting

    now = staticmethod(trio.current_time)
    waiter = TrioWaiter
    checkpoint = staticmethod(trio.lowlevel.checkpoint)

    async def sleep(self, until: float) -> None:
        await trio.sleep_until(until)

    async def wait_through(self, waiter: Waiter, until: float) -> None:
        with trio.CancelScope(shield=True):
            await waiter.wait(until)

    # -- the mutex

    def locked(self, function: Callable[[Unpack[Ts]], T], *arguments: Unpack[Ts]) -> T:
        return function(*arguments)

    # -- tasks and code of the user's

    def spawn(
        self, function: Callable[P, Coroutine[Any, Any, None]], *arguments: P.args, **keywords: P.kwargs
    ) -> TrioTask:
        task = TrioTask(self._token)
        called = partial(function, *arguments, **keywords) if arguments or keywords else function
        self._nursery.start_soon(task.run, called, self._tasks, name=function)
        self._tasks.add(task)
        return task

    async def in_thread(self, function: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
        return await trio.to_thread.run_sync(
            partial(function, *arguments, **keywords), abandon_on_cancel=True, limiter=self._threads
        )

    def call_soon(self, function: Callable[P, object], *arguments: P.args, **keywords: P.kwargs) -> None:
        try:
            self._token.run_sync_soon(call_logged, partial(function, *arguments, **keywords))
        except trio.RunFinishedError:
            raise NotConnected("the trio loop of this kernel has ended") from None

    def interrupts(self, error: BaseException) -> bool:
        if isinstance(error, trio.Cancelled):  # one that was kept from another time is a fault
            return trio.current_effective_deadline() == -inf
        return super().interrupts(error)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in list(self._tasks):
            await task.join()

    # -- the network

    async def resolve(self, host: str, port: int, until: float, *, passive: bool = False) -> list[TcpAddress]:
        if (literals := literal_addresses(host, port, passive=passive)) is not None:
            return literals
        with trio.CancelScope(deadline=until):
            return await trio.to_thread.run_sync(
                partial(look_up, host, port, passive=passive), abandon_on_cancel=True, limiter=self._resolvers
            )
        raise ConnectError(f"no address was found for the host {host!r} in time")

    # No coroutines themselves: one frame less for each wait.

    def wait_readable(self, sock: socket.socket, until: float = inf) -> Coroutine[Any, Any, bool]:
        return _wait(trio.lowlevel.wait_readable, sock, until)

    def wait_writable(self, sock: socket.socket, until: float = inf) -> Coroutine[Any, Any, bool]:
        return _wait(trio.lowlevel.wait_writable, sock, until)

    def forget_socket(self, sock: socket.socket) -> None:
        trio.lowlevel.notify_closing(sock)


@asynccontextmanager
async def open_trio_kernel(*, threads: int | None = None) -> AsyncIterator[TrioKernel]:
    """A kernel whose tasks live as long as the body. What the body raises leaves as itself, not in a group; so does
    what ends the program, if a task raises it."""
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            kernel = TrioKernel(nursery, threads=DEFAULT_THREADS if threads is None else threads)
            try:
                yield kernel
            except BaseException as error:  # raised again below, where the nursery does not wrap it
                failure = error
            try:
                await kernel.close()
            except trio.Cancelled as error:
                failure = failure or error
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:  # a task ended the program, and the body was cancelled
        failure = group
        while isinstance(failure, BaseExceptionGroup) and len(failure.exceptions) == 1:
            failure = failure.exceptions[0]
    if failure is not None:
        raise failure


async def _wait(wait: Callable[[socket.socket], Awaitable[None]], sock: socket.socket, until: float) -> bool:
    if sock.fileno() < 0:
        await trio.lowlevel.checkpoint()
        return True
    try:
        if until == inf:
            await wait(sock)
            return True
        with trio.CancelScope(deadline=until):
            await wait(sock)
            return True
    except trio.ClosedResourceError:
        return True  # whoever uses the socket next is told
    return False
