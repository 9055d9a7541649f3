"""How connections begin: with HTTP/2, with HTTP/1.1 that leads to it, or as something else."""

from __future__ import annotations

import base64
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.trace.conversations import (
    PREFACE,
    RESPONSE,
    TRAILERS,
    Script,
    assert_every_octet_is_explained,
    message,
    recut,
)
from tests.trace.test_explainer import whole_conversation
from tests.trace.test_tls import conversation

from puregrpc.trace import Chunk, Direction, Explainer, Frame, Recording, explain
from puregrpc.trace.explaining.frames import Head, is_plausible, likely_heads
from puregrpc.trace.reading import read_recordings
from puregrpc.trace.showing.ladder import Ladder, plain
from puregrpc.trace.showing.pcapng import write_pcapng

CLIENT, SERVER = Direction


def recording(*lines: tuple[Direction, bytes], start_seen: bool = True) -> Recording:
    return Recording(tuple(Chunk(n / 1000, *line) for n, line in enumerate(lines)), start_seen=start_seen)


FOREIGN = {
    "SMTP": ((SERVER, b"220 mx.example ESMTP\r\n"), (CLIENT, b"EHLO me\r\n"), (SERVER, b"250 OK\r\n" * 3000)),
    "MySQL": ((SERVER, b"\x4a\0\0\0\x0a8.0.36\0" + bytes(60)), (CLIENT, b"\x01\0\0\1\x01" * 5000)),
    "FastCGI": ((CLIENT, b"\1\1\0\1\0\x08\0\0" + bytes(8000)), (SERVER, b"\1\6\0\1\0\x10\0\0" * 1000)),
    "FTP": ((SERVER, b"220 (vsFTPd 3.0.3)\r\n"), (CLIENT, b"USER a\r\n"), (SERVER, b"331 password\r\n")),
    "HTTP/1": ((CLIENT, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), (SERVER, b"HTTP/1.1 200 OK\r\n\r\n" + bytes(5000))),
    "one-sided": ((CLIENT, bytes(range(256)) * 100),),
    "frames without a preface": tuple((c.direction, c.data) for c in Script(preface=False).unary().chunks),
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("size", [0, 7])
def test_what_does_not_begin_as_http2_is_told_in_one_line(name: str, size: int) -> None:
    given_lines = recording(*FOREIGN[name])
    explanation = explain(replace(recut(given_lines, size), start_seen=True) if size else given_lines)
    assert_every_octet_is_explained(explanation)
    (entry,) = explanation.entries
    assert entry.part.label == "Not HTTP/2"
    for direction in Direction:
        octets = given_lines.octets(direction)
        if octets:
            assert f"{len(octets)} octets of the {direction.value}" in entry.part.value
    assert len(plain(Ladder().lines(explanation)).splitlines()) < 5


def test_a_foreign_connection_is_told_at_once_when_it_is_followed() -> None:
    explainer = Explainer(start_seen=True)
    (entry,) = explainer.feed(Chunk(0.0, SERVER, b"220 mx.example ESMTP\r\n"))
    assert "SMTP" in entry.part.problem
    assert explainer.feed(Chunk(0.1, CLIENT, b"EHLO me\r\n")) == []


def test_a_server_that_does_not_speak_http2_to_a_client_that_does() -> None:
    lines = recording((CLIENT, PREFACE + bytes.fromhex("000000040000000000")), (SERVER, b"HTTP/1.1 400 Bad\r\n\r\nx"))
    explanation = explain(lines)
    assert_every_octet_is_explained(explanation)
    assert [e.part.label for e in explanation.entries] == ["Connection preface", "SETTINGS", "Not HTTP/2"]


@pytest.mark.parametrize("start_seen", [True, False])
@pytest.mark.parametrize("cut", [1460, 1 << 20])
def test_what_is_not_http2_costs_little(start_seen: bool, cut: int) -> None:
    draw = random.Random(1)
    for data in (draw.randbytes(1 << 20), bytes(1 << 20), b"250 OK and more of it\r\n" * 45_000):
        lines = [(CLIENT, data[place : place + cut]) for place in range(0, len(data), cut)]
        start = time.process_time()
        explanation = explain(replace(recording(*lines, start_seen=start_seen), from_start=start_seen))
        assert time.process_time() - start < 1
        assert len(explanation.entries) == 1


@given(st.binary(max_size=30), st.integers(0, 9), st.integers(0, 63), st.sampled_from([0, 1, 1 << 30]))
def test_every_plausible_head_is_seen_at_a_glance(before: bytes, kind: int, flags: int, stream: int) -> None:
    data = before + bytes((0, 0, 8, kind, flags)) + stream.to_bytes(4, "big") + b"after"
    plausible = [n for n in range(len(data) - 8) if is_plausible(Head.parse(data, n), (1 << 24) - 1)]
    assert set(plausible) <= set(likely_heads(data, 0))


# -- Upgrade: h2c


def upgraded(settings: bytes = b"", head: bytes = b"", *, body: bytes = b"") -> Script:
    asks = (
        b"POST /hello.HelloService/SayHello HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: " + base64.urlsafe_b64encode(settings).rstrip(b"=") + b"\r\n"
        b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
    )
    script = Script(preface=False, settings=False).raw(CLIENT, asks)
    return script.raw(
        SERVER, head or b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    )


def in_http2(script: Script) -> Script:
    script.raw(CLIENT, PREFACE)
    for chunk in Script(preface=False).chunks:
        script.raw(chunk.direction, chunk.data)
    return script


@pytest.mark.parametrize("size", [0, 1, 11])
@pytest.mark.parametrize("start_seen", [True, False])
def test_upgrade_to_h2c_is_followed(size: int, start_seen: bool) -> None:
    script = in_http2(upgraded(bytes.fromhex("000400000064"), body=b"abc"))
    script.headers(SERVER, RESPONSE).data(SERVER, message(b"\x0a\x44" + b"a" * 68)).headers(
        SERVER, TRAILERS, "END_STREAM"
    )
    script.unary(b"\x0a\x01a", b"\x0a\x01b", stream=3)
    whole = replace(script.recording(), start_seen=start_seen)
    explanation = explain(replace(recut(whole, size), start_seen=start_seen) if size else whole)
    assert_every_octet_is_explained(explanation)
    assert explanation.problems() == ()
    assert [e.part.label for e in explanation.entries[:3]] == ["HTTP/1.1", "HTTP/1.1", "Connection preface"]
    assert [call.path for call in explanation.calls] == ["/hello.HelloService/SayHello"] * 2
    assert [call.status for call in explanation.calls] == [0, 0]
    first = next(e for e in explanation.entries if isinstance(e, Frame) and e.stream_id == 1)
    assert first.windows.server_stream == 100


def test_an_upgrade_that_is_not_taken_is_http1() -> None:
    script = upgraded(head=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").raw(CLIENT, b"GET / HTTP/1.1\r\n\r\n")
    explanation = explain(replace(script.recording(), start_seen=True))
    assert_every_octet_is_explained(explanation)
    assert [e.part.label for e in explanation.entries] == ["HTTP/1.1", "HTTP/1.1", "Not HTTP/2"]


# -- CONNECT

ASKS = b"CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n\r\n"
OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"


def through_a_tunnel(inner: Recording, *before: tuple[Direction, bytes]) -> Recording:
    opening = tuple(Chunk(0.0, *line) for line in (*before, (CLIENT, ASKS), (SERVER, OPEN)))
    return replace(inner, chunks=(*opening, *inner.chunks), start_seen=True)


@pytest.mark.parametrize("size", [0, 1, 11])
def test_a_tunnel_is_followed(size: int) -> None:
    refused = b"HTTP/1.1 407 Who are you\r\nContent-Length: 3\r\n\r\nwho"
    whole = through_a_tunnel(whole_conversation(), (CLIENT, ASKS), (SERVER, refused))
    explanation = explain(replace(recut(whole, size), start_seen=True) if size else whole)
    assert_every_octet_is_explained(explanation)
    assert explanation.problems() == ()
    assert [e.events[0] for e in explanation.entries[:4]] == [
        "asks a proxy for a tunnel to api.example:443",
        "refuses: HTTP/1.1 407",
        "asks a proxy for a tunnel to api.example:443",
        "the tunnel is open",
    ]
    assert len(explanation.calls) == 2


def test_tls_in_a_tunnel_is_decrypted(tmp_path: Path) -> None:
    encrypted = through_a_tunnel(conversation("TLS 1.3", tmp_path / "keys"))
    (read,) = read_recordings(write_pcapng(encrypted), key_log=(tmp_path / "keys").read_text())
    assert read.notes[0].startswith("decrypted: TLS 1.3")
    explanation = explain(read)
    assert_every_octet_is_explained(explanation)
    assert explanation.problems() == ()
    assert [e.part.label for e in explanation.entries[:3]] == ["HTTP/1.1", "HTTP/1.1", "Connection preface"]
    assert len(explanation.calls) == 2
    (again,) = read_recordings(write_pcapng(read))
    assert [chunk.data for chunk in again.chunks] == [chunk.data for chunk in read.chunks]
    (closed,) = read_recordings(write_pcapng(encrypted))
    assert [e.part.label for e in explain(closed).entries] == ["HTTP/1.1", "HTTP/1.1", "Not HTTP/2"]


HEADS = st.sampled_from(
    [
        ASKS, OPEN, PREFACE, b"HTTP/1.1 407 x\r\n\r\n", b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 101 x\r\n\r\n", b"CONNECT", b"HTTP/1.1 ", b"\r\n\r\n", bytes.fromhex("000000040000000000"),
        b"CONNECT a HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"HTTP/1.1 500 x\r\nContent-Length: 4\r\n\r\n",
    ]
)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(Direction), HEADS | st.binary(max_size=8)), max_size=8), st.booleans())
def test_any_beginning_is_explained(lines: list[tuple[Direction, bytes]], start_seen: bool) -> None:
    whole = recording(*lines, start_seen=start_seen)
    assert_every_octet_is_explained(explain(whole))
    for size in (1, 5):
        assert_every_octet_is_explained(explain(replace(recut(whole, size), start_seen=start_seen)))
    if any(data for _, data in lines):
        for read in read_recordings(write_pcapng(whole)):
            assert_every_octet_is_explained(explain(read))


def test_a_head_that_does_not_end_is_not_waited_for_without_end() -> None:
    lines: list[tuple[Direction, bytes]] = [(CLIENT, b"CONNECT a HTTP/1.1\r\n"), *[(CLIENT, b"a: b\r\n" * 500)] * 200]
    start = time.process_time()
    explanation = explain(recording(*lines))
    assert time.process_time() - start < 1
    assert [e.part.label for e in explanation.entries] == ["Not HTTP/2"]
