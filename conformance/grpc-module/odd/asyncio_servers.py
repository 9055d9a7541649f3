"""Servers on asyncio, as their clients and their handlers see them."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import AsyncIterator
from concurrent import futures
from typing import Any

import grpc
from grpc import aio
from running import Telling, described


async def started(handlers: dict[str, Any], **options: Any) -> tuple[Any, int]:
    made = aio.server(**options)
    made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
    port = made.add_insecure_port("127.0.0.1:0")
    await made.start()
    return made, port


async def end_of(tell: Telling, what: str, handler: Any, **options: Any) -> None:
    """Tell how a call ends."""
    made, port = await started({"Call": handler}, **options)
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        got: list[Any] = []
        call: Any
        if handler.response_streaming:
            call = channel.unary_stream("/a.B/Call")(b"x", timeout=5)
            with contextlib.suppress(aio.AioRpcError):
                while (response := await call.read()) is not aio.EOF:
                    got.append(response)
        else:
            call = channel.unary_unary("/a.B/Call")(b"x", timeout=5)
            with contextlib.suppress(aio.AioRpcError):
                got.append(await call)
        tell(what, got, await call.code(), await call.details())
        tell(await call.initial_metadata(), await call.trailing_metadata())
    await made.stop(None)


async def use_a_context_on_asyncio(tell: Telling) -> None:
    async def look(request: bytes, context: Any) -> bytes:
        metadata = context.invocation_metadata()
        tell(type(metadata).__name__, [pair for pair in metadata if pair[0] != "user-agent"])
        tell(context.peer().rpartition(":")[0], context.peer_identities(), context.peer_identity_key())
        tell(dict(context.auth_context()), 4 < context.time_remaining() < 6)
        for name in ("code", "details", "trailing_metadata", "cancelled", "done"):
            tell.raising(name, getattr(context, name))
        context.set_code(grpc.StatusCode.OK)
        context.set_details("fine")
        context.set_trailing_metadata((("t", "1"),))
        for name in ("code", "details", "trailing_metadata"):
            tell.raising(name, getattr(context, name))
        await tell.awaiting("send", context.send_initial_metadata((("i", "1"),)))
        await tell.awaiting("send again", context.send_initial_metadata((("i", "2"),)))
        tell.raising("disable", context.disable_next_message_compression)
        tell.raising("bad trailers", context.set_trailing_metadata, 5)
        return request

    await end_of(tell, "look", grpc.unary_unary_rpc_method_handler(look))


async def use_ends_of_handlers_on_asyncio(tell: Telling) -> None:
    logging.getLogger("grpc").setLevel(logging.CRITICAL)
    logging.getLogger("grpc._cython.cygrpc").setLevel(logging.CRITICAL)

    async def code_and_value(request: bytes, context: Any) -> bytes:
        context.set_code(grpc.StatusCode.ABORTED)
        context.set_details("why")
        return b"ignored"

    async def code_and_exception(request: bytes, context: Any) -> bytes:
        context.set_code(grpc.StatusCode.ABORTED)
        context.set_details("why")
        raise ValueError("x")

    async def raises(request: bytes, context: Any) -> bytes:
        raise KeyError("key")

    async def raises_rpc_error(request: bytes, context: Any) -> bytes:
        raise grpc.RpcError("an rpc error")

    async def aborts(request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.NOT_FOUND, "not here", (("why", "none"),))
        return b""

    seconds: list[Any] = []

    async def aborts_in_try(request: bytes, context: Any) -> bytes:
        try:
            await context.abort(grpc.StatusCode.NOT_FOUND, "caught")
        except Exception as error:
            seconds.append(error)
        return b"went on"

    async def aborts_twice(request: bytes, context: Any) -> bytes:
        try:
            await context.abort(grpc.StatusCode.NOT_FOUND, "first")
        except Exception:
            seconds.append(await Telling().awaiting("", context.abort(grpc.StatusCode.ABORTED, "second")))
        return b""

    async def none(request: bytes, context: Any) -> Any:
        return None

    async def trailers(request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("t", "1"), ("t-bin", b"\x00"), ("grpc-status-details-bin", b"\x08")))
        return b"done"

    def plain(request: bytes, context: Any) -> bytes:
        context.set_code(grpc.StatusCode.DATA_LOSS)
        context.set_details("from a thread")
        return b"ignored"

    def plain_aborts(request: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.DATA_LOSS, "from a thread")
        return b""

    for behavior in (
        code_and_value, code_and_exception, raises, raises_rpc_error, aborts, aborts_in_try, aborts_twice, none,
        trailers, plain, plain_aborts,
    ):  # fmt: skip
        await end_of(tell, behavior.__name__, grpc.unary_unary_rpc_method_handler(behavior))
    await asyncio.sleep(0.05)
    tell("second", [described(each) for each in seconds])
    reading = grpc.unary_unary_rpc_method_handler(trailers, request_deserializer=lambda _: 1 / 0)
    await end_of(tell, "a request that cannot be read", reading)
    writing = grpc.unary_unary_rpc_method_handler(trailers, response_serializer=lambda _: 1 / 0)
    await end_of(tell, "a response that cannot be written", writing)


async def use_ends_of_streams_on_asyncio(tell: Telling) -> None:
    logging.getLogger("grpc").setLevel(logging.CRITICAL)
    logging.getLogger("grpc._cython.cygrpc").setLevel(logging.CRITICAL)

    async def yields(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"1"
        yield b"2"
        context.set_trailing_metadata((("t", "1"),))

    async def writes(request: bytes, context: Any) -> None:
        await context.write(b"1")
        await context.write(b"2")

    async def raises_midway(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"1"
        raise ValueError("midway")

    async def aborts_midway(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"1"
        await context.abort(grpc.StatusCode.DATA_LOSS, "lost")

    async def code_at_the_end(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"1"
        context.set_code(grpc.StatusCode.ABORTED)
        context.set_details("at the end")

    async def empty(request: bytes, context: Any) -> AsyncIterator[bytes]:
        if request == b"never":
            yield b""

    def plain(request: bytes, context: Any) -> Any:
        yield b"1"
        yield b"2"

    for behavior in (yields, writes, raises_midway, aborts_midway, code_at_the_end, empty, plain):
        await end_of(tell, behavior.__name__, grpc.unary_stream_rpc_method_handler(behavior))


async def use_requests_on_asyncio(tell: Telling) -> None:
    async def by_iterating(requests: Any, context: Any) -> bytes:
        return b"".join([request async for request in requests])

    async def by_reading(requests: Any, context: Any) -> bytes:
        got = []
        while (request := await context.read()) is not aio.EOF:
            got.append(request)
        tell("once more", await context.read() is aio.EOF)
        return b"".join(got)

    async def first(requests: Any, context: Any) -> bytes:
        async for request in requests:
            return bytes(request)
        return b"none"

    def plain(requests: Any, context: Any) -> bytes:
        return b"".join(requests)

    async def echo(requests: Any, context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request

    async def echo_by_hand(requests: Any, context: Any) -> None:
        while (request := await context.read()) is not aio.EOF:
            await context.write(request)

    unary = {
        each.__name__: grpc.stream_unary_rpc_method_handler(each) for each in (by_iterating, by_reading, first, plain)
    }
    streams = {each.__name__: grpc.stream_stream_rpc_method_handler(each) for each in (echo, echo_by_hand)}
    made, port = await started({**unary, **streams})
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for name in unary:
            await tell.awaiting(name, channel.stream_unary(f"/a.B/{name}")([b"a", b"b"], timeout=5))
            await tell.awaiting(f"{name} of none", channel.stream_unary(f"/a.B/{name}")([], timeout=5))
        for name in streams:
            call = channel.stream_stream(f"/a.B/{name}")([b"a", b"b"], timeout=5)
            tell(name, [response async for response in call])
    await made.stop(None)


async def use_cancellation_on_asyncio(tell: Telling) -> None:
    seen: list[Any] = []
    entered, ended = asyncio.Event(), asyncio.Event()

    async def wait(request: bytes, context: Any) -> bytes:
        context.add_done_callback(lambda found: seen.append(("callback", found.cancelled(), found.done())))
        entered.set()
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            seen.append(("handler", context.cancelled()))
            raise
        finally:
            ended.set()
        return b""

    made, port = await started({"Call": grpc.unary_unary_rpc_method_handler(wait)})
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/a.B/Call")(b"", timeout=10)
        await asyncio.wait_for(entered.wait(), 5)
        call.cancel()
        await asyncio.wait_for(ended.wait(), 5)
        await asyncio.sleep(0.1)
        tell("cancelled", [each[0] for each in seen])
        seen.clear()
        ended.clear()
        await tell.awaiting("deadline", channel.unary_unary("/a.B/Call")(b"", timeout=0.3))
        await asyncio.wait_for(ended.wait(), 5)
        await asyncio.sleep(0.1)
        tell("late", [each[0] for each in seen])
    await made.stop(None)


async def use_graces_on_asyncio(tell: Telling) -> None:
    async def wait(request: bytes, context: Any) -> bytes:
        await asyncio.sleep(0.4)
        return b"done"

    for grace in (None, 0, 0.05, 5):
        made, port = await started({"Call": grpc.unary_unary_rpc_method_handler(wait)})
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/a.B/Call")(b"", timeout=5)
            await asyncio.sleep(0.2)
            await made.stop(grace)
            error = await Telling().awaiting("", call)
            tell("grace", grace, error.code() if isinstance(error, aio.AioRpcError) else error)
            await tell.awaiting("termination", made.wait_for_termination(1))
            await tell.awaiting("stop again", made.stop(None))
            await tell.awaiting("start again", made.start())


async def use_servers_before_they_start(tell: Telling) -> None:
    made = aio.server()
    tell(type(made).__name__, isinstance(made, aio.Server))
    await tell.awaiting("termination", made.wait_for_termination(0.1))
    await tell.awaiting("stop", made.stop(None))
    await tell.awaiting("start", made.start())
    other = aio.server(migration_thread_pool=futures.ThreadPoolExecutor(1))
    tell.raising("a bad address", other.add_insecure_port, "x:y:z")
    tell(other.add_insecure_port("127.0.0.1:0") > 0)
    await tell.awaiting("start", other.start())
    await tell.awaiting("again", other.start())
    await tell.awaiting("termination", other.wait_for_termination(0.1))
    await tell.awaiting("stop", other.stop(None))
    await tell.awaiting("termination", other.wait_for_termination())


async def use_interceptors_of_servers_on_asyncio(tell: Telling) -> None:
    logging.getLogger("grpc").setLevel(logging.CRITICAL)
    logging.getLogger("grpc._cython.cygrpc").setLevel(logging.CRITICAL)
    name = contextvars.ContextVar("name", default="nobody")

    class Outer(aio.ServerInterceptor):
        async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
            tell("outer", handler_call_details.method, type(handler_call_details).__name__)
            name.set("outer")
            return await continuation(handler_call_details)

    class Inner(aio.ServerInterceptor):
        async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
            tell("inner", name.get())
            if handler_call_details.method == "/a.B/No":

                async def refuse(request: bytes, context: Any) -> None:
                    await context.abort(grpc.StatusCode.PERMISSION_DENIED, "no entry")

                return grpc.unary_unary_rpc_method_handler(refuse)
            if handler_call_details.method == "/a.B/Raise":
                raise ValueError("an interceptor raises")
            return await continuation(handler_call_details)

    async def see(request: bytes, context: Any) -> bytes:
        tell("handler", name.get())
        return request

    def plain(request: bytes, context: Any) -> bytes:
        tell("plain handler", name.get())
        return request

    handlers = {"Call": grpc.unary_unary_rpc_method_handler(see), "Plain": grpc.unary_unary_rpc_method_handler(plain)}
    name.set("main")
    made, port = await started(handlers, interceptors=(Outer(), Inner()))
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for method in ("Call", "Plain", "No", "Raise", "Other"):
            await tell.awaiting(method, channel.unary_unary(f"/a.B/{method}")(b"x", timeout=5))
    await made.stop(None)


async def use_a_limit_of_calls_on_asyncio(tell: Telling) -> None:
    entered, release = asyncio.Event(), asyncio.Event()

    async def wait(request: bytes, context: Any) -> bytes:
        entered.set()
        await release.wait()
        return b"done"

    handlers = {"Call": grpc.unary_unary_rpc_method_handler(wait)}
    made, port = await started(handlers, maximum_concurrent_rpcs=1)
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        first = channel.unary_unary("/a.B/Call")(b"", timeout=5)
        other = asyncio.ensure_future(first.code())
        await entered.wait()
        second = channel.unary_unary("/a.B/Call")(b"", timeout=5)
        tell("the second", await second.code())
        release.set()
        tell("the first", await other, described(await first))
    await made.stop(None)
