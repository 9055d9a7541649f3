"""What waits to be sent is bounded: handlers begin, and streams go on, when there is room for what they send."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import weakref
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.server.serving import IN_STYLES, TIMEOUT, make_server, serving
from tests.server.wire_client import connect_to
from tests.worlds import block_until

from puregrpc.errors import RpcError
from puregrpc.fuzz.frames.probe import (
    DATA,
    END_HEADERS,
    END_STREAM,
    GRPC_REQUEST,
    HEADERS,
    RST_STREAM,
    SETTINGS,
    Fields,
    block,
    frame,
    message,
    opening,
    window,
)
from puregrpc.server import Method, ServerConfig, Shape, in_place, room, stalls
from puregrpc.server.calls.resuming import resuming
from puregrpc.wire import EngineName
from puregrpc.wire.limits import MAX_UNSENT_OUTPUT, MOST_INFLATING, SEND_BUFFER_SIZE, SERVER_UNSENT
from puregrpc.wire.memory import MemoryBudget
from puregrpc.wire.status import StatusCode

ANSWER = 400_000
CALLS = 120


class Begun:
    """How many handlers have begun, and how many messages they have given."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.count = 0

    def one_more(self) -> None:
        with self._lock:
            self.count += 1


def methods(style: str, begun: Begun) -> list[Method]:
    if style == "async":

        async def large(_request: bytes, _context: Any) -> bytes:
            begun.one_more()
            return bytes(ANSWER)

        async def stream(_request: bytes, _context: Any) -> AsyncIterator[bytes]:
            for _ in range(4):
                begun.one_more()
                yield bytes(50_000)

        return [Method("/a.B/Unary", large), Method("/a.B/Stream", stream, Shape.SERVER_STREAM)]

    def plain_large(_request: bytes, _context: Any) -> bytes:
        begun.one_more()
        return bytes(ANSWER)

    def plain_stream(_request: bytes, _context: Any) -> Iterator[bytes]:
        for _ in range(4):
            begun.one_more()
            yield bytes(50_000)

    @in_place
    def large_in_place(request: bytes, context: Any) -> bytes:
        return plain_large(request, context)

    return [
        Method("/a.B/Unary", plain_large),
        Method("/a.B/InPlace", large_in_place),
        Method("/a.B/Stream", plain_stream, Shape.SERVER_STREAM),
    ]


def request(stream_id: int, name: str) -> bytes:
    fields: Fields = (*GRPC_REQUEST[:2], (b":path", b"/a.B/" + name.encode()), *GRPC_REQUEST[3:])
    head = frame(HEADERS, END_HEADERS, stream_id, block(fields))
    return head + frame(DATA, END_STREAM, stream_id, message(bytes(2000)))


def ended_streams(sock: socket.socket, count: int) -> int:
    """Read until so many streams have ended; gives how many octets of DATA came."""
    sock.settimeout(TIMEOUT)
    octets = b""
    total = 0
    while count:
        octets += sock.recv(1 << 18)
        while len(octets) >= 9 and len(octets) >= 9 + int.from_bytes(octets[:3], "big"):
            length = int.from_bytes(octets[:3], "big")
            total += length if octets[3] == DATA else 0
            assert octets[3] != RST_STREAM
            count -= octets[3] in (DATA, HEADERS) and octets[4] & END_STREAM
            octets = octets[9 + length :]
    return total


def settled(begun: Begun) -> int:
    """How many there are once there come no more."""
    before = -1
    while begun.count != before:
        before = begun.count
        time.sleep(0.2)
    return before


