"""The writing half of a session of threads: whoever has something to send sends, without ever waiting for it.

One thread sends at a time, and takes along what the others leave meanwhile. Calls that are begun in a burst, for which
nobody waits yet, leave their requests to each other: the first has a thread called that sends what is left in the end.
So do callers whose answers came together, and who call again: the last one to go on sends what is left.
"""

from __future__ import annotations

import socket
import time
from functools import partial
from math import inf
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final

from puregrpc.errors import LocalProtocolError
from puregrpc.kernel.threads.kernel import is_cooperative
from puregrpc.kernel.threads.trampoline import ThreadWaiter
from puregrpc.transport.amounts import without_first
from puregrpc.transport.end_reasons import broken
from puregrpc.transport.thread_session.endpoints import Endpoint, Pieces, is_by_signal

if TYPE_CHECKING:
    from puregrpc.transport.thread_session.session import ThreadSession

__all__ = ["Writing"]

MOST_GATHERED = 64 << 10
"""Octets beyond which a greenlet that sends does not wait for what others may add."""

NOBODY: Final = 0
ANOTHER: Final = -1
"""A thread that has yet to begin."""

NOTHING: Pieces = []
END: Pieces = [b""]
"""The connection is over, and all of its output is sent."""

LATER: Pieces = [b""]
"""What there is to send waits for what follows at once."""

LEFT: Pieces = []
"""As NOTHING; the caller is to look, after LONGEST_LEFT, whether it was sent."""

BURST = 0.001
"""Calls that nobody waits for yet, and that are begun within so many seconds of each other, are sent together."""

FEW_CALLS = 2
"""So many are sent at once all the same: what is sent together keeps the server waiting."""

MOST_TOGETHER = 16

MANY = 4
"""Where so many callers are about to go on, one who calls leaves its request to them."""

LEFT_FOR = 0.001
"""For how long (seconds): whoever calls later than that sends."""

LONGEST_LEFT = 0.005
"""For how long (seconds) where they do not go on after all, as a main thread that a signal handler keeps."""

LOOK_AWAY = 1.0


