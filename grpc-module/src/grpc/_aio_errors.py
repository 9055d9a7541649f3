"""The exceptions of `grpc.aio`, and what marks the end of a stream."""

from __future__ import annotations

__all__ = ["EOF", "AbortError", "BaseError", "InternalError", "UsageError", "init_grpc_aio", "shutdown_grpc_aio"]


class BaseError(Exception):
    """What `grpc.aio` raises besides statuses."""


class UsageError(BaseError):
    """A call was used in a way that its kind does not allow."""


class InternalError(BaseError):
    """`grpc.aio` itself failed."""


class AbortError(BaseError):
    """What `grpc.aio.ServicerContext.abort` raises."""


for _kind in (AbortError, BaseError, InternalError, UsageError):
    _kind.__module__ = "grpc._cython.cygrpc"  # as statuses, tracebacks and logs write it


class _EOF:
    """Marks the end of a stream of messages."""

    def __bool__(self) -> bool:
        return False

    def __len__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "<grpc.aio.EOF>"


EOF = _EOF()


def init_grpc_aio() -> None:
    """Nothing need be prepared."""


def shutdown_grpc_aio() -> None:
    """Nothing need be undone."""
