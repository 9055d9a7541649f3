"""What servers get wrong, or do in an unusual way, each as a script; the client ends the call or the connection."""

from __future__ import annotations

import pytest
from hyperframe.frame import HeadersFrame, PriorityFrame, PushPromiseFrame
from tests.wire.peers import drain
from tests.wire.scripted import RESPONSE, TRAILERS, ScriptedServer, frame, message

from puregrpc.errors import LocalProtocolError
from puregrpc.wire import EngineName
from puregrpc.wire.connection import ConnectionConfig
from puregrpc.wire.status import OK, StatusCode


def test_a_whole_response(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        peer.send(*peer.answer(1))
        assert call.messages == [b"answer"]
        assert call.status == OK


@pytest.mark.parametrize("kind", [0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F, 0x10, 0xFF])
def test_an_unknown_frame_type_is_ignored(engine: EngineName, kind: int) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        peer.send(frame(kind, 0xFF, 1, b"anything"), frame(kind, 0, 0, b""), *peer.answer(1))
        assert call.status == OK


def test_goaway_on_a_call_that_it_covers_lets_the_call_finish(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        covered = peer.unary()
        above = peer.unary()
        waiting = peer.unary()
        peer.send(peer.headers(1, RESPONSE), peer.goaway(1, 0, b"drain"))
        assert peer.driver.going_away == ["NO_ERROR: drain"]
        for call in (above, waiting):
            assert call.status.code == StatusCode.UNAVAILABLE
            assert call.unprocessed
        with pytest.raises(LocalProtocolError, match="no new call"):
            peer.call()
        assert not peer.driver.closed
        peer.said()
        peer.send(peer.data(1, message(b"answer")), peer.headers(1, TRAILERS, end=True))
        assert covered.status == OK
        assert covered.messages == [b"answer"]
        assert peer.driver.closed


def test_goaway_with_an_error_and_then_the_end(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        peer.send(peer.goaway(1, 11, b"too_many_pings"))
        assert peer.driver.going_away == ["ENHANCE_YOUR_CALM: too_many_pings"]
        assert not call.ended
        peer.connection.receive(b"", peer.now)
        assert call.status.code == StatusCode.UNAVAILABLE
        assert not call.unprocessed
        assert peer.driver.closed


def test_goaway_twice_with_a_lower_last_stream(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        first, second = peer.unary(), peer.unary()
        peer.send(peer.goaway(2**31 - 1))
        assert not first.ended
        assert not second.ended
        peer.send(peer.goaway(1))
        assert not first.ended
        assert second.unprocessed
        peer.said()
        peer.send(*peer.answer(1))
        assert first.status == OK


@pytest.mark.parametrize(
    ("stream_id", "payload", "code"), [(1, bytes(8), "PROTOCOL_ERROR"), (0, bytes(7), "FRAME_SIZE_ERROR")]
)
def test_a_malformed_goaway(engine: EngineName, stream_id: int, payload: bytes, code: str) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        peer.send(frame(7, 0, stream_id, payload))
        assert call.status.code == StatusCode.UNAVAILABLE
        assert peer.said() == [f"GoAway 0 {code}"]


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (message(b"whole")[:-1], StatusCode.INTERNAL),
        (b"\x00\x00\x00", StatusCode.INTERNAL),
        (b"\x02\x00\x00\x00\x00", StatusCode.INTERNAL),
        (b"\x01\x00\x00\x00\x00", StatusCode.INTERNAL),
        (b"\x00\xff\xff\xff\xff", StatusCode.RESOURCE_EXHAUSTED),
    ],
    ids=["cut in the message", "cut in the prefix", "flag 2", "compressed without an encoding", "4 GiB announced"],
)
def test_a_bad_message(engine: EngineName, octets: bytes, code: StatusCode) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        peer.send(peer.headers(1, RESPONSE), peer.data(1, octets))
        if not call.ended:
            peer.send(peer.headers(1, TRAILERS, end=True))
        assert call.status.code == code
        assert peer.said() in ([], ["RstStream 1 CANCEL"])


def test_a_truncated_message_and_a_status_that_explains_it(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        peer.send(peer.headers(1, RESPONSE), peer.data(1, b"\x00\x00\x00\x00\x09half"))
        peer.send(peer.headers(1, [("grpc-status", "10"), ("grpc-message", "gave up")], end=True))
        assert (call.status.code, call.status.message) == (StatusCode.ABORTED, "gave up")


def test_a_message_at_the_size_limit_and_one_above(engine: EngineName) -> None:
    with ScriptedServer(engine, ConnectionConfig(max_receive_message_size=100)) as peer:
        call = peer.unary()
        peer.send(peer.headers(1, RESPONSE), peer.data(1, message(bytes(100))))
        assert call.messages == [bytes(100)]
        peer.send(peer.data(1, b"\x00\x00\x00\x00\x65"))
        assert call.status.code == StatusCode.RESOURCE_EXHAUSTED
        assert "(101 vs. 100)" in call.status.message
        assert peer.said() == ["RstStream 1 CANCEL"]


@pytest.mark.parametrize(
    ("error_code", "code", "unprocessed"),
    [
        (0, StatusCode.INTERNAL, False),
        (1, StatusCode.INTERNAL, False),
        (2, StatusCode.INTERNAL, False),
        (3, StatusCode.INTERNAL, False),
        (7, StatusCode.UNAVAILABLE, True),
        (8, StatusCode.CANCELLED, False),
        (11, StatusCode.RESOURCE_EXHAUSTED, False),
        (12, StatusCode.PERMISSION_DENIED, False),
        (99, StatusCode.UNKNOWN, False),
    ],
)
def test_a_reset(engine: EngineName, error_code: int, code: StatusCode, unprocessed: bool) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        peer.send(peer.reset(1, error_code))
        assert call.status.code == code
        assert call.unprocessed is unprocessed
        next_call = peer.unary()
        peer.send(*peer.answer(3))
        assert next_call.status == OK


@pytest.mark.slow
@pytest.mark.parametrize("malformed", [False, True])
def test_a_server_that_resets_or_breaks_every_call(engine: EngineName, malformed: bool) -> None:
    """An overloaded or broken server: each call says so, and the connection stays."""
    with ScriptedServer(engine) as peer:
        for stream_id in range(1, 10_001, 2):
            call = peer.call(end=True)
            peer.send(peer.headers(stream_id, [("x", "y")]) if malformed else peer.reset(stream_id, 7))
            assert call.status.code == (StatusCode.INTERNAL if malformed else StatusCode.UNAVAILABLE)
            drain(peer.connection)
        assert not peer.driver.closed


def test_reset_after_headers_and_in_the_midst_of_data(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        after_headers = peer.unary()
        peer.send(peer.headers(1, RESPONSE), peer.reset(1, 2))
        assert after_headers.status.code == StatusCode.INTERNAL
        in_data = peer.unary()
        peer.send(peer.headers(3, RESPONSE), peer.data(3, message(b"one") + b"\x00\x00"), peer.reset(3, 8))
        assert in_data.messages == [b"one"]
        assert in_data.status.code == StatusCode.CANCELLED


def test_reset_after_the_trailers_changes_nothing(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.call()
        peer.said()
        peer.send(*peer.answer(1), peer.reset(1, 0))
        assert call.status == OK
        assert peer.said() == ["RstStream 1 NO_ERROR"]


@pytest.mark.parametrize("early", [True, False])
def test_cancel_at_the_deadline_is_deadline_exceeded(engine: EngineName, early: bool) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.call(deadline=peer.now + 1)
        peer.said()
        peer.now += 0.5 if early else 1
        peer.send(peer.reset(1, 8))
        assert call.status.code == (StatusCode.CANCELLED if early else StatusCode.DEADLINE_EXCEEDED)
        assert peer.said() == ([] if early else ["RstStream 1 CANCEL"])


def test_informational_headers_are_skipped(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        peer.send(peer.headers(1, [(":status", "103"), ("link", "x")]), peer.headers(1, [(":status", "100")]))
        assert call.events == []
        peer.send(*peer.answer(1))
        assert call.status == OK


def test_headers_twice(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        call, other = peer.unary(), peer.unary()
        peer.send(peer.headers(1, RESPONSE), peer.headers(1, RESPONSE))
        assert call.status.code == StatusCode.INTERNAL
        assert peer.said() == ["RstStream 1 PROTOCOL_ERROR"]
        peer.send(*peer.answer(3))
        assert other.status == OK


def test_headers_twice_in_several_frames(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        call, other = peer.unary(), peer.unary()
        peer.send(peer.headers(1, RESPONSE))
        again = peer.headers(1, RESPONSE)
        block = again.data
        peer.send(HeadersFrame(1, block[:1]), frame(9, 0, 1, block[1:2]), frame(9, 4, 1, block[2:]))
        assert call.status.code == StatusCode.INTERNAL
        assert peer.said() == ["RstStream 1 PROTOCOL_ERROR"]
        peer.send(*peer.answer(3))
        assert other.status == OK


def test_data_before_headers(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        peer.send(peer.data(1, message(b"early")))
        assert call.status.code == StatusCode.INTERNAL
        assert call.messages == []
        assert peer.said() == ["RstStream 1 PROTOCOL_ERROR"]


def test_the_stream_ends_with_data(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        peer.send(peer.headers(1, RESPONSE), peer.data(1, message(b"answer"), end=True))
        assert call.messages == [b"answer"]
        assert call.status.code == StatusCode.INTERNAL
        assert "without trailers" in call.status.message


def test_data_after_the_trailers(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        peer.send(*peer.answer(1))
        peer.send(peer.data(1, b"more"))
        assert call.status == OK
        assert peer.said() in (["RstStream 1 STREAM_CLOSED"], ["GoAway 0 STREAM_CLOSED"])


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        (
            [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "5"), ("grpc-message", "no")],
            5,
            "no",
        ),
        ([(":status", "200"), ("content-type", "application/grpc")], 2, "without a grpc-status"),
        ([(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "-1")], 2, "malformed grpc-status"),
        ([(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "")], 2, "malformed grpc-status"),
        ([(":status", "200"), ("content-type", "application/grpc+proto"), ("grpc-status", "0")], 0, ""),
        ([(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "77")], 77, ""),
        ([(":status", "503"), ("content-type", "application/grpc"), ("grpc-status", "8")], 8, ""),
        ([(":status", "404"), ("content-type", "application/grpc")], 12, "HTTP status 404"),
        ([(":status", "200")], 2, "no content-type"),
        ([(":status", "200"), ("content-type", "text/html")], 2, "text/html"),
        ([(":status", "200"), ("content-type", "application/grpc-web")], 2, "application/grpc-web"),
        ([(":status", "400"), ("content-type", "text/html")], 13, "HTTP status 400"),
        ([(":status", "401"), ("content-type", "text/html")], 16, "HTTP status 401"),
        ([(":status", "403"), ("content-type", "text/html")], 7, "HTTP status 403"),
        ([(":status", "429")], 14, "HTTP status 429"),
        ([(":status", "502")], 14, "HTTP status 502"),
        ([(":status", "504")], 14, "HTTP status 504"),
        ([(":status", "500")], 2, "HTTP status 500"),
    ],
)
def test_trailers_only(engine: EngineName, fields: list[tuple[str, str]], code: int, text: str) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        peer.send(peer.headers(1, fields, end=True))
        assert call.headers is None
        assert call.status.code == code
        assert text in call.status.message


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ([("content-type", "application/grpc")], ":status"),
        ([(":status", "ok"), ("content-type", "application/grpc")], ":status"),
        ([(":status", "200"), (":status", "200")], ":status"),
        ([(":status", "200"), (":path", "/")], ":path"),
        ([("content-type", "application/grpc"), (":status", "200")], ":status"),
        ([(":status", "200"), ("Upper", "x")], "Upper"),
        ([(":status", "200"), ("x", "a\nb")], "'x'"),
        ([(":status", "200"), ("connection", "close")], "connection"),
        ([(":status", "200"), ("", "empty")], "''"),
    ],
)
@pytest.mark.parametrize("end", [True, False])
def test_malformed_response_headers(engine: EngineName, fields: list[tuple[str, str]], problem: str, end: bool) -> None:
    with ScriptedServer(engine) as peer:
        call, other = peer.unary(), peer.unary()
        peer.send(peer.headers(1, fields, end=end))
        assert call.status.code == StatusCode.INTERNAL
        assert problem in call.status.message
        assert peer.said() == ([] if end else ["RstStream 1 PROTOCOL_ERROR"])
        peer.send(*peer.answer(3))
        assert other.status == OK


def test_trailers_with_a_pseudo_header(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        peer.send(peer.headers(1, RESPONSE), peer.headers(1, [(":status", "200"), ("grpc-status", "0")], end=True))
        assert call.status.code == StatusCode.INTERNAL


def test_a_response_that_is_not_grpc_with_a_body(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        peer.send(peer.headers(1, [(":status", "502"), ("content-type", "text/html")]))
        assert not call.ended
        peer.send(peer.data(1, b"<h1>Bad\n"), peer.data(1, b"Gateway</h1>", end=True))
        assert call.status.code == StatusCode.UNAVAILABLE
        assert "HTTP status 502" in call.status.message
        assert "<h1>Bad Gateway</h1>" in call.status.message


def test_a_response_that_is_not_grpc_with_an_endless_body(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        peer.send(peer.headers(1, [(":status", "200"), ("content-type", "text/plain")]), peer.data(1, b"x" * 16384))
        assert call.status.code == StatusCode.UNKNOWN
        assert len(call.status.message) < 1500
        assert peer.said() == ["RstStream 1 CANCEL"]


def test_a_response_that_is_not_grpc_with_trailers(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        peer.send(
            peer.headers(1, [(":status", "404")]), peer.data(1, b"no such page"), peer.headers(1, TRAILERS, end=True)
        )
        assert call.status.code == StatusCode.UNIMPLEMENTED
        assert "no such page" in call.status.message


def test_an_encoding_that_is_not_at_hand_matters_with_the_first_compressed_message(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        peer.send(peer.headers(1, [*RESPONSE, ("grpc-encoding", "br")]), peer.data(1, message(b"plain")))
        assert call.messages == [b"plain"]
        peer.send(peer.data(1, message(b"xx", compressed=True)))
        assert call.status.code == StatusCode.INTERNAL
        assert "'br'" in call.status.message
        assert peer.said() == ["RstStream 1 CANCEL"]


def test_damaged_metadata(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        peer.send(peer.headers(1, [*RESPONSE, ("x-bin", "?")]))
        if not call.ended:
            peer.send(peer.headers(1, TRAILERS, end=True))
        assert call.status.code == StatusCode.INTERNAL
        assert "'x-bin'" in call.status.message
        peer.said()


def test_damaged_metadata_in_the_trailers(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        fine, failed = peer.unary(), peer.unary()
        peer.send(peer.headers(1, RESPONSE), peer.headers(1, [("grpc-status", "0"), ("x-bin", "?")], end=True))
        assert fine.status.code == StatusCode.INTERNAL
        peer.send(peer.headers(3, RESPONSE), peer.headers(3, [("grpc-status", "9"), ("x-bin", "?")], end=True))
        assert failed.status.code == StatusCode.FAILED_PRECONDITION


def test_damaged_status_details_are_dropped(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        peer.send(peer.headers(1, [*RESPONSE, ("grpc-status", "3"), ("grpc-status-details-bin", "a")], end=True))
        assert call.status.code == StatusCode.INVALID_ARGUMENT
        assert call.status.details is None


def test_push_promise_is_refused(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        peer.send(PushPromiseFrame(1, 2, peer.encoder.encode([(":method", "GET")]), flags=["END_HEADERS"]))
        assert call.status.code == StatusCode.UNAVAILABLE
        assert peer.said() == ["GoAway 0 PROTOCOL_ERROR"]
        assert "PUSH_PROMISE" in peer.goaway_text()


@pytest.mark.parametrize(
    "octets",
    [
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n",
    ],
)
@pytest.mark.parametrize("piece", [0, 1])
def test_a_server_that_speaks_http_1(engine: EngineName, octets: bytes, piece: int) -> None:
    with ScriptedServer(engine, shake_hands=False) as peer:
        call = peer.call(message=b"", end=True)
        peer.send(octets, piece=piece)
        assert call.status.code == StatusCode.UNAVAILABLE
        assert "HTTP/1" in call.status.message
        assert not peer.driver.ready
        peer.said()


@pytest.mark.parametrize(
    "octets", [b"SSH-2.0-OpenSSH_9.6\r\n", bytes(9), b"\x15\x03\x01\x00\x02\x02\x50", b"\x00\x00\x00\x04\x01\0\0\0\0"]
)
@pytest.mark.parametrize("piece", [0, 1])
def test_a_server_that_speaks_something_else(engine: EngineName, octets: bytes, piece: int) -> None:
    with ScriptedServer(engine, shake_hands=False) as peer:
        call = peer.call(message=b"", end=True)
        peer.send(octets, piece=piece)
        assert call.status.code == StatusCode.UNAVAILABLE
        assert not peer.driver.ready
        peer.said()


def test_a_server_that_says_nothing(engine: EngineName) -> None:
    with ScriptedServer(engine, shake_hands=False) as peer:
        call = peer.call()
        assert peer.connection.next_time() is not None
        peer.wait(60)
        assert call.status.code == StatusCode.UNAVAILABLE
        assert peer.driver.closed
        peer.said()


def test_a_server_that_hangs_up_at_once(engine: EngineName) -> None:
    with ScriptedServer(engine, shake_hands=False) as peer:
        call = peer.call()
        peer.connection.receive(b"", peer.now)
        assert call.status.code == StatusCode.UNAVAILABLE
        assert peer.driver.closed
        peer.said()


def test_a_lost_transport(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        peer.connection.lost("connection reset by peer")
        assert call.status.code == StatusCode.UNAVAILABLE
        assert "connection reset by peer" in call.status.message
        assert peer.driver.closed == ["connection reset by peer"]
        assert peer.connection.is_closed
        assert peer.connection.next_time() is None
        peer.send(*peer.answer(1))
        peer.wait(100)
        peer.connection.lost("again")
        peer.connection.ping()
        peer.connection.go_away()


@pytest.mark.parametrize(
    "octets",
    [
        frame(0, 0, 0, b"data on stream 0"),
        frame(1, 4, 0, b"\x82"),
        frame(1, 4, 2, b"\x88"),
        frame(1, 4, 99, b"\x88"),
        frame(1, 4, 1, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        frame(1, 4, 1, b"\x80"),
        frame(1, 0x0C, 1, b"\xff"),
        frame(1, 0x08, 0, b""),
        frame(1, 0x08, 1, b""),
        frame(1, 0x28, 1, b"\x01\0\0\0\0\0"),
        frame(5, 0x08, 1, b""),
        frame(1, 0, 1, b"\x88") + frame(0, 0, 1, b""),
        frame(1, 0, 1, b"\x88") + frame(9, 4, 3, b""),
        frame(1, 0, 1, b"\x88") + frame(0x0B, 0, 1, b""),
        frame(9, 4, 1, b"\x88"),
        frame(0, 8, 1, b"\x09padding"),
        frame(0, 8, 1, b""),
        frame(3, 0, 1, b"\0\0\0"),
        frame(3, 0, 0, bytes(4)),
        frame(3, 0, 99, bytes(4)),
        frame(4, 0, 1, b""),
        frame(4, 0, 0, b"12345"),
        frame(4, 1, 0, b"123456"),
        frame(4, 0, 0, b"\x00\x02\x00\x00\x00\x02"),
        frame(4, 0, 0, b"\x00\x04\x80\x00\x00\x00"),
        frame(4, 0, 0, b"\x00\x05\x00\x00\x00\x00"),
        frame(4, 0, 0, b"\x00\x05\x01\x00\x00\x00"),
        frame(6, 0, 0, bytes(7)),
        frame(6, 0, 1, bytes(8)),
        frame(8, 0, 0, bytes(4)),
        frame(8, 0, 0, bytes(3)),
        frame(8, 0, 99, b"\0\0\0\1"),
        frame(8, 0, 0, b"\x7f\xff\xff\xff"),
        b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
        b"\x00\x40\x01\x00\x00\x00\x00\x00\x01",
    ],
)
def test_a_connection_error(engine: EngineName, octets: bytes) -> None:
    """RFC 9113 makes each of these an error of the connection (or allows to)."""
    with ScriptedServer(engine) as peer:
        call = peer.call()
        peer.said()
        peer.send(octets)
        assert call.status.code in (StatusCode.UNAVAILABLE, StatusCode.INTERNAL)
        said = peer.said()
        assert said[-1].startswith(("GoAway 0 ", "RstStream 1 "))
        if said[-1].startswith("GoAway"):
            assert peer.driver.closed
            assert peer.goaway_text()


def test_frames_for_a_call_that_was_cancelled_here(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        call, other = peer.unary(), peer.unary()
        peer.connection.reset(call)
        assert peer.said() == ["RstStream 1 CANCEL"]
        peer.send(*peer.answer(1), peer.reset(1, 8), peer.window_update(1, 10))
        assert peer.said() == []
        peer.send(*peer.answer(3))
        assert call.events == []
        assert other.status == OK


def test_a_window_update_that_goes_over_the_top_on_a_stream(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.call()
        peer.said()
        peer.send(peer.window_update(1, 2**31 - 1))
        assert call.status.code == StatusCode.INTERNAL
        assert peer.said() == ["RstStream 1 FLOW_CONTROL_ERROR"]


def test_reserved_bits_are_ignored(engine: EngineName) -> None:
    """RFC 9113, sections 4.1, 6.8 and 6.9."""
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        peer.send(frame(8, 0, 0x80000000, b"\x80\0\0\1"), frame(8, 0, 0x80000001, b"\x80\0\0\1"))
        peer.send(frame(7, 0, 0x80000000, b"\x80\0\0\1" + bytes(4)))
        assert peer.driver.going_away == ["NO_ERROR"]
        assert not call.ended
        peer.send(*peer.answer(1))
        assert call.status == OK


def test_priority_is_ignored(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        peer.send(PriorityFrame(1, 0, 7), PriorityFrame(99, 3, 7, True), *peer.answer(1))
        assert call.status == OK


def test_ping_is_answered(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        peer.send(peer.ping(b"abcdefgh"), peer.ping(b"unasked!", ack=True))
        assert peer.said() == ["Ping ACK"]


def test_spaces_around_the_status_message(engine: EngineName) -> None:
    """RFC 9113, section 8.2.1, forbids them; grpc-go sends them."""
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        peer.send(peer.headers(1, [*RESPONSE, ("grpc-status", "9"), ("grpc-message", " why ")], end=True))
        assert (call.status.code, call.status.message) == (StatusCode.FAILED_PRECONDITION, " why ")


def test_large_response_headers(engine: EngineName) -> None:
    with ScriptedServer(engine, ConnectionConfig(max_header_list_size=1000)) as peer:
        call, other = peer.unary(), peer.unary()
        peer.send(peer.headers(1, [*RESPONSE, ("x-large", "v" * 1000)]))
        assert call.status.code == StatusCode.RESOURCE_EXHAUSTED
        assert peer.said() == ["RstStream 1 CANCEL"]
        peer.send(*peer.answer(3))
        assert other.status == OK


def test_an_hpack_bomb(engine: EngineName) -> None:
    """One large entry of the dynamic table, then thousands of references to it (CVE-2026-49975)."""
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        peer.send(frame(1, 4, 1, b"\x88\x40\x01x\x7f\x81\x1e" + b"v" * 4000 + b"\xbe" * 10_000))
        assert call.status.code in (StatusCode.UNAVAILABLE, StatusCode.RESOURCE_EXHAUSTED)
        peer.said()


def test_settings_that_are_not_acknowledged(engine: EngineName) -> None:
    """RFC 9113, section 6.5.3: SETTINGS_TIMEOUT."""
    with ScriptedServer(engine, shake_hands=False) as peer:
        peer.send(peer.settings())
        call = peer.call(message=b"question", end=True)
        peer.wait(10)
        assert not peer.driver.closed
        peer.wait(11)
        assert call.status.code == StatusCode.UNAVAILABLE
        assert call.status.message == "the peer did not acknowledge SETTINGS within 20 seconds"
        assert peer.said()[-1] == "GoAway 0 SETTINGS_TIMEOUT"


def test_the_timeout_of_a_call_that_has_waited_for_its_turn(engine: EngineName) -> None:
    """What the server is told is what is left when the headers go out, whatever made room for the call."""
    with ScriptedServer(engine, MAX_CONCURRENT_STREAMS=1) as peer:
        first = peer.call(message=b"question", end=True)
        peer.call(message=b"question", end=True, deadline=peer.now + 5)
        late = peer.call(message=b"question", end=True, deadline=peer.now + 3.5)
        peer.now += 4
        peer.connection.reset(first, now=peer.now)
        peer.said()
        assert dict(peer.header_lists[-1])["grpc-timeout"] == "1000000u"
        peer.send(*peer.answer(3))
        peer.said()
        assert late.status.code == StatusCode.DEADLINE_EXCEEDED
        assert len(peer.header_lists) == 2


MEASURED = {
    "too few": (("12",), [8]),
    "too many": (("12",), [20]),
    "too many in parts": (("12",), [8, 8]),
    "no number": (("twelve",), []),
    "two that differ": (("12", "13"), [12]),
}


@pytest.mark.parametrize("case", MEASURED)
def test_a_wrong_content_length_is_one_stream_s_matter(engine: EngineName, case: str) -> None:
    """RFC 9113, section 8.1.1."""
    lengths, pieces = MEASURED[case]
    with ScriptedServer(engine) as peer:
        call, other = peer.unary(), peer.unary()
        peer.send(peer.headers(1, [*RESPONSE, *(("content-length", length) for length in lengths)]))
        for size in pieces:
            if not call.ended:
                peer.send(peer.data(1, message(bytes(size - 5))))
        if not call.ended:
            peer.send(peer.headers(1, TRAILERS, end=True))
        assert call.status.code == StatusCode.INTERNAL
        assert "content-length" in call.status.message
        assert peer.said() == ([] if case == "too few" else ["RstStream 1 PROTOCOL_ERROR"])
        peer.send(peer.headers(3, [*RESPONSE, ("content-length", "11")]), peer.data(3, message(b"answer")))
        peer.send(peer.headers(3, TRAILERS, end=True))
        assert other.status.code == StatusCode.OK
        assert not peer.driver.closed
