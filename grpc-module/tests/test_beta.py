"""`grpc.beta` and `grpc.framework`: the interface of before 1.0."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import grpc
from grpc.beta import implementations, interfaces, utilities
from grpc.framework.common.cardinality import Cardinality
from grpc.framework.foundation import future, stream
from grpc.framework.interfaces.face import face
from grpc.framework.interfaces.face import utilities as methods

SERVICE = "a.B"


class Joining(stream.Consumer):
    """Gives all that it has taken, together."""

    def __init__(self, give: Callable[[bytes], Any]) -> None:
        self._give = give
        self._taken: list[bytes] = []

    def consume(self, value: Any) -> None:
        self._taken.append(value)

    def terminate(self) -> None:
        self._give(b"".join(self._taken))

    def consume_and_terminate(self, value: Any) -> None:
        self.consume(value)
        self.terminate()


def echo(request: bytes, context: Any) -> bytes:
    context.initial_metadata(((b"first", b"1"),))
    context.terminal_metadata((("seen", dict(context.invocation_metadata())[b"given"]),))
    return request


def fail(request: bytes, context: Any) -> bytes:
    context.code(interfaces.StatusCode.UNKNOWN)
    context.details("no such thing")
    return b""


def wait(request: bytes, context: Any) -> bytes:
    ended = threading.Event()
    while context.is_active() and not ended.wait(0.01):
        pass
    return b""


def twice(request: bytes, context: Any) -> Iterator[bytes]:
    yield from (request, request)


def twice_by_events(request: bytes, consumer: stream.Consumer, context: Any) -> None:
    consumer.consume(request)
    consumer.consume_and_terminate(request)


def echo_by_events(consumer: stream.Consumer, context: Any) -> stream.Consumer:
    return consumer


METHODS = {
    "Echo": methods.unary_unary_inline(echo),
    "Fail": methods.unary_unary_inline(fail),
    "Wait": methods.unary_unary_inline(wait),
    "Twice": methods.unary_stream_inline(twice),
    "Join": methods.stream_unary_inline(lambda requests, context: b"".join(requests)),
    "All": methods.stream_stream_inline(lambda requests, context: requests),
    "EchoEvent": methods.unary_unary_event(lambda request, give, context: give(request)),
    "TwiceEvent": methods.unary_stream_event(twice_by_events),
    "JoinEvent": methods.stream_unary_event(lambda give, context: Joining(give)),
    "AllEvent": methods.stream_stream_event(echo_by_events),
}


def make_server() -> Any:
    options = implementations.server_options(thread_pool_size=4)
    return implementations.server({(SERVICE, name): method for name, method in METHODS.items()}, options)


@pytest.fixture
def channel() -> Iterator[implementations.Channel]:
    server = make_server()
    port = server.add_insecure_port("127.0.0.1:0")
    with server:
        yield implementations.insecure_channel("127.0.0.1", port)


@pytest.fixture
def stub(channel: implementations.Channel) -> Any:
    return implementations.dynamic_stub(
        channel, SERVICE, {name: method.cardinality for name, method in METHODS.items()}
    )


def test_calls_of_all_shapes_with_handlers_of_both_styles(stub: Any) -> None:
    response, call = stub.Echo(b"x", 20, metadata=[(b"given", b"yes")], with_call=True)
    assert response == b"x"
    assert (b"first", b"1") in call.initial_metadata()
    assert (b"seen", b"yes") in call.terminal_metadata()
    for ending in ("", "Event"):
        assert list(getattr(stub, f"Twice{ending}")(b"x", 20)) == [b"x", b"x"]
        assert getattr(stub, f"Join{ending}")(iter([b"a", b"b"]), 20) == b"ab"
        assert list(getattr(stub, f"All{ending}")(iter([b"a", b"b"]), 20)) == [b"a", b"b"]
    assert stub.EchoEvent.future(b"x", 20).result() == b"x"


def test_a_stub_of_any_methods_and_what_its_messages_are_made_of(channel: implementations.Channel) -> None:
    name = (SERVICE, "Join")
    options = implementations.stub_options(
        request_serializers={name: str.encode}, response_deserializers={name: bytes.decode}
    )
    with implementations.generic_stub(channel, options) as stub:
        assert stub.blocking_stream_unary(SERVICE, "Join", iter(["a", "b"]), 20) == "ab"
        assert stub.future_unary_unary(SERVICE, "EchoEvent", b"x", 20).result() == b"x"
        assert list(stub.inline_unary_stream(SERVICE, "Twice", b"x", 20)) == [b"x", b"x"]
        with pytest.raises(AttributeError):
            stub.future_unary_stream  # noqa: B018


def test_failures_are_those_of_face(stub: Any) -> None:
    with pytest.raises(face.RemoteError) as caught:
        stub.Fail(b"", 20)
    assert (caught.value.code, caught.value.details) == (grpc.StatusCode.UNKNOWN, "no such thing")
    aborted: list[face.Abortion] = []
    call = stub.Fail.future(b"", 20)
    assert isinstance(call.exception(), face.RemoteError)
    call.add_abortion_callback(aborted.append)
    assert [each.kind for each in aborted] == [face.Abortion.Kind.REMOTE_FAILURE]
    with pytest.raises(face.ExpirationError):
        stub.Wait(b"", 0.1)
    call = stub.Wait.future(b"", 20)
    with pytest.raises(future.TimeoutError):
        call.result(timeout=0.1)
    assert call.cancel()
    with pytest.raises(future.CancelledError):
        call.result()


def test_channels_become_ready(channel: implementations.Channel) -> None:
    ready = utilities.channel_ready_future(channel)
    assert ready.result(20) is None
    assert ready.done()


def test_metadata_of_plugins_may_be_bytes() -> None:
    server = make_server()
    port = server.add_secure_port("127.0.0.1:0", grpc.local_server_credentials())
    plugin = implementations.metadata_call_credentials(lambda context, callback: callback([(b"given", b"by it")], None))
    credentials = implementations.composite_channel_credentials(grpc.local_channel_credentials(), plugin)
    with server:
        channel = implementations.secure_channel("127.0.0.1", port, credentials)
        stub = implementations.dynamic_stub(channel, SERVICE, {"Echo": Cardinality.UNARY_UNARY})
        _, call = stub.Echo(b"x", 20, with_call=True)
        assert (b"seen", b"by it") in call.terminal_metadata()


def test_cardinalities_have_the_names_that_generated_code_writes() -> None:
    assert Cardinality("request-unary/response-unary") is Cardinality.UNARY_UNARY
    assert interfaces.ChannelConnectivity.FATAL_FAILURE is grpc.ChannelConnectivity.SHUTDOWN
