"""The reading half of a session of threads: one thread reads for all, and leaves a call that is alone to its caller.

A caller who reads, who *leads*, waits for input with nothing held, and then receives and acts on it in one piece, with
the mutex held. So the reader can go on at any moment, wherever the caller is: where a signal handler interrupted a
caller who leads and makes calls itself, the reader does go on.
"""

from __future__ import annotations

import logging
import time
from math import inf
from threading import get_ident
from typing import TYPE_CHECKING, Any

from puregrpc.errors import LocalProtocolError
from puregrpc.kernel.threads.kernel import is_cooperative
from puregrpc.kernel.threads.trampoline import ThreadWaiter
from puregrpc.kernel.threads.waking import Signal
from puregrpc.transport.amounts import FIRST_READ_SIZE, LARGEST_READ_SIZE, SMALLEST_READ_SIZE, next_read_size
from puregrpc.transport.busy_poll import BusyPoll
from puregrpc.transport.end_reasons import broken, failed_here, no_settings
from puregrpc.transport.session import UnaryExchange
from puregrpc.transport.thread_session.endpoints import RECV_TIMEOUT, Endpoint, is_by_signal
from puregrpc.transport.thread_session.together import Next
from puregrpc.wire.connection import ClientConnection

if TYPE_CHECKING:
    from puregrpc.transport.thread_session.session import ThreadSession

__all__ = ["LONGEST_PAUSE", "QUIET", "Reading"]

logger = logging.getLogger("puregrpc.transport")

QUIET = 0.02
"""When nobody has read for so long (seconds), the reader sends what lone callers left, and reads again, so that PING
and GOAWAY are heard."""

QUIET_OF_GREENLETS = 0.5
"""The same where to look costs as much as a fifth of a call, and few connections of many are quiet."""

LONGEST_QUIET = 1.0
"""How long the reader leaves a lone call that takes its time alone."""

LONGEST_PAUSE = RECV_TIMEOUT
"""How long the reader waits at most before it looks at the time."""


FAR = 2 * LONGEST_PAUSE
"""A deadline that is not so near (seconds) is seen in time by who looks once in LONGEST_PAUSE."""

CLOGGED_PAUSE = 0.005
LONGEST_CLOGGED_PAUSE = 0.32
"""How long (seconds) the reader of a server waits before it looks again whether its client takes answers: each time
twice as long, for a thousand clients may take none."""


