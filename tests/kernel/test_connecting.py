"""Connecting for real, in every world: one address and several, unix sockets, TLS, and what goes wrong with them."""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.kernel.certificates import WITH_CERTIFICATES, authority, contexts, issued
from tests.kernel.worlds import EACH_WORLD, receive_all, receive_exactly, receive_some, run, send_all, together

from puregrpc.errors import ConnectError
from puregrpc.kernel import Kernel
from puregrpc.kernel.network.addresses import Address, TcpAddress, UnixAddress, address_of
from puregrpc.kernel.network.connecting import connect, dial, secure
from puregrpc.kernel.network.listening import Listener, listen
from puregrpc.kernel.network.streams import ByteStream, SocketStream, memory_stream_pair
from puregrpc.kernel.network.tls_stream import TlsStream

HANGING = TcpAddress("192.0.2.1", 9)
"""TEST-NET-1 (RFC 5737) answers nowhere: it fails or it hangs."""


async def listen_on(kernel: Kernel, target: str = "127.0.0.1:0") -> Listener:
    (listener,) = await listen(kernel, target)
    return listener


def hangs() -> tuple[socket.socket, list[socket.socket], TcpAddress]:
    """A listener whose backlog is full, so that the system does not answer who connects; and who fills it."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    for _ in range(20):
        filler = socket.socket()
        filler.setblocking(False)
        with suppress(BlockingIOError):
            filler.connect(listener.getsockname())
        fillers.append(filler)
    time.sleep(0.05)
    return listener, fillers, address_of(listener.getsockname())


def descriptors() -> set[str]:
    """Those that are open, where the system tells."""
    folder = Path("/proc/self/fd")
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


async def closed_port(kernel: Kernel) -> Address:
    listener = await listen_on(kernel)
    listener.close()
    return listener.address


@EACH_WORLD
@pytest.mark.parametrize("kind", ["tcp", "tcp6", "unix", "unix-abstract"])
def test_one_address(world: str, kind: str, tmp_path: Path) -> None:
    targets = {
        "tcp": "127.0.0.1:0",
        "tcp6": "[::1]:0",
        "unix": f"unix:{tmp_path}/s",
        "unix-abstract": f"unix-abstract:{os.getpid()}-{world}",
    }

    async def test(kernel: Kernel) -> None:
        listener = await listen_on(kernel, targets[kind])
        stream = await dial(kernel, listener.address, kernel.now() + 10)
        accepted = await listener.accept()
        assert stream.peer == str(listener.address) == accepted.local
        assert accepted.peer == stream.local
        assert isinstance(stream, SocketStream)
        assert stream.socket.getblocking() is False
        await send_all(stream, b"there")
        assert await receive_exactly(accepted, 5) == b"there"
        for each in (stream, accepted, listener):
            each.close()

    run(world, test)


@EACH_WORLD
def test_a_closed_port_is_refused_by_name(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        address = await closed_port(kernel)
        with pytest.raises(ConnectError, match=rf"^could not connect to {address}: Connection refused$"):
            await dial(kernel, address, kernel.now() + 10)
        with pytest.raises(ConnectError, match=r"could not connect to unix:/no/where: No such file"):
            await dial(kernel, UnixAddress("/no/where"))
        with pytest.raises(ConnectError, match=r"no network interface 'nowhere'"):
            await dial(kernel, TcpAddress("fe80::1%nowhere", 1))
        with pytest.raises(ConnectError, match=r"there is no address"):
            await connect(kernel, [])

    run(world, test)


@EACH_WORLD
def test_the_next_address_is_tried_when_one_fails_or_hangs(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        full, fillers, hanging = hangs()
        listener = await listen_on(kernel)
        closed = await closed_port(kernel)
        began = kernel.now()
        addresses = [closed, hanging, listener.address]
        stream = await connect(kernel, addresses, began + 20, delay=0.2)
        assert stream.peer == str(listener.address)
        assert 0.15 < kernel.now() - began < 5
        stream.close()
        # One that is late, but comes before those after it are asked.
        began = kernel.now()

        async def make_room() -> None:
            await kernel.sleep(kernel.now() + 0.3)
            for each in fillers:
                each.close()
            for _ in fillers:
                with suppress(BlockingIOError):
                    full.setblocking(False)
                    full.accept()[0].close()

        async def wait() -> None:
            stream = await connect(kernel, [hanging, closed], began + 20, delay=0.1)
            assert stream.peer == str(hanging)
            stream.close()

        await together(kernel, make_room, wait)
        full.close()
        listener.close()

    run(world, test)


@EACH_WORLD
def test_each_address_has_its_reason(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        full, fillers, hanging = hangs()
        closed = await closed_port(kernel)
        began = kernel.now()
        with pytest.raises(ConnectError) as caught:
            await connect(kernel, [closed, hanging, UnixAddress("/no"), hanging], began + 0.4, delay=0.05)
        assert 0.35 < kernel.now() - began < 5
        reasons = str(caught.value).removeprefix("could not connect to any of 3 addresses: ").split("; ")
        reasons = [re.sub(r"within \d\.?\d* s", "within 0.4 s", reason) for reason in reasons]
        assert sorted(reasons) == sorted(
            [
                f"{closed}: Connection refused",
                f"{hanging}: no answer within 0.4 s",
                "unix:/no: No such file or directory",
            ]
        )
        began = kernel.now()
        with pytest.raises(ConnectError, match=rf"^could not connect to {hanging}: no answer within \d\.?\d* s$"):
            await dial(kernel, hanging, began + 0.2)
        with pytest.raises(ConnectError, match=r"any of 2 addresses: .*no answer within"):
            await connect(kernel, [hanging, closed], kernel.now() + 0.1)
        for sock in (full, *fillers):
            sock.close()

    run(world, test)


@EACH_WORLD
def test_connecting_that_is_given_up_leaves_nothing(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        full, fillers, hanging = hangs()
        before = descriptors()
        over = []

        async def wait() -> None:
            try:
                await connect(kernel, [hanging, TcpAddress("127.0.0.2", hanging.port), HANGING], delay=0.02)
            finally:
                over.append(True)

        task = kernel.spawn(wait)
        await kernel.sleep(kernel.now() + 0.3)
        task.cancel()
        await task.join()
        assert over
        await kernel.sleep(kernel.now() + 0.2)
        if before and world != "threads":  # whose kernel has descriptors of its own
            assert descriptors() <= before
        for sock in (full, *fillers):
            sock.close()

    run(world, test)


@EACH_WORLD
def test_a_socket_that_is_connected_with_itself_is_refused(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may give a socket the very port that it is to connect to, where nobody listens."""

    async def test(kernel: Kernel) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = address_of(probe.getsockname())

        class Bound(socket.socket):
            def connect(self, to: object) -> None:
                self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self.bind(to)  # type: ignore[arg-type]
                super().connect(to)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr("puregrpc.kernel.network.connecting.socket.socket", Bound)
            with pytest.raises(ConnectError, match="Connection refused"):
                await dial(kernel, address, kernel.now() + 5)

    run(world, test)


