"""What handlers may be given, return and raise; their context; how many requests they get."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pytest
import trio
from tests.server.serving import (
    IN_STYLES,
    LOOPS,
    ON_LOOPS,
    ON_WORLDS,
    TIMEOUT,
    caller,
    channel_to,
    echo_server,
    handlers,
    request_for,
    sleep,
    status_of,
)

from puregrpc.errors import InvalidArgument, LocalProtocolError, RpcError
from puregrpc.server import Context, Method, ServerConfig, Shape

SHAPES = pytest.mark.parametrize("shape", list(Shape))


def status_after(world: str, *methods: Method, request: bytes = b"", **config: Any) -> tuple[int, str]:
    """How a call of the first method ends; others still work behind it."""
    with channel_to(echo_server(world, *methods, config=ServerConfig(**config)), world) as channel:
        method = methods[0]
        call = caller(channel, method.path, method.shape)
        code, text = status_of(lambda: [*call(request_for(method.shape, request), timeout=TIMEOUT)])
        assert channel.unary_unary("/test.Echo/Unary")(b"still here") == b"still here"
    return code.value[0], text


def failing(shape: Shape, style: str, fail: Callable[[], Any]) -> Method:
    """A method whose handler calls ``fail``; behind its first response, if it streams them."""

    async def one(request: Any, context: Context) -> Any:
        return fail()

    async def many(request: Any, context: Context) -> AsyncIterator[Any]:
        yield b""
        yield fail()

    def plain_one(request: Any, context: Context) -> Any:
        return fail()

    def plain_many(request: Any, context: Context) -> Iterator[Any]:
        yield b""
        yield fail()

    if style == "async":
        return Method("/test.T/Call", many if shape.responses_stream else one, shape)
    return Method("/test.T/Call", plain_many if shape.responses_stream else plain_one, shape)


# -- what handlers return and raise


@pytest.mark.parametrize("response", ["text", None, 5, {"a": 1}])
@IN_STYLES
def test_a_response_that_does_not_fit(world: str, style: str, response: Any) -> None:
    for shape in (Shape.UNARY, Shape.SERVER_STREAM):
        code, text = status_after(world, failing(shape, style, lambda: response))
        assert code == 13
        assert type(response).__name__ in text


@IN_STYLES
def test_a_request_that_cannot_be_read(world: str, style: str) -> None:
    def deserialize(data: bytes) -> Any:
        raise ValueError("not mine")

    for shape, handler in handlers(style).items():
        code, text = status_after(world, Method("/test.T/Call", handler, shape, deserialize))
        assert code == 13
        assert "not mine" in text


class HandlerError(Exception):
    pass


class OwnBaseError(BaseException):
    pass


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


ERRORS: list[tuple[BaseException, int, str]] = [
    (HandlerError("secret"), 2, "the handler raised HandlerError"),
    (UnprintableError(), 2, "the handler raised UnprintableError"),
    (RpcError(7, "no", details_bin=b"\x08\x07"), 7, "no"),
    (RpcError(0, "not OK at all"), 2, "the handler raised RpcError"),
    (RpcError(5, "x", details_bin="x"), 2, "the handler raised a status that cannot be sent"),  # type: ignore[arg-type]
    (RpcError(5, 7), 5, "7"),  # type: ignore[arg-type]  # as handlers without types do
    (RpcError(99, "a code of one's own"), 99, "a code of one's own"),
    (StopAsyncIteration(), 2, "StopAsyncIteration RuntimeError"),
    (StopIteration(), 2, "StopIteration RuntimeError"),
    (RecursionError(), 2, "the handler raised RecursionError"),
    (MemoryError(), 2, "the handler raised MemoryError"),
    (GeneratorExit(), 2, "GeneratorExit"),
    (OwnBaseError(), 2, "the handler raised OwnBaseError"),
    (asyncio.CancelledError(), 2, "the handler raised CancelledError"),
]


@pytest.mark.parametrize(("error", "code", "text"), ERRORS, ids=[type(error[0]).__name__ for error in ERRORS])
@SHAPES
@IN_STYLES
def test_what_handlers_raise_ends_their_call(
    world: str, style: str, error: BaseException, code: int, text: str, shape: Shape
) -> None:
    def fail() -> Any:
        raise error

    found_code, found = status_after(world, failing(shape, style, fail))
    if code == 99:  # grpcio knows it not
        assert found_code == 2
        return
    assert found_code == code
    if " " in text and not text.startswith("the"):  # how a generator or coroutine lets it through
        assert any(name in found for name in text.split())
    else:
        assert text in found


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
@SHAPES
def test_what_ends_a_program_ends_a_call_on_threads(kind: type[BaseException], shape: Shape) -> None:
    """No signal and nothing of the program's end reaches a thread: who raises such there means his own call."""

    def fail() -> Any:
        raise kind

    for world in (*LOOPS, "threads"):
        assert status_after(world, failing(shape, "plain", fail)) == (2, f"the handler raised {kind.__name__}")


