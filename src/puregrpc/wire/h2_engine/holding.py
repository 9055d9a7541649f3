"""What an h2-based connection holds of its peer's messages, and the windows that follow from it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Generic

from puregrpc.errors import RemoteProtocolError
from puregrpc.wire.connection import Call, Connection, ConnectionConfig
from puregrpc.wire.flow_control import BandwidthProbe
from puregrpc.wire.frames import ErrorCode
from puregrpc.wire.h2_engine.http2 import FIRST_WINDOW, Http2
from puregrpc.wire.h2_engine.stream import CallT, Stream
from puregrpc.wire.limits import GUARANTEED_MEMORY, MAX_UNSENT_HEADERS, MAX_UNSENT_OUTPUT
from puregrpc.wire.memory import NO_BUDGET, TOO_MUCH_HELD, Holdings
from puregrpc.wire.status import Status

__all__ = ["Holding"]


class Holding(Connection, Generic[CallT]):
    """What both ends do about memory and receive windows."""

    __slots__ = (
        "_accounting",
        "_closed",
        "_config",
        "_holdings",
        "_http2",
        "_is_accounted",
        "_is_client",
        "_output",
        "_probe",
        "_received",
        "_streams",
        "_unsent",
        "_window",
        "now",
    )

    def __init__(self, config: ConnectionConfig, *, client: bool) -> None:
        self._config = config
        self._is_client = client
        self._http2 = Http2(config, client=client)
        self._output = self._http2.output
        self._accounting = config.memory_budget or NO_BUDGET
        self._streams: dict[int, Stream[CallT]] = {}
        """The calls that have a stream, by its id."""
        self._closed = False
        self.now = 0.0
        self._holdings = Holdings(config.connection_memory, config.max_receive_message_size, ends_calls=not client)
        self._unsent = 0
        """Octets of all calls' messages that flow control has not let go."""
        self._window = max(config.initial_connection_window, FIRST_WINDOW)
        """The connection's receive window, if there is memory for it."""
        self._received = 0
        """Octets of DATA that ever came."""
        self._probe = BandwidthProbe(config.initial_stream_window, config.max_window)
        self._is_accounted = False
        """The budget knows of something that the connection holds."""

    # -- memory

    @property
    def is_output_clogged(self) -> bool:
        waits = len(self._output)
        if self._is_client or waits <= GUARANTEED_MEMORY:
            return False
        budget = self._config.memory_budget
        return waits > MAX_UNSENT_HEADERS or (budget is not None and budget.is_unsent_full)

    @property
    def unsent(self) -> int:
        return self._unsent + len(self._output)

    @property
    def is_send_full(self) -> bool:
        waits = self.unsent
        if waits <= GUARANTEED_MEMORY:
            return False
        if waits > MAX_UNSENT_OUTPUT or len(self._output) > MAX_UNSENT_HEADERS:
            return True
        budget = self._config.memory_budget
        return budget is not None and budget.is_unsent_full

    def _let_go(self, stream: Stream[CallT]) -> None:
        """The call is over, and what it holds is its owner's alone."""
        self._holdings.octets -= self._held_by(stream)
        self._holdings.is_over(stream.id)
        stream.credit.forget()
        if self._holdings.starving:
            self._feed_starving()

    def _charge_part(self, stream: Stream[CallT]) -> None:
        """More came of a message that is not complete, or it is complete now."""
        reader = stream.reader
        held = reader.held
        self._holdings.octets += held - reader.charged
        reader.charged = held
        if not held:
            self._holdings.is_whole(stream.id)

    def _look_at_holdings(self) -> None:
        """After something came: end calls that hold too much, and let go on what had to wait."""
        holdings = self._holdings
        while holdings.are_too_large and not self._closed:
            before = holdings.octets
            self.relieve()
            if holdings.octets >= before:
                break
        self._account()
        if holdings.starving:
            self._feed_starving()

    def _feed_starving(self) -> None:
        """Let go on what had to wait with a part of a message, as far as there is memory for it."""
        holdings = self._holdings
        for stream_id in () if self._closed else holdings.due():
            stream = self._streams.get(stream_id)
            if stream is None:
                holdings.is_whole(stream_id)
            else:
                self._give_credit(stream)

    def _account(self) -> None:
        """Tell the budget that the connection shares with others what it holds and has waiting."""
        budget = self._config.memory_budget
        if budget is None:
            return
        held = unsent = waiting = 0
        if not self._closed:
            waiting = self._waiting_input
            held, unsent, waiting = budget.amounts(
                self._holdings.octets,
                len(self._streams),
                self._unsent + len(self._output),
                waiting,
                is_shed=waiting > 0 and self._can_shed_input,
            )
        if held or unsent or waiting or self._is_accounted:
            self._is_accounted = bool(held or unsent or waiting)
            budget.update(self, held, unsent, waiting)

    @property
    @abstractmethod
    def _waiting_input(self) -> int:
        """Octets that came and have not acted yet."""

    @property
    def _can_shed_input(self) -> bool:
        """The input that waits may do so for ever: the peer ends no header block, or takes no output."""
        return self._http2.block_size > 0 or self.is_output_clogged

    def _held_by(self, stream: Stream[CallT]) -> int:
        """What a call holds: messages that wait for its owner, the part that is there of another, and charges."""
        return stream.credit.held + stream.reader.charged + self._holdings.charged(stream.id)

    def charge(self, call: Call, octets: int) -> None:
        stream: Stream[CallT] | None = call.wire_state
        if stream is not None:
            self._holdings.charge(stream.id, octets)
            self._account()

    def relieve(self) -> None:
        greediest = max(reversed(self._streams.values()), key=self._held_by, default=None)
        most = 0 if greediest is None else self._held_by(greediest)
        if self._can_shed_input and most < self._waiting_input:
            is_within_block = self._http2.block_size > 0
            what = "a header block without end" if is_within_block else "requests, but no answers are taken"
            error = RemoteProtocolError(what, ErrorCode.ENHANCE_YOUR_CALM)
            self._go_away_over(error)
        elif greediest is not None and (most or len(self._streams) > self._accounting.few_calls):
            self._fail_call(greediest, TOO_MUCH_HELD)
        self._account()
        self._tell_output()

    # -- windows

    def consume(self, call: Call, octets: int) -> None:
        stream: Stream[CallT] | None = call.wire_state
        if stream is None:
            return
        self._holdings.octets -= stream.credit.consumed(octets)
        self._give_credit(stream)
        self._give_back_connection()
        if self._holdings.starving:
            self._feed_starving()
        self._tell_output()

    def _give_back_connection(self) -> None:
        """Open the connection's window again, as far as there is memory for what comes."""
        if self._closed:
            return
        window = self._holdings.window(self._window)
        owed = window - self._http2.connection_receive_window
        if owed <= 0 or owed * 4 < window:
            return
        self._http2.grant(owed)
        if window == self._window and self._probe.begin(self._received, self.now):
            self._http2.ping(BandwidthProbe.PING)

    def _give_credit(self, stream: Stream[CallT]) -> None:
        if stream.wire_ended_remotely or not stream.id:
            return
        is_part = bool(stream.reader.partial)
        credit = stream.credit
        parts = not is_part or self._holdings.may_go_on(stream.id)
        if credit.auto and not parts:
            return
        owed = credit.take(parts=parts)
        if owed:
            if self._probe.window > credit.window and (credit.auto or is_part or not credit.messages_are_small):
                credit.grow(self._holdings.stream_window(stream.id, credit.window, self._probe.window))
                owed += credit.take(parts=parts)
            self._http2.grant(owed, stream.id)

    def _probe_answered(self) -> None:
        window = self._probe.answered(self._received, self.now)
        if window > self._window and self._holdings.are_small:
            self._window = window
            self._give_back_connection()

    # -- what others do

    @abstractmethod
    def _fail_call(self, stream: Stream[CallT], status: Status, error_code: int = ErrorCode.CANCEL) -> None:
        """End the call from this side, for a reason that is not its owner's."""

    @abstractmethod
    def _go_away_over(self, error: RemoteProtocolError) -> None:
        """The peer broke the protocol: GOAWAY, and the end."""

    @abstractmethod
    def _tell_output(self) -> None:
        """Tell the driver if there is something to send."""
