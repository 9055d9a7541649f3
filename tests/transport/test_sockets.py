"""Connecting and listening for real: TCP, several addresses, unix sockets, TLS and what goes wrong with it."""

from __future__ import annotations

import os
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
import trustme
from hypothesis import given
from hypothesis import strategies as st

from puregrpc.errors import ConnectError, InvalidArgument
from puregrpc.transport import (
    Address,
    InsecureTlsWarning,
    Listener,
    SocketStream,
    TcpAddress,
    TlsOptions,
    UnixAddress,
    connect,
    listen,
    resolve_host,
    start_tls_client,
)
from puregrpc.transport.addresses import split_host_port
from puregrpc.transport.connect_rules import interleave_families
from puregrpc.transport.session import without_first


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        with trio.fail_after(10):
            await test()

    trio.run(bounded)


async def echo(stream: SocketStream) -> None:
    while True:
        await stream.wait_readable()
        data = stream.receive_nowait(1 << 16)
        if data == b"":
            return
        view = memoryview(data or b"")
        while view:
            view = view[stream.send_nowait(view) :]
            if view:
                await stream.wait_writable()


@given(
    st.lists(st.binary(max_size=9) | st.binary(max_size=9).map(lambda octets: memoryview(octets)), max_size=9),
    st.integers(0, 81),
)
def test_what_is_left_of_pieces(pieces: list[bytes | memoryview], taken: int) -> None:
    whole = b"".join(pieces)
    taken = min(taken, len(whole))
    assert b"".join(without_first(taken, pieces)) == whole[taken:]
    assert without_first(len(whole), pieces) == []


async def greet(stream: SocketStream) -> None:
    """What an HTTP/2 server in plaintext says first: an empty SETTINGS frame."""
    stream.send_nowait(bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))
    await stream.wait_readable()


@asynccontextmanager
async def serving(
    target: str, tls: TlsOptions | None = None, handler: Callable[[SocketStream], Awaitable[None]] = echo
) -> AsyncIterator[tuple[Listener, list[ConnectError]]]:
    refused: list[ConnectError] = []
    (listener,) = await listen(target, tls=tls)
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            await listener.serve(handler, on_refused=refused.append)

        nursery.start_soon(serve)
        try:
            yield listener, refused
        finally:
            nursery.cancel_scope.cancel()
            listener.close()


async def check_echo(stream: SocketStream, size: int = 300_000) -> None:
    payload = os.urandom(size)

    async def send() -> None:
        view = memoryview(payload)
        while view:
            view = view[stream.send_nowait(view) :]
            if view:
                await stream.wait_writable()

    async def send_pieces() -> None:
        # More than one call of the system takes.
        pieces: list[bytes | memoryview] = [payload[at : at + 100] for at in range(0, size, 100)]
        while pieces:
            pieces = without_first(stream.send_pieces_nowait(pieces), pieces)
            if pieces:
                await stream.wait_writable()

    for sending in (send, send_pieces) if stream.gathers else (send,):
        received = b""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sending)
            while len(received) < size:
                await stream.wait_readable()
                received += stream.receive_nowait(1 << 18) or b""
        assert received == payload


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_options(authority: trustme.CA, *names: str, client_roots: bytes | None = None) -> TlsOptions:
    certificate = authority.issue_cert(*(names or ("localhost", "127.0.0.1")))
    return TlsOptions(
        certificate_chain=b"".join(blob.bytes() for blob in certificate.cert_chain_pems),
        private_key=certificate.private_key_pem.bytes(),
        root_certificates=client_roots,
        require_client_certificate=client_roots is not None,
    )


def roots(authority: trustme.CA) -> str:
    return authority.cert_pem.bytes().decode()


def exists(path: str) -> bool:
    return Path(path).exists()


def temporaries() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("puregrpc-*.pem"))


# -- addresses


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host:1", ("host", 1)),
        ("127.0.0.1:50051", ("127.0.0.1", 50051)),
        ("[::1]:50051", ("::1", 50051)),
        ("[::1]", ("::1", 443)),
        ("::1", ("::1", 443)),
        ("host", ("host", 443)),
        (":80", ("", 80)),
    ],
)
def test_host_and_port(text: str, expected: tuple[str, int]) -> None:
    assert split_host_port(text, 443) == expected


@pytest.mark.parametrize("text", ["host:", "host:http", "host:65536", "[::1", "[::1]x", "host:-1", "host:٣"])
def test_a_bad_port_is_named(text: str) -> None:
    with pytest.raises(InvalidArgument, match="port"):
        split_host_port(text, 443)


def test_a_port_is_needed_where_there_is_no_default() -> None:
    with pytest.raises(InvalidArgument, match="'host' has no port"):
        split_host_port("host")


def test_families_are_tried_in_turns() -> None:
    first, second = TcpAddress("::1", 1), TcpAddress("::2", 1)
    third, fourth = TcpAddress("10.0.0.1", 1), TcpAddress("10.0.0.2", 1)
    assert interleave_families([first, second, third, fourth]) == [first, third, second, fourth]
    assert str(first) == "[::1]:1"
    assert str(third) == "10.0.0.1:1"


