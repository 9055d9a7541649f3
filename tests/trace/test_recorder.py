"""A recorder as ``trace=`` of the clients and ``tap=`` of a channel: every octet of their connections."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio
from tests.cli.conftest import serve_in_thread
from tests.trace.conversations import assert_every_octet_is_explained

from puregrpc import AsyncClient, Client, open_channel
from puregrpc.errors import InvalidArgument
from puregrpc.server import Server
from puregrpc.services.hello import HelloService
from puregrpc.services.reflection import ReflectionService
from puregrpc.trace import Recorder, explain


def hello() -> Server:
    server = Server("127.0.0.1:0")
    HelloService().add_to(server)
    ReflectionService().add_to(server)
    return server


@pytest.fixture(scope="module")
def target() -> Iterator[str]:
    yield from serve_in_thread(hello)


def said(recorder: Recorder) -> list[tuple[str, int | None]]:
    explanation = explain(recorder.recording())
    assert_every_octet_is_explained(explanation)
    assert explanation.problems() == ()
    return [(call.path.rpartition("/")[2], call.status) for call in explanation.calls]


def test_the_blocking_client(target: str) -> None:
    recorder = Recorder()
    with Client() as client:
        client.connect(target, plaintext=True, reflect=True, trace=recorder)
        response = client.invoke("hello.HelloService/SayHello", {"greeting": "Bert"})
        assert response.message == {"reply": "hello Bert"}
    assert said(recorder)[-1] == ("SayHello", 0)


def test_the_asynchronous_client_and_a_channel(target: str) -> None:
    recorders = Recorder(), Recorder()

    async def main() -> None:
        with trio.fail_after(20):
            async with AsyncClient() as client:
                await client.connect(target, plaintext=True, reflect=True, trace=recorders[0])
                await client.invoke("hello.HelloService/SayHello", {"greeting": "Bert"})
            async with open_channel(target, tap=recorders[1]) as channel:
                await channel.unary_unary("/hello.HelloService/SayHello")(b"")

    trio.run(main)
    assert said(recorders[0])[-1] == ("SayHello", 0)
    assert said(recorders[1]) == [("SayHello", 0)]


def test_what_is_no_recorder() -> None:
    with Client() as client, pytest.raises(InvalidArgument, match="needs to be a puregrpc"):
        client.connect("localhost:1", {"trace": True})
