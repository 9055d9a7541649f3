"""Whatever comes in: no exception, every call ends once, all stays bounded; and how it is cut does not matter."""

from __future__ import annotations

import hpack
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.peers import Pair, RecordingCall, RecordingDriver, drain
from tests.wire.scripted import PREFACE, REQUEST, RESPONSE, TRAILERS, frame, message

from puregrpc.wire import EngineName, client_connection, server_connection
from puregrpc.wire.connection import ClientConnection, Connection, Request, ServerConnection
from puregrpc.wire.status import OK

STREAMS = st.sampled_from([0, 1, 3, 5, 2, 7, 2**31 - 1])
BLOCKS = st.sampled_from(
    [
        hpack.Encoder().encode(list(fields), huffman=False)
        for fields in (REQUEST, RESPONSE, TRAILERS, [(":status", "103")])
    ]
) | st.binary(max_size=20)
PAYLOADS = (
    st.sampled_from(
        [
            b"",
            message(b"x"),
            message(b"xyz" * 50),
            b"\0\0\0\1\0",
            bytes(4),
            bytes(5),
            bytes(8),
            b"\0\0\0\1",
            b"\x7f\xff\xff\xff",
        ]
    )
    | BLOCKS
    | st.binary(max_size=30)
    | st.builds(
        lambda name, value: name.to_bytes(2, "big") + value.to_bytes(4, "big"),
        st.integers(0, 9),
        st.sampled_from([0, 1, 100, 16384, 65535, 2**24 - 1, 2**31 - 1, 2**32 - 1]),
    )
)
FRAMES = st.builds(
    frame,
    st.integers(0, 10) | st.integers(0, 255),
    st.sampled_from([0, 1, 4, 5, 8, 9, 0x0C, 0x20, 0x2D, 0xFF]),
    STREAMS,
    PAYLOADS,
)
VALID = st.sampled_from(
    [
        frame(4, 0, 0, b""),
        frame(4, 1, 0, b""),
        frame(0, 0, 1, message(b"hello")),
        frame(0, 1, 1, message(b"hello")),
        frame(0, 8, 1, b"\x02" + message(b"") + b"\0\0"),
        frame(3, 0, 1, b"\0\0\0\x08"),
        frame(6, 0, 0, bytes(8)),
        frame(6, 1, 0, b"goaway!!"),
        frame(7, 0, 0, b"\0\0\0\1\0\0\0\0"),
        frame(8, 0, 0, b"\0\0\xff\0"),
        frame(8, 0, 1, b"\0\0\xff\0"),
    ]
)


def start_client(engine: EngineName) -> tuple[ClientConnection, RecordingDriver, list[RecordingCall]]:
    driver = RecordingDriver()
    connection = client_connection(driver, engine=engine)
    connection.start(0.0)
    calls = [RecordingCall() for _ in range(3)]
    for number, call in enumerate(calls):
        call.auto_consume = number != 1
        connection.open_call(call, Request("/a.B/C", "x"), message=bytes(30), end=number == 0)
    drain(connection)
    return connection, driver, calls


def start_server(engine: EngineName) -> tuple[ServerConnection, RecordingDriver]:
    driver = RecordingDriver()
    connection = server_connection(driver, engine=engine)
    connection.start(0.0)

    def answer(request: Request) -> RecordingCall:
        call = RecordingCall()
        call.auto_consume = len(driver.calls) % 2 == 0

        def react(call: RecordingCall, what: str) -> None:
            if what == "message":
                if len(call.messages) == 1:
                    connection.send_headers(call)
                connection.send_message(call, call.messages[-1])
                connection.consume(call, len(call.messages[-1]))
            elif what == "half-close":
                connection.send_trailers(call, OK)

        call.reaction = react
        return call

    driver.on_request = answer
    return connection, driver


def feed(connection: Connection, driver: RecordingDriver, pieces: list[bytes]) -> None:
    now = 0.0
    for piece in pieces:
        now += 0.01
        if piece:
            connection.receive(piece, now)
        assert len(drain(connection)) < 1_000_000
        connection.advance(now)
    connection.next_time()
    connection.snapshot()
    connection.receive(b"", now)
    assert driver.closed
    assert connection.open_calls == 0
    drain(connection)


@given(st.lists(st.binary(max_size=60), max_size=6), st.booleans())
def test_random_octets(engine: EngineName, pieces: list[bytes], shaken: bool) -> None:
    client, driver, calls = start_client(engine)
    feed(client, driver, [frame(4, 0, 0, b"")] * shaken + pieces)
    assert all(call.ended for call in calls)
    server, server_driver = start_server(engine)
    feed(server, server_driver, [PREFACE + frame(4, 0, 0, b"")] * shaken + pieces)


