"""Byte streams of every kind, in every world: what is sent arrives, cut anywhere, and both ends hear of the end."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kernel.certificates import VERSIONS, contexts, layers, shake_hands
from tests.kernel.worlds import EACH_WORLD, receive_all, receive_exactly, receive_some, run, send_all, together

from puregrpc.kernel import Kernel
from puregrpc.kernel.network.connecting import secure
from puregrpc.kernel.network.streams import ByteStream, SocketStream, TappedStream, memory_stream_pair
from puregrpc.kernel.network.tls import TlsError, TlsLayer
from puregrpc.kernel.network.tls_stream import TlsStream
from puregrpc.kernel.threads.kernel import ThreadKernel
from puregrpc.transport.thread_session.endpoints import SocketEndpoint

Pair = tuple[ByteStream, ByteStream]


def socket_pair(kernel: Kernel, capacity: int = 0) -> Pair:
    ends = socket.socketpair()
    for end in ends if capacity else ():
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, capacity)
    return SocketStream(kernel, ends[0], local="a", peer="b"), SocketStream(kernel, ends[1], local="b", peer="a")


def memory_pair(kernel: Kernel, capacity: int = 0) -> Pair:
    return memory_stream_pair(kernel, capacity=capacity or 1 << 18)


PLAIN: dict[str, Callable[[Kernel, int], Pair]] = {"memory": memory_pair, "socket": socket_pair}

EACH_KIND = pytest.mark.parametrize(
    "kind", [*PLAIN, *(f"TLS {version} over {plain}" for version in VERSIONS for plain in PLAIN)]
)


async def make_pair(kernel: Kernel, kind: str, capacity: int = 0) -> Pair:
    """Two ends that are connected; ``capacity`` is about how many octets are taken before the sender waits."""
    *tls, plain = kind.split(" over ")
    if not tls:
        return PLAIN[plain](kernel, capacity)
    client_context, server_context = contexts(tls[0].removeprefix("TLS "))
    # What follows a handshake, the tickets of TLS 1.3, is not read before both ends are through with it.
    ends = PLAIN[plain](kernel, capacity and max(capacity, 2000))
    secured: dict[bool, ByteStream] = {}

    async def shake_hands(*, is_server: bool) -> None:
        until = kernel.now() + 30
        context = server_context if is_server else client_context
        name = None if is_server else "localhost"
        secured[is_server] = await secure(
            kernel, ends[is_server], context, until, server_side=is_server, server_name=name
        )

    await together(kernel, lambda: shake_hands(is_server=False), lambda: shake_hands(is_server=True))
    return secured[False], secured[True]


@EACH_WORLD
@EACH_KIND
@settings(max_examples=15)
@given(
    there=st.lists(st.integers(0, 40_000), max_size=6),
    back=st.lists(st.integers(0, 40_000), max_size=6),
    limits=st.lists(st.integers(50, 50_000), min_size=1, max_size=4),
    capacity=st.integers(300, 70_000),
    in_pieces=st.booleans(),
)
def test_what_is_sent_arrives(
    world: str,
    kind: str,
    there: Sequence[int],
    back: Sequence[int],
    limits: Sequence[int],
    capacity: int,
    in_pieces: bool,
) -> None:
    async def test(kernel: Kernel) -> None:
        first, second = await make_pair(kernel, kind, capacity)
        received: dict[ByteStream, bytes] = {}

        async def send(stream: ByteStream, sizes: Sequence[int], data: bytes) -> None:
            at = 0
            if in_pieces:
                pieces: list[bytes | memoryview] = []
                for size in sizes:
                    pieces.append(data[at : at + size])
                    at += size
                while pieces:
                    taken = stream.send_pieces_nowait(pieces)
                    rest = b"".join(pieces)[taken:]
                    pieces = [rest[:1000], rest[1000:]] if rest else []
                    if pieces:
                        await stream.wait_writable()
            else:
                for size in sizes:
                    await send_all(stream, data[at : at + size])
                    at += size
            stream.send_eof()

        async def receive(stream: ByteStream) -> None:
            parts = []
            for limit in cycle(limits):
                data = await receive_some(stream, limit)
                assert len(data) <= limit + (1 << 14)
                if not data:
                    break
                parts.append(data)
            received[stream] = b"".join(parts)
            assert stream.receive_nowait(10) == b""

        outgoing, incoming = os.urandom(sum(there)), os.urandom(sum(back))
        await together(
            kernel,
            lambda: send(first, there, outgoing),
            lambda: receive(second),
            lambda: send(second, back, incoming),
            lambda: receive(first),
        )
        assert received == {second: outgoing, first: incoming}
        for stream in (first, second):
            stream.close()

    run(world, test)


@EACH_WORLD
@EACH_KIND
def test_waiting_has_an_end(world: str, kind: str) -> None:
    async def test(kernel: Kernel) -> None:
        first, second = await make_pair(kernel, kind)
        began = kernel.now()
        while await first.wait_readable(began + 0.05):  # it may come back too early
            assert first.receive_nowait(1) is None
        assert kernel.now() >= began + 0.04
        assert first.receive_nowait(1) is None
        while first.send_nowait(bytes(1 << 16)):
            pass
        assert not await first.wait_writable(kernel.now() + 0.05)
        assert await second.wait_readable()
        for stream in (first, second):
            stream.close()

    run(world, test)


@EACH_WORLD
@EACH_KIND
def test_closing_wakes_who_waits(world: str, kind: str) -> None:
    async def test(kernel: Kernel) -> None:
        first, second = await make_pair(kernel, kind)
        while first.receive_nowait(100) is not None:
            pass

        async def read(stream: ByteStream) -> None:
            with suppress(OSError):  # whatever the system says
                assert await receive_all(stream) == b""

        async def close() -> None:
            await kernel.sleep(kernel.now() + 0.05)
            first.close()
            first.close()

        await together(kernel, lambda: read(first), lambda: read(second), close)
        with pytest.raises(OSError):  # noqa: PT011
            while True:
                await send_all(second, bytes(1 << 16))
        first.send_eof()
        first.close()
        second.close()

    run(world, test)


@EACH_WORLD
def test_closing_one_end_in_memory(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        first, second = memory_stream_pair(kernel, names=("one", "other"), capacity=10)
        assert (first.local, first.peer, second.local, second.peer) == ("one", "other", "other", "one")
        assert first.send_nowait(b"x" * 20) == 10

        async def write() -> None:
            assert await first.wait_writable()
            with pytest.raises(BrokenPipeError):
                first.send_nowait(b"x")

        async def close() -> None:
            await kernel.sleep(kernel.now() + 0.05)
            second.close()

        await together(kernel, write, close)
        assert await receive_all(first) == b""
        with pytest.raises(BrokenPipeError):
            second.send_nowait(b"x")

    run(world, test)


@EACH_WORLD
@EACH_KIND
def test_the_other_end_reads_on_behind_send_eof(world: str, kind: str) -> None:
    async def test(kernel: Kernel) -> None:
        first, second = await make_pair(kernel, kind)
        data = os.urandom(200_000)
        await send_all(first, data[:50_000])
        # Octets that are here already when this end says that it has nothing more to send.
        await send_all(second, data[:50_000])
        await kernel.sleep(kernel.now() + 0.05)
        first.send_eof()
        first.send_eof()

        async def answer() -> None:
            assert await receive_all(second) == data[:50_000]
            await send_all(second, data[50_000:])
            second.send_eof()

        async def read() -> None:
            assert await receive_all(first) == data

        await together(kernel, answer, read)
        for stream in (first, second):
            stream.close()

    run(world, test)


class Heard:
    """A tap."""

    def __init__(self) -> None:
        self.passed: list[tuple[str, bytes, float]] = []

    def sent(self, data: bytes, time: float) -> None:
        self.passed.append(("sent", data, time))

    def received(self, data: bytes, time: float) -> None:
        self.passed.append(("received", data, time))


@EACH_WORLD
@EACH_KIND
def test_a_tap_hears_what_passes(world: str, kind: str) -> None:
    async def test(kernel: Kernel) -> None:
        plain, other = await make_pair(kernel, kind)
        tap = Heard()
        stream = TappedStream(kernel, plain, tap)
        assert (stream.local, stream.peer, stream.tls) == (plain.local, plain.peer, plain.tls)
        began = kernel.now()
        await send_all(stream, b"there")
        assert await receive_exactly(other, 5) == b"there"
        other.send_nowait(b"back")
        assert await stream.wait_writable()
        assert await receive_exactly(stream, 4) == b"back"
        stream.send_eof()
        assert await receive_all(other) == b""
        stream.close()
        other.close()
        assert [event[:2] for event in tap.passed] == [("sent", b"there"), ("received", b"back")]
        assert all(began <= event[2] <= kernel.now() for event in tap.passed)

    run(world, test)


@EACH_WORLD
def test_unacknowledged_octets_may_be_limited(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            stream = SocketStream(kernel, socket.create_connection(listener.getsockname()))
            stream.limit_unacknowledged_time(1e9)
            stream.limit_unacknowledged_time(2.5)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                assert stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 2500
            assert stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            stream.close()
            stream.limit_unacknowledged_time(1.0)
        one, other = socket_pair(kernel)
        assert isinstance(one, SocketStream)
        one.limit_unacknowledged_time(1.0)
        one.close()
        other.close()

    run(world, test)


@pytest.mark.skipif(not hasattr(socket, "MSG_NOSIGNAL"), reason="no send is without a signal here")
@EACH_WORLD
def test_a_peer_that_has_gone_is_an_error_and_no_signal(world: str) -> None:
    """Bundles embed Pythons that leave SIGPIPE as it was, and it would end them."""
    signals: list[int] = []

    async def test(kernel: Kernel) -> None:
        several: list[list[bytes | memoryview]] = [[b"one"], [b"one", b"two"]]
        for pieces in several:
            ends = socket.socketpair()
            stream = SocketStream(kernel, ends[0])
            endpoint = SocketEndpoint(stream) if isinstance(kernel, ThreadKernel) else None
            ends[1].close()
            with pytest.raises(BrokenPipeError):
                stream.send_pieces_nowait(pieces)
            if endpoint is not None:
                with pytest.raises(BrokenPipeError):
                    endpoint.send(pieces)
            stream.close()

    before = signal.signal(signal.SIGPIPE, lambda *_: signals.append(1))
    try:
        run(world, test)
    finally:
        signal.signal(signal.SIGPIPE, before)
    assert signals == []


@EACH_WORLD
@pytest.mark.parametrize("version", VERSIONS)
def test_close_notify_that_comes_with_data_is_the_end(world: str, version: str) -> None:
    """Though the stream below goes on, and nothing more comes over it."""

    async def test(kernel: Kernel) -> None:
        ours, theirs = await make_pair(kernel, f"TLS {version} over socket")
        assert isinstance(theirs, TlsStream)
        theirs.tls.write(b"last")
        theirs.tls.close_notify()
        octets = theirs.tls.take_output()
        assert theirs.inner.send_nowait(octets) == len(octets)
        until = kernel.now() + 10
        got = b""
        while (data := ours.receive_nowait(1000)) != b"":
            got += data or b""
            assert data is not None or await ours.wait_readable(until)
        assert got == b"last"
        for stream in (ours, theirs):
            stream.close()

    run(world, test)


class Rekeyed(TlsLayer):
    """TLS with a peer that asks for new keys (KeyUpdate) with each octet, to which TLS owes an answer."""

    def read(self, limit: int) -> bytes | None:
        self._outgoing.write(bytes(1000))
        return super().read(limit)


@EACH_WORLD
@pytest.mark.parametrize("takes_answers", [True, False])
def test_answers_of_tls_are_not_collected_without_end(world: str, takes_answers: bool) -> None:
    async def test(kernel: Kernel) -> None:
        ours, theirs = memory_stream_pair(kernel, capacity=10_000)
        client, server = layers()
        shake_hands(client, server)
        client.__class__ = Rekeyed
        stream = TlsStream(kernel, ours, client)

        def exchange() -> None:
            for _ in range(300):
                server.write(b"x")
                theirs.send_nowait(server.take_output())
                while stream.receive_nowait(10) is None:
                    continue
                if takes_answers:
                    while theirs.receive_nowait(10_000):
                        continue

        if takes_answers:
            exchange()
        else:
            with pytest.raises(TlsError, match="asks for new keys again and again, and takes none"):
                exchange()
        stream.close()
        theirs.close()

    run(world, test)
