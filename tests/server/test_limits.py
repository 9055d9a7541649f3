"""The limits of a server: connections, calls, age, idle time, and what may wait."""

from __future__ import annotations

import socket
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2
from tests.server.serving import (
    ENGINES,
    IN_STYLES,
    ON_WORLDS,
    TIMEOUT,
    channel_to,
    echo_server,
    serving,
    sleep,
    status_of,
    style_of,
)
from tests.server.test_lifecycle import Gate, code_of, future, gate_server
from tests.server.wire_client import WireClient, connect_to
from tests.worlds import block_until

from puregrpc.errors import DecodeError
from puregrpc.proto.compiler import compile_files
from puregrpc.server import Context, Method, Server, ServerConfig, Shape


def own_connection(address: str) -> grpc.Channel:
    """A channel that shares its connection with no other."""
    return grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])


@ENGINES
@ON_WORLDS
def test_connections_over_the_limit_wait_for_their_turn(world: str, engine: Any) -> None:
    config = ServerConfig(max_connections=1, engine=engine)
    with serving(echo_server(world, config=config), world) as running:
        first = own_connection(running.address)
        assert first.unary_unary("/test.Echo/Unary")(b"1") == b"1"
        with own_connection(running.address) as second:
            call = second.unary_unary("/test.Echo/Unary")
            assert status_of(lambda: call(b"2", timeout=0.3, wait_for_ready=True))[0].value[0] == 4
            first.close()
            assert call(b"2", wait_for_ready=True, timeout=TIMEOUT) == b"2"


@ENGINES
@IN_STYLES
def test_calls_over_the_servers_limit_end_with_resource_exhausted(world: str, style: str, engine: Any) -> None:
    gate, server = gate_server(world, style, max_concurrent_calls=1, engine=engine)
    with channel_to(server, world) as channel:
        call = future(channel)
        assert gate.begun.wait(15)
        for shape in ("unary_unary", "stream_stream"):
            other = getattr(channel, shape)("/test.Echo/Unary" if shape == "unary_unary" else "/test.Echo/Bidi")
            request: Any = b"x" if shape == "unary_unary" else iter([b"x"])
            code, text = status_of(lambda other=other, request=request: [*other(request, timeout=TIMEOUT)])
            assert (code.value[0], text) == (8, "the server handles 1 calls at once")
        gate.go_on.set()
        assert call.result() == b"x"
        assert channel.unary_unary("/test.Echo/Unary")(b"x", timeout=TIMEOUT) == b"x"


@IN_STYLES
def test_every_end_of_a_call_makes_room_for_the_next(world: str, style: str) -> None:
    """Whatever ends a call: its answer, a fault, too many requests or none, its deadline, its client."""

    def fail(request: bytes, context: Context) -> bytes:
        raise ValueError

    gate = Gate(style)
    methods = [
        gate.method(),
        Method("/test.E/Fail", fail),
        Method("/test.E/InPlace", lambda request, context: request, in_place=True),
    ]
    server = echo_server(world, *methods, style=style, config=ServerConfig(max_concurrent_calls=1))
    with serving(server, world) as running, grpc.insecure_channel(running.address) as channel:

        def works() -> bool:
            try:
                return bool(channel.unary_unary("/test.Echo/Unary")(b"x", timeout=TIMEOUT) == b"x")
            except grpc.RpcError:
                return False

        for _ in range(2):
            list(channel.stream_stream("/test.Echo/Bidi")(iter([b"a", b"b"])))
            list(channel.unary_stream("/test.Echo/ServerStream")(b"a"))
            channel.stream_unary("/test.Echo/ClientStream")(iter([b"a"]))
            channel.unary_unary("/test.E/InPlace")(b"a")
            for requests in ([], [b"a", b"a"]):
                call = channel.stream_unary("/test.Echo/Unary")
                assert status_of(lambda call=call, requests=requests: call(iter(requests)))[0].value[0] == 12
            assert status_of(lambda: channel.unary_unary("/test.E/Fail")(b""))[0].value[0] == 2
            assert status_of(lambda: channel.unary_unary("/test.E/Unknown")(b""))[0].value[0] == 12
            call = channel.unary_unary("/test.Gate/Wait")
            assert status_of(lambda call=call: call(b"", timeout=0.05))[0].value[0] == 4
            block_until(works)
            gate.begun.clear()
            waiting = channel.unary_unary("/test.Gate/Wait").future(b"")
            assert gate.begun.wait(15)
            waiting.cancel()
            block_until(works)
        with WireClient(running.address) as client:  # it leaves before it has sent a request
            before = running.snapshot().calls_started
            client.open("/test.Echo/Unary", end=False)
            block_until(lambda: running.snapshot().calls_started > before)
            assert not works()
        block_until(works)


