"""A server that takes no headers, or hardly any: the call has a status that says so, whichever way it is made."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import grpc
import pytest
import trio

from puregrpc import BlockingServer, Client, Server, StatusResourceExhausted, Stream
from puregrpc.channel import BlockingChannel, RetryPolicy, open_channel
from puregrpc.errors import InvalidArgument, RpcError
from puregrpc.server import Context, Method, ServerConfig
from puregrpc.testing import FrameFactory
from puregrpc.wire import EngineName
from tests.server.serving import run_beside

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


LARGE = b"\x12\xe0\xc5\x08" + b"t" * 140_000
"""A google.rpc.Status with a long message: 187 KB in base64."""


def failing_server(config: ServerConfig = ServerConfig()) -> Server:  # noqa: B008 - frozen
    def fail(request: bytes, context: Context) -> bytes:
        context.set_trailing_metadata({"x-peer": context.peer})
        raise RpcError(9, "large" if request else "small", details_bin=LARGE if request else b"\x08\x09")

    server = Server("127.0.0.1:0", config=config)
    server.add_method(Method("/large.Errors/Fail", fail))
    return server


def of_blocking_channel(address: str, engine: EngineName, options: dict[str, int]) -> list[RpcError]:
    with BlockingChannel(address, engine=engine, **options) as channel:  # type: ignore[arg-type]
        return [caught(partial(channel.unary_unary("large.Errors/Fail"), request)) for request in CALLS]


def of_open_channel(address: str, engine: EngineName, options: dict[str, int]) -> list[RpcError]:
    async def main() -> list[RpcError]:
        errors = []
        async with open_channel(address, engine=engine, **options) as channel:  # type: ignore[arg-type]
            for request in CALLS:
                try:
                    await channel.unary_unary("large.Errors/Fail")(request)
                except RpcError as error:
                    errors.append(error)
        return errors

    return trio.run(main)


def caught(call: Callable[[], object]) -> RpcError:
    with pytest.raises(RpcError) as info:
        call()
    return info.value


CALLS = (b"x", b"", b"x")


@pytest.mark.parametrize("ask", [of_blocking_channel, of_open_channel])
def test_large_error_details(
    engine: EngineName, ask: Callable[[str, EngineName, dict[str, int]], list[RpcError]]
) -> None:
    def body(address: str) -> None:
        for error in ask(address, engine, {})[::2]:
            assert error.details_bin == LARGE
            assert error.details == {"code": 0, "message": "t" * 140_000, "details": []}
        first, second, third = ask(address, engine, {"max_header_list_size": 1000})
        # The server knows the limit, and leaves out what does not fit.
        assert [error.details_bin for error in (first, second, third)] == [None, b"\x08\x09", None]
        assert (first.code, first.message) == (9, "large")

    run_beside(failing_server(), "asyncio", body)


def test_the_params_of_the_client() -> None:
    for size in (0.5, "large", -1):
        with pytest.raises(InvalidArgument, match="maxHeaderListSize"):
            Client().connect("127.0.0.1:1", plaintext=True, maxHeaderListSize=size)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match=r"max_header_list_size is 1 to 16777216 bytes of metadata, not 33554432"):
        Client().connect("127.0.0.1:1", plaintext=True, max_header_list_size=32 << 20)
    with pytest.raises(InvalidArgument, match="max_header_list_size"):
        BlockingServer("127.0.0.1:0", config=ServerConfig(max_header_list_size=0))


@pytest.mark.parametrize("kind", ["h2", "fast"])
def test_requests_of_grpcio_over_the_limit(kind: EngineName) -> None:
    """grpcio sends more than a server announces; its connection lives on."""

    def body(address: str) -> None:
        peers = set()
        with grpc.insecure_channel(address) as channel:
            fail = channel.unary_unary("/large.Errors/Fail")
            for size, code in ((500, 9), (4000, 8), (14_000, 8), (500, 9)):
                with pytest.raises(grpc.RpcError) as caught:
                    fail(b"", metadata=[("x", "v" * size)], timeout=20)
                assert caught.value.code().value[0] == code, size
                if code == 8:
                    assert "more than the 4000 bytes that max_header_list_size allows" in caught.value.details()
                peers |= {value for name, value in caught.value.trailing_metadata() if name == "x-peer"}
        assert len(peers) == 1

    run_beside(failing_server(ServerConfig(max_header_list_size=4000, engine=kind)), "asyncio", body)
