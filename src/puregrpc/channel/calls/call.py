"""Calls of any shape as a client sees them, with their bounded receive side and their other attempts.

A call is one object: the wire connection's `Call`, and what waits for it. It has no task, nursery or queue of its own.
What the connection tells and what changes the call happens with the mutex held; whoever waits asks for a waiter there,
and waits outside of it.
"""

from __future__ import annotations

from collections import deque
from math import inf
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from puregrpc.channel.calls.outcome import CANCELLED_HERE, NO_MESSAGE, TWO_MESSAGES, UnaryResult, rpc_error
from puregrpc.channel.calls.retry import REPLAY_LIMIT, Attempts
from puregrpc.channel.details import CallDetails, Deserializer, Serializer
from puregrpc.errors import LocalProtocolError, RpcError
from puregrpc.kernel import Waiter
from puregrpc.transport import ClientSession
from puregrpc.wire.compression import CompressedMessage
from puregrpc.wire.connection import Call, Metadata, Request
from puregrpc.wire.status import Status

if TYPE_CHECKING:
    from puregrpc.channel.core import ChannelCore
    from puregrpc.transport import ConnectionSecurity

__all__ = ["ClientCall"]

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

MOST_TAKEN = 64 << 10
"""Octets of messages that are taken, and given back to the server's window, at a time: so many small ones cost little
each, and no more than this is in memory beyond the window."""