def test_a_host_that_is_not_there_is_named() -> None:
    async def test() -> None:
        with pytest.raises(ConnectError, match=r"no address was found for the host 'nowhere\.invalid'"):
            await resolve_host("nowhere.invalid", 1)
        assert TcpAddress("127.0.0.1", 9) in await resolve_host("127.0.0.1", 9)

    run(test)


# -- plaintext


def test_tcp() -> None:
    async def test() -> None:
        async with serving("127.0.0.1:0") as (listener, _):
            assert isinstance(listener.address, TcpAddress)
            assert listener.address.port
            stream = await connect([listener.address])
            assert stream.peer == str(listener.address)
            await check_echo(stream)
            stream.close()
            stream.close()

    run(test)


@pytest.mark.parametrize("abstract", [False, True])
def test_unix_sockets(abstract: bool, tmp_path: Path) -> None:
    async def test() -> None:
        path = f"{tmp_path.name}-{os.getpid()}" if abstract else str(tmp_path / "socket")
        target = f"unix-abstract:{path}" if abstract else f"unix:{path}"
        async with serving(target) as (listener, _):
            assert str(listener.address) == target
            stream = await connect([UnixAddress(path, abstract)])
            await check_echo(stream)
            stream.close()
        assert not exists(path)
        stale = (await listen(target))[0]
        stale._socket.close()  # as a killed server leaves it
        (again,) = await listen(target)
        with pytest.raises(ConnectError, match="could not listen on unix"):
            await listen(target)
        again.close()

    run(test)


def test_a_closed_port_is_refused_by_name() -> None:
    async def test() -> None:
        (listener,) = await listen("127.0.0.1:0")
        listener.close()
        with pytest.raises(ConnectError, match=rf"could not connect to {listener.address}: .*refused"):
            await connect([listener.address])

    run(test)


def test_the_next_address_is_tried_when_one_fails_or_hangs() -> None:
    async def test() -> None:
        async with serving("127.0.0.1:0") as (listener, _):
            (closed,) = await listen("127.0.0.1:0")
            closed.close()
            # TEST-NET-1 (RFC 5737) answers nowhere: it fails or it hangs
            hanging = TcpAddress("192.0.2.1", 9)
            addresses: list[Address] = [closed.address, hanging, listener.address]
            stream = await connect(addresses, delay=0.05)
            assert stream.peer == str(listener.address)
            stream.close()
            with pytest.raises(ConnectError, match=r"any of 2 addresses: .*refused; .*refused"):
                await connect([closed.address, UnixAddress("/nonexistent"), closed.address][::2], delay=0.05)

    run(test)


# -- TLS


async def connect_tls(address: Address, options: TlsOptions, server_name: str = "localhost") -> SocketStream:
    stream = await connect([address])
    return await start_tls_client(
        stream, options.client_context(), options.server_name or server_name, require_alpn=options.require_alpn
    )


def test_tls(authority: trustme.CA, tmp_path: Path) -> None:
    async def test() -> None:
        key_log = tmp_path / "keys.log"
        async with serving("127.0.0.1:0", server_options(authority)) as (listener, refused):
            options = TlsOptions(root_certificates=roots(authority), key_log_file=key_log)
            stream = await connect_tls(listener.address, options)
            assert stream.tls is not None
            assert stream.tls.selected_alpn_protocol() == "h2"
            await check_echo(stream)
            stream.send_eof()
            await stream.wait_readable()
            stream.close()
            assert not refused
        assert "SECRET" in key_log.read_text()

    run(test)


def test_the_end_of_tls_is_the_end_of_tcp_too(authority: trustme.CA) -> None:
    """Some peers answer close_notify with nothing; TCP's FIN tells them that no more will come."""

    def serve(listener: socket.socket) -> bytes:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        context.set_alpn_protocols(["h2"])
        connection, _ = listener.accept()
        connection.settimeout(5)
        with context.wrap_socket(connection, server_side=True) as tls:
            assert tls.recv(1) == b""
            return socket.socket.recv(tls, 1)  # beneath TLS: b"" is a FIN, and nothing is a timeout

    async def test() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with trio.open_nursery() as nursery:
                ends: list[bytes] = []

                async def serve_in_thread() -> None:
                    ends.append(await trio.to_thread.run_sync(serve, listener))

                nursery.start_soon(serve_in_thread)
                stream = await connect_tls(
                    TcpAddress(*listener.getsockname()), TlsOptions(root_certificates=roots(authority))
                )
                stream.send_eof()
            assert ends == [b""]
            stream.close()

    run(test)


def test_roots_from_a_file_and_another_server_name(authority: trustme.CA, tmp_path: Path) -> None:
    async def test() -> None:
        file = tmp_path / "roots.pem"
        authority.cert_pem.write_to_path(str(file))
        async with serving("127.0.0.1:0", server_options(authority, "inner.example")) as (listener, _):
            for path in (file, str(file)):
                options = TlsOptions(root_certificates=path, server_name="inner.example")
                stream = await connect_tls(listener.address, options)
                await check_echo(stream, 1000)
                stream.close()
            with pytest.raises(ConnectError, match="not trusted: Hostname mismatch"):
                await connect_tls(listener.address, TlsOptions(root_certificates=file))

    run(test)


