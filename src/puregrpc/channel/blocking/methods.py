"""The four call shapes of a blocking channel."""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar, cast

from puregrpc.channel.blocking.call import OpeningBlockingCall
from puregrpc.channel.blocking.started import BlockingExchange
from puregrpc.channel.calls.bound_method import BoundMethod
from puregrpc.channel.calls.feeding import Requests
from puregrpc.channel.calls.interceptors import around
from puregrpc.channel.calls.methods import exchange
from puregrpc.channel.calls.outcome import UnaryResult
from puregrpc.channel.calls.unary import UnaryCall
from puregrpc.channel.core import ChannelCore
from puregrpc.channel.details import (
    CallCredentials,
    CallDetails,
    Deserializer,
    MetadataLike,
    Serializer,
    deadline_of,
)
from puregrpc.errors import LocalProtocolError
from puregrpc.kernel.threads.kernel import ThreadKernel
from puregrpc.wire.connection import Request

__all__ = [
    "BlockingStreamStreamMethod",
    "BlockingStreamUnaryMethod",
    "BlockingUnaryStreamMethod",
    "BlockingUnaryUnaryMethod",
]

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class _Method(BoundMethod[RequestT, ResponseT]):
    """What the shapes have in common."""

    def __init__(
        self,
        core: ChannelCore,
        kernel: ThreadKernel,
        path: str,
        serialize: Serializer[RequestT] | None = None,
        deserialize: Deserializer[ResponseT] | None = None,
    ) -> None:
        super().__init__(core.options, path, serialize, deserialize)
        self._core = core
        self._kernel = kernel

    def _encoded(self, request: RequestT) -> bytes:
        return cast("bytes", request) if self._serialize is None else self._serialize(request)

    def _decoded(self, message: bytes) -> ResponseT:
        return cast("ResponseT", message) if self._deserialize is None else self._deserialize(message)

    def _opening(
        self,
        details: CallDetails,
        *,
        only_request: bytes | None = None,
        requests: Requests[RequestT] | None = None,
    ) -> OpeningBlockingCall[RequestT, ResponseT]:
        return OpeningBlockingCall(
            self._core,
            self._kernel,
            details,
            self._serialize,
            self._deserialize,
            only_request=only_request,
            requests=requests,
        )


