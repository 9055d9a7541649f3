"""Methods of a blocking channel: unary calls that the calling thread makes from their beginning to their end."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

from puregrpc.channel.blocking_call import BlockingUnaryCall
from puregrpc.channel.bound_method import BoundMethod
from puregrpc.channel.details import CallDetails, Deserializer, MetadataLike, Serializer, deadline_of, metadata_of
from puregrpc.channel.outcome import UnaryResult
from puregrpc.channel.retry import Attempts
from puregrpc.errors import Error, LocalProtocolError
from puregrpc.transport.waking import taken_lock
from puregrpc.wire.connection import Request

if TYPE_CHECKING:
    from puregrpc.channel.blocking import BlockingChannel

__all__ = ["BlockingMethod"]

SHORT_TIMEOUT = 0.001
"""A timeout (seconds) that may be over before the call can be opened."""

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class BlockingMethod(BoundMethod[RequestT, ResponseT]):
    """A method that takes one request and gives one response, bound to a blocking channel."""

    def __init__(
        self,
        channel: BlockingChannel,
        path: str,
        serialize: Serializer[RequestT] | None,
        deserialize: Deserializer[ResponseT] | None,
    ) -> None:
        super().__init__(channel.options, path, serialize, deserialize)
        self._channel = channel

    def __call__(
        self,
        request: RequestT,
        *,
        metadata: MetadataLike | None = None,
        timeout: float | None = None,
        wait_for_ready: bool | None = None,
        compression: str | None = None,
    ) -> ResponseT:
        """Make the call and return its response.

        ``timeout`` is in seconds. Raises RpcError for a status other than OK, InvalidArgument for metadata or a
        message that cannot be sent, NotConnected if the channel is closed. Ctrl-C cancels the call.
        """
        if self._channel.interceptors:
            details = self._channel.details(self.path, metadata, timeout, wait_for_ready, compression)
            return self._intercepted(details, request).message
        call = self.exchange(
            request, metadata=metadata, timeout=timeout, wait_for_ready=wait_for_ready, compression=compression
        )
        message = call.result()
        return cast("ResponseT", message) if self._deserialize is None else self._deserialize(message)

    def with_call(
        self,
        request: RequestT,
        *,
        metadata: MetadataLike | None = None,
        timeout: float | None = None,
        wait_for_ready: bool | None = None,
        compression: str | None = None,
    ) -> UnaryResult[ResponseT]:
        """As calling it, but return headers, trailers and status with the response."""
        details = self._channel.details(self.path, metadata, timeout, wait_for_ready, compression)
        return self._intercepted(details, request)

    def _intercepted(self, details: CallDetails, request: RequestT) -> UnaryResult[ResponseT]:
        proceed = self._proceed
        for interceptor in reversed(self._channel.interceptors):
            proceed = partial(interceptor.unary, proceed=proceed)
        return proceed(details, request)

    def _proceed(self, details: CallDetails, request: RequestT) -> UnaryResult[ResponseT]:
        data = cast("bytes", request) if self._serialize is None else self._serialize(request)
        details = self._channel.prepare(details)
        call = self._attempts(details.request, data, details.deadline, details.wait_for_ready)
        message = call.result()
        response = cast("ResponseT", message) if self._deserialize is None else self._deserialize(message)
        return UnaryResult(response, call.headers, call.trailers, call.status)

    def exchange(
        self,
        request: RequestT,
        *,
        metadata: MetadataLike | None = None,
        timeout: float | None = None,
        wait_for_ready: bool | None = None,
        compression: str | None = None,
    ) -> BlockingUnaryCall:
        """As calling it, but return the call when it is over, whatever its status; the response is still bytes.

        It passes no interceptors. Raises RpcError where there is no connection for it.
        """
        data = cast("bytes", request) if self._serialize is None else self._serialize(request)
        channel = self._channel
        options = channel.options
        head = self._request
        if options.credentials is not None:
            details = channel.prepare(channel.details(self.path, metadata, timeout, wait_for_ready, compression))
            return self._attempts(details.request, data, details.deadline, details.wait_for_ready)
        if metadata or compression is not None:
            head = options.request(self.path, metadata_of(metadata), compression)
        now = time.monotonic()
        deadline = None
        if timeout is not None:
            deadline = deadline_of(timeout, now)
            if timeout < SHORT_TIMEOUT:
                now = time.monotonic()
        call = self._attempt(head, data, deadline, wait_for_ready, now)
        if call.unprocessed or options.retry is not None:
            return self._retried(call, head, data, deadline, wait_for_ready)
        return call

    def _attempts(
        self, head: Request, data: bytes, deadline: float | None, wait_for_ready: bool | None
    ) -> BlockingUnaryCall:
        call = self._attempt(head, data, deadline, wait_for_ready, time.monotonic())
        return self._retried(call, head, data, deadline, wait_for_ready)

    def _retried(
        self,
        call: BlockingUnaryCall,
        head: Request,
        data: bytes,
        deadline: float | None,
        wait_for_ready: bool | None,
    ) -> BlockingUnaryCall:
        """After its first attempt, make the call again as far as that is allowed (gRFC A6)."""
        attempts = Attempts(self._channel.options.retry, self._channel.throttle)
        while True:
            pause = attempts.next_pause(
                call.status,
                call.trailers,
                committed=call.headers_came,
                unprocessed=call.unprocessed,
                sent=call.wire_id > 0,
                time_left=None if deadline is None else deadline - time.monotonic(),
            )
            if pause is None:
                return call
            if pause:
                time.sleep(pause)
            call = self._attempt(attempts.request(head), data, deadline, wait_for_ready, time.monotonic())

    def _attempt(
        self, head: Request, data: bytes, deadline: float | None, wait_for_ready: bool | None, now: float
    ) -> BlockingUnaryCall:
        channel = self._channel
        secrets = channel.options.secret_names
        while True:
            session = channel.try_pick()
            if session is None:
                wait = channel.options.wait_for_ready if wait_for_ready is None else wait_for_ready
                session = channel.pick(deadline, wait_for_ready=wait)
                now = time.monotonic()
            call = BlockingUnaryCall(session)
            leads = is_open = False
            output = b""
            try:
                with session.mutex:
                    leads = session.lead(call)
                    call.lock = None if leads else taken_lock()
                    session.calls.add(call)
                    session.connection.open_call(
                        call,
                        head,
                        deadline=deadline,
                        message=data,
                        end=True,
                        now=now,
                        secret_names=secrets,
                    )
                    output = session.take_output()
                    is_open = True
                session.send_output(output)
                if leads:
                    call.read(deadline)
                else:
                    call.wait(deadline, now)
            except Error as error:
                session.calls.discard(call)
                if isinstance(error, LocalProtocolError) and session.is_going_away:  # since it was chosen
                    now = time.monotonic()
                    continue
                raise
            except BaseException:
                if is_open:
                    session.abandon(output)
                    session.reset(call)
                else:
                    session.interrupted()
                raise
            finally:
                if leads:
                    session.stop_leading(call)
            return call
