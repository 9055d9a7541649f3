"""What programs that were written for grpcio rest on, and what is easily got wrong."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any, NamedTuple

import pytest
from tests.conftest import unary_stream, unary_unary

import grpc

Serve = Callable[..., int]
Connect = Callable[..., grpc.Channel]

DETAILS = "grpc-status-details-bin"


class Ending(NamedTuple):
    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, bytes], ...]


def test_the_details_of_a_status_are_trailing_metadata_on_both_sides(serve: Serve, connect: Connect) -> None:
    def refuse(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort_with_status(Ending(grpc.StatusCode.ABORTED, "no", ((DETAILS, b"\x08\x0a"), ("k-bin", b"\0"))))

    with pytest.raises(grpc.RpcError) as caught:
        connect(serve(unary_unary(refuse))).unary_unary("/a.B/Call")(b"")
    trailing: Any = dict(caught.value.trailing_metadata())  # type: ignore[attr-defined]
    assert trailing == {"k-bin": b"\0", DETAILS: b"\x08\x0a"}


def test_what_http2_and_grpc_set_shows_as_grpcio_shows_it(serve: Serve, connect: Connect) -> None:
    seen: list[tuple[str, Any]] = []

    def look(request: bytes, context: grpc.ServicerContext) -> bytes:
        seen.extend(context.invocation_metadata())
        return b""

    call = connect(serve(unary_unary(look), compression=grpc.Compression.Gzip)).unary_unary("/a.B/Call")
    _, ended = call.with_call(b"", compression=grpc.Compression.Gzip)
    for key, _value in (*ended.initial_metadata(), *ended.trailing_metadata()):
        assert key not in ("content-type", "grpc-encoding", "grpc-accept-encoding")
    assert "user-agent" in dict(seen)
    assert "content-type" not in dict(seen)


def test_a_stream_is_over_when_its_messages_have_been_read(serve: Serve, connect: Connect) -> None:
    def two(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield b"a"
        yield b"b"

    over = threading.Event()
    call = connect(serve(unary_stream(two))).unary_stream("/a.B/Call")(b"")
    call.add_done_callback(lambda _: over.set())
    assert not over.wait(0.2)
    assert call.is_active()
    assert next(call) == b"a"
    assert not over.wait(0.1)
    assert next(call) == b"b"
    assert over.wait(5)
    assert call.code() is grpc.StatusCode.OK


def test_an_integer_as_a_code_means_unknown(serve: Serve, connect: Connect) -> None:
    def end(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_code(5)
        return b""

    with pytest.raises(grpc.RpcError) as caught:
        connect(serve(unary_unary(end))).unary_unary("/a.B/Call")(b"")
    assert caught.value.code() is grpc.StatusCode.UNKNOWN  # type: ignore[attr-defined]


def test_a_handlers_own_code_beats_that_of_its_exception(serve: Serve, connect: Connect) -> None:
    def end(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_code(grpc.StatusCode.OUT_OF_RANGE)
        context.set_details("too far")
        raise ValueError

    with pytest.raises(grpc.RpcError) as caught:
        connect(serve(unary_unary(end))).unary_unary("/a.B/Call")(b"")
    error: Any = caught.value
    assert (error.code(), error.details()) == (grpc.StatusCode.OUT_OF_RANGE, "too far")


def test_details_of_a_good_end_do_not_show(serve: Serve, connect: Connect) -> None:
    def end(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_details("fine")
        return b""

    assert connect(serve(unary_unary(end))).unary_unary("/a.B/Call").with_call(b"")[1].details() == ""


def test_the_limit_of_calls_acts_when_they_arrive(serve: Serve, connect: Connect) -> None:
    entered, release = threading.Event(), threading.Event()

    def wait(request: bytes, context: grpc.ServicerContext) -> bytes:
        entered.set()
        release.wait(10)
        return b"done"

    method = connect(serve(unary_unary(wait), maximum_concurrent_rpcs=1)).unary_unary("/a.B/Call")
    first = method.future(b"")
    assert entered.wait(5)
    with pytest.raises(grpc.RpcError) as caught:
        method(b"", timeout=5)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # type: ignore[attr-defined]
    release.set()
    assert first.result(timeout=5) == b"done"


def test_closing_a_channel_cancels_calls_that_are_not_open_yet(connect: Connect) -> None:
    channel = connect(1)
    future = channel.unary_unary("/a.B/Call").future(b"", wait_for_ready=True)
    stream = channel.unary_stream("/a.B/Call")(b"", wait_for_ready=True)
    channel.close()
    assert future.code() is grpc.StatusCode.CANCELLED
    assert stream.code() is grpc.StatusCode.CANCELLED
    with pytest.raises(ValueError, match="closed channel"):
        channel.unary_unary("/a.B/Call")(b"")


def test_plugins_run_in_the_context_where_credentials_were_made(serve: Serve) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    seen: list[Any] = []

    def plugin(context: Any, callback: Any) -> None:
        seen.append((variable.get(), context.service_url, context.method_name))
        callback((("token", variable.get()),), None)

    def token(request: bytes, context: grpc.ServicerContext) -> bytes:
        return str(dict(context.invocation_metadata())["token"]).encode()

    variable.set("where they were made")
    call_credentials = grpc.metadata_call_credentials(plugin)  # type: ignore[arg-type]
    variable.set("where the call is made")
    port = serve(unary_unary(token), credentials=grpc.local_server_credentials())
    credentials = grpc.composite_channel_credentials(grpc.local_channel_credentials(), call_credentials)
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
        assert channel.unary_unary("/a.B/Call")(b"") == b"where they were made"
    assert seen == [("where they were made", f"https://127.0.0.1:{port}/a.B", "Call")]


def test_peers_over_ipv6_are_percent_coded(serve: Serve, connect: Connect) -> None:
    def peer(request: bytes, context: grpc.ServicerContext) -> bytes:
        return str(context.peer()).encode()

    port = serve(unary_unary(peer), address="[::]:0")
    assert connect(port, "[::1]").unary_unary("/a.B/Call")(b"").startswith(b"ipv6:%5B::1%5D:")
    assert b"127.0.0.1" in connect(port).unary_unary("/a.B/Call")(b"")


def test_a_path_need_not_begin_with_a_slash(serve: Serve, connect: Connect) -> None:
    class Everything(grpc.GenericRpcHandler):
        def service(self, handler_call_details: Any) -> Any:
            method = handler_call_details.method
            return grpc.unary_unary_rpc_method_handler(lambda request, context: method.encode())

    channel = connect(serve({}, handlers=(Everything(),)))
    assert channel.unary_unary("Method")(b"") == b"Method"
    assert channel.unary_unary("/not/of/three/parts")(b"") == b"/not/of/three/parts"


def test_who_does_not_wait_fails_and_who_waits_is_served(serve: Serve, connect: Connect) -> None:
    channel = connect(1)
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/a.B/Call")(b"")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE  # type: ignore[attr-defined]
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/a.B/Call")(b"", wait_for_ready=True, timeout=0.2)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED  # type: ignore[attr-defined]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_channel_of_the_parent_ends_its_calls_in_a_child_and_others_work(serve: Serve) -> None:
    port = serve(unary_unary(lambda request, context: request))
    code = f"""
