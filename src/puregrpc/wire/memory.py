"""What connections hold of their peers' messages: each for itself, and those of a server together."""

from __future__ import annotations

import sys
from collections import deque
from itertools import chain
from math import inf
from typing import TYPE_CHECKING, Any, Final, Protocol

from puregrpc.wire.limits import CALL_MEMORY, GUARANTEED_MEMORY, MESSAGE_OVERHEAD, SERVER_MEMORY, SERVER_UNSENT
from puregrpc.wire.metadata import Metadata
from puregrpc.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "CALLS_PER_COUNT",
    "EMPTY",
    "NO_BUDGET",
    "TOO_MUCH_HELD",
    "Holder",
    "Holdings",
    "MemoryBudget",
    "is_memory_scarce",
    "size_of_metadata",
    "size_of_texts",
]

TOO_MUCH_HELD = Status(StatusCode.RESOURCE_EXHAUSTED, "the client has more open or unread than there is memory for")

EMPTY: Final[deque[Any]] = deque(maxlen=0)
"""In place of a queue to which nothing has come: an empty one takes 760 octets, and a call has several."""

MOST_FEW_CALLS = 64
"""A connection has at most so many calls open without being accounted, however few connections there are."""

UNCOUNTED = 16
"""What connections may hold without being accounted, beyond what is guaranteed, is this part of what they may hold."""

CALLS_PER_COUNT = 16
"""After so many further calls of one turn the budget hears of them, not only at its end."""

SMALL_METADATA = 1 << 10
"""What is part of CALL_MEMORY: of metadata, and of the other texts of a request together."""


def size_of_metadata(metadata: Metadata) -> int:
    """What a request's metadata take in memory; 0 if they are small."""
    size = sum(map(len, chain.from_iterable(metadata))) + len(metadata) * MESSAGE_OVERHEAD // 2
    return size if size > SMALL_METADATA else 0


def size_of_texts(texts: int) -> int:
    """What the texts of a request that are not metadata take, if they have so many octets together; 0 if that is
    little."""
    return texts if texts > SMALL_METADATA else 0


UPDATES_PER_COUNT = 256
"""Threads may lose a sum; it is made anew after so many changes."""


class Holder(Protocol):
    """A connection, as its budget sees it."""

    def relieve(self) -> None:
        """Let go of the call that holds most."""


def _at_once(holder: Holder) -> None:
    holder.relieve()


