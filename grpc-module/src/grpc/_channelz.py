"""What grpcio-channelz asks grpcio's core for, from puregrpc's snapshots: JSON as channelz.proto has it (gRFC A14)."""

from __future__ import annotations

import base64
import itertools
import json
import socket
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from puregrpc.channel import ChannelSnapshot, SubchannelSnapshot
    from puregrpc.channel import SessionSnapshot as ClientSocket
    from puregrpc.server import ServerSnapshot
    from puregrpc.server import SessionSnapshot as ServerSocket

__all__ = [
    "channelz_get_channel", "channelz_get_server", "channelz_get_server_sockets", "channelz_get_servers",
    "channelz_get_socket", "channelz_get_subchannel", "channelz_get_top_channels", "forget_channel", "forget_server",
    "is_wanted", "watch_channel", "watch_server",
]  # fmt: skip

MOST = 100
"""How many entities one answer has at most."""

FIRST_NUMBER = 1
"""Channels and servers are numbered apart from subchannels and sockets, which have the numbers of puregrpc."""


class _Entities:
    """The channels or servers that there are, by number."""

    def __init__(self, numbers: Iterator[int]) -> None:
        self._numbers = numbers
        self._lock = threading.Lock()
        self._known: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()

    def add(self, entity: Any) -> None:
        with self._lock:
            self._known[next(self._numbers)] = entity

    def discard(self, entity: Any) -> None:
        with self._lock:
            for number in [number for number, each in self._known.items() if each is entity]:
                del self._known[number]

    def get(self, number: int) -> Any:
        return self._known.get(number)

    def beginning_with(self, number: int) -> list[tuple[int, Any]]:
        with self._lock:
            return sorted((each, entity) for each, entity in self._known.items() if each >= number)


_numbers = itertools.count(FIRST_NUMBER)
_channels, _servers = _Entities(_numbers), _Entities(_numbers)

watch_channel, watch_server = _channels.add, _servers.add
"""Have a channel or a server of puregrpc shown as long as it lives."""

forget_channel, forget_server = _channels.discard, _servers.discard
"""It is closed."""

LISTENERS = 1 << 40
"""What is added to the number of a server for that of its first listener."""


def is_wanted(options: Mapping[str, Any]) -> bool:
    """Whether options say that an entity is to be shown: they need not."""
    return bool(options.get("grpc.enable_channelz", 1))


# -- as JSON


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1e9):09d}Z"


def _calls(started: int, succeeded: int, failed: int, last: float | None = None) -> dict[str, Any]:
    found = {"callsStarted": str(started), "callsSucceeded": str(succeeded), "callsFailed": str(failed)}
    return found if last is None else {**found, "lastCallStartedTimestamp": _time(last)}


def _channel(number: int, snapshot: ChannelSnapshot) -> dict[str, Any]:
    calls = snapshot.calls
    return {
        "ref": {"channelId": str(number), "name": snapshot.target},
        "data": {
            "state": {"state": snapshot.state.name},
            "target": snapshot.target,
            **_calls(calls.started, calls.succeeded, calls.failed, calls.last_started),
        },
        "subchannelRef": [
            {"subchannelId": str(each.number), "name": each.name}
            for each in snapshot.subchannels
            if each.calls.started or each.sessions or each.failures  # else it is not in use yet
        ],
    }


def _subchannel(snapshot: SubchannelSnapshot) -> dict[str, Any]:
    calls = snapshot.calls
    return {
        "ref": {"subchannelId": str(snapshot.number), "name": snapshot.name},
        "data": {
            "state": {"state": snapshot.state.name},
            "target": snapshot.name,
            **_calls(calls.started, calls.succeeded, calls.failed, calls.last_started),
        },
        "socketRef": [{"socketId": str(each.number), "name": each.peer} for each in snapshot.sessions],
    }


def _server(number: int, snapshot: ServerSnapshot) -> dict[str, Any]:
    succeeded = snapshot.calls_ended.get(0, 0)
    failed = sum(snapshot.calls_ended.values()) - succeeded
    return {
        "ref": {"serverId": str(number), "name": ", ".join(snapshot.addresses)},
        "data": _calls(snapshot.calls_started, succeeded, failed),
        "listenSocket": [
            {"socketId": str(LISTENERS + (number << 8) + index), "name": address}
            for index, address in enumerate(snapshot.addresses)
        ],
    }


