"""Calls that a server did not begin are made again, unnoticed (gRFC A6): every kind of call, of every client."""

from __future__ import annotations

import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import pytest
from hyperframe.frame import GoAwayFrame

from puregrpc import AsyncClient, Client, Response, Stream
from puregrpc.wire.connection import ConnectionConfig, Request, ServerCall
from tests.channel.raw_server import greet, raw_server, read_until_end
from tests.channel.wire_server import EchoCall, SilentCall, WireServer, WireSession, wire_server
from tests.client.lab import DEFINITIONS
from tests.worlds import LOOPS, beside, run

ECHO = "lab.Bench/Echo"
CALLS = 16

Server = Callable[[], AbstractContextManager[str]]


@contextmanager
def refuses() -> Iterator[str]:
    """A server that refuses each call once (REFUSED_STREAM)."""
    refused: list[str | bytes] = []

    def on_call(session: WireSession, request: Request) -> ServerCall | None:
        number = dict(request.metadata)["x-number"]
        if number in refused:
            return EchoCall(session)
        refused.append(number)
        return None

    with wire_server(on_call) as server:
        yield server.address
    assert len(refused) == CALLS


@contextmanager
def takes_no_call() -> Iterator[str]:
    """A server whose first connection takes no call: its GOAWAY has the last stream id 0."""

    def go_away(sock: socket.socket) -> None:
        greet(sock)
        octets = b""
        while not has_headers(octets):
            octets += sock.recv(1 << 16)
        sock.sendall(GoAwayFrame(0, last_stream_id=0).serialize())
        read_until_end(sock)

    server = WireServer(lambda session, _: EchoCall(session))
    with raw_server(go_away, server.handle) as address:
        yield address
    assert len(server.sessions) == 1


def has_headers(octets: bytes) -> bool:
    while len(octets) >= 9:
        if octets[3] == 1:
            return True
        octets = octets[9 + int.from_bytes(octets[:3], "big") :]
    return False


@contextmanager
def takes_ten_calls() -> Iterator[str]:
    """A server whose connections take ten calls each, as nginx's do with ``keepalive_requests 10``."""
    counts: dict[WireSession, int] = {}
    goaway = GoAwayFrame(0, last_stream_id=19).serialize()

    def on_call(session: WireSession, request: Request) -> ServerCall | None:
        counts[session] = count = counts.get(session, 0) + 1
        if count == 10:
            session.do(lambda: session.socket.sendall(goaway))
        return EchoCall(session) if count <= 10 else SilentCall()

    with wire_server(on_call) as server:
        yield server.address
    assert len(counts) > 1


@contextmanager
def takes_one_at_a_time() -> Iterator[str]:
    """A server whose first connection takes one call at a time, and goes away while the others wait for their turn."""

    class SlowEcho(EchoCall):
        def on_message(self, message: bytes) -> None:
            answer = partial(self.session.connection.send_response, self, message)
            threading.Timer(0.2, lambda: self.session.do(answer)).start()

    def on_call(session: WireSession, request: Request) -> ServerCall | None:
        if session is not server.sessions[0]:
            return EchoCall(session)
        session.go_away()
        session.go_away()
        return SlowEcho(session)

    with wire_server(on_call, ConnectionConfig(max_concurrent_streams=1)) as server:
        yield server.address
    assert len(server.sessions) > 1


SERVERS: list[Server] = [refuses, takes_no_call, takes_ten_calls, takes_one_at_a_time]


def params(number: int) -> dict[str, object]:
    return {"metadata": {"x-number": str(number)}, "timeout": "15s"}


def text_of(response: Response) -> str:
    assert response.error is None, response.error
    text: str = response.message["aString"]
    return text


# -- on threads


def invoke(client: Client) -> list[str]:
    def call(number: int) -> str:
        return text_of(client.invoke(ECHO, {"aString": str(number)}, params(number)))

    with ThreadPoolExecutor(CALLS) as threads:
        return list(threads.map(call, range(CALLS)))


def async_invoke(client: Client) -> list[str]:
    begun = [client.async_invoke(ECHO, {"aString": str(number)}, params(number)) for number in range(CALLS)]
    return [text_of(future.result(20)) for future in begun]


def iterated_streams(client: Client) -> list[str]:
    streams = [Stream(client, ECHO, params(number)) for number in range(CALLS)]
    for number, stream in enumerate(streams):
        stream.write({"aString": str(number)})
    return [message["aString"] for stream in streams for message in stream]


def handled_streams(client: Client) -> list[str]:
    received: dict[int, str] = {}
    streams = [Stream(client, ECHO, params(number)) for number in range(CALLS)]
    for number, stream in enumerate(streams):
        stream.on("data", lambda message, _, number=number: received.update({number: message["aString"]}))
        stream.write({"aString": str(number)})
    for stream in streams:
        assert stream.wait(20_000)
        assert stream.error is None
    return [received[number] for number in range(CALLS)]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("make_calls", [invoke, async_invoke, iterated_streams, handled_streams])
def test_calls_on_threads_are_made_again(server: Server, make_calls: Callable[[Client], list[str]]) -> None:
    with server() as address, Client() as client:
        client.load([DEFINITIONS], "lab.proto")
        client.connect(address, plaintext=True)
        assert make_calls(client) == [str(number) for number in range(CALLS)]


# -- on loops


async def gather(call: Callable[[int], Awaitable[str]]) -> list[str]:
    """What so many calls at a time give."""
    texts: dict[int, str] = {}

    async def one(number: int) -> None:
        texts[number] = await call(number)

    await beside(*(partial(one, number) for number in range(CALLS)))
    return [texts[number] for number in range(CALLS)]


async def invoke_on_loop(client: AsyncClient) -> list[str]:
    async def call(number: int) -> str:
        return text_of(await client.invoke(ECHO, {"aString": str(number)}, params(number)))

    return await gather(call)


async def async_invoke_on_loop(client: AsyncClient) -> list[str]:
    begun = [client.async_invoke(ECHO, {"aString": str(number)}, params(number)) for number in range(CALLS)]
    return [text_of(await pending) for pending in begun]


async def iterated_streams_on_loop(client: AsyncClient) -> list[str]:
    async def call(number: int) -> str:
        async with client.stream(ECHO, params(number)) as stream:
            await stream.write({"aString": str(number)})
            return "".join([message["aString"] async for message in stream])

    return await gather(call)


async def handled_streams_on_loop(client: AsyncClient) -> list[str]:
    async def call(number: int) -> str:
        received: list[str] = []
        stream = client.stream(ECHO, params(number))
        stream.on("data", lambda message: received.append(message["aString"]))
        await stream.write({"aString": str(number)})
        await stream.wait()
        assert stream.error is None
        return "".join(received)

    return await gather(call)


@pytest.mark.parametrize("world", LOOPS)
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    "make_calls", [invoke_on_loop, async_invoke_on_loop, iterated_streams_on_loop, handled_streams_on_loop]
)
def test_calls_on_loops_are_made_again(
    world: str, server: Server, make_calls: Callable[[AsyncClient], Awaitable[list[str]]]
) -> None:
    async def main() -> None:
        async with AsyncClient() as client:
            client.load([DEFINITIONS], "lab.proto")
            await client.connect(address, plaintext=True)
            assert await make_calls(client) == [str(number) for number in range(CALLS)]

    with server() as address:
        run(main, world)
