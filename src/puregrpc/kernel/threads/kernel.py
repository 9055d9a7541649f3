"""The kernel of threads, and of gevent's greenlets where these stand in for threads."""

from __future__ import annotations

import os
import socket
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from math import inf
from types import CoroutineType
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar, cast

from puregrpc.errors import InvalidArgument, LocalProtocolError, NotConnected
from puregrpc.kernel.base import DEFAULT_THREADS, RESOLVER_THREADS, Kernel, call_logged
from puregrpc.kernel.network.addresses import TcpAddress, literal_addresses, look_up, no_address
from puregrpc.kernel.threads.daemons import before_threads_are_joined
from puregrpc.kernel.threads.mutex import Mutex
from puregrpc.kernel.threads.sleeping import is_cooperative
from puregrpc.kernel.threads.socket_waits import SocketWaits
from puregrpc.kernel.threads.tasks import ThreadCall, ThreadTask
from puregrpc.kernel.threads.timers import Timers
from puregrpc.kernel.threads.trampoline import (
    Interrupted,
    Parked,
    Request,
    Runner,
    Running,
    ThreadWaiter,
    ask,
    run_blocking,
)
from puregrpc.kernel.threads.workers import Lane, Work, WorkerThreads

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    Ts = TypeVarTuple("Ts")

__all__ = ["ThreadKernel", "is_cooperative"]

P = ParamSpec("P")
T = TypeVar("T")


class Attached(Protocol):
    """What runs on a kernel's threads, and hears of its end."""

    def abort(self, reason: str) -> None:
        """The kernel is closed: end at once."""

    def forked(self) -> None:
        """This is a child of `os.fork`: there is no thread of it any more, and what the parent has is the parent's."""


