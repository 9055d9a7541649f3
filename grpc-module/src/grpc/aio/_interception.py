"""How the coroutine of a call's interceptors runs: without a task where somebody waits for the call at once."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Generator
from typing import Any

__all__ = ["Interception"]


class Interception:
    """A coroutine in a context of its own, which the first who awaits it drives; a task, if nobody has by the loop's
    next turn.

    What is seen from the coroutine is a task either way: who drives it is one, from the first step to the last.
    Cancelling this, or whoever awaits it, cancels the coroutine. ``over`` is called, once, when it has ended.
    """

    __slots__ = (
        "_context", "_coroutine", "_future", "_handle", "_is_driven", "_is_to_be_cancelled", "_loop", "_outcome",
        "_over", "_task", "_waited",
    )  # fmt: skip

    def __init__(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], over: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._coroutine = coroutine
        self._over = over
        self._context = contextvars.copy_context()
        self._task: asyncio.Task[Any] | None = None
        self._outcome: tuple[Any, BaseException | None] | None = None
        """What the coroutine gave, or raised, at its end."""
        self._future: asyncio.Future[None] | None = None
        """Done at the end: for those who wait for what another drives."""
        self._is_driven = False
        self._waited: Any = None
        """The future that the coroutine waits for, while somebody drives it."""
        self._is_to_be_cancelled = False
        self._handle = loop.call_soon(self._start)

    def _start(self) -> None:
        """Nobody has awaited it yet."""
        self._is_driven = True
        self._task = self._context.run(self._loop.create_task, self._in_task())
        self._task.add_done_callback(self._task_ended)

    async def _in_task(self) -> None:
        await _Drive(self)

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        if self._outcome is None:  # it was cancelled before its first step
            self._coroutine.close()
            self._end(None, asyncio.CancelledError())
        if not task.cancelled():
            task.exception()  # those who await the call get it

    def done(self) -> bool:
        """It has ended."""
        return self._outcome is not None

    def result(self) -> Any:
        """What it gave; raises what it raised, and InvalidStateError before its end."""
        if self._outcome is None:
            raise asyncio.InvalidStateError("the interceptors have not ended")
        value, error = self._outcome
        if error is not None:
            raise error
        return value

    def cancel(self) -> bool:
        """Cancel the coroutine. False if it has ended."""
        if self._outcome is not None:
            return False
        if not self._is_driven:
            self._is_driven = True
            self._handle.cancel()
            self._coroutine.close()
            self._end(None, asyncio.CancelledError())
        elif self._waited is None or not self._waited.cancel():
            self._is_to_be_cancelled = True
        return True

    def __await__(self) -> Generator[Any, Any, Any]:
        if not self._is_driven:
            self._is_driven = True
            self._handle.cancel()
            return (yield from self.drive())
        if self._outcome is None:
            if self._future is None:
                self._future = self._loop.create_future()
            try:
                yield from asyncio.shield(self._future)
            except asyncio.CancelledError:
                self.cancel()
                raise
        return self.result()

    def drive(self) -> Generator[Any, Any, Any]:
        """Run the coroutine to its end, in the task of whoever iterates."""
        coroutine, run = self._coroutine, self._context.run
        error: BaseException | None = None
        try:
            while True:
                if self._is_to_be_cancelled:
                    self._is_to_be_cancelled = False
                    error = asyncio.CancelledError()
                waited = run(coroutine.send, None) if error is None else run(coroutine.throw, error)
                error = None
                self._waited = waited
                try:
                    yield waited
                except BaseException as raised:
                    error = raised
                self._waited = None
        except StopIteration as ended:
            self._end(ended.value, None)
            return ended.value
        except BaseException as raised:
            self._end(None, raised)
            raise
        finally:
            del error

    def _end(self, value: Any, error: BaseException | None) -> None:
        self._outcome = value, asyncio.CancelledError() if isinstance(error, GeneratorExit) else error
        if self._future is not None:
            self._future.set_result(None)
        over, self._over = self._over, _nothing  # the call, whose this is, must not need the garbage collector
        over()


class _Drive:
    """What a task awaits to drive an interception."""

    __slots__ = ("_interception",)

    def __init__(self, interception: Interception) -> None:
        self._interception = interception

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._interception.drive()


def _nothing() -> None: ...
