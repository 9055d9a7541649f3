"""What waits to be sent is bounded: handlers begin, and streams of responses go on, when there is room for it."""

from __future__ import annotations

from collections import OrderedDict, deque
from contextlib import suppress
from typing import TYPE_CHECKING

from puregrpc.errors import NotConnected
from puregrpc.wire.memory import EMPTY

if TYPE_CHECKING:
    from puregrpc.kernel import Kernel, Waiter
    from puregrpc.server.call import IncomingCall
    from puregrpc.server.session import ServerSession

__all__ = ["PAUSE", "SMALL", "Lookout", "Room"]

PAUSE = 0.01
"""How long, in seconds, until somebody looks for room again: other connections may have made some."""

MOST_AT_ONCE = 8
"""How many calls go on before it is looked again: what they send is not known yet."""

SMALL = 1 << 10
"""A request of so many octets is part of what its call is taken to cost."""


class Room:
    """The calls of one connection that wait for room. With the connection at hand."""

    __slots__ = ("_inflating", "_is_looking", "_session", "waiting")

    def __init__(self, session: ServerSession) -> None:
        self._session = session
        self.waiting: OrderedDict[IncomingCall, int] = OrderedDict()
        """With the octets that each keeps meanwhile, and that are charged."""
        self._inflating: deque[Waiter] = EMPTY
        """Those that wait with a message to be inflated."""
        self._is_looking = False

    def wait(self, call: IncomingCall) -> None:
        """Let a call wait: its `IncomingCall.go_on` is called when there is room."""
        if call not in self.waiting:
            kept = call.kept_octets
            kept = kept if kept > SMALL else 0
            self.waiting[call] = kept
            if kept:
                self._session.wire.charge(call, kept)
            self._session.connections.lookout.watch(self._session)

    def forget(self, call: IncomingCall) -> None:
        """It does not wait (any more)."""
        kept = self.waiting.pop(call, 0)
        if kept:
            self._session.wire.charge(call, -kept)

    @property
    def is_awaited(self) -> bool:
        """Somebody waits."""
        return bool(self.waiting or self._inflating)

    async def wait_to_inflate(self) -> None:
        """Wait until there is room. On loops."""
        waiter = self._session.kernel.waiter()
        if self._inflating is EMPTY:
            self._inflating = deque()
        self._inflating.append(waiter)
        self._session.connections.lookout.watch(self._session)
        try:
            await waiter.wait()
        finally:
            with suppress(ValueError):  # it was woken
                self._inflating.remove(waiter)

    def look_soon(self) -> None:
        """A call has sent what it had."""
        if not self._is_looking:
            self._is_looking = True
            self._session.kernel.call_soon(self._session.look_for_room)

    def look(self) -> None:
        """Let calls go on, as far as there is room."""
        self._is_looking = False
        for _ in range(MOST_AT_ONCE):
            if not self.is_awaited or self._session.wire.is_send_full:
                return
            if self._inflating:
                self._inflating.popleft().wake()
                continue
            call = next(iter(self.waiting))
            self.forget(call)
            call.go_on()


class Lookout:
    """Looks after the connections of a server that have calls which wait for room."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
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
            for session in kernel.locked(list, self._watched):
                session.look_for_room()
            if kernel.locked(self._is_done):
                return

    def _is_done(self) -> bool:
        self._watched = {session for session in self._watched if session.room.is_awaited}
        self._is_running = bool(self._watched)
        return not self._is_running
