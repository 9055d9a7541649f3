"""Addresses: text, zones, what the socket module takes, and the resolver's answers."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puregrpc.errors import ConnectError, InvalidArgument
from puregrpc.kernel.network.addresses import (
    TcpAddress,
    UnixAddress,
    address_of,
    escape_zone,
    join_host_port,
    literal_addresses,
    look_up,
    name_of_host,
    split_host_port,
)
from puregrpc.kernel.network.connecting import interleave_families

LOOPBACK = socket.if_indextoname(1)


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
        ("[fe80::1%lo]:1", ("fe80::1%lo", 1)),
        ("[fe80::1%25lo]:1", ("fe80::1%lo", 1)),
        ("[fe80::1%25]:1", ("fe80::1%25", 1)),
        ("[fe80::1%251]:1", ("fe80::1%251", 1)),
        ("fe80::1%lo", ("fe80::1%lo", 443)),
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


ZONES = st.none() | st.text("abcdefgh0123456789.-_", min_size=1, max_size=15).filter(lambda zone: zone[:2] != "25")
HOSTS = st.ip_addresses(v=4).map(str) | st.builds(
    lambda address, zone: f"{address}%{zone}" if zone else str(address), st.ip_addresses(v=6), ZONES
)


@given(HOSTS, st.integers(0, 65535))
def test_what_is_joined_is_split(host: str, port: int) -> None:
    text = join_host_port(host, port)
    assert split_host_port(text) == (host, port)
    authority = escape_zone(text)
    assert split_host_port(authority) == (host, port) or host.partition("%")[2].isdigit()
    assert escape_zone(authority) == authority or host.partition("%")[2].isdigit()
    assert ("%25" in authority) == ("%" in host)
    assert "%" not in name_of_host(host)


def test_the_zone_in_an_authority() -> None:
    assert escape_zone("[fe80::1%lo]:443") == "[fe80::1%25lo]:443"
    assert escape_zone("[fe80::1%25lo]:443") == "[fe80::1%25lo]:443"
    assert escape_zone("[fe80::1%2]") == "[fe80::1%252]"
    assert escape_zone("[::1]:1") == "[::1]:1"
    assert escape_zone("host:1") == "host:1"
    assert escape_zone("a%b") == "a%b"


def test_what_a_host_is_called_in_certificates() -> None:
    assert name_of_host("example.com.") == "example.com"
    assert name_of_host("example.com") == "example.com"
    assert name_of_host("fe80::1%lo") == "fe80::1"
    assert name_of_host("127.0.0.1") == "127.0.0.1"


def test_a_zone_is_the_scope_of_the_socket() -> None:
    address = TcpAddress(f"fe80::1%{LOOPBACK}", 5)
    assert address.sockaddr() == ("fe80::1", 5, 0, 1)
    assert address_of(address.sockaddr()) == address
    assert str(address) == f"[fe80::1%{LOOPBACK}]:5"
    assert TcpAddress("fe80::1%1", 5).sockaddr() == ("fe80::1", 5, 0, 1)
    assert address_of(("fe80::1", 5, 0, 987654)) == TcpAddress("fe80::1%987654", 5)
    assert literal_addresses(f"fe80::1%{LOOPBACK}", 5) == [address]


def test_a_zone_that_is_not_there_is_named() -> None:
    for fails in (lambda: TcpAddress("fe80::1%nowhere", 1).sockaddr(), lambda: look_up("fe80::1%nowhere", 1)):
        with pytest.raises((InvalidArgument, ConnectError), match="no network interface 'nowhere'"):
            fails()
    with pytest.raises(InvalidArgument, match="'no%where' is not an IP address"):
        TcpAddress("no%where", 1).sockaddr()


def test_the_resolver() -> None:
    assert literal_addresses("127.0.0.1", 9) == [TcpAddress("127.0.0.1", 9)] == look_up("127.0.0.1", 9)
    assert literal_addresses("localhost", 9) is None
    assert literal_addresses("", 9) is None
    assert TcpAddress("0.0.0.0", 9) in (literal_addresses("", 9, passive=True) or ())
    assert TcpAddress("127.0.0.1", 9) in look_up("localhost", 9)
    for name in ("nowhere.invalid", "", "a..b", "ü" * 70, "a\0b", "x" * 300):
        with pytest.raises(ConnectError, match="no address was found for the host"):
            look_up(name, 1)


def test_families_are_tried_in_turns() -> None:
    first, second = TcpAddress("::1", 1), TcpAddress("::2", 1)
    third, fourth = TcpAddress("10.0.0.1", 1), TcpAddress("10.0.0.2", 1)
    assert interleave_families([first, second, first, third, fourth]) == [first, third, second, fourth]
    assert interleave_families([UnixAddress("/a"), first]) == [UnixAddress("/a"), first]
    assert str(first) == "[::1]:1"
    assert str(third) == "10.0.0.1:1"
    assert str(UnixAddress("/a")) == "unix:/a"
    assert str(UnixAddress("a", abstract=True)) == "unix-abstract:a"
