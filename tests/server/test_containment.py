"""Nothing that happens in a call, a connection or a worker ends the server, or keeps another client from being served.

Each test brings something about in one client's calls, while a second client is served before, meanwhile and after.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import os
import socket
import struct
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from types import FunctionType
from typing import Any, NoReturn

import grpc
import pytest
import trio
from tests.server.serving import (
    ENGINES,
    IN_STYLES,
    ON_LOOPS,
    ON_WORLDS,
    STYLES,
    TIMEOUT,
    WORLDS,
    caller,
    echo_server,
    request_for,
    run,
    serving,
    sleep,
    status_of,
)
from tests.server.wire_client import WireClient, connect_to
from tests.worlds import block_until

from puregrpc.kernel.jobs import Jobs
from puregrpc.kernel.loops.asyncio_jobs import AsyncioJobs
from puregrpc.kernel.loops.trio_jobs import TrioJobs
from puregrpc.kernel.network.listening import Listener
from puregrpc.kernel.network.streams import SocketStream
from puregrpc.kernel.threads.pool import ThreadPool
from puregrpc.server import Context, Interceptor, Method, ServerConfig, Shape
from puregrpc.server.ageing import Ageing
from puregrpc.server.calls.incoming import IncomingCall, RejectedCall
from puregrpc.server.calls.on_threads import OnThread, Outbox, ThreadStreamRequestCall, ThreadUnaryRequestCall
from puregrpc.server.calls.streaming import RequestStream, StreamRequestCall
from puregrpc.server.calls.unary import InPlaceCall, UnaryRequestCall
from puregrpc.server.connections import Connections
from puregrpc.server.places import Places
from puregrpc.server.routing import Router
from puregrpc.server.session import ServerSession
from puregrpc.server.threads import Threads
from puregrpc.testing import FrameFactory, message
from puregrpc.testing.frames import CLIENT_PREFACE
from puregrpc.transport import rounds
from puregrpc.transport.asyncio_session import AsyncioSession
from puregrpc.transport.loop_session import LoopSession
from puregrpc.transport.session import Session
from puregrpc.transport.thread_session import ThreadSession
from puregrpc.transport.trio_session import TrioSession
from puregrpc.wire.fast.server import FastServerConnection
from puregrpc.wire.h2_engine.server import H2ServerConnection

pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


class OddError(BaseException):
    """Neither an Exception nor anything that Python or a loop knows."""


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
    "StopIteration": StopIteration,
    "StopAsyncIteration": StopAsyncIteration,
    "BaseException": OddError,
    "Cancelled": kept_cancelled,
}


def raises(error: BaseException) -> NoReturn:
    raise error


MADE = {name: make() for name, make in FAULTS.items()}


def still_served(channel: grpc.Channel) -> None:
    assert channel.unary_unary("/test.Echo/Unary")(b"x", timeout=TIMEOUT) == b"x"


def serve_beside(server: Any, world: str, victim: Callable[[Any], None]) -> None:
    """Run a server, ``victim`` with a channel to it, and another client before and after."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    with serving(server, world) as running, grpc.insecure_channel(running.address, options) as other:
        still_served(other)
        with grpc.insecure_channel(running.address, options) as channel:
            victim(channel)
        still_served(other)
        with grpc.insecure_channel(running.address, options) as another:
            still_served(another)


# -- answers that do not fit


@ENGINES
@pytest.mark.parametrize("path", ["/test.Echo/Unary", "/test.Echo/Bidi", "/test.Echo/InPlace", "/un.Known/Method"])
@pytest.mark.parametrize("most", [0, 60, 150])
@IN_STYLES
def test_a_client_that_takes_hardly_any_headers(world: str, style: str, engine: Any, path: str, most: int) -> None:
    method = Method("/test.Echo/InPlace", lambda request, context: request, in_place=True)
    server = echo_server(world, method, style=style, config=ServerConfig(engine=engine))
    frames = FrameFactory()
    with serving(server, world) as running, grpc.insecure_channel(running.address) as other:
        with connect_to(running.address) as client:
            client.sendall(CLIENT_PREFACE + frames.settings(max_header_list_size=most))
            for stream_id in (1, 3, 5):
                client.sendall(frames.request(stream_id, path) + frames.data(stream_id, message(b"x"), end=True))
            block_until(lambda: running.snapshot().calls_started == sum(running.snapshot().calls_ended.values()) == 3)
            still_served(other)


