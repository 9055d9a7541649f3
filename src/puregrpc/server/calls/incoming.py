"""The calls of a server: what the wire connection tells of them, and how a handler is run in the loop.

What touches the connection says so: "with the connection at hand" is in the thread of the loop, or with the mutex of
the session held. `unary` and `streaming` are for what the client sends, `on_threads` for handlers that run on threads.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from puregrpc.errors import InvalidArgument, LocalProtocolError, RpcError
from puregrpc.server.calls.resuming import resuming
from puregrpc.server.faults import contain, log_exception, only_exception
from puregrpc.server.inflating import SMALL_COMPRESSED
from puregrpc.server.mixing import closing
from puregrpc.server.room import SMALL_ANSWER, TOO_MUCH_UNSENT
from puregrpc.wire.compression import CompressedMessage
from puregrpc.wire.connection import Metadata, ServerCall
from puregrpc.wire.frames import ErrorCode
from puregrpc.wire.limits import SEND_BUFFER_SIZE
from puregrpc.wire.status import OK, Status, StatusCode
from puregrpc.wire.turn import MESSAGES_PER_TURN

if TYPE_CHECKING:
    from puregrpc.kernel import Waiter
    from puregrpc.server.routing import Route
    from puregrpc.server.session import ServerSession

__all__ = ["IncomingCall", "RejectedCall", "unreadable"]

LOOK = 4.0
"""After so many seconds, or up to twice as many, a handler that waits for room looks for it itself: what is to end it
may not be heard. Not all of them look at once."""

FORGETTING = 4
"""An answer makes expected ones smaller by this power of two, as long as it is not larger than those."""


def unreadable(error: Exception) -> RpcError:
    """What a request that is not of its type ends a call with (gRPC's statuscodes.md)."""
    return RpcError(StatusCode.INTERNAL, f"the request could not be read: {error}")


class IncomingCall(ServerCall):
    """A call and its handler's state. The wire connection calls the ``on_`` methods; `run` is a job of the loop."""

    inflates_messages = True
    has_thread = False
    """Its handler runs on a thread, where nobody can hold it up."""

    __slots__ = (
        "callbacks",
        "charged",
        "compress_next",
        "deserialize",
        "encoding",
        "ended",
        "good_end",
        "has_begun",
        "headers_sent",
        "holds_place",
        "is_finished",
        "is_inflating",
        "is_running",
        "resuming",
        "route",
        "serialize",
        "session",
        "task",
        "trailing_metadata",
        "turns",
        "writer",
    )

    def __init__(self, route: Route, session: ServerSession) -> None:
        ServerCall.__init__(self)
        self.route = route
        self.session = session
        self.deserialize = route.deserialize
        self.serialize = route.serialize
        self.task: Any = None
        self.is_running = False
        self.ended: Status | None = None
        """How the call was over before its handler was; None if it was not."""
        self.is_finished = False
        """The handler's status has gone out."""
        self.good_end: Status = OK
        """The status of a call whose handler ends well."""
        self.has_begun = False
        """Somebody runs the handler, or is about to."""
        self.holds_place = False
        """It counts among the calls that the server handles at once."""
        self.charged = 0
        """Octets of its request that are counted as held while it waits for a thread."""
        self.writer: Waiter | None = None
        """Who waits until more can be sent."""
        self.resuming: Waiter | None = None
        """Who waits for room before the handler goes on."""
        self.is_inflating = False
        """A message is being inflated, which waits for room by itself."""
        self.turns = 0
        self.headers_sent = False
        self.encoding = session.compression
        """What the responses are to be compressed with, if the client can inflate it."""
        self.compress_next = True
        self.trailing_metadata: Metadata = ()
        self.callbacks: list[Callable[[], object]] | None = None
        """What is to be called when the call is over."""

    # -- from the wire

    def on_end(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> None:  # noqa: ARG002 - a client's matter
        self.ended = status
        session = self.session
        session.count_end(status.code)
        self.drop()
        if session.room.waiting:
            session.room.forget(self)
        if session.room.growing:
            session.room.growing.pop(self, None)
        if self.task is not None or self.has_thread:  # else it has not begun, or is not interrupted where it is
            session.connections.endings.add(partial(session.guard, self, self.interrupt))
        if not self.has_begun:
            self.let_go()
        if self.callbacks is not None:
            self.call_back()

    def on_left_out(self, what: str) -> None:
        """Something of the answer does not fit what the client takes."""
        self.session.left_out(self, what)

    def on_writable(self) -> None:
        if self.writer is not None:
            self.writer.wake()

    # -- running the handler in the loop

    def begin_soon(self) -> None:
        """Have the handler run."""
        self.has_begun = True
        self.session.submit(self, self.route)

    def lacks_room(self) -> bool:
        """More waits to be sent than may, and the call is not over."""
        session = self.session
        if self.ended is not None:
            return False
        return session.wire.is_send_full or (bool(session.room.growing) and session.room.holds_back(self))

    def lacks_room_for(self, message: CompressedMessage) -> bool:
        """The same, for what comes of a message that is to be inflated."""
        return self.lacks_room() or (self.ended is None and self.session.room.is_too_large(self, message))

    def lacks_room_to_begin(self) -> bool:
        """The same, for what is to be expected of the handler, who has not begun."""
        room = self.session.room
        expected = self.route.expected_answer
        if not (expected or room.growing or self.session.wire.is_send_full):
            return False  # as it mostly is
        if self.lacks_room() or (expected and self.ended is None and room.is_too_large(self)):
            return True
        if room.growing:
            room.growing.pop(self, None)
        return False

    @property
    def is_buffer_full(self) -> bool:
        """The client does not take more of the call's responses at the moment."""
        return self.session.wire.send_buffered(self) > SEND_BUFFER_SIZE

    def lacks_room_to_go_on(self) -> bool:
        """The same, for the next of many responses. The last one waits to be sent, or has been."""
        session = self.session
        session.foreseen.drop(self)
        if self.ended is not None:
            return False
        if self.is_buffer_full or session.wire.is_send_full:
            return True
        expected = self.route.expected_answer
        if expected:
            if not session.foreseen.add_within(self, expected):
                return True
            session.room.growing.pop(self, None)
        return False

    def is_to_wait(self) -> bool:
        """More waits to be sent than may: the handler is to begin later, for which is seen to. With the connection at
        hand."""
        if not self.lacks_room_to_begin():
            return False
        self.has_begun = False
        self.task = None
        self.session.room.wait(self)
        return True

    @property
    def kept_octets(self) -> int:
        """How much of what came it keeps while it waits, and is not counted elsewhere."""
        return 0

    def go_on(self) -> None:
        """There is room for what it sends. With the connection at hand."""
        if not self.has_begun:
            self.begin_soon()
        else:
            self._wake()

    def _wake(self) -> None:
        """Let go on who waits to send, or to be resumed."""
        if self.writer is not None:
            self.writer.wake()
        if self.resuming is not None:
            self.resuming.wake()

    def drop(self) -> None:
        """The call is over: what came for its handler is in memory no longer, though that has not heard of it yet."""

    def interrupt(self) -> None:
        """The call is over: interrupt its handler."""
        if self.task is not None:
            self.session.interrupt(self)
        self._wake()

    async def run(self) -> None:
        """Run the handler and send what it gives: the whole of the call from its request on."""
        if self.is_to_wait():
            return
        if self.route.expected_answer:
            self.session.foreseen.add(self, self.route.expected_answer)
        self.is_running = True
        try:
            if self.ended is not None:
                self.discard()
            else:
                response = self.begin()
                if self.route.responses_stream:
                    async with closing(response):
                        await self._send_each(aiter(response))
                    self.finish()
                else:
                    self.respond(await resuming(self, response) if hasattr(response, "__await__") else response)
        except BaseException as error:
            try:
                contain(error, self.session.kernel, self.fail)
            except Exception as fault:
                self.crashed(fault)
        finally:
            if self.session.room.foreseen:
                self.session.foreseen.drop(self)
            if self.holds_place:
                self.let_go()

    async def _send_each(self, responses: AsyncIterator[Any]) -> None:
        """Send the responses of a stream."""
        is_resumed = True  # nobody knows yet how large its responses are
        while True:
            following = anext(responses)
            try:
                sending = self.send(await (resuming(self, following) if is_resumed else following))
            except StopAsyncIteration:
                return
            await sending
            del sending  # a stream that waits keeps nothing of its last response
            is_resumed = self.expects_large_answer

    @property
    def expects_large_answer(self) -> bool:
        """Its method has given large answers lately."""
        return self.route.expected_answer > 0

    def lacks_room_to_answer(self) -> bool:
        """There is no room for what is to be expected of the handler, which is about to go on."""
        room = self.session.room
        if self.is_inflating:
            return False
        if self.ended is None and room.is_too_large(self):
            return True
        if room.growing:
            room.growing.pop(self, None)
        self.session.foreseen.add(self, self.route.expected_answer)
        return False

    async def wait_to_answer(self) -> None:
        """Wait until there is such room, or the call is over. Raises RpcError RESOURCE_EXHAUSTED if none is made."""
        session = self.session
        room = session.room
        try:
            while True:
                self.resuming = waiter = session.kernel.waiter()
                room.wait(self)
                look = LOOK * (1 + (id(self) >> 6) % 64 / 64)
                until = min(room.waits_until(self), session.kernel.now() + look)
                await session.kernel.wait_through(waiter, until)
                if not self.lacks_room_to_answer():
                    return
                if room.is_overdue(self):
                    raise RpcError(TOO_MUCH_UNSENT.code, TOO_MUCH_UNSENT.message)
        finally:
            self.resuming = None
            room.growing.pop(self, None)
            if self.writer is None:
                room.forget(self)

    async def inflate(self, message: CompressedMessage) -> bytes:
        """Inflate a message of the client's when it is its turn and there is room for what is sent for it, and let
        others run in between."""
        session = self.session
        inflating = session.connections.inflating
        if len(message) < SMALL_COMPRESSED and not self.lacks_room_for(message):
            return self.inflated(message.inflate())
        room = session.room
        self.is_inflating = True
        try:
            while True:
                async with inflating:
                    if not self.lacks_room_for(message):
                        return self.inflated(await inflating.in_slices(message))
                await room.wait_to_inflate(self)
        finally:
            self.is_inflating = False
            room.growing.pop(self, None)

    def inflated(self, message: bytes) -> bytes:
        """A message has been inflated, which may be sent back; gives it."""
        self.session.foreseen.add(self, len(message))
        return message

    def begin(self) -> Any:
        """Call the handler: gives a response, an awaitable of one, or an async iterator of many."""
        raise AssertionError("each kind of call has its own request")

    def discard(self) -> None:
        """The call is over before its handler has begun."""

    def let_go(self) -> None:
        """Neither the wire nor a handler has anything to do with the call any more."""
        if self.holds_place:
            self.holds_place = False
            self.session.leave_place()

    def encode(self, response: Any) -> bytes:
        """The bytes of a response; RpcError INTERNAL if the handler gave what is none."""
        try:
            data = self.serialize(response)
        except Exception as error:
            log_exception(error, "%s: the handler's response does not fit its type", self.describe())
            raise RpcError(StatusCode.INTERNAL, f"the response could not be written: {error}") from error
        route = self.route
        if len(data) > SMALL_ANSWER or route.expected_answer:
            expected = max(len(data), route.expected_answer - (route.expected_answer >> FORGETTING))
            route.expected_answer = expected if expected > SMALL_ANSWER else 0
        return data

    # -- sending, with the connection at hand

    def send_headers(self, metadata: Metadata = ()) -> None:
        """Send the initial metadata, and with it what the responses are compressed with."""
        if self.headers_sent:
            raise LocalProtocolError(f"{self.request.path}: the initial metadata has been sent already")
        encoding = self.encoding if self.encoding in self.request.accept_encodings else "identity"
        if self.ended is None:
            self.session.wire.send_headers(self, metadata, encoding=encoding)
        self.headers_sent = True

    def send_message(self, data: bytes) -> None:
        """Send a message, behind the headers; RpcError RESOURCE_EXHAUSTED if it is too large."""
        if not self.headers_sent:
            self.send_headers()
        if self.ended is not None:
            return
        compress, self.compress_next = self.compress_next, True
        try:
            self.session.wire.send_message(self, data, compress=compress)
            self.session.messages_sent += 1
            self.session.last_sent = self.session.now()
        except InvalidArgument as error:
            raise RpcError(StatusCode.RESOURCE_EXHAUSTED, str(error)) from error

    def send_whole(self, data: bytes) -> None:
        """Send the only response, and end the call with OK."""
        if self.ended is not None:
            self.session.foreseen.drop(self)
            return
        if self.holds_place:  # before the client can know of its answer, and come with the next call
            self.let_go()
        session = self.session
        if self.encoding == "identity" and self.good_end is OK:
            try:
                session.wire.send_response(self, data, (), self.trailing_metadata)
                session.messages_sent += 1
                session.last_sent = session.now()
            except InvalidArgument as error:
                raise RpcError(StatusCode.RESOURCE_EXHAUSTED, str(error)) from error
        else:
            self.send_message(data)
            session.wire.send_trailers(self, self.good_end, self.trailing_metadata)
        room = session.room
        if room.foreseen:
            session.foreseen.drop(self)
        if room.waiting:
            room.look_soon(session)
        if self.ended is None:
            self.is_finished = True
            session.calls_ended[0] += 1
            if self.callbacks is not None:
                self.call_back()

    def finish(self, status: Status | None = None) -> None:
        """End the call with a status (None: the handler ended well) and the handler's trailing metadata.

        Nothing happens if it is over.
        """
        self.session.foreseen.drop(self)
        if self.ended is None and not self.is_finished:
            if self.holds_place:
                self.let_go()
            self.session.wire.send_trailers(self, status or self.good_end, self.trailing_metadata)
            session = self.session
            if session.room.waiting:
                session.room.look_soon(session)
            self.is_finished = True
            self.session.count_end(0 if status is None else status.code)
            if self.callbacks is not None:
                self.call_back()

    # -- sending, in the loop

    async def send(self, response: Any) -> None:
        """Send one of many responses; waits while the client takes no more."""
        data = self.encode(response)
        session = self.session
        del response  # what waits does not keep it
        if self.ended is None:
            self.send_message(data)
            del data
            has_waited = False
            while self.lacks_room_to_go_on():
                has_waited = True
                self.writer = waiter = session.kernel.waiter()
                if not self.is_buffer_full:  # it does not become writable
                    session.room.wait(self)
                try:
                    await waiter.wait()
                finally:
                    self.writer = None
                    if self.resuming is None:
                        session.room.forget(self)
            if has_waited:
                return
        self.turns += 1
        if self.turns >= MESSAGES_PER_TURN or self.ended is not None:
            self.turns = 0
            await session.kernel.checkpoint()

    def respond(self, response: Any) -> None:
        """Send the only response, and end the call with OK."""
        data = self.encode(response)
        session = self.session
        if session.wire.open_calls == 1:  # nothing is gained by waiting for what other calls have to send
            session.transport.hold()
            try:
                self.send_whole(data)
            finally:
                session.transport.push()
        else:
            self.send_whole(data)

    # -- failing

    def fail(self, error: BaseException) -> None:
        """End the call with the status that an exception of its handler stands for. With the connection at hand."""
        self.end_with(self.status_of(error))

    def status_of(self, error: BaseException) -> Status:
        """The status that an exception of the handler stands for. What is no status of the handler's own is logged."""
        cause = only_exception(error)
        if isinstance(cause, RpcError) and cause.code != StatusCode.OK:
            return Status(cause.code, str(cause.message), cause.details_bin)
        if self.ended is None:
            log_exception(error, "%s: the handler raised %s", self.describe(), type(cause).__name__)
        return Status(StatusCode.UNKNOWN, f"the handler raised {type(cause).__name__}")

    def end_with(self, status: Status) -> None:
        """End the call with a status that may be none. With the connection at hand."""
        try:
            self.finish(status)
        except Exception as error:
            log_exception(error, "%s: the handler's status cannot be sent", self.describe())
            self.finish(Status(StatusCode.UNKNOWN, "the handler raised a status that cannot be sent"))

    def crashed(self, error: BaseException) -> None:
        """What nobody foresaw was raised beside the handler: end the call. Raises nothing."""
        if self.ended is None:
            self.session.call_crashed(self, error)

    # -- for the context, with the connection at hand

    def cancel(self) -> None:
        """End the call from this side, before its handler has done so."""
        if self.ended is None and not self.is_finished:
            self.session.wire.reset(self, ErrorCode.CANCEL)
            self.on_end(Status(StatusCode.CANCELLED, "the call was cancelled by the server"), (), unprocessed=False)

    def call_back(self) -> None:
        """The call is over: have the callbacks called."""
        callbacks, self.callbacks = self.callbacks, None
        for callback in callbacks or ():
            self.session.call_back(callback)

    def add_callback(self, callback: Callable[[], object]) -> bool:
        """Have something called when the call is over; False if it is."""
        if self.ended is not None or self.is_finished:
            return False
        if self.callbacks is None:
            self.callbacks = []
        self.callbacks.append(callback)
        return True

    def describe(self) -> str:
        """Names the connection, the stream and the method, for the log."""
        return self.session.describe(self)


class RejectedCall(ServerCall):
    """A call that no handler sees: it ends with a status at once."""

    __slots__ = ("ended", "session", "status")

    def __init__(self, status: Status, session: ServerSession) -> None:
        super().__init__()
        self.ended = False
        self.status = status
        self.session = session

    def on_end(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> None:  # noqa: ARG002 - a client's matter
        self.ended = True
        self.session.count_end(status.code)

    def on_left_out(self, what: str) -> None:
        """Something of the answer does not fit what the client takes."""
        self.session.left_out(self, what)

    def finish(self) -> None:
        """Send the status. With the connection at hand."""
        if not self.ended:
            try:
                self.session.wire.send_trailers(self, self.status)
                self.session.count_end(self.status.code)
            except BaseException as error:
                contain(error, self.session.kernel, lambda problem: self.session.call_crashed(self, problem))
