"""The blocking client's backend on plain sockets: a unary call is made by the thread that asks for it.

What has no waiting thread of its own (streams, calls begun with ``start_unary``) is handed on by one more thread, the
dispatcher, which also sees to their deadlines. There is no event loop, so it works where gevent has taken the place of
``socket``, ``select`` and ``threading``.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue

from puregrpc.channel import BlockingChannel, BlockingMethod
from puregrpc.channel.blocking_call import ClientSession
from puregrpc.channel.outcome import NO_MESSAGE, TWO_MESSAGES
from puregrpc.client.backend import (
    PATIENCE_SECONDS,
    Backend,
    BackendStream,
    CallRequest,
    Inbox,
    Outcome,
    Patience,
    StreamEnd,
    Traffic,
    UnaryOutcome,
)
from puregrpc.client.failures import (
    DEADLINE_PASSED,
    connect_error,
    not_connected,
    reflection_error,
    status_of,
    tls_options,
)
from puregrpc.client.params import ConnectParams
from puregrpc.client.socket_reflection import load_by_reflection
from puregrpc.client.status import CANCELED_HERE, as_k6_says
from puregrpc.errors import ConnectError, Error, InvalidArgument, LocalProtocolError, NotConnected, RpcError
from puregrpc.schema import Registry
from puregrpc.transport.busy_poll import BUSY_POLL
from puregrpc.transport.waking import Changes
from puregrpc.wire.compression import CompressedMessage
from puregrpc.wire.connection import Call, Metadata, Request
from puregrpc.wire.status import Status, StatusCode

__all__ = ["Sockets"]


class Dispatcher:
    """A thread that runs what it is given, in order, and tells connections the time while it is asked to."""

    def __init__(self) -> None:
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._timed: dict[Call, ClientSession] = {}

    def post(self, function: Callable[[], None]) -> None:
        """Run ``function`` on the thread. It may be called with a connection's mutex held."""
        self._work.put(function)

    def start(self) -> None:
        """Make the thread, if there is none."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="puregrpc dispatcher", daemon=True)
                self._thread.start()

    def keep_time(self, call: Call, session: ClientSession) -> None:
        """See to the deadline of a call until `forget`."""
        self.post(lambda: self._timed.update({call: session}))

    def forget(self, call: Call) -> None:
        """On the thread itself: the call is over."""
        self._timed.pop(call, None)

    def stop(self) -> None:
        """End the thread when its work is done, and wait for that."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._work.put(None)
            if thread is not threading.current_thread():
                thread.join()

    def _run(self) -> None:
        while True:
            try:
                function = self._work.get(timeout=self._time_left())
            except Empty:
                self._tell_time()
                continue
            if function is None:
                return
            function()

    def _time_left(self) -> float | None:
        times = [call.wire_deadline for call in self._timed if call.wire_deadline is not None]
        if not times:
            return None
        return min(max(min(times) - time.monotonic(), 0.001), threading.TIMEOUT_MAX)

    def _tell_time(self) -> None:
        for session in set(self._timed.values()):
            with session.mutex:
                if session.end_reason is None:
                    session.connection.advance(time.monotonic())
            session.flush()


