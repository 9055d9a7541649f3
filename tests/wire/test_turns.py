"""Turns: what a connection has no time for in one, it does in the next, and nothing else comes of it."""

from __future__ import annotations

import gzip

import hpack
import pytest
from hpack.huffman import HuffmanEncoder
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.peers import RecordingCall, RecordingDriver, drain
from tests.wire.scripted import PREFACE, REQUEST, RESPONSE, ScriptedClient, ScriptedServer, frame, message
from tests.wire.test_hostile_input import DOWNWARD, FRAMES, UPWARD, VALID, seen, start_client, start_server

from puregrpc.wire import EngineName, client_connection, server_connection
from puregrpc.wire.connection import Connection, ConnectionConfig, Request
from puregrpc.wire.h2_engine.http2 import Http2
from puregrpc.wire.limits import (
    CLIENT_MAX_HEADER_LIST_SIZE,
    MAX_UNSENT_HEADERS,
    TURN_BEGINNINGS,
    TURN_CALLS,
    TURN_MESSAGES,
    TURN_SLICE,
)
from puregrpc.wire.memory import MemoryBudget
from puregrpc.wire.status import Status, StatusCode


class Clock:
    """Every look at it takes a millisecond."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return self.looks / 1000


def act(connection: Connection, now: float = 0.0) -> int:
    """Let a connection go on until it has done all. Gives how many turns it took."""
    turns = 0
    while connection.has_input:
        connection.proceed(now)
        turns += 1
        assert turns < 100_000
    return turns


def flood(streams: int, *, end: bool = True) -> list[bytes]:
    peer = ScriptedClient("fast")
    return [peer.headers(2 * number + 1, REQUEST, end=end).serialize() for number in range(streams)]


def test_a_turn_ends_and_the_next_goes_on(engine: EngineName) -> None:
    with ScriptedClient(engine, ConnectionConfig(max_concurrent_streams=10_000)) as peer:
        peer.connection.limit_turns(Clock(), 0.004)
        peer.send(*flood(3000))
        first = len(peer.calls)
        assert 0 < first < 1500
        assert peer.connection.has_input
        peer.connection.proceed(peer.now)
        assert first < len(peer.calls) < 3000
        assert act(peer.connection, peer.now) > 0
        assert len(peer.calls) == 3000
        assert not peer.connection.has_input
        assert all(call.half_closed for call in peer.calls)


def test_calls_that_begin_end_a_turn(engine: EngineName) -> None:
    """Their handlers take time as well, which no connection can measure."""
    with ScriptedClient(engine, ConnectionConfig(max_concurrent_streams=10_000)) as peer:
        peer.connection.limit_turns(lambda: 0.0)  # as if nothing took any time
        peer.send(*flood(1000))
        most = TURN_BEGINNINGS + TURN_SLICE // 10
        assert TURN_BEGINNINGS <= len(peer.calls) <= most
        assert peer.connection.handed_over == len(peer.calls)
        before = len(peer.calls)
        peer.connection.proceed(peer.now)
        assert peer.connection.handed_over == len(peer.calls) - before <= most
        act(peer.connection, peer.now)
        assert len(peer.calls) == 1000


def test_calls_that_the_client_ends_end_a_turn(engine: EngineName) -> None:
    """Their handlers are interrupted, which takes time as well."""
    with ScriptedClient(engine, ConnectionConfig(max_concurrent_streams=10_000)) as peer:
        peer.connection.limit_turns(lambda: 0.0)  # as if nothing took any time
        peer.send(*flood(1000, end=False))
        act(peer.connection, peer.now)
        assert peer.connection.open_calls == 1000
        peer.send(*(peer.reset(2 * number + 1, 8).serialize() for number in range(1000)))
        most = TURN_BEGINNINGS + TURN_SLICE // 10
        assert 1000 - most <= peer.connection.open_calls <= 1000 - TURN_BEGINNINGS
        act(peer.connection, peer.now)
        assert not peer.connection.open_calls


@pytest.mark.parametrize(("messages", "turns"), [(1, 1), (20, 6), (1000, 31)])
def test_messages_that_come_together_end_a_turn(engine: EngineName, messages: int, turns: int) -> None:
    """What a handler does for them takes time as well; but it lets others have their turn after 32 of them."""
    streams = 60
    with ScriptedClient(engine, ConnectionConfig(max_concurrent_streams=10_000)) as peer:
        peer.connection.limit_turns(lambda: 0.0)
        octets = []
        for number in range(1, 2 * streams, 2):
            octets += [peer.headers(number, REQUEST).serialize(), frame(0, 0, number, message(b"") * messages)]
        peer.send(*octets)
        assert turns / 2 <= 1 + act(peer.connection, peer.now) <= 1.5 * turns
        assert sum(len(call.messages) for call in peer.calls) == streams * messages
        peer.said()  # of its windows


def test_without_a_limit_there_is_one_turn(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.send(*flood(900))
        assert len(peer.calls) == 900
        assert not peer.connection.has_input
        peer.connection.proceed(peer.now)


def test_what_comes_while_there_is_input_waits_behind_it(engine: EngineName) -> None:
    with ScriptedClient(engine) as peer:
        peer.connection.limit_turns(Clock(), 0.0)
        peer.send(*flood(300))
        peer.send(frame(6, 0, 0, b"12345678"))
        peer.connection.receive(b"", peer.now)
        assert not peer.driver.closed
        act(peer.connection)
        assert len(peer.calls) == 300
        assert all(call.half_closed for call in peer.calls)
        assert "Ping ACK" in peer.said()
        assert peer.driver.closed == ["the peer closed the connection"]


def test_deadlines_are_kept_between_turns(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        peer.connection.limit_turns(Clock(), 0.0)
        call, other = peer.call(deadline=peer.now + 1), peer.call()
        peer.said()
        peer.send(*(frame(6, 0, 0, bytes(8)) for _ in range(500)), peer.headers(1, RESPONSE))
        assert peer.connection.has_input
        peer.now += 1
        peer.connection.proceed(peer.now)
        assert call.status.code == StatusCode.DEADLINE_EXCEEDED
        assert not other.ended
        act(peer.connection, peer.now)
        peer.said()


@pytest.mark.slow
def test_many_deadlines_at_once_take_several_turns(engine: EngineName) -> None:
    with ScriptedServer(engine, MAX_CONCURRENT_STREAMS=1000) as peer:
        calls = [peer.call(deadline=peer.now + 1) for _ in range(500)]
        peer.said()
        peer.connection.limit_turns(Clock(), 0.1)
        peer.wait(1)
        assert 0 < sum(call.ended for call in calls) < 500
        turns = 0
        while (when := peer.connection.next_time()) is not None and when <= peer.now:
            peer.wait(0)
            turns += 1
        assert 2 < turns < 500
        assert all(call.status.code == StatusCode.DEADLINE_EXCEEDED for call in calls)
        peer.said()


def test_what_comes_after_the_deadline_is_not_given(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        call = peer.call(deadline=peer.now + 1)
        peer.said()
        peer.now += 1
        peer.send(*peer.answer(1))
        assert call.events[0][0] == "end"
        assert call.status.code == StatusCode.DEADLINE_EXCEEDED
        assert peer.said() == ["RstStream 1 CANCEL"]


def test_a_large_message_is_inflated_in_slices(engine: EngineName) -> None:
    text = bytes(4 << 20)
    compressed = message(gzip.compress(text), compressed=True)
    with ScriptedServer(engine) as peer:
        peer.connection.limit_turns(Clock(), 0.0)
        call, other = peer.call(), peer.call()
        peer.said()
        peer.send(
            peer.headers(1, [*RESPONSE, ("grpc-encoding", "gzip")]), peer.headers(3, RESPONSE), peer.data(1, compressed)
        )
        peer.send(peer.data(3, message(b"small")))
        assert act(peer.connection) > 8
        assert call.messages == [text]
        assert other.messages == [b"small"]
        peer.said()


@pytest.mark.parametrize("octets", [gzip.compress(bytes(5 << 20)), gzip.compress(bytes(3 << 20))[:-4] + bytes(4)])
def test_a_deadline_that_passes_while_a_wrong_message_is_inflated(engine: EngineName, octets: bytes) -> None:
    """Too large, or broken: what is wrong is found behind the end of the call, and is no matter."""
    compressed = message(octets, compressed=True)
    with ScriptedServer(engine) as peer:
        peer.connection.limit_turns(Clock(), 0.0)
        call, other = peer.call(deadline=peer.now + 1), peer.call()
        peer.said()
        peer.send(peer.headers(1, [*RESPONSE, ("grpc-encoding", "gzip")]), peer.data(1, compressed), *peer.answer(3))
        peer.now += 1
        act(peer.connection, peer.now)
        assert call.status.code == StatusCode.DEADLINE_EXCEEDED
        assert other.status.code == StatusCode.OK
        assert "RstStream 1 CANCEL" in peer.said()
    with ScriptedClient(engine) as client:
        client.connection.limit_turns(Clock(), 0.0)
        fields = [*REQUEST, ("grpc-timeout", "1S"), ("grpc-encoding", "gzip")]
        client.send(client.headers(1, fields), client.data(1, compressed), client.headers(3, REQUEST, end=True))
        client.now += 1
        act(client.connection, client.now)
        assert [len(each.events) > 0 for each in client.calls] == [True, True]
        client.said()
        assert not client.driver.closed


def test_a_call_that_ends_while_its_message_is_inflated(engine: EngineName) -> None:
    compressed = message(gzip.compress(bytes(4 << 20)), compressed=True)
    with ScriptedServer(engine) as peer:
        peer.connection.limit_turns(Clock(), 0.0)
        call, other = peer.call(deadline=peer.now + 1), peer.call()
        peer.said()
        peer.send(peer.headers(1, [*RESPONSE, ("grpc-encoding", "gzip")]), peer.headers(3, RESPONSE))
        act(peer.connection)
        peer.send(peer.data(1, compressed), peer.data(3, message(b"small")))
        peer.now += 1
        act(peer.connection, peer.now)
        assert call.messages == []
        assert call.status.code == StatusCode.DEADLINE_EXCEEDED
        assert other.messages == [b"small"]
        peer.said()


LONG_LISTS = {
    "many": [(f"a{number}", "") for number in range(3000)],
    "binary": [(f"a{number}-bin", "AAAA,AAAA") for number in range(1000)],
    "the same": [("a", "b" * 10)] * 5000,
    "one": [("a", "0" * 250_000)],
    "too many": [(f"a{number}", "") for number in range(12_000)],
    "malformed at the end": [*((f"a{number}", "") for number in range(3000)), ("A", "")],
    "a pseudo-header field at the end": [*((f"a{number}", "") for number in range(3000)), (":status", "200")],
}


@pytest.mark.parametrize("is_coded", [False, True], ids=["plain", "Huffman"])
@pytest.mark.parametrize("end", [False, True], ids=["head", "trailers"])
@pytest.mark.parametrize("fields", LONG_LISTS.values(), ids=LONG_LISTS.keys())
def test_a_long_header_block_is_read_in_steps(
    engine: EngineName, fields: list[tuple[str, str]], end: bool, is_coded: bool
) -> None:
    """What follows it waits, deadlines pass, and what comes of it is the same."""
    first = [*RESPONSE, ("grpc-status", "0")] if end else RESPONSE
    block = hpack.Encoder().encode([*first, *fields], huffman=is_coded)
    octets = long_headers(1, block, end=end)
    outcomes = []
    for clock in (Clock(), None):
        with ScriptedServer(engine, ConnectionConfig(max_header_list_size=CLIENT_MAX_HEADER_LIST_SIZE)) as peer:
            if clock is not None:
                peer.connection.limit_turns(clock, 0.0)
            call, other, late = peer.call(), peer.call(), peer.call(deadline=peer.now + 1)
            peer.said()
            peer.send(octets, *peer.answer(3))
            if clock is not None:
                assert peer.connection.has_input
                assert not call.events
                assert not other.events
                peer.now += 1
                assert act(peer.connection, peer.now) > 10
                assert late.status.code == StatusCode.DEADLINE_EXCEEDED
            outcomes.append(([seen(call), seen(other)], peer.driver.closed))
            peer.said()
    assert outcomes[0] == outcomes[1]
    assert other.status.code == StatusCode.OK
    text = "".join(value for _, value in fields)
    if len(fields) == len(LONG_LISTS["too many"]) or "A" in dict(fields) or ":status" in dict(fields):
        assert call.status.code in (StatusCode.RESOURCE_EXHAUSTED, StatusCode.INTERNAL)
    elif "-bin" not in fields[0][0]:
        entries = call.trailers if end else call.headers
        assert entries is not None
        assert "".join(str(value) for name, value in entries if name.startswith("a")) == text


def test_a_call_that_ends_while_its_headers_are_read(engine: EngineName) -> None:
    block = hpack.Encoder().encode([*RESPONSE, *LONG_LISTS["many"]], huffman=False)
    with ScriptedServer(engine, ConnectionConfig(max_header_list_size=CLIENT_MAX_HEADER_LIST_SIZE)) as peer:
        peer.connection.limit_turns(Clock(), 0.0)
        call, other = peer.call(deadline=peer.now + 1), peer.call()
        peer.said()
        peer.send(long_headers(1, block), *peer.answer(3))
        peer.now += 1
        act(peer.connection, peer.now)
        assert [event[0] for event in call.events] == ["end"]
        assert call.status.code == StatusCode.DEADLINE_EXCEEDED
        assert other.status.code == StatusCode.OK
        peer.said()


def test_a_connection_that_is_lost_while_headers_are_read(engine: EngineName) -> None:
    block = hpack.Encoder().encode([*RESPONSE, *LONG_LISTS["many"]], huffman=False)
    with ScriptedServer(engine, ConnectionConfig(max_header_list_size=CLIENT_MAX_HEADER_LIST_SIZE)) as peer:
        peer.connection.limit_turns(Clock(), 0.0)
        call = peer.call()
        peer.said()
        peer.send(long_headers(1, block))
        peer.connection.lost("over")
        assert not peer.connection.has_input
        peer.connection.proceed(peer.now)
        assert call.status.code == StatusCode.UNAVAILABLE


def test_a_long_request_is_read_in_steps(engine: EngineName) -> None:
    fields = [(f"a{number}", "b" * 40) for number in range(100)]
    block = hpack.Encoder().encode([*REQUEST, *fields], huffman=False)
    with ScriptedClient(engine) as peer:
        peer.connection.limit_turns(Clock(), 0.0)
        peer.send(long_headers(1, block, end=True))
        assert not peer.calls
        act(peer.connection, peer.now)
        assert [entry for entry in peer.calls[0].request.metadata if entry[0].startswith("a")] == fields


def test_a_long_block_that_is_being_read_counts_as_input_that_waits(engine: EngineName) -> None:
    fields = [(f"a{number}", "b" * 400) for number in range(150)]
    block = hpack.Encoder().encode([*REQUEST, *fields], huffman=False)
    budget = MemoryBudget()
    config = ConnectionConfig(memory_budget=budget, max_header_list_size=CLIENT_MAX_HEADER_LIST_SIZE)
    with ScriptedClient(engine, config) as peer:
        peer.connection.limit_turns(Clock(), 0.0)
        peer.send(long_headers(1, block, end=True))
        while peer.connection.has_input and len(block) > budget.held:
            peer.connection.proceed(peer.now)
        assert not peer.calls
        assert peer.connection.has_input
        act(peer.connection, peer.now)
        assert len(peer.calls) == 1
        peer.said()


def long_headers(stream_id: int, block: bytes, *, end: bool = False) -> bytes:
    """HEADERS and CONTINUATION frames."""
    parts = [block[start : start + (16 << 10)] for start in range(0, len(block), 16 << 10)]
    last = len(parts) - 1
    return b"".join(
        frame(9 if number else 1, (not number and end) | (4 if number == last else 0), stream_id, part)
        for number, part in enumerate(parts)
    )


def test_many_small_messages_in_a_frame(engine: EngineName) -> None:
    count = 4 * TURN_MESSAGES
    with ScriptedServer(engine) as peer:
        peer.connection.limit_turns(Clock(), 0.0)
        call = peer.call()
        peer.said()
        peer.send(peer.headers(1, RESPONSE), peer.data(1, message(b"abc") * count))
        assert act(peer.connection) >= 3
        assert call.messages == [b"abc"] * count


@pytest.mark.slow
@pytest.mark.parametrize("is_lost", [False, True], ids=["to-the-end", "lost"])
def test_calls_that_the_server_did_not_look_at_end_in_turns(engine: EngineName, is_lost: bool) -> None:
    """Who made them goes on at once: a thousand would keep everything else waiting. All of them may be made again."""
    peer = ScriptedServer(engine, MAX_CONCURRENT_STREAMS=2000)
    peer.connection.limit_turns(Clock(), 1000.0)
    covered = peer.call()
    calls = [peer.call() for _ in range(4 * TURN_CALLS)]
    peer.send(peer.goaway(covered.wire_id or 1))
    assert sum(call.ended for call in calls) == TURN_CALLS
    assert peer.connection.has_input
    peer.connection.proceed(peer.now)
    assert sum(call.ended for call in calls) == 2 * TURN_CALLS
    if is_lost:
        peer.connection.lost("gone")
        assert not covered.unprocessed
    else:
        act(peer.connection, peer.now)
        assert not covered.ended
    assert all(call.unprocessed for call in calls)


def test_a_server_whose_answers_are_not_taken_reads_no_further(engine: EngineName) -> None:
    with ScriptedClient(engine, ConnectionConfig(max_concurrent_streams=10_000)) as peer:
        connection = peer.connection
        connection.limit_turns(Clock(), 0.004)
        status = Status(StatusCode.UNIMPLEMENTED, "x" * 4000)

        def answer(call: RecordingCall, what: str) -> None:
            if what == "half-close":
                connection.send_trailers(call, status)

        def new_call(_request: Request) -> RecordingCall:
            call = RecordingCall()
            call.reaction = answer
            return call

        peer.driver.on_request = new_call
        peer.send(*flood(1000))
        for _ in range(300):
            connection.proceed(peer.now)
        assert connection.is_output_clogged
        assert connection.is_send_full
        assert connection.has_input
        assert len(peer.calls) < MAX_UNSENT_HEADERS // 4000 + 100
        while connection.has_input:
            drain(connection)
            assert not connection.is_output_clogged
            connection.proceed(peer.now)
        drain(connection)
        assert len(peer.calls) == 1000
        assert not connection.is_send_full


def test_large_answers_without_window_fill_the_connection(engine: EngineName) -> None:
    with ScriptedClient(engine, INITIAL_WINDOW_SIZE=0) as peer:
        for number in range(20):
            peer.send(*peer.request(2 * number + 1))
            assert peer.connection.is_send_full is (number > 16)
            peer.connection.send_response(peer.calls[-1], bytes(500_000))
        drain(peer.connection)
        assert not peer.connection.is_output_clogged, "the client's WINDOW_UPDATE must be read"
        peer.send(peer.reset(1, 8), peer.reset(3, 8), peer.reset(5, 8), peer.reset(7, 8))
        assert not peer.connection.is_send_full


def test_windows_of_the_connection_cost_the_same_however_many_calls_have_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[int] = []
    send_window = Http2.send_window

    def counting(http2: Http2, stream_id: int) -> int:
        looked.append(stream_id)
        return send_window(http2, stream_id)

    monkeypatch.setattr(Http2, "send_window", counting)
    with ScriptedServer("h2") as peer:
        peer.call(message=bytes(65_535), end=True)
        peer.said()
        peer.send(peer.settings(INITIAL_WINDOW_SIZE=0))
        for _ in range(50):
            peer.call(message=b"abc", end=True)
        peer.send(peer.window_update(0, 1))
        looked.clear()
        for _ in range(10):
            peer.send(peer.window_update(0, 1))
        assert len(looked) < 50
        peer.said()
        peer.send(peer.window_update(5, 8), peer.window_update(7, 8))
        assert peer.said() == ["Data 5 8 END_STREAM", "Data 7 3"]


def test_long_fields_are_not_huffman_coded_by_hpack(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the square of what they are long."""
    coded: list[int] = []
    encode = HuffmanEncoder.encode

    def counting(coder: HuffmanEncoder, octets: bytes) -> bytes:
        coded.append(len(octets))
        result: bytes = encode(coder, octets)
        return result

    content_type = "application/grpc+" + "a" * 14_000
    fields = tuple((name, content_type if name == "content-type" else value) for name, value in REQUEST)
    with ScriptedClient("h2") as peer:
        peer.send(peer.headers(1, fields), peer.data(1, message(b"question"), end=True))
        monkeypatch.setattr(HuffmanEncoder, "encode", counting)
        peer.connection.send_response(peer.calls[0], b"x", trailers=(("what", "x" * 10_000),))
        assert peer.said() == ["Headers 1", "Data 1 6", "Headers 1 END_STREAM"]
        assert coded
        assert max(coded) <= 512