def test_a_nursery_that_fails_while_its_call_is_cancelled() -> None:
    ended = threading.Event()

    async def fail_at_the_end() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise HandlerError

    async def handler(request: bytes, context: Context) -> bytes:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fail_at_the_end)
                nursery.start_soon(trio.sleep_forever)
        finally:
            ended.set()
        return b""

    with channel_to(echo_server("trio", Method("/test.T/Call", handler)), "trio") as channel:
        code, _ = status_of(lambda: channel.unary_unary("/test.T/Call")(b"", timeout=0.05))
        assert code.value[0] == 4
        assert ended.wait(15)
        for _ in range(3):
            assert channel.unary_unary("/test.Echo/Unary")(b"x") == b"x"


@contextmanager
def shielded() -> Iterator[None]:
    with trio.CancelScope(shield=True):
        yield


async def sleep_shielded(seconds: float) -> None:
    """Sleep, whether or not it is cancelled."""
    if "trio" in threading.current_thread().name:
        with trio.CancelScope(shield=True):
            await trio.sleep(seconds)
        return
    sleeping = asyncio.ensure_future(asyncio.sleep(seconds))
    while not sleeping.done():
        try:
            await asyncio.shield(sleeping)
        except asyncio.CancelledError:
            continue


@ON_LOOPS
def test_a_handler_that_ignores_its_cancellation(world: str) -> None:
    results: list[str] = []

    async def stubborn(request: bytes, context: Context) -> bytes:
        await sleep_shielded(0.3)
        results.append(str(context.cancelled))
        return b"too late"

    async def stubborn_stream(request: bytes, context: Context) -> AsyncIterator[bytes]:
        await sleep_shielded(0.3)
        results.append(str(context.cancelled))
        yield b"too late"
        await sleep(0)
        results.append("more")
        yield b"still too late"

    methods = [Method("/test.T/One", stubborn), Method("/test.T/Many", stubborn_stream, Shape.SERVER_STREAM)]
    server = echo_server(world, *methods)
    with channel_to(server, world) as channel:
        for name in ("One", "Many"):
            code, _ = status_of(lambda name=name: list(channel.unary_stream(f"/test.T/{name}")(b"", timeout=0.05)))
            assert code.value[0] == 4
        deadline = threading.Event()
        deadline.wait(0.6)
        assert results[:2] == ["True", "True"]
        assert channel.unary_unary("/test.Echo/Unary")(b"x") == b"x"


@IN_STYLES
def test_generators_are_closed_when_their_call_is_cancelled(world: str, style: str) -> None:
    closed = threading.Event()

    async def endless(request: bytes, context: Context) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"more"
        finally:
            closed.set()

    def plain_endless(request: bytes, context: Context) -> Iterator[bytes]:
        try:
            while True:
                yield b"more"
        finally:
            closed.set()

    handler = endless if style == "async" else plain_endless
    server = echo_server(world, Method("/test.T/Call", handler, Shape.SERVER_STREAM))
    with channel_to(server, world) as channel:
        call = channel.unary_stream("/test.T/Call")(b"")
        assert next(call) == b"more"
        call.cancel()
        assert closed.wait(15)


def test_requests_are_for_one_task_at_a_time() -> None:
    async def greedy(requests: AsyncIterator[bytes], context: Context) -> bytes:
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(anext, requests)
        return b""

    go_on = threading.Event()

    def requests() -> Iterator[bytes]:
        go_on.wait(15)
        yield b"x"

    server = echo_server("trio", Method("/test.T/Call", greedy, Shape.CLIENT_STREAM))
    with channel_to(server, "trio") as channel:
        code, text = status_of(lambda: channel.stream_unary("/test.T/Call")(requests(), timeout=TIMEOUT))
        assert (code.value[0], text) == (2, "the handler raised LocalProtocolError")
        go_on.set()


