"""What channelz tells, as the JSON of grpc.channelz.v1, from the snapshots of channels and servers."""

from __future__ import annotations

import ipaddress
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from weakref import WeakValueDictionary

from puregrpc._locks import Lock
from puregrpc.errors import InvalidArgument
from puregrpc.kernel.clocks import working_time
from puregrpc.kernel.network.addresses import split_host_port

if TYPE_CHECKING:
    from puregrpc.channel import CallNumbers, ChannelSnapshot, ChannelTrace, SubchannelSnapshot, TraceEvent
    from puregrpc.channel import SessionSnapshot as ChannelSession
    from puregrpc.server import ServerSnapshot
    from puregrpc.server import SessionSnapshot as ServerSession
    from puregrpc.wire.snapshot import ConnectionSnapshot

__all__ = ["Channelz"]

MOST_RESULTS = 100
"""How many results an answer has, where the question does not say it."""

SMALL_COST = 0.0002
"""A snapshot that took so many seconds of the thread's time is made anew for each question."""

GOOD_FOR = 20
"""A larger one is good for so many times as long as it took: who asks again and again takes a twentieth of the time."""

Json = dict[str, Any]

T = TypeVar("T")


class HasChannelSnapshot(Protocol):
    """A channel."""

    @property
    def number(self) -> int:
        """Nothing else of the process has it."""

    def snapshot(self) -> ChannelSnapshot:
        """The channel as it stands."""


class HasServerSnapshot(Protocol):
    """A server."""

    @property
    def number(self) -> int:
        """Nothing else of the process has it."""

    def snapshot(self) -> ServerSnapshot:
        """The server as it stands."""


class Channelz:
    """The channels and servers of a process that channelz tells of, as far as they are alive.

    Its methods are those of the service grpc.channelz.v1.Channelz, and give the answers in protobuf's JSON form; None
    stands for NOT_FOUND. Channels and servers of a loop are to be asked for in its thread.
    """

    def __init__(self) -> None:
        self._channels: WeakValueDictionary[int, HasChannelSnapshot] = WeakValueDictionary()
        self._servers: WeakValueDictionary[int, HasServerSnapshot] = WeakValueDictionary()
        self._lock = Lock()
        self._kept: dict[int, tuple[Any, float]] = {}
        """Snapshots that took long, by number, and until when they are good (`time.monotonic`)."""

    def add_channel(self, channel: HasChannelSnapshot) -> None:
        """Tell of a channel: a `Channel` or a `BlockingChannel`."""
        with self._lock:
            self._channels[channel.number] = channel

    def add_server(self, server: HasServerSnapshot) -> None:
        """Tell of a server: a `Server` or a `BlockingServer`."""
        with self._lock:
            self._servers[server.number] = server

    def forget(self, number: int) -> None:
        """Tell no more of a channel or a server, which is closed."""
        with self._lock:
            self._channels.pop(number, None)
            self._servers.pop(number, None)
            self._kept.pop(number, None)

    def _channel_at(self, channel: HasChannelSnapshot) -> ChannelSnapshot:
        snapshot: ChannelSnapshot = self._snapshot(channel)
        return snapshot

    def _server_at(self, server: HasServerSnapshot) -> ServerSnapshot:
        snapshot: ServerSnapshot = self._snapshot(server)
        return snapshot

    def _snapshot(self, asked: HasChannelSnapshot | HasServerSnapshot) -> Any:
        """How a channel or a server stands, or stood a moment ago."""
        snapshot, until = self._kept.get(asked.number, (None, 0.0))
        if time.monotonic() < until:
            return snapshot
        began = working_time()
        snapshot = asked.snapshot()
        cost = working_time() - began
        if cost > SMALL_COST:
            self._kept[asked.number] = snapshot, time.monotonic() + GOOD_FOR * cost
        else:
            self._kept.pop(asked.number, None)
        return snapshot

    def _alive(self, known: WeakValueDictionary[int, T]) -> dict[int, T]:
        with self._lock:
            return dict(known.items())

    # -- the methods of the service

    def top_channels(self, start: int = 0, most: int = 0) -> Json:
        """GetTopChannels: the channels from number ``start`` on, ``most`` of them at the most."""
        channels = self._alive(self._channels)
        chosen, is_end = _page(channels, start, most)
        return _answer("channel", [_channel(self._channel_at(channels[number])) for number in chosen], is_end)

    def servers(self, start: int = 0, most: int = 0) -> Json:
        """GetServers: the servers from number ``start`` on."""
        servers = self._alive(self._servers)
        chosen, is_end = _page(servers, start, most)
        return _answer("server", [_server(self._server_at(servers[number])) for number in chosen], is_end)

    def server(self, number: int) -> Json | None:
        """GetServer."""
        server = self._servers.get(number)
        return None if server is None else {"server": _server(self._server_at(server))}

    def server_sockets(self, number: int, start: int = 0, most: int = 0) -> Json | None:
        """GetServerSockets: the connections of a server from number ``start`` on."""
        server = self._servers.get(number)
        if server is None:
            return None
        sessions = {session.number: session for session in self._server_at(server).connections}
        chosen, is_end = _page(sessions, start, most)
        return _answer("socketRef", [_socket_ref(each, sessions[each].peer) for each in chosen], is_end)

    def channel(self, number: int) -> Json | None:
        """GetChannel."""
        channel = self._channels.get(number)
        return None if channel is None else {"channel": _channel(self._channel_at(channel))}

    def subchannel(self, number: int) -> Json | None:
        """GetSubchannel."""
        for channel in self._alive(self._channels).values():
            for subchannel in self._channel_at(channel).subchannels:
                if subchannel.number == number:
                    return {"subchannel": _subchannel(subchannel)}
        return None

    def socket(self, number: int) -> Json | None:
        """GetSocket: a connection of a channel or a server, or a socket that listens."""
        for channel in self._alive(self._channels).values():
            for subchannel in self._channel_at(channel).subchannels:
                for session in subchannel.sessions:
                    if session.number == number:
                        return {"socket": _client_socket(session)}
        for server in self._alive(self._servers).values():
            snapshot = self._server_at(server)
            if number in snapshot.listeners:
                address = snapshot.listeners[number]
                return {"socket": {"ref": _socket_ref(number, address), "data": {}, "local": _address(address)}}
            for accepted in snapshot.connections:
                if accepted.number == number:
                    return {"socket": _server_socket(accepted)}
        return None


