"""Calls on asyncio: each is there at once, and a task of its own makes it."""

from __future__ import annotations

import asyncio
import enum
import inspect
import logging
from abc import abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any

from grpc import _common
from grpc._aio_errors import EOF, UsageError
from grpc._calls import deserialized, ended_by, state_of_exchange
from grpc._codes import StatusCode
from grpc._common import checked
from grpc._credentials import PluginError
from grpc._errors import RpcError
from grpc._metadata import shown
from grpc._state import CANCELLED_HERE, IN_PROGRESS, _RPCState, debug_string, described, state_of
from grpc.aio import _base_call
from grpc.aio._metadata import Metadata
from puregrpc import errors

if TYPE_CHECKING:
    from puregrpc.channel import StartedExchange

__all__ = ["AioRpcError", "Call", "StreamStreamCall", "StreamUnaryCall", "UnaryStreamCall", "UnaryUnaryCall"]

logger = logging.getLogger("grpc.aio._call")

FAILED = object()
"""What a deserializer that raises is taken to have given: one that gives None has not failed, unlike on threads."""

ALREADY_OVER = "RPC already finished."
HALF_CLOSED = 'RPC is half closed after calling "done_writing".'
STYLES_MIXED = "The iterator and read/write APIs may not be mixed on a single RPC."


class AioRpcError(RpcError):
    """A call did not end well."""

    def __init__(
        self,
        code: StatusCode,
        initial_metadata: Any = None,
        trailing_metadata: Any = None,
        details: str | None = None,
        debug_error_string: str | None = None,
    ) -> None:
        super().__init__()
        self._code = code
        self._details = details
        self._initial_metadata = initial_metadata
        self._trailing_metadata = trailing_metadata
        self._debug_error_string = debug_error_string

    def code(self) -> StatusCode:
        """The code of the status."""
        return self._code

    def details(self) -> str | None:
        """The message of the status."""
        return self._details

    def initial_metadata(self) -> Any:
        """What came before the responses."""
        return self._initial_metadata

    def trailing_metadata(self) -> Any:
        """What came with the status."""
        return self._trailing_metadata

    def debug_error_string(self) -> str | None:
        """The status in grpcio's form for people."""
        return self._debug_error_string

    def _repr(self) -> str:
        return (
            f"<{type(self).__name__} of RPC that terminated with:\n\tstatus = {self._code}\n"
            f'\tdetails = "{self._details}"\n\tdebug_error_string = "{self._debug_error_string}"\n>'
        )

    def __repr__(self) -> str:
        return self._repr()

    def __str__(self) -> str:
        return self._repr()

    def __reduce__(self) -> Any:
        values = self._code, self._initial_metadata, self._trailing_metadata, self._details, self._debug_error_string
        return type(self), values


def encoded(request: Any, serialize: Callable[[Any], bytes] | None) -> bytes:
    """The bytes of a request; nothing, as with grpcio, for None. Raises TypeError for what is no bytes."""
    data = request if serialize is None else serialize(request)
    return b"" if data is None else checked(data)


class _APIStyle(enum.IntEnum):
    UNKNOWN = 0
    ASYNC_GENERATOR = 1
    READER_WRITER = 2