@ON_WORLDS
def test_requests_are_for_one_thread_at_a_time(world: str) -> None:
    waiting = threading.Event()

    def greedy(requests: Iterator[bytes], context: Context) -> bytes:
        taken: list[Any] = []

        def take() -> None:
            waiting.set()
            taken.append(next(requests, None))

        thread = threading.Thread(target=take)
        thread.start()
        waiting.wait(15)
        end = threading.Event()
        end.wait(0.2)
        with pytest.raises(LocalProtocolError, match="another thread"):
            next(requests)
        go_on.set()
        thread.join(15)
        assert taken == [b"x"]
        return b"fine"

    go_on = threading.Event()

    def requests() -> Iterator[bytes]:
        go_on.wait(15)
        yield b"x"

    server = echo_server(world, Method("/test.T/Call", greedy, Shape.CLIENT_STREAM))
    with channel_to(server, world) as channel:
        assert channel.stream_unary("/test.T/Call")(requests(), timeout=TIMEOUT) == b"fine"


@ON_LOOPS
def test_requests_that_would_block_the_loop(world: str) -> None:
    async def blocks(requests: Any, context: Context) -> bytes:
        for _ in requests:
            pass
        return b""

    code, text = status_after(world, Method("/test.T/Call", blocks, Shape.CLIENT_STREAM))
    assert (code, text) == (2, "the handler raised LocalProtocolError")


@IN_STYLES
def test_bidi_with_a_reader_beside(world: str, style: str) -> None:
    """Responses go out while requests are read by somebody else, as handlers for grpcio are often written."""

    async def beside(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        taken: list[bytes] = []

        async def read() -> None:
            taken.extend([request async for request in requests])

        if "trio" in threading.current_thread().name:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read)
                for number in range(5):
                    yield b"%d" % number
                    await trio.sleep(0.01)
        else:
            task = asyncio.ensure_future(read())
            for number in range(5):
                yield b"%d" % number
                await asyncio.sleep(0.01)
            await task
        yield b"".join(taken)

    def plain_beside(requests: Iterator[bytes], context: Context) -> Iterator[bytes]:
        taken: list[bytes] = []
        thread = threading.Thread(target=lambda: taken.extend(requests))
        thread.start()
        for number in range(5):
            yield b"%d" % number
            threading.Event().wait(0.01)
        thread.join(15)
        yield b"".join(taken)

    method = Method("/test.T/Call", beside if style == "async" else plain_beside, Shape.BIDI)
    with channel_to(echo_server(world, method), world) as channel:
        responses = list(channel.stream_stream("/test.T/Call")(iter([b"a", b"b", b"c"]), timeout=TIMEOUT))
        assert responses == [b"0", b"1", b"2", b"3", b"4", b"abc"]


