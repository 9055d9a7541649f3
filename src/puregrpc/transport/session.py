"""The session: what drives one wire connection over one byte stream. Here is what it is in all worlds.

A session belongs to an owner, the subchannel of a channel or a server, which hears through two hooks that it is of no
use for new calls any more, and that it is over. `open_session` makes the one that suits the kernel.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from puregrpc.errors import ConnectError
from puregrpc.kernel.base import Waiters
from puregrpc.kernel.numbers import next_number
from puregrpc.transport.amounts import CallCounters, SessionCounters
from puregrpc.transport.end_reasons import PEER_CLOSED, describe_foreign_protocol
from puregrpc.transport.nobody import NO_DRIVER, NO_OWNER
from puregrpc.wire.connection import Call, ClientConnection, Connection, Driver, Request, ServerCall

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    from puregrpc.kernel import Kernel, Waiter
    from puregrpc.kernel.jobs import Jobs
    from puregrpc.kernel.network.streams import ByteStream
    from puregrpc.kernel.network.tap import Tap
    from puregrpc.transport.certificates import ConnectionSecurity
    from puregrpc.transport.rounds import Rounds

    Ts = TypeVarTuple("Ts")

__all__ = [
    "ClientSession",
    "Owner",
    "Session",
    "SessionOptions",
    "UnaryExchange",
    "load_sessions",
    "open_session",
    "shared_readers",
]

ConnectionT = TypeVar("ConnectionT", bound=Connection)
CallT = TypeVar("CallT", bound="UnaryExchange")
T = TypeVar("T")


class Owner(Protocol):
    """Whose session it is. Each is called once for a session at the most."""

    def session_lost(self, session: Session[Any], reason: str) -> None:
        """No new call may be opened: GOAWAY came, or the connection is over. With the mutex held."""

    def session_over(self, session: Session[Any]) -> None:
        """The stream is closed, and everything of the session has ended. Without the mutex."""

    def on_call(self, session: Session[Any], request: Request) -> ServerCall | None:
        """Server: `Driver.on_call`. With the mutex held."""


class Readers(Protocol):
    """`puregrpc.transport.thread_session.together.SharedReaders`."""

    def add(self, reading: Any, descriptor: int) -> bool:
        """Read for a session from now on; False if that cannot be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """What a session goes by. Times are seconds."""

    handshake_timeout: float = 20.0
    """How long the peer may take until its first SETTINGS frame."""
    linger: float = 1.0
    """After the last octet was sent: how long the peer may take to close its side."""
    flush_timeout: float = 5.0
    """After the end of the connection: how long the peer may take to take what is left to be sent."""
    keepalive: bool = False
    """The connection sends PINGs by itself, so that its time has to be seen to after each call that is opened."""
    busy_poll: float = 0.0
    """Threads: how long a lone call asks for its answer before it sleeps."""
    own_mutex: bool = False
    """Threads: the session has a mutex of its own, as those of a server have, in place of its kernel's."""
    between_turns: Callable[[], None] | None = None
    """Threads: what the reader does after each turn, without the mutex."""
    rounds: Rounds | None = None
    """What the sessions of one server share their loop by."""
    jobs: Jobs | None = None
    """asyncio: what the handlers of a server's calls run in."""
    readers: Readers | None = None
    """Threads: what reads for the sessions of one server where they are many."""
    tap: Tap | None = None
    """Hears every byte."""


class UnaryExchange(Call):
    """One request and one response: the call that `Session.exchange` carries. ``ended`` is set by `on_end`."""

    __slots__ = ("ended", "waiter")

    ended: bool
    waiter: Any
    """Woken at the end by `on_end` if it is not None; set by the session."""


