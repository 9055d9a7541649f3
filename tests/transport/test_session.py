"""The session in each world, over streams in memory and over sockets, with TLS and without: bytes, time, and every way
it can end."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from math import inf
from typing import Any

import pytest

from puregrpc.errors import ConnectError
from puregrpc.kernel import Kernel
from puregrpc.kernel.network.streams import ByteStream, MemoryStream, SocketStream, memory_stream_pair
from puregrpc.kernel.network.tls_stream import TlsStream
from puregrpc.transport.end_reasons import CLOSED_HERE
from puregrpc.transport.session import Session
from tests.kernel.test_streams import EACH_KIND, make_pair
from tests.kernel.worlds import EACH_WORLD, receive_all, receive_exactly, receive_some, run, send_all, together
from tests.transport.fakes import EchoConnection, Owner, echo_session

PLAIN_KINDS = pytest.mark.parametrize("kind", ["memory", "socket"])

SOON = 5.0
"""What should take no time takes less than so many seconds, however busy the machine is."""


async def over(session: Session[Any], owner: Owner) -> None:
    """Wait until a session is over, and check what its owner heard."""
    assert await session.wait_over(session.kernel.now() + 30)
    await session.kernel.sleep(session.kernel.now() + 0.01)  # the owner hears of it last
    assert session.is_over
    assert session.end_reason is not None
    assert owner.lost[0] is not None
    assert len(owner.lost) == 1
    assert owner.over == 1


def end(session: Session[EchoConnection]) -> None:
    """End a session in order."""
    session.locked(session.connection.go_away)
    session.push()


@EACH_WORLD
@EACH_KIND
def test_what_is_received_is_answered_and_counted(world: str, kind: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = await make_pair(kernel, kind, 5000)
        owner = Owner()
        session = echo_session(kernel, ours, owner)
        await session.start()
        payload = bytes(range(256)) * 4000

        async def receive() -> None:
            assert await receive_exactly(theirs, len(payload)) == payload

        await together(kernel, partial(send_all, theirs, payload), receive)
        await session.wait_ready()
        theirs.close()
        await over(session, owner)
        assert session.counters.bytes_received == session.counters.bytes_sent == len(payload)
        assert session.peer == ours.peer
        assert session.local == ours.local

    run(world, test)


@EACH_WORLD
@EACH_KIND
def test_output_before_the_end_is_sent_and_the_peer_sees_the_end(world: str, kind: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = await make_pair(kernel, kind, 1000)
        owner = Owner()
        session = echo_session(kernel, ours, owner)
        await session.start()
        payload = b"y" * 300_000 + b"close"

        async def receive() -> None:
            assert await receive_all(theirs) == payload
            theirs.close()

        await together(kernel, partial(send_all, theirs, payload), receive)
        await over(session, owner)
        assert session.end_reason == "asked to close"
        assert owner.lost == ["asked to close"]

    run(world, test)


@EACH_WORLD
@EACH_KIND
def test_another_task_can_end_the_connection(world: str, kind: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = await make_pair(kernel, kind)
        owner = Owner()
        session = echo_session(kernel, ours, owner, linger=30)
        await session.start()
        await send_all(theirs, b"hello")
        assert await receive_exactly(theirs, 5) == b"hello"
        end(session)
        assert await receive_some(theirs) == b""
        await send_all(theirs, b"what comes now is of no interest")
        theirs.close()
        await over(session, owner)
        assert session.end_reason == "went away"
        assert bytes(session.connection.inbox) == b"hello"

    run(world, test)


@EACH_WORLD
@PLAIN_KINDS
def test_a_peer_that_never_closes_is_waited_for_no_longer_than_the_linger_time(world: str, kind: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = await make_pair(kernel, kind)
        owner = Owner()
        session = echo_session(kernel, ours, owner, linger=0.2)
        await session.start()
        began = kernel.now()
        end(session)
        assert not await session.wait_over(began + 0.1)
        await over(session, owner)
        assert began + 0.19 <= kernel.now() < began + SOON
        theirs.close()

    run(world, test)


@EACH_WORLD
@PLAIN_KINDS
def test_time_is_told_when_it_was_asked_for(world: str, kind: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = await make_pair(kernel, kind)
        session = echo_session(kernel, ours, handshake_timeout=100, keepalive=True)
        connection = session.connection

        def ask(seconds: float) -> float:
            time = connection.wake_at = kernel.now() + seconds
            session.arm(time)
            return time

        await session.start()
        later = session.locked(ask, 0.5)
        earlier = session.locked(ask, 0.1)
        await kernel.sleep(earlier + 0.3)
        assert len(connection.times) == 1
        assert earlier <= connection.times[0] < later
        later = session.locked(ask, 0.1)
        await kernel.sleep(later + 0.3)
        assert len(connection.times) == 2
        assert later <= connection.times[1] < later + 0.3
        theirs.close()
        await session.wait_over()

    run(world, test)


@EACH_WORLD
@PLAIN_KINDS
def test_time_that_is_asked_for_while_receiving(world: str, kind: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = await make_pair(kernel, kind)
        session = echo_session(kernel, ours, handshake_timeout=100, keepalive=True)
        connection = session.connection
        await session.start()
        connection.asks_for = 0.1
        await send_all(theirs, b"hello")
        await kernel.sleep(kernel.now() + 0.4)
        assert len(connection.times) == 1
        theirs.close()
        await session.wait_over()

    run(world, test)


@EACH_WORLD
@PLAIN_KINDS
def test_a_silent_peer_ends_with_the_handshake_timeout(world: str, kind: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = await make_pair(kernel, kind)
        owner = Owner()
        session = echo_session(kernel, ours, owner, handshake_timeout=0.3)
        await session.start()
        began = kernel.now()
        with pytest.raises(ConnectError, match=r"no HTTP/2 SETTINGS frame within 0.3 s"):
            await session.wait_ready()
        assert kernel.now() < began + SOON
        await over(session, owner)
        with pytest.raises(ConnectError, match=r"no HTTP/2 SETTINGS frame within 0.3 s"):
            await session.wait_ready()
        theirs.close()

    run(world, test)


@EACH_WORLD
@pytest.mark.parametrize(
    ("data", "meaning"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", r"HTTP/1.1, not HTTP/2 \('HTTP/1.1 400 Bad Request'\)"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "expects TLS"),
        (b"SSH-2.0-OpenSSH_9\r\n", "SSH server"),
    ],
)
def test_a_peer_of_another_protocol_is_named(world: str, data: bytes, meaning: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = memory_stream_pair(kernel)
        owner = Owner()
        session = echo_session(kernel, ours, owner)
        await session.start()
        await send_all(theirs, data)
        with pytest.raises(ConnectError, match=meaning):
            await session.wait_ready()
        await over(session, owner)

    run(world, test)


@EACH_WORLD
@EACH_KIND
def test_what_only_looks_foreign_later_on_is_none(world: str, kind: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = await make_pair(kernel, kind)
        session = echo_session(kernel, ours)
        await session.start()
        await send_all(theirs, b"hello")
        assert await receive_exactly(theirs, 5) == b"hello"
        await send_all(theirs, b"HTTP/1.1 ")
        assert await receive_exactly(theirs, 9) == b"HTTP/1.1 "
        theirs.close()
        await session.wait_over()

    run(world, test)


@EACH_WORLD
@EACH_KIND
def test_the_end_of_the_kernel_is_the_end_of_its_sessions(world: str, kind: str) -> None:
    sessions: list[tuple[Session[EchoConnection], Owner, ByteStream]] = []

    async def test(kernel: Kernel) -> None:
        ours, theirs = await make_pair(kernel, kind)
        owner = Owner()
        session = echo_session(kernel, ours, owner)
        await session.start()
        sessions.append((session, owner, theirs))

    run(world, test)
    for session, owner, theirs in sessions:
        if isinstance(theirs, TlsStream):
            theirs = theirs.inner
        if isinstance(theirs, SocketStream):
            theirs.socket.close()
        assert session.is_over
        assert session.end_reason == session.connection.closed == CLOSED_HERE
        assert owner.lost == [CLOSED_HERE]
        assert owner.over == 1


@EACH_WORLD
def test_a_broken_connection_is_an_end_and_no_exception(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            client = socket.create_connection(server.getsockname())
            accepted, _ = server.accept()
        owner = Owner()
        session = echo_session(kernel, SocketStream(kernel, client), owner)
        await session.start()
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        accepted.close()  # with a reset
        await over(session, owner)
        assert session.end_reason is not None
        assert "broke" in session.end_reason

    run(world, test)


def connected(kernel: Kernel) -> tuple[SocketStream, socket.socket]:
    """A stream, and the plain socket of its peer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    return SocketStream(kernel, ours), theirs


