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
from puregrpc.channel.retry import Attempts
from puregrpc.channel.unary import SingleResponseCall
from puregrpc.errors import Error, LocalProtocolError, RpcError
from puregrpc.transport.blocking import BlockingSession
from puregrpc.transport.waking import Changes
from puregrpc.wire.compression import CompressedMessage
from puregrpc.wire.connection import Call, ClientConnection, Metadata
from puregrpc.wire.status import Status

if TYPE_CHECKING:
    from puregrpc.channel.blocking import BlockingChannel

__all__ = ["BlockingCall", "BlockingUnaryCall", "ClientSession"]

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

ClientSession = BlockingSession[ClientConnection]

LONGEST_WAIT = threading.TIMEOUT_MAX


class BlockingUnaryCall(SingleResponseCall[ClientSession]):
    """One request, one response: the caller sleeps on ``lock`` until all is there, or reads himself."""

    __slots__ = ("lock",)

    lock: threading.Lock | None
    """Held until the end; None for a caller who reads himself. Set before the call is opened."""

    def on_end(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> None:
        self.ended = True
        self.status = status
        self.trailers = trailers
        self.unprocessed = unprocessed
        self.session.calls.discard(self)
        if self.lock is not None:
            self.lock.release()

    def read(self, deadline: float | None) -> None:
        """Read until the end, for a call that `BlockingSession.lead` said is alone; otherwise as `wait`."""
        session = self.session
        while not self.ended:
            session.read_once(deadline)
            if deadline is not None and time.monotonic() >= deadline:
                self._tell_time()

    def wait(self, deadline: float | None, now: float) -> None:
        """Wait for the end, and see to the deadline. Who is interrupted in it resets the call."""
        lock = cast("threading.Lock", self.lock)
        if deadline is None or self.session.sees_to(deadline, now):
            lock.acquire()
            return
        while not lock.acquire(timeout=time_left(deadline, now)):
            self._tell_time()
            now = time.monotonic()

    def _tell_time(self) -> None:
        session = self.session
        with session.mutex:
            if not self.ended:
                session.operate(session.connection.advance, time.monotonic())
        session.flush()


def time_left(deadline: float, now: float) -> float:
    """Seconds to wait for a deadline; a little more than nothing once it is over, until the connection knows."""
    return min(max(deadline - now, 0.001), LONGEST_WAIT)


class BlockingCall(AnyCall[RequestT, ResponseT]):
    """A call of any shape for blocking callers; as `ClientCall`, with methods that block.

    Use it as a context manager: it opens the call on entry, and cancels it on exit if it is not over. One thread may
    send while another receives.
    """

    __slots__ = (
        "_changes",
        "_channel",
        "_feeder",
        "_is_attempting",
        "_requests",
        "_session",
        "_taken",
    )

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
        attempts = Attempts(channel.options.retry, channel.throttle)
        AnyCall.__init__(self, details, attempts, serialize, deserialize, only_request)
        self._channel = channel
        self._requests = requests
        self._feeder: Feeder | None = None
        self._session: ClientSession | None = None
        self._taken: deque[bytes] = deque()
        self._changes: Changes
        self._is_attempting = False

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
        while True:
            session = self._channel.pick(details.deadline, wait_for_ready=details.wait_for_ready)
            self._move_to(session)
            try:
                with session.mutex:
                    if self._status is not None:
                        return  # cancelled by another thread meanwhile
                    due, self._retry_at = self._retry_at, None
                    try:
                        session.operate(self._begin, session)
                    except BaseException:
                        self._retry_at = due
                        raise
                break
            except Error as error:
                session.calls.discard(self)
                if not (isinstance(error, LocalProtocolError) and session.is_going_away):
                    raise
        session.flush()

    def _move_to(self, session: ClientSession) -> None:
        """Belong to another session. Who waits for a change on the old one is told to look at the new one."""
        old, changes = self._session, Changes()
        if old is None:
            self._session, self._changes = session, changes
            return
        with old.mutex:
            old_changes = self._changes
            self._session, self._changes = session, changes
            old_changes.notify_all()

    def _begin(self, session: ClientSession) -> None:
        """Begin an attempt, with the mutex held: what an earlier one has sent is sent again."""
        details, connection = self._details, session.connection
        Call.__init__(self)
        self.auto_consume = False
        session.calls.add(self)
        replay = self._replay or ()
        end = self._half_closed and not replay
        connection.open_call(
            self,
            self._attempts.request(details.request),
            deadline=details.deadline,
            message=self._first,
            end=end,
            now=time.monotonic(),
            secret_names=self._channel.options.secret_names,
        )
        for sent, compress in replay:
            connection.send_message(self, sent, compress=compress)
        if self._half_closed and not end:
            connection.half_close(self)

    def _attempt_under_way(self) -> ClientSession:
        """The session of the attempt that is under way; the next attempt is made first, if one is due.

        To be asked without the mutex. With it, `_is_on` says whether the answer still holds.
        """
        while True:
            session = self._opened()
            if self._retry_at is None or self._status is not None:
                return session
            self._try_again(session)

    def _is_on(self, session: ClientSession) -> bool:
        return self._session is session and (self._retry_at is None or self._status is not None)

    def _try_again(self, session: ClientSession) -> None:
        """Make the next attempt when it is due; if another thread is at it, wait for that."""
        is_mine = False
        try:
            with session.mutex:
                if self._session is not session or self._retry_at is None or self._status is not None:
                    return
                pause = self._retry_at - time.monotonic()
                waiter = None
                if self._is_attempting or pause > 0:
                    waiter = self._changes.waiter()
                    timeout = -1 if self._is_attempting else min(pause, LONGEST_WAIT)
                else:
                    self._is_attempting = is_mine = True
            if waiter is not None:
                waiter.acquire(timeout=timeout)
                return
            self._open()
        except RpcError as error:
            self._finish_attempts(Status(error.code, error.message))
        except BaseException:
            if is_mine:
                self._finish_attempts(CANCELLED_HERE)
            raise
        finally:
            if is_mine:
                self._finish_attempts(None)

    def _finish_attempts(self, status: Status | None) -> None:
        session = self._opened()
        with session.mutex:
            self._is_attempting = False
            if status is not None and self._status is None:
                self._finish(status, ())
            self._changes.notify_all()

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
        while True:
            session = self._opened()
            with session.mutex:
                if self._session is not session:
                    continue  # another thread has just moved it
                self._messages.clear()
                self._taken.clear()
                if self._status is None:
                    session.operate(session.connection.reset, self, now=time.monotonic())
                    self._finish(CANCELLED_HERE, ())
            break
        session.flush()

    # -- the wire connection's callbacks, with the mutex held

    def on_headers(self, metadata: Metadata) -> None:
        self._headers = metadata
        self._commit()
        self._changes.notify_all()

    def on_message(self, message: bytes) -> None:
        self._messages.append(message)
        if len(self._messages) == 1:
            self._changes.notify_all()

    def on_end(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> None:
        due = self._next_attempt(status, trailers, unprocessed=unprocessed, now=time.monotonic())
        if due is None:
            self._finish(status, trailers)
        else:
            self._retry_at = due
            self._opened().calls.discard(self)
            self._changes.notify_all()

    def on_writable(self) -> None:
        self._changes.notify_all()

    def _finish(self, status: Status, trailers: Metadata) -> None:
        self._status = status
        self._trailers = trailers
        self._opened().calls.discard(self)
        self._changes.notify_all()

    # -- sending

    def send(self, message: RequestT, *, compress: bool = True) -> None:
        """Send a message; wait while too much of what was sent before is held back by flow control.

        Raises LocalProtocolError after `half_close`, InvalidArgument for a message over the send limit, RpcError if
        the call has ended with a status other than OK; does nothing if it has ended with OK.
        """
        self._opened()
        data = self._serialize(message) if self._serialize is not None else cast("bytes", message)
        while True:
            session = self._attempt_under_way()
            with session.mutex:
                if not self._is_on(session):
                    continue
                if self._half_closed:
                    raise LocalProtocolError("nothing can be sent after half_close")
                if self._status is not None:
                    if self._status.code:
                        raise self._error(self._status)
                    return
                session.operate(session.connection.send_message, self, data, compress=compress)
                self._keep(data, compress=compress)
            break
        session.flush()
        self._wait_for_room(session)

    def _wait_for_room(self, session: ClientSession) -> None:
        while not self.is_over and session.connection.send_buffered(self) > session.connection.send_buffer_size:
            connection = session.connection
            waiter = None
            with session.mutex:
                if self._status is None and self._is_on(session):
                    if connection.send_buffered(self) <= connection.send_buffer_size:
                        break
                    waiter = self._changes.waiter()
            if waiter is not None:
                self._wait(waiter, session)
            session = self._attempt_under_way()

    def half_close(self) -> None:
        """Say that all messages have been sent. Idempotent."""
        while True:
            session = self._attempt_under_way()
            with session.mutex:
                if not self._is_on(session):
                    continue
                if not self._half_closed:
                    self._half_closed = True
                    if self._status is None:
                        session.operate(session.connection.half_close, self)
            break
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
        while True:
            session = self._attempt_under_way()
            waiter = None
            with session.mutex:
                if self._session is not session:
                    continue
                if not self._messages and self._status is None and self._is_on(session):
                    waiter = self._changes.waiter()
                elif self._messages:
                    self._taken, self._messages = self._messages, self._taken
                    for message in self._taken:
                        if self._status is None:
                            session.operate(session.connection.consume, self, len(message))
                is_settled = bool(self._taken) or self._status is not None
            if waiter is not None:
                self._wait(waiter, session)
            elif session.has_output:
                session.flush()
            if is_settled:
                return bool(self._taken)

    def __iter__(self) -> Iterator[ResponseT]:
        while (message := self.receive()) is not None:
            yield message

    def headers(self) -> Metadata:
        """Wait for the initial metadata; () if the call ended without. Raises RpcError if it so ended with an error."""
        while True:
            session = self._attempt_under_way()
            waiter = None
            with session.mutex:
                if self._headers is not None:
                    return self._headers
                status = self._status
                if status is None and self._is_on(session):
                    waiter = self._changes.waiter()
            if waiter is not None:
                self._wait(waiter, session)
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

    def _wait(self, waiter: threading.Lock, session: ClientSession) -> None:
        """Wait for a change, without the mutex, and see to the deadline."""
        deadline = self._details.deadline
        if waiter.acquire(timeout=-1 if deadline is None else time_left(deadline, time.monotonic())):
            return
        with session.mutex:
            if self._status is None:
                session.operate(session.connection.advance, time.monotonic())
        session.flush()

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