class Session(Driver, Generic[ConnectionT]):
    """One connection over one byte stream.

    ``make_connection`` gets the session as its `Driver` and returns the wire connection. Methods that change the
    connection are called through `locked`, and followed by `push` outside of it.
    """

    # A session has more attributes than CPython keeps in line (30): without slots each access would take longer.
    __slots__ = (
        "_changes",
        "_is_cut",
        "_owner",
        "bytes_received",
        "bytes_sent",
        "calls_failed",
        "calls_started",
        "connection",
        "end_reason",
        "is_going_away",
        "is_over",
        "is_ready",
        "kernel",
        "last_call_at",
        "last_received",
        "last_sent",
        "local",
        "messages_received",
        "messages_sent",
        "number",
        "options",
        "peer",
        "stream",
    )

    keeps_deadlines: ClassVar[bool] = True
    """The session itself sees to the deadlines of calls. Where it is False (threads), whoever waits for a call does."""

    def __init__(
        self,
        kernel: Kernel,
        stream: ByteStream,
        make_connection: Callable[[Driver], ConnectionT],
        owner: Owner,
        options: SessionOptions,
    ) -> None:
        self.kernel = kernel
        self.stream = stream
        self.options = options
        self.peer = stream.peer
        """The address of the other end, for people."""
        self.local = stream.local
        self.is_ready = False
        """The peer's first SETTINGS frame has come."""
        self.is_going_away = False
        """No new call may be opened."""
        self.end_reason: str | None = None
        """Why the connection ended; None as long as it has not."""
        self.is_over = False
        """Everything of the session has ended."""
        self.number = next_number()
        """No other one of the process has it."""
        self.calls_started = self.calls_failed = 0
        """Client: see `CallCounters`."""
        self.last_call_at = -inf
        self.messages_sent = self.messages_received = 0
        self.last_sent = self.last_received = -inf
        self.bytes_sent = 0
        self.bytes_received = 0
        self._is_cut = False
        """It is not to end in order: the stream is closed at once."""
        self._owner = owner
        self._changes = Waiters(kernel.waiter)
        """For those that wait until it is ready, or over."""
        self.connection = make_connection(self)

    @property
    def security(self) -> ConnectionSecurity | None:
        """How the connection is secured; None in plaintext."""
        if self.stream.tls is None:
            return None
        from puregrpc.transport.certificates import security_of  # most connections are not asked

        return security_of(self.stream.tls)

    @property
    def counters(self) -> SessionCounters:
        """What passed through it so far."""
        return SessionCounters(self.bytes_sent, self.bytes_received)

    @property
    def call_counters(self) -> CallCounters:
        """The calls that it had so far."""
        return CallCounters(
            self.calls_started,
            self.calls_failed,
            self.last_call_at,
            self.messages_sent,
            self.messages_received,
            self.last_sent,
            self.last_received,
        )

    # -- its life

    @abstractmethod
    async def start(self) -> None:
        """Begin to move bytes. Returns once it is under way; what runs from then on belongs to the kernel."""

    async def wait_ready(self) -> None:
        """Wait until the peer is known to speak HTTP/2. Raises ConnectError, which says what it did instead."""
        await self._wait_for(lambda: self.is_ready or self.end_reason is not None, inf)
        if self.end_reason is not None:
            raise ConnectError(f"{self.peer}: {self.end_reason}")

    async def wait_over(self, until: float = inf) -> bool:
        """Wait until everything of it has ended; False if that is not so by ``until``."""
        return await self._wait_for(lambda: self.is_over, until)

    async def _wait_for(self, condition: Callable[[], bool], until: float) -> bool:
        def begin() -> Waiter | None:
            return None if condition() else self._changes.waiter()

        while (waiter := self.locked(begin)) is not None:
            woken = False
            try:
                woken = await waiter.wait(until)
            finally:
                if not woken:
                    self.locked(self._changes.forget, waiter)
            if not woken:
                return False
        return True

    @abstractmethod
    def abort(self, reason: str) -> None:
        """End the connection at once, as if it had broken: every call ends with UNAVAILABLE and ``reason``.

        Without the mutex, from any thread.
        """

    def close_socket(self) -> None:
        """asyncio: let go of the socket when the loop is closed, and everything else of the session dead with it.

        It takes nothing of the loop's, and tells nobody: neither the owner nor the calls, whose tasks are no more.
        """
        self.stream.close()

    # -- for whoever uses the connection

    @abstractmethod
    def locked(self, function: Callable[[Unpack[Ts]], T], *arguments: Unpack[Ts]) -> T:
        """Call a function that uses the connection, with the mutex held.

        On threads, what is not one of the library's own errors (KeyboardInterrupt, what a signal handler raises) may
        have left the connection half-way through: it is given up then, and its calls end with UNAVAILABLE.
        """

    def guarded(self, function: Callable[[Unpack[Ts]], T], *arguments: Unpack[Ts]) -> T:
        """As `locked`, for what the session and its owner do themselves: also where the thread reads for others."""
        return self.locked(function, *arguments)

    def joined(self, call: Call) -> None:
        """A call is about to be opened; if that fails, or it ends at once, `over` follows. With the mutex held."""

    def opened(self, call: Call, deadline: float | None) -> None:  # noqa: ARG002 - threads keep book of the calls
        """A call was opened (and may be over): see that the connection is told the time. With the mutex held."""
        if deadline is not None:
            self.arm(deadline)
        if self.options.keepalive:
            # A peer that is not there says nothing, so that no reading would bring this up.
            when = self.connection.next_time()
            if when is not None:
                self.arm(when)

    @abstractmethod
    def arm(self, time: float) -> None:
        """See that the connection is told the time at ``time`` at the latest. With the mutex held.

        `opened` and what the session itself does (start, reading, telling the time) see to it; what else brings
        `Connection.next_time` forward, such as `Connection.go_away`, is followed by this.
        """

    def over(self, call: Call) -> None:
        """A call of this session has ended: its `on_end` says so, or whoever reset it. With the mutex held."""

    def open_call(
        self: Session[ClientConnection],
        call: Call,
        request: Request,
        *,
        deadline: float | None = None,
        message: bytes | None = None,
        end: bool = False,
        now: float,
    ) -> None:
        """Client: `ClientConnection.open_call`, with the bookkeeping around it. With the mutex held."""
        self.joined(call)
        self.calls_started += 1
        self.last_call_at = now
        if message is not None:
            self.messages_sent += 1
            self.last_sent = now
        try:
            self.connection.open_call(call, request, deadline=deadline, message=message, end=end, now=now)
        except BaseException:
            self.calls_started -= 1
            self.over(call)
            raise
        self.opened(call, deadline)

    @abstractmethod
    def push(self) -> None:
        """Send what there is to send, or see that it is sent soon. Without the mutex. Never waits."""

    def hold(self) -> None:
        """Send nothing until `push`, which must follow in the same turn. For what is alone, and need not wait for the
        others of its turn."""

    # -- the client's unary calls

    async def exchange(
        self: Session[ClientConnection],
        call: CallT,
        request: Request,
        deadline: float | None,
        message: bytes,
        now: float,
    ) -> CallT:
        """Client: open a unary call, send its request, and wait until ``call.ended``; returns ``call``.

        It is the short way of most calls: each world may have one of its own. When it is interrupted, the call is
        reset. Raises LocalProtocolError if no new call may be opened (any more), and InvalidArgument for metadata or a
        message that cannot be sent; nothing was sent then.
        """
        call.waiter = self.kernel.waiter()
        self.locked(partial(self.open_call, call, request, deadline=deadline, message=message, end=True, now=now))
        self.push()
        try:
            while not call.ended:
                if not await self.wait(call.waiter, deadline):
                    self.locked(self._renew_waiter, call)
        except BaseException:
            self.reset(call)
            raise
        return call

    @abstractmethod
    def begin_exchange(
        self: Session[ClientConnection],
        call: UnaryExchange,
        request: Request,
        deadline: float | None,
        message: bytes,
        now: float,
    ) -> None:
        """Client: as `exchange`, without waiting. ``call.waiter`` is woken at the end, with the mutex held."""

    def _renew_waiter(self, call: UnaryExchange) -> None:
        if not call.ended:
            call.waiter = self.kernel.waiter()

    async def wait(self, waiter: Waiter, deadline: float | None) -> bool:
        """Wait for something that happens to a call, and see to its deadline where that is for the one who waits.

        False if the deadline has passed: the connection was told, and so the call ends.
        """
        if self.keeps_deadlines or deadline is None:
            return await waiter.wait()
        if await waiter.wait(deadline):
            return True
        self.locked(self.connection.advance, self.kernel.now())
        self.push()
        return False

    def reset(self, call: Call) -> None:
        """End a call from this side (RST_STREAM, CANCEL). Without the mutex."""
        self.locked(self.reset_call, call)
        self.push()

    def reset_call(self, call: Call) -> None:
        """As `reset`, with the mutex held and nothing sent."""
        if call.wire_state is not None:
            self.calls_failed += 1
        self.connection.reset(call, now=self.kernel.now())
        self.over(call)

    # -- the wire connection's callbacks. With the mutex held

    def on_ready(self) -> None:
        self.is_ready = True
        self._changes.wake_all()

    def on_call(self, request: Request) -> ServerCall | None:
        return self._owner.on_call(self, request)

    def on_going_away(self, reason: str) -> None:
        if not self.is_going_away:
            self.is_going_away = True
            self._owner.session_lost(self, reason)

    def on_closed(self, reason: str) -> None:
        if self.end_reason is None:
            self.end_reason = reason
            self.on_going_away(reason)
            self._changes.wake_all()

    # -- for the sessions of the worlds

    @property
    def most_sent(self) -> int | None:
        """Octets to take from the connection at once to send them; None: what that finds good."""
        rounds = self.options.rounds
        return None if rounds is None else rounds.most_sent

    def _take(self, data: bytes, now: float) -> None:
        """What came goes to the connection; b"" is the end of the peer's stream. With the mutex held."""
        if not self.bytes_received and (foreign := describe_foreign_protocol(data)) is not None:
            self.bytes_received = len(data)
            self._lost(foreign)
            return
        self.bytes_received += len(data)
        self.connection.receive(data, now)
        if not data and not self.connection.has_input:
            self._lost(PEER_CLOSED)

    def _lost(self, reason: str) -> None:
        """The connection is over, without anything more to be sent. With the mutex held; idempotent."""
        if self.end_reason is None:
            self._is_cut = True
            try:
                self.connection.lost(reason)
            finally:
                self.on_closed(reason)  # for a connection that was over before it began, or failed in the middle of it

    def _is_over_now(self) -> None:
        """The stream is closed, and nothing of the session runs any more. Without the mutex, once."""

        def note() -> Owner:
            self.is_over = True
            self._changes.wake_all()
            owner = self._owner
            self._part()
            return owner

        self.locked(note).session_over(self)

    def _part(self) -> None:
        """Nothing of the session's refers back to it any more, so that it is freed with the last call that has it,
        and not when the garbage collector comes. With the mutex held."""
        self._owner = NO_OWNER
        self.connection.driver = NO_DRIVER