def test_maximum_concurrent_rpcs() -> None:
    gate = Gate("plain")
    server = echo_server("threads", gate.method(), maximum_concurrent_rpcs=2)
    with channel_to(server, "threads") as channel:
        calls = [future(channel) for _ in range(2)]
        block_until(lambda: server.snapshot().calls_started == 2)
        assert status_of(lambda: channel.unary_unary("/test.Echo/Unary")(b"x"))[0].value[0] == 8
        gate.go_on.set()
        assert [call.result() for call in calls] == [b"x"] * 2


@ENGINES
@IN_STYLES
def test_calls_over_a_connections_limit_queue_in_the_client(world: str, style: str, engine: Any) -> None:
    at_once = 0
    most = 0
    lock = threading.Lock()
    all_are_here = threading.Event()

    def count(change: int) -> None:
        nonlocal at_once, most
        with lock:
            at_once += change
            most = max(most, at_once)
            if most >= 3:
                all_are_here.set()

    async def handler(request: bytes, context: Context) -> bytes:
        count(1)
        await sleep(0.01)
        for _ in range(500):
            if all_are_here.is_set():
                break
            await sleep(0.01)
        count(-1)
        return request

    def plain_handler(request: bytes, context: Context) -> bytes:
        count(1)
        time.sleep(0.01)
        all_are_here.wait(5)
        count(-1)
        return request

    method = Method("/test.C/Count", handler if style == "async" else plain_handler)
    server = echo_server(world, method, config=ServerConfig(max_concurrent_streams=3, engine=engine))
    with channel_to(server, world) as channel:
        channel.unary_unary("/test.Echo/Unary")(b"")
        calls = [channel.unary_unary("/test.C/Count").future(b"x", timeout=TIMEOUT) for _ in range(20)]
        assert [call.result() for call in calls] == [b"x"] * 20
    assert most == 3


@ON_WORLDS
def test_threads_are_as_many_as_was_said(world: str) -> None:
    at_once = 0
    most = 0
    lock = threading.Lock()

    def handler(request: bytes, context: Context) -> bytes:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.01)
        with lock:
            at_once -= 1
        return threading.current_thread().name.encode()

    server = echo_server(world, Method("/test.C/Count", handler), config=ServerConfig(handler_threads=3))
    with channel_to(server, world) as channel:
        calls = [channel.unary_unary("/test.C/Count").future(b"x", timeout=TIMEOUT) for _ in range(20)]
        names = {call.result() for call in calls}
    assert most == len(names) == 3


@ON_WORLDS
def test_what_waits_for_a_thread_is_forgotten_when_it_is_over(world: str) -> None:
    """Calls that are cancelled before their turn leave nothing behind, and their handlers never run."""
    release = threading.Event()
    ran: list[bytes] = []

    def handler(request: bytes, context: Context) -> bytes:
        ran.append(request)
        release.wait(TIMEOUT)
        return request

    server = echo_server(world, Method("/test.C/Call", handler), config=ServerConfig(handler_threads=1))
    with serving(server, world) as running, grpc.insecure_channel(running.address) as channel:
        call = channel.unary_unary("/test.C/Call")
        first = call.future(b"first")
        block_until(lambda: ran)
        others = [call.future(b"other") for _ in range(20)]
        block_until(lambda: running.snapshot().calls_started == 21)
        pool = running.server._connections.threads._pool

        def waiting() -> int:
            return sum(len(share.waiting) for share in (*pool._starving, *pool._queue))

        block_until(lambda: waiting() == 20)
        for other in others:
            other.cancel()
        block_until(lambda: not waiting())
        release.set()
        assert first.result(timeout=TIMEOUT) == b"first"
    assert ran == [b"first"]


@ENGINES
@ON_WORLDS
def test_age_and_idle_time_are_limited(world: str, engine: Any) -> None:
    for config in (
        ServerConfig(engine=engine, max_connection_age=0.1, max_connection_age_grace=0.1),
        ServerConfig(engine=engine, max_connection_idle=0.1),
        ServerConfig(engine=engine, max_connection_idle=0.1, max_connection_age=100),
    ):
        with serving(echo_server(world, config=config), world) as running, WireClient(running.address) as client:
            assert client.call("/test.Echo/Unary", b"1").messages == [b"1"]
            while client.closed is None:
                client.read()
            client.socket.close()
            assert client.going_away is not None
            assert ("max_age" if config.max_connection_idle is None else "max_idle") in client.going_away
            block_until(lambda: not running.snapshot().connections)
            with own_connection(running.address) as channel:
                assert channel.unary_unary("/test.Echo/Unary")(b"2", timeout=TIMEOUT, wait_for_ready=True) == b"2"


