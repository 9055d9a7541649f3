"""Interceptors of both kinds around handlers of both kinds."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import product
from typing import Any

import pytest
from tests.server.serving import (
    IN_STYLES,
    ON_LOOPS,
    ON_WORLDS,
    TIMEOUT,
    channel_to,
    echo_methods,
    make_server,
    sleep,
    status_of,
    style_of,
)

from puregrpc.server import Context, Interceptor, Method, ServerConfig, Shape, in_place

KINDS = list(product(("async", "plain"), repeat=3))
"""Of the outer interceptor, the inner one, and the handler."""


class Recording(Interceptor):
    """Notes what passes."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log

    async def one_response(self, request: Any, context: Context, proceed: Callable[..., Any]) -> Any:
        self.log.append(f"{self.name} before {context.shape.name}")
        try:
            return await proceed(request, context)
        finally:
            self.log.append(f"{self.name} after")

    async def many_responses(self, request: Any, context: Context, proceed: Callable[..., Any]) -> AsyncIterator[Any]:
        self.log.append(f"{self.name} before {context.shape.name}")
        async for response in super().many_responses(request, context, proceed):
            yield response
        self.log.append(f"{self.name} after")


class PlainRecording(Interceptor):
    """The same, written plainly."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log

    def one_response(self, request: Any, context: Context, proceed: Callable[..., Any]) -> Any:
        self.log.append(f"{self.name} before {context.shape.name}")
        try:
            return super().one_response(request, context, proceed)
        finally:
            self.log.append(f"{self.name} after")

    def many_responses(self, request: Any, context: Context, proceed: Callable[..., Any]) -> Iterator[Any]:
        self.log.append(f"{self.name} before {context.shape.name}")
        yield from proceed(request, context)
        self.log.append(f"{self.name} after")


class NoToken(Interceptor):
    async def one_response(self, request: Any, context: Context, proceed: Callable[..., Any]) -> Any:
        if context.get_metadata("authorization") is None:
            context.abort(16, "who are you?")
        return await proceed(request, context)


class PlainNoToken(Interceptor):
    def one_response(self, request: Any, context: Context, proceed: Callable[..., Any]) -> Any:
        if context.get_metadata("authorization") is None:
            context.abort(16, "who are you?")
        return proceed(request, context)


class Shouting(Interceptor):
    async def many_responses(self, request: Any, context: Context, proceed: Callable[..., Any]) -> AsyncIterator[Any]:
        async for response in proceed(request, context):
            yield response.upper()
            yield b"!"


class PlainShouting(Interceptor):
    def many_responses(self, request: Any, context: Context, proceed: Callable[..., Any]) -> Iterator[Any]:
        for response in proceed(request, context):
            yield response.upper()
            yield b"!"


TOKEN = [("authorization", "t")]


def check_all(world: str, interceptors: list[Interceptor], log: list[str], style: str) -> None:
    server = make_server(world, interceptors=interceptors)
    server.add_methods(echo_methods(style))

    def take() -> list[str]:
        taken = list(log)
        log.clear()
        return taken

    with channel_to(server, world) as channel:
        unary = channel.unary_unary("/test.Echo/Unary")
        assert unary(b"x", metadata=TOKEN, timeout=TIMEOUT) == b"x"
        assert take() == ["outer before UNARY", "inner before UNARY", "inner after", "outer after"]
        code, text = status_of(lambda: unary(b"x", timeout=TIMEOUT))
        assert (code.value[0], text) == (16, "who are you?")
        assert take() == ["outer before UNARY", "outer after"]
        join = channel.stream_unary("/test.Echo/ClientStream")
        assert join(iter([b"a", b"b"]), metadata=TOKEN, timeout=TIMEOUT) == b"a,b"
        assert take()[0] == "outer before CLIENT_STREAM"
        repeat = channel.unary_stream("/test.Echo/ServerStream")
        assert list(repeat(b"x", timeout=TIMEOUT)) == [b"X0", b"!", b"X1", b"!", b"X2", b"!"]
        assert take()[0::3] == ["outer before SERVER_STREAM", "outer after"]
        each = channel.stream_stream("/test.Echo/Bidi")
        assert list(each(iter([b"a"]), timeout=TIMEOUT)) == [b"A", b"!"]
        assert take()[-1] == "outer after"


@pytest.mark.parametrize(("outer", "inner", "style"), KINDS)
@ON_LOOPS
def test_interceptors(world: str, outer: str, inner: str, style: str) -> None:
    log: list[str] = []
    interceptors: list[Interceptor] = [
        Recording("outer", log) if outer == "async" else PlainRecording("outer", log),
        NoToken() if inner == "async" else PlainNoToken(),
        Recording("inner", log) if inner == "async" else PlainRecording("inner", log),
        Shouting() if outer == "async" else PlainShouting(),
    ]
    check_all(world, interceptors, log, style)


def test_interceptors_of_a_blocking_server() -> None:
    log: list[str] = []
    interceptors = [PlainRecording("outer", log), PlainNoToken(), PlainRecording("inner", log), PlainShouting()]
    check_all("threads", interceptors, log, "plain")


@pytest.mark.parametrize(("outer", "inner", "style"), KINDS)
@ON_LOOPS
def test_one_thread_is_enough(world: str, outer: str, inner: str, style: str) -> None:
    """Plain code that waits for other plain code of its call does not wait for a thread that it holds itself."""
    log: list[str] = []
    interceptors: list[Interceptor] = [
        Recording("outer", log) if outer == "async" else PlainRecording("outer", log),
        Recording("inner", log) if inner == "async" else PlainRecording("inner", log),
    ]
    server = make_server(world, interceptors=interceptors, config=ServerConfig(handler_threads=1))
    server.add_methods(echo_methods(style))
    with channel_to(server, world) as channel:
        calls = [channel.unary_unary("/test.Echo/Unary").future(b"x", timeout=TIMEOUT) for _ in range(20)]
        assert [call.result() for call in calls] == [b"x"] * 20
        assert list(channel.stream_stream("/test.Echo/Bidi")(iter([b"a", b"b"]), timeout=TIMEOUT)) == [b"a", b"b"]


class Counting(Interceptor):
    """Counts requests and responses, and hands on an iterator of its own."""

    def __init__(self) -> None:
        self.requests = 0
        self.responses = 0

    async def many_responses(self, request: Any, context: Context, proceed: Callable[..., Any]) -> AsyncIterator[Any]:
        async def counted() -> AsyncIterator[Any]:
            async for each in request:
                self.requests += 1
                yield each

        async for response in proceed(counted(), context):
            self.responses += 1
            yield response


class PlainCounting(Counting):
    def many_responses(self, request: Any, context: Context, proceed: Callable[..., Any]) -> Iterator[Any]:  # type: ignore[override]
        def counted() -> Iterator[Any]:
            for each in request:
                self.requests += 1
                yield each

        for response in proceed(counted(), context):
            self.responses += 1
            yield response


@pytest.mark.parametrize("kind", [Counting, PlainCounting])
@IN_STYLES
def test_requests_of_the_interceptors_own(world: str, style: str, kind: type[Counting]) -> None:
    if world == "threads" and kind is Counting:
        kind = PlainCounting
    counting = kind()
    server = make_server(world, interceptors=[counting])
    server.add_methods(echo_methods(style))
    with channel_to(server, world) as channel:
        each = channel.stream_stream("/test.Echo/Bidi")
        assert list(each(iter([b"a", b"b", b"c"]), timeout=TIMEOUT)) == [b"a", b"b", b"c"]
    assert (counting.requests, counting.responses) == (3, 3)


@ON_LOOPS
def test_interceptors_in_place(world: str) -> None:
    threads: set[str] = set()

    class Token(Interceptor):
        @in_place
        def one_response(self, request: Any, context: Context, proceed: Callable[..., Any]) -> Any:
            threads.add(threading.current_thread().name)
            return b"cached" if request == b"known" else proceed(request, context)

    @in_place
    def handler(request: bytes, context: Context) -> bytes:
        threads.add(threading.current_thread().name)
        return request

    async def waits(request: bytes, context: Context) -> bytes:
        await sleep(0.01)
        return request

    for interceptors in ([Token()], [Token(), Recording("inner", [])]):
        server = make_server(world, interceptors=interceptors)
        server.add_methods([Method("/test.I/InPlace", handler), Method("/test.I/Waits", waits)])
        with channel_to(server, world) as channel:
            for name in ("InPlace", "Waits"):
                call = channel.unary_unary(f"/test.I/{name}")
                assert call(b"x", timeout=TIMEOUT) == b"x"
                assert call(b"known", timeout=TIMEOUT) == b"cached"
    assert threads == {f"test's {world}"}


@ON_WORLDS
def test_a_client_that_leaves_closes_the_whole_chain(world: str) -> None:
    closed: list[str] = []
    all_closed = threading.Semaphore(0)

    class Plain(Interceptor):
        def many_responses(self, request: Any, context: Context, proceed: Callable[..., Any]) -> Iterator[Any]:
            try:
                yield from proceed(request, context)
            finally:
                closed.append("plain")
                all_closed.release()

    class Async(Interceptor):
        async def many_responses(
            self, request: Any, context: Context, proceed: Callable[..., Any]
        ) -> AsyncIterator[Any]:
            try:
                async for response in proceed(request, context):
                    yield response
            finally:
                closed.append("async")
                all_closed.release()

    def endless(request: bytes, context: Context) -> Iterator[bytes]:
        try:
            while True:
                yield bytes(10_000)
        finally:
            closed.append("handler")
            all_closed.release()

    interceptors: list[Interceptor] = [Plain()] if world == "threads" else [Async(), Plain()]
    server = make_server(world, interceptors=interceptors)
    server.add_methods([*echo_methods(style_of(world)), Method("/test.E/Endless", endless, Shape.SERVER_STREAM)])
    with channel_to(server, world) as channel:
        call = channel.unary_stream("/test.E/Endless")(b"")
        next(call)
        call.cancel()
        for _ in range(len(interceptors) + 1):
            assert all_closed.acquire(timeout=15)
    assert sorted(closed) == (["handler", "plain"] if world == "threads" else ["async", "handler", "plain"])
