"""Nothing that happens in a call, a connection or a worker ends the server, or keeps another client from being served.

Each test brings something about in one client's calls, while a second client is served before, meanwhile and after.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, NoReturn

import pytest
import trio
from tests.server.serving import echo_server
from tests.server.test_lifecycle import ENGINES, has_no_connections, run, tcp, until

from puregrpc.channel import open_channel
from puregrpc.errors import ConnectError, RpcError
from puregrpc.server import Context, Interceptor, Method, Server, ServerConfig, Shape
from puregrpc.server.call import IncomingCall, RejectedCall, StreamRequestCall, UnaryRequestCall
from puregrpc.server.session import ServerSession
from puregrpc.server.workers import Workers
from puregrpc.testing import FrameFactory, message
from puregrpc.testing.frames import CLIENT_PREFACE
from puregrpc.transport import Listener, SocketStream, connect
from puregrpc.transport.addresses import TcpAddress
from puregrpc.wire.fast.server import FastServerConnection
from puregrpc.wire.h2_engine.server import H2ServerConnection

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class OddError(BaseException):
    """Neither an Exception nor anything that Python or trio knows."""


def kept_cancelled() -> BaseException:
    """A trio.Cancelled of a scope that was left long ago."""
    kept: list[BaseException] = []

    async def keep() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled as error:
                kept.append(error)
                raise

    trio.run(keep)
    return kept[0]


FAULTS: dict[str, Callable[[], BaseException]] = {
    "Exception": lambda: RuntimeError("boom"),
    "GeneratorExit": GeneratorExit,
    "CancelledError": asyncio.CancelledError,
    "StopAsyncIteration": StopAsyncIteration,
    "BaseException": OddError,
    "Cancelled": kept_cancelled,
}


def raises(error: BaseException) -> NoReturn:
    raise error


MADE = {name: make() for name, make in FAULTS.items()}


async def still_served(channel: Any) -> None:
    assert await channel.unary_unary("/test.Echo/Unary")(b"x", timeout=10) == b"x"


def serve_beside(server: Server, victim: Callable[[Any], Awaitable[None]], seconds: float = 30) -> None:
    """Run a server, ``victim`` with a channel to it, and another client before and after."""

    async def body() -> None:
        async with server, open_channel(server.addresses[0]) as other:
            await still_served(other)
            async with open_channel(server.addresses[0]) as channel:
                await victim(channel)
            await still_served(other)
            async with open_channel(server.addresses[0]) as another:
                await still_served(another)

    run(body, seconds)


# -- answers that do not fit


@ENGINES
@pytest.mark.parametrize("path", ["/test.Echo/Unary", "/test.Echo/Bidi", "/test.Echo/Plain", "/un.Known/Method"])
@pytest.mark.parametrize("most", [0, 60, 150])
def test_a_client_that_takes_hardly_any_headers(engine: Any, path: str, most: int) -> None:
    def plain(request: bytes, _context: Context) -> bytes:
        return request

    server = echo_server(Method("/test.Echo/Plain", plain), config=ServerConfig(engine=engine))

    async def body() -> None:
        frames = FrameFactory()
        async with server, open_channel(server.addresses[0]) as other:
            stream = await connect([tcp(server)])
            stream.send_nowait(CLIENT_PREFACE + frames.settings(max_header_list_size=most))
            for stream_id in (1, 3, 5):
                stream.send_nowait(frames.request(stream_id, path) + frames.data(stream_id, message(b"x"), end=True))
            await until(lambda: server.snapshot().calls_started == sum(server.snapshot().calls_ended.values()) == 3)
            await still_served(other)
            stream.close()

    run(body)


@ENGINES
@pytest.mark.parametrize("path", ["/test.Echo/" + "%" * 6000, "/" + "%" * 6000 + "/A"])
def test_an_unknown_method_with_a_long_name(engine: Any, path: str) -> None:
    async def call(channel: Any) -> None:
        with pytest.raises(RpcError, match=r"UNIMPLEMENTED: .*%%%\.\.\.") as caught:
            await channel.unary_unary(path)(b"")
        assert len(caught.value.message) < 500

    serve_beside(echo_server(config=ServerConfig(engine=engine)), call)


@ENGINES
@pytest.mark.parametrize("compression", ["identity", "gzip"])
@pytest.mark.parametrize("code", [0, 5])
def test_trailing_metadata_that_do_not_fit(
    engine: Any, compression: str, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def much(request: bytes, context: Context) -> bytes:
        context.set_trailing_metadata({"x-large": "v" * 20_000})
        if code:
            context.abort(code, "ü" * 10_000)
        return request

    async def call(channel: Any) -> None:
        for _ in range(3):
            method = channel.unary_unary("/test.Echo/Much")
            if code:
                with pytest.raises(RpcError, match=r"NOT_FOUND: üüü.*ü\.\.\.$") as caught:
                    await method(b"x")
                assert caught.value.trailers == (("content-type", "application/grpc"),)
            else:
                result = await method.with_call(b"x")
                assert (result.message, result.trailers) == (b"x", ())

    with caplog.at_level(logging.WARNING, "puregrpc.server"):
        config = ServerConfig(engine=engine, compression=compression)
        serve_beside(echo_server(Method("/test.Echo/Much", much), config=config), call)
    [record] = caplog.records  # said once for the connection
    assert "/test.Echo/Much" in record.message
    assert "the trailing metadata" in record.message


@ENGINES
def test_initial_metadata_that_do_not_fit(engine: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def much(request: bytes, context: Context) -> bytes:
        context.send_initial_metadata({"x-large": "v" * 20_000})
        return request

    async def call(channel: Any) -> None:
        result = await channel.unary_unary("/test.Echo/Much").with_call(b"x")
        assert result.message == b"x"
        assert "x-large" not in dict(result.headers)

    serve_beside(echo_server(Method("/test.Echo/Much", much), config=ServerConfig(engine=engine)), call)
    assert "the initial metadata" in caplog.text


# -- handlers, interceptors and codecs that raise


async def forward(request: bytes, _context: Context) -> bytes:
    return request


def faulty_methods(make_fault: Callable[[], BaseException]) -> list[Method]:
    """Methods that raise in each place where code of the user runs."""
    error = make_fault()

    async def unary(_request: bytes, _context: Context) -> bytes:
        raises(error)

    async def later(_request: bytes, _context: Context) -> bytes:
        await trio.sleep(0.01)
        raises(error)

    def plain(_request: bytes, _context: Context) -> bytes:
        raises(error)

    class Awaited:
        def __await__(self) -> Any:
            raises(error)

    def plain_awaitable(_request: bytes, _context: Context) -> Any:
        return Awaited()

    async def in_a_nursery(_request: bytes, _context: Context) -> bytes:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(unary, b"", _context)
            await trio.sleep_forever()
        raise AssertionError

    async def responses(_request: bytes, _context: Context) -> AsyncIterator[bytes]:
        yield b"one"
        raises(error)

    async def closing(_request: bytes, _context: Context) -> AsyncIterator[bytes]:
        try:
            yield b"one"
            yield "no bytes"  # type: ignore[misc]  # ends the call, and so closes the generator
        finally:
            raises(error)

    def no_iterator(_request: bytes, _context: Context) -> Any:
        raises(error)

    async def requests(messages: AsyncIterator[bytes], _context: Context) -> bytes:
        async for _ in messages:
            raises(error)
        raises(error)

    async def both(messages: AsyncIterator[bytes], _context: Context) -> AsyncIterator[bytes]:
        async for each in messages:
            yield each
            raises(error)

    def codec(_value: Any) -> Any:
        raises(error)

    async def read_all(messages: AsyncIterator[bytes], _context: Context) -> bytes:
        return b"".join([each async for each in messages])

    async def repeat(request: bytes, _context: Context) -> AsyncIterator[bytes]:
        yield request

    return [
        Method("/f.F/Unary", unary),
        Method("/f.F/Later", later),
        Method("/f.F/Plain", plain),
        Method("/f.F/PlainAwaitable", plain_awaitable),
        Method("/f.F/InANursery", in_a_nursery),
        Method("/f.F/Responses", responses, Shape.SERVER_STREAM),
        Method("/f.F/Closing", closing, Shape.SERVER_STREAM),
        Method("/f.F/NoIterator", no_iterator, Shape.SERVER_STREAM),
        Method("/f.F/Requests", requests, Shape.CLIENT_STREAM),
        Method("/f.F/Both", both, Shape.BIDI),
        Method("/f.F/Deserializer", forward, deserializer=codec),
        Method("/f.F/Serializer", forward, serializer=codec),
        Method("/f.F/PlainDeserializer", lambda request, _context: request, deserializer=codec),
        Method("/f.F/PlainSerializer", lambda request, _context: request, serializer=codec),
        Method("/f.F/StreamDeserializer", read_all, Shape.CLIENT_STREAM, deserializer=codec),
        Method("/f.F/StreamSerializer", repeat, Shape.SERVER_STREAM, serializer=codec),
    ]


async def call_once(channel: Any, path: str) -> None:
    """A call of any shape. It ends with a status that the server gives it."""
    with pytest.raises(RpcError) as caught:
        async with channel.call(path, timeout=10) as call:
            await call.send(b"x")
            await call.half_close()
            while await call.receive() is not None:
                pass
    assert caught.value.code in (2, 13), caught.value


@ENGINES
@pytest.mark.parametrize("fault", FAULTS)
def test_handlers_and_codecs_that_raise(engine: Any, fault: str) -> None:
    methods = faulty_methods(FAULTS[fault])

    async def call_all(channel: Any) -> None:
        for method in methods:
            await call_once(channel, method.path)

    serve_beside(echo_server(*methods, config=ServerConfig(engine=engine)), call_all)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_interceptors_that_raise(fault: str, when: str) -> None:
    error = MADE[fault]

    class Faulty(Interceptor):
        async def one_response(self, request: Any, context: Context, proceed: Any) -> Any:
            if when == "before" and context.method != "/test.Echo/Unary":
                raises(error)
            response = await proceed(request, context)
            if context.method != "/test.Echo/Unary":
                raises(error)
            return response

        async def many_responses(self, request: Any, context: Context, proceed: Any) -> AsyncIterator[Any]:
            if when == "before":
                raises(error)
            async for response in proceed(request, context):
                yield response
            raises(error)

    server = echo_server(Method("/f.F/Plain", lambda request, _context: request), interceptors=[Faulty()])

    async def call_all(channel: Any) -> None:
        for path in ("/f.F/Plain", "/test.Echo/ServerStream", "/test.Echo/ClientStream", "/test.Echo/Bidi"):
            await call_once(channel, path)

    serve_beside(server, call_all)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("path", ["/f.F/Unary", "/f.F/Plain", "/f.F/InANursery", "/f.F/Serializer", "/f.F/Both"])
def test_what_is_meant_for_the_program_ends_the_server(kind: type[BaseException], path: str) -> None:
    async def body() -> None:
        async with echo_server(*faulty_methods(kind)) as server, open_channel(server.addresses[0]) as channel:
            with suppress(RpcError):
                await call_once(channel, path)
            await trio.sleep_forever()

    with pytest.raises(kind):
        run(body)


# -- our own code


PLACES: dict[type, list[str]] = {
    IncomingCall: [
        "on_end", "on_writable", "on_left_out", "run", "encode", "send_headers", "_send_message", "send", "respond",
        "finish", "fail",
    ],
    UnaryRequestCall: ["__init__", "on_message", "on_half_close", "begin", "run_plain", "refuse"],
    StreamRequestCall: ["__init__", "on_message", "on_half_close", "begin", "receive"],
    RejectedCall: ["__init__", "on_message", "on_half_close", "run"],
    ServerSession: [
        "__init__", "on_output", "on_ready", "on_call", "on_closed", "run_plain", "count_end", "run_within_limits",
        "_limit_age", "_limit_idle_time", "run", "abort", "_read", "_write", "_finish", "hold", "flush", "arm",
    ],
    Workers: ["submit"],
    Server: ["unimplemented", "_serve_socket", "serve_stream"],
    Listener: ["accept", "secure"],
    SocketStream: ["limit_unacknowledged_time"],
}  # fmt: skip
ENGINE_PLACES = [
    "start", "receive", "data_to_send", "lost", "advance", "next_time", "send_headers", "send_message",
    "send_trailers", "send_response", "send_buffered", "consume",
]  # fmt: skip


class Trap:
    """Makes a method raise as long as it is armed."""

    def __init__(self, owner: type, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.armed = False
        self.sprung = 0
        original = getattr(owner, name)

        def method(*arguments: Any, **keywords: Any) -> Any:
            if self.armed:
                self.sprung += 1
                raise RuntimeError("boom")
            return original(*arguments, **keywords)

        monkeypatch.setattr(owner, name, method)


async def break_off(address: str) -> None:
    """Let a deadline pass, and reset a connection in the middle of a call."""
    host, _, port = address.rpartition(":")
    stream = await connect([TcpAddress(host, int(port))])
    frames = FrameFactory()
    stream.send_nowait(CLIENT_PREFACE + frames.settings() + frames.request(1, "/test.Echo/Bidi"))
    sleeping = frames.request(3, "/test.Echo/Sleep", ("grpc-timeout", "50m"))
    stream.send_nowait(sleeping + frames.data(3, message(b"x"), end=True))
    await trio.sleep(0.3)
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.close()


async def provoke(address: str) -> None:
    """Do with a server what makes it go everywhere; whatever comes of it."""
    with trio.move_on_after(1.5):
        async with open_channel(address) as channel, trio.open_nursery() as nursery:

            async def call(path: str, messages: int, timeout: float) -> None:
                with suppress(RpcError, ConnectError):
                    async with channel.call(path, timeout=timeout) as call:
                        for _ in range(messages):
                            await call.send(bytes(1000))
                        await call.half_close()
                        while await call.receive() is not None:
                            pass

            async def cancelled(path: str) -> None:
                with trio.move_on_after(0.1):
                    await call(path, 1, 10)

            nursery.start_soon(break_off, address)
            for path in ("Unary", "ServerStream", "ClientStream", "Bidi", "Plain", "Much", "Fail", "Flood", "Nothing"):
                nursery.start_soon(call, f"/test.Echo/{path}", 1, 0.4)
            nursery.start_soon(call, "/test.Echo/Unary", 2, 0.4)
            nursery.start_soon(call, "/test.Echo/Sleep", 1, 0.2)
            nursery.start_soon(cancelled, "/test.Echo/Sleep")


def everywhere(engine: Any) -> Server:
    async def sleep(_request: bytes, _context: Context) -> bytes:
        await trio.sleep(5)
        raise AssertionError

    async def much(request: bytes, context: Context) -> bytes:
        context.send_initial_metadata()
        context.set_trailing_metadata({"x-large": "v" * 20_000})
        return request

    async def fail(_request: bytes, _context: Context) -> bytes:
        raise ValueError

    async def flood(_request: bytes, _context: Context) -> AsyncIterator[bytes]:
        for _ in range(20):
            yield bytes(100_000)

    return echo_server(
        Method("/test.Echo/Sleep", sleep),
        Method("/test.Echo/Much", much),
        Method("/test.Echo/Fail", fail),
        Method("/test.Echo/Plain", lambda request, _context: request),
        Method("/test.Echo/Flood", flood, Shape.SERVER_STREAM),
        config=ServerConfig(engine=engine, max_connection_age=60, max_connection_idle=60),
    )


def spring(trap: Trap, engine: Any) -> None:
    async def body() -> None:
        server = everywhere(engine)
        async with server:
            async with open_channel(server.addresses[0]) as before:
                await still_served(before)
            await until(lambda: has_no_connections(server))
            trap.armed = True
            await provoke(server.addresses[0])
            trap.armed = False
            assert trap.sprung
            async with open_channel(server.addresses[0]) as after:
                await still_served(after)

    run(body)


@pytest.mark.parametrize(("owner", "name"), [(owner, name) for owner, names in PLACES.items() for name in names])
def test_a_fault_of_our_own(owner: type, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spring(Trap(owner, name, monkeypatch), "fast")


@ENGINES
@pytest.mark.parametrize("name", ENGINE_PLACES)
def test_a_fault_of_an_engine(engine: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = {"fast": FastServerConnection, "h2": H2ServerConnection}[engine]
    spring(Trap(owner, name, monkeypatch), engine)


@pytest.mark.parametrize("fault", FAULTS)
def test_callbacks_of_stop_that_raise(fault: str) -> None:
    called: list[str] = []

    async def body() -> None:
        server = echo_server()
        server.call_on_stop(lambda: raises(MADE[fault]))
        server.call_on_stop(lambda: called.append("second"))
        async with server, open_channel(server.addresses[0]) as channel:
            await still_served(channel)
        assert server.snapshot().connections == ()

    run(body)
    assert called == ["second"]


def test_a_log_that_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("the log's disk is full")

    handler = Broken(logging.DEBUG)
    logger = logging.getLogger("puregrpc.server")
    logger.addHandler(handler)
    monkeypatch.setattr(logger, "level", logging.DEBUG)
    methods = faulty_methods(FAULTS["Exception"])

    async def call_all(channel: Any) -> None:
        for method in methods:
            await call_once(channel, method.path)

    try:
        serve_beside(echo_server(*methods), call_all)
    finally:
        logger.removeHandler(handler)
