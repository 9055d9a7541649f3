"""Unary calls that were begun, and that nobody need wait for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from puregrpc.channel.calls.outcome import CANCELLED_HERE, rpc_error
from puregrpc.channel.calls.unary import UnaryCall
from puregrpc.errors import Error, LocalProtocolError

if TYPE_CHECKING:
    from puregrpc.kernel import Kernel, Task

__all__ = ["LoopExchange", "StartedExchange"]

GoOn = Callable[[UnaryCall | None], Coroutine[Any, Any, UnaryCall]]
"""Makes the call, or goes on with it after an attempt that the server did not begin."""


class StartedExchange(ABC):
    """One request and its response as bytes, begun: see `start_exchange` of methods with one request and one response.

    On a connection that is ready it is the call on the wire, and nothing else: no task, no coroutine.
    """

    __slots__ = ("_call", "_ends", "_go_on", "_hooks", "_kernel")

    def __init__(self, kernel: Kernel, go_on: GoOn) -> None:
        self._kernel = kernel
        self._go_on = go_on
        self._call: UnaryCall | None = None
        """The one on the wire."""
        self._ends: list[UnaryCall | BaseException] = []
        """How it ended: the first counts, as it may be cancelled and end at the same time."""
        self._hooks: list[Callable[[], object]] = []

    def begin(self, call: UnaryCall, *request: Any) -> None:
        """Open ``call`` on its session, or go the long way if that takes no new calls (any more)."""
        call.waiter = self
        self._call = call
        session = call.session
        try:
            session.begin_exchange(call, *request)
        except Error as error:
            self._call = call.waiter = None
            if isinstance(error, LocalProtocolError) and session.is_going_away:  # since it was chosen
                self.begin_anew()
            else:
                self._end(error)

    def begin_anew(self) -> None:
        """Go the long way: wait for a connection, ask credentials, try again."""
        self._run(self._go_on(None))

    @abstractmethod
    def _run(self, coroutine: Coroutine[Any, Any, UnaryCall]) -> None:
        """Run what makes the call, and have it end as that does."""

    # -- its end

    @property
    def is_over(self) -> bool:
        """The call has ended, or cannot be made."""
        return bool(self._ends)

    def outcome(self) -> UnaryCall:
        """The call, over, whatever its status. Raises what kept it from being made, and LocalProtocolError before the
        end."""
        if not self._ends:
            raise LocalProtocolError("how a call ended is not known before its end")
        end = self._ends[0]
        try:
            if isinstance(end, BaseException):
                raise end
            return end
        finally:
            del self, end  # no cycle through the traceback

    def when_over(self, hook: Callable[[], object]) -> None:
        """Have ``hook`` called once, at the end, or at once if that has come.

        It is called in the connection's turn: it may take note and wake others, and must neither raise, wait nor use
        the channel.
        """
        self._hooks.append(hook)
        if self._ends:
            self._tell()

    def cancel(self) -> None:
        """End the call from this side. Idempotent."""
        if not self._ends:
            self._end(rpc_error(CANCELLED_HERE))
            self._stop()

    @abstractmethod
    def _stop(self) -> None:
        """End what goes on."""

    @staticmethod
    def _reset(call: UnaryCall) -> None:
        """End the call on the wire, which tells nobody then."""
        call.session.reset(call)
        call.waiter = None

    def wake(self) -> None:
        """See `Waiter.wake`: the call on the wire has ended."""
        call = self._call
        if call is None:
            return
        call.waiter = None
        if call.unprocessed and not self._ends:
            self._call = None
            self._run_soon(partial(self._go_on, call))
        else:
            self._end(call)

    @abstractmethod
    def _run_soon(self, make: Callable[[], Coroutine[Any, Any, UnaryCall]]) -> None:
        """As `_run`, with the mutex held."""

    def _end(self, end: UnaryCall | BaseException) -> None:
        self._ends.append(end)
        if self._hooks:
            self._tell()

    def _tell(self) -> None:
        hooks = self._hooks
        while hooks:
            try:
                hook = hooks.pop()
            except IndexError:
                return  # another thread has told the last one
            hook()


class LoopExchange(StartedExchange):
    """See `StartedExchange`; on asyncio and trio."""

    __slots__ = ("_task",)

    def __init__(self, kernel: Kernel, go_on: GoOn) -> None:
        super().__init__(kernel, go_on)
        self._task: Task | None = None

    def _run(self, coroutine: Coroutine[Any, Any, UnaryCall]) -> None:
        self._task = self._kernel.spawn(self._run_to_its_end, coroutine)

    def _run_soon(self, make: Callable[[], Coroutine[Any, Any, UnaryCall]]) -> None:
        self._run(make())

    async def _run_to_its_end(self, coroutine: Coroutine[Any, Any, UnaryCall]) -> None:
        try:
            end = await coroutine
        except BaseException as error:
            self._end(error)
            if self._kernel.interrupts(error):
                raise
        else:
            self._end(end)

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        elif self._call is not None:
            self._reset(self._call)
