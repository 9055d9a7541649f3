"""Streams of the blocking client: events for handlers, or plain iteration."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from puregrpc.client.backend import CallRequest, Inbox, StreamEnd
from puregrpc.client.core import UNMARSHAL, grouped, metadata_problem, sendable
from puregrpc.client.debug import LOGGER
from puregrpc.client.errors import failed_call
from puregrpc.client.events import Handler, Handlers, now
from puregrpc.client.params import CallKeywords, call_params
from puregrpc.client.records import CallError, Record
from puregrpc.client.status import CANCELED_HERE, DEADLINE, EXPIRED
from puregrpc.errors import DecodeError, EncodeError, InvalidArgument, LocalProtocolError, NotConnected, SchemaError
from puregrpc.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from puregrpc.client.client import Client

__all__ = ["Stream"]

SETTLE_SECONDS = 0.01
"""Events wait until handlers are registered: for the first write or end after `on`, or for so long after the last
`on`. (k6 waits until the script's function has returned.)"""


class Stream:
    """A call with several messages: ``Stream(client, "pkg.Service/Method")``; opened at once.

    With handlers (`on`), which run one at a time on the client's own thread for them, or by iteration
    (``for message in stream``), but not both. Usable from any thread, handlers included.

    A handler's exception ends the stream, and is raised by the next call on the stream, by `Client.close`, or at the
    end of the program, which then exits with status 1.
    """

    def __init__(
        self,
        client: Client,
        url: str = "",
        params: Mapping[str, Any] | None = None,
        *,
        as_message: bool = False,
        **keywords: Unpack[CallKeywords],
    ) -> None:
        """Open a stream. ``params`` or keywords: metadata, tags, timeout (for the whole stream; none by default),
        discard_response_message (messages are given as None).

        ``as_message``: messages are given as google.protobuf objects. Raises NotConnected, InvalidArgument or
        SchemaError if it cannot be; what the server does comes as events.
        """
        from puregrpc.client.client import Client

        if client is None:
            raise InvalidArgument("invalid GRPC Stream's client: empty gRPC client")
        if not isinstance(client, Client):
            raise InvalidArgument("invalid GRPC Stream's client: not a gRPC client")
        core = client.core
        try:
            backend = client.connected_backend()
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
        self._as_message = as_message
        self._discards = checked.discard_response_message
        self._sends_one = not descriptor.is_client_stream
        self._meter = core.meter.stream(
            core.address, self._method.path, checked.tags, is_server_stream=descriptor.is_server_stream
        )
        self._number = core.debug.next_number()
        self._context = contextvars.copy_context()
        self._handlers = Handlers(self._method.path)
        self._lock = threading.Lock()
        self._is_iterated = False
        self._is_dispatching = False
        self._is_scheduled = False
        self._registrations = 0
        self._is_half_closed = False
        self._failure: BaseException | None = None
        self._result: StreamEnd | None = None
        self._finished = threading.Event()
        self._last_event = time.monotonic()
        self._inbox = Inbox(self._on_message, self._on_end, self._schedule)
        timeout = None if checked.timeout is None else checked.timeout / 1000
        request = CallRequest(self._method.path, b"", sendable(checked.metadata), timeout)
        core.debug.headers("Out Header", core.address, self._number, self._method.path, request.metadata)
        client.streams.add(self)
        self._backend = backend.open_stream(request, self._inbox)

    # -- for the script

    def on(self, event: str = "", handler: Callable[..., Any] | None = None) -> None:
        """Have ``handler`` called for an event.

        ``data(message, meta)`` for each message; ``error(error, meta)`` with a `CallError`, if the call fails;
        ``status(status, meta)`` with code and message, and ``end(_, meta)``, each once, last. ``meta.ts`` is the time
        in seconds since the epoch. Handlers may take fewer arguments. An unknown event is a warning in the log.
        """
        self._raise_failure()
        if self._is_iterated:
            raise LocalProtocolError("a stream is either iterated over or has handlers, not both")
        assert_callable: Any = handler
        if not self._handlers.add(event, assert_callable):
            return
        with self._lock:
            self._registrations += 1
            current = self._registrations
        if not self._is_dispatching:
            self._client.handler_thread.call_later(SETTLE_SECONDS, lambda: self._settle(current))

    def write(self, message: Any) -> None:
        """Send a message, a dict or a google.protobuf object; waits while the server takes no more.

        After `end`, or when the stream is over, nothing happens. A message that does not fit its type ends a stream
        with handlers by an ``error`` event, as in k6; otherwise it raises EncodeError, and the stream goes on.
        """
        self._client.check_process()
        self._raise_failure()
        if self._is_half_closed or self._inbox.ended is not None:
            return
        if message is None:
            LOGGER.warning("can't send empty message", extra={"method": self._method.path})
            return
        try:
            data = self._method.encode(message)
        except EncodeError as error:
            if not self._handlers:
                raise
            self._end_with(Status(StatusCode.UNKNOWN, f"can't serialise request object to protocol buffer: {error}"))
            return
        core = self._core
        if len(data) > core.max_send_size:
            problem = f"trying to send message larger than max ({len(data)} vs. {core.max_send_size})"
            self._end_with(Status(StatusCode.RESOURCE_EXHAUSTED, problem))
            return
        core.debug.payload(
            "Out Payload", core.address, self._number, self._method.path, self._method.descriptor.input_type, data
        )
        self._backend.send(data, self._meter.sent)
        if self._sends_one:
            self.end()
        self._begin_dispatch()

    def end(self) -> None:
        """Say that all messages are sent (half-close). Idempotent."""
        self._client.check_process()
        self._raise_failure()
        if not self._is_half_closed:
            self._is_half_closed = True
            self._backend.half_close()
        self._begin_dispatch()

    def cancel(self) -> None:
        """End the stream from this side, at once. Idempotent."""
        self._end_with(CANCELED_HERE)

    def wait(self, timeout: float | str | None = None) -> bool:
        """Wait until the stream is over and its handlers have run; False if that is not so after ``timeout``.

        A number is milliseconds, text has units. Raises what a handler raised.
        """
        from puregrpc.client.durations import milliseconds

        if not self._handlers and not self._is_iterated:
            raise LocalProtocolError("a stream without handlers is not over before its messages are taken: iterate")
        self._begin_dispatch()
        done = self._finished.wait(None if timeout is None else milliseconds(timeout) / 1000)
        self._raise_failure()
        return done

    def __iter__(self) -> Iterator[Any]:
        """The messages as they come. Raises RpcError at the end of a call that failed."""
        self._client.check_process()
        self._raise_failure()
        if self._handlers:
            raise LocalProtocolError("a stream is either iterated over or has handlers, not both")
        self._is_iterated = True
        return self._iterate()

    def _iterate(self) -> Iterator[Any]:
        while True:
            item = self._inbox.take()
            if isinstance(item, bytes):
                try:
                    message = self._decoded(item)
                except DecodeError as error:
                    self._refuse(error)
                    continue
                yield message
            elif item is not None:
                self._finish(item)
                status = item.status
                if status.code:
                    failure = self.error
                    text = failure.message if failure is not None else status.message
                    raise failed_call(
                        Status(status.code, text, status.details), headers=item.headers, trailers=item.trailers
                    )
                return

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

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._finished.is_set() and self._inbox.ended is None:
            self.cancel()

    # -- the client's

    @property
    def is_half_closed(self) -> bool:
        """Whether the script has said that it sends no more."""
        return self._is_half_closed

    @property
    def last_event(self) -> float:
        """When something last happened on it (`time.monotonic`)."""
        return self._last_event

    @property
    def is_iterated(self) -> bool:
        """Whether it has a reader in place of handlers."""
        return self._is_iterated

    def take_failure(self) -> BaseException | None:
        """What a handler raised and nobody has been told yet; the teller is the caller."""
        with self._lock:
            failure, self._failure = self._failure, None
        return failure

    def drain(self) -> None:
        """Let the stream run to its end: without handlers and iteration its messages are thrown away."""
        if not self._is_iterated:
            self._is_dispatching = True
            self._schedule()

    def wait_until_handled(self, timeout: float) -> None:
        """Wait at most so many seconds until its end was handled; at once if nobody is to handle it."""
        if self._is_dispatching and not self._is_iterated:
            self._finished.wait(timeout)

    def end_with(self, status: Status) -> None:
        """End the stream from this side with a status."""
        self._end_with(status)

    # -- on the network's thread

    def _on_message(self) -> None:
        self._last_event = time.monotonic()
        self._meter.received()

    def _on_end(self, end: StreamEnd) -> None:
        self._meter.end(end.status.code)
        core = self._core
        core.debug.headers("In Header", core.address, self._number, self._method.path, end.headers)
        core.debug.trailer(core.address, self._number, self._method.path, end.status, end.trailers)
        if self._is_iterated:
            self._client.streams.discard(self)

    # -- dispatching

    def _settle(self, registration: int) -> None:
        if registration == self._registrations:
            self._begin_dispatch()

    def _begin_dispatch(self) -> None:
        if self._handlers and not self._is_dispatching:
            self._is_dispatching = True
            self._schedule()

    def _schedule(self) -> None:
        if not self._is_dispatching or self._is_iterated:
            return
        with self._lock:
            if self._is_scheduled or not self._inbox.has_something or self._finished.is_set():
                return
            self._is_scheduled = True
        self._client.handler_thread.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        """Handle one event; the next is behind those of other streams."""
        with self._lock:
            self._is_scheduled = False
        item = self._inbox.take(0)
        if isinstance(item, bytes):
            if self._failure is None:
                self._data(item)
        elif item is not None:
            if self._result is None:
                self._end_events(item)
            return
        self._schedule()

    def _data(self, data: bytes) -> None:
        handlers = self._handlers.of("data")
        if not handlers:
            return
        try:
            message = self._decoded(data)
        except DecodeError as error:
            self._refuse(error)
            return
        self._call(handlers, message)

    def _end_events(self, end: StreamEnd) -> None:
        self._result = end
        error = self.error
        if error is not None:
            self._call(self._handlers.of("error"), error)
        said = error.message if error is not None else end.status.message
        self._call(self._handlers.of("status"), Record(code=self._core.status(end.status.code), message=said))
        self._call(self._handlers.of("end"), {})
        self._finish(end)

    def _call(self, handlers: list[Handler], event: Any) -> None:
        arguments = (event, now())
        for handler in handlers:
            try:
                self._context.run(handler.function, *arguments[: handler.arguments])
            except BaseException as error:  # it is the script's: raised where the script sees it
                self._handler_raised(error)

    def _handler_raised(self, error: BaseException) -> None:
        with self._lock:
            first = self._failure is None
            if first:
                self._failure = error
        if first:
            self._inbox.discard()
            self._end_with(Status(StatusCode.UNKNOWN, f"{type(error).__name__}: {error}"))
        else:
            LOGGER.error("another handler raised", exc_info=error, extra={"method": self._method.path})

    # -- helpers

    def _decoded(self, data: bytes) -> Any:
        if self._discards:
            return None
        core, output = self._core, self._method.descriptor.output_type
        core.debug.payload("In Payload", core.address, self._number, self._method.path, output, data)
        return core.codec.to_message(output, data) if self._as_message else self._method.decode(data)

    def _refuse(self, error: DecodeError) -> None:
        self._inbox.discard()
        self._end_with(Status(StatusCode.INTERNAL, f"{UNMARSHAL}proto: {error}"), replace_end=True)

    def _end_with(self, status: Status, *, replace_end: bool = False) -> None:
        self._is_half_closed = True
        if replace_end:
            self._inbox.replace_end(StreamEnd(status))
        self._backend.cancel(status)

    def _finish(self, end: StreamEnd) -> None:
        self._result = end
        if self._failure is None:
            self._client.streams.discard(self)
        self._finished.set()

    def _raise_failure(self) -> None:
        failure = self.take_failure()
        if failure is not None:
            if self._finished.is_set():
                self._client.streams.discard(self)
            raise failure
