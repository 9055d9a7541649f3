"""What calls of any shape have in common, whoever waits for them: their messages' codec, and how they ended."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from typing import Generic, TypeVar

from puregrpc.channel.details import CallDetails, Deserializer, Serializer
from puregrpc.channel.outcome import rpc_error
from puregrpc.errors import LocalProtocolError, RpcError
from puregrpc.wire.compression import CompressedMessage
from puregrpc.wire.connection import Call, Metadata
from puregrpc.wire.status import Status

__all__ = ["AnyCall"]

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class AnyCall(Call, Generic[RequestT, ResponseT]):
    """A call of any shape. ``status`` and ``trailers`` are there after its end."""

    inflates_messages = True

    __slots__ = (
        "_deserialize",
        "_details",
        "_first",
        "_half_closed",
        "_headers",
        "_messages",
        "_serialize",
        "_status",
        "_trailers",
    )

    def __init__(
        self,
        details: CallDetails,
        serialize: Serializer[RequestT] | None,
        deserialize: Deserializer[ResponseT] | None,
        only_request: bytes | None,
    ) -> None:
        Call.__init__(self)
        self._details = details
        self._serialize = serialize
        self._deserialize = deserialize
        self._first = only_request
        self._half_closed = only_request is not None
        self._headers: Metadata | None = None
        self._messages: deque[bytes] = deque()
        self._status: Status | None = None
        self._trailers: Metadata = ()

    @property
    def is_over(self) -> bool:
        """The call has ended, though messages that came before may wait to be received."""
        return self._status is not None

    @property
    def status(self) -> Status:
        """How the call ended. Raises LocalProtocolError before the end."""
        if self._status is None:
            raise LocalProtocolError("the status of a call is not known before its end: receive until None")
        return self._status

    @property
    def trailers(self) -> Metadata:
        """The trailing metadata. Raises LocalProtocolError before the end."""
        if self._status is None:
            raise LocalProtocolError("the trailers of a call are not known before its end: receive until None")
        return self._trailers

    @abstractmethod
    def cancel(self) -> None:
        """End the call from this side (RST_STREAM, CANCEL). Idempotent; messages that wait are dropped."""

    def _inflated(self, message: CompressedMessage) -> bytes:
        try:
            return message.inflate()
        except RpcError as error:
            self.cancel()
            self._status = Status(error.code, error.message)  # though the server's may have been OK
            raise self._error(self._status) from None

    def _error(self, status: Status) -> RpcError:
        return rpc_error(status, self._headers or (), self._trailers)
