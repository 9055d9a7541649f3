"""Both backends of the blocking client against a grpcio server, below schema and metrics."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError

import pytest
from puregrpc.client.backend import Backend, CallRequest, Inbox, StreamEnd
from puregrpc.client.portal import Portal
from puregrpc.client.sockets import Sockets

from puregrpc.client.params import ConnectParams, connect_params
from puregrpc.client.results.wording import CANCELED_HERE
from puregrpc.errors import ConnectError, NotConnected, RpcError
from puregrpc.schema import Registry
from tests.channel.grpcio_server import grpcio_server

BACKENDS: dict[str, Callable[[], Backend]] = {"portal": Portal, "sockets": Sockets}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with grpcio_server() as address:
        yield address


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("puregrpc")]


def plaintext(**more: object) -> ConnectParams:
    return connect_params({"plaintext": True, **more}, {})


@pytest.fixture(params=BACKENDS)
def unconnected(request: pytest.FixtureRequest) -> Iterator[Backend]:
    backend = BACKENDS[str(request.param)]()
    backend.start()
    yield backend
    backend.close()
    backend.close()


@pytest.fixture
def backend(unconnected: Backend, server: str) -> Backend:
    unconnected.connect(server, plaintext(), Registry())
    return unconnected


class Taking(Inbox):
    """An inbox with a record of whether it was told of changes."""

    def __init__(self) -> None:
        self.changes = 0
        self.ends: list[StreamEnd] = []
        super().__init__(self._count, self.ends.append)

    def _count(self) -> None:
        self.changes += 1

    def take_all(self, timeout: float = 10) -> tuple[list[bytes], StreamEnd]:
        messages: list[bytes] = []
        while True:
            item = self.take(timeout)
            assert item is not None
            if isinstance(item, StreamEnd):
                return messages, item
            messages.append(item)


def call(method: str, message: bytes = b"", **more: object) -> CallRequest:
    return CallRequest(f"/test.Service/{method}", message, **more)  # type: ignore[arg-type]


def test_unary(backend: Backend) -> None:
    outcome = backend.unary(call("Echo", b"hello", timeout=5.0))
    assert (outcome.status.code, outcome.message) == (0, b"hello")
    outcome = backend.unary(call("MetadataBack", metadata=(("x-a", "1"),)))
    assert ("x-a", "1") in outcome.headers
    assert ("x-last", "2") in outcome.trailers
    outcome = backend.unary(call("Fail"))
    assert (outcome.status.code, outcome.status.details) == (5, b"\x08\x05details")
    assert backend.unary(call("Sleep", b"5", timeout=0.05)).status.code == 4
    assert backend.unary(call("Echo", metadata=(("bad name", "x"),))).status.code == 13
    assert backend.traffic().sent > 0
    assert backend.traffic().received > 0


def test_unary_begun(backend: Backend) -> None:
    futures = [backend.start_unary(call("Echo", b"%d" % n, timeout=10.0)) for n in range(50)]
    assert [future.result(10).message for future in futures] == [b"%d" % n for n in range(50)]
    late = backend.start_unary(call("Sleep", b"5", timeout=0.1))
    assert late.result(5).status.code == 4
    cancelled = backend.start_unary(call("Sleep", b"5"))
    time.sleep(0.05)
    assert cancelled.cancel()
    with pytest.raises(CancelledError):
        cancelled.result()
    assert backend.start_unary(call("Echo", metadata=(("bad name", "x"),))).result(5).status.code == 13
    assert backend.start_unary(call("Fail")).result(5).status.code == 5


def test_streams(backend: Backend) -> None:
    inbox = Taking()
    sent: list[int] = []
    stream = backend.open_stream(call("Chat", timeout=20.0), inbox)
    for n in range(100):
        stream.send(b"m%d" % n, lambda: sent.append(1))
    stream.half_close()
    messages, end = inbox.take_all()
    assert messages == [b"M%d" % n for n in range(100)]
    assert end.status.code == 0
    assert len(sent) == 100
    assert inbox.changes > 1
    stream.cancel(CANCELED_HERE)
    stream.send(b"ignored", lambda: None)

    inbox = Taking()
    stream = backend.open_stream(call("Count"), inbox)
    stream.send(b"3 0 1", lambda: None)
    stream.half_close()
    messages, end = inbox.take_all()
    assert (messages, end.status.code, end.status.message) == ([b"0", b"1", b"2"], 11, "no more")

    inbox = Taking()
    stream = backend.open_stream(call("Collect"), inbox)
    for _ in range(100):
        stream.send(bytes(200_000), lambda: None)
    stream.half_close()
    assert inbox.take_all()[0] == [b"100 20000000"]


def test_a_slow_taker_holds_the_server_back(backend: Backend) -> None:
    inbox = Taking()
    stream = backend.open_stream(call("Forever"), inbox)
    stream.send(b"", lambda: None)
    stream.half_close()
    time.sleep(0.3)
    before = backend.traffic().received
    time.sleep(0.2)
    assert backend.traffic().received - before < 100_000  # at most what a window lets through
    for _ in range(500):
        assert inbox.take(5)
    stream.cancel(CANCELED_HERE)
    assert inbox.take_all()[1].status.code == 1
    assert backend.unary(call("Echo", b"usable")).message == b"usable"


def test_streams_end_in_every_way(backend: Backend) -> None:
    inbox = Taking()
    backend.open_stream(call("Chat", timeout=0.1), inbox)
    assert inbox.take_all()[1].status.code == 4
    inbox = Taking()
    backend.open_stream(call("Chat", metadata=(("bad name", "x"),)), inbox)
    assert inbox.take_all()[1].status.code == 13
    inbox = Taking()
    stream = backend.open_stream(call("Chat"), inbox)
    stream.cancel(CANCELED_HERE)
    assert inbox.take_all()[1].status == CANCELED_HERE
    inbox = Taking()
    backend.open_stream(call("Chat"), inbox)
    backend.disconnect(CANCELED_HERE)
    assert inbox.take_all()[1].status == CANCELED_HERE
    with pytest.raises(NotConnected):
        backend.unary(call("Echo"))
    with pytest.raises(NotConnected):
        backend.start_unary(call("Echo"))
    with pytest.raises(NotConnected):
        backend.open_stream(call("Chat"), Taking())


def test_many_threads(backend: Backend) -> None:
    failures: list[object] = []

    def work(number: int) -> None:
        for n in range(20):
            message = b"%d %d" % (number, n)
            if backend.unary(call("Echo", message, timeout=20.0)).message != message:
                failures.append((number, n))
        inbox = Taking()
        stream = backend.open_stream(call("Chat"), inbox)
        for _ in range(20):
            stream.send(b"x", lambda: None)
        stream.half_close()
        if inbox.take_all()[0] != [b"X"] * 20:
            failures.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_connecting_fails_and_succeeds(unconnected: Backend, server: str) -> None:
    with pytest.raises(NotConnected):
        unconnected.unary(call("Echo"))
    with pytest.raises(ConnectError, match=r"connection error: could not connect to 127.0.0.1:1: "):
        unconnected.connect("127.0.0.1:1", plaintext(), Registry())
    with pytest.raises(ConnectError, match=r"connection error: .*handshake"):
        unconnected.connect(server, connect_params({}, {}), Registry())
    with pytest.raises(ConnectError, match=r"context deadline exceeded"):
        unconnected.connect(server, plaintext(timeout=0), Registry())
    with pytest.raises(RpcError, match=r"error invoking reflect API: .*load .proto files"):
        unconnected.connect(server, plaintext(reflect=True), Registry())
    unconnected.connect(server, plaintext(), Registry())
    assert unconnected.unary(call("Echo", b"one")).message == b"one"
    unconnected.connect(server, plaintext(), Registry())
    assert unconnected.unary(call("Echo", b"two")).message == b"two"


def test_a_server_that_restarts_is_found_again(unconnected: Backend) -> None:
    context = grpcio_server()
    address = context.__enter__()
    unconnected.connect(address, plaintext(), Registry())
    inbox = Taking()
    unconnected.open_stream(call("Chat"), inbox)
    assert unconnected.unary(call("Echo", b"one")).message == b"one"
    context.__exit__(None, None, None)
    assert inbox.take_all()[1].status.code in (1, 14)
    assert unconnected.unary(call("Echo")).status.code == 14
    assert unconnected.start_unary(call("Echo")).result(5).status.code == 14
    inbox = Taking()
    unconnected.open_stream(call("Chat"), inbox)
    assert inbox.take_all()[1].status.code == 14
    with grpcio_server(address):
        until = time.monotonic() + 10
        while unconnected.unary(call("Echo")).status.code and time.monotonic() < until:
            time.sleep(0.1)
        assert unconnected.unary(call("Echo", b"two")).message == b"two"
