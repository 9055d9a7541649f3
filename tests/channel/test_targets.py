"""Targets: what each form means, and what is said of others."""

from __future__ import annotations

import pytest

from puregrpc.channel.backends.backoff import Backoff
from puregrpc.channel.backends.proxy import parse_proxy
from puregrpc.channel.target import parse_target
from puregrpc.errors import InvalidArgument
from puregrpc.kernel.network.addresses import TcpAddress, UnixAddress


@pytest.mark.parametrize(
    ("text", "host", "port", "authority"),
    [
        ("localhost:50051", "localhost", 50051, "localhost:50051"),
        ("localhost", "localhost", 443, "localhost"),
        ("dns:example.org:1", "example.org", 1, "example.org:1"),
        ("dns:///example.org:1", "example.org", 1, "example.org:1"),
        ("dns:example.org", "example.org", 443, "example.org"),
        ("dns:50051", "dns", 50051, "dns:50051"),
        ("passthrough:///localhost:1", "localhost", 1, "localhost:1"),
        ("[::1]:2", "::1", 2, "[::1]:2"),
        ("::1", "::1", 443, "::1"),
        ("127.0.0.1:3", "127.0.0.1", 3, "127.0.0.1:3"),
        ("[fe80::1%lo]:4", "fe80::1%lo", 4, "[fe80::1%25lo]:4"),
        ("[fe80::1%25lo]:4", "fe80::1%lo", 4, "[fe80::1%25lo]:4"),
        ("dns:///[fe80::1%25lo]:4", "fe80::1%lo", 4, "[fe80::1%25lo]:4"),
        ("fe80::1%lo", "fe80::1%lo", 443, "[fe80::1%25lo]"),
        ("example.org.:1", "example.org.", 1, "example.org.:1"),
    ],
)
def test_hosts(text: str, host: str, port: int, authority: str) -> None:
    target = parse_target(text)
    assert (target.host, target.port, target.authority) == (host, port, authority)
    assert target.addresses == ()


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("ipv4:10.0.0.1:1,10.0.0.2", (TcpAddress("10.0.0.1", 1), TcpAddress("10.0.0.2", 443))),
        ("ipv6:[::1]:1,[::2]:2", (TcpAddress("::1", 1), TcpAddress("::2", 2))),
        ("ipv6:[fe80::1%25lo]:1", (TcpAddress("fe80::1%lo", 1),)),
        ("unix:relative/path", (UnixAddress("relative/path"),)),
        ("unix:/absolute", (UnixAddress("/absolute"),)),
        ("unix:///absolute", (UnixAddress("/absolute"),)),
        ("unix-abstract:name", (UnixAddress("name", abstract=True),)),
    ],
)
def test_addresses(text: str, addresses: tuple[object, ...]) -> None:
    assert parse_target(text).addresses == addresses


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("", "is not a target"),
        (" localhost:1", "is not a target"),
        ("http://localhost:1", "without http://"),
        ("https://localhost:1", "without https://"),
        ("localhost:port", "the port must be a number"),
        ("localhost:70000", "the port must be a number"),
        ("localhost/path", "is not a target"),
        ("xds:///service", "scheme 'xds', which is not known"),
        ("dns://8.8.8.8/host:1", "names the DNS server '8.8.8.8'"),
        ("ipv4:localhost:1", "'localhost' does not appear to be an IPv4"),
        ("ipv4:[::1]:1", "is not an IPv4 address"),
        ("ipv6:127.0.0.1:1", "is not an IPv6 address"),
        ("unix:", "names no socket"),
        ("unix://host/path", "an absolute path is expected"),
        (":1", "is not a target"),
    ],
)
def test_bad_targets_are_named(text: str, meaning: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_target(text)
    assert meaning in str(caught.value)
    assert text in str(caught.value)


def test_backoff_grows_to_its_bound_with_jitter() -> None:
    least, most = Backoff(lambda low, _high: low), Backoff(lambda _low, high: high)
    pauses = [(least.next_pause(), most.next_pause()) for _ in range(15)]
    assert pauses[0] == pytest.approx((0.8, 1.2))
    assert pauses[1] == pytest.approx((1.28, 1.92))
    assert pauses[-1] == pytest.approx((96, 144))
    least.reset()
    assert least.next_pause() == pytest.approx(0.8)


def test_proxies() -> None:
    proxy = parse_proxy("http://me:p%40ss@proxy.example:3128", {"X-Team": "a"})
    assert (proxy.host, proxy.port) == ("proxy.example", 3128)
    assert proxy.headers == (("X-Team", "a"), ("Proxy-Authorization", "Basic bWU6cEBzcw=="))
    assert parse_proxy("proxy:8080").port == 8080
    for bad in ("https://proxy", "http://proxy:port", "http://", "http://proxy/path"):
        with pytest.raises(InvalidArgument, match="proxy"):
            parse_proxy(bad)
    with pytest.raises(InvalidArgument, match="header 'X'"):
        parse_proxy("proxy", {"X": "a\r\nb"})