# -- in turns or at once, the same comes of it


def in_turns(connection: Connection, pieces: list[bytes]) -> None:
    connection.limit_turns(Clock(), 0.0)
    for piece in pieces:
        connection.receive(piece, 0.0)
        act(connection)
    connection.lost("over")


def at_once(connection: Connection, pieces: list[bytes]) -> None:
    for piece in pieces:
        connection.receive(piece, 0.0)
    connection.lost("over")


def test_a_conversation_in_turns(engine: EngineName) -> None:
    outcomes = []
    for feed in (in_turns, at_once):
        driver = RecordingDriver()
        server = server_connection(driver, engine=engine)
        server.start(0.0)
        feed(server, [UPWARD])
        client_driver = RecordingDriver()
        client = client_connection(client_driver, engine=engine)
        client.start(0.0)
        calls = [RecordingCall() for _ in range(3)]
        for call in calls:
            client.open_call(call, Request("/a.B/C", "x"), message=b"q", end=True)
        feed(client, [DOWNWARD])
        outcomes.append(([seen(call) for call in driver.calls], [seen(call) for call in calls]))
    assert outcomes[0] == outcomes[1]


@given(st.lists(st.one_of(FRAMES, VALID), max_size=12))
@settings(max_examples=50)
def test_random_frames_in_turns(engine: EngineName, frames: list[bytes]) -> None:
    outcomes = []
    for feed in (in_turns, at_once):
        server, driver = start_server(engine)
        request = ScriptedClient("fast").headers(1, REQUEST).serialize()
        feed(server, [b"".join([PREFACE, frame(4, 0, 0, b""), request, *frames])])
        client, client_driver, calls = start_client(engine)
        feed(client, [b"".join([frame(4, 0, 0, b""), *frames])])
        outcomes.append(([seen(call) for call in (*driver.calls, *calls)], driver.closed, client_driver.closed))
    assert outcomes[0] == outcomes[1]


