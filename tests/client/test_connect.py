"""connect: what works, what fails, how soon, and that the client is usable afterwards."""

from __future__ import annotations

import gc
import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from puregrpc import Client, Stream
from puregrpc.errors import ConnectError, InvalidArgument, NotConnected
from tests.client.conftest import free_address, tcp_server
from tests.client.lab import DEFINITIONS, FILES, lab_server

ECHO = "lab.Bench/Echo"


def works(client: Client) -> bool:
    return bool(client.invoke(ECHO, {"aString": "x"}).message["aString"] == "x")


def test_connect_again_after_close_and_after_failures(loaded: Client, lab: str) -> None:
    assert loaded.connect(lab, {"plaintext": True}) is True
    assert works(loaded)
    assert loaded.connect(lab, plaintext=True) is True
    assert works(loaded)
    with pytest.raises(ConnectError, match=r"connection error: .*refused"):
        loaded.connect(free_address(), {"plaintext": True, "timeout": "200ms"})
    with pytest.raises(NotConnected, match="no gRPC connection, you must call connect first"):
        loaded.invoke(ECHO, {})
    with pytest.raises(InvalidArgument, match='unknown connect param: "nope"'):
        loaded.connect(lab, {"nope": 1})
    assert loaded.connect(lab, plaintext=True)
    loaded.close()
    loaded.close()
    with pytest.raises(NotConnected):
        loaded.invoke(ECHO, {})
    assert loaded.connect(lab, plaintext=True)
    assert works(loaded)


@pytest.mark.parametrize("timeout", ["300ms", 300, 300.7, "300", "0.3s"])
def test_a_silent_server_costs_the_timeout(loaded: Client, lab: str, timeout: float | str) -> None:
    with tcp_server() as silent:
        began = time.monotonic()
        with pytest.raises(ConnectError, match="context deadline exceeded") as caught:
            loaded.connect(silent, plaintext=True, timeout=timeout)
        assert 0.25 < time.monotonic() - began < 10
        assert silent in str(caught.value)
    loaded.connect(lab, plaintext=True)
    assert works(loaded)


@pytest.mark.parametrize("timeout", ["0s", 0, -1, "-1s", "0", math.nan, "-1d", "NaN"])
def test_no_time_at_all(loaded: Client, timeout: float | str) -> None:
    with pytest.raises(ConnectError, match="context deadline exceeded"):
        loaded.connect("127.0.0.1:1", plaintext=True, timeout=timeout)


@pytest.mark.parametrize("timeout", ["1d", "1d2h", "1h3s", "1e3", "Infinity", 1e20])
def test_long_timeouts(loaded: Client, lab: str, timeout: float | str) -> None:
    assert loaded.connect(lab, plaintext=True, timeout=timeout)


def test_an_http1_server_is_named(loaded: Client, lab: str) -> None:
    with tcp_server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        began = time.monotonic()
        with pytest.raises(ConnectError, match=r"HTTP/1\.1"):
            loaded.connect(address, plaintext=True, timeout="20s")
        assert time.monotonic() - began < 15
    loaded.connect(lab, plaintext=True)
    assert works(loaded)


