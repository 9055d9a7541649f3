"""Channelz: what it tells, and how a server is asked."""

from __future__ import annotations

import gc
from base64 import b64decode
from contextlib import suppress
from typing import Any

import pytest
from tests.server.serving import ON_WORLDS, make_server, serving

from puregrpc import BlockingChannel, BlockingServer
from puregrpc.errors import RpcError
from puregrpc.server import Context, Method, ServerSnapshot, Shape
from puregrpc.services import Channelz, ChannelzService
from puregrpc.services.channelz import data
from puregrpc.services.channelz.data import _address
from puregrpc.services.contracts import codec, contract

FILE = "grpc/channelz/v1/channelz.proto"


def echo(request: bytes, _: Context) -> bytes:
    return request


def fail(_: bytes, context: Context) -> bytes:
    context.abort(5, "no")


def called(address: str, method: str, **request: Any) -> dict[str, Any]:
    """What a server answers, by the contract."""
    messages = {message.name: message for message in contract(FILE).messages}
    encode = codec(FILE).encoder(messages[f"{method}Request"])
    decode = codec(FILE).decoder(messages[f"{method}Response"])
    with BlockingChannel(address) as channel:
        call = channel.unary_unary(f"/grpc.channelz.v1.Channelz/{method}", encode, decode)
        answer: dict[str, Any] = call(request, timeout=20)
        return answer


@ON_WORLDS
def test_a_server_tells_of_its_process(world: str) -> None:
    server = make_server(world)
    server.add_method(Method("/a.B/Echo", echo, Shape.UNARY))
    server.add_method(Method("/a.B/Fail", fail, Shape.UNARY))
    channelz = Channelz()
    ChannelzService(channelz).add_to(server)
    with serving(server, world) as running, BlockingChannel(running.address) as channel:
        channelz.add_channel(channel)
        for _ in range(3):
            channel.unary_unary("/a.B/Echo")(b"x")
        with suppress(RpcError):
            channel.unary_unary("/a.B/Fail")(b"")

        (top,) = called(running.address, "GetTopChannels")["channel"]
        assert top["ref"] == {"channelId": str(channel.number), "name": running.address}
        assert top["data"]["state"] == {"state": "READY"}
        assert [top["data"][name] for name in ("callsStarted", "callsSucceeded", "callsFailed")] == ["4", "3", "1"]
        assert top["data"]["lastCallStartedTimestamp"].endswith("Z")
        assert called(running.address, "GetChannel", channelId=channel.number)["channel"]["ref"] == top["ref"]
        (reference,) = top["subchannelRef"]
        subchannel = called(running.address, "GetSubchannel", subchannelId=reference["subchannelId"])["subchannel"]
        trace = top["data"]["trace"]
        assert [event["description"] for event in trace["events"]] == [
            "Channel created",
            "Subchannel created",
            "Channel state change to CONNECTING",
            "Channel state change to READY",
        ]
        assert trace["numEventsLogged"] == "4"
        assert trace["events"][1]["subchannelRef"] == reference
        assert {event["severity"] for event in trace["events"]} == {"CT_INFO"}
        assert [event["description"] for event in subchannel["data"]["trace"]["events"]] == [
            "Subchannel created",
            "Subchannel state change to CONNECTING",
            "Subchannel state change to READY",
        ]
        (reference,) = subchannel["socketRef"]
        socket = called(running.address, "GetSocket", socketId=reference["socketId"])["socket"]
        assert [socket["data"][name] for name in ("streamsStarted", "messagesSent", "messagesReceived")] == [
            "4",
            "4",
            "3",
        ]
        assert int(socket["data"]["localFlowControlWindow"]) > 0
        assert b64decode(socket["remote"]["tcpipAddress"]["ipAddress"]) == bytes((127, 0, 0, 1))
        port = socket["local"]["tcpipAddress"]["port"]

        (found,) = called(running.address, "GetServers")["server"]
        assert found["ref"]["serverId"] == str(server.number)
        assert int(found["data"]["callsStarted"]) >= 8
        assert found["data"]["callsFailed"] == "1"
        assert found["data"]["lastCallStartedTimestamp"] >= top["data"]["trace"]["creationTimestamp"]
        assert called(running.address, "GetServer", serverId=server.number)["server"]["ref"] == found["ref"]
        events = found["data"]["trace"]["events"]
        assert [event["description"] for event in events] == ["Server created", f"Listens on {running.address}"]
        (reference,) = found["listenSocket"]
        listening = called(running.address, "GetSocket", socketId=reference["socketId"])["socket"]
        assert f"127.0.0.1:{listening['local']['tcpipAddress']['port']}" == running.address
        references = called(running.address, "GetServerSockets", serverId=server.number)["socketRef"]
        (own,) = [each for each in references if each["name"].endswith(f":{port}")]
        accepted = called(running.address, "GetSocket", socketId=own["socketId"])["socket"]
        # A stream that brought a status has succeeded, whatever the status.
        for one in (socket, accepted):
            assert [one["data"][name] for name in ("streamsStarted", "streamsSucceeded", "streamsFailed")] == [
                "4",
                "4",
                "0",
            ]
        assert [accepted["data"][name] for name in ("messagesSent", "messagesReceived")] == ["3", "4"]
        for one, begun in ((socket, "lastLocalStream"), (accepted, "lastRemoteStream")):
            sent, received = (one["data"][f"lastMessage{what}Timestamp"] for what in ("Sent", "Received"))
            assert top["data"]["trace"]["creationTimestamp"] <= min(sent, received)
            assert max(sent, received) <= found["data"]["lastCallStartedTimestamp"]
            assert one["data"][f"{begun}CreatedTimestamp"] <= found["data"]["lastCallStartedTimestamp"]
        assert socket["data"]["lastMessageReceivedTimestamp"] >= accepted["data"]["lastMessageSentTimestamp"]
        last = accepted["data"]["lastRemoteStreamCreatedTimestamp"]
        assert top["data"]["trace"]["creationTimestamp"] <= last <= found["data"]["lastCallStartedTimestamp"]

        for method, field in (
            ("GetChannel", "channelId"), ("GetSubchannel", "subchannelId"), ("GetSocket", "socketId"),
            ("GetServer", "serverId"), ("GetServerSockets", "serverId"),
        ):  # fmt: skip
            with pytest.raises(RpcError, match="NOT_FOUND: channelz knows nothing of that number"):
                called(running.address, method, **{field: 10**9})
        with pytest.raises(RpcError, match="INVALID_ARGUMENT: channelz: numbers begin with 0: -1 is less"):
            called(running.address, "GetServers", maxResults=-1)


