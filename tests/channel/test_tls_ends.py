"""How a connection in TLS ends while a large request is being written: what is believed, and what still arrives.

A scripted peer holds both the TLS connection and the bare TCP connection below it, as whoever sits on the way does.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import trio
import trustme

from puregrpc.channel import BlockingChannel, open_channel
from puregrpc.errors import ConnectError, RpcError
from puregrpc.server import Context, Method, Server
from puregrpc.testing import FrameFactory, message
from puregrpc.testing.frames import CLIENT_PREFACE
from puregrpc.transport import SocketStream, TlsOptions
from puregrpc.transport.connect_rules import check_alpn

REQUEST = bytes(8 << 20)
TRIES = 20
RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Script = Callable[[ssl.SSLSocket, socket.socket], None]
"""What the peer does with the TLS connection and the bare one after the handshake and its SETTINGS."""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@contextmanager
def scripted_peer(authority: trustme.CA, script: Script) -> Iterator[str]:
    """Serve any number of connections, one after the other; gives the target."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2"])
    authority.issue_cert("localhost").configure_cert(context)

    def serve() -> None:
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            accepted.settimeout(20)
            with socket.socket(fileno=os.dup(accepted.fileno())) as bare:
                try:
                    # The end of TCP without that of TLS raises.
                    with context.wrap_socket(accepted, server_side=True, suppress_ragged_eofs=False) as tls:
                        frames = FrameFactory()
                        tls.sendall(frames.settings(initial_window_size=1 << 30) + frames.window_update(0, 1 << 30))
                        script(tls, bare)
                except OSError:
                    continue

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"localhost:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def wait_for_request(tls: ssl.SSLSocket) -> None:
    """Receive the beginning of a large request."""
    received = 0
    while received < 200_000:
        received += len(tls.recv(1 << 16))


def answer_in_plaintext(tls: ssl.SSLSocket, bare: socket.socket) -> None:
    """A whole and valid response, but not through TLS; then the connection is reset."""
    wait_for_request(tls)
    frames = FrameFactory()
    bare.sendall(frames.response(1) + frames.data(1, message(b"forged")) + frames.trailers(1))
    bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)


def answer_early(tls: ssl.SSLSocket, _bare: socket.socket) -> None:
    """A status, and the end: closing with what has not been read of the request resets the connection."""
    wait_for_request(tls)
    frames = FrameFactory()
    refusal = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "7"), ("grpc-message", "no")]
    tls.sendall(frames.headers(1, refusal, end=True))


def answer_early_and_end_tls(tls: ssl.SSLSocket, bare: socket.socket) -> None:
    answer_early(tls, bare)
    tls.setblocking(False)
    with pytest.raises(ssl.SSLError):
        tls.unwrap()  # sends close_notify; the client's is not waited for


def call_blocking(target: str, options: TlsOptions) -> RpcError:
    with BlockingChannel(target, tls=options) as channel, pytest.raises(RpcError) as caught:
        channel.unary_unary("test.Service/Upload")(REQUEST, timeout=20)
    return caught.value


def call_trio(target: str, options: TlsOptions) -> RpcError:
    async def call() -> RpcError:
        async with open_channel(target, tls=options) as channel:
            with pytest.raises(RpcError) as caught:
                await channel.unary_unary("test.Service/Upload")(REQUEST, timeout=20)
        return caught.value

    return trio.run(call)


WORLDS = pytest.mark.parametrize("call", [call_blocking, call_trio])


@WORLDS
def test_plaintext_below_tls_is_never_believed(authority: trustme.CA, call: Callable[..., RpcError]) -> None:
    options = TlsOptions(root_certificates=authority.cert_pem.bytes())
    with scripted_peer(authority, answer_in_plaintext) as target:
        for _ in range(TRIES):
            assert str(call(target, options)).startswith("UNAVAILABLE: ")


