"""How a call's end is told to a script: codes as they are, messages in the words that k6 and grpc-go use."""

from __future__ import annotations

from puregrpc.wire.status import Status, StatusCode

__all__ = ["CANCELED_HERE", "CLOSING", "DEADLINE", "EXPIRED", "as_k6_says"]

DEADLINE = Status(StatusCode.DEADLINE_EXCEEDED, "context deadline exceeded")
EXPIRED = 0.001
"""Milliseconds: a stream with no more time than that is not opened."""

CANCELED_HERE = Status(StatusCode.CANCELLED, "canceled by client")

CLOSED_HERE = "the connection was closed on this side"
CLOSING = Status(StatusCode.CANCELLED, "grpc: the client connection is closing")

PASSED = "the deadline has passed"
PASSED_WAITING = "the deadline passed while "
TWO_MESSAGES = "the server sent more than one message in answer to a call that takes one"
NO_MESSAGE = "the server sent no message in answer to a call that takes one"

CARDINALITY = {
    TWO_MESSAGES: "cardinality violation: expected <EOF> for non server-streaming RPCs, but received another message",
    NO_MESSAGE: "cardinality violation: received no response message from non-server-streaming RPC",
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
        return Status(StatusCode.INTERNAL, CARDINALITY[message])
    return Status(code, message, details)
