"""What calls, connections and channels leave behind when they are over: nothing, and nothing to the garbage collector.

Client and server are of one process, so that this holds both sides of a call.
"""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from puregrpc.errors import RpcError
from puregrpc.server import Context, Method, ServerConfig, Shape
from puregrpc.wire.status import StatusCode
from tests.freeing import freed_without_collector
from tests.server.serving import STYLES, Running, echo_server, serving
from tests.server.serving import sleep as sleep_in_loop
from tests.worlds import move_on_after, open_channel, run, sleep, until

TIMES = 5

SERVERS = pytest.mark.parametrize(("serves", "style"), STYLES)


async def wait(request: bytes, context: Context) -> bytes:
    """Waits until the call is over."""
    await sleep_in_loop(60)
    return request


def plain_wait(request: bytes, context: Context) -> bytes:
    end = time.monotonic() + 60
    while not context.cancelled and time.monotonic() < end:
        time.sleep(0.002)
    return request


async def abort(request: bytes, context: Context) -> bytes:
    context.abort(StatusCode.NOT_FOUND, "on purpose")


def plain_abort(request: bytes, context: Context) -> bytes:
    context.abort(StatusCode.NOT_FOUND, "on purpose")


async def crash(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request
        raise ValueError("on purpose")


def plain_crash(requests: Iterator[bytes], context: Context) -> Iterator[bytes]:
    for request in requests:
        yield request
        raise ValueError("on purpose")


def called_server(serves: str, style: str, config: ServerConfig) -> Any:
    is_async = style == "async"
    return echo_server(
        serves,
        Method("/test.Echo/Wait", wait if is_async else plain_wait, Shape.UNARY),
        Method("/test.Echo/Abort", abort if is_async else plain_abort, Shape.UNARY),
        Method("/test.Echo/Crash", crash if is_async else plain_crash, Shape.BIDI),
        style=style,
        config=config,
    )


# -- ways to call


async def unary(channel: Any) -> None:
    await channel.unary_unary("/test.Echo/Unary")(b"request")


async def server_stream(channel: Any) -> None:
    async for _ in channel.unary_stream("/test.Echo/ServerStream")(b"request"):
        pass


async def client_stream(channel: Any) -> None:
    await channel.stream_unary("/test.Echo/ClientStream")([b"one", b"two"])


async def bidi(channel: Any) -> None:
    async for _ in channel.stream_stream("/test.Echo/Bidi")([b"one", b"two"]):
        pass


async def conversation(channel: Any) -> None:
    async with channel.call("/test.Echo/Bidi") as call:
        await call.send(b"request")
        await call.receive()
        await call.half_close()
        assert await call.receive() is None


async def error(channel: Any) -> None:
    with pytest.raises(RpcError):
        await channel.unary_unary("/test.Echo/Abort")(b"request")


async def unknown_method(channel: Any) -> None:
    with pytest.raises(RpcError):
        async for _ in channel.stream_stream("/test.Echo/Nothing")([b"one", b"two"]):
            pass


async def exception_in_stream(channel: Any) -> None:
    with pytest.raises(RpcError):
        async for _ in channel.stream_stream("/test.Echo/Crash")([b"one", b"two"]):
            pass


async def exception_of_requests(channel: Any) -> None:
    def requests() -> Iterator[bytes]:
        yield b"one"
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        await channel.stream_unary("/test.Echo/ClientStream")(requests())


async def deadline(channel: Any) -> None:
    with pytest.raises(RpcError):
        await channel.unary_unary("/test.Echo/Wait")(b"request", timeout=0.01)


async def deadline_of_stream(channel: Any) -> None:
    with suppress(RpcError):
        async with channel.call("/test.Echo/Bidi", timeout=0.01) as call:
            await call.send(b"request")
            await call.receive()
            await call.receive()


async def left_stream(channel: Any) -> None:
    async with channel.call("/test.Echo/Bidi") as call:
        await call.send(b"request")
        await call.receive()


async def cancelled(channel: Any) -> None:
    async def call() -> None:
        await channel.unary_unary("/test.Echo/Wait")(b"request")

    await move_on_after(0.01, call)


async def cancelled_stream(channel: Any) -> None:
    async def call() -> None:
        async with channel.call("/test.Echo/Bidi") as call:
            await call.send(b"request")
            await call.receive()
            await call.receive()

    await move_on_after(0.01, call)


CALLS: tuple[Callable[[Any], Awaitable[None]], ...] = (
    unary, server_stream, client_stream, bidi, conversation, error, unknown_method, exception_in_stream,
    exception_of_requests, deadline, deadline_of_stream, left_stream,
)  # fmt: skip
CANCELLED = (cancelled, cancelled_stream)


def has_no_calls(running: Running) -> bool:
    """The server has heard of the end of all calls."""
    return not any(connection.connection.calls for connection in running.snapshot().connections)


@SERVERS
def test_calls(world: str, engine: Any, serves: str, style: str) -> None:
    if world not in ("threads", serves):
        pytest.skip("what the server's worlds leave, callers on threads tell")
    with serving(called_server(serves, style, ServerConfig(engine=engine)), serves) as running:

        async def call_all() -> None:
            async with open_channel(running.address) as channel:
                for call in CALLS if world == "threads" else (*CALLS, *CANCELLED):
                    await call(channel)
                    with freed_without_collector(call.__name__, lambda: has_no_calls(running)):
                        for _ in range(TIMES):
                            await call(channel)
                        await sleep(0.05)  # for what comes behind the end of a call

        run(call_all, world)


@pytest.mark.parametrize("balancing", ["pick_first", "round_robin"])
def test_channels(world: str, balancing: str) -> None:
    with serving(called_server("threads", "plain", ServerConfig()), "threads") as running:

        async def open_all() -> None:
            for call in (unary, left_stream, deadline):

                async def open_and_close(call: Callable[[Any], Awaitable[None]] = call) -> None:
                    async with open_channel(running.address, load_balancing=balancing) as channel:
                        await call(channel)

                await open_and_close()
                with freed_without_collector(call.__name__, lambda: not running.snapshot().connections):
                    for _ in range(TIMES):
                        await open_and_close()
                    await sleep(0.05)

        run(open_all, world)


def test_connections_that_are_lost_and_made_anew(world: str) -> None:
    config = ServerConfig(max_connection_idle=0.1)
    with serving(called_server("threads", "plain", config), "threads") as running:

        async def call_often() -> None:
            async with open_channel(running.address) as channel:

                async def call_and_wait() -> None:
                    await channel.unary_unary("/test.Echo/Unary")(b"request", wait_for_ready=True)
                    await until(lambda: not running.snapshot().connections)

                await call_and_wait()
                with freed_without_collector("idle", lambda: True):
                    for _ in range(TIMES):
                        await call_and_wait()
                    await sleep(0.1)

        run(call_often, world)


@pytest.mark.parametrize("balancing", ["pick_first", "round_robin"])
def test_channels_that_are_not_connected(world: str, balancing: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as other:
        gone = other.getsockname()[1]
        other.close()
        answering = silent.getsockname()[1]

        async def call_all() -> None:
            for target in (f"127.0.0.1:{answering}", f"127.0.0.1:{gone}", f"ipv4:127.0.0.1:{gone},127.0.0.2:{gone}"):

                async def open_and_close(target: str = target) -> None:
                    async with open_channel(target, load_balancing=balancing) as channel:
                        with pytest.raises(RpcError):
                            await channel.unary_unary("/test.Echo/Unary")(b"request", timeout=0.05)

                await open_and_close()
                with freed_without_collector(target, lambda: True):
                    for _ in range(TIMES):
                        await open_and_close()
                    await sleep(0.1)

        run(call_all, world)