class Call(_base_call.Call):
    """What the kinds of calls have in common."""

    _state = IN_PROGRESS
    _was_cancelled = False

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout: float | None) -> None:
        self._loop = loop
        self._deadline = None if timeout is None else loop.time() + timeout
        self._waiting: list[asyncio.Future[None]] = []
        """Those of whoever waits for the end."""
        self._callbacks: list[Callable[[Any], Any]] = []

    def __del__(self) -> None:
        if hasattr(self, "_callbacks") and self._state.code is None and not self._loop.is_closed():
            self._cancel("Cancelled upon garbage collection!")

    # -- its end

    def _look(self) -> None:
        """Notice the end, if it has come."""

    def _settle(self, ended: _RPCState, *, cancelled: bool = False) -> bool:
        """It is over. False if it was before."""
        if self._state.code is not None:
            return False
        self._state = ended.completed(self._state)
        self._was_cancelled = cancelled
        if self._waiting:
            self._wake()
        if not self._callbacks:
            return True
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            try:
                callback(self)
            except Exception as error:
                told = {"message": f"Exception in callback {callback!r}", "exception": error}
                self._loop.call_exception_handler(told)
        return True

    def _fail(self, code: StatusCode, details: str, *, cancelled: bool = False) -> bool:
        """End it from this side."""
        if self._state.code is not None:
            return False
        is_first = self._settle(
            _RPCState((), None, (), code, details, debug_string(code, details)), cancelled=cancelled
        )
        if is_first:
            self._stop()
        return is_first

    def _wake(self) -> bool:
        """Have those who wait look. False if nobody does."""
        waiting, self._waiting = self._waiting, []
        is_awaited = False
        for future in waiting:
            if not future.done():
                future.set_result(None)
                is_awaited = True
        return is_awaited

    @abstractmethod
    def _stop(self) -> None:
        """End it on the wire."""

    def _cancel(self, details: str) -> bool:
        return self._fail(StatusCode.CANCELLED, details, cancelled=True)

    def _end(self) -> asyncio.Future[None]:
        """To be awaited, and then looked again."""
        future = self._loop.create_future()
        self._waiting.append(future)
        return future

    async def _ended(self) -> _RPCState:
        while not self.done():
            try:
                await self._end()
            except asyncio.CancelledError:
                self._look()  # the end may have woken this alone
                raise
        return self._state

    async def _raise_for_status(self) -> None:
        state = await self._ended()
        self._raise(state)

    def _raise(self, state: _RPCState) -> None:
        if self._was_cancelled:
            raise asyncio.CancelledError
        if state.code is not StatusCode.OK:
            raise self._error(state)

    def _error(self, state: _RPCState) -> AioRpcError:
        assert state.code is not None
        headers, trailers = Metadata._create(state.initial_metadata), Metadata._create(state.trailing_metadata)
        return AioRpcError(state.code, headers, trailers, state.details, state.debug_error_string)

    # -- grpc.aio.RpcContext

    def cancel(self) -> bool:
        self._look()
        return self._cancel(CANCELLED_HERE)

    def cancelled(self) -> bool:
        self._look()
        return self._was_cancelled or self._state.code is StatusCode.CANCELLED

    def done(self) -> bool:
        self._look()
        return self._state.code is not None

    def time_remaining(self) -> float | None:
        return None if self._deadline is None else max(0, self._deadline - self._loop.time())

    def add_done_callback(self, callback: Callable[[Any], Any]) -> None:
        if self.done():
            callback(self)
        else:
            self._callbacks.append(callback)

    # -- grpc.aio.Call

    async def initial_metadata(self) -> Metadata:
        if self._state.initial_metadata is None:
            await self._headers()
        return Metadata._create(self._state.initial_metadata)

    async def _headers(self) -> None:
        await self._ended()

    async def trailing_metadata(self) -> Metadata:
        return Metadata._create((await self._ended()).trailing_metadata)

    async def code(self) -> StatusCode | None:
        return (await self._ended()).code

    async def details(self) -> str | None:
        return (await self._ended()).details

    async def debug_error_string(self) -> str | None:
        """Wait for the status in grpcio's form for people."""
        return (await self._ended()).debug_error_string

    async def wait_for_connection(self) -> None:
        await self._raise_for_status()

    def _repr(self) -> str:
        if not self.done():
            return f"<{type(self).__name__} object>"
        return described(self, self._state)

    def __repr__(self) -> str:
        return self._repr()

    def __str__(self) -> str:
        return self._repr()


class _UnaryResponse(Call):
    """What is awaited for its one response."""

    def __await__(self) -> Generator[Any, None, Any]:
        self._look()
        while self._state.code is None:
            try:
                yield from self._end()
            except asyncio.CancelledError:
                self.cancel()
                raise
            self._look()
        self._raise(self._state)
        return self._state.response