@EACH_WORLD
def test_a_unix_socket_that_is_busy_is_asked_again(world: str, tmp_path: Path) -> None:
    async def test(kernel: Kernel) -> None:
        path = str(tmp_path / "s")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(0)
            fillers = []
            with suppress(BlockingIOError):
                while True:
                    filler = socket.socket(socket.AF_UNIX)
                    fillers.append(filler)
                    filler.setblocking(False)
                    filler.connect(path)
            with pytest.raises(ConnectError, match=r"no answer within \d\.?\d* s"):
                await dial(kernel, UnixAddress(path), kernel.now() + 0.1)

            async def make_room() -> None:
                await kernel.sleep(kernel.now() + 0.1)
                listener.accept()[0].close()

            async def wait() -> None:
                (await dial(kernel, UnixAddress(path), kernel.now() + 10)).close()

            await together(kernel, make_room, wait)
            for filler in fillers:
                filler.close()

    run(world, test)


@EACH_WORLD
def test_the_zone_of_an_address_is_used(world: str) -> None:
    addresses = []
    with suppress(OSError):
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            octets, _, _, scope, _, interface = line.split()
            if scope == "20":  # of the link
                addresses.append(f"{socket.inet_ntop(socket.AF_INET6, bytes.fromhex(octets))}%{interface}")
    if not addresses:
        pytest.skip("this machine has no address of a link")

    async def test(kernel: Kernel) -> None:
        listener = await listen_on(kernel, f"[{addresses[0]}]:0")
        assert isinstance(listener.address, TcpAddress)
        assert listener.address.host == addresses[0]
        stream = await dial(kernel, listener.address, kernel.now() + 10)
        accepted = await listener.accept()
        assert accepted.peer.startswith(f"[{addresses[0]}]:")
        assert stream.local == accepted.peer
        for each in (stream, accepted, listener):
            each.close()
        (literal,) = await kernel.resolve(addresses[0], 5, kernel.now() + 5)
        assert literal.sockaddr()[3] == socket.if_nametoindex(addresses[0].partition("%")[2])

    run(world, test)


