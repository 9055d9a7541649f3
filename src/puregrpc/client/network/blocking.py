"""A client's connection for blocking callers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import cast

from puregrpc.channel.blocking.methods import BlockingUnaryUnaryMethod
from puregrpc.client.calls.requests import CallRequest, Outcome, UnaryOutcome, failed_outcome
from puregrpc.client.network.connection import Connection, KnownOptions, Reading, outcome_of
from puregrpc.client.network.inbox import Inbox
from puregrpc.client.network.inbox_call import InboxCall
from puregrpc.client.params.connect import ConnectParams
from puregrpc.errors import InvalidArgument, LocalProtocolError, NotConnected, RpcError
from puregrpc.kernel.threads.kernel import ThreadKernel
from puregrpc.schema import Registry
from puregrpc.transport import SessionCounters
from puregrpc.transport.busy_poll import BUSY_POLL

__all__ = ["BlockingConnection"]


def nothing(_received: object) -> None:
    """Of what a script does not look at, no type is missing."""


class BlockingConnection:
    """A `Connection` on threads."""

    def __init__(self, kernel: ThreadKernel, connection: Connection) -> None:
        self._kernel = kernel
        self._core = connection.core
        self._connection = connection
        self.asks_for_types = connection.types is not None
        """Whether the server is asked for types that the schema lacks."""
        self._methods: dict[str, BlockingUnaryUnaryMethod[bytes, bytes]] = {}

    @classmethod
    def open(
        cls, address: str, params: ConnectParams, registry: Registry, *, known: KnownOptions | None = None
    ) -> BlockingConnection:
        """See `Connection.open`."""
        kernel = ThreadKernel()
        busy_poll = BUSY_POLL if params.busy_poll is None else params.busy_poll
        try:
            opening = Connection.open(kernel, address, params, registry, busy_poll=busy_poll, known=known)
            return cls(kernel, kernel.run(opening))
        except BaseException:
            kernel.run(kernel.close())
            raise

    def _method(self, path: str) -> BlockingUnaryUnaryMethod[bytes, bytes]:
        method = self._methods.get(path)
        if method is None:
            method = self._methods[path] = BlockingUnaryUnaryMethod(self._core, self._kernel, path)
        return method

    def unary(self, request: CallRequest) -> UnaryOutcome:
        """Make a unary call; KeyboardInterrupt cancels it."""
        try:
            method = self._methods[request.path]
        except KeyError:
            method = self._method(request.path)
        try:
            call = method.exchange(request.message, metadata=request.metadata, timeout=request.timeout)
        except (RpcError, InvalidArgument, NotConnected) as error:
            return failed_outcome(error)
        return call if call.message is not None else outcome_of(call)

    def learn(self, attempt: Callable[[], object] | None) -> None:
        """See `Connection.learn`."""
        if attempt is not None and self._connection.types is not None:
            self._kernel.run(self._connection.learn(attempt))

    def start_unary(self, request: CallRequest, reading: Reading = nothing) -> Future[UnaryOutcome]:
        """Begin a unary call. Cancelling the future cancels the call. See `Connection.unary_learning`."""
        if self.asks_for_types:
            return self._kernel.start(self._connection.unary_learning(request, reading))
        method = self._method(request.path)
        try:
            started = method.start_exchange(request.message, metadata=request.metadata, timeout=request.timeout)
        except LocalProtocolError as error:
            if not self._core.is_closed:
                raise
            closed: Future[UnaryOutcome] = Future()
            closed.set_exception(NotConnected(str(error)))
            return closed
        return cast("Future[UnaryOutcome]", started.as_future())

    def open_stream(
        self,
        request: CallRequest,
        inbox: Inbox,
        reading: Callable[[bytes | Outcome], Callable[[], object] | None] = nothing,
    ) -> InboxCall:
        """Open a stream. Its end, whatever it is, comes through the inbox.

        ``reading`` gives what reads a message or the end as a script sees it; the types that it misses are asked for.
        """

        async def learn(received: bytes | Outcome) -> None:
            await self._connection.learn(reading(received))

        stream = InboxCall(self._kernel, self._core, request, inbox, learn if self.asks_for_types else None)
        stream.open()
        return stream

    def passed(self) -> SessionCounters:
        """What went over it so far."""
        return self._connection.passed()

    def close_soon(self) -> None:
        """Have it closed by a thread of its own. From finalizers too."""
        if not self._core.is_foreign:
            self._kernel.wish(self.close)

    def close(self) -> None:
        """End all calls and the connection, and wait for its threads. Idempotent."""
        self._kernel.run(self._connection.close())
        self._kernel.run(self._kernel.close())