class Sockets(Backend):
    """See the module."""

    def __init__(self) -> None:
        self._channel: BlockingChannel | None = None
        self._methods: dict[str, BlockingMethod[bytes, bytes]] = {}
        self._streams: set[SocketStream] = set()
        self._dispatcher = Dispatcher()
        self._before = Traffic()

    # -- the connection

    def start(self) -> None:
        return  # threads are made when they are needed

    def connect(self, address: str, params: ConnectParams, registry: Registry) -> None:
        self.disconnect(CANCELED_HERE)
        timeout = params.timeout / 1000
        if timeout <= 0:
            raise ConnectError(f"{DEADLINE_PASSED}: no time to connect to {address} (timeout {params.timeout:g} ms)")
        timeout = min(timeout, threading.TIMEOUT_MAX)
        began = time.monotonic()
        channel = BlockingChannel(
            address,
            tls=tls_options(params),
            authority=params.authority,
            max_receive_message_size=params.max_receive_size,
            tap=params.trace,
            connect_timeout=timeout,
            busy_poll=BUSY_POLL if params.busy_poll is None else params.busy_poll,
        )
        try:
            channel.connect()
            if params.reflect:
                left = began + timeout - time.monotonic()
                load_by_reflection(channel, registry, metadata=params.reflect_metadata, timeout=max(left, 0.0))
        except ConnectError as error:
            channel.close()
            raise connect_error(error, is_late=time.monotonic() - began >= timeout) from None
        except RpcError as error:
            channel.close()
            if error.code == StatusCode.DEADLINE_EXCEEDED:
                raise ConnectError(
                    f"{DEADLINE_PASSED}: {address} did not describe itself by server reflection in time"
                ) from None
            raise reflection_error(error) from None
        except BaseException:
            channel.close()
            raise
        self._methods.clear()
        self._channel = channel

    def traffic(self) -> Traffic:
        channel = self._channel
        if channel is None:
            return self._before
        now = channel.counters
        return Traffic(self._before.sent + now.bytes_sent, self._before.received + now.bytes_received)

    def disconnect(self, status: Status) -> None:
        channel = self._channel
        if channel is None:
            return
        for stream in list(self._streams):
            stream.cancel(status)
        channel.close()
        self._before = self.traffic()
        self._channel = None

    def close(self) -> None:
        self.disconnect(CANCELED_HERE)
        self._dispatcher.stop()

    def _connected(self) -> BlockingChannel:
        if self._channel is None:
            raise not_connected()
        return self._channel

    # -- calls

    def unary(self, request: CallRequest) -> UnaryOutcome:
        method = self._methods.get(request.path)
        if method is None:
            method = self._methods[request.path] = self._connected().unary_unary(request.path)
        try:
            call = method.exchange(request.message, metadata=request.metadata, timeout=request.timeout)
        except RpcError as error:
            return Outcome(status_of(error), None, error.headers, error.trailers)
        except InvalidArgument as error:
            return Outcome(Status(StatusCode.INTERNAL, str(error)))
        if call.message is None and not call.status.code:
            return Outcome(NO_MESSAGE, None, call.headers, call.trailers)
        return call

    def start_unary(self, request: CallRequest) -> Future[Outcome]:
        channel = self._connected()
        self._dispatcher.start()
        call = FutureCall(self._dispatcher)
        try:
            call.open(channel, request)
        except RpcError as error:
            call.future.set_result(Outcome(status_of(error)))
        except InvalidArgument as error:
            call.future.set_result(Outcome(Status(StatusCode.INTERNAL, str(error))))
        return call.future

    def open_stream(self, request: CallRequest, inbox: Inbox) -> BackendStream:
        channel = self._connected()
        self._dispatcher.start()
        stream = SocketStream(self._dispatcher, inbox, self._streams.discard)
        self._streams.add(stream)
        try:
            stream.call.open(channel, request)
        except RpcError as error:
            stream.finish(StreamEnd(status_of(error)))
        except (InvalidArgument, NotConnected) as error:
            stream.finish(StreamEnd(Status(StatusCode.INTERNAL, str(error))))
        return stream


class DispatchedCall(Call):
    """What the calls without a waiting thread have in common."""

    __slots__ = ("_dispatcher", "ended", "headers", "session")

    def __init__(self, dispatcher: Dispatcher) -> None:
        Call.__init__(self)
        self._dispatcher = dispatcher
        self.session: ClientSession | None = None
        self.headers: Metadata = ()
        self.ended = False

    def open(self, channel: BlockingChannel, request: CallRequest, *, message: bytes | None = None) -> None:
        """Open the call. Raises RpcError if there is no connection for it, InvalidArgument for bad metadata."""
        options = channel.options
        head = Request(request.path, options.authority, request.metadata, encoding=options.compression)
        deadline = None if request.timeout is None else time.monotonic() + request.timeout
        while True:
            session = channel.pick(deadline, wait_for_ready=False)
            self.session = session
            try:
                with session.mutex:
                    session.calls.add(self)
                    session.operate(
                        session.connection.open_call,
                        self,
                        head,
                        deadline=deadline,
                        message=message,
                        end=message is not None,
                        now=time.monotonic(),
                    )
                break
            except Error as error:
                session.calls.discard(self)
                if not (isinstance(error, LocalProtocolError) and session.is_going_away):
                    raise
        if deadline is not None:
            self._dispatcher.keep_time(self, session)
        session.flush()

    def on_headers(self, metadata: Metadata) -> None:
        self.headers = metadata


