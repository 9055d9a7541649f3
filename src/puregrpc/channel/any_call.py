"""What calls of any shape have in common, whoever waits: their messages' codec, other attempts, and how they ended."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from typing import Generic, TypeVar

from puregrpc.channel.details import CallDetails, Deserializer, Serializer
from puregrpc.channel.outcome import rpc_error
from puregrpc.channel.retry import REPLAY_LIMIT, Attempts
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
        "_attempts",
        "_deserialize",
        "_details",
        "_first",
        "_half_closed",
        "_headers",
        "_messages",
        "_replay",
        "_replay_size",
        "_retry_at",
        "_serialize",
        "_status",
        "_trailers",
    )

    def __init__(
        self,
        details: CallDetails,
        attempts: Attempts,
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
        self._attempts = attempts
        self._replay: list[tuple[bytes, bool]] | None = []
        """What was sent, to be sent again in another attempt; None: the call is committed, there is no other."""
        self._replay_size = 0
        self._retry_at: float | None = None
        """An attempt failed, and the next one is due then: whoever sends or receives makes it."""

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

    def _keep(self, message: bytes, *, compress: bool) -> None:
        """Keep a message that was sent for another attempt; with too many of them, there is none any more."""
        if self._replay is None:
            return
        self._replay.append((message, compress))
        self._replay_size += len(message)
        if self._replay_size > REPLAY_LIMIT:
            self._commit()

    def _commit(self) -> None:
        """There will be no other attempt: what it would have sent again is of no use."""
        self._first = self._replay = None

    def _next_attempt(self, status: Status, trailers: Metadata, *, unprocessed: bool, now: float) -> float | None:
        """When the attempt that follows one which ended so is due, on the clock of ``now``; None: there is none."""
        deadline = self._details.deadline
        pause = self._attempts.next_pause(
            status,
            trailers,
            committed=self._replay is None,
            unprocessed=unprocessed,
            sent=self.wire_id > 0,
            time_left=None if deadline is None else deadline - now,
        )
        return None if pause is None else now + pause

    def _inflated(self, message: CompressedMessage) -> bytes:
        try:
            return message.inflate()
        except RpcError as error:
            self.cancel()
            self._status = Status(error.code, error.message)  # though the server's may have been OK
            raise self._error(self._status) from None

    def _error(self, status: Status) -> RpcError:
        return rpc_error(status, self._headers or (), self._trailers)