@given(st.lists(st.one_of(FRAMES, VALID), max_size=12))
def test_random_frames_to_a_client(engine: EngineName, frames: list[bytes]) -> None:
    client, driver, calls = start_client(engine)
    response = frame(1, 4, 1, hpack.Encoder().encode(list(RESPONSE)))
    feed(client, driver, [frame(4, 0, 0, b""), response, *frames])
    assert all(call.ended for call in calls)


@given(st.lists(st.one_of(FRAMES, VALID), max_size=12))
def test_random_frames_to_a_server(engine: EngineName, frames: list[bytes]) -> None:
    server, driver = start_server(engine)
    request = frame(1, 4, 1, hpack.Encoder().encode(list(REQUEST)))
    feed(server, driver, [PREFACE + frame(4, 0, 0, b""), request, *frames])


def conversation() -> tuple[bytes, bytes]:
    """What a client and a server really say in several calls, the two directions whole."""
    pair = Pair("h2")
    upward, downward = bytearray(), bytearray()

    def carry() -> None:
        for _ in range(20):
            up, down = drain(pair.client), drain(pair.server)
            upward.extend(up)
            downward.extend(down)
            if not up and not down:
                break
            if up:
                pair.server.receive(up, pair.now)
            if down:
                pair.client.receive(down, pair.now)

    for number in range(3):
        pair.open(message=b"question %d" % number, end=True)
        carry()
        pair.server.send_response(pair.server_calls[-1], b"answer %d" % number, (("x-k", "v"),), (("x-t", "w"),))
        carry()
    return bytes(upward), bytes(downward)


UPWARD, DOWNWARD = conversation()


def replay_to_client(engine: EngineName, data: bytes, sizes: list[int]) -> list[list[tuple[object, ...]]]:
    driver = RecordingDriver()
    client = client_connection(driver, engine=engine)
    client.start(0.0)
    calls = [RecordingCall() for _ in range(3)]
    for call in calls:
        client.open_call(call, Request("/a.B/C", "x"), message=b"q", end=True)
    drain(client)
    cut(client, data, sizes)
    client.lost("over")
    return [seen(call) for call in calls]


def replay_to_server(engine: EngineName, data: bytes, sizes: list[int]) -> list[list[tuple[object, ...]]]:
    driver = RecordingDriver()
    server = server_connection(driver, engine=engine)
    server.start(0.0)
    cut(server, data, sizes)
    server.lost("over")
    return [[("request", call.request), *seen(call)] for call in driver.calls]


def seen(call: RecordingCall) -> list[tuple[object, ...]]:
    """What a call was told; of a status the code alone, since texts may show as much of the input as there was."""
    return [("end", event[1].code, *event[2:]) if event[0] == "end" else event for event in call.events]


def cut(connection: Connection, data: bytes, sizes: list[int]) -> None:
    position = turn = 0
    while position < len(data):
        size = sizes[turn % len(sizes)]
        connection.receive(data[position : position + size], 0.0)
        drain(connection)
        position += size
        turn += 1


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_it_does_not_matter_how_the_input_is_cut(engine: EngineName, sizes: list[int]) -> None:
    assert replay_to_client(engine, DOWNWARD, sizes) == replay_to_client(engine, DOWNWARD, [100_000])
    assert replay_to_server(engine, UPWARD, sizes) == replay_to_server(engine, UPWARD, [100_000])


@given(st.data())
def test_a_damaged_conversation(engine: EngineName, data: st.DataObject) -> None:
    """One octet changed, some left out or put in twice; whole and octet by octet the outcome is the same."""
    for original, replay in ((DOWNWARD, replay_to_client), (UPWARD, replay_to_server)):
        start = 0 if original is DOWNWARD else len(PREFACE)
        at = data.draw(st.integers(start, len(original) - 1))
        how = data.draw(st.sampled_from(["change", "drop", "repeat"]))
        length = data.draw(st.integers(1, 30))
        if how == "change":
            damaged = original[:at] + bytes((data.draw(st.integers(0, 255)),)) + original[at + 1 :]
        elif how == "drop":
            damaged = original[:at] + original[at + length :]
        else:
            damaged = original[: at + length] + original[at:]
        assert replay(engine, damaged, [100_000]) == replay(engine, damaged, [1])
