"""The session over streams in memory and over sockets: bytes, time, and every way it can end."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import pairwise

import pytest
import trio
import trio.testing

from puregrpc.errors import ConnectError
from puregrpc.transport import ByteStream, MemoryStream, Session, SocketStream, memory_stream_pair
from tests.transport.fakes import EchoConnection, echo_session

Pair = Callable[[], tuple[ByteStream, ByteStream]]


def socket_pair() -> tuple[ByteStream, ByteStream]:
    ours, theirs = socket.socketpair()
    return SocketStream(ours), SocketStream(theirs)


PAIRS: dict[str, Pair] = {"memory": partial(memory_stream_pair, capacity=1000), "socket": socket_pair}


@pytest.fixture(params=PAIRS)
def pair(request: pytest.FixtureRequest) -> Pair:
    return PAIRS[str(request.param)]


def run(test: Callable[[], Awaitable[None]], *, autojump: bool = True) -> None:
    async def bounded() -> None:
        with trio.fail_after(10):
            await test()

    trio.run(bounded, clock=trio.testing.MockClock(autojump_threshold=0.05) if autojump else None)


async def send_all(stream: ByteStream, data: bytes) -> None:
    while data:
        data = data[stream.send_nowait(data) :]
        if data:
            await stream.wait_writable()


async def receive_exactly(stream: ByteStream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        await stream.wait_readable()
        more = stream.receive_nowait(count - len(data))
        if more == b"":
            break
        data += more or b""
    return data


def test_what_is_received_is_answered_and_counted(pair: Pair) -> None:
    async def test() -> None:
        ours, theirs = pair()
        session = echo_session(ours)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            payload = b"x" * 1_000_000
            nursery.start_soon(send_all, theirs, payload)
            assert await receive_exactly(theirs, len(payload)) == payload
            await session.wait_ready()
            theirs.close()
        assert session.is_closed
        assert session.counters.bytes_received == session.counters.bytes_sent == len(payload)

    run(test)


class Torrent(MemoryStream):
    """Brings more than anyone can read, and then its end."""

    def __init__(self, octets: int) -> None:
        super().__init__("torrent", 1000)
        self.left = octets
        self.read = 0

    def receive_nowait(self, limit: int) -> bytes | None:
        size = min(limit, self.left)
        self.left -= size
        self.read += size
        return bytes(size)

    async def wait_readable(self) -> None:
        await trio.lowlevel.checkpoint()


def test_other_tasks_have_their_turns_while_a_lot_is_read() -> None:
    async def test() -> None:
        stream = Torrent(20 << 20)
        session: Session[EchoConnection] = Session(
            stream, lambda driver: EchoConnection(driver, echo=False), linger=0.0
        )
        seen = [0]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            while not session.is_closed:
                await trio.lowlevel.checkpoint()
                seen.append(stream.read)
        assert seen[-1] == 20 << 20
        assert max(later - earlier for earlier, later in pairwise(seen)) <= 3 << 20  # two turns, by the order of tasks

    run(test)


def test_output_before_the_end_is_sent_and_the_peer_sees_the_end(pair: Pair) -> None:
    async def test() -> None:
        ours, theirs = pair()
        session = echo_session(ours)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            await send_all(theirs, b"y" * 900 + b"close")
            assert await receive_exactly(theirs, 10_000) == b"y" * 900 + b"close"
            theirs.close()
        assert session.end_reason == "asked to close"

    run(test)


def test_a_peer_that_never_closes_is_waited_for_no_longer_than_the_linger_time() -> None:
    async def test() -> None:
        ours, theirs = memory_stream_pair()
        session = echo_session(ours, linger=1.5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            await send_all(theirs, b"close")
        assert trio.current_time() == pytest.approx(1.5, abs=0.01)

    run(test)


def test_another_task_can_end_the_connection(pair: Pair) -> None:
    async def test() -> None:
        ours, theirs = pair()
        session = echo_session(ours)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            await trio.testing.wait_all_tasks_blocked()
            session.connection.go_away()
            assert await receive_exactly(theirs, 1) == b""
            theirs.close()
        assert session.end_reason == "went away"

    run(test)


def test_time_is_told_when_it_was_asked_for() -> None:
    async def test() -> None:
        ours, theirs = memory_stream_pair()
        session = echo_session(ours, handshake_timeout=100)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            await trio.testing.wait_all_tasks_blocked()
            session.connection.wake_at = 5.0
            session.arm(5.0)
            await trio.sleep(6)
            assert session.connection.times == [pytest.approx(5.0)]
            session.connection.wake_at = 8.0  # asked for while it was receiving
            await send_all(theirs, b"hello")
            await trio.sleep(3)
            assert session.connection.times == [pytest.approx(5.0), pytest.approx(8.0)]
            theirs.close()

    run(test)


def test_a_silent_peer_ends_with_the_handshake_timeout() -> None:
    async def test() -> None:
        ours, _theirs = memory_stream_pair()
        session = echo_session(ours, handshake_timeout=3)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            with pytest.raises(ConnectError, match="no HTTP/2 SETTINGS frame within 3 s"):
                await session.wait_ready()
        assert trio.current_time() == pytest.approx(3, abs=0.01)

    run(test)


@pytest.mark.parametrize(
    ("data", "meaning"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", r"HTTP/1.1, not HTTP/2 \('HTTP/1.1 400 Bad Request'\)"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "expects TLS"),
        (b"SSH-2.0-OpenSSH_9\r\n", "SSH server"),
    ],
)
def test_a_peer_of_another_protocol_is_named(data: bytes, meaning: str) -> None:
    async def test() -> None:
        ours, theirs = memory_stream_pair()
        session = echo_session(ours)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            await send_all(theirs, data)
            with pytest.raises(ConnectError, match=meaning):
                await session.wait_ready()

    run(test)


def test_cancelling_closes_the_stream_and_tells_the_connection(pair: Pair) -> None:
    async def test() -> None:
        ours, theirs = pair()
        session = echo_session(ours)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert session.connection.closed == "the connection was closed by this side"
        await theirs.wait_readable()
        assert theirs.receive_nowait(10) == b""
        theirs.close()

    run(test)


def test_a_broken_connection_is_an_end_and_no_exception() -> None:
    async def test() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            client = socket.create_connection(server.getsockname())
            accepted, _ = server.accept()
        session = echo_session(SocketStream(client))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            accepted.close()  # with a reset
        assert session.end_reason is not None
        assert "broke" in session.end_reason

    run(test)


def test_output_of_one_turn_is_one_write() -> None:
    class Counting:
        def __init__(self) -> None:
            self.writes: list[bytes] = []

        def sent(self, data: bytes, time: float) -> None:
            self.writes.append(data)

        def received(self, data: bytes, time: float) -> None:
            return

    async def test() -> None:
        ours, theirs = memory_stream_pair()
        tap = Counting()
        session = Session(ours, EchoConnection, tap=tap)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            await trio.testing.wait_all_tasks_blocked()
            for _ in range(5):
                session.connection.put(b"ab")
            await trio.testing.wait_all_tasks_blocked()
            assert tap.writes == [b"ababababab"]
            session.hold()
            session.connection.put(b"now")
            session.flush()
            assert tap.writes[1:] == [b"now"]
            theirs.close()

    run(test)


def test_what_a_full_stream_does_not_take_at_once_follows_in_order() -> None:
    async def test() -> None:
        ours, theirs = memory_stream_pair(capacity=10)
        session = echo_session(ours)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            await trio.testing.wait_all_tasks_blocked()
            expected = b""
            for n in range(20):
                session.hold()
                session.connection.put(b"%03d" % n)
                session.flush()
                expected += b"%03d" % n
            assert await receive_exactly(theirs, len(expected)) == expected
            theirs.close()

    run(test)


def test_what_came_before_a_failed_write_is_still_read() -> None:
    class Unwritable(MemoryStream):
        def send_nowait(self, data: bytes | memoryview) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    async def test() -> None:
        ours, theirs = Unwritable("ours", 1000), MemoryStream("theirs", 1000)
        ours._link(theirs)
        theirs._link(ours)
        session = echo_session(ours, linger=1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            await send_all(theirs, b"read though nothing can be written")
            await trio.sleep(0.5)
            assert not session.is_closed
        assert bytes(session.connection.inbox) == b"read though nothing can be written"
        assert session.end_reason == "the connection broke: Broken pipe"

    run(test)


def test_a_large_output_does_not_keep_the_reader_from_its_turn() -> None:
    async def test() -> None:
        ours, theirs = memory_stream_pair(capacity=1 << 30)
        session = echo_session(ours)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            await trio.testing.wait_all_tasks_blocked()
            session.connection.put(bytes(10_000_000))
            theirs.send_nowait(b"heard in between")
            for _ in range(6):
                await trio.lowlevel.checkpoint()
            assert bytes(session.connection.inbox) == b"heard in between"
            theirs.close()

    run(test)
