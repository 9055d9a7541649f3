"""The kernel: what the coroutines of channel, server and sessions ask of the world that they run in.

Rules that hold in all worlds.

1. A channel and its sessions have one mutex, and so has each session of a server. `Kernel.locked` calls a function
   with it held; nothing awaits, blocks or calls code of the user's while it is held. On an event loop there is no
   mutex: nobody comes in between anyway. It is not reentrant: taking it again in the same thread, as a signal handler
   or a finalizer that interrupted its holder would, raises LocalProtocolError.
2. Every callback of a wire connection comes with the mutex held.
3. A waiter is made and woken with the mutex held, and waited for outside of it.
4. Points in time are arguments, in seconds on the clock of `Kernel.now`; ``inf`` is never.
5. Whoever waits may be interrupted: by trio.Cancelled, asyncio.CancelledError, KeyboardInterrupt. It goes through.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager
from functools import partial
from math import inf
from types import CoroutineType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, ParamSpec, Protocol, TypeVar, cast

from puregrpc.errors import NotConnected

if TYPE_CHECKING:
    import signal
    import socket

    from typing_extensions import TypeVarTuple, Unpack

    from puregrpc.kernel.network.addresses import TcpAddress

    Ts = TypeVarTuple("Ts")

__all__ = [
    "DEFAULT_THREADS",
    "RESOLVER_THREADS",
    "Kernel",
    "Task",
    "Waiter",
    "Waiters",
    "World",
    "call_logged",
    "run_logged",
]

logger = logging.getLogger("puregrpc.kernel")

DEFAULT_THREADS = 40
"""How many threads `Kernel.in_thread` uses at the most, unless the kernel is told otherwise."""

RESOLVER_THREADS = 8
"""How many host names are looked up at once. One that nobody waits for any more counts until its thread is done."""

World = Literal["trio", "asyncio", "threads"]

T = TypeVar("T")
P = ParamSpec("P")


class Waiter(Protocol):
    """Lets one coroutine wait for one thing to happen."""

    def wake(self) -> None:
        """It has happened. With the mutex held. Idempotent; it may come before `wait` is called."""

    async def wait(self, until: float = inf) -> bool:
        """Wait until woken; False if that did not happen by ``until``. Outside the mutex, once."""


class Task(Protocol):
    """A coroutine that runs beside the one that started it."""

    def cancel(self) -> None:
        """Have it end soon: what it waits for is interrupted. Idempotent; from any thread, whoever holds the mutex."""

    async def join(self) -> None:
        """Wait until it has ended."""


def call_logged(function: Callable[[], object]) -> None:
    """Call what nobody waits for; what it raises goes to the log."""
    try:
        function()
    except Exception:
        logger.exception("a callback raised an exception that nobody waits for")


async def run_logged(function: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine that nobody waits for; what it raises goes to the log."""
    try:
        running = function()
        del function  # it may have the task, which is to have the traceback
        await running
    except Exception:
        logger.exception("a task ended with an exception that nobody waits for")


MOST_WOKEN = 32
"""How many of those that wait for one change go on in one turn of a loop: each may work for 0.1 ms."""


class Waiters:
    """Wakes all that wait for a change of what the mutex guards. Its methods are called with the mutex held."""

    __slots__ = ("_due", "_make", "_waiting")

    def __init__(self, make: Callable[[], Waiter]) -> None:
        self._make = make
        self._waiting: dict[Waiter, None] = {}
        self._due: deque[Waiter] | None = None
        """Those that `wake_in_turns` has not woken yet."""

    def waiter(self) -> Waiter:
        """What the next `wake_all` wakes."""
        waiter = self._make()
        self._waiting[waiter] = None
        return waiter

    def forget(self, waiter: Waiter) -> None:
        """Who waited has given up. Without this, one that is never woken is kept."""
        self._waiting.pop(waiter, None)

    def wake_all(self) -> None:
        """The change has happened."""
        due, self._due = self._due, None
        for waiter in due or ():
            waiter.wake()
        if self._waiting:
            waiting, self._waiting = self._waiting, {}
            for waiter in waiting:
                waiter.wake()

    def wake_in_turns(self, kernel: Kernel) -> None:
        """As `wake_all`; but where there is a loop, some in each turn of it: a thousand that begin to do something at
        once would keep everything else waiting. In the loop's thread; on threads, all at once."""
        if kernel.world == "threads" or (self._due is None and len(self._waiting) <= MOST_WOKEN):
            self.wake_all()
            return
        waiting, self._waiting = self._waiting, {}
        if self._due is not None:
            self._due.extend(waiting)
        else:
            self._due = deque(waiting)
            self._wake_some(kernel)

    def _wake_some(self, kernel: Kernel) -> None:
        due = self._due
        if due is None:
            return
        for _ in range(min(len(due), MOST_WOKEN)):
            due.popleft().wake()
        if not due:
            self._due = None
        else:
            try:
                kernel.call_soon(self._wake_some, kernel)
            except NotConnected:  # the loop ends
                self.wake_all()


