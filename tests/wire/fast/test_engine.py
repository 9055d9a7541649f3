"""What is particular to the fast engine; what engines have in common is tested beside it, for all of them."""

from __future__ import annotations

from typing import Any

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.fast.differential import frame
from tests.wire.peers import Pair, RecordingCall, RecordingDriver, drain

from puregrpc.errors import LocalProtocolError
from puregrpc.wire import client_connection, server_connection
from puregrpc.wire.connection import ConnectionConfig, Request
from puregrpc.wire.fast import client, sending, server
from puregrpc.wire.fast.client import FastClientConnection
from puregrpc.wire.fast.server import FastServerConnection
from puregrpc.wire.flow_control import BandwidthProbe
from puregrpc.wire.frames import PREFACE, FrameType
from puregrpc.wire.framing import MessageReader, prefix
from puregrpc.wire.limits import FIRST_STREAM_WINDOW, PINGS, REMEMBERED_RESETS
from puregrpc.wire.status import OK, StatusCode

REQUEST = Request("/a.B/C", "example.org")
REQUEST_FIELDS = [
    (":method", "POST"), (":scheme", "http"), (":path", "/a.B/C"), ("te", "trailers"),
    ("content-type", "application/grpc"),
]  # fmt: skip


def frames_in(octets: bytes) -> list[tuple[int, int, int, bytes]]:
    """(type, flags, stream, payload) of each frame."""
    frames = []
    while octets:
        length = int.from_bytes(octets[:3], "big")
        frames.append((octets[3], octets[4], int.from_bytes(octets[5:9], "big"), octets[9 : 9 + length]))
        octets = octets[9 + length :]
    return frames


def started_client(config: ConnectionConfig | None = None, settings: bytes = b"") -> tuple[Any, RecordingDriver]:
    """A client that has its server's SETTINGS, and nothing more to say."""
    driver = RecordingDriver()
    connection = client_connection(driver, config, engine="fast")
    connection.start(0.0)
    connection.receive(frame(FrameType.SETTINGS, 0, 0, settings), 0.0)
    drain(connection)
    return connection, driver


def started_server(config: ConnectionConfig | None = None) -> tuple[Any, RecordingDriver]:
    driver = RecordingDriver()
    connection = server_connection(driver, config, engine="fast")
    connection.start(0.0)
    connection.receive(PREFACE + frame(FrameType.SETTINGS, 0, 0), 0.0)
    drain(connection)
    return connection, driver


def opened(connection: Any, **options: Any) -> RecordingCall:
    call = RecordingCall()
    connection.open_call(call, REQUEST, **options)
    return call


# -- receiving


def conversation() -> bytes:
    """What a client sends in calls with messages of many sizes."""
    pair = Pair("fast")
    pair.exchange()
    for size in (0, 5, 16_379, 16_380, 70_000):
        call = pair.open(message=bytes(size))
        for more in (1, 20_000):
            pair.client.send_message(call, bytes(more))
        pair.client.half_close(call)
    return drain(pair.client)


@given(st.lists(st.integers(1, 60_000), max_size=12))
@settings(max_examples=30)
def test_where_the_octets_are_cut_changes_nothing(steps: list[int]) -> None:
    sent = conversation()
    whole, whole_driver = started_server()
    whole.receive(sent, 0.0)
    cut, cut_driver = started_server()
    start = 0
    for step in steps:
        if sent[start : start + step]:
            cut.receive(sent[start : start + step], 0.0)
        start += step
    if sent[start:]:
        cut.receive(sent[start:], 0.0)
    assert [call.events for call in cut_driver.calls] == [call.events for call in whole_driver.calls]
    assert len(whole_driver.calls) == 5
    assert not cut_driver.closed