class Writing:
    """What there is to send, and who does it. ``take`` is called with the mutex held, the rest without."""

    def __init__(self, session: ThreadSession[Any], endpoint: Endpoint) -> None:
        self.has_output = False
        self.sender: int = NOBODY
        """The thread that sends."""
        self.error: str | None = None
        """Nothing can be written any more. What the peer sent before that is still to be read."""
        self.ended_at = inf
        """When writing came to its end, in order or not."""
        self._has_ended = False
        self.session = session
        self._endpoint = endpoint
        self.gathers = is_cooperative()
        """Nobody else runs while a greenlet sends or reads: what others may add is waited for."""
        self._is_put_off = False
        """A thread will come to send what was put off; until then others may."""
        self._put_off = 0
        """How often something was put off since that thread was called."""
        self.coming = 0
        """How many callers were woken and have yet to go on. The last one sends what others left."""
        self._left = 0
        """How many requests they left to each other."""
        self._left_since = -inf

    def take(self, *, is_small: bool = False) -> Pieces:
        """What the caller is to hand to `send` next, once it has let the mutex go; what is small, in one piece.

        Nothing where another thread sends: that one takes along what has come.
        """
        me, sender = get_ident(), self.sender
        if sender and sender != me:
            return NOTHING
        session = self.session
        try:
            self.has_output = False
            self._left = 0
            if is_small:
                data = session.connection.data_to_send()
                pieces: Pieces = [data] if data else NOTHING
            else:
                pieces = session.connection.pieces_to_send(session.most_sent)
            if session.end_reason is not None and not self._has_ended:
                if pieces:
                    self.has_output = True
                else:
                    self._has_ended = True
                    pieces = END
            self.sender = me if pieces else NOBODY
        except BaseException:
            session.give_up()
            raise
        return pieces

    def take_later(self, *, is_small: bool) -> Pieces:
        """As `take`, for a call of a burst. LATER: the caller is to have a thread called, with `call_sender`.

        Where this thread computes when the burst is over, it keeps the interpreter from that one for its switch
        interval (5 ms), and no longer is a request put off.
        """
        if not is_small or self.sender or self.gathers or len(self.session.calls) <= FEW_CALLS:
            return self.take(is_small=is_small)
        if not self._is_put_off:
            self._is_put_off, self._put_off = True, 1
            return LATER
        self._put_off += 1
        return NOTHING if self._put_off % MOST_TOGETHER else self.take(is_small=is_small)

    def take_with_others(self, now: float, *, is_small: bool) -> Pieces:
        """As `take`, for a caller beside whom others are about to go on, who may call as well."""
        if not is_small or self.sender or self.gathers:
            return self.take(is_small=is_small)
        if not self._left:
            if self.coming < MANY:
                return self.take(is_small=is_small)
            self._left, self._left_since = 1, now
            return LEFT
        self._left += 1
        if self._left >= MOST_TOGETHER or now - self._left_since > LEFT_FOR:
            return self.take(is_small=is_small)
        return NOTHING

    def call_sender(self) -> None:
        """Have a thread send what was put off. Where that is interrupted, `abandon` and `flush` are to follow."""
        session = self.session
        try:
            session.kernel.submit(session.send_put_off, f"puregrpc writer {session.peer}")
        except (RuntimeError, LocalProtocolError):  # no thread can be started
            self.send_put_off()

    def send_put_off(self) -> None:
        """In that thread."""
        self._is_put_off = False  # in this order: whoever puts something off says so first, and then looks at this
        self.flush()

    def flush(self) -> None:
        """Send what there is to send, but for what another thread sends."""
        try:
            while self.has_output and self.sender == NOBODY:
                pieces = self.session.mutex.locked(self.take)
                if not pieces:
                    return
                self.send(pieces)
        except BaseException:
            self.abandon()
            raise

    def send(self, pieces: Pieces, *, may_wait: bool = False) -> None:
        """Send what `take` gave, and what others leave meanwhile.

        Where that is interrupted, nobody knows what was sent: the connection is given up.
        """
        session = self.session
        try:
            if self.gathers and pieces is not END:
                pieces = self._gathered(pieces)
            while True:
                rest = self._try(pieces)
                while rest:
                    if not may_wait:
                        self._leave(rest)
                        return
                    if self._endpoint.wait_writable(LOOK_AWAY):
                        rest = self._try(rest)
                if not self.has_output:
                    # In this order: whoever leaves something says so first, and then looks whether somebody sends.
                    self.sender = NOBODY
                    if not self.has_output:
                        break
                pieces = session.mutex.locked(self.take)
                if not pieces:
                    break
        except BaseException:
            self.abandon()
            raise
        reading = session.reading
        if reading.is_parked and reading.leader is None:
            reading.look_up()

    def abandon(self) -> None:
        """This thread was interrupted. If it was to send something, nothing can be sent behind that."""
        self._is_put_off = False
        self.coming = 0
        if self.sender == get_ident():
            self._give_up()

    def _give_up(self) -> None:
        self.session.interrupted()
        self.sender = NOBODY

    def forget(self) -> None:
        """After `os.fork`, in the child: nobody sends."""
        self.sender = NOBODY
        self._is_put_off = False
        self.coming = 0

    def _gathered(self, pieces: Pieces) -> Pieces:
        """Nobody else runs while a greenlet sends. Those that can go on leave their output here first, and one write
        does for all of them."""
        session = self.session
        if session.connection.open_calls > 1 and sum(map(len, pieces)) < MOST_GATHERED:
            try:
                time.sleep(0)
            except BaseException:  # a greenlet is given up here, and nothing of this was sent yet
                self._leave(pieces)
                raise
            if self.has_output:
                more = session.mutex.locked(self.take)
                self.sender = get_ident()
                if more is END:
                    self._has_ended, self.has_output = False, True  # not before what there was
                else:
                    pieces = [b"".join((*pieces, *more))]
        return pieces

    def _try(self, pieces: Pieces) -> Pieces:
        """Send what is taken at once; gives the rest. Where nothing can be written all counts as sent: the reader tells
        of the loss."""
        if pieces is END:
            self._end()
        if self.ended_at != inf:
            return NOTHING
        try:
            taken = self._endpoint.send(pieces)
        except OSError as error:
            if is_by_signal(error):
                raise
            self.error = broken(error)
            self._end()
            return NOTHING
        self.session.bytes_sent += taken
        if len(pieces) == 1:
            piece = pieces[0]
            return NOTHING if taken == len(piece) else [memoryview(piece)[taken:]]
        rest = without_first(taken, pieces)
        # Copied, so that the messages can go: their senders make the next ones in the same memory.
        return [b"".join(rest)] if rest else NOTHING

    def _end(self) -> None:
        if self.error is None:
            self._endpoint.send_eof()
        else:
            self._endpoint.shut_down(socket.SHUT_WR)
        self.ended_at = time.monotonic()
        self.session.reading.attention.set()

    def _leave(self, pieces: Pieces) -> None:
        """Have the rest sent by a thread that may wait; it is the one that sends from now on."""
        session = self.session
        try:
            self.sender = ANOTHER
            session.kernel.submit(partial(session.send_rest, pieces), f"puregrpc writer {session.peer}")
        except RuntimeError:  # no thread can be started
            self.send_rest(pieces)
        except BaseException:
            self._give_up()
            raise

    def send_rest(self, pieces: Pieces) -> None:
        """In a thread that may wait."""
        self.sender = get_ident()
        self.send(pieces, may_wait=True)


class Caller(ThreadWaiter):
    """Where a caller waits for its call. Who wakes it counts it among those that are about to go on."""

    __slots__ = ("_writing",)

    def __init__(self, writing: Writing) -> None:
        ThreadWaiter.__init__(self)
        self._writing = writing

    def wake(self) -> None:
        writing = self._writing
        writing.coming += 1
        try:
            self._lock.release()
        except RuntimeError:  # it has been woken
            writing.coming -= 1
