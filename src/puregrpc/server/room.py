"""What waits to be sent is bounded: handlers begin, and streams of responses go on, when there is room for it."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from puregrpc.errors import NotConnected, RpcError
from puregrpc.kernel.threads.mutex import Mutex
from puregrpc.transport.rounds import working_time
from puregrpc.wire.limits import GUARANTEED_MEMORY
from puregrpc.wire.memory import EMPTY
from puregrpc.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from puregrpc.kernel import Kernel, Waiter
    from puregrpc.server.calls.incoming import IncomingCall
    from puregrpc.server.session import ServerSession
    from puregrpc.server.stalls import Stalls
    from puregrpc.wire.compression import CompressedMessage
    from puregrpc.wire.connection import ServerConnection
    from puregrpc.wire.memory import MemoryBudget

__all__ = ["PAUSE", "SMALL", "SMALL_ANSWER", "TOO_MUCH_UNSENT", "Foreseen", "Lookout", "Room"]

TOO_MUCH_UNSENT = Status(StatusCode.RESOURCE_EXHAUSTED, "more waits to be sent than there is memory for")

PAUSE = 0.01
"""How long, in seconds, until somebody looks for room again: other connections may have made some."""

LOOKING_TIME = 0.002
"""So many seconds of looking, then others have their turns: there may be a thousand connections to look after."""

PATIENCE = 10.0
"""How long, in seconds, a call waits whose message becomes large when it is inflated, or whose answer is to be expected
to be large, while as much waits to be sent as may: others may never take what is theirs. Then it ends."""

MOST_AT_ONCE = 8
"""How many calls go on before it is looked again: what they send is not known yet."""

LOOKS = 10
"""How often it is looked for room until an answer that has not come is late: its handler takes long. On a loop it is
expected no more, since its handler goes on when there is room (`resuming`)."""

LATE = 10.0
"""How long, in seconds, an answer is expected of a handler that has a thread, which nobody can hold up."""

MOST_LATE = 2
"""So many times what may wait to be sent may be about to be, answers that are late included. More than what may wait
at once, for the handlers of those that ask and take their answers are slow as well."""

SMALL_ANSWER = 4 << 10
"""An answer of so many octets is not looked after: a call is taken to cost more."""

SMALL = 1 << 10
"""A request of so many octets is part of what its call is taken to cost."""


class Expected(NamedTuple):
    """What a call is about to send."""

    octets: int
    look: int
    """Since which look."""
    since: float
    """Since when, by the clock of `time.monotonic`."""


NOTHING = Expected(0, 0, 0.0)


class Foreseen:
    """What handlers are about to send, on all connections: large answers, and what came of compressed requests. It
    counts until it waits to be sent, or its handler takes long. From any thread.
    """

    def __init__(self, budget: MemoryBudget | None) -> None:
        self._budget = budget
        self._mutex = Mutex()
        self.calls: dict[IncomingCall, Expected] = {}
        """Those that are about to send something."""
        self.late: dict[IncomingCall, Expected] = {}
        """Those that have threads, and take long."""
        self._octets = self._late_octets = 0
        self._look = 0

    @property
    def is_full(self) -> bool:
        """With what is about to be sent, as much waits as may on all connections."""
        budget = self._budget
        if budget is None:
            return False
        left = budget.unsent_left()
        if self._octets >= left:
            return True
        late = self._late_octets
        return late > 0 and self._octets + late >= left + (MOST_LATE - 1) * budget.unsent_limit

    @property
    def is_unsent_full(self) -> bool:
        """The same without it."""
        return self._budget is not None and self._budget.is_unsent_full

    def expects(self, call: IncomingCall) -> bool:
        """What the call is about to send counts already."""
        return call in self.calls or call in self.late

    @property
    def is_empty(self) -> bool:
        """Nothing is expected of anybody."""
        return not self.calls and not self.late

    def add(self, call: IncomingCall, octets: int) -> None:
        """A call is about to send so much; nothing else is expected of it any more."""
        if octets > SMALL_ANSWER:
            self._mutex.locked(self._set, call, octets)
        else:
            self.drop(call)

    def add_within(self, call: IncomingCall, octets: int) -> bool:
        """As `add`, unless that is too large: nobody else takes the same room meanwhile."""
        return self._mutex.locked(self._set_within, call, octets)

    def drop(self, call: IncomingCall) -> None:
        """It has sent it, or does not."""
        if call in self.calls or call in self.late:  # as `expects`, a step less
            self._mutex.locked(self._set, call, 0)

    def look(self) -> None:
        """Expect less of handlers that take long."""
        self._look += 1
        if not self.is_empty:
            self._mutex.locked(self._let_go)

    def _set(self, call: IncomingCall, octets: int) -> None:
        before = self.calls.pop(call, NOTHING).octets
        late = self.late.pop(call, NOTHING).octets
        self._octets += octets - before
        self._late_octets -= late
        call.session.room.foreseen += octets - before - late
        if octets:
            self.calls[call] = Expected(octets, self._look, time.monotonic())

    def _set_within(self, call: IncomingCall, octets: int) -> bool:
        if call.session.room.is_too_large(call):
            return False
        self._set(call, octets if octets > SMALL_ANSWER else 0)
        return True

    def _let_go(self) -> None:
        until = time.monotonic() - LATE
        for call, expected in list(self.late.items()):
            if expected.since > until:
                break
            self._set(call, 0)
        for call, expected in list(self.calls.items()):
            if self._look - expected.look < LOOKS:
                return
            self._set(call, 0)
            if call.has_thread:
                self.late[call] = expected
                self._late_octets += expected.octets
                call.session.room.foreseen += expected.octets


class Growing(NamedTuple):
    """What waits for room since it is about to send much."""

    octets: float
    until: float
    """When it waits no longer."""


class Room:
    """The calls of one connection that wait for room. With the connection at hand."""

    __slots__ = ("_inflating", "_is_looking", "_wire", "blocked", "foreseen", "growing", "waiting")

    def __init__(self, wire: ServerConnection) -> None:
        self._wire = wire
        self.waiting: OrderedDict[IncomingCall, int] = OrderedDict()
        """With the octets that each keeps meanwhile, and that are charged."""
        self.growing: dict[IncomingCall, Growing] = {}
        """Those that have a message which becomes large when it is inflated, or whose answer is to be expected to be
        large."""
        self.foreseen = 0
        """Octets that calls of this connection are about to send (`Foreseen`)."""
        self._inflating: deque[tuple[IncomingCall, Waiter]] = EMPTY
        """Those that wait on a loop with a message to be inflated."""
        self.blocked: set[IncomingCall] = set()
        """Those whose threads wait with such a message, and look for room by themselves."""
        self._is_looking = False

    def wait(self, call: IncomingCall) -> None:
        """Let a call wait: its `IncomingCall.go_on` is called when there is room."""
        if call not in self.waiting:
            session = call.session
            session.foreseen.drop(call)
            kept = call.kept_octets
            kept = kept if kept > SMALL else 0
            self.waiting[call] = kept
            if kept:
                self._wire.charge(call, kept)
            session.connections.lookout.watch(session)

    def forget(self, call: IncomingCall) -> None:
        """It does not wait (any more)."""
        kept = self.waiting.pop(call, 0)
        if kept:
            self._wire.charge(call, -kept)

    def wait_blocking(self, call: IncomingCall) -> None:
        """Wait a while with a message to be inflated, in the handler's thread. Raises RpcError RESOURCE_EXHAUSTED if it
        has waited for as long as it may."""
        if self.is_overdue(call):
            raise RpcError(TOO_MUCH_UNSENT.code, TOO_MUCH_UNSENT.message)
        if call not in self.blocked:
            self.blocked.add(call)
            session = call.session
            session.post(call, session.connections.lookout.watch, session)
        time.sleep(PAUSE)

    @property
    def is_awaited(self) -> bool:
        """Somebody waits."""
        return bool(self.waiting or self._inflating or self.blocked)

    def is_too_large(self, call: IncomingCall, message: CompressedMessage | None = None) -> bool:
        """Whether what is guaranteed to every connection is too little for what a call is about to send, and there is
        nothing else. That is what comes of a message, which may be sent back, or what its method answers of late.
        """
        foreseen = call.session.foreseen
        if not foreseen.is_full or foreseen.expects(call):
            return False
        growing = self.growing.get(call)
        octets = self._size_of(call, message) if growing is None else growing.octets
        if self._has_guaranteed(octets):
            return False
        if growing is None:
            is_large = octets > GUARANTEED_MEMORY  # what is not waits for its own connection's answers to be taken
            until = call.session.kernel.now() + PATIENCE if is_large else inf
            self.growing[call] = Growing(octets, until)
        return True

    def _has_guaranteed(self, octets: float) -> bool:
        """Whether so much more is guaranteed to the connection."""
        return self._wire.unsent + self.foreseen + octets <= GUARANTEED_MEMORY

    def _size_of(self, call: IncomingCall, message: CompressedMessage | None) -> float:
        """What a call is about to send: 0 if there is room for it, inf if nobody knows how much it is."""
        if message is None:
            return call.route.expected_answer
        if message.grows_beyond(GUARANTEED_MEMORY):
            return inf
        left = GUARANTEED_MEMORY - self._wire.unsent - self.foreseen
        return GUARANTEED_MEMORY if left < GUARANTEED_MEMORY and message.grows_beyond(max(left, 0)) else 0

    def holds_back(self, call: IncomingCall) -> bool:
        """Whether the call is about to send so much, and there is no room for it yet."""
        growing = self.growing.get(call)
        return growing is not None and call.session.foreseen.is_full and not self._has_guaranteed(growing.octets)

    def _may_go_on(self, call: IncomingCall) -> bool:
        """Whether there is room for a call that waits. What it is about to send counts from now on, so that not all
        who wait go on at once."""
        if self.holds_back(call):
            return False
        expected = call.route.expected_answer
        if expected:
            if not call.session.foreseen.add_within(call, expected):
                return False
            self.growing.pop(call, None)
        return True

    def is_overdue(self, call: IncomingCall) -> bool:
        """Whether the call has waited for as long as it may, and what others have waiting is not taken."""
        growing = self.growing.get(call)
        if growing is None or call.session.kernel.now() < growing.until:
            return False
        return call.session.foreseen.is_unsent_full

    def waits_until(self, call: IncomingCall) -> float:
        """When to look whether the call has waited for as long as it may. If that is over, it may so long again."""
        growing = self.growing.get(call)
        if growing is None:
            return inf
        now = call.session.kernel.now()
        if now < growing.until:
            return growing.until
        self.growing[call] = Growing(growing.octets, now + PATIENCE)
        return now + PATIENCE

    async def wait_to_inflate(self, call: IncomingCall) -> None:
        """Wait until there is room; RpcError RESOURCE_EXHAUSTED if none is made. On loops."""
        session = call.session
        waiter = session.kernel.waiter()
        if self._inflating is EMPTY:
            self._inflating = deque()
        entry = (call, waiter)
        self._inflating.append(entry)
        session.connections.lookout.watch(session)
        try:
            if not await waiter.wait(self.waits_until(call)) and self.is_overdue(call):
                raise RpcError(TOO_MUCH_UNSENT.code, TOO_MUCH_UNSENT.message)
        finally:
            with suppress(ValueError):  # it was woken
                self._inflating.remove(entry)

    def look_soon(self, session: ServerSession) -> None:
        """A call of the connection's session has sent what it had."""
        if not self._is_looking:
            self._is_looking = True
            session.kernel.call_soon(session.look_for_room)

    def look(self) -> None:
        """Let calls go on, as far as there is room."""
        self._is_looking = False
        for _ in range(MOST_AT_ONCE):
            if not self.is_awaited or self._wire.is_send_full:
                return
            if self._inflating:
                if self.holds_back(self._inflating[0][0]):
                    self._inflating.rotate(-1)
                else:
                    self._inflating.popleft()[1].wake()
                continue
            if not self.waiting:
                return
            call = next(iter(self.waiting))
            if self._may_go_on(call):
                self.forget(call)
                call.go_on()
            elif self.is_overdue(call) and not call.has_begun:
                self.forget(call)
                self.growing.pop(call, None)
                call.end_with(TOO_MUCH_UNSENT)
            else:
                self.waiting.move_to_end(call)


