"""What handlers may be, get, return and raise; services from descriptors; interceptors."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import trio
from google.protobuf import struct_pb2
from grpc_health.v1 import health_pb2
from tests.server.serving import echo, echo_each, echo_methods, join, repeat

from puregrpc.errors import InvalidArgument, LocalProtocolError, RpcError, SchemaError
from puregrpc.proto import compile as compile_proto
from puregrpc.schema import Registry
from puregrpc.server import Context, Interceptor, Method, Server, ServerConfig, Shape
from puregrpc.server.service import snake_case
from puregrpc.testing import open_in_memory


def run(body: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        with trio.fail_after(10):
            await body()

    trio.run(main)


def status_after(*methods: Method, path: str = "/test.T/Call", request: bytes = b"", **config: Any) -> tuple[int, str]:
    """How a call ends."""
    found: list[tuple[int, str]] = []

    async def body() -> None:
        server = Server(config=ServerConfig(**config))
        server.add_methods([*echo_methods(), *methods])
        async with open_in_memory(server) as channel:
            async with channel.call(path) as call:
                try:
                    await call.send(request)
                    await call.half_close()
                    async for _ in call:
                        pass
                    found.append((0, ""))
                except RpcError as error:
                    found.append((error.code, error.message))
            assert await channel.unary_unary("/test.Echo/Unary")(b"still here") == b"still here"

    run(body)
    return found[0]


# -- methods


@pytest.mark.parametrize(
    ("path", "handler", "shape", "problem"),
    [
        ("test.Echo/Unary", echo, Shape.UNARY, "must look like"),
        ("/Unary", echo, Shape.UNARY, "must look like"),
        ("/test.Echo/", echo, Shape.UNARY, "must look like"),
        ("/test.Echo/Unary", 5, Shape.UNARY, "callable, not int"),
        ("/test.Echo/Unary", repeat, Shape.UNARY, "no generator"),
        ("/test.Echo/Unary", echo_each, Shape.CLIENT_STREAM, "no generator"),
        ("/test.Echo/Unary", echo, Shape.SERVER_STREAM, "async generator"),
        ("/test.Echo/Unary", join, Shape.BIDI, "async generator"),
    ],
)
def test_methods_that_cannot_be(path: str, handler: Any, shape: Shape, problem: str) -> None:
    with pytest.raises(InvalidArgument, match=problem):
        Method(path, handler, shape)


def test_a_path_is_served_once() -> None:
    server = Server()
    server.add_method(Method("/test.Echo/Unary", echo))
    with pytest.raises(InvalidArgument, match="served already"):
        server.add_method(Method("/test.Echo/Unary", echo))
    assert server.services == ("test.Echo",)


def test_an_encoding_that_is_not_there() -> None:
    with pytest.raises(InvalidArgument, match="snappy"):
        Server(config=ServerConfig(compression="snappy"))


# -- what handlers return and raise


@pytest.mark.parametrize("response", ["text", None, 5, {"a": 1}])
def test_a_response_that_does_not_fit(response: Any) -> None:
    async def one(request: bytes, context: Context) -> Any:
        return response

    async def many(request: bytes, context: Context) -> AsyncIterator[Any]:
        yield b"fine"
        yield response

    for method in (Method("/test.T/Call", one), Method("/test.T/Call", many, Shape.SERVER_STREAM)):
        code, text = status_after(method)
        assert code == 13
        assert type(response).__name__ in text


def test_a_request_that_cannot_be_read() -> None:
    def deserialize(data: bytes) -> Any:
        raise ValueError("not mine")

    for shape, handler in ((Shape.UNARY, echo), (Shape.CLIENT_STREAM, join), (Shape.BIDI, echo_each)):
        code, text = status_after(Method("/test.T/Call", handler, shape, deserialize))
        assert code == 13
        assert "not mine" in text


class HandlerError(Exception):
    pass


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (HandlerError("secret"), 2, "the handler raised HandlerError"),
        (UnprintableError(), 2, "the handler raised UnprintableError"),
        (RpcError(7, "no", details=b"\x08\x07"), 7, "no"),
        (RpcError(0, "not OK at all"), 2, "the handler raised RpcError"),
        (RpcError("NOT_FOUND", "x"), 2, "the handler raised a status that cannot be sent"),  # type: ignore[arg-type]
        (RpcError(5, "x", details="x"), 2, "the handler raised a status that cannot be sent"),  # type: ignore[arg-type]
        (RpcError(5, 7), 5, "7"),  # type: ignore[arg-type]  # as handlers without types do
        (RpcError(99, "a code of one's own"), 99, "a code of one's own"),
        (StopAsyncIteration(), 2, "the handler raised RuntimeError"),
        (RecursionError(), 2, "the handler raised RecursionError"),
    ],
)
@pytest.mark.parametrize("shape", list(Shape))
def test_what_handlers_raise_ends_their_call(error: Exception, code: int, text: str, shape: Shape) -> None:
    async def one(request: Any, context: Context) -> bytes:
        raise error

    async def many(request: Any, context: Context) -> AsyncIterator[bytes]:
        yield b""
        raise error

    found = status_after(Method("/test.T/Call", many if shape.responses_stream else one, shape))
    if isinstance(error, StopAsyncIteration) and not shape.responses_stream:
        text = "the handler raised StopAsyncIteration"
    assert found == (code, text)


def test_a_nursery_that_fails_while_its_call_is_cancelled() -> None:
    async def body() -> None:
        ended = trio.Event()

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

        server = Server()
        server.add_methods([*echo_methods(), Method("/test.T/Call", handler)])
        async with open_in_memory(server) as channel:
            with pytest.raises(RpcError, match="DEADLINE_EXCEEDED"):
                await channel.unary_unary("/test.T/Call")(b"", timeout=0.05)
            await ended.wait()
            for _ in range(3):
                assert await channel.unary_unary("/test.Echo/Unary")(b"x") == b"x"

    run(body)


def test_a_handler_that_ignores_its_cancellation() -> None:
    async def body() -> None:
        results: list[str] = []

        async def stubborn(request: bytes, context: Context) -> bytes:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.2)
            results.append(str(context.cancelled))
            return b"too late"

        async def stubborn_stream(request: bytes, context: Context) -> AsyncIterator[bytes]:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.2)
            results.append(str(context.cancelled))
            yield b"too late"
            results.append("never")

        methods = [
            Method("/test.T/One", stubborn),
            Method("/test.T/Many", stubborn_stream, Shape.SERVER_STREAM),
        ]
        server = Server()
        server.add_methods([*echo_methods(), *methods])
        async with open_in_memory(server) as channel:
            for name in ("One", "Many"):
                with pytest.raises(RpcError, match="DEADLINE_EXCEEDED"):
                    async with channel.unary_stream(f"/test.T/{name}")(b"", timeout=0.05) as call:
                        await call.receive()
            await trio.sleep(0.3)
            assert results == ["True", "True"]
            assert await channel.unary_unary("/test.Echo/Unary")(b"x") == b"x"

    run(body)


def test_generators_are_closed_when_their_call_is_cancelled() -> None:
    async def body() -> None:
        closed = trio.Event()

        async def endless(request: bytes, context: Context) -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"more"
            finally:
                closed.set()

        server = Server()
        server.add_methods([*echo_methods(), Method("/test.T/Call", endless, Shape.SERVER_STREAM)])
        async with open_in_memory(server) as channel:
            async with channel.unary_stream("/test.T/Call")(b"") as call:
                assert await call.receive() == b"more"
            await closed.wait()

    run(body)


def test_requests_are_for_one_task_at_a_time() -> None:
    async def greedy(requests: AsyncIterator[bytes], context: Context) -> bytes:
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(anext, requests)
        return b""

    code, text = status_after(Method("/test.T/Call", greedy, Shape.CLIENT_STREAM), request=b"x")
    assert code == 2
    assert "StopAsyncIteration" in text or "BusyResourceError" in text or "RuntimeError" in text


# -- the context


def test_the_context_refuses_what_cannot_be() -> None:
    async def misuse(request: bytes, context: Context) -> bytes:
        assert (context.method, context.shape, context.timeout) == ("/test.T/Call", Shape.UNARY, None)
        assert (context.deadline, context.time_remaining(), context.cancelled) == (None, None, False)
        assert context.authority
        assert "puregrpc" in context.user_agent
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
        return b""

    assert status_after(Method("/test.T/Call", misuse)) == (0, "")


# -- cardinality


@pytest.mark.parametrize("shape", [Shape.UNARY, Shape.SERVER_STREAM])
@pytest.mark.parametrize("count", [0, 2, 3])
def test_another_number_of_requests_than_one(shape: Shape, count: int) -> None:
    async def body() -> None:
        server = Server()
        handler = repeat if shape.responses_stream else echo
        server.add_methods([*echo_methods(), Method("/test.T/Call", handler, shape)])
        async with open_in_memory(server) as channel:
            async with channel.call("/test.T/Call") as call:
                with pytest.raises(RpcError) as caught:
                    for _ in range(count):
                        await call.send(b"x")
                    await call.half_close()
                    await call.receive()
                assert caught.value.code == 12
            assert await channel.unary_unary("/test.Echo/Unary")(b"x") == b"x"

    run(body)


# -- plain functions and other callables


def test_callables_of_all_kinds() -> None:
    async def body() -> None:
        def decorated(handler: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(handler)
            def wrapper(*arguments: Any) -> Any:
                return handler(*arguments)

            return wrapper

        class Handlers:
            async def method(self, request: bytes, context: Context) -> bytes:
                return request

            def plain(self, request: bytes, context: Context) -> bytes:
                return request

            async def __call__(self, request: bytes, context: Context) -> bytes:
                return request

        handlers: list[Callable[..., Any]] = [
            echo,
            decorated(echo),
            functools.partial(echo),
            Handlers().method,
            Handlers().plain,
            Handlers(),
            lambda request, context: request,
            lambda request, context: echo(request, context),
        ]
        server = Server()
        server.add_methods(Method(f"/test.T/Call{number}", handler) for number, handler in enumerate(handlers))
        streams: list[Callable[..., Any]] = [repeat, decorated(repeat), functools.partial(repeat)]
        server.add_methods(
            Method(f"/test.T/Stream{number}", handler, Shape.SERVER_STREAM) for number, handler in enumerate(streams)
        )
        async with open_in_memory(server) as channel:
            for number in range(len(handlers)):
                assert await channel.unary_unary(f"/test.T/Call{number}")(b"x") == b"x"
            for number in range(len(streams)):
                async with channel.unary_stream(f"/test.T/Stream{number}")(b"x") as call:
                    assert [each async for each in call] == [b"x0", b"x1", b"x2"]

    run(body)


# -- services from descriptors

SOURCE = """
    syntax = "proto3"; package test;
    message Request { string text = 1; }
    message Response { string text = 1; int64 length = 2; }
    service Service { rpc GetURLOf (Request) returns (Response); rpc Count (Request) returns (stream Response); }
