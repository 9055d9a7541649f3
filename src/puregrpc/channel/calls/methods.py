"""The four call shapes as callables, each bound to a channel, a method and the way its messages become bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

from puregrpc.channel.calls.bound_method import BoundMethod
from puregrpc.channel.calls.call import ClientCall
from puregrpc.channel.calls.feeding import Feeder, Requests
from puregrpc.channel.calls.hedging import client_call, hedged_exchange
from puregrpc.channel.calls.interceptors import around
from puregrpc.channel.calls.outcome import UnaryResult
from puregrpc.channel.calls.retry import Attempts
from puregrpc.channel.calls.started import LoopExchange, StartedExchange
from puregrpc.channel.calls.unary import UnaryCall
from puregrpc.channel.details import (
    CallCredentials,
    CallDetails,
    Deserializer,
    MetadataLike,
    Serializer,
    deadline_of,
)
from puregrpc.errors import LocalProtocolError
from puregrpc.wire.connection import Request

if TYPE_CHECKING:
    from puregrpc.channel.core import ChannelCore
    from puregrpc.channel.options import ChannelOptions

__all__ = [
    "OpeningCall",
    "StreamStreamMethod",
    "StreamUnaryMethod",
    "UnaryStreamMethod",
    "UnaryUnaryMethod",
    "exchange",
]

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class HasCore(Protocol):
    """A channel, which gets its core when it is first used."""

    options: ChannelOptions
    settled: ChannelCore | None

    def bound(self) -> ChannelCore:
        """The core in the world that runs now."""


class OpeningCall(AbstractAsyncContextManager[ClientCall[RequestT, ResponseT]], Generic[RequestT, ResponseT]):
    """A call that is opened, through the interceptors, when it is entered or iterated over.

    ``async with method(request) as call: ...`` gives the `ClientCall`; ``async for response in method(request)`` the
    responses, and an iteration that is left cancels the call. With ``requests`` these are sent, and the half-close
    after them, while the body receives; what they raise leaves the ``async with``, unless the body has raised already.
    """

    def __init__(
        self,
        channel: HasCore,
        details: CallDetails,
        serialize: Serializer[RequestT] | None = None,
        deserialize: Deserializer[ResponseT] | None = None,
        *,
        only_request: bytes | None = None,
        requests: Requests[RequestT] | None = None,
    ) -> None:
        self._channel = channel
        self._details = details
        self._serialize = serialize
        self._deserialize = deserialize
        self._only_request = only_request
        self._requests = requests
        self._opened: AbstractAsyncContextManager[ClientCall[RequestT, ResponseT]] | None = None
        self._feeder: Feeder[RequestT] | None = None

    async def __aenter__(self) -> ClientCall[RequestT, ResponseT]:
        if self._opened is not None:
            raise LocalProtocolError("a call can be entered only once")
        core = self._channel.bound()

        def begin(details: CallDetails) -> AbstractAsyncContextManager[ClientCall[Any, Any]]:
            return client_call(
                core,
                details,
                serialize=self._serialize,
                deserialize=self._deserialize,
                only_request=self._only_request,
            )

        opened = self._opened = around(core.options.interceptors, "stream", begin)(self._details)
        call: ClientCall[RequestT, ResponseT] = await opened.__aenter__()
        if self._requests is not None:
            self._feeder = Feeder(core.kernel, call, self._requests)
        return call

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        opened, feeder = self._opened, self._feeder
        if opened is None:
            return None
        try:
            if feeder is not None:
                feeder.stop(error)
        finally:
            swallowed = await opened.__aexit__(kind, error, trace)
        return swallowed

    async def __aiter__(self) -> AsyncIterator[ResponseT]:
        async with self as call:
            async for response in call:
                yield response


class _Method(BoundMethod[RequestT, ResponseT]):
    """What the shapes have in common."""

    __slots__ = ("_channel",)

    def __init__(
        self,
        channel: HasCore,
        path: str,
        serialize: Serializer[RequestT] | None = None,
        deserialize: Deserializer[ResponseT] | None = None,
    ) -> None:
        super().__init__(channel.options, path, serialize, deserialize)
        self._channel = channel

    def _opening(
        self,
        details: CallDetails,
        *,
        only_request: bytes | None = None,
        requests: Requests[RequestT] | None = None,
    ) -> OpeningCall[RequestT, ResponseT]:
        return OpeningCall(
            self._channel,
            details,
            self._serialize,
            self._deserialize,
            only_request=only_request,
            requests=requests,
        )


class UnaryUnaryMethod(_Method[RequestT, ResponseT]):
    """A method that takes one request and gives one response."""

    __slots__ = ()

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
        core = self._channel.settled or self._channel.bound()
        session = core.try_pick()
        if session is None or not self._is_plain or compression is not None or credentials is not None:
            details = self.details(metadata, timeout, wait_for_ready, compression, credentials)
            return (await self._intercepted(core, details, request)).message
        data = cast("bytes", request) if self._serialize is None else self._serialize(request)
        head = self._request
        if metadata:
            head = self.head(metadata)
        now = core.kernel.now()
        deadline = None if timeout is None else deadline_of(timeout, now)
        call = await session.exchange(UnaryCall(session), head, deadline, data, now)
        if call.unprocessed:
            call = await self._again(core, call, data, head, deadline, wait_for_ready)
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
        details = self.details(metadata, timeout, wait_for_ready, compression, credentials)
        return await self._intercepted(self._channel.bound(), details, request)

    async def exchange(
        self,
        data: bytes,
        *,
        metadata: MetadataLike | None = None,
        timeout: float | None = None,
        wait_for_ready: bool | None = None,
        compression: str | None = None,
        credentials: CallCredentials | None = None,
    ) -> UnaryCall:
        """Make the call with the request's bytes, past the interceptors; returns it over, whatever its status.

        Raises RpcError where there is no connection for it.
        """
        core = self._channel.settled or self._channel.bound()
        session = core.try_pick()
        has_more = wait_for_ready is not None or compression is not None or credentials is not None
        if session is None or not self._is_plain or has_more:
            details = self.details(metadata, timeout, wait_for_ready, compression, credentials)
            return await exchange(core, await core.prepare(details), data)
        head = self.head(metadata) if metadata else self._request
        now = core.kernel.now()
        deadline = None if timeout is None else deadline_of(timeout, now)
        call = await session.exchange(UnaryCall(session), head, deadline, data, now)
        return await self._again(core, call, data, head, deadline, None) if call.unprocessed else call

    def start_exchange(
        self,
        data: bytes,
        *,
        metadata: MetadataLike | None = None,
        timeout: float | None = None,
        wait_for_ready: bool | None = None,
        compression: str | None = None,
        credentials: CallCredentials | None = None,
    ) -> StartedExchange:
        """Begin the call with the request's bytes and return at once, past the interceptors. In the loop's thread."""
        core = self._channel.settled or self._channel.bound()
        session = core.try_pick()
        has_more = wait_for_ready is not None or compression is not None or credentials is not None
        if session is None or has_more or not self._goes_straight:
            details = self.details(metadata, timeout, wait_for_ready, compression, credentials)
            started = LoopExchange(core.kernel, partial(_exchange_anew, core, details, data))
            started.begin_anew()
            return started
        head = self.head(metadata) if metadata else self._request
        now = core.kernel.now()
        deadline = None if timeout is None else deadline_of(timeout, now)
        started = LoopExchange(core.kernel, partial(self._go_on, core, head, deadline, data))
        started.begin(UnaryCall(session), head, deadline, data, now)
        return started

    async def _go_on(
        self, core: ChannelCore, head: Request, deadline: float | None, data: bytes, first: UnaryCall | None
    ) -> UnaryCall:
        """Go on with a call that took the short way."""
        return await self._again(core, first, data, head, deadline, None)

    async def _again(
        self,
        core: ChannelCore,
        call: UnaryCall | None,
        data: bytes,
        head: Request,
        deadline: float | None,
        wait_for_ready: bool | None,
    ) -> UnaryCall:
        """Go on after an attempt that the server did not begin."""
        details = self.details(None, None, wait_for_ready, None, None)
        details.deadline, details.request = deadline, head
        return await exchange(core, details, data, first=call)

    async def _intercepted(self, core: ChannelCore, details: CallDetails, request: RequestT) -> UnaryResult[ResponseT]:
        proceed = around(core.options.interceptors, "unary", partial(self.result, core))
        result: UnaryResult[ResponseT] = await core.kernel.call(proceed, details, request)
        return result

    async def result(self, core: ChannelCore, details: CallDetails, request: RequestT) -> UnaryResult[ResponseT]:
        """The call behind the interceptors."""
        data = cast("bytes", request) if self._serialize is None else self._serialize(request)
        details = await core.prepare(details)
        call = await exchange(core, details, data)
        message = call.result()
        response = cast("ResponseT", message) if self._deserialize is None else self._deserialize(message)
        return UnaryResult(response, call.headers, call.trailers, call.status)


async def exchange(
    core: ChannelCore, details: CallDetails, data: bytes, *, first: UnaryCall | None = None
) -> UnaryCall:
    """One request and its response, tried again as far as that is allowed (gRFC A6)."""
    kernel = core.kernel
    config = core.options.methods.of(details.path)
    config.check_request(len(data))
    if config.hedging is not None and first is None:
        return await hedged_exchange(core, details, config.hedging, data)
    attempts = Attempts(config.retry, core.throttle)
    call = first or await _attempt(core, details, details.request, data)
    while True:
        now = kernel.now()
        pause = attempts.next_pause(
            call.status,
            call.trailers,
            committed=call.headers_came,
            unprocessed=call.unprocessed,
            sent=call.wire_id > 0,
            time_left=None if details.deadline is None else details.deadline - now,
        )
        if pause is None:
            return call
        if pause:
            await kernel.sleep(now + pause)
        call = await _attempt(core, details, attempts.request(details.request), data)


async def _exchange_anew(core: ChannelCore, details: CallDetails, data: bytes, first: UnaryCall | None) -> UnaryCall:
    return await exchange(core, details if first is not None else await core.prepare(details), data, first=first)


async def _attempt(core: ChannelCore, details: CallDetails, request: Request, data: bytes) -> UnaryCall:
    while True:
        session = await core.pick(details)
        try:
            return await session.exchange(UnaryCall(session), request, details.deadline, data, core.kernel.now())
        except LocalProtocolError:
            if not session.is_going_away:  # else since it was chosen
                raise


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
    ) -> OpeningCall[RequestT, ResponseT]:
        """``async for response in method(request): ...``, or ``async with method(request) as call: ...``."""
        details = self.details(metadata, timeout, wait_for_ready, compression, credentials)
        data = cast("bytes", request) if self._serialize is None else self._serialize(request)
        return self._opening(details, only_request=data)


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
        details = self.details(metadata, timeout, wait_for_ready, compression, credentials)
        async with self._opening(details, requests=requests) as call:
            return (await call.single_response()).message

    def open(
        self,
        *,
        metadata: MetadataLike | None = None,
        timeout: float | None = None,
        wait_for_ready: bool | None = None,
        compression: str | None = None,
        credentials: CallCredentials | None = None,
    ) -> OpeningCall[RequestT, ResponseT]:
        """The call with its requests sent by hand: ``send``, ``half_close``, then ``single_response``."""
        return self._opening(self.details(metadata, timeout, wait_for_ready, compression, credentials))


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
    ) -> OpeningCall[RequestT, ResponseT]:
        """``async with method() as call:`` then ``send``, ``half_close``, ``receive``.

        With ``requests`` (an iterable or async iterable) these are sent, and the half-close after them, while the body
        receives; ``async for response in method(requests)`` works as well.
        """
        details = self.details(metadata, timeout, wait_for_ready, compression, credentials)
        return self._opening(details, requests=requests)
