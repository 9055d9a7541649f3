"""Listening in every world: targets, ports, unix sockets that were left behind, handshakes, and the end."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from tests.kernel.certificates import WITH_CERTIFICATES, contexts
from tests.kernel.worlds import EACH_WORLD, receive_all, receive_exactly, run, together

from puregrpc.errors import ConnectError, InvalidArgument, NotConnected
from puregrpc.kernel import Kernel
from puregrpc.kernel.network.addresses import TcpAddress, UnixAddress
from puregrpc.kernel.network.connecting import dial, secure
from puregrpc.kernel.network.listening import Listener, listen
from puregrpc.kernel.network.streams import ByteStream, SocketStream

IN_USE = os.strerror(errno.EADDRINUSE)
"""As the C library says it."""


class Tls:
    """What a listener is told of TLS."""

    changes = False

    def __init__(self, *, require_alpn: bool = True, alpn: str | None = "h2") -> None:
        self.require_alpn = require_alpn
        self.alpn = alpn

    def server_context(self) -> ssl.SSLContext:
        return contexts(alpn=self.alpn)[1]


def close(listeners: list[Listener]) -> None:
    for listener in listeners:
        listener.close()
        listener.close()


@EACH_WORLD
def test_targets(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        (one,) = await listen(kernel, "127.0.0.1:0")
        assert isinstance(one.address, TcpAddress)
        assert one.address.port
        assert not one.is_tls
        with pytest.raises(ConnectError, match=rf"^could not listen on {one.address}: {IN_USE}$"):
            await listen(kernel, str(one.address))
        everywhere = await listen(kernel, ":0")
        ports = {listener.address.port for listener in everywhere if isinstance(listener.address, TcpAddress)}
        assert len(ports) == 1, "one port for all families"
        assert {str(listener.address.host) for listener in everywhere if isinstance(listener.address, TcpAddress)} <= {
            "0.0.0.0", "::",
        }  # fmt: skip
        local = await listen(kernel, "localhost:0")
        assert local
        for text, meaning in (("127.0.0.1", "has no port"), ("127.0.0.1:http", "port must be a number")):
            with pytest.raises(InvalidArgument, match=meaning):
                await listen(kernel, text)
        with pytest.raises(ConnectError, match=r"no address was found for the host 'nowhere\.invalid'"):
            await listen(kernel, "nowhere.invalid:0")
        with pytest.raises(ConnectError, match=r"could not listen on 192\.0\.2\.1:1: "):
            await listen(kernel, "192.0.2.1:1")
        with pytest.raises(ConnectError, match=r"could not listen on unix:/nonexistent/s: No such file"):
            await listen(kernel, "unix:/nonexistent/s")
        with pytest.raises(ConnectError, match=r"could not listen on unix:"):
            await listen(kernel, f"unix:/{'x' * 200}")
        close([one, *everywhere, *local])

    run(world, test)


@EACH_WORLD
def test_a_family_that_the_machine_has_not_is_left_out(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make = socket.socket

    def without_ipv6(family: int = -1, *rest: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
        return make(family, *rest)

    async def test(kernel: Kernel) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("puregrpc.kernel.network.listening.socket.socket", without_ipv6)
            listeners = await listen(kernel, ":0")
            with pytest.raises(ConnectError, match=r"could not listen on \[::1\]:0: Address family not supported"):
                await listen(kernel, "[::1]:0")
        (listener,) = listeners
        assert isinstance(listener.address, TcpAddress)
        assert listener.address.host == "0.0.0.0"
        close(listeners)

    run(world, test)


@EACH_WORLD
@pytest.mark.parametrize("abstract", [False, True])
def test_unix_sockets(world: str, abstract: bool, tmp_path: Path) -> None:
    async def test(kernel: Kernel) -> None:
        path = f"{tmp_path.name}-{world}-{os.getpid()}" if abstract else str(tmp_path / "socket")
        target = f"unix-abstract:{path}" if abstract else f"unix://{path}"
        (stale,) = await listen(kernel, target)
        assert stale.address == UnixAddress(path, abstract)
        stale.socket.close()  # as a killed server leaves it
        (again,) = await listen(kernel, target)
        with pytest.raises(ConnectError, match="could not listen on unix"):
            await listen(kernel, target)
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(again.address.sockaddr())
        close([again])
        assert not (tmp_path / "socket").exists()
        if not abstract:
            (tmp_path / "socket").write_text("no socket")
            with pytest.raises(ConnectError, match=IN_USE):
                await listen(kernel, target)
            assert (tmp_path / "socket").read_text() == "no socket"

    run(world, test)


@EACH_WORLD
def test_a_busy_server_is_not_taken_for_a_stale_socket(world: str, tmp_path: Path) -> None:
    async def test(kernel: Kernel) -> None:
        path = str(tmp_path / "s")
        with socket.socket(socket.AF_UNIX) as busy:
            busy.bind(path)
            busy.listen(0)
            fillers = [socket.socket(socket.AF_UNIX) for _ in range(3)]
            for filler in fillers:
                filler.setblocking(False)
                with suppress(BlockingIOError):
                    filler.connect(path)
            with pytest.raises(ConnectError, match=IN_USE):
                await listen(kernel, f"unix:{path}")
            for filler in fillers:
                filler.close()

    run(world, test)


@EACH_WORLD
def test_closing_wakes_who_accepts(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        (listener,) = await listen(kernel, "127.0.0.1:0")

        async def accept() -> None:
            with pytest.raises(NotConnected, match=rf"^the listener on {listener.address} was closed$"):
                await listener.accept()

        async def end() -> None:
            await kernel.sleep(kernel.now() + 0.1)
            close([listener])

        await together(kernel, accept, end)
        await accept()

    run(world, test)


@EACH_WORLD
def test_accepting_goes_on_when_that_is_possible_again(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("puregrpc.kernel.network.listening.ACCEPT_PAUSE", 0.02)

    faults = [errno.EMFILE, errno.ECONNABORTED, errno.ENOBUFS]

    class Short(socket.socket):
        """A socket in a process that has no descriptors left, at first."""

        def accept(self) -> tuple[socket.socket, object]:
            if faults:
                raise OSError(faults.pop(), "")
            return super().accept()

    async def test(kernel: Kernel) -> None:
        sock = Short()
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        listener = Listener(kernel, sock)
        stream = await dial(kernel, listener.address, kernel.now() + 10)
        accepted = await listener.accept()
        assert not faults
        assert accepted.peer == stream.local
        stream.close()
        accepted.close()
        listener.close()

    run(world, test)


@EACH_WORLD
def test_an_accept_that_is_interrupted_loses_nobody(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        (listener,) = await listen(kernel, "127.0.0.1:0")
        accepted: list[SocketStream] = []

        async def accept() -> None:
            accepted.append(await listener.accept())

        task = kernel.spawn(accept)
        await kernel.sleep(kernel.now() + 0.05)
        task.cancel()
        await task.join()
        stream = await dial(kernel, listener.address, kernel.now() + 10)
        await accept()
        assert [each.peer for each in accepted] == [stream.local]
        close([listener])
        for each in (stream, *accepted):
            each.close()

    run(world, test)


@WITH_CERTIFICATES
@EACH_WORLD
@pytest.mark.parametrize("with_tls", [False, True])
def test_connections_are_secured(world: str, with_tls: bool) -> None:
    async def test(kernel: Kernel) -> None:
        (listener,) = await listen(kernel, "127.0.0.1:0", tls=Tls() if with_tls else None)
        assert listener.is_tls == with_tls

        async def serve() -> None:
            plain = await listener.accept()
            stream = await listener.secure(plain)
            assert (stream is plain) != with_tls
            assert (stream.tls is not None) == with_tls
            assert await receive_exactly(stream, 2) == b"hi"
            stream.send_nowait(b"hello")
            stream.send_eof()
            assert await receive_all(stream) == b""
            stream.close()

        async def client() -> None:
            stream: ByteStream = await dial(kernel, listener.address, kernel.now() + 10)
            if with_tls:
                stream = await secure(kernel, stream, contexts()[0], kernel.now() + 10, server_name="localhost")
            stream.send_nowait(b"hi")
            assert await receive_all(stream) == b"hello"
            stream.send_eof()
            stream.close()

        await together(kernel, serve, client)
        listener.close()

    run(world, test)


@WITH_CERTIFICATES
@EACH_WORLD
@pytest.mark.parametrize("octets", [b"", b"\x16", b"\x16\3\1\2\0" + bytes(511)])
def test_a_client_that_says_no_whole_hello_costs_no_tls(
    world: str, octets: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("puregrpc.kernel.network.tls.TlsLayer.__init__")

    async def test(kernel: Kernel) -> None:
        (listener,) = await listen(kernel, "127.0.0.1:0", tls=Tls(), handshake_timeout=0.1)
        silent = await dial(kernel, listener.address, kernel.now() + 10)
        silent.send_nowait(octets)
        with pytest.raises(ConnectError, match="was not over within"):
            await listener.secure(await listener.accept())
        silent.close()
        listener.close()

    run(world, test)


@WITH_CERTIFICATES
@EACH_WORLD
@pytest.mark.parametrize("ends", [False, True])
def test_a_hello_comes_in_pieces(world: str, *, ends: bool) -> None:
    hello, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = contexts()[0].wrap_bio(hello, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    octets = outgoing.read()

    async def test(kernel: Kernel) -> None:
        (listener,) = await listen(kernel, "127.0.0.1:0", tls=Tls())

        async def serve() -> None:
            if ends:
                with pytest.raises(ConnectError, match="failed"):
                    await listener.secure(await listener.accept())
            else:
                (await listener.secure(await listener.accept())).close()

        async def send() -> None:
            stream = await dial(kernel, listener.address, kernel.now() + 10)
            for piece in (octets[:1], octets[1:4], octets[4:5], octets[5:100]):
                stream.send_nowait(piece)
                await kernel.sleep(kernel.now() + 0.01)
            if ends:
                stream.send_eof()
                await receive_all(stream)
            else:
                stream.send_nowait(octets[100:])
                while True:
                    hello.write(await receive_exactly(stream, 1))
                    try:
                        client.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        continue
                stream.send_nowait(outgoing.read())
            stream.close()

        await together(kernel, serve, send)
        listener.close()

    run(world, test)


@WITH_CERTIFICATES
@EACH_WORLD
def test_clients_that_are_refused(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        (listener,) = await listen(kernel, "127.0.0.1:0", tls=Tls(), handshake_timeout=10)

        async def serve(meaning: str) -> None:
            listener._handshake_timeout = 0.3 if "within" in meaning else 10
            stream = await listener.accept()
            with pytest.raises(ConnectError, match=meaning):
                await listener.secure(stream)
            assert stream.socket.fileno() < 0

        async def say(octets: bytes) -> None:
            stream = await dial(kernel, listener.address, kernel.now() + 10)
            stream.send_nowait(octets)
            with suppress(ConnectionResetError):
                await receive_all(stream)
            stream.close()

        async def has_no_alpn() -> None:
            stream = await dial(kernel, listener.address, kernel.now() + 10)
            with suppress(ConnectError):
                await secure(kernel, stream, contexts(alpn=None)[0], server_name="localhost", require_alpn=False)
            stream.close()

        for octets, meaning in (
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", r"TLS handshake with 127\.0\.0\.1:\d+ failed: .*does not speak TLS"),
            (b"", r"was not over within \d\.?\d* s"),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", r"was not over within \d\.?\d* s"),
        ):
            await together(kernel, lambda meaning=meaning: serve(meaning), lambda octets=octets: say(octets))  # type: ignore[misc]
        await together(kernel, lambda: serve("chose no protocol by ALPN"), has_no_alpn)
        listener.close()
        (lenient,) = await listen(kernel, "127.0.0.1:0", tls=Tls(require_alpn=False))

        async def accept() -> None:
            (await lenient.secure(await lenient.accept())).close()

        async def client() -> None:
            stream = await dial(kernel, lenient.address, kernel.now() + 10)
            context = contexts(alpn=None)[0]
            (await secure(kernel, stream, context, server_name="localhost", require_alpn=False)).close()

        await together(kernel, accept, client)
        lenient.close()

    run(world, test)
