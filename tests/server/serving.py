"""Servers of all worlds, each in a thread of its own with its loop, and blocking clients (grpcio's) beside them.

A world is "trio", "asyncio", "uvloop" or "threads"; a style is how handlers are written, "async" or "plain".
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, TypeVar

import grpc
import pytest
import trio

from puregrpc.kernel.current import running_world
from puregrpc.server import BlockingServer, Context, Method, Server, ServerSnapshot, Shape
from puregrpc.server.base import ServerBase

T = TypeVar("T")

TIMEOUT = 60.0
"""A bound against hanging, in seconds; machines may be loaded."""

LOOPS = ("trio", "asyncio")
WORLDS = (*LOOPS, "threads")
HAS_UVLOOP = find_spec("uvloop") is not None
STYLES = (
    ("trio", "async"),
    ("trio", "plain"),
    ("asyncio", "async"),
    ("asyncio", "plain"),
    *([("uvloop", "async")] if HAS_UVLOOP else []),
    ("threads", "plain"),
)

ENGINES = pytest.mark.parametrize("engine", ["h2", "fast"])
ON_LOOPS = pytest.mark.parametrize("world", LOOPS)
ON_WORLDS = pytest.mark.parametrize("world", WORLDS)
IN_STYLES = pytest.mark.parametrize(("world", "style"), STYLES)


def make_server(world: str, *targets: str, **options: Any) -> Server | BlockingServer:
    """A server of the world; by default it listens on a free port."""
    kind = BlockingServer if world == "threads" else Server
    return kind(*(targets or ("127.0.0.1:0",)), **options)


def run(world: str, function: Callable[..., Any], *arguments: Any, seconds: float = TIMEOUT) -> Any:
    """Run an async function in a loop of the world."""
    if world == "trio":

        async def bounded() -> Any:
            with trio.fail_after(seconds):
                return await function(*arguments)

        return trio.run(bounded)

    async def bounded_too() -> Any:
        return await asyncio.wait_for(function(*arguments), seconds)

    if world == "uvloop":
        import uvloop

        return uvloop.run(bounded_too())
    return asyncio.run(bounded_too())


async def sleep(seconds: float) -> None:
    """Sleep in the world that runs."""
    if running_world() == "trio":
        await trio.sleep(seconds)
    else:
        await asyncio.sleep(seconds)


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Run what blocks beside the loop that runs."""
    if running_world() == "trio":
        return await trio.to_thread.run_sync(function, *arguments)
    return await asyncio.to_thread(function, *arguments)


