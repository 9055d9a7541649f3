"""A server that takes no headers, or hardly any: the call has a status that says so, whichever way it is made."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from puregrpc import Client, StatusResourceExhausted, Stream
from puregrpc.channel import BlockingChannel, RetryPolicy, open_channel
from puregrpc.errors import RpcError
from puregrpc.testing import FrameFactory
from puregrpc.wire import EngineName

PATH = "hello.HelloService/SayHello"
RETRY = RetryPolicy(max_attempts=3, initial_backoff=0.01, max_backoff=0.01, backoff_multiplier=1)
EXPECTED = r"RESOURCE_EXHAUSTED: the request's headers take \d+ octets, the server takes 0 at most"


@contextmanager
def server_that_takes_no_headers() -> Iterator[str]:
    def serve() -> None:
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            with accepted:
                accepted.settimeout(20)
                frames = FrameFactory()
                accepted.sendall(frames.settings(max_header_list_size=0) + frames.settings_ack())
                try:
                    while accepted.recv(1 << 16):
                        pass
                except OSError:
                    continue

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def blocking_unary(address: str, engine: EngineName) -> None:
    with BlockingChannel(address, engine=engine) as channel:
        for _ in range(2):
            channel.unary_unary(PATH)(b"", timeout=10)


def blocking_stream(address: str, engine: EngineName) -> None:
    with BlockingChannel(address, engine=engine, retry=RETRY) as channel, channel.call(PATH, timeout=10) as call:
        call.send(b"")
        call.half_close()
        call.receive()


def in_trio_unary(address: str, engine: EngineName) -> None:
    async def call() -> None:
        async with open_channel(address, engine=engine) as channel:
            await channel.unary_unary(PATH)(b"", timeout=10)

    trio.run(call)


def in_trio_stream(address: str, engine: EngineName) -> None:
    async def call() -> None:
        async with open_channel(address, engine=engine, retry=RETRY) as channel:
            async with channel.call(PATH, timeout=10) as call:
                await call.send(b"")
                await call.half_close()
                await call.receive()

    trio.run(call)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    (tmp_path / "hello.proto").write_text("""
        syntax = "proto3";
        package hello;
        message Hello {}
        service HelloService { rpc SayHello (Hello) returns (Hello); rpc Greet (stream Hello) returns (stream Hello); }
    """)
    client = Client()
    client.load([str(tmp_path)], "hello.proto")
    yield client
    client.close()


def test_a_client_is_told_in_the_response(client: Client) -> None:
    with server_that_takes_no_headers() as address:
        client.connect(address, plaintext=True)
        response = client.invoke(PATH, {})
        assert response.status == StatusResourceExhausted
        assert "the server takes 0 at most" in str(response.error)
        future = client.async_invoke(PATH, {})
        assert future.result(timeout=10).status == StatusResourceExhausted
        stream = Stream(client, "hello.HelloService/Greet")
        with pytest.raises(RpcError, match="the server takes 0 at most"):
            list(stream)
        client.close()


@pytest.mark.parametrize("call", [blocking_unary, blocking_stream, in_trio_unary, in_trio_stream])
def test_the_status_says_that_the_headers_do_not_fit(
    call: Callable[[str, EngineName], None], engine: EngineName
) -> None:
    with server_that_takes_no_headers() as address, pytest.raises(RpcError, match=EXPECTED):
        call(address, engine)
