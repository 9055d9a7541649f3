"""Servers of threads, as their clients and their handlers see them."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
from running import Telling, described, server


def one(behavior: Any, **keywords: Any) -> dict[str, Any]:
    return {"Call": grpc.unary_unary_rpc_method_handler(behavior, **keywords)}


def stream(behavior: Any, **keywords: Any) -> dict[str, Any]:
    return {"Call": grpc.unary_stream_rpc_method_handler(behavior, **keywords)}


def end_of(tell: Telling, what: str, handlers: dict[str, Any], **options: Any) -> None:
    """Tell how a call ends: its response, code, details and metadata."""
    made, port = server(handlers, **options)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        if handlers["Call"].response_streaming:
            call = channel.unary_stream("/a.B/Call")(b"x", timeout=5)
            got: list[bytes] = []
            with contextlib.suppress(grpc.RpcError):
                got.extend(call)
            tell(what, got, call.code(), call.details(), call.initial_metadata(), call.trailing_metadata())
        else:
            future = channel.unary_unary("/a.B/Call").future(b"x", timeout=5)
            response = future.result() if future.exception() is None else None
            tell(what, response, future.code(), future.details(), future.initial_metadata(), future.trailing_metadata())
    made.stop(0).wait()


def use_a_context(tell: Telling) -> None:
    logging.getLogger("grpc").setLevel(logging.CRITICAL)

    def look(request: bytes, context: Any) -> bytes:
        tell([pair for pair in context.invocation_metadata() if pair.key != "user-agent"])
        tell([pair.key for pair in context.invocation_metadata()])
        tell(type(context.invocation_metadata()).__name__, type(context.invocation_metadata()[0]).__name__)
        tell(context.peer().rpartition(":")[0], context.peer_identities(), context.peer_identity_key())
        tell(dict(context.auth_context()))
        tell(context.is_active(), 4 < context.time_remaining() < 6)
        for name in ("code", "details", "trailing_metadata"):
            tell.raising(name, getattr(context, name))
        context.set_code(grpc.StatusCode.NOT_FOUND)
        context.set_details("not found")
        context.set_trailing_metadata([("a", "b")])
        for name in ("code", "details", "trailing_metadata"):
            tell.raising(name, getattr(context, name))
        context.set_code(grpc.StatusCode.OK)
        context.set_details("")
        tell.raising("send", context.send_initial_metadata, (("i", "1"),))
        tell.raising("send again", context.send_initial_metadata, (("i", "2"),))
        tell.raising("set_compression", context.set_compression, grpc.Compression.Gzip)
        tell.raising("disable", context.disable_next_message_compression)
        tell.raising("add_callback", context.add_callback, lambda: None)
        tell.raising("set_trailing_metadata(5)", context.set_trailing_metadata, None)
        return request

    made, port = server(one(look))
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        response, call = channel.unary_unary("/a.B/Call").with_call(b"x", timeout=5, metadata=(("k", "v"), ("k", "w")))
        tell(response, call.initial_metadata(), call.trailing_metadata())
    made.stop(0).wait()


def use_ends_of_handlers(tell: Telling) -> None:
    logging.getLogger("grpc").setLevel(logging.CRITICAL)

    def code_and_value(request: bytes, context: Any) -> bytes:
        context.set_code(grpc.StatusCode.ABORTED)
        context.set_details("why")
        return b"ignored"

    def code_and_exception(request: bytes, context: Any) -> bytes:
        context.set_code(grpc.StatusCode.ABORTED)
        raise ValueError("x")

    def code_details_and_exception(request: bytes, context: Any) -> bytes:
        context.set_code(grpc.StatusCode.ABORTED)
        context.set_details("mine")
        raise ValueError("x")

    def whole_number(request: bytes, context: Any) -> bytes:
        context.set_code(5)
        context.set_details("five")
        return b""

    def odd_number(request: bytes, context: Any) -> bytes:
        context.set_code(99)
        return b""

    def raises(request: bytes, context: Any) -> bytes:
        raise KeyError("key")

    def exits(request: bytes, context: Any) -> bytes:
        raise grpc.RpcError("an rpc error")

    def none(request: bytes, context: Any) -> Any:
        return None

    def aborts_ok(request: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.OK, "fine")
        return b""

    def aborts_with_number(request: bytes, context: Any) -> bytes:
        context.abort(5, "five")  # type: ignore[arg-type]
        return b""

    def aborts_in_try(request: bytes, context: Any) -> bytes:
        try:
            context.abort(grpc.StatusCode.NOT_FOUND, "caught")
        except Exception as error:
            tell(isinstance(error, grpc.RpcError), str(error))
        return b"went on"

    def aborts_twice(request: bytes, context: Any) -> bytes:
        try:
            context.abort(grpc.StatusCode.NOT_FOUND, "first")
        except Exception:
            context.abort(grpc.StatusCode.ABORTED, "second")
        return b""

    class Status(grpc.Status):
        code = grpc.StatusCode.DATA_LOSS
        details = "by a status"
        trailing_metadata = (("t", "1"),)

    def aborts_with_status(request: bytes, context: Any) -> bytes:
        context.abort_with_status(Status())
        return b""

    def odd_details(request: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.INTERNAL, "é % \n \t \x00 ü 漢")
        return b""

    def trailers(request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata(
            (("t", "1"), ("t", "2"), ("t-bin", b"\x00"), ("grpc-status-details-bin", b"\x08"))
        )
        return b"done"

    def bad_trailers(request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("T", "1"),))
        return b"done"

    cancelled: list[Any] = []

    def cancels(request: bytes, context: Any) -> bytes:
        cancelled.append(context.cancel())
        return b"done"

    for behavior in (
        code_and_value, code_and_exception, code_details_and_exception, whole_number, odd_number, raises, exits, none,
        aborts_ok, aborts_with_number, aborts_in_try, aborts_twice, aborts_with_status, odd_details, trailers,
        cancels,
    ):  # fmt: skip
        end_of(tell, behavior.__name__, one(behavior))
    time.sleep(0.05)
    tell("cancel", cancelled)
    end_of(tell, "a request that cannot be read", one(none, request_deserializer=lambda _: 1 / 0))
    end_of(tell, "a response that cannot be written", one(trailers, response_serializer=lambda _: 1 / 0))
    end_of(tell, "a response that is written as None", one(trailers, response_serializer=lambda _: None))
    del bad_trailers


def use_ends_of_streams(tell: Telling) -> None:
    logging.getLogger("grpc").setLevel(logging.CRITICAL)

    def raises_midway(request: bytes, context: Any) -> Iterator[bytes]:
        yield b"1"
        raise ValueError("midway")

    def code_midway(request: bytes, context: Any) -> Iterator[bytes]:
        context.set_code(grpc.StatusCode.ABORTED)
        context.set_details("but went on")
        yield b"1"
        yield b"2"

    def none_midway(request: bytes, context: Any) -> Iterator[Any]:
        yield b"1"
        yield None
        yield b"3"

    def raises_at_once(request: bytes, context: Any) -> Any:
        raise ValueError("at once")

    def a_list(request: bytes, context: Any) -> Any:
        return iter([b"1", b"2"])

    def empty(request: bytes, context: Any) -> Any:
        return iter(())

    def closes(request: bytes, context: Any) -> Iterator[bytes]:
        try:
            yield b"1"
        finally:
            context.set_trailing_metadata((("closed", "yes"),))

    for behavior in (raises_midway, code_midway, none_midway, raises_at_once, a_list, empty, closes):
        end_of(tell, behavior.__name__, stream(behavior))


def use_cancellation(tell: Telling) -> None:
    ended = threading.Event()
    states: list[Any] = []

    def wait(request: bytes, context: Any) -> bytes:
        over = threading.Event()
        tell("added", context.add_callback(over.set))
        over.wait(10)
        states.append(context.is_active())
        states.append(context.add_callback(lambda: None))
        ended.set()
        return b"too late"

    made, port = server(one(wait))
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        future = channel.unary_unary("/a.B/Call").future(b"", timeout=30)
        time.sleep(0.3)
        future.cancel()
        tell(ended.wait(5), states)
        ended.clear()
        states.clear()
        tell.raising("deadline", channel.unary_unary("/a.B/Call"), b"", timeout=0.3)
        tell(ended.wait(5), states)
    made.stop(0).wait()


def use_graces(tell: Telling) -> None:
    entered = threading.Event()

    def wait(request: bytes, context: Any) -> bytes:
        entered.set()
        time.sleep(0.4)
        return b"done"

    for grace in (None, 0, 0.05, 5):
        entered.clear()
        made, port = server(one(wait))
        channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        future = channel.unary_unary("/a.B/Call").future(b"", timeout=10)
        tell(entered.wait(5))
        stopped = made.stop(grace)
        tell("grace", grace, type(stopped).__name__, "stopped", stopped.wait(5))
        error = future.exception()
        tell("ended", None if error is None else error.code())
        tell.raising("a new call", channel.unary_unary("/a.B/Call"), b"", timeout=0.3, wait_for_ready=True)
        tell.raising("termination", made.wait_for_termination, 1)
        channel.close()


def use_interceptors_of_servers(tell: Telling) -> None:
    logging.getLogger("grpc").setLevel(logging.CRITICAL)
    name = contextvars.ContextVar("name", default="nobody")

    class Outer(grpc.ServerInterceptor):
        def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
            tell("outer", handler_call_details.method, type(handler_call_details).__name__)
            tell([pair for pair in handler_call_details.invocation_metadata if pair.key == "k"])
            name.set("outer")
            return continuation(handler_call_details)

    class Refusing(grpc.ServerInterceptor):
        def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
            tell("inner", name.get())
            if handler_call_details.method == "/a.B/No":
                return grpc.unary_unary_rpc_method_handler(
                    lambda request, context: context.abort(grpc.StatusCode.PERMISSION_DENIED, "no entry")
                )
            if handler_call_details.method == "/a.B/Raise":
                raise ValueError("an interceptor raises")
            return continuation(handler_call_details)

    def see(request: bytes, context: Any) -> bytes:
        tell("handler", name.get())
        return request

    made, port = server(one(see), interceptors=[Outer(), Refusing()])
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for method in ("Call", "No", "Raise", "Other"):
            tell.raising(method, channel.unary_unary(f"/a.B/{method}"), b"x", timeout=5, metadata=(("k", "v"),))
    made.stop(0).wait()


class Everything(grpc.GenericRpcHandler):
    def __init__(self, tell: Telling) -> None:
        self.tell = tell

    def service(self, handler_call_details: Any) -> Any:
        self.tell(handler_call_details.method)
        if handler_call_details.method == "/none/none":
            return None
        if handler_call_details.method == "/raise/raise":
            raise ValueError("no")
        return grpc.unary_unary_rpc_method_handler(lambda request, context: handler_call_details.method.encode())


def use_generic_handlers(tell: Telling) -> None:
    logging.getLogger("grpc").setLevel(logging.CRITICAL)
    made = grpc.server(futures.ThreadPoolExecutor(2), handlers=(Everything(tell),))
    port = made.add_insecure_port("[::]:0")
    made.start()
    made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", one(lambda r, c: b"late")),))
    tell.raising("registered", made.add_registered_method_handlers, "a.C", one(lambda r, c: b"registered"))
    with grpc.insecure_channel(f"localhost:{port}") as channel:
        for path in ("/a.B/Call", "/none/none", "/raise/raise", "/deep/er/path"):
            tell.raising(path, channel.unary_unary(path), b"", timeout=5)
    made.stop(0).wait()
    handler = grpc.method_handlers_generic_handler("a.B", one(lambda r, c: r))
    tell(type(handler).__name__, handler.service_name())
    made_handler = grpc.unary_unary_rpc_method_handler(print, request_deserializer=bytes, response_serializer=str)
    tell(type(made_handler).__name__, made_handler._fields, made_handler.unary_stream, made_handler.request_streaming)


def use_a_limit_of_calls(tell: Telling) -> None:
    entered, release = threading.Event(), threading.Event()

    def wait(request: bytes, context: Any) -> bytes:
        entered.set()
        release.wait(5)
        return b"done"

    made, port = server(one(wait), maximum_concurrent_rpcs=1)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        first = channel.unary_unary("/a.B/Call").future(b"", timeout=5)
        entered.wait(5)
        tell("the second", channel.unary_unary("/a.B/Call").future(b"", timeout=5).code())
        release.set()
        tell.raising("the first", first.result)
    made.stop(0).wait()


def use_half_closing(tell: Telling) -> None:
    logging.getLogger("grpc").setLevel(logging.CRITICAL)

    def first(requests: Iterator[bytes], context: Any) -> bytes:
        return next(requests)

    def all_of_them(requests: Iterator[bytes], context: Any) -> bytes:
        count = sum(1 for _ in requests)
        tell.raising("after the end", next, requests)
        return b"%d" % count

    def late(requests: Iterator[bytes], context: Any) -> bytes:
        try:
            for request in requests:
                tell(request)
                begun.set()
        finally:  # grpcio's requests raise after a cancellation, or end, as it happens
            ended.set()
        return b""

    begun, ended = threading.Event(), threading.Event()

    handlers = {each.__name__: grpc.stream_unary_rpc_method_handler(each) for each in (first, all_of_them, late)}
    made, port = server(handlers)

    def slowly() -> Iterator[bytes]:
        for i in range(3):
            yield b"%d" % i
            time.sleep(0.05)

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for name in ("first", "all_of_them"):
            tell.raising(name, channel.stream_unary(f"/a.B/{name}"), slowly(), timeout=5)

        def hanging() -> Iterator[bytes]:
            yield b"one"
            ended.wait(10)

        future = channel.stream_unary("/a.B/late").future(hanging(), timeout=20)
        begun.wait(10)
        future.cancel()
        ended.wait(10)
        tell("cancelled", future.cancelled())
    made.stop(0).wait()


def use_contextvars_and_threads(tell: Telling) -> None:
    name = contextvars.ContextVar("name", default="nobody")
    name.set("main")

    def look(request: bytes, context: Any) -> bytes:
        return f"{name.get()} {threading.current_thread().name.rpartition('_')[0]}".encode()

    pool = futures.ThreadPoolExecutor(2, thread_name_prefix="mine")
    made = grpc.server(pool)
    made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", one(look)),))
    port = made.add_insecure_port("127.0.0.1:0")
    made.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        tell(channel.unary_unary("/a.B/Call")(b"", timeout=5))
    made.stop(0).wait()
    tell.raising("the pool", lambda: pool.submit(lambda: "still works").result(1))


def use_logs(tell: Telling) -> None:
    records: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(f"{record.levelname} {record.getMessage().splitlines()[0]} {bool(record.exc_info)}")

    logger = logging.getLogger("grpc")
    handler = Keeping()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

    def raises(request: bytes, context: Any) -> bytes:
        raise ValueError("in a handler")

    end_of(tell, "raises", one(raises))
    end_of(tell, "reading", one(raises, request_deserializer=lambda _: 1 / 0))
    end_of(tell, "writing", one(lambda r, c: r, response_serializer=lambda _: 1 / 0))
    logger.removeHandler(handler)
    tell(records)


def use_described(tell: Telling) -> None:
    made, port = server(one(lambda request, context: request))
    tell(type(made).__name__, isinstance(made, grpc.Server), type(made).__module__)
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    tell(type(channel).__name__, isinstance(channel, grpc.Channel), type(channel).__module__)
    call = channel.unary_unary("/a.B/Call")
    tell(type(call).__name__, isinstance(call, grpc.UnaryUnaryMultiCallable))
    tell(described(call(b"x")), hasattr(made, "__enter__"), hasattr(channel, "__enter__"))
    channel.close()
    made.stop(0).wait()
