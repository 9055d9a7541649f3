"""Calls as a client sees them: the bare unary call, and the streaming call with its bounded receive side.

Each is one object: the wire connection's `Call` and what the caller's own task waits on. No call has a task, nursery or
memory channel; the waiting task is rescheduled by the callback that brings what it waits for, once.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, TypeVar, cast

import trio
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

from puregrpc.channel.any_call import AnyCall
from puregrpc.channel.details import CallDetails, Deserializer, Serializer
from puregrpc.channel.outcome import CANCELLED_HERE, NO_MESSAGE, TWO_MESSAGES, UnaryResult
from puregrpc.channel.retry import Attempts
from puregrpc.channel.unary import SingleResponseCall
from puregrpc.errors import LocalProtocolError, RpcError
from puregrpc.wire.compression import CompressedMessage
from puregrpc.wire.connection import Call, Metadata
from puregrpc.wire.status import Status

if TYPE_CHECKING:
    from puregrpc.channel.core import ChannelCore
    from puregrpc.channel.subchannel import ChannelSession

__all__ = ["ClientCall", "UnaryCall"]

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class UnaryCall(SingleResponseCall["ChannelSession"]):
    """One request, one response: the waiting task is woken once, when all is there."""

    __slots__ = ("task",)

    def __init__(self, session: ChannelSession) -> None:
        SingleResponseCall.__init__(self, session)
        self.task: Task | None = None

    def on_end(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> None:
        self.ended = True
        self.status = status
        self.trailers = trailers
        self.unprocessed = unprocessed
        if self.task is not None:
            reschedule(self.task)
            self.task = None

    async def wait(self) -> None:
        """Wait for the end. When cancelled, the call is reset and the connection stays usable."""
        if not self.ended:
            self.task = current_task()
            await wait_task_rescheduled(self._abort)

    def _abort(self, _raise_cancel: object) -> Abort:
        self.task = None
        self.ended = True
        self.session.connection.reset(self, now=trio.current_time())
        return Abort.SUCCEEDED


class ClientCall(AnyCall[RequestT, ResponseT]):
    """A call of any shape; messages go out and come in as they will.

    Use it as an async context manager: it opens the call on entry, and cancels it on exit if it is not over. One task
    may send while another receives. Messages that have come wait here until they are taken, and hold the server back
    by flow control meanwhile.

    ``status`` and ``trailers`` are there after the end, which `receive` tells by None or RpcError.
    """

    __slots__ = (
        "_attempting",
        "_core",
        "_opened",
        "_receiver",
        "_sender",
        "_session",
        "_watchers",
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
        attempts = Attempts(core.options.retry, core.throttle)
        AnyCall.__init__(self, details, attempts, serialize, deserialize, only_request)
        self._core = core
        self._session: ChannelSession | None = None
        self._opened = False
        self._receiver: Task | None = None
        self._sender: Task | None = None
        self._watchers: trio.lowlevel.ParkingLot | None = None
        self._attempting: trio.CancelScope | None = None

    # -- what it is

    @property
    def details(self) -> CallDetails:
        """What the call was opened with."""
        return self._details

    @property
    def peer(self) -> str:
        """The address of the server that the call went to; empty before that is known."""
        return self._session.peer if self._session is not None else ""

    # -- opening and closing

    async def __aenter__(self) -> ClientCall[RequestT, ResponseT]:
        if self._opened:
            raise LocalProtocolError("a call can be entered only once")
        self._opened = True
        self._details = await self._core.prepare(self._details)
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    async def _open(self) -> None:
        details = self._details
        session = await self._core.pick(details)
        if self._status is not None:
            return  # cancelled by another task meanwhile
        Call.__init__(self)
        self.auto_consume = False
        self._session = session
        self._retry_at = None
        replay = self._replay or ()
        message, end = self._first, self._half_closed and not replay
        session.connection.open_call(
            self,
            self._attempts.request(details.request),
            deadline=details.deadline,
            message=message,
            end=end,
            now=trio.current_time(),
            secret_names=self._core.options.secret_names,
        )
        session.call_opened(details.deadline)
        for sent, compress in replay:
            session.connection.send_message(self, sent, compress=compress)
        if self._half_closed and not end:
            session.connection.half_close(self)

    def cancel(self) -> None:
        """End the call from this side (RST_STREAM, CANCEL). Idempotent; messages that wait are dropped."""
        self._messages.clear()
        if self._status is None:
            if self._session is not None:
                self._session.connection.reset(self, now=trio.current_time())
            self._finish(CANCELLED_HERE, ())
            if self._attempting is not None:
                self._attempting.cancel()

    # -- the wire connection's callbacks

    def on_headers(self, metadata: Metadata) -> None:
        self._headers = metadata
        self._commit()
        if self._watchers is not None:
            self._watchers.unpark_all()

    def on_message(self, message: bytes) -> None:
        self._messages.append(message)
        if self._receiver is not None:
            reschedule(self._receiver)
            self._receiver = None

    def on_end(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> None:
        due = self._next_attempt(status, trailers, unprocessed=unprocessed, now=trio.current_time())
        if due is None:
            self._finish(status, trailers)
        else:
            self._retry_at = due
            self._wake()

    def on_writable(self) -> None:
        if self._sender is not None:
            reschedule(self._sender)
            self._sender = None

    def _finish(self, status: Status, trailers: Metadata) -> None:
        self._status = status
        self._trailers = trailers
        self._retry_at = None
        self._wake()

    def _wake(self) -> None:
        if self._receiver is not None:
            reschedule(self._receiver)
            self._receiver = None
        if self._sender is not None:
            reschedule(self._sender)
            self._sender = None
        if self._watchers is not None:
            self._watchers.unpark_all()

    # -- sending

    async def send(self, message: RequestT, *, compress: bool = True, wait: bool = True) -> None:
        """Send a message; wait while too much of what was sent before is held back by flow control.

        ``wait`` False leaves that to `wait_for_room`. ``compress`` False sends this message as it is although the
        call compresses. Raises LocalProtocolError after
        `half_close`, InvalidArgument for a message over the send limit, RpcError if the call has ended with a status
        other than OK; does nothing if it has ended with OK.
        """
        self._opened_session()
        if self._half_closed:
            raise LocalProtocolError("nothing can be sent after half_close")
        while self._retry_at is not None:
            await self._try_again()
        if self._status is not None:
            if self._status.code:
                raise self._error(self._status)
            return
        data = self._serialize(message) if self._serialize is not None else cast("bytes", message)
        self._opened_session().connection.send_message(self, data, compress=compress)
        self._keep(data, compress=compress)
        if wait:
            await self.wait_for_room()

    @property
    def unsent(self) -> int:
        """Octets of messages that flow control holds back."""
        return 0 if self._status is not None else self._opened_session().connection.send_buffered(self)

    @property
    def has_message(self) -> bool:
        """Whether a message has come that was not received yet."""
        return bool(self._messages)

    async def wait_for_room(self) -> None:
        """Wait while too much of what was sent is held back by flow control, as `send` does, or until the call ends."""
        while self._status is None:
            if self._retry_at is not None:
                await self._try_again()
                continue
            connection = self._opened_session().connection
            if connection.send_buffered(self) <= connection.send_buffer_size:
                return
            if self._sender is not None:
                raise LocalProtocolError("another task is sending on this call already")
            self._sender = current_task()
            await wait_task_rescheduled(self._forget_sender)

    def _forget_sender(self, _raise_cancel: object) -> Abort:
        self._sender = None
        return Abort.SUCCEEDED

    async def half_close(self) -> None:
        """Say that all messages have been sent. Idempotent."""
        session = self._opened_session()
        if not self._half_closed:
            self._half_closed = True
            if self._status is None:
                session.connection.half_close(self)

    # -- receiving

    async def receive(self) -> ResponseT | None:
        """The next message, or None at the end of a call whose status is OK.

        Raises RpcError for another status, once the messages before it are taken; what the deserializer raises ends
        the call.
        """
        messages = self._messages
        while not messages:
            if self._retry_at is not None:
                await self._try_again()
                continue
            if self._status is not None:
                if self._status.code:
                    raise self._error(self._status)
                return None
            self._opened_session()
            if self._receiver is not None:
                raise LocalProtocolError("another task is receiving on this call already")
            self._receiver = current_task()
            await wait_task_rescheduled(self._forget_receiver)
        message = messages.popleft()
        if self._status is None:
            session = self._opened_session()
            session.connection.consume(self, len(message))
        if type(message) is CompressedMessage:
            message = self._inflated(message)
        try:
            return cast("ResponseT", message) if self._deserialize is None else self._deserialize(message)
        except BaseException:
            self.cancel()
            raise

    def _forget_receiver(self, _raise_cancel: object) -> Abort:
        self._receiver = None
        return Abort.SUCCEEDED

    def __aiter__(self) -> ClientCall[RequestT, ResponseT]:
        return self

    async def __anext__(self) -> ResponseT:
        message = await self.receive()
        if message is None:
            raise StopAsyncIteration
        return message

    async def headers(self) -> Metadata:
        """Wait for the initial metadata; () if the call ended without. Raises RpcError if it so ended with an error."""
        self._opened_session()
        while self._headers is None:
            if self._retry_at is not None:
                await self._try_again()
                continue
            if self._status is not None:
                if self._status.code:
                    raise self._error(self._status)
                return ()
            await self._park()
        return self._headers

    async def single_response(self) -> UnaryResult[ResponseT]:
        """Receive the one message of a call that takes one, and its status. Raises RpcError as unary calls do."""
        message = await self.receive()
        if message is None:
            raise self._error(NO_MESSAGE)
        if await self.receive() is not None:
            self.cancel()
            raise self._error(TWO_MESSAGES)
        return UnaryResult(message, self._headers or (), self._trailers, self.status)

    # -- helpers

    def _opened_session(self) -> ChannelSession:
        if self._session is None:
            raise LocalProtocolError("the call was not opened: use it as an async context manager")
        return self._session

    async def _park(self) -> None:
        """Wait for the headers, the end, or the next attempt."""
        if self._watchers is None:
            self._watchers = trio.lowlevel.ParkingLot()
        await self._watchers.park()

    async def _try_again(self) -> None:
        """Make the next attempt when it is due; if another task is at it, wait for that.

        Raises RpcError if no connection can be had for it. Whoever gives up waiting leaves it to the next who asks.
        """
        if self._attempting is not None:
            await self._park()
            return
        try:
            with trio.CancelScope() as self._attempting:
                await trio.sleep_until(self._retry_at or 0)
                await self._open()
        except trio.Cancelled:
            raise
        except RpcError as error:
            self._finish(Status(error.code, error.message), ())
            raise
        except BaseException:
            self._finish(CANCELLED_HERE, ())
            raise
        finally:
            self._attempting = None
            self._wake()
