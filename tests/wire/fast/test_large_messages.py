"""Messages of many frames: taken and sent many frames at a time, and no different for it."""

from __future__ import annotations

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.fast.differential import frame
from tests.wire.fast.test_engine import REQUEST_FIELDS, frames_in, opened, started_client, started_server
from tests.wire.peers import RecordingCall, RecordingDriver, drain

from puregrpc.wire import server_connection
from puregrpc.wire.connection import Connection, ConnectionConfig, Request
from puregrpc.wire.engines import EngineName
from puregrpc.wire.fast import sending
from puregrpc.wire.frames import PREFACE, ErrorCode, FrameType
from puregrpc.wire.framing import prefix

HEAD = frame(FrameType.HEADERS, 4, 1, hpack.Encoder().encode(REQUEST_FIELDS))


def settings_of(**values: int) -> bytes:
    keys = {"initial_window": 4, "frame_size": 5}
    return b"".join([keys[name].to_bytes(2, "big") + value.to_bytes(4, "big") for name, value in values.items()])


def data_frames(octets: bytes, size: int) -> bytes:
    return b"".join(
        [frame(FrameType.DATA, 0, 1, octets[start : start + size]) for start in range(0, len(octets), size)]
    )


def goaway_code(connection: Connection) -> int:
    [payload] = [payload for kind, _, _, payload in frames_in(drain(connection)) if kind == FrameType.GOAWAY]
    return int.from_bytes(payload[4:8], "big")


# -- receiving


@given(
    st.lists(st.integers(0, 200_000), min_size=1, max_size=4),
    st.sampled_from([100, 1_000, 16_379, 16_384]),
    st.lists(st.integers(1, 45_000), min_size=1, max_size=5),  # what the window allows, three quarters of it given back
    st.booleans(),
)
@settings(max_examples=40)
def test_frames_taken_together_are_like_frames_taken_one_by_one(
    sizes: list[int], frame_size: int, reads: list[int], auto_consume: bool
) -> None:
    """The messages, what is given back to the windows, and what is left of them."""
    messages = [bytes([1 + number]) * size for number, size in enumerate(sizes)]
    octets = b"".join([prefix(len(message)) + message for message in messages])
    wire = data_frames(octets, frame_size)
    outcomes = []
    for sizes_of_reads in ([9 + frame_size], reads):
        connection, driver = started_server()

        def new_call(_request: Request) -> RecordingCall:
            call = RecordingCall()
            call.auto_consume = auto_consume
            return call

        driver.on_request = new_call
        connection.receive(HEAD, 0.0)
        given_back = {0: 0, 1: 0}
        start = number = 0
        while start < len(wire):
            size = sizes_of_reads[number % len(sizes_of_reads)]
            connection.receive(wire[start : start + size], 0.0)
            start += size
            number += 1
            call = driver.calls[0]
            while not auto_consume and len(call.messages) > call.compressed_messages:
                # the count of compressed messages is free to hold how many were consumed
                connection.consume(call, len(call.messages[call.compressed_messages]))
                call.compressed_messages += 1
            for kind, _, stream_id, payload in frames_in(drain(connection)):
                if kind == FrameType.WINDOW_UPDATE:
                    given_back[stream_id] += int.from_bytes(payload, "big")
        assert not driver.closed
        snapshot = connection.snapshot()
        windows = (snapshot.receive_window - given_back[0], snapshot.calls[0].receive_window - given_back[1])
        outcomes.append((driver.calls[0].messages, windows))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0] == messages


@pytest.mark.parametrize(("before", "frames"), [(0, 7), (0, 8), (8192, 6), (8192, 7)])
def test_as_many_frames_in_a_read_as_the_windows_allow(before: int, frames: int) -> None:
    """The stream's window, and the connection's where another stream has taken of it."""
    connection, driver = started_server(ConnectionConfig(initial_connection_window=65_535))

    def new_call(_request: Request) -> RecordingCall:
        call = RecordingCall()
        call.auto_consume = False  # the first message waits, and so nothing is given back of the second
        return call

    driver.on_request = new_call
    connection.receive(frame(FrameType.SETTINGS, 1, 0) + HEAD, 0.0)
    if before:
        other = frame(FrameType.HEADERS, 4, 3, hpack.Encoder().encode(REQUEST_FIELDS))
        connection.receive(other + frame(FrameType.DATA, 0, 3, (prefix(0) + prefix(1 << 20)).ljust(before, b"x")), 0.0)
    octets = prefix(3) + b"one" + prefix(1 << 20) + bytes(1 << 18)
    connection.receive(data_frames(octets[: frames * 8192], 8192), 0.0)
    if before + frames * 8192 < 65_536:
        assert not driver.closed
    else:
        assert goaway_code(connection) == ErrorCode.FLOW_CONTROL_ERROR


