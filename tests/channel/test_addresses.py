"""Which address a channel ends up with: one has succeeded when its server's SETTINGS have come (gRFC A62)."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trustme

from puregrpc.channel import ConnectivityState
from puregrpc.errors import RpcError
from puregrpc.transport import TlsOptions
from tests.channel.helpers import run
from tests.channel.raw_server import closed_port, raw_server, silent, tls_accept
from tests.channel.wire_server import EchoCall, WireServer, wire_server
from tests.worlds import beside, open_channel
from tests.worlds import sleep as pause


def speaks_http1(sock: socket.socket) -> None:
    sock.recv(1000)
    sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def closes(sock: socket.socket) -> None:
    sock.recv(1)


@pytest.mark.parametrize("first", [closes, speaks_http1, silent], ids=lambda handler: handler.__name__)
def test_the_next_address_is_tried_when_the_first_is_no_server(first: Callable[[socket.socket], None]) -> None:
    async def test() -> None:
        with raw_server(first) as bad, wire_server(lambda session, _: EchoCall(session)) as good:
            began = time.monotonic()
            async with open_channel(f"ipv4:{bad},{good.address}", connect_timeout=10) as channel:
                assert await channel.unary_unary("a.B/C")(b"hello", timeout=10) == b"hello"
                assert await channel.unary_unary("a.B/C")(b"again", timeout=10) == b"again"
            assert time.monotonic() - began < 5

    run(test)


def test_the_next_address_is_tried_when_the_certificate_is_of_another_name() -> None:
    authority = trustme.CA()

    def context(name: str) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(made)
        made.set_alpn_protocols(["h2"])
        return made

    good = WireServer(lambda session, _: EchoCall(session))

    def secure(name: str, handler: Callable[[socket.socket], None], sock: socket.socket) -> None:
        handler(tls_accept(sock, context(name)))

    async def test() -> None:
        with (
            raw_server(partial(secure, "elsewhere.example", silent)) as bad,
            raw_server(partial(secure, "here.example", good.handle)) as address,
        ):
            tls = TlsOptions(root_certificates=authority.cert_pem.bytes(), server_name="here.example")
            async with open_channel(f"ipv4:{bad},{address}", tls=tls) as channel:
                assert await channel.unary_unary("a.B/C")(b"hello", timeout=10) == b"hello"

    run(test)


def test_what_each_address_did_is_said_when_none_is_good() -> None:
    async def test() -> None:
        nobody = closed_port()
        with raw_server(speaks_http1) as bad:
            async with open_channel(f"ipv4:{nobody},{bad}", connect_timeout=5) as channel:
                with pytest.raises(RpcError, match="UNAVAILABLE: could not connect to any of 2 addresses") as caught:
                    await channel.unary_unary("a.B/C")(b"", timeout=10)
        assert nobody in str(caught.value)
        assert "the peer speaks HTTP/1.1" in str(caught.value)

    run(test)


def test_a_call_waits_longer_than_attempts_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """With wait_for_ready, attempts that take longer than the pause between them are no reason to give up."""
    monkeypatch.setattr("puregrpc.channel.backends.backoff.INITIAL", 0.05)
    good = WireServer(lambda session, _: EchoCall(session))

    async def test() -> None:
        with raw_server(silent, silent, silent, good.handle) as address:
            async with open_channel(address, connect_timeout=0.2) as channel:
                echo = channel.unary_unary("a.B/C")
                assert await echo(b"hello", timeout=10, wait_for_ready=True) == b"hello"

    run(test)


def test_a_call_that_waits_is_woken_at_once_by_another_that_connects() -> None:
    good = WireServer(lambda session, _: EchoCall(session))

    async def test() -> None:
        with raw_server(closes, good.handle) as address:
            async with open_channel(address) as channel:
                echo = channel.unary_unary("a.B/C")
                with pytest.raises(RpcError, match="UNAVAILABLE"):
                    await echo(b"", timeout=10)
                assert channel.state is ConnectivityState.TRANSIENT_FAILURE
                began = time.monotonic()

                async def waits() -> None:
                    assert await echo(b"hello", timeout=10, wait_for_ready=True) == b"hello"

                async def connects() -> None:
                    await pause(0.05)
                    await channel.connect(timeout=5)

                await beside(waits, connects)
                assert time.monotonic() - began < 0.7

    run(test)


def test_a_call_that_waits_ends_when_the_channel_is_closed() -> None:
    async def test() -> None:
        async with open_channel(closed_port()) as channel:
            echo = channel.unary_unary("a.B/C")
            failures = []

            async def waits() -> None:
                try:
                    await echo(b"", timeout=10, wait_for_ready=True)
                except Exception as error:
                    failures.append(type(error).__name__)

            async def closes_soon() -> None:
                await pause(0.1)
                await channel.close()

            began = time.monotonic()
            await beside(waits, closes_soon)
            assert failures == ["NotConnected"]
            assert time.monotonic() - began < 3

    run(test)


def slow_resolver(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    original = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **keywords: Any) -> object:
        if host in ("slow.example", b"slow.example"):
            if not keywords.get("flags", 0) & socket.AI_NUMERICHOST:
                time.sleep(seconds)
            raise socket.gaierror(-2, "Name or service not known")
        return original(host, *arguments, **keywords)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_a_slow_resolver_is_within_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    slow_resolver(monkeypatch, 2.0)

    async def test() -> None:
        async with open_channel("slow.example:1", connect_timeout=0.3) as channel:
            began = time.monotonic()
            with pytest.raises(RpcError, match=r"DEADLINE_EXCEEDED|UNAVAILABLE"):
                await channel.unary_unary("a.B/C")(b"", timeout=0.3)
            assert time.monotonic() - began < 1.2
        assert time.monotonic() - began < 1.5

    run(test)
