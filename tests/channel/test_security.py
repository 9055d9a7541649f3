"""TLS, mutual TLS and call credentials against a grpcio server."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
import trustme

from puregrpc.channel import CallDetails, MetadataLike
from puregrpc.errors import ConnectError, InvalidArgument, RpcError
from puregrpc.transport import InsecureTlsWarning, TlsOptions, TlsSessionCache
from tests.channel.grpcio_server import grpcio_server
from tests.channel.helpers import run
from tests.worlds import open_channel
from tests.worlds import sleep as pause


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_credentials(authority: trustme.CA, *, mutual: bool = False) -> grpc.ServerCredentials:
    certificate = authority.issue_cert("localhost", "service.example")
    pair = (certificate.private_key_pem.bytes(), certificate.cert_chain_pems[0].bytes())
    roots = authority.cert_pem.bytes() if mutual else None
    return grpc.ssl_server_credentials([pair], roots, mutual)


def test_tls(authority: trustme.CA) -> None:
    async def test() -> None:
        with grpcio_server("127.0.0.1:0", server_credentials(authority)) as address:
            target = f"localhost:{address.split(':')[1]}"
            roots = authority.cert_pem.bytes()
            async with open_channel(target, tls=TlsOptions(root_certificates=roots)) as channel:
                payload = bytes(1_000_000)
                assert await channel.unary_unary("test.Service/Echo")(payload) == payload
                async with channel.stream_stream("test.Service/Chat")([b"a"] * 100) as call:
                    assert [answer async for answer in call] == [b"A"] * 100
            async with open_channel(
                address, tls=TlsOptions(root_certificates=roots, server_name="service.example")
            ) as channel:
                assert await channel.unary_unary("test.Service/Echo")(b"named") == b"named"
            async with open_channel(target, tls=True) as channel:
                with pytest.raises(RpcError, match=r"UNAVAILABLE: .*certificate is not trusted"):
                    await channel.unary_unary("test.Service/Echo")(b"")
            with pytest.warns(InsecureTlsWarning):
                async with open_channel(target, tls=TlsOptions(verify=False)) as channel:
                    assert await channel.unary_unary("test.Service/Echo")(b"blind") == b"blind"
            async with open_channel(target) as channel:
                with pytest.raises(ConnectError, match=target.replace("localhost", r"(127\.0\.0\.1|\[::1\])")):
                    await channel.connect()

    run(test)


def test_a_channel_goes_on_with_the_sessions_of_earlier_ones(authority: trustme.CA, tmp_path: Path) -> None:
    roots = tmp_path / "roots.pem"
    roots.write_bytes(authority.cert_pem.bytes())
    sessions = TlsSessionCache()
    options = TlsOptions(root_certificates=roots, session_cache=sessions, server_name="localhost")

    async def is_resumed(address: str, options: TlsOptions) -> bool:
        async with open_channel(address, tls=options) as channel:
            async with channel.stream_stream("test.Service/Chat")([b"a"]) as call:
                assert [answer async for answer in call] == [b"A"]
                security = call.security
                assert security is not None
                return bool(security.is_resumed)

    async def test() -> None:
        with grpcio_server("127.0.0.1:0", server_credentials(authority)) as address:
            same = TlsOptions(root_certificates=roots, session_cache=sessions, server_name="localhost")
            assert [await is_resumed(address, each) for each in (options, options, same)] == [False, True, True]
            other_name = replace(options, server_name="service.example")
            not_verified = replace(options, strict_certificates=True)
            assert [await is_resumed(address, each) for each in (other_name, not_verified)] == [False, False]
            roots.write_bytes(authority.cert_pem.bytes() * 2)  # a file that has changed is read again
            assert not await is_resumed(address, options)

    run(test)


def test_mutual_tls(authority: trustme.CA) -> None:
    async def test() -> None:
        with grpcio_server("127.0.0.1:0", server_credentials(authority, mutual=True)) as address:
            target = f"localhost:{address.split(':')[1]}"
            client = authority.issue_cert("client.example")
            options = TlsOptions(
                root_certificates=authority.cert_pem.bytes(),
                certificate_chain=client.cert_chain_pems[0].bytes(),
                private_key=client.private_key_pem.bytes(),
            )
            async with open_channel(target, tls=options) as channel:
                assert await channel.unary_unary("test.Service/Echo")(b"known") == b"known"
            async with open_channel(target, tls=TlsOptions(root_certificates=authority.cert_pem.bytes())) as channel:
                with pytest.raises(ConnectError):
                    await channel.connect()

    run(test)


def test_tls_to_a_plaintext_server(server: str) -> None:
    async def test() -> None:
        async with open_channel(server, tls=True) as channel:
            with pytest.raises(ConnectError, match=rf"the TLS handshake with {server} failed"):
                await channel.connect()

    run(test)


@pytest.mark.worlds("trio", "asyncio", "uvloop")
def test_call_credentials(server: str, authority: trustme.CA) -> None:
    asked: list[str] = []

    async def token(details: CallDetails) -> MetadataLike:
        await pause(0)
        asked.append(details.path)
        return {"authorization": "Bearer t0k3n"}

    async def stuck(details: CallDetails) -> MetadataLike:
        await pause(30)
        return {}

    async def extra(details: CallDetails) -> MetadataLike:
        return [("x-extra", "1")]

    async def test() -> None:
        with grpcio_server("127.0.0.1:0", server_credentials(authority)) as address:
            options = TlsOptions(root_certificates=authority.cert_pem.bytes())
            async with open_channel(f"localhost:{address.split(':')[1]}", tls=options, credentials=token) as channel:
                seen = json.loads(await channel.unary_unary("test.Service/MetadataBack")(b"", credentials=extra))
                assert seen["authorization"] == "Bearer t0k3n"
                assert seen["x-extra"] == "1"
                async with channel.unary_stream("test.Service/Count")(b"1") as call:
                    assert await call.receive() == b"0"
                assert asked == ["/test.Service/MetadataBack", "/test.Service/Count"]
        async with open_channel(server, credentials=token) as channel:
            with pytest.raises(InvalidArgument, match=r"sent in plaintext"):
                await channel.unary_unary("test.Service/Echo")(b"")
        async with open_channel(server, allow_plaintext_credentials=True) as channel:
            back = channel.unary_unary("test.Service/MetadataBack")
            assert json.loads(await back(b"", credentials=token))["authorization"] == "Bearer t0k3n"
            with pytest.raises(RpcError, match=r"DEADLINE_EXCEEDED: .*credentials"):
                await back(b"", credentials=stuck, timeout=0.05)

    run(test)


def test_certificates_that_are_not_there() -> None:
    async def test() -> None:
        with pytest.raises(InvalidArgument, match="root_certificates '/no/such/file': No such file"):
            open_channel("localhost:1", tls=TlsOptions(root_certificates="/no/such/file"))

    run(test)


@pytest.mark.parametrize("given", [False, True])
def test_a_server_that_closes_without_an_alert(authority: trustme.CA, given: bool) -> None:
    """grpcio's server wants a client certificate, and says nothing when there is none that it takes."""

    async def test() -> None:
        with grpcio_server("127.0.0.1:0", server_credentials(authority, mutual=True)) as address:
            tls = TlsOptions(root_certificates=authority.cert_pem.bytes())
            if given:
                other = trustme.CA().issue_cert("client.example")
                tls = TlsOptions(
                    root_certificates=authority.cert_pem.bytes(),
                    certificate_chain=other.cert_chain_pems[0].bytes(),
                    private_key=other.private_key_pem.bytes(),
                )
            async with open_channel(f"localhost:{address.split(':')[1]}", tls=tls) as channel:
                expected = r"take the client certificate" if given else r"ask for a client certificate: certificate_ch"
                with pytest.raises(ConnectError, match=expected) as caught:
                    await channel.connect()
                assert str(caught.value).count("certificate_chain in TlsOptions") == 1

    run(test)