class MemoryBudget:
    """What all connections of a server may hold together: give one to each of them (`ConnectionConfig.memory_budget`).

    ``held`` octets of messages that came, parts of messages and input that has not acted yet included, and ``call``
    for each open call: beyond that the connection that holds most loses the call that holds most, and gets no new ones.
    ``unsent`` octets that wait to be sent: beyond that `Connection.is_send_full` is True. ``guaranteed`` octets of each
    are left to every connection, whatever the others hold. ``connection`` octets are taken off for each that there is
    (`serve`), where connections by themselves take more than elsewhere.

    ``relieve`` is called with the connection that has to let go, from inside a method of another; whoever drives
    connections in several threads has its `Connection.relieve` called where it belongs. Until that is done, whoever
    brings more beyond a quarter of ``held`` lets go itself.
    """

    __slots__ = ("_held", "_held_total", "_input", "_limit", "_looks", "_most", "_most_late", "_relieve", "_relieving",
                 "_shedding", "_unsent", "_unsent_limit", "_unsent_total", "_updates",
                 "_whole", "call", "connection", "few_calls", "guaranteed", "lingering")  # fmt: skip

    def __init__(
        self,
        held: int = SERVER_MEMORY,
        unsent: int = SERVER_UNSENT,
        guaranteed: int = GUARANTEED_MEMORY,
        *,
        call: int = CALL_MEMORY,
        connection: int = 0,
        relieve: Callable[[Holder], None] = _at_once,
    ) -> None:
        self.guaranteed = guaranteed
        self.call = call
        self.lingering = 0
        """How many calls are over, and their handlers have not heard of it. Nothing is let go of for them, but they are
        there: for whoever has such handlers to count."""
        self.few_calls = guaranteed // call
        """A connection that has no more calls open, and holds nothing else, need not be accounted."""
        self.connection = connection
        self._whole = held
        self.serve(0)
        self._unsent_limit = unsent
        self._relieve = relieve
        self._held: dict[Holder, int] = {}
        self._input: dict[Holder, int] = {}
        self._unsent: dict[Holder, int] = {}
        self._held_total = self._unsent_total = 0
        self._most = 0
        """What the greediest held when last somebody looked."""
        self._relieving: Holder | None = None
        """Who was asked, and has not done it yet."""
        self._looks = False
        """`update` is at work, and calls of it from inside only count."""
        self._shedding: set[Holder] = set()
        self._updates = 0

    def serve(self, connections: int) -> None:
        """There are so many connections. ``connection`` octets are left to others for each, of two thirds of it all.

        Few connections may have more calls open than many without being accounted.
        """
        if connections:
            few = self._whole // UNCOUNTED // self.call // connections
            self.few_calls = max(self.guaranteed // self.call, min(few, MOST_FEW_CALLS))
        self._limit = max(self._whole - connections * self.connection, self._whole // 3)
        self._most_late = self._limit + self._limit // 4
        """What may be held while those that were asked have not let go."""

    def amounts(self, held: int, calls: int, unsent: int, waiting: int, *, is_shed: bool) -> tuple[int, int, int]:
        """What `update` is to be told of a connection with so many ``calls`` open.

        ``waiting`` octets of input have not acted yet; ``is_shed``: they may wait for ever, and count as held.
        """
        if is_shed:
            held, waiting = held + waiting, 0
        if held or calls > self.few_calls:
            held += calls * self.call
        return held, unsent, waiting

    @property
    def held(self) -> int:
        """Octets that all connections hold."""
        return self._held_total

    @property
    def unsent(self) -> int:
        """Octets that wait to be sent on all connections."""
        return self._unsent_total

    @property
    def is_unsent_full(self) -> bool:
        """More waits to be sent than the connections may have waiting."""
        return self._unsent_total > self._unsent_limit

    @property
    def unsent_limit(self) -> int:
        """Octets that may wait to be sent on all connections."""
        return self._unsent_limit

    def unsent_left(self) -> int:
        """Octets that may wait to be sent beside those that do; negative if it is too much already."""
        return self._unsent_limit - self._unsent_total

    def holders_of_unsent(self) -> list[Holder]:
        """The connections for which more waits to be sent than is left to each."""
        return [holder for holder, octets in list(self._unsent.items()) if octets > self.guaranteed]

    def left(self) -> int:
        """Octets that may be held beside those that are."""
        return max(self._limit - self._held_total, 0)

    @property
    def is_scarce(self) -> bool:
        """More than a quarter of what may be held is."""
        return 4 * self._held_total > self._limit

    def is_greedy(self, holder: Holder) -> bool:
        """All that may be held is, and this connection is among those that hold most: it gets no further call."""
        total = self._held_total + self.lingering * self.call
        if total + self.call <= self._limit:
            return False
        held = self._held.get(holder, 0)
        return held > self.guaranteed and (2 * held >= self._most or total > self._most_late)

    def update(self, holder: Holder, held: int, unsent: int, waiting: int = 0) -> None:
        """A connection holds so much from now on; with nothing of any it is forgotten.

        ``waiting`` is input that came and has not acted yet. It counts as held, but nothing in it can be let go of.
        """
        self._held_total += held - self._held.pop(holder, 0) + waiting - self._input.pop(holder, 0)
        self._unsent_total += unsent - self._unsent.pop(holder, 0)
        if held:
            self._held[holder] = held
        if unsent:
            self._unsent[holder] = unsent
        if waiting:
            self._input[holder] = waiting
        self._updates += 1
        if self._updates >= UPDATES_PER_COUNT:
            self._updates = 0
            self._held_total = sum(list(self._held.values())) + sum(list(self._input.values()))
            self._unsent_total = sum(list(self._unsent.values()))
        if self._relieving is holder:
            self._relieving = None
        if self._held_total > self._limit:
            if not self._looks:
                self._looks = True
                try:
                    self._find_room(holder)
                finally:
                    self._looks = False
            if self._relieve is not _at_once and self._held_total > self._most_late:
                self._shed(holder)

    def _shed(self, holder: Holder) -> None:
        """Whoever was asked to let go has not had its turn yet, and meanwhile more came: let go here."""
        if holder in self._shedding:
            return
        self._shedding.add(holder)
        try:
            while self._held_total > self._most_late:
                held = self._held.get(holder, 0)
                if held <= self.guaranteed:
                    return
                holder.relieve()
                if self._held.get(holder, 0) >= held:
                    return
        finally:
            self._shedding.discard(holder)

    def _find_room(self, holder: Holder) -> None:
        while self._held_total > self._limit and self._relieving is None:
            greediest, most = max(list(self._held.items()), key=_octets, default=(None, 0))
            self._most = most
            if greediest is None or most <= self.guaranteed:
                return
            self._relieving = greediest
            if greediest is holder:
                holder.relieve()
            else:
                self._relieve(greediest)
            if self._relieving is None and self._held.get(greediest, 0) >= most:
                return  # it has nothing to let go of


def _octets(item: tuple[Holder, int]) -> int:
    return item[1]


NO_BUDGET: Final = MemoryBudget()
"""In place of a budget where there is none: it accounts no connection, however many calls that has open."""

NO_BUDGET.few_calls = sys.maxsize


STALLED_FOR = 1.0
"""How long, in seconds, others wait for a message that is let come before them and of which nothing comes."""

LEAST_WINDOW = 65535
"""What a connection's window is reopened to however much is held: calls whose messages are read must not stand still
for those whose are not."""


class Holdings:
    """What one connection holds: messages that wait for their owners, each with its overhead, and parts of messages.

    As memory fills up, the connection's window is reopened to what is left. From a quarter of it on, one message at a
    time is let come that is partly there: many at once, none of which could become whole, would hold it for ever. One
    of which nothing comes lets another go first, as long as an eighth of the memory is left. In a server, the call that
    holds most is ended once all is taken; a client has opened its calls itself.

    What a call holds beside its messages is `charge`d: large metadata, a message that its owner lets wait.
    """

    __slots__ = ("_charges", "_favored", "_has_moved", "_look_at", "_most", "_promised", "_windows", "memory",
                 "octets", "starving")  # fmt: skip

    def __init__(self, memory: int, max_message_size: int, *, ends_calls: bool) -> None:
        self.memory = max(memory, 2 * max_message_size)
        self._most = self.memory if ends_calls else inf
        self.octets = 0
        self._charges: dict[int, int] = {}
        self._favored: int | None = None
        self._has_moved = False
        """Something came of the favored one's message since somebody looked."""
        self._look_at: float | None = None
        self.starving: dict[int, None] = {}
        """The streams that `may_go_on` held back."""
        self._windows: dict[int, int] = {}
        self._promised = 0

    @property
    def are_too_large(self) -> bool:
        """A call must end."""
        return self.octets > self._most

    @property
    def are_small(self) -> bool:
        """Windows may grow."""
        return self.octets * 4 <= self.memory

    @property
    def has_charges(self) -> bool:
        """A call holds something beside its messages."""
        return bool(self._charges)

    def charge(self, stream_id: int, octets: int) -> None:
        """A call holds so much more, or less, beside its messages, until it is over."""
        self.octets += octets
        octets += self._charges.get(stream_id, 0)
        if octets:
            self._charges[stream_id] = octets
        else:
            self._charges.pop(stream_id, None)

    def charged(self, stream_id: int) -> int:
        """What a call holds beside its messages."""
        return self._charges.get(stream_id, 0)

    def window(self, window: int) -> int:
        """How far a connection's window of ``window`` octets may be open now."""
        return min(window, max(self.memory - self.octets, LEAST_WINDOW))

    def stream_window(self, stream_id: int, window: int, wanted: int) -> int:
        """What a stream's window of ``window`` octets may become, if ``wanted`` is what it could use.

        The windows that have grown are half of the memory together at the most: peers may fill them all.
        """
        others = self._promised - self._windows.get(stream_id, 0)
        wanted = min(wanted, self.memory // 2 - others)
        if wanted <= window or not self.are_small:
            return window
        self._windows[stream_id] = wanted
        self._promised = others + wanted
        return wanted

    def is_over(self, stream_id: int) -> None:
        """The call is over."""
        self._promised -= self._windows.pop(stream_id, 0)
        self._charges.pop(stream_id, None)
        self.is_whole(stream_id)

    def may_go_on(self, stream_id: int) -> bool:
        """Whether a stream whose message is partly there may get more window. If not, `due` will name it."""
        if self.are_small:
            return True
        if self._favored is None:
            self._favored = stream_id
        if self._favored == stream_id:
            self._has_moved = True
            return True
        self.starving[stream_id] = None
        return False

    def next_look(self, now: float) -> float:
        """Some streams starve: when it is to be looked whether something comes of the favored one's message."""
        if self._look_at is None:
            self._look_at = now + STALLED_FOR
            self._has_moved = False
        return self._look_at

    def look(self, now: float) -> None:
        """If nothing comes of it, others are `due` before it."""
        if self._look_at is None or now < self._look_at:
            return
        self._look_at = None
        favored = self._favored
        if favored is not None and not self._has_moved and self.starving and self.octets * 8 <= self.memory * 7:
            self._favored = None
            self.starving[favored] = None

    def is_whole(self, stream_id: int) -> None:
        """The message is there as a whole, or its call is over."""
        if self._favored == stream_id:
            self._favored = None
        if self.starving:
            self.starving.pop(stream_id, None)

    def due(self) -> list[int]:
        """Those of `starving` that may get window now."""
        if not self.starving:
            return []
        if self.are_small:
            due = list(self.starving)
            self.starving.clear()
            return due
        if self._favored is not None:
            return []
        self._favored = next(iter(self.starving))
        del self.starving[self._favored]
        return [self._favored]


def is_memory_scarce(holdings: Holdings, budget: MemoryBudget | None) -> bool:
    """Nothing is to be set aside that may not be needed."""
    return not holdings.are_small or (budget is not None and budget.is_scarce)
