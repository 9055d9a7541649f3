"""What grpcio-channelz asks grpcio's core for, as puregrpc's Channelz has it: JSON of channelz.proto (gRFC A14)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from grpc._channel_options import by_name
from puregrpc.services import Channelz

if TYPE_CHECKING:
    from puregrpc.channel import BlockingChannel, Channel
    from puregrpc.server import BlockingServer, Server

__all__ = [
    "channelz_get_channel", "channelz_get_server", "channelz_get_server_sockets", "channelz_get_servers",
    "channelz_get_socket", "channelz_get_subchannel", "channelz_get_top_channels", "forget_channel", "forget_server",
    "is_wanted", "watch_channel", "watch_server",
]  # fmt: skip

_channelz = Channelz()

watch_channel, watch_server = _channelz.add_channel, _channelz.add_server
"""Have a channel or a server of puregrpc shown as long as it lives."""


def forget_channel(channel: BlockingChannel | Channel) -> None:
    """It is closed."""
    _channelz.forget(channel.number)


def forget_server(server: BlockingServer | Server) -> None:
    """It has stopped."""
    _channelz.forget(server.number)


def is_wanted(options: Iterable[tuple[str, Any]]) -> bool:
    """Whether options say that an entity is to be shown: they need not."""
    return bool(by_name(options).get("grpc.enable_channelz", 1))


def _found(answer: dict[str, Any] | None, what: str) -> str:
    if answer is None:
        raise ValueError(f"Failed to get {what} is valid")
    return json.dumps(answer)


def channelz_get_top_channels(start_channel_id: int) -> str:
    """GetTopChannelsResponse."""
    return json.dumps(_channelz.top_channels(start_channel_id))


def channelz_get_channel(channel_id: int) -> str:
    """GetChannelResponse. Raises ValueError if there is none of that number."""
    return _found(_channelz.channel(channel_id), f"the channel, please ensure your channel_id=={channel_id}")


def channelz_get_subchannel(subchannel_id: int) -> str:
    """GetSubchannelResponse. Raises ValueError if there is none of that number."""
    answer = _channelz.subchannel(subchannel_id)
    return _found(answer, f"the subchannel, please ensure your subchannel_id=={subchannel_id}")


def channelz_get_servers(start_server_id: int) -> str:
    """GetServersResponse."""
    return json.dumps(_channelz.servers(start_server_id))


def channelz_get_server(server_id: int) -> str:
    """GetServerResponse. Raises ValueError if there is none of that number."""
    return _found(_channelz.server(server_id), f"the server, please ensure your server_id=={server_id}")


def channelz_get_server_sockets(server_id: int, start_socket_id: int, max_results: int) -> str:
    """GetServerSocketsResponse. Raises ValueError if there is no server of that number."""
    answer = _channelz.server_sockets(server_id, start_socket_id, max_results)
    return _found(answer, f"server sockets, please ensure your server_id=={server_id}")


def channelz_get_socket(socket_id: int) -> str:
    """GetSocketResponse. Raises ValueError if there is none of that number."""
    return _found(_channelz.socket(socket_id), f"the socket, please ensure your socket_id=={socket_id}")