@ON_WORLDS
def test_ages_of_connections_that_are_over_are_forgotten(world: str) -> None:
    config = ServerConfig(max_connection_idle=1000, max_connection_age=1000)
    with serving(echo_server(world, config=config), world) as running:
        for _ in range(5):
            with WireClient(running.address) as client:
                client.call("/test.Echo/Unary", b"x")
        block_until(lambda: not running.snapshot().connections)
        assert not running.server._connections._ageing._lives


@ENGINES
@IN_STYLES
def test_age_grace_ends_calls(world: str, style: str, engine: Any) -> None:
    gate, server = gate_server(world, style, engine=engine, max_connection_age=0.05, max_connection_age_grace=0.05)
    with channel_to(server, world) as channel:
        assert code_of(future(channel)) == 14
        assert gate.ended.wait(15)
    assert gate.cancelled == [True]


@ENGINES
@ON_WORLDS
def test_a_client_that_says_nothing_is_let_go(world: str, engine: Any) -> None:
    config = ServerConfig(engine=engine, handshake_timeout=0.1)
    with serving(echo_server(world, config=config), world) as running:
        with connect_to(running.address) as client:
            while client.recv(65536):
                pass
        block_until(lambda: not running.snapshot().connections)


@ENGINES
@IN_STYLES
def test_loss_of_the_connection_cancels_its_handlers(world: str, style: str, engine: Any) -> None:
    gate, server = gate_server(world, style, engine=engine)
    with serving(server, world) as running:
        client = WireClient(running.address)
        client.open("/test.Gate/Wait", b"x")
        assert gate.begun.wait(15)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
        client.socket.close()
        assert gate.ended.wait(15)
        with grpc.insecure_channel(running.address) as channel:
            assert channel.unary_unary("/test.Echo/Unary")(b"x") == b"x"
    assert gate.cancelled == [True]


@ENGINES
@IN_STYLES
def test_a_reader_that_stalls_holds_up_its_own_stream_alone(world: str, style: str, engine: Any) -> None:
    sent = 0

    async def flood(request: bytes, context: Context) -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            yield bytes(50_000)
            sent += 1

    def plain_flood(request: bytes, context: Context) -> Iterator[bytes]:
        nonlocal sent
        while True:
            yield bytes(50_000)
            sent += 1

    method = Method("/test.F/Flood", flood if style == "async" else plain_flood, Shape.SERVER_STREAM)
    with channel_to(echo_server(world, method, config=ServerConfig(engine=engine)), world) as channel:
        stalled = channel.unary_stream("/test.F/Flood")(b"")
        next(stalled)
        time.sleep(0.5)
        before = sent
        assert before * 50_000 < 40_000_000
        for _ in range(20):
            assert channel.unary_unary("/test.Echo/Unary")(b"x" * 1000) == b"x" * 1000
        assert sent * 50_000 < 80_000_000  # grpcio widens the window of a stalled stream
        stalled.cancel()


@ENGINES
@IN_STYLES
def test_a_handler_that_stalls_holds_up_its_own_stream_alone(world: str, style: str, engine: Any) -> None:
    release = threading.Event()

    async def never_reads(requests: AsyncIterator[bytes], context: Context) -> bytes:
        await sleep(TIMEOUT)
        return b""

    def never_reads_plainly(requests: Iterator[bytes], context: Context) -> bytes:
        release.wait(TIMEOUT)
        return b""

    method = Method("/test.N/Never", never_reads if style == "async" else never_reads_plainly, Shape.CLIENT_STREAM)
    server = echo_server(world, method, config=ServerConfig(engine=engine))
    with channel_to(server, world) as channel:
        sent = 0

        def requests() -> Iterator[bytes]:
            nonlocal sent
            while not release.is_set():
                sent += 50_000
                yield bytes(50_000)

        stalled = channel.stream_unary("/test.N/Never").future(requests())
        time.sleep(0.5)
        assert sent < 40_000_000
        for _ in range(20):
            assert channel.unary_unary("/test.Echo/Unary")(b"x" * 1000) == b"x" * 1000
        stalled.cancel()
        release.set()


