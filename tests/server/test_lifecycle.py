"""How a server starts, stops and drains, in all worlds."""

from __future__ import annotations

import asyncio
import errno
import gc
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from os import getpid, kill
from pathlib import Path
from typing import Any

import grpc
import pytest
import trio
from tests.server.serving import (
    ENGINES,
    IN_STYLES,
    ON_LOOPS,
    ON_WORLDS,
    TIMEOUT,
    channel_to,
    echo_server,
    in_thread,
    make_server,
    run,
    serving,
    sleep,
    status_of,
    style_of,
    until,
)
from tests.server.wire_client import WireClient, connect_to
from tests.worlds import block_until

from puregrpc.errors import ConnectError, InvalidArgument, LocalProtocolError
from puregrpc.fuzz.frames.probe import (
    DATA,
    END_HEADERS,
    END_STREAM,
    GRPC_REQUEST,
    HEADERS,
    OPENING,
    block,
    frame,
    message,
)
from puregrpc.kernel.network.streams import SocketStream
from puregrpc.server import BlockingServer, Context, Method, Server, ServerConfig, stop_on_signal


class Gate:
    """A handler that says when it has begun and goes on when it is let."""

    def __init__(self, style: str) -> None:
        self.style = style
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.cancelled: list[bool] = []
        self.ended = threading.Event()

    async def handle(self, request: bytes, context: Context) -> bytes:
        self.begun.set()
        try:
            while not self.go_on.is_set():
                await sleep(0.005)
        except BaseException:
            self.cancelled.append(context.cancelled)
            self.ended.set()
            raise
        return request

    def handle_plainly(self, request: bytes, context: Context) -> bytes:
        self.begun.set()
        while not self.go_on.is_set():
            if context.cancelled:
                self.cancelled.append(True)
                self.ended.set()
                break
            time.sleep(0.005)
        return request

    def method(self) -> Method:
        return Method("/test.Gate/Wait", self.handle if self.style == "async" else self.handle_plainly)


def gate_server(world: str, style: str = "", **config: Any) -> tuple[Gate, Any]:
    gate = Gate(style or style_of(world))
    return gate, echo_server(world, gate.method(), config=ServerConfig(**config))


def future(channel: grpc.Channel) -> Any:
    """A call to the gate that goes on."""
    return channel.unary_unary("/test.Gate/Wait").future(b"x", timeout=TIMEOUT)


def code_of(call: Any) -> int:
    code, _ = status_of(call.result)
    number: int = code.value[0]
    return number


def cannot_connect(address: str) -> bool:
    try:
        connect_to(address).close()
    except OSError:
        return True
    return False


@ENGINES
@IN_STYLES
def test_stop_lets_calls_finish_and_takes_no_new_ones(world: str, style: str, engine: Any) -> None:
    gate, server = gate_server(world, style, engine=engine)
    with serving(server, world) as running, grpc.insecure_channel(running.address) as channel:
        call = future(channel)
        assert gate.begun.wait(15)
        stopped = running.stop_soon()
        block_until(lambda: cannot_connect(running.address))
        assert running.snapshot().is_stopping
        assert not stopped.wait(0.1)
        gate.go_on.set()
        assert call.result() == b"x"
        assert stopped.wait(15)
    assert server.snapshot().connections == ()
    snapshot = server.snapshot()
    assert snapshot.calls_ended == {0: 1}
    assert snapshot.trace is not None
    assert [event.description for event in snapshot.trace.events] == [
        "Server created",
        *(f"Listens on {address}" for address in running.server.addresses),
        "Server stops: it accepts nothing new",
        "Server stopped",
    ]


@ENGINES
@IN_STYLES
def test_stop_cancels_what_goes_on_beyond_its_grace(world: str, style: str, engine: Any) -> None:
    gate, server = gate_server(world, style, engine=engine)
    with serving(server, world) as running, grpc.insecure_channel(running.address) as channel:
        call = future(channel)
        assert gate.begun.wait(15)
        running.stop(0.05)
        assert code_of(call) == 14
        assert gate.ended.wait(15)
    assert gate.cancelled == [True]


@IN_STYLES
def test_a_second_stop_shortens_the_grace(world: str, style: str) -> None:
    gate, server = gate_server(world, style)
    with serving(server, world) as running, grpc.insecure_channel(running.address) as channel:
        call = future(channel)
        assert gate.begun.wait(15)
        first = running.stop_soon(60)
        assert not first.wait(0.1)
        running.stop(0)
        assert first.wait(15)
        assert code_of(call) == 14