def _address(text: str) -> dict[str, Any]:
    host, _, port = text.rpartition(":")
    host = host.strip("[]").partition("%")[0]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        packed = socket.inet_pton(family, host)
    except (OSError, ValueError):
        return {"udsAddress": {"filename": text.removeprefix("unix:")}}
    return {"tcpipAddress": {"ipAddress": base64.b64encode(packed).decode(), "port": int(port)}}


def _socket(number: int, local: str, peer: str, started: int, succeeded: int, failed: int) -> dict[str, Any]:
    return {
        "ref": {"socketId": str(number), "name": peer},
        "data": {
            "streamsStarted": str(started),
            "streamsSucceeded": str(succeeded),
            "streamsFailed": str(failed),
        },
        "local": _address(local),
        "remote": _address(peer),
    }


def _client_socket(snapshot: ClientSocket) -> dict[str, Any]:
    calls = snapshot.calls
    return _socket(snapshot.number, snapshot.local, snapshot.peer, calls.started, calls.succeeded, calls.failed)


def _server_socket(snapshot: ServerSocket) -> dict[str, Any]:
    succeeded = snapshot.calls_ended.get(0, 0)
    failed = sum(snapshot.calls_ended.values()) - succeeded
    return _socket(snapshot.number, snapshot.local, snapshot.peer, snapshot.calls_started, succeeded, failed)


# -- as grpcio's core has them


def channelz_get_top_channels(start_channel_id: int) -> str:
    """GetTopChannelsResponse."""
    found = _channels.beginning_with(start_channel_id)
    channels = [_channel(number, channel.snapshot()) for number, channel in found[:MOST]]
    return json.dumps({"channel": channels, "end": len(found) <= MOST})


def channelz_get_channel(channel_id: int) -> str:
    """GetChannelResponse. Raises ValueError if there is none of that number."""
    channel = _channels.get(channel_id)
    if channel is None:
        raise ValueError(f"Failed to get the channel, please ensure your channel_id=={channel_id} is valid")
    return json.dumps({"channel": _channel(channel_id, channel.snapshot())})


def channelz_get_subchannel(subchannel_id: int) -> str:
    """GetSubchannelResponse. Raises ValueError if there is none of that number."""
    for _, channel in _channels.beginning_with(0):
        for subchannel in channel.snapshot().subchannels:
            if subchannel.number == subchannel_id:
                return json.dumps({"subchannel": _subchannel(subchannel)})
    raise ValueError(f"Failed to get the subchannel, please ensure your subchannel_id=={subchannel_id} is valid")


def channelz_get_servers(start_server_id: int) -> str:
    """GetServersResponse."""
    found = _servers.beginning_with(start_server_id)
    servers = [_server(number, server.snapshot()) for number, server in found[:MOST]]
    return json.dumps({"server": servers, "end": len(found) <= MOST})


def channelz_get_server(server_id: int) -> str:
    """GetServerResponse. Raises ValueError if there is none of that number."""
    server = _servers.get(server_id)
    if server is None:
        raise ValueError(f"Failed to get the server, please ensure your server_id=={server_id} is valid")
    return json.dumps({"server": _server(server_id, server.snapshot())})


def channelz_get_server_sockets(server_id: int, start_socket_id: int, max_results: int) -> str:
    """GetServerSocketsResponse. Raises ValueError if there is no server of that number."""
    server = _servers.get(server_id)
    if server is None:
        raise ValueError(f"Failed to get server sockets, please ensure your server_id=={server_id} is valid")
    found = sorted(each.number for each in server.snapshot().connections if each.number >= start_socket_id)
    most = max_results or MOST
    sockets = [{"socketId": str(number)} for number in found[:most]]
    return json.dumps({"socketRef": sockets, "end": len(found) <= most})


def channelz_get_socket(socket_id: int) -> str:
    """GetSocketResponse. Raises ValueError if there is none of that number."""
    for _, channel in _channels.beginning_with(0):
        for subchannel in channel.snapshot().subchannels:
            for session in subchannel.sessions:
                if session.number == socket_id:
                    return json.dumps({"socket": _client_socket(session)})
    for _, server in _servers.beginning_with(0):
        for connection in server.snapshot().connections:
            if connection.number == socket_id:
                return json.dumps({"socket": _server_socket(connection)})
    server = _servers.get((socket_id - LISTENERS) >> 8)
    addresses = () if server is None else server.snapshot().addresses
    if socket_id & 0xFF < len(addresses):
        address = addresses[socket_id & 0xFF]
        listener = {"ref": {"socketId": str(socket_id), "name": address}, "local": _address(address)}
        return json.dumps({"socket": listener})
    raise ValueError(f"Failed to get the socket, please ensure your socket_id=={socket_id} is valid")
