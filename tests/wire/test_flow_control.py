"""Windows of streams and of the connection, both ways (RFC 9113, section 5.2)."""

from __future__ import annotations

import pytest
from hyperframe.frame import DataFrame, WindowUpdateFrame
from tests.wire.peers import Pair, RecordingCall, drain
from tests.wire.scripted import REQUEST, RESPONSE, ScriptedClient, ScriptedServer, message

from puregrpc.wire import EngineName
from puregrpc.wire.connection import ConnectionConfig, Request
from puregrpc.wire.flow_control import BandwidthProbe, StreamCredit
from puregrpc.wire.limits import MAX_DATA_FRAME_SIZE, MAX_UNSENT_OUTPUT
from puregrpc.wire.status import OK

PATH = Request("/a.B/C", "x")


def data_octets(peer: ScriptedServer | ScriptedClient, stream_id: int) -> int:
    """How much DATA was sent on a stream so far."""
    peer.said()
    return sum(len(one.data) for one in peer.received if isinstance(one, DataFrame) and one.stream_id == stream_id)


def granted(peer: ScriptedServer | ScriptedClient, stream_id: int) -> int:
    """How much the peer was given by WINDOW_UPDATE."""
    peer.said()
    return sum(
        int(one.window_increment)
        for one in peer.received
        if isinstance(one, WindowUpdateFrame) and one.stream_id == stream_id
    )


def test_data_waits_for_the_stream_window(engine: EngineName) -> None:
    with ScriptedServer(engine, INITIAL_WINDOW_SIZE=10) as peer:
        call = peer.call(message=bytes(95), end=True)
        assert peer.said() == ["Headers 1", "Data 1 10"]
        assert peer.connection.send_buffered(call) == 90
        peer.send(peer.window_update(1, 1))
        assert peer.said() == ["Data 1 1"]
        peer.send(peer.window_update(1, 1000))
        assert peer.said() == ["Data 1 89 END_STREAM"]
        assert peer.connection.send_buffered(call) == 0


def test_data_waits_for_the_connection_window(engine: EngineName) -> None:
    with ScriptedServer(engine, INITIAL_WINDOW_SIZE=1_000_000) as peer:
        for _ in range(2):
            peer.call(message=bytes(100_000 - 5), end=True)
        assert data_octets(peer, 1) + data_octets(peer, 3) == 65535
        peer.send(peer.window_update(0, 1_000_000))
        assert data_octets(peer, 1) == data_octets(peer, 3) == 100_000


