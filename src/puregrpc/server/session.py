"""One client's connection to a server: routes its calls and keeps to the server's limits."""

from __future__ import annotations

import logging
import random
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING

import trio

from puregrpc import wire
from puregrpc.server.call import RejectedCall, UnaryRequestCall
from puregrpc.server.faults import contain, log_exception
from puregrpc.transport.session import Session
from puregrpc.transport.streams import ByteStream, SocketStream
from puregrpc.transport.tap import Tap
from puregrpc.wire.connection import Request, ServerCall, ServerConnection
from puregrpc.wire.frames import ErrorCode
from puregrpc.wire.status import Status, StatusCode

if TYPE_CHECKING:
    from puregrpc.server.server import Server
    from puregrpc.server.workers import Workers

__all__ = ["ServerSession"]

logger = logging.getLogger("puregrpc.server")


class ServerSession(Session[ServerConnection]):
    """A connection of a server: a `Session` whose calls become handlers' runs."""

    def __init__(self, server: Server, workers: Workers, stream: ByteStream, tap: Tap | None = None) -> None:
        config = server.config
        super().__init__(
            stream,
            lambda driver: wire.server_connection(driver, config, engine=config.engine),
            handshake_timeout=config.handshake_timeout,
            tap=tap,
        )
        self.server = server
        self.config = config
        self.compression = config.compression
        self.submit = workers.submit
        self.started_at = trio.current_time()
        self.calls_started = 0
        self._routes = server.routes
        self._has_said_left_out = False
        self._socket_stream = stream if isinstance(stream, SocketStream) else None

    @property
    def peer_uri(self) -> str:
        """The client's address with its kind in front, as gRPC's naming has it."""
        if self.peer.startswith("["):
            return f"ipv6:{self.peer}"
        return f"ipv4:{self.peer}" if self.peer[:1].isdigit() else self.peer

    @property
    def peer_certificate(self) -> bytes | None:
        """The client's certificate in DER form, if it showed one."""
        tls = self._socket_stream.tls if self._socket_stream is not None else None
        return tls.getpeercert(binary_form=True) if tls is not None else None

    def on_call(self, request: Request) -> ServerCall | None:
        server = self.server
        server.calls_started += 1
        self.calls_started += 1
        route = self._routes.get(request.path)
        if route is None:
            return self._reject(server.unimplemented(request.path))
        limit = self.config.max_concurrent_calls
        if limit is not None and server.calls_started - server.calls_ended > limit:
            return self._reject(Status(StatusCode.RESOURCE_EXHAUSTED, f"the server handles {limit} calls at once"))
        call = route.call_type(route, self)
        if request.content_subtype and route.codecs is not None and request.content_subtype in route.codecs:
            call.deserialize, call.serialize = route.codecs[request.content_subtype]
        if route.starts_at_once:
            self.submit(call)
        return call

    def _reject(self, status: Status) -> ServerCall:
        call = RejectedCall(status, self)
        self.submit(call)
        return call

    def run_plain(self, call: UnaryRequestCall) -> None:
        """Run the call of a plain function here and now, in a context of its own."""
        try:
            copy_context().run(call.run_plain)
        except BaseException as error:
            contain(error, call.crashed)

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
        """End a call that this side's own code could not go on with: by RST_STREAM, or else with its connection."""
        log_exception(error, "%s: the call ended with an internal error", self.describe(call))
        try:
            if call.wire_state is not None:
                self.connection.reset(call, ErrorCode.INTERNAL_ERROR)
                self.count_end(StatusCode.INTERNAL)
        except Exception as problem:
            self.crashed(problem)

    def crashed(self, error: BaseException) -> None:
        """End the connection, which this side's own code could not go on with. Raises nothing."""
        log_exception(error, "%s: the connection ended with an internal error", self.peer)
        try:
            self.abort("the server had an internal error")
        except Exception as problem:
            log_exception(problem, "%s: the connection did not end in order", self.peer)

    def count_end(self, code: int) -> None:
        """A call is over: with this status, or cancelled for this reason."""
        server = self.server
        server.calls_ended += 1
        server.calls_by_status[code] = server.calls_by_status.get(code, 0) + 1

    async def run_within_limits(self) -> None:
        """`run`, with the limits of idle time and age."""
        if self.config.max_connection_age is None and self.config.max_connection_idle is None:
            await self.run()
            return
        async with trio.open_nursery() as nursery:
            if self.config.max_connection_age is not None:
                nursery.start_soon(self._limit_age, self.config.max_connection_age)
            if self.config.max_connection_idle is not None:
                nursery.start_soon(self._limit_idle_time, self.config.max_connection_idle)
            await self.run()
            nursery.cancel_scope.cancel()

    async def _limit_age(self, age: float) -> None:
        await trio.sleep(age * random.uniform(0.9, 1.1))
        self.go_away(b"max_age")
        grace = self.config.max_connection_age_grace
        if grace is not None:
            await trio.sleep(grace)
            self.abort("the connection reached its age limit, and calls went on for longer than its grace")

    async def _limit_idle_time(self, idle: float) -> None:
        idle_since, calls_then = trio.current_time(), 0
        while True:
            await trio.sleep(idle / 4)
            now = trio.current_time()
            if self.connection.open_calls or self.calls_started != calls_then:
                idle_since, calls_then = now, self.calls_started
            elif now - idle_since >= idle:
                self.go_away(b"max_idle")
                return

    def go_away(self, debug_data: bytes = b"") -> None:
        """Ask the client to open no more calls here; when those it has are over, the connection ends."""
        if not self.is_closed:
            self.connection.advance(trio.current_time())
            self.connection.go_away(debug_data=debug_data)
            when = self.connection.next_time()
            if when is not None:
                self.arm(when)
