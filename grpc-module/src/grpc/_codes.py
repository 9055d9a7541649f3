"""The enumerations of grpcio's interface: status codes, connectivity, compression, kinds of local connections."""

from __future__ import annotations

import enum
from typing import Any

__all__ = [
    "ENCODINGS",
    "ChannelConnectivity",
    "Compression",
    "LocalConnectionType",
    "StatusCode",
    "code_of",
    "number_of",
]


@enum.unique
class StatusCode(enum.Enum):
    """The codes of a status (statuscodes.md). The value is the number and the name in lower case."""

    OK = (0, "ok")
    CANCELLED = (1, "cancelled")
    UNKNOWN = (2, "unknown")
    INVALID_ARGUMENT = (3, "invalid argument")
    DEADLINE_EXCEEDED = (4, "deadline exceeded")
    NOT_FOUND = (5, "not found")
    ALREADY_EXISTS = (6, "already exists")
    PERMISSION_DENIED = (7, "permission denied")
    RESOURCE_EXHAUSTED = (8, "resource exhausted")
    FAILED_PRECONDITION = (9, "failed precondition")
    ABORTED = (10, "aborted")
    OUT_OF_RANGE = (11, "out of range")
    UNIMPLEMENTED = (12, "unimplemented")
    INTERNAL = (13, "internal")
    UNAVAILABLE = (14, "unavailable")
    DATA_LOSS = (15, "data loss")
    UNAUTHENTICATED = (16, "unauthenticated")


_BY_NUMBER = tuple(StatusCode)


def code_of(number: int) -> StatusCode | None:
    """The code of a number on the wire; None for one that gRPC does not know."""
    return _BY_NUMBER[number] if 0 <= number < len(_BY_NUMBER) else None


def number_of(code: Any) -> int:
    """The number on the wire of a code; UNKNOWN for what is no `StatusCode`, an integer too."""
    return code.value[0] if isinstance(code, StatusCode) else StatusCode.UNKNOWN.value[0]


@enum.unique
class ChannelConnectivity(enum.Enum):
    """What a channel is doing about being connected (connectivity-semantics-and-api.md)."""

    IDLE = (0, "idle")
    CONNECTING = (1, "connecting")
    READY = (2, "ready")
    TRANSIENT_FAILURE = (3, "transient failure")
    SHUTDOWN = (4, "shutdown")


@enum.unique
class Compression(enum.IntEnum):
    """How messages are compressed."""

    NoCompression = 0
    Deflate = 1
    Gzip = 2


ENCODINGS = {Compression.NoCompression: "identity", Compression.Deflate: "deflate", Compression.Gzip: "gzip"}
"""Their names on the wire (compression.md)."""


@enum.unique
class LocalConnectionType(enum.Enum):
    """The kinds of connections that do not leave the machine."""

    UDS = 0
    LOCAL_TCP = 1
