"""Less usual ends of the interface: what calls, servers and contexts say of themselves, and when."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
import threading
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from grpc import aio
from running import Telling, described, server


def unary(behavior: Any) -> dict[str, Any]:
    return {"Call": grpc.unary_unary_rpc_method_handler(behavior)}


def quiet() -> None:
    for name in ("grpc", "grpc._cython.cygrpc", "grpc._server", "grpc._channel", "grpc.aio", "grpc._common"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def echo(request: bytes, context: Any) -> bytes:
    return request


def two(request: bytes, context: Any) -> Iterator[bytes]:
    yield b"1"
    yield b"2"


def lines(value: Any) -> list[str]:
    """How something prints, without what is for people alone."""
    return [line for line in str(value).split("\n") if "debug_error_string" not in line]


def use_how_calls_print(tell: Telling) -> None:
    quiet()

    def refuse(request: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.ABORTED, 'it said "no"\nand that\twas it: é')
        return b""

    handlers = {
        "Refuse": grpc.unary_unary_rpc_method_handler(refuse),
        "Echo": grpc.unary_unary_rpc_method_handler(echo),
        "Two": grpc.unary_stream_rpc_method_handler(two),
    }
    made, port = server(handlers)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            channel.unary_unary("/a.B/Refuse")(b"", timeout=5)
        except grpc.RpcError as error:
            tell(lines(error), lines(repr(error)), error.debug_error_string())
            tell("exception", error.exception() is error, error.done(), error.running(), error.cancelled())
            tell("more", error.cancel(), error.cancelled(), error.args[0].code, error.args[0].details)
            tell.raising("result", error.result)
            tell("traceback", type(error.traceback()).__name__)
            seen: list[Any] = []
            error.add_done_callback(seen.append)
            tell("done callback", seen == [error])
        future = channel.unary_unary("/a.B/Refuse").future(b"", timeout=5)
        tell.raising("result", future.result)
        tell(lines(future), lines(future.exception()))
        future = channel.unary_unary("/a.B/Echo").future(b"", timeout=5)
        future.result()
        tell(lines(future), lines(repr(future)))
        call = channel.unary_stream("/a.B/Two")(b"", timeout=5)
        tell([*call], lines(call))
        call = channel.unary_stream("/a.B/Two")(b"", timeout=5)
        tell(call.cancel(), call.cancel(), lines(call), call.cancelled(), call.done())
        tell.raising("next", next, call)
        tell.raising("result", call.result)
        tell.raising("exception", call.exception)
        tell.raising("traceback", call.traceback)
        response, over = channel.unary_unary("/a.B/Echo").with_call(b"", timeout=5)
        tell(response, lines(over), over.done(), over.running(), over.is_active())
    made.stop(0).wait()


async def use_how_calls_print_on_asyncio(tell: Telling) -> None:
    made = aio.server()

    async def refuse(request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.ABORTED, 'it said "no"\nand that\twas it: é')
        return b""

    async def answers(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"1"
        yield b"2"

    async def same(request: bytes, context: Any) -> bytes:
        return request

    handlers = {
        "Refuse": grpc.unary_unary_rpc_method_handler(refuse),
        "Echo": grpc.unary_unary_rpc_method_handler(same),
        "Two": grpc.unary_stream_rpc_method_handler(answers),
    }
    made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
    port = made.add_insecure_port("127.0.0.1:0")
    await made.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/a.B/Refuse")(b"", timeout=5)
        tell(call.done(), call.cancelled())
        error = await Telling().awaiting("", call)
        tell(lines(error), lines(repr(error)), error.args)
        tell(type(error.initial_metadata()).__name__, type(error.trailing_metadata()).__name__)
        tell(call.cancel(), call.cancelled(), call.done(), 0 < call.time_remaining() < 5)
        again = await Telling().awaiting("", call)
        tell("the same", again is error, type(again).__name__)
        call = channel.unary_unary("/a.B/Echo")(b"x")
        tell(await call, await call, call.time_remaining(), call.cancel())
        call = channel.unary_stream("/a.B/Two")(b"x")
        tell([each async for each in call])
        tell("iterated again", [each async for each in call])
        call = channel.unary_stream("/a.B/Two")(b"x")
        tell(await call.read(), await call.read(), await call.read() is aio.EOF, await call.read() is aio.EOF)
        call = channel.unary_unary("/a.B/Echo")(b"x")
        tell(call.cancel(), call.cancel(), call.cancelled(), call.done())
        tell(await call.code(), await call.details(), await call.initial_metadata(), await call.trailing_metadata())
        await tell.awaiting("await", call)
        call = channel.unary_stream("/a.B/Two")(b"x")
        tell(call.cancel(), await call.code(), await call.details())
        await tell.awaiting("read", call.read())
        await tell.awaiting("connection", call.wait_for_connection())
    await made.stop(None)


def use_codes_of_contexts(tell: Telling) -> None:
    """What a handler gives as code, details and trailers that is none, or not yet, or too late."""
    quiet()
    values: list[tuple[str, Any]] = [
        ("an int", lambda c: c.set_code(5)),
        ("an int that is no code", lambda c: c.set_code(77)),
        ("text", lambda c: c.set_code("NOT_FOUND")),
        ("None", lambda c: c.set_code(None)),
        ("a pair", lambda c: c.set_code((5, "not found"))),
        ("details alone", lambda c: c.set_details("only details")),
        ("details of bytes", lambda c: (c.set_code(grpc.StatusCode.ABORTED), c.set_details(b"bytes"))),
        ("details with other letters", lambda c: (c.set_code(grpc.StatusCode.ABORTED), c.set_details("é\n%"))),
        ("set twice", lambda c: (c.set_code(grpc.StatusCode.ABORTED), c.set_code(grpc.StatusCode.NOT_FOUND))),
        ("back to OK", lambda c: (c.set_code(grpc.StatusCode.ABORTED), c.set_code(grpc.StatusCode.OK))),
        ("abort with an int", lambda c: c.abort(5, "five")),
        ("abort with text", lambda c: c.abort("NOT_FOUND", "text")),
        ("abort with OK", lambda c: c.abort(grpc.StatusCode.OK, "ok")),
        ("abort with None", lambda c: c.abort(None, "none")),
        ("abort with bytes", lambda c: c.abort(grpc.StatusCode.NOT_FOUND, b"bytes")),
        (
            "abort behind trailers",
            lambda c: (c.set_trailing_metadata((("t", "1"),)), c.abort(grpc.StatusCode.NOT_FOUND, "x")),
        ),
        ("trailers twice", lambda c: (c.set_trailing_metadata((("t", "1"),)), c.set_trailing_metadata((("u", "2"),)))),
        ("bad trailers", lambda c: c.set_trailing_metadata((("Upper", "1"),))),
        ("bad headers", lambda c: c.send_initial_metadata((("Upper", "1"),))),
        ("headers None", lambda c: c.send_initial_metadata(None)),
        ("headers of lists", lambda c: c.send_initial_metadata([["a", "b"]])),
    ]  # fmt: skip

    said: dict[int, Any] = {}

    def run(request: bytes, context: Any) -> bytes:
        result = values[request[0]][1](context)
        shown = described(result) if not isinstance(result, tuple) else ""
        said[request[0]] = shown, context.code(), context.details()
        return b"answer"

    made, port = server(unary(run))
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for number, (name, _) in enumerate(values):
            future = channel.unary_unary("/a.B/Call").future(bytes([number]), timeout=2)
            error = future.exception()
            tell(name, described(error) if error else future.result(), future.code(), future.details())
            if not name.startswith("bad"):  # such a call may be over before its handler is
                tell(said.get(number), future.initial_metadata(), future.trailing_metadata())
    made.stop(0).wait()


async def use_codes_of_contexts_on_asyncio(tell: Telling) -> None:
    quiet()
    values: list[tuple[str, Any]] = [
        ("an int", lambda c: c.set_code(5)),
        ("an int that is no code", lambda c: c.set_code(77)),
        ("details alone", lambda c: c.set_details("only details")),
        ("details with other letters", lambda c: (c.set_code(grpc.StatusCode.ABORTED), c.set_details("é\n%"))),
        ("set twice", lambda c: (c.set_code(grpc.StatusCode.ABORTED), c.set_code(grpc.StatusCode.NOT_FOUND))),
        ("back to OK", lambda c: (c.set_code(grpc.StatusCode.ABORTED), c.set_code(grpc.StatusCode.OK))),
        ("abort with an int", lambda c: c.abort(5, "five")),
        ("abort with trailers", lambda c: c.abort(grpc.StatusCode.NOT_FOUND, "x", (("t", "1"),))),
        ("abort without details", lambda c: c.abort(grpc.StatusCode.NOT_FOUND)),
        ("trailers twice", lambda c: (c.set_trailing_metadata((("t", "1"),)), c.set_trailing_metadata((("u", "2"),)))),
        ("bad trailers", lambda c: c.set_trailing_metadata((("Upper", "1"),))),
        ("trailers that are none", lambda c: c.set_trailing_metadata(5)),
        ("trailers of a dict", lambda c: c.set_trailing_metadata({"a": "b"})),
        ("trailers of lists", lambda c: c.set_trailing_metadata([["a", "b"]])),
        ("trailers of asyncio", lambda c: c.set_trailing_metadata(aio.Metadata(("a", "b")))),
        ("bad headers", lambda c: c.send_initial_metadata((("Upper", "1"),))),
        ("headers", lambda c: c.send_initial_metadata(aio.Metadata(("a", "b")))),
        ("headers of lists", lambda c: c.send_initial_metadata([["a", "b"]])),
    ]  # fmt: skip

    said: dict[int, Any] = {}

    async def run(request: bytes, context: Any) -> bytes:
        result = values[request[0]][1](context)
        if asyncio.iscoroutine(result):
            result = await result
        shown = described(result) if not isinstance(result, tuple) else ""
        said[request[0]] = shown, context.code(), context.details()
        return b"answer"

    made = aio.server()
    made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", unary(run)),))
    port = made.add_insecure_port("127.0.0.1:0")
    await made.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for number, (name, _) in enumerate(values):
            call = channel.unary_unary("/a.B/Call")(bytes([number]), timeout=2)
            result = await Telling().awaiting("", call)
            tell(name, described(result), await call.code(), await call.details())
            if not name.startswith("bad"):
                tell(said.get(number), await call.initial_metadata(), await call.trailing_metadata())
    await made.stop(None)


def use_servers_and_their_ports(tell: Telling) -> None:
    quiet()
    pool = futures.ThreadPoolExecutor(4)
    made = grpc.server(pool)
    made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", unary(echo)),))
    folder = tempfile.mkdtemp()
    path = Path(folder, "socket")
    ports = {}
    for address in (
        "localhost:0",
        "127.0.0.1:0",
        "[::1]:0",
        f"unix:{path}",
        f"unix://{path}2",
        "unix-abstract:odd-of-puregrpc",
    ):
        found = tell_raising_port(tell, address.replace(folder, ""), made.add_insecure_port, address)
        ports[address] = found
    tell("exists", path.exists(), Path(f"{path}2").exists())
    made.start()
    for address, port in ports.items():
        target = f"{address.rpartition(':')[0]}:{port}" if address.endswith(":0") else address
        with grpc.insecure_channel(target) as channel:
            tell.raising(address.replace(folder, ""), channel.unary_unary("/a.B/Call"), b"x", timeout=5)
    event = made.stop(None)
    tell(type(event).__name__, event.wait(5), made.wait_for_termination(0.01))
    tell("exists", path.exists())


def tell_raising_port(tell: Telling, what: str, function: Any, address: str) -> Any:
    """Tell whether a port was taken, or what was raised."""
    try:
        port = function(address)
    except BaseException as error:
        tell(what, "raises", described(error))
        return None
    tell(what, "gives a port", port > 1 or port)
    return port


def use_large_metadata(tell: Telling) -> None:
    quiet()

    def answer(request: bytes, context: Any) -> bytes:
        size = int(request)
        if size > 0:
            context.send_initial_metadata((("big", "x" * size),))
        elif size < 0:
            context.set_trailing_metadata((("big", "x" * -size),))
        return b"%d" % sum(len(value) for key, value in context.invocation_metadata() if key == "big")

    made, port = server(unary(answer))
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/a.B/Call")
        for size in (1000, 7000):
            for name, request, metadata in (
                ("sent", "0", (("big", "x" * size),)), ("headers", str(size), ()), ("trailers", str(-size), ()),
            ):  # fmt: skip
                result = Telling().raising("", call, request.encode(), metadata=metadata, timeout=5)
                tell(name, size, result.code() if isinstance(result, grpc.RpcError) else result)
    made.stop(0).wait()
    made, port = server(unary(answer), options=[("grpc.max_metadata_size", 1 << 20)])
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.max_metadata_size", 1 << 20)]) as channel:
        call = channel.unary_unary("/a.B/Call")
        for name, request, metadata in (
            ("sent", "0", (("big", "x" * 200000),)), ("headers", "200000", ()), ("trailers", "-200000", ()),
        ):  # fmt: skip
            result = Telling().raising("", call, request.encode(), metadata=metadata, timeout=5)
            tell(name, result.code() if isinstance(result, grpc.RpcError) else result)
    made.stop(0).wait()


def use_streams_that_are_asked(tell: Telling) -> None:
    """What a stream says of itself before, within and behind its iteration."""
    quiet()
    gate = threading.Event()

    def slow(request: bytes, context: Any) -> Iterator[bytes]:
        context.send_initial_metadata((("i", "1"),))
        yield b"1"
        gate.wait(5)
        yield b"2"
        context.set_trailing_metadata((("t", "1"),))

    def fails(request: bytes, context: Any) -> Iterator[bytes]:
        yield b"1"
        context.abort(grpc.StatusCode.DATA_LOSS, "lost")

    handlers = {
        "Slow": grpc.unary_stream_rpc_method_handler(slow),
        "Fails": grpc.unary_stream_rpc_method_handler(fails),
    }
    made, port = server(handlers)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_stream("/a.B/Slow")(b"", timeout=5)
        tell(call.initial_metadata(), call.is_active(), call.running(), call.done(), call.cancelled())
        tell.raising("result", call.result, 0.05)
        tell.raising("exception", call.exception, 0.05)
        tell.raising("traceback", call.traceback, 0.05)
        seen: list[Any] = []
        tell("callback", call.add_callback(lambda: seen.append("callback")))
        call.add_done_callback(lambda found: seen.append(found is call))
        tell(next(call), seen)
        gate.set()
        tell(next(call), call.trailing_metadata(), call.code(), call.details())
        tell.raising("next", next, call)
        tell.raising("next again", next, call)
        for _ in range(200):
            if len(seen) == 2:
                break
            time.sleep(0.01)
        tell(sorted(map(str, seen)), call.add_callback(print), call.is_active(), call.running(), call.done())
        tell.raising("result", call.result)
        tell.raising("exception", call.exception)
        tell.raising("traceback", call.traceback)
        call = channel.unary_stream("/a.B/Fails")(b"", timeout=5)
        tell(next(call))
        error = Telling().raising("", next, call)
        tell("what is raised is the call", error is call, described(error))
        tell.raising("next again", next, call)
        tell.raising("result", call.result)
        tell.raising("exception", call.exception)
        call = channel.unary_stream("/a.B/Fails")(b"", timeout=5)
        tell.raising("list", list, call)
        tell.raising("list again", list, call)
    made.stop(0).wait()


def use_interceptors_of_all_shapes(tell: Telling) -> None:
    """Interceptors that look at what they get, change it, and wrap what comes back."""
    quiet()

    class Both(
        grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor,
        grpc.StreamUnaryClientInterceptor, grpc.StreamStreamClientInterceptor,
    ):  # fmt: skip
        def _look(self, continuation: Any, details: Any, request: Any) -> Any:
            shown = details.method, details.timeout, details.metadata, details.credentials
            tell(type(details).__name__, *shown, details.wait_for_ready, details.compression)
            found = continuation(details, request)
            tell(
                type(found).__name__,
                isinstance(found, grpc.Call),
                isinstance(found, grpc.Future),
                hasattr(found, "__next__"),
            )
            return found

        intercept_unary_unary = intercept_unary_stream = intercept_stream_unary = intercept_stream_stream = _look

    class Changes(Both):  # type: ignore[misc]
        def _change(self, continuation: Any, details: Any, request: Any) -> Any:
            class Details(grpc.ClientCallDetails):  # type: ignore[misc]
                method = details.method
                timeout = 3
                metadata = [("changed", "yes")]  # noqa: RUF012

            return continuation(Details(), request)

        intercept_unary_unary = intercept_unary_stream = intercept_stream_unary = intercept_stream_stream = _change

    class Raises(Both):  # type: ignore[misc]
        def _raise(self, continuation: Any, details: Any, request: Any) -> Any:
            raise ValueError("from an interceptor")

        intercept_unary_unary = intercept_unary_stream = intercept_stream_unary = intercept_stream_stream = _raise

    def see(request: Any, context: Any) -> bytes:
        pairs = [(key, value) for key, value in context.invocation_metadata() if key != "user-agent"]
        return repr(pairs).encode()

    def see_many(request: Any, context: Any) -> Iterator[bytes]:
        yield see(request, context)

    handlers = {
        "UU": grpc.unary_unary_rpc_method_handler(see), "US": grpc.unary_stream_rpc_method_handler(see_many),
        "SU": grpc.stream_unary_rpc_method_handler(see), "SS": grpc.stream_stream_rpc_method_handler(see_many),
    }  # fmt: skip
    made, port = server(handlers)
    for name, interceptors in (
        ("looks", [Both()]),
        ("changes", [Both(), Changes(), Both()]),
        ("raises", [Both(), Raises()]),
    ):
        with grpc.insecure_channel(f"127.0.0.1:{port}") as plain:
            channel = grpc.intercept_channel(plain, *interceptors)
            tell(name, type(channel).__name__)
            tell.raising("uu", channel.unary_unary("/a.B/UU"), b"", metadata=(("a", "b"),))
            tell.raising("with_call", lambda c=channel: c.unary_unary("/a.B/UU").with_call(b"", 4)[0])
            future = channel.unary_unary("/a.B/UU").future(b"")
            tell(type(future).__name__, future.code(), future.details(), type(future.traceback()).__name__)
            tell.raising("future", future.result, 5)
            tell.raising("exception", future.exception)
            tell(
                future.done(),
                future.running(),
                future.cancelled(),
                future.cancel(),
                future.is_active(),
                future.initial_metadata(),
            )
            tell.raising("us", lambda c=channel: list(c.unary_stream("/a.B/US")(b"", wait_for_ready=True)))
            tell.raising("su", channel.stream_unary("/a.B/SU"), iter([b""]))
            tell.raising("su future", lambda c=channel: c.stream_unary("/a.B/SU").future(iter([b""])).result(5))
            tell.raising(
                "ss", lambda c=channel: list(c.stream_stream("/a.B/SS")(iter([b""]), compression=grpc.Compression.Gzip))
            )
    made.stop(0).wait()


def use_experimental_warnings(tell: Telling) -> None:
    from grpc import experimental

    @experimental.experimental_api
    def tried() -> int:
        return 1

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        tell(tried(), tried())
    tell([(each.category.__name__, str(each.message)) for each in seen])


def use_private_names(tell: Telling) -> None:
    """Names of grpcio's inside that programs are known to ask for."""
    from grpc import _channel, _common, _interceptor, _server

    tell([kind.__name__ for kind in _channel._MultiThreadedRendezvous.__mro__ if "Rendezvous" in kind.__name__])
    tell(issubclass(_channel._InactiveRpcError, grpc.RpcError), issubclass(_channel._Rendezvous, grpc.RpcError))
    made, port = server(
        {"Call": grpc.unary_unary_rpc_method_handler(echo), "Two": grpc.unary_stream_rpc_method_handler(two)}
    )
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for shape in ("unary_unary", "unary_stream", "stream_unary", "stream_stream"):
            found = getattr(channel, shape)("/a.B/Call", str.encode, bytes.decode)
            tell(shape, type(found).__name__, found._method, found._request_serializer, found._response_deserializer)
        call = channel.unary_stream("/a.B/Two")(b"", timeout=5)
        tell(isinstance(call, _channel._Rendezvous), type(call).__name__, [*call], call._state.code)
    options = [(grpc.experimental.ChannelOptions.SingleThreadedUnaryStream, 1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        call = channel.unary_stream("/a.B/Two")(b"", timeout=5)
        tell(isinstance(call, _channel._Rendezvous), type(call).__name__, [*call], call.code())
        tell(isinstance(call, grpc.Future), isinstance(call, grpc.Call))
    made.stop(0).wait()
    tell(sorted(_common.STATUS_CODE_TO_CYGRPC_STATUS_CODE.values()))
    tell(sorted(each.name for each in _common.CYGRPC_STATUS_CODE_TO_STATUS_CODE.values()))
    tell(_server._Context.__name__, _server._RequestIterator.__name__, _server._HandlerCallDetails.__name__)
    tell(_server._HandlerCallDetails("m", ()), _interceptor._ClientCallDetails("m", 1, (), None, None, None))
    tell(_interceptor._UnaryOutcome(b"x", _interceptor._FailureOutcome(ValueError(), None)).result())


def use_channels_that_are_closed_within(tell: Telling) -> None:
    quiet()
    gate = threading.Event()

    def wait(request: bytes, context: Any) -> bytes:
        gate.wait(5)
        return b""

    def waits(request: bytes, context: Any) -> Iterator[bytes]:
        yield b"1"
        gate.wait(5)
        yield b"2"

    handlers = {"Wait": grpc.unary_unary_rpc_method_handler(wait), "Waits": grpc.unary_stream_rpc_method_handler(waits)}
    made, port = server(handlers)
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    future = channel.unary_unary("/a.B/Wait").future(b"", timeout=10)
    stream = channel.unary_stream("/a.B/Waits")(b"", timeout=10)
    many = channel.stream_stream("/a.B/Waits")(iter([b""]), timeout=10)
    tell(next(stream))
    states: list[Any] = []
    channel.subscribe(states.append)
    channel.close()
    channel.close()
    for name, call in (("future", future), ("stream", stream), ("many", many)):
        tell(name, call.code(), call.cancelled(), call.done(), call.initial_metadata())
        tell(call.details())
        tell.raising("result", call.result)
    tell.raising("next", next, stream)
    tell.raising("call", channel.unary_unary("/a.B/Wait"), b"")
    tell.raising("subscribe", channel.subscribe, print)
    tell.raising("stream", channel.unary_stream("/a.B/Waits"), b"")
    tell.raising("enter", lambda: channel.__enter__() is channel)
    gate.set()
    made.stop(0).wait()


async def use_interceptors_that_wrap_on_asyncio(tell: Telling) -> None:
    """Interceptors that await, wrap, retry and answer, of all shapes; and what the call says of itself meanwhile."""
    quiet()
    tries: list[int] = []

    async def flaky(request: bytes, context: Any) -> bytes:
        tries.append(1)
        if len(tries) % 3:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"try {len(tries)}")
        return request

    async def answers(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"1"
        yield b"2"

    async def joins(requests: Any, context: Any) -> bytes:
        return b"".join([each async for each in requests])

    async def echoes(requests: Any, context: Any) -> AsyncIterator[bytes]:
        async for each in requests:
            yield each

    class Retries(aio.UnaryUnaryClientInterceptor):  # type: ignore[misc]
        async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
            tell(type(details).__name__, details.method, details.timeout, type(details.metadata).__name__)
            while True:
                call = await continuation(details, request)
                code = await call.code()
                tell("in", type(call).__name__, code)
                if code is grpc.StatusCode.OK:
                    return call

    class Awaits(aio.UnaryUnaryClientInterceptor):  # type: ignore[misc]
        async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
            response = await (await continuation(details, request))
            return response + b"!"

    class Wraps(aio.UnaryStreamClientInterceptor):  # type: ignore[misc]
        async def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
            call = await continuation(details, request)
            tell(type(call).__name__)

            async def wrapped() -> AsyncIterator[bytes]:
                async for each in call:
                    yield each * 2

            return wrapped()

    class Requests(aio.StreamUnaryClientInterceptor):  # type: ignore[misc]
        async def intercept_stream_unary(self, continuation: Any, details: Any, request_iterator: Any) -> Any:
            async def doubled() -> AsyncIterator[bytes]:
                async for each in request_iterator:
                    yield each * 2

            return await continuation(details, doubled())

    class Bidi(aio.StreamStreamClientInterceptor):  # type: ignore[misc]
        async def intercept_stream_stream(self, continuation: Any, details: Any, request_iterator: Any) -> Any:
            call = await continuation(details, request_iterator)

            async def wrapped() -> AsyncIterator[bytes]:
                async for each in call:
                    yield each + b"."

            return wrapped()

    made = aio.server()
    handlers = {
        "Flaky": grpc.unary_unary_rpc_method_handler(flaky), "Answers": grpc.unary_stream_rpc_method_handler(answers),
        "Joins": grpc.stream_unary_rpc_method_handler(joins), "Echoes": grpc.stream_stream_rpc_method_handler(echoes),
    }  # fmt: skip
    made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
    port = made.add_insecure_port("127.0.0.1:0")
    await made.start()
    interceptors = [Awaits(), Retries(), Wraps(), Requests(), Bidi()]
    async with aio.insecure_channel(f"127.0.0.1:{port}", interceptors=interceptors) as channel:
        call = channel.unary_unary("/a.B/Flaky")(b"x", timeout=5, metadata=(("a", "b"),))
        tell(type(call).__name__, call.done(), call.cancelled())
        tell.raising("remaining", call.time_remaining)
        tell(await call, await call.code(), await call.details(), await call.initial_metadata())
        tell(await call.trailing_metadata(), call.done(), call.cancelled(), call.cancel())
        stream = channel.unary_stream("/a.B/Answers")(b"x", timeout=5)
        tell(type(stream).__name__, [each async for each in stream], await stream.code(), stream.done())
        stream = channel.unary_stream("/a.B/Answers")(b"x", timeout=5)
        tell(await stream.read(), await stream.read(), await stream.read() is aio.EOF)
        for given in ([b"a", b"b"], iter([b"a", b"b"]), _given(b"a", b"b")):
            joined = channel.stream_unary("/a.B/Joins")(given, timeout=5)
            await tell.awaiting("joined", joined)
        written = channel.stream_unary("/a.B/Joins")(timeout=5)
        await written.write(b"a")
        await written.write(b"b")
        await written.done_writing()
        await tell.awaiting("written", written)
        await tell.awaiting("write", written.write(b"c"))
        bidi = channel.stream_stream("/a.B/Echoes")(_given(b"a", b"b"), timeout=5)
        tell([each async for each in bidi], await bidi.code())
        bidi = channel.stream_stream("/a.B/Echoes")(timeout=5)
        await bidi.write(b"a")
        tell(await bidi.read())
        await bidi.done_writing()
        tell(await bidi.read() is aio.EOF, await bidi.code())
        bidi = channel.stream_stream("/a.B/Echoes")([b"a"], timeout=5)
        await tell.awaiting("write to one with an iterable", bidi.write(b"b"))
        await tell.awaiting("done_writing", bidi.done_writing())
        tell([each async for each in bidi])
    await made.stop(None)


async def _given(*values: bytes) -> AsyncIterator[bytes]:
    for each in values:
        yield each


async def use_plain_handlers_on_asyncio(tell: Telling) -> None:
    """Plain functions on a server of asyncio: on which threads they run, with interceptors and without."""
    quiet()

    class Passes(aio.ServerInterceptor):  # type: ignore[misc]
        async def intercept_service(self, continuation: Any, details: Any) -> Any:
            return await continuation(details)

    def where(request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("t", "1"),))
        return threading.current_thread().name.partition("_")[0].encode()

    def where_many(request: bytes, context: Any) -> Iterator[bytes]:
        for _ in range(2):
            yield threading.current_thread().name.partition("_")[0].encode()

    def joins(requests: Any, context: Any) -> bytes:
        return b"".join(requests) + threading.current_thread().name.partition("_")[0].encode()

    def reads(request: bytes, context: Any) -> bytes:
        for name in ("time_remaining", "peer_identities"):
            tell.raising(name, lambda n=name: type(getattr(context, n)()).__name__)
        tell([key for key, _ in context.invocation_metadata() if key != "user-agent"])
        context.abort(grpc.StatusCode.NOT_FOUND, "gone")
        return b""

    handlers = {
        "Where": grpc.unary_unary_rpc_method_handler(where), "Many": grpc.unary_stream_rpc_method_handler(where_many),
        "Joins": grpc.stream_unary_rpc_method_handler(joins), "Reads": grpc.unary_unary_rpc_method_handler(reads),
    }  # fmt: skip
    for interceptors in ((), (Passes(),)):
        made = aio.server(futures.ThreadPoolExecutor(2, thread_name_prefix="mine"), interceptors=interceptors)
        made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
        port = made.add_insecure_port("127.0.0.1:0")
        await made.start()
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/a.B/Where")(b"", timeout=5)
            await tell.awaiting("where", call)
            tell(await call.trailing_metadata())
            tell([each async for each in channel.unary_stream("/a.B/Many")(b"", timeout=5)])
            await tell.awaiting("joins", channel.stream_unary("/a.B/Joins")([b"a", b"b"], timeout=5))
            await tell.awaiting("reads", channel.unary_unary("/a.B/Reads")(b"", timeout=5, metadata=(("a", "b"),)))
        await made.stop(None)


async def use_channels_that_are_closed_within_on_asyncio(tell: Telling) -> None:
    quiet()

    async def wait(request: bytes, context: Any) -> bytes:
        await asyncio.sleep(0.3)
        return b"done"

    async def waits(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"1"
        await asyncio.sleep(5)

    handlers = {"Wait": grpc.unary_unary_rpc_method_handler(wait), "Waits": grpc.unary_stream_rpc_method_handler(waits)}
    made = aio.server()
    made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
    port = made.add_insecure_port("127.0.0.1:0")
    await made.start()
    for grace in (None, 0.05, 2):
        channel = aio.insecure_channel(f"127.0.0.1:{port}")
        call = channel.unary_unary("/a.B/Wait")(b"", timeout=10)
        task = asyncio.ensure_future(call.code())
        stream = channel.unary_stream("/a.B/Waits")(b"", timeout=10)
        tell(await stream.read())
        if grace == 2:
            stream.cancel()
        await channel.close(grace)
        await channel.close()
        tell(grace, await task, await call.details(), call.cancelled(), await stream.code(), await stream.details())
        await tell.awaiting("await", call)
        await tell.awaiting("read", stream.read())
        tell.raising("call", channel.unary_unary("/a.B/Wait"), b"")
        tell(channel.get_state())
        with contextlib.suppress(Exception):
            async with channel as entered:
                tell(entered is channel)
    await made.stop(None)
