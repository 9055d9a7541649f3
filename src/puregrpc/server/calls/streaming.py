"""Calls whose client sends a stream of messages, and the iterator that their handlers read it from."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, cast

from puregrpc.errors import LocalProtocolError, RpcError
from puregrpc.server.calls.incoming import IncomingCall, unreadable
from puregrpc.server.context import Context
from puregrpc.wire.compression import CompressedMessage
from puregrpc.wire.memory import EMPTY
from puregrpc.wire.status import Status
from puregrpc.wire.turn import MESSAGES_PER_TURN

if TYPE_CHECKING:
    from puregrpc.kernel import Waiter
    from puregrpc.server.routing import Route
    from puregrpc.server.session import ServerSession

__all__ = ["RequestStream", "StreamRequestCall"]


class StreamRequestCall(IncomingCall):
    """A call whose client sends any number of messages. The handler starts at once and takes them as it likes.

    What it has not taken yet is bounded by the stream's flow-control window: octets are given back to the client's
    window only with the messages that the handler takes.
    """

    __slots__ = ("half_closed", "messages", "reader")

    def __init__(self, route: Route, session: ServerSession) -> None:
        super().__init__(route, session)
        self.auto_consume = False
        self.messages: deque[bytes] = EMPTY
        self.half_closed = False
        self.reader: Waiter | None = None
        """Who waits for a message."""

    def on_message(self, message: bytes) -> None:
        if self.messages is EMPTY:
            self.messages = deque()
        self.messages.append(message)
        self.session.messages_received += 1
        self.session.last_received = self.session.wire.now
        if self.reader is not None:
            self.reader.wake()

    def on_half_close(self) -> None:
        self.half_closed = True
        if self.reader is not None:
            self.reader.wake()

    def drop(self) -> None:
        self.messages.clear()

    def interrupt(self) -> None:
        super().interrupt()
        if self.reader is not None:
            self.reader.wake()

    def send_whole(self, data: bytes) -> None:
        super().send_whole(data)
        self.end_requests()

    def finish(self, status: Status | None = None) -> None:
        super().finish(status)
        self.end_requests()

    def end_requests(self) -> None:
        """The call has its status: there are no requests any more, also for a task or a thread that its handler left
        waiting for them. With the connection at hand."""
        self.drop()
        if self.reader is not None:
            self.reader.wake()

    def begin(self) -> Any:
        return self.route.handler(RequestStream(self), Context(self))

    def over(self) -> RpcError:
        """What tells a handler that its call is over."""
        status = cast("Status", self.ended)
        return RpcError(status.code, status.message)

    async def receive(self) -> bytes | None:
        """The next message; None when the client has half-closed, or the call has its status. One task at a time."""
        session = self.session
        while not self.messages:
            if self.half_closed or self.is_finished:
                return None
            if self.ended is not None:
                await session.kernel.checkpoint()
                raise self.over()
            if self.reader is not None:
                raise LocalProtocolError("another task is waiting for this call's requests already")
            self.reader = waiter = session.kernel.waiter()
            try:
                await waiter.wait()
            finally:
                self.reader = None
        self.turns += 1
        if self.turns >= MESSAGES_PER_TURN:
            self.turns = 0
            await session.kernel.checkpoint()
        message = self.messages.popleft()
        session.wire.consume(self, len(message))
        if type(message) is CompressedMessage:
            return await self.inflate(message)
        return message

    def receive_blocking(self) -> bytes | None:
        """`receive`, for a plain function that a handler of the loop handed the requests to."""
        return self.session.threads.wait_for(self.receive)


class RequestStream:
    """The requests of a streaming client, in order: an iterator that ends when the client has half-closed, or the
    handler has ended the call.

    ``async for`` in async handlers; plain ``for``, which blocks, in plain ones.
    """

    __slots__ = ("_call",)

    def __init__(self, call: StreamRequestCall) -> None:
        self._call = call

    def __aiter__(self) -> RequestStream:
        return self

    async def __anext__(self) -> Any:
        message = await self._call.receive()
        if message is None:
            raise StopAsyncIteration
        return self._read(message)

    def __iter__(self) -> RequestStream:
        return self

    def __next__(self) -> Any:
        message = self._call.receive_blocking()
        if message is None:
            raise StopIteration
        return self._read(message)

    def _read(self, message: bytes) -> Any:
        try:
            return self._call.deserialize(message)
        except Exception as error:
            raise unreadable(error) from error