@pytest.mark.parametrize("increment", [22, 0, 2**31 - 1])
@pytest.mark.parametrize("has_sent", [True, False])
def test_a_window_update_with_a_ping_behind_it_is_what_both_are(increment: int, has_sent: bool) -> None:
    """grpc-go sends them with most answers."""
    update = frame(FrameType.WINDOW_UPDATE, 0, 0, increment.to_bytes(4, "big"))
    ping = frame(FrameType.PING, 0, 0, b"\x02\x04\x10\x10\x09\x0e\x07\x07")
    seen = []
    for pieces in ([update + ping + update], [update + ping[:-1], ping[-1:] + update], [update, ping, update]):
        connection, driver = started_client()
        if has_sent:
            opened(connection, message=b"request")
            drain(connection)
        for piece in pieces:
            connection.receive(piece, 0.0)
        floods = connection._floods
        counted = None if driver.closed else (floods._updates, floods._data_since_ping, floods._replies)
        seen.append((frames_in(drain(connection)), driver.closed, connection._send_window, counted))
    assert seen[0] == seen[1] == seen[2]
    assert [kind for kind, *_ in seen[0][0]] == ([FrameType.PING] if increment == 22 else [FrameType.GOAWAY])


def test_pings_with_window_updates_are_held_against_the_allowance() -> None:
    update = frame(FrameType.WINDOW_UPDATE, 0, 0, (1).to_bytes(4, "big"))
    connection, driver = started_client()
    opened(connection, message=b"request")
    for _ in range(PINGS.burst + 2):
        connection.receive(update + frame(FrameType.PING, 0, 0, bytes(8)), 0.0)
        drain(connection)
    assert driver.closed


def test_what_a_channels_connections_are_answered_is_kept_once() -> None:
    config = ConnectionConfig()
    encoders = [hpack.Encoder(), hpack.Encoder()]
    connections = [started_client(config)[0] for _ in encoders]
    for number in range(3):
        calls = [opened(connection, message=b"", end=True) for connection in connections]
        for connection, encoder in zip(connections, encoders, strict=True):
            head = encoder.encode([(":status", "200"), ("content-type", "application/grpc"), ("x-name", "value")])
            end = encoder.encode([("grpc-status", "0"), ("grpc-message", "")])
            stream_id = 2 * number + 1
            connection.receive(frame(FrameType.HEADERS, 4, stream_id, head), 0.0)
            connection.receive(frame(FrameType.HEADERS, 5, stream_id, end), 0.0)
        assert all(call.status == OK for call in calls)
    one, other = (connection.decoder.blocks for connection in connections)
    assert one == other
    assert all(one[block] is other[block] for block in one)
    stranger, _ = started_client(ConnectionConfig())
    assert stranger.decoder.blocks == {}


@pytest.mark.parametrize("auto_consume", [True, False])
def test_memory_while_a_large_message_comes(auto_consume: bool) -> None:
    """At most 1.2 times the message, whatever its prefix promises before it is there."""
    size = 16 << 20
    list(MessageReader(size).feed(prefix(size) + bytes(size - 1)))  # has the allocator learn, as the first one does
    connection, driver = started_server(ConnectionConfig(max_receive_message_size=size))

    class Measured(RecordingCall):
        def on_message(self, message: bytes) -> None:
            self._note("message", len(message))

    def new_call(request: Request) -> RecordingCall:
        call = Measured()
        call.auto_consume = auto_consume
        return call

    driver.on_request = new_call
    connection.receive(frame(FrameType.HEADERS, 4, 1, hpack.Encoder().encode(REQUEST_FIELDS)), 0.0)
    read = b"".join([frame(FrameType.DATA, 0, 1, bytes(16_384))] * 15)
    tracemalloc = pytest.importorskip("tracemalloc")
    tracemalloc.start()
    try:
        connection.receive(frame(FrameType.DATA, 0, 1, b"\0" + size.to_bytes(4, "big")), 0.0)
        assert tracemalloc.get_traced_memory()[1] < 100_000
        left = size
        while left > 15 * 16_384:
            connection.receive(read[:-7_000], 0.0)
            connection.receive(read[-7_000:], 0.0)
            drain(connection)
            left -= 15 * 16_384
        for _ in range(0, left, 16_384):
            part = min(left, 16_384)
            connection.receive(frame(FrameType.DATA, 0, 1, bytes(part)), 0.0)
            left -= part
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert driver.calls[0].events == [("message", size)]
    assert peak < 1.2 * size


