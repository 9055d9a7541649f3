"""The threads that plain handlers run on, and the ways between them and the loop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from contextvars import Context, copy_context
from functools import partial
from itertools import count
from typing import Any, Generic, ParamSpec, TypeVar

from puregrpc.errors import LocalProtocolError, NotConnected
from puregrpc.kernel import Kernel
from puregrpc.kernel.threads.executor import Executor, ExecutorPool
from puregrpc.kernel.threads.pool import ThreadPool
from puregrpc.kernel.threads.sleeping import wait_lock
from puregrpc.server.inflating import SMALL_COMPRESSED
from puregrpc.wire.compression import CompressedMessage
from puregrpc.wire.limits import MOST_INFLATING

__all__ = ["NoRoom", "Threads"]

logger = logging.getLogger("puregrpc.server")

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """Up to ``size`` threads, or those of an executor. Must be made in the thread of the loop, if there is one."""

    def __init__(self, kernel: Kernel, size: int, executor: Executor | None = None) -> None:
        self._kernel = kernel
        self._pool = ThreadPool(size, "puregrpc handler") if executor is None else ExecutorPool(executor)
        self._is_own = executor is None
        self._loop_thread = None if kernel.world == "threads" else threading.get_ident()
        self._context = copy_context()
        self._waiting: set[_Answer[Any]] = set()
        self._inflating = tuple(threading.Lock() for _ in range(MOST_INFLATING))
        self._places = count()
        self.is_closed = False
        """What is done here is abandoned."""
        self.submit = self._pool.submit
        self.withdraw = self._pool.withdraw
        self.is_waiting = self._pool.is_waiting

    def new_context(self) -> Context:
        """What the context variables of a call start with."""
        return self._context.copy()

    @property
    def is_in_loop(self) -> bool:
        """Whether this is the thread of the loop, which must not block."""
        return threading.get_ident() == self._loop_thread

    def inflate(
        self, message: CompressedMessage, is_full: Callable[[], bool], when_inflated: Callable[[bytes], bytes]
    ) -> bytes:
        """Inflate a message in the handler's thread, and give what ``when_inflated`` does of it, before it is the next
        one's turn. Raises what `CompressedMessage.inflate` does, and NoRoom if others have filled what may wait to be
        sent (``is_full``) while this thread waited for its turn."""
        is_small = len(message) < SMALL_COMPRESSED
        with nullcontext() if is_small else self._inflating[next(self._places) % MOST_INFLATING]:
            if is_full():
                raise NoRoom
            return when_inflated(message.inflate())

    # -- from the loop

    async def call(self, function: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
        """Call a function on a thread, in a copy of this context. When cancelled, this returns at once.

        The thread may be one more than the size: whoever calls may have one already.
        """
        errand = _Errand(self._kernel, partial(copy_context().run, partial(function, *arguments, **keywords)))
        self._pool.submit(errand, beyond_size=True)
        await errand.waiter.wait()
        return errand.outcome.get()

    def call_later(self, function: Callable[P, object], *arguments: P.args, **keywords: P.kwargs) -> None:
        """Call a function on a thread; nobody waits for it."""
        with suppress(NotConnected):
            self._pool.submit(_Errand(self._kernel, partial(function, *arguments, **keywords)), beyond_size=True)

    # -- from a thread

    def perform(self, function: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
        """Call a function in the thread of the loop, and wait for what it returns. From any thread."""
        if self.is_in_loop:
            return function(*arguments, **keywords)
        answer: _Answer[T] = _Answer()
        return self._wait(answer, answer.settle, partial(function, *arguments, **keywords))

    def wait_for(self, function: Callable[P, Awaitable[T]], *arguments: P.args, **keywords: P.kwargs) -> T:
        """Call an async function in the loop, and wait for what it returns. In a thread of these."""
        if self._loop_thread is None:
            raise LocalProtocolError("nothing can be awaited on a blocking server: what runs there must be plain")
        if self.is_in_loop:
            raise LocalProtocolError("this blocks, and would block the loop: it is for plain handlers, on threads")
        answer: _Answer[T] = _Answer()
        work = partial(function, *arguments, **keywords)
        return self._wait(answer, self._kernel.spawn, answer.settle_awaited, self._kernel, work)

    def _wait(self, answer: _Answer[T], function: Callable[..., object], *arguments: Any) -> T:
        self._waiting.add(answer)
        try:
            if self.is_closed:
                raise NotConnected("the server has stopped")
            self._kernel.call_soon(function, *arguments)
            return answer.get()
        finally:
            self._waiting.discard(answer)

    # -- the end

    async def close(self, timeout: float) -> None:
        """Take nothing more, let those that wait here go with an error, and wait so many seconds for the others: those
        of an executor are its owner's matter, and are not waited for."""
        kernel = self._kernel
        waiter = kernel.waiter()

        def when_ended() -> None:
            with suppress(NotConnected):  # nobody waits any more
                kernel.call_soon(kernel.locked, waiter.wake)

        self.is_closed = True
        self._pool.close(when_ended)
        for answer in list(self._waiting):
            answer.abandon()
        if self._is_own and not await waiter.wait(kernel.now() + timeout):
            logger.warning("%d threads go on with plain handlers, though their calls are over", self._pool.threads)


