"""Messages of a stream between the network's thread and the one that takes them: bounded both ways."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from puregrpc.client.calls.requests import Outcome
from puregrpc.kernel.threads.waking import Condition

__all__ = ["BACKLOG_OCTETS", "PATIENCE_SECONDS", "Inbox", "Patience"]

INBOX_MESSAGES = 64
INBOX_OCTETS = 1 << 20
"""How much of what a stream received may wait to be taken; beyond it the server is held back by flow control. The
smaller of the two rules: many small messages, or a few large ones, one at least."""

BACKLOG_OCTETS = 64 << 20
STALL_SECONDS = 10.0
PATIENCE_SECONDS = 0.02
"""How often a write that waits asks its `Patience`."""


def _nothing(*_: object) -> None:
    """Nobody is told behind the end."""


class Inbox:
    """Messages of one stream on their way from the network's thread to the one that wants them; bounded.

    On the network's thread, ``on_message`` and ``on_end`` are called just before something new can be taken, and
    ``on_ready`` just after.
    """

    def __init__(
        self,
        on_message: Callable[[], None],
        on_end: Callable[[Outcome], None],
        on_ready: Callable[[], None] = _nothing,
    ) -> None:
        self._items: deque[bytes] = deque()
        self._octets = 0
        self._end: Outcome | None = None
        self._condition = Condition()
        self._on_message = on_message
        self._on_end = on_end
        self._on_ready = on_ready
        self._is_ending = False
        self._better: Outcome | None = None
        """How it ends, where it comes to a good end."""
        self._on_room: Callable[[], None] | None = None

    # -- for the network

    @property
    def is_full(self) -> bool:
        """Whether the server is held back until something is taken."""
        return self._on_room is not None

    def put(self, message: bytes, on_room: Callable[[], None]) -> bool:
        """Add a message. False: it was the last for now; ``on_room`` will be called, on any thread, for the next."""
        self._on_message()
        with self._condition.lock:
            self._items.append(message)
            self._octets += len(message)
            full = len(self._items) >= INBOX_MESSAGES or self._octets >= INBOX_OCTETS
            self._on_room = on_room if full else None
            self._condition.notify_all()
        self._on_ready()
        return not full

    def end(self, end: Outcome) -> None:
        """The stream is over; what was received before may still be taken."""
        with self._condition.lock:
            if self._is_ending:
                return
            self._is_ending = True
            if self._better is not None and not end.status.code:
                end = self._better
        self._on_end(end)
        with self._condition.lock:
            self._end = end
            self._condition.notify_all()
        self._on_ready()
        self._on_message = self._on_ready = _nothing  # the stream is freed with its last reference
        self._on_end = _nothing

    # -- for the one who takes

    @property
    def ended(self) -> Outcome | None:
        """How the stream ended, as soon as it has, whether or not messages wait."""
        return self._end

    @property
    def has_something(self) -> bool:
        """Whether `take` would return at once."""
        return bool(self._items) or self._end is not None

    def take(self, timeout: float | None = None) -> bytes | Outcome | None:
        """The next message, or the end; None after ``timeout`` seconds (None: wait as long as it takes)."""
        taken = self._condition.wait_for(self._take, timeout)
        if taken is None or isinstance(taken, Outcome):
            return taken
        message, on_room = taken
        if on_room is not None:
            on_room()
        return message

    def _take(self) -> tuple[bytes, Callable[[], None] | None] | Outcome | None:
        """The next message and whom to tell of the room, or the end. With the lock held."""
        if not self._items:
            return self._end
        message = self._items.popleft()
        self._octets -= len(message)
        on_room = None
        if self._on_room and len(self._items) <= INBOX_MESSAGES // 2 and self._octets <= INBOX_OCTETS // 2:
            on_room, self._on_room = self._on_room, None
        return message, on_room

    def replace_end(self, end: Outcome) -> None:
        """The taker knows better how the stream ends that comes to a good end, or has ended: what came last was no
        message of its type."""
        with self._condition.lock:
            self._better = end
            if self._end is not None:
                self._end = end

    def discard(self) -> None:
        """Throw away what waits."""
        with self._condition.lock:
            self._items.clear()
            self._octets = 0
            on_room, self._on_room = self._on_room, None
        if on_room is not None:
            on_room()


class Patience:
    """How long the write of a handler waits, while no handler takes what comes.

    A server may take nothing before its own messages are taken; if those fill an inbox, both wait for each other. So
    a write does not wait for such a server (``is_held_back``), but leaves up to `BACKLOG_OCTETS` on their way. Beyond
    them it waits, as long as the server takes something within `STALL_SECONDS`.
    """

    def __init__(self, is_held_back: Callable[[], bool]) -> None:
        self._is_held_back = is_held_back
        self._least = -1
        self._since = 0.0
        self.is_at_its_end = False
        """The server took nothing of all that is on its way: there is no hope for the stream."""

    def lasts(self, waiting: int) -> bool:
        """Whether to wait on, with so many octets on their way."""
        if not self._is_held_back():
            return True
        if waiting < BACKLOG_OCTETS:
            return False
        moment = time.monotonic()
        if self._least < 0 or waiting < self._least:
            self._least, self._since = waiting, moment
        self.is_at_its_end = moment - self._since > STALL_SECONDS
        return not self.is_at_its_end
