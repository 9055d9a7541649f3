"""What several threads or tasks do with one call, one channel or one server; and with what is over."""

from __future__ import annotations

import asyncio
import gc
import queue
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
from grpc import aio
from running import Telling, described, server

TIMEOUT = 5.0
"""Seconds; nothing here waits for it where all is well."""


def unary(behavior: Any) -> Any:
    return grpc.unary_unary_rpc_method_handler(behavior)


def unary_stream(behavior: Any) -> Any:
    return grpc.unary_stream_rpc_method_handler(behavior)


def stream_unary(behavior: Any) -> Any:
    return grpc.stream_unary_rpc_method_handler(behavior)


def bidi(behavior: Any) -> Any:
    return grpc.stream_stream_rpc_method_handler(behavior)


def echo(request: bytes, context: Any) -> bytes:
    return request


def endless(request: bytes, context: Any) -> Iterator[bytes]:
    while context.is_active():
        yield b"x"
        time.sleep(0.005)


def taken(iterator: Iterator[Any]) -> str:
    """What an iterator gives until it ends, and how."""
    found: list[Any] = []
    try:
        found.extend(iterator)
    except BaseException as error:
        return f"{found} then {described(error)}"
    return f"{found} then the end"


class Later:
    """A thread, and what it came to."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._result: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=lambda: self._result.put(function(*arguments)), daemon=True).start()

    def result(self) -> Any:
        try:
            return self._result.get(timeout=TIMEOUT)
        except queue.Empty:
            return "GOES ON"


def use_requests_that_are_read_behind_the_end(tell: Telling) -> None:
    readers: queue.SimpleQueue[Later] = queue.SimpleQueue()
    go_on = threading.Event()

    def ends(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        first = next(requests)
        readers.put(Later(taken, requests))
        yield first

    def ends_with_one(requests: Iterator[bytes], context: Any) -> bytes:
        first = next(requests)
        readers.put(Later(taken, requests))
        return first

    def fails(requests: Iterator[bytes], context: Any) -> bytes:
        readers.put(Later(taken, requests))
        context.abort(grpc.StatusCode.ABORTED, "enough")
        return b""

    def keeps(requests: Iterator[bytes], context: Any) -> bytes:
        kept.append(requests)
        return b""

    def waits(requests: Iterator[bytes], context: Any) -> bytes:
        ended = threading.Event()
        context.add_callback(ended.set)
        readers.put(Later(taken, requests))
        ended.wait(TIMEOUT)
        return b""

    def requests() -> Iterator[bytes]:
        yield b"a"
        go_on.wait(TIMEOUT)

    kept: list[Any] = []
    handlers = {
        "Ends": bidi(ends),
        "EndsWithOne": stream_unary(ends_with_one),
        "Fails": stream_unary(fails),
        "Keeps": stream_unary(keeps),
        "Waits": stream_unary(waits),
    }
    made, port = server(handlers)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        tell([*channel.stream_stream("/a.B/Ends")(requests(), timeout=TIMEOUT)])
        tell("the other thread takes", readers.get(timeout=TIMEOUT).result())
        tell.raising("one", channel.stream_unary("/a.B/EndsWithOne"), requests(), timeout=TIMEOUT)
        tell("the other thread takes", readers.get(timeout=TIMEOUT).result())
        tell.raising("fails", channel.stream_unary("/a.B/Fails"), requests(), timeout=TIMEOUT)
        tell("the other thread ends", readers.get(timeout=TIMEOUT).result().partition(" then ")[2])
        tell.raising("keeps", channel.stream_unary("/a.B/Keeps"), requests(), timeout=TIMEOUT)
        tell("taken later", taken(kept[0]))
        call = channel.stream_unary("/a.B/Waits").future(requests())
        reader = readers.get(timeout=TIMEOUT)
        call.cancel()
        tell("of a call that is cancelled", reader.result().partition(" then ")[2])
        go_on.set()
    made.stop(None).wait(TIMEOUT)


def use_a_context_that_is_over(tell: Telling) -> None:
    contexts: list[Any] = []

    def keep(request: bytes, context: Any) -> bytes:
        context.add_callback(over.set)
        contexts.append(context)
        return request

    over = threading.Event()
    made, port = server({"Keep": unary(keep)})
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        channel.unary_unary("/a.B/Keep")(b"x", timeout=TIMEOUT)
        tell("called", over.wait(TIMEOUT))
        (context,) = contexts
        for _ in range(100):
            if not context.is_active():
                break
            time.sleep(0.01)
        tell("active", context.is_active())
        tell("callback", context.add_callback(print))
        tell.raising("initial metadata", context.send_initial_metadata, (("a", "b"),))
        tell.raising("trailing metadata", context.set_trailing_metadata, (("a", "b"),))
        tell.raising("code", context.set_code, grpc.StatusCode.ABORTED)
        tell.raising("cancel", context.cancel)
        tell("metadata", [name for name, _ in context.invocation_metadata()])
        tell("then", channel.unary_unary("/a.B/Keep")(b"y", timeout=TIMEOUT))
    made.stop(None).wait(TIMEOUT)


def use_handlers_that_end_their_call(tell: Telling) -> None:
    def cancels(request: bytes, context: Any) -> bytes:
        context.cancel()
        return request

    def cancels_stream(request: bytes, context: Any) -> Iterator[bytes]:
        yield b"one"
        context.cancel()
        yield b"two"

    def stops(request: bytes, context: Any) -> bytes:
        stopping.put(made.stop(1))
        return request

    def calls_itself(request: bytes, context: Any) -> bytes:
        depth = request[0]
        return bytes([depth]) if depth == 0 else again(bytes([depth - 1]), timeout=TIMEOUT) + request

    def fails_in_a_thread(request: bytes, context: Any) -> bytes:
        def run() -> str:
            try:
                context.abort(grpc.StatusCode.ABORTED, "from elsewhere")
            except BaseException as error:
                return type(error).__name__
            return "nothing"

        tell("abort raises", Later(run).result() != "nothing")
        return request

    stopping: queue.SimpleQueue[Any] = queue.SimpleQueue()
    handlers = {
        "Cancels": unary(cancels),
        "CancelsStream": unary_stream(cancels_stream),
        "Stops": unary(stops),
        "Again": unary(calls_itself),
        "Elsewhere": unary(fails_in_a_thread),
    }
    made, port = server(handlers)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        again = channel.unary_unary("/a.B/Again")
        tell.raising("cancels", channel.unary_unary("/a.B/Cancels"), b"x", timeout=TIMEOUT)
        tell(taken(channel.unary_stream("/a.B/CancelsStream")(b"x", timeout=TIMEOUT)).partition(" then ")[2])
        tell(again(b"\x03", timeout=TIMEOUT))
        tell.raising("elsewhere", channel.unary_unary("/a.B/Elsewhere"), b"x", timeout=TIMEOUT)
        tell.raising("stops", channel.unary_unary("/a.B/Stops"), b"x", timeout=TIMEOUT)
        tell("stopped", stopping.get(timeout=TIMEOUT).wait(TIMEOUT))
        tell("terminated", made.wait_for_termination(TIMEOUT))


def use_a_stream_of_two_threads(tell: Telling) -> None:
    def count(request: bytes, context: Any) -> Iterator[bytes]:
        for number in range(200):
            yield b"%d" % number

    def wait(request: bytes, context: Any) -> Iterator[bytes]:
        ended = threading.Event()
        context.add_callback(ended.set)
        yield b"first"
        ended.wait(TIMEOUT)

    made, port = server({"Count": unary_stream(count), "Wait": unary_stream(wait), "Endless": unary_stream(endless)})
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    call = channel.unary_stream("/a.B/Count")(b"", timeout=TIMEOUT)
    shares: list[list[bytes]] = [[], []]
    threads = [Later(lambda share: share.extend(call), share) for share in shares]
    for thread in threads:
        thread.result()
    tell("together", sorted(shares[0] + shares[1], key=int) == [b"%d" % number for number in range(200)])

    call = channel.unary_stream("/a.B/Wait")(b"")
    tell(next(call))
    reader = Later(taken, call)
    time.sleep(0.1)
    tell("cancel", call.cancel(), reader.result())

    call = channel.unary_stream("/a.B/Wait")(b"", timeout=0.5)
    reader = Later(taken, call)
    tell("with a deadline", reader.result())

    call = channel.unary_stream("/a.B/Wait")(b"")
    tell(next(call))
    waiting = [Later(call.code), Later(call.details), Later(lambda: described(call.exception(TIMEOUT)))]
    time.sleep(0.1)
    call.cancel()
    tell([each.result() for each in waiting])

    call = channel.unary_stream("/a.B/Wait")(b"")
    tell(next(call))
    reader = Later(taken, call)
    time.sleep(0.1)
    channel.close()
    tell("closed", reader.result())
    made.stop(None).wait(TIMEOUT)


def use_calls_within_calls(tell: Telling) -> None:
    """Callbacks, iterators of requests and watchers of states that make calls of the same channel."""
    made, port = server({"Echo": unary(echo), "Join": stream_unary(lambda requests, context: b"".join(requests))})
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        method = channel.unary_unary("/a.B/Echo")
        results: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def again(future: Any) -> None:
            results.put(method(future.result() + b"!", timeout=TIMEOUT))

        method.future(b"x", timeout=TIMEOUT).add_done_callback(again)
        tell("from a callback", results.get(timeout=TIMEOUT))

        def requests() -> Iterator[bytes]:
            for number in range(3):
                yield method(b"%d" % number, timeout=TIMEOUT)

        tell("from requests", channel.stream_unary("/a.B/Join")(requests(), timeout=TIMEOUT))

        def watch(state: Any) -> None:
            if state is grpc.ChannelConnectivity.READY:
                channel.unsubscribe(watch)
                results.put(method(b"ready", timeout=TIMEOUT))

        channel.subscribe(watch)
        tell("from a watcher", results.get(timeout=TIMEOUT))

        def watch_badly(state: Any) -> None:
            results.put(state)
            raise ValueError("no")

        channel.subscribe(watch_badly)
        tell("from one that raises", results.get(timeout=TIMEOUT))
        tell(method(b"still", timeout=TIMEOUT))
        many = [method.future(b"%d" % number, timeout=TIMEOUT) for number in range(100)]
        tell(sum(int(each.result()) for each in many))
    made.stop(None).wait(TIMEOUT)


def use_requests_behind_the_end(tell: Telling) -> None:
    """What becomes of an iterator of requests whose call is over."""
    asked: list[int] = []
    released, closed = threading.Event(), threading.Event()

    def requests() -> Iterator[bytes]:
        try:
            for number in range(100):
                asked.append(number)
                yield b"x"
                if number == 1:
                    released.wait(TIMEOUT)
        finally:
            closed.set()

    def first(requests: Iterator[bytes], context: Any) -> bytes:
        return next(requests)

    made, port = server({"First": stream_unary(first)})
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        tell(channel.stream_unary("/a.B/First")(requests(), timeout=TIMEOUT))
        released.set()
        gc.collect()
        tell("closed", closed.wait(TIMEOUT), "asked for few", len(asked) < 10)
    made.stop(None).wait(TIMEOUT)


def use_servers_and_threads(tell: Telling) -> None:
    made, port = server({"Echo": unary(echo), "Endless": unary_stream(endless)})
    waiting = [Later(made.wait_for_termination) for _ in range(3)]
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        more = grpc.method_handlers_generic_handler("c.D", {"Late": unary(echo)})
        made.add_generic_rpc_handlers((more,))
        tell.raising("handlers that come later", channel.unary_unary("/c.D/Late"), b"x", timeout=TIMEOUT)
        tell.raising("start again", made.start)
        call = channel.unary_stream("/a.B/Endless")(b"")
        next(call)
        events = [made.stop(grace) for grace in (30, 0.2, None)]
        tell([each.wait(TIMEOUT) for each in events])
        tell(taken(call).partition(" then ")[2].partition(" ")[0])
        tell([each.result() for each in waiting], made.wait_for_termination(0))
        tell.raising("start after the end", made.start)
        tell.raising("stop after the end", lambda: made.stop(None).wait(TIMEOUT))


async def aio_server(handlers: dict[str, Any]) -> tuple[Any, int]:
    made = aio.server()
    made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
    port = made.add_insecure_port("127.0.0.1:0")
    await made.start()
    return made, port


async def taken_async(iterator: Any) -> str:
    found: list[Any] = []
    try:
        while True:
            found.append(await anext(iterator))
    except StopAsyncIteration:
        return f"{found} then the end"
    except BaseException as error:
        return f"{found} then {described(error)}"


async def result_of(task: Any) -> Any:
    try:
        return await asyncio.wait_for(asyncio.shield(task), TIMEOUT)
    except BaseException as error:
        return described(error)


async def use_tasks_that_go_on_behind_the_end(tell: Telling) -> None:
    tasks: list[Any] = []
    contexts: list[Any] = []

    async def ends(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        tasks.append(asyncio.ensure_future(taken_async(requests)))
        await asyncio.sleep(0.1)
        contexts.append(context)
        yield b"end"

    async def writes(request: bytes, context: Any) -> None:
        async def write() -> str:
            await asyncio.sleep(0.2)
            try:
                await context.write(b"late")
            except BaseException as error:
                return described(error)
            return "sent"

        tasks.append(asyncio.ensure_future(write()))
        await context.write(b"early")

    async def waits(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        await anext(requests)
        tasks.append(asyncio.ensure_future(taken_async(requests)))
        yield b"begun"
        await asyncio.sleep(30)

    async def reads(request_iterator: AsyncIterator[bytes], context: Any) -> None:
        async def read() -> str:
            try:
                return "EOF" if await context.read() is aio.EOF else "a request"
            except BaseException as error:
                return described(error)

        await context.read()
        tasks.append(asyncio.ensure_future(read()))
        await context.write(b"begun")
        await asyncio.sleep(30)

    handlers = {"Ends": bidi(ends), "Writes": unary_stream(writes), "Waits": bidi(waits), "Reads": bidi(reads)}
    made, port = await aio_server(handlers)
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.stream_stream("/a.B/Ends")(timeout=TIMEOUT)
        await call.write(b"a")
        await tell.awaiting("read", call.read())
        await tell.awaiting("code", call.code())
        told = await result_of(tasks.pop())
        tell("the task has", told.partition(" then ")[0], "and ends", told != "TimeoutError")
        context = contexts.pop()
        tell("done", context.done(), context.cancelled())
        await tell.awaiting("write", context.write(b"x"))
        tell.raising("code", context.set_code, grpc.StatusCode.ABORTED)
        tell(await taken_async(aiter(channel.unary_stream("/a.B/Writes")(b"", timeout=TIMEOUT))))
        tell("a late write", await result_of(tasks.pop()))
        for name in ("Waits", "Reads"):
            call = channel.stream_stream(f"/a.B/{name}")()
            await call.write(b"a")
            tell(await call.read())
            call.cancel()
            tell(name, await result_of(tasks.pop()))
    await made.stop(None)


async def use_a_call_of_two_tasks(tell: Telling) -> None:
    async def count(request: bytes, context: Any) -> AsyncIterator[bytes]:
        for number in range(50):
            yield b"%d" % number

    async def wait(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.sleep(30)

    async def all_of(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request

    async def slow(request: bytes, context: Any) -> bytes:
        await asyncio.sleep(30)
        return b""

    made, port = await aio_server(
        {"Count": unary_stream(count), "Wait": unary_stream(wait), "All": bidi(all_of), "Slow": unary(slow)}
    )
    channel = aio.insecure_channel(f"127.0.0.1:{port}")
    call = channel.unary_stream("/a.B/Wait")(b"")
    tell(await call.read())
    reading = asyncio.ensure_future(call.read())
    await asyncio.sleep(0.1)
    tell("cancel", call.cancel(), await result_of(reading))

    call = channel.unary_stream("/a.B/Wait")(b"")
    tell(await call.read())
    reading = asyncio.ensure_future(call.read())
    await asyncio.sleep(0.1)
    reading.cancel()
    tell("its reader is cancelled", await result_of(reading), call.cancelled(), call.done())
    await tell.awaiting("code", asyncio.wait_for(call.code(), TIMEOUT))

    call = channel.unary_unary("/a.B/Slow")(b"")
    awaiting = [asyncio.ensure_future(result_of(call)) for _ in range(2)]
    await asyncio.sleep(0.1)
    tell("cancel", call.cancel(), [await each for each in awaiting])

    call = channel.unary_unary("/a.B/Slow")(b"")
    codes = [asyncio.ensure_future(call.code()) for _ in range(2)]
    await asyncio.sleep(0.1)
    codes[0].cancel()
    await asyncio.sleep(0.1)
    tell("who asks for the code is cancelled", call.cancelled(), call.done())
    call.cancel()
    tell(await result_of(codes[1]))

    call = channel.stream_stream("/a.B/All")(timeout=TIMEOUT)

    async def write_some() -> None:
        for number in range(20):
            await call.write(b"%d" % number)
        await call.done_writing()

    writing = asyncio.ensure_future(write_some())
    tell(await taken_async(aiter(call)))
    await writing
    await tell.awaiting("write at the end", call.write(b"c"))

    call = channel.unary_stream("/a.B/Wait")(b"")
    tell(await call.read())
    reading = asyncio.ensure_future(taken_async(aiter(call)))
    await asyncio.sleep(0)
    reading = asyncio.ensure_future(result_of(channel.unary_unary("/a.B/Slow")(b"")))
    await asyncio.sleep(0.1)
    await channel.close()
    tell("closed", await result_of(reading))
    await made.stop(None)


async def use_requests_of_asyncio_behind_the_end(tell: Telling) -> None:
    ended: list[str] = []

    async def requests() -> AsyncIterator[bytes]:
        try:
            yield b"a"
            await asyncio.sleep(30)
        except BaseException as error:
            ended.append(type(error).__name__)
            raise
        finally:
            ended.append("finally")

    async def first(requests: AsyncIterator[bytes], context: Any) -> bytes:
        return await anext(requests)

    async def never(requests: AsyncIterator[bytes], context: Any) -> bytes:
        await asyncio.sleep(30)
        return b""

    made, port = await aio_server({"First": stream_unary(first), "Never": stream_unary(never)})
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await tell.awaiting("first", channel.stream_unary("/a.B/First")(requests(), timeout=TIMEOUT))
        await asyncio.sleep(0.3)
        tell(ended)
        call = channel.stream_unary("/a.B/Never")(requests())
        await asyncio.sleep(0.1)
        call.cancel()
        await asyncio.sleep(0.3)
        tell(ended)
        await tell.awaiting("deadline", channel.stream_unary("/a.B/Never")(requests(), timeout=0.2))
        await asyncio.sleep(0.3)
        tell(ended)
    await made.stop(None)


async def use_servers_and_tasks(tell: Telling) -> None:
    async def slow(request: bytes, context: Any) -> bytes:
        begun.set()
        await asyncio.sleep(30)
        return b""

    async def stops(request: bytes, context: Any) -> bytes:
        stopping.append(asyncio.ensure_future(made.stop(1)))
        return request

    async def echo(request: bytes, context: Any) -> bytes:
        return request

    begun = asyncio.Event()
    stopping: list[Any] = []
    made, port = await aio_server({"Slow": unary(slow), "Stops": unary(stops), "Echo": unary(echo)})
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("c.D", {"Late": unary(echo)}),))
        await tell.awaiting("later", channel.unary_unary("/c.D/Late")(b"x", timeout=TIMEOUT))
        waiting = [asyncio.ensure_future(made.wait_for_termination()) for _ in range(2)]
        call = channel.unary_unary("/a.B/Slow")(b"")
        await begun.wait()
        graces = [asyncio.ensure_future(made.stop(grace)) for grace in (30, 0.2)]
        tell(await call.code())
        tell([await result_of(each) for each in graces], [await result_of(each) for each in waiting])
        await tell.awaiting("stop again", made.stop(None))
        await tell.awaiting("wait again", made.wait_for_termination())
    made, port = await aio_server({"Stops": unary(stops)})
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await tell.awaiting("stops", channel.unary_unary("/a.B/Stops")(b"x", timeout=TIMEOUT))
        tell(await result_of(stopping[0]), await made.wait_for_termination(TIMEOUT))


async def use_writers_that_are_blocked(tell: Telling) -> None:
    """More is sent than is taken, when the call ends."""
    large = bytes(1 << 20)
    closed: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def many(request: bytes, context: Any) -> Iterator[bytes]:
        try:
            for _ in range(100):
                yield large
        finally:
            loop.call_soon_threadsafe(closed.put_nowait, f"plain, active: {context.is_active()}")

    async def many_async(request: bytes, context: Any) -> AsyncIterator[bytes]:
        try:
            for _ in range(100):
                yield large
        except BaseException as error:
            closed.put_nowait(type(error).__name__)
            raise

    async def write_many(request: bytes, context: Any) -> None:
        try:
            for _ in range(100):
                await context.write(large)
        except BaseException as error:
            closed.put_nowait(type(error).__name__)
            raise

    async def never_reads(requests: AsyncIterator[bytes], context: Any) -> bytes:
        await asyncio.sleep(30)
        return b""

    blocking, plain_port = server({"Many": unary_stream(many)})
    handlers = {"Many": unary_stream(many_async), "Write": unary_stream(write_many), "Never": stream_unary(never_reads)}
    made, port = await aio_server(handlers)
    with grpc.insecure_channel(f"127.0.0.1:{plain_port}") as channel:
        call = channel.unary_stream("/a.B/Many")(b"")
        tell(len(next(call)))
        call.cancel()
        tell(await result_of(asyncio.ensure_future(closed.get())))
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for name in ("Many", "Write"):
            streaming = channel.unary_stream(f"/a.B/{name}")(b"")
            tell(len(await streaming.read()))
            streaming.cancel()
            ended = await result_of(asyncio.ensure_future(closed.get()))
            # grpcio's write is cancelled, or raises an error of its own, as it happens.
            tell(name, "CancelledError" if ended.endswith("ExecuteBatchError") else ended)

        async def write_all(call: Any) -> None:
            for _ in range(100):
                await call.write(large)

        call = channel.stream_unary("/a.B/Never")()
        writing = asyncio.ensure_future(write_all(call))
        await asyncio.sleep(0.3)
        call.cancel()
        tell("cancelled", await result_of(writing))
        call = channel.stream_unary("/a.B/Never")()
        writing = asyncio.ensure_future(write_all(call))
        await asyncio.sleep(0.3)
        writing.cancel()
        tell("the writer is cancelled", await result_of(writing), call.done(), call.cancelled())
        call.cancel()
        call = channel.stream_unary("/a.B/Never")(timeout=0.5)
        writing = asyncio.ensure_future(write_all(call))
        told = await result_of(writing)
        tell("its deadline passes", told.partition(" ")[0])
    await made.stop(None)
    blocking.stop(None)
