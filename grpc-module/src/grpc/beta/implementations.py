"""Channels, stubs, credentials and servers of the old interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import grpc
from grpc import _auth
from grpc.beta import interfaces
from grpc.beta._client import DynamicStub, GenericStub
from grpc.beta._metadata import unbeta
from grpc.beta._server import make_server
from grpc.framework.common.cardinality import Cardinality

__all__ = [
    "CallCredentials", "Channel", "ChannelCredentials", "ServerCredentials", "ServerOptions", "StubOptions",
    "access_token_call_credentials", "composite_call_credentials", "composite_channel_credentials", "dynamic_stub",
    "generic_stub", "google_call_credentials", "insecure_channel", "metadata_call_credentials", "secure_channel",
    "server", "server_options", "ssl_channel_credentials", "ssl_server_credentials", "stub_options",
]  # fmt: skip

ChannelCredentials = grpc.ChannelCredentials
CallCredentials = grpc.CallCredentials
ServerCredentials = grpc.ServerCredentials
ssl_channel_credentials = grpc.ssl_channel_credentials
ssl_server_credentials = grpc.ssl_server_credentials
access_token_call_credentials = grpc.access_token_call_credentials
composite_call_credentials = grpc.composite_call_credentials
composite_channel_credentials = grpc.composite_channel_credentials


def metadata_call_credentials(metadata_plugin: Any, name: str | None = None) -> grpc.CallCredentials:
    """Credentials of a plugin that gives metadata of the old interface."""

    def plugin(context: Any, callback: Callable[..., Any]) -> None:
        metadata_plugin(context, lambda metadata, error: callback(unbeta(metadata), error))

    return grpc.metadata_call_credentials(plugin, name=name)  # type: ignore[arg-type]


def google_call_credentials(credentials: Any) -> grpc.CallCredentials:
    """Credentials of oauth2client's GoogleCredentials."""
    return metadata_call_credentials(_auth.GoogleCallCredentials(credentials))


class Channel:
    """A channel, for stubs."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def subscribe(self, callback: Callable[[Any], Any], try_to_connect: bool = False) -> None:
        """Have a function called with the connectivity, at once and whenever it changes."""
        self._channel.subscribe(callback, try_to_connect=try_to_connect)

    def unsubscribe(self, callback: Callable[[Any], Any]) -> None:
        """Have it called no more."""
        self._channel.unsubscribe(callback)


def insecure_channel(host: str, port: int | None) -> Channel:
    """A channel in plaintext; ``host`` alone is a whole target if ``port`` is None."""
    return Channel(grpc.insecure_channel(host if port is None else f"{host}:{port}"))


def secure_channel(host: str, port: int | None, channel_credentials: grpc.ChannelCredentials) -> Channel:
    """A channel with credentials."""
    return Channel(grpc.secure_channel(host if port is None else f"{host}:{port}", channel_credentials))


class StubOptions(NamedTuple):
    """What a stub goes by: `stub_options` makes it. ``host`` and the pools of threads are not used, as in grpcio."""

    host: str | None
    request_serializers: Any
    response_deserializers: Any
    metadata_transformer: Any
    thread_pool: Any
    thread_pool_size: int | None


def stub_options(
    host: str | None = None,
    request_serializers: Any = None,
    response_deserializers: Any = None,
    metadata_transformer: Any = None,
    thread_pool: Any = None,
    thread_pool_size: int | None = None,
) -> StubOptions:
    """Options of a stub. (De)serializers are found by the names of the service and the method."""
    return StubOptions(
        host, request_serializers, response_deserializers, metadata_transformer, thread_pool, thread_pool_size
    )


def generic_stub(channel: Channel, options: StubOptions | None = None) -> GenericStub:
    """A stub for any methods."""
    chosen = options or stub_options()
    return GenericStub(
        channel._channel, chosen.metadata_transformer, chosen.request_serializers, chosen.response_deserializers
    )


def dynamic_stub(
    channel: Channel, service: str, cardinalities: dict[str, Cardinality], options: StubOptions | None = None
) -> DynamicStub:
    """A stub with the methods of a service as attributes."""
    return DynamicStub(generic_stub(channel, options), service, cardinalities)


class ServerOptions(NamedTuple):
    """What a server goes by: `server_options` makes it. Of these, grpcio heeds (de)serializers and pools alone."""

    multi_method_implementation: Any
    request_deserializers: Any
    response_serializers: Any
    thread_pool: Any
    thread_pool_size: int | None
    default_timeout: float | None
    maximum_timeout: float | None


def server_options(
    multi_method_implementation: Any = None,
    request_deserializers: Any = None,
    response_serializers: Any = None,
    thread_pool: Any = None,
    thread_pool_size: int | None = None,
    default_timeout: float | None = None,
    maximum_timeout: float | None = None,
) -> ServerOptions:
    """Options of a server."""
    return ServerOptions(
        multi_method_implementation,
        request_deserializers,
        response_serializers,
        thread_pool,
        thread_pool_size,
        default_timeout,
        maximum_timeout,
    )


def server(service_implementations: Any, options: ServerOptions | None = None) -> interfaces.Server:
    """A server of methods (`grpc.framework.interfaces.face.utilities` makes them), by service and name."""
    chosen = options or server_options()
    return make_server(
        service_implementations,
        chosen.request_deserializers,
        chosen.response_serializers,
        chosen.thread_pool,
        chosen.thread_pool_size,
    )
