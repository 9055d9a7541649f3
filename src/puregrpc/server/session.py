"""One client's connection, as the server has it: its calls, its figures, and what is wrong with either."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, ParamSpec

from puregrpc import wire
from puregrpc.kernel.threads.pool import Share
from puregrpc.server.calls.incoming import IncomingCall, RejectedCall
from puregrpc.server.faults import contain, log_exception
from puregrpc.server.room import Room
from puregrpc.server.snapshot import SessionSnapshot
from puregrpc.transport.amounts import wall_time
from puregrpc.transport.session import Session, SessionOptions, open_session
from puregrpc.wire.compression import USUAL_CODINGS
from puregrpc.wire.connection import Request, ServerCall, ServerConnection
from puregrpc.wire.frames import ErrorCode
from puregrpc.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from puregrpc.kernel.network.streams import ByteStream
    from puregrpc.kernel.network.tap import Tap
    from puregrpc.server.connections import Connections
    from puregrpc.transport import ConnectionSecurity

__all__ = ["ServerSession"]

logger = logging.getLogger("puregrpc.server")

P = ParamSpec("P")


class ServerSession:
    """The owner of a transport's session: a client's calls become handlers' runs.

    Its figures belong to whoever has the connection at hand.
    """

    def __init__(self, connections: Connections, stream: ByteStream, tap: Tap | None, *, is_accepted: bool) -> None:
        config = connections.config
        self.connections = connections
        self.kernel = connections.kernel
        self.threads = connections.threads
        self.foreseen = connections.foreseen
        self.share = Share()
        """What the connection has of the threads."""
        self.submit = connections.submit
        self.interrupt = connections.interrupt
        self.compression = config.compression
        self.is_accepted = is_accepted
        """It came from a listener, and counts for ``max_connections``."""
        self.started_at = self.kernel.now()
        self.calls_started = self.messages_sent = self.messages_received = 0
        self.now = self.kernel.now
        self.last_call_started = self.last_sent = self.last_received = -inf
        """When a call, or a message, was, on the kernel's clock."""
        self.calls_ended: dict[int, int] = {0: 0}
        """By status code."""
        self._routes = connections.router.routes
        self._places = connections.places
        self._has_said_left_out = False
        self._encodings: tuple[str, ...] | None = None
        """What requests may be compressed with, if it is not all that is at hand."""
        if config.accept_encodings != USUAL_CODINGS:
            self._encodings = ("identity", *(each for each in config.accept_encodings if each != "identity"))
        self.transport: Session[ServerConnection] = open_session(
            self.kernel,
            stream,
            partial(wire.server_connection, config=connections.wire_config, engine=config.engine),
            self,
            SessionOptions(
                handshake_timeout=config.handshake_timeout,
                own_mutex=True,
                between_turns=connections.relieve_those_due,
                rounds=connections.rounds,
                jobs=connections.jobs,
                readers=connections.readers,
                tap=tap,
            ),
        )
        self.wire = self.transport.connection
        self.room = Room(self.wire)
        """The calls that wait until less waits to be sent."""
        self.peer = stream.peer

    @property
    def peer_uri(self) -> str:
        """The client's address with its kind in front, as gRPC's naming has it."""
        if self.peer.startswith("["):
            return f"ipv6:{self.peer}"
        return f"ipv4:{self.peer}" if self.peer[:1].isdigit() else self.peer

    @property
    def peer_certificate(self) -> bytes | None:
        """The client's certificate in DER form, if it showed one."""
        tls = self.transport.stream.tls
        return None if tls is None else tls.peer_certificate

    @property
    def security(self) -> ConnectionSecurity | None:
        """How the connection is secured; None in plaintext."""
        return self.transport.security

    # -- what the transport's session tells

    def on_call(self, session: Session[Any], request: Request) -> ServerCall | None:  # noqa: ARG002 - it is always the same
        self.calls_started += 1
        self.last_call_started = self.wire.now
        try:
            route = self._routes.get(request.path) or self.connections.router.fallback
            if route is None:
                return self._reject(self.connections.router.unimplemented(request.path))
            if self._encodings is not None and request.encoding not in self._encodings:
                text = f"grpc-encoding {request.encoding!r} is not taken here: {', '.join(self._encodings)} are"
                return self._reject(Status(StatusCode.UNIMPLEMENTED, text))
            if self._places is not None and not self._places.take():
                text = f"the server handles {self._places.number} calls at once"
                return self._reject(Status(StatusCode.RESOURCE_EXHAUSTED, text))
            call = route.call_type(route, self)
            call.holds_place = self._places is not None
            if request.content_subtype and route.codecs is not None and request.content_subtype in route.codecs:
                call.deserialize, call.serialize = route.codecs[request.content_subtype]
            if route.starts_at_once:
                call.request = request
                call.begin_soon()
        except Exception as error:
            log_exception(error, "%s %s: the call ended with an internal error", self.peer, request.path)
            return self._reject(Status(StatusCode.INTERNAL, "the server had an internal error"))
        return call

    def session_lost(self, session: Session[Any], reason: str) -> None:
        """Nothing follows from it for a server: the calls that there are go on."""

    def session_over(self, session: Session[Any]) -> None:  # noqa: ARG002 - it is always the same
        self.connections.session_over(self)

    def _reject(self, status: Status) -> ServerCall:
        call = RejectedCall(status, self)
        self.connections.soon(partial(self._do, partial(self.guard, call, call.finish)))
        return call

    # -- for the calls

    def post(self, call: IncomingCall, function: Callable[P, object], *arguments: P.args, **keywords: P.kwargs) -> None:
        """Have something done for a call with the connection at hand, in the order of the posts. From any thread.

        What it raises fails the call. Raises NotConnected when the loop has ended.
        """
        if self.kernel.world == "threads":
            self.at_hand(call, function, *arguments, **keywords)
        else:
            self.kernel.call_soon(partial(self.at_hand, call, function, *arguments, **keywords))

    def at_hand(
        self, call: ServerCall, function: Callable[P, object], *arguments: P.args, **keywords: P.kwargs
    ) -> None:
        """Do something for a call with the connection at hand, and send what comes of it.

        Without the mutex; where there is a loop, in its thread. What it raises fails the call.
        """
        transport = self.transport
        if self.wire.open_calls == 1:  # nothing is gained by waiting for what other calls have to send
            transport.hold()
        try:
            transport.locked(self.guard, call, partial(function, *arguments, **keywords))
        finally:
            transport.push()

    def guard(self, call: ServerCall, function: Callable[[], object]) -> None:
        """Do something for a call with the connection at hand. What it raises fails the call."""
        try:
            function()
        except BaseException as error:
            contain(error, self.kernel, partial(self._fail, call))

    def _fail(self, call: ServerCall, error: BaseException) -> None:
        try:
            if isinstance(call, IncomingCall):
                call.fail(error)
            else:
                self.call_crashed(call, error)
        except Exception as problem:
            self.call_crashed(call, problem)

    def perform(self, function: Callable[P, Any], *arguments: P.args, **keywords: P.kwargs) -> Any:
        """Do something with the connection at hand, send what comes of it, and return what it returns.

        From any thread, without the mutex.
        """
        if self.kernel.world == "threads":
            try:
                return self.transport.locked(partial(function, *arguments, **keywords))
            finally:
                self.transport.push()
        return self.threads.perform(function, *arguments, **keywords)

    def count_end(self, code: int) -> None:
        """A call is over: with this status, or cancelled for this reason."""
        ended = self.calls_ended
        ended[code] = ended.get(code, 0) + 1

    def leave_place(self) -> None:
        """One call less that the server handles."""
        if self._places is not None:
            self._places.give_back()

    def call_back(self, callback: Callable[[], object]) -> None:
        """Call what was to be called at the end of a call. With the connection at hand; it runs without."""
        if self.kernel.world == "threads":  # it may block, and nothing else may wait for it
            self.kernel.spawn(self._call_back, callback)
        else:
            self.kernel.call_soon(self._called_back, callback)

    async def _call_back(self, callback: Callable[[], object]) -> None:
        self._called_back(callback)

    def _called_back(self, callback: Callable[[], object]) -> None:
        try:
            callback()
        except BaseException as error:
            contain(error, self.kernel, lambda error: log_exception(error, "%s: a callback failed", self.peer))

    # -- faults

    def describe(self, call: ServerCall) -> str:
        """Names the connection, the stream and the method of a call, for the log."""
        return f"{self.peer} stream {call.wire_id} {call.request.path}"

    def left_out(self, call: ServerCall, what: str) -> None:
        """Say that something of an answer does not fit; once for a connection, since each of its calls may bring it."""
        level = logging.DEBUG if self._has_said_left_out else logging.WARNING
        self._has_said_left_out = True
        with suppress(Exception):  # that the log fails is no reason to end anything
            logger.log(level, "%s: left out of the answer, for it does not fit: %s", self.describe(call), what)

    def call_crashed(self, call: ServerCall, error: BaseException) -> None:
        """End a call that this side's own code could not go on with: by RST_STREAM, or else with its connection.

        With the connection at hand. Raises nothing.
        """
        log_exception(error, "%s: the call ended with an internal error", self.describe(call))
        try:
            if call.wire_state is not None:
                self.wire.reset(call, ErrorCode.INTERNAL_ERROR)
                self.count_end(StatusCode.INTERNAL)
        except Exception as problem:
            log_exception(problem, "%s: the connection ended with an internal error", self.peer)
            self.kernel.call_soon(self.abort, "the server had an internal error")

    def crashed(self, error: BaseException) -> None:
        """End the connection, which this side's own code could not go on with. Without the mutex. Raises nothing."""
        log_exception(error, "%s: the connection ended with an internal error", self.peer)
        self.abort("the server had an internal error")

    def relieve(self) -> None:
        """Let go of the call that holds most memory. Without the mutex. Raises nothing."""
        self._do(self.wire.relieve)

    def look_for_room(self) -> None:
        """Let calls go on that wait until less waits to be sent. Without the mutex. Raises nothing."""
        self._do(self.room.look)

    def _do(self, function: Callable[[], None]) -> None:
        try:
            self.transport.guarded(function)
            self.transport.push()
        except BaseException as error:
            contain(error, self.kernel, self.crashed)

    # -- the end

    def go_away(self, debug_data: bytes = b"") -> None:
        """Ask the client to open no more calls here; when those it has are over, the connection ends."""
        try:
            self.transport.locked(self._go_away, debug_data)
            self.transport.push()
        except BaseException as error:
            contain(error, self.kernel, self.crashed)

    def _go_away(self, debug_data: bytes) -> None:
        transport = self.transport
        if transport.end_reason is None:
            self.wire.advance(self.kernel.now())
            self.wire.go_away(debug_data=debug_data)
            when = self.wire.next_time()
            if when is not None:
                transport.arm(when)

    def abort(self, reason: str) -> None:
        """End the connection at once: its calls end with UNAVAILABLE. Without the mutex. Raises nothing."""
        try:
            self.transport.abort(reason)
        except BaseException as error:
            contain(
                error,
                self.kernel,
                lambda error: log_exception(error, "%s: the connection did not end in order", self.peer),
            )

    # -- as data

    def snapshot(self) -> SessionSnapshot:
        """The connection and its calls as they stand. Without the mutex."""
        return self.transport.locked(self._snapshot)

    def _snapshot(self) -> SessionSnapshot:
        now = self.kernel.now()
        return SessionSnapshot(
            peer=self.peer,
            age=now - self.started_at,
            bytes_sent=self.transport.bytes_sent,
            bytes_received=self.transport.bytes_received,
            calls_started=self.calls_started,
            connection=self.wire.snapshot(),
            calls_ended={code: number for code, number in self.calls_ended.items() if number},
            local=self.transport.local,
            number=self.transport.number,
            messages_sent=self.messages_sent,
            messages_received=self.messages_received,
            last_message_sent=wall_time(self.last_sent, now),
            last_message_received=wall_time(self.last_received, now),
            security=self.security,
            last_call_started=wall_time(self.last_call_started, now),
        )
