"""The call object of unary calls: one request and one response, and whoever waits is woken once, at the end."""

from __future__ import annotations

from puregrpc.channel.calls.outcome import NO_MESSAGE, TWO_MESSAGES, rpc_error
from puregrpc.transport import ClientSession, UnaryExchange
from puregrpc.wire.connection import Call, Metadata
from puregrpc.wire.status import Status

__all__ = ["UnaryCall"]


class UnaryCall(UnaryExchange):
    """One request, one response, on one session."""

    __slots__ = ("headers", "headers_came", "message", "session", "status", "trailers", "unprocessed")

    def __init__(self, session: ClientSession) -> None:
        Call.__init__(self)
        self.session = session
        self.waiter = None
        self.ended = False
        self.headers_came = False
        self.headers: Metadata = ()
        self.trailers: Metadata = ()
        self.message: bytes | None = None
        self.status: Status
        self.unprocessed: bool

    def on_headers(self, metadata: Metadata) -> None:
        self.headers_came = True
        self.headers = metadata

    def on_message(self, message: bytes) -> None:
        if self.message is None:
            self.message = message
            session = self.session
            session.messages_received += 1
            session.last_received = session.connection.now
        elif not self.ended:
            self.session.connection.reset(self)
            self.on_end(TWO_MESSAGES, (), unprocessed=False)

    def on_end(self, status: Status, trailers: Metadata, *, unprocessed: bool) -> None:
        self.status = status
        self.trailers = trailers
        self.unprocessed = unprocessed
        self.ended = True  # last: whoever reads all this, in another thread, looks at that first
        if status.code:
            self.session.calls_failed += 1
        self.session.over(self)
        if self.waiter is not None:
            self.waiter.wake()

    def result(self) -> bytes:
        """The response. Raises RpcError for a status other than OK, or for none or several messages."""
        status = self.status
        if status.code:
            raise rpc_error(status, self.headers, self.trailers)
        if self.message is None:
            raise rpc_error(NO_MESSAGE, self.headers, self.trailers)
        return self.message
