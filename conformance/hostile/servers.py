"""The servers that the catalogue is run against: ``python -m conformance.hostile.servers KIND HANDLERS``.

KIND is ``fast-trio``, ``h2-asyncio``, ``fast-threads`` and so on, or ``grpcio``. Behind it may stand ``-plain``, for
handlers that are plain functions where there is a loop, and ``-tls``. It prints its port once it listens.
"""

from __future__ import annotations

import asyncio
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING, Any

from conformance.hostile.victim import LARGE_ANSWER, PATH
from puregrpc.server import BlockingServer, Method, Server, ServerConfig, Shape
from puregrpc.services import add_health_and_reflection
from puregrpc.transport import TlsOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

KINDS = tuple(f"{engine}-{world}" for engine in ("fast", "h2") for world in ("trio", "asyncio", "threads"))
ADDRESS = "127.0.0.1:0"
LATE = 0.2
"""How many seconds a handler takes that answers late."""
QUICK_PATH = "/grpc.testing.TestService/EmptyCall"
"""What the client that behaves well calls meanwhile."""


async def echo(request: bytes, _context: Any) -> bytes:
    return request


async def large(_request: bytes, _context: Any) -> bytes:
    return b"x" * len(LARGE_ANSWER)


async def late(_request: bytes, context: Any) -> bytes:
    kernel = context.kernel
    await kernel.sleep(kernel.now() + LATE)
    return b"x" * len(LARGE_ANSWER)


async def deaf(_requests: Any, context: Any) -> AsyncIterator[bytes]:
    kernel = context.kernel
    await kernel.sleep(kernel.now() + 3600)
    yield b""


def plain_echo(request: bytes, _context: Any) -> bytes:
    return request


def plain_large(_request: bytes, _context: Any) -> bytes:
    return b"x" * len(LARGE_ANSWER)


def plain_late(_request: bytes, _context: Any) -> bytes:
    time.sleep(LATE)
    return b"x" * len(LARGE_ANSWER)


def plain_deaf(_requests: Any, context: Any) -> Iterator[bytes]:
    ended = Event()
    context.add_callback(ended.set)
    ended.wait()
    yield b""


def methods(handlers: str, *, is_plain: bool) -> list[Method]:
    """What a server of puregrpc's serves."""
    served = [Method(QUICK_PATH, plain_echo if is_plain else echo)]
    if handlers == "echo":
        served.append(Method(PATH, plain_echo if is_plain else echo))
    elif handlers == "large":
        served.append(Method(PATH, plain_large if is_plain else large))
    elif handlers == "late":
        served.append(Method(PATH, plain_late if is_plain else late))
    elif handlers == "deaf":
        served.append(Method(PATH, plain_deaf if is_plain else deaf, Shape.BIDI))
    return served


def certificate() -> TlsOptions:
    """TLS with a certificate that nobody vouches for."""
    import trustme

    of_server = trustme.CA().issue_cert("localhost", "127.0.0.1")
    chain = b"".join(pem.bytes() for pem in of_server.cert_chain_pems)
    return TlsOptions(certificate_chain=chain, private_key=of_server.private_key_pem.bytes())


async def serve(config: ServerConfig, handlers: str, is_plain: bool, tls: TlsOptions | None) -> None:
    server = Server(ADDRESS, tls=tls, config=config)
    server.add_methods(methods(handlers, is_plain=is_plain))
    add_health_and_reflection(server)
    async with server:
        print(server.addresses[0].rpartition(":")[2], flush=True)
        await server.wait_for_termination()


def serve_blocking(config: ServerConfig, handlers: str, tls: TlsOptions | None) -> None:
    server = BlockingServer(ADDRESS, tls=tls, config=config)
    server.add_methods(methods(handlers, is_plain=True))
    add_health_and_reflection(server)
    with server:
        print(server.addresses[0].rpartition(":")[2], flush=True)
        server.wait_for_termination()


def serve_grpcio(handlers: str) -> None:
    import grpc

    unary: Callable[..., Any] = grpc.unary_unary_rpc_method_handler
    named = {QUICK_PATH: unary(plain_echo)}
    if handlers == "echo":
        named[PATH] = unary(plain_echo)
    elif handlers == "large":
        named[PATH] = unary(plain_large)
    elif handlers == "late":
        named[PATH] = unary(plain_late)
    elif handlers == "deaf":
        named[PATH] = grpc.stream_stream_rpc_method_handler(plain_deaf)

    class Service(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio is not typed
        def service(self, details: Any) -> Any:
            return named.get(details.method)

    server = grpc.server(ThreadPoolExecutor(40), handlers=(Service(),))
    port = server.add_insecure_port(ADDRESS)
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


def main() -> None:
    kind, handlers = sys.argv[1:]
    if kind == "grpcio":
        serve_grpcio(handlers)
        return
    engine, world, *more = kind.split("-")
    is_plain = "plain" in more
    tls = certificate() if "tls" in more else None
    config = ServerConfig(engine=engine)  # type: ignore[arg-type]  # one of KINDS
    if world == "threads":
        serve_blocking(config, handlers, tls)
    elif world == "asyncio":
        asyncio.run(serve(config, handlers, is_plain, tls))
    else:
        import trio

        trio.run(serve, config, handlers, is_plain, tls)


if __name__ == "__main__":
    main()