@ENGINES
@pytest.mark.parametrize("path", ["/test.Echo/" + "%" * 6000, "/" + "%" * 6000 + "/A"])
@ON_WORLDS
def test_an_unknown_method_with_a_long_name(world: str, engine: Any, path: str) -> None:
    def call(channel: Any) -> None:
        code, text = status_of(lambda: channel.unary_unary(path)(b"", timeout=TIMEOUT))
        assert code.value[0] == 12
        assert "%%%..." in text
        assert len(text) < 500

    serve_beside(echo_server(world, config=ServerConfig(engine=engine)), world, call)


def much_handler(style: str, much: Callable[[Context], None]) -> Callable[..., Any]:
    async def handler(request: bytes, context: Context) -> bytes:
        much(context)
        return request

    def plain_handler(request: bytes, context: Context) -> bytes:
        much(context)
        return request

    return handler if style == "async" else plain_handler


@ENGINES
@pytest.mark.parametrize("compression", ["identity", "gzip"])
@pytest.mark.parametrize("code", [0, 5])
@IN_STYLES
def test_trailing_metadata_that_do_not_fit(
    world: str, style: str, engine: Any, compression: str, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    def much(context: Context) -> None:
        context.set_trailing_metadata({"x-large": "v" * 20_000})
        if code:
            context.abort(code, "ü" * 10_000)

    config = ServerConfig(engine=engine, compression=compression)
    server = echo_server(world, Method("/test.Echo/Much", much_handler(style, much)), config=config)
    with serving(server, world) as running, WireClient(running.address) as client:
        for _ in range(3):
            call = client.call("/test.Echo/Much", b"x")
            assert call.status is not None
            assert call.status.code == code
            if code:
                assert call.status.message.startswith("üüü")
                assert call.status.message.endswith("ü...")
            else:
                assert (call.messages, call.trailers) == ([b"x"], ())
    [record] = caplog.records  # said once for the connection
    assert "/test.Echo/Much" in record.message
    assert "the trailing metadata" in record.message


@ENGINES
@IN_STYLES
def test_initial_metadata_that_do_not_fit(
    world: str, style: str, engine: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def much(context: Context) -> None:
        context.send_initial_metadata({"x-large": "v" * 20_000})

    method = Method("/test.Echo/Much", much_handler(style, much))
    server = echo_server(world, method, config=ServerConfig(engine=engine))
    with serving(server, world) as running, WireClient(running.address) as client:
        call = client.call("/test.Echo/Much", b"x")
        assert call.messages == [b"x"]
        assert "x-large" not in dict(call.headers)
    assert "the initial metadata" in caplog.text


# -- handlers, interceptors and codecs that raise


def plain_forward(request: bytes, context: Context) -> bytes:
    return request


def plain_methods(make_fault: Callable[[], BaseException]) -> list[Method]:
    """Plain methods that raise in each place where code of the user runs."""
    error = make_fault()

    def unary(request: bytes, context: Context) -> bytes:
        raises(error)

    def responses(request: bytes, context: Context) -> Iterator[bytes]:
        yield b"one"
        raises(error)

    def closing(request: bytes, context: Context) -> Iterator[Any]:
        try:
            yield b"one"
            yield "no bytes"  # ends the call, and so closes the generator
        finally:
            raises(error)

    def no_iterator(request: bytes, context: Context) -> Any:
        raises(error)

    def requests(messages: Iterable[bytes], context: Context) -> bytes:
        for _ in messages:
            raises(error)
        raises(error)

    def both(messages: Iterable[bytes], context: Context) -> Iterator[bytes]:
        for each in messages:
            yield each
            raises(error)

    def codec(value: Any) -> Any:
        raises(error)

    def read_all(messages: Iterable[bytes], context: Context) -> bytes:
        return b"".join(messages)

    def repeat(request: bytes, context: Context) -> Iterator[bytes]:
        yield request

    return [
        Method("/f.P/Unary", unary),
        Method("/f.P/InPlace", unary, in_place=True),
        Method("/f.P/Responses", responses, Shape.SERVER_STREAM),
        Method("/f.P/Closing", closing, Shape.SERVER_STREAM),
        Method("/f.P/NoIterator", no_iterator, Shape.SERVER_STREAM),
        Method("/f.P/Requests", requests, Shape.CLIENT_STREAM),
        Method("/f.P/Both", both, Shape.BIDI),
        Method("/f.P/Deserializer", plain_forward, deserializer=codec),
        Method("/f.P/Serializer", plain_forward, serializer=codec),
        Method("/f.P/InPlaceDeserializer", plain_forward, deserializer=codec, in_place=True),
        Method("/f.P/InPlaceSerializer", plain_forward, serializer=codec, in_place=True),
        Method("/f.P/StreamDeserializer", read_all, Shape.CLIENT_STREAM, deserializer=codec),
        Method("/f.P/StreamSerializer", repeat, Shape.SERVER_STREAM, serializer=codec),
    ]


def async_methods(make_fault: Callable[[], BaseException], world: str) -> list[Method]:
    """The same, async."""
    error = make_fault()

    async def unary(request: bytes, context: Context) -> bytes:
        raises(error)

    async def later(request: bytes, context: Context) -> bytes:
        await sleep(0.01)
        raises(error)

    class Awaited:
        def __await__(self) -> Any:
            raises(error)

    def plain_awaitable(request: bytes, context: Context) -> Any:
        return Awaited()

    async def in_a_nursery(request: bytes, context: Context) -> bytes:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(unary, b"", context)
            await trio.sleep_forever()
        raise AssertionError

    async def responses(request: bytes, context: Context) -> AsyncIterator[bytes]:
        yield b"one"
        raises(error)

    async def closing(request: bytes, context: Context) -> AsyncIterator[Any]:
        try:
            yield b"one"
            yield "no bytes"
        finally:
            raises(error)

    async def requests(messages: AsyncIterator[bytes], context: Context) -> bytes:
        async for _ in messages:
            raises(error)
        raises(error)

    async def both(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for each in messages:
            yield each
            raises(error)

    def codec(value: Any) -> Any:
        raises(error)

    async def forward(request: bytes, context: Context) -> bytes:
        return request

    async def read_all(messages: AsyncIterator[bytes], context: Context) -> bytes:
        return b"".join([each async for each in messages])

    async def repeat(request: bytes, context: Context) -> AsyncIterator[bytes]:
        yield request

    return [
        Method("/f.A/Unary", unary),
        Method("/f.A/Later", later),
        Method("/f.A/PlainAwaitable", plain_awaitable),
        Method("/f.A/InPlaceAwaitable", plain_awaitable, in_place=True),
        Method("/f.A/Responses", responses, Shape.SERVER_STREAM),
        Method("/f.A/Closing", closing, Shape.SERVER_STREAM),
        Method("/f.A/Requests", requests, Shape.CLIENT_STREAM),
        Method("/f.A/Both", both, Shape.BIDI),
        Method("/f.A/Deserializer", forward, deserializer=codec),
        Method("/f.A/Serializer", forward, serializer=codec),
        Method("/f.A/StreamDeserializer", read_all, Shape.CLIENT_STREAM, deserializer=codec),
        Method("/f.A/StreamSerializer", repeat, Shape.SERVER_STREAM, serializer=codec),
        *([Method("/f.A/InANursery", in_a_nursery)] if world == "trio" else []),
    ]


def faulty_methods(make_fault: Callable[[], BaseException], world: str, style: str) -> list[Method]:
    return plain_methods(make_fault) if style == "plain" else async_methods(make_fault, world)


def call_once(channel: grpc.Channel, method: Method) -> None:
    """A call that ends with a status that the server gives it."""
    call = caller(channel, method.path, method.shape)
    code, text = status_of(lambda: [*call(request_for(method.shape, b"x"), timeout=TIMEOUT)])
    assert code.value[0] in (2, 13), text


@ENGINES
@pytest.mark.parametrize("fault", FAULTS)
@IN_STYLES
def test_handlers_and_codecs_that_raise(world: str, style: str, engine: Any, fault: str) -> None:
    methods = faulty_methods(FAULTS[fault], world, style)

    def call_all(channel: Any) -> None:
        for method in methods:
            call_once(channel, method)

    serve_beside(echo_server(world, *methods, config=ServerConfig(engine=engine)), world, call_all)


class Faulty(Interceptor):
    """Raises around all calls of another service than that which shows that the server works."""

    def __init__(self, error: BaseException, when: str) -> None:
        self.error = error
        self.when = when

    async def one_response(self, request: Any, context: Context, proceed: Any) -> Any:
        if context.method.startswith("/test.Echo/"):
            return await proceed(request, context)
        if self.when == "before":
            raises(self.error)
        await proceed(request, context)
        raises(self.error)

    async def many_responses(self, request: Any, context: Context, proceed: Any) -> AsyncIterator[Any]:
        if self.when == "before":
            raises(self.error)
        async for response in proceed(request, context):
            yield response
        raises(self.error)


class PlainFaulty(Interceptor):
    """The same, written plainly."""

    def __init__(self, error: BaseException, when: str) -> None:
        self.error = error
        self.when = when

    def one_response(self, request: Any, context: Context, proceed: Any) -> Any:
        if context.method.startswith("/test.Echo/"):
            return proceed(request, context)
        if self.when == "before":
            raises(self.error)
        proceed(request, context)
        raises(self.error)

    def many_responses(self, request: Any, context: Context, proceed: Any) -> Iterator[Any]:
        if self.when == "before":
            raises(self.error)
        yield from proceed(request, context)
        raises(self.error)


@pytest.mark.parametrize("kind", [Faulty, PlainFaulty])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("when", ["before", "after"])
@IN_STYLES
def test_interceptors_that_raise(world: str, style: str, fault: str, when: str, kind: Any) -> None:
    if world == "threads":
        kind = PlainFaulty
    server = echo_server(world, style=style, interceptors=[kind(MADE[fault], when)])
    methods = [
        Method(f"/f.F/{shape.name}", handler, shape)
        for shape, handler in ((Shape.UNARY, plain_forward), (Shape.CLIENT_STREAM, lambda requests, context: b""))
    ]
    streams = (Shape.SERVER_STREAM, Shape.BIDI)
    methods += [Method(f"/f.F/{shape.name}", lambda request, context: [b"1"], shape) for shape in streams]
    server.add_methods(methods)

    def call_all(channel: Any) -> None:
        for method in methods:
            call_once(channel, method)

    serve_beside(server, world, call_all)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("name", ["Unary", "InPlace", "InANursery", "Serializer", "Both"])
@ON_LOOPS
def test_what_is_meant_for_the_program_ends_the_server(world: str, kind: type[BaseException], name: str) -> None:
    """In the loop: nobody can tell it from what a signal or the end of the program brings."""
    if name == "InANursery" and world != "trio":
        return
    methods = [*plain_methods(kind), *async_methods(kind, world)]
    (method,) = [each for each in methods if each.path == f"/f.{'P' if name == 'InPlace' else 'A'}/{name}"]

    def call(address: str) -> None:
        with suppress(Exception), grpc.insecure_channel(address) as channel:
            list(caller(channel, method.path, method.shape)(request_for(method.shape, b"x"), timeout=5))

    async def body() -> None:
        async with echo_server(world, method) as server:
            thread = threading.Thread(target=call, args=(server.addresses[0],))
            thread.start()
            threads.append(thread)
            await sleep(TIMEOUT)

    threads: list[threading.Thread] = []
    with pytest.raises(kind):
        run(world, body)
    threads[0].join(TIMEOUT)


# -- our own code


CALLS: list[type] = [
    IncomingCall,
    UnaryRequestCall,
    InPlaceCall,
    StreamRequestCall,
    RejectedCall,
    RequestStream,
    OnThread,
    Outbox,
    ThreadUnaryRequestCall,
    ThreadStreamRequestCall,
]
PLACES: dict[type, list[str] | None] = {
    **dict.fromkeys(CALLS),
    ServerSession: None,
    Connections: [
        "begin", "_add", "_serve_accepted", "_has_room", "_count_accepted", "session_over", "_over",
        "_wait_for",
    ],
    Router: ["unimplemented"],
    Places: ["take", "give_back"],
    Threads: ["call", "call_later", "perform", "wait_for", "new_context", "_wait"],
    ThreadPool: ["withdraw"],
    Ageing: ["_due", "add", "discard", "_go_on_at"],
    TrioJobs: ["submit"],
    AsyncioJobs: ["submit"],
    Session: ["locked", "push", "on_output", "on_ready", "on_call", "on_closed", "hold", "arm", "abort", "_take"],
    Listener: ["accept", "secure"],
    SocketStream: ["limit_unacknowledged_time"],
}  # fmt: skip
"""Class -> its methods, all where there are none. What overrides them is meant as well."""
ENGINE_PLACES = [
    "start", "receive", "data_to_send", "lost", "advance", "next_time", "send_headers", "send_message",
    "send_trailers", "send_response", "send_buffered", "is_held_back", "consume", "reset", "go_away",
]  # fmt: skip
SESSIONS: dict[str, list[type]] = {
    "trio": [TrioSession, LoopSession, Session],
    "asyncio": [AsyncioSession, LoopSession, Session],
    "threads": [ThreadSession, Session],
}


def traps() -> Iterator[tuple[str, type, str]]:
    """World, class and method."""
    for world in WORLDS:
        for owner, names in PLACES.items():
            if issubclass(owner, Jobs) and not owner.__name__.lower().startswith(world):
                continue
            for name in names or [name for name, value in vars(owner).items() if isinstance(value, FunctionType)]:
                if owner is Session:
                    found = next((kind for kind in SESSIONS[world] if name in vars(kind)), None)
                    if found is not None:
                        yield world, found, name
                elif name not in ("__aiter__", "__iter__"):
                    yield world, owner, name


class Trap:
    """Makes a method raise as long as it is armed."""

    def __init__(self, owner: type, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.armed = False
        self.sprung = 0
        original = getattr(owner, name)

        async def async_method(*arguments: Any, **keywords: Any) -> Any:
            self.spring()
            return await original(*arguments, **keywords)

        def method(*arguments: Any, **keywords: Any) -> Any:
            self.spring()
            return original(*arguments, **keywords)

        monkeypatch.setattr(owner, name, async_method if inspect.iscoroutinefunction(original) else method)

    def spring(self) -> None:
        if self.armed:
            self.sprung += 1
            raise RuntimeError("boom")


PATHS = [
    "Unary", "ServerStream", "ClientStream", "Bidi", "PlainUnary", "PlainServerStream", "PlainClientStream",
    "PlainBidi", "InPlace", "Much", "Fail", "FailLater", "Flood", "PlainFlood", "Nothing", "Wrapped",
]  # fmt: skip


def provoke(address: str) -> None:
    """Do with a server what makes it go everywhere; whatever comes of it."""
    with suppress(OSError), connect_to(address) as first, connect_to(address) as second:
        frames = FrameFactory()
        octets = [CLIENT_PREFACE, frames.settings()]
        for index, path in enumerate(PATHS):
            stream_id = 2 * index + 1
            octets += [frames.request(stream_id, f"/test.Echo/{path}"), frames.data(stream_id, message(b"x"), end=True)]
        stream_id = 2 * len(PATHS) + 1
        octets += [
            frames.request(stream_id, "/test.Echo/Unary"),
            frames.data(stream_id, message(b"x") + message(b"y"), end=True),
            frames.request(stream_id + 2, "/test.Echo/Unary", end=True),
            frames.request(stream_id + 4, "/test.Echo/Sleep", ("grpc-timeout", "50m")),
            frames.data(stream_id + 4, message(b"x"), end=True),
            frames.request(stream_id + 6, "/test.Echo/Sleep"),
            frames.data(stream_id + 6, message(b"x"), end=True),
            frames.request(stream_id + 8, "/test.Echo/PlainBidi"),
        ]
        first.sendall(b"".join(octets))
        frames = FrameFactory()
        second.sendall(CLIENT_PREFACE + frames.settings() + frames.request(1, "/test.Echo/Bidi"))
        time.sleep(0.1)
        more = [frames.reset(stream_id + 6, 8), frames.data(stream_id + 8, message(b"x"), end=True)]
        more += [frames.window_update(2 * PATHS.index(name) + 1, 1 << 22) for name in ("Flood", "PlainFlood")]
        more += [frames.window_update(0, 1 << 22), frames.settings_ack(), frames.ping()]
        first.sendall(b"".join(more))
        # A reset in the middle of a call.
        second.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        second.close()
        first.settimeout(0.05)
        end = time.monotonic() + 0.12
        while time.monotonic() < end:
            with suppress(TimeoutError):
                if not first.recv(1 << 18):
                    break


def everywhere(world: str, engine: Any) -> Any:
    """A server that goes everywhere when it is provoked."""

    def plain_sleep(request: bytes, context: Context) -> bytes:
        over = threading.Event()
        context.add_callback(over.set)
        end = time.monotonic() + 5
        while not context.cancelled and time.monotonic() < end:
            over.wait(0.05)
        return b""

    async def sleeping(request: bytes, context: Context) -> bytes:
        context.add_callback(context.get_metadata)  # type: ignore[arg-type]  # it fails, which hurts nobody
        await sleep(5)
        raise AssertionError

    def much(request: bytes, context: Context) -> bytes:
        context.send_initial_metadata()
        context.set_trailing_metadata({"x-large": "v" * 2_000})
        return request

    def fail(request: bytes, context: Context) -> bytes:
        raise ValueError

    async def fail_later(request: bytes, context: Context) -> bytes:
        await sleep(0.01)
        raise ValueError

    async def flood(request: bytes, context: Context) -> AsyncIterator[bytes]:
        for _ in range(20):
            yield bytes(100_000)

    def plain_flood(request: bytes, context: Context) -> Iterator[bytes]:
        for _ in range(20):
            yield bytes(100_000)

    async def wrapped(request: bytes, context: Context) -> bytes:
        return request

    config = ServerConfig(
        engine=engine,
        max_connection_age=0.25,
        max_connection_age_grace=0.02,
        max_connection_idle=60,
        max_concurrent_calls=1000,
    )
    server = echo_server(world, config=config)
    for shape, handler in plain_handlers().items():
        server.add_method(Method(f"/test.Echo/Plain{shape}", handler, SHAPES[shape]))
    on_threads = world == "threads"
    server.add_methods(
        [
            Method("/test.Echo/Sleep", plain_sleep if on_threads else sleeping),
            Method("/test.Echo/Much", much),
            Method("/test.Echo/Fail", fail),
            Method("/test.Echo/FailLater", fail if on_threads else fail_later),
            Method("/test.Echo/InPlace", plain_forward, in_place=True),
            Method("/test.Echo/Flood", plain_flood if on_threads else flood, Shape.SERVER_STREAM),
            Method("/test.Echo/PlainFlood", plain_flood, Shape.SERVER_STREAM),
            Method("/test.Echo/Wrapped", lambda request, context: wrapped(request, context)),
        ]
    )
    return server


SHAPES = {
    "Unary": Shape.UNARY,
    "ServerStream": Shape.SERVER_STREAM,
    "ClientStream": Shape.CLIENT_STREAM,
    "Bidi": Shape.BIDI,
}


def plain_handlers() -> dict[str, Callable[..., Any]]:
    return {
        "Unary": lambda request, context: request,
        "ServerStream": lambda request, context: [request] * 3,
        "ClientStream": lambda requests, context: b"".join(requests),
        "Bidi": lambda requests, context: (request for request in requests),
    }


def spring(world: str, trap: Trap, engine: Any) -> None:
    with warnings.catch_warnings():
        # A fault between a handler that gave a coroutine and the loop that is to run it leaves the coroutine to nobody.
        warnings.filterwarnings("ignore", "coroutine .* was never awaited")
        with serving(everywhere(world, engine), world) as running:
            serve_once(running.address)
            trap.armed = True
            provoke(running.address)
            trap.armed = False
            serve_once(running.address)
        gc.collect()
    if not trap.sprung:
        pytest.skip("this world does not go there")


def serve_once(address: str) -> None:
    """Another client is served, within reasonable time."""
    for _ in range(5):
        with WireClient(address) as client:
            call = client.open("/test.Echo/Unary", b"x")
            while call.status is None:
                assert client.read(5) or call.status is not None, "the server says nothing"
            if call.messages == [b"x"]:
                return
        # Its connection may have reached its age in the very moment.
    raise AssertionError(call.status)


@pytest.mark.slow
@pytest.mark.parametrize(("world", "owner", "name"), list(traps())[:: 3 if os.environ.get("CI") else 1])  # of hundreds
def test_a_fault_of_our_own(world: str, owner: type, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spring(world, Trap(owner, name, monkeypatch), "fast")


@pytest.mark.parametrize("name", [name for _, owner, name in traps() if owner is ThreadSession])
def test_a_fault_where_few_threads_read_for_all(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "MANY_SESSIONS", 0)
    spring("threads", Trap(ThreadSession, name, monkeypatch), "fast")


@pytest.mark.slow
@ENGINES
@pytest.mark.parametrize("name", ENGINE_PLACES)
@ON_WORLDS
def test_a_fault_of_an_engine(world: str, engine: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = {"fast": FastServerConnection, "h2": H2ServerConnection}[engine]
    spring(world, Trap(owner, name, monkeypatch), engine)


@pytest.mark.parametrize("fault", FAULTS)
@ON_WORLDS
def test_callbacks_that_raise(world: str, fault: str) -> None:
    """Of the end of a call, and of the server's."""
    called: list[str] = []
    both = threading.Semaphore(0)

    def handler(request: bytes, context: Context) -> bytes:
        context.add_callback(lambda: raises(MADE[fault]))
        context.add_callback(both.release)
        return request

    server = echo_server(world, Method("/f.F/Call", handler))
    server.call_on_stop(lambda: raises(MADE[fault]))
    server.call_on_stop(lambda: called.append("second"))

    def call(channel: Any) -> None:
        channel.unary_unary("/f.F/Call")(b"", timeout=TIMEOUT)
        assert both.acquire(timeout=15)

    serve_beside(server, world, call)
    assert called == ["second"]


@pytest.mark.parametrize(("world", "style"), STYLES)
def test_a_log_that_raises(world: str, style: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("the log's disk is full")

    handler = Broken(logging.DEBUG)
    logger = logging.getLogger("puregrpc.server")
    logger.addHandler(handler)
    monkeypatch.setattr(logger, "level", logging.DEBUG)
    methods = faulty_methods(FAULTS["Exception"], world, style)

    def call_all(channel: Any) -> None:
        for method in methods:
            call_once(channel, method)

    try:
        serve_beside(echo_server(world, *methods), world, call_all)
    finally:
        logger.removeHandler(handler)
