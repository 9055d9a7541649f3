"""Windows and limits of a connection that has carried much already: nothing that went on before loosens them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hyperframe.frame import Frame, GoAwayFrame, PingFrame, WindowUpdateFrame
from tests.wire.peers import RecordingCall
from tests.wire.scripted import (
    REQUEST,
    RESPONSE,
    TRAILERS,
    ScriptedClient,
    ScriptedPeer,
    ScriptedServer,
    frame,
    message,
)

from puregrpc.wire import EngineName
from puregrpc.wire.connection import ConnectionConfig, Request
from puregrpc.wire.status import StatusCode

CONFIG = ConnectionConfig(initial_stream_window=65_535, initial_connection_window=65_535, max_window=1 << 20)
CALLS = 60


def last_code(peer: ScriptedPeer) -> int:
    """The error code of the GOAWAY that the peer was sent last."""
    last = peer.received[-1]
    assert isinstance(last, GoAwayFrame)
    return int(last.error_code)


class Client(ScriptedClient):
    """A client that keeps count of what it may send."""

    def __init__(self, engine: EngineName) -> None:
        super().__init__(engine, CONFIG)
        self.windows = {0: 65_535}
        self._read = 0
        self.said()
        self._read = len(self.received)
        self.next_id = 1

    def open(self) -> int:
        stream_id, self.next_id = self.next_id, self.next_id + 2
        self.windows[stream_id] = 65_535
        self.send(self.headers(stream_id, REQUEST))
        return stream_id

    def look(self) -> None:
        self.said()
        for one in self.received[self._read :]:
            if isinstance(one, WindowUpdateFrame) and one.stream_id in self.windows:
                self.windows[one.stream_id] += one.window_increment
            elif isinstance(one, PingFrame) and "ACK" not in one.flags:
                self.now += 0.001
                self.send(self.ping(one.opaque_data, ack=True))
        self._read = len(self.received)

    def upload(self, stream_id: int, octets: int, *, end: bool = False) -> None:
        while octets:
            size = min(octets, 16_384, self.windows[0], self.windows[stream_id])
            assert size > 0
            self.windows[0] -= size
            self.windows[stream_id] -= size
            octets -= size
            self.send(self.data(stream_id, bytes(size), end=end and not octets))
            self.look()


def lived(engine: EngineName) -> Client:
    """A client after many calls, large and small, whole and broken off, on windows that have grown."""
    peer = Client(engine)
    for number in range(CALLS):
        stream_id = peer.open()
        if number % 10 == 9:
            peer.upload(stream_id, 40_000)
            peer.send(peer.reset(stream_id, 8))
        else:
            peer.send(peer.data(stream_id, message(bytes(100_000))[:5]))
            peer.windows[0] -= 5
            peer.windows[stream_id] -= 5
            peer.look()
            peer.upload(stream_id, 100_000, end=True)
            peer.connection.send_response(peer.calls[-1], b"answer")
        peer.look()
    assert not peer.driver.closed
    assert all(call.messages == [bytes(100_000)] for number, call in enumerate(peer.calls) if number % 10 != 9)
    return peer


@pytest.mark.slow
def test_both_ends_agree_on_the_windows(engine: EngineName) -> None:
    peer = lived(engine)
    assert peer.connection.snapshot().receive_window == peer.windows[0]
    stream_id = peer.open()
    peer.send(peer.data(stream_id, b"\0\0\x01\0\0"))
    peer.look()
    [call] = peer.connection.snapshot().calls
    assert call.receive_window == peer.windows[stream_id] - 5


@pytest.mark.slow
def test_data_over_the_window_of_a_stream(engine: EngineName) -> None:
    peer = lived(engine)
    stream_id = peer.open()
    call = peer.calls[-1]
    call.auto_consume = False
    peer.send(peer.data(stream_id, message(b"waits")))
    room = 65_535 - 10
    while room:
        peer.send(peer.data(stream_id, message(bytes(16_379))[: min(room, 16_384)]))
        room -= min(room, 16_384)
    assert not peer.driver.closed
    peer.send(peer.data(stream_id, b"1"))
    assert peer.said()[-1].startswith("GoAway")
    assert peer.said() == []
    assert last_code(peer) == 3


def test_data_over_the_window_of_the_connection() -> None:
    """The other engine gives back as it goes through a read, so that one read cannot go over."""
    peer = lived("fast")
    stream_ids = [peer.open() for _ in range(30)]
    for call in peer.calls[-30:]:
        call.auto_consume = False
    frames: list[Frame | bytes] = []
    room = peer.windows[0]
    for stream_id in stream_ids:
        for _ in range(3):
            size = min(room, 16_384)
            frames.append(peer.data(stream_id, b"\1" * size if size < 5 else message(bytes(size - 5))))
            room -= size
    assert not room
    octets = b"".join(one if isinstance(one, bytes) else one.serialize() for one in frames)
    peer.send(octets + frame(0, 0, stream_ids[-1], b"\0"))
    peer.said()
    assert peer.driver.closed
    assert last_code(peer) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("attack", "code"),
    [
        (lambda peer, stream_id: peer.window_update(0, 2**31 - 1), 3),
        (lambda peer, stream_id: frame(8, 0, 0, bytes(4)), 1),
        (lambda peer, stream_id: frame(4, 0, 0, b"\0\4\x80\0\0\0"), 3),
        (lambda peer, stream_id: frame(8, 0, stream_id + 2, b"\0\0\0\1"), 1),
        (lambda peer, stream_id: frame(8, 0, stream_id, b"\0\0\1"), 6),
        (lambda peer, stream_id: frame(4, 1, 0, bytes(6)), 6),
        (lambda peer, stream_id: frame(4, 0, 0, bytes(5)), 6),
        (lambda peer, stream_id: frame(6, 0, 0, bytes(7)), 6),
        (lambda peer, stream_id: frame(3, 0, stream_id, bytes(3)), 6),
        (lambda peer, stream_id: frame(7, 0, 0, bytes(7)), 6),
        (lambda peer, stream_id: frame(1, 4, stream_id + 2, b"\xff\xff\x03"), 9),
        (lambda peer, stream_id: frame(1, 4, stream_id + 2, b"\x82\x00\x7f"), 9),
        (lambda peer, stream_id: frame(1, 4, stream_id + 2, b"\x82\x3f\xe2\x1f"), 9),
        (lambda peer, stream_id: frame(1, 4, stream_id + 2, b"\x00\x81\xff\x00"), 9),
        (lambda peer, stream_id: frame(0, 8, stream_id, b""), 6),
        (lambda peer, stream_id: frame(0, 8, stream_id, b"\5abc"), 1),
    ],
)
def test_connection_errors(engine: EngineName, attack: Callable[[Client, int], Frame | bytes], code: int) -> None:
    """RFC 9113, sections 4.2, 4.3, 6.5 and 6.9.1; RFC 7541."""
    peer = lived(engine)
    stream_id = peer.open()
    peer.send(attack(peer, stream_id))
    peer.said()
    assert peer.driver.closed
    assert last_code(peer) == code
    assert peer.calls[-1].status.code == StatusCode.UNAVAILABLE


def test_a_stream_window_that_overflows_ends_its_stream_alone(engine: EngineName) -> None:
    peer = lived(engine)
    stream_id, other = peer.open(), peer.open()
    peer.send(peer.window_update(stream_id, 2**31 - 1))
    assert peer.said() == [f"RstStream {stream_id} FLOW_CONTROL_ERROR"]
    peer.send(peer.data(other, message(b"fine"), end=True))
    assert peer.calls[-1].messages == [b"fine"]
    assert not peer.driver.closed


def test_settings_that_make_a_window_overflow(engine: EngineName) -> None:
    peer = lived(engine)
    stream_id = peer.open()
    peer.send(peer.window_update(stream_id, 2**31 - 1 - 65_535))
    assert not peer.driver.closed
    peer.send(peer.settings(INITIAL_WINDOW_SIZE=65_536))
    peer.said()
    assert last_code(peer) == 3


def test_a_client_that_has_lived(engine: EngineName) -> None:
    """The same from the other end: many answers, some broken off, then one octet too much."""
    with ScriptedServer(engine, CONFIG) as peer:
        window = 65_535
        read = len(peer.received)
        for number in range(CALLS):
            call = peer.unary() if number % 10 != 9 else peer.call(message=b"question", end=True)
            stream_id = call.wire_id
            peer.said()
            octets = message(bytes(50_000))
            peer.send(peer.headers(stream_id, RESPONSE))
            for start in range(0, len(octets), 16_384):
                part = octets[start : start + 16_384]
                window -= len(part)
                peer.send(peer.data(stream_id, part))
                if number % 10 == 9 and not start:
                    peer.connection.reset(call)
            if number % 10 != 9:
                peer.send(peer.headers(stream_id, TRAILERS, end=True))
                assert call.messages == [bytes(50_000)]
            peer.said()
            window += sum(
                one.window_increment
                for one in peer.received[read:]
                if isinstance(one, WindowUpdateFrame) and not one.stream_id
            )
            read = len(peer.received)
        assert not peer.driver.closed
        assert peer.connection.snapshot().receive_window == window
        call = RecordingCall()
        call.auto_consume = False
        peer.connection.open_call(call, Request("/a.B/C", "x"))
        peer.said()
        stream_id = call.wire_id
        peer.send(peer.headers(stream_id, RESPONSE), *(peer.data(stream_id, message(bytes(10_000))) for _ in range(7)))
        peer.said()
        assert peer.driver.closed
        assert last_code(peer) == 3