async def until(condition: Callable[[], object], seconds: float = 15) -> None:
    """Wait for what no event tells of."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        await sleep(0.005)


class Running:
    """A server that runs."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.error: BaseException | None = None
        self._commands: list[Callable[[], Any]] = []

    @property
    def address(self) -> str:
        address: str = self.server.addresses[0]
        return address

    def snapshot(self) -> ServerSnapshot:
        """The server as it stands."""
        snapshot: ServerSnapshot = self.perform(self.server.snapshot)
        return snapshot

    def perform(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function in the thread of the server's loop."""
        if isinstance(self.server, BlockingServer):
            return function(*arguments)
        result: T = self.server._running().threads.perform(function, *arguments)
        return result

    def stop(self, grace: float | None = None) -> None:
        """Stop it, and wait for that."""
        self.stop_soon(grace).wait(TIMEOUT)

    def stop_soon(self, grace: float | None = None) -> threading.Event:
        """Stop it."""
        if isinstance(self.server, BlockingServer):
            return self.server.stop(grace)
        stopped = threading.Event()

        async def stop() -> None:
            try:
                await self.server.stop(grace)
            finally:
                stopped.set()

        self.server.kernel.call_soon(self.server.kernel.spawn, stop)
        return stopped


@contextmanager
def serving(server: ServerBase, world: str) -> Iterator[Running]:
    """Run the server beside the body, and stop it at its end; what ends it otherwise is raised here."""
    running = Running(server)
    if isinstance(server, BlockingServer):
        with server:
            yield running
        return
    assert isinstance(server, Server)
    started = threading.Event()
    leave = threading.Event()

    async def main() -> None:
        async with server:
            started.set()
            await until(leave.is_set, TIMEOUT)

    def in_loop() -> None:
        try:
            run(world, main)
        except BaseException as error:
            running.error = error
        finally:
            started.set()

    thread = threading.Thread(target=in_loop, name=f"test's {world}")
    thread.start()
    started.wait(TIMEOUT)
    try:
        if running.error is None:
            yield running
    finally:
        leave.set()
        thread.join(TIMEOUT)
        assert not thread.is_alive()
    if running.error is not None:
        raise running.error


def run_beside(server: ServerBase, world: str, client: Callable[..., T], *arguments: Any) -> T:
    """What ``client(address, *arguments)`` returns while the server serves."""
    with serving(server, world) as running:
        return client(running.address, *arguments)


@contextmanager
def channel_to(server: ServerBase, world: str, **options: Any) -> Iterator[grpc.Channel]:
    """grpcio's channel to a server that runs meanwhile."""
    with serving(server, world) as running, grpc.insecure_channel(running.address, **options) as channel:
        yield channel


# -- handlers


async def echo(request: bytes, context: Context) -> bytes:
    return request


async def repeat(request: bytes, context: Context) -> AsyncIterator[bytes]:
    for number in range(3):
        yield request + b"%d" % number


async def join(requests: AsyncIterator[bytes], context: Context) -> bytes:
    return b",".join([request async for request in requests])


async def echo_each(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request


def plain_echo(request: bytes, context: Context) -> bytes:
    return request


def plain_repeat(request: bytes, context: Context) -> Iterator[bytes]:
    for number in range(3):
        yield request + b"%d" % number


def plain_join(requests: Iterable[bytes], context: Context) -> bytes:
    return b",".join(requests)


def plain_echo_each(requests: Iterable[bytes], context: Context) -> Iterator[bytes]:
    yield from requests


def handlers(style: str) -> dict[Shape, Callable[..., Any]]:
    """Handlers of the style, which echo in one way or other."""
    if style == "async":
        return {Shape.UNARY: echo, Shape.SERVER_STREAM: repeat, Shape.CLIENT_STREAM: join, Shape.BIDI: echo_each}
    return {
        Shape.UNARY: plain_echo,
        Shape.SERVER_STREAM: plain_repeat,
        Shape.CLIENT_STREAM: plain_join,
        Shape.BIDI: plain_echo_each,
    }


NAMES = {
    Shape.UNARY: "Unary",
    Shape.SERVER_STREAM: "ServerStream",
    Shape.CLIENT_STREAM: "ClientStream",
    Shape.BIDI: "Bidi",
}


def echo_methods(style: str) -> list[Method]:
    """/test.Echo with a method of each shape, messages as bytes."""
    return [Method(f"/test.Echo/{NAMES[shape]}", handler, shape) for shape, handler in handlers(style).items()]


def style_of(world: str) -> str:
    """A style that the world can run."""
    return "plain" if world == "threads" else "async"


def echo_server(world: str, *more: Method, style: str = "", **options: Any) -> Any:
    """A server with the echo methods and others."""
    server = make_server(world, **options)
    server.add_methods(echo_methods(style or style_of(world)))
    server.add_methods(more)
    return server


# -- clients


def caller(channel: grpc.Channel, path: str, shape: Shape) -> Any:
    """What calls a method of the shape, with a request or an iterator of requests."""
    name = f"{'stream' if shape.requests_stream else 'unary'}_{'stream' if shape.responses_stream else 'unary'}"
    return getattr(channel, name)(path)


def request_for(shape: Shape, *requests: bytes) -> Any:
    """What is given to `caller`: a request, or an iterator of them."""
    return iter(requests) if shape.requests_stream else requests[0]


def status_of(call: Any) -> tuple[grpc.StatusCode, str]:
    """How a call fails."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error: Any = caught.value
    return error.code(), error.details()