class ThreadKernel(Kernel):
    """Coroutines run where they are called (`run`), without a thread of their own (`start`), or on one (`spawn`).

    `in_thread` uses up to ``threads`` threads. What a coroutine waits for when its task is cancelled raises an
    exception that is no `Exception`.
    """

    world = "threads"

    def __init__(self, *, threads: int = DEFAULT_THREADS) -> None:
        self.mutex = Mutex()
        self.locked = self.mutex.locked  # type: ignore[method-assign]  # a call less
        self._threads = WorkerThreads(_end_with_interpreter)
        self._calls = Lane(self._threads, threads)
        self._resolvers = Lane(self._threads, RESOLVER_THREADS)
        self.timers = Timers(self._threads)
        self._sockets = SocketWaits(self._threads)
        self._tasks: set[ThreadTask] = set()
        self._parked: set[Parked[Any]] = set()
        self._attached: weakref.WeakSet[Attached] = weakref.WeakSet()
        self._is_closed = False
        _kernels.add(self)

    # -- running coroutines

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end in this thread, which waits when it does.

        What a signal handler raises meanwhile is raised where the coroutine waits, and comes out of it.
        """
        try:
            self.let_timers_go_on()
            return run_blocking(coroutine)
        finally:
            coroutine.close()  # where it was interrupted before it began, nobody need be warned

    def start(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine in this thread until it first waits, and then in the one that sees to the timers.

        Cancelling the future interrupts the coroutine. The future's callbacks run in that thread, and must not block,
        but by way of `run`. Raises LocalProtocolError if the kernel is closed.
        """
        if self._is_closed:
            coroutine.close()
            self._check_open()
        parked = Parked(self.timers, coroutine, self._parked)
        parked.start()
        return parked.future

    def let_timers_go_on(self) -> None:
        """To be called before this thread blocks: if it is the one that sees to the timers, another one goes on."""
        if self.timers.is_served_here():
            self.timers.hand_over()

    # -- time and waiting

    now = staticmethod(time.monotonic)
    waiter = ThreadWaiter

    async def checkpoint(self) -> None:
        await ask(_Checkpoint(self.timers))

    # -- the mutex

    def locked(self, function: Callable[[Unpack[Ts]], T], *arguments: Unpack[Ts]) -> T:
        return self.mutex.locked(function, *arguments)

    # -- tasks and code of the user's

    def spawn(
        self, function: Callable[P, Coroutine[Any, Any, None]], *arguments: P.args, **keywords: P.kwargs
    ) -> ThreadTask:
        self._check_open()
        task = ThreadTask(partial(function, *arguments, **keywords), self._tasks.discard, "puregrpc task")
        try:
            self._tasks.add(task)
            self._threads.submit(task)
        except BaseException:
            task.cancel()  # where this was interrupted, a thread may have it
            self._tasks.discard(task)
            raise
        return task

    async def call(self, function: Callable[P, Awaitable[T] | T], *arguments: P.args, **keywords: P.kwargs) -> T:
        result = function(*arguments, **keywords)
        if isinstance(result, CoroutineType) or hasattr(type(result), "__await__"):
            if isinstance(result, CoroutineType):
                result.close()
            name = getattr(function, "__qualname__", None) or repr(function)
            raise InvalidArgument(f"{name} gives an awaitable: for blocking callers and servers it is a plain function")
        return cast("T", result)

    async def in_thread(self, function: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
        work = ThreadCall(partial(function, *arguments, **keywords), "puregrpc call")
        self._calls.submit(work)
        await _ended(work, inf)
        return work.result()

    def wish(self, function: Callable[[], object]) -> None:
        """Have a function called soon, without the mutex, in the thread that sees to the timers.

        From any thread, from signal handlers and finalizers, with or without the mutex. What it raises is logged.
        After `close` nothing happens.
        """
        self.timers.wish(function)

    def call_soon(self, function: Callable[P, object], *arguments: P.args, **keywords: P.kwargs) -> None:
        if self._is_closed:
            raise NotConnected("the channel or the server is closed: nothing runs on its threads any more")
        self.timers.wish(partial(function, *arguments, **keywords))

    def interrupts(self, error: BaseException) -> bool:
        return isinstance(error, Interrupted) or super().interrupts(error)

    # -- its end

    def attach(self, attached: Attached) -> None:
        """Have something end with the kernel, and hear of `os.fork`."""
        self._check_open()
        self._attached.add(attached)

    def submit(self, function: Callable[[], object], name: str) -> None:
        """Have something of the library's done in a thread that `close` waits for, called ``name`` meanwhile."""
        self._threads.submit(Work(function, name))

    async def close(self) -> None:
        me = threading.get_ident()
        runners: list[Running] = [*self._tasks, *self._parked]
        self._end()
        for runner in runners:
            if runner.thread != me:
                await runner.join()
        self.timers.close()
        self._threads.end()
        self._threads.join()
        self.timers.finish()
        self._sockets.close()

    def _end(self) -> None:
        self._is_closed = True
        for attached in list(self._attached):
            attached.abort("the connection was closed by this side")
        me = threading.get_ident()
        runners: list[Running] = [*self._tasks, *self._parked]
        for runner in runners:
            if runner.thread != me:
                runner.cancel()

    def end_with_interpreter(self) -> None:
        """The interpreter is about to wait for the threads."""
        self._end()
        self.timers.close()
        self._threads.end()

    def forked(self) -> None:
        """This is a child of `os.fork`."""
        for forgetful in (self._threads, self._calls, self._resolvers, self.timers):
            forgetful.forget()
        self._sockets.forget_wakeups()
        self._tasks.clear()
        self._parked.clear()
        for attached in list(self._attached):
            call_logged(attached.forked)

    def _check_open(self) -> None:
        if self._is_closed:
            raise LocalProtocolError("the kernel is closed: nothing can be begun in it any more")

    # -- the network

    async def resolve(self, host: str, port: int, until: float, *, passive: bool = False) -> list[TcpAddress]:
        if (literals := literal_addresses(host, port, passive=passive)) is not None:
            return literals
        work = ThreadCall(partial(look_up, host, port, passive=passive), "puregrpc resolver")
        self._resolvers.submit(work)
        if not await _ended(work, until):
            raise no_address(host, None)
        return work.result()

    # Not coroutines themselves: one frame less for each wait.

    def wait_readable(self, sock: socket.socket, until: float = inf) -> Coroutine[Any, Any, bool]:
        return self._sockets.wait(sock, until, write=False)

    def wait_writable(self, sock: socket.socket, until: float = inf) -> Coroutine[Any, Any, bool]:
        return self._sockets.wait(sock, until, write=True)

    def forget_socket(self, sock: socket.socket) -> None:
        self._sockets.forget(sock)


async def _ended(work: ThreadCall[Any], until: float) -> bool:
    """Wait for the end of something in a thread, but not longer than ``until``: then it is abandoned."""
    is_over = False
    try:
        is_over = await work.ended.wait(until)
    finally:
        work.is_abandoned = not is_over
    return is_over


class _Checkpoint(Request):
    __slots__ = ("_timers",)

    def __init__(self, timers: Timers) -> None:
        self._timers = timers

    def block(self, runner: Runner | None) -> None:
        if runner is not None and runner.is_cancelled:
            raise Interrupted
        if is_cooperative():
            time.sleep(0)

    def park(self) -> ThreadWaiter:
        waiter = ThreadWaiter()
        self._timers.wish(waiter.wake)
        return waiter


_kernels: weakref.WeakSet[ThreadKernel] = weakref.WeakSet()
_ends_with_interpreter = False


def _end_with_interpreter() -> None:
    """Where threads cannot be daemons, the interpreter waits for them at its end: they are told before that."""
    global _ends_with_interpreter
    if not _ends_with_interpreter:
        before_threads_are_joined(_end_all)
        _ends_with_interpreter = True


def _end_all() -> None:
    for kernel in list(_kernels):
        kernel.end_with_interpreter()


def _all_forked() -> None:
    for kernel in list(_kernels):
        kernel.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_all_forked)
