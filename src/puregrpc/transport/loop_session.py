"""What the sessions of trio and of asyncio have in common: one thread, and output that is written once for a turn."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, Final, TypeVar

from puregrpc.transport.amounts import FIRST_READ_SIZE, LARGEST_READ_SIZE, SMALLEST_READ_SIZE, next_read_size
from puregrpc.transport.end_reasons import broken, no_settings
from puregrpc.transport.order import FIRST_TURN, UNKNOWN_TURN
from puregrpc.transport.rounds import SHORT_TURN, Rounds, working_time
from puregrpc.transport.session import ConnectionT, Owner, Session, SessionOptions, UnaryExchange
from puregrpc.wire.connection import ClientConnection, Driver, Request
from puregrpc.wire.limits import TURN_SLICE

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    from puregrpc.kernel import Kernel
    from puregrpc.kernel.network.streams import ByteStream

    Ts = TypeVarTuple("Ts")

__all__ = ["LoopSession"]

T = TypeVar("T")


FREE: Final = 0
HELD: Final = 1
IN_TURN: Final = 2

NOBODY: Final = 0
HANDLERS: Final = 1
CALLERS: Final = 2


FEW_BEGINNINGS = 8
"""So many calls that begin in a short turn are what a busy client asks for, and cost no look at the round."""


class LoopSession(Session[ConnectionT]):
    """A session on an event loop, where nobody comes in between: it has no mutex.

    What there is to send when somebody else's turn ends is sent then, all of it at once. After a turn of the session's
    own (reading, telling the time), and after `hold` and `push`, it is sent at once.
    """

    __slots__ = (
        "_armed",
        "_handshake_deadline",
        "_has_output",
        "_holding",
        "_is_behind",
        "_jobs_are_held",
        "_keepalive",
        "_last_reading",
        "_now",
        "_others_follow",
        "_rounds",
        "_turn_cost",
        "_write_error",
    )

    def __init__(
        self,
        kernel: Kernel,
        stream: ByteStream,
        make_connection: Callable[[Driver], ConnectionT],
        owner: Owner,
        options: SessionOptions,
    ) -> None:
        self._has_output = False
        self._holding: int = FREE
        """Who sees to it that output is sent: HELD: whoever called `hold`; IN_TURN: the session, when its turn ends."""
        self._others_follow: int = NOBODY
        """Whom this turn woke runs next, and may have more to send: handlers of new calls, callers of those that ended.
        """
        self._armed = inf
        """When the connection is told the time."""
        self._handshake_deadline = inf
        self._write_error: str | None = None
        """Nothing can be written any more. What the peer sent before that is still to be read."""
        self._is_behind = False
        """There is more input, or output, than there was time for."""
        self._last_reading = inf
        """After a failed write: how long."""
        self._now = kernel.now
        self._rounds = options.rounds
        self._turn_cost = FIRST_TURN
        """How long the last turn took, with what it gave others to do."""
        self._keepalive = options.keepalive
        self._jobs_are_held = False
        """Handlers of calls that this turn brings begin right behind it."""
        super().__init__(kernel, stream, make_connection, owner, options)
        self.connection.limit_turns(perf_counter)

    def locked(self, function: Callable[[Unpack[Ts]], T], *arguments: Unpack[Ts]) -> T:
        return function(*arguments)

    def on_output(self) -> None:
        self._has_output = True
        if self._holding == FREE:
            self._send_soon()

    def hold(self) -> None:
        if self._holding == FREE:
            self._holding = HELD

    def push(self) -> None:
        if self._holding == HELD:
            self._holding = FREE
            if self._has_output:
                self._send_now()

    def _receive(self, data: bytes) -> None:
        """A turn: something came."""
        rounds = self._rounds
        if rounds is None:
            self._act_on(data)
        elif len(data) > TURN_SLICE:
            began = working_time()
            self._act_on(data)
            self._spend(rounds, working_time() - began)
        else:
            self._turn_cost = SHORT_TURN
            self._act_briefly_on(data, rounds)

    def _first_came(self, size: int) -> None:
        """The first octets have come, and are to have their turn."""
        if size >= FIRST_READ_SIZE:  # there is more, and nobody knows how much
            self._turn_cost = UNKNOWN_TURN

    def _act_briefly_on(self, data: bytes, rounds: Rounds) -> None:
        """The same with so few octets that nobody looks at the clock. Many calls may have begun all the same."""
        self._act_on(data)
        handed_over = self.connection.handed_over
        if handed_over > FEW_BEGINNINGS:
            self._spend(rounds, handed_over * SHORT_TURN)

    def _act_on(self, data: bytes) -> None:
        self._holding = IN_TURN
        if data and self.bytes_received:  # as `_take`, a step less
            self.bytes_received += len(data)
            self.connection.receive(data, self._now())
        else:
            self._take(data, self._now())
        self._end_turn()

    def _spend(self, rounds: Rounds, seconds: float) -> None:
        """A turn has taken so long."""
        self._turn_cost = rounds.spend(seconds, self.connection.handed_over)

    def _take_pieces(self) -> list[bytes | memoryview]:
        """What is to be sent next."""
        return self.connection.pieces_to_send(self.most_sent)

    def _take_data(self) -> bytes:
        """The same, in one piece."""
        connection = self.connection
        if self._rounds is None:  # as `most_sent` has it, a step less
            return connection.data_to_send()
        most = self._rounds.most_sent
        return connection.data_to_send() if most is None else connection.data_to_send(most)

    @property
    def _first_read_size(self) -> int:
        return SMALLEST_READ_SIZE if self._rounds is None or self.bytes_received else FIRST_READ_SIZE

    def _next_read_size(self, limit: int, size: int) -> int:
        most = LARGEST_READ_SIZE if self._rounds is None else self._rounds.most_read
        return next_read_size(limit, size, is_behind=self._is_behind, most=most)

    def _tell_time(self) -> None:
        """A turn: the time has come for something."""
        now = self._now()
        if self._write_error is not None and now >= self._last_reading:
            self._abort(self._write_error)
        elif not self.is_ready and now >= self._handshake_deadline:
            self._abort(no_settings(self.options.handshake_timeout))
        else:
            self._armed = min(self._last_reading, inf if self.is_ready else self._handshake_deadline)
            self._holding = IN_TURN
            began = working_time()
            self.connection.advance(now)
            self._end_turn()
            if self._rounds is not None:
                self._rounds.spend(working_time() - began)

    def _end_turn(self) -> None:
        self._holding = FREE
        if self._others_follow == HANDLERS and self._jobs_are_held:
            self._others_follow = NOBODY  # they begin now, and what is to be sent is sent behind them
        elif self._others_follow:
            # Behind callers that are woken already: the calls that they make next go out in the same turn of the loop.
            # Who calls alone sends at once.
            if self._has_output or (self._others_follow == CALLERS and self.connection.open_calls):
                self._send_soon()
            self._others_follow = NOBODY
        elif self._has_output:
            self._send_now()
        if self.end_reason is not None:
            self._go_on_ending()
            return
        connection = self.connection
        when = connection.next_time()
        if when is not None and when < self._armed:
            self.arm(when)
        self._is_behind = connection.has_input or (self._has_output and connection.is_output_clogged)
        if self._is_behind:
            self._fell_behind()

    @abstractmethod
    def _fell_behind(self) -> None:
        """Nothing more is to be read until `_go_on` has caught up, in turns to come."""

    def _go_on(self) -> None:
        """A turn: the connection goes on with what came before."""
        self._holding = IN_TURN
        began = working_time()
        self.connection.proceed(self._now())
        self._end_turn()
        if self._rounds is not None:
            self._spend(self._rounds, working_time() - began)

    @abstractmethod
    def _go_on_ending(self) -> None:
        """A turn is over, and so is the connection."""

    def _write_failed(self, error: OSError) -> None:
        """Nothing can be written any more. The reader comes to the end of what the peer sent before that."""
        self._write_error = broken(error)
        self._last_reading = self._now() + self.options.linger
        self.arm(self._last_reading)

    @abstractmethod
    def _abort(self, reason: str) -> None:
        """See `abort`; in the thread of the loop."""

    @abstractmethod
    def _send_soon(self) -> None:
        """Send what there is in the next turn of the loop."""

    @abstractmethod
    def _send_now(self) -> None:
        """Send what there is, as far as the stream takes it; the rest follows."""

    def begin_exchange(
        self: LoopSession[ClientConnection],
        call: UnaryExchange,
        request: Request,
        deadline: float | None,
        message: bytes,
        now: float,
    ) -> None:
        self._open_unary(call, request, deadline, message, now)

    def _open_unary(
        self: LoopSession[ClientConnection],
        call: UnaryExchange,
        request: Request,
        deadline: float | None,
        message: bytes,
        now: float,
    ) -> None:
        """Open a unary call; it is sent at once if it is alone."""
        connection = self.connection
        if connection.open_calls or self._holding:
            connection.open_call(call, request, deadline=deadline, message=message, end=True, now=now)
        else:
            self._holding = HELD
            try:
                connection.open_call(call, request, deadline=deadline, message=message, end=True, now=now)
            finally:
                self._holding = FREE
                if self._has_output:
                    self._send_now()
        self.calls_started += 1
        self.last_call_at = self.last_sent = now
        self.messages_sent += 1
        if self._keepalive or (deadline is not None and deadline < self._armed):
            self.opened(call, deadline)
