"""A client's calls below schema and messages: what is asked of the network, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from puregrpc.wire.status import Status

__all__ = ["CallRequest", "Outcome", "StreamEnd", "Traffic", "UnaryOutcome"]

Metadata = tuple[tuple[str, "str | bytes"], ...]


@dataclass(slots=True)
class CallRequest:
    """A call as the network needs it: ``message`` is a unary call's whole request. ``timeout`` is in seconds."""

    path: str
    message: bytes = b""
    metadata: Metadata = ()
    timeout: float | None = None


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
    """How a unary call ended."""

    status: Status
    message: bytes | None = None
    headers: Metadata = ()
    trailers: Metadata = ()


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """How a stream ended."""

    status: Status
    headers: Metadata = ()
    trailers: Metadata = ()


@dataclass(frozen=True, slots=True)
class Traffic:
    """Octets that went over the connections of a client since it was made."""

    sent: int = 0
    received: int = 0
