"""The constants of k6's gRPC module: status codes and health states, with k6's names.

They are ints (``response.status == 5``) that print as their names (``NotFound``).
"""

from __future__ import annotations

from enum import IntEnum

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


class _Named(IntEnum):
    """An int that prints as its name. A number without a name is a value all the same: ``Code(77)``."""

    @classmethod
    def _missing_(cls, value: object) -> _Named | None:
        if not isinstance(value, int):
            return None
        member = int.__new__(cls, value)
        member._name_ = f"Code({value})"
        member._value_ = value
        return member

    def __str__(self) -> str:
        return self.name

    def __format__(self, spec: str) -> str:
        return format(self.name, spec) if not spec or spec[-1] in "s<>^" else format(int(self), spec)


class StatusName(_Named):
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


class HealthState(_Named):
    """grpc.health.v1.HealthCheckResponse.ServingStatus."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


HealthCheckUnknown = HealthState.UNKNOWN
HealthCheckServing = HealthState.SERVING
HealthCheckNotServing = HealthState.NOT_SERVING
HealthCheckServiceUnknown = HealthState.SERVICE_UNKNOWN
HealthCheckServiceUnkown = HealthState.SERVICE_UNKNOWN
"""k6's spelling of HealthCheckServiceUnknown."""
