"""The connection as a whole: settings, queueing, keepalive, going away; and what its owner may get wrong."""

from __future__ import annotations

import pytest
from hyperframe.frame import DataFrame, PingFrame, SettingsFrame
from tests.wire.peers import Pair, RecordingCall, RecordingDriver, drain
from tests.wire.scripted import REQUEST, RESPONSE, ScriptedClient, ScriptedServer, message

from puregrpc.errors import InvalidArgument, LocalProtocolError
from puregrpc.wire import EngineName, client_connection, server_connection
from puregrpc.wire.connection import ConnectionConfig, Request
from puregrpc.wire.h2_engine import H2ClientConnection
from puregrpc.wire.status import OK, Status, StatusCode


def test_an_engine_that_there_is_not() -> None:
    with pytest.raises(InvalidArgument, match="no engine 'slow'"):
        client_connection(RecordingDriver(), engine="slow")  # type: ignore[arg-type]  # what is wrong with it
    with pytest.raises(InvalidArgument, match="no engine 'slow'"):
        server_connection(RecordingDriver(), engine="slow")  # type: ignore[arg-type]  # what is wrong with it


def test_what_a_client_says_first(engine: EngineName) -> None:
    with ScriptedServer(engine, shake_hands=False) as peer:
        assert drain(peer.connection).startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00")
        peer.send(peer.settings())
        assert peer.driver.ready
        assert peer.said() == ["Settings ACK"]


def test_what_a_server_says_first(engine: EngineName) -> None:
    config = ConnectionConfig(initial_stream_window=12345, max_concurrent_streams=7, max_header_list_size=999)
    with ScriptedClient(engine, config, shake_hands=False) as peer:
        assert peer.said() == ["Settings", "WindowUpdate 983041"]
        [settings, _] = peer.received
        assert isinstance(settings, SettingsFrame)
        assert settings.settings[SettingsFrame.INITIAL_WINDOW_SIZE] == 12345
        assert settings.settings[SettingsFrame.MAX_CONCURRENT_STREAMS] == 7
        assert settings.settings[SettingsFrame.MAX_HEADER_LIST_SIZE] == 999


def test_on_output_comes_when_there_is_something_to_send(engine: EngineName) -> None:
    pair = Pair(engine)
    assert pair.client_driver.outputs == 1
    pair.exchange()
    before = pair.client_driver.outputs
    pair.client.ping()
    pair.client.ping()
    assert pair.client_driver.outputs == before + 1
    drain(pair.client)
    pair.open(message=b"m", end=True)
    assert pair.client_driver.outputs == before + 2
    assert drain(pair.client)
    assert pair.client.data_to_send() == b""


def test_data_to_send_in_pieces(engine: EngineName) -> None:
    pair = Pair(engine)
    pair.exchange()
    pair.open(message=bytes(100_000), end=True)
    pieces = []
    while piece := pair.client.data_to_send(1000):
        assert len(piece) < 30_000
        pieces.append(piece)
    pair.server.receive(b"".join(pieces), pair.now)
    pair.exchange()
    assert pair.server_calls[0].messages == [bytes(100_000)]


# -- MAX_CONCURRENT_STREAMS


def test_calls_queue_and_then_go(engine: EngineName) -> None:
    pair = Pair(engine, server_config=ConnectionConfig(max_concurrent_streams=2))
    pair.exchange()
    calls = [pair.open(message=b"%d" % number, end=True) for number in range(5)]
    pair.exchange()
    assert len(pair.server_calls) == 2
    assert pair.client.open_calls == 5
    assert pair.client.snapshot().queued_calls == 3
    for number in range(5):
        assert pair.server_calls[number].messages == [b"%d" % number]
        pair.server.send_response(pair.server_calls[number], b"")
        pair.exchange()
    assert [call.status for call in calls] == [OK] * 5


