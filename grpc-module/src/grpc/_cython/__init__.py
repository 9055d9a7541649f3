"""Kept under the name that grpcio has for its native core."""

from __future__ import annotations

from grpc._cython import cygrpc as cygrpc

__all__ = ["cygrpc"]