LONG_ENDS = (b"", b"\x20", b"\0\1A\0", b"\0\7:status\x03200", b"\xff\xff\x7f", b"\0\x85\xff", b"\x40\1a\1b")
LONG_BLOCKS = st.builds(
    lambda stream_id, fields, number, end, flags: long_headers(
        stream_id, hpack.Encoder().encode([*fields, *(("a", "b") for _ in range(number))], huffman=False)[:-1] + end,
        end=bool(flags),
    ),
    st.sampled_from([1, 3, 5, 9]),
    st.sampled_from([REQUEST, RESPONSE, [*RESPONSE, ("grpc-status", "0")], [("grpc-status", "0")]]),
    st.sampled_from([2200, 3000]),
    st.sampled_from([b"\xbe" + end for end in LONG_ENDS]),
    st.booleans(),
)  # fmt: skip


@given(st.lists(st.one_of(VALID, LONG_BLOCKS, LONG_BLOCKS), max_size=6))
@settings(max_examples=25, deadline=None)
def test_random_long_blocks_in_turns(engine: EngineName, frames: list[bytes]) -> None:
    outcomes = []
    config = ConnectionConfig(max_header_list_size=CLIENT_MAX_HEADER_LIST_SIZE)
    for feed in (in_turns, at_once):
        driver, client_driver = RecordingDriver(), RecordingDriver()
        server = server_connection(driver, config, engine=engine)
        client = client_connection(client_driver, config, engine=engine)
        server.start(0.0)
        client.start(0.0)
        calls = [RecordingCall() for _ in range(3)]
        for call in calls:
            client.open_call(call, Request("/a.B/C", "x"), message=b"q", end=True)
        feed(server, [PREFACE, frame(4, 0, 0, b""), *frames])
        feed(client, [frame(4, 0, 0, b""), *frames])
        said = drain(server), drain(client)
        outcomes.append(([seen(call) for call in (*driver.calls, *calls)], driver.closed, client_driver.closed, said))
    assert outcomes[0] == outcomes[1]