def test_a_call_that_waits_for_its_turn(engine: EngineName) -> None:
    with ScriptedServer(engine, MAX_CONCURRENT_STREAMS=1) as peer:
        peer.unary()
        cancelled, expires, streams, late = (peer.call(deadline=peer.now + wait) for wait in (50, 2, 50, 10))
        assert peer.said() == []
        peer.connection.reset(cancelled)
        peer.wait(2)
        assert expires.status.code == StatusCode.DEADLINE_EXCEEDED
        peer.connection.send_message(streams, b"one")
        peer.connection.send_message(streams, b"two", end=True)
        assert peer.connection.send_buffered(streams) == 16
        peer.connection.half_close(late)
        assert peer.said() == []
        peer.send(*peer.answer(1))
        said = peer.said()
        assert said[0] == f"Headers {streams.wire_id}"
        assert said[-1].endswith("END_STREAM")
        assert dict(peer.header_lists[-1])["grpc-timeout"] == "48000000u"
        peer.send(*peer.answer(streams.wire_id))
        assert peer.said() == [f"Headers {late.wire_id} END_STREAM"]
        assert dict(peer.header_lists[-1])["grpc-timeout"] == "8000000u"


@pytest.mark.parametrize("how", ["lost", "end of stream", "broken"])
def test_a_call_that_waits_ends_with_the_connection(engine: EngineName, how: str) -> None:
    """grpclib#216: it hung for ever."""
    with ScriptedServer(engine, MAX_CONCURRENT_STREAMS=1) as peer:
        begun, waiting = peer.unary(), peer.call()
        if how == "lost":
            peer.connection.lost("connection reset by peer")
        elif how == "end of stream":
            peer.connection.receive(b"", peer.now)
        else:
            peer.send(b"\xff" * 20)
        assert begun.status.code == waiting.status.code == StatusCode.UNAVAILABLE
        assert waiting.unprocessed
        assert not begun.unprocessed
        peer.said()


def test_the_limit_goes_up_and_down(engine: EngineName) -> None:
    with ScriptedServer(engine, MAX_CONCURRENT_STREAMS=0) as peer:
        calls = [peer.call(end=True) for _ in range(4)]
        assert peer.said() == []
        peer.send(peer.settings(MAX_CONCURRENT_STREAMS=3))
        assert peer.said()[1:] == ["Headers 1 END_STREAM", "Headers 3 END_STREAM", "Headers 5 END_STREAM"]
        peer.send(peer.settings(MAX_CONCURRENT_STREAMS=1), *peer.answer(1), *peer.answer(3))
        assert peer.said() == ["Settings ACK"]
        peer.send(*peer.answer(5))
        assert peer.said() == ["Headers 7 END_STREAM"]
        peer.send(*peer.answer(7))
        assert [call.status for call in calls] == [OK] * 4


def test_a_hundred_calls_before_the_settings_come(engine: EngineName) -> None:
    with ScriptedServer(engine, shake_hands=False) as peer:
        for _ in range(150):
            peer.call(end=True)
        assert sum(line.startswith("Headers") for line in peer.said()) == 100
        peer.send(peer.settings(MAX_CONCURRENT_STREAMS=120))
        assert sum(line.startswith("Headers") for line in peer.said()) == 20


def test_thousands_of_calls_whose_deadline_passes_in_the_queue(engine: EngineName) -> None:
    with ScriptedServer(engine, MAX_CONCURRENT_STREAMS=1) as peer:
        first = peer.unary()
        waiting = [peer.call(deadline=peer.now + 1) for _ in range(3000)]
        peer.now += 5
        peer.send(*peer.answer(1))
        peer.wait(0)
        assert first.status == OK
        assert {call.status.code for call in waiting} == {StatusCode.DEADLINE_EXCEEDED}
        assert peer.connection.open_calls == 0


# -- deadlines


