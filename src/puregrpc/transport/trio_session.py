"""The session of trio: it has one reader, which keeps the time as well, and one writer, from when it needs one.

The reader's wait ends when the connection next wants to know the time. Calls add no task, nursery or memory channel:
whoever makes a call waits in its own task and is woken by the call object. The writer is woken by `on_output` and runs
in the next turn, after every call that this turn made ready.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import trio
from trio.lowlevel import Abort, current_task, reschedule, wait_task_rescheduled

from puregrpc.errors import NotConnected
from puregrpc.kernel.loops.trio_kernel import TrioWaiter
from puregrpc.kernel.network.streams import TappedStream
from puregrpc.transport.amounts import (
    LARGEST_READ_SIZE,
    MOST_IN_TURN,
    READ_SIZE,
    without_first,
)
from puregrpc.transport.end_reasons import CLOSED_HERE, broken, failed_here
from puregrpc.transport.loop_session import LoopSession
from puregrpc.transport.rounds import SHORT_TURN, Rounds
from puregrpc.transport.session import CallT, ConnectionT, Owner, SessionOptions
from puregrpc.wire.connection import ClientConnection, Driver, Request

if TYPE_CHECKING:
    from puregrpc.kernel import Kernel, Task
    from puregrpc.kernel.network.streams import ByteStream

__all__ = ["TrioSession"]


class TrioSession(LoopSession[ConnectionT]):
    """See `Session`. Its reader and its writer are tasks of the kernel's."""

    __slots__ = (
        "_bytes",
        "_ending",
        "_is_running",
        "_is_started",
        "_is_writing",
        "_reading",
        "_send_nowait",
        "_taking",
        "_token",
        "_unsent",
        "_writer",
        "_writing",
    )

    def __init__(
        self,
        kernel: Kernel,
        stream: ByteStream,
        make_connection: Callable[[Driver], ConnectionT],
        owner: Owner,
        options: SessionOptions,
    ) -> None:
        self._bytes = stream if options.tap is None else TappedStream(kernel, stream, options.tap)
        self._send_nowait = self._bytes.send_nowait
        self._token = trio.lowlevel.current_trio_token()
        self._is_started = False
        self._reading: trio.CancelScope | None = None
        self._ending: trio.CancelScope | None = None
        self._unsent: list[bytes | memoryview] = []
        self._writer: trio.lowlevel.Task | None = None
        self._taking: TrioWaiter | None = None
        """The reader waits until the stream takes something."""
        self._is_writing = False
        self._writing: Task | None = None
        self._is_running = False
        super().__init__(kernel, stream, make_connection, owner, options)

    # -- its life

    async def start(self) -> None:
        if self.end_reason is not None:
            return  # aborted before it began
        now = self._now()
        self._handshake_deadline = self._armed = now + self.options.handshake_timeout
        self._is_started = True
        self.hold()
        self.connection.start(now)
        self.push()
        try:
            self.kernel.spawn(self._run)
        except BaseException:
            self._end()
            raise

    async def _run(self) -> None:
        """Move bytes until the connection is over, then send what is left, close in order and return."""
        try:
            self._is_running = True
            if self._has_output or self._unsent:
                self._send_soon()
            await self._read()
            if not self._is_cut:
                await self._finish()
        except Exception as error:
            self._lost(failed_here(error))
            raise
        finally:
            self._is_running = False
            if self._writing is not None:
                self._writing.cancel()
            self._end()

    def _end(self) -> None:
        try:
            self._lost(CLOSED_HERE)
        finally:
            self.stream.close()
            self._is_over_now()

    def abort(self, reason: str) -> None:
        try:
            is_here = trio.lowlevel.current_trio_token() is self._token
        except RuntimeError:
            is_here = False
        if is_here:
            self._abort(reason)
        else:
            with suppress(NotConnected):  # nothing of its loop runs any more
                self.kernel.call_soon(self._abort, reason)

    def _abort(self, reason: str) -> None:
        try:
            self._lost(reason)
        finally:
            self._is_cut = True
            if self._ending is not None:
                self._ending.cancel()
        if not self._is_started and not self.is_over:
            self._end()

    def on_closed(self, reason: str) -> None:
        super().on_closed(reason)
        if self._reading is not None:
            self._reading.cancel()

    # -- reading, and the time

    def arm(self, time: float) -> None:
        if time < self._armed:
            self._armed = time
            if self._reading is not None:
                self._reading.deadline = time

    async def _read(self) -> None:
        while self.end_reason is None:
            # One scope for many reads: entering one costs more than a read.
            with trio.CancelScope(deadline=self._armed) as self._reading:
                await self._read_until_cancelled()
            self._reading = None
            if self._rounds is not None and self._rounds.is_over:  # the time has come for many at once
                await self._await_round(self._rounds)
            if self.end_reason is None:
                self._tell_time()

    async def _read_until_cancelled(self) -> None:
        stream = self._bytes
        wait_readable = stream.wait_readable
        receive_nowait = stream.receive_nowait
        rounds = self._rounds
        limit = self._first_read_size
        in_turn = 0
        while self.end_reason is None:
            if self._is_behind:
                await self._let_others_go_on()
                self._go_on()
                in_turn = 0
                continue
            if not in_turn:
                await wait_readable()
            try:
                data = None
                if rounds is not None and rounds.is_over:
                    if not self.bytes_received:
                        data = receive_nowait(limit)
                        self._first_came(0 if data is None else len(data))
                    if not rounds.lets_through(self._turn_cost):
                        await self._await_round(rounds)
                if data is None:
                    data = receive_nowait(limit)
            except OSError as error:
                self._abort(broken(error, self._write_error))
                return
            if data is None:
                in_turn = 0
                continue
            self._receive(data)
            size = len(data)
            del data  # whoever waits for more must not keep it
            if size >= limit:
                in_turn = in_turn + size if in_turn < MOST_IN_TURN else 0
            else:
                in_turn = 0
            if size >= limit or limit > READ_SIZE or self._is_behind:
                limit = self._next_read_size(limit, size)

    def _fell_behind(self) -> None:
        """The reader sees it."""

    async def _let_others_go_on(self) -> None:
        if self.connection.is_output_clogged:
            self._taking = TrioWaiter()
            await self._taking.wait()
        elif self._rounds is not None and self._rounds.is_over:
            await self._await_round(self._rounds)
        else:
            await trio.lowlevel.checkpoint()

    async def _await_round(self, rounds: Rounds) -> None:
        is_next = False
        while not is_next or not (rounds.has_time or self._turn_cost <= SHORT_TURN):
            waiter = TrioWaiter()
            rounds.wait(waiter.wake, self._turn_cost, is_next=is_next)
            await waiter.wait()
            is_next = True

    def _go_on_ending(self) -> None:
        """The reader is at its end, and goes on with `_finish`."""

    # -- writing

    def _send_soon(self) -> None:
        if self._writer is not None:
            reschedule(self._writer)
            self._writer = None
        elif not self._is_writing and self._is_running and self._write_error is None:
            # The writer is made when it is needed first: a connection with one call at a time does without.
            self._is_writing = True
            self._writing = self.kernel.spawn(self._write)

    def _send_now(self) -> None:
        is_writer_idle = self._writer is not None or not self._is_writing
        if not self._unsent and is_writer_idle and self._write_error is None:
            self._has_output = False
            data = self._take_data()
            if not data or self._try_to_send_one(data):
                return
        self._send_soon()

    def _try_to_send_one(self, piece: bytes | memoryview) -> bool:
        """Send what the stream takes at once, and keep the rest; whether there is none."""
        try:
            taken = self._send_nowait(piece)
        except OSError as error:
            self._write_failed(error)
            self._unsent = [piece]
            return False
        self.bytes_sent += taken
        if self._taking is not None and taken:
            self._wake_taking()
        if taken == len(piece):
            return True
        self._unsent = [memoryview(piece)[taken:]]
        return False

    def _try_to_send(self, pieces: list[bytes | memoryview]) -> None:
        """The same for pieces, one behind the other."""
        try:
            taken = self._bytes.send_pieces_nowait(pieces)
        except OSError as error:
            self._write_failed(error)
            self._unsent = pieces
            return
        self.bytes_sent += taken
        if self._taking is not None and taken:
            self._wake_taking()
        rest = without_first(taken, pieces)
        # Copied, so that the messages can go: their senders make the next ones in the same memory.
        self._unsent = [b"".join(rest)] if rest else []

    def _wake_taking(self) -> None:
        """The stream takes something."""
        if self._taking is not None:
            self._taking.wake()
            self._taking = None

    async def _write(self) -> None:
        try:
            await self._write_all()
        except Exception as error:
            self._abort(failed_here(error))
            raise
        finally:
            self._is_writing = False

    async def _write_all(self) -> None:
        stream = self._bytes
        while self._write_error is None and self._is_running:
            pieces = self._unsent
            if not pieces and self._has_output:
                self._has_output = False
                pieces = self._take_pieces()
                if len(pieces) > 1 and not stream.gathers:
                    pieces = [b"".join(pieces)]
            if not pieces:
                if self.end_reason is not None:
                    break
                self._writer = current_task()
                await wait_task_rescheduled(self._forget_writer)
                continue
            before = self.bytes_sent
            self._unsent = []
            if len(pieces) == 1:
                self._try_to_send_one(pieces[0])
            else:
                self._try_to_send(pieces)
            pieces = []  # the messages that they are views of can go, before their sender makes the next one
            if self._unsent:
                await stream.wait_writable()
            elif self.bytes_sent - before >= READ_SIZE:
                await trio.lowlevel.checkpoint()  # a large stream of output must not starve the reader

    def _forget_writer(self, _raise_cancel: object) -> Abort:
        self._writer = None
        return Abort.SUCCEEDED

    # -- the end

    async def _finish(self) -> None:
        """Send what is left, say that it was all, and give the peer a moment to do the same."""
        # The deadline of the one scope is moved: entering another one costs more than a read.
        with trio.CancelScope() as self._ending:
            if self._is_writing:
                self._has_output = True
                self._send_soon()
            else:
                self._send_now()
            if self._is_writing and self._writing is not None:
                with trio.move_on_after(self.options.flush_timeout):
                    await self._writing.join()
            if self._write_error is not None:
                return
            self._bytes.send_eof()
            self._ending.deadline = self._now() + self.options.linger
            await self._read_to_the_end()

    async def _read_to_the_end(self) -> None:
        while True:
            await self._bytes.wait_readable()
            try:
                if self._bytes.receive_nowait(LARGEST_READ_SIZE) == b"":
                    return
            except OSError:
                return

    # -- the client's unary calls

    async def exchange(
        self: TrioSession[ClientConnection],
        call: CallT,
        request: Request,
        deadline: float | None,
        message: bytes,
        now: float,
    ) -> CallT:
        self._open_unary(call, request, deadline, message, now)
        if not call.ended:
            call.waiter = waiter = TrioWaiter(current_task())
            try:
                await wait_task_rescheduled(waiter.abort)
            except BaseException:
                if not call.ended:
                    self.reset_call(call)
                raise
        return call