def test_untrusted_and_unverified(authority: trustme.CA) -> None:
    async def test() -> None:
        async with serving("127.0.0.1:0", server_options(authority)) as (listener, _):
            with pytest.raises(ConnectError, match="certificate is not trusted"):
                await connect_tls(listener.address, TlsOptions())
            with pytest.warns(InsecureTlsWarning):
                stream = await connect_tls(listener.address, TlsOptions(verify=False))
            await check_echo(stream, 1000)
            stream.close()

    run(test)


@pytest.mark.parametrize("password", [None, "secret"])
def test_mutual_tls(authority: trustme.CA, password: str | None) -> None:
    async def test() -> None:
        client = authority.issue_cert("client.example")
        key = client.private_key_pem.bytes()
        if password is not None:
            from cryptography.hazmat.primitives import serialization

            key = serialization.load_pem_private_key(key, None).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(password.encode()),
            )
        options = TlsOptions(
            root_certificates=roots(authority),
            certificate_chain=client.cert_chain_pems[0].bytes(),
            private_key=key,
            password=password,
        )
        server = server_options(authority, client_roots=authority.cert_pem.bytes())
        before = temporaries()
        async with serving("127.0.0.1:0", server) as (listener, refused):
            stream = await connect_tls(listener.address, options)
            assert temporaries() <= before
            await check_echo(stream, 1000)
            stream.close()
            if password is not None:
                for bad, meaning in ((None, "no password was given"), ("wrong", "does not decrypt")):
                    with pytest.raises(InvalidArgument, match=meaning):
                        TlsOptions(
                            certificate_chain=client.cert_chain_pems[0].bytes(), private_key=key, password=bad
                        ).client_context()
                assert temporaries() <= before
            # TLS 1.3: the server's refusal comes after the client's handshake
            stream = await connect_tls(listener.address, TlsOptions(root_certificates=roots(authority)))
            await stream.wait_readable()
            with pytest.raises(OSError, match=r"(?i)certificate.required"):
                stream.receive_nowait(10)
            stream.close()
            assert refused

    run(test)


def test_a_server_without_h2_is_named(authority: trustme.CA) -> None:
    async def test() -> None:
        options = server_options(authority)
        (listener,) = await listen("127.0.0.1:0", tls=options)
        assert listener._context is not None
        async with trio.open_nursery() as nursery:

            async def serve() -> None:
                await listener.serve(echo)

            nursery.start_soon(serve)
            trusting = TlsOptions(root_certificates=roots(authority))
            listener._require_alpn = False
            for protocols, meaning in (([], "no protocol"), (["http/1.1"], "no protocol|does not offer")):
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                authority.issue_cert("localhost").configure_cert(context)
                context.set_alpn_protocols(protocols) if protocols else None
                listener._context = context
                with pytest.raises(ConnectError, match=meaning):
                    await connect_tls(listener.address, trusting)
            lenient = TlsOptions(root_certificates=roots(authority), require_alpn=False)
            stream = await connect_tls(listener.address, lenient)
            await check_echo(stream, 100)
            stream.close()
            nursery.cancel_scope.cancel()
            listener.close()

    run(test)


def test_tls_to_a_plaintext_server_and_back(authority: trustme.CA) -> None:
    async def test() -> None:
        async with serving("127.0.0.1:0", handler=greet) as (listener, _):
            with pytest.raises(ConnectError, match="does not speak TLS"):
                await connect_tls(listener.address, TlsOptions(root_certificates=roots(authority)))
        async with serving("127.0.0.1:0", server_options(authority)) as (listener, refused):
            stream = await connect([listener.address])
            stream.send_nowait(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            await stream.wait_readable()
            stream.close()
            await trio.testing.wait_all_tasks_blocked()
            assert "the TLS handshake with 127.0.0.1:" in str(refused[0])

    run(test)


@pytest.mark.parametrize(
    ("options", "meaning"),
    [
        (TlsOptions(root_certificates="/nowhere/roots.pem"), "root_certificates '/nowhere/roots.pem': No such file"),
        (TlsOptions(root_certificates="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"), "not a valid"),
        (TlsOptions(root_certificates="-----BEGIN X-----"), "no CERTIFICATE in PEM form"),
        (TlsOptions(private_key="-----BEGIN PRIVATE KEY-----"), "without certificate_chain"),
    ],
)
def test_bad_options_name_the_field(options: TlsOptions, meaning: str) -> None:
    with pytest.raises(InvalidArgument, match=meaning):
        options.client_context()


def test_a_server_needs_a_certificate() -> None:
    with pytest.raises(InvalidArgument, match="a TLS server needs a certificate"):
        TlsOptions().server_context()


def test_a_key_of_another_certificate(authority: trustme.CA) -> None:
    one, other = authority.issue_cert("localhost"), authority.issue_cert("localhost")
    with pytest.raises(InvalidArgument, match="do not go together"):
        TlsOptions(
            certificate_chain=one.cert_chain_pems[0].bytes(), private_key=other.private_key_pem.bytes()
        ).client_context()