def test_a_deadline_that_has_passed_sends_nothing(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.call(deadline=peer.now, message=b"late", end=True)
        peer.wait(0)
        assert call.status.code == StatusCode.DEADLINE_EXCEEDED
        assert "Headers 1" not in peer.said()


def test_the_earliest_deadline_is_next(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        calls = [peer.call(deadline=peer.now + wait) for wait in (3, 1, 2)]
        peer.said()
        assert peer.connection.next_time() == peer.now + 1
        peer.wait(1)
        assert [call.ended for call in calls] == [False, True, False]
        peer.connection.reset(calls[2])
        assert peer.connection.next_time() == peer.now + 2
        peer.wait(2)
        assert calls[0].ended
        assert peer.connection.next_time() is None
        assert peer.said() == [f"RstStream {stream_id} CANCEL" for stream_id in (3, 5, 1)]


# -- keepalive


def test_keepalive_finds_a_dead_peer(engine: EngineName) -> None:
    with ScriptedServer(engine, ConnectionConfig(keepalive_time=10, keepalive_timeout=5)) as peer:
        assert peer.connection.next_time() is None
        call = peer.unary()
        assert peer.connection.next_time() == peer.now + 10
        peer.wait(10)
        assert peer.said() == ["Ping"]
        assert peer.connection.next_time() == peer.now + 5
        peer.wait(4)
        assert not call.ended
        peer.wait(1)
        assert call.status.code == StatusCode.UNAVAILABLE
        assert "keepalive" in call.status.message
        assert peer.driver.closed
        peer.said()


def test_keepalive_is_content_with_any_sign_of_life(engine: EngineName) -> None:
    with ScriptedServer(engine, ConnectionConfig(keepalive_time=10, keepalive_timeout=5)) as peer:
        call = peer.unary()
        peer.wait(10)
        assert peer.said() == ["Ping"]
        peer.wait(4)
        peer.send(peer.headers(1, RESPONSE))
        peer.wait(4)
        assert peer.said() == []
        peer.wait(6)
        assert peer.said() == ["Ping"]
        assert not call.ended


def test_keepalive_without_calls(engine: EngineName) -> None:
    config = ConnectionConfig(keepalive_time=10, keepalive_timeout=5, keepalive_without_calls=True)
    with ScriptedServer(engine, config) as peer:
        assert peer.connection.next_time() == peer.now + 10
        peer.wait(10)
        assert peer.said() == ["Ping"]
        peer.wait(5)
        assert peer.driver.closed
        peer.said()


def test_pings_of_a_client_without_calls(engine: EngineName) -> None:
    config = ConnectionConfig(min_ping_interval=10)
    with ScriptedClient(engine, config) as peer:
        for _ in range(4):
            peer.wait(11)
            peer.send(peer.ping())
        assert peer.said()[-1] == "GoAway 0 ENHANCE_YOUR_CALM"
    with ScriptedClient(engine, ConnectionConfig(min_ping_interval=10, permit_ping_without_calls=True)) as peer:
        for _ in range(9):
            peer.wait(11)
            peer.send(peer.ping())
        assert peer.said() == ["Ping ACK"] * 9


# -- going away


def test_a_server_goes_in_two_steps(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(*peer.request(1))
        peer.connection.go_away(debug_data=b"drain")
        peer.connection.go_away()
        assert peer.said() == ["GoAway 2147483647 NO_ERROR", "Ping"]
        assert peer.goaway_text() == "drain"
        peer.send(*peer.request(3))
        assert len(peer.calls) == 2
        ping = peer.received[-1]
        assert isinstance(ping, PingFrame)
        peer.send(peer.ping(ping.opaque_data, ack=True))
        assert peer.said() == ["GoAway 3 NO_ERROR"]
        peer.send(*peer.request(5))
        assert len(peer.calls) == 2
        assert peer.said()[0] == "RstStream 5 REFUSED_STREAM"
        peer.connection.send_response(peer.calls[0], b"")
        assert not peer.driver.closed
        peer.connection.send_response(peer.calls[1], b"")
        peer.said()
        assert peer.driver.closed
        assert peer.connection.is_closed


def test_a_server_whose_ping_is_not_answered_goes_all_the_same(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.connection.go_away()
        assert peer.said() == ["GoAway 2147483647 NO_ERROR", "Ping"]
        due = peer.connection.next_time()
        assert due is not None
        peer.wait(due - peer.now)
        assert peer.said() == ["GoAway 0 NO_ERROR"]
        assert peer.driver.closed


def test_a_server_goes_immediately(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(*peer.request(1))
        peer.connection.go_away(error_code=2, debug_data=b"bye", immediately=True)
        assert peer.calls[0].status.code == StatusCode.UNAVAILABLE
        assert peer.driver.closed
        assert peer.said()[-1] == "GoAway 1 INTERNAL_ERROR"
        peer.connection.go_away()


def test_a_client_goes_when_its_calls_are_over(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        peer.connection.go_away()
        assert peer.said() == ["GoAway 0 NO_ERROR"]
        with pytest.raises(LocalProtocolError, match="no new call"):
            peer.call()
        assert not peer.driver.closed
        peer.send(*peer.answer(1))
        assert call.status == OK
        assert peer.driver.closed


def test_a_client_goes_immediately(engine: EngineName) -> None:
    with ScriptedServer(engine, MAX_CONCURRENT_STREAMS=1) as peer:
        call, waiting = peer.unary(), peer.call()
        peer.connection.go_away(immediately=True)
        assert call.status.code == waiting.status.code == StatusCode.UNAVAILABLE
        assert waiting.unprocessed
        assert peer.driver.closed
        assert peer.said()[-1] == "GoAway 0 NO_ERROR"


def test_a_client_tells_the_server_that_it_goes(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(*peer.request(1), peer.goaway(0, 0, b"bye"))
        assert peer.driver.going_away == ["NO_ERROR: bye"]
        peer.connection.send_response(peer.calls[0], b"answer")
        assert peer.said() == ["Headers 1", "Data 1 11", "Headers 1 END_STREAM"]


def test_owners_act_in_callbacks(engine: EngineName) -> None:
    """A call opened, another reset, the connection left: all from inside on_end, and nothing breaks."""
    pair = Pair(engine)
    other = pair.open()
    again: list[RecordingCall] = []

    def react(call: RecordingCall, what: str) -> None:
        if what == "end":
            pair.client.reset(other)
            again.append(pair.open(message=b"again", end=True))
            pair.client.go_away()

    call = pair.open(message=b"", end=True)
    call.reaction = react
    pair.exchange()
    pair.server.send_response(pair.server_calls[1], b"")
    pair.exchange()
    assert call.status == OK
    assert other.events == []
    assert pair.server_calls[2].messages == [b"again"]
    pair.server.send_response(pair.server_calls[2], b"")
    pair.exchange()
    assert again[0].status == OK
    assert pair.client_driver.closed


@pytest.mark.parametrize("what", ["headers", "message"])
def test_an_owner_resets_in_a_callback(engine: EngineName, what: str) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        call.reaction = lambda call, event: peer.connection.reset(call) if event == what else None
        peer.send(*peer.answer(1)[:-1], peer.data(1, message(b"more") * 5))
        assert [event[0] for event in call.events][-1] == what
        assert len(call.messages) <= 1
        assert peer.said()[0] == "RstStream 1 CANCEL"


# -- what owners get wrong


def test_messages_after_the_half_close(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.unary()
        with pytest.raises(LocalProtocolError):
            peer.connection.send_message(call, b"more")


def test_a_server_out_of_order(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(*peer.request())
        [call] = peer.calls
        with pytest.raises(LocalProtocolError):
            peer.connection.send_message(call, b"before the headers")
        peer.connection.send_headers(call)
        with pytest.raises(LocalProtocolError):
            peer.connection.send_headers(call)
        peer.connection.send_trailers(call, OK)
        peer.connection.send_trailers(call, OK)
        peer.said()


@pytest.mark.parametrize(
    "metadata",
    [
        (("grpc-status", "0"),),
        ((":path", "/x"),),
        (("Content-Type", "x"),),
        (("with space", "x"),),
        (("x", "ü"),),
        (("x", b"bytes"),),
        (("x-bin", "text"),),
        ((1, "x"),),
        (("x", 1),),
    ],
)
def test_bad_metadata(engine: EngineName, metadata: tuple[tuple[str, str], ...]) -> None:
    with ScriptedServer(engine) as peer:
        with pytest.raises(InvalidArgument):
            peer.connection.open_call(RecordingCall(), Request("/a.B/C", "x", metadata))
        assert peer.connection.open_calls == 0
        assert peer.said() == []
        assert peer.unary().wire_id == 1
    with ScriptedClient(engine) as client:
        client.send(*client.request())
        [call] = client.calls
        with pytest.raises(InvalidArgument):
            client.connection.send_headers(call, metadata)
        with pytest.raises(InvalidArgument):
            client.connection.send_trailers(call, OK, metadata)
        assert client.said() == []
        client.connection.send_response(call, b"")
        client.said()


@pytest.mark.parametrize(
    "request_",
    [
        Request(""),
        Request("/with space"),
        Request("/a.B/C", "two words"),
        Request("/a.B/C", encoding="br"),
        Request("/a.B/C", content_subtype="a b"),
    ],
)
def test_a_bad_request(engine: EngineName, request_: Request) -> None:
    with ScriptedServer(engine) as peer:
        with pytest.raises(InvalidArgument):
            peer.connection.open_call(RecordingCall(), request_)
        assert peer.connection.open_calls == 0
        peer.unary()


def test_a_message_above_the_send_limit(engine: EngineName) -> None:
    with ScriptedServer(engine, ConnectionConfig(max_send_message_size=100)) as peer:
        with pytest.raises(InvalidArgument, match=r"101 vs\. 100"):
            peer.call(message=bytes(101), end=True)
        assert peer.connection.open_calls == 0
        call = peer.call(message=bytes(100))
        with pytest.raises(InvalidArgument):
            peer.connection.send_message(call, bytes(101))
        peer.connection.send_message(call, bytes(100), end=True)
        said = peer.said()
        assert said[-1].endswith("END_STREAM")
        assert sum(int(line.split()[2]) for line in said if line.startswith("Data")) == 210


def test_a_response_with_bad_trailers_sends_nothing(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(*peer.request())
        [call] = peer.calls
        with pytest.raises(InvalidArgument):
            peer.connection.send_response(call, b"answer", trailers=(("x", "\n"),))
        assert peer.said() == []
        peer.connection.send_response(call, b"answer")
        peer.connection.send_response(call, b"again")
        assert peer.said() == ["Headers 1", "Data 1 11", "Headers 1 END_STREAM"]


def test_a_response_after_its_headers(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(*peer.request())
        [call] = peer.calls
        peer.connection.send_headers(call, (("x-h", "1"),))
        peer.connection.send_response(call, b"answer", status=Status(6, "there already"))
        assert peer.said() == ["Headers 1", "Data 1 11", "Headers 1 END_STREAM"]
        assert ("x-h", "1") in peer.header_lists[0]
        assert ("grpc-status", "6") in peer.header_lists[1]


def test_a_request_goes_on_after_its_answer(engine: EngineName) -> None:
    with ScriptedClient(engine, INITIAL_WINDOW_SIZE=5) as peer:
        peer.send(peer.headers(1, REQUEST))
        [call] = peer.calls
        peer.connection.send_response(call, b"answer")
        assert peer.said() == ["Headers 1", "Data 1 5"]
        peer.send(peer.data(1, message(b"more")), peer.headers(1, [("x", "y")], end=True))
        assert call.events == []
        peer.send(peer.window_update(1, 100))
        assert peer.said() == ["Data 1 6", "Headers 1 END_STREAM"]
        assert peer.connection.open_calls == 0


def test_the_stream_ids_are_used_up() -> None:
    with ScriptedServer("h2") as peer:
        assert isinstance(peer.connection, H2ClientConnection)
        peer.connection._http2._h2.highest_outbound_stream_id = 2**31 - 3
        last = peer.call(end=True)
        assert peer.said() == [f"Headers {2**31 - 1} END_STREAM"]
        assert peer.driver.going_away == ["the stream ids are used up"]
        with pytest.raises(LocalProtocolError):
            peer.call()
        peer.send(*peer.answer(2**31 - 1))
        assert last.status == OK
        assert peer.driver.closed


# -- compression and header fields


@pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate"])
def test_compressed_messages_both_ways(engine: EngineName, encoding: str) -> None:
    pair = Pair(engine)
    call = pair.open(Request("/a.B/C", "x", encoding=encoding))
    text = b"compress me " * 1000
    pair.client.send_message(call, text)
    pair.client.send_message(call, text, compress=False)
    pair.client.send_message(call, b"", end=True)
    pair.exchange()
    [served] = pair.server_calls
    assert served.request.encoding == encoding
    assert served.request.accept_encodings == ("identity", "gzip", "deflate")
    assert served.messages == [text, text, b""]
    pair.server.send_headers(served, encoding=encoding)
    pair.server.send_message(served, text)
    pair.server.send_message(served, text, compress=False)
    pair.server.send_trailers(served, OK)
    pair.exchange()
    assert call.messages == [text, text]
    assert call.status == OK
    shown = dict(call.headers or ())
    assert shown.get("grpc-encoding", "identity") == encoding


def test_an_encoding_that_the_client_does_not_accept(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(*peer.request(1, b"q", ("grpc-accept-encoding", "identity,br")))
        peer.connection.send_headers(peer.calls[0], encoding="gzip")
        peer.connection.send_message(peer.calls[0], bytes(100))
        peer.said()
        assert "grpc-encoding" not in dict(peer.header_lists[-1])
        data = peer.received[-1]
        assert isinstance(data, DataFrame)
        assert data.data == message(bytes(100))


def test_compression_is_seen_on_the_wire(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        peer.connection.open_call(RecordingCall(), Request("/a.B/C", "x", encoding="gzip"), message=bytes(10_000))
        peer.said()
        data = peer.received[-1]
        assert isinstance(data, DataFrame)
        assert data.data[0] == 1
        assert len(data.data) < 200


def test_request_fields(engine: EngineName) -> None:
    config = ConnectionConfig(scheme="https", user_agent="tool/1 puregrpc/2")
    with ScriptedServer(engine, config) as peer:
        request = Request("/a.B/C", "host:1", (("k", "1"), ("K", "2"), ("b-bin", b"\xff")), content_subtype="json")
        peer.connection.open_call(RecordingCall(), request, deadline=peer.now + 1.5, now=peer.now)
        peer.said()
        assert sorted(peer.header_lists[-1]) == sorted(
            [
                (":method", "POST"),
                (":scheme", "https"),
                (":path", "/a.B/C"),
                (":authority", "host:1"),
                ("te", "trailers"),
                ("content-type", "application/grpc+json"),
                ("user-agent", "tool/1 puregrpc/2"),
                ("grpc-accept-encoding", "identity,gzip,deflate"),
                ("grpc-timeout", "1500000u"),
                ("k", "1"),
                ("k", "2"),
                ("b-bin", "/w"),
            ]
        )
        assert [name.startswith(":") for name, _ in peer.header_lists[-1]] == [True] * 4 + [False] * 8


def test_secrets_are_never_indexed(engine: EngineName) -> None:
    with ScriptedServer(engine, ConnectionConfig(secret_names=("Authorization", "X-Token"))) as peer:
        metadata = (("authorization", "Bearer abc"), ("x-token", "def"))
        for _ in range(2):
            peer.connection.open_call(RecordingCall(), Request("/a.B/C", "x", metadata))
        peer.said()
        assert ("x-token", "def") in peer.header_lists[-1]
        held = {bytes(name) for name, _ in peer.decoder.header_table.dynamic_entries}
        assert b"authorization" not in held
        assert b"x-token" not in held


def test_the_content_subtype_comes_back(engine: EngineName) -> None:
    pair = Pair(engine)
    call = pair.open(Request("/a.B/C", "x", content_subtype="json"), message=b"{}", end=True)
    pair.exchange()
    assert pair.server_calls[0].request.content_subtype == "json"
    pair.server.send_trailers(pair.server_calls[0], Status(3, "no"))
    pair.exchange()
    assert call.status == Status(3, "no")
    assert call.trailers == ()  # of a response without a head all that it has are HTTP's own fields and the status


@pytest.mark.parametrize("sizes", [(0,), (100, 100), (100, 50), (50, 100), (2**32 - 1,), (4096,), (0, 4096)])
@pytest.mark.parametrize("at_once", [False, True])
def test_header_table_size(engine: EngineName, sizes: tuple[int, ...], at_once: bool) -> None:
    """Whatever SETTINGS say about the HPACK table, what follows can be read (RFC 7541, section 4.2)."""
    with ScriptedServer(engine) as peer:
        peer.unary()
        for size in sizes:
            peer.send(peer.settings(HEADER_TABLE_SIZE=size))
            if not at_once:
                peer.said()
        peer.said()
        peer.decoder.max_allowed_table_size = max(sizes[-1], peer.decoder.header_table_size)
        for _ in range(3):
            call = peer.call(end=True)
            peer.said()
            assert (":path", "/hello.HelloService/SayHello") in peer.header_lists[-1]
            assert peer.decoder.header_table_size <= max(sizes[-1], 0)
            peer.connection.reset(call)
            peer.said()


def test_large_headers_in_several_frames(engine: EngineName) -> None:
    config = ConnectionConfig(max_header_list_size=200_000)
    pair = Pair(engine, config, config)
    metadata = tuple((f"x-{number}", "v" * 1000) for number in range(50))
    call = pair.open(Request("/a.B/C", "x", metadata), message=b"", end=True)
    pair.exchange()
    [served] = pair.server_calls
    assert served.request.metadata == metadata
    pair.server.send_response(served, b"", metadata, metadata)
    pair.exchange()
    assert call.status == OK
    assert call.trailers == metadata


def test_snapshot(engine: EngineName) -> None:
    pair = Pair(engine, server_config=ConnectionConfig(max_concurrent_streams=1))
    pair.exchange()
    pair.open(message=b"m")
    pair.open()
    pair.exchange()
    snapshot = pair.client.snapshot()
    assert snapshot.state == "open"
    assert snapshot.peer_max_concurrent_streams == 1
    assert snapshot.queued_calls == 1
    assert [call.path for call in snapshot.calls] == ["/hello.HelloService/SayHello"] * 2
    assert snapshot.calls[0].stream_id == 1
    assert snapshot.calls[0].state == "open"
    assert snapshot.calls[0].send_buffered == 0
    assert snapshot.settings["MAX_CONCURRENT_STREAMS"] == 1
    assert pair.server.snapshot().calls[0].receive_window > 0
    pair.client.go_away()
    assert "going" in pair.client.snapshot().state
    pair.client.go_away(immediately=True)
    assert pair.client.snapshot().state == "closed"


def test_streams_fail_that_end_without_the_servers_end(engine: EngineName) -> None:
    pair = Pair(engine, server_config=ConnectionConfig(max_concurrent_streams=10))

    def failed() -> tuple[int, int]:
        return pair.client.snapshot().streams_failed, pair.server.snapshot().streams_failed

    pair.exchange()
    pair.unary()
    pair.open(message=b"", end=True)
    pair.exchange()
    pair.server.send_trailers(pair.server_calls[-1], Status(StatusCode.NOT_FOUND, "no"))
    pair.exchange()
    pair.open(message=b"")  # the server answers before it has all of the request, and wants no more
    pair.exchange()
    pair.server.send_response(pair.server_calls[-1], b"")
    pair.exchange()
    assert failed() == (0, 0)
    cancelled, dropped, lost = (pair.open(message=b"", end=True) for _ in range(3))
    pair.exchange()
    pair.client.reset(cancelled)
    pair.server.reset(pair.server_calls[-2])
    pair.exchange()
    assert dropped.status is not None
    assert failed() == (2, 2)
    late = pair.open(message=b"", end=True, deadline=pair.now - 1)
    pair.wait(0)
    assert late.status.code == StatusCode.DEADLINE_EXCEEDED
    assert failed() == (3, 2)
    pair.client.lost("gone")
    pair.server.lost("gone")
    assert lost.status.code == StatusCode.UNAVAILABLE
    assert failed() == (4, 3)


def test_a_server_that_fails_a_call_after_closing(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(peer.headers(1, REQUEST))
        peer.connection.lost("gone")
        [call] = peer.calls
        peer.connection.send_headers(call)
        peer.connection.send_message(call, b"x")
        peer.connection.send_trailers(call, OK)
        peer.connection.reset(call)
        assert peer.connection.send_buffered(call) == 0
        assert peer.said() == []
