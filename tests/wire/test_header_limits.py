"""Header lists that are larger than the peer takes, or than this side sends: what goes, what does not, who is told."""

from __future__ import annotations

from typing import Any

import pytest
from hyperframe.frame import ContinuationFrame, Frame, HeadersFrame
from hypothesis import example, given
from hypothesis import strategies as st
from tests.wire.conftest import ENGINES
from tests.wire.peers import RecordingCall
from tests.wire.scripted import RESPONSE, ScriptedClient, ScriptedServer, message

from puregrpc.errors import InvalidArgument
from puregrpc.wire import EngineName
from puregrpc.wire.connection import ConnectionConfig, Metadata, Request
from puregrpc.wire.headers import fit_trailers
from puregrpc.wire.limits import MAX_GRPC_MESSAGE_SIZE
from puregrpc.wire.metadata import header_list_size
from puregrpc.wire.status import OK, Status, StatusCode, decode_grpc_message, encode_grpc_message

NO_METADATA: Metadata = ()
LARGE: Metadata = (("x-large", "v" * 20_000),)
DETAILS = b"d" * 300


@given(st.text(st.characters(codec="utf-8") | st.sampled_from("%% ü€")), st.integers(0, 120))
def test_a_message_is_cut_between_characters(message: str, most: int) -> None:
    encoded = encode_grpc_message(message, most)
    assert len(encoded) <= most
    text = decode_grpc_message(encoded)
    if text != message:
        assert len(encode_grpc_message(message, 10_000)) > most
        assert text == "" or text.endswith("...")
        assert message.startswith(text[:-3])
        following = message[len(text) - 3] if text else ""
        assert most < 3 or len(text) >= 3
        assert len(encode_grpc_message(text[:-3] + following + "...", 10_000)) > most or not text


@pytest.mark.parametrize("character", ["a", "%", "é", "\ud800", "\U0001f600"])
def test_no_message_is_longer_than_the_limit(character: str) -> None:
    encoded = encode_grpc_message(character * 100_000)
    assert MAX_GRPC_MESSAGE_SIZE - 40 < len(encoded) <= MAX_GRPC_MESSAGE_SIZE


METADATA = st.lists(
    st.tuples(st.sampled_from(["x-a", "x-bb"]), st.text("vw%", max_size=60))
    | st.tuples(st.just("x-bin"), st.binary(max_size=40)),
    max_size=3,
).map(tuple)
STATUSES = st.builds(
    Status,
    st.sampled_from([0, 3, 13, 99]),
    st.text("ab%é", max_size=80) | st.just("%" * 6000),
    st.none() | st.binary(max_size=60),
)


@given(STATUSES, METADATA, st.none() | st.integers(0, 400), st.booleans())
def test_trailers_fit(status: Status, metadata: Metadata, most: int | None, headers_too: bool) -> None:
    trailers = fit_trailers(status, metadata, most, headers_too=headers_too)
    whole = fit_trailers(status, metadata, None, headers_too=headers_too)
    assert most is None or header_list_size(trailers.fields) <= most
    if most is None or header_list_size(whole.fields) <= most:
        assert trailers == whole
        return
    assert trailers.left_out
    least = fit_trailers(Status(status.code), (), None, headers_too=headers_too)
    assert bool(trailers.fields) is (header_list_size(least.fields) <= most)


def test_what_comes_first_where_it_is_tight() -> None:
    status = Status(5, "m" * 50, DETAILS)
    metadata = (("x-a", "v" * 50),)
    whole = header_list_size(fit_trailers(status, metadata, None).fields)
    names = {
        most: [name.decode() for name, _ in fit_trailers(status, metadata, most).fields]
        for most in (whole, whole - 1, whole - 100, 500, 100, 44, 43)
    }
    full = ["grpc-status", "grpc-message", "grpc-status-details-bin"]
    assert names == {
        whole: [*full, "x-a"],
        whole - 1: full,
        whole - 100: full,
        500: ["grpc-status", "grpc-status-details-bin"],
        100: ["grpc-status", "grpc-message"],
        44: ["grpc-status"],
        43: [],
    }
    assert fit_trailers(status, metadata, 100).left_out == (
        "the status' details, a part of the status' message, the trailing metadata"
    )


def answers(engine: EngineName, most: int, act: Any) -> tuple[Any, ...]:
    """What a client that takes header lists of ``most`` octets sees of an answer, and what the call is told."""
    with ScriptedClient(engine, MAX_HEADER_LIST_SIZE=most) as peer:
        peer.send(*peer.request())
        [call] = peer.calls
        act(peer.connection, call)
        said = peer.said()
        ends = [event for event in call.events if event[0] == "end"]
        peer.connection.send_trailers(call, OK)  # over already: nothing happens
        peer.send(*peer.request(3))  # the connection serves on
        assert len(peer.calls) == 2
        lists = [sorted(one) for one in peer.header_lists]
        for one in lists:
            assert header_list_size([(name.encode(), value.encode()) for name, value in one]) <= most
        return said, lists, ends, call.left_out


