"""The interfaces of calls on asyncio, as grpcio has them."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any, Generic

from grpc.aio._typing import RequestType, ResponseType

__all__ = ["Call", "RpcContext", "StreamStreamCall", "StreamUnaryCall", "UnaryStreamCall", "UnaryUnaryCall"]


class RpcContext(metaclass=ABCMeta):
    """What is known of a call without waiting."""

    @abstractmethod
    def cancelled(self) -> bool:
        """Whether it was cancelled."""

    @abstractmethod
    def done(self) -> bool:
        """Whether it is over."""

    @abstractmethod
    def time_remaining(self) -> float | None:
        """Seconds until the deadline; None if there is none."""

    @abstractmethod
    def cancel(self) -> bool:
        """End it; False if it is over."""

    @abstractmethod
    def add_done_callback(self, callback: Callable[[Any], Any]) -> None:
        """Have ``callback(call)`` called when it is over; at once if it is."""


class Call(RpcContext, metaclass=ABCMeta):
    """A call as the client sees it."""

    @abstractmethod
    async def initial_metadata(self) -> Any:
        """Wait for the initial metadata."""

    @abstractmethod
    async def trailing_metadata(self) -> Any:
        """Wait for the trailing metadata."""

    @abstractmethod
    async def code(self) -> Any:
        """Wait for the code that it ends with."""

    @abstractmethod
    async def details(self) -> Any:
        """Wait for the message of the status that it ends with."""

    @abstractmethod
    async def wait_for_connection(self) -> None:
        """Wait until it has a connection. Raises AioRpcError if it ends before."""


class UnaryUnaryCall(Generic[RequestType, ResponseType], Call, metaclass=ABCMeta):
    """One request and one response."""

    @abstractmethod
    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the response. Raises AioRpcError."""


class UnaryStreamCall(Generic[RequestType, ResponseType], Call, metaclass=ABCMeta):
    """One request and many responses."""

    @abstractmethod
    def __aiter__(self) -> AsyncIterator[Any]:
        """The responses."""

    @abstractmethod
    async def read(self) -> Any:
        """The next response; EOF at the end."""


class StreamUnaryCall(Generic[RequestType, ResponseType], Call, metaclass=ABCMeta):
    """Many requests and one response."""

    @abstractmethod
    async def write(self, request: Any) -> None:
        """Send a request."""

    @abstractmethod
    async def done_writing(self) -> None:
        """Say that all requests have been sent."""

    @abstractmethod
    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the response. Raises AioRpcError."""


class StreamStreamCall(Generic[RequestType, ResponseType], Call, metaclass=ABCMeta):
    """Many requests and many responses."""

    @abstractmethod
    def __aiter__(self) -> AsyncIterator[Any]:
        """The responses."""

    @abstractmethod
    async def read(self) -> Any:
        """The next response; EOF at the end."""

    @abstractmethod
    async def write(self, request: Any) -> None:
        """Send a request."""

    @abstractmethod
    async def done_writing(self) -> None:
        """Say that all requests have been sent."""