@pytest.mark.parametrize("address", ["", "http://localhost:1", "localhost:port", "[::1", "a b:1"])
def test_an_address_that_is_none(loaded: Client, address: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        loaded.connect(address, plaintext=True)
    assert address in str(caught.value)
    with pytest.raises(InvalidArgument, match="an address is text"):
        loaded.connect(5, plaintext=True)  # type: ignore[arg-type]  # what this test is about


def test_an_unknown_host(loaded: Client) -> None:
    with pytest.raises(ConnectError, match=r"no-such-host\.invalid"):
        loaded.connect("no-such-host.invalid:1", plaintext=True, timeout="5s")


# -- TLS


class Certificates:
    """Certificates of a server on 127.0.0.1 and localhost, and of a client."""

    def __init__(self, folder: Path) -> None:
        authority, other = trustme.CA(), trustme.CA()
        server = authority.issue_cert("localhost", "test.lab.example", "127.0.0.1")
        elsewhere = authority.issue_cert("elsewhere.example")
        own = authority.issue_cert("client@example.com")
        self.ca = authority.cert_pem.bytes().decode()
        self.other_ca = other.cert_pem.bytes().decode()
        self.server = (server.private_key_pem.bytes(), server.cert_chain_pems[0].bytes())
        self.elsewhere = (elsewhere.private_key_pem.bytes(), elsewhere.cert_chain_pems[0].bytes())
        self.cert = own.cert_chain_pems[0].bytes().decode()
        self.key = own.private_key_pem.bytes().decode()
        self.other_key = other.private_key_pem.bytes().decode()
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_text(self.ca)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def tls_lab(certificates: Certificates) -> Iterator[str]:
    with lab_server(grpc.ssl_server_credentials([certificates.server])) as address:
        yield address


@pytest.fixture(scope="module")
def wrong_name(certificates: Certificates) -> Iterator[str]:
    with lab_server(grpc.ssl_server_credentials([certificates.elsewhere])) as address:
        yield address


@pytest.fixture(scope="module")
def mtls_lab(certificates: Certificates) -> Iterator[str]:
    credentials = grpc.ssl_server_credentials([certificates.server], certificates.ca.encode(), True)
    with lab_server(credentials) as address:
        yield address


def test_tls_that_works(loaded: Client, certificates: Certificates, tls_lab: str, wrong_name: str, lab: str) -> None:
    port = tls_lab.rpartition(":")[2]
    for address, tls, authority in [
        (tls_lab, {"cacerts": certificates.ca}, ""),
        (tls_lab, {"cacerts": [certificates.other_ca, certificates.ca]}, ""),
        (tls_lab, {"cacerts": certificates.ca_file, "nope": 1}, ""),
        (f"localhost:{port}", {"cacerts": certificates.ca}, ""),
        (wrong_name, {"cacerts": certificates.ca}, "elsewhere.example"),
        (tls_lab, {"cacerts": certificates.ca}, "test.lab.example"),
        (tls_lab, {"cacerts": certificates.ca, "cert": certificates.cert}, ""),
        (tls_lab, {"cacerts": certificates.ca, "key": certificates.key}, ""),
        (tls_lab, {"cacerts": certificates.ca, "cert": certificates.cert, "key": certificates.key, "password": ""}, ""),
    ]:
        loaded.connect(address, {"tls": tls, "authority": authority, "timeout": "10s"})
        assert works(loaded)
    loaded.connect(lab, {"plaintext": True, "tls": {"cacerts": certificates.ca}})
    assert works(loaded)


def test_mutual_tls(loaded: Client, certificates: Certificates, mtls_lab: str) -> None:
    tls = {"cacerts": certificates.ca, "cert": certificates.cert, "key": certificates.key}
    loaded.connect(mtls_lab, {"tls": tls})
    assert works(loaded)
    with pytest.raises(ConnectError):
        loaded.connect(mtls_lab, {"timeout": "2s", "tls": {"cacerts": certificates.ca}})


def test_tls_that_fails(loaded: Client, certificates: Certificates, tls_lab: str, wrong_name: str, lab: str) -> None:
    ca = certificates.ca
    wrong: list[tuple[str, dict[str, Any], str]] = [
        (tls_lab, {}, "not trusted.*give the right tls.cacerts"),
        (tls_lab, {"tls": {}}, "not trusted"),
        (tls_lab, {"tls": {"cacerts": []}}, "not trusted"),
        (tls_lab, {"tls": {"cacerts": certificates.other_ca}}, "not trusted"),
        (wrong_name, {"tls": {"cacerts": ca}}, "127.0.0.1"),
        (tls_lab, {"tls": {"cacerts": ca}, "authority": "nope.example"}, "nope.example"),
        (tls_lab, {"plaintext": True}, "TLS|closed|SETTINGS"),
        (lab, {}, "TLS"),
    ]
    for address, params, said in wrong:
        began = time.monotonic()
        with pytest.raises(ConnectError, match=f"connection error: .*(?:{said})"):
            loaded.connect(address, {"timeout": "5s", **params})
        assert time.monotonic() - began < 15
    loaded.connect(lab, plaintext=True)
    assert works(loaded)


PREFIX = "invalid grpc.connect() parameters: "


def test_tls_params_that_are_wrong(loaded: Client, certificates: Certificates) -> None:
    good = {"cacerts": certificates.ca, "cert": certificates.cert, "key": certificates.key}
    for tls, said in [
        ({"cert": 0}, f"{PREFIX}invalid tls cert value: '0', it needs to be a PEM formatted string"),
        ({"cert": None}, f"{PREFIX}invalid tls cert value: 'None', it needs to be a PEM formatted string"),
        ({"cert": "", "key": 0}, f"{PREFIX}invalid tls key value: '0', it needs to be a PEM formatted string"),
        ({"password": 0}, f"{PREFIX}invalid tls password value: a int, it needs to be a string"),
        ({"cacerts": 0}, f"{PREFIX}invalid tls cacerts value: '0', it needs to be a string or an array of PEM"),
        ({"cacerts": [0]}, f"{PREFIX}invalid tls cacerts value: '[0]', it needs to be a string or an array of PEM"),
        ({"cacerts": "hello"}, "failed to append ca certificate [0] from PEM"),
        ({"cacerts": [certificates.ca, "hello"]}, "failed to append ca certificate [1] from PEM"),
        ({"cacerts": ""}, "failed to append ca certificate [0] from PEM"),
        ({**good, "cert": "x"}, "tls: failed to find any PEM data in certificate input"),
        ({**good, "key": "y"}, "tls: failed to find any PEM data in key input"),
        ({**good, "key": certificates.other_key}, "tls: private key does not match public key"),
        ({"cacerts": certificates.ca, "password": "abc"}, "failed to decode PEM key"),
        ({"cacerts": Path("/no/such/file")}, "No such file"),
    ]:
        with pytest.raises(InvalidArgument) as caught:
            loaded.connect("127.0.0.1:1", {"tls": tls, "timeout": "2s"})
        assert said in str(caught.value)


def test_the_password_of_a_key(loaded: Client, certificates: Certificates) -> None:
    key = serialization.load_pem_private_key(certificates.key.encode(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    ).decode()
    for password, said in [
        ("wrong", "^x509: decryption password incorrect$"),
        (
            "",
            "^failed to append certificate from PEM: tls: failed to parse private key: it is encrypted and no password",
        ),
    ]:
        with pytest.raises(InvalidArgument, match=said):
            loaded.connect("127.0.0.1:1", tls={"cert": certificates.cert, "key": encrypted, "password": password})


# -- health and reflection


def test_health_check(client: Client) -> None:
    from puregrpc import HealthCheckNotServing, HealthCheckServing, HealthCheckUnknown, check
    from puregrpc.errors import RpcError
    from tests.client.samples import samples

    found = client.health_check()
    assert (dict(found), str(found.status), found.status == HealthCheckServing) == ({"status": 1}, "SERVING", True)
    assert check(found, {"serving": lambda r: r.status == HealthCheckServing})
    assert client.healthCheck("") == client.health_check(None) == found
    assert client.health_check("sick").status == HealthCheckNotServing
    assert client.health_check("odd").status == HealthCheckUnknown
    for name in ("nope", 5, "x" * 200):
        with pytest.raises(RpcError) as caught:
            client.health_check(name)  # type: ignore[arg-type]  # k6 takes numbers
        assert str(caught.value).startswith("rpc error: code = NotFound desc = ")
        assert caught.value.code == 5
    assert samples(client, "grpc_req_duration", "status", "group", "scenario", "method", "url") == {
        ("0", "", "default", "", ""): 5,
        ("5", "", "default", "", ""): 3,
    }
    assert samples(client, "checks", "check") == {("serving",): 1}


def test_health_check_without_the_service(loaded: Client) -> None:
    from puregrpc.errors import RpcError

    with pytest.raises(NotConnected):
        loaded.health_check()
    with lab_server(with_health=False, with_reflection=False) as address:
        loaded.connect(address, plaintext=True)
        with pytest.raises(RpcError, match="rpc error: code = Unimplemented desc = Method not found!"):
            loaded.health_check()
        with pytest.raises(RpcError, match="error invoking reflect API"):
            loaded.connect(address, plaintext=True, reflect=True)
        with pytest.raises(NotConnected):
            loaded.health_check()


def test_reflection(lab: str) -> None:
    from puregrpc.errors import SchemaError

    with Client() as client:
        assert client.connect(lab, {"plaintext": True, "reflect": True}) is True
        assert client.invoke(ECHO, {"aString": "r"}).message["aString"] == "r"
        assert client.invoke("lab.Bench/EchoInteger", "3").message == "3"
        assert client.invoke("lab.Bench/EchoValue", 12).message == 12
        data = {"@type": "type.googleapis.com/lab.Inner", "name": "n"}
        assert client.invoke("lab.Bench/EchoAny", {"data": data}).message["data"]["name"] == "n"
        with pytest.raises(SchemaError, match='method "/foo/bar" not found in file descriptors'):
            client.invoke("foo/bar", {})
        error = client.invoke("lab.Bench/Fail", {"code": 3, "details": "reason"}).error
        assert error is not None
        assert error.details[0]["@type"] == "type.googleapis.com/lab.Reason"


def test_one_client_loads_from_files_and_another_streams(lab: str) -> None:
    with Client() as client:
        client.load([DEFINITIONS], "lab.proto")
        client.connect(lab, plaintext=True, reflect=True)
        stream = Stream(client, "lab.Bench/Count")
        stream.write({"count": 2})
        assert [message["index"] for message in stream] == [0, 1]


def test_a_client_that_is_dropped_closes_its_connection(lab: str) -> None:
    def threads() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name.startswith("puregrpc")]

    def use() -> Stream:
        client = Client()
        client.load([DEFINITIONS], *FILES[:4])
        client.connect(lab, plaintext=True)
        assert works(client)
        stream = client.stream("lab.Bench/Converse")
        stream.write({"text": "a"})
        return stream

    before = threads()
    stream = use()
    gc.collect()
    stream.end()
    assert [message["text"] for message in stream] == ["a"]  # a stream keeps its client
    assert threads() != before
    del stream
    gc.collect()
    until = time.monotonic() + 20
    while threads() != before and time.monotonic() < until:
        time.sleep(0.01)
    assert threads() == before
