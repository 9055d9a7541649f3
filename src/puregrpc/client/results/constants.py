"""The constants of k6's gRPC module: status codes and health states, with k6's names.

They are ints (``response.status == 5``) that print as their names (``NotFound``).
"""

from __future__ import annotations

from puregrpc.errors import NamedInt

__all__ = [
    "STATUS_NAMES",
    "HealthCheckNotServing",
    "HealthCheckServiceUnknown",
    "HealthCheckServiceUnkown",
    "HealthCheckServing",
    "HealthCheckUnknown",
    "HealthState",
    "StatusAborted",
    "StatusAlreadyExists",
    "StatusCanceled",
    "StatusDataLoss",
    "StatusDeadlineExceeded",
    "StatusFailedPrecondition",
    "StatusInternal",
    "StatusInvalidArgument",
    "StatusName",
    "StatusNotFound",
    "StatusOK",
    "StatusOutOfRange",
    "StatusPermissionDenied",
    "StatusResourceExhausted",
    "StatusUnauthenticated",
    "StatusUnavailable",
    "StatusUnimplemented",
    "StatusUnknown",
]


class StatusName(NamedInt):
    """The status codes (https://grpc.github.io/grpc/core/md_doc_statuscodes.html), named as in k6 and grpc-go."""

    OK = 0
    Canceled = 1
    Unknown = 2
    InvalidArgument = 3
    DeadlineExceeded = 4
    NotFound = 5
    AlreadyExists = 6
    PermissionDenied = 7
    ResourceExhausted = 8
    FailedPrecondition = 9
    Aborted = 10
    OutOfRange = 11
    Unimplemented = 12
    Internal = 13
    Unavailable = 14
    DataLoss = 15
    Unauthenticated = 16

    @staticmethod
    def _nameless(number: int) -> str:
        return f"Code({number})"


STATUS_NAMES: dict[int, StatusName] = {int(name): name for name in StatusName}
"""A code's name, quicker than ``StatusName(code)``."""

StatusOK = StatusName.OK
StatusCanceled = StatusName.Canceled
StatusUnknown = StatusName.Unknown
StatusInvalidArgument = StatusName.InvalidArgument
StatusDeadlineExceeded = StatusName.DeadlineExceeded
StatusNotFound = StatusName.NotFound
StatusAlreadyExists = StatusName.AlreadyExists
StatusPermissionDenied = StatusName.PermissionDenied
StatusResourceExhausted = StatusName.ResourceExhausted
StatusFailedPrecondition = StatusName.FailedPrecondition
StatusAborted = StatusName.Aborted
StatusOutOfRange = StatusName.OutOfRange
StatusUnimplemented = StatusName.Unimplemented
StatusInternal = StatusName.Internal
StatusUnavailable = StatusName.Unavailable
StatusDataLoss = StatusName.DataLoss
StatusUnauthenticated = StatusName.Unauthenticated


class HealthState(NamedInt):
    """grpc.health.v1.HealthCheckResponse.ServingStatus."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3

    @staticmethod
    def _nameless(number: int) -> str:
        return f"Code({number})"


HealthCheckUnknown = HealthState.UNKNOWN
HealthCheckServing = HealthState.SERVING
HealthCheckNotServing = HealthState.NOT_SERVING
HealthCheckServiceUnknown = HealthState.SERVICE_UNKNOWN
HealthCheckServiceUnkown = HealthState.SERVICE_UNKNOWN
"""k6's spelling of HealthCheckServiceUnknown."""
