"""The session of asyncio: a protocol on a transport of the loop, or on what stands in for one.

The transport reads, and tells the session. Writing is the session's own affair: it tries the socket first, as a
transport does, and leaves to the transport what the socket did not take. So nothing is joined or copied that need not
be, no more than one helping of output is in the transport's hands, and a failed write does not keep the session from
reading what the peer sent before it, which a transport that fails to write throws away.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any, cast

from puregrpc.errors import NotConnected
from puregrpc.kernel.current import running_loop
from puregrpc.kernel.loops.asyncio_kernel import AsyncioKernel, AsyncioWaiter
from puregrpc.kernel.network.streams import SocketStream, TappedStream
from puregrpc.transport.amounts import LARGEST_READ_SIZE, READ_SIZE
from puregrpc.transport.asyncio_streams import ServedStream, StreamTransport, Transport
from puregrpc.transport.end_reasons import CLOSED_HERE, broken, failed_here
from puregrpc.transport.loop_session import CALLERS, FREE, HANDLERS, IN_TURN, LoopSession
from puregrpc.transport.order import FIRST_TURN
from puregrpc.transport.rounds import SHORT_TURN, Rounds
from puregrpc.transport.session import CallT, ConnectionT, Owner, SessionOptions
from puregrpc.wire.connection import Call, ClientConnection, Driver, Request, ServerCall
from puregrpc.wire.limits import TURN_SLICE

if TYPE_CHECKING:
    from puregrpc.kernel import Kernel
    from puregrpc.kernel.network.streams import ByteStream

__all__ = ["AsyncioSession"]

logger = logging.getLogger("puregrpc.transport")

MOST_READ_AT_END = 64
"""How many reads get what had come before the connection broke: more than a socket's buffer holds."""


