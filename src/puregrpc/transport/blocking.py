"""The session for blocking callers, on plain sockets and threads: no event loop, and nothing of trio at work.

Callers write to the socket themselves. A unary call that is alone on its connection reads its answer itself, which
spares it two hand-overs between threads; as soon as there is more to wait for, one thread reads for all. Sending never
waits: what the socket does not take at once is left to a second thread, which is started only when that happens. So a
caller waits for its own call alone, within its own deadline, and the reader is never kept from reading. Only
``socket``, ``select`` and ``threading`` are used, so that gevent can put its own in their place.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Generic, ParamSpec, TypeVar

from puregrpc.errors import ConnectError, Error
from puregrpc.transport.busy_poll import BusyPoll
from puregrpc.transport.connect_rules import describe
from puregrpc.transport.driving import LARGEST_READ_SIZE, READ_SIZE, SessionCounters, describe_foreign_protocol
from puregrpc.transport.tap import Tap
from puregrpc.transport.tls import send_close_notify, shut_down
from puregrpc.transport.waking import Signal
from puregrpc.wire.connection import Call, Connection, Driver, Request, ServerCall
from puregrpc.wire.status import Status, StatusCode

__all__ = ["BlockingSession", "wait_for_socket"]

DONT_WAIT = getattr(socket, "MSG_DONTWAIT", 0)
"""Where it is missing (Windows), sending may wait for the socket."""

LINGER = 0.5
"""How long a closing session waits for the peer to close its side."""

QUIET = 0.02
"""When nobody has read for so long (seconds), the reader sends what lone callers left, and reads again, so that PING
and GOAWAY are heard."""
LONGEST_QUIET = 1.0
"""How long the reader leaves a lone call that takes its time alone."""

RECV_TIMEOUT = 1.0
"""How long ``recv`` waits for who then looks at his deadline; with less time left he polls first."""

LONGEST_PAUSE = RECV_TIMEOUT
"""How long the reader waits at most before it looks at the time, where it sees to deadlines or keepalive."""

LONGEST_POLL = 1000.0
"""Less than what poll(2) can wait for."""

MOST_GATHERED = 64 << 10
"""Octets beyond which a greenlet that sends does not wait for what others may add."""

INTERRUPTED = "a thread was interrupted while it used the connection"

P = ParamSpec("P")
T = TypeVar("T")
ConnectionT = TypeVar("ConnectionT", bound=Connection)


def wait_for_socket(sock: socket.socket, *, read: bool = False, write: bool = False, timeout: float | None) -> bool:
    """Wait until a socket can be read or written; False after ``timeout`` seconds.

    One that another thread has closed counts as ready: whoever reads it is told.
    """
    descriptor = sock.fileno()
    if descriptor < 0:
        return True
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, (select.POLLIN if read else 0) | (select.POLLOUT if write else 0))
        return bool(poll.poll(None if timeout is None else max(timeout, 0) * 1000))
    ready = select.select([sock] if read else [], [sock] if write else [], [sock], timeout)
    return any(ready)


def _limit_recv(sock: socket.socket) -> bool:
    """Have ``recv`` end after RECV_TIMEOUT, with BlockingIOError; False where that is not known to work."""
    if os.name != "posix":
        return False
    seconds, fraction = divmod(RECV_TIMEOUT, 1)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", int(seconds), int(fraction * 1e6)))
    except (OSError, AttributeError):
        return False
    return True


class BlockingSession(Driver, Generic[ConnectionT]):
    """One connection over one socket, used by any number of threads.

    ``mutex`` guards the connection: whoever calls its methods holds it, calls `flush` after letting it go, and takes no
    other lock meanwhile. The callbacks of calls come with it held, in whichever thread brought them about.
    """

    def __init__(
        self,
        sock: socket.socket,
        make_connection: Callable[[Driver], ConnectionT],
        *,
        peer: str,
        keeps_time: bool = False,
        tap: Tap | None = None,
        busy_poll: float = 0.0,
    ) -> None:
        self.socket = sock
        self.peer = peer
        self.mutex = threading.Lock()
        self.calls: set[Call] = set()
        """Calls that are not over. Who opens a call adds it, its `on_end` takes it out, both with the mutex held."""
        self.is_ready = False
        self.is_going_away = False
        self.end_reason: str | None = None
        self.bytes_sent = 0
        self.bytes_received = 0
        self._is_tls = isinstance(sock, ssl.SSLSocket)
        self._is_cooperative = socket.socket.__module__ != "socket"
        """Threads are greenlets (gevent, eventlet): each runs until it waits."""
        # OpenSSL lets only one thread at a time use a connection, so with TLS nobody may wait inside of it.
        self._tls_lock = threading.Lock()
        self._is_tls_over = False
        self._keeps_time = keeps_time
        self._tap = tap
        self._settled = Signal()
        self._is_given_up = False
        self._has_output = False
        self._sending = False
        self._taken = b""
        """The last output that was taken, until it is being sent."""
        self._unsent: bytes | memoryview = b""
        self._write_error: str | None = None
        self._shut_down = False
        self._writer: threading.Thread | None = None
        self._writer_wanted = Signal()
        self._turns = 0
        """How often somebody has read."""
        self._is_parked = False
        """The reader leaves reading to lone callers."""
        self._is_led = False
        """A lone caller reads, or is about to."""
        self._leader: Call | None = None
        """The call whose caller was the last to lead."""
        self._attention = Signal()
        self._limit = READ_SIZE
        self._reader = threading.Thread(target=self._read, name=f"puregrpc reader {peer}", daemon=True)
        sock.setblocking(not self._is_tls)
        self._recv_ends = not self._is_tls and not self._is_cooperative and _limit_recv(sock)
        """``recv`` itself waits for RECV_TIMEOUT at most."""
        self._busy_poll = BusyPoll(0.0 if self._is_cooperative else busy_poll)
        self.connection = make_connection(self)

    # -- the wire connection's callbacks

    def on_output(self) -> None:
        self._has_output = True

    def on_ready(self) -> None:
        self.is_ready = True
        self._settled.set()

    def on_call(self, request: Request) -> ServerCall | None:  # noqa: ARG002 - for clients: servers do not call
        return None

    def on_going_away(self, reason: str) -> None:  # noqa: ARG002
        self.is_going_away = True

    def on_closed(self, reason: str) -> None:
        self.is_going_away = True
        if self.end_reason is None:
            self.end_reason = reason
        self._has_output = True  # `flush` shuts the socket down behind the last output
        self._settled.set()

    # -- for the owner

    @property
    def has_output(self) -> bool:
        """There is something for `flush` to do."""
        return self._has_output

    @property
    def counters(self) -> SessionCounters:
        return SessionCounters(self.bytes_sent, self.bytes_received)

    def start(self, timeout: float) -> None:
        """Open the connection and wait until the peer is known to speak HTTP/2. Raises ConnectError if it does not."""
        with self.mutex:
            self.connection.start(time.monotonic())
        self._reader.start()
        self.flush()
        if not self._settled.wait(timeout):
            self.abort(
                f"the peer sent no HTTP/2 SETTINGS frame within {timeout:g} s: "
                "it does not speak HTTP/2, or not in plaintext"
            )
        if not self.is_ready or self.end_reason is not None:
            raise ConnectError(f"{self.peer}: {self.end_reason}")

    def operate(self, operation: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
        """Call a method of the connection, with the mutex held, so that being interrupted in it does no harm.

        What is not an error of the library's own, such as Ctrl-C, may have left the connection half-way through. It is
        not used any more then: its calls end with UNAVAILABLE, and the next call makes a new one.
        """
        try:
            return operation(*arguments, **keywords)
        except Error:
            raise
        except BaseException:
            self._give_up()
            raise

    def interrupted(self) -> None:
        """As for an operation that was interrupted; to be called without the mutex."""
        with self.mutex:
            self._give_up()

    def _give_up(self) -> None:
        self._is_given_up = True
        for call in list(self.calls):
            call.on_end(Status(StatusCode.UNAVAILABLE, INTERRUPTED), (), unprocessed=False)
        self.calls.clear()
        self.on_closed(INTERRUPTED)
        shut_down(self.socket, socket.SHUT_RDWR)
        self._attention.set()

    def flush(self) -> None:
        """Send what there is to send. One thread sends at a time, and takes along what the others leave meanwhile.

        Where that is interrupted, such as by Ctrl-C, nobody knows what was sent: the connection is ended.
        """
        output: bytes | None = None
        try:
            with self.mutex:
                output = self.take_output()
            self.send_output(output)
        except BaseException:
            self.abandon(output)
            raise

    def take_output(self) -> bytes:
        """What the caller is to hand to `send_output` next, once it has let the mutex go, with which this is called.

        Nothing (b"") where another thread is sending: that one takes along what has come.
        """
        if self._sending or self._is_given_up:
            return b""
        self._has_output = False
        try:
            output = self.connection.data_to_send()
        except BaseException:
            self._give_up()
            raise
        if output:
            self._taken = output
            self._sending = True
        else:
            self._output_drained()
        return output

    def send_output(self, output: bytes) -> None:
        """Send what `take_output` gave, and what other threads leave meanwhile; see `flush`."""
        if output:
            if self._is_cooperative and len(self.calls) > 1 and len(output) < MOST_GATHERED:
                # Nobody else runs while this one sends. Those that can go on leave their output here first, and one
                # write does for all of them.
                try:
                    time.sleep(0)
                finally:
                    self._send_all(self._gathered(output))
            else:
                self._send_all(output)
        if self._is_parked and not self._is_led and (self.calls or self.end_reason is not None):
            self._attention.set()

    def abandon(self, output: bytes | None) -> None:
        """Who took ``output`` was interrupted, None: in taking it. If it is unsent, nothing can be sent behind it."""
        if output is None or (output and self._taken is output):
            self.interrupted()

    def _gathered(self, output: bytes) -> bytes:
        with self.mutex:
            if self._is_given_up:
                return output
            self._has_output = False
            return output + self.operate(self.connection.data_to_send)

    def _send_all(self, output: bytes) -> None:
        try:
            self._taken = b""
            while not self._is_given_up:
                taken = self._send(output)
                if taken < len(output):
                    self._leave_to_writer(memoryview(output)[taken:])
                    return
                with self.mutex:
                    output = b""
                    if self._has_output:
                        self._has_output = False
                        output = self.connection.data_to_send()
                    if not output:
                        self._sending = False
                        self._output_drained()
                        return
        except BaseException:
            self.interrupted()
            raise

    def reset(self, call: Call) -> None:
        """End a call from this side."""
        with self.mutex:
            if not self._is_given_up:
                self.operate(self.connection.reset, call, now=time.monotonic())
            self.calls.discard(call)
        self.flush()

    def abort(self, reason: str) -> None:
        """End the connection at once, as if it had broken."""
        with self.mutex:
            self._lost(reason)
        shut_down(self.socket, socket.SHUT_RDWR)
        self._attention.set()

    def close(self) -> None:
        """End every call (UNAVAILABLE), close in order, and join the threads. Not to be called by the session's own."""
        with self.mutex:
            if not self._is_given_up:
                self.operate(partial(self.connection.go_away, immediately=True))
        self.flush()
        self._attention.set()
        self._reader.join(LINGER)
        shut_down(self.socket, socket.SHUT_RDWR)
        if self._reader.ident is not None:
            self._reader.join()
        self._writer_wanted.set()
        if self._writer is not None:
            self._writer.join()
        self.socket.close()

    # -- sending

    def _output_drained(self) -> None:
        """The connection has nothing more to send. Called with the mutex held."""
        if self.end_reason is not None and not self._shut_down:
            self._shut_down = True
            if isinstance(self.socket, ssl.SSLSocket) and self._write_error is None:
                with self._tls_lock:
                    self._is_tls_over = send_close_notify(self.socket)
            shut_down(self.socket, socket.SHUT_WR)  # the peer closes its side, and so the reader comes to its end

    def _send(self, data: bytes | memoryview) -> int:
        """Send what the socket takes at once. On a broken socket all counts as sent: the reader tells of the loss."""
        if self._write_error is not None or self._shut_down:
            return len(data)
        # Before it is sent: another thread may receive the answer before this one comes to tell the tap.
        began = time.monotonic() if self._tap is not None else 0.0
        try:
            if self._is_tls:
                with self._tls_lock:
                    taken = self.socket.send(data)
            else:
                taken = self.socket.send(data, DONT_WAIT)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return 0
        except OSError as error:
            self._write_error = f"the connection broke: {describe(error)}"
            shut_down(self.socket, socket.SHUT_WR)
            return len(data)
        self.bytes_sent += taken
        if self._tap is not None:
            self._tap.sent(bytes(data[:taken]), began)
        return taken

    def _leave_to_writer(self, data: bytes | memoryview) -> None:
        """Have the rest sent by a thread that may wait; it is the one that is sending from now on."""
        self._unsent = data
        if self._writer is None:
            self._writer = threading.Thread(target=self._write, name=f"puregrpc writer {self.peer}", daemon=True)
            self._writer.start()
        self._writer_wanted.set()

    def _write(self) -> None:
        while True:
            self._writer_wanted.wait()
            data = self._unsent
            if not data:
                return  # the session is closed
            while data and not self._is_given_up:
                if self._write_error is None and not wait_for_socket(self.socket, write=True, timeout=1.0):
                    continue
                taken = self._send(data)
                data = data[taken:]
            self._unsent = b""
            with self.mutex:
                self._sending = False
            self.flush()
            if self._reader_is_over():
                return

    def _reader_is_over(self) -> bool:
        return self._reader.ident is not None and not self._reader.is_alive()

    # -- reading

    def lead(self, call: Call) -> bool:
        """Whether the call that is being opened is alone, and its caller is to read its answer with `read_once`.

        To be asked with the mutex held, before the call is added to ``calls``.
        """
        if self._is_parked and not self._is_led and not self.calls and self.end_reason is None:
            self._is_led = True
            self._leader = call
            return True
        return False

    def stop_leading(self, call: Call) -> None:
        """The lone caller reads no more: if others have come meanwhile, the reader goes on."""
        with self.mutex:
            if self._leader is call:
                self._is_led = False
            others = bool(self.calls) or self.end_reason is not None
        if others:
            self._attention.set()

    def read_once(self, deadline: float | None) -> None:
        """Read what comes until ``deadline``, or for a while, and act on it; for whoever leads.

        Where that is interrupted between taking octets and acting on them, the connection is ended.
        """
        if not (self._is_tls and self._tls_pending()) and not self._wait_for_answer(deadline):
            return
        try:
            if self._take():
                self._attention.set()
        except BaseException:
            self.interrupted()
            raise

    def _wait_for_answer(self, deadline: float | None) -> bool:
        """False if there is no input by the deadline. True where ``recv`` may be called, which may wait for it too."""
        if self._busy_poll.finds_input(self.socket, deadline):
            return True
        timeout = LONGEST_POLL if deadline is None else deadline - time.monotonic()
        if self._recv_ends and timeout >= RECV_TIMEOUT:
            return True
        return wait_for_socket(self.socket, read=True, timeout=min(timeout, LONGEST_POLL))

    def _read(self) -> None:
        try:
            while True:
                self._leave_to_callers()
                if self._has_output:
                    self.flush()
                if self._wait_for_input():
                    if self._take():
                        break
                elif self._is_over_in_time():
                    break
        except BaseException:  # which nobody foresaw: no call is to wait for a reader that is no more
            self.interrupted()
            raise
        finally:
            shut_down(self.socket, socket.SHUT_RDWR)

    def sees_to(self, deadline: float, now: float) -> bool:
        """Whether the reader sees to the deadline of a call that is open; who waits for the call need not.

        It looks at the time once a second. Deadlines that are nearer, and those of calls beside one that is led, are
        for the callers.
        """
        return deadline - now > 2 * LONGEST_PAUSE and self._recv_ends and not self._is_led

    def _leave_to_callers(self) -> None:
        """Return when it is the reader's turn: nobody reads for the calls there are, or nobody has for a while."""
        seen = -1
        pause = QUIET
        while True:
            with self.mutex:
                is_quiet = seen == self._turns
                if is_quiet and self._leader not in self.calls:
                    self._is_led = False  # who led was interrupted before it could say that it no longer does
                is_led = self._is_led and self.end_reason is None
                if not is_led and (self.calls or is_quiet or not self._may_be_led()):
                    self._is_parked = False
                    return
                self._is_parked = True
                self._attention.clear()
                seen = self._turns
            pause = min(2 * pause, LONGEST_QUIET) if is_led and is_quiet else QUIET
            self._attention.wait(pause)

    def _may_be_led(self) -> bool:
        # Greenlets change places for less than it costs one of them to poll.
        if self._is_cooperative or self._keeps_time or self._is_given_up:
            return False
        return self.is_ready and self.end_reason is None

    def _wait_for_input(self) -> bool:
        """Wait for input, or leave that to ``recv``; False if it is time to tell the connection the time."""
        timeout = self._time_left() if self._keeps_time or self._recv_ends else None
        if timeout is not None and timeout <= 0:
            return False
        if self._recv_ends and timeout == LONGEST_PAUSE:
            return True
        pending = self._is_tls and self._tls_pending()
        return pending or wait_for_socket(self.socket, read=True, timeout=timeout)

    def _is_over_in_time(self) -> bool:
        with self.mutex:
            is_over = self.end_reason is not None
            if not is_over:
                self.connection.advance(time.monotonic())
        if self._has_output:
            self.flush()
        return is_over

    def _take(self) -> bool:
        """Receive and act on it. True if nothing more will come."""
        limit = self._limit
        try:
            data = self._receive(limit)
        except OSError as error:
            with self.mutex:
                self._lost(self._write_error or f"the connection broke: {describe(error)}")
            return True
        if data is None:
            return False
        size = len(data)
        self.bytes_received += size
        self._turns += 1
        with self.mutex:
            if self._is_given_up:
                return True
            if not self.is_ready and (foreign := describe_foreign_protocol(data)) is not None:
                self._lost(foreign)
                return True
            self.connection.receive(data, time.monotonic())
            if not data:
                self._lost("the peer closed the connection")
        if size >= limit:
            self._limit = LARGEST_READ_SIZE
        elif size < READ_SIZE:
            self._limit = READ_SIZE
        # A lone caller that has its answer leaves acknowledgements to the next call's write, or to the reader: servers
        # that estimate their bandwidth (grpc-go) send a PING with each answer.
        if self._has_output and (self.calls or not self._is_led or self.end_reason is not None):
            self.flush()
        return not data

    def _receive(self, limit: int) -> bytes | None:
        """What there is; None if TLS has nothing for us yet."""
        if not self._is_tls:
            try:
                data = self.socket.recv(limit)
            except BlockingIOError:
                return None
        else:
            try:
                with self._tls_lock:
                    data = b"" if self._is_tls_over else self.socket.recv(limit)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return None
        if self._tap is not None and data:
            self._tap.received(data, time.monotonic())
        return data

    def _tls_pending(self) -> bool:
        with self._tls_lock:
            return isinstance(self.socket, ssl.SSLSocket) and (self._is_tls_over or self.socket.pending() > 0)

    def _time_left(self) -> float | None:
        with self.mutex:
            when = None if self._is_given_up else self.connection.next_time()
        # a call opened meanwhile may bring the time forward: look again every second
        return LONGEST_PAUSE if when is None else min(max(when - time.monotonic(), 0.0), LONGEST_PAUSE)

    def _lost(self, reason: str) -> None:
        if not self._is_given_up:
            self.connection.lost(reason)
        if self.end_reason is None:
            self.on_closed(reason)