@IN_STYLES
@pytest.mark.parametrize("name", ["Unary", "InPlace"])
def test_handlers_wait_until_answers_are_taken(world: str, style: str, name: str) -> None:
    if name == "InPlace" and style == "async":
        pytest.skip("plain handlers alone run in place")
    begun = Begun()
    server = make_server(world, config=ServerConfig(engine="fast"))
    server.add_methods(methods(style, begun))
    with serving(server, world) as running, connect_to(running.address) as sock:
        sock.sendall(opening(INITIAL_WINDOW_SIZE=0) + b"".join(request(2 * n + 1, name) for n in range(CALLS)))
        block_until(lambda: begun.count * ANSWER >= MAX_UNSENT_OUTPUT)
        most = settled(begun)
        assert most < CALLS
        sock.sendall(frame(RST_STREAM, 0, 2 * CALLS - 1, bytes(4)))  # one that has not begun
        sock.sendall(frame(SETTINGS, 0, 0, b"\0\4\x7f\xff\xff\xff") + window(0, 1 << 30))
        assert ended_streams(sock, CALLS - 1) >= (CALLS - 1) * ANSWER
        assert begun.count == CALLS - 1


@IN_STYLES
@pytest.mark.parametrize("shape", [Shape.UNARY, Shape.BIDI])
def test_messages_are_inflated_when_there_is_room_for_answers(world: str, style: str, shape: Shape) -> None:
    """A thousand octets of each become megabytes, which the handler sends back."""
    begun = Begun()
    calls, size = 24, 4_000_000
    bomb = message(zlib.compress(bytes(size), 9), 1)
    server = make_server(world, config=ServerConfig(engine="fast", handler_threads=40))
    server.add_methods([Method("/a.B/Echo", echo(style, shape, begun), shape)])
    fields: Fields = (*GRPC_REQUEST[:2], (b":path", b"/a.B/Echo"), *GRPC_REQUEST[3:], (b"grpc-encoding", b"deflate"))
    with serving(server, world) as running, connect_to(running.address) as sock:
        sock.sendall(opening(INITIAL_WINDOW_SIZE=0))
        for stream_id in range(1, 2 * calls, 2):
            sock.sendall(
                frame(HEADERS, END_HEADERS, stream_id, block(fields)) + frame(DATA, END_STREAM, stream_id, bomb)
            )
        block_until(lambda: begun.count * size >= MAX_UNSENT_OUTPUT)
        # Plain handlers of a loop's server have begun with a few more before the loop has the answers of those.
        assert settled(begun) * size <= MAX_UNSENT_OUTPUT + 4 * MOST_INFLATING * size
        sock.sendall(frame(SETTINGS, 0, 0, b"\0\4\x7f\xff\xff\xff") + window(0, 1 << 30))
        assert ended_streams(sock, calls) >= calls * size
        assert begun.count == calls


BOMB_SIZE = 4_000_000
BOMB = message(zlib.compress(bytes(BOMB_SIZE), 9), 1)


def send_bombs(stack: ExitStack, address: str, connections: int) -> list[socket.socket]:
    """Connect so many times, and send on each a message that becomes large, whose answer is not taken."""
    fields: Fields = (*GRPC_REQUEST[:2], (b":path", b"/a.B/Echo"), *GRPC_REQUEST[3:], (b"grpc-encoding", b"deflate"))
    octets = frame(HEADERS, END_HEADERS, 1, block(fields)) + frame(DATA, END_STREAM, 1, BOMB)
    socks = [stack.enter_context(connect_to(address)) for _ in range(connections)]
    for sock in socks:
        sock.sendall(opening(INITIAL_WINDOW_SIZE=0) + octets)
    return socks


def take_answers(socks: list[socket.socket]) -> int:
    """Take all answers; gives their octets."""
    for sock in socks:
        sock.sendall(frame(SETTINGS, 0, 0, b"\0\4\x7f\xff\xff\xff") + window(0, 1 << 30))
    return sum(ended_streams(sock, 1) for sock in socks)