class AsyncioSession(LoopSession[ConnectionT], asyncio.Protocol):
    """See `Session`. What it has as a protocol is for its transport to call."""

    __slots__ = (
        "_bytes",
        "_has_sent_eof",
        "_is_deserted",
        "_is_direct",
        "_is_ending",
        "_is_going_on",
        "_is_lost",
        "_is_paused",
        "_is_scheduled",
        "_jobs",
        "_kernel",
        "_loop",
        "_making",
        "_peer_has_ended",
        "_read_size",
        "_rest",
        "_send_nowait",
        "_served",
        "_soon",
        "_timer",
        "_transport",
        "_unsent",
    )

    def __init__(
        self,
        kernel: Kernel,
        stream: ByteStream,
        make_connection: Callable[[Driver], ConnectionT],
        owner: Owner,
        options: SessionOptions,
    ) -> None:
        self._kernel = cast("AsyncioKernel", kernel)
        self._loop = self._kernel.loop
        self._transport: Transport | None = None
        self._making: asyncio.Task[object] | None = None
        """What makes the transport."""
        self._served, self._bytes = _serve(stream)
        if options.tap is not None:
            self._bytes = TappedStream(kernel, self._bytes, options.tap)
        self._is_direct = self._bytes is self._served
        """What the transport receives is for the connection as it is, and what it sends from the connection."""
        self._jobs = options.jobs
        reading = self._kernel.reading
        self._soon = self._loop.call_soon if reading is None else reading.behind
        self._send_nowait = self._served.stream.send_nowait if self._is_direct else self._bytes.send_nowait
        self._unsent: list[bytes | memoryview] = []
        self._is_scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._is_ending = False
        """The connection is over, and its last output is being sent."""
        self._has_sent_eof = False
        self._peer_has_ended = False
        self._is_paused = False
        """The transport is not to read."""
        self._is_going_on = False
        self._rest: deque[bytes] = deque()
        """What came and has not acted yet, since it was others' turn, or the transport was lost."""
        self._read_size = 0
        """How much the transport reads at once, where it can be told."""
        self._is_lost = False
        self._is_deserted = False
        super().__init__(kernel, stream, make_connection, owner, options)

    # -- its life

    async def start(self) -> None:
        if self.end_reason is not None:
            return  # aborted before it began
        now = self._now()
        self._handshake_deadline = now + self.options.handshake_timeout
        self._holding = IN_TURN
        self.connection.start(now)
        self._holding = FREE
        stream = self._served.stream
        try:
            self._kernel.attach(self._close_here)
            self.arm(self._handshake_deadline)
            if isinstance(stream, SocketStream):
                self._make_transport(stream)
            else:
                self.connection_made(cast("asyncio.BaseTransport", StreamTransport(self._kernel, stream, self)))
        except OSError as error:
            self._abort(broken(error))
        except BaseException:
            self._abort(CLOSED_HERE)
            raise

    def _make_transport(self, stream: SocketStream) -> None:
        """Have the loop make one. `connection_made` tells that there is one, and nobody needs to wait for that."""
        if self._kernel.reading is not None:
            from puregrpc.transport.reading_transport import ReadingTransport  # load runs alone have such loops

            self.connection_made(cast("asyncio.BaseTransport", ReadingTransport(self._kernel.reading, stream, self)))
            return
        self._making = self._loop.create_task(self._loop.connect_accepted_socket(lambda: self, stream.socket))
        self._making.add_done_callback(self._transport_made)

    def _transport_made(self, making: asyncio.Task[object]) -> None:
        self._making = None
        error = None if making.cancelled() else making.exception()
        if error is not None:
            self._abort(broken(error) if isinstance(error, OSError) else failed_here(error))
        elif making.cancelled():
            self._abort(CLOSED_HERE)

    def abort(self, reason: str) -> None:
        if running_loop() is self._loop:
            self._abort(reason)
            return
        try:
            self._kernel.call_soon(self._abort, reason)
        except NotConnected:  # the loop is closed
            self.close_socket()

    def close_socket(self) -> None:
        self._is_deserted = True
        self.is_going_away = self.is_over = True
        if self.end_reason is None:
            self.end_reason = "the event loop was closed"
        transport = self._transport
        if transport is not None:
            with suppress(RuntimeError):
                transport.abort()
            # Its last step, which the loop does not take any more. Without it a transport complains when it is
            # collected, though its socket is closed.
            finish = getattr(transport, "_call_connection_lost", None)
            if finish is not None:
                with suppress(Exception):
                    finish(None)
        with suppress(RuntimeError):  # a stream in memory wakes who waits for it
            self._served.close()
        self._part()

    def _close_here(self) -> None:
        self._abort(CLOSED_HERE)

    def _abort(self, reason: str) -> None:
        try:
            self._lost(reason)
        finally:
            self._is_cut = True
            self._close()

    def _give_up(self, error: Exception) -> None:
        """After an error that must not be: calls are not to wait for a session that is no more."""
        logger.error("a connection was given up after an error", exc_info=error)
        try:
            self._abort(failed_here(error))
        except Exception:
            logger.exception("the connection could not be told of it")

    def _close(self) -> None:
        """The stream is closed now, whatever is left to be sent."""
        if self._transport is not None:
            self._transport.abort()
        elif self._making is None:
            self._ended()

    def _ended(self) -> None:
        if self.is_over:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        transport: Any = self._transport
        self._transport = self._served.transport = None
        if hasattr(transport, "_read_ready_cb"):  # asyncio's own keep themselves by it until the collector comes
            transport._read_ready_cb = None  # noqa: SLF001 - it has no other way
        try:
            self._served.close()
            self._is_over_now()
        finally:
            self._kernel.detach(self._close_here)

    # -- what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        try:
            self._transport = self._served.transport = cast("Transport", transport)
            self._transport.set_write_buffer_limits(0)  # `pause_writing` comes as soon as anything waits in it
            self._served.is_full = False
            if hasattr(transport, "max_size"):  # of asyncio's own transports
                self._set_read_size(self._first_read_size)
            if self.end_reason is not None:
                self._go_on_ending()
                return
            self._send_now()
            if not self._is_direct:
                self._read_stream()  # what came behind the TLS handshake is here already
        except Exception as error:
            self._give_up(error)

    def data_received(self, data: bytes) -> None:
        if not self._is_direct:
            self._served.put(data)
            self._read_stream()
        elif self.end_reason is None:
            rounds = self._rounds
            if rounds is None:
                self._act_on(data)
            elif rounds.is_over or len(data) > TURN_SLICE or self._rest:
                self._receive_in_rounds(data, rounds)
            else:
                self._serve_briefly(data, rounds)
            if self._read_size and (len(data) >= self._read_size or self._is_behind):
                self._set_read_size(self._next_read_size(self._read_size, len(data)))

    def _serve_briefly(self, data: bytes, rounds: Rounds) -> None:
        """A turn with so few octets that nobody looks at the clock, and the handler of a call that it brings alone."""
        jobs = self._jobs
        if jobs is None:
            self._act_briefly_on(data, rounds)
            return
        jobs.hold()
        self._jobs_are_held = True
        try:
            self._act_briefly_on(data, rounds)
        finally:
            self._jobs_are_held = False
            jobs.begin()
            if self._has_output:
                self._send_soon()

    def _receive_in_rounds(self, data: bytes, rounds: Rounds) -> None:
        if not self.bytes_received:
            self._first_came(len(data))
        elif self._turn_cost == FIRST_TURN:
            self._turn_cost = SHORT_TURN  # longer ones would have been measured
        if self._rest or (rounds.is_over and not rounds.lets_through(self._turn_cost)):
            self._rest.append(data)
            self._fell_behind()
        else:
            self._receive(data)

    def on_call(self, request: Request) -> ServerCall | None:
        # A handler's first step comes before what is sent soon, so what grpc-go sends with each call (a PING, which
        # wants its answer) costs no write of its own.
        self._others_follow = HANDLERS
        return self._owner.on_call(self, request)

    def over(self, call: Call) -> None:  # noqa: ARG002 - whichever it is
        # The same goes for a client that calls again once it has its answer.
        self._others_follow = CALLERS

    def _set_read_size(self, octets: int) -> None:
        if octets != self._read_size and self._transport is not None:
            self._read_size = octets
            self._transport.max_size = octets

    def eof_received(self) -> bool:
        self._peer_has_ended = True
        if self._has_sent_eof:
            self._close()
        else:
            self.data_received(b"")
        return True  # the transport stays: there may be something to send

    def _read_stream(self) -> None:
        """Read what the stream has between the transport and the connection."""
        while self.end_reason is None and not self._is_behind:
            if self._rounds is not None and self._rounds.is_over:
                self._fell_behind()
                return
            try:
                data = self._bytes.receive_nowait(LARGEST_READ_SIZE)
            except OSError as error:
                self._abort(broken(error, self._write_error))
                return
            if data is None:
                return
            self._receive(data)

    def _fell_behind(self) -> None:
        if not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
        self._go_on_soon()

    def _go_on_soon(self) -> None:
        # While the output is clogged, `_send_in_turn` comes to it.
        if self._is_going_on or self.connection.is_output_clogged:
            return
        self._is_going_on = True
        if self._rounds is not None and self._rounds.is_over:
            self._rounds.wait(self._catch_up, self._turn_cost)
        else:
            self._loop.call_soon(self._catch_up)

    def _catch_up(self) -> None:
        self._is_going_on = False
        if self.end_reason is not None or self._is_lost:
            return
        try:
            if self._is_behind:
                self._go_on()
            elif self._rest:
                self._receive(self._rest.popleft())
            if self._rest and self.end_reason is None:
                self._go_on_soon()
            elif not self._is_behind:
                self._resume_reading()
        except Exception as error:
            self._give_up(error)

    def _resume_reading(self) -> None:
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()
            if not self._is_direct:
                self._read_stream()

    def pause_writing(self) -> None:
        self._served.is_full = True

    def resume_writing(self) -> None:
        self._served.has_room()
        if self._bytes.tls is not None and not self._unsent:
            self._offer([b""])  # it may have something of its own to send
        self._send_in_turn()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._is_deserted:
            return
        if exc is None:
            reason = CLOSED_HERE
        else:
            reason = broken(exc) if isinstance(exc, OSError) else failed_here(exc)
        self._is_lost = True
        self._rounds = None  # `_act_on_rest` gives the others their turns
        self._write_error = self._write_error or reason
        if self.end_reason is None and isinstance(exc, OSError):
            self._read_rest()
        self._act_on_rest()

    def _read_rest(self) -> None:
        """Read what had come before the transport failed: the peer may have said why it closed the connection."""
        stream = self._served.stream
        if not isinstance(stream, SocketStream):
            return  # its transport reads to the end
        for _ in range(MOST_READ_AT_END):
            try:
                data = stream.receive_nowait(LARGEST_READ_SIZE)
            except OSError:
                return
            if not data:
                return
            self._rest.append(data)

    def _act_on_rest(self) -> None:
        """The transport is lost. What came before acts, a turn after the other, and then it is the end."""
        has_more = False
        try:
            if self.end_reason is not None:
                self._rest.clear()
            elif self._is_behind and not self.connection.is_output_clogged:
                self._go_on()
                has_more = self.end_reason is None
            elif self._rest and not self._is_behind:
                self.data_received(self._rest.popleft())
                has_more = self.end_reason is None
            else:
                self._lost(self._write_error or CLOSED_HERE)
        except Exception as error:
            self._give_up(error)
        if has_more:
            self._loop.call_soon(self._act_on_rest)
        else:
            self._ended()

    # -- time

    def arm(self, time: float) -> None:
        if time < self._armed and self.end_reason is None:
            self._set_timer(time)

    def _set_timer(self, time: float) -> None:
        self._armed = time
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(time, self._time_has_come)

    def _time_has_come(self) -> None:
        self._timer = None
        self._armed = inf
        if self.end_reason is not None:
            self._close()
        elif self._rounds is not None and self._rounds.is_over:  # it comes for many at once
            self._armed = -inf  # nothing is to come before that
            self._rounds.wait(self._tell_time_late, SHORT_TURN)
        else:
            self._tell_time_now()

    def _tell_time_late(self) -> None:
        if self.end_reason is None:
            self._tell_time_now()

    def _tell_time_now(self) -> None:
        try:
            self._tell_time()
            self._rearm()
        except Exception as error:
            self._give_up(error)

    def _rearm(self) -> None:
        if self._timer is None and self._armed < inf and self.end_reason is None:
            self._set_timer(self._armed)

    # -- sending

    def _send_soon(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            try:
                self._soon(self._send_in_turn)
            except RuntimeError:
                if not self._loop.is_closed():  # else a call of that loop's is thrown away, and would be reset
                    raise

    def _send_now(self) -> None:
        if self._served.is_full or self._unsent or self._write_error is not None:
            return  # `resume_writing` goes on, or nothing does
        self._has_output = False
        data = self._take_data()
        if data:
            try:
                taken = self._send_nowait(data)
            except OSError as error:
                self._write_failed(error)
                return
            self.bytes_sent += taken
            if taken < len(data):
                self._keep(memoryview(data)[taken:])

    def _keep(self, rest: memoryview) -> None:
        """What the stream did not take is the transport's to send, or is offered again when it has room."""
        if self._is_direct:
            self.bytes_sent += len(rest)
            self._served.leave(rest)
        else:
            self._unsent = [rest]

    def _send_in_turn(self) -> None:
        self._is_scheduled = False
        if self.is_over:
            return
        try:
            sent_before = self.bytes_sent
            while not self._served.is_full and self._write_error is None:
                pieces = self._unsent
                if not pieces and self._has_output:
                    self._has_output = False
                    self._holding = IN_TURN
                    pieces = self._take_pieces()
                    self._holding = FREE
                if not pieces:
                    break
                self._offer(pieces)
                pieces = []  # the messages that they are views of can go, before their sender makes the next one
                if self._has_output and self.bytes_sent - sent_before >= READ_SIZE:
                    self._send_soon()  # a large stream of output must not keep others from their turns
                    break
            if self.end_reason is not None:
                self._go_on_ending()
            elif self._is_paused:
                self._go_on_soon()
        except Exception as error:
            self._give_up(error)

    def _offer(self, pieces: list[bytes | memoryview]) -> None:
        """Send what the stream takes at once, and keep the rest."""
        if len(pieces) > 1:
            pieces = pieces if self._bytes.gathers else [b"".join(pieces)]
        self._unsent = []
        try:
            if len(pieces) > 1:
                taken = self._served.send_pieces_nowait(pieces)  # all of them
            else:
                taken = self._send_nowait(pieces[0])
                if taken < len(pieces[0]):
                    self._keep(memoryview(pieces[0])[taken:])
        except OSError as error:
            self._write_failed(error)
            return
        self.bytes_sent += taken

    # -- the end

    def on_closed(self, reason: str) -> None:
        super().on_closed(reason)
        if self._holding != IN_TURN:
            self._send_soon()  # and what follows

    def _go_on_ending(self) -> None:
        """The connection is over: send what is left, say that it was all, and give the peer a moment to do the same."""
        if self._transport is None:
            return
        if self._is_cut or self._write_error is not None:
            self._close()
            return
        if not self._is_ending:
            self._is_ending = True
            self._set_timer(self._now() + self.options.flush_timeout)
            self._resume_reading()
        if self._has_output and not self._served.is_full:
            self._send_soon()
        elif not (self._served.is_full or self._unsent or self._has_sent_eof):
            self._has_sent_eof = True
            self._bytes.send_eof()
            if self._peer_has_ended:
                self._close()
            else:
                self._set_timer(self._now() + self.options.linger)

    # -- the client's unary calls

    async def exchange(
        self: AsyncioSession[ClientConnection],
        call: CallT,
        request: Request,
        deadline: float | None,
        message: bytes,
        now: float,
    ) -> CallT:
        self._open_unary(call, request, deadline, message, now)
        if not call.ended:
            waiter = call.waiter = AsyncioWaiter(self._loop)
            try:
                await waiter.future
            except BaseException:
                if not call.ended:
                    self.reset_call(call)
                raise
        return call


def _serve(stream: ByteStream) -> tuple[ServedStream, ByteStream]:
    """What the transport is to serve: the stream, or the one under its TLS; and what the connection's octets take."""
    if stream.tls is not None:
        from puregrpc.kernel.network.tls_stream import TlsStream

        if isinstance(stream, TlsStream):
            stream.inner = served = ServedStream(stream.inner)
            return served, stream
    served = ServedStream(stream)
    return served, served
