"""What grpcio-channelz asks for, of channels and servers that live."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.conftest import unary_unary

import grpc
from grpc._cython import cygrpc

Serve = Callable[..., int]
Connect = Callable[..., grpc.Channel]


def echo(request: bytes, context: grpc.ServicerContext) -> bytes:
    return request


def ask(name: str, *arguments: int) -> Any:
    return json.loads(getattr(cygrpc, name)(*arguments))


def test_channels_subchannels_and_sockets_are_told(serve: Serve, connect: Connect) -> None:
    channel = connect(serve(unary_unary(echo)))
    method = channel.unary_unary("/a.B/Call")
    for _ in range(3):
        method(b"x")
    with pytest.raises(grpc.RpcError):
        channel.unary_unary("/a.B/Other")(b"x")
    found = ask("channelz_get_top_channels", 0)["channel"][-1]
    assert (found["data"]["callsStarted"], found["data"]["callsSucceeded"], found["data"]["callsFailed"]) == (
        "4",
        "3",
        "1",
    )
    assert found["data"]["state"] == {"state": "READY"}
    assert ask("channelz_get_channel", int(found["ref"]["channelId"]))["channel"]["ref"] == found["ref"]
    (reference,) = found["subchannelRef"]
    subchannel = ask("channelz_get_subchannel", int(reference["subchannelId"]))["subchannel"]
    (socket,) = subchannel["socketRef"]
    told = ask("channelz_get_socket", int(socket["socketId"]))["socket"]
    assert told["data"]["streamsStarted"] == "4"
    assert told["remote"]["tcpipAddress"]["ipAddress"] == "fwAAAQ=="
    channel.close()
    with pytest.raises(ValueError, match="channel_id"):
        ask("channelz_get_channel", int(found["ref"]["channelId"]))


def test_servers_and_their_sockets_are_told(serve: Serve, connect: Connect) -> None:
    port = serve(unary_unary(echo))
    connect(port).unary_unary("/a.B/Call")(b"x")
    server = ask("channelz_get_servers", 0)["server"][-1]
    number = int(server["ref"]["serverId"])
    assert server["data"]["callsSucceeded"] == "1"
    (listener,) = server["listenSocket"]
    assert ask("channelz_get_socket", int(listener["socketId"]))["socket"]["local"]["tcpipAddress"]["port"] == port
    (socket,) = ask("channelz_get_server_sockets", number, 0, 0)["socketRef"]
    assert ask("channelz_get_socket", int(socket["socketId"]))["socket"]["data"]["streamsSucceeded"] == "1"
    assert ask("channelz_get_server", number)["server"]["ref"] == server["ref"]
    with pytest.raises(ValueError, match="socket_id"):
        ask("channelz_get_socket", 1 << 50)


def test_what_is_not_to_be_shown_is_not(connect: Connect) -> None:
    before = ask("channelz_get_top_channels", 0)["channel"]
    connect(1, options=(("grpc.enable_channelz", 0),))
    assert len(ask("channelz_get_top_channels", 0)["channel"]) == len(before)


def test_xds_is_not_here() -> None:
    with pytest.raises(NotImplementedError, match="xDS"):
        cygrpc.dump_xds_configs  # noqa: B018
