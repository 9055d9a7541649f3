"""Clients that block."""

from __future__ import annotations

import contextvars
import gc
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
from running import Telling, described, server

METADATA = (("a", "1"), ("b-bin", b"\x00\xff"), ("a", "2"))


def echo(request: bytes, context: Any) -> bytes:
    return request


def rich(request: bytes, context: Any) -> bytes:
    context.send_initial_metadata((("first", "1"), ("first-bin", b"\x01")))
    context.set_trailing_metadata((("last", "2"), ("last-bin", b"\x02")))
    context.set_code(grpc.StatusCode.OK)
    context.set_details("all is well")
    return request


def refuse(request: bytes, context: Any) -> bytes:
    context.set_trailing_metadata((("why", "none"), ("grpc-status-details-bin", b"\x08\x05")))
    context.abort(grpc.StatusCode.NOT_FOUND, 'no "such" thing\n\\ é')
    return b""


def slow(request: bytes, context: Any) -> bytes:
    context.send_initial_metadata((("early", "yes"),))
    ended = threading.Event()
    context.add_callback(ended.set)
    ended.wait(10)
    return request


def many(request: bytes, context: Any) -> Iterator[bytes]:
    for i in range(3):
        yield request + bytes([48 + i])


def many_and_fail(request: bytes, context: Any) -> Iterator[bytes]:
    yield b"one"
    yield b"two"
    context.set_trailing_metadata((("t", "v"),))
    context.abort(grpc.StatusCode.DATA_LOSS, "lost")


def endless(request: bytes, context: Any) -> Iterator[bytes]:
    while context.is_active():
        yield b"x"
        time.sleep(0.01)


GATE = threading.Event()
"""A call of Gate ends once this is set."""


def gate(request: bytes, context: Any) -> bytes:
    GATE.wait(10)
    return request


def join(requests: Iterator[bytes], context: Any) -> bytes:
    return b"".join(requests)


def first_only(requests: Iterator[bytes], context: Any) -> bytes:
    return next(requests)


