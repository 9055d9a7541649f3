"""Servers that are odd in TLS: whatever they send between the records, or as records, a call has a status in time."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trustme

from puregrpc.errors import ConnectError, RpcError
from puregrpc.testing import FrameFactory, message
from puregrpc.transport import TlsOptions
from tests.channel.helpers import run
from tests.worlds import open_channel

PATIENCE = 0.5
"""Seconds: the deadline of a call that is to end, and twice how long a server says nothing."""
LONG = 20.0
"""The deadline of one that is to succeed."""
FLOOD = 1 << 20
HANDSHAKE, ALERT, CHANGE_CIPHER_SPEC, APPLICATION_DATA = 22, 21, 20, 23
CLOSE_NOTIFY, WARNING = b"\1\0", b"\1\x70"
RECORD_SIZE = 16 << 10


def record(kind: int, content: bytes) -> bytes:
    return bytes((kind, 3, 3)) + len(content).to_bytes(2, "big") + content


class Peer:
    """The server's end of a connection: TLS of its own, and the octets below it."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self.sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def shake_hands(self, send: Callable[[bytes], None] | None = None) -> None:
        """Do it to the end; ``send`` sends the octets in place of `sendall`."""
        while True:
            try:
                self._tls.do_handshake()
                is_done = True
            except ssl.SSLWantReadError:
                is_done = False
            (send or self.sock.sendall)(self._outgoing.read())
            if is_done:
                return
            self._incoming.write(self._received())

    def _received(self) -> bytes:
        data = self.sock.recv(1 << 16)
        if not data:
            raise OSError("the client has gone")
        return data

    def sealed(self, octets: bytes) -> bytes:
        """What is sent of octets within TLS."""
        self._tls.write(octets)
        return self._outgoing.read()

    def send(self, octets: bytes) -> None:
        self.sock.sendall(self.sealed(octets))

    def end(self) -> bytes:
        """A close_notify."""
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        return self._outgoing.read()

    def wait_for_call(self) -> None:
        """Until the client has sent HEADERS."""
        frames = b""
        while b"\x01\x04\x00\x00\x00\x01" not in frames:
            try:
                frames += self._tls.read(1 << 16)
            except ssl.SSLWantReadError:
                self._incoming.write(self._received())


Script = Callable[[Peer], None]
SCRIPTS: dict[str, tuple[str, Script]] = {}
"""By their names, what servers do, and with which versions of TLS."""


def oddity(versions: str = "TLSv1_2 TLSv1_3") -> Callable[[Script], Script]:
    def entered(script: Script) -> Script:
        for version in versions.split():
            SCRIPTS[f"{script.__name__} {version}"] = version, script
        return script

    return entered


def settings() -> bytes:
    return FrameFactory().settings() + FrameFactory().settings_ack()


def answer() -> bytes:
    frames = FrameFactory()
    return frames.response(1) + frames.data(1, message(b"x")) + frames.trailers(1)


def one_by_one(peer: Peer, octets: bytes, size: int = 1) -> None:
    peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for start in range(0, len(octets), size):
        peer.sock.sendall(octets[start : start + size])


@oddity()
def every_octet_by_itself(peer: Peer) -> None:
    peer.shake_hands(lambda octets: one_by_one(peer, octets))
    one_by_one(peer, peer.sealed(settings()))
    peer.wait_for_call()
    one_by_one(peer, peer.sealed(answer()))


@oddity()
def a_record_for_each_octet(peer: Peer) -> None:
    peer.shake_hands()
    peer.sock.sendall(b"".join(peer.sealed(bytes((octet,))) for octet in settings()))
    peer.wait_for_call()
    peer.sock.sendall(b"".join(peer.sealed(bytes((octet,))) for octet in answer()))


@oddity()
def records_that_are_cut(peer: Peer) -> None:
    peer.shake_hands()
    peer.send(settings())
    peer.wait_for_call()
    peer.sock.sendall(peer.sealed(answer())[:-9])


@oddity()
def the_end_behind_the_handshake(peer: Peer) -> None:
    peer.shake_hands()
    peer.sock.sendall(peer.end())
    time.sleep(PATIENCE / 2)


@oddity()
def the_end_behind_settings(peer: Peer) -> None:
    peer.shake_hands()
    peer.sock.sendall(peer.sealed(settings()) + peer.end())
    time.sleep(PATIENCE / 2)


@oddity()
def the_end_within_a_frame(peer: Peer) -> None:
    peer.shake_hands()
    peer.send(settings())
    peer.wait_for_call()
    peer.sock.sendall(peer.sealed(answer()[:30]) + peer.end())
    time.sleep(PATIENCE / 2)


