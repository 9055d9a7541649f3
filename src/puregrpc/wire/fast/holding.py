"""What a connection holds of its peer's messages, and the windows that follow from it."""

from __future__ import annotations

from abc import abstractmethod

from puregrpc.errors import RemoteProtocolError
from puregrpc.wire.connection import Call, ConnectionConfig, Driver
from puregrpc.wire.fast.control import Controlled
from puregrpc.wire.fast.octets import frame
from puregrpc.wire.fast.sending import REMOTE_CLOSED
from puregrpc.wire.flow_control import BandwidthProbe, StreamCredit
from puregrpc.wire.frames import ErrorCode, FrameType
from puregrpc.wire.framing import MessageReader
from puregrpc.wire.memory import NO_BUDGET, TOO_MUCH_HELD

__all__ = ["Holding"]

WINDOW_UPDATE_LENGTH = 4


class Holding(Controlled):
    """What both ends do about memory and receive windows."""

    __slots__ = ("_accounting", "_kept", "_withheld")

    def __init__(self, driver: Driver, config: ConnectionConfig) -> None:
        super().__init__(driver, config)
        self._accounting = config.memory_budget or NO_BUDGET
        self._kept: bytes | None = None
        """What a turn had no time for."""
        self._withheld = False
        """The connection's window is smaller than it might be, for want of memory."""

    # -- memory

    def _held_by(self, call: Call) -> int:
        """What a call holds: messages that wait for its owner, and the part that is there of another."""
        credit: StreamCredit | None = call.wire_a
        reader = call.wire_inbound
        held = self._holdings.charged(call.wire_id)
        if credit is not None:
            held += credit.held
        return held + reader.charged if isinstance(reader, MessageReader) else held

    def _let_go(self, call: Call) -> None:
        """The call is over, and what it holds is its owner's alone."""
        self._holdings.octets -= self._held_by(call)
        self._holdings.is_over(call.wire_id)
        if call.wire_a is not None:
            call.wire_a.forget()
        call.wire_a = call.wire_inbound = None  # its owner may keep the call
        if self._withheld:
            self._give_back_connection()
        if self._holdings.starving:
            self._feed_starving()

    def _charge_part(self, call: Call, reader: MessageReader) -> None:
        """More came of a message that is not complete, or it is complete now."""
        held = reader.held
        self._holdings.octets += held - reader.charged
        reader.charged = held
        if not held:
            self._holdings.is_whole(call.wire_id)

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
        holdings = self._holdings
        for stream_id in () if self._closed else holdings.due():
            call = self.streams.get(stream_id)
            if call is None:
                holdings.is_whole(stream_id)
            elif call.auto_consume:
                self._top_up(call)
            elif call.wire_a is not None:
                self._give_credit(call, call.wire_a)

    def _account(self) -> None:
        budget = self.config.memory_budget
        if budget is not None:
            held = unsent = waiting = 0
            if not self._closed:
                waiting = self._waiting_input
                held, unsent, waiting = budget.amounts(
                    self._holdings.octets,
                    len(self.streams),
                    self._unsent + self._direct_octets,
                    waiting,
                    is_shed=waiting > 0 and self._can_shed_input,
                )
            self._accounted = bool(held or unsent or waiting)
            budget.update(self, held, unsent, waiting)

    @property
    @abstractmethod
    def _waiting_input(self) -> int:
        """Octets that came and have not acted yet."""

    @property
    @abstractmethod
    def _is_within_block(self) -> bool:
        """A header block has begun, and not ended."""

    @property
    def _can_shed_input(self) -> bool:
        """The input that waits may do so for ever: the peer ends no header block, or takes no output."""
        return self._is_within_block or self.is_output_clogged

    def charge(self, call: Call, octets: int) -> None:
        if call.wire_state is not None:
            self._holdings.charge(call.wire_id, octets)
            self._account()

    def relieve(self) -> None:
        greediest = max(reversed(self.streams.values()), key=self._held_by, default=None)
        most = 0 if greediest is None else self._held_by(greediest)
        if self._can_shed_input and most < self._waiting_input:
            what = "a header block without end" if self._is_within_block else "requests, but no answers are taken"
            error = RemoteProtocolError(what, ErrorCode.ENHANCE_YOUR_CALM)
            self._protocol_error(error)
        elif greediest is not None and (most or len(self.streams) > self._accounting.few_calls):
            self._fail_call(greediest, TOO_MUCH_HELD, ErrorCode.ENHANCE_YOUR_CALM)
        self._account()

    # -- windows

    def consume(self, call: Call, octets: int) -> None:
        credit: StreamCredit | None = call.wire_a if call.wire_state is not None else None
        if credit is None:
            return
        self._holdings.octets -= credit.consumed(octets)
        if credit.owed * 4 >= credit.window or call.wire_inbound is not None:
            self._give_credit(call, credit)
        if self._withheld:
            self._give_back_connection()
        if self._holdings.starving:
            self._feed_starving()

    def _give_back_connection(self) -> None:
        """Open the connection's window again, as far as there is memory for what comes."""
        if self._closed:
            return
        window = self._holdings.window(self._connection_window)
        self._withheld = window < self._connection_window
        owed = window - (self._connection_window - self._connection_received)
        if owed <= 0 or owed * 4 < window:
            return
        self._connection_received -= owed
        self._received_before += owed
        update = frame(FrameType.WINDOW_UPDATE, 0, 0, owed.to_bytes(WINDOW_UPDATE_LENGTH, "big"))
        if not self._withheld and self._probe.begin(self._received_before + self._connection_received, self.now):
            update += frame(FrameType.PING, 0, 0, BandwidthProbe.PING)
        self.emit(update)

    def _part_received(self, call: Call, octets: int) -> None:
        """Octets came of a message that is not complete yet, and not all of which need fit the window."""
        credit = call.wire_a or self._new_credit(call)
        credit.received(octets, 0)
        if call.wire_received < call.wire_low:
            self._give_credit(call, credit)

    def _new_credit(self, call: Call) -> StreamCredit:
        """Begin to count what the call's owner consumes; a stream that is idle has no need of it."""
        credit: StreamCredit = StreamCredit(self._announced_window, auto=False)
        call.wire_a = credit
        return credit

    def _give_credit(self, call: Call, credit: StreamCredit) -> None:
        if call.wire_state & REMOTE_CLOSED:
            return
        reader = call.wire_inbound
        parts = reader is None or self._holdings.may_go_on(call.wire_id)
        owed = credit.take(parts=parts)
        if owed:
            if self._probe.window > credit.window and (reader is not None or not credit.messages_are_small):
                credit.grow(self._holdings.stream_window(call.wire_id, credit.window, self._probe.window))
                owed += credit.take(parts=parts)
                call.wire_low = credit.window * 3 // 4
            self._give_back(call, owed)

    def _top_up(self, call: Call) -> None:
        """Give all octets back that came, and the growth that the bandwidth asks for."""
        holdings = self._holdings
        if call.wire_inbound is not None and not holdings.may_go_on(call.wire_id):
            return
        window = -(-call.wire_low * 4 // 3)  # as it is
        if self._probe.window > window:
            window = holdings.stream_window(call.wire_id, window, self._probe.window)
            call.wire_low = window * 3 // 4
        if window > call.wire_received:
            self._give_back(call, window - call.wire_received)

    def _give_back(self, call: Call, octets: int) -> None:
        call.wire_received += octets
        self.emit(frame(FrameType.WINDOW_UPDATE, 0, call.wire_id, octets.to_bytes(WINDOW_UPDATE_LENGTH, "big")))
