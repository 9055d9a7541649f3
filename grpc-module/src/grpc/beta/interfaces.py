"""Names and interfaces of the old interface."""

from __future__ import annotations

import abc
import threading
from typing import Any

import grpc

__all__ = [
    "ChannelConnectivity", "GRPCAuthMetadataContext", "GRPCAuthMetadataPlugin", "GRPCAuthMetadataPluginCallback",
    "GRPCCallOptions", "GRPCInvocationContext", "GRPCServicerContext", "Server", "StatusCode", "grpc_call_options",
]  # fmt: skip

ChannelConnectivity: Any = grpc.ChannelConnectivity
ChannelConnectivity.FATAL_FAILURE = ChannelConnectivity.SHUTDOWN
StatusCode = grpc.StatusCode
GRPCAuthMetadataContext = grpc.AuthMetadataContext
GRPCAuthMetadataPluginCallback = grpc.AuthMetadataPluginCallback
GRPCAuthMetadataPlugin = grpc.AuthMetadataPlugin


class GRPCCallOptions:
    """What a call is to go by beyond its metadata: `grpc_call_options` makes it."""

    def __init__(self, disable_compression: bool, subcall_of: Any, credentials: grpc.CallCredentials | None) -> None:
        self.disable_compression = disable_compression
        self.subcall_of = subcall_of
        self.credentials = credentials


def grpc_call_options(
    disable_compression: bool = False, credentials: grpc.CallCredentials | None = None
) -> GRPCCallOptions:
    """Options of one call."""
    return GRPCCallOptions(disable_compression, None, credentials)


class GRPCServicerContext(abc.ABC):
    """What of a call is gRPC's own, for its handler."""

    @abc.abstractmethod
    def peer(self) -> str:
        """Who called."""

    @abc.abstractmethod
    def disable_next_response_compression(self) -> None:
        """Do not compress the next response."""


class GRPCInvocationContext(abc.ABC):
    """What of a call is gRPC's own, for its client."""

    @abc.abstractmethod
    def disable_next_request_compression(self) -> None:
        """Do not compress the next request."""


class Server(abc.ABC):
    """A server."""

    @abc.abstractmethod
    def add_insecure_port(self, address: str) -> int:
        """Take an address in plaintext; gives its port."""

    @abc.abstractmethod
    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> int:
        """Take an address with credentials; gives its port."""

    @abc.abstractmethod
    def start(self) -> None:
        """Serve."""

    @abc.abstractmethod
    def stop(self, grace: float | None) -> threading.Event:
        """Serve no new calls, and end those that go on after ``grace`` seconds. The event is set when all is over."""
