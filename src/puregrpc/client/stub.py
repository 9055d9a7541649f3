"""A service as an object, for use with message classes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from puregrpc.client.results.records import Response

if TYPE_CHECKING:
    from puregrpc.client.streams.stream import Stream
    from puregrpc.proto.descriptors import MethodDescriptor, ServiceDescriptor
    from puregrpc.schema import Registry

__all__ = ["Stub"]

InvokeUnary = Callable[[str, Any, "Mapping[str, Any] | None"], Response]
"""Makes a call, given its path, request and params."""


class Stub:
    """One method for each RPC, under its own name (``SayHello``) and in snake_case (``say_hello``).

    A unary method takes a request (a message object, a dict, or its fields as keywords) and call params, and returns
    a `Response` whose message is a message object. The others take params and return a `Stream` of message objects;
    a server-streaming method takes its request too. ``stub.message("pkg.Type")`` gives the class of a message type.
    """

    def __init__(
        self, registry: Registry, service: ServiceDescriptor, *, unary: InvokeUnary, stream: Callable[..., Stream]
    ) -> None:
        self._registry = registry
        self._service = service
        for method in service.methods:
            is_unary = not (method.is_client_stream or method.is_server_stream)
            bound = unary_method(method, unary) if is_unary else stream_method(method, stream)
            bound.__name__ = method.name
            bound.__doc__ = f"{method.full_name}({method.input_type.full_name}) -> {method.output_type.full_name}"
            setattr(self, method.name, bound)
            setattr(self, snake_case(method.name), bound)

    def message(self, full_name: str) -> type[Any]:
        """The class of a message type of the schema, such as ``stub.message("hello.HelloRequest")``."""
        return self._registry.message_class(self._registry.message(full_name))

    def __repr__(self) -> str:
        return f"<Stub of {self._service.full_name}: {', '.join(m.name for m in self._service.methods)}>"

    def __getattr__(self, name: str) -> Callable[..., Any]:
        known = ", ".join(method.name for method in self._service.methods)
        raise AttributeError(f"{self._service.full_name} has the methods {known}, but no {name!r}")


def unary_method(method: MethodDescriptor, invoke: InvokeUnary) -> Callable[..., Any]:
    path = method.path

    def call(request: Any = None, params: Mapping[str, Any] | None = None, **fields: Any) -> Response:
        return invoke(path, fields if request is None else request, params)

    return call


def stream_method(method: MethodDescriptor, open_stream: Callable[..., Stream]) -> Callable[..., Any]:
    path = method.path
    if method.is_client_stream:
        return lambda params=None: open_stream(path, params)

    def call(request: Any = None, params: Mapping[str, Any] | None = None, **fields: Any) -> Stream:
        stream = open_stream(path, params)
        stream.write(fields if request is None else request)
        return stream

    return call


def snake_case(name: str) -> str:
    """``SayHello`` -> ``say_hello``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
