"""The session itself: its calls, its mutex, and its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from math import inf
from threading import get_ident
from typing import TYPE_CHECKING, TypeVar
from weakref import proxy

from puregrpc.errors import ConnectError, Error
from puregrpc.kernel.threads.kernel import ThreadKernel
from puregrpc.kernel.threads.mutex import Mutex, NestedUse
from puregrpc.kernel.threads.trampoline import ThreadWaiter, blocks_caller
from puregrpc.transport.end_reasons import CLOSED_HERE
from puregrpc.transport.nobody import NO_DRIVER, NO_OWNER
from puregrpc.transport.session import CallT, ConnectionT, Owner, Session, SessionOptions, UnaryExchange
from puregrpc.transport.thread_session.endpoints import Pieces, endpoint_of
from puregrpc.transport.thread_session.reading import QUIET, Reading
from puregrpc.transport.thread_session.writing import BURST, LATER, LEFT, LONGEST_LEFT, MANY, Caller, Writing
from puregrpc.wire.connection import Call, ClientConnection, Driver, Request
from puregrpc.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    from puregrpc.kernel import Kernel
    from puregrpc.kernel.network.streams import ByteStream

    Ts = TypeVarTuple("Ts")

__all__ = ["ThreadSession"]

SMALL = 16 << 10
"""Octets of a request that cost less to copy than to send in a piece of their own."""

INTERRUPTED = "a thread was interrupted while it used the connection"

T = TypeVar("T")


class ThreadSession(Session[ConnectionT]):
    """See `Session`. Any number of threads use it; the callbacks of calls come in whichever brought them about."""

    __slots__ = (
        "_armed",
        "_endpoint",
        "_is_client",
        "_is_given_up",
        "_is_started",
        "_make_connection",
        "calls",
        "mutex",
        "over",
        "reading",
        "writing",
    )

    keeps_deadlines = False
    kernel: ThreadKernel

    def __init__(
        self,
        kernel: Kernel,
        stream: ByteStream,
        make_connection: Callable[[Driver], ConnectionT],
        owner: Owner,
        options: SessionOptions,
    ) -> None:
        super().__init__(kernel, stream, make_connection, owner, options)
        self.calls: set[Call] = set()
        """A client's calls that are not over."""
        self.over = self.calls.discard  # type: ignore[assignment, method-assign]  # a step less for each call
        self._make_connection = make_connection
        self.mutex = Mutex() if options.own_mutex else self.kernel.mutex
        self._is_client = isinstance(self.connection, ClientConnection)
        self._armed = inf
        """When the timers tell the connection the time."""
        self._is_given_up = False
        self._is_started = False
        endpoint = self._endpoint = endpoint_of(self.kernel, stream, options.tap)
        self.reading = Reading(
            self,
            endpoint,
            busy_poll=options.busy_poll,
            handshake_by=time.monotonic() + options.handshake_timeout,
        )
        self.writing = Writing(self, endpoint)

    # -- its life

    async def start(self) -> None:
        self.kernel.attach(self)
        self.guarded(self._start)
        try:
            if not self.reading.share():
                self.kernel.submit(self.reading.run, f"puregrpc reader {self.peer}")
        except RuntimeError as error:
            self._is_started = False
            self.abort(str(error))
            raise ConnectError(f"{self.peer}: {error}") from error
        self.push()

    def _start(self) -> None:
        self.connection.start(time.monotonic())
        self._is_started = True

    def abort(self, reason: str) -> None:
        self.guarded(self.cut, reason)
        if not self._is_started:
            self.finish()

    def finish(self) -> None:
        """Nobody reads any more: end everything that is left. In the reader's thread, or before there is one."""
        self.guarded(self.cut, CLOSED_HERE)
        until = time.monotonic() + 1
        while self.writing.sender and time.monotonic() < until:
            time.sleep(0.001)  # a thread is in the middle of sending, and about to hear that there is no peer
        self._endpoint.close()
        if not self.is_over:
            self._is_over_now()

    def _part(self) -> None:
        super()._part()
        # Who still calls a method of either has the session.
        self.reading.session = self.writing.session = proxy(self)

    def send_put_off(self) -> None:
        """Send what calls of a burst have left; see `Writing.call_sender`."""
        self.writing.send_put_off()

    def send_rest(self, pieces: Pieces) -> None:
        """Send what the stream did not take at once, and wait for it; see `Writing.send`."""
        self.writing.send_rest(pieces)

    # -- the mutex

    def locked(self, function: Callable[[Unpack[Ts]], T], *arguments: Unpack[Ts]) -> T:
        return self.mutex.locked(self._used, function, *arguments)

    def _used(self, function: Callable[[Unpack[Ts]], T], *arguments: Unpack[Ts]) -> T:
        self._check_nesting()
        return self._whole(function, *arguments)

    def guarded(self, function: Callable[[Unpack[Ts]], T], *arguments: Unpack[Ts]) -> T:
        return self.mutex.locked(self._whole, function, *arguments)

    def _whole(self, function: Callable[[Unpack[Ts]], T], *arguments: Unpack[Ts]) -> T:
        try:
            return function(*arguments)
        except BaseException as error:
            if _leaves_halfway(error):
                self.give_up()
            raise

    def _check_nesting(self) -> None:
        """Whoever uses the session may be a signal handler or a finalizer that interrupted this very thread.

        Raises NestedUse if it would wait for what this thread does. With the mutex held.
        """
        if self._is_given_up:
            return
        reading, me = self.reading, get_ident()
        if self.writing.sender == me:
            raise NestedUse("sent something")
        if reading.thread == me and not reading.is_parked:
            raise NestedUse("read for others")
        if reading.leader is not None and reading.leading_thread == me:
            reading.take_over()

    def interrupted(self, reason: str = INTERRUPTED) -> None:
        """A thread was interrupted in the middle of something, and nobody can go on with it. Without the mutex."""
        self.mutex.locked(self.give_up, reason)

    def give_up(self, reason: str = INTERRUPTED) -> None:
        """The connection may be half-way through something: it is not used any more. With the mutex held."""
        if not self._is_given_up:
            self._is_given_up = True
            connection, self.connection = self.connection, self._lost_connection(reason)
            if not self._is_client:
                with suppress(Exception):  # who knows what state it is in
                    connection.lost(reason)
            connection.driver = NO_DRIVER
        for call in list(self.calls):
            self.calls.discard(call)
            call.wire_state = None  # the other connection does not know it
            call.on_end(Status(StatusCode.UNAVAILABLE, reason), (), unprocessed=False)
        self.cut(reason)

    def _lost_connection(self, reason: str) -> ConnectionT:
        """One that is as any other that was lost, in place of one of which nobody knows what it is."""
        connection = self._make_connection(NO_DRIVER)
        connection.lost(reason)
        return connection

    def cut(self, reason: str) -> None:
        """End at once, and not in order. With the mutex held."""
        self._is_cut = True
        self._lost(reason)
        self._endpoint.shut_down()
        self.reading.attention.set()

    @property
    def is_cut(self) -> bool:
        """It ends at once."""
        return self._is_cut

    # -- for whoever uses the connection

    def joined(self, call: Call) -> None:
        self.calls.add(call)

    def opened(self, call: Call, deadline: float | None) -> None:
        """The reader looks at the time once a second, and whoever waits sees to a deadline."""

    def arm(self, time: float) -> None:
        if time < self._armed and time < self.reading.looks_at:
            self._armed = time
            self.kernel.timers.at(time, self._time_has_come)

    def _time_has_come(self) -> None:
        self.guarded(self._tell_time_and_arm)
        self.push()

    def _tell_time_and_arm(self) -> None:
        self._armed = inf
        self.reading.advance()
        when = self.connection.next_time()
        if when is not None and self.end_reason is None:
            self.arm(when)

    def push(self) -> None:
        if self.writing.has_output:
            self.writing.flush()

    def tell_time(self) -> None:
        """A point in time has passed that the connection waits for. Without the mutex."""
        self.guarded(self.reading.advance)
        self.push()

    # -- the client's unary calls

    def exchange_blocking(
        self: ThreadSession[ClientConnection],
        call: CallT,
        request: Request,
        deadline: float | None,
        message: bytes,
        now: float,
    ) -> CallT:
        """As `exchange`, in a thread that may block. A coroutine would cost a tenth more."""
        is_open = False
        reading, writing = self.reading, self.writing
        try:
            pieces = self.mutex.locked(self._open, call, request, deadline, message, now, True)
            is_open = True
            if pieces:
                writing.send(pieces)
            if call.waiter is None:
                reading.read_for(call, deadline)
            is_left = pieces is LEFT
            while not call.ended:
                waiter: ThreadWaiter = call.waiter
                until = inf if deadline is None or reading.sees_to(deadline, now) else deadline
                waiter.until = min(until, now + LONGEST_LEFT) if is_left else until
                if not waiter.sleep():
                    writing.coming = 0
                    self.tell_time()
                is_left = False
            # Not exact where others do the same at once: one too few sends earlier, one too many is for LONGEST_LEFT.
            if writing.coming:
                writing.coming -= 1
                if not writing.coming and not writing.gathers:
                    self.push()
        except BaseException:
            if is_open or call in self.calls:
                self._undo(call)
            raise
        return call

    async def exchange(
        self: ThreadSession[ClientConnection],
        call: CallT,
        request: Request,
        deadline: float | None,
        message: bytes,
        now: float,
    ) -> CallT:
        if await blocks_caller():
            return self.exchange_blocking(call, request, deadline, message, now)
        is_open = False
        try:
            pieces = self.mutex.locked(self._open, call, request, deadline, message, now, False)
            is_open = True
            self._send_or_put_off(pieces)
            while not call.ended:
                if not await call.waiter.wait(self._until(deadline, now)):
                    self.tell_time()
                    self.guarded(self._renew_waiter, call)
        except GeneratorExit:  # the garbage collector's, in the middle of whatever this thread does
            self.kernel.wish(partial(self._undo, call))
            raise
        except BaseException:
            if is_open or call in self.calls:
                self._undo(call)
            raise
        return call

    def begin_exchange(
        self: ThreadSession[ClientConnection],
        call: UnaryExchange,
        request: Request,
        deadline: float | None,
        message: bytes,
        now: float,
    ) -> None:
        try:
            self._send_or_put_off(self.mutex.locked(self._begin, call, request, deadline, message, now))
        except BaseException:
            if call in self.calls:
                self._undo(call)
            raise

    def _begin(
        self: ThreadSession[ClientConnection],
        call: UnaryExchange,
        request: Request,
        deadline: float | None,
        message: bytes,
        now: float,
    ) -> Pieces:
        pieces = self._open(call, request, deadline, message, now, False)
        if deadline is not None and not self.reading.is_about_to_look:
            self.arm(deadline)
        return pieces

    def read_for_begun(self, call: UnaryExchange, until: float) -> None:
        """Read in this thread for a call that was begun, if it is the only one, and nobody reads for it yet.

        That may change nothing: it is done for a short time, as nothing but input ends it, and not after ``until``.
        """
        reading = self.reading
        self.push()
        if not reading.is_parked or not self.mutex.locked(reading.lead_begun, call):
            return
        try:
            reading.read_for(call, call.wire_deadline, min(until, time.monotonic() + QUIET))
        finally:
            if reading.leader is call:
                self.guarded(reading.stop_leading, call)

    def _send_or_put_off(self, pieces: Pieces) -> None:
        if pieces is LATER:
            self.writing.call_sender()
        elif pieces:
            self.writing.send(pieces)

    def _until(self, deadline: float | None, now: float) -> float:
        return inf if deadline is None or self.reading.sees_to(deadline, now) else deadline

    def _open(
        self: ThreadSession[ClientConnection],
        call: UnaryExchange,
        request: Request,
        deadline: float | None,
        message: bytes,
        now: float,
        may_lead: bool,
    ) -> Pieces:
        """Open a call; gives what this thread is to send. With the mutex held."""
        reading, writing = self.reading, self.writing
        if get_ident() in (writing.sender, reading.thread, reading.leading_thread):
            self._check_nesting()
        try:
            leads = may_lead and reading.is_parked and writing.coming < MANY and reading.lead(call)
            if not leads and call.waiter is None:
                call.waiter = Caller(writing) if may_lead else ThreadWaiter()
            self.calls.add(call)
            self.connection.open_call(call, request, deadline=deadline, message=message, end=True, now=now)
            self.calls_started += 1
            self.messages_sent += 1
            before, self.last_call_at = self.last_call_at, now
            self.last_sent = now
            if may_lead and writing.coming:
                return writing.take_with_others(now, is_small=len(message) < SMALL)
            if may_lead or now - before > BURST:
                return writing.take(is_small=len(message) < SMALL)
            return writing.take_later(is_small=len(message) < SMALL)
        except BaseException as error:
            if _leaves_halfway(error):
                self.give_up()
            self._forget(call)
            raise

    def _forget(self, call: UnaryExchange) -> None:
        self.calls.discard(call)
        self.reading.stop_leading(call)

    def _undo(self, call: UnaryExchange) -> None:
        """Whoever waited for a call was interrupted. Without the mutex."""
        try:
            self.writing.abandon()
        finally:
            self.guarded(self._drop, call)
        self.push()

    def _drop(self, call: UnaryExchange) -> None:
        if call.wire_state is not None:
            self.calls_failed += 1
        self.connection.reset(call, now=time.monotonic())
        self._forget(call)

    # -- the wire connection's callbacks

    def on_output(self) -> None:
        self.writing.has_output = True

    def on_closed(self, reason: str) -> None:
        super().on_closed(reason)
        self.writing.has_output = True  # its end is to be sent
        self.reading.attention.set()

    # -- for reading and writing

    take = Session._take  # noqa: SLF001 - a call less for each read

    def lost(self, reason: str) -> None:
        """The connection broke. With the mutex held."""
        self._lost(reason)

    # -- the process

    def forked(self) -> None:
        self._owner = NO_OWNER  # the other one would connect anew
        self._endpoint.close()  # but do not shut it down: the connection is the parent's
        self.reading.forget()
        self.writing.forget()
        self.guarded(self.give_up, "the connection belongs to the parent process")
        if not self.is_over:
            self._is_over_now()


def _leaves_halfway(error: BaseException) -> bool:
    """Whether an exception may have come at any moment: a signal handler's, and not the connection's own."""
    return not isinstance(error, Error) or isinstance(error, NestedUse)
