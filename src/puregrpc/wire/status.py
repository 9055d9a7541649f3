"""Status codes and the status of a call (gRPC's statuscodes.md)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

__all__ = ["OK", "Status", "StatusCode"]


class StatusCode(IntEnum):
    """The gRPC status codes (https://grpc.github.io/grpc/core/md_doc_statuscodes.html)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


@dataclass(frozen=True, slots=True)
class Status:
    """How a call ended: ``grpc-status``, ``grpc-message`` and ``grpc-status-details-bin``.

    ``code`` is an int and not a StatusCode: a peer may send numbers that are not in the list, and they are kept.
    ``details`` is a serialized google.rpc.Status, or None.
    """

    code: int
    message: str = ""
    details: bytes | None = None

    @property
    def name(self) -> str:
        """The code's name, such as ``NOT_FOUND``; ``CODE_n`` for a number that has none."""
        try:
            return StatusCode(self.code).name
        except ValueError:
            return f"CODE_{self.code}"


OK = Status(0)
