"""gRPC's Python API, as grpcio has it, over puregrpc.

The interface is that of grpcio 1.85 (https://grpc.github.io/grpc/python/). What is specific to grpcio's native core is
not here: xDS and ALTS raise NotImplementedError, and channel options that puregrpc has nothing for are ignored.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Sequence
from typing import Any

from grpc import _mixture
from grpc._client_interfaces import AuthMetadataContext as AuthMetadataContext
from grpc._client_interfaces import AuthMetadataPlugin as AuthMetadataPlugin
from grpc._client_interfaces import AuthMetadataPluginCallback as AuthMetadataPluginCallback
from grpc._client_interfaces import Call as Call
from grpc._client_interfaces import Channel as Channel
from grpc._client_interfaces import ClientCallDetails as ClientCallDetails
from grpc._client_interfaces import Future as Future
from grpc._client_interfaces import RpcContext as RpcContext
from grpc._client_interfaces import StreamStreamClientInterceptor as StreamStreamClientInterceptor
from grpc._client_interfaces import StreamStreamMultiCallable as StreamStreamMultiCallable
from grpc._client_interfaces import StreamUnaryClientInterceptor as StreamUnaryClientInterceptor
from grpc._client_interfaces import StreamUnaryMultiCallable as StreamUnaryMultiCallable
from grpc._client_interfaces import UnaryStreamClientInterceptor as UnaryStreamClientInterceptor
from grpc._client_interfaces import UnaryStreamMultiCallable as UnaryStreamMultiCallable
from grpc._client_interfaces import UnaryUnaryClientInterceptor as UnaryUnaryClientInterceptor
from grpc._client_interfaces import UnaryUnaryMultiCallable as UnaryUnaryMultiCallable
from grpc._codes import ChannelConnectivity as ChannelConnectivity
from grpc._codes import Compression as Compression
from grpc._codes import LocalConnectionType as LocalConnectionType
from grpc._codes import StatusCode as StatusCode
from grpc._credentials import CallCredentials as CallCredentials
from grpc._credentials import ChannelCredentials as ChannelCredentials
from grpc._credentials import ServerCertificateConfiguration as ServerCertificateConfiguration
from grpc._credentials import ServerCredentials as ServerCredentials
from grpc._credentials import access_token_call_credentials as access_token_call_credentials
from grpc._credentials import alts_channel_credentials as alts_channel_credentials
from grpc._credentials import alts_server_credentials as alts_server_credentials
from grpc._credentials import composite_call_credentials as composite_call_credentials
from grpc._credentials import composite_channel_credentials as composite_channel_credentials
from grpc._credentials import compute_engine_channel_credentials as compute_engine_channel_credentials
from grpc._credentials import dynamic_ssl_server_credentials as dynamic_ssl_server_credentials
from grpc._credentials import insecure_server_credentials as insecure_server_credentials
from grpc._credentials import local_channel_credentials as local_channel_credentials
from grpc._credentials import local_server_credentials as local_server_credentials
from grpc._credentials import metadata_call_credentials as metadata_call_credentials
from grpc._credentials import ssl_channel_credentials as ssl_channel_credentials
from grpc._credentials import ssl_server_certificate_configuration as ssl_server_certificate_configuration
from grpc._credentials import ssl_server_credentials as ssl_server_credentials
from grpc._credentials import xds_channel_credentials as xds_channel_credentials
from grpc._credentials import xds_server_credentials as xds_server_credentials
from grpc._errors import FutureCancelledError as FutureCancelledError
from grpc._errors import FutureTimeoutError as FutureTimeoutError
from grpc._errors import RpcError as RpcError
from grpc._runtime_protos import protos as protos
from grpc._runtime_protos import protos_and_services as protos_and_services
from grpc._runtime_protos import services as services
from grpc._server_interfaces import GenericRpcHandler as GenericRpcHandler
from grpc._server_interfaces import HandlerCallDetails as HandlerCallDetails
from grpc._server_interfaces import RpcMethodHandler as RpcMethodHandler
from grpc._server_interfaces import Server as Server
from grpc._server_interfaces import ServerInterceptor as ServerInterceptor
from grpc._server_interfaces import ServicerContext as ServicerContext
from grpc._server_interfaces import ServiceRpcHandler as ServiceRpcHandler
from grpc._server_interfaces import Status as Status
from grpc._utilities import channel_ready_future as channel_ready_future
from grpc._utilities import method_handlers_generic_handler as method_handlers_generic_handler
from grpc._utilities import stream_stream_rpc_method_handler as stream_stream_rpc_method_handler
from grpc._utilities import stream_unary_rpc_method_handler as stream_unary_rpc_method_handler
from grpc._utilities import unary_stream_rpc_method_handler as unary_stream_rpc_method_handler
from grpc._utilities import unary_unary_rpc_method_handler as unary_unary_rpc_method_handler
from grpc._version import __version__ as __version__

_mixture.check(__path__)
logging.getLogger("grpc").addHandler(logging.NullHandler())


def insecure_channel(target: str, options: Any = None, compression: Any = None) -> Channel:
    """A channel in plaintext. ``options`` are pairs of names and values."""
    from grpc import _channel

    return _channel.Channel(target, options or (), None, compression)


def secure_channel(
    target: str, credentials: ChannelCredentials, options: Any = None, compression: Any = None
) -> Channel:
    """A channel with credentials. ``options`` are pairs of names and values."""
    from grpc import _channel

    if credentials is None:
        raise AttributeError("credentials is ChannelCredentials, not None: see insecure_channel")
    return _channel.Channel(target, options or (), credentials, compression)


def intercept_channel(channel: Channel, *interceptors: Any) -> Channel:
    """A channel with interceptors around its calls, the first outermost. Raises TypeError for what is none."""
    from grpc import _interceptor

    return _interceptor.intercept_channel(channel, *interceptors)


def server(
    thread_pool: Any,
    handlers: Sequence[GenericRpcHandler] | None = None,
    interceptors: Sequence[Any] | None = None,
    options: Any = None,
    maximum_concurrent_rpcs: int | None = None,
    compression: Any = None,
    xds: bool = False,
) -> Server:
    """A server whose handlers run on ``thread_pool``. Calls beyond ``maximum_concurrent_rpcs`` end with
    RESOURCE_EXHAUSTED when they arrive. Raises NotImplementedError for ``xds``."""
    from grpc import _server

    if xds:
        raise NotImplementedError("xDS is not part of puregrpc-grpc: there is no xDS client")
    return _server.create_server(
        thread_pool, handlers or (), interceptors or (), options or (), maximum_concurrent_rpcs, compression
    )


__all__ = [
    "AuthMetadataContext", "AuthMetadataPlugin", "AuthMetadataPluginCallback", "Call", "CallCredentials", "Channel",
    "ChannelConnectivity", "ChannelCredentials", "ClientCallDetails", "Compression", "Future", "FutureCancelledError",
    "FutureTimeoutError", "GenericRpcHandler", "HandlerCallDetails", "LocalConnectionType", "RpcContext", "RpcError",
    "RpcMethodHandler", "Server", "ServerCertificateConfiguration", "ServerCredentials", "ServerInterceptor",
    "ServiceRpcHandler", "ServicerContext", "Status", "StatusCode", "StreamStreamClientInterceptor",
    "StreamStreamMultiCallable", "StreamUnaryClientInterceptor", "StreamUnaryMultiCallable",
    "UnaryStreamClientInterceptor", "UnaryStreamMultiCallable", "UnaryUnaryClientInterceptor",
    "UnaryUnaryMultiCallable", "access_token_call_credentials", "alts_channel_credentials", "alts_server_credentials",
    "channel_ready_future", "composite_call_credentials", "composite_channel_credentials",
    "compute_engine_channel_credentials", "dynamic_ssl_server_credentials", "insecure_channel",
    "insecure_server_credentials", "intercept_channel", "local_channel_credentials", "local_server_credentials",
    "metadata_call_credentials", "method_handlers_generic_handler", "protos", "protos_and_services", "secure_channel",
    "server", "services", "ssl_channel_credentials", "ssl_server_certificate_configuration", "ssl_server_credentials",
    "stream_stream_rpc_method_handler", "stream_unary_rpc_method_handler", "unary_stream_rpc_method_handler",
    "unary_unary_rpc_method_handler", "xds_channel_credentials", "xds_server_credentials",
]  # fmt: skip

for _name in __all__:
    if isinstance(_kind := globals()[_name], type):
        _kind.__module__ = "grpc"  # as tracebacks and logs write it
del _kind, _name

_ON_DEMAND = frozenset(
    (
        "aio", "experimental", "beta", "framework", "_auth", "_channel", "_common", "_compression", "_cython",
        "_grpcio_metadata", "_interceptor", "_plugin_wrapping", "_server", "_simple_stubs", "_typing", "_utilities",
    )
)  # fmt: skip
"""Modules of the package that are there without being imported, and load when they are used."""


def __getattr__(name: str) -> Any:
    if name in _ON_DEMAND:
        try:
            return importlib.import_module(f"grpc.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"grpc.{name}":
                raise
    raise AttributeError(f"module 'grpc' has no attribute {name!r}")
