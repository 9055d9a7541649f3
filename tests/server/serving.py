"""Runs a server in a trio loop and a blocking client (grpcio's) beside it in a thread."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import trio

from puregrpc.server import Context, Method, Server, Shape

T = TypeVar("T")

TIMEOUT = 120.0
"""A bound against hanging, in seconds; machines may be loaded."""


def run_beside(server: Server, client: Callable[..., T], *arguments: Any) -> T:
    """What ``client(address, *arguments)`` returns, run in a thread while the server serves."""

    async def main() -> T:
        with trio.fail_after(TIMEOUT):
            async with server:
                return await trio.to_thread.run_sync(client, server.addresses[0], *arguments)
        raise AssertionError

    return trio.run(main)


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


def echo_methods() -> list[Method]:
    """/test.Echo with a method of each shape, messages as bytes."""
    return [
        Method("/test.Echo/Unary", echo),
        Method("/test.Echo/ServerStream", repeat, Shape.SERVER_STREAM),
        Method("/test.Echo/ClientStream", join, Shape.CLIENT_STREAM),
        Method("/test.Echo/Bidi", echo_each, Shape.BIDI),
    ]


def echo_server(*more: Method, **options: Any) -> Server:
    server = Server("127.0.0.1:0", **options)
    server.add_methods(echo_methods())
    server.add_methods(more)
    return server
