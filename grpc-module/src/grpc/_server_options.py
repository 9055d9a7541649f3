"""grpcio's server options in puregrpc's words. What is not known is ignored, as grpcio does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from grpc._channel_options import UNLIMITED, _limit, by_name, default_encoding
from grpc._codes import ENCODINGS
from puregrpc.server import ServerConfig

__all__ = ["reuses_port", "server_config"]


def _seconds(value: Any) -> float | None:
    return int(value) / 1000 if 0 < int(value) < UNLIMITED else None


_NAMES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "grpc.max_receive_message_length": ("max_receive_message_size", _limit),
    "grpc.max_send_message_length": ("max_send_message_size", _limit),
    "grpc.max_metadata_size": ("max_header_list_size", lambda value: min(max(int(value), 4096), 16 << 20)),
    "grpc.max_concurrent_streams": ("max_concurrent_streams", int),
    "grpc.keepalive_time_ms": ("keepalive_time", _seconds),
    "grpc.keepalive_timeout_ms": ("keepalive_timeout", _seconds),
    "grpc.http2.min_recv_ping_interval_without_data_ms": ("min_ping_interval", _seconds),
    "grpc.http2.min_ping_interval_without_data_ms": ("min_ping_interval", _seconds),
    "grpc.keepalive_permit_without_calls": ("permit_ping_without_calls", bool),
    "grpc.max_connection_idle_ms": ("max_connection_idle", _seconds),
    "grpc.max_connection_age_ms": ("max_connection_age", _seconds),
    "grpc.max_connection_age_grace_ms": ("max_connection_age_grace", _seconds),
}
"""grpcio's name -> puregrpc's, and how its value becomes puregrpc's."""


def server_config(
    options: Iterable[tuple[str, Any]], compression: Any = None, maximum_concurrent_rpcs: int | None = None
) -> ServerConfig:
    """What a puregrpc server goes by, for grpcio's options and arguments."""
    keywords: dict[str, Any] = {}
    given = by_name(options)
    for name, value in given.items():
        if name in _NAMES and isinstance(value, int):
            ours, convert = _NAMES[name]
            converted = convert(value)
            if converted is not None or ours.startswith("max_connection"):
                keywords[ours] = converted
    bits = given.get("grpc.compression_enabled_algorithms_bitset")
    if isinstance(bits, int):
        bits |= 1
        keywords["accept_encodings"] = tuple(name for number, name in ENCODINGS.items() if bits >> number & 1)
    encoding = default_encoding(given, compression)
    if encoding is not None:
        keywords["compression"] = encoding
    keywords["max_concurrent_calls"] = maximum_concurrent_rpcs
    return ServerConfig(**keywords)


def reuses_port(options: Iterable[tuple[str, Any]]) -> bool:
    """Whether several servers may listen on one port: unless an option says no."""
    return bool(by_name(options).get("grpc.so_reuseport", 1))
