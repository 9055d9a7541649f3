"""The four call shapes as callables, each bound to a channel, a method and the way its messages become bytes."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import trio
from trio import current_time

from puregrpc.channel.bound_method import BoundMethod
from puregrpc.channel.call import ClientCall, UnaryCall
from puregrpc.channel.details import (
    CallCredentials,
    CallDetails,
    Deserializer,
    MetadataLike,
    Serializer,
    deadline_of,
    metadata_of,
)
from puregrpc.channel.outcome import UnaryResult
from puregrpc.channel.retry import Attempts
from puregrpc.errors import RpcError
from puregrpc.wire.connection import Request

if TYPE_CHECKING:
    from puregrpc.channel.core import ChannelCore
    from puregrpc.channel.subchannel import ChannelSession

__all__ = ["StreamStreamMethod", "StreamUnaryMethod", "UnaryStreamMethod", "UnaryUnaryMethod", "open_call"]

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

Requests = AsyncIterable[RequestT] | Iterable[RequestT]


class _Method(BoundMethod[RequestT, ResponseT]):
    """What the shapes have in common."""

    def __init__(
        self,
        core: ChannelCore,
        path: str,
        serialize: Serializer[RequestT] | None = None,
        deserialize: Deserializer[ResponseT] | None = None,
    ) -> None:
        super().__init__(core.options, path, serialize, deserialize)
        self._core = core

    def _details(
        self,
        metadata: MetadataLike | None,
        timeout: float | None,
        wait_for_ready: bool | None,
        compression: str | None,
        credentials: CallCredentials | None,
    ) -> CallDetails:
        if wait_for_ready is None:
            wait_for_ready = self._core.options.wait_for_ready
        return CallDetails(self.path, metadata_of(metadata), timeout, wait_for_ready, compression, credentials)

    def _open(
        self, details: CallDetails, only_request: RequestT | None = None, *, has_request: bool = False
    ) -> AbstractAsyncContextManager[ClientCall[RequestT, ResponseT]]:
        data: bytes | None = None
        if has_request:
            serialize = self._serialize
            data = cast("bytes", only_request) if serialize is None else serialize(cast("RequestT", only_request))
        return open_call(self._core, details, self._serialize, self._deserialize, data)


def open_call(
    core: ChannelCore,
    details: CallDetails,
    serialize: Serializer[RequestT] | None = None,
    deserialize: Deserializer[ResponseT] | None = None,
    only_request: bytes | None = None,
) -> AbstractAsyncContextManager[ClientCall[RequestT, ResponseT]]:
    """A call of any shape, through the interceptors; it is opened when it is entered."""

    def begin(details: CallDetails) -> AbstractAsyncContextManager[ClientCall[Any, Any]]:
        return ClientCall[RequestT, ResponseT](
            core, details, serialize=serialize, deserialize=deserialize, only_request=only_request
        )

    proceed = begin
    for interceptor in reversed(core.options.interceptors):
        proceed = partial(interceptor.stream, proceed=proceed)
    return proceed(details)


class UnaryUnaryMethod(_Method[RequestT, ResponseT]):
    """A method that takes one request and gives one response."""

    async def __call__(
        self,
        request: RequestT,
        *,
        metadata: MetadataLike | None = None,
        timeout: float | None = None,
        wait_for_ready: bool | None = None,
        compression: str | None = None,
        credentials: CallCredentials | None = None,
    ) -> ResponseT:
        """Make the call and return its response.

        ``timeout`` is in seconds. Raises RpcError for a status other than OK, InvalidArgument for metadata or a
        message that cannot be sent, NotConnected if the channel is closed.
        """
        core = self._core
        session = core.try_pick()
        if session is None or not core.is_plain or compression is not None or credentials is not None:
            details = self._details(metadata, timeout, wait_for_ready, compression, credentials)
            return (await self._intercepted(details, request)).message
        data = cast("bytes", request) if self._serialize is None else self._serialize(request)
        head = self._request
        if metadata:
            head = Request(
                self.path,
                head.authority,
                (*head.metadata, *metadata_of(metadata)) if head.metadata else metadata_of(metadata),
                encoding=head.encoding,
                content_subtype=head.content_subtype,
            )
        now = current_time()
        deadline = None if timeout is None else deadline_of(timeout, now)
        call = begin_unary(session, head, deadline, data, now)
        await call.wait()
        if call.unprocessed:
            details = self._details(metadata, timeout, wait_for_ready, None, None)
            details.deadline, details.request = deadline, head
            call = await exchange(core, details, data, first=call)
        message = call.result()
        return cast("ResponseT", message) if self._deserialize is None else self._deserialize(message)

    async def with_call(
        self,
        request: RequestT,
        *,
        metadata: MetadataLike | None = None,
        timeout: float | None = None,
        wait_for_ready: bool | None = None,
        compression: str | None = None,
        credentials: CallCredentials | None = None,
    ) -> UnaryResult[ResponseT]:
        """As calling it, but return headers, trailers and status with the response."""
        details = self._details(metadata, timeout, wait_for_ready, compression, credentials)
        return await self._intercepted(details, request)

    async def _intercepted(self, details: CallDetails, request: RequestT) -> UnaryResult[ResponseT]:
        proceed = self._exchange
        for interceptor in reversed(self._core.options.interceptors):
            proceed = partial(interceptor.unary, proceed=proceed)
        return await proceed(details, request)

    async def _exchange(self, details: CallDetails, request: RequestT) -> UnaryResult[ResponseT]:
        data = cast("bytes", request) if self._serialize is None else self._serialize(request)
        details = await self._core.prepare(details)
        call = await exchange(self._core, details, data)
        message = call.result()
        response = cast("ResponseT", message) if self._deserialize is None else self._deserialize(message)
        return UnaryResult(response, call.headers, call.trailers, call.status)


def begin_unary(
    session: ChannelSession, request: Request, deadline: float | None, data: bytes, now: float
) -> UnaryCall:
    """Open a unary call on a connection that is ready, and send it at once if no other call is under way."""
    call = UnaryCall(session)
    connection = session.connection
    secrets = session.secret_names
    if connection.open_calls:
        connection.open_call(call, request, deadline=deadline, message=data, end=True, now=now, secret_names=secrets)
    else:
        session.hold()
        try:
            connection.open_call(
                call, request, deadline=deadline, message=data, end=True, now=now, secret_names=secrets
            )
        finally:
            session.flush()
    session.call_opened(deadline)
    return call


async def exchange(
    core: ChannelCore, details: CallDetails, data: bytes, *, first: UnaryCall | None = None
) -> UnaryCall:
    """One request and its response, tried again as far as that is allowed (gRFC A6)."""
    attempts = Attempts(core.options.retry, core.throttle)
    call = first or await _attempt(core, details, details.request, data)
    while True:
        pause = attempts.next_pause(
            call.status,
            call.trailers,
            committed=call.headers_came,
            unprocessed=call.unprocessed,
            sent=call.wire_id > 0,
            time_left=None if details.deadline is None else details.deadline - current_time(),
        )
        if pause is None:
            return call
        if pause:
            await trio.sleep(pause)
        call = await _attempt(core, details, attempts.request(details.request), data)


async def _attempt(core: ChannelCore, details: CallDetails, request: Request, data: bytes) -> UnaryCall:
    session = await core.pick(details)
    call = begin_unary(session, request, details.deadline, data, current_time())
    await call.wait()
    return call


class UnaryStreamMethod(_Method[RequestT, ResponseT]):
    """A method that takes one request and gives a stream of responses."""

    def __call__(
        self,
        request: RequestT,
        *,
        metadata: MetadataLike | None = None,
        timeout: float | None = None,
        wait_for_ready: bool | None = None,
        compression: str | None = None,
        credentials: CallCredentials | None = None,
    ) -> AbstractAsyncContextManager[ClientCall[RequestT, ResponseT]]:
        """``async with method(request) as call: async for response in call: ...``; see `ClientCall`."""
        details = self._details(metadata, timeout, wait_for_ready, compression, credentials)
        return self._open(details, request, has_request=True)


class StreamUnaryMethod(_Method[RequestT, ResponseT]):
    """A method that takes a stream of requests and gives one response."""

    async def __call__(
        self,
        requests: Requests[RequestT],
        *,
        metadata: MetadataLike | None = None,
        timeout: float | None = None,
        wait_for_ready: bool | None = None,
        compression: str | None = None,
        credentials: CallCredentials | None = None,
    ) -> ResponseT:
        """Send all that ``requests`` gives (an iterable or async iterable), and return the response."""
        details = self._details(metadata, timeout, wait_for_ready, compression, credentials)
        async with self._open(details) as call, feeding(call, requests):
            return (await call.single_response()).message

    def open(
        self,
        *,
        metadata: MetadataLike | None = None,
        timeout: float | None = None,
        wait_for_ready: bool | None = None,
        compression: str | None = None,
        credentials: CallCredentials | None = None,
    ) -> AbstractAsyncContextManager[ClientCall[RequestT, ResponseT]]:
        """The call with its requests sent by hand: ``send``, ``half_close``, then ``single_response``."""
        return self._open(self._details(metadata, timeout, wait_for_ready, compression, credentials))


class StreamStreamMethod(_Method[RequestT, ResponseT]):
    """A method that takes a stream of requests and gives a stream of responses."""

    def __call__(
        self,
        requests: Requests[RequestT] | None = None,
        *,
        metadata: MetadataLike | None = None,
        timeout: float | None = None,
        wait_for_ready: bool | None = None,
        compression: str | None = None,
        credentials: CallCredentials | None = None,
    ) -> AbstractAsyncContextManager[ClientCall[RequestT, ResponseT]]:
        """``async with method() as call:`` then ``send``, ``half_close``, ``receive``.

        With ``requests`` (an iterable or async iterable) these are sent, and the half-close after them, while the body
        receives; what the iterable raises leaves the ``async with``.
        """
        details = self._details(metadata, timeout, wait_for_ready, compression, credentials)
        if requests is None:
            return self._open(details)
        return self._open_fed(details, requests)

    @asynccontextmanager
    async def _open_fed(
        self, details: CallDetails, requests: Requests[RequestT]
    ) -> AsyncIterator[ClientCall[RequestT, ResponseT]]:
        async with self._open(details) as call, feeding(call, requests):
            yield call


@asynccontextmanager
async def feeding(call: ClientCall[RequestT, Any], requests: Requests[RequestT]) -> AsyncIterator[None]:
    """Send ``requests`` and the half-close beside the body; stop when the body is left.

    What the body or ``requests`` raises leaves as itself, not in an ExceptionGroup; the body's goes first.
    """
    failure: BaseException | None = None
    failure_of_requests: BaseException | None = None

    async def feed() -> None:
        nonlocal failure_of_requests
        try:
            if isinstance(requests, AsyncIterable):
                async for request in requests:
                    await call.send(request)
                    if call.is_over:
                        return
            else:
                for request in requests:
                    await call.send(request)
                    if call.is_over:
                        return
            await call.half_close()
        except RpcError:
            return  # the call has ended: whoever receives is told
        except trio.Cancelled:
            raise
        except BaseException as error:  # handed on below
            failure_of_requests = error
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed)
        try:
            yield
        except BaseException as error:  # handed on below
            failure = error
        nursery.cancel_scope.cancel()
    if failure_of_requests is not None and (failure is None or isinstance(failure, trio.Cancelled)):
        raise failure_of_requests
    if failure is not None:
        raise failure
