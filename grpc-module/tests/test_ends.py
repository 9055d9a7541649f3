"""How calls end that this side ends, and what the objects of their ends are."""

from __future__ import annotations

import gc
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.conftest import unary_stream, unary_unary

import grpc
from grpc import _server

Serve = Callable[..., int]
Connect = Callable[..., grpc.Channel]


def echo(request: bytes, context: grpc.ServicerContext) -> bytes:
    return request


def test_some_know_by_its_text_that_there_is_no_server(connect: Connect) -> None:
    method = connect(1).unary_unary("/a.B/Call")
    future = method.future(b"", timeout=10)
    with pytest.raises(grpc.RpcError) as caught:
        method(b"", timeout=10)
    ends: list[Any] = [caught.value, future.exception()]
    for raised in ends:
        assert raised.code() is grpc.StatusCode.UNAVAILABLE
        assert raised.details().startswith("failed to connect to all addresses; last error: UNKNOWN: 127.0.0.1:1: ")
        assert raised.details().endswith(": Failed to connect to remote host: Connection refused")


def test_some_know_by_its_text_that_a_message_is_too_large(serve: Serve, connect: Connect) -> None:
    options = [("grpc.max_receive_message_length", 10)]
    method = connect(serve(unary_unary(lambda request, _: request)), options=options).unary_unary("/a.B/Call")
    with pytest.raises(grpc.RpcError) as caught:
        method(b"x" * 11)
    assert caught.value.details() == "Received message larger than max (11 vs. 10)"  # type: ignore[attr-defined]


