"""`grpc.aio`: calls of the four shapes, interceptors, servers with async and plain handlers."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import unary_unary

import grpc
from grpc import aio


async def double(request: bytes, context: aio.ServicerContext[Any, Any]) -> bytes:
    context.set_trailing_metadata((("ended", "yes"),))
    return 2 * request


async def count(request: bytes, context: aio.ServicerContext[Any, Any]) -> AsyncIterator[bytes]:
    for i in range(3):
        yield request + bytes([i])


async def join(requests: AsyncIterator[bytes], context: aio.ServicerContext[Any, Any]) -> bytes:
    return b"".join([request async for request in requests])


async def echo(requests: AsyncIterator[bytes], context: aio.ServicerContext[Any, Any]) -> None:
    while (request := await context.read()) is not aio.EOF:
        await context.write(request)


async def refuse(request: bytes, context: aio.ServicerContext[Any, Any]) -> bytes:
    await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing", (("why", "none"),))


def plain(request: bytes, context: grpc.ServicerContext) -> bytes:
    context.set_trailing_metadata((("by", "a thread"),))
    return request


def plain_many(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    yield from requests


HANDLERS = {
    "Double": grpc.unary_unary_rpc_method_handler(double),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Join": grpc.stream_unary_rpc_method_handler(join),
    "Echo": grpc.stream_stream_rpc_method_handler(echo),
    "Refuse": grpc.unary_unary_rpc_method_handler(refuse),
    "Plain": grpc.unary_unary_rpc_method_handler(plain),
    "PlainMany": grpc.stream_stream_rpc_method_handler(plain_many),
}

Scenario = Callable[[aio.Channel], Awaitable[None]]


def run(scenario: Scenario, *, interceptors: Any = (), server_interceptors: Any = ()) -> None:
    """Run it with a channel to a server of all handlers."""

    async def main() -> None:
        server = aio.server(interceptors=server_interceptors)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", HANDLERS),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with aio.insecure_channel(f"127.0.0.1:{port}", interceptors=interceptors) as channel:
            await asyncio.wait_for(scenario(channel), 10)
        await server.stop(None)

    asyncio.run(main())


def test_one_request_and_one_response() -> None:
    async def scenario(channel: aio.Channel) -> None:
        call = channel.unary_unary("/a.B/Double")(b"x", metadata=(("k", "v"),))
        done: list[Any] = []
        call.add_done_callback(done.append)
        assert await call == b"xx"
        assert await call.code() is grpc.StatusCode.OK
        assert (await call.trailing_metadata())["ended"] == "yes"
        await asyncio.sleep(0)
        assert done == [call]

    run(scenario)


def test_one_request_and_many_responses() -> None:
    async def scenario(channel: aio.Channel) -> None:
        method = channel.unary_stream("/a.B/Count")
        assert [each async for each in method(b"x")] == [b"x\0", b"x\1", b"x\2"]
        call = method(b"y")
        assert await call.read() == b"y\0"
        with pytest.raises(aio.UsageError):
            call.__aiter__()
        assert await call.read() == b"y\1"
        assert await call.read() == b"y\2"
        assert await call.read() is aio.EOF
        assert await call.read() is aio.EOF

    run(scenario)


def test_many_requests() -> None:
    async def requests() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    async def scenario(channel: aio.Channel) -> None:
        assert await channel.stream_unary("/a.B/Join")(requests()) == b"ab"
        assert await channel.stream_unary("/a.B/Join")([b"c", b"d"]) == b"cd"
        call = channel.stream_stream("/a.B/Echo")()
        await call.write(b"x")
        assert await call.read() == b"x"
        await call.done_writing()
        with pytest.raises(asyncio.InvalidStateError):
            await call.write(b"y")
        assert await call.read() is aio.EOF
        assert [each async for each in channel.stream_stream("/a.B/Echo")(requests())] == [b"a", b"b"]

    run(scenario)


def test_a_status_is_raised() -> None:
    async def scenario(channel: aio.Channel) -> None:
        with pytest.raises(aio.AioRpcError) as caught:
            await channel.unary_unary("/a.B/Refuse")(b"")
        error = caught.value
        assert isinstance(error, grpc.RpcError)
        assert error.code() is grpc.StatusCode.NOT_FOUND
        assert error.details() == "no such thing"
        assert error.trailing_metadata()["why"] == "none"

    run(scenario)


def test_cancelling_a_call_cancels_who_awaits_it() -> None:
    async def scenario(channel: aio.Channel) -> None:
        call = channel.stream_stream("/a.B/Echo")()
        await call.write(b"x")
        assert call.cancel()
        assert not call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call.read()
        assert await call.code() is grpc.StatusCode.CANCELLED

    run(scenario)


def test_callbacks_hear_of_an_end_whether_or_not_somebody_still_waits_for_it() -> None:
    async def scenario(channel: aio.Channel) -> None:
        double = channel.unary_unary("/a.B/Double")
        for is_awaited in (True, False):
            call = double(b"x")
            loop = asyncio.get_running_loop()
            over = loop.create_future()
            call.add_done_callback(over.set_result)
            waiting = loop.create_task(call.code())
            await asyncio.sleep(0)
            if is_awaited:
                assert await waiting is grpc.StatusCode.OK
            else:
                waiting.cancel()
            assert await asyncio.wait_for(over, 10) is call
            assert not call.cancel()
            assert await call == b"xx"

    run(scenario)


def test_plain_handlers_run_on_threads_behind_interceptors_too() -> None:
    class Seeing(aio.ServerInterceptor):
        async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
            seen.append(handler_call_details.method)
            return await continuation(handler_call_details)

    async def scenario(channel: aio.Channel) -> None:
        call = channel.unary_unary("/a.B/Plain")(b"x")
        assert await call == b"x"
        assert (await call.trailing_metadata())["by"] == "a thread"
        assert [each async for each in channel.stream_stream("/a.B/PlainMany")([b"a", b"b"])] == [b"a", b"b"]

    seen: list[str] = []
    run(scenario)
    assert seen == []
    run(scenario, server_interceptors=(Seeing(),))
    assert seen == ["/a.B/Plain", "/a.B/PlainMany"]


def test_plain_handlers_behind_interceptors_run_in_the_pool_that_was_given() -> None:
    class Passing(aio.ServerInterceptor):
        async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
            return await continuation(handler_call_details)

    class Where:
        def __call__(self, request: bytes, context: Any) -> bytes:
            return threading.current_thread().name.encode()

    async def main() -> None:
        pool = futures.ThreadPoolExecutor(1, thread_name_prefix="mine")
        server = aio.server(pool, interceptors=(Passing(),))
        handlers = {"Call": grpc.unary_unary_rpc_method_handler(Where())}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            assert (await channel.unary_unary("/a.B/Call")(b"", timeout=5)).startswith(b"mine")
        await server.stop(None)

    asyncio.run(main())


def test_a_code_by_number_is_given_back_as_it_was_set() -> None:
    seen: list[Any] = []

    async def by_number(request: bytes, context: Any) -> bytes:
        context.set_code(int(request))
        seen.append(context.code())
        return b""

    async def main() -> None:
        server = aio.server()
        handlers = {"Call": grpc.unary_unary_rpc_method_handler(by_number)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/a.B/Call")
            codes = [await call(number, timeout=5).code() for number in (b"5", b"77")]
            assert codes == [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNKNOWN]
        await server.stop(None)

    asyncio.run(main())
    assert seen == [5, 77]


def test_interceptors_may_be_appended_as_googles_transports_do() -> None:
    class Marking(aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
            client_call_details.metadata.add("by", "me")
            return await continuation(client_call_details, request + b"!")

    async def scenario(channel: Any) -> None:
        channel._unary_unary_interceptors.append(Marking())
        assert await channel.unary_unary("/a.B/Double")(b"x") == b"x!x!"

    run(scenario)


def test_the_channel_tells_its_state() -> None:
    async def scenario(channel: aio.Channel) -> None:
        assert channel.get_state() is grpc.ChannelConnectivity.IDLE
        await channel.channel_ready()
        assert channel.get_state() is grpc.ChannelConnectivity.READY
        await channel.close()
        assert channel.get_state() is grpc.ChannelConnectivity.SHUTDOWN
        with pytest.raises(aio.UsageError):
            channel.unary_unary("/a.B/Double")(b"x")

    run(scenario)


def test_grpc_aio_is_there_without_being_imported() -> None:
    code = "import grpc; print(grpc.aio.EOF, grpc.experimental.aio.Metadata.__name__)"
    environment = {"PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "<grpc.aio.EOF> Metadata\n"


OPEN_FILES = Path("/proc/self/fd")


@pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="open files are counted in /proc")
def test_a_channel_that_is_dropped_is_closed_once_its_calls_are_over(serve: Callable[..., int]) -> None:
    port = serve(unary_unary(lambda request, context: request))

    def files() -> int:
        gc.collect()
        return len(list(OPEN_FILES.iterdir()))

    async def main() -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await channel.unary_unary("/a.B/Call")(b"")
        before = files()
        for _ in range(10):
            call = grpc.aio.insecure_channel(f"127.0.0.1:{port}").unary_unary("/a.B/Call")(b"x")
            gc.collect()
            assert await call == b"x"
        del call
        for _ in range(200):
            if files() <= before:
                break
            await asyncio.sleep(0.05)
        assert files() <= before

    asyncio.run(main())


def test_who_stops_a_server_goes_on_before_those_who_wait_for_that() -> None:
    order: list[str] = []

    async def main() -> None:
        server = aio.server()
        server.add_insecure_port("127.0.0.1:0")
        await server.start()

        async def stop() -> None:
            await server.stop(None)
            order.append("stopped")

        stopping = asyncio.ensure_future(stop())
        assert not await server.wait_for_termination()
        order.append("waited")
        await stopping

    asyncio.run(main())
    assert order == ["stopped", "waited"]


def test_a_server_that_is_dropped_stops() -> None:
    async def start(*, interceptors: Any = ()) -> int:
        server = aio.server(interceptors=interceptors)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", HANDLERS),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return port

    class Pass(aio.ServerInterceptor):
        async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
            return await continuation(handler_call_details)

    async def main() -> None:
        for interceptors in ((), (Pass(),)):
            port = await start(interceptors=interceptors)
            gc.collect()  # nobody has it
            async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                method = channel.unary_unary("/a.B/Double")
                with pytest.raises(aio.AioRpcError) as caught:
                    while True:
                        await method(b"x")
                        await asyncio.sleep(0.01)
                assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

    asyncio.run(asyncio.wait_for(main(), 20))


def test_a_server_with_a_name_does_not_stop() -> None:
    async def main() -> None:
        server = aio.server()
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", HANDLERS),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        gc.collect()
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            assert await channel.unary_unary("/a.B/Double")(b"x") == b"xx"
        await server.stop(None)

    asyncio.run(asyncio.wait_for(main(), 20))


def test_the_requests_of_a_cancelled_call_end_for_another_task() -> None:
    taken: list[asyncio.Future[Any]] = []

    async def read_all(requests: AsyncIterator[bytes]) -> list[bytes]:
        return [request async for request in requests]

    async def read_more(context: aio.ServicerContext[Any, Any]) -> Any:
        return await context.read()

    async def iterate(requests: AsyncIterator[bytes], context: aio.ServicerContext[Any, Any]) -> None:
        assert await anext(requests) == b"a"
        taken.append(asyncio.ensure_future(read_all(requests)))
        await context.write(b"begun")
        await asyncio.sleep(60)

    async def read(requests: AsyncIterator[bytes], context: aio.ServicerContext[Any, Any]) -> None:
        assert await context.read() == b"a"
        taken.append(asyncio.ensure_future(read_more(context)))
        await context.write(b"begun")
        await asyncio.sleep(60)

    async def main() -> None:
        server = aio.server()
        handlers = {
            "Iterate": grpc.stream_stream_rpc_method_handler(iterate),
            "Read": grpc.stream_stream_rpc_method_handler(read),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            for name in handlers:
                call = channel.stream_stream(f"/a.B/{name}")()
                await call.write(b"a")
                assert await call.read() == b"begun"
                call.cancel()
        assert [await each for each in taken] == [[], aio.EOF]
        await server.stop(None)

    asyncio.run(asyncio.wait_for(main(), 30))


def test_a_write_that_is_held_back_ends_with_its_call() -> None:
    async def never(requests: AsyncIterator[bytes], context: aio.ServicerContext[Any, Any]) -> bytes:
        await asyncio.sleep(60)
        return b""

    async def write_two(call: Any) -> None:
        """The first message comes as a whole; the second has room once a handler has taken that."""
        await call.write(bytes(4 << 20))
        await call.write(bytes(64 << 20))

    async def main() -> None:
        server = aio.server(options=(("grpc.max_receive_message_length", -1),))
        handlers = {"Never": grpc.stream_unary_rpc_method_handler(never)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            method = channel.stream_unary("/a.B/Never")
            call = method()
            writing = asyncio.ensure_future(write_two(call))
            await asyncio.sleep(0.1)
            assert not writing.done()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await writing
            with pytest.raises(aio.AioRpcError) as caught:
                await write_two(method(timeout=0.3))
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await server.stop(None)

    asyncio.run(asyncio.wait_for(main(), 30))
