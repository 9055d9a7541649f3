"""The connection of the blocking client against a grpcio server, below schema and metrics."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future

import pytest

from puregrpc.client.calls.requests import CallRequest, Outcome, UnaryOutcome
from puregrpc.client.network.blocking import BlockingConnection
from puregrpc.client.network.inbox import Inbox
from puregrpc.client.params.connect import ConnectParams, connect_params
from puregrpc.client.results.wording import CANCELED_HERE, CLOSING
from puregrpc.errors import ConnectError, InvalidArgument, NotConnected, RpcError
from puregrpc.schema import Registry
from puregrpc.wire.metadata import Metadata
from tests.channel.grpcio_server import grpcio_server
from tests.worlds import block_until


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with grpcio_server() as address:
        yield address


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())  # of servers in other tests of this process
    yield
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("puregrpc")]


def plaintext(**more: object) -> ConnectParams:
    return connect_params({"plaintext": True, **more}, {})


@pytest.fixture
def connection(server: str) -> Iterator[BlockingConnection]:
    connection = BlockingConnection.open(server, plaintext(), Registry())
    yield connection
    connection.close()
    connection.close()


class Taking(Inbox):
    """An inbox with a record of whether it was told of changes."""

    def __init__(self) -> None:
        self.changes = 0
        self.ends: list[Outcome] = []
        super().__init__(self._count, self.ends.append)

    def _count(self) -> None:
        self.changes += 1

    def take_all(self, timeout: float = 10) -> tuple[list[bytes], Outcome]:
        messages: list[bytes] = []
        while True:
            item = self.take(timeout)
            assert item is not None
            if isinstance(item, Outcome):
                return messages, item
            messages.append(item)


def call(method: str, message: bytes = b"", metadata: Metadata = (), timeout: float | None = None) -> CallRequest:
    return CallRequest(f"/test.Service/{method}", message, metadata, timeout)


def test_unary(connection: BlockingConnection) -> None:
    outcome = connection.unary(call("Echo", b"hello", timeout=5.0))
    assert (outcome.status.code, outcome.message) == (0, b"hello")
    outcome = connection.unary(call("MetadataBack", metadata=(("x-a", "1"),)))
    assert ("x-a", "1") in outcome.headers
    assert ("x-last", "2") in outcome.trailers
    outcome = connection.unary(call("Fail"))
    assert (outcome.status.code, outcome.status.details) == (5, b"\x08\x05details")
    assert connection.unary(call("Sleep", b"5", timeout=0.05)).status.code == 4
    assert connection.unary(call("Echo", metadata=(("bad name", "x"),))).status.code == 13
    assert connection.passed().bytes_sent > 0
    assert connection.passed().bytes_received > 0


def test_unary_begun(connection: BlockingConnection) -> None:
    futures = [connection.start_unary(call("Echo", b"%d" % n, timeout=10.0)) for n in range(50)]
    assert [future.result(10).message for future in futures] == [b"%d" % n for n in range(50)]
    late = connection.start_unary(call("Sleep", b"5", timeout=0.1))
    assert late.result(5).status.code == 4
    cancelled = connection.start_unary(call("Sleep", b"5"))
    time.sleep(0.05)
    assert cancelled.cancel()
    with pytest.raises(CancelledError):
        cancelled.result()
    with pytest.raises(InvalidArgument, match="bad name"):
        connection.start_unary(call("Echo", metadata=(("bad name", "x"),))).result(5)
    assert connection.start_unary(call("Fail")).result(5).status.code == 5


def test_streams(connection: BlockingConnection) -> None:
    inbox = Taking()
    sent: list[int] = []
    stream = connection.open_stream(call("Chat", timeout=20.0), inbox)
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
    stream = connection.open_stream(call("Count"), inbox)
    stream.send(b"3 0 1", lambda: None)
    stream.half_close()
    messages, end = inbox.take_all()
    assert (messages, end.status.code, end.status.message) == ([b"0", b"1", b"2"], 11, "no more")

    inbox = Taking()
    stream = connection.open_stream(call("Collect"), inbox)
    for _ in range(100):
        stream.send(bytes(200_000), lambda: None)
    stream.half_close()
    assert inbox.take_all()[0] == [b"100 20000000"]


def test_a_slow_taker_holds_the_server_back(connection: BlockingConnection) -> None:
    inbox = Taking()
    stream = connection.open_stream(call("Forever"), inbox)
    stream.send(b"", lambda: None)
    stream.half_close()
    received = [0]

    def is_held_back() -> bool:
        time.sleep(0.2)
        received.append(connection.passed().bytes_received)
        return 0 < received[-1] == received[-2]

    block_until(is_held_back, 20)
    assert received[-1] < 3_000_000  # some windows at most
    for _ in range(500):
        assert inbox.take(5)
    stream.cancel(CANCELED_HERE)
    assert inbox.take_all()[1].status.code == 1
    assert connection.unary(call("Echo", b"usable")).message == b"usable"


def test_streams_end_in_every_way(connection: BlockingConnection) -> None:
    inbox = Taking()
    connection.open_stream(call("Chat", timeout=0.1), inbox)
    assert inbox.take_all()[1].status.code == 4
    inbox = Taking()
    connection.open_stream(call("Chat", metadata=(("bad name", "x"),)), inbox)
    assert inbox.take_all()[1].status.code == 13
    inbox = Taking()
    stream = connection.open_stream(call("Chat"), inbox)
    stream.cancel(CANCELED_HERE)
    assert inbox.take_all()[1].status == CANCELED_HERE
    inbox = Taking()
    connection.open_stream(call("Chat"), inbox)
    connection.close()
    assert inbox.take_all()[1].status == CLOSING
    assert connection.unary(call("Echo")).status == CLOSING
    assert isinstance(connection.start_unary(call("Echo")).exception(5), NotConnected)
    inbox = Taking()
    connection.open_stream(call("Chat"), inbox)
    assert inbox.take_all()[1].status == CLOSING


def test_many_threads(connection: BlockingConnection) -> None:
    failures: list[object] = []

    def work(number: int) -> None:
        for n in range(20):
            message = b"%d %d" % (number, n)
            if connection.unary(call("Echo", message, timeout=20.0)).message != message:
                failures.append((number, n))
        inbox = Taking()
        stream = connection.open_stream(call("Chat"), inbox)
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


def test_connecting_fails(server: str) -> None:
    def connect(address: str, params: ConnectParams) -> None:
        BlockingConnection.open(address, params, Registry()).close()

    with pytest.raises(ConnectError, match=r"connection error: could not connect to 127.0.0.1:1: "):
        connect("127.0.0.1:1", plaintext())
    with pytest.raises(ConnectError, match=r"connection error: .*handshake"):
        connect(server, connect_params({}, {}))
    with pytest.raises(ConnectError, match=r"context deadline exceeded"):
        connect(server, plaintext(timeout=0))
    with pytest.raises(RpcError, match=r"error invoking reflect API: .*load .proto files"):
        connect(server, plaintext(reflect=True))
    connect(server, plaintext())


def test_a_server_that_restarts_is_found_again() -> None:
    context = grpcio_server()
    address = context.__enter__()
    connection = BlockingConnection.open(address, plaintext(), Registry())
    inbox = Taking()
    connection.open_stream(call("Chat"), inbox)
    assert connection.unary(call("Echo", b"one")).message == b"one"
    context.__exit__(None, None, None)
    assert inbox.take_all()[1].status.code in (1, 14)
    assert connection.unary(call("Echo")).status.code == 14
    failed = connection.start_unary(call("Echo"))
    assert code_of(failed) == 14
    inbox = Taking()
    connection.open_stream(call("Chat"), inbox)
    assert inbox.take_all()[1].status.code == 14
    with grpcio_server(address):
        until = time.monotonic() + 10
        while connection.unary(call("Echo")).status.code and time.monotonic() < until:
            time.sleep(0.1)
        assert connection.unary(call("Echo", b"two")).message == b"two"
    connection.close()


def code_of(begun: Future[UnaryOutcome]) -> int:
    """The status of a call, whether it was sent or not."""
    error = begun.exception(10)
    return error.code if isinstance(error, RpcError) else begun.result().status.code
