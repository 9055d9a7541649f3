"""What channels take from the environment: proxies, and the roots of certificates."""

from __future__ import annotations

import logging

import pytest

from puregrpc import TlsOptions
from puregrpc.channel.backends.environment import environment_proxy, is_exempt, is_loopback
from puregrpc.channel.options import USER_AGENT, channel_options
from puregrpc.channel.target import parse_target
from puregrpc.errors import InvalidArgument
from tests.channel.helpers import run
from tests.channel.test_blocking_extending import ConnectProxy
from tests.channel.wire_server import EchoCall, wire_server
from tests.worlds import open_channel

ONE_WORLD = pytest.mark.worlds("threads")

ECHO = "test.Service/Echo"


def proxy_of(target: str, use: str = "remote", **environ: str) -> str:
    found = environment_proxy(parse_target(target), use, environ)  # type: ignore[arg-type]
    return "" if found is None else f"{found.host}:{found.port}"


@ONE_WORLD
def test_the_first_variable_that_is_set_counts() -> None:
    names = {"grpc_proxy": "http://g:1", "https_proxy": "http://s:2", "http_proxy": "http://h:3"}
    assert proxy_of("example.org:1") == ""
    assert proxy_of("example.org:1", **names) == "g:1"
    del names["grpc_proxy"]
    assert proxy_of("example.org:1", **names) == "s:2"
    assert proxy_of("example.org:1", http_proxy="http://h:3") == "h:3"
    assert proxy_of("example.org:1", grpc_proxy="", http_proxy="http://h:3") == ""
    assert proxy_of("example.org:1", "never", **names) == ""
    assert proxy_of("unix:/run/socket", "always", **names) == ""
    assert proxy_of("ipv4:192.0.2.1:1,192.0.2.2:1", "always", **names) == ""
    assert proxy_of("ipv4:192.0.2.1:1", **names) == "s:2"


@ONE_WORLD
def test_this_machine_is_reached_without_a_proxy_unless_that_is_asked_for() -> None:
    for target in ("localhost:1", "127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "dns:///LOCALHOST.:1", "ipv4:127.0.0.1:1"):
        assert proxy_of(target, http_proxy="http://h:3") == ""
        assert proxy_of(target, "always", http_proxy="http://h:3") == "h:3"
    assert not is_loopback("localhost.example")


@ONE_WORLD
@pytest.mark.parametrize(
    ("host", "exemptions", "expected"),
    [
        ("api.example.com", "example.com", True),
        ("api.example.com", " a.b , .EXAMPLE.com", True),
        ("API.example.com", "api.example.com", True),
        ("api.example.com", "example.org,,", False),
        ("example.org", "", False),
        ("example.org", "*", True),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("11.1.2.3", "10.0.0.0/8,10.0.0.0/99,x/8", False),
        ("2001:db8::5", "2001:db8::/32", True),
        ("fe80::1%eth0", "fe80::/10", True),
        ("2001:db8::5", "10.0.0.0/8", False),
    ],
)
def test_exemptions(host: str, exemptions: str, expected: bool) -> None:
    assert is_exempt(host, exemptions) is expected
    target = f"[{host}]:1" if ":" in host else f"{host}:1"
    assert (proxy_of(target, http_proxy="http://h:3", no_proxy=exemptions) == "") is expected
    assert proxy_of(target, http_proxy="http://h:3", no_proxy="*", no_grpc_proxy="other") == "h:3"


@ONE_WORLD
def test_a_proxy_that_cannot_be_used_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "puregrpc.channel"):
        assert proxy_of("example.org:1", https_proxy="socks5://me:secret@proxy:1") == ""
    assert "the environment's https_proxy is not used: proxy 'socks5://...@proxy:1' cannot be used" in caplog.text
    assert "secret" not in caplog.text
    with pytest.raises(InvalidArgument, match="environment_proxy is one of 'remote', 'always', 'never', not 'yes'"):
        channel_options("localhost:1", environment_proxy="yes")  # type: ignore[arg-type]


@pytest.mark.parametrize("load_balancing", ["pick_first", "round_robin"])
def test_calls_go_through_the_proxy_of_the_environment(load_balancing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        with ConnectProxy() as proxy:
            monkeypatch.setenv("grpc_proxy", f"http://me:secret@{proxy.address}")
            async with wire_server(lambda session, _: EchoCall(session)) as server:
                async with open_channel(server.address, load_balancing=load_balancing) as channel:
                    assert await channel.unary_unary(ECHO)(b"straight") == b"straight"
                assert not proxy.heads
                async with open_channel(
                    server.address, environment_proxy="always", load_balancing=load_balancing
                ) as channel:
                    assert await channel.unary_unary(ECHO)(b"around") == b"around"
                assert proxy.heads[0].startswith(f"CONNECT {server.address} HTTP/1.1\r\n".encode())
                assert b"\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n" in proxy.heads[0]

    run(test)


@ONE_WORLD
def test_the_roots_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    trustme = pytest.importorskip("trustme", reason="trustme is not installed")
    authority = trustme.CA()
    path = f"{tmp_path}/roots.pem"
    authority.cert_pem.write_to_path(path)
    monkeypatch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", path)
    context = TlsOptions().client_context()
    assert len(context.get_ca_certs()) == 1
    other = trustme.CA().cert_pem.bytes()
    assert TlsOptions(root_certificates=other).client_context().get_ca_certs() != context.get_ca_certs()
    monkeypatch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", f"{tmp_path}/none.pem")
    with pytest.raises(InvalidArgument, match=r"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH '.*none.pem': No such file"):
        TlsOptions().client_context()
    monkeypatch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "")
    TlsOptions().client_context()


@ONE_WORLD
def test_user_agents() -> None:
    async def test() -> None:
        async with wire_server(lambda session, _: EchoCall(session)) as server:
            for options, expected in (
                ({}, USER_AGENT),
                ({"user_agent": "mine/1"}, f"mine/1 {USER_AGENT}"),
                ({"user_agent": "mine/1", "secondary_user_agent": "(other)"}, f"mine/1 {USER_AGENT} (other)"),
                ({"user_agent": "mine/1", "whole_user_agent": "grpc-python/1.85"}, "grpc-python/1.85"),
                ({"whole_user_agent": ""}, ""),
            ):
                async with open_channel(server.address, **options) as channel:
                    await channel.unary_unary(ECHO)(b"")
                assert server.requests[-1].user_agent == expected
        for name in ("user_agent", "secondary_user_agent", "whole_user_agent"):
            with pytest.raises(InvalidArgument, match=rf"{name} is 'a\\r\\nb': printable ASCII is expected"):
                channel_options("localhost:1", **{name: "a\r\nb"})  # type: ignore[arg-type]

    run(test)