"""


def service() -> Any:
    (file,) = compile_proto(["test.proto"], sources={"test.proto": SOURCE})
    return file.services[0]


@pytest.mark.parametrize("name", ["SayHello say_hello", "GetURLOf get_url_of", "A a", "HTTP2Call http2_call", "x x"])
def test_snake_case(name: str) -> None:
    given, expected = name.split()
    assert snake_case(given) == expected


def test_handlers_that_are_missing() -> None:
    server = Server()
    with pytest.raises(InvalidArgument, match=r"get_url_of \(for /test.Service/GetURLOf\)"):
        server.add_service(service(), {"count": repeat})
    with pytest.raises(InvalidArgument):
        server.add_service(service(), {}, partial=True)
    server.add_service(service(), {"count": repeat}, partial=True)
    with pytest.raises(SchemaError, match="no\\.Such"):
        server.registry.service("no.Such")


@pytest.mark.parametrize("messages", ["dict", "protobuf", "bytes"])
def test_messages_as_one_likes(messages: Any) -> None:
    async def body() -> None:
        class Handlers:
            async def get_url_of(self, request: Any, context: Context) -> Any:
                if messages == "dict":
                    return {"text": request["text"], "length": len(request["text"])}
                if messages == "protobuf":
                    return {"text": request.text, "length": len(request.text)}
                assert request == b"\n\x03abc"
                return b"\n\x03abc\x10\x03"

            async def Count(self, request: Any, context: Context) -> AsyncIterator[Any]:  # noqa: N802 - or as it is named
                yield await self.get_url_of(request, context)

        server = Server()
        server.add_service(service(), Handlers(), messages=messages)
        async with open_in_memory(server) as channel:
            call = channel.unary_unary(server.registry.method("test.Service/GetURLOf"), codec=server.codec)
            assert await call({"text": "abc"}) == {"text": "abc", "length": "3"}
            count = channel.unary_stream(server.registry.method("test.Service/Count"), codec=server.codec)
            async with count({"text": "abc"}) as responses:
                assert [each async for each in responses] == [{"text": "abc", "length": "3"}]

    run(body)


def test_a_generated_modules_service() -> None:
    async def body() -> None:
        class Health:
            async def check(self, request: Any, context: Context) -> Any:
                assert isinstance(request, health_pb2.HealthCheckRequest)
                return health_pb2.HealthCheckResponse(status=1)

        server = Server()
        descriptor = health_pb2.DESCRIPTOR.services_by_name["Health"]
        server.add_service(descriptor, Health(), partial=True)
        async with open_in_memory(server) as channel:
            call = channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                health_pb2.HealthCheckRequest.SerializeToString,
                health_pb2.HealthCheckResponse.FromString,
            )
            assert (await call(health_pb2.HealthCheckRequest())).status == 1

    run(body)


def test_a_response_of_another_type() -> None:
    async def wrong(request: Any, context: Context) -> Any:
        return struct_pb2.Struct()

    async def unknown_field(request: Any, context: Context) -> Any:
        return {"nothing": 1}

    async def body() -> None:
        for handler in (unknown_field, wrong):
            server = Server()
            server.add_service(service(), {"get_url_of": handler}, partial=True)
            async with open_in_memory(server) as channel:
                with pytest.raises(RpcError) as caught:
                    await channel.unary_unary("/test.Service/GetURLOf")(b"")
                assert caught.value.code == 13

    run(body)


def test_json_messages() -> None:
    async def body() -> None:
        async def answer(request: Any, context: Context) -> Any:
            return {"text": request["text"], "length": 3}

        server = Server()
        server.add_service(service(), {"get_url_of": answer}, partial=True)
        async with open_in_memory(server, content_subtype="json") as channel:
            call = channel.unary_unary("/test.Service/GetURLOf")
            assert b'"3"' in await call(b'{"text": "abc"}')
            with pytest.raises(RpcError, match="INTERNAL"):
                await call(b"\xff")
            with pytest.raises(RpcError, match="INTERNAL"):
                await call(b"[1")

    run(body)


def test_registries_are_shared_with_the_schema() -> None:
    registry = Registry()
    registry.add_file(service().file)
    server = Server()
    server.add_service(registry.service("test.Service"), {"get_url_of": echo, "count": repeat}, messages="bytes")
    assert server.registry.method("test.Service/Count").is_server_stream


# -- interceptors


class Recording(Interceptor):
    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log

    async def one_response(self, request: Any, context: Context, proceed: Callable[[Any, Context], Any]) -> Any:
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


class NoToken(Interceptor):
    async def one_response(self, request: Any, context: Context, proceed: Callable[[Any, Context], Any]) -> Any:
        if context.get_metadata("authorization") is None:
            context.abort(16, "who are you?")
        return await proceed(request, context)


class Shouting(Interceptor):
    async def many_responses(self, request: Any, context: Context, proceed: Callable[..., Any]) -> AsyncIterator[Any]:
        async for response in proceed(request, context):
            yield response.upper()
            yield b"!"


def test_interceptors() -> None:
    async def body() -> None:
        log: list[str] = []
        server = Server(interceptors=[Recording("outer", log), NoToken(), Recording("inner", log), Shouting()])
        server.add_methods(echo_methods())

        def take() -> Iterator[str]:
            taken = list(log)
            log.clear()
            return iter(taken)

        async with open_in_memory(server) as channel:
            token = {"authorization": "t"}
            assert await channel.unary_unary("/test.Echo/Unary")(b"x", metadata=token) == b"x"
            assert list(take()) == ["outer before UNARY", "inner before UNARY", "inner after", "outer after"]
            with pytest.raises(RpcError, match="UNAUTHENTICATED"):
                await channel.unary_unary("/test.Echo/Unary")(b"x")
            assert list(take()) == ["outer before UNARY", "outer after"]
            assert await channel.stream_unary("/test.Echo/ClientStream")([b"a", b"b"], metadata=token) == b"a,b"
            assert next(take()) == "outer before CLIENT_STREAM"
            async with channel.unary_stream("/test.Echo/ServerStream")(b"x") as call:
                assert [each async for each in call] == [b"X0", b"!", b"X1", b"!", b"X2", b"!"]
            assert list(take())[0::3] == ["outer before SERVER_STREAM", "outer after"]
            async with channel.stream_stream("/test.Echo/Bidi")([b"a"]) as call:
                assert [each async for each in call] == [b"A", b"!"]
            assert list(take())[-1] == "outer after"

    run(body)