def _page(numbers: Iterable[int], start: int, most: int) -> tuple[list[int], bool]:
    """The numbers from ``start`` on, and whether these are all."""
    if start < 0 or most < 0:
        raise InvalidArgument(f"channelz: numbers begin with 0: {min(start, most)} is less")
    found = sorted(number for number in numbers if number >= start)
    limit = most or MOST_RESULTS
    return found[:limit], len(found) <= limit


def _answer(name: str, found: list[Json], is_end: bool) -> Json:
    return {name: found, "end": is_end}


def _channel(snapshot: ChannelSnapshot) -> Json:
    return {
        "ref": {"channelId": str(snapshot.number), "name": snapshot.target},
        "data": _channel_data(snapshot.state.name, snapshot.target, snapshot.calls, snapshot.trace),
        "subchannelRef": [
            {"subchannelId": str(each.number), "name": each.name}
            for each in snapshot.subchannels
            if each.calls.started or each.sessions or each.failures  # else it is not in use yet
        ],
    }


def _subchannel(snapshot: SubchannelSnapshot) -> Json:
    return {
        "ref": {"subchannelId": str(snapshot.number), "name": snapshot.name},
        "data": _channel_data(snapshot.state.name, snapshot.name, snapshot.calls, snapshot.trace),
        "socketRef": [_socket_ref(session.number, session.peer) for session in snapshot.sessions],
    }


def _channel_data(state: str, target: str, calls: CallNumbers, trace: ChannelTrace | None) -> Json:
    data: Json = {
        "state": {"state": state},
        "target": target,
        "callsStarted": str(calls.started),
        "callsSucceeded": str(calls.succeeded),
        "callsFailed": str(calls.failed),
    }
    if trace is not None:
        data["trace"] = _trace(trace)
    return _with_time(data, "lastCallStartedTimestamp", calls.last_started)


def _trace(trace: ChannelTrace) -> Json:
    data: Json = {"numEventsLogged": str(trace.logged), "events": [_event(event) for event in trace.events]}
    return _with_time(data, "creationTimestamp", trace.created)


def _event(event: TraceEvent) -> Json:
    data: Json = {"description": event.description, "severity": "CT_WARNING" if event.is_warning else "CT_INFO"}
    if event.subchannel is not None:
        data["subchannelRef"] = {"subchannelId": str(event.subchannel), "name": event.subchannel_name}
    return _with_time(data, "timestamp", event.time)


def _server(snapshot: ServerSnapshot) -> Json:
    data: Json = {
        "callsStarted": str(snapshot.calls_started),
        "callsSucceeded": str(snapshot.calls_ended.get(0, 0)),
        "callsFailed": _failed(snapshot.calls_ended),
    }
    if snapshot.trace is not None:
        data["trace"] = _trace(snapshot.trace)
    return {
        "ref": {"serverId": str(snapshot.number), "name": ", ".join(snapshot.addresses)},
        "data": _with_time(data, "lastCallStartedTimestamp", snapshot.last_call_started),
        "listenSocket": [_socket_ref(number, address) for number, address in snapshot.listeners.items()],
    }


