"""The session: what drives one wire connection over one byte stream under trio.

It has one reader, which keeps the time as well (its wait ends when the connection next wants to know the time), and
one writer, from when it needs one. Calls add no task, nursery or memory channel: whoever makes a call waits in its own
task and is woken by the call object (see PROTOCOL-HTTP2 for what flows; RFC 9113 for how it ends).

Output is written once for a turn of the loop: `Session.on_output` wakes the writer, which runs in the next turn, after
every call that this turn made ready. A caller that knows itself to be alone can avoid that turn with `Session.hold` and
`Session.flush`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Generic, TypeVar

import trio
from trio.lowlevel import Abort, current_task, reschedule, wait_task_rescheduled

from puregrpc.errors import ConnectError
from puregrpc.transport.connect_rules import describe
from puregrpc.transport.driving import LARGEST_READ_SIZE, READ_SIZE, SessionCounters, describe_foreign_protocol
from puregrpc.transport.streams import ByteStream, TappedStream
from puregrpc.transport.tap import Tap
from puregrpc.wire.connection import Connection, Driver, Request, ServerCall

__all__ = ["Session"]

MOST_READ_IN_TURN = 1 << 20
"""What comes faster than it is read is read on without waiting, up to so much: then it is other tasks' turn."""

LINGER = 1.0
"""After the last byte was sent: how long the peer may take to close its side. Closing a socket with unread data in it
would reset the connection, and the peer could lose the last frames, GOAWAY among them."""

FLUSH_TIMEOUT = 5.0
"""How long the last output of a closed connection may take to be sent."""

ConnectionT = TypeVar("ConnectionT", bound=Connection)


