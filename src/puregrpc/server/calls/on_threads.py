"""Calls whose handlers are plain functions: each runs on a thread, where it may block.

The thread never touches the connection itself. It says what is to be done with the connection at hand (`post`): on a
blocking server it holds the session's mutex meanwhile, elsewhere the thread of the loop does it.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec

from puregrpc.errors import LocalProtocolError, NotConnected
from puregrpc.kernel.threads.sleeping import wait_lock
from puregrpc.server.calls.incoming import IncomingCall
from puregrpc.server.calls.streaming import StreamRequestCall
from puregrpc.server.calls.unary import UnaryRequestCall
from puregrpc.server.faults import log_exception
from puregrpc.server.room import SMALL
from puregrpc.server.threads import NoRoom
from puregrpc.wire.compression import CompressedMessage
from puregrpc.wire.limits import SEND_BUFFER_SIZE, THREAD_MEMORY
from puregrpc.wire.memory import EMPTY
from puregrpc.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from puregrpc.server.routing import Route
    from puregrpc.server.session import ServerSession

__all__ = ["ThreadStreamRequestCall", "ThreadUnaryRequestCall"]

P = ParamSpec("P")

HANDED_OVER = 64
"""How many messages go to a handler's thread together. They count no longer as held."""

HANDED_OVER_OCTETS = 16 << 10
"""After so many octets no further message goes with them."""


class Gate:
    """What one thread waits at until it is opened, which may have happened before."""

    __slots__ = ("_lock", "is_gone")

    def __init__(self) -> None:
        self.is_gone = False
        """Nobody waits any more, however often it comes."""
        self._lock = wait_lock()
        self._lock.acquire()

    def open(self) -> None:
        """Let the thread go on, or go through when it comes. Idempotent until it does."""
        with suppress(RuntimeError):
            self._lock.release()

    def remove(self) -> None:
        """Let the thread go on, now and ever after."""
        self.is_gone = True
        self.open()

    def wait(self) -> None:
        """Wait until it is open; it is closed behind the thread."""
        if not self.is_gone:
            self._lock.acquire()


