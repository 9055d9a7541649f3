"""The interfaces of the client, as grpcio has them: futures, calls, channels, interceptors, plugins."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

__all__ = [
    "AuthMetadataContext", "AuthMetadataPlugin", "AuthMetadataPluginCallback", "Call", "Channel", "ClientCallDetails",
    "Future", "RpcContext", "StreamStreamClientInterceptor", "StreamStreamMultiCallable",
    "StreamUnaryClientInterceptor", "StreamUnaryMultiCallable", "UnaryStreamClientInterceptor",
    "UnaryStreamMultiCallable", "UnaryUnaryClientInterceptor", "UnaryUnaryMultiCallable",
]  # fmt: skip


class Future(abc.ABC):
    """A computation in another thread of control."""

    @abc.abstractmethod
    def cancel(self) -> Any:
        """Try to cancel it; True if it was cancelled."""
        raise NotImplementedError

    @abc.abstractmethod
    def cancelled(self) -> Any:
        """Whether it was cancelled, before it was over."""
        raise NotImplementedError

    @abc.abstractmethod
    def running(self) -> Any:
        """Whether it goes on."""
        raise NotImplementedError

    @abc.abstractmethod
    def done(self) -> Any:
        """Whether it is over, cancelled too."""
        raise NotImplementedError

    @abc.abstractmethod
    def result(self, timeout: float | None = None) -> Any:
        """Wait for its result, so many seconds; raises what it raised.

        Raises FutureTimeoutError when the time is over, FutureCancelledError if it was cancelled.
        """
        raise NotImplementedError

    @abc.abstractmethod
    def exception(self, timeout: float | None = None) -> Any:
        """Wait for what it raised; None if it ended well. Raises as `result`."""
        raise NotImplementedError

    @abc.abstractmethod
    def traceback(self, timeout: float | None = None) -> Any:
        """Wait for the traceback of what it raised; None if it ended well. Raises as `result`."""
        raise NotImplementedError

    @abc.abstractmethod
    def add_done_callback(self, fn: Callable[[Any], Any]) -> Any:
        """Have ``fn(future)`` called when it is over; at once if it is."""
        raise NotImplementedError


class RpcContext(abc.ABC):
    """What both ends know of a call."""

    @abc.abstractmethod
    def is_active(self) -> Any:
        """Whether the call goes on."""
        raise NotImplementedError

    @abc.abstractmethod
    def time_remaining(self) -> Any:
        """Seconds until the deadline; None if there is none."""
        raise NotImplementedError

    @abc.abstractmethod
    def cancel(self) -> Any:
        """End the call. Idempotent."""
        raise NotImplementedError

    @abc.abstractmethod
    def add_callback(self, callback: Callable[[], Any]) -> Any:
        """Have ``callback()`` called when the call is over; False, and it will not be called, if it is."""
        raise NotImplementedError


class Call(RpcContext, metaclass=abc.ABCMeta):
    """A call as the client sees it."""

    @abc.abstractmethod
    def initial_metadata(self) -> Any:
        """Wait for the initial metadata."""
        raise NotImplementedError

    @abc.abstractmethod
    def trailing_metadata(self) -> Any:
        """Wait for the trailing metadata."""
        raise NotImplementedError

    @abc.abstractmethod
    def code(self) -> Any:
        """Wait for the `StatusCode` that the call ends with."""
        raise NotImplementedError

    @abc.abstractmethod
    def details(self) -> Any:
        """Wait for the message of the status that the call ends with."""
        raise NotImplementedError


class ClientCallDetails(abc.ABC):
    """A call that is about to be made, for interceptors: method, timeout, metadata, credentials, wait_for_ready,
    compression."""


class UnaryUnaryClientInterceptor(abc.ABC):
    """Around calls with one request and one response."""

    @abc.abstractmethod
    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """``continuation(client_call_details, request)`` makes the call, and gives a Call that is a Future. What is
        returned must be both, too."""
        raise NotImplementedError


class UnaryStreamClientInterceptor(abc.ABC):
    """Around calls with one request and many responses."""

    @abc.abstractmethod
    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """``continuation(client_call_details, request)`` makes the call, and gives a Call that is an iterator."""
        raise NotImplementedError


class StreamUnaryClientInterceptor(abc.ABC):
    """Around calls with many requests and one response."""

    @abc.abstractmethod
    def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        """As `UnaryUnaryClientInterceptor.intercept_unary_unary`, with an iterator of requests."""
        raise NotImplementedError


class StreamStreamClientInterceptor(abc.ABC):
    """Around calls with many requests and many responses."""

    @abc.abstractmethod
    def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        """As `UnaryStreamClientInterceptor.intercept_unary_stream`, with an iterator of requests."""
        raise NotImplementedError


class AuthMetadataContext(abc.ABC):
    """A call that credentials are asked for: service_url, method_name."""


class AuthMetadataPluginCallback(abc.ABC):
    """What a plugin gives its metadata to."""

    def __call__(self, metadata: Any, error: Any) -> Any:
        """``metadata`` of the call, or what is wrong as an exception, and None for the other."""
        raise NotImplementedError


class AuthMetadataPlugin(abc.ABC):
    """Gives metadata that proves who calls."""

    def __call__(self, context: Any, callback: Any) -> Any:
        """Asked before each call; ``callback`` takes what it gives, now or later."""
        raise NotImplementedError


class UnaryUnaryMultiCallable(abc.ABC):
    """A method with one request and one response."""

    @abc.abstractmethod
    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        """Make the call; gives its response. ``timeout`` is in seconds. Raises RpcError."""
        raise NotImplementedError

    @abc.abstractmethod
    def with_call(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        """As calling it; gives the response and the `Call`."""
        raise NotImplementedError

    @abc.abstractmethod
    def future(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        """Begin the call; gives a `Call` that is a `Future`."""
        raise NotImplementedError


class UnaryStreamMultiCallable(abc.ABC):
    """A method with one request and many responses."""

    @abc.abstractmethod
    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        """Begin the call; gives a `Call` that is an iterator of its responses."""
        raise NotImplementedError


class StreamUnaryMultiCallable(abc.ABC):
    """A method with many requests and one response."""

    @abc.abstractmethod
    def __call__(
        self,
        request_iterator: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        """Make the call; gives its response. Raises RpcError."""
        raise NotImplementedError

    @abc.abstractmethod
    def with_call(
        self,
        request_iterator: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        """As calling it; gives the response and the `Call`."""
        raise NotImplementedError

    @abc.abstractmethod
    def future(
        self,
        request_iterator: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        """Begin the call; gives a `Call` that is a `Future`."""
        raise NotImplementedError


class StreamStreamMultiCallable(abc.ABC):
    """A method with many requests and many responses."""

    @abc.abstractmethod
    def __call__(
        self,
        request_iterator: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        """Begin the call; gives a `Call` that is an iterator of its responses."""
        raise NotImplementedError


class Channel(abc.ABC):
    """A way to a server."""

    @abc.abstractmethod
    def subscribe(self, callback: Callable[[Any], Any], try_to_connect: bool = False) -> Any:
        """Have ``callback`` called with the `ChannelConnectivity`, as it is now and whenever it changes."""
        raise NotImplementedError

    @abc.abstractmethod
    def unsubscribe(self, callback: Callable[[Any], Any]) -> Any:
        """Have it called no more."""
        raise NotImplementedError

    @abc.abstractmethod
    def unary_unary(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        """A method with one request and one response, by its path."""
        raise NotImplementedError

    @abc.abstractmethod
    def unary_stream(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        """A method with one request and many responses, by its path."""
        raise NotImplementedError

    @abc.abstractmethod
    def stream_unary(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        """A method with many requests and one response, by its path."""
        raise NotImplementedError

    @abc.abstractmethod
    def stream_stream(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        """A method with many requests and many responses, by its path."""
        raise NotImplementedError

    @abc.abstractmethod
    def close(self) -> Any:
        """End all calls and the connection. Idempotent."""
        raise NotImplementedError

    def __enter__(self) -> Any:
        """Leaving the ``with`` closes it."""
        raise NotImplementedError

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> Any:
        """Close it."""
        raise NotImplementedError
