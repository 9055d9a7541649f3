"""What only the session of asyncio has: transports, and loops that end before it."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import warnings
from collections.abc import Callable, Coroutine
from importlib.util import find_spec
from typing import Any

import pytest

from puregrpc.errors import LocalProtocolError
from puregrpc.kernel import AsyncioKernel, Kernel
from puregrpc.kernel.network.connecting import secure
from puregrpc.kernel.network.streams import ByteStream, SocketStream
from puregrpc.transport.asyncio_session import AsyncioSession
from puregrpc.transport.end_reasons import CLOSED_HERE
from puregrpc.transport.session import Session
from puregrpc.wire.connection import Request
from tests.kernel.certificates import WITH_CERTIFICATES, contexts
from tests.kernel.test_streams import make_pair
from tests.kernel.worlds import ASYNCIO_LOOPS, receive_exactly, run, send_all
from tests.transport.fakes import EchoConnection, Owner, echo_session
from tests.transport.test_loop_sessions import UnaryCall, Writes, open_pair

EACH_ASYNCIO = pytest.mark.parametrize("world", ASYNCIO_LOOPS)
EACH_TLS = pytest.mark.parametrize(
    "tls", [pytest.param(False, id="plaintext"), pytest.param(True, id="TLS", marks=WITH_CERTIFICATES)]
)


def new_loop(world: str) -> asyncio.AbstractEventLoop:
    if world == "uvloop":
        import uvloop

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        return loop
    return asyncio.new_event_loop()


class EchoPeer:
    """An echo on a port of its own, in a thread. As a context manager it ends with its connection."""

    def __init__(self, *, tls: bool) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._tls = tls
        self.address = self._server.getsockname()
        self.ended = threading.Event()
        """The other end has closed the connection."""
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> EchoPeer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(20)
        assert not self._thread.is_alive()
        self._server.close()

    def _serve(self) -> None:
        connection, _ = self._server.accept()
        if self._tls:
            connection = contexts()[1].wrap_socket(connection, server_side=True)
        with connection:
            connection.settimeout(15)
            try:
                while data := connection.recv(1 << 16):
                    connection.sendall(data)
            except ConnectionError:
                pass
        self.ended.set()


async def connected(kernel: Kernel, peer: EchoPeer, owner: Owner, *, tls: bool) -> Session[EchoConnection]:
    """A session that has heard of its peer."""
    stream: ByteStream = SocketStream(kernel, socket.create_connection(peer.address))
    if tls:
        stream = await secure(
            kernel, stream, contexts()[0], kernel.now() + 20, server_name="localhost", require_alpn=False
        )
    session = echo_session(kernel, stream, owner, echo=False)
    await session.start()
    session.connection.put(b"hello")
    await session.wait_ready()
    return session


# -- beginning


@EACH_ASYNCIO
def test_a_start_that_is_cancelled_closes_the_stream(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        for turns in range(6):
            ours, theirs = await make_pair(kernel, "socket")
            owner = Owner()
            session = echo_session(kernel, ours, owner)
            task = asyncio.ensure_future(session.start())
            for _ in range(turns):
                await asyncio.sleep(0)
            if task.cancel():
                with pytest.raises(asyncio.CancelledError):
                    await task
            else:
                session.abort(CLOSED_HERE)
            if turns:
                assert await session.wait_over(kernel.now() + 20)
                assert owner.lost == [CLOSED_HERE]
                assert owner.over == 1
                await theirs.wait_readable()
                assert theirs.receive_nowait(10) == b""
            else:
                ours.close()  # it never began
            theirs.close()

    run(world, test)


@EACH_ASYNCIO
def test_no_session_is_started_in_a_kernel_that_is_closed(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        inner = AsyncioKernel(asyncio.get_running_loop())
        ours, theirs = await make_pair(inner, "socket")
        session = echo_session(inner, ours)
        await inner.close()
        with pytest.raises(LocalProtocolError, match="closed"):
            await session.start()
        assert session.is_over
        assert isinstance(ours, SocketStream)
        assert ours.socket.fileno() < 0
        theirs.close()

    run(world, test)


@EACH_ASYNCIO
def test_aborting_while_it_begins(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        for turns in range(4):
            ours, theirs = await make_pair(kernel, "socket")
            owner = Owner()
            session = echo_session(kernel, ours, owner)
            task = asyncio.ensure_future(session.start())
            for _ in range(turns):
                await asyncio.sleep(0)
            session.abort("no longer wanted")
            await task
            assert await session.wait_over(kernel.now() + 20)
            assert owner.lost == ["no longer wanted"]
            assert owner.over == 1
            theirs.close()

    run(world, test)


def test_in_debug_mode() -> None:
    async def test(kernel: Kernel) -> None:
        pair = await open_pair(kernel, "TLS 1.3 over socket", "fast")
        assert (await pair.call(timeout=20)).message == b"hello"
        await pair.close()

    loop = asyncio.new_event_loop()
    loop.set_debug(True)

    async def main() -> None:
        kernel = AsyncioKernel(loop)
        try:
            await test(kernel)
        finally:
            await kernel.close()

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


# -- writing


@EACH_ASYNCIO
@EACH_TLS
def test_no_more_than_a_helping_is_in_the_hands_of_the_transport(world: str, tls: bool) -> None:
    async def test(kernel: Kernel) -> None:
        pair = await open_pair(kernel, "TLS 1.3 over socket" if tls else "socket", "fast")
        assert isinstance(pair.client, AsyncioSession)
        transport = pair.client._transport
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, transport.get_write_buffer_size())  # type: ignore[union-attr]
                await asyncio.sleep(0)

        watching = asyncio.ensure_future(watch())
        size = 3_000_000
        calls = [asyncio.ensure_future(pair.call(bytes(size))) for _ in range(5)]
        for call in calls:
            assert (await call).message == bytes(size)
        watching.cancel()
        assert most < 600_000
        await pair.close()

    run(world, test)


# -- the end of the loop


@EACH_ASYNCIO
@EACH_TLS
def test_a_session_that_nobody_closes_ends_with_its_loop(world: str, tls: bool) -> None:
    """As that of a channel that a module has, when ``asyncio.run`` comes to its end."""
    kept: list[Session[EchoConnection]] = []
    owner = Owner()

    async def main() -> None:
        kernel = AsyncioKernel(asyncio.get_running_loop())
        kept.append(await connected(kernel, peer, owner, tls=tls))

    with EchoPeer(tls=tls) as peer, warnings.catch_warnings():
        warnings.simplefilter("error")
        run_to_its_end(world, main())
        assert peer.ended.wait(15)
        gc.collect()
    assert kept[0].is_over
    assert owner.lost == [CLOSED_HERE]
    assert owner.over == 1


def run_to_its_end(world: str, main: Coroutine[Any, Any, None]) -> None:
    if world == "uvloop":
        import uvloop

        uvloop.run(main)
    else:
        asyncio.run(main)


def deserted(world: str, peer: EchoPeer, owner: Owner, *, tls: bool) -> Session[EchoConnection]:
    """A session whose loop was closed under it, without a word."""
    loop = new_loop(world)
    kernel = AsyncioKernel(loop)
    session = loop.run_until_complete(connected(kernel, peer, owner, tls=tls))
    loop.close()
    return session


CLOSINGS: dict[str, Callable[[Session[EchoConnection]], None]] = {
    "close_socket": lambda session: session.close_socket(),
    "abort": lambda session: session.abort("of no use"),
}


# uvloop itself warns of what is open when it is closed, and closes it.
@pytest.mark.parametrize("how", CLOSINGS)
@EACH_TLS
def test_the_socket_of_a_dead_loop_is_closed_without_a_warning(tls: bool, how: str) -> None:
    owner = Owner()
    with EchoPeer(tls=tls) as peer, warnings.catch_warnings():
        warnings.simplefilter("error")
        session: Session[EchoConnection] | None = deserted("asyncio", peer, owner, tls=tls)
        assert session is not None
        assert not session.is_over
        CLOSINGS[how](session)
        assert peer.ended.wait(15)
        CLOSINGS[how](session)
        assert session.is_over
        assert session.is_going_away
        assert session.end_reason == "the event loop was closed"
        session = None
        gc.collect()
    assert owner.lost == []
    assert owner.over == 0


@EACH_ASYNCIO
def test_what_a_new_call_sends_goes_with_what_came_with_it(world: str) -> None:
    async def test(kernel: Kernel) -> None:
        async def handler() -> None:
            session.connection.put(b" answer")

        def begin(session: Session[Any], request: Request) -> None:
            kernel.spawn(handler)

        ours, theirs = await make_pair(kernel, "socket")
        tap = Writes()
        session = echo_session(kernel, ours, Owner(begin), tap=tap)
        receive = session.connection.receive

        def call_and_ping(data: bytes, now: float) -> None:
            if data:
                session.on_call(Request("/s/m", "localhost"))
            receive(data, now)

        session.connection.receive = call_and_ping  # type: ignore[method-assign]
        await session.start()
        await send_all(theirs, b"ping")
        assert await receive_exactly(theirs, 11) == b"ping answer"
        assert tap.writes == [b"ping answer"]
        theirs.close()
        await session.wait_over()

    run(world, test)


@pytest.mark.skipif(find_spec("uvloop") is None, reason="uvloop is not installed")
def test_the_socket_of_a_dead_uvloop_can_be_let_go() -> None:
    owner = Owner()
    with EchoPeer(tls=False) as peer, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        session = deserted("uvloop", peer, owner, tls=False)
        session.close_socket()
        assert peer.ended.wait(15)
        assert session.is_over


def test_a_call_of_a_dead_loop_is_thrown_away_without_a_word() -> None:
    """Its coroutine is closed when it is collected, and would reset the call."""

    async def main() -> None:
        kernel = AsyncioKernel(loop)
        pair = await open_pair(kernel, "socket", "fast")
        kept.append(pair)
        request = Request("/s/m", "localhost")
        coroutine = pair.client.exchange(UnaryCall(), request, None, b"never", kernel.now())
        coroutine.send(None)
        kept.append(coroutine)

    kept: list[Any] = []
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
    pair, coroutine = kept
    coroutine.close()
    pair.client.close_socket()
    pair.server.close_socket()
