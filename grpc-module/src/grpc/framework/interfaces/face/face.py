"""The interfaces of calls, of their errors, of stubs and of methods, as they were before 1.0.

``timeout`` is in seconds; ``group`` is a service, by its full name.
"""

from __future__ import annotations

import abc
import enum
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = [
    "Abortion", "AbortionError", "Call", "CancellationError", "DynamicStub", "ExpirationError", "GenericStub",
    "LocalError", "LocalShutdownError", "MethodImplementation", "MultiMethodImplementation", "NetworkError",
    "NoSuchMethodError", "RemoteError", "RemoteShutdownError", "ResponseReceiver", "RpcContext", "ServicerContext",
    "StreamStreamMultiCallable", "StreamUnaryMultiCallable", "UnaryStreamMultiCallable", "UnaryUnaryMultiCallable",
]  # fmt: skip


class NoSuchMethodError(Exception):
    """There is no such method."""

    def __init__(self, group: str, method: str) -> None:
        super().__init__()
        self.group = group
        self.method = method

    def __repr__(self) -> str:
        return f"face.NoSuchMethodError({self.group}, {self.method})"


class _AbortionKind(enum.Enum):
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    LOCAL_SHUTDOWN = "local shutdown"
    REMOTE_SHUTDOWN = "remote shutdown"
    NETWORK_FAILURE = "network failure"
    LOCAL_FAILURE = "local failure"
    REMOTE_FAILURE = "remote failure"


class _Abortion(NamedTuple):
    kind: _AbortionKind
    initial_metadata: Any
    terminal_metadata: Any
    code: Any
    details: Any


class Abortion(_Abortion):
    """How a call failed."""

    Kind = _AbortionKind


class AbortionError(Exception):
    """A call failed."""

    def __init__(self, initial_metadata: Any, terminal_metadata: Any, code: Any, details: Any) -> None:
        super().__init__()
        self.initial_metadata = initial_metadata
        self.terminal_metadata = terminal_metadata
        self.code = code
        self.details = details

    def __str__(self) -> str:
        return f'{type(self).__name__}(code={self.code}, details="{self.details}")'


class CancellationError(AbortionError):
    """It was cancelled."""


class ExpirationError(AbortionError):
    """Its time was over."""


class LocalShutdownError(AbortionError):
    """This side was shut down."""


class RemoteShutdownError(AbortionError):
    """The other side was shut down."""


class NetworkError(AbortionError):
    """The network failed."""


class LocalError(AbortionError):
    """This side failed."""


class RemoteError(AbortionError):
    """The other side failed."""


class RpcContext(abc.ABC):
    """A call, as both sides see it."""

    @abc.abstractmethod
    def is_active(self) -> bool:
        """Whether it goes on."""

    @abc.abstractmethod
    def time_remaining(self) -> float | None:
        """Seconds that are left."""

    @abc.abstractmethod
    def add_abortion_callback(self, abortion_callback: Callable[[Abortion], Any]) -> Abortion | None:
        """Have a function called if it fails."""

    @abc.abstractmethod
    def cancel(self) -> Any:
        """Cancel it."""

    @abc.abstractmethod
    def protocol_context(self) -> Any:
        """What of it is gRPC's own."""


class Call(RpcContext):
    """A call, as its client sees it."""

    @abc.abstractmethod
    def initial_metadata(self) -> Any:
        """What the server began with; waits for it."""

    @abc.abstractmethod
    def terminal_metadata(self) -> Any:
        """What the server ended with; waits for it."""

    @abc.abstractmethod
    def code(self) -> Any:
        """The code of the status; waits for it."""

    @abc.abstractmethod
    def details(self) -> Any:
        """The details of the status; waits for them."""


class ServicerContext(RpcContext):
    """A call, as its handler sees it."""

    @abc.abstractmethod
    def invocation_metadata(self) -> Any:
        """What the client sent."""

    @abc.abstractmethod
    def initial_metadata(self, initial_metadata: Any) -> None:
        """Send the initial metadata."""

    @abc.abstractmethod
    def terminal_metadata(self, terminal_metadata: Any) -> None:
        """Set the trailing metadata."""

    @abc.abstractmethod
    def code(self, code: Any) -> None:
        """Set the code of the status."""

    @abc.abstractmethod
    def details(self, details: Any) -> None:
        """Set the details of the status."""


class ResponseReceiver(abc.ABC):
    """Takes what a call brings."""

    @abc.abstractmethod
    def initial_metadata(self, initial_metadata: Any) -> None:
        """The initial metadata came."""

    @abc.abstractmethod
    def response(self, response: Any) -> None:
        """A response came."""

    @abc.abstractmethod
    def complete(self, terminal_metadata: Any, code: Any, details: Any) -> None:
        """The call is over."""


class UnaryUnaryMultiCallable(abc.ABC):
    """A method with one request and one response."""


class UnaryStreamMultiCallable(abc.ABC):
    """A method with one request and a stream of responses."""


class StreamUnaryMultiCallable(abc.ABC):
    """A method with a stream of requests and one response."""


class StreamStreamMultiCallable(abc.ABC):
    """A method with streams both ways."""


class MethodImplementation(abc.ABC):
    """A method: its ``cardinality``, its ``style``, and the function that these name (as ``unary_unary_inline``).

    Inline functions take a request or an iterator of them and a `ServicerContext`, and return a response or an
    iterator of them. Those of events take a function or a `stream.Consumer` for what they give, and return a consumer
    for the requests, if those are a stream.
    """

    cardinality: Any
    style: Any


class MultiMethodImplementation(abc.ABC):
    """Serves many methods."""

    @abc.abstractmethod
    def service(self, group: str, method: str, response_consumer: Any, context: Any) -> Any:
        """Serve a call; gives a consumer for its requests. Raises NoSuchMethodError."""


class GenericStub(abc.ABC):
    """Calls methods by their names."""


class DynamicStub(abc.ABC):
    """Has the methods of a service as attributes."""
