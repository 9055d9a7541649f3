"""What a client's calls, streams and connections leave behind: nothing, and nothing to the garbage collector."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from puregrpc import Client, Stream
from puregrpc.errors import RpcError
from tests.freeing import freed_without_collector
from tests.server.serving import echo_server, serving

TIMES = 5

PROTO = """
syntax = "proto3";
package test;
message Text { string text = 1; }
service Echo {
  rpc Unary(Text) returns (Text);
  rpc ServerStream(Text) returns (stream Text);
  rpc Bidi(stream Text) returns (stream Text);
  rpc Nothing(Text) returns (Text);
}
"""

TEXT = {"text": "request"}


@pytest.fixture
def address() -> Iterator[str]:
    with serving(echo_server("threads"), "threads") as running:
        yield running.address


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    (tmp_path / "echo.proto").write_text(PROTO)
    client = Client()
    client.load([str(tmp_path)], "echo.proto")
    yield client
    client.close()


def invoke(client: Client) -> None:
    assert client.invoke("test.Echo/Unary", TEXT).message == TEXT


def invoke_nothing(client: Client) -> None:
    assert client.invoke("test.Echo/Nothing", TEXT).error is not None


def invoke_beside(client: Client) -> None:
    assert client.async_invoke("test.Echo/Unary", TEXT).result(10).message == TEXT


def cancel(client: Client) -> None:
    client.async_invoke("test.Echo/Unary", TEXT).cancel()


def iterate(client: Client) -> None:
    stream = Stream(client, "test.Echo/Bidi")
    stream.write(TEXT)
    stream.end()
    assert list(stream) == [TEXT]


def leave(client: Client) -> None:
    with Stream(client, "test.Echo/Bidi") as stream:
        stream.write(TEXT)
        assert next(iter(stream)) == TEXT


def take_what_is_no_message(client: Client) -> None:
    stream = Stream(client, "test.Echo/ServerStream")  # its digit is no field
    stream.write(TEXT)
    with pytest.raises(RpcError):
        list(stream)


WAYS: tuple[Callable[[Client], None], ...] = (
    invoke, invoke_nothing, invoke_beside, cancel, iterate, leave, take_what_is_no_message,
)  # fmt: skip


@pytest.mark.parametrize("use", WAYS)
def test_calls(client: Client, address: str, use: Callable[[Client], None]) -> None:
    client.connect(address, plaintext=True)
    use(client)
    with freed_without_collector(use.__name__, lambda: True):
        for _ in range(TIMES):
            use(client)
        time.sleep(0.1)  # for what comes behind the end of a call


def test_streams_with_handlers(client: Client, address: str) -> None:
    def handle() -> None:
        ended: list[object] = []
        stream = Stream(client, "test.Echo/Bidi")
        stream.on("data", ended.append)
        stream.on("end", lambda: ended.append(None))
        stream.write(TEXT)
        stream.end()
        assert stream.wait(10_000)
        assert ended == [TEXT, None]

    client.connect(address, plaintext=True)
    handle()
    with freed_without_collector("handlers", lambda: True):
        for _ in range(TIMES):
            handle()
        time.sleep(0.1)


def test_connections(client: Client, address: str) -> None:
    def connect() -> None:
        client.connect(address, plaintext=True)
        invoke(client)
        client.close()

    connect()
    with freed_without_collector("connections", lambda: True):
        for _ in range(TIMES):
            connect()
