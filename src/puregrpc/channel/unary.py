"""The call object of unary calls, whoever waits for them."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from puregrpc.channel.outcome import NO_MESSAGE, TWO_MESSAGES, rpc_error
from puregrpc.wire.connection import Call, ClientConnection, Metadata
from puregrpc.wire.status import Status

__all__ = ["SingleResponseCall"]


class Carrier(Protocol):
    """What carries a call."""

    @property
    def connection(self) -> ClientConnection: ...


CarrierT = TypeVar("CarrierT", bound=Carrier)


class SingleResponseCall(Call, Generic[CarrierT]):
    """One request, one response. A subclass says who is woken at the end."""

    __slots__ = ("ended", "headers", "headers_came", "message", "session", "status", "trailers", "unprocessed")

    def __init__(self, session: CarrierT) -> None:
        Call.__init__(self)
        self.session = session
        self.ended = False
        self.unprocessed = False
        self.headers_came = False
        self.headers: Metadata = ()
        self.trailers: Metadata = ()
        self.message: bytes | None = None
        self.status: Status

    def on_headers(self, metadata: Metadata) -> None:
        self.headers_came = True
        self.headers = metadata

    def on_message(self, message: bytes) -> None:
        if self.message is None:
            self.message = message
        elif not self.ended:
            self.session.connection.reset(self)
            self.on_end(TWO_MESSAGES, (), unprocessed=False)

    def result(self) -> bytes:
        """The response. Raises RpcError for a status other than OK, or for none or several messages."""
        status = self.status
        if status.code:
            raise rpc_error(status, self.headers, self.trailers)
        if self.message is None:
            raise rpc_error(NO_MESSAGE, self.headers, self.trailers)
        return self.message