@pytest.mark.parametrize("shape", [Shape.CLIENT_STREAM, Shape.BIDI])
@IN_STYLES
def test_the_requests_end_with_the_call_for_a_reader_that_is_left(world: str, style: str, shape: Shape) -> None:
    """Who still waits for requests when the handler has ended the call goes on, though the client has not
    half-closed."""
    taken: list[bytes] = []
    has_one, is_over = threading.Event(), threading.Event()

    async def read(requests: AsyncIterator[bytes]) -> None:
        async for request in requests:
            taken.append(request)
            has_one.set()
        is_over.set()

    async def one(requests: AsyncIterator[bytes], context: Context) -> bytes:
        if "trio" in threading.current_thread().name:
            trio.lowlevel.spawn_system_task(read, requests)
        else:
            tasks.add(asyncio.ensure_future(read(requests)))
        while not has_one.is_set():
            await sleep(0.01)
        return b"ended"

    async def many(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        yield await one(requests, context)

    def plain_read(requests: Iterator[bytes]) -> None:
        for request in requests:
            taken.append(request)
            has_one.set()
        is_over.set()

    def plain_one(requests: Iterator[bytes], context: Context) -> bytes:
        threading.Thread(target=plain_read, args=(requests,), daemon=True).start()
        has_one.wait(TIMEOUT)
        return b"ended"

    def plain_many(requests: Iterator[bytes], context: Context) -> Iterator[bytes]:
        yield plain_one(requests, context)

    def requests() -> Iterator[bytes]:
        yield b"x"
        is_over.wait(TIMEOUT)

    tasks: set[asyncio.Future[None]] = set()
    behaviors = (many, plain_many) if shape is Shape.BIDI else (one, plain_one)
    method = Method("/test.T/Call", behaviors[style == "plain"], shape)
    with channel_to(echo_server(world, method), world) as channel:
        answer = caller(channel, "/test.T/Call", shape)(requests(), timeout=TIMEOUT)
        assert b"".join(answer if shape.responses_stream else [answer]) == b"ended"
        assert is_over.wait(TIMEOUT)
        assert taken == [b"x"]


# -- the context


@IN_STYLES
def test_the_context_refuses_what_cannot_be(world: str, style: str) -> None:
    def misuse(context: Context) -> bytes:
        assert (context.method, context.shape, context.timeout) == ("/test.T/Call", Shape.UNARY, None)
        assert (context.deadline, context.time_remaining(), context.cancelled) == (None, None, False)
        assert context.authority
        assert "grpc-python" in context.user_agent
        assert context.peer_certificate is None
        with pytest.raises(InvalidArgument):
            context.abort(0)
        for bad in ({"grpc-status": "1"}, {"a b": "c"}, {"a": "ü"}, {"a-bin": "text"}, {"a": b"bytes"}, {":path": "/"}):
            with pytest.raises(InvalidArgument):
                context.set_trailing_metadata(bad)
            with pytest.raises(InvalidArgument):
                context.send_initial_metadata(bad)
        with pytest.raises(InvalidArgument, match="snappy"):
            context.set_compression("snappy")
        context.send_initial_metadata({"a": "b"})
        with pytest.raises(LocalProtocolError):
            context.send_initial_metadata({"a": "b"})
        with pytest.raises(LocalProtocolError):
            context.set_compression("gzip")
        return b"fine"

    async def handler(request: bytes, context: Context) -> bytes:
        return misuse(context)

    def plain_handler(request: bytes, context: Context) -> bytes:
        return misuse(context)

    method = Method("/test.T/Call", handler if style == "async" else plain_handler)
    with channel_to(echo_server(world, method), world) as channel:
        assert channel.unary_unary("/test.T/Call")(b"") == b"fine"


@SHAPES
@IN_STYLES
def test_callbacks_are_called_at_every_end(world: str, style: str, shape: Shape) -> None:
    called = threading.Semaphore(0)

    def prepare(context: Context) -> bytes:
        def fail() -> None:
            called.release()
            raise HandlerError("a callback's own fault")

        assert context.add_callback(fail)
        assert context.add_callback(called.release)
        if context.get_metadata("fail"):
            context.abort(5, "no")
        return b""

    async def one(request: Any, context: Context) -> bytes:
        return prepare(context)

    async def many(request: Any, context: Context) -> AsyncIterator[bytes]:
        yield prepare(context)

    def plain_one(request: Any, context: Context) -> bytes:
        return prepare(context)

    def plain_many(request: Any, context: Context) -> Iterator[bytes]:
        yield prepare(context)

    kinds: tuple[Any, Any] = (one, many) if style == "async" else (plain_one, plain_many)
    method = Method("/test.T/Call", kinds[shape.responses_stream], shape)
    with channel_to(echo_server(world, method), world) as channel:
        call = caller(channel, "/test.T/Call", shape)
        list(call(request_for(shape, b"")))
        for _ in range(2):
            assert called.acquire(timeout=15)
        status_of(lambda: list(call(request_for(shape, b""), metadata=[("fail", "1")])))
        for _ in range(2):
            assert called.acquire(timeout=15)


@ON_WORLDS
def test_context_variables_do_not_leak_from_call_to_call(world: str) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="fresh")

    async def see_and_set(request: bytes, context: Context) -> bytes:
        seen = variable.get()
        variable.set("used")
        await sleep(0)
        assert variable.get() == "used"
        return seen.encode()

    def see_and_set_plain(request: bytes, context: Context) -> bytes:
        seen = variable.get()
        variable.set("used")
        return seen.encode()

    methods = [Method("/test.V/Thread", see_and_set_plain), Method("/test.V/InPlace", see_and_set_plain, in_place=True)]
    if world != "threads":
        methods.append(Method("/test.V/Task", see_and_set))
    with channel_to(echo_server(world, *methods), world) as channel:
        for _ in range(3):
            for method in methods:
                assert channel.unary_unary(method.path)(b"") == b"fresh"


# -- cardinality


@pytest.mark.parametrize("shape", [Shape.UNARY, Shape.SERVER_STREAM])
@pytest.mark.parametrize("count", [0, 2, 3])
@IN_STYLES
def test_another_number_of_requests_than_one(world: str, style: str, shape: Shape, count: int) -> None:
    method = Method("/test.T/Call", handlers(style)[shape], shape)
    with channel_to(echo_server(world, method), world) as channel:
        code, text = status_of(lambda: channel.stream_unary("/test.T/Call")(iter([b"x"] * count), timeout=TIMEOUT))
        assert code.value[0] == 12
        assert "exactly one request message" in text
        assert channel.unary_unary("/test.Echo/Unary")(b"x") == b"x"
