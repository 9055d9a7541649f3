"""TLS without I/O: cut, cut off, tampered with, answered in plaintext; nothing is given but what came through it."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kernel.certificates import VERSIONS, authority, contexts, issued, layers, shake_hands

from puregrpc.errors import InvalidArgument
from puregrpc.kernel.network.tls import RECORD_SIZE, TlsError, TlsLayer, is_record_whole
from puregrpc.kernel.network.tls_sessions import TlsSessionCache

EACH_VERSION = pytest.mark.parametrize("version", VERSIONS)

PLAINTEXT = bytes.fromhex("000000 04 00 00000000 000000 04 01 00000000") * 20
"""SETTINGS frames of HTTP/2 as they are without TLS."""


def pair(version: str) -> tuple[TlsLayer, TlsLayer]:
    client, server = layers(version)
    shake_hands(client, server)
    return client, server


def read_all(layer: TlsLayer) -> bytes:
    """What can be read before the end, or before it has to wait."""
    parts = []
    while data := layer.read(1 << 16):
        parts.append(data)
    return b"".join(parts)


@EACH_VERSION
def test_what_is_known_after_the_handshake(version: str) -> None:
    client, server = pair(version)
    assert client.version == server.version == f"TLSv{version}"
    assert client.alpn == server.alpn == "h2"
    assert client.cipher == server.cipher
    certificate = ssl.PEM_cert_to_DER_cert(issued("localhost", "127.0.0.1").cert_chain_pems[0].bytes().decode())
    assert client.peer_certificate == certificate
    assert server.peer_certificate is None


def test_nothing_is_known_before_it() -> None:
    client, _ = layers()
    assert client.peer_certificate is None
    assert client.alpn is None
    assert client.cipher is None
    client.close_notify()
    assert not client.take_output()


@EACH_VERSION
@settings(max_examples=40)
@given(
    messages=st.lists(st.tuples(st.booleans(), st.integers(0, 40_000)), max_size=8),
    cut=st.integers(1, 20_000),
    limit=st.integers(1, 50_000),
)
def test_both_ways_and_cut_anywhere(version: str, messages: Sequence[tuple[bool, int]], cut: int, limit: int) -> None:
    ends = layers(version)
    received = [b"", b""]
    sent = [b"", b""]

    def pass_on(index: int) -> None:
        output = ends[index].take_output()
        other = ends[not index]
        for at in range(0, len(output), cut):
            other.feed(output[at : at + cut])
            if is_over[not index]:
                while data := other.read(limit):
                    assert len(data) <= limit + (1 << 14)
                    received[not index] += data

    is_over = [False, False]
    while not all(is_over):
        for index in (0, 1):
            is_over[index] = is_over[index] or ends[index].handshake()
            pass_on(index)
    for by_server, size in messages:
        data = bytes(index % 251 for index in range(size))
        sent[by_server] += data
        ends[by_server].write(data)
        pass_on(by_server)
    for index in (0, 1):
        ends[index].close_notify()
        pass_on(index)
    assert received == [sent[1], sent[0]]
    assert [end.read(10) for end in ends] == [b"", b""]


@EACH_VERSION
@settings(max_examples=60)
@given(end=st.floats(0, 1), announced=st.booleans())
def test_a_connection_that_is_cut_off_gives_what_is_whole(version: str, end: float, announced: bool) -> None:
    client, server = pair(version)
    records = [b"a" * 1000, b"b" * 20_000, b"c" * 10]
    for record in records:
        server.write(record)
    if announced:
        server.close_notify()
    octets = server.take_output()
    whole = b"".join(records)
    cut = int(len(octets) * end)
    client.feed(octets[:cut])
    client.feed(b"")
    received = read_all(client)
    assert whole.startswith(received)
    assert len(received) in (0, 1000, 1000 + (1 << 14), 21_000, 21_010)
    if cut == len(octets):
        assert received == whole
    for _ in range(3):
        assert client.read(100) == b""
    client.feed(octets[cut:])
    assert client.read(100) == b"", "nothing comes behind the end"


@EACH_VERSION
def test_cut_off_in_the_handshake(version: str) -> None:
    client, server = layers(version)
    assert not client.handshake()
    server.feed(client.take_output()[:100])
    assert not server.handshake()
    server.feed(b"")
    with pytest.raises(TlsError, match=r"closed in the middle of it \(a client in plaintext"):
        server.handshake()
    client.feed(b"")
    with pytest.raises(TlsError, match=r"closed in the middle of it \(a plaintext server"):
        client.handshake()


@EACH_VERSION
@pytest.mark.parametrize("before", [b"", b"what the server sent"])
@pytest.mark.parametrize(
    "octets", [PLAINTEXT, b"HTTP/1.1 200 OK\r\n\r\n", b"\x17\x03\x03\x00\x05\x00\x00\x00\x04\x00", b"\0"]
)
def test_plaintext_is_never_given(version: str, before: bytes, octets: bytes) -> None:
    client, server = pair(version)
    server.write(before)
    client.feed(server.take_output() + octets + PLAINTEXT)
    if before:
        assert client.read(1 << 16) == before
    for _ in range(3):
        with pytest.raises(TlsError):
            client.read(1 << 16)
        client.feed(PLAINTEXT)
    client.close_notify()
    with pytest.raises(TlsError):
        client.read(1 << 16)


@EACH_VERSION
def test_plaintext_behind_the_end_is_never_given(version: str) -> None:
    client, server = pair(version)
    server.write(b"last")
    server.close_notify()
    client.feed(server.take_output() + PLAINTEXT)
    assert client.read(2) == b"last"
    assert client.read(2) == b""
    client.feed(PLAINTEXT)
    assert client.read(2) == b""
    client.write(b"this side may go on")
    server.feed(client.take_output())
    assert read_all(server) == b"this side may go on"


@EACH_VERSION
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_bit_is_enough_to_be_noticed(version: str, place: float, bit: int) -> None:
    client, server = pair(version)
    server.write(b"first")
    first = server.take_output()
    server.write(b"second")
    octets = bytearray(server.take_output())
    octets[int(place * len(octets))] ^= 1 << bit
    client.feed(first + octets)
    client.feed(b"")
    assert client.read(1 << 16) == b"first"
    try:
        assert client.read(1 << 16) == b"", "a length that grew waits for more, and there is none"
    except TlsError:
        assert client.has_output, "there is an alert"


@EACH_VERSION
def test_what_was_here_before_close_notify_is_read_after_it(version: str) -> None:
    client, server = pair(version)
    data = bytes(100_000)
    server.write(data)
    octets = server.take_output()
    client.feed(octets[:-30])
    client.close_notify()
    client.close_notify()
    server.feed(client.take_output())
    assert server.read(10) == b""
    server.write(b"and more")
    server.close_notify()
    client.feed(octets[-30:] + server.take_output())
    assert read_all(client) == data + b"and more"
    assert client.read(1) == b""


@EACH_VERSION
def test_large_writes(version: str) -> None:
    client, server = pair(version)
    data = bytes(range(256)) * 8000
    client.write(memoryview(data))
    client.write(b"")
    assert client.has_output
    octets = client.take_output()
    assert len(octets) < len(data) * 1.01
    assert not client.has_output
    server.feed(octets)
    assert read_all(server) == data


# -- names


@pytest.mark.parametrize(
    ("certified", "name"),
    [
        ("service.example", "service.example."),
        ("service.example", "service.example"),
        ("*.test.example", "service.test.example."),
        ("::1", "::1"),
        ("fe80::1", "fe80::1%lo"),
        ("127.0.0.1", "127.0.0.1"),
        ("xn--bcher-kva.example", "bücher.example."),
    ],
)
def test_the_name_that_is_asked_for(certified: str, name: str) -> None:
    asked: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued(certified).configure_cert(context)
    context.sni_callback = lambda _socket, asked_name, _context: asked.append(asked_name)
    client, server = TlsLayer(contexts()[0], server_name=name), TlsLayer(context, server_side=True)
    shake_hands(client, server)
    assert asked == [None if ":" in name or name[0].isdigit() else certified.replace("*", "service")]


@pytest.mark.parametrize("name", ["", ".", ".example", "a" * 300, "ü" * 70, "a\0b"])
def test_a_name_that_cannot_be_asked_for(name: str) -> None:
    with pytest.raises(TlsError, match="cannot begin"):
        TlsLayer(contexts()[0], server_name=name)


@pytest.mark.parametrize(
    ("octets", "is_whole"),
    [
        (b"", False),
        (b"\x16", False),
        (b"\x16\3\1\0", False),
        (b"\x16\3\1\0\1", False),
        (b"\x16\3\1\0\1x", True),
        (b"\x16\3\1\0\1xyz", True),
        (b"\x16\3\1\x40\0" + bytes(RECORD_SIZE - 1), False),
        (b"\x16\3\1\x40\1", True),  # larger than a record may be
        (b"PRI * HTTP/2.0", True),
        (b"\x15", True),
    ],
)
def test_a_record_is_whole(octets: bytes, *, is_whole: bool) -> None:
    assert is_record_whole(octets) is is_whole


def test_a_name_is_needed_to_verify() -> None:
    with pytest.raises(TlsError, match="cannot begin without a name"):
        TlsLayer(contexts()[0])


# -- sessions that are gone on with


def resumed(sessions: TlsSessionCache, version: str = "1.3", name: str = "localhost") -> bool:
    """Whether a connection to a server with this name goes on with a session; it then leaves its own."""
    client_context, server_context = contexts(version)
    client = TlsLayer(client_context, server_name=name, sessions=sessions)
    server = TlsLayer(server_context, server_side=True)
    shake_hands(client, server)
    server.write(b"settings")
    client.feed(server.take_output())
    assert client.read(100) == b"settings"
    assert client.is_resumed == server.is_resumed
    assert client.peer_certificate is not None
    return client.is_resumed


@EACH_VERSION
def test_a_connection_goes_on_with_the_session_of_an_earlier_one(version: str) -> None:
    sessions = TlsSessionCache()
    assert [resumed(sessions, version) for _ in range(3)] == [False, True, True]
    assert not resumed(TlsSessionCache(), version)
    assert len(sessions) == 1
    assert repr(sessions) == "<TlsSessionCache: 1 of at most 64 sessions>"


def test_a_session_belongs_to_a_name() -> None:
    sessions = TlsSessionCache()
    assert [resumed(sessions, name=name) for name in ("localhost", "127.0.0.1", "localhost", "127.0.0.1")] == [
        False, False, True, True,
    ]  # fmt: skip
    sessions = TlsSessionCache(1)
    assert not any(resumed(sessions, name=name) for name in ("localhost", "127.0.0.1", "localhost", "127.0.0.1"))
    assert len(sessions) == 1


def test_a_session_of_tls_1_3_is_used_once_and_one_of_1_2_often() -> None:
    for version, again in (("1.3", False), ("1.2", True)):
        sessions = TlsSessionCache()
        resumed(sessions, version)
        context = contexts(version)[0]
        first = sessions.take(context, "localhost")
        assert first is not None
        assert (sessions.take(context, "localhost") is not None) == again


def test_a_server_that_sends_no_tickets_is_not_asked_for_ever() -> None:
    sessions = TlsSessionCache()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued("localhost").configure_cert(context)
    context.num_tickets = 0
    client = TlsLayer(contexts()[0], server_name="localhost", sessions=sessions)
    server = TlsLayer(context, server_side=True)
    shake_hands(client, server)
    for _ in range(20):
        server.write(b"data")
        client.feed(server.take_output())
        assert client.read(100) == b"data"
    assert len(sessions) == 0
    assert not resumed(sessions)


def test_a_capacity_for_no_session_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="capacity is 0"):
        TlsSessionCache(0)


# -- what goes wrong, in words


def failure_of(client_context: ssl.SSLContext, server_context: ssl.SSLContext, name: str = "localhost") -> list[str]:
    """What client and server say of a handshake, and of what follows it."""
    ends = TlsLayer(client_context, server_name=name), TlsLayer(server_context, server_side=True)
    is_over = [False, False]
    said = ["", ""]
    for _ in range(4):
        for index, (end, other) in enumerate((ends, ends[::-1])):
            try:
                is_over[index] = is_over[index] or (not said[index] and end.handshake())
                if is_over[index]:
                    end.read(100)
            except TlsError as error:
                said[index] = said[index] or str(error)
            if output := end.take_output():
                other.feed(output)
    return said


@EACH_VERSION
def test_certificates_that_are_not_good(version: str) -> None:
    client, server = contexts(version)
    assert failure_of(client, server, "localhost") == ["", ""]
    mismatch, told = failure_of(client, server, "other.example")
    assert mismatch.startswith("its certificate is not trusted: Hostname mismatch")
    assert mismatch.endswith("(give the right server_name in TlsOptions)")
    assert told == "the peer does not take this end's certificate: bad certificate"
    stranger = ssl.create_default_context()
    stranger.minimum_version = stranger.maximum_version = VERSIONS[version]
    untrusted, told = failure_of(stranger, server)
    assert untrusted.startswith(
        "its certificate is not trusted: unable to get local issuer certificate (give the right"
    )
    assert told == "the peer does not take this end's certificate: unknown ca"


@EACH_VERSION
def test_a_client_certificate_that_is_missing(version: str) -> None:
    client, _ = contexts(version)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued("localhost").configure_cert(server)
    authority().configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED
    said, told = failure_of(client, server)
    assert "certificate_chain in TlsOptions" in said
    assert "client certificate" in said
    assert told == "the client shows no certificate"


@EACH_VERSION
def test_a_client_certificate_of_a_stranger(version: str) -> None:
    client, _ = contexts(version)
    import trustme

    stranger = trustme.CA()
    client = ssl.create_default_context()
    authority().configure_trust(client)
    stranger.issue_cert("client.example").configure_cert(client)
    client.minimum_version = client.maximum_version = VERSIONS[version]
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued("localhost").configure_cert(server)
    authority().configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED
    said, told = failure_of(client, server)
    assert said == "the peer does not take this end's certificate: unknown ca"
    assert told.startswith("its certificate is not trusted: ")
    assert "server_name" not in told


def test_versions_that_do_not_meet() -> None:
    client, server = contexts("1.3")[0], contexts("1.2")[1]
    said, told = failure_of(client, server)
    assert said == "the peer speaks no version of TLS from 1.2 on"
    assert told


def test_ciphers_that_do_not_meet() -> None:
    client, server = (ssl.SSLContext(protocol) for protocol in (ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLS_SERVER))
    authority().configure_trust(client)
    issued("localhost").configure_cert(server)
    for context, cipher in ((client, "ECDHE-ECDSA-AES128-GCM-SHA256"), (server, "ECDHE-ECDSA-AES256-GCM-SHA384")):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(cipher)
    said, told = failure_of(client, server)
    assert said.startswith("the peer refused it: no cipher in common")
    assert told == "no shared cipher"


def test_protocols_that_do_not_meet() -> None:
    client, server = contexts(alpn="h2")[0], contexts(alpn="http/1.1")[1]
    assert failure_of(client, server)[0] in ("", "the peer does not offer HTTP/2 ('h2') by ALPN")


@pytest.mark.parametrize(
    "octets", [PLAINTEXT, b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n", b"\x15\x03\x01\x00\x02\x02\x46"]
)
def test_peers_that_do_not_speak_tls(octets: bytes) -> None:
    client, server = layers()
    assert not client.handshake()
    client.feed(octets)
    with pytest.raises(TlsError, match=r"does not speak TLS|no version of TLS"):
        client.handshake()
    server.feed(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + octets)
    with pytest.raises(TlsError, match="does not speak TLS"):
        server.handshake()
