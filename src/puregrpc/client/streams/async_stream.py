"""Streams of `AsyncClient`: events for handlers, or ``async for``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from puregrpc.channel.calls.call import ClientCall
from puregrpc.channel.calls.hedging import client_call
from puregrpc.client.calls.log import LOGGER
from puregrpc.client.calls.requests import Outcome, failed_outcome
from puregrpc.client.network.inbox import PATIENCE_SECONDS, Patience
from puregrpc.client.params.call import CallKeywords
from puregrpc.client.results.wording import CANCELED_HERE, as_k6_says
from puregrpc.client.streams.base import STALLED, StreamBase, connected, undecodable
from puregrpc.client.streams.client_state import AsyncState, StreamClient, state_of
from puregrpc.client.streams.events import now
from puregrpc.errors import DecodeError, InvalidArgument, LocalProtocolError, NotConnected, RpcError
from puregrpc.kernel.current import running_task
from puregrpc.kernel.events import Event
from puregrpc.wire.limits import SEND_BUFFER_SIZE
from puregrpc.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["AsyncStream"]


class AsyncStream(StreamBase):
    """A call with several messages on asyncio or trio: ``AsyncStream(client, "pkg.Service/Method")``; opened at once.

    With handlers (`on`), plain or async functions that run one after the other in a task of the client, or by
    iteration (``async for message in stream``), but not both. As an async context manager it is cancelled when left
    before its end. What a handler raises ends the stream, and is raised by the next call on it or when the client is
    closed.
    """

    def __init__(
        self,
        client: StreamClient[AsyncState[AsyncStream]],
        url: str = "",
        params: Mapping[str, Any] | None = None,
        **keywords: Unpack[CallKeywords],
    ) -> None:
        """See `Stream`."""
        self._state = state = state_of(client, AsyncState, "AsyncClient")
        connection = connected(state.connected)
        super().__init__(state.core, url, params, keywords)
        self._client = client  # which lives as long as its streams
        self._connection = connection
        self._kernel = kernel = state.kernel
        request = self._request
        details = connection.core.options.details(request.path, request.metadata, request.timeout)
        self._call: ClientCall[bytes, bytes] = client_call(connection.core, details)
        self._ended_here: Status | None = None
        self._opened = Event(kernel)
        """The call was opened, or could not be."""
        self._wanted = Event(kernel)
        """It is known who takes the messages: handlers, an iteration or, since the stream is over, nobody."""
        self._finished = Event(kernel)
        self._handling: object = None
        """The task in which a handler runs."""
        state.streams.add(self)
        self._task = kernel.spawn(self._run)
        self._is_begun()

    # -- for the program

    def on(self, event: str = "", handler: Callable[..., Any] | None = None) -> None:
        """Have ``handler``, a plain or an async function, called for an event; see `Stream.on`.

        Events are handled once the program waits for something. A handler that runs is not interrupted when the stream
        ends.
        """
        self.raise_failure()
        if self._register(event, handler):
            self._is_dispatching = True
            self._wanted.set()

    async def write(self, message: Any) -> None:
        """Send a message; waits while the server takes no more. See `Stream.write`."""
        self.raise_failure()
        await self._kernel.checkpoint()
        if self._connection.types is not None:
            await self._connection.learn(self._core.writing_of(self._method.path, message))
        data = self._encoded(message, is_over=self._result is not None)
        if data is None or not await self._is_open():
            return
        try:
            await self._call.send(data, wait=False)
            await self._wait_for_room()
        except (RpcError, LocalProtocolError):
            return  # the receiving side says how the call ended
        self._meter.sent()
        if self._sends_one:
            await self._half_close()

    async def _wait_for_room(self) -> None:
        """Wait while the server takes no more; a handler, as long as its patience lasts."""
        call = self._call
        if not self._is_in_handler:
            await call.wait_for_room()
            return
        patience = Patience(lambda: call.has_message)
        while call.unsent > SEND_BUFFER_SIZE and patience.lasts(call.unsent):
            await call.wait_for_room(self._kernel.now() + PATIENCE_SECONDS)
        if patience.is_at_its_end:
            self._end_with(STALLED)

    async def end(self) -> None:
        """Say that all messages are sent (half-close). Idempotent."""
        self.raise_failure()
        await self._kernel.checkpoint()
        self._is_ended = True
        await self._half_close()

    async def _half_close(self) -> None:
        if not self._is_half_closed:
            self._is_half_closed = True
            if await self._is_open():
                await self._call.half_close()

    def cancel(self) -> None:
        """End the stream from this side, at once. Idempotent."""
        self._end_with(CANCELED_HERE)

    async def wait(self) -> None:
        """Wait until the stream is over and its handlers have run. Raises what a handler raised."""
        self._check_that_it_ends(self._is_in_handler)
        await self._finished.wait()
        self.raise_failure()

    def __aiter__(self) -> AsyncStream:
        """The messages as they come. Raises RpcError at the end of a call that failed."""
        self.raise_failure()
        self._begin_iteration()
        self._wanted.set()
        return self

    async def __anext__(self) -> Any:
        has_message, message = await self._next()
        if has_message:
            return message
        failed = self._failed(self._result) if self._result is not None else None
        if failed is not None:
            try:
                raise failed
            finally:
                del failed  # no cycle through the traceback
        raise StopAsyncIteration

    @property
    def is_over(self) -> bool:
        """Whether the stream has ended and its end was handled, or iterated to."""
        return self._finished.is_set

    async def __aenter__(self) -> AsyncStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._result is None:
            self.cancel()

    # -- the client's

    def end_with(self, status: Status) -> None:
        """End the stream from this side. Its handlers hear of it, if the loop is let go on."""
        self._end_with(status)

    async def wait_until_handled(self, until: float) -> None:
        """Wait until its handlers have run; those that still do at ``until`` are interrupted."""
        if not await self._finished.wait(until):
            self._task.cancel()
            await self._finished.wait()

    def raise_failure(self) -> None:
        """Raise what a handler raised, if nobody has been told of it yet."""
        failure, self._failure = self._failure, None
        if failure is not None:
            if self._finished.is_set:
                self._state.streams.discard(self)
            try:
                raise failure
            finally:
                del failure  # no cycle through the traceback

    # -- the task

    async def _run(self) -> None:
        """Open the call; with handlers, take what comes, and tell them of the end."""
        try:
            await self._open()
            await self._wanted.wait()
            if self._is_dispatching:
                await self._take_all()
                await self._end_events()
        finally:
            self._opened.set()
            if not self._is_iterated:
                self._finish()

    async def _open(self) -> None:
        try:
            await self._call.__aenter__()
        except (RpcError, InvalidArgument, NotConnected) as error:
            self._settle(failed_outcome(error))
        if not self._call.was_opened:
            self._settle(Outcome(CANCELED_HERE))
        self._opened.set()

    async def _take_all(self) -> None:
        has_message, message = await self._next()
        while has_message:
            await self._handle("data", message)
            has_message, message = await self._next()

    async def _next(self) -> tuple[bool, Any]:
        """(True, message), or (False, None) when there are no more; ``_result`` is set then."""
        call = self._call
        if self._result is not None or not await self._is_open():
            return False, None
        try:
            data = call.next_taken() if call.has_taken else await call.receive()
            if data is None:
                self._settle(Outcome(call.status, None, await call.headers(), call.trailers))
                return False, None
            if self._connection.types is not None:
                await self._connection.learn(self._reading_of(data))
            message = self._decoded(data)
        except DecodeError as error:
            self._settle(Outcome(undecodable(error)))
            call.cancel()
        except RpcError as error:
            end = failed_outcome(error)
            await self._connection.learn(self._reading_of(end))
            self._settle(end)
        else:
            self._meter.received()
            return True, message
        return False, None

    def _settle(self, end: Outcome) -> None:
        """The call is over."""
        if self._result is not None:
            return
        if self._ended_here is not None:
            end = Outcome(self._ended_here)
        status = end.status
        self._result = result = end._replace(status=as_k6_says(status.code, status.message, status.details))
        self._ended(result)
        if self._is_iterated:
            self._finish()

    def _finish(self) -> None:
        """The stream is over, and nobody is to hear of it any more."""
        self._call.cancel()
        self._settle(Outcome(CANCELED_HERE))
        self._finished.set()
        if self._failure is None:
            self._state.streams.discard(self)

    async def _end_events(self) -> None:
        result, error = self._result, self.error
        if result is None:
            return
        if error is not None:
            await self._handle("error", error)
        await self._handle("status", self._final_status(result))
        await self._handle("end", {})

    async def _handle(self, event: str, value: Any) -> None:
        arguments = (value, now())
        for handler in self._handlers.of(event):
            self._handling = task = running_task()
            self._state.handling.add(task)
            try:
                await self._kernel.call(handler.function, *arguments[: handler.arguments])
            except BaseException as error:  # it is the program's: raised where the program sees it
                if self._kernel.interrupts(error):
                    raise
                self._handler_raised(error)
            finally:
                self._state.handling.discard(task)
                self._handling = None

    def _handler_raised(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
            self._end_with(Status(StatusCode.UNKNOWN, f"{type(error).__name__}: {error}"))
        else:
            LOGGER.error("another handler raised", exc_info=error, extra={"method": self._method.path})

    @property
    def _is_in_handler(self) -> bool:
        """Whether the caller is in a handler of this stream."""
        return self._handling is not None and self._handling is running_task()

    async def _is_open(self) -> bool:
        """Whether the call was opened, once that is known."""
        if not self._opened.is_set:
            await self._opened.wait()
        return self._call.was_opened

    def _end_with(self, status: Status) -> None:
        self._is_ended = self._is_half_closed = True
        if self._result is None and self._ended_here is None:
            self._ended_here = status
            self._call.cancel()
            self._wanted.set()
            if self._is_iterated:
                self._settle(Outcome(status))