@ON_WORLDS
def test_what_the_body_raises_leaves_as_itself_and_at_once(world: str) -> None:
    gate, server = gate_server(world)

    def client(address: str) -> None:
        channels.append(grpc.insecure_channel(address))
        calls.append(future(channels[0]))
        assert gate.begun.wait(15)

    channels: list[grpc.Channel] = []
    calls: list[Any] = []

    async def body() -> None:
        async with server:
            await in_thread(client, server.addresses[0])
            raise KeyError("body")

    began = time.monotonic()
    with pytest.raises(KeyError, match="body"):
        if isinstance(server, BlockingServer):
            with server:
                client(server.addresses[0])
                raise KeyError("body")
        run(world, body)
    assert time.monotonic() - began < server.config.stop_grace
    assert gate.ended.wait(15)
    assert gate.cancelled == [True]
    assert code_of(calls[0]) == 14
    channels[0].close()


def test_cancelling_around_a_server_on_trio() -> None:
    gate, server = gate_server("trio")

    async def body() -> None:
        with trio.CancelScope() as scope:
            async with server, trio.open_nursery() as nursery:
                nursery.start_soon(in_thread, client, server.addresses[0])
                await until(gate.begun.is_set)
                scope.cancel()
        assert scope.cancelled_caught

    run("trio", body)
    assert len(gate.cancelled) == 1


