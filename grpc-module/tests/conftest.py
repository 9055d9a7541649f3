"""A server with a method of each shape, and channels to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import pytest

import grpc

Handlers = dict[str, grpc.RpcMethodHandler]


@pytest.fixture
def serve() -> Iterator[Callable[..., int]]:
    """Serve methods of the service ``a.B``; gives the port."""
    servers: list[grpc.Server] = []

    def start(methods: Handlers, *, address: str = "127.0.0.1:0", credentials: Any = None, **options: Any) -> int:
        server = grpc.server(futures.ThreadPoolExecutor(8), **options)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", methods),))
        port = (
            server.add_insecure_port(address) if credentials is None else server.add_secure_port(address, credentials)
        )
        server.start()
        servers.append(server)
        return int(port)

    yield start
    for server in servers:
        server.stop(0).wait(5)


@pytest.fixture
def connect() -> Iterator[Callable[..., grpc.Channel]]:
    """Open channels to ports of this machine."""
    channels: list[grpc.Channel] = []

    def open_channel(port: int, host: str = "127.0.0.1", **options: Any) -> grpc.Channel:
        channel = grpc.insecure_channel(f"{host}:{port}", **options)
        channels.append(channel)
        return channel

    yield open_channel
    for channel in channels:
        channel.close()


def unary_unary(behavior: Callable[..., Any]) -> Handlers:
    return {"Call": grpc.unary_unary_rpc_method_handler(behavior)}


def unary_stream(behavior: Callable[..., Any]) -> Handlers:
    return {"Call": grpc.unary_stream_rpc_method_handler(behavior)}


def stream_unary(behavior: Callable[..., Any]) -> Handlers:
    return {"Call": grpc.stream_unary_rpc_method_handler(behavior)}


def stream_stream(behavior: Callable[..., Any]) -> Handlers:
    return {"Call": grpc.stream_stream_rpc_method_handler(behavior)}
