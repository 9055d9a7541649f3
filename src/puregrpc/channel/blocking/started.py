"""Unary calls of a blocking channel that were begun, and that any thread may wait for."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from math import inf
from typing import Any, cast

from puregrpc.channel.calls.started import GoOn, StartedExchange
from puregrpc.channel.calls.unary import UnaryCall
from puregrpc.errors import LocalProtocolError
from puregrpc.kernel.base import call_logged
from puregrpc.kernel.threads.kernel import ThreadKernel
from puregrpc.kernel.threads.trampoline import ThreadWaiter
from puregrpc.transport.thread_session import ThreadSession

__all__ = ["BlockingExchange"]


class BlockingExchange(StartedExchange):
    """See `StartedExchange`; any thread may wait for it."""

    __slots__ = ("_future",)

    _kernel: ThreadKernel

    def __init__(self, kernel: ThreadKernel, go_on: GoOn) -> None:
        super().__init__(kernel, go_on)
        self._future: Future[UnaryCall] | None = None

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end; False if it has not come within ``timeout`` seconds."""
        if self._ends:
            return True
        self._kernel.let_timers_go_on()
        until = inf if timeout is None else time.monotonic() + timeout
        call = self._call
        if call is not None:
            cast("ThreadSession[Any]", call.session).read_for_begun(call, until)
            if self._ends:
                return True
        waiter = ThreadWaiter()
        waiter.until = until
        hook = waiter.wake
        self._hooks.append(hook)
        if not self._ends and not waiter.sleep():
            try:
                self._hooks.remove(hook)
            except ValueError:
                return True  # it has just been called
        return bool(self._ends)

    def when_over(self, hook: Callable[[], object]) -> None:
        """Have ``hook`` called once, at the end, or soon if that has come, on a thread of the channel's.

        Once the channel is closed it is called here. It must not block. What it raises is logged.
        """
        super().when_over(partial(self._call_soon, hook))

    def _call_soon(self, hook: Callable[[], object]) -> None:
        if not self._kernel.timers.wish(hook):
            call_logged(hook)

    def as_future(self) -> Future[UnaryCall]:
        """A future of the call. Cancelling it cancels the call; its callbacks run on a thread of the channel's."""
        future: Future[UnaryCall] = Future()

        def settle() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(self.outcome())
                except BaseException as error:
                    future.set_exception(error)

        def done(future: Future[UnaryCall]) -> None:
            if future.cancelled():
                self.cancel()

        self.when_over(settle)
        future.add_done_callback(done)
        return future

    def _run(self, coroutine: Coroutine[Any, Any, UnaryCall]) -> None:
        self._future = future = self._kernel.start(coroutine)
        future.add_done_callback(self._ended)
        if self._ends:  # it was cancelled meanwhile
            future.cancel()

    def _run_soon(self, make: Callable[[], Coroutine[Any, Any, UnaryCall]]) -> None:
        self._kernel.wish(partial(self._run_or_end, make))

    def _run_or_end(self, make: Callable[[], Coroutine[Any, Any, UnaryCall]]) -> None:
        try:
            self._run(make())
        except LocalProtocolError as error:  # the channel was closed meanwhile
            self._end(error)

    def _ended(self, future: Future[UnaryCall]) -> None:
        try:
            end = future.result()
        except BaseException as error:
            self._end(error)
        else:
            self._end(end)

    def _stop(self) -> None:
        if self._future is not None:
            self._future.cancel()
        elif self._call is not None:
            # Perhaps it is a finalizer that cancels it, in the middle of whatever this thread does.
            self._kernel.wish(partial(self._reset, self._call))
