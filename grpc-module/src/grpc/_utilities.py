"""Handlers by the names of their methods, and what generated code asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from grpc import _server_interfaces as interfaces
from grpc._client_interfaces import Channel

__all__ = [
    "DictionaryGenericHandler", "channel_ready_future", "first_version_is_lower", "method_handlers_generic_handler",
    "stream_stream_rpc_method_handler", "stream_unary_rpc_method_handler", "unary_stream_rpc_method_handler",
    "unary_unary_rpc_method_handler",
]  # fmt: skip


class _HandlerFields(NamedTuple):
    request_streaming: bool
    response_streaming: bool
    request_deserializer: Callable[[bytes], Any] | None
    response_serializer: Callable[[Any], bytes] | None
    unary_unary: Callable[..., Any] | None
    unary_stream: Callable[..., Any] | None
    stream_unary: Callable[..., Any] | None
    stream_stream: Callable[..., Any] | None


class RpcMethodHandler(_HandlerFields, interfaces.RpcMethodHandler):
    """A handler of a method."""


def unary_unary_rpc_method_handler(
    behavior: Callable[..., Any], request_deserializer: Any = None, response_serializer: Any = None
) -> interfaces.RpcMethodHandler:
    """A handler that takes a request and a context, and gives a response."""
    return RpcMethodHandler(False, False, request_deserializer, response_serializer, behavior, None, None, None)


def unary_stream_rpc_method_handler(
    behavior: Callable[..., Any], request_deserializer: Any = None, response_serializer: Any = None
) -> interfaces.RpcMethodHandler:
    """A handler that takes a request and a context, and gives an iterator of responses."""
    return RpcMethodHandler(False, True, request_deserializer, response_serializer, None, behavior, None, None)


def stream_unary_rpc_method_handler(
    behavior: Callable[..., Any], request_deserializer: Any = None, response_serializer: Any = None
) -> interfaces.RpcMethodHandler:
    """A handler that takes an iterator of requests and a context, and gives a response."""
    return RpcMethodHandler(True, False, request_deserializer, response_serializer, None, None, behavior, None)


def stream_stream_rpc_method_handler(
    behavior: Callable[..., Any], request_deserializer: Any = None, response_serializer: Any = None
) -> interfaces.RpcMethodHandler:
    """A handler that takes an iterator of requests and a context, and gives an iterator of responses."""
    return RpcMethodHandler(True, True, request_deserializer, response_serializer, None, None, None, behavior)


class DictionaryGenericHandler(interfaces.ServiceRpcHandler):
    """The handlers of one service, by the names of its methods."""

    def __init__(self, service: str, method_handlers: Mapping[str, interfaces.RpcMethodHandler]) -> None:
        self._name = service
        self._method_handlers = {f"/{service}/{method}": handler for method, handler in method_handlers.items()}

    def service_name(self) -> str:
        return self._name

    def service(self, handler_call_details: Any) -> Any:
        return self._method_handlers.get(handler_call_details.method)


def method_handlers_generic_handler(
    service: str, method_handlers: Mapping[str, interfaces.RpcMethodHandler]
) -> interfaces.GenericRpcHandler:
    """The handlers of one service, by the names of its methods."""
    return DictionaryGenericHandler(service, method_handlers)


def channel_ready_future(channel: Channel) -> Any:
    """A future that is done when the channel is ready; has it connect."""
    from grpc import _connectivity

    return _connectivity.channel_ready_future(channel)


def first_version_is_lower(version1: str, version2: str) -> bool:
    """Whether ``version1`` is lower, as generated code asks: three numbers count, and then how many parts there are.

    What is no number is not lower.
    """
    first, second = version1.split("."), version2.split(".")
    try:
        one, two = ([int(part) for part in version[:3]] for version in (first, second))
    except ValueError:
        return False
    return one < two or (one == two and len(first) < len(second))