# -- TLS


async def over_sockets(kernel: Kernel) -> tuple[SocketStream, SocketStream]:
    """Two ends of a connection of TCP."""
    listener = await listen_on(kernel)
    stream = await dial(kernel, listener.address, kernel.now() + 10)
    assert isinstance(stream, SocketStream)
    accepted = await listener.accept()
    listener.close()
    return stream, accepted


async def secured(kernel: Kernel, version: str = "1.3") -> tuple[TlsStream, TlsStream]:
    client_context, server_context = contexts(version)
    ends = await over_sockets(kernel)
    streams: dict[str, TlsStream] = {}

    async def client() -> None:
        streams["client"] = await secure(kernel, ends[0], client_context, kernel.now() + 10, server_name="localhost.")

    async def server() -> None:
        streams["server"] = await secure(kernel, ends[1], server_context, kernel.now() + 10, server_side=True)

    await together(kernel, client, server)
    return streams["client"], streams["server"]


@WITH_CERTIFICATES
@EACH_WORLD
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_tls_over_sockets(world: str, version: str) -> None:
    async def test(kernel: Kernel) -> None:
        client, server = await secured(kernel, version)
        assert client.tls.version == server.tls.version == f"TLSv{version}"
        assert (client.local, client.peer) == (server.peer, server.local)
        data = os.urandom(8 << 20)

        async def send(stream: ByteStream) -> None:
            await send_all(stream, data)
            stream.send_eof()

        async def receive(stream: ByteStream) -> None:
            assert await receive_all(stream, 1 << 18) == data

        await together(
            kernel, lambda: send(client), lambda: receive(server), lambda: send(server), lambda: receive(client)
        )
        client.close()
        server.close()
        with pytest.raises(OSError):  # noqa: PT011
            client.send_nowait(b"x")

    run(world, test)


@WITH_CERTIFICATES
@EACH_WORLD
def test_the_end_of_tls_is_the_end_of_tcp_too(world: str) -> None:
    """Some peers answer close_notify with nothing; TCP's FIN tells them that no more will come."""

    async def test(kernel: Kernel) -> None:
        client, server = await secured(kernel)
        client.send_eof()
        octets = await receive_all(server.inner)  # beneath TLS
        assert octets
        server.tls.feed(octets)
        assert server.tls.read(1) == b""
        client.close()
        server.close()

    run(world, test)


@WITH_CERTIFICATES
@EACH_WORLD
@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("resets", [False, True])
def test_plaintext_after_a_broken_write_is_never_given(world: str, version: str, resets: bool) -> None:
    """The peer answers in the middle of a large request, in TLS and then in plaintext, and is gone."""
    plaintext = b"\0\0\0\x04\0\0\0\0\0" * 100

    async def test(kernel: Kernel) -> None:
        client, server = await secured(kernel, version)
        assert isinstance(server.inner, SocketStream)
        raw = server.inner.socket
        failed = []

        async def upload() -> None:
            try:
                await send_all(client, bytes(32 << 20))
            except OSError as error:
                failed.append(error)

        async def answer() -> None:
            assert len(await receive_exactly(server, 100_000)) >= 100_000
            await send_all(server, b"what came through TLS")
            await send_all(server.inner, plaintext)
            await kernel.sleep(kernel.now() + 0.2)
            if resets:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            server.close()

        await together(kernel, upload, answer)
        assert failed
        received = b""
        with pytest.raises(OSError):  # noqa: PT011 - a reset, or what was not TLS
            while data := await receive_some(client, 7):
                received += data
            raise OSError("the end")
        assert received == b"what came through TLS"
        client.close()

    run(world, test)


Failing = Callable[[Kernel, SocketStream], Awaitable[None]]


async def silent(kernel: Kernel, peer: SocketStream) -> None:
    await kernel.sleep(kernel.now() + 1.0)


async def closes(kernel: Kernel, peer: SocketStream) -> None:
    peer.send_eof()
    await receive_all(peer)