def test_pages_and_what_is_no_more() -> None:
    channelz = Channelz()
    assert channelz.top_channels() == {"channel": [], "end": True}
    channels = [BlockingChannel("localhost:1") for _ in range(3)]
    numbers = [channel.number for channel in channels]
    names = [str(number) for number in numbers]
    for channel in channels:
        channelz.add_channel(channel)
    first = channelz.top_channels(0, 2)
    assert [each["ref"]["channelId"] for each in first["channel"]] == names[:2]
    assert not first["end"]
    assert [each["ref"]["channelId"] for each in channelz.top_channels(numbers[1] + 1)["channel"]] == names[2:]
    assert first["channel"][0]["subchannelRef"] == []
    for channel in channels:
        channel.close()
    assert channelz.channel(numbers[0]) is not None
    del channel, channels
    gc.collect()
    assert channelz.channel(numbers[0]) is None
    server = BlockingServer("127.0.0.1:0")
    channelz.add_server(server)
    assert channelz.servers()["server"][0]["data"]["callsStarted"] == "0"
    assert "lastCallStartedTimestamp" not in channelz.servers()["server"][0]["data"]
    channelz.forget(server.number)
    channelz.forget(server.number)
    assert channelz.server(server.number) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:80", {"tcpipAddress": {"ipAddress": "fwAAAQ==", "port": 80}}),
        ("[::1]:81", {"tcpipAddress": {"ipAddress": "AAAAAAAAAAAAAAAAAAAAAQ==", "port": 81}}),
        ("[fe80::1%lo]:81", {"tcpipAddress": {"ipAddress": "/oAAAAAAAAAAAAAAAAAAAQ==", "port": 81}}),
        ("unix:/run/x", {"udsAddress": {"filename": "/run/x"}}),
        ("unix:", {"udsAddress": {"filename": ""}}),
        ("memory", {"otherAddress": {"name": "memory"}}),
    ],
)
def test_addresses(text: str, expected: dict[str, Any]) -> None:
    assert _address(text) == expected


@pytest.mark.parametrize(("cost", "made"), [(0.0001, 3), (5.0, 1)])
def test_a_snapshot_that_takes_long_is_good_for_longer(cost: float, made: int, monkeypatch: pytest.MonkeyPatch) -> None:
    worked = 0.0

    class Server:
        number = 7
        asked = 0

        def snapshot(self) -> ServerSnapshot:
            nonlocal worked
            worked += cost
            self.asked += 1
            return ServerSnapshot((), False, (), (), self.asked, {}, self.number)

    monkeypatch.setattr(data, "working_time", lambda: worked)
    server, channelz = Server(), Channelz()
    channelz.add_server(server)
    for _ in range(3):
        assert channelz.server(7) is not None
    assert server.asked == made
    channelz.forget(7)
    assert channelz.server(7) is None
    channelz.add_server(server)
    answer = channelz.server(7)
    assert answer is not None
    assert answer["server"]["data"]["callsStarted"] == str(made + 1)
