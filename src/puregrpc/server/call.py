"""The calls of a server: what the wire connection tells of them, and how a handler of each shape is run."""

from __future__ import annotations

import inspect
from collections import deque
from typing import TYPE_CHECKING, Any, cast

import trio
from trio.lowlevel import Abort, RaiseCancelT, Task, current_task, reschedule, wait_task_rescheduled

from puregrpc.errors import InvalidArgument, RpcError
from puregrpc.server.context import Context
from puregrpc.server.faults import contain, log_exception, only_exception
from puregrpc.server.interceptor import closing
from puregrpc.server.method import Deserializer, Method, Serializer
from puregrpc.wire.compression import CompressedMessage
from puregrpc.wire.connection import Metadata, ServerCall
from puregrpc.wire.limits import SEND_BUFFER_SIZE
from puregrpc.wire.status import OK, Status, StatusCode

if TYPE_CHECKING:
    from puregrpc.server.session import ServerSession

__all__ = ["IncomingCall", "RejectedCall", "RequestStream", "Route", "StreamRequestCall", "UnaryRequestCall"]

MESSAGES_PER_TURN = 32
"""After so many messages that needed no waiting, a stream lets the other tasks run."""


class Route:
    """What a path leads to: a method, with all looked up that each call of it needs."""

    __slots__ = (
        "call_type",
        "codecs",
        "deserialize",
        "handler",
        "is_plain",
        "method",
        "responses_stream",
        "serialize",
        "starts_at_once",
    )

    def __init__(self, method: Method) -> None:
        self.method = method
        self.handler = method.handler
        self.deserialize: Deserializer = method.deserializer
        self.serialize: Serializer = method.serializer
        self.codecs = method.codecs
        self.responses_stream = method.shape.responses_stream
        self.is_plain = method.is_plain_function
        self.starts_at_once = method.shape.requests_stream
        self.call_type: type[IncomingCall] = StreamRequestCall if self.starts_at_once else UnaryRequestCall


def unreadable(error: Exception) -> RpcError:
    """What a request that is not of its type ends a call with (gRPC's statuscodes.md)."""
    return RpcError(StatusCode.INTERNAL, f"the request could not be read: {error}")


