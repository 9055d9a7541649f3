"""Servers with several certificates, and with such as change; and what each side knows of the other's."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import grpc
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.server.serving import ON_WORLDS, Running, make_server, serving

from puregrpc import BlockingChannel, TlsOptions
from puregrpc.errors import ConnectError, InvalidArgument
from puregrpc.server import Context, Method, Shape
from puregrpc.transport import Certificate, ConnectionSecurity, DynamicTls

AUTHORITY = trustme.CA()
ROOTS = AUTHORITY.cert_pem.bytes()

WHO = "/test.Service/Who"


def pair(*names: str) -> tuple[bytes, bytes]:
    """A certificate chain and its private key."""
    issued = AUTHORITY.issue_cert(*names, common_name=names[0])
    return b"".join(pem.bytes() for pem in issued.cert_chain_pems), issued.private_key_pem.bytes()


def options(chain: bytes, key: bytes, **more: object) -> TlsOptions:
    return TlsOptions(certificate_chain=chain, private_key=key, **more)  # type: ignore[arg-type]


FIRST, SECOND, THIRD = pair("one.example"), pair("two.example", "*.two.example"), pair("three.example")


def who(_: bytes, context: Context) -> bytes:
    """Says whom the client's certificate is about."""
    security = context.security
    assert security is not None
    return b"" if security.certificate is None else (security.certificate.common_name or "").encode()


def seen(address: str, name: str, **client: object) -> Certificate:
    """The server's certificate that a client gets which asks for a name."""
    tls = TlsOptions(root_certificates=ROOTS, server_name=name, **client)  # type: ignore[arg-type]
    with BlockingChannel(address, tls=tls) as channel:
        stream = channel.unary_stream(WHO)
        with stream(b"", timeout=20) as call:
            answer = call.receive()
            security = call.security
        assert answer is not None
        assert security is not None
        assert security.certificate is not None
        assert security.chain[0] == security.certificate.der
        assert security.version.startswith("TLSv1.")
        (session,) = channel.snapshot().subchannels[0].sessions
        assert session.security == security
        return security.certificate


def serve(world: str, tls: TlsOptions | DynamicTls) -> AbstractContextManager[Running]:
    server = make_server(world, tls=tls)
    server.add_method(Method(WHO, who, Shape.UNARY))
    return serving(server, world)


@ON_WORLDS
def test_the_certificate_is_chosen_by_the_name_that_is_asked_for(world: str) -> None:
    tls = options(*FIRST, more_key_pairs=[SECOND, THIRD])
    with serve(world, tls) as running:
        address = running.address
        for name in ("one.example", "two.example", "x.two.example", "three.example"):
            assert seen(address, name).covers(name)
        with (
            pytest.raises(ConnectError, match=r"four.example"),
            BlockingChannel(address, tls=TlsOptions(root_certificates=ROOTS, server_name="four.example")) as channel,
        ):
            channel.connect()


@ON_WORLDS
def test_each_side_knows_whom_the_others_certificate_is_about(world: str) -> None:
    tls = options(*FIRST, root_certificates=ROOTS, require_client_certificate=True)
    with serve(world, tls) as running:
        address = running.address
        client = TlsOptions(
            root_certificates=ROOTS, server_name="one.example", certificate_chain=SECOND[0], private_key=SECOND[1]
        )
        with BlockingChannel(address, tls=client) as channel:
            assert channel.unary_unary(WHO)(b"", timeout=20) == b"two.example"
            (connection,) = running.snapshot().connections
            security: ConnectionSecurity | None = connection.security
            assert security is not None
            assert security.certificate is not None
            assert security.certificate.dns_names == ("two.example", "*.two.example")


