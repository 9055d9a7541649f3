"""Few threads that read for many sessions of one server."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from puregrpc.channel import BlockingChannel
from puregrpc.errors import RpcError
from puregrpc.server import BlockingServer, Method, ServerConfig, Shape
from puregrpc.transport import rounds
from puregrpc.transport.order import UNKNOWN_TURN
from puregrpc.transport.thread_session import together
from puregrpc.wire.status import StatusCode
from puregrpc.wire.turn import Turn
from tests.wire.scripted import PREFACE, frame

ECHO = "/test.Service/Echo"
CHAT = "/test.Service/Chat"
LARGE = "/test.Service/Large"
STUCK = "/test.Service/Stuck"

needs_epoll = pytest.mark.skipif(together._new_epoll is None, reason="the system has no epoll")


def echo(request: bytes, _context: Any) -> bytes:
    return request


def chat(requests: Any, _context: Any) -> Iterator[bytes]:
    yield from requests


def large(_request: bytes, _context: Any) -> Iterator[bytes]:
    for _ in range(40):
        yield bytes(100_000)


def stuck(_request: bytes, context: Any) -> bytes:
    ended = threading.Event()
    context.add_callback(ended.set)
    ended.wait()
    return b""


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def readers() -> list[str]:
    """The names of the threads that read for servers."""
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("puregrpc reader")]


@pytest.fixture(params=["fast", "h2"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[BlockingServer]:
    monkeypatch.setattr(rounds, "MANY_SESSIONS", 3)
    server = BlockingServer("127.0.0.1:0", config=ServerConfig(engine=request.param))
    shapes = ((ECHO, echo, Shape.UNARY), (CHAT, chat, Shape.BIDI), (LARGE, large, Shape.SERVER_STREAM))
    server.add_methods([Method(path, handler, shape) for path, handler, shape in shapes])
    server.add_methods([Method(STUCK, stuck)])
    with server:
        yield server


@pytest.fixture
def channels(server: BlockingServer) -> Iterator[list[BlockingChannel]]:
    with ExitStack() as stack:
        channels = [stack.enter_context(BlockingChannel(server.addresses[0])) for _ in range(8)]
        for number, channel in enumerate(channels):
            assert channel.unary_unary(ECHO)(bytes([number]), timeout=20) == bytes([number])
        yield channels


@needs_epoll
def test_there_is_no_thread_for_each(server: BlockingServer, channels: list[BlockingChannel]) -> None:
    for number, channel in enumerate(channels * 3):  # by now those that were there before they were many share as well
        assert channel.unary_unary(ECHO)(bytes([number]), timeout=20) == bytes([number])
    until(lambda: readers().count("puregrpc readers") == together.THREADS)
    peers = {session.peer for session in server.snapshot().connections}
    assert len(peers) == len(channels)
    until(lambda: not any(peer in name for name in readers() for peer in peers))


def test_streams(channels: list[BlockingChannel]) -> None:
    for channel in channels:
        sent = [b"%d" % number for number in range(20)]
        assert list(channel.stream_stream(CHAT)(iter(sent), timeout=20)) == sent


def test_whoever_takes_nothing_keeps_nobody_waiting(channels: list[BlockingChannel]) -> None:
    slow, quick = channels[:2]
    call = slow.unary_stream(LARGE)(b"", timeout=20)
    for number in range(50):
        assert quick.unary_unary(ECHO)(bytes([number]), timeout=20) == bytes([number])
    assert sum(len(message) for message in call) == 4_000_000


def test_deadlines_where_nothing_comes(server: BlockingServer, channels: list[BlockingChannel]) -> None:
    with pytest.raises(RpcError) as caught:
        channels[0].unary_unary(STUCK)(b"", timeout=0.1)
    assert caught.value.code == StatusCode.DEADLINE_EXCEEDED
    until(lambda: not any(session.connection.calls for session in server.snapshot().connections))


def test_input_in_pieces_and_the_end(server: BlockingServer, channels: list[BlockingChannel]) -> None:
    address = server.addresses[0].rpartition(":")
    with socket.create_connection((address[0], int(address[2])), 20) as sock:
        for octet in PREFACE + frame(4, 0, 0, b"") + frame(6, 0, 0, bytes(8)):
            sock.sendall(bytes([octet]))
        found = b""
        while frame(6, 1, 0, bytes(8)) not in found:
            found += sock.recv(4096)
        until(lambda: len(server.snapshot().connections) == len(channels) + 1)
    until(lambda: len(server.snapshot().connections) == len(channels))


@needs_epoll
def test_one_that_brings_more_than_there_is_time_for(server: BlockingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Turn, "is_over", lambda _turn: False)  # however slow the machine is
    with BlockingChannel(server.addresses[0]) as quiet, BlockingChannel(server.addresses[0]) as loud:
        for _ in range(3):
            assert quiet.unary_unary(ECHO)(b"x", timeout=20) == b"x"
        assert "puregrpc readers" not in readers()
        monkeypatch.setattr(Turn, "is_over", lambda _turn: True)
        assert loud.unary_unary(ECHO)(bytes(100_000), timeout=20) == bytes(100_000)
        monkeypatch.undo()
        until(lambda: "puregrpc readers" in readers())
        assert quiet.unary_unary(ECHO)(b"x", timeout=20) == b"x"


@needs_epoll
def test_they_end_and_begin_again(server: BlockingServer) -> None:
    for _ in range(2):
        with ExitStack() as stack:
            for _ in range(6):
                channel = stack.enter_context(BlockingChannel(server.addresses[0]))
                assert channel.unary_unary(ECHO)(b"x", timeout=20) == b"x"
            assert "puregrpc readers" in readers()
        until(lambda: "puregrpc readers" not in readers())


def test_the_end_of_the_server(server: BlockingServer, channels: list[BlockingChannel]) -> None:
    call = channels[0].unary_unary(STUCK).start(b"", timeout=20)
    until(lambda: any(session.connection.calls for session in server.snapshot().connections))
    server.stop(0.0)
    with pytest.raises(RpcError):
        call.result()


@pytest.mark.parametrize("lacks", ["epoll", "descriptors"])
def test_without_it_each_has_its_thread(server: BlockingServer, monkeypatch: pytest.MonkeyPatch, lacks: str) -> None:
    def fails() -> None:
        raise OSError(24, "too many open files")

    monkeypatch.setattr(together, "_new_epoll", None if lacks == "epoll" else fails)
    with ExitStack() as stack:
        for _ in range(6):
            channel = stack.enter_context(BlockingChannel(server.addresses[0]))
            assert channel.unary_unary(ECHO)(b"x", timeout=20) == b"x"
        assert "puregrpc readers" not in readers()


@needs_epoll
def test_a_fault_of_ours_ends_one_connection(
    server: BlockingServer, channels: list[BlockingChannel], monkeypatch: pytest.MonkeyPatch
) -> None:
    from puregrpc.transport.thread_session.reading import Reading

    real = Reading._act

    def act(reading: Reading, data: bytes) -> None:
        if b"poison" in data:
            raise ZeroDivisionError
        real(reading, data)

    monkeypatch.setattr(Reading, "_act", act)
    with pytest.raises(RpcError):
        channels[0].unary_unary(ECHO)(b"poison", timeout=20)
    for channel in channels[1:]:
        assert channel.unary_unary(ECHO)(b"x", timeout=20) == b"x"


@needs_epoll
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_of_fork_leaves_them_to_its_parent(server: BlockingServer, channels: list[BlockingChannel]) -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    for channel in channels:
        assert channel.unary_unary(ECHO)(b"x", timeout=20) == b"x"


@needs_epoll
def test_whose_turn_it_is() -> None:
    """Short turns come first; of those that had none and those that are long, one comes after the other."""
    from puregrpc.kernel.threads.kernel import ThreadKernel

    shared: Any = together.SharedReaders(ThreadKernel())
    shared._looked_at = time.monotonic() + 60
    for name, cost in (("long", 1.0), ("new", UNKNOWN_TURN), ("short", 0.0)):
        for number in range(2):
            seat: Any = together._Seat(f"{name} {number}", len(shared._seats))  # type: ignore[arg-type]
            seat.cost = cost
            shared._seats.add(seat)
            shared._queue(seat)
    order = [shared._take()[0].reading for _ in range(6)]
    assert order[:2] == ["short 0", "short 1"]
    assert sorted(order[2:4]) == ["long 0", "new 0"]
    assert sorted(order[4:]) == ["long 1", "new 1"]