class NoRoom(Exception):  # noqa: N818 - nothing has gone wrong
    """More waits to be sent than may: the handler of what would be inflated is to begin later."""


class _Outcome(Generic[T]):
    """What a function returned or raised."""

    __slots__ = ("_error", "_value")

    _value: T

    def __init__(self) -> None:
        self._error: BaseException | None = None

    def settle(self, function: Callable[[], T]) -> None:
        """Call the function."""
        try:
            self._value = function()
        except BaseException as error:
            self._error = error

    async def settle_awaited(self, kernel: Kernel, function: Callable[[], Awaitable[T]]) -> None:
        """Call the async function, and await it."""
        try:
            self._value = await function()
        except BaseException as error:
            if kernel.interrupts(error):
                self._error = NotConnected("the server was stopped meanwhile")
                raise
            self._error = error

    def fail(self, error: BaseException) -> None:
        """Nothing will be returned."""
        self._error = error

    def get(self) -> T:
        """What it returned; raises what it raised."""
        error, self._error = self._error, None
        if error is None:
            return self._value
        try:
            raise error
        finally:
            del error  # no cycle through the traceback


class _Errand(Generic[T]):
    """A function that runs on a thread, for a coroutine that waits for it."""

    def __init__(self, kernel: Kernel, function: Callable[[], T]) -> None:
        self._kernel = kernel
        self._function = function
        self.outcome: _Outcome[T] = _Outcome()
        self.waiter = kernel.waiter()

    def run_in_thread(self) -> None:
        self.outcome.settle(self._function)
        with suppress(NotConnected):  # nobody waits any more
            self._kernel.call_soon(self.waiter.wake)

    def abandon(self) -> None:
        """It waits for nothing here."""


class _Answer(_Outcome[T]):
    """What a thread waits for. It comes once: later ones are nothing to anybody."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        super().__init__()
        self._lock = wait_lock()
        self._lock.acquire()

    def settle(self, function: Callable[[], T]) -> None:
        try:
            super().settle(function)
        finally:
            self._release()

    async def settle_awaited(self, kernel: Kernel, function: Callable[[], Awaitable[T]]) -> None:
        try:
            await super().settle_awaited(kernel, function)
        finally:
            self._release()

    def abandon(self) -> None:
        """It does not come any more."""
        self.fail(NotConnected("the server has stopped"))
        self._release()

    def get(self) -> T:
        self._lock.acquire()
        return super().get()

    def _release(self) -> None:
        with suppress(RuntimeError):  # it came already
            self._lock.release()