class Lookout:
    """Looks after the connections of a server that have calls which wait for room."""

    def __init__(self, kernel: Kernel, stalls: Stalls, foreseen: Foreseen) -> None:
        self._kernel = kernel
        self._stalls = stalls
        self._foreseen = foreseen
        self._watched: set[ServerSession] = set()
        self._is_running = False

    def watch(self, session: ServerSession) -> None:
        """A connection has such calls."""
        if self._kernel.locked(self._add, session):
            try:
                self._kernel.spawn(self._run)
            except (NotConnected, RuntimeError):  # the server ends, or no thread can be started: another call tries
                self._kernel.locked(self._stop)

    def _add(self, session: ServerSession) -> bool:
        self._watched.add(session)
        was_running, self._is_running = self._is_running, True
        return not was_running

    def _stop(self) -> None:
        self._is_running = False

    async def _run(self) -> None:
        kernel = self._kernel
        while True:
            await kernel.sleep(kernel.now() + PAUSE)
            self._stalls.look(kernel.now())
            self._foreseen.look()
            began = working_time()
            for session in kernel.locked(list, self._watched):
                session.look_for_room()
                if working_time() - began > LOOKING_TIME:
                    await kernel.checkpoint()
                    began = working_time()
            if kernel.locked(self._is_done):
                return

    def _is_done(self) -> bool:
        self._watched = {session for session in self._watched if session.room.is_awaited}
        self._is_running = bool(self._watched)
        return not self._is_running
