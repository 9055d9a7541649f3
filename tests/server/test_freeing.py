"""What a connection that is dropped leaves behind at a server: nothing, and nothing to the garbage collector."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

import trustme
from tests.freeing import freed_without_collector
from tests.server.serving import ENGINES, IN_STYLES, Running, echo_server, serving, sleep
from tests.server.wire_client import connect_to

from puregrpc import TlsOptions
from puregrpc.server import Context, Method, ServerConfig, Shape
from puregrpc.testing import FrameFactory, message
from puregrpc.testing.frames import CLIENT_PREFACE

AUTHORITY = trustme.CA()

CONNECTIONS = 5

MANY = 70
"""From 64 connections on, a blocking server has two threads read for all of them."""


async def wait(request: bytes, context: Context) -> bytes:
    """Waits until the call is over."""
    await sleep(60)
    return request


def plain_wait(request: bytes, context: Context) -> bytes:
    end = time.monotonic() + 60
    while not context.cancelled and time.monotonic() < end:
        time.sleep(0.002)
    return request


def crash(request: bytes, context: Context) -> bytes:
    raise ValueError("on purpose")


def opening(path: str, *, end: bool = True) -> bytes:
    """All that a client sends with its first call."""
    frames = FrameFactory()
    call = frames.request(1, f"/test.Echo/{path}") + frames.data(1, message(b"request"), end=end)
    return CLIENT_PREFACE + frames.settings() + call


PREFACE = CLIENT_PREFACE + FrameFactory().settings()
SETTINGS_ACK = FrameFactory().settings_ack()
TRAILERS = b"\x01\x05\0\0\0\x01"
"""Of their frame's head: HEADERS that end stream 1."""
GOAWAY = b"\x07\0\0\0\0\0"

PEERS = {
    "says nothing": (b"", b""),
    "speaks HTTP/1": (b"GET / HTTP/1.1\r\n\r\n", b""),
    "sends SETTINGS": (PREFACE, SETTINGS_ACK),
    "sends half a frame": (PREFACE + b"\0\0\7\1", SETTINGS_ACK),
    "breaks the rules": (PREFACE + FrameFactory().data(1), GOAWAY),
    "has its answer": (opening("Unary"), TRAILERS),
    "has its stream": (opening("Bidi"), TRAILERS),
    "has an error": (opening("Crash"), TRAILERS),
    "calls what is not there": (opening("Nothing"), TRAILERS),
    "is cut off in a stream": (opening("Bidi", end=False), b"request"),
    "is cut off while a handler waits": (opening("Wait"), SETTINGS_ACK),
}
"""What each sends, and what it waits for before it drops its connection."""

SOME = ("says nothing", "has its answer", "is cut off in a stream", "is cut off while a handler waits")


def visit(address: str, sends: bytes, awaits: bytes, context: ssl.SSLContext | None) -> None:
    """Be one of these peers."""
    with connect_to(address) as plain:
        sock = plain if context is None else context.wrap_socket(plain, server_hostname="test.example")
        with sock:
            sock.sendall(sends)
            came = b""
            while awaits not in came:
                more = sock.recv(1 << 16)
                assert more, f"it ends after {came!r}"
                came += more


def hold_that_nothing_is_left(
    running: Running, peers: Iterable[str] = PEERS, *, others: int = 0, context: ssl.SSLContext | None = None
) -> None:
    """Beside so many other connections, each of these peers leaves nothing."""
    for peer in peers:
        with freed_without_collector(peer, lambda: len(running.snapshot().connections) == others):
            for _ in range(CONNECTIONS):
                visit(running.address, *PEERS[peer], context)


def visited_server(world: str, style: str, engine: Any = "fast", **options: Any) -> Any:
    """A server for them."""
    return echo_server(
        world,
        Method("/test.Echo/Wait", wait if style == "async" else plain_wait, Shape.UNARY),
        Method("/test.Echo/Crash", crash, Shape.UNARY),
        style=style,
        config=ServerConfig(engine=engine),
        **options,
    )


@IN_STYLES
@ENGINES
def test_dropped_connections_leave_nothing_to_the_collector(world: str, style: str, engine: Any) -> None:
    with serving(visited_server(world, style, engine), world) as running:
        hold_that_nothing_is_left(running)


@IN_STYLES
def test_nor_do_those_with_tls(world: str, style: str) -> None:
    issued = AUTHORITY.issue_cert("test.example")
    chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
    tls = TlsOptions(certificate_chain=chain, private_key=issued.private_key_pem.bytes())
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2"])
    AUTHORITY.configure_trust(context)
    with serving(visited_server(world, style, tls=tls), world) as running:
        hold_that_nothing_is_left(running, SOME, context=context)


@ENGINES
def test_nor_do_those_of_a_blocking_server_with_many(engine: Any) -> None:
    with serving(visited_server("threads", "plain", engine), "threads") as running, ExitStack() as others:
        for _ in range(MANY):
            others.enter_context(connect_to(running.address))
        hold_that_nothing_is_left(running, SOME, others=MANY)
