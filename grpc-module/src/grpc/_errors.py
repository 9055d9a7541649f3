"""What grpcio raises."""

from __future__ import annotations

__all__ = ["FutureCancelledError", "FutureTimeoutError", "RpcError"]


class FutureTimeoutError(Exception):
    """A method of a `grpc.Future` waited for as long as it was told to."""


class FutureCancelledError(Exception):
    """The computation of a `grpc.Future` was cancelled."""


class RpcError(Exception):
    """A call did not end well. What is raised is a `grpc.Call` as well, with its code and details."""