class Session(Driver, Generic[ConnectionT]):
    """One connection over one byte stream. Channel and server subclass it for the callbacks that concern them.

    ``make_connection`` gets the session as its `Driver` and returns the wire connection. ``handshake_timeout``
    (seconds) bounds the time until the peer's first SETTINGS frame. `run` does the work and owns the stream.
    """

    def __init__(
        self,
        stream: ByteStream,
        make_connection: Callable[[Driver], ConnectionT],
        *,
        handshake_timeout: float = 20.0,
        linger: float = LINGER,
        tap: Tap | None = None,
    ) -> None:
        self.stream = stream if tap is None else TappedStream(stream, tap)
        self.peer = stream.peer
        self.is_ready = False
        """The peer's first SETTINGS frame has come."""
        self.is_going_away = False
        """No new call may be opened: the peer said GOAWAY, or the connection is over."""
        self.end_reason: str | None = None
        """Why the connection ended; None as long as it has not."""
        self.bytes_sent = 0
        self.bytes_received = 0
        self._handshake_timeout = handshake_timeout
        self._linger = linger
        self._armed = inf
        self._reading: trio.CancelScope | None = None
        self._aborted = False
        self._write_error: str | None = None
        self._has_output = False
        self._unsent: list[bytes | memoryview] = []
        self._held = False
        self._writer: trio.lowlevel.Task | None = None
        self._writing_ended: trio.Event | None = None
        self._is_writing = False
        self._nursery: trio.Nursery | None = None
        self._settled: trio.Event | None = None
        self.connection = make_connection(self)

    # -- the wire connection's callbacks

    def on_output(self) -> None:
        self._has_output = True
        if self._held:
            return
        if self._writer is not None:
            reschedule(self._writer)
            self._writer = None
        elif not self._is_writing:
            self._start_writer()

    def _start_writer(self) -> None:
        """The writer is made when it is needed first: a connection with one call at a time does without."""
        if self._nursery is not None and self._write_error is None:
            self._is_writing = True
            self._nursery.start_soon(self._write)

    def on_ready(self) -> None:
        self.is_ready = True
        self._settle()

    def on_call(self, request: Request) -> ServerCall | None:  # noqa: ARG002 - a server's session overrides it
        return None

    def on_going_away(self, reason: str) -> None:  # noqa: ARG002 - the channel's session overrides it
        self.is_going_away = True

    def on_closed(self, reason: str) -> None:
        self.is_going_away = True
        if self.end_reason is None:
            self.end_reason = reason
        self._settle()
        if self._reading is not None:
            self._reading.cancel()

    # -- for the owner

    @property
    def is_closed(self) -> bool:
        """The connection is over, whether or not its last output has been sent."""
        return self.end_reason is not None

    @property
    def counters(self) -> SessionCounters:
        return SessionCounters(self.bytes_sent, self.bytes_received)

    def _settle(self) -> None:
        if self._settled is not None:
            self._settled.set()
            self._settled = None

    async def wait_ready(self) -> None:
        """Wait until the peer is known to speak HTTP/2. Raises ConnectError, which says what it did instead."""
        if not self.is_ready and not self.is_closed:
            if self._settled is None:
                self._settled = trio.Event()
            await self._settled.wait()
        if not self.is_ready:
            raise ConnectError(f"{self.peer}: {self.end_reason}")

    def arm(self, time: float) -> None:
        """See that the connection is told the time at ``time`` at the latest. To be called for each new deadline."""
        if time < self._armed:
            self._armed = time
            if self._reading is not None:
                self._reading.deadline = time

    def hold(self) -> None:
        """Keep the writer asleep until `flush`, which must follow in the same turn of the loop."""
        self._held = True

    def flush(self) -> None:
        """Send now what there is to send, as far as the stream takes it; the writer does the rest."""
        self._held = False
        if not self._has_output:
            return
        is_writer_idle = self._writer is not None or not self._is_writing
        if not self._unsent and is_writer_idle and self._write_error is None:
            self._has_output = False
            data = self.connection.data_to_send()
            self._unsent = self._try_to_send([data]) if data else []
            if not self._unsent:
                return
        self.on_output()

    def abort(self, reason: str) -> None:
        """End the connection at once, as if it had broken: every call ends with UNAVAILABLE and ``reason``."""
        self._aborted = True
        try:
            self.connection.lost(reason)
        finally:
            if self.end_reason is None:
                self.on_closed(reason)

    async def run(self) -> None:
        """Move bytes until the connection is over, then send what is left, close in order and return.

        A peer's faults and a broken stream are no exceptions: `end_reason` and the calls' statuses tell of them.
        When cancelled, it ends every call with UNAVAILABLE and closes the stream at once.
        """
        try:
            now = trio.current_time()
            self._armed = now + self._handshake_timeout
            handshake_deadline = self._armed
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                try:
                    self.hold()
                    self.connection.start(now)
                    self.flush()
                    await self._read(handshake_deadline)
                    if not self._aborted:
                        await self._finish()
                finally:
                    self._nursery = None  # it takes no more tasks from here on
                nursery.cancel_scope.cancel()
        finally:
            try:
                if not self.is_closed:
                    self.abort("the connection was closed by this side")
            finally:
                self.stream.close()

    # -- reading, and the time

    async def _read(self, handshake_deadline: float) -> None:
        while not self.is_closed:
            # One scope for many reads: entering one costs more than a read.
            with trio.CancelScope(deadline=self._armed) as self._reading:
                await self._read_until_cancelled()
            self._reading = None
            now = trio.current_time()
            if self._write_error is not None and not self.is_closed:
                self.abort(self._write_error)
            elif not self.is_ready and now >= handshake_deadline and not self.is_closed:
                self.abort(
                    f"the peer sent no HTTP/2 SETTINGS frame within {self._handshake_timeout:g} s: "
                    "it does not speak HTTP/2, or not in plaintext"
                )
            elif not self.is_closed:
                self._held = True
                self.connection.advance(now)
                self.flush()
                self._armed = inf
                if not self.is_ready:
                    self._armed = handshake_deadline
                next_time = self.connection.next_time()
                if next_time is not None and next_time < self._armed:
                    self._armed = next_time

    async def _read_until_cancelled(self) -> None:
        stream = self.stream
        wait_readable = stream.wait_readable
        receive_nowait = stream.receive_nowait
        receive = self.connection.receive
        next_time = self.connection.next_time
        limit = READ_SIZE
        in_turn = 0
        while self.end_reason is None:
            if not in_turn:
                await wait_readable()
            try:
                data = receive_nowait(limit)
            except OSError as error:
                self.abort(self._write_error or f"the connection broke: {describe(error)}")
                return
            if data is None:
                in_turn = 0
                continue
            size = len(data)
            self.bytes_received += size
            if not self.is_ready and (foreign := describe_foreign_protocol(data)) is not None:
                self.abort(foreign)
                return
            self._held = True
            receive(data, trio.current_time())
            self._held = False
            if self._has_output:
                self.flush()
            if not data:
                if self.end_reason is None:
                    self.abort("the peer closed the connection")
                return
            when = next_time()
            if when is not None and when < self._armed:
                self.arm(when)
            if size >= limit:
                limit = LARGEST_READ_SIZE
                in_turn = in_turn + size if in_turn < MOST_READ_IN_TURN else 0
            else:
                in_turn = 0
                if size < READ_SIZE:
                    limit = READ_SIZE

    # -- writing

    def _try_to_send(self, pieces: list[bytes | memoryview]) -> list[bytes | memoryview]:
        """Send what the stream takes at once; gives the rest."""
        first = pieces[0]
        try:
            taken = self.stream.send_nowait(first) if len(pieces) == 1 else self.stream.send_pieces_nowait(pieces)
        except OSError as error:
            # What the peer sent before it broke the connection is still to be read; the reader then comes to the end.
            self._write_error = f"the connection broke: {describe(error)}"
            self.arm(trio.current_time() + self._linger)
            return pieces
        self.bytes_sent += taken
        if len(pieces) == 1:
            return [] if taken == len(first) else [memoryview(first)[taken:]]
        rest = without_first(taken, pieces)
        # Copied, so that the messages can go: their senders make the next ones in the same memory.
        return [b"".join(rest)] if rest else []

    async def _write(self) -> None:
        connection = self.connection
        stream = self.stream
        while self._write_error is None:
            pieces = self._unsent
            if not pieces and self._has_output:
                self._has_output = False
                pieces = connection.pieces_to_send()
                if len(pieces) > 1 and not stream.gathers:
                    pieces = [b"".join(pieces)]
            if not pieces:
                if self.is_closed:
                    break
                self._writer = current_task()
                await wait_task_rescheduled(self._forget_writer)
                continue
            before = self.bytes_sent
            self._unsent = self._try_to_send(pieces)
            pieces = []  # the messages that they are views of can go, before their sender makes the next one
            if self._unsent:
                await stream.wait_writable()
            elif self.bytes_sent - before >= READ_SIZE:
                await trio.lowlevel.checkpoint()  # a large stream of output must not starve the reader
        self._is_writing = False
        if self._writing_ended is not None:
            self._writing_ended.set()

    def _forget_writer(self, _raise_cancel: object) -> Abort:
        self._writer = None
        return Abort.SUCCEEDED

    # -- the end

    async def _finish(self) -> None:
        """Send what is left, say that it was all, and give the peer a moment to do the same."""
        self._writing_ended = trio.Event()
        self.on_output()
        if self._is_writing:
            with trio.move_on_after(FLUSH_TIMEOUT):
                await self._writing_ended.wait()
        if self._write_error is not None:
            return
        self.stream.send_eof()
        with trio.move_on_after(self._linger):
            while True:
                await self.stream.wait_readable()
                try:
                    if self.stream.receive_nowait(LARGEST_READ_SIZE) == b"":
                        return
                except OSError:
                    return


def without_first(octets: int, pieces: list[bytes | memoryview]) -> list[bytes | memoryview]:
    """What is left of pieces when so many octets of them have been sent."""
    for index, piece in enumerate(pieces):
        if octets < len(piece):
            return [memoryview(piece)[octets:] if octets else piece, *pieces[index + 1 :]]
        octets -= len(piece)
    return []
