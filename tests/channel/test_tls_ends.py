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

from puregrpc.errors import RpcError
from puregrpc.server import Context, Method, Server
from puregrpc.testing import FrameFactory, message
from puregrpc.testing.frames import CLIENT_PREFACE
from puregrpc.transport import TlsOptions
from tests.channel.helpers import run
from tests.worlds import open_channel

REQUEST = bytes(8 << 20)
TRIES = 8
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


def call(target: str, authority: trustme.CA, answers: list[str]) -> None:
    """Upload something large, some times; what each call says goes to ``answers``."""
    options = TlsOptions(root_certificates=authority.cert_pem.bytes())

    async def test() -> None:
        for _ in range(TRIES):
            async with open_channel(target, tls=options) as channel:
                with pytest.raises(RpcError) as caught:
                    await channel.unary_unary("test.Service/Upload")(REQUEST, timeout=20)
            answers.append(str(caught.value))

    run(test, seconds=120)


def test_plaintext_below_tls_is_never_believed(authority: trustme.CA) -> None:
    answers: list[str] = []
    with scripted_peer(authority, answer_in_plaintext) as target:
        call(target, authority, answers)
    assert len(answers) == TRIES
    assert all(answer.startswith("UNAVAILABLE: ") for answer in answers)


@pytest.mark.parametrize("script", [answer_early, answer_early_and_end_tls])
def test_a_status_that_comes_early_is_not_lost(authority: trustme.CA, script: Script) -> None:
    answers: list[str] = []
    with scripted_peer(authority, script) as target:
        call(target, authority, answers)
    assert answers == ["PERMISSION_DENIED: no"] * TRIES


def test_a_client_ends_tls_before_tcp(authority: trustme.CA) -> None:
    ends: list[bytes] = []

    def answer(tls: ssl.SSLSocket, _bare: socket.socket) -> None:
        frames = FrameFactory()
        received = b""
        while b"\x00\x00\x05\x00\x01\x00\x00\x00\x01" not in received:  # the DATA of an empty message
            received += tls.recv(1 << 16)
        tls.sendall(frames.response(1) + frames.data(1, message(b"yes")) + frames.trailers(1))
        while tls.recv(1 << 16):
            pass
        ends.append(b"in order")

    options = TlsOptions(root_certificates=authority.cert_pem.bytes())

    async def test() -> None:
        with scripted_peer(authority, answer) as target:
            async with open_channel(target, tls=options) as channel:
                assert await channel.unary_unary("test.Service/Upload")(b"", timeout=20) == b"yes"

    run(test)
    assert ends == [b"in order"]


@pytest.mark.worlds("trio")
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