@IN_STYLES
@pytest.mark.parametrize("shape", [Shape.UNARY, Shape.BIDI])
@pytest.mark.parametrize("engine", ["fast", pytest.param("h2", marks=pytest.mark.slow)])
def test_many_connections_have_no_more_inflated_than_one(
    world: str, style: str, shape: Shape, engine: EngineName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "PATIENCE", 3600.0)
    monkeypatch.setattr(stalls, "STALL", 3600.0)
    begun = Begun()
    connections = 20
    server = make_server(world, config=ServerConfig(engine=engine, handler_threads=40))
    server.add_methods([Method("/a.B/Echo", echo(style, shape, begun), shape)])
    with serving(server, world) as running, ExitStack() as stack:
        socks = send_bombs(stack, running.address, connections)
        block_until(lambda: begun.count * BOMB_SIZE >= SERVER_UNSENT)
        assert settled(begun) * BOMB_SIZE <= SERVER_UNSENT + 4 * MOST_INFLATING * BOMB_SIZE
        assert take_answers(socks) >= connections * BOMB_SIZE
        assert begun.count == connections


@IN_STYLES
@pytest.mark.parametrize("shape", [Shape.UNARY, pytest.param(Shape.BIDI, marks=pytest.mark.slow)])
def test_a_message_that_becomes_large_waits_for_room_so_long(
    world: str, style: str, shape: Shape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "PATIENCE", 0.1)
    monkeypatch.setattr(stalls, "STALL", 3600.0)
    begun = Begun()
    server = make_server(world, config=ServerConfig(engine="fast", handler_threads=40))
    server.add_methods([Method("/a.B/Echo", echo(style, shape, begun), shape)])
    with serving(server, world) as running, ExitStack() as stack:
        socks = send_bombs(stack, running.address, 20)
        block_until(lambda: running.snapshot().calls_ended.get(StatusCode.RESOURCE_EXHAUSTED, 0) > 0)
        octets = take_answers(socks)
        assert begun.count < len(socks)
        assert begun.count * BOMB_SIZE <= octets < (begun.count + 1) * BOMB_SIZE


