"""What clients get wrong, or do to harm, each as a script; the server ends the call or the connection."""

from __future__ import annotations

import pytest
from hyperframe.frame import HeadersFrame, PriorityFrame
from tests.wire.scripted import PREFACE, REQUEST, Fields, ScriptedClient, frame, message

from puregrpc.wire import EngineName
from puregrpc.wire.connection import ConnectionConfig
from puregrpc.wire.status import OK, Status, StatusCode


def changed(**changes: str | None) -> Fields:
    """The request's fields with some changed, added or (None) left out; a name's leading colon is written as p_."""
    wanted = {name.replace("p_", ":").replace("_", "-"): value for name, value in changes.items()}
    fields = [(name, wanted.pop(name, value)) for name, value in REQUEST]
    fields += wanted.items()
    return [(name, value) for name, value in fields if value is not None]


def serve_one(peer: ScriptedClient, stream_id: int) -> None:
    """The connection still works: a whole unary call."""
    peer.said()
    peer.send(*peer.request(stream_id))
    peer.connection.send_response(peer.calls[-1], b"answer")
    assert peer.said() == [f"Headers {stream_id}", f"Data {stream_id} 11", f"Headers {stream_id} END_STREAM"]
    assert peer.header_lists[-1] == [("grpc-status", "0")]