class Reading:
    """Who reads, and what is done with what comes."""

    def __init__(
        self, session: ThreadSession[Any], endpoint: Endpoint, *, busy_poll: float, handshake_by: float
    ) -> None:
        self.attention = Signal()
        """There is something for the reader to look at, where it leaves reading to callers."""
        self.thread = 0
        """The reader's."""
        self.leader: UnaryExchange | None = None
        """The lone call whose caller reads, or is about to."""
        self.leading_thread = 0
        """That caller's, or 0."""
        self.is_parked = False
        """The reader leaves reading to lone callers."""
        self.looks_at = -inf
        """When the reader looks at the time next, at the latest; infinite where it leaves that to callers."""
        self.session = session
        self._endpoint = endpoint
        self._handshake_by = handshake_by
        self._closed_at = inf
        self._turns = 0
        """How often somebody has read."""
        self._limit = SMALLEST_READ_SIZE if session.options.rounds is None else FIRST_READ_SIZE
        is_for_callers = isinstance(session.connection, ClientConnection) and endpoint.socket is not None
        self._may_be_led = is_for_callers and not session.options.keepalive
        may_poll = self._may_be_led and not is_cooperative()  # while a greenlet polls, no other goes on
        self._busy_poll = BusyPoll(busy_poll) if busy_poll and may_poll else None
        self._quiet = QUIET_OF_GREENLETS if is_cooperative() else QUIET
        self._between_turns = session.options.between_turns
        self._rounds = session.options.rounds
        self._pause = CLOGGED_PAUSE
        self._is_behind = False
        """What came before is to be acted on, or the client to take answers, before more is read."""
        session.connection.limit_turns(time.perf_counter)

    # -- for callers

    def lead(self, call: UnaryExchange) -> bool:
        """Whether the call that is being opened is alone, and its caller is to read its answer with `read_for`.

        With the mutex held, before the call is added to the session's.
        """
        session = self.session
        if (
            self.is_parked
            and self.leader is None
            and not session.calls
            and session.end_reason is None
            and not self._is_behind
        ):
            self.leader = call
            self.leading_thread = get_ident()
            return True
        return False

    def lead_begun(self, call: UnaryExchange) -> bool:
        """The same for a call that was begun, and is waited for before the reader has come to it.

        With the mutex held.
        """
        calls = self.session.calls
        if (
            self.is_parked
            and self.leader is None
            and len(calls) == 1
            and call in calls
            and self.session.end_reason is None
            and not self._is_behind
        ):
            self.leader = call
            self.leading_thread = get_ident()
            self.attention.clear()
            return True
        return False

    def read_for(self, call: UnaryExchange, deadline: float | None, until: float | None = None) -> None:
        """Read until a call that leads is over, or leads no longer, or it is ``until``."""
        session, endpoint, busy_poll = self.session, self._endpoint, self._busy_poll
        while not call.ended and self.leader is call:
            has_input = (
                self._is_behind
                or endpoint.has_more
                or (busy_poll is not None and busy_poll.finds_input(endpoint.socket, deadline))
            )
            if not has_input:
                left = RECV_TIMEOUT if deadline is None else min(deadline - time.monotonic(), RECV_TIMEOUT)
                if until is not None:
                    left = min(left, until - time.monotonic())
                has_input = endpoint.wait_readable(left)
            self._turns += 1
            if has_input:
                session.mutex.locked(self._receive_for, call)
                if self._is_behind:
                    time.sleep(0)  # it is others' turn
                # A lone caller that has its answer leaves acknowledgements to the next call's write, or to the reader:
                # servers that estimate their bandwidth (grpc-go) send a PING with each answer.
                if session.writing.has_output and (session.calls or session.end_reason is not None):
                    session.push()
                if call.ended:
                    break
            if deadline is not None and self.leader is call and time.monotonic() >= deadline:
                session.tell_time()
            if until is not None and time.monotonic() >= until:
                break
        if self.leader is call:
            session.guarded(self.stop_leading, call)

    def _receive_for(self, call: UnaryExchange) -> None:
        """With the mutex held: only who leads receives, and acts on it before anybody else can."""
        if self.leader is not call:
            return
        try:
            if self._is_behind:
                self._go_on()
            else:
                data = None
                try:
                    data = self._endpoint.receive_nowait(self._limit)
                except OSError as error:
                    if is_by_signal(error):
                        raise
                    self._broken(error)
                if data is not None:
                    self._act(data)
        except BaseException:
            self.session.give_up()
            raise
        if call.ended:
            self._let_others_read()

    def stop_leading(self, call: UnaryExchange) -> None:
        """Its caller reads no more: if others have come meanwhile, the reader goes on. With the mutex held."""
        if self.leader is call:
            self._let_others_read()

    def _let_others_read(self) -> None:
        self.leader = None
        self.leading_thread = 0
        if self.session.calls or self.session.end_reason is not None or self._is_behind:
            self.attention.set()

    def take_over(self) -> None:
        """The reader reads in place of the caller who leads, who waits as all others do. With the mutex held."""
        call, self.leader, self.leading_thread = self.leader, None, 0
        if call is not None and not call.ended and call.waiter is None:
            call.waiter = ThreadWaiter()
        self.attention.set()

    def sees_to(self, deadline: float, now: float) -> bool:
        """Whether the reader sees to the deadline of a call that is open; who waits for the call need not.

        It looks at the time once a second. Deadlines that are nearer, and those of calls beside one that is led, are
        for the callers.
        """
        return deadline - now > FAR and self.leader is None

    @property
    def is_about_to_look(self) -> bool:
        """Whether the reader reads, and sees to deadlines, as soon as something is sent. With the mutex held."""
        return self.is_parked and self.leader is None

    def look_up(self) -> None:
        """Something was sent, and the reader is parked: see that somebody reads what comes of it."""
        if self.session.calls or self.session.end_reason is not None:
            self.attention.set()

    # -- the reader

    def run(self) -> None:
        """Read until the connection is over, and end the session."""
        session = self.session
        self.thread = get_ident()
        is_shared = False
        try:
            while self._read():
                if self._rounds is not None and self._rounds.are_shared and self.share():
                    is_shared = True
                    return
        except BaseException as error:  # which nobody foresaw: no call is to wait for a reader that is no more
            session.interrupted(failed_here(error))
            raise
        finally:
            if not is_shared:
                self.thread = 0
                session.finish()

    def share(self) -> bool:
        """From now on threads that read for all sessions of the server do so, if they are to; False if not."""
        readers, sock, rounds = self.session.options.readers, self._endpoint.socket, self._rounds
        if readers is None or sock is None or rounds is None or not rounds.are_shared:
            return False
        thread, self.thread = self.thread, 0
        is_shared = False
        try:
            is_shared = readers.add(self, sock.fileno())
        finally:
            if not is_shared:
                self.thread = thread
        return is_shared

    def turn(self, *, has_input: bool) -> Next | None:
        """A turn in one of those threads; gives when the next one is to be. None: the connection is over."""
        session = self.session
        self.thread = get_ident()
        try:
            left = self._time_left_to_read()
            if left is None:
                return None
            if left <= 0:
                session.tell_time()
                return Next(0.0, on_input=True)
            if self._is_behind:
                is_clogged = self._act_on_rest()
                return Next(min(left, self._pause) if is_clogged else 0.0, on_input=False)
            if (has_input or self._endpoint.has_more) and not self._receive(self._receive_limit, is_waiting=False):
                return None
            if self._has_rest:
                return Next(0.0, on_input=True)
            left = session.mutex.locked(self._time_left)
            return None if left is None else Next(left, on_input=True)
        except BaseException as error:  # which nobody foresaw
            logger.exception("%s: reading ended with an exception that nobody waits for", session.peer)
            session.interrupted(failed_here(error))
            return None
        finally:
            self.thread = 0

    @property
    def _has_rest(self) -> bool:
        """There is something to act on, though nothing comes."""
        return self._is_behind or self._endpoint.has_more

    def end(self) -> None:
        """The last turn was. It waits for a thread that sends, if there is one."""
        session = self.session
        if session.writing.sender:
            try:
                session.kernel.submit(session.finish, f"puregrpc reader {session.peer}")
            except (LocalProtocolError, RuntimeError):
                session.finish()
        else:
            session.finish()

    def _read(self) -> bool:
        """One turn of the reader's. False if there is nothing to read any more."""
        session, endpoint = self.session, self._endpoint
        left = self._time_left_to_read()
        if left is None:
            return False
        if left <= 0:
            session.tell_time()
            return True
        if self._is_behind:
            if self._rounds is None:
                is_clogged = self._act_on_rest()
            else:
                with self._rounds.place(self, is_behind=True):
                    is_clogged = self._act_on_rest()
            time.sleep(min(left, self._pause) if is_clogged else 0)  # it is others' turn
            return True
        is_waiting = endpoint.receive_waits and left >= LONGEST_PAUSE
        if self._rounds is not None and self._rounds.are_many:
            is_waiting = False  # it would keep memory for all that it asks for meanwhile
        if not is_waiting:
            if not endpoint.wait_readable(left):
                return True
            if session.writing.gathers and len(session.calls) > 1:
                time.sleep(0)  # more comes meanwhile, and one read does for all of it
        rounds = self._rounds
        if rounds is None or not rounds.are_many:
            return self._receive(self._limit)
        with rounds.place(self, is_behind=False):
            return self._receive(self._receive_limit)

    @property
    def _receive_limit(self) -> int:
        return self._limit if self._rounds is None else min(self._limit, self._rounds.most_read)

    def _time_left_to_read(self) -> float | None:
        """Wait for the turn, send what there is, and give `_time_left`."""
        session = self.session
        left = self._await_turn()
        if session.writing.has_output:
            if session.writing.gathers:
                time.sleep(0)  # whoever has an answer goes on first, and the next request takes acknowledgements along
            session.push()
            if session.end_reason is not None:
                left = session.mutex.locked(self._time_left)
        return left

    def _act_on_rest(self) -> bool:
        """Act on what came before. True where the client takes no answers."""
        is_clogged = self.session.guarded(self._go_on)
        if self._between_turns is not None:
            self._between_turns()
        self._pause = min(2 * self._pause, LONGEST_CLOGGED_PAUSE) if is_clogged else CLOGGED_PAUSE
        return is_clogged

    def _receive(self, limit: int, *, is_waiting: bool = True) -> bool:
        """Receive up to so many octets and act on them. False if nothing more will come."""
        mutex = self.session.mutex
        try:
            data = self._endpoint.receive(limit) if is_waiting else self._endpoint.receive_nowait(limit)
        except OSError as error:
            mutex.locked(self._broken, error)
            return False
        if data is None:
            return True
        mutex.locked(self._act, data)
        self._turns += 1
        if self._between_turns is not None:
            self._between_turns()
        return bool(data) or self._is_behind

    def _await_turn(self) -> float | None:
        """Wait until it is the reader's turn: nobody reads for the calls there are, or nobody has for a while.

        Gives `_time_left`.
        """
        locked = self.session.mutex.locked
        if not self._may_be_led:
            return locked(self._time_left)
        seen = -1
        pause = self._quiet
        while True:
            is_quiet = seen == self._turns
            left = locked(self._turn, is_quiet)
            if not self.is_parked:
                return left
            seen = self._turns
            pause = min(2 * pause, LONGEST_QUIET) if self.leader is not None and is_quiet else self._quiet
            self.attention.wait(pause)

    def forget(self) -> None:
        """After `os.fork`, in the child: nobody reads."""
        self.thread = 0
        self.leader = None

    # -- with the mutex held

    def _turn(self, is_quiet: bool) -> float | None:
        """Decide whether it is the reader's turn; if so, gives `_time_left`."""
        session = self.session
        if is_quiet and self.leader not in session.calls:
            self.leader, self.leading_thread = None, 0  # who led was interrupted before it could say that it is over
        is_over = session.end_reason is not None
        is_busy = is_over or (self._is_behind and self.leader is None)
        self.is_parked = not is_busy and (
            self.leader is not None or not (session.calls or is_quiet or not session.is_ready)
        )
        if not self.is_parked:
            return self._time_left()
        self.looks_at = inf
        self.attention.clear()
        return None

    def _act(self, data: bytes) -> None:
        """Something came, or b"": the end."""
        session = self.session
        if session.end_reason is None:
            session.take(data, time.monotonic())
            self._look_behind()
        size = len(data)
        if size >= self._limit or self._limit > SMALLEST_READ_SIZE or self._is_behind:
            rounds = self._rounds
            most = LARGEST_READ_SIZE if rounds is None else rounds.most_read
            self._limit = next_read_size(self._limit, size, is_behind=self._is_behind, most=most)

    def _look_behind(self) -> bool:
        connection = self.session.connection
        is_clogged: bool = connection.is_output_clogged
        self._is_behind = self.session.end_reason is None and (is_clogged or connection.has_input)
        if self._is_behind and self._rounds is not None:
            self._rounds.press()
        return is_clogged

    def _go_on(self) -> bool:
        """A turn: the connection goes on with what came before. True where the client takes no answers."""
        if self.session.end_reason is None and not self._look_behind():
            self.session.connection.proceed(time.monotonic())
        return self._look_behind() and self._is_behind

    def _broken(self, error: OSError) -> None:
        self.session.lost(broken(error, self.session.writing.error))

    def _time_left(self) -> float | None:
        """Seconds until the reader is to do something other than reading; None if that is to end everything."""
        now = time.monotonic()
        left = self._time_left_at(now)
        self.looks_at = now if left is None else now + left
        return left

    def _time_left_at(self, now: float) -> float | None:
        session, options = self.session, self.session.options
        if session.end_reason is not None:
            self._closed_at = min(self._closed_at, now)
            when = min(self._closed_at + options.flush_timeout, session.writing.ended_at + options.linger)
            return None if session.is_cut or when <= now else min(when - now, LONGEST_PAUSE)
        when = session.connection.next_time()
        by = inf if session.is_ready else self._handshake_by
        by = min(by, session.writing.ended_at + session.options.linger)
        if when is not None:
            by = min(by, when)
        return min(by - now, LONGEST_PAUSE)

    def advance(self) -> None:
        """Tell the connection the time. With the mutex held."""
        session, now = self.session, time.monotonic()
        if session.end_reason is not None:
            return
        if session.writing.error is not None and now >= session.writing.ended_at + session.options.linger:
            session.cut(session.writing.error)
        elif not session.is_ready and now >= self._handshake_by:
            session.cut(no_settings(session.options.handshake_timeout))
        else:
            session.connection.advance(now)