def client(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        assert code_of(future(channel)) == 14


def test_cancelling_around_a_server_on_asyncio() -> None:
    gate, server = gate_server("asyncio")

    async def serve() -> None:
        async with server:
            clients.append(asyncio.ensure_future(in_thread(client, server.addresses[0])))
            await asyncio.sleep(60)

    clients: list[Any] = []

    async def body() -> None:
        task = asyncio.ensure_future(serve())
        await until(gate.begun.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await clients[0]

    run("asyncio", body)
    assert gate.cancelled == [True]


def test_serve_on_trio() -> None:
    async def body() -> None:
        server = echo_server("trio")
        async with trio.open_nursery() as nursery:
            (address,) = await nursery.start(server.serve)
            assert await in_thread(call_once, address) == b"x"
            await server.stop()

    run("trio", body)


def call_once(address: str) -> Any:
    with grpc.insecure_channel(address) as channel:
        return channel.unary_unary("/test.Echo/Unary")(b"x", timeout=TIMEOUT)


def test_serve_on_asyncio() -> None:
    async def body() -> None:
        server = echo_server("asyncio")
        task = asyncio.ensure_future(server.serve())
        await until(lambda: server.addresses)
        assert await in_thread(call_once, server.addresses[0]) == b"x"
        await server.stop()
        await task

    run("asyncio", body)


@ON_LOOPS
def test_start_and_stop(world: str) -> None:
    async def body(nursery: Any = None) -> None:
        server = echo_server(world)
        (address,) = await server.start(nursery)
        assert await server.wait_for_termination(0.01)
        assert await in_thread(call_once, address) == b"x"
        await server.stop()
        assert not await server.wait_for_termination()
        assert cannot_connect(address)
        await server.stop()

    async def in_nursery() -> None:
        async with trio.open_nursery() as nursery:
            await body(nursery)

    run(world, in_nursery if world == "trio" else body)


def test_start_on_trio_needs_an_owner() -> None:
    async def body() -> None:
        with pytest.raises(LocalProtocolError, match="owner on trio"):
            await echo_server("trio").start()

    run("trio", body)


def test_start_and_stop_of_a_blocking_server() -> None:
    server = echo_server("threads")
    (address,) = server.start()
    assert server.wait_for_termination(0.01)
    assert call_once(address) == b"x"
    with pytest.raises(LocalProtocolError):
        server.start()
    stopped = server.stop()
    assert stopped.wait(15)
    assert not server.wait_for_termination()
    assert server.stop(5).is_set()
    assert cannot_connect(address)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("puregrpc handler")]


def test_a_blocking_server_that_never_started_has_stopped() -> None:
    server = echo_server("threads")
    assert server.stop().is_set()
    with pytest.raises(LocalProtocolError):
        server.start()


def test_a_blocking_server_is_stopped_by_a_signal_handler() -> None:
    gate, server = gate_server("threads")
    before = signal.signal(signal.SIGUSR1, lambda *_: server.stop(10))
    try:
        with server, grpc.insecure_channel(server.addresses[0]) as channel:
            call = future(channel)
            assert gate.begun.wait(15)
            threading.Timer(0.1, kill, (getpid(), signal.SIGUSR1)).start()
            assert server.wait_for_termination(0.5)
            gate.go_on.set()
            assert not server.wait_for_termination(15)
            assert call.result() == b"x"
    finally:
        signal.signal(signal.SIGUSR1, before)


@ON_LOOPS
def test_a_signal_drains_and_a_second_one_ends(world: str) -> None:
    gate, server = gate_server(world)
    before = signal.getsignal(signal.SIGUSR1)

    async def body() -> None:
        async with server:
            if world == "asyncio":
                stopping = asyncio.ensure_future(stop_on_signal(server, [signal.SIGUSR1], grace=30))
                await asyncio.sleep(0.01)
                await drain()
                await stopping
            else:
                async with trio.open_nursery() as nursery:
                    await nursery.start(start_stopping)
                    await drain()
        assert signal.getsignal(signal.SIGUSR1) is before

    async def start_stopping(*, task_status: Any) -> None:
        await stop_on_signal(server, [signal.SIGUSR1], grace=30, task_status=task_status)

    async def drain() -> None:
        channel = grpc.insecure_channel(server.addresses[0])
        call = future(channel)
        await until(gate.begun.is_set)
        kill(getpid(), signal.SIGUSR1)
        await until(lambda: server.snapshot().is_stopping)
        await sleep(0.05)
        assert not gate.cancelled
        kill(getpid(), signal.SIGUSR1)
        await until(call.done)
        assert code_of(call) == 14
        channel.close()

    run(world, body)
    assert gate.cancelled == [True]


@ON_LOOPS
def test_waiting_for_signals_ends_with_the_server(world: str) -> None:
    async def body() -> None:
        server = echo_server(world)
        async with server:
            waiting = server.kernel.spawn(stop_on_signal, server, [signal.SIGUSR1])
            await sleep(0.01)
            await server.stop()
            await waiting.join()

    run(world, body)


@ON_LOOPS
def test_signals_are_for_the_main_thread(world: str) -> None:
    async def body() -> None:
        async with echo_server(world) as server:
            with pytest.raises(LocalProtocolError, match="main thread"):
                await stop_on_signal(server)

    thread_errors: list[BaseException] = []

    def in_thread_of_its_own() -> None:
        try:
            run(world, body)
        except BaseException as error:
            thread_errors.append(error)

    thread = threading.Thread(target=in_thread_of_its_own)
    thread.start()
    thread.join(TIMEOUT)
    assert not thread_errors


@ON_WORLDS
def test_addresses_that_cannot_be(world: str) -> None:
    with serving(echo_server(world), world) as running:
        with pytest.raises(ConnectError, match="could not listen"):
            with serving(make_server(world, running.address), world):
                pass
        with pytest.raises(LocalProtocolError):
            running.server.add_listener("127.0.0.1:0")
    with pytest.raises(InvalidArgument):
        with serving(make_server(world, "nonsense"), world):
            pass
    with pytest.raises(ConnectError):  # what was opened before is closed
        with serving(make_server(world, "127.0.0.1:0", "unix:/nowhere/at/all"), world):
            pass


@ON_LOOPS
def test_what_needs_a_server_that_runs(world: str) -> None:
    async def body() -> None:
        async with echo_server(world) as server:
            with pytest.raises(LocalProtocolError, match="runs once"):
                async with server:
                    pass
        for misuse in (Server().stop(), Server().serve_stream(None), Server().wait_for_termination()):  # type: ignore[arg-type]  # refused before use
            with pytest.raises(LocalProtocolError, match="does not run"):
                await misuse

    run(world, body)


def test_a_server_without_a_loop() -> None:
    server = echo_server("asyncio")
    with pytest.raises(LocalProtocolError, match=r"inside asyncio\.run or trio\.run.*BlockingServer"):
        server.start().send(None)
    entering = echo_server("asyncio").__aenter__()
    with pytest.raises(LocalProtocolError, match=r"inside asyncio\.run or trio\.run.*BlockingServer"):
        entering.send(None)


@ON_WORLDS
def test_a_unix_socket_is_gone_after_the_server(world: str, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with serving(make_server(world, f"unix:{path}"), world):
        assert path.is_socket()
    assert not path.exists()


@ON_WORLDS
def test_what_is_called_when_it_stops(world: str) -> None:
    called: list[int] = []
    server = echo_server(world)
    server.call_on_stop(lambda: called.append(1))
    server.call_on_stop(lambda: [][0])
    server.call_on_stop(lambda: called.append(2))
    with serving(server, world) as running:
        running.stop()
        running.stop()
    assert called == [1, 2]


@ON_WORLDS
def test_the_snapshot_is_data(world: str) -> None:
    gate, server = gate_server(world)
    assert server.snapshot().addresses == ()
    with serving(server, world) as running, grpc.insecure_channel(running.address) as channel:
        call = future(channel)
        assert gate.begun.wait(15)
        snapshot = running.snapshot()
        (connection,) = snapshot.connections
        assert connection.connection.calls[0].path == "/test.Gate/Wait"
        assert connection.bytes_received > 0
        assert connection.calls_started == snapshot.calls_started == 1
        assert "/test.Echo/Bidi" in snapshot.methods
        assert snapshot.addresses == running.server.addresses
        gate.go_on.set()
        assert call.result() == b"x"
    assert server.snapshot().calls_ended == {0: 1}


@pytest.mark.slow
@IN_STYLES
def test_what_is_idle_keeps_no_call_alive(world: str, style: str) -> None:
    received: list[weakref.ref[Any]] = []

    class Request:
        def __init__(self, data: bytes) -> None:
            received.append(weakref.ref(self))

    async def handler(request: Request, context: Context) -> bytes:
        await sleep(0)
        return b""

    def plain_handler(request: Request, context: Context) -> bytes:
        return b""

    method = Method("/test.R/Call", handler if style == "async" else plain_handler, deserializer=Request)
    with channel_to(echo_server(world, method), world) as channel:
        for _ in range(3):
            channel.unary_unary("/test.R/Call")(b"")
        time.sleep(0.1)
        gc.collect()
        assert [reference() for reference in received] == [None] * 3


@ON_WORLDS
def test_accepting_goes_on_when_the_system_is_out_of_descriptors(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = [OSError(errno.EMFILE, "too many open files"), OSError(errno.ECONNABORTED, "gone")]
    real = socket.socket.accept

    def failing(sock: Any) -> Any:
        if faults:
            raise faults.pop()
        return real(sock)

    with serving(echo_server(world), world) as running:
        with monkeypatch.context() as patched:
            patched.setattr(socket.socket, "accept", failing)
            assert call_once(running.address) == b"x"
    assert not faults


@ON_WORLDS
def test_what_a_client_does_not_acknowledge_is_limited_in_time(world: str) -> None:
    """gRFC A18: for servers TCP_USER_TIMEOUT is on by default, with keepalive's 20 seconds."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    for config, expected in ((ServerConfig(), 20_000), (ServerConfig(keepalive_time=None), 0)):
        with serving(echo_server(world, config=config), world) as running, WireClient(running.address) as client:
            client.call("/test.Echo/Unary", b"x")
            [session] = running.server._connections._sessions
            stream = session.transport.stream
            assert isinstance(stream, SocketStream)
            if option is not None:
                assert stream.socket.getsockopt(socket.IPPROTO_TCP, option) == expected


@ENGINES
@ON_WORLDS
def test_a_client_that_answers_nothing_holds_up_no_stop(
    world: str, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The PING between the two GOAWAYs of a graceful end stays unanswered."""
    monkeypatch.setattr(f"puregrpc.wire.{'h2_engine' if engine == 'h2' else 'fast'}.server.GOAWAY_PING_TIMEOUT", 0.1)
    with serving(echo_server(world, config=ServerConfig(engine=engine)), world) as running:
        with connect_to(running.address) as client:
            client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" + b"\0\0\0\4\1\0\0\0\0")
            block_until(lambda: running.snapshot().connections)
            stopped = running.stop_soon()
            received = b""
            while data := client.recv(65536):  # the server ends the connection
                received += data
            assert received.endswith(b"\0\0\x08\7\0\0\0\0\0" + bytes(8))  # GOAWAY, last stream 0, NO_ERROR
        assert stopped.wait(15)


@ON_WORLDS
def test_a_handler_that_does_not_end_holds_up_no_stop_of_plain_servers(
    world: str, caplog: pytest.LogCaptureFixture
) -> None:
    release = threading.Event()
    begun = threading.Event()

    def stuck(request: bytes, context: Context) -> bytes:
        begun.set()
        release.wait(TIMEOUT)
        return b""

    with serving(echo_server(world, Method("/test.S/Stuck", stuck)), world) as running:
        with grpc.insecure_channel(running.address) as channel:
            call = channel.unary_unary("/test.S/Stuck").future(b"")
            assert begun.wait(15)
            began = time.monotonic()
            running.stop(0)
            assert code_of(call) == 14
    assert time.monotonic() - began < 10
    assert "1 threads go on with plain handlers" in caplog.text
    release.set()


@ON_LOOPS
def test_a_stream_from_elsewhere(world: str) -> None:
    async def body() -> None:
        async with echo_server(world) as server:
            left, right = socket.socketpair()
            server.adopt(SocketStream(server.kernel, right, peer="elsewhere"))
            assert await in_thread(use, left) == [b"x"]
            await until(lambda: not server.snapshot().connections)
            left, right = socket.socketpair()
            serve = server.kernel.spawn(server.serve_stream, SocketStream(server.kernel, right, peer="elsewhere"))
            assert await in_thread(use, left) == [b"x"]
            await serve.join()

    def use(sock: socket.socket) -> list[bytes]:
        with WireClient(sock) as client:
            return client.call("/test.Echo/Unary", b"x").messages

    run(world, body)


@ON_LOOPS
def test_a_stream_from_elsewhere_that_nobody_waits_for_any_more(world: str) -> None:
    async def body() -> None:
        async with echo_server(world) as server:
            left, right = socket.socketpair()
            serve = server.kernel.spawn(server.serve_stream, SocketStream(server.kernel, right, peer="elsewhere"))
            await until(lambda: server.snapshot().connections)
            serve.cancel()
            await serve.join()
            await until(lambda: not server.snapshot().connections)
            left.close()

    run(world, body)


FIRST_CALL = """
import encodings.idna, socket, sys
from puregrpc.server import BlockingServer, Method, Server, ServerConfig

world, engine, octets = sys.argv[1:]

def call(address):
    with socket.create_connection(address.rsplit(":", 1)) as sock:
        sock.settimeout(15)
        sock.sendall(bytes.fromhex(octets))
        came = b""
        while b"answered" not in came:
            octet = sock.recv(1 << 16)
            assert octet
            came += octet

def imported_meanwhile(before):
    print(*sorted(set(sys.modules) - before))

async def answer(request, context):
    return b"answered"

config = ServerConfig(engine=engine)
if world == "threads":
    server = BlockingServer("127.0.0.1:0", config=config)
    server.add_methods([Method("/a.B/Unary", lambda request, context: b"answered")])
    with server:
        before = set(sys.modules)
        call(server.addresses[0])
        imported_meanwhile(before)
else:
    async def main():
        server = Server("127.0.0.1:0", config=config)
        server.add_methods([Method("/a.B/Unary", answer)])
        async with server:
            before = set(sys.modules)
            await to_thread(call, server.addresses[0])
            imported_meanwhile(before)

    if world == "trio":
        import trio
        import trio._core._thread_cache
        to_thread = trio.to_thread.run_sync
        trio.run(main)
    else:
        import asyncio
        import concurrent.futures.thread
        to_thread = asyncio.to_thread
        asyncio.run(main())
"""


@ENGINES
@ON_WORLDS
def test_nothing_is_imported_for_the_first_connection(world: str, engine: str) -> None:
    fields = ((name, b"/a.B/Unary" if name == b":path" else value) for name, value in GRPC_REQUEST)
    octets = OPENING + frame(HEADERS, END_HEADERS, 1, block(tuple(fields))) + frame(DATA, END_STREAM, 1, message(b"x"))
    ran = subprocess.run(
        [sys.executable, "-c", FIRST_CALL, world, engine, octets.hex()],
        capture_output=True, text=True, timeout=TIMEOUT, check=True,
    )  # fmt: skip
    assert ran.stdout.split() == []