def test_some_know_by_its_text_that_the_connection_has_gone(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        future = connect(listening.getsockname()[1]).unary_unary("/a.B/Call").future(b"", timeout=10)
        listening.accept()[0].close()
        with pytest.raises(grpc.RpcError, match=r"Socket closed|Connection reset by peer"):
            future.result(10)


def test_a_server_may_say_the_same_words(serve: Serve, connect: Connect) -> None:
    def refuse(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.UNAVAILABLE, "could not connect to the database")

    with pytest.raises(grpc.RpcError) as caught:
        connect(serve(unary_unary(refuse))).unary_unary("/a.B/Call")(b"")
    assert caught.value.details() == "could not connect to the database"  # type: ignore[attr-defined]


def test_the_call_of_a_good_end_is_a_future_without_a_message(serve: Serve, connect: Connect) -> None:
    def talk(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_details("all is well")
        return request

    _, call = connect(serve(unary_unary(talk))).unary_unary("/a.B/Call").with_call(b"x")
    assert (call.result(), call.exception(), call.done(), call.cancel(), call.details()) == (
        b"x",
        None,
        True,
        False,
        "",
    )
    assert str(call).startswith("<_MultiThreadedRendezvous of RPC that terminated with:")
    called: list[Any] = []
    call.add_done_callback(called.append)
    assert called == [call]


def test_a_deserializer_that_gives_nothing_has_failed(serve: Serve, connect: Connect) -> None:
    channel = connect(serve({**unary_unary(echo), "Many": unary_stream(lambda r, c: iter([r]))["Call"]}))
    unary = channel.unary_unary("/a.B/Call", response_deserializer=lambda _: None)
    many = channel.unary_stream("/a.B/Many", response_deserializer=lambda _: None)
    for make in (lambda: unary(b"x"), lambda: unary.future(b"x").result(), lambda: list(many(b"x"))):
        with pytest.raises(grpc.RpcError) as caught:
            make()
        assert caught.value.code() is grpc.StatusCode.INTERNAL  # type: ignore[attr-defined]


def test_metadata_that_cannot_be_sent_is_the_end_of_a_future_and_of_a_stream(serve: Serve, connect: Connect) -> None:
    channel = connect(serve(unary_unary(echo)))
    bad = (("Key", "upper"),)
    future: Any = channel.unary_unary("/a.B/Call").future(b"", metadata=bad)
    stream: Any = channel.unary_stream("/a.B/Call")(b"", metadata=bad)
    assert future.exception() is future
    assert stream.code() is future.code() is grpc.StatusCode.INTERNAL
    with pytest.raises(grpc.RpcError) as caught:
        next(stream)
    assert caught.value is stream
    with pytest.raises(TypeError, match="bytes"):
        channel.unary_unary("/a.B/Call")(b"", metadata=(("key-bin", "text"),))


def test_closing_a_channel_ends_calls_without_their_having_been_cancelled(serve: Serve, connect: Connect) -> None:
    def wait(request: bytes, context: Any) -> bytes:
        over = threading.Event()
        context.add_callback(over.set)
        over.wait(10)
        return request

    channel = connect(serve(unary_unary(wait)))
    future: Any = channel.unary_unary("/a.B/Call").future(b"")
    channel.close()
    assert future.exception(5) is future
    assert (future.code(), future.details()) == (grpc.StatusCode.CANCELLED, "Channel closed!")
    assert not future.cancelled()


def test_a_server_that_never_started_may_be_stopped_and_started() -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    assert server.stop(None).wait(0)
    server.start()
    server.stop(None).wait(5)


def test_some_ask_a_channel_for_its_target(connect: Connect) -> None:
    channel: Any = connect(1)
    assert channel._channel.target() == b"dns:///127.0.0.1:1"
    assert channel.unary_unary("/a.B/Call")._channel.target() == b"dns:///127.0.0.1:1"
    with grpc.insecure_channel("ipv4:127.0.0.1:1") as other:
        known: Any = other
        assert known._channel.target() == b"ipv4:127.0.0.1:1"


def test_a_server_that_is_dropped_goes_on_for_a_while_and_finishes_its_calls(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end, may_stop = threading.Event(), threading.Event(), threading.Event()

    def wait(request: bytes, context: grpc.ServicerContext) -> bytes:
        begun.set()
        may_end.wait(20)
        return request

    def serve_and_forget() -> int:
        server = grpc.server(ThreadPoolExecutor(2))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", unary_unary(wait)),))
        port = int(server.add_insecure_port("127.0.0.1:0"))
        server.start()
        return port

    def is_served(port: int) -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionRefusedError:
            return False
        except ConnectionResetError:  # it was about to be taken when the listener was closed: ask again
            return True
        return True

    def stop_later(server: Any) -> None:
        may_stop.wait(20)
        _server._stop(server)

    monkeypatch.setattr(_server, "_stop_later", stop_later)
    port = serve_and_forget()
    running = connect(port).unary_unary("/a.B/Call").future(b"x", timeout=20)
    assert begun.wait(20)
    may_stop.set()
    end = time.monotonic() + 15
    while is_served(port):
        assert time.monotonic() < end
    may_end.set()
    assert running.result(20) == b"x"


def test_a_server_that_is_dropped_while_it_stops_keeps_its_grace(connect: Connect) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def wait(request: bytes, context: grpc.ServicerContext) -> bytes:
        begun.set()
        may_end.wait(20)
        return request

    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", unary_unary(wait)),))
    method = connect(server.add_insecure_port("127.0.0.1:0")).unary_unary("/a.B/Call")
    server.start()
    running = method.future(b"x", timeout=20)
    assert begun.wait(20)
    ended = server.stop(60)
    del server
    gc.collect()
    may_end.set()
    assert running.result(20) == b"x"
    assert ended.wait(20)


def test_an_error_prints_its_status_once_more_and_has_it_among_its_arguments(serve: Serve, connect: Connect) -> None:
    def refuse(request: bytes, context: grpc.ServicerContext) -> Any:
        context.abort(grpc.StatusCode.ABORTED, 'said "no"')

    channel = connect(serve(unary_unary(refuse)))
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/a.B/Call")(b"")
    future = channel.unary_unary("/a.B/Call").future(b"")
    for error in (caught.value, future.exception(5)):
        known: Any = error
        assert known.debug_error_string() == 'ABORTED:said "no"'
        assert known.args[0].code is grpc.StatusCode.ABORTED
        assert known.args[0].details == 'said "no"'


@pytest.mark.parametrize("kind", ["initial", "trailing"])
def test_metadata_of_a_handler_that_cannot_be_sent_ends_the_call_for_the_client(
    kind: str, serve: Serve, connect: Connect
) -> None:
    def give(request: bytes, context: grpc.ServicerContext) -> bytes:
        (context.send_initial_metadata if kind == "initial" else context.set_trailing_metadata)((("Upper", "1"),))
        went_on.append(True)
        return request

    went_on: list[bool] = []
    with pytest.raises(grpc.RpcError) as caught:
        connect(serve(unary_unary(give))).unary_unary("/a.B/Call")(b"", timeout=5)
    error: Any = caught.value
    assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "Invalid metadata")
    assert went_on


def test_a_channel_of_single_threaded_streams_gives_calls_of_that_name(serve: Serve, connect: Connect) -> None:
    from grpc import _channel

    def two(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield b"1"
        yield b"2"

    port = serve({"Call": grpc.unary_stream_rpc_method_handler(two)})
    plain: Any = connect(port).unary_stream("/a.B/Call")(b"", timeout=5)
    option = grpc.experimental.ChannelOptions.SingleThreadedUnaryStream
    single: Any = connect(port, options=[(option, 1)]).unary_stream("/a.B/Call")(b"", timeout=5)
    for call, name in ((plain, "_MultiThreadedRendezvous"), (single, "_SingleThreadedRendezvous")):
        assert type(call).__name__ == name
        assert [*call] == [b"1", b"2"]
        assert isinstance(call, _channel._Rendezvous)


def test_an_interceptor_may_put_a_stream_in_the_place_of_one_response(serve: Serve, connect: Connect) -> None:
    class Replacing(grpc.ServerInterceptor):
        def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
            continuation(handler_call_details)
            return grpc.unary_stream_rpc_method_handler(lambda request, context: iter([b"x"] * int(request)))

    port = serve(unary_unary(echo), interceptors=[Replacing()])
    call = connect(port).unary_unary("/a.B/Call")
    assert call(b"1", timeout=5) == b"x"
    for count in (b"0", b"2"):
        with pytest.raises(grpc.RpcError) as caught:
            call(count, timeout=5)
        assert caught.value.code() is grpc.StatusCode.INTERNAL  # type: ignore[attr-defined]


def test_the_time_that_remains_of_a_call_without_an_end_is_a_number(serve: Serve, connect: Connect) -> None:
    def look(request: bytes, context: grpc.ServicerContext) -> bytes:
        remaining: Any = context.time_remaining()
        seen.append(min(remaining, 30.0))
        return request

    seen: list[float] = []
    call = connect(serve(unary_unary(look))).unary_unary("/a.B/Call")
    call(b"")
    call(b"", timeout=5)
    assert seen[0] == 30.0
    assert seen[1] <= 5


def test_what_is_sent_need_have_next_alone(serve: Serve, connect: Connect) -> None:
    class Counting:
        def __init__(self) -> None:
            self.left = [b"1", b"2"]

        def __next__(self) -> bytes:
            if not self.left:
                raise StopIteration
            return self.left.pop(0)

    def joins(requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        return b"".join(requests)

    port = serve(
        {
            "Joins": grpc.stream_unary_rpc_method_handler(joins),
            "Counts": grpc.unary_stream_rpc_method_handler(lambda request, context: Counting()),
        }
    )
    requests: Any = Counting()
    assert connect(port).stream_unary("/a.B/Joins")(requests, timeout=5) == b"12"
    responses: Any = connect(port).unary_stream("/a.B/Counts")(b"", timeout=5)
    assert [*responses] == [b"1", b"2"]
