"""grpcio's client against puregrpc's server: the four shapes, metadata, errors, deadlines, cancellation, size, TLS."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
import trio
import trio.lowlevel
import trustme
from tests.server.serving import echo_server, run_beside

from puregrpc.errors import RpcError
from puregrpc.server import Context, Method, ServerConfig, Shape
from puregrpc.transport import TlsOptions


def channel(address: str, *options: tuple[str, Any]) -> grpc.Channel:
    return grpc.insecure_channel(address, options)


def status_of(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error: Any = caught.value
    return error.code(), error.details()


def test_four_shapes() -> None:
    def client(address: str) -> None:
        with channel(address) as grpcio:
            assert grpcio.unary_unary("/test.Echo/Unary")(b"x") == b"x"
            assert list(grpcio.unary_stream("/test.Echo/ServerStream")(b"x")) == [b"x0", b"x1", b"x2"]
            assert grpcio.stream_unary("/test.Echo/ClientStream")(iter([b"a", b"", b"b"])) == b"a,,b"
            assert list(grpcio.stream_stream("/test.Echo/Bidi")(iter([b"a", b"", b"b"]))) == [b"a", b"", b"b"]
            assert grpcio.stream_unary("/test.Echo/ClientStream")(iter([])) == b""
            assert list(grpcio.stream_stream("/test.Echo/Bidi")(iter([]))) == []

    run_beside(echo_server(), client)


def test_bidi_in_step() -> None:
    def client(address: str) -> None:
        answered = threading.Semaphore(0)

        def requests() -> Iterator[bytes]:
            for number in range(20):
                yield b"%d" % number
                assert answered.acquire(timeout=5)

        with channel(address) as grpcio:
            for number, response in enumerate(grpcio.stream_stream("/test.Echo/Bidi")(requests())):
                assert response == b"%d" % number
                answered.release()

    run_beside(echo_server(), client)


@pytest.mark.parametrize("shape", list(Shape))
def test_metadata_both_ways(shape: Shape) -> None:
    def reply(context: Context) -> bytes:
        received = [pair for pair in context.metadata if pair[0].startswith("x-")]
        assert context.get_metadata("X-Text") == "a"
        assert context.get_metadata("x-none") is None
        context.send_initial_metadata([("x-first", "1"), *received])
        context.set_trailing_metadata([*received, ("x-last", "z")])
        return repr(received).encode()

    async def one(request: Any, context: Context) -> bytes:
        return reply(context)

    async def many(request: Any, context: Context) -> AsyncIterator[bytes]:
        yield reply(context)

    method = Method("/test.Meta/Call", many if shape.responses_stream else one, shape)
    sent = (("x-text", "a"), ("x-data-bin", b"\x00\xff,"), ("x-text", "b, c"), ("x-data-bin", b""))

    def client(address: str) -> None:
        with channel(address) as grpcio:
            kind = f"{'stream' if shape.requests_stream else 'unary'}_{'stream' if shape.responses_stream else 'unary'}"
            call = getattr(grpcio, kind)("/test.Meta/Call")
            request = iter([b""]) if shape.requests_stream else b""
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

    run_beside(echo_server(method), client)


def test_errors_with_details() -> None:
    async def fail(request: bytes, context: Context) -> bytes:
        context.set_trailing_metadata({"x-why": "because"})
        context.abort(9, "näh %\n", b"\x08\x09")

    async def fail_later(request: bytes, context: Context) -> AsyncIterator[bytes]:
        yield b"one"
        raise RpcError(5, "gone")

    async def fail_in_nursery(request: bytes, context: Context) -> bytes:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail, request, context)
        return b""

    async def bug(request: bytes, context: Context) -> bytes:
        raise ZeroDivisionError("secret")

    methods = [
        Method("/test.E/Fail", fail),
        Method("/test.E/Later", fail_later, Shape.SERVER_STREAM),
        Method("/test.E/Nursery", fail_in_nursery),
        Method("/test.E/Bug", bug),
    ]

    def client(address: str) -> None:
        with channel(address) as grpcio:
            for name in ("Fail", "Nursery"):
                with pytest.raises(grpc.RpcError) as caught:
                    grpcio.unary_unary(f"/test.E/{name}")(b"")
                error: Any = caught.value
                assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
                assert error.details() == "näh %\n"
                trailing = dict(error.trailing_metadata())
                assert trailing["x-why"] == "because"
                assert trailing["grpc-status-details-bin"] == b"\x08\x09"
            later = grpcio.unary_stream("/test.E/Later")(b"")
            assert next(later) == b"one"
            assert status_of(lambda: next(later)) == (grpc.StatusCode.NOT_FOUND, "gone")
            assert status_of(lambda: grpcio.unary_unary("/test.E/Bug")(b"")) == (
                grpc.StatusCode.UNKNOWN,
                "the handler raised ZeroDivisionError",
            )
            assert grpcio.unary_unary("/test.Echo/Unary")(b"still here") == b"still here"

    run_beside(echo_server(*methods), client)


def test_unknown_methods() -> None:
    def client(address: str) -> None:
        with channel(address) as grpcio:
            for path, text in [
                ("/test.Echo/No", "unknown method No for service test.Echo"),
                ("/test.No/Unary", "unknown service test.No"),
            ]:
                expected = (grpc.StatusCode.UNIMPLEMENTED, text)
                assert status_of(lambda path=path: grpcio.unary_unary(path)(b"")) == expected
                assert status_of(lambda path=path: list(grpcio.stream_stream(path)(iter([b"a"])))) == expected

    run_beside(echo_server(), client)


@pytest.mark.parametrize("shape", list(Shape))
def test_deadline_cancels_the_handler(shape: Shape) -> None:
    seen: list[Any] = []

    async def wait(request: Any, context: Context) -> bytes:
        remaining = context.time_remaining()
        assert remaining is not None
        assert context.timeout is not None
        assert 0 < remaining <= context.timeout <= 0.301  # grpcio sends what is left in whole milliseconds, rounded up
        try:
            await trio.sleep(10)
        finally:
            seen.append((context.cancelled, context.cancel_reason))
        return b""

    async def wait_streaming(request: Any, context: Context) -> AsyncIterator[bytes]:
        yield await wait(request, context)

    method = Method("/test.W/Wait", wait_streaming if shape.responses_stream else wait, shape)

    def client(address: str) -> None:
        with channel(address) as grpcio:
            kind = f"{'stream' if shape.requests_stream else 'unary'}_{'stream' if shape.responses_stream else 'unary'}"
            request = iter([b""]) if shape.requests_stream else b""
            call = getattr(grpcio, kind)("/test.W/Wait")
            code, _ = status_of(lambda: [*call(request, timeout=0.3)])
            assert code is grpc.StatusCode.DEADLINE_EXCEEDED
            assert grpcio.unary_unary("/test.Echo/Unary")(b"x") == b"x"

    run_beside(echo_server(method), client)
    ((cancelled, reason),) = seen
    assert cancelled
    assert reason.code in (1, 4)  # the client's reset may come before the server's own timer


@pytest.mark.parametrize("shape", list(Shape))
def test_cancellation_by_the_client(shape: Shape) -> None:
    started = threading.Event()
    ended = threading.Event()

    async def wait(request: Any, context: Context) -> bytes:
        started.set()
        try:
            await trio.sleep_forever()
        finally:
            if context.cancelled and context.cancel_reason is not None and context.cancel_reason.code == 1:
                ended.set()

    async def wait_streaming(request: Any, context: Context) -> AsyncIterator[bytes]:
        yield await wait(request, context)

    method = Method("/test.W/Wait", wait_streaming if shape.responses_stream else wait, shape)

    def client(address: str) -> None:
        with channel(address) as grpcio:
            kind = f"{'stream' if shape.requests_stream else 'unary'}_{'stream' if shape.responses_stream else 'unary'}"
            request = iter([b""]) if shape.requests_stream else b""
            call = getattr(grpcio, kind)("/test.W/Wait")
            running = call(request) if shape.responses_stream else call.future(request)
            assert started.wait(5)
            running.cancel()
            assert ended.wait(5)
            assert grpcio.unary_unary("/test.Echo/Unary")(b"x") == b"x"

    run_beside(echo_server(method), client)


def test_five_megabytes_both_ways() -> None:
    message = bytes(range(256)) * (5 * 4096)
    size = len(message) + 16

    def client(address: str) -> None:
        unlimited = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
        with channel(address, *unlimited) as grpcio:
            assert grpcio.unary_unary("/test.Echo/Unary")(message) == message
            assert list(grpcio.stream_stream("/test.Echo/Bidi")(iter([message, message]))) == [message, message]

    run_beside(echo_server(config=ServerConfig(max_receive_message_size=size)), client)


def test_limits_of_message_size() -> None:
    def client(address: str) -> None:
        with channel(address) as grpcio:
            code, text = status_of(lambda: grpcio.unary_unary("/test.Echo/Unary")(bytes(1001)))
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "1000" in text
            code, text = status_of(lambda: grpcio.unary_unary("/test.Echo/Unary")(bytes(600)))
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert grpcio.unary_unary("/test.Echo/Unary")(bytes(500)) == bytes(500)

    config = ServerConfig(max_receive_message_size=1000, max_send_message_size=500)
    run_beside(echo_server(config=config), client)


@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate, grpc.Compression.NoCompression])
@pytest.mark.parametrize("compression", ["identity", "gzip", "deflate"])
def test_compression(algorithm: grpc.Compression, compression: str) -> None:
    async def by_message(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        context.set_compression("gzip")
        async for request in requests:
            if request.startswith(b"!"):
                context.disable_next_message_compression()
            yield request

    message = b"over and over " * 1000

    def client(address: str) -> None:
        with grpc.insecure_channel(address, compression=algorithm) as grpcio:
            assert grpcio.unary_unary("/test.Echo/Unary")(message) == message
            assert list(grpcio.unary_stream("/test.Echo/ServerStream")(message))[2] == message + b"2"
            each = [message, b"!" + message, message]
            assert list(grpcio.stream_stream("/test.C/ByMessage")(iter(each))) == each

    server = echo_server(
        Method("/test.C/ByMessage", by_message, Shape.BIDI), config=ServerConfig(compression=compression)
    )
    run_beside(server, client)


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


def test_tls_plaintext_and_unix_at_once(authority: trustme.CA, tmp_path: Any) -> None:
    async def peer(request: bytes, context: Context) -> bytes:
        return f"{context.peer} {context.peer_certificate is not None}".encode()

    server = echo_server(Method("/test.P/Peer", peer))
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

    run_beside(server, client)


def test_many_calls_at_once_on_one_connection() -> None:
    def client(address: str) -> None:
        with channel(address) as grpcio:
            call = grpcio.unary_unary("/test.Echo/Unary")
            futures = [call.future(b"%d" % number) for number in range(500)]
            assert [future.result(timeout=20) for future in futures] == [b"%d" % number for number in range(500)]

    server = echo_server()
    run_beside(server, client)
    assert server.calls_started == server.calls_ended == 500


def test_a_plain_function_needs_no_task() -> None:
    def double(request: bytes, context: Context) -> bytes:
        if not request:
            context.abort(3, "empty")
        return request * 2

    def client(address: str) -> None:
        with channel(address) as grpcio:
            call = grpcio.unary_unary("/test.D/Double")
            assert call(b"ab") == b"abab"
            assert status_of(lambda: call(b"")) == (grpc.StatusCode.INVALID_ARGUMENT, "empty")
            later = grpcio.unary_unary("/test.D/Later")
            assert later(b"ab") == b"abab"

    async def double_later(request: bytes, context: Context) -> bytes:
        await trio.lowlevel.checkpoint()
        return double(request, context)

    methods = (
        Method("/test.D/Double", double),
        Method("/test.D/Later", lambda request, context: double_later(request, context)),
    )
    run_beside(echo_server(*methods), client)
