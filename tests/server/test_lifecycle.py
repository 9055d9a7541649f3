"""How a server starts, stops, drains and keeps to its limits; with puregrpc's channel as the client."""

from __future__ import annotations

import errno
import gc
import signal
import socket
import tracemalloc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from contextvars import ContextVar
from functools import partial
from os import getpid, kill
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from tests.server.serving import echo_server

from puregrpc.channel import open_channel
from puregrpc.errors import ConnectError, InvalidArgument, LocalProtocolError, RpcError
from puregrpc.server import Context, Method, Server, ServerConfig, Shape, stop_on_signal
from puregrpc.transport import SocketStream, connect
from puregrpc.transport.addresses import TcpAddress

ENGINES = pytest.mark.parametrize("engine", ["h2", "fast"])


def run(body: Callable[[], Awaitable[None]], seconds: float = 20) -> None:
    async def main() -> None:
        with trio.fail_after(seconds):
            await body()

    trio.run(main)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what no event tells of."""
    with trio.fail_after(15):
        while not condition():  # noqa: ASYNC110 - see above
            await trio.sleep(0.01)


def has_no_connections(server: Server) -> bool:
    return not server.snapshot().connections


class Gate:
    """A handler that says when it has begun and goes on when it is let."""

    def __init__(self) -> None:
        self.begun = trio.Event()
        self.go_on = trio.Event()
        self.cancelled: list[bool] = []

    async def handle(self, request: bytes, context: Context) -> bytes:
        self.begun.set()
        try:
            await self.go_on.wait()
        except trio.Cancelled:
            self.cancelled.append(context.cancelled)
            raise
        return request

    def method(self) -> Method:
        return Method("/test.Gate/Wait", self.handle)


def tcp(server: Server, index: int = 0) -> TcpAddress:
    host, _, port = server.addresses[index].rpartition(":")
    return TcpAddress(host, int(port))


@ENGINES
def test_stop_lets_calls_finish_and_takes_no_new_ones(engine: Any) -> None:
    async def body() -> None:
        gate = Gate()
        server = echo_server(gate.method(), config=ServerConfig(engine=engine))
        answers: list[bytes] = []

        async def call() -> None:
            answers.append(await channel.unary_unary("/test.Gate/Wait")(b"x"))

        async with server, open_channel(server.addresses[0]) as channel, trio.open_nursery() as nursery:
            nursery.start_soon(call)
            await gate.begun.wait()
            nursery.start_soon(server.stop)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(ConnectError):
                await connect([tcp(server)])
            assert server.snapshot().is_stopping
            assert not answers
            gate.go_on.set()
        assert answers == [b"x"]
        assert server.snapshot().connections == ()
        assert server.snapshot().calls_ended == {0: 1}

    run(body)


@ENGINES
def test_stop_cancels_what_goes_on_beyond_its_grace(engine: Any) -> None:
    async def body() -> None:
        gate = Gate()
        server = echo_server(gate.method(), config=ServerConfig(engine=engine))
        errors: list[RpcError] = []

        async def call() -> None:
            with pytest.raises(RpcError) as caught:
                await channel.unary_unary("/test.Gate/Wait")(b"x")
            errors.append(caught.value)

        async with server, open_channel(server.addresses[0]) as channel, trio.open_nursery() as nursery:
            nursery.start_soon(call)
            await gate.begun.wait()
            await server.stop(0.05)
        assert [error.code for error in errors] == [14]
        assert gate.cancelled == [True]

    run(body)


def test_what_the_body_raises_leaves_as_itself() -> None:
    async def body() -> None:
        gate = Gate()
        with pytest.raises(KeyError, match="body"):
            async with (
                echo_server(gate.method()) as server,
                open_channel(server.addresses[0]) as channel,
                channel.call("/test.Gate/Wait") as call,
            ):
                await call.send(b"x")
                await call.half_close()
                await gate.begun.wait()
                raise KeyError("body")
        assert gate.cancelled == [True]

    run(body)


def test_cancelling_around_a_server() -> None:
    async def body() -> None:
        gate = Gate()
        with trio.move_on_after(0.2) as scope:
            async with echo_server(gate.method()) as server, open_channel(server.addresses[0]) as channel:
                await channel.unary_unary("/test.Gate/Wait")(b"x")
        assert scope.cancelled_caught

    run(body)


def test_serve_gives_its_addresses_and_runs_until_stop() -> None:
    async def body() -> None:
        server = echo_server()
        async with trio.open_nursery() as nursery:
            (address,) = await nursery.start(server.serve)
            async with open_channel(address) as channel:
                assert await channel.unary_unary("/test.Echo/Unary")(b"x") == b"x"
            await server.stop()

    run(body)


def test_a_signal_drains_and_a_second_one_ends() -> None:
    async def body() -> None:
        gate = Gate()
        server = echo_server(gate.method())

        async def call() -> None:
            with pytest.raises(RpcError, match="UNAVAILABLE"):
                await channel.unary_unary("/test.Gate/Wait")(b"x")

        async with server, open_channel(server.addresses[0]) as channel, trio.open_nursery() as nursery:
            await nursery.start(start_stopping, server)
            nursery.start_soon(call)
            await gate.begun.wait()
            kill(getpid(), signal.SIGUSR1)
            await trio.sleep(0.1)
            assert server.snapshot().is_stopping
            assert not gate.cancelled
            kill(getpid(), signal.SIGUSR1)
        assert gate.cancelled == [True]

    run(body)


async def start_stopping(server: Server, *, task_status: trio.TaskStatus[None]) -> None:
    await stop_on_signal(server, [signal.SIGUSR1], grace=10, task_status=task_status)


def test_addresses_that_cannot_be() -> None:
    async def body() -> None:
        async with echo_server() as server:
            with pytest.raises(ConnectError, match="could not listen"):
                async with Server(server.addresses[0]):
                    pass
            with pytest.raises(LocalProtocolError):
                server.add_listener("127.0.0.1:0")
            with pytest.raises(LocalProtocolError):
                async with server:
                    pass
        with pytest.raises(InvalidArgument):
            async with Server("nonsense"):
                pass
        for misuse in (Server().stop(), Server().serve_stream(None)):  # type: ignore[arg-type]  # refused before use
            with pytest.raises(LocalProtocolError):
                await misuse

    run(body)


def test_a_unix_socket_is_gone_after_the_server(tmp_path: Path) -> None:
    async def body() -> None:
        path = tmp_path / "socket"
        server = Server(f"unix:{path}")
        async with server:
            assert path.is_socket()
        assert not path.exists()

    run(body)


@ENGINES
def test_connections_over_the_limit_wait_for_their_turn(engine: Any) -> None:
    async def body() -> None:
        config = ServerConfig(max_connections=1, engine=engine)
        async with echo_server(config=config) as server, open_channel(server.addresses[0]) as first:
            assert await first.unary_unary("/test.Echo/Unary")(b"1") == b"1"
            async with open_channel(server.addresses[0]) as second:
                with pytest.raises(RpcError, match="DEADLINE_EXCEEDED"):
                    await second.unary_unary("/test.Echo/Unary")(b"2", timeout=0.1, wait_for_ready=True)
                await first.close()
                assert await second.unary_unary("/test.Echo/Unary")(b"2", wait_for_ready=True) == b"2"

    run(body)


@ENGINES
def test_calls_over_the_servers_limit_end_with_resource_exhausted(engine: Any) -> None:
    async def body() -> None:
        gate = Gate()
        config = ServerConfig(max_concurrent_calls=1, engine=engine)
        async with echo_server(gate.method(), config=config) as server:
            async with open_channel(server.addresses[0]) as channel, trio.open_nursery() as nursery:
                nursery.start_soon(channel.unary_unary("/test.Gate/Wait"), b"x")
                await gate.begun.wait()
                with pytest.raises(RpcError, match="RESOURCE_EXHAUSTED"):
                    await channel.unary_unary("/test.Echo/Unary")(b"x")
                gate.go_on.set()
            async with open_channel(server.addresses[0]) as channel:
                assert await channel.unary_unary("/test.Echo/Unary")(b"x") == b"x"

    run(body)


@ENGINES
def test_calls_over_a_connections_limit_queue_in_the_client(engine: Any) -> None:
    async def body() -> None:
        at_once = 0
        most = 0

        async def count(request: bytes, context: Context) -> bytes:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await trio.sleep(0.01)
            at_once -= 1
            return request

        config = ServerConfig(max_concurrent_streams=3, engine=engine)
        async with (
            echo_server(Method("/test.C/Count", count), config=config) as server,
            open_channel(server.addresses[0]) as channel,
        ):
            await channel.connect()
            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(channel.unary_unary("/test.C/Count"), b"x")
        assert most == 3

    run(body)


@ENGINES
def test_age_and_idle_time_are_limited(engine: Any) -> None:
    async def body() -> None:
        for config in (
            ServerConfig(engine=engine, max_connection_age=0.1, max_connection_age_grace=0.1),
            ServerConfig(engine=engine, max_connection_idle=0.1),
        ):
            async with echo_server(config=config) as server, open_channel(server.addresses[0]) as channel:
                call = channel.unary_unary("/test.Echo/Unary")
                assert await call(b"1") == b"1"
                await until(partial(has_no_connections, server))
                assert await call(b"2", wait_for_ready=True) == b"2"

    run(body)


@ENGINES
def test_age_grace_ends_calls(engine: Any) -> None:
    async def body() -> None:
        gate = Gate()
        config = ServerConfig(engine=engine, max_connection_age=0.05, max_connection_age_grace=0.05)
        async with echo_server(gate.method(), config=config) as server, open_channel(server.addresses[0]) as channel:
            with pytest.raises(RpcError, match="UNAVAILABLE"):
                await channel.unary_unary("/test.Gate/Wait")(b"x")
        assert gate.cancelled == [True]

    run(body)


@ENGINES
def test_a_client_that_says_nothing_is_let_go(engine: Any) -> None:
    async def body() -> None:
        config = ServerConfig(engine=engine, handshake_timeout=0.1)
        async with echo_server(config=config) as server:
            stream = await connect([tcp(server)])
            with trio.fail_after(15):
                while True:
                    await stream.wait_readable()
                    if stream.receive_nowait(65536) == b"":
                        break
            stream.close()

    run(body)


@ENGINES
def test_loss_of_the_connection_cancels_its_handlers(engine: Any) -> None:
    async def body() -> None:
        gate = Gate()
        async with echo_server(gate.method(), config=ServerConfig(engine=engine)) as server:
            with trio.move_on_after(5) as scope:
                async with open_channel(server.addresses[0]) as channel, trio.open_nursery() as nursery:
                    nursery.start_soon(channel.unary_unary("/test.Gate/Wait"), b"x")
                    await gate.begun.wait()
                    scope.cancel()
            await until(lambda: bool(gate.cancelled))
            assert gate.cancelled == [True]
            async with open_channel(server.addresses[0]) as channel:
                assert await channel.unary_unary("/test.Echo/Unary")(b"x") == b"x"

    run(body)


@ENGINES
def test_a_reader_that_stalls_holds_up_its_own_stream_alone(engine: Any) -> None:
    async def body() -> None:
        sent = 0

        async def flood(request: bytes, context: Context) -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                yield bytes(50_000)
                sent += 1

        method = Method("/test.F/Flood", flood, Shape.SERVER_STREAM)
        async with (
            echo_server(method, config=ServerConfig(engine=engine)) as server,
            open_channel(server.addresses[0]) as channel,
            channel.unary_stream("/test.F/Flood")(b"") as stalled,
        ):
            await stalled.receive()
            await trio.sleep(0.3)
            before = sent
            assert before * 50_000 < 40_000_000
            for _ in range(20):
                assert await channel.unary_unary("/test.Echo/Unary")(b"x" * 1000) == b"x" * 1000
            assert sent - before < 100

    run(body)


@ENGINES
def test_a_handler_that_stalls_holds_up_its_own_stream_alone(engine: Any) -> None:
    async def body() -> None:
        async def never_reads(requests: AsyncIterator[bytes], context: Context) -> bytes:
            await trio.sleep_forever()
            return b""

        method = Method("/test.N/Never", never_reads, Shape.CLIENT_STREAM)
        async with (
            echo_server(method, config=ServerConfig(engine=engine)) as server,
            open_channel(server.addresses[0]) as channel,
            channel.call("/test.N/Never") as stalled,
        ):
            sent = 0
            with trio.move_on_after(0.5):
                while True:
                    await stalled.send(bytes(50_000))
                    sent += 50_000
            assert sent < 40_000_000
            for _ in range(20):
                assert await channel.unary_unary("/test.Echo/Unary")(b"x" * 1000) == b"x" * 1000

    run(body)


def test_context_variables_do_not_leak_from_call_to_call() -> None:
    async def body() -> None:
        variable: ContextVar[str] = ContextVar("variable", default="fresh")

        async def see_and_set(request: bytes, context: Context) -> bytes:
            seen = variable.get()
            variable.set("used")
            await trio.lowlevel.checkpoint()
            assert variable.get() == "used"
            return seen.encode()

        def see_and_set_plain(request: bytes, context: Context) -> bytes:
            seen = variable.get()
            variable.set("used")
            return seen.encode()

        methods = [Method("/test.V/Task", see_and_set), Method("/test.V/Plain", see_and_set_plain)]
        async with echo_server(*methods) as server, open_channel(server.addresses[0]) as channel:
            for _ in range(3):
                for path in ("/test.V/Task", "/test.V/Plain"):
                    assert await channel.unary_unary(path)(b"") == b"fresh"

    run(body)


def test_the_snapshot_is_data() -> None:
    async def body() -> None:
        gate = Gate()
        async with (
            echo_server(gate.method()) as server,
            open_channel(server.addresses[0]) as channel,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(channel.unary_unary("/test.Gate/Wait"), b"x")
            await gate.begun.wait()
            snapshot = server.snapshot()
            (connection,) = snapshot.connections
            assert connection.connection.calls[0].path == "/test.Gate/Wait"
            assert connection.bytes_received > 0
            assert connection.calls_started == snapshot.calls_started == 1
            assert "/test.Echo/Bidi" in snapshot.methods
            assert snapshot.addresses == server.addresses
            gate.go_on.set()

    run(body)


def test_an_idle_task_keeps_no_call_alive() -> None:
    async def body() -> None:
        received: list[weakref.ref[Any]] = []

        class Request:
            def __init__(self, data: bytes) -> None:
                received.append(weakref.ref(self))

        async def handler(request: Request, context: Context) -> bytes:
            await trio.lowlevel.checkpoint()
            return b""

        method = Method("/test.R/Call", handler, deserializer=Request)
        async with echo_server(method) as server, open_channel(server.addresses[0]) as channel:
            for _ in range(3):
                await channel.unary_unary("/test.R/Call")(b"")
            await trio.testing.wait_all_tasks_blocked()
            gc.collect()
            assert [reference() for reference in received] == [None] * 3

    run(body)


def test_a_fault_of_the_server_itself_ends_one_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        async with echo_server() as server, open_channel(server.addresses[0]) as channel:
            assert await channel.unary_unary("/test.Echo/Unary")(b"x") == b"x"
            routes, server.routes = server.routes, None  # type: ignore[assignment]  # the fault
            with pytest.raises(RpcError, match="UNAVAILABLE"):
                async with open_channel(server.addresses[0]) as broken:
                    await broken.unary_unary("/test.Echo/Unary")(b"x", timeout=10)
            server.routes = routes
            assert await channel.unary_unary("/test.Echo/Unary")(b"x") == b"x"

    run(body)
    assert "internal error" in caplog.text


def test_accepting_goes_on_when_the_system_is_out_of_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        faults = [OSError(errno.EMFILE, "too many open files"), OSError(errno.ECONNABORTED, "gone")]
        with trio.socket.socket() as sample:
            kind = type(sample)
        real = kind.accept

        async def failing(sock: Any) -> Any:
            if faults:
                raise faults.pop()
            return await real(sock)

        monkeypatch.setattr(kind, "accept", failing)
        async with echo_server() as server, open_channel(server.addresses[0]) as channel:
            assert await channel.unary_unary("/test.Echo/Unary")(b"x", wait_for_ready=True) == b"x"
        assert not faults

    run(body)


@ENGINES
@pytest.mark.parametrize("shape", [Shape.UNARY, Shape.CLIENT_STREAM])
def test_compressed_messages_that_wait_take_no_more_memory_than_they_came_in(engine: Any, shape: Shape) -> None:
    """A thousandfold as much they would take inflated, on each of a thousand streams."""

    async def body() -> None:
        goes_on = trio.Event()

        async def reads_late(requests: AsyncIterator[bytes], context: Context) -> bytes:
            await goes_on.wait()
            return str([len(request) async for request in requests]).encode()

        async def at_once(request: bytes, context: Context) -> bytes:
            return str([len(request)]).encode()

        method = Method("/test.N/Bomb", at_once if shape is Shape.UNARY else reads_late, shape)
        messages = 1 if shape is Shape.UNARY else 10
        async with (
            echo_server(method, config=ServerConfig(engine=engine)) as server,
            open_channel(server.addresses[0]) as channel,
            AsyncExitStack() as stack,
        ):
            tracemalloc.start()
            stack.callback(tracemalloc.stop)
            calls = [
                await stack.enter_async_context(channel.call("/test.N/Bomb", compression="gzip")) for _ in range(5)
            ]
            zeros = bytes(4 << 20)
            for call in calls:
                for _ in range(messages):
                    await call.send(zeros)
            del zeros
            assert await channel.unary_unary("/test.Echo/Unary")(b"behind it all") == b"behind it all"
            current, _ = tracemalloc.get_traced_memory()
            assert current < 3 << 20
            goes_on.set()
            await calls[0].half_close()
            assert await calls[0].receive() == str([4 << 20] * messages).encode()

    run(body)


@ENGINES
def test_a_large_message_that_waits_leaves_room_for_the_next(engine: Any) -> None:
    async def body() -> None:
        goes_on = trio.Event()

        async def reads_late(requests: AsyncIterator[bytes], context: Context) -> bytes:
            await goes_on.wait()
            return str([len(request) async for request in requests]).encode()

        method = Method("/test.N/Late", reads_late, Shape.CLIENT_STREAM)
        config = ServerConfig(engine=engine, max_receive_message_size=100 << 20)
        async with (
            echo_server(method, config=config) as server,
            open_channel(server.addresses[0]) as channel,
            channel.call("/test.N/Late") as call,
        ):
            await call.send(bytes(70 << 20))
            await call.send(b"more")
            await call.half_close()
            await trio.testing.wait_all_tasks_blocked(0.05)
            goes_on.set()
            assert await call.receive() == b"[73400320, 4]"

    run(body)


def test_what_a_client_does_not_acknowledge_is_limited_in_time() -> None:
    """gRFC A18: for servers TCP_USER_TIMEOUT is on by default, with keepalive's 20 seconds."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)

    async def body() -> None:
        for config, expected in ((ServerConfig(), 20_000), (ServerConfig(keepalive_time=None), 0)):
            async with echo_server(config=config) as server, open_channel(server.addresses[0]) as channel:
                await channel.connect()
                [session] = server._sessions
                stream = session.stream
                assert isinstance(stream, SocketStream)
                if option is not None:
                    assert stream.socket.getsockopt(socket.IPPROTO_TCP, option) == expected

    run(body)


@ENGINES
def test_a_client_that_answers_nothing_holds_up_no_stop(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The PING between the two GOAWAYs of a graceful end stays unanswered."""
    monkeypatch.setattr(f"puregrpc.wire.{'h2_engine' if engine == 'h2' else 'fast'}.server.GOAWAY_PING_TIMEOUT", 0.1)

    async def body() -> None:
        async with echo_server(config=ServerConfig(engine=engine)) as server:
            host, _, port = server.addresses[0].rpartition(":")
            async with await trio.open_tcp_stream(host, int(port)) as client:
                await client.send_all(
                    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" + b"\0\0\0\4\1\0\0\0\0"
                )
                await until(lambda: not has_no_connections(server))
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(server.stop, None)
                    received = b""
                    async for data in client:  # the server ends the connection
                        received += data
                assert received.endswith(b"\0\0\x08\7\0\0\0\0\0" + bytes(8))  # GOAWAY, last stream 0, NO_ERROR

    run(body)
