"""Whole conversations explained: every octet has a place, and the records say what happened."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hyperframe.frame import SettingsFrame
from hypothesis import given
from hypothesis import strategies as st
from tests.trace.conversations import (
    BOB_IN_GZIP,
    PREFACE,
    REQUEST,
    RESPONSE,
    TRAILERS,
    Script,
    assert_every_octet_is_explained,
    message,
    recut,
)

from puregrpc.proto import compile as compile_proto
from puregrpc.schema import Registry
from puregrpc.trace import Chunk, Direction, Explainer, Frame, Recording, explain
from puregrpc.wire.compression import CODINGS

CLIENT, SERVER = Direction.CLIENT, Direction.SERVER
HELLO = """
syntax = "proto3";
package hello;
message HelloRequest { string greeting = 1; repeated int32 lucky = 2; map<string, sint64> scores = 3; }
message HelloResponse { string reply = 1; }
service HelloService {
  rpc SayHello(HelloRequest) returns (HelloResponse);
  rpc LotsOfReplies(HelloRequest) returns (stream HelloResponse);
}
"""


@pytest.fixture(scope="module")
def registry() -> Registry:
    made = Registry()
    for file in compile_proto(["hello.proto"], sources={"hello.proto": HELLO}):
        made.add_file(file)
    return made


def test_a_unary_call_octet_by_octet(registry: Registry) -> None:
    script = Script().unary(b"\x0a\x03bob", b"\x0a\x09hello bob")
    explanation = explain(script.recording(), registry=registry)
    assert_every_octet_is_explained(explanation)
    assert explanation.problems() == ()
    (call,) = explanation.calls
    assert (call.path, call.status, call.timeout) == ("/hello.HelloService/SayHello", 0, 0.1)
    assert (call.sent_messages, call.received_messages) == (1, 1)
    frames = [entry for entry in explanation.entries if isinstance(entry, Frame)]
    assert [frame.type_name for frame in frames[4:]] == ["HEADERS", "DATA", "HEADERS", "DATA", "HEADERS"]
    request = frames[4].header_block
    assert request is not None
    assert request.role == "request"
    assert request.value(b"grpc-timeout") == b"100m"
    (sent,) = frames[5].messages
    assert sent.type_name == "hello.HelloRequest"
    assert [(field.name, field.value) for field in sent.fields] == [("greeting", "bob")]
    assert frames[5].windows.client_connection == 65_535 - 10
    assert frames[5].windows.client_stream == 65_535 - 10
    assert "ends the call with OK, 96.0 ms before the deadline" in frames[-1].events


def test_header_blocks_and_messages_across_frames(registry: Registry) -> None:
    script = Script()
    script.headers(CLIENT, REQUEST, fragments=5)
    wire = message(b"\x0a\x05alice\x12\x02\x01\x02\x1a\x05\x0a\x01x\x10\x03")
    for place in range(0, len(wire), 3):
        script.data(CLIENT, wire[place : place + 3], pad=2 if place == 3 else 0)
    script.data(CLIENT, b"", "END_STREAM")
    script.headers(SERVER, RESPONSE)
    script.data(SERVER, message(b"\x0a\x01a") + message(b"\x0a\x01b"))
    script.headers(SERVER, TRAILERS, "END_STREAM")
    explanation = explain(script.recording(), registry=registry)
    assert_every_octet_is_explained(explanation)
    messages = [found for entry in explanation.entries for found in entry.messages]
    names = [[(f.name, f.value) for f in found.fields] for found in messages]
    assert names == [
        [("greeting", "alice"), ("lucky", (1, 2)), ("scores", None)],
        [("reply", "a")],
        [("reply", "b")],
    ]
    assert [(f.name, f.value) for f in messages[0].fields[2].fields] == [("key", "x"), ("value", -2)]
    assert any("2 messages, where SayHello has exactly one" in problem for problem in explanation.problems())


def test_compressed_messages_are_inflated(registry: Registry) -> None:
    script = Script()
    script.headers(CLIENT, (*REQUEST, ("grpc-encoding", "gzip")))
    script.data(CLIENT, message(BOB_IN_GZIP, flag=1), "END_STREAM")
    explanation = explain(script.recording(), registry=registry)
    assert_every_octet_is_explained(explanation)
    (sent,) = explanation.entries[-1].messages
    assert sent.compressed
    assert sent.encoding == "gzip"
    assert sent.data == b"\x0a\x03bob"
    assert sent.fields[0].value == "bob"
    assert explanation.problems() == ()


def test_status_details_are_decoded() -> None:
    script = Script()
    script.headers(CLIENT, REQUEST)
    details = (
        (":status", "200"),
        ("content-type", "application/grpc"),
        ("grpc-status", "5"),
        ("grpc-message", "no such thing%3A \xe2\x82\xac".replace("\xe2\x82\xac", "%E2%82%AC")),
        ("grpc-status-details-bin", "CAUSBG5vcGU"),
    )
    script.headers(SERVER, details, "END_STREAM")
    explanation = explain(script.recording())
    assert_every_octet_is_explained(explanation)
    assert explanation.calls[0].status_message == "no such thing: €"
    block = explanation.entries[-1].header_block
    assert block is not None
    assert [field.value for field in block.fields[-1].details] == [5, "nope"]


PROBLEMS: dict[str, tuple[Callable[[Script], Script], str]] = {
    "no te": (lambda s: s.headers(CLIENT, [h for h in REQUEST if h[0] != "te"]), "te: trailers is missing"),
    "GET": (lambda s: s.headers(CLIENT, [(":method", "GET"), *REQUEST[1:]]), "gRPC requests are POST"),
    "bad timeout": (
        lambda s: s.headers(CLIENT, [*REQUEST[:-2], ("grpc-timeout", "100x")]),
        "not 1 to 8 digits and one of H, M, S, m, u, n",
    ),
    "pseudo behind": (
        lambda s: s.headers(CLIENT, [*REQUEST[1:], REQUEST[0]]),
        ":method stands behind a regular field",
    ),
    "upper case": (lambda s: s.headers(CLIENT, [*REQUEST, ("X-Key", "1")]), "field names are lower case"),
    "connection": (lambda s: s.headers(CLIENT, [*REQUEST, ("connection", "close")]), "concerns the connection"),
    "bad -bin": (lambda s: s.headers(CLIENT, [*REQUEST, ("x-bin", "a?")]), "the value is not base64"),
    "even stream": (lambda s: s.headers(CLIENT, REQUEST, stream=2), "odd numbers"),
    "lower stream": (
        lambda s: s.headers(CLIENT, REQUEST, stream=3).headers(CLIENT, REQUEST, stream=1),
        "stream 3 was opened before",
    ),
    "flag 2": (
        lambda s: s.headers(CLIENT, REQUEST).data(CLIENT, message(b"", flag=2)),
        "the flag is 0 or 1, not 2",
    ),
    "flag without encoding": (
        lambda s: s.headers(CLIENT, REQUEST).data(CLIENT, message(b"x", flag=1)),
        "grpc-encoding names no compression",
    ),
    "message cut": (
        lambda s: s.headers(CLIENT, REQUEST).data(CLIENT, message(b"12345678")[:-3], "END_STREAM"),
        "the stream ends before the message does: 5 of 8 octets are there",
    ),
    "prefix cut": (
        lambda s: s.headers(CLIENT, REQUEST).data(CLIENT, b"\0\0\0", "END_STREAM"),
        "the length is cut",
    ),
    "varint cut": (
        lambda s: s.headers(CLIENT, REQUEST).data(CLIENT, message(b"\x08\xff")),
        "the message ends inside a varint",
    ),
    "field 0": (lambda s: s.headers(CLIENT, REQUEST).data(CLIENT, message(b"\0\0")), "field number 0 cannot be"),
    "no status": (
        lambda s: s.headers(CLIENT, REQUEST).headers(SERVER, RESPONSE).data(SERVER, b"", "END_STREAM"),
        "the response ends without trailers",
    ),
    "trailers without status": (
        lambda s: s.headers(CLIENT, REQUEST).headers(SERVER, RESPONSE).headers(SERVER, [("x", "y")], "END_STREAM"),
        "grpc-status is missing",
    ),
    "trailers without end": (
        lambda s: s.headers(CLIENT, REQUEST).headers(SERVER, RESPONSE).headers(SERVER, TRAILERS),
        "trailers must have END_STREAM",
    ),
    "503": (
        lambda s: s.headers(CLIENT, REQUEST).headers(SERVER, [(":status", "503")], "END_STREAM"),
        "not 200: the response does not come from gRPC",
    ),
    "after the end": (
        lambda s: s.headers(CLIENT, REQUEST, "END_STREAM").data(CLIENT, message(b"")),
        "DATA after this side has ended the stream",
    ),
    "idle": (lambda s: s.data(CLIENT, message(b""), stream=7), "which is not open"),
    "window": (
        lambda s: s.headers(CLIENT, REQUEST).data(CLIENT, bytes(16_384)).data(CLIENT, bytes(16_384))
        .data(CLIENT, bytes(16_384)).data(CLIENT, bytes(16_384)),
        "1 octets more than the connection's window allows",
    ),
    "too long": (lambda s: s.headers(CLIENT, REQUEST).data(CLIENT, bytes(20_000)), "16384 at most"),
    "zero increment": (lambda s: s.raw(CLIENT, bytes.fromhex("000004080000000000 00000000")), "increment of 0"),
    "window overflow": (lambda s: s.window(CLIENT, 2**31 - 1), "the window becomes"),
    "reset of idle": (lambda s: s.reset(CLIENT, stream=9), "stream 9 was never opened"),
    "ping answer": (lambda s: s.ping(SERVER, b"12345678", "ACK"), "octets that no PING had"),
    "settings size": (lambda s: s.raw(SERVER, bytes.fromhex("000005040000000000 0102030405")), "multiple of it"),
    "settings push": (lambda s: s.raw(SERVER, bytes.fromhex("000006040000000000 000200000002")), "is 0 or 1"),
    "interleaved": (
        lambda s: s.raw(CLIENT, bytes.fromhex("0000010100 00000001 83")).ping(CLIENT, b"12345678"),
        "only CONTINUATION of stream 1 may come",
    ),
    "stray continuation": (
        lambda s: s.raw(CLIENT, bytes.fromhex("0000010904 00000001 83")),
        "CONTINUATION without a header block",
    ),
    "padding": (
        lambda s: s.headers(CLIENT, REQUEST).raw(CLIENT, bytes.fromhex("0000020008 00000001 09ff")),
        "9 octets of padding do not fit",
    ),
    "index 0": (lambda s: s.raw(CLIENT, bytes.fromhex("0000010104 00000001 80")), "index 0 is not an entry"),
    "index beyond": (lambda s: s.raw(CLIENT, bytes.fromhex("0000010104 00000001 fe")), "index 126 is beyond"),
    "bad Huffman": (
        lambda s: s.raw(CLIENT, bytes.fromhex("0000040104 00000001 0081 ff 00")),
        "not valid Huffman code",
    ),
    "string beyond": (
        lambda s: s.raw(CLIENT, bytes.fromhex("0000040104 00000001 040a6162")),
        "10 octets, but the block ends after 2",
    ),
    "huge integer": (
        lambda s: s.raw(CLIENT, bytes.fromhex("0000090104 00000001 ffffffffffffffffff")),
        "an integer of more than",
    ),
    "table too big": (
        lambda s: s.raw(CLIENT, bytes.fromhex("0000040104 00000001 3fe1ff03")),
        "where the decoder allows 4096",
    ),
    "push": (
        lambda s: s.headers(CLIENT, REQUEST).raw(SERVER, bytes.fromhex("0000050504 00000001 00000002 82")),
        "gRPC does not use server push",
    ),
    "push of an odd stream": (
        lambda s: s.headers(CLIENT, REQUEST).raw(SERVER, bytes.fromhex("0000050504 00000001 00000003 82")),
        "even numbers, not 3",
    ),
    "push of stream 0": (
        lambda s: s.headers(CLIENT, REQUEST).raw(SERVER, bytes.fromhex("0000050504 00000001 00000000 82")),
        "even numbers, not 0",
    ),
    "push twice": (
        lambda s: s.headers(CLIENT, REQUEST).raw(SERVER, bytes.fromhex("0000050504 00000001 00000002 82") * 2),
        "stream 2 was promised before",
    ),
    "push by a client": (
        lambda s: s.headers(CLIENT, REQUEST).raw(CLIENT, bytes.fromhex("0000050504 00000001 00000002 82")),
        "a client cannot push",
    ),
    "push to who takes none": (
        lambda s: s.raw(CLIENT, bytes.fromhex("000006040000000000 000200000000"))
        .headers(CLIENT, REQUEST)
        .raw(SERVER, bytes.fromhex("0000050504 00000001 00000002 82")),
        "takes no push",
    ),
    "a server that takes push": (
        lambda s: s.raw(SERVER, bytes.fromhex("000006040000000000 000200000001")),
        "a server cannot be pushed to",
    ),
    "window of idle": (lambda s: s.window(SERVER, 10, stream=9), "stream 9 was never opened"),
    "window of a server's idle stream": (lambda s: s.window(CLIENT, 10, stream=2), "stream 2 was never opened"),
    "GOAWAY that takes more": (
        lambda s: s.go_away(SERVER, 2**31 - 1).go_away(SERVER, 1).go_away(SERVER, 3),
        "streams up to 3, where a GOAWAY before said up to 1",
    ),
    "push without room": (lambda s: s.raw(SERVER, bytes.fromhex("0000020504 00000001 0000")), "promised stream"),
    "priority size": (lambda s: s.raw(CLIENT, bytes.fromhex("0000040200 00000001 00000000")), "PRIORITY has 5 octets"),
    "headers without room": (lambda s: s.raw(CLIENT, bytes.fromhex("0000020124 00000001 0000")), "5 octets for it"),
    "padded and empty": (lambda s: s.raw(CLIENT, bytes.fromhex("0000000108 00000001")), "no octet for the pad length"),
    "short GOAWAY": (lambda s: s.raw(SERVER, bytes.fromhex("0000040700 00000000 00000000")), "8 octets at least"),
    "ack with payload": (
        lambda s: s.raw(SERVER, bytes.fromhex("0000060401 00000000 000200000000")),
        "SETTINGS with ACK must be empty",
    ),
    "ping on a stream": (
        lambda s: s.raw(CLIENT, bytes.fromhex("0000080600 00000001 0000000000000000")),
        "belongs to the connection, but has stream 1",
    ),
    "data on stream 0": (lambda s: s.raw(CLIENT, bytes.fromhex("0000010000 00000000 00")), "but has stream 0"),
    "window of a stream": (
        lambda s: s.headers(CLIENT, REQUEST).window(SERVER, 2**31 - 1, stream=1),
        "the window becomes 2147549182",
    ),
    "status text": (
        lambda s: s.headers(CLIENT, REQUEST).headers(SERVER, [*RESPONSE, ("grpc-status", "OK")], "END_STREAM"),
        "not a number (UNKNOWN is taken)",
    ),
    "status 17": (
        lambda s: s.headers(CLIENT, REQUEST).headers(SERVER, [*RESPONSE, ("grpc-status", "17")], "END_STREAM"),
        "not a status of gRPC",
    ),
    "message not UTF-8": (
        lambda s: s.headers(CLIENT, REQUEST).headers(
            SERVER, [*RESPONSE, ("grpc-status", "2"), ("grpc-message", "%ff")], "END_STREAM"
        ),
        "what is percent-encoded is not UTF-8",
    ),
    "path": (lambda s: s.headers(CLIENT, [*REQUEST[:2], (":path", "x"), *REQUEST[3:]]), "a path begins with /"),
    "no method in the path": (
        lambda s: s.headers(CLIENT, [*REQUEST[:2], (":path", "/x"), *REQUEST[3:]]),
        "not /Service/Method",
    ),
    "twice": (lambda s: s.headers(CLIENT, [REQUEST[0], *REQUEST]), ":method is there twice"),
    "unknown pseudo": (lambda s: s.headers(CLIENT, [*REQUEST[:4], (":x", "1"), *REQUEST[4:]]), "no such pseudo-header"),
    "blanks": (lambda s: s.headers(CLIENT, [*REQUEST, ("x", " a")]), "no blank at its ends"),
    "size change late": (
        lambda s: s.raw(CLIENT, bytes.fromhex("0000020104 00000001 8320")),
        "must come first in a block",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_is_wrong_is_said(name: str) -> None:
    write, expected = PROBLEMS[name]
    explanation = explain(write(Script()).recording())
    assert_every_octet_is_explained(explanation)
    found = [problem for problem in explanation.problems() if expected in problem]
    assert found, explanation.problems()


def test_what_is_allowed_is_no_problem() -> None:
    script = Script().raw(SERVER, bytes.fromhex("000006040000000000 000200000000"))
    script.raw(CLIENT, bytes.fromhex("000006040000000000 000200000001"))
    script.headers(CLIENT, REQUEST, "END_STREAM", stream=5).window(SERVER, 10, stream=3).window(SERVER, 10, stream=5)
    script.reset(CLIENT, stream=3).go_away(SERVER, 2**31 - 1).go_away(SERVER, 5).go_away(SERVER, 5).go_away(CLIENT, 0)
    assert explain(script.recording()).problems() == ()


def test_a_wrong_preface_and_a_wrong_first_frame() -> None:
    broken = Script(preface=False, settings=False).raw(CLIENT, PREFACE.replace(b"2.0", b"2.1"))
    explanation = explain(broken.ping(CLIENT, b"12345678").recording())
    assert_every_octet_is_explained(explanation)
    assert explanation.problems() == (
        "#0: Connection preface: PROTOCOL_ERROR: the preface is wrong at octet 13; a server closes the connection",
        "#1: PROTOCOL_ERROR: the first frame of the client must be SETTINGS",
    )


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"SSH-2.0-x\r\n"])
def test_what_is_not_http2_is_named(data: bytes) -> None:
    explanation = explain(Script(preface=False, settings=False).raw(CLIENT, data).recording())
    assert_every_octet_is_explained(explanation)
    assert explanation.entries[0].part.problem


def test_a_recording_that_begins_mid_connection() -> None:
    script = Script().unary(b"\x0a\x01a", b"\x0a\x01b")
    seen = len(script.chunks)
    script.unary(b"\x0a\x01c", b"\x0a\x01d", stream=3, headers=(("x-new", "value"),))
    script.unary(b"\x0a\x01e", b"\x0a\x01f", stream=5, headers=(("x-new", "value"),))
    explanation = explain(Recording(tuple(script.chunks[seen:])))
    assert_every_octet_is_explained(explanation)
    blocks = [entry.header_block for entry in explanation.entries if entry.header_block is not None]
    lost = [header for header in blocks[0].fields if header.name is None]
    assert lost
    assert all("lost" in header.part.problem for header in lost)
    assert blocks[0].fields[-1].name == b"x-new"
    assert blocks[3].fields[-1].value == b"value", "what was added after the beginning is known"
    assert [call.path for call in explanation.calls] == ["", ""]
    assert [call.sent_messages for call in explanation.calls] == [1, 1]
    assert explanation.entries[0].windows.client_connection is None  # type: ignore[union-attr] # the first is a frame


def test_a_recording_that_begins_inside_a_frame() -> None:
    script = Script().unary(b"\x0a\x01a", b"\x0a\x01b")
    script.ping(CLIENT, b"12345678").ping(SERVER, b"12345678", "ACK")
    script.unary(b"\x0a\x01c", b"\x0a\x01d", stream=3)
    chunks = [Chunk(c.time, c.direction, c.data[3:] if n in (6, 7, 8) else c.data) for n, c in enumerate(script.chunks)]
    explanation = explain(Recording(tuple(chunks[6:]), from_start=False))
    assert_every_octet_is_explained(explanation)
    assert [e.part.label for e in explanation.entries if not isinstance(e, Frame)] == [
        "Before the first whole frame",
        "Before the first whole frame",
    ]
    assert any(isinstance(e, Frame) and e.type_name == "PING" for e in explanation.entries)


@pytest.mark.parametrize("lost", [None, 13, 14])
def test_lost_octets(lost: int | None) -> None:
    script = Script().unary(b"\x0a\x01a", b"\x0a\x01b")
    script.headers(CLIENT, REQUEST, stream=3)
    whole = message(bytes(20))
    frame = (len(whole)).to_bytes(3, "big") + b"\0\x01" + (3).to_bytes(4, "big") + whole
    script.raw(CLIENT, frame[:20])
    script.raw(CLIENT, frame[20 + 14 :] if lost != 13 else frame[20 + 13 :], lost)
    script.ping(CLIENT, b"12345678").ping(CLIENT, b"12345678").ping(CLIENT, b"12345678")
    explanation = explain(script.recording())
    assert_every_octet_is_explained(explanation)
    names = [e.type_name for e in explanation.entries if isinstance(e, Frame)]
    assert names[-3:] == ["PING"] * 3
    cut = [e for e in explanation.entries if isinstance(e, Frame) and e.missing]
    assert [frame.missing for frame in cut] == [lost or 14]


def whole_conversation() -> Recording:
    script = Script().unary(b"\x0a\x03bob\x10\x01", b"\x0a\x09hello bob", headers=(("x-one", "1"), ("y-bin", "AAEC")))
    script.window(CLIENT, 100).ping(SERVER, b"12345678").ping(CLIENT, b"12345678", "ACK")
    script.headers(CLIENT, (*REQUEST, ("grpc-encoding", "gzip")), stream=3, fragments=3)
    script.data(CLIENT, message(BOB_IN_GZIP, flag=1), stream=3, pad=4)
    script.reset(CLIENT, stream=3).go_away(SERVER, 1, 0, b"bye")
    return script.recording()


@given(size=st.integers(1, 60))
def test_how_octets_are_cut_makes_no_difference(size: int) -> None:
    whole = explain(whole_conversation())
    cut = explain(recut(whole_conversation(), size))
    assert [part.label for part in cut.parts()] == [part.label for part in whole.parts()]
    assert cut.buffers == whole.buffers
    assert cut.problems() == whole.problems() == ()


@given(
    st.lists(
        st.tuples(st.sampled_from(Direction), st.binary(max_size=80), st.sampled_from([0, 0, 0, None, 1, 20])),
        max_size=8,
    ),
    st.booleans(),
)
def test_any_octets_are_explained(parts: list[tuple[Direction, bytes, int | None]], from_start: bool) -> None:
    chunks = tuple(Chunk(float(n), direction, data, lost) for n, (direction, data, lost) in enumerate(parts))
    assert_every_octet_is_explained(explain(Recording(chunks, from_start=from_start)))


@given(data=st.data())
def test_broken_conversations_are_explained(data: st.DataObject, registry: Registry) -> None:
    chunks = list(whole_conversation().chunks)
    for _ in range(data.draw(st.integers(1, 4))):
        number = data.draw(st.integers(0, len(chunks) - 1))
        chunk = chunks[number]
        octets = bytearray(chunk.data)
        kind = data.draw(st.sampled_from(["change", "insert", "delete", "drop", "gap", "swap"]))
        place = data.draw(st.integers(0, max(len(octets) - 1, 0)))
        lost: int | None = 0
        if kind == "change" and octets:
            octets[place] = data.draw(st.integers(0, 255))
        elif kind == "insert":
            octets[place:place] = data.draw(st.binary(min_size=1, max_size=20))
        elif kind == "delete":
            del octets[place : place + data.draw(st.integers(1, 20))]
        elif kind == "drop":
            octets.clear()
        elif kind == "gap":
            lost = data.draw(st.sampled_from([None, place + 1]))
        else:
            other = data.draw(st.integers(0, len(chunks) - 1))
            chunks[number], chunks[other] = chunks[other], chunks[number]
            continue
        chunks[number] = Chunk(chunk.time, chunk.direction, bytes(octets), lost)
    explanation = explain(Recording(tuple(chunks), from_start=data.draw(st.booleans())), registry=registry)
    assert_every_octet_is_explained(explanation)


def test_frames_on_their_way_when_the_other_side_resets_are_no_fault() -> None:
    script = Script().headers(CLIENT, REQUEST).reset(CLIENT).headers(SERVER, RESPONSE).headers(SERVER, TRAILERS)
    explanation = explain(script.recording())
    assert not [problem for problem in explanation.problems() if "STREAM_CLOSED" in problem]


def test_binary_metadata_of_the_c_core() -> None:
    block = Script().headers(CLIENT, (*REQUEST, ("x-bin", "\0raw"))).chunks[-1]
    explanation = explain(Recording((*Script().chunks, block)))
    assert explanation.problems() == ()
    header_block = explanation.entries[-1].header_block
    assert header_block is not None
    assert header_block.fields[-1].meaning == "octets: raw"


def test_the_number_of_frames_that_are_told_is_bounded() -> None:
    explainer = Explainer(max_entries=10)
    script = Script()
    for _ in range(20):
        script.ping(CLIENT, b"12345678")
    for chunk in script.chunks:
        explainer.feed(chunk)
    explanation = explainer.finish()
    assert_every_octet_is_explained(explanation)
    assert sum(isinstance(entry, Frame) for entry in explanation.entries) < 10
    assert any(entry.part.label == "More frames" for entry in explanation.entries)


def test_frames_that_gRPC_has_no_use_for() -> None:  # noqa: N802 - its name
    script = Script()
    script.raw(CLIENT, bytes.fromhex("0000050200 00000003 80000001 0f"))
    script.raw(CLIENT, bytes.fromhex("0000040a00 00000000 00000000"))
    script.raw(CLIENT, bytes.fromhex("0000060125 00000001 0000000010 83"))
    explanation = explain(script.recording())
    assert_every_octet_is_explained(explanation)
    frames = [entry for entry in explanation.entries if isinstance(entry, Frame)][4:]
    assert [frame.type_name for frame in frames] == ["PRIORITY", "ALTSVC", "HEADERS"]
    assert [part.value for part in frames[0].part.parts[4:]] == ["stream 1, exclusively", "16"]
    assert "ignored by who does not know it" in frames[1].part.parts[-1].note


def test_settings_change_windows_and_frame_sizes() -> None:
    script = Script()
    script.headers(CLIENT, REQUEST)
    script.frame(SERVER, SettingsFrame(0, settings={4: 10, 5: 20_000}))
    script.data(CLIENT, bytes(100))
    script.frame(CLIENT, SettingsFrame(0, flags=["ACK"]))
    script.data(CLIENT, bytes(17_000))
    explanation = explain(script.recording())
    frames = [entry for entry in explanation.entries if isinstance(entry, Frame)]
    assert frames[-1].windows.client_stream == 10 - 100 - 17_000
    found = [problem for problem in explanation.problems() if "FLOW" in problem or "FRAME_SIZE" in problem]
    assert found == [f"#{frames[-1].number}: FLOW_CONTROL_ERROR: 17090 octets more than the stream's window allows"]


@pytest.mark.skipif("zstd" not in CODINGS, reason="no module for zstd is installed")
def test_messages_in_zstd_are_told() -> None:
    script = Script().headers(CLIENT, (*REQUEST, ("grpc-encoding", "zstd")))
    script.data(CLIENT, message(CODINGS["zstd"].compress(b"\x0a\x03bob"), 1), "END_STREAM")
    (told,) = [found for entry in explain(script.recording()).entries for found in entry.messages]
    assert (told.data, told.problem) == (b"\x0a\x03bob", "")
