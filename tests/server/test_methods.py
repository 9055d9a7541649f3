"""What can be served: methods, kinds of handlers, services from descriptors."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from google.protobuf import struct_pb2
from grpc_health.v1 import health_pb2
from tests.server.serving import (
    IN_STYLES,
    ON_LOOPS,
    ON_WORLDS,
    channel_to,
    echo,
    echo_each,
    join,
    make_server,
    plain_echo,
    plain_echo_each,
    plain_repeat,
    repeat,
    status_of,
)

from puregrpc.errors import InvalidArgument, SchemaError
from puregrpc.proto import compile as compile_proto
from puregrpc.schema import Registry
from puregrpc.server import BlockingServer, Context, Interceptor, Method, Server, ServerConfig, Shape, in_place
from puregrpc.server.service import snake_case


class Handlers:
    """Callables of many kinds."""

    async def method(self, request: bytes, context: Context) -> bytes:
        return request

    def plain(self, request: bytes, context: Context) -> bytes:
        return request

    async def __call__(self, request: bytes, context: Context) -> bytes:
        return request


class PlainObject:
    def __call__(self, request: bytes, context: Context) -> bytes:
        return request


def decorated(handler: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(handler)
    def wrapper(*arguments: Any) -> Any:
        return handler(*arguments)

    return wrapper


def with_database(handler: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that gives the handler one argument more."""

    @functools.wraps(handler)
    def wrapper(request: Any, context: Context) -> Any:
        return handler(request, context, "database")

    return wrapper


@with_database
def uses_database(request: bytes, context: Context, database: str) -> bytes:
    return request


async def of_one(request: bytes) -> bytes:
    return request


@pytest.mark.parametrize(
    ("path", "handler", "shape", "problem"),
    [
        ("test.Echo/Unary", echo, Shape.UNARY, "must look like"),
        ("/Unary", echo, Shape.UNARY, "must look like"),
        ("/test.Echo/", echo, Shape.UNARY, "must look like"),
        ("/test.Echo/Unary", 5, Shape.UNARY, "callable, not int"),
        ("/test.Echo/Unary", Handlers, Shape.UNARY, "the class Handlers: give a function, or a method of an instance"),
        ("/test.Echo/Unary", repeat, Shape.UNARY, "one response: the handler must return it"),
        ("/test.Echo/Unary", plain_repeat, Shape.UNARY, "one response: the handler must return it"),
        ("/test.Echo/Unary", functools.partial(plain_repeat), Shape.UNARY, "one response: the handler must return it"),
        ("/test.Echo/Unary", echo_each, Shape.CLIENT_STREAM, "this one is a generator"),
        ("/test.Echo/Unary", plain_echo_each, Shape.CLIENT_STREAM, "this one is a generator"),
        ("/test.Echo/Unary", echo, Shape.SERVER_STREAM, "must be a generator, async or plain"),
        ("/test.Echo/Unary", join, Shape.BIDI, "must be a generator, async or plain"),
        ("/test.Echo/Unary", Handlers.method, Shape.UNARY, "give the method of an instance, not that of a class"),
        ("/test.Echo/Unary", of_one, Shape.UNARY, r"\(request, context\), which of_one\(request.* does not"),
        ("/test.Echo/Unary", in_place(decorated(echo_each)), Shape.BIDI, "in_place is for plain functions of UNARY"),
        ("/test.Echo/Unary", in_place(functools.partial(echo)), Shape.UNARY, "the handler is an async function"),
    ],
)
def test_methods_that_cannot_be(path: str, handler: Any, shape: Shape, problem: str) -> None:
    with pytest.raises(InvalidArgument, match=problem):
        Method(path, handler, shape)


@ON_WORLDS
def test_a_path_is_served_once(world: str) -> None:
    server = make_server(world)
    server.add_method(Method("/test.Echo/Unary", plain_echo))
    with pytest.raises(InvalidArgument, match="served already"):
        server.add_method(Method("/test.Echo/Unary", plain_echo))
    assert server.services == ("test.Echo",)


@ON_WORLDS
def test_an_encoding_that_is_not_there(world: str) -> None:
    with pytest.raises(InvalidArgument, match="snappy"):
        make_server(world, config=ServerConfig(compression="snappy"))