class Outbox:
    """The responses of a stream on their way from the handler's thread to the connection.

    They are handed over together: one errand takes all that there are.
    """

    __slots__ = ("_bytes_put", "_bytes_taken", "_gate", "_is_announced", "_is_awaited", "_is_full", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[bytes] = EMPTY
        self._bytes_put = 0
        self._bytes_taken = 0
        self._is_announced = False
        self._is_full = False
        """The client does not take more at the moment."""
        self._is_awaited = False
        """The thread waits for room."""
        self._gate = Gate()

    def put(self, call: OnThread, data: bytes) -> bool:
        """Send a message; True if `wait` is to come before the next. In the handler's thread."""
        if self._waiting is EMPTY:
            self._waiting = deque()
        self._waiting.append(data)
        self._bytes_put += len(data)
        if not self._is_announced:
            self._is_announced = True
            call.post(self._take, call)
        return self._is_full or self._bytes_put - self._bytes_taken > SEND_BUFFER_SIZE

    def wait(self, call: OnThread) -> None:
        """Wait while the client takes no more. In the handler's thread."""
        call.post(self._ask_for_room, call)
        self._gate.wait()

    def _take(self, call: OnThread) -> None:
        self._is_announced = False  # what is put from now on is announced again
        while self._waiting:
            data = self._waiting.popleft()
            self._bytes_taken += len(data)
            call.send_message(data)
        self.look_for_room(call)

    def _ask_for_room(self, call: OnThread) -> None:
        self._is_awaited = True
        self.look_for_room(call)

    def look_for_room(self, call: OnThread) -> None:
        """Let the thread go on if the client takes more, or the call is over. With the connection at hand."""
        self._is_full = call.lacks_room_to_go_on()
        if not self._is_awaited:
            return
        if not self._is_full:
            self._is_awaited = False
            self._gate.open()
        elif not call.is_buffer_full:  # it does not become writable
            call.session.room.wait(call)

    @property
    def is_abandoned(self) -> bool:
        """Nothing is taken any more."""
        return self._gate.is_gone

    def abandon(self) -> None:
        """Nothing is taken from now on."""
        self._gate.remove()


class OnThread(IncomingCall):
    """What the calls whose handlers run on threads have in common."""

    has_thread = True

    __slots__ = ()

    outbox: Outbox | None
    """Set by `open_outbox`."""
    pending: Any
    """What the handler gave that is to be awaited, or iterated with ``async for``."""

    def post(self, function: Callable[P, object], *arguments: P.args, **keywords: P.kwargs) -> None:
        """Have something done with the connection at hand, in the order of the posts. In the handler's thread."""
        self.session.post(self, function, *arguments, **keywords)

    # -- with the connection at hand

    def begin_soon(self) -> None:
        self.has_begun = True
        try:
            session = self.session
            session.threads.submit(self, session.share, beyond_size=self.route.has_own_thread)
            self._charge()
        except (NotConnected, RuntimeError) as error:
            log_exception(error, "%s: no thread can run the handler", self.describe())
            self.end_with(Status(StatusCode.RESOURCE_EXHAUSTED, "the server has no thread for the call"))
            self.let_go()

    def _charge(self) -> None:
        """Count the request as held, as long as the call waits for a thread."""
        kept = self.kept_octets
        session = self.session
        if kept > SMALL and session.threads.is_waiting(self, session.share):
            self.charged = kept
            session.wire.charge(self, kept)
            if not session.threads.is_waiting(self, session.share):  # its thread may have begun before it was charged
                self._discharge()

    def _charge_thread(self) -> None:
        """Count a thread that there would not be without the call as held, as long as the call goes on."""
        if not self.is_finished:
            self.session.wire.charge(self, THREAD_MEMORY)

    def _discharge(self) -> None:
        self.session.wire.charge(self, -self.charged)
        self.charged = 0

    def _postpone(self) -> None:
        if not self.is_to_wait():
            if self.ended is None:
                self.begin_soon()
            else:
                self.let_go()

    def go_on(self) -> None:
        if self.has_begun and self.outbox is not None:
            self.outbox.look_for_room(self)
        else:
            super().go_on()

    def interrupt(self) -> None:
        super().interrupt()
        if self.has_begun and self.session.threads.withdraw(self, self.session.share):
            self.session.foreseen.drop(self)
            self.let_go()
        if self.outbox is not None:
            self.outbox.look_for_room(self)

    def on_writable(self) -> None:
        super().on_writable()
        if self.outbox is not None:
            self.outbox.look_for_room(self)

    def begin(self) -> Any:
        return self.pending

    def discard(self) -> None:
        if inspect.iscoroutine(self.pending):
            self.pending.close()

    def fail(self, error: BaseException) -> None:
        super().fail(error)
        if self.ended is None:
            self.ended = Status(StatusCode.CANCELLED, "the call has failed")  # so that its handler ends as well

    # -- in the handler's thread

    def run_in_thread(self) -> None:
        """Run the handler and send what it gives: the whole of the call from its request on."""
        if self.charged:
            self.post(self._discharge)
        if self.lacks_room_to_begin() or not self._foresee():
            self.post(self._postpone)  # the thread is for others meanwhile
            return
        if self.route.has_own_thread or self.session.share.beyond_size is self:
            self.post(self._charge_thread)
        if self.ended is None:
            try:
                self.session.threads.new_context().run(self._run)
            except NoRoom:
                self.session.foreseen.drop(self)
                self.post(self._postpone)
                return
            except BaseException as error:
                # Nothing is meant for others here: no signal and no cancellation reaches such a thread.
                self.post(self.end_with, self.status_of(error))
        else:
            self.session.foreseen.drop(self)
        if self.pending is None and self.holds_place:
            self.post(self.let_go)

    def _foresee(self) -> bool:
        """Count what the handler is about to send; False if another call of the connection has just taken the room."""
        expected = self.route.expected_answer
        return not expected or self.ended is not None or self.session.foreseen.add_within(self, expected)

    def _run(self) -> None:
        response = self.call_handler()
        if self.route.responses_stream:
            if hasattr(response, "__aiter__"):
                self._continue_in_loop(response)
            else:
                self._send_all(response)
        elif hasattr(response, "__await__"):
            self._continue_in_loop(response)
        else:
            data = self.encode(response)
            self.post(self.send_whole, data)
            if len(data) > SEND_BUFFER_SIZE and self.session.kernel.world != "threads":
                self.session.threads.perform(bool)  # the loop has it: until then nobody could say whether there is room

    def call_handler(self) -> Any:
        """Call the handler: gives a response, or an iterator of many."""
        raise AssertionError("each kind of call has its own request")

    def open_outbox(self) -> Outbox:
        """Make ready for a stream of responses."""
        raise AssertionError("each kind of call has a place for it")

    def _send_all(self, responses: Any) -> None:
        iterator = iter(responses)
        outbox = self.open_outbox()
        if self.session.threads.is_closed:  # it may have been too early for `abandon`
            outbox.abandon()
        try:
            for response in iterator:
                if self.ended is not None or outbox.is_abandoned:
                    break
                is_full = outbox.put(self, self.encode(response))
                del response  # a stream that waits does not keep it
                if is_full:
                    outbox.wait(self)
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()
        self.post(self.finish)

    def _continue_in_loop(self, response: Any) -> None:
        """What a plain wrapper around an async function gave goes on in the loop."""
        if self.session.kernel.world == "threads":
            if inspect.iscoroutine(response):
                response.close()
            raise LocalProtocolError("the handler is async, and a blocking server runs plain ones")
        self.pending = response
        self.post(self.session.submit, self, self.route)

    def abandon(self) -> None:
        """The server is closed: nothing that the handler waits for comes any more."""
        if self.outbox is not None:
            self.outbox.abandon()


class ThreadUnaryRequestCall(OnThread, UnaryRequestCall):
    """A call whose client sends one message."""

    __slots__ = ("outbox", "pending")

    def __init__(self, route: Route, session: ServerSession) -> None:
        super().__init__(route, session)
        self.outbox = None
        self.pending = None

    def call_handler(self) -> Any:
        return self.begin_at_once()

    def inflate_at_once(self, message: CompressedMessage) -> bytes:
        session = self.session
        try:
            inflated = session.threads.inflate(message, partial(self.lacks_room_for, message), self.inflated)
        except NoRoom:
            raise
        except BaseException:
            session.room.growing.pop(self, None)
            raise
        session.room.growing.pop(self, None)
        return inflated

    def open_outbox(self) -> Outbox:
        self.outbox = outbox = Outbox()
        return outbox


class ThreadStreamRequestCall(OnThread, StreamRequestCall):
    """A call whose client sends any number of messages, which the handler takes from its thread."""

    __slots__ = ("gate", "is_awaited", "is_reading", "outbox", "pending", "taken")

    def __init__(self, route: Route, session: ServerSession) -> None:
        super().__init__(route, session)
        self.outbox = None
        self.pending = None
        self.taken: deque[bytes] = EMPTY
        """Messages that are in the handler's thread already."""
        self.gate = Gate()
        self.is_reading = False
        self.is_awaited = False
        """The thread waits for messages."""

    # -- with the connection at hand

    def begin_soon(self) -> None:
        if self.session.kernel.world == "threads":
            super().begin_soon()
        else:  # the connection does not have all of the call yet
            self.session.kernel.call_soon(super().begin_soon)

    def on_message(self, message: bytes) -> None:
        super().on_message(message)
        if self.is_awaited:
            self.hand_over()

    def on_half_close(self) -> None:
        super().on_half_close()
        if self.is_awaited:
            self.hand_over()

    def interrupt(self) -> None:
        super().interrupt()
        if self.is_awaited:
            self.hand_over()

    def end_requests(self) -> None:
        super().end_requests()
        if self.is_awaited:
            self.hand_over()

    def ask_for_messages(self) -> None:
        """Hand over what there is, or what comes next."""
        self.is_awaited = True
        if self.messages or self.half_closed or self.is_finished or self.ended is not None:
            self.hand_over()

    def hand_over(self) -> None:
        """Messages that are here go to the handler's thread, but no more than it soon takes."""
        self.is_awaited = False
        octets = 0
        while self.messages and octets <= HANDED_OVER_OCTETS and len(self.taken) < HANDED_OVER:
            message = self.messages.popleft()
            octets += len(message)
            if self.taken is EMPTY:
                self.taken = deque()
            self.taken.append(message)
            self.session.wire.consume(self, len(message))
        self.gate.open()

    # -- in the handler's thread

    def run_in_thread(self) -> None:
        self.session.transport.locked(bool)  # the connection has all of the call only when it lets the mutex go
        super().run_in_thread()

    def call_handler(self) -> Any:
        return StreamRequestCall.begin(self)

    def open_outbox(self) -> Outbox:
        self.outbox = outbox = Outbox()
        return outbox

    def receive_blocking(self) -> bytes | None:
        """The next message; None when the client has half-closed, or the call has its status. One thread at a time."""
        if self.session.threads.is_in_loop:
            raise LocalProtocolError("requests are taken with 'async for' in the loop: plain 'for' would block it")
        if not self.taken:
            if self.is_reading:
                raise LocalProtocolError("another thread is waiting for this call's requests already")
            self.is_reading = True
            try:
                self.post(self.ask_for_messages)
                self.gate.wait()
            finally:
                self.is_reading = False
            if not self.taken:
                if self.half_closed or self.is_finished:
                    return None
                raise NotConnected("the server has stopped") if self.ended is None else self.over()
        message = self.taken.popleft()
        return self._inflated(message) if type(message) is CompressedMessage else message

    def _inflated(self, message: CompressedMessage) -> bytes:
        threads, room = self.session.threads, self.session.room
        try:
            while True:
                try:
                    return threads.inflate(message, partial(self.lacks_room_for, message), self.inflated)
                except NoRoom:
                    if threads.is_closed:
                        raise NotConnected("the server has stopped") from None
                room.wait_blocking(self)
        finally:
            room.blocked.discard(self)
            room.growing.pop(self, None)

    async def receive(self) -> bytes | None:
        if self.taken:
            message = self.taken.popleft()
            return await self.inflate(message) if type(message) is CompressedMessage else message
        return await super().receive()

    def abandon(self) -> None:
        super().abandon()
        self.gate.remove()
