"""grpcio's API for asyncio, over puregrpc."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from grpc._aio_errors import EOF as EOF
from grpc._aio_errors import AbortError as AbortError
from grpc._aio_errors import BaseError as BaseError
from grpc._aio_errors import InternalError as InternalError
from grpc._aio_errors import UsageError as UsageError
from grpc._aio_errors import init_grpc_aio as init_grpc_aio
from grpc._aio_errors import shutdown_grpc_aio as shutdown_grpc_aio
from grpc.aio._base_call import Call as Call
from grpc.aio._base_call import RpcContext as RpcContext
from grpc.aio._base_call import StreamStreamCall as StreamStreamCall
from grpc.aio._base_call import StreamUnaryCall as StreamUnaryCall
from grpc.aio._base_call import UnaryStreamCall as UnaryStreamCall
from grpc.aio._base_call import UnaryUnaryCall as UnaryUnaryCall
from grpc.aio._base_channel import Channel as Channel
from grpc.aio._base_channel import StreamStreamMultiCallable as StreamStreamMultiCallable
from grpc.aio._base_channel import StreamUnaryMultiCallable as StreamUnaryMultiCallable
from grpc.aio._base_channel import UnaryStreamMultiCallable as UnaryStreamMultiCallable
from grpc.aio._base_channel import UnaryUnaryMultiCallable as UnaryUnaryMultiCallable
from grpc.aio._base_server import Server as Server
from grpc.aio._base_server import ServicerContext as ServicerContext
from grpc.aio._call import AioRpcError as AioRpcError
from grpc.aio._interceptor import ClientCallDetails as ClientCallDetails
from grpc.aio._interceptor import ClientInterceptor as ClientInterceptor
from grpc.aio._interceptor import InterceptedUnaryUnaryCall as InterceptedUnaryUnaryCall
from grpc.aio._interceptor import ServerInterceptor as ServerInterceptor
from grpc.aio._interceptor import StreamStreamClientInterceptor as StreamStreamClientInterceptor
from grpc.aio._interceptor import StreamUnaryClientInterceptor as StreamUnaryClientInterceptor
from grpc.aio._interceptor import UnaryStreamClientInterceptor as UnaryStreamClientInterceptor
from grpc.aio._interceptor import UnaryUnaryClientInterceptor as UnaryUnaryClientInterceptor
from grpc.aio._metadata import Metadata as Metadata
from grpc.aio._typing import ChannelArgumentType as ChannelArgumentType


def insecure_channel(
    target: str, options: Any = None, compression: Any = None, interceptors: Sequence[Any] | None = None
) -> Channel:
    """A channel in plaintext. ``options`` are pairs of names and values."""
    from grpc.aio import _channel

    return _channel.Channel(target, options, None, compression, interceptors)


def secure_channel(
    target: str,
    credentials: Any,
    options: Any = None,
    compression: Any = None,
    interceptors: Sequence[Any] | None = None,
) -> Channel:
    """A channel with credentials. ``options`` are pairs of names and values."""
    from grpc.aio import _channel

    if credentials is None:
        raise AttributeError("credentials is ChannelCredentials, not None: see insecure_channel")
    return _channel.Channel(target, options, credentials, compression, interceptors)


def server(
    migration_thread_pool: Any = None,
    handlers: Sequence[Any] | None = None,
    interceptors: Sequence[Any] | None = None,
    options: Any = None,
    maximum_concurrent_rpcs: int | None = None,
    compression: Any = None,
) -> Server:
    """A server. Plain handlers run on ``migration_thread_pool``, or else on threads of the server's own."""
    from grpc.aio import _server

    return _server.Server(migration_thread_pool, handlers, interceptors, options, maximum_concurrent_rpcs, compression)


def __getattr__(name: str) -> Any:
    if name in ("_channel", "_server"):
        return importlib.import_module(f"grpc.aio.{name}")
    raise AttributeError(f"module 'grpc.aio' has no attribute {name!r}")


__all__ = [
    "EOF", "AbortError", "AioRpcError", "BaseError", "Call", "Channel", "ClientCallDetails",
    "ClientInterceptor", "InterceptedUnaryUnaryCall", "InternalError", "Metadata", "RpcContext", "Server",
    "ServerInterceptor", "ServicerContext", "StreamStreamCall", "StreamStreamClientInterceptor",
    "StreamStreamMultiCallable", "StreamUnaryCall", "StreamUnaryClientInterceptor", "StreamUnaryMultiCallable",
    "UnaryStreamCall", "UnaryStreamClientInterceptor", "UnaryStreamMultiCallable", "UnaryUnaryCall",
    "UnaryUnaryClientInterceptor", "UnaryUnaryMultiCallable", "UsageError", "init_grpc_aio", "insecure_channel",
    "secure_channel", "server", "shutdown_grpc_aio",
]  # fmt: skip