class IncomingCall(ServerCall):
    """A call and its handler's state. The wire connection calls the ``on_`` methods; a worker runs `run`."""

    inflates_messages = True

    __slots__ = (
        "cancel_scope",
        "compress_next",
        "deserialize",
        "encoding",
        "ended",
        "headers_sent",
        "route",
        "serialize",
        "session",
        "trailing_metadata",
        "turns",
        "writer",
    )

    def __init__(self, route: Route, session: ServerSession) -> None:
        super().__init__()
        self.route = route
        self.session = session
        self.deserialize = route.deserialize
        self.serialize = route.serialize
        self.cancel_scope: trio.CancelScope | None = None
        self.ended: Status | None = None
        """How the call was over before its handler was; None if it was not."""
        self.writer: Task | None = None
        """The task that waits until more can be sent."""
        self.turns = 0
        self.headers_sent = False
        self.encoding = session.compression
        """What the responses are to be compressed with, if the client can inflate it."""
        self.compress_next = True
        self.trailing_metadata: Metadata = ()

    # -- from the wire

    def on_end(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> None:  # noqa: ARG002 - a client's matter
        self.ended = status
        self.session.count_end(status.code)
        if self.cancel_scope is not None:
            self.cancel_scope.cancel()
            self.cancel_scope = None

    def on_left_out(self, what: str) -> None:
        self.session.left_out(self, what)

    def on_writable(self) -> None:
        if self.writer is not None:
            reschedule(self.writer)
            self.writer = None

    # -- running the handler

    async def run(self) -> None:
        """Run the handler and send what it gives: the whole of the call from its request on."""
        if self.ended is not None:
            self.discard()
            return
        try:
            response = self.begin()
            if self.route.responses_stream:
                async with closing(response):
                    async for each in response:
                        await self.send(each)
                self.finish(OK)
            else:
                self.respond(await response if hasattr(response, "__await__") else response)
        except BaseException as error:
            contain(error, self.fail)

    def begin(self) -> Any:
        """Call the handler: gives a response, an awaitable of one, or an async iterator of many."""
        raise AssertionError("each kind of call has its own request")

    def discard(self) -> None:
        """The call is over before its handler has begun."""

    def encode(self, response: Any) -> bytes:
        """The bytes of a response; RpcError INTERNAL if the handler gave what is none."""
        try:
            return self.serialize(response)
        except Exception as error:
            log_exception(error, "%s: the handler's response does not fit its type", self.describe())
            raise RpcError(StatusCode.INTERNAL, f"the response could not be written: {error}") from error

    # -- sending

    def send_headers(self, metadata: Metadata = ()) -> None:
        """Send the initial metadata, and with it what the responses are compressed with."""
        encoding = self.encoding if self.encoding in self.request.accept_encodings else "identity"
        if self.ended is None:
            self.session.connection.send_headers(self, metadata, encoding=encoding)
        self.headers_sent = True

    def _send_message(self, data: bytes) -> None:
        if not self.headers_sent:
            self.send_headers()
            if self.ended is not None:
                return
        compress, self.compress_next = self.compress_next, True
        try:
            self.session.connection.send_message(self, data, compress=compress)
        except InvalidArgument as error:
            raise RpcError(StatusCode.RESOURCE_EXHAUSTED, str(error)) from error

    async def send(self, response: Any) -> None:
        """Send one of many responses; waits while the client takes no more."""
        data = self.encode(response)
        if self.ended is None:
            self._send_message(data)
            if self.session.connection.send_buffered(self) > SEND_BUFFER_SIZE:
                self.writer = current_task()
                await wait_task_rescheduled(self._forget_writer)
                return
        self.turns += 1
        if self.turns >= MESSAGES_PER_TURN or self.ended is not None:
            self.turns = 0
            await trio.lowlevel.checkpoint()

    def _forget_writer(self, _: RaiseCancelT) -> Abort:
        self.writer = None
        return Abort.SUCCEEDED

    def respond(self, response: Any) -> None:
        """Send the only response, and end the call with OK."""
        data = self.encode(response)
        if self.ended is not None:
            return
        session = self.session
        wire = session.connection
        alone = wire.open_calls == 1
        if alone:  # nothing is gained by waiting for what other calls have to send
            session.hold()
        try:
            if self.encoding == "identity":
                try:
                    wire.send_response(self, data, (), self.trailing_metadata)
                except InvalidArgument as error:
                    raise RpcError(StatusCode.RESOURCE_EXHAUSTED, str(error)) from error
            else:
                self._send_message(data)
                wire.send_trailers(self, OK, self.trailing_metadata)
        finally:
            if alone:
                session.flush()
        if self.ended is None:
            session.count_end(0)

    def finish(self, status: Status) -> None:
        """End the call with a status and the handler's trailing metadata. Nothing happens if it is over."""
        if self.ended is None:
            self.session.connection.send_trailers(self, status, self.trailing_metadata)
            self.session.count_end(status.code)

    # -- failing

    def fail(self, error: BaseException) -> None:
        """End the call with the status that an exception of its handler stands for."""
        cause = only_exception(error)
        if isinstance(cause, RpcError) and cause.code != StatusCode.OK:
            try:
                self.finish(Status(cause.code, str(cause.message), cause.details))
            except Exception as problem:
                log_exception(problem, "%s: the handler's status cannot be sent", self.describe())
                self.finish(Status(StatusCode.UNKNOWN, "the handler raised a status that cannot be sent"))
            return
        log_exception(error, "%s: the handler raised %s", self.describe(), type(cause).__name__)
        self.finish(Status(StatusCode.UNKNOWN, f"the handler raised {type(cause).__name__}"))

    def crashed(self, error: BaseException) -> None:
        """What nobody foresaw was raised beside the handler."""
        self.session.call_crashed(self, error)

    def describe(self) -> str:
        """Names the connection, the stream and the method, for the log."""
        return self.session.describe(self)


class UnaryRequestCall(IncomingCall):
    """A call whose client sends one message: the handler starts once the client has said that it was all."""

    __slots__ = ("message", "pending")

    def __init__(self, route: Route, session: ServerSession) -> None:
        super().__init__(route, session)
        self.message: bytes | None = None
        self.pending: Any = None
        """What a plain function returned to be awaited."""

    def on_message(self, message: bytes) -> None:
        if self.message is not None:
            self.refuse("more than one request message came")
        self.message = message

    def on_half_close(self) -> None:
        if self.message is None:
            self.refuse("no request message came")
        elif self.ended is None:
            if self.route.is_plain:
                self.session.run_plain(self)
            else:
                self.session.submit(self)

    def refuse(self, why: str) -> None:
        """End the call: another number of messages than one is UNIMPLEMENTED (gRPC's statuscodes.md)."""
        status = Status(StatusCode.UNIMPLEMENTED, f"{self.request.path} takes exactly one request message: {why}")
        self.finish(status)
        self.ended = status

    def begin(self) -> Any:
        if self.pending is not None:
            return self.pending
        message = cast("bytes", self.message)
        if type(message) is CompressedMessage:
            message = message.inflate()
        try:
            request = self.deserialize(message)
        except Exception as error:
            raise unreadable(error) from error
        return self.route.handler(request, Context(self))

    def discard(self) -> None:
        if inspect.iscoroutine(self.pending):
            self.pending.close()

    def run_plain(self) -> None:
        """Run a handler that is a plain function, in the task of the connection's reader."""
        try:
            response = self.begin()
            if hasattr(response, "__await__"):  # such as a decorator's wrapper around an async function
                self.pending = response
                self.session.submit(self)
            else:
                self.respond(response)
        except BaseException as error:
            contain(error, self.fail)


class StreamRequestCall(IncomingCall):
    """A call whose client sends any number of messages. The handler starts at once and takes them as it likes.

    What it has not taken yet is bounded by the stream's flow-control window: octets are given back to the client's
    window only with the messages that the handler takes.
    """

    __slots__ = ("half_closed", "messages", "reader")

    def __init__(self, route: Route, session: ServerSession) -> None:
        super().__init__(route, session)
        self.auto_consume = False
        self.messages: deque[bytes] = deque()
        self.half_closed = False
        self.reader: Task | None = None

    def on_message(self, message: bytes) -> None:
        self.messages.append(message)
        self._wake()

    def on_half_close(self) -> None:
        self.half_closed = True
        self._wake()

    def _wake(self) -> None:
        if self.reader is not None:
            reschedule(self.reader)
            self.reader = None

    def begin(self) -> Any:
        return self.route.handler(RequestStream(self), Context(self))

    async def receive(self) -> bytes | None:
        """The next message; None when the client has half-closed. One task at a time."""
        while not self.messages:
            if self.half_closed:
                return None
            if self.ended is not None:
                await trio.lowlevel.checkpoint()
                raise RpcError(self.ended.code, self.ended.message, code_name=self.ended.name)
            if self.reader is not None:
                raise trio.BusyResourceError("another task is waiting for this call's requests already")
            self.reader = current_task()
            await wait_task_rescheduled(self._forget_reader)
        self.turns += 1
        if self.turns >= MESSAGES_PER_TURN:
            self.turns = 0
            await trio.lowlevel.checkpoint()
        message = self.messages.popleft()
        self.session.connection.consume(self, len(message))
        if type(message) is CompressedMessage:
            self.turns = MESSAGES_PER_TURN  # it may have taken long
            return message.inflate()
        return message

    def _forget_reader(self, _: RaiseCancelT) -> Abort:
        self.reader = None
        return Abort.SUCCEEDED


class RequestStream:
    """The requests of a streaming client, in order: an async iterator that ends when the client has half-closed."""

    __slots__ = ("_call",)

    def __init__(self, call: StreamRequestCall) -> None:
        self._call = call

    def __aiter__(self) -> RequestStream:
        return self

    async def __anext__(self) -> Any:
        message = await self._call.receive()
        if message is None:
            raise StopAsyncIteration
        try:
            return self._call.deserialize(message)
        except Exception as error:
            raise unreadable(error) from error


class RejectedCall(ServerCall):
    """A call that no handler sees: it ends with a status at once."""

    __slots__ = ("cancel_scope", "session", "status")

    def __init__(self, status: Status, session: ServerSession) -> None:
        super().__init__()
        self.cancel_scope: trio.CancelScope | None = None
        self.status = status
        self.session = session

    def on_left_out(self, what: str) -> None:
        self.session.left_out(self, what)

    def crashed(self, error: BaseException) -> None:
        """What nobody foresaw was raised."""
        self.session.call_crashed(self, error)

    async def run(self) -> None:
        """Send the status."""
        self.session.connection.send_trailers(self, self.status)
        self.session.count_end(self.status.code)
