"""Calls as blocking callers see them: each waits on a lock of its own, which a callback of the connection opens."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar, cast

from puregrpc.channel.any_call import AnyCall
from puregrpc.channel.details import CallDetails, Deserializer, Serializer
from puregrpc.channel.outcome import CANCELLED_HERE, NO_MESSAGE, TWO_MESSAGES, UnaryResult
from puregrpc.channel.unary import SingleResponseCall
from puregrpc.errors import Error, LocalProtocolError, RpcError
from puregrpc.transport.blocking import BlockingSession
from puregrpc.wire.compression import CompressedMessage
from puregrpc.wire.connection import ClientConnection, Metadata
from puregrpc.wire.status import Status

if TYPE_CHECKING:
    from puregrpc.channel.blocking import BlockingChannel

__all__ = ["BlockingCall", "BlockingUnaryCall", "ClientSession"]

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

ClientSession = BlockingSession[ClientConnection]

LONGEST_WAIT = threading.TIMEOUT_MAX


class BlockingUnaryCall(SingleResponseCall[ClientSession]):
    """One request, one response: the caller sleeps on ``lock`` until all is there."""

    __slots__ = ("lock",)

    def __init__(self, session: ClientSession) -> None:
        SingleResponseCall.__init__(self, session)
        self.lock = threading.Lock()
        self.lock.acquire()

    def on_end(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> None:
        self.ended = True
        self.status = status
        self.trailers = trailers
        self.unprocessed = unprocessed
        self.session.calls.discard(self)
        self.lock.release()

    def read(self, deadline: float | None) -> None:
        """Read until the end, for a call that `BlockingSession.lead` said is alone; otherwise as `wait`."""
        session = self.session
        while not self.ended:
            session.read_once(None if deadline is None else time_left(deadline))
            if deadline is not None and time.monotonic() >= deadline:
                self._tell_time()

    def wait(self, deadline: float | None) -> None:
        """Wait for the end, and see to the deadline. Who is interrupted in it resets the call."""
        if deadline is None:
            self.lock.acquire()
            return
        while not self.lock.acquire(timeout=time_left(deadline)):
            self._tell_time()

    def _tell_time(self) -> None:
        session = self.session
        with session.mutex:
            if not self.ended:
                session.operate(session.connection.advance, time.monotonic())
        session.flush()


def time_left(deadline: float) -> float:
    """Seconds to wait for a deadline; a little more than nothing once it is over, until the connection knows."""
    return min(max(deadline - time.monotonic(), 0.001), LONGEST_WAIT)


class BlockingCall(AnyCall[RequestT, ResponseT]):
    """A call of any shape for blocking callers; as `ClientCall`, with methods that block.

    Use it as a context manager: it opens the call on entry, and cancels it on exit if it is not over. One thread may
    send while another receives.
    """

    __slots__ = ("_changed", "_channel", "_feeder", "_requests", "_session", "_taken")

    def __init__(
        self,
        channel: BlockingChannel,
        details: CallDetails,
        *,
        serialize: Serializer[RequestT] | None = None,
        deserialize: Deserializer[ResponseT] | None = None,
        only_request: bytes | None = None,
        requests: Iterable[RequestT] | None = None,
    ) -> None:
        AnyCall.__init__(self, details, serialize, deserialize, only_request)
        self._channel = channel
        self._requests = requests
        self._feeder: Feeder | None = None
        self._session: ClientSession | None = None
        self._taken: deque[bytes] = deque()
        self._changed: threading.Condition

    # -- what it is

    @property
    def peer(self) -> str:
        """The address of the server that the call went to."""
        return self._opened().peer

    # -- opening and closing

    def __enter__(self) -> BlockingCall[RequestT, ResponseT]:
        if self._session is not None:
            raise LocalProtocolError("a call can be entered only once")
        self._details = self._channel.prepare(self._details)
        self._open()
        if self._requests is not None:
            self._feeder = Feeder(self, self._requests)
            self._feeder.start()
        return self

    def _open(self) -> None:
        details = self._details
        self.auto_consume = False
        while True:
            session = self._channel.pick(details.deadline, wait_for_ready=details.wait_for_ready)
            self._session = session
            self._changed = threading.Condition(session.mutex)
            try:
                with session.mutex:
                    session.calls.add(self)
                    session.operate(
                        session.connection.open_call,
                        self,
                        details.request,
                        deadline=details.deadline,
                        message=self._first,
                        end=self._half_closed,
                        now=time.monotonic(),
                        secret_names=self._channel.options.secret_names,
                    )
                break
            except Error as error:
                session.calls.discard(self)
                if not (isinstance(error, LocalProtocolError) and session.is_going_away):
                    raise
        session.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()
        if self._feeder is not None:
            self._feeder.join()
            if self._feeder.error is not None and error is None:
                raise self._feeder.error

    def cancel(self) -> None:
        """End the call from this side (RST_STREAM, CANCEL). Idempotent; messages that wait are dropped."""
        session = self._opened()
        with session.mutex:
            self._messages.clear()
            self._taken.clear()
            if self._status is None:
                session.operate(session.connection.reset, self)
                self._finish(CANCELLED_HERE, ())
        session.flush()

    # -- the wire connection's callbacks, with the mutex held

    def on_headers(self, metadata: Metadata) -> None:
        self._headers = metadata
        self._changed.notify_all()

    def on_message(self, message: bytes) -> None:
        self._messages.append(message)
        if len(self._messages) == 1:
            self._changed.notify_all()

    def on_end(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> None:  # noqa: ARG002
        self._finish(status, trailers)

    def on_writable(self) -> None:
        self._changed.notify_all()

    def _finish(self, status: Status, trailers: Metadata) -> None:
        self._status = status
        self._trailers = trailers
        self._opened().calls.discard(self)
        self._changed.notify_all()

    # -- sending

    def send(self, message: RequestT, *, compress: bool = True) -> None:
        """Send a message; wait while too much of what was sent before is held back by flow control.

        Raises LocalProtocolError after `half_close`, InvalidArgument for a message over the send limit, RpcError if
        the call has ended with a status other than OK; does nothing if it has ended with OK.
        """
        session = self._opened()
        data = self._serialize(message) if self._serialize is not None else cast("bytes", message)
        connection = session.connection
        with session.mutex:
            if self._half_closed:
                raise LocalProtocolError("nothing can be sent after half_close")
            if self._status is not None:
                if self._status.code:
                    raise self._error(self._status)
                return
            session.operate(connection.send_message, self, data, compress=compress)
        session.flush()
        while not self.is_over and connection.send_buffered(self) > connection.send_buffer_size:
            with session.mutex:
                while connection.send_buffered(self) > connection.send_buffer_size and self._status is None:
                    if not self._wait():
                        break
            session.flush()

    def half_close(self) -> None:
        """Say that all messages have been sent. Idempotent."""
        session = self._opened()
        with session.mutex:
            if not self._half_closed:
                self._half_closed = True
                if self._status is None:
                    session.operate(session.connection.half_close, self)
        session.flush()

    # -- receiving

    def receive(self) -> ResponseT | None:
        """The next message, or None at the end of a call whose status is OK.

        Raises RpcError for another status, once the messages before it are taken; what the deserializer raises ends
        the call.
        """
        if not self._taken and not self._take():
            status = self.status
            if status.code:
                raise self._error(status)
            return None
        message = self._taken.popleft()
        if type(message) is CompressedMessage:
            message = self._inflated(message)
        try:
            return cast("ResponseT", message) if self._deserialize is None else self._deserialize(message)
        except BaseException:
            self.cancel()
            raise

    def _take(self) -> bool:
        """Take all messages that are here, and wait for the first if there are none. False at the end."""
        session = self._opened()
        while True:
            with session.mutex:
                while not self._messages and self._status is None:
                    if not self._wait():
                        break
                if self._messages:
                    self._taken, self._messages = self._messages, self._taken
                    for message in self._taken:
                        if self._status is None:
                            session.operate(session.connection.consume, self, len(message))
                is_settled = bool(self._taken) or self._status is not None
            if session.has_output:
                session.flush()
            if is_settled:
                return bool(self._taken)

    def __iter__(self) -> Iterator[ResponseT]:
        while (message := self.receive()) is not None:
            yield message

    def headers(self) -> Metadata:
        """Wait for the initial metadata; () if the call ended without. Raises RpcError if it so ended with an error."""
        session = self._opened()
        while True:
            with session.mutex:
                while self._headers is None and self._status is None:
                    if not self._wait():
                        break
                if self._headers is not None:
                    return self._headers
                status = self._status
            session.flush()
            if status is not None:
                if status.code:
                    raise self._error(status)
                return ()

    def single_response(self) -> UnaryResult[ResponseT]:
        """Receive the one message of a call that takes one, and its status. Raises RpcError as unary calls do."""
        message = self.receive()
        if message is None:
            raise self._error(NO_MESSAGE)
        if self.receive() is not None:
            self.cancel()
            raise self._error(TWO_MESSAGES)
        return UnaryResult(message, self._headers or (), self._trailers, self.status)

    # -- helpers

    def _wait(self) -> bool:
        """Wait, with the mutex held, for a change. False if the deadline passed instead: there may be output."""
        deadline = self._details.deadline
        if self._changed.wait(None if deadline is None else time_left(deadline)):
            return True
        session = self._opened()
        if self._status is None:
            session.operate(session.connection.advance, time.monotonic())
        return False

    def _opened(self) -> ClientSession:
        if self._session is None:
            raise LocalProtocolError("the call was not opened: use it as a context manager")
        return self._session


class Feeder(threading.Thread):
    """Sends what an iterable gives, beside the thread that receives."""

    def __init__(self, call: BlockingCall[RequestT, ResponseT], requests: Iterable[RequestT]) -> None:
        super().__init__(name="puregrpc requests", daemon=True)
        self.error: Exception | None = None
        self._call = call
        self._source = iter(requests)

    def run(self) -> None:
        call = self._call
        try:
            for request in self._source:
                call.send(request)
                if call.is_over:
                    return
            call.half_close()
        except RpcError:
            return  # the call has ended: whoever receives is told
        except Exception as error:
            self.error = error
            call.cancel()
