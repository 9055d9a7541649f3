"""What servers offer to those that build another interface on them: bound addresses, executors, a fallback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from puregrpc.channel import BlockingChannel
from puregrpc.errors import ConnectError, InvalidArgument, RpcError
from puregrpc.server import BlockingServer, Context, Method, Server, ServerConfig, Shape
from puregrpc.wire.status import StatusCode


def path_of(request: bytes, context: Context) -> bytes:
    return context.method.encode()


def test_an_address_is_bound_before_the_server_starts() -> None:
    server = BlockingServer()
    (address,) = server.bind("127.0.0.1:0")
    server.add_method(Method("/a.B/Call", path_of))
    with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=5):
        pass
    with pytest.raises(ConnectError, match="could not listen"):
        BlockingServer().bind(address)
    with server, BlockingChannel(address) as channel:
        assert server.addresses == (address,)
        assert channel.unary_unary("/a.B/Call")(b"") == b"/a.B/Call"


def test_what_is_bound_is_let_go_by_a_server_that_never_starts() -> None:
    server = BlockingServer()
    (address,) = server.bind("127.0.0.1:0")
    assert server.stop().is_set()
    second = BlockingServer()
    assert second.bind(address) == (address,)
    second.stop()


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="the system has no SO_REUSEPORT")
def test_two_that_say_so_share_a_port() -> None:
    first, second = BlockingServer(), BlockingServer()
    (address,) = first.bind("127.0.0.1:0", reuse_port=True)
    assert second.bind(address, reuse_port=True) == (address,)
    first.stop()
    second.stop()


def test_all_interfaces_of_both_families() -> None:
    server = BlockingServer()
    (address,) = server.bind("[::]:0", both_families=True)
    server.add_method(Method("/a.B/Call", path_of))
    with server, BlockingChannel(f"127.0.0.1:{address.rpartition(':')[2]}") as channel:
        assert channel.unary_unary("/a.B/Call")(b"") == b"/a.B/Call"


def test_a_fallback_serves_what_nobody_else_does() -> None:
    server = BlockingServer("127.0.0.1:0")
    server.add_method(Method("/a.B/Known", lambda request, context: b"known"))
    server.add_fallback(Method("/fall/back", path_of))
    with server, BlockingChannel(server.addresses[0]) as channel:
        assert channel.unary_unary("/a.B/Known")(b"") == b"known"
        assert channel.unary_unary("/a.B/Unknown")(b"") == b"/a.B/Unknown"


def test_a_fallback_must_be_plain_where_all_is() -> None:
    async def handler(request: bytes, context: Context) -> bytes:
        return request

    with pytest.raises(InvalidArgument, match="async"):
        BlockingServer().add_fallback(Method("/fall/back", handler))


@pytest.mark.parametrize("many", [False, True])
def test_a_good_end_has_a_message(many: bool) -> None:
    def one(request: bytes, context: Context) -> bytes:
        context.set_good_end("fine", b"\x08\x00")
        return request

    def several(request: bytes, context: Context) -> Iterator[bytes]:
        context.set_good_end("fine", b"\x08\x00")
        yield request

    server = BlockingServer("127.0.0.1:0")
    server.add_method(Method("/a.B/Call", several, Shape.SERVER_STREAM) if many else Method("/a.B/Call", one))
    with server, BlockingChannel(server.addresses[0]) as channel:
        with channel.call("/a.B/Call") as call:
            call.send(b"x")
            call.half_close()
            assert call.single_response().message == b"x"
            assert (call.status.code, call.status.message, call.status.details) == (0, "fine", b"\x08\x00")


def test_handlers_run_on_the_executor_that_is_given() -> None:
    names: list[str] = []

    def handler(request: bytes, context: Context) -> bytes:
        names.append(threading.current_thread().name)
        return request

    with ThreadPoolExecutor(2, thread_name_prefix="mine") as executor:
        server = BlockingServer("127.0.0.1:0", executor=executor)
        server.add_method(Method("/a.B/Call", handler))
        with server, BlockingChannel(server.addresses[0]) as channel:
            for _ in range(3):
                channel.unary_unary("/a.B/Call")(b"")
    assert all(name.startswith("mine") for name in names)


def test_an_executor_that_takes_nothing_ends_calls_with_a_status() -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    server = BlockingServer("127.0.0.1:0", executor=executor)
    server.add_method(Method("/a.B/Call", path_of))
    with server, BlockingChannel(server.addresses[0]) as channel, pytest.raises(RpcError) as caught:
        channel.unary_unary("/a.B/Call")(b"")
    assert caught.value.code == StatusCode.RESOURCE_EXHAUSTED


def test_a_call_that_waits_for_the_executor_is_withdrawn_when_it_is_cancelled() -> None:
    release, ran = threading.Event(), []

    def handler(request: bytes, context: Context) -> bytes:
        ran.append(request)
        release.wait(10)
        return request

    with ThreadPoolExecutor(1) as executor:
        server = BlockingServer("127.0.0.1:0", executor=executor)
        server.add_method(Method("/a.B/Call", handler))
        with server, BlockingChannel(server.addresses[0]) as channel:
            method = channel.unary_unary("/a.B/Call")
            first = method.start(b"first")
            while not ran:
                release.wait(0.01)
            with pytest.raises(RpcError):
                method(b"second", timeout=0.1)
            until = time.monotonic() + 10
            while not server.snapshot().calls_ended:  # the server has not heard of it yet
                assert time.monotonic() < until
                time.sleep(0.001)
            release.set()
            assert first.result(5).message == b"first"
            assert method(b"third") == b"third"
    assert ran == [b"first", b"third"]


def test_plain_handlers_of_a_loop_run_on_the_executor_too() -> None:
    import asyncio

    from puregrpc.channel import open_channel

    names: list[str] = []

    def handler(request: bytes, context: Context) -> bytes:
        names.append(threading.current_thread().name)
        return request

    async def main(executor: Any) -> None:
        server = Server("127.0.0.1:0", executor=executor)
        server.add_method(Method("/a.B/Call", handler))
        async with server, open_channel(server.addresses[0]) as channel:
            assert await channel.unary_unary("/a.B/Call")(b"x") == b"x"

    with ThreadPoolExecutor(1, thread_name_prefix="mine") as executor:
        asyncio.run(main(executor))
    assert names[0].startswith("mine")


def test_a_method_may_be_anything_with_a_path_and_is_opened_without_waiting() -> None:
    class Raw:
        path = "not-a-path"

    server = BlockingServer("127.0.0.1:0")
    server.add_fallback(Method("/fall/back", path_of))
    with server, BlockingChannel(server.addresses[0]) as channel:
        assert channel.unary_unary(Raw())(b"") == b"not-a-path"
        call = channel.stream_unary(Raw()).open().begin().result(5)
        call.send(b"")
        call.half_close()
        assert call.start_single_response().result(5).message == b"not-a-path"


def test_encodings_that_a_server_does_not_take_are_refused() -> None:
    server = BlockingServer("127.0.0.1:0", config=ServerConfig(accept_encodings=("identity", "deflate")))
    server.add_method(Method("/a.B/Call", path_of))
    with server, BlockingChannel(server.addresses[0]) as channel:
        method = channel.unary_unary("/a.B/Call")
        assert method(b"x", compression="deflate") == b"/a.B/Call"
        with pytest.raises(RpcError) as caught:
            method(b"x", compression="gzip")
    assert caught.value.code == StatusCode.UNIMPLEMENTED
    assert "identity, deflate" in caught.value.message


def test_an_async_handler_may_send_in_place_of_yielding() -> None:
    import asyncio
    from collections.abc import AsyncIterator

    from puregrpc.channel import open_channel

    async def handler(request: bytes, context: Context) -> AsyncIterator[bytes]:
        await context.send(request)
        yield request + request

    async def main() -> None:
        server = Server("127.0.0.1:0")
        server.add_method(Method("/a.B/Call", handler, Shape.SERVER_STREAM))
        async with server, open_channel(server.addresses[0]) as channel:
            assert [each async for each in channel.unary_stream("/a.B/Call")(b"x")] == [b"x", b"xx"]

    asyncio.run(main())