class UnaryUnaryCall(_UnaryResponse, _base_call.UnaryUnaryCall[Any, Any]):
    """One request and one response. It is in ``kept``, the channel's calls, until its end."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        timeout: float | None,
        start: Callable[[], StartedExchange],
        kept: set[UnaryUnaryCall],
        deserialize: Callable[[bytes], Any] | None,
    ) -> None:
        super().__init__(loop, timeout)
        self._deserialize = deserialize
        self._kept = kept
        self._started: StartedExchange | None = None
        kept.add(self)
        try:
            self._started = started = start()
        except errors.Error as error:
            kept.discard(self)
            self._settle(ended_by(error))
        else:
            started.when_over(self._note_end)

    def _note_end(self) -> None:
        self._kept.discard(self)
        if not self._wake() and self._callbacks:
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        started = self._started
        if self._state.code is not None or started is None or not started.is_over:
            return
        try:
            ended = state_of_exchange(started.outcome())
        except (errors.Error, PluginError) as error:
            ended = ended_by(error)
        except asyncio.CancelledError:
            self._cancel(CANCELLED_HERE)
            return
        if ended.code is StatusCode.OK and self._deserialize is not None:
            ended = deserialized(ended, self._deserialize, FAILED)
        self._settle(ended)

    def _stop(self) -> None:
        if self._started is not None:
            self._started.cancel()


class _Stream(Call):
    """What is opened, and then goes on."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        timeout: float | None,
        opening: Callable[[], Any],
        serialize: Callable[[Any], bytes] | None,
        deserialize: Callable[[bytes], Any] | None,
    ) -> None:
        super().__init__(loop, timeout)
        self._serialize = serialize
        self._deserialize = deserialize
        self._call: Any = None
        """puregrpc's, once it is open."""
        self._opened: asyncio.Future[None] = loop.create_future()
        self._task = loop.create_task(self._invoke(opening))

    async def _invoke(self, opening: Callable[[], Any]) -> None:
        try:
            async with opening() as call:
                self._call = call
                self._opened.set_result(None)
                await self._go_on(call)
        except (errors.Error, PluginError) as error:
            self._settle(ended_by(error))
        except asyncio.CancelledError:
            self._cancel(CANCELLED_HERE)
            raise
        finally:
            if not self._opened.done():
                self._opened.set_result(None)

    async def _go_on(self, call: Any) -> None:
        await call.ended()
        self._notice_end()
        try:
            await asyncio.wait_for(self._ended(), self.time_remaining())
        except asyncio.TimeoutError:  # what came was not read by then, and so the call is not over
            self._fail(StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")

    def _stop(self) -> None:
        self._task.cancel()
        if not self._opened.done():  # its task may never have begun
            self._opened.set_result(None)

    def _notice_end(self) -> None:
        """Notice the end, if it has come and all messages have been read."""
        call = self._call
        if self._state.code is None and call is not None and call.is_over and not call.has_message:
            self._finish(call)

    def _finish(self, call: Any) -> None:
        status = call.status
        headers = call.received_headers or ()
        self._settle(state_of(status.code, status.message, status.details, headers, call.trailers))

    async def _opened_call(self) -> Any:
        """puregrpc's call once it is open; None if it has ended before."""
        if not self._opened.done():
            await asyncio.shield(self._opened)
        return self._call

    async def _headers(self) -> None:
        call = await self._opened_call()
        if call is not None and self._state.initial_metadata is None:
            try:
                headers = shown(await call.headers())
            except errors.Error:
                headers = ()
            if self._state.initial_metadata is None:
                self._state = _RPCState((), headers)

    async def wait_for_connection(self) -> None:
        call = await self._opened_call()
        if call is None or self.done():
            await self._raise_for_status()


class _StreamResponse(_Stream):
    """What is iterated over, or read from."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._response_style = _APIStyle.UNKNOWN
        self._iterator: AsyncIterator[Any] | None = None

    def _use(self, style: _APIStyle) -> None:
        if self._response_style is _APIStyle.UNKNOWN:
            self._response_style = style
        elif self._response_style is not style:
            raise UsageError(STYLES_MIXED)

    def __aiter__(self) -> AsyncIterator[Any]:
        self._use(_APIStyle.ASYNC_GENERATOR)
        if self._iterator is None:
            self._iterator = self._responses()
        return self._iterator

    async def _responses(self) -> AsyncIterator[Any]:
        while (message := await self._read()) is not EOF:
            yield message
        await self._raise_for_status()

    async def read(self) -> Any:
        if self.done():
            await self._raise_for_status()
            return EOF
        self._use(_APIStyle.READER_WRITER)
        response = await self._read()
        if response is EOF:
            await self._raise_for_status()
        return response

    async def _read(self) -> Any:
        try:
            call = self._call or await self._opened_call()
            if call is None or self.done():
                return EOF
            message = await call.receive()
        except errors.RpcError:
            message = None
        except asyncio.CancelledError:
            if not self.cancelled():
                self.cancel()
            raise
        if self.done():
            return EOF
        if message is None:
            self._finish(call)
            return EOF
        message = _common.deserialize(message, self._deserialize, FAILED)
        if message is FAILED:
            self._fail(StatusCode.INTERNAL, "Exception deserializing response!")
            return EOF
        if self._callbacks:
            self._loop.call_soon(self._notice_end)  # when the message is with its reader
        else:
            self._notice_end()
        return message


class _StreamRequest(_Stream):
    """What requests are written to, or taken from an iterable."""

    _feeding: asyncio.Task[None] | None = None

    def _init_requests(self, requests: Any) -> None:
        self._done_writing_flag = False
        self._request_style = _APIStyle.UNKNOWN
        if requests is not None:
            self._request_style = _APIStyle.ASYNC_GENERATOR
            self._feeding = self._loop.create_task(self._feed(requests))

    def _stop(self) -> None:
        super()._stop()
        if self._feeding is not None and self._feeding is not _current_task():
            self._feeding.cancel()

    async def _feed(self, requests: AsyncIterable[Any] | Iterable[Any]) -> None:
        try:
            if inspect.isasyncgen(requests) or hasattr(requests, "__aiter__"):
                async for request in requests:
                    try:
                        await self._write(request)
                    except AioRpcError as error:
                        logger.debug("Exception while consuming the request_iterator: %s", error)
                        return
            else:
                for request in requests:
                    try:
                        await self._write(request)
                    except AioRpcError as error:
                        logger.debug("Exception while consuming the request_iterator: %s", error)
                        return
            await self._half_close()
        except Exception:
            logger.debug("Client request_iterator raised exception", exc_info=True)
            self.cancel()

    async def write(self, request: Any) -> None:
        self._check_style()
        await self._write(request)

    async def done_writing(self) -> None:
        self._check_style()
        await self._half_close()

    def _check_style(self) -> None:
        if self._request_style is _APIStyle.ASYNC_GENERATOR:
            raise UsageError(STYLES_MIXED)
        self._request_style = _APIStyle.READER_WRITER

    async def _write(self, request: Any) -> None:
        if self.done():
            raise asyncio.InvalidStateError(ALREADY_OVER)
        if self._done_writing_flag:
            raise asyncio.InvalidStateError(HALF_CLOSED)
        try:
            call = self._call or await self._opened_call()
            if call is None or self.done():
                await self._raise_for_status()
            data = encoded(request, self._serialize)
            await call.send(data)
            if self.done():  # while the message was held back
                await self._raise_for_status()
        except errors.InvalidArgument as error:
            self._settle(ended_by(error))
            self._stop()
            await self._raise_for_status()
        except errors.Error:
            self._notice_end()
            await self._raise_for_status()
        except asyncio.CancelledError:
            if not self.cancelled():
                self.cancel()
            raise

    async def _half_close(self) -> None:
        if self.done():
            return
        if not self._done_writing_flag:
            self._done_writing_flag = True
            try:
                call = await self._opened_call()
                if call is not None and not self.done():
                    await call.half_close()
            except asyncio.CancelledError:
                if not self.cancelled():
                    self.cancel()
                raise


class UnaryStreamCall(_StreamResponse, _base_call.UnaryStreamCall[Any, Any]):
    """One request and many responses."""


class StreamUnaryCall(_StreamRequest, _UnaryResponse, _base_call.StreamUnaryCall[Any, Any]):
    """Many requests and one response."""

    def __init__(self, requests: Any, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._init_requests(requests)

    async def _go_on(self, call: Any) -> None:
        result = await call.single_response()
        status = result.status
        ended = state_of(status.code, status.message, status.details, result.headers, result.trailers)
        ended.response = result.message
        self._settle(ended if self._deserialize is None else deserialized(ended, self._deserialize, FAILED))


class StreamStreamCall(_StreamRequest, _StreamResponse, _base_call.StreamStreamCall[Any, Any]):
    """Many requests and many responses."""

    def __init__(self, requests: Any, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._init_requests(requests)


def _current_task() -> Any:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