@WORLDS
@pytest.mark.parametrize("script", [answer_early, answer_early_and_end_tls])
def test_a_status_that_comes_early_is_not_lost(
    authority: trustme.CA, script: Script, call: Callable[..., RpcError]
) -> None:
    options = TlsOptions(root_certificates=authority.cert_pem.bytes())
    with scripted_peer(authority, script) as target:
        for _ in range(TRIES):
            assert str(call(target, options)) == "PERMISSION_DENIED: no"


def test_a_blocking_client_ends_tls_before_tcp(authority: trustme.CA) -> None:
    ends: list[bytes] = []

    def answer(tls: ssl.SSLSocket, _bare: socket.socket) -> None:
        frames = FrameFactory()
        tls.sendall(frames.response(1) + frames.data(1, message(b"yes")) + frames.trailers(1))
        while tls.recv(1 << 16):
            pass
        ends.append(b"in order")

    options = TlsOptions(root_certificates=authority.cert_pem.bytes())
    with scripted_peer(authority, answer) as target, BlockingChannel(target, tls=options) as channel:
        assert channel.unary_unary("test.Service/Upload")(b"", timeout=20) == b"yes"
    assert ends == [b"in order"]


def test_a_stream_reads_no_plaintext_behind_the_end_of_tls(authority: trustme.CA) -> None:
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_context)
    client_context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    near, far = socket.socketpair()
    with socket.socket(fileno=os.dup(far.fileno())) as bare:

        def end_tls() -> None:
            with server_context.wrap_socket(far, server_side=True) as tls:
                tls.setblocking(False)
                with pytest.raises(ssl.SSLError):
                    tls.unwrap()
                bare.sendall(b"not through TLS")

        thread = threading.Thread(target=end_tls)
        thread.start()
        stream = SocketStream(client_context.wrap_socket(near, server_hostname="localhost"))
        thread.join()
        stream.send_eof()  # finds the peer's close_notify, and so ends TLS altogether
        stream.send_eof()
        assert stream.receive_nowait(1 << 16) == b""
        stream.socket.close()


def test_a_server_takes_no_request_below_tls(authority: trustme.CA) -> None:
    calls: list[bytes] = []

    async def count(request: bytes, _context: Context) -> bytes:
        calls.append(request)
        return request

    def send_request(address: str) -> None:
        context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
        context.set_alpn_protocols(["h2"])
        host, _, port = address.rpartition(":")
        sock = socket.create_connection((host, int(port)), timeout=20)
        frames = FrameFactory()
        with (
            socket.socket(fileno=os.dup(sock.fileno())) as bare,
            context.wrap_socket(sock, server_hostname="localhost") as tls,
        ):
            tls.sendall(CLIENT_PREFACE + frames.settings())
            bare.sendall(frames.request(1, "/test.Service/Count") + frames.data(1, message(b"forged"), end=True))
            bare.settimeout(20)
            with suppress(ConnectionResetError):
                while bare.recv(1 << 16):
                    pass

    async def main() -> None:
        certificate = authority.issue_cert("localhost")
        options = TlsOptions(
            certificate_chain=certificate.cert_chain_pems[0].bytes(),
            private_key=certificate.private_key_pem.bytes(),
        )
        server = Server("127.0.0.1:0", tls=options)
        server.add_method(Method("/test.Service/Count", count))
        with trio.fail_after(20):
            async with server:
                for _ in range(TRIES):
                    await trio.to_thread.run_sync(send_request, server.addresses[0])
        assert calls == []

    trio.run(main)


def test_a_connection_that_was_gone_before_the_handshake_is_none() -> None:
    context = ssl.create_default_context()
    with socket.socket() as never_connected:
        tls = context.wrap_socket(never_connected, server_hostname="localhost", do_handshake_on_connect=False)
        with pytest.raises(ConnectError, match="before the TLS handshake"):
            check_alpn(tls, "peer", require_alpn=False)
