"""The interfaces of channels on asyncio, as grpcio has them."""

from __future__ import annotations

import abc
from typing import Any, Generic

from grpc.aio._typing import RequestType, ResponseType

__all__ = [
    "Channel", "StreamStreamMultiCallable", "StreamUnaryMultiCallable", "UnaryStreamMultiCallable",
    "UnaryUnaryMultiCallable",
]  # fmt: skip


class UnaryUnaryMultiCallable(Generic[RequestType, ResponseType], abc.ABC):
    """A method with one request and one response."""

    @abc.abstractmethod
    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        """Begin the call."""


class UnaryStreamMultiCallable(Generic[RequestType, ResponseType], abc.ABC):
    """A method with one request and many responses."""

    @abc.abstractmethod
    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        """Begin the call."""


class StreamUnaryMultiCallable(Generic[RequestType, ResponseType], abc.ABC):
    """A method with many requests and one response."""

    @abc.abstractmethod
    def __call__(
        self,
        request_iterator: Any = None,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        """Begin the call."""


class StreamStreamMultiCallable(Generic[RequestType, ResponseType], abc.ABC):
    """A method with many requests and many responses."""

    @abc.abstractmethod
    def __call__(
        self,
        request_iterator: Any = None,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        """Begin the call."""


class Channel(abc.ABC):
    """A way to a server, on asyncio."""

    @abc.abstractmethod
    async def __aenter__(self) -> Any:
        """Leaving the ``async with`` closes it."""

    @abc.abstractmethod
    async def __aexit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> Any:
        """Close it."""

    @abc.abstractmethod
    async def close(self, grace: float | None = None) -> Any:
        """End it; its calls may go on for ``grace`` seconds (None: no time)."""

    @abc.abstractmethod
    def get_state(self, try_to_connect: bool = False) -> Any:
        """What it is doing about being connected."""

    @abc.abstractmethod
    async def wait_for_state_change(self, last_observed_state: Any) -> None:
        """Wait until the state is another."""

    @abc.abstractmethod
    async def channel_ready(self) -> None:
        """Connect, and wait until that is done."""

    @abc.abstractmethod
    def unary_unary(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        """A method with one request and one response, by its path."""

    @abc.abstractmethod
    def unary_stream(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        """A method with one request and many responses, by its path."""

    @abc.abstractmethod
    def stream_unary(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        """A method with many requests and one response, by its path."""

    @abc.abstractmethod
    def stream_stream(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:
        """A method with many requests and many responses, by its path."""
