"""A client's calls below schema and messages: what is asked of the network, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from puregrpc.client.results.wording import CLOSING
from puregrpc.errors import InvalidArgument, NotConnected, RpcError
from puregrpc.wire.status import Status, StatusCode

__all__ = ["CallRequest", "Outcome", "UnaryOutcome", "failed_outcome"]

Metadata = tuple[tuple[str, "str | bytes"], ...]


@dataclass(slots=True)
class CallRequest:
    """A call as the network needs it: ``message`` is a unary call's whole request. ``timeout`` is in seconds."""

    path: str
    message: bytes
    metadata: Metadata
    timeout: float | None


class UnaryOutcome(Protocol):
    """How a unary call ended: an `Outcome`, or a channel's call that is over, which says the same."""

    @property
    def status(self) -> Status: ...
    @property
    def message(self) -> bytes | None: ...
    @property
    def headers(self) -> Metadata: ...
    @property
    def trailers(self) -> Metadata: ...


class Outcome(NamedTuple):
    """How a call ended. A stream has no ``message``."""

    status: Status
    message: bytes | None = None
    headers: Metadata = ()
    trailers: Metadata = ()


def failed_outcome(error: RpcError | InvalidArgument | NotConnected) -> Outcome:
    """How a call ended that failed, or that could not be sent."""
    if isinstance(error, RpcError):
        return Outcome(Status(error.code, error.message, error.details_bin), None, error.headers, error.trailers)
    if isinstance(error, NotConnected):  # closed since the call was prepared
        return Outcome(CLOSING)
    return Outcome(Status(StatusCode.INTERNAL, str(error)))
