"""grpcio's client against puregrpc's servers: the four shapes, metadata, errors, deadlines, cancellation, size, TLS."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc
import pytest
import trio
import trustme
from tests.server.serving import (
    IN_STYLES,
    LOOPS,
    ON_WORLDS,
    caller,
    channel_to,
    echo_server,
    request_for,
    run_beside,
    serving,
    sleep,
    status_of,
)

from puregrpc.errors import RpcError
from puregrpc.server import Context, Method, ServerConfig, Shape, in_place
from puregrpc.transport import TlsOptions

SHAPES = pytest.mark.parametrize("shape", list(Shape))


def channel(address: str, *options: tuple[str, Any]) -> grpc.Channel:
    return grpc.insecure_channel(address, options)


def method_of(path: str, shape: Shape, style: str, reply: Callable[[Context], bytes]) -> Method:
    """A method whose handler gives one response, what ``reply`` makes of the context, whatever its shape and style."""

    async def one(request: Any, context: Context) -> bytes:
        return reply(context)

    async def many(request: Any, context: Context) -> AsyncIterator[bytes]:
        yield reply(context)

    def plain_one(request: Any, context: Context) -> bytes:
        return reply(context)

    def plain_many(request: Any, context: Context) -> Iterator[bytes]:
        yield reply(context)

    if style == "async":
        return Method(path, many if shape.responses_stream else one, shape)
    return Method(path, plain_many if shape.responses_stream else plain_one, shape)


@IN_STYLES
def test_four_shapes(world: str, style: str) -> None:
    with channel_to(echo_server(world, style=style), world) as grpcio:
        assert grpcio.unary_unary("/test.Echo/Unary")(b"x") == b"x"
        assert list(grpcio.unary_stream("/test.Echo/ServerStream")(b"x")) == [b"x0", b"x1", b"x2"]
        assert grpcio.stream_unary("/test.Echo/ClientStream")(iter([b"a", b"", b"b"])) == b"a,,b"
        assert list(grpcio.stream_stream("/test.Echo/Bidi")(iter([b"a", b"", b"b"]))) == [b"a", b"", b"b"]
        assert grpcio.stream_unary("/test.Echo/ClientStream")(iter([])) == b""
        assert list(grpcio.stream_stream("/test.Echo/Bidi")(iter([]))) == []


@IN_STYLES
def test_bidi_in_step(world: str, style: str) -> None:
    answered = threading.Semaphore(0)

    def requests() -> Iterator[bytes]:
        for number in range(20):
            yield b"%d" % number
            assert answered.acquire(timeout=15)

    with channel_to(echo_server(world, style=style), world) as grpcio:
        for number, response in enumerate(grpcio.stream_stream("/test.Echo/Bidi")(requests())):
            assert response == b"%d" % number
            answered.release()


@SHAPES
@IN_STYLES
def test_metadata_both_ways(world: str, style: str, shape: Shape) -> None:
    def reply(context: Context) -> bytes:
        received = [pair for pair in context.metadata if pair[0].startswith("x-")]
        assert context.get_metadata("X-Text") == "a"
        assert context.get_metadata("x-none") is None
        context.send_initial_metadata([("x-first", "1"), *received])
        context.set_trailing_metadata([*received, ("x-last", "z")])
        return repr(received).encode()

    method = method_of("/test.Meta/Call", shape, style, reply)
    sent = (("x-text", "a"), ("x-data-bin", b"\x00\xff,"), ("x-text", "b, c"), ("x-data-bin", b""))
    with channel_to(echo_server(world, method), world) as grpcio:
        call = caller(grpcio, "/test.Meta/Call", shape)
        request = request_for(shape, b"")
        if shape.responses_stream:
            done = call(request, metadata=sent)
            (response,) = done
        else:
            response, done = call.with_call(request, metadata=sent)
        # grpcio is free to order names, not the values of one name.
        received = eval(response)
        assert sorted(received) == sorted(sent)
        assert [v for n, v in received if n == "x-text"] == ["a", "b, c"]
        initial = [(n, v) for n, v in done.initial_metadata() if n.startswith("x-")]
        trailing = [(n, v) for n, v in done.trailing_metadata() if n.startswith("x-")]
        assert initial == [("x-first", "1"), *received]
        assert trailing == [*received, ("x-last", "z")]


@SHAPES
@IN_STYLES
def test_errors_with_details(world: str, style: str, shape: Shape) -> None:
    def fail(context: Context) -> bytes:
        context.set_trailing_metadata({"x-why": "because"})
        context.abort(9, "näh %\n", b"\x08\x09")

    def bug(context: Context) -> bytes:
        raise ZeroDivisionError("secret")

    methods = [method_of("/test.E/Fail", shape, style, fail), method_of("/test.E/Bug", shape, style, bug)]
    with channel_to(echo_server(world, *methods), world) as grpcio:
        with pytest.raises(grpc.RpcError) as caught:
            [*caller(grpcio, "/test.E/Fail", shape)(request_for(shape, b""))]
        error: Any = caught.value
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert error.details() == "näh %\n"
        trailing = dict(error.trailing_metadata())
        assert trailing["x-why"] == "because"
        assert trailing["grpc-status-details-bin"] == b"\x08\x09"
        assert status_of(lambda: [*caller(grpcio, "/test.E/Bug", shape)(request_for(shape, b""))]) == (
            grpc.StatusCode.UNKNOWN,
            "the handler raised ZeroDivisionError",
        )
        assert grpcio.unary_unary("/test.Echo/Unary")(b"still here") == b"still here"


@IN_STYLES
def test_an_error_behind_messages(world: str, style: str) -> None:
    async def fail_later(request: bytes, context: Context) -> AsyncIterator[bytes]:
        yield b"one"
        raise RpcError(5, "gone")

    def fail_later_plain(request: bytes, context: Context) -> Iterator[bytes]:
        yield b"one"
        raise RpcError(5, "gone")

    method = Method("/test.E/Later", fail_later if style == "async" else fail_later_plain, Shape.SERVER_STREAM)
    with channel_to(echo_server(world, method), world) as grpcio:
        later = grpcio.unary_stream("/test.E/Later")(b"")
        assert next(later) == b"one"
        assert status_of(lambda: next(later)) == (grpc.StatusCode.NOT_FOUND, "gone")


def test_an_error_in_a_nursery() -> None:
    async def fail(request: bytes, context: Context) -> bytes:
        context.abort(9, "why not")

    async def fail_in_nursery(request: bytes, context: Context) -> bytes:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail, request, context)
        return b""

    with channel_to(echo_server("trio", Method("/test.E/Nursery", fail_in_nursery)), "trio") as grpcio:
        expected = (grpc.StatusCode.FAILED_PRECONDITION, "why not")
        assert status_of(lambda: grpcio.unary_unary("/test.E/Nursery")(b"")) == expected


@ON_WORLDS
def test_unknown_methods(world: str) -> None:
    with channel_to(echo_server(world), world) as grpcio:
        for path, text in [
            ("/test.Echo/No", "unknown method No for service test.Echo"),
            ("/test.No/Unary", "unknown service test.No"),
        ]:
            expected = (grpc.StatusCode.UNIMPLEMENTED, text)
            assert status_of(lambda path=path: grpcio.unary_unary(path)(b"")) == expected
            assert status_of(lambda path=path: list(grpcio.stream_stream(path)(iter([b"a"])))) == expected


@SHAPES
@IN_STYLES
def test_deadline_cancels_the_handler(world: str, style: str, shape: Shape) -> None:
    seen: list[Any] = []
    begun: list[float] = []
    ended = threading.Event()

    def look(context: Context) -> None:
        remaining = context.time_remaining()
        assert remaining is not None
        assert context.timeout is not None
        assert 0 < remaining <= context.timeout + 1e-6  # of floats
        assert context.timeout <= timeout + 0.001  # grpcio sends what is left in whole ms, rounded up
        begun.append(timeout)

    async def wait(request: Any, context: Context) -> bytes:
        look(context)
        try:
            await sleep(30)
        finally:
            seen.append((context.cancelled, context.cancel_reason))
            ended.set()
        return b""

    async def wait_streaming(request: Any, context: Context) -> AsyncIterator[bytes]:
        yield await wait(request, context)

    def plain_wait(request: Any, context: Context) -> bytes:
        look(context)
        over = threading.Event()
        assert context.add_callback(over.set)
        assert over.wait(30)
        assert not context.add_callback(over.clear)
        seen.append((context.cancelled, context.cancel_reason))
        ended.set()
        return b""

    def plain_wait_streaming(request: Any, context: Context) -> Iterator[bytes]:
        yield plain_wait(request, context)

    one, many = (wait, wait_streaming) if style == "async" else (plain_wait, plain_wait_streaming)
    method = Method("/test.W/Wait", many if shape.responses_stream else one, shape)
    with channel_to(echo_server(world, method), world) as grpcio:
        call = caller(grpcio, "/test.W/Wait", shape)
        for timeout in (0.3, 1.0, 5.0):  # on a slow machine the deadline may pass before the handler has begun
            if not begun:
                code, _ = status_of(lambda timeout=timeout: [*call(request_for(shape, b""), timeout=timeout)])
                assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert ended.wait(15)
        assert grpcio.unary_unary("/test.Echo/Unary")(b"x") == b"x"
    ((cancelled, reason),) = seen
    assert cancelled
    assert reason.code in (1, 4)  # the client's reset may come before the server's own timer


@SHAPES
@IN_STYLES
def test_cancellation_by_the_client(world: str, style: str, shape: Shape) -> None:
    started = threading.Event()
    ended = threading.Event()

    def look(context: Context) -> None:
        if context.cancelled and context.cancel_reason is not None and context.cancel_reason.code == 1:
            ended.set()

    async def wait(request: Any, context: Context) -> bytes:
        started.set()
        try:
            await sleep(60)
        finally:
            look(context)
        return b""

    async def wait_streaming(request: Any, context: Context) -> AsyncIterator[bytes]:
        yield await wait(request, context)

    def plain_wait(request: Any, context: Context) -> bytes:
        started.set()
        while not context.cancelled:
            time.sleep(0.005)
        look(context)
        return b""

    def plain_wait_streaming(request: Any, context: Context) -> Iterator[bytes]:
        yield plain_wait(request, context)

    one, many = (wait, wait_streaming) if style == "async" else (plain_wait, plain_wait_streaming)
    method = Method("/test.W/Wait", many if shape.responses_stream else one, shape)
    with channel_to(echo_server(world, method), world) as grpcio:
        call = caller(grpcio, "/test.W/Wait", shape)
        request = request_for(shape, b"")
        running = call(request) if shape.responses_stream else call.future(request)
        assert started.wait(15)
        running.cancel()
        assert ended.wait(15)
        assert grpcio.unary_unary("/test.Echo/Unary")(b"x") == b"x"


@ON_WORLDS
def test_plain_handlers_hear_of_the_end_where_they_wait(world: str) -> None:
    """In the loop over requests, and at a yield."""
    started = threading.Semaphore(0)
    heard: list[str] = []
    ended = threading.Semaphore(0)

    def takes(requests: Iterator[bytes], context: Context) -> bytes:
        started.release()
        try:
            for _ in requests:
                pass
        except RpcError as error:
            heard.append(f"takes {error.code}")
            raise
        finally:
            ended.release()
        return b""

    def gives(request: bytes, context: Context) -> Iterator[bytes]:
        started.release()
        try:
            while True:
                yield bytes(100_000)
        except GeneratorExit:
            heard.append("gives")
            raise
        finally:
            ended.release()

    methods = [Method("/test.P/Takes", takes, Shape.CLIENT_STREAM), Method("/test.P/Gives", gives, Shape.SERVER_STREAM)]
    go_on = threading.Event()

    def requests() -> Iterator[bytes]:
        yield b"x"
        go_on.wait(15)

    with channel_to(echo_server(world, *methods), world) as grpcio:
        calls = [
            grpcio.stream_unary("/test.P/Takes").future(requests()),
            grpcio.unary_stream("/test.P/Gives")(b""),
        ]
        for _ in calls:
            assert started.acquire(timeout=15)
        next(calls[1])
        for call in calls:
            call.cancel()
        for _ in calls:
            assert ended.acquire(timeout=15)
        go_on.set()
    assert sorted(heard) == ["gives", "takes CANCELLED"]


@IN_STYLES
def test_five_megabytes_both_ways(world: str, style: str) -> None:
    message = bytes(range(256)) * (5 * 4096)
    size = len(message) + 16

    def client(address: str) -> None:
        unlimited = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
        with channel(address, *unlimited) as grpcio:
            assert grpcio.unary_unary("/test.Echo/Unary")(message) == message
            assert list(grpcio.stream_stream("/test.Echo/Bidi")(iter([message, message]))) == [message, message]

    run_beside(echo_server(world, style=style, config=ServerConfig(max_receive_message_size=size)), world, client)


@IN_STYLES
def test_limits_of_message_size(world: str, style: str) -> None:
    config = ServerConfig(max_receive_message_size=1000, max_send_message_size=500)
    with channel_to(echo_server(world, style=style, config=config), world) as grpcio:
        code, text = status_of(lambda: grpcio.unary_unary("/test.Echo/Unary")(bytes(1001)))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "1000" in text
        for name in ("Unary", "ServerStream"):
            call = (grpcio.unary_unary if name == "Unary" else grpcio.unary_stream)(f"/test.Echo/{name}")
            code, text = status_of(lambda call=call: [*call(bytes(600))])
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        code, text = status_of(lambda: [*grpcio.stream_stream("/test.Echo/Bidi")(iter([b"", bytes(600)]))])
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert grpcio.unary_unary("/test.Echo/Unary")(bytes(500)) == bytes(500)


@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate, grpc.Compression.NoCompression])
@pytest.mark.parametrize("compression", ["identity", "gzip", "deflate"])
@IN_STYLES
def test_compression(world: str, style: str, algorithm: grpc.Compression, compression: str) -> None:
    async def by_message(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        context.set_compression("gzip")
        async for request in requests:
            if request.startswith(b"!"):
                context.disable_next_message_compression()
            yield request

    def by_message_plain(requests: Iterator[bytes], context: Context) -> Iterator[bytes]:
        context.set_compression("gzip")
        for request in requests:
            if request.startswith(b"!"):
                context.disable_next_message_compression()
            yield request

    message = b"over and over " * 1000
    handler = by_message if style == "async" else by_message_plain
    server = echo_server(
        world,
        Method("/test.C/ByMessage", handler, Shape.BIDI),
        style=style,
        config=ServerConfig(compression=compression),
    )
    with channel_to(server, world, compression=algorithm) as grpcio:
        assert grpcio.unary_unary("/test.Echo/Unary")(message) == message
        assert list(grpcio.unary_stream("/test.Echo/ServerStream")(message))[2] == message + b"2"
        each = [message, b"!" + message, message]
        assert list(grpcio.stream_stream("/test.C/ByMessage")(iter(each))) == each


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_tls(authority: trustme.CA, *, mutual: bool = False) -> TlsOptions:
    issued = authority.issue_cert("localhost", "127.0.0.1")
    return TlsOptions(
        certificate_chain=b"".join(part.bytes() for part in issued.cert_chain_pems),
        private_key=issued.private_key_pem.bytes(),
        root_certificates=authority.cert_pem.bytes() if mutual else None,
        require_client_certificate=mutual,
    )


def has_ipv6() -> bool:
    """Whether this machine has the loopback address of IPv6: some containers do not."""
    with socket.socket(socket.AF_INET6) as probe:
        return probe.connect_ex(("::1", 9)) != errno.EADDRNOTAVAIL


@IN_STYLES
def test_tls_plaintext_and_unix_at_once(world: str, style: str, authority: trustme.CA, tmp_path: Any) -> None:
    def peer(context: Context) -> bytes:
        return f"{context.peer} {context.peer_certificate is not None}".encode()

    server = echo_server(world, method_of("/test.P/Peer", Shape.UNARY, style, peer))
    server.add_listener("127.0.0.1:0", tls=server_tls(authority))
    server.add_listener("127.0.0.1:0", tls=server_tls(authority, mutual=True))
    server.add_listener(f"unix:{tmp_path}/socket")
    if has_ipv6():
        server.add_listener("[::1]:0")

    def client(address: str) -> None:
        _, tls, mutual, unix, *ipv6 = server.addresses

        def ask(grpcio: grpc.Channel) -> str:
            with grpcio:
                return str(grpcio.unary_unary("/test.P/Peer")(b"", timeout=10).decode())

        roots = authority.cert_pem.bytes()
        own = authority.issue_cert("client.example")
        with_own = grpc.ssl_channel_credentials(
            roots, own.private_key_pem.bytes(), b"".join(part.bytes() for part in own.cert_chain_pems)
        )
        assert ask(channel(address)).startswith("ipv4:127.0.0.1:")
        assert ask(channel(address)).endswith(" False")
        assert ask(grpc.secure_channel(tls, grpc.ssl_channel_credentials(roots))).endswith(" False")
        assert ask(grpc.secure_channel(mutual, with_own)).endswith(" True")
        assert ask(channel(unix)) == "unix: False"
        for each in ipv6:
            assert ask(channel(each)).startswith("ipv6:[::1]:")
        refused = grpc.secure_channel(mutual, grpc.ssl_channel_credentials(roots))
        assert status_of(lambda: ask(refused))[0] is grpc.StatusCode.UNAVAILABLE

    run_beside(server, world, client)


@IN_STYLES
def test_many_calls_at_once_on_one_connection(world: str, style: str) -> None:
    server = echo_server(world, style=style)
    with serving(server, world) as running, channel(running.address) as grpcio:
        call = grpcio.unary_unary("/test.Echo/Unary")
        futures = [call.future(b"%d" % number) for number in range(500)]
        assert [future.result(timeout=60) for future in futures] == [b"%d" % number for number in range(500)]
        snapshot = running.snapshot()
    assert snapshot.calls_started == 500
    assert snapshot.calls_ended == {0: 500}


@pytest.mark.parametrize("world", LOOPS)
def test_a_handler_in_place(world: str) -> None:
    threads: set[str] = set()

    @in_place
    def double(request: bytes, context: Context) -> bytes:
        threads.add(threading.current_thread().name)
        if not request:
            context.abort(3, "empty")
        return request * 2

    async def double_later(request: bytes, context: Context) -> bytes:
        await sleep(0)
        return double(request, context)

    methods = (
        Method("/test.D/Double", double),
        Method("/test.D/Later", lambda request, context: double_later(request, context), in_place=True),
    )
    with channel_to(echo_server(world, *methods), world) as grpcio:
        call = grpcio.unary_unary("/test.D/Double")
        assert call(b"ab") == b"abab"
        assert status_of(lambda: call(b"")) == (grpc.StatusCode.INVALID_ARGUMENT, "empty")
        assert grpcio.unary_unary("/test.D/Later")(b"ab") == b"abab"
    assert threads == {f"test's {world}"}