@oddity()
def the_end_and_then_an_answer(peer: Peer) -> None:
    peer.shake_hands()
    peer.send(settings())
    peer.wait_for_call()
    late = peer.sealed(answer())
    peer.sock.sendall(peer.end() + late)
    time.sleep(PATIENCE / 2)


@oddity()
def the_end_in_plaintext(peer: Peer) -> None:
    peer.shake_hands()
    peer.send(settings())
    peer.wait_for_call()
    peer.sock.sendall(record(ALERT, CLOSE_NOTIFY) + peer.sealed(answer()))


@oddity()
def warnings_before_the_handshake(peer: Peer) -> None:
    peer.sock.sendall(record(ALERT, WARNING) * (FLOOD // 7))
    peer.shake_hands()


@oddity()
def warnings_in_plaintext(peer: Peer) -> None:
    peer.shake_hands()
    peer.sock.sendall(record(ALERT, WARNING) * (FLOOD // 7))


@oddity()
def fatal_alerts(peer: Peer) -> None:
    peer.sock.sendall(record(ALERT, b"\2\x28") * 1000)


@oddity()
def changes_of_the_cipher_before_the_handshake(peer: Peer) -> None:
    peer.sock.sendall(record(CHANGE_CIPHER_SPEC, b"\1") * (FLOOD // 6))
    peer.shake_hands()


@oddity()
def changes_of_the_cipher_behind_the_handshake(peer: Peer) -> None:
    peer.shake_hands()
    peer.sock.sendall(record(CHANGE_CIPHER_SPEC, b"\1") * (FLOOD // 6))


@oddity()
def empty_records_before_the_handshake(peer: Peer) -> None:
    peer.sock.sendall(record(HANDSHAKE, b"") * (FLOOD // 5))
    peer.shake_hands()


@oddity()
def empty_records_in_plaintext(peer: Peer) -> None:
    peer.shake_hands()
    peer.sock.sendall(record(APPLICATION_DATA, b"") * (FLOOD // 5))


@oddity()
def a_record_that_is_too_long(peer: Peer) -> None:
    peer.sock.sendall(bytes((HANDSHAKE, 3, 3)) + b"\xff\xff" + bytes(65535))


@oddity()
def a_long_record_that_does_not_come(peer: Peer) -> None:
    peer.shake_hands()
    peer.sock.sendall(bytes((APPLICATION_DATA, 3, 3)) + b"\x40\x00" + bytes(100))
    time.sleep(PATIENCE / 2)


@oddity()
def a_hello_of_sixteen_megabytes(peer: Peer) -> None:
    peer.sock.sendall(record(HANDSHAKE, b"\2\xff\xff\xff" + bytes(RECORD_SIZE - 4)))
    for _ in range(255):
        peer.sock.sendall(record(HANDSHAKE, bytes(RECORD_SIZE)))


@oddity()
def a_hello_in_records_of_an_octet(peer: Peer) -> None:
    def send(octets: bytes) -> None:
        out, at = [], 0
        while at < len(octets):
            length = int.from_bytes(octets[at + 3 : at + 5], "big")
            content = octets[at + 5 : at + 5 + length]
            is_plain = octets[at] == HANDSHAKE
            out += [record(HANDSHAKE, bytes((octet,))) for octet in content] if is_plain else [
                octets[at : at + 5 + length]
            ]  # fmt: skip
            at += 5 + length
        peer.sock.sendall(b"".join(out))

    peer.shake_hands(send)
    peer.send(settings())
    peer.wait_for_call()
    peer.send(answer())


@oddity()
def requests_for_another_hello(peer: Peer) -> None:
    """Renegotiation that an attacker below TLS asks for."""
    peer.shake_hands()
    peer.sock.sendall(record(HANDSHAKE, bytes(4)) * 10_000)


@oddity()
def a_handshake_that_stops(peer: Peer) -> None:
    peer.shake_hands(lambda octets: peer.sock.sendall(octets[:50]))


@oddity()
def an_answer_without_tls(peer: Peer) -> None:
    peer.sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 1000)


@oddity()
def nothing_at_all(peer: Peer) -> None:
    time.sleep(PATIENCE / 2)


@oddity()
def an_answer_and_noise(peer: Peer) -> None:
    peer.shake_hands()
    peer.send(settings())
    peer.wait_for_call()
    peer.sock.sendall(peer.sealed(answer()) + os.urandom(FLOOD))


@oddity()
def a_flood_within_tls(peer: Peer) -> None:
    peer.shake_hands()
    peer.send(settings())
    peer.wait_for_call()
    ping = FrameFactory().ping()
    peer.sock.sendall(b"".join(peer.sealed(ping) for _ in range(20_000)))


@contextmanager
def odd_server(context: ssl.SSLContext, script: Script) -> Iterator[str]:
    """Do to each connection what the script says; gives the target."""
    threads: list[threading.Thread] = []

    def one(sock: socket.socket) -> None:
        with sock, suppress(OSError, ssl.SSLError):
            sock.settimeout(LONG)
            script(Peer(sock, context))
            sock.recv(1)

    def serve() -> None:
        with suppress(OSError):
            while True:
                sock, _ = listener.accept()
                threads.append(threading.Thread(target=one, args=(sock,)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve)
        server.start()
        try:
            yield f"localhost:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            server.join()
            for thread in threads:
                thread.join()


pytestmark = pytest.mark.worlds("trio", "asyncio", "threads")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def call(target: str, authority: trustme.CA, timeout: float = PATIENCE) -> str:
    """What becomes of a call."""
    options = TlsOptions(root_certificates=authority.cert_pem.bytes())
    said = ["nothing"]

    async def test() -> None:
        async with open_channel(target, tls=options) as channel:
            try:
                await channel.unary_unary("test.Service/Say")(b"", timeout=timeout)
            except (RpcError, ConnectError) as error:
                said[0] = f"{type(error).__name__}: {error}"
            else:
                said[0] = "OK"

    run(test, seconds=60)
    return said[0]


def server_context(authority: trustme.CA, version: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    context.set_alpn_protocols(["h2"])
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_call_has_a_status(authority: trustme.CA, name: str) -> None:
    version, script = SCRIPTS[name]
    is_sound = script in (every_octet_by_itself, a_record_for_each_octet, an_answer_and_noise)
    with odd_server(server_context(authority, version), script) as target:
        said = call(target, authority, LONG if is_sound else PATIENCE)
    if is_sound:
        assert said == "OK"
    elif script is a_hello_in_records_of_an_octet:
        assert said == "OK" or said.startswith("RpcError: UNAVAILABLE")  # OpenSSL counts empty and tiny ones
    else:
        assert said.startswith(("RpcError: UNAVAILABLE", "RpcError: DEADLINE_EXCEEDED")), said


def many_tickets(context: ssl.SSLContext) -> None:
    context.num_tickets = 200


def without_alpn(context: ssl.SSLContext) -> None:
    context.set_alpn_protocols([])


def with_another_protocol(context: ssl.SSLContext) -> None:
    context.set_alpn_protocols(["http/1.1"])


def wants_a_certificate(context: ssl.SSLContext) -> None:
    context.verify_mode = ssl.CERT_REQUIRED


@pytest.mark.parametrize("change", [many_tickets, without_alpn, with_another_protocol, wants_a_certificate])
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_what_is_odd_in_the_handshake(
    authority: trustme.CA, version: str, change: Callable[[ssl.SSLContext], None]
) -> None:
    context = server_context(authority, version)
    change(context)
    with odd_server(context, an_answer_and_noise) as target:
        said = call(target, authority, LONG)
    if change is many_tickets:
        assert said == "OK"
    else:
        assert said.startswith("RpcError: UNAVAILABLE")


def test_a_certificate_of_many_names(authority: trustme.CA) -> None:
    """OpenSSL takes 100 KB of certificates."""
    context = server_context(authority, "TLSv1_3")
    authority.issue_cert(*(f"a{number}.{'b' * 50}.example" for number in range(2500)), "localhost").configure_cert(
        context
    )
    with odd_server(context, an_answer_and_noise) as target:
        assert call(target, authority, LONG).startswith("RpcError: UNAVAILABLE")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="Python's TLS cannot ask for new keys")
@pytest.mark.parametrize(("version", "command"), [("-tls1_3", b"K\n"), ("-tls1_3", b"k\n"), ("-tls1_2", b"R\n")])
def test_new_keys_again_and_again(authority: trustme.CA, tmp_path: Path, version: str, command: bytes) -> None:
    """Key updates of TLS 1.3, and renegotiation of TLS 1.2, by ``openssl s_server``."""
    certificate = tmp_path / "server.pem"
    issued = authority.issue_cert("localhost")
    certificate.write_bytes(issued.private_key_and_cert_chain_pem.bytes())
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    arguments = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(certificate), version]
    read, write = os.pipe()
    server = subprocess.Popen(
        [*arguments, "-alpn", "h2"], stdin=read, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(read)
    is_over = threading.Event()

    def ask() -> None:
        with suppress(OSError):
            while not is_over.wait(0.001):
                os.write(write, command)

    asking = threading.Thread(target=ask)
    try:
        for _ in range(100):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        asking.start()
        said = call(f"localhost:{port}", authority, 2 * PATIENCE)
    finally:
        is_over.set()
        server.kill()
        server.wait()
        asking.join()
        os.close(write)
    assert said.startswith(("RpcError: UNAVAILABLE", "RpcError: DEADLINE_EXCEEDED")), said