ClientSession = Session[ClientConnection]

_CLASSES = {
    "trio": ("trio_session", "TrioSession"),
    "asyncio": ("asyncio_session", "AsyncioSession"),
    "threads": ("thread_session", "ThreadSession"),
}


def open_session(
    kernel: Kernel,
    stream: ByteStream,
    make_connection: Callable[[Driver], ConnectionT],
    owner: Owner,
    options: SessionOptions,
) -> Session[ConnectionT]:
    """A session over a stream, which it owns from here on. It does nothing before `Session.start`."""
    make: Callable[..., Session[ConnectionT]] = load_sessions(kernel)
    return make(kernel, stream, make_connection, owner, options)


def load_sessions(kernel: Kernel) -> Callable[..., Session[Any]]:
    """Import what the sessions of a world are made of; gives what makes them."""
    module, name = _CLASSES[kernel.world]
    make: Callable[..., Session[Any]] = getattr(import_module(f"puregrpc.transport.{module}"), name)
    return make


def shared_readers(kernel: Kernel) -> Readers | None:
    """What reads for the sessions of one server where they are many: threads. None on loops."""
    if kernel.world != "threads":
        return None
    make: Callable[..., Readers] = import_module("puregrpc.transport.thread_session.together").SharedReaders
    return make(kernel)