@given(
    st.integers(0, 400),
    st.sampled_from(["response", "trailers", "parts"]),
    METADATA,
    STATUSES,
    METADATA | st.just(LARGE),
)
@example(60, "response", NO_METADATA, OK, NO_METADATA)
@example(150, "response", NO_METADATA, OK, NO_METADATA)
@example(0, "trailers", NO_METADATA, Status(12, "no"), NO_METADATA)
@example(400, "trailers", NO_METADATA, Status(12, "%" * 6000), NO_METADATA)
@example(400, "response", NO_METADATA, OK, LARGE)
def test_engines_send_the_same_and_raise_nothing(
    most: int, how: str, metadata: Metadata, status: Status, trailers: Metadata
) -> None:
    def act(connection: Any, call: RecordingCall) -> None:
        if how == "response":
            connection.send_response(call, b"answer", metadata, trailers, status)
        elif how == "trailers":
            connection.send_trailers(call, status, trailers)
        else:
            connection.send_headers(call, metadata)
            if not call.ended:
                connection.send_message(call, b"answer")
            connection.send_trailers(call, status, trailers)

    first, *others = [answers(engine, most, act) for engine in ENGINES]
    assert others == [first] * len(others)


def test_the_status_goes_without_what_does_not_fit(engine: EngineName) -> None:
    with ScriptedClient(engine, MAX_HEADER_LIST_SIZE=1000) as peer:
        peer.send(*peer.request())
        [call] = peer.calls
        peer.connection.send_headers(call, LARGE)
        peer.connection.send_trailers(call, Status(5, "%" * 6000, DETAILS), LARGE)
        assert peer.said() == ["Headers 1", "Headers 1 END_STREAM"]
        head, trailers = map(dict, peer.header_lists)
        assert "x-large" not in head
        assert list(trailers) == ["grpc-status", "grpc-message", "grpc-status-details-bin"]
        assert trailers["grpc-status"] == "5"
        assert trailers["grpc-message"].endswith("%25...")
        assert call.left_out == [
            "the initial metadata",
            "a part of the status' message, the trailing metadata",
        ]
        assert call.events == [("message", b"question"), ("half-close",)]


def test_a_response_whose_headers_do_not_fit(engine: EngineName) -> None:
    for most, seen in ((150, "Headers 1 END_STREAM"), (60, "RstStream 1 INTERNAL_ERROR")):
        with ScriptedClient(engine, MAX_HEADER_LIST_SIZE=most) as peer:
            peer.send(*peer.request())
            [call] = peer.calls
            peer.connection.send_response(call, b"answer")
            assert peer.said() == [seen]
            assert call.status.code == StatusCode.RESOURCE_EXHAUSTED
            assert f"the client takes {most} at most" in call.status.message
            peer.connection.send_response(call, b"answer")


def test_a_deadline_where_no_status_fits(engine: EngineName) -> None:
    with ScriptedClient(engine, MAX_HEADER_LIST_SIZE=40) as peer:
        peer.send(*peer.request(1, b"question", ("grpc-timeout", "1S")))
        peer.wait(2)
        assert peer.said() == ["RstStream 1 CANCEL"]
        assert peer.calls[0].status.code == StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("content_type", ["text/plain", "application/grpc"])
def test_refusals_that_do_not_fit(engine: EngineName, content_type: str) -> None:
    with ScriptedClient(engine, MAX_HEADER_LIST_SIZE=40) as peer:
        fields = [(":method", "POST"), (":scheme", "http"), (":path", "/a.B/C"), (":authority", "x")]
        fields += [("content-type", content_type), ("grpc-timeout", "nonsense")]
        peer.send(peer.headers(1, fields, end=True))
        assert [line for line in peer.said() if "1" in line] == ["RstStream 1 INTERNAL_ERROR"]
        assert peer.calls == []


