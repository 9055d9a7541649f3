"""What worker processes are made with."""

from __future__ import annotations

import os
import time
from typing import Any

from tests.server.serving import sleep

from puregrpc.errors import InvalidArgument
from puregrpc.server import BlockingServer, Context, Method, Server
from puregrpc.transport import TlsOptions

ADDRESS = "PUREGRPC_TEST_ADDRESS"
CERTIFICATE = "PUREGRPC_TEST_CERTIFICATE"


async def pid(request: bytes, context: Context) -> bytes:
    return str(os.getpid()).encode()


def plain_pid(request: bytes, context: Context) -> bytes:
    return str(os.getpid()).encode()


async def wait(request: bytes, context: Context) -> bytes:
    await sleep(float(request))
    return b"waited"


def plain_wait(request: bytes, context: Context) -> bytes:
    end = time.monotonic() + float(request)
    while time.monotonic() < end and not context.cancelled:
        time.sleep(0.01)
    return b"waited"


def die(request: bytes, context: Context) -> bytes:
    os._exit(7)


async def hang(request: bytes, context: Context) -> bytes:
    time.sleep(60)  # noqa: ASYNC251 - it blocks the loop, and is meant to
    return b""


def _fill(server: Any, *, plain: bool) -> Any:
    server.add_methods(
        [
            Method("/test.W/Pid", plain_pid if plain else pid),
            Method("/test.W/Wait", plain_wait if plain else wait),
            Method("/test.W/Die", die),
        ]
    )
    if not plain:
        server.add_method(Method("/test.W/Hang", hang))
    return server


def _address() -> str:
    return os.environ.get(ADDRESS, "127.0.0.1:0")


def server() -> Server:
    tls = None
    if CERTIFICATE in os.environ:
        tls = TlsOptions(certificate_chain=os.environ[CERTIFICATE])
    made: Server = _fill(Server(_address(), tls=tls), plain=False)
    return made


def blocking_server() -> BlockingServer:
    made: BlockingServer = _fill(BlockingServer(_address()), plain=True)
    return made


FACTORIES = {"asyncio": server, "trio": server, "threads": blocking_server}


def raises() -> Server:
    raise ZeroDivisionError("in the factory")


def raises_an_error_of_the_library() -> Server:
    raise InvalidArgument("the factory's own")


def exits() -> Server:
    os._exit(3)


def makes_nothing() -> Any:
    return None


def makes_something_else_each_time() -> Server:
    return Server(f"unix:{os.environ[ADDRESS]}-{os.getpid()}")


asyncio_server = server()
"""One that is made when the module is imported."""