class ClientCall(Call, Generic[RequestT, ResponseT]):
    """A call of any shape; messages go out and come in as they will.

    Use it as an async context manager: it opens the call on entry, and cancels it on exit if it is not over. One task
    may send while another receives. Messages that have come wait here until they are taken, and hold the server back
    by flow control meanwhile.

    ``status`` and ``trailers`` are there after the end, which `receive` tells by None or RpcError.
    """

    inflates_messages = True

    __slots__ = (
        "_attempts",
        "_config",
        "_core",
        "_deserialize",
        "_details",
        "_first",
        "_half_closed",
        "_headers",
        "_is_attempting",
        "_is_entered",
        "_is_picking",
        "_is_receiving",
        "_messages",
        "_replay",
        "_replay_size",
        "_retry_at",
        "_serialize",
        "_session",
        "_status",
        "_taken",
        "_trailers",
        "_waiters",
    )

    def __init__(
        self,
        core: ChannelCore,
        details: CallDetails,
        *,
        serialize: Serializer[RequestT] | None = None,
        deserialize: Deserializer[ResponseT] | None = None,
        only_request: bytes | None = None,
    ) -> None:
        Call.__init__(self)
        self._core = core
        self._details = details
        self._serialize = serialize
        self._deserialize = deserialize
        self._first = only_request
        self._half_closed = only_request is not None
        self._config = config = core.options.methods.of(details.path)
        self._attempts = Attempts(config.retry, core.throttle)
        self._session: ClientSession | None = None
        self._headers: Metadata | None = None
        self._messages: deque[bytes] = deque()
        """Those that have come, to be taken with the mutex held."""
        self._taken: deque[bytes] = deque()
        """Those that are for the one who receives alone."""
        self._status: Status | None = None
        self._trailers: Metadata = ()
        self._replay: list[tuple[bytes, bool]] | None = []
        """What was sent, to be sent again in another attempt; None: the call is committed, there is no other."""
        self._replay_size = 0
        self._retry_at: float | None = None
        """An attempt failed, and the next one is due then: whoever sends or receives makes it."""
        self._waiters: list[Waiter] = []
        self._is_entered = self._is_picking = self._is_attempting = self._is_receiving = False

    # -- what it is

    @property
    def details(self) -> CallDetails:
        """What the call was opened with."""
        return self._details

    @property
    def peer(self) -> str:
        """The address of the server that the call went to; empty before that is known."""
        return self._session.peer if self._session is not None else ""

    @property
    def received_headers(self) -> Metadata | None:
        """The initial metadata, if it has come; `headers` waits for it."""
        return self._headers

    @property
    def security(self) -> ConnectionSecurity | None:
        """How the connection that the call went over is secured, with the server's certificate as data; None in
        plaintext, and before the call is opened."""
        return self._session.security if self._session is not None else None

    @property
    def was_opened(self) -> bool:
        """The call was opened on a connection, whether or not it is over."""
        return self._session is not None

    @property
    def is_open(self) -> bool:
        """The call was opened, and is not over."""
        return self._session is not None and self._status is None

    @property
    def is_over(self) -> bool:
        """The call has ended, though messages that came before may wait to be received."""
        return self._status is not None

    @property
    def status(self) -> Status:
        """How the call ended. Raises LocalProtocolError before the end."""
        if self._status is None:
            raise LocalProtocolError("the status of a call is not known before its end: receive until None")
        return self._status

    @property
    def trailers(self) -> Metadata:
        """The trailing metadata. Raises LocalProtocolError before the end."""
        if self._status is None:
            raise LocalProtocolError("the trailers of a call are not known before its end: receive until None")
        return self._trailers

    @property
    def unsent(self) -> int:
        """Bytes of messages that flow control holds back."""
        return 0 if self._status is not None else self._buffered(self._opened_session())

    @property
    def has_message(self) -> bool:
        """Whether a message has come that was not received yet."""
        return bool(self._taken or self._messages)

    # -- opening and closing

    async def __aenter__(self) -> ClientCall[RequestT, ResponseT]:
        if self._is_entered:
            raise LocalProtocolError("a call can be entered only once")
        self._is_entered = True
        self._details = await self._core.prepare(self._details)
        try:
            await self._open()
        except BaseException:
            self.cancel()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    async def _begin_attempt(self) -> None:
        """Begin an attempt on a connection that is ready."""
        while True:
            self._is_picking = True
            try:
                session = await self._core.pick(self._details, self._is_wanted)
            finally:
                self._is_picking = False
            try:
                session.locked(self._begin, session)
            except LocalProtocolError:
                if not session.is_going_away:  # else since it was chosen
                    raise
                continue
            session.push()
            return

    _open = _begin_attempt

    def _is_wanted(self) -> bool:
        return self._status is None

    def _begin(self, session: ClientSession) -> None:
        """Open the call on a session; what an earlier attempt has sent is sent again."""
        if self._status is not None:
            return
        due, self._retry_at = self._retry_at, None
        Call.__init__(self)
        self.auto_consume = False
        self._session = session
        try:
            request = self._attempts.request(self._details.request)
            self._open_attempt(session, self, request, self._core.kernel.now())
        except BaseException:
            self._retry_at = due
            raise

    def _open_attempt(self, session: ClientSession, attempt: Call, request: Request, now: float) -> None:
        """Open an attempt on a session; what was sent before it is sent again."""
        replay = list(self._replay or ())
        end = self._half_closed and not replay
        session.open_call(attempt, request, deadline=self._details.deadline, message=self._first, end=end, now=now)
        for sent, compress in replay:
            session.connection.send_message(attempt, sent, compress=compress)
        if self._half_closed and not end:
            session.connection.half_close(attempt)

    def cancel(self) -> None:
        """End the call from this side (RST_STREAM, CANCEL). Idempotent; messages that wait are dropped."""
        session = self._session
        if session is None:
            self._core.kernel.locked(self._cancel)
        elif self._status is None or self._messages or self._taken:
            session.locked(self._cancel)
            self._push(session)

    def _cancel(self) -> None:
        self._messages.clear()
        self._taken.clear()
        if self._status is not None:
            return
        self._reset()
        self._finish(CANCELLED_HERE, ())
        if self._is_picking:
            self._core.give_up_waiting()

    # -- the wire connection's callbacks

    def on_headers(self, metadata: Metadata) -> None:
        self._headers = metadata
        self._commit()
        self._notify()

    def on_message(self, message: bytes) -> None:
        self._messages.append(message)
        if self._waiters:
            self._notify()

    def on_end(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> None:
        session = self._opened_session()
        if status.code:
            session.calls_failed += 1
        session.over(self)
        due = self._next_attempt(status, trailers, unprocessed=unprocessed)
        if due is None:
            self._finish(status, trailers)
        else:
            self._retry_at = due
            self._notify()

    def on_writable(self) -> None:
        self._notify()

    def _finish(self, status: Status, trailers: Metadata) -> None:
        self._status = status
        self._trailers = trailers
        self._retry_at = None
        self._notify()

    def _notify(self) -> None:
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                waiter.wake()

    # -- waiting

    def _waiter(self) -> Waiter:
        """What is woken by the next thing that happens to the call. With the mutex held."""
        waiter = self._core.kernel.waiter()
        if self._retry_at is None:
            self._waiters.append(waiter)
        else:
            waiter.wake()  # the next attempt is to be made first
        return waiter

    async def _wait(self, waiter: Waiter) -> None:
        await self._opened_session().wait(waiter, self._details.deadline)
        if self._retry_at is not None:
            await self._try_again()

    def _opened_session(self) -> ClientSession:
        if self._session is None:
            raise LocalProtocolError("the call was not opened: use it as a context manager")
        return self._session

    # -- sending

    async def send(self, message: RequestT, *, compress: bool = True, wait: bool = True) -> None:
        """Send a message; wait while too much of what was sent before is held back by flow control.

        ``wait`` False leaves that to `wait_for_room`. ``compress`` False sends this message as it is although the
        call compresses. Raises LocalProtocolError after `half_close`, InvalidArgument for a message over the send
        limit, RpcError if the call has ended with a status other than OK; does nothing if it has ended with OK.
        """
        session = self._opened_session()
        data = cast("bytes", message) if self._serialize is None else self._serialize(message)
        self._config.check_request(len(data))
        while not session.locked(self._send, session, data, compress):
            await self._try_again()
            session = self._opened_session()
        self._push(session)
        if wait:
            await self.wait_for_room()

    def _send(self, session: ClientSession, data: bytes, compress: bool) -> bool:
        """False if another attempt is due first."""
        if self._half_closed:
            raise LocalProtocolError("nothing can be sent after half_close")
        if self._status is not None:
            if self._status.code:
                raise self._error(self._status)
            return True
        if self._retry_at is not None or self._session is not session:
            return False
        self._put(session, data, compress)
        self._keep(data, compress)
        return True

    async def wait_for_room(self, until: float = inf) -> None:
        """Wait while too much of what was sent is held back by flow control, as `send` does, or until the call ends.

        ``until`` is a point in time to give up at, on the kernel's clock.
        """
        while self._is_held_back() and self._core.kernel.now() < until:
            waiter = self._opened_session().locked(self._room_waiter)
            if until == inf:
                await self._wait(waiter)
            elif await waiter.wait(until) and self._retry_at is not None:
                await self._try_again()

    def _is_held_back(self) -> bool:
        if self._status is not None:
            return False
        return self._retry_at is not None or self._is_clogged(self._opened_session())

    def _room_waiter(self) -> Waiter:
        waiter = self._waiter()
        if not self._is_held_back():
            waiter.wake()
        return waiter

    async def half_close(self) -> None:
        """Say that all messages have been sent. Idempotent."""
        session = self._opened_session()
        if not self._half_closed:
            session.locked(self._half_close)
            self._push(session)

    def _half_close(self) -> None:
        if not self._half_closed:
            self._half_closed = True
            if self._status is None and self._retry_at is None:
                self._end_sending(self._opened_session())

    # -- receiving

    async def receive(self) -> ResponseT | None:
        """The next message, or None at the end of a call whose status is OK.

        Raises RpcError for another status, once the messages before it are taken; what the deserializer raises ends
        the call.
        """
        if self._taken or await self._take():
            return self.next_taken()
        status = self.status
        if status.code:
            raise self._error(status)
        return None

    def next_taken(self) -> ResponseT:
        """The next of the messages that were taken already; `receive` without waiting."""
        message = self._taken.popleft()
        if type(message) is CompressedMessage:
            message = self._inflated(message)
        if self._deserialize is None:
            return cast("ResponseT", message)
        try:
            return self._deserialize(message)
        except BaseException:
            self.cancel()
            raise

    @property
    def has_taken(self) -> bool:
        """Whether `next_taken` has something."""
        return bool(self._taken)

    async def _take(self) -> bool:
        """Take messages that are here, and wait for the first if there are none. False at the end."""
        while True:
            session = self._opened_session()
            waiter = session.locked(self._take_or_wait)
            if waiter is None:
                session.push()
                return bool(self._taken)
            try:
                await self._wait(waiter)
            finally:
                self._is_receiving = False

    def _take_or_wait(self) -> Waiter | None:
        messages = self._messages
        if not messages:
            if self._status is not None:
                return None
            if self._is_receiving:
                raise LocalProtocolError("another task is receiving on this call already")
            self._is_receiving = True
            return self._waiter()
        taken, octets = self._taken, 0
        while messages and octets < MOST_TAKEN:
            message = messages.popleft()
            octets += len(message)
            taken.append(message)
        session = self._opened_session()
        session.messages_received += len(taken)
        session.last_received = session.connection.now
        if self._status is None:
            self._consume(session, octets)
        return None

    def __aiter__(self) -> ClientCall[RequestT, ResponseT]:
        return self

    async def __anext__(self) -> ResponseT:
        message = await self.receive()
        if message is None:
            raise StopAsyncIteration
        return message

    async def headers(self) -> Metadata:
        """Wait for the initial metadata; () if the call ended without. Raises RpcError if it so ended with an error."""
        while (waiter := self._opened_session().locked(self._headers_waiter)) is not None:
            await self._wait(waiter)
        if self._headers is None and self.status.code:
            raise self._error(self.status)
        return self._headers or ()

    def _headers_waiter(self) -> Waiter | None:
        return self._waiter() if self._headers is None and self._status is None else None

    async def ended(self) -> Status:
        """Wait for the end of the call, whatever it is; messages that came before it may still be received."""
        while (waiter := self._opened_session().locked(self._end_waiter)) is not None:
            await self._wait(waiter)
        return self.status

    def _end_waiter(self) -> Waiter | None:
        return self._waiter() if self._status is None else None

    async def single_response(self) -> UnaryResult[ResponseT]:
        """Receive the one message of a call that takes one, and its status. Raises RpcError as unary calls do."""
        message = await self.receive()
        if message is None:
            raise self._error(NO_MESSAGE)
        if await self.receive() is not None:
            self.cancel()
            raise self._error(TWO_MESSAGES)
        return UnaryResult(message, self._headers or (), self._trailers, self.status)

    # -- on the wire: what a call does that is several calls there

    def _put(self, session: ClientSession, data: bytes, compress: bool) -> None:
        session.connection.send_message(self, data, compress=compress)
        session.messages_sent += 1
        session.last_sent = session.kernel.now()

    def _end_sending(self, session: ClientSession) -> None:
        session.connection.half_close(self)

    def _buffered(self, session: ClientSession) -> int:
        return session.connection.send_buffered(self)

    def _is_clogged(self, session: ClientSession) -> bool:
        return session.connection.is_held_back(self)

    def _consume(self, session: ClientSession, octets: int) -> None:
        session.connection.consume(self, octets)

    def _reset(self) -> None:
        if self._session is not None and self._retry_at is None:
            self._session.reset_call(self)

    def _push(self, session: ClientSession) -> None:
        session.push()

    # -- other attempts

    def _keep(self, message: bytes, compress: bool) -> None:
        """Keep a message that was sent for another attempt; with too many of them, there is none any more."""
        if self._replay is None:
            return
        self._replay.append((message, compress))
        self._replay_size += len(message)
        if self._replay_size > REPLAY_LIMIT:
            self._commit()

    def _commit(self) -> None:
        """There will be no other attempt: what it would have sent again is of no use."""
        self._first = self._replay = None

    def _next_attempt(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> float | None:
        """When the attempt that follows one which ended so is due; None: there is none."""
        now, deadline = self._core.kernel.now(), self._details.deadline
        pause = self._attempts.next_pause(
            status,
            trailers,
            committed=self._replay is None,
            unprocessed=unprocessed,
            sent=self.wire_id > 0,
            time_left=None if deadline is None else deadline - now,
        )
        return None if pause is None else now + pause

    async def _try_again(self) -> None:
        """Make the next attempt when it is due; if another task is at it, wait for that.

        If no connection can be had for it, the call ends. Whoever is interrupted leaves it to the next who asks.
        """
        locked = self._core.kernel.locked
        while not self._is_over_or_attempted():
            wait = locked(self._claim_attempt)
            if wait is not None:
                waiter, until = wait
                await waiter.wait(until)
                continue
            try:
                await self._begin_attempt()
            except RpcError as error:
                locked(self._finish_attempts, Status(error.code, error.message, error.details_bin))
            except Exception:
                locked(self._finish_attempts, CANCELLED_HERE)
                raise
            finally:
                locked(self._attempt_made)

    def _is_over_or_attempted(self) -> bool:
        return self._retry_at is None or self._status is not None

    def _claim_attempt(self) -> tuple[Waiter, float] | None:
        """What to wait for before the next attempt, and until when; None if it is to be made now, by who asked."""
        retry_at = self._retry_at
        if retry_at is None or self._status is not None:
            until, is_due = inf, True
        else:
            until = inf if self._is_attempting else retry_at
            is_due = not self._is_attempting and retry_at <= self._core.kernel.now()
            if is_due:
                self._is_attempting = True
                return None
        waiter = self._core.kernel.waiter()
        if is_due:
            waiter.wake()
        else:
            self._waiters.append(waiter)
        return waiter, until

    def _attempt_made(self) -> None:
        self._is_attempting = False
        self._notify()

    def _finish_attempts(self, status: Status) -> None:
        if self._status is None:
            self._finish(status, ())

    # -- helpers

    def _inflated(self, message: CompressedMessage) -> bytes:
        try:
            return message.inflate()
        except RpcError as error:
            self.cancel()
            self._status = Status(error.code, error.message)  # though the server's may have been OK
            raise self._error(self._status) from None

    def _error(self, status: Status) -> RpcError:
        return rpc_error(status, self._headers or (), self._trailers)