def test_malformed_metadata_still_raise_where_they_do_not_fit(engine: EngineName) -> None:
    bad: Metadata = (*LARGE, ("x", "\n"))
    with ScriptedClient(engine, MAX_HEADER_LIST_SIZE=200) as peer:
        peer.send(*peer.request())
        [call] = peer.calls
        with pytest.raises(InvalidArgument, match="printable ASCII"):
            peer.connection.send_headers(call, bad)
        with pytest.raises(InvalidArgument, match="printable ASCII"):
            peer.connection.send_trailers(call, OK, bad)
        for metadata, trailers in ((bad, NO_METADATA), (LARGE, bad)):
            with pytest.raises(InvalidArgument, match="printable ASCII"):
                peer.connection.send_response(call, b"", metadata, trailers)
        assert peer.said() == []
        peer.connection.send_response(call, b"answer")
        assert peer.said() == ["Headers 1", "Data 1 11", "Headers 1 END_STREAM"]


@pytest.mark.parametrize("most", [0, 60])
def test_a_call_that_the_server_takes_no_headers_of(engine: EngineName, most: int) -> None:
    with ScriptedServer(engine, MAX_HEADER_LIST_SIZE=most) as peer:
        for message, end in ((b"question", True), (None, False)):
            call = peer.call(message=message, end=end, deadline=peer.now + 10)
            assert call.status.code == StatusCode.RESOURCE_EXHAUSTED
            assert f"the server takes {most} at most" in call.status.message
            assert not call.unprocessed
            peer.connection.send_message(call, b"more")
            peer.connection.half_close(call)
            peer.connection.reset(call)
        assert peer.said() == []
        assert peer.connection.open_calls == 0
        peer.wait(20)


def test_a_call_whose_metadata_the_server_does_not_take(engine: EngineName) -> None:
    with ScriptedServer(engine, ConnectionConfig(max_send_message_size=100), MAX_HEADER_LIST_SIZE=1000) as peer:
        call = RecordingCall()
        peer.connection.open_call(call, Request("/a.B/C", "x", LARGE))
        assert call.status.code == StatusCode.RESOURCE_EXHAUSTED
        with pytest.raises(InvalidArgument):
            peer.connection.open_call(RecordingCall(), Request("/a.B/C", "x", (*LARGE, ("x", "\n"))))
        with pytest.raises(InvalidArgument):
            peer.connection.open_call(RecordingCall(), Request("/a.B/C", "x", LARGE), message=bytes(101))
        peer.unary()


def large_response(
    peer: ScriptedServer, stream_id: int, size: int, *, pieces: int, padded: bool = False
) -> list[Frame]:
    """Headers, a message and trailers that take ``size`` octets, in a block of so many frames."""
    head = peer.headers(stream_id, RESPONSE)
    block = peer.encoder.encode([("grpc-status", "3"), ("x-trace", "t" * size)], huffman=False)
    step = len(block) // pieces + 1
    parts = [block[start : start + step] for start in range(0, len(block), step)]
    first = HeadersFrame(stream_id, parts[0], flags=["END_STREAM", *(["PADDED"] if padded else [])])
    first.pad_length = 7 if padded else 0
    more: list[Frame] = [ContinuationFrame(stream_id, part) for part in parts[1:]]
    [first, *more][-1].flags.add("END_HEADERS")
    return [head, peer.data(stream_id, message(b"answer")), first, *more]


@pytest.mark.parametrize("most", [16 << 10, 256 << 10, 1 << 20])
@pytest.mark.parametrize("padded", [False, True])
def test_large_trailers_and_what_exceeds_the_limit(engine: EngineName, most: int, padded: bool) -> None:
    with ScriptedServer(engine, ConnectionConfig(max_header_list_size=most)) as peer:
        for size in (most - 200, most, 3 * most, 100):
            call = peer.unary()
            pieces = size // 15_000 + 2
            peer.send(*large_response(peer, call.wire_id, size, pieces=pieces, padded=padded))
            if size < most:
                assert call.status == Status(3)
                assert dict(call.trailers) == {"x-trace": "t" * size}
            else:
                assert call.status == Status(
                    StatusCode.RESOURCE_EXHAUSTED,
                    f"the response's metadata take more than the {most} bytes that max_header_list_size allows",
                )
                assert call.trailers == ()
            peer.said()
        assert not peer.driver.closed


def test_a_size_that_no_list_can_have() -> None:
    for size in (0, -1, (16 << 20) + 1, "large"):
        with pytest.raises(InvalidArgument, match=r"max_header_list_size is 1 to 16777216 bytes of metadata, not "):
            ConnectionConfig(max_header_list_size=size).check_header_list_size()  # type: ignore[arg-type]


def test_blocks_are_bounded_whatever_lists_are_allowed() -> None:
    for most, size, frames in ((16 << 10, 64 << 10, 32), (256 << 10, 1 << 20, 128), (16 << 20, (1 << 24) - 1, 2047)):
        config = ConnectionConfig(max_header_list_size=most)
        config.check_header_list_size()
        assert (config.max_header_block_size, config.max_continuation_frames) == (size, frames)
