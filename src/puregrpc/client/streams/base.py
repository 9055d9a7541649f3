"""What `Stream` and `AsyncStream` have in common: how one is opened, its messages, what it knows at its end. No I/O."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from puregrpc.client.calls.core import UNMARSHAL, ClientCore
from puregrpc.client.calls.log import LOGGER
from puregrpc.client.calls.metadata import grouped, metadata_problem, sendable
from puregrpc.client.calls.requests import CallRequest, Outcome
from puregrpc.client.network.inbox import BACKLOG_OCTETS
from puregrpc.client.params.call import CallKeywords, call_params
from puregrpc.client.results.records import CallError, Record
from puregrpc.client.results.wording import DEADLINE, failed_call
from puregrpc.client.streams.events import Handlers
from puregrpc.client.streams.sent_time import SentTime
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
    from puregrpc.proto.descriptors import MessageDescriptor

__all__ = ["STALLED", "StreamBase", "begun_streams", "connected", "undecodable"]

ConnectionT = TypeVar("ConnectionT")

SHORTEST = 0.001
"""Milliseconds: a stream with no more time than that is not opened."""

SECOND_MESSAGE = Status(StatusCode.INTERNAL, "SendMsg called after CloseSend")
"""A second message for a method that takes one, in grpc-go's words."""

STALLED = Status(
    StatusCode.RESOURCE_EXHAUSTED,
    f"the server takes nothing of {BACKLOG_OCTETS >> 20} MiB that handlers wrote, while its own messages wait to be "
    "handled",
)


def connected(connection: Callable[[], ConnectionT]) -> ConnectionT:
    """The connection of a stream's client. Raises NotConnected."""
    try:
        return connection()
    except NotConnected as error:
        raise NotConnected(f"invalid GRPC Stream's client: {error}") from None


begun_streams: ContextVar[list[StreamBase] | None] = ContextVar("puregrpc_begun_streams", default=None)
"""Where streams are put that are opened, for whoever waits for their ends. None: nobody does."""


