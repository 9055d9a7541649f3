"""Unusual uses of clients and servers on asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import inspect
import logging
import operator
import pickle
import threading
import time
import warnings
from collections.abc import AsyncIterator
from typing import Any

import grpc
from asyncio_servers import started
from grpc import aio
from running import Telling, described
from unusual import SECONDS, logged


def unary(behavior: Any) -> Any:
    return grpc.unary_unary_rpc_method_handler(behavior)


def unary_stream(behavior: Any) -> Any:
    return grpc.unary_stream_rpc_method_handler(behavior)


def stream_unary(behavior: Any) -> Any:
    return grpc.stream_unary_rpc_method_handler(behavior)


def bidi(behavior: Any) -> Any:
    return grpc.stream_stream_rpc_method_handler(behavior)


async def echo(request: bytes, context: Any) -> bytes:
    return request


async def some(request: bytes, context: Any) -> AsyncIterator[bytes]:
    for each in (b"1", b"2", b"3"):
        yield each


async def joined(requests: Any, context: Any) -> bytes:
    return b",".join([each async for each in requests])


async def same(requests: Any, context: Any) -> AsyncIterator[bytes]:
    async for each in requests:
        yield each


ALL = {"Call": unary(echo), "Many": unary_stream(some), "Join": stream_unary(joined), "Echo": bidi(same)}


@contextlib.asynccontextmanager
async def serving(
    handlers: dict[str, Any], options: Any = None, interceptors: Any = None, **keywords: Any
) -> AsyncIterator[Any]:
    """A channel to a server of the service ``a.B``."""
    made, port = await started(handlers, **keywords)
    async with aio.insecure_channel(f"127.0.0.1:{port}", options, interceptors=interceptors) as channel:
        yield channel
    await made.stop(None)


async def end_of(tell: Telling, what: str, call: Any) -> None:
    """Tell how a call ends."""
    got: list[Any] = []
    try:
        if hasattr(call, "__await__"):
            got.append(await asyncio.wait_for(call, SECONDS))
        else:
            async for each in call:
                got.append(each)  # noqa: PERF401 - what came before an error counts
        end = "ends"
    except BaseException as error:
        end = f"raises {described(error)}"
    tell(what, got, end, await call.code(), await call.details())
    tell("  metadata", tuple(await call.initial_metadata()), tuple(await call.trailing_metadata()))
    tell("  is", call.done(), call.cancelled())


async def use_all_ways_to_set_and_abort_on_asyncio(tell: Telling) -> None:
    logging.getLogger("grpc").setLevel(logging.CRITICAL)
    code = grpc.StatusCode
    for steps in (
        [("set_code", code.NOT_FOUND)],
        [("set_details", "alone")],
        [("set_code", 5), ("set_details", "number")],
        [("set_code", "NOT_FOUND")],
        [("set_code", (5, "not found"))],
        [("set_details", 5), ("set_code", code.INTERNAL)],
        [("set_details", None), ("set_code", code.INTERNAL)],
        [("set_details", b"bytes"), ("set_code", code.INTERNAL)],
        [("set_trailing_metadata", None)],
        [("set_trailing_metadata", {"k": "v"})],
        [("set_trailing_metadata", aio.Metadata(("k", "v")))],
        [("set_trailing_metadata", (("K", "v"),))],
        [("set_trailing_metadata", (("grpc-status", "3"),))],
        [("abort", code.ABORTED, "a")],
        [("abort", code.ABORTED)],
        [("abort", code.ABORTED, "a", (("k", "v"),))],
        [("abort", code.ABORTED, None)],
        [("abort", code.ABORTED, 5)],
        [("abort", 5, "number")],
        [("abort", None, "none")],
        [("set_trailing_metadata", (("a", "1"),)), ("abort", code.ABORTED, "a", (("b", "2"),))],
        [("set_code", code.NOT_FOUND), ("set_details", "d"), ("abort", code.ABORTED, "")],
        [("send_initial_metadata", (("i", "1"),)), ("abort", code.ABORTED, "a")],
        [("send_initial_metadata", (("i", "1"),)), ("send_initial_metadata", (("j", "2"),))],
        [("send_initial_metadata", ())],
        [("abort_with_status", None)],
        [("set_compression", grpc.Compression.Gzip)],
        [("disable_next_message_compression",)],
    ):

        async def run(request: Any, context: Any, steps: Any = steps) -> bytes:
            for name, *arguments in steps:
                result = getattr(context, name)(*arguments)
                if inspect.isawaitable(result):
                    await result
            return b"response"

        async with serving({"Call": unary(run)}) as channel:
            await end_of(
                tell, f"{steps!r}"[:110].partition(" object")[0], channel.unary_unary("/a.B/Call")(b"", timeout=SECONDS)
            )
    logging.getLogger("grpc").setLevel(logging.NOTSET)


async def use_exceptions_of_handlers_on_asyncio(tell: Telling) -> None:
    class Rpc(grpc.RpcError):
        def code(self) -> Any:
            return grpc.StatusCode.NOT_FOUND

        def details(self) -> str:
            return "from a call"

    for error in (
        ValueError("é\nline"), ValueError(), KeyError("k"), Exception("x", 5), Rpc("text"), StopIteration(),
        StopAsyncIteration(),
 asyncio.TimeoutError("t"), aio.UsageError("u"), aio.InternalError("i"),
        aio.AioRpcError(grpc.StatusCode.NOT_FOUND, aio.Metadata(), aio.Metadata(("k", "v")), "d", "debug"),
        AssertionError,
    ):  # fmt: skip

        async def fail(request: Any, context: Any, error: Any = error) -> Any:
            raise error

        async def fail_later(request: Any, context: Any, error: Any = error) -> Any:
            yield b"1"
            raise error

        with logged() as told:
            async with serving({"Call": unary(fail), "Many": unary_stream(fail_later)}) as channel:
                await end_of(tell, f"{type(error).__name__}", channel.unary_unary("/a.B/Call")(b"", timeout=SECONDS))
                await end_of(tell, "  in a stream", channel.unary_stream("/a.B/Many")(b"", timeout=SECONDS))
        tell("  logged", [line[:60] for line in told])


async def use_writing_and_returning(tell: Telling) -> None:
    async def write(request: Any, context: Any) -> None:
        await context.write(b"1")
        await context.write(b"2")

    async def write_and_give(request: Any, context: Any) -> Any:
        await context.write(b"1")
        return b"given"

    async def write_none(request: Any, context: Any) -> None:
        await context.write(None)

    async def mixed(request: Any, context: Any) -> Any:
        await context.write(b"1")
        yield b"2"
        await context.write(b"3")

    async def read_of_unary(request: Any, context: Any) -> Any:
        return repr(await context.read()).encode()

    async def read_many(requests: Any, context: Any) -> Any:
        seen = []
        while (request := await context.read()) is not aio.EOF:
            seen.append(request)
        seen.append(await context.read() is aio.EOF)
        return repr(seen).encode()

    async def read_and_iterate(requests: Any, context: Any) -> Any:
        first = await context.read()
        return repr([first, [each async for each in requests]]).encode()

    async def iterate_twice(requests: Any, context: Any) -> Any:
        return repr([[each async for each in requests], [each async for each in requests]]).encode()

    logging.getLogger("grpc").setLevel(logging.CRITICAL)
    for behavior in (write, write_and_give, write_none, mixed):
        async with serving({"Call": unary_stream(behavior)}) as channel:
            await end_of(tell, behavior.__name__, channel.unary_stream("/a.B/Call")(b"x", timeout=SECONDS))
    for behavior in (read_of_unary,):
        async with serving({"Call": unary(behavior)}) as channel:
            await end_of(tell, behavior.__name__, channel.unary_unary("/a.B/Call")(b"x", timeout=SECONDS))
    for behavior in (read_many, read_and_iterate, iterate_twice):
        async with serving({"Call": stream_unary(behavior)}) as channel:
            await end_of(
                tell, behavior.__name__, channel.stream_unary("/a.B/Call")(iter([b"1", b"2"]), timeout=SECONDS)
            )
    logging.getLogger("grpc").setLevel(logging.NOTSET)


async def use_reading_in_wrong_ways(tell: Telling) -> None:
    async with serving(ALL) as channel:
        call = channel.unary_stream("/a.B/Many")(b"")
        tell(await call.read())
        await tell.awaiting("then iterate", _list(call))
        call = channel.unary_stream("/a.B/Many")(b"")
        async for each in call:
            tell(each)
            break
        await tell.awaiting("then read", call.read())
        call = channel.unary_stream("/a.B/Many")(b"")
        call = channel.stream_stream("/a.B/Echo")(iter([b"1"]))
        await tell.awaiting("write to an iterator's", call.write(b"2"))
        await tell.awaiting("done writing of it", call.done_writing())
        call.cancel()
        call = channel.stream_stream("/a.B/Echo")()
        await tell.awaiting("write", call.write(b"1"))
        await tell.awaiting("write None", call.write(None))
        await tell.awaiting("write text", call.write("text"))
        await tell.awaiting("read", call.read())
        await tell.awaiting("done", call.done_writing())
        await tell.awaiting("done again", call.done_writing())
        await tell.awaiting("write behind it", call.write(b"2"))
        await tell.awaiting("the rest", _list(call))
        await tell.awaiting("write behind the end", call.write(b"2"))
        await tell.awaiting("done behind the end", call.done_writing())
        call = channel.stream_unary("/a.B/Join")()
        await call.write(b"1")
        await call.done_writing()
        await tell.awaiting("await", call)
        await tell.awaiting("await again", call)
        call = channel.unary_unary("/a.B/Call")(b"x")
        tell(await asyncio.gather(call, call, call))
        tell(await asyncio.shield(call), await asyncio.wait_for(call, 1))
        await tell.awaiting("as a task", _awaited(call))


async def _list(call: Any) -> list[Any]:
    return [each async for each in call]


async def _awaited(call: Any) -> Any:
    return await asyncio.ensure_future(_given(call))


async def _given(call: Any) -> Any:
    return await call


async def use_request_iterators_of_all_kinds_on_asyncio(tell: Telling) -> None:
    async def generator() -> AsyncIterator[bytes]:
        yield b"g"
        await asyncio.sleep(0)
        yield b"h"

    async def raising() -> AsyncIterator[bytes]:
        yield b"r"
        raise ValueError("no more")

    def plain() -> Any:
        yield b"p"
        raise ValueError("no more")

    class Iterable:
        def __aiter__(self) -> Any:
            return generator()

    async with serving(ALL) as channel:
        for what, requests in (
            ("list", [b"1", b"2"]), ("empty", []), ("async", generator()), ("raising", raising()),
            ("plain raising", plain()),
            ("iterable", Iterable()), ("None", None), ("number", 5), ("bytes", b"ab"), ("of None", [None]),
            ("of text", ["t"]),
            ("function", generator), ("dict", {b"k": 1}),
        ):  # fmt: skip
            with logged() as told:
                try:
                    call = channel.stream_unary("/a.B/Join")(requests, timeout=1)
                    if requests is None:
                        await call.done_writing()
                    await end_of(tell, what, call)
                except BaseException as error:
                    tell(what, "raises", described(error))
            tell("  logged", [line[:80] for line in told])


async def use_cancelling_in_all_places(tell: Telling) -> None:
    gate = asyncio.Event()

    async def hold(request: Any, context: Any) -> bytes:
        try:
            await gate.wait()
        except asyncio.CancelledError:
            seen.append(f"cancelled {context.cancelled()} {context.done()}")
            raise
        return b"done"

    seen: list[str] = []
    async with serving({**ALL, "Hold": unary(hold)}) as channel:
        call = channel.unary_unary("/a.B/Hold")(b"", timeout=SECONDS)
        task = asyncio.ensure_future(_given(call))
        await asyncio.sleep(0.1)
        task.cancel()
        await tell.awaiting("a task that waits", task)
        tell(call.cancelled(), call.done(), await call.code(), await call.details())
        call = channel.unary_unary("/a.B/Hold")(b"", timeout=SECONDS)
        await tell.awaiting("wait_for", asyncio.wait_for(call, 0.1))
        tell(call.cancelled(), await call.code())
        call = channel.unary_unary("/a.B/Hold")(b"", timeout=0.1)
        await tell.awaiting("its deadline", call)
        tell(call.cancelled(), call.done(), await call.code(), call.time_remaining())
        call = channel.unary_unary("/a.B/Hold")(b"", timeout=SECONDS)
        asyncio.get_running_loop().call_later(0.1, call.cancel)
        await tell.awaiting("cancelled by the loop", call)
        call = channel.stream_stream("/a.B/Echo")(timeout=SECONDS)
        reading = asyncio.ensure_future(call.read())
        await asyncio.sleep(0.05)
        reading.cancel()
        await tell.awaiting("a read that is cancelled", reading)
        tell(call.cancelled(), call.done(), await call.code() if call.done() else None)
        call = channel.stream_stream("/a.B/Echo")(timeout=SECONDS)
        await call.write(b"1")
        call.cancel()
        await tell.awaiting("write", call.write(b"2"))
        await tell.awaiting("read", call.read())
        await tell.awaiting("iterate", _list(call))
        async with asyncio.timeout(0.1) if hasattr(asyncio, "timeout") else contextlib.AsyncExitStack():
            with contextlib.suppress(BaseException):
                await channel.unary_unary("/a.B/Hold")(b"", timeout=0.5)
        for _ in range(100):
            if len(seen) >= 4:
                break
            await asyncio.sleep(0.01)


async def use_channels_as_objects_on_asyncio(tell: Telling) -> None:
    channel = aio.insecure_channel("127.0.0.1:1")
    tell(
        type(channel).__name__,
        type(channel).__module__,
        isinstance(channel, aio.Channel),
        isinstance(channel, grpc.Channel),
    )
    tell(channel.get_state(), repr(channel).partition(" object")[0])
    tell.raising("copy", copy.copy, channel)
    call = channel.unary_unary("/a.B/Call")
    tell(
        type(call).__name__,
        isinstance(call, aio.UnaryUnaryMultiCallable),
        isinstance(call, grpc.UnaryUnaryMultiCallable),
    )
    await tell.awaiting("close", channel.close())
    await tell.awaiting("close again", channel.close(5))
    tell(channel.get_state(), channel.get_state(True))
    tell.raising("a call", lambda: type(call(b"")).__name__)
    tell.raising("a stream", lambda: type(channel.stream_stream("/x")()).__name__)
    await tell.awaiting("ready", asyncio.wait_for(channel.channel_ready(), 1))
    await tell.awaiting("change", asyncio.wait_for(channel.wait_for_state_change(grpc.ChannelConnectivity.SHUTDOWN), 1))
    tell.raising("with", lambda: channel.__enter__())
    for target in (None, 5, b"127.0.0.1:1", ""):
        tell.raising(f"{target!r}", lambda t=target: type(aio.insecure_channel(t)).__name__)
    for interceptors in (5, [5], None, [], ()):
        tell.raising(
            f"{interceptors!r}",
            lambda i=interceptors: type(aio.insecure_channel("127.0.0.1:1", interceptors=i)).__name__,
        )


async def use_states_on_asyncio(tell: Telling) -> None:
    made, port = await started(ALL)
    channel = aio.insecure_channel(f"127.0.0.1:{port}")
    tell(channel.get_state())
    await channel.channel_ready()
    tell(channel.get_state())
    waiting = asyncio.ensure_future(channel.wait_for_state_change(grpc.ChannelConnectivity.READY))
    await made.stop(None)
    await tell.awaiting("another", asyncio.wait_for(waiting, SECONDS))
    tell(channel.get_state() is not grpc.ChannelConnectivity.READY)
    waiting = asyncio.ensure_future(channel.wait_for_state_change(channel.get_state()))
    await asyncio.sleep(0.02)
    await channel.close()
    await tell.awaiting("closed meanwhile", asyncio.wait_for(waiting, 1))
    tell.raising("a wrong state", lambda: channel.get_state("yes"))


async def use_closing_with_grace_on_asyncio(tell: Telling) -> None:
    gate = asyncio.Event()

    async def hold(request: Any, context: Any) -> bytes:
        await asyncio.wait_for(gate.wait(), 0.3)
        return b"done"

    async def held(request: Any, context: Any) -> bytes:
        await asyncio.sleep(0.3)
        return b"done"

    made, port = await started({"Held": unary(held)})
    for grace in (None, 0, 0.05, 5):
        channel = aio.insecure_channel(f"127.0.0.1:{port}")
        call = channel.unary_unary("/a.B/Held")(b"", timeout=SECONDS)
        task = asyncio.ensure_future(_given(call))
        await asyncio.sleep(0.1)
        began = time.monotonic()
        await channel.close(grace)
        await tell.awaiting(f"grace {grace}", task)
        tell(time.monotonic() - began < 1, await call.code(), await call.details(), call.cancelled())
    await made.stop(None)


async def use_several_graces_on_asyncio(tell: Telling) -> None:
    for graces in ((None,), (0,), (0.05,), (5, 0), (5, None), (0.05, 5)):
        entered = asyncio.Event()
        ended: list[str] = []

        async def hold(request: Any, context: Any, entered: Any = entered, ended: Any = ended) -> bytes:
            entered.set()
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise
            return b"done"

        made, port = await started({"Hold": unary(hold)})
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/a.B/Hold")(b"", timeout=SECONDS)
            task = asyncio.ensure_future(_given(call))
            await entered.wait()
            began = time.monotonic()
            stops = []
            for grace in graces:
                stops.append(asyncio.ensure_future(made.stop(grace)))
                await asyncio.sleep(0.01)
            await asyncio.gather(*stops)
            tell(f"graces {graces}", time.monotonic() - began < 0.8, ended)
            with contextlib.suppress(aio.AioRpcError):
                tell("  call", await task)
            tell("  code", await call.code())


async def use_interceptors_of_all_kinds_on_asyncio(tell: Telling) -> None:
    order: list[Any] = []

    class Unary(aio.UnaryUnaryClientInterceptor):
        def __init__(self, make: Any) -> None:
            self.make = make

        async def intercept_unary_unary(self, go_on: Any, details: Any, request: Any) -> Any:
            order.append(
                (
                    type(details).__name__,
                    details.method,
                    details.timeout,
                    type(details.metadata).__name__,
                    details.wait_for_ready,
                )
            )
            return await self.make(go_on, details, request)

    async def plain(go_on: Any, details: Any, request: Any) -> Any:
        return await go_on(details, request)

    async def awaited(go_on: Any, details: Any, request: Any) -> Any:
        return await (await go_on(details, request))

    async def answer(go_on: Any, details: Any, request: Any) -> Any:
        return b"mine"

    async def nothing(go_on: Any, details: Any, request: Any) -> Any:
        return None

    async def fails(go_on: Any, details: Any, request: Any) -> Any:
        raise ValueError("no")

    async def fails_as_rpc(go_on: Any, details: Any, request: Any) -> Any:
        raise aio.AioRpcError(grpc.StatusCode.DATA_LOSS, aio.Metadata(("i", "1")), aio.Metadata(("t", "1")), "mine")

    async def other(go_on: Any, details: Any, request: Any) -> Any:
        changed = aio.ClientCallDetails(details.method, 1, aio.Metadata(("a", "b")), None, None)
        return await go_on(changed, b"changed")

    async def text(go_on: Any, details: Any, request: Any) -> Any:
        return await go_on(aio.ClientCallDetails("/a.B/Call", None, None, None, None), request)

    async def twice(go_on: Any, details: Any, request: Any) -> Any:
        await (await go_on(details, request))
        return await go_on(details, b"again")

    async def cancels(go_on: Any, details: Any, request: Any) -> Any:
        call = await go_on(details, request)
        call.cancel()
        return call

    async def sleeps(go_on: Any, details: Any, request: Any) -> Any:
        await asyncio.sleep(0.05)
        return await go_on(details, request)

    made, port = await started(ALL)
    for make in (plain, awaited, answer, nothing, fails, fails_as_rpc, other, text, twice, cancels, sleeps):
        async with aio.insecure_channel(f"127.0.0.1:{port}", interceptors=[Unary(make)]) as channel:
            call = channel.unary_unary("/a.B/Call")(b"x", timeout=SECONDS, metadata=(("k", "v"),))
            tell(make.__name__, type(call).__name__, isinstance(call, aio.UnaryUnaryCall), call.done())
            await tell.awaiting("  gives", asyncio.wait_for(call, SECONDS))
            for name in (
                "code",
                "details",
                "initial_metadata",
                "trailing_metadata",
                "debug_error_string",
                "wait_for_connection",
            ):
                try:
                    result = await asyncio.wait_for(getattr(call, name)(), 1)
                    tell(" ", name, tuple(result) if isinstance(result, (tuple, aio.Metadata)) else result)
                except BaseException as error:
                    tell(" ", name, "raises", described(error))
            tell("  is", call.done(), call.cancelled(), call.cancel(), call.time_remaining() is None)
    tell(order[:2])
    await made.stop(None)


async def use_interceptors_of_streams_on_asyncio(tell: Telling) -> None:
    class Stream(aio.UnaryStreamClientInterceptor, aio.StreamStreamClientInterceptor, aio.StreamUnaryClientInterceptor):
        def __init__(self, make: Any) -> None:
            self.make = make

        async def intercept_unary_stream(self, go_on: Any, details: Any, request: Any) -> Any:
            return await self.make(go_on, details, request)

        async def intercept_stream_stream(self, go_on: Any, details: Any, requests: Any) -> Any:
            return await self.make(go_on, details, requests)

        async def intercept_stream_unary(self, go_on: Any, details: Any, requests: Any) -> Any:
            return await self.make(go_on, details, requests)

    async def plain(go_on: Any, details: Any, request: Any) -> Any:
        return await go_on(details, request)

    async def wrapped(go_on: Any, details: Any, request: Any) -> Any:
        call = await go_on(details, request)

        async def more() -> AsyncIterator[bytes]:
            async for each in call:
                yield each + b"!"

        return more() if hasattr(call, "__aiter__") else call

    async def fails(go_on: Any, details: Any, request: Any) -> Any:
        raise ValueError("no")

    made, port = await started(ALL)
    for make in (plain, wrapped, fails):
        try:
            channel = aio.insecure_channel(f"127.0.0.1:{port}", interceptors=[Stream(make)])
        except BaseException as error:
            tell(make.__name__, "raises", described(error))
            continue
        for what, call in (
            ("many", channel.unary_stream("/a.B/Many")(b"x", timeout=SECONDS)),
            ("echo", channel.stream_stream("/a.B/Echo")(iter([b"1", b"2"]), timeout=SECONDS)),
            ("join", channel.stream_unary("/a.B/Join")(iter([b"1", b"2"]), timeout=SECONDS)),
        ):
            tell(make.__name__, what, type(call).__name__)
            await tell.awaiting(
                "  gives", asyncio.wait_for(_list(call) if hasattr(call, "__aiter__") else _given(call), SECONDS)
            )
            for name in ("code", "details", "trailing_metadata"):
                try:
                    result = await asyncio.wait_for(getattr(call, name)(), 1)
                    tell(" ", name, tuple(result) if isinstance(result, (tuple, aio.Metadata)) else result)
                except BaseException as error:
                    tell(" ", name, "raises", described(error))
        for what, make_call in (
            ("echo", channel.stream_stream("/a.B/Echo")),
            ("join", channel.stream_unary("/a.B/Join")),
        ):
            call = make_call(timeout=2)
            await tell.awaiting(f"{what} write", asyncio.wait_for(call.write(b"w"), 2))
            await tell.awaiting("  done", asyncio.wait_for(call.done_writing(), 2))
            await tell.awaiting(
                "  gives", asyncio.wait_for(_list(call) if hasattr(call, "__aiter__") else _given(call), SECONDS)
            )
        await channel.close()
    await made.stop(None)


async def use_interceptors_of_servers_that_misbehave_on_asyncio(tell: Telling) -> None:
    class Around(aio.ServerInterceptor):
        def __init__(self, make: Any) -> None:
            self.make = make

        async def intercept_service(self, go_on: Any, details: Any) -> Any:
            return await self.make(go_on, details)

    async def plain(go_on: Any, details: Any) -> Any:
        return await go_on(details)

    async def nothing(go_on: Any, details: Any) -> Any:
        return None

    async def fails(go_on: Any, details: Any) -> Any:
        raise ValueError("no")

    async def refuses(go_on: Any, details: Any) -> Any:
        async def refuse(request: Any, context: Any) -> Any:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not you")

        return unary(refuse)

    async def replaces(go_on: Any, details: Any) -> Any:
        handler = await go_on(details)

        async def more(request: Any, context: Any) -> Any:
            return await handler.unary_unary(request, context) + b"!"

        return unary(more)

    async def slow(go_on: Any, details: Any) -> Any:
        await asyncio.sleep(0.05)
        return await go_on(details)

    for make in (plain, nothing, fails, refuses, replaces, slow):
        with logged() as told:
            async with serving({"Call": unary(echo)}) as channel:
                pass
            made, port = await started({"Call": unary(echo)}, interceptors=[Around(make)])
            async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                await tell.awaiting(make.__name__, channel.unary_unary("/a.B/Call")(b"x", timeout=2))
                await tell.awaiting("  missing", channel.unary_unary("/a.B/Missing")(b"x", timeout=2))
            await made.stop(None)
        tell("  logged", [line[:60] for line in told])


async def use_the_whole_of_a_context_on_asyncio(tell: Telling) -> None:
    kept: list[Any] = []

    async def look(request: Any, context: Any) -> bytes:
        kept.append(context)
        tell()
        tell(context.code(), context.details(), context.trailing_metadata(), context.cancelled(), context.done())
        context.set_code(grpc.StatusCode.NOT_FOUND)
        context.set_details("d")
        context.set_trailing_metadata((("k", "v"),))
        tell(context.code(), context.details(), context.trailing_metadata())
        tell(
            context.time_remaining() <= SECONDS + 0.1,
            context.peer_identities(),
            context.peer_identity_key(),
            dict(context.auth_context()),
        )
        tell.raising("callback", context.add_done_callback, lambda c: kept.append("called"))
        return b""

    async with serving({"Call": unary(look)}) as channel:
        await tell.awaiting("call", channel.unary_unary("/a.B/Call")(b"", timeout=SECONDS))
        await asyncio.sleep(0.05)
        context = kept[0]
        tell(kept[1:], context.cancelled(), context.done())


async def use_debug_mode_of_asyncio(tell: Telling) -> None:
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 5
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with serving(ALL) as channel:
            tell(
                await channel.unary_unary("/a.B/Call")(b"x"),
                [each async for each in channel.unary_stream("/a.B/Many")(b"x")],
            )
            call = channel.stream_stream("/a.B/Echo")()
            await call.write(b"1")
            tell(await call.read())
            call.cancel()
            channel.unary_unary("/a.B/Call")(b"dropped")
        await asyncio.sleep(0.05)
    tell([f"{each.category.__name__} {each.message}"[:60] for each in caught])
    loop.set_debug(False)


def use_calls_from_other_loops(tell: Telling) -> None:
    """A channel and a call that another loop has."""
    loops = [asyncio.new_event_loop() for _ in range(2)]

    async def make() -> Any:
        made, port = await started(ALL)
        channel = aio.insecure_channel(f"127.0.0.1:{port}")
        tell(await channel.unary_unary("/a.B/Call")(b"x"))
        return made, channel

    made, channel = loops[0].run_until_complete(make())
    running = threading.Thread(target=loops[0].run_forever, daemon=True)
    running.start()
    found = asyncio.run_coroutine_threadsafe(_given_by(channel), loops[0]).result(SECONDS)
    tell("from a thread", found)
    asyncio.run_coroutine_threadsafe(channel.close(), loops[0]).result(SECONDS)
    asyncio.run_coroutine_threadsafe(made.stop(None), loops[0]).result(SECONDS)
    loops[0].call_soon_threadsafe(loops[0].stop)
    running.join(SECONDS)


async def _given_by(channel: Any) -> Any:
    return await channel.unary_unary("/a.B/Call")(b"y")


async def use_options_and_arguments_on_asyncio(tell: Telling) -> None:
    async with serving(ALL) as channel:
        call = channel.unary_unary("/a.B/Call", lambda x: x, lambda x: x)
        for keywords in (
            {"timeout": -1}, {"timeout": "x"}, {"metadata": [("a", "b")]},
            {"metadata": aio.Metadata(("a", "b"))}, {"metadata": 5},
            {"wait_for_ready": True}, {"wait_for_ready": None}, {"compression": grpc.Compression.Gzip},
            {"credentials": grpc.access_token_call_credentials("t")}, {"nothing": 1},
        ):  # fmt: skip
            try:
                await tell.awaiting(f"{keywords}"[:60].partition(" object")[0], call(b"x", **keywords))
            except BaseException as error:
                tell(f"{keywords}"[:60].partition(" object")[0], "raises at once", described(error))


async def use_metadata_as_objects(tell: Telling) -> None:
    metadata = aio.Metadata(("a", "1"), ("b", "2"), ("a", "3"))
    tell(repr(metadata), str(metadata), len(metadata), list(metadata), metadata == metadata, metadata == (("a", "1"),))
    tell(
        metadata["a"], metadata.get("z"), metadata.get("z", 5), metadata.get_all("a"), "a" in metadata, "z" in metadata
    )
    tell.raising("missing", lambda: metadata["z"])
    tell(list(metadata.keys()), list(metadata.values()), list(metadata.items()))
    tell.raising("hash", hash, metadata)
    tell.raising("index", lambda: metadata[0])
    tell.raising("slice", lambda: metadata[0:1])
    tell.raising("add", lambda: metadata + metadata)
    tell.raising("add a tuple", operator.add, metadata, (("c", "4"),))
    tell.raising("a tuple and it", operator.add, (("c", "4"),), metadata)
    tell.raising("dict", dict, metadata)
    metadata["a"] = "new"
    del metadata["b"]
    tell(list(metadata))
    metadata.add("c", "4")
    metadata.set_all("a", ["x", "y"])
    metadata.delete_all("c")
    tell(list(metadata), bool(metadata), bool(aio.Metadata()))
    tell.raising("copy", lambda: list(copy.copy(metadata)))
    tell.raising("pickle", lambda: list(pickle.loads(pickle.dumps(metadata))))
    tell.raising("from a tuple", lambda: list(aio.Metadata.from_tuple((("a", "b"),))))
    tell.raising("from None", lambda: aio.Metadata.from_tuple(None))
    tell.raising("of lists", lambda: list(aio.Metadata(["a", "b"])))
    tell.raising("of one", lambda: list(aio.Metadata(("a",))))
    tell.raising("unpacked", lambda: [(k, v) for k, v in aio.Metadata(("a", "b"))])
