"""Streams of the blocking client: events for handlers, or plain iteration."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from puregrpc._locks import Lock
from puregrpc.client.calls.log import LOGGER
from puregrpc.client.calls.requests import Outcome
from puregrpc.client.network.inbox import Inbox, Patience
from puregrpc.client.params.call import CallKeywords
from puregrpc.client.params.durations import milliseconds
from puregrpc.client.results.wording import CANCELED_HERE
from puregrpc.client.streams.base import STALLED, StreamBase, connected, undecodable
from puregrpc.client.streams.client_state import BlockingState, StreamClient, state_of
from puregrpc.client.streams.events import Handler, now
from puregrpc.errors import DecodeError
from puregrpc.kernel.threads.waking import Event
from puregrpc.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Stream"]

SETTLE_SECONDS = 0.01
"""Events wait until handlers are registered: for the first write or end after `on`, or for so long after the last
`on`. (k6 waits until the script's function has returned.)"""


class Stream(StreamBase):
    """A call with several messages: ``Stream(client, "pkg.Service/Method")``; opened at once.

    With handlers (`on`), which run one at a time on the client's own thread for them, or by iteration
    (``for message in stream``), but not both. Usable from any thread, handlers included.

    A handler's exception ends the stream, and is raised by the next call on the stream, by `Client.close`, or at the
    end of the program, which then exits with status 1.
    """

    def __init__(
        self,
        client: StreamClient[BlockingState[Stream]],
        url: str = "",
        params: Mapping[str, Any] | None = None,
        *,
        as_message: bool = False,
        **keywords: Unpack[CallKeywords],
    ) -> None:
        """Open a stream. ``params`` or keywords: metadata, tags, timeout (for the whole stream; none by default),
        discard_response_message (messages are given as ``{}``).

        ``as_message``: messages are given as google.protobuf objects. Raises NotConnected, InvalidArgument or
        SchemaError if it cannot be; what the server does comes as events.
        """
        self._state = state = state_of(client, BlockingState, "Client")
        connection = connected(state.connected)
        super().__init__(state.core, url, params, keywords, as_message=as_message)
        self._client = client  # which lives as long as its streams
        self._context = contextvars.copy_context()
        self._lock = Lock()
        self._is_scheduled = False
        self._is_measured = False
        self._undecoded = 0
        self._registrations = 0
        self._finished = Event()
        self._last_event = time.monotonic()
        self._inbox = Inbox(self._on_message, self._on_end, self._schedule)
        state.streams.add(self)
        try:
            self._call = connection.open_stream(self._request, self._inbox, self._reading_of)
        except BaseException:  # Ctrl-C's
            state.streams.discard(self)
            raise
        self._is_begun()

    # -- for the script

    def on(self, event: str = "", handler: Callable[..., Any] | None = None) -> None:
        """Have ``handler`` called for an event.

        ``data(message, meta)`` for each message; ``error(error, meta)`` with a `CallError`, if the call fails;
        ``status(status, meta)`` with code and message, and ``end(_, meta)``, each once, last. ``meta.ts`` is the time
        in seconds since the epoch. Handlers may take fewer arguments. An unknown event is a warning in the log.
        """
        self._raise_failure()
        if not self._register(event, handler):
            return
        with self._lock:
            self._registrations += 1
            current = self._registrations
        if not self._is_dispatching:
            self._state.handler_thread.call_later(SETTLE_SECONDS, lambda: self._settle(current))

    def write(self, message: Any) -> None:
        """Send a message, a dict or a google.protobuf object; waits while the server takes no more.

        After `end`, or when the stream is over, nothing happens. A message that does not fit its type ends a stream
        with handlers by an ``error`` event, as in k6; otherwise it raises EncodeError, and the stream goes on.
        """
        self._state.check_process()
        self._raise_failure()
        connection = self._state.connection
        if connection is not None and connection.asks_for_types:
            connection.learn(self._core.writing_of(self._method.path, message))
        data = self._encoded(message, is_over=self._inbox.ended is not None)
        if data is None:
            return
        patience = Patience(self._state.holds_a_server_back) if self._state.handler_thread.is_current else None
        self._call.send(data, self._meter.sent, patience)
        if patience is not None and patience.is_at_its_end:
            self._end_with(STALLED)
            return
        if self._sends_one:
            self._half_close()
        self._begin_dispatch()

    def end(self) -> None:
        """Say that all messages are sent (half-close). Idempotent."""
        self._state.check_process()
        self._raise_failure()
        self._is_ended = True
        self._half_close()
        self._begin_dispatch()

    def _half_close(self) -> None:
        if not self._is_half_closed:
            self._is_half_closed = True
            self._call.half_close()

    def cancel(self) -> None:
        """End the stream from this side, at once. Idempotent."""
        self._end_with(CANCELED_HERE)

    def wait(self, timeout: float | str | None = None) -> bool:
        """Wait until the stream is over and its handlers have run; False if that is not so after ``timeout``.

        A number is milliseconds, text has units. Raises what a handler raised; LocalProtocolError in a handler, which
        would wait for itself.
        """
        self._check_that_it_ends(self._state.handler_thread.is_current and not self._is_iterated)
        self._begin_dispatch()
        done = self._finished.wait(None if timeout is None else milliseconds(timeout) / 1000)
        self._raise_failure()
        return done

    def __iter__(self) -> Iterator[Any]:
        """The messages as they come. Raises RpcError at the end of a call that failed."""
        self._state.check_process()
        self._raise_failure()
        self._begin_iteration()
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
                failed = self._failed(item)
                if failed is not None:
                    try:
                        raise failed
                    finally:
                        del failed  # no cycle through the traceback
                return

    @property
    def is_over(self) -> bool:
        """Whether the stream has ended and its end was handled, or iterated to."""
        return self._finished.is_set()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._finished.is_set() and self._inbox.ended is None:
            self.cancel()

    # -- the client's

    @property
    def last_event(self) -> float:
        """When something last happened on it (`time.monotonic`)."""
        return self._last_event

    @property
    def holds_server_back(self) -> bool:
        """Whether it has received as much as it keeps, so that the server waits for a handler or the reader."""
        return self._inbox.is_full

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
        if self._sent_time is not None:
            self._arrivals.append(time.time())
        with self._lock:
            self._undecoded += 1

    def _on_end(self, end: Outcome) -> None:
        self._meter.stop()
        if self._is_iterated or not (self._undecoded and self._handlers.of("data")):
            self._measure(end)  # else a message that waits may be none of its type, which decides about the status
        if self._is_iterated:
            self._state.streams.discard(self)

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
        self._state.handler_thread.call_soon(self._dispatch)

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
        with self._lock:
            self._undecoded -= 1
        self._call_all(handlers, message)

    def _measure(self, end: Outcome) -> None:
        with self._lock:
            first, self._is_measured = not self._is_measured, True
        if first:
            self._ended(end)

    def _end_events(self, end: Outcome) -> None:
        self._result = end
        self._measure(end)
        error = self.error
        if error is not None:
            self._call_all(self._handlers.of("error"), error)
        self._call_all(self._handlers.of("status"), self._final_status(end))
        self._call_all(self._handlers.of("end"), {})
        self._finish(end)

    def _call_all(self, handlers: list[Handler], event: Any) -> None:
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

    def _refuse(self, error: DecodeError) -> None:
        self._inbox.discard()
        self._meter.refused()
        status = undecodable(error)
        self._inbox.replace_end(Outcome(status))
        self._end_with(status)

    def _end_with(self, status: Status) -> None:
        self._is_ended = self._is_half_closed = True
        self._call.cancel(status)

    def _finish(self, end: Outcome) -> None:
        self._result = end
        if self._failure is None:
            self._state.streams.discard(self)
        self._finished.set()

    def _raise_failure(self) -> None:
        failure = self.take_failure()
        if failure is not None:
            if self._finished.is_set():
                self._state.streams.discard(self)
            try:
                raise failure
            finally:
                del failure  # no cycle through the traceback