@pytest.mark.slow
@ENGINES
@pytest.mark.parametrize("shape", [Shape.UNARY, Shape.CLIENT_STREAM])
@IN_STYLES
def test_compressed_messages_that_wait_take_no_more_memory_than_they_came_in(
    world: str, style: str, engine: Any, shape: Shape
) -> None:
    """A thousandfold as much they would take inflated, on each of a thousand streams."""
    goes_on = threading.Event()

    async def reads_late(requests: AsyncIterator[bytes], context: Context) -> bytes:
        while not goes_on.is_set():
            await sleep(0.01)
        return str([len(request) async for request in requests]).encode()

    def reads_late_plainly(requests: Iterator[bytes], context: Context) -> bytes:
        goes_on.wait(TIMEOUT)
        return str([len(request) for request in requests]).encode()

    async def at_once(request: bytes, context: Context) -> bytes:
        return str([len(request)]).encode()

    def at_once_plainly(request: bytes, context: Context) -> bytes:
        return str([len(request)]).encode()

    handlers: dict[Any, Any] = {
        (Shape.UNARY, "async"): at_once,
        (Shape.UNARY, "plain"): at_once_plainly,
        (Shape.CLIENT_STREAM, "async"): reads_late,
        (Shape.CLIENT_STREAM, "plain"): reads_late_plainly,
    }
    messages = 1 if shape is Shape.UNARY else 4
    method = Method("/test.N/Bomb", handlers[shape, style], shape)
    with (
        serving(echo_server(world, method, config=ServerConfig(engine=engine)), world) as running,
        WireClient(running.address) as client,
    ):
        client.call("/test.Echo/Unary", b"")
        tracemalloc.start()
        try:
            calls = [client.open("/test.N/Bomb", end=False, encoding="gzip") for _ in range(5)]
            zeros = bytes(4 << 20)
            for call in calls:
                for _ in range(messages):
                    client.connection.send_message(call, zeros)
                    client.push()
            del zeros
            assert client.call("/test.Echo/Unary", b"behind it all").messages == [b"behind it all"]
            current, _ = tracemalloc.get_traced_memory()
            assert current < 3 << 20
        finally:
            tracemalloc.stop()
        goes_on.set()
        client.connection.half_close(calls[0])
        client.push()
        assert client.finish(calls[0]).messages == [str([4 << 20] * messages).encode()]


@pytest.mark.slow
@ENGINES
@IN_STYLES
def test_a_large_message_that_waits_leaves_room_for_the_next(world: str, style: str, engine: Any) -> None:
    goes_on = threading.Event()

    async def reads_late(requests: AsyncIterator[bytes], context: Context) -> bytes:
        while not goes_on.is_set():
            await sleep(0.01)
        return str([len(request) async for request in requests]).encode()

    def reads_late_plainly(requests: Iterator[bytes], context: Context) -> bytes:
        goes_on.wait(TIMEOUT)
        return str([len(request) for request in requests]).encode()

    method = Method("/test.N/Late", reads_late if style == "async" else reads_late_plainly, Shape.CLIENT_STREAM)
    config = ServerConfig(engine=engine, max_receive_message_size=100 << 20)
    with serving(echo_server(world, method, config=config), world) as running:
        with grpc.insecure_channel(running.address, [("grpc.max_send_message_length", -1)]) as channel:
            call = channel.stream_unary("/test.N/Late").future(iter([bytes(70 << 20), b"more"]))
            time.sleep(0.3)
            goes_on.set()
            assert call.result(timeout=TIMEOUT) == b"[73400320, 4]"


@ON_WORLDS
def test_many_connections_that_come_and_go(world: str) -> None:
    server = echo_server(world, style=style_of(world))
    with serving(server, world) as running:
        for _ in range(100):
            with connect_to(running.address) as sock:
                sock.sendall(b"x")
        clients = [WireClient(running.address) for _ in range(20)]
        for client in clients:
            assert client.call("/test.Echo/Unary", b"x").messages == [b"x"]
        assert len(running.snapshot().connections) >= 20
        for client in clients:
            client.socket.close()
        block_until(lambda: not running.snapshot().connections)
        snapshot = running.snapshot()
        assert (snapshot.calls_started, snapshot.calls_ended) == (20, {0: 20})


def test_elements_of_a_request() -> None:
    """Few bytes may be many dicts: what is made of them is bounded."""
    data = descriptor_pb2.FileDescriptorProto(
        name="a.proto", message_type=[descriptor_pb2.DescriptorProto()] * 20
    ).SerializeToString()
    for limit in (10, 1 << 20):
        server = Server(config=ServerConfig(max_elements=limit))
        for file in compile_files(["google/protobuf/descriptor.proto"]):
            server.registry.add_file(file)
        descriptor = server.registry.message("google.protobuf.FileDescriptorProto")
        if limit > 20:
            assert len(server.codec.decode(descriptor, data)["messageType"]) == 20
        else:
            with pytest.raises(DecodeError, match="max_elements"):
                server.codec.decode(descriptor, data)
