"""hello.HelloService, called with grpcio and with puregrpc's channel."""

from __future__ import annotations

from typing import Any

import pytest
from tests.server.serving import ON_WORLDS, channel_to, make_server
from tests.worlds import LOOPS, run

from puregrpc.channel import open_channel
from puregrpc.server import Server
from puregrpc.services import HelloService
from puregrpc.services.contracts import codec, method


def hello_server(server: Any) -> Any:
    HelloService().add_to(server)
    return server


@ON_WORLDS
def test_with_grpcio(world: str) -> None:
    bert, ernie = b"\n\x04Bert", b"\n\x05Ernie"
    with channel_to(hello_server(make_server(world)), world) as channel:
        assert channel.unary_unary("/hello.HelloService/SayHello")(bert) == b"\n\nhello Bert"
        assert channel.unary_unary("/hello.HelloService/SayHello")(b"") == b"\n\x0chello noname"
        replies = list(channel.unary_stream("/hello.HelloService/LotsOfReplies")(bert))
        assert replies == [b"\n\nhello Bert"] * 10
        together = channel.stream_unary("/hello.HelloService/LotsOfGreetings")(iter([bert, ernie]))
        assert together == b"\n\x11hello Bert, Ernie"
        each = list(channel.stream_stream("/hello.HelloService/BidiHello")(iter([bert, ernie])))
        assert each == [b"\n\nhello Bert", b"\n\x0bhello Ernie"]


@pytest.mark.parametrize("world", LOOPS)
def test_with_puregrpc(world: str) -> None:
    async def main() -> None:
        async with hello_server(Server("127.0.0.1:0")) as server, open_channel(server.addresses[0]) as channel:
            say_hello = channel.unary_unary(
                method("hello.proto", "hello.HelloService", "SayHello"), codec=codec("hello.proto")
            )
            assert await say_hello({"greeting": "Bert"}) == {"reply": "hello Bert"}

    run(main, world)
