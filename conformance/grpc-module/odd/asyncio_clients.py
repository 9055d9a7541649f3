"""Clients on asyncio."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
from collections.abc import AsyncIterator
from typing import Any

import grpc
from clients import HANDLERS
from grpc import aio
from running import Telling, described, server


async def tell_call(tell: Telling, call: Any) -> None:
    """All that a call has, once it is over."""
    tell(type(call).__name__, "done", call.done(), "cancelled", call.cancelled())
    for name in ("code", "details", "initial_metadata", "trailing_metadata"):
        await tell.awaiting(name, getattr(call, name)())
    tell.raising("cancel", call.cancel)


async def use_calls_on_asyncio(tell: Telling) -> None:
    made, port = server(HANDLERS)
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/a.B/Rich")(b"x", timeout=5, metadata=(("k", "v"),))
        tell(type(call).__name__, isinstance(call, aio.UnaryUnaryCall), isinstance(call, grpc.Call))
        await tell.awaiting("response", call)
        await tell.awaiting("again", call)
        await tell_call(tell, call)
        call = channel.unary_unary("/a.B/Refuse")(b"x", timeout=5)
        error = await tell.awaiting("refused", call)
        tell(str(error).splitlines()[:3], error.initial_metadata(), error.trailing_metadata(), error.args)
        tell(type(error.trailing_metadata()).__name__, [each.__name__ for each in type(error).__mro__])
        await tell_call(tell, call)
        await tell.awaiting("unknown", channel.unary_unary("/a.B/None")(b"", timeout=5))
        call = channel.unary_unary("/a.B/Slow")(b"", timeout=0.3)
        await tell.awaiting("late", call)
        await tell_call(tell, call)
        call = channel.unary_unary("/a.B/Slow")(b"", timeout=30)
        await tell.awaiting("early", call.initial_metadata())
        tell(call.done(), 25 < call.time_remaining() <= 31)
        tell(call.cancel(), call.cancel(), call.cancelled(), call.done())
        await tell.awaiting("cancelled", call)
        await tell_call(tell, call)
        call = channel.unary_unary("/a.B/Slow")(b"", timeout=30)
        await tell.awaiting("wait_for", asyncio.wait_for(call, 0.3))
        await asyncio.sleep(0)
        await tell_call(tell, call)
        await tell.awaiting("wait_for_connection", channel.unary_unary("/a.B/Echo")(b"").wait_for_connection())
    made.stop(0).wait()


async def use_streams_on_asyncio(tell: Telling) -> None:
    made, port = server(HANDLERS)
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_stream("/a.B/Many")(b"x", timeout=5)
        tell([response async for response in call])
        await tell_call(tell, call)
        await tell.awaiting("read after the end", call.read())
        call = channel.unary_stream("/a.B/Many")(b"x", timeout=5)
        tell(await call.read(), await call.read(), await call.read(), await call.read())
        await tell.awaiting("read once more", call.read())
        tell.raising("iterating too", call.__aiter__)
        call = channel.unary_stream("/a.B/Fail")(b"x", timeout=5)
        got: list[bytes] = []
        try:
            while True:
                got.append(await anext(aiter(call)))
        except aio.AioRpcError as error:
            tell(got, described(error))
        await tell_call(tell, call)
        call = channel.unary_stream("/a.B/Endless")(b"x", timeout=30)
        tell(await call.read())
        tell(call.cancel(), call.cancelled(), call.done())
        await tell.awaiting("then", call.read())
        await tell_call(tell, call)
        call = channel.unary_stream("/a.B/Endless")(b"x", timeout=0.3)

        async def drain(some: Any) -> None:
            async for _ in some:
                pass

        await tell.awaiting("until the deadline", drain(call))
        await tell_call(tell, call)
        call = channel.stream_stream("/a.B/EchoAll")(timeout=5)
        await call.write(b"a")
        tell(await call.read())
        await call.write(b"b")
        await call.done_writing()
        await tell.awaiting("done_writing again", call.done_writing())
        await tell.awaiting("write after", call.write(b"c"))
        tell(await call.read(), await call.read())
        await tell_call(tell, call)
        await tell.awaiting("write at the end", call.write(b"c"))
        call = channel.stream_unary("/a.B/Join")(timeout=5)
        await call.write(b"a")
        await call.write(b"b")
        await call.done_writing()
        await tell.awaiting("joined", call)
        await tell_call(tell, call)

        async def requests() -> AsyncIterator[bytes]:
            yield b"1"
            yield b"2"

        await tell.awaiting("an async iterator", channel.stream_unary("/a.B/Join")(requests(), timeout=5))
        await tell.awaiting("a list", channel.stream_unary("/a.B/Join")([b"1", b"2"], timeout=5))
        call = channel.stream_unary("/a.B/Join")(requests(), timeout=5)
        await tell.awaiting("writing too", call.write(b"x"))
        await tell.awaiting("done_writing too", call.done_writing())
        await tell.awaiting("and the response", call)

        async def breaking() -> AsyncIterator[bytes]:
            yield b"1"
            raise ValueError("no more")

        call = channel.stream_unary("/a.B/Join")(breaking(), timeout=5)
        await tell.awaiting("requests that raise", call)
        await tell_call(tell, call)
        await tell.awaiting("first only", channel.stream_unary("/a.B/FirstOnly")(requests(), timeout=5))
    made.stop(0).wait()


async def made_by(method: Any, *arguments: Any, **keywords: Any) -> Any:
    """Make a call and await it: what is wrong may be told by either."""
    return await method(*arguments, **keywords)


async def use_bad_arguments_on_asyncio(tell: Telling) -> None:
    logging.getLogger("grpc").setLevel(logging.CRITICAL)
    made, port = server(HANDLERS)
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        echo = channel.unary_unary("/a.B/Echo")
        for metadata in ([("key", b"b")], [], 5, aio.Metadata(("a", "b")), (("a", "b"),), [["a", "b"]]):
            await tell.awaiting(f"metadata {metadata!r}", made_by(echo, b"", metadata=metadata, timeout=5))
        for metadata in ([("Key", "upper")], [("key", 1)], [("key-bin", "t")], "text", {"key": "value"}):
            error = await Telling().awaiting("", made_by(echo, b"", metadata=metadata, timeout=5))
            tell(f"metadata {metadata!r}", isinstance(error, (TypeError, ValueError, aio.InternalError)))
        for timeout in (-1, 1e9, True, "1", []):
            await tell.awaiting(f"timeout {timeout!r}", made_by(echo, b"", timeout=timeout))
        for request in ("text", 5, bytearray(b"a")):
            await tell.awaiting(f"request {request!r}", made_by(echo, request, timeout=5))
        nothing = channel.unary_unary("/a.B/Echo", response_deserializer=lambda _: None)
        await tell.awaiting("a deserializer that gives None", made_by(nothing, b"", timeout=5))
        many = channel.unary_stream("/a.B/Many", response_deserializer=lambda _: None)(b"", timeout=5)
        tell("and of a stream", [response async for response in many])
        token = grpc.access_token_call_credentials("t")
        tell.raising("credentials without TLS", echo, b"", credentials=token)
        tell.raising("positional", echo, b"", 5)
    tell.raising("interceptors [5]", aio.insecure_channel, "127.0.0.1:1", interceptors=[5])
    tell.raising("server interceptors [5]", aio.server, interceptors=[5])
    made.stop(0).wait()


async def use_a_closed_channel_on_asyncio(tell: Telling) -> None:
    made, port = server(HANDLERS)
    channel = aio.insecure_channel(f"127.0.0.1:{port}")
    echo = channel.unary_unary("/a.B/Echo")
    tell(await echo(b"x", timeout=5))
    waiting = channel.unary_unary("/a.B/Slow")(b"", timeout=30)
    reading = channel.unary_stream("/a.B/Endless")(b"", timeout=30)
    await reading.read()
    await channel.close()
    await tell.awaiting("a call that waited", waiting)
    await tell_call(tell, waiting)
    await tell.awaiting("a stream", reading.read())
    await tell_call(tell, reading)
    tell.raising("a call", echo, b"x")
    await tell.awaiting("close again", channel.close())
    tell(channel.get_state())
    await tell.awaiting("channel_ready", channel.channel_ready())
    channel = aio.insecure_channel(f"127.0.0.1:{port}")
    waiting = channel.unary_unary("/a.B/Slow")(b"", timeout=0.5)
    await asyncio.sleep(0.2)
    await channel.close(grace=5)
    await tell.awaiting("with a grace", waiting)
    made.stop(0).wait()


async def use_connectivity_on_asyncio(tell: Telling) -> None:
    made, port = server(HANDLERS)
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        tell(channel.get_state())
        tell(channel.get_state(try_to_connect=True))
        await tell.awaiting("ready", asyncio.wait_for(channel.channel_ready(), 5))
        tell(channel.get_state())
        change = channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
        await tell.awaiting("no change", asyncio.wait_for(change, 0.2))
        await tell.awaiting("already", channel.wait_for_state_change(grpc.ChannelConnectivity.IDLE))
    async with aio.insecure_channel("127.0.0.1:1") as channel:
        await tell.awaiting("no server", channel.unary_unary("/a.B/Echo")(b"", timeout=5))
        waiting = channel.unary_unary("/a.B/Echo")(b"", timeout=0.3, wait_for_ready=True)
        await tell.awaiting("wait_for_ready", waiting)
        await tell.awaiting("ready", asyncio.wait_for(channel.channel_ready(), 0.3))
    made.stop(0).wait()


async def use_callbacks_on_asyncio(tell: Telling) -> None:
    made, port = server(HANDLERS)
    order: list[str] = []
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for name, make in (
            ("unary", lambda: channel.unary_unary("/a.B/Echo")(b"x", timeout=5)),
            ("refused", lambda: channel.unary_unary("/a.B/Refuse")(b"x", timeout=5)),
        ):
            order.clear()
            call = make()
            call.add_done_callback(lambda found: order.append(f"1 {type(found).__name__} {found.done()}"))
            call.add_done_callback(lambda found: order.append("2"))
            await tell.awaiting(name, call)
            order.append("awaited")
            call.add_done_callback(lambda found: order.append("late"))
            await asyncio.sleep(0.05)
            tell(order)
        order.clear()
        call = channel.unary_stream("/a.B/Many")(b"x", timeout=5)
        call.add_done_callback(lambda found: order.append("over"))
        while (response := await call.read()) is not aio.EOF:
            order.append(repr(response))
        await asyncio.sleep(0.05)
        tell(order)
        order.clear()
        call = channel.unary_unary("/a.B/Slow")(b"x", timeout=5)
        call.add_done_callback(lambda found: order.append("cancelled"))
        call.cancel()
        order.append("cancel returned")
        await asyncio.sleep(0.05)
        tell(order)
    made.stop(0).wait()


class Around(
    aio.UnaryUnaryClientInterceptor,
):
    def __init__(self, body: Any) -> None:
        self.body = body

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await self.body(continuation, client_call_details, request)


class AroundStreams(aio.UnaryStreamClientInterceptor):
    def __init__(self, body: Any) -> None:
        self.body = body

    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await self.body(continuation, client_call_details, request)


async def use_interceptors_on_asyncio(tell: Telling) -> None:
    made, port = server(HANDLERS)

    async def looking(continuation: Any, details: Any, request: Any) -> Any:
        tell(type(details).__name__, details.method, details.timeout, details.metadata, details.credentials)
        tell(details.wait_for_ready, type(details.metadata).__name__)
        call = await continuation(details, request)
        tell(type(call).__name__)
        return call

    async def awaiting(continuation: Any, details: Any, request: Any) -> Any:
        call = await continuation(details, request)
        response = await call
        tell("the interceptor has", response, await call.code())
        return call

    async def answering(continuation: Any, details: Any, request: Any) -> Any:
        return b"an answer"

    async def raising(continuation: Any, details: Any, request: Any) -> Any:
        raise ValueError("no")

    async def again(continuation: Any, details: Any, request: Any) -> Any:
        for _ in range(3):
            call = await continuation(details, request)
            if await call.code() is grpc.StatusCode.OK:
                break
        return call

    async def renaming(continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(details._replace(method=b"/a.B/Refuse", timeout=3), request)

    for body in (looking, awaiting, answering, raising, again, renaming):
        tell(body.__name__)
        async with aio.insecure_channel(f"127.0.0.1:{port}", interceptors=[Around(body)]) as channel:
            call = channel.unary_unary("/a.B/Echo")(b"x", timeout=5, metadata=(("k", "v"),))
            tell(type(call).__name__, call.done(), call.cancelled())
            await tell.awaiting("response", call)
            tell(call.done(), call.cancelled())
            for name in ("code", "details", "initial_metadata", "trailing_metadata"):
                await tell.awaiting(name, getattr(call, name)())
            tell.raising("time_remaining", call.time_remaining)
            called: list[Any] = []
            tell.raising("add_done_callback", call.add_done_callback, called.append)
            await asyncio.sleep(0.02)
            tell("called", [type(each).__name__ for each in called])

    async def mapped(continuation: Any, details: Any, request: Any) -> Any:
        call = await continuation(details, request)

        async def upper() -> AsyncIterator[bytes]:
            async for response in call:
                yield response.upper()

        return upper()

    for body in (looking, mapped, raising):
        tell(body.__name__)
        async with aio.insecure_channel(f"127.0.0.1:{port}", interceptors=[AroundStreams(body)]) as channel:
            call = channel.unary_stream("/a.B/Many")(b"x", timeout=5)

            async def read(some: Any = call) -> list[bytes]:
                return [response async for response in some]

            await tell.awaiting("responses", read())
            await tell.awaiting("code", call.code())
    made.stop(0).wait()


async def use_interceptors_and_cancellation_on_asyncio(tell: Telling) -> None:
    made, port = server(HANDLERS)
    name = contextvars.ContextVar("name", default="nobody")

    async def noting(continuation: Any, details: Any, request: Any) -> Any:
        tell("the interceptor sees", name.get())
        name.set("interceptor")
        try:
            call = await continuation(details, request)
            await call
        except asyncio.CancelledError:
            tell("the interceptor is cancelled")
            raise
        return call

    async with aio.insecure_channel(f"127.0.0.1:{port}", interceptors=[Around(noting)]) as channel:
        name.set("caller")
        call = channel.unary_unary("/a.B/Slow")(b"x", timeout=5)
        await tell.awaiting("wait_for", asyncio.wait_for(call, 0.3))
        tell(name.get(), call.cancelled(), call.done())
        call = channel.unary_unary("/a.B/Slow")(b"x", timeout=5)
        asyncio.get_running_loop().call_later(0.2, call.cancel)
        await tell.awaiting("cancelled by another", call)
        call = channel.unary_unary("/a.B/Slow")(b"x", timeout=5)
        tell("at once", call.cancel())
        await asyncio.sleep(0)
        tell(call.cancelled(), call.done())
        await tell.awaiting("then", call)
        await tell.awaiting("code", call.code())
        await tell.awaiting("details", call.details())
        task = asyncio.ensure_future(call_of(channel))
        await asyncio.sleep(0.2)
        task.cancel()
        await tell.awaiting("its task is cancelled", task)
    made.stop(0).wait()


async def call_of(channel: Any) -> Any:
    return await channel.unary_unary("/a.B/Slow")(b"x", timeout=5)


async def use_dropped_calls_on_asyncio(tell: Telling) -> None:
    made, port = server(HANDLERS)
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_stream("/a.B/Endless")(b"", timeout=5)
        tell(await call.read())
        del call
        gc.collect()
        await asyncio.sleep(0.1)
        results = await asyncio.gather(*(channel.unary_unary("/a.B/Echo")(b"%d" % i, timeout=5) for i in range(20)))
        tell(results == [b"%d" % i for i in range(20)])
        done, waiting = await asyncio.wait([asyncio.ensure_future(one_of(channel, i)) for i in range(3)])
        tell(len(done), len(waiting))
    made.stop(0).wait()


async def one_of(channel: Any, i: int) -> Any:
    return await channel.unary_unary("/a.B/Echo")(b"%d" % i, timeout=5)


def use_a_channel_in_two_loops(tell: Telling) -> None:
    made, port = server(HANDLERS)

    async def main() -> None:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            tell(await channel.unary_unary("/a.B/Echo")(b"x", timeout=5))

    asyncio.run(main())
    asyncio.run(main())
    made.stop(0).wait()


async def use_init_on_asyncio(tell: Telling) -> None:
    tell.raising("init_grpc_aio", aio.init_grpc_aio)
    tell.raising("shutdown_grpc_aio", aio.shutdown_grpc_aio)
    await asyncio.sleep(0)
    tell(type(aio.EOF).__name__, aio.EOF == aio.EOF)
    tell([each.__name__ for each in aio.UsageError.__mro__], [each.__name__ for each in aio.AbortError.__mro__])
    tell([each.__name__ for each in aio.InternalError.__mro__])