def test_frames_of_streams_that_were_reset_long_ago_are_let_pass() -> None:
    connection, driver = started_client(settings=(3).to_bytes(2, "big") + (100_000).to_bytes(4, "big"))
    calls = [opened(connection, message=b"") for _ in range(2 * REMEMBERED_RESETS)]
    for call in calls:
        connection.reset(call)
    drain(connection)
    encoder = hpack.Encoder()
    for stream_id in (1, 3, 2 * len(calls) - 1):
        block = encoder.encode([(":status", "200"), ("content-type", "application/grpc")])
        connection.receive(frame(FrameType.HEADERS, 4, stream_id, block), 0.0)
        connection.receive(frame(FrameType.DATA, 0, stream_id, b"\0\0\0\0\0"), 0.0)
    assert not driver.closed
    assert connection._resets._bits.bit_length() <= REMEMBERED_RESETS
    assert drain(connection) == b""


def test_gaps_in_stream_ids_are_remembered_within_bounds() -> None:
    connection, driver = started_server()
    encoder = hpack.Encoder()
    for number in range(1, 300):
        block = encoder.encode([*REQUEST_FIELDS, ("x", "y")])
        connection.receive(frame(FrameType.HEADERS, 5, 10 * number + 1, block), 0.0)
        connection.reset(driver.calls[-1])
    assert len(connection._skipped) <= server.MAX_SKIPPED_RANGES
    connection.receive(frame(FrameType.HEADERS, 5, 3, encoder.encode(REQUEST_FIELDS)), 0.0)
    assert driver.closed


def test_windows_grow_with_what_the_path_holds() -> None:
    config = ConnectionConfig(max_receive_message_size=1 << 30, max_window=4 << 20)
    connection, driver = started_server(config)
    connection.receive(frame(FrameType.HEADERS, 4, 1, hpack.Encoder().encode(REQUEST_FIELDS)), 0.0)
    connection.receive(frame(FrameType.DATA, 0, 1, b"\0" + (1 << 28).to_bytes(4, "big")), 0.0)
    left = {0: config.initial_connection_window - 5, 1: FIRST_STREAM_WINDOW - 5}
    now = 0.0
    pings = 0
    for _ in range(12):  # each round trip brings all that the windows allow, in a hundredth of a second
        room = min(left.values())
        for start in range(0, room, 16_384):
            size = min(16_384, room - start)
            connection.receive(frame(FrameType.DATA, 0, 1, bytes(size)), now)
            left = {stream_id: window - size for stream_id, window in left.items()}
        now += 0.01
        for kind, flags, stream_id, payload in frames_in(drain(connection)):
            if kind == FrameType.WINDOW_UPDATE:
                left[stream_id] += int.from_bytes(payload, "big")
            elif kind == FrameType.PING and not flags:
                assert payload == BandwidthProbe.PING
                pings += 1
                connection.receive(frame(FrameType.PING, 1, 0, payload), now)
    assert not driver.closed
    assert 1 <= pings < 12
    assert max(left.values()) > 2 * config.initial_stream_window
    assert max(left.values()) <= config.max_window


# -- sending


def test_headers_become_a_few_octets() -> None:
    connection, _ = started_client()
    sizes = []
    for _ in range(3):
        opened(connection, message=b"", deadline=5.0)
        sizes.append(
            sum(len(payload) for kind, _, _, payload in frames_in(drain(connection)) if kind == FrameType.HEADERS)
        )
    assert sizes[1] == sizes[2]
    assert sizes[1] < 40 < sizes[0]


def test_a_smaller_header_table_is_announced() -> None:
    connection, _ = started_client()
    reader = hpack.Decoder()
    for size in (4096, 100, 0, 4096):
        connection.receive(frame(FrameType.SETTINGS, 0, 0, b"\0\1" + size.to_bytes(4, "big")), 0.0)
        reader.max_allowed_table_size = size
        for _ in range(3):
            opened(connection, message=b"")
            for kind, _, _, payload in frames_in(drain(connection)):
                if kind == FrameType.HEADERS:
                    assert (b":path", b"/a.B/C") in [tuple(field) for field in reader.decode(payload, raw=True)]


def test_calls_take_turns() -> None:
    connection, _ = started_client(settings=b"\0\4" + (1 << 20).to_bytes(4, "big"))
    connection.receive(frame(FrameType.WINDOW_UPDATE, 0, 0, (1 << 20).to_bytes(4, "big")), 0.0)
    for _ in range(3):
        opened(connection, message=bytes(100_000), end=True)
    order = [stream_id for kind, _, stream_id, _ in frames_in(drain(connection)) if kind == FrameType.DATA]
    assert order[:6] == [1, 3, 5, 1, 3, 5]