@ON_WORLDS
def test_certificates_that_a_function_gives(world: str, caplog: pytest.LogCaptureFixture) -> None:
    answers: list[Callable[[], TlsOptions | None]] = []
    threads: set[int] = set()

    def fetch() -> TlsOptions | None:
        threads.add(threading.get_ident())
        return answers.pop(0)() if answers else None

    def fail() -> TlsOptions:
        raise RuntimeError("no certificate today")

    with serve(world, DynamicTls(options(*FIRST), fetch)) as running:
        address = running.address
        assert seen(address, "one.example").common_name == "one.example"
        answers.append(lambda: options(*SECOND))
        assert seen(address, "two.example").common_name == "two.example"
        assert seen(address, "two.example").common_name == "two.example"
        answers += [fail, fail, lambda: options(SECOND[0], THIRD[1])]
        for _ in range(3):
            assert seen(address, "two.example").common_name == "two.example"
        assert [record.message for record in caplog.records] == ["the certificates of the server stay as they are"] * 2
        assert "no certificate today" in caplog.text
        assert "do not go together" in caplog.text
        answers.append(lambda: options(*THIRD))
        assert seen(address, "three.example").common_name == "three.example"


def test_files_that_are_replaced(tmp_path: Path) -> None:
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"

    def put(new: tuple[bytes, bytes], time: int) -> None:
        for path, content in zip((chain, key), new, strict=True):
            path.write_bytes(content)
            os.utime(path, (time, time))

    put(FIRST, 1000)
    tls = DynamicTls(TlsOptions(certificate_chain=chain, private_key=key))
    with serve("threads", tls) as running:
        address = running.address
        assert seen(address, "one.example").common_name == "one.example"
        put(SECOND, 2000)
        assert seen(address, "two.example").common_name == "two.example"
        key.write_bytes(THIRD[1])  # half of the next pair
        assert seen(address, "two.example").common_name == "two.example"
        put(THIRD, 3000)
        assert seen(address, "three.example").common_name == "three.example"
        chain.unlink()
        assert seen(address, "three.example").common_name == "three.example"
        assert tls.options.certificate_chain == chain


def test_wrong_pairs_are_named() -> None:
    with pytest.raises(
        InvalidArgument, match=r"more_key_pairs\[1\]: certificate_chain and private_key do not go together"
    ):
        options(*FIRST, more_key_pairs=[SECOND, (SECOND[0], THIRD[1])]).server_context()
    with pytest.raises(InvalidArgument, match="certificate_chain: a TLS server needs a certificate"):
        DynamicTls(TlsOptions()).server_context()
    assert isinstance(DynamicTls(options(*FIRST)).server_context(), ssl.SSLContext)


class Recording(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # it has no types
    """Keeps what its context says of the client."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def Check(self, request: object, context: grpc.ServicerContext) -> health_pb2.HealthCheckResponse:  # noqa: N802
        shown = {name: list(values) for name, values in context.auth_context().items()}
        for name in ("ssl_requested_server_name", "ssl_negotiated_key_exchange_group"):  # unknown to Python's ssl
            shown.pop(name, None)
        identities = context.peer_identities()
        self.seen += [shown, identities and list(identities), context.peer_identity_key()]
        return health_pb2.HealthCheckResponse()


@pytest.mark.parametrize("client", ["plaintext", "TLS", "mutual TLS"])
def test_servicers_see_the_auth_context_that_grpcio_shows(client: str) -> None:
    chain, key = pair("me.example", "192.0.2.1", "me@example.org")
    is_mutual = client == "mutual TLS"
    theirs, ours = Recording(), Recording()
    server = grpc.server(ThreadPoolExecutor(1))
    health_pb2_grpc.add_HealthServicer_to_server(theirs, server)
    tls = None
    if client == "plaintext":
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        tls = options(*FIRST, root_certificates=ROOTS if is_mutual else None, require_client_certificate=is_mutual)
        credentials = grpc.ssl_server_credentials([FIRST[::-1]], ROOTS if is_mutual else None, is_mutual)
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    mine = make_server("threads", tls=tls)
    mine.add_service(health_pb2.DESCRIPTOR.services_by_name["Health"], ours)
    with serving(mine, "threads") as running:
        for address in (f"127.0.0.1:{port}", running.address):
            if client == "plaintext":
                channel = grpc.insecure_channel(address)
            else:
                names = (("grpc.ssl_target_name_override", "one.example"),)
                own = (key, chain) if is_mutual else (None, None)
                channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(ROOTS, *own), names)
            with channel:
                health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
    server.stop(0).wait(20)
    assert ours.seen == theirs.seen