@IN_STYLES
@pytest.mark.parametrize("name", ["Unary", "InPlace"])
@pytest.mark.parametrize("engine", ["fast", pytest.param("h2", marks=pytest.mark.slow)])
def test_many_connections_have_no_more_large_answers_than_one(
    world: str, style: str, name: str, engine: EngineName, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "InPlace" and style == "async":
        pytest.skip("plain handlers alone run in place")
    monkeypatch.setattr(room, "PATIENCE", 3600.0)
    monkeypatch.setattr(stalls, "STALL", 3600.0)
    begun = Begun()
    connections, threads = 100, 4
    server = make_server(world, config=ServerConfig(engine=engine, handler_threads=threads))
    server.add_methods(methods(style, begun))
    with serving(server, world) as running, ExitStack() as stack:
        socks = [stack.enter_context(connect_to(running.address)) for _ in range(connections)]
        for sock in socks:
            sock.sendall(opening(INITIAL_WINDOW_SIZE=0) + request(1, name))
        block_until(lambda: (begun.count + 1) * ANSWER >= SERVER_UNSENT)
        assert settled(begun) * ANSWER <= SERVER_UNSENT + 3 * threads * ANSWER
        assert take_answers(socks) >= connections * ANSWER
        assert begun.count == connections


@IN_STYLES
@pytest.mark.parametrize("engine", ["fast", pytest.param("h2", marks=pytest.mark.slow)])
def test_connections_that_take_nothing_end_where_others_wait(
    world: str, style: str, engine: EngineName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stalls, "STALL", 0.3)
    begun = Begun()
    server = make_server(world, config=ServerConfig(engine=engine))
    server.add_methods(methods(style, begun))
    with serving(server, world) as running, ExitStack() as stack:
        socks = [stack.enter_context(connect_to(running.address)) for _ in range(100)]
        for sock in socks:
            sock.sendall(opening(INITIAL_WINDOW_SIZE=0) + request(1, "Unary"))
        block_until(lambda: begun.count * ANSWER >= SERVER_UNSENT)
        modest = stack.enter_context(connect_to(running.address))
        modest.sendall(opening(INITIAL_WINDOW_SIZE=0x7FFFFFFF) + window(0, 1 << 30) + request(1, "Unary"))
        assert ended_streams(modest, 1) >= ANSWER
        assert running.snapshot().calls_ended.get(StatusCode.RESOURCE_EXHAUSTED, 0) == 0


def echo(style: str, shape: Shape, begun: Begun) -> Any:
    """A handler that sends back what came."""

    async def one(request: bytes, _context: Any) -> bytes:
        begun.one_more()
        return request

    async def each(requests: Any, _context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            begun.one_more()
            yield request

    def plain_one(request: bytes, _context: Any) -> bytes:
        begun.one_more()
        return request

    def plain_each(requests: Any, _context: Any) -> Iterator[bytes]:
        for request in requests:
            begun.one_more()
            yield request

    if style == "async":
        return one if shape is Shape.UNARY else each
    return plain_one if shape is Shape.UNARY else plain_each


@IN_STYLES
def test_streams_wait_as_well(world: str, style: str) -> None:
    begun = Begun()
    calls = 200
    server = make_server(world, config=ServerConfig(engine="fast"))
    server.add_methods(methods(style, begun))
    with serving(server, world) as running, connect_to(running.address) as sock:
        sock.sendall(opening(INITIAL_WINDOW_SIZE=0) + b"".join(request(2 * n + 1, "Stream") for n in range(calls)))
        block_until(lambda: begun.count >= 80)
        most = settled(begun)
        assert most * 50_000 < 2 * MAX_UNSENT_OUTPUT
        sock.sendall(frame(SETTINGS, 0, 0, b"\0\4\x7f\xff\xff\xff") + window(0, 1 << 30))
        assert ended_streams(sock, calls) >= 4 * calls * 50_000
        assert begun.count == 4 * calls


@IN_STYLES
@pytest.mark.parametrize("name", ["Unary", "Stream"])
def test_handlers_that_answer_late_are_foreseen(
    world: str, style: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a method is known to give large answers, no more of its handlers begin than what they give has room for."""
    monkeypatch.setattr(room, "LOOKS", 1 << 30)
    begun, is_first, may_answer = Begun(), [True], threading.Event()

    def is_to_wait() -> bool:
        was_first, is_first[0] = is_first[0], False
        begun.one_more()
        return not was_first and not may_answer.is_set()

    async def late(_request: bytes, context: Any) -> bytes:
        waits = is_to_wait()
        while waits and not may_answer.is_set():
            await context.kernel.sleep(context.kernel.now() + 0.02)
        return bytes(ANSWER)

    async def stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield await late(request, context)

    def plain_late(_request: bytes, _context: Any) -> bytes:
        if is_to_wait():
            assert may_answer.wait(TIMEOUT)
        return bytes(ANSWER)

    def plain_stream(request: bytes, context: Any) -> Iterator[bytes]:
        yield plain_late(request, context)

    unary, many = (late, stream) if style == "async" else (plain_late, plain_stream)
    connections = 80
    server = make_server(world, config=ServerConfig(handler_threads=4))
    server.add_methods([Method("/a.B/Unary", unary), Method("/a.B/Stream", many, Shape.SERVER_STREAM)])
    with serving(server, world) as running, ExitStack() as stack:
        stack.callback(may_answer.set)
        socks = [stack.enter_context(connect_to(running.address)) for _ in range(connections)]
        for index, sock in enumerate(socks):
            sock.sendall(opening(INITIAL_WINDOW_SIZE=0x7FFFFFFF) + window(0, 1 << 30) + request(1, name))
            if not index:
                assert ended_streams(sock, 1) >= ANSWER
        block_until(lambda: begun.count * ANSWER >= SERVER_UNSENT)
        assert settled(begun) * ANSWER <= SERVER_UNSENT + 10 * ANSWER
        may_answer.set()
        for sock in socks[1:]:
            assert ended_streams(sock, 1) >= ANSWER
        assert begun.count == connections


class Serving:
    """A call, as `room.Foreseen` knows it."""

    def __init__(self, *, has_thread: bool = False) -> None:
        self.session = SimpleNamespace(room=SimpleNamespace(foreseen=0))
        self.has_thread = has_thread


def test_what_is_foreseen_counts_until_it_is_sent_or_its_handler_takes_long() -> None:
    budget = MemoryBudget(unsent=1 << 20)
    foreseen = room.Foreseen(budget)
    calls: Any = [Serving(), Serving(), Serving()]
    foreseen.add(calls[0], 1 << 19)
    assert not foreseen.is_full
    foreseen.add(calls[0], 1000)  # it is small after all
    assert not foreseen.calls
    for call in calls[:2]:
        foreseen.add(call, 1 << 19)
    assert foreseen.is_full
    assert not foreseen.is_unsent_full
    foreseen.drop(calls[0])
    assert not foreseen.is_full
    for _ in range(room.LOOKS - 1):
        foreseen.look()
    foreseen.add(calls[2], 1 << 19)
    assert foreseen.is_full
    foreseen.look()
    assert list(foreseen.calls) == calls[2:]
    assert not foreseen.is_full


def test_what_is_foreseen_of_handlers_with_threads_counts_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LATE", 3600.0)
    budget = MemoryBudget(unsent=1 << 20)
    foreseen = room.Foreseen(budget)
    calls: Any = [Serving(has_thread=True) for _ in range(4)]
    for call in calls[:2]:
        foreseen.add(call, 1 << 19)
    for _ in range(room.LOOKS):
        foreseen.look()
    assert not foreseen.is_full
    assert list(foreseen.late) == calls[:2]
    assert calls[0].session.room.foreseen == 1 << 19
    for call in calls[2:]:
        foreseen.add(call, 1 << 19)
    for _ in range(room.LOOKS):
        foreseen.look()
    assert foreseen.is_full
    foreseen.drop(calls[0])
    assert not foreseen.is_full
    assert calls[0].session.room.foreseen == 0
    monkeypatch.setattr(room, "LATE", 0.0)
    foreseen.look()
    assert foreseen.is_empty
    assert [call.session.room.foreseen for call in calls] == [0] * 4


def test_calls_that_wait_do_not_go_on_all_at_once() -> None:
    """What each is about to send counts as soon as it may go on, not only once it has begun."""
    foreseen = room.Foreseen(MemoryBudget(unsent=1 << 20))
    gone: list[Any] = []

    class Waiting(Serving):
        kept_octets = 0
        has_begun = False
        route = SimpleNamespace(expected_answer=1 << 19)

        def __init__(self) -> None:
            super().__init__()
            wire = SimpleNamespace(is_send_full=False, unsent=0)
            self.session = SimpleNamespace(
                wire=wire,
                foreseen=foreseen,
                kernel=SimpleNamespace(now=lambda: 0.0),
                connections=SimpleNamespace(lookout=SimpleNamespace(watch=lambda _session: None)),
            )
            self.session.room = room.Room(cast("Any", wire))

        def go_on(self) -> None:
            gone.append(self)

    calls: Any = [Waiting() for _ in range(6)]
    for call in calls:
        call.session.room.wait(call)
    for call in calls:
        call.session.room.look()
    assert gone == calls[:2]
    foreseen.drop(calls[0])
    for call in calls:
        call.session.room.look()
    assert gone == calls[:3]
    calls[1].session.room.wait(calls[1])  # after all
    assert not foreseen.expects(calls[1])


@IN_STYLES
def test_answers_within_what_is_guaranteed_wait_for_those_of_their_connection(
    world: str, style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the others fill what may wait, a second answer of 20,000 octets does not fit beside one."""
    monkeypatch.setattr(stalls, "STALL", 3600.0)
    begun = Begun()
    size, connections, calls = 20_000, 20, 8
    server = make_server(world, config=ServerConfig(max_memory=2 << 20, handler_threads=2))
    server.add_methods([Method("/a.B/Echo", echo(style, Shape.UNARY, begun))])
    fields: Fields = (*GRPC_REQUEST[:2], (b":path", b"/a.B/Echo"), *GRPC_REQUEST[3:])
    unsent = (2 << 20) * 2 // 5

    def ask(sock: socket.socket, stream_id: int) -> None:
        octets = message(bytes(size))
        sock.sendall(frame(HEADERS, END_HEADERS, stream_id, block(fields)))
        sock.sendall(frame(DATA, 0, stream_id, octets[:16_000]) + frame(DATA, END_STREAM, stream_id, octets[16_000:]))

    with serving(server, world) as running, ExitStack() as stack:
        full = stack.enter_context(connect_to(running.address))
        full.sendall(opening(INITIAL_WINDOW_SIZE=0) + window(0, 1 << 30))
        while begun.count * size < unsent:
            before = begun.count
            ask(full, 2 * before + 1)
            block_until(lambda before=before: begun.count > before)
        before = settled(begun)
        socks = [stack.enter_context(connect_to(running.address)) for _ in range(connections)]
        for sock in socks:
            sock.sendall(opening(INITIAL_WINDOW_SIZE=0))
            for stream_id in range(1, 2 * calls, 2):
                ask(sock, stream_id)
        block_until(lambda: begun.count >= before + connections)
        assert settled(begun) <= before + connections
        full.close()
        for sock in socks:
            sock.sendall(frame(SETTINGS, 0, 0, b"\0\4\x7f\xff\xff\xff") + window(0, 1 << 30))
        assert sum(ended_streams(sock, calls) for sock in socks) >= connections * calls * size


@pytest.mark.parametrize("world", ["trio", "asyncio"])
@pytest.mark.parametrize("name", ["Unary", "Stream"])
def test_async_handlers_go_on_when_there_is_room_for_their_answers(
    world: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows of their method, when they begin, that its answers are large."""
    monkeypatch.setattr(stalls, "STALL", 3600.0)
    begun, answered = Begun(), Begun()
    may_answer = threading.Event()

    async def late(_request: bytes, context: Any) -> bytes:
        begun.one_more()
        while not may_answer.is_set():
            await context.kernel.sleep(context.kernel.now() + 0.02)
        answered.one_more()
        return bytes(ANSWER)

    async def stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield await late(request, context)

    connections = 100
    server = make_server(world)
    server.add_methods([Method("/a.B/Unary", late), Method("/a.B/Stream", stream, Shape.SERVER_STREAM)])
    with serving(server, world) as running, ExitStack() as stack:
        socks = [stack.enter_context(connect_to(running.address)) for _ in range(connections)]
        for sock in socks:
            sock.sendall(opening(INITIAL_WINDOW_SIZE=0) + request(1, name))
        block_until(lambda: begun.count == connections)
        may_answer.set()
        block_until(lambda: (answered.count + 1) * ANSWER >= SERVER_UNSENT)
        assert settled(answered) * ANSWER <= SERVER_UNSENT + 2 * ANSWER
        assert take_answers(socks) >= connections * ANSWER
        assert answered.count == connections


@pytest.mark.slow
@pytest.mark.parametrize("world", ["trio", "asyncio"])
def test_a_server_ends_while_handlers_wait_for_room(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stalls, "STALL", 3600.0)
    monkeypatch.setattr(room, "PATIENCE", 3600.0)
    begun, over = Begun(), Begun()

    async def late(_request: bytes, context: Any) -> bytes:
        begun.one_more()
        try:
            await context.kernel.sleep(context.kernel.now() + 0.02)
            return bytes(ANSWER)
        finally:
            over.one_more()

    connections = 60
    server = make_server(world)
    server.add_methods([Method("/a.B/Unary", late)])
    with ExitStack() as stack:
        with serving(server, world) as running:
            for _ in range(connections):
                sock = stack.enter_context(connect_to(running.address))
                sock.sendall(opening(INITIAL_WINDOW_SIZE=0) + request(1, "Unary"))
            block_until(lambda: (over.count + 1) * ANSWER >= SERVER_UNSENT)
            settled(over)
        assert over.count == begun.count


class Answering:
    """A call of a method with large answers, and how often it waited for room."""

    expects_large_answer = True

    def __init__(self, problem: Exception | None = None) -> None:
        self.waits = 0
        self._problem = problem

    def lacks_room_to_answer(self) -> bool:
        return True

    async def wait_to_answer(self) -> None:
        await asyncio.sleep(0)
        self.waits += 1
        if self._problem is not None:
            raise self._problem


class Iterated:
    """An awaitable of the plainest kind: iterators need neither ``send`` nor ``throw``."""

    def __init__(self) -> None:
        self._left = 2

    def __await__(self) -> Iterator[None]:
        return self

    def __iter__(self) -> Iterator[None]:
        return self

    def __next__(self) -> None:
        if not self._left:
            raise StopIteration("done")
        self._left -= 1


async def late(seconds: float) -> str:
    """What a handler does that has a time-out of its own."""
    try:
        await asyncio.wait_for(asyncio.sleep(seconds), 0.01)
    except asyncio.TimeoutError:
        return "too late"
    return "in time"


@pytest.mark.parametrize(
    ("awaitable", "result", "waits"),
    [
        (Iterated, "done", 2),
        (partial(late, 0.0), "in time", None),
        (partial(late, 60.0), "too late", None),
        (partial(asyncio.sleep, 0, "slept"), "slept", 1),
        (partial(asyncio.sleep, 0.001, "slept"), "slept", 1),
    ],
    ids=["iterator", "in time", "too late", "a turn", "slept"],
)
def test_what_waits_goes_on_as_it_would(awaitable: Any, result: str, waits: int | None) -> None:
    call = Answering()

    async def run() -> Any:
        return await resuming(call, awaitable())

    assert asyncio.run(run()) == result
    assert call.waits == waits or (waits is None and call.waits)


def test_an_end_without_room_is_raised_where_the_handler_waits() -> None:
    seen: list[BaseException] = []

    async def handler() -> None:
        try:
            await asyncio.sleep(0)
        except RpcError as error:
            seen.append(error)
            raise

    async def run() -> None:
        await resuming(Answering(RpcError(StatusCode.RESOURCE_EXHAUSTED, "no room")), handler())

    with pytest.raises(RpcError):
        asyncio.run(run())
    assert len(seen) == 1


def test_a_handler_that_is_given_up_is_closed() -> None:
    closed: list[bool] = []

    async def handler() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            closed.append(True)

    steps = resuming(Answering(), handler())

    async def run() -> None:
        next(steps)
        steps.close()

    asyncio.run(run())
    assert closed == [True]


class Kept:
    """A response, which can be looked after."""


@IN_STYLES
@pytest.mark.parametrize("waits_for", ["handler", "window"])
def test_a_stream_that_waits_does_not_keep_its_last_response(world: str, style: str, waits_for: str) -> None:
    given: list[weakref.ref[Kept]] = []
    may_end = threading.Event()

    def new() -> Kept:
        response = Kept()
        given.append(weakref.ref(response))
        return response

    async def stream(_request: bytes, context: Any) -> AsyncIterator[Kept]:
        yield new()
        while not may_end.is_set():
            await context.kernel.sleep(context.kernel.now() + 0.02)

    def plain_stream(_request: bytes, _context: Any) -> Iterator[Kept]:
        yield new()
        assert may_end.wait(TIMEOUT)

    handler = stream if style == "async" else plain_stream
    data = b"x" if waits_for == "handler" else bytes(3 * SEND_BUFFER_SIZE)
    server = make_server(world)
    server.add_methods([Method("/a.B/Stream", handler, Shape.SERVER_STREAM, serializer=lambda _: data)])
    with serving(server, world) as running, ExitStack() as stack:
        stack.callback(may_end.set)
        sock = stack.enter_context(connect_to(running.address))
        sock.sendall(opening() + request(1, "Stream"))
        block_until(lambda: bool(given))
        block_until(lambda: given[0]() is None)
        may_end.set()
        sock.sendall(window(0, len(data)) + window(1, len(data)))
        assert ended_streams(sock, 1) == len(message(data))
