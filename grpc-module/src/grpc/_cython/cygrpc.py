"""Names of grpcio's native core that dependants use, where puregrpc has what they stand for."""

from __future__ import annotations

import enum
from typing import Any

from grpc import _channelz, _codes
from grpc._aio_errors import EOF, AbortError, BaseError, InternalError, UsageError, init_grpc_aio, shutdown_grpc_aio
from grpc._credentials import CompositeChannelCredentials
from grpc._metadata import _Metadatum

__all__ = [
    "EOF", "AbortError", "BaseError", "ChannelArgKey", "CompositeChannelCredentials", "CompressionAlgorithm",
    "ConnectivityState", "InternalError", "OperationType", "StatusCode", "UsageError", "_Metadatum", "get_fork_epoch",
    "init_grpc_aio", "shutdown_grpc_aio",
]  # fmt: skip


class ChannelArgKey:
    """Names of channel options."""

    enable_census = "grpc.census"
    max_concurrent_streams = "grpc.max_concurrent_streams"
    max_receive_message_length = "grpc.max_receive_message_length"
    max_send_message_length = "grpc.max_send_message_length"
    http2_initial_sequence_number = "grpc.http2.initial_sequence_number"
    default_authority = "grpc.default_authority"
    primary_user_agent_string = "grpc.primary_user_agent"
    secondary_user_agent_string = "grpc.secondary_user_agent"
    ssl_session_cache = "grpc.ssl_session_cache"
    ssl_target_name_override = "grpc.ssl_target_name_override"


class OperationType:
    """What a call may be doing in grpcio's core."""

    send_initial_metadata = 0
    send_message = 1
    send_close_from_client = 2
    send_status_from_server = 3
    receive_initial_metadata = 4
    receive_message = 5
    receive_status_on_client = 6
    receive_close_on_server = 7


StatusCode = enum.IntEnum("StatusCode", {code.name.lower(): code.value[0] for code in _codes.StatusCode})  # type: ignore[misc]
"""The numbers of the codes of a status."""

ConnectivityState = enum.IntEnum(  # type: ignore[misc]
    "ConnectivityState", {state.name.lower(): state.value[0] for state in _codes.ChannelConnectivity}
)
"""The numbers of the states of a channel."""


class CompressionAlgorithm(enum.IntEnum):
    """Values of the option ``grpc.default_compression_algorithm``."""

    none = 0
    deflate = 1
    gzip = 2


def get_fork_epoch() -> int:
    """How often grpcio's core has gone through a fork: puregrpc's channels are told of it by Python itself."""
    return 0


def __getattr__(name: str) -> Any:
    if name in _channelz.__all__ and name.startswith("channelz_get_"):
        return getattr(_channelz, name)
    if name == "dump_xds_configs":
        raise NotImplementedError("xDS is not part of puregrpc-grpc: there is no xDS client")
    if name == "_ServicerContext":
        from grpc.aio._serving import _ServicerContext

        return _ServicerContext
    raise AttributeError(f"grpcio's native core is not here, and with it {name!r}")