def echo_all(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
    yield from requests


HANDLERS = {
    "Echo": grpc.unary_unary_rpc_method_handler(echo),
    "Rich": grpc.unary_unary_rpc_method_handler(rich),
    "Refuse": grpc.unary_unary_rpc_method_handler(refuse),
    "Slow": grpc.unary_unary_rpc_method_handler(slow),
    "Gate": grpc.unary_unary_rpc_method_handler(gate),
    "Many": grpc.unary_stream_rpc_method_handler(many),
    "Fail": grpc.unary_stream_rpc_method_handler(many_and_fail),
    "Endless": grpc.unary_stream_rpc_method_handler(endless),
    "Join": grpc.stream_unary_rpc_method_handler(join),
    "FirstOnly": grpc.stream_unary_rpc_method_handler(first_only),
    "EchoAll": grpc.stream_stream_rpc_method_handler(echo_all),
}


def tell_call(tell: Telling, call: Any) -> None:
    """All that a call has, once it is over."""
    tell(type(call).__name__, "code", call.code(), "details", call.details())
    tell("initial", call.initial_metadata(), type(call.initial_metadata()).__name__)
    trailing = call.trailing_metadata()
    tell("trailing", trailing, type(trailing).__name__, [type(each).__name__ for each in trailing])
    if isinstance(call, grpc.Future):
        if not isinstance(call, grpc._channel._InactiveRpcError):  # which has neither in grpcio
            tell("active", call.is_active(), "has a deadline", call.time_remaining() is not None)
        tell("done", call.done(), "running", call.running(), "cancelled", call.cancelled(), "cancel", call.cancel())


def use_with_call(tell: Telling) -> None:
    made, port = server(HANDLERS)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        response, call = channel.unary_unary("/a.B/Rich").with_call(b"x", metadata=METADATA, timeout=5)
        tell(response)
        tell_call(tell, call)
        tell.raising("result", call.result)
        tell.raising("exception", call.exception)
        tell.raising("traceback", call.traceback)
        called: list[Any] = []
        call.add_done_callback(called.append)
        tell("called", called == [call])
        tell(str(call).split("\n"))
        response, call = channel.stream_unary("/a.B/Join").with_call(iter([b"a", b"b"]), timeout=5)
        tell(response)
        tell_call(tell, call)
    made.stop(0).wait()


def use_errors(tell: Telling) -> None:
    made, port = server(HANDLERS)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            channel.unary_unary("/a.B/Refuse")(b"x", timeout=5)
        except grpc.RpcError as error:
            tell_call(tell, error)
            tell.raising("result", error.result)
            tell("exception is it", error.exception() is error)
            tell("traceback", type(error.traceback()).__name__)
            tell(str(error).split("\n")[:3], repr(error).split("\n")[:3])
            tell(isinstance(error.debug_error_string(), str))
            tell(isinstance(error, grpc.Call), isinstance(error, grpc.Future), isinstance(error, grpc.RpcContext))
        tell.raising("an unknown method", channel.unary_unary("/a.B/None"), b"", timeout=5)
        tell.raising("an unknown service", channel.unary_unary("/x.Y/None"), b"", timeout=5)
        tell.raising("a stream of an unknown method", lambda: list(channel.unary_stream("/a.B/None")(b"", timeout=5)))
        tell.raising("a stream to unary", lambda: list(channel.unary_stream("/a.B/Echo")(b"z", timeout=5)))
    made.stop(0).wait()


def use_futures(tell: Telling) -> None:
    made, port = server(HANDLERS)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        future = channel.unary_unary("/a.B/Rich").future(b"x", timeout=5)
        tell.raising("result", future.result, 5)
        tell_call(tell, future)
        tell.raising("exception", future.exception)
        tell.raising("traceback", future.traceback)
        tell(str(future).split("\n"))
        future = channel.unary_unary("/a.B/Refuse").future(b"x", timeout=5)
        tell.raising("exception", future.exception, 5)
        tell.raising("result", future.result, 5)
        tell("traceback", type(future.traceback(5)).__name__, "same", future.exception() is future)
        tell_call(tell, future)
        slow_one = channel.unary_unary("/a.B/Slow").future(b"x", timeout=30)
        tell.raising("result too early", slow_one.result, 0.1)
        tell.raising("exception too early", slow_one.exception, 0.1)
        tell.raising("traceback too early", slow_one.traceback, 0.1)
        tell("done", slow_one.done(), "running", slow_one.running(), "active", slow_one.is_active())
        tell("early", slow_one.initial_metadata())
        tell("left", 25 < slow_one.time_remaining() <= 30)
        called: list[Any] = []
        slow_one.add_done_callback(lambda found: called.append(found is slow_one))
        tell("cancel", slow_one.cancel(), "again", slow_one.cancel())
        tell("cancelled", slow_one.cancelled(), "done", slow_one.done(), "running", slow_one.running())
        for name in ("result", "exception", "traceback"):
            tell.raising(name, getattr(slow_one, name))
        tell_call(tell, slow_one)
        deadline = time.time() + 5
        while not called and time.time() < deadline:
            time.sleep(0.01)
        tell("called", called)
        late = channel.unary_unary("/a.B/Slow").future(b"x", timeout=0.2)
        tell.raising("late", late.result)
        tell_call(tell, late)
        tell.raising("next of a future", next, late)
        joined = channel.stream_unary("/a.B/Join").future(iter([b"a", b"b"]), timeout=5)
        tell.raising("joined", joined.result)
        tell_call(tell, joined)
    made.stop(0).wait()


def use_streams(tell: Telling) -> None:
    made, port = server(HANDLERS)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_stream("/a.B/Many")(b"x", timeout=5)
        tell(type(call).__name__, iter(call) is call, hasattr(call, "next"))
        tell([*call])
        tell.raising("once more", next, call)
        tell_call(tell, call)
        tell.raising("result", call.result)
        tell.raising("exception", call.exception)
        call = channel.unary_stream("/a.B/Fail")(b"x", timeout=5)
        got: list[bytes] = []
        try:
            got.extend(call)
        except grpc.RpcError as error:
            tell(got, "is the call", error is call)
        tell_call(tell, call)
        tell.raising("once more", next, call)
        tell.raising("result", call.result)
        tell("exception is it", call.exception() is call)
        call = channel.unary_stream("/a.B/Endless")(b"x", timeout=30)
        tell(next(call), call.done(), call.running(), call.is_active(), call.initial_metadata())
        tell("cancel", call.cancel(), "again", call.cancel())
        tell.raising("then", lambda: [*call][:0])
        tell.raising("result", call.result)
        tell.raising("exception", call.exception)
        tell_call(tell, call)
        call = channel.unary_stream("/a.B/Endless")(b"x", timeout=0.3)
        tell.raising("until the deadline", lambda: [*call])
        tell_call(tell, call)
        call = channel.stream_stream("/a.B/EchoAll")(iter([b"a", b"b"]), timeout=5)
        tell([*call])
        tell_call(tell, call)
        call = channel.stream_stream("/a.B/EchoAll")(5, timeout=5)
        tell.raising("5 as requests", lambda: [*call])
        tell.raising("None as requests", lambda: [*channel.stream_stream("/a.B/EchoAll")(None, timeout=5)])
        tell.raising("requests of None", lambda: [*channel.stream_stream("/a.B/EchoAll")(iter([None]), timeout=5)])
        tell.raising("first only", channel.stream_unary("/a.B/FirstOnly"), (b"%d" % i for i in range(5)), timeout=5)
        tell.raising("no requests", channel.stream_unary("/a.B/Join"), iter([]), timeout=5)
        tell.raising("none for the first", channel.stream_unary("/a.B/FirstOnly"), iter([]), timeout=5)
    made.stop(0).wait()


def use_requests_that_raise(tell: Telling) -> None:
    made, port = server(HANDLERS)

    def breaking() -> Iterator[bytes]:
        yield b"a"
        raise ValueError("no more")

    logging.getLogger("grpc").setLevel(logging.CRITICAL)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.stream_stream("/a.B/EchoAll")(breaking(), timeout=5)
        tell.raising("stream", lambda: [*call])
        tell_call(tell, call)
        tell.raising("unary", channel.stream_unary("/a.B/Join"), breaking(), timeout=5)
        serializing = channel.stream_unary("/a.B/Join", request_serializer=lambda _: 1 / 0)
        tell.raising("a serializer that raises", serializing, iter([b"a"]), timeout=5)
        reading = channel.unary_stream("/a.B/Many", response_deserializer=lambda _: 1 / 0)
        call = reading(b"x", timeout=5)
        tell.raising("a deserializer that raises", lambda: [*call])
        tell_call(tell, call)
        none = channel.unary_stream("/a.B/Many", response_deserializer=lambda _: None)
        tell.raising("a deserializer that gives None", lambda: [*none(b"x", timeout=5)])
    made.stop(0).wait()


def use_callbacks(tell: Telling) -> None:
    made, port = server(HANDLERS)
    logging.getLogger("grpc").setLevel(logging.CRITICAL)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        order: list[str] = []
        over = threading.Event()
        GATE.clear()
        future = channel.unary_unary("/a.B/Gate").future(b"x", timeout=15)
        future.add_done_callback(lambda found: order.append(f"1 {found.result()}"))
        future.add_done_callback(lambda found: [][1])
        future.add_done_callback(lambda found: order.append("3"))
        future.add_callback(lambda: order.append("4"))
        future.add_done_callback(lambda found: over.set())
        GATE.set()
        tell("over", over.wait(5))
        tell(order)
        tell.raising("add_callback at the end", future.add_callback, lambda: None)
        future.add_done_callback(lambda found: order.append("late"))
        tell(order)
        threads: list[str] = []
        told = threading.Event()
        stream = channel.unary_stream("/a.B/Many")(b"x", timeout=5)
        stream.add_done_callback(lambda found: (threads.append(described(found.code())), told.set()))
        tell([*stream], told.wait(5), threads)
    made.stop(0).wait()


def use_a_closed_channel(tell: Telling) -> None:
    made, port = server(HANDLERS)
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    call = channel.unary_unary("/a.B/Echo")
    tell(call(b"x", timeout=5))
    future = channel.unary_unary("/a.B/Slow").future(b"x", timeout=30)
    stream = channel.unary_stream("/a.B/Endless")(b"x", timeout=30)
    next(stream)
    channel.close()
    tell.raising("a call", call, b"x", timeout=5)
    tell.raising("with_call", call.with_call, b"x", timeout=5)
    tell.raising("a future", call.future, b"x", timeout=5)
    tell.raising("a stream", channel.unary_stream("/a.B/Many"), b"x", timeout=5)
    tell.raising("a multi-callable", channel.unary_unary, "/a.B/Echo")
    tell.raising("the future", lambda: future.exception(5))
    tell.raising("the stream", lambda: [*stream][:0])
    tell.raising("closed again", channel.close)
    tell.raising("entered", channel.__enter__)
    tell.raising("subscribe", channel.subscribe, lambda state: None)
    tell.raising("unsubscribe", channel.unsubscribe, print)
    made.stop(0).wait()


def use_no_server(tell: Telling) -> None:
    with grpc.insecure_channel("127.0.0.1:1") as channel:
        call = channel.unary_unary("/a.B/Echo")
        try:
            call(b"", timeout=5)
        except grpc.RpcError as error:
            tell(type(error).__name__, error.code(), error.details().startswith("failed to connect to all addresses"))
            tell(error.initial_metadata(), error.trailing_metadata())
        tell.raising("wait_for_ready", call, b"", timeout=0.3, wait_for_ready=True)
        tell.raising("ready", grpc.channel_ready_future(channel).result, 0.3)
    with grpc.insecure_channel("nowhere.invalid:1") as channel:
        try:
            channel.unary_unary("/a.B/Echo")(b"", timeout=10)
        except grpc.RpcError as error:
            tell(type(error).__name__, error.code())


def use_connectivity(tell: Telling) -> None:
    made, port = server(HANDLERS)
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    states: list[str] = []
    ready = threading.Event()

    def changed(state: Any) -> None:
        states.append(state.name)
        if state is grpc.ChannelConnectivity.READY:
            ready.set()

    channel.subscribe(changed)
    time.sleep(0.2)
    tell(states)
    channel.subscribe(changed, try_to_connect=True)
    tell("ready", ready.wait(5))
    tell(states[-1])
    channel.unsubscribe(changed)
    future = grpc.channel_ready_future(channel)
    tell(type(future).__name__, future.result(5), future.done(), future.cancelled(), future.cancel())
    called: list[Any] = []
    future.add_done_callback(called.append)
    tell("called", called == [future], future.exception(), future.traceback())
    channel.close()
    other = grpc.channel_ready_future(grpc.insecure_channel("127.0.0.1:1"))
    tell(other.done(), other.running(), other.cancel(), other.cancelled())
    tell.raising("result", other.result, 1)
    made.stop(0).wait()


class Adding(
    grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor, grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):  # fmt: skip
    def __init__(self, tell: Telling, name: str) -> None:
        self.tell, self.name = tell, name

    def go_on(self, continuation: Any, details: Any, request: Any) -> Any:
        self.tell(self.name, details.method, details.timeout, details.metadata, details.credentials)
        self.tell(details.wait_for_ready, details.compression, type(details).__name__)
        made = details._replace(metadata=(*(details.metadata or ()), ("by", self.name)))
        call = continuation(made, request)
        self.tell(self.name, "gets", type(call).__name__)
        return call

    intercept_unary_unary = intercept_unary_stream = go_on
    intercept_stream_unary = intercept_stream_stream = go_on


def use_interceptors(tell: Telling) -> None:
    seen: list[Any] = []

    def look(request: bytes, context: Any) -> bytes:
        seen.append([each for each in context.invocation_metadata() if each.key == "by"])
        return request

    made, port = server({**HANDLERS, "Look": grpc.unary_unary_rpc_method_handler(look)})
    with grpc.insecure_channel(f"127.0.0.1:{port}") as plain_channel:
        channel = grpc.intercept_channel(plain_channel, Adding(tell, "outer"), Adding(tell, "inner"))
        tell(channel.unary_unary("/a.B/Look")(b"x", timeout=5), seen)
        response, call = channel.unary_unary("/a.B/Rich").with_call(b"x", 5, (("m", "v"),))
        tell(response, type(call).__name__, call.code(), call.details(), call.trailing_metadata())
        future = channel.unary_unary("/a.B/Echo").future(b"x", timeout=5)
        tell(type(future).__name__, future.result())
        tell.raising("refused", channel.unary_unary("/a.B/Refuse"), b"x", timeout=5)
        tell([*channel.unary_stream("/a.B/Many")(b"x", timeout=5)])
        tell(channel.stream_unary("/a.B/Join")(iter([b"a"]), timeout=5))
        tell([*channel.stream_stream("/a.B/EchoAll")(iter([b"a"]), timeout=5)])
    made.stop(0).wait()


class Answering(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return self.answer(continuation, details, request)

    intercept_unary_stream = intercept_unary_unary


def use_interceptors_that_answer(tell: Telling) -> None:
    made, port = server(HANDLERS)

    def raising(*_: Any) -> Any:
        raise ValueError("no")

    def twice(continuation: Any, details: Any, request: Any) -> Any:
        continuation(details, request).result()
        return continuation(details, request)

    def streamed(continuation: Any, details: Any, request: Any) -> Any:
        return iter([b"mine", b"and mine"])

    def mapped(continuation: Any, details: Any, request: Any) -> Any:
        return (each.upper() for each in continuation(details, request))

    with grpc.insecure_channel(f"127.0.0.1:{port}") as plain_channel:
        for name, answer in (("raising", raising), ("twice", twice), ("streamed", streamed), ("mapped", mapped)):
            channel = grpc.intercept_channel(plain_channel, Answering(answer))
            if name in ("raising", "twice"):
                tell.raising(f"{name}: call", channel.unary_unary("/a.B/Echo"), b"x", timeout=5)
                tell.raising(f"{name}: future", lambda c=channel: c.unary_unary("/a.B/Echo").future(b"x").result())
                tell.raising(f"{name}: refused", channel.unary_unary("/a.B/Refuse"), b"x", timeout=5)
            if name != "twice":
                tell.raising(f"{name}: stream", lambda c=channel: [*c.unary_stream("/a.B/Many")(b"x", timeout=5)])
        failed = grpc.intercept_channel(plain_channel, Answering(raising)).unary_unary("/a.B/Echo").future(b"x")
        tell(
            type(failed).__name__, failed.code(), failed.details(), failed.done(), failed.cancelled(), failed.running()
        )
        tell(failed.initial_metadata(), failed.trailing_metadata(), failed.is_active(), failed.time_remaining())
        tell(
            failed.cancel(),
            failed.add_callback(print),
            described(failed.exception()),
            type(failed.traceback()).__name__,
        )
        tell.raising("next", next, failed)
        tell.raising("text", str, failed)
    made.stop(0).wait()


def use_plugins(tell: Telling) -> None:
    import grpc._channel

    name = contextvars.ContextVar("name", default="nobody")

    class Plugin(grpc.AuthMetadataPlugin):
        def __call__(self, context: Any, callback: Any) -> None:
            tell(type(context).__name__, context.service_url.partition(":")[2], context.method_name, name.get())
            callback((("authorization", "Bearer x"),), None)

    name.set("maker")
    credentials = grpc.metadata_call_credentials(Plugin(), "plugin")
    name.set("caller")
    local = grpc.local_channel_credentials()
    tell(type(credentials).__name__, type(local).__name__)
    made, port = local_server(
        lambda context: [each for each in context.invocation_metadata() if each.key == "authorization"]
    )
    both = grpc.composite_channel_credentials(local, credentials)
    with grpc.secure_channel(f"127.0.0.1:{port}", both) as channel:
        tell.raising("with the channel's", channel.unary_unary("/a.B/Look"), b"", timeout=5)
    with grpc.secure_channel(f"127.0.0.1:{port}", local) as channel:
        call = channel.unary_unary("/a.B/Look")
        tell.raising("with the call's", call, b"", credentials=credentials, timeout=5)
        tell.raising("a token", call, b"", credentials=grpc.access_token_call_credentials("t"), timeout=5)

        def refusing(context: Any, callback: Any) -> None:
            callback((), ValueError("not today"))

        def raising(context: Any, callback: Any) -> None:
            raise KeyError("broken")

        logging.getLogger("grpc").setLevel(logging.CRITICAL)
        for plugin in (refusing, raising):
            made_of_it = grpc.metadata_call_credentials(plugin)  # type: ignore[arg-type]
            tell.raising(plugin.__name__, call, b"", credentials=made_of_it, timeout=5)
    made.stop(0).wait()


def local_server(look: Any) -> tuple[Any, int]:
    from concurrent import futures

    def behave(request: bytes, context: Any) -> bytes:
        return repr(look(context)).encode()

    made = grpc.server(futures.ThreadPoolExecutor(2))
    handlers = {"Look": grpc.unary_unary_rpc_method_handler(behave)}
    made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
    port = made.add_secure_port("127.0.0.1:0", grpc.local_server_credentials())
    made.start()
    return made, port


def use_dropped_calls(tell: Telling) -> None:
    ended = threading.Event()

    def watch(request: bytes, context: Any) -> Iterator[bytes]:
        context.add_callback(ended.set)
        yield b"x"
        ended.wait(10)

    made, port = server({"Watch": grpc.unary_stream_rpc_method_handler(watch)})
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_stream("/a.B/Watch")(b"", timeout=30)
        tell(next(call))
        del call
        gc.collect()
        tell("the server hears", ended.wait(5))
    made.stop(0).wait()


def use_big_messages_and_metadata(tell: Telling) -> None:
    made, port = server(HANDLERS)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/a.B/Echo")
        tell("4 MiB less some", len(call(bytes(4 * 2**20 - 100), timeout=10)))
        tell.raising("more than 4 MiB", call, bytes(4 * 2**20 + 1), timeout=10)
        tell.raising("8 KiB of metadata", call, b"x", metadata=(("k", "v" * 7000),), timeout=5)
        many_bin = [(f"k{i}-bin", bytes(20)) for i in range(50)]
        tell.raising("50 binary ones", call, b"x", metadata=many_bin, timeout=5)
    limited = (("grpc.max_receive_message_length", 100), ("grpc.max_send_message_length", 200))
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=limited) as channel:
        call = channel.unary_unary("/a.B/Echo")
        tell.raising("150 octets", call, bytes(150), timeout=5)
        tell.raising("250 octets", call, bytes(250), timeout=5)
        tell.raising("50 octets", lambda: len(call(bytes(50), timeout=5)))
    made.stop(0).wait()


def use_compression(tell: Telling) -> None:
    made, port = server(HANDLERS, compression=grpc.Compression.Gzip)
    for compression in grpc.Compression:
        with grpc.insecure_channel(f"127.0.0.1:{port}", compression=compression) as channel:
            call = channel.unary_unary("/a.B/Echo")
            tell(compression.name, len(call(bytes(5000), timeout=5)))
            for other in grpc.Compression:
                tell(other.name, len(call(bytes(5000), timeout=5, compression=other)))
    made.stop(0).wait()


def use_experimental_calls(tell: Telling) -> None:
    import grpc.experimental

    made, port = server(HANDLERS)
    target = f"127.0.0.1:{port}"
    plain_one: dict[str, Any] = {"insecure": True, "timeout": 5}
    tell(grpc.experimental.unary_unary(b"x", target, "/a.B/Echo", **plain_one))
    tell([*grpc.experimental.unary_stream(b"x", target, "/a.B/Many", **plain_one)])
    tell(grpc.experimental.stream_unary(iter([b"a", b"b"]), target, "/a.B/Join", **plain_one))
    tell([*grpc.experimental.stream_stream(iter([b"a", b"b"]), target, "/a.B/EchoAll", **plain_one)])
    local = grpc.local_channel_credentials()
    tell.raising(
        "both", grpc.experimental.unary_unary, b"", target, "/a.B/Echo", insecure=True, channel_credentials=local
    )
    tell.raising("refused", grpc.experimental.unary_unary, b"", target, "/a.B/Refuse", **plain_one)
    wanted = "ChannelOptions", "CustomPrivateKeySign", "ExperimentalApiWarning", "PrivateKeySignatureAlgorithm"
    tell([hasattr(grpc.experimental, name) for name in wanted])
    made.stop(0).wait()