def test_what_a_blocking_server_cannot_run() -> None:
    server = BlockingServer()
    for handler, shape in ((echo, Shape.UNARY), (repeat, Shape.SERVER_STREAM), (Handlers(), Shape.UNARY)):
        with pytest.raises(InvalidArgument, match=r"/test\.Echo/Call: the handler is async, and this server runs"):
            server.add_method(Method("/test.Echo/Call", handler, shape))
    with pytest.raises(InvalidArgument, match=r"/grpc\.health\.v1\.Health/Check: the handler is async"):
        server.add_service(health_pb2.DESCRIPTOR.services_by_name["Health"], {"Check": echo}, partial=True)

    class Async(Interceptor):
        async def one_response(self, request: Any, context: Context, proceed: Any) -> Any:
            return await proceed(request, context)

    with pytest.raises(InvalidArgument, match=r"Async\.one_response is async, and this server runs plain"):
        BlockingServer(interceptors=[Async()])


@pytest.mark.parametrize("kind", [Server, BlockingServer])
def test_what_is_no_interceptor(kind: Any) -> None:
    with pytest.raises(InvalidArgument, match="int is no interceptor: it has no method one_response"):
        kind(interceptors=[5])


@IN_STYLES
def test_callables_of_all_kinds(world: str, style: str) -> None:
    handlers: list[Callable[..., Any]] = [
        plain_echo,
        decorated(plain_echo),
        functools.partial(plain_echo),
        Handlers().plain,
        PlainObject(),
        lambda request, context: request,
        uses_database,
        in_place(lambda request, context: request),
    ]
    streams: list[Callable[..., Any]] = [
        plain_repeat,
        decorated(plain_repeat),
        functools.partial(plain_repeat),
        lambda request, context: [request + b"0", request + b"1", request + b"2"],
    ]
    if style == "async":
        handlers += [
            echo,
            decorated(echo),
            functools.partial(echo),
            Handlers().method,
            Handlers(),
            lambda request, context: echo(request, context),
            in_place(decorated(echo)),
        ]
        streams += [repeat, decorated(repeat), functools.partial(repeat)]
    server = make_server(world)
    server.add_methods(Method(f"/test.T/Call{number}", handler) for number, handler in enumerate(handlers))
    server.add_methods(
        Method(f"/test.T/Stream{number}", handler, Shape.SERVER_STREAM) for number, handler in enumerate(streams)
    )
    with channel_to(server, world) as channel:
        for number in range(len(handlers)):
            assert channel.unary_unary(f"/test.T/Call{number}")(b"x", timeout=30) == b"x"
        for number in range(len(streams)):
            call = channel.unary_stream(f"/test.T/Stream{number}")(b"x", timeout=30)
            assert list(call) == [b"x0", b"x1", b"x2"]


@ON_LOOPS
def test_wrapped_async_handlers_take_requests(world: str) -> None:
    """The wrapper runs on a thread, and what it gives goes on in the loop."""
    server = make_server(world)
    server.add_method(Method("/test.T/Join", decorated(join), Shape.CLIENT_STREAM))
    server.add_method(Method("/test.T/Each", decorated(echo_each), Shape.BIDI))
    with channel_to(server, world) as channel:
        assert channel.stream_unary("/test.T/Join")(iter([b"a", b"b"]), timeout=30) == b"a,b"
        assert list(channel.stream_stream("/test.T/Each")(iter([b"a", b"b"]), timeout=30)) == [b"a", b"b"]


def test_a_wrapped_async_handler_on_a_blocking_server() -> None:
    server = BlockingServer("127.0.0.1:0")
    server.add_method(Method("/test.T/Call", decorated(echo)))
    server.add_method(Method("/test.T/Stream", decorated(repeat), Shape.SERVER_STREAM))
    with channel_to(server, "threads") as channel:
        for call in (channel.unary_unary("/test.T/Call"), channel.unary_stream("/test.T/Stream")):
            code, text = status_of(lambda call=call: [*call(b"", timeout=30)])
            assert code.value[0] == 2
            assert "LocalProtocolError" in text


@ON_WORLDS
def test_responses_that_are_no_iterator(world: str) -> None:
    server = make_server(world)
    server.add_method(Method("/test.T/Call", lambda request, context: 5, Shape.SERVER_STREAM))
    with channel_to(server, world) as channel:
        code, text = status_of(lambda: list(channel.unary_stream("/test.T/Call")(b"", timeout=30)))
        assert (code.value[0], text) == (2, "the handler raised TypeError")


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