import os, sys, grpc
channel = grpc.insecure_channel("127.0.0.1:{port}")
assert channel.unary_unary("/a.B/Call")(b"parent") == b"parent"
child = os.fork()
if not child:
    try:
        channel.unary_unary("/a.B/Call")(b"x", timeout=5)
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.CANCELLED:
            os._exit(2)
    else:
        os._exit(3)
    with grpc.insecure_channel("127.0.0.1:{port}") as other:
        os._exit(0 if other.unary_unary("/a.B/Call")(b"child", timeout=5) == b"child" else 4)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert channel.unary_unary("/a.B/Call")(b"again") == b"again"
sys.exit(status)
"""
    environment = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (done.returncode, done.stderr)


def test_a_program_ends_that_never_closed_its_channel_or_stopped_its_server() -> None:
    code = """
import grpc
from concurrent import futures
server = grpc.server(futures.ThreadPoolExecutor(2))
handler = grpc.unary_stream_rpc_method_handler(lambda request, context: iter([b"a", b"b"]))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", {"Call": handler}),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
channel = grpc.insecure_channel(f"127.0.0.1:{port}")
call = channel.unary_stream("/a.B/Call")(b"")
assert next(call) == b"a"
print("done")
"""
    environment = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=30)
    assert done.stdout == "done\n", done.stderr
    assert done.returncode == 0


def test_a_channel_that_is_dropped_is_closed_once_its_calls_are_over(serve: Serve) -> None:
    def two(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield b"a"
        yield b"b"

    def stream(channel: grpc.Channel) -> Any:
        return channel.unary_stream("/a.B/Call")(b"")

    port = serve(unary_stream(two))
    call = stream(grpc.insecure_channel(f"127.0.0.1:{port}"))
    gc.collect()
    assert list(call) == [b"a", b"b"]
    del call
    before = threading.active_count()
    for _ in range(10):
        assert len(list(stream(grpc.insecure_channel(f"127.0.0.1:{port}")))) == 2
    until = time.monotonic() + 10
    while threading.active_count() > before + 5 and time.monotonic() < until:
        gc.collect()
        time.sleep(0.1)
    assert threading.active_count() <= before + 5


def test_what_is_no_bytes_is_refused_and_the_channel_goes_on(serve: Serve, connect: Connect) -> None:
    channel = connect(serve({**unary_unary(lambda request, context: request)}))
    call = channel.unary_unary("/a.B/Call")
    with pytest.raises(TypeError, match="a message is bytes, not str"):
        call("text")
    with pytest.raises(TypeError, match="a message is bytes, not str"):
        call.future("text")
    for serializer in (lambda _: None, lambda _: 1 / 0):
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/a.B/Call", serializer)(b"")
        assert caught.value.code() is grpc.StatusCode.INTERNAL  # type: ignore[attr-defined]
    with pytest.raises(grpc.RpcError) as caught:
        channel.stream_unary("/a.B/Call")(iter([b"a", "text"]), timeout=10)
    assert caught.value.code() is grpc.StatusCode.INTERNAL  # type: ignore[attr-defined]
    assert call(b"x", timeout=10) == b"x"


def test_metadata_that_cannot_be_sent_ends_the_call(serve: Serve, connect: Connect) -> None:
    call = connect(serve(unary_unary(lambda request, context: request))).unary_unary("/a.B/Call")
    for metadata in ([("Upper", "b")], [("a", "é")], [("a", b"\xff")]):
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", metadata=metadata)
        error: Any = caught.value
        assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "Invalid metadata")


def test_credentials_that_are_none_do_not_mean_plaintext() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    others: list[tuple[Any, type[Exception]]] = [
        (None, AttributeError),
        ("text", AttributeError),
        (grpc.access_token_call_credentials("x"), TypeError),
    ]
    for nothing, error in others:
        with pytest.raises(error, match="credentials"):
            grpc.secure_channel("127.0.0.1:1", nothing)
        with pytest.raises(error, match="credentials"):
            grpc.aio.secure_channel("127.0.0.1:1", nothing)
        with pytest.raises(error, match="credentials"):
            server.add_secure_port("127.0.0.1:0", nothing)


def test_a_stream_that_is_not_read_ends_at_its_deadline(serve: Serve, connect: Connect) -> None:
    def three(request: bytes, context: grpc.ServicerContext) -> Any:
        yield from (b"a", b"b", b"c")

    port = serve(unary_stream(three))
    call = connect(port).unary_stream("/a.B/Call")(b"", timeout=0.5)
    assert call.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    async def main() -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_stream("/a.B/Call")(b"", timeout=0.5)
            assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    asyncio.run(main())


def test_handlers_may_come_after_the_start() -> None:
    later = grpc.method_handlers_generic_handler("a.B", unary_unary(lambda request, context: b"later"))

    def ask(port: int) -> Any:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            return channel.unary_unary("/a.B/Call")(b"", timeout=10)

    server = grpc.server(futures.ThreadPoolExecutor(2))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with pytest.raises(grpc.RpcError) as caught:
        ask(port)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED  # type: ignore[attr-defined]
    server.add_generic_rpc_handlers((later,))
    assert ask(port) == b"later"
    server.stop(None).wait(5)

    async def main() -> None:
        server = grpc.aio.server()
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        server.add_generic_rpc_handlers((later,))
        assert await asyncio.to_thread(ask, port) == b"later"
        await server.stop(None)

    asyncio.run(main())


def test_what_libraries_read_of_a_contexts_state(serve: Serve, connect: Connect) -> None:
    def handler(request: bytes, context: Any) -> bytes:
        before = context._state
        context.set_code(grpc.StatusCode.OK)
        return repr((before.client, before.code, context._state.code)).encode()

    answer = connect(serve(unary_unary(handler))).unary_unary("/a.B/Call")(b"")
    assert answer == repr(("open", None, grpc.StatusCode.OK)).encode()


def test_the_event_of_a_call_tells_what_libraries_read_of_it(serve: Serve, connect: Connect) -> None:
    told: list[Any] = []

    def look(request: bytes, context: Any) -> bytes:
        told.append(context._rpc_event)
        return request

    port = serve(unary_unary(look))
    method = connect(port).unary_unary("/a.B/Call")
    method(b"x", timeout=1000, metadata=(("a", "b"),))
    method(b"x")
    limited, endless = told
    assert (limited.call_details.method, limited.call_details.host) == (b"/a.B/Call", f"127.0.0.1:{port}".encode())
    assert limited.call_details.deadline < time.time() + 1100 < endless.call_details.deadline
    assert ("a", "b") in limited.invocation_metadata


def test_what_a_handler_gives_that_is_none_is_told_as_grpcio_tells_it(serve: Serve, connect: Connect) -> None:
    class UnprintableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def fail(request: bytes, context: grpc.ServicerContext) -> bytes:
        if request == b"details":
            context.set_details(5)  # type: ignore[arg-type]
        if request == b"abort":
            context.abort(grpc.StatusCode.ABORTED, None)  # type: ignore[arg-type]
        raise UnprintableError

    call = connect(serve(unary_unary(fail))).unary_unary("/a.B/Call")
    for request, code, details in (
        (b"details", "UNKNOWN", "Exception calling application: 'int' object has no attribute 'encode'"),
        (b"abort", "ABORTED", "Exception calling application: 'NoneType' object has no attribute 'encode'"),
        (b"", "UNKNOWN", "Calling application raised unprintable Exception!"),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call(request)
        assert (caught.value.code().name, caught.value.details()) == (code, details)  # type: ignore[attr-defined]


def test_a_deserializer_that_gives_none_ends_the_call(serve: Serve, connect: Connect) -> None:
    handler = grpc.unary_unary_rpc_method_handler(lambda request, _: request, request_deserializer=lambda _: None)
    with pytest.raises(grpc.RpcError, match="INTERNAL") as caught:
        connect(serve({"Call": handler})).unary_unary("/a.B/Call")(b"")
    assert caught.value.details() == "Exception deserializing request!"  # type: ignore[attr-defined]


def test_loggers_have_the_names_of_grpcio(serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    told, order = threading.Event(), list[int]()

    def fail(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.add_callback(lambda: order.append(1))
        context.add_callback(lambda: 1 // 0)
        context.add_callback(lambda: order.append(2))
        context.add_callback(told.set)
        raise ValueError("no")

    channel = connect(serve(unary_unary(fail)))
    with pytest.raises(grpc.RpcError):
        channel.unary_unary("/a.B/Call")(b"")
    assert told.wait(10)
    assert order == [1, 2]
    with pytest.raises(grpc.RpcError):
        channel.unary_unary("/a.B/Call", request_serializer=lambda _: 1 // 0)(b"")
    names = {(record.name, record.getMessage()) for record in caplog.records}
    assert names == {
        ("grpc._server", "Exception calling application: no"),
        ("grpc._server", "Exception calling callback!"),
        ("grpc._common", "Exception serializing message!"),
    }


def test_a_server_that_stops_does_not_wait_for_its_pool(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    entered, gate = threading.Event(), threading.Event()

    def hold(request: bytes, context: grpc.ServicerContext) -> bytes:
        entered.set()
        gate.wait(20)
        return b""

    server = grpc.server(futures.ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", unary_unary(hold)),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    future = connect(port).unary_unary("/a.B/Call").future(b"")
    assert entered.wait(10)
    assert server.stop(None).wait(10)
    assert not caplog.records  # of threads that were waited for
    with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
        future.result(10)
    gate.set()
