"""The four shapes of calls, each in all the ways that they are made."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.conftest import stream_stream, stream_unary, unary_stream, unary_unary

import grpc

Serve = Callable[..., int]
Connect = Callable[..., grpc.Channel]


def double(request: bytes, context: grpc.ServicerContext) -> bytes:
    context.send_initial_metadata((("begun", "yes"),))
    context.set_trailing_metadata((("ended", "yes"),))
    return 2 * request


def test_one_request_and_one_response(serve: Serve, connect: Connect) -> None:
    method = connect(serve(unary_unary(double))).unary_unary("/a.B/Call")
    assert method(b"x") == b"xx"
    response, call = method.with_call(b"y", metadata=(("k", "v"),))
    assert response == b"yy"
    assert call.code() is grpc.StatusCode.OK
    assert call.initial_metadata() == (("begun", "yes"),)
    assert call.trailing_metadata()[0].key == "ended"
    future = method.future(b"z")
    assert future.result(timeout=5) == b"zz"
    assert future.done()
    assert future.exception() is None


def test_one_request_and_many_responses(serve: Serve, connect: Connect) -> None:
    def count(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield from (request + bytes([i]) for i in range(3))

    call = connect(serve(unary_stream(count))).unary_stream("/a.B/Call")(b"x")
    assert list(call) == [b"x\0", b"x\1", b"x\2"]
    assert call.code() is grpc.StatusCode.OK


def test_many_requests_and_one_response(serve: Serve, connect: Connect) -> None:
    def join(requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        return b"".join(requests)

    method = connect(serve(stream_unary(join))).stream_unary("/a.B/Call")
    assert method(iter([b"a", b"b"])) == b"ab"
    assert method.with_call(iter([b"a"]))[1].code() is grpc.StatusCode.OK
    assert method.future(iter([b"c", b"d"])).result(timeout=5) == b"cd"


def test_many_of_both(serve: Serve, connect: Connect) -> None:
    def echo(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        yield from requests

    call = connect(serve(stream_stream(echo))).stream_stream("/a.B/Call")(iter([b"a", b"b"]))
    assert list(call) == [b"a", b"b"]


def test_a_status_is_raised_and_is_a_call(serve: Serve, connect: Connect) -> None:
    def refuse(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")

    method = connect(serve(unary_unary(refuse))).unary_unary("/a.B/Call")
    with pytest.raises(grpc.RpcError) as caught:
        method(b"")
    error: Any = caught.value
    assert isinstance(error, grpc.Call)
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert error.details() == "no such thing"
    assert "NOT_FOUND" in str(error)
    future = method.future(b"")
    assert future.exception(timeout=5).code() is grpc.StatusCode.NOT_FOUND
    assert future.traceback() is not None


def test_a_deadline_ends_a_call(serve: Serve, connect: Connect) -> None:
    release = threading.Event()

    def wait(request: bytes, context: grpc.ServicerContext) -> bytes:
        release.wait(10)
        return b""

    method = connect(serve(unary_unary(wait))).unary_unary("/a.B/Call")
    with pytest.raises(grpc.RpcError) as caught:
        method(b"", timeout=0.1)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED  # type: ignore[attr-defined]
    future = method.future(b"")
    with pytest.raises(grpc.FutureTimeoutError):
        future.result(timeout=0.1)
    assert future.cancel()
    assert future.cancelled()
    assert future.code() is grpc.StatusCode.CANCELLED
    with pytest.raises(grpc.FutureCancelledError):
        future.result()
    release.set()


def test_a_call_that_is_dropped_is_cancelled(serve: Serve, connect: Connect) -> None:
    over = threading.Event()

    def forever(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        context.add_callback(over.set)
        while context.is_active():
            yield b"x"
            time.sleep(0.01)

    call = connect(serve(unary_stream(forever))).unary_stream("/a.B/Call")(b"")
    assert next(call) == b"x"
    del call
    assert over.wait(5)


def test_requests_that_raise_end_the_call(serve: Serve, connect: Connect) -> None:
    def echo(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        yield from requests

    def requests() -> Iterator[bytes]:
        yield b"a"
        raise ValueError

    call = connect(serve(stream_stream(echo))).stream_stream("/a.B/Call")(requests())
    with pytest.raises(grpc.RpcError):
        list(call)
    assert call.code() is grpc.StatusCode.UNKNOWN
    assert call.details() == "Exception iterating requests!"


def test_interceptors_go_around_each_other(serve: Serve, connect: Connect) -> None:
    class Marking(grpc.UnaryUnaryClientInterceptor):
        def __init__(self, name: str) -> None:
            self.name = name

        def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
            metadata = (*(client_call_details.metadata or ()), ("by", self.name))
            return continuation(client_call_details._replace(metadata=metadata), request)

    class Seeing(grpc.ServerInterceptor):
        def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
            seen.append(handler_call_details.method)
            return continuation(handler_call_details)

    def names(request: bytes, context: grpc.ServicerContext) -> bytes:
        return ",".join(value for key, value in context.invocation_metadata() if key == "by").encode()

    seen: list[str] = []
    channel = connect(serve(unary_unary(names), interceptors=(Seeing(),)))
    intercepted = grpc.intercept_channel(channel, Marking("first"), Marking("second"))
    assert intercepted.unary_unary("/a.B/Call")(b"") == b"first,second"
    assert intercepted.unary_unary("/a.B/Call").future(b"").result() == b"first,second"
    with pytest.raises(grpc.RpcError) as caught:
        intercepted.unary_unary("/a.B/Other")(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED  # type: ignore[attr-defined]
    assert seen == ["/a.B/Call", "/a.B/Call", "/a.B/Other"]


def test_who_subscribes_hears_of_the_state(serve: Serve, connect: Connect) -> None:
    channel = connect(serve(unary_unary(double)))
    states: list[grpc.ChannelConnectivity] = []
    ready = threading.Event()

    def hear(state: grpc.ChannelConnectivity) -> None:
        states.append(state)
        if state is grpc.ChannelConnectivity.READY:
            ready.set()

    channel.subscribe(hear, try_to_connect=True)
    assert ready.wait(5)
    assert states[0] is grpc.ChannelConnectivity.IDLE
    grpc.channel_ready_future(channel).result(timeout=5)
    channel.unsubscribe(hear)


def test_who_subscribes_hears_of_one_state_after_the_other(serve: Serve, connect: Connect) -> None:
    channel = connect(serve(unary_unary(double)))
    states: list[grpc.ChannelConnectivity] = []
    ready = threading.Event()

    def hear(state: grpc.ChannelConnectivity) -> None:
        if state is grpc.ChannelConnectivity.IDLE:
            time.sleep(0.1)  # it connects meanwhile
        states.append(state)
        if state is grpc.ChannelConnectivity.READY:
            ready.set()

    channel.subscribe(hear, try_to_connect=True)
    assert ready.wait(5)
    assert states[0] is grpc.ChannelConnectivity.IDLE
    assert states[-1] is grpc.ChannelConnectivity.READY


def test_what_is_not_here_says_so() -> None:
    for make in (grpc.alts_channel_credentials, grpc.alts_server_credentials, grpc.xds_channel_credentials):
        with pytest.raises(NotImplementedError, match="not part of puregrpc-grpc"):
            make()


def test_what_pools_of_channels_ask_a_call_and_a_channel(serve: Serve, connect: Connect) -> None:
    """As grpcio-gcp does, by names of grpcio's own."""
    channel: Any = connect(serve(unary_unary(lambda request, context: request)))
    assert channel._connectivity_state.connectivity is None
    ready = threading.Event()

    def told(state: grpc.ChannelConnectivity) -> None:
        if state is grpc.ChannelConnectivity.READY:
            ready.set()

    channel.subscribe(told, try_to_connect=True)
    assert ready.wait(20)
    assert channel._connectivity_state.connectivity is grpc.ChannelConnectivity.READY
    call: Any = channel.unary_stream("/a.B/Other")(b"")
    with pytest.raises(grpc.RpcError):
        call._next()