@pytest.mark.parametrize("kind", [Server, BlockingServer])
def test_handlers_that_are_missing(kind: Any) -> None:
    server = kind()
    with pytest.raises(InvalidArgument, match=r"get_url_of \(for /test.Service/GetURLOf\)"):
        server.add_service(service(), {"count": plain_repeat})
    with pytest.raises(InvalidArgument):
        server.add_service(service(), {}, partial=True)
    server.add_service(service(), {"count": plain_repeat}, partial=True)
    with pytest.raises(SchemaError, match="no\\.Such"):
        server.registry.service("no.Such")


def test_a_service_is_served_whole_or_not() -> None:
    server = Server()
    with pytest.raises(InvalidArgument, match=r"/test\.Service/Count"):
        server.add_service(service(), {"get_url_of": echo, "count": echo})
    assert server.services == ()
    server.add_service(service(), {"get_url_of": echo, "count": repeat})


@pytest.mark.parametrize("messages", ["dict", "protobuf", "bytes"])
@IN_STYLES
def test_messages_as_one_likes(world: str, style: str, messages: Any) -> None:
    def answer(request: Any) -> Any:
        if messages == "dict":
            return {"text": request["text"], "length": len(request["text"])}
        if messages == "protobuf":
            return {"text": request.text, "length": len(request.text)}
        assert request == b"\n\x03abc"
        return b"\n\x03abc\x10\x03"

    class Async:
        async def get_url_of(self, request: Any, context: Context) -> Any:
            return answer(request)

        async def Count(self, request: Any, context: Context) -> AsyncIterator[Any]:  # noqa: N802 - or as it is named
            yield answer(request)

    class Plain:
        def get_url_of(self, request: Any, context: Context) -> Any:
            return answer(request)

        def Count(self, request: Any, context: Context) -> Iterator[Any]:  # noqa: N802
            yield answer(request)

    server = make_server(world)
    server.add_service(service(), Async() if style == "async" else Plain(), messages=messages)
    with channel_to(server, world) as channel:
        assert channel.unary_unary("/test.Service/GetURLOf")(b"\n\x03abc") == b"\n\x03abc\x10\x03"
        assert list(channel.unary_stream("/test.Service/Count")(b"\n\x03abc")) == [b"\n\x03abc\x10\x03"]


@IN_STYLES
def test_a_generated_modules_service(world: str, style: str) -> None:
    async def check(request: Any, context: Context) -> Any:
        assert isinstance(request, health_pb2.HealthCheckRequest)
        return health_pb2.HealthCheckResponse(status=1)

    def plain_check(request: Any, context: Context) -> Any:
        assert isinstance(request, health_pb2.HealthCheckRequest)
        return health_pb2.HealthCheckResponse(status=1)

    server = make_server(world)
    descriptor = health_pb2.DESCRIPTOR.services_by_name["Health"]
    server.add_service(descriptor, {"check": check if style == "async" else plain_check}, partial=True)
    with channel_to(server, world) as channel:
        call = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            health_pb2.HealthCheckRequest.SerializeToString,
            health_pb2.HealthCheckResponse.FromString,
        )
        assert call(health_pb2.HealthCheckRequest()).status == 1


@ON_WORLDS
def test_a_response_of_another_type(world: str) -> None:
    def wrong(request: Any, context: Context) -> Any:
        return struct_pb2.Struct()

    def unknown_field(request: Any, context: Context) -> Any:
        return {"nothing": 1}

    for handler in (unknown_field, wrong):
        server = make_server(world)
        server.add_service(service(), {"get_url_of": handler}, partial=True)
        with channel_to(server, world) as channel:
            code, _ = status_of(lambda: channel.unary_unary("/test.Service/GetURLOf")(b""))
            assert code.value[0] == 13


def test_registries_are_shared_with_the_schema() -> None:
    registry = Registry()
    registry.add_file(service().file)
    server = Server()
    server.add_service(registry.service("test.Service"), {"get_url_of": echo, "count": repeat}, messages="bytes")
    assert server.registry.method("test.Service/Count").is_server_stream