class Kernel(ABC):
    """One world, for one owner: a channel or a server. It ends with `close`."""

    world: ClassVar[World]

    # -- time and waiting

    @abstractmethod
    def now(self) -> float:
        """The time, in seconds of a monotonic clock."""

    @abstractmethod
    def waiter(self) -> Waiter:
        """A new waiter."""

    @abstractmethod
    async def checkpoint(self) -> None:
        """Let others run, and be interrupted if that is due."""

    async def sleep(self, until: float) -> None:
        """Wait until a point in time."""
        await self.waiter().wait(until)

    async def wait_through(self, waiter: Waiter, until: float) -> None:
        """Wait for a waiter, no longer than ``until``, though a time-out around it may have passed already, where those
        raise again and again."""
        await waiter.wait(until)

    # -- the mutex

    @abstractmethod
    def locked(self, function: Callable[[Unpack[Ts]], T], *arguments: Unpack[Ts]) -> T:
        """Call a function with the mutex held. Raises LocalProtocolError if this thread holds it already."""

    # -- tasks and code of the user's

    @abstractmethod
    def spawn(self, function: Callable[P, Coroutine[Any, Any, None]], *arguments: P.args, **keywords: P.kwargs) -> Task:
        """Start a coroutine beside this one. It belongs to the kernel and must not raise: what it raises is logged.

        May be called with the mutex held.
        """

    async def call(self, function: Callable[P, Awaitable[T] | T], *arguments: P.args, **keywords: P.kwargs) -> T:
        """Call code of the user's, and await what it returns where that is to be awaited.

        On threads it may block, and must not return an awaitable: InvalidArgument.
        """
        result = function(*arguments, **keywords)
        if isinstance(result, CoroutineType) or hasattr(type(result), "__await__"):
            return await cast("Awaitable[T]", result)
        return cast("T", result)

    @abstractmethod
    async def in_thread(self, function: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
        """Call what may block, without blocking the loop: in a thread of the kernel's pool, in a copy of the context.

        When this is cancelled, it returns at once; the thread goes on, and its result is thrown away.
        """

    @abstractmethod
    def call_soon(self, function: Callable[P, object], *arguments: P.args, **keywords: P.kwargs) -> None:
        """Have a function called soon, in the order of the calls: in the thread of the loop; on threads, in the one
        that sees to the kernel's timers.

        From any thread, from signal handlers and from finalizers, with or without the mutex; the function is called
        without it. It must not raise: what it raises is logged. Raises NotConnected once the kernel's world is over.
        """

    def on_signals(
        self, signals: Sequence[signal.Signals], function: Callable[[], object]
    ) -> AbstractContextManager[None]:
        """Have a function called soon when one of the signals comes, as long as the body runs.

        Raises LocalProtocolError outside of the main thread.
        """
        from puregrpc.kernel.signals import handling_signals  # seldom needed

        return handling_signals(signals, partial(self.call_soon, function))

    def interrupts(self, error: BaseException) -> bool:
        """Whether an exception is meant for those around, and no fault of the code that it came through:
        KeyboardInterrupt, SystemExit, a cancellation that is under way. To be asked where it was caught.
        """
        return isinstance(error, KeyboardInterrupt | SystemExit)

    @abstractmethod
    async def close(self) -> None:
        """End the tasks and threads that are left, and wait for them."""

    # -- the network

    @abstractmethod
    async def resolve(self, host: str, port: int, until: float, *, passive: bool = False) -> list[TcpAddress]:
        """The addresses of a host name or IP literal, in the resolver's order (RFC 6724), without repetition.

        ``passive``: those to listen on; an empty host means all interfaces. Raises ConnectError with the resolver's
        words if there are none, or if it has not answered by ``until``.
        """

    @abstractmethod
    async def wait_readable(self, sock: socket.socket, until: float = inf) -> bool:
        """Wait until a non-blocking socket can be read or accepted from; False if it cannot by ``until``."""

    @abstractmethod
    async def wait_writable(self, sock: socket.socket, until: float = inf) -> bool:
        """Wait until a non-blocking socket can be written or has been connected; False if not by ``until``."""

    def forget_socket(self, sock: socket.socket) -> None:  # noqa: B027 - not all worlds keep anything
        """The socket is about to be closed: who waits for it is woken."""