class StreamBase(ABC):
    """A stream without its network."""

    def __init__(
        self,
        core: ClientCore,
        url: str,
        params: Mapping[str, Any] | None,
        keywords: CallKeywords,
        *,
        as_message: bool = False,
    ) -> None:
        """Raises InvalidArgument or SchemaError, RpcError for metadata that cannot be sent and no time at all."""
        try:
            self._method = core.method(url)
        except (InvalidArgument, SchemaError) as error:
            raise type(error)(f"invalid GRPC Stream's method: {error}") from None
        checked = call_params(params, keywords, "invalid GRPC Stream's parameters")
        problem = metadata_problem(checked.metadata)
        if problem:
            raise failed_call(Status(StatusCode.INTERNAL, problem), "failed to create a new stream: ")
        if checked.timeout is not None and checked.timeout <= SHORTEST:
            raise failed_call(DEADLINE, "failed to create a new stream: ")
        descriptor, path = self._method.descriptor, self._method.path
        self._core = core
        self._as_message = as_message
        self._discards = checked.discard_response_message
        self._sends_one = not descriptor.is_client_stream
        self._meter = core.meter.stream(core.address, path, checked.tags, is_server_stream=descriptor.is_server_stream)
        timeout = None if checked.timeout is None else checked.timeout / 1000
        self._request = CallRequest(path, b"", sendable(checked.metadata), timeout)
        self._number = core.log.next_number()
        core.log.headers("Out Header", core.address, self._number, path, self._request.metadata)
        self._sent_time = SentTime(descriptor.output_type, checked.time_field) if checked.time_field else None
        self._arrivals: deque[float] = deque()
        """When messages came that are not decoded yet, in seconds since the epoch, if it matters."""
        self._handlers = Handlers(path)
        self._is_iterated = False
        self._is_dispatching = False
        self._is_half_closed = False
        self._is_ended = False
        """It was ended from this side: by the script's `end`, or for good."""
        self._has_sent_its_one = False
        self._failure: BaseException | None = None
        self._result: Outcome | None = None

    def _is_begun(self) -> None:
        """It is open."""
        begun = begun_streams.get()
        if begun is not None:
            begun.append(self)

    @property
    @abstractmethod
    def is_over(self) -> bool:
        """Whether the stream has ended and its end was handled, or iterated to."""

    @property
    def is_half_closed(self) -> bool:
        """Whether the script has said that it sends no more."""
        return self._is_half_closed

    @property
    def is_handled(self) -> bool:
        """Whether it has handlers, and no reader."""
        return bool(self._handlers) and not self._is_iterated

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

    def __reduce__(self) -> NoReturn:
        raise TypeError("a stream cannot be pickled or copied: it belongs to its connection")

    @abstractmethod
    def _end_with(self, status: Status) -> None:
        """End the stream from this side."""

    # -- handlers or iteration

    def _register(self, event: str, handler: Callable[..., Any] | None) -> bool:
        """Add a handler; False if there is no such event."""
        if self._is_iterated:
            raise LocalProtocolError("a stream is either iterated over or has handlers, not both")
        function: Any = handler  # what is no function is refused by `Handlers.add`
        return self._handlers.add(event, function)

    def _begin_iteration(self) -> None:
        if self._handlers:
            raise LocalProtocolError("a stream is either iterated over or has handlers, not both")
        self._is_iterated = True

    def _check_that_it_ends(self, in_handler: bool) -> None:
        if in_handler:
            raise LocalProtocolError("a handler cannot wait for a stream's handlers: they run one at a time, after it")
        if not self._handlers and not self._is_iterated:
            raise LocalProtocolError("a stream without handlers is not over before its messages are taken: iterate")

    def _final_status(self, end: Outcome) -> Record:
        """What the handlers of ``status`` get."""
        error = self.error
        said = error.message if error is not None else end.status.message
        return Record(code=self._core.status(end.status.code), message=said)

    def _failed(self, end: Outcome) -> RpcError | None:
        """What iteration raises at the end; None if all is well."""
        status, error = end.status, self.error
        if not status.code:
            return None
        text = error.message if error is not None else status.message
        return failed_call(
            Status(status.code, text, status.details),
            headers=end.headers,
            trailers=end.trailers,
            read_details=self._core.read_details,
        )

    # -- messages

    def _encoded(self, message: Any, *, is_over: bool) -> bytes | None:
        """The octets of a message that is to be written; None if it is not sent, and what that means was done."""
        if self._is_ended:
            return None
        if self._has_sent_its_one and not self._handlers:
            raise LocalProtocolError(f"{self._method.path} takes one message, and that was written already")
        if is_over:
            return None
        if message is None:
            LOGGER.warning("can't send empty message", extra={"method": self._method.path})
            return None
        if self._has_sent_its_one:
            self._end_with(SECOND_MESSAGE)
            return None
        try:
            data = self._method.encode(message)
        except EncodeError as error:
            if not self._handlers:
                raise
            self._end_with(Status(StatusCode.UNKNOWN, f"can't serialise request object to protocol buffer: {error}"))
            return None
        if len(data) > self._core.max_send_size:
            problem = f"trying to send message larger than max ({len(data)} vs. {self._core.max_send_size})"
            self._end_with(Status(StatusCode.RESOURCE_EXHAUSTED, problem))
            return None
        self._log("Out Payload", self._method.descriptor.input_type, data)
        self._has_sent_its_one = self._sends_one
        return data

    def _reading_of(self, received: bytes | Outcome) -> Callable[[], object] | None:
        """See `ClientCore.reading_of`."""
        as_dict = not (self._as_message or self._discards)
        return self._core.reading_of(self._method, received, as_dict=as_dict)

    def _decoded(self, data: bytes) -> Any:
        """A message as the script sees it. Raises DecodeError."""
        if self._discards:
            return None if self._as_message else {}
        core, output = self._core, self._method.descriptor.output_type
        self._log("In Payload", output, data)
        message = core.codec.to_message(output, data) if self._as_message else self._method.decode(data)
        if self._sent_time is not None:
            arrived = self._arrivals.popleft() if self._arrivals else time.time()
            sent = self._sent_time.read(message)
            if sent is not None:
                self._meter.travelled((arrived - sent) * 1000)
        return message

    # -- the log and the metrics

    def _ended(self, end: Outcome) -> None:
        """Measure and log the end."""
        self._meter.end(end.status.code)
        core, path = self._core, self._method.path
        core.log.headers("In Header", core.address, self._number, path, end.headers)
        core.log.trailer(core.address, self._number, path, end.status, end.trailers)

    def _log(self, what: str, descriptor: MessageDescriptor, data: bytes) -> None:
        core = self._core
        core.log.payload(what, core.address, self._number, self._method.path, descriptor, data)


def undecodable(error: DecodeError) -> Status:
    """The status of a stream whose message is none of its type."""
    return Status(StatusCode.INTERNAL, f"{UNMARSHAL}proto: {error}")