def test_calls_take_turns(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        peer.send(peer.window_update(0, 1_000_000))
        for _ in range(3):
            peer.call(message=bytes(40_000), end=True)
        order = [line.split()[1] for line in peer.said() if line.startswith("Data")]
        assert order == ["1", "3", "5", "1", "3", "5", "1", "3", "5"]


def test_control_frames_come_before_data(engine: EngineName) -> None:
    with ScriptedServer(engine) as peer:
        peer.call(message=bytes(40_000), end=True)
        first = peer.connection.data_to_send(10)
        assert 0 < len(first) < 20_000
        peer.send(peer.ping(b"whatever"))
        second = peer.connection.data_to_send(10_000)
        rest = drain(peer.connection)
        assert b"whatever" in first + second + rest
        assert (first + second + rest).index(b"whatever") < 20_000


def test_initial_window_size_goes_up(engine: EngineName) -> None:
    with ScriptedServer(engine, INITIAL_WINDOW_SIZE=10) as peer:
        peer.call(message=bytes(95), end=True)
        assert peer.said() == ["Headers 1", "Data 1 10"]
        peer.send(peer.settings(INITIAL_WINDOW_SIZE=1000))
        assert peer.said() == ["Settings ACK", "Data 1 90 END_STREAM"]


def test_initial_window_size_goes_down_and_the_window_below_zero(engine: EngineName) -> None:
    with ScriptedServer(engine, INITIAL_WINDOW_SIZE=100) as peer:
        call = peer.call(message=bytes(195), end=True)
        assert peer.said() == ["Headers 1", "Data 1 100"]
        peer.send(peer.settings(INITIAL_WINDOW_SIZE=30))
        assert peer.said() == ["Settings ACK"]
        assert peer.connection.snapshot().calls[0].send_window == -70
        peer.send(peer.window_update(1, 70))
        assert peer.said() == []
        peer.send(peer.window_update(1, 1))
        assert peer.said() == ["Data 1 1"]
        peer.send(peer.settings(INITIAL_WINDOW_SIZE=1000))
        assert peer.said() == ["Settings ACK", "Data 1 99 END_STREAM"]
        assert peer.connection.send_buffered(call) == 0


def test_a_window_of_nothing(engine: EngineName) -> None:
    with ScriptedServer(engine, INITIAL_WINDOW_SIZE=0) as peer:
        peer.call(message=b"abc", end=True)
        peer.call(end=True)
        assert peer.said() == ["Headers 1", "Headers 3 END_STREAM"]
        peer.send(peer.window_update(1, 8))
        assert peer.said() == ["Data 1 8 END_STREAM"]


def test_half_close_and_trailers_need_no_window(engine: EngineName) -> None:
    with ScriptedServer(engine, INITIAL_WINDOW_SIZE=0) as peer:
        call = peer.call()
        peer.connection.half_close(call)
        assert peer.said() in (["Headers 1", "Data 1 0 END_STREAM"], ["Headers 1 END_STREAM"])
    with ScriptedClient(engine, INITIAL_WINDOW_SIZE=0) as client:
        client.send(*client.request())
        client.connection.send_headers(client.calls[0])
        client.connection.send_trailers(client.calls[0], OK)
        assert client.said() == ["Headers 1", "Headers 1 END_STREAM"]


def test_max_frame_size(engine: EngineName) -> None:
    with ScriptedServer(engine, INITIAL_WINDOW_SIZE=1_000_000, MAX_FRAME_SIZE=20_000) as peer:
        peer.call(message=bytes(45_000 - 5), end=True)
        assert peer.said() == ["Headers 1", "Data 1 20000", "Data 1 20000", "Data 1 5000 END_STREAM"]
        peer.send(peer.settings(MAX_FRAME_SIZE=16384), peer.window_update(0, 1_000_000))
        peer.said()
        peer.call(message=bytes(20_000 - 5), end=True)
        assert peer.said() == ["Headers 3", "Data 3 16384", "Data 3 3616 END_STREAM"]


def test_trailers_wait_for_the_messages(engine: EngineName) -> None:
    with ScriptedClient(engine, INITIAL_WINDOW_SIZE=10) as peer:
        peer.send(*peer.request())
        [call] = peer.calls
        peer.connection.send_response(call, bytes(15))
        assert peer.said() == ["Headers 1", "Data 1 10"]
        assert peer.connection.open_calls == 1
        peer.send(peer.window_update(1, 100))
        assert peer.said() == ["Data 1 10", "Headers 1 END_STREAM"]
        assert peer.connection.open_calls == 0
        assert not call.ended


def test_the_peer_resets_while_the_trailers_wait(engine: EngineName) -> None:
    with ScriptedClient(engine, INITIAL_WINDOW_SIZE=10) as peer:
        peer.send(*peer.request())
        [call] = peer.calls
        peer.connection.send_response(call, bytes(15))
        peer.said()
        peer.send(peer.reset(1, 8))
        assert peer.connection.open_calls == 0
        assert not call.ended


def test_the_owner_resets_while_the_trailers_wait(engine: EngineName) -> None:
    with ScriptedClient(engine, INITIAL_WINDOW_SIZE=10) as peer:
        peer.send(*peer.request())
        peer.connection.send_response(peer.calls[0], bytes(15))
        peer.said()
        peer.connection.reset(peer.calls[0])
        assert peer.said() == ["RstStream 1 CANCEL"]
        assert peer.connection.open_calls == 0


def test_on_writable(engine: EngineName) -> None:
    with ScriptedServer(engine, INITIAL_WINDOW_SIZE=1000) as peer:
        call = peer.call()
        peer.connection.send_message(call, bytes(100_000))
        assert peer.said() == ["Headers 1", "Data 1 1000"]
        peer.send(peer.window_update(0, 100_000), peer.window_update(1, 20_000))
        peer.said()
        assert ("writable",) not in call.events
        peer.send(peer.window_update(1, 20_000))
        peer.said()
        assert call.events == [("writable",)]
        peer.send(peer.window_update(1, 20_000))
        peer.said()
        assert call.events == [("writable",)]


# -- receiving


def test_octets_of_unread_messages_stay_out_of_the_window(engine: EngineName) -> None:
    config = ConnectionConfig(initial_stream_window=65535)
    with ScriptedServer(engine, config) as peer:
        call = RecordingCall()
        call.auto_consume = False
        peer.connection.open_call(call, PATH)
        peer.send(peer.headers(1, RESPONSE))
        for _ in range(4):
            peer.send(peer.data(1, message(bytes(16_000))))
        assert len(call.messages) == 4
        assert granted(peer, 1) == 0
        peer.connection.consume(call, 16_000)
        peer.connection.consume(call, 16_000)
        assert granted(peer, 1) == 2 * 16_005
        peer.connection.consume(call, 2 * 16_000)
        assert granted(peer, 1) == 4 * 16_005


def test_empty_messages_are_consumed_one_by_one(engine: EngineName) -> None:
    config = ConnectionConfig(initial_stream_window=100)
    with ScriptedServer(engine, config) as peer:
        call = RecordingCall()
        call.auto_consume = False
        peer.connection.open_call(call, PATH)
        peer.send(peer.headers(1, RESPONSE), peer.data(1, message(b"") * 20))
        assert granted(peer, 1) == 0
        for _ in range(10):
            peer.connection.consume(call, 0)
        assert granted(peer, 1) == 50


@pytest.mark.parametrize("auto_consume", [True, False])
@pytest.mark.parametrize("window", [1000, 16_384, 65_535])
def test_a_message_larger_than_the_window_gets_through(engine: EngineName, window: int, auto_consume: bool) -> None:
    config = ConnectionConfig(initial_stream_window=window, max_window=window, initial_connection_window=65_535)
    pair = Pair(engine, server_config=config)
    pair.exchange()
    pair.server_driver.on_request = lambda request: receiver
    receiver = RecordingCall()
    receiver.auto_consume = auto_consume
    call = pair.open()
    large = bytes(range(256)) * 1000
    pair.client.send_message(call, b"small")
    pair.client.send_message(call, large)
    pair.client.send_message(call, large, end=True)
    pair.exchange()
    while not receiver.half_closed:
        assert not auto_consume
        consumed = len(receiver.messages)
        pair.server.consume(receiver, len(receiver.messages[-1]))
        pair.exchange()
        assert len(receiver.messages) > consumed or receiver.half_closed
    assert receiver.messages == [b"small", large, large]


def test_a_stalled_reader_stalls_its_own_stream_alone(engine: EngineName) -> None:
    config = ConnectionConfig(initial_stream_window=65_535, initial_connection_window=65_535, max_window=65_535)
    pair = Pair(engine, client_config=config)
    stalled = RecordingCall()
    stalled.auto_consume = False
    pair.client.open_call(stalled, PATH, message=b"", end=True)
    pair.exchange()
    writer = pair.server_calls[0]
    pair.server.send_headers(writer)
    for _ in range(100):
        pair.server.send_message(writer, bytes(10_000))
    pair.exchange()
    assert 0 < len(stalled.messages) < 10
    answered = pair.unary(answer=bytes(200_000))
    assert answered.status == OK
    assert answered.messages == [bytes(200_000)]
    while len(stalled.messages) < 100:
        seen = len(stalled.messages)
        pair.client.consume(stalled, 10_000)
        pair.exchange()
        assert len(stalled.messages) >= seen


def test_octets_of_cancelled_calls_go_back_to_the_connection_window(engine: EngineName) -> None:
    config = ConnectionConfig(initial_connection_window=65_535, max_window=65_535)
    pair = Pair(engine, client_config=config)
    for _ in range(20):
        call = pair.open(message=b"", end=True)
        pair.exchange()
        served = pair.server_calls[-1]
        pair.server.send_headers(served)
        pair.server.send_message(served, bytes(60_000))
        in_flight = drain(pair.server)
        pair.client.reset(call)
        pair.client.receive(in_flight, pair.now)
        pair.exchange()
    assert pair.unary(answer=bytes(100_000)).status == OK


def test_padding_is_given_back(engine: EngineName) -> None:
    config = ConnectionConfig(initial_stream_window=1000, initial_connection_window=65_535)
    with ScriptedServer(engine, config) as peer:
        peer.connection.open_call(RecordingCall(), PATH)
        peer.send(peer.headers(1, RESPONSE))
        for _ in range(100):
            peer.send(peer.data(1, b"", padding=199))
        assert granted(peer, 1) > 100 * 200 - 1000


def test_small_window_binds_the_peer_from_its_acknowledgement_on(engine: EngineName) -> None:
    """A client may send 65,535 octets on a stream before it has seen the server's SETTINGS."""
    with ScriptedClient(engine, ConnectionConfig(initial_stream_window=1000), shake_hands=False) as peer:
        peer.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", peer.settings())
        peer.send(peer.headers(1, REQUEST), peer.data(1, message(bytes(10_000))))
        assert peer.calls[0].messages == [bytes(10_000)]
        assert not peer.driver.closed
        peer.said()
        peer.send(peer.settings_ack(), peer.headers(3, REQUEST), peer.data(3, message(bytes(100)), end=True))
        assert peer.calls[1].messages == [bytes(100)]
        peer.said()


def test_windows_grow_with_the_bandwidth_delay_product(engine: EngineName) -> None:
    config = ConnectionConfig(initial_stream_window=65_535, initial_connection_window=65_535, max_window=1 << 20)
    pair = Pair(engine, client_config=config)
    call = pair.open(message=b"", end=True)
    pair.exchange()
    served = pair.server_calls[0]
    pair.server.send_headers(served)
    for _ in range(400):
        pair.server.send_message(served, bytes(30_000))
    received = 0
    most_per_round_trip = 0
    while len(call.messages) < 400:
        pair.now += 0.05
        downward = drain(pair.server)
        most_per_round_trip = max(most_per_round_trip, len(downward))
        for start in range(0, len(downward), 8192):
            pair.client.receive(downward[start : start + 8192], pair.now)
        pair.server.receive(drain(pair.client), pair.now)
        assert len(downward) > 0
        received += len(downward)
    assert most_per_round_trip > 300_000
    assert most_per_round_trip < 1.2 * (1 << 20)


# -- the helpers themselves


def test_stream_credit_gives_back_in_lots() -> None:
    credit = StreamCredit(1000)
    credit.received(249, 0)
    assert credit.take() == 0
    credit.received(0, 1)
    assert credit.take() == 250
    assert credit.take() == 0


def test_stream_credit_grows_and_never_shrinks() -> None:
    credit = StreamCredit(1000)
    credit.grow(3000)
    assert credit.take() == 2000
    credit.grow(500)
    assert credit.window == 3000


def test_probe() -> None:
    probe = BandwidthProbe(1000, 4000)
    assert probe.answered(10, 1.0) == 1000
    assert probe.begin(1000, 1.0)
    assert not probe.begin(1100, 1.0)
    assert probe.answered(1900, 1.1) == 1800
    assert probe.begin(2000, 2.0)
    assert probe.answered(2100, 2.1) == 1800, "slower than before"
    assert probe.begin(3000, 3.0)
    assert probe.answered(9000, 3.1) == 4000
    assert not probe.begin(9000, 4.0), "as large as allowed"


def test_senders_wait_for_the_connection_too(engine: EngineName) -> None:
    """Many calls, none of which has much waiting: beyond what a connection may have waiting, each goes on only when
    some of its own was sent."""
    writable: list[RecordingCall] = []

    class Sender(RecordingCall):
        def on_writable(self) -> None:
            writable.append(self)

    with ScriptedServer(engine, INITIAL_WINDOW_SIZE=1_000_000) as peer:
        calls = [Sender() for _ in range(100)]
        for call in calls:
            peer.connection.open_call(call, PATH)
        peer.said()
        times = 0
        while held := [not peer.connection.is_held_back(call) for call in calls]:
            free = [call for call, is_free in zip(calls, held, strict=True) if is_free]
            if not free:
                break
            for call in free:
                peer.connection.send_message(call, bytes(30_000))
            times += 1
            peer.said()
        assert times < 5
        assert MAX_UNSENT_OUTPUT <= sum(map(peer.connection.send_buffered, calls)) <= MAX_UNSENT_OUTPUT + 3_100_000
        assert not writable
        peer.send(peer.window_update(0, 6_000_000))
        while peer.said():
            continue
        assert writable
        peer.send(peer.window_update(0, 20_000_000))
        while peer.said():
            continue
        assert set(writable) == set(calls)
        assert not any(peer.connection.is_held_back(call) for call in calls)


def test_what_a_transport_takes_is_bounded(engine: EngineName) -> None:
    """The rest counts as waiting."""
    with ScriptedClient(engine, INITIAL_WINDOW_SIZE=1_000_000) as peer:
        peer.send(peer.window_update(0, 1_000_000), *peer.request())
        peer.connection.send_response(peer.calls[0], bytes(400_000))
        total = 0
        while pieces := peer.connection.pieces_to_send(1 << 16):
            taken = sum(map(len, pieces))
            assert taken <= (1 << 16) + MAX_DATA_FRAME_SIZE
            total += taken
            assert peer.connection.unsent >= 400_000 - total
        assert total > 400_000
        assert peer.connection.unsent == 0


def test_a_message_counts_as_a_whole_until_the_last_of_it_is_sent(engine: EngineName) -> None:
    """It is in memory for as long."""
    with ScriptedClient(engine, INITIAL_WINDOW_SIZE=1_000_000) as peer:
        peer.send(*peer.request())
        peer.connection.send_response(peer.calls[0], bytes(100_000))
        while peer.said():  # up to the connection's window
            continue
        assert peer.connection.unsent >= 100_000
        peer.send(peer.window_update(0, 1_000_000))
        while peer.said():
            continue
        assert peer.connection.unsent == 0
