"""Connecting: states, failures and what they say, waiting, reconnecting, several addresses, proxies."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from puregrpc.channel import ConnectivityState
from puregrpc.errors import ConnectError, InvalidArgument, NotConnected, RpcError
from tests.channel.grpcio_server import grpcio_server
from tests.channel.helpers import run
from tests.channel.raw_server import closed_port, raw_server, read_until_end, silent
from tests.worlds import beside, open_channel, until
from tests.worlds import sleep as pause

IDLE, CONNECTING, READY = ConnectivityState.IDLE, ConnectivityState.CONNECTING, ConnectivityState.READY
TRANSIENT_FAILURE, SHUTDOWN = ConnectivityState.TRANSIENT_FAILURE, ConnectivityState.SHUTDOWN


def core_of(channel: Any) -> Any:
    return getattr(channel, "blocking", channel)._core


async def check(channel: Any, message: bytes = b"hello") -> None:
    assert await channel.unary_unary("test.Service/Echo")(message, timeout=5) == message


def test_states(server: str) -> None:
    async def test() -> None:
        seen: list[ConnectivityState] = []
        async with open_channel(server) as channel:

            async def watch() -> None:
                async for state in channel.watch_state():
                    seen.append(state)  # noqa: PERF401 - what came before an exception is wanted too

            async def use() -> None:
                await until(lambda: seen)
                assert channel.state is IDLE
                await channel.connect()
                assert channel.state is READY
                await check(channel)
                await until(lambda: seen[-1] is READY)
                await channel.close()

            await beside(watch, use)
        assert [state for state in seen if state is not CONNECTING] == [IDLE, READY, SHUTDOWN]
        with pytest.raises(NotConnected):
            await channel.connect()

    run(test)


def test_a_refused_connection() -> None:
    async def test() -> None:
        address = closed_port()
        async with open_channel(address) as channel:
            with pytest.raises(ConnectError, match=rf"could not connect to {address}: .*refused"):
                await channel.connect()
            assert channel.state is TRANSIENT_FAILURE
            with pytest.raises(RpcError, match=rf"UNAVAILABLE: could not connect to {address}"):
                await channel.unary_unary("test.Service/Echo")(b"")
            with pytest.raises(RpcError, match=r"UNAVAILABLE: could not connect"):
                async with channel.call("test.Service/Chat"):
                    pass
            assert channel.snapshot().subchannels[0].failures == 1
            with pytest.raises(ConnectError, match=r"refused"):
                await channel.connect()
            assert channel.snapshot().subchannels[0].failures == 2
        async with open_channel("nowhere.invalid:1") as channel:
            with pytest.raises(RpcError, match=r"UNAVAILABLE: no address was found for the host 'nowhere.invalid'"):
                await channel.unary_unary("test.Service/Echo")(b"")

    run(test)


def test_an_http1_server_is_named() -> None:
    def refuse(sock: socket.socket) -> None:
        sock.recv(1000)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        read_until_end(sock)

    async def test() -> None:
        with raw_server(refuse) as address:
            async with open_channel(address) as channel:
                with pytest.raises(RpcError, match=rf"UNAVAILABLE: {address}: the peer speaks HTTP/1.1"):
                    await channel.unary_unary("test.Service/Echo")(b"")

    run(test)


def test_a_silent_server_and_one_that_hangs_up() -> None:
    def hang_up(sock: socket.socket) -> None:
        return

    async def test() -> None:
        with raw_server(silent) as address:
            async with open_channel(address, connect_timeout=0.2) as channel:
                with pytest.raises(ConnectError, match=r"sent no HTTP/2 SETTINGS frame within \d\.?\d* s"):
                    await channel.connect()
            async with open_channel(address) as channel:
                with pytest.raises(ConnectError, match=r"within 0\.1 s"):
                    await channel.connect(timeout=0.1)
                with pytest.raises(RpcError, match=r"DEADLINE_EXCEEDED: .*waiting for a connection"):
                    await channel.unary_unary("test.Service/Echo")(b"", timeout=0.1)
            async with open_channel(address, tls=True, connect_timeout=0.2) as channel:
                with pytest.raises(ConnectError, match=r"TLS handshake"):
                    await channel.connect()
        with raw_server(hang_up) as address:
            async with open_channel(address) as channel:
                with pytest.raises(ConnectError, match=r"closed the connection|the connection broke"):
                    await channel.connect()

    run(test)


def test_wait_for_ready_waits_for_the_server() -> None:
    async def test() -> None:
        address = closed_port()
        async with open_channel(address) as channel:
            echo = channel.unary_unary("test.Service/Echo")

            async def call() -> None:
                assert await echo(b"late", wait_for_ready=True, timeout=10) == b"late"

            async def serve() -> None:
                await pause(0.05)
                assert channel.state is TRANSIENT_FAILURE
                context.__enter__()
                await channel.connect()  # cuts the pause short

            with pytest.raises(RpcError, match=r"DEADLINE_EXCEEDED: .*last error: could not connect"):
                await echo(b"", wait_for_ready=True, timeout=0.1)
            context = grpcio_server(address)
            await beside(call, serve)
        context.__exit__(None, None, None)

    run(test)


def test_a_lost_connection_is_made_anew() -> None:
    async def test() -> None:
        with grpcio_server() as address:
            async with open_channel(address) as channel:
                await check(channel)
                async with channel.unary_stream("test.Service/Forever")(b"") as call:
                    await call.receive()
                    (session,) = core_of(channel).balancer.subchannels[0].sessions
                    session.abort("cut by the test")
                    with pytest.raises(RpcError, match=r"UNAVAILABLE: .*cut by the test"):
                        async for _ in call:
                            pass
                assert channel.state is IDLE
                await check(channel)
                assert channel.state is READY

    run(test)


def test_a_server_that_goes_away_finishes_what_it_has() -> None:
    async def test() -> None:
        context = grpcio_server()
        address = context.__enter__()
        async with open_channel(address) as channel:
            await check(channel)
            stopping = threading.Thread(target=context.__exit__, args=(None, None, None))
            stopping.start()
            assert await channel.wait_for_state_change(READY) in (IDLE, CONNECTING)
            while stopping.is_alive():
                await pause(0.01)
            with pytest.raises(RpcError, match=r"UNAVAILABLE"):
                await check(channel)
            with grpcio_server(address) as address:
                await channel.connect()
                await check(channel)

    run(test)


def test_addresses_and_unix_sockets(server: str, tmp_path: Path) -> None:
    async def test() -> None:
        closed = closed_port()
        async with open_channel(f"ipv4:{closed},{server}") as channel:
            await check(channel)
        async with open_channel(f"dns:///{server}") as channel:
            await check(channel)
        path = f"unix:{tmp_path}/socket"
        with grpcio_server(path):
            async with open_channel(path) as channel:
                await check(channel)

    run(test)


def test_round_robin() -> None:
    async def test() -> None:
        with grpcio_server() as first, grpcio_server() as second:
            closed = closed_port()
            target = f"ipv4:{first},{closed},{second}"
            async with open_channel(target, load_balancing="round_robin") as channel:
                await channel.connect()
                await until(lambda: len(core_of(channel).balancer._ready) == 2)
                peers = set()
                for _ in range(4):
                    async with channel.unary_stream("test.Service/Count")(b"1") as call:
                        assert await call.receive() == b"0"
                        peers.add(call.peer)
                assert peers == {first, second}
                await check(channel)
                snapshot = channel.snapshot()
                assert [part.name for part in snapshot.subchannels] == [first, closed, second]
                assert [part.state for part in snapshot.subchannels] == [READY, TRANSIENT_FAILURE, READY]
                assert snapshot.subchannels[0].sessions[0].counters.bytes_received > 0
                core_of(channel).balancer.subchannels[0].session.abort("cut")
                await check(channel)
                await check(channel)
        async with open_channel(f"ipv4:{closed}", load_balancing="round_robin") as channel:
            with pytest.raises(RpcError, match=r"UNAVAILABLE: could not connect"):
                await channel.unary_unary("test.Service/Echo")(b"")
        async with open_channel("nowhere.invalid:1", load_balancing="round_robin") as channel:
            assert channel.state is IDLE
            with pytest.raises(RpcError, match=r"UNAVAILABLE: no address was found for the host"):
                await channel.unary_unary("test.Service/Echo")(b"")
            with pytest.raises(ConnectError, match=r"no address was found for the host"):
                await channel.connect()

    run(test)


def test_bad_options_are_refused() -> None:
    async def test() -> None:
        for options, meaning in (
            ({"load_balancing": "random"}, "no load balancing 'random'"),
            ({"proxy": "http://p:1", "load_balancing": "round_robin"}, "a proxy goes with"),
            ({"engine": "slow"}, "no engine 'slow'"),
        ):
            with pytest.raises((InvalidArgument, RpcError), match=meaning):
                async with open_channel("localhost:1", **options):
                    pass

    run(test)


@pytest.mark.parametrize("answer", [200, 407])
def test_a_proxy(server: str, answer: int) -> None:
    requests: list[bytes] = []

    def proxy(sock: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(4096)
        requests.append(head)
        if answer != 200:
            sock.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return
        host, _, port = head.split()[1].decode().rpartition(":")
        with socket.create_connection((host, int(port)), timeout=20) as upstream:
            greeting = upstream.recv(4096)  # grpcio's server may speak first
            sock.sendall(b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\n" + greeting)
            back = threading.Thread(target=copy, args=(upstream, sock))
            back.start()
            copy(sock, upstream)
            back.join(20)

    def copy(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return

    async def test() -> None:
        with raw_server(proxy) as address:
            headers = {"X-Team": "a"}
            async with open_channel(server, proxy=f"http://me:secret@{address}", proxy_headers=headers) as channel:
                if answer == 200:
                    await check(channel)
                else:
                    with pytest.raises(ConnectError, match=rf"refused CONNECT {server}: 407 Proxy Auth"):
                        await channel.connect()
        assert requests[0].startswith(f"CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n".encode())
        assert b"\r\nX-Team: a\r\n" in requests[0]
        assert b"\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n" in requests[0]

    run(test)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 40_000, "is too long"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 10_000, "is too long"),
        (b"HTTP/1.1 200 OK\r\nX: a\r\n", "ends early"),
        (b"HTTP/1.1 500 " + b"%" * 15_000 + b"\r\n\r\n", "refused CONNECT"),
        (b"\n" * 20_000, "did not answer CONNECT"),
        (b"", "did not answer CONNECT"),
    ],
)
def test_answers_of_proxies_that_cannot_be(answer: bytes, problem: str) -> None:
    def proxy(sock: socket.socket) -> None:
        sock.recv(4096)
        with suppress(OSError):
            sock.sendall(answer)

    async def test() -> None:
        with raw_server(proxy) as address:
            async with open_channel("example.org:80", proxy=f"http://{address}") as channel:
                with pytest.raises(ConnectError, match=problem) as raised:
                    await channel.connect()
                assert len(str(raised.value)) < 1000

    run(test)


@pytest.mark.slow
def test_keepalive_gives_up_a_server_that_does_not_answer() -> None:
    def says_settings_and_no_more(sock: socket.socket) -> None:
        settings, acknowledgement = b"\0\0\0\4\0\0\0\0\0", b"\0\0\0\4\1\0\0\0\0"
        sock.sendall(settings + acknowledgement)
        read_until_end(sock)

    async def test() -> None:
        with raw_server(says_settings_and_no_more) as address:
            async with open_channel(address, keepalive_time=0.1, keepalive_timeout=0.1) as channel:
                with pytest.raises(RpcError, match=r"UNAVAILABLE: keepalive: .*PING within 0\.1 seconds"):
                    await channel.unary_unary("test.Service/Echo")(b"")
                async with channel.call("test.Service/Echo") as call:
                    with pytest.raises(RpcError, match="UNAVAILABLE: keepalive"):
                        await call.receive()

    run(test)


def test_keepalive_goes_with_a_limit_for_what_is_not_acknowledged(server: str) -> None:
    """gRFC A18: TCP_USER_TIMEOUT, where the system has it."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)

    async def limit_of(channel: Any) -> int:
        await channel.connect()
        [subchannel] = core_of(channel).balancer.subchannels
        stream = subchannel.session.stream
        return 0 if option is None else stream.socket.getsockopt(socket.IPPROTO_TCP, option)

    async def test() -> None:
        async with open_channel(server) as channel:
            assert await limit_of(channel) == 0
        async with open_channel(server, keepalive_time=60, keepalive_timeout=7.5) as channel:
            assert await limit_of(channel) == (0 if option is None else 7500)

    run(test)