@EACH_WORLD
@pytest.mark.parametrize("kind", ["socket", "TLS 1.2 over socket", "TLS 1.3 over socket"])
@pytest.mark.parametrize("is_reading", [False, True])
def test_what_came_before_a_failed_write_is_still_read(world: str, kind: str, is_reading: bool) -> None:
    """As with a server that answers early and closes: its answer waits here while ours is being written."""

    async def test(kernel: Kernel) -> None:
        for attempt in range(6):
            ours, theirs = await make_pair(kernel, kind)
            owner = Owner()
            session = echo_session(kernel, ours, owner, echo=False, linger=0.5)
            await session.start()
            session.locked(session.connection.put, bytes(20_000_000))
            session.push()
            if is_reading:
                await receive_some(theirs)
            if attempt % 2:
                await kernel.sleep(kernel.now() + 0.02)
            await send_all(theirs, b"the answer")
            theirs.close()  # there is something that was not read
            await over(session, owner)
            assert bytes(session.connection.inbox) == b"the answer"

    run(world, test)


@EACH_WORLD
def test_what_came_before_a_reset_is_still_read(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        for attempt in range(10):
            with socket.create_server(("127.0.0.1", 0)) as server:
                client = socket.create_connection(server.getsockname())
                theirs, _ = server.accept()
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            owner = Owner()
            session = echo_session(kernel, SocketStream(kernel, client), owner, echo=False, linger=0.5)
            await session.start()
            session.locked(session.connection.put, bytes(20_000_000))
            session.push()
            if attempt % 2:
                await kernel.sleep(kernel.now() + 0.02)
            theirs.send(b"the answer")
            theirs.close()
            await over(session, owner)
            assert bytes(session.connection.inbox) == b"the answer"

    run(world, test)


@EACH_WORLD
def test_a_stream_that_cannot_be_written_is_read_on(world: str) -> None:
    class Unwritable(MemoryStream):
        def send_nowait(self, data: bytes | memoryview) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    async def test(kernel: Kernel) -> None:
        ours, theirs = memory_stream_pair(kernel)
        ours.__class__ = Unwritable
        owner = Owner()
        session = echo_session(kernel, ours, owner, linger=0.3)
        await session.start()
        await send_all(theirs, b"read though nothing can be written")
        assert not await session.wait_over(kernel.now() + 0.1)
        await over(session, owner)
        assert bytes(session.connection.inbox) == b"read though nothing can be written"
        assert session.end_reason == "the connection broke: Broken pipe"

    run(world, test)


@EACH_WORLD
@EACH_KIND
def test_what_a_full_stream_does_not_take_at_once_follows_in_order(world: str, kind: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = await make_pair(kernel, kind, 1000)
        session = echo_session(kernel, ours)
        await session.start()
        expected = b""
        for n in range(300):
            if n % 2:
                session.hold()
            data = b"%06d" % n * (n * 5)
            session.locked(session.connection.put, data)
            session.push()
            expected += data
        assert await receive_exactly(theirs, len(expected)) == expected
        theirs.close()
        await session.wait_over()

    run(world, test)


@EACH_WORLD
@EACH_KIND
def test_a_peer_that_reads_nothing_costs_little_memory(world: str, kind: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = await make_pair(kernel, kind, 10_000)
        owner = Owner()
        session = echo_session(kernel, ours, owner)
        await session.start()
        session.locked(session.connection.put, bytes(50_000_000))
        session.push()
        await kernel.sleep(kernel.now() + 0.3)
        taken = 50_000_000 - len(session.connection.output)
        assert taken < 10_000_000  # what sockets hold, and a helping or two
        session.abort("enough")
        await over(session, owner)
        assert session.end_reason == "enough"
        theirs.close()

    run(world, test)


@EACH_WORLD
@PLAIN_KINDS
def test_the_last_output_of_a_peer_that_reads_nothing_is_given_up(world: str, kind: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = await make_pair(kernel, kind, 10_000)
        owner = Owner()
        session = echo_session(kernel, ours, owner, linger=0.1, flush_timeout=0.3)
        await session.start()
        began = kernel.now()
        session.locked(session.connection.put, bytes(50_000_000))
        end(session)
        await over(session, owner)
        assert kernel.now() < began + SOON
        theirs.close()

    run(world, test)


@EACH_WORLD
@PLAIN_KINDS
def test_aborting(world: str, kind: str) -> None:
    """At each point of its life, from the thread of the loop and from another one."""

    async def test(kernel: Kernel) -> None:
        for from_thread in (False, True):
            for point in ("before", "begun", "ready", "lingering"):
                ours, theirs = await make_pair(kernel, kind)
                owner = Owner()
                session = echo_session(kernel, ours, owner, linger=60)
                if point != "before":
                    await session.start()
                if point in ("ready", "lingering"):
                    await send_all(theirs, b"hello")
                    await session.wait_ready()
                if point == "lingering":
                    end(session)
                    assert await receive_exactly(theirs, 10) == b"hello"
                if from_thread:
                    await kernel.in_thread(session.abort, "aborted")
                else:
                    session.abort("aborted")
                await over(session, owner)
                session.abort("again")
                if point == "before":
                    await session.start()
                assert session.end_reason == ("went away" if point == "lingering" else "aborted")
                assert session.connection.closed == session.end_reason
                theirs.close()

    run(world, test)


@EACH_WORLD
@EACH_KIND
def test_a_tap_hears_every_byte(world: str, kind: str) -> None:
    class Recorder:
        def __init__(self) -> None:
            self.sent_data = bytearray()
            self.received_data = bytearray()
            self.times: list[float] = []

        def sent(self, data: bytes, time: float) -> None:
            self.sent_data += data
            self.times.append(time)

        def received(self, data: bytes, time: float) -> None:
            self.received_data += data
            self.times.append(time)

    async def test(kernel: Kernel) -> None:
        ours, theirs = await make_pair(kernel, kind, 1000)
        tap = Recorder()
        owner = Owner()
        began = kernel.now()
        session = echo_session(kernel, ours, owner, tap=tap)
        await session.start()
        payload = bytes(range(256)) * 500

        async def receive() -> None:
            assert await receive_exactly(theirs, len(payload)) == payload

        await together(kernel, partial(send_all, theirs, payload), receive)
        theirs.close()
        await over(session, owner)
        assert tap.received_data == payload
        assert tap.sent_data == payload
        assert began <= min(tap.times) <= max(tap.times) <= kernel.now()

    run(world, test)


FAULTS: dict[str, Callable[[Session[EchoConnection]], None]] = {
    "receive": lambda session: None,
    "data_to_send": lambda session: session.connection.put(b"x"),
    "advance": lambda session: session.arm(session.kernel.now() + 0.01),
    "lost": lambda session: None,
}


@EACH_WORLD
@PLAIN_KINDS
@pytest.mark.parametrize("where", FAULTS)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_our_own_is_an_end_and_no_hang(
    world: str, kind: str, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    class UnforeseenError(Exception):
        pass

    def fail(*_: object, **__: object) -> None:
        raise UnforeseenError("nobody thought of that")

    async def test(kernel: Kernel) -> None:
        ours, theirs = await make_pair(kernel, kind)
        owner = Owner()
        session = echo_session(kernel, ours, owner, keepalive=True)
        await session.start()
        await send_all(theirs, b"hello")
        assert await receive_exactly(theirs, 5) == b"hello"
        setattr(session.connection, where, fail)
        try:
            session.locked(FAULTS[where], session)
            session.push()
            if where == "lost":
                session.abort("of no use")
        except UnforeseenError:
            assert world == "threads" or where == "lost"
        with suppress(OSError):
            await send_all(theirs, b"more")
        await over(session, owner)
        theirs.close()

    run(world, test)
    assert "nobody thought of that" in caplog.text or world == "threads" or where == "lost"


@EACH_WORLD
def test_who_waits_is_told_of_the_end(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = memory_stream_pair(kernel)
        session = echo_session(kernel, ours)
        await session.start()
        found: list[str] = []

        async def wait_ready() -> None:
            with pytest.raises(ConnectError, match="gone"):
                await session.wait_ready()
            found.append("not ready")

        async def wait_over() -> None:
            assert await session.wait_over(inf)
            found.append("over")

        async def abort() -> None:
            await kernel.sleep(kernel.now() + 0.05)
            session.abort("gone")

        await together(kernel, wait_ready, wait_ready, wait_over, abort)
        assert sorted(found) == ["not ready", "not ready", "over"]
        theirs.close()

    run(world, test)


@EACH_WORLD
@PLAIN_KINDS
def test_waiting_for_a_session_can_be_cancelled(world: str, kind: str) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = await make_pair(kernel, kind)
        session = echo_session(kernel, ours)
        await session.start()
        task = kernel.spawn(session.wait_ready)
        await kernel.sleep(kernel.now() + 0.05)
        task.cancel()
        await task.join()
        await send_all(theirs, b"hello")
        await session.wait_ready()
        theirs.close()
        await session.wait_over()

    run(world, test)