class FutureCall(DispatchedCall):
    """A unary call that nobody waits for; its outcome comes as a future's result, set by the dispatcher."""

    __slots__ = ("future", "message")

    def __init__(self, dispatcher: Dispatcher) -> None:
        super().__init__(dispatcher)
        self.message: bytes | None = None
        self.future: Future[Outcome] = Future()
        self.future.add_done_callback(self._done)

    def open(self, channel: BlockingChannel, request: CallRequest, *, message: bytes | None = None) -> None:
        super().open(channel, request, message=request.message if message is None else message)

    def on_message(self, message: bytes) -> None:
        if self.message is None:
            self.message = message
        elif not self.ended and self.session is not None:
            self.session.connection.reset(self)
            self.on_end(TWO_MESSAGES, (), unprocessed=False)

    def on_end(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> None:  # noqa: ARG002
        self.ended = True
        if self.session is not None:
            self.session.calls.discard(self)
        if not status.code and self.message is None:
            status = NO_MESSAGE
        outcome = Outcome(status, self.message, self.headers, trailers)
        self._dispatcher.post(lambda: self._set(outcome))

    def _set(self, outcome: Outcome) -> None:
        self._dispatcher.forget(self)
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(outcome)

    def _done(self, future: Future[Outcome]) -> None:
        session = self.session
        if future.cancelled() and session is not None:
            session.reset(self)
            self._dispatcher.post(lambda: self._dispatcher.forget(self))


class InboxCall(DispatchedCall):
    """A stream; what it receives goes to an inbox as fast as there is room in it."""

    inflates_messages = True

    __slots__ = ("_end", "_inbox", "_is_blocked", "_is_posted", "_messages", "_on_over", "changes")

    def __init__(self, dispatcher: Dispatcher, inbox: Inbox, on_over: Callable[[], None]) -> None:
        super().__init__(dispatcher)
        self.auto_consume = False
        self.changes = Changes()
        self._inbox = inbox
        self._on_over = on_over
        self._messages: deque[bytes] = deque()
        self._end: StreamEnd | None = None
        self._is_posted = False
        self._is_blocked = False
        """The inbox is full; what comes is not handed on before it has room."""

    # with the session's mutex held

    def on_message(self, message: bytes) -> None:
        self._messages.append(message)
        self._post_pump()

    def on_end(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> None:  # noqa: ARG002
        self.end(StreamEnd(status, self.headers, trailers))

    def on_writable(self) -> None:
        self.changes.notify_all()

    def end(self, end: StreamEnd) -> None:
        if self._end is None:
            self.ended = True
            self._end = end
            if self.session is not None:
                self.session.calls.discard(self)
            self.on_writable()
            self._post_pump()

    def drop_messages(self) -> None:
        self._messages.clear()
        self._is_blocked = False

    def _post_pump(self) -> None:
        if not self._is_posted and not self._is_blocked:
            self._is_posted = True
            self._dispatcher.post(self._pump)

    # on the dispatcher's thread

    def _pump(self) -> None:
        session = self.session
        if session is None:
            return
        while True:
            with session.mutex:
                self._is_posted = False
                if self._is_blocked:
                    return
                message = self._messages.popleft() if self._messages else None
                if message is not None:
                    if not self.ended:
                        session.connection.consume(self, len(message))
                    self._is_blocked = True  # until the inbox says otherwise
                end = self._end
            if session.has_output:
                session.flush()
            if message is None:
                break
            if type(message) is CompressedMessage:
                try:
                    message = message.inflate()
                except RpcError as error:
                    self._fail(session, Status(error.code, error.message))
                    continue
            if not self._inbox.put(message, self._has_room):
                return
            self._is_blocked = False
        if end is not None:
            self._dispatcher.forget(self)
            status = as_k6_says(end.status.code, end.status.message, end.status.details)
            self._inbox.end(StreamEnd(status, end.headers, end.trailers))
            self._on_over()

    def _fail(self, session: ClientSession, status: Status) -> None:
        """A message cannot be inflated: so the call ends, whatever the server's status was."""
        session.reset(self)
        with session.mutex:
            self.drop_messages()
            self.ended = True
            self._end = StreamEnd(status, self.headers, self._end.trailers if self._end is not None else ())
            self.on_writable()

    # on any thread

    def _has_room(self) -> None:
        session = self.session
        if session is not None:
            with session.mutex:
                self._is_blocked = False
                self._post_pump()


class SocketStream(BackendStream):
    """The sending side of a stream."""

    def __init__(self, dispatcher: Dispatcher, inbox: Inbox, forget: Callable[[SocketStream], None]) -> None:
        self._dispatcher = dispatcher
        self._inbox = inbox
        self._forget = forget
        self.call = InboxCall(dispatcher, inbox, lambda: forget(self))

    def finish(self, end: StreamEnd) -> None:
        """The stream could not be opened."""
        self.call.ended = True
        self._forget(self)
        status = as_k6_says(end.status.code, end.status.message, end.status.details)
        self._dispatcher.post(lambda: self._inbox.end(StreamEnd(status, end.headers, end.trailers)))

    def send(self, message: bytes, on_sent: Callable[[], None], patience: Patience | None = None) -> None:
        call = self.call
        session = call.session
        if session is None:
            return
        connection = session.connection
        with session.mutex:
            if call.ended:
                return
            session.operate(connection.send_message, call, message)
        session.flush()
        if connection.send_buffered(call) > connection.send_buffer_size:
            while True:
                with session.mutex:
                    waiting = connection.send_buffered(call)
                    if waiting <= connection.send_buffer_size or call.ended:
                        break
                    waiter = call.changes.waiter()
                if patience is not None and not patience.lasts(waiting):
                    break
                waiter.acquire(timeout=-1 if patience is None else PATIENCE_SECONDS)
        on_sent()

    def half_close(self) -> None:
        session = self.call.session
        if session is None:
            return
        with session.mutex:
            if not self.call.ended:
                session.operate(session.connection.half_close, self.call)
        session.flush()

    def cancel(self, status: Status) -> None:
        session = self.call.session
        if session is None:
            return
        with session.mutex:
            if not self.call.ended:
                session.operate(session.connection.reset, self.call, now=time.monotonic())
                self.call.drop_messages()
                self.call.end(StreamEnd(status))
        session.flush()
