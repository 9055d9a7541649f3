"""The interfaces of the server, as grpcio has them: handlers, contexts, interceptors, the server itself."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, NoReturn

from grpc._client_interfaces import RpcContext

__all__ = [
    "GenericRpcHandler", "HandlerCallDetails", "RpcMethodHandler", "Server", "ServerInterceptor", "ServiceRpcHandler",
    "ServicerContext", "Status",
]  # fmt: skip


class Status(abc.ABC):
    """How a call is to end, for `ServicerContext.abort_with_status`: code, details, trailing_metadata."""


class ServicerContext(RpcContext, metaclass=abc.ABCMeta):
    """A call as its handler sees it."""

    @abc.abstractmethod
    def invocation_metadata(self) -> Any:
        """The client's metadata."""
        raise NotImplementedError

    @abc.abstractmethod
    def peer(self) -> Any:
        """The client's address."""
        raise NotImplementedError

    @abc.abstractmethod
    def peer_identities(self) -> Any:
        """The names in the client's certificate, as bytes; None if it did not show one."""
        raise NotImplementedError

    @abc.abstractmethod
    def peer_identity_key(self) -> Any:
        """The key of `auth_context` that has them; None if there is none."""
        raise NotImplementedError

    @abc.abstractmethod
    def auth_context(self) -> Mapping[str, Any]:
        """What the connection proves: names and lists of bytes."""
        raise NotImplementedError

    def set_compression(self, compression: Any) -> None:
        """Compress the responses so; before the first of them."""
        raise NotImplementedError

    @abc.abstractmethod
    def send_initial_metadata(self, initial_metadata: Any) -> Any:
        """Send the initial metadata now."""
        raise NotImplementedError

    @abc.abstractmethod
    def set_trailing_metadata(self, trailing_metadata: Any) -> Any:
        """The metadata that the call ends with."""
        raise NotImplementedError

    def trailing_metadata(self) -> Any:
        """What was set."""
        raise NotImplementedError

    @abc.abstractmethod
    def abort(self, code: Any, details: str) -> NoReturn:
        """End the call with a status other than OK: raises what does it."""
        raise NotImplementedError

    @abc.abstractmethod
    def abort_with_status(self, status: Any) -> NoReturn:
        """End the call with a `Status`: raises what does it."""
        raise NotImplementedError

    @abc.abstractmethod
    def set_code(self, code: Any) -> Any:
        """The `StatusCode` that the call ends with."""
        raise NotImplementedError

    @abc.abstractmethod
    def set_details(self, details: str) -> Any:
        """The message of the status that the call ends with."""
        raise NotImplementedError

    def code(self) -> Any:
        """What was set."""
        raise NotImplementedError

    def details(self) -> Any:
        """What was set."""
        raise NotImplementedError

    def disable_next_message_compression(self) -> None:
        """Send the next response as it is."""
        raise NotImplementedError


class RpcMethodHandler(abc.ABC):
    """A handler: request_streaming, response_streaming, request_deserializer, response_serializer, and that of
    unary_unary, unary_stream, stream_unary, stream_stream which fits them."""


class HandlerCallDetails(abc.ABC):
    """A call that has come, for who looks for its handler: method, invocation_metadata."""


class GenericRpcHandler(abc.ABC):
    """Knows handlers for calls."""

    @abc.abstractmethod
    def service(self, handler_call_details: Any) -> Any:
        """The `RpcMethodHandler` for a call; None if it has none for it."""
        raise NotImplementedError


class ServiceRpcHandler(GenericRpcHandler, metaclass=abc.ABCMeta):
    """Knows the handlers of one service."""

    @abc.abstractmethod
    def service_name(self) -> Any:
        """The service's full name."""
        raise NotImplementedError


class ServerInterceptor(abc.ABC):
    """Around the choice of a handler for each call."""

    @abc.abstractmethod
    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """``continuation(handler_call_details)`` gives the handler, or None; so does this."""
        raise NotImplementedError


class Server(abc.ABC):
    """Serves calls."""

    @abc.abstractmethod
    def add_generic_rpc_handlers(self, generic_rpc_handlers: Any) -> Any:
        """Serve what these know handlers for. Before it starts."""
        raise NotImplementedError

    def add_registered_method_handlers(self, service_name: str, method_handlers: Any) -> Any:
        """Serve these methods, handlers by name, of a service. Before it starts."""

    @abc.abstractmethod
    def add_insecure_port(self, address: str) -> Any:
        """Listen there, in plaintext; gives the port. Before it starts."""
        raise NotImplementedError

    @abc.abstractmethod
    def add_secure_port(self, address: str, server_credentials: Any) -> Any:
        """Listen there, with TLS; gives the port. Before it starts."""
        raise NotImplementedError

    @abc.abstractmethod
    def start(self) -> Any:
        """Begin to serve, once."""
        raise NotImplementedError

    @abc.abstractmethod
    def stop(self, grace: float | None) -> Any:
        """Take no more calls, give those there are so many seconds (None: no time), and end what is left.

        Gives a threading.Event that is set when all is over.
        """
        raise NotImplementedError

    def wait_for_termination(self, timeout: float | None = None) -> Any:
        """Wait until it has stopped; True if that was not so within ``timeout`` seconds."""
        raise NotImplementedError