def test_a_whole_request(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(*peer.request())
        [call] = peer.calls
        assert call.messages == [b"question"]
        assert call.half_closed
        peer.connection.send_response(call, b"answer")
        assert peer.said() == ["Headers 1", "Data 1 11", "Headers 1 END_STREAM"]


@pytest.mark.parametrize(
    ("fields", "http_status"),
    [
        (changed(p_method="GET"), "405"),
        (changed(p_method="PUT"), "405"),
        (changed(p_method="HEAD"), "405"),
        ([(":method", "CONNECT"), (":authority", "example.org")], "405"),
        (changed(content_type=None), "415"),
        (changed(content_type="application/json"), "415"),
        (changed(content_type="application/grpcx"), "415"),
        (changed(content_type="application/grpc-web"), "415"),
        (changed(host="elsewhere.org"), "400"),
        ([*REQUEST, ("host", "example.org"), ("host", "example.org")], "400"),
    ],
)
def test_a_request_that_is_not_grpc(engine: EngineName, fields: Fields, http_status: str) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(peer.headers(1, fields, end=True))
        assert peer.calls == []
        said = peer.said()
        assert dict(peer.header_lists[-1])[":status"] == http_status
        if "HEAD" in str(fields):
            assert said == ["Headers 1 END_STREAM"]
        else:
            assert said[0] == "Headers 1"
            assert said[1].endswith("END_STREAM")
        serve_one(peer, 3)


def test_a_request_that_is_not_grpc_is_answered_when_it_is_whole(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(peer.headers(1, changed(content_type="text/plain")))
        assert peer.said() == []
        peer.send(peer.data(1, b"hello"), peer.data(1, b"!", end=True))
        assert [line.split()[0] for line in peer.said()] == ["Headers", "Data"]


def test_a_request_that_is_not_grpc_is_answered_when_it_gets_late(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(peer.headers(1, changed(p_method="GET")), peer.data(1, b"slow"))
        assert peer.said() == []
        peer.wait(30)
        assert peer.said()[-1] == "RstStream 1 NO_ERROR"
        assert peer.connection.open_calls == 0


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        (changed(grpc_timeout="1"), 13, "grpc-timeout"),
        (changed(grpc_timeout="123456789S"), 13, "grpc-timeout"),
        (changed(grpc_timeout="-1S"), 13, "grpc-timeout"),
        (changed(grpc_timeout="1x"), 13, "grpc-timeout"),
        (changed(grpc_encoding="br"), 12, "br"),
        ([*REQUEST, ("x-bin", "!!")], 13, "x-bin"),
    ],
)
def test_a_grpc_request_that_cannot_be_served(engine: EngineName, fields: Fields, code: int, text: str) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(peer.headers(1, fields, end=True))
        assert peer.calls == []
        assert peer.said() == ["Headers 1 END_STREAM"]
        answer = dict(peer.header_lists[-1])
        assert answer[":status"] == "200"
        assert answer["content-type"] == "application/grpc"
        assert answer["grpc-status"] == str(code)
        assert text in answer["grpc-message"]
        if code == 12:
            assert "gzip" in answer["grpc-accept-encoding"]
        serve_one(peer, 3)


@pytest.mark.parametrize("stream_id", [0, 2])
def test_headers_on_a_stream_beside_one_that_was_reset(engine: EngineName, stream_id: int) -> None:
    """Found by drawing frames for both engines."""
    with ScriptedClient(engine) as peer:
        peer.send(peer.headers(1, changed(grpc_timeout="later")))
        assert peer.said()[-1] == "RstStream 1 NO_ERROR"
        headers = bytearray(peer.headers(3, REQUEST).serialize())
        headers[8] = stream_id
        peer.send(bytes(headers))
        assert peer.said() == ["GoAway 1 PROTOCOL_ERROR"]
        assert peer.connection.is_closed


def test_the_largest_timeout_there_is(engine: EngineName) -> None:
    """CVE-2021-28682."""
    with ScriptedClient(engine) as peer:
        peer.send(*peer.request(1, b"", ("grpc-timeout", "99999999H")))
        assert peer.calls[0].request.timeout == 99999999 * 3600
        peer.wait(10**6)
        assert not peer.calls[0].ended


def test_a_timeout_of_nothing(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(*peer.request(1, b"", ("grpc-timeout", "0n")))
        peer.wait(0)
        assert peer.calls[0].status.code == StatusCode.DEADLINE_EXCEEDED
        assert peer.said() == ["Headers 1 END_STREAM"]
        assert dict(peer.header_lists[-1])["grpc-status"] == "4"


@pytest.mark.parametrize(
    "fields",
    [
        changed(p_method=None),
        changed(p_path=None),
        changed(p_path=""),
        changed(p_scheme=None),
        changed(p_strange="x"),
        changed(p_status="200"),
        [*REQUEST, (":path", "/late")],
        [(":path", "/one"), *REQUEST],
        changed(te="gzip"),
        changed(connection="close"),
        changed(transfer_encoding="chunked"),
        [*REQUEST, ("Upper", "x")],
        [*REQUEST, ("with space", "x")],
        [*REQUEST, ("with:colon", "x")],
        [*REQUEST, ("x", "a\0b")],
        [*REQUEST, ("x", "a\r\nb: c")],
    ],
)
@pytest.mark.parametrize("end", [True, False])
def test_malformed_request_headers(engine: EngineName, fields: Fields, end: bool) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(peer.headers(1, fields, end=end))
        assert peer.calls == []
        assert peer.said() == ["RstStream 1 PROTOCOL_ERROR"]
        serve_one(peer, 3)


def test_no_authority_and_no_host(engine: EngineName) -> None:
    """CVE-2026-84445."""
    with ScriptedClient(engine) as peer:
        peer.send(peer.headers(1, changed(p_authority=None), end=True))
        assert peer.calls[0].request.authority == ""


def test_host_in_place_of_authority(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(peer.headers(1, changed(p_authority=None, host="example.org"), end=True))
        assert peer.calls[0].request.authority == "example.org"


@pytest.mark.parametrize("path", ["hello.HelloService/SayHello", "*", "/", "//", "/a b", "http://x/y", "/%2e%2e/x"])
def test_an_odd_path_is_given_as_it_came(engine: EngineName, path: str) -> None:
    """CVE-2026-33186: a rule for /pkg.Service/Method must not be passed by a path without the slash."""
    with ScriptedClient(engine) as peer:
        peer.send(peer.headers(1, changed(p_path=path), end=True))
        assert [call.request.path for call in peer.calls] == [path]


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (message(b"whole")[:-1], 13),
        (b"\x00\x00", 13),
        (b"\x05\x00\x00\x00\x00", 13),
        (b"\x01\x00\x00\x00\x00", 13),
        (b"\x00\xff\xff\xff\xff", 8),
    ],
)
@pytest.mark.parametrize("trailers", [False, True])
def test_a_bad_message(engine: EngineName, octets: bytes, code: int, trailers: bool) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(peer.headers(1, REQUEST), peer.data(1, octets, end=not trailers))
        if trailers and peer.connection.open_calls:
            peer.send(peer.headers(1, [("x", "y")], end=True))
        [call] = peer.calls
        assert call.status.code == code
        assert peer.said()[0] == "Headers 1 END_STREAM"
        assert dict(peer.header_lists[-1])["grpc-status"] == str(code)
        serve_one(peer, 3)


def test_a_bomb_costs_no_more_than_the_limit(engine: EngineName) -> None:
    import zlib

    with ScriptedClient(engine, ConnectionConfig(max_receive_message_size=10_000)) as peer:
        bomb = zlib.compress(bytes(5_000_000))
        peer.send(peer.headers(1, [*REQUEST, ("grpc-encoding", "deflate")]))
        peer.send(peer.data(1, message(bomb, compressed=True)))
        assert peer.calls[0].status.code == StatusCode.RESOURCE_EXHAUSTED
        assert peer.said() == ["Headers 1 END_STREAM", "RstStream 1 NO_ERROR"]


def test_a_fault_while_the_response_is_under_way_resets(engine: EngineName) -> None:
    with ScriptedClient(engine, INITIAL_WINDOW_SIZE=10) as peer:
        peer.send(peer.headers(1, REQUEST))
        [call] = peer.calls
        peer.connection.send_headers(call)
        peer.connection.send_message(call, bytes(100))
        assert peer.said() == ["Headers 1", "Data 1 10"]
        peer.send(peer.data(1, b"\x09"))
        assert call.status.code == StatusCode.INTERNAL
        assert peer.said() == ["RstStream 1 CANCEL"]


def test_trailers_of_a_request_are_a_half_close(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(peer.headers(1, REQUEST), peer.data(1, message(b"m")), peer.headers(1, [("x-late", "1")], end=True))
        [call] = peer.calls
        assert call.messages == [b"m"]
        assert call.half_closed
        peer.connection.send_trailers(call, OK)
        assert peer.said() == ["Headers 1 END_STREAM"]


def test_malformed_trailers_of_a_request(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(peer.headers(1, REQUEST), peer.headers(1, [(":path", "/x")], end=True))
        assert peer.calls[0].ended
        assert not peer.calls[0].half_closed
        peer.said()
        serve_one(peer, 3)


@pytest.mark.parametrize("fault", [frame(8, 0, 1, bytes(4)), frame(2, 0, 1, bytes(4)), frame(2, 0, 1, b"\0\0\0\1\0")])
def test_faults_that_concern_one_stream(engine: EngineName, fault: bytes) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(peer.headers(1, REQUEST), fault)
        assert peer.calls[0].ended
        assert peer.said() in (["RstStream 1 PROTOCOL_ERROR"], ["RstStream 1 FRAME_SIZE_ERROR"])
        serve_one(peer, 3)


def test_headers_twice(engine: EngineName) -> None:
    """grpc#14175."""
    with ScriptedClient(engine) as peer:
        peer.send(peer.headers(1, REQUEST), peer.headers(1, REQUEST))
        assert peer.calls[0].ended
        assert peer.said()[-1] == "RstStream 1 PROTOCOL_ERROR"
        serve_one(peer, 3)


def test_reset_cancels(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(peer.headers(1, REQUEST), peer.reset(1, 8))
        assert peer.calls[0].status.code == StatusCode.CANCELLED
        peer.connection.send_headers(peer.calls[0])
        peer.connection.send_message(peer.calls[0], b"late")
        peer.connection.send_trailers(peer.calls[0], OK)
        peer.connection.send_response(peer.calls[0], b"late")
        peer.connection.consume(peer.calls[0], 4)
        serve_one(peer, 3)


def test_the_deadline_passes_on_the_server(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(*peer.request(1, b"m", ("grpc-timeout", "100m")))
        assert peer.connection.next_time() == pytest.approx(peer.now + 0.1)
        peer.wait(0.1)
        assert peer.calls[0].status.code == StatusCode.DEADLINE_EXCEEDED
        assert peer.said() == ["Headers 1 END_STREAM"]
        assert dict(peer.header_lists[-1])["grpc-status"] == "4"


def test_a_call_may_be_refused_by_the_owner(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.driver.on_request = lambda request: None
        peer.send(*peer.request(1))
        assert peer.said()[0] == "RstStream 1 REFUSED_STREAM"


def test_one_stream_too_many(engine: EngineName) -> None:
    with ScriptedClient(engine, ConnectionConfig(max_concurrent_streams=2)) as peer:
        peer.send(*(peer.headers(stream_id, REQUEST) for stream_id in (1, 3, 5)))
        assert len(peer.calls) == 2
        assert peer.said() == ["RstStream 5 REFUSED_STREAM"]
        peer.connection.send_trailers(peer.calls[0], OK)
        serve_one(peer, 7)


def test_trailers_only_of_the_server(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(*peer.request())
        peer.connection.send_trailers(peer.calls[0], Status(5, "no such thing"), (("x-t", "1"),))
        assert peer.said() == ["Headers 1 END_STREAM"]
        assert peer.header_lists[-1] == [
            (":status", "200"),
            ("content-type", "application/grpc"),
            ("grpc-status", "5"),
            ("grpc-message", "no such thing"),
            ("x-t", "1"),
        ]


def test_trailers_before_the_half_close_are_followed_by_a_reset(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(peer.headers(1, REQUEST))
        peer.connection.send_trailers(peer.calls[0], OK)
        assert peer.said() == ["Headers 1 END_STREAM", "RstStream 1 NO_ERROR"]
        peer.send(peer.data(1, message(b"late")), peer.headers(1, [("x", "y")], end=True), peer.reset(1, 8))
        assert peer.calls[0].messages == []
        assert peer.said() == []
        serve_one(peer, 3)


@pytest.mark.parametrize(
    "preface", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00", b"PRI * HTTP/2.0\r\n\r\nXX"]
)
@pytest.mark.parametrize("piece", [0, 1])
def test_a_client_that_speaks_something_else(engine: EngineName, preface: bytes, piece: int) -> None:
    with ScriptedClient(engine, shake_hands=False) as peer:
        peer.send(preface, piece=piece)
        assert peer.driver.closed
        assert not peer.driver.ready
        assert peer.said() == ["Settings", "WindowUpdate 983041", "GoAway 0 PROTOCOL_ERROR"]
        if preface.startswith(b"GET") and not piece:
            assert "HTTP/1" in peer.driver.closed[0]


def test_a_client_whose_first_frame_is_not_settings(engine: EngineName) -> None:
    with ScriptedClient(engine, shake_hands=False) as peer:
        peer.send(PREFACE, peer.headers(1, REQUEST, end=True))
        assert peer.calls == []
        assert peer.said()[-1] == "GoAway 0 PROTOCOL_ERROR"


def test_a_client_that_says_nothing(engine: EngineName) -> None:
    with ScriptedClient(engine, shake_hands=False) as peer:
        peer.wait(60)
        assert peer.driver.closed
        peer.said()


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (frame(1, 4, 2, b"\x82"), "PROTOCOL_ERROR"),
        (frame(5, 4, 1, bytes(5)), "PROTOCOL_ERROR"),
        (frame(0, 0, 99, b"x"), "PROTOCOL_ERROR"),
        (frame(3, 0, 99, bytes(4)), "PROTOCOL_ERROR"),
        (frame(8, 0, 99, b"\0\0\0\1"), "PROTOCOL_ERROR"),
        (frame(4, 0, 0, b"\x00\x05\x00\x00\x00\x00"), "PROTOCOL_ERROR"),
        (frame(4, 0, 0, b"\x00\x02\x00\x00\x00\x02"), "PROTOCOL_ERROR"),
        (frame(4, 0, 0, b"\x00\x04\xff\xff\xff\xff"), "FLOW_CONTROL_ERROR"),
        (frame(8, 0, 0, b"\x7f\xff\xff\xff"), "FLOW_CONTROL_ERROR"),
        (b"\x00\x40\x01\x00\x00\x00\x00\x00\x01", "FRAME_SIZE_ERROR"),
    ],
)
def test_a_connection_error(engine: EngineName, octets: bytes, code: str) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(octets)
        assert peer.driver.closed
        assert peer.said() == [f"GoAway 0 {code}"]


def test_what_came_before_a_connection_error_counts(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(*peer.request(1), frame(0, 0, 0, b"broken"))
        assert peer.calls[0].messages == [b"question"]
        assert peer.calls[0].status.code == StatusCode.UNAVAILABLE
        assert peer.said() == ["GoAway 1 PROTOCOL_ERROR"]


def test_more_data_than_the_window(engine: EngineName) -> None:
    with ScriptedClient(engine, ConnectionConfig(initial_stream_window=100)) as peer:
        peer.send(peer.headers(1, REQUEST), peer.data(1, bytes(101)))
        assert peer.said()[-1] in ("GoAway 1 FLOW_CONTROL_ERROR", "RstStream 1 FLOW_CONTROL_ERROR")


# -- floods: each ends with ENHANCE_YOUR_CALM after a bounded number of frames


def assert_calmed(peer: ScriptedClient) -> None:
    assert peer.driver.closed
    assert peer.said()[-1].endswith("ENHANCE_YOUR_CALM")
    assert "too many" in peer.goaway_text() or "too long" in peer.goaway_text()


def test_rapid_reset(engine: EngineName) -> None:
    """CVE-2023-44487."""
    with ScriptedClient(engine, ConnectionConfig(max_concurrent_streams=100)) as peer:
        for stream_id in range(1, 10_001, 2):
            peer.send(peer.headers(stream_id, REQUEST), peer.reset(stream_id, 8))
            if peer.driver.closed:
                break
        assert len(peer.calls) < 1000
        assert_calmed(peer)


def test_made_you_reset(engine: EngineName) -> None:
    """CVE-2025-8671: streams that the server has to reset because of what the client sends on them."""
    with ScriptedClient(engine) as peer:
        for stream_id in range(1, 10_001, 2):
            peer.send(peer.headers(stream_id, REQUEST), peer.window_update(stream_id, 2**31 - 1))
            peer.said()
            if peer.driver.closed:
                break
        assert len(peer.calls) < 1000
        assert "too many" in peer.goaway_text()


def test_malformed_streams_without_end(engine: EngineName) -> None:
    """CVE-2026-48068."""
    with ScriptedClient(engine) as peer:
        for stream_id in range(1, 10_001, 2):
            peer.send(peer.headers(stream_id, changed(p_path=None)))
            peer.said()
            if peer.driver.closed:
                break
        assert "too many" in peer.goaway_text()


@pytest.mark.parametrize("read", [True, False])
def test_settings_flood(engine: EngineName, read: bool) -> None:
    with ScriptedClient(engine) as peer:
        for _ in range(100_000):
            peer.send(peer.settings(INITIAL_WINDOW_SIZE=65535))
            if read:
                peer.said()
            if peer.driver.closed:
                break
        if not read:
            assert_calmed(peer)
        assert "too many" in peer.goaway_text()


@pytest.mark.parametrize(
    "flood",
    [
        frame(0, 0, 1, b""),
        frame(2, 0, 5, bytes(5)),
        frame(6, 0, 0, bytes(8)),
        frame(7, 0, 0, bytes(8)),
        frame(0x0B, 0, 0, b""),
        frame(8, 0, 1, b"\0\0\0\1"),
        frame(8, 0, 0, b"\0\0\0\1"),
        frame(4, 0, 0, bytes(6) * 1000),
    ],
    ids=[
        "empty DATA",
        "PRIORITY",
        "PING",
        "GOAWAY",
        "unknown",
        "WINDOW_UPDATE stream",
        "WINDOW_UPDATE",
        "settings in a frame",
    ],
)
def test_flood(engine: EngineName, flood: bytes) -> None:
    with ScriptedClient(engine, ConnectionConfig(min_ping_interval=0, permit_ping_without_calls=True)) as peer:
        peer.send(peer.headers(1, REQUEST))
        for _ in range(300):
            peer.send(flood * 100)
            if peer.driver.closed:
                break
        assert_calmed(peer)


def test_frames_on_a_closed_stream_whose_resets_are_not_read(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(peer.headers(1, REQUEST))
        peer.connection.reset(peer.calls[0])
        for _ in range(100):
            peer.send(frame(0, 0, 1, b"x") * 100)
            if peer.driver.closed:
                break
            assert len(peer.connection.data_to_send(0)) == 0
        peer.said()


def test_continuation_flood(engine: EngineName) -> None:
    """CVE-2024-27316, CVE-2023-45288."""
    with ScriptedClient(engine) as peer:
        peer.send(HeadersFrame(1, b""))
        for _ in range(1000):
            peer.send(frame(9, 0, 1, b""))
            if peer.driver.closed:
                break
        assert_calmed(peer)


def test_a_header_block_that_is_too_long(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(HeadersFrame(1, bytes(16_000)))
        for _ in range(1000):
            peer.send(frame(9, 0, 1, bytes(16_000)))
            if peer.driver.closed:
                break
        assert peer.said()[-1].startswith("GoAway 0 ")


def test_request_headers_above_the_limit(engine: EngineName) -> None:
    web = [(name, "text/html" if name == "content-type" else value) for name, value in REQUEST]
    with ScriptedClient(engine, ConnectionConfig(max_header_list_size=2000)) as peer:
        peer.send(peer.headers(1, [*REQUEST, ("x-large", "v" * 2000)], end=True))
        peer.send(peer.headers(3, [*web, ("cookie", "v" * 2000)], end=True))
        assert peer.calls == []
        assert peer.said()[:2] == ["Headers 1 END_STREAM", "Headers 3"]
        [grpc, other] = map(dict, peer.header_lists[-2:])
        assert (grpc[":status"], grpc["grpc-status"], other[":status"]) == ("200", "8", "431")
        assert (
            grpc["grpc-message"]
            == "the request's metadata take more than the 2000 bytes that max_header_list_size allows"
        )
        serve_one(peer, 5)


def test_an_hpack_bomb(engine: EngineName) -> None:
    """CVE-2016-6581, CVE-2026-49975: small on the wire, large when it is decoded."""
    with ScriptedClient(engine) as peer:
        entry = b"\x40\x01x\x7f\x81\x1e" + b"v" * 4000
        for stream_id in range(1, 21, 2):
            peer.send(frame(1, 4, stream_id, entry + b"\xbe" * 10_000))
            peer.said()
        assert peer.calls == []


def test_priority_on_itself(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(PriorityFrame(1, 1))
        said = peer.said()
        assert said in ([], ["GoAway 0 PROTOCOL_ERROR"], ["RstStream 1 PROTOCOL_ERROR"])


def test_too_many_pings(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(*peer.request())
        for _ in range(3):
            peer.send(peer.ping())
        assert peer.said() == ["Ping ACK"] * 3
        peer.connection.send_headers(peer.calls[0])
        assert peer.said() == ["Headers 1"]
        for _ in range(3):
            peer.send(peer.ping())
        assert not peer.driver.closed
        peer.send(peer.ping())
        assert peer.said()[-1] == "GoAway 1 ENHANCE_YOUR_CALM"
        assert peer.goaway_text() == "too_many_pings"


def test_one_byte_data_frames(engine: EngineName) -> None:
    """CVE-2026-84304: what counts is the octets, not the frames."""
    with ScriptedClient(engine) as peer:
        large = message(bytes(10_000))
        peer.send(peer.headers(1, REQUEST), *(frame(0, 0, 1, large[at : at + 1]) for at in range(len(large))))
        peer.send(peer.data(1, end=True))
        assert peer.calls[0].messages == [bytes(10_000)]
        assert peer.calls[0].half_closed


def test_padding(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(peer.headers(1, REQUEST))
        for piece in (b"\0", b"\0\0", b"", b"\0", b"\x03ab"):
            peer.send(peer.data(1, piece, padding=200))
        peer.send(peer.data(1, b"c", padding=0, end=True))
        assert peer.calls[0].messages == [b"abc"]
        assert peer.calls[0].half_closed


def test_headers_that_are_padding_alone(engine: EngineName) -> None:
    """RFC 9113, section 6.2: the stream has a request without its fields, and the connection no fault."""
    with ScriptedClient(engine) as peer:
        peer.send(frame(1, 0xC, 1, b"\x03\0\0\0"))
        serve_one(peer, 3)


def test_no_address_is_told(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(frame(1, 4, 1, b"\0\0\0\xff"))
        assert peer.said() == ["GoAway 0 COMPRESSION_ERROR"]
        assert " at 0x" not in peer.goaway_text()


def test_settings_that_are_not_acknowledged(engine: EngineName) -> None:
    """RFC 9113, section 6.5.3: SETTINGS_TIMEOUT."""
    with ScriptedClient(engine, shake_hands=False) as peer:
        peer.send(PREFACE, peer.settings(), *peer.request(1))
        peer.wait(10)
        assert not peer.driver.closed
        peer.wait(11)
        assert peer.driver.closed == ["the peer did not acknowledge SETTINGS within 20 seconds"]
        assert peer.said()[-1] == "GoAway 1 SETTINGS_TIMEOUT"
    with ScriptedClient(engine, shake_hands=False) as peer:
        peer.send(PREFACE, peer.settings(), peer.settings_ack())
        peer.wait(60)
        assert not peer.driver.closed
        peer.said()


@pytest.mark.parametrize("lengths", [("12",), ("14",), ("x",), ("13", "14")])
def test_a_wrong_content_length_is_one_request_s_matter(engine: EngineName, lengths: tuple[str, ...]) -> None:
    """RFC 9113, section 8.1.1."""
    with ScriptedClient(engine) as peer:
        peer.send(peer.headers(1, [*REQUEST, *(("content-length", length) for length in lengths)]))
        peer.send(peer.data(1, message(b"question"), end=True))
        assert peer.said() == ["RstStream 1 PROTOCOL_ERROR"]
        serve_one(peer, 3)
