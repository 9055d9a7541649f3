"""How calls end: the result of those with one response, exceptions, and the statuses made up on this side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from puregrpc.errors import RpcError
from puregrpc.wire.connection import Metadata
from puregrpc.wire.status import Status, StatusCode

__all__ = ["CANCELLED_HERE", "NO_MESSAGE", "TWO_MESSAGES", "UnaryResult", "rpc_error"]

ResponseT = TypeVar("ResponseT")

TWO_MESSAGES = Status(
    StatusCode.UNIMPLEMENTED, "the server sent more than one message in answer to a call that takes one"
)
NO_MESSAGE = Status(StatusCode.UNIMPLEMENTED, "the server sent no message in answer to a call that takes one")
"""statuscodes.md, "Response cardinality violation"."""

CANCELLED_HERE = Status(StatusCode.CANCELLED, "the call was cancelled by this side")


@dataclass(frozen=True, slots=True)
class UnaryResult(Generic[ResponseT]):
    """The response of a call that takes one, with all that came with it."""

    message: ResponseT
    headers: Metadata
    trailers: Metadata
    status: Status


def rpc_error(status: Status, headers: Metadata = (), trailers: Metadata = ()) -> RpcError:
    """The exception for a status other than OK."""
    return RpcError(
        status.code,
        status.message,
        details_bin=status.details,
        headers=headers,
        trailers=trailers,
    )
