"""Calls by a target and a method's path, on channels that are kept for the next ones."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["stream_stream", "stream_unary", "unary_stream", "unary_unary"]

MOST_CHANNELS = int(os.environ.get("GRPC_PYTHON_MANAGED_CHANNEL_MAXIMUM", "256"))
IDLE_TIME = float(os.environ.get("GRPC_PYTHON_MANAGED_CHANNEL_EVICTION_SECONDS", "600"))
"""How many channels are kept, and how long, in seconds, one that nobody uses."""

DEFAULT_TIMEOUT = float(os.environ.get("GRPC_PYTHON_DEFAULT_TIMEOUT_SECONDS", "60"))


class _Channels:
    """Channels by target, options, credentials and compression."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Any, tuple[Any, float]] = OrderedDict()

    def get(
        self, target: str, options: Sequence[tuple[str, Any]], credentials: Any, insecure: bool, compression: Any
    ) -> Any:
        """A channel, an old one if there is one."""
        if insecure and credentials:
            raise ValueError("The insecure option is mutually exclusive with the channel_credentials option.")
        key = (target, tuple(options), credentials, insecure, compression)
        now = time.monotonic()
        with self._lock:
            found = self._kept.pop(key, None)
            channel = self._made(target, options, credentials, insecure, compression) if found is None else found[0]
            self._kept[key] = (channel, now)
            old = []
            while len(self._kept) > MOST_CHANNELS or next(iter(self._kept.values()))[1] < now - IDLE_TIME:
                old.append(self._kept.popitem(last=False)[1][0])
        for each in old:
            each.close()
        return channel

    def _made(self, target: str, options: Any, credentials: Any, insecure: bool, compression: Any) -> Any:
        import grpc

        if insecure or (credentials is not None and credentials._credentials.tls is None):
            if insecure:
                return grpc.insecure_channel(target, options, compression)
            return grpc.secure_channel(target, credentials, options, compression)
        return grpc.secure_channel(target, credentials or grpc.ssl_channel_credentials(), options, compression)


_channels = _Channels()


def unary_unary(
    request: Any,
    target: str,
    method: str,
    request_serializer: Any = None,
    response_deserializer: Any = None,
    options: Sequence[tuple[str, Any]] = (),
    channel_credentials: Any = None,
    insecure: bool = False,
    call_credentials: Any = None,
    compression: Any = None,
    wait_for_ready: bool | None = None,
    timeout: float | None = DEFAULT_TIMEOUT,
    metadata: Any = None,
    _registered_method: bool | None = False,
) -> Any:
    """Make a call with one request and one response; gives the response."""
    channel = _channels.get(target, options, channel_credentials, insecure, compression)
    multi_callable = channel.unary_unary(method, request_serializer, response_deserializer, _registered_method)
    return multi_callable(
        request,
        metadata=metadata,
        wait_for_ready=True if wait_for_ready is None else wait_for_ready,
        credentials=call_credentials,
        timeout=timeout,
    )


def unary_stream(
    request: Any,
    target: str,
    method: str,
    request_serializer: Any = None,
    response_deserializer: Any = None,
    options: Sequence[tuple[str, Any]] = (),
    channel_credentials: Any = None,
    insecure: bool = False,
    call_credentials: Any = None,
    compression: Any = None,
    wait_for_ready: bool | None = None,
    timeout: float | None = DEFAULT_TIMEOUT,
    metadata: Any = None,
    _registered_method: bool | None = False,
) -> Iterator[Any]:
    """Make a call with one request and many responses; gives an iterator of them."""
    channel = _channels.get(target, options, channel_credentials, insecure, compression)
    multi_callable = channel.unary_stream(method, request_serializer, response_deserializer, _registered_method)
    return multi_callable(  # type: ignore[no-any-return]
        request,
        metadata=metadata,
        wait_for_ready=True if wait_for_ready is None else wait_for_ready,
        credentials=call_credentials,
        timeout=timeout,
    )


def stream_unary(
    request_iterator: Iterator[Any],
    target: str,
    method: str,
    request_serializer: Any = None,
    response_deserializer: Any = None,
    options: Sequence[tuple[str, Any]] = (),
    channel_credentials: Any = None,
    insecure: bool = False,
    call_credentials: Any = None,
    compression: Any = None,
    wait_for_ready: bool | None = None,
    timeout: float | None = DEFAULT_TIMEOUT,
    metadata: Any = None,
    _registered_method: bool | None = False,
) -> Any:
    """Make a call with many requests and one response; gives the response."""
    channel = _channels.get(target, options, channel_credentials, insecure, compression)
    multi_callable = channel.stream_unary(method, request_serializer, response_deserializer, _registered_method)
    return multi_callable(
        request_iterator,
        metadata=metadata,
        wait_for_ready=True if wait_for_ready is None else wait_for_ready,
        credentials=call_credentials,
        timeout=timeout,
    )


def stream_stream(
    request_iterator: Iterator[Any],
    target: str,
    method: str,
    request_serializer: Any = None,
    response_deserializer: Any = None,
    options: Sequence[tuple[str, Any]] = (),
    channel_credentials: Any = None,
    insecure: bool = False,
    call_credentials: Any = None,
    compression: Any = None,
    wait_for_ready: bool | None = None,
    timeout: float | None = DEFAULT_TIMEOUT,
    metadata: Any = None,
    _registered_method: bool | None = False,
) -> Iterator[Any]:
    """Make a call with many requests and many responses; gives an iterator of these."""
    channel = _channels.get(target, options, channel_credentials, insecure, compression)
    multi_callable = channel.stream_stream(method, request_serializer, response_deserializer, _registered_method)
    return multi_callable(  # type: ignore[no-any-return]
        request_iterator,
        metadata=metadata,
        wait_for_ready=True if wait_for_ready is None else wait_for_ready,
        credentials=call_credentials,
        timeout=timeout,
    )
