"""How a call's end is told to a script: codes as they are, messages in the words that k6 and grpc-go use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from puregrpc.channel.calls.outcome import NO_MESSAGE, TWO_MESSAGES
from puregrpc.client.results.constants import StatusName
from puregrpc.errors import RpcError
from puregrpc.wire.status import Status, StatusCode

__all__ = ["CANCELED_HERE", "CLOSING", "DEADLINE", "as_k6_says", "failed_call"]

DEADLINE = Status(StatusCode.DEADLINE_EXCEEDED, "context deadline exceeded")

CANCELED_HERE = Status(StatusCode.CANCELLED, "canceled by client")

CLOSED_HERE = "the connection was closed on this side"
CLOSING = Status(StatusCode.CANCELLED, "grpc: the client connection is closing")

PASSED = "the deadline has passed"
PASSED_WAITING = "the deadline passed while "

CARDINALITY = {
    TWO_MESSAGES.message: "expected <EOF> for non server-streaming RPCs, but received another message",
    NO_MESSAGE.message: "received no response message from non-server-streaming RPC",
}


def as_k6_says(code: int, message: str, details: bytes | None = None) -> Status:
    """The status with what this library says of its own put in k6's words."""
    if code == StatusCode.DEADLINE_EXCEEDED and message == PASSED:
        return DEADLINE
    if code == StatusCode.DEADLINE_EXCEEDED and message.startswith(PASSED_WAITING):
        return Status(code, f"{DEADLINE.message}: {message.removeprefix('the deadline passed ')}")
    if code == StatusCode.UNAVAILABLE and message == CLOSED_HERE:
        return CLOSING
    if code == StatusCode.UNIMPLEMENTED and message in CARDINALITY:
        return Status(StatusCode.INTERNAL, f"cardinality violation: {CARDINALITY[message]}")
    return Status(code, message, details)


def failed_call(
    status: Status,
    before: str = "",
    *,
    headers: Sequence[tuple[str, str | bytes]] = (),
    trailers: Sequence[tuple[str, str | bytes]] = (),
    read_details: Callable[[bytes], dict[str, Any]] | None = None,
) -> RpcError:
    """An RpcError that reads ``rpc error: code = NotFound desc = …``."""
    error = RpcError(
        StatusName(status.code),
        status.message,
        details_bin=status.details,
        headers=headers,
        trailers=trailers,
        read_details=read_details,
    )
    error.args = (f"{before}rpc error: code = {error.code} desc = {status.message}",)
    return error
