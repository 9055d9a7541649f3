"""Streams of the trio client: events for handlers, or ``async for``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

import trio

from puregrpc.channel import ClientCall
from puregrpc.client.backend import CallRequest, StreamEnd
from puregrpc.client.core import UNMARSHAL, grouped, metadata_problem, sendable
from puregrpc.client.debug import LOGGER
from puregrpc.client.errors import failed_call
from puregrpc.client.events import Handlers, now
from puregrpc.client.failures import status_of
from puregrpc.client.params import CallKeywords, call_params
from puregrpc.client.records import CallError, Record
from puregrpc.client.status import CANCELED_HERE, DEADLINE, EXPIRED, as_k6_says
from puregrpc.errors import (
    DecodeError,
    EncodeError,
    InvalidArgument,
    LocalProtocolError,
    NotConnected,
    RpcError,
    SchemaError,
)
from puregrpc.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from puregrpc.client.async_client import AsyncClient
    from puregrpc.proto.descriptors import MessageDescriptor

__all__ = ["AsyncStream"]


class AsyncStream:
    """A call with several messages in a trio program: ``AsyncStream(client, "pkg.Service/Method")``; opened at once.

    With handlers (`on`), plain or async functions that run one after the other in a task of the client, or by
    iteration (``async for message in stream``), but not both. As an async context manager it is cancelled when left
    before its end. What a handler raises ends the stream, and is raised by the next call on it or when the client is
    closed.
    """

    def __init__(
        self,
        client: AsyncClient,
        url: str = "",
        params: Mapping[str, Any] | None = None,
        **keywords: Unpack[CallKeywords],
    ) -> None:
        """See `Stream`."""
        from puregrpc.client.async_client import AsyncClient

        if client is None:
            raise InvalidArgument("invalid GRPC Stream's client: empty gRPC client")
        if not isinstance(client, AsyncClient):
            raise InvalidArgument("invalid GRPC Stream's client: not a gRPC client")
        core = client.core
        try:
            link = client.connected_link()
        except NotConnected as error:
            raise NotConnected(f"invalid GRPC Stream's client: {error}") from None
        try:
            self._method = core.method(url)
        except (InvalidArgument, SchemaError) as error:
            raise type(error)(f"invalid GRPC Stream's method: {error}") from None
        checked = call_params(params, keywords, "invalid GRPC Stream's parameters")
        problem = metadata_problem(checked.metadata)
        if problem:
            raise failed_call(Status(StatusCode.INTERNAL, problem), "failed to create a new stream: ")
        if checked.timeout is not None and checked.timeout <= EXPIRED:
            raise failed_call(DEADLINE, "failed to create a new stream: ")
        descriptor = self._method.descriptor
        self._client = client
        self._core = core
        self._discards = checked.discard_response_message
        self._link = link
        self._sends_one = not descriptor.is_client_stream
        self._meter = core.meter.stream(
            core.address, self._method.path, checked.tags, is_server_stream=descriptor.is_server_stream
        )
        timeout = None if checked.timeout is None else checked.timeout / 1000
        self._request = CallRequest(self._method.path, b"", sendable(checked.metadata), timeout)
        self._number = core.debug.next_number()
        core.debug.headers("Out Header", core.address, self._number, self._method.path, self._request.metadata)
        self._handlers = Handlers(self._method.path)
        self._is_iterated = False
        self._is_dispatching = False
        self._is_half_closed = False
        self._failure: BaseException | None = None
        self._result: StreamEnd | None = None
        self._ended_here: Status | None = None
        self._call: ClientCall[bytes, bytes] | None = None
        self._scope = trio.CancelScope()
        self._opened = trio.Event()
        self._wanted = trio.Event()
        self._finished = trio.Event()
        self._send_lock = trio.Lock()
        client.streams.add(self)
        client.start_soon(self._run)

    # -- for the program

    def on(self, event: str = "", handler: Callable[..., Any] | None = None) -> None:
        """Have ``handler``, a plain or an async function, called for an event; see `Stream.on`.

        Events are handled once the program waits for something.
        """
        self.raise_failure()
        if self._is_iterated:
            raise LocalProtocolError("a stream is either iterated over or has handlers, not both")
        function: Any = handler
        if self._handlers.add(event, function) and not self._is_dispatching:
            self._is_dispatching = True
            self._wanted.set()

    async def write(self, message: Any) -> None:
        """Send a message; waits while the server takes no more. See `Stream.write`."""
        self.raise_failure()
        await trio.lowlevel.checkpoint()
        if self._is_half_closed or self._result is not None:
            return
        if message is None:
            LOGGER.warning("can't send empty message", extra={"method": self._method.path})
            return
        try:
            data = self._method.encode(message)
        except EncodeError as error:
            if not self._handlers:
                raise
            self._cancel(Status(StatusCode.UNKNOWN, f"can't serialise request object to protocol buffer: {error}"))
            return
        if len(data) > self._core.max_send_size:
            problem = f"trying to send message larger than max ({len(data)} vs. {self._core.max_send_size})"
            self._cancel(Status(StatusCode.RESOURCE_EXHAUSTED, problem))
            return
        call = await self._opened_call()
        if call is None:
            return
        self._log("Out Payload", self._method.descriptor.input_type, data)
        try:
            async with self._send_lock:
                await call.send(data)
        except (RpcError, LocalProtocolError):
            return  # the receiving side says how the call ended
        self._meter.sent()
        if self._sends_one:
            await self.end()

    async def end(self) -> None:
        """Say that all messages are sent (half-close). Idempotent."""
        self.raise_failure()
        await trio.lowlevel.checkpoint()
        if not self._is_half_closed:
            self._is_half_closed = True
            call = await self._opened_call()
            if call is not None:
                async with self._send_lock:
                    await call.half_close()

    def cancel(self) -> None:
        """End the stream from this side, at once. Idempotent."""
        self._cancel(CANCELED_HERE)

    async def wait(self) -> None:
        """Wait until the stream is over and its handlers have run. Raises what a handler raised."""
        if not self._handlers and not self._is_iterated:
            raise LocalProtocolError("a stream without handlers is not over before its messages are taken: iterate")
        await self._finished.wait()
        self.raise_failure()

    def __aiter__(self) -> AsyncStream:
        """The messages as they come. Raises RpcError at the end of a call that failed."""
        self.raise_failure()
        if self._handlers:
            raise LocalProtocolError("a stream is either iterated over or has handlers, not both")
        self._is_iterated = True
        self._wanted.set()
        return self

    async def __anext__(self) -> Any:
        has_message, message = await self._next()
        if has_message:
            return message
        result = self._result
        if result is not None and result.status.code:
            failure = self.error
            text = failure.message if failure is not None else result.status.message
            raise failed_call(
                Status(result.status.code, text, result.status.details),
                headers=result.headers,
                trailers=result.trailers,
            )
        raise StopAsyncIteration

    @property
    def is_over(self) -> bool:
        """Whether the stream has ended and its end was handled, or iterated to."""
        return self._finished.is_set()

    @property
    def error(self) -> CallError | None:
        """Why the stream failed, once it is over; None if it did not."""
        result = self._result
        return self._core.error(result.status) if result is not None and result.status.code else None

    @property
    def headers(self) -> dict[str, list[str | bytes]]:
        """The initial metadata, once the stream is over."""
        return grouped(self._result.headers) if self._result is not None else {}

    @property
    def trailers(self) -> dict[str, list[str | bytes]]:
        """The trailing metadata, once the stream is over."""
        return grouped(self._result.trailers) if self._result is not None else {}

    async def __aenter__(self) -> AsyncStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._result is None:
            self.cancel()

    # -- the client's

    async def end_with(self, status: Status) -> None:
        """End the stream from this side, and wait until its handlers know."""
        self._cancel(status)
        self._wanted.set()
        if not self._is_in_handler:
            await self._finished.wait()

    def raise_failure(self) -> None:
        """Raise what a handler raised, if nobody has been told of it yet."""
        failure, self._failure = self._failure, None
        if failure is not None:
            if self._finished.is_set():
                self._client.streams.discard(self)
            raise failure

    # -- the task

    _is_in_handler = False

    async def _run(self) -> None:
        """Hold the call open; with handlers, take what comes."""
        request = self._request
        try:
            with self._scope:
                try:
                    opening = self._link.channel.call(request.path, metadata=request.metadata, timeout=request.timeout)
                    async with opening as call:
                        self._call = call
                        self._opened.set()
                        await self._wanted.wait()
                        if self._is_dispatching:
                            await self._take_all()
                        elif self._is_iterated:
                            await self._finished.wait()
                except RpcError as error:
                    self._settle(StreamEnd(status_of(error), error.headers, error.trailers))
                except (InvalidArgument, NotConnected) as error:
                    self._settle(StreamEnd(Status(StatusCode.INTERNAL, str(error))))
            if self._scope.cancelled_caught or self._result is None:
                self._settle(StreamEnd(self._ended_here or CANCELED_HERE))
            await self._end_events()
        finally:
            if self._result is None:
                self._settle(StreamEnd(self._ended_here or CANCELED_HERE))
            self._opened.set()
            self._finished.set()
            if self._failure is None:
                self._client.streams.discard(self)

    async def _take_all(self) -> None:
        has_message, message = await self._next()
        while has_message:
            await self._handle("data", message)
            has_message, message = await self._next()

    async def _next(self) -> tuple[bool, Any]:
        """(True, message), or (False, None) when there are no more; ``_result`` is set then."""
        call = await self._opened_call()
        if call is None or self._result is not None:
            return False, None
        try:
            data = await call.receive()
            if self._ended_here is not None:
                self._settle(StreamEnd(self._ended_here))
            elif data is None:
                self._settle(StreamEnd(call.status, await call.headers(), call.trailers))
            else:
                self._meter.received()
                self._log("In Payload", self._method.descriptor.output_type, data)
                return True, None if self._discards else self._method.decode(data)
        except DecodeError as error:
            self._settle(StreamEnd(Status(StatusCode.INTERNAL, f"{UNMARSHAL}proto: {error}")))
            call.cancel()
        except RpcError as error:
            self._settle(StreamEnd(self._ended_here or status_of(error), error.headers, error.trailers))
        return False, None

    def _settle(self, end: StreamEnd) -> None:
        if self._result is None:
            status = end.status
            status = as_k6_says(status.code, status.message, status.details)
            self._result = StreamEnd(status, end.headers, end.trailers)
            self._meter.end(status.code)
            core = self._core
            core.debug.headers("In Header", core.address, self._number, self._method.path, end.headers)
            core.debug.trailer(core.address, self._number, self._method.path, status, end.trailers)
            if self._is_iterated:
                self._finished.set()

    async def _end_events(self) -> None:
        result, error = self._result, self.error
        if result is None or not self._handlers:
            return
        if error is not None:
            await self._handle("error", error)
        said = error.message if error is not None else result.status.message
        await self._handle("status", Record(code=self._core.status(result.status.code), message=said))
        await self._handle("end", {})

    async def _handle(self, event: str, value: Any) -> None:
        arguments = (value, now())
        for handler in self._handlers.of(event):
            self._is_in_handler = True
            try:
                returned = handler.function(*arguments[: handler.arguments])
                if inspect.isawaitable(returned):
                    await returned
            except trio.Cancelled:
                raise
            except BaseException as error:  # it is the program's: raised where the program sees it
                if self._failure is None:
                    self._failure = error
                    self._cancel(Status(StatusCode.UNKNOWN, f"{type(error).__name__}: {error}"))
                else:
                    LOGGER.error("another handler raised", exc_info=error, extra={"method": self._method.path})
            finally:
                self._is_in_handler = False

    def _log(self, what: str, descriptor: MessageDescriptor, data: bytes) -> None:
        core = self._core
        core.debug.payload(what, core.address, self._number, self._method.path, descriptor, data)

    async def _opened_call(self) -> ClientCall[bytes, bytes] | None:
        await self._opened.wait()
        return self._call

    def _cancel(self, status: Status) -> None:
        self._is_half_closed = True
        if self._result is None and self._ended_here is None:
            self._ended_here = status
            self._scope.cancel()