def test_empty_frames_within_a_message_are_a_flood(engine: EngineName) -> None:
    """RFC 9113, section 10.5: DATA without data, and no end of the stream (CVE-2019-9518)."""
    driver = RecordingDriver()
    connection = server_connection(driver, engine=engine)
    connection.start(0.0)
    connection.receive(PREFACE + frame(FrameType.SETTINGS, 0, 0) + HEAD, 0.0)
    connection.receive(frame(FrameType.DATA, 0, 1, prefix(1000) + b"the beginning"), 0.0)
    drain(connection)
    connection.receive(frame(FrameType.DATA, 0, 1) * 2000, 0.0)
    assert driver.closed
    assert goaway_code(connection) == ErrorCode.ENHANCE_YOUR_CALM


# -- sending


@given(
    st.lists(st.integers(0, 400_000), min_size=1, max_size=4),
    st.lists(st.integers(20_000, 1 << 19), min_size=1, max_size=6),
    st.integers(100, 1 << 20),
    st.integers(16_384, 70_000),
    st.integers(5_000, 1 << 19),
)
@settings(max_examples=60)
def test_messages_are_cut_into_frames_that_the_windows_allow(
    sizes: list[int], increments: list[int], initial_window: int, frame_size: int, limit: int
) -> None:
    connection, _ = started_client(settings=settings_of(initial_window=initial_window, frame_size=frame_size))
    call = opened(connection)
    messages = [bytes([1 + number]) * size for number, size in enumerate(sizes)]
    for message in messages:
        connection.send_message(call, message)
    connection.half_close(call)
    wanted = b"".join([prefix(len(message)) + message for message in messages])
    left = {0: 65_535, 1: initial_window}
    sent = bytearray()
    ended = False
    number = 0
    while not ended:
        assert number < 10_000
        octets = b""
        while piece := connection.data_to_send(limit):
            assert len(piece) <= limit
            octets += piece
        for kind, flags, stream_id, payload in frames_in(octets):
            if kind == FrameType.DATA:
                assert stream_id == 1
                assert len(payload) <= frame_size
                left = {key: window - len(payload) for key, window in left.items()}
                assert min(left.values()) >= 0
                sent += payload
                ended = bool(flags & 1)
        assert ended or not min(left.values())
        increment = increments[number % len(increments)]
        number += 1
        for stream_id in () if ended else (0, 1):
            connection.receive(frame(FrameType.WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4, "big")), 0.0)
            left[stream_id] += increment
    assert sent == wanted


@given(st.lists(st.integers(0, 3_000_000), min_size=1, max_size=3), st.lists(st.integers(0, 50), max_size=300))
def test_pieces_are_the_octets_that_would_be_given_joined(large: list[int], small: list[int]) -> None:
    given_in_pieces: list[bytes | memoryview] = []
    given_joined = b""
    for in_pieces in (True, False):
        connection, _ = started_client(settings=settings_of(initial_window=1 << 30))
        connection.receive(frame(FrameType.WINDOW_UPDATE, 0, 0, (1 << 30).to_bytes(4, "big")), 0.0)
        call = opened(connection)
        for size in (*large, *small):
            connection.send_message(call, bytes(size))
        connection.half_close(call)
        if not in_pieces:
            given_joined = drain(connection)
            continue
        while pieces := connection.pieces_to_send():
            assert len(pieces) <= sending.MOST_PIECES
            given_in_pieces += pieces
    assert b"".join(given_in_pieces) == given_joined


def test_a_call_that_comes_later_has_its_turn_in_the_next_output() -> None:
    connection, _ = started_client(settings=settings_of(initial_window=1 << 24))
    connection.receive(frame(FrameType.WINDOW_UPDATE, 0, 0, (1 << 24).to_bytes(4, "big")), 0.0)
    opened(connection, message=bytes(4 << 20))
    assert len(connection.data_to_send(1 << 19)) <= 1 << 19
    opened(connection, message=bytes(100_000))
    streams = [stream_id for kind, _, stream_id, _ in frames_in(drain(connection)) if kind == FrameType.DATA]
    assert streams[:4] in ([1, 3, 1, 3], [3, 1, 3, 1])