class BlockingUnaryUnaryMethod(_Method[RequestT, ResponseT]):
    """A method that takes one request and gives one response."""

    def __call__(
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
        message that cannot be sent, NotConnected if the channel is closed. Ctrl-C cancels the call.
        """
        if not self._is_plain or wait_for_ready is not None or compression is not None or credentials is not None:
            details = self.details(metadata, timeout, wait_for_ready, compression, credentials)
            return self._intercepted(details, request).message
        return self._decoded(self.exchange(self._encoded(request), metadata=metadata, timeout=timeout).result())

    def with_call(
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
        return self._intercepted(self.details(metadata, timeout, wait_for_ready, compression, credentials), request)

    def start(
        self,
        request: RequestT,
        *,
        metadata: MetadataLike | None = None,
        timeout: float | None = None,
        wait_for_ready: bool | None = None,
        compression: str | None = None,
        credentials: CallCredentials | None = None,
    ) -> Future[UnaryResult[ResponseT]]:
        """Begin the call and return at once, past the interceptors. Cancelling the future cancels the call.

        It has no thread of its own; the future's callbacks run on a thread of the channel's, and must not block.
        """
        details = self.details(metadata, timeout, wait_for_ready, compression, credentials)
        data = self._encoded(request)

        async def make() -> UnaryResult[ResponseT]:
            call = await exchange(self._core, await self._core.prepare(details), data)
            return self._result_of(call)

        return self._kernel.start(make())

    def start_exchange(
        self,
        data: bytes,
        *,
        metadata: MetadataLike | None = None,
        timeout: float | None = None,
        wait_for_ready: bool | None = None,
        compression: str | None = None,
        credentials: CallCredentials | None = None,
    ) -> BlockingExchange:
        """Begin the call with the request's bytes and return at once, past the interceptors."""
        core, kernel = self._core, self._kernel
        session = core.try_pick()
        has_more = wait_for_ready is not None or compression is not None or credentials is not None
        if session is None or has_more or not self._goes_straight or core.is_foreign:
            details = self.details(metadata, timeout, wait_for_ready, compression, credentials)
            started = BlockingExchange(kernel, partial(self._go_on, details, data))
            started.begin_anew()
            return started
        head = self.head(metadata) if metadata else self._request
        now = kernel.now()
        deadline = None if timeout is None else deadline_of(timeout, now)
        started = BlockingExchange(kernel, partial(self._go_on_straight, head, deadline, data))
        started.begin(UnaryCall(session), head, deadline, data, now)
        return started

    async def _go_on(self, details: CallDetails, data: bytes, first: UnaryCall | None) -> UnaryCall:
        return await self._made(details, data, first=first)

    async def _go_on_straight(
        self, head: Request, deadline: float | None, data: bytes, first: UnaryCall | None
    ) -> UnaryCall:
        """Go on with a call that took the short way."""
        details = self.details(None, None, None, None, None)
        details.deadline, details.request = deadline, head
        return await exchange(self._core, details, data, first=first)

    def _intercepted(self, details: CallDetails, request: RequestT) -> UnaryResult[ResponseT]:
        proceed = around(self._core.options.interceptors, "unary", self._proceed)
        result: UnaryResult[ResponseT] = proceed(details, request)
        return result

    def _proceed(self, details: CallDetails, request: RequestT) -> UnaryResult[ResponseT]:
        data = self._encoded(request)
        return self._result_of(self._kernel.run(self._made(details, data)))

    async def _made(self, details: CallDetails, data: bytes, *, first: UnaryCall | None = None) -> UnaryCall:
        core = self._core
        return await exchange(core, details if first is not None else await core.prepare(details), data, first=first)

    def _result_of(self, call: UnaryCall) -> UnaryResult[ResponseT]:
        return UnaryResult(self._decoded(call.result()), call.headers, call.trailers, call.status)

    def exchange(
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

        Raises RpcError where there is no connection for it. On a connection that is ready this is the short way: no
        coroutine, half of the processor time of `exchange` in the calling thread.
        """
        core = self._core
        if wait_for_ready is not None or compression is not None or credentials is not None:
            details = self.details(metadata, timeout, wait_for_ready, compression, credentials)
            return self._kernel.run(self._made(details, data))
        session: Any = core.try_pick()  # a ThreadSession: on threads there are no others
        if session is None or not self._goes_straight or core.is_foreign:
            return self._kernel.run(self._made(self.details(metadata, timeout, None, None, None), data))
        head = self.head(metadata) if metadata else self._request
        now = self._kernel.now()
        deadline = None if timeout is None else deadline_of(timeout, now)
        try:
            call = session.exchange_blocking(UnaryCall(session), head, deadline, data, now)
        except LocalProtocolError:
            if not session.is_going_away:  # else since it was chosen
                raise
            return self._kernel.run(self._go_on_straight(head, deadline, data, None))
        return self._kernel.run(self._go_on_straight(head, deadline, data, call)) if call.unprocessed else call


class BlockingUnaryStreamMethod(_Method[RequestT, ResponseT]):
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
    ) -> OpeningBlockingCall[RequestT, ResponseT]:
        """``for response in method(request): ...``, or ``with method(request) as call: ...``; see `BlockingCall`."""
        details = self.details(metadata, timeout, wait_for_ready, compression, credentials)
        return self._opening(details, only_request=self._encoded(request))


class BlockingStreamUnaryMethod(_Method[RequestT, ResponseT]):
    """A method that takes a stream of requests and gives one response."""

    def __call__(
        self,
        requests: Requests[RequestT],
        *,
        metadata: MetadataLike | None = None,
        timeout: float | None = None,
        wait_for_ready: bool | None = None,
        compression: str | None = None,
        credentials: CallCredentials | None = None,
    ) -> ResponseT:
        """Send all that ``requests`` gives, in a thread of its own, and return the response."""
        details = self.details(metadata, timeout, wait_for_ready, compression, credentials)
        with self._opening(details, requests=requests) as call:
            return call.single_response().message

    def open(
        self,
        *,
        metadata: MetadataLike | None = None,
        timeout: float | None = None,
        wait_for_ready: bool | None = None,
        compression: str | None = None,
        credentials: CallCredentials | None = None,
    ) -> OpeningBlockingCall[RequestT, ResponseT]:
        """The call with its requests sent by hand: ``send``, ``half_close``, then ``single_response``."""
        return self._opening(self.details(metadata, timeout, wait_for_ready, compression, credentials))


class BlockingStreamStreamMethod(_Method[RequestT, ResponseT]):
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
    ) -> OpeningBlockingCall[RequestT, ResponseT]:
        """``with method() as call:`` then ``send``, ``half_close``, ``receive``.

        With ``requests`` a thread of the call's own sends them, and the half-close after them, while the body receives.
        """
        details = self.details(metadata, timeout, wait_for_ready, compression, credentials)
        return self._opening(details, requests=requests)