async def speaks_http2(kernel: Kernel, peer: SocketStream) -> None:
    await send_all(peer, b"\0\0\0\x04\0\0\0\0\0")
    await receive_some(peer)


async def chooses_nothing(kernel: Kernel, peer: SocketStream) -> None:
    context = contexts(alpn=None)[1]
    with closing(await secure(kernel, peer, context, server_side=True, require_alpn=False)) as stream:
        await receive_all(stream)


async def has_another_name(kernel: Kernel, peer: SocketStream) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued("other.example").configure_cert(context)
    with pytest.raises(ConnectError, match="the peer does not take this end's certificate"):
        await secure(kernel, peer, context, kernel.now() + 10, server_side=True)


@WITH_CERTIFICATES
@EACH_WORLD
@pytest.mark.parametrize(
    ("peer", "meaning"),
    [
        (silent, r"the TLS handshake with 127.0.0.1:\d+ was not over within \d\.?\d* s$"),
        (closes, r"the TLS handshake with 127.0.0.1:\d+ failed: the connection was closed in the middle of it"),
        (speaks_http2, r"failed: the peer does not speak TLS \(connect in plaintext\?\)$"),
        (chooses_nothing, r"^127.0.0.1:\d+ chose no protocol by ALPN: gRPC needs HTTP/2 \('h2'\)$"),
        (has_another_name, r"failed: its certificate is not trusted: Hostname mismatch.*server_name in TlsOptions"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_a_peer_may_do_instead(world: str, peer: Failing, meaning: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = await over_sockets(kernel)

        async def client() -> None:
            until = kernel.now() + (0.5 if peer is silent else 10)
            with pytest.raises(ConnectError, match=meaning):
                await secure(kernel, ours, contexts()[0], until, server_name="localhost")
            assert ours.socket.fileno() < 0, "the stream is closed"

        async def server() -> None:
            with suppress(ConnectionResetError):
                await peer(kernel, theirs)
            theirs.close()

        await together(kernel, client, server)

    run(world, test)


@WITH_CERTIFICATES
@EACH_WORLD
def test_a_name_that_cannot_be_asked_for_closes_the_stream(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = await over_sockets(kernel)
        with pytest.raises(ConnectError, match=r"TLS handshake with .* failed: TLS cannot begin with the name ''"):
            await secure(kernel, ours, contexts()[0], server_name="")
        assert ours.socket.fileno() < 0
        theirs.close()

    run(world, test)


@WITH_CERTIFICATES
@EACH_WORLD
def test_a_handshake_that_is_interrupted_closes_the_stream(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = memory_stream_pair(kernel)

        async def client() -> None:
            await secure(kernel, ours, contexts()[0], server_name="localhost")

        task = kernel.spawn(client)
        assert (await receive_some(theirs))[:2] == b"\x16\x03"
        task.cancel()
        await task.join()
        assert await receive_all(theirs) == b""

    run(world, test)


@WITH_CERTIFICATES
@EACH_WORLD
@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("writes", [False, True])
def test_a_client_without_its_certificate_is_told(world: str, version: str, writes: bool) -> None:
    """TLS 1.3: the server's refusal comes after the client's handshake, which may have begun to write."""
    client_context, _ = contexts(version)
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued("localhost").configure_cert(server_context)
    authority().configure_trust(server_context)
    server_context.verify_mode = ssl.CERT_REQUIRED
    server_context.set_alpn_protocols(["h2"])

    async def test(kernel: Kernel) -> None:
        ours, theirs = await over_sockets(kernel)

        async def client() -> None:
            with pytest.raises(OSError, match=r"client certificate \(certificate_chain in TlsOptions\)"):
                stream = await secure(kernel, ours, client_context, kernel.now() + 10, server_name="localhost")
                if writes:
                    with suppress(OSError):
                        while not await stream.wait_readable(kernel.now()):
                            await send_all(stream, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" * 100)
                await receive_all(stream)
            ours.close()

        async def server() -> None:
            with pytest.raises(ConnectError, match="the client shows no certificate"):
                await secure(kernel, theirs, server_context, kernel.now() + 10, server_side=True)
            assert theirs.socket.fileno() < 0

        await together(kernel, client, server)

    run(world, test)


def test_errors_have_words() -> None:
    from puregrpc.kernel.network.reasons import describe

    assert describe(OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))) == "Connection refused"
    assert describe(OSError("text")) == "text"
    assert describe(TimeoutError()) == "TimeoutError"
