"""Unusual uses of blocking clients and servers."""

from __future__ import annotations

import contextlib
import copy
import gc
import inspect
import logging
import pickle
import socket
import threading
import time
import typing
import warnings
import weakref
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
from running import Telling, described, server
from together import Later, bidi, echo, stream_unary, taken, unary, unary_stream

SECONDS = 5.0
"""For a call; nothing here waits for it where all is well."""


class Logged(logging.Handler):
    """What a logger of grpc's says."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        kind = "" if record.exc_info is None or record.exc_info[0] is None else record.exc_info[0].__name__
        self.told.append(f"{record.name} {record.levelname} {record.getMessage()} {kind}".strip())


@contextlib.contextmanager
def logged() -> Iterator[list[str]]:
    handler, logger = Logged(), logging.getLogger("grpc")
    logger.addHandler(handler)
    before, logger.propagate = logger.propagate, False
    try:
        yield handler.told
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


@contextlib.contextmanager
def serving(handlers: dict[str, Any], options: Any = None, **keywords: Any) -> Iterator[grpc.Channel]:
    """A channel to a server of the service ``a.B``."""
    made, port = server(handlers, **keywords)
    with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        yield channel
    made.stop(0).wait()


def attempted(function: Any, *arguments: Any) -> str:
    """What a function gives or raises."""
    try:
        return described(function(*arguments))
    except BaseException as error:
        return f"raises {described(error)}"


def until(condition: Any, seconds: float = SECONDS) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return bool(condition())


def end_of(tell: Telling, what: str, behavior: Any, shape: Any = unary, **keywords: Any) -> None:
    """Tell how a call of a handler ends."""
    with serving({"Call": shape(behavior)}, **keywords) as channel:
        if shape is unary:
            future = channel.unary_unary("/a.B/Call").future(b"x", timeout=SECONDS)
            got: Any = described(future.exception()) if future.exception() else future.result()
        elif shape is unary_stream:
            future = channel.unary_stream("/a.B/Call")(b"x", timeout=SECONDS)
            got = taken(future)
        elif shape is stream_unary:
            future = channel.stream_unary("/a.B/Call").future(iter([b"1", b"2"]), timeout=SECONDS)
            got = described(future.exception()) if future.exception() else future.result()
        else:
            future = channel.stream_stream("/a.B/Call")(iter([b"1", b"2"]), timeout=SECONDS)
            got = taken(future)
        tell(what, got, future.code(), future.details())
        tell("  metadata", future.initial_metadata(), future.trailing_metadata())


# -- contexts of servers


def use_all_ways_to_set_and_abort(tell: Telling) -> None:
    logging.getLogger("grpc").setLevel(logging.CRITICAL)

    class Status(grpc.Status):
        code = grpc.StatusCode.DATA_LOSS
        details = "lost"
        trailing_metadata = (("t", "1"), ("t-bin", b"\x00"))

    class Good(Status):
        code = grpc.StatusCode.OK

    def both(steps: Any) -> Any:
        def run(request: Any, context: Any) -> Any:
            for name, *arguments in steps:
                getattr(context, name)(*arguments)
            return b"response"

        return run

    code = grpc.StatusCode
    for steps in (
        [("set_code", code.NOT_FOUND)],
        [("set_details", "alone")],
        [("set_code", code.NOT_FOUND), ("set_details", "d"), ("abort", code.ABORTED, "a")],
        [("set_trailing_metadata", (("k", "1"),)), ("abort", code.ABORTED, "a")],
        [("set_trailing_metadata", (("k", "1"),)), ("abort_with_status", Status())],
        [("abort_with_status", Good())],
        [("abort", code.OK, "fine")],
        [("abort", code.OK, "")],
        [("set_code", code.OK), ("set_details", "all is well")],
        [("abort", 5, "a number")],
        [("abort", None, "nothing")],
        [("abort", "NOT_FOUND", "text")],
        [("abort", code.ABORTED, None)],
        [("abort", code.ABORTED, b"bytes")],
        [("abort", code.ABORTED, 5)],
        [("abort", code.ABORTED, "x" * 3000)],
        [("abort_with_status", None)],
        [("abort_with_status", code.ABORTED)],
        [("set_code", 5), ("set_details", "number")],
        [("set_code", None), ("set_details", "none")],
        [("set_code", "NOT_FOUND")],
        [("set_code", (5, "not found"))],
        [("set_code", code.NOT_FOUND), ("set_code", code.OK)],
        [("set_details", 5)],
        [("set_details", None), ("set_code", code.INTERNAL)],
        [("set_details", b"bytes"), ("set_code", code.INTERNAL)],
        [("set_details", "line\nline\ttab % é €"), ("set_code", code.INTERNAL)],
        [("set_trailing_metadata", None)],
        [("set_trailing_metadata", [])],
        [("set_trailing_metadata", (("k", "1"),)), ("set_trailing_metadata", (("l", "2"),))],
        [("set_trailing_metadata", (("K", "upper"),))],
        [("set_trailing_metadata", (("grpc-status", "3"),))],
        [("set_trailing_metadata", (("grpc-message", "mine"),))],
        [("set_trailing_metadata", (("grpc-status-details-bin", b"\x08\x05"),)), ("set_code", code.INTERNAL)],
        [("set_trailing_metadata", ((":path", "x"),))],
        [("send_initial_metadata", (("i", "1"),)), ("send_initial_metadata", (("i", "2"),))],
        [("send_initial_metadata", None)],
        [("send_initial_metadata", (("I", "upper"),)), ("set_code", code.INTERNAL)],
        [("send_initial_metadata", (("i", "1"),)), ("abort", code.ABORTED, "a")],
        [("cancel",)],
        [("cancel",), ("abort", code.ABORTED, "a")],
        [("set_compression", grpc.Compression.Gzip)],
        [("set_compression", None)],
        [("disable_next_message_compression",)],
    ):
        end_of(tell, f"{steps!r}"[:120], both(steps))
    logging.getLogger("grpc").setLevel(logging.NOTSET)


def use_aborts_in_streams(tell: Telling) -> None:
    logging.getLogger("grpc").setLevel(logging.CRITICAL)

    def caught(request: Any, context: Any) -> Iterator[bytes]:
        yield b"1"
        try:
            context.abort(grpc.StatusCode.ABORTED, "first")
        except Exception as error:
            tell("abort raises", type(error).__name__, repr(error.args))
        yield b"2"
        context.set_code(grpc.StatusCode.OK)

    def twice(request: Any, context: Any) -> Iterator[bytes]:
        yield b"1"
        with contextlib.suppress(Exception):
            context.abort(grpc.StatusCode.ABORTED, "first")
        context.abort(grpc.StatusCode.DATA_LOSS, "second")

    def closing(request: Any, context: Any) -> Iterator[bytes]:
        try:
            yield b"1"
            yield b"2"
        finally:
            context.set_details("at the end")
            context.set_code(grpc.StatusCode.NOT_FOUND)

    def returning(request: Any, context: Any) -> Iterator[bytes]:
        yield b"1"
        return b"a value"

    def stopping(request: Any, context: Any) -> Iterator[bytes]:
        yield b"1"
        raise StopIteration("mine")

    def raising(request: Any, context: Any) -> Iterator[bytes]:
        context.set_code(grpc.StatusCode.NOT_FOUND)
        context.set_details("set before")
        context.set_trailing_metadata((("k", "v"),))
        yield b"1"
        raise ValueError("raised")

    for behavior in (caught, twice, closing, returning, stopping, raising):
        end_of(tell, behavior.__name__, behavior, unary_stream)
    logging.getLogger("grpc").setLevel(logging.NOTSET)


def use_exceptions_of_handlers(tell: Telling) -> None:
    class CodeError(Exception):
        code = grpc.StatusCode.NOT_FOUND
        details = "from the exception"

    class Rpc(grpc.RpcError):
        def code(self) -> Any:
            return grpc.StatusCode.NOT_FOUND

        def details(self) -> str:
            return "from a call"

    for error in (
        ValueError("é\nline"), ValueError(), KeyError("k"), Exception("x", 5), CodeError(), Rpc(), Rpc("text"),
        StopIteration(), RuntimeError("x" * 5000), AssertionError, futures.CancelledError("c"), TimeoutError("t"),
        grpc.RpcError("plain"), grpc.FutureTimeoutError(), NotImplementedError("n"),
    ):  # fmt: skip

        def fail(request: Any, context: Any, error: Any = error) -> Any:
            raise error

        with logged() as told:
            end_of(tell, f"{type(error).__name__}", fail)
        tell("  logged", [line[:120] for line in told])


def use_the_whole_of_a_context(tell: Telling) -> None:
    seen: list[Any] = []

    def look(request: Any, context: Any) -> bytes:
        seen.append(context)
        tell(type(context).__name__, isinstance(context, grpc.ServicerContext), isinstance(context, grpc.RpcContext))
        tell(context.code(), context.details(), context.trailing_metadata())
        context.set_code(grpc.StatusCode.NOT_FOUND)
        context.set_details("d")
        context.set_trailing_metadata((("k", "v"),))
        tell(context.code(), context.details(), context.trailing_metadata())
        tell(context.is_active(), context.add_callback(lambda: None), type(context.time_remaining()).__name__)
        tell(context.peer_identities(), context.peer_identity_key(), context.auth_context())
        tell(repr(context).partition(" object")[0], bool(context), context == context, hash(context) == hash(context))
        tell.raising("copy", copy.copy, context)
        tell.raising("a name that is not there", getattr, context, "nothing")
        context.mine = 5
        tell("its own attribute", context.mine)
        return b""

    end_of(tell, "look", look)
    context = seen.pop()
    until(lambda: not context.is_active())
    tell("afterwards", context.is_active(), context.cancel(), context.add_callback(lambda: None))
    tell.raising("abort", context.abort, grpc.StatusCode.ABORTED, "late")
    tell.raising("initial metadata", context.send_initial_metadata, ())
    tell.raising("trailing metadata", context.set_trailing_metadata, ())
    tell(context.code(), context.details(), context.trailing_metadata(), context.time_remaining() is None)


def use_callbacks_of_contexts(tell: Telling) -> None:
    order: list[str] = []

    def run(request: Any, context: Any) -> bytes:
        for name in ("first", "second"):
            context.add_callback(lambda name=name: order.append(name))
        context.add_callback(lambda: 1 / 0)
        context.add_callback(lambda: order.append("last"))
        return b"x"

    with logged() as told, serving({"Call": unary(run)}) as channel:
        tell(channel.unary_unary("/a.B/Call")(b"", timeout=SECONDS))
        until(lambda: "last" in order)
    tell(order, told)


# -- clients


def use_arguments_by_position_and_name(tell: Telling) -> None:
    with serving({"Call": unary(echo), "Many": bidi(lambda it, c: it)}) as channel:
        call = channel.unary_unary("/a.B/Call", lambda x: x, lambda x: x)
        tell(call(b"1", 5, (("a", "b"),), None, True, grpc.Compression.Gzip))
        tell.raising("seven", call, b"1", 5, None, None, None, None, 7)
        tell.raising("none", call)
        tell.raising("by name", lambda: call(request=b"r", timeout=5))
        tell.raising("a wrong name", lambda: call(b"r", time_out=5))
        tell.raising("future by name", lambda: call.future(request=b"r").result())
        many = channel.stream_stream("/a.B/Many")
        tell.raising("stream by name", lambda: list(many(request_iterator=iter([b"1"]))))
        tell.raising("by keywords", lambda: channel.unary_unary(method="/a.B/Call", request_serializer=None)(b"k"))
        tell.raising("unknown keyword", lambda: channel.unary_unary("/a.B/Call", serializer=None))
        for wait in (True, False, None, 1, 0, "yes"):
            tell.raising(f"wait_for_ready {wait!r}", call, b"", wait_for_ready=wait, timeout=5)
        for compression in (grpc.Compression.NoCompression, grpc.Compression.Deflate, None, 2):
            tell.raising(f"compression {compression!r}", call, b"", compression=compression, timeout=5)


def use_cancelling_from_other_threads(tell: Telling) -> None:
    gate = threading.Event()

    def hold(request: Any, context: Any) -> bytes:
        gate.wait(SECONDS)
        return b""

    def endless(request: Any, context: Any) -> Iterator[bytes]:
        while context.is_active():
            yield b"x"
            time.sleep(0.01)

    with serving({"Hold": unary(hold), "Endless": unary_stream(endless)}) as channel:
        future = channel.unary_unary("/a.B/Hold").future(b"", timeout=SECONDS)
        waiting = [Later(attempted, each) for each in (future.result, future.exception, future.code, future.traceback)]
        time.sleep(0.1)
        tell("cancel", future.cancel(), future.cancel(), future.cancelled(), future.done(), future.running())
        for each in waiting:
            tell("  waited", each.result())
        stream = channel.unary_stream("/a.B/Endless")(b"", timeout=SECONDS)
        tell(next(stream))
        reading = Later(taken, stream)
        time.sleep(0.1)
        tell("stream", stream.cancel(), stream.cancelled(), stream.code(), stream.details())
        reading.result()
        tell("initial", stream.initial_metadata(), stream.trailing_metadata())
        with contextlib.closing(channel):
            future = channel.unary_unary("/a.B/Hold").future(b"", timeout=SECONDS)
            waiting = [Later(attempted, future.result)]
            time.sleep(0.1)
        tell("closed", waiting[0].result(), future.code(), future.details(), future.cancelled())
        gate.set()


def use_results_with_timeouts(tell: Telling) -> None:
    gate = threading.Event()
    with serving({"Hold": unary(lambda r, c: (gate.wait(SECONDS), r)[1])}) as channel:
        future = channel.unary_unary("/a.B/Hold").future(b"x", timeout=SECONDS)
        for timeout in (0, 0.01, -1):
            tell.raising(f"result({timeout})", future.result, timeout)
            tell.raising(f"exception({timeout})", future.exception, timeout)
            tell.raising(f"traceback({timeout})", future.traceback, timeout)
        tell.raising("by name", lambda: future.result(timeout=0.01))
        gate.set()
        tell.raising("at last", future.result, SECONDS)
        tell.raising("and with 0", future.result, 0)
        tell(future.exception(0), future.traceback(0), future.done(), future.running(), future.is_active())
        tell(
            "futures",
            isinstance(future, futures.Future),
            isinstance(future, grpc.Future),
            isinstance(future, grpc.Call),
        )
        tell.raising("as concurrent", lambda: futures.wait([future], 0.1))


def use_what_deadlines_servers_see(tell: Telling) -> None:
    seen: list[Any] = []

    def look(request: Any, context: Any) -> bytes:
        seen.append(context.time_remaining())
        return b""

    with serving({"Call": unary(look)}) as channel:
        call = channel.unary_unary("/a.B/Call")
        for timeout in (None, 5, 0.5, 100, 10_000, 1_000_000):
            call(b"", timeout=timeout)
            left = seen.pop()
            near = left if left is None or timeout is None else 0.7 * timeout < left <= timeout * 1.01 + 0.01
            tell(f"timeout {timeout}", near if timeout is not None else left > 1e8)


def use_iterating_calls(tell: Telling) -> None:
    with serving({"Many": unary_stream(lambda r, c: iter([b"1", b"2", b"3"]))}) as channel:
        many = channel.unary_stream("/a.B/Many")
        call = many(b"")
        tell(iter(call) is call, next(call), list(call), list(call), next(call, "the end"))
        tell.raising("len", len, call)
        tell.raising("index", lambda: call[0])
        tell(bool(call), call == call, isinstance(call, Iterator), hasattr(call, "__next__"), hasattr(call, "next"))
        call = many(b"")
        tell(b"2" in call, list(call))
        call = many(b"")
        first, *rest = call
        tell(first, rest, call.code())
        call = many(b"")
        tell(list(zip(call, call, strict=False)))
        for each in many(b""):
            tell("broken off at", each)
            break
        call = many(b"")
        tell.raising("result of a stream", lambda: described(call.result(0.5)))
        tell([type(each).__name__ for each in (call.exception(0.1) if call.done() else None,)])
        call = many(b"")
        tell.raising("with", lambda: call.__enter__())
        tell.raising("await", lambda: call.__await__())


def use_futures_of_streams(tell: Telling) -> None:
    with serving(
        {"Many": unary_stream(lambda r, c: iter([b"1", b"2"])), "Sum": stream_unary(lambda i, c: b"".join(i))}
    ) as channel:
        call = channel.unary_stream("/a.B/Many")(b"", timeout=SECONDS)
        done: list[Any] = []
        call.add_done_callback(done.append)
        tell(call.done(), call.running(), list(call), until(lambda: done), done == [call])
        tell(call.done(), call.running(), call.cancelled(), call.exception(), call.traceback())
        tell.raising("result", call.result, 1)
        future = channel.stream_unary("/a.B/Sum").future(iter([b"a", b"b"]), timeout=SECONDS)
        tell(future.result(), future.code(), future.done())
        future = channel.stream_unary("/a.B/Sum").future(iter([b"a", b"b"]), timeout=SECONDS)
        tell.raising("and its result", future.result, 1)


def use_interceptors_of_two_kinds_at_once(tell: Telling) -> None:
    order: list[str] = []

    class All(
        grpc.UnaryUnaryClientInterceptor,
        grpc.UnaryStreamClientInterceptor,
        grpc.StreamUnaryClientInterceptor,
        grpc.StreamStreamClientInterceptor,
    ):
        def __init__(self, name: str) -> None:
            self.name = name

        def _around(self, go_on: Any, details: Any, request: Any) -> Any:
            order.append(f"{self.name} {details.method} {details.timeout} {details.metadata} {details.wait_for_ready}")
            answer = go_on(details, request)
            order.append(f"{self.name} {type(answer).__name__}")
            return answer

        intercept_unary_unary = intercept_unary_stream = intercept_stream_unary = intercept_stream_stream = _around

    handlers = {
        "UU": unary(echo), "US": unary_stream(lambda r, c: iter([r, r])), "SU": stream_unary(lambda i, c: b"".join(i)),
        "SS": bidi(lambda i, c: i),
    }  # fmt: skip
    with serving(handlers) as plain:
        channel = grpc.intercept_channel(plain, All("outer"), All("inner"))
        tell(type(channel).__name__, isinstance(channel, grpc.Channel))
        tell(channel.unary_unary("/a.B/UU")(b"1", timeout=SECONDS, metadata=(("a", "b"),)))
        tell(list(channel.unary_stream("/a.B/US")(b"2", wait_for_ready=True)))
        tell(channel.stream_unary("/a.B/SU")(iter([b"3", b"4"])))
        tell(list(channel.stream_stream("/a.B/SS")(iter([b"5", b"6"]))))
        tell(channel.unary_unary("/a.B/UU").with_call(b"7")[0], channel.unary_unary("/a.B/UU").future(b"8").result())
        tell(channel.stream_unary("/a.B/SU").future(iter([b"9"])).result())
        for line in order:
            tell(line)
        order.clear()
        twice = grpc.intercept_channel(grpc.intercept_channel(plain, All("first")), All("second"))
        tell(twice.unary_unary("/a.B/UU")(b"x"), order)
        tell.raising(
            "the same twice", lambda: grpc.intercept_channel(plain, *[All("same")] * 2).unary_unary("/a.B/UU")(b"y")
        )
        tell.raising("missing", channel.unary_unary("/a.B/Nothing"), b"")


def use_interceptors_that_change_things(tell: Telling) -> None:
    class Details(grpc.ClientCallDetails):
        def __init__(self, method: Any, **others: Any) -> None:
            self.method = method
            vars(self).update(timeout=None, metadata=None, credentials=None, wait_for_ready=None, compression=None)
            vars(self).update(others)

    class Bare:
        method = "/a.B/Other"

    class Change(grpc.UnaryUnaryClientInterceptor):
        def __init__(self, make: Any) -> None:
            self.make = make

        def intercept_unary_unary(self, go_on: Any, details: Any, request: Any) -> Any:
            return self.make(go_on, details, request)

    def look(request: bytes, context: Any) -> bytes:
        return b"%s %s" % (request, repr([p for p in context.invocation_metadata() if p[0] != "user-agent"]).encode())

    with serving({"Call": unary(look), "Other": unary(lambda r, c: b"other " + r)}) as plain:
        for what, make in {
            "another method": lambda g, d, r: g(Details("/a.B/Other"), r),
            "bytes as method": lambda g, d, r: g(Details(b"/a.B/Other"), r),
            "only a method": lambda g, d, r: g(Bare(), r),
            "metadata as a dict": lambda g, d, r: g(Details(d.method, metadata={"a": "b"}), r),
            "metadata as a list": lambda g, d, r: g(Details(d.method, metadata=[("a", "b")]), r),
            "another request": lambda g, d, r: g(d, b"changed"),
            "no request": lambda g, d, r: g(d, None),
            "twice": lambda g, d, r: (g(d, r), g(d, b"again"))[1],
            "bytes": lambda g, d, r: b"an answer",
            "None": lambda g, d, r: None,
            "raises": lambda g, d, r: 1 / 0,
            "an error of grpc's": lambda g, d, r: (_ for _ in ()).throw(grpc.RpcError("mine")),
            "result": lambda g, d, r: g(d, r).result(),
            "cancelled": lambda g, d, r: (lambda c: (c.cancel(), c)[1])(g(d, r)),
            "an exception": lambda g, d, r: ValueError("given"),
        }.items():
            channel = grpc.intercept_channel(plain, Change(make))
            call = channel.unary_unary("/a.B/Call")
            tell.raising(f"{what}", call, b"x")
            tell.raising(f"{what} with_call", lambda call=call: call.with_call(b"x")[0])
            tell.raising(f"{what} future", lambda call=call: call.future(b"x").result())


def use_interceptors_of_streams_that_wrap(tell: Telling) -> None:
    class Wrap(grpc.UnaryStreamClientInterceptor, grpc.StreamStreamClientInterceptor):
        def __init__(self, make: Any) -> None:
            self.make = make

        def intercept_unary_stream(self, go_on: Any, details: Any, request: Any) -> Any:
            return self.make(go_on, details, request)

        def intercept_stream_stream(self, go_on: Any, details: Any, requests: Any) -> Any:
            return self.make(go_on, details, (each + b"!" for each in requests))

    def generator(go_on: Any, details: Any, request: Any) -> Iterator[bytes]:
        for each in go_on(details, request):
            yield each + b"?"

    handlers = {"US": unary_stream(lambda r, c: iter([r, r])), "SS": bidi(lambda i, c: i)}
    with serving(handlers) as plain:
        for what, make in {
            "generator": generator,
            "list": lambda g, d, r: list(g(d, r)),
            "raises": lambda g, d, r: 1 / 0,
            "None": lambda g, d, r: None,
            "as it is": lambda g, d, r: g(d, r),
            "cancelled": lambda g, d, r: (lambda c: (c.cancel(), c)[1])(g(d, r)),
        }.items():
            channel = grpc.intercept_channel(plain, Wrap(make))
            for name, call, given in (
                ("US", channel.unary_stream("/a.B/US"), b"x"), ("SS", channel.stream_stream("/a.B/SS"), [b"1", b"2"]),
            ):  # fmt: skip
                answer = tell.raising(f"{what} {name}", call, iter(given) if name == "SS" else given)
                if not isinstance(answer, Exception):
                    tell.raising("  taken", lambda a=answer: taken(a) if a is not None else None)
                    tell.raising("  code", lambda a=answer: a.code())


# -- channels and connectivity


def use_channels_as_objects(tell: Telling) -> None:
    channel = grpc.insecure_channel("127.0.0.1:1")
    tell(type(channel).__name__, type(channel).__module__, isinstance(channel, grpc.Channel), bool(channel))
    tell(repr(channel).partition(" object")[0], str(channel).partition(" object")[0], channel == channel)
    tell.raising("copy", copy.copy, channel)
    tell.raising("pickle", pickle.dumps, channel)
    tell.raising("iterate", iter, channel)
    call = channel.unary_unary("/a.B/Call")
    tell(type(call).__name__, isinstance(call, grpc.UnaryUnaryMultiCallable), callable(call))
    tell(sorted(name for name in dir(call) if not name.startswith("_")))
    tell(sorted(name for name in dir(channel.stream_stream("/x")) if not name.startswith("_")))
    tell.raising("entered twice", lambda: channel.__enter__().__enter__() is channel)
    tell(channel.__exit__(None, None, None), channel.close(), channel.close())
    tell.raising("enter a closed one", lambda: channel.__enter__() is channel)
    tell.raising("a method of it", lambda: type(channel.unary_unary("/x")).__name__)
    tell.raising("a call of it", call, b"")
    tell.raising("a future of it", call.future, b"")
    tell.raising("a stream of it", channel.unary_stream("/x"), b"")
    tell.raising("subscribe", channel.subscribe, lambda state: None)
    tell.raising("unsubscribe", channel.unsubscribe, lambda state: None)
    reference = weakref.ref(channel)
    channel = call = None
    tell("gone", until(lambda: (gc.collect(), reference() is None)[1]))


def use_subscriptions(tell: Telling) -> None:
    made, port = server({"Call": unary(echo)})
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    seen: list[Any] = []
    both: list[Any] = []
    channel.subscribe(seen.append)
    until(lambda: seen)
    tell(seen)
    channel.subscribe(both.append, try_to_connect=True)
    channel.subscribe(both.append)
    until(lambda: both and both[-1] is grpc.ChannelConnectivity.READY)
    tell(seen[-1], both[0] in tuple(grpc.ChannelConnectivity), both[-1])
    channel.unsubscribe(both.append)
    channel.unsubscribe(print)
    before = len(seen)
    made.stop(0).wait()
    until(lambda: len(seen) > before)
    with logged() as told:
        channel.subscribe(lambda state: 1 / 0)
        until(lambda: told)
    tell([line[:90] for line in told][:1])
    tell.raising("None", channel.subscribe, None)
    channel.close()


def use_ready_futures(tell: Telling) -> None:
    made, port = server({"Call": unary(echo)})
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    future = grpc.channel_ready_future(channel)
    tell(isinstance(future, grpc.Future), future.result(SECONDS), future.done(), future.running(), future.cancelled())
    tell(future.exception(), future.traceback(), future.cancel())
    seen: list[Any] = []
    future.add_done_callback(seen.append)
    tell(until(lambda: seen), seen == [future])
    channel.close()
    made.stop(0).wait()


def use_options_of_all_kinds(tell: Telling) -> None:
    seen: list[Any] = []

    def look(request: bytes, context: Any) -> bytes:
        agent = dict(context.invocation_metadata()).get("user-agent", "")
        seen.append(agent.replace(grpc.__version__, "VERSION").partition(" grpc-")[0])
        return request

    made, port = server({"Call": unary(look)})
    for options in (
        [("grpc.max_send_message_length", 3)], [("grpc.max_receive_message_length", 3)],
        [("grpc.max_receive_message_length", -1)], [("grpc.max_receive_message_length", 0)],
        [("grpc.primary_user_agent", "mine/1")], [("grpc.primary_user_agent", 5)],
        [("grpc.secondary_user_agent", "mine")], [("grpc.keepalive_time_ms", 0)], [("grpc.keepalive_time_ms", -5)],
        [("grpc.default_authority", "")], [("grpc.lb_policy_name", "nothing")],
        [("grpc.lb_policy_name", "round_robin")], [("grpc.use_local_subchannel_pool", 1)],
        [("grpc.max_metadata_size", 1)], [("grpc.initial_reconnect_backoff_ms", 100)],
        [("grpc.default_compression_algorithm", 2)], [("grpc.default_compression_algorithm", 77)],
        [("grpc.default_compression_algorithm", "gzip")], [("grpc.http2.max_frame_size", 1)], [("", 1)],
        [("grpc.per_rpc_retry_buffer_size", 10)], (), None, iter([]),
        [("grpc.enable_retries", "no")], [("grpc.client_idle_timeout_ms", 1000)], [(b"grpc.enable_retries", 0)],
    ):  # fmt: skip

        def run(options: Any = options) -> Any:
            with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
                return channel.unary_unary("/a.B/Call")(b"abcd", timeout=SECONDS)

        tell.raising(f"{options!r}"[:80].partition(" object")[0], run)
        tell("  agent", seen[-1:])
        seen.clear()
    made.stop(0).wait()


# -- servers


def use_calls_while_a_server_stops(tell: Telling) -> None:
    started, gate = threading.Event(), threading.Event()

    def hold(request: bytes, context: Any) -> bytes:
        started.set()
        gate.wait(SECONDS)
        return b"done"

    made, port = server({"Hold": unary(hold), "Call": unary(echo)})
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        future = channel.unary_unary("/a.B/Hold").future(b"", timeout=SECONDS)
        started.wait(SECONDS)
        event = made.stop(SECONDS)
        time.sleep(0.1)
        try:
            tell("a new call", channel.unary_unary("/a.B/Call")(b"", timeout=1))
        except grpc.RpcError as error:
            tell("a new call", error.code())
        gate.set()
        tell(future.result(SECONDS), event.wait(SECONDS))


def use_generic_handlers_that_misbehave(tell: Telling) -> None:
    class Handler(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            name = details.method.rpartition("/")[2]
            if name == "Raise":
                raise ValueError("no handler")
            if name == "None":
                return None
            if name == "Look":
                pairs = [pair for pair in details.invocation_metadata if pair[0] != "user-agent"]
                tell(type(details).__name__, details.method, pairs)
            return unary(echo)

    made = grpc.server(futures.ThreadPoolExecutor(4), handlers=[Handler()])
    port = made.add_insecure_port("127.0.0.1:0")
    made.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for path in ("/a.B/Raise", "/a.B/None", "/a.B/Look", "/any/thing/at/all", "/", "//", "/a.B/"):
            with logged() as told:
                tell.raising(path, channel.unary_unary(path), b"x", timeout=SECONDS, metadata=(("k", "v"),))
            tell("  logged", [line[:100] for line in told])
    made.stop(0).wait()


def use_service_handlers(tell: Telling) -> None:
    handler = grpc.method_handlers_generic_handler("a.B", {"Call": unary(echo)})
    tell(
        type(handler).__name__, isinstance(handler, grpc.ServiceRpcHandler), isinstance(handler, grpc.GenericRpcHandler)
    )
    tell(handler.service_name(), repr(handler).partition(" object")[0])
    method = unary(echo)
    tell(type(method).__name__, isinstance(method, grpc.RpcMethodHandler), isinstance(method, tuple), len(method))
    tell(method.request_streaming, method.response_streaming, method.unary_unary is echo, method.stream_stream)
    tell(method._fields, method == unary(echo), method._replace(request_streaming=True).request_streaming)
    tell.raising("none", grpc.unary_unary_rpc_method_handler)
    tell.raising("not callable", lambda: type(grpc.unary_unary_rpc_method_handler(5)).__name__)
    for kind in (unary_stream, stream_unary, bidi):
        made = kind(echo)
        tell([made.request_streaming, made.response_streaming, [each is echo for each in made[4:]]])


def use_serializers_of_handlers(tell: Telling) -> None:
    logging.getLogger("grpc").setLevel(logging.CRITICAL)
    cases: dict[str, dict[str, Any]] = {
        "deserializer raises": {"request_deserializer": lambda b: 1 / 0},
        "deserializer gives None": {"request_deserializer": lambda b: None},
        "serializer raises": {"response_serializer": lambda m: 1 / 0},
        "serializer gives None": {"response_serializer": lambda m: None},
        "deserializer gives a number": {"request_deserializer": len, "response_serializer": lambda n: b"%d" % n},
    }
    for what, keywords in cases.items():
        for name, make, behavior in (
            ("unary", grpc.unary_unary_rpc_method_handler, lambda r, c: r),
            ("stream", grpc.unary_stream_rpc_method_handler, lambda r, c: iter([r, r])),
        ):
            with serving({"Call": make(behavior, **keywords)}) as channel:
                if name == "unary":
                    tell.raising(f"{what} {name}", channel.unary_unary("/a.B/Call"), b"abc", timeout=SECONDS)
                else:
                    tell(f"{what} {name}", taken(channel.unary_stream("/a.B/Call")(b"abc", timeout=SECONDS)))
    logging.getLogger("grpc").setLevel(logging.NOTSET)


# -- the module


def use_abstract_classes(tell: Telling) -> None:
    for name in ("Channel", "Server", "Call", "Future", "RpcContext", "ServicerContext", "UnaryUnaryMultiCallable",
                 "GenericRpcHandler", "ServiceRpcHandler", "ServerInterceptor", "UnaryUnaryClientInterceptor",
                 "AuthMetadataPlugin", "AuthMetadataPluginCallback", "AuthMetadataContext", "Status",
                 "RpcMethodHandler", "ClientCallDetails", "ChannelCredentials", "CallCredentials", "ServerCredentials",
                 "ServerCertificateConfiguration", "RpcError",
                 "FutureTimeoutError", "FutureCancelledError"):  # fmt: skip
        tell.raising(name, lambda name=name: type(getattr(grpc, name)()).__name__)
    for name in ("ChannelCredentials", "CallCredentials", "ServerCredentials", "ServerCertificateConfiguration"):
        tell.raising(name, lambda name=name: type(getattr(grpc, name)(None)).__name__)

    class Plugin(grpc.AuthMetadataPlugin):
        pass

    tell.raising("a plugin that lacks its method", Plugin)


def use_enumerations(tell: Telling) -> None:
    for enumeration in (grpc.StatusCode, grpc.ChannelConnectivity, grpc.Compression, grpc.LocalConnectionType):
        tell([(each.name, each.value, str(each), repr(each)) for each in enumeration])
        tell.raising("of 1", enumeration, 1)
        tell.raising("of nothing", enumeration, "nothing")
        tell.raising("by name", lambda e=enumeration: e["NOTHING"])
        tell(issubclass(enumeration, int), enumeration.__module__)
    tell(pickle.loads(pickle.dumps(grpc.StatusCode.OK)) is grpc.StatusCode.OK)
    tell(copy.deepcopy(grpc.StatusCode.OK) is grpc.StatusCode.OK, grpc.StatusCode.OK == 0, grpc.StatusCode.OK.value[0])


def use_hints(tell: Telling) -> None:
    for name in ("insecure_channel", "secure_channel", "server", "intercept_channel", "ssl_channel_credentials",
                 "ssl_server_credentials", "metadata_call_credentials", "channel_ready_future",
                 "method_handlers_generic_handler", "dynamic_ssl_server_credentials",
                 "local_channel_credentials"):  # fmt: skip
        signature = inspect.signature(getattr(grpc, name))
        tell(
            name,
            [
                (each.name, each.kind.name, each.default is each.empty, repr(each.default))
                for each in signature.parameters.values()
            ],
        )
        tell.raising("hints", lambda name=name: bool(typing.get_type_hints(getattr(grpc, name)) or True))
    tell([bool(getattr(grpc, name).__doc__) for name in ("insecure_channel", "server", "StatusCode", "Channel")])


def use_warnings_of_all_names(tell: Telling) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made, port = server({"Call": unary(echo)})
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            channel.unary_unary("/a.B/Call")(b"")
            channel.unary_unary("/a.B/Call", _registered_method=True)(b"")
            list(channel.unary_stream("/a.B/Call")(b"")) if False else None
        made.stop(0)
        grpc.ssl_channel_credentials()
    tell([f"{each.category.__name__} {each.message}" for each in caught])


def use_raw_connections(tell: Telling) -> None:
    made, port = server({"Call": unary(echo)})
    for octets in (
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello",
        b"",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=2) as raw:
            raw.sendall(octets)
            raw.settimeout(0.5)
            try:
                answer = raw.recv(9)
            except OSError as error:
                answer = type(error).__name__.encode()
        if octets[:1] == b"\x16":  # a hello of TLS: SETTINGS may be out before it has been looked at
            tell(octets[:8], answer[3:4] in (b"", b"\x04"))
        else:
            tell(octets[:8], "says something" if answer else "closes", answer[3:4])
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        tell("and goes on", channel.unary_unary("/a.B/Call")(b"x", timeout=SECONDS))
    made.stop(0).wait()


def use_many_calls_of_one_channel(tell: Telling) -> None:
    with serving({"Call": unary(echo), "Many": unary_stream(lambda r, c: iter([r] * 20))}) as channel:
        call = channel.unary_unary("/a.B/Call")
        many = [call.future(b"%d" % i, timeout=20) for i in range(300)]
        tell([future.result() for future in many] == [b"%d" % i for i in range(300)])
        streams = [channel.unary_stream("/a.B/Many")(b"%d" % i, timeout=20) for i in range(60)]
        tell(all(list(stream) == [b"%d" % i] * 20 for i, stream in enumerate(streams)))
        with futures.ThreadPoolExecutor(20) as pool:
            tell(list(pool.map(call, [b"%d" % i for i in range(200)])) == [b"%d" % i for i in range(200)])
