"""grpcio's module of what plugins of call credentials are called with."""

from __future__ import annotations

from grpc._credentials import _AuthMetadataContext, _AuthMetadataPluginCallback

__all__ = ["_AuthMetadataContext", "_AuthMetadataPluginCallback"]
