"""A service as an object, for use with message classes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from puregrpc.client.records import Response

if TYPE_CHECKING:
    from puregrpc.client.client import Client
    from puregrpc.client.stream import Stream
    from puregrpc.proto.descriptors import MethodDescriptor, ServiceDescriptor

__all__ = ["Stub"]


class Stub:
    """One method for each RPC, under its own name (``SayHello``) and in snake_case (``say_hello``).

    A unary method takes a request (a message object, a dict, or its fields as keywords) and call params, and returns
    a `Response` whose message is a message object. The others take params and return a `Stream` of message objects;
    a server-streaming method takes its request too. ``stub.message("pkg.Type")`` gives the class of a message type.
    """

    def __init__(self, client: Client, service: ServiceDescriptor) -> None:
        self._client = client
        self._service = service
        for method in service.methods:
            bound = self._unary(method) if not (method.is_client_stream or method.is_server_stream) else None
            bound = bound or self._stream(method)
            bound.__name__ = method.name
            bound.__doc__ = f"{method.full_name}({method.input_type.full_name}) -> {method.output_type.full_name}"
            setattr(self, method.name, bound)
            setattr(self, snake_case(method.name), bound)

    def message(self, full_name: str) -> type[Any]:
        """The class of a message type of the schema, such as ``stub.message("hello.HelloRequest")``."""
        registry = self._client.core.registry
        return registry.message_class(registry.message(full_name))

    def __repr__(self) -> str:
        return f"<Stub of {self._service.full_name}: {', '.join(m.name for m in self._service.methods)}>"

    def __getattr__(self, name: str) -> Callable[..., Any]:
        known = ", ".join(method.name for method in self._service.methods)
        raise AttributeError(f"{self._service.full_name} has the methods {known}, but no {name!r}")

    def _unary(self, method: MethodDescriptor) -> Callable[..., Any]:
        client, path = self._client, method.path

        def call(request: Any = None, params: Mapping[str, Any] | None = None, **fields: Any) -> Response:
            value = fields if request is None else request
            return client.complete(client.core.prepare(path, value, params, {}, as_message=True))

        return call

    def _stream(self, method: MethodDescriptor) -> Callable[..., Any]:
        from puregrpc.client.stream import Stream

        client, path = self._client, method.path
        if method.is_client_stream:
            return lambda params=None: Stream(client, path, params, as_message=True)

        def call(request: Any = None, params: Mapping[str, Any] | None = None, **fields: Any) -> Stream:
            stream = Stream(client, path, params, as_message=True)
            stream.write(fields if request is None else request)
            return stream

        return call


def snake_case(name: str) -> str:
    """``SayHello`` -> ``say_hello``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