def _client_socket(session: ChannelSession) -> Json:
    calls = session.calls
    data = {
        **_streams(calls.started, session.connection),
        "messagesSent": str(calls.messages_sent),
        "messagesReceived": str(calls.messages_received),
        **_windows(session.connection),
        "peerMaxConcurrentStreams": min(session.connection.peer_max_concurrent_streams, 2**32 - 1),
    }
    _with_time(data, "lastLocalStreamCreatedTimestamp", calls.last_started)
    _with_time(data, "lastMessageSentTimestamp", calls.last_message_sent)
    return {
        "ref": _socket_ref(session.number, session.peer),
        "data": _with_time(data, "lastMessageReceivedTimestamp", calls.last_message_received),
        "local": _address(session.local),
        "remote": _address(session.peer),
        **_security(session),
    }


def _server_socket(session: ServerSession) -> Json:
    data = {
        **_streams(session.calls_started, session.connection),
        "messagesSent": str(session.messages_sent),
        "messagesReceived": str(session.messages_received),
        **_windows(session.connection),
    }
    _with_time(data, "lastRemoteStreamCreatedTimestamp", session.last_call_started)
    _with_time(data, "lastMessageSentTimestamp", session.last_message_sent)
    return {
        "ref": _socket_ref(session.number, session.peer),
        "data": _with_time(data, "lastMessageReceivedTimestamp", session.last_message_received),
        "local": _address(session.local),
        "remote": _address(session.peer),
        **_security(session),
    }


def _failed(ended: Mapping[int, int]) -> str:
    return str(sum(number for code, number in ended.items() if code))


def _streams(started: int, connection: ConnectionSnapshot) -> Json:
    """A stream has succeeded when the server's END_STREAM came or went, whatever the status of the call."""
    failed = connection.streams_failed
    return {
        "streamsStarted": str(started),
        "streamsSucceeded": str(max(started - failed - len(connection.calls), 0)),
        "streamsFailed": str(failed),
    }


def _windows(connection: ConnectionSnapshot) -> Json:
    """``local`` is what this end may still send."""
    return {
        "localFlowControlWindow": str(connection.send_window),
        "remoteFlowControlWindow": str(connection.receive_window),
    }


def _security(session: ChannelSession | ServerSession) -> Json:
    security = session.security
    if security is None:
        return {}
    tls: Json = {"standardName" if security.cipher.startswith("TLS_") else "otherName": security.cipher}
    if security.certificate is not None:
        tls["remoteCertificate"] = b64encode(security.certificate.der).decode()
    return {"security": {"tls": tls}}


def _socket_ref(number: int, name: str) -> Json:
    return {"socketId": str(number), "name": name}


def _address(text: str) -> Json:
    """An address as it is shown, as a grpc.channelz.v1.Address."""
    try:
        host, port = split_host_port(text)
        octets = ipaddress.ip_address(host.partition("%")[0]).packed
    except ValueError:  # InvalidArgument is one
        if text.startswith("unix:"):
            return {"udsAddress": {"filename": text.removeprefix("unix:")}}
        return {"otherAddress": {"name": text}}
    return {"tcpipAddress": {"ipAddress": b64encode(octets).decode(), "port": port}}


def _with_time(data: Json, name: str, seconds: float | None) -> Json:
    if seconds is not None:
        whole, part = divmod(round(seconds * 1e6), 1_000_000)
        data[name] = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{part:06d}Z"
    return data


Question = Callable[[Channelz, Json], "Json | None"]

QUESTIONS: dict[str, Question] = {
    "GetTopChannels": lambda of, asked: of.top_channels(int(asked["startChannelId"]), int(asked["maxResults"])),
    "GetServers": lambda of, asked: of.servers(int(asked["startServerId"]), int(asked["maxResults"])),
    "GetServer": lambda of, asked: of.server(int(asked["serverId"])),
    "GetServerSockets": lambda of, asked: of.server_sockets(
        int(asked["serverId"]), int(asked["startSocketId"]), int(asked["maxResults"])
    ),
    "GetChannel": lambda of, asked: of.channel(int(asked["channelId"])),
    "GetSubchannel": lambda of, asked: of.subchannel(int(asked["subchannelId"])),
    "GetSocket": lambda of, asked: of.socket(int(asked["socketId"])),
}
"""The methods of the service by their names."""