def test_control_frames_go_before_data_that_waits() -> None:
    connection, _ = started_client(settings=b"\0\4" + (1 << 20).to_bytes(4, "big"))
    opened(connection, message=bytes(60_000), end=True)
    connection.data_to_send(20_000)
    connection.receive(frame(FrameType.PING, 0, 0, b"12345678"), 0.0)
    assert frames_in(drain(connection))[0][0] == FrameType.PING


def test_a_driver_that_takes_nothing_holds_senders_back() -> None:
    connection, driver = started_client(settings=b"\0\4" + (2**31 - 1).to_bytes(4, "big"))
    connection.receive(frame(FrameType.WINDOW_UPDATE, 0, 0, (2**30).to_bytes(4, "big")), 0.0)
    call = opened(connection)
    for _ in range(100):
        connection.send_message(call, bytes(10_000))
    assert connection.send_buffered(call) > 100 * 10_005 - sending.MAX_DIRECT_OCTETS - 3 * 10_005
    outputs = driver.outputs
    assert len(connection.data_to_send(50_000)) == 50_000
    assert driver.outputs == outputs + 1
    assert call.events == []
    drain(connection)
    assert call.events == [("writable",)]
    assert connection.send_buffered(call) == 0


def test_the_driver_is_told_of_output_once() -> None:
    connection, driver = started_client()
    before = driver.outputs
    for _ in range(5):
        opened(connection, message=b"x", end=True)
    assert driver.outputs == before + 1
    drain(connection)
    opened(connection, message=b"x", end=True)
    assert driver.outputs == before + 2


def test_header_blocks_larger_than_a_frame() -> None:
    large = ConnectionConfig(max_header_list_size=100_000)
    pair = Pair("fast", large, large)
    pair.exchange()
    metadata = tuple((f"x-{number}", "v" * 1000) for number in range(40))
    for message in (b"question", None):
        call = pair.open(Request("/a.B/C", "example.org", metadata), message=message, end=True)
        pair.exchange()
        assert pair.server_calls[-1].request.metadata == metadata
        pair.server.send_response(pair.server_calls[-1], b"answer", metadata, metadata)
        pair.exchange()
        assert call.messages == [b"answer"]
        assert call.headers is not None
        assert set(metadata) <= set(call.headers)
        assert call.trailers == metadata
        assert call.status == OK


def test_the_stream_ids_are_used_up() -> None:
    for message in (b"last", None):
        connection, driver = started_client()
        assert isinstance(connection, FastClientConnection)
        connection._next_id = 2**31 - 1
        opened(connection, message=message, end=True)
        assert driver.going_away == ["the stream ids are used up"]
        with pytest.raises(LocalProtocolError):
            opened(connection)


def test_many_queued_calls_may_expire_at_once() -> None:
    connection, _ = started_client(settings=b"\0\3" + (1).to_bytes(4, "big"))
    first = opened(connection, message=b"")
    waiting = [opened(connection, message=b"", deadline=5.0) for _ in range(3000)]
    connection.receive(frame(FrameType.PING, 0, 0, bytes(8)), 6.0)  # time has passed, and nobody has advanced the clock
    connection.reset(first)
    assert {call.status.code for call in waiting} == {StatusCode.DEADLINE_EXCEEDED}
    assert connection.open_calls == 0


def test_methods_are_remembered_within_bounds() -> None:
    connection, _ = started_client(settings=b"\0\3" + (100_000).to_bytes(4, "big"))
    for number in range(client.MAX_METHODS + 100):
        connection.open_call(RecordingCall(), Request(f"/a.B/{number}"), message=b"")
    assert len(connection._methods) <= client.MAX_METHODS


def test_kinds_of_responses_are_remembered_within_bounds() -> None:
    connection, driver = started_server()
    assert isinstance(connection, FastServerConnection)
    encoder = hpack.Encoder()
    for number in range(server.MAX_RESPONSE_KINDS + 20):
        fields = [*REQUEST_FIELDS[:-1], ("content-type", f"application/grpc+{number}")]
        connection.receive(frame(FrameType.HEADERS, 5, 2 * number + 1, encoder.encode(fields)), 0.0)
        connection.send_response(driver.calls[-1], b"")
    assert len(connection._heads) <= server.MAX_RESPONSE_KINDS
